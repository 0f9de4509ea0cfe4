//! The pool of one database, as one login, and what its connections proved.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use arc_swap::ArcSwapOption;
use deadpool_postgres::{Manager, ManagerConfig, Pool, RecyclingMethod, Runtime, Timeouts};
use tokio::time::Instant;

use super::sharing::Sharing;
use crate::{
    config,
    domain::{DatabaseTarget, Login},
    postgres::{Facts, PostgresServer, breaker::Breaker, connect::Connector, guards::Guards},
};

/// Connections beyond those for documents, so that routing never waits for one of theirs.
pub(super) const ROUTING: usize = 8;

/// Silence after which a connection is asked whether it is there, before a call depends on it: what lies on the way may have
/// forgotten it, and nobody would say so.
const DOUBTFUL: Duration = Duration::from_secs(1);

/// The pool of one database, and what its connections proved.
#[derive(Debug)]
pub(super) struct DatabasePool {
    pub(super) pool: Pool,
    pub(super) facts: ArcSwapOption<Facts>,
    pub(super) known: Arc<Known>,
    /// To which its connections lead.
    pub(super) server: Arc<PostgresServer>,
    /// Its connections that several read through.
    pub(super) sharing: Arc<Sharing>,
    used: Mutex<Instant>,
    /// When Postgres last answered on any of its connections.
    heard: Mutex<Instant>,
}

/// What is known of a database, as one login: it outlives pools, which are closed for less.
#[derive(Debug, Default)]
pub(super) struct Known {
    /// Whether it cannot be entered for a reason of its own.
    pub(super) breaker: Arc<Breaker>,
    /// Whether solutions are kept apart there.
    pub(super) guards: Arc<Guards>,
}

// === impl DatabasePool ===

impl DatabasePool {
    pub(super) fn new(
        server: &Arc<PostgresServer>,
        target: &DatabaseTarget,
        login: &Login,
        settings: &config::Pool,
        known: Arc<Known>,
        sharing: Sharing,
    ) -> Self {
        // `Fast` asks only whether the socket is open; clean state is the transaction wrapper's, not recycling's.
        let manager = Manager::from_connect(
            server.pool_config(&target.name, login),
            Connector::new(Arc::clone(server), login.clone(), Arc::clone(&known.guards)),
            ManagerConfig { recycling_method: RecyclingMethod::Fast },
        );
        // Who may have one is the budget's to say; this only never stands in its way.
        let pool = Pool::builder(manager).max_size(settings.max_size + ROUTING).runtime(Runtime::Tokio1).build();
        let pool = match pool {
            Ok(pool) => pool,
            Err(deadpool_postgres::BuildError::NoRuntimeSpecified) => unreachable!("the runtime is set above"),
        };
        let facts = ArcSwapOption::empty();
        let server = Arc::clone(server);
        let (used, heard) = (Mutex::new(Instant::now()), Mutex::new(Instant::now()));
        Self { pool, facts, known, server, sharing: Arc::new(sharing), used, heard }
    }

    /// Postgres answered on a connection that is open: what was found silent is not.
    pub(super) fn answered(&self) {
        *self.heard.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
        self.known.breaker.answered();
        self.server.breaker.answered();
    }

    /// True if nothing was heard for so long that whatever is open may lead nowhere any more.
    pub(super) fn is_doubtful(&self) -> bool {
        self.heard.lock().unwrap_or_else(PoisonError::into_inner).elapsed() > DOUBTFUL
    }

    pub(super) fn used(&self) -> Instant {
        *self.used.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn touch(&self) {
        *self.used.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
    }
}

/// How long deadpool waits, for what.
pub(super) fn timeouts(settings: &config::Pool) -> Timeouts {
    Timeouts { wait: Some(settings.wait), create: Some(settings.create), recycle: Some(settings.recycle) }
}
