//! Places for the pooled connections of one server. How many there are may change while they are taken.
//!
//! Invariant: once as many have come back as there were too many, no more are taken than there may be.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

#[derive(Debug)]
pub(super) struct Places {
    free: Arc<Semaphore>,
    count: Mutex<Count>,
}

#[derive(Debug)]
struct Count {
    /// As configured.
    most: usize,
    /// Taken over and above: those go when they come back.
    surplus: usize,
}

/// A place. Comes back when it is dropped.
#[derive(Debug)]
pub(super) struct Place {
    places: Arc<Places>,
    permit: Option<OwnedSemaphorePermit>,
}

impl Places {
    pub(super) fn new(most: usize) -> Arc<Self> {
        let count = Mutex::new(Count { most, surplus: 0 });
        Arc::new(Self { free: Arc::new(Semaphore::new(most)), count })
    }

    /// A place, if one is free.
    pub(super) fn try_take(self: &Arc<Self>) -> Option<Place> {
        let permit = Arc::clone(&self.free).try_acquire_owned().ok()?;
        Some(Place { places: Arc::clone(self), permit: Some(permit) })
    }

    /// A place, as soon as one is free.
    pub(super) async fn take(self: &Arc<Self>) -> Option<Place> {
        let permit = Arc::clone(&self.free).acquire_owned().await.ok()?;
        Some(Place { places: Arc::clone(self), permit: Some(permit) })
    }

    /// As many as there may be from here on.
    pub(super) fn set_most(&self, most: usize) {
        let mut count = self.lock();
        if most > count.most {
            let more = most - count.most;
            let kept = more.min(count.surplus);
            count.surplus -= kept;
            self.free.add_permits(more - kept);
        } else {
            let less = count.most - most;
            count.surplus += less - self.free.forget_permits(less);
        }
        count.most = most;
    }

    pub(super) fn most(&self) -> usize {
        self.lock().most
    }

    /// Taken, but more than there may be.
    pub(super) fn surplus(&self) -> usize {
        self.lock().surplus
    }

    /// None is free.
    pub(super) fn is_full(&self) -> bool {
        self.free.available_permits() == 0
    }

    pub(super) fn taken(&self) -> usize {
        let count = self.lock();
        (count.most + count.surplus).saturating_sub(self.free.available_permits())
    }

    /// The counts are whole whenever the lock is free, also after a panic.
    fn lock(&self) -> MutexGuard<'_, Count> {
        self.count.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let Some(permit) = self.permit.take() else { return };
        let mut count = self.places.lock();
        if count.surplus > 0 {
            count.surplus -= 1;
            permit.forget();
        } else {
            // Under the lock: whoever counts meanwhile must see it either taken or free.
            drop(permit);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fewer_places_are_reached_as_they_come_back_and_more_are_there_at_once() {
        let places = Places::new(4);
        let mut taken: Vec<Place> = std::iter::from_fn(|| places.try_take()).collect();
        assert_eq!((taken.len(), places.taken()), (4, 4));
        places.set_most(2);
        assert_eq!((places.taken(), places.surplus()), (4, 2));
        for surplus in [1, 0] {
            taken.pop();
            assert_eq!(places.surplus(), surplus);
            assert!(places.try_take().is_none());
        }
        taken.pop();
        taken.extend(places.try_take());
        assert_eq!((places.taken(), places.surplus()), (2, 0));
        // Up again before those too many have gone.
        places.set_most(1);
        places.set_most(3);
        taken.extend(std::iter::from_fn(|| places.try_take()));
        assert_eq!((taken.len(), places.taken(), places.surplus()), (3, 3, 0));
        taken.clear();
        places.set_most(1);
        assert_eq!(std::iter::from_fn(|| places.try_take()).take(9).collect::<Vec<_>>().len(), 1);
    }
}
