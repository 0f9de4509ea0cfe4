//! What a router knows is older than what is asked: it asks anew before it refuses for good, and takes what it cannot see
//! for unknown.

use fbs_router_proto::{
    document::v1::GetDocumentRequest,
    router::v1::{
        BatchResolveDatabasesRequest, Placement, ResolveDatabaseRequest, ResolveResult, resolve_result::Outcome,
    },
};
use fbs_router_sandbox::{
    platform::{ACME_DATABASE, SYSTEM_DATABASE},
    soon,
};
use tonic::Code;

use crate::{
    moving::{DEDICATED, GLOBEX, placed, to},
    support::{Replica, World, answered, failure, reason, within},
};

const OWN: &str = "djo_globex_db";
const UNKNOWN: (Code, &str) = (Code::Unavailable, "ROUTE_UNKNOWN");

impl World {
    /// A router that reads catalogs in a database of its own, which [`Self::blinded`] closes.
    async fn easily_blinded(&self) -> Replica {
        self.in_ledger("CREATE DATABASE maintenance").await;
        let url = self.platform.url();
        let text = self.configuration(&url, "");
        let text = text.replace("max_connections", &format!("catalog_url = \"{url}/maintenance\"\nmax_connections"));
        Replica::start(&text, &self.snapshot("blinded")).await
    }

    /// Its catalogs are from before this.
    async fn blinded(&self) {
        let implementer = self.platform.implementer();
        implementer.allow_connections("maintenance", false).await.unwrap();
        implementer.end_sessions("maintenance").await.unwrap();
    }

    async fn sees_again(&self) {
        self.platform.implementer().allow_connections("maintenance", true).await.unwrap();
    }

