//! Evidence, made from bits: one bit a value, so that a row of the page is a mask.
//!
//! A *place* is what is expensive to make (ledger, catalog, inside, app, followed); everything else is *loose*.

use std::time::SystemTime;

use super::{
    super::*,
    answer::{Answer, answer},
};
use crate::{
    config::{Isolation, Unregistered},
    domain::{DatabaseTarget, Error},
    routing::evidence::{Fence, Policy},
};

/// Any value of a column.
pub(super) const ANY: u32 = u32::MAX;

// What the ledger says.
pub(super) const UNREADABLE: u32 = 1 << 0;
pub(super) const SNAPSHOT_SYSTEM: u32 = 1 << 1;
pub(super) const SNAPSHOT_DEDICATED: u32 = 1 << 2;
pub(super) const NOTHING: u32 = 1 << 3;
pub(super) const REGISTERED: u32 = 1 << 4;
pub(super) const SYSTEM: u32 = 1 << 5;
/// SYSTEM, after a release of the very database that is listed now.
pub(super) const RELEASED: u32 = 1 << 6;
pub(super) const DEDICATED: u32 = 1 << 7;
const LEDGERS: u32 = 8;
pub(super) const ANY_NONE: u32 = NOTHING | REGISTERED;
pub(super) const ANY_SYSTEM: u32 = SYSTEM | RELEASED;
pub(super) const ANY_DEDICATED: u32 = SNAPSHOT_DEDICATED | DEDICATED;
pub(super) const ANY_UNREADABLE: u32 = UNREADABLE | SNAPSHOT_SYSTEM | SNAPSHOT_DEDICATED;

// What the catalog says.
pub(super) const LISTED: u32 = 1 << 0;
pub(super) const OTHER_OID: u32 = 1 << 1;
pub(super) const OTHER_CLUSTER: u32 = 1 << 2;
pub(super) const TWO_SERVERS: u32 = 1 << 3;
pub(super) const ABSENT: u32 = 1 << 4;
pub(super) const UNKNOWN: u32 = 1 << 5;
const CATALOGS: u32 = 6;
pub(super) const PRESENT: u32 = LISTED | OTHER_OID | OTHER_CLUSTER;

// What is inside. OWN and OTHER: the uuid that record or release names, or another; then the fence, ACTIVE where nothing
// else is said. BELOW is as far below as a fence can be: for a pair without a record the same as AT, 0.
pub(super) const NOT_LOOKED: u32 = 1 << 0;
pub(super) const NOT_READY: u32 = 1 << 1;
pub(super) const FOREIGN: u32 = 1 << 2;
pub(super) const NOT_ENTERED: u32 = 1 << 3;
pub(super) const OWN_UNFENCED: u32 = 1 << 4;
pub(super) const OWN_BELOW: u32 = 1 << 5;
pub(super) const OWN_AT: u32 = 1 << 6;
pub(super) const OWN_ABOVE: u32 = 1 << 7;
pub(super) const OWN_CLOSED: u32 = 1 << 8;
const OTHER_UNFENCED: u32 = 1 << 9;
const OTHER_BELOW: u32 = 1 << 10;
const OTHER_AT: u32 = 1 << 11;
pub(super) const OTHER_ABOVE: u32 = 1 << 12;
const OTHER_CLOSED: u32 = 1 << 13;
const OWN_COPYING_BELOW: u32 = 1 << 14;
const OWN_COPYING_AT: u32 = 1 << 15;
const OWN_COPYING_ABOVE: u32 = 1 << 16;
const OTHER_COPYING_BELOW: u32 = 1 << 17;
const OTHER_COPYING_AT: u32 = 1 << 18;
const OTHER_COPYING_ABOVE: u32 = 1 << 19;
const INSIDES: u32 = 20;
pub(super) const OWN_COPYING: u32 = OWN_COPYING_BELOW | OWN_COPYING_AT | OWN_COPYING_ABOVE;
const OTHER_COPYING: u32 = OTHER_COPYING_BELOW | OTHER_COPYING_AT | OTHER_COPYING_ABOVE;
pub(super) const OWN: u32 = OWN_UNFENCED | OWN_BELOW | OWN_AT | OWN_ABOVE | OWN_CLOSED | OWN_COPYING;
pub(super) const OTHER: u32 = OTHER_UNFENCED | OTHER_BELOW | OTHER_AT | OTHER_ABOVE | OTHER_CLOSED | OTHER_COPYING;
pub(super) const READY: u32 = OWN | OTHER;
pub(super) const COPYING: u32 = OWN_COPYING | OTHER_COPYING;
pub(super) const ABOVE: u32 = OWN_ABOVE | OTHER_ABOVE;
pub(super) const LOOKED: u32 = !NOT_LOOKED;

