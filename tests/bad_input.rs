//! Bad input: each kind has its code and reason, all violations are told at once, and nothing changes.
//!
//! The rows are those of the bad-input catalogue, in its order. Where it and the contract differ, the contract's code and
//! reason count. Left out: 8, 9, 63 (no authentication yet); 10 (headers name no solution here; `x-solution` is ignored,
//! below); 20, 21, 37 (good input: `documents`, `isolation`); 25-28 in part (metadata is a Struct: no JSON text, no
//! duplicate keys, no integers); 29, 30, 33, 35 (no such fields); 32 (the contract has no rule); 41 (only approval and
//! rejection will require an etag); 45-49 in part (`lists`); 50, 51, 57, 64-72 (search, compression, content and
//! workflow are not there yet); 60 (its list size is the transport's to refuse); 62 (tonic takes the first message).

use fbs_router_proto::{
    document::v1::{
        CreateDocumentRequest, DeleteDocumentRequest, Document, DocumentFilter, GetDocumentRequest,
        ListDocumentsRequest, UndeleteDocumentRequest, UpdateDocumentRequest,
    },
    router::v1::{BatchResolveDatabasesRequest, ExplainRouteRequest, ResolveDatabaseRequest, resolve_result::Outcome},
};
use fbs_router_sandbox::platform::{ACME_DATABASE, SYSTEM_DATABASE};
use prost::{Message, bytes::Bytes};
use prost_types::{FieldMask, ListValue, Struct, Timestamp, Value, value::Kind};
use tonic::{Code, Status};

use crate::support::{
    Replica, World,
    asking::{change, creation, deletion, page, refusal, request_id, retitle, undeletion, violated},
    draft, failure,
    wire::{framed, metrics, raw, raw_status},
    within,
};

const CREATE: &str = "/fbs.document.v1.DocumentService/CreateDocument";
const UNKNOWN: &str = "0190b0a0-0000-7000-8000-00000000dead";

/// One request.
#[derive(Debug, Clone)]
enum Ask {
    Create(CreateDocumentRequest),
    Get(GetDocumentRequest),
    List(ListDocumentsRequest),
    Update(UpdateDocumentRequest),
    Delete(DeleteDocumentRequest),
    Undelete(UndeleteDocumentRequest),
    Resolve(ResolveDatabaseRequest),
    Batch(BatchResolveDatabasesRequest),
    Explain(ExplainRouteRequest),
}

async fn send(replica: &Replica, ask: Ask) -> Result<(), Status> {
    let (mut documents, mut routes) = (replica.documents(), replica.routes());
    match ask {
        Ask::Create(request) => documents.create_document(within(request)).await.map(drop),
        Ask::Get(request) => documents.get_document(within(request)).await.map(drop),
        Ask::List(request) => documents.list_documents(within(request)).await.map(drop),
        Ask::Update(request) => documents.update_document(within(request)).await.map(drop),
        Ask::Delete(request) => documents.delete_document(within(request)).await.map(drop),
        Ask::Undelete(request) => documents.undelete_document(within(request)).await.map(drop),
        Ask::Resolve(request) => routes.resolve_database(within(request)).await.map(drop),
        Ask::Batch(request) => routes.batch_resolve_databases(within(request)).await.map(drop),
        Ask::Explain(request) => routes.explain_route(within(request)).await.map(drop),
    }
}

/// Everything that a call could leave, in both databases.
async fn everything(world: &World) -> Vec<String> {
    let mut all = Vec::new();
    for (database, tables) in [
        (SYSTEM_DATABASE, "document,request_record,audit,fence,identity,placement,registration,server,ledger"),
        (ACME_DATABASE, "document,request_record,audit,fence,identity"),
    ] {
        let client = world.platform.cluster.connect(database).await.unwrap();
        for table in tables.split(',') {
            let schema = if table == "document" { "fbs_document" } else { "fbs_router" };
            let sql =
                format!("SELECT coalesce(string_agg(t::text, ';' ORDER BY t::text), '') FROM {schema}.{table} AS t");
            all.push(format!("{database}.{table}: {}", client.query_one(&sql, &[]).await.unwrap().get::<_, String>(0)));
        }
    }
    all
}

fn metadata(kind: Kind) -> Document {
    let fields = Struct { fields: [("k".to_owned(), Value { kind: Some(kind) })].into() };
    Document { metadata: Some(fields), ..draft("N") }
}

