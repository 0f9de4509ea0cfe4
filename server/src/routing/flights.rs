//! One at a time for each pair: the work of finding out, not the answer.
//!
//! A hundred first calls to a cold solution look inside its database once. A caller who leaves gives way to the next;
//! nobody waits longer than its own deadline.

use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::sync::OwnedMutexGuard;

use crate::domain::SolutionId;

type Pair = (Arc<str>, SolutionId);

/// Who is finding out about which pair.
#[derive(Debug, Default)]
pub(super) struct Flights {
    resolving: Arc<Mutex<HashMap<Pair, Arc<tokio::sync::Mutex<()>>>>>,
    looking: Arc<Mutex<HashSet<Pair>>>,
}

/// The right to find out about a pair; given up when dropped.
#[derive(Debug)]
pub(super) struct Flight {
    pair: Pair,
    guard: Option<OwnedMutexGuard<()>>,
    flights: Arc<Mutex<HashMap<Pair, Arc<tokio::sync::Mutex<()>>>>>,
}

/// The right to look at a pair in the background.
#[derive(Debug)]
pub(super) struct LookFlight {
    pair: Pair,
    looking: Arc<Mutex<HashSet<Pair>>>,
}

impl Flights {
    /// Waits until nobody else finds out about the pair.
    pub(super) async fn enter(&self, app: &Arc<str>, solution: &SolutionId) -> Flight {
        let pair = (Arc::clone(app), solution.clone());
        let lock = Arc::clone(relock(&self.resolving).entry(pair.clone()).or_default());
        let mut flight = Flight { pair, guard: None, flights: Arc::clone(&self.resolving) };
        flight.guard = Some(lock.lock_owned().await);
        flight
    }

    /// The right to look, unless somebody has it.
    pub(super) fn try_enter_look(&self, app: &Arc<str>, solution: &SolutionId) -> Option<LookFlight> {
        let pair = (Arc::clone(app), solution.clone());
        relock(&self.looking).insert(pair.clone()).then(|| LookFlight { pair, looking: Arc::clone(&self.looking) })
    }
}

impl Drop for Flight {
    fn drop(&mut self) {
        self.guard = None;
        let mut flights = relock(&self.flights);
        // Held by the map alone: nobody waits, so the entry can go.
        if flights.get(&self.pair).is_some_and(|lock| Arc::strong_count(lock) == 1) {
            flights.remove(&self.pair);
        }
    }
}

impl Drop for LookFlight {
    fn drop(&mut self) {
        relock(&self.looking).remove(&self.pair);
    }
}

/// The maps are whole whenever their lock is free, also after a panic.
fn relock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_pair_is_one_callers_at_a_time_and_leaves_nothing_behind() {
        let flights = Flights::default();
        let (app, solution) = (Arc::from("fbs_dms"), SolutionId::parse("acme").unwrap());
        let first = flights.enter(&app, &solution).await;
        let waiting = flights.enter(&app, &solution);
        tokio::pin!(waiting);
        assert!(tokio::time::timeout(std::time::Duration::from_millis(1), &mut waiting).await.is_err());
        drop(first);
        drop(waiting.await);
        assert!(relock(&flights.resolving).is_empty());
        // A caller who leaves while waiting leaves nothing either.
        let first = flights.enter(&app, &solution).await;
        {
            let leaving = flights.enter(&app, &solution);
            tokio::pin!(leaving);
            assert!(tokio::time::timeout(std::time::Duration::from_millis(1), &mut leaving).await.is_err());
        }
        drop(first);
        assert!(relock(&flights.resolving).is_empty());
    }
}
