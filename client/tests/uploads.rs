//! Content on its way to the service.

use std::{
    io,
    pin::Pin,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    task::{Context, Poll},
    time::{Duration, Instant},
};

use fbs_router_client::{
    Client, Documents, ErrorKind, ErrorReason, Upload,
    v1::{Content, Document, upload_content_request::Header},
};
use fbs_router_proto::document::v1::{self as proto, upload_content_request::Frame};
use sha2::{Digest, Sha256};
use tokio::io::{AsyncRead, ReadBuf};
use tonic::{Code, Request, Response, Status, Streaming};

use crate::support::{Script, Service, eventually, failure, unavailable};

/// What the service does with an upload.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Way {
    /// Reads it all and keeps it.
    Keep,
    /// Answers so many times that it is down before it reads anything, and then keeps.
    DownFirst(usize),
    /// Refuses after the header.
    RefuseAtOnce,
    /// Had it already: says so after the header.
    AnswerAtOnce,
    /// Takes the header and then nothing, and says nothing.
    Stall,
}

#[derive(Debug)]
struct Store {
    way: Way,
    calls: AtomicUsize,
    kept: Mutex<Vec<(Header, Vec<u8>, usize)>>,
    request_ids: Mutex<Vec<String>>,
    timeouts: Mutex<Vec<bool>>,
}

impl Store {
    fn new(way: Way) -> Arc<Self> {
        Arc::new(Self {
            way,
            calls: AtomicUsize::new(0),
            kept: Mutex::default(),
            request_ids: Mutex::default(),
            timeouts: Mutex::default(),
        })
    }
}

#[tonic::async_trait]
impl Script for Store {
    async fn upload_content(
        &self,
        request: Request<Streaming<proto::UploadContentRequest>>,
    ) -> Result<Response<proto::UploadContentResponse>, Status> {
        let call = self.calls.fetch_add(1, Ordering::Relaxed);
        self.timeouts.lock().unwrap().push(request.metadata().contains_key("grpc-timeout"));
        let mut frames = request.into_inner();
        let Some(Frame::Header(header)) = frames.message().await?.unwrap().frame else {
            return Err(Status::internal("no header"));
        };
        self.request_ids.lock().unwrap().push(header.request_id.clone());
        let done = || {
            let document = Document { document_id: header.document_id.clone(), ..Default::default() };
            Ok(Response::new(proto::UploadContentResponse { document: Some(document) }))
        };
        match self.way {
            Way::DownFirst(times) if call < times => return Err(unavailable()),
            Way::RefuseAtOnce => return Err(failure(Code::FailedPrecondition, "DOCUMENT_NOT_EDITABLE", None)),
            Way::AnswerAtOnce => return done(),
            Way::Stall => std::future::pending().await,
            Way::Keep | Way::DownFirst(_) => {}
        }
        let (mut bytes, mut largest) = (Vec::new(), 0);
        while let Some(frame) = frames.message().await? {
            let Some(Frame::Chunk(chunk)) = frame.frame else {
                return Err(Status::internal("no chunk"));
            };
            assert!(!chunk.is_empty());
            largest = largest.max(chunk.len());
            bytes.extend_from_slice(&chunk);
        }
        let reply = done();
        self.kept.lock().unwrap().push((header, bytes, largest));
        reply
    }
}

/// Zeroes without end, counted.
#[derive(Debug, Default, Clone)]
struct Endless(Arc<AtomicU64>);

impl AsyncRead for Endless {
    fn poll_read(self: Pin<&mut Self>, _: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let length = buffer.remaining();
        buffer.put_slice(&vec![0; length]);
        self.0.fetch_add(length as u64, Ordering::Relaxed);
        Poll::Ready(Ok(()))
    }
}

fn content(bytes: &[u8]) -> Content {
    Content {
        filename: "a.bin".into(),
        media_type: "application/pdf".into(),
        size_bytes: i64::try_from(bytes.len()).unwrap(),
        sha256: Sha256::digest(bytes).to_vec(),
        generation: 0,
    }
}

fn named(id: &str) -> Upload {
    Upload::from(id).filename("a.bin")
}

