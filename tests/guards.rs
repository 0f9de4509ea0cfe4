//! Whatever would let solutions be seen through the policies, or written past the fence, makes its database
//! `DATABASE_MISCONFIGURED`, that database alone, until it is mended; what owners may do in peace changes nothing.

use fbs_router_sandbox::{
    implementer::OWNER,
    platform::{ACME_DATABASE, SYSTEM_DATABASE, TEMPLATE_DATABASE},
    soon,
};
use fbs_router_schema::Purpose;
use futures_util::future::join_all;
use tonic::Code;

use crate::support::{Replica, World, failure, wire::metrics};

const MISCONFIGURED: (Code, &str) = (Code::FailedPrecondition, "DATABASE_MISCONFIGURED");
const POLICY: &str = "USING (company_id = (SELECT current_setting('fbs_router.company_id', true)))";
const GUARDED: [&str; 9] = [
    "fbs_document.canary",
    "fbs_document.content",
    "fbs_document.content_chunk",
    "fbs_document.document",
    "fbs_document.document_type",
    "fbs_document.transition",
    "fbs_router.audit",
    "fbs_router.fence",
    "fbs_router.request_record",
];

/// A fault, and what mends it.
type Fault = (String, String);

fn fault(wrong: &str, mend: &str) -> Fault {
    (wrong.to_owned(), mend.to_owned())
}

