//! One deadpool pool a database, made on first use.
//!
//! Pools are keyed by [`DatabaseTarget`], so that two names of one thing cannot double its connections and the system
//! databases are shared; and by [`Login`], so that nobody gets a connection that another role has opened. Making a pool
//! opens nothing, so it is done under the lock: two callers cannot make two. Who gets a connection, and when, is the
//! server's [`Budget`]'s to say; a pool only keeps them.
//!
//! Invariant: a [`Connection`] that leaves this module has been proved since it was opened, and goes back to its pool
//! only after the server has answered everything that was sent on it.

mod adopt;
mod checkout;
mod connection;
mod database;
mod room;
mod sharing;

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use arc_swap::ArcSwap;
use tokio::{sync::Notify, time::Instant};

pub use self::{
    checkout::CheckoutError,
    connection::Connection,
    room::Why,
    sharing::{Lookup, Reader, Way},
};
use self::{
    database::{DatabasePool, Known},
    room::Closed,
    sharing::Sharing,
};
use super::{
    BudgetStatus, PostgresServer,
    budget::{Budget, Limits},
    prove::Unguarded,
};
use crate::{
    config,
    domain::{DatabaseTarget, Login, ServerName},
};

/// All pools of the process.
#[derive(Debug)]
pub struct Pools {
    /// Swapped whole; callers keep what they began with.
    servers: ArcSwap<HashMap<ServerName, Arc<Served>>>,
    /// A server was added, or leads elsewhere.
    changed: Notify,
    settings: ArcSwap<config::Pool>,
    pools: Mutex<Open>,
    /// Of each database that has a pool, had one a while ago, or cannot be entered for a reason of its own.
    known: Mutex<HashMap<(DatabaseTarget, Login), Arc<Known>>>,
    closed: Closed,
    /// Lookups that shared a connection.
    together: Arc<AtomicU64>,
    /// Version of the documents schema as each database proved it last; outlives its pool.
    versions: Mutex<HashMap<DatabaseTarget, i32>>,
    /// Databases in which solutions would not be kept apart, and what was said of them: once, not with every call.
    unguarded: Mutex<HashMap<DatabaseTarget, Vec<Unguarded>>>,
}

/// A database's pools, nearly always one.
type Open = HashMap<DatabaseTarget, Vec<(Login, Arc<DatabasePool>)>>;

/// A server, and who may use a connection to it.
#[derive(Debug)]
struct Served {
    server: Arc<PostgresServer>,
    budget: Arc<Budget>,
}

/// What a pool looks like now.
#[derive(Debug, Clone, Copy)]
pub struct PoolStatus {
    /// Connections.
    pub size: usize,
    /// Of which idle.
    pub idle: usize,
}

// === impl Served ===

impl Served {
    fn new(server: Arc<PostgresServer>, settings: &config::Pool) -> Self {
        let budget = Arc::new(Budget::new(limits(&server, settings)));
        Self { server, budget }
    }
}

fn limits(server: &PostgresServer, settings: &config::Pool) -> Limits {
    Limits {
        all: server.most(),
        database: settings.max_size,
        solution: settings.max_per_solution,
        waiting: settings.max_waiting,
    }
}

// === impl Pools ===

impl Pools {
    /// Pools on these servers; opens nothing.
    pub fn new(servers: impl IntoIterator<Item = Arc<PostgresServer>>, settings: config::Pool) -> Self {
        let served = |server: Arc<PostgresServer>| (server.name.clone(), Arc::new(Served::new(server, &settings)));
        Self {
            servers: ArcSwap::from_pointee(servers.into_iter().map(served).collect()),
            changed: Notify::new(),
            settings: ArcSwap::from_pointee(settings),
            pools: Mutex::new(HashMap::new()),
            known: Mutex::new(HashMap::new()),
            closed: Closed::default(),
            together: Arc::default(),
            versions: Mutex::new(HashMap::new()),
            unguarded: Mutex::new(HashMap::new()),
        }
    }

    /// Version of the documents schema of a database when it was entered last; 0 if it was not, or has none.
    pub fn schema_version(&self, target: &DatabaseTarget) -> i32 {
        self.versions.lock().unwrap_or_else(PoisonError::into_inner).get(target).copied().unwrap_or(0)
    }

    /// Forgets the versions, and what was said, of databases that are gone.
    pub fn retain_versions(&self, listed: impl Fn(&DatabaseTarget) -> bool) {
        self.versions.lock().unwrap_or_else(PoisonError::into_inner).retain(|target, _| listed(target));
        self.unguarded.lock().unwrap_or_else(PoisonError::into_inner).retain(|target, _| listed(target));
    }

    /// The server of that name.
    pub fn server(&self, name: &str) -> Option<Arc<PostgresServer>> {
        self.servers.load().get(name).map(|served| Arc::clone(&served.server))
    }

