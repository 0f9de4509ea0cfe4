//! The ops listener: `/metrics`, `/livez`, `/readyz` over HTTP, for whoever does not speak gRPC.

use std::{fmt::Write, sync::Arc};

use axum::{Router as HttpRouter, extract::State, http::StatusCode, routing::get};
use tokio::net::TcpListener;

use super::{Reported, places::Places, tls::ServerTls};
use crate::{
    metrics::{Counter, Metrics},
    routing::{Readiness, Router},
};

#[derive(Clone)]
struct Page {
    router: Arc<Router>,
    metrics: Arc<Metrics>,
    entrance: Entrance,
    reported: Reported,
}

/// What is told of callers' connections.
#[derive(Debug, Clone)]
pub(super) struct Entrance {
    pub(super) places: Arc<Places>,
    pub(super) tls: Option<Arc<ServerTls>>,
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
    connections(&mut out, &page.entrance);
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
    let (mut size, mut idle, mut waiting, pools) = (0, 0, 0, page.router.pools().status());
    for (_, status) in &pools {
        size += status.size;
        idle += status.idle;
        waiting += status.waiting;
    }
    let _ = writeln!(
        out,
        "# HELP fbs_router_pool_connections Pooled connections.\n# TYPE fbs_router_pool_connections gauge\n\
         fbs_router_pool_connections{{state=\"idle\"}} {idle}\n\
         fbs_router_pool_connections{{state=\"used\"}} {}\n\
         # HELP fbs_router_pools Pools open.\n# TYPE fbs_router_pools gauge\nfbs_router_pools {}\n\
         # HELP fbs_router_pool_waiting Callers waiting for a connection.\n# TYPE fbs_router_pool_waiting gauge\n\
         fbs_router_pool_waiting {waiting}",
        size - idle.min(size),
        pools.len()
    );
    out
}

fn connections(out: &mut String, entrance: &Entrance) {
    let _ = writeln!(
        out,
        "# HELP fbs_router_connections Callers' connections open, handshakes included.\n\
         # TYPE fbs_router_connections gauge\nfbs_router_connections {}",
        entrance.places.taken()
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
