//! fbs-router on three shapes of runtime.
//!
//! The first is what `fbs-router serve` does. The others are put together from the library's public parts, because the
//! wiring takes no listener of somebody else's; they leave out health, reflection and draining, which no call meets.

use std::{
    net::{Ipv4Addr, SocketAddr, TcpListener as StdListener},
    path::Path,
    sync::Arc,
    thread::available_parallelism,
};

use fbs_router::{
    config::Config,
    metrics::Metrics,
    postgres::PostgresServer,
    routing::Router,
    rpc::{Documents, Routes, authenticate::Authenticate, callers::Callers, observe::Observe, tokens::Tokens},
    service::Service,
};
use fbs_router_proto::{
    document::v1::document_service_server::DocumentServiceServer,
    router::v1::router_service_server::RouterServiceServer,
};
use tokio::{
    net::{TcpListener, TcpSocket},
    runtime::{Builder, Runtime},
    sync::watch,
};
use tonic::transport::{Server, server::TcpIncoming};

use crate::{Outcome, child, servers::default_runtime, world};

/// Pending connections a listener.
const BACKLOG: u32 = 1_024;

/// One replica of the parts, without a runtime of its own.
struct Replica {
    config: Config,
    metrics: Arc<Metrics>,
    router: Arc<Router>,
}

/// One multi-thread runtime, as `main` has it.
pub(super) fn as_served(config: &Path) -> Outcome<()> {
    log();
    default_runtime()?.block_on(async {
        let service = Service::bind(load(config, &[])?).await?;
        child::announce(service.grpc_address().ok_or("no address")?)?;
        let (_stop, stopped) = watch::channel(false);
        Ok(service.run(stopped).await?)
    })
}

/// A replica a core, each with its share of the connections to Postgres.
pub(super) fn each_core(config: &Path) -> Outcome<()> {
    log();
    let cores = available_parallelism()?.get();
    let share = format!("pool.max_size={}", (world::POOL / cores).max(1));
    let config = config.to_owned();
    on_each_core(move |listener, runtime| {
        let replica = Replica::new(load(&config, std::slice::from_ref(&share))?)?;
        runtime.block_on(async {
            let _background = replica.router.start();
            replica.router.tried().await;
            replica.serve(listener).await
        })
    })
}

/// One replica: table, pools and background tasks are everybody's, only serving is a core's.
pub(super) fn shared_by_cores(config: &Path) -> Outcome<()> {
    log();
    let replica = Arc::new(Replica::new(load(config, &[])?)?);
    let background = Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    let _tasks = background.block_on(async {
        let tasks = replica.router.start();
        replica.router.tried().await;
        tasks
    });
    on_each_core(move |listener, runtime| runtime.block_on(replica.serve(listener)))
}

/// Runs `serve` on a thread a core, each with a current-thread runtime and a listener on one port: the kernel deals out
/// the connections.
fn on_each_core(serve: impl Fn(StdListener, Runtime) -> Outcome<()> + Send + Sync + 'static) -> Outcome<()> {
    let serve = Arc::new(serve);
    let mut address = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let mut threads = Vec::new();
    for _ in 0..available_parallelism()?.get() {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let listener = runtime.block_on(async { shared_listener(address) })?;
        address = listener.local_addr()?;
        let serve = Arc::clone(&serve);
        threads.push(std::thread::spawn(move || serve(listener, runtime)));
    }
    child::announce(address)?;
    threads.into_iter().try_for_each(|thread| thread.join().map_err(|_| "a serving thread panicked")?)
}

fn shared_listener(address: SocketAddr) -> std::io::Result<StdListener> {
    let socket = TcpSocket::new_v4()?;
    socket.set_reuseaddr(true)?;
    socket.set_reuseport(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)?.into_std()
}

impl Replica {
    fn new(config: Config) -> Outcome<Self> {
        let servers: Result<Vec<_>, _> =
            config.servers.iter().map(|server| PostgresServer::new(server).map(Arc::new)).collect();
        let metrics = Arc::new(Metrics::default());
        let router = Arc::new(Router::new(&config, servers?, Arc::clone(&metrics)));
        Ok(Self { config, metrics, router })
    }

    async fn serve(&self, listener: StdListener) -> Outcome<()> {
        let tokens = Arc::new(Tokens::random());
        let documents = Documents::new(Arc::clone(&self.router), Arc::clone(&tokens), self.config.documents.clone());
        let observe = Observe { limits: Arc::new(self.config.deadline.clone()), metrics: Arc::clone(&self.metrics) };
        let callers = Callers::new(self.config.callers.as_ref(), &self.config.naming)?;
        let incoming = TcpIncoming::from(TcpListener::from_std(listener)?).with_nodelay(Some(true));
        let limits = &self.config.limits;
        let serving = Server::builder()
            .max_concurrent_streams(Some(limits.concurrent_streams))
            .http2_max_header_list_size(Some(limits.header_bytes))
            .layer(observe)
            .layer(Authenticate::new(Arc::new(callers)))
            .add_service(
                RouterServiceServer::new(Routes::new(Arc::clone(&self.router), Arc::clone(&tokens)))
                    .max_decoding_message_size(limits.request_bytes),
            )
            .add_service(DocumentServiceServer::new(documents).max_decoding_message_size(limits.request_bytes))
            .serve_with_incoming(incoming);
        Ok(serving.await?)
    }
}

fn load(path: &Path, settings: &[String]) -> Outcome<Config> {
    Ok(Config::load(path, [], settings)?)
}

/// As `serve` logs: spans are made for every call at `info`, the default. FBS_ROUTER_LOG decides here, too.
fn log() {
    use tracing_subscriber::{EnvFilter, Layer, layer::SubscriberExt, util::SubscriberInitExt};
    let filter = std::env::var("FBS_ROUTER_LOG").unwrap_or_else(|_| "info".to_owned());
    let layer = tracing_subscriber::fmt::layer().with_writer(std::io::stderr).with_ansi(false).boxed();
    tracing_subscriber::registry().with(layer.with_filter(EnvFilter::new(filter))).init();
}
