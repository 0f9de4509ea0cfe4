//! Verdicts by name, so that a row of the page can name them; and a look at what comes with them.

use super::{
    super::*,
    cases::{ANY_NONE, EPOCH, OTHER_UUID, OWN, OWN_UUID, Place, elsewhere, target},
};

/// A verdict, by name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Answer {
    Need(&'static str),
    Act(&'static str),
    Dedicated,
    System(Option<CandidateReason>),
    Refused(&'static str),
}

/// By name, after a look at what comes with it.
pub(super) fn answer(verdict: Verdict, place: Place) -> Answer {
    let epoch = if place.ledger & ANY_NONE == 0 { EPOCH } else { 0 };
    let proved = if place.inside & OWN == 0 { OTHER_UUID } else { OWN_UUID };
    let here = |seen: &Found| assert_eq!(seen.target, target(), "{place:?}");
    match verdict {
        Verdict::Dedicated => Answer::Dedicated,
        Verdict::System { epoch: given, candidate } => {
            assert_eq!(given, epoch, "{place:?}");
            candidate.iter().for_each(|(found, _)| here(found));
            Answer::System(candidate.map(|(_, reason)| reason))
        }
        Verdict::Need(Need::Scan) => Answer::Need("SCAN"),
        Verdict::Need(Need::Ledger) => Answer::Need("LEDGER"),
        Verdict::Need(Need::Rows) => Answer::Need("ROWS"),
        Verdict::Need(Need::Inside(found)) if found == elsewhere() => Answer::Need("FOLLOWED"),
        Verdict::Need(Need::Inside(found)) => {
            here(&found);
            Answer::Need("INSIDE")
        }
        Verdict::Act(act) => Answer::Act(match act {
            Act::TakeOver { found, uuid } => {
                here(&found);
                assert_eq!(uuid, proved, "{place:?}");
                "TAKE_OVER"
            }
            Act::RecordDedicated(found) => {
                here(&found);
                "RECORD_DEDICATED"
            }
            Act::RecordSystem => "RECORD_SYSTEM",
            Act::AdoptOid(found) => {
                here(&found);
                "ADOPT_OID"
            }
            Act::Follow(found) => {
                assert_eq!(found, elsewhere(), "{place:?}");
                "FOLLOW"
            }
            Act::Retire { found, uuid } => {
                here(&found);
                assert_eq!(uuid, proved, "{place:?}");
                "RETIRE"
            }
        }),
        Verdict::Refused(error) => Answer::Refused(reason(&error)),
    }
}

fn reason(error: &Error) -> &'static str {
    match error {
        Error::RouteMoving => "ROUTE_MOVING",
        Error::RouteUnknown(_) => "ROUTE_UNKNOWN",
        Error::PlacementConflict(_) => "PLACEMENT_CONFLICT",
        Error::DatabaseIdentityMismatch { .. } => "DATABASE_IDENTITY_MISMATCH",
        Error::DatabaseDetached => "DATABASE_DETACHED",
        Error::DatabaseMisconfigured { .. } => "DATABASE_MISCONFIGURED",
        Error::IsolationRequired => "ISOLATION_REQUIRED",
        Error::SolutionNotFound => "SOLUTION_NOT_FOUND",
        // What a database that cannot be entered says in these cases.
        Error::PoolExhausted => "THAT_ERROR",
        _ => "ANOTHER_ERROR",
    }
}
