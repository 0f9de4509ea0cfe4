//! Section 5 of the product page, row by row, in its order: the first row that matches decides.
//!
//! The columns are the page's: ledger, catalog, inside the database, then everything that is there or not (rows in
//! the system database among it), then the answer. Rows without a comment are the page's own; `§5 •` and `§4` are
//! its text outside the table; "silent" is what the page leaves open; `PAGE:` is a difference, and what the page says.

use super::{
    CandidateReason::*,
    answer::Answer::{self, *},
    cases::*,
};

/// One row.
pub(super) struct Row {
    app: u32,
    ledger: u32,
    catalog: u32,
    inside: u32,
    with: u32,
    without: u32,
    followed: u32,
    pub(super) answer: Answer,
    pub(super) about: &'static str,
}

impl Row {
    const fn followed(self, followed: u32) -> Self {
        Self { followed, ..self }
    }

    const fn without(self, without: u32) -> Self {
        Self { without, ..self }
    }

    /// The row may match here.
    pub(super) fn is_near(&self, place: Place) -> bool {
        self.app & place.app != 0
            && self.ledger & place.ledger != 0
            && self.catalog & place.catalog != 0
            && self.inside & place.inside != 0
            && self.followed & place.followed != 0
    }

    /// The row, which is near, matches.
    pub(super) fn is_about(&self, case: &Case) -> bool {
        case.loose & self.with == self.with && case.loose & self.without == 0
    }
}

/// Every SYSTEM answer is subject to `isolation` and `unregistered`.
pub(super) fn allowed(answer: Answer, case: &Case) -> Answer {
    if !matches!(answer, System(_)) {
        return answer;
    }
    // §4 "Policy": no ledger record and no database of its own. A registration is a record of who is meant.
    let stranger = case.place.ledger == NOTHING && case.place.catalog & PRESENT == 0;
    if case.policies.refuse && stranger {
        // Silent: which of two refusals comes first.
        return Refused("SOLUTION_NOT_FOUND");
    }
    if case.policies.may_share() { answer } else { Refused("ISOLATION_REQUIRED") }
}

/// All rows.
pub(super) fn rows() -> Vec<Row> {
    [before_everything(), documents(), resolve_only()].into_iter().flatten().collect()
}

const ALL_APPS: u32 = DOCUMENTS | RESOLVE_ONLY | READY_TABLE;

const fn row(app: u32, ledger: u32, catalog: u32, inside: u32, with: u32, answer: Answer, about: &'static str) -> Row {
    Row { app, ledger, catalog, inside, with, without: 0, followed: ANY, answer, about }
}

fn before_everything() -> Vec<Row> {
    let row = |ledger, with, answer, about| row(ALL_APPS, ledger, ANY, ANY, with, answer, about);
    let recorded = SNAPSHOT_SYSTEM | SNAPSHOT_DEDICATED | ANY_SYSTEM | DEDICATED;
    vec![
        row(recorded, MOVING, Refused("ROUTE_MOVING"), "any, with a move id"),
        // §5 • "The higher epoch stops the lower": both places refused. Silent: its place among the rows.
        row(ANY, CONFLICT, Refused("PLACEMENT_CONFLICT"), "a ledger older than this process has seen"),
    ]
}

