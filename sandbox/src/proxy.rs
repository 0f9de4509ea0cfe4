//! A proxy that injects faults between a client and a server.
//!
//! Owns one TCP port of 127.0.0.1, bound once and never rebound, any number of unix sockets, and
//! every connection through them. Of the protocol it knows where a message ends, and no more.
//! A unix socket cannot be reset, so on one "reset" means closed.
//! Invariant: [`FaultProxy::set`] applies to connections that are open already; dropping the proxy
//! ends them all.

mod places;
mod relay;

use std::{
    io,
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};

use tokio::{
    net::{TcpListener, UnixListener},
    sync::watch,
    task::{JoinHandle, JoinSet},
};

use self::relay::Client;

/// Where the proxy forwards to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Address {
    /// A TCP address.
    Tcp(SocketAddr),
    /// The path of a unix socket.
    Unix(PathBuf),
}

/// A direction of bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// What clients say.
    ToServer,
    /// What they are answered.
    ToClient,
}

/// What happens to connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Bytes pass.
    Forward,
    /// Open connections are reset, new ones are accepted and reset at once.
    Refuse,
    /// Nothing passes in either direction, on open and on new connections, until another mode.
    Hang,
    /// Open connections are reset, once; then as [`Mode::Forward`].
    Cut,
    /// The server's ends of open connections are gone without a word: clients send, and never hear anything, not even
    /// an end. New connections are as in [`Mode::Forward`].
    Strand,
    /// Each connection passes this many more bytes to the server, counted from now or from its
    /// beginning, whichever is later; the server gets exactly these, then the client is reset.
    CutAfter {
        /// The number of bytes.
        to_server: u64,
    },
    /// Each connection to a Postgres is cut at a place in what passes in that direction: whoever gets it gets no more
    /// of it than this, and an end. If that is the server, the client is reset. The places of a message are after its
    /// first byte, after its type and length, in the middle of the rest, before its last byte, and after it.
    CutAt {
        /// The direction.
        way: Way,
        /// How many places a connection comes by, counted from now or from its beginning, whichever is later.
        place: u64,
        /// Whether connections are cut that are made from now on. Otherwise they are as in [`Mode::Forward`].
        new: bool,
    },
    /// Each piece of data, of 16 KiB at most, is late by this much, in each direction.
    Delay(Duration),
    /// A piece of data that commits is late by this much, and what comes behind it on its connection, unless the transaction
    /// begins in it, too: everything else of it was done long before. Other pieces pass.
    LateCommits(Duration),
}

/// The mode, and what a connection has to notice about its changes.
#[derive(Debug, Clone, Copy)]
struct Setting {
    mode: Mode,
    /// Number of changes: what is counted begins anew with each.
    changes: u64,
    /// Number of resets of everything open: a connection ends when it differs from its beginning.
    resets: u64,
    /// Number of times that everything open was stranded: a connection is when it differs from its beginning.
    strandings: u64,
}

#[derive(Debug)]
struct Shared {
    upstream: Address,
    setting: watch::Sender<Setting>,
    open: AtomicUsize,
    accepted: AtomicU64,
}

/// The proxy. Needs a tokio runtime for as long as it lives.
#[derive(Debug)]
pub struct FaultProxy {
    address: SocketAddr,
    shared: Arc<Shared>,
    listeners: Vec<JoinHandle<()>>,
}

impl FaultProxy {
    /// Listens on a free port of 127.0.0.1 and forwards to `upstream`, which need not be up yet.
    ///
    /// # Errors
    ///
    /// No port can be bound.
    pub async fn start(upstream: Address) -> io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let (setting, _) = watch::channel(Setting { mode: Mode::Forward, changes: 0, resets: 0, strandings: 0 });
        let shared = Arc::new(Shared { upstream, setting, open: AtomicUsize::new(0), accepted: AtomicU64::new(0) });
        let accepting = accept(shared.clone(), async move || {
            let (client, _) = listener.accept().await?;
            // Nagle would add 40 ms to the delays that were asked for.
            client.set_nodelay(true).map(|()| client)
        });
        let listeners = vec![tokio::spawn(accepting)];
        Ok(Self { address, shared, listeners })
    }

    /// Listens on a unix socket at `path`, too. For Postgres clients the name is
    /// `<folder>/.s.PGSQL.<port>`. The file stays when the proxy goes.
    ///
    /// # Errors
    ///
    /// The path is taken, or longer than a socket's may be (103 bytes).
    pub fn listen_unix(&mut self, path: &Path) -> io::Result<()> {
        let listener = UnixListener::bind(path)?;
        let accepting = accept(self.shared.clone(), async move || listener.accept().await.map(|(client, _)| client));
        self.listeners.push(tokio::spawn(accepting));
        Ok(())
    }

    /// The TCP address that clients connect to.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The TCP port that clients connect to.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// Changes the mode, for open and for new connections.
    pub fn set(&self, mode: Mode) {
        self.shared.setting.send_modify(|setting| {
            setting.changes += 1;
            setting.resets += u64::from(matches!(mode, Mode::Refuse | Mode::Cut));
            setting.strandings += u64::from(mode == Mode::Strand);
            setting.mode = if matches!(mode, Mode::Cut | Mode::Strand) { Mode::Forward } else { mode };
        });
    }

    /// Connections that are open now, those that hang included. One that the client closed while
    /// it hangs counts until the mode changes, a stranded one until everything is reset.
    #[must_use]
    pub fn connections(&self) -> usize {
        self.shared.open.load(Ordering::SeqCst)
    }

    /// Connections accepted since the start, refused ones included.
    #[must_use]
    pub fn accepted(&self) -> u64 {
        self.shared.accepted.load(Ordering::SeqCst)
    }
}

impl Drop for FaultProxy {
    fn drop(&mut self) {
        // Each listener owns its connections' tasks, which end with it.
        for listener in &self.listeners {
            listener.abort();
        }
    }
}

/// Accepts for ever. The task set is the owner of the connections.
async fn accept<C: Client>(shared: Arc<Shared>, next: impl AsyncFn() -> io::Result<C>) {
    let mut connections = JoinSet::new();
    loop {
        let client = match next().await {
            Ok(client) => client,
            // Out of descriptors, or a client gone already: neither may end the proxy or spin.
            Err(error) => {
                tracing::debug!(%error, "the proxy could not accept");
                tokio::time::sleep(Duration::from_millis(10)).await;
                continue;
            }
        };
        while connections.try_join_next().is_some() {} // forget those that ended
        shared.accepted.fetch_add(1, Ordering::SeqCst);
        let setting = shared.setting.subscribe();
        let begin = *setting.borrow();
        connections.spawn(relay::serve(shared.clone(), client, setting, begin));
    }
}
