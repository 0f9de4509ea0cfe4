//! What calls hold of the memory while they are on their way: requests that do not end, answers and downloads that nobody
//! reads.

use std::{
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
};

use fbs_router_proto::document::v1::{
    BatchCreateDocumentsRequest, CreateDocumentRequest, Document, ListDocumentsRequest,
};
use fbs_router_sandbox::{platform::SYSTEM_DATABASE, soon};
use h2::{RecvStream, SendStream};
use prost::{
    Message,
    bytes::{BufMut, Bytes, BytesMut},
};
use prost_types::{Struct, Value, value::Kind};
use tokio::{net::TcpStream, task::JoinSet};
use tonic::{Code, Status};

use crate::{
    pools::held,
    support::{
        World,
        asking::{creation, retitle},
        callers::{caller, token, with_token},
        draft, failure,
        process::Served,
        reason,
        transfers::{declared, frames, header, noise, wanted},
        wire::{framed, metrics, raw_status},
    },
};

const MIB: usize = 1 << 20;
/// All of it, of which one caller may hold half.
const ALL: usize = 100 * MIB;
/// As many as are begun: together they would hold more than all of it.
const CALLS: usize = 60;
/// Longest message.
const LONGEST: usize = 4 * MIB;
/// What the process may grow by: what may be held, the answers that are being made, and what an allocator keeps.
const GROWTH_KIB: u64 = 160 << 10;

const HELD: &str = "fbs_router_in_flight_bytes";
const REFUSED: &str = "fbs_router_in_flight_refused_total";
const UNAUTHENTICATED: &str = "fbs_router_unauthenticated_total";

struct Scene {
    world: World,
    served: Served,
}

/// Calls of one who does not go on: he neither ends what he sends nor reads what he gets.
#[derive(Default)]
struct Stuck {
    /// The connection, and who waits for answers. Dropped, the connection is gone.
    tasks: JoinSet<()>,
    /// Kept, so that nothing is taken back.
    sending: Vec<SendStream<Bytes>>,
    answered: Arc<Mutex<Vec<RecvStream>>>,
    refused: Arc<AtomicUsize>,
}

impl Stuck {
    /// Makes so many calls on one connection, and has room for one byte of each answer.
    async fn begin(at: SocketAddr, method: &str, body: Bytes, end: bool, calls: usize) -> Self {
        let stream = TcpStream::connect(at).await.unwrap();
        let (mut client, connection) =
            h2::client::Builder::new().initial_window_size(1).handshake(stream).await.unwrap();
        let mut this = Self::default();
        this.tasks.spawn(async { drop(connection.await) });
        for _ in 0..calls {
            client = client.ready().await.unwrap();
            let request = http::Request::post(format!("http://{at}/fbs.document.v1.DocumentService/{method}"))
                .header("content-type", "application/grpc")
                .header("te", "trailers")
                .header("grpc-timeout", "60S")
                .header("authorization", format!("Bearer {}", token("greedy")));
            let (answer, mut sending) = client.send_request(request.body(()).unwrap(), false).unwrap();
            // He may be refused before he has sent anything.
            let _ = sending.send_data(body.clone(), end);
            this.sending.push(sending);
            let (answered, refused) = (Arc::clone(&this.answered), Arc::clone(&this.refused));
            let hearing = async move {
                let Ok(answer) = answer.await else { return };
                if let Some(status) = Status::from_header_map(answer.headers()) {
                    assert_eq!(reason(&status), failure(Code::ResourceExhausted, "RATE_LIMITED"), "{status:?}");
                    refused.fetch_add(1, Ordering::Relaxed);
                }
                answered.lock().unwrap().push(answer.into_body());
            };
            // One after the other: it is not for connections that they are refused.
            if end {
                hearing.await;
            } else {
                this.tasks.spawn(hearing);
            }
        }
        this
    }
}

impl Scene {
    async fn new() -> Self {
        let world = World::new().await;
        let people = ["greedy", "other"].map(|name| caller(name, &["globex writer"])).concat();
        let lines = format!("[limits]\nin_flight_bytes = {ALL}\n{}", world.callers(&people));
        let served = Served::start(&world.configuration(&world.platform.url(), &lines), world.folder.path(), &[]).await;
        Self { world, served }
    }

    async fn metric(&self, name: &str) -> usize {
        metrics(self.served.replica.ops).await[name] as usize
    }

    async fn create(&self, name: &str, document: Document) -> Result<Document, Status> {
        let request = with_token(creation("globex", document), name);
        let created = self.served.replica.documents().create_document(request).await?;
        Ok(created.into_inner().document.unwrap())
    }

    async fn is_given_back(&self) {
        soon("all is given back", async || match self.metric(HELD).await {
            0 => Ok(()),
            held => Err(format!("{held} bytes")),
        })
        .await;
    }

    /// Makes the calls; expects that `least` are refused at once, and that nobody else notices.
    async fn stuck(&self, method: &str, body: Bytes, end: bool, least: usize) {
        // Of what was before, what is left now.
        let before = self.served.peak_kib().and_then(|_| self.served.peak_kib());
        let stuck = Stuck::begin(self.served.replica.grpc, method, body, end, CALLS).await;
        soon("what finds no room is refused", async || {
            let refused = stuck.refused.load(Ordering::Relaxed);
            let answered = stuck.answered.lock().unwrap().len();
            if refused >= least && (!end || answered == CALLS) {
                Ok(())
            } else {
                Err(format!("{refused} of {answered}"))
            }
        })
        .await;
        let held = self.metric(HELD).await;
        assert!((ALL / 4..=ALL / 2 + MIB).contains(&held), "{held} bytes are held");
        assert!(self.metric(REFUSED).await >= least);
        assert_eq!(self.metric(UNAUTHENTICATED).await, 0, "he has proved who he is");
        self.create("other", draft("meanwhile")).await.unwrap();
        let growth = self.served.peak_kib().zip(before).map(|(after, before)| after.saturating_sub(before));
        assert!(growth.is_none_or(|growth| growth <= GROWTH_KIB), "{growth:?} KiB more");
        drop(stuck);
        self.is_given_back().await;
        self.create("greedy", draft("afterwards")).await.unwrap();
    }
}

