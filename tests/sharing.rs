//! Lookups in a solution's own database share connections: as if each were alone, for no other solution, whatever happens.

use std::{
    sync::atomic::{AtomicBool, AtomicUsize, Ordering},
    time::Duration,
};

use fbs_router_sandbox::{
    platform::{ACME_DATABASE, SYSTEM_DATABASE},
    soon,
};
use futures_util::future::join_all;
use tonic::Code;

use crate::support::{Replica, World, asking::retitle, failure, residue::nothing_is_left, wire::metrics};

const READERS: usize = 64;

/// So that what is asserted is not how fast this machine is.
const PATIENT: &str = "[pool]\nwait = \"20s\"\ncreate = \"9s\"\n";

async fn together(replica: &Replica) -> f64 {
    metrics(replica.ops).await["fbs_router_lookups_together_total"]
}

/// Reads again and again, many at once, until told to stop. What each answer has to be is `check`'s to say.
async fn readers<F: Future<Output = bool>>(over: &AtomicBool, read: impl Fn(usize) -> F) -> usize {
    let answered = AtomicUsize::new(0);
    join_all((0..READERS).map(|number| {
        let (answered, read) = (&answered, &read);
        async move {
            while !over.load(Ordering::Relaxed) {
                if read(number).await {
                    answered.fetch_add(1, Ordering::Relaxed);
                }
            }
        }
    }))
    .await;
    answered.into_inner()
}

async fn until_together(replica: &Replica, more: f64) {
    let begin = together(replica).await;
    soon("lookups share connections", async || match together(replica).await - begin {
        count if count >= more => Ok(()),
        count => Err(count),
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn many_lookups_use_few_connections_and_each_finds_its_own_solutions_document() {
    let world = World::new().await;
    world.create_own_database("globex").await;
    let replica = world.replica_with(PATIENT).await;
    let mut documents = Vec::new();
    for number in 0..READERS {
        let solution = ["acme_corp", "globex"][number % 2];
        documents.push((solution, replica.make(solution, &format!("{solution}-{number}")).await));
    }
    // Somebody who shares has to find what was written a moment ago, and nothing of the other solution.
    let over = AtomicBool::new(false);
    let reading = readers(&over, |number| {
        let (replica, documents) = (&replica, &documents);
        async move {
            let (solution, document) = &documents[number];
            let answer = replica.get(solution, &document.document_id).await.unwrap();
            assert_eq!(answer.message.name, document.name);
            assert_eq!(answer.database.contains("acme"), *solution == "acme_corp");
            let (_, foreign) = &documents[(number + 1) % READERS];
            let absent = failure(Code::NotFound, "DOCUMENT_NOT_FOUND");
            assert_eq!(replica.get(solution, &foreign.document_id).await.unwrap_err(), absent);
            true
        }
    });
    let watching = async {
        until_together(&replica, 500.0).await;
        let sessions =
            "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'fbs-router' AND datname LIKE 'djo%'";
        let sessions = world.count("postgres", sessions).await;
        // Two for each of two databases; one more each where one ends while the next begins, and those who were first.
        assert!(sessions < 2 * 8, "{sessions} connections");
        for number in 0..20 {
            let (title, (solution, document)) = (format!("title {number}"), &documents[0]);
            replica.ask_update(retitle(solution, &document.document_id, &title)).await.unwrap();
            assert_eq!(replica.get(solution, &document.document_id).await.unwrap().message.title, title);
        }
        over.store(true, Ordering::Relaxed);
    };
    let (answered, ()) = tokio::join!(reading, watching);
    assert!(answered > 300, "{answered}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fence_that_closes_is_seen_by_every_lookup_that_begins_afterwards() {
    let world = World::new().await;
    let replica = world.replica().await;
    let id = replica.make("acme_corp", "A-1").await.document_id;
    // Odd while the fence is closed.
    let (over, turns) = (AtomicBool::new(false), AtomicUsize::new(0));
    let reading = readers(&over, |_| {
        let (replica, id, turns) = (&replica, &id, &turns);
        async move {
            let before = turns.load(Ordering::SeqCst);
            let answer = replica.get("acme_corp", id).await;
            let closed = before % 2 == 1 && turns.load(Ordering::SeqCst) == before;
            assert!(!(closed && answer.is_ok()), "read through a closed fence");
            answer.is_ok()
        }
    });
    let closing = async {
        until_together(&replica, 500.0).await;
        for _ in 0..5 {
            world.run(ACME_DATABASE, "UPDATE fbs_router.fence SET state = 'FROZEN'").await;
            turns.fetch_add(1, Ordering::SeqCst);
            // One after the other, while the transaction that others opened before would still take them.
            for _ in 0..10 {
                assert!(replica.get("acme_corp", &id).await.is_err());
            }
            turns.fetch_add(1, Ordering::SeqCst);
            world.run(ACME_DATABASE, "UPDATE fbs_router.fence SET state = 'ACTIVE'").await;
            until_together(&replica, 100.0).await;
        }
        over.store(true, Ordering::Relaxed);
    };
    let (answered, ()) = tokio::join!(reading, closing);
    assert!(answered > 500, "{answered}");
    assert_eq!(world.rows(SYSTEM_DATABASE, "acme_corp").await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn sessions_that_end_and_callers_who_leave_cost_no_lookup_of_others() {
    let world = World::new().await;
    let replica = world.replica_with(PATIENT).await;
    let id = replica.make("acme_corp", "A-1").await.document_id;
    // Whoever leaves often enough looks like a flood of resets, and loses his connection: not the others' one.
    let leaving = Replica::elsewhere(replica.grpc, replica.ops);
    let over = AtomicBool::new(false);
    let reading = readers(&over, |number| {
        let (replica, leaving, id) = (&replica, &leaving, &id);
        async move {
            if number % 4 == 0 {
                // Gone in the midst of it.
                let patience = Duration::from_micros(300 * (number as u64 % 7));
                let _gone = tokio::time::timeout(patience, leaving.get("acme_corp", id)).await;
                return false;
            }
            assert_eq!(replica.get("acme_corp", id).await.unwrap().database, ACME_DATABASE);
            true
        }
    });
    let ending = async {
        for _ in 0..5 {
            until_together(&replica, 200.0).await;
            world.platform.implementer().end_sessions(ACME_DATABASE).await.unwrap();
        }
        until_together(&replica, 200.0).await;
        over.store(true, Ordering::Relaxed);
    };
    tokio::join!(reading, ending);
    nothing_is_left(&world.platform.cluster, &[&replica]).await;
}
