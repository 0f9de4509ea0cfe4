//! What operators change is never changed twice by itself, and a move is followed to its end.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex},
    time::Duration,
};

use fbs_router_client::{
    Admin, Client, Error, ErrorKind, ErrorReason,
    v1::{MoveSolutionRequest, Placement, RegisterSolutionRequest, Solution, move_solution_response::Step},
};
use fbs_router_proto::admin::v1::{
    self as proto,
    admin_service_server::{AdminService, AdminServiceServer},
};
use futures_util::{StreamExt, stream};
use tonic::{Code, Request, Response, Status, metadata::MetadataMap, service::Routes};

use crate::support::{Service, dead_port, eventually, failure};

type Progress = Result<proto::MoveSolutionResponse, Status>;

/// Fails as often as it is told to, and then does as it is asked.
#[derive(Debug, Default)]
struct Fake {
    failures: Mutex<VecDeque<Status>>,
    /// Method, solution or server, and headers of each call.
    seen: Mutex<Vec<(&'static str, String, MetadataMap)>>,
    /// What a move tells, before the stream ends.
    progress: Mutex<Vec<Progress>>,
    /// Whether the stream stays open instead.
    lasts: bool,
    /// No solution in what it answers.
    empty: bool,
}

impl Fake {
    fn failing(failures: impl IntoIterator<Item = Status>) -> Arc<Self> {
        Arc::new(Self { failures: Mutex::new(failures.into_iter().collect()), ..Self::default() })
    }

    fn telling(progress: impl IntoIterator<Item = Progress>) -> Self {
        Self { progress: Mutex::new(progress.into_iter().collect()), ..Self::default() }
    }

    fn asked(&self) -> usize {
        self.seen.lock().unwrap().len()
    }

    fn called<M>(&self, method: &'static str, about: &str, request: &Request<M>) -> Result<(), Status> {
        self.seen.lock().unwrap().push((method, about.to_owned(), request.metadata().clone()));
        self.failures.lock().unwrap().pop_front().map_or(Ok(()), Err)
    }

    fn solution(&self, solution: &str) -> Option<Solution> {
        (!self.empty).then(|| Solution { solution: solution.to_owned(), ..Default::default() })
    }
}

/// The fake as a service.
#[derive(Debug)]
struct Serving(Arc<Fake>);

#[tonic::async_trait]
impl AdminService for Serving {
    async fn register_solution(
        &self,
        request: Request<proto::RegisterSolutionRequest>,
    ) -> Result<Response<proto::RegisterSolutionResponse>, Status> {
        self.0.called("RegisterSolution", &request.get_ref().solution, &request)?;
        let solution = self.0.solution(&request.get_ref().solution);
        Ok(Response::new(proto::RegisterSolutionResponse { solution }))
    }

    type MoveSolutionStream = stream::BoxStream<'static, Progress>;

    async fn move_solution(
        &self,
        request: Request<proto::MoveSolutionRequest>,
    ) -> Result<Response<Self::MoveSolutionStream>, Status> {
        self.0.called("MoveSolution", &request.get_ref().solution, &request)?;
        let told = stream::iter(std::mem::take(&mut *self.0.progress.lock().unwrap()));
        let told = if self.0.lasts { told.chain(stream::pending()).boxed() } else { told.boxed() };
        Ok(Response::new(told))
    }

    async fn release_solution(
        &self,
        request: Request<proto::ReleaseSolutionRequest>,
    ) -> Result<Response<proto::ReleaseSolutionResponse>, Status> {
        self.0.called("ReleaseSolution", &request.get_ref().confirm, &request)?;
        let solution = self.0.solution(&request.get_ref().solution);
        Ok(Response::new(proto::ReleaseSolutionResponse { solution }))
    }

    async fn accept_server(
        &self,
        request: Request<proto::AcceptServerRequest>,
    ) -> Result<Response<proto::AcceptServerResponse>, Status> {
        let about = format!("{} {}", request.get_ref().server, request.get_ref().system_identifier);
        self.0.called("AcceptServer", &about, &request)?;
        Ok(Response::new(proto::AcceptServerResponse {}))
    }

