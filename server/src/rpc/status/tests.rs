//! Every reason of the contract, and what must never leave.

use std::{collections::HashMap, io};

use tonic_types::StatusExt;

use super::*;
use crate::domain::error::Cause;

const REASONS: &str = include_str!("../../../../proto/fbs/router/v1/error_reason.proto");

/// Never sent.
const LATER: [&str; 1] = ["UNSPECIFIED"];

fn secret() -> Cause {
    Cause::new(io::Error::other("host=secret user=admin SELECT 1"))
}

fn every_error() -> Vec<Error> {
    let violations = || vec![Violation::new("document.title", "must be given")];
    vec![
        Error::CredentialsInvalid,
        Error::AccessDenied,
        Error::RateLimited { after: std::time::Duration::from_secs(30) },
        Error::TooMuchInFlight,
        Error::Overloaded,
        Error::FieldInvalid(violations()),
        Error::SolutionInvalid(violations()),
        Error::SolutionReserved(violations()),
        Error::AppUnknown,
        Error::SolutionNotFound,
        Error::PageTokenInvalid("forged"),
        Error::FilterInvalid(violations()),
        Error::UpdateMaskInvalid(violations()),
        Error::BatchInvalid(violations()),
        Error::RequestIdReused,
        Error::IsolationRequired,
        Error::DatabaseDetached,
        Error::DatabaseMisconfigured { what: "it is listed on two servers", cause: Some(secret()) },
        Error::DatabaseIdentityMismatch { what: "system identifier" },
        Error::SchemaNotReady("absent"),
        Error::PlacementConflict("epochs differ"),
        Error::RouteMoving,
        Error::RouteUnknown("a server was not scanned yet"),
        Error::DatabaseUnavailable { cause: Some(secret()) },
        Error::PoolExhausted,
        Error::StorageFull { cause: None },
        Error::DeadlineExceeded("the database worked"),
        Error::OutcomeUnknown,
        Error::DatabaseConflict,
        Error::DocumentNotFound,
        Error::DocumentExists { index: None },
        Error::EtagMismatch { current: "0123".to_owned() },
        Error::DocumentNotEditable { state: "PENDING" },
        Error::StateTransitionInvalid { state: State::Draft, allowed: &[State::Approved, State::Rejected] },
        Error::SelfApproval,
        Error::ContentInvalid { field: "chunk", what: "it is empty" },
        Error::ContentNotAllowed("too large"),
        Error::ChecksumMismatch("the digest differs"),
        Error::ContentNotFound,
        Error::DocumentNotDeleted,
        Error::DatabaseMismatch,
        Error::ServerUnavailable,
        Error::Internal { what: "secret invariant", cause: Some(secret()) },
    ]
}

/// (reason, code in words, whether the comment promises `RetryInfo`), read from the contract's text.
fn contract() -> Vec<(String, String, bool)> {
    let mut comment = String::new();
    let mut rows = Vec::new();
    for line in REASONS.lines().map(str::trim) {
        if let Some(text) = line.strip_prefix("// ") {
            comment = text.to_owned();
        } else if let Some((name, _)) = line.strip_prefix("ERROR_REASON_").and_then(|rest| rest.split_once(" = ")) {
            let code = comment.split(['.', ' ']).next().unwrap().to_owned();
            rows.push((name.to_owned(), code, comment.contains("RetryInfo")));
        }
    }
    rows
}

fn code_name(code: Code) -> &'static str {
    match code {
        Code::InvalidArgument => "INVALID_ARGUMENT",
        Code::NotFound => "NOT_FOUND",
        Code::AlreadyExists => "ALREADY_EXISTS",
        Code::FailedPrecondition => "FAILED_PRECONDITION",
        Code::Unavailable => "UNAVAILABLE",
        Code::ResourceExhausted => "RESOURCE_EXHAUSTED",
        Code::PermissionDenied => "PERMISSION_DENIED",
        Code::Unauthenticated => "UNAUTHENTICATED",
        Code::DeadlineExceeded => "DEADLINE_EXCEEDED",
        Code::Unknown => "UNKNOWN",
        Code::Aborted => "ABORTED",
        Code::Internal => "INTERNAL",
        _ => panic!("no error of the service has the code {code:?}"),
    }
}

/// What the wire carries, as tonic would write it.
fn wire_bytes(status: &Status) -> usize {
    let mut headers = http::HeaderMap::new();
    status.add_header(&mut headers).unwrap();
    headers.iter().map(|(name, value)| name.as_str().len() + value.len()).sum()
}

