//! Two walls between the solutions of one database, each of which holds alone: with any condition on `company_id` taken
//! out of any statement the policies hold; with the policies gone the conditions do.

use std::time::SystemTime;

use fbs_router_proto::document::v1::{CreateDocumentRequest, DocumentType};
use fbs_router_sandbox::platform::SYSTEM_DATABASE;
use tokio_postgres::{Client, types::ToSql};
use uuid::Uuid;

use crate::support::{
    World,
    asking::{creation, definition, request_id, submission},
    draft,
};

type Parameter = Box<dyn ToSql + Sync + Send>;

/// A statement of the service, with everything it is asked for.
struct Case {
    file: &'static str,
    /// What is changed before it is asked, where the answer would be that of the other solution too; it is compared then.
    first: &'static str,
    sql: String,
    parameters: Vec<Parameter>,
}

/// What a statement answered, and what became of the rows of the other solution.
#[derive(Debug, PartialEq)]
struct Outcome {
    answer: String,
    others: String,
}

macro_rules! case {
    ($file:literal, [$($parameter:expr),* $(,)?]) => {
        case!($file, "", "", [$($parameter),*])
    };
    ($file:literal, $before:expr, $after:expr, [$($parameter:expr),* $(,)?]) => {
        Case {
            file: $file,
            first: "",
            sql: format!("{}{}{}", $before, include_str!(concat!("../server/src/documents/", $file)), $after),
            parameters: vec![$(Box::new($parameter) as Parameter),*],
        }
    };
}

/// Of all that has expired, none is one's own.
const ONLY_THEIRS_HAVE_EXPIRED: &str = "
    SET LOCAL session_replication_role = replica;
    UPDATE fbs_document.document SET purge_time = now() + interval '1 h' WHERE company_id = 'globex' AND purge_time IS NOT NULL;
    UPDATE fbs_document.content SET expire_time = now() + interval '1 h' WHERE company_id = 'globex';
    UPDATE fbs_router.request_record SET expire_time = now() + interval '1 h' WHERE company_id = 'globex';
    SET LOCAL session_replication_role = origin";

const COLUMNS: &str = include_str!("../server/src/documents/columns.sql");

/// Ids that both solutions use.
struct Ids {
    database: Uuid,
    document: Uuid,
    gone: Uuid,
    content: Uuid,
    staged: Uuid,
    failed: Uuid,
    empty: Uuid,
    request: Uuid,
}