fn nested_lists(levels: usize) -> Kind {
    let mut kind = Kind::NullValue(0);
    for _ in 0..levels {
        kind = Kind::ListValue(ListValue { values: vec![Value { kind: Some(kind) }] });
    }
    kind
}

fn nested_objects(levels: usize) -> Kind {
    let mut kind = Kind::NullValue(0);
    for _ in 0..levels {
        kind = Kind::StructValue(Struct { fields: [("k".to_owned(), Value { kind: Some(kind) })].into() });
    }
    kind
}

/// Every request that names `solution`.
fn by_every_call(solution: &str) -> Vec<Ask> {
    let id = UNKNOWN;
    let resolve = ResolveDatabaseRequest { solution: solution.into(), ..ResolveDatabaseRequest::default() };
    vec![
        Ask::Create(creation(solution, draft("N"))),
        Ask::Get(GetDocumentRequest { solution: solution.into(), document_id: id.into(), ..Default::default() }),
        Ask::List(page(solution, 0)),
        Ask::Update(retitle(solution, id, "T")),
        Ask::Delete(deletion(solution, id)),
        Ask::Undelete(undeletion(solution, id)),
        Ask::Resolve(resolve),
    ]
}

/// Every request that names a document.
fn by_document(id: &str) -> Vec<Ask> {
    vec![
        Ask::Get(GetDocumentRequest { solution: "globex".into(), document_id: id.into(), ..Default::default() }),
        Ask::Update(retitle("globex", id, "T")),
        Ask::Delete(deletion("globex", id)),
        Ask::Undelete(undeletion("globex", id)),
    ]
}

type Row = (u32, Vec<Ask>, Code, &'static str, &'static [&'static str]);

fn solutions() -> Vec<Row> {
    let mut rows: Vec<Row> = Vec::new();
    let mebibyte = "a".repeat(1_024 * 1_024);
    let (long, longer) = ("a".repeat(57), "a".repeat(64));
    let bad: &[(u32, &[&str])] = &[
        (1, &[""]),
        (2, &[&long, &longer, &mebibyte]),
        (3, &["Acme", "acme ", " acme", "ACME_CORP"]),
        (4, &["\u{430}cme", "\u{ff41}cme", "e\u{301}"]),
        (5, &["a\0b", "a\nb", "a\u{202e}", "a\u{200b}"]),
        (6, &["x\"; drop table d;--", "../etc", "%2e%2e", "a/b", "a.b"]),
        (7, &["-", "_", "-a"]),
    ];
    for (row, names) in bad {
        for name in *names {
            rows.push((*row, by_every_call(name), Code::InvalidArgument, "SOLUTION_INVALID", &["solution"]));
        }
    }
    rows.push((7, by_every_call("system"), Code::InvalidArgument, "SOLUTION_RESERVED", &["solution"]));
    rows
}

/// A document that is wrong in one field.
fn fields() -> Vec<Row> {
    let mut rows: Vec<Row> = Vec::new();
    let mut wrong = |row: u32, field: &'static [&'static str], document: Document| {
        // The same in a change as in a creation.
        let mask = field[0].trim_start_matches("document.").split('[').next().unwrap();
        let mut asks = vec![Ask::Create(creation("globex", document.clone()))];
        if mask != "solution" && mask != "document_type" {
            asks.push(Ask::Update(change("globex", UNKNOWN, document, &[mask])));
        }
        rows.push((row, asks, Code::InvalidArgument, "FIELD_INVALID", field));
    };
    wrong(11, &["document.solution"], Document { solution: "acme_corp".into(), ..draft("N") });
    let invisible = "\u{200b}\u{feff}\u{2060}";
    let (long, wide) = ("x".repeat(256), "💾".repeat(256));
    let many = "x".repeat(12 * 1_024);
    let texts = [
        (15, ""),
        (15, "   "),
        (15, invisible),
        (16, &long),
        (16, &wide),
        (17, "a\0b"),
        (18, "a\nb"),
        (18, "a\u{7f}"),
        (18, "a\u{85}"),
        (18, "\u{202e}a"),
        (18, "a\u{2066}"),
        (75, &many),
    ];
    for (row, text) in texts {
        wrong(row, &["document.title"], Document { title: text.into(), ..draft("N") });
        wrong(row, &["document.name"], Document { name: text.into(), ..draft("N") });
    }
    wrong(16, &["document.description"], Document { description: "x".repeat(16 * 1_024 + 1), ..draft("N") });
    wrong(17, &["document.description"], Document { description: "a\0b".into(), ..draft("N") });
    for bad in ["Invoice", "in-voice", "é", &"x".repeat(51)] {
        wrong(34, &["document.document_type"], Document { document_type: bad.into(), ..draft("N") });
    }
    for bad in ["/a", "a/", "a//b", "a/b/c/d/e/f/g/h/i", &"x".repeat(101), "a\0", "a\nb"] {
        wrong(16, &["document.category"], Document { category: bad.into(), ..draft("N") });
    }
    let tags = |tags: &[&str]| Document { tags: tags.iter().map(|tag| (*tag).to_owned()).collect(), ..draft("N") };
    let numbered: Vec<String> = (0..65).map(|number| number.to_string()).collect();
    wrong(22, &["document.tags"], Document { tags: numbered, ..draft("N") });
    wrong(22, &["document.tags[2]"], tags(&["a", "b", "a"]));
    wrong(22, &["document.tags[1]"], tags(&["a", ""]));
    wrong(22, &["document.tags[0]"], tags(&[&"x".repeat(101)]));
    wrong(22, &["document.tags[0]", "document.tags[2]"], tags(&["\0", "b", "a\nb"]));
    wrong(23, &["document.metadata"], metadata(Kind::StringValue("a\0b".into())));
    for number in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
        wrong(24, &["document.metadata"], metadata(Kind::NumberValue(number)));
    }
    wrong(25, &["document.metadata"], metadata(nested_lists(32)));
    wrong(26, &["document.metadata"], metadata(Kind::StringValue("x".repeat(64 * 1_024))));
    wrong(
        27,
        &["document.metadata"],
        Document { metadata: Some(Struct { fields: [("k".to_owned(), Value { kind: None })].into() }), ..draft("N") },
    );
    for (seconds, nanos) in [(253_402_300_800, 0), (-62_135_596_801, 0), (0, -1), (0, 1_000_000_000), (i64::MAX, 0)] {
        wrong(
            31,
            &["document.expire_time"],
            Document { expire_time: Some(Timestamp { seconds, nanos }), ..draft("N") },
        );
    }
    for number in [4, 9_999, -1] {
        wrong(34, &["document.confidentiality"], Document { confidentiality: number, ..draft("N") });
    }
    rows
}

