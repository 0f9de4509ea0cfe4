//! A copy of the ledger in a file, which carries dedicated solutions over a restart while the ledger is down.
//!
//! Only a hint: each placement it holds is confirmed by the fence in the solution's own database. Written by rename,
//! and only over an earlier state of the same ledger.

use std::{
    io::Write,
    path::Path,
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{
    evidence::{Record, RecordedAt, Registration},
    ledger::{Change, LedgerView, Origin},
};
use crate::{
    config::Isolation,
    domain::{DatabaseTarget, SolutionId},
};

/// Of the file; another one is not read.
const FORMAT: u32 = 1;

#[derive(Debug, Serialize, Deserialize)]
struct File {
    format: u32,
    written_s: u64,
    ledger_id: String,
    change_number: i64,
    change_uuid: String,
    database_uuid: Option<String>,
    /// Changes up to this one were read while nothing vouched for the ledger: a file does not make them truer.
    unvouched_through: i64,
    servers: Vec<(String, u64)>,
    placements: Vec<Placed>,
    registrations: Vec<Registered>,
}

#[derive(Debug, Serialize, Deserialize)]
struct Placed {
    app: String,
    solution: String,
    epoch: i64,
    moving: bool,
    change_number: i64,
    released_uuid: Option<String>,
    update_s: u64,
    dedicated: Option<Dedicated>,
}

#[derive(Debug, Serialize, Deserialize)]
struct Dedicated {
    server: String,
    database: String,
    oid: u32,
    uuid: Option<String>,
}

#[derive(Debug, Serialize, Deserialize)]
struct Registered {
    app: String,
    solution: String,
    server: Option<String>,
    database: Option<String>,
    required: bool,
}

/// Why a snapshot is not used.
#[derive(Debug, thiserror::Error)]
pub(super) enum SnapshotError {
    /// The file system.
    #[error("{0}")]
    Io(#[from] std::io::Error),
    /// Not a snapshot.
    #[error("it is damaged: {0}")]
    Damaged(#[from] serde_json::Error),
    /// Written by another build.
    #[error("it is of another format")]
    Format,
    /// Too old to be trusted.
    #[error("it is older than ledger.snapshot_max_age")]
    TooOld,
}

/// Reads a snapshot; none if there is no file.
pub(super) fn load(path: &Path, max_age: Duration) -> Result<Option<LedgerView>, SnapshotError> {
    let text = match std::fs::read(path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    let file: File = serde_json::from_slice(&text)?;
    if file.format != FORMAT {
        return Err(SnapshotError::Format);
    }
    // A clock that was set back makes a snapshot from the future: as untrustworthy as an old one.
    let written = UNIX_EPOCH.checked_add(Duration::from_secs(file.written_s)).ok_or(SnapshotError::Format)?;
    if SystemTime::now().duration_since(written).map_or(true, |age| age > max_age) {
        return Err(SnapshotError::TooOld);
    }
    file.into_view().map(Some).ok_or(SnapshotError::Format)
}

/// Writes `view`, unless the file holds a later state, or another ledger's. True if it was written.
pub(super) fn save(path: &Path, view: &LedgerView) -> Result<bool, SnapshotError> {
    let Some(change) = view.last_change else { return Ok(false) };
    if view.origin != Origin::Ledger || !view.conflicts.is_empty() {
        return Ok(false);
    }
    if let Ok(text) = std::fs::read(path)
        && let Ok(before) = serde_json::from_slice::<File>(&text)
        && (before.ledger_id != change.ledger_id.to_string() || before.change_number > change.number)
    {
        return Ok(false);
    }
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut file = tempfile::NamedTempFile::new_in(folder)?;
    serde_json::to_writer(&mut file, &File::of(view, change))?;
    file.flush()?;
    file.as_file().sync_all()?;
    file.persist(path).map_err(|error| error.error)?;
    Ok(true)
}

impl File {
    fn of(view: &LedgerView, change: Change) -> Self {
        let placements = view.records().map(|(app, solution, record)| Placed::of(app, solution, record)).collect();
        let registrations = view
            .registrations
            .iter()
            .flat_map(|(app, solutions)| {
                solutions.iter().map(move |(solution, registration)| Registered {
                    app: app.to_string(),
                    solution: solution.to_string(),
                    server: registration.server.as_deref().map(str::to_owned),
                    database: registration.database.clone(),
                    required: registration.isolation == Isolation::Required,
                })
            })
            .collect();
        Self {
            format: FORMAT,
            written_s: seconds(SystemTime::now()),
            ledger_id: change.ledger_id.to_string(),
            change_number: change.number,
            change_uuid: change.uuid.to_string(),
            database_uuid: view.database_uuid.map(|uuid| uuid.to_string()),
            unvouched_through: view.unvouched_through,
            servers: view.servers.iter().map(|(name, identifier)| (name.to_string(), *identifier)).collect(),
            placements,
            registrations,
        }
    }

    fn into_view(self) -> Option<LedgerView> {
        let last_change = Change {
            ledger_id: self.ledger_id.parse().ok()?,
            number: self.change_number,
            uuid: self.change_uuid.parse().ok()?,
        };
        let servers = self.servers.into_iter().map(|(name, identifier)| (name.into(), identifier)).collect();
        let mut view = LedgerView::remembered(last_change, parse_uuid(self.database_uuid.as_deref())?, servers);
        view.unvouched_through = self.unvouched_through;
        for placed in self.placements {
            let (app, solution, record) = placed.into_record()?;
            view.insert(app, solution, record);
        }
        for registered in self.registrations {
            let isolation = if registered.required { Isolation::Required } else { Isolation::Preferred };
            let registration =
                Registration { server: registered.server.map(Into::into), database: registered.database, isolation };
            let solution = SolutionId::parse(&registered.solution).ok()?;
            view.register(registered.app.into(), solution, registration);
        }
        Some(view)
    }
}

impl Placed {
    fn of(app: &str, solution: &SolutionId, record: &Record) -> Self {
        let dedicated = match &record.at {
            RecordedAt::System => None,
            RecordedAt::Dedicated { target, oid, uuid } => Some(Dedicated {
                server: target.server.to_string(),
                database: target.name.to_string(),
                oid: *oid,
                uuid: uuid.map(|uuid| uuid.to_string()),
            }),
        };
        Self {
            app: app.to_owned(),
            solution: solution.to_string(),
            epoch: record.epoch,
            moving: record.moving,
            change_number: record.change_number,
            released_uuid: record.released_uuid.map(|uuid| uuid.to_string()),
            update_s: seconds(record.update_time),
            dedicated,
        }
    }

    fn into_record(self) -> Option<(Arc<str>, SolutionId, Record)> {
        let at = match self.dedicated {
            None => RecordedAt::System,
            Some(dedicated) => RecordedAt::Dedicated {
                target: DatabaseTarget::new(&dedicated.server.into(), &dedicated.database),
                oid: dedicated.oid,
                uuid: parse_uuid(dedicated.uuid.as_deref())?,
            },
        };
        let record = Record {
            at,
            epoch: self.epoch,
            moving: self.moving,
            released_uuid: parse_uuid(self.released_uuid.as_deref())?,
            change_number: self.change_number,
            update_time: UNIX_EPOCH.checked_add(Duration::from_secs(self.update_s))?,
            known_since: None,
        };
        Some((self.app.into(), SolutionId::parse(&self.solution).ok()?, record))
    }
}

/// Absent is fine, malformed is not.
fn parse_uuid(text: Option<&str>) -> Option<Option<Uuid>> {
    text.map_or(Some(None), |text| text.parse().ok().map(Some))
}

fn seconds(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH).map_or(0, |age| age.as_secs())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn view(number: i64, ledger_id: u128) -> LedgerView {
        let change = Change { ledger_id: Uuid::from_u128(ledger_id), number, uuid: Uuid::from_u128(7) };
        let servers = [("main".into(), u64::MAX)].into();
        let mut view = LedgerView::remembered(change, Some(Uuid::from_u128(3)), servers);
        view.origin = Origin::Ledger;
        view.unvouched_through = 2;
        let at = RecordedAt::Dedicated {
            target: DatabaseTarget::new(&"main".into(), "djo_acme_db"),
            oid: 77,
            uuid: Some(Uuid::from_u128(5)),
        };
        let record = Record {
            at,
            epoch: 3,
            moving: false,
            released_uuid: None,
            change_number: number,
            update_time: UNIX_EPOCH + Duration::from_secs(5),
            known_since: None,
        };
        view.insert("fbs_dms".into(), SolutionId::parse("acme").unwrap(), record);
        view
    }

    #[test]
    fn what_was_saved_is_loaded() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("snapshot.json");
        assert!(save(&path, &view(4, 1)).unwrap());
        let loaded = load(&path, Duration::from_secs(60)).unwrap().unwrap();
        assert_eq!(loaded.origin, Origin::Snapshot);
        assert_eq!(loaded.placement("fbs_dms", "acme"), view(4, 1).placement("fbs_dms", "acme"));
        assert_eq!(loaded.servers["main"], u64::MAX);
        assert_eq!(loaded.unvouched_through, view(4, 1).unvouched_through, "a file vouches for nothing by itself");
    }

    #[test]
    fn a_snapshot_is_replaced_by_a_later_state_of_the_same_ledger_only() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("snapshot.json");
        assert!(save(&path, &view(4, 1)).unwrap());
        assert!(!save(&path, &view(3, 1)).unwrap());
        assert!(!save(&path, &view(9, 2)).unwrap());
        assert!(save(&path, &view(5, 1)).unwrap());
    }

    #[test]
    fn damaged_old_and_foreign_files_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("snapshot.json");
        assert!(load(&path, Duration::MAX).unwrap().is_none());
        std::fs::write(&path, "{\"format\":").unwrap();
        assert!(matches!(load(&path, Duration::MAX), Err(SnapshotError::Damaged(_))));
        assert!(save(&path, &view(4, 1)).unwrap());
        let text = std::fs::read_to_string(&path).unwrap();
        std::fs::write(&path, text.replace("\"written_s\":", "\"written_s\":1,\"x\":")).unwrap();
        assert!(matches!(load(&path, Duration::from_secs(60)), Err(SnapshotError::TooOld)));
        std::fs::write(&path, text.replace("\"format\":1", "\"format\":2")).unwrap();
        assert!(matches!(load(&path, Duration::MAX), Err(SnapshotError::Format)));
    }
}
