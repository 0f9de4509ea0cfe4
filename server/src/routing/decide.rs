//! Where a pair lives: the decision table of the product, as one pure function.
//!
//! Takes evidence, gives a verdict: settled, or what is missing, or what has to be done first. Reads no clock, asks
//! nobody, changes nothing; `resolve` gathers the evidence and acts.
//!
//! Invariant: SYSTEM is answered only from a record or from a catalog that lacks the name on every server. No
//! failure leads there.

use uuid::Uuid;

use super::evidence::{
    AppKind, Evidence, Found, Inside, LedgerRead, LedgerSays, Presence, Record, RecordedAt, Replaced, Rows,
};
use crate::{
    config::{Isolation, Unregistered},
    domain::{Epoch, Error},
};

/// What follows from the evidence.
#[derive(Debug)]
pub enum Verdict {
    /// More has to be known first.
    Need(Need),
    /// The ledger or a fence has to be written first.
    Act(Act),
    /// The pair's data lives in the solution's own database.
    Dedicated,
    /// The pair's data lives in the app's system database.
    System {
        /// Of the placement; 0 without a record.
        epoch: Epoch,
        /// A database of its own that is listed and not used.
        candidate: Option<(Found, CandidateReason)>,
    },
    /// No route may be used now.
    Refused(Error),
}

/// Evidence that is missing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Need {
    /// A scan of every server that began after the call.
    Scan,
    /// A reading of the ledger that began after the call.
    Ledger,
    /// A look inside this database.
    Inside(Found),
    /// Whether the system database holds rows of the solution.
    Rows,
}

/// Something that must be written, after which the evidence is gathered anew.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Act {
    /// Make the empty solution dedicated.
    TakeOver {
        /// Its database.
        found: Found,
        /// Which proved this uuid.
        uuid: Uuid,
    },
    /// Record a pair of an app whose tables are not ours as dedicated.
    RecordDedicated(Found),
    /// Record a solution with rows as SYSTEM.
    RecordSystem,
    /// The recorded database was restored under its name: record its new oid.
    AdoptOid(Found),
    /// The recorded database answers under its registered name or server: record it.
    Follow(Found),
    /// A released database is listed again: its fence is closed before anything else.
    Retire {
        /// The database.
        found: Found,
        /// Which proved this uuid.
        uuid: Uuid,
    },
}

/// Why a listed database is not used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CandidateReason {
    /// Its schema is absent or of the wrong version.
    SchemaNotReady,
    /// The system database still holds rows of the solution.
    RowsInSystemDatabase,
    /// The router cannot or may not use it.
    NotUsable,
}

/// The rules in the order tried, for ExplainRoute.
#[derive(Debug, Default)]
pub struct Trace {
    steps: Option<Vec<Step>>,
}

/// One rule and what it found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// Stable name.
    pub rule: &'static str,
    /// For people.
    pub finding: String,
    /// True for the rule that decided.
    pub decided: bool,
}

/// Decides.
pub fn decide(evidence: &Evidence<'_>, trace: &mut Trace) -> Verdict {
    if evidence.ledger.record().is_some_and(|record| record.moving) {
        return trace.refuse("moving", "the record carries a move id", Error::RouteMoving);
    }
    trace.pass("moving", "no move is going on");
    if evidence.conflict {
        let what = "the ledger is older than what this router has seen";
        return trace.refuse("ledger-behind", what, Error::PlacementConflict(what));
    }
    trace.pass("ledger-behind", "the ledger is not older than what this router has seen");
    match evidence.ledger {
        LedgerSays::Record(record) => match &record.at {
            RecordedAt::Dedicated { uuid, .. } => dedicated(evidence, record, *uuid, trace),
            RecordedAt::System => system(evidence, record, trace),
        },
        LedgerSays::Nothing { .. } => unrecorded(evidence, trace),
        LedgerSays::Unreadable { snapshot } => unreadable(evidence, snapshot, trace),
    }
}

