//! Whether solutions are kept apart in a database, as it was looked at last: all connections that are opened to it for
//! as long as one may live need not look again. That look costs more than opening a connection and all else it proves.
//!
//! Invariant: no connection is lent on a look that is older than `pool.lifetime`, that was made in another database or
//! before Postgres was restarted, or that was made before a connection broke or said otherwise: whoever ended it may have
//! done more. What is changed in silence, while no connection is open or behind a pooler, is noticed when the look is too old.

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

use super::{
    Facts,
    prove::{prove, prove_connection},
};

/// Share of its lifetime after which a look is made anew by whoever opens a connection.
const RENEWED: f64 = 0.8;

/// The last look at a database, as one login.
#[derive(Debug, Default)]
pub(super) struct Guards {
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
    pub(super) fn doubt(&self) {
        self.doubts.fetch_add(1, Ordering::SeqCst);
    }

    async fn look(&self, client: &Client) -> Result<Facts, tokio_postgres::Error> {
        let (began, doubts) = (Instant::now(), self.doubts.load(Ordering::SeqCst));
        let found = prove(client).await?;
        self.last.store(Look::of(&found, began, doubts).map(Arc::new));
        Ok(found)
    }

    fn is_good(&self, look: &Look, lifetime: Duration) -> bool {
        look.began.elapsed() < lifetime && look.doubts == self.doubts.load(Ordering::SeqCst)
    }
}

// === impl Look ===

impl Look {
    /// None, if solutions are not kept apart, or a later connection could find another answer: a standby may be behind.
    fn of(found: &Facts, began: Instant, doubts: u64) -> Option<Self> {
        let good = found.unguarded.is_empty() && !found.in_recovery && !found.role_too_powerful;
        good.then(|| Self { began, doubts, found: found.clone() })
    }

    /// The same database, by all that it says of itself; its ledger, which is added later, has nothing to do with it.
    fn is_of(&self, facts: &Facts) -> bool {
        let place = |facts: &Facts| (facts.oid, facts.system_identifier, facts.started, facts.schema);
        place(&self.found) == place(facts) && self.found.role == facts.role && whose(&self.found) == whose(facts)
    }
}

fn whose(facts: &Facts) -> Option<(Uuid, Option<&str>)> {
    facts.identity.as_ref().map(|known| (known.database_uuid, known.solution.as_deref()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::postgres::{Identity, SchemaState, prove::Unguarded};

    const LIFETIME: Duration = Duration::from_secs(600);

    fn facts() -> Facts {
        let identity = Identity { database_uuid: Uuid::from_u128(1), solution: Some("acme".into()), ledger_id: None };
        Facts {
            database: "djo_acme_db".into(),
            oid: 1,
            system_identifier: 2,
            started: 3,
            role: "fbs_router".into(),
            in_recovery: false,
            role_too_powerful: false,
            unguarded: Vec::new(),
            schema: SchemaState::Ready(3),
            identity: Some(identity),
        }
    }

    fn with(change: impl FnOnce(&mut Facts)) -> Facts {
        let mut facts = facts();
        change(&mut facts);
        facts
    }

    fn looked() -> Guards {
        let guards = Guards::default();
        guards.last.store(Look::of(&facts(), Instant::now(), 0).map(Arc::new));
        guards
    }

    #[test]
    fn a_look_is_good_where_it_was_made_and_nowhere_else() {
        let guards = looked();
        assert!(guards.hold_in(&facts(), LIFETIME));
        let claimed = |facts: &mut Facts| facts.identity.as_mut().unwrap().ledger_id = Some(Uuid::from_u128(9));
        assert!(guards.hold_in(&with(claimed), LIFETIME), "claimed meanwhile");
        let elsewhere: [fn(&mut Facts); 8] = [
            |facts| facts.oid = 9,
            |facts| facts.system_identifier = 9,
            |facts| facts.started = 9,
            |facts| facts.schema = SchemaState::Ready(4),
            |facts| facts.role = "another".into(),
            |facts| facts.identity = None,
            |facts| facts.identity.as_mut().unwrap().solution = None,
            |facts| facts.identity.as_mut().unwrap().database_uuid = Uuid::from_u128(9),
        ];
        for (number, change) in elsewhere.into_iter().enumerate() {
            assert!(!guards.hold_in(&with(change), LIFETIME), "{number}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_look_ends_with_its_time_and_with_any_doubt() {
        let guards = looked();
        tokio::time::advance(LIFETIME - Duration::from_millis(1)).await;
        assert!(guards.hold(LIFETIME) && !guards.hold(LIFETIME.mul_f64(RENEWED)));
        tokio::time::advance(Duration::from_millis(1)).await;
        assert!(!guards.hold(LIFETIME) && !guards.hold_in(&facts(), LIFETIME));
        let guards = looked();
        guards.doubt();
        assert!(!guards.hold(LIFETIME) && !guards.hold_in(&facts(), LIFETIME));
    }

    #[test]
    fn a_look_that_others_should_not_rely_on_is_none() {
        let what = || Unguarded { what: String::new(), mend: String::new() };
        let bad: [fn(&mut Facts, Unguarded); 3] = [
            |facts, _| facts.in_recovery = true,
            |facts, _| facts.role_too_powerful = true,
            |facts, what| facts.unguarded.push(what),
        ];
        for (number, change) in bad.into_iter().enumerate() {
            assert!(Look::of(&with(|facts| change(facts, what())), Instant::now(), 0).is_none(), "{number}");
        }
    }
}
