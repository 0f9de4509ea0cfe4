//! What a caller hears whose database is being closed or is not open yet: he is served or told to come back. A conflict is
//! said only where ledger and fence contradict each other.

use fbs_router_proto::{admin::v1::MoveSolutionRequest, router::v1::Placement};
use fbs_router_sandbox::{
    platform::{ACME_DATABASE, SYSTEM_DATABASE},
    soon,
};
use tonic::Code;

use super::{DEDICATED, GLOBEX, OWN, moves_soon, placed, to};
use crate::support::{Replica, World, failure};

/// The ledger as who takes a move back leaves it and is stopped before he has opened the fence.
const TAKEN_BACK: &str = "UPDATE fbs_router.placement SET epoch = epoch + 1 WHERE placement = 'DEDICATED'";

/// The next move begins, and freezes: as `move_begin.sql` and `freeze.sql` do.
const BEGUN: &str =
    "UPDATE fbs_router.placement SET move_id = '00000000-0000-4000-8000-000000000002', move_direction = 'SYSTEM'
                      WHERE company_id = 'globex'";
const FROZEN: &str = "UPDATE fbs_router.fence SET state = 'FROZEN', move_id = '00000000-0000-4000-8000-000000000002'
                       WHERE company_id = 'globex' AND epoch = 2 AND state = 'ACTIVE'";

/// A move that fell silent is taken back soon, and not before its test has seen it.
const PATIENT: &str = "[moving]\nstale_after = \"4s\"\n";

/// Waits until so many statements of routers wait for a lock in a database.
async fn waiting(world: &World, database: &str, many: i64) {
    let waiting = format!(
        "SELECT count(*) FROM pg_stat_activity
          WHERE application_name = 'fbs-router' AND datname = '{database}' AND wait_event_type = 'Lock'"
    );
    soon("statements wait for a lock", async || match world.count(database, &waiting).await {
        found if found == many => Ok(()),
        found => Err(found),
    })
    .await;
}

