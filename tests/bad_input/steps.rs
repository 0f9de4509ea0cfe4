//! Rows about the workflow, batches, types and content.

use fbs_router_proto::document::v1::{
    BatchGetDocumentsRequest, CreateDocumentRequest, Document, DocumentType, DownloadContentRequest,
    UploadContentRequest, upload_content_request::Header,
};
use prost_types::value::Kind;
use tonic::Code;

use super::{
    Row, documents, invalid,
    scene::{Ask, Scene, a_type, ask, batch, upload},
};
use crate::support::{
    asking::{approval, archival, definition, deletion, rejection, retitle, submission, undeletion},
    draft,
    transfers::{chunk, declared, first, header, wanted},
};

const BYTES: &[u8] = b"0123456789";

pub(super) fn rows(scene: &Scene) -> Vec<Row> {
    [workflow(scene), batches(scene), types(), uploads(scene), files(scene), downloads(scene)]
        .into_iter()
        .flatten()
        .collect()
}

fn workflow(scene: &Scene) -> Vec<Row> {
    let impossible = |number: u32, asks: Vec<Ask>| Row {
        number,
        asks,
        code: Code::FailedPrecondition,
        reason: "STATE_TRANSITION_INVALID",
    };
    let gone = &scene.deleted;
    let id = &gone.document_id;
    let content = header("globex", id, declared("a.pdf", BYTES));
    let mut rows = vec![
        impossible(
            71,
            vec![
                ask(approval(&scene.live, ""), &[]),
                ask(rejection(&scene.live, "no"), &[]),
                ask(archival("globex", &scene.live.document_id), &[]),
                ask(submission("globex", &scene.pending.document_id), &[]),
                ask(approval(&scene.approved, ""), &[]),
            ],
        ),
        Row {
            number: 71,
            asks: vec![ask(approval(&scene.own, ""), &[])],
            code: Code::PermissionDenied,
            reason: "SELF_APPROVAL",
        },
        Row {
            number: 71,
            asks: vec![
                ask(retitle("globex", &scene.pending.document_id, "T"), &[]),
                ask(retitle("globex", &scene.approved.document_id, "T"), &[]),
            ],
            code: Code::FailedPrecondition,
            reason: "DOCUMENT_NOT_EDITABLE",
        },
        Row {
            number: 73,
            asks: vec![
                ask(retitle("globex", id, "T"), &[]),
                ask(deletion("globex", id), &[]),
                ask(submission("globex", id), &[]),
                ask(approval(gone, ""), &[]),
                ask(rejection(gone, "no"), &[]),
                ask(archival("globex", id), &[]),
                upload(&[first(content), chunk(BYTES)], ""),
                ask(wanted("globex", id), &[]),
            ],
            code: Code::NotFound,
            reason: "DOCUMENT_NOT_FOUND",
        },
        Row {
            number: 73,
            asks: vec![ask(undeletion("globex", &scene.live.document_id), &[])],
            code: Code::AlreadyExists,
            reason: "DOCUMENT_NOT_DELETED",
        },
    ];
    for comment in ["x".repeat(4 * 1_024 + 1), "a\0b".to_owned()] {
        rows.push(invalid(72, "FIELD_INVALID", scene.every("comment", &comment)));
    }
    for comment in ["", " \n "] {
        rows.push(invalid(72, "FIELD_INVALID", vec![ask(rejection(&scene.pending, comment), &["comment"])]));
    }
    rows
}

