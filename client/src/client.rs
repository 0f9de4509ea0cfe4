//! The client: its connections and settings, and the questions about routes.
//!
//! Does not remember routes: each question goes to the service.

use std::{future::Future, sync::Arc, time::Duration};

use fbs_router_proto::router::v1::{
    BatchResolveDatabasesRequest, ExplainRouteRequest, ExplainRouteResponse, ListDatabasesRequest,
    ListDatabasesResponse, ListSolutionsRequest, ListSolutionsResponse, ResolveDatabaseRequest,
    ResolveDatabaseResponse, ResolveResult, Solution, list_databases_response::Entry, resolve_result::Outcome,
    router_service_client::RouterServiceClient,
};
use tonic::{Request, Response, Status, transport::Channel};

use crate::{
    Admin, Answer, Ask, Builder, Documents, Error, Listing, MESSAGE_BYTES_MAX,
    call::{self, Attempts},
    endpoints::Endpoints,
    pages::{entries, pages},
    retry::{self, Budget},
    token::Token,
};

/// A connected client. Clones are cheap, share connections and retry budget, and may be used at the same time.
#[derive(Debug, Clone)]
pub struct Client {
    pub(crate) shared: Arc<Shared>,
    attempts: u32,
    deadline: Duration,
    /// Asked for by [`with_deadline`](Self::with_deadline): holds for transfers too.
    explicit: bool,
}

/// What clones have in common.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) endpoints: Endpoints,
    pub(crate) token: Option<Token>,
    pub(crate) budget: Budget,
    pub(crate) idle_limit: Duration,
}

type Stub = RouterServiceClient<Channel>;

impl Client {
    /// Connects with the default settings; see [`Builder::connect`].
    ///
    /// Cancel safety: dropping the future closes what was opened.
    pub async fn connect(url: impl AsRef<str>) -> Result<Self, Error> {
        Self::builder().connect(url).await
    }

    /// Settings to connect with.
    pub fn builder() -> Builder {
        Builder::default()
    }

    pub(crate) fn new(shared: Shared, attempts: u32, deadline: Duration) -> Self {
        Self { shared: Arc::new(shared), attempts, deadline, explicit: false }
    }

    /// The same connections with another deadline for each call, held to 1 ms..=24 h. One asked for here also limits
    /// uploads and downloads as a whole, which otherwise may take as long as they get on, and how long a move is
    /// followed.
    #[must_use]
    pub fn with_deadline(&self, deadline: Duration) -> Self {
        Self { deadline: call::bounded(deadline), explicit: true, ..self.clone() }
    }

    /// The same connections, trying each call so often at most, held to 1..=10 as [`Builder::attempts`]. 1 means that
    /// nothing is retried: for a service that tells its own caller when to come back ([`Error::retry_after`]).
    #[must_use]
    pub fn with_attempts(&self, attempts: u32) -> Self {
        Self { attempts: retry::bounded(attempts), ..self.clone() }
    }

    /// The documents of a solution. Asks nothing yet.
    pub fn solution(&self, solution: impl Into<String>) -> Documents {
        Documents::new(self.clone(), solution.into())
    }

    /// What operators do. Asks nothing yet.
    pub fn admin(&self) -> Admin {
        Admin::new(self.clone())
    }

    /// Where a solution's data lives: of the documents app if only a solution is given. Answers only routes that may
    /// be used now; others are errors, such as [`RouteMoving`](crate::ErrorReason::RouteMoving).
    ///
    /// Cancel safety: only reads; dropping the future gives the answer up.
    pub async fn resolve(
        &self,
        request: impl Ask<ResolveDatabaseRequest>,
    ) -> Result<Answer<ResolveDatabaseResponse>, Error> {
        let send = |mut stub: Stub, request| async move { stub.resolve_database(request).await };
        self.question("ResolveDatabase", request.ask(), send).await
    }

