//! A Postgres server, or a process of it, that dies, restarts or stops in its tracks.

use std::sync::atomic::Ordering::Relaxed;

use fbs_router_sandbox::{
    platform::{ACME_DATABASE, SYSTEM_DATABASE},
    soon,
};
use tonic::Code;

use super::{DEDICATED, DOWN, FULL, HASTY, LATE, SYSTEM, UNKNOWN, case};
use crate::support::{
    World,
    asking::retitle,
    failure,
    load::{Load, NOBODY_KNOWS},
    residue::{Quiet, nothing_is_left},
};

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_stopped_or_killed_makes_pairs_unavailable_and_never_moves_them() {
    let (case, replica) = case("").await;
    case.world.snapshot_holds("acme_corp").await;
    let cluster = &case.world.platform.cluster;
    for kill in [false, true] {
        if kill {
            cluster.kill().await.unwrap()
        } else {
            cluster.stop().await.unwrap()
        }
        for solution in [("acme_corp", &case.acme), ("globex", &case.globex)] {
            for outcome in replica.calls(solution.0, solution.1).await {
                assert_eq!(outcome, Err(failure(DOWN.0, DOWN.1)));
            }
        }
        assert_eq!(replica.place("acme_corp").await.as_deref(), Ok(DEDICATED));
        assert_eq!(replica.place("globex").await.as_deref(), Ok(SYSTEM));
        let first_write = replica.create("initech", "first").await.map(|answer| answer.database);
        assert_eq!(first_write, Err(failure(UNKNOWN.0, UNKNOWN.1)));
        assert_eq!(replica.health("").await.unwrap(), 1, "a server's fault is not the process's");
        cluster.start_again().await.unwrap();
        soon("globex is served again", async || match replica.get("globex", &case.globex).await {
            Ok(_) => Ok(()),
            Err(error) => Err(format!("{error:?}")),
        })
        .await;
        assert_eq!(replica.get("acme_corp", &case.acme).await.unwrap().database, ACME_DATABASE);
        assert_eq!(case.leaked().await, 0);
    }

    // Restarted while it is down, nothing can be scanned: not ready, and nothing is guessed.
    cluster.kill().await.unwrap();
    let replica = replica.restart_unready().await;
    for solution in [("acme_corp", &case.acme), ("globex", &case.globex)] {
        for outcome in replica.calls(solution.0, solution.1).await {
            assert_eq!(outcome, Err(failure(UNKNOWN.0, UNKNOWN.1)));
        }
    }
    assert_eq!(replica.health("").await.unwrap(), 2);
    assert_eq!(replica.health("liveness").await.unwrap(), 1);
    cluster.start_again().await.unwrap();
    case.acme_recovers(&replica).await;
    case.globex_is_served(&replica).await;
    soon("it is ready", async || match replica.health("").await {
        Ok(1) => Ok(()),
        other => Err(format!("{other:?}")),
    })
    .await;
}

/// Refusals of a server that comes and goes: down, the ledger with it, too many who wait, too late, and a COMMIT under way.
const BROKEN: &[(Code, &str)] = &[DOWN, UNKNOWN, FULL, LATE, NOBODY_KNOWS];
/// Shorter than callers' patience, so that it is the service that answers.
const PROMPT: &str = "[deadline]\nmax = \"4s\"\ndefault = \"4s\"\n";

