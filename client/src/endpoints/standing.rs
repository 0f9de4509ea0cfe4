//! What is known about an address, and which one a call takes: pure, so that it can be tried without a network.
//!
//! An address that could not be reached is left alone for a while, unless all are. One that has never answered, or
//! broke, gets one call at a time as long as a proven one is there: a hole in the network then costs one call its
//! connect timeout, not all of them.

use std::time::Duration;

use tokio::time::Instant;

/// How long an address is left alone at first; doubles with each failure.
const BACKOFF: Duration = Duration::from_secs(1);
/// The longest: a replica that comes back is used again within that time.
const BACKOFF_MAX: Duration = Duration::from_secs(30);
/// Spread of the backoff, so that clients do not come back together: 0.8 to 1.2 times.
const JITTER: f64 = 0.2;

/// How a call ended, as far as its address is concerned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ending {
    /// The service answered, whatever it said.
    Answered,
    /// No connection could be made.
    NotReached,
    /// The connection broke.
    Broken,
    /// There was no answer in time.
    Silent,
}

/// What is known about an address.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct Standing {
    /// It has answered, and not broken since.
    pub(crate) proven: bool,
    failures: u32,
    left_alone_until: Option<Instant>,
}

/// An address as the choice sees it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Candidate {
    pub(crate) standing: Standing,
    pub(crate) in_flight: usize,
    /// The attempt before failed there.
    pub(crate) just_failed: bool,
}

// === impl Standing ===

impl Standing {
    /// Learns from a call. `random` is 0..1. True if the address could not be used, so that its name should be looked
    /// up again.
    pub(crate) fn learn(&mut self, ending: Ending, now: Instant, random: f64) -> bool {
        match ending {
            Ending::Answered => {
                *self = Self { proven: true, failures: 0, left_alone_until: None };
                false
            }
            // A query may be slow, and a connection may be closed by a server that restarts.
            Ending::Silent if self.proven => false,
            Ending::Broken if self.proven => {
                self.proven = false;
                true
            }
            Ending::NotReached | Ending::Broken | Ending::Silent => {
                self.proven = false;
                // Calls that were under way together fail together: that is one failure.
                if !self.left_alone(now) {
                    self.failures = self.failures.saturating_add(1);
                    self.left_alone_until = Some(now + pause(self.failures, random));
                }
                true
            }
        }
    }

    fn left_alone(&self, now: Instant) -> bool {
        self.left_alone_until.is_some_and(|until| now < until)
    }
}

fn pause(failures: u32, random: f64) -> Duration {
    let pause = BACKOFF.saturating_mul(1 << failures.saturating_sub(1).min(16)).min(BACKOFF_MAX);
    pause.mul_f64(1.0 - JITTER + 2.0 * JITTER * random.clamp(0.0, 1.0))
}

