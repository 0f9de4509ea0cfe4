//! One connection through the proxy.
//!
//! Owns the two directions of bytes between a client and its server, and how they end: by the end
//! of both, by an error, or by a reset. Does not own the mode; it follows it.
//! Invariant: no byte passes in a mode that holds it back, and after a reset was asked for no byte
//! passes at all.

use std::{
    io,
    sync::{Arc, atomic::Ordering},
};

use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, split},
    net::{TcpStream, UnixStream},
    sync::watch,
    time::sleep,
};

use super::{Address, Mode, Setting, Shared, Way, places::Places};

const PIECE_BYTES: usize = 16 * 1024;

/// A byte stream in both directions.
pub(super) trait Stream: AsyncRead + AsyncWrite + Unpin + Send + 'static {}
impl<S: AsyncRead + AsyncWrite + Unpin + Send + 'static> Stream for S {}

/// A client's end, which can be closed the hard way.
pub(super) trait Client: Stream {
    /// Closes so that the other side sees a reset, where the transport has one.
    fn reset(self);
}

impl Client for TcpStream {
    fn reset(self) {
        // Fails only on a socket that is gone already.
        let _set = self.set_zero_linger();
    }
}

impl Client for UnixStream {
    fn reset(self) {}
}

/// Counts a connection for as long as it is open, however its task ends.
struct Open(Arc<Shared>);

impl Open {
    fn count(shared: Arc<Shared>) -> Self {
        shared.open.fetch_add(1, Ordering::SeqCst);
        Self(shared)
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.open.fetch_sub(1, Ordering::SeqCst);
    }
}

/// Serves `client` to its end; `begin` is how it was at the moment it was accepted.
pub(super) async fn serve<C: Client>(
    shared: Arc<Shared>,
    mut client: C,
    setting: watch::Receiver<Setting>,
    begin: Setting,
) {
    if setting.borrow().mode == Mode::Refuse {
        client.reset();
        return;
    }
    let open = Open::count(shared.clone());
    let (mut reset, mut stranded) = (setting.clone(), setting.clone());
    let ended = tokio::select! {
        biased;
        _ = reset.wait_for(|now| now.resets != begin.resets) => Err(io::ErrorKind::ConnectionReset.into()),
        ended = async {
            let relayed = tokio::select! {
                biased;
                _ = stranded.wait_for(|now| now.strandings != begin.strandings) => None,
                ended = connect_and_relay(&shared.upstream, &mut client, setting) => Some(ended),
            };
            match relayed {
                Some(ended) => ended,
                // The server's end went with the relay, the client's is kept.
                None => std::future::pending().await,
            }
        } => ended,
    };
    drop(open);
    match ended {
        Ok(()) => {}
        Err(error) => {
            tracing::trace!(%error, "proxied connection reset");
            client.reset();
        }
    }
}

async fn connect_and_relay<C: Client>(
    upstream: &Address,
    client: &mut C,
    mut setting: watch::Receiver<Setting>,
) -> io::Result<()> {
    // Held back before connecting: whether the server is up shows only after a hang.
    hold(&mut setting, Way::ToServer, &[]).await;
    match upstream {
        Address::Tcp(address) => {
            let server = TcpStream::connect(address).await?;
            server.set_nodelay(true)?;
            relay(client, server, setting).await
        }
        Address::Unix(path) => relay(client, UnixStream::connect(path).await?, setting).await,
    }
}

async fn relay<C: Client>(client: &mut C, server: impl Stream, setting: watch::Receiver<Setting>) -> io::Result<()> {
    let (mut from_client, mut to_client) = split(client);
    let (mut from_server, mut to_server) = split(server);
    let up = pump(&mut from_client, &mut to_server, setting.clone(), Way::ToServer);
    let down = pump(&mut from_server, &mut to_client, setting, Way::ToClient);
    tokio::try_join!(up, down).map(|_| ())
}

/// What has passed since the mode was set.
#[derive(Debug, Default)]
struct Passed {
    bytes: u64,
    places: u64,
}

/// Passes bytes until the end of `from`, which it passes on as well. An error ends both directions.
async fn pump<R, W>(from: &mut R, to: &mut W, mut setting: watch::Receiver<Setting>, way: Way) -> io::Result<()>
where
    R: AsyncRead + Unpin,
    W: AsyncWrite + Unpin,
{
    let mut piece = vec![0; PIECE_BYTES];
    let (mut places, mut passed) = (Places::new(way), Passed::default());
    let begun = setting.borrow().changes;
    let mut changes = begun;
    loop {
        let length = from.read(&mut piece).await?;
        hold(&mut setting, way, piece.get(..length).unwrap_or_default()).await;
        let now = *setting.borrow();
        if now.changes != changes {
            (changes, passed) = (now.changes, Passed::default());
        }
        let bytes = piece.get(..length).unwrap_or_default();
        if bytes.is_empty() {
            return to.shutdown().await;
        }
        let mut left = match now.mode {
            Mode::CutAt { way: cut, place, new } if way == cut && (new || now.changes != begun) => {
                place - passed.places
            }
            _ => u64::MAX,
        };
        let before = left;
        let read = places.pass(bytes, &mut left);
        passed.places += before - left;
        let passes = match now.mode {
            _ if left == 0 => Some(read),
            Mode::CutAfter { to_server } if way == Way::ToServer => usize::try_from(to_server - passed.bytes).ok(),
            _ => None,
        };
        if let Some(passes) = passes
            && (left == 0 || passes < bytes.len())
        {
            to.write_all(bytes.get(..passes).unwrap_or_default()).await?;
            to.shutdown().await?;
            return Err(io::ErrorKind::ConnectionReset.into());
        }
        to.write_all(bytes).await?;
        passed.bytes += bytes.len() as u64;
    }
}

/// Waits out a hang; in a delay, waits that long, but not beyond a change of mode.
async fn hold(setting: &mut watch::Receiver<Setting>, way: Way, piece: &[u8]) {
    loop {
        let Setting { mode, changes, .. } = *setting.borrow_and_update();
        let changed = setting.wait_for(|now| now.changes != changes);
        match mode {
            Mode::Forward | Mode::Refuse | Mode::Cut | Mode::Strand | Mode::CutAfter { .. } | Mode::CutAt { .. } => {
                return;
            }
            Mode::Hang => {
                // The sender lives in the shared state that our caller holds.
                let _changed = changed.await;
            }
            Mode::LateCommits(_) if way == Way::ToClient || !is_late_commit(piece) => return,
            Mode::Delay(delay) | Mode::LateCommits(delay) => {
                tokio::select! {
                    _ = changed => {}
                    () = sleep(delay) => return,
                }
            }
        }
    }
}

/// Whether a piece has the COMMIT of a transaction that began in an earlier one.
fn is_late_commit(piece: &[u8]) -> bool {
    let says = |words: &[u8]| piece.windows(words.len()).any(|part| part == words);
    says(b"Q\0\0\0\x0bCOMMIT\0") && !says(b"BEGIN")
}
