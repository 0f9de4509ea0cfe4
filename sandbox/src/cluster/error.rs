//! What can go wrong with a cluster.
//!
//! Owns the variants and their texts. Does not log: the caller handles, once.
//! Invariant: when a program of ours failed, the error carries the end of what it wrote, since the
//! scratch folder with the log is gone by the time anybody could look.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use crate::binaries;

/// Longest piece of a program's output that an error carries.
const TAIL_BYTES: usize = 4096;

/// Why an operation on a [`Cluster`](super::Cluster) failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No server binaries.
    #[error(transparent)]
    Binaries(#[from] binaries::Error),
    /// A file, a folder or a process could not be handled.
    #[error("cannot {operation} {}", path.display())]
    Io {
        /// What was tried, such as `create`.
        operation: &'static str,
        /// With which path.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// `initdb`, `cp` or `chown` failed.
    #[error("{program} failed: {output}")]
    Step {
        /// The program.
        program: String,
        /// End of what it wrote.
        output: String,
    },
    /// The server ended before it was ready.
    #[error("the server ended while starting: {log}")]
    Ended {
        /// End of its log.
        log: String,
    },
    /// The server did not say `ready` in time; it has been killed.
    #[error("the server is not ready after {limit_s} s: {log}")]
    NotReady {
        /// The limit in seconds.
        limit_s: u64,
        /// End of its log.
        log: String,
    },
    /// A fast shutdown did not finish in time.
    #[error("the server has not stopped after {limit_s} s")]
    NotStopped {
        /// The limit in seconds.
        limit_s: u64,
    },
    /// We are root, so the server runs as another user, and that user cannot enter the folder.
    #[error("{} is closed to the user {account} the server runs as; choose a folder outside of root's home, such as /var/lib/fbs-router", folder.display())]
    Closed {
        /// The folder.
        folder: PathBuf,
        /// Name of the server's user.
        account: String,
    },
    /// A data folder or template belongs to another major version.
    #[error("{} holds data of PostgreSQL {found}, the binaries are {expected}", folder.display())]
    OtherMajor {
        /// The folder.
        folder: PathBuf,
        /// Its major version, as in `PG_VERSION`.
        found: String,
        /// Major version of the binaries.
        expected: u32,
    },
    /// The folder holds something else than a data folder.
    #[error("{} is neither empty nor a PostgreSQL data folder", .0.display())]
    ForeignFolder(PathBuf),
    /// The operation needs a running server.
    #[error("the server is not running")]
    NotRunning,
    /// The operation needs a server that does not run.
    #[error("the server is running already")]
    Running,
    /// The connection failed.
    #[error("cannot connect to database {database}")]
    Connect {
        /// The database.
        database: String,
        /// What the driver said.
        source: tokio_postgres::Error,
    },
}

impl Error {
    /// For `map_err`: an I/O error at `path`.
    pub(super) fn io(operation: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Io { operation, path: path.to_owned(), source }
    }
}

/// End of the file at `path`, from byte `start` on; what cannot be read is empty.
pub(super) fn tail(path: &Path, start: u64) -> String {
    let bytes = fs::read(path).unwrap_or_default();
    let start = usize::try_from(start).unwrap_or(usize::MAX).max(bytes.len().saturating_sub(TAIL_BYTES));
    String::from_utf8_lossy(bytes.get(start..).unwrap_or_default()).trim().to_owned()
}
