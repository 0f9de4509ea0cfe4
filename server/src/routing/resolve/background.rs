//! Looking again, behind the calls, at databases that are listed and not used yet.

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

    /// Looks at a pair's own database and does what follows, for nobody in particular.
    ///
    /// # Errors
    /// It could not be looked at, or what follows could not be done: so nothing is known of its fence.
    pub(in crate::routing) async fn look_for(self: &Arc<Self>, ask: &Ask<'_>) -> Result<()> {
        let mut gathered = Gathered::new(None);
        for _ in 0..STEPS {
            let table = self.table.load_full();
            let mut evidence = self.evidence(&table, ask, &gathered);
            // The point of this call is to look.
            if let (Some(found), Inside::NotLooked) = (place(&evidence), &evidence.inside) {
                self.fetch(Need::Inside(found), ask, &table, &mut gathered).await?;
                evidence = self.evidence(&table, ask, &gathered);
            }
            match decide(&evidence, &mut Trace::default()) {
                Verdict::Need(need) => self.fetch(need, ask, &table, &mut gathered).await?,
                Verdict::Act(act) => self.act(act, ask, &table, &mut gathered).await?,
                Verdict::Dedicated => {
                    if let Inside::NotEntered(error) = &evidence.inside {
                        return Err(error.clone());
                    }
                    return self.dedicated(ask, &table, &gathered).await.map(drop);
                }
                Verdict::System { .. } => return Ok(()),
                Verdict::Refused(error) => return Err(error),
            }
        }
        Err(Error::RouteUnknown("ledger, catalog and databases keep changing"))
    }
}

/// Where to look: what is listed; on a server that was never scanned, what is recorded there. The look proves it.
fn place(evidence: &Evidence<'_>) -> Option<Found> {
    match (&evidence.presence, evidence.ledger.record().map(|record| &record.at)) {
        (Presence::Present(found), _) => Some(found.clone()),
        (Presence::Unknown(_), Some(RecordedAt::Dedicated { target, oid, .. })) => {
            Some(Found { target: target.clone(), oid: *oid, replaced: Replaced::No })
        }
        (Presence::Unknown(_) | Presence::Absent | Presence::TwoServers, _) => None,
    }
}
