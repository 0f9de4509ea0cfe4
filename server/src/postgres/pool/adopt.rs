//! Other servers and settings than before, while calls go on.
//!
//! A connection in use is never closed for it: it goes when it comes back.

use std::sync::{Arc, PoisonError};

use super::{Pools, Served, database::ROUTING, limits, room::Why};
use crate::{config, postgres::PostgresServer};

impl Pools {
    /// Takes `servers` besides the others, or in the place of those of the same names, whose pools are drained.
    pub fn adopt(&self, servers: Vec<Arc<PostgresServer>>) {
        let settings = self.settings.load_full();
        let mut all = (**self.servers.load()).clone();
        let mut replaced = Vec::new();
        for server in servers {
            let name = server.name.clone();
            if all.insert(name.clone(), Arc::new(Served::new(server, &settings))).is_some() {
                replaced.push(name);
            }
        }
        // First: pools are made for the server of the moment, so none is made for an old one after the others are closed.
        self.servers.store(Arc::new(all));
        if replaced.is_empty() {
            return;
        }
        let mut pools = self.lock();
        pools.retain(|target, pools| {
            let stays = !replaced.contains(&target.server);
            if !stays {
                pools.iter().for_each(|(_, pool)| pool.pool.close());
            }
            stays
        });
        // While no pool can be made: what is known was known of the old ones.
        self.known
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .retain(|(target, _), _| !replaced.contains(&target.server));
    }

    /// Tells whoever waits that there are other servers.
    pub fn announce(&self) {
        self.changed.notify_one();
    }

    /// Takes other settings, if there are, and the limits that servers have by now.
    pub fn set_limits(&self, settings: Option<config::Pool>) {
        if let Some(settings) = settings {
            self.settings.store(Arc::new(settings));
        }
        let settings = self.settings.load();
        // What deadpool allows is the budget's to keep to: it is only ever raised.
        for (_, pool) in self.lock().values().flatten() {
            if pool.pool.status().max_size < settings.max_size + ROUTING {
                pool.pool.resize(settings.max_size + ROUTING);
            }
        }
        for served in self.servers.load().values() {
            served.budget.set_limits(limits(&served.server, &settings));
            self.close_idle(&served.server.name, served.server.surplus(), Why::Room);
        }
    }
}