#[test]
fn every_reason_has_the_code_of_its_comment_or_comes_later() {
    let mut made: HashMap<String, Status> = HashMap::new();
    for error in every_error() {
        let status = status(&error);
        let info = status.get_details_error_info().unwrap();
        assert_eq!(info.domain, ERROR_DOMAIN);
        assert_eq!(status.get_details_retry_info().is_some(), error.retry_after().is_some(), "{error}");
        // Several errors may have one reason, and then one code.
        if let Some(other) = made.insert(info.reason.clone(), status.clone()) {
            assert_eq!(other.code(), status.code(), "{}", info.reason);
        }
    }
    let contract = contract();
    assert_eq!(contract.len(), 42);
    for (number, (reason, code, retry)) in contract.into_iter().enumerate() {
        assert_eq!(ErrorReason::try_from(number as i32).unwrap().reason(), reason);
        match made.remove(&reason) {
            Some(status) => {
                assert!(!LATER.contains(&reason.as_str()), "{reason} is made: strike it from LATER");
                assert_eq!(code_name(status.code()), code, "{reason}");
                assert_eq!(status.get_details_retry_info().is_some(), retry, "{reason}");
            }
            None => assert!(LATER.contains(&reason.as_str()), "no error makes {reason}"),
        }
    }
    assert!(made.is_empty(), "not in the contract: {made:?}");
}

#[test]
fn an_error_tells_nothing_of_what_is_underneath() {
    for error in every_error() {
        let status = status(&error);
        let details = String::from_utf8_lossy(status.details()).into_owned();
        for text in [status.message(), &details, &format!("{status:?}")] {
            assert!(!text.contains("secret") && !text.contains("SELECT"), "{text}");
        }
    }
}

#[test]
fn an_internal_error_carries_an_id_and_nothing_else() {
    let status = status(&Error::internal("secret invariant"));
    let id = status.message().strip_prefix("internal error ").unwrap();
    assert!(Uuid::parse_str(id).is_ok(), "{id}");
}

#[test]
fn all_violations_are_listed_and_the_message_names_the_first() {
    let violations = (0..30).map(|index| Violation::new(format!("document.tags[{index}]"), "is empty")).collect();
    let status = status(&Error::FieldInvalid(violations));
    let listed = status.get_details_bad_request().unwrap().field_violations;
    assert_eq!(listed.len(), 30);
    assert_eq!(listed[29].field, "document.tags[29]");
    assert_eq!(status.message(), "invalid request: document.tags[0] is empty; and 29 more");
    assert!(status.get_details_error_info().unwrap().metadata.is_empty());
}

#[test]
fn a_status_stays_below_six_kibibytes() {
    for text in ["x", "ж", "\u{7f}", "😀"] {
        for length in [0, 1, 10, 100, 10_000] {
            let violation = Violation::new(format!("document.{}", text.repeat(length)), text.repeat(length));
            let status = status(&Error::SolutionInvalid(vec![violation; 10_000]));
            let info = status.get_details_error_info().unwrap();
            assert_eq!(info.reason, "SOLUTION_INVALID");
            assert_eq!(info.metadata["truncated"], "true");
            assert!(status.get_details_bad_request().unwrap().field_violations.len() >= 5);
            assert!(wire_bytes(&status) < 6 * 1_024, "{} bytes", wire_bytes(&status));
        }
    }
    for error in every_error() {
        assert!(wire_bytes(&status(&error)) < 2_000, "{error}");
    }
}

#[test]
fn a_status_of_tonic_gets_a_reason_and_keeps_its_code() {
    for (made, reason) in [
        (Status::out_of_range("Error, decoded message length too large"), "FIELD_INVALID"),
        (Status::internal("failed to decode Protobuf message"), "FIELD_INVALID"),
        (Status::unimplemented(""), "FIELD_INVALID"),
        (Status::resource_exhausted("Error decompressing"), "FIELD_INVALID"),
        (Status::cancelled("Timeout expired"), "DEADLINE_EXCEEDED"),
        (Status::unavailable(""), "SERVER_UNAVAILABLE"),
        (Status::unauthenticated(""), "CREDENTIALS_INVALID"),
        (Status::permission_denied(""), "ACCESS_DENIED"),
    ] {
        let status = complete(made.clone());
        assert_eq!((status.code(), status.message()), (made.code(), made.message()));
        let info = status.get_details_error_info().unwrap();
        assert_eq!((info.reason.as_str(), info.domain.as_str()), (reason, ERROR_DOMAIN));
        assert_eq!(status.get_details_retry_info().is_some(), reason == "SERVER_UNAVAILABLE");
    }
}

#[test]
fn a_service_that_failed_without_a_status_is_a_bug_and_tells_nothing() {
    let status = complete(Status::unknown("host=secret"));
    assert_eq!(status.code(), Code::Internal);
    assert!(!status.message().contains("secret"));
    assert_eq!(status.get_details_error_info().unwrap().reason, "INTERNAL");
}

#[test]
fn a_status_that_has_a_reason_or_is_of_another_service_passes_unchanged() {
    let ours = status(&Error::DocumentNotFound);
    assert_eq!(complete(ours.clone()).details(), ours.details());
    assert!(complete(Status::not_found("service not registered")).details().is_empty());
}
