//! Callers: each asks for one thing after another, tries again with the same request_id at whichever router, and records what
//! came of it.

use std::time::Duration;

use fbs_router_proto::document::v1::{
    ApproveDocumentRequest, CreateDocumentRequest, DeleteDocumentRequest, Document as Message, DocumentFilter,
    DownloadContentRequest, GetDocumentRequest, ListDocumentsRequest, SubmitDocumentRequest, UpdateDocumentRequest,
    document::State, document_service_client::DocumentServiceClient, upload_content_request::Header,
};
use tonic::{Code, Request, Response, Status, transport::Channel};

use super::{
    Torture,
    checker::{Content, Refusal, Stage},
    files,
    history::{Call, Line, Outcome, Seen},
    routers::ROUTERS,
    solutions::{Document, Shelf, Solution, is_renamed},
};
use crate::support::{asking, reason, unanswered};

pub(super) const CLIENTS: usize = 10;
/// Of one try.
const DEADLINE: Duration = Duration::from_millis(1500);
const TRIES: usize = 4;

/// What a try may fail with while faults go on; whether it was done is not asked of any of them.
const ALLOWED: [(Code, &str); 9] = [
    (Code::Unavailable, "ROUTE_MOVING"),
    (Code::Unavailable, "ROUTE_UNKNOWN"),
    (Code::Unavailable, "DATABASE_UNAVAILABLE"),
    (Code::Unavailable, "SERVER_UNAVAILABLE"),
    (Code::ResourceExhausted, "POOL_EXHAUSTED"),
    (Code::DeadlineExceeded, "DEADLINE_EXCEEDED"),
    (Code::Aborted, "DATABASE_CONFLICT"),
    // Of the transport: the router is gone, or silent.
    (Code::Unavailable, ""),
    (Code::Cancelled, ""),
];

/// And with these, whose database is renamed or trades its name: to others nobody says so, in whatever order a router hears
/// of where they live.
const ALLOWED_TO_RENAMED: [(Code, &str); 2] =
    [(Code::FailedPrecondition, "DATABASE_DETACHED"), (Code::FailedPrecondition, "DATABASE_IDENTITY_MISMATCH")];

/// What says something of the document.
const REFUSALS: [(&str, Refusal); 6] = [
    ("DOCUMENT_EXISTS", Refusal::Exists),
    ("DOCUMENT_NOT_FOUND", Refusal::NotFound),
    ("ETAG_MISMATCH", Refusal::EtagMismatch),
    ("DOCUMENT_NOT_EDITABLE", Refusal::NotEditable),
    ("STATE_TRANSITION_INVALID", Refusal::StepInvalid),
    ("CONTENT_NOT_FOUND", Refusal::NoFile),
];

/// In every text of a solution, and in nobody else's.
pub(super) fn canary(solution: &str) -> String {
    format!("CANARY:{solution}:")
}

/// What came of all tries of a call.
struct Tried<M> {
    tries: Vec<(usize, String)>,
    answer: Option<Result<M, Refusal>>,
}

pub(super) struct Client<'t> {
    torture: &'t Torture,
    number: usize,
    random: fastrand::Rng,
}

impl<'t> Client<'t> {
    pub(super) fn new(torture: &'t Torture, number: usize) -> Self {
        Self { torture, number, random: fastrand::Rng::with_seed(torture.seed ^ ((number as u64 + 1) << 32)) }
    }

    pub(super) async fn go_on(mut self) {
        while !self.torture.is_over() {
            let solution = self.torture.solution(&mut self.random);
            let calling = solution.calling.read().await;
            let shelf = solution.shelf();
            let document = &shelf.documents[self.random.usize(..shelf.documents.len())];
            let has_file = document.known.lock().unwrap().as_ref().is_some_and(|known| known.content.file != 0);
            match (self.random.u32(..20), has_file) {
                (0..2, _) => self.list(&solution, &shelf).await,
                (2, _) | (3..6, true) => self.download(&solution, document).await,
                _ => self.ask(&solution, &shelf, document).await,
            }
            drop(calling);
            // So that the machine is not busy with callers alone.
            tokio::time::sleep(Duration::from_millis(self.random.u64(2..20))).await;
        }
    }

