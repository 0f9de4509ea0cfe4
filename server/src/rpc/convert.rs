//! The contract's messages ⇄ the domain's types. Generated types stop here.
//!
//! Every rule of the contract about one request alone is kept here, and all violations are found at once. A bad
//! solution names the error, then any other field, then the update mask, then filter and order, and last the page
//! token, which is not even looked at while something else is wrong.

mod document;
mod fields;
mod filter;
mod json;
mod mask;
#[cfg(test)]
mod tests;

use std::{mem, time::SystemTime};

use fbs_router_proto::document::v1 as proto;

pub use self::document::document;
use self::fields::{Kind, Violations};
use super::tokens::{Scope, Tokens};
use crate::domain::{
    Error, Naming, Result, SolutionId,
    document::{CursorKey, OrderKey, PageRequest},
    request::{CreateRequest, DeleteRequest, GetRequest, ListRequest, UndeleteRequest, UpdateRequest},
};

/// `CreateDocument`.
pub fn create(request: proto::CreateDocumentRequest, naming: &Naming) -> Result<CreateRequest> {
    let mut request = request;
    let request_id = mem::take(&mut request.request_id);
    let repeat = fields::repeat_key("CreateDocument", &request_id, &request);

    let mut violations = Violations::default();
    let solution = violations.solution(naming, &request.solution);
    let document_id =
        violations.take(Kind::Field, "document_id", fields::optional(request.document_id, |text| fields::uuid(&text)));
    let draft = match request.document {
        Some(document) => {
            document::same_solution(&mut violations, &document, &request.solution);
            document::draft(&mut violations, document)
        }
        None => {
            violations.add(Kind::Field, "document", "must be given");
            None
        }
    };
    let repeat = violations.take(Kind::Field, "request_id", repeat);
    let actor = violations.take(Kind::Field, "actor", fields::actor(request.actor));
    let database = violations.take(Kind::Field, "database", fields::database(request.database));
    let read = || {
        Some(CreateRequest {
            solution: solution?,
            document_id: document_id?,
            draft: draft?,
            repeat: repeat?,
            actor: actor?,
            database: database?,
        })
    };
    violations.finish(read())
}

/// `GetDocument`.
pub fn get(request: proto::GetDocumentRequest, naming: &Naming) -> Result<GetRequest> {
    let mut violations = Violations::default();
    let solution = violations.solution(naming, &request.solution);
    let document_id = violations.take(Kind::Field, "document_id", fields::uuid(&request.document_id));
    let database = violations.take(Kind::Field, "database", fields::database(request.database));
    let read = || Some(GetRequest { solution: solution?, document_id: document_id?, database: database? });
    violations.finish(read())
}

/// `ListDocuments`. The scope seals the token of the next page.
pub fn list(
    request: proto::ListDocumentsRequest,
    naming: &Naming,
    tokens: &Tokens,
    now: SystemTime,
) -> Result<(ListRequest, Scope)> {
    let mut request = request;
    let page_size = mem::take(&mut request.page_size);
    let page_token = mem::take(&mut request.page_token);
    let scope = Scope::new("ListDocuments", &request.solution, &request);

    let mut violations = Violations::default();
    let solution = violations.solution(naming, &request.solution);
    let size = violations.take(Kind::Field, "page_size", filter::page_size(page_size));
    let filter = filter::filter(&mut violations, request.filter);
    let order = violations.take(Kind::Filter, "order_by", filter::order(&request.order_by));
    let database = violations.take(Kind::Field, "database", fields::database(request.database));
    let show_deleted = request.show_deleted;
    let read = || {
        let page = PageRequest { filter: filter?, order: order?, show_deleted, size: size?, after: None };
        Some(ListRequest { solution: solution?, page, database: database? })
    };
    let mut list = violations.finish(read())?;
    if !page_token.is_empty() {
        let cursor = tokens.open(&scope, &page_token, now)?;
        match (list.page.order.key, &cursor.key) {
            (OrderKey::CreateTime | OrderKey::UpdateTime, CursorKey::Time(_))
            | (OrderKey::Name | OrderKey::Title, CursorKey::Text(_)) => list.page.after = Some(cursor),
            (OrderKey::CreateTime | OrderKey::UpdateTime, CursorKey::Text(_))
            | (OrderKey::Name | OrderKey::Title, CursorKey::Time(_)) => {
                return Err(Error::PageTokenInvalid("for another request"));
            }
        }
    }
    Ok((list, scope))
}

