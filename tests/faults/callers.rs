//! Callers who leave, many at once.

use std::time::Duration;

use fbs_router_sandbox::{
    platform::{ACME_DATABASE, SYSTEM_DATABASE},
    soon,
};
use futures_util::future::join_all;

use crate::{
    cancel::leave,
    herd::most_sessions,
    support::{Replica, World, residue::Quiet},
};

/// So many at a time on a channel of their own: whoever leaves often enough looks like a flood of resets.
const TOGETHER: u64 = 50;

/// Of one of two solutions, after 0 to 20 ms, each run at other instants.
async fn leave_one(replica: &Replica, number: u64) -> bool {
    let solution = if number.is_multiple_of(4) { "globex" } else { "acme_corp" };
    let patience = Duration::from_micros((number * 7_919 + u64::from(std::process::id())) % 20_000);
    leave(replica, solution, number, patience).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_callers_who_leave_open_no_more_connections_than_there_may_be_and_leave_nothing() {
    const MOST: i64 = 6;
    let world = World::new().await;
    let text = world.configuration(&world.platform.url(), "[pool]\nmax_size = 3\nwait = \"4s\"\n");
    let text = text.replace("max_connections = 60", &format!("max_connections = {MOST}"));
    let replica = Replica::start(&text, &world.snapshot("router")).await;
    for solution in ["acme_corp", "globex"] {
        replica.create(solution, "warm").await.unwrap();
    }
    let quiet = Quiet::of(&replica).await;
    let mut answered = 0;
    let leaving = async {
        for first in (0..1_000).step_by(TOGETHER as usize) {
            let channel = Replica::elsewhere(replica.grpc, replica.ops);
            let calls = (first..first + TOGETHER).map(|number| leave_one(&channel, number));
            answered += join_all(calls).await.into_iter().filter(|answered| *answered).count();
        }
    };
    let (most, _) = most_sessions(&world, ACME_DATABASE, leaving).await;
    assert!(answered < 1_000, "nobody left");
    // Postgres lists a session that was told to end for a moment longer.
    assert!((1..=MOST + 3).contains(&most), "{most} sessions");
    quiet.returns(&world.platform.cluster, &replica).await;
    for (solution, database) in [("acme_corp", ACME_DATABASE), ("globex", SYSTEM_DATABASE)] {
        let halves = format!(
            "SELECT (SELECT count(*) FROM fbs_document.document WHERE company_id = '{solution}')
                  - (SELECT count(*) FROM fbs_router.audit WHERE company_id = '{solution}' AND action = 'CreateDocument')"
        );
        assert_eq!(world.count(database, &halves).await, 0, "a document without its audit, or the other way");
        soon("it is served", async || match replica.create(solution, "after").await {
            Ok(answer) if answer.database == database => Ok(()),
            other => Err(format!("{other:?}")),
        })
        .await;
    }
    assert_eq!(world.system_rows("acme_corp").await, 0);
}
