//! Every setting: its unit, bound, default and reason.
//!
//! A file in TOML, overridden by environment variables (`FBS_ROUTER_POOL__MAX_SIZE=20` is `pool.max_size`), overridden
//! by `--set pool.max_size=20`. Nothing here is about one solution: that is the ledger's. All mistakes are reported
//! at once, each with its place and reason.
//!
//! Invariant: a [`Config`] that exists is consistent; components get their own part of it.

mod apps;
mod callers;
mod changes;
mod read;
mod server;
mod transport;

use std::{
    cell::RefCell,
    fmt,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use self::{
    apps::{check_apps, check_servers, default_apps, read_app},
    read::{Section, overlay},
};
pub use self::{
    callers::{Callers, Directory, TOKEN_PREFIX},
    changes::Change,
    server::{Server, Tls},
    transport::{Limits, Listen, ListenTls},
};
use crate::domain::{App, Naming};

/// Everything `serve` needs to know.
#[derive(Debug)]
pub struct Config {
    /// `[listen]`
    pub listen: Listen,
    /// `[[server]]`
    pub servers: Vec<Server>,
    /// `[[app]]` and `[documents] app`
    pub naming: Arc<Naming>,
    /// `[routing]`
    pub routing: Routing,
    /// `[ledger]`
    pub ledger: Ledger,
    /// `[pool]`
    pub pool: Pool,
    /// `[deadline]`
    pub deadline: DeadlineLimits,
    /// `[limits]`
    pub limits: Limits,
    /// `[moving]`
    pub moving: Moving,
    /// `[documents]`
    pub documents: Documents,
    /// `[tokens]`
    pub tokens: Tokens,
    /// `[callers]`; none: nobody is authenticated, and everybody is admin.
    pub callers: Option<Callers>,
    /// `[drain]`
    pub drain: Drain,
    /// All keys as they were given, to be compared with those of another time.
    keys: toml::Table,
}

/// Whether a solution without a database of its own may be served.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Isolation {
    /// Dedicated if there is one, else the system database.
    Preferred,
    /// Never the system database.
    Required,
}

/// Whether a solution that the ledger does not know may use the system database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unregistered {
    /// It may.
    System,
    /// It is refused: `SOLUTION_NOT_FOUND`.
    Refuse,
}

/// How routes are found.
#[derive(Debug, Clone)]
pub struct Routing {
    /// The default; a registration decides for one solution.
    pub isolation: Isolation,
    /// What happens to solutions without a ledger record and without a database of their own.
    pub unregistered: Unregistered,
    /// Time between two scans of a server's catalog: how soon a new database is noticed for a recorded solution.
    pub scan_interval: Duration,
    /// Longest one scan, or one reading of the ledger, may take.
    pub scan_timeout: Duration,
    /// Longest a reading call may rely on an absence seen before. Writes never do.
    pub absence_ttl: Duration,
    /// How long callers may keep a route.
    pub cache_ttl: Duration,
}

/// The ledger.
#[derive(Debug, Clone)]
pub struct Ledger {
    /// Copy of the ledger that carries dedicated solutions over a restart while the ledger is down; none: no copy.
    pub snapshot: Option<PathBuf>,
    /// Older snapshots are not used.
    pub snapshot_max_age: Duration,
    /// Time between two readings when no notification comes; the notification is only a hint.
    pub poll_interval: Duration,
}

/// Connections to one database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pool {
    /// Connections per database for documents.
    pub max_size: usize,
    /// Connections per solution: what one of those that share a system database can take of it.
    pub max_per_solution: usize,
    /// Callers of one solution who wait for a connection: more are told at once that it is too much.
    pub max_waiting: usize,
    /// Longest wait for a free connection; shorter than callers' patience, so that they learn "full" from us.
    pub wait: Duration,
    /// Longest time to connect: TCP, TLS, authentication, proof.
    pub create: Duration,
    /// Longest check whether a connection of a database that was silent for a second still leads there. More than a round trip
    /// of the slowest link.
    pub recycle: Duration,
    /// An idle connection is closed after this: cold solutions cost no connection.
    pub idle: Duration,
    /// A connection is closed after this, idle or not: what it proved when it was opened may hold no more. A look at what
    /// keeps solutions apart is no older either.
    pub lifetime: Duration,
}

