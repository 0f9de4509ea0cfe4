//! What Postgres does for a statement, whatever it knows of the tables: the suite's servers keep no statistics, as on the
//! first minute of a new database.

use fbs_router_proto::document::v1::CreateDocumentRequest;
use fbs_router_sandbox::platform::{ACME_DATABASE, SYSTEM_DATABASE};
use tokio_postgres::{Client, SimpleQueryMessage};
use uuid::Uuid;

use crate::support::{
    World,
    asking::{creation, request_id},
    draft,
};

/// What a write may do first.
const RECORD: &str = include_str!("../server/src/documents/record_request.sql");

/// What it may do besides its own work.
const PURGES: [&str; 3] = [
    include_str!("../server/src/documents/purge_requests.sql"),
    include_str!("../server/src/documents/purge_documents.sql"),
    include_str!("../server/src/documents/purge_contents.sql"),
];

/// As many of each as a busy solution makes in a second or two, none of which has expired.
const ROWS: &str = "
INSERT INTO fbs_document.content (company_id, content_id, document_id, expire_time)
SELECT 'acme_corp', gen_random_uuid(), gen_random_uuid(), now() + interval '1 h' FROM generate_series(1, 500);
INSERT INTO fbs_document.content_chunk (company_id, content_id, first_byte, bytes)
SELECT company_id, content_id, 0, 'x' FROM fbs_document.content;
INSERT INTO fbs_document.document (company_id, document_id, name, title, description, document_type, category, tags,
                                   confidentiality, state, created_by, create_time, update_time)
SELECT 'acme_corp', gen_random_uuid(), 'n', 't', '', 'general', '', '{}', 2, 1, 'x', now(), now()
  FROM generate_series(1, 500);
INSERT INTO fbs_router.request_record (company_id, principal, request_id, method, digest, document_ids, expire_time)
SELECT 'acme_corp', 'x', gen_random_uuid(), 'CreateDocument', '', '{}', now() + interval '1 h'
  FROM generate_series(1, 500)";

/// How that prepared statement is run now, line by line.
async fn plan(client: &Client, execute: &str) -> Vec<String> {
    let explain = format!("EXPLAIN (ANALYZE, COSTS OFF, TIMING OFF) EXECUTE {execute}");
    let lines = client.simple_query(&explain).await.unwrap();
    let text = lines.into_iter().filter_map(|line| match line {
        SimpleQueryMessage::Row(row) => row.get(0).map(str::to_owned),
        _ => None,
    });
    text.collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_write_looks_at_no_row_for_what_it_removes_if_nothing_has_expired() {
    let world = World::new().await;
    world.replica().await.make("acme_corp", "A-1").await;
    world.run(ACME_DATABASE, ROWS).await;
    let client = world.as_runtime_role(ACME_DATABASE).await;
    client.batch_execute("SET fbs_router.company_id = 'acme_corp'").await.unwrap();
    client.batch_execute(&format!("PREPARE record AS\n{RECORD}")).await.unwrap();
    for (number, purge) in PURGES.iter().enumerate() {
        client.batch_execute(&format!("PREPARE p{number} (text) AS\n{purge}")).await.unwrap();
    }
    for mode in ["force_generic_plan", "force_custom_plan"] {
        client.batch_execute(&format!("SET plan_cache_mode = {mode}")).await.unwrap();
        for (number, purge) in PURGES.iter().enumerate() {
            let plan = plan(&client, &format!("p{number} ('acme_corp')")).await;
            let of = |text: &str| plan.iter().filter(|line| line.contains(text)).count();
            let (deletes, scans) = (purge.matches("DELETE FROM").count(), purge.matches("ctid = ANY").count());
            assert_eq!((deletes, of("Delete on")), (scans, scans), "{plan:#?}");
            // Each scan for what is deleted is behind a question that was answered no: by its array's number it goes on.
            // PostgreSQL calls that answer `$3`, and in 18 `(InitPlan 3).col1`.
            let answered = of("One-Time Filter: ($") + of("One-Time Filter: ((InitPlan");
            assert_eq!(answered, scans, "{plan:#?}");
            // Rows that a plan reads in vain are removed by a filter.
            assert_eq!(of("Rows Removed by"), 0, "{plan:#?}");
        }
        let record = format!("record ('acme_corp', 'x', '{}', 'm', '', '{{}}', 60)", Uuid::new_v4());
        let plan = plan(&client, &record).await;
        let of = |text: &str| plan.iter().filter(|line| line.contains(text)).count();
        // Each question is answered by an index.
        let asked = ["document_purge", "content_expiry", "request_record_expiry"].map(of);
        assert_eq!((asked, of("Seq Scan"), of("Rows Removed by")), ([1; 3], 0, 0), "{plan:#?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_write_that_records_its_request_sends_only_what_has_something_to_remove() {
    let world = World::new().await;
    world.run("postgres", "ALTER ROLE fbs_router SET log_statement = 'all'").await;
    let replica = world.replica().await;
    replica.make("globex", "N").await;
    let removals =
        || std::fs::read_to_string(world.platform.cluster.log_path()).unwrap().matches("DELETE FROM").count();
    let recorded = || CreateDocumentRequest { request_id: request_id(), ..creation("globex", draft("N")) };
    let before = removals();
    replica.ask_create(recorded()).await.unwrap();
    assert_eq!(removals() - before, 0);
    // One that does not has nothing to ask by the way.
    replica.make("globex", "N").await;
    assert_eq!(removals() - before, PURGES.concat().matches("DELETE FROM").count());
    world.run(SYSTEM_DATABASE, "UPDATE fbs_router.request_record SET expire_time = now()").await;
    let before = removals();
    replica.ask_create(recorded()).await.unwrap();
    assert_eq!(removals() - before, 1, "that of request records");
}
