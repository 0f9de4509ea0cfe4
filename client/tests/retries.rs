//! What is tried again, how often, and with what; and what is not.

use std::{
    collections::VecDeque,
    error::Error as _,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use fbs_router_client::{
    Client, Error, ErrorKind,
    v1::{CreateDocumentRequest, Document},
};
use fbs_router_proto::document::v1 as proto;
use tonic::{Code, Request, Response, Status, metadata::MetadataMap};

use crate::support::{Script, Service, failure, unavailable};

/// Fails as often as it is told to, and then creates.
#[derive(Debug, Default)]
struct Failing {
    failures: Mutex<VecDeque<Status>>,
    seen: Mutex<Vec<(MetadataMap, CreateDocumentRequest)>>,
    /// How long an answer takes.
    takes: Duration,
}

#[tonic::async_trait]
impl Script for Failing {
    async fn create_document(
        &self,
        request: Request<CreateDocumentRequest>,
    ) -> Result<Response<proto::CreateDocumentResponse>, Status> {
        let (metadata, _, message) = request.into_parts();
        self.seen.lock().unwrap().push((metadata, message));
        let failure = self.failures.lock().unwrap().pop_front();
        tokio::time::sleep(self.takes).await;
        match failure {
            Some(status) => Err(status),
            None => Ok(Response::new(proto::CreateDocumentResponse { document: Some(Document::default()) })),
        }
    }
}

impl Failing {
    fn with(failures: impl IntoIterator<Item = Status>) -> Arc<Self> {
        Arc::new(Self { failures: Mutex::new(failures.into_iter().collect()), ..Self::default() })
    }

    fn asked(&self) -> usize {
        self.seen.lock().unwrap().len()
    }
}

async fn create(client: &Client) -> Result<(), Error> {
    client.solution("acme_corp").create(Document::default()).await.map(drop)
}

fn header<'a>(metadata: &'a MetadataMap, name: &str) -> Option<&'a str> {
    metadata.get(name).map(|value| value.to_str().unwrap())
}

#[tokio::test]
async fn what_may_be_repeated_is_repeated_as_the_same_request() {
    let service = Failing::with([unavailable(), unavailable(), unavailable()]);
    let running = Service::start(Arc::clone(&service));
    create(&running.client().await).await.unwrap();

    let seen = service.seen.lock().unwrap();
    let ids: Vec<_> = seen.iter().map(|(_, request)| request.request_id.clone()).collect();
    assert_eq!(ids, vec![ids[0].clone(); 4]);
    let before: Vec<_> = seen.iter().map(|(metadata, _)| header(metadata, "grpc-previous-rpc-attempts")).collect();
    assert_eq!(before, [None, Some("1"), Some("2"), Some("3")]);
}

#[tokio::test]
async fn a_conflict_is_repeated_if_the_service_says_when() {
    let soon = Some(Duration::from_millis(1));
    let conflict = failure(Code::Aborted, "DATABASE_CONFLICT", soon);
    let full = failure(Code::ResourceExhausted, "POOL_EXHAUSTED", soon);
    let service = Failing::with([conflict, full]);
    let running = Service::start(Arc::clone(&service));
    create(&running.client().await).await.unwrap();
    assert_eq!(service.asked(), 3);
}

#[tokio::test]
async fn what_may_not_be_repeated_is_asked_once() {
    let cases = [
        failure(Code::DeadlineExceeded, "DEADLINE_EXCEEDED", Some(Duration::ZERO)),
        failure(Code::InvalidArgument, "FIELD_INVALID", None),
        failure(Code::Aborted, "ETAG_MISMATCH", None),
        failure(Code::ResourceExhausted, "STORAGE_FULL", None),
        failure(Code::FailedPrecondition, "DATABASE_DETACHED", None),
        failure(Code::Unknown, "OUTCOME_UNKNOWN", None),
        failure(Code::Internal, "INTERNAL", None),
    ];
    let count = cases.len();
    let service = Failing::with(cases);
    let running = Service::start(Arc::clone(&service));
    let client = running.client().await;
    for asked in 1..=count {
        let error = create(&client).await.unwrap_err();
        assert_eq!((service.asked(), error.attempts()), (asked, 1), "{error}");
    }
}

