//! One move, step by step. Each can be made again; each is refused once the move is not this mover's any more.

use std::{sync::Arc, time::Duration};

use tokio::{sync::watch, time::Instant};
use uuid::Uuid;

use super::{
    follow::{Moves, Progress, Step},
    plan::Plan,
    side::{At, Side},
    tables::TABLES,
};
use crate::domain::{Deadline, Epoch, Error, Placement, Result};

/// Between two tries of a step.
const PAUSE: Duration = Duration::from_millis(200);
/// A copy is begun anew at most so often.
const COPIES: u32 = 3;

/// Who makes a move.
pub(super) struct Mover<'m> {
    pub(super) moves: &'m Moves,
    pub(super) plan: Plan,
    pub(super) principal: Arc<str>,
    pub(super) progress: watch::Sender<Progress>,
}

/// Why a move did not get to its commit point.
#[derive(Debug)]
enum Stopped {
    /// It is not this mover's any more: somebody took it over, or took it back.
    Lost,
    /// It is, and is to be taken back.
    Failed(Error),
}

impl From<Error> for Stopped {
    fn from(error: Error) -> Self {
        Self::Failed(error)
    }
}

impl Mover<'_> {
    /// Moves, or takes back.
    pub(super) async fn run(self) {
        let move_id = Uuid::new_v4();
        let begun = Instant::now();
        match self.begin(move_id).await {
            Ok(true) => {}
            Ok(false) => return self.failed(Error::RouteUnknown("the placement has changed meanwhile")),
            // Whether it began is not known: if so, it is silent, and whoever comes by takes it back.
            Err(error) => return self.failed(error),
        }
        // Boxed: 30 KiB, once a move.
        match Box::pin(self.carry(move_id, begun)).await {
            Ok(epoch) => {
                self.say(Step::Switch, "the ledger has the new placement");
                self.finish(epoch).await;
                tracing::info!(solution = %self.plan.solution, epoch, took = ?begun.elapsed(), "moved {}", self.plan.describe());
                self.say(Step::Done, &format!("moved {}", self.plan.describe()));
            }
            Err(Stopped::Lost) => {
                self.failed(Error::RouteUnknown("the move was taken over, or taken back, by another router"));
            }
            Err(Stopped::Failed(error)) => self.back(move_id, error).await,
        }
    }

    async fn begin(&self, move_id: Uuid) -> Result<bool> {
        let (plan, moves) = (&self.plan, self.moves);
        let app = moves.router.naming.documents_app();
        let writer = moves.router.writer(app, &plan.solution, moves.step());
        writer.begin_move(plan.epoch, move_id, plan.to, plan.system.uuid, &self.principal).await
    }

    async fn carry(&self, move_id: Uuid, begun: Instant) -> Result<Epoch, Stopped> {
        let plan = &self.plan;
        self.say(Step::Freeze, "waiting for writers in flight");
        // Until the commit point callers wait; beyond this they get their solution back.
        let until = begun + self.moves.settings.max_frozen;
        let owned = |done: bool| if done { Ok(()) } else { Err(Stopped::Lost) };
        owned(self.patiently(until, |_| self.freeze(move_id)).await?)?;
        self.progress.send_modify(|progress| progress.message = "writers wait".to_owned());
        let mut copies = 0;
        loop {
            copies += 1;
            owned(self.patiently(until, |_| self.open_copy(move_id)).await?)?;
            // Signs of life go on through every long step.
            let copied = tokio::select! {
                copied = self.copy_and_compare(move_id, begun, until) => copied,
                lost = self.stay_alive(move_id) => Err(lost),
            };
            match copied {
                Ok(()) => break,
                Err(Stopped::Failed(error)) if copies < COPIES && transient(&error) && Instant::now() < until => {
                    tracing::warn!(solution = %plan.solution, %error, "copying begins anew");
                    tokio::time::sleep(PAUSE).await;
                }
                Err(stopped) => return Err(stopped),
            }
        }
        self.switch(move_id).await
    }

    async fn copy_and_compare(&self, move_id: Uuid, begun: Instant, until: Instant) -> Result<(), Stopped> {
        let plan = &self.plan;
        self.progress.send_modify(|progress| progress.rows_copied = 0);
        self.say(Step::Copy, "copying");
        self.at(plan.target()).clear(|| self.moves.step(), move_id).await?;
        for table in &TABLES {
            let mut after = None;
            loop {
                let page = self.at(plan.source()).page(table, after.as_deref()).await?;
                let Some(key) = page.key(table) else { break };
                self.at(plan.target()).insert(table, &page, move_id).await?;
                after = Some(key);
                self.progress.send_modify(|progress| {
                    progress.rows_copied += i64::try_from(page.rows()).unwrap_or(0);
                    progress.frozen = begun.elapsed();
                });
                if Instant::now() >= until {
                    return Err(Error::DeadlineExceeded("the solution was frozen").into());
                }
            }
            tracing::debug!(solution = %plan.solution, table = table.name, "copied");
        }
        self.say(Step::Verify, "comparing both sides");
        let sums = |side| async move {
            At { deadline: Deadline::after(until.saturating_duration_since(Instant::now())), ..self.at(side) }
                .sums()
                .await
        };
        let (source, target) = tokio::try_join!(sums(plan.source()), sums(plan.target()))?;
        if source != target || source.len() != TABLES.len() {
            tracing::error!(solution = %plan.solution, ?source, ?target, "the copy differs from its source");
            return Err(Error::internal("the copy of a move differs from its source").into());
        }
        Ok(())
    }

    /// The commit point. An answer that was lost is found out about in the ledger.
    async fn switch(&self, move_id: Uuid) -> Result<Epoch, Stopped> {
        let (plan, moves) = (&self.plan, self.moves);
        let until = Instant::now() + moves.settings.max_frozen;
        let app = moves.router.naming.documents_app();
        let switched = self
            .patiently(until, |again| async move {
                let writer = moves.router.writer(app, &plan.solution, moves.step());
                let this = (plan.epoch, move_id);
                let switched = match plan.to {
                    Placement::Dedicated => {
                        writer.switch_to_dedicated(this, &plan.found, plan.own.uuid, &self.principal).await?
                    }
                    Placement::System => writer.switch_to_system(this, &self.principal).await?,
                };
                if switched.is_some() || !again {
                    return Ok(switched);
                }
                moves.router.read_ledger(moves.step()).await?;
                let record = moves.router.recorded(&app.name, &plan.solution);
                let committed = record.filter(|record| record.epoch == plan.epoch + 1 && record.placement() == plan.to);
                Ok(committed.map(|record| record.epoch))
            })
            .await?;
        switched.ok_or(Stopped::Lost)
    }

    /// Behind the commit point: the dedicated database's fence follows the ledger. Whoever holds the record does the same.
    async fn finish(&self, epoch: Epoch) {
        let (plan, moves) = (&self.plan, self.moves);
        let until = Instant::now() + moves.settings.step;
        let fenced = self
            .patiently(until, |_| async move {
                let (target, step) = (&plan.own.target, moves.step());
                match plan.to {
                    Placement::Dedicated => {
                        moves.router.open_own(&plan.solution, target, plan.own.uuid, epoch, step).await
                    }
                    Placement::System => moves.router.close_own_at(&plan.solution, target, epoch, step).await,
                }
            })
            .await;
        if let Err(error) = fenced {
            tracing::warn!(solution = %plan.solution, ?error, "the fence of its own database follows later");
        }
        let _read = moves.router.read_ledger(moves.step()).await;
    }

    async fn back(&self, move_id: Uuid, why: Error) {
        let plan = &self.plan;
        tracing::warn!(solution = %plan.solution, error = %why, "taking a move back");
        let until = Instant::now() + self.moves.settings.max_frozen;
        let going = crate::routing::Going { epoch: plan.epoch, move_id, to: plan.to, silent: Duration::ZERO };
        let going = &going;
        let taken = self.patiently(until, |_| self.moves.take_back(&plan.solution, going, &self.principal)).await;
        match taken {
            Ok(true) => self.say(Step::RolledBack, &format!("taken back: {why}")),
            Ok(false) => self.failed(Error::RouteUnknown("the move was taken over, or taken back, by another router")),
            // Silent from now on: whoever comes by takes it back.
            Err(error) => self.failed(error),
        }
    }

    async fn freeze(&self, move_id: Uuid) -> Result<bool> {
        let (plan, router) = (&self.plan, &self.moves.router);
        if self.at(plan.source()).freeze(plan.epoch, move_id).await? {
            return Ok(true);
        }
        if plan.to == Placement::Dedicated {
            return Ok(false);
        }
        // Its own database may merely not be open yet, if whoever took the last move back was stopped before that, and
        // nobody has called since. One that is further stays as it is.
        router.open_own(&plan.solution, &plan.own.target, plan.own.uuid, plan.epoch, self.moves.step()).await?;
        self.at(plan.source()).freeze(plan.epoch, move_id).await
    }

    async fn open_copy(&self, move_id: Uuid) -> Result<bool> {
        self.at(self.plan.target()).open_copy(self.plan.epoch, move_id).await
    }

    /// Gives signs of life until the move is not this mover's any more. An error is no sign, and no end.
    async fn stay_alive(&self, move_id: Uuid) -> Stopped {
        let moves = self.moves;
        let app = moves.router.naming.documents_app();
        loop {
            if let Ok(false) = moves.router.writer(app, &self.plan.solution, moves.step()).move_alive(move_id).await {
                return Stopped::Lost;
            }
            tokio::time::sleep(moves.settings.alive_interval()).await;
        }
    }

    /// Makes a step again until it works, or it is `until`, or trying again does not help. `true`: it was tried before.
    async fn patiently<T, F: Future<Output = Result<T>>>(&self, until: Instant, step: impl Fn(bool) -> F) -> Result<T> {
        let mut again = false;
        loop {
            match step(again).await {
                Err(error) if transient(&error) && Instant::now() + PAUSE < until => {
                    tracing::debug!(solution = %self.plan.solution, %error, "a step of a move is made again");
                    again = true;
                    tokio::time::sleep(PAUSE).await;
                }
                outcome => return outcome,
            }
        }
    }

    fn at<'s>(&'s self, side: &'s Side) -> At<'s> {
        At { side, pools: self.moves.router.pools(), solution: &self.plan.solution, deadline: self.moves.step() }
    }

    fn say(&self, step: Step, message: &str) {
        self.progress.send_modify(|progress| {
            progress.step = step;
            progress.message = message.to_owned();
        });
    }

    fn failed(&self, error: Error) {
        tracing::warn!(solution = %self.plan.solution, %error, "a move did not end");
        self.progress.send_modify(|progress| progress.error = Some(error));
    }
}

/// True if the same step may work a moment later.
fn transient(error: &Error) -> bool {
    matches!(
        error,
        Error::DatabaseUnavailable { .. }
            | Error::PoolExhausted
            | Error::DeadlineExceeded(_)
            | Error::DatabaseConflict
            | Error::RouteUnknown(_)
    )
}
