//! `fbs.document.v1.DocumentService`: a solution's documents.
//!
//! A handler checks the solution, reads the request, opens a session, calls `documents`, and writes the answer. Streams
//! of content are in `upload` and `download`.

use std::{sync::Arc, time::SystemTime};

use fbs_router_proto::document::v1::{self as proto, document_service_server::DocumentService};
use prost::Message;
use tonic::{Request, Response, Status, Streaming};
use uuid::Uuid;

use super::{
    convert,
    download::Frames,
    page::{ANSWER_BYTES, Page},
    permit::{About, admit},
    reply::{call, served},
    status::status,
    tokens::{Scope, Tokens},
};
use crate::{
    config,
    documents::{self, Change, Mutation},
    domain::{
        Error, Naming, Result, Violation,
        document::{Cursor, CursorKey, Document},
        request::{Command, Query},
    },
    routing::{Intent, Router, Session},
};

/// The service.
#[derive(Debug, Clone)]
pub struct Documents {
    pub(super) router: Arc<Router>,
    tokens: Arc<Tokens>,
    pub(super) settings: config::Documents,
}

impl Documents {
    /// Serves what `router` leads to.
    pub fn new(router: Arc<Router>, tokens: Arc<Tokens>, settings: config::Documents) -> Self {
        Self { router, tokens, settings }
    }

    /// Checks whom a request that changes nothing is about, reads it, and opens a session for it.
    pub(super) async fn query<M: About, T>(
        &self,
        request: Request<M>,
        read: impl FnOnce(M, &Naming) -> Result<Query<T>>,
    ) -> Result<(Session, T), Status> {
        let call = call(&request)?;
        let read = |message| read(message, &self.router.naming);
        let (permitted, Query { solution: _, database, what }) = admit(call, request.into_inner(), read)?;
        let session = self.router.open(permitted, database, Intent::Read).await;
        Ok((session.map_err(|error| status(&error))?, what))
    }

    /// As [`Self::query`], of one page of something that has many.
    async fn paged<M: About, T>(
        &self,
        request: Request<M>,
        read: impl FnOnce(M, &Naming, &Tokens, SystemTime) -> Result<(Query<T>, Scope)>,
    ) -> Result<(Session, T, Seal<'_>), Status> {
        let now = SystemTime::now();
        let (session, (what, scope)) = self
            .query(request, |message, naming| {
                let (Query { solution, database, what }, scope) = read(message, naming, &self.tokens, now)?;
                Ok(Query { solution, database, what: (what, scope) })
            })
            .await?;
        Ok((session, what, Seal { tokens: &self.tokens, scope, now }))
    }

    /// As [`Self::query`], of a request that changes something.
    async fn command<M: About, T>(
        &self,
        request: Request<M>,
        method: &'static str,
        read: impl FnOnce(M, &Naming) -> Result<Command<T>>,
    ) -> Result<(Session, Mutation, T), Status> {
        let call = call(&request)?;
        let read = |message| read(message, &self.router.naming);
        let (permitted, command) = admit(call, request.into_inner(), read)?;
        let Command { solution: _, database, repeat, actor, what } = command;
        let session = self.router.open(permitted, database, Intent::Write).await;
        let session = session.map_err(|error| status(&error))?;
        let principal = Arc::clone(session.call().principal.shared_id());
        let mutation =
            Mutation { method, principal, actor, repeat, kept: self.settings.request_id_ttl, replaces_content: false };
        Ok((session, mutation, what))
    }
}

/// What seals the token of the next page.
struct Seal<'t> {
    tokens: &'t Tokens,
    scope: Scope,
    now: SystemTime,
}

impl Seal<'_> {
    fn page<M: Message>(&self, messages: impl IntoIterator<Item = (M, Cursor)>, more: bool) -> (Vec<M>, String) {
        Page::of(messages, more).sealed(self.tokens, &self.scope, self.now)
    }
}

/// A document as it was read.
pub(super) fn read(document: Document, session: &Session) -> proto::Document {
    convert::document(document, session.solution(), session.own_database().unwrap_or_default())
}

/// A document after a change, which may have been made elsewhere than the session was opened for.
pub(super) fn changed(change: Change, session: &Session) -> Option<proto::Document> {
    let own_database = change.own_database.as_deref().unwrap_or_default();
    Some(convert::document(change.stored, session.solution(), own_database))
}

/// Documents in one answer, if it can hold them.
fn bounded(documents: Vec<proto::Document>, field: &'static str) -> Result<Vec<proto::Document>> {
    if documents.iter().map(Message::encoded_len).sum::<usize>() <= ANSWER_BYTES {
        return Ok(documents);
    }
    Err(Error::BatchInvalid(vec![Violation::new(field, "would be answered with more than 3 MiB")]))
}

