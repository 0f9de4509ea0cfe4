//! How a channel to one address is made, and the limits it is made with.

use std::{net::SocketAddr, time::Duration};

use tonic::transport::{Channel, Endpoint};

use crate::{Error, Tls, origin::Origin};

/// Error details and headers added by proxies; more than any server of ours sends.
const HEADER_LIST_BYTES_MAX: u32 = 64 * 1024;
/// Load balancers drop connections idle for 60 s and tell nobody.
const KEEP_ALIVE_INTERVAL: Duration = Duration::from_secs(30);
/// A peer that does not answer for so long is taken for dead.
const KEEP_ALIVE_TIMEOUT: Duration = Duration::from_secs(10);

/// What one answer may have on its way before it is read: enough for 100 MB/s at 10 ms.
const STREAM_WINDOW_BYTES: u32 = 1024 * 1024;
/// What all answers on a connection may have on their way together. The transport's own defaults are 2 and 5 MB, with
/// which three downloads that nobody reads stop every other call.
const CONNECTION_WINDOW_BYTES: u32 = 32 * 1024 * 1024;

/// What all connections of a client have in common.
#[derive(Debug)]
pub(crate) struct Connector {
    pub(crate) connect_timeout: Duration,
    pub(crate) user_agent: String,
    /// Of `https://`; the system's authorities if not given.
    pub(crate) tls: Option<Tls>,
}

// === impl Connector ===

impl Connector {
    /// A channel that connects when it is first used. `address` is one of the origin's, none for a unix socket; the
    /// service is called by the name in the URL all the same, and so is its certificate checked.
    pub(crate) fn channel(&self, origin: &Origin, address: Option<SocketAddr>) -> Result<Channel, Error> {
        let invalid =
            |source| Error::configuration(format!("cannot call {}", origin.label()), Some(Box::new(source) as _));
        let endpoint = match (origin, address) {
            (Origin::Tcp { url, tls, host, .. }, Some(address)) => {
                let scheme = if *tls { "https" } else { "http" };
                let endpoint = Endpoint::from_shared(format!("{scheme}://{address}")).map_err(invalid)?;
                let endpoint = endpoint.origin(url.clone());
                if *tls {
                    let config = self.tls.as_ref().unwrap_or(&Tls::system()).config(host, self.connect_timeout)?;
                    endpoint.tls_config(config).map_err(invalid)?
                } else {
                    endpoint
                }
            }
            (Origin::Tcp { url, .. }, None) => Endpoint::from(url.clone()),
            (Origin::Unix { url }, _) => Endpoint::from_shared(url.clone()).map_err(invalid)?,
        };
        let endpoint = endpoint.user_agent(self.user_agent.as_str()).map_err(|source| {
            Error::configuration("the user agent holds what a header cannot".to_owned(), Some(Box::new(source)))
        })?;
        Ok(endpoint
            .connect_timeout(self.connect_timeout)
            .tcp_nodelay(true)
            .initial_stream_window_size(STREAM_WINDOW_BYTES)
            .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
            .http2_max_header_list_size(HEADER_LIST_BYTES_MAX)
            .http2_keep_alive_interval(KEEP_ALIVE_INTERVAL)
            .keep_alive_timeout(KEEP_ALIVE_TIMEOUT)
            .keep_alive_while_idle(true)
            .connect_lazy())
    }
}