/// The index of the address to call; none only if there are none. `turn` breaks ties, so that quiet callers go round.
pub(crate) fn choose(candidates: &[Candidate], turn: usize, now: Instant) -> Option<usize> {
    let count = candidates.len();
    let any_proven = candidates.iter().any(|candidate| candidate.standing.proven);
    let indexes = (0..count).map(|step| (turn % count.max(1) + step) % count.max(1));
    indexes.min_by_key(|index| {
        let candidate = &candidates[*index];
        let standing = candidate.standing;
        let left_alone = standing.left_alone(now);
        (
            left_alone,
            candidate.just_failed,
            any_proven && !standing.proven && candidate.in_flight > 0,
            standing.left_alone_until.filter(|_| left_alone), // if all are left alone, the one due first
            candidate.in_flight,
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn candidate(proven: bool, in_flight: usize) -> Candidate {
        Candidate { standing: Standing { proven, ..Standing::default() }, in_flight, just_failed: false }
    }

    fn dead(now: Instant) -> Candidate {
        let mut dead = candidate(false, 0);
        assert!(dead.standing.learn(Ending::NotReached, now, 0.5));
        dead
    }

    #[test]
    fn the_one_with_fewest_calls_in_flight_is_taken() {
        let candidates = [candidate(true, 3), candidate(true, 1), candidate(true, 2)];
        for turn in 0..3 {
            assert_eq!(choose(&candidates, turn, Instant::now()), Some(1));
        }
        assert_eq!(choose(&[], 7, Instant::now()), None);
    }

    #[test]
    fn equals_take_turns() {
        let candidates = [candidate(true, 0); 3];
        let taken: Vec<_> = (0..4).map(|turn| choose(&candidates, turn, Instant::now()).unwrap()).collect();
        assert_eq!(taken, [0, 1, 2, 0]);
        assert!(choose(&candidates, usize::MAX, Instant::now()).is_some());
    }

    #[test]
    fn one_that_cannot_be_reached_is_left_alone_for_a_while() {
        let now = Instant::now();
        let candidates = [dead(now), candidate(true, 50)];
        assert_eq!(choose(&candidates, 0, now + Duration::from_millis(999)), Some(1));
        assert_eq!(choose(&candidates, 0, now + Duration::from_millis(1001)), Some(0));
    }

    #[test]
    fn if_all_are_left_alone_the_one_due_first_is_taken() {
        let now = Instant::now();
        let candidates = [dead(now + Duration::from_millis(100)), dead(now)];
        assert_eq!(choose(&candidates, 0, now + Duration::from_millis(200)), Some(1));
    }

    #[test]
    fn a_retry_goes_elsewhere() {
        let mut candidates = [candidate(true, 0), candidate(true, 5)];
        candidates[0].just_failed = true;
        assert_eq!(choose(&candidates, 0, Instant::now()), Some(1));
    }

    #[test]
    fn an_unproven_one_gets_one_call_at_a_time() {
        assert_eq!(choose(&[candidate(false, 0), candidate(true, 9)], 0, Instant::now()), Some(0));
        assert_eq!(choose(&[candidate(false, 1), candidate(true, 9)], 0, Instant::now()), Some(1));
        // Without a proven one there is nothing to wait for.
        assert_eq!(choose(&[candidate(false, 1), candidate(false, 9)], 0, Instant::now()), Some(0));
    }

    #[test]
    fn pauses_double_up_to_half_a_minute_and_end_with_an_answer() {
        let mut standing = Standing::default();
        let mut now = Instant::now();
        let mut pauses = Vec::new();
        for _ in 0..7 {
            standing.learn(Ending::NotReached, now, 0.5);
            let until = standing.left_alone_until.unwrap();
            pauses.push((until - now).as_secs_f64().round());
            now = until;
        }
        assert_eq!(pauses, [1.0, 2.0, 4.0, 8.0, 16.0, 30.0, 30.0]);
        assert!(!standing.learn(Ending::Answered, now, 0.5));
        assert_eq!(standing, Standing { proven: true, ..Standing::default() });
        assert!(pause(1, 0.0) < BACKOFF && BACKOFF < pause(1, 1.0));
    }

    #[test]
    fn calls_that_fail_together_count_once() {
        let mut standing = Standing::default();
        let now = Instant::now();
        for _ in 0..10 {
            standing.learn(Ending::NotReached, now, 0.5);
        }
        assert_eq!(standing.failures, 1);
    }

    #[test]
    fn a_slow_answer_is_no_reason_to_leave_a_proven_address() {
        let mut standing = Standing { proven: true, ..Standing::default() };
        assert!(!standing.learn(Ending::Silent, Instant::now(), 0.5));
        assert!(standing.proven);
        // A break makes it unproven, a second one without an answer between them is a failure.
        assert!(standing.learn(Ending::Broken, Instant::now(), 0.5));
        assert!(!standing.proven && standing.left_alone_until.is_none());
        standing.learn(Ending::Broken, Instant::now(), 0.5);
        assert!(standing.left_alone_until.is_some());
    }
}