/// Every statement there is, asked by `globex`.
fn cases(ids: &Ids) -> Vec<Case> {
    let (me, who) = ("globex", "anonymous");
    let gated = format!("SELECT gate.admitted, {COLUMNS}");
    let scored = format!("SELECT gate.admitted, {COLUMNS}, score, snippet ");
    let ungated = format!("SELECT {COLUMNS}");
    let returning = format!("RETURNING {COLUMNS}");
    let page = " AND ($15::timestamptz IS NULL AND $16::uuid IS NULL) ORDER BY d.create_time, d.document_id \
                LIMIT $17) AS page ON gate.admitted ORDER BY page.create_time, page.document_id";
    let (epoch, database) = (0_i64, ids.database);
    let (no_numbers, no_texts, no_text) = (None::<Vec<i16>>, None::<Vec<String>>, None::<String>);
    let (no_time, no_json, no_id) = (None::<SystemTime>, None::<serde_json::Value>, None::<Uuid>);
    let tags: Vec<String> = Vec::new();
    let digest = vec![0_u8; 32];
    vec![
        case!("get.sql", gated, "", [me, epoch, database, ids.document]),
        case!("get_many.sql", gated, "", [me, epoch, database, vec![ids.document, ids.gone]]),
        case!("read_back.sql", ungated, "", [me, vec![ids.document]]),
        case!("lock_row.sql", [me, ids.document]),
        case!(
            "insert.sql",
            "",
            returning,
            [me, Uuid::new_v4(), "n", "t", "", "", "", tags.clone(), 1_i16, no_json.clone(), no_time, "x"]
        ),
        case!(
            "update.sql",
            "",
            returning,
            [me, ids.document, "n", "t", "", "", tags.clone(), 1_i16, no_json.clone(), no_time]
        ),
        case!("delete.sql", "", returning, [me, ids.document, 1_f64]),
        case!("undelete.sql", "", returning, [me, ids.document]),
        case!("step.sql", "", returning, [me, ids.document, 3_i16, "x"]),
        case!("record_transition.sql", [me, ids.document, 2_i16, 3_i16, "x", "x"]),
        case!("transitions.sql", [me, epoch, database, ids.document, 0_i64, 100_i64]),
        case!("type_rules.sql", [me, "secret"]),
        case!("put_type.sql", [me, "secret", "n", "d", true, tags, 0_i64, false]),
        case!("read_type.sql", [me, "secret"]),
        case!("types.sql", [me, epoch, database, "", 100_i64]),
        case!(
            "list.sql",
            gated,
            page,
            [
                me,
                epoch,
                database,
                true,
                no_numbers.clone(),
                no_texts.clone(),
                no_text.clone(),
                no_texts.clone(),
                no_numbers.clone(),
                no_text.clone(),
                no_time,
                no_time,
                no_time,
                no_json.clone(),
                no_time,
                no_id,
                100_i64
            ]
        ),
        case!(
            "search.sql",
            scored,
            "",
            [
                me,
                epoch,
                database,
                "secret",
                no_numbers.clone(),
                no_texts.clone(),
                no_text.clone(),
                no_texts,
                no_numbers,
                no_text,
                no_time,
                no_time,
                no_time,
                no_json,
                100_i32,
                None::<f64>,
                no_id,
                100_i64,
                1_000_i32
            ]
        ),
        case!("stats.sql", [me, epoch, database, 10_i64]),
        case!("content_begin.sql", [me, Uuid::new_v4(), ids.document, 60_f64]),
        case!("content_keep.sql", [me, ids.staged, 60_f64]),
        case!("content_append.sql", [me, ids.staged, 1_000_i64, vec![1_u8]]),
        case!("content_publish.sql", [me, ids.staged, ids.document]),
        case!("content_expire.sql", [me, ids.document]),
        case!("content_set.sql", "", returning, [me, ids.document, ids.staged, "f", "m", 1_i64, digest]),
        case!("content_give_up.sql", [me, ids.staged]),
        case!("content_remove_pieces.sql", [me, ids.failed, 100_i64]),
        case!("content_remove.sql", [me, ids.empty]),
        case!("content_read.sql", [me, epoch, database, ids.content, 0_i64, 100_i64]),
        Case {
            first: ONLY_THEIRS_HAVE_EXPIRED,
            ..case!("record_request.sql", [me, who, Uuid::new_v4(), "m", vec![0_u8], vec![ids.document], 60_f64])
        },
        case!("find_request.sql", [me, who, ids.request]),
        case!("audit.sql", [me, who, "", "x", ids.document, no_id, epoch]),
        case!("purge_one.sql", [me, ids.gone]),
        case!("purge_documents.sql", [me]),
        case!("purge_contents.sql", [me]),
        case!("purge_requests.sql", [me]),
    ]
}

