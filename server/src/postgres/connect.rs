//! Opens connections to one Postgres server, and counts them.
//!
//! Invariant: a connection holds one of its server's places from before the first packet until its socket is closed,
//! whoever holds the connection meanwhile. A few places are for connections outside the pools, so that no pool can
//! keep the catalog or the ledger from being read.

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
use deadpool_postgres::Connect;
use futures_util::future::BoxFuture;
use secrecy::{ExposeSecret, SecretString};
use tokio::{
    sync::{Notify, Semaphore},
    task::JoinHandle,
};
use tokio_postgres::{
    AsyncMessage, Client, NoTls, Socket,
    config::{SslMode, TargetSessionAttrs},
    tls::MakeTlsConnect,
};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::{
    Failure, Told,
    breaker::{Breaker, Failed},
    hosts::Hosts,
    password::{Passwords, is_wrong, read_password},
    places::Places,
    sqlstate::Scope,
    tls::{self, TlsError},
};
use crate::{
    config::{self, Tls},
    domain::{Login, ServerName},
};

/// Dead peers are noticed after this, also where the driver waits for nothing.
const TCP_USER_TIMEOUT: Duration = Duration::from_secs(10);
/// The TCP handshake alone; the pool's `create` timeout bounds the whole.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);

/// Places for connections outside the pools: the catalog's and, on its server, the ledger's.
pub(crate) const LONE: usize = 2;
/// Connections that are being made at once, for the pools: each costs the server a process, and a look around.
const MAKING: usize = 8;

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

/// Connects to one database of a server; what deadpool calls.
#[derive(Debug)]
pub struct Connector {
    server: Arc<PostgresServer>,
    login: Login,
}

/// A connection outside the pools. Dropped, its socket is closed at once, also while an answer is outstanding: a
/// reading that took too long must not keep its place in the server's budget.
#[derive(Debug)]
pub struct LoneClient {
    client: Client,
    task: JoinHandle<()>,
    retired: Arc<AtomicU64>,
    /// As it was when it was opened.
    retired_before: u64,
}

