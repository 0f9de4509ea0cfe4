//! How a client connects, and the limits it connects with.
//!
//! Every limit has a name and a reason here. Connecting means that a gRPC service has answered: an open port alone,
//! such as one that a proxy holds for a dead service, is not taken for a connection.

use std::time::Duration;

use fbs_router_proto::{document::v1::document_service_client, router::v1::router_service_client};
use tonic::{
    Request,
    transport::{Channel, Endpoint, Uri},
};
use tonic_health::pb::{HealthCheckRequest, health_client::HealthClient};

use crate::{Client, Error, call};

/// Bound of [`Builder::connect`] unless set.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
/// Bound of each call unless set.
const DEADLINE: Duration = Duration::from_secs(10);
/// Answers are at most 3 MiB by contract; the rest is room for later versions.
const MESSAGE_BYTES_MAX: usize = 8 * 1024 * 1024;
/// Error details and headers added by proxies; more than any server of ours sends.
const HEADER_LIST_BYTES_MAX: u32 = 64 * 1024;
/// Load balancers drop connections idle for 60 s and tell nobody.
const KEEP_ALIVE_INTERVAL: Duration = Duration::from_secs(30);
/// A peer that does not answer for so long is taken for dead.
const KEEP_ALIVE_TIMEOUT: Duration = Duration::from_secs(10);

/// Settings of a [`Client`].
#[derive(Debug, Clone)]
pub struct Builder {
    connect_timeout: Duration,
    deadline: Duration,
    user_agent: String,
}

impl Default for Builder {
    fn default() -> Self {
        Self {
            connect_timeout: CONNECT_TIMEOUT,
            deadline: DEADLINE,
            user_agent: concat!("fbs-router-client/", env!("CARGO_PKG_VERSION")).to_owned(),
        }
    }
}

impl Builder {
    /// Longest time [`connect`](Self::connect) may take; 3 s unless set.
    #[must_use]
    pub fn connect_timeout(self, limit: Duration) -> Self {
        Self { connect_timeout: limit, ..self }
    }

    /// Longest time each call may take; 10 s unless set, held to 1 ms..=24 h.
    #[must_use]
    pub fn deadline(self, deadline: Duration) -> Self {
        Self { deadline: call::bounded(deadline), ..self }
    }

    /// Name of the calling program, for the service's log; stands before the name of this library.
    #[must_use]
    pub fn user_agent(self, program: &str) -> Self {
        Self { user_agent: format!("{program} {}", self.user_agent), ..self }
    }

    /// Connects to `http://host:port` or `unix:/path/to.sock`, and waits until the service has answered; whether it
    /// is ready to serve does not matter. Later losses of the connection are repaired by themselves.
    ///
    /// Fails with [`ErrorKind::Configuration`](crate::ErrorKind::Configuration) for another URL, and with
    /// [`ErrorKind::Connect`](crate::ErrorKind::Connect) if nobody answers.
    pub async fn connect(self, url: impl AsRef<str>) -> Result<Client, Error> {
        let url = url.as_ref();
        let endpoint = self.endpoint(url)?;
        let channel = tokio::time::timeout(self.connect_timeout, answering(&endpoint, url))
            .await
            .map_err(|_elapsed| Error::unreachable_within(url, self.connect_timeout))??;
        Ok(Client {
            router: router_service_client::RouterServiceClient::new(channel.clone())
                .max_decoding_message_size(MESSAGE_BYTES_MAX),
            documents: document_service_client::DocumentServiceClient::new(channel)
                .max_decoding_message_size(MESSAGE_BYTES_MAX),
            deadline: self.deadline,
        })
    }

    fn endpoint(&self, url: &str) -> Result<Endpoint, Error> {
        check(url)?;
        let invalid = |source| Error::configuration(format!("{url:?} is not a URL"), Some(Box::new(source)));
        let endpoint = Endpoint::from_shared(url.to_owned()).map_err(invalid)?;
        let endpoint = endpoint.user_agent(self.user_agent.as_str()).map_err(|source| {
            Error::configuration("the user agent holds what a header cannot".to_owned(), Some(Box::new(source)))
        })?;
        Ok(endpoint
            .connect_timeout(self.connect_timeout)
            .tcp_nodelay(true)
            .http2_max_header_list_size(HEADER_LIST_BYTES_MAX)
            .http2_keep_alive_interval(KEEP_ALIVE_INTERVAL)
            .keep_alive_timeout(KEEP_ALIVE_TIMEOUT)
            .keep_alive_while_idle(true))
    }
}

/// What the transport would take for something else, or fail at without saying why.
fn check(url: &str) -> Result<(), Error> {
    let wrong = |problem: &str| {
        Err(Error::configuration(format!("{problem}; use http://host:port or unix:/path/to.sock"), None))
    };
    if let Some(path) = url.strip_prefix("unix:") {
        let path = path.strip_prefix("//").unwrap_or(path);
        return if path.starts_with('/') { Ok(()) } else { wrong("a unix: URL needs the whole path of a socket") };
    }
    let Ok(uri) = url.parse::<Uri>() else {
        return wrong("that is not a URL");
    };
    match uri.scheme_str() {
        Some("http") => {}
        Some("https") => return wrong("https:// is not supported yet: this version has no TLS"),
        _ => return wrong("the URL has no scheme this client knows"),
    }
    if uri.authority().is_some_and(|authority| authority.as_str().contains('@')) {
        return wrong("a URL with a user or password is not accepted"); // and not repeated either
    }
    Ok(())
}

/// A channel over which somebody has answered the health check, no matter what.
async fn answering(endpoint: &Endpoint, url: &str) -> Result<Channel, Error> {
    let channel = endpoint.connect().await.map_err(|source| Error::unreachable(url, Box::new(source)))?;
    let question = Request::new(HealthCheckRequest { service: String::new() });
    match HealthClient::new(channel.clone()).check(question).await {
        Err(status) if call::is_local(&status) => Err(Error::unreachable(url, Box::new(status))),
        Ok(_) | Err(_) => Ok(channel),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ErrorKind;

    #[test]
    fn urls_that_cannot_work_are_told_apart_from_services_that_are_down() {
        for url in
            ["", "router", "127.0.0.1:50051", "https://router:443", "ftp://router", "unix:", "unix://router.sock"]
        {
            let error = Builder::default().endpoint(url).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Configuration, "{url}");
        }
        for url in ["http://router:50051", "http://[::1]:50051", "unix:/run/router.sock", "unix:///run/router.sock"] {
            Builder::default().endpoint(url).unwrap();
        }
    }

    #[test]
    fn a_password_in_a_url_is_refused_and_never_repeated() {
        let error = Builder::default().endpoint("http://ann:secret@router:50051").unwrap_err();
        assert!(!format!("{error} {error:?}").contains("secret"));
    }

    #[tokio::test]
    async fn nobody_there_is_a_connect_error_and_may_be_tried_again() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        drop(listener);
        let error = Client::connect(&url).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Connect);
        assert!(error.retryable() && error.to_string().contains(&url), "{error}");
    }

    #[tokio::test]
    async fn an_open_port_that_never_answers_is_not_a_connection() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let limit = Duration::from_millis(200);
        let error = Client::builder().connect_timeout(limit).connect(&url).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Connect);
    }
}
