//! Solutions do not see, block or learn of each other: not through the service, not through Postgres.

use fbs_router_proto::document::v1::{
    CreateDocumentRequest, Document, DocumentType, ListDocumentsRequest, UpdateDocumentRequest,
};
use fbs_router_sandbox::{
    implementer::OWNER,
    platform::{ACME_DATABASE, SYSTEM_DATABASE},
    soon,
};
use tokio_postgres::{Client, types::ToSql};
use tonic::Code;
use uuid::Uuid;

use crate::support::{
    Replica, World,
    asking::{
        approval, archival, creation, definition, deletion, page, rejection, request_id, retitle, submission,
        undeletion,
    },
    draft, failure, within,
};

const ID: &str = "0190b0a0-0000-7000-8000-000000000001";

/// Whatever one solution does, with names, ids and request ids that the other uses too, the other sees nothing of it.
async fn keep_apart(replica: &Replica, mine: &str, others: &str) {
    let not_found = Err(failure(Code::NotFound, "DOCUMENT_NOT_FOUND"));
    let key = request_id();
    let request = |solution: &str, title: &str| CreateDocumentRequest {
        document_id: ID.into(),
        request_id: key.clone(),
        ..creation(solution, Document { title: title.into(), ..draft("N-1") })
    };
    let their_first = replica.ask_create(request(others, "theirs")).await.unwrap();
    let as_mine = Document { solution: mine.into(), ..their_first.clone() };
    for outcome in [
        replica.read(mine, ID).await,
        replica.ask_update(retitle(mine, ID, "T")).await,
        replica.ask_update(UpdateDocumentRequest { etag: their_first.etag.clone(), ..retitle(mine, ID, "T") }).await,
        replica.ask_delete(deletion(mine, ID)).await,
        replica.ask_undelete(undeletion(mine, ID)).await,
        replica.ask_submit(submission(mine, ID)).await,
        replica.ask_approve(approval(&as_mine, "")).await,
        replica.ask_reject(rejection(&as_mine, "no")).await,
        replica.ask_archive(archival(mine, ID)).await,
        replica.upload(mine, ID, "a", b"mine").await,
        replica.download(mine, ID).await.map(|_| as_mine.clone()),
    ] {
        assert_eq!(outcome, not_found, "{mine}");
    }
    assert_eq!(replica.listed(&page(mine, 0)).await, [""; 0]);
    // Neither id nor request id is taken.
    let my_first = replica.ask_create(request(mine, "mine")).await.unwrap();
    assert_eq!((my_first.title.as_str(), my_first.solution.as_str()), ("mine", mine));
    assert_eq!(replica.ask_create(request(others, "theirs")).await.unwrap(), their_first);
    assert_eq!(replica.ask_create(request(mine, "mine")).await.unwrap(), my_first);
    let mismatch = Err(failure(Code::Aborted, "ETAG_MISMATCH"));
    let with_their_etag = UpdateDocumentRequest { etag: their_first.etag.clone(), ..retitle(mine, ID, "T") };
    assert_eq!(replica.ask_update(with_their_etag).await, mismatch);

    replica.ask_update(retitle(mine, ID, "changed")).await.unwrap();
    assert_eq!(replica.read(others, ID).await.unwrap(), their_first);
    replica.ask_delete(deletion(mine, ID)).await.unwrap();
    assert_eq!(replica.read(others, ID).await.unwrap(), their_first);
    assert_eq!(replica.pages(&page(others, 0)).await.concat(), std::slice::from_ref(&their_first));
    let mut with_deleted = page(mine, 0);
    with_deleted.show_deleted = true;
    assert_eq!(replica.listed(&with_deleted).await, ["N-1"]);
    replica.ask_undelete(undeletion(mine, ID)).await.unwrap();
    assert_eq!(replica.read(others, ID).await.unwrap(), their_first);
    assert_eq!(
        replica.ask_undelete(undeletion(others, ID)).await,
        Err(failure(Code::AlreadyExists, "DOCUMENT_NOT_DELETED"))
    );
    // A page token of one is nothing to the other.
    for solution in [mine, others] {
        replica.make(solution, "N-2").await;
    }
    let page_token = replica.ask_page(page(others, 1)).await.unwrap().next_page_token;
    let borrowed = ListDocumentsRequest { page_token, ..page(mine, 1) };
    assert_eq!(replica.ask_page(borrowed).await, Err(failure(Code::InvalidArgument, "PAGE_TOKEN_INVALID")));
}

