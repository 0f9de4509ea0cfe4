//! What there is: solutions and databases, as far as they are recorded or listed.

use fbs_router_proto::router::v1::{
    ListDatabasesRequest, ListSolutionsRequest, Placement, Solution, candidate, list_databases_response::Entry, route,
};
use fbs_router_sandbox::platform::{ACME_DATABASE, SYSTEM_DATABASE, TEMPLATE_DATABASE};
use tonic::Code;

use crate::support::{
    Replica, World,
    asking::{Refusal, refusal},
    failure, within,
};

impl Replica {
    async fn solutions(&self, mut request: ListSolutionsRequest) -> Result<Vec<Solution>, Refusal> {
        let mut solutions = Vec::new();
        loop {
            let answer = self.routes().list_solutions(within(request.clone())).await;
            let page = answer.map_err(|status| refusal(&status))?.into_inner();
            solutions.extend(page.solutions);
            if page.next_page_token.is_empty() {
                return Ok(solutions);
            }
            request.page_token = page.next_page_token;
        }
    }

    async fn solution_ids(&self, request: ListSolutionsRequest) -> Vec<String> {
        self.solutions(request).await.unwrap().into_iter().map(|solution| solution.solution).collect()
    }

    async fn databases(&self, app: &str, page_size: i32) -> Result<Vec<Entry>, Refusal> {
        let mut request = ListDatabasesRequest { app: app.into(), page_size, ..Default::default() };
        let mut entries = Vec::new();
        loop {
            let answer = self.routes().list_databases(within(request.clone())).await;
            let page = answer.map_err(|status| refusal(&status))?.into_inner();
            entries.extend(page.entries);
            if page.next_page_token.is_empty() {
                return Ok(entries);
            }
            request.page_token = page.next_page_token;
        }
    }
}

fn all() -> ListSolutionsRequest {
    ListSolutionsRequest::default()
}

/// Where and in which state, of the documents app.
fn stands(solutions: &[Solution], id: &str) -> (Placement, route::State, String) {
    let solution = solutions.iter().find(|solution| solution.solution == id).expect(id);
    let route = solution.routes.iter().find(|route| route.app == "fbs_dms").expect("a route");
    (route.placement(), route.state(), route.database.as_ref().unwrap().name.clone())
}