fn sized(size: i64) -> Upload {
    named("id").size_bytes(size).sha256([7; 32])
}

fn noise(length: usize) -> Vec<u8> {
    (0..length).map(|index| (index * 31 % 251) as u8).collect()
}

async fn documents(service: &Service) -> Documents {
    service.client().await.solution("acme_corp")
}

async fn impatient(service: &Service) -> Documents {
    service.client_with(Client::builder().idle_limit(Duration::from_millis(900))).await.solution("acme_corp")
}

#[tokio::test]
async fn every_byte_arrives_in_frames_of_a_quarter_mebibyte() {
    let store = Store::new(Way::Keep);
    let service = Service::start(Arc::clone(&store));
    let bytes = noise(3 * 1024 * 1024 + 17);
    let upload = Upload::new("id", content(&bytes)).etag("e").actor("ann").database("djo_acme_db");
    let document = documents(&service).await.upload(upload, io::Cursor::new(bytes.clone())).await.unwrap();
    assert_eq!(document.document_id, "id");
    let kept = store.kept.lock().unwrap();
    let (header, arrived, largest) = &kept[0];
    assert!(*arrived == bytes);
    assert_eq!(*largest, 256 * 1024);
    assert_eq!(
        [&header.solution, &header.etag, &header.actor, &header.database],
        ["acme_corp", "e", "ann", "djo_acme_db"]
    );
    assert_eq!(header.request_id.len(), 36);
    assert_eq!(header.content, Some(content(&bytes)));
}

#[tokio::test]
async fn only_as_much_as_was_declared_is_read() {
    let store = Store::new(Way::Keep);
    let service = Service::start(Arc::clone(&store));
    let documents = documents(&service).await;
    let (reader, read) = (Endless::default(), 300_000);
    documents.upload(sized(read), reader.clone()).await.unwrap();
    assert_eq!(reader.0.load(Ordering::Relaxed), 300_000);
    documents.upload(Upload::new("id", content(b"")), reader.clone()).await.unwrap();
    assert_eq!(reader.0.load(Ordering::Relaxed), 300_000);
    assert_eq!(store.kept.lock().unwrap()[1].1, b"");
}

#[tokio::test]
async fn a_refusal_ends_an_upload_that_would_take_for_ever() {
    let service = Service::start(Store::new(Way::RefuseAtOnce));
    let reader = Endless::default();
    let error = documents(&service).await.upload(sized(i64::MAX), reader.clone()).await.unwrap_err();
    assert_eq!(error.reason(), Some(ErrorReason::DocumentNotEditable));
    let read = reader.0.load(Ordering::Relaxed);
    assert!(read < 64 * 1024 * 1024, "{read}");
    assert_eq!(Arc::strong_count(&reader.0), 1, "the reader is gone");
}

#[tokio::test]
async fn an_early_answer_ends_an_upload_that_had_happened_before() {
    let service = Service::start(Store::new(Way::AnswerAtOnce));
    let document = documents(&service).await.upload(sized(i64::MAX), Endless::default()).await.unwrap();
    assert_eq!(document.document_id, "id");
}

#[tokio::test]
async fn an_early_answer_is_heard_while_the_reader_has_nothing() {
    let service = Service::start(Store::new(Way::AnswerAtOnce));
    let (_silent, reader) = tokio::io::duplex(1);
    documents(&service).await.upload(sized(10), reader).await.unwrap();
}

#[tokio::test]
async fn a_service_that_takes_nothing_ends_the_upload_after_the_idle_limit() {
    let service = Service::start(Store::new(Way::Stall));
    let error = impatient(&service).await.upload(sized(i64::MAX), Endless::default()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::DeadlineExceeded);
    // The same where all was sent and no answer comes.
    let error = impatient(&service).await.upload_bytes(named("id"), "abc").await.unwrap_err();
    assert_eq!((error.kind(), error.attempts()), (ErrorKind::DeadlineExceeded, 1));
}