fn dedicated(evidence: &Evidence<'_>, record: &Record, uuid: Option<Uuid>, trace: &mut Trace) -> Verdict {
    match &evidence.presence {
        Presence::Present(found) => {
            match found.replaced {
                Replaced::Cluster => {
                    return mismatch(trace, "replaced", "its server answers with another system_identifier");
                }
                Replaced::Oid => return replaced(evidence, found, uuid, trace),
                Replaced::No => trace.pass("replaced", "the listed database is the recorded one"),
            }
            match &evidence.inside {
                Inside::Foreign(what) => return mismatch(trace, "identity", what),
                // Tables that are not ours have no identity, and none is recorded.
                Inside::Ready { uuid: proved, .. } if uuid.is_some_and(|uuid| *proved != uuid) => {
                    return mismatch(trace, "identity", "another uuid than the recorded one");
                }
                Inside::Ready { fence: Some(fence), .. } if fence.active && fence.epoch > record.epoch => {
                    return fence_ahead(evidence, trace);
                }
                Inside::Ready { .. } | Inside::NotLooked | Inside::NotReady(_) | Inside::NotEntered(_) => {}
            }
            if evidence.returned {
                return match evidence.ledger_read {
                    LedgerRead::NotTried => {
                        need(trace, "returned", "it was missing: it may have been released", Need::Ledger)
                    }
                    LedgerRead::Fresh | LedgerRead::Failed => trace.refuse(
                        "returned",
                        "it was missing, and the ledger cannot be read",
                        Error::RouteUnknown("the database was missing and the ledger cannot be read"),
                    ),
                };
            }
            trace.decide("dedicated", "recorded as DEDICATED, and listed");
            Verdict::Dedicated
        }
        Presence::Unknown(why) => {
            trace.decide("dedicated", why);
            Verdict::Dedicated
        }
        Presence::Absent | Presence::TwoServers => match (&evidence.followed, uuid) {
            (Some((found, Inside::NotLooked)), Some(_)) => {
                need(trace, "detached", "registered elsewhere, where it has to be proved", Need::Inside(found.clone()))
            }
            (Some((found, Inside::Ready { uuid: proved, .. })), Some(uuid)) if *proved == uuid => {
                trace.decide("follow", "the registered database carries the recorded uuid");
                Verdict::Act(Act::Follow(found.clone()))
            }
            _ => trace.refuse("detached", "recorded as DEDICATED, and not listed", Error::DatabaseDetached),
        },
    }
}

/// The recorded name is listed with another oid.
fn replaced(evidence: &Evidence<'_>, found: &Found, uuid: Option<Uuid>, trace: &mut Trace) -> Verdict {
    match &evidence.inside {
        _ if uuid.is_none() => mismatch(trace, "replaced", "listed with another oid, and it has no identity to prove"),
        Inside::NotLooked => need(trace, "replaced", "listed with another oid", Need::Inside(found.clone())),
        Inside::Ready { uuid: proved, .. } if Some(*proved) == uuid => {
            trace.decide("replaced", "listed with another oid, and it proves the recorded uuid");
            Verdict::Act(Act::AdoptOid(found.clone()))
        }
        Inside::Ready { .. } | Inside::NotReady(_) | Inside::Foreign(_) | Inside::NotEntered(_) => {
            mismatch(trace, "replaced", "listed with another oid, and it does not prove the recorded uuid")
        }
    }
}

fn system(evidence: &Evidence<'_>, record: &Record, trace: &mut Trace) -> Verdict {
    let stay = |candidate| Verdict::System { epoch: record.epoch, candidate };
    let found = match &evidence.presence {
        Presence::Present(found) if evidence.app == AppKind::Documents => found,
        Presence::Unknown(why) if !evidence.vouched => {
            return unknown(evidence, why, trace);
        }
        Presence::TwoServers if !evidence.vouched && evidence.app == AppKind::Documents => {
            let why = "nothing vouches for the ledger, and its database is listed on two servers";
            return trace.refuse("confirm", why, Error::RouteUnknown(why));
        }
        Presence::Present(_) | Presence::Unknown(_) | Presence::Absent | Presence::TwoServers => {
            return policy(evidence, "system", "recorded as SYSTEM", stay(None), trace);
        }
    };
    let beside = |reason| stay(Some((found.clone(), reason)));
    match &evidence.inside {
        Inside::NotLooked if !evidence.vouched => need(
            trace,
            "confirm",
            "nothing vouches for the ledger, and a database is listed",
            Need::Inside(found.clone()),
        ),
        Inside::NotLooked if record.released_uuid.is_some() => {
            need(trace, "released", "a database was released, and one is listed", Need::Inside(found.clone()))
        }
        Inside::NotLooked => {
            policy(evidence, "system", "recorded as SYSTEM; its database is not looked at yet", stay(None), trace)
        }
        Inside::NotEntered(_) if !evidence.vouched => {
            let why = "nothing vouches for the ledger, and the solution's database cannot be entered";
            trace.refuse("confirm", why, Error::RouteUnknown(why))
        }
        Inside::NotEntered(_) | Inside::Foreign(_) => policy(
            evidence,
            "system",
            "recorded as SYSTEM; its database cannot be used",
            beside(CandidateReason::NotUsable),
            trace,
        ),
        Inside::NotReady(what) => policy(evidence, "system", what, beside(CandidateReason::SchemaNotReady), trace),
        Inside::Ready { fence: Some(fence), .. } if fence.active && fence.epoch > record.epoch => {
            fence_ahead(evidence, trace)
        }
        Inside::Ready { uuid, fence } if record.released_uuid == Some(*uuid) => {
            if fence.as_ref().is_some_and(|fence| !fence.active) {
                let finding = "recorded as SYSTEM; its listed database was released";
                return policy(evidence, "released", finding, beside(CandidateReason::NotUsable), trace);
            }
            trace.decide("released", "a released database is listed again: its fence is closed");
            Verdict::Act(Act::Retire { found: found.clone(), uuid: *uuid })
        }
        Inside::Ready { fence: Some(fence), .. } if fence.copying => {
            let finding = "recorded as SYSTEM; its database holds the copy of a move that was taken back";
            policy(evidence, "copying", finding, beside(CandidateReason::RowsInSystemDatabase), trace)
        }
        Inside::Ready { uuid, .. } => match evidence.rows {
            Rows::NotCounted => need(trace, "rows", "its database is ready", Need::Rows),
            Rows::None => take_over(found, *uuid, trace),
            Rows::Some => policy(
                evidence,
                "rows",
                "recorded as SYSTEM, with rows there",
                beside(CandidateReason::RowsInSystemDatabase),
                trace,
            ),
            Rows::CouldNotLook => {
                policy(evidence, "rows", "recorded as SYSTEM; rows cannot be counted", stay(None), trace)
            }
        },
    }
}