#[tonic::async_trait]
impl DocumentService for Documents {
    async fn create_document(
        &self,
        request: Request<proto::CreateDocumentRequest>,
    ) -> Result<Response<proto::CreateDocumentResponse>, Status> {
        let (mut session, mutation, what) = self.command(request, "CreateDocument", convert::create).await?;
        let outcome = {
            // Time-ordered, so that new rows lie together; made before any try, so that tries agree.
            let id = what.document_id.unwrap_or_else(Uuid::now_v7);
            documents::create(&mut session, mutation, id, what.draft)
        }
        .await;
        let outcome = outcome.map(|change| proto::CreateDocumentResponse { document: changed(change, &session) });
        served(&session, outcome)
    }

    async fn get_document(
        &self,
        request: Request<proto::GetDocumentRequest>,
    ) -> Result<Response<proto::GetDocumentResponse>, Status> {
        let (mut session, document_id) = self.query(request, convert::get).await?;
        let outcome = documents::get(&mut session, document_id).await;
        let outcome = outcome.map(|document| proto::GetDocumentResponse { document: Some(read(document, &session)) });
        served(&session, outcome)
    }

    async fn list_documents(
        &self,
        request: Request<proto::ListDocumentsRequest>,
    ) -> Result<Response<proto::ListDocumentsResponse>, Status> {
        let (mut session, page, seal) = self.paged(request, convert::list).await?;
        let outcome = documents::list(&mut session, &page).await.and_then(|found| {
            let found_all = found.documents.into_iter().map(|document| {
                let cursor = documents::cursor(&document, page.order)?;
                Ok((read(document, &session), cursor))
            });
            let (documents, next_page_token) = seal.page(found_all.collect::<Result<Vec<_>>>()?, found.more);
            Ok(proto::ListDocumentsResponse { documents, next_page_token })
        });
        served(&session, outcome)
    }

    async fn update_document(
        &self,
        request: Request<proto::UpdateDocumentRequest>,
    ) -> Result<Response<proto::UpdateDocumentResponse>, Status> {
        let (mut session, mutation, what) = self.command(request, "UpdateDocument", convert::update).await?;
        let outcome = documents::update(&mut session, mutation, what).await;
        let outcome = outcome.map(|change| proto::UpdateDocumentResponse { document: changed(change, &session) });
        served(&session, outcome)
    }

    async fn delete_document(
        &self,
        request: Request<proto::DeleteDocumentRequest>,
    ) -> Result<Response<proto::DeleteDocumentResponse>, Status> {
        let (mut session, mutation, what) = self.command(request, "DeleteDocument", convert::delete).await?;
        let outcome = documents::delete(&mut session, mutation, what, self.settings.purge_after).await;
        let outcome = outcome.map(|change| proto::DeleteDocumentResponse { document: changed(change, &session) });
        served(&session, outcome)
    }

    async fn undelete_document(
        &self,
        request: Request<proto::UndeleteDocumentRequest>,
    ) -> Result<Response<proto::UndeleteDocumentResponse>, Status> {
        let (mut session, mutation, what) = self.command(request, "UndeleteDocument", convert::undelete).await?;
        let outcome = documents::undelete(&mut session, mutation, what).await;
        let outcome = outcome.map(|change| proto::UndeleteDocumentResponse { document: changed(change, &session) });
        served(&session, outcome)
    }

    async fn submit_document(
        &self,
        request: Request<proto::SubmitDocumentRequest>,
    ) -> Result<Response<proto::SubmitDocumentResponse>, Status> {
        let (mut session, mutation, what) = self.command(request, "SubmitDocument", convert::submit).await?;
        let outcome = documents::step(&mut session, mutation, what).await;
        let outcome = outcome.map(|change| proto::SubmitDocumentResponse { document: changed(change, &session) });
        served(&session, outcome)
    }

    async fn approve_document(
        &self,
        request: Request<proto::ApproveDocumentRequest>,
    ) -> Result<Response<proto::ApproveDocumentResponse>, Status> {
        let (mut session, mutation, what) = self.command(request, "ApproveDocument", convert::approve).await?;
        let outcome = documents::step(&mut session, mutation, what).await;
        let outcome = outcome.map(|change| proto::ApproveDocumentResponse { document: changed(change, &session) });
        served(&session, outcome)
    }

    async fn reject_document(
        &self,
        request: Request<proto::RejectDocumentRequest>,
    ) -> Result<Response<proto::RejectDocumentResponse>, Status> {
        let (mut session, mutation, what) = self.command(request, "RejectDocument", convert::reject).await?;
        let outcome = documents::step(&mut session, mutation, what).await;
        let outcome = outcome.map(|change| proto::RejectDocumentResponse { document: changed(change, &session) });
        served(&session, outcome)
    }

    async fn archive_document(
        &self,
        request: Request<proto::ArchiveDocumentRequest>,
    ) -> Result<Response<proto::ArchiveDocumentResponse>, Status> {
        let (mut session, mutation, what) = self.command(request, "ArchiveDocument", convert::archive).await?;
        let outcome = documents::step(&mut session, mutation, what).await;
        let outcome = outcome.map(|change| proto::ArchiveDocumentResponse { document: changed(change, &session) });
        served(&session, outcome)
    }

