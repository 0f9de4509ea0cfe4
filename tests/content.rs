//! Content: what comes is stored whole or not at all, and comes back byte by byte.

mod downloads;
mod leftovers;
mod uploads;

use fbs_router_proto::document::v1::{
    Content, Document, DocumentType, DownloadContentRequest, UploadContentRequest, upload_content_request::Header,
};
use fbs_router_sandbox::{
    platform::{ACME_DATABASE, SYSTEM_DATABASE},
    soon,
};
use futures_util::stream;
use tonic::Code;

use crate::support::{
    Replica, World,
    asking::{Refusal, approval, creation, definition, deletion, refusal, retitle, submission, undeletion},
    draft, failure,
    transfers::{chunk, declared, first, frames, header, noise, wanted},
};

const PIECE: usize = 256 * 1024;

impl World {
    /// Rows of contents and their pieces, visible or not.
    async fn stored(&self, database: &str) -> (i64, i64) {
        let contents = self.count(database, "SELECT count(*) FROM fbs_document.content").await;
        (contents, self.count(database, "SELECT count(*) FROM fbs_document.content_chunk").await)
    }

    /// Nothing is left of failed uploads.
    async fn only(&self, database: &str, expected: (i64, i64)) {
        soon("what failed is removed", async || match self.stored(database).await {
            found if found == expected => Ok(()),
            found => Err(format!("{found:?}")),
        })
        .await;
    }
}

impl Replica {
    async fn fails(&self, frames: Vec<UploadContentRequest>) -> Refusal {
        refusal(&self.send_frames(frames).await.unwrap_err())
    }
}

/// Frames as they come out of a channel.
fn received(
    receiver: tokio::sync::mpsc::Receiver<UploadContentRequest>,
) -> impl stream::Stream<Item = UploadContentRequest> {
    stream::unfold(receiver, |mut receiver| async { receiver.recv().await.map(|frame| (frame, receiver)) })
}

fn invalid(reason: &str) -> Refusal {
    failure(Code::InvalidArgument, reason)
}

