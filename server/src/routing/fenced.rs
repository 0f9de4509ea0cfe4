//! What follows when the fence of a database does not agree with a route: the ledger is read, the fence is looked at, and
//! opened if it is merely behind, and the call may be tried where the ledger says.
//!
//! Invariant: a conflict is told only where ledger and fence contradict each other: the fence was not behind, refused
//! the same route once more, and the ledger, read after that, says the same. Whatever closes a fence stands in the ledger
//! before, but for the release of a pair that was refused for good already.

use std::sync::Arc;

use super::{
    resolve::{Ask, Intent},
    route::Route,
    router::Router,
};
use crate::domain::{Epoch, Error, Placement, Result};

/// What is known of the fence that refused a call last.
#[derive(Debug, Default)]
pub(super) struct Fenced(Option<Refusal>);

#[derive(Debug)]
struct Refusal {
    placement: Placement,
    epoch: Epoch,
    /// The fence was seen since, and not behind that epoch, or opened.
    was_level: bool,
}

impl Fenced {
    /// The fence refused this route: the route to try next.
    ///
    /// # Errors
    /// That of finding the route anew; why the fence could not be seen or opened, if it refuses for the second time;
    /// [`Error::PlacementConflict`].
    pub(super) async fn refused(&mut self, router: &Arc<Router>, ask: &Ask<'_>, route: &Route) -> Result<Route> {
        if router.ledger_pulse.fresh(ask.deadline).await.is_err() {
            return Err(if ask.deadline.passed() {
                Error::DeadlineExceeded("finding the route")
            } else {
                Error::RouteUnknown("the fence refused and the ledger cannot be read")
            });
        }
        let next = router.resolve(ask).await?;
        // That of the system database changes with the ledger, and is never behind.
        let looked = match next.placement {
            Placement::Dedicated => router.look_for(&Ask { intent: Intent::Look, ..*ask }).await,
            Placement::System => Ok(false),
        };
        let (placement, epoch) = (route.placement, route.epoch);
        let before = self.0.take().filter(|before| (before.placement, before.epoch) == (placement, epoch));
        if let Some(before) = before
            && (next.placement, next.epoch) == (placement, epoch)
        {
            match &looked {
                // Once more: it was behind.
                Ok(true) => {}
                Ok(false) | Err(_) if before.was_level => {
                    let error =
                        Error::PlacementConflict("the fence of the database does not admit the route of the ledger");
                    router.alarms.refused(&ask.app.name, ask.solution, &error);
                    return Err(error);
                }
                Err(error) => return Err(error.clone()),
                Ok(false) => {}
            }
        }
        self.0 = Some(Refusal { placement, epoch, was_level: looked.is_ok() });
        Ok(next)
    }
}