fn requests(id: &str, deleted: &str, used: &str) -> Vec<Row> {
    const INVALID: Code = Code::InvalidArgument;
    let mut rows: Vec<Row> = Vec::new();
    let (upper, braces) = (id.to_uppercase(), format!("{{{id}}}"));
    let (simple, urn) = (id.replace('-', ""), format!("urn:uuid:{id}"));
    let nil = "00000000-0000-0000-0000-000000000000";
    for bad in ["", &"a".repeat(65), "a/b", "..", &upper, &braces, &simple, &urn, nil] {
        rows.push((12, by_document(bad), INVALID, "FIELD_INVALID", &["document_id"]));
        if !bad.is_empty() {
            let create = CreateDocumentRequest { document_id: bad.into(), ..creation("globex", draft("N")) };
            rows.push((12, vec![Ask::Create(create)], INVALID, "FIELD_INVALID", &["document_id"]));
            let repeated =
                Ask::Create(CreateDocumentRequest { request_id: bad.into(), ..creation("globex", draft("N")) });
            let update = Ask::Update(UpdateDocumentRequest { request_id: bad.into(), ..retitle("globex", id, "T") });
            let delete = Ask::Delete(DeleteDocumentRequest { request_id: bad.into(), ..deletion("globex", id) });
            let undelete =
                Ask::Undelete(UndeleteDocumentRequest { request_id: bad.into(), ..undeletion("globex", id) });
            rows.push((43, vec![repeated, update, delete, undelete], INVALID, "FIELD_INVALID", &["request_id"]));
        }
    }
    rows.push((13, by_document(UNKNOWN), Code::NotFound, "DOCUMENT_NOT_FOUND", &[]));
    let taken = CreateDocumentRequest { document_id: id.into(), ..creation("globex", draft("N")) };
    rows.push((14, vec![Ask::Create(taken)], Code::AlreadyExists, "DOCUMENT_EXISTS", &[]));
    let missing = CreateDocumentRequest { document: None, ..creation("globex", draft("N")) };
    rows.push((15, vec![Ask::Create(missing)], INVALID, "FIELD_INVALID", &["document"]));
    let missing = UpdateDocumentRequest { document: None, ..retitle("globex", id, "T") };
    rows.push((15, vec![Ask::Update(missing)], INVALID, "FIELD_INVALID", &["document"]));
    for path in ["state", "company_id", "create_time", "created_by", "etag", "document_id", "content", "document_type"]
    {
        let update = Ask::Update(change("globex", id, draft("N"), &[path]));
        rows.push((38, vec![update], INVALID, "UPDATE_MASK_INVALID", &["update_mask.paths[0]"]));
    }
    for bad in ["nothing", "*", "title", "a..b", "metadata.k", "", "Title", "title "] {
        let update = Ask::Update(change("globex", id, draft("N"), &["title", bad]));
        rows.push((39, vec![update], INVALID, "UPDATE_MASK_INVALID", &["update_mask.paths[1]"]));
    }
    let many = Ask::Update(change("globex", id, draft("N"), &["title"; 101]));
    let none = Ask::Update(change("globex", id, draft("N"), &[]));
    let absent = Ask::Update(UpdateDocumentRequest { update_mask: None, ..retitle("globex", id, "T") });
    rows.push((40, vec![many, none, absent], INVALID, "UPDATE_MASK_INVALID", &["update_mask"]));
    for etag in ["stale", "W/\"x\"", UNKNOWN, "\u{1F4BE}"] {
        let update = Ask::Update(UpdateDocumentRequest { etag: etag.into(), ..retitle("globex", id, "T") });
        let delete = Ask::Delete(DeleteDocumentRequest { etag: etag.into(), ..deletion("globex", id) });
        rows.push((42, vec![update, delete], Code::Aborted, "ETAG_MISMATCH", &[]));
    }
    let create = CreateDocumentRequest { request_id: used.into(), ..creation("globex", draft("another")) };
    let delete = DeleteDocumentRequest { request_id: used.into(), ..deletion("globex", id) };
    rows.push((44, vec![Ask::Create(create), Ask::Delete(delete)], INVALID, "REQUEST_ID_REUSED", &["request_id"]));
    let list = |request: ListDocumentsRequest| vec![Ask::List(request)];
    rows.push((45, list(page("globex", -1)), INVALID, "FIELD_INVALID", &["page_size"]));
    let token = ListDocumentsRequest { page_token: "garbage".into(), ..page("globex", 0) };
    rows.push((47, list(token), INVALID, "PAGE_TOKEN_INVALID", &["page_token"]));
    let order = ListDocumentsRequest { order_by: "title; drop".into(), ..page("globex", 0) };
    rows.push((48, list(order), INVALID, "FILTER_INVALID", &["order_by"]));
    let filter = DocumentFilter { states: vec![1, 0, 9_999], tags: vec![String::new()], ..DocumentFilter::default() };
    let filter = ListDocumentsRequest { filter: Some(filter), ..page("globex", 0) };
    let fields = &["filter.states[1]", "filter.states[2]", "filter.tags[0]"];
    rows.push((49, list(filter), INVALID, "FILTER_INVALID", fields));
    let gone = vec![Ask::Update(retitle("globex", deleted, "T")), Ask::Delete(deletion("globex", deleted))];
    rows.push((73, gone, Code::NotFound, "DOCUMENT_NOT_FOUND", &[]));
    let live = vec![Ask::Undelete(undeletion("globex", id))];
    rows.push((73, live, Code::AlreadyExists, "DOCUMENT_NOT_DELETED", &[]));
    for actor in ["   ", "a\nb", "a\0", "\u{202e}a", &"x".repeat(256)] {
        let create = Ask::Create(CreateDocumentRequest { actor: actor.into(), ..creation("globex", draft("N")) });
        let update = Ask::Update(UpdateDocumentRequest { actor: actor.into(), ..retitle("globex", id, "T") });
        let delete = Ask::Delete(DeleteDocumentRequest { actor: actor.into(), ..deletion("globex", id) });
        let undelete = Ask::Undelete(UndeleteDocumentRequest { actor: actor.into(), ..undeletion("globex", id) });
        rows.push((18, vec![create, update, delete, undelete], INVALID, "FIELD_INVALID", &["actor"]));
    }
    rows
}

