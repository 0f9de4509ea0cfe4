//! What a cluster's faults look like to a client, and that it survives them.

use std::{
    path::Path,
    time::{Duration, Instant},
};

use fbs_router_sandbox::{Cluster, Options, cluster, soon};
use tokio::time::timeout;

async fn scratch() -> Cluster {
    Cluster::start(Options::default()).await.unwrap()
}

#[tokio::test]
async fn killed_cluster_comes_back_with_every_acknowledged_row() {
    let cluster = Cluster::start(Options { tcp: true, ..Options::default() }).await.unwrap();
    let (port, folder) = (cluster.port(), cluster.socket_directory().to_owned());
    let client = cluster.connect("postgres").await.unwrap();
    client.batch_execute("create table kept (id int)").await.unwrap();
    for round in 1..=3_i64 {
        let client = cluster.connect("postgres").await.unwrap();
        client.batch_execute("insert into kept values (1)").await.unwrap();
        let begin = Instant::now();
        cluster.kill().await.unwrap();
        println!("kill {:?}", begin.elapsed());
        assert_eq!(cluster.postmaster().await, None);
        client.batch_execute("select 1").await.unwrap_err();
        assert!(folder.exists(), "the watchdog must not take the folder");
        cluster.connect("postgres").await.unwrap_err();
        let begin = Instant::now();
        cluster.start_again().await.unwrap();
        println!("start_again {:?}", begin.elapsed());
        assert_eq!((cluster.port(), cluster.socket_directory()), (port, folder.as_path()));
        let client = cluster.connect("postgres").await.unwrap();
        let count: i64 = client.query_one("select count(*) from kept", &[]).await.unwrap().get(0);
        assert_eq!(count, round);
    }
}

#[tokio::test]
async fn kill_takes_a_busy_backend_too() {
    let cluster = scratch().await;
    let client = cluster.connect("postgres").await.unwrap();
    let backend: i32 = client.query_one("select pg_backend_pid()", &[]).await.unwrap().get(0);
    // Never waits, so it would not notice the postmaster's death by itself.
    let busy = tokio::spawn(async move { client.batch_execute("do $$ begin loop end loop; end $$").await });
    soon("the backend is busy", async || {
        let client = cluster.connect("postgres").await.map_err(|error| error.to_string())?;
        let query = "select state from pg_stat_activity where pid = $1";
        let state: String = client.query_one(query, &[&backend]).await.map_err(|error| error.to_string())?.get(0);
        if state == "active" { Ok(()) } else { Err(state) }
    })
    .await;
    cluster.kill().await.unwrap();
    busy.await.unwrap().unwrap_err();
    let stat = std::fs::read_to_string(format!("/proc/{backend}/stat")).unwrap_or_default();
    assert!(stat.is_empty() || stat.contains(") Z "), "{stat}");
    let folder = cluster.socket_directory().to_owned();
    drop(cluster);
    assert!(!folder.exists());
}

#[tokio::test]
async fn stopped_cluster_comes_back() {
    let cluster = scratch().await;
    cluster.start_again().await.map_err(|error| assert!(matches!(error, cluster::Error::Running))).unwrap_err();
    let _client = cluster.connect("postgres").await.unwrap();
    cluster.stop().await.unwrap();
    assert!(matches!(cluster.stop().await, Err(cluster::Error::NotRunning)));
    assert!(matches!(cluster.freeze().await, Err(cluster::Error::NotRunning)));
    cluster.start_again().await.unwrap();
    cluster.connect("postgres").await.unwrap();
}

#[tokio::test]
async fn frozen_cluster_hangs_queries_and_thaw_releases_them() {
    let cluster = scratch().await;
    let client = cluster.connect("postgres").await.unwrap();
    cluster.freeze().await.unwrap();
    cluster.freeze().await.unwrap();
    let query = client.query_one("select 1", &[]);
    tokio::pin!(query);
    timeout(Duration::from_millis(300), &mut query).await.unwrap_err();
    timeout(Duration::from_millis(300), cluster.connect("postgres")).await.unwrap_err();
    cluster.thaw().await.unwrap();
    query.await.unwrap();
    cluster.connect("postgres").await.unwrap();
}

