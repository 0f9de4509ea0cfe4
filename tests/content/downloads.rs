//! Downloads, and transfers that take their time.

use std::time::Duration;

use fbs_router_proto::document::v1::{DownloadContentRequest, UploadContentRequest};
use fbs_router_sandbox::{platform::SYSTEM_DATABASE, soon};
use futures_util::{StreamExt, stream};
use tonic::Code;

use super::PIECE;
use crate::support::{
    World,
    asking::refusal,
    failure,
    residue::nothing_is_left,
    transfers::{declared, frames, header, noise, wanted},
};

#[tokio::test(flavor = "multi_thread")]
async fn a_download_goes_on_where_it_broke_unless_the_content_was_replaced() {
    let world = World::new().await;
    let replica = world.replica().await;
    let content = noise(40 * PIECE);
    // Of what is removed, which pieces are removed last.
    for last in ["false", "old.first_byte < 8 * 262144 OR old.first_byte >= 20 * 262144"] {
        let later = format!(
            "CREATE OR REPLACE FUNCTION public.later() RETURNS trigger LANGUAGE plpgsql AS \
                 'BEGIN IF {last} THEN RETURN NULL; END IF; RETURN old; END'; \
             CREATE OR REPLACE TRIGGER later BEFORE DELETE ON fbs_document.content_chunk \
                 FOR EACH ROW EXECUTE FUNCTION public.later()"
        );
        world.run(SYSTEM_DATABASE, &later).await;
        let id = replica.make("globex", "N").await.document_id;
        replica.upload("globex", &id, "a", &content).await.unwrap();
        // A slow reader, under whom the content is replaced and cleared away.
        let mut slow = replica.documents().download_content(wanted("globex", &id)).await.unwrap().into_inner();
        let mut received = 0;
        for _ in 0..4 {
            if let Some(fbs_router_proto::document::v1::download_content_response::Frame::Chunk(chunk)) =
                slow.message().await.unwrap().unwrap().frame
            {
                received += chunk.len();
            }
        }
        let request =
            DownloadContentRequest { offset: i64::try_from(received).unwrap(), generation: 1, ..wanted("globex", &id) };
        assert!(replica.download_from(request.clone()).await.unwrap().1 == content[received..]);
        replica.upload("globex", &id, "a", b"another").await.unwrap();
        let changed = failure(Code::Aborted, "ETAG_MISMATCH");
        assert_eq!(replica.download_from(request).await.unwrap_err(), changed);
        replica.make("globex", "comes by").await;
        let ended = loop {
            match slow.message().await {
                Ok(Some(_)) => {}
                Ok(None) => panic!("a download that lost its content ended as if it were whole"),
                Err(status) => break status,
            }
        };
        assert_eq!(refusal(&ended), changed);
        assert_eq!(ended.metadata().get("fbs-database").unwrap(), SYSTEM_DATABASE);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_falls_silent_gives_up_his_place_and_nothing_is_held_for_him() {
    let world = World::new().await;
    let replica = world.replica_with("[documents]\ncontent_idle = \"3s\"\n[pool]\nmax_size = 1\n").await;
    let content = noise(40 * PIECE);
    let id = replica.make("globex", "N").await.document_id;
    replica.upload("globex", &id, "a", &content).await.unwrap();
    // A reader and a writer who do nothing, while the database has one connection for all.
    let mut reader = replica.documents().download_content(wanted("globex", &id)).await.unwrap().into_inner();
    reader.message().await.unwrap().unwrap();
    let begun = frames(header("globex", &id, declared("a", &content)), &content, PIECE)[..8].to_vec();
    let mut client = replica.documents();
    let writer = tokio::spawn(async move { client.upload_content(stream::iter(begun).chain(stream::pending())).await });
    soon("the writer is silent", async || match world.stored(SYSTEM_DATABASE).await {
        (2, 44) => Ok(()),
        found => Err(format!("{found:?}")),
    })
    .await;
    replica.make("globex", "not held up").await;
    let busy =
        "SELECT count(*) FROM pg_stat_activity WHERE usename = 'fbs_router' AND state LIKE 'idle in transaction%'";
    assert_eq!(world.count("postgres", busy).await, 0);
    let silent = failure(Code::DeadlineExceeded, "DEADLINE_EXCEEDED");
    assert_eq!(refusal(&writer.await.unwrap().unwrap_err()), silent);
    world.only(SYSTEM_DATABASE, (1, 40)).await;
    // The reader was silent for longer. He is told so when he comes back, and not that this was all.
    let ended = loop {
        match reader.message().await {
            Ok(Some(_)) => {}
            Ok(None) => break Ok(()),
            Err(status) => break Err(refusal(&status)),
        }
    };
    assert_eq!(ended.unwrap_err(), silent);
    drop(reader);
    nothing_is_left(&world.platform.cluster, &[&replica]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_transfer_outlasts_the_deadline_of_other_calls_and_keeps_its_own() {
    let world = World::new().await;
    let replica = world.replica_with("[deadline]\ndefault = \"2s\"\nmax = \"5s\"\n").await;
    let id = replica.make("globex", "N").await.document_id;
    let content = noise(1_000);
    let all = frames(header("globex", &id, declared("a", &content)), &content, 100);
    let slowly = |frames: Vec<UploadContentRequest>| {
        stream::iter(frames).then(|frame| async {
            tokio::time::sleep(Duration::from_millis(250)).await;
            frame
        })
    };
    // Eleven frames take longer than the default of a call without a deadline.
    replica.documents().upload_content(slowly(all.clone())).await.unwrap();
    let mut hurried = tonic::Request::new(slowly(all));
    hurried.set_timeout(Duration::from_millis(600));
    let status = replica.documents().upload_content(hurried).await.unwrap_err();
    assert!([Code::DeadlineExceeded, Code::Cancelled].contains(&status.code()), "{status:?}");
    world.only(SYSTEM_DATABASE, (1, 1)).await;
}
