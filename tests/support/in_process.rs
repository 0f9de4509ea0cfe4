//! The services with all their layers, called without a socket: a call is one future, which can be polled and dropped.
//!
//! Put together from the library's public parts, as the wiring does it; health, reflection and draining are left out,
//! which no call meets.

use std::{path::Path, sync::Arc};

use fbs_router::{
    config::Config,
    metrics::Metrics,
    moving::Moves,
    postgres::PostgresServer,
    routing::Router,
    rpc::{
        Admin, Documents, Routes,
        authenticate::{Authenticate, Authenticated},
        callers::Callers,
        in_flight::{Bounded, InFlight, Shares},
        observe::{Observe, Observed},
        tokens::Tokens,
    },
};
use fbs_router_proto::{
    admin::v1::admin_service_server::AdminServiceServer,
    document::v1::{document_service_client::DocumentServiceClient, document_service_server::DocumentServiceServer},
    router::v1::{router_service_client::RouterServiceClient, router_service_server::RouterServiceServer},
};
use prost::bytes::Bytes;
use tokio::task::JoinSet;
use tonic::{Status, service::Routes as Services};
use tower::Layer;

use super::methods::send_to;

/// What a connection's calls go through, in the order of the wiring.
pub(crate) type Layered = Observed<Authenticated<Bounded<Services>>>;

/// One router without a port.
pub(crate) struct InProcess {
    layered: Layered,
    router: Arc<Router>,
    shares: Arc<Shares>,
    /// Ended with it.
    _background: JoinSet<()>,
}

impl InProcess {
    /// A router that has looked at its servers once.
    pub(crate) async fn start(text: &str, path: &Path, settings: &[&str]) -> Self {
        let settings: Vec<String> = settings.iter().map(|setting| (*setting).to_owned()).collect();
        let config = Config::parse(text, path, [], &settings).expect("a configuration");
        let servers = config.servers.iter().map(|server| Arc::new(PostgresServer::new(server).expect("a server")));
        let metrics = Arc::new(Metrics::default());
        let router = Arc::new(Router::new(&config, servers.collect(), Arc::clone(&metrics)));
        let mut background = router.start();
        router.tried().await;
        let tokens = Arc::new(Tokens::random());
        let documents = Documents::new(Arc::clone(&router), Arc::clone(&tokens), config.documents.clone());
        let (moves, list) = Moves::new(Arc::clone(&router), config.moving.clone());
        background.spawn(list.make());
        background.spawn(Arc::clone(&moves).recover());
        let admin = Admin::new(Arc::clone(&router), moves, config.routing.isolation);
        let mut services = Services::builder();
        services
            .add_service(AdminServiceServer::new(admin))
            .add_service(RouterServiceServer::new(Routes::new(Arc::clone(&router), tokens)))
            .add_service(DocumentServiceServer::new(documents));
        let callers = Callers::new(config.callers.as_ref(), &config.naming).expect("callers");
        let observe = Observe { limits: Arc::new(config.deadline.clone()), metrics };
        let shares = Shares::new(config.limits.in_flight_bytes);
        let in_flight = InFlight::new(Arc::clone(&shares), config.limits.request_bytes);
        let bounded = in_flight.layer(services.routes());
        let layered = observe.layer(Authenticate::new(Arc::new(callers)).layer(bounded));
        Self { layered, router, shares, _background: background }
    }

    /// A client of the document service.
    pub(crate) fn documents(&self) -> DocumentServiceClient<Layered> {
        DocumentServiceClient::new(self.layered.clone())
    }

    /// A client of the routing service.
    pub(crate) fn routes(&self) -> RouterServiceClient<Layered> {
        RouterServiceClient::new(self.layered.clone())
    }

    /// Bytes that calls hold.
    pub(crate) fn held(&self) -> usize {
        self.shares.held()
    }

    /// Its connections: pooled ones, one for the catalog, one for the ledger.
    pub(crate) fn sessions(&self) -> i64 {
        let pooled: usize = self.router.pools().status().iter().map(|(_, status)| status.size).sum();
        pooled as i64 + 2
    }

    /// Sends these messages to a method, and reads its answer to the end.
    pub(crate) async fn send(&self, path: &str, messages: Vec<Bytes>) -> Result<Vec<Bytes>, Status> {
        send_to(self.layered.clone(), path, messages).await
    }
}
