//! Several replicas, of which not all are there.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use fbs_router_client::{Client, Error, ErrorKind, v1::Document};
use fbs_router_proto::document::v1 as proto;
use tonic::{Code, Request, Response, Status};

use crate::support::{Script, Service, dead_port, eventually, failure};

/// Counts who asks; draining, it sends everybody elsewhere; what is slow it never answers.
#[derive(Debug, Default)]
struct Replica {
    asked: AtomicUsize,
    draining: bool,
}

#[tonic::async_trait]
impl Script for Replica {
    async fn get_document(
        &self,
        request: Request<proto::GetDocumentRequest>,
    ) -> Result<Response<proto::GetDocumentResponse>, Status> {
        self.asked.fetch_add(1, Ordering::Relaxed);
        if self.draining {
            return Err(failure(Code::Unavailable, "SERVER_UNAVAILABLE", Some(Duration::ZERO)));
        }
        if request.get_ref().document_id == "slow" {
            std::future::pending::<()>().await;
        }
        Ok(Response::new(proto::GetDocumentResponse { document: Some(Document::default()) }))
    }
}

impl Replica {
    fn asked(&self) -> usize {
        self.asked.load(Ordering::Relaxed)
    }
}

async fn get(client: &Client) -> Result<(), Error> {
    client.solution("acme_corp").get("id").await.map(drop)
}

/// Takes connections and drops them, as a proxy without a service behind it does; counts them.
async fn slammed_door() -> (u16, Arc<AtomicUsize>) {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let knocks = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&knocks);
    tokio::spawn(async move {
        while let Ok((connection, _)) = listener.accept().await {
            count.fetch_add(1, Ordering::Relaxed);
            drop(connection);
        }
    });
    (port, knocks)
}

#[tokio::test]
async fn one_dead_replica_of_two_is_not_noticed() {
    let replica = Arc::new(Replica::default());
    let service = Service::start(Arc::clone(&replica));
    let dead = format!("http://127.0.0.1:{}", dead_port());
    let client = Client::builder().connect_to([dead, service.url()]).await.unwrap();
    for _ in 0..50 {
        get(&client).await.unwrap();
    }
    assert_eq!(replica.asked(), 50);
}

#[tokio::test]
async fn a_replica_that_slams_the_door_is_left_alone() {
    let replica = Arc::new(Replica::default());
    let service = Service::start(Arc::clone(&replica));
    let (port, knocks) = slammed_door().await;
    let client = Client::builder().connect_to([format!("http://127.0.0.1:{port}"), service.url()]).await.unwrap();
    for _ in 0..200 {
        get(&client).await.unwrap();
    }
    // Each pause is at least 0.8 s, and 200 calls take less than a few of them.
    assert!(knocks.load(Ordering::Relaxed) <= 10, "{knocks:?}");
}

#[tokio::test]
async fn a_replica_that_never_says_anything_is_soon_left_alone() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap(); // the system accepts, nobody else does
    let hole = format!("http://{}", listener.local_addr().unwrap());
    let service = Service::start(Arc::new(Replica::default()));
    let client = Client::builder().connect_to([hole, service.url()]).await.unwrap();
    let client = client.with_deadline(Duration::from_millis(300));
    let mut lost = 0;
    for _ in 0..20 {
        match get(&client).await {
            Ok(()) => {}
            Err(error) if error.kind() == ErrorKind::DeadlineExceeded => lost += 1,
            Err(error) => assert_eq!(error.kind(), ErrorKind::DeadlineExceeded, "{error}"),
        }
    }
    // One, and one more for each pause that ends meanwhile; half of them if nothing were learnt.
    assert!(lost <= 4, "{lost}");
}

#[tokio::test]
async fn a_draining_replica_sends_its_callers_to_the_other_one() {
    let draining = Arc::new(Replica { draining: true, ..Replica::default() });
    let other = Arc::new(Replica::default());
    let services = [Service::start(Arc::clone(&draining)), Service::start(Arc::clone(&other))];
    let client = Client::builder().attempts(2).connect_to(services.iter().map(Service::url)).await.unwrap();
    // The other one is the busier one, and all the same the better one for a second attempt.
    let slow = client.solution("acme_corp");
    let slow = tokio::spawn(async move { tokio::join!(slow.get("slow"), slow.get("slow"), slow.get("slow")) });
    eventually("the slow calls are there", || other.asked() == 3).await;
    for _ in 0..5 {
        get(&client).await.unwrap();
    }
    assert!(draining.asked() >= 5);
    slow.abort();
}

#[tokio::test]
async fn a_replica_that_is_killed_costs_no_call() {
    let replicas = [Arc::new(Replica::default()), Arc::new(Replica::default())];
    let [first, second] = replicas.each_ref().map(|replica| Service::start(Arc::clone(replica)));
    let client = Client::builder().connect_to([first.url(), second.url()]).await.unwrap();
    for _ in 0..10 {
        get(&client).await.unwrap();
    }
    assert!(replicas.iter().all(|replica| replica.asked() > 0), "calls are spread");
    drop(first);
    for _ in 0..30 {
        get(&client).await.unwrap();
    }
}

#[tokio::test]
async fn a_service_that_comes_back_is_found_again() {
    let service = Service::start(Arc::new(Replica::default()));
    let client = service.client().await;
    get(&client).await.unwrap();
    let (port, url) = (service.port, service.url());
    drop(service);
    let error = get(&client.with_deadline(Duration::from_secs(2))).await.unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::Connect | ErrorKind::Transport), "{error}");
    assert!(error.attempts() > 1 && error.to_string().contains(&url), "{error}");

    let _again = Service::on(port, Arc::new(Replica::default()), None);
    get(&client).await.unwrap();
}

#[tokio::test]
async fn a_name_stands_for_its_addresses() {
    let replica = Arc::new(Replica::default());
    let service = Service::start(Arc::clone(&replica));
    let name = format!("localhost:{}", service.port);
    let client = Client::connect(format!("http://{name}")).await.unwrap();
    for _ in 0..10 {
        get(&client).await.unwrap();
    }
    assert_eq!(replica.asked(), 10);
    // What is called is the name, whatever the address: proxies choose by it.
    assert!(service.called.lock().unwrap().iter().all(|called| *called == name));
}

#[tokio::test]
async fn a_name_that_nobody_has_is_a_connect_error() {
    let error = Client::connect("http://router.invalid:50051").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Connect);
    assert!(error.to_string().contains("router.invalid"), "{error}");
}
