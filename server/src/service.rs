//! The wiring, and the only one: configuration → postgres → routing → rpc → health → drain.
//!
//! `main` binds and runs it; tests do the same in process on port 0. Nothing here decides anything about a call.

mod accepted;
mod guard;
mod incoming;
mod ops;
mod places;
mod reload;
mod stamp;
mod tls;

use std::{io, net::SocketAddr, sync::Arc};

use fbs_router_proto::{
    FILE_DESCRIPTOR_SET, admin::v1::admin_service_server::AdminServiceServer,
    document::v1::document_service_server::DocumentServiceServer,
    router::v1::router_service_server::RouterServiceServer,
};
use tokio::{
    net::{TcpListener, UnixListener},
    sync::watch,
    task::JoinSet,
};
use tonic::{service::Routes as TonicRoutes, transport::Server};
use tonic_health::server::HealthReporter;
use tower::layer::util::{Identity, Stack};

pub use self::{
    guard::loss,
    reload::{Load, Source},
    tls::{ServerTls, TlsFileError},
};
use self::{
    incoming::{Door, Encrypted, Plain},
    ops::Entrance,
    places::Places,
    reload::Reload,
};
use crate::{
    config::{Config, Limits},
    metrics::Metrics,
    moving::Moves,
    postgres::PostgresServer,
    routing::{Readiness, Router},
    rpc::{
        Admin, Documents, Routes,
        authenticate::Authenticate,
        callers::Callers,
        health::{self, Reported},
        in_flight::{InFlight, Shares},
        observe::Observe,
        tokens::Tokens,
    },
};

/// What every call goes through: it is observed, then authenticated, then its memory is counted.
type Around = Stack<InFlight, Stack<Authenticate, Observe>>;

/// Longest answer. Handlers end theirs at 3 MiB: this is for one that does not.
const ANSWER_BYTES: usize = 8 * 1024 * 1024;

/// Longest question after health, which anybody may ask, and of reflection: the name of something.
const NAME_BYTES: usize = 4 * 1024;

/// A service that listens and is not serving yet.
#[derive(Debug)]
pub struct Service {
    config: Arc<Config>,
    router: Arc<Router>,
    tokens: Arc<Tokens>,
    callers: Arc<Callers>,
    metrics: Arc<Metrics>,
    tls: Option<Arc<ServerTls>>,
    grpc: TcpListener,
    ops: Option<TcpListener>,
    unix: Option<UnixListener>,
    refuses_unsafe_durability: bool,
    source: Option<Source>,
}

/// Why there is no service, or no longer.
#[derive(Debug, thiserror::Error)]
pub enum ServiceError {
    /// An address cannot be listened on.
    #[error("cannot listen on {address}")]
    Listen {
        /// As configured.
        address: String,
        /// Why.
        source: io::Error,
    },
    /// The configuration cannot be used.
    #[error("{0}")]
    Configuration(String),
    /// What the first look at the servers found is not served; one line each, with the line that mends it.
    #[error("{}", .0.join("\n"))]
    Refused(Vec<String>),
    /// A scan, the reading of the ledger, or another background task ended: what is known would only get older.
    #[error("a background task ended; the log says which")]
    Background,
    /// The transport failed.
    #[error("grpc: {0}")]
    Transport(#[from] tonic::transport::Error),
}

impl Service {
    /// Prepares everything and listens; serves nothing yet.
    pub async fn bind(config: Config) -> Result<Self, ServiceError> {
        let configuration = |problem: &dyn std::fmt::Display| ServiceError::Configuration(problem.to_string());
        let tokens = match &config.tokens.key_file {
            Some(path) => Tokens::from_key_file(path).map_err(|error| configuration(&error))?,
            None => {
                tracing::warn!(
                    "tokens.key_file is not set: page tokens end with this process and differ between replicas"
                );
                Tokens::random()
            }
        };
        let mut servers = Vec::new();
        for settings in &config.servers {
            servers.push(Arc::new(PostgresServer::new(settings).map_err(|error| configuration(&error))?));
        }
        let callers =
            Callers::new(config.callers.as_ref(), &config.naming).map_err(|problems| configuration(&problems))?;
        let tls = match &config.listen.tls {
            Some(settings) => Some(Arc::new(ServerTls::load(settings).map_err(|error| configuration(&error))?)),
            None => None,
        };
        let metrics = Arc::new(Metrics::default());
        let router = Arc::new(Router::new(&config, servers, Arc::clone(&metrics)));
        let grpc = listen(config.listen.grpc).await?;
        let ops = match config.listen.ops {
            Some(address) => Some(listen(address).await?),
            None => None,
        };
        let unix = config.listen.unix.as_deref().map(listen_unix).transpose()?;
        Ok(Self {
            config: Arc::new(config),
            router,
            tokens: Arc::new(tokens),
            callers: Arc::new(callers),
            metrics,
            tls,
            grpc,
            ops,
            unix,
            refuses_unsafe_durability: false,
            source: None,
        })
    }

