//! Moves whose maker has fallen silent are taken back, by whichever router notices first.

use std::sync::Arc;

use uuid::Uuid;

use super::{
    follow::Moves,
    side::{At, Side},
};
use crate::{
    domain::{Epoch, Error, Login, Placement, Result, SolutionId},
    routing::{Ask, Going},
};

/// Whom the audit names.
const PRINCIPAL: &str = "fbs-router";

impl Moves {
    /// Looks for silent moves, for as long as the process lives.
    pub async fn recover(self: Arc<Self>) {
        let mut tick = tokio::time::interval(self.settings.stale_after / 3);
        loop {
            tick.tick().await;
            for solution in self.router.moving() {
                if self.is_running(&solution) {
                    continue;
                }
                if let Err(error) = self.recover_one(&solution).await {
                    tracing::warn!(%solution, %error, "a silent move cannot be taken back yet");
                }
            }
        }
    }

    async fn recover_one(&self, solution: &SolutionId) -> Result<()> {
        let app = self.router.naming.documents_app();
        let going = self.router.writer(app, solution, self.step()).going().await?;
        match going {
            Some(going) if going.silent >= self.settings.stale_after => {
                self.check_take_back(solution, &going).await?;
                tracing::warn!(%solution, ?going, "a move has fallen silent and is taken back");
                self.take_back(solution, &going, PRINCIPAL).await.map(drop)
            }
            Some(_) | None => Ok(()),
        }
    }

    /// An old ledger never routes by itself, by taking back a move that has ended since: where neither memory nor snapshot
    /// vouches for the record, the fence of the solution's own database has to be no further than the move.
    pub(super) async fn check_take_back(&self, solution: &SolutionId, going: &Going) -> Result<()> {
        let router = &self.router;
        let app = router.naming.documents_app();
        if router.vouches(&app.name, solution) {
            return Ok(());
        }
        let ask = Ask::behind(solution, app, self.step());
        let found = match going.to {
            Placement::Dedicated => router.own_database(&ask)?,
            Placement::System => router.recorded_database(&ask)?,
        };
        let (_, fence) = router.enter_own(&ask, &found).await?;
        if fence.is_some_and(|fence| fence.epoch > going.epoch) {
            return Err(Error::PlacementConflict("a move in the ledger has ended: the ledger is an old one"));
        }
        Ok(())
    }

    /// Takes a move back: the ledger first, so that a mover who goes on after all cannot commit; then what it has copied is
    /// removed, as far as that can be done now. False if it was not going on any more.
    pub(super) async fn take_back(&self, solution: &SolutionId, going: &Going, principal: &str) -> Result<bool> {
        let app = self.router.naming.documents_app();
        let writer = self.router.writer(app, solution, self.step());
        let Some((epoch, home)) = writer.move_back((going.epoch, going.move_id), principal).await? else {
            return Ok(false);
        };
        tracing::warn!(%solution, epoch, placement = home.as_str(), "a move was taken back");
        // It is taken back, whether this process has read that or not.
        let _read = self.router.read_ledger(self.step()).await;
        if let Err(error) = self.tidy(solution, going, epoch, home).await {
            // The next move does it; until then the fence keeps everybody out.
            tracing::warn!(%solution, %error, "what a move had copied is not removed yet");
        }
        Ok(true)
    }

    async fn tidy(&self, solution: &SolutionId, going: &Going, epoch: Epoch, home: Placement) -> Result<()> {
        let router = &self.router;
        let ask = Ask::behind(solution, router.naming.documents_app(), self.step());
        match home {
            Placement::Dedicated => {
                let found = router.recorded_database(&ask)?;
                let (uuid, _) = router.enter_own(&ask, &found).await?;
                router.open_own(solution, &found.target, uuid, epoch, self.step()).await?;
                let (target, uuid) = router.system_side().ok_or(Error::RouteUnknown("the ledger was never read"))?;
                let side = Side { target, uuid, login: Login::Runtime };
                self.clear(&side, solution, going.move_id).await?;
                self.at(&side, solution).close_purge(going.move_id).await.map(drop)
            }
            Placement::System => {
                let found = router.own_database(&ask)?;
                let (uuid, _) = router.enter_own(&ask, &found).await?;
                let login = router.naming.documents_app().login(solution);
                self.shut_own(&Side { target: found.target, uuid, login }, solution, epoch).await
            }
        }
    }

    /// Shuts the own database of a solution that lives in the system database at `epoch`: movers that were taken back are
    /// refused there from here on, and what they have copied is removed.
    pub(super) async fn shut_own(&self, side: &Side, solution: &SolutionId, epoch: Epoch) -> Result<()> {
        if self.router.seal_own(solution, &side.target, epoch, self.step()).await? {
            return Ok(());
        }
        // Under an id of its own: the mover's last transaction is waited for, and it begins no other. Below the epoch, where
        // the next move has its copy.
        let shut = Uuid::new_v4();
        if self.at(side, solution).open_copy(epoch - 1, shut).await? {
            self.clear(side, solution, shut).await?;
            if self.at(side, solution).close_purge(shut).await? {
                self.router.seal_own(solution, &side.target, epoch, self.step()).await?;
            }
        }
        Ok(())
    }

    async fn clear(&self, side: &Side, solution: &SolutionId, id: Uuid) -> Result<()> {
        self.at(side, solution).clear(|| self.step(), id).await
    }

    fn at<'s>(&'s self, side: &'s Side, solution: &'s SolutionId) -> At<'s> {
        At { side, pools: self.router.pools(), solution, deadline: self.step() }
    }
}