/// What is wrong wherever it is found.
fn faults(database: &str) -> Vec<Fault> {
    let mut all = Vec::new();
    for table in GUARDED {
        all.push(fault(
            &format!("ALTER TABLE {table} DISABLE ROW LEVEL SECURITY"),
            &format!("ALTER TABLE {table} ENABLE ROW LEVEL SECURITY"),
        ));
        all.push(fault(
            &format!("ALTER POLICY solution ON {table} USING (true)"),
            &format!("ALTER POLICY solution ON {table} {POLICY}"),
        ));
        // Audit is append-only by privilege, and has no fence.
        if table != "fbs_router.audit" {
            all.push(fault(
                &format!("ALTER TABLE {table} DISABLE TRIGGER USER"),
                &format!("ALTER TABLE {table} ENABLE TRIGGER USER"),
            ));
        }
    }
    let create = format!("CREATE POLICY solution ON fbs_document.document {POLICY}");
    // Whoever gives a thing away takes his privileges along.
    let owner = |what: &str, privileges: &str| {
        fault(
            &format!("ALTER {what} OWNER TO fbs_router"),
            &format!("ALTER {what} OWNER TO {OWNER}; GRANT {privileges} ON {what} TO fbs_router"),
        )
    };
    let granted = |privilege: &str, to: &str| {
        fault(&format!("GRANT {privilege} TO {to}"), &format!("REVOKE {privilege} FROM {to}"))
    };
    let set = |setting: &str, value: &str| {
        [format!("ROLE fbs_router IN DATABASE {database}"), format!("DATABASE {database}")].map(|whose| {
            fault(&format!("ALTER {whose} SET {setting} = '{value}'"), &format!("ALTER {whose} RESET {setting}"))
        })
    };
    all.extend([
        // Policies.
        fault("DROP POLICY solution ON fbs_document.document", &create),
        fault(
            "CREATE POLICY more ON fbs_document.document USING (true)",
            "DROP POLICY more ON fbs_document.document",
        ),
        fault(
            "CREATE POLICY more ON fbs_document.content FOR SELECT TO fbs_router USING (true)",
            "DROP POLICY more ON fbs_document.content",
        ),
        // Hides what is there, so that a solution would be taken for empty.
        fault(
            "CREATE POLICY less ON fbs_document.document AS RESTRICTIVE USING (state = 1)",
            "DROP POLICY less ON fbs_document.document",
        ),
        fault(
            "DROP POLICY solution ON fbs_document.document; \
             CREATE POLICY solution ON fbs_document.document FOR SELECT USING (true)",
            &format!("DROP POLICY solution ON fbs_document.document; {create}"),
        ),
        fault(
            &format!("DROP POLICY solution ON fbs_document.document; {create} WITH CHECK (true)"),
            &format!("DROP POLICY solution ON fbs_document.document; {create}"),
        ),
        // Reads the same, and is another function.
        fault(
            &format!(
                "CREATE FUNCTION public.current_setting(text, boolean) RETURNS text LANGUAGE sql RETURN 'acme_corp'; \
                 ALTER POLICY solution ON fbs_document.document {}; \
                 ALTER ROLE fbs_router IN DATABASE {database} SET search_path = public, pg_catalog",
                POLICY.replace("current_setting", "public.current_setting")
            ),
            &format!(
                "ALTER ROLE fbs_router IN DATABASE {database} RESET search_path; \
                 ALTER POLICY solution ON fbs_document.document {POLICY}; \
                 DROP FUNCTION public.current_setting(text, boolean)"
            ),
        ),
        // Seen by the canary alone: visible to a session that has named somebody else.
        fault(
            "SET session_replication_role = replica; INSERT INTO fbs_document.canary VALUES ('-nobody')",
            "SET session_replication_role = replica; DELETE FROM fbs_document.canary WHERE company_id = '-nobody'",
        ),
        // The fence.
        fault(
            "ALTER TABLE fbs_document.document ENABLE REPLICA TRIGGER fence",
            "ALTER TABLE fbs_document.document ENABLE TRIGGER fence",
        ),
        fault(
            "DROP TRIGGER fence ON fbs_document.transition; \
             CREATE TRIGGER fence BEFORE INSERT ON fbs_document.transition \
             FOR EACH ROW EXECUTE FUNCTION fbs_router.enforce_fence()",
            "DROP TRIGGER fence ON fbs_document.transition; \
             CREATE TRIGGER fence BEFORE INSERT OR UPDATE OR DELETE ON fbs_document.transition \
             FOR EACH ROW EXECUTE FUNCTION fbs_router.enforce_fence()",
        ),
        fault(
            "CREATE RULE copy AS ON INSERT TO fbs_document.document DO ALSO NOTIFY copied",
            "DROP RULE copy ON fbs_document.document",
        ),
        // Ownership.
        owner("TABLE fbs_document.document", "SELECT, INSERT, UPDATE, DELETE"),
        owner("SCHEMA fbs_document", "USAGE"),
        owner("FUNCTION fbs_router.enforce_fence()", "EXECUTE"),
        owner(&format!("DATABASE {database}"), "CONNECT"),
        // Privileges.
        granted("SELECT ON fbs_document.document", "PUBLIC"),
        granted("SELECT (title) ON fbs_document.document", "PUBLIC"),
        granted("SELECT ON fbs_router.identity", "PUBLIC"),
        granted("INSERT ON fbs_router.fence", "PUBLIC"),
        granted("TRUNCATE ON fbs_document.content_chunk", "fbs_router"),
        granted("TRIGGER ON fbs_document.document", "fbs_router"),
        granted("REFERENCES (company_id) ON fbs_document.document", "fbs_router"),
        granted("CREATE ON SCHEMA fbs_document", "PUBLIC"),
        granted("CREATE ON SCHEMA fbs_router", "fbs_router"),
        granted("EXECUTE ON FUNCTION fbs_document.search_matches", "PUBLIC"),
        // Views and functions.
        fault("CREATE VIEW fbs_document.titles AS SELECT title FROM fbs_document.document", "DROP VIEW fbs_document.titles"),
        fault(
            "CREATE VIEW public.titles AS SELECT title FROM fbs_document.document; GRANT SELECT ON public.titles TO PUBLIC",
            "DROP VIEW public.titles",
        ),
        fault(
            "CREATE VIEW public.inner AS SELECT title FROM fbs_document.document; \
             CREATE VIEW public.outer AS SELECT * FROM public.inner; GRANT SELECT ON public.outer TO fbs_router",
            "DROP VIEW public.inner CASCADE",
        ),
        fault(
            "CREATE MATERIALIZED VIEW public.kept AS SELECT title FROM fbs_document.document; \
             GRANT SELECT ON public.kept TO PUBLIC",
            "DROP MATERIALIZED VIEW public.kept",
        ),
        fault(
            "CREATE FUNCTION fbs_document.peek() RETURNS bigint SECURITY DEFINER LANGUAGE sql RETURN 1",
            "DROP FUNCTION fbs_document.peek()",
        ),
        fault(
            "ALTER FUNCTION fbs_document.search_matches SET search_path = public",
            "ALTER FUNCTION fbs_document.search_matches SET search_path = pg_catalog, pg_temp",
        ),
    ]);
    all.extend(set("session_replication_role", "replica"));
    all.extend(set("row_security", "off"));
    all.extend(set("fbs_router.company_id", "globex"));
    all.extend(set("fbs_router.move", "0190b0a0-0000-7000-8000-00000000aaaa"));
    all
}

