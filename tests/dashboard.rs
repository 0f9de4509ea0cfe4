//! What `deploy/` draws and watches is what a router tells, and what Prometheus makes of it.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::{SocketAddr, TcpListener},
    path::Path,
    process::{Child, Command, Stdio},
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

/// A Prometheus of its own. Ends with its standard input, however this process ends.
struct Prometheus {
    at: SocketAddr,
    shell: Child,
    _folder: tempfile::TempDir,
}

impl Prometheus {
    /// Scrapes `router`, and itself, every second. None: it is not installed.
    fn start(router: SocketAddr) -> Option<Self> {
        Command::new("prometheus").arg("--version").output().ok()?;
        let folder = tempfile::tempdir().unwrap();
        let at = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let rules = Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/alerts.yml");
        let configuration = format!(
            "global: {{scrape_interval: 1s, evaluation_interval: 1s}}\nrule_files: [{}]\nscrape_configs:\n\
             - {{job_name: fbs-router, static_configs: [{{targets: ['{router}']}}]}}\n\
             - {{job_name: itself, static_configs: [{{targets: ['{at}']}}]}}\n",
            rules.display()
        );
        std::fs::write(folder.path().join("prometheus.yml"), configuration).unwrap();
        let shell = Command::new("sh")
            .args(["-c", "\"$@\" </dev/null & server=$!; read -r _; kill -9 $server", "sh", "prometheus"])
            .args(["--config.file=prometheus.yml", "--storage.tsdb.path=data", "--log.level=error"])
            .arg(format!("--web.listen-address={at}"))
            .current_dir(folder.path())
            .stdin(Stdio::piped())
            .spawn()
            .unwrap();
        Some(Self { at, shell, _folder: folder })
    }

    /// What an expression comes to: its samples' values.
    async fn query(&self, expression: &str) -> Result<Vec<f64>, String> {
        if tokio::net::TcpStream::connect(self.at).await.is_err() {
            return Err("it does not listen yet".to_owned());
        }
        let escaped: String = expression.bytes().map(|byte| format!("%{byte:02x}")).collect();
        let (status, body) = http_get(self.at, &format!("/api/v1/query?query={escaped}")).await;
        let answer: serde_json::Value = serde_json::from_str(&body).map_err(|error| format!("{error}: {body}"))?;
        let samples = answer["data"]["result"].as_array().filter(|_| status == 200).ok_or(body)?;
        Ok(samples.iter().map(|sample| sample["value"][1].as_str().unwrap().parse().unwrap()).collect())
    }
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        drop(self.shell.stdin.take());
        let _ = self.shell.wait();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_real_prometheus_scrapes_a_router_and_evaluates_what_is_drawn_and_watched() {
    let world = World::new().await;
    let replica = world.replica().await;
    let Some(prometheus) = Prometheus::start(replica.ops) else {
        return eprintln!("skipped: prometheus is not installed");
    };
    world.run("postgres", "ALTER DATABASE djo_acme_corp_db ALLOW_CONNECTIONS false").await;
    assert!(replica.names("acme_corp").await.is_err());
    replica.create("globex", "G-1").await.unwrap();
    soon("it has scraped twice", async || {
        match prometheus.query("min(count_over_time(up{job='fbs-router'}[1m]))").await {
            Ok(scrapes) if scrapes.first().is_some_and(|scrapes| *scrapes >= 2.0) => Ok(()),
            other => Err(format!("{other:?}")),
        }
    })
    .await;
    assert_eq!(prometheus.query("up{job='fbs-router'}").await.unwrap(), [1.0]);
    // Counters are told by names that end as Prometheus expects, so each name that is used is a series.
    let dashboard = deployed("dashboard.json");
    for name in names(&dashboard).union(&names(&deployed("alerts.yml"))).filter(|name| *name != ELSEWHERE) {
        soon(&format!("{name} is a series"), async || match prometheus.query(&format!("count({name})")).await {
            Ok(series) if !series.is_empty() => Ok(()),
            other => Err(format!("{other:?}")),
        })
        .await;
    }
    let shown: serde_json::Value = serde_json::from_str(&dashboard).unwrap();
    let targets = shown["panels"].as_array().unwrap().iter().filter_map(|panel| panel["targets"].as_array());
    for expression in targets.flatten().map(|target| target["expr"].as_str().unwrap()) {
        let drawn = prometheus.query(expression).await.unwrap();
        assert!(!drawn.is_empty() || expression.contains(ELSEWHERE), "{expression} draws nothing");
    }
    soon("the rules were evaluated", async || match prometheus.query("sum(prometheus_rule_evaluations_total)").await {
        Ok(evaluations) if evaluations.first().is_some_and(|evaluations| *evaluations > 0.0) => Ok(()),
        other => Err(format!("{other:?}")),
    })
    .await;
    assert_eq!(prometheus.query("sum(prometheus_rule_evaluation_failures_total)").await.unwrap(), [0.0]);
}
