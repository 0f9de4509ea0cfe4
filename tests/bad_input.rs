//! Bad input: each row of the catalogue has its code and reason, all violations are told at once, and nothing changes.
//!
//! The catalogue numbers what callers get wrong, from 1 to 75; each number is a row here, or stands in [`NOT_OURS`]
//! with the reason. Codes and reasons are the contract's. A row that concerns a field is asked of every method that
//! has the field, by an otherwise good request; at the end the good requests are taken, as they are.

mod documents;
mod lists;
mod requests;
mod scene;
mod steps;
mod taken;
mod wire;

use std::collections::BTreeSet;

use fbs_router_proto::{
    document::v1::{CreateDocumentRequest, Document, DocumentFilter, ListDocumentsRequest, UpdateDocumentRequest},
    router::v1::{BatchResolveDatabasesRequest, ErrorReason, ResolveDatabaseRequest, resolve_result::Outcome},
};
use fbs_router_sandbox::{
    platform::{ACME_DATABASE, SYSTEM_DATABASE},
    soon,
};
use futures_util::future::join_all;
use prost::{Message, bytes::Bytes};
use prost_types::{FieldMask, Timestamp, value::Kind};
use tonic::{Code, Status};

use self::scene::{Ask, Scene};
use crate::support::{
    Replica, World,
    asking::{change, creation, page, refusal, violated},
    draft, failure,
    methods::{method_of, methods, path},
    wire::metrics,
    within,
};

/// Rows that no request to this service can be.
const NOT_OURS: [(u32, &str); 6] = [
    (8, "who may ask for which solution: `callers`"),
    (9, "a solution cannot be suspended"),
    (29, "no field is a decimal"),
    (33, "no request has a duration"),
    (63, "credentials: `callers`"),
    (70, "an upload that broke off begins anew"),
];

/// Services whose every method must be in the table.
const SERVICES: [&str; 2] = ["fbs.document.v1.DocumentService", "fbs.router.v1.RouterService"];

/// Requests that are refused alike.
struct Row {
    number: u32,
    asks: Vec<Ask>,
    code: Code,
    reason: &'static str,
}

/// A row that is INVALID_ARGUMENT.
fn invalid(number: u32, reason: &'static str, asks: Vec<Ask>) -> Row {
    Row { number, asks, code: Code::InvalidArgument, reason }
}

/// Looks at everything that a call could leave, in both databases.
struct Witness {
    looks: Vec<(tokio_postgres::Client, String)>,
    before: Vec<String>,
}

impl Witness {
    async fn new(world: &World) -> Self {
        let mut this = Self { looks: Vec::new(), before: Vec::new() };
        for database in [SYSTEM_DATABASE, ACME_DATABASE] {
            let client = world.platform.cluster.connect(database).await.unwrap();
            let tables = "SELECT format('%I.%I', schemaname, tablename) FROM pg_tables \
                          WHERE schemaname IN ('fbs_document', 'fbs_router') ORDER BY 1";
            let tables = client.query(tables, &[]).await.unwrap();
            assert!(tables.len() > 8, "{tables:?}");
            let each = tables.iter().map(|row| {
                let table: String = row.get(0);
                format!("SELECT '{database} {table}: ' || coalesce(string_agg(t::text, ';' ORDER BY t::text), '') FROM {table} AS t")
            });
            this.looks.push((client, each.collect::<Vec<_>>().join(" UNION ALL ")));
        }
        this.before = this.look().await;
        this
    }

    async fn look(&self) -> Vec<String> {
        let mut all = Vec::new();
        for (client, sql) in &self.looks {
            all.extend(client.query(sql, &[]).await.unwrap().iter().map(|row| row.get::<_, String>(0)));
        }
        all
    }

    /// What failed uploads leave is removed after their answer: soon.
    async fn nothing_has_changed(&self, number: u32) {
        soon("nothing has changed", async || {
            let now = self.look().await;
            let changed = self.before.iter().zip(&now).find(|(before, now)| before != now);
            changed.map_or(Ok(()), |(before, now)| Err(format!("row {number}: {before}\nbecame {now}")))
        })
        .await;
    }
}