    async fn list_document_transitions(
        &self,
        request: Request<proto::ListDocumentTransitionsRequest>,
    ) -> Result<Response<proto::ListDocumentTransitionsResponse>, Status> {
        let (mut session, (document_id, window), seal) = self.paged(request, convert::transitions).await?;
        let outcome = documents::transitions(&mut session, document_id, &window).await.map(|(steps, more)| {
            let steps = steps.into_iter().map(|step| {
                let cursor = Cursor { key: CursorKey::Number(step.number), id: Uuid::nil() };
                (convert::transition(step), cursor)
            });
            let (transitions, next_page_token) = seal.page(steps, more);
            proto::ListDocumentTransitionsResponse { transitions, next_page_token }
        });
        served(&session, outcome)
    }

    async fn search_documents(
        &self,
        request: Request<proto::SearchDocumentsRequest>,
    ) -> Result<Response<proto::SearchDocumentsResponse>, Status> {
        let (mut session, search, seal) = self.paged(request, convert::search).await?;
        let outcome = documents::search(&mut session, &search).await.map(|(hits, more)| {
            let hits = hits.into_iter().map(|hit| {
                let cursor = hit.cursor();
                let document = Some(read(hit.document, &session));
                let (score, snippet) = (hit.score, hit.snippet);
                (proto::search_documents_response::Result { document, score, snippet }, cursor)
            });
            let (results, next_page_token) = seal.page(hits, more);
            proto::SearchDocumentsResponse { results, next_page_token }
        });
        served(&session, outcome)
    }

    async fn get_document_stats(
        &self,
        request: Request<proto::GetDocumentStatsRequest>,
    ) -> Result<Response<proto::GetDocumentStatsResponse>, Status> {
        let (mut session, ()) = self.query(request, convert::stats).await?;
        let outcome = documents::stats(&mut session).await;
        served(&session, outcome.map(convert::stats_message))
    }

    async fn batch_get_documents(
        &self,
        request: Request<proto::BatchGetDocumentsRequest>,
    ) -> Result<Response<proto::BatchGetDocumentsResponse>, Status> {
        let (mut session, ids) = self.query(request, convert::get_many).await?;
        let outcome = documents::get_many(&mut session, &ids).await.and_then(|found| {
            let missing = ids.iter().zip(&found).filter(|(_, found)| found.is_none());
            let missing_ids = missing.map(|(id, _)| id.as_hyphenated().to_string()).collect();
            let documents = found.into_iter().flatten().map(|document| read(document, &session)).collect();
            Ok(proto::BatchGetDocumentsResponse { documents: bounded(documents, "document_ids")?, missing_ids })
        });
        served(&session, outcome)
    }

    async fn batch_create_documents(
        &self,
        request: Request<proto::BatchCreateDocumentsRequest>,
    ) -> Result<Response<proto::BatchCreateDocumentsResponse>, Status> {
        let (mut session, mutation, creations) =
            self.command(request, "BatchCreateDocuments", convert::create_many).await?;
        let drafts = creations.into_iter().map(|one| (one.document_id.unwrap_or_else(Uuid::now_v7), one.draft));
        let outcome = documents::create_many(&mut session, mutation, drafts.collect()).await.and_then(|change| {
            let own_database = change.own_database.as_deref().unwrap_or_default();
            let convert = |document| convert::document(document, session.solution(), own_database);
            // Longer than allowed only if this is a repeat, and the documents have grown since.
            let documents = bounded(change.stored.into_iter().map(convert).collect(), "requests")?;
            Ok(proto::BatchCreateDocumentsResponse { documents })
        });
        served(&session, outcome)
    }

    async fn put_document_type(
        &self,
        request: Request<proto::PutDocumentTypeRequest>,
    ) -> Result<Response<proto::PutDocumentTypeResponse>, Status> {
        let (mut session, mutation, what) = self.command(request, "PutDocumentType", convert::put_type).await?;
        let outcome = documents::put_type(&mut session, mutation, what).await;
        let outcome = outcome
            .map(|change| proto::PutDocumentTypeResponse { document_type: Some(convert::type_message(change.stored)) });
        served(&session, outcome)
    }

    async fn list_document_types(
        &self,
        request: Request<proto::ListDocumentTypesRequest>,
    ) -> Result<Response<proto::ListDocumentTypesResponse>, Status> {
        let (mut session, window, seal) = self.paged(request, convert::types).await?;
        let outcome = documents::types(&mut session, &window).await.map(|(types, more)| {
            let types = types.into_iter().map(|one| {
                let cursor = Cursor { key: CursorKey::Text(one.code.clone()), id: Uuid::nil() };
                (convert::type_message(one), cursor)
            });
            let (document_types, next_page_token) = seal.page(types, more);
            proto::ListDocumentTypesResponse { document_types, next_page_token }
        });
        served(&session, outcome)
    }

    async fn upload_content(
        &self,
        request: Request<Streaming<proto::UploadContentRequest>>,
    ) -> Result<Response<proto::UploadContentResponse>, Status> {
        self.upload(request).await
    }

    type DownloadContentStream = Frames;

    async fn download_content(
        &self,
        request: Request<proto::DownloadContentRequest>,
    ) -> Result<Response<Frames>, Status> {
        self.download(request).await
    }
}
