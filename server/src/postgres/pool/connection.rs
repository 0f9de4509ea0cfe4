//! A connection on loan: proved before it is lent, back in its pool only when the server has answered all that was sent.

use std::sync::Arc;

use deadpool_postgres::Object;
use tokio::time::timeout;

use super::database::DatabasePool;
use crate::postgres::{Facts, budget::Permit};

/// Longest a connection with unfinished work is waited for before it is closed.
const QUARANTINE: std::time::Duration = std::time::Duration::from_secs(1);

/// A proved connection, on loan.
#[derive(Debug)]
pub struct Connection {
    object: Option<Object>,
    facts: Arc<Facts>,
    /// True while something was sent whose answer has not come.
    unfinished: bool,
    /// Whence it came.
    pool: Arc<DatabasePool>,
    /// Goes back after the connection.
    permit: Option<Permit>,
}

/// A proved connection, not lent yet.
pub(super) struct Proved {
    pub(super) object: Object,
    pub(super) facts: Arc<Facts>,
}

/// Closes the connection unless it is taken out.
pub(super) struct Unproved(pub(super) Option<Object>);

impl Drop for Unproved {
    fn drop(&mut self) {
        if let Some(object) = self.0.take() {
            drop(Object::take(object));
        }
    }
}

// === impl Connection ===

impl Connection {
    pub(super) fn new(Proved { object, facts }: Proved, pool: Arc<DatabasePool>, permit: Permit) -> Self {
        Self { object: Some(object), facts, unfinished: false, pool, permit: Some(permit) }
    }

    /// What it proved.
    pub fn facts(&self) -> &Arc<Facts> {
        &self.facts
    }

    /// The driver's client. For `transaction` alone: it keeps the books of what is unfinished.
    pub(in crate::postgres) fn client(&self) -> Option<&deadpool_postgres::ClientWrapper> {
        self.object.as_deref()
    }

    /// True if each transaction may be on another connection to Postgres, and has to say itself where it is.
    pub(in crate::postgres) fn is_pooled(&self) -> bool {
        self.pool.server.is_pooler()
    }

    /// A transaction was elsewhere: what was proved is asked again before the next one.
    pub(in crate::postgres) fn doubt(&self) {
        if self.is_pooled() {
            self.pool.facts.store(None);
        }
    }

    /// Something is sent, or all of it has been answered.
    pub(in crate::postgres) fn set_unfinished(&mut self, unfinished: bool) {
        if self.unfinished && !unfinished && self.client().is_some_and(|client| !client.is_closed()) {
            self.pool.answered();
        }
        self.unfinished = unfinished;
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        let Some(object) = self.object.take() else { return };
        if !self.unfinished {
            return;
        }
        // Quarantine: the object keeps its place and its permit until the server has answered, or it is closed.
        // Outside a runtime (the process ends) there is nobody to wait: close.
        let Ok(runtime) = tokio::runtime::Handle::try_current() else {
            drop(Object::take(object));
            return;
        };
        let (permit, pool) = (self.permit.take(), Arc::clone(&self.pool));
        runtime.spawn(async move {
            let _permit = permit;
            let clean = timeout(QUARANTINE, object.batch_execute("ROLLBACK")).await;
            if !matches!(clean, Ok(Ok(()))) {
                drop(Object::take(object));
            } else {
                pool.answered();
                drop(object);
            }
        });
    }
}
