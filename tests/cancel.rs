//! Callers that leave: a write they leave behind happened wholly or not at all, and nothing of theirs stays.

use std::time::Duration;

use fbs_router_proto::document::v1::Document;
use fbs_router_sandbox::{
    platform::{ACME_DATABASE, SYSTEM_DATABASE},
    soon,
};
use futures_util::future::join_all;
use uuid::Uuid;

use crate::support::{Answered, Replica, World};

/// A small pool that is not given up on: what is looked for is a slot that never comes back.
const SMALL: &str = "[pool]\nmax_size = 2\nwait = \"4s\"\n";

/// Microseconds at which a caller leaves: spread over what a call takes, each run at other instants.
fn patience(number: u64) -> Duration {
    Duration::from_micros((number * 7_919 + u64::from(std::process::id())) % 12_000)
}

/// A call that is dropped half-way. True if it was answered before.
pub(crate) async fn leave(replica: &Replica, solution: &str, number: u64, patience: Duration) -> bool {
    let name = format!("C-{number}");
    let call = async {
        match number % 3 {
            0 => drop(replica.names(solution).await),
            1 => drop(replica.create(solution, &name).await),
            _ => drop(replica.create_once(solution, &name, Uuid::new_v4()).await),
        }
    };
    tokio::time::timeout(patience, call).await.is_ok()
}

/// Nothing of those who left is in the server, and nothing is half there.
async fn nothing_stays(world: &World, database: &str, solution: &str) {
    let count = async |sql: &str| world.platform.implementer().count(database, sql).await.unwrap();
    soon("nobody is inside a transaction", async || {
        let inside = count(
            "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'fbs-router' AND state LIKE '%in transaction%'",
        )
        .await;
        let locks = count("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'").await;
        if (inside, locks) == (0, 0) { Ok(()) } else { Err(format!("{inside} inside, {locks} locks")) }
    })
    .await;
    let documents = format!("SELECT count(*) FROM fbs_document.document WHERE company_id = '{solution}'");
    let audited =
        format!("SELECT count(*) FROM fbs_router.audit WHERE company_id = '{solution}' AND action = 'CreateDocument'");
    assert_eq!(count(&documents).await, count(&audited).await, "a document without its audit, or the other way");
    let halves = "SELECT count(*) FROM fbs_router.request_record r
                    FULL JOIN fbs_router.audit a ON a.company_id = r.company_id AND a.request_id = r.request_id
                    LEFT JOIN fbs_document.document d
                      ON d.company_id = r.company_id AND d.document_id = r.document_ids[1] AND d.document_id = a.document_id
                   WHERE coalesce(a.request_id, r.request_id) IS NOT NULL AND d.document_id IS NULL";
    assert_eq!(count(halves).await, 0, "a request record without its document or audit");
}

