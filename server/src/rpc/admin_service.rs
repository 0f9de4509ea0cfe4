//! `fbs.admin.v1.AdminService`: what operators decide.

use std::{pin::Pin, sync::Arc};

use fbs_router_proto::admin::v1::{
    AcceptServerRequest, AcceptServerResponse, MoveSolutionRequest, MoveSolutionResponse, RefreshRoutesRequest,
    RefreshRoutesResponse, RegisterSolutionRequest, RegisterSolutionResponse, ReleaseSolutionRequest,
    ReleaseSolutionResponse, RemoveServerRequest, RemoveServerResponse, admin_service_server::AdminService,
    move_solution_response,
};
use futures_util::{Stream, StreamExt};
use tokio_stream::wrappers::WatchStream;
use tonic::{Request, Response, Status};

use super::{
    convert,
    reply::{call, plain},
    route::{self, duration},
    status::status,
};
use crate::{
    config::Isolation,
    domain::{Call, Result},
    moving::{Following, Moves, Progress, Step},
    routing::{Decision, Router},
};

/// The service.
#[derive(Debug, Clone)]
pub struct Admin {
    router: Arc<Router>,
    moves: Arc<Moves>,
    isolation: Isolation,
}

/// The steps of a move.
type Steps = Pin<Box<dyn Stream<Item = Result<MoveSolutionResponse, Status>> + Send>>;

impl Admin {
    /// Decides over `router`'s solutions. `isolation`: the configured default.
    pub fn new(router: Arc<Router>, moves: Arc<Moves>, isolation: Isolation) -> Self {
        Self { router, moves, isolation }
    }

    async fn register(&self, call: &Call, request: RegisterSolutionRequest) -> Result<RegisterSolutionResponse> {
        let (decided, what) = convert::register(request, &self.router.naming, self.isolation)?;
        let decision = Decision { call, app: decided.app, solution: &decided.solution, confirmed: decided.confirmed };
        self.router.register(&decision, &what).await?;
        let solution = self.router.solution(call, &decided.solution).await;
        Ok(RegisterSolutionResponse { solution: Some(route::solution(solution)) })
    }

    async fn release(&self, call: &Call, request: ReleaseSolutionRequest) -> Result<ReleaseSolutionResponse> {
        let decided = convert::release(&request, &self.router.naming)?;
        let decision = Decision { call, app: decided.app, solution: &decided.solution, confirmed: decided.confirmed };
        self.router.release(&decision).await?;
        let solution = self.router.solution(call, &decided.solution).await;
        Ok(ReleaseSolutionResponse { solution: Some(route::solution(solution)) })
    }

    async fn accept(&self, call: &Call, request: AcceptServerRequest) -> Result<AcceptServerResponse> {
        let server = convert::server(request.server)?;
        self.router.accept_server(call, &server, request.system_identifier).await?;
        Ok(AcceptServerResponse {})
    }

    async fn remove(&self, call: &Call, request: RemoveServerRequest) -> Result<RemoveServerResponse> {
        let server = convert::server(request.server)?;
        self.router.remove_server(call, &server).await?;
        Ok(RemoveServerResponse {})
    }

    async fn begin(&self, call: &Call, request: &MoveSolutionRequest) -> Result<Following> {
        let wish = convert::move_solution(request, &self.router.naming)?;
        self.moves.begin(call, &wish).await
    }
}

#[tonic::async_trait]
impl AdminService for Admin {
    type MoveSolutionStream = Steps;

    async fn register_solution(
        &self,
        request: Request<RegisterSolutionRequest>,
    ) -> Result<Response<RegisterSolutionResponse>, Status> {
        let call = call(&request)?;
        plain(self.register(&call, request.into_inner()).await)
    }

    async fn move_solution(&self, request: Request<MoveSolutionRequest>) -> Result<Response<Steps>, Status> {
        let call = call(&request)?;
        plain(self.begin(&call, request.get_ref()).await.map(steps))
    }

    async fn release_solution(
        &self,
        request: Request<ReleaseSolutionRequest>,
    ) -> Result<Response<ReleaseSolutionResponse>, Status> {
        let call = call(&request)?;
        plain(self.release(&call, request.into_inner()).await)
    }

    async fn accept_server(
        &self,
        request: Request<AcceptServerRequest>,
    ) -> Result<Response<AcceptServerResponse>, Status> {
        let call = call(&request)?;
        plain(self.accept(&call, request.into_inner()).await)
    }

    async fn remove_server(
        &self,
        request: Request<RemoveServerRequest>,
    ) -> Result<Response<RemoveServerResponse>, Status> {
        let call = call(&request)?;
        plain(self.remove(&call, request.into_inner()).await)
    }

    async fn refresh_routes(
        &self,
        request: Request<RefreshRoutesRequest>,
    ) -> Result<Response<RefreshRoutesResponse>, Status> {
        let call = call(&request)?;
        plain(self.router.refresh_for_operator(&call).await.map(|()| RefreshRoutesResponse {}))
    }
}

/// Every state that the caller is fast enough to see, and the last one always.
fn steps(following: Following) -> Steps {
    let mut over = false;
    let until_last = WatchStream::new(following).take_while(move |progress| {
        let go_on = !over;
        over = progress.is_last();
        std::future::ready(go_on)
    });
    until_last.map(message).boxed()
}

fn message(progress: Progress) -> Result<MoveSolutionResponse, Status> {
    use move_solution_response::Step as Sent;
    if let Some(error) = &progress.error {
        return Err(status(error));
    }
    let step = match progress.step {
        Step::Prepare => Sent::Prepare,
        Step::Freeze => Sent::Freeze,
        Step::Copy => Sent::Copy,
        Step::Verify => Sent::Verify,
        Step::Switch => Sent::Switch,
        Step::Done => Sent::Done,
        Step::RolledBack => Sent::RolledBack,
    };
    Ok(MoveSolutionResponse {
        step: step.into(),
        rows_copied: progress.rows_copied,
        rows_total: progress.rows_total,
        frozen: duration(progress.frozen),
        message: progress.message,
    })
}