#[tokio::test(flavor = "multi_thread")]
async fn solutions_are_listed_as_they_stand_and_a_list_changes_nothing() {
    let world = World::new().await;
    let replica = world.replica().await;
    // Nothing was called for: one database is listed, and nobody decides about it for a list.
    let fresh = replica.solutions(all()).await.unwrap();
    assert_eq!(fresh.len(), 1);
    let undecided = (Placement::Dedicated, route::State::Unknown, ACME_DATABASE.to_owned());
    assert_eq!(stands(&fresh, "acme_corp"), undecided);
    assert_eq!(world.count(SYSTEM_DATABASE, "SELECT count(*) FROM fbs_router.placement").await, 0);

    replica.make("acme_corp", "N").await;
    replica.make("globex", "N").await;
    world.create_own_database("gone").await;
    replica.make("gone", "N").await;
    world.create_own_database("stays").await;
    world.run("postgres", "ALTER DATABASE djo_stays_db RENAME TO parked").await;
    replica.make("stays", "N").await;
    world.run("postgres", "ALTER DATABASE parked RENAME TO djo_stays_db").await;
    assert_eq!(replica.resolve("stays").await.unwrap().candidate.map(|found| found.reason()), None);
    world.platform.implementer().rename("djo_gone_db", "elsewhere").await.unwrap();
    world.run("postgres", "CREATE DATABASE fbs_erp_db").await;
    let listed = fbs_router_sandbox::soon("all is as it was made", async || {
        let listed = replica.solutions(all()).await.unwrap();
        let candidate = listed.iter().find(|solution| solution.solution == "stays").and_then(|found| {
            let route = found.routes.iter().find(|route| route.app == "fbs_dms")?;
            route.candidate.as_ref().map(|candidate| candidate.reason())
        });
        let erp = listed.iter().any(|solution| solution.solution == "erp" && solution.routes[0].revision > 0);
        if candidate == Some(candidate::Reason::RowsInSystemDatabase) && erp {
            Ok(listed)
        } else {
            // Looked into by a call for it, in the background.
            let _ = replica.resolve("stays").await;
            Err(format!("{listed:?}"))
        }
    })
    .await;
    let ids: Vec<&str> = listed.iter().map(|solution| solution.solution.as_str()).collect();
    assert_eq!(ids, ["acme_corp", "erp", "globex", "gone", "stays"]);
    let active = |placement, database: &str| (placement, route::State::Active, database.to_owned());
    assert_eq!(stands(&listed, "acme_corp"), active(Placement::Dedicated, ACME_DATABASE));
    assert_eq!(stands(&listed, "globex"), active(Placement::System, SYSTEM_DATABASE));
    assert_eq!(stands(&listed, "stays"), active(Placement::System, SYSTEM_DATABASE));
    let detached = (Placement::Dedicated, route::State::Detached, "djo_gone_db".to_owned());
    assert_eq!(stands(&listed, "gone"), detached);
    let erp = &listed[1].routes[0];
    assert_eq!((erp.app.as_str(), erp.placement()), ("odoo", Placement::Dedicated));
    assert!(listed.iter().all(|solution| !solution.dedicated_only));

    // Each filter lets through what meets it.
    let with = async |change: &dyn Fn(&mut ListSolutionsRequest)| {
        let mut request = ListSolutionsRequest { page_size: 1, ..all() };
        change(&mut request);
        replica.solution_ids(request).await
    };
    assert_eq!(with(&|_| {}).await, ids, "pages are complete");
    assert_eq!(with(&|request| request.prefix = "g".into()).await, ["globex", "gone"]);
    assert_eq!(with(&|request| request.set_placement(Placement::System)).await, ["globex", "stays"]);
    assert_eq!(with(&|request| request.states = vec![route::State::Detached.into()]).await, ["gone"]);
    assert_eq!(with(&|request| request.with_candidate = true).await, ["stays"]);
    assert_eq!(with(&|request| request.prefix = "nobody".into()).await, [""; 0]);
    let negative = replica.solutions(ListSolutionsRequest { page_size: -1, ..all() }).await.unwrap_err();
    assert_eq!(negative, failure(Code::InvalidArgument, "FIELD_INVALID"));
    let forged = replica.solutions(ListSolutionsRequest { page_token: "x".into(), ..all() }).await.unwrap_err();
    assert_eq!(forged, failure(Code::InvalidArgument, "PAGE_TOKEN_INVALID"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shared_solution_known_from_a_snapshot_alone_is_not_said_to_be_active() {
    let world = World::new().await;
    let replica = world.replica().await;
    replica.make("globex", "N").await;
    world.snapshot_holds("globex").await;
    let active = (Placement::System, route::State::Active, SYSTEM_DATABASE.to_owned());
    assert_eq!(stands(&replica.solutions(all()).await.unwrap(), "globex"), active);
    // The ledger is out of reach: calls for it are ROUTE_UNKNOWN, and the list says so.
    world.platform.implementer().allow_connections(SYSTEM_DATABASE, false).await.unwrap();
    let replica = replica.restart().await;
    assert_eq!(replica.place("globex").await.unwrap_err(), failure(Code::Unavailable, "ROUTE_UNKNOWN"));
    let unknown = (Placement::System, route::State::Unknown, SYSTEM_DATABASE.to_owned());
    assert_eq!(stands(&replica.solutions(all()).await.unwrap(), "globex"), unknown);
}

#[tokio::test(flavor = "multi_thread")]
async fn databases_are_what_a_migration_has_to_visit() {
    let world = World::new().await;
    let replica = world.replica().await;
    replica.make("acme_corp", "N").await;
    replica.make("globex", "N").await;
    world.create_own_database("newco").await;
    // Not prepared yet: the more a migration has to visit it.
    world.run("postgres", "CREATE DATABASE djo_raw_db OWNER fbs_owner").await;
    world.run("postgres", "CREATE DATABASE fbs_erp_db").await;
    for page_size in [0, 1, 2] {
        let entries = replica.databases("", page_size).await.unwrap();
        let found: Vec<(&str, &str)> = entries
            .iter()
            .map(|entry| (entry.database.as_ref().unwrap().name.as_str(), entry.solution.as_str()))
            .collect();
        let expected =
            [(SYSTEM_DATABASE, ""), (ACME_DATABASE, "acme_corp"), ("djo_newco_db", "newco"), ("djo_raw_db", "raw")];
        assert_eq!(found, expected, "created just now, and neither templates nor others' databases");
        assert!(!found.iter().any(|(name, _)| *name == TEMPLATE_DATABASE));
        let versions: Vec<(i32, i32)> =
            entries.iter().map(|entry| (entry.schema_version, entry.wanted_schema_version)).collect();
        let newest = fbs_router_schema::DOCUMENTS_VERSION;
        assert_eq!(versions, [(newest, newest), (newest, newest), (0, newest), (0, newest)]);
        let acme = entries[1].database.as_ref().unwrap();
        assert!(acme.oid > 0 && acme.system_identifier > 0 && acme.port > 0 && !acme.database_id.is_empty());
    }
    // A recorded database that is gone is named all the same: a migration must not take it for done.
    world.platform.implementer().rename(ACME_DATABASE, "elsewhere").await.unwrap();
    let entries = replica.databases("fbs_dms", 0).await.unwrap();
    assert!(entries.iter().any(|entry| entry.solution == "acme_corp"));
    let odoo = replica.databases("odoo", 0).await.unwrap();
    let names: Vec<&str> = odoo.iter().map(|entry| entry.database.as_ref().unwrap().name.as_str()).collect();
    assert_eq!(names, [SYSTEM_DATABASE, "fbs_erp_db"]);
    assert!(odoo.iter().all(|entry| (entry.schema_version, entry.wanted_schema_version) == (0, 0)));
    assert_eq!(replica.databases("fbs_license_manager", 0).await.unwrap().len(), 1);
    let unknown = replica.databases("nothing", 0).await.unwrap_err();
    assert_eq!(unknown, failure(Code::NotFound, "APP_UNKNOWN"));
}
