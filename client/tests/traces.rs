//! What a call leaves in a log.

use std::{
    io,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
};

use fbs_router_client::{Client, v1::Document};
use fbs_router_proto::document::v1 as proto;
use tonic::{Code, Request, Response, Status};
use tracing_subscriber::fmt::format::FmtSpan;

use crate::support::{Script, Service, failure, unavailable};

/// Is down once, and then finds a document that exists already.
#[derive(Debug, Default)]
struct Stubborn(AtomicUsize);

#[tonic::async_trait]
impl Script for Stubborn {
    async fn create_document(
        &self,
        _: Request<proto::CreateDocumentRequest>,
    ) -> Result<Response<proto::CreateDocumentResponse>, Status> {
        match self.0.fetch_add(1, Ordering::Relaxed) {
            0 => Err(unavailable()),
            _ => Err(failure(Code::AlreadyExists, "DOCUMENT_EXISTS", None)),
        }
    }
}

/// A log in memory.
#[derive(Debug, Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn a_call_is_a_span_that_tells_how_it_ended_and_nothing_secret() {
    let service = Service::start(Arc::new(Stubborn::default()));
    let client = service.client_with(Client::builder().token("t0ken")).await;

    let log = Log::default();
    let writer = log.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing_subscriber::filter::LevelFilter::TRACE)
        .with_span_events(FmtSpan::CLOSE)
        .with_ansi(false)
        .with_writer(move || writer.clone())
        .finish();
    // Where there is one subscriber, whoever comes first to a place that is traced decides for good whether anybody listens
    // there; and that may be another test, which has none.
    let _second = tracing::Dispatch::new(tracing_subscriber::registry());
    let guard = tracing::subscriber::set_default(subscriber);
    let draft = Document { title: "t1tle".into(), ..Default::default() };
    client.solution("acme_corp").create(draft).await.unwrap_err();
    drop(guard);

    let log = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
    let ours: Vec<_> = log.lines().filter(|line| line.contains("fbs_router_client::call: ")).collect();
    let retry = ours.iter().find(|line| line.contains("trying again")).unwrap();
    assert!(retry.contains("attempt=1") && retry.contains(r#"reason="DATABASE_UNAVAILABLE""#), "{retry}");
    let closed = ours.iter().find(|line| line.contains("close")).unwrap();
    for field in [
        r#"method="CreateDocument""#,
        r#"solution="acme_corp""#,
        "attempts=2",
        "kind=ALREADY_EXISTS",
        r#"reason="DOCUMENT_EXISTS""#,
    ] {
        assert!(closed.contains(field), "{field} is missing: {closed}");
    }
    for line in ours {
        assert!(!line.contains("t0ken") && !line.contains("t1tle"), "{line}");
    }
}
