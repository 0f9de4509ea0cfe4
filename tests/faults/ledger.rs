//! The ledger's database, or every server, out of reach: what is known is served, and nothing is guessed.

use fbs_router_sandbox::{
    Mode,
    platform::{ACME_DATABASE, SYSTEM_DATABASE},
    soon,
};
use tonic::Code;

use super::{Case, DEDICATED, DETACHED, DOWN, RELEASE, UNKNOWN, case};
use crate::support::{Replica, World, failure, residue::nothing_is_left};

#[tokio::test(flavor = "multi_thread")]
async fn the_ledgers_outage_never_stops_a_dedicated_solution_also_over_a_restart() {
    let (case, replica) = case("").await;
    case.world.snapshot_holds("globex").await;
    case.world.snapshot_holds(ACME_DATABASE).await;
    let implementer = case.world.platform.implementer();
    implementer.allow_connections(SYSTEM_DATABASE, false).await.unwrap();
    let acme_is_served = async |replica: &Replica| {
        for outcome in replica.calls("acme_corp", &case.acme).await {
            assert_eq!(outcome.as_deref(), Ok(ACME_DATABASE));
        }
        assert_eq!(replica.place("acme_corp").await.as_deref(), Ok(DEDICATED));
    };
    let globex_fails = async |replica: &Replica, expected: (Code, &str)| {
        for outcome in replica.calls("globex", &case.globex).await {
            assert_eq!(outcome, Err(failure(expected.0, expected.1)));
        }
        let first_write = replica.create("initech", "first").await.map(|answer| answer.database);
        assert_eq!(first_write, Err(failure(UNKNOWN.0, UNKNOWN.1)));
    };
    // From memory.
    acme_is_served(&replica).await;
    globex_fails(&replica, DOWN).await;
    // From the snapshot, confirmed by the fence. A shared solution has no such fence.
    let replica = replica.restart().await;
    acme_is_served(&replica).await;
    globex_fails(&replica, UNKNOWN).await;
    assert_eq!(replica.health("").await.unwrap(), 1);
    // A dedicated database that was away meanwhile comes back although the ledger does not.
    implementer.allow_connections(ACME_DATABASE, false).await.unwrap();
    let replica = replica.restart().await;
    for outcome in replica.calls("acme_corp", &case.acme).await {
        outcome.expect_err("its database is closed");
    }
    implementer.allow_connections(ACME_DATABASE, true).await.unwrap();
    soon("acme_corp is served again", async || match replica.get("acme_corp", &case.acme).await {
        Ok(_) => Ok(()),
        Err(error) => Err(format!("{error:?}")),
    })
    .await;
    acme_is_served(&replica).await;

    implementer.allow_connections(SYSTEM_DATABASE, true).await.unwrap();
    soon("globex is served again", async || match replica.get("globex", &case.globex).await {
        Ok(_) => Ok(()),
        Err(error) => Err(format!("{error:?}")),
    })
    .await;
    case.globex_is_served(&replica).await;
    assert_eq!(case.leaked().await, 0);
    nothing_is_left(&case.world.platform.cluster, &[&replica]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_was_missing_is_served_again_only_after_the_ledger_was_read() {
    let (case, replica) = case("").await;
    let implementer = case.world.platform.implementer();
    implementer.rename(ACME_DATABASE, "elsewhere").await.unwrap();
    soon("it is missed", async || match replica.place("acme_corp").await {
        Err((_, reason)) if reason == DETACHED.1 => Ok(()),
        other => Err(format!("{other:?}")),
    })
    .await;
    // It may be released now: nobody can know.
    implementer.allow_connections(SYSTEM_DATABASE, false).await.unwrap();
    implementer.rename("elsewhere", ACME_DATABASE).await.unwrap();
    soon("it is seen again", async || match replica.place("acme_corp").await {
        Err((_, reason)) if reason == UNKNOWN.1 => Ok(()),
        other => Err(format!("{other:?}")),
    })
    .await;
    case.acme_fails_without_ledger(&replica).await;
    implementer.allow_connections(SYSTEM_DATABASE, true).await.unwrap();
    case.acme_recovers(&replica).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn liveness_is_answered_while_no_server_answers() {
    let world = World::new().await;
    let proxy = world.proxy().await;
    proxy.set(Mode::Hang);
    let url = format!("postgres://fbs_router@127.0.0.1:{}", proxy.port());
    let text = world.configuration(&url, "[routing]\nscan_timeout = \"30s\"\n[pool]\ncreate = \"2s\"\n");
    let replica = Replica::start_unready(&text, &world.snapshot("router")).await;
    assert_eq!(replica.health("liveness").await.unwrap(), 1);
    assert_eq!(replica.health("").await.unwrap(), 2);
    proxy.set(Mode::Forward);
    soon("it is ready", async || match replica.health("").await {
        Ok(1) => Ok(()),
        other => Err(format!("{other:?}")),
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_snapshot_and_ledger_nothing_is_guessed() {
    let (case, replica) = case("[ledger]\nsnapshot = \"\"\n").await;
    let implementer = case.world.platform.implementer();
    implementer.allow_connections(SYSTEM_DATABASE, false).await.unwrap();
    let replica = replica.restart_unready().await;
    for solution in [("acme_corp", &case.acme), ("globex", &case.globex), ("initech", &case.acme)] {
        for outcome in replica.calls(solution.0, solution.1).await {
            assert_eq!(outcome, Err(failure(UNKNOWN.0, UNKNOWN.1)));
        }
        assert_eq!(replica.place(solution.0).await, Err(failure(UNKNOWN.0, UNKNOWN.1)));
    }
    assert_eq!(replica.health("").await.unwrap(), 2);
    implementer.allow_connections(SYSTEM_DATABASE, true).await.unwrap();
    case.acme_recovers(&replica).await;
    case.globex_is_served(&replica).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stale_snapshot_is_not_served_where_the_fence_has_moved_on() {
    // MOVED: released, and seen since. FROZEN: being moved. A later epoch: released and taken again.
    for fence in ["state = 'MOVED', epoch = 2", "state = 'FROZEN'", "epoch = 3"] {
        let (case, replica) = case("").await;
        case.world.snapshot_holds(ACME_DATABASE).await;
        replica.kill().await;
        case.world.in_ledger(RELEASE).await;
        let implementer = case.world.platform.implementer();
        implementer.run(ACME_DATABASE, &format!("UPDATE fbs_router.fence SET {fence}")).await.unwrap();
        implementer.allow_connections(SYSTEM_DATABASE, false).await.unwrap();
        let replica = case.world.replica().await;
        case.acme_fails_without_ledger(&replica).await;
        implementer.allow_connections(SYSTEM_DATABASE, true).await.unwrap();
        if fence.contains("epoch = 3") {
            soon("the conflict is seen", async || match replica.create("acme_corp", "again").await {
                Err((_, reason)) if reason == "PLACEMENT_CONFLICT" => Ok(()),
                other => Err(format!("{other:?}")),
            })
            .await;
        } else {
            // Released: the system database, at the later epoch.
            let created = soon("the release is read", async || {
                replica.create("acme_corp", "again").await.map_err(|error| format!("{error:?}"))
            })
            .await;
            assert_eq!((created.database.as_str(), created.epoch), (SYSTEM_DATABASE, 2));
        }
        assert_eq!(case.count(ACME_DATABASE, "SELECT count(*) FROM fbs_document.document").await, 1, "{fence}");
    }
}

impl Case {
    async fn acme_fails_without_ledger(&self, replica: &Replica) {
        for outcome in replica.calls("acme_corp", &self.acme).await {
            assert_eq!(outcome, Err(failure(UNKNOWN.0, UNKNOWN.1)));
        }
        assert_eq!(replica.place("acme_corp").await, Err(failure(UNKNOWN.0, UNKNOWN.1)));
    }
}