    async fn remove_server(
        &self,
        request: Request<proto::RemoveServerRequest>,
    ) -> Result<Response<proto::RemoveServerResponse>, Status> {
        self.0.called("RemoveServer", &request.get_ref().server, &request)?;
        Ok(Response::new(proto::RemoveServerResponse {}))
    }

    async fn refresh_routes(
        &self,
        request: Request<proto::RefreshRoutesRequest>,
    ) -> Result<Response<proto::RefreshRoutesResponse>, Status> {
        self.0.called("RefreshRoutes", "", &request)?;
        Ok(Response::new(proto::RefreshRoutesResponse {}))
    }
}

fn start(fake: &Arc<Fake>) -> Service {
    Service::serving(0, Routes::new(AdminServiceServer::new(Serving(Arc::clone(fake)))), None)
}

fn stands(step: Step, rows_copied: i64) -> proto::MoveSolutionResponse {
    proto::MoveSolutionResponse { step: step.into(), rows_copied, rows_total: 7, ..Default::default() }
}

/// Every change, one after the other; how each ended.
async fn changes(admin: &Admin) -> [Result<(), Error>; 5] {
    [
        admin.register("globex").await.map(drop),
        admin.release(("globex", "globex")).await.map(drop),
        admin.accept_server(("main", 7)).await.map(drop),
        admin.remove_server("main").await.map(drop),
        admin.move_solution(("globex", Placement::Dedicated)).await.map(drop),
    ]
}

/// All that a move tells: its steps, and the error if it ends with one.
async fn follow(admin: &Admin, request: MoveSolutionRequest) -> (Vec<Step>, Option<Error>) {
    let mut steps = Vec::new();
    let mut moved = match admin.move_solution(request).await {
        Ok(moved) => moved,
        Err(error) => return (steps, Some(error)),
    };
    while let Some(told) = moved.next().await {
        match told {
            Ok(told) => steps.push(told.step()),
            Err(error) => {
                assert!(moved.next().await.is_none(), "it ends after an error");
                return (steps, Some(error));
            }
        }
    }
    (steps, None)
}

fn to_dedicated() -> MoveSolutionRequest {
    MoveSolutionRequest { solution: "globex".into(), to: Placement::Dedicated.into(), ..Default::default() }
}

#[tokio::test]
async fn each_method_asks_for_what_it_says() {
    let fake = Arc::new(Fake::telling([Ok(stands(Step::Done, 7))]));
    let service = start(&fake);
    let admin = service.client().await.admin();
    for outcome in changes(&admin).await {
        outcome.unwrap();
    }
    admin.refresh_routes(()).await.unwrap();
    let request = RegisterSolutionRequest { solution: "acme".into(), confirm: "acme".into(), ..Default::default() };
    assert_eq!(admin.register(request).await.unwrap().solution, "acme");

    let seen = fake.seen.lock().unwrap();
    let calls: Vec<_> = seen.iter().map(|(method, about, _)| (*method, about.as_str())).collect();
    let expected = [
        ("RegisterSolution", "globex"),
        ("ReleaseSolution", "globex"),
        ("AcceptServer", "main 7"),
        ("RemoveServer", "main"),
        ("MoveSolution", "globex"),
        ("RefreshRoutes", ""),
        ("RegisterSolution", "acme"),
    ];
    assert_eq!(calls, expected);
    for (method, _, headers) in seen.iter() {
        assert_eq!(headers.contains_key("grpc-timeout"), *method != "MoveSolution", "{method}: a move has no deadline");
    }
}

#[tokio::test]
async fn what_may_have_happened_is_not_done_again() {
    let soon = Some(Duration::from_millis(1));
    for status in [
        failure(Code::Unavailable, "DATABASE_UNAVAILABLE", soon),
        failure(Code::Unavailable, "ROUTE_UNKNOWN", soon),
        failure(Code::Unavailable, "FROM_THE_FUTURE", soon),
        failure(Code::Aborted, "ETAG_MISMATCH", soon),
        Status::unavailable("a proxy"),
    ] {
        let fake = Fake::failing((0..5).map(|_| status.clone()));
        let service = start(&fake);
        for outcome in changes(&service.client().await.admin()).await {
            let error = outcome.unwrap_err();
            assert_eq!((error.attempts(), error.retryable(), error.request_id()), (1, false, None), "{error}");
        }
        assert_eq!(fake.asked(), 5, "{status:?}");
    }
}

#[tokio::test]
async fn what_was_refused_before_it_began_is_tried_again() {
    let soon = Some(Duration::from_millis(1));
    for status in [
        failure(Code::Unavailable, "SERVER_UNAVAILABLE", soon),
        failure(Code::Unavailable, "ROUTE_MOVING", soon),
        failure(Code::ResourceExhausted, "POOL_EXHAUSTED", soon),
        failure(Code::ResourceExhausted, "RATE_LIMITED", soon),
        failure(Code::Aborted, "DATABASE_CONFLICT", soon),
    ] {
        let fake = Fake::failing([status.clone()]);
        let service = start(&fake);
        let admin = service.client().await.admin();
        admin.remove_server("main").await.unwrap();
        assert_eq!(fake.asked(), 2, "{status:?}");

        fake.failures.lock().unwrap().push_back(status);
        let error = admin.with_attempts(1).remove_server("main").await.unwrap_err();
        assert!(error.retryable(), "{error}");
    }
    let port = dead_port();
    let service = Service::serving(port, Routes::default(), None);
    let client = service.client_with(Client::builder().attempts(2)).await;
    drop(service);
    // The first call may still find the connection that was; from then on there is none.
    let _broken = client.admin().remove_server("main").await;
    let error = client.admin().remove_server("main").await.unwrap_err();
    assert_eq!((error.kind(), error.retryable()), (ErrorKind::Connect, true), "{error}");
}

#[tokio::test]
async fn a_refresh_is_a_question() {
    let fake = Fake::failing([failure(Code::Unavailable, "DATABASE_UNAVAILABLE", Some(Duration::ZERO))]);
    let service = start(&fake);
    service.client().await.admin().refresh_routes(()).await.unwrap();
    assert_eq!(fake.asked(), 2);
}

#[tokio::test]
async fn a_reply_without_its_solution_is_not_taken_for_one() {
    let service = start(&Arc::new(Fake { empty: true, ..Fake::default() }));
    let admin = service.client().await.admin();
    assert_eq!(admin.register("globex").await.unwrap_err().kind(), ErrorKind::Reply);
    assert_eq!(admin.release(("globex", "globex")).await.unwrap_err().kind(), ErrorKind::Reply);
}

#[tokio::test]
async fn a_move_is_followed_to_its_end_whichever_that_is() {
    for end in [Step::Done, Step::RolledBack] {
        let told = [Step::Prepare, Step::Freeze, Step::Copy, Step::Copy, end];
        let service = start(&Arc::new(Fake::telling(told.map(|step| Ok(stands(step, 3))))));
        let (steps, error) = follow(&service.client().await.admin(), to_dedicated()).await;
        assert!(error.is_none(), "{error:?}");
        assert_eq!(steps, told);
    }
    // How the stream ends does not matter once the move has.
    let told = [Ok(stands(Step::Done, 7)), Err(Status::unavailable("draining"))];
    let service = start(&Arc::new(Fake::telling(told)));
    let (steps, error) = follow(&service.client().await.admin(), to_dedicated()).await;
    assert!(error.is_none() && steps == [Step::Done], "{error:?}");
}

#[tokio::test]
async fn a_stream_that_ends_before_the_move_does_is_an_error_and_not_begun_again() {
    for told in [vec![], vec![Step::Prepare, Step::Freeze]] {
        let progress = told.iter().map(|step| Ok(stands(*step, 0)));
        let fake = Arc::new(Fake::telling(progress));
        let service = start(&fake);
        let (steps, error) = follow(&service.client().await.admin(), to_dedicated()).await;
        let error = error.unwrap();
        assert_eq!((error.kind(), error.retryable(), fake.asked()), (ErrorKind::Transport, false, 1), "{error}");
        assert_eq!(steps, told);
    }
    let broken = failure(Code::Unavailable, "SERVER_UNAVAILABLE", Some(Duration::ZERO));
    let fake = Arc::new(Fake::telling([Ok(stands(Step::Copy, 3)), Err(broken)]));
    let service = start(&fake);
    let (steps, error) = follow(&service.client().await.admin(), to_dedicated()).await;
    assert_eq!((steps, error.unwrap().reason()), (vec![Step::Copy], Some(ErrorReason::ServerUnavailable)));
    assert_eq!(fake.asked(), 1, "it might have been taken back meanwhile");
}

#[tokio::test]
async fn a_dry_run_ends_wherever_the_service_has_said_enough() {
    let service = start(&Arc::new(Fake::telling([Ok(stands(Step::Prepare, 0))])));
    let request = MoveSolutionRequest { dry_run: true, ..to_dedicated() };
    let (steps, error) = follow(&service.client().await.admin(), request).await;
    assert!(error.is_none() && steps == [Step::Prepare], "{error:?}");
}

#[tokio::test]
async fn a_move_is_followed_for_as_long_as_was_asked_for() {
    let fake = Arc::new(Fake { lasts: true, ..Fake::telling([Ok(stands(Step::Freeze, 0))]) });
    let service = start(&fake);
    // Neither the deadline of other calls nor the limit on silence ends it.
    let builder = Client::builder().deadline(Duration::from_millis(50)).idle_limit(Duration::from_millis(50));
    let admin = service.client_with(builder).await.admin();
    let mut moved = admin.move_solution(("globex", Placement::Dedicated)).await.unwrap();
    assert_eq!(moved.next().await.unwrap().unwrap().step(), Step::Freeze);
    assert!(tokio::time::timeout(Duration::from_millis(300), moved.next()).await.is_err(), "still followed");
    drop(moved);

    fake.progress.lock().unwrap().push(Ok(stands(Step::Freeze, 0)));
    let (steps, error) = follow(&admin.with_deadline(Duration::from_secs(1)), to_dedicated()).await;
    assert_eq!((steps, error.unwrap().kind()), (vec![Step::Freeze], ErrorKind::DeadlineExceeded));
}

#[tokio::test]
async fn a_move_whose_service_dies_says_so() {
    let fake = Arc::new(Fake { lasts: true, ..Fake::telling([Ok(stands(Step::Copy, 3))]) });
    let service = start(&fake);
    let client = service.client().await;
    let mut moved = client.admin().move_solution(("globex", Placement::Dedicated)).await.unwrap();
    moved.next().await.unwrap().unwrap();
    let next = tokio::spawn(async move { moved.next().await });
    drop(service);
    let error = next.await.unwrap().unwrap().unwrap_err();
    assert_eq!((error.kind(), error.retryable()), (ErrorKind::Transport, false), "{error}");
    eventually("it was asked once", || fake.asked() == 1).await;
}

/// An operator's handle goes where its caller goes.
#[test]
fn everything_may_be_sent_to_another_thread() {
    fn shareable<T: Send + Sync + Clone + 'static>() {}
    fn sendable<T: Send + 'static>() {}
    shareable::<Admin>();
    sendable::<fbs_router_client::Move>();
    fn calls(admin: Admin) -> impl Future + Send + 'static {
        async move {
            let _ = admin.register("a").await;
            if let Ok(mut moved) = admin.move_solution(("a", Placement::System)).await {
                let _ = moved.next().await;
            }
        }
    }
    let _ = calls;
}
