//! Content on its way from the service.

use std::{
    collections::VecDeque,
    io,
    sync::{Arc, Mutex},
    time::Duration,
};

use fbs_router_client::{
    Client, Documents, Download, Error, ErrorKind, ErrorReason,
    v1::{Content, DownloadContentRequest, DownloadContentResponse},
};
use fbs_router_proto::document::v1::download_content_response::Frame;
use futures_util::{StreamExt, TryStreamExt, stream};
use sha2::{Digest, Sha256};
use tokio::io::AsyncReadExt;
use tonic::{Code, Request, Response, Status};

use crate::support::{Frames, Script, Service, failure, place, unavailable};

/// How a stream ends after so many bytes, instead of with all of them.
#[derive(Debug, Clone)]
enum Cut {
    Error(usize, Code),
    /// As if that were all.
    Ended(usize),
    Silent(usize),
    /// Before anything was said.
    Refused,
    /// For a long time.
    Later,
}

/// Serves its bytes; each download is cut as the next cut says.
#[derive(Debug)]
struct Store {
    bytes: Vec<u8>,
    content: Mutex<Content>,
    cuts: Mutex<VecDeque<Cut>>,
    asked: Mutex<Vec<(i64, i64)>>,
}

impl Store {
    fn new(bytes: Vec<u8>, cuts: impl IntoIterator<Item = Cut>) -> Arc<Self> {
        let content = Content {
            filename: "a.bin".into(),
            media_type: "application/pdf".into(),
            size_bytes: i64::try_from(bytes.len()).unwrap(),
            sha256: Sha256::digest(&bytes).to_vec(),
            generation: 7,
        };
        let cuts = Mutex::new(cuts.into_iter().collect());
        Arc::new(Self { bytes, content: Mutex::new(content), cuts, asked: Mutex::default() })
    }

    fn asked(&self) -> Vec<(i64, i64)> {
        self.asked.lock().unwrap().clone()
    }
}

fn chunk(bytes: &[u8]) -> Result<DownloadContentResponse, Status> {
    Ok(DownloadContentResponse { frame: Some(Frame::Chunk(bytes.to_vec().into())) })
}

#[tonic::async_trait]
impl Script for Store {
    async fn download_content(&self, request: Request<DownloadContentRequest>) -> Result<Response<Frames>, Status> {
        let request = request.into_inner();
        self.asked.lock().unwrap().push((request.offset, request.generation));
        let content = self.content.lock().unwrap().clone();
        if request.generation != 0 && request.generation != content.generation {
            return Err(failure(Code::Aborted, "ETAG_MISMATCH", None));
        }
        let cut = self.cuts.lock().unwrap().pop_front();
        let rest = &self.bytes[usize::try_from(request.offset).unwrap()..];
        let (length, end): (_, Frames) = match cut {
            None => (rest.len(), stream::empty().boxed()),
            Some(Cut::Refused) => return Err(unavailable()),
            Some(Cut::Later) => {
                let later = Some(Duration::from_secs(u64::from(u32::MAX)));
                return Err(failure(Code::Unavailable, "ROUTE_MOVING", later));
            }
            Some(Cut::Ended(length)) => (length, stream::empty().boxed()),
            Some(Cut::Silent(length)) => (length, stream::pending().boxed()),
            Some(Cut::Error(length, code)) => {
                let status = failure(code, "X", None);
                (length, stream::once(async { Err(status) }).boxed())
            }
        };
        let mut frames = vec![Ok(DownloadContentResponse { frame: Some(Frame::Header(content)) })];
        frames.extend(rest[..length].chunks(64 * 1024).map(chunk));
        let mut response = Response::new(stream::iter(frames).chain(end).boxed());
        place(response.metadata_mut());
        Ok(response)
    }
}

fn noise(length: usize) -> Vec<u8> {
    (0..length).map(|index| (index * 31 % 251) as u8).collect()
}

async fn documents(service: &Service) -> Documents {
    let builder = Client::builder().idle_limit(Duration::from_secs(2));
    service.client_with(builder).await.solution("acme_corp")
}

async fn read(mut download: Download) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    download.read_to_end(&mut bytes).await?;
    Ok(bytes)
}

/// Reads it all, and expects to fail.
async fn failed(download: Download) -> (ErrorKind, io::ErrorKind) {
    let error = read(download).await.unwrap_err();
    (Error::from_io(&error).unwrap().kind(), error.kind())
}

#[tokio::test]
async fn content_is_read_like_a_file_and_says_what_it_is() {
    let store = Store::new(noise(1_000_000), []);
    let service = Service::start(Arc::clone(&store));
    let download = documents(&service).await.download("id").await.unwrap();
    assert_eq!(*download.content(), *store.content.lock().unwrap());
    assert_eq!(download.served().unwrap().database, "djo_acme_db");
    assert!(read(download).await.unwrap() == store.bytes);
    assert_eq!(store.asked(), [(0, 0)]);
}

