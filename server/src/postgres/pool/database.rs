//! The pool of one database, as one login, and what its connections proved.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use arc_swap::ArcSwapOption;
use deadpool_postgres::{ClientWrapper, Manager, ManagerConfig, Pool, RecyclingMethod, Runtime, Timeouts};
use tokio::time::Instant;

use super::sharing::Sharing;
use crate::{
    config,
    domain::{DatabaseTarget, Login},
    postgres::{
        Facts, PostgresServer,
        breaker::Breaker,
        connect::Connector,
        prove::{prove, prove_connection},
    },
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
    /// Whether it cannot be entered for a reason of its own.
    pub(super) breaker: Arc<Breaker>,
    /// To which its connections lead.
    pub(super) server: Arc<PostgresServer>,
    /// Its connections that several read through.
    pub(super) sharing: Arc<Sharing>,
    used: Mutex<Instant>,
    /// When Postgres last answered on any of its connections.
    heard: Mutex<Instant>,
    /// The last look that found solutions kept apart here. Held while one looks: one is enough for all who wait.
    guarded: tokio::sync::Mutex<Option<Guarded>>,
}

/// A look that found solutions kept apart.
#[derive(Debug)]
struct Guarded {
    began: Instant,
    oid: u32,
    system_identifier: u64,
}

// === impl DatabasePool ===

impl DatabasePool {
    pub(super) fn new(
        server: &Arc<PostgresServer>,
        target: &DatabaseTarget,
        login: &Login,
        settings: &config::Pool,
        breaker: Arc<Breaker>,
        sharing: Sharing,
    ) -> Self {
        // `Fast` asks only whether the socket is open; clean state is the transaction wrapper's, not recycling's.
        let manager = Manager::from_connect(
            server.pool_config(&target.name, login),
            Connector::new(Arc::clone(server), login.clone()),
            ManagerConfig { recycling_method: RecyclingMethod::Fast },
        );
        // Who may have one is the budget's to say; this only never stands in its way.
        let pool = Pool::builder(manager).max_size(settings.max_size + ROUTING).runtime(Runtime::Tokio1).build();
        let pool = match pool {
            Ok(pool) => pool,
            Err(deadpool_postgres::BuildError::NoRuntimeSpecified) => unreachable!("the runtime is set above"),
        };
        let (facts, guarded) = (ArcSwapOption::empty(), tokio::sync::Mutex::new(None));
        let server = Arc::clone(server);
        let (used, heard) = (Mutex::new(Instant::now()), Mutex::new(Instant::now()));
        Self { pool, facts, breaker, server, sharing: Arc::new(sharing), used, heard, guarded }
    }

    /// Proves a connection for whoever asked for it then. Of those that are opened at once, one looks whether solutions
    /// are kept apart: a look that began after a caller asked is as good as his own, in the same database.
    pub(super) async fn prove(&self, client: &ClientWrapper, asked: Instant) -> Result<Facts, tokio_postgres::Error> {
        if let Ok(mut guarded) = self.guarded.try_lock()
            && guarded.as_ref().is_none_or(|look| look.began < asked)
        {
            let began = Instant::now();
            let facts = prove(client).await?;
            *guarded = Guarded::of(began, &facts);
            return Ok(facts);
        }
        let mut facts = prove_connection(client).await?;
        let mut guarded = self.guarded.lock().await;
        if !guarded.as_ref().is_some_and(|look| look.began >= asked && look.is_of(&facts)) {
            let began = Instant::now();
            facts = prove(client).await?;
            *guarded = Guarded::of(began, &facts);
        }
        Ok(facts)
    }

    /// Postgres answered on a connection that is open: what was found silent is not.
    pub(super) fn answered(&self) {
        *self.heard.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
        self.breaker.answered();
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

// === impl Guarded ===

impl Guarded {
    fn of(began: Instant, facts: &Facts) -> Option<Self> {
        let (oid, system_identifier) = (facts.oid, facts.system_identifier);
        facts.unguarded.is_empty().then_some(Self { began, oid, system_identifier })
    }

    fn is_of(&self, facts: &Facts) -> bool {
        (self.oid, self.system_identifier) == (facts.oid, facts.system_identifier)
    }
}
