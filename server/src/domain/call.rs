//! One call: by whom, for what, until when; and the proof that it may be about a solution.

use std::{fmt, sync::Arc, time::Duration};

use tokio::time::Instant;

use super::{Error, Need, Principal, Result, SolutionId};

/// Time that each layer keeps for its own answer, unless there is little.
const LAYER: Duration = Duration::from_millis(10);

/// The instant by which a call must be answered. Everything below waits no longer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Deadline(Instant);

/// One call, made by the layer that authenticated it.
#[derive(Debug, Clone)]
pub struct Call {
    /// The authenticated caller.
    pub principal: Principal,
    /// What the method needs of him.
    pub need: Need,
    /// When its answer is due.
    pub deadline: Deadline,
    /// What it holds until nothing of it is left, also of what goes on when its caller leaves.
    pub holds: Option<Arc<dyn fmt::Debug + Send + Sync>>,
}

/// A call about a solution in which its caller may do what the method needs. Made by [`Call::permit`] alone; routes are
/// found and sessions opened for nothing else.
#[derive(Debug, Clone)]
pub struct Permitted {
    call: Call,
    solution: SolutionId,
}

impl Call {
    /// Lets the call be about `solution`, whether or not there is one of that name.
    pub fn permit(self, solution: SolutionId) -> Result<Permitted> {
        if self.covers(&solution) { Ok(Permitted { call: self, solution }) } else { Err(Error::AccessDenied) }
    }

    /// True if the caller may do in `solution` what the method needs: lists show these alone.
    pub fn covers(&self, solution: &SolutionId) -> bool {
        self.principal.may(self.need, solution)
    }
}

impl Permitted {
    /// The call.
    pub fn call(&self) -> &Call {
        &self.call
    }

    /// What it is about.
    pub fn solution(&self) -> &SolutionId {
        &self.solution
    }

    /// Both.
    pub fn into_parts(self) -> (Call, SolutionId) {
        (self.call, self.solution)
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