/// What matters only where solutions share a database.
fn faults_where_solutions_share() -> Vec<Fault> {
    vec![
        fault(
            "GRANT TRUNCATE ON fbs_document.document TO reporting",
            "REVOKE TRUNCATE ON fbs_document.document FROM reporting",
        ),
        fault(
            "CREATE VIEW public.titles AS SELECT title FROM fbs_document.document; GRANT SELECT ON public.titles TO reporting",
            "DROP VIEW public.titles",
        ),
        // As its owner, whom no policy binds, and by default for everybody.
        fault(
            "SET ROLE fbs_owner; CREATE SCHEMA reports; GRANT USAGE ON SCHEMA reports TO PUBLIC; \
             CREATE FUNCTION reports.total() RETURNS bigint SECURITY DEFINER LANGUAGE sql \
             RETURN (SELECT count(*) FROM fbs_document.document)",
            "DROP SCHEMA reports CASCADE",
        ),
    ]
}

/// What owners may do in peace.
fn peace() -> Vec<Fault> {
    vec![
        fault(
            "GRANT SELECT, INSERT ON fbs_document.document TO reporting",
            "REVOKE ALL ON fbs_document.document FROM reporting",
        ),
        fault(
            "CREATE POLICY reports ON fbs_document.document FOR SELECT TO reporting USING (true)",
            "DROP POLICY reports ON fbs_document.document",
        ),
        fault("CREATE VIEW public.mine AS SELECT title FROM fbs_document.document", "DROP VIEW public.mine"),
        fault(
            "CREATE VIEW public.yours WITH (security_invoker = on) AS SELECT title FROM fbs_document.document; \
             GRANT SELECT ON public.yours TO PUBLIC",
            "DROP VIEW public.yours",
        ),
        fault(
            "CREATE FUNCTION public.noted() RETURNS trigger SECURITY DEFINER LANGUAGE plpgsql AS \
             'BEGIN RETURN NULL; END'; \
             CREATE TRIGGER noted AFTER INSERT ON fbs_document.document FOR EACH ROW EXECUTE FUNCTION public.noted()",
            "DROP FUNCTION public.noted() CASCADE",
        ),
        fault("CREATE TABLE public.own (id int); GRANT ALL ON public.own TO PUBLIC", "DROP TABLE public.own"),
        fault(
            "SET ROLE fbs_owner; CREATE SCHEMA closed; \
             CREATE FUNCTION closed.total() RETURNS bigint SECURITY DEFINER LANGUAGE sql RETURN 1",
            "DROP SCHEMA closed CASCADE",
        ),
    ]
}

/// Does that, and ends the sessions that were proved before.
async fn apply(world: &World, database: &str, sql: &str) {
    world.run(database, sql).await;
    world.platform.implementer().end_sessions(database).await.unwrap();
}

/// Where a document of that solution is written.
async fn written(replica: &Replica, solution: &str) -> Result<String, (Code, String)> {
    replica.create(solution, "N").await.map(|answer| answer.database)
}