/// How long calls may take.
#[derive(Debug, Clone)]
pub struct DeadlineLimits {
    /// For calls that bring no `grpc-timeout`.
    pub default: Duration,
    /// Longer wishes are cut to this.
    pub max: Duration,
    /// Uploads and downloads take as long as they take, while frames come; this is the longest, asked for or not.
    pub transfer: Duration,
}

/// Moves of solutions.
#[derive(Debug, Clone)]
pub struct Moving {
    /// Solutions with more rows are not moved: they would be held for too long.
    pub max_rows: i64,
    /// Longest a move may hold a solution before its commit point; then it is taken back.
    pub max_frozen: Duration,
    /// A move that gave no sign of life for so long is taken back by whichever router notices.
    pub stale_after: Duration,
    /// Longest one step may take, but for the comparison: as `deadline.default`.
    pub step: Duration,
}

/// Documents.
#[derive(Debug, Clone)]
pub struct Documents {
    /// A deleted document can be taken back for this long.
    pub purge_after: Duration,
    /// How long a `request_id` is remembered.
    pub request_id_ttl: Duration,
    /// Their files.
    pub content: Content,
}

/// Content of documents.
#[derive(Debug, Clone)]
pub struct Content {
    /// Largest file, in bytes; a document type may ask for less.
    pub max_bytes: u64,
    /// Longest a transfer waits for its caller between two frames: whoever falls silent gives up his place.
    pub idle: Duration,
    /// Longest transfer, as `deadline.transfer`.
    pub transfer: Duration,
    /// Longest one step of a transfer may take in the database: as `deadline.default`.
    pub step: Duration,
}

/// Page tokens.
#[derive(Debug, Clone)]
pub struct Tokens {
    /// One or two lines of 64 hexadecimal digits; the first signs, both are accepted. None: made at start, so that
    /// tokens end with the process and differ between replicas.
    pub key_file: Option<PathBuf>,
}

/// How the service ends.
#[derive(Debug, Clone)]
pub struct Drain {
    /// Time between "not ready" and closing the listener, for load balancers to notice.
    pub wait: Duration,
    /// Longest time for calls in flight.
    pub limit: Duration,
}

/// All that is wrong with a configuration.
#[derive(Debug, PartialEq, Eq)]
pub struct ConfigErrors(pub Vec<String>);

impl fmt::Display for ConfigErrors {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, problem) in self.0.iter().enumerate() {
            if index > 0 {
                writeln!(formatter)?;
            }
            write!(formatter, "{problem}")?;
        }
        Ok(())
    }
}

impl std::error::Error for ConfigErrors {}

const SECOND: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_secs(3_600);
const DAY: Duration = Duration::from_secs(86_400);
const MILLISECOND: Duration = Duration::from_millis(1);

impl Config {
    /// Reads the file, the environment, and `settings` of the form `pool.max_size=20`.
    pub fn load(
        path: &Path,
        environment: impl IntoIterator<Item = (String, String)>,
        settings: &[String],
    ) -> Result<Self, ConfigErrors> {
        let text = std::fs::read_to_string(path)
            .map_err(|error| ConfigErrors(vec![format!("{}: cannot be read: {error}", path.display())]))?;
        Self::parse(&text, path, environment, settings)
    }

