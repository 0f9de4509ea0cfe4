//! What a move would do, and whether it may: everything that is checked before anything is changed.

use super::{
    follow::{Moves, Progress, Step},
    side::{At, Side},
};
use crate::{
    domain::{Call, Deadline, Epoch, Error, Login, Placement, Result, SolutionId, Violation},
    routing::{Ask, Intent, evidence::Found},
};

/// What an operator asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wish {
    /// Whose documents.
    pub solution: SolutionId,
    /// Where to.
    pub to: Placement,
    /// Only say what would happen.
    pub dry_run: bool,
    /// Remove what a finished move has left.
    pub purge: bool,
}

/// A move that may be made.
#[derive(Debug, Clone)]
pub(super) struct Plan {
    pub(super) solution: SolutionId,
    pub(super) to: Placement,
    /// At which the solution is now.
    pub(super) epoch: Epoch,
    /// The solution's own database.
    pub(super) found: Found,
    pub(super) own: Side,
    pub(super) system: Side,
    /// In the source.
    pub(super) rows: i64,
}

impl Plan {
    pub(super) fn source(&self) -> &Side {
        if self.to == Placement::Dedicated { &self.system } else { &self.own }
    }

    pub(super) fn target(&self) -> &Side {
        if self.to == Placement::Dedicated { &self.own } else { &self.system }
    }

    pub(super) fn describe(&self) -> String {
        format!("{} rows from {} to {}", self.rows, self.source().target, self.target().target)
    }
}

impl Moves {
    /// A plan, or that there is nothing to do.
    pub(super) async fn plan(&self, call: &Call, wish: &Wish) -> Result<Result<Plan, Progress>> {
        self.router.refresh(call).await;
        let app = self.router.naming.documents_app();
        let ask = Ask::operating(call, &wish.solution, app, Intent::Write);
        match self.router.writer(app, &wish.solution, call.deadline).going().await? {
            Some(going) if going.silent < self.settings.stale_after || wish.dry_run => return Err(Error::RouteMoving),
            // Given up by whoever made it. Never gone on with at the same epoch: should he wake up, it is the epoch that
            // keeps him from opening the target once more and emptying what was copied after him.
            Some(going) => {
                self.check_take_back(&wish.solution, &going).await?;
                self.take_back(&wish.solution, &going, call.principal.id()).await?;
            }
            None => {}
        }
        let there = || {
            let message = match wish.to {
                Placement::Dedicated => "its documents are in its own database",
                Placement::System => "its documents are in the system database",
            };
            Progress::at(Step::Done, 0, message.to_owned())
        };
        let resolved = self.router.resolve(&ask).await;
        match &resolved {
            Ok(route) if route.placement == wish.to => return Ok(Err(there())),
            Ok(_) => {}
            // It may not be in the system database, where it is.
            Err(Error::IsolationRequired) if wish.to == Placement::Dedicated => {}
            Err(_) => return resolved.map(|_| Err(there())),
        }
        self.lay_out(&ask, call.deadline, wish).await.map(Ok)
    }

    async fn lay_out(&self, ask: &Ask<'_>, deadline: Deadline, wish: &Wish) -> Result<Plan> {
        let router = &self.router;
        if wish.to == Placement::System && router.requires_dedicated(&wish.solution) {
            return Err(Error::IsolationRequired);
        }
        let system = router.system_side().ok_or(Error::RouteUnknown("the ledger was never read"))?;
        let system = Side { target: system.0, uuid: system.1, login: Login::Runtime };
        let found = match wish.to {
            Placement::Dedicated => router.own_database(ask)?,
            Placement::System => router.recorded_database(ask)?,
        };
        let (uuid, _) = router.enter_own(ask, &found).await?;
        let login = router.naming.documents_app().login(&wish.solution);
        let own = Side { target: found.target.clone(), uuid, login };
        // Nothing was ever written: nothing to move.
        let recorded = router.recorded(&router.naming.documents_app().name, &wish.solution);
        let epoch = recorded.ok_or(Error::IsolationRequired)?.epoch;
        let mut plan = Plan { solution: wish.solution.clone(), to: wish.to, epoch, found, own, system, rows: 0 };
        let at = |side, deadline| At { side, pools: router.pools(), solution: &wish.solution, deadline };
        let rows = at(plan.source(), deadline).count().await?;
        // That it can be entered, and has the same schema.
        at(plan.target(), deadline).count().await?;
        plan.rows = rows;
        if plan.rows > self.settings.max_rows {
            let problem = format!("holds {} rows, and moving.max_rows is {}", plan.rows, self.settings.max_rows);
            return Err(Error::FieldInvalid(vec![Violation::new("solution", problem)]));
        }
        Ok(plan)
    }

    /// A deadline for one step.
    pub(super) fn step(&self) -> Deadline {
        Deadline::after(self.settings.step)
    }
}
