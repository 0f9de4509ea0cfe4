//! `RouterService` without a router: the messages are read and written, and the answer is always the same.

use fbs_router_proto::router::v1::{
    BatchResolveDatabasesRequest, BatchResolveDatabasesResponse, ExplainRouteRequest, ExplainRouteResponse,
    ResolveDatabaseRequest, ResolveDatabaseResponse, router_service_server::RouterService,
};
use tonic::{Request, Response, Status};

/// The service.
#[derive(Debug)]
pub(super) struct Constant {
    pub(super) answer: ResolveDatabaseResponse,
}

#[tonic::async_trait]
impl RouterService for Constant {
    async fn resolve_database(
        &self,
        _request: Request<ResolveDatabaseRequest>,
    ) -> Result<Response<ResolveDatabaseResponse>, Status> {
        Ok(Response::new(self.answer.clone()))
    }

    async fn batch_resolve_databases(
        &self,
        _request: Request<BatchResolveDatabasesRequest>,
    ) -> Result<Response<BatchResolveDatabasesResponse>, Status> {
        Err(Status::unimplemented("not measured"))
    }

    async fn explain_route(
        &self,
        _request: Request<ExplainRouteRequest>,
    ) -> Result<Response<ExplainRouteResponse>, Status> {
        Err(Status::unimplemented("not measured"))
    }
}