// What is registered instead of a recorded database that is gone.
pub(super) const UNFOLLOWED: u32 = 1 << 0;
pub(super) const FOLLOWED_UNSEEN: u32 = 1 << 1;
pub(super) const FOLLOWED_OWN: u32 = 1 << 2;
pub(super) const FOLLOWED_OTHER: u32 = 1 << 3;
const FOLLOWEDS: u32 = 4;

// The app.
pub(super) const DOCUMENTS: u32 = 1 << 0;
pub(super) const RESOLVE_ONLY: u32 = 1 << 1;
pub(super) const READY_TABLE: u32 = 1 << 2;
const APPS: u32 = 3;

// Loose: one bit of each group.
pub(super) const NOT_COUNTED: u32 = 1 << 0;
pub(super) const NO_ROWS: u32 = 1 << 1;
pub(super) const SOME_ROWS: u32 = 1 << 2;
pub(super) const COULD_NOT_LOOK: u32 = 1 << 3;
pub(super) const ANY_ROWS: u32 = NOT_COUNTED | NO_ROWS | SOME_ROWS | COULD_NOT_LOOK;
pub(super) const NOT_READ: u32 = 1 << 4;
pub(super) const READ: u32 = 1 << 5;
pub(super) const READ_FAILED: u32 = 1 << 6;
// Loose: there or not.
pub(super) const MOVING: u32 = 1 << 7;
pub(super) const CONFLICT: u32 = 1 << 8;
pub(super) const VOUCHED: u32 = 1 << 9;
pub(super) const RETURNED: u32 = 1 << 10;
pub(super) const SCANNED: u32 = 1 << 11;

/// Of every record; a pair without one has epoch 0.
pub(super) const EPOCH: i64 = 3;
pub(super) const OWN_UUID: Uuid = Uuid::from_u128(1);
pub(super) const OTHER_UUID: Uuid = Uuid::from_u128(2);

/// Which places: masks.
#[derive(Debug, Clone, Copy)]
pub(super) struct Places {
    pub(super) ledger: u32,
}

pub(super) const EVERYTHING: Places = Places { ledger: ANY };

/// One place: one bit each.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place {
    pub(super) ledger: u32,
    pub(super) catalog: u32,
    pub(super) inside: u32,
    pub(super) followed: u32,
    pub(super) app: u32,
}

/// One combination.
#[derive(Debug, Clone, Copy)]
pub(super) struct Case {
    pub(super) place: Place,
    pub(super) loose: u32,
    pub(super) policies: Policies,
}

/// May the system database be used?
#[derive(Debug, Clone, Copy)]
pub(super) struct Policies {
    pub(super) required: bool,
    pub(super) shared: bool,
    pub(super) refuse: bool,
}

impl Policies {
    pub(super) const ALLOWED: Self = Self { required: false, shared: true, refuse: false };
    pub(super) const ALL: [Self; 6] = [
        Self::ALLOWED,
        Self { required: true, shared: true, refuse: false },
        Self { required: false, shared: false, refuse: false },
        Self { required: false, shared: true, refuse: true },
        Self { required: true, shared: true, refuse: true },
        Self { required: false, shared: false, refuse: true },
    ];

    pub(super) fn may_share(&self) -> bool {
        !self.required && self.shared
    }
}

/// Decides at one place.
pub(super) struct Verdicts<'e> {
    place: Place,
    record: &'e Record,
    moving: &'e Record,
    evidence: Evidence<'e>,
}