fn unrecorded(evidence: &Evidence<'_>, trace: &mut Trace) -> Verdict {
    let at_zero = |candidate| Verdict::System { epoch: 0, candidate };
    let found = match &evidence.presence {
        Presence::Unknown(why) => return unknown(evidence, why, trace),
        Presence::TwoServers => {
            let what = "its name is listed on two servers";
            return trace.refuse("two-servers", what, Error::DatabaseMisconfigured { what, cause: None });
        }
        Presence::Absent => {
            return policy(evidence, "absent", "no record, and no database on any server", at_zero(None), trace);
        }
        Presence::Present(found) => found,
    };
    if found.replaced == Replaced::Cluster {
        return mismatch(trace, "replaced", "its server answers with another system_identifier");
    }
    match evidence.app {
        AppKind::Documents | AppKind::ResolveOnly { ready_table: true } => {}
        AppKind::ResolveOnly { ready_table: false } => {
            trace.decide("listed", "no record, and a database is listed");
            return Verdict::Act(Act::RecordDedicated(found.clone()));
        }
    }
    match &evidence.inside {
        Inside::NotLooked => need(trace, "listed", "no record, and a database is listed", Need::Inside(found.clone())),
        Inside::Foreign(what) => mismatch(trace, "identity", what),
        Inside::NotEntered(error) => trace.refuse("enter", "its database cannot be entered", error.clone()),
        Inside::NotReady(what) => {
            let candidate = Some((found.clone(), CandidateReason::SchemaNotReady));
            policy(evidence, "not-ready", what, at_zero(candidate), trace)
        }
        // Moves begin with a record: a copy without one is ahead of the ledger, too.
        Inside::Ready { fence: Some(fence), .. } if (fence.active && fence.epoch > 0) || fence.copying => {
            fence_ahead(evidence, trace)
        }
        Inside::Ready { .. } if evidence.app != AppKind::Documents => {
            trace.decide("ready", "its database holds the table it has to");
            Verdict::Act(Act::RecordDedicated(found.clone()))
        }
        Inside::Ready { uuid, .. } => match evidence.rows {
            Rows::NotCounted => need(trace, "ready", "its database is ready", Need::Rows),
            Rows::None => take_over(found, *uuid, trace),
            Rows::Some => {
                trace.decide("rows", "its database is ready, and the system database holds rows of it");
                Verdict::Act(Act::RecordSystem)
            }
            Rows::CouldNotLook => {
                let why = "the system database cannot be looked into for rows";
                trace.refuse("rows", why, Error::RouteUnknown(why))
            }
        },
    }
}