#[tokio::test(flavor = "multi_thread")]
async fn two_solutions_of_one_system_database_know_nothing_of_each_other() {
    let world = World::new().await;
    let replica = world.replica().await;
    keep_apart(&replica, "globex", "initech").await;
    assert_eq!((world.system_rows("globex").await, world.system_rows("initech").await), (3, 3));

    // A writer of one does not wait for the other's, not even while the other is moved.
    let mut other = world.platform.cluster.connect(SYSTEM_DATABASE).await.unwrap();
    let held = other.transaction().await.unwrap();
    held.batch_execute("SELECT pg_advisory_xact_lock(fbs_router.solution_lock('initech'))").await.unwrap();
    held.batch_execute("SELECT FROM fbs_document.document WHERE company_id = 'initech' FOR UPDATE").await.unwrap();
    replica.ask_update(retitle("globex", ID, "not held up")).await.unwrap();
    replica.make("globex", "N-3").await;
    held.rollback().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_solution_in_its_own_database_and_one_in_a_system_database_know_nothing_of_each_other() {
    let world = World::new().await;
    let replica = world.replica().await;
    keep_apart(&replica, "acme_corp", "globex").await;
    assert_eq!((world.system_rows("acme_corp").await, world.system_rows("globex").await), (0, 3));
    assert_eq!(world.rows(ACME_DATABASE, "globex").await, 0);

    let world = World::new().await;
    let replica = world.replica().await;
    keep_apart(&replica, "globex", "acme_corp").await;
    assert_eq!((world.system_rows("acme_corp").await, world.system_rows("globex").await), (0, 3));
    assert_eq!(world.rows(ACME_DATABASE, "globex").await, 0);
}

async fn name_company(client: &Client, company: Option<&str>) {
    match company {
        Some(company) => client.execute("SELECT set_config('fbs_router.company_id', $1, false)", &[&company]).await,
        None => client.execute("RESET fbs_router.company_id", &[]).await,
    }
    .unwrap();
}

fn code(error: &tokio_postgres::Error) -> String {
    error.code().map(|state| state.code().to_owned()).unwrap_or_else(|| error.to_string())
}

#[tokio::test(flavor = "multi_thread")]
async fn with_the_company_of_another_or_none_no_statement_of_the_service_finds_or_changes_a_row() {
    let world = World::new().await;
    let replica = world.replica().await;
    let request = CreateDocumentRequest { request_id: request_id(), ..creation("globex", draft("secret")) };
    let key = Uuid::parse_str(&request.request_id).unwrap();
    let made = replica.ask_create(request).await.unwrap();
    let id = Uuid::parse_str(&made.document_id).unwrap();
    replica.upload("globex", &made.document_id, "secret", b"secret").await.unwrap();
    replica.ask_submit(submission("globex", &made.document_id)).await.unwrap();
    let code_of_type = "secret";
    let document_type = DocumentType { code: code_of_type.into(), name: "secret".into(), ..DocumentType::default() };
    replica.ask_put_type(definition("globex", document_type)).await.unwrap();
    replica.make("initech", "another's").await;
    let expire = "UPDATE fbs_router.request_record SET expire_time = now() - interval '1 s'";
    world.run(SYSTEM_DATABASE, expire).await;
    // One more upload, of which nothing is visible, and one that has expired.
    let staged = "INSERT INTO fbs_document.content (company_id, content_id, document_id, expire_time) \
                  SELECT company_id, gen_random_uuid(), document_id, now() + sign * interval '1 h' \
                  FROM fbs_document.content, (VALUES (1), (-1)) AS s (sign)";
    world.run(SYSTEM_DATABASE, staged).await;
    let state = "SELECT md5(string_agg(d::text, ';' ORDER BY d.document_id)) \
                 || (SELECT string_agg(r::text, ';') FROM fbs_router.request_record r) \
                 || (SELECT string_agg(t::text, ';') FROM fbs_document.transition t) \
                 || (SELECT string_agg(t::text, ';') FROM fbs_document.document_type t) \
                 || (SELECT string_agg(c::text, ';') FROM fbs_document.content c) \
                 || (SELECT string_agg(c::text, ';') FROM fbs_document.content_chunk c) \
                 || (SELECT count(*) FROM fbs_router.audit) FROM fbs_document.document d";
    let superuser = world.platform.cluster.connect(SYSTEM_DATABASE).await.unwrap();
    let look = async || superuser.query_one(state, &[]).await.unwrap().get::<_, String>(0);
    let before = look().await;

    let client = world.as_runtime_role(SYSTEM_DATABASE).await;
    let (company, principal, new) = ("globex", "anonymous", Uuid::new_v4());
    let no_json = None::<serde_json::Value>;
    let no_time = None::<std::time::SystemTime>;
    let tags: Vec<String> = Vec::new();
    type Parameters<'p> = &'p [&'p (dyn ToSql + Sync)];
    let row = superuser.query_one("SELECT content_id FROM fbs_document.content WHERE expire_time > now()", &[]);
    let upload: Uuid = row.await.unwrap().get(0);
    let read_back = concat!("SELECT document_id ", include_str!("../server/src/documents/read_back.sql"));
    let reads: [(&str, Parameters<'_>); 18] = [
        (include_str!("../server/src/documents/lock_row.sql"), &[&company, &id]),
        (read_back, &[&company, &vec![id]]),
        (include_str!("../server/src/documents/type_rules.sql"), &[&company, &code_of_type]),
        (include_str!("../server/src/documents/read_type.sql"), &[&company, &code_of_type]),
        (include_str!("../server/src/documents/step.sql"), &[&company, &id, &3_i16, &"x"]),
        (include_str!("../server/src/documents/content_keep.sql"), &[&company, &upload, &1_f64]),
        (include_str!("../server/src/documents/content_publish.sql"), &[&company, &upload, &id]),
        (include_str!("../server/src/documents/content_expire.sql"), &[&company, &id]),
        (include_str!("../server/src/documents/content_give_up.sql"), &[&company, &upload]),
        (include_str!("../server/src/documents/content_remove_pieces.sql"), &[&company, &upload, &100_i64]),
        (include_str!("../server/src/documents/content_remove.sql"), &[&company, &upload]),
        (
            include_str!("../server/src/documents/content_set.sql"),
            &[&company, &id, &upload, &"x", &"x", &1_i64, &&[0_u8; 32][..]],
        ),
        (include_str!("../server/src/documents/find_request.sql"), &[&company, &principal, &key]),
        (include_str!("../server/src/documents/undelete.sql"), &[&company, &id]),
        (include_str!("../server/src/documents/delete.sql"), &[&company, &id, &1_f64]),
        (include_str!("../server/src/documents/purge_one.sql"), &[&company, &id]),
        (
            include_str!("../server/src/documents/update.sql"),
            &[&company, &id, &"x", &"x", &"x", &"x", &tags, &1_i16, &no_json, &no_time],
        ),
        ("SELECT FROM fbs_document.document", &[]),
    ];
    let purges: [(&str, Parameters<'_>); 3] = [
        (include_str!("../server/src/documents/purge_contents.sql"), &[&company]),
        (include_str!("../server/src/documents/purge_documents.sql"), &[&company]),
        (include_str!("../server/src/documents/purge_requests.sql"), &[&company]),
    ];
    let inserts: [(&str, Parameters<'_>); 7] = [
        (
            include_str!("../server/src/documents/put_type.sql"),
            &[&company, &"x", &"x", &"x", &true, &tags, &0_i64, &false],
        ),
        (include_str!("../server/src/documents/record_transition.sql"), &[&company, &id, &1_i16, &2_i16, &"x", &"x"]),
        (include_str!("../server/src/documents/content_begin.sql"), &[&company, &new, &id, &60_f64]),
        (include_str!("../server/src/documents/content_append.sql"), &[&company, &upload, &1_000_i64, &&b"x"[..]]),
        (
            include_str!("../server/src/documents/insert.sql"),
            &[&company, &new, &"x", &"x", &"x", &"x", &"x", &tags, &1_i16, &no_json, &no_time, &"x"],
        ),
        (
            include_str!("../server/src/documents/record_request.sql"),
            &[&company, &principal, &new, &"x", &&b""[..], &vec![id], &1_f64],
        ),
        (
            include_str!("../server/src/documents/audit.sql"),
            &[&company, &principal, &"x", &"x", &id, &None::<Uuid>, &0_i64],
        ),
    ];
    for named in [Some("other"), Some(""), None] {
        name_company(&client, named).await;
        for (sql, parameters) in reads {
            assert_eq!(client.query(sql, parameters).await.unwrap().len(), 0, "{named:?}: {sql}");
        }
        for (sql, parameters) in purges {
            assert_eq!(client.execute(sql, parameters).await.unwrap(), 0, "{named:?}: {sql}");
        }
        for (sql, parameters) in inserts {
            let refused = client.query(sql, parameters).await.expect_err(sql);
            // Row-level security, or the fence, which is behind it too.
            assert!(["42501", "FBS01"].contains(&code(&refused).as_str()), "{named:?}: {sql}: {refused}");
        }
        let admits = "SELECT fbs_router.admits('globex', 1, gen_random_uuid())";
        assert!(!client.query_one(admits, &[]).await.unwrap().get::<_, bool>(0));
        let nulls = "null, ".repeat(10);
        let matches = format!("SELECT fbs_document.search_matches('secret', {nulls} 100)");
        assert_eq!(client.query(&matches, &[]).await.unwrap().len(), 0);
        let holds = "SELECT fbs_router.holds_rows('globex')";
        assert!(!client.query_one(holds, &[]).await.unwrap().get::<_, bool>(0));
        for table in [
            "fbs_router.fence",
            "fbs_router.request_record",
            "fbs_document.document",
            "fbs_document.document_type",
            "fbs_document.transition",
            "fbs_document.content",
            "fbs_document.content_chunk",
        ] {
            assert_eq!(client.query(&format!("SELECT FROM {table}"), &[]).await.unwrap().len(), 0, "{table}");
        }
    }
    // Without any condition a session sees its own solution, and only that; the wall cannot be switched off.
    name_company(&client, Some("initech")).await;
    let own = client.query("SELECT name FROM fbs_document.document", &[]).await.unwrap();
    assert_eq!(own.iter().map(|row| row.get::<_, &str>(0)).collect::<Vec<_>>(), ["another's"]);
    client.batch_execute("SET row_security = off").await.unwrap();
    assert_eq!(code(&client.query("SELECT FROM fbs_document.document", &[]).await.unwrap_err()), "42501");
    assert_eq!(look().await, before);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_table_of_documents_begins_its_keys_with_the_solution_and_has_policy_and_fence() {
    let world = World::new().await;
    let superuser = world.platform.cluster.connect(SYSTEM_DATABASE).await.unwrap();
    let sql = "SELECT t.relname::text, t.relrowsecurity, \
               EXISTS (SELECT FROM pg_policies p WHERE p.schemaname = 'fbs_document' AND p.tablename = t.relname \
                       AND p.cmd = 'ALL' AND p.qual LIKE '%company_id%fbs_router.company_id%'), \
               EXISTS (SELECT FROM pg_trigger g WHERE g.tgrelid = t.oid AND g.tgenabled = 'O' AND g.tgtype = 31 \
                       AND g.tgfoid = 'fbs_router.enforce_fence'::regproc), \
               (SELECT bool_and(a.attname = 'company_id') FROM pg_constraint c \
                  JOIN pg_attribute a ON a.attrelid = t.oid AND a.attnum = c.conkey[1] \
                 WHERE c.conrelid = t.oid AND c.contype IN ('p', 'u', 'f')) \
               FROM pg_class t WHERE t.relnamespace = 'fbs_document'::regnamespace AND t.relkind = 'r' ORDER BY 1";
    let rows = superuser.query(sql, &[]).await.unwrap();
    let tables: Vec<&str> = rows.iter().map(|row| row.get(0)).collect();
    assert_eq!(tables, ["canary", "content", "content_chunk", "document", "document_type", "transition"]);
    for row in &rows {
        for (column, what) in [(1, "row security"), (2, "a policy"), (3, "the fence"), (4, "keys")] {
            assert!(row.get::<_, bool>(column), "{} lacks {what}", row.get::<_, &str>(0));
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_row_of_any_kind_keeps_its_solution_from_being_taken_over() {
    let world = World::new().await;
    let superuser = world.platform.cluster.connect(SYSTEM_DATABASE).await.unwrap();
    superuser.batch_execute("SET session_replication_role = replica").await.unwrap();
    let document = "document (company_id, document_id, name, title, description, document_type, category, tags, \
                    confidentiality, state, created_by, create_time, update_time) \
                    VALUES ('globex', gen_random_uuid(), '', '', '', '', '', '{}', 1, 1, '', now(), now())";
    for insert in [
        &format!("fbs_document.{document}"),
        "fbs_document.document_type VALUES ('globex', 'x', '', '', true, '{}', 0, false)",
        "fbs_document.content VALUES ('globex', gen_random_uuid(), gen_random_uuid(), now())",
        "fbs_router.request_record VALUES ('globex', '', gen_random_uuid(), '', '', '{}', now(), now())",
    ] {
        let holds = async || superuser.query_one("SELECT fbs_router.holds_rows('globex')", &[]).await.unwrap().get(0);
        superuser.batch_execute(&format!("BEGIN; INSERT INTO {insert}")).await.unwrap();
        assert!(holds().await, "{insert}");
        superuser.batch_execute("ROLLBACK").await.unwrap();
        let empty: bool = holds().await;
        assert!(!empty, "{insert}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_runtime_role_owns_nothing_and_may_do_no_more_than_it_needs() {
    let world = World::new().await;
    let replica = world.replica().await;
    for (solution, database) in [("globex", SYSTEM_DATABASE), ("acme_corp", ACME_DATABASE)] {
        replica.make(solution, "N").await;
        let owned = "SELECT count(*) FROM pg_shdepend WHERE refobjid = 'fbs_router'::regrole AND deptype = 'o'";
        assert_eq!(world.count(database, owned).await, 0);
        let member = "SELECT count(*) FROM pg_auth_members WHERE member = 'fbs_router'::regrole";
        assert_eq!(world.count(database, member).await, 0);
        let client = world.as_runtime_role(database).await;
        name_company(&client, Some(solution)).await;
        let mut forbidden = vec![
            "TRUNCATE fbs_document.document CASCADE",
            "UPDATE fbs_document.transition SET actor = 'x'",
            "DELETE FROM fbs_document.transition",
            "UPDATE fbs_document.content_chunk SET bytes = 'x'",
            "DROP POLICY solution ON fbs_document.content_chunk",
            "TRUNCATE fbs_router.request_record",
            "SELECT FROM fbs_router.audit",
            "UPDATE fbs_router.audit SET action = 'x'",
            "DELETE FROM fbs_router.audit",
            "DELETE FROM fbs_router.fence",
            "DELETE FROM fbs_router.identity",
            "INSERT INTO fbs_router.schema_version VALUES ('documents', 9, 9, '', now())",
            "UPDATE fbs_router.schema_version SET version = 9",
            "CREATE SCHEMA mine",
            "CREATE TABLE public.mine ()",
            "CREATE TABLE fbs_document.mine ()",
            "CREATE TABLE fbs_router.mine ()",
            "CREATE FUNCTION fbs_router.mine() RETURNS int LANGUAGE sql RETURN 1",
            "CREATE INDEX ON fbs_document.document (title)",
            "CREATE POLICY mine ON fbs_document.document USING (true)",
            "DROP POLICY solution ON fbs_document.document",
            "DROP TRIGGER fence ON fbs_document.document",
            "ALTER TABLE fbs_document.document DISABLE TRIGGER fence",
            "ALTER TABLE fbs_document.document DISABLE ROW LEVEL SECURITY",
            "ALTER TABLE fbs_document.document ADD COLUMN mine int",
            "DROP TABLE fbs_document.document",
            "ALTER FUNCTION fbs_router.enforce_fence() OWNER TO fbs_router",
            "SET session_replication_role = replica",
            "SET ROLE fbs_owner",
            "CREATE ROLE mine",
            "ALTER ROLE fbs_router BYPASSRLS",
            "CREATE DATABASE mine",
            "COPY fbs_document.document TO PROGRAM 'true'",
            "SELECT pg_read_file('PG_VERSION')",
        ];
        if database == SYSTEM_DATABASE {
            forbidden.extend([
                "DELETE FROM fbs_router.placement",
                "DELETE FROM fbs_router.registration",
                "DELETE FROM fbs_router.ledger",
                "DELETE FROM fbs_router.ledger_change",
                "DELETE FROM fbs_router.server",
                "TRUNCATE fbs_router.placement CASCADE",
            ]);
        }
        for sql in forbidden {
            let refused = client.batch_execute(sql).await.expect_err(sql);
            assert_eq!(code(&refused), "42501", "{sql}: {refused}");
        }
        assert_eq!(replica.listed(&page(solution, 0)).await, ["N"]);
    }
}

const INSERT: &str = "INSERT INTO fbs_document.document (company_id, document_id, name, title, description, \
    document_type, category, tags, confidentiality, state, created_by, create_time, update_time) VALUES ('globex', \
    gen_random_uuid(), 'by sql', 't', '', 'general', '', '{}', 2, 1, 'x', now(), now())";
const UPDATE: &str = "UPDATE fbs_document.document SET title = 'by sql' WHERE company_id = 'globex'";
const DELETE: &str = "DELETE FROM fbs_document.document WHERE company_id = 'globex' AND name = 'by sql'";
const RECORD: &str = "INSERT INTO fbs_router.request_record (company_id, principal, request_id, method, digest, \
    document_ids, expire_time) VALUES ('globex', 'p', gen_random_uuid(), 'm', '', '{}', now())";

/// What comes of a statement in a transaction that begins and is set so.
async fn attempt(client: &Client, begin: &str, sql: &str) -> Result<(), String> {
    let outcome = client.batch_execute(&format!("{begin}; {sql}; COMMIT")).await.map_err(|error| code(&error));
    if outcome.is_err() {
        client.batch_execute("ROLLBACK").await.unwrap();
    }
    outcome
}

#[tokio::test(flavor = "multi_thread")]
async fn the_fence_lets_sql_writers_through_only_as_its_state_says() {
    let world = World::new().await;
    let replica = world.replica().await;
    replica.make("globex", "N").await;
    let runtime = world.as_runtime_role(SYSTEM_DATABASE).await;
    name_company(&runtime, Some("globex")).await;
    // Policies do not bind the owner; the fence does.
    let owner = world.platform.cluster.connect_as(OWNER, SYSTEM_DATABASE).await.unwrap();
    let superuser = world.platform.cluster.connect(SYSTEM_DATABASE).await.unwrap();
    let plain = "BEGIN ISOLATION LEVEL READ COMMITTED";
    let moving = "BEGIN; SET LOCAL fbs_router.move = '0190b0a0-0000-7000-8000-00000000aaaa'";
    let other = "BEGIN; SET LOCAL fbs_router.move = '0190b0a0-0000-7000-8000-00000000bbbb'";
    let fence = async |state: &str| {
        let set = format!(
            "UPDATE fbs_router.fence SET state = '{state}', move_id = '0190b0a0-0000-7000-8000-00000000aaaa' \
             WHERE company_id = 'globex'"
        );
        world.run(SYSTEM_DATABASE, &set).await;
    };
    let refused = |state: &str| Err(state.to_owned());
    for client in [&runtime, &owner, &superuser] {
        fence("ACTIVE").await;
        for sql in [INSERT, UPDATE, DELETE, RECORD] {
            assert_eq!(attempt(client, plain, sql).await, Ok(()), "{sql}");
            for level in ["REPEATABLE READ", "SERIALIZABLE"] {
                let begin = format!("BEGIN ISOLATION LEVEL {level}");
                // A statement without a row raises nothing: the deleted one is put back.
                attempt(client, plain, INSERT).await.unwrap();
                assert_eq!(attempt(client, &begin, sql).await, refused("FBS02"), "{level}: {sql}");
            }
        }
        let steal = "UPDATE fbs_document.document SET company_id = 'initech' WHERE company_id = 'globex'";
        assert_eq!(attempt(client, plain, steal).await, refused("FBS02"));
        for state in ["FROZEN", "MOVED", "COPYING"] {
            fence(state).await;
            for begin in [plain, other] {
                for sql in [INSERT, UPDATE, DELETE, RECORD] {
                    assert_eq!(attempt(client, begin, sql).await, refused("FBS01"), "{state}: {sql}");
                }
            }
        }
        fence("COPYING").await;
        assert_eq!(attempt(client, moving, UPDATE).await, refused("FBS01"));
        for sql in [INSERT, RECORD, DELETE] {
            assert_eq!(attempt(client, moving, sql).await, Ok(()), "{sql}");
        }
        attempt(client, moving, INSERT).await.unwrap();
        fence("FROZEN").await;
        for sql in [INSERT, UPDATE, DELETE, RECORD] {
            assert_eq!(attempt(client, moving, sql).await, refused("FBS01"), "FROZEN: {sql}");
        }
        fence("MOVED").await;
        for sql in [INSERT, UPDATE, RECORD] {
            assert_eq!(attempt(client, moving, sql).await, refused("FBS01"), "MOVED: {sql}");
        }
        assert_eq!(attempt(client, moving, DELETE).await, Ok(()));
        // No fence at all: not admitted either, also in a system database, whoever it is.
        let nobody = INSERT.replace("globex", "nobody");
        name_company(client, Some("nobody")).await;
        assert_eq!(attempt(client, plain, &nobody).await, refused("FBS01"));
        name_company(client, Some("globex")).await;
    }
    // A fence belongs to its database and its epochs only grow.
    let strange = "UPDATE fbs_router.fence SET database_uuid = gen_random_uuid() WHERE company_id = 'globex'";
    let back = "UPDATE fbs_router.fence SET epoch = epoch + 1 WHERE company_id = 'globex'; \
                UPDATE fbs_router.fence SET epoch = epoch - 1 WHERE company_id = 'globex'";
    for client in [&runtime, &owner] {
        assert_eq!(attempt(client, plain, strange).await, refused("FBS03"));
        assert_eq!(attempt(client, plain, back).await, refused("FBS03"));
    }
    replica.make("acme_corp", "N").await;
    let own = world.platform.cluster.connect_as(OWNER, ACME_DATABASE).await.unwrap();
    let foreign = "INSERT INTO fbs_router.fence SELECT 'globex', 1, 'ACTIVE', database_uuid FROM fbs_router.identity";
    assert_eq!(attempt(&own, plain, foreign).await, refused("FBS03"), "a dedicated database takes no other solution");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_first_write_that_waits_for_a_taking_over_goes_where_it_leads_and_opens_the_fence_there() {
    let world = World::new().await;
    let replica = world.replica().await;
    let mut taker = world.platform.cluster.connect(SYSTEM_DATABASE).await.unwrap();
    let held = taker.transaction().await.unwrap();
    held.batch_execute("SELECT pg_advisory_xact_lock(fbs_router.solution_lock('newco'))").await.unwrap();
    let (documents, request) = (replica.documents(), within(creation("newco", draft("first"))));
    let write = tokio::spawn(async move { documents.clone().create_document(request).await });
    let waiting = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted";
    soon("the write waits", async || match world.count(SYSTEM_DATABASE, waiting).await {
        1 => Ok(()),
        count => Err(count),
    })
    .await;
    // Another router takes the solution over, and has not come to opening the fence.
    world.create_own_database("newco").await;
    let row = held.query_one("SELECT ledger_id FROM fbs_router.ledger", &[]).await.unwrap();
    let claim = format!(
        "INSERT INTO fbs_router.identity (kind, solution, ledger_id) VALUES ('dedicated', 'newco', '{}')",
        row.get::<_, Uuid>(0)
    );
    world.run("djo_newco_db", &claim).await;
    let own = world.platform.cluster.connect("djo_newco_db").await.unwrap();
    let uuid: Uuid = own.query_one("SELECT database_uuid FROM fbs_router.identity", &[]).await.unwrap().get(0);
    let record = "INSERT INTO fbs_router.placement (company_id, app, placement, epoch, server, database_name, database_oid, \
                  database_uuid, change_number) \
                  SELECT 'newco', 'fbs_dms', 'DEDICATED', 1, 'main', datname, oid, $1, 0 FROM pg_database \
                  WHERE datname = 'djo_newco_db'";
    assert_eq!(held.execute(record, &[&uuid]).await.unwrap(), 1);
    let moved = "INSERT INTO fbs_router.fence (company_id, epoch, state, database_uuid) \
                 SELECT 'newco', 1, 'MOVED', database_uuid FROM fbs_router.identity";
    held.batch_execute(moved).await.unwrap();
    held.commit().await.unwrap();
    assert_eq!(write.await.unwrap().unwrap().metadata().get("fbs-database").unwrap(), "djo_newco_db");
    assert_eq!((world.rows("djo_newco_db", "newco").await, world.system_rows("newco").await), (1, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_writer_that_waits_for_a_move_sees_the_fence_that_the_move_leaves() {
    let world = World::new().await;
    let replica = world.replica().await;
    let document = replica.make("globex", "N").await;
    let waiting = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted";
    let wait_for = async |number: i64| {
        soon("the writers wait", async || match world.count(SYSTEM_DATABASE, waiting).await {
            count if count == number => Ok(()),
            count => Err(format!("{count} of {number}")),
        })
        .await;
    };
    let mut mover = world.platform.cluster.connect(SYSTEM_DATABASE).await.unwrap();
    let held = mover.transaction().await.unwrap();
    held.batch_execute("SELECT pg_advisory_xact_lock(fbs_router.solution_lock('globex'))").await.unwrap();
    // Their statements begin before the fence changes: one by SQL, one through the service, one that reads nothing else.
    let by_sql = world.platform.cluster.connect_as(OWNER, SYSTEM_DATABASE).await.unwrap();
    let by_sql = tokio::spawn(async move { attempt(&by_sql, "BEGIN", INSERT).await });
    wait_for(1).await;
    let (documents, request) = (replica.documents(), creation("globex", draft("late")));
    let through = tokio::spawn(async move { documents.clone().create_document(request).await });
    wait_for(2).await;
    held.batch_execute("UPDATE fbs_router.fence SET state = 'MOVED' WHERE company_id = 'globex'").await.unwrap();
    held.commit().await.unwrap();
    assert_eq!(by_sql.await.unwrap(), Err("FBS01".to_owned()));
    let refused = crate::support::asking::refusal(&through.await.unwrap().unwrap_err());
    assert_eq!(refused, failure(Code::FailedPrecondition, "PLACEMENT_CONFLICT"));
    // Readers obey it as well.
    assert_eq!(replica.read("globex", &document.document_id).await, Err(refused.clone()));
    assert_eq!(replica.ask_page(page("globex", 0)).await.unwrap_err(), refused);
    assert_eq!(world.system_rows("globex").await, 1);
}