    /// As [`Self::load`], for text that has been read from `path`.
    pub fn parse(
        text: &str,
        path: &Path,
        environment: impl IntoIterator<Item = (String, String)>,
        settings: &[String],
    ) -> Result<Self, ConfigErrors> {
        let mut table: toml::Table =
            toml::from_str(text).map_err(|error| ConfigErrors(vec![not_toml(path, text, &error)]))?;
        let found = RefCell::new(Vec::new());
        overlay(&mut table, environment, settings, &found);
        let keys = table.clone();
        let mut root = Section::root(table, &found);

        let listen = Listen::read(root.section("listen"));
        let servers: Vec<Server> = root.sections("server").into_iter().map(Server::read).collect();
        let default_server = servers.first().map_or_else(|| "main".into(), |server| server.name.clone());
        let apps: Vec<App> =
            root.sections("app").into_iter().map(|section| read_app(section, &default_server)).collect();
        let routing = Routing::read(root.section("routing"));
        let ledger = Ledger::read(root.section("ledger"), path);
        let pool = Pool::read(root.section("pool"));
        let deadline = DeadlineLimits::read(root.section("deadline"));
        let limits = Limits::read(root.section("limits"));
        let moving = Moving::read(root.section("moving"), &deadline);
        let (documents_app, documents) = Documents::read(root.section("documents"), &deadline);
        let tokens = Tokens::read(root.section("tokens"));
        let callers = Callers::read(&mut root);
        let drain = Drain::read(root.section("drain"));
        root.finish();

        let mut problems = found.into_inner();
        let apps = if apps.is_empty() { default_apps(&default_server) } else { apps };
        check_servers(&servers, &mut problems);
        let naming = check_apps(apps, &documents_app, &servers, &mut problems);
        if let (Some(callers), Some(naming)) = (&callers, &naming)
            && let Err(ConfigErrors(found)) = Directory::load(&callers.file, naming)
        {
            problems.extend(found);
        }
        if pool.wait + pool.create > deadline.max {
            problems
                .push("pool: wait and create together exceed deadline.max, so no call could ever see them pass".into());
        }
        if deadline.default > deadline.max {
            problems.push("deadline.default: must not exceed deadline.max".into());
        }
        match naming {
            Some(naming) if problems.is_empty() => {
                let naming = Arc::new(naming);
                Ok(Self {
                    listen,
                    servers,
                    naming,
                    routing,
                    ledger,
                    pool,
                    deadline,
                    limits,
                    moving,
                    documents,
                    tokens,
                    callers,
                    drain,
                    keys,
                })
            }
            _ => Err(ConfigErrors(problems)),
        }
    }
}

impl Config {
    /// Whether callers have to show who they are. If not, whoever reaches the service is admin of every solution.
    pub fn authenticated(&self) -> bool {
        self.callers.is_some()
    }
}

/// What is wrong and on which line, without the line itself: a password may stand there.
fn not_toml(path: &Path, text: &str, error: &toml::de::Error) -> String {
    let begin = error.span().map_or(0, |span| span.start);
    let line = text.bytes().take(begin).filter(|byte| *byte == b'\n').count() + 1;
    format!("{}: not TOML: line {line}: {}", path.display(), error.message())
}

impl Content {
    /// How long the rows of an upload stay that nobody goes on with: longer than any transfer may take.
    pub fn kept(&self) -> Duration {
        self.transfer.max(HOUR)
    }
}

impl Routing {
    fn read(mut section: Section<'_>) -> Self {
        let this = Self {
            isolation: section
                .word("isolation", &[("preferred", Isolation::Preferred), ("required", Isolation::Required)])
                .unwrap_or(Isolation::Preferred),
            unregistered: section
                .word("unregistered", &[("system", Unregistered::System), ("refuse", Unregistered::Refuse)])
                .unwrap_or(Unregistered::System),
            scan_interval: section.duration("scan_interval", 5 * SECOND, 100 * MILLISECOND..=HOUR),
            scan_timeout: section.duration("scan_timeout", 3 * SECOND, 100 * MILLISECOND..=60 * SECOND),
            absence_ttl: section.duration("absence_ttl", SECOND, Duration::ZERO..=60 * SECOND),
            cache_ttl: section.duration("cache_ttl", 5 * SECOND, Duration::ZERO..=HOUR),
        };
        section.finish();
        this
    }
}

