//! One deadpool pool a database, made on first use.
//!
//! Pools are keyed by [`DatabaseTarget`], so that two names of one thing cannot double its connections and the system
//! databases are shared; and by [`Login`], so that nobody gets a connection that another role has opened. Making a pool
//! opens nothing, so it is done under the lock: two callers cannot make two.
//!
//! Invariant: a [`Connection`] that leaves this module has been proved since it was opened, and goes back to its pool
//! only after the server has answered everything that was sent on it.

mod connection;
mod database;

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use deadpool_postgres::{Object, PoolError};
use tokio::time::{Instant, timeout, timeout_at};

pub use self::connection::Connection;
use self::{connection::Unproved, database::DatabasePool};
use super::{Failure, PostgresServer, SchemaState, prove::Unguarded};
use crate::{
    config,
    domain::{DatabaseTarget, Deadline, Error, Login, ServerName, error::Cause},
};

/// Between two looks for idle connections while somebody waits for the budget.
const ROOM: std::time::Duration = std::time::Duration::from_millis(5);

/// All pools of the process.
#[derive(Debug)]
pub struct Pools {
    servers: HashMap<ServerName, Arc<PostgresServer>>,
    settings: config::Pool,
    pools: Mutex<Open>,
    /// Version of the documents schema as each database proved it last; outlives its pool.
    versions: Mutex<HashMap<DatabaseTarget, i32>>,
    /// Databases in which solutions would not be kept apart, and what was said of them: once, not with every call.
    unguarded: Mutex<HashMap<DatabaseTarget, Vec<Unguarded>>>,
}

/// A database's pools, nearly always one.
type Open = HashMap<DatabaseTarget, Vec<(Login, Arc<DatabasePool>)>>;

/// Why no connection was had.
#[derive(Debug)]
pub enum CheckoutError {
    /// All connections of the database, or of the server's budget, are in use.
    Exhausted,
    /// The caller's deadline passed.
    DeadlinePassed,
    /// Connecting failed.
    Failed(Failure, Error),
    /// The role could pass the policies; nothing may run as it.
    RoleTooPowerful,
    /// Solutions would not be kept apart in this database; nothing may run there.
    Unguarded,
}

/// What a pool looks like now.
#[derive(Debug, Clone, Copy)]
pub struct PoolStatus {
    /// Connections.
    pub size: usize,
    /// Of which idle.
    pub idle: usize,
    /// Callers waiting.
    pub waiting: usize,
}

// === impl Pools ===