#[tokio::test]
async fn nothing_at_all_is_content_too() {
    let service = Service::start(Store::new(Vec::new(), []));
    let download = documents(&service).await.download("id").await.unwrap();
    assert_eq!(read(download).await.unwrap(), b"");
}

#[tokio::test]
async fn chunks_come_without_a_detour() {
    let store = Store::new(noise(100_000), []);
    let service = Service::start(Arc::clone(&store));
    let mut download = documents(&service).await.download("id").await.unwrap();
    let mut two = [0; 2];
    download.read_exact(&mut two).await.unwrap();
    let mut bytes = two.to_vec();
    while let Some(chunk) = download.chunk().await.unwrap() {
        bytes.extend_from_slice(&chunk);
    }
    assert!(bytes == store.bytes);
    assert!(download.chunk().await.unwrap().is_none());
}

#[tokio::test]
async fn a_stream_of_the_content_ends_after_every_byte_or_goes_on_failing() {
    let store = Store::new(noise(100_000), []);
    let service = Service::start(Arc::clone(&store));
    let download = documents(&service).await.download("id").await.unwrap();
    let chunks: Vec<_> = download.try_collect().await.unwrap();
    assert!(chunks.concat() == store.bytes);

    store.content.lock().unwrap().sha256 = vec![7; 32];
    let download = documents(&service).await.download("id").await.unwrap();
    let kinds: Vec<_> = download.filter_map(async |chunk| Some(chunk.err()?.kind())).take(2).collect().await;
    assert_eq!(kinds, [ErrorKind::DataLoss; 2]);
}

#[tokio::test]
async fn a_download_that_breaks_goes_on_where_it_was() {
    let cuts = [
        Cut::Refused,
        Cut::Error(100_000, Code::Unavailable),
        Cut::Ended(50_000), // a proxy that ends a stream politely
        Cut::Refused,
        Cut::Error(1, Code::Unavailable),
    ];
    let store = Store::new(noise(400_000), cuts);
    let service = Service::start(Arc::clone(&store));
    let download = documents(&service).await.download("id").await.unwrap();
    assert!(read(download).await.unwrap() == store.bytes);
    assert_eq!(store.asked(), [(0, 0), (0, 0), (100_000, 7), (150_000, 7), (150_000, 7), (150_001, 7)]);
}

#[tokio::test]
async fn a_killed_service_that_comes_back_is_read_on() {
    let store = Store::new(noise(8_000_000), []);
    let service = Service::start(Arc::clone(&store));
    let port = service.port;
    let mut download = documents(&service).await.download("id").await.unwrap();
    let mut bytes = vec![0; 1_000_000];
    download.read_exact(&mut bytes).await.unwrap();
    drop(service);
    let _again = Service::on(port, Arc::clone(&store), None);
    bytes.extend(read(download).await.unwrap());
    assert!(bytes == store.bytes);
    let asked = store.asked();
    assert!(asked.len() == 2 && asked[1].0 >= 1_000_000 && asked[1].1 == 7, "{asked:?}");
}

#[tokio::test]
async fn progress_renews_the_attempts() {
    let cuts = (0..8).map(|_| Cut::Error(1000, Code::Unavailable));
    let store = Store::new(noise(20_000), cuts);
    let service = Service::start(Arc::clone(&store));
    let download = documents(&service).await.download("id").await.unwrap();
    assert!(read(download).await.unwrap() == store.bytes);
    assert_eq!(store.asked().len(), 9);
}

#[tokio::test]
async fn no_progress_in_four_attempts_is_the_end() {
    let store =
        Store::new(noise(20_000), std::iter::once(Cut::Error(5, Code::Unavailable)).chain(vec![Cut::Refused; 9]));
    let service = Service::start(Arc::clone(&store));
    let download = documents(&service).await.download("id").await.unwrap();
    let error = read(download).await.unwrap_err();
    let error = Error::from_io(&error).unwrap();
    assert_eq!((error.kind(), error.attempts(), store.asked().len()), (ErrorKind::Unavailable, 4, 4));
}

#[tokio::test]
async fn a_wait_beyond_the_idle_limit_is_not_begun() {
    let store = Store::new(noise(20_000), [Cut::Error(5, Code::Unavailable), Cut::Later]);
    let service = Service::start(Arc::clone(&store));
    let download = documents(&service).await.download("id").await.unwrap();
    assert_eq!(failed(download).await.0, ErrorKind::Unavailable);
    assert_eq!(store.asked().len(), 2);
}

