//! How a client connects, and the limits it connects with.
//!
//! Every limit has a name and a reason. Connecting means that a gRPC service has answered: an open port alone, such as
//! one that a proxy holds for a dead service, is not taken for a connection.

use std::time::Duration;

use futures_util::{StreamExt, stream};
use tonic::Request;
use tonic_health::pb::{HealthCheckRequest, health_client::HealthClient};

use crate::{
    Client, Error, Tls, call,
    client::Shared,
    connector::Connector,
    endpoints::{Ending, Endpoints, Taken, system_lookup},
    error::is_local,
    origin::Origin,
    retry::{self, Budget},
    token::Token,
};

/// Bound of [`Builder::connect`] unless set.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
/// Bound of each call unless set.
const DEADLINE: Duration = Duration::from_secs(10);
/// How often names are looked up unless set: about what a rolling restart takes from one replica to the next.
const RESOLVE_INTERVAL: Duration = Duration::from_secs(10);
/// The shortest: resolvers are shared with others.
const RESOLVE_INTERVAL_MIN: Duration = Duration::from_secs(1);
/// The longest silence of a transfer unless set.
const IDLE_LIMIT: Duration = Duration::from_secs(30);
/// Addresses tried at the same time when connecting.
const CONNECTS_MAX: usize = 8;

/// Settings of a [`Client`].
#[derive(Debug, Clone)]
pub struct Builder {
    connect_timeout: Duration,
    deadline: Duration,
    user_agent: String,
    tls: Option<Tls>,
    token: Option<Secret>,
    attempts: u32,
    resolve_interval: Duration,
    idle_limit: Duration,
}

/// Text that is never printed.
#[derive(Clone)]
struct Secret(String);

impl std::fmt::Debug for Secret {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("…")
    }
}

impl Default for Builder {
    fn default() -> Self {
        Self {
            connect_timeout: CONNECT_TIMEOUT,
            deadline: DEADLINE,
            user_agent: concat!("fbs-router-client/", env!("CARGO_PKG_VERSION")).to_owned(),
            tls: None,
            token: None,
            attempts: retry::ATTEMPTS,
            resolve_interval: RESOLVE_INTERVAL,
            idle_limit: IDLE_LIMIT,
        }
    }
}

// === impl Builder: settings ===

impl Builder {
    /// Longest time [`connect`](Self::connect), and later any new connection, may take; 3 s unless set.
    #[must_use]
    pub fn connect_timeout(self, limit: Duration) -> Self {
        Self { connect_timeout: limit, ..self }
    }

    /// Longest time each call may take with all its attempts; 10 s unless set, held to 1 ms..=24 h. Not of transfers:
    /// see [`idle_limit`](Self::idle_limit).
    #[must_use]
    pub fn deadline(self, deadline: Duration) -> Self {
        Self { deadline: call::bounded(deadline), ..self }
    }

    /// Name of the calling program, for the service's log; stands before the name of this library.
    #[must_use]
    pub fn user_agent(self, program: &str) -> Self {
        Self { user_agent: format!("{program} {}", self.user_agent), ..self }
    }

    /// How `https://` is spoken; as [`Tls::system`] unless set. Refused for other URLs, where it would say nothing.
    #[must_use]
    pub fn tls(self, tls: Tls) -> Self {
        Self { tls: Some(tls), ..self }
    }

    /// The bearer token to send with each call. Never printed. Refused for `http://` to anything but this machine,
    /// because there everybody on the way could read it.
    #[must_use]
    pub fn token(self, token: impl Into<String>) -> Self {
        Self { token: Some(Secret(token.into())), ..self }
    }

    /// How often a call is tried at most; 4 unless set, held to 1..=10. 1 means that nothing is retried.
    #[must_use]
    pub fn attempts(self, attempts: u32) -> Self {
        Self { attempts: retry::bounded(attempts), ..self }
    }

    /// How often a host name is looked up again; 10 s unless set, at least 1 s. A failed connection has it looked up
    /// at once.
    #[must_use]
    pub fn resolve_interval(self, interval: Duration) -> Self {
        Self { resolve_interval: interval.max(RESOLVE_INTERVAL_MIN), ..self }
    }

    /// The longest an upload or download may make no progress at all; 30 s unless set, held to 1 ms..=24 h.
    #[must_use]
    pub fn idle_limit(self, limit: Duration) -> Self {
        Self { idle_limit: call::bounded(limit), ..self }
    }
}