#[tokio::test(flavor = "multi_thread")]
async fn content_of_every_size_comes_back_byte_by_byte_from_its_own_database() {
    let world = World::new().await;
    let replica = world.replica().await;
    let bytes = noise(3 * PIECE + 1);
    for (solution, database) in [("acme_corp", ACME_DATABASE), ("globex", SYSTEM_DATABASE)] {
        let document = replica.make(solution, "N").await;
        let id = document.document_id.as_str();
        let mut before = document.clone();
        let sizes = [0, 1, PIECE - 1, PIECE, PIECE + 1, 2 * PIECE, 3 * PIECE + 1];
        for (generation, size) in (1_i64..).zip(sizes) {
            let content = &bytes[..size];
            let stored = replica.upload(solution, id, "Rechnung Ü.pdf", content).await.unwrap();
            let expected = Content { generation, ..declared("Rechnung Ü.pdf", content) };
            assert_eq!(stored.content, Some(expected.clone()));
            assert_ne!(stored.etag, before.etag, "a change of content is a change of the document");
            assert_eq!(replica.read(solution, id).await.unwrap(), stored);
            let (header, found) = replica.download(solution, id).await.unwrap();
            assert_eq!(header, expected);
            assert!(found == content, "{size}");
            before = stored;
        }
        // Frames of one byte, of the largest size, and none that fits anything.
        for size in [1, 1024 * 1024, 99_991] {
            let content = if size == 1 { &bytes[..3_000] } else { &bytes[..] };
            let header = header(solution, id, declared("a", content));
            replica.send_frames(frames(header, content, size)).await.unwrap();
            assert!(replica.download(solution, id).await.unwrap().1 == content, "frames of {size}");
        }
        // From anywhere, and not beyond the end.
        let size = i64::try_from(bytes.len()).unwrap();
        let piece = i64::try_from(PIECE).unwrap();
        for offset in [0, 1, piece - 1, piece, piece + 1, size - 1, size] {
            let request = DownloadContentRequest { offset, generation: 10, ..wanted(solution, id) };
            let (_, rest) = replica.download_from(request).await.unwrap();
            assert!(rest == bytes[usize::try_from(offset).unwrap()..], "{offset}");
        }
        for offset in [size + 1, -1] {
            let request = DownloadContentRequest { offset, ..wanted(solution, id) };
            assert_eq!(replica.download_from(request).await.unwrap_err(), invalid("FIELD_INVALID"));
        }
        // Of all that was replaced nothing is left, once other writes have come by.
        for _ in 0..3 {
            replica.make(solution, "comes by").await;
        }
        world.only(database, (1, 4)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_type_says_which_files_its_documents_may_have() {
    let world = World::new().await;
    let replica = world.replica().await;
    for solution in ["acme_corp", "globex"] {
        let rules = DocumentType {
            code: "scan".into(),
            name: "Scan".into(),
            allowed_extensions: vec!["pdf".into(), "png".into()],
            max_content_size_bytes: 10,
            ..DocumentType::default()
        };
        replica.ask_put_type(definition(solution, rules)).await.unwrap();
        let scan = creation(solution, Document { document_type: "scan".into(), ..draft("N") });
        let id = replica.ask_create(scan).await.unwrap().document_id;
        for (filename, size, taken) in
            [("a.pdf", 10, true), ("A.PNG", 0, true), ("a.exe", 1, false), ("pdf", 1, false), ("a.pdf", 11, false)]
        {
            let outcome = replica.upload(solution, &id, filename, &vec![7; size]).await;
            match outcome {
                Ok(_) => assert!(taken, "{filename} {size}"),
                Err(refused) => assert_eq!((taken, refused), (false, invalid("CONTENT_NOT_ALLOWED")), "{filename}"),
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn rules_that_change_while_content_comes_hold_for_it() {
    let world = World::new().await;
    let replica = world.replica().await;
    let scan = creation("globex", Document { document_type: "scan".into(), ..draft("N") });
    let id = replica.ask_create(scan).await.unwrap().document_id;
    let (sender, receiver) = tokio::sync::mpsc::channel(1);
    let mut client = replica.documents();
    let call = tokio::spawn(async move { client.upload_content(received(receiver)).await });
    sender.send(first(header("globex", &id, declared("a.exe", b"x")))).await.unwrap();
    soon("the upload has begun", async || match world.stored(SYSTEM_DATABASE).await {
        (1, 0) => Ok(()),
        found => Err(format!("{found:?}")),
    })
    .await;
    let rules = DocumentType {
        code: "scan".into(),
        name: "Scan".into(),
        allowed_extensions: vec!["pdf".into()],
        ..DocumentType::default()
    };
    replica.ask_put_type(definition("globex", rules)).await.unwrap();
    sender.send(chunk(b"x")).await.unwrap();
    drop(sender);
    assert_eq!(refusal(&call.await.unwrap().unwrap_err()), invalid("CONTENT_NOT_ALLOWED"));
    world.only(SYSTEM_DATABASE, (0, 0)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn content_changes_only_where_its_document_may_be_edited() {
    let world = World::new().await;
    let replica = world.replica().await;
    let document = replica.make("globex", "N").await;
    let id = document.document_id.as_str();
    let first_content = replica.upload("globex", id, "a", b"first").await.unwrap();
    let stale = header("globex", id, declared("a", b"second"));
    let stale = Header { etag: document.etag.clone(), ..stale };
    assert_eq!(replica.fails(frames(stale, b"second", 9)).await, failure(Code::Aborted, "ETAG_MISMATCH"));
    let pending = replica.ask_submit(submission("globex", id)).await.unwrap();
    assert_eq!(pending.content, first_content.content, "a step leaves it alone");
    let refused = replica.upload("globex", id, "a", b"second").await.unwrap_err();
    assert_eq!(refused, failure(Code::FailedPrecondition, "DOCUMENT_NOT_EDITABLE"));
    replica.ask_approve(approval(&pending, "")).await.unwrap();
    assert_eq!(replica.download("globex", id).await.unwrap().1, b"first");
    // Deleted, it is neither read nor changed; taken back, it has its content again.
    replica.ask_delete(deletion("globex", id)).await.unwrap();
    let gone = failure(Code::NotFound, "DOCUMENT_NOT_FOUND");
    assert_eq!(replica.download("globex", id).await.unwrap_err(), gone);
    assert_eq!(replica.upload("globex", id, "a", b"second").await.unwrap_err(), gone);
    replica.ask_undelete(undeletion("globex", id)).await.unwrap();
    assert_eq!(replica.download("globex", id).await.unwrap().1, b"first");
    // Another solution with the same id has its own.
    let twin = fbs_router_proto::document::v1::CreateDocumentRequest {
        document_id: id.to_owned(),
        ..creation("initech", draft("N"))
    };
    replica.ask_create(twin).await.unwrap();
    let none = replica.download("initech", id).await.unwrap_err();
    assert_eq!(none, failure(Code::NotFound, "CONTENT_NOT_FOUND"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_document_edited_while_its_content_comes_keeps_the_one_it_had_if_the_caller_insists() {
    let world = World::new().await;
    let replica = world.replica().await;
    let document = replica.make("globex", "N").await;
    let id = document.document_id.as_str();
    for insists in [true, false] {
        let etag = replica.read("globex", id).await.unwrap().etag;
        let content = noise(PIECE);
        let header = header("globex", id, declared("a", &content));
        let header = Header { etag: if insists { etag } else { String::new() }, ..header };
        let (sender, receiver) = tokio::sync::mpsc::channel(1);
        let mut client = replica.documents();
        let call = tokio::spawn(async move { client.upload_content(received(receiver)).await });
        sender.send(first(header)).await.unwrap();
        soon("the upload has begun", async || match world.stored(SYSTEM_DATABASE).await {
            (1.., _) => Ok(()),
            found => Err(format!("{found:?}")),
        })
        .await;
        replica.ask_update(retitle("globex", id, "meanwhile")).await.unwrap();
        sender.send(chunk(&content)).await.unwrap();
        drop(sender);
        match call.await.unwrap() {
            Ok(_) => assert!(!insists),
            Err(status) => assert_eq!((insists, refusal(&status)), (true, failure(Code::Aborted, "ETAG_MISMATCH"))),
        }
        world.only(SYSTEM_DATABASE, if insists { (0, 0) } else { (1, 1) }).await;
    }
}