#[tokio::test]
async fn frozen_cluster_can_be_killed_stopped_and_dropped() {
    let cluster = scratch().await;
    let _client = cluster.connect("postgres").await.unwrap();
    cluster.freeze().await.unwrap();
    cluster.kill().await.unwrap();
    cluster.start_again().await.unwrap();
    cluster.connect("postgres").await.unwrap();
    cluster.freeze().await.unwrap();
    cluster.stop().await.unwrap();
    cluster.start_again().await.unwrap();
    let _client = cluster.connect("postgres").await.unwrap();
    cluster.freeze().await.unwrap();
    let (folder, postmaster) = (cluster.socket_directory().to_owned(), cluster.postmaster().await.unwrap());
    let begin = Instant::now();
    drop(cluster);
    assert!(begin.elapsed() < Duration::from_secs(3), "{:?}", begin.elapsed());
    assert!(!folder.exists() && !Path::new(&format!("/proc/{postmaster}")).exists());
}

#[tokio::test]
async fn one_frozen_process_stops_alone_until_thaw() {
    let cluster = scratch().await;
    let (client, other) = (cluster.connect("postgres").await.unwrap(), cluster.connect("postgres").await.unwrap());
    let pid: i32 = client.query_one("select pg_backend_pid()", &[]).await.unwrap().get(0);
    cluster.freeze_one(pid.unsigned_abs()).await.unwrap();
    let query = client.query_one("select 1", &[]);
    tokio::pin!(query);
    timeout(Duration::from_millis(300), &mut query).await.unwrap_err();
    other.query_one("select 1", &[]).await.unwrap();
    // The postmaster as well: who is in goes on, and nobody comes in.
    cluster.freeze_one(cluster.postmaster().await.unwrap()).await.unwrap();
    other.query_one("select 1", &[]).await.unwrap();
    timeout(Duration::from_millis(300), cluster.connect("postgres")).await.unwrap_err();
    cluster.thaw().await.unwrap();
    query.await.unwrap();
    cluster.connect("postgres").await.unwrap();
    // Not one of ours.
    cluster.freeze_one(std::process::id()).await.unwrap_err();
}

#[tokio::test]
async fn killed_backend_takes_the_others_with_it_and_the_server_recovers() {
    let cluster = scratch().await;
    let (client, other) = (cluster.connect("postgres").await.unwrap(), cluster.connect("postgres").await.unwrap());
    let pid: i32 = client.query_one("select pg_backend_pid()", &[]).await.unwrap().get(0);
    let postmaster = cluster.postmaster().await;
    cluster.kill_backend(pid.unsigned_abs()).await.unwrap();
    soon("the other session ends", async || match other.query_one("select 1", &[]).await {
        Err(_) => Ok(()),
        Ok(_) => Err("it goes on"),
    })
    .await;
    soon("it lets sessions in", async || cluster.connect("postgres").await.map(drop)).await;
    assert_eq!(cluster.postmaster().await, postmaster);
}

#[tokio::test]
async fn small_disk_is_full_soon_and_goes_with_its_server() {
    if !Cluster::may_have_small_disk() {
        eprintln!("SKIPPED: this system lets nobody have namespaces of his own, and so no small disk");
        return;
    }
    let cluster = Cluster::start(Options { small_disk_mib: Some(8), ..Options::default() }).await.unwrap();
    let client = cluster.connect("postgres").await.unwrap();
    let location = format!("create tablespace small location '{}'", cluster.small_disk().display());
    client.batch_execute(&location).await.unwrap();
    client.batch_execute("create table filler (bytes text) tablespace small").await.unwrap();
    let fill = "insert into filler select repeat(md5(n::text), 30) from generate_series(1, 100000) n";
    let full = client.batch_execute(fill).await.unwrap_err();
    assert_eq!(full.code(), Some(&tokio_postgres::error::SqlState::DISK_FULL));
    client.batch_execute("drop table filler").await.unwrap();
    client.batch_execute("create table filler (bytes text) tablespace small").await.unwrap();
    client.batch_execute("insert into filler values ('there is room again')").await.unwrap();
    let folder = cluster.socket_directory().to_owned();
    drop(cluster);
    assert!(!folder.exists());
}
