//! Room: idle connections are closed when they get old, and when somebody else needs their place.
//!
//! A connection in use is never closed for another. deadpool closes nothing by itself.

use std::{
    collections::hash_map::RandomState,
    hash::BuildHasher,
    sync::{
        Arc, LazyLock, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use deadpool_postgres::Metrics;
use tokio::time::Instant;

use super::Pools;
use crate::{domain::ServerName, postgres::PostgresServer};

/// Between two looks for idle connections while somebody waits for a place.
const PAUSE: Duration = Duration::from_millis(5);
/// Where the server is short of connections, ours are kept idle for so long.
const SPARED: Duration = Duration::from_secs(1);
/// Looks for old connections within the time after which they are.
const LOOKS: u32 = 4;

/// Why a connection that nobody used was closed.
#[derive(Debug, Clone, Copy)]
pub enum Why {
    /// Nobody used it for long.
    Idle,
    /// It was old.
    Old,
    /// Its place was needed for another database.
    Room,
    /// Its server was short of connections.
    Short,
    /// Another of its database had broken.
    Distrusted,
}

/// Connections that were closed, by reason.
#[derive(Debug, Default)]
pub(super) struct Closed([AtomicU64; Why::ALL.len()]);

impl Why {
    /// Every one.
    pub const ALL: [Self; 5] = [Self::Idle, Self::Old, Self::Room, Self::Short, Self::Distrusted];

    /// As metrics call it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Idle => "idle",
            Self::Old => "old",
            Self::Room => "room",
            Self::Short => "short",
            Self::Distrusted => "distrusted",
        }
    }
}

impl Closed {
    pub(super) fn count(&self, why: Why, connections: usize) {
        self.0[why as usize].fetch_add(connections as u64, Ordering::Relaxed);
    }

    pub(super) fn so_far(&self, why: Why) -> u64 {
        self.0[why as usize].load(Ordering::Relaxed)
    }
}

impl Pools {
    /// Closes what is old, and forgets pools, turns and what is known of databases that nobody uses.
    pub fn reap(&self) {
        // A connection is looked at so often, and closed no later than it should.
        let (idle, lifetime) = {
            let settings = self.settings.load();
            (settings.idle - settings.idle / LOOKS, settings.lifetime)
        };
        self.lock().retain(|_, pools| {
            pools.retain(|(_, pool)| {
                let old = pool.pool.retain(|_, metrics| !is_over(&metrics, lifetime));
                self.closed.count(Why::Old, old.removed.len());
                let unused = pool.pool.retain(|_, metrics| metrics.last_used() < idle);
                self.closed.count(Why::Idle, unused.removed.len());
                pool.pool.status().size > 0 || pool.used().elapsed() < idle
            });
            !pools.is_empty()
        });
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.retain(|_, known| {
            let used = Arc::strong_count(known) > 1 || Arc::strong_count(&known.breaker) > 1;
            used || !known.breaker.is_quiet() || known.guards.hold(lifetime)
        });
        drop(known);
        for served in self.servers.load().values() {
            self.close_idle(&served.server.name, served.server.surplus(), Why::Room);
            served.budget.prune();
        }
    }

    /// How often to [`reap`](Self::reap).
    pub fn reap_interval(&self) -> Duration {
        self.settings.load().idle / LOOKS
    }

    /// Closes idle connections to a server while somebody waits for a place here, or the server is short of them: other
    /// replicas may wait. Never ends.
    pub async fn make_room(&self, server: &PostgresServer) {
        loop {
            tokio::select! {
                waiting = server.starved() => {
                    // Those that are closed already leave their places in a moment.
                    let closing = server.closing(self.size(&server.name));
                    self.close_idle(&server.name, waiting.saturating_sub(closing).max(1), Why::Room);
                }
                () = server.is_short() => self.spare(&server.name),
            }
            // A connection that is closed, or comes back meanwhile, takes about so long.
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// Closes what was idle for a moment.
    fn spare(&self, server: &ServerName) {
        let pools = self.lock();
        for (_, pool) in pools.iter().filter(|(target, _)| target.server == *server).flat_map(|(_, pools)| pools) {
            let spared = pool.pool.retain(|_, metrics| metrics.last_used() < SPARED);
            self.closed.count(Why::Short, spared.removed.len());
        }
    }

    /// Pooled connections to a server, as the pools count them.
    fn size(&self, server: &ServerName) -> usize {
        let pools = self.lock();
        let here = pools.iter().filter(|(target, _)| target.server == *server);
        here.flat_map(|(_, pools)| pools).map(|(_, pool)| pool.pool.status().size).sum()
    }

    /// Closes `wanted` idle connections to a server, those of the database used longest ago first. Counts what is
    /// removed, not what a pool calls available: that is net of callers who are about to take one.
    pub(super) fn close_idle(&self, server: &ServerName, mut wanted: usize, why: Why) {
        let pools = self.lock();
        let here = pools.iter().filter(|(target, _)| target.server == *server);
        for (_, pool) in in_order(here.flat_map(|(_, pools)| pools).collect(), |(_, pool)| pool.used()) {
            let closed = pool.pool.retain(|_, _| {
                let close = wanted > 0;
                wanted -= usize::from(close);
                !close
            });
            self.closed.count(why, closed.removed.len());
        }
    }
}

/// Those used longest ago first. Each is asked once: an answer may be another a moment later, and a sort would notice.
fn in_order<P>(mut pools: Vec<P>, used: impl Fn(&P) -> Instant) -> Vec<P> {
    pools.sort_by_cached_key(used);
    pools
}

/// True if a connection has lived for as long as it may: a tenth more or less, so that those opened at once are not
/// closed at once.
pub(super) fn is_over(metrics: &Metrics, lifetime: Duration) -> bool {
    static STATE: LazyLock<RandomState> = LazyLock::new(RandomState::new);
    let age = metrics.created.elapsed();
    // Most are far from it.
    if age < lifetime.mul_f64(0.9) {
        return false;
    }
    let share = f64::from((STATE.hash_one(metrics.created) % 1_000) as u32) / 1_000.0;
    age >= lifetime.mul_f64(0.9 + share / 5.0)
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    #[test]
    fn pools_that_are_used_while_they_are_put_in_order_do_not_end_the_process() {
        // Each answer is another than before, in no order.
        let (now, asked) = (Instant::now(), Cell::new(0_u64));
        let used = |_: &u64| {
            asked.set(asked.get() + 1);
            now + Duration::from_millis(asked.get().wrapping_mul(7_919) % 1_009)
        };
        assert_eq!(in_order((0..1_000).collect(), used).len(), 1_000);
        assert_eq!(asked.get(), 1_000, "each is asked once");
    }
}
