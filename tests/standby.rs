//! A primary whose standby is promoted under load, is followed: what was acknowledged is there, and nobody is restarted.

use std::sync::atomic::Ordering::Relaxed;

use fbs_router_proto::admin::v1::RegisterSolutionRequest;
use fbs_router_sandbox::{
    Cluster,
    platform::{ACME_DATABASE, SYSTEM_DATABASE},
    soon,
};
use tonic::Code;

use crate::support::{
    Replica, World,
    load::{Load, NOBODY_KNOWS},
    residue::nothing_is_left,
};

const DOWN: (Code, &str) = (Code::Unavailable, "DATABASE_UNAVAILABLE");
/// Of the ledger, while nobody is the primary.
const UNKNOWN: (Code, &str) = (Code::Unavailable, "ROUTE_UNKNOWN");
const FULL: (Code, &str) = (Code::ResourceExhausted, "POOL_EXHAUSTED");
const LATE: (Code, &str) = (Code::DeadlineExceeded, "DEADLINE_EXCEEDED");
const REPLICATED: [(&str, &str); 2] = [("wal_level", "replica"), ("max_wal_senders", "4")];

/// A primary and a standby that comes after it. None, aloud, where there can be no standby.
async fn followed() -> Option<(World, Cluster)> {
    let world = World::with(&REPLICATED).await;
    let primary = &world.platform.cluster;
    if !primary.binaries().program("pg_basebackup").is_file() {
        eprintln!("SKIPPED: there is no pg_basebackup beside {}", primary.binaries().folder.display());
        return None;
    }
    let standby = primary.start_standby().await.unwrap();
    Some((world, standby))
}

/// As [`followed`], and the primary acknowledges nothing which its standby does not have.
async fn pair() -> Option<(World, Cluster)> {
    let (world, standby) = followed().await?;
    let primary = &world.platform.cluster;
    let client = primary.connect("postgres").await.unwrap();
    client.batch_execute("ALTER SYSTEM SET synchronous_standby_names = '*'").await.unwrap();
    client.batch_execute("SELECT pg_reload_conf()").await.unwrap();
    soon("the standby is synchronous", async || {
        let sql = "SELECT count(*) FROM pg_stat_replication WHERE sync_state = 'sync' AND state = 'streaming'";
        match client.query_one(sql, &[]).await.unwrap().get::<_, i64>(0) {
            1 => Ok(()),
            other => Err(other),
        }
    })
    .await;
    Some((world, standby))
}

async fn replica(world: &World, standby: &Cluster) -> Replica {
    let directory = |cluster: &Cluster| cluster.socket_directory().display().to_string().replace('/', "%2F");
    let (first, second) = (&world.platform.cluster, standby);
    let url =
        format!("postgres://fbs_router@{}:{},{}:{}", directory(first), first.port(), directory(second), second.port());
    world.replica_at(&url, "").await
}

fn home(solution: &str) -> &'static str {
    if solution == "acme_corp" { ACME_DATABASE } else { SYSTEM_DATABASE }
}

/// Documents of a solution in the system database.
async fn shared(cluster: &Cluster, solution: &str) -> i64 {
    let client = cluster.connect(SYSTEM_DATABASE).await.unwrap();
    let sql = "SELECT count(*) FROM fbs_document.document WHERE company_id = $1";
    client.query_one(sql, &[&solution]).await.unwrap().get(0)
}