#[tokio::test]
async fn a_call_is_tried_four_times_unless_told_otherwise() {
    let service = Failing::with((0..5).map(|_| unavailable()));
    let running = Service::start(Arc::clone(&service));
    let error = create(&running.client().await).await.unwrap_err();
    assert_eq!((error.kind(), error.attempts(), service.asked()), (ErrorKind::Unavailable, 4, 4));
    assert_eq!(error.request_id().map(str::len), Some(36));

    let once = running.client_with(Client::builder().attempts(1)).await;
    assert_eq!(create(&once).await.unwrap_err().attempts(), 1);
    assert_eq!(service.asked(), 5);
}

#[tokio::test]
async fn each_clone_has_its_own_number_of_attempts() {
    let service = Failing::with((0..4).map(|_| unavailable()));
    let running = Service::start(Arc::clone(&service));
    let client = running.client().await;
    assert_eq!(create(&client.with_attempts(1)).await.unwrap_err().attempts(), 1);
    let twice = client.solution("acme_corp").with_attempts(2);
    assert_eq!(twice.create(Document::default()).await.unwrap_err().attempts(), 2);
    create(&client).await.unwrap();
    assert_eq!(service.asked(), 5);
}

#[tokio::test]
async fn the_service_is_given_the_time_it_asks_for() {
    let asked = Duration::from_millis(300);
    let service = Failing::with([failure(Code::Unavailable, "ROUTE_MOVING", Some(asked))]);
    let running = Service::start(Arc::clone(&service));
    let began = Instant::now();
    create(&running.client().await).await.unwrap();
    assert!(began.elapsed() >= asked);
}

#[tokio::test]
async fn a_wait_beyond_the_deadline_is_not_begun() {
    let service = Failing::with([failure(Code::Unavailable, "ROUTE_MOVING", Some(Duration::from_secs(60)))]);
    let running = Service::start(Arc::clone(&service));
    let began = Instant::now();
    let error = create(&running.client().await).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert!(began.elapsed() < Duration::from_secs(5));
}

#[tokio::test]
async fn each_attempt_is_told_what_is_left_of_the_time() {
    let service = Failing::with([failure(Code::Unavailable, "ROUTE_MOVING", Some(Duration::from_millis(500)))]);
    let running = Service::start(Arc::clone(&service));
    create(&running.client().await).await.unwrap();
    let seen = service.seen.lock().unwrap();
    let left = |index: usize| {
        let timeout = header(&seen[index].0, "grpc-timeout").unwrap();
        assert!(timeout.ends_with('u'), "{timeout}"); // microseconds
        Duration::from_micros(timeout.trim_end_matches('u').parse().unwrap())
    };
    assert!(left(0) > Duration::from_millis(9_000) && left(0) <= Duration::from_secs(10));
    assert!(left(1) <= Duration::from_millis(9_500), "{:?}", left(1));
}

#[tokio::test]
async fn a_deadline_that_passes_while_trying_again_tells_what_went_before() {
    let slow = Failing {
        failures: Mutex::new((0..4).map(|_| unavailable()).collect()),
        takes: Duration::from_millis(600),
        ..Failing::default()
    };
    let running = Service::start(Arc::new(slow));
    let client = running.client().await.with_deadline(Duration::from_millis(1_100));
    let error = create(&client).await.unwrap_err();
    assert_eq!((error.kind(), error.attempts()), (ErrorKind::DeadlineExceeded, 2), "{error}");
    assert!(error.source().unwrap().to_string().contains("DATABASE_UNAVAILABLE"));
}

#[tokio::test]
async fn a_dead_service_is_not_hammered_by_all_clones_together() {
    let service = Failing::with((0..200).map(|_| unavailable()));
    let running = Service::start(Arc::clone(&service));
    let client = running.client().await;
    for _ in 0..20 {
        create(&client.clone()).await.unwrap_err();
    }
    // 20 first attempts, and the ten retries that the budget has.
    assert_eq!(service.asked(), 30);

    // Ten successes pay for one more.
    service.failures.lock().unwrap().clear();
    for _ in 0..10 {
        create(&client).await.unwrap();
    }
    let before = service.asked();
    service.failures.lock().unwrap().extend((0..4).map(|_| unavailable()));
    create(&client).await.unwrap_err();
    assert_eq!(service.asked(), before + 2);
}