#[tokio::test]
async fn a_reader_that_has_nothing_ends_the_upload_after_the_idle_limit() {
    let service = Service::start(Store::new(Way::Keep));
    let (_silent, reader) = tokio::io::duplex(1);
    let error = impatient(&service).await.upload(sized(10), reader).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::DeadlineExceeded);
}

#[tokio::test]
async fn a_slow_reader_that_gets_on_is_waited_for() {
    let store = Store::new(Way::Keep);
    let service = Service::start(Arc::clone(&store));
    let (mut slow, reader) = tokio::io::duplex(64);
    let writer = tokio::spawn(async move {
        for _ in 0..5 {
            tokio::time::sleep(Duration::from_millis(250)).await; // a slow reader is slow; each step is within the limit
            tokio::io::AsyncWriteExt::write_all(&mut slow, b"12").await.unwrap();
        }
    });
    impatient(&service).await.upload(sized(10), reader).await.unwrap();
    writer.await.unwrap();
    assert_eq!(store.kept.lock().unwrap()[0].1, b"1212121212");
}

#[tokio::test]
async fn a_transfer_has_a_deadline_only_if_one_was_asked_for() {
    let store = Store::new(Way::Stall);
    let service = Service::start(Arc::clone(&store));
    let client = service.client_with(Client::builder().deadline(Duration::from_millis(50))).await;
    let unlimited = client.solution("acme_corp");
    let upload = tokio::spawn(async move { unlimited.upload_bytes(named("id"), "abc").await });
    eventually("the upload has begun", || store.calls.load(Ordering::Relaxed) == 1).await;

    let began = Instant::now();
    let limited = client.solution("acme_corp").with_deadline(Duration::from_secs(1));
    let error = limited.upload_bytes(named("id"), "abc").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::DeadlineExceeded);
    assert!(began.elapsed() >= Duration::from_millis(900));
    assert!(!upload.is_finished());
    upload.abort();
    assert_eq!(*store.timeouts.lock().unwrap(), [false, true]);
}

#[tokio::test]
async fn a_reader_is_used_again_only_while_nothing_was_read() {
    let store = Store::new(Way::Keep);
    let service = Service::start(Arc::clone(&store));
    let (port, documents) = (service.port, documents(&service).await);
    drop(service);
    // Nobody is there at first, and the client has noticed, so that the attempts find no connection.
    while documents.get("id").await.unwrap_err().kind() != ErrorKind::Connect {}
    let bytes = noise(1000);
    let upload = documents.upload(Upload::new("id", content(&bytes)), io::Cursor::new(bytes.clone()));
    let again = async {
        tokio::time::sleep(Duration::from_millis(10)).await;
        Service::on(port, Arc::clone(&store), None)
    };
    let (uploaded, _service) = tokio::join!(upload, again);
    uploaded.unwrap();
    assert!(store.kept.lock().unwrap()[0].1 == bytes);
}

#[tokio::test]
async fn what_was_read_once_is_not_sent_again() {
    let store = Store::new(Way::DownFirst(9));
    let service = Service::start(Arc::clone(&store));
    let reader = Endless::default();
    let error = documents(&service).await.upload(sized(i64::MAX), reader.clone()).await.unwrap_err();
    // Whether it may be repeated, and as what, is told.
    assert!(error.retryable() && error.request_id().is_some());
    assert!(reader.0.load(Ordering::Relaxed) > 0);
    assert_eq!(store.calls.load(Ordering::Relaxed), 1);
}

#[tokio::test]
async fn a_file_is_sent_again_as_a_whole_under_one_request_id() {
    let store = Store::new(Way::DownFirst(2));
    let service = Service::start(Arc::clone(&store));
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("invoice.pdf");
    let bytes = noise(700_000);
    std::fs::write(&path, &bytes).unwrap();
    let documents = documents(&service).await;
    documents.upload_file("id", &path).await.unwrap();
    let upload = Upload::from("id").filename("other.pdf").media_type("application/pdf");
    documents.upload_file(upload, &path).await.unwrap();

    let kept = store.kept.lock().unwrap();
    let first = kept[0].0.content.clone().unwrap();
    let expected =
        Content { filename: "invoice.pdf".into(), media_type: "application/octet-stream".into(), ..content(&bytes) };
    assert_eq!(first, expected);
    assert!(kept[0].1 == bytes);
    let second = kept[1].0.content.clone().unwrap();
    assert_eq!((second.filename.as_str(), second.media_type.as_str()), ("other.pdf", "application/pdf"));
    let ids = store.request_ids.lock().unwrap();
    assert!(ids[0] == ids[1] && ids[1] == ids[2] && ids[2] != ids[3]);
}