#[tokio::test]
async fn downloads_that_nobody_reads_do_not_stop_other_calls() {
    let service = Service::start(Store::new(noise(4_000_000), []));
    let documents = documents(&service).await;
    let mut unread = Vec::new();
    for _ in 0..8 {
        let mut download = documents.download("id").await.unwrap();
        download.read_u8().await.unwrap();
        unread.push(download);
    }
    let small = DownloadContentRequest { document_id: "id".into(), offset: 3_900_000, ..Default::default() };
    let rest = read(documents.download(small).await.unwrap()).await.unwrap();
    assert_eq!(rest.len(), 100_000);
    for download in unread {
        assert_eq!(read(download).await.unwrap().len(), 3_999_999);
    }
}

#[tokio::test]
async fn an_error_that_does_not_go_away_is_not_tried_again() {
    let store = Store::new(noise(20_000), [Cut::Error(5, Code::DataLoss)]);
    let service = Service::start(Arc::clone(&store));
    let download = documents(&service).await.download("id").await.unwrap();
    assert_eq!(failed(download).await, (ErrorKind::DataLoss, io::ErrorKind::InvalidData));
    assert_eq!(store.asked().len(), 1);
}

#[tokio::test]
async fn content_that_was_replaced_meanwhile_is_never_mixed() {
    let store = Store::new(noise(20_000), [Cut::Error(5000, Code::Unavailable)]);
    let service = Service::start(Arc::clone(&store));
    let download = documents(&service).await.download("id").await.unwrap();
    store.content.lock().unwrap().generation = 8;
    let error = read(download).await.unwrap_err();
    assert_eq!(Error::from_io(&error).unwrap().reason(), Some(ErrorReason::EtagMismatch));
}

#[tokio::test]
async fn other_bytes_than_those_declared_are_an_error_for_ever() {
    let store = Store::new(noise(20_000), []);
    store.content.lock().unwrap().sha256[3] ^= 1;
    let service = Service::start(Arc::clone(&store));
    let mut download = documents(&service).await.download("id").await.unwrap();
    let mut bytes = Vec::new();
    for _ in 0..2 {
        let error = download.read_to_end(&mut bytes).await.unwrap_err();
        assert_eq!(Error::from_io(&error).unwrap().kind(), ErrorKind::DataLoss);
    }
    assert_eq!(download.chunk().await.unwrap_err().kind(), ErrorKind::DataLoss);
}

#[tokio::test]
async fn more_bytes_than_declared_are_an_error() {
    let store = Store::new(noise(20_000), []);
    store.content.lock().unwrap().size_bytes = 19_999;
    let service = Service::start(Arc::clone(&store));
    let download = documents(&service).await.download("id").await.unwrap();
    assert_eq!(failed(download).await.0, ErrorKind::Reply);
}

#[tokio::test]
async fn a_part_is_read_without_its_digest_but_to_its_end() {
    let store = Store::new(noise(20_000), [Cut::Error(10, Code::Unavailable)]);
    let service = Service::start(Arc::clone(&store));
    let request =
        DownloadContentRequest { document_id: "id".into(), offset: 15_000, generation: 7, ..Default::default() };
    let download = documents(&service).await.download(request).await.unwrap();
    assert!(read(download).await.unwrap() == store.bytes[15_000..]);
    assert_eq!(store.asked(), [(15_000, 7), (15_010, 7)]);
}

#[tokio::test]
async fn silence_ends_a_download_after_the_idle_limit() {
    let store = Store::new(noise(20_000), [Cut::Silent(5000)]);
    let service = Service::start(Arc::clone(&store));
    let download = documents(&service).await.download("id").await.unwrap();
    assert_eq!(failed(download).await, (ErrorKind::DeadlineExceeded, io::ErrorKind::TimedOut));
}

#[tokio::test]
async fn a_deadline_asked_for_holds_to_the_last_byte() {
    let store = Store::new(noise(20_000), [Cut::Silent(5000)]);
    let service = Service::start(Arc::clone(&store));
    let limited = service.client().await.solution("acme_corp").with_deadline(Duration::from_secs(1));
    let download = limited.download("id").await.unwrap();
    assert_eq!(failed(download).await.0, ErrorKind::DeadlineExceeded);
}

#[tokio::test]
async fn content_that_is_not_there_is_told_before_anything_is_read() {
    #[derive(Debug)]
    struct Empty;
    #[tonic::async_trait]
    impl Script for Empty {
        async fn download_content(&self, _: Request<DownloadContentRequest>) -> Result<Response<Frames>, Status> {
            Err(failure(Code::NotFound, "CONTENT_NOT_FOUND", None))
        }
    }
    let service = Service::start(Arc::new(Empty));
    let error = documents(&service).await.download("id").await.unwrap_err();
    assert_eq!(error.reason(), Some(ErrorReason::ContentNotFound));
}
