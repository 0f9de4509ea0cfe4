//! `fbs.router.v1.RouterService`: where a solution's data lives.

use std::{sync::Arc, time::SystemTime};

use fbs_router_proto::router::v1::{
    BatchResolveDatabasesRequest, BatchResolveDatabasesResponse, ExplainRouteRequest, ExplainRouteResponse,
    ListDatabasesRequest, ListDatabasesResponse, ListSolutionsRequest, ListSolutionsResponse, ResolveDatabaseRequest,
    ResolveDatabaseResponse, ResolveResult, explain_route_response::Step, resolve_result::Outcome,
    router_service_server::RouterService,
};
use fbs_router_schema::DOCUMENTS_VERSION;
use tonic::{Request, Response, Status};
use tonic_types::pb;
use uuid::Uuid;

use super::{
    convert,
    page::Page,
    reply::{call, plain},
    route::{self, ResolveRequest, duration},
    status::status,
    tokens::Tokens,
};
use crate::{
    domain::{
        Call, Error, Result, Violation,
        document::{Cursor, CursorKey},
    },
    routing::{Ask, KnownSolution, Route, Router},
};

/// Most pairs of one batch.
const BATCH: usize = 1_000;

/// The service.
#[derive(Debug, Clone)]
pub struct Routes {
    router: Arc<Router>,
    tokens: Arc<Tokens>,
}

impl Routes {
    /// Answers from `router`.
    pub fn new(router: Arc<Router>, tokens: Arc<Tokens>) -> Self {
        Self { router, tokens }
    }

    async fn resolve(&self, call: Call, request: ResolveDatabaseRequest) -> Result<ResolveDatabaseResponse> {
        let request = route::request(call, request, &self.router.naming)?;
        let found = self.router.resolve(&request.ask()).await;
        let found = match check_database(found, &request) {
            // Who names another one may have heard of it from a router that knows more.
            Err(Error::DatabaseMismatch) => {
                check_database(Box::pin(self.router.resolve_anew(&request.ask())).await, &request)?
            }
            found => found?,
        };
        Ok(route::resolved(found, self.router.cache_ttl()))
    }

    async fn resolve_all(&self, asks: &[Ask<'_>], requests: &[&ResolveRequest<'_>]) -> Vec<Result<Route>> {
        let found = self.router.resolve_all(asks).await;
        let mut found: Vec<Result<Route>> =
            found.into_iter().zip(requests).map(|(found, request)| check_database(found, request)).collect();
        // As one that is asked for alone; the others too, for all are answered from one table.
        let mismatched = |found: &Result<Route>| matches!(found, Err(Error::DatabaseMismatch));
        if found.iter().any(mismatched) {
            let again: Vec<(Ask<'_>, bool)> = asks.iter().copied().zip(found.iter().map(mismatched)).collect();
            let anew = self.router.resolve_some_anew(&again).await;
            found = anew.into_iter().zip(requests).map(|(found, request)| check_database(found, request)).collect();
        }
        found
    }

    async fn explain(&self, call: Call, request: ExplainRouteRequest) -> Result<ExplainRouteResponse> {
        let request =
            request.request.ok_or_else(|| Error::FieldInvalid(vec![Violation::new("request", "must be given")]))?;
        let request = route::request(call, request, &self.router.naming).map_err(|error| error.inside("request"))?;
        let ask = request.ask();
        let mut resolution = self.router.explain(&ask).await;
        if let Ok(route) = &resolution.outcome
            && request.database.as_ref().is_some_and(|wanted| **wanted != *route.database.target.name)
        {
            // As ResolveDatabase.
            self.router.read_again(&ask).await;
            resolution = self.router.explain(&ask).await;
        }
        // How it was decided would tell that there is no such solution.
        if let Err(Error::AccessDenied) = resolution.outcome {
            return Err(Error::AccessDenied);
        }
        let route = match &resolution.outcome {
            Ok(route) => Some(route.clone()),
            Err(error) => self.router.route_in_any_state(&ask, error),
        };
        let outcome =
            check_database(resolution.outcome, &request).map(|found| route::resolved(found, self.router.cache_ttl()));
        // The older of the two is the age of what was decided with.
        let age = resolution.catalog_age.max(resolution.ledger_age).and_then(duration);
        let steps = resolution
            .trace
            .into_steps()
            .into_iter()
            .map(|step| Step {
                rule: step.rule.to_owned(),
                finding: step.finding,
                decided: step.decided,
                evidence_age: age,
            })
            .collect();
        Ok(ExplainRouteResponse { steps, outcome: Some(result(outcome)), route: route.map(route::route) })
    }
}

impl Routes {
    async fn solutions(&self, call: &Call, request: ListSolutionsRequest) -> Result<ListSolutionsResponse> {
        let now = SystemTime::now();
        let (asked, scope) = convert::solutions(request, &self.tokens, now)?;
        let after = self.after(call, asked.window.after.as_ref()).await;
        let size = asked.window.size;
        let found = self.router.solutions(call, &asked.prefix, after, size, |solution| wanted(solution, &asked));
        let more = found.len() > size;
        let messages = found.into_iter().take(size).map(|found| {
            let cursor = place(found.solution.as_str());
            (route::solution(found), cursor)
        });
        let (solutions, next_page_token) = Page::of(messages, more).sealed(&self.tokens, &scope, now);
        Ok(ListSolutionsResponse { solutions, next_page_token })
    }