fn routes(id: &str) -> Vec<Row> {
    const INVALID: Code = Code::InvalidArgument;
    let mut rows: Vec<Row> = Vec::new();
    let ask = |app: &str, database: &str| ResolveDatabaseRequest {
        solution: "globex".into(),
        app: app.into(),
        database: database.into(),
        ..ResolveDatabaseRequest::default()
    };
    let resolve = |request: ResolveDatabaseRequest| vec![Ask::Resolve(request)];
    for app in ["other", "fbs_dms ", "\0", &"x".repeat(1 << 20)] {
        rows.push((34, resolve(ask(app, "")), Code::NotFound, "APP_UNKNOWN", &[]));
    }
    for database in [&"x".repeat(64), "a\0b"] {
        let named = database.to_string();
        let every = vec![
            Ask::Resolve(ask("", &named)),
            Ask::Create(CreateDocumentRequest { database: named.clone(), ..creation("globex", draft("N")) }),
            Ask::Get(GetDocumentRequest { solution: "globex".into(), document_id: id.into(), database: named.clone() }),
            Ask::List(ListDocumentsRequest { database: named.clone(), ..page("globex", 0) }),
            Ask::Update(UpdateDocumentRequest { database: named.clone(), ..retitle("globex", id, "T") }),
            Ask::Delete(DeleteDocumentRequest { database: named.clone(), ..deletion("globex", id) }),
            Ask::Undelete(UndeleteDocumentRequest { database: named, ..undeletion("globex", id) }),
        ];
        rows.push((16, every, INVALID, "FIELD_INVALID", &["database"]));
    }
    for database in [ACME_DATABASE, "nothing", "FBS_SYSTEM_DB", "'; DROP"] {
        let named = database.to_owned();
        let every = vec![
            Ask::Resolve(ask("", database)),
            Ask::Create(CreateDocumentRequest { database: named.clone(), ..creation("globex", draft("N")) }),
            Ask::List(ListDocumentsRequest { database: named.clone(), ..page("globex", 0) }),
            Ask::Delete(DeleteDocumentRequest { database: named, ..deletion("globex", id) }),
        ];
        rows.push((10, every, Code::FailedPrecondition, "DATABASE_MISMATCH", &[]));
    }
    let strict = ResolveDatabaseRequest { dedicated_only: true, ..ask("", "") };
    rows.push((10, resolve(strict), Code::FailedPrecondition, "ISOLATION_REQUIRED", &[]));
    for requests in [vec![], vec![ask("", ""); 1_001]] {
        let batch = Ask::Batch(BatchResolveDatabasesRequest { requests });
        rows.push((74, vec![batch], INVALID, "BATCH_INVALID", &["requests"]));
    }
    rows.push((34, vec![Ask::Explain(ExplainRouteRequest { request: None })], INVALID, "FIELD_INVALID", &["request"]));
    rows
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_requests_get_their_code_and_reason_and_change_nothing() {
    let world = World::new().await;
    let replica = world.replica().await;
    let used = request_id();
    let request = CreateDocumentRequest { request_id: used.clone(), ..creation("globex", draft("live")) };
    let id = replica.ask_create(request).await.unwrap().document_id;
    let deleted = replica.make("globex", "deleted").await.document_id;
    replica.ask_delete(deletion("globex", &deleted)).await.unwrap();
    replica.make("acme_corp", "A-1").await;
    let before = everything(&world).await;
    let rows = [solutions(), fields(), requests(&id, &deleted, &used), routes(&id)].concat();
    for (row, asks, code, reason, fields) in rows {
        for ask in asks {
            let told: String = format!("{ask:?}").chars().take(300).collect();
            let status = send(&replica, ask).await.expect_err(&told);
            assert_eq!(refusal(&status), failure(code, reason), "row {row}: {told}: {status:?}");
            if !fields.is_empty() {
                assert_eq!(violated(&status), fields, "row {row}: {told}");
            }
            // Whatever was sent is not sent back, and the answer fits into headers.
            assert!(status.message().len() + status.details().len() < 6_000, "row {row}: {told}");
        }
    }
    assert_eq!(everything(&world).await, before);
    assert_eq!(metrics(replica.ops).await["fbs_router_internal_errors_total"], 0.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn all_violations_of_a_request_are_told_at_once() {
    let world = World::new().await;
    let replica = world.replica().await;
    let nul = metadata(Kind::StringValue("\0".into())).metadata;
    let document = Document {
        solution: "other".into(),
        category: "/".into(),
        tags: vec![String::new(), "a".into(), "a".into()],
        confidentiality: 9,
        description: "\0".into(),
        document_type: "?".into(),
        metadata: nul,
        expire_time: Some(Timestamp { seconds: 0, nanos: -1 }),
        ..Document::default()
    };
    let create = CreateDocumentRequest {
        document_id: "x".into(),
        request_id: "x".into(),
        actor: "\n".into(),
        database: "\0".into(),
        ..creation("Bad Name", document.clone())
    };
    let status = send(&replica, Ask::Create(create)).await.unwrap_err();
    // A bad solution names the error; the others are listed all the same.
    assert_eq!(refusal(&status), failure(Code::InvalidArgument, "SOLUTION_INVALID"));
    let mut fields = violated(&status);
    fields.sort();
    let mut expected = [
        "solution",
        "document_id",
        "document.solution",
        "document.name",
        "document.title",
        "document.description",
        "document.document_type",
        "document.category",
        "document.tags[0]",
        "document.confidentiality",
        "document.metadata",
        "document.expire_time",
        "request_id",
        "actor",
        "database",
    ];
    expected.sort_unstable();
    assert_eq!(fields, expected);

    let update = UpdateDocumentRequest {
        document_id: "x".into(),
        request_id: "x".into(),
        update_mask: Some(FieldMask { paths: ["title", "state", "tags"].map(str::to_owned).to_vec() }),
        ..change("globex", "x", document, &[])
    };
    let status = send(&replica, Ask::Update(update)).await.unwrap_err();
    assert_eq!(refusal(&status), failure(Code::InvalidArgument, "FIELD_INVALID"));
    let mut fields = violated(&status);
    fields.sort();
    let expected = [
        "document.solution",
        "document.tags[0]",
        "document.title",
        "document_id",
        "request_id",
        "update_mask.paths[1]",
    ];
    assert_eq!(fields, expected);

    let filter = DocumentFilter { states: vec![0], category: "/".into(), ..DocumentFilter::default() };
    let list = ListDocumentsRequest {
        filter: Some(filter),
        order_by: "x".into(),
        page_token: "x".into(),
        database: "\0".into(),
        ..page("globex", -1)
    };
    let status = send(&replica, Ask::List(list)).await.unwrap_err();
    assert_eq!(refusal(&status), failure(Code::InvalidArgument, "FIELD_INVALID"));
    assert_eq!(violated(&status), ["database", "page_size", "filter.states[0]", "filter.category", "order_by"]);

    let resolve =
        ResolveDatabaseRequest { solution: "Bad".into(), database: "\0".into(), ..ResolveDatabaseRequest::default() };
    let status = send(&replica, Ask::Resolve(resolve.clone())).await.unwrap_err();
    assert_eq!(refusal(&status), failure(Code::InvalidArgument, "SOLUTION_INVALID"));
    assert_eq!(violated(&status), ["solution", "database"]);

    // In a batch each pair fails alone, as it would alone.
    let batch = BatchResolveDatabasesRequest {
        requests: vec![resolve, ResolveDatabaseRequest { solution: "globex".into(), ..Default::default() }],
    };
    let results = replica.routes().batch_resolve_databases(within(batch)).await.unwrap().into_inner().results;
    let Some(Outcome::Error(error)) = &results[0].outcome else { panic!("{results:?}") };
    assert_eq!(error.encode_to_vec(), status.details());
    assert!(matches!(results[1].outcome, Some(Outcome::Resolved(_))));

    // More than a status holds: some are told, and that there are more.
    let tags = (0..64).map(|number| format!("{}\n{number}", "x".repeat(90))).collect();
    let document = Document { tags, ..draft("N") };
    let status = send(&replica, Ask::Create(creation("globex", document))).await.unwrap_err();
    use tonic_types::StatusExt;
    let info = status.get_details_error_info().unwrap();
    assert!(violated(&status).len() > 10 && (violated(&status).len() == 64 || info.metadata["truncated"] == "true"));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_request_at_all_is_refused_with_a_reason_and_raises_no_alarm() {
    let world = World::new().await;
    let replica = world.replica().await;
    replica.make("globex", "N").await;
    let before = everything(&world).await;
    let good = creation("globex", draft("M")).encode_to_vec();
    let at = replica.grpc;
    let told = |status: &Status| refusal(status);
    let ask =
        async |path: &str, headers: &[(&str, &str)], body: Bytes| told(&raw_status(at, path, headers, body).await);
    let field = |code: Code| failure(code, "FIELD_INVALID");

    // 52: one byte too many; at the limit it is read, and found to be too long a description.
    let limit = 4 * 1024 * 1024;
    let sized = |bytes: usize| {
        let mut request = creation("globex", draft("N"));
        request.document.as_mut().unwrap().description = "x".repeat(bytes);
        let overhead = request.encoded_len() - bytes;
        request.document.as_mut().unwrap().description.truncate(bytes - overhead);
        let message = request.encode_to_vec();
        assert_eq!(message.len(), bytes);
        framed(0, &message)
    };
    assert_eq!(ask(CREATE, &[], sized(limit)).await, field(Code::InvalidArgument));
    assert_eq!(ask(CREATE, &[], sized(limit + 1)).await, field(Code::OutOfRange));
    // 53: cut off, a wrong wire type, a varint that never ends, field 0; 19: text that is not UTF-8.
    let rubbish: [&[u8]; 5] = [
        &good[..good.len() - 1],
        &[0x0d, 1, 2],
        &[0x0a, 0xff, 0xff, 0xff, 0xff, 0xff],
        &[0x00, 0x01],
        &[0x0a, 2, 0xff, 0xfe],
    ];
    for bytes in rubbish {
        assert_eq!(ask(CREATE, &[], framed(0, bytes)).await, field(Code::Internal), "{bytes:?}");
    }
    // 54: nested deeper than a decoder follows.
    let deep = creation("globex", metadata(nested_lists(200))).encode_to_vec();
    assert_eq!(ask(CREATE, &[], framed(0, &deep)).await, field(Code::Internal));
    let deep = creation("globex", metadata(nested_objects(200))).encode_to_vec();
    assert_eq!(ask(CREATE, &[], framed(0, &deep)).await, field(Code::Internal));
    // 55, 56: a flag that does not exist, compression that nobody announced, and such as is not spoken here.
    assert_eq!(ask(CREATE, &[], framed(2, &good)).await, field(Code::Internal));
    assert_eq!(ask(CREATE, &[], framed(1, &good)).await, field(Code::Internal));
    for encoding in ["gzip", "br", "nonsense"] {
        let headers = [("grpc-encoding", encoding)];
        assert_eq!(ask(CREATE, &headers, framed(0, &good)).await, field(Code::Unimplemented), "{encoding}");
    }
    // 59: no time at all.
    for timeout in ["1n", "0S", "1m", "2999u"] {
        let told = ask(CREATE, &[("grpc-timeout", timeout)], framed(0, &good)).await;
        assert_eq!(told, failure(Code::DeadlineExceeded, "DEADLINE_EXCEEDED"), "{timeout}");
    }
    // 61: methods and services that are not there.
    for path in [
        "/fbs.document.v1.DocumentService/Nothing",
        "/fbs.document.v1.DocumentService/createDocument",
        "/fbs.document.v1.DocumentService/CreateDocument/",
        "/fbs.admin.v1.Nothing/Nothing",
        "/",
        "/x",
    ] {
        assert_eq!(ask(path, &[], framed(0, &good)).await, field(Code::Unimplemented), "{path}");
    }
    // 62: no message at all.
    assert_eq!(ask(CREATE, &[], Bytes::new()).await, field(Code::Internal));
    assert_eq!(everything(&world).await, before);
    let counted = metrics(replica.ops).await;
    assert_eq!(counted["fbs_router_internal_errors_total"], 0.0, "rubbish is no bug of ours");

    // 58: a timeout that is none is ignored; 10: so is a header that would name a solution.
    for timeout in ["abc", "99999999999S", "-1S", ""] {
        let headers = [("grpc-timeout", timeout), ("x-solution", "acme_corp")];
        let answer = raw(at, CREATE, &headers, framed(0, &good)).await;
        assert_eq!(answer["grpc-status"], "0", "{timeout}");
        assert_eq!(answer["fbs-database"], SYSTEM_DATABASE);
    }
    assert_eq!(world.rows(ACME_DATABASE, "acme_corp").await, 0);
}
