//! The contract's messages ⇄ the domain's types. Generated types stop here.
//!
//! Every rule of the contract about one request alone is kept here, and all violations are found at once. A bad
//! solution names the error, then any other field, then the update mask, then filter and order, and last the page
//! token, which is not even looked at while something else is wrong.

mod admin;
mod batch;
mod content;
mod document;
mod envelope;
mod fields;
mod filter;
mod json;
mod lists;
mod mask;
mod search;
#[cfg(test)]
pub(super) mod tests;
mod types;
mod workflow;

use std::{mem, time::SystemTime};

use fbs_router_proto::document::v1 as proto;

pub use self::{
    admin::{move_solution, register, release, server},
    batch::{create_many, get_many},
    content::{download, message as content_message, upload},
    document::document,
    lists::{Solutions, databases, solutions},
    search::{search, stats_message},
    types::{document_type as type_message, put_type, types},
    workflow::{approve, archive, reject, submit, transition, transitions},
};
use self::{
    envelope::envelope,
    fields::{Kind, Violations},
};
use super::tokens::{Scope, Tokens};
use crate::domain::{
    Error, Naming, Result, SolutionId,
    document::{CursorKey, DocumentId, OrderKey, PageRequest},
    request::{Command, Creation, Delete, Query, Update},
};

/// `CreateDocument`.
pub fn create(mut request: proto::CreateDocumentRequest, naming: &Naming) -> Result<Command<Creation>> {
    let mut violations = Violations::default();
    let envelope = envelope!(violations, naming, "CreateDocument", request);
    let creation = document::creation(&mut violations, request.document_id, request.document, &request.solution);
    envelope.command(violations, creation)
}

/// `GetDocument`.
pub fn get(request: proto::GetDocumentRequest, naming: &Naming) -> Result<Query<DocumentId>> {
    let mut violations = Violations::default();
    let addressee = violations.addressee(naming, &request.solution, request.database);
    let document_id = violations.take(Kind::Field, "document_id", fields::uuid(&request.document_id));
    addressee.query(violations, document_id)
}

/// `ListDocuments`. The scope seals the token of the next page.
pub fn list(
    mut request: proto::ListDocumentsRequest,
    naming: &Naming,
    tokens: &Tokens,
    now: SystemTime,
) -> Result<(Query<PageRequest>, Scope)> {
    let page_size = mem::take(&mut request.page_size);
    let page_token = mem::take(&mut request.page_token);
    let scope = Scope::new("ListDocuments", &request.solution, &request);

    let mut violations = Violations::default();
    let addressee = violations.addressee(naming, &request.solution, request.database);
    let size = violations.take(Kind::Field, "page_size", filter::page_size(page_size, filter::DOCUMENTS));
    let filter = filter::filter(&mut violations, request.filter);
    let order = violations.take(Kind::Filter, "order_by", filter::order(&request.order_by));
    let show_deleted = request.show_deleted;
    let read = || Some(PageRequest { filter: filter?, order: order?, show_deleted, size: size?, after: None });
    let mut list = addressee.query(violations, read())?;
    if !page_token.is_empty() {
        let cursor = tokens.open(&scope, &page_token, now)?;
        match (list.what.order.key, &cursor.key) {
            (OrderKey::CreateTime | OrderKey::UpdateTime, CursorKey::Number(_))
            | (OrderKey::Name | OrderKey::Title, CursorKey::Text(_)) => list.what.after = Some(cursor),
            (
                OrderKey::CreateTime | OrderKey::UpdateTime | OrderKey::Name | OrderKey::Title,
                CursorKey::Number(_) | CursorKey::Text(_) | CursorKey::Score(_),
            ) => return Err(Error::PageTokenInvalid("for another request")),
        }
    }
    Ok((list, scope))
}

/// `UpdateDocument`.
pub fn update(mut request: proto::UpdateDocumentRequest, naming: &Naming) -> Result<Command<Update>> {
    let mut violations = Violations::default();
    let envelope = envelope!(violations, naming, "UpdateDocument", request);
    let document_id = violations.take(Kind::Field, "document_id", fields::uuid(&request.document_id));
    let named = mask::paths(&mut violations, request.update_mask);
    let patch = match request.document {
        Some(document) => {
            document::same_solution(&mut violations, &document, &request.solution);
            Some(document::patch(&mut violations, document, &named))
        }
        None => {
            violations.add(Kind::Field, "document", "must be given");
            None
        }
    };
    let etag = violations.take(Kind::Field, "etag", fields::etag(&request.etag));
    let read = || Some(Update { document_id: document_id?, patch: patch?, etag: etag? });
    envelope.command(violations, read())
}

/// `DeleteDocument`.
pub fn delete(mut request: proto::DeleteDocumentRequest, naming: &Naming) -> Result<Command<Delete>> {
    let mut violations = Violations::default();
    let envelope = envelope!(violations, naming, "DeleteDocument", request);
    let document_id = violations.take(Kind::Field, "document_id", fields::uuid(&request.document_id));
    let etag = violations.take(Kind::Field, "etag", fields::etag(&request.etag));
    let read = || Some(Delete { document_id: document_id?, etag: etag? });
    envelope.command(violations, read())
}

/// `UndeleteDocument`.
pub fn undelete(mut request: proto::UndeleteDocumentRequest, naming: &Naming) -> Result<Command<DocumentId>> {
    let mut violations = Violations::default();
    let envelope = envelope!(violations, naming, "UndeleteDocument", request);
    let document_id = violations.take(Kind::Field, "document_id", fields::uuid(&request.document_id));
    envelope.command(violations, document_id)
}

/// `GetDocumentStats`.
pub fn stats(request: proto::GetDocumentStatsRequest, naming: &Naming) -> Result<Query<()>> {
    let mut violations = Violations::default();
    let addressee = violations.addressee(naming, &request.solution, request.database);
    addressee.query(violations, Some(()))
}

/// Solution and `database` of a request to resolve; the app is looked up, not checked.
pub fn pair(solution: &str, database: String, naming: &Naming) -> Result<(SolutionId, Option<String>)> {
    let mut violations = Violations::default();
    let addressee = violations.addressee(naming, solution, database);
    addressee.query(violations, Some(())).map(|query| (query.solution, query.database))
}
