//! Counters: plain atomics, read by the ops listener.
//!
//! A leaf: knows nobody, and labels nothing with solutions, so that its size is fixed.

use std::sync::atomic::{AtomicU64, Ordering};

/// All counters of the process.
#[derive(Debug, Default)]
pub struct Metrics {
    calls: AtomicU64,
    failed_calls: AtomicU64,
    internal_errors: AtomicU64,
    first_system_writes: AtomicU64,
    take_overs: AtomicU64,
    ledger_changes: AtomicU64,
    identity_mismatches: AtomicU64,
    unauthenticated: AtomicU64,
    access_denied: AtomicU64,
    callers_refused: AtomicU64,
    connections_over_limit: AtomicU64,
    connections_over_peer_limit: AtomicU64,
    handshakes_failed: AtomicU64,
    tls_reloads: AtomicU64,
    tls_reloads_failed: AtomicU64,
    config_reloads: AtomicU64,
    config_reloads_failed: AtomicU64,
    alarms: [AtomicU64; Alarm::ALL.len()],
}

/// Why a call was refused, where somebody has to look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Alarm {
    /// Another database than was meant.
    IdentityMismatch,
    /// Ledger and fence disagree.
    PlacementConflict,
    /// The database refuses us, or would not keep solutions apart.
    Misconfigured,
}

/// One counter, as `/metrics` shows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Counter {
    /// Name, in Prometheus' style.
    pub name: &'static str,
    /// Of several with one name, which.
    pub label: &'static str,
    /// What it counts.
    pub help: &'static str,
    /// How many so far.
    pub value: u64,
}

