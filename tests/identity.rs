//! The database is proved, not assumed: whatever answers to the right name and is another is refused, and never
//! served as empty.

use fbs_router_sandbox::{
    Cluster, Implementer,
    platform::{ACME_DATABASE, SYSTEM_DATABASE, TEMPLATE_DATABASE},
    soon,
};
use tonic::Code;

use crate::support::{Replica, World, failure, other_cluster};

pub(crate) const MISMATCH: (Code, &str) = (Code::FailedPrecondition, "DATABASE_IDENTITY_MISMATCH");
pub(crate) const CONFLICT: (Code, &str) = (Code::FailedPrecondition, "PLACEMENT_CONFLICT");
const MISCONFIGURED: (Code, &str) = (Code::FailedPrecondition, "DATABASE_MISCONFIGURED");
const UNKNOWN: (Code, &str) = (Code::Unavailable, "ROUTE_UNKNOWN");
const DOWN: (Code, &str) = (Code::Unavailable, "DATABASE_UNAVAILABLE");

/// No write is served from now on, and within a scan every call fails so, Resolve too.
pub(crate) async fn refused(replica: &Replica, solution: &str, document_id: &str, expected: (Code, &str)) {
    let expected = failure(expected.0, expected.1);
    if let Ok(answer) = replica.create(solution, "nowhere").await {
        panic!("something was written for {solution}, in {}", answer.database);
    }
    soon("Resolve refuses, too", async || match replica.place(solution).await {
        Err(error) if error == expected => Ok(()),
        other => Err(format!("{other:?}")),
    })
    .await;
    for outcome in replica.calls(solution, document_id).await {
        assert_eq!(outcome.as_ref(), Err(&expected), "{solution}");
    }
}

pub(crate) async fn served_again(replica: &Replica, solution: &str, document_id: &str, database: &str) {
    soon("it is served again", async || match replica.get(solution, document_id).await {
        Ok(answer) if answer.database == database => Ok(()),
        other => Err(format!("{other:?}")),
    })
    .await;
}

async fn count(world: &World, database: &str, sql: &str) -> i64 {
    world.platform.implementer().count(database, sql).await.unwrap()
}

/// All documents of a database, whoever's.
const DOCUMENTS: &str = "SELECT count(*) FROM fbs_document.document";

/// `acme_corp` and `initech`, each in its own database, and the ids of a document of each.
pub(crate) async fn neighbours() -> (World, Replica, [String; 2]) {
    let world = World::new().await;
    let replica = world.replica().await;
    world.create_own_database("initech").await;
    let acme = replica.create("acme_corp", "A-1").await.unwrap().message.document_id;
    let initech = replica.create("initech", "I-1").await.unwrap().message.document_id;
    (world, replica, [acme, initech])
}

