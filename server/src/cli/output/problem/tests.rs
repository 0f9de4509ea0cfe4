use fbs_router_client::{
    outcome,
    prost_types::{Any, Duration},
    v1::{ResolveResult, resolve_result::Outcome},
};
use prost::Message;
use tonic_types::pb;

use super::*;

fn detail(name: &str, message: &impl Message) -> Any {
    Any { type_url: format!("type.googleapis.com/google.rpc.{name}"), value: message.encode_to_vec() }
}

fn error(code: i32, reason: &str, more: Vec<Any>) -> Error {
    error_about(code, reason, &[], more)
}

fn error_about(code: i32, reason: &str, metadata: &[(&str, &str)], more: Vec<Any>) -> Error {
    let metadata = metadata.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    let info = pb::ErrorInfo { reason: reason.into(), domain: "fbs.router".into(), metadata };
    let mut details = vec![detail("ErrorInfo", &info)];
    details.extend(more);
    let status = pb::Status { code, message: "for people".into(), details };
    outcome(ResolveResult { outcome: Some(Outcome::Error(status)) }).unwrap_err()
}

#[test]
fn a_problem_is_one_line_then_what_belongs_to_it() {
    let retry = pb::RetryInfo { retry_delay: Some(Duration { seconds: 1, nanos: 500_000_000 }) };
    let text = call(&error(14, "ROUTE_UNKNOWN", vec![detail("RetryInfo", &retry)]));
    let expected = "error: UNAVAILABLE ROUTE_UNKNOWN: for people\n  retry after 1s 500ms\n  fbs-router explain SOLUTION tells why\n";
    assert_eq!(text, expected);
}

#[test]
fn a_refused_step_tells_where_it_is_made_from_and_what_leads_there() {
    let refused = |state, allowed| {
        let facts = [("state", state), ("allowed_from", allowed)];
        details(&error_about(9, "STATE_TRANSITION_INVALID", &facts, vec![]))
    };
    assert_eq!(
        refused("DRAFT", "PENDING"),
        "the document is DRAFT, this step is made from PENDING: fbs-router documents submit comes first\n"
    );
    assert_eq!(
        refused("PENDING", "APPROVED, REJECTED"),
        "the document is PENDING, this step is made from APPROVED, REJECTED: fbs-router documents approve or reject comes first\n"
    );
    assert_eq!(
        refused("ARCHIVED", "DRAFT, REJECTED"),
        "the document is ARCHIVED, this step is made from DRAFT, REJECTED\n"
    );
    assert!(refused("NEW\u{1b}", "PENDING").contains("NEW\\u{1b},"));
}

#[test]
fn a_stale_etag_comes_with_the_current_one_and_with_the_line_that_reads_it() {
    let text = details(&error_about(10, "ETAG_MISMATCH", &[("current_etag", "7-abc")], vec![]));
    assert!(text.starts_with("its etag is now 7-abc\nfbs-router documents get"), "{text}");
}

#[test]
fn all_violations_are_listed() {
    let violation = |field: &str| pb::bad_request::FieldViolation {
        field: field.into(),
        description: "must be\n\u{1b}given".into(),
        ..Default::default()
    };
    let request = pb::BadRequest { field_violations: vec![violation("document.name"), violation("document.title")] };
    let text = call(&error(3, "FIELD_INVALID", vec![detail("BadRequest", &request)]));
    assert_eq!(text.lines().count(), 3, "{text}");
    assert!(text.contains("  document.title: must be\\n\\u{1b}given\n"), "{text}");
}

#[tokio::test]
async fn a_service_that_is_not_running_comes_with_the_line_that_starts_it() {
    let folder = tempfile::tempdir().unwrap();
    let url = format!("unix:{}/router.sock", folder.path().display());
    let text = unreachable(&fbs_router_client::Client::connect(&url).await.unwrap_err());
    assert!(text.starts_with(&format!("error: UNAVAILABLE: cannot connect to {url}: No such file")), "{text}");
    assert!(text.contains("fbs-router serve --config FILE"), "{text}");
}
