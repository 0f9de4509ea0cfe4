//! `fbs.document.v1.DocumentService`: a solution's documents.
//!
//! A handler reads the request, opens a session, calls `documents`, and writes the answer.

use std::{sync::Arc, time::SystemTime};

use fbs_router_proto::document::v1::{
    self as proto, CreateDocumentRequest, CreateDocumentResponse, DeleteDocumentRequest, DeleteDocumentResponse,
    GetDocumentRequest, GetDocumentResponse, ListDocumentsRequest, ListDocumentsResponse, UndeleteDocumentRequest,
    UndeleteDocumentResponse, UpdateDocumentRequest, UpdateDocumentResponse, document_service_server::DocumentService,
};
use prost::Message;
use tonic::{Request, Response, Status};
use uuid::Uuid;

use super::{
    convert,
    reply::{call, served},
    status::status,
    tokens::Tokens,
};
use crate::{
    config,
    documents::{self, Change, Mutation},
    domain::{
        Call, Result, SolutionId,
        document::Document,
        request::{ListRequest, RepeatKey},
    },
    routing::{Intent, Router, Session},
};

/// An answer is at most this long: a page ends early.
const ANSWER_BYTES: usize = 3 * 1024 * 1024;
/// What a page keeps free for its token and framing.
const ANSWER_MARGIN_BYTES: usize = 4 * 1024;

/// The service.
#[derive(Debug, Clone)]
pub struct Documents {
    router: Arc<Router>,
    tokens: Arc<Tokens>,
    settings: config::Documents,
}

impl Documents {
    /// Serves what `router` leads to.
    pub fn new(router: Arc<Router>, tokens: Arc<Tokens>, settings: config::Documents) -> Self {
        Self { router, tokens, settings }
    }

    async fn session(
        &self,
        call: Call,
        solution: SolutionId,
        database: Option<String>,
        intent: Intent,
    ) -> Result<Session, Status> {
        self.router.open(call, solution, database, intent).await.map_err(|error| status(&error))
    }

    fn mutation(
        &self,
        session: &Session,
        method: &'static str,
        actor: Option<String>,
        repeat: Option<RepeatKey>,
    ) -> Mutation {
        let principal = session.call().principal.id().into();
        Mutation { method, principal, actor, repeat, kept: self.settings.request_id_ttl }
    }

    /// A page of answers, as many as fit, and the token of the next page.
    async fn page(
        &self,
        session: &mut Session,
        request: &ListRequest,
        scope: &super::tokens::Scope,
        now: SystemTime,
    ) -> Result<ListDocumentsResponse> {
        let page = documents::list(session, &request.page).await?;
        let own = session.own_database().unwrap_or_default().to_owned();
        let (mut answer, mut bytes, mut last, mut more) = (Vec::new(), ANSWER_MARGIN_BYTES, None, page.more);
        for document in page.documents {
            let cursor = documents::cursor(&document, request.page.order)?;
            let message = convert::document(document, &request.solution, &own);
            bytes += message.encoded_len() + prost::encoding::key_len(1) + 5;
            if bytes > ANSWER_BYTES && last.is_some() {
                more = true;
                break;
            }
            answer.push(message);
            last = Some(cursor);
        }
        let next_page_token = match last {
            Some(cursor) if more => self.tokens.seal(scope, &cursor, now),
            _ => String::new(),
        };
        Ok(ListDocumentsResponse { documents: answer, next_page_token })
    }
}

#[tonic::async_trait]
impl DocumentService for Documents {
    async fn create_document(
        &self,
        request: Request<CreateDocumentRequest>,
    ) -> Result<Response<CreateDocumentResponse>, Status> {
        let call = call(&request)?;
        let asked = convert::create(request.into_inner(), &self.router.naming).map_err(|error| status(&error))?;
        let mut session = self.session(call, asked.solution.clone(), asked.database, Intent::Write).await?;
        let mutation = self.mutation(&session, "CreateDocument", asked.actor, asked.repeat);
        // Time-ordered, so that new rows lie together; made before any try, so that tries agree.
        let id = asked.document_id.unwrap_or_else(Uuid::now_v7);
        let outcome = documents::create(&mut session, mutation, id, asked.draft).await;
        let outcome = outcome.map(|change| CreateDocumentResponse { document: Some(changed(change, &asked.solution)) });
        served(&session, outcome)
    }