    /// What makes sense after what was last seen of it; others see and change it, too.
    fn choose(&mut self, known: Option<&Seen>) -> Call {
        let nonce = self.torture.nonce();
        let Some(Seen { content, etag, .. }) = known else {
            return if self.random.u32(..5) == 0 { Call::Get } else { Call::Create { nonce } };
        };
        let etag = etag.clone();
        match (self.random.u32(..100), content.stage) {
            (0..35, _) => Call::Get,
            (35..38, _) => Call::Create { nonce },
            (38..42, _) => Call::Delete { etag },
            (42..50, Stage::Draft) => Call::Submit { etag },
            (42..70, Stage::Pending) => Call::Approve { etag },
            // Of a document that may have changed meanwhile: made twice, it would undo what others did.
            (70..78, _) => Call::Update { nonce, etag: String::new() },
            (78..80, _) => Call::Upload { nonce, etag: String::new() },
            (80..86, _) => Call::Upload { nonce, etag },
            _ => Call::Update { nonce, etag },
        }
    }

    async fn ask(&mut self, solution: &Solution, shelf: &Shelf, document: &Document) {
        let known = document.known.lock().unwrap().clone();
        let call = self.choose(known.as_ref());
        let (name, id) = (solution.name.clone(), document.id.clone());
        let request_id = if call == Call::Get { String::new() } else { asking::request_id() };
        let text = |nonce: u64| {
            let text = format!("{nonce} {}", canary(&name));
            let tags = vec![text.clone()];
            let category = shelf.category.clone();
            Message { name: text.clone(), title: text.clone(), description: text, tags, category, ..Default::default() }
        };
        let called = self.torture.now();
        let (solution, document_id, again) = (name.clone(), id.clone(), request_id.clone());
        let tried = match call.clone() {
            Call::Create { nonce } => {
                let document = Some(text(nonce));
                let request =
                    CreateDocumentRequest { solution, document_id, request_id: again, document, ..Default::default() };
                let send = async |mut client: Documents, request| client.create_document(request).await;
                self.tries(&name, TRIES, &request, send).await.map(|answer| answer.document)
            }
            Call::Update { nonce, etag } => {
                let paths = ["name", "title", "description", "tags"].map(str::to_owned).to_vec();
                let (document, update_mask) = (Some(text(nonce)), Some(prost_types::FieldMask { paths }));
                let request = UpdateDocumentRequest {
                    solution,
                    document_id,
                    document,
                    update_mask,
                    request_id: again,
                    etag,
                    ..Default::default()
                };
                let send = async |mut client: Documents, request| client.update_document(request).await;
                self.tries(&name, TRIES, &request, send).await.map(|answer| answer.document)
            }
            Call::Upload { nonce, etag } => {
                let request = Header { request_id: again, etag, ..files::header(&name, &id, nonce) };
                let send = async |client, request| files::upload(client, request, nonce).await;
                self.tries(&name, TRIES, &request, send).await.map(|answer| answer.document)
            }
            Call::Submit { etag } => {
                let request =
                    SubmitDocumentRequest { solution, document_id, request_id: again, etag, ..Default::default() };
                let send = async |mut client: Documents, request| client.submit_document(request).await;
                self.tries(&name, TRIES, &request, send).await.map(|answer| answer.document)
            }
            Call::Approve { etag } => {
                let request =
                    ApproveDocumentRequest { solution, document_id, request_id: again, etag, ..Default::default() };
                let send = async |mut client: Documents, request| client.approve_document(request).await;
                self.tries(&name, TRIES, &request, send).await.map(|answer| answer.document)
            }
            Call::Delete { etag } => {
                let request =
                    DeleteDocumentRequest { solution, document_id, request_id: again, etag, ..Default::default() };
                let send = async |mut client: Documents, request| client.delete_document(request).await;
                self.tries(&name, TRIES, &request, send).await.map(|answer| answer.document)
            }
            Call::Get | Call::Download | Call::List | Call::Lose | Call::Last => {
                let request = GetDocumentRequest { solution, document_id, ..Default::default() };
                let send = async |mut client: Documents, request| client.get_document(request).await;
                self.tries(&name, 2, &request, send).await.map(|answer| answer.document)
            }
        };
        let outcome = match tried.answer {
            Some(Ok((message, database))) => Outcome::Is(self.seen(&name, &id, message.as_ref(), database)),
            Some(Err(refusal)) => Outcome::Refused(refusal),
            None => Outcome::Unknown,
        };
        match &outcome {
            Outcome::Is(Some(seen)) => *document.known.lock().unwrap() = Some(seen.clone()),
            Outcome::Refused(Refusal::NotFound) if call == Call::Get => *document.known.lock().unwrap() = None,
            _ => {}
        }
        let returned = self.torture.now();
        self.torture.record(Line {
            client: self.number,
            solution: name,
            document: id,
            call,
            request_id,
            tries: tried.tries,
            outcome,
            called,
            returned,
        });
    }

