//! A primary whose standby is promoted under load, is followed: what was acknowledged is there, and nobody is restarted.

use std::sync::atomic::Ordering::Relaxed;

use fbs_router_sandbox::{
    Cluster,
    platform::{ACME_DATABASE, SYSTEM_DATABASE},
    soon,
};
use tonic::Code;

use crate::support::{
    Replica, World,
    load::{Load, NOBODY_KNOWS},
};

const DOWN: (Code, &str) = (Code::Unavailable, "DATABASE_UNAVAILABLE");
/// Of the ledger, while nobody is the primary.
const UNKNOWN: (Code, &str) = (Code::Unavailable, "ROUTE_UNKNOWN");
const FULL: (Code, &str) = (Code::ResourceExhausted, "POOL_EXHAUSTED");
const LATE: (Code, &str) = (Code::DeadlineExceeded, "DEADLINE_EXCEEDED");
const REPLICATED: [(&str, &str); 2] = [("wal_level", "replica"), ("max_wal_senders", "4")];

/// A primary that acknowledges nothing which its standby does not have. None, aloud, where there can be no standby.
async fn pair() -> Option<(World, Cluster)> {
    let world = World::with(&REPLICATED).await;
    let primary = &world.platform.cluster;
    if !primary.binaries().program("pg_basebackup").is_file() {
        eprintln!("SKIPPED: there is no pg_basebackup beside {}", primary.binaries().folder.display());
        return None;
    }
    let standby = primary.start_standby().await.unwrap();
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
        soon("a write is refused", async || if refusals(old) > 0 { Ok(()) } else { Err("not yet") }).await;
        standby.promote().await.unwrap();
        soon("nothing is connected to the old one", async || {
            let sql = "SELECT count(*) FROM pg_stat_activity WHERE usename = 'fbs_router'";
            match client.query_one(sql, &[]).await.unwrap().get::<_, i64>(0) {
                0 => Ok(()),
                other => Err(other),
            }
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
