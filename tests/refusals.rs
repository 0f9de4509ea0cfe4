//! What `serve` does not begin with, and `check` finds: each with the flag that says it is wanted.

use std::{
    os::unix::fs::PermissionsExt,
    path::Path,
    process::{Output, Stdio},
    time::Duration,
};

use tokio::{
    io::{AsyncBufReadExt, BufReader},
    process::{Child, Command},
};

use crate::support::{World, authority::Authority, process::binary, wire::metrics};

const PLAINTEXT: &str = "--insecure-plaintext";
const NO_AUTH: &str = "--insecure-no-auth";
const DB_TLS: &str = "--insecure-db-tls";
const DURABILITY: &str = "--allow-unsafe-durability";

fn command(world: &World, name: &str, configuration: &str, flags: &[&str]) -> Command {
    let path = world.folder.path().join("refused.toml");
    std::fs::write(&path, configuration).unwrap();
    let mut command = Command::new(binary());
    command.arg(name).arg("--config").arg(path).args(flags).env_remove("FBS_ROUTER_CONFIG");
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    command
}

/// Ends within its time: what it said on both streams, and its exit code.
async fn run(world: &World, name: &str, configuration: &str, flags: &[&str]) -> (Option<i32>, String) {
    let output = command(world, name, configuration, flags).output();
    let output: Output = tokio::time::timeout(Duration::from_secs(20), output).await.expect("it ends").unwrap();
    let said = [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
    (output.status.code(), said.concat())
}

/// That both refuse it, and the words that both say.
async fn refused(world: &World, configuration: &str, flags: &[&str], words: &[&str]) -> String {
    let mut all = String::new();
    for name in ["serve", "check"] {
        let (code, said) = run(world, name, configuration, flags).await;
        assert_eq!(code, Some(78), "{name}: {said}");
        for word in words {
            assert!(said.contains(word), "{name}: {word} is missing: {said}");
        }
        all.push_str(&said);
    }
    all
}

/// A service that serves; dropped, it is killed.
async fn serves(world: &World, configuration: &str, flags: &[&str]) -> Child {
    let mut child = command(world, "serve", configuration, flags).spawn().unwrap();
    said(&mut child, "ready").await;
    child
}

/// Reads the log up to a line with that word.
async fn said(child: &mut Child, word: &str) -> String {
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
    let reading = async {
        while let Some(line) = lines.next_line().await.unwrap() {
            if line.contains(word) && !line.contains("not ready") {
                return line;
            }
        }
        panic!("it ended");
    };
    tokio::time::timeout(Duration::from_secs(20), reading).await.expect(word)
}

fn mode(path: &Path, mode: u32) {
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn everything_unsafe_is_told_at_once_each_with_its_flag() {
    let world = World::new().await;
    let far = "[[server]]\nname = \"far\"\nurl = \"postgres://fbs_router@192.0.2.1\"\ntls = \"disable\"\n";
    let open =
        world.configuration(&world.platform.url(), far).replace("grpc = \"127.0.0.1:0\"", "grpc = \"0.0.0.0:0\"");
    let password = world.folder.path().join("password");
    mode(&password, 0o644);
    let chmod = format!("chmod 600 {}", password.display());
    let all = [PLAINTEXT, NO_AUTH, DB_TLS, DURABILITY, &chmod];
    refused(&world, &open, &[], &all).await;
    // A flag is for its own situation alone.
    for flag in [PLAINTEXT, NO_AUTH, DB_TLS, DURABILITY] {
        let others: Vec<&str> = all.iter().filter(|other| **other != flag).copied().collect();
        let (code, said) = run(&world, "check", &open, &[flag]).await;
        assert_eq!(code, Some(78));
        assert!(!said.contains(flag), "{flag}: {said}");
        assert!(others.iter().all(|other| said.contains(other)), "{flag}: {said}");
    }
    // Nothing says that the secret file is wanted so.
    let said = refused(&world, &open, &[PLAINTEXT, NO_AUTH, DB_TLS, DURABILITY], &[&chmod]).await;
    assert!(!said.contains("--"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_open_address_with_tls_needs_no_flag_for_plain_text() {
    let world = World::new().await;
    let authority = Authority::new();
    let text = world.encrypted(&authority.issue("localhost"), "", "");
    let text = text.replace("grpc = \"127.0.0.1:0\"", "grpc = \"0.0.0.0:0\"");
    let said = refused(&world, &text, &[DURABILITY], &[NO_AUTH]).await;
    assert!(!said.contains(PLAINTEXT), "{said}");
    drop(serves(&world, &text, &[DURABILITY, NO_AUTH]).await);
    // What cannot be served is told with the rest.
    authority.issue_expired("localhost").put(world.folder.path());
    refused(&world, &text, &[DURABILITY], &[NO_AUTH, "expired"]).await;
    authority.issue("localhost").put(world.folder.path());
    mode(&world.folder.path().join("tls.key"), 0o640);
    refused(&world, &text, &[DURABILITY, NO_AUTH], &["chmod 600", "tls.key"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn secret_files_are_their_owners_alone() {
    let world = World::new().await;
    let keys = world.file("keys", &"1".repeat(64));
    let text = world.configuration(&world.platform.url(), &format!("[tokens]\nkey_file = \"{}\"\n", keys.display()));
    drop(serves(&world, &text, &[DURABILITY]).await);
    for (path, modes) in [(&keys, [0o640, 0o604]), (&world.folder.path().join("password"), [0o660, 0o644])] {
        for bits in modes {
            mode(path, bits);
            refused(&world, &text, &[DURABILITY], &[&format!("chmod 600 {}", path.display())]).await;
        }
        mode(path, 0o400);
    }
    drop(serves(&world, &text, &[DURABILITY]).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_postgres_that_may_lose_acknowledged_writes_is_not_served_from() {
    let world = World::new().await;
    let text = world.configuration(&world.platform.url(), "");
    refused(&world, &text, &[], &["fsync = off", "full_page_writes = off", DURABILITY]).await;
    world.platform.implementer().run("postgres", "ALTER ROLE fbs_router SET synchronous_commit = off").await.unwrap();
    refused(&world, &text, &[], &["synchronous_commit = off", DURABILITY]).await;
    drop(serves(&world, &text, &[DURABILITY]).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_postgres_that_is_down_stops_no_start_and_what_it_lacks_is_told_later() {
    let world = World::new().await;
    world.platform.cluster.stop().await.unwrap();
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let text = world.configuration(&world.platform.url(), "[routing]\nscan_interval = \"300ms\"\n");
    let text = text.replace("ops = \"127.0.0.1:0\"", &format!("ops = \"127.0.0.1:{port}\""));
    let mut child = command(&world, "serve", &text, &[]).spawn().unwrap();
    let mut log = BufReader::new(child.stderr.take().unwrap()).lines();
    let mut seen = async |words: &[&str]| {
        let reading = async {
            let mut missing = words.to_vec();
            while !missing.is_empty() {
                let line = log.next_line().await.unwrap().expect("it goes on");
                missing.retain(|word| !line.contains(word));
            }
        };
        tokio::time::timeout(Duration::from_secs(20), reading).await.expect(words[0]);
    };
    // In either order: they are tried at once.
    seen(&["catalog scan failed", "ledger cannot be read"]).await;
    world.platform.cluster.start_again().await.unwrap();
    seen(&["may lose acknowledged writes"]).await;
    let at = std::net::SocketAddr::from(([127, 0, 0, 1], port));
    assert_eq!(metrics(at).await["fbs_router_unsafe_durability{server=\"main\"}"], 2.0);
    assert!(child.try_wait().unwrap().is_none(), "it serves");
}

#[cfg(target_os = "linux")]
#[tokio::test(flavor = "multi_thread")]
async fn a_crash_leaves_no_core_with_secrets() {
    let world = World::new().await;
    let child = serves(&world, &world.configuration(&world.platform.url(), ""), &[DURABILITY]).await;
    let limits = std::fs::read_to_string(format!("/proc/{}/limits", child.id().unwrap())).unwrap();
    let core = limits.lines().find(|line| line.starts_with("Max core file size")).unwrap();
    assert_eq!(core.split_whitespace().collect::<Vec<_>>()[4..6], ["0", "0"], "{core}");
}