/// Every call of the solution is refused while it is wrong, and the next after it is mended is served.
async fn refused_until_mended(world: &World, replica: &Replica, (solution, database): (&str, &str), faults: &[Fault]) {
    for (wrong, mend) in faults {
        let id = replica.make(solution, "before").await.document_id;
        apply(world, database, wrong).await;
        for outcome in replica.calls(solution, &id).await {
            assert_eq!(outcome, Err(failure(MISCONFIGURED.0, MISCONFIGURED.1)), "{database}: {wrong}");
        }
        // Somebody else's database is somebody else's affair, and the route stays where it was.
        let (other, elsewhere) =
            if solution == "globex" { ("acme_corp", ACME_DATABASE) } else { ("globex", SYSTEM_DATABASE) };
        assert_eq!(written(replica, other).await.as_deref(), Ok(elsewhere), "{wrong}");
        let place = replica.place(solution).await.unwrap();
        assert!(place.ends_with(database), "{place}");
        apply(world, database, mend).await;
        assert_eq!(written(replica, solution).await.as_deref(), Ok(database), "{database}: {mend}");
    }
    assert_eq!(world.system_rows("acme_corp").await, 0);
}

async fn prepared() -> (World, Replica) {
    let world = World::new().await;
    world.run("postgres", "CREATE ROLE reporting LOGIN").await;
    let replica = world.replica().await;
    replica.make("acme_corp", "A-1").await;
    replica.make("globex", "G-1").await;
    (world, replica)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_solutions_own_database_that_would_not_keep_it_apart_is_refused_until_it_is_mended() {
    let (world, replica) = prepared().await;
    refused_until_mended(&world, &replica, ("acme_corp", ACME_DATABASE), &faults(ACME_DATABASE)).await;
    let samples = metrics(replica.ops).await;
    let alarms = |reason: &str| samples[&format!("fbs_router_isolation_alarms_total{{reason=\"{reason}\"}}")];
    assert!(alarms("DATABASE_MISCONFIGURED") > 100.0, "{samples:?}");
    assert_eq!((alarms("DATABASE_IDENTITY_MISMATCH"), alarms("PLACEMENT_CONFLICT")), (0.0, 0.0));
    assert_eq!(samples["fbs_router_internal_errors_total"], 0.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_system_database_that_would_not_keep_solutions_apart_is_refused_until_it_is_mended() {
    let (world, replica) = prepared().await;
    // The same proof as above finds the same here: a few of them.
    let some: Vec<Fault> = faults(SYSTEM_DATABASE).into_iter().step_by(7).collect();
    refused_until_mended(&world, &replica, ("globex", SYSTEM_DATABASE), &some).await;
    refused_until_mended(&world, &replica, ("globex", SYSTEM_DATABASE), &faults_where_solutions_share()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_owners_may_do_with_their_databases_keeps_nobody_out() {
    let (world, replica) = prepared().await;
    for (database, solution, lenient) in [
        (SYSTEM_DATABASE, "globex", peace()),
        (ACME_DATABASE, "acme_corp", [peace(), faults_where_solutions_share()].concat()),
    ] {
        for (sql, undo) in lenient {
            apply(&world, database, &sql).await;
            assert_eq!(written(&replica, solution).await.as_deref(), Ok(database), "{database}: {sql}");
            world.run(database, &undo).await;
        }
    }
    // Version 2 knows no canary, and is served.
    world.create_own_database("older").await;
    world.run("djo_older_db", "DROP TABLE fbs_document.canary").await;
    world.run("djo_older_db", "DELETE FROM fbs_router.schema_version WHERE version >= 3").await;
    assert_eq!(written(&replica, "older").await.as_deref(), Ok("djo_older_db"));
    world.platform.implementer().apply("djo_older_db", Purpose::Solution("older".into())).await.unwrap();
    assert_eq!(written(&replica, "older").await.as_deref(), Ok("djo_older_db"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_is_not_in_use_yet_is_refused_in_the_same_way_and_taken_over_when_it_is_mended() {
    let world = World::new().await;
    let replica = world.replica().await;
    world.create_own_database("newco").await;
    world.run("djo_newco_db", "ALTER TABLE fbs_document.content DISABLE ROW LEVEL SECURITY").await;
    assert_eq!(written(&replica, "newco").await, Err(failure(MISCONFIGURED.0, MISCONFIGURED.1)));
    let identities = "SELECT count(*) FROM fbs_router.identity";
    assert_eq!(world.count("djo_newco_db", identities).await, 0, "nothing is claimed that cannot be served");
    world.run("djo_newco_db", "ALTER TABLE fbs_document.content ENABLE ROW LEVEL SECURITY").await;
    soon("it is taken over", async || match written(&replica, "newco").await {
        Ok(database) if database == "djo_newco_db" => Ok(()),
        other => Err(format!("{other:?}")),
    })
    .await;
    assert_eq!(world.system_rows("newco").await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_policy_that_is_disabled_in_silence_is_noticed_when_the_last_look_is_too_old() {
    let world = World::new().await;
    let replica = world.replica_with("[pool]\nlifetime = \"1s\"\n").await;
    replica.make("acme_corp", "A-1").await;
    world.run(ACME_DATABASE, "ALTER TABLE fbs_document.document DISABLE ROW LEVEL SECURITY").await;
    soon("it is noticed", async || match written(&replica, "acme_corp").await {
        Err(error) if error == failure(MISCONFIGURED.0, MISCONFIGURED.1) => Ok(()),
        other => Err(format!("{other:?}")),
    })
    .await;
    world.run(ACME_DATABASE, "ALTER TABLE fbs_document.document ENABLE ROW LEVEL SECURITY").await;
    assert_eq!(written(&replica, "acme_corp").await.as_deref(), Ok(ACME_DATABASE));
}

#[tokio::test(flavor = "multi_thread")]
async fn one_look_serves_connections_that_are_opened_later_until_one_breaks() {
    let world = World::new().await;
    let replica = world.replica_with("[pool]\nidle = \"100ms\"\n").await;
    replica.make("acme_corp", "A-1").await;
    let sessions =
        "SELECT count(*) FROM pg_stat_activity WHERE usename = 'fbs_router' AND datname = 'djo_acme_corp_db'";
    let idle = async || {
        soon("the connection is closed", async || match world.count("postgres", sessions).await {
            0 => Ok(()),
            open => Err(format!("{open} are open")),
        })
        .await;
    };
    idle().await;
    // What nobody does in silence: that it is not seen at once shows that nobody looks.
    world.run(ACME_DATABASE, "ALTER TABLE fbs_document.document DISABLE ROW LEVEL SECURITY").await;
    assert_eq!(written(&replica, "acme_corp").await.as_deref(), Ok(ACME_DATABASE));
    idle().await;
    assert_eq!(written(&replica, "acme_corp").await.as_deref(), Ok(ACME_DATABASE));
    // Restored, restarted, or changed by somebody who sent everybody away: while a call waits, so that its connection is
    // not closed for idleness before.
    let holder = world.platform.cluster.connect(ACME_DATABASE).await.unwrap();
    holder.batch_execute("BEGIN; LOCK TABLE fbs_document.document IN ACCESS EXCLUSIVE MODE").await.unwrap();
    let waiting = format!("{sessions} AND wait_event_type = 'Lock'");
    let broken = async {
        soon("a call waits", async || match world.count("postgres", &waiting).await {
            1 => Ok(()),
            other => Err(other),
        })
        .await;
        let end = "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE usename = 'fbs_router' \
                   AND datname = 'djo_acme_corp_db'";
        world.run("postgres", end).await;
        // Not before: a call that ends well is closed for idleness in no time.
        holder.batch_execute("COMMIT").await.unwrap();
    };
    let (_what_it_waited_for, ()) = tokio::join!(written(&replica, "acme_corp"), broken);
    soon("all is looked at", async || match written(&replica, "acme_corp").await {
        Err(error) if error == failure(MISCONFIGURED.0, MISCONFIGURED.1) => Ok(()),
        other => Err(format!("{other:?}")),
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_one_connection_sees_is_true_of_all_that_are_open() {
    let world = World::new().await;
    let replica = world.replica().await;
    replica.make("acme_corp", "A-1").await;
    // Seen by each new connection, whoever looked before; one is open.
    world.run(ACME_DATABASE, "ALTER TABLE fbs_document.canary DISABLE ROW LEVEL SECURITY").await;
    soon("enough call at once that a further connection is opened", async || {
        let calls = (0..8).map(|_| written(&replica, "acme_corp"));
        match join_all(calls).await.into_iter().find(Result::is_err) {
            Some(Err(error)) if error == failure(MISCONFIGURED.0, MISCONFIGURED.1) => Ok(()),
            other => Err(format!("{other:?}")),
        }
    })
    .await;
    for _ in 0..8 {
        assert_eq!(written(&replica, "acme_corp").await, Err(failure(MISCONFIGURED.0, MISCONFIGURED.1)));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_canary_is_there_and_shows_itself_to_nobody_who_has_not_named_it() {
    let world = World::new().await;
    for database in [SYSTEM_DATABASE, ACME_DATABASE, TEMPLATE_DATABASE] {
        let client = world.as_runtime_role(database).await;
        for (named, seen) in [(None, 0), (Some(""), 0), (Some("globex"), 0), (Some("-canary"), 1)] {
            if let Some(named) = named {
                client.execute("SELECT set_config('fbs_router.company_id', $1, false)", &[&named]).await.unwrap();
            }
            let rows = client.query("SELECT FROM fbs_document.canary", &[]).await.unwrap().len();
            assert_eq!(rows, seen, "{database}: {named:?}");
        }
        // Not even its owner removes it by mistake.
        let owner = world.platform.cluster.connect_as(OWNER, database).await.unwrap();
        for sql in ["DELETE FROM fbs_document.canary", "UPDATE fbs_document.canary SET company_id = 'globex'"] {
            owner.batch_execute(sql).await.expect_err("the fence does not let it through");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_key_begins_with_the_solution_and_no_row_is_without_one() {
    let world = World::new().await;
    let superuser = world.platform.cluster.connect(SYSTEM_DATABASE).await.unwrap();
    let guarded = "SELECT c.oid::regclass::text FROM pg_class c WHERE c.relrowsecurity ORDER BY 1";
    let tables: Vec<String> = superuser.query(guarded, &[]).await.unwrap().iter().map(|row| row.get(0)).collect();
    assert_eq!(tables, GUARDED);
    for table in GUARDED {
        let column = "SELECT count(*) FROM pg_attribute a WHERE a.attrelid = to_regclass($1) AND a.attname = 'company_id' \
                      AND a.attnotnull AND NOT a.atthasdef AND a.attgenerated = '' AND a.attidentity = ''";
        let row = superuser.query_one(column, &[&table]).await.unwrap();
        assert_eq!(row.get::<_, i64>(0), 1, "{table}: NOT NULL, and nobody by default");
        // Searches find words in it; the solution is one.
        let indexes = "SELECT i.indexrelid::regclass::text FROM pg_index i \
                       LEFT JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = i.indkey[0] \
                       WHERE i.indrelid = to_regclass($1) AND a.attname IS DISTINCT FROM 'company_id' \
                       AND i.indexrelid <> 'fbs_document.document_search'::regclass";
        let strays: Vec<String> =
            superuser.query(indexes, &[&table]).await.unwrap().iter().map(|row| row.get(0)).collect();
        assert_eq!(strays, [""; 0], "{table}");
        let foreign = "SELECT c.conname::text FROM pg_constraint c \
                       JOIN pg_attribute a ON a.attrelid = c.conrelid AND a.attnum = c.conkey[1] \
                       JOIN pg_attribute f ON f.attrelid = c.confrelid AND f.attnum = c.confkey[1] \
                       WHERE c.contype = 'f' AND c.conrelid = to_regclass($1) \
                       AND (a.attname <> 'company_id' OR f.attname <> 'company_id')";
        assert_eq!(superuser.query(foreign, &[&table]).await.unwrap().len(), 0, "{table}: foreign keys");
    }
    let definers = "SELECT p.oid::regprocedure::text FROM pg_proc p WHERE p.prosecdef AND p.oid >= 16384";
    let definers: Vec<String> = superuser.query(definers, &[]).await.unwrap().iter().map(|row| row.get(0)).collect();
    assert!(definers.len() == 1 && definers[0].starts_with("fbs_document.search_matches("), "{definers:?}");
    let views = "SELECT count(*) FROM pg_class c WHERE c.relkind IN ('v', 'm') AND c.oid >= 16384";
    assert_eq!(world.count(SYSTEM_DATABASE, views).await, 0);
}
