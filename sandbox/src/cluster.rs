//! A private Postgres server that dies with the process that started it.
//!
//! Owns one server: its folders, its start, its address, its faults and its end.
//! Does not own databases, roles or schemas; the caller connects and makes them.
//! Works as root (the server then runs as `postgres` or `nobody`) and as an ordinary user.
//! Invariant: dropped, panicked or killed, a scratch cluster leaves neither process nor folder,
//! and a durable one leaves its data folder only.

mod account;
mod error;
mod faults;
mod folder;
mod keeper;
mod pgbouncer;
mod processes;
mod small_disk;
mod standby;

use std::{
    ffi::OsString,
    fs,
    net::{Ipv4Addr, SocketAddr, TcpListener},
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use tokio::{sync::Mutex, time::sleep};
use tokio_postgres::{Client, Config, NoTls};

use self::{account::Account, folder::Maker, keeper::Keeper};
pub use self::{error::Error, pgbouncer::PgBouncer};
use crate::binaries::{self, Binaries};

/// Longest time from launch to `ready`; recovery after a crash is part of it.
const READY_LIMIT: Duration = Duration::from_secs(60);

/// Name of the log in the folder that holds it.
const LOG_NAME: &str = "server.log";

/// In a private folder every socket can have the usual port.
const SOCKET_PORT: u16 = 5432;

/// For data nobody will miss. `synchronous_commit` stays on: without fsync it costs nothing, and off,
/// [`Cluster::kill`] would lose commits that were acknowledged.
const SCRATCH_SETTINGS: [(&str, &str); 8] = [
    ("fsync", "off"),
    ("full_page_writes", "off"),
    ("wal_level", "minimal"),
    ("max_wal_senders", "0"),
    ("max_wal_size", "256MB"),
    ("autovacuum", "off"),
    ("shared_buffers", "64MB"),
    ("max_connections", "300"),
];

/// For every cluster: dynamic shared memory lies in the data folder and goes with it, while `posix` leaves files in
/// /dev/shm after a kill.
const SHARED_MEMORY: (&str, &str) = ("dynamic_shared_memory_type", "mmap");

/// Where the data is kept.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Storage {
    /// A folder of its own that goes with the cluster, in /dev/shm when that has 1 GiB free, else in
    /// the temporary folder (`FBS_SANDBOX_SCRATCH` names another place). Not durable.
    #[default]
    Scratch,
    /// This data folder, which is made when absent or empty, and stays. Durable.
    Folder(PathBuf),
}

/// How to start a [`Cluster`]. The default is a scratch cluster, reached by its socket only.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// Where the data is kept.
    pub storage: Storage,
    /// A stopped data folder of the same major version to copy instead of running `initdb`, as
    /// [`Cluster::save_as_template`] makes it. Not used when the storage already holds data.
    pub template: Option<PathBuf>,
    /// Server settings, which override those of the sandbox.
    pub settings: Vec<(String, String)>,
    /// Listen on a free port of 127.0.0.1 too.
    pub tcp: bool,
    /// A disk of so many MiB beside the data, to be filled: [`Cluster::small_disk`].
    pub small_disk_mib: Option<u32>,
    /// Server binaries; `None` searches for them, which takes 10-15 ms.
    pub binaries: Option<Binaries>,
}

/// A running (or deliberately stopped) private server. Dropping it blocks for some 50 ms.
#[derive(Debug)]
pub struct Cluster {
    /// One operation at a time: faults wait for each other.
    keeper: Mutex<Keeper>,
    binaries: Binaries,
    account: Option<Account>,
    run: PathBuf,
    data: PathBuf,
    log: PathBuf,
    durable: bool,
    settings: Vec<(String, String)>,
    tcp: bool,
    small_disk_mib: Option<u32>,
    port: u16,
}

impl Cluster {
    /// Makes the data folder if need be, starts the server and returns when it accepts connections.
    ///
    /// Dropping the future half-way leaves nothing behind either.
    ///
    /// # Errors
    ///
    /// No binaries, a folder that cannot be used, or a server that does not come up within 60 s.
    pub async fn start(options: Options) -> Result<Self, Error> {
        let begin = Instant::now();
        let Options { storage, template, settings, tcp, small_disk_mib, binaries } = options;
        let binaries = binaries.map_or_else(binaries::find, Ok)?;
        let run = folder::scratch_path();
        let (data, durable) = match &storage {
            Storage::Scratch => (run.join("data"), false),
            Storage::Folder(folder) => (std::path::absolute(folder).map_err(Error::io("resolve", folder))?, true),
        };
        let account = Account::choose(&data)?;
        let mut keeper = Keeper::start(&run)?;
        if let Some(account) = &account {
            account.hand_over(&run)?;
        }
        let maker = Maker { binaries: &binaries, account: account.as_ref(), template: template.as_deref() };
        if durable {
            maker.durable(&mut keeper, &data).await?
        } else {
            maker.scratch(&mut keeper, &data).await?
        }
        let log = if durable { data.join(LOG_NAME) } else { run.join(LOG_NAME) };
        let keeper = Mutex::new(keeper);
        let port = SOCKET_PORT;
        let mut cluster =
            Self { keeper, binaries, account, run, data, log, durable, settings, tcp, small_disk_mib, port };
        cluster.first_launch().await?;
        tracing::debug!(run = %cluster.run.display(), port = cluster.port, version = cluster.binaries.version,
            elapsed_ms = begin.elapsed().as_millis(), "postgres is ready");
        Ok(cluster)
    }