    /// All servers, as they are now.
    pub fn servers(&self) -> Vec<Arc<PostgresServer>> {
        self.servers.load().values().map(|served| Arc::clone(&served.server)).collect()
    }

    /// Waits until there are other servers than before. For one who waits.
    pub async fn changed(&self) {
        self.changed.notified().await;
    }

    /// Forgets what the connections of a database proved: they are closed as they come back.
    pub fn close(&self, target: &DatabaseTarget) {
        for (_, pool) in self.lock().remove(target).into_iter().flatten() {
            pool.known.guards.doubt();
            pool.pool.close();
        }
    }

    /// A host that was the primary takes no writes any more: nothing that is open to the server is used again.
    pub fn retire(&self, server: &ServerName) {
        if let Some(served) = self.servers.load().get(server) {
            served.server.retire();
        }
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.iter().filter(|((target, _), _)| target.server == *server).for_each(|(_, known)| known.guards.doubt());
        drop(known);
        let retired: Open = self.lock().extract_if(|target, _| target.server == *server).collect();
        for (_, pool) in retired.into_values().flatten() {
            pool.pool.close();
        }
    }

    /// Closes what is idle of a database and was opened before `since`: one connection that broke speaks for the others.
    pub fn distrust(&self, target: &DatabaseTarget, since: Instant) {
        for (_, pool) in self.lock().get(target).into_iter().flatten() {
            pool.known.guards.doubt();
            let distrusted = pool.pool.retain(|_, metrics| metrics.created >= since.into_std());
            self.closed.count(Why::Distrusted, distrusted.removed.len());
        }
    }

    /// Closes all pools: the service ends.
    pub fn close_all(&self) {
        for (_, pool) in self.lock().drain().flat_map(|(_, pools)| pools) {
            pool.pool.close();
        }
    }

    /// Each pool as it is now.
    pub fn status(&self) -> Vec<(DatabaseTarget, PoolStatus)> {
        self.lock()
            .iter()
            .flat_map(|(target, pools)| pools.iter().map(move |(_, pool)| (target, pool)))
            .map(|(target, pool)| {
                let status = pool.pool.status();
                let status = PoolStatus { size: status.size, idle: status.available };
                (target.clone(), status)
            })
            .collect()
    }

    /// Connections that were closed while nobody used them.
    pub fn closed(&self, why: Why) -> u64 {
        self.closed.so_far(why)
    }

    /// Lookups that shared a connection with others.
    pub fn lookups_together(&self) -> u64 {
        self.together.load(Ordering::Relaxed)
    }

    /// The budget of each server as it is now.
    pub fn budgets(&self) -> Vec<(ServerName, BudgetStatus)> {
        self.servers.load().iter().map(|(name, served)| (name.clone(), served.budget.status())).collect()
    }

    /// Of each server: whether it is out of reach, and how many of its databases cannot be entered for a reason of
    /// their own.
    pub fn out_of_order(&self) -> Vec<(ServerName, bool, usize)> {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let open: Vec<ServerName> = known
            .iter()
            .filter(|(_, known)| known.breaker.is_open())
            .map(|((target, _), _)| target.server.clone())
            .collect();
        drop(known);
        let servers = self.servers.load();
        let told = servers.iter().map(|(name, served)| {
            let databases = open.iter().filter(|server| *server == name).count();
            (name.clone(), served.server.breaker.is_open(), databases)
        });
        told.collect()
    }

    fn served(&self, name: &str) -> Option<Arc<Served>> {
        self.servers.load().get(name).map(Arc::clone)
    }

    /// On the server of the moment, which may be another than the caller began with: a pool outlives him.
    fn pool(&self, begun: &Served, target: &DatabaseTarget, login: &Login) -> Arc<DatabasePool> {
        let mut pools = self.lock();
        let now = self.served(&target.server);
        let server = now.as_deref().map_or(&begun.server, |served| &served.server);
        let open = pools.get(target).into_iter().flatten();
        if let Some((_, pool)) = open.into_iter().find(|(known, _)| known == login) {
            return Arc::clone(pool);
        }
        let known = self.known(target, login);
        let sharing = Sharing::new(&self.together);
        let pool = Arc::new(DatabasePool::new(server, target, login, &self.settings.load(), known, sharing));
        pools.entry(target.clone()).or_default().push((login.clone(), Arc::clone(&pool)));
        pool
    }

    /// As it was left by an earlier pool.
    fn known(&self, target: &DatabaseTarget, login: &Login) -> Arc<Known> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(known.entry((target.clone(), login.clone())).or_default())
    }

    /// The map is whole whenever the lock is free, also after a panic.
    fn lock(&self) -> MutexGuard<'_, Open> {
        self.pools.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
