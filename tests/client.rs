//! The Rust client against the real service, over connections that break and replicas that end.

use std::{process::Command, time::Duration};

use fbs_router_client::{Client, Upload, v1::Document};
use fbs_router_sandbox::{Address, FaultProxy, Mode, platform::SYSTEM_DATABASE, soon};
use futures_util::future::join_all;
use tokio::io::AsyncReadExt;

use crate::support::{
    Replica, World, draft,
    process::example,
    transfers::{declared, noise},
};

async fn through_proxy(replica: &Replica) -> (FaultProxy, Client) {
    let proxy = FaultProxy::start(Address::Tcp(replica.grpc)).await.unwrap();
    let client = Client::connect(format!("http://{}", proxy.address())).await.unwrap();
    (proxy, client)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_download_that_is_cut_again_and_again_comes_whole() {
    let world = World::new().await;
    let replica = world.replica().await;
    let content = noise(20 * 1024 * 1024);
    let id = replica.make("globex", "N").await.document_id;
    replica.upload("globex", &id, "a.bin", &content).await.unwrap();
    let (proxy, client) = through_proxy(&replica).await;
    let mut download = client.solution("globex").download(id.as_str()).await.unwrap();
    assert_eq!(download.content().filename, "a.bin");
    let mut received = vec![0; 1024 * 1024];
    for cut in 1..=4 {
        received.resize(cut * 4 * 1024 * 1024, 0);
        let from = (cut - 1) * 4 * 1024 * 1024;
        download.read_exact(&mut received[from..]).await.unwrap();
        proxy.set(Mode::Cut);
    }
    let mut rest = Vec::new();
    download.read_to_end(&mut rest).await.unwrap();
    received.extend(rest);
    assert!(received == content);
    assert!(proxy.accepted() >= 3, "it was cut, and connected anew");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_whose_upload_is_cut_is_sent_again_and_stored_once() {
    let world = World::new().await;
    let replica = world.replica().await;
    let content = noise(8 * 1024 * 1024);
    let file = world.folder.path().join("scan.pdf");
    std::fs::write(&file, &content).unwrap();
    let id = replica.make("globex", "N").await.document_id;
    let (proxy, client) = through_proxy(&replica).await;
    // Both the first and the second attempt end half-way.
    proxy.set(Mode::CutAfter { to_server: 5 * 1024 * 1024 });
    let documents = client.solution("globex");
    let upload = tokio::spawn({
        let (documents, id, file) = (documents.clone(), id.clone(), file.clone());
        async move { documents.upload_file(id, file).await }
    });
    soon("it was cut twice", async || if proxy.accepted() > 2 { Ok(()) } else { Err(proxy.accepted()) }).await;
    proxy.set(Mode::Forward);
    let stored = upload.await.unwrap().unwrap();
    assert_eq!(stored.content.as_ref().unwrap().generation, 1);
    assert_eq!(stored.content.as_ref().unwrap().filename, "scan.pdf");
    assert!(replica.download("globex", &id).await.unwrap().1 == content);
    let stored = "SELECT count(*) FROM fbs_document.content";
    soon("what was cut is removed", async || match world.count(SYSTEM_DATABASE, stored).await {
        1 => Ok(()),
        more => Err(more),
    })
    .await;
    // A reader cannot be sent again, and the caller is told so.
    proxy.set(Mode::CutAfter { to_server: 1024 * 1024 });
    let reader = std::io::Cursor::new(content.clone());
    let error = documents.upload(Upload::new(&id, declared("b", &content)), reader).await.unwrap_err();
    assert!(error.request_id().is_some(), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_go_on_while_one_of_two_replicas_is_killed_and_nothing_is_doubled() {
    let world = World::new().await;
    let (stays, goes) = (world.replica().await, world.replica().await);
    let urls = [&stays, &goes].map(|replica| format!("http://{}", replica.grpc));
    let client = Client::builder().deadline(Duration::from_secs(20)).connect_to(urls).await.unwrap();
    let documents = client.solution("globex");
    let work = (0..8).map(|worker| {
        let documents = documents.clone();
        async move {
            for number in 0..25 {
                let document = Document { title: "T".into(), ..draft(&format!("{worker}-{number}")) };
                documents.create(document).await.unwrap();
            }
        }
    });
    let (_, ()) = tokio::join!(join_all(work), async {
        soon("both are at work", async || match world.system_rows("globex").await {
            40.. => Ok(()),
            rows => Err(rows),
        })
        .await;
        goes.kill().await;
    });
    let mut names = Vec::new();
    let mut all = documents.all(());
    while let Some(document) = all.next().await {
        names.push(document.unwrap().name);
    }
    names.sort();
    let before = names.len();
    names.dedup();
    assert_eq!((names.len(), before), (200, 200), "each once");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_examples_of_the_client_run_as_they_stand() {
    let world = World::new().await;
    let replica = world.replica().await;
    for solution in ["acme_corp", "globex"] {
        for name in ["quickstart", "lifecycle"] {
            let url = format!("http://{}", replica.grpc);
            let run = move || Command::new(example(name)).arg(solution).env("FBS_ROUTER_URL", url).output().unwrap();
            let output = tokio::task::spawn_blocking(run).await.unwrap();
            let (said, failed) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
            assert!(output.status.success(), "{name} {solution}: {said}{failed}");
        }
    }
}
