//! The way to Postgres: refused, cut, silent, half open or slow.

use std::{
    sync::atomic::{AtomicBool, Ordering::Relaxed},
    time::Duration,
};

use fbs_router_proto::admin::v1::RefreshRoutesRequest;
use fbs_router_sandbox::{
    Mode,
    platform::{ACME_DATABASE, SYSTEM_DATABASE},
    soon,
};
use tonic::Code;
use uuid::Uuid;

use super::{Case, DEDICATED, DOWN, FULL, HASTY, LATE, UNKNOWN, case, documents};
use crate::support::{
    Replica, World,
    asking::creation,
    draft, failure,
    load::{Load, NOBODY_KNOWS},
    residue::{Quiet, nothing_is_left},
    transfers::noise,
    wire::metrics,
    within,
};

/// Of its time, a call may lose a little to a connection that leads nowhere.
const ASKING: &str = "[deadline]\nmax = \"3s\"\ndefault = \"3s\"\n[pool]\nrecycle = \"300ms\"\nwait = \"1s\"\n";

/// A case behind a proxy, where no call takes longer than a second and a half.
async fn proxied() -> (Case, Replica, fbs_router_sandbox::FaultProxy) {
    behind_a_proxy(HASTY).await
}

async fn behind_a_proxy(extra: &str) -> (Case, Replica, fbs_router_sandbox::FaultProxy) {
    let world = World::new().await;
    let proxy = world.proxy().await;
    let url = format!("postgres://fbs_router@127.0.0.1:{}", proxy.port());
    let replica = world.replica_at(&url, extra).await;
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
    // One reset of what is open is not even noticed by a call that had not begun. Nothing is being opened: that would fail.
    soon("ledger and catalogs are read again", async || {
        let answer = replica.admin().refresh_routes(within(RefreshRoutesRequest {})).await;
        answer.map(drop).map_err(|status| format!("{status:?}"))
    })
    .await;
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
    // What it needs is opened and prepared, so that the cut is in the write itself: some 800 bytes, so that a third are done.
    let warm = async || {
        soon("it is served", async || {
            let told = |error| format!("{error:?}");
            replica.create("acme_corp", "warm").await.map_err(told)?;
            replica.create_once("acme_corp", "warm", Uuid::new_v4()).await.map_err(told)
        })
        .await;
    };
    let (mut answers, mut done_at_once) = ([0; 3], 0);
    for bytes in (0..1_200).step_by(30) {
        warm().await;
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
        warm().await;
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
            done_at_once += 1;
        }
        assert_eq!(documents(&name).await, 1, "after {bytes} bytes");
    }
    println!("done, not done, not known: {answers:?}; with a request_id at once: {done_at_once}");
    assert!(answers.iter().all(|answer| *answer > 0), "the cuts missed the writes: {answers:?}");
    assert!(done_at_once > 0, "the cuts missed the writes that are repeated");
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

#[tokio::test(flavor = "multi_thread")]
async fn a_link_that_flaps_under_load_leaks_no_connection_and_no_turn() {
    let world = World::new().await;
    let proxy = world.proxy().await;
    let url = format!("postgres://fbs_router@127.0.0.1:{}", proxy.port());
    let replica = world.replica_at(&url, "[deadline]\nmax = \"4s\"\ndefault = \"4s\"\n").await;
    let load = Load::new(&replica, &["acme_corp", "globex"]).await;
    let quiet = Quiet::behind(&proxy, &replica).await;
    let story = async {
        load.enough(&[]).await;
        for _ in 0..5 {
            load.allow(&[DOWN, UNKNOWN, FULL, LATE, NOBODY_KNOWS]);
            proxy.set(Mode::Refuse);
            load.enough(&["acme_corp", "globex"]).await;
            proxy.set(Mode::Forward);
            load.enough(&[]).await;
            load.allow(&[]);
        }
        load.enough(&[]).await;
        load.over.store(true, Relaxed);
    };
    tokio::join!(load.go_on(), story);
    let home = |solution: &str| if solution == "acme_corp" { ACME_DATABASE } else { SYSTEM_DATABASE };
    load.is_accounted_for(&world.platform.cluster, home).await;
    assert_eq!(world.system_rows("acme_corp").await, 0);
    quiet.returns(&world.platform.cluster, &replica).await;
    soon("every socket that is open is a connection", async || {
        let told = metrics(replica.ops).await;
        let pooled = told.iter().filter(|(name, _)| name.starts_with("fbs_router_pool_connections"));
        let (open, known) = (proxy.connections(), 2 + pooled.map(|(_, count)| *count as usize).sum::<usize>());
        if open <= known { Ok(()) } else { Err(format!("{open} of {known}")) }
    })
    .await;
}

