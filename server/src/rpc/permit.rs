//! The solution first: whom a call is about is checked before anything else of its request is looked at.
//!
//! A solution that is forbidden and one that does not exist are refused by the same line, before any look-up: bytes and
//! times are alike. Text that no solution could be called goes on to the reading of the request, which refuses it.

use fbs_router_proto::{
    document::v1::{self as document, upload_content_request::Header},
    router::v1::ResolveDatabaseRequest,
};
use tonic::Status;

use super::status::status;
use crate::domain::{Call, Error, Permitted, Result, SolutionId};

/// A request about one solution.
pub(super) trait About {
    /// As it was sent.
    fn solution(&self) -> &str;

    /// On whose behalf; empty: the caller's own.
    fn actor(&self) -> &str {
        ""
    }
}

/// Reads a request, unless its solution or its actor is not the caller's to name.
pub(super) fn admitted<M: About, T>(
    call: Call,
    message: M,
    read: impl FnOnce(M) -> Result<T>,
) -> Result<(Permitted, T)> {
    let permitted = match SolutionId::parse(message.solution()) {
        Ok(solution) => Some(permit(call, solution, message.actor())?),
        Err(_) => None,
    };
    let read = read(message)?;
    permitted.map(|permitted| (permitted, read)).ok_or(Error::internal("a request without a solution was read"))
}

/// As [`admitted`], refused with a status.
pub(super) fn admit<M: About, T>(
    call: Call,
    message: M,
    read: impl FnOnce(M) -> Result<T>,
) -> Result<(Permitted, T), Status> {
    admitted(call, message, read).map_err(|error| status(&error))
}

fn permit(call: Call, solution: SolutionId, actor: &str) -> Result<Permitted> {
    let (principal, need) = (call.principal.clone(), call.need);
    let name = solution.clone();
    let outcome = match call.permit(solution) {
        Ok(_) if !actor.is_empty() && !principal.may_act_for_others() => Err("it may not act for others"),
        Ok(permitted) => Ok(permitted),
        Err(_) => Err("no grant covers it"),
    };
    outcome.map_err(|why| {
        tracing::warn!(principal = principal.id(), kind = ?principal.kind(), ?need, solution = %name, why, "denied");
        Error::AccessDenied
    })
}

macro_rules! about {
    ($($message:ty),+ $(,)?) => {$(
        impl About for $message {
            fn solution(&self) -> &str {
                &self.solution
            }
        }
    )+};
}

macro_rules! about_with_actor {
    ($($message:ty),+ $(,)?) => {$(
        impl About for $message {
            fn solution(&self) -> &str {
                &self.solution
            }

            fn actor(&self) -> &str {
                &self.actor
            }
        }
    )+};
}

about!(
    ResolveDatabaseRequest,
    document::GetDocumentRequest,
    document::ListDocumentsRequest,
    document::ListDocumentTransitionsRequest,
    document::SearchDocumentsRequest,
    document::GetDocumentStatsRequest,
    document::BatchGetDocumentsRequest,
    document::ListDocumentTypesRequest,
    document::DownloadContentRequest,
);

about_with_actor!(
    document::CreateDocumentRequest,
    document::UpdateDocumentRequest,
    document::DeleteDocumentRequest,
    document::UndeleteDocumentRequest,
    document::SubmitDocumentRequest,
    document::ApproveDocumentRequest,
    document::RejectDocumentRequest,
    document::ArchiveDocumentRequest,
    document::BatchCreateDocumentsRequest,
    document::PutDocumentTypeRequest,
    Header,
);
