//! Whether solutions are kept apart in a database, as it was looked at last: all connections that are opened to it for
//! as long as one may live need not look again. That look costs more than opening a connection and all else it proves.
//!
//! Invariant: no connection is lent on a look that is older than `pool.lifetime`, that was made in another database,
//! or that was made before a connection broke: whoever ended it may have done more.

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

use crate::postgres::{
    Facts,
    prove::{prove, prove_connection},
};

/// The last look at a database, as one login.
#[derive(Debug, Default)]
pub(in crate::postgres) struct Guards {
    last: ArcSwapOption<Look>,
    /// Held while one looks: one is enough for all who wait.
    looking: tokio::sync::Mutex<()>,
    /// Connections that ended otherwise than by us.
    broken: AtomicU64,
}

/// A look that found solutions kept apart.
#[derive(Debug)]
struct Look {
    began: Instant,
    /// As many had broken before.
    broken: u64,
    found: Facts,
}

// === impl Guards ===

impl Guards {
    /// True if the last look is good still.
    pub(super) fn hold(&self, lifetime: Duration) -> bool {
        self.last.load().as_ref().is_some_and(|look| self.is_good(look, lifetime))
    }

    /// Asks a connection what it is connected to, and whether solutions are kept apart there, unless that is known. The
    /// caller bounds the time.
    pub(super) async fn prove(&self, client: &Client, lifetime: Duration) -> Result<Facts, tokio_postgres::Error> {
        // Nothing to wait for: all is asked at once.
        if !self.hold(lifetime)
            && let Ok(_looking) = self.looking.try_lock()
        {
            return self.look(client).await;
        }
        let facts = prove_connection(client).await?;
        if self.hold_in(&facts, lifetime) {
            return Ok(facts);
        }
        let _looking = self.looking.lock().await;
        if self.hold_in(&facts, lifetime) {
            return Ok(facts);
        }
        self.look(client).await
    }

    /// A connection ended, and not by us.
    pub(in crate::postgres) fn broke(&self) {
        self.broken.fetch_add(1, Ordering::SeqCst);
    }

    async fn look(&self, client: &Client) -> Result<Facts, tokio_postgres::Error> {
        let (began, broken) = (Instant::now(), self.broken.load(Ordering::SeqCst));
        let found = prove(client).await?;
        let look = found.unguarded.is_empty().then(|| Arc::new(Look { began, broken, found: found.clone() }));
        self.last.store(look);
        Ok(found)
    }

    /// True if the last look was made where, and as who, a connection is that said `facts`.
    fn hold_in(&self, facts: &Facts, lifetime: Duration) -> bool {
        self.last.load().as_ref().is_some_and(|look| look.is_of(facts) && self.is_good(look, lifetime))
    }

    fn is_good(&self, look: &Look, lifetime: Duration) -> bool {
        look.began.elapsed() < lifetime && look.broken == self.broken.load(Ordering::SeqCst)
    }
}

// === impl Look ===

impl Look {
    /// The same database, by all that it says of itself; its ledger, which is added later, has nothing to do with it.
    fn is_of(&self, facts: &Facts) -> bool {
        let place = |facts: &Facts| (facts.oid, facts.system_identifier, facts.schema);
        let whose = |facts: &Facts| facts.identity.as_ref().map(|known| (known.database_uuid, known.solution.clone()));
        place(&self.found) == place(facts) && self.found.role == facts.role && whose(&self.found) == whose(facts)
    }
}
