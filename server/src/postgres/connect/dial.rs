//! Opening a connection: its place, its password, the host that is the primary, and the task that drives it.

use std::sync::{
    Arc, PoisonError,
    atomic::{AtomicUsize, Ordering},
};

use deadpool_postgres::Connect;
use futures_util::future::BoxFuture;
use secrecy::{ExposeSecret, SecretString};
use tokio::task::JoinHandle;
use tokio_postgres::{AsyncMessage, Client, Config, Error, NoTls, Socket, tls::MakeTlsConnect};

use super::PostgresServer;
use crate::{
    domain::Login,
    postgres::{
        Told,
        guards::Guards,
        hosts::Hosts,
        password::{is_wrong, read_password},
        places::Place,
    },
};

/// Connections that are being made at once, for the pools: each costs the server a process, and a look around.
pub(super) const MAKING: usize = 8;

/// A connection, and the task that drives it.
type Opened = (Client, JoinHandle<()>);

/// What lives for as long as a connection does, and is told what comes unasked.
pub(super) trait Companion: Send + 'static {
    /// A notification came. False: nobody listens any more.
    fn notified(&self) -> bool {
        true
    }

    /// The connection ended, and not by us.
    fn broke(&self) {}
}

/// Of a pooled connection.
struct Pooled {
    _place: Option<Place>,
    guards: Arc<Guards>,
}

/// Connects to one database of a server; what deadpool calls.
#[derive(Debug)]
pub struct Connector {
    server: Arc<PostgresServer>,
    login: Login,
    guards: Arc<Guards>,
}

// === impl PostgresServer ===

impl PostgresServer {
    /// Opens a pooled connection, when there is a place for it.
    pub(super) async fn open_pooled(
        &self,
        config: &Config,
        login: &Login,
        guards: Arc<Guards>,
    ) -> Result<Opened, Error> {
        let _place = match self.places.try_take() {
            Some(place) => Some(place),
            None => {
                let _waiting = Counted::new(&self.waiting);
                self.starved.notify_one();
                self.places.take().await
            }
        };
        let _half_made = Counted::new(&self.half_made);
        let _making = self.making.acquire().await;
        self.open(config, login, &self.hosts, Pooled { _place, guards }).await
    }

    /// Opens a connection with the password that the server takes.
    pub(super) async fn open(
        &self,
        config: &Config,
        login: &Login,
        hosts: &Hosts,
        companion: impl Companion,
    ) -> Result<Opened, Error> {
        let mut companion = Some(companion);
        self.opened.fetch_add(1, Ordering::Relaxed);
        if let Login::Own { .. } = login {
            let password = own_password(login).await;
            return self.dial(config, hosts, password.as_ref(), &mut companion).await;
        }
        let passwords = self.passwords.load_full();
        let refused = match self.dial(config, hosts, passwords.now(), &mut companion).await {
            Err(error) if is_wrong(&error) => error,
            outcome => return outcome,
        };
        let others = passwords.others().await;
        for other in &others {
            match self.dial(config, hosts, Some(other), &mut companion).await {
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
            return self.dial(config, hosts, passwords.now(), &mut companion).await;
        }
        Err(refused)
    }

    /// Asks one host after the other, until one is the primary. Of those that refuse, the first that said why is told.
    async fn dial(
        &self,
        config: &Config,
        hosts: &Hosts,
        password: Option<&SecretString>,
        companion: &mut Option<impl Companion>,
    ) -> Result<Opened, Error> {
        let mut config = config.clone();
        if let Some(password) = password {
            config.password(password.expose_secret());
        }
        let mut refused: Option<Error> = None;
        for asked in hosts.in_turn() {
            let config = asked.config(&config);
            let opened = match &self.tls {
                Some(tls) => drive(&config, tls.clone(), companion).await,
                None => drive(&config, NoTls, companion).await,
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
    fn count_failure(&self, error: &Error) {
        let class = error.code().and_then(|state| state.code().get(..2)).unwrap_or("none");
        let mut failures = self.failures.lock().unwrap_or_else(PoisonError::into_inner);
        *failures.entry(class.to_owned()).or_default() += 1;
    }
}

#[expect(clippy::disallowed_methods, reason = "this is where connections are made")]
async fn drive<T>(config: &Config, tls: T, companion: &mut Option<impl Companion>) -> Result<Opened, Error>
where
    T: MakeTlsConnect<Socket> + Send + 'static,
    T::Stream: Send + 'static,
    T::TlsConnect: Send,
    <T::TlsConnect as tokio_postgres::tls::TlsConnect<Socket>>::Future: Send,
{
    let (client, mut connection) = config.connect(tls).await?;
    let companion = companion.take();
    let task = tokio::spawn(async move {
        while let Some(message) = std::future::poll_fn(|context| connection.poll_message(context)).await {
            match (message, &companion) {
                (Ok(AsyncMessage::Notification(_)), Some(companion)) => {
                    if !companion.notified() {
                        break;
                    }
                }
                (Ok(_), _) => {}
                (Err(error), companion) => {
                    tracing::debug!(error = %Told::of(&error), "postgres connection ended");
                    companion.iter().for_each(Companion::broke);
                    break;
                }
            }
        }
    });
    Ok((client, task))
}

// === impl Pooled ===

impl Companion for Pooled {
    fn broke(&self) {
        self.guards.doubt();
    }
}

// === impl Connector ===

impl Connector {
    pub(in crate::postgres) fn new(server: Arc<PostgresServer>, login: Login, guards: Arc<Guards>) -> Self {
        Self { server, login, guards }
    }
}

impl Connect for Connector {
    fn connect(&self, config: &Config) -> BoxFuture<'_, Result<Opened, Error>> {
        let config = config.clone();
        Box::pin(async move { self.server.open_pooled(&config, &self.login, Arc::clone(&self.guards)).await })
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