impl Pools {
    /// Pools on these servers; opens nothing.
    pub fn new(servers: impl IntoIterator<Item = Arc<PostgresServer>>, settings: config::Pool) -> Self {
        Self {
            servers: servers.into_iter().map(|server| (server.name.clone(), server)).collect(),
            settings,
            pools: Mutex::new(HashMap::new()),
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
    pub fn server(&self, name: &str) -> Option<&Arc<PostgresServer>> {
        self.servers.get(name)
    }

    /// A proved connection to `target` as `login`, by `deadline` at the latest.
    pub async fn checkout(
        &self,
        target: &DatabaseTarget,
        login: &Login,
        deadline: Deadline,
    ) -> Result<Connection, CheckoutError> {
        let Some(server) = self.servers.get(&target.server) else {
            let what = "its server is not in this router's configuration";
            return Err(CheckoutError::Failed(Failure::Refused, Error::DatabaseMisconfigured { what, cause: None }));
        };
        let connected = async {
            loop {
                // A pool that was closed while we waited for it has been replaced already.
                let pool = self.pool(server, target, login);
                if let Some(connection) = self.get(server, target, &pool).await? {
                    return Ok(connection);
                }
            }
        };
        timeout_at(deadline.instant(), connected).await.unwrap_or(Err(CheckoutError::DeadlinePassed))
    }

    /// Forgets everything about a database: its connections are closed as they come back.
    pub fn close(&self, target: &DatabaseTarget) {
        for (_, pool) in self.lock().remove(target).into_iter().flatten() {
            pool.pool.close();
        }
    }

    /// Closes connections idle for longer than configured, and pools without any.
    pub fn reap(&self) {
        let idle = self.settings.idle;
        self.lock().retain(|_, pools| {
            pools.retain(|(_, pool)| {
                pool.pool.retain(|_, metrics| metrics.last_used() < idle);
                pool.pool.status().size > 0 || pool.used().elapsed() < idle
            });
            !pools.is_empty()
        });
    }

    /// Closes idle connections to a server for as long as somebody waits for its budget. Never ends.
    pub async fn make_room(&self, server: &PostgresServer) {
        loop {
            let wanted = server.starved().await;
            self.close_idle(&server.name, wanted);
            // A connection that is closed, or comes back meanwhile, takes about so long.
            tokio::time::sleep(ROOM).await;
        }
    }

    /// How often to [`reap`](Self::reap).
    pub fn reap_interval(&self) -> std::time::Duration {
        self.settings.idle / 2
    }

    /// Closes what is idle of a database and was opened before `since`: one connection that broke speaks for the others.
    pub fn distrust(&self, target: &DatabaseTarget, since: Instant) {
        for (_, pool) in self.lock().get(target).into_iter().flatten() {
            pool.pool.retain(|_, metrics| metrics.created >= since.into_std());
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
                let status = PoolStatus { size: status.size, idle: status.available, waiting: status.waiting };
                (target.clone(), status)
            })
            .collect()
    }

    /// None: the pool was closed meanwhile, or the connection is too old.
    async fn get(
        &self,
        server: &PostgresServer,
        target: &DatabaseTarget,
        pool: &DatabasePool,
    ) -> Result<Option<Connection>, CheckoutError> {
        let asked = Instant::now();
        let object = match pool.pool.get().await {
            Ok(object) => object,
            Err(PoolError::Backend(error)) => {
                let failure = Failure::of(&error, true);
                return Err(CheckoutError::Failed(failure, failure.into_error(error)));
            }
            Err(PoolError::Closed) => return Ok(None),
            Err(PoolError::Timeout(deadpool_postgres::TimeoutType::Wait)) => return Err(CheckoutError::Exhausted),
            Err(PoolError::Timeout(_)) if server.budget_exhausted() => return Err(CheckoutError::Exhausted),
            Err(error) => {
                let error = Error::DatabaseUnavailable { cause: Some(Cause::new(error)) };
                return Err(CheckoutError::Failed(Failure::Unavailable, error));
            }
        };
        pool.touch();
        if Object::metrics(&object).created.elapsed() >= self.settings.lifetime {
            drop(Object::take(object));
            return Ok(None);
        }
        if Object::metrics(&object).recycle_count > 0
            && let Some(facts) = pool.facts.load_full()
        {
            return Ok(Some(Connection { object: Some(object), facts, unfinished: false }));
        }
        self.prove(target, pool, object, asked).await.map(Some)
    }

    /// Proves a new connection. Until that is done it is `unfinished`, so that a caller who leaves in between
    /// cannot put an unproved connection into the pool.
    async fn prove(
        &self,
        target: &DatabaseTarget,
        pool: &DatabasePool,
        object: Object,
        asked: Instant,
    ) -> Result<Connection, CheckoutError> {
        let mut unproved = Unproved(Some(object));
        let Some(client) = unproved.0.as_ref() else { return Err(CheckoutError::DeadlinePassed) };
        let facts = match timeout(self.settings.create, pool.prove(client, asked)).await {
            Ok(Ok(facts)) => Arc::new(facts),
            Ok(Err(error)) => {
                let failure = Failure::of(&error, true);
                return Err(CheckoutError::Failed(failure, failure.into_error(error)));
            }
            Err(_) => {
                let error = Error::DatabaseUnavailable { cause: None };
                return Err(CheckoutError::Failed(Failure::Unavailable, error));
            }
        };
        if facts.role_too_powerful {
            return Err(CheckoutError::RoleTooPowerful);
        }
        self.tell_unguarded(target, &facts.unguarded);
        if !facts.unguarded.is_empty() {
            return Err(CheckoutError::Unguarded);
        }
        if facts.in_recovery {
            self.close(target);
            return Err(CheckoutError::Failed(Failure::Standby, Error::DatabaseUnavailable { cause: None }));
        }
        // Another database answers to the name now: what the older connections proved no longer holds.
        if pool
            .facts
            .load()
            .as_ref()
            .is_some_and(|before| before.oid != facts.oid || before.system_identifier != facts.system_identifier)
        {
            self.close(target);
        }
        pool.facts.store(Some(Arc::clone(&facts)));
        let version = match facts.schema {
            SchemaState::Ready(version) => version,
            SchemaState::Absent | SchemaState::TooOld | SchemaState::TooNew => 0,
        };
        self.versions.lock().unwrap_or_else(PoisonError::into_inner).insert(target.clone(), version);
        Ok(Connection { object: unproved.0.take(), facts, unfinished: false })
    }

    /// An alarm when a database begins to be unguarded, or in another way than before; a word when it is mended.
    fn tell_unguarded(&self, target: &DatabaseTarget, found: &[Unguarded]) {
        let mut told = self.unguarded.lock().unwrap_or_else(PoisonError::into_inner);
        if found.is_empty() {
            if !told.is_empty() && told.remove(target).is_some() {
                tracing::info!(database = %target, "solutions are kept apart there again");
            }
        } else if told.get(target).is_none_or(|before| before != found) {
            for Unguarded { what, mend } in found {
                tracing::error!(database = %target, problem = %what, %mend, "solutions would not be kept apart there, so nothing is served from it");
            }
            told.insert(target.clone(), found.to_vec());
        }
    }

    fn pool(&self, server: &Arc<PostgresServer>, target: &DatabaseTarget, login: &Login) -> Arc<DatabasePool> {
        let mut pools = self.lock();
        let open = pools.get(target).into_iter().flatten();
        if let Some((_, pool)) = open.into_iter().find(|(known, _)| known == login) {
            return Arc::clone(pool);
        }
        let pool = Arc::new(DatabasePool::new(server, target, login, &self.settings));
        pools.entry(target.clone()).or_default().push((login.clone(), Arc::clone(&pool)));
        pool
    }

    /// Closes `wanted` idle connections to a server, those of the database used longest ago first. Counts what is
    /// removed, not what a pool calls available: that is net of callers who wait for the budget themselves.
    fn close_idle(&self, server: &ServerName, mut wanted: usize) {
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

    /// The map is whole whenever the lock is free, also after a panic.
    fn lock(&self) -> MutexGuard<'_, Open> {
        self.pools.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
