//! The documents of one solution: reading, changing, and the workflow. Listings are in `documents/listings.rs`,
//! content in `transfer.rs`.
//!
//! Invariant: no request leaves for another solution than the one the handle was made for; a request that names
//! another is refused here. Every change has a `request_id` before it leaves, so that it may be repeated.

use std::{future::Future, time::Duration};

use fbs_router_proto::document::v1::{
    ApproveDocumentRequest, ArchiveDocumentRequest, BatchCreateDocumentsRequest, BatchGetDocumentsRequest,
    BatchGetDocumentsResponse, CreateDocumentRequest, DeleteDocumentRequest, Document, DocumentType,
    GetDocumentRequest, PutDocumentTypeRequest, RejectDocumentRequest, SubmitDocumentRequest, UndeleteDocumentRequest,
    UpdateDocumentRequest, document_service_client::DocumentServiceClient,
};
use tonic::{Request, Response, Status, transport::Channel};
use uuid::Uuid;

use crate::{Answer, Ask, Client, Error, MESSAGE_BYTES_MAX};

mod addressed;
mod listings;

pub(crate) use addressed::Addressed;

/// A solution's documents. Requests may leave `solution` empty; a change without a `request_id` gets one, which
/// [`Error::request_id`] tells if it fails: repeated with it, it happens once.
///
/// Cancel safety, of all methods: dropping the future of a question gives its answer up. Dropping that of a change
/// leaves it open whether it happened: repeat it with a `request_id` of your own to know.
#[derive(Debug, Clone)]
pub struct Documents {
    pub(crate) client: Client,
    pub(crate) solution: String,
    /// Who changes, unless the request says; empty = the caller itself.
    actor: String,
}

pub(crate) type Stub = DocumentServiceClient<Channel>;

pub(crate) fn stub(channel: Channel) -> Stub {
    Stub::new(channel).max_decoding_message_size(MESSAGE_BYTES_MAX)
}

// === impl Documents: reading and changing ===

impl Documents {
    pub(crate) fn new(client: Client, solution: String) -> Self {
        Self { client, solution, actor: String::new() }
    }

    /// The solution.
    pub fn solution(&self) -> &str {
        &self.solution
    }

    /// The same documents with another deadline; see [`Client::with_deadline`].
    #[must_use]
    pub fn with_deadline(&self, deadline: Duration) -> Self {
        Self { client: self.client.with_deadline(deadline), ..self.clone() }
    }

    /// The same documents with another number of attempts; see [`Client::with_attempts`].
    #[must_use]
    pub fn with_attempts(&self, attempts: u32) -> Self {
        Self { client: self.client.with_attempts(attempts), ..self.clone() }
    }

    /// The same documents, changed on behalf of `actor` (1 to 255 characters; empty is the caller itself): each change
    /// carries it, uploads too, unless its request names an actor of its own. Questions have none.
    ///
    /// Needs a caller that the service lets act for others; otherwise a change is
    /// [`PermissionDenied`](crate::ErrorKind::PermissionDenied).
    #[must_use]
    pub fn on_behalf_of(&self, actor: impl Into<String>) -> Self {
        Self { actor: actor.into(), ..self.clone() }
    }

    /// Creates a document in DRAFT, from a document or from a whole request.
    ///
    /// Cancel safety: it may happen all the same.
    pub async fn create(&self, request: impl Ask<CreateDocumentRequest>) -> Result<Answer<Document>, Error> {
        let send = |mut stub: Stub, request| async move { stub.create_document(request).await };
        document(self.call("CreateDocument", request.ask(), send).await?.map(|reply| reply.document))
    }

    /// Reads a document, by id or by a whole request; also while it is deleted: check that `delete_time` is none.
    ///
    /// Cancel safety: only reads.
    pub async fn get(&self, request: impl Ask<GetDocumentRequest>) -> Result<Answer<Document>, Error> {
        let send = |mut stub: Stub, request| async move { stub.get_document(request).await };
        document(self.call("GetDocument", request.ask(), send).await?.map(|reply| reply.document))
    }

    /// Changes the fields that `update_mask` names; only in DRAFT and REJECTED.
    ///
    /// Cancel safety: it may happen all the same.
    pub async fn update(&self, request: impl Ask<UpdateDocumentRequest>) -> Result<Answer<Document>, Error> {
        let send = |mut stub: Stub, request| async move { stub.update_document(request).await };
        document(self.call("UpdateDocument", request.ask(), send).await?.map(|reply| reply.document))
    }

    /// Marks a document deleted, by id or by a whole request; it is purged later.
    ///
    /// Cancel safety: it may happen all the same.
    pub async fn delete(&self, request: impl Ask<DeleteDocumentRequest>) -> Result<Answer<Document>, Error> {
        let send = |mut stub: Stub, request| async move { stub.delete_document(request).await };
        document(self.call("DeleteDocument", request.ask(), send).await?.map(|reply| reply.document))
    }

    /// Takes a delete back, by id or by a whole request, until the purge time.
    ///
    /// Cancel safety: it may happen all the same.
    pub async fn undelete(&self, request: impl Ask<UndeleteDocumentRequest>) -> Result<Answer<Document>, Error> {
        let send = |mut stub: Stub, request| async move { stub.undelete_document(request).await };
        document(self.call("UndeleteDocument", request.ask(), send).await?.map(|reply| reply.document))
    }

