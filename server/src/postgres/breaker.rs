//! Whether it makes sense to connect now.
//!
//! After a failure nobody connects for a moment, which grows with every failure in a row; then one does, and whoever
//! comes meanwhile waits for what he finds. So a server or database that is out of order is asked a few times a
//! second, however many want to. There is one for each server (it is out of reach), and one for each database and
//! login that failed for a reason of its own (a wrong password says nothing about the others). They are kept outside
//! the pools, which come and go. Connections that are open stay in use.
//!
//! A failure tells of the time when its try began: if another succeeded since, it tells nothing any more. So what was
//! begun before a server returned, and is found to have failed long after, closes nothing to anybody.
//!
//! Invariant: a breaker never decides where a solution lives; what it answers is the failure that it saw last.

use std::{
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use tokio::{
    sync::Notify,
    time::{Instant, timeout_at},
};

use super::Failure;
use crate::domain::{Error, error::Cause};

/// Pause after the first failure.
const FIRST: Duration = Duration::from_millis(50);
/// Longest pause: how late a recovery is noticed at most, while somebody asks.
const LONGEST: Duration = Duration::from_secs(1);

/// Lets connections be tried, or not.
#[derive(Debug, Default)]
pub(super) struct Breaker {
    state: Mutex<State>,
    /// What a try found is known.
    known: Notify,
    /// What failed last was silent. Kept apart, for those who are answered all the time.
    silent: AtomicBool,
}

#[derive(Debug, Default)]
struct State {
    /// In a row.
    failures: u32,
    last: Option<Failed>,
    /// Nobody tries before.
    until: Option<Instant>,
    /// Who tries for all.
    trying: Option<u64>,
    /// Leaves given so far, by which they are told apart.
    given: u64,
    /// The last of them when a connection was made last: those up to it have no say any more.
    overtaken: u64,
}

/// What a try failed with.
#[derive(Debug, Clone)]
pub(super) struct Failed {
    /// What that means.
    pub(super) failure: Failure,
    /// The error of the call that saw it.
    pub(super) error: Error,
    /// Nothing was answered in time: any answer, on whichever connection, disproves it.
    pub(super) silent: bool,
}

/// Leave to connect. Dropped without a verdict, the next one tries.
#[derive(Debug)]
pub struct Leave {
    breaker: Arc<Breaker>,
    number: u64,
}

/// Why there is no leave.
#[derive(Debug)]
pub(super) enum NoLeave {
    /// It failed a moment ago.
    Open(Failed),
    /// Somebody tries, for longer than the caller can wait; it failed before.
    StillTrying(Failed),
}

impl Breaker {
    /// Leave to connect, at once or when it is known what somebody else found.
    pub(super) async fn leave(self: &Arc<Self>, until: Instant) -> Result<Leave, NoLeave> {
        loop {
            let known = self.known.notified();
            tokio::pin!(known);
            // From here on nothing is missed.
            known.as_mut().enable();
            let last = {
                let mut state = self.lock();
                let Some(last) = &state.last else { return Ok(self.give(&mut state)) };
                if state.trying.is_none() {
                    if state.until.is_some_and(|until| Instant::now() < until) {
                        return Err(NoLeave::Open(last.clone()));
                    }
                    let leave = self.give(&mut state);
                    state.trying = Some(leave.number);
                    return Ok(leave);
                }
                last.clone()
            };
            if timeout_at(until, known).await.is_err() {
                return Err(NoLeave::StillTrying(last));
            }
        }
    }

    /// Leave for one who asks in any case, whatever failed before.
    pub(super) fn leave_anyway(self: &Arc<Self>) -> Leave {
        self.give(&mut self.lock())
    }

    fn give(self: &Arc<Self>, state: &mut State) -> Leave {
        state.given += 1;
        Leave { breaker: Arc::clone(self), number: state.given }
    }

    /// What whoever comes now is told, if nobody may try: there is no need to wait for a turn to hear that.
    pub(super) fn refusal(&self) -> Option<Failed> {
        let state = self.lock();
        let pausing = state.trying.is_none() && state.until.is_some_and(|until| Instant::now() < until);
        state.last.as_ref().filter(|_| pausing).cloned()
    }

    /// A connection was made, by whomever.
    pub(super) fn succeeded(&self) {
        let mut state = self.lock();
        let (failed, given) = (state.last.is_some(), state.given);
        *state = State { given, overtaken: given, ..State::default() };
        self.silent.store(false, Ordering::Relaxed);
        drop(state);
        if failed {
            self.known.notify_waiters();
        }
    }

    /// An answer came on a connection that was open already. What refuses new ones may refuse them still.
    pub(super) fn answered(&self) {
        if self.silent.load(Ordering::Relaxed) {
            self.succeeded();
        }
    }

    /// True if nothing failed for longer than any pause: nothing is forgotten with it.
    pub(super) fn is_quiet(&self) -> bool {
        let state = self.lock();
        state.trying.is_none() && state.until.is_none_or(|until| until + LONGEST <= Instant::now())
    }

    /// True if what was tried last failed.
    pub(super) fn is_open(&self) -> bool {
        self.lock().last.is_some()
    }

    /// The state is whole whenever the lock is free, also after a panic.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Leave {
    /// True if others wait for what he finds.
    pub(super) fn is_trying(&self) -> bool {
        self.breaker.lock().trying == Some(self.number)
    }

    /// It did not.
    pub(super) fn failed(self, failed: Failed) {
        let mut state = self.breaker.lock();
        if self.number <= state.overtaken {
            return;
        }
        let now = Instant::now();
        // Those that were under way together failed together, once.
        if state.trying == Some(self.number) || state.until.is_none_or(|until| until <= now) {
            state.failures = state.failures.saturating_add(1);
            state.until = Some(now + pause(state.failures, fastrand::f64()));
        }
        self.breaker.silent.store(failed.silent, Ordering::Relaxed);
        state.last = Some(failed);
        // Waking the others is left to the end of this leave.
    }
}

impl Drop for Leave {
    fn drop(&mut self) {
        let mut state = self.breaker.lock();
        if state.trying == Some(self.number) {
            state.trying = None;
            drop(state);
            self.breaker.known.notify_waiters();
        }
    }
}

impl Failed {
    /// With an error that is told to later callers, too.
    pub(super) fn new(failure: Failure, error: Error) -> Self {
        Self { failure, error, silent: false }
    }

    /// There was no answer in time.
    pub(super) fn silent(cause: impl std::error::Error + Send + Sync + 'static) -> Self {
        let error = Error::DatabaseUnavailable { cause: Some(Cause::new(cause)) };
        Self { failure: Failure::Unavailable, error, silent: true }
    }
}

/// Doubled with every failure, between half of it and all of it, so that replicas do not come together.
fn pause(failures: u32, random: f64) -> Duration {
    let whole = FIRST.saturating_mul(1 << failures.saturating_sub(1).min(10)).min(LONGEST);
    whole.mul_f64(0.5 + random / 2.0)
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    const PATIENCE: Duration = Duration::from_secs(60);

    fn failed() -> Failed {
        Failed::new(Failure::Unavailable, Error::DatabaseUnavailable { cause: None })
    }

    async fn leave(breaker: &Arc<Breaker>) -> Result<Leave, NoLeave> {
        breaker.leave(Instant::now() + PATIENCE).await
    }

    #[tokio::test(start_paused = true)]
    async fn everybody_may_connect_until_one_fails_and_then_one_tries_for_all() {
        let breaker = Arc::new(Breaker::default());
        let (first, second) = (leave(&breaker).await.unwrap(), leave(&breaker).await.unwrap());
        first.failed(failed());
        assert!(matches!(leave(&breaker).await, Err(NoLeave::Open(_))));
        drop(second);
        assert!(matches!(leave(&breaker).await, Err(NoLeave::Open(_))), "whose leave is older has no say");
        tokio::time::advance(FIRST).await;
        let trying = leave(&breaker).await.unwrap();
        let mut others: Vec<_> = (0..3).map(|_| Box::pin(leave(&breaker))).collect();
        for other in &mut others {
            assert!(other.now_or_never().is_none());
        }
        breaker.succeeded();
        drop(trying);
        for other in others {
            assert!(other.await.is_ok());
        }
        assert!(!breaker.is_open());
    }

    #[tokio::test(start_paused = true)]
    async fn pauses_grow_and_those_who_failed_together_count_once() {
        let breaker = Arc::new(Breaker::default());
        let together: Vec<_> = (0..20).map(|_| breaker.leave_anyway()).collect();
        together.into_iter().for_each(|leave| leave.failed(failed()));
        assert_eq!(breaker.lock().failures, 1);
        for failures in 2..8 {
            tokio::time::advance(LONGEST).await;
            leave(&breaker).await.unwrap().failed(failed());
            assert_eq!(breaker.lock().failures, failures);
        }
        let growing: Vec<_> = (1..9).map(|failures| pause(failures, 1.0).as_millis()).collect();
        assert_eq!(growing, [50, 100, 200, 400, 800, 1000, 1000, 1000]);
        assert_eq!(pause(u32::MAX, 0.0), LONGEST / 2);
    }

    #[tokio::test(start_paused = true)]
    async fn one_who_gives_up_trying_leaves_it_to_the_next() {
        let breaker = Arc::new(Breaker::default());
        breaker.leave_anyway().failed(failed());
        tokio::time::advance(FIRST).await;
        let trying = leave(&breaker).await.unwrap();
        let mut next = Box::pin(leave(&breaker));
        assert!((&mut next).now_or_never().is_none());
        drop(trying);
        assert!(next.await.unwrap().is_trying());
    }

    #[tokio::test(start_paused = true)]
    async fn what_began_before_another_succeeded_tells_nothing() {
        let breaker = Arc::new(Breaker::default());
        let hanging = leave(&breaker).await.unwrap();
        leave(&breaker).await.unwrap().failed(failed());
        tokio::time::advance(FIRST).await;
        let overtaken = leave(&breaker).await.unwrap();
        assert!(overtaken.is_trying());
        breaker.succeeded();
        hanging.failed(failed());
        assert!(!breaker.is_open());
        // Nor does it end the turn of whoever tries after it.
        breaker.leave_anyway().failed(failed());
        tokio::time::advance(FIRST).await;
        let trying = leave(&breaker).await.unwrap();
        overtaken.failed(failed());
        assert!(trying.is_trying());
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_on_an_open_connection_disproves_silence_but_no_refusal() {
        let breaker = Arc::new(Breaker::default());
        breaker.leave_anyway().failed(Failed::silent(std::io::Error::other("late")));
        assert!(breaker.refusal().is_some());
        breaker.answered();
        assert!(!breaker.is_open());
        breaker.leave_anyway().failed(failed());
        breaker.answered();
        assert!(breaker.refusal().is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn nobody_waits_longer_than_he_can() {
        let breaker = Arc::new(Breaker::default());
        breaker.leave_anyway().failed(failed());
        tokio::time::advance(FIRST).await;
        let _trying = leave(&breaker).await.unwrap();
        let soon = Instant::now() + Duration::from_millis(10);
        assert!(matches!(breaker.leave(soon).await, Err(NoLeave::StillTrying(_))));
    }

    #[tokio::test(start_paused = true)]
    async fn a_breaker_is_quiet_when_its_pauses_are_long_over() {
        let breaker = Arc::new(Breaker::default());
        assert!(breaker.is_quiet());
        breaker.leave_anyway().failed(failed());
        assert!(!breaker.is_quiet() && breaker.is_open());
        tokio::time::advance(LONGEST * 2).await;
        assert!(breaker.is_quiet());
    }
}
