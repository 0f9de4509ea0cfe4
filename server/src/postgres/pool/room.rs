//! Room: idle connections are closed when they get old, and when somebody else needs their place.
//!
//! A connection in use is never closed for another. deadpool closes nothing by itself.

use std::{
    collections::hash_map::RandomState,
    hash::BuildHasher,
    sync::{LazyLock, PoisonError},
    time::Duration,
};

use deadpool_postgres::Metrics;

use super::Pools;
use crate::{domain::ServerName, postgres::PostgresServer};

/// Between two looks for idle connections while somebody waits for a place.
const PAUSE: Duration = Duration::from_millis(5);
/// Where the server is short of connections, ours are kept idle for so long.
const SPARED: Duration = Duration::from_secs(1);
/// Looks for old connections within the time after which they are.
const LOOKS: u32 = 4;

impl Pools {
    /// Closes what is old, and forgets pools, turns and breakers that nobody uses.
    pub fn reap(&self) {
        // A connection is looked at so often, and closed no later than it should.
        let idle = self.settings.idle - self.reap_interval();
        let lifetime = self.settings.lifetime;
        self.lock().retain(|_, pools| {
            pools.retain(|(_, pool)| {
                pool.pool.retain(|_, metrics| metrics.last_used() < idle && !is_over(&metrics, lifetime));
                pool.pool.status().size > 0 || pool.used().elapsed() < idle
            });
            !pools.is_empty()
        });
        self.breakers.lock().unwrap_or_else(PoisonError::into_inner).retain(|_, breaker| !breaker.is_quiet());
        for served in self.servers.values() {
            served.budget.prune();
        }
    }

    /// How often to [`reap`](Self::reap).
    pub fn reap_interval(&self) -> Duration {
        self.settings.idle / LOOKS
    }

    /// Closes idle connections to a server while somebody waits for a place here, or the server is short of them: other
    /// replicas may wait. Never ends.
    pub async fn make_room(&self, server: &PostgresServer) {
        loop {
            tokio::select! {
                wanted = server.starved() => self.close_idle(&server.name, wanted),
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
            pool.pool.retain(|_, metrics| metrics.last_used() < SPARED);
        }
    }

    /// Closes `wanted` idle connections to a server, those of the database used longest ago first. Counts what is
    /// removed, not what a pool calls available: that is net of callers who are about to take one.
    pub(super) fn close_idle(&self, server: &ServerName, mut wanted: usize) {
        let pools = self.lock();
        let here = pools.iter().filter(|(target, _)| target.server == *server);
        let mut pools: Vec<_> = here.flat_map(|(_, pools)| pools).collect();
        pools.sort_by_key(|(_, pool)| pool.used());
        for (_, pool) in pools {
            pool.pool.retain(|_, _| {
                let close = wanted > 0;
                wanted -= usize::from(close);
                !close
            });
        }
    }
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
