//! A start that is given up leaves nothing. It counts what its process has started: a program of its own.

use std::fs;

use fbs_router_sandbox::{Cluster, Options, soon};

#[tokio::test]
async fn a_cancelled_start_leaves_nothing() {
    let scratch = || {
        fs::read_dir("/proc")
            .unwrap()
            .flatten()
            .filter(|process| {
                let command = fs::read(process.path().join("cmdline")).unwrap_or_default();
                let own = fs::read_to_string(process.path().join("stat")).unwrap_or_default();
                String::from_utf8_lossy(&command).contains("fbs-router-watchdog")
                    && own.contains(&format!(" S {} ", std::process::id()))
            })
            .count()
    };
    let before = scratch();
    for wait_ms in [1, 20, 100, 400] {
        let wait = std::time::Duration::from_millis(wait_ms);
        let _cancelled = tokio::time::timeout(wait, Cluster::start(Options::default())).await;
    }
    soon("the watchdogs of this test are gone", async || {
        let now = scratch();
        if now <= before { Ok(()) } else { Err(format!("{now} watchdogs, {before} before")) }
    })
    .await;
}