fn batches(scene: &Scene) -> Vec<Row> {
    let mut rows = Vec::new();
    let get = |document_ids: Vec<String>| BatchGetDocumentsRequest {
        solution: "globex".into(),
        document_ids,
        ..BatchGetDocumentsRequest::default()
    };
    let id = scene.live.document_id.clone();
    let other = scene.pending.document_id.clone();
    let ids = |count: u128| (1..=count).map(|number| uuid::Uuid::from_u128(number).to_string()).collect();
    // A hundred of them fit into a request, and not into an answer.
    let metadata = documents::metadata(Kind::StringValue("x".repeat(32 * 1_024))).metadata;
    let large = Document { metadata, ..draft("N") };
    let mut twice = batch(vec![draft("N"), draft("N")]);
    for request in &mut twice.requests {
        request.document_id = "0190b0a0-0000-7000-8000-00000000dead".into();
    }
    let asks = vec![
        ask(get(vec![]), &["document_ids"]),
        ask(get(ids(101)), &["document_ids"]),
        ask(get(vec![id.clone(), other, id]), &["document_ids[2]"]),
        ask(batch(vec![]), &["requests"]),
        ask(batch(vec![draft("N"); 101]), &["requests"]),
        ask(batch(vec![draft("N"); 1_001]), &["requests"]),
        ask(batch(vec![large; 100]), &["requests"]),
        ask(twice, &["requests[1].document_id"]),
    ];
    rows.push(invalid(74, "BATCH_INVALID", asks));
    let within = |fill: &dyn Fn(&mut CreateDocumentRequest)| {
        let mut many = batch(vec![draft("N"), draft("N")]);
        fill(&mut many.requests[1]);
        many
    };
    // What is said once for the whole batch is not said again, also not the same.
    for (field, request) in [
        ("solution", within(&|one| one.solution = "acme_corp".into())),
        ("solution", within(&|one| one.solution = "globex".into())),
        ("request_id", within(&|one| one.request_id = crate::support::asking::request_id())),
        ("actor", within(&|one| one.actor = "somebody".into())),
        ("database", within(&|one| one.database = "fbs_system_db".into())),
    ] {
        rows.push(invalid(74, "FIELD_INVALID", vec![ask(request, &[&format!("requests[1].{field}")])]));
    }
    let other = within(&|one| {
        one.document = Some(Document { solution: "acme_corp".into(), ..draft("N") });
    });
    rows.push(invalid(11, "FIELD_INVALID", vec![ask(other, &["requests[1].document.solution"])]));
    rows
}

fn types() -> Vec<Row> {
    let extensions = |extensions: &[&str]| DocumentType {
        allowed_extensions: extensions.iter().map(|extension| (*extension).to_owned()).collect(),
        ..a_type("memo")
    };
    let cases = [
        (34, "code", a_type("")),
        (34, "code", a_type("Memo")),
        (34, "code", a_type(&"x".repeat(51))),
        (15, "name", DocumentType { name: " ".into(), ..a_type("memo") }),
        (16, "name", DocumentType { name: "x".repeat(101), ..a_type("memo") }),
        (17, "name", DocumentType { name: "a\0".into(), ..a_type("memo") }),
        (16, "description", DocumentType { description: "x".repeat(2_001), ..a_type("memo") }),
        (17, "description", DocumentType { description: "a\0".into(), ..a_type("memo") }),
        (22, "allowed_extensions[1]", extensions(&["pdf", ".doc"])),
        (22, "allowed_extensions[0]", extensions(&[""])),
        (22, "allowed_extensions", extensions(&["pdf", "pdf"])),
        (30, "max_content_size_bytes", DocumentType { max_content_size_bytes: -1, ..a_type("memo") }),
    ];
    let row = |(number, field, wrong): (u32, &str, DocumentType)| {
        let place = format!("document_type.{field}");
        invalid(number, "FIELD_INVALID", vec![ask(definition("globex", wrong), &[&place])])
    };
    let mut rows: Vec<Row> = cases.into_iter().map(row).collect();
    let mut none = definition("globex", a_type("memo"));
    none.document_type = None;
    rows.push(invalid(15, "FIELD_INVALID", vec![ask(none, &["document_type"])]));
    rows
}