/// 300 ms more or less each way, and so some 50 KB/s in pieces of 16 KiB.
#[tokio::test(flavor = "multi_thread")]
async fn a_slow_link_makes_calls_and_files_slow_and_fails_none() {
    let world = World::new().await;
    let proxy = world.proxy().await;
    let url = format!("postgres://fbs_router@127.0.0.1:{}", proxy.port());
    let slow = "[routing]\nscan_timeout = \"20s\"\n[pool]\nwait = \"20s\"\ncreate = \"20s\"\n\
                [deadline]\nmax = \"40s\"\ndefault = \"40s\"\n";
    let replica = world.replica_at(&url, slow).await;
    let case = documents(world, &replica).await;
    let content = noise(128 * 1024);
    let over = AtomicBool::new(false);
    let jittering = async {
        while !over.load(Relaxed) {
            for delay in [300, 200, 400] {
                proxy.set(Mode::Delay(Duration::from_millis(delay)));
                tokio::time::sleep(Duration::from_millis(700)).await;
            }
        }
    };
    let calling = async {
        for (solution, id, database) in
            [("acme_corp", &case.acme, ACME_DATABASE), ("globex", &case.globex, SYSTEM_DATABASE)]
        {
            let patient = |solution: &str| {
                let mut request = tonic::Request::new(creation(solution, draft("slowly")));
                request.set_timeout(Duration::from_secs(40));
                request
            };
            let created = replica.documents().create_document(patient(solution)).await.unwrap();
            assert_eq!(created.metadata().get("fbs-database").unwrap(), database);
            replica.upload(solution, id, "slow", &content).await.unwrap();
            assert!(replica.download(solution, id).await.unwrap().1 == content);
        }
        over.store(true, Relaxed);
    };
    tokio::join!(jittering, calling);
    proxy.set(Mode::Forward);
    assert_eq!(case.leaked().await, 0);
    nothing_is_left(&case.world.platform.cluster, &[&replica]).await;
}

/// As behind a firewall that forgot them, or after a failover of the address: nothing that is open is ever answered, nor ended.
#[tokio::test(flavor = "multi_thread")]
async fn connections_that_lead_nowhere_any_more_are_found_out_before_a_call_is_lost_on_them() {
    let (case, replica, proxy) = behind_a_proxy(ASKING).await;
    let mut quiet = None;
    for round in 0..2 {
        // Several connections to each database, acme's used last.
        for (solution, id) in [("globex", &case.globex), ("acme_corp", &case.acme)] {
            for outcome in replica.calls(solution, id).await {
                outcome.unwrap();
            }
        }
        if quiet.is_none() {
            quiet = Some(Quiet::behind(&proxy, &replica).await);
        }
        let recent = "SELECT count(*) FROM pg_stat_activity WHERE usename = 'fbs_router'
                         AND datname = 'djo_acme_corp_db' AND state_change > now() - interval '1200 ms'";
        soon("all are idle for long enough to be doubted", async || match case.count("postgres", recent).await {
            0 => Ok(()),
            recent => Err(recent),
        })
        .await;
        proxy.set(Mode::Strand);
        for (solution, id, database) in
            [("acme_corp", &case.acme, ACME_DATABASE), ("globex", &case.globex, SYSTEM_DATABASE)]
        {
            for outcome in replica.calls(solution, id).await {
                assert_eq!(outcome.as_deref(), Ok(database), "round {round}");
            }
        }
        quiet.as_ref().unwrap().returns(&case.world.platform.cluster, &replica).await;
    }
    // In use a moment ago: whoever is first waits in vain, and speaks for all that are open.
    for _ in 0..3 {
        for outcome in replica.calls("acme_corp", &case.acme).await {
            outcome.unwrap();
        }
    }
    proxy.set(Mode::Strand);
    let first = replica.get("acme_corp", &case.acme).await;
    if let Err(error) = first {
        assert!([LATE, DOWN].iter().any(|one| failure(one.0, one.1) == error), "{error:?}");
    }
    for outcome in replica.calls("acme_corp", &case.acme).await {
        assert_eq!(outcome.as_deref(), Ok(ACME_DATABASE));
    }
    soon("the ledger and the catalog are read again", async || {
        let age = metrics(replica.ops).await["fbs_router_catalog_age_seconds{server=\"main\"}"];
        if age < 2.0 { Ok(()) } else { Err(age) }
    })
    .await;
    assert_eq!(case.leaked().await, 0);
}