/// How often Postgres refused a write because it takes none.
fn refusals(cluster: &Cluster) -> usize {
    let log = std::fs::read_to_string(cluster.log_path()).unwrap();
    log.matches("in a read-only transaction").count()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_standby_promoted_under_load_after_its_primary_died_serves_everything_that_was_acknowledged() {
    let Some((world, standby)) = pair().await else { return };
    let replica = replica(&world, &standby).await;
    let load = Load::new(&replica, &["acme_corp", "globex"]).await;
    let story = async {
        load.enough(&[]).await;
        load.allow(&[DOWN, UNKNOWN, FULL, LATE, NOBODY_KNOWS]);
        world.platform.cluster.kill().await.unwrap();
        load.enough(&["acme_corp", "globex"]).await;
        standby.promote().await.unwrap();
        load.enough(&[]).await;
        load.allow(&[]);
        load.enough(&[]).await;
        load.over.store(true, Relaxed);
    };
    tokio::join!(load.go_on(), story);
    load.is_accounted_for(&standby, home).await;
    // No write was ever sent to it while it was a standby.
    assert_eq!(refusals(&standby), 0);
    let told = replica.resolve("acme_corp").await.unwrap().database.unwrap();
    assert_eq!(told.host, standby.socket_directory().display().to_string());
    assert_eq!(shared(&standby, "acme_corp").await, 0);
    nothing_is_left(&standby, &[&replica]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_primary_that_takes_no_writes_any_more_is_left_with_every_connection_for_the_one_that_was_promoted() {
    let Some((world, standby)) = pair().await else { return };
    let replica = replica(&world, &standby).await;
    let load = Load::new(&replica, &["acme_corp", "globex"]).await;
    let old = &world.platform.cluster;
    let story = async {
        load.enough(&[]).await;
        load.allow(&[DOWN, UNKNOWN, FULL, LATE, NOBODY_KNOWS]);
        // Connections that are open stay open, and are refused from now on: 25006.
        let client = old.connect("postgres").await.unwrap();
        client.batch_execute("ALTER SYSTEM SET default_transaction_read_only = on").await.unwrap();
        client.batch_execute("SELECT pg_reload_conf()").await.unwrap();
        let connected = async || -> i64 {
            let sql = "SELECT count(*) FROM pg_stat_activity WHERE usename = 'fbs_router'";
            client.query_one(sql, &[]).await.unwrap().get(0)
        };
        soon("a write is refused, or a scan was there before the first", async || {
            if refusals(old) > 0 || connected().await == 0 { Ok(()) } else { Err("not yet") }
        })
        .await;
        standby.promote().await.unwrap();
        soon("nothing is connected to the old one", async || match connected().await {
            0 => Ok(()),
            other => Err(other),
        })
        .await;
        load.enough(&[]).await;
        load.allow(&[]);
        let before = refusals(old);
        load.enough(&[]).await;
        assert_eq!(refusals(old), before, "a write was sent to the old primary");
        load.over.store(true, Relaxed);
    };
    tokio::join!(load.go_on(), story);
    load.is_accounted_for(&standby, home).await;
    assert_eq!(refusals(&standby), 0);
    assert_eq!(shared(&standby, "acme_corp").await, 0);
    nothing_is_left(&standby, &[&replica]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_only_reads_leaves_a_primary_that_takes_no_writes_any_more_with_the_next_scan() {
    let Some((world, standby)) = pair().await else { return };
    let replica = replica(&world, &standby).await;
    let made = replica.create("acme_corp", "A-1").await.unwrap().message.document_id;
    let old = world.platform.cluster.connect("postgres").await.unwrap();
    old.batch_execute("ALTER SYSTEM SET default_transaction_read_only = on").await.unwrap();
    old.batch_execute("SELECT pg_reload_conf()").await.unwrap();
    standby.promote().await.unwrap();
    let client = standby.connect(ACME_DATABASE).await.unwrap();
    client.batch_execute("UPDATE fbs_document.document SET title = 'of the new primary'").await.unwrap();
    soon("it is read where it was changed", async || {
        match replica.get("acme_corp", &made).await.map(|answer| answer.message.title) {
            Ok(title) if title == "of the new primary" => Ok(()),
            other => Err(format!("{other:?}")),
        }
    })
    .await;
}

/// An asynchronous standby may lack the last commits, and nobody can hide it. What the ledger has lost is noticed.
#[tokio::test(flavor = "multi_thread")]
async fn a_standby_promoted_without_the_last_commits_never_moves_a_solution_back_by_itself() {
    let Some((world, standby)) = followed().await else { return };
    let replica = replica(&world, &standby).await;
    let kept = replica.create("acme_corp", "kept").await.unwrap().message.document_id;
    replica.create("globex", "G-1").await.unwrap();
    world.create_own_database("newco").await;
    let primary = &world.platform.cluster;
    soon("the standby has all of it", async || {
        let behind = "SELECT count(*) FROM pg_stat_replication WHERE replay_lsn >= pg_current_wal_lsn()";
        match world.count("postgres", behind).await {
            1 => Ok(()),
            other => Err(other),
        }
    })
    .await;
    standby.stop().await.unwrap();
    let lost = replica.create("acme_corp", "lost").await.unwrap().message.document_id;
    // Taken over, in a ledger that is about to be forgotten.
    assert_eq!(replica.create("newco", "lost as well").await.unwrap().database, "djo_newco_db");
    primary.kill().await.unwrap();
    standby.start_again().await.unwrap();
    standby.promote().await.unwrap();
    soon("what is there is served", async || match replica.get("acme_corp", &kept).await {
        Ok(answer) if answer.database == ACME_DATABASE => Ok(()),
        other => Err(format!("{other:?}")),
    })
    .await;
    let absent = (Code::NotFound, "DOCUMENT_NOT_FOUND".to_owned());
    assert_eq!(replica.get("acme_corp", &lost).await.unwrap_err(), absent);
    soon("the older ledger is noticed", async || match replica.place("newco").await {
        Err((Code::FailedPrecondition, reason)) if reason == "PLACEMENT_CONFLICT" => Ok(()),
        other => Err(format!("{other:?}")),
    })
    .await;
    replica.create("newco", "nowhere").await.unwrap_err();
    let shared = "SELECT count(*) FROM fbs_document.document WHERE company_id <> 'globex'";
    let client = standby.connect(SYSTEM_DATABASE).await.unwrap();
    assert_eq!(client.query_one(shared, &[]).await.unwrap().get::<_, i64>(0), 0);
    // An operator decides.
    let confirm = RegisterSolutionRequest { solution: "newco".into(), confirm: "newco".into(), ..Default::default() };
    replica.admin().register_solution(confirm).await.unwrap();
    soon("it is served again", async || match replica.create("newco", "N-2").await {
        Ok(answer) if answer.database == "djo_newco_db" => Ok(()),
        other => Err(format!("{other:?}")),
    })
    .await;
    assert_eq!(replica.create("acme_corp", "after").await.unwrap().database, ACME_DATABASE);
    nothing_is_left(&standby, &[&replica]).await;
}