/// Every place there can be: an app whose tables are not ours knows neither identity nor fence, nor whom to follow;
/// and whom to follow is known (or not: two values must do to show that it is not asked) of what is not listed.
pub(super) fn each_place(places: Places, mut see: impl FnMut(&mut Verdicts<'_>)) {
    let bits = |count: u32| (0..count).map(|bit| 1_u32 << bit);
    for app in bits(APPS) {
        for ledger in bits(LEDGERS).filter(|ledger| ledger & places.ledger != 0) {
            for catalog in bits(CATALOGS) {
                for inside in bits(INSIDES).filter(|inside| app == DOCUMENTS || inside & (READY & !OTHER_UNFENCED) == 0)
                {
                    let followeds = match (app, catalog) {
                        (DOCUMENTS, ABSENT | TWO_SERVERS) => ANY,
                        (DOCUMENTS, _) => UNFOLLOWED | FOLLOWED_OWN,
                        _ => UNFOLLOWED,
                    };
                    for followed in bits(FOLLOWEDS).filter(|followed| followed & followeds != 0) {
                        Verdicts::at(Place { ledger, catalog, inside, followed, app }, &mut see);
                    }
                }
            }
        }
    }
}

/// Every combination of what is loose; nothing moves where nothing is recorded.
pub(super) fn loose(place: Place) -> impl Iterator<Item = u32> {
    let recorded = place.ledger & (ANY_NONE | UNREADABLE) == 0;
    (0..1_u32 << 12).filter(move |loose| {
        (recorded || loose & MOVING == 0)
            && (loose & ANY_ROWS).count_ones() == 1
            && (loose & (NOT_READ | READ | READ_FAILED)).count_ones() == 1
    })
}

/// What the world may answer to `need`: where that leaves us.
pub(super) fn answers(need: &'static str, place: Place, loose: u32) -> Vec<(Place, u32)> {
    match need {
        "SCAN" => (0..CATALOGS).map(|bit| (Place { catalog: 1 << bit, ..place }, loose | SCANNED)).collect(),
        "LEDGER" => {
            let asked = loose & !NOT_READ;
            let same = [(place, asked | READ), (place, asked | READ_FAILED)];
            let read = (0..LEDGERS).map(|bit| (Place { ledger: 1 << bit, ..place }, asked | READ));
            same.into_iter().chain(read).collect()
        }
        "INSIDE" => (1..INSIDES)
            .map(|bit| Place { inside: 1 << bit, ..place })
            .filter(|place| place.app == DOCUMENTS || place.inside & (READY & !OTHER_UNFENCED) == 0)
            .map(|place| (place, loose))
            .collect(),
        "FOLLOWED" => [FOLLOWED_OWN, FOLLOWED_OTHER].map(|followed| (Place { followed, ..place }, loose)).into(),
        "ROWS" => [NO_ROWS, SOME_ROWS, COULD_NOT_LOOK].map(|rows| (place, loose & !ANY_ROWS | rows)).into(),
        other => panic!("{other} is no need"),
    }
}

impl Verdicts<'_> {
    /// Makes what is expensive, once.
    pub(super) fn at<T>(place: Place, see: impl FnOnce(&mut Verdicts<'_>) -> T) -> T {
        let record = record(place);
        let moving = Record { moving: true, ..record.clone() };
        let evidence = Evidence {
            app: match place.app {
                DOCUMENTS => AppKind::Documents,
                app => AppKind::ResolveOnly { ready_table: app == READY_TABLE },
            },
            policy: Policy { isolation: Isolation::Preferred, unregistered: Unregistered::System, shared: true },
            ledger: LedgerSays::Unreadable { snapshot: None },
            presence: match place.catalog {
                TWO_SERVERS => Presence::TwoServers,
                ABSENT => Presence::Absent,
                UNKNOWN => Presence::Unknown("unknown"),
                listed => Presence::Present(found(listed)),
            },
            inside: inside(place),
            rows: Rows::NotCounted,
            followed: match place.followed {
                UNFOLLOWED => None,
                FOLLOWED_UNSEEN => Some((elsewhere(), Inside::NotLooked)),
                FOLLOWED_OWN => Some((elsewhere(), Inside::Ready { uuid: OWN_UUID, fence: None })),
                _ => Some((elsewhere(), Inside::Ready { uuid: OTHER_UUID, fence: None })),
            },
            conflict: false,
            vouched: false,
            returned: false,
            scanned: false,
            ledger_read: LedgerRead::NotTried,
        };
        see(&mut Verdicts { place, record: &record, moving: &moving, evidence })
    }

    pub(super) fn place(&self) -> Place {
        self.place
    }

    /// The verdict here, with everything else as `loose` and `policies` say.
    pub(super) fn of(&mut self, loose: u32, policies: Policies) -> Answer {
        self.told(loose, policies, &mut Trace::default())
    }

    /// As `of`, and what ExplainRoute tells of it.
    pub(super) fn told(&mut self, loose: u32, policies: Policies, trace: &mut Trace) -> Answer {
        let evidence = &mut self.evidence;
        let record = if loose & MOVING == 0 { self.record } else { self.moving };
        evidence.ledger = match self.place.ledger {
            UNREADABLE => LedgerSays::Unreadable { snapshot: None },
            SNAPSHOT_SYSTEM | SNAPSHOT_DEDICATED => LedgerSays::Unreadable { snapshot: Some(record) },
            NOTHING => LedgerSays::Nothing { registered: false },
            REGISTERED => LedgerSays::Nothing { registered: true },
            _ => LedgerSays::Record(record),
        };
        evidence.rows = match loose & ANY_ROWS {
            NOT_COUNTED => Rows::NotCounted,
            NO_ROWS => Rows::None,
            SOME_ROWS => Rows::Some,
            _ => Rows::CouldNotLook,
        };
        evidence.ledger_read = match loose & (NOT_READ | READ | READ_FAILED) {
            NOT_READ => LedgerRead::NotTried,
            READ => LedgerRead::Fresh,
            _ => LedgerRead::Failed,
        };
        evidence.conflict = loose & CONFLICT != 0;
        evidence.vouched = loose & VOUCHED != 0;
        evidence.returned = loose & RETURNED != 0;
        evidence.scanned = loose & SCANNED != 0;
        evidence.policy.isolation = if policies.required { Isolation::Required } else { Isolation::Preferred };
        evidence.policy.shared = policies.shared;
        evidence.policy.unregistered = if policies.refuse { Unregistered::Refuse } else { Unregistered::System };
        answer(decide(evidence, trace), self.place)
    }
}

fn record(place: Place) -> Record {
    let is_documents = place.app == DOCUMENTS;
    let at = if place.ledger & ANY_DEDICATED == 0 {
        RecordedAt::System
    } else {
        RecordedAt::Dedicated { target: target(), oid: 1, uuid: is_documents.then_some(OWN_UUID) }
    };
    let released_uuid = (is_documents && place.ledger == RELEASED).then_some(OWN_UUID);
    Record {
        at,
        epoch: EPOCH,
        moving: false,
        released_uuid,
        change_number: 5,
        known_since: None,
        update_time: SystemTime::UNIX_EPOCH,
    }
}

fn inside(place: Place) -> Inside {
    let epoch = if place.ledger & ANY_NONE == 0 { EPOCH } else { 0 };
    let uuid = if place.inside & OWN == 0 { OTHER_UUID } else { OWN_UUID };
    let below = (epoch - 1).max(0);
    let fence = |epoch, active| Inside::Ready { uuid, fence: Some(Fence { epoch, active, copying: false }) };
    let copy = |epoch| Inside::Ready { uuid, fence: Some(Fence { epoch, active: false, copying: true }) };
    match place.inside {
        NOT_LOOKED => Inside::NotLooked,
        NOT_READY => Inside::NotReady("not ready"),
        FOREIGN => Inside::Foreign("foreign"),
        NOT_ENTERED => Inside::NotEntered(Error::PoolExhausted),
        OWN_BELOW | OTHER_BELOW => fence(below, true),
        OWN_AT | OTHER_AT => fence(epoch, true),
        OWN_ABOVE | OTHER_ABOVE => fence(epoch + 1, true),
        // Above, where a closed fence that counted would do most harm.
        OWN_CLOSED | OTHER_CLOSED => fence(epoch + 1, false),
        OWN_COPYING_BELOW | OTHER_COPYING_BELOW => copy(below),
        OWN_COPYING_AT | OTHER_COPYING_AT => copy(epoch),
        OWN_COPYING_ABOVE | OTHER_COPYING_ABOVE => copy(epoch + 1),
        _ => Inside::Ready { uuid, fence: None },
    }
}

fn found(listed: u32) -> Found {
    match listed {
        LISTED => Found { target: target(), oid: 1, replaced: Replaced::No },
        OTHER_OID => Found { target: target(), oid: 2, replaced: Replaced::Oid },
        _ => Found { target: target(), oid: 1, replaced: Replaced::Cluster },
    }
}

pub(super) fn elsewhere() -> Found {
    Found { target: DatabaseTarget::new(&"second".into(), "djo_acme_db"), oid: 9, replaced: Replaced::No }
}

pub(super) fn target() -> DatabaseTarget {
    DatabaseTarget::new(&"main".into(), "djo_acme_db")
}