impl Ledger {
    fn read(mut section: Section<'_>, config: &Path) -> Self {
        let snapshot = section.text("snapshot");
        let this = Self {
            snapshot: match snapshot {
                Some(path) if path.is_empty() => None,
                Some(path) => Some(PathBuf::from(path)),
                None => Some(config.with_extension("snapshot.json")),
            },
            snapshot_max_age: section.duration("snapshot_max_age", DAY, SECOND..=30 * DAY),
            poll_interval: section.duration("poll_interval", SECOND, 100 * MILLISECOND..=60 * SECOND),
        };
        section.finish();
        this
    }
}

impl Pool {
    fn read(mut section: Section<'_>) -> Self {
        let this = Self {
            max_size: section.integer("max_size", 16, 1..=1_000),
            max_per_solution: section.integer("max_per_solution", 8, 1..=1_000),
            max_waiting: section.integer("max_waiting", 256, 1..=100_000),
            wait: section.duration("wait", SECOND, MILLISECOND..=60 * SECOND),
            create: section.duration("create", 3 * SECOND, MILLISECOND..=60 * SECOND),
            recycle: section.duration("recycle", SECOND, MILLISECOND..=60 * SECOND),
            idle: section.duration("idle", 60 * SECOND, 100 * MILLISECOND..=DAY),
            lifetime: section.duration("lifetime", 10 * 60 * SECOND, SECOND..=DAY),
        };
        section.finish();
        this
    }
}

impl DeadlineLimits {
    fn read(mut section: Section<'_>) -> Self {
        let this = Self {
            default: section.duration("default", 10 * SECOND, 10 * MILLISECOND..=HOUR),
            max: section.duration("max", 30 * SECOND, 10 * MILLISECOND..=HOUR),
            transfer: section.duration("transfer", HOUR, SECOND..=DAY),
        };
        section.finish();
        this
    }
}

impl Moving {
    fn read(mut section: Section<'_>, deadline: &DeadlineLimits) -> Self {
        let this = Self {
            max_rows: section.integer("max_rows", 100_000, 1..=100_000_000),
            max_frozen: section.duration("max_frozen", 120 * SECOND, SECOND..=HOUR),
            stale_after: section.duration("stale_after", 30 * SECOND, SECOND..=HOUR),
            step: deadline.default,
        };
        section.finish();
        this
    }

    /// How often a move gives a sign of life.
    pub fn alive_interval(&self) -> Duration {
        self.stale_after / 10
    }
}

impl Documents {
    fn read(mut section: Section<'_>, deadline: &DeadlineLimits) -> (String, Self) {
        let app = section.text("app").unwrap_or_else(|| "fbs_dms".to_owned());
        let this = Self {
            purge_after: section.duration("purge_after", 30 * DAY, SECOND..=3_650 * DAY),
            request_id_ttl: section.duration("request_id_ttl", DAY, SECOND..=30 * DAY),
            content: Content {
                max_bytes: section.integer("content_max_bytes", 1 << 30, 1..=1 << 40),
                idle: section.duration("content_idle", 30 * SECOND, 100 * MILLISECOND..=600 * SECOND),
                transfer: deadline.transfer,
                step: deadline.default,
            },
        };
        section.finish();
        (app, this)
    }
}

impl Tokens {
    fn read(mut section: Section<'_>) -> Self {
        let this = Self { key_file: section.text("key_file").map(PathBuf::from) };
        section.finish();
        this
    }
}

impl Drain {
    fn read(mut section: Section<'_>) -> Self {
        let this = Self {
            wait: section.duration("wait", 2 * SECOND, Duration::ZERO..=120 * SECOND),
            limit: section.duration("limit", 20 * SECOND, Duration::ZERO..=600 * SECOND),
        };
        section.finish();
        this
    }
}

#[cfg(test)]
mod tests;
