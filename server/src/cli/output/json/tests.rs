use fbs_router_client::v1::{
    DocumentTransition, GetDocumentStatsResponse, MoveSolutionResponse, Solution, resolve_result::Outcome,
};

use super::*;

#[test]
fn a_document_is_protobuf_json() {
    let message = Document {
        document_id: "0190a8e4-0000-7000-8000-000000000000".into(),
        tags: vec!["a".into()],
        state: document::State::Draft.into(),
        confidentiality: 77,
        create_time: Some(prost_types::Timestamp { seconds: 1_767_225_600, nanos: 120_000_000 }),
        content: Some(Content { size_bytes: 9_007_199_254_740_993, sha256: vec![255, 0], ..Default::default() }),
        ..Default::default()
    };
    let json = document(&message);
    assert_eq!(json["documentId"], "0190a8e4-0000-7000-8000-000000000000");
    assert_eq!(json["state"], "STATE_DRAFT");
    assert_eq!(json["confidentiality"], 77);
    assert_eq!(json["createTime"], "2026-01-01T00:00:00.120Z");
    assert_eq!(json["content"]["sizeBytes"], "9007199254740993");
    assert_eq!(json["content"]["sha256"], "/wA=");
    assert_eq!(json["title"], "");
    assert!(json.get("deleteTime").is_none());
}

#[test]
fn free_fields_come_back_as_they_went_in() {
    let typed: Value = serde_json::from_str(
        r#"{"n": 42, "f": 1.5, "neg": -3, "big": 1e300, "t": true, "nothing": null, "list": [1, "x", {"deep": []}]}"#,
    )
    .unwrap();
    assert_eq!(free_fields(&to_free_fields(&typed).unwrap()), typed);
}

#[test]
fn free_fields_are_an_object() {
    assert_eq!(to_free_fields(&json!([1])), None);
}

#[test]
fn an_explanation_has_its_outcome_either_way() {
    let resolved = Outcome::Resolved(ResolveDatabaseResponse {
        route: None,
        cache_ttl: Some(prost_types::Duration { seconds: 5, nanos: 0 }),
    });
    let message = ExplainRouteResponse {
        steps: vec![Step { rule: "ledger".into(), finding: "no record".into(), decided: true, evidence_age: None }],
        outcome: Some(ResolveResult { outcome: Some(resolved) }),
        route: None,
    };
    let json = explained(&message);
    assert_eq!(json["steps"][0], json!({ "rule": "ledger", "finding": "no record", "decided": true }));
    assert_eq!(json["outcome"]["resolved"]["cacheTtl"], "5s");

    let nothing = ExplainRouteResponse { outcome: Some(ResolveResult { outcome: None }), ..Default::default() };
    assert_eq!(explained(&nothing)["outcome"]["error"]["code"], "INTERNAL");
}

#[test]
fn sixty_four_bit_numbers_are_strings() {
    let message = Database { system_identifier: u64::MAX, ..Default::default() };
    assert_eq!(database(&message)["systemIdentifier"], "18446744073709551615");
}

#[test]
fn collected_listings_say_whether_they_were_cut() {
    assert_eq!(solutions(&[], false), json!({ "solutions": [], "truncated": false }));
    assert_eq!(database_entries(&[], true), json!({ "entries": [], "truncated": true }));
    assert_eq!(listed(&[], true, None), json!({ "documents": [], "truncated": true }));
}

#[test]
fn counts_are_sixty_four_bit_numbers_too() {
    let message = GetDocumentStatsResponse {
        total: 3,
        by_state: [("DRAFT".to_owned(), 3)].into(),
        created_last_30_days: 2,
        ..Default::default()
    };
    let json = stats(&message, None);
    assert_eq!((&json["total"], &json["byState"]["DRAFT"]), (&json!("3"), &json!("3")));
    assert_eq!(json["createdLast30Days"], "2");
}

#[test]
fn where_a_move_stands_is_protobuf_json() {
    let mut message = MoveSolutionResponse {
        step: 3,
        rows_copied: 9_007_199_254_740_993,
        rows_total: 7,
        frozen: Some(prost_types::Duration { seconds: 0, nanos: 120_000_000 }),
        message: "m".into(),
    };
    let expected = json!({
        "step": "STEP_COPY", "rowsCopied": "9007199254740993", "rowsTotal": "7", "frozen": "0.120s", "message": "m",
    });
    assert_eq!(moved(&message), expected);
    (message.step, message.frozen) = (77, None);
    assert_eq!((&moved(&message)["step"], moved(&message).get("frozen")), (&json!(77), None));
}

#[test]
fn what_was_decided_is_the_solution_as_it_is_now() {
    let message = Solution { solution: "acme".into(), routes: vec![Route::default()], dedicated_only: true };
    let json = decided(&message);
    assert_eq!((&json["solution"]["solution"], &json["solution"]["dedicatedOnly"]), (&json!("acme"), &json!(true)));
    assert_eq!(json["solution"]["routes"][0]["epoch"], "0");
}

#[test]
fn a_step_has_its_states_by_name() {
    let step = DocumentTransition { from_state: 1, to_state: 77, actor: "ada".into(), ..Default::default() };
    let json = history(&[step], false, None);
    assert_eq!(json["transitions"][0]["fromState"], "STATE_DRAFT");
    assert_eq!(json["transitions"][0]["toState"], 77);
}
