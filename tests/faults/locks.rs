//! Somebody who holds a lock, a statement that does not end, and transactions that stand in each other's way.

use std::time::{Duration, Instant};

use fbs_router_proto::document::v1::UpdateDocumentRequest;
use fbs_router_sandbox::{
    LIMIT, eventually,
    platform::{ACME_DATABASE, SYSTEM_DATABASE},
    soon,
};
use prost::Message;
use tonic::Code;
use tonic_types::StatusExt;

use super::{Case, DOWN, LATE, case};
use crate::support::{
    Replica, World,
    asking::{Refusal, refusal, retitle},
    failure,
    load::Load,
    residue::nothing_is_left,
    wire::{framed, raw_status},
};

const CONFLICT: (Code, &str) = (Code::Aborted, "DATABASE_CONFLICT");
/// Longer than all tries of a call that waits for a lock.
const PATIENCE: Duration = Duration::from_secs(20);
const PATIENT: &str = "[deadline]\nmax = \"30s\"\n[pool]\nmax_size = 3\nmax_per_solution = 3\n";

/// Of a call whose deadline only the service keeps: a client of ours would end it a moment before it is answered.
async fn hurried(replica: &Replica, change: UpdateDocumentRequest, time: &str) -> Refusal {
    let path = "/fbs.document.v1.DocumentService/UpdateDocument";
    refusal(&raw_status(replica.grpc, path, &[("grpc-timeout", time)], framed(0, &change.encode_to_vec())).await)
}

async fn update(replica: &Replica, change: UpdateDocumentRequest) -> Result<(), tonic::Status> {
    let mut request = tonic::Request::new(change);
    request.set_timeout(PATIENCE);
    replica.documents().update_document(request).await.map(drop)
}

/// 55P03 after three tries, or the deadline if that is sooner.
#[tokio::test(flavor = "multi_thread")]
async fn a_lock_that_is_held_is_a_conflict_in_the_end_and_keeps_nobody_else_waiting() {
    let (case, replica) = case(PATIENT).await;
    let holder = case.world.platform.cluster.connect(ACME_DATABASE).await.unwrap();
    holder.batch_execute("BEGIN; LOCK TABLE fbs_document.document").await.unwrap();
    let change = || retitle("acme_corp", &case.acme, "later");
    let held = async {
        let status = update(&replica, change()).await.unwrap_err();
        assert_eq!(refusal(&status), failure(CONFLICT.0, CONFLICT.1));
        assert!(status.get_details_retry_info().and_then(|retry| retry.retry_delay).is_some());
    };
    let late = async {
        assert_eq!(hurried(&replica, change(), "700m").await, failure(LATE.0, LATE.1));
    };
    let others = async {
        for _ in 0..5 {
            case.globex_is_served(&replica).await;
        }
    };
    tokio::join!(held, late, others);
    // Whoever has no connection yet waits in the proof of a new one.
    let end = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
                WHERE datname = current_database() AND application_name = 'fbs-router'";
    holder.query(end, &[]).await.unwrap();
    assert_eq!(update(&replica, change()).await.map_err(|status| refusal(&status)), Err(failure(DOWN.0, DOWN.1)));
    holder.batch_execute("ROLLBACK").await.unwrap();
    soon("it is served again", async || update(&replica, change()).await).await;
    case.ends_well(&replica).await;
}

/// 57014: the caller's deadline is the statement's.
#[tokio::test(flavor = "multi_thread")]
async fn a_statement_that_does_not_end_is_ended_with_its_deadline_on_a_connection_that_lives_on() {
    let (case, replica) = case(PATIENT).await;
    let owner = case.world.platform.cluster.connect(ACME_DATABASE).await.unwrap();
    let slow = "CREATE FUNCTION public.slow() RETURNS trigger LANGUAGE plpgsql AS
                    $$ BEGIN PERFORM pg_sleep(600); RETURN NEW; END $$;
                CREATE TRIGGER slow BEFORE UPDATE ON fbs_document.document
                    FOR EACH ROW EXECUTE FUNCTION public.slow();";
    owner.batch_execute(slow).await.unwrap();
    let sleeping = "SELECT pid FROM pg_stat_activity
                     WHERE application_name = 'fbs-router' AND datname = current_database() AND wait_event = 'PgSleep'";
    for _ in 0..3 {
        let change = retitle("acme_corp", &case.acme, "later");
        let seen = soon("it sleeps", async || match owner.query(sleeping, &[]).await.unwrap()[..] {
            [ref row] => Ok(row.get::<_, i32>(0)),
            ref rows => Err(rows.len()),
        });
        let (answer, pid) = tokio::join!(hurried(&replica, change, "2500m"), seen);
        assert_eq!(answer, failure(LATE.0, LATE.1));
        nothing_is_left(&case.world.platform.cluster, &[&replica]).await;
        let lives_on = owner.query("SELECT FROM pg_stat_activity WHERE pid = $1", &[&pid]).await.unwrap();
        assert_eq!(lives_on.len(), 1, "the session of the statement that was ended");
    }
    assert_eq!(replica.get("acme_corp", &case.acme).await.unwrap().database, ACME_DATABASE);
    owner.batch_execute("DROP TRIGGER slow ON fbs_document.document").await.unwrap();
    update(&replica, retitle("acme_corp", &case.acme, "in time")).await.unwrap();
    case.ends_well(&replica).await;
}

