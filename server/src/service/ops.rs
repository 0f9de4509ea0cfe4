//! The ops listener: `/metrics`, `/livez`, `/readyz` over HTTP, for whoever does not speak gRPC.

use std::{fmt::Write, sync::Arc};

use axum::{Router as HttpRouter, extract::State, http::StatusCode, routing::get};
use tokio::net::TcpListener;

use super::{Reported, places::Places, tls::ServerTls};
use crate::{
    metrics::{Counter, Metrics},
    postgres::{BudgetStatus, Pools, pool::Why},
    routing::{Readiness, Router},
    rpc::in_flight::Shares,
};

#[derive(Clone)]
struct Page {
    router: Arc<Router>,
    metrics: Arc<Metrics>,
    entrance: Entrance,
    reported: Reported,
}

/// What is told of callers' connections, and of their calls' memory.
#[derive(Debug, Clone)]
pub(super) struct Entrance {
    pub(super) places: Arc<Places>,
    pub(super) tls: Option<Arc<ServerTls>>,
    pub(super) shares: Arc<Shares>,
}

/// The three pages.
pub(super) fn page(router: Arc<Router>, metrics: Arc<Metrics>, entrance: Entrance, reported: Reported) -> HttpRouter {
    HttpRouter::new()
        .route("/livez", get(async || "ok\n"))
        .route("/readyz", get(ready))
        .route("/metrics", get(render))
        .with_state(Page { router, metrics, entrance, reported })
}

/// Serves until the task is aborted.
pub(super) async fn serve(listener: TcpListener, page: HttpRouter) {
    if let Err(error) = axum::serve(listener, page).await {
        tracing::error!(%error, "the ops listener ended");
    }
}

async fn ready(State(page): State<Page>) -> (StatusCode, String) {
    match &*page.reported.borrow() {
        Readiness::Ready => (StatusCode::OK, "ready\n".to_owned()),
        Readiness::NotReady(why) => (StatusCode::SERVICE_UNAVAILABLE, format!("{why}\n")),
    }
}

async fn render(State(page): State<Page>) -> String {
    let mut out = String::new();
    let mut before = "";
    for Counter { name, label, help, value } in page.metrics.counters() {
        if name != before {
            let _ = writeln!(out, "# HELP {name} {help}\n# TYPE {name} counter");
        }
        let _ = writeln!(out, "{name}{label} {value}");
        before = name;
    }
    callers(&mut out, &page.entrance);
    let (dedicated, system) = page.router.placements();
    let ready = i32::from(*page.reported.borrow() == Readiness::Ready);
    let _ = writeln!(
        out,
        "# HELP fbs_router_ready Whether calls are answered.\n# TYPE fbs_router_ready gauge\nfbs_router_ready {ready}"
    );
    let _ = writeln!(
        out,
        "# HELP fbs_router_placements Placements recorded.\n# TYPE fbs_router_placements gauge\n\
         fbs_router_placements{{placement=\"dedicated\"}} {dedicated}\n\
         fbs_router_placements{{placement=\"system\"}} {system}"
    );
    out.push_str("# HELP fbs_router_catalog_age_seconds Age of the last good catalog scan.\n# TYPE fbs_router_catalog_age_seconds gauge\n");
    for (server, age) in page.router.catalog_ages() {
        if let Some(age) = age {
            let _ = writeln!(out, "fbs_router_catalog_age_seconds{{server=\"{server}\"}} {:.3}", age.as_secs_f64());
        }
    }
    out.push_str("# HELP fbs_router_unsafe_durability Settings with which a Postgres server may lose acknowledged writes.\n# TYPE fbs_router_unsafe_durability gauge\n");
    for (server, settings) in page.router.unsafe_settings() {
        let _ = writeln!(out, "fbs_router_unsafe_durability{{server=\"{server}\"}} {}", settings.len());
    }
    pools(&mut out, page.router.pools());
    out
}

