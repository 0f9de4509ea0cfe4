//! Whether solutions are kept apart in a database, as it was looked at last: all connections that are opened to it for
//! as long as one may live need not look again. That look costs more than opening a connection and all else it proves.
//!
//! Invariant: no connection is lent on a look that is older than `pool.lifetime`, that was made in another database or
//! before Postgres was restarted, or that was made before a connection broke or said otherwise: whoever ended it may have
//! done more. What is changed in silence, while no connection is open, is noticed when the look is too old.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use arc_swap::ArcSwapOption;
use tokio::time::Instant;
use tokio_postgres::Client;
use uuid::Uuid;

use crate::postgres::{
    Facts,
    prove::{prove, prove_connection},
};

/// Share of its lifetime after which a look is made anew by whoever opens a connection.
const RENEWED: f64 = 0.8;

/// The last look at a database, as one login.
#[derive(Debug, Default)]
pub(in crate::postgres) struct Guards {
    last: ArcSwapOption<Look>,
    /// Held while one looks: one is enough for all who wait.
    looking: tokio::sync::Mutex<()>,
    /// Connections that broke, and what else casts doubt on earlier looks.
    doubts: AtomicU64,
}

/// A look that found solutions kept apart.
#[derive(Debug)]
struct Look {
    began: Instant,
    /// As many had come before.
    doubts: u64,
    found: Facts,
}

// === impl Guards ===

impl Guards {
    /// True if the last look is good still.
    pub(super) fn hold(&self, lifetime: Duration) -> bool {
        self.last.load().as_ref().is_some_and(|look| self.is_good(look, lifetime))
    }

    /// True if it is, and was made where, and as who, a connection is that said `facts`.
    pub(super) fn hold_in(&self, facts: &Facts, lifetime: Duration) -> bool {
        self.last.load().as_ref().is_some_and(|look| look.is_of(facts) && self.is_good(look, lifetime))
    }

    /// Asks a connection what it is connected to, and whether solutions are kept apart there, unless that is known. The
    /// caller bounds the time.
    pub(super) async fn prove(&self, client: &Client, lifetime: Duration) -> Result<Facts, tokio_postgres::Error> {
        // A look is made anew before it is too old, so that it is not too old for all connections at once.
        if !self.hold(lifetime.mul_f64(RENEWED))
            && let Ok(_looking) = self.looking.try_lock()
        {
            return self.look(client).await;
        }
        let facts = prove_connection(client).await?;
        if !facts.unguarded.is_empty() {
            self.doubt();
        }
        if self.hold_in(&facts, lifetime) {
            return Ok(facts);
        }
        let _looking = self.looking.lock().await;
        if self.hold_in(&facts, lifetime) {
            return Ok(facts);
        }
        self.look(client).await
    }

    /// A connection broke, or something else says that the database may not be as it was.
    pub(in crate::postgres) fn doubt(&self) {
        self.doubts.fetch_add(1, Ordering::SeqCst);
    }

    async fn look(&self, client: &Client) -> Result<Facts, tokio_postgres::Error> {
        let (began, doubts) = (Instant::now(), self.doubts.load(Ordering::SeqCst));
        let found = prove(client).await?;
        // A standby may be behind.
        let good = found.unguarded.is_empty() && !found.in_recovery && !found.role_too_powerful;
        self.last.store(good.then(|| Arc::new(Look { began, doubts, found: found.clone() })));
        Ok(found)
    }

    fn is_good(&self, look: &Look, lifetime: Duration) -> bool {
        look.began.elapsed() < lifetime && look.doubts == self.doubts.load(Ordering::SeqCst)
    }
}

// === impl Look ===

impl Look {
    /// The same database, by all that it says of itself; its ledger, which is added later, has nothing to do with it.
    fn is_of(&self, facts: &Facts) -> bool {
        let place = |facts: &Facts| (facts.oid, facts.system_identifier, facts.started, facts.schema);
        place(&self.found) == place(facts) && self.found.role == facts.role && whose(&self.found) == whose(facts)
    }
}

fn whose(facts: &Facts) -> Option<(Uuid, Option<&str>)> {
    facts.identity.as_ref().map(|known| (known.database_uuid, known.solution.as_deref()))
}
