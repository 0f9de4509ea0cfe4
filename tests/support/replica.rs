//! The service in process, on a port of its own.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    time::Duration,
};

use fbs_router::{config::Config, service::Service};
use fbs_router_proto::{
    document::v1::document_service_client::DocumentServiceClient,
    router::v1::router_service_client::RouterServiceClient,
};
use fbs_router_sandbox::soon;
use tokio::{sync::watch, task::JoinHandle};
use tonic::transport::Channel;
use tonic_health::pb::{HealthCheckRequest, health_client::HealthClient};

/// A running service. Dropped, it is gone at once; `stop` drains it.
pub(crate) struct Replica {
    pub(crate) grpc: SocketAddr,
    pub(crate) ops: SocketAddr,
    pub(crate) channel: Channel,
    stop: watch::Sender<bool>,
    task: JoinHandle<Result<(), fbs_router::service::ServiceError>>,
    text: String,
    path: PathBuf,
}

/// True if a configuration sets it itself.
fn says(text: &str, section: &str, key: &str) -> bool {
    let (section, key) = (format!("[{section}]"), format!("{key} ="));
    let lines = text.lines().skip_while(|line| *line != section).skip(1);
    lines.take_while(|line| !line.starts_with('[')).any(|line| line.starts_with(&key))
}

impl Replica {
    /// Starts a service with quick scans and waits until it is SERVING.
    pub(crate) async fn start(text: &str, path: &Path) -> Self {
        let this = Self::start_unready(text, path).await;
        soon("the replica is SERVING", async || match this.health("").await {
            Ok(1) => Ok(()),
            other => Err(format!("{other:?}")),
        })
        .await;
        this
    }

    /// Starts a service and waits for nothing.
    pub(crate) async fn start_unready(text: &str, path: &Path) -> Self {
        let quick = ["routing.scan_interval=300ms", "ledger.poll_interval=300ms"];
        // On a busy machine nobody is told that there is nothing, who would only have had to wait; but where calls have
        // little time, nothing else has more.
        let limits = if text.contains("[deadline]") {
            ["routing.scan_timeout=2s", "pool.create=2s", "pool.wait=1s"]
        } else {
            ["routing.scan_timeout=8s", "pool.create=8s", "pool.wait=3s"]
        };
        let settings: Vec<String> = quick
            .into_iter()
            .chain(limits)
            .map(str::to_owned)
            .filter(|setting| {
                let (section, key) = setting.split('=').next().unwrap().split_once('.').unwrap();
                !says(text, section, key)
            })
            .collect();
        let config = Config::parse(text, path, [], &settings).expect("a configuration");
        let service = Service::bind(config).await.expect("a service");
        let (grpc, ops) = (service.grpc_address().unwrap(), service.ops_address().unwrap());
        let (stop, stopped) = watch::channel(false);
        let task = tokio::spawn(service.run(stopped));
        let channel = Channel::from_shared(format!("http://{grpc}")).unwrap().connect_lazy();
        Self { grpc, ops, channel, stop, task, text: text.to_owned(), path: path.to_owned() }
    }

    /// A service that somebody else runs, and ends.
    pub(crate) fn elsewhere(grpc: SocketAddr, ops: SocketAddr) -> Self {
        let channel = Channel::from_shared(format!("http://{grpc}")).unwrap().connect_lazy();
        let (stop, task) = (watch::channel(false).0, tokio::spawn(async { Ok(()) }));
        Self { grpc, ops, channel, stop, task, text: String::new(), path: PathBuf::new() }
    }

    /// Ends this one as by kill -9, and starts another with the same files.
    pub(crate) async fn restart(self) -> Self {
        let (text, path) = (self.text.clone(), self.path.clone());
        self.kill().await;
        Self::start(&text, &path).await
    }

    /// As [`Self::restart`], not waiting until it is SERVING.
    pub(crate) async fn restart_unready(self) -> Self {
        let (text, path) = (self.text.clone(), self.path.clone());
        self.kill().await;
        Self::start_unready(&text, &path).await
    }

    /// Ends it at once: nothing is drained or told.
    pub(crate) async fn kill(self) {
        self.task.abort();
        let _ = self.task.await;
    }

    /// Ends it as SIGTERM does, and waits.
    pub(crate) async fn stop(self) {
        self.stop.send_replace(true);
        self.task.await.expect("no panic").expect("a clean end");
    }

    /// Begins to end it as SIGTERM does.
    pub(crate) fn begin_stop(&self) {
        self.stop.send_replace(true);
    }

    /// A client of the routing service.
    pub(crate) fn routes(&self) -> RouterServiceClient<Channel> {
        RouterServiceClient::new(self.channel.clone())
    }

    /// A client of the document service.
    pub(crate) fn documents(&self) -> DocumentServiceClient<Channel> {
        DocumentServiceClient::new(self.channel.clone()).max_decoding_message_size(8 * 1024 * 1024)
    }

    /// The health of a name: 1 is SERVING, 2 NOT_SERVING.
    pub(crate) async fn health(&self, service: &str) -> Result<i32, tonic::Status> {
        let request = HealthCheckRequest { service: service.to_owned() };
        let mut request = tonic::Request::new(request);
        request.set_timeout(Duration::from_secs(2));
        HealthClient::new(self.channel.clone()).check(request).await.map(|answer| answer.get_ref().status)
    }
}