fn pools(out: &mut String, pools: &Pools) {
    let (mut size, mut idle, open) = (0, 0, pools.status());
    for (_, status) in &open {
        size += status.size;
        idle += status.idle;
    }
    let _ = writeln!(
        out,
        "# HELP fbs_router_pool_connections Pooled connections.\n# TYPE fbs_router_pool_connections gauge\n\
         fbs_router_pool_connections{{state=\"idle\"}} {idle}\n\
         fbs_router_pool_connections{{state=\"used\"}} {}\n\
         # HELP fbs_router_pools Pools open.\n# TYPE fbs_router_pools gauge\nfbs_router_pools {}",
        size - idle.min(size),
        open.len()
    );
    out.push_str(
        "# HELP fbs_router_connections_closed_total Pooled connections closed while nobody used them.\n\
         # TYPE fbs_router_connections_closed_total counter\n",
    );
    for why in Why::ALL {
        let (name, count) = (why.name(), pools.closed(why));
        let _ = writeln!(out, "fbs_router_connections_closed_total{{reason=\"{name}\"}} {count}");
    }
    let mut lines = [String::new(), String::new()];
    for server in pools.servers() {
        let name = &server.name;
        let _ = writeln!(lines[0], "fbs_router_connects_total{{server=\"{name}\"}} {}", server.opened());
        for (class, count) in server.failures() {
            let labels = format!("server=\"{name}\",sqlstate_class=\"{class}\"");
            let _ = writeln!(lines[1], "fbs_router_connects_failed_total{{{labels}}} {count}");
        }
    }
    let [connects, failed] = lines;
    let _ = write!(
        out,
        "# HELP fbs_router_connects_total Attempts to connect to a server.\n\
         # TYPE fbs_router_connects_total counter\n{connects}\
         # HELP fbs_router_connects_failed_total Those that failed, by class of SQLSTATE.\n\
         # TYPE fbs_router_connects_failed_total counter\n{failed}"
    );
    let _ = writeln!(
        out,
        "# HELP fbs_router_lookups_together_total Lookups that shared a connection with others.\n\
         # TYPE fbs_router_lookups_together_total counter\nfbs_router_lookups_together_total {}",
        pools.lookups_together()
    );
    budgets(out, pools);
}

fn budgets(out: &mut String, pools: &Pools) {
    let budgets = pools.budgets();
    let mut gauge = |name: &str, help: &str, value: &dyn Fn(&BudgetStatus) -> f64| {
        let _ = writeln!(out, "# HELP {name} {help}\n# TYPE {name} gauge");
        for (server, budget) in &budgets {
            let _ = writeln!(out, "{name}{{server=\"{server}\"}} {}", value(budget));
        }
    };
    gauge("fbs_router_budget_limit", "Connections that may be in use now.", &|budget| budget.limit as f64);
    gauge("fbs_router_budget_used", "Connections in use, being made or cleaned.", &|budget| budget.used as f64);
    gauge("fbs_router_budget_waiting", "Callers waiting for their turn.", &|budget| budget.waiting as f64);
    gauge("fbs_router_budget_longest_wait_seconds", "How long the first of them has waited.", &|budget| {
        budget.longest_wait.as_secs_f64()
    });
    let mut lines = [String::new(), String::new()];
    for (server, unreachable, databases) in pools.out_of_order() {
        let _ = writeln!(lines[0], "fbs_router_server_unreachable{{server=\"{server}\"}} {}", i32::from(unreachable));
        let _ = writeln!(lines[1], "fbs_router_databases_refusing{{server=\"{server}\"}} {databases}");
    }
    let [unreachable, refusing] = lines;
    let _ = write!(
        out,
        "# HELP fbs_router_server_unreachable Whether connections to a server failed last.\n\
         # TYPE fbs_router_server_unreachable gauge\n{unreachable}\
         # HELP fbs_router_databases_refusing Databases that cannot be entered for a reason of their own.\n\
         # TYPE fbs_router_databases_refusing gauge\n{refusing}"
    );
}

fn callers(out: &mut String, entrance: &Entrance) {
    let _ = writeln!(
        out,
        "# HELP fbs_router_connections Callers' connections open, handshakes included.\n\
         # TYPE fbs_router_connections gauge\nfbs_router_connections {}",
        entrance.places.taken()
    );
    let _ = writeln!(
        out,
        "# HELP fbs_router_in_flight_bytes Memory that calls in flight hold.\n\
         # TYPE fbs_router_in_flight_bytes gauge\nfbs_router_in_flight_bytes {}\n\
         # HELP fbs_router_in_flight_refused_total Calls refused because it would have been too much.\n\
         # TYPE fbs_router_in_flight_refused_total counter\nfbs_router_in_flight_refused_total {}",
        entrance.shares.held(),
        entrance.shares.refused()
    );
    if let Some(tls) = &entrance.tls {
        let _ = writeln!(
            out,
            "# HELP fbs_router_tls_certificate_expiry_seconds When the certificate in use expires, since 1970.\n\
             # TYPE fbs_router_tls_certificate_expiry_seconds gauge\n\
             fbs_router_tls_certificate_expiry_seconds {}",
            tls.expires()
        );
    }
}
