//! Three routers as processes of their own, each with a path of its own to Postgres.

use std::{path::PathBuf, sync::Mutex};

use fbs_router_proto::{
    admin::v1::admin_service_client::AdminServiceClient, document::v1::document_service_client::DocumentServiceClient,
};
use fbs_router_sandbox::{FaultProxy, eventually};
use tonic::transport::Channel;

use super::PATIENCE;
use crate::support::{
    Replica, World,
    process::{Held, Served},
    residue::pooled,
    wire::metrics,
};

pub(super) const ROUTERS: usize = 3;
/// Connections of each to Postgres.
const CONNECTIONS: usize = 24;

/// A router that may be killed, and the way from it to Postgres.
pub(super) struct Router {
    pub(super) proxy: FaultProxy,
    /// Held by who makes that way a bad one.
    pub(super) way: tokio::sync::Mutex<()>,
    configuration: String,
    folder: PathBuf,
    /// How often it was started, and it itself but for a moment.
    process: tokio::sync::Mutex<(usize, Option<Served>)>,
    channel: Mutex<Channel>,
}

impl Router {
    pub(super) async fn start(world: &World, number: usize) -> Self {
        let proxy = world.proxy().await;
        let folder = world.folder.path().join(format!("router-{number}"));
        std::fs::create_dir(&folder).unwrap();
        let extra = format!(
            "[routing]\nscan_interval = \"500ms\"\nscan_timeout = \"1s\"\n[moving]\nstale_after = \"2s\"\n\
             [ledger]\npoll_interval = \"300ms\"\nsnapshot = \"{}\"\n[pool]\ncreate = \"2s\"\nmax_size = 8\n",
            folder.join("snapshot.json").display()
        );
        let url = format!("postgres://fbs_router@{}", proxy.address());
        let configuration = world
            .configuration(&url, &extra)
            .replace("max_connections = 60", &format!("max_connections = {CONNECTIONS}"));
        let nowhere = Channel::from_static("http://127.0.0.1:1").connect_lazy();
        let this = Self {
            proxy,
            way: tokio::sync::Mutex::default(),
            configuration,
            folder,
            process: tokio::sync::Mutex::new((0, None)),
            channel: Mutex::new(nowhere),
        };
        this.start_again(&mut *this.process.lock().await).await;
        this.is_serving().await;
        this
    }

    async fn start_again(&self, process: &mut (usize, Option<Served>)) {
        process.0 += 1;
        let folder = self.folder.join(process.0.to_string());
        std::fs::create_dir(&folder).unwrap();
        let served = Served::start_unready(&self.configuration, &folder, &[]).await;
        *self.channel.lock().unwrap() = served.replica.channel.clone();
        process.1 = Some(served);
    }

    pub(super) async fn is_serving(&self) {
        eventually("a router is SERVING", PATIENCE, async || match self.replica().await.health("").await {
            Ok(1) => Ok(()),
            other => Err(format!("{other:?}")),
        })
        .await;
    }

    /// To ask it what tests ask.
    pub(super) async fn replica(&self) -> Replica {
        let process = self.process.lock().await;
        let replica = &process.1.as_ref().expect("it runs").replica;
        Replica::elsewhere(replica.grpc, replica.ops)
    }

    pub(super) fn documents(&self) -> DocumentServiceClient<Channel> {
        DocumentServiceClient::new(self.channel.lock().unwrap().clone())
    }

    pub(super) fn admin(&self) -> AdminServiceClient<Channel> {
        AdminServiceClient::new(self.channel.lock().unwrap().clone())
    }

    /// As by kill -9, and another one in its place.
    pub(super) async fn kill(&self) {
        let mut process = self.process.lock().await;
        process.1.take().expect("it runs").kill().await;
        self.start_again(&mut process).await;
    }

    /// In order, and another one in its place.
    pub(super) async fn stop(&self) {
        let mut process = self.process.lock().await;
        process.1.take().expect("it runs").stop().await;
        self.start_again(&mut process).await;
    }

    pub(super) async fn signal(&self, signal: &str) {
        self.process.lock().await.1.as_ref().expect("it runs").signal(signal);
    }

    /// Lets it read a configuration with other bounds of its pools.
    pub(super) async fn reload(&self, max_size: u32) {
        let process = self.process.lock().await;
        let served = process.1.as_ref().expect("it runs");
        served.rewrite(|text| {
            let lines = text.lines().map(|line| match line.starts_with("max_size = ") {
                true => format!("max_size = {max_size}\n"),
                false => format!("{line}\n"),
            });
            lines.collect()
        });
        served.signal("HUP");
    }

    /// What it holds besides its pools' connections, where the system tells.
    pub(super) async fn held(&self) -> Option<Held> {
        let process = self.process.lock().await;
        let served = process.1.as_ref().expect("it runs");
        let connections = pooled(&metrics(served.replica.ops).await) as usize;
        let held = served.held()?;
        Some(Held { descriptors: held.descriptors.saturating_sub(connections), ..held })
    }

    /// Everything that it and those before it have printed.
    pub(super) async fn printed(&self) -> String {
        let times = self.process.lock().await.0;
        let files = (1..=times).map(|time| self.folder.join(time.to_string()).join("printed"));
        files.map(|file| std::fs::read_to_string(file).unwrap()).collect()
    }
}
