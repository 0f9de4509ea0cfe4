//! What operators decide: registrations, releases, servers. Moves, which are followed, are in `admin/following.rs`.
//!
//! Invariant: nothing here is done twice behind its caller's back. These changes have no `request_id`, so that the
//! service cannot tell a repeat from a second decision: they are tried again only after errors that say that nothing
//! happened ([`Error::once`]). [`Admin::refresh_routes`] changes nothing, and is tried again like any question.

use std::{future::Future, time::Duration};

use fbs_router_proto::{
    admin::v1::{
        AcceptServerRequest, AcceptServerResponse, RefreshRoutesRequest, RefreshRoutesResponse,
        RegisterSolutionRequest, ReleaseSolutionRequest, RemoveServerRequest, RemoveServerResponse,
        admin_service_client::AdminServiceClient,
    },
    router::v1::Solution,
};
use tonic::{Request, Response, Status, transport::Channel};

use crate::{Answer, Ask, Client, Error, MESSAGE_BYTES_MAX, call::Attempts, documents::present};

mod following;

pub use following::Move;

/// What operators do. Needs a caller who is admin of every solution: for others each method is
/// [`PermissionDenied`](crate::ErrorKind::PermissionDenied). The service records who did what.
///
/// Each method fails with what its request breaks ([`InvalidArgument`](crate::ErrorKind::InvalidArgument) with all
/// [violations](Error::field_violations)), with what the state of things forbids
/// ([`FailedPrecondition`](crate::ErrorKind::FailedPrecondition)), and with what calls fail with.
///
/// Retries: a change is tried again only where nothing happened, because there was no connection or because the
/// service says so (`SERVER_UNAVAILABLE`, `ROUTE_MOVING`, `POOL_EXHAUSTED`, `RATE_LIMITED`, `DATABASE_CONFLICT`);
/// [`Error::retryable`] is true for these alone. After any other error of a connection, a deadline or a database it may
/// have happened: [`explain`](Client::explain) tells how things are.
#[derive(Debug, Clone)]
pub struct Admin {
    client: Client,
}

type Stub = AdminServiceClient<Channel>;

fn stub(channel: Channel) -> Stub {
    Stub::new(channel).max_decoding_message_size(MESSAGE_BYTES_MAX)
}

// === impl Admin ===

impl Admin {
    pub(crate) fn new(client: Client) -> Self {
        Self { client }
    }

    /// The same with another deadline, which then also limits how long a move is followed; see
    /// [`Client::with_deadline`].
    #[must_use]
    pub fn with_deadline(&self, deadline: Duration) -> Self {
        Self { client: self.client.with_deadline(deadline) }
    }

    /// The same with another number of attempts; see [`Client::with_attempts`].
    #[must_use]
    pub fn with_attempts(&self, attempts: u32) -> Self {
        Self { client: self.client.with_attempts(attempts) }
    }

    /// Records what is particular to one solution, and answers how it is now: a solution alone makes it known where
    /// unregistered ones are refused; a whole request says on which server its own database is, under which name, and
    /// whether it may use a system database. With `confirm` it decides a
    /// [`PlacementConflict`](crate::ErrorReason::PlacementConflict) for its own database, or accepts one that was
    /// replaced ([`DatabaseIdentityMismatch`](crate::ErrorReason::DatabaseIdentityMismatch)).
    ///
    /// Retries: only where nothing happened. To register the same once more changes nothing further, except with
    /// `confirm`, which takes a higher epoch each time.
    ///
    /// Cancel safety: it may happen all the same.
    pub async fn register(&self, request: impl Ask<RegisterSolutionRequest>) -> Result<Answer<Solution>, Error> {
        let request = request.ask();
        let attempts = self.change("RegisterSolution", Some(&request.solution));
        let send = |mut stub: Stub, request| async move { stub.register_solution(request).await };
        present(unary(attempts, request, send).await?.map(|reply| reply.solution), "solution")
    }

    /// Gives up a solution's own database, which is gone, replaced or in conflict, and answers how it is now: recorded
    /// in the system database. Nothing is moved: what only that database held is not served any more, and it is never
    /// taken over again by itself. `(solution, confirm)`, the solution id twice, or a whole request.
    ///
    /// Retries: only where nothing happened. To release once more changes nothing further.
    ///
    /// Cancel safety: it may happen all the same.
    pub async fn release(&self, request: impl Ask<ReleaseSolutionRequest>) -> Result<Answer<Solution>, Error> {
        let request = request.ask();
        let attempts = self.change("ReleaseSolution", Some(&request.solution));
        let send = |mut stub: Stub, request| async move { stub.release_solution(request).await };
        present(unary(attempts, request, send).await?.map(|reply| reply.solution), "solution")
    }

    /// Accepts a server that legitimately became another cluster, by a major upgrade or a restore:
    /// `(server, system_identifier)`, the identifier that it reports now, or a whole request.
    ///
    /// Retries: only where nothing happened. To accept the same once more changes nothing further.
    ///
    /// Cancel safety: it may happen all the same.
    pub async fn accept_server(
        &self,
        request: impl Ask<AcceptServerRequest>,
    ) -> Result<Answer<AcceptServerResponse>, Error> {
        let send = |mut stub: Stub, request| async move { stub.accept_server(request).await };
        unary(self.change("AcceptServer", None), request.ask(), send).await
    }

    /// Forgets a server, by its name; refused while it holds a placement.
    ///
    /// Retries: only where nothing happened; a second removal finds no such server.
    ///
    /// Cancel safety: it may happen all the same.
    pub async fn remove_server(
        &self,
        request: impl Ask<RemoveServerRequest>,
    ) -> Result<Answer<RemoveServerResponse>, Error> {
        let send = |mut stub: Stub, request| async move { stub.remove_server(request).await };
        unary(self.change("RemoveServer", None), request.ask(), send).await
    }

    /// Has the catalogs of all servers scanned now, and returns when that is done: `refresh_routes(())`. What was
    /// created or dropped before the call is known after it, to the replica that answered.
    ///
    /// Retries: as a question, because it changes nothing.
    ///
    /// Cancel safety: only reads.
    pub async fn refresh_routes(
        &self,
        request: impl Ask<RefreshRoutesRequest>,
    ) -> Result<Answer<RefreshRoutesResponse>, Error> {
        let send = |mut stub: Stub, request| async move { stub.refresh_routes(request).await };
        unary(self.client.call("RefreshRoutes", None, None), request.ask(), send).await
    }

    /// The attempts of what must not be done twice.
    fn change(&self, method: &'static str, solution: Option<&str>) -> Attempts {
        self.client.call(method, solution, None).once()
    }
}

async fn unary<M, R, F, Fut>(attempts: Attempts, message: M, send: F) -> Result<Answer<R>, Error>
where
    M: Clone,
    F: Fn(Stub, Request<M>) -> Fut,
    Fut: Future<Output = Result<Response<R>, Status>>,
{
    attempts.unary(message, |channel, request| send(stub(channel), request)).await
}
