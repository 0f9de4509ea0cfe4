use std::collections::HashMap;

use fbs_router_proto::ERROR_DOMAIN;
use tonic::{Code, Status, metadata::MetadataMap};
use tonic_types::{ErrorDetails, StatusExt, pb};

use super::*;

const PEER: &str = "http://router:50051";

fn status(code: Code, reason: &str, domain: &str, retry: Option<Duration>) -> Status {
    let mut details = ErrorDetails::with_error_info(reason, domain, HashMap::new());
    if retry.is_some() {
        details.set_retry_info(retry);
    }
    Status::with_error_details(code, "for people", details)
}

#[test]
fn reason_and_delay_are_read_from_details() {
    let delay = Duration::from_millis(250);
    let status = status(Code::Unavailable, "ROUTE_MOVING", ERROR_DOMAIN, Some(delay));
    let error = Error::from_status(status, PEER);
    assert_eq!(error.reason(), Some(ErrorReason::RouteMoving));
    assert_eq!(error.retry_after(), Some(delay));
    assert!(error.retryable());
    assert_eq!(error.to_string(), "UNAVAILABLE ROUTE_MOVING: for people");
}

#[test]
fn a_newer_reason_keeps_its_name() {
    let error = Error::from_status(status(Code::NotFound, "FROM_THE_FUTURE", ERROR_DOMAIN, None), PEER);
    assert_eq!((error.reason(), error.reason_name()), (None, Some("FROM_THE_FUTURE")));
}

#[test]
fn a_reason_of_another_domain_is_not_ours() {
    let error = Error::from_status(status(Code::Unavailable, "ROUTE_MOVING", "proxy.example", None), PEER);
    assert_eq!(error.reason_name(), None);
}

#[test]
fn conflict_and_exhaustion_are_retryable_only_when_the_service_says_when() {
    for code in [Code::Aborted, Code::ResourceExhausted] {
        let without = Error::from_status(status(code, "X", ERROR_DOMAIN, None), PEER);
        assert!(!without.retryable());
        let with = Error::from_status(status(code, "X", ERROR_DOMAIN, Some(Duration::from_secs(1))), PEER);
        assert!(with.retryable());
    }
    for code in [Code::DeadlineExceeded, Code::Unknown, Code::Internal, Code::FailedPrecondition, Code::Cancelled] {
        assert!(!Error::from_status(Status::new(code, ""), PEER).retryable());
    }
}

#[test]
fn all_violations_arrive() {
    let mut details = ErrorDetails::with_error_info("FIELD_INVALID", ERROR_DOMAIN, HashMap::new());
    details.add_bad_request_violation("document.name", "must be given");
    details.add_bad_request_violation("document.title", "must be given");
    let status = Status::with_error_details(Code::InvalidArgument, "invalid request", details);
    let error = Error::from_status(status, PEER);
    let fields: Vec<_> = error.field_violations().iter().map(|violation| violation.field.as_str()).collect();
    assert_eq!(fields, ["document.name", "document.title"]);
}

#[test]
fn an_error_tells_which_database_it_came_from() {
    let mut metadata = MetadataMap::new();
    metadata.insert("fbs-database", "djo_acme_db".parse().unwrap());
    metadata.insert("fbs-placement", "DEDICATED".parse().unwrap());
    let status = Status::with_metadata(Code::Unavailable, "down", metadata);
    let error = Error::from_status(status, PEER);
    assert_eq!(error.served().unwrap().database, "djo_acme_db");
}

#[test]
fn a_status_in_a_message_reads_like_one_received() {
    let mut details = ErrorDetails::with_error_info("ROUTE_UNKNOWN", ERROR_DOMAIN, HashMap::new());
    details.set_retry_info(Some(Duration::from_secs(1)));
    let received = Status::with_error_details(Code::Unavailable, "not known yet", details);
    // The details of a status are the encoded message.
    let message: pb::Status = prost::Message::decode(received.details()).unwrap();
    let error = Error::from_message(&message);
    assert_eq!((error.kind(), error.reason()), (ErrorKind::Unavailable, Some(ErrorReason::RouteUnknown)));
    assert_eq!(error.retry_after(), Some(Duration::from_secs(1)));
}

#[test]
fn an_error_tells_what_its_reason_is_about() {
    let about = HashMap::from([("state".to_owned(), "PENDING".to_owned()), ("allowed_from".into(), "DRAFT".into())]);
    let details = ErrorDetails::with_error_info("STATE_TRANSITION_INVALID", ERROR_DOMAIN, about);
    let error = Error::from_status(Status::with_error_details(Code::FailedPrecondition, "no", details), PEER);
    assert_eq!(error.metadata()["state"], "PENDING");
    assert_eq!(error.metadata()["allowed_from"], "DRAFT");
}

#[test]
fn an_error_survives_being_an_io_error() {
    let io = io::Error::from(Error::damaged("other bytes".to_owned()).of_call(3, None));
    assert_eq!(io.kind(), io::ErrorKind::InvalidData);
    let back = Error::from_io(&io).unwrap();
    assert_eq!((back.kind(), back.attempts()), (ErrorKind::DataLoss, 3));
    assert!(Error::from_io(&io::Error::other("a disk")).is_none());
}