/// 40001, so often in a row: tried three times in all.
#[tokio::test(flavor = "multi_thread")]
async fn a_transaction_that_cannot_be_serialized_is_tried_again_twice_and_then_told() {
    let (case, replica) = case("").await;
    let owner = case.world.platform.cluster.connect(ACME_DATABASE).await.unwrap();
    // A sequence is the one thing that a rollback leaves alone.
    let trigger = "CREATE SEQUENCE public.tries; GRANT USAGE ON SEQUENCE public.tries TO fbs_router;
                   CREATE FUNCTION public.conflict() RETURNS trigger LANGUAGE plpgsql AS
                       $$ BEGIN IF nextval('public.tries') <= TG_ARGV[0]::int THEN
                              RAISE EXCEPTION 'could not serialize access' USING ERRCODE = '40001';
                          END IF; RETURN NEW; END $$;";
    owner.batch_execute(trigger).await.unwrap();
    for (failures, expected) in [(1, Ok(())), (2, Ok(())), (3, Err(failure(CONFLICT.0, CONFLICT.1)))] {
        let arm = format!(
            "ALTER SEQUENCE public.tries RESTART; DROP TRIGGER IF EXISTS conflict ON fbs_document.document;
             CREATE TRIGGER conflict BEFORE UPDATE ON fbs_document.document
                 FOR EACH ROW EXECUTE FUNCTION public.conflict({failures})"
        );
        owner.batch_execute(&arm).await.unwrap();
        let title = format!("after {failures}");
        let outcome = replica.ask_update(retitle("acme_corp", &case.acme, &title)).await;
        assert_eq!(outcome.map(|document| assert_eq!(document.title, title)), expected);
        let tries: i64 = owner.query_one("SELECT last_value FROM public.tries", &[]).await.unwrap().get(0);
        assert_eq!(tries, 3.min(failures + 1));
    }
    owner.batch_execute("DROP TRIGGER conflict ON fbs_document.document").await.unwrap();
    replica.ask_update(retitle("acme_corp", &case.acme, "at last")).await.unwrap();
    case.ends_well(&replica).await;
}

/// 40P01: somebody holds the row that a write wants, and wants the lock of the solution that the write holds.
#[tokio::test(flavor = "multi_thread")]
async fn a_deadlock_is_broken_and_the_call_that_lost_is_tried_again() {
    let (case, replica) = case(PATIENT).await;
    let cluster = &case.world.platform.cluster;
    let log = || std::fs::read_to_string(cluster.log_path()).unwrap();
    let (holder, watching) =
        (cluster.connect(ACME_DATABASE).await.unwrap(), cluster.connect(ACME_DATABASE).await.unwrap());
    // It is the service that looks for deadlocks, not he.
    holder.batch_execute("SET deadlock_timeout = '1h'").await.unwrap();
    let begin = Instant::now();
    // Unless this machine was too slow for the service to look after the circle was closed.
    while !log().contains("deadlock detected") {
        assert!(begin.elapsed() < LIMIT * 3, "never a deadlock");
        let hold = format!("BEGIN; SELECT FROM fbs_document.document WHERE document_id = '{}' FOR UPDATE", case.acme);
        holder.batch_execute(&hold).await.unwrap();
        let closing = async {
            eventually("the write waits for the row", LIMIT, async || {
                let waiting = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'fbs-router' AND wait_event_type = 'Lock'";
                match watching.query_one(waiting, &[]).await.unwrap().get::<_, i64>(0) {
                    0 => Err("not yet"),
                    _ => Ok(()),
                }
            })
            .await;
            let close = "SELECT pg_advisory_xact_lock(fbs_router.solution_lock('acme_corp')); COMMIT";
            holder.batch_execute(close).await.unwrap();
        };
        let (outcome, ()) = tokio::join!(update(&replica, retitle("acme_corp", &case.acme, "after all")), closing);
        outcome.unwrap();
    }
    assert_eq!(replica.get("acme_corp", &case.acme).await.unwrap().message.title, "after all");
    case.ends_well(&replica).await;
}

/// 0A000: `cached plan must not change result type`, on every open connection at once.
#[tokio::test(flavor = "multi_thread")]
async fn a_schema_changed_under_load_fails_no_call() {
    let world = World::new().await;
    let replica = world.replica_with("[pool]\nwait = \"5s\"\n").await;
    let load = Load::new(&replica, &["acme_corp", "globex"]).await;
    let story = async {
        load.enough(&[]).await;
        for kind in ["varchar", "text", "varchar", "text"] {
            for database in [ACME_DATABASE, SYSTEM_DATABASE] {
                let owner = world.platform.cluster.connect(database).await.unwrap();
                let change = format!(
                    "SET lock_timeout = '10s';
                     ALTER TABLE fbs_document.document ALTER COLUMN approved_by TYPE {kind} COLLATE \"C\";
                     ALTER TABLE fbs_document.document ADD COLUMN added_{kind} text;
                     ALTER TABLE fbs_document.document DROP COLUMN added_{kind};"
                );
                soon("it is changed", async || owner.batch_execute(&change).await).await;
            }
            load.enough(&[]).await;
        }
        load.over.store(true, std::sync::atomic::Ordering::Relaxed);
    };
    tokio::join!(load.go_on(), story);
    let home = |solution: &str| if solution == "acme_corp" { ACME_DATABASE } else { SYSTEM_DATABASE };
    load.is_accounted_for(&world.platform.cluster, home).await;
    nothing_is_left(&world.platform.cluster, &[&replica]).await;
}

impl Case {
    async fn ends_well(&self, replica: &Replica) {
        assert_eq!(replica.place("acme_corp").await.as_deref(), Ok(super::DEDICATED));
        for outcome in replica.calls("acme_corp", &self.acme).await {
            assert_eq!(outcome.as_deref(), Ok(ACME_DATABASE));
        }
        self.globex_is_served(replica).await;
        assert_eq!(self.leaked().await, 0);
        nothing_is_left(&self.world.platform.cluster, &[replica]).await;
    }
}