    /// Folder of the unix socket; only the server's user and root can enter it.
    #[must_use]
    pub fn socket_directory(&self) -> &Path {
        &self.run
    }

    /// Port: the number in the socket's name, and the TCP port when there is one.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// TCP address, if [`Options::tcp`] asked for one.
    #[must_use]
    pub fn tcp_address(&self) -> Option<SocketAddr> {
        self.tcp.then_some(SocketAddr::from((Ipv4Addr::LOCALHOST, self.port)))
    }

    /// The server's data folder.
    #[must_use]
    pub fn data_folder(&self) -> &Path {
        &self.data
    }

    /// The server's log: in the data folder of a durable cluster, else gone with the cluster.
    #[must_use]
    pub fn log_path(&self) -> &Path {
        &self.log
    }

    /// The binaries it runs on.
    #[must_use]
    pub fn binaries(&self) -> &Binaries {
        &self.binaries
    }

    /// Id of the postmaster; `None` when it is stopped.
    pub async fn postmaster(&self) -> Option<u32> {
        self.keeper.lock().await.pid()
    }

    /// How the superuser `postgres` reaches `database`, by the unix socket.
    #[must_use]
    pub fn superuser_config(&self, database: &str) -> Config {
        let mut config = Config::new();
        config.host_path(&self.run).port(self.port).user("postgres").dbname(database);
        config
    }

    /// Connects as superuser. The connection's own task ends with the client.
    ///
    /// # Errors
    ///
    /// [`Error::Connect`] with what the driver said.
    pub async fn connect(&self, database: &str) -> Result<Client, Error> {
        self.connect_as("postgres", database).await
    }

    /// As [`Self::connect`], as a role that needs no password here.
    ///
    /// # Errors
    ///
    /// As for [`Self::connect`].
    pub async fn connect_as(&self, role: &str, database: &str) -> Result<Client, Error> {
        let failed = |source| Error::Connect { database: database.to_owned(), source };
        let mut config = self.superuser_config(database);
        config.user(role);
        let (client, connection) = config.connect(NoTls).await.map_err(failed)?;
        tokio::spawn(async move {
            if let Err(error) = connection.await {
                // Expected whenever a test kills the server; the client's caller gets it as well.
                tracing::debug!(%error, "connection to the sandbox ended");
            }
        });
        Ok(client)
    }

    /// A port that was free a moment ago may be taken now; a second one will hardly be, too.
    async fn first_launch(&mut self) -> Result<(), Error> {
        if self.tcp {
            self.port = free_port()?;
        }
        let first = self.launch(&mut *self.keeper.lock().await).await;
        match first {
            Err(Error::Ended { log }) if self.tcp => {
                tracing::debug!(log, "postgres ended at once, trying another port");
                self.port = free_port()?;
                self.launch(&mut *self.keeper.lock().await).await
            }
            other => other,
        }
    }

    async fn launch(&self, keeper: &mut Keeper) -> Result<(), Error> {
        let (log, log_start) = keeper::append(&self.log)?;
        let signal = if self.durable { "INT" } else { "QUIT" }; // fast with a checkpoint, or at once
        let (mut program, mut arguments) = (self.binaries.program("postgres"), self.arguments());
        if let Some(mib) = self.small_disk_mib {
            (program, arguments) = small_disk::mounted(&self.run, mib, program, arguments);
        }
        keeper.launch(&program, &arguments, self.account.as_ref(), log, signal)?;
        let begin = Instant::now();
        while !self.is_ready(keeper.pid()) {
            if keeper.exited()?.is_some() {
                return Err(Error::Ended { log: error::tail(&self.log, log_start) });
            }
            if begin.elapsed() > READY_LIMIT {
                keeper.end();
                return Err(Error::NotReady { limit_s: READY_LIMIT.as_secs(), log: error::tail(&self.log, log_start) });
            }
            sleep(keeper::POLL).await;
        }
        Ok(())
    }

    /// Line 8 of `postmaster.pid` says `ready`, or `standby`; no connection has to fail before one works. The file
    /// of a killed server says so too, hence the look at line 1.
    fn is_ready(&self, pid: Option<u32>) -> bool {
        let Ok(pidfile) = fs::read_to_string(self.data.join("postmaster.pid")) else { return false };
        let mut lines = pidfile.lines().map(str::trim);
        let own = lines.next().and_then(|line| line.parse().ok());
        own.is_some() && own == pid && matches!(lines.nth(6), Some("ready" | "standby"))
    }

    fn arguments(&self) -> Vec<OsString> {
        let listen = if self.tcp { "127.0.0.1" } else { "" };
        let mut arguments: Vec<OsString> = vec!["-D".into(), self.data.clone().into()];
        arguments.extend(["-k".into(), self.run.clone().into(), "-h".into(), listen.into()]);
        arguments.extend(["-p".into(), self.port.to_string().into()]);
        let scratch = SCRATCH_SETTINGS.iter().filter(|_| !self.durable);
        let own = scratch.chain([&SHARED_MEMORY]).map(|(name, value)| format!("{name}={value}"));
        let given = self.settings.iter().map(|(name, value)| format!("{name}={value}"));
        for setting in own.chain(given) {
            arguments.extend(["-c".into(), setting.into()]);
        }
        arguments
    }
}

fn free_port() -> Result<u16, Error> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).and_then(|listener| listener.local_addr());
    listener.map(|address| address.port()).map_err(Error::io("find a free port on", Path::new("127.0.0.1")))
}