fn unreadable(evidence: &Evidence<'_>, snapshot: Option<&Record>, trace: &mut Trace) -> Verdict {
    let why = "the ledger cannot be read";
    let Some((record, target, oid, uuid)) = snapshot.and_then(|record| match &record.at {
        RecordedAt::Dedicated { target, oid, uuid: Some(uuid) } => Some((record, target, *oid, *uuid)),
        RecordedAt::Dedicated { uuid: None, .. } | RecordedAt::System => None,
    }) else {
        if evidence.ledger_read == LedgerRead::NotTried {
            return need(trace, "ledger", "no record is known, which has to be read again", Need::Ledger);
        }
        return trace.refuse("ledger", why, Error::RouteUnknown(why));
    };
    let found = match &evidence.presence {
        Presence::Present(found) => found.clone(),
        // Not scanned yet: the look inside proves the database, and brings its oid.
        Presence::Unknown(_) => Found { target: target.clone(), oid, replaced: Replaced::No },
        Presence::Absent | Presence::TwoServers => {
            return trace.refuse(
                "snapshot",
                "the snapshot says DEDICATED, and it is not listed",
                Error::RouteUnknown(why),
            );
        }
    };
    match &evidence.inside {
        Inside::NotLooked => need(trace, "snapshot", "the snapshot says DEDICATED", Need::Inside(found)),
        Inside::Ready { uuid: proved, fence: Some(fence) }
            if *proved == uuid && fence.active && fence.epoch == record.epoch =>
        {
            trace.decide("snapshot", "the snapshot says DEDICATED, and identity and fence there agree");
            Verdict::Dedicated
        }
        _ if found.replaced != Replaced::No => {
            mismatch(trace, "snapshot", "listed with another oid or cluster, and it does not prove the recorded uuid")
        }
        Inside::Foreign(_) | Inside::Ready { .. } | Inside::NotReady(_) | Inside::NotEntered(_) => trace.refuse(
            "snapshot",
            "the snapshot says DEDICATED, and its database does not confirm it",
            Error::RouteUnknown(why),
        ),
    }
}

/// SYSTEM, if policy allows.
fn policy(evidence: &Evidence<'_>, rule: &'static str, finding: &str, verdict: Verdict, trace: &mut Trace) -> Verdict {
    let known = match evidence.ledger {
        LedgerSays::Nothing { registered } => registered || matches!(evidence.presence, Presence::Present(_)),
        LedgerSays::Record(_) | LedgerSays::Unreadable { .. } => true,
    };
    trace.pass(rule, finding);
    if evidence.policy.unregistered == Unregistered::Refuse && !known {
        return trace.refuse("unregistered", "unregistered solutions are refused", Error::SolutionNotFound);
    }
    if evidence.policy.isolation == Isolation::Required || !evidence.policy.shared {
        let finding = "a dedicated database is required";
        return trace.refuse("isolation", finding, Error::IsolationRequired);
    }
    trace.decide("isolation", "the system database is allowed");
    verdict
}

fn unknown(evidence: &Evidence<'_>, why: &'static str, trace: &mut Trace) -> Verdict {
    if evidence.scanned {
        trace.refuse("unknown", why, Error::RouteUnknown(why))
    } else {
        need(trace, "unknown", why, Need::Scan)
    }
}

fn fence_ahead(evidence: &Evidence<'_>, trace: &mut Trace) -> Verdict {
    let what = "the fence of its database is ahead of the ledger";
    match evidence.ledger_read {
        LedgerRead::NotTried => need(trace, "fence-ahead", what, Need::Ledger),
        LedgerRead::Fresh => trace.refuse("fence-ahead", what, Error::PlacementConflict(what)),
        LedgerRead::Failed => {
            let why = "the fence of its database is ahead of memory, and the ledger cannot be read";
            trace.refuse("fence-ahead", why, Error::RouteUnknown(why))
        }
    }
}

fn take_over(found: &Found, uuid: Uuid, trace: &mut Trace) -> Verdict {
    trace.decide("take-over", "its database is ready, and the system database holds no row of it");
    Verdict::Act(Act::TakeOver { found: found.clone(), uuid })
}

fn mismatch(trace: &mut Trace, rule: &'static str, what: &'static str) -> Verdict {
    trace.refuse(rule, what, Error::DatabaseIdentityMismatch { what })
}

fn need(trace: &mut Trace, rule: &'static str, finding: &str, need: Need) -> Verdict {
    trace.pass(rule, finding);
    Verdict::Need(need)
}

// === impl Trace ===

impl Trace {
    /// A trace that is kept.
    pub fn kept() -> Self {
        Self { steps: Some(Vec::new()) }
    }

    /// What was tried, in the order of the first time.
    pub fn into_steps(self) -> Vec<Step> {
        self.steps.unwrap_or_default()
    }

    /// A further step, such as what was written.
    pub fn pass(&mut self, rule: &'static str, finding: &str) {
        self.push(rule, finding, false);
    }

    fn decide(&mut self, rule: &'static str, finding: &str) {
        self.push(rule, finding, true);
    }

    fn refuse(&mut self, rule: &'static str, finding: &str, error: Error) -> Verdict {
        self.push(rule, finding, true);
        Verdict::Refused(error)
    }

    fn push(&mut self, rule: &'static str, finding: &str, decided: bool) {
        if let Some(steps) = &mut self.steps {
            let step = Step { rule, finding: finding.to_owned(), decided };
            // A decision that was taken again after evidence was gathered repeats its first steps.
            if !steps.contains(&step) {
                steps.push(step);
            }
        }
    }
}

#[cfg(test)]
mod tests;
