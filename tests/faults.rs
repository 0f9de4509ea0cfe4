//! A dedicated database that is down, full, renamed, closed, refusing, or behind a link that hangs gives the stated
//! error, nothing of its solution reaches the system database, and it recovers by itself.

use fbs_router_sandbox::{
    Mode,
    platform::{ACME_DATABASE, PASSWORD, SYSTEM_DATABASE},
    soon,
};
use tonic::Code;
use uuid::Uuid;

use crate::support::{Replica, World, failure};

/// `acme_corp` in its own database and `globex` in the system database, with a document each.
struct Case {
    world: World,
    acme: String,
    globex: String,
}

const DEDICATED: &str = "DEDICATED djo_acme_corp_db";
const SYSTEM: &str = "SYSTEM fbs_system_db";

async fn case(extra: &str) -> (Case, Replica) {
    let world = World::new().await;
    let replica = world.replica_with(extra).await;
    let case = documents(world, &replica).await;
    (case, replica)
}

async fn documents(world: World, replica: &Replica) -> Case {
    let acme = replica.create("acme_corp", "A-1").await.unwrap();
    assert_eq!(acme.database, ACME_DATABASE);
    let globex = replica.create("globex", "G-1").await.unwrap();
    assert_eq!(globex.database, SYSTEM_DATABASE);
    soon("the first write's record is read", async || match replica.resolve("globex").await {
        Ok(route) if route.revision > 0 => Ok(()),
        other => Err(format!("{other:?}")),
    })
    .await;
    Case { world, acme: acme.message.document_id, globex: globex.message.document_id }
}

impl Case {
    /// Every call of `acme_corp` fails as one of these, and Resolve answers so.
    async fn acme_fails(&self, replica: &Replica, expected: &[(Code, &str)], place: Result<&str, (Code, &str)>) {
        for outcome in replica.calls("acme_corp", &self.acme).await {
            let error = outcome.expect_err("no call of acme_corp may be served now");
            assert!(expected.iter().any(|one| failure(one.0, one.1) == error), "{error:?}");
        }
        let place = place.map(str::to_owned).map_err(|(code, reason)| failure(code, reason));
        assert_eq!(replica.place("acme_corp").await, place);
        assert_eq!(self.leaked().await, 0);
    }

    async fn leaked(&self) -> i64 {
        self.world.system_rows("acme_corp").await
    }

    async fn globex_is_served(&self, replica: &Replica) {
        for outcome in replica.calls("globex", &self.globex).await {
            assert_eq!(outcome.as_deref(), Ok(SYSTEM_DATABASE));
        }
    }

    /// By itself: nobody restarts anything. Whatever failed has written nothing.
    async fn acme_recovers(&self, replica: &Replica) {
        soon("acme_corp is served again", async || match replica.get("acme_corp", &self.acme).await {
            Ok(answer) if answer.database == ACME_DATABASE => Ok(()),
            other => Err(format!("{other:?}")),
        })
        .await;
        assert_eq!(self.world.rows(ACME_DATABASE, "acme_corp").await, 1);
        for outcome in replica.calls("acme_corp", &self.acme).await {
            assert_eq!(outcome.as_deref(), Ok(ACME_DATABASE));
        }
        assert_eq!(replica.place("acme_corp").await.as_deref(), Ok(DEDICATED));
        assert_eq!(self.leaked().await, 0);
    }

    async fn count(&self, database: &str, sql: &str) -> i64 {
        self.world.platform.implementer().count(database, sql).await.unwrap()
    }
}

const DOWN: (Code, &str) = (Code::Unavailable, "DATABASE_UNAVAILABLE");
const LATE: (Code, &str) = (Code::DeadlineExceeded, "DEADLINE_EXCEEDED");
const UNKNOWN: (Code, &str) = (Code::Unavailable, "ROUTE_UNKNOWN");
const DETACHED: (Code, &str) = (Code::FailedPrecondition, "DATABASE_DETACHED");
const MISCONFIGURED: (Code, &str) = (Code::FailedPrecondition, "DATABASE_MISCONFIGURED");

