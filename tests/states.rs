//! States that registrations and later commands make, written by SQL here: registered, moving, released, refused.

use fbs_router_proto::router::v1::{ResolveDatabaseRequest, candidate::Reason};
use fbs_router_sandbox::{
    platform::{ACME_DATABASE, SYSTEM_DATABASE, TEMPLATE_DATABASE},
    soon,
};
use fbs_router_schema::Purpose;
use tonic::Code;
use tonic_types::StatusExt;

use crate::{
    faults::RELEASE,
    support::{Replica, World, failure, within},
};

const REQUIRED: (Code, &str) = (Code::FailedPrecondition, "ISOLATION_REQUIRED");
const MOVING: (Code, &str) = (Code::Unavailable, "ROUTE_MOVING");
const DETACHED: (Code, &str) = (Code::FailedPrecondition, "DATABASE_DETACHED");
const MISMATCH: (Code, &str) = (Code::FailedPrecondition, "DATABASE_IDENTITY_MISMATCH");

async fn place_becomes(replica: &Replica, solution: &str, expected: Result<&str, (Code, &str)>) {
    app_becomes(replica, solution, "", expected).await;
}

async fn app_becomes(replica: &Replica, solution: &str, app: &str, expected: Result<&str, (Code, &str)>) {
    let expected = expected.map(str::to_owned).map_err(|(code, reason)| failure(code, reason));
    soon("the route is as it has to be", async || {
        let found = replica.resolve_app(solution, app).await.map(|route| {
            let placement = route.placement().as_str_name().trim_start_matches("PLACEMENT_");
            format!("{placement} {}", route.database.clone().unwrap().name)
        });
        if found == expected { Ok(()) } else { Err(format!("{found:?}")) }
    })
    .await;
}

async fn every_call_fails(replica: &Replica, solution: &str, expected: (Code, &str)) {
    for outcome in replica.calls(solution, &uuid::Uuid::new_v4().to_string()).await {
        assert_eq!(outcome, Err(failure(expected.0, expected.1)), "{solution}");
    }
}

async fn count(world: &World, database: &str, sql: &str) -> i64 {
    world.platform.implementer().count(database, sql).await.unwrap()
}

async fn register(world: &World, solution: &str, columns: &str, values: &str) {
    let sql = format!(
        "INSERT INTO fbs_router.registration (company_id, app{columns}) VALUES ('{solution}', 'fbs_dms'{values})"
    );
    world.in_ledger(&sql).await;
}

// === moving and released ===

