//! Content: what comes is stored whole or not at all, and comes back byte by byte.

use std::time::Duration;

use fbs_router_proto::document::v1::{
    Content, CreateDocumentRequest, Document, DocumentType, DownloadContentRequest, UploadContentRequest,
    upload_content_request::Header,
};
use fbs_router_sandbox::{
    platform::{ACME_DATABASE, SYSTEM_DATABASE},
    soon,
};
use futures_util::{StreamExt, stream};
use tonic::Code;

use crate::support::{
    Replica, World,
    asking::{Refusal, approval, creation, definition, deletion, refusal, request_id, retitle, submission, undeletion},
    draft, failure,
    residue::nothing_is_left,
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
async fn what_is_not_as_declared_is_refused_with_its_reason_and_leaves_nothing() {
    let world = World::new().await;
    let replica = world.replica().await;
    let bytes = noise(PIECE + 10);
    for (solution, database) in [("acme_corp", ACME_DATABASE), ("globex", SYSTEM_DATABASE)] {
        let document = replica.make(solution, "N").await;
        let id = document.document_id.as_str();
        let right = || header(solution, id, declared("a.pdf", &bytes));
        let with = |change: &dyn Fn(&mut Content)| {
            let mut content = declared("a.pdf", &bytes);
            change(&mut content);
            frames(header(solution, id, content), &bytes, 50_000)
        };
        let long = "x".repeat(256);
        let cases: Vec<(&str, Vec<UploadContentRequest>)> = vec![
            ("FIELD_INVALID", with(&|content| content.filename = "../x".into())),
            ("FIELD_INVALID", with(&|content| content.filename = "a\0b".into())),
            ("FIELD_INVALID", with(&|content| content.filename.clone_from(&long))),
            ("FIELD_INVALID", with(&|content| content.media_type = "text/html\r\nX: y".into())),
            ("FIELD_INVALID", with(&|content| content.sha256 = vec![0; 31])),
            ("FIELD_INVALID", with(&|content| content.size_bytes = -1)),
            ("FIELD_INVALID", vec![first(Header { content: None, ..right() })]),
            ("SOLUTION_INVALID", vec![first(Header { solution: "Bad".into(), ..right() })]),
            ("CONTENT_INVALID", with(&|content| content.size_bytes = i64::MAX)),
            ("CONTENT_INVALID", vec![]),
            ("CONTENT_INVALID", vec![chunk(&bytes)]),
            ("CONTENT_INVALID", vec![UploadContentRequest { frame: None }]),
            ("CONTENT_INVALID", vec![first(right()), first(right())]),
            ("CONTENT_INVALID", vec![first(right()), chunk(&bytes[..9]), chunk(&[])]),
            ("CONTENT_INVALID", vec![first(right()), chunk(&vec![0; 1024 * 1024 + 1])]),
            ("CONTENT_INVALID", vec![first(right()), chunk(&vec![0; 4 * 1024 * 1024 + 1])]),
            ("CONTENT_INVALID", vec![first(right()), UploadContentRequest { frame: None }]),
            ("CHECKSUM_MISMATCH", with(&|content| content.sha256[31] ^= 1)),
            ("CHECKSUM_MISMATCH", with(&|content| content.size_bytes -= 1)),
            ("CHECKSUM_MISMATCH", with(&|content| content.size_bytes += 1)),
            ("CHECKSUM_MISMATCH", vec![first(right())]),
        ];
        for (index, (reason, sent)) in cases.into_iter().enumerate() {
            assert_eq!(replica.fails(sent).await, invalid(reason), "case {index}");
        }
        let unknown = header(solution, "0190b0a0-0000-7000-8000-00000000dead", declared("a.pdf", &bytes));
        assert_eq!(replica.fails(vec![first(unknown)]).await, failure(Code::NotFound, "DOCUMENT_NOT_FOUND"));
        let stale = Header { etag: "stale".into(), ..right() };
        assert_eq!(replica.fails(vec![first(stale)]).await, failure(Code::Aborted, "ETAG_MISMATCH"));
        let elsewhere = Header { database: "elsewhere".into(), ..right() };
        assert_eq!(replica.fails(vec![first(elsewhere)]).await, failure(Code::FailedPrecondition, "DATABASE_MISMATCH"));
        let none = replica.download(solution, id).await.unwrap_err();
        assert_eq!(none, failure(Code::NotFound, "CONTENT_NOT_FOUND"));
        assert_eq!(replica.read(solution, id).await.unwrap(), document, "nothing has changed");
        world.only(database, (0, 0)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_cut_at_any_chunk_is_never_visible_and_leaves_nothing() {
    let world = World::new().await;
    let replica = world.replica().await;
    let bytes = noise(5 * PIECE);
    for (solution, database) in [("acme_corp", ACME_DATABASE), ("globex", SYSTEM_DATABASE)] {
        let document = replica.make(solution, "N").await;
        let id = document.document_id.as_str();
        let before = replica.upload(solution, id, "before", b"what was there").await.unwrap();
        let all = frames(header(solution, id, declared("after", &bytes)), &bytes, 300_000);
        for cut in 1..all.len() {
            // The caller sends so much, waits for what never comes, and leaves.
            let begun = stream::iter(all[..cut].to_vec()).chain(stream::pending());
            let mut client = replica.documents();
            let call = tokio::spawn(async move { client.upload_content(begun).await });
            if cut > 4 {
                soon("some of it is stored", async || match world.stored(database).await {
                    (2, pieces) if pieces > 1 => Ok(()),
                    found => Err(format!("{found:?}")),
                })
                .await;
            }
            call.abort();
            assert_eq!(replica.read(solution, id).await.unwrap(), before, "cut after {cut} frames");
            assert_eq!(replica.download(solution, id).await.unwrap().1, b"what was there");
            world.only(database, (1, 1)).await;
        }
        replica.send_frames(all).await.unwrap();
        assert!(replica.download(solution, id).await.unwrap().1 == bytes);
    }
}

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
async fn a_content_that_became_visible_stays_whoever_left_meanwhile() {
    let world = World::new().await;
    let replica = world.replica().await;
    // The transaction that makes it visible takes its time.
    let slow = "CREATE SCHEMA slow; CREATE FUNCTION slow.down() RETURNS trigger LANGUAGE plpgsql \
                AS 'BEGIN PERFORM pg_sleep(0.2); RETURN NEW; END'; GRANT USAGE ON SCHEMA slow TO PUBLIC; \
                CREATE TRIGGER slow AFTER UPDATE ON fbs_document.document FOR EACH ROW EXECUTE FUNCTION slow.down()";
    for (solution, database) in [("acme_corp", ACME_DATABASE), ("globex", SYSTEM_DATABASE)] {
        let id = replica.make(solution, "N").await.document_id;
        world.run(database, slow).await;
        let content = noise(3 * PIECE);
        let all = frames(header(solution, &id, declared("a", &content)), &content, PIECE);
        let mut client = replica.documents();
        let call = tokio::spawn(async move { client.upload_content(stream::iter(all)).await });
        let at_work = "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'PgSleep'";
        soon("it is made visible", async || match world.count("postgres", at_work).await {
            1 => Ok(()),
            count => Err(count),
        })
        .await;
        call.abort();
        soon("it is visible", async || match replica.read(solution, &id).await.unwrap().content {
            Some(content) => Ok(content),
            None => Err("not yet"),
        })
        .await;
        // Whatever follows from the caller's leaving has been asked for before this.
        assert_eq!(replica.health("liveness").await.unwrap(), 1);
        for _ in 0..3 {
            replica.make(solution, "comes by").await;
            assert!(replica.download(solution, &id).await.unwrap().1 == content);
        }
        assert_eq!(world.stored(database).await, (1, 3));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_is_remembered_no_longer_than_other_requests() {
    let world = World::new().await;
    let replica = world.replica_with("[documents]\nrequest_id_ttl = \"1s\"\n").await;
    let id = replica.make("globex", "N").await.document_id;
    let header = Header { request_id: request_id(), ..header("globex", &id, declared("a", b"x")) };
    replica.send_frames(frames(header.clone(), b"x", 1)).await.unwrap();
    soon("the request is forgotten", async || {
        let again = replica.send_frames(frames(header.clone(), b"x", 1)).await.unwrap();
        match again.content.unwrap().generation {
            2 => Ok(()),
            generation => Err(generation),
        }
    })
    .await;
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

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_repeated_with_its_request_id_happens_once_and_need_not_be_sent_again() {
    let world = World::new().await;
    let replicas = [world.replica().await, world.replica().await];
    let content = noise(2 * PIECE);
    for (solution, database) in [("acme_corp", ACME_DATABASE), ("globex", SYSTEM_DATABASE)] {
        let id = replicas[0].make(solution, "N").await.document_id;
        let header = Header { request_id: request_id(), ..header(solution, &id, declared("a", &content)) };
        let calls = (0..6).map(|number| replicas[number % 2].send_frames(frames(header.clone(), &content, 200_000)));
        for answer in futures_util::future::join_all(calls).await {
            assert_eq!(answer.unwrap().content.unwrap().generation, 1);
        }
        world.only(database, (1, 2)).await;
        // Answered from the header alone.
        let (sender, receiver) = tokio::sync::mpsc::channel::<UploadContentRequest>(1);
        sender.send(first(header.clone())).await.unwrap();
        let answer = replicas[1].documents().upload_content(received(receiver)).await.unwrap().into_inner();
        assert_eq!(answer.document.unwrap().content.unwrap().generation, 1);
        drop(sender);
        let other = Header { content: Some(declared("b", &content)), ..header };
        assert_eq!(replicas[0].fails(vec![first(other)]).await, invalid("REQUEST_ID_REUSED"));
    }
}

/// Its etag is not current any more: the upload that it repeats made another.
#[tokio::test(flavor = "multi_thread")]
async fn an_upload_repeated_while_the_first_is_being_committed_is_done_and_not_refused() {
    let world = World::new().await;
    let replicas = [world.replica().await, world.replica().await];
    let document = replicas[0].make("globex", "N").await;
    let owner = world.platform.cluster.connect(SYSTEM_DATABASE).await.unwrap();
    let hold = "CREATE FUNCTION public.hold() RETURNS trigger LANGUAGE plpgsql AS
                    $$ BEGIN PERFORM pg_advisory_xact_lock(1); RETURN NULL; END $$;
                CREATE CONSTRAINT TRIGGER hold AFTER INSERT ON fbs_router.audit
                    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION public.hold();
                SELECT pg_advisory_lock(1)";
    owner.batch_execute(hold).await.unwrap();
    let waits = async |what: &str| {
        let waiting = format!("SELECT count(*) FROM pg_locks WHERE locktype = '{what}' AND NOT granted");
        soon(&format!("somebody waits for {what}"), async || match world.count(SYSTEM_DATABASE, &waiting).await {
            1 => Ok(()),
            count => Err(count),
        })
        .await;
    };
    let header = Header {
        request_id: request_id(),
        etag: document.etag.clone(),
        ..header("globex", &document.document_id, declared("a", b"x"))
    };
    let upload = |replica: usize| replicas[replica].send_frames(frames(header.clone(), b"x", 1));
    let again = async {
        waits("advisory").await;
        let release = async {
            // For the row, which the first has changed.
            waits("transactionid").await;
            owner.batch_execute("SELECT pg_advisory_unlock(1)").await.unwrap();
        };
        tokio::join!(upload(1), release).0
    };
    let (first, again) = tokio::join!(upload(0), again);
    assert_eq!(first.unwrap(), again.unwrap());
    world.only(SYSTEM_DATABASE, (1, 1)).await;
}

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
    let replica = world.replica_with("[documents]\ncontent_idle = \"1s\"\n[pool]\nmax_size = 1\n").await;
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
    let replica = world.replica_with("[deadline]\ndefault = \"500ms\"\nmax = \"5s\"\n").await;
    let id = replica.make("globex", "N").await.document_id;
    let content = noise(1_000);
    let all = frames(header("globex", &id, declared("a", &content)), &content, 100);
    let slowly = |frames: Vec<UploadContentRequest>| {
        stream::iter(frames).then(|frame| async {
            tokio::time::sleep(Duration::from_millis(100)).await;
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

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_whose_caller_leaves_while_it_is_begun_leaves_nothing() {
    let world = World::new().await;
    let replica = world.replica().await;
    let document = replica.make("globex", "N").await;
    let witness = "CREATE SCHEMA witness; CREATE TABLE witness.begun (content_id uuid); \
                   CREATE FUNCTION witness.note() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER \
                   AS 'BEGIN INSERT INTO witness.begun VALUES (NEW.content_id); PERFORM pg_sleep(0.2); RETURN NEW; END'; \
                   CREATE TRIGGER note AFTER INSERT ON fbs_document.content FOR EACH ROW EXECUTE FUNCTION witness.note()";
    world.run(SYSTEM_DATABASE, witness).await;
    let mut other = world.platform.cluster.connect(SYSTEM_DATABASE).await.unwrap();
    for round in 1..=5 {
        // The transaction that begins it waits for somebody else's lock, and takes its time then.
        let held = other.transaction().await.unwrap();
        held.batch_execute("SELECT pg_advisory_xact_lock(fbs_router.solution_lock('globex'))").await.unwrap();
        let header = header("globex", &document.document_id, declared("a", b"x"));
        let begun = stream::iter([first(header)]).chain(stream::pending());
        let mut client = replica.documents();
        let call = tokio::spawn(async move { client.upload_content(begun).await });
        let waiting = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted";
        soon("it waits", async || match world.count(SYSTEM_DATABASE, waiting).await {
            1 => Ok(()),
            count => Err(count),
        })
        .await;
        call.abort();
        // On the same connection, so answered after the service has seen that the caller left.
        assert_eq!(replica.health("liveness").await.unwrap(), 1);
        held.commit().await.unwrap();
        // What was begun after all is removed.
        soon("it was begun", async || match world.count(SYSTEM_DATABASE, "SELECT count(*) FROM witness.begun").await {
            count if count == round => Ok(()),
            count => Err(count),
        })
        .await;
        world.only(SYSTEM_DATABASE, (0, 0)).await;
    }
}