#[rustfmt::skip]
fn documents() -> Vec<Row> {
    let app = DOCUMENTS;
    let row = |ledger, catalog, inside, with, answer, about| row(app, ledger, catalog, inside, with, answer, about);
    let known = ANY_NONE | ANY_SYSTEM | DEDICATED;
    let listed_or_unknown = PRESENT | UNKNOWN;
    let gone = ABSENT | TWO_SERVERS; // silent: a recorded database is looked for on its own server only, never on two
    vec![
        // Row 2: recorded name replaced. §4: until its identity row proves the same uuid, then the oid is recorded.
        row(DEDICATED, OTHER_CLUSTER, ANY, 0, Refused("DATABASE_IDENTITY_MISMATCH"), "recorded, another cluster"),
        row(DEDICATED, OTHER_OID, NOT_LOOKED, 0, Need("INSIDE"), "recorded, another oid, to be proved"),
        row(DEDICATED, OTHER_OID, OWN, 0, Act("ADOPT_OID"), "recorded, another oid, the same uuid"),
        row(DEDICATED, OTHER_OID, ANY, 0, Refused("DATABASE_IDENTITY_MISMATCH"), "recorded, another oid"),
        // §4: a server with another system_identifier, for pairs without a record too.
        row(ANY_NONE, OTHER_CLUSTER, ANY, 0, Refused("DATABASE_IDENTITY_MISMATCH"), "none, listed in another cluster"),
        // Row 3: none, DEDICATED | listed | identity of another, or a uuid of another pair.
        row(ANY_NONE | DEDICATED, PRESENT, FOREIGN, 0, Refused("DATABASE_IDENTITY_MISMATCH"), "identity of another"),
        row(DEDICATED, PRESENT, OTHER, 0, Refused("DATABASE_IDENTITY_MISMATCH"), "another uuid than the recorded one"),
        // Row 4: any | listed | fence ACTIVE above the ledger's epoch (ledger read again).
        // Silent: what if it cannot be read again, and that an unreadable ledger has no epoch to be above of.
        row(known, PRESENT, ABOVE, NOT_READ, Need("LEDGER"), "fence above, to be read again"),
        row(known, PRESENT, ABOVE, READ, Refused("PLACEMENT_CONFLICT"), "fence above"),
        row(known, PRESENT, ABOVE, READ_FAILED, Refused("ROUTE_UNKNOWN"), "fence above, unreadable"),
        // Silent: moves begin with a record, so that a copy without one is ahead of the ledger, too.
        row(ANY_NONE, PRESENT, COPYING, NOT_READ, Need("LEDGER"), "none, COPYING, the ledger to be read again"),
        row(ANY_NONE, PRESENT, COPYING, READ, Refused("PLACEMENT_CONFLICT"), "none, COPYING"),
        row(ANY_NONE, PRESENT, COPYING, READ_FAILED, Refused("ROUTE_UNKNOWN"), "none, COPYING, unreadable"),
        // §5 •: a database which this process saw missing needs a ledger read before it is served again.
        row(DEDICATED, PRESENT, ANY, RETURNED | NOT_READ, Need("LEDGER"), "it was missing"),
        row(DEDICATED, PRESENT, ANY, RETURNED, Refused("ROUTE_UNKNOWN"), "it was missing, and the ledger is not read"),
        // Row 5. A copy whose move has come to its end is opened behind the call.
        row(DEDICATED, listed_or_unknown, OWN_COPYING, 0, Dedicated, "DEDICATED, its copy not opened yet"),
        row(DEDICATED, listed_or_unknown, ANY, 0, Dedicated, "DEDICATED, listed or Unknown"),
        // Row 6, and §4 "Several servers": it follows a registration if the recorded uuid is there.
        row(DEDICATED, gone, ANY, 0, Need("FOLLOWED"), "registered elsewhere, to be proved").followed(FOLLOWED_UNSEEN),
        row(DEDICATED, gone, ANY, 0, Act("FOLLOW"), "registered elsewhere, the same uuid").followed(FOLLOWED_OWN),
        row(DEDICATED, gone, ANY, 0, Refused("DATABASE_DETACHED"), "DEDICATED, not listed"),
        // §5 •: a recorded SYSTEM pair which nothing vouches for is confirmed once; until then ROUTE_UNKNOWN.
        row(ANY_SYSTEM, UNKNOWN, ANY, 0, Need("SCAN"), "SYSTEM, unvouched, Unknown").without(VOUCHED | SCANNED),
        row(ANY_SYSTEM, UNKNOWN, ANY, 0, Refused("ROUTE_UNKNOWN"), "SYSTEM, unvouched, not found out").without(VOUCHED),
        row(ANY_SYSTEM, PRESENT, NOT_LOOKED, 0, Need("INSIDE"), "SYSTEM, unvouched, listed").without(VOUCHED),
        row(ANY_SYSTEM, PRESENT, NOT_ENTERED, 0, Refused("ROUTE_UNKNOWN"), "SYSTEM, unvouched, shut").without(VOUCHED),
        row(ANY_SYSTEM, TWO_SERVERS, ANY, 0, Refused("ROUTE_UNKNOWN"), "SYSTEM, unvouched, listed twice").without(VOUCHED),
        // Silent: which of the two would be the candidate.
        row(ANY_SYSTEM, TWO_SERVERS, ANY, 0, System(None), "SYSTEM, listed twice"),
        // §5 •: a released database that is listed again gets fence MOVED at first sight, before anything else.
        row(RELEASED, PRESENT, NOT_LOOKED, 0, Need("INSIDE"), "released, and one is listed"),
        row(RELEASED, PRESENT, OWN_CLOSED | OWN_COPYING, 0, System(Some(NotUsable)), "released, and its fence closed"),
        row(RELEASED, PRESENT, OWN, 0, Act("RETIRE"), "released, and listed again"),
        // §7: what lies there is the copy of a move that was taken back, and nobody's truth: never taken over.
        row(ANY_SYSTEM, PRESENT, COPYING, 0, System(Some(RowsInSystemDatabase)), "SYSTEM, COPYING: never taken over"),
        // Row 7.
        row(ANY_SYSTEM, PRESENT, READY, NOT_COUNTED, Need("ROWS"), "SYSTEM, ready"),
        row(ANY_SYSTEM, PRESENT, READY, NO_ROWS, Act("TAKE_OVER"), "SYSTEM, ready, empty"),
        // Row 8: SYSTEM, with candidate if listed.
        row(ANY_SYSTEM, PRESENT, READY, SOME_ROWS, System(Some(RowsInSystemDatabase)), "SYSTEM, ready, rows"),
        // PAGE: with candidate. There is no reason to name for it.
        row(ANY_SYSTEM, PRESENT, READY, COULD_NOT_LOOK, System(None), "SYSTEM, ready, rows unknown"),
        row(ANY_SYSTEM, PRESENT, NOT_READY, 0, System(Some(SchemaNotReady)), "SYSTEM, not ready"),
        row(ANY_SYSTEM, PRESENT, FOREIGN | NOT_ENTERED, 0, System(Some(NotUsable)), "SYSTEM, not usable"),
        // PAGE: with candidate. It is looked at behind the call, and then has a reason.
        row(ANY_SYSTEM, PRESENT, NOT_LOOKED, VOUCHED, System(None), "SYSTEM, listed, not looked at yet"),
        row(ANY_SYSTEM, ABSENT, ANY, 0, System(None), "SYSTEM, not listed"),
        row(ANY_SYSTEM, UNKNOWN, ANY, VOUCHED, System(None), "SYSTEM, Unknown"),
        // Rows 9 and 10.
        row(ANY_NONE, ABSENT, ANY, 0, System(None), "none, absent on all servers"),
        row(ANY_NONE, UNKNOWN, ANY, SCANNED, Refused("ROUTE_UNKNOWN"), "none, Unknown"),
        row(ANY_NONE, UNKNOWN, ANY, 0, Need("SCAN"), "none, Unknown, not scanned for this call"),
        // §4 "Several servers".
        row(ANY_NONE, TWO_SERVERS, ANY, 0, Refused("DATABASE_MISCONFIGURED"), "none, listed twice"),
        // Rows 11 to 15. "Listed" is any Present: nothing is recorded that could have been replaced, and a look
        // inside another cluster is FOREIGN.
        row(ANY_NONE, PRESENT, NOT_LOOKED, 0, Need("INSIDE"), "none, listed"),
        row(ANY_NONE, PRESENT, NOT_READY, 0, System(Some(SchemaNotReady)), "none, not ready"),
        row(ANY_NONE, PRESENT, READY, NOT_COUNTED, Need("ROWS"), "none, ready"),
        row(ANY_NONE, PRESENT, READY, NO_ROWS, Act("TAKE_OVER"), "none, ready, empty"),
        row(ANY_NONE, PRESENT, READY, SOME_ROWS, Act("RECORD_SYSTEM"), "none, ready, rows: SYSTEM, recorded"),
        row(ANY_NONE, PRESENT, NOT_ENTERED, 0, Refused("THAT_ERROR"), "none, could not enter"),
        row(ANY_NONE, PRESENT, READY, COULD_NOT_LOOK, Refused("ROUTE_UNKNOWN"), "none, ready, could not look"),
        // Row 16.
        row(SNAPSHOT_DEDICATED, listed_or_unknown, OWN_AT, 0, Dedicated, "snapshot, confirmed by identity and fence"),
        row(SNAPSHOT_DEDICATED, listed_or_unknown, NOT_LOOKED, 0, Need("INSIDE"), "snapshot, to be confirmed"),
        // Row 2 again: replaced, and identity and fence did not prove it.
        row(SNAPSHOT_DEDICATED, OTHER_OID | OTHER_CLUSTER, ANY, 0, Refused("DATABASE_IDENTITY_MISMATCH"), "replaced"),
        // Row 17; for pairs of which the snapshot says nothing it is tried to read the ledger first.
        row(UNREADABLE | SNAPSHOT_SYSTEM, ANY, ANY, NOT_READ, Need("LEDGER"), "unreadable, nobody tried"),
        row(ANY_UNREADABLE, ANY, ANY, 0, Refused("ROUTE_UNKNOWN"), "unreadable, otherwise"),
    ]
}