#[tokio::test]
async fn a_file_that_is_not_there_or_not_what_was_promised_is_told_before_anything_is_sent() {
    let store = Store::new(Way::Keep);
    let service = Service::start(Arc::clone(&store));
    let documents = documents(&service).await;
    let error = documents.upload_file("id", "/nowhere/invoice.pdf").await.unwrap_err();
    assert_eq!((error.kind(), error.attempts()), (ErrorKind::Io, 0));
    let error = documents.upload_bytes(Upload::new("id", content(b"abc")), "abd").await.unwrap_err();
    assert_eq!(error.field_violations()[0].field, "content.sha256");
    assert_eq!(store.calls.load(Ordering::Relaxed), 0);
}

#[tokio::test]
async fn what_was_not_said_of_a_content_is_told_before_anything_is_sent() {
    let store = Store::new(Way::Keep);
    let service = Service::start(Arc::clone(&store));
    let documents = documents(&service).await;
    let missing = |error: fbs_router_client::Error, field: &str, setter: &str| {
        assert_eq!((error.kind(), error.attempts()), (ErrorKind::InvalidArgument, 0));
        assert_eq!(error.field_violations()[0].field, field);
        assert!(error.to_string().contains(setter), "{error}");
    };
    let reader = Endless::default();
    let nameless = Upload::from("id").size_bytes(10).sha256([7; 32]);
    missing(documents.upload(nameless, reader.clone()).await.unwrap_err(), "content.filename", "Upload::filename");
    let undigested = named("id").size_bytes(10);
    missing(documents.upload(undigested, reader.clone()).await.unwrap_err(), "content.sha256", "Upload::sha256");
    let unsized_ = named("id").sha256([7; 32]);
    missing(documents.upload(unsized_, reader.clone()).await.unwrap_err(), "content.size_bytes", "Upload::size_bytes");
    missing(documents.upload(sized(-1), reader.clone()).await.unwrap_err(), "content.size_bytes", "negative");
    missing(documents.upload_bytes("id", "abc").await.unwrap_err(), "content.filename", "Upload::filename");
    let promised = named("id").size_bytes(4);
    missing(documents.upload_bytes(promised, "abc").await.unwrap_err(), "content.size_bytes", "3 bytes");
    assert_eq!(reader.0.load(Ordering::Relaxed), 0);
    assert_eq!(store.calls.load(Ordering::Relaxed), 0);
}

#[tokio::test]
async fn a_content_of_no_media_type_is_a_row_of_bytes() {
    let store = Store::new(Way::Keep);
    let service = Service::start(Arc::clone(&store));
    let documents = documents(&service).await;
    documents.upload_bytes(named("id"), "abc").await.unwrap();
    let digest: [u8; 32] = Sha256::digest(b"abc").into();
    documents.upload(named("id").size_bytes(3).sha256(digest), &b"abc"[..]).await.unwrap();
    for (header, bytes, _) in store.kept.lock().unwrap().iter() {
        let expected = Content { media_type: "application/octet-stream".into(), ..content(b"abc") };
        assert_eq!((header.content.as_ref(), bytes.as_slice()), (Some(&expected), &b"abc"[..]));
    }
}

#[tokio::test]
async fn a_reader_that_ends_early_is_not_taken_for_the_end() {
    let store = Store::new(Way::Keep);
    let service = Service::start(Arc::clone(&store));
    let error = documents(&service).await.upload(sized(10), &b"12345"[..]).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Io);
    assert!(error.to_string().contains("5 of 10"), "{error}");
    assert!(store.kept.lock().unwrap().is_empty(), "the stream was reset, not ended");
}
