//! One service, its Postgres, and a client.

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use fbs_router::{config::Config, service::Service};
use fbs_router_client::Client;
use fbs_router_sandbox::{Address, FaultProxy, Mode, Platform, platform};
use tempfile::TempDir;
use tokio::{sync::watch, task::JoinHandle, time::Instant};

use crate::TestError;

/// Longest a fresh service takes to be ready; it takes a fraction of a second.
const READY: Duration = Duration::from_secs(20);
/// Between two looks whether it is.
const PAUSE: Duration = Duration::from_millis(20);

/// A running service, with a Postgres of its own. Dropped, everything is gone, open calls included.
#[derive(Debug)]
pub struct TestRouter {
    /// What callers connect to. The tasks of a service's connections are nobody's to abort; they end with their
    /// connections, which this one cuts.
    entrance: FaultProxy,
    pub(crate) platform: Platform,
    pub(crate) proxy: FaultProxy,
    /// Files of the service: configuration, password, snapshot.
    folder: TempDir,
    lines: String,
    /// Of the service, behind the entrance.
    address: SocketAddr,
    running: Running,
    client: Client,
}

/// The service's task; aborted when dropped.
#[derive(Debug)]
struct Running {
    task: JoinHandle<()>,
    /// Kept, because a service stops when it is gone.
    _stop: watch::Sender<bool>,
}

impl TestRouter {
    /// Starts a service with quick scans, and waits until it serves. Nobody has a database of his own.
    pub async fn start() -> Result<Self, TestError> {
        Self::start_with("").await
    }

    /// As [`start`](Self::start), with further lines of configuration in TOML, such as `[deadline]\ndefault = "1s"`; they may open any
    /// section but `listen`, `server`, `routing`, `ledger` and `drain`.
    pub async fn start_with(lines: &str) -> Result<Self, TestError> {
        let platform = Platform::scratch(&platform::user_cache()?, false).await?;
        // The sandbox is made with a sample solution in it; here every solution begins without.
        platform.implementer().drop_database(platform::ACME_DATABASE).await?;
        let socket = format!(".s.PGSQL.{}", platform.cluster.port());
        let proxy = FaultProxy::start(Address::Unix(platform.cluster.socket_directory().join(socket))).await?;
        let folder = tempfile::tempdir()?;
        std::fs::write(folder.path().join("password"), platform::PASSWORD)?;
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        let (address, running) = serve(&folder, proxy.port(), any, lines).await?;
        let entrance = FaultProxy::start(Address::Tcp(address)).await?;
        let client = ready(&url(&entrance)).await?;
        Ok(Self { entrance, platform, proxy, folder, lines: lines.to_owned(), address, running, client })
    }

    /// Where it serves, such as `http://127.0.0.1:40000`; stays the same after [`restart`](Self::restart).
    pub fn url(&self) -> String {
        url(&self.entrance)
    }

    /// A connected client with the default settings. For others: `Client::builder()….connect(router.url())`.
    pub fn client(&self) -> Client {
        self.client.clone()
    }

    /// Ends the service as `kill -9` would, open calls included, and starts it again on the same address with the same
    /// files. Until it serves, new connections are reset.
    pub async fn restart(&mut self) -> Result<(), TestError> {
        self.entrance.set(Mode::Refuse);
        self.running.task.abort();
        let _ = (&mut self.running.task).await;
        let until = Instant::now() + READY;
        (self.address, self.running) = loop {
            // The tasks of the one before let go of the port a moment after their end.
            match serve(&self.folder, self.proxy.port(), self.address, &self.lines).await {
                Err(TestError::NotReady(_)) if Instant::now() < until => tokio::time::sleep(PAUSE).await,
                outcome => break outcome?,
            }
        };
        self.entrance.set(Mode::Forward);
        // The client finds its way back by itself; this one only waits.
        ready(&self.url()).await.map(drop)
    }
}

fn url(entrance: &FaultProxy) -> String {
    format!("http://{}", entrance.address())
}

async fn serve(
    folder: &TempDir,
    postgres: u16,
    address: SocketAddr,
    lines: &str,
) -> Result<(SocketAddr, Running), TestError> {
    let path: PathBuf = folder.path().join("router.toml");
    let text = format!(
        "[listen]\ngrpc = \"{address}\"\n\
         [[server]]\nname = \"main\"\nurl = \"postgres://fbs_router@127.0.0.1:{postgres}\"\npassword_file = \"{}\"\n\
         [routing]\nscan_interval = \"300ms\"\nscan_timeout = \"2s\"\n\
         [ledger]\npoll_interval = \"300ms\"\n\
         [drain]\nwait = \"0s\"\nlimit = \"1s\"\n{lines}\n",
        folder.path().join("password").display()
    );
    let config = Config::parse(&text, &path, [], &[]).map_err(|error| TestError::Configuration(error.to_string()))?;
    let service = Service::bind(config).await.map_err(|error| TestError::NotReady(error.to_string()))?;
    let address = service.grpc_address().unwrap_or(address);
    let (stop, stopped) = watch::channel(false);
    let task = tokio::spawn(async move { drop(service.run(stopped).await) });
    Ok((address, Running { task, _stop: stop }))
}

/// A client of a service that answers for real: that it has answered at all does not mean that it is ready.
async fn ready(url: &str) -> Result<Client, TestError> {
    let until = Instant::now() + READY;
    loop {
        let problem = match Client::connect(url).await {
            // Needs ledger and catalogs, and changes nothing.
            Ok(client) => match client.resolve("fbs-router-testing").await {
                Ok(_) => return Ok(client),
                Err(error) => error,
            },
            Err(error) => error,
        };
        if Instant::now() > until {
            return Err(TestError::NotReady(problem.to_string()));
        }
        tokio::time::sleep(PAUSE).await;
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.task.abort();
    }
}
