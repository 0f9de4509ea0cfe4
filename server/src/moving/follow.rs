//! Moves that this process makes, and who watches them.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use futures_util::{FutureExt, future::BoxFuture};
use tokio::{
    sync::{mpsc, watch},
    task::JoinSet,
};

use super::{mover::Mover, plan::Wish, purge};
use crate::{
    config,
    domain::{Call, Error, Placement, Result, SolutionId},
    routing::Router,
};

/// Where a move stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Step {
    /// Checking both sides.
    Prepare,
    /// Waiting for writers in flight.
    Freeze,
    /// Copying.
    Copy,
    /// Comparing both sides.
    Verify,
    /// The ledger has the new placement.
    Switch,
    /// Done.
    Done,
    /// Taken back; the solution is where it was.
    RolledBack,
}

/// How far a move is.
#[derive(Debug, Clone)]
pub struct Progress {
    /// Where it stands.
    pub step: Step,
    /// Rows copied so far.
    pub rows_copied: i64,
    /// Rows to copy.
    pub rows_total: i64,
    /// How long writers have been held.
    pub frozen: Duration,
    /// For people.
    pub message: String,
    /// Why it neither ended nor was taken back.
    pub error: Option<Error>,
}

/// A move, as somebody watches it.
pub type Following = watch::Receiver<Progress>;

/// All moves of this process.
#[derive(Debug)]
pub struct Moves {
    pub(super) router: Arc<Router>,
    pub(super) settings: config::Moving,
    running: Mutex<Running>,
    work: mpsc::UnboundedSender<Work>,
}

/// Whereto solutions are being moved.
type Running = HashMap<SolutionId, (Placement, Following)>;

/// A move, or a purge, to be made behind the calls.
pub(super) type Work = BoxFuture<'static, ()>;

/// What is to be made: one comes with every [`Moves`].
#[derive(Debug)]
pub struct WorkList(mpsc::UnboundedReceiver<Work>);

// === impl WorkList ===

impl WorkList {
    /// Makes what is handed over, for as long as the process lives. Aborted, it leaves its moves to others.
    pub async fn make(mut self) {
        let mut making = JoinSet::new();
        loop {
            tokio::select! {
                work = self.0.recv() => match work {
                    Some(work) => drop(making.spawn(work)),
                    None => return,
                },
                Some(made) = making.join_next() => {
                    if let Err(error) = made {
                        tracing::error!(%error, "a move ended early");
                    }
                }
            }
        }
    }
}

// === impl Progress ===

impl Progress {
    /// At the beginning.
    pub(super) fn at(step: Step, rows_total: i64, message: String) -> Self {
        Self { step, rows_copied: 0, rows_total, frozen: Duration::ZERO, message, error: None }
    }

    /// True if nothing comes behind it.
    pub fn is_last(&self) -> bool {
        self.error.is_some() || matches!(self.step, Step::Done | Step::RolledBack)
    }
}

// === impl Moves ===

impl Moves {
    /// None is going on.
    pub fn new(router: Arc<Router>, settings: config::Moving) -> (Arc<Self>, WorkList) {
        // One move a solution at most, and operators are few: what waits is bounded by them.
        let (work, list) = mpsc::unbounded_channel();
        (Arc::new(Self { router, settings, running: Mutex::new(HashMap::new()), work }), WorkList(list))
    }

    /// Hands work to the list.
    pub(super) fn hand_over(&self, work: Work) -> Result<()> {
        self.work.send(work).map_err(|_| Error::internal("nobody makes moves any more"))
    }

    /// Begins a move, or follows the one that this process is making. What can be checked before anything is changed
    /// is the error of the call. Goes on when nobody follows any more.
    pub async fn begin(self: &Arc<Self>, call: &Call, wish: &Wish) -> Result<Following> {
        if let Some((to, following)) = self.running(&wish.solution) {
            return if to == wish.to && !wish.purge { Ok(following) } else { Err(Error::RouteMoving) };
        }
        if wish.purge {
            return purge::purge(self, call, wish).await;
        }
        let plan = match self.plan(call, wish).await? {
            Ok(plan) => plan,
            Err(there) => return Ok(over(there)),
        };
        let message = plan.describe();
        if wish.dry_run {
            return Ok(over(Progress::at(Step::Prepare, plan.rows, format!("would move {message}"))));
        }
        let (progress, following) = watch::channel(Progress::at(Step::Prepare, plan.rows, format!("moving {message}")));
        {
            let mut running = self.lock();
            // Somebody was faster.
            if let Some((to, following)) = going_on(&running, &wish.solution) {
                return if to == wish.to { Ok(following) } else { Err(Error::RouteMoving) };
            }
            running.insert(wish.solution.clone(), (wish.to, following.clone()));
        }
        let moves = Arc::clone(self);
        let principal = Arc::from(call.principal.id());
        let followed = following.clone();
        let work = async move {
            let solution = plan.solution.clone();
            // Taken out of the list also when the mover panics.
            let _entry = Entry { moves: &moves, solution: &solution, following: followed };
            Mover { moves: &moves, plan, principal, progress }.run().await;
        };
        self.hand_over(work.boxed())?;
        Ok(following)
    }

    /// True if this process is moving the solution.
    pub(super) fn is_running(&self, solution: &SolutionId) -> bool {
        self.running(solution).is_some()
    }

    fn running(&self, solution: &SolutionId) -> Option<(Placement, Following)> {
        going_on(&self.lock(), solution)
    }

    fn lock(&self) -> MutexGuard<'_, Running> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A move that is over already.
pub(super) fn over(progress: Progress) -> Following {
    watch::channel(progress).1
}

/// The move of a solution, unless its last word is said: whoever heard that may begin another at once.
fn going_on(running: &Running, solution: &SolutionId) -> Option<(Placement, Following)> {
    running.get(solution).filter(|(_, following)| !following.borrow().is_last()).cloned()
}

/// The place of a move in the list, until another has it.
struct Entry<'e> {
    moves: &'e Moves,
    solution: &'e SolutionId,
    following: Following,
}

impl Drop for Entry<'_> {
    fn drop(&mut self) {
        let mut running = self.moves.lock();
        if running.get(self.solution).is_some_and(|(_, following)| following.same_channel(&self.following)) {
            running.remove(self.solution);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Placement, Progress, Running, SolutionId, Step, going_on, over};

    #[test]
    fn a_move_whose_last_word_is_said_is_in_nobodys_way() {
        let solution = SolutionId::parse("globex").unwrap();
        let mut failed = Progress::at(Step::Copy, 0, String::new());
        failed.error = Some(super::Error::RouteMoving);
        let ended = [Step::Done, Step::RolledBack].map(|step| Progress::at(step, 0, String::new()));
        for (progress, goes_on) in ended
            .map(|progress| (progress, false))
            .into_iter()
            .chain([(failed, false), (Progress::at(Step::Copy, 0, String::new()), true)])
        {
            let running = Running::from([(solution.clone(), (Placement::Dedicated, over(progress.clone())))]);
            assert_eq!(going_on(&running, &solution).is_some(), goes_on, "{progress:?}");
        }
    }
}