/// What is wrong with the answer to a row, if anything.
fn problem(row: &Row, ask: &Ask, answer: Result<Vec<Bytes>, Status>) -> Option<String> {
    use tonic_types::StatusExt;
    let told = |problem: String| Some(format!("row {}: {ask:?}: {problem}", row.number));
    let Err(status) = answer else { return told("it is taken".to_owned()) };
    let found = refusal(&status);
    let bad_request = status.get_details_bad_request();
    let fields = bad_request.map(|bad| bad.field_violations.into_iter().map(|one| one.field).collect::<Vec<_>>());
    if found != failure(row.code, row.reason) {
        return told(format!("expected {:?} {}, found {status:?}", row.code, row.reason));
    }
    if ErrorReason::from_reason(&found.1).is_none() {
        return told(format!("the contract has no {}", found.1));
    }
    // Fields are what INVALID_ARGUMENT is about; nothing else names any.
    let expected = (row.code == Code::InvalidArgument).then(|| ask.fields.clone());
    if fields != expected {
        return told(format!("expected the fields {expected:?}, found {fields:?}"));
    }
    // Whatever was sent is not sent back, and the answer fits into headers.
    let bytes = status.message().len() + status.details().len();
    if bytes > 6_000 { told(format!("{bytes} bytes of status")) } else { None }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_row_of_the_catalogue_has_its_code_and_reason_and_changes_nothing() {
    let world = World::new().await;
    let replica = world.replica().await;
    let scene = Scene::new(&world, &replica).await;
    let witness = Witness::new(&world).await;
    let (mut rows, mut asked, mut problems) = (BTreeSet::new(), BTreeSet::new(), Vec::new());

    let mut table: Vec<Row> =
        [requests::rows(&scene), documents::rows(&scene), lists::rows(&scene), steps::rows(&scene)]
            .into_iter()
            .flatten()
            .collect();
    table.sort_by_key(|row| row.number);
    for alike in table.chunk_by(|row, next| row.number == next.number) {
        for row in alike {
            assert!(!row.asks.is_empty(), "row {} asks nothing", row.number);
            let answers = join_all(row.asks.iter().map(|ask| replica.send(&ask.path, ask.frames.clone()))).await;
            problems.extend(row.asks.iter().zip(answers).filter_map(|(ask, answer)| problem(row, ask, answer)));
            asked.extend(row.asks.iter().map(|ask| ask.path.clone()));
        }
        witness.nothing_has_changed(alike[0].number).await;
        rows.insert(alike[0].number);
    }
    for (number, call) in wire::rows(&scene) {
        let status = call.send(replica.grpc).await;
        if refusal(&status) != failure(call.code, call.reason) {
            problems.push(format!("row {number}: {call:?}: {status:?}"));
        }
        rows.insert(number);
    }
    rows.insert(wire::too_many_headers(&replica).await);
    witness.nothing_has_changed(62).await;
    assert!(problems.is_empty(), "{} problems:\n{}", problems.len(), problems.join("\n"));
    // Rubbish is no bug of ours, and no alarm.
    assert_eq!(metrics(replica.ops).await["fbs_router_internal_errors_total"], 0.0);

    // What looks as bad and is not. It is taken as it was sent; the witness sees it.
    rows.extend(taken::all(&world, &replica, &scene).await);
    assert_ne!(witness.look().await, witness.before);
    // And each request of which one field was wrong is good without.
    for ask in scene.good() {
        replica.send(&ask.path, ask.frames.clone()).await.unwrap_or_else(|status| panic!("{ask:?}: {status:?}"));
    }

    for (number, why) in NOT_OURS {
        assert!(rows.insert(number), "row {number} is a row, not: {why}");
    }
    assert_eq!(rows, (1..=75).collect());
    for method in methods().iter().filter(|method| SERVICES.contains(&method.parent_service().full_name())) {
        assert!(asked.contains(&path(method)), "nothing is asked of {}", path(method));
    }
}

async fn ask<M: Message>(replica: &Replica, request: M) -> Result<(), Status> {
    let path = path(&method_of::<M>());
    replica.send(&path, vec![Bytes::from(request.encode_to_vec())]).await.map(drop)
}

#[tokio::test(flavor = "multi_thread")]
async fn all_violations_of_a_request_are_told_at_once() {
    let world = World::new().await;
    let replica = world.replica().await;
    let nul = documents::metadata(Kind::StringValue("\0".into())).metadata;
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
    let status = ask(&replica, create).await.unwrap_err();
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
    let status = ask(&replica, update).await.unwrap_err();
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
    let status = ask(&replica, list).await.unwrap_err();
    assert_eq!(refusal(&status), failure(Code::InvalidArgument, "FIELD_INVALID"));
    assert_eq!(violated(&status), ["database", "page_size", "filter.states[0]", "filter.category", "order_by"]);

    let resolve =
        ResolveDatabaseRequest { solution: "Bad".into(), database: "\0".into(), ..ResolveDatabaseRequest::default() };
    let status = ask(&replica, resolve.clone()).await.unwrap_err();
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
    let status = ask(&replica, creation("globex", document)).await.unwrap_err();
    use tonic_types::StatusExt;
    let info = status.get_details_error_info().unwrap();
    assert!(violated(&status).len() > 10 && (violated(&status).len() == 64 || info.metadata["truncated"] == "true"));
}