/// The beginning of a message that is announced as long as it may be.
fn unfinished(sent: usize) -> Bytes {
    let mut body = BytesMut::with_capacity(sent + 5);
    body.put_u8(0);
    body.put_u32(u32::try_from(LONGEST).unwrap());
    body.put_bytes(0, sent);
    body.freeze()
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_that_do_not_end_hold_half_of_the_memory_at_most() {
    let scene = Scene::new().await;
    scene.stuck("CreateDocument", unfinished(LONGEST - 1), false, CALLS - 13).await;
    assert_eq!(scene.world.system_rows("globex").await, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_that_nobody_reads_hold_half_of_the_memory_at_most() {
    let scene = Scene::new().await;
    let text = Value { kind: Some(Kind::StringValue("x".repeat(50_000))) };
    let metadata = Some(Struct { fields: [("text".to_owned(), text)].into() });
    let requests: Vec<CreateDocumentRequest> =
        (0..25).map(|_| creation("", Document { metadata: metadata.clone(), ..draft("long") })).collect();
    let batch = BatchCreateDocumentsRequest { solution: "globex".into(), requests, ..Default::default() };
    scene.served.replica.documents().batch_create_documents(with_token(batch, "greedy")).await.unwrap();
    let list = ListDocumentsRequest { solution: "globex".into(), page_size: 100, ..Default::default() };
    scene.stuck("ListDocuments", framed(0, &list.encode_to_vec()), true, CALLS - 45).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn downloads_that_nobody_reads_hold_half_of_the_memory_at_most() {
    let scene = Scene::new().await;
    let document = scene.create("greedy", draft("long")).await.unwrap();
    let content = noise(3 * MIB);
    let header = header("globex", &document.document_id, declared("a.bin", &content));
    let frames = frames(header, &content, MIB / 2);
    let upload = with_token(futures_util::stream::iter(frames), "greedy");
    scene.served.replica.documents().upload_content(upload).await.unwrap();
    let wanted = wanted("globex", &document.document_id);
    scene.stuck("DownloadContent", framed(0, &wanted.encode_to_vec()), true, CALLS - 40).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_request_takes_once_it_is_read_finds_room_before_it_is_read() {
    let scene = Scene::new().await;
    // 76 KB, and nearly 40 MiB when they are read: as much as one message may take.
    let many = BatchCreateDocumentsRequest {
        solution: "globex".into(),
        requests: vec![CreateDocumentRequest::default(); 38_000],
        ..Default::default()
    };
    let send = async || {
        let answer = scene.served.replica.documents().batch_create_documents(with_token(many.clone(), "greedy")).await;
        reason(&answer.unwrap_err())
    };
    assert_eq!(send().await, failure(Code::InvalidArgument, "BATCH_INVALID"));
    let stuck = Stuck::begin(scene.served.replica.grpc, "CreateDocument", unfinished(0), false, 4).await;
    soon("their room is taken", async || match scene.metric(HELD).await {
        held if held > 15 * MIB => Ok(()),
        held => Err(format!("{held} bytes")),
    })
    .await;
    assert_eq!(send().await, failure(Code::ResourceExhausted, "RATE_LIMITED"));
    drop(stuck);
    soon("there is room again", async || match send().await {
        (Code::InvalidArgument, _) => Ok(()),
        other => Err(format!("{other:?}")),
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_that_goes_on_without_its_caller_still_counts() {
    let scene = Scene::new().await;
    let document = scene.create("greedy", draft("held")).await.unwrap();
    let holder = held(&scene.world, SYSTEM_DATABASE, &document.document_id).await;
    let mut documents = scene.served.replica.documents();
    let request = with_token(retitle("globex", &document.document_id, "later"), "greedy");
    let leaving = tokio::spawn(async move { documents.update_document(request).await });
    soon("it waits for the row", async || {
        let waiting = "SELECT count(*) FROM pg_stat_activity WHERE usename = 'fbs_router' AND wait_event_type = 'Lock'";
        if scene.world.count("postgres", waiting).await == 1 { Ok(()) } else { Err("not yet") }
    })
    .await;
    leaving.abort();
    let _ = leaving.await;
    // On the same connection: when this is answered, it is known that he has left.
    scene.create("other", draft("meanwhile")).await.unwrap();
    let bytes = scene.metric(HELD).await;
    assert!(bytes > 16 << 10, "{bytes} bytes are held");
    holder.batch_execute("ROLLBACK").await.unwrap();
    scene.is_given_back().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_asks_without_a_credential_has_no_room_for_more_than_a_name() {
    let scene = Scene::new().await;
    for method in ["Check", "Watch"] {
        let path = format!("/grpc.health.v1.Health/{method}");
        let status = raw_status(scene.served.replica.grpc, &path, &[], unfinished(LONGEST - 1)).await;
        assert_eq!(reason(&status), failure(Code::OutOfRange, "FIELD_INVALID"), "{method}: {status:?}");
    }
}