#[tokio::test(flavor = "multi_thread")]
async fn databases_that_traded_names_are_refused_for_every_call_and_heal_when_they_trade_back() {
    let (world, replica, [acme, initech]) = neighbours().await;
    let implementer = world.platform.implementer();
    implementer.swap_names(ACME_DATABASE, "djo_initech_db").await.unwrap();
    refused(&replica, "acme_corp", &acme, MISMATCH).await;
    refused(&replica, "initech", &initech, MISMATCH).await;
    let replica = replica.restart().await;
    refused(&replica, "acme_corp", &acme, MISMATCH).await;
    assert_eq!(replica.create("globex", "G-1").await.unwrap().database, SYSTEM_DATABASE);
    assert_eq!(
        count(&world, ACME_DATABASE, "SELECT count(*) FROM fbs_document.document WHERE company_id = 'initech'").await,
        1
    );
    for database in [ACME_DATABASE, "djo_initech_db"] {
        assert_eq!(count(&world, database, DOCUMENTS).await, 1, "{database}");
    }
    implementer.swap_names(ACME_DATABASE, "djo_initech_db").await.unwrap();
    served_again(&replica, "acme_corp", &acme, ACME_DATABASE).await;
    served_again(&replica, "initech", &initech, "djo_initech_db").await;
    assert_eq!(replica.names("acme_corp").await.unwrap(), ["A-1"]);
    assert_eq!(replica.names("initech").await.unwrap(), ["I-1"]);
    assert_eq!(world.system_rows("acme_corp").await + world.system_rows("initech").await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_made_anew_under_its_name_is_refused_and_never_claimed_or_served_as_empty() {
    let world = World::new().await;
    let replica = world.replica().await;
    let acme = replica.create("acme_corp", "A-1").await.unwrap().message.document_id;
    let implementer = world.platform.implementer();
    implementer.drop_database(ACME_DATABASE).await.unwrap();
    implementer.copy_database(TEMPLATE_DATABASE, ACME_DATABASE).await.unwrap();
    refused(&replica, "acme_corp", &acme, MISMATCH).await;
    let replica = replica.restart().await;
    refused(&replica, "acme_corp", &acme, MISMATCH).await;
    assert_eq!(count(&world, ACME_DATABASE, DOCUMENTS).await, 0);
    let identities = "SELECT count(*) FROM fbs_router.identity";
    assert_eq!(count(&world, ACME_DATABASE, identities).await, 0, "claimed, though the pair has a database");
    assert_eq!(world.system_rows("acme_corp").await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_restored_under_its_own_name_is_served_by_itself_and_its_oid_is_recorded() {
    let world = World::new().await;
    let replica = world.replica().await;
    let acme = replica.create("acme_corp", "A-1").await.unwrap().message.document_id;
    let before = replica.resolve("acme_corp").await.unwrap();
    let implementer = world.platform.implementer();
    implementer.allow_connections(ACME_DATABASE, false).await.unwrap();
    implementer.copy_database(ACME_DATABASE, "restored").await.unwrap();
    implementer.drop_database(ACME_DATABASE).await.unwrap();
    implementer.rename("restored", ACME_DATABASE).await.unwrap();
    served_again(&replica, "acme_corp", &acme, ACME_DATABASE).await;
    assert_eq!(replica.names("acme_corp").await.unwrap(), ["A-1"]);
    assert_eq!(replica.create("acme_corp", "A-2").await.unwrap().epoch, 1);
    let oid = count(&world, "postgres", "SELECT oid::bigint FROM pg_database WHERE datname = 'djo_acme_corp_db'").await;
    let recorded = "SELECT database_oid::bigint FROM fbs_router.placement WHERE company_id = 'acme_corp'";
    assert_eq!(count(&world, SYSTEM_DATABASE, recorded).await, oid);
    let after = replica.resolve("acme_corp").await.unwrap().database.unwrap();
    assert_eq!(i64::from(after.oid), oid);
    assert_eq!(after.database_id, before.database.unwrap().database_id);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_of_anothers_database_is_refused_and_shows_nothing() {
    let world = World::new().await;
    let replica = world.replica().await;
    let acme = replica.create("acme_corp", "A-1").await.unwrap().message.document_id;
    let implementer = world.platform.implementer();
    implementer.allow_connections(ACME_DATABASE, false).await.unwrap();
    implementer.copy_database(ACME_DATABASE, "djo_evil_db").await.unwrap();
    implementer.allow_connections(ACME_DATABASE, true).await.unwrap();
    refused(&replica, "evil", &acme, MISMATCH).await;
    served_again(&replica, "acme_corp", &acme, ACME_DATABASE).await;
    assert_eq!(world.system_rows("evil").await, 0);
    let records = "SELECT count(*) FROM fbs_router.placement WHERE company_id = 'evil'";
    assert_eq!(count(&world, SYSTEM_DATABASE, records).await, 0);
    assert_eq!(count(&world, "djo_evil_db", DOCUMENTS).await, 1);
    // It is his when it has an identity of its own.
    implementer.drop_database("djo_evil_db").await.unwrap();
    world.create_own_database("evil").await;
    soon("evil has its own", async || match replica.create("evil", "E-1").await {
        Ok(answer) if answer.database == "djo_evil_db" => Ok(()),
        other => Err(format!("{other:?}")),
    })
    .await;
    assert_eq!(replica.names("evil").await.unwrap(), ["E-1"]);
}

// === several servers ===

fn second(world: &World, cluster: &Cluster) -> String {
    let url = fbs_router_sandbox::platform::url(cluster.socket_directory(), cluster.port());
    let password = world.folder.path().join("password");
    format!("[[server]]\nname = \"second\"\nurl = \"{url}\"\npassword_file = \"{}\"\n", password.display())
}

pub(crate) async fn create_on(cluster: &Cluster, solution: &str) {
    let name = format!("djo_{solution}_db");
    Implementer::new(cluster).copy_database(TEMPLATE_DATABASE, &name).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_on_the_second_server_is_used_and_one_on_both_is_refused() {
    let (world, other) = tokio::join!(World::new(), other_cluster());
    let replica = world.replica_with(&second(&world, &other)).await;
    create_on(&other, "far").await;
    let far = replica.create("far", "F-1").await.unwrap();
    assert_eq!((far.database.as_str(), far.epoch), ("djo_far_db", 1));
    assert_eq!(replica.resolve("far").await.unwrap().database.unwrap().server, "second");
    assert_eq!(Implementer::new(&other).count("djo_far_db", DOCUMENTS).await.unwrap(), 1);

    create_on(&other, "both").await;
    world.create_own_database("both").await;
    refused(&replica, "both", &far.message.document_id, MISCONFIGURED).await;
    assert_eq!(world.system_rows("both").await, 0);
    // A recorded pair is looked for on its own server only.
    create_on(&other, "acme_corp").await;
    assert_eq!(
        replica.create("acme_corp", "A-1").await.map(|answer| answer.database),
        Err(failure(MISCONFIGURED.0, MISCONFIGURED.1))
    );
    world.create_own_database("far").await;
    served_again(&replica, "far", &far.message.document_id, "djo_far_db").await;
    assert_eq!(replica.resolve("far").await.unwrap().database.unwrap().server, "second");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_out_of_reach_makes_its_own_and_unrecorded_solutions_unknown_and_no_others() {
    let (world, other) = tokio::join!(World::new(), other_cluster());
    // Recorded before there was a second server.
    let replica = world.replica().await;
    let acme = replica.create("acme_corp", "A-1").await.unwrap().message.document_id;
    let globex = replica.create("globex", "G-1").await.unwrap().message.document_id;
    replica.kill().await;

    // Never reached since the start.
    other.stop().await.unwrap();
    let replica = world.replica_with(&second(&world, &other)).await;
    served_again(&replica, "acme_corp", &acme, ACME_DATABASE).await;
    served_again(&replica, "globex", &globex, SYSTEM_DATABASE).await;
    refused(&replica, "initech", &acme, UNKNOWN).await;
    assert_eq!(world.system_rows("initech").await, 0);

    // It appears: its first database is used by the first call that can be answered.
    other.start_again().await.unwrap();
    create_on(&other, "initech").await;
    let created = soon("initech is served", async || match replica.create("initech", "I-1").await {
        Err((Code::Unavailable, reason)) if reason == "ROUTE_UNKNOWN" => Err(reason),
        answered => Ok(answered.expect("unknown, or served")),
    })
    .await;
    assert_eq!(created.database, "djo_initech_db");

    // Down again: its error is an error.
    other.kill().await.unwrap();
    for outcome in replica.calls("initech", &created.message.document_id).await {
        assert_eq!(outcome, Err(failure(DOWN.0, DOWN.1)));
    }
    assert_eq!(replica.place("initech").await.as_deref(), Ok("DEDICATED djo_initech_db"));
    served_again(&replica, "acme_corp", &acme, ACME_DATABASE).await;
    let fresh = replica.create("umbrella", "U-1").await.map(|answer| answer.database);
    assert_eq!(fresh, Err(failure(UNKNOWN.0, UNKNOWN.1)));
    assert_eq!(world.system_rows("initech").await + world.system_rows("umbrella").await, 0);
    assert_eq!(replica.health("").await.unwrap(), 1);

    // A configuration that lacks a server which holds placements is not ready, and sends nobody elsewhere.
    replica.kill().await;
    let text = world.configuration(&world.platform.url(), "");
    let replica = Replica::start_unready(&text, &world.snapshot("router")).await;
    refused(&replica, "initech", &created.message.document_id, MISCONFIGURED).await;
    soon("it is not ready", async || match replica.health("").await {
        Ok(2) => Ok(()),
        other => Err(format!("{other:?}")),
    })
    .await;
    assert_eq!(world.system_rows("initech").await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_answers_for_another_cluster_is_refused_with_all_its_databases() {
    let (world, other) = tokio::join!(World::new(), other_cluster());
    let third = other_cluster().await;
    let replica = world.replica_with(&second(&world, &other)).await;
    create_on(&other, "far").await;
    let far = replica.create("far", "F-1").await.unwrap().message.document_id;
    replica.create("acme_corp", "A-1").await.unwrap();
    replica.kill().await;
    // One with a database of that name, and one without.
    for listed in [false, true] {
        if listed {
            create_on(&third, "far").await;
        }
        create_on(&third, if listed { "near" } else { "stray" }).await;
        let replica = world.replica_with(&second(&world, &third)).await;
        refused(&replica, "far", &far, MISMATCH).await;
        // What it lists for others is not theirs either.
        refused(&replica, if listed { "near" } else { "stray" }, &far, MISMATCH).await;
        assert_eq!(replica.create("acme_corp", "A-2").await.unwrap().database, ACME_DATABASE);
        replica.kill().await;
    }
    assert_eq!(Implementer::new(&third).count("djo_far_db", DOCUMENTS).await.unwrap(), 0);
    for solution in ["far", "near", "stray"] {
        assert_eq!(world.system_rows(solution).await, 0);
    }
    let replica = world.replica_with(&second(&world, &other)).await;
    served_again(&replica, "far", &far, "djo_far_db").await;
}

// === a ledger from yesterday ===

#[tokio::test(flavor = "multi_thread")]
async fn a_ledger_restored_from_yesterday_never_routes_by_itself_what_it_has_forgotten() {
    let world = World::new().await;
    let replica = world.replica().await;
    let globex = replica.create("globex", "G-1").await.unwrap().message.document_id;
    let yesterday = count(&world, SYSTEM_DATABASE, "SELECT change_number FROM fbs_router.ledger").await;
    let acme = replica.create("acme_corp", "A-1").await.unwrap().message.document_id;
    world.snapshot_holds(ACME_DATABASE).await;

    world
        .in_ledger(&format!(
            "BEGIN; SET LOCAL session_replication_role = replica;
             DELETE FROM fbs_router.placement WHERE change_number > {yesterday};
             DELETE FROM fbs_router.fence WHERE company_id = 'acme_corp';
             DELETE FROM fbs_router.ledger_change WHERE change_number > {yesterday};
             UPDATE fbs_router.ledger SET (change_number, change_uuid) =
                 (SELECT change_number, change_uuid FROM fbs_router.ledger_change ORDER BY change_number DESC LIMIT 1);
             COMMIT"
        ))
        .await;
    world.platform.implementer().end_sessions(SYSTEM_DATABASE).await.unwrap();

    // A process that has seen more.
    soon("the running replica notices", async || match replica.place("acme_corp").await {
        Err(error) if error == failure(CONFLICT.0, CONFLICT.1) => Ok(()),
        other => Err(format!("{other:?}")),
    })
    .await;
    refused(&replica, "acme_corp", &acme, CONFLICT).await;
    served_again(&replica, "globex", &globex, SYSTEM_DATABASE).await;
    // The restored ledger goes on into another future, beyond the number that was seen.
    for number in 0..4 {
        let created = replica.create(&format!("later{number}"), "L").await.unwrap();
        assert_eq!(created.database, SYSTEM_DATABASE);
    }
    refused(&replica, "acme_corp", &acme, CONFLICT).await;
    // One whose snapshot has.
    let replica = replica.restart().await;
    refused(&replica, "acme_corp", &acme, CONFLICT).await;
    served_again(&replica, "globex", &globex, SYSTEM_DATABASE).await;
    replica.kill().await;
    // And one that knows nothing: the fence has.
    let text = world.configuration(&world.platform.url(), "");
    let replica = Replica::start(&text, &world.snapshot("fresh")).await;
    refused(&replica, "acme_corp", &acme, CONFLICT).await;
    served_again(&replica, "globex", &globex, SYSTEM_DATABASE).await;
    assert_eq!(world.system_rows("acme_corp").await, 0);
    assert_eq!(count(&world, ACME_DATABASE, DOCUMENTS).await, 1);
}