#[tokio::test(flavor = "multi_thread")]
async fn a_pair_with_a_move_id_is_refused_with_a_time_to_come_back() {
    let world = World::new().await;
    let replica = world.replica().await;
    let acme = replica.create("acme_corp", "A-1").await.unwrap().message;
    let globex = replica.create("globex", "G-1").await.unwrap().message;
    let moving = "UPDATE fbs_router.placement SET move_id = gen_random_uuid(), move_direction = 'SYSTEM'
                   WHERE company_id IN ('acme_corp', 'globex') AND app = 'fbs_dms'";
    world.in_ledger(moving).await;
    for solution in ["acme_corp", "globex"] {
        place_becomes(&replica, solution, Err(MOVING)).await;
        every_call_fails(&replica, solution, MOVING).await;
        let request = ResolveDatabaseRequest { solution: solution.into(), ..ResolveDatabaseRequest::default() };
        let status = replica.routes().resolve_database(within(request)).await.unwrap_err();
        assert!(status.get_details_retry_info().unwrap().retry_delay.is_some());
    }
    assert_eq!(replica.create("initech", "I-1").await.unwrap().database, SYSTEM_DATABASE);
    world.in_ledger("UPDATE fbs_router.placement SET move_id = NULL, move_direction = NULL").await;
    place_becomes(&replica, "acme_corp", Ok("DEDICATED djo_acme_corp_db")).await;
    place_becomes(&replica, "globex", Ok("SYSTEM fbs_system_db")).await;
    assert_eq!(replica.get("acme_corp", &acme.document_id).await.unwrap().message, acme);
    assert_eq!(replica.get("globex", &globex.document_id).await.unwrap().message, globex);
    assert_eq!(world.system_rows("acme_corp").await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_released_solution_lives_in_the_system_database_and_its_old_one_is_closed_at_first_sight() {
    let world = World::new().await;
    let replica = world.replica().await;
    replica.create("acme_corp", "A-1").await.unwrap();
    let implementer = world.platform.implementer();
    implementer.rename(ACME_DATABASE, "away").await.unwrap();
    place_becomes(&replica, "acme_corp", Err(DETACHED)).await;
    world.in_ledger(RELEASE).await;
    place_becomes(&replica, "acme_corp", Ok("SYSTEM fbs_system_db")).await;
    // Nothing is there yet, so that only the release keeps it from being taken over.
    implementer.rename("away", ACME_DATABASE).await.unwrap();
    soon("the old database is closed", async || {
        let route = replica.resolve("acme_corp").await.map_err(|error| format!("{error:?}"))?;
        assert_eq!((route.database.unwrap().name.as_str(), route.epoch), (SYSTEM_DATABASE, 2));
        let moved = "SELECT count(*) FROM fbs_router.fence WHERE state = 'MOVED' AND epoch = 2";
        if count(&world, ACME_DATABASE, moved).await == 1 { Ok(()) } else { Err("not MOVED".to_owned()) }
    })
    .await;
    let created = replica.create("acme_corp", "A-2").await.unwrap();
    assert_eq!((created.database.as_str(), created.epoch), (SYSTEM_DATABASE, 2));
    assert_eq!(replica.names("acme_corp").await.unwrap(), ["A-2"]);
    // A router that knows nothing but the ledger agrees.
    let text = world.configuration(&world.platform.url(), "");
    let fresh = Replica::start(&text, &world.snapshot("fresh")).await;
    place_becomes(&fresh, "acme_corp", Ok("SYSTEM fbs_system_db")).await;
    assert_eq!(fresh.names("acme_corp").await.unwrap(), ["A-2"]);
    assert_eq!(count(&world, ACME_DATABASE, "SELECT count(*) FROM fbs_document.document").await, 1);
}

// === registered ===

#[tokio::test(flavor = "multi_thread")]
async fn a_solution_that_requires_isolation_never_reaches_the_system_database() {
    let world = World::new().await;
    let replica = world.replica().await;
    register(&world, "initech", ", isolation", ", 'required'").await;
    place_becomes(&replica, "initech", Err(REQUIRED)).await;
    every_call_fails(&replica, "initech", REQUIRED).await;
    assert_eq!(world.system_rows("initech").await, 0);
    let records = "SELECT count(*) FROM fbs_router.placement WHERE company_id = 'initech'";
    assert_eq!(count(&world, SYSTEM_DATABASE, records).await, 0);
    world.create_own_database("initech").await;
    assert_eq!(replica.create("initech", "I-1").await.unwrap().database, "djo_initech_db");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_first_write_reads_the_registration_that_its_router_has_not_read() {
    let world = World::new().await;
    let replica = world.replica().await;
    // Without number and notification, no reading brings them.
    for (solution, columns) in [("initech", "NULL, 'required'"), ("umbrella", "'crm', 'preferred'")] {
        world
            .in_ledger(&format!(
                "SET session_replication_role = replica;
                 INSERT INTO fbs_router.registration (company_id, app, database_name, isolation, change_number)
                 VALUES ('{solution}', 'fbs_dms', {columns}, 0)"
            ))
            .await;
        assert_eq!(replica.place(solution).await.unwrap(), "SYSTEM fbs_system_db", "it has not read it");
        replica.create(solution, "first").await.expect_err("the registration is not as this router believes");
        assert_eq!(world.system_rows(solution).await, 0);
    }
    every_write_is_refused(&replica, "initech").await;
    // Taking over reads it, too.
    world.create_own_database("umbrella").await;
    replica.create("umbrella", "first").await.expect_err("its database is registered to be another");
    let records = "SELECT count(*) FROM fbs_router.placement WHERE company_id IN ('initech', 'umbrella')";
    assert_eq!(count(&world, SYSTEM_DATABASE, records).await, 0);
    assert_eq!(world.rows("djo_umbrella_db", "umbrella").await, 0);
}

async fn every_write_is_refused(replica: &Replica, solution: &str) {
    let outcome = replica.create(solution, "first").await.map(|answer| answer.database);
    assert_eq!(outcome, Err(failure(REQUIRED.0, REQUIRED.1)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_registered_name_is_the_only_one_considered() {
    let world = World::new().await;
    let replica = world.replica().await;
    register(&world, "initech", ", database_name", ", 'crm_of_initech'").await;
    world.create_own_database("initech").await;
    place_becomes(&replica, "initech", Err(REQUIRED)).await;
    every_call_fails(&replica, "initech", REQUIRED).await;
    let implementer = world.platform.implementer();
    implementer.copy_database(TEMPLATE_DATABASE, "crm_of_initech").await.unwrap();
    assert_eq!(replica.create("initech", "I-1").await.unwrap().database, "crm_of_initech");
    assert_eq!(world.rows("djo_initech_db", "initech").await, 0);
    assert_eq!(world.system_rows("initech").await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_empty_recorded_solution_that_requires_isolation_is_taken_over_when_its_database_appears() {
    let world = World::new().await;
    let replica = world.replica().await;
    replica.create("globex", "G-1").await.unwrap();
    world.in_ledger("DELETE FROM fbs_document.document WHERE company_id = 'globex'").await;
    register(&world, "globex", ", isolation", ", 'required'").await;
    place_becomes(&replica, "globex", Err(REQUIRED)).await;
    every_call_fails(&replica, "globex", REQUIRED).await;
    world.create_own_database("globex").await;
    place_becomes(&replica, "globex", Ok("DEDICATED djo_globex_db")).await;
    assert_eq!(replica.create("globex", "G-2").await.unwrap().database, "djo_globex_db");
    assert_eq!(world.system_rows("globex").await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_registered_elsewhere_is_followed_only_when_it_carries_the_recorded_uuid() {
    let world = World::new().await;
    let replica = world.replica().await;
    let acme = replica.create("acme_corp", "A-1").await.unwrap().message;
    let implementer = world.platform.implementer();
    implementer.copy_database(TEMPLATE_DATABASE, "stranger").await.unwrap();
    register(&world, "acme_corp", ", database_name", ", 'stranger'").await;
    // The recorded one is there: it stays.
    assert_eq!(replica.create("acme_corp", "A-2").await.unwrap().database, ACME_DATABASE);
    implementer.rename(ACME_DATABASE, "acme_moved").await.unwrap();
    place_becomes(&replica, "acme_corp", Err(DETACHED)).await;
    every_call_fails(&replica, "acme_corp", DETACHED).await;
    assert_eq!(count(&world, "stranger", "SELECT count(*) FROM fbs_router.identity").await, 0);
    world.in_ledger("UPDATE fbs_router.registration SET database_name = 'acme_moved'").await;
    place_becomes(&replica, "acme_corp", Ok("DEDICATED acme_moved")).await;
    let read = replica.get("acme_corp", &acme.document_id).await.unwrap();
    assert_eq!((read.database.as_str(), read.epoch), ("acme_moved", 2));
    assert_eq!(replica.create("acme_corp", "A-3").await.unwrap().epoch, 2);
    assert_eq!(world.system_rows("acme_corp").await, 0);
}

// === strangers, and databases that are not ready ===

#[tokio::test(flavor = "multi_thread")]
async fn where_the_unregistered_are_refused_only_the_known_are_served() {
    let world = World::new().await;
    let replica = world.replica_with("[routing]\nunregistered = \"refuse\"\n").await;
    every_call_fails(&replica, "stranger", (Code::NotFound, "SOLUTION_NOT_FOUND")).await;
    assert_eq!(world.system_rows("stranger").await, 0);
    assert_eq!(replica.create("acme_corp", "A-1").await.unwrap().database, ACME_DATABASE);
    register(&world, "globex", ", isolation", ", 'preferred'").await;
    place_becomes(&replica, "globex", Ok("SYSTEM fbs_system_db")).await;
    assert_eq!(replica.create("globex", "G-1").await.unwrap().database, SYSTEM_DATABASE);
    world.create_own_database("newco").await;
    assert_eq!(replica.create("newco", "N-1").await.unwrap().database, "djo_newco_db");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_first_write_lands_in_the_database_that_was_made_ready_just_before() {
    let world = World::new().await;
    let replica = world.replica().await;
    let implementer = world.platform.implementer();
    for solution in ["newco", "othello"] {
        let name = format!("djo_{solution}_db");
        implementer.create_database(&name).await.unwrap();
        let route = soon("it has a candidate", async || {
            let route = replica.resolve(solution).await.map_err(|error| format!("{error:?}"))?;
            if route.candidate.is_some() { Ok(route) } else { Err("no candidate".to_owned()) }
        })
        .await;
        assert_eq!(route.database.unwrap().name, SYSTEM_DATABASE);
        assert_eq!(route.candidate.unwrap().reason(), Reason::SchemaNotReady);
        let purpose = if solution == "newco" { Purpose::Template } else { Purpose::Solution(solution.to_owned()) };
        implementer.apply(&name, purpose).await.unwrap();
        // A remembered "not ready" is not good enough for a first write.
        assert_eq!(replica.create(solution, "first").await.unwrap().database, name);
        assert_eq!(world.system_rows(solution).await, 0);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_recorded_solution_is_confirmed_by_a_router_that_knows_nothing_as_soon_as_its_database_opens() {
    let world = World::new().await;
    let replica = world.replica().await;
    let globex = replica.create("globex", "G-1").await.unwrap().message;
    world.create_own_database("globex").await;
    let implementer = world.platform.implementer();
    implementer.allow_connections("djo_globex_db", false).await.unwrap();
    // Nothing vouches for the ledger: it may be an old one, and the fence in there may be ahead.
    let text = world.configuration(&world.platform.url(), "");
    let fresh = Replica::start(&text, &world.snapshot("fresh")).await;
    every_call_fails(&fresh, "globex", (Code::Unavailable, "ROUTE_UNKNOWN")).await;
    assert_eq!(replica.get("globex", &globex.document_id).await.unwrap().database, SYSTEM_DATABASE);
    implementer.allow_connections("djo_globex_db", true).await.unwrap();
    place_becomes(&fresh, "globex", Ok("SYSTEM fbs_system_db")).await;
    assert_eq!(fresh.get("globex", &globex.document_id).await.unwrap().message, globex);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_cannot_be_entered_is_its_solutions_error_and_never_the_system_databases_row() {
    let world = World::new().await;
    let replica = world.replica().await;
    let implementer = world.platform.implementer();
    world.create_own_database("closed").await;
    implementer.allow_connections("djo_closed_db", false).await.unwrap();
    world.create_own_database("full").await;
    implementer.limit_connections("djo_full_db", 0).await.unwrap();
    world.create_own_database("barred").await;
    implementer.run("djo_barred_db", "REVOKE CONNECT ON DATABASE djo_barred_db FROM PUBLIC").await.unwrap();
    let down = (Code::Unavailable, "DATABASE_UNAVAILABLE");
    let barred = (Code::FailedPrecondition, "DATABASE_MISCONFIGURED");
    for (solution, expected) in [("closed", down), ("full", down), ("barred", barred)] {
        place_becomes(&replica, solution, Err(expected)).await;
        every_call_fails(&replica, solution, expected).await;
        assert_eq!(world.system_rows(solution).await, 0);
    }
    implementer.allow_connections("djo_closed_db", true).await.unwrap();
    implementer.limit_connections("djo_full_db", -1).await.unwrap();
    implementer.run("djo_barred_db", "GRANT CONNECT ON DATABASE djo_barred_db TO PUBLIC").await.unwrap();
    for solution in ["closed", "full", "barred"] {
        assert_eq!(replica.create(solution, "first").await.unwrap().database, format!("djo_{solution}_db"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_router_that_has_not_scanned_since_serves_what_another_took_over() {
    let world = World::new().await;
    let replica = world.replica().await;
    let seldom = world.configuration(&world.platform.url(), "[routing]\nscan_interval = \"1h\"\n");
    let seldom = Replica::start(&seldom, &world.snapshot("seldom")).await;
    for round in 0..3 {
        let solution = format!("newco{round}");
        world.create_own_database(&solution).await;
        let created = replica.create(&solution, "first").await.unwrap();
        // It reads the record when it is told, long before it would scan.
        let read =
            soon("the record is read", async || match seldom.get(&solution, &created.message.document_id).await {
                Err((_, reason)) if reason == "DOCUMENT_NOT_FOUND" => Err(reason), // not read yet
                answered => Ok(answered),
            })
            .await;
        assert_eq!(read.unwrap().database, format!("djo_{solution}_db"));
        assert_eq!(seldom.place(&solution).await.unwrap(), format!("DEDICATED djo_{solution}_db"));
    }
    // What is gone is gone all the same.
    world.create_own_database("brief").await;
    replica.create("brief", "first").await.unwrap();
    world.platform.implementer().drop_database("djo_brief_db").await.unwrap();
    place_becomes(&seldom, "brief", Err(DETACHED)).await;
}

// === apps ===

#[tokio::test(flavor = "multi_thread")]
async fn a_database_of_an_app_that_is_not_ours_is_recorded_by_a_scan_and_sticky() {
    let world = World::new().await;
    let replica = world.replica().await;
    let implementer = world.platform.implementer();
    app_becomes(&replica, "acme_corp", "odoo", Ok("SYSTEM fbs_system_db")).await;
    implementer.create_database("fbs_acme_corp_db").await.unwrap();
    soon("a scan records it", async || {
        let sql = "SELECT count(*) FROM fbs_router.placement WHERE app = 'odoo' AND company_id = 'acme_corp'";
        if count(&world, SYSTEM_DATABASE, sql).await == 1 { Ok(()) } else { Err("not recorded") }
    })
    .await;
    app_becomes(&replica, "acme_corp", "odoo", Ok("DEDICATED fbs_acme_corp_db")).await;
    implementer.drop_database("fbs_acme_corp_db").await.unwrap();
    app_becomes(&replica, "acme_corp", "odoo", Err(DETACHED)).await;
    let replica = replica.restart().await;
    app_becomes(&replica, "acme_corp", "odoo", Err(DETACHED)).await;
    // Another one under the name is another one.
    implementer.create_database("fbs_acme_corp_db").await.unwrap();
    app_becomes(&replica, "acme_corp", "odoo", Err(MISMATCH)).await;
    // The documents of the same solution are another pair.
    assert_eq!(replica.create("acme_corp", "A-1").await.unwrap().database, ACME_DATABASE);
    let others = "SELECT count(*) FROM fbs_router.placement WHERE company_id = 'system'";
    assert_eq!(count(&world, SYSTEM_DATABASE, others).await, 0, "fbs_system_db is nobody's own database");
}

#[tokio::test(flavor = "multi_thread")]
async fn apps_are_what_the_configuration_says_of_them() {
    let world = World::new().await;
    let apps = "[[app]]\nname = \"fbs_dms\"\npattern = \"djo_{solution}_db\"\nsystem_database = \"fbs_system_db\"\n\
                [[app]]\nname = \"license\"\nsystem_database = \"lic_system_db\"\n\
                [[app]]\nname = \"crm\"\npattern = \"crm_{solution}\"\nready_table = \"public.orders\"\n";
    let replica = world.replica_with(apps).await;
    let implementer = world.platform.implementer();
    // Without a pattern: always the system database, and no record.
    app_becomes(&replica, "acme_corp", "license", Ok("SYSTEM lic_system_db")).await;
    assert_eq!(replica.resolve_app("acme_corp", "odoo").await, Err(failure(Code::NotFound, "APP_UNKNOWN")));
    // Without a system database: never shared.
    app_becomes(&replica, "globex", "crm", Err(REQUIRED)).await;
    // Not ready before the table is there.
    implementer.create_database("crm_globex").await.unwrap();
    app_becomes(&replica, "globex", "crm", Err(REQUIRED)).await;
    let records = "SELECT count(*) FROM fbs_router.placement WHERE app IN ('crm', 'license')";
    assert_eq!(count(&world, SYSTEM_DATABASE, records).await, 0);
    implementer.run("crm_globex", "CREATE TABLE public.orders ()").await.unwrap();
    app_becomes(&replica, "globex", "crm", Ok("DEDICATED crm_globex")).await;
    assert_eq!(count(&world, SYSTEM_DATABASE, records).await, 1);
    // Sticky: the table was needed once.
    implementer.run("crm_globex", "DROP TABLE public.orders").await.unwrap();
    let replica = replica.restart().await;
    app_becomes(&replica, "globex", "crm", Ok("DEDICATED crm_globex")).await;
    implementer.drop_database("crm_globex").await.unwrap();
    app_becomes(&replica, "globex", "crm", Err(DETACHED)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_may_not_be_read_or_does_not_keep_solutions_apart_is_misconfigured_and_never_passed_over() {
    let world = World::new().await;
    let replica = world.replica().await;
    let implementer = world.platform.implementer();
    let cases = [
        ("unread", "REVOKE ALL ON ALL TABLES IN SCHEMA fbs_router, fbs_document FROM fbs_router"),
        ("owned", "ALTER TABLE fbs_document.document OWNER TO fbs_router"),
        ("open", "ALTER TABLE fbs_document.document DISABLE ROW LEVEL SECURITY"),
    ];
    for (solution, fault) in cases {
        world.create_own_database(solution).await;
        implementer.run(&format!("djo_{solution}_db"), fault).await.unwrap();
        let refused = replica.create(solution, "N-1").await.map(|answer| answer.database);
        assert_eq!(refused, Err(failure(Code::FailedPrecondition, "DATABASE_MISCONFIGURED")), "{solution}");
        assert_eq!(world.system_rows(solution).await, 0);
    }
}
