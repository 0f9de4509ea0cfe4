//! Steps through the workflow, and their history.

use std::{mem, time::SystemTime};

use fbs_router_proto::document::v1 as proto;
use prost_types::Timestamp;

use super::{
    envelope::envelope,
    fields::{self, Kind, Problem, Violations},
    filter,
};
use crate::{
    domain::{
        Error, Naming, Result,
        document::{CursorKey, DocumentId},
        request::{Command, Query, StepRequest, Window},
        workflow::{Step, Transition},
    },
    rpc::tokens::{Scope, Tokens},
};

/// Longest comment.
const COMMENT_BYTES: usize = 4 * 1_024;

/// A page of the history of one document.
pub type HistoryPage = (DocumentId, Window);

macro_rules! step {
    ($(#[$doc:meta])* $name:ident, $request:ty, $method:literal, $step:ident) => {
        $(#[$doc])*
        pub fn $name(mut request: $request, naming: &Naming) -> Result<Command<StepRequest>> {
            let mut violations = Violations::default();
            let envelope = envelope!(violations, naming, $method, request);
            let step = step(&mut violations, Step::$step, &request.document_id, &request.etag, request.comment);
            envelope.command(violations, step)
        }
    };
}

step!(
    /// `SubmitDocument`.
    submit,
    proto::SubmitDocumentRequest,
    "SubmitDocument",
    Submit
);
step!(
    /// `ApproveDocument`.
    approve,
    proto::ApproveDocumentRequest,
    "ApproveDocument",
    Approve
);
step!(
    /// `RejectDocument`.
    reject,
    proto::RejectDocumentRequest,
    "RejectDocument",
    Reject
);
step!(
    /// `ArchiveDocument`.
    archive,
    proto::ArchiveDocumentRequest,
    "ArchiveDocument",
    Archive
);

fn step(
    violations: &mut Violations,
    step: Step,
    document_id: &str,
    etag: &str,
    comment: String,
) -> Option<StepRequest> {
    let document_id = violations.take(Kind::Field, "document_id", fields::uuid(document_id));
    // You approve, or reject, what you have read.
    let must_name = match step {
        Step::Approve | Step::Reject => true,
        Step::Submit | Step::Archive => false,
    };
    let etag = match fields::etag(etag) {
        Ok(None) if must_name => Err("must be given".into()),
        other => other,
    };
    let etag = violations.take(Kind::Field, "etag", etag);
    let comment = violations.take(Kind::Field, "comment", comment_of(step, comment));
    Some(StepRequest { step, document_id: document_id?, etag: etag?, comment: comment? })
}

fn comment_of(step: Step, comment: String) -> Result<String, Problem> {
    let comment = fields::text(comment, COMMENT_BYTES)?;
    match step {
        Step::Reject if comment.trim().is_empty() => Err("must be given: whoever is rejected is told why".into()),
        Step::Submit | Step::Approve | Step::Reject | Step::Archive => Ok(comment),
    }
}

/// `ListDocumentTransitions`. The scope seals the token of the next page.
pub fn transitions(
    mut request: proto::ListDocumentTransitionsRequest,
    naming: &Naming,
    tokens: &Tokens,
    now: SystemTime,
) -> Result<(Query<HistoryPage>, Scope)> {
    let page_size = mem::take(&mut request.page_size);
    let page_token = mem::take(&mut request.page_token);
    let scope = Scope::new("ListDocumentTransitions", &request.solution, &request);

    let mut violations = Violations::default();
    let addressee = violations.addressee(naming, &request.solution, request.database);
    let document_id = violations.take(Kind::Field, "document_id", fields::uuid(&request.document_id));
    let size = violations.take(Kind::Field, "page_size", filter::page_size(page_size, filter::DOCUMENTS));
    let read = || Some((document_id?, Window { size: size?, after: None }));
    let mut query = addressee.query(violations, read())?;
    if !page_token.is_empty() {
        let cursor = tokens.open(&scope, &page_token, now)?;
        match cursor.key {
            CursorKey::Number(_) => query.what.1.after = Some(cursor),
            CursorKey::Text(_) | CursorKey::Score(_) => return Err(Error::PageTokenInvalid("for another request")),
        }
    }
    Ok((query, scope))
}

/// The message of a step that was made.
pub fn transition(transition: Transition) -> proto::DocumentTransition {
    proto::DocumentTransition {
        // The stored numbers are the contract's; a test compares them.
        from_state: transition.from as i32,
        to_state: transition.to as i32,
        actor: transition.actor,
        comment: transition.comment,
        create_time: Some(Timestamp::from(transition.create_time)),
    }
}
