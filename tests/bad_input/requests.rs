//! Rows about what all requests have: the solution, ids, etags, who asks, where it is to be served.

use fbs_router_proto::{
    document::v1::{BatchGetDocumentsRequest, CreateDocumentRequest, UploadContentRequest},
    router::v1::{BatchResolveDatabasesRequest, ExplainRouteRequest, ListSolutionsRequest, ResolveDatabaseRequest},
};
use fbs_router_sandbox::platform::ACME_DATABASE;
use tonic::Code;

use super::{
    Row, invalid,
    scene::{Ask, Scene, absent, ask, batch, upload},
};
use crate::support::{asking::creation, draft};

pub(super) fn rows(scene: &Scene) -> Vec<Row> {
    [solutions(scene), ids(scene), envelopes(scene), routes(scene)].into_iter().flatten().collect()
}

fn solutions(scene: &Scene) -> Vec<Row> {
    let mebibyte = "a".repeat(1_024 * 1_024);
    let (long, longer) = ("a".repeat(57), "a".repeat(64));
    let bad: [(u32, &[&str]); 7] = [
        (1, &[""]),
        (2, &[&long, &longer, &mebibyte]),
        (3, &["Acme", "acme ", " acme", "ACME_CORP"]),
        (4, &["\u{430}cme", "\u{ff41}cme", "e\u{301}"]),
        (5, &["a\0b", "a\nb", "a\u{202e}", "a\u{200b}"]),
        (6, &["x\"; drop table d;--", "../etc", "%2e%2e", "a/b", "a.b"]),
        (7, &["-", "_", "-a"]),
    ];
    let mut rows: Vec<Row> = Vec::new();
    for (number, names) in bad {
        for name in names {
            rows.push(invalid(number, "SOLUTION_INVALID", scene.every("solution", name)));
        }
    }
    rows.push(invalid(7, "SOLUTION_RESERVED", scene.every("solution", "system")));
    rows
}

fn ids(scene: &Scene) -> Vec<Row> {
    let id = scene.live.document_id.as_str();
    let (upper, braces) = (id.to_uppercase(), format!("{{{id}}}"));
    let (simple, urn) = (id.replace('-', ""), format!("urn:uuid:{id}"));
    let (long, nil) = ("a".repeat(65), "00000000-0000-0000-0000-000000000000");
    let mut rows = Vec::new();
    for bad in ["", &long, "a/b", "..", &upper, &braces, &simple, &urn, nil] {
        let one = BatchGetDocumentsRequest {
            solution: "globex".into(),
            document_ids: vec![id.into(), bad.into()],
            ..Default::default()
        };
        let mut wrong = scene.every("document_id", bad);
        if bad.is_empty() {
            // At creation the server makes one.
            wrong.retain(|ask| !ask.path.ends_with("/CreateDocument"));
        } else {
            let mut many = batch(vec![draft("N"), draft("N")]);
            many.requests[1].document_id = bad.into();
            wrong.push(ask(many, &["requests[1].document_id"]));
            rows.push(invalid(43, "FIELD_INVALID", scene.every("request_id", bad)));
        }
        wrong.push(ask(one, &["document_ids[1]"]));
        rows.push(invalid(12, "FIELD_INVALID", wrong));
    }
    let reading_or_changing = |id: &str| {
        let mut asks = scene.every("document_id", id);
        asks.retain(|ask| !ask.path.ends_with("/CreateDocument"));
        asks
    };
    for other in [scene.foreign.document_id.as_str(), &absent().document_id] {
        rows.push(Row {
            number: 13,
            asks: reading_or_changing(other),
            code: Code::NotFound,
            reason: "DOCUMENT_NOT_FOUND",
        });
    }
    let mut taken = scene.every("document_id", id);
    taken.retain(|ask| ask.path.ends_with("/CreateDocument"));
    let mut many = batch(vec![draft("N"), draft("N")]);
    many.requests[1].document_id = id.into();
    taken.push(ask(many, &[]));
    rows.push(Row { number: 14, asks: taken, code: Code::AlreadyExists, reason: "DOCUMENT_EXISTS" });
    rows
}

