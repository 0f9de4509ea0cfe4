//! Absences that were proved a moment ago: what reading calls may rely on.
//!
//! Per pair, because a kept scan proves nothing about a name nobody asked for: somebody may have created it since.
//! Bounded: when it is full, calls wait for a scan of their own, as they would without it.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

use crate::domain::SolutionId;

/// Most pairs that are remembered. Names of solutions that do not exist must not fill memory.
const MOST: usize = 10_000;

type Pair = (Arc<str>, SolutionId);

/// Pairs without record and database, and since when that is known.
#[derive(Debug, Default)]
pub(crate) struct Absences {
    proved: Mutex<HashMap<Pair, Instant>>,
}

impl Absences {
    /// Remembers that catalogs and ledger, read since `at`, lacked the pair.
    pub(crate) fn put(&self, app: &Arc<str>, solution: &SolutionId, at: Instant, ttl: Duration) {
        let mut proved = self.lock();
        if proved.len() >= MOST {
            proved.retain(|_, at| at.elapsed() < ttl);
        }
        if proved.len() < MOST {
            proved.insert((Arc::clone(app), solution.clone()), at);
        }
    }

    /// Since when the pair is known to be absent, if that is at most `ttl` ago.
    pub(crate) fn get(&self, app: &Arc<str>, solution: &SolutionId, ttl: Duration) -> Option<Instant> {
        let at = *self.lock().get(&(Arc::clone(app), solution.clone()))?;
        (at.elapsed() <= ttl).then_some(at)
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Pair, Instant>> {
        self.proved.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn an_absence_is_remembered_for_its_pair_alone_for_a_moment_and_within_a_bound() {
        let absences = Absences::default();
        let (app, ttl) = (Arc::from("fbs_dms"), Duration::from_secs(1));
        let solution = |number: usize| SolutionId::parse(&format!("s{number}")).unwrap();
        absences.put(&app, &solution(0), Instant::now(), ttl);
        assert!(absences.get(&app, &solution(0), ttl).is_some());
        assert!(absences.get(&app, &solution(1), ttl).is_none());
        for number in 0..2 * MOST {
            absences.put(&app, &solution(number), Instant::now(), ttl);
        }
        assert_eq!(absences.lock().len(), MOST);
        tokio::time::advance(Duration::from_millis(1_001)).await;
        assert!(absences.get(&app, &solution(0), ttl).is_none());
        absences.put(&app, &solution(MOST), Instant::now(), ttl);
        assert_eq!(absences.lock().len(), 1);
    }
}
