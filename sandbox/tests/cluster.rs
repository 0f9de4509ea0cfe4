//! A cluster in its ordinary life: start, users, storage, templates.

use std::{
    fs,
    os::unix::fs::{MetadataExt, PermissionsExt},
    path::Path,
    process::Command,
    time::Instant,
};

use fbs_router_sandbox::{Cluster, Options, Storage, binaries, cluster};
use tokio_postgres::{Client, NoTls};

fn in_folder(folder: &Path) -> Options {
    Options { storage: Storage::Folder(folder.to_owned()), ..Options::default() }
}

/// A folder that the server's user can enter, also when we are root.
fn open_folder() -> tempfile::TempDir {
    folder(0o755)
}

/// A folder that nobody but us can enter, like root's home.
fn closed_folder() -> tempfile::TempDir {
    folder(0o700)
}

fn folder(mode: u32) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(mode)).unwrap();
    folder
}

fn own_uid() -> u32 {
    fs::metadata("/proc/self").unwrap().uid()
}

async fn setting(client: &Client, name: &str) -> String {
    client.query_one(&format!("show {name}"), &[]).await.unwrap().get(0)
}

#[tokio::test]
async fn scratch_cluster_serves_by_socket_only_and_leaves_nothing_when_dropped() {
    let cluster = Cluster::start(Options::default()).await.unwrap();
    let client = cluster.connect("postgres").await.unwrap();
    assert_eq!(setting(&client, "listen_addresses").await, "");
    assert_eq!(cluster.tcp_address(), None);
    let folder = cluster.socket_directory().to_owned();
    assert_eq!(fs::metadata(&folder).unwrap().mode() & 0o777, 0o700);
    assert!(cluster.log_path().exists());
    let postmaster = cluster.postmaster().await.unwrap();
    drop(cluster);
    assert!(!folder.exists());
    assert!(!Path::new(&format!("/proc/{postmaster}")).exists());
}

#[tokio::test]
async fn root_starts_a_server_that_runs_as_another_user() {
    if own_uid() != 0 {
        println!("skipped: not root");
        return;
    }
    let cluster = Cluster::start(Options::default()).await.unwrap();
    let postmaster = cluster.postmaster().await.unwrap();
    assert_ne!(fs::metadata(format!("/proc/{postmaster}")).unwrap().uid(), 0);
}

#[tokio::test]
async fn ordinary_user_starts_a_server() {
    if own_uid() != 0 || Command::new("setpriv").arg("--version").output().is_err() {
        println!("skipped: needs root and setpriv to become nobody (as an ordinary user all the other tests cover it)");
        return;
    }
    // A copy, because the build folder may be closed to nobody. Made by another process: what other tests start meanwhile would
    // hold it open for writing, and nobody could execute it.
    let folder = open_folder();
    let copy = folder.path().join("tests");
    assert!(Command::new("cp").arg(std::env::current_exe().unwrap()).arg(&copy).status().unwrap().success());
    let mut nobody = Command::new("setpriv");
    nobody.args(["--reuid", "65534", "--regid", "65534", "--clear-groups"]).arg(copy);
    nobody
        .args(["scratch_cluster_serves", "data_folder_keeps", "--nocapture"])
        .current_dir("/")
        .env("HOME", "/nonexistent");
    let output = nobody.output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && text.contains("2 passed"), "{text}{}", String::from_utf8_lossy(&output.stderr));
}

#[tokio::test]
async fn data_folder_keeps_its_data_and_its_durability() {
    let parent = open_folder();
    let folder = parent.path().join("with a space").join("data");
    fs::create_dir(folder.parent().unwrap()).unwrap();
    fs::set_permissions(folder.parent().unwrap(), fs::Permissions::from_mode(0o755)).unwrap();
    for expected in [0_i64, 1] {
        let cluster = Cluster::start(in_folder(&folder)).await.unwrap();
        let client = cluster.connect("postgres").await.unwrap();
        assert_eq!(setting(&client, "fsync").await, "on");
        client.batch_execute("create table if not exists kept (id int)").await.unwrap();
        let count: i64 = client.query_one("select count(*) from kept", &[]).await.unwrap().get(0);
        assert_eq!(count, expected);
        client.batch_execute("insert into kept values (1)").await.unwrap();
        let sockets = cluster.socket_directory().to_owned();
        drop(cluster);
        assert!(!sockets.exists() && !folder.join("postmaster.pid").exists());
    }
    let beside = fs::read_dir(folder.parent().unwrap()).unwrap().count();
    assert_eq!(beside, 1, "no staging folder stays");
}

