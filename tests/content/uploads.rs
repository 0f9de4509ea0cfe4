//! Uploads: visible whole or not at all, whoever leaves or repeats.

use fbs_router_proto::document::v1::{Content, UploadContentRequest, upload_content_request::Header};
use fbs_router_sandbox::{
    platform::{ACME_DATABASE, SYSTEM_DATABASE},
    soon,
};
use futures_util::{StreamExt, stream};
use tonic::Code;

use super::{PIECE, invalid, received};
use crate::support::{
    World,
    asking::request_id,
    failure,
    transfers::{chunk, declared, first, frames, header, noise},
};

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

#[tokio::test(flavor = "multi_thread")]
async fn a_content_that_became_visible_stays_whoever_left_meanwhile() {
    let world = World::new().await;
    let replica = world.replica().await;
    // The transaction that makes it visible takes its time.
    let slow = "CREATE SCHEMA slow; CREATE FUNCTION slow.down() RETURNS trigger LANGUAGE plpgsql \
                AS 'BEGIN PERFORM pg_sleep(1); RETURN NEW; END'; GRANT USAGE ON SCHEMA slow TO PUBLIC; \
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
