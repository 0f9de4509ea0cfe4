//! `grpc.health.v1`: whether this process can answer; never about one solution.
//!
//! Knows `""`, `liveness` and the service names. `liveness` is SERVING as long as the process is; the others follow
//! [`Readiness`], and go NOT_SERVING for good when the service drains.

use std::{sync::Arc, time::Duration};

use tokio::sync::watch;
use tonic_health::{ServingStatus, server::HealthReporter};

use crate::routing::{Readiness, Router};

/// Every name that follows readiness.
const NAMES: [&str; 4] =
    ["", "fbs.router.v1.RouterService", "fbs.document.v1.DocumentService", "fbs.admin.v1.AdminService"];
/// How often readiness is looked at; it is a handful of reads from memory.
const INTERVAL: Duration = Duration::from_millis(100);

/// What is reported now, for `/readyz`.
pub type Reported = watch::Receiver<Readiness>;

/// The initial report: NOT_SERVING, before anything listens. (The library would begin with SERVING.)
pub async fn begin(reporter: &HealthReporter) {
    for name in NAMES {
        reporter.set_service_status(name, ServingStatus::NotServing).await;
    }
    reporter.set_service_status("liveness", ServingStatus::Serving).await;
}

/// Follows readiness until `draining`; then NOT_SERVING, and no more.
pub async fn follow(
    reporter: HealthReporter,
    router: Arc<Router>,
    reported: watch::Sender<Readiness>,
    mut draining: watch::Receiver<bool>,
) {
    let mut last: Option<Readiness> = None;
    let mut tick = tokio::time::interval(INTERVAL);
    loop {
        tokio::select! {
            _ = tick.tick() => {}
            _ = draining.wait_for(|draining| *draining) => break,
        }
        let now = router.readiness();
        if last.as_ref() == Some(&now) {
            continue;
        }
        let status = match &now {
            Readiness::Ready => {
                tracing::info!("ready");
                ServingStatus::Serving
            }
            Readiness::NotReady(why) => {
                tracing::warn!(why, "not ready");
                ServingStatus::NotServing
            }
        };
        for name in NAMES {
            reporter.set_service_status(name, status).await;
        }
        reported.send_replace(now.clone());
        last = Some(now);
    }
    for name in NAMES {
        reporter.set_service_status(name, ServingStatus::NotServing).await;
    }
    reported.send_replace(Readiness::NotReady("draining".to_owned()));
}

/// Ends every health stream: each would hold the drain.
pub async fn end_streams(reporter: &mut HealthReporter) {
    for name in NAMES.into_iter().chain(["liveness"]) {
        reporter.clear_service_status(name).await;
    }
}