    /// Changes of the ledger are no longer told, only read by who asks.
    pub(crate) async fn silenced(&self) {
        self.in_ledger(
            "DO $do$ BEGIN
                EXECUTE replace(pg_get_functiondef('fbs_router.number_change'::regproc),
                                'PERFORM pg_notify(''fbs_router_ledger'', '''');', '');
             END $do$",
        )
        .await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fence_that_is_behind_is_opened_also_by_who_scanned_its_server_before_it_was_there() {
    let world = World::new().await;
    let router = world.easily_blinded().await;
    let another = world.replica().await;
    let id = another.make(GLOBEX, "G-1").await.document_id;
    assert_eq!(router.get(GLOBEX, &id).await.unwrap().database, SYSTEM_DATABASE);
    world.blinded().await;
    world.create_own_database(GLOBEX).await;
    soon("it moves", async || another.admin().move_solution(to(Placement::Dedicated)).await).await;
    placed(&another, DEDICATED).await;
    world.in_ledger("UPDATE fbs_router.placement SET epoch = epoch + 1 WHERE company_id = 'globex'").await;
    soon("that is known", async || match router.resolve(GLOBEX).await.map(|route| route.epoch) {
        Ok(2) => Ok(()),
        other => Err(format!("{other:?}")),
    })
    .await;
    assert_eq!(router.get(GLOBEX, &id).await.map(|read| read.database).as_deref(), Ok(OWN));
}

#[tokio::test(flavor = "multi_thread")]
async fn another_oid_than_an_old_scan_lists_is_no_other_database() {
    let world = World::new().await;
    let router = world.easily_blinded().await;
    let another = world.replica().await;
    let id = another.make("acme_corp", "A-1").await.document_id;
    assert_eq!(router.get("acme_corp", &id).await.unwrap().database, ACME_DATABASE);
    world.blinded().await;
    // Restored: the same rows, another oid. The other router sees that, and records it.
    let implementer = world.platform.implementer();
    implementer.allow_connections(ACME_DATABASE, false).await.unwrap();
    implementer.end_sessions(ACME_DATABASE).await.unwrap();
    implementer.allow_connections(ACME_DATABASE, true).await.unwrap();
    world.in_ledger(&format!("ALTER DATABASE {ACME_DATABASE} RENAME TO aside")).await;
    implementer.copy_database("aside", ACME_DATABASE).await.unwrap();
    let adopted = format!(
        "SELECT count(*) FROM fbs_router.placement
          WHERE database_oid = (SELECT oid FROM pg_database WHERE datname = '{ACME_DATABASE}')"
    );
    soon("its oid is recorded", async || {
        let served = another.get("acme_corp", &id).await.map(|read| read.database);
        match (served, world.count(SYSTEM_DATABASE, &adopted).await) {
            (Ok(_), 1) => Ok(()),
            other => Err(format!("{other:?}")),
        }
    })
    .await;
    soon("that is known", async || match router.resolve("acme_corp").await {
        Ok(route) if route.epoch == another.resolve("acme_corp").await.unwrap().epoch => Ok(()),
        other => Err(format!("{other:?}")),
    })
    .await;
    assert_eq!(router.get("acme_corp", &id).await.map(|read| read.database).as_deref(), Ok(ACME_DATABASE));
}

#[tokio::test(flavor = "multi_thread")]
async fn who_names_the_database_that_another_router_told_him_is_served_from_there() {
    let world = World::new().await;
    world.silenced().await;
    let seldom = world.configuration(&world.platform.url(), "[ledger]\npoll_interval = \"1m\"\n");
    let start = async |name: &str| Replica::start(&seldom, &world.snapshot(name)).await;
    let (witness, reader) = (start("witness").await, start("reader").await);
    let (resolver, batcher) = (start("resolver").await, start("batcher").await);
    let another = world.replica().await;
    let id = another.make(GLOBEX, "G-1").await.document_id;
    for router in [&witness, &reader, &resolver, &batcher] {
        assert_eq!(router.get(GLOBEX, &id).await.unwrap().database, SYSTEM_DATABASE);
    }
    world.create_own_database(GLOBEX).await;
    soon("it moves", async || another.admin().move_solution(to(Placement::Dedicated)).await).await;
    placed(&another, DEDICATED).await;
    let named = |database: &str| ResolveDatabaseRequest {
        solution: GLOBEX.into(),
        database: database.into(),
        ..Default::default()
    };
    let get = async |database: &str| {
        let (solution, document_id) = (GLOBEX.to_owned(), id.clone());
        let named = GetDocumentRequest { solution, document_id, database: database.into() };
        reader.documents().get_document(within(named)).await
    };
    let resolve = async |database: &str| resolver.routes().resolve_database(within(named(database))).await;
    let resolve_all = async |database: &str| {
        let requests = vec![named(database), named("")];
        let all = BatchResolveDatabasesRequest { requests };
        let results = batcher.routes().batch_resolve_databases(within(all)).await.unwrap().into_inner().results;
        let name = |result: ResolveResult| match result.outcome {
            Some(Outcome::Resolved(found)) => {
                found.route.and_then(|route| route.database).map(|database| database.name)
            }
            Some(Outcome::Error(_)) | None => None,
        };
        results.into_iter().map(name).collect::<Vec<_>>()
    };
    // The first thing that each is asked: what it would look at behind a call would tell it, too.
    assert_eq!(answered(get(OWN).await.unwrap(), |answer| answer).database, OWN);
    resolve(OWN).await.unwrap();
    // All of them from one table.
    assert_eq!(resolve_all(OWN).await, [Some(OWN.to_owned()), Some(OWN.to_owned())]);
    assert_eq!(witness.place(GLOBEX).await.as_deref(), Ok("SYSTEM fbs_system_db"), "nobody was told");
    let mismatch = failure(Code::FailedPrecondition, "DATABASE_MISMATCH");
    assert_eq!(reason(&get(SYSTEM_DATABASE).await.unwrap_err()), mismatch);
    assert_eq!(reason(&resolve(SYSTEM_DATABASE).await.unwrap_err()), mismatch);
    assert_eq!(resolve_all(SYSTEM_DATABASE).await, [None, Some(OWN.to_owned())]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_first_write_goes_to_the_database_that_was_registered_while_it_waited() {
    let world = World::new().await;
    let router = world.replica().await;
    let holder = world.platform.cluster.connect(SYSTEM_DATABASE).await.unwrap();
    holder.batch_execute("BEGIN; SELECT pg_advisory_xact_lock(fbs_router.solution_lock('newco'))").await.unwrap();
    let (made, ()) = tokio::join!(router.create("newco", "first"), async {
        let waiting = "SELECT count(*) FROM pg_stat_activity
                        WHERE application_name = 'fbs-router' AND wait_event_type = 'Lock'";
        soon("the write waits", async || match world.count(SYSTEM_DATABASE, waiting).await {
            0 => Err("it does not"),
            _ => Ok(()),
        })
        .await;
        world.create_own_database("newco").await;
        world.in_ledger("INSERT INTO fbs_router.registration (company_id, app) VALUES ('newco', 'fbs_dms')").await;
        holder.batch_execute("COMMIT").await.unwrap();
    });
    assert_eq!(made.map(|made| made.database).as_deref(), Ok("djo_newco_db"));
    assert_eq!(world.system_rows("newco").await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_nobody_here_knows_is_no_server_without_the_database() {
    let world = World::new().await;
    let router = world.replica().await;
    // Another router, which has that server, has registered it there.
    let there = "INSERT INTO fbs_router.registration (company_id, app, server, isolation)
                 VALUES ('newco', 'fbs_dms', 'elsewhere', 'preferred')";
    world.in_ledger(there).await;
    let unknown = failure(UNKNOWN.0, UNKNOWN.1);
    soon("that is known", async || match router.place("newco").await {
        Err(found) if found == unknown => Ok(()),
        other => Err(format!("{other:?}")),
    })
    .await;
    assert_eq!(router.create("newco", "first").await.unwrap_err(), unknown);
    assert_eq!(world.system_rows("newco").await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_released_that_only_an_old_scan_misses() {
    let world = World::new().await;
    let router = world.easily_blinded().await;
    let id = router.make("acme_corp", "A-1").await.document_id;
    let implementer = world.platform.implementer();
    implementer.rename(ACME_DATABASE, "away").await.unwrap();
    let detached = failure(Code::FailedPrecondition, "DATABASE_DETACHED");
    soon("it is missed", async || match router.place("acme_corp").await {
        Err(found) if found == detached => Ok(()),
        other => Err(format!("{other:?}")),
    })
    .await;
    world.blinded().await;
    implementer.rename("away", ACME_DATABASE).await.unwrap();
    assert_eq!(router.release("acme_corp").await.unwrap_err(), failure(UNKNOWN.0, UNKNOWN.1));
    world.sees_again().await;
    soon("it is served again", async || match router.get("acme_corp", &id).await {
        Ok(read) if read.database == ACME_DATABASE => Ok(()),
        other => Err(format!("{other:?}")),
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_that_was_proved_before_its_database_was_claimed_proves_it_anew() {
    let world = World::new().await;
    let router = world.replica().await;
    let another = Replica::start(&world.configuration(&world.platform.url(), ""), &world.snapshot("another")).await;
    let holder = world.platform.cluster.connect(ACME_DATABASE).await.unwrap();
    holder.batch_execute("BEGIN; LOCK TABLE fbs_router.identity IN ACCESS EXCLUSIVE MODE").await.unwrap();
    let sessions = |so: &str| {
        format!(
            "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'fbs-router' AND datname = '{ACME_DATABASE}' AND {so}"
        )
    };
    let becomes = async |so: &str| {
        soon(so, async || match world.count(SYSTEM_DATABASE, &sessions(so)).await {
            0 => Err("not yet"),
            _ => Ok(()),
        })
        .await;
    };
    // Its first caller leaves while the connection is being proved: that goes on, and finds nobody's database.
    tokio::select! {
        answer = router.names("acme_corp") => panic!("{answer:?}"),
        () = becomes("wait_event_type = 'Lock'") => {}
    }
    holder.batch_execute("COMMIT").await.unwrap();
    becomes("state = 'idle'").await;
    assert_eq!(world.count(ACME_DATABASE, "SELECT count(*) FROM fbs_router.identity").await, 0);
    let id = another.make("acme_corp", "A-1").await.document_id;
    soon("that is known", async || match router.place("acme_corp").await {
        Ok(place) if place == "DEDICATED djo_acme_corp_db" => Ok(()),
        other => Err(format!("{other:?}")),
    })
    .await;
    assert_eq!(router.get("acme_corp", &id).await.map(|read| read.database).as_deref(), Ok(ACME_DATABASE));
}