    /// Does not serve from a Postgres that may lose acknowledged writes, if that shows at the first look; later it is
    /// logged as an error.
    #[must_use]
    pub fn refusing_unsafe_durability(self) -> Self {
        Self { refuses_unsafe_durability: true, ..self }
    }

    /// Reads its configuration again from there, while it runs.
    #[must_use]
    pub fn reloading(self, source: Source) -> Self {
        Self { source: Some(source), ..self }
    }

    /// Where gRPC is served.
    pub fn grpc_address(&self) -> Option<SocketAddr> {
        self.grpc.local_addr().ok()
    }

    /// Where metrics and probes are served.
    pub fn ops_address(&self) -> Option<SocketAddr> {
        self.ops.as_ref().and_then(|listener| listener.local_addr().ok())
    }

    /// Serves until `stop` is true, then drains. Bounded by `drain.wait` and `drain.limit`.
    pub async fn run(self, stop: watch::Receiver<bool>) -> Result<(), ServiceError> {
        // From here on every task ends with this function: dropping the set aborts them.
        let mut background = self.router.start();
        let (mut reporter, health_service) = tonic_health::server::health_reporter();
        health::begin(&reporter).await;
        let (draining, drain_seen) = watch::channel(false);
        let (reported, report) = watch::channel(Readiness::NotReady("starting".to_owned()));
        background.spawn(health::follow(reporter.clone(), Arc::clone(&self.router), reported, drain_seen.clone()));
        background.spawn(Arc::clone(&self.callers).follow(Arc::clone(&self.metrics)));
        let door = Door {
            places: Places::new(self.config.limits.connections, self.config.limits.connections_per_peer),
            handshake: self.config.limits.handshake,
            metrics: Arc::clone(&self.metrics),
        };
        let shares = Shares::new(self.config.limits.in_flight_bytes);
        if let Some(listener) = self.ops {
            let entrance =
                Entrance { places: Arc::clone(&door.places), tls: self.tls.clone(), shares: Arc::clone(&shares) };
            let page = ops::page(Arc::clone(&self.router), Arc::clone(&self.metrics), entrance, report);
            background.spawn(ops::serve(listener, page));
        }
        if let Some(source) = self.source {
            let (router, metrics) = (Arc::clone(&self.router), Arc::clone(&self.metrics));
            let reload = Reload::new(source, &self.config, router, metrics, !self.refuses_unsafe_durability);
            background.spawn(reload.follow());
        }
        if let Some(tls) = &self.tls {
            background.spawn(Arc::clone(tls).follow(Arc::clone(&self.metrics)));
        }

        let (moves, list) = Moves::new(Arc::clone(&self.router), self.config.moving.clone());
        background.spawn(list.make());
        background.spawn(Arc::clone(&moves).recover());
        let mut routes = TonicRoutes::builder();
        routes.add_service(health_service.max_decoding_message_size(NAME_BYTES));
        for_callers(&mut routes, &self.config, &self.router, &self.tokens, moves);
        for_reflection(&mut routes)?;
        let observe = Observe { limits: Arc::new(self.config.deadline.clone()), metrics: self.metrics };
        let in_flight = InFlight::new(shares, self.config.limits.request_bytes);
        let around = Around::new(in_flight, Stack::new(Authenticate::new(self.callers), observe));
        let (close, closed) = watch::channel(false);
        let routes = routes.routes();
        let server = || server(&self.config.limits, around.clone()).add_routes(routes.clone());
        let mut serving = JoinSet::new();
        if let Some(listener) = self.unix {
            let connections = door.clone().connections(listener, Plain);
            serving.spawn(server().serve_with_incoming_shutdown(connections, until(closed.clone())));
        }
        // In two branches, because a connection's own type is what tells handlers whether its peer showed a certificate.
        if let Some(tls) = self.tls {
            let connections = door.connections(self.grpc, Encrypted(tls));
            serving.spawn(server().serve_with_incoming_shutdown(connections, until(closed)));
        } else {
            let connections = door.connections(self.grpc, Plain);
            serving.spawn(server().serve_with_incoming_shutdown(connections, until(closed)));
        }

        let outcome = tokio::select! {
            () = until(stop) => Ok(()),
            refused = guard::watch(&self.router, self.refuses_unsafe_durability) => return Err(ServiceError::Refused(refused)),
            ended = background.join_next() => {
                tracing::error!(?ended, "a background task ended");
                return Err(ServiceError::Background);
            }
            ended = serving.join_next() => ended.and_then(Result::ok).unwrap_or(Ok(())),
        };
        drain(&self.config.drain, &mut reporter, &draining, &close, serving).await;
        // Waited for, not only told: whoever sees this process end must find its ports closed.
        background.shutdown().await;
        self.router.pools().close_all();
        if let Some(path) = &self.config.listen.unix {
            let _ = std::fs::remove_file(path);
        }
        Ok(outcome?)
    }
}

/// Unready first, so that load balancers look elsewhere; then no new connections; then an end, come what may.
async fn drain(
    settings: &crate::config::Drain,
    reporter: &mut HealthReporter,
    draining: &watch::Sender<bool>,
    close: &watch::Sender<bool>,
    mut serving: JoinSet<Result<(), tonic::transport::Error>>,
) {
    tracing::info!("draining");
    draining.send_replace(true);
    tokio::time::sleep(settings.wait).await;
    health::end_streams(reporter).await;
    close.send_replace(true);
    let drained = tokio::time::timeout(settings.limit, async { while serving.join_next().await.is_some() {} }).await;
    match drained {
        Ok(()) => tracing::info!("drained"),
        Err(_) => tracing::warn!("calls were still open after drain.limit and are cut"),
    }
}

/// tonic's unset limits mean none at all: every one is set.
fn server(limits: &Limits, around: Around) -> Server<Stack<Around, Identity>> {
    Server::builder()
        .max_concurrent_streams(Some(limits.concurrent_streams))
        .http2_max_header_list_size(Some(limits.header_bytes))
        .http2_max_pending_accept_reset_streams(Some(20))
        .http2_max_local_error_reset_streams(Some(1_024))
        .http2_keepalive_interval(Some(limits.keepalive))
        .http2_keepalive_timeout(Some(limits.keepalive_timeout))
        // Age alone: with a grace besides, connections are dropped with their calls.
        .max_connection_age(limits.connection_age)
        .layer(around)
}

/// The services of the contract.
fn for_callers(
    routes: &mut tonic::service::RoutesBuilder,
    config: &Config,
    router: &Arc<Router>,
    tokens: &Arc<Tokens>,
    moves: Arc<Moves>,
) {
    let limit = config.limits.request_bytes;
    let admin = Admin::new(Arc::clone(router), moves, config.routing.isolation);
    let documents = Documents::new(Arc::clone(router), Arc::clone(tokens), config.documents.clone());
    let of_routes = Routes::new(Arc::clone(router), Arc::clone(tokens));
    routes
        .add_service(
            RouterServiceServer::new(of_routes)
                .max_decoding_message_size(limit)
                .max_encoding_message_size(ANSWER_BYTES),
        )
        .add_service(
            AdminServiceServer::new(admin).max_decoding_message_size(limit).max_encoding_message_size(ANSWER_BYTES),
        )
        .add_service(
            DocumentServiceServer::new(documents)
                .max_decoding_message_size(limit)
                .max_encoding_message_size(ANSWER_BYTES),
        );
}

fn for_reflection(routes: &mut tonic::service::RoutesBuilder) -> Result<(), ServiceError> {
    let builder = || {
        tonic_reflection::server::Builder::configure()
            .register_encoded_file_descriptor_set(FILE_DESCRIPTOR_SET)
            .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
            // So that clients by reflection can read the details of errors.
            .register_encoded_file_descriptor_set(tonic_types::pb::FILE_DESCRIPTOR_SET)
    };
    let problem = |error: tonic_reflection::server::Error| ServiceError::Configuration(error.to_string());
    // grpcurl before 1.8.8 and others know v1alpha only.
    let (v1, v1alpha) = (builder().build_v1().map_err(problem)?, builder().build_v1alpha().map_err(problem)?);
    let (v1, v1alpha) = (v1.max_decoding_message_size(NAME_BYTES), v1alpha.max_decoding_message_size(NAME_BYTES));
    routes.add_service(v1).add_service(v1alpha);
    Ok(())
}

async fn listen(address: SocketAddr) -> Result<TcpListener, ServiceError> {
    TcpListener::bind(address).await.map_err(|source| ServiceError::Listen { address: address.to_string(), source })
}

fn listen_unix(path: &std::path::Path) -> Result<UnixListener, ServiceError> {
    // A socket that a killed process left is in the way; one that somebody listens on is not ours to take.
    if std::os::unix::net::UnixStream::connect(path)
        .is_err_and(|error| error.kind() == io::ErrorKind::ConnectionRefused)
    {
        let _ = std::fs::remove_file(path);
    }
    UnixListener::bind(path).map_err(|source| ServiceError::Listen { address: path.display().to_string(), source })
}

async fn until(mut flag: watch::Receiver<bool>) {
    // A sender that is gone means stop, too.
    let _ = flag.wait_for(|flag| *flag).await;
}