/// Calls of both solutions while `fault` happens four times (a task that leaks with each shows): refused as a broken server is, served again by themselves, nothing
/// acknowledged lost, nothing left.
async fn four_times(fault: impl AsyncFn(&World, &Load<'_>)) {
    let world = World::new().await;
    let replica = world.replica_with(PROMPT).await;
    let load = Load::new(&replica, &["acme_corp", "globex"]).await;
    let quiet = Quiet::of(&replica).await;
    let story = async {
        load.enough(&[]).await;
        for _ in 0..4 {
            load.allow(BROKEN);
            fault(&world, &load).await;
            assert_eq!(replica.place("acme_corp").await.as_deref(), Ok(DEDICATED));
            load.enough(&[]).await;
            load.allow(&[]);
            load.enough(&[]).await;
        }
        load.over.store(true, Relaxed);
    };
    tokio::join!(load.go_on(), story);
    load.is_accounted_for(&world.platform.cluster, home).await;
    assert_eq!(world.system_rows("acme_corp").await, 0);
    quiet.returns(&world.platform.cluster, &replica).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backend_that_crashes_ends_all_sessions_and_everybody_is_served_again() {
    let postmasters = std::sync::Mutex::new(Vec::new());
    four_times(async |world, _| {
        let cluster = &world.platform.cluster;
        let [pid, ..] = backends(world, ACME_DATABASE).await[..] else { panic!("nobody is connected") };
        cluster.kill_backend(pid).await.unwrap();
        soon("the sessions of that time are over", async || match backends(world, ACME_DATABASE).await {
            now if now.contains(&pid) => Err(format!("{now:?}")),
            _ => Ok(()),
        })
        .await;
        let postmaster = cluster.postmaster().await.unwrap();
        postmasters.lock().unwrap().push(postmaster);
    })
    .await;
    let postmasters = postmasters.into_inner().unwrap();
    assert_eq!(postmasters[0], postmasters[1], "it was Postgres that recovered, nobody started it again");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_restarted_under_load_is_used_again_without_a_word() {
    four_times(async |world, load| {
        world.platform.cluster.stop().await.unwrap();
        load.enough(&["acme_corp", "globex"]).await;
        world.platform.cluster.start_again().await.unwrap();
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sessions_that_are_ended_under_load_cost_at_most_the_commits_that_were_on_their_way() {
    four_times(async |world, load| {
        // Calls that had not begun notice nothing; lookups and lists are read again.
        load.allow(&[NOBODY_KNOWS, DOWN]);
        for _ in 0..3 {
            load.enough(&[]).await;
            for database in [ACME_DATABASE, SYSTEM_DATABASE] {
                world.platform.implementer().end_sessions(database).await.unwrap();
            }
        }
    })
    .await;
}

/// Ended while it waits in its statement: a write that had not come to its COMMIT is begun anew within the call.
#[tokio::test(flavor = "multi_thread")]
async fn a_session_ended_at_work_is_replaced_within_the_call() {
    let (case, replica) = case("").await;
    replica.get("acme_corp", &case.acme).await.unwrap();
    for database in [ACME_DATABASE, SYSTEM_DATABASE] {
        case.world.platform.implementer().end_sessions(database).await.unwrap();
    }
    for outcome in replica.calls("acme_corp", &case.acme).await {
        assert_eq!(outcome.as_deref(), Ok(ACME_DATABASE), "idle sessions are nobody's trouble");
    }
    case.globex_is_served(&replica).await;

    let holder = case.world.platform.cluster.connect(ACME_DATABASE).await.unwrap();
    let hold = format!("BEGIN; SELECT FROM fbs_document.document WHERE document_id = '{}' FOR UPDATE", case.acme);
    holder.batch_execute(&hold).await.unwrap();
    let ending = async {
        let waiting = async |but: Option<u32>| {
            soon("the write waits for the row", async || {
                let sql = "SELECT pid FROM pg_stat_activity WHERE application_name = 'fbs-router' AND wait_event_type = 'Lock'";
                match pids(&case.world, sql).await[..] {
                    [pid] if Some(pid) != but => Ok(pid),
                    ref other => Err(format!("{other:?}")),
                }
            })
            .await
        };
        let first = waiting(None).await;
        let end = format!("SELECT pg_terminate_backend({first}, 5000)::int::bigint");
        assert_eq!(case.count("postgres", &end).await, 1);
        waiting(Some(first)).await;
        holder.batch_execute("ROLLBACK").await.unwrap();
    };
    let (outcome, ()) = tokio::join!(replica.ask_update(retitle("acme_corp", &case.acme, "after all")), ending);
    assert_eq!(outcome.unwrap().title, "after all");
    let changes = "SELECT count(*) FROM fbs_router.audit WHERE action = 'UpdateDocument'";
    assert_eq!(case.count(ACME_DATABASE, changes).await, 1);
    nothing_is_left(&case.world.platform.cluster, &[&replica]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_stands_still_is_answered_for_within_the_deadline_and_goes_on() {
    let (case, replica) = case(HASTY).await;
    let cluster = &case.world.platform.cluster;
    cluster.freeze().await.unwrap();
    // First on idle connections, then on new ones.
    for _ in 0..2 {
        for (solution, id) in [("acme_corp", &case.acme), ("globex", &case.globex)] {
            for outcome in replica.calls(solution, id).await {
                let error = outcome.expect_err("nobody answers");
                assert!([DOWN, LATE, UNKNOWN].iter().any(|one| failure(one.0, one.1) == error), "{error:?}");
            }
        }
    }
    assert_eq!(replica.place("acme_corp").await.as_deref(), Ok(DEDICATED));
    assert_eq!(replica.health("liveness").await.unwrap(), 1);
    cluster.thaw().await.unwrap();
    case.acme_recovers(&replica).await;
    case.globex_is_served(&replica).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_that_stands_still_costs_its_own_call_and_is_left() {
    let (case, replica) = case(HASTY).await;
    let cluster = &case.world.platform.cluster;
    replica.get("acme_corp", &case.acme).await.unwrap();
    for pid in backends(&case.world, ACME_DATABASE).await {
        cluster.freeze_one(pid).await.unwrap();
    }
    soon("others are used", async || match replica.get("acme_corp", &case.acme).await {
        Ok(answer) if answer.database == ACME_DATABASE => Ok(()),
        Err(error) if [DOWN, LATE].iter().any(|one| failure(one.0, one.1) == error) => Err(error.1),
        other => panic!("{other:?}"),
    })
    .await;
    case.globex_is_served(&replica).await;
    assert_eq!(case.leaked().await, 0);
    cluster.thaw().await.unwrap();
    case.acme_recovers(&replica).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_lets_nobody_in_serves_those_who_are_in() {
    let (case, replica) = case(HASTY).await;
    case.world.create_own_database("newco").await;
    replica.create("newco", "N-1").await.unwrap();
    case.world.platform.implementer().end_sessions("djo_newco_db").await.unwrap();
    let cluster = &case.world.platform.cluster;
    cluster.freeze_one(cluster.postmaster().await.unwrap()).await.unwrap();
    // One at a time, on the connection that is open.
    for (solution, id, database) in
        [("acme_corp", &case.acme, ACME_DATABASE), ("globex", &case.globex, SYSTEM_DATABASE)]
    {
        assert_eq!(replica.get(solution, id).await.unwrap().database, database);
    }
    let refused = replica.names("newco").await.unwrap_err();
    assert!([DOWN, LATE].iter().any(|one| failure(one.0, one.1) == refused), "{refused:?}");
    for (solution, id, database) in
        [("acme_corp", &case.acme, ACME_DATABASE), ("globex", &case.globex, SYSTEM_DATABASE)]
    {
        assert_eq!(replica.get(solution, id).await.unwrap().database, database, "who is in is still served");
    }
    cluster.thaw().await.unwrap();
    soon("it lets us in again", async || match replica.names("newco").await {
        Ok(names) if names == ["N-1"] => Ok(()),
        other => Err(format!("{other:?}")),
    })
    .await;
    assert_eq!(case.world.system_rows("newco").await, 0);
    case.acme_recovers(&replica).await;
}

fn home(solution: &str) -> &'static str {
    if solution == "acme_corp" { ACME_DATABASE } else { SYSTEM_DATABASE }
}

/// The router's sessions in a database.
async fn backends(world: &World, database: &str) -> Vec<u32> {
    let sql =
        format!("SELECT pid FROM pg_stat_activity WHERE application_name = 'fbs-router' AND datname = '{database}'");
    pids(world, &sql).await
}

/// None while nobody is let in.
async fn pids(world: &World, sql: &str) -> Vec<u32> {
    let Ok(client) = world.platform.cluster.connect("postgres").await else { return Vec::new() };
    let Ok(rows) = client.query(sql, &[]).await else { return Vec::new() };
    rows.iter().map(|row| row.get::<_, i32>(0).unsigned_abs()).collect()
}
