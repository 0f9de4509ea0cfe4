//! One Postgres server as this process reaches it, and the count of connections to it.
//!
//! Invariant: a connection holds one of its server's places from before the first packet until its socket is closed,
//! whoever holds the connection meanwhile. A few places are for connections outside the pools, so that no pool can
//! keep the catalog or the ledger from being read.

mod dial;
mod lone;

use std::{
    collections::BTreeMap,
    fmt,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};

use arc_swap::ArcSwap;
use tokio::sync::{Notify, Semaphore};
use tokio_postgres::config::{SslMode, TargetSessionAttrs};
use tokio_postgres_rustls::MakeRustlsConnect;

pub(super) use self::dial::Connector;
pub use self::lone::LoneClient;
use super::{
    Failure, Told,
    breaker::{Breaker, Failed, Leave},
    hosts::Hosts,
    password::Passwords,
    places::Places,
    sqlstate::Scope,
    tls::{self, TlsError},
};
use crate::{
    config::{self, Tls},
    domain::{Error, Login, ServerName, error::Cause},
};

/// Dead peers are noticed after this, also where the driver waits for nothing.
const TCP_USER_TIMEOUT: Duration = Duration::from_secs(10);
/// The TCP handshake alone; the pool's `create` timeout bounds the whole.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);

/// Places for connections outside the pools: the catalog's and, on its server, the ledger's.
pub(crate) const LONE: usize = 2;

/// With less room than this, somebody else may be waiting for what we keep idle.
const SHORT: i64 = 2;

/// A Postgres server as this process reaches it.
pub struct PostgresServer {
    /// As the configuration calls it.
    pub name: ServerName,
    /// Told to callers: one, or one of each host.
    advertised: Vec<(String, u16)>,
    /// From which the catalog is read.
    pub catalog_database: String,
    config: tokio_postgres::Config,
    hosts: Hosts,
    /// For connections outside the pools, which lead to Postgres itself.
    lone_config: tokio_postgres::Config,
    lone_hosts: Hosts,
    /// How often it was found that another host has become the primary.
    retired: Arc<AtomicU64>,
    /// True if the pools' connections lead to a pooler.
    pooler: bool,
    /// The runtime role's. In neither of them: no other role is ever sent them.
    passwords: ArcSwap<Passwords>,
    tls: Option<MakeRustlsConnect>,
    places: Arc<Places>,
    lone_places: Arc<Semaphore>,
    making: Semaphore,
    /// Places whose connections are not open yet.
    half_made: AtomicUsize,
    failures: Mutex<BTreeMap<String, u64>>,
    /// Whether it is out of reach.
    pub(super) breaker: Arc<Breaker>,
    waiting: AtomicUsize,
    starved: Notify,
    short: Notify,
    opened: AtomicU64,
}

// === impl PostgresServer ===

impl PostgresServer {
    /// Prepares connections as configured; opens none.
    pub fn new(settings: &config::Server) -> Result<Self, TlsError> {
        let (ssl_mode, tls) = match &settings.tls {
            Tls::VerifyFull { ca_file } => (SslMode::Require, Some(tls::connector(ca_file.as_deref())?)),
            Tls::Disable => (SslMode::Disable, None),
        };
        let prepared = |connection: &tokio_postgres::Config| {
            let mut config = connection.clone();
            config
                .application_name("fbs-router")
                .connect_timeout(CONNECT_TIMEOUT)
                .tcp_user_timeout(TCP_USER_TIMEOUT)
                .keepalives_idle(Duration::from_secs(30))
                .target_session_attrs(TargetSessionAttrs::Any)
                .ssl_mode(ssl_mode);
            config
        };
        Ok(Self {
            name: settings.name.clone(),
            advertised: settings.advertised.clone(),
            catalog_database: settings.catalog_database.clone(),
            config: prepared(&settings.connection),
            hosts: Hosts::of(&settings.connection),
            lone_config: prepared(&settings.catalog_connection),
            lone_hosts: Hosts::of(&settings.catalog_connection),
            retired: Arc::default(),
            pooler: settings.pooler,
            passwords: ArcSwap::from_pointee(Passwords::new(settings)),
            tls,
            places: Places::new(settings.max_connections - LONE),
            lone_places: Arc::new(Semaphore::new(LONE)),
            making: Semaphore::new(dial::MAKING),
            half_made: AtomicUsize::new(0),
            failures: Mutex::default(),
            breaker: Arc::default(),
            waiting: AtomicUsize::new(0),
            starved: Notify::new(),
            short: Notify::new(),
            opened: AtomicU64::new(0),
        })
    }

