//! Databases that lose their names, or trade them, under the calls of many through three replicas: refused while it is so,
//! for the stated reason, and served again by themselves; what was acknowledged is there once, and nowhere else.

mod load;

use fbs_router_sandbox::platform::{ACME_DATABASE, SYSTEM_DATABASE};
use tonic::Code;

use self::load::{Load, Scene, Solution};
use crate::{identity::MISMATCH, support::World};

const DETACHED: (Code, &str) = (Code::FailedPrecondition, "DATABASE_DETACHED");
const DOWN: (Code, &str) = (Code::Unavailable, "DATABASE_UNAVAILABLE");
/// Of a write without a request id whose COMMIT was on its way.
const NOBODY_KNOWS: (Code, &str) = (Code::Unknown, "OUTCOME_UNKNOWN");

const INITECH_DATABASE: &str = "djo_initech_db";
/// So that calls come before the scan that tells.
const SELDOM: &str = "[routing]\nscan_interval = \"3s\"\n[pool]\nwait = \"12s\"\ncreate = \"12s\"\n";
const OFTEN: &str = "[pool]\nwait = \"12s\"\ncreate = \"12s\"\n";

#[tokio::test(flavor = "multi_thread")]
async fn a_database_renamed_away_and_back_under_load_is_detached_meanwhile_and_disturbs_nobody_else() {
    let world = World::new().await;
    let solutions = vec![Solution::new("acme_corp", ACME_DATABASE), Solution::new("globex", SYSTEM_DATABASE)];
    let load = Load::start(&world, OFTEN, solutions).await;
    let implementer = world.platform.implementer();
    let story = async {
        load.enough(true).await;
        for _ in 0..2 {
            load.begin(Scene::Changing(&[DETACHED, DOWN, NOBODY_KNOWS]));
            implementer.rename(ACME_DATABASE, "elsewhere").await.unwrap();
            // At the next call, whoever asks; a scan is not waited for.
            load.begin(Scene::Refused(&[DETACHED]));
            load.enough(false).await;
            load.refused_everywhere(DETACHED).await;
            load.begin(Scene::Changing(&[DETACHED, DOWN]));
            implementer.rename("elsewhere", ACME_DATABASE).await.unwrap();
            load.served_everywhere().await;
            load.begin(Scene::Served);
            load.enough(true).await;
        }
        load.end();
    };
    tokio::join!(load.go_on(), story, load.nothing_leaks(&world));
    load.is_accounted_for(&world).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_databases_that_trade_names_under_load_serve_nobody_until_they_trade_back() {
    let world = World::new().await;
    world.create_own_database("initech").await;
    let solutions = vec![
        Solution::new("acme_corp", ACME_DATABASE),
        Solution::new("initech", INITECH_DATABASE),
        Solution::new("globex", SYSTEM_DATABASE),
    ];
    let load = Load::start(&world, SELDOM, solutions).await;
    trade(&world, &load, INITECH_DATABASE).await;
    load.is_accounted_for(&world).await;
}

/// In all the same but its uuid and oid: solution, ledger, schema, and a fence that admits.
#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_trades_names_with_its_twin_under_load_is_refused_until_they_trade_back() {
    let world = World::new().await;
    let solutions = vec![Solution::new("acme_corp", ACME_DATABASE), Solution::new("globex", SYSTEM_DATABASE)];
    let load = Load::start(&world, SELDOM, solutions).await;
    let implementer = world.platform.implementer();
    implementer.allow_connections(ACME_DATABASE, false).await.unwrap();
    implementer.copy_database(ACME_DATABASE, "twin").await.unwrap();
    implementer.allow_connections(ACME_DATABASE, true).await.unwrap();
    world.run("twin", "UPDATE fbs_router.identity SET database_uuid = gen_random_uuid()").await;
    load.served_everywhere().await;
    let before = world.rows("twin", "acme_corp").await;
    trade(&world, &load, "twin").await;
    load.is_accounted_for(&world).await;
    assert_eq!(world.rows("twin", "acme_corp").await, before, "something was written into the twin");
}

/// Lets acme's database trade names with another under load, and back: name by name, and at once, when nothing but a
/// connection can tell until the next scan.
async fn trade(world: &World, load: &Load, other: &str) {
    const MEANWHILE: &[(Code, &str)] = &[DETACHED, MISMATCH, DOWN, NOBODY_KNOWS];
    let implementer = world.platform.implementer();
    let swap = async |at_once: bool| {
        if at_once {
            implementer.swap_names_at_once(ACME_DATABASE, other).await.unwrap();
        } else {
            implementer.swap_names(ACME_DATABASE, other).await.unwrap();
        }
    };
    let story = async {
        load.enough(true).await;
        for at_once in [false, true] {
            load.begin(Scene::Changing(MEANWHILE));
            swap(at_once).await;
            // Whoever saw a name missing says so until the next scan.
            load.begin(Scene::Refused(&[DETACHED, MISMATCH, DOWN]));
            load.enough(false).await;
            load.refused_everywhere(MISMATCH).await;
            load.begin(Scene::Refused(&[MISMATCH]));
            load.enough(false).await;
            load.begin(Scene::Changing(MEANWHILE));
            swap(at_once).await;
            load.served_everywhere().await;
            load.begin(Scene::Served);
            load.enough(true).await;
        }
        load.end();
    };
    tokio::join!(load.go_on(), story, load.nothing_leaks(world));
}
