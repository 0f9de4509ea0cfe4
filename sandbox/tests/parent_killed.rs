//! `kill -9` for the process that started a cluster leaves no process and no folder.
//!
//! The parent is this test binary once more, with a variable set; its scratch place is a folder of
//! its own, so that "nothing is left" can be read off that folder and off the command lines.

use std::{
    fs,
    io::{BufRead, BufReader},
    os::unix::fs::PermissionsExt,
    path::Path,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use fbs_router_sandbox::{Cluster, Options, Storage, soon};

const FREEZE: &str = "FBS_TEST_FREEZE";
const FOLDER: &str = "FBS_TEST_FOLDER";
const SCRATCH: &str = "FBS_SANDBOX_SCRATCH";

/// Not a test of its own: the parent that gets killed.
#[tokio::test]
#[ignore = "the parent process of the other tests"]
async fn parent() {
    let storage = std::env::var_os(FOLDER).map_or(Storage::Scratch, |folder| Storage::Folder(folder.into()));
    let cluster = Cluster::start(Options { storage, ..Options::default() }).await.unwrap();
    let _client = cluster.connect("postgres").await.unwrap();
    if std::env::var_os(FREEZE).is_some() {
        cluster.freeze().await.unwrap();
    }
    eprintln!("ready");
    std::future::pending().await
}

fn place() -> tempfile::TempDir {
    let place = tempfile::Builder::new().prefix("t").rand_bytes(4).tempdir_in("/tmp").unwrap();
    fs::set_permissions(place.path(), fs::Permissions::from_mode(0o755)).unwrap();
    place
}

fn spawn_parent(place: &Path, more: &[(&str, &Path)]) -> Child {
    let mut parent = Command::new(std::env::current_exe().unwrap());
    parent
        .args(["--exact", "parent_killed::parent", "--ignored", "--nocapture"])
        .env(SCRATCH, place)
        .envs(more.iter().copied());
    parent.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap()
}

fn wait_until_ready(parent: &mut Child) {
    let lines = BufReader::new(parent.stderr.take().unwrap()).lines();
    assert!(lines.map_while(Result::ok).any(|line| line == "ready"));
}

/// Command lines of processes that work in `place`, zombies (which have none) left out.
fn processes_in(place: &Path) -> Vec<String> {
    let mark = place.to_str().unwrap();
    let running = fs::read_dir("/proc").unwrap().flatten().filter_map(|process| {
        let read = |name: &str| fs::read(process.path().join(name)).unwrap_or_default();
        let text = String::from_utf8_lossy(&[read("cmdline"), read("environ")].concat()).into_owned();
        let own = process.file_name().to_str() == Some(std::process::id().to_string().as_str());
        // Backends rename themselves, but all of them keep the data folder as their cwd.
        let inside = fs::read_link(process.path().join("cwd")).is_ok_and(|cwd| cwd.starts_with(place));
        (!own && (text.contains(mark) || inside)).then_some(text)
    });
    running.collect()
}

async fn nothing_is_left(place: &Path, expected: &[&str]) {
    soon("no process and no folder of the killed parent", async || {
        let mut names: Vec<_> = fs::read_dir(place).unwrap().flatten().map(|entry| entry.file_name()).collect();
        names.retain(|name| !expected.iter().any(|expected| name == expected));
        let processes = processes_in(place);
        if names.is_empty() && processes.is_empty() { Ok(()) } else { Err(format!("{names:?} {processes:?}")) }
    })
    .await;
}

#[tokio::test]
async fn killed_parent_leaves_no_process_and_no_folder() {
    for _ in 0..3 {
        let place = place();
        let mut parent = spawn_parent(place.path(), &[]);
        wait_until_ready(&mut parent);
        assert!(processes_in(place.path()).len() > 3);
        parent.kill().unwrap();
        let begin = Instant::now();
        parent.wait().unwrap();
        while fs::read_dir(place.path()).unwrap().next().is_some() && begin.elapsed() < Duration::from_secs(10) {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        println!("folder gone {:?} after kill -9", begin.elapsed());
        nothing_is_left(place.path(), &[]).await;
    }
}

#[tokio::test]
async fn parent_killed_at_any_moment_of_the_start_leaves_nothing() {
    // Dense at the beginning, where steps are short; initdb takes most of the rest.
    for wait_ms in (0..12).map(|step| step * step * 10) {
        let place = place();
        let mut parent = spawn_parent(place.path(), &[]);
        tokio::time::sleep(Duration::from_millis(wait_ms)).await;
        parent.kill().unwrap();
        parent.wait().unwrap();
        nothing_is_left(place.path(), &[]).await;
    }
}

#[tokio::test]
async fn parent_killed_while_its_cluster_is_frozen_leaves_nothing() {
    let place = place();
    let mut parent = spawn_parent(place.path(), &[(FREEZE, Path::new("1"))]);
    wait_until_ready(&mut parent);
    parent.kill().unwrap();
    let begin = Instant::now();
    parent.wait().unwrap();
    nothing_is_left(place.path(), &[]).await;
    println!("frozen: nothing left {:?} after kill -9", begin.elapsed());
}

#[tokio::test]
async fn killed_parent_leaves_a_durable_folder_cleanly_shut_down() {
    let place = place();
    let data = place.path().join("kept");
    for wait_ms in [Some(50), Some(300), Some(700), None] {
        let mut parent = spawn_parent(place.path(), &[(FOLDER, &data)]);
        match wait_ms {
            Some(wait_ms) => tokio::time::sleep(Duration::from_millis(wait_ms)).await,
            None => wait_until_ready(&mut parent),
        }
        parent.kill().unwrap();
        parent.wait().unwrap();
        nothing_is_left(place.path(), &["kept"]).await;
    }
    assert!(data.join("PG_VERSION").exists() && !data.join("postmaster.pid").exists());
    let log = fs::read_to_string(data.join("server.log")).unwrap();
    assert!(log.trim_end().ends_with("database system is shut down"), "{log}");
}
