//! A failed call in words: what happened, the details, and the line that mends it.

use std::{error::Error as _, fmt::Write as _};

use fbs_router_client::{Error, ErrorKind, ErrorReason};

use super::{
    place,
    table::{clean, indented},
};

/// A service that cannot be reached, or a URL that cannot be used.
pub(super) fn unreachable(error: &Error) -> String {
    let mut out = format!("error: {}{}\n", clean(&error.to_string()), because(error));
    if error.kind() == ErrorKind::Connect {
        out.push_str("  is it running? fbs-router serve --config FILE, or make dev\n");
        out.push_str("  elsewhere? --server-url URL, or FBS_ROUTER_URL\n");
    }
    out
}

/// An error of a call: its line, then what belongs to it.
pub(super) fn call(error: &Error) -> String {
    let mut out = format!("error: {}{}\n", clean(&error.to_string()), because(error));
    out.push_str(&indented(&details(error)));
    out
}

/// As [`call`], of a change without a `request_id`: with what to do in case it happened, if it may have.
pub(super) fn change(error: &Error, in_case: &str) -> String {
    let mut out = call(error);
    // The ledger could not be read: before the change, or after it.
    if may_have_happened(error) || error.reason() == Some(ErrorReason::RouteUnknown) {
        out.push_str(&indented(&clean(in_case)));
    }
    out
}

/// The lines after the first.
pub(crate) fn details(error: &Error) -> String {
    let mut out = String::new();
    for violation in error.field_violations() {
        let _ = writeln!(out, "{}: {}", clean(&violation.field), clean(&violation.description));
    }
    if let Some(served) = error.served() {
        let _ = writeln!(out, "served by {}", place(served));
    }
    if let Some(delay) = error.retry_after() {
        let _ = writeln!(out, "retry after {}", humantime::format_duration(delay));
    }
    if let (true, Some(request_id)) = (may_have_happened(error), error.request_id()) {
        let _ = writeln!(
            out,
            "it may have happened; repeat it with --request-id {}, and it happens once",
            clean(request_id)
        );
    }
    if let Some(step) = missing_step(error) {
        let _ = writeln!(out, "{step}");
    }
    if let Some(etag) = error.metadata().get("current_etag") {
        let _ = writeln!(out, "its etag is now {}", clean(etag));
    }
    if let Some(remedy) = error.reason().and_then(remedy) {
        let _ = writeln!(out, "{remedy}");
    }
    out
}

/// What a refused step of the workflow is made from, and what leads there from where the document is.
fn missing_step(error: &Error) -> Option<String> {
    if error.reason() != Some(ErrorReason::StateTransitionInvalid) {
        return None;
    }
    let (allowed, state) = (error.metadata().get("allowed_from")?, error.metadata().get("state")?);
    let leads = |step| format!(": fbs-router documents {step} comes first");
    let next = match state.as_str() {
        "DRAFT" | "REJECTED" => leads("submit"),
        "PENDING" => leads("approve or reject"),
        _ => String::new(),
    };
    Some(format!("the document is {}, this step is made from {}{next}", clean(state), clean(allowed)))
}

/// Of `UNAVAILABLE` a lost COMMIT is one; a repeat with the same id is harmless where nothing has happened.
fn may_have_happened(error: &Error) -> bool {
    let unknown = [ErrorKind::Transport, ErrorKind::DeadlineExceeded, ErrorKind::Unknown].contains(&error.kind());
    unknown || error.reason() == Some(ErrorReason::DatabaseUnavailable)
}

/// What is underneath, deepest last; the first is already in words.
fn because(error: &Error) -> String {
    let mut deepest = error.source();
    while let Some(next) = deepest.and_then(std::error::Error::source) {
        deepest = Some(next);
    }
    deepest.map(|cause| format!(": {}", clean(&cause.to_string()))).unwrap_or_default()
}

/// The command or flag that mends it; none where nothing that stands on one line does.
fn remedy(reason: ErrorReason) -> Option<&'static str> {
    use ErrorReason as Reason;
    Some(match reason {
        Reason::AppUnknown => "leave --app out for the documents app; the others are the [[app]]s of the configuration",
        Reason::SolutionInvalid => {
            "a solution id is a-z, 0-9, _ and -, begins with a letter or digit, and is never changed"
        }
        Reason::SolutionReserved => "choose another id: this one would name a system database",
        Reason::CredentialsInvalid => {
            "--token-file FILE with a token that the service knows; fbs-router token new makes one for its file of callers"
        }
        Reason::AccessDenied => "a grant for this solution is needed, in the service's file of callers",
        Reason::SolutionNotFound => {
            "fbs-router register SOLUTION makes it known; or createdb its database, or set unregistered = \"system\""
        }
        Reason::IsolationRequired => {
            "createdb its database from a prepared template; leave --dedicated-only out if that was given; or \
             fbs-router register SOLUTION --isolation preferred lets it share"
        }
        Reason::DatabaseMismatch => "fbs-router resolve SOLUTION tells its database; or leave --database out",
        Reason::SchemaNotReady => "fbs-router schema apply, as the owner of the database",
        Reason::DatabaseMisconfigured => {
            "fbs-router check --config FILE, on the service's machine, tells what is wrong"
        }
        Reason::StorageFull => "free or add space on its Postgres server; nothing was written",
        Reason::DatabaseDetached => {
            "bring it back, and it is served again; one that is gone for good: \
             fbs-router release SOLUTION --confirm SOLUTION"
        }
        Reason::DatabaseIdentityMismatch => {
            "fbs-router explain SOLUTION tells why; if it is the right one all the same: \
             fbs-router register SOLUTION --confirm SOLUTION, or fbs-router server accept if the whole server is another"
        }
        Reason::PlacementConflict => {
            "fbs-router explain SOLUTION tells why; you decide: its own database by fbs-router register SOLUTION \
             --server S --database D --confirm SOLUTION, the system database by fbs-router release SOLUTION \
             --confirm SOLUTION"
        }
        Reason::RouteMoving => {
            "it ends by itself; fbs-router move SOLUTION --to dedicated|system follows it, at the router that makes it"
        }
        Reason::RouteUnknown => "fbs-router explain SOLUTION tells why",
        Reason::PageTokenInvalid => "begin again without --page-token; between pages only --page-size may change",
        Reason::EtagMismatch => "fbs-router documents get tells the current etag; look before you repeat",
        Reason::RequestIdReused => "leave --request-id out for a new request",
        Reason::DocumentExists => "leave --document-id out, and the service makes one",
        Reason::DocumentNotFound => "fbs-router documents list --show-deleted tells which there are",
        Reason::DocumentNotEditable => {
            "fbs-router documents reject makes a pending one editable again; others are as they are for good"
        }
        Reason::DocumentNotDeleted => "there is no delete to take back",
        Reason::SelfApproval => "somebody else approves it; --actor WHO, if you may act for others",
        Reason::ContentNotAllowed => "fbs-router documents types tells what its type takes",
        Reason::ContentNotFound => "fbs-router documents upload gives it one",
        Reason::ChecksumMismatch => "upload it again: the file changed while it was read",
        _ => return None,
    })
}

#[cfg(test)]
mod tests;
