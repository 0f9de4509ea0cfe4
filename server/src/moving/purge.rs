//! Removing what a finished move has left where the solution lived before.

use std::sync::Arc;

use futures_util::FutureExt;
use uuid::Uuid;

use super::{
    follow::{Following, Moves, Progress, Step, over},
    plan::Wish,
    side::{At, Side},
};
use crate::{
    domain::{Call, Error, Login, Placement, Result, Violation},
    routing::{Ask, Intent},
};

/// Removes the old rows, if the solution is where `wish.to` says and can be served there.
pub(super) async fn purge(moves: &Arc<Moves>, call: &Call, wish: &Wish) -> Result<Following> {
    let router = &moves.router;
    router.refresh(call).await;
    let ask = Ask::operating(call, &wish.solution, router.naming.documents_app(), Intent::Read);
    // Nothing is removed while the place that serves the solution does not.
    let route = router.resolve(&ask).await?;
    let route = if route.placement == wish.to { router.try_enter(&ask, route).await? } else { route };
    if route.placement != wish.to {
        return Err(Error::FieldInvalid(vec![Violation::new(
            "to",
            "is not where its documents are: only the old rows of a finished move are removed",
        )]));
    }
    let (side, fence) = match wish.to {
        Placement::Dedicated => {
            let (target, uuid) = router.system_side().ok_or(Error::RouteUnknown("the ledger was never read"))?;
            (Side { target, uuid, login: Login::Runtime }, None)
        }
        Placement::System => {
            let found = router.own_database(&ask)?;
            let (uuid, fence) = router.enter_own(&ask, &found).await?;
            let login = router.naming.documents_app().login(&wish.solution);
            (Side { target: found.target, uuid, login }, fence)
        }
    };
    let at = At { side: &side, pools: router.pools(), solution: &wish.solution, deadline: call.deadline };
    let rows = at.count().await?;
    let message = format!("{rows} old rows in {}", side.target);
    if wish.dry_run {
        return Ok(over(Progress::at(Step::Prepare, rows, format!("would remove {message}"))));
    }
    if wish.to == Placement::System && rows > 0 && fence.is_some_and(|fence| !fence.active) {
        // Its fence may not have followed the end of the move yet, or another move was taken back.
        moves.shut_own(&side, &wish.solution, route.epoch).await?;
    }
    let app = router.naming.documents_app();
    router.writer(app, &wish.solution, call.deadline).note("purge", route.epoch, call.principal.id()).await?;
    let purge = Uuid::new_v4();
    // Also where no row is left: a purge that was interrupted before its end is ended, or its mark would stay.
    if !at.open_purge(route.epoch, purge).await? {
        return Ok(over(Progress::at(Step::Done, 0, format!("nothing to remove in {}", side.target))));
    }
    let (solution, maker) = (wish.solution.clone(), Arc::clone(moves));
    let (progress, following) = tokio::sync::watch::channel(Progress::at(Step::Prepare, rows, message));
    let work = async move {
        let at = At { side: &side, pools: maker.router.pools(), solution: &solution, deadline: maker.step() };
        let removed = async {
            at.clear(|| maker.step(), purge).await?;
            At { deadline: maker.step(), ..at }.close_purge(purge).await
        };
        match removed.await {
            Ok(_) => {
                tracing::info!(%solution, rows, database = %side.target, "removed the old rows of a move");
                progress.send_modify(|progress| {
                    progress.step = Step::Done;
                    progress.message = format!("removed {rows} old rows in {}", side.target);
                });
            }
            Err(error) => progress.send_modify(|progress| progress.error = Some(error)),
        }
    };
    moves.hand_over(work.boxed())?;
    Ok(following)
}
