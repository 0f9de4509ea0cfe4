//! Looks at a solution's own database that were not asked for by a decision: behind the calls, at one that is listed and not
//! used yet; for a call whose fence refused it.

use std::sync::Arc;

use super::{Ask, Intent, STEPS};
use crate::{
    domain::{Deadline, Error, Result},
    routing::{
        decide::{Need, Trace, Verdict, decide},
        evidence::{Evidence, Found, Inside, LedgerSays, Presence, RecordedAt, Replaced},
        gather::Gathered,
        router::Router,
        table::Table,
    },
};

impl Router {
    /// Looks at a recorded SYSTEM pair's own database in the background, if one is listed and the last look is old.
    pub(super) fn look_again(self: &Arc<Self>, ask: &Ask<'_>, candidate: Option<&Found>, table: &Table) {
        if !ask.is_documents || ask.intent == Intent::Look {
            return;
        }
        let evidence = self.evidence(table, ask, &Gathered::new(None));
        let Presence::Present(found) = &evidence.presence else { return };
        if !matches!(evidence.ledger, LedgerSays::Record(_)) || candidate.is_some_and(|candidate| candidate != found) {
            return;
        }
        if self.looks.get(found).is_some_and(|look| look.at.elapsed() < self.settings.scan_interval) {
            return;
        }
        let Some(guard) = self.flights.try_enter_look(&ask.app.name, ask.solution) else { return };
        let (router, app, solution) = (Arc::clone(self), ask.app.clone(), ask.solution.clone());
        tokio::spawn(async move {
            let _guard = guard;
            let ask = Ask {
                app: &app,
                is_documents: true,
                solution: &solution,
                dedicated_only: false,
                intent: Intent::Look,
                principal: "fbs-router",
                sees_all: true,
                deadline: Deadline::after(router.settings.scan_timeout),
            };
            // For nobody: whoever needs it looks again, and is told.
            let _seen = router.look_for(&ask).await;
        });
    }

    /// Looks at a pair's own database and does what follows, for nobody in particular. True if its fence was behind its
    /// record, and is open now.
    ///
    /// # Errors
    /// It could not be looked at, may not be used, or what follows could not be done.
    pub(in crate::routing) async fn look_for(self: &Arc<Self>, ask: &Ask<'_>) -> Result<bool> {
        let mut gathered = Gathered::new(None);
        for _ in 0..STEPS {
            let table = self.table.load_full();
            let mut evidence = self.evidence(&table, ask, &gathered);
            // The point of this call is to look: what somebody else saw will not do.
            if let Some(found) = where_to_look(&evidence)
                && gathered.looked(&found).is_none()
            {
                self.fetch(Need::Inside(found), ask, &table, &mut gathered).await?;
                evidence = self.evidence(&table, ask, &gathered);
            }
            match decide(&evidence, &mut Trace::default()) {
                Verdict::Need(need) => self.fetch(need, ask, &table, &mut gathered).await?,
                Verdict::Act(act) => self.act(act, ask, &table, &mut gathered).await?,
                Verdict::Dedicated => {
                    let behind = match &evidence.inside {
                        Inside::NotEntered(error) => return Err(error.clone()),
                        Inside::Ready { fence, .. } => {
                            let epoch = evidence.ledger.record().map_or(0, |record| record.epoch);
                            fence.is_none_or(|fence| fence.epoch < epoch)
                        }
                        Inside::NotLooked | Inside::NotReady(_) | Inside::Foreign(_) => false,
                    };
                    self.dedicated(ask, &table, &gathered).await?;
                    return Ok(behind);
                }
                Verdict::System { .. } => return Ok(false),
                Verdict::Refused(error) => return Err(error),
            }
        }
        Err(Error::RouteUnknown("ledger, catalog and databases keep changing"))
    }
}

/// What is listed; where no scan tells, what is recorded: the look proves it.
fn where_to_look(evidence: &Evidence<'_>) -> Option<Found> {
    match (&evidence.presence, evidence.ledger.record().map(|record| &record.at)) {
        (Presence::Present(found), _) => Some(found.clone()),
        (Presence::Unknown(_), Some(RecordedAt::Dedicated { target, oid, .. })) => {
            Some(Found { target: target.clone(), oid: *oid, replaced: Replaced::No })
        }
        (Presence::Unknown(_) | Presence::Absent | Presence::TwoServers, _) => None,
    }
}
