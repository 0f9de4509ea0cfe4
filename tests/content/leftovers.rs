//! What no document names any more is removed, some at a time.

use fbs_router_proto::document::v1::{CreateDocumentRequest, upload_content_request::Header};
use fbs_router_sandbox::{platform::SYSTEM_DATABASE, soon};
use futures_util::{StreamExt, stream};

use super::PIECE;
use crate::support::{
    World,
    asking::{creation, deletion, request_id},
    draft,
    transfers::{declared, frames, header, noise},
};

#[tokio::test(flavor = "multi_thread")]
async fn what_a_killed_router_leaves_of_an_upload_expires_and_is_removed_in_passing() {
    let world = World::new().await;
    let replica = world.replica().await;
    let bytes = noise(5 * PIECE);
    let document = replica.make("globex", "N").await;
    let all = frames(header("globex", &document.document_id, declared("a", &bytes)), &bytes, PIECE);
    // What a process leaves that ends without a word: rows of an upload that nobody goes on with.
    let begun = stream::iter(all[..6].to_vec()).chain(stream::pending());
    let mut client = replica.documents();
    let call = tokio::spawn(async move { client.upload_content(begun).await });
    soon("some of it is stored", async || match world.stored(SYSTEM_DATABASE).await {
        (1, 4) => Ok(()),
        found => Err(format!("{found:?}")),
    })
    .await;
    world.run(SYSTEM_DATABASE, "ALTER TABLE fbs_document.content DISABLE TRIGGER fence").await;
    let expire = "UPDATE fbs_document.content SET expire_time = now() - interval '1 s'";
    world.run(SYSTEM_DATABASE, expire).await;
    world.run(SYSTEM_DATABASE, "ALTER TABLE fbs_document.content ENABLE TRIGGER fence").await;
    // Another solution's writes leave it alone, its own remove it: pieces first, then the rest.
    replica.make("initech", "another's").await;
    assert_eq!(world.stored(SYSTEM_DATABASE).await, (1, 4));
    replica.make("globex", "comes by").await;
    assert_eq!(world.stored(SYSTEM_DATABASE).await, (1, 0));
    replica.make("globex", "comes by").await;
    assert_eq!(world.stored(SYSTEM_DATABASE).await, (0, 0));
    call.abort();
}

#[tokio::test(flavor = "multi_thread")]
async fn large_files_that_replace_each_other_do_not_pile_up() {
    let world = World::new().await;
    let replica = world.replica().await;
    let id = replica.make("globex", "N").await.document_id;
    // More pieces than one change removes.
    let content = noise(150 * PIECE);
    let mut most = 0;
    for number in 0..8 {
        // With a request, what has expired is asked for before the new one takes the place of the one before.
        let request_id = if number % 2 == 0 { String::new() } else { request_id() };
        let header = Header { request_id, ..header("globex", &id, declared("a", &content)) };
        replica.send_frames(frames(header, &content, 100_000)).await.unwrap();
        most = most.max(world.stored(SYSTEM_DATABASE).await.1);
    }
    assert!(most <= 220, "{most} pieces, of files of 150");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_purged_document_takes_its_content_with_it_some_at_a_time() {
    let world = World::new().await;
    let replica = world.replica_with("[documents]\npurge_after = \"1s\"\n").await;
    // A write that records its request asks what has expired; another one just tries.
    for (solution, recorded) in [("globex", false), ("hooli", true)] {
        let id = replica.make(solution, "N").await.document_id;
        let header = header(solution, &id, declared("a", &noise(1_000)));
        replica.send_frames(frames(header, &noise(1_000), 1_000)).await.unwrap();
        // As many pieces as need more than one write to be removed.
        let many = "INSERT INTO fbs_document.content_chunk SELECT company_id, content_id, 1000 + n, '\\x00' \
                    FROM fbs_document.content, generate_series(1, 149) AS n";
        world.run(SYSTEM_DATABASE, many).await;
        replica.ask_delete(deletion(solution, &id)).await.unwrap();
        soon("the document is purged", async || replica.read(solution, &id).await.map_or(Ok(()), |_| Err("there")))
            .await;
        let mut left = Vec::new();
        for _ in 0..3 {
            let request_id = if recorded { request_id() } else { String::new() };
            let by = CreateDocumentRequest { request_id, ..creation(solution, draft("comes by")) };
            replica.ask_create(by).await.unwrap();
            left.push(world.stored(SYSTEM_DATABASE).await);
        }
        assert_eq!(left, [(1, 50), (1, 0), (0, 0)], "{solution}");
    }
}
