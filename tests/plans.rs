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

/// As many of each as a busy solution makes in a second or two, all of which expire at that time.
fn rows(solution: &str, expire: &str) -> String {
    format!(
        "SET session_replication_role = replica;
INSERT INTO fbs_document.content (company_id, content_id, document_id, expire_time)
SELECT '{solution}', gen_random_uuid(), gen_random_uuid(), {expire} FROM generate_series(1, 500);
INSERT INTO fbs_document.content_chunk (company_id, content_id, first_byte, bytes)
SELECT company_id, content_id, 0, 'x' FROM fbs_document.content WHERE company_id = '{solution}' ON CONFLICT DO NOTHING;
INSERT INTO fbs_document.document (company_id, document_id, name, title, description, document_type, category, tags,
                                   confidentiality, state, created_by, create_time, update_time, delete_time, purge_time)
SELECT '{solution}', gen_random_uuid(), 'n', 't', '', 'general', '', '{{}}', 2, 1, 'x', now(), now(), now(), {expire}
  FROM generate_series(1, 500);
INSERT INTO fbs_router.request_record (company_id, principal, request_id, method, digest, document_ids, expire_time)
SELECT '{solution}', 'x', gen_random_uuid(), 'CreateDocument', '', '{{}}', {expire} FROM generate_series(1, 500);"
    )
}

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
    let replica = world.replica().await;
    // Of tables that Postgres knows nothing of; and of those where it knows that nearly everything has expired: another's.
    let others =
        rows("initech", "now() - interval '1 h'").repeat(4) + &rows("globex", "now() + interval '1 h'") + "ANALYZE";
    let own = rows("acme_corp", "now() + interval '1 h'");
    for (solution, database, rows) in [("acme_corp", ACME_DATABASE, own), ("globex", SYSTEM_DATABASE, others)] {
        replica.make(solution, "N").await;
        world.run(database, &rows).await;
        let client = world.as_runtime_role(database).await;
        client.batch_execute(&format!("SET fbs_router.company_id = '{solution}'")).await.unwrap();
        client.batch_execute(&format!("PREPARE record AS\n{RECORD}")).await.unwrap();
        for (number, purge) in PURGES.iter().enumerate() {
            client.batch_execute(&format!("PREPARE p{number} (text) AS\n{purge}")).await.unwrap();
        }
        for mode in ["force_generic_plan", "force_custom_plan"] {
            client.batch_execute(&format!("SET plan_cache_mode = {mode}")).await.unwrap();
            for (number, purge) in PURGES.iter().enumerate() {
                let plan = plan(&client, &format!("p{number} ('{solution}')")).await;
                let of = |text: &str| plan.iter().filter(|line| line.contains(text)).count();
                let (deletes, scans) = (purge.matches("DELETE FROM").count(), purge.matches("ctid = ANY").count());
                assert_eq!((deletes, of("Delete on")), (scans, scans), "{plan:#?}");
                // Each scan for what is deleted is behind the answer to when the first of them expires.
                let answered =
                    plan.iter().filter(|line| line.contains("One-Time Filter:") && line.contains("<= now()"));
                assert_eq!(answered.count(), scans, "{plan:#?}");
                looks_at_no_row_in_vain(&plan);
            }
            let record = format!("record ('{solution}', 'x', '{}', 'm', '', '{{}}', 60)", Uuid::new_v4());
            let plan = plan(&client, &record).await;
            for index in ["document_purge", "content_expiry", "request_record_expiry"] {
                assert_eq!(plan.iter().filter(|line| line.contains(index)).count(), 1, "{index}: {plan:#?}");
            }
            looks_at_no_row_in_vain(&plan);
        }
    }
}

/// It reads no table from end to end, and rows that it reads in vain would be removed by a filter.
fn looks_at_no_row_in_vain(plan: &[String]) {
    let scan = |line: &&String| line.contains("Seq Scan") && !line.contains("never executed");
    assert_eq!(plan.iter().find(scan), None, "{plan:#?}");
    assert_eq!(plan.iter().find(|line| line.contains("Rows Removed by")), None, "{plan:#?}");
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

#[tokio::test(flavor = "multi_thread")]
async fn whether_a_solution_has_rows_is_not_found_out_by_reading_those_of_others() {
    const LOOK: &str = include_str!("../server/src/routing/rows.sql");
    let world = World::new().await;
    world.replica().await.make("globex", "N").await;
    // Nearly all rows are of one solution, and Postgres knows.
    let others = "SET session_replication_role = replica; \
                  INSERT INTO fbs_document.document (company_id, document_id, name, title, description, document_type, \
                  category, tags, confidentiality, state, created_by, create_time, update_time) \
                  SELECT 'globex', gen_random_uuid(), 'n', 't', '', 'general', '', '{}', 2, 1, 'x', now(), now() \
                  FROM generate_series(1, 2000); ANALYZE";
    world.run(SYSTEM_DATABASE, others).await;
    for (look, reads_all) in [("SELECT fbs_router.holds_rows($1)", true), (LOOK, false)] {
        let client = world.as_runtime_role(SYSTEM_DATABASE).await;
        // As after some calls on the same connection.
        client.batch_execute("SET plan_cache_mode = force_generic_plan; BEGIN").await.unwrap();
        client.execute("SELECT set_config('fbs_router.company_id', 'initech', true)", &[]).await.unwrap();
        assert!(!client.query_one(look, &[&"initech"]).await.unwrap().get::<_, bool>(0));
        let scans = "SELECT seq_scan FROM pg_stat_xact_user_tables WHERE relid = 'fbs_document.document'::regclass";
        let scans: i64 = client.query_one(scans, &[]).await.unwrap().get(0);
        assert_eq!(scans > 0, reads_all, "{look}: {scans}");
        let setting: String = client.query_one("SHOW enable_seqscan", &[]).await.unwrap().get(0);
        assert_eq!(setting, "on", "and what follows in the transaction is planned as ever");
    }
}