/// Every slot of the pool is there: as many calls at once as it has, again and again.
async fn slots_are_back(replica: &Replica, solution: &str, database: &str) {
    // Behind those whose callers have left, who are many.
    create_afterwards(replica, solution).await;
    for _ in 0..5 {
        for answer in join_all((0..2).map(|_| replica.create(solution, "after"))).await {
            assert_eq!(answer.unwrap().database, database);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn two_hundred_callers_who_leave_a_warm_solution_leave_nothing_behind() {
    let world = World::new().await;
    let replica = world.replica_with(SMALL).await;
    replica.create("acme_corp", "warm").await.unwrap();
    replica.create("globex", "warm").await.unwrap();
    let calls = (0..200).map(|number| {
        let solution = if number % 4 == 0 { "globex" } else { "acme_corp" };
        leave(&replica, solution, number, patience(number))
    });
    // A few at a time, so that some are cut while they work and not only while they wait.
    let mut answered = 0;
    let mut calls: Vec<_> = calls.collect();
    while !calls.is_empty() {
        let rest = calls.split_off(calls.len().min(5));
        answered += join_all(calls).await.into_iter().filter(|answered| *answered).count();
        calls = rest;
    }
    assert!(answered < 200, "nobody left");
    slots_are_back(&replica, "acme_corp", ACME_DATABASE).await;
    slots_are_back(&replica, "globex", SYSTEM_DATABASE).await;
    nothing_stays(&world, ACME_DATABASE, "acme_corp").await;
    nothing_stays(&world, SYSTEM_DATABASE, "globex").await;
    assert_eq!(world.system_rows("acme_corp").await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn callers_who_leave_while_a_cold_solution_is_found_leave_it_findable() {
    let world = World::new().await;
    let replica = world.replica_with("[pool]\nmax_size = 1\nwait = \"4s\"\n").await;
    // Each time another database that nobody has claimed, taken over by whoever stays.
    for round in 0..6 {
        let solution = format!("newco{round}");
        world.create_own_database(&solution).await;
        let calls = (0..20).map(|number| {
            let (replica, solution) = (&replica, solution.as_str());
            async move {
                let name = format!("C-{number}");
                let patience = patience(number + round * 31) * 8;
                let _ = tokio::time::timeout(patience, replica.create_once(solution, &name, Uuid::new_v4())).await;
            }
        });
        join_all(calls).await;
        let created = create_afterwards(&replica, &solution).await;
        assert_eq!((created.database, created.epoch), (format!("djo_{solution}_db"), 1));
        nothing_stays(&world, &format!("djo_{solution}_db"), &solution).await;
        assert_eq!(world.system_rows(&solution).await, 0);
        let records = format!("SELECT count(*) FROM fbs_router.placement WHERE company_id = '{solution}'");
        assert_eq!(world.platform.implementer().count(SYSTEM_DATABASE, &records).await.unwrap(), 1);
    }
    // And first writes to the system database, which record the pair.
    let calls =
        (0..60).map(|number| leave(&replica, ["s0", "s1", "s2"][number as usize % 3], number, patience(number)));
    join_all(calls).await;
    for solution in ["s0", "s1", "s2"] {
        assert_eq!(create_afterwards(&replica, solution).await.database, SYSTEM_DATABASE);
        nothing_stays(&world, SYSTEM_DATABASE, solution).await;
    }
}

/// A create by somebody who stays. The service may have closed the connection of those who left, who look like a flood of
/// resets on a slow machine; what the service itself answers is the answer.
async fn create_afterwards(replica: &Replica, solution: &str) -> Answered<Document> {
    let request = Uuid::new_v4();
    soon("a call goes through", async || match replica.create_once(solution, "after", request).await {
        Err((code, reason)) if reason.is_empty() || reason == "POOL_EXHAUSTED" => Err(code),
        answer => Ok(answer),
    })
    .await
    .unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_write_goes_on_without_its_caller_and_a_repeat_finds_it() {
    let world = World::new().await;
    let replica = world.replica_with(SMALL).await;
    replica.create("acme_corp", "warm").await.unwrap();
    // Held at the solution's lock, so that the caller leaves in the middle of its transaction.
    let holder = world.platform.cluster.connect(ACME_DATABASE).await.unwrap();
    holder.batch_execute("SELECT pg_advisory_lock(fbs_router.solution_lock('acme_corp'))").await.unwrap();
    let request = Uuid::new_v4();
    {
        let call = replica.create_once("acme_corp", "left behind", request);
        tokio::pin!(call);
        let waiting = soon("it waits for the lock", async || {
            let sql = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted";
            let waiting = world.platform.implementer().count(ACME_DATABASE, sql).await.unwrap();
            if waiting == 1 { Ok(()) } else { Err(waiting) }
        });
        tokio::select! {
            () = waiting => {}
            answer = &mut call => panic!("answered behind the lock: {answer:?}"),
        }
    }
    holder.batch_execute("SELECT pg_advisory_unlock_all()").await.unwrap();
    let sql = "SELECT count(*) FROM fbs_document.document WHERE name = 'left behind'";
    soon("it is done wholly", async || {
        let there = world.platform.implementer().count(ACME_DATABASE, sql).await.unwrap();
        if there == 1 { Ok(()) } else { Err(there) }
    })
    .await;
    let again = replica.create_once("acme_corp", "left behind", request).await.unwrap();
    assert_eq!(again.message.name, "left behind");
    assert_eq!(world.platform.implementer().count(ACME_DATABASE, sql).await.unwrap(), 1);
    nothing_stays(&world, ACME_DATABASE, "acme_corp").await;
}
