//! The migrations themselves: numbered SQL files, compiled in.

use sha2::{Digest, Sha256};

/// The newest version of the documents schema that this build knows.
pub const DOCUMENTS_VERSION: i32 = 4;
/// The oldest version of the documents schema that this build serves.
pub const DOCUMENTS_OLDEST_SERVED: i32 = 2;
/// The newest version of the ledger that this build knows.
pub const LEDGER_VERSION: i32 = 2;
/// The oldest version of the ledger that this build serves.
pub const LEDGER_OLDEST_SERVED: i32 = 2;

/// One step of one component.
#[derive(Debug)]
pub(crate) struct Migration {
    pub(crate) version: i32,
    /// The oldest build, by the version it knows, that still works after this step.
    pub(crate) compatible_from: i32,
    pub(crate) sql: &'static str,
}

/// A part of the schema with versions of its own.
#[derive(Debug)]
pub(crate) struct Component {
    pub(crate) name: &'static str,
    pub(crate) migrations: &'static [Migration],
    pub(crate) grants: &'static str,
}

/// What every documents database holds.
pub(crate) const DOCUMENTS: Component = Component {
    name: "documents",
    migrations: &[
        Migration { version: 1, compatible_from: 1, sql: include_str!("../migrations/documents_0001.sql") },
        Migration { version: 2, compatible_from: 2, sql: include_str!("../migrations/documents_0002.sql") },
        Migration { version: 3, compatible_from: 2, sql: include_str!("../migrations/documents_0003.sql") },
        Migration { version: 4, compatible_from: 2, sql: include_str!("../migrations/documents_0004.sql") },
    ],
    grants: include_str!("../migrations/grants_documents.sql"),
};

/// What the documents app's system database holds besides.
pub(crate) const LEDGER: Component = Component {
    name: "ledger",
    migrations: &[
        Migration { version: 1, compatible_from: 1, sql: include_str!("../migrations/ledger_0001.sql") },
        Migration { version: 2, compatible_from: 1, sql: include_str!("../migrations/ledger_0002.sql") },
    ],
    grants: include_str!("../migrations/grants_ledger.sql"),
};

/// Makes the runtime role. Needs CREATEROLE, so it is printed and never applied.
pub(crate) const ROLES: &str = include_str!("../migrations/roles.sql");

impl Migration {
    /// Recorded with the version, so that an edited migration is noticed.
    pub(crate) fn checksum(&self) -> Vec<u8> {
        Sha256::digest(self.sql).to_vec()
    }
}

/// Changes whenever any migration or grant changes: the key of whatever caches a migrated database.
pub fn fingerprint() -> String {
    let mut hasher = Sha256::new();
    for component in [&DOCUMENTS, &LEDGER] {
        hasher.update(component.grants);
        for migration in component.migrations {
            hasher.update(migration.sql);
        }
    }
    hasher.update(ROLES);
    hasher.finalize().iter().take(8).map(|byte| format!("{byte:02x}")).collect()
}