impl Metrics {
    /// A call was answered.
    pub fn call(&self, failed: bool, internal: bool) {
        self.calls.fetch_add(1, Ordering::Relaxed);
        if failed {
            self.failed_calls.fetch_add(1, Ordering::Relaxed);
        }
        if internal {
            self.internal_errors.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// A pair was written to a system database for the first time.
    pub fn first_system_write(&self) {
        self.first_system_writes.fetch_add(1, Ordering::Relaxed);
    }

    /// The ledger was changed; `take_over`: an empty solution became dedicated.
    pub fn ledger_changed(&self, take_over: bool) {
        self.ledger_changes.fetch_add(1, Ordering::Relaxed);
        if take_over {
            self.take_overs.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// A connection reached another database than was meant. Anything above 0 is an alarm.
    pub fn identity_mismatch(&self) {
        self.identity_mismatches.fetch_add(1, Ordering::Relaxed);
    }

    /// A call came without a valid credential.
    pub fn unauthenticated(&self) {
        self.unauthenticated.fetch_add(1, Ordering::Relaxed);
    }

    /// A caller asked for what he may not do.
    pub fn access_denied(&self) {
        self.access_denied.fetch_add(1, Ordering::Relaxed);
    }

    /// The file of callers changed and cannot be used: the callers are those of before.
    pub fn callers_refused(&self) {
        self.callers_refused.fetch_add(1, Ordering::Relaxed);
    }

    /// A connection was closed because there are too many; `peer`: of one peer.
    pub fn connection_refused(&self, peer: bool) {
        let counter = if peer { &self.connections_over_peer_limit } else { &self.connections_over_limit };
        counter.fetch_add(1, Ordering::Relaxed);
    }

    /// A connection was closed because its handshake failed or took too long, or because it does not speak HTTP/2.
    pub fn handshake_failed(&self) {
        self.handshakes_failed.fetch_add(1, Ordering::Relaxed);
    }

    /// TLS files changed, and are used, or could not be.
    pub fn tls_reloaded(&self, used: bool) {
        let counter = if used { &self.tls_reloads } else { &self.tls_reloads_failed };
        counter.fetch_add(1, Ordering::Relaxed);
    }

    /// The configuration was read again, and is used, or cannot be.
    pub fn config_reloaded(&self, used: bool) {
        let counter = if used { &self.config_reloads } else { &self.config_reloads_failed };
        counter.fetch_add(1, Ordering::Relaxed);
    }

    /// A call was refused at which somebody has to look. Anything above 0 is an alarm.
    pub fn alarm(&self, alarm: Alarm) {
        self.alarms[alarm as usize].fetch_add(1, Ordering::Relaxed);
    }

    /// Everything, for `/metrics`; those of one name are neighbours.
    pub fn counters(&self) -> [Counter; 17 + Alarm::ALL.len()] {
        let counter =
            |name, help, value: &AtomicU64| Counter { name, label: "", help, value: value.load(Ordering::Relaxed) };
        let alarm = |alarm: Alarm| Counter {
            label: alarm.label(),
            ..counter(
                "fbs_router_isolation_alarms_total",
                "Calls refused because a database is not the one that was meant, or could not be trusted.",
                &self.alarms[alarm as usize],
            )
        };
        [
            counter("fbs_router_calls_total", "Calls answered.", &self.calls),
            counter("fbs_router_calls_failed_total", "Calls answered with an error.", &self.failed_calls),
            counter(
                "fbs_router_internal_errors_total",
                "Calls answered with reason INTERNAL: bugs.",
                &self.internal_errors,
            ),
            counter(
                "fbs_router_first_system_writes_total",
                "Solutions written to a system database for the first time.",
                &self.first_system_writes,
            ),
            counter("fbs_router_take_overs_total", "Solutions that became dedicated.", &self.take_overs),
            counter("fbs_router_ledger_changes_total", "Changes made to the ledger by routing.", &self.ledger_changes),
            counter(
                "fbs_router_identity_mismatches_total",
                "Connections that reached another database than was meant.",
                &self.identity_mismatches,
            ),
            counter("fbs_router_unauthenticated_total", "Calls without a valid credential.", &self.unauthenticated),
            counter("fbs_router_access_denied_total", "Calls that no grant allows.", &self.access_denied),
            counter(
                "fbs_router_callers_refused_total",
                "Changes of the file of callers that could not be used.",
                &self.callers_refused,
            ),
            counter(
                "fbs_router_connections_over_limit_total",
                "Connections closed because of limits.connections.",
                &self.connections_over_limit,
            ),
            counter(
                "fbs_router_connections_over_peer_limit_total",
                "Connections closed because of limits.connections_per_peer.",
                &self.connections_over_peer_limit,
            ),
            counter(
                "fbs_router_handshakes_failed_total",
                "Connections closed before they spoke HTTP/2.",
                &self.handshakes_failed,
            ),
            counter("fbs_router_tls_reloads_total", "Changed TLS files that are used.", &self.tls_reloads),
            counter(
                "fbs_router_tls_reloads_failed_total",
                "Changed TLS files that could not be used: the ones before stay.",
                &self.tls_reloads_failed,
            ),
            counter("fbs_router_config_reloads_total", "Configurations read again and used.", &self.config_reloads),
            counter(
                "fbs_router_config_reloads_failed_total",
                "Configurations read again that could not be used: the one before stays.",
                &self.config_reloads_failed,
            ),
            alarm(Alarm::IdentityMismatch),
            alarm(Alarm::PlacementConflict),
            alarm(Alarm::Misconfigured),
        ]
    }
}

// === impl Alarm ===

impl Alarm {
    const ALL: [Self; 3] = [Self::IdentityMismatch, Self::PlacementConflict, Self::Misconfigured];

    fn label(self) -> &'static str {
        match self {
            Self::IdentityMismatch => "{reason=\"DATABASE_IDENTITY_MISMATCH\"}",
            Self::PlacementConflict => "{reason=\"PLACEMENT_CONFLICT\"}",
            Self::Misconfigured => "{reason=\"DATABASE_MISCONFIGURED\"}",
        }
    }
}