    /// Takes another password of the runtime role, for connections from here on.
    pub fn set_password(&self, settings: &config::Server) {
        let next = self.passwords.load().followed_by(settings);
        self.passwords.store(Arc::new(next));
    }

    /// What deadpool is given for `database`. Passwords come when a connection is opened.
    pub(super) fn pool_config(&self, database: &str, login: &Login) -> tokio_postgres::Config {
        self.prepared(&self.config, database, login)
    }

    fn prepared(&self, config: &tokio_postgres::Config, database: &str, login: &Login) -> tokio_postgres::Config {
        let mut config = config.clone();
        config.dbname(database);
        if let Login::Own { role, .. } = login {
            config.user(&**role);
        }
        config
    }

    /// Host and port that callers are told: those of the primary, as far as we know.
    pub fn advertised(&self) -> (&str, u16) {
        let told = self.advertised.get(self.hosts.primary()).or(self.advertised.first());
        told.map_or(("", 0), |(host, port)| (host, *port))
    }

    /// True if another host than the one that answers may have become the primary.
    pub fn has_several_hosts(&self) -> bool {
        self.hosts.are_several() || self.lone_hosts.are_several()
    }

    /// What was the primary is none any more: what is open outside the pools is not used again.
    pub(super) fn retire(&self) {
        self.retired.fetch_add(1, Ordering::Relaxed);
    }

    /// True if the pools' connections lead to a pooler: each transaction may be on another connection to Postgres, and
    /// in another database than the one before.
    pub(super) fn is_pooler(&self) -> bool {
        self.pooler
    }

    /// Places for pooled connections.
    pub(super) fn most(&self) -> usize {
        self.places.most()
    }

    /// Another limit of connections. Those too many are closed as they come back.
    pub fn set_max_connections(&self, max_connections: usize) {
        self.places.set_most(max_connections - LONE);
    }

    /// Pooled connections more than there may be, after the limit was lowered.
    pub(super) fn surplus(&self) -> usize {
        self.places.surplus()
    }

    /// True if no further pooled connection may be opened now.
    pub(super) fn is_full(&self) -> bool {
        self.places.is_full()
    }

    /// Pooled connections open, being opened or being closed.
    pub(super) fn pooled(&self) -> usize {
        self.places.taken()
    }

    /// Connections open or being opened.
    pub fn connections(&self) -> usize {
        self.pooled() + LONE - self.lone_places.available_permits()
    }

    /// Connections that could not be opened since the start, by class of SQLSTATE; `none`: Postgres did not answer.
    pub fn failures(&self) -> BTreeMap<String, u64> {
        self.failures.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Places of connections that are being closed, where the pools have `size`.
    pub(super) fn closing(&self, size: usize) -> usize {
        self.pooled().saturating_sub(size + self.half_made.load(Ordering::SeqCst))
    }

    /// Something begins to be asked, whatever failed before.
    pub fn ask(&self) -> Leave {
        self.breaker.leave_anyway()
    }

    /// The server did not answer in time: nobody needs to find that out for himself.
    pub fn fell_silent(&self, asked: Leave) {
        if !self.pooler {
            asked.failed(Failed::silent(Silent));
        }
    }

    /// The server has room for so many connections more, of whichever router.
    pub fn has_room_for(&self, connections: i64) {
        if connections < SHORT {
            self.short.notify_one();
        }
    }

    /// Waits until the server is short of room.
    pub(super) async fn is_short(&self) {
        self.short.notified().await;
    }

    /// Tells the breaker what a failed connection says of the server. One to Postgres itself says nothing of a pooler.
    fn judge(&self, asked: Leave, error: &tokio_postgres::Error) {
        if !self.pooler && Scope::of(error) == Scope::Server {
            let cause = Some(Cause::new(Told::of(error)));
            asked.failed(Failed::new(Failure::Unavailable, Error::DatabaseUnavailable { cause }));
        }
    }

    /// Connections opened since the start.
    pub fn opened(&self) -> u64 {
        self.opened.load(Ordering::Relaxed)
    }

    /// Waits until somebody waits for a place, and tells how many do.
    pub(super) async fn starved(&self) -> usize {
        loop {
            match self.waiting.load(Ordering::SeqCst) {
                0 => self.starved.notified().await,
                waiting => return waiting,
            }
        }
    }
}

/// The server, or the way to it, is frozen.
#[derive(Debug, thiserror::Error)]
#[error("the server did not answer in time")]
struct Silent;

impl fmt::Debug for PostgresServer {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("PostgresServer").field("name", &self.name).finish_non_exhaustive()
    }
}