fn envelopes(scene: &Scene) -> Vec<Row> {
    let mut rows = Vec::new();
    let long = "x".repeat(256);
    for (number, actor) in [(18, "   "), (18, "a\nb"), (17, "a\0"), (18, "\u{202e}a"), (16, &long)] {
        rows.push(invalid(number, "FIELD_INVALID", scene.every("actor", actor)));
    }
    let mut unread = scene.every("etag", "");
    unread.retain(|ask| ask.path.ends_with("/ApproveDocument") || ask.path.ends_with("/RejectDocument"));
    rows.push(invalid(41, "FIELD_INVALID", unread));
    let (others, weak) = (scene.foreign.etag.as_str(), format!("W/\"{}\"", scene.live.etag));
    for etag in ["stale", &weak, others, &scene.live.document_id, "\u{1F4BE}", "a\0b"] {
        rows.push(Row { number: 42, asks: scene.every("etag", etag), code: Code::Aborted, reason: "ETAG_MISMATCH" });
    }
    rows.push(invalid(42, "FIELD_INVALID", scene.every("etag", &"x".repeat(256))));
    let mut reused = scene.every("request_id", &scene.used);
    for ask in &mut reused {
        ask.fields = vec!["request_id".into()];
    }
    let same = CreateDocumentRequest { request_id: scene.used.clone(), ..creation("globex", draft("another")) };
    reused.push(ask(same, &["request_id"]));
    rows.push(invalid(44, "REQUEST_ID_REUSED", reused));
    rows
}

fn routes(scene: &Scene) -> Vec<Row> {
    let mut rows = Vec::new();
    let named = |field: &str, value: &str| {
        let mut asks = scene.every(field, value);
        asks.retain(|ask: &Ask| !ask.path.ends_with("/ExplainRoute"));
        asks
    };
    let long = "x".repeat(1 << 20);
    for app in ["other", "fbs_dms ", "\0", &long] {
        let asks = named("app", app);
        rows.push(Row { number: 34, asks, code: Code::NotFound, reason: "APP_UNKNOWN" });
    }
    for (number, database) in [(16, "x".repeat(64)), (17, "a\0b".to_owned())] {
        rows.push(invalid(number, "FIELD_INVALID", scene.every("database", &database)));
    }
    for database in [ACME_DATABASE, "nothing", "FBS_SYSTEM_DB", "'; DROP"] {
        rows.push(Row {
            number: 10,
            asks: named("database", database),
            code: Code::FailedPrecondition,
            reason: "DATABASE_MISMATCH",
        });
    }
    let strict =
        ResolveDatabaseRequest { solution: "globex".into(), dedicated_only: true, ..ResolveDatabaseRequest::default() };
    let (code, reason) = (Code::FailedPrecondition, "ISOLATION_REQUIRED");
    rows.push(Row { number: 10, asks: vec![ask(strict.clone(), &[])], code, reason });
    for requests in [vec![], vec![strict; 1_001]] {
        rows.push(invalid(74, "BATCH_INVALID", vec![ask(BatchResolveDatabasesRequest { requests }, &["requests"])]));
    }
    rows.push(invalid(16, "FIELD_INVALID", scene.every("prefix", &"x".repeat(64))));
    let enums = [
        (ListSolutionsRequest { placement: 9_999, ..Default::default() }, "placement"),
        (ListSolutionsRequest { placement: -1, ..Default::default() }, "placement"),
        (ListSolutionsRequest { states: vec![1, 0], ..Default::default() }, "states[1]"),
        (ListSolutionsRequest { states: vec![9_999], ..Default::default() }, "states[0]"),
    ];
    for (request, field) in enums {
        rows.push(invalid(34, "FIELD_INVALID", vec![ask(request, &[field])]));
    }
    let none = vec![ask(ExplainRouteRequest { request: None }, &["request"])];
    rows.push(invalid(35, "FIELD_INVALID", none));
    rows.push(invalid(35, "CONTENT_INVALID", vec![upload(&[UploadContentRequest { frame: None }], "frame")]));
    rows
}