/// What arrives on a connection besides answers.
pub type Notices = tokio::sync::mpsc::UnboundedReceiver<()>;

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
            making: Semaphore::new(MAKING),
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

    /// Opens one connection to `database`, on which no statement takes longer than `limit`. The caller bounds the time.
    pub async fn connect(&self, database: &str, limit: Duration) -> Result<LoneClient, tokio_postgres::Error> {
        self.open_alone(database, limit, None).await
    }

    /// As [`Self::connect`], and says when a notification arrives; the channel ends with the connection.
    pub async fn connect_listening(
        &self,
        database: &str,
        limit: Duration,
    ) -> Result<(LoneClient, Notices), tokio_postgres::Error> {
        let (sender, receiver) = tokio::sync::mpsc::unbounded_channel();
        Ok((self.open_alone(database, limit, Some(sender)).await?, receiver))
    }

    async fn open_alone(
        &self,
        database: &str,
        limit: Duration,
        notices: Option<tokio::sync::mpsc::UnboundedSender<()>>,
    ) -> Result<LoneClient, tokio_postgres::Error> {
        let config = self.prepared(&self.lone_config, database, &Login::Runtime);
        let place = Arc::clone(&self.lone_places).acquire_owned().await.ok();
        let (retired, retired_before) = (Arc::clone(&self.retired), self.retired.load(Ordering::Relaxed));
        let opened = self.open(&config, &Login::Runtime, &self.lone_hosts, place, notices).await;
        let (client, task) = opened.inspect_err(|error| self.judge(error))?;
        if !self.pooler {
            self.breaker.succeeded();
        }
        let client = LoneClient { client, task, retired, retired_before };
        // The connection is nobody else's, so this holds for the whole of it: a backend that waits for a lock ends too.
        client.batch_execute(&format!("SET statement_timeout = {}", limit.as_millis())).await?;
        Ok(client)
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

    /// The server did not answer in time: nobody needs to find that out for himself.
    pub fn fell_silent(&self) {
        if !self.pooler {
            self.breaker.failed(Failed::new(Failure::Unavailable, Silent));
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
    fn judge(&self, error: &tokio_postgres::Error) {
        if !self.pooler && Scope::of(error) == Scope::Server {
            self.breaker.failed(Failed::new(Failure::Unavailable, Told::of(error)));
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

    /// Opens a pooled connection, when there is a place for it.
    async fn open_pooled(
        &self,
        config: &tokio_postgres::Config,
        login: &Login,
    ) -> Result<(Client, JoinHandle<()>), tokio_postgres::Error> {
        let place = match self.places.try_take() {
            Some(place) => Some(place),
            None => {
                let _waiting = Counted::new(&self.waiting);
                self.starved.notify_one();
                self.places.take().await
            }
        };
        let _half_made = Counted::new(&self.half_made);
        let _making = self.making.acquire().await;
        self.open(config, login, &self.hosts, place, None).await
    }

    /// Opens a connection with the password that the server takes.
    async fn open<P: Send + 'static>(
        &self,
        config: &tokio_postgres::Config,
        login: &Login,
        hosts: &Hosts,
        mut place: Option<P>,
        notices: Option<tokio::sync::mpsc::UnboundedSender<()>>,
    ) -> Result<(Client, JoinHandle<()>), tokio_postgres::Error> {
        self.opened.fetch_add(1, Ordering::Relaxed);
        if let Login::Own { .. } = login {
            let password = own_password(login).await;
            return self.dial(config, hosts, password.as_ref(), &mut place, &notices).await;
        }
        let passwords = self.passwords.load_full();
        let refused = match self.dial(config, hosts, passwords.now(), &mut place, &notices).await {
            Err(error) if is_wrong(&error) => error,
            outcome => return outcome,
        };
        let others = passwords.others().await;
        for other in &others {
            match self.dial(config, hosts, Some(other), &mut place, &notices).await {
                Err(error) if is_wrong(&error) => {}
                outcome => {
                    if outcome.is_ok() {
                        passwords.tell(&self.name);
                    }
                    return outcome;
                }
            }
        }
        // The role may have got this one while the others were tried.
        if !others.is_empty() {
            return self.dial(config, hosts, passwords.now(), &mut place, &notices).await;
        }
        Err(refused)
    }

    /// Asks one host after the other, until one is the primary. Of those that refuse, the first that said why is told.
    async fn dial<P: Send + 'static>(
        &self,
        config: &tokio_postgres::Config,
        hosts: &Hosts,
        password: Option<&SecretString>,
        place: &mut Option<P>,
        notices: &Option<tokio::sync::mpsc::UnboundedSender<()>>,
    ) -> Result<(Client, JoinHandle<()>), tokio_postgres::Error> {
        let mut config = config.clone();
        if let Some(password) = password {
            config.password(password.expose_secret());
        }
        let mut refused: Option<tokio_postgres::Error> = None;
        for asked in hosts.in_turn() {
            let config = asked.config(&config);
            let opened = match &self.tls {
                Some(tls) => drive(&config, tls.clone(), place, notices.clone()).await,
                None => drive(&config, NoTls, place, notices.clone()).await,
            };
            match opened {
                Ok(opened) => {
                    asked.accept();
                    return Ok(opened);
                }
                Err(error) => {
                    self.count_failure(&error);
                    if refused.as_ref().is_none_or(|before| before.code().is_none()) {
                        refused = Some(error);
                    }
                }
            }
        }
        match refused {
            Some(error) => Err(error),
            None => unreachable!("there is a host"),
        }
    }

    /// Of an SQLSTATE the class: a handful, whatever happens.
    fn count_failure(&self, error: &tokio_postgres::Error) {
        let class = error.code().and_then(|state| state.code().get(..2)).unwrap_or("none");
        let mut failures = self.failures.lock().unwrap_or_else(PoisonError::into_inner);
        *failures.entry(class.to_owned()).or_default() += 1;
    }
}

/// The server, or the way to it, is frozen.
#[derive(Debug, thiserror::Error)]
#[error("the server did not answer in time")]
struct Silent;

#[expect(clippy::disallowed_methods, reason = "this is where connections are made")]
async fn drive<T, P>(
    config: &tokio_postgres::Config,
    tls: T,
    place: &mut Option<P>,
    notices: Option<tokio::sync::mpsc::UnboundedSender<()>>,
) -> Result<(Client, JoinHandle<()>), tokio_postgres::Error>
where
    P: Send + 'static,
    T: MakeTlsConnect<Socket> + Send + 'static,
    T::Stream: Send + 'static,
    T::TlsConnect: Send,
    <T::TlsConnect as tokio_postgres::tls::TlsConnect<Socket>>::Future: Send,
{
    let (client, mut connection) = config.connect(tls).await?;
    let place = place.take();
    let task = tokio::spawn(async move {
        let _place = place;
        while let Some(message) = std::future::poll_fn(|context| connection.poll_message(context)).await {
            match (message, &notices) {
                (Ok(AsyncMessage::Notification(_)), Some(notices)) => {
                    if notices.send(()).is_err() {
                        break;
                    }
                }
                (Ok(_), _) => {}
                (Err(error), _) => {
                    tracing::debug!(error = %Told::of(&error), "postgres connection ended");
                    break;
                }
            }
        }
    });
    Ok((client, task))
}

/// One more, until it is dropped.
struct Counted<'c>(&'c AtomicUsize);

impl<'c> Counted<'c> {
    fn new(count: &'c AtomicUsize) -> Self {
        count.fetch_add(1, Ordering::SeqCst);
        Self(count)
    }
}

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

impl fmt::Debug for PostgresServer {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("PostgresServer").field("name", &self.name).finish_non_exhaustive()
    }
}

// === impl LoneClient ===

impl LoneClient {
    /// True if it must not be used any more: it ended, or leads to what is no primary any more.
    pub fn is_closed(&self) -> bool {
        self.client.is_closed() || self.retired.load(Ordering::Relaxed) != self.retired_before
    }
}

impl std::ops::Deref for LoneClient {
    type Target = Client;

    fn deref(&self) -> &Client {
        &self.client
    }
}

impl std::ops::DerefMut for LoneClient {
    fn deref_mut(&mut self) -> &mut Client {
        &mut self.client
    }
}

impl Drop for LoneClient {
    fn drop(&mut self) {
        self.task.abort();
    }
}

// === impl Connector ===

impl Connector {
    pub(super) fn new(server: Arc<PostgresServer>, login: Login) -> Self {
        Self { server, login }
    }
}

impl Connect for Connector {
    fn connect(
        &self,
        config: &tokio_postgres::Config,
    ) -> BoxFuture<'_, Result<(Client, JoinHandle<()>), tokio_postgres::Error>> {
        let config = config.clone();
        Box::pin(async move { self.server.open_pooled(&config, &self.login).await })
    }
}

/// A solution's own role's. Read each time anew, so that it is changed without a restart.
async fn own_password(login: &Login) -> Option<SecretString> {
    let file = login.password_file()?;
    // Postgres will say that it wanted one.
    let told =
        |error: &std::io::Error| tracing::error!(file = %file.display(), %error, "a role's password cannot be read");
    read_password(&file).await.inspect_err(told).ok()
}