/// `globex` with a row of every kind, and `initech` with the same ones, told apart by their texts.
async fn twins() -> (World, Client, Ids) {
    let world = World::new().await;
    let replica = world.replica().await;
    let key = request_id();
    let ids = [Uuid::new_v4(), Uuid::new_v4(), Uuid::new_v4(), Uuid::new_v4(), Uuid::new_v4()];
    let [document, gone, staged, failed, empty] = ids;
    for solution in ["globex", "initech"] {
        for (id, request_id) in [(document, key.clone()), (gone, request_id())] {
            let request = CreateDocumentRequest {
                document_id: id.to_string(),
                request_id,
                ..creation(solution, draft("secret"))
            };
            replica.ask_create(request).await.unwrap();
        }
        let document_type = DocumentType { code: "secret".into(), name: "secret".into(), ..DocumentType::default() };
        replica.ask_put_type(definition(solution, document_type)).await.unwrap();
    }
    let document = document.to_string();
    replica.upload("globex", &document, "secret", b"secret").await.unwrap();
    replica.ask_submit(submission("globex", &document)).await.unwrap();
    let client = world.platform.cluster.connect(SYSTEM_DATABASE).await.unwrap();
    let theirs = format!(
        "SET session_replication_role = replica;
         UPDATE fbs_document.document SET delete_time = now(), purge_time = now() - interval '1 s' WHERE document_id = '{gone}';
         INSERT INTO fbs_document.content (company_id, content_id, document_id, expire_time)
         SELECT 'globex', id, '{document}', now() + delay FROM (VALUES ('{staged}'::uuid, interval '1 h'),
                ('{failed}', interval '-1 h'), ('{empty}', interval '-1 h')) AS v (id, delay);
         INSERT INTO fbs_document.content_chunk VALUES ('globex', '{failed}', 0, 'mine'), ('globex', '{staged}', 0, 'mine');
         INSERT INTO fbs_router.request_record SELECT company_id, principal, gen_random_uuid(), method, digest, document_ids,
                create_time, now() - interval '1 h' FROM fbs_router.request_record WHERE request_id = '{key}';
         INSERT INTO fbs_document.content SELECT 'initech', content_id, document_id, expire_time
           FROM fbs_document.content WHERE company_id = 'globex';
         INSERT INTO fbs_document.content_chunk SELECT 'initech', content_id, first_byte, 'theirs'
           FROM fbs_document.content_chunk WHERE company_id = 'globex';
         INSERT INTO fbs_document.transition SELECT 'initech', '{document}', number, 1, 2, 'theirs', 'theirs', now()
           FROM generate_series(1, 9) AS number;
         UPDATE fbs_document.document_type SET name = 'theirs', max_content_size_bytes = 1 WHERE company_id = 'initech';
         UPDATE fbs_router.request_record SET method = 'theirs' WHERE company_id = 'initech';
         UPDATE fbs_document.document AS d SET title = 'theirs', state = 2, content_id = m.content_id, content_filename = 'theirs',
                content_media_type = 'x', content_size_bytes = 1, content_sha256 = m.content_sha256, content_generation = 1
           FROM fbs_document.document AS m
          WHERE m.company_id = 'globex' AND m.document_id = '{document}' AND d.company_id = 'initech';
         RESET session_replication_role"
    );
    client.batch_execute(&theirs).await.unwrap();
    let row = client
        .query_one(
            "SELECT database_uuid, (SELECT content_id FROM fbs_document.document WHERE company_id = 'globex' AND content_id IS NOT NULL) \
             FROM fbs_router.identity",
            &[],
        )
        .await
        .unwrap();
    let ids = Ids {
        database: row.get(0),
        document: document.parse().unwrap(),
        gone,
        content: row.get(1),
        staged,
        failed,
        empty,
        request: key.parse().unwrap(),
    };
    drop(replica);
    (world, client, ids)
}

/// All of the other's, and the number which one's own next step would get.
const OTHERS: &str = "SELECT concat(
    (SELECT string_agg(t::text, ';' ORDER BY t::text) FROM fbs_document.document t WHERE company_id = 'initech'),
    (SELECT string_agg(t::text, ';' ORDER BY t::text) FROM fbs_document.document_type t WHERE company_id = 'initech'),
    (SELECT string_agg(t::text, ';' ORDER BY t::text) FROM fbs_document.transition t WHERE company_id = 'initech'),
    (SELECT string_agg(t::text, ';' ORDER BY t::text) FROM fbs_document.content t WHERE company_id = 'initech'),
    (SELECT string_agg(t::text, ';' ORDER BY t::text) FROM fbs_document.content_chunk t WHERE company_id = 'initech'),
    (SELECT string_agg(t::text, ';' ORDER BY t::text) FROM fbs_router.request_record t WHERE company_id = 'initech'),
    (SELECT max(number) FROM fbs_document.transition t WHERE company_id = 'globex'))";

