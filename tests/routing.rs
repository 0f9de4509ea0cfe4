//! Where solutions live, as callers see it.

use fbs_router_proto::{
    document::v1::{DeleteDocumentRequest, GetDocumentRequest},
    router::v1::{Placement, ResolveDatabaseRequest, resolve_result::Outcome},
};
use fbs_router_sandbox::platform::{ACME_DATABASE, SYSTEM_DATABASE};
use tonic::Code;

use crate::support::{World, failure, within};

#[tokio::test(flavor = "multi_thread")]
async fn solution_with_a_database_is_served_from_it_and_others_from_the_system_database() {
    let world = World::new().await;
    let replica = world.replica().await;

    let acme = replica.create("acme_corp", "A-1").await.unwrap();
    assert_eq!((acme.database.as_str(), acme.placement.as_str(), acme.epoch), ("djo_acme_corp_db", "DEDICATED", 1));
    assert_eq!(acme.message.solution_db, "djo_acme_corp_db");
    let globex = replica.create("globex", "G-1").await.unwrap();
    assert_eq!((globex.database.as_str(), globex.placement.as_str(), globex.epoch), ("fbs_system_db", "SYSTEM", 0));
    assert_eq!(globex.message.solution_db, "");

    assert_eq!(replica.get("acme_corp", &acme.message.document_id).await.unwrap().message, acme.message);
    assert_eq!(replica.names("globex").await.unwrap(), ["G-1"]);
    assert_eq!(world.system_rows("acme_corp").await, 0);
    assert_eq!(world.rows("djo_acme_corp_db", "acme_corp").await, 1);
    assert_eq!(world.system_rows("globex").await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn routes_carry_address_and_identity_and_never_a_credential() {
    let world = World::new().await;
    let replica = world.replica().await;
    let route = replica.resolve("acme_corp").await.unwrap();
    let database = route.database.clone().unwrap();
    assert_eq!(route.placement(), Placement::Dedicated);
    assert_eq!((database.server.as_str(), database.name.as_str()), ("main", "djo_acme_corp_db"));
    assert_eq!(database.host, world.platform.cluster.socket_directory().display().to_string());
    assert_ne!((database.system_identifier, database.oid, database.database_id.as_str()), (0, 0, ""));
    assert!(route.revision > 0);
    assert!(!format!("{route:?}").contains("sandbox\""));

    let license = replica.resolve_app("acme_corp", "fbs_license_manager").await.unwrap();
    assert_eq!(license.database.unwrap().name, "lic_system_db");
    let app = replica.resolve_app("acme_corp", "fbs_app").await.unwrap();
    assert_eq!(app.database.unwrap().name, "fbs_system_db");
    assert_eq!(replica.resolve_app("acme_corp", "other").await, Err(failure(Code::NotFound, "APP_UNKNOWN")));
}

#[tokio::test(flavor = "multi_thread")]
async fn names_that_are_no_solutions_are_refused_with_their_reason() {
    let world = World::new().await;
    let replica = world.replica().await;
    let long = "a".repeat(57);
    for bad in ["Acme", "a b", long.as_str(), "", "a\0b", "\u{430}cme", "_a", "../etc", "x\";drop table d;--"] {
        let expected = Err(failure(Code::InvalidArgument, "SOLUTION_INVALID"));
        assert_eq!(replica.place(bad).await, expected, "{bad:?}");
        assert_eq!(replica.names(bad).await.map(|_| String::new()), expected, "{bad:?}");
    }
    let reserved = Err(failure(Code::InvalidArgument, "SOLUTION_RESERVED"));
    assert_eq!(replica.place("system").await, reserved);
    assert_eq!(replica.place(&"a".repeat(56)).await.unwrap(), "SYSTEM fbs_system_db");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_may_ask_for_more_and_explicit_routing_never_chooses() {
    let world = World::new().await;
    let replica = world.replica().await;
    let ask = async |solution: &str, dedicated_only: bool, database: &str| {
        let request = ResolveDatabaseRequest {
            solution: solution.into(),
            dedicated_only,
            database: database.into(),
            ..ResolveDatabaseRequest::default()
        };
        let answer = replica.routes().resolve_database(within(request)).await;
        answer.map(|_| ()).map_err(|status| crate::support::reason(&status).1)
    };
    assert_eq!(ask("acme_corp", true, "").await, Ok(()));
    assert_eq!(ask("globex", true, "").await, Err("ISOLATION_REQUIRED".into()));
    assert_eq!(ask("acme_corp", false, "djo_acme_corp_db").await, Ok(()));
    assert_eq!(ask("acme_corp", false, "fbs_system_db").await, Err("DATABASE_MISMATCH".into()));
    assert_eq!(ask("globex", false, "djo_acme_corp_db").await, Err("DATABASE_MISMATCH".into()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_answers_each_pair_alone() {
    let world = World::new().await;
    let replica = world.replica().await;
    let requests = ["acme_corp", "Bad Name", "globex", "system"]
        .map(|solution| ResolveDatabaseRequest { solution: solution.into(), ..ResolveDatabaseRequest::default() });
    let request = fbs_router_proto::router::v1::BatchResolveDatabasesRequest { requests: requests.to_vec() };
    let answer = replica.routes().batch_resolve_databases(within(request)).await.unwrap().into_inner();
    let outcomes: Vec<String> = answer
        .results
        .into_iter()
        .map(|result| match result.outcome.unwrap() {
            Outcome::Resolved(resolved) => resolved.route.unwrap().database.unwrap().name,
            Outcome::Error(status) => {
                assert_eq!(status.details.len(), 2, "ErrorInfo and BadRequest");
                format!("error {}", status.code)
            }
        })
        .collect();
    assert_eq!(outcomes, ["djo_acme_corp_db", "error 3", "fbs_system_db", "error 3"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn documents_are_read_and_written_in_the_database_that_a_call_names_or_not_at_all() {
    let world = World::new().await;
    let replica = world.replica().await;
    for (solution, own, other) in
        [("acme_corp", ACME_DATABASE, SYSTEM_DATABASE), ("globex", SYSTEM_DATABASE, ACME_DATABASE)]
    {
        let document_id = replica.make(solution, "N").await.document_id;
        for (database, expected) in [(own, Ok(())), (other, Err("DATABASE_MISMATCH".to_owned()))] {
            let solution = solution.to_owned();
            let database = database.to_owned();
            let read = GetDocumentRequest {
                solution: solution.clone(),
                document_id: document_id.clone(),
                database: database.clone(),
            };
            let read = replica.documents().get_document(within(read)).await;
            assert_eq!(read.map(drop).map_err(|status| crate::support::reason(&status).1), expected);
            let write = DeleteDocumentRequest {
                solution,
                document_id: document_id.clone(),
                database,
                ..DeleteDocumentRequest::default()
            };
            let write = replica.documents().delete_document(within(write)).await;
            assert_eq!(write.map(drop).map_err(|status| crate::support::reason(&status).1), expected);
        }
    }
}

/// A column of another type voids the plans of open connections. No caller learns of it.
#[tokio::test(flavor = "multi_thread")]
async fn a_plan_made_before_a_migration_is_made_anew_within_the_call() {
    let world = World::new().await;
    let replica = world.replica().await;
    let id = replica.make("globex", "N").await.document_id;
    let owner = world.platform.cluster.connect(SYSTEM_DATABASE).await.unwrap();
    let migrate = async |kind: &str| {
        let change = format!("ALTER TABLE fbs_document.document ALTER COLUMN approved_by TYPE {kind} COLLATE \"C\"");
        owner.batch_execute(&change).await.unwrap();
    };
    // One call at a time, and so one connection, which has the plan.
    let read = async || replica.get("globex", &id).await.map(|answer| answer.database);
    let write = async || replica.create("globex", "another").await.map(|answer| answer.database);
    read().await.unwrap();
    migrate("varchar").await;
    assert_eq!(read().await.as_deref(), Ok(SYSTEM_DATABASE));
    write().await.unwrap();
    migrate("text").await;
    assert_eq!(write().await.as_deref(), Ok(SYSTEM_DATABASE));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_audit_names_the_epoch_that_was_written_at() {
    let world = World::new().await;
    let replica = world.replica().await;
    replica.make("globex", "N").await;
    replica.make("acme_corp", "N").await;
    for (database, epoch) in [(SYSTEM_DATABASE, 0), (ACME_DATABASE, 1)] {
        let audited = "SELECT epoch FROM fbs_router.audit WHERE action = 'CreateDocument'";
        assert_eq!(world.count(database, audited).await, epoch, "{database}");
    }
}