#[tokio::test]
async fn a_folder_with_something_else_in_it_is_left_alone() {
    let folder = open_folder();
    fs::write(folder.path().join("thesis.txt"), "irreplaceable").unwrap();
    let refused = Cluster::start(in_folder(folder.path())).await.unwrap_err();
    assert!(matches!(refused, cluster::Error::ForeignFolder(_)), "{refused}");
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
}

#[tokio::test]
async fn a_folder_closed_to_the_servers_user_is_named_in_the_error() {
    if own_uid() != 0 {
        println!("skipped: not root");
        return;
    }
    let folder = closed_folder();
    let refused = Cluster::start(in_folder(&folder.path().join("data"))).await.unwrap_err();
    assert!(matches!(refused, cluster::Error::Closed { .. }), "{refused}");
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0, "the staging folder goes too");
}

#[tokio::test]
async fn a_server_that_cannot_start_tells_its_log() {
    let settings = vec![("no_such_setting".to_owned(), "1".to_owned())];
    let refused = Cluster::start(Options { settings, ..Options::default() }).await.unwrap_err();
    assert!(refused.to_string().contains("no_such_setting"), "{refused}");
}

#[tokio::test]
async fn tcp_needs_a_password_from_everybody_but_the_two_owners() {
    let cluster = Cluster::start(Options { tcp: true, ..Options::default() }).await.unwrap();
    let client = cluster.connect("postgres").await.unwrap();
    client.batch_execute("create role fbs_owner login; create role tenant login password 'right'").await.unwrap();
    let port = cluster.tcp_address().unwrap().port();
    assert_eq!(port, cluster.port());
    for (user, password, expected) in
        [("postgres", "", true), ("fbs_owner", "", true), ("tenant", "right", true), ("tenant", "wrong", false)]
    {
        for host in ["127.0.0.1", cluster.socket_directory().to_str().unwrap()] {
            let mut config = tokio_postgres::Config::new();
            config.host(host).port(port).user(user).password(password).dbname("postgres");
            assert_eq!(config.connect(NoTls).await.is_ok(), expected, "{user} {password} {host}");
        }
    }
}

#[tokio::test]
async fn template_saves_initdb_and_carries_the_data() {
    let folder = closed_folder();
    let template = folder.path().join("template");
    let first = Cluster::start(Options::default()).await.unwrap();
    let client = first.connect("postgres").await.unwrap();
    client.batch_execute("create database tenant").await.unwrap();
    first.save_as_template(&template).await.unwrap();
    first.save_as_template(&template).await.unwrap_err(); // not running any more
    first.start_again().await.unwrap();
    first.save_as_template(&template).await.unwrap(); // lost the race: discarded
    drop(first);
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);

    let found = binaries::find().unwrap();
    for _ in 0..5 {
        let options = Options { template: Some(template.clone()), ..Options::default() };
        let options = Options { binaries: Some(found.clone()), ..options };
        let begin = Instant::now();
        let copy = Cluster::start(options).await.unwrap();
        let ready = begin.elapsed();
        copy.connect("tenant").await.unwrap();
        let connected = begin.elapsed();
        let begin = Instant::now();
        drop(copy);
        println!("start from template {ready:?}, connected {connected:?}, drop {:?}", begin.elapsed());
    }
    fs::write(template.join("PG_VERSION"), "9\n").unwrap();
    let refused = Cluster::start(Options { template: Some(template), ..Options::default() }).await.unwrap_err();
    assert!(matches!(refused, cluster::Error::OtherMajor { .. }), "{refused}");
}
