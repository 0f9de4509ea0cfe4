//! Three replicas that are restarted one after the other, and callers with the client crate who do not notice.

use std::{
    collections::BTreeMap,
    net::TcpListener,
    path::PathBuf,
    sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed},
};

use fbs_router_client::{Client, v1::Document};
use fbs_router_sandbox::{platform::ACME_DATABASE, soon};
use futures_util::{StreamExt, future::join_all, stream};

use crate::support::{
    World,
    load::some_more,
    process::Served,
    residue::nothing_is_left,
    transfers::{declared, frames, header, noise, wanted},
};

const CALLERS: usize = 8;

impl World {
    /// A router as a process that listens where it listened before.
    async fn process_at(&self, port: u16, extra: &str) -> Served {
        let folder: PathBuf = self.folder.path().join(format!("router-{port}"));
        std::fs::create_dir_all(&folder).unwrap();
        let configuration = self.configuration(&self.platform.url(), extra);
        let configuration = configuration.replace("grpc = \"127.0.0.1:0\"", &format!("grpc = \"127.0.0.1:{port}\""));
        Served::start(&configuration, &folder, &[]).await
    }
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

#[tokio::test(flavor = "multi_thread")]
async fn replicas_restarted_one_after_the_other_cost_their_callers_no_call() {
    let world = World::new().await;
    let ports = [free_port(), free_port(), free_port()];
    let mut replicas = Vec::new();
    for port in ports {
        replicas.push(world.process_at(port, "").await);
    }
    let client = Client::builder().connect_to(ports.map(|port| format!("http://127.0.0.1:{port}"))).await.unwrap();
    let (over, served) = (AtomicBool::new(false), AtomicUsize::new(0));
    let calls = join_all((0..CALLERS).map(|caller| {
        let (documents, over, served) = (client.solution("acme_corp"), &over, &served);
        async move {
            let mut acknowledged = BTreeMap::new();
            for number in 0.. {
                if over.load(Relaxed) {
                    break;
                }
                let name = format!("R-{caller}-{number}");
                let document = Document { name: name.clone(), title: "T".into(), ..Document::default() };
                let created = documents.create(document).await.expect("a write that a retry could save").into_message();
                let read = documents.get(created.document_id.as_str()).await.expect("a read that a retry could save");
                assert_eq!(read.into_message().name, name);
                acknowledged.insert(created.document_id, name);
                served.fetch_add(1, Relaxed);
            }
            acknowledged
        }
    }));
    let restarting = async {
        some_more(&served, "calls are served").await;
        for (place, port) in ports.into_iter().enumerate() {
            let old = replicas.remove(place);
            old.signal("TERM");
            let printed = old.stopped().await;
            assert!(!printed.contains("panicked"), "{printed}");
            some_more(&served, "calls are served by the two others").await;
            replicas.insert(place, world.process_at(port, "").await);
            some_more(&served, "calls are served by all").await;
        }
        over.store(true, Relaxed);
    };
    let (acknowledged, ()) = tokio::join!(calls, restarting);
    let acknowledged: BTreeMap<String, String> = acknowledged.into_iter().flatten().collect();
    let postgres = world.platform.cluster.connect(ACME_DATABASE).await.unwrap();
    let sql = "SELECT document_id::text, name FROM fbs_document.document WHERE name LIKE 'R-%'";
    let found = postgres.query(sql, &[]).await.unwrap();
    assert_eq!(found.len(), acknowledged.len(), "a write was lost or done twice");
    let found: BTreeMap<String, String> = found.iter().map(|row| (row.get(0), row.get(1))).collect();
    assert_eq!(found, acknowledged);
    let observed: Vec<_> = replicas.iter().map(|replica| &replica.replica).collect();
    nothing_is_left(&world.platform.cluster, &observed).await;
}

/// A download that nobody reads and an upload that nobody goes on with, both longer than anybody may drain.
#[tokio::test(flavor = "multi_thread")]
async fn open_streams_keep_nobody_from_ending() {
    let world = World::new().await;
    let served = world.process_at(free_port(), "").await;
    let replica = &served.replica;
    let content = noise(4 * 1024 * 1024);
    let id = replica.make("globex", "N").await.document_id;
    replica.upload("globex", &id, "a", &content).await.unwrap();
    let mut reader = replica.documents().download_content(wanted("globex", &id)).await.unwrap().into_inner();
    reader.message().await.unwrap().unwrap();
    let begun = frames(header("globex", &id, declared("a", &content)), &content, 64 * 1024)[..8].to_vec();
    let mut documents = replica.documents();
    let writer =
        tokio::spawn(async move { documents.upload_content(stream::iter(begun).chain(stream::pending())).await });
    let stored = "SELECT count(*) FROM fbs_document.content";
    soon("it comes", async || match world.count("fbs_system_db", stored).await {
        2 => Ok(()),
        found => Err(found),
    })
    .await;
    served.stop().await;
    assert!(writer.await.unwrap().is_err(), "an upload that was not finished is not acknowledged");
    let rest = async {
        while reader.message().await?.is_some() {}
        Ok::<_, tonic::Status>(())
    };
    assert!(rest.await.is_err(), "the download was open to the last");
}