// === impl Builder: connecting ===

impl Builder {
    /// Connects to `https://host:port`, `http://host:port` or `unix:/path/to.sock`, and waits until the service has
    /// answered; whether it is ready to serve does not matter. A host name stands for all of its addresses. Later
    /// losses of connections are repaired by themselves.
    ///
    /// Fails with [`ErrorKind::Configuration`](crate::ErrorKind::Configuration) for another URL or settings that do
    /// not fit it, and with [`ErrorKind::Connect`](crate::ErrorKind::Connect) if nobody answers.
    ///
    /// Cancel safety: dropping the future closes what was opened.
    pub async fn connect(self, url: impl AsRef<str>) -> Result<Client, Error> {
        self.connect_to([url]).await
    }

    /// Connects to replicas of one service, each by its own URL, and waits until one of them has answered.
    ///
    /// Fails as [`connect`](Self::connect); without a URL with
    /// [`ErrorKind::Configuration`](crate::ErrorKind::Configuration).
    ///
    /// Cancel safety: dropping the future closes what was opened.
    pub async fn connect_to<U: AsRef<str>>(self, urls: impl IntoIterator<Item = U>) -> Result<Client, Error> {
        // Nothing of the caller's is held while waiting, so that the future is Send whatever the URLs are.
        let origins = urls.into_iter().map(|url| Origin::parse(url.as_ref())).collect::<Result<Vec<_>, _>>();
        self.connect_all(origins?).await
    }

    async fn connect_all(self, origins: Vec<Origin>) -> Result<Client, Error> {
        self.check(&origins)?;
        let token = self.token.as_ref().map(|secret| Token::bearer(&secret.0)).transpose()?;
        let label = origins.iter().map(Origin::label).collect::<Vec<_>>().join(", ");
        let connector = Connector { connect_timeout: self.connect_timeout, user_agent: self.user_agent, tls: self.tls };
        let connect = async {
            let endpoints = Endpoints::new(origins, connector, system_lookup(), self.resolve_interval).await?;
            answering(&endpoints, &label).await?;
            Ok(endpoints)
        };
        let endpoints = tokio::time::timeout(self.connect_timeout, connect)
            .await
            .map_err(|_elapsed| Error::unreachable_within(&label, self.connect_timeout))??;
        let shared = Shared { endpoints, token, budget: Budget::new(), idle_limit: self.idle_limit };
        Ok(Client::new(shared, self.attempts, self.deadline))
    }

    /// Settings that do not fit the URLs.
    fn check(&self, origins: &[Origin]) -> Result<(), Error> {
        let wrong = |problem: String| Err(Error::configuration(problem, None));
        if origins.is_empty() {
            return wrong("there is no URL to connect to".to_owned());
        }
        if let Some(plain) = origins.iter().find(|origin| self.tls.is_some() && !origin.tls()) {
            return wrong(format!("TLS was asked for, but {} does not use it; write https://", plain.label()));
        }
        if let Some(open) = origins.iter().find(|origin| self.token.is_some() && !origin.private()) {
            return wrong(format!("the token would be readable on its way to {}; use https://", open.label()));
        }
        Ok(())
    }
}

/// Waits until one address has answered the health check, no matter what.
async fn answering(endpoints: &Endpoints, label: &str) -> Result<(), Error> {
    let mut answers = stream::iter(endpoints.take_all()).map(ask).buffer_unordered(CONNECTS_MAX);
    let mut failure = None;
    while let Some(answer) = answers.next().await {
        match answer {
            Ok(()) => return Ok(()),
            Err(error) => failure = Some(error),
        }
    }
    Err(failure.unwrap_or_else(|| Error::no_address(label, None)))
}

async fn ask(address: Taken) -> Result<(), Error> {
    let question = Request::new(HealthCheckRequest { service: String::new() });
    match HealthClient::new(address.channel()).check(question).await {
        Err(status) if is_local(&status) => {
            address.ended(Ending::NotReached);
            Err(Error::unreachable(&address.address.label, Box::new(status)))
        }
        Ok(_) | Err(_) => {
            address.ended(Ending::Answered);
            Ok(())
        }
    }
}

#[cfg(test)]
mod tests;