    /// Reads 1 to 100 documents, deleted ones too; ids that are not there are told apart.
    ///
    /// Cancel safety: only reads.
    pub async fn batch_get(
        &self,
        request: impl Ask<BatchGetDocumentsRequest>,
    ) -> Result<Answer<BatchGetDocumentsResponse>, Error> {
        let send = |mut stub: Stub, request| async move { stub.batch_get_documents(request).await };
        self.call("BatchGetDocuments", request.ask(), send).await
    }

    /// Creates 1 to 100 documents, all or none, and answers them in the order asked.
    ///
    /// Cancel safety: it may happen all the same.
    pub async fn batch_create(
        &self,
        request: impl Ask<BatchCreateDocumentsRequest>,
    ) -> Result<Answer<Vec<Document>>, Error> {
        let mut request = request.ask();
        for (index, inner) in request.requests.iter_mut().enumerate() {
            // On the wire only the batch names the solution.
            if !inner.solution.is_empty() && inner.solution != self.solution {
                let field = format!("requests[{index}].solution");
                return Err(Error::other_solution(&field, &self.solution, &inner.solution));
            }
            inner.solution.clear();
        }
        let asked = request.requests.len();
        let send = |mut stub: Stub, request| async move { stub.batch_create_documents(request).await };
        let answer = self.call("BatchCreateDocuments", request, send).await?.map(|reply| reply.documents);
        if answer.len() != asked {
            return Err(Error::reply(format!("{} documents for {asked} requests", answer.len())));
        }
        Ok(answer)
    }

    /// Defines or replaces a document type.
    ///
    /// Cancel safety: it may happen all the same.
    pub async fn put_type(&self, request: impl Ask<PutDocumentTypeRequest>) -> Result<Answer<DocumentType>, Error> {
        let send = |mut stub: Stub, request| async move { stub.put_document_type(request).await };
        present(self.call("PutDocumentType", request.ask(), send).await?.map(|reply| reply.document_type), "type")
    }
}

// === impl Documents: the workflow ===

impl Documents {
    /// Submits a document: DRAFT or REJECTED to PENDING, or to APPROVED at once if its type needs no approval.
    ///
    /// Cancel safety: it may happen all the same.
    pub async fn submit(&self, request: impl Ask<SubmitDocumentRequest>) -> Result<Answer<Document>, Error> {
        let send = |mut stub: Stub, request| async move { stub.submit_document(request).await };
        document(self.call("SubmitDocument", request.ask(), send).await?.map(|reply| reply.document))
    }

    /// PENDING to APPROVED. Needs the etag of what was read: `(id, etag)`, the document itself (`&read`), or a whole
    /// request.
    ///
    /// Cancel safety: it may happen all the same.
    pub async fn approve(&self, request: impl Ask<ApproveDocumentRequest>) -> Result<Answer<Document>, Error> {
        let send = |mut stub: Stub, request| async move { stub.approve_document(request).await };
        document(self.call("ApproveDocument", request.ask(), send).await?.map(|reply| reply.document))
    }

    /// PENDING to REJECTED. Needs the etag of what was read, and says why: `(id, etag, comment)`,
    /// `(&read, comment)`, or a whole request.
    ///
    /// Cancel safety: it may happen all the same.
    pub async fn reject(&self, request: impl Ask<RejectDocumentRequest>) -> Result<Answer<Document>, Error> {
        let send = |mut stub: Stub, request| async move { stub.reject_document(request).await };
        document(self.call("RejectDocument", request.ask(), send).await?.map(|reply| reply.document))
    }

    /// APPROVED or REJECTED to ARCHIVED, for good.
    ///
    /// Cancel safety: it may happen all the same.
    pub async fn archive(&self, request: impl Ask<ArchiveDocumentRequest>) -> Result<Answer<Document>, Error> {
        let send = |mut stub: Stub, request| async move { stub.archive_document(request).await };
        document(self.call("ArchiveDocument", request.ask(), send).await?.map(|reply| reply.document))
    }
}

// === impl Documents: what all calls do ===

impl Documents {
    /// Makes the request one for this solution, and gives a change its actor, and the id that makes it safe to repeat.
    pub(crate) fn claim(&self, message: &mut impl Addressed) -> Result<Option<String>, Error> {
        let solution = message.solution();
        if solution.is_empty() {
            solution.clone_from(&self.solution);
        }
        if *solution != self.solution {
            return Err(Error::other_solution("solution", &self.solution, solution));
        }
        if let Some(actor) = message.actor().filter(|actor| actor.is_empty()) {
            actor.clone_from(&self.actor);
        }
        Ok(message.request_id().map(|request_id| {
            if request_id.is_empty() {
                *request_id = Uuid::new_v4().to_string();
            }
            request_id.clone()
        }))
    }

    async fn call<M, R, F, Fut>(&self, method: &'static str, mut message: M, send: F) -> Result<Answer<R>, Error>
    where
        M: Addressed + Clone,
        F: Fn(Stub, Request<M>) -> Fut,
        Fut: Future<Output = Result<Response<R>, Status>>,
    {
        let request_id = self.claim(&mut message)?;
        let attempts = self.client.call(method, Some(&self.solution), request_id);
        attempts.unary(message, |channel, request| send(stub(channel), request)).await
    }
}

pub(crate) fn document(answer: Answer<Option<Document>>) -> Result<Answer<Document>, Error> {
    present(answer, "document")
}

/// The part of an answer that it is there for.
pub(crate) fn present<T>(answer: Answer<Option<T>>, what: &str) -> Result<Answer<T>, Error> {
    let (message, served) = answer.into_parts();
    let message = message.ok_or_else(|| Error::reply(format!("a reply without its {what}")))?;
    Ok(Answer::new(message, served))
}
