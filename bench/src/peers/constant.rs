//! `RouterService` without a router: the messages are read and written, and the answer is always the same.

use fbs_router_proto::router::v1::{
    self as proto, ResolveDatabaseRequest, ResolveDatabaseResponse, router_service_server::RouterService,
};
use tonic::{Request, Response, Status};

/// The service.
#[derive(Debug)]
pub(super) struct Constant {
    pub(super) answer: ResolveDatabaseResponse,
}

served! {
    impl RouterService for Constant {
        async fn resolve_database(
            &self,
            _request: Request<ResolveDatabaseRequest>,
        ) -> Result<Response<ResolveDatabaseResponse>, Status> {
            Ok(Response::new(self.answer.clone()))
        }
    }
    not measured {
        batch_resolve_databases(proto::BatchResolveDatabasesRequest) -> proto::BatchResolveDatabasesResponse;
        explain_route(proto::ExplainRouteRequest) -> proto::ExplainRouteResponse;
        list_solutions(proto::ListSolutionsRequest) -> proto::ListSolutionsResponse;
        list_databases(proto::ListDatabasesRequest) -> proto::ListDatabasesResponse;
    }
}