    async fn get_document(
        &self,
        request: Request<GetDocumentRequest>,
    ) -> Result<Response<GetDocumentResponse>, Status> {
        let call = call(&request)?;
        let asked = convert::get(request.into_inner(), &self.router.naming).map_err(|error| status(&error))?;
        let mut session = self.session(call, asked.solution.clone(), asked.database, Intent::Read).await?;
        let outcome = documents::get(&mut session, asked.document_id).await;
        let outcome =
            outcome.map(|document| GetDocumentResponse { document: Some(read(document, &session, &asked.solution)) });
        served(&session, outcome)
    }

    async fn list_documents(
        &self,
        request: Request<ListDocumentsRequest>,
    ) -> Result<Response<ListDocumentsResponse>, Status> {
        let call = call(&request)?;
        let now = SystemTime::now();
        let (asked, scope) = convert::list(request.into_inner(), &self.router.naming, &self.tokens, now)
            .map_err(|error| status(&error))?;
        let mut session = self.session(call, asked.solution.clone(), asked.database.clone(), Intent::Read).await?;
        let outcome = self.page(&mut session, &asked, &scope, now).await;
        served(&session, outcome)
    }

    async fn update_document(
        &self,
        request: Request<UpdateDocumentRequest>,
    ) -> Result<Response<UpdateDocumentResponse>, Status> {
        let call = call(&request)?;
        let asked = convert::update(request.into_inner(), &self.router.naming).map_err(|error| status(&error))?;
        let mut session = self.session(call, asked.solution.clone(), asked.database, Intent::Write).await?;
        let mutation = self.mutation(&session, "UpdateDocument", asked.actor, asked.repeat);
        let outcome = documents::update(&mut session, mutation, asked.document_id, asked.etag, asked.patch).await;
        let outcome = outcome.map(|change| UpdateDocumentResponse { document: Some(changed(change, &asked.solution)) });
        served(&session, outcome)
    }

    async fn delete_document(
        &self,
        request: Request<DeleteDocumentRequest>,
    ) -> Result<Response<DeleteDocumentResponse>, Status> {
        let call = call(&request)?;
        let asked = convert::delete(request.into_inner(), &self.router.naming).map_err(|error| status(&error))?;
        let mut session = self.session(call, asked.solution.clone(), asked.database, Intent::Write).await?;
        let mutation = self.mutation(&session, "DeleteDocument", asked.actor, asked.repeat);
        let purge_after = self.settings.purge_after;
        let outcome = documents::delete(&mut session, mutation, asked.document_id, asked.etag, purge_after).await;
        let outcome = outcome.map(|change| DeleteDocumentResponse { document: Some(changed(change, &asked.solution)) });
        served(&session, outcome)
    }

    async fn undelete_document(
        &self,
        request: Request<UndeleteDocumentRequest>,
    ) -> Result<Response<UndeleteDocumentResponse>, Status> {
        let call = call(&request)?;
        let asked = convert::undelete(request.into_inner(), &self.router.naming).map_err(|error| status(&error))?;
        let mut session = self.session(call, asked.solution.clone(), asked.database, Intent::Write).await?;
        let mutation = self.mutation(&session, "UndeleteDocument", asked.actor, asked.repeat);
        let outcome = documents::undelete(&mut session, mutation, asked.document_id).await;
        let outcome =
            outcome.map(|change| UndeleteDocumentResponse { document: Some(changed(change, &asked.solution)) });
        served(&session, outcome)
    }
}

fn changed(change: Change, solution: &SolutionId) -> proto::Document {
    convert::document(change.document, solution, change.own_database.as_deref().unwrap_or_default())
}

fn read(document: Document, session: &Session, solution: &SolutionId) -> proto::Document {
    convert::document(document, solution, session.own_database().unwrap_or_default())
}
