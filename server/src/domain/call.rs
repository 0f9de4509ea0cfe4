//! Who calls, and until when.

use std::{sync::Arc, time::Duration};

use tokio::time::Instant;

/// Who calls. Without authentication it is `anonymous`, admin of every solution, who may act for others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Principal {
    id: Arc<str>,
}

/// Time that each layer keeps for its own answer, unless there is little.
const LAYER: Duration = Duration::from_millis(10);

/// The instant by which a call must be answered. Everything below waits no longer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Deadline(Instant);

/// One call: whose, on whose behalf, until when.
#[derive(Debug, Clone)]
pub struct Call {
    /// The authenticated caller.
    pub principal: Principal,
    /// When its answer is due.
    pub deadline: Deadline,
}

impl Principal {
    /// The caller when no authentication is configured.
    pub fn anonymous() -> Self {
        Self { id: "anonymous".into() }
    }

    /// The name that rows and the audit carry.
    pub fn id(&self) -> &str {
        &self.id
    }
}

impl Deadline {
    /// Due in `time` from now.
    pub fn after(time: Duration) -> Self {
        Self(Instant::now() + time)
    }

    /// The instant.
    pub fn instant(self) -> Instant {
        self.0
    }

    /// What is left, never negative.
    pub fn remaining(self) -> Duration {
        self.0.saturating_duration_since(Instant::now())
    }

    /// True when nothing is left.
    pub fn passed(self) -> bool {
        self.remaining().is_zero()
    }

    /// An earlier one, for what is asked on behalf of this: whoever is further out still has time to answer.
    #[must_use]
    pub fn inner(self) -> Self {
        Self(self.0 - (self.remaining() / 10).min(LAYER))
    }

    /// The earlier of this and `limit` from now.
    pub fn within(self, limit: Duration) -> Self {
        Self(self.0.min(Instant::now() + limit))
    }
}
