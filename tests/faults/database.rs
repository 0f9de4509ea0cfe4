//! One database that is closed, full, renamed, gone, or refuses us: its solution's error, nobody else's, and never the
//! system database.

use fbs_router_sandbox::{
    platform::{ACME_DATABASE, PASSWORD, SYSTEM_DATABASE},
    soon,
};

use super::{Case, DEDICATED, DETACHED, DOWN, MISCONFIGURED, case};
use crate::support::{failure, residue::nothing_is_left};

#[tokio::test(flavor = "multi_thread")]
async fn a_closed_database_is_unavailable_until_it_is_opened_also_over_a_restart() {
    let (case, replica) = case("").await;
    let implementer = case.world.platform.implementer();
    implementer.allow_connections(ACME_DATABASE, false).await.unwrap();
    case.acme_fails(&replica, &[DOWN], Ok(DEDICATED)).await;
    let told = replica.explain("acme_corp").await.steps.pop().unwrap();
    assert!(told.rule == "enter" && told.finding.starts_with("calls fail now"), "{told:?}");
    case.globex_is_served(&replica).await;
    let replica = replica.restart().await;
    case.acme_fails(&replica, &[DOWN], Ok(DEDICATED)).await;
    case.globex_is_served(&replica).await;
    implementer.allow_connections(ACME_DATABASE, true).await.unwrap();
    case.acme_recovers(&replica).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_without_free_connections_is_unavailable_until_there_are_some() {
    let (case, replica) = case("").await;
    let implementer = case.world.platform.implementer();
    implementer.limit_connections(ACME_DATABASE, 0).await.unwrap();
    case.acme_fails(&replica, &[DOWN], Ok(DEDICATED)).await;
    case.globex_is_served(&replica).await;
    let replica = replica.restart().await;
    case.acme_fails(&replica, &[DOWN], Ok(DEDICATED)).await;
    implementer.limit_connections(ACME_DATABASE, -1).await.unwrap();
    case.acme_recovers(&replica).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_renamed_database_is_detached_at_the_next_call_until_it_has_its_name_again() {
    // Scans seldom: the call itself finds out.
    let (case, replica) = case("[routing]\nscan_interval = \"1h\"\n").await;
    let implementer = case.world.platform.implementer();
    implementer.rename(ACME_DATABASE, "elsewhere").await.unwrap();
    case.acme_fails(&replica, &[DETACHED], Err(DETACHED)).await;
    case.globex_is_served(&replica).await;
    let replica = replica.restart().await;
    case.acme_fails(&replica, &[DETACHED], Err(DETACHED)).await;
    let epoch = "SELECT epoch FROM fbs_router.placement WHERE company_id = 'acme_corp' AND placement = 'DEDICATED'";
    assert_eq!(case.count(SYSTEM_DATABASE, epoch).await, 1);
    let replica = replica.restart().await;
    implementer.rename("elsewhere", ACME_DATABASE).await.unwrap();
    let (world, acme, globex) = (case.world, case.acme, case.globex);
    let replica = {
        // Seldom again, so a restart stands for the scan.
        replica.kill().await;
        world.replica().await
    };
    Case { world, acme, globex }.acme_recovers(&replica).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_is_away_is_detached_for_resolve_within_a_scan_and_back_by_itself() {
    let (case, replica) = case("").await;
    let implementer = case.world.platform.implementer();
    implementer.rename(ACME_DATABASE, "elsewhere").await.unwrap();
    soon("Resolve says so", async || match replica.place("acme_corp").await {
        Err(error) if error == failure(DETACHED.0, DETACHED.1) => Ok(()),
        other => Err(format!("{other:?}")),
    })
    .await;
    case.acme_fails(&replica, &[DETACHED], Err(DETACHED)).await;
    implementer.rename("elsewhere", ACME_DATABASE).await.unwrap();
    case.acme_recovers(&replica).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dropped_database_is_detached_and_stays_so() {
    let (case, replica) = case("").await;
    let implementer = case.world.platform.implementer();
    implementer.drop_database(ACME_DATABASE).await.unwrap();
    case.acme_fails(&replica, &[DETACHED], Err(DETACHED)).await;
    case.globex_is_served(&replica).await;
    let replica = replica.restart().await;
    case.acme_fails(&replica, &[DETACHED], Err(DETACHED)).await;
    case.globex_is_served(&replica).await;
    nothing_is_left(&case.world.platform.cluster, &[&replica]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_changed_password_is_misconfigured_for_new_connections_until_it_is_changed_back() {
    let (case, replica) = case("").await;
    let implementer = case.world.platform.implementer();
    implementer.set_password("another").await.unwrap();
    // What is open stays open.
    assert_eq!(replica.get("acme_corp", &case.acme).await.unwrap().database, ACME_DATABASE);
    implementer.end_sessions(ACME_DATABASE).await.unwrap();
    case.acme_fails(&replica, &[MISCONFIGURED], Ok(DEDICATED)).await;
    implementer.end_sessions(SYSTEM_DATABASE).await.unwrap();
    implementer.end_sessions("postgres").await.unwrap();
    case.acme_fails(&replica, &[MISCONFIGURED], Ok(DEDICATED)).await;
    for outcome in replica.calls("globex", &case.globex).await {
        assert_eq!(outcome, Err(failure(MISCONFIGURED.0, MISCONFIGURED.1)));
    }
    implementer.set_password(PASSWORD).await.unwrap();
    case.acme_recovers(&replica).await;
    case.globex_is_served(&replica).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_role_that_may_not_come_in_is_misconfigured_until_it_may() {
    let (case, replica) = case("").await;
    let world = &case.world;
    let revoke = format!("REVOKE CONNECT ON DATABASE {ACME_DATABASE} FROM PUBLIC");
    let grant = format!("GRANT CONNECT ON DATABASE {ACME_DATABASE} TO PUBLIC");
    for (close, open) in
        [(revoke.as_str(), grant.as_str()), ("ALTER ROLE fbs_router NOLOGIN", "ALTER ROLE fbs_router LOGIN")]
    {
        world.run("postgres", close).await;
        // What is open stays open.
        assert_eq!(replica.get("acme_corp", &case.acme).await.unwrap().database, ACME_DATABASE);
        assert_eq!(replica.get("globex", &case.globex).await.unwrap().database, SYSTEM_DATABASE);
        world.platform.implementer().end_sessions(ACME_DATABASE).await.unwrap();
        let before = world.rows(ACME_DATABASE, "acme_corp").await;
        case.acme_fails(&replica, &[MISCONFIGURED], Ok(DEDICATED)).await;
        assert_eq!(replica.get("globex", &case.globex).await.unwrap().database, SYSTEM_DATABASE);
        world.run("postgres", open).await;
        soon("acme_corp is served again", async || match replica.get("acme_corp", &case.acme).await {
            Ok(answer) if answer.database == ACME_DATABASE => Ok(()),
            other => Err(format!("{other:?}")),
        })
        .await;
        assert_eq!(world.rows(ACME_DATABASE, "acme_corp").await, before, "what was refused is not there");
    }
    case.acme_recovers(&replica).await;
    case.globex_is_served(&replica).await;
}