/// Waits until the fence of the own database is so.
async fn fences(world: &World, so: &str) {
    let fence = format!("SELECT count(*) FROM fbs_router.fence WHERE {so}");
    soon(so, async || match world.count(OWN, &fence).await {
        1 => Ok(()),
        other => Err(other),
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_caller_whom_two_moves_refuse_one_after_the_other_is_told_to_come_back() {
    let world = World::new().await;
    let replica = world.replica_with(PATIENT).await;
    let id = replica.make(GLOBEX, "G-1").await.document_id;
    world.create_own_database(GLOBEX).await;
    moves_soon(&replica, to(Placement::Dedicated)).await;
    placed(&replica, DEDICATED).await;
    let cluster = &world.platform.cluster;
    let (fence, documents) = (cluster.connect(OWN).await.unwrap(), cluster.connect(OWN).await.unwrap());

    // A first move was taken back, and its fence is about to be opened, by the caller himself.
    fence.batch_execute("BEGIN; SELECT FROM fbs_router.fence FOR UPDATE").await.unwrap();
    world.in_ledger(TAKEN_BACK).await;
    soon("that is known", async || match replica.resolve(GLOBEX).await.map(|route| route.epoch) {
        Ok(2) => Ok(()),
        other => Err(format!("{other:?}")),
    })
    .await;
    let (told, ()) = tokio::join!(replica.get(GLOBEX, &id), async {
        waiting(&world, OWN, 1).await;
        documents.batch_execute("BEGIN; LOCK TABLE fbs_document.document IN ACCESS EXCLUSIVE MODE").await.unwrap();
        fence.batch_execute("COMMIT").await.unwrap();
        fences(&world, "state = 'ACTIVE' AND epoch = 2").await;
        // His second try is on its way, and a second move begins.
        waiting(&world, OWN, 1).await;
        world.in_ledger(BEGUN).await;
        world.platform.implementer().run(OWN, FROZEN).await.unwrap();
        documents.batch_execute("COMMIT").await.unwrap();
    });
    assert_eq!(told.map(|read| read.database), Err(failure(Code::Unavailable, "ROUTE_MOVING")));
    // Its mover has fallen silent: it is taken back like the first.
    soon("he is served", async || replica.get(GLOBEX, &id).await.map_err(|error| format!("{error:?}"))).await;
    assert_eq!(replica.resolve(GLOBEX).await.unwrap().epoch, 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fence_that_is_behind_is_opened_also_by_who_never_scanned_its_server() {
    let world = World::new().await;
    let replica = world.replica().await;
    let id = replica.make("acme_corp", "A-1").await.document_id;
    replica.stop().await;
    world.in_ledger(TAKEN_BACK).await;
    // Where catalogs are read.
    world.in_ledger("ALTER DATABASE postgres ALLOW_CONNECTIONS false").await;
    let text = world.configuration(&world.platform.url(), "");
    let replica = Replica::start_unready(&text, &world.snapshot("another")).await;
    let database = soon("it is served", async || match replica.get("acme_corp", &id).await {
        Ok(read) => Ok(read.database),
        // Nothing was read yet.
        Err((Code::Unavailable, reason)) => Err(reason),
        Err(other) => panic!("{other:?}"),
    })
    .await;
    assert_eq!(database, ACME_DATABASE);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_move_opens_a_fence_that_is_behind_before_it_closes_it() {
    let world = World::new().await;
    let replica = world.replica().await;
    let id = replica.make(GLOBEX, "G-1").await.document_id;
    world.create_own_database(GLOBEX).await;
    moves_soon(&replica, to(Placement::Dedicated)).await;
    world.in_ledger(TAKEN_BACK).await;
    // Nobody has called since.
    replica.moves(to(Placement::System)).await;
    assert_eq!(replica.get(GLOBEX, &id).await.unwrap().database, SYSTEM_DATABASE);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_purge_opens_a_fence_that_is_behind() {
    let world = World::new().await;
    let replica = world.replica().await;
    replica.make(GLOBEX, "G-1").await;
    world.create_own_database(GLOBEX).await;
    moves_soon(&replica, to(Placement::Dedicated)).await;
    world.in_ledger(TAKEN_BACK).await;
    // Nobody has called since.
    replica.moves(MoveSolutionRequest { purge: true, ..to(Placement::Dedicated) }).await;
    assert_eq!(world.system_rows(GLOBEX).await, 0);
    fences(&world, "state = 'ACTIVE' AND epoch = 2").await;
}

/// The next move freezes what a router has just opened, before it can look again.
const FROZEN_AT_ONCE: &str = "
    CREATE FUNCTION public.freeze_at_once() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        UPDATE fbs_router.fence SET state = 'FROZEN', move_id = '00000000-0000-4000-8000-000000000002' WHERE epoch = 2;
        RETURN NULL;
    END $$;
    CREATE TRIGGER at_once AFTER UPDATE ON fbs_router.fence
        FOR EACH ROW WHEN (NEW.state = 'ACTIVE' AND NEW.epoch = 2) EXECUTE FUNCTION public.freeze_at_once();";

#[tokio::test(flavor = "multi_thread")]
async fn a_release_between_two_moves_gives_nothing_up() {
    let world = World::new().await;
    world.silenced().await;
    let replica = world.replica_with(&format!("{PATIENT}[ledger]\npoll_interval = \"1m\"\n")).await;
    let id = replica.make(GLOBEX, "G-1").await.document_id;
    world.create_own_database(GLOBEX).await;
    moves_soon(&replica, to(Placement::Dedicated)).await;
    placed(&replica, DEDICATED).await;
    let fence = world.platform.cluster.connect(OWN).await.unwrap();
    fence.batch_execute(FROZEN_AT_ONCE).await.unwrap();

    fence.batch_execute("BEGIN; SELECT FROM fbs_router.fence FOR UPDATE").await.unwrap();
    world.in_ledger(TAKEN_BACK).await;
    let (told, ()) = tokio::join!(replica.release(GLOBEX), async {
        // It opens the fence that is behind; before it asks whether that admits anybody, the next move has closed it.
        waiting(&world, OWN, 1).await;
        world.in_ledger(BEGUN).await;
        fence.batch_execute("COMMIT").await.unwrap();
    });
    assert_eq!(told.map(drop), Err(failure(Code::Unavailable, "ROUTE_MOVING")));
    soon("it is served", async || replica.get(GLOBEX, &id).await.map_err(|error| format!("{error:?}"))).await;
    assert_eq!(replica.place(GLOBEX).await.as_deref(), Ok(DEDICATED));
}
