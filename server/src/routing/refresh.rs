//! An action repeated in the background, which callers can ask to have happened after their question.
//!
//! Owns the numbering of runs, and nothing of what they do. However many callers wait, one run is in flight and at
//! most ten begin in a second. A cancelled caller cancels nothing: the run belongs to its task.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use tokio::{
    sync::{Notify, watch},
    time::{Instant, sleep_until, timeout_at},
};

use crate::domain::Deadline;

/// At most ten runs a second.
const GAP: Duration = Duration::from_millis(100);

/// A repeated action.
#[derive(Debug)]
pub(super) struct Pulse {
    begun: AtomicU64,
    ended: watch::Sender<Ended>,
    wake: Notify,
}

#[derive(Debug, Clone, Copy, Default)]
struct Ended {
    run: u64,
    succeeded: u64,
}

/// The runs of a [`Pulse`], one after the other.
#[derive(Debug)]
pub(super) struct Rounds<'p> {
    pulse: &'p Pulse,
    interval: Duration,
    began: Option<Instant>,
}

/// No run that began after the question succeeded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Stale;

impl Pulse {
    /// Not running yet.
    pub(super) fn new() -> Self {
        Self { begun: AtomicU64::new(0), ended: watch::Sender::new(Ended::default()), wake: Notify::new() }
    }

    /// Waits for a run that begins after this call, and tells whether it succeeded.
    pub(super) async fn fresh(&self, deadline: Deadline) -> Result<(), Stale> {
        // A run that begins right after this line counts too: it began after the call.
        let wanted = self.begun.load(Ordering::SeqCst) + 1;
        let mut ended = self.ended.subscribe();
        self.wake.notify_one();
        let seen = timeout_at(deadline.instant(), ended.wait_for(|ended| ended.run >= wanted)).await;
        match seen {
            Ok(Ok(ended)) if ended.succeeded >= wanted => Ok(()),
            _ => Err(Stale),
        }
    }

    /// Asks for a run soon, and does not wait.
    pub(super) fn poke(&self) {
        self.wake.notify_one();
    }

    /// Waits until one run has ended, whatever its outcome.
    pub(super) async fn tried(&self) {
        let mut ended = self.ended.subscribe();
        // The sender lives as long as `self`.
        let _ = ended.wait_for(|ended| ended.run > 0).await;
    }

    /// True if one run has ended, whatever its outcome.
    pub(super) fn was_tried(&self) -> bool {
        self.ended.borrow().run > 0
    }

    /// The runs, for the one task that does them: at least every `interval`, and when asked.
    pub(super) fn rounds(&self, interval: Duration) -> Rounds<'_> {
        Rounds { pulse: self, interval, began: None }
    }
}

impl Rounds<'_> {
    /// Waits until a run is due, and begins it.
    pub(super) async fn begin(&mut self) {
        if let Some(began) = self.began {
            sleep_until(began + GAP).await;
            tokio::select! {
                () = sleep_until(began + self.interval) => {}
                () = self.pulse.wake.notified() => {}
            }
        }
        self.began = Some(Instant::now());
        self.pulse.begun.fetch_add(1, Ordering::SeqCst);
    }

    /// Ends the run that was begun last.
    pub(super) fn end(&mut self, succeeded: bool) {
        let run = self.pulse.begun.load(Ordering::SeqCst);
        self.pulse.ended.send_modify(|ended| {
            ended.run = run;
            if succeeded {
                ended.succeeded = run;
            }
        });
    }
}

impl Default for Pulse {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, atomic::AtomicBool};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn an_answer_is_never_older_than_the_question() {
        let pulse = Arc::new(Pulse::new());
        let runs = Arc::new(AtomicU64::new(0));
        let (task, counter) = (Arc::clone(&pulse), Arc::clone(&runs));
        tokio::spawn(async move {
            let mut rounds = task.rounds(Duration::from_secs(3_600));
            loop {
                rounds.begin().await;
                tokio::time::sleep(Duration::from_millis(30)).await;
                counter.fetch_add(1, Ordering::SeqCst);
                rounds.end(true);
            }
        });
        tokio::time::sleep(Duration::from_millis(10)).await;
        // The first run is in flight and began before this question: the second has to answer it.
        pulse.fresh(Deadline::after(Duration::from_secs(5))).await.unwrap();
        assert_eq!(runs.load(Ordering::SeqCst), 2);
        // Many questions, one run.
        let deadline = Deadline::after(Duration::from_secs(5));
        let waiting = (0..100).map(|_| pulse.fresh(deadline));
        assert!(futures_util::future::join_all(waiting).await.iter().all(Result::is_ok));
        assert!(runs.load(Ordering::SeqCst) <= 4);
    }

    #[tokio::test(start_paused = true)]
    async fn a_failed_run_is_no_answer() {
        let pulse = Arc::new(Pulse::new());
        let works = Arc::new(AtomicBool::new(false));
        let (task, flag) = (Arc::clone(&pulse), Arc::clone(&works));
        tokio::spawn(async move {
            let mut rounds = task.rounds(Duration::from_secs(1));
            loop {
                rounds.begin().await;
                rounds.end(flag.load(Ordering::SeqCst));
            }
        });
        pulse.tried().await;
        assert_eq!(pulse.fresh(Deadline::after(Duration::from_secs(5))).await, Err(Stale));
        works.store(true, Ordering::SeqCst);
        assert_eq!(pulse.fresh(Deadline::after(Duration::from_secs(5))).await, Ok(()));
    }
}
