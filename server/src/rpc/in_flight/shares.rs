//! Who holds how much.
//!
//! Invariant: nobody takes more than he leaves free to whoever comes. So one caller has half at most, two have a third each,
//! and there is always something left for one who has nothing yet.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
};

use fbs_router_proto::codec::Scale;
use tonic::Status;

use super::SHORT_BYTES;
use crate::{
    domain::{Error, Result},
    rpc::status::status,
};

/// All that calls in flight may hold, and what they do hold, in bytes.
#[derive(Debug)]
pub struct Shares {
    most: usize,
    state: Mutex<State>,
    refused: AtomicU64,
}

#[derive(Debug, Default)]
struct State {
    all: usize,
    by_caller: HashMap<Arc<str>, usize>,
}

/// What one call holds; given back when it is dropped. Its parts come one after the other: what it counts is not changed by two at
/// once.
#[derive(Debug)]
pub(super) struct Held {
    shares: Arc<Shares>,
    caller: Arc<str>,
    bytes: AtomicUsize,
    /// What the heaviest request so far takes once it is read: of a stream's, one is here at a time.
    heaviest: AtomicUsize,
}

// === impl Shares ===

impl Shares {
    /// Nothing is held of `most` bytes.
    pub fn new(most: usize) -> Arc<Self> {
        Arc::new(Self { most, state: Mutex::default(), refused: AtomicU64::new(0) })
    }

    /// Bytes held.
    pub fn held(&self) -> usize {
        self.lock().all
    }

    /// Calls that were refused for want of memory.
    pub fn refused(&self) -> u64 {
        self.refused.load(Ordering::Relaxed)
    }

    /// A call begins, and holds `bytes`.
    pub(super) fn begin(self: &Arc<Self>, caller: &Arc<str>, bytes: usize) -> Result<Held> {
        self.take(caller, bytes)?;
        let heaviest = AtomicUsize::new(SHORT_BYTES);
        Ok(Held { shares: Arc::clone(self), caller: Arc::clone(caller), bytes: AtomicUsize::new(bytes), heaviest })
    }

    fn take(&self, caller: &Arc<str>, bytes: usize) -> Result<()> {
        let mut state = self.lock();
        let own = state.by_caller.get(caller).copied().unwrap_or_default();
        let left = self.most.saturating_sub(state.all).checked_sub(bytes);
        if left.is_none_or(|left| own + bytes > left) {
            let most_is_his = own * 2 >= state.all && own > 0;
            drop(state);
            self.refused.fetch_add(1, Ordering::Relaxed);
            return Err(if most_is_his { Error::TooMuchInFlight } else { Error::Overloaded });
        }
        state.add(caller, bytes);
        Ok(())
    }

    fn give_back(&self, caller: &Arc<str>, bytes: usize) {
        let mut state = self.lock();
        state.all -= bytes;
        if let Some(own) = state.by_caller.get_mut(caller) {
            *own -= bytes;
            if *own == 0 {
                state.by_caller.remove(caller);
            }
        }
    }

    /// The sums are whole whenever the lock is free, also after a panic.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn add(&mut self, caller: &Arc<str>, bytes: usize) {
        self.all += bytes;
        if let Some(own) = self.by_caller.get_mut(caller) {
            *own += bytes;
        } else {
            self.by_caller.insert(Arc::clone(caller), bytes);
        }
    }
}

// === impl Held ===

impl Held {
    /// So many bytes more, if there is room.
    pub(super) fn more(&self, bytes: usize) -> Result<()> {
        self.shares.take(&self.caller, bytes)?;
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
        Ok(())
    }

    /// So many bytes from now on, whatever it was; if there is room for them.
    pub(super) fn now(&self, bytes: usize) -> Result<()> {
        match bytes.checked_sub(self.bytes()) {
            None => self.less(bytes),
            Some(0) => {}
            Some(more) => self.more(more)?,
        }
        Ok(())
    }

    /// As [`now`](Self::now), also if that should be more than there is room for: what was done is told.
    pub(super) fn now_in_any_case(&self, bytes: usize) {
        match bytes.checked_sub(self.bytes()) {
            None => self.less(bytes),
            Some(more) => {
                self.shares.lock().add(&self.caller, more);
                self.bytes.fetch_add(more, Ordering::Relaxed);
            }
        }
    }

    fn less(&self, bytes: usize) {
        let before = self.bytes.swap(bytes, Ordering::Relaxed);
        self.shares.give_back(&self.caller, before - bytes);
    }

    fn bytes(&self) -> usize {
        self.bytes.load(Ordering::Relaxed)
    }
}

impl Scale for Held {
    fn weighs(&self, bytes: usize) -> std::result::Result<(), Status> {
        let before = self.heaviest.fetch_max(bytes, Ordering::Relaxed);
        if bytes > before {
            self.more(bytes - before).map_err(|error| status(&error))?;
        }
        Ok(())
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.shares.give_back(&self.caller, self.bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn caller(name: &str) -> Arc<str> {
        name.into()
    }

    #[test]
    fn nobody_takes_more_than_he_leaves_free() {
        let shares = Shares::new(120);
        let (greedy, other, third) = (caller("greedy"), caller("other"), caller("third"));
        let first = shares.begin(&greedy, 50).unwrap();
        first.more(10).unwrap();
        assert!(matches!(first.more(1), Err(Error::TooMuchInFlight)), "half of it is his");
        assert!(matches!(shares.begin(&other, 31), Err(Error::Overloaded)));
        let second = shares.begin(&other, 30).unwrap();
        let third = shares.begin(&third, 15).unwrap();
        assert_eq!((shares.held(), shares.refused()), (105, 2));
        drop((second, third));
        assert_eq!(shares.held(), 60);
        drop(first);
        assert_eq!(shares.held(), 0);
        assert!(shares.lock().by_caller.is_empty(), "who holds nothing is forgotten");
    }

    #[test]
    fn an_answer_takes_the_place_of_its_request_and_one_to_a_change_is_never_refused() {
        let shares = Shares::new(100);
        let call = shares.begin(&caller("one"), 40).unwrap();
        call.now(50).unwrap();
        assert!(matches!(call.now(51), Err(Error::TooMuchInFlight)));
        assert_eq!(shares.held(), 50);
        call.now(5).unwrap();
        assert_eq!(shares.held(), 5);
        call.now_in_any_case(300);
        assert_eq!(shares.held(), 300);
        assert!(matches!(shares.begin(&caller("two"), 1), Err(Error::Overloaded)));
        call.now_in_any_case(1);
        assert_eq!(shares.held(), 1);
        drop(call);
        assert_eq!(shares.held(), 0);
    }
}