#[tokio::test(flavor = "multi_thread")]
async fn a_closed_database_is_unavailable_until_it_is_opened_also_over_a_restart() {
    let (case, replica) = case("").await;
    let implementer = case.world.platform.implementer();
    implementer.allow_connections(ACME_DATABASE, false).await.unwrap();
    case.acme_fails(&replica, &[DOWN], Ok(DEDICATED)).await;
    let told = replica.explain("acme_corp").await.steps.pop().unwrap();
    assert!(told.rule == "enter" && told.finding.starts_with("calls fail now"), "{told:?}");
    case.globex_is_served(&replica).await;
    let replica = replica.restart().await;
    case.acme_fails(&replica, &[DOWN], Ok(DEDICATED)).await;
    case.globex_is_served(&replica).await;
    implementer.allow_connections(ACME_DATABASE, true).await.unwrap();
    case.acme_recovers(&replica).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_without_free_connections_is_unavailable_until_there_are_some() {
    let (case, replica) = case("").await;
    let implementer = case.world.platform.implementer();
    implementer.limit_connections(ACME_DATABASE, 0).await.unwrap();
    case.acme_fails(&replica, &[DOWN], Ok(DEDICATED)).await;
    case.globex_is_served(&replica).await;
    let replica = replica.restart().await;
    case.acme_fails(&replica, &[DOWN], Ok(DEDICATED)).await;
    implementer.limit_connections(ACME_DATABASE, -1).await.unwrap();
    case.acme_recovers(&replica).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_renamed_database_is_detached_at_the_next_call_until_it_has_its_name_again() {
    // Scans seldom: the call itself finds out.
    let (case, replica) = case("[routing]\nscan_interval = \"1h\"\n").await;
    let implementer = case.world.platform.implementer();
    implementer.rename(ACME_DATABASE, "elsewhere").await.unwrap();
    case.acme_fails(&replica, &[DETACHED], Err(DETACHED)).await;
    case.globex_is_served(&replica).await;
    let replica = replica.restart().await;
    case.acme_fails(&replica, &[DETACHED], Err(DETACHED)).await;
    let epoch = "SELECT epoch FROM fbs_router.placement WHERE company_id = 'acme_corp' AND placement = 'DEDICATED'";
    assert_eq!(case.count(SYSTEM_DATABASE, epoch).await, 1);
    let replica = replica.restart().await;
    implementer.rename("elsewhere", ACME_DATABASE).await.unwrap();
    let (world, acme, globex) = (case.world, case.acme, case.globex);
    let replica = {
        // Seldom again, so a restart stands for the scan.
        replica.kill().await;
        world.replica().await
    };
    Case { world, acme, globex }.acme_recovers(&replica).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_is_away_is_detached_for_resolve_within_a_scan_and_back_by_itself() {
    let (case, replica) = case("").await;
    let implementer = case.world.platform.implementer();
    implementer.rename(ACME_DATABASE, "elsewhere").await.unwrap();
    soon("Resolve says so", async || match replica.place("acme_corp").await {
        Err(error) if error == failure(DETACHED.0, DETACHED.1) => Ok(()),
        other => Err(format!("{other:?}")),
    })
    .await;
    case.acme_fails(&replica, &[DETACHED], Err(DETACHED)).await;
    implementer.rename("elsewhere", ACME_DATABASE).await.unwrap();
    case.acme_recovers(&replica).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dropped_database_is_detached_and_stays_so() {
    let (case, replica) = case("").await;
    let implementer = case.world.platform.implementer();
    implementer.drop_database(ACME_DATABASE).await.unwrap();
    case.acme_fails(&replica, &[DETACHED], Err(DETACHED)).await;
    case.globex_is_served(&replica).await;
    let replica = replica.restart().await;
    case.acme_fails(&replica, &[DETACHED], Err(DETACHED)).await;
    case.globex_is_served(&replica).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_changed_password_is_misconfigured_for_new_connections_until_it_is_changed_back() {
    let (case, replica) = case("").await;
    let implementer = case.world.platform.implementer();
    implementer.set_password("another").await.unwrap();
    // What is open stays open.
    assert_eq!(replica.get("acme_corp", &case.acme).await.unwrap().database, ACME_DATABASE);
    implementer.end_sessions(ACME_DATABASE).await.unwrap();
    case.acme_fails(&replica, &[MISCONFIGURED], Ok(DEDICATED)).await;
    implementer.end_sessions(SYSTEM_DATABASE).await.unwrap();
    implementer.end_sessions("postgres").await.unwrap();
    case.acme_fails(&replica, &[MISCONFIGURED], Ok(DEDICATED)).await;
    for outcome in replica.calls("globex", &case.globex).await {
        assert_eq!(outcome, Err(failure(MISCONFIGURED.0, MISCONFIGURED.1)));
    }
    implementer.set_password(PASSWORD).await.unwrap();
    case.acme_recovers(&replica).await;
    case.globex_is_served(&replica).await;
}

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

const HASTY: &str = "[deadline]\nmax = \"1500ms\"\ndefault = \"1s\"\n[pool]\nwait = \"300ms\"\ncreate = \"700ms\"\n";

/// A case behind a proxy, where no call takes longer than a second and a half.
async fn proxied() -> (Case, Replica, fbs_router_sandbox::FaultProxy) {
    let world = World::new().await;
    let proxy = world.proxy().await;
    let url = format!("postgres://fbs_router@127.0.0.1:{}", proxy.port());
    let replica = world.replica_at(&url, HASTY).await;
    let case = documents(world, &replica).await;
    (case, replica, proxy)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_link_that_hangs_is_answered_within_the_deadline_and_heals() {
    let (case, replica, proxy) = proxied().await;
    proxy.set(Mode::Hang);
    // First on idle connections, then on new ones.
    for _ in 0..2 {
        case.acme_fails(&replica, &[DOWN, LATE], Ok(DEDICATED)).await;
    }
    assert_eq!(replica.health("liveness").await.unwrap(), 1);
    proxy.set(Mode::Forward);
    case.acme_recovers(&replica).await;
    case.globex_is_served(&replica).await;

    case.world.snapshot_holds("acme_corp").await;
    proxy.set(Mode::Hang);
    let replica = replica.restart_unready().await;
    case.acme_fails(&replica, &[DOWN, LATE, UNKNOWN], Err(UNKNOWN)).await;
    proxy.set(Mode::Forward);
    soon("acme_corp is served again", async || match replica.get("acme_corp", &case.acme).await {
        Ok(answer) if answer.database == ACME_DATABASE => Ok(()),
        other => Err(format!("{other:?}")),
    })
    .await;
    assert_eq!(case.leaked().await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_link_that_refuses_is_unavailable_and_heals() {
    let (case, replica, proxy) = proxied().await;
    proxy.set(Mode::Refuse);
    case.acme_fails(&replica, &[DOWN], Ok(DEDICATED)).await;
    proxy.set(Mode::Forward);
    case.acme_recovers(&replica).await;
    // One reset of what is open is not even noticed by a call that had not begun.
    proxy.set(Mode::Cut);
    assert_eq!(replica.get("acme_corp", &case.acme).await.unwrap().database, ACME_DATABASE);
    assert_eq!(replica.create("acme_corp", "after the cut").await.unwrap().database, ACME_DATABASE);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_write_cut_at_any_byte_is_told_truly_and_repeated_without_doubling() {
    let (case, replica, proxy) = proxied().await;
    let documents = async |name: &str| {
        let sql = format!("SELECT count(*) FROM fbs_document.document WHERE name = '{name}'");
        case.count(ACME_DATABASE, &sql).await
    };
    let mut answers = [0; 3];
    for bytes in (0..2_400).step_by(60) {
        // Without a request_id: done, not done, or not known, and each is true.
        let name = format!("plain-{bytes}");
        proxy.set(Mode::CutAfter { to_server: bytes });
        let outcome = replica.create("acme_corp", &name).await;
        proxy.set(Mode::Forward);
        match outcome.map(|answer| answer.database) {
            Ok(database) => {
                answers[0] += 1;
                assert_eq!((database.as_str(), documents(&name).await), (ACME_DATABASE, 1), "after {bytes} bytes");
            }
            Err(error) if error == failure(DOWN.0, DOWN.1) => {
                answers[1] += 1;
                assert_eq!(documents(&name).await, 0, "after {bytes} bytes");
            }
            Err(error) => {
                answers[2] += 1;
                assert_eq!(error, failure(Code::Unknown, "OUTCOME_UNKNOWN"), "after {bytes} bytes");
            }
        }
        // With one: repeated until it is done, it is done once.
        let (name, request) = (format!("once-{bytes}"), Uuid::new_v4());
        proxy.set(Mode::CutAfter { to_server: bytes });
        let first = replica.create_once("acme_corp", &name, request).await;
        proxy.set(Mode::Forward);
        let again = soon("the repeat is answered", async || {
            replica.create_once("acme_corp", &name, request).await.map_err(|error| format!("{error:?}"))
        })
        .await;
        if let Ok(first) = first {
            assert_eq!(first.message.document_id, again.message.document_id);
        }
        assert_eq!(documents(&name).await, 1, "after {bytes} bytes");
    }
    assert!(answers[0] > 0 && answers[1] > 0, "the cuts missed the writes: {answers:?}");
    assert_eq!(case.leaked().await, 0);
}

/// A deferred trigger holds COMMIT, and its session is ended there: only the caller can say whether to try again.
#[tokio::test(flavor = "multi_thread")]
async fn a_commit_without_an_answer_is_not_known_and_tried_again_only_with_a_request_id() {
    let (case, replica) = case("").await;
    let owner = case.world.platform.cluster.connect(ACME_DATABASE).await.unwrap();
    let trigger = "CREATE FUNCTION public.hold() RETURNS trigger LANGUAGE plpgsql AS
                       $$ BEGIN PERFORM pg_advisory_xact_lock(1); RETURN NULL; END $$;
                   CREATE CONSTRAINT TRIGGER hold AFTER INSERT ON fbs_document.document
                       DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION public.hold();";
    owner.batch_execute(trigger).await.unwrap();
    let end = "WITH held AS MATERIALIZED (
                   SELECT pid FROM pg_stat_activity
                   WHERE datname = current_database() AND query = 'COMMIT' AND wait_event = 'advisory')
               SELECT coalesce(max(pid) FILTER (WHERE pg_terminate_backend(pid)), 0)::bigint FROM held";
    // One after the other, each once.
    let end_in_commit = async |sessions: u32| {
        let mut ended = 0;
        for _ in 0..sessions {
            ended = soon("a write waits in its COMMIT", async || match case.count(ACME_DATABASE, end).await {
                pid if pid != 0 && pid != ended => Ok(pid),
                other => Err(format!("{other}")),
            })
            .await;
        }
        owner.batch_execute("SELECT pg_advisory_unlock(1)").await.unwrap();
    };
    let hold = async || owner.batch_execute("SELECT pg_advisory_lock(1)").await.unwrap();

    hold().await;
    let (outcome, ()) = tokio::join!(replica.create("acme_corp", "plain"), end_in_commit(1));
    assert_eq!(outcome.map(|answer| answer.database), Err(failure(Code::Unknown, "OUTCOME_UNKNOWN")));
    for (name, lost, expected) in [("once", 1, Ok(ACME_DATABASE)), ("never", 3, Err(failure(DOWN.0, DOWN.1)))] {
        hold().await;
        let create = replica.create_once("acme_corp", name, Uuid::new_v4());
        let (outcome, ()) = tokio::join!(create, end_in_commit(lost));
        assert_eq!(outcome.map(|answer| answer.database), expected.map(str::to_owned), "{name}");
    }

    let documents = async |name: &str| {
        let sql = format!("SELECT count(*) FROM fbs_document.document WHERE name = '{name}'");
        case.count(ACME_DATABASE, &sql).await
    };
    assert_eq!((documents("plain").await, documents("once").await, documents("never").await), (0, 1, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn writes_in_flight_while_the_link_is_cut_again_and_again_are_done_once_each() {
    let (case, replica, proxy) = proxied().await;
    let cutting = async {
        for _ in 0..40 {
            proxy.set(Mode::Cut);
            tokio::task::yield_now().await;
            let _ = replica.health("liveness").await;
        }
    };
    let writing = futures_util::future::join_all((0..40).map(|number| {
        let (replica, request) = (&replica, Uuid::new_v4());
        async move {
            soon("the write is answered", async || {
                let answer = replica.create_once("acme_corp", &format!("W-{number}"), request).await;
                answer.map_err(|error| format!("{error:?}"))
            })
            .await
        }
    }));
    tokio::join!(cutting, writing);
    let sql = "SELECT count(*) FROM fbs_document.document WHERE name LIKE 'W-%'";
    assert_eq!(case.count(ACME_DATABASE, sql).await, 40);
    let distinct = "SELECT count(DISTINCT name) FROM fbs_document.document WHERE name LIKE 'W-%'";
    assert_eq!(case.count(ACME_DATABASE, distinct).await, 40);
    assert_eq!(case.leaked().await, 0);
}

// === the ledger ===

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
    let text = world.configuration(&url, "[routing]\nscan_timeout = \"30s\"\n");
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

/// What `release` of a later version does to the ledger and the system database.
pub(crate) const RELEASE: &str = "UPDATE fbs_router.placement
       SET placement = 'SYSTEM', epoch = epoch + 1, released_uuid = database_uuid,
           server = NULL, database_name = NULL, database_oid = NULL, database_uuid = NULL
     WHERE company_id = 'acme_corp' AND app = 'fbs_dms';
    UPDATE fbs_router.fence SET state = 'ACTIVE', epoch = epoch + 1 WHERE company_id = 'acme_corp'";

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
        assert_eq!(case.world.rows(ACME_DATABASE, "acme_corp").await, 1, "{fence}");
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
