//! Accepting: a place, the handshake, the preface; then the connection is tonic's.
//!
//! Each handshake is a task of its own within `limits.handshake`, so a slow one delays nobody. What is turned away is
//! closed and counted. The stream owns listener and handshakes: dropped, both are gone.

use std::{future::Future, io, net::IpAddr, sync::Arc, time::Duration};

use futures_util::{Stream, stream};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpStream, UnixListener, UnixStream},
    task::JoinSet,
    time::{sleep, timeout},
};
use tokio_rustls::{TlsAcceptor, server::TlsStream};

use super::{
    accepted::Accepted,
    places::{Full, Place, Places},
    tls::ServerTls,
};
use crate::metrics::Metrics;

/// Accepting that failed for want of files or memory would fail again at once.
const PAUSE: Duration = Duration::from_millis(100);

/// What every connection goes through.
#[derive(Debug, Clone)]
pub(super) struct Door {
    /// Where it gets its place.
    pub(super) places: Arc<Places>,
    /// Longest time to the end of the preface.
    pub(super) handshake: Duration,
    /// Counts who is turned away.
    pub(super) metrics: Arc<Metrics>,
}

/// Where connections come from.
pub(super) trait Listener: Send + 'static {
    type Socket: AsyncRead + AsyncWrite + Unpin + Send + 'static;

    /// The next connection, and the address of its peer if it has one. Cancel safe.
    fn next(&self) -> impl Future<Output = io::Result<(Self::Socket, Option<IpAddr>)>> + Send;
}

/// What is done to a socket before HTTP/2 is spoken on it.
pub(super) trait Handshake<S>: Clone + Send + 'static {
    type Io: AsyncRead + AsyncWrite + Unpin + Send + 'static;

    /// The caller bounds the time.
    fn shake(self, socket: S) -> impl Future<Output = io::Result<Self::Io>> + Send;
}

/// Nothing.
#[derive(Debug, Clone, Copy)]
pub(super) struct Plain;

/// TLS, with the certificate of the moment.
#[derive(Debug, Clone)]
pub(super) struct Encrypted(pub(super) Arc<ServerTls>);

// === impl Door ===

impl Door {
    /// The connections of a listener that are ready to be served. Never ends, never fails.
    pub(super) fn connections<L: Listener, H: Handshake<L::Socket>>(
        self,
        listener: L,
        handshake: H,
    ) -> impl Stream<Item = io::Result<Accepted<H::Io>>> {
        let shaking: JoinSet<Option<Accepted<H::Io>>> = JoinSet::new();
        stream::unfold((self, listener, handshake, shaking), async |(door, listener, handshake, mut shaking)| {
            loop {
                tokio::select! {
                    Some(shaken) = shaking.join_next() => {
                        if let Ok(Some(accepted)) = shaken {
                            return Some((Ok(accepted), (door, listener, handshake, shaking)));
                        }
                    }
                    arrived = listener.next() => match arrived {
                        Ok((socket, peer)) => {
                            if let Some(place) = door.place(peer) {
                                shaking.spawn(door.clone().greet(socket, place, handshake.clone()));
                            }
                        }
                        Err(error) => {
                            tracing::warn!(%error, "a connection cannot be accepted");
                            sleep(PAUSE).await;
                        }
                    },
                }
            }
        })
    }

    fn place(&self, peer: Option<IpAddr>) -> Option<Place> {
        match self.places.take(peer) {
            Ok(place) => Some(place),
            Err(full) => {
                self.metrics.connection_refused(full == Full::Peer);
                None
            }
        }
    }

    async fn greet<S, H: Handshake<S>>(self, socket: S, place: Place, handshake: H) -> Option<Accepted<H::Io>> {
        let greeted = timeout(self.handshake, async { Accepted::greet(handshake.shake(socket).await?, place).await });
        let problem = match greeted.await {
            Ok(Ok(accepted)) => return Some(accepted),
            // Whoever only looks whether the port is open.
            Ok(Err(error)) if error.kind() == io::ErrorKind::UnexpectedEof => return None,
            Ok(Err(error)) => error.to_string(),
            Err(_) => "it took too long".to_owned(),
        };
        self.metrics.handshake_failed();
        tracing::debug!(problem, "a handshake failed");
        None
    }
}

// === impl Listener ===

impl Listener for TcpListener {
    type Socket = TcpStream;

    async fn next(&self) -> io::Result<(TcpStream, Option<IpAddr>)> {
        let (stream, peer) = self.accept().await?;
        // Nagle would cost 40 ms a reply.
        let _ = stream.set_nodelay(true);
        Ok((stream, Some(peer.ip())))
    }
}

impl Listener for UnixListener {
    type Socket = UnixStream;

    async fn next(&self) -> io::Result<(UnixStream, Option<IpAddr>)> {
        Ok((self.accept().await?.0, None))
    }
}

// === impl Handshake ===

impl<S: AsyncRead + AsyncWrite + Unpin + Send + 'static> Handshake<S> for Plain {
    type Io = S;

    async fn shake(self, socket: S) -> io::Result<S> {
        Ok(socket)
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin + Send + 'static> Handshake<S> for Encrypted {
    type Io = TlsStream<S>;

    async fn shake(self, socket: S) -> io::Result<TlsStream<S>> {
        TlsAcceptor::from(self.0.current()).accept(socket).await
    }
}