    /// The file of a document, whole.
    async fn download(&mut self, solution: &Solution, document: &Document) {
        let request = DownloadContentRequest {
            solution: solution.name.clone(),
            document_id: document.id.clone(),
            ..Default::default()
        };
        let called = self.torture.now();
        let tried = self.tries(&solution.name, 2, &request, files::download).await;
        let outcome = match tried.answer {
            Some(Ok((content, _))) => match files::upload_of(&solution.name, &content) {
                Some(nonce) => Outcome::File(nonce),
                None => return self.torture.violation(format!("{}: nobody brought {content:?}", solution.name)),
            },
            Some(Err(refusal)) => {
                if !matches!(refusal, Refusal::NotFound | Refusal::NoFile | Refusal::EtagMismatch) {
                    self.torture.violation(format!("{}: a download is refused as {refusal:?}", solution.name));
                }
                Outcome::Refused(refusal)
            }
            None => Outcome::Unknown,
        };
        self.torture.record(Line {
            client: self.number,
            solution: solution.name.clone(),
            document: document.id.clone(),
            call: Call::Download,
            request_id: String::new(),
            tries: tried.tries,
            outcome,
            called,
            returned: self.torture.now(),
        });
    }

    /// All documents of the shelf, of which each is listed or not.
    async fn list(&mut self, solution: &Solution, shelf: &Shelf) {
        let request = ListDocumentsRequest {
            solution: solution.name.clone(),
            filter: Some(DocumentFilter { category: shelf.category.clone(), ..Default::default() }),
            ..Default::default()
        };
        let called = self.torture.now();
        let send = async |mut client: Documents, request| client.list_documents(request).await;
        let tried = self.tries(&solution.name, 2, &request, send).await;
        let returned = self.torture.now();
        let Some(Ok((page, database))) = tried.answer else { return };
        for document in &shelf.documents {
            let message = page.documents.iter().find(|message| message.document_id == document.id);
            let seen = self.seen(&solution.name, &document.id, message, database.clone());
            if let Some(seen) = &seen {
                *document.known.lock().unwrap() = Some(seen.clone());
            }
            self.torture.record(Line {
                client: self.number,
                solution: solution.name.clone(),
                document: document.id.clone(),
                call: Call::List,
                request_id: String::new(),
                tries: tried.tries.clone(),
                outcome: Outcome::Is(seen),
                called,
                returned,
            });
        }
        let strangers = page.documents.iter().filter(|m| shelf.documents.iter().all(|own| own.id != m.document_id));
        for stranger in strangers {
            self.torture.violation(format!("{} lists {stranger:?} in {}", solution.name, shelf.category));
        }
    }

