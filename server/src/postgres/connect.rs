//! Opens connections to one Postgres server, and counts them.
//!
//! Invariant: a connection holds one permit of its server's budget from before the first packet until its socket
//! is closed, whoever holds the connection meanwhile.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};

use deadpool_postgres::Connect;
use futures_util::future::BoxFuture;
use secrecy::{ExposeSecret, SecretString};
use tokio::{
    sync::{Notify, OwnedSemaphorePermit, Semaphore},
    task::JoinHandle,
};
use tokio_postgres::{
    AsyncMessage, Client, NoTls, Socket,
    config::{SslMode, TargetSessionAttrs},
    tls::MakeTlsConnect,
};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::{
    Told,
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

/// A Postgres server as this process reaches it.
pub struct PostgresServer {
    /// As the configuration calls it.
    pub name: ServerName,
    /// Told to callers.
    pub advertised_host: String,
    /// Told to callers.
    pub advertised_port: u16,
    /// From which the catalog is read.
    pub catalog_database: String,
    config: tokio_postgres::Config,
    /// The runtime role's. Not in `config`: no other role is ever sent it.
    password: Option<SecretString>,
    tls: Option<MakeRustlsConnect>,
    budget: Arc<Semaphore>,
    budget_size: usize,
    waiting: AtomicUsize,
    starved: Notify,
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
}

/// What arrives on a connection besides answers.
pub type Notices = tokio::sync::mpsc::UnboundedReceiver<()>;

// === impl PostgresServer ===

impl PostgresServer {
    /// Prepares connections as configured; opens none.
    pub fn new(settings: &config::Server) -> Result<Self, TlsError> {
        let mut config = settings.connection.clone();
        config
            .application_name("fbs-router")
            .connect_timeout(CONNECT_TIMEOUT)
            .tcp_user_timeout(TCP_USER_TIMEOUT)
            .keepalives_idle(Duration::from_secs(30))
            .target_session_attrs(TargetSessionAttrs::Any);
        let tls = match &settings.tls {
            Tls::VerifyFull { ca_file } => {
                config.ssl_mode(SslMode::Require);
                Some(tls::connector(ca_file.as_deref())?)
            }
            Tls::Disable => {
                config.ssl_mode(SslMode::Disable);
                None
            }
        };
        Ok(Self {
            name: settings.name.clone(),
            advertised_host: settings.advertised_host.clone(),
            advertised_port: settings.advertised_port,
            catalog_database: settings.catalog_database.clone(),
            config,
            password: settings.password.clone(),
            tls,
            budget: Arc::new(Semaphore::new(settings.max_connections)),
            budget_size: settings.max_connections,
            waiting: AtomicUsize::new(0),
            starved: Notify::new(),
            opened: AtomicU64::new(0),
        })
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
        let config = self.pool_config(database, &Login::Runtime);
        let (client, task) = self.open(&config, notices).await?;
        let client = LoneClient { client, task };
        // The connection is nobody else's, so this holds for the whole of it: a backend that waits for a lock ends too.
        client.batch_execute(&format!("SET statement_timeout = {}", limit.as_millis())).await?;
        Ok(client)
    }

    /// What deadpool is given for `database`. A solution's own password is read when a connection is opened.
    pub(super) fn pool_config(&self, database: &str, login: &Login) -> tokio_postgres::Config {
        let mut config = self.config.clone();
        config.dbname(database);
        match login {
            Login::Runtime => {
                if let Some(password) = &self.password {
                    config.password(password.expose_secret());
                }
            }
            Login::Own { role, .. } => {
                config.user(&**role);
            }
        }
        config
    }

    /// True if no further connection may be opened now.
    pub fn budget_exhausted(&self) -> bool {
        self.budget.available_permits() == 0
    }

    /// Connections open or being opened.
    pub fn connections(&self) -> usize {
        self.budget_size - self.budget.available_permits()
    }

    /// Connections opened since the start.
    pub fn opened(&self) -> u64 {
        self.opened.load(Ordering::Relaxed)
    }

    /// Waits until somebody waits for the budget, and tells how many do.
    pub(super) async fn starved(&self) -> usize {
        loop {
            match self.waiting.load(Ordering::SeqCst) {
                0 => self.starved.notified().await,
                waiting => return waiting,
            }
        }
    }

    /// A permit of the budget. None only if that was closed, which it never is.
    async fn permit(&self) -> Option<OwnedSemaphorePermit> {
        if let Ok(permit) = Arc::clone(&self.budget).try_acquire_owned() {
            return Some(permit);
        }
        let _waiting = Waiting::new(self);
        Arc::clone(&self.budget).acquire_owned().await.ok()
    }

    async fn open(
        &self,
        config: &tokio_postgres::Config,
        notices: Option<tokio::sync::mpsc::UnboundedSender<()>>,
    ) -> Result<(Client, JoinHandle<()>), tokio_postgres::Error> {
        let permit = self.permit().await;
        self.opened.fetch_add(1, Ordering::Relaxed);
        match &self.tls {
            Some(tls) => drive(config, tls.clone(), permit, notices).await,
            None => drive(config, NoTls, permit, notices).await,
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "this is where connections are made")]
async fn drive<T>(
    config: &tokio_postgres::Config,
    tls: T,
    permit: Option<OwnedSemaphorePermit>,
    notices: Option<tokio::sync::mpsc::UnboundedSender<()>>,
) -> Result<(Client, JoinHandle<()>), tokio_postgres::Error>
where
    T: MakeTlsConnect<Socket> + Send + 'static,
    T::Stream: Send + 'static,
    T::TlsConnect: Send,
    <T::TlsConnect as tokio_postgres::tls::TlsConnect<Socket>>::Future: Send,
{
    let (client, mut connection) = config.connect(tls).await?;
    let task = tokio::spawn(async move {
        let _permit = permit;
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

/// Somebody who waits for the budget, until he has it or leaves.
struct Waiting<'s>(&'s PostgresServer);

impl<'s> Waiting<'s> {
    fn new(server: &'s PostgresServer) -> Self {
        server.waiting.fetch_add(1, Ordering::SeqCst);
        server.starved.notify_one();
        Self(server)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.waiting.fetch_sub(1, Ordering::SeqCst);
    }
}

impl fmt::Debug for PostgresServer {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("PostgresServer").field("name", &self.name).finish_non_exhaustive()
    }
}

// === impl LoneClient ===

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
        let mut config = config.clone();
        Box::pin(async move {
            // Each time anew, so that a password is changed without a restart.
            if let Some(file) = self.login.password_file() {
                match tokio::fs::read_to_string(&file).await.map(SecretString::from) {
                    Ok(password) => {
                        config.password(password.expose_secret().trim_end_matches(['\n', '\r']));
                    }
                    // Postgres will say that it wanted one.
                    Err(error) => tracing::error!(file = %file.display(), %error, "a role's password cannot be read"),
                }
            }
            self.server.open(&config, None).await
        })
    }
}
