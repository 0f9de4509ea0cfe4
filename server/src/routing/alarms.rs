//! Refusals at which somebody has to look: another database than was meant, or a ledger and a fence that disagree.
//!
//! Owns when each was told last, so that a pair that goes on being asked for fills no log. The metric, which counts
//! every such answer, is the caller's.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

use crate::domain::{Error, SolutionId};

/// A pair that is still refused is told again after so long.
const AGAIN: Duration = Duration::from_secs(60);

/// What was told of which pair, and when.
#[derive(Debug, Default)]
pub(super) struct Alarms {
    told: Mutex<HashMap<(Arc<str>, SolutionId), Told>>,
}

#[derive(Debug)]
struct Told {
    what: &'static str,
    at: Instant,
}

impl Alarms {
    /// Tells of a refusal, unless it is an ordinary one or was told a moment ago.
    pub(super) fn refused(&self, app: &Arc<str>, solution: &SolutionId, error: &Error) {
        let what = match error {
            Error::DatabaseIdentityMismatch { what } | Error::PlacementConflict(what) => *what,
            _ => return,
        };
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        told.retain(|_, told| told.at.elapsed() < AGAIN);
        let pair = (Arc::clone(app), solution.clone());
        if told.get(&pair).is_some_and(|told| told.what == what) {
            return;
        }
        told.insert(pair, Told { what, at: Instant::now() });
        tracing::error!(%app, %solution, %error, "refused until somebody looks at it: `fbs-router explain` tells why");
    }
}