    async fn databases(&self, call: &Call, request: ListDatabasesRequest) -> Result<ListDatabasesResponse> {
        let now = SystemTime::now();
        let (app, window, scope) = convert::databases(request, &self.router.naming, &self.tokens, now)?;
        let after = self.after(call, window.after.as_ref()).await;
        let found = self.router.databases(call, app, after, window.size)?;
        let more = found.len() > window.size;
        let wanted = if app.name == self.router.naming.documents_app().name { DOCUMENTS_VERSION } else { 0 };
        let messages = found.into_iter().take(window.size).map(|found| {
            let cursor = place(found.solution.as_ref().map_or("", |solution| solution.as_str()));
            (route::entry(found, wanted), cursor)
        });
        let (entries, next_page_token) = Page::of(messages, more).sealed(&self.tokens, &scope, now);
        Ok(ListDatabasesResponse { entries, next_page_token })
    }

    /// Where the page begins. The first page waits for fresh knowledge; the others go on with what there is.
    async fn after<'c>(&self, call: &Call, cursor: Option<&'c Cursor>) -> Option<&'c str> {
        match cursor.map(|cursor| &cursor.key) {
            Some(CursorKey::Text(after)) => Some(after),
            Some(CursorKey::Number(_) | CursorKey::Score(_)) | None => {
                self.router.refresh(call).await;
                None
            }
        }
    }
}

fn place(solution: &str) -> Cursor {
    Cursor { key: CursorKey::Text(solution.to_owned()), id: Uuid::nil() }
}

fn wanted(solution: &KnownSolution, asked: &convert::Solutions) -> bool {
    let any = |holds: &dyn Fn(&Route) -> bool| solution.routes.iter().any(holds);
    asked.placement.is_none_or(|placement| any(&|route| route.placement == placement))
        && (asked.states.is_empty() || any(&|route| asked.states.contains(&route.state)))
        && (!asked.with_candidate || any(&|route| route.candidate.is_some()))
}

#[tonic::async_trait]
impl RouterService for Routes {
    async fn resolve_database(
        &self,
        request: Request<ResolveDatabaseRequest>,
    ) -> Result<Response<ResolveDatabaseResponse>, Status> {
        let call = call(&request)?;
        plain(self.resolve(call, request.into_inner()).await)
    }

    async fn batch_resolve_databases(
        &self,
        request: Request<BatchResolveDatabasesRequest>,
    ) -> Result<Response<BatchResolveDatabasesResponse>, Status> {
        let call = call(&request)?;
        let requests = request.into_inner().requests;
        if requests.is_empty() || requests.len() > BATCH {
            let problem = format!("must hold 1 to {BATCH} requests");
            return plain(Err(Error::BatchInvalid(vec![Violation::new("requests", problem)])));
        }
        let read: Vec<Result<ResolveRequest<'_>>> =
            requests.into_iter().map(|request| route::request(call.clone(), request, &self.router.naming)).collect();
        let asks: Vec<Ask<'_>> = read.iter().flatten().map(ResolveRequest::ask).collect();
        let found = self.resolve_all(&asks, &read.iter().flatten().collect::<Vec<_>>()).await;
        let mut found = found.into_iter();
        let results = read
            .iter()
            .map(|request| {
                let lost = || Err(Error::internal("a batch lost an answer"));
                let resolved = request.as_ref().map_err(Clone::clone);
                let resolved = resolved.and_then(|_| found.next().unwrap_or_else(lost));
                result(resolved.map(|found| route::resolved(found, self.router.cache_ttl())))
            })
            .collect();
        plain(Ok(BatchResolveDatabasesResponse { results }))
    }

    async fn explain_route(
        &self,
        request: Request<ExplainRouteRequest>,
    ) -> Result<Response<ExplainRouteResponse>, Status> {
        let call = call(&request)?;
        plain(self.explain(call, request.into_inner()).await)
    }

    async fn list_solutions(
        &self,
        request: Request<ListSolutionsRequest>,
    ) -> Result<Response<ListSolutionsResponse>, Status> {
        let call = call(&request)?;
        plain(self.solutions(&call, request.into_inner()).await)
    }

    async fn list_databases(
        &self,
        request: Request<ListDatabasesRequest>,
    ) -> Result<Response<ListDatabasesResponse>, Status> {
        let call = call(&request)?;
        plain(self.databases(&call, request.into_inner()).await)
    }
}

/// Explicit routing never chooses a database: it only checks the one that was chosen.
fn check_database(found: Result<Route>, request: &ResolveRequest<'_>) -> Result<Route> {
    let found = found?;
    match &request.database {
        Some(wanted) if **wanted != *found.database.target.name => Err(Error::DatabaseMismatch),
        Some(_) | None => Ok(found),
    }
}

fn result(outcome: Result<ResolveDatabaseResponse>) -> ResolveResult {
    let outcome = match outcome {
        Ok(resolved) => Outcome::Resolved(resolved),
        Err(error) => Outcome::Error(as_message(&status(&error))),
    };
    ResolveResult { outcome: Some(outcome) }
}

/// A status as a message: its details are the encoded `google.rpc.Status`.
fn as_message(status: &Status) -> pb::Status {
    use prost::Message;
    pb::Status::decode(status.details()).unwrap_or_else(|_| pb::Status {
        code: status.code().into(),
        message: status.message().to_owned(),
        details: Vec::new(),
    })
}
