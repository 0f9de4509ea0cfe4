use std::time::SystemTime;

use super::*;
use crate::domain::DatabaseTarget;

fn record(at: RecordedAt, epoch: Epoch, change_number: i64) -> Record {
    Record {
        at,
        epoch,
        moving: false,
        released_uuid: None,
        change_number,
        known_since: None,
        update_time: SystemTime::UNIX_EPOCH,
    }
}

fn dedicated(uuid: u128, epoch: Epoch, change_number: i64) -> Record {
    let target = DatabaseTarget::new(&"main".into(), "djo_acme_db");
    record(RecordedAt::Dedicated { target, oid: 1, uuid: Some(Uuid::from_u128(uuid)) }, epoch, change_number)
}

fn reading(continues: bool, number: i64, placements: Vec<(&str, Record)>) -> Reading {
    Reading {
        began: Some(Instant::now()),
        last_change: Some(Change { ledger_id: Uuid::nil(), number, uuid: Uuid::from_u128(number as u128) }),
        continues,
        placements: placements
            .into_iter()
            .map(|(solution, record)| ("fbs_dms".into(), SolutionId::parse(solution).unwrap(), record))
            .collect(),
        ..Reading::default()
    }
}

#[tokio::test]
async fn a_first_reading_is_taken_and_not_vouched_for() {
    let view = LedgerView::default().merge(reading(false, 7, vec![("acme", dedicated(1, 1, 7))]));
    let record = view.placement("fbs_dms", "acme").unwrap();
    assert!(!view.vouches_for(record));
    assert!(view.conflicts.is_empty());
    let later = view.merge(reading(true, 8, vec![("globex", record_system(8))]));
    assert!(later.vouches_for(later.placement("fbs_dms", "globex").unwrap()));
}

fn record_system(change_number: i64) -> Record {
    record(RecordedAt::System, 0, change_number)
}

#[tokio::test]
async fn a_restored_ledger_never_takes_a_solution_back_by_itself() {
    let seen = LedgerView::default().merge(reading(
        false,
        9,
        vec![("acme", dedicated(1, 1, 8)), ("globex", record_system(9)), ("same", record_system(3))],
    ));
    // Restored from before acme and globex: change 9 is not there.
    let restored = seen.merge(reading(false, 4, vec![("same", record_system(3))]));
    for solution in ["acme", "globex"] {
        assert!(restored.conflicts("fbs_dms", &SolutionId::parse(solution).unwrap()), "{solution}");
    }
    assert!(!restored.conflicts("fbs_dms", &SolutionId::parse("same").unwrap()));
    // Only an epoch above both ends it.
    let at_same_epoch = restored.merge(reading(true, 5, vec![("acme", dedicated(2, 1, 5))]));
    assert!(at_same_epoch.conflicts("fbs_dms", &SolutionId::parse("acme").unwrap()));
    let decided = at_same_epoch.merge(reading(true, 6, vec![("acme", dedicated(2, 2, 6))]));
    assert!(!decided.conflicts("fbs_dms", &SolutionId::parse("acme").unwrap()));
}
