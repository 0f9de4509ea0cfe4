//! The client: a connection, and the questions about routes.
//!
//! Holds nothing but a channel and a deadline. Does not remember routes: each question goes to the service.

use std::time::Duration;

use fbs_router_proto::{
    document::v1::document_service_client::DocumentServiceClient,
    router::v1::{
        BatchResolveDatabasesRequest, ExplainRouteRequest, ExplainRouteResponse, ResolveDatabaseRequest,
        ResolveDatabaseResponse, ResolveResult, resolve_result::Outcome, router_service_client::RouterServiceClient,
    },
};
use tonic::transport::Channel;

use crate::{
    Answer, Ask, Builder, Documents, Error,
    call::{self, Call},
};

/// A connected client. Clones share the connection.
#[derive(Debug, Clone)]
pub struct Client {
    pub(crate) router: RouterServiceClient<Channel>,
    pub(crate) documents: DocumentServiceClient<Channel>,
    pub(crate) deadline: Duration,
}

impl Client {
    /// Connects with the default settings; see [`Builder::connect`].
    pub async fn connect(url: impl AsRef<str>) -> Result<Self, Error> {
        Self::builder().connect(url).await
    }

    /// Settings to connect with.
    pub fn builder() -> Builder {
        Builder::default()
    }

    /// The same connection with another deadline for each call, held to 1 ms..=24 h.
    #[must_use]
    pub fn with_deadline(&self, deadline: Duration) -> Self {
        Self { deadline: call::bounded(deadline), ..self.clone() }
    }

    /// The documents of a solution. Asks nothing yet.
    pub fn solution(&self, solution: impl Into<String>) -> Documents {
        Documents::new(self.clone(), solution.into())
    }

    /// Where a solution's data lives: of the documents app if only a solution is given. Answers only routes that may
    /// be used now; others are errors, such as [`RouteMoving`](crate::ErrorReason::RouteMoving).
    pub async fn resolve(
        &self,
        request: impl Ask<ResolveDatabaseRequest>,
    ) -> Result<Answer<ResolveDatabaseResponse>, Error> {
        let call = self.call();
        let mut router = self.router.clone();
        let request = call.request(request.ask());
        call.reply(router.resolve_database(request)).await
    }

    /// Resolves 1 to 1,000 pairs from one table; each succeeds or fails alone, in the order asked.
    pub async fn batch_resolve<R: Ask<ResolveDatabaseRequest>>(
        &self,
        requests: impl IntoIterator<Item = R>,
    ) -> Result<Vec<Result<ResolveDatabaseResponse, Error>>, Error> {
        let requests: Vec<_> = requests.into_iter().map(Ask::ask).collect();
        let asked = requests.len();
        let call = self.call();
        let mut router = self.router.clone();
        let request = call.request(BatchResolveDatabasesRequest { requests });
        let results = call.reply(router.batch_resolve_databases(request)).await?.into_message().results;
        if results.len() != asked {
            // Answers are matched by position: a wrong count would hand out another solution's database.
            return Err(Error::reply(format!("{} results for {asked} requests", results.len())));
        }
        Ok(results.into_iter().map(outcome).collect())
    }

    /// How a route is decided; also of routes that may not be used. [`outcome`] reads what resolving would answer.
    pub async fn explain(
        &self,
        request: impl Ask<ResolveDatabaseRequest>,
    ) -> Result<Answer<ExplainRouteResponse>, Error> {
        let call = self.call();
        let mut router = self.router.clone();
        let request = call.request(ExplainRouteRequest { request: Some(request.ask()) });
        call.reply(router.explain_route(request)).await
    }

    fn call(&self) -> Call {
        Call { deadline: self.deadline, request_id: None }
    }
}

/// A result inside a message, as [`Client::resolve`] would have returned it.
pub fn outcome(result: ResolveResult) -> Result<ResolveDatabaseResponse, Error> {
    match result.outcome {
        Some(Outcome::Resolved(resolved)) => Ok(resolved),
        Some(Outcome::Error(status)) => Err(Error::from_message(&status)),
        None => Err(Error::reply("a result that is neither resolved nor an error".to_owned())),
    }
}