fn uploads(scene: &Scene) -> Vec<Row> {
    let good = || header("globex", &scene.filed.document_id, declared("a.pdf", BYTES));
    let sized = |size: i64| {
        let mut header = good();
        header.content.as_mut().unwrap().size_bytes = size;
        header
    };
    let digested = |sha256: Vec<u8>| {
        let mut header = good();
        header.content.as_mut().unwrap().sha256 = sha256;
        header
    };
    let large = |bytes: usize| chunk(&vec![b'x'; bytes]);
    let refused = |number: u32, reason: &'static str, cases: Vec<(&str, Vec<UploadContentRequest>)>| {
        invalid(number, reason, cases.into_iter().map(|(field, frames)| upload(&frames, field)).collect())
    };
    let nothing = UploadContentRequest { frame: None };
    vec![
        refused(
            64,
            "CONTENT_INVALID",
            vec![
                ("header", vec![]),
                ("header", vec![chunk(BYTES)]),
                ("header", vec![first(good()), first(good())]),
                ("header", vec![first(good()), chunk(&BYTES[..5]), first(good())]),
                ("frame", vec![first(good()), nothing]),
            ],
        ),
        refused(
            65,
            "CONTENT_INVALID",
            vec![
                ("chunk", vec![first(good()), chunk(b"")]),
                ("chunk", vec![first(sized(2 << 20)), large((1 << 20) + 1)]),
                ("chunk", vec![first(sized(8 << 20)), large((4 << 20) + 1)]),
                ("header.content.size_bytes", vec![first(sized(i64::MAX))]),
                ("header.content.size_bytes", vec![first(sized((1 << 30) + 1))]),
            ],
        ),
        refused(30, "FIELD_INVALID", vec![("header.content.size_bytes", vec![first(sized(-1))])]),
        refused(
            66,
            "CHECKSUM_MISMATCH",
            vec![
                ("header.content", vec![first(good())]),
                ("header.content", vec![first(good()), chunk(&BYTES[..9])]),
                ("header.content", vec![first(sized(9)), chunk(BYTES)]),
                ("header.content", vec![first(digested(vec![0; 32])), chunk(BYTES)]),
            ],
        ),
        refused(
            66,
            "FIELD_INVALID",
            vec![
                ("header.content.sha256", vec![first(digested(vec![]))]),
                ("header.content.sha256", vec![first(digested(vec![0; 33]))]),
                ("header.content", vec![first(Header { content: None, ..good() })]),
            ],
        ),
    ]
}

fn files(scene: &Scene) -> Vec<Row> {
    let named = |filename: &str, media_type: &str| {
        let mut content = declared(filename, BYTES);
        content.media_type = media_type.into();
        first(header("globex", &scene.filed.document_id, content))
    };
    let mut rows = Vec::new();
    let long = "x".repeat(256);
    for bad in ["", " ", ".", "..", "../../x", "C:\\x", "a/b", "a\0b", "a\nb", "\u{202e}fdp.exe", &long] {
        let asks = vec![upload(&[named(bad, "text/plain"), chunk(BYTES)], "header.content.filename")];
        rows.push(invalid(67, "FIELD_INVALID", asks));
    }
    let long = format!("text/{}", "x".repeat(251));
    for bad in ["", "text", "text/", "/html", "text/html\r\nX: y", "text/ht ml", "tëxt/html", "a/b/c", &long] {
        let asks = vec![upload(&[named("a.txt", bad), chunk(BYTES)], "header.content.media_type")];
        rows.push(invalid(68, "FIELD_INVALID", asks));
    }
    rows
}

fn downloads(scene: &Scene) -> Vec<Row> {
    let from = |offset: i64| DownloadContentRequest { offset, ..wanted("globex", &scene.filed.document_id) };
    let stale = DownloadContentRequest { generation: 7, ..from(0) };
    let asks = [-1, i64::MIN, 7, i64::MAX].map(|offset| ask(from(offset), &["offset"]));
    let negative = ask(DownloadContentRequest { generation: -1, ..from(0) }, &["generation"]);
    let empty = ask(wanted("globex", &scene.live.document_id), &[]);
    vec![
        invalid(69, "FIELD_INVALID", asks.into()),
        invalid(30, "FIELD_INVALID", vec![negative]),
        Row { number: 69, asks: vec![ask(stale, &[])], code: Code::Aborted, reason: "ETAG_MISMATCH" },
        Row { number: 69, asks: vec![empty], code: Code::NotFound, reason: "CONTENT_NOT_FOUND" },
    ]
}
