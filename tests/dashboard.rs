//! What `deploy/` draws and watches is what a router tells.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
    process::Command,
};

use fbs_router_sandbox::soon;

use crate::support::{World, wire::http_get};

fn deployed(name: &str) -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy").join(name)).unwrap()
}

/// Words that begin like our metrics.
fn names(text: &str) -> BTreeSet<String> {
    text.split(|letter: char| !letter.is_ascii_alphanumeric() && letter != '_')
        .filter(|word| word.starts_with("fbs_router_"))
        .map(str::to_owned)
        .collect()
}

/// All names a router tells, with the help of each; a connection has failed, so that nothing is absent.
async fn told() -> BTreeMap<String, String> {
    let world = World::new().await;
    let replica = world.replica().await;
    world.run("postgres", "ALTER DATABASE djo_acme_corp_db ALLOW_CONNECTIONS false").await;
    assert!(replica.names("acme_corp").await.is_err());
    let page = soon("the page is told", async || match http_get(replica.ops, "/metrics").await {
        (200, page) if page.contains("fbs_router_catalog_age_seconds{") => Ok(page),
        (status, page) => Err(format!("{status} {page}")),
    })
    .await;
    let helps = page.lines().filter_map(|line| line.strip_prefix("# HELP ")?.split_once(' '));
    helps.map(|(name, help)| (name.to_owned(), help.to_owned())).collect()
}

/// Told only where callers' connections are encrypted: `tests/callers_tls.rs`.
const ELSEWHERE: &str = "fbs_router_tls_certificate_expiry_seconds";

#[tokio::test(flavor = "multi_thread")]
async fn dashboard_and_alerts_know_no_metric_that_a_router_does_not_tell() {
    let told = told().await;
    let dashboard = deployed("dashboard.json");
    let shown: serde_json::Value = serde_json::from_str(&dashboard).unwrap();
    assert!(shown["panels"].as_array().unwrap().len() > 10);
    for (file, text) in [("dashboard.json", &dashboard), ("alerts.yml", &deployed("alerts.yml"))] {
        let used = names(text);
        assert!(used.len() > 5, "{file} uses {used:?}");
        for name in used {
            assert!(told.contains_key(&name) || name == ELSEWHERE, "{file}: no router tells {name}");
        }
    }
    for (name, help) in told {
        assert!(help.ends_with('.'), "{name}: {help}");
    }
}

#[test]
fn a_real_prometheus_reads_the_rules() {
    let rules = Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/alerts.yml");
    match Command::new("promtool").args(["check", "rules"]).arg(&rules).output() {
        Ok(output) => assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr)),
        Err(_) => eprintln!("skipped: promtool is not installed (Debian's package is `prometheus`)"),
    }
}