    /// Resolves 1 to 1,000 pairs from one table; each succeeds or fails alone, in the order asked.
    ///
    /// Cancel safety: only reads; dropping the future gives the answers up.
    pub async fn batch_resolve<R: Ask<ResolveDatabaseRequest>>(
        &self,
        requests: impl IntoIterator<Item = R>,
    ) -> Result<Vec<Result<ResolveDatabaseResponse, Error>>, Error> {
        let requests: Vec<_> = requests.into_iter().map(Ask::ask).collect();
        let asked = requests.len();
        let send = |mut stub: Stub, request| async move { stub.batch_resolve_databases(request).await };
        let answer = self.question("BatchResolveDatabases", BatchResolveDatabasesRequest { requests }, send).await?;
        let results = answer.into_message().results;
        if results.len() != asked {
            // Answers are matched by position: a wrong count would hand out another solution's database.
            return Err(Error::reply(format!("{} results for {asked} requests", results.len())));
        }
        Ok(results.into_iter().map(outcome).collect())
    }

    /// How a route is decided; also of routes that may not be used. [`outcome`] reads what resolving would answer.
    ///
    /// Cancel safety: only reads; dropping the future gives the answer up.
    pub async fn explain(
        &self,
        request: impl Ask<ResolveDatabaseRequest>,
    ) -> Result<Answer<ExplainRouteResponse>, Error> {
        let send = |mut stub: Stub, request| async move { stub.explain_route(request).await };
        self.question("ExplainRoute", ExplainRouteRequest { request: Some(request.ask()) }, send).await
    }

    /// One page of the solutions that the caller may see, in order of their id. The next one is the same request with
    /// `page_token` set to this page's `next_page_token`, until that is empty.
    ///
    /// Cancel safety: only reads; dropping the future gives the page up.
    pub async fn solutions(
        &self,
        request: impl Ask<ListSolutionsRequest>,
    ) -> Result<Answer<ListSolutionsResponse>, Error> {
        let send = |mut stub: Stub, request| async move { stub.list_solutions(request).await };
        self.question("ListSolutions", request.ask(), send).await
    }

    /// All solutions, page after page; asks nothing until it is read.
    pub fn all_solutions(&self, request: impl Ask<ListSolutionsRequest>) -> Listing<Solution> {
        let client = self.clone();
        entries(pages(request.ask(), move |request| {
            let client = client.clone();
            async move { client.solutions(request).await }
        }))
    }

    /// One page of the databases that hold an app's data, the system database first.
    ///
    /// Cancel safety: only reads; dropping the future gives the page up.
    pub async fn databases(
        &self,
        request: impl Ask<ListDatabasesRequest>,
    ) -> Result<Answer<ListDatabasesResponse>, Error> {
        let send = |mut stub: Stub, request| async move { stub.list_databases(request).await };
        self.question("ListDatabases", request.ask(), send).await
    }

    /// All databases of an app, page after page: what a migration has to visit. Asks nothing until it is read.
    pub fn all_databases(&self, request: impl Ask<ListDatabasesRequest>) -> Listing<Entry> {
        let client = self.clone();
        entries(pages(request.ask(), move |request| {
            let client = client.clone();
            async move { client.databases(request).await }
        }))
    }

    /// The attempts of a call with the deadline of calls.
    pub(crate) fn call(&self, method: &'static str, solution: Option<&str>, request_id: Option<String>) -> Attempts {
        Attempts::new(&self.shared, self.attempts, method, solution, request_id, Some(self.deadline))
    }

    /// The attempts of a transfer or of a move that is followed, which has a deadline only if one was asked for.
    pub(crate) fn transfer(&self, method: &'static str, solution: &str, request_id: Option<String>) -> Attempts {
        let deadline = self.explicit.then_some(self.deadline);
        Attempts::new(&self.shared, self.attempts, method, Some(solution), request_id, deadline)
    }

    async fn question<M, R, F, Fut>(&self, method: &'static str, message: M, send: F) -> Result<Answer<R>, Error>
    where
        M: Clone,
        F: Fn(Stub, Request<M>) -> Fut,
        Fut: Future<Output = Result<Response<R>, Status>>,
    {
        let stub = |channel| Stub::new(channel).max_decoding_message_size(MESSAGE_BYTES_MAX);
        self.call(method, None, None).unary(message, |channel, request| send(stub(channel), request)).await
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