/// §5 • "Resolve-only apps": Present means DEDICATED, recorded by a scan, sticky; `ready_table` must exist first.
#[rustfmt::skip]
fn resolve_only() -> Vec<Row> {
    let app = RESOLVE_ONLY | READY_TABLE;
    let row = |ledger, catalog, inside, with, answer, about| row(app, ledger, catalog, inside, with, answer, about);
    let of = |app, inner: Row| Row { app, ..inner };
    vec![
        // Row 2. There is no identity row to prove the same uuid.
        row(DEDICATED, OTHER_OID | OTHER_CLUSTER, ANY, 0, Refused("DATABASE_IDENTITY_MISMATCH"), "recorded, replaced"),
        // Silent: nothing makes this evidence today.
        row(DEDICATED, PRESENT, FOREIGN, 0, Refused("DATABASE_IDENTITY_MISMATCH"), "recorded, foreign"),
        row(DEDICATED, PRESENT, ANY, RETURNED | NOT_READ, Need("LEDGER"), "it was missing"),
        row(DEDICATED, PRESENT, ANY, RETURNED, Refused("ROUTE_UNKNOWN"), "it was missing, and the ledger is not read"),
        // Row 5: sticky, whatever becomes of `ready_table`.
        row(DEDICATED, PRESENT | UNKNOWN, ANY, 0, Dedicated, "DEDICATED, listed or Unknown"),
        row(DEDICATED, ABSENT | TWO_SERVERS, ANY, 0, Refused("DATABASE_DETACHED"), "DEDICATED, not listed"),
        // After a release. No fence to look at: a scan is all that confirms it.
        row(ANY_SYSTEM, UNKNOWN, ANY, 0, Need("SCAN"), "SYSTEM, unvouched, Unknown").without(VOUCHED | SCANNED),
        row(ANY_SYSTEM, UNKNOWN, ANY, 0, Refused("ROUTE_UNKNOWN"), "SYSTEM, unvouched, not found out").without(VOUCHED),
        // PAGE: with candidate if listed.
        row(ANY_SYSTEM, ANY, ANY, 0, System(None), "SYSTEM, any"),
        row(ANY_NONE, ABSENT, ANY, 0, System(None), "none, absent on all servers"),
        row(ANY_NONE, UNKNOWN, ANY, SCANNED, Refused("ROUTE_UNKNOWN"), "none, Unknown"),
        row(ANY_NONE, UNKNOWN, ANY, 0, Need("SCAN"), "none, Unknown, not scanned for this call"),
        row(ANY_NONE, TWO_SERVERS, ANY, 0, Refused("DATABASE_MISCONFIGURED"), "none, listed twice"),
        row(ANY_NONE, OTHER_CLUSTER, ANY, 0, Refused("DATABASE_IDENTITY_MISMATCH"), "none, listed in another cluster"),
        of(RESOLVE_ONLY, row(ANY_NONE, PRESENT, ANY, 0, Act("RECORD_DEDICATED"), "none, listed")),
        of(READY_TABLE, row(ANY_NONE, PRESENT, NOT_LOOKED, 0, Need("INSIDE"), "none, listed")),
        of(READY_TABLE, row(ANY_NONE, PRESENT, NOT_READY, 0, System(Some(SchemaNotReady)), "none, not ready")),
        of(READY_TABLE, row(ANY_NONE, PRESENT, READY, 0, Act("RECORD_DEDICATED"), "none, ready")),
        of(READY_TABLE, row(ANY_NONE, PRESENT, NOT_ENTERED, 0, Refused("THAT_ERROR"), "none, could not enter")),
        of(READY_TABLE, row(ANY_NONE, PRESENT, FOREIGN, 0, Refused("DATABASE_IDENTITY_MISMATCH"), "none, foreign")),
        // Row 17, and its words in brackets: they have no fence.
        row(ANY_UNREADABLE, ANY, ANY, NOT_READ, Need("LEDGER"), "unreadable, nobody tried"),
        row(ANY_UNREADABLE, ANY, ANY, 0, Refused("ROUTE_UNKNOWN"), "unreadable"),
    ]
}
