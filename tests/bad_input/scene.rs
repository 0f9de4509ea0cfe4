//! What the rows are asked about: documents in several states, and one good request for every method.

use std::fmt;

use fbs_router_proto::{
    document::v1::{
        ApproveDocumentRequest, ArchiveDocumentRequest, BatchCreateDocumentsRequest, BatchGetDocumentsRequest,
        CreateDocumentRequest, DeleteDocumentRequest, Document, DocumentType, DownloadContentRequest,
        GetDocumentRequest, GetDocumentStatsRequest, ListDocumentTransitionsRequest, ListDocumentTypesRequest,
        ListDocumentsRequest, SearchDocumentsRequest, UploadContentRequest,
    },
    router::v1::{
        BatchResolveDatabasesRequest, ExplainRouteRequest, ListDatabasesRequest, ListSolutionsRequest,
        ResolveDatabaseRequest,
    },
};
use prost::{Message, bytes::Bytes};
use prost_reflect::{DynamicMessage, Kind, ReflectMessage, Value};

use crate::support::{
    Replica, World,
    asking::{
        approval, archival, creation, definition, deletion, page, rejection, request_id, retitle, submission,
        undeletion,
    },
    draft,
    methods::{method_of, path},
    transfers::{chunk, declared, first, header, wanted},
};

/// One request, and the fields that are wrong with it.
#[derive(Clone)]
pub(super) struct Ask {
    pub(super) path: String,
    pub(super) frames: Vec<Bytes>,
    pub(super) fields: Vec<String>,
    told: String,
}

impl fmt::Debug for Ask {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}: {}", self.path, self.told)
    }
}

/// A request in which these fields are wrong.
pub(super) fn ask<M: Message + fmt::Debug>(request: M, fields: &[&str]) -> Ask {
    Ask {
        path: path(&method_of::<M>()),
        frames: vec![request.encode_to_vec().into()],
        fields: fields.iter().map(|field| (*field).to_owned()).collect(),
        told: format!("{request:?}").chars().take(300).collect(),
    }
}

/// An upload in which this is wrong.
pub(super) fn upload(frames: &[UploadContentRequest], field: &str) -> Ask {
    let encoded = frames.iter().map(|frame| frame.encode_to_vec().into()).collect();
    let told = frames.iter().map(|frame| format!("{frame:?}").chars().take(300).collect::<String>()).collect();
    Ask { frames: encoded, told, ..ask(frames.first().cloned().unwrap_or_default(), &[field]) }
}

/// Documents of `globex` in several states.
pub(super) struct Scene {
    /// In DRAFT.
    pub(super) live: Document,
    /// In DRAFT, with content of 6 bytes.
    pub(super) filed: Document,
    /// In PENDING.
    pub(super) pending: Document,
    /// In PENDING, made by whoever asks, of a type that wants four eyes.
    pub(super) own: Document,
    /// In APPROVED.
    pub(super) approved: Document,
    /// Deleted.
    pub(super) deleted: Document,
    /// Of `acme_corp`.
    pub(super) foreign: Document,
    /// Of a request that was made.
    pub(super) used: String,
    /// Of the second page by name.
    pub(super) token: String,
    to_reject: Document,
    to_delete: Document,
}

impl Scene {
    pub(super) async fn new(world: &World, replica: &Replica) -> Self {
        let used = request_id();
        let request = CreateDocumentRequest { request_id: used.clone(), ..creation("globex", draft("live")) };
        let live = replica.ask_create(request).await.unwrap();
        let filed = replica.make("globex", "filed").await;
        let filed = replica.upload("globex", &filed.document_id, "a.pdf", b"bytes!").await.unwrap();
        let pending = async |document: Document| {
            let made = replica.ask_create(creation("globex", document)).await.unwrap();
            replica.ask_submit(submission("globex", &made.document_id)).await.unwrap()
        };
        let strict = DocumentType { requires_approval: true, four_eyes: true, ..a_type("strict") };
        replica.ask_put_type(definition("globex", strict)).await.unwrap();
        let own = pending(Document { document_type: "strict".into(), ..draft("own") }).await;
        let approved = replica.ask_approve(approval(&pending(draft("approved")).await, "")).await.unwrap();
        let deleted = replica.make("globex", "deleted").await;
        let deleted = replica.ask_delete(deletion("globex", &deleted.document_id)).await.unwrap();
        let by_name = ListDocumentsRequest { order_by: "name".into(), ..page("globex", 1) };
        let token = replica.ask_page(by_name).await.unwrap().next_page_token;
        let this = Self {
            live,
            filed,
            pending: pending(draft("pending")).await,
            own,
            approved,
            deleted,
            foreign: replica.make("acme_corp", "A-1").await,
            used,
            token,
            to_reject: pending(draft("to reject")).await,
            to_delete: replica.make("globex", "to delete").await,
        };
        world.snapshot_holds("globex").await;
        this
    }

    /// A good request for every method, none in the way of another.
    pub(super) fn good(&self) -> Vec<Ask> {
        self.requests().into_iter().map(|(good, _)| good).collect()
    }