    /// Tries until there is an answer that settles it.
    async fn tries<Q: prost::Message + Clone, A: prost::Message>(
        &mut self,
        solution: &str,
        most: usize,
        request: &Q,
        send: impl AsyncFn(Documents, Request<Q>) -> Result<Response<A>, Status>,
    ) -> Tried<(A, String)> {
        let mut tried = Tried { tries: Vec::new(), answer: None };
        let first = self.random.usize(..ROUTERS);
        for turn in 0..most {
            if turn > 0 {
                tokio::time::sleep(Duration::from_millis(self.random.u64(20..200))).await;
            }
            let at = (first + turn) % ROUTERS;
            let mut call = Request::new(request.clone());
            call.set_timeout(DEADLINE);
            let sent = send(self.torture.routers[at].documents(), call);
            // A router that was stopped does not even say that it is late. Now and then a caller leaves early, and asks again:
            // what he asked for goes on, and may be done when he does.
            let leaves = most == TRIES && turn == 0 && self.random.u32(..8) == 0;
            let patience = if leaves { Duration::from_millis(self.random.u64(5..80)) } else { DEADLINE * 2 };
            let answer = tokio::time::timeout(patience, sent).await;
            let answer = answer.unwrap_or_else(|_| Err(Status::cancelled("no answer")));
            self.torture.look_for_leaks(solution, &answer);
            match answer {
                Ok(answer) => {
                    tried.tries.push((at, "OK".to_owned()));
                    let database = answer.metadata().get("fbs-database").and_then(|value| value.to_str().ok());
                    let database = database.unwrap_or_default().to_owned();
                    tried.answer = Some(Ok((answer.into_inner(), database)));
                    return tried;
                }
                Err(status) => {
                    let (code, reason) = reason(&status);
                    tried.tries.push((at, format!("{code:?} {reason}")));
                    if let Some((_, refusal)) = REFUSALS.iter().find(|(name, _)| *name == reason) {
                        tried.answer = Some(Err(*refusal));
                        return tried;
                    }
                    // What the transport makes of a connection that broke, or that a router which is stopped closes.
                    let told = (code, &*reason);
                    let is_allowed =
                        ALLOWED.contains(&told) || is_renamed(solution) && ALLOWED_TO_RENAMED.contains(&told);
                    if !unanswered(&status) && !is_allowed {
                        self.torture.violation(format!("{solution} was refused by {at}: {status:?}"));
                    }
                }
            }
        }
        tried
    }

    /// What a message shows of the document that was meant.
    fn seen(&self, solution: &str, id: &str, message: Option<&Message>, database: String) -> Option<Seen> {
        let message = message?;
        let told = |what: &str| self.torture.violation(format!("{what}: {solution} {id} {message:?}"));
        if message.solution != solution || message.document_id != id {
            told("another document");
        }
        let texts = [&message.title, &message.description, message.tags.first().unwrap_or(&message.name)];
        if texts.iter().any(|text| **text != message.name) {
            told("half a write");
        }
        let nonce = message.name.split(' ').next().and_then(|word| word.parse().ok());
        let stage = match message.state() {
            State::Draft => Stage::Draft,
            State::Pending => Stage::Pending,
            State::Approved => Stage::Approved,
            State::Unspecified | State::Rejected | State::Archived => {
                told("a state that nobody asked for");
                Stage::Draft
            }
        };
        let Some(nonce) = nonce else {
            told("not ours");
            return None;
        };
        let file = message.content.as_ref().map_or(0, |content| {
            files::upload_of(solution, content).unwrap_or_else(|| {
                told("a file that nobody brought");
                0
            })
        });
        let content = Content { nonce, file, stage, deleted: message.delete_time.is_some() };
        Some(Seen { content, etag: message.etag.clone(), database })
    }
}

type Documents = DocumentServiceClient<Channel>;

impl<M> Tried<(M, String)> {
    fn map<T>(self, take: impl FnOnce(M) -> T) -> Tried<(T, String)> {
        let answer = self.answer.map(|answer| answer.map(|(message, database)| (take(message), database)));
        Tried { tries: self.tries, answer }
    }
}
