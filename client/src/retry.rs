//! When to try again, and how long to wait: pure arithmetic, and the budget that all clones of a client share.
//!
//! Whether an error may be retried at all is [`Error::retryable`](crate::Error::retryable)'s to say.

use std::{
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};

/// Attempts a logical call unless set: with the waits below, about a second of trouble is ridden out.
pub(crate) const ATTEMPTS: u32 = 4;
/// More would only be harm to a service in trouble.
const ATTEMPTS_MAX: u32 = 10;
/// Longest wait before the second attempt; doubles with each further one.
const BACKOFF: Duration = Duration::from_millis(50);
/// Longest wait before any attempt, unless the service asks for more.
const BACKOFF_MAX: Duration = Duration::from_secs(2);

/// What the budget holds at first and at most.
const TOKENS_MAX: u32 = 100;
/// What a retry takes. Full, the budget allows ten retries of a dead service; after that one a ten successes.
const TOKENS_A_RETRY: u32 = 10;
/// What a success brings.
const TOKENS_A_SUCCESS: u32 = 1;

/// A number of attempts that is allowed.
pub(crate) fn bounded(attempts: u32) -> u32 {
    attempts.clamp(1, ATTEMPTS_MAX)
}

/// The longest a wait may be before the attempt after `made` attempts.
fn backoff(made: u32) -> Duration {
    BACKOFF.saturating_mul(1 << made.saturating_sub(1).min(16)).min(BACKOFF_MAX)
}

/// How long to wait after `made` attempts. Full jitter (`random` is 0..1), so that callers that failed together do
/// not come back together; on top of what the service asked for, never instead of it.
pub(crate) fn wait(made: u32, asked: Option<Duration>, random: f64) -> Duration {
    asked.unwrap_or_default().saturating_add(backoff(made).mul_f64(random.clamp(0.0, 1.0)))
}

/// What is left for retries, over all calls of a client and its clones: a service that is dead for everybody gets one
/// attempt a call, not four.
#[derive(Debug)]
pub(crate) struct Budget {
    tokens: AtomicU32,
}

// === impl Budget ===

impl Budget {
    pub(crate) fn new() -> Self {
        Self { tokens: AtomicU32::new(TOKENS_MAX) }
    }

    /// Takes what a retry costs; false if it is not there.
    pub(crate) fn spend(&self) -> bool {
        let left = |tokens: u32| tokens.checked_sub(TOKENS_A_RETRY);
        self.tokens.fetch_update(Ordering::Relaxed, Ordering::Relaxed, left).is_ok()
    }

    /// A call succeeded.
    pub(crate) fn earn(&self) {
        let more = |tokens: u32| (tokens < TOKENS_MAX).then(|| (tokens + TOKENS_A_SUCCESS).min(TOKENS_MAX));
        // An error means that it is full.
        let _full = self.tokens.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_is_tried_once_at_least_and_ten_times_at_most() {
        assert_eq!([0, 1, 7, 10, u32::MAX].map(bounded), [1, 1, 7, 10, 10]);
    }

    #[test]
    fn waits_double_up_to_two_seconds() {
        let longest: Vec<_> = (1..=8).map(|made| wait(made, None, 1.0).as_millis()).collect();
        assert_eq!(longest, [50, 100, 200, 400, 800, 1600, 2000, 2000]);
        assert_eq!(wait(u32::MAX, None, 1.0), BACKOFF_MAX);
        assert_eq!(wait(3, None, 0.0), Duration::ZERO);
    }

    #[test]
    fn what_the_service_asks_for_is_waited_at_least() {
        let asked = Duration::from_secs(3);
        assert_eq!(wait(1, Some(asked), 0.0), asked);
        assert_eq!(wait(1, Some(asked), 1.0), asked + BACKOFF);
    }

    #[test]
    fn ten_retries_empty_the_budget_and_ten_successes_pay_for_one() {
        let budget = Budget::new();
        assert_eq!((0..50).filter(|_| budget.spend()).count(), 10);
        (0..9).for_each(|_| budget.earn());
        assert!(!budget.spend());
        budget.earn();
        assert!(budget.spend() && !budget.spend());
    }

    #[test]
    fn the_budget_never_grows_beyond_its_size() {
        let budget = Budget::new();
        (0..1000).for_each(|_| budget.earn());
        assert_eq!((0..50).filter(|_| budget.spend()).count(), 10);
    }
}