/// Runs a statement as the service does, in a transaction that is taken back.
async fn run(client: &Client, case: &Case, sql: &str) -> Outcome {
    client.batch_execute(&format!("BEGIN; {}", case.first)).await.unwrap();
    let named = "SELECT set_config('fbs_router.company_id', 'globex', true); SET LOCAL ROLE fbs_router";
    client.batch_execute(named).await.unwrap();
    let parameters: Vec<&(dyn ToSql + Sync)> =
        case.parameters.iter().map(|one| &**one as &(dyn ToSql + Sync)).collect();
    let reads = sql.lines().find(|line| !line.starts_with("--")).is_some_and(|line| line.starts_with("SELECT"))
        || sql.contains("AS MATERIALIZED")
        || !case.first.is_empty();
    let answer = if reads {
        let whole = format!(
            "WITH answer AS ({sql}) SELECT coalesce(string_agg(a::text, ';' ORDER BY a::text), '') FROM answer AS a"
        );
        client.query_one(&whole, &parameters).await.map(|row| row.get::<_, String>(0))
    } else {
        client.query(sql, &parameters).await.map(|rows| format!("{} rows", rows.len()))
    };
    let answer = answer.unwrap_or_else(|error| panic!("{}: {error}: {sql}", case.file));
    client.batch_execute("RESET ROLE").await.unwrap();
    let others = client.query_one(OTHERS, &[]).await.unwrap().get(0);
    client.batch_execute("ROLLBACK").await.unwrap();
    Outcome { answer, others }
}

/// Where a condition on the company begins and ends, for each there is.
fn conditions(sql: &str) -> Vec<std::ops::Range<usize>> {
    sql.match_indices("company_id = $1")
        .map(|(at, found)| {
            let begin =
                sql[..at].rfind(|letter: char| !(letter.is_ascii_alphanumeric() || letter == '.' || letter == '_'));
            begin.map_or(0, |begin| begin + 1)..at + found.len()
        })
        .collect()
}

/// The statement without these conditions; `$1` keeps its type.
fn without(sql: &str, removed: &[std::ops::Range<usize>]) -> String {
    let mut sql = sql.to_owned();
    for range in removed.iter().rev() {
        sql.replace_range(range.clone(), "$1::text IS NOT NULL");
    }
    sql
}

#[tokio::test(flavor = "multi_thread")]
async fn the_policies_hold_without_any_condition_and_the_conditions_hold_without_policies() {
    let (_world, client, ids) = twins().await;
    let cases = cases(&ids);
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/server/src/documents");
    let mut files: Vec<String> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.ends_with(".sql") && name != "columns.sql")
        .collect();
    files.sort();
    let mut listed: Vec<&str> = cases.iter().map(|case| case.file).collect();
    listed.sort_unstable();
    assert_eq!(listed, files, "every statement is put to this proof");

    // As it is, and with each condition removed in turn, and all of them: one's own answer, and nothing of the other's.
    let mut expected = Vec::new();
    let untouched: String = client.query_one(OTHERS, &[]).await.unwrap().get(0);
    let mut removed = 0;
    for case in &cases {
        let right = run(&client, case, &case.sql).await;
        assert!(!right.answer.contains("theirs"), "{}: {}", case.file, right.answer);
        let conditions = conditions(&case.sql);
        let mut variants: Vec<String> =
            conditions.iter().map(|one| without(&case.sql, std::slice::from_ref(one))).collect();
        variants.push(without(&case.sql, &conditions));
        removed += conditions.len();
        for sql in variants {
            assert_eq!(run(&client, case, &sql).await, right, "{}, under policies: {sql}", case.file);
        }
        if case.file != "record_transition.sql" {
            assert_eq!(right.others, untouched, "{}", case.file);
        }
        expected.push(right);
    }
    assert!(removed >= 40, "{removed} conditions were found");

    let tables =
        "SELECT format('ALTER TABLE %s DISABLE ROW LEVEL SECURITY', oid::regclass) FROM pg_class WHERE relrowsecurity";
    for row in client.query(tables, &[]).await.unwrap() {
        client.batch_execute(row.get(0)).await.unwrap();
    }
    for (case, right) in cases.iter().zip(&expected) {
        assert_eq!(run(&client, case, &case.sql).await, *right, "{}, without policies", case.file);
        // And this is what would be, had we neither: the proof can fail.
        let conditions = conditions(&case.sql);
        if !conditions.is_empty() {
            let neither = run(&client, case, &without(&case.sql, &conditions)).await;
            assert_ne!(neither, *right, "{}: nothing would show that it is unbound", case.file);
            if case.file == "record_request.sql" {
                assert_eq!(
                    (&*right.answer, &*neither.answer),
                    ("(f,f,f)", "(t,t,t)"),
                    "each of its questions is bound"
                );
            }
        }
    }
}