    /// Every method that has the field, asked with this value in it.
    pub(super) fn every(&self, field: &str, text: &str) -> Vec<Ask> {
        self.every_value(field, Value::String(text.to_owned()))
    }

    /// As [`Self::every`], for a number.
    pub(super) fn every_number(&self, field: &str, number: i32) -> Vec<Ask> {
        self.every_value(field, Value::I32(number))
    }

    fn every_value(&self, field: &str, value: Value) -> Vec<Ask> {
        let mut asks = Vec::new();
        for (good, mut message) in self.requests() {
            let Some(place) = set(&mut message, field, &value) else { continue };
            let mut frames = good.frames;
            frames[0] = message.encode_to_vec().into();
            let told = format!("{place} = {value:?}").chars().take(300).collect();
            asks.push(Ask { frames, fields: vec![place], told, ..good });
        }
        assert!(!asks.is_empty(), "no request has a field {field}");
        asks
    }

    /// Each with its first message taken apart.
    fn requests(&self) -> Vec<(Ask, DynamicMessage)> {
        let (solution, id) = ("globex".to_owned(), self.live.document_id.clone());
        let resolve = ResolveDatabaseRequest { solution: solution.clone(), ..Default::default() };
        let content = header("globex", &self.filed.document_id, declared("b.pdf", b"other"));
        vec![
            good(creation("globex", draft("new"))),
            good(GetDocumentRequest { solution: solution.clone(), document_id: id.clone(), ..Default::default() }),
            good(page("globex", 1)),
            good(retitle("globex", &id, "another")),
            good(deletion("globex", &self.to_delete.document_id)),
            good(undeletion("globex", &self.deleted.document_id)),
            good(submission("globex", &id)),
            good::<ApproveDocumentRequest>(approval(&self.pending, "")),
            good(rejection(&self.to_reject, "no")),
            good::<ArchiveDocumentRequest>(archival("globex", &self.approved.document_id)),
            good(ListDocumentTransitionsRequest {
                solution: solution.clone(),
                document_id: self.pending.document_id.clone(),
                ..Default::default()
            }),
            good(SearchDocumentsRequest { solution: solution.clone(), query: "about".into(), ..Default::default() }),
            good(GetDocumentStatsRequest { solution: solution.clone(), ..Default::default() }),
            good(BatchGetDocumentsRequest {
                solution: solution.clone(),
                document_ids: vec![id, self.pending.document_id.clone()],
                ..Default::default()
            }),
            good(batch(vec![draft("one"), draft("two")])),
            good(definition("globex", a_type("memo"))),
            good(ListDocumentTypesRequest { solution, ..Default::default() }),
            good_upload(&[first(content), chunk(b"other")]),
            good::<DownloadContentRequest>(wanted("globex", &self.filed.document_id)),
            good(resolve.clone()),
            good(BatchResolveDatabasesRequest { requests: vec![resolve.clone()] }),
            good(ExplainRouteRequest { request: Some(resolve) }),
            good(ListSolutionsRequest::default()),
            good(ListDatabasesRequest::default()),
        ]
    }
}

fn good<M: Message + fmt::Debug>(request: M) -> (Ask, DynamicMessage) {
    let mut message = DynamicMessage::new(method_of::<M>().input());
    message.transcode_from(&request).unwrap();
    (ask(request, &[]), message)
}

fn good_upload(frames: &[UploadContentRequest]) -> (Ask, DynamicMessage) {
    let (_, message) = good(frames[0].clone());
    (upload(frames, ""), message)
}

/// Sets the field where the message has it, or the one message in it that stands for the request; its path.
fn set(message: &mut DynamicMessage, name: &str, value: &Value) -> Option<String> {
    if message.descriptor().get_field_by_name(name).is_some() {
        message.set_field_by_name(name, value.clone());
        return Some(name.to_owned());
    }
    let descriptor = message.descriptor();
    let inner = ["header", "request"].into_iter().find(|inner| {
        descriptor
            .get_field_by_name(inner)
            .is_some_and(|field| matches!(field.kind(), Kind::Message(_)) && !field.is_list())
    })?;
    let Value::Message(part) = message.get_field_by_name_mut(inner)? else { return None };
    set(part, name, value).map(|path| format!("{inner}.{path}"))
}

/// A request to create these in one go.
pub(super) fn batch(documents: Vec<Document>) -> BatchCreateDocumentsRequest {
    let requests = documents
        .into_iter()
        .map(|document| CreateDocumentRequest { document: Some(document), ..CreateDocumentRequest::default() });
    BatchCreateDocumentsRequest { solution: "globex".into(), requests: requests.collect(), ..Default::default() }
}

/// A document type that is right.
pub(super) fn a_type(code: &str) -> DocumentType {
    DocumentType { code: code.into(), name: "A type".into(), ..DocumentType::default() }
}

/// A request to delete what is in no solution.
pub(super) fn absent() -> DeleteDocumentRequest {
    deletion("globex", "0190b0a0-0000-7000-8000-00000000dead")
}