/// `UpdateDocument`.
pub fn update(request: proto::UpdateDocumentRequest, naming: &Naming) -> Result<UpdateRequest> {
    let mut request = request;
    let request_id = mem::take(&mut request.request_id);
    let repeat = fields::repeat_key("UpdateDocument", &request_id, &request);

    let mut violations = Violations::default();
    let solution = violations.solution(naming, &request.solution);
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
    let repeat = violations.take(Kind::Field, "request_id", repeat);
    let actor = violations.take(Kind::Field, "actor", fields::actor(request.actor));
    let etag = violations.take(Kind::Field, "etag", fields::etag(&request.etag));
    let database = violations.take(Kind::Field, "database", fields::database(request.database));
    let read = || {
        Some(UpdateRequest {
            solution: solution?,
            document_id: document_id?,
            patch: patch?,
            repeat: repeat?,
            actor: actor?,
            etag: etag?,
            database: database?,
        })
    };
    violations.finish(read())
}

/// `DeleteDocument`.
pub fn delete(request: proto::DeleteDocumentRequest, naming: &Naming) -> Result<DeleteRequest> {
    let mut request = request;
    let request_id = mem::take(&mut request.request_id);
    let repeat = fields::repeat_key("DeleteDocument", &request_id, &request);

    let mut violations = Violations::default();
    let solution = violations.solution(naming, &request.solution);
    let document_id = violations.take(Kind::Field, "document_id", fields::uuid(&request.document_id));
    let etag = violations.take(Kind::Field, "etag", fields::etag(&request.etag));
    let repeat = violations.take(Kind::Field, "request_id", repeat);
    let actor = violations.take(Kind::Field, "actor", fields::actor(request.actor));
    let database = violations.take(Kind::Field, "database", fields::database(request.database));
    let read = || {
        Some(DeleteRequest {
            solution: solution?,
            document_id: document_id?,
            etag: etag?,
            repeat: repeat?,
            actor: actor?,
            database: database?,
        })
    };
    violations.finish(read())
}

/// `UndeleteDocument`.
pub fn undelete(request: proto::UndeleteDocumentRequest, naming: &Naming) -> Result<UndeleteRequest> {
    let mut request = request;
    let request_id = mem::take(&mut request.request_id);
    let repeat = fields::repeat_key("UndeleteDocument", &request_id, &request);

    let mut violations = Violations::default();
    let solution = violations.solution(naming, &request.solution);
    let document_id = violations.take(Kind::Field, "document_id", fields::uuid(&request.document_id));
    let repeat = violations.take(Kind::Field, "request_id", repeat);
    let actor = violations.take(Kind::Field, "actor", fields::actor(request.actor));
    let database = violations.take(Kind::Field, "database", fields::database(request.database));
    let read = || {
        Some(UndeleteRequest {
            solution: solution?,
            document_id: document_id?,
            repeat: repeat?,
            actor: actor?,
            database: database?,
        })
    };
    violations.finish(read())
}

/// Solution and `database` of a request to resolve; the app is looked up, not checked.
pub fn pair(solution: &str, database: String, naming: &Naming) -> Result<(SolutionId, Option<String>)> {
    let mut violations = Violations::default();
    let solution = violations.solution(naming, solution);
    let database = violations.take(Kind::Field, "database", fields::database(database));
    let read = || Some((solution?, database?));
    violations.finish(read())
}
