//! What is refused as soon as the servers have been looked at.
//!
//! Beside the listeners, not before them: a Postgres that hangs must not hold up `liveness` or the end of the process.
//! A server that is down at the start stops nothing either; what shows on it later is an error in the log, and a metric.

use std::{collections::HashMap, time::Duration};

use crate::{
    domain::ServerName,
    routing::{LedgerError, Router},
};

/// How often is looked again: the answer comes from the last scan.
const LOOK: Duration = Duration::from_secs(5);

/// Ends with all that is refused at the first look; if nothing is, it never ends.
///
/// A role that row-level security does not bind is refused always: until it is found out no call gets a connection,
/// because pools prove the role too. It can be found out later too, by `readiness`.
pub(super) async fn watch(router: &Router, unsafe_durability: bool) -> Vec<String> {
    router.tried().await;
    let mut refused = Vec::new();
    if let Some(error @ LedgerError::RoleTooPowerful) = router.ledger_error() {
        refused.push(format!("{error}; make one that is not: fbs-router schema print --roles"));
    }
    if !unsafe_durability {
        if refused.is_empty() {
            std::future::pending::<()>().await;
        }
        return refused;
    }
    let first = lossy(router);
    refused.extend(first.iter().filter_map(|(server, settings)| {
        let (what, remedy) = loss(settings)?;
        Some(format!("durability of Postgres server `{server}`: {what}; {remedy}"))
    }));
    if !refused.is_empty() {
        return refused;
    }
    let mut known = first;
    let mut looks = tokio::time::interval(LOOK);
    loop {
        looks.tick().await;
        let now = lossy(router);
        for (server, settings) in &now {
            if known.get(server) != Some(settings) {
                tracing::error!(%server, off = settings.join(", "), "this Postgres may lose acknowledged writes");
            }
        }
        known = now;
    }
}

/// What a Postgres with those settings off does, and the line that mends it; none: it keeps what it acknowledges.
pub fn loss(off: &[String]) -> Option<(String, String)> {
    let first = off.first()?;
    Some((
        format!("{} = off: a crash loses acknowledged writes", off.join(" = off, ")),
        format!("ALTER SYSTEM SET {first} = on, and reload; or say --allow-unsafe-durability"),
    ))
}

fn lossy(router: &Router) -> HashMap<ServerName, Vec<String>> {
    router.unsafe_settings().into_iter().filter(|(_, settings)| !settings.is_empty()).collect()
}
