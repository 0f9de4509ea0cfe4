//! What an operator does by commands alone: moves, registers, releases, and decides about servers.

use fbs_router_sandbox::{
    platform::{ACME_DATABASE, SYSTEM_DATABASE},
    soon,
};
use serde_json::Value;

use crate::{
    cli::{Said, Shell},
    support::World,
};

/// What a command that must be done has printed.
fn done(said: Said) -> String {
    assert_eq!((said.code, said.err.as_str()), (Some(0), ""), "{said:?}");
    said.out
}

/// What a command that must fail says of it.
fn failed(said: Said) -> String {
    assert_eq!(said.code, Some(1), "{said:?}");
    assert!(said.err.starts_with("error: "), "{said:?}");
    said.err
}

/// Which database serves the documents of a solution, and how many there are.
async fn served(shell: &Shell, solution: &str) -> (String, usize) {
    let listed = shell.json(solution, &["list", "--all"]).await;
    let database = listed["served"]["database"].as_str().unwrap().to_owned();
    (database, listed["documents"].as_array().unwrap().len())
}

async fn create(shell: &Shell, solution: &str, count: usize) {
    for number in 0..count {
        shell.documents(solution, &["create", "--name", &format!("N-{number}"), "--title", "T"]).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_solution_is_moved_to_its_own_database_and_back_by_commands_alone() {
    let world = World::new().await;
    let replica = world.replica().await;
    let shell = Shell::new(&replica).await;
    create(&shell, "globex", 3).await;
    world.create_own_database("globex").await;
    soon("globex is listed with what it waits for", async || {
        let waiting = done(shell.run(&["routes", "--refresh", "--with-candidate"]).await);
        done(shell.run(&["resolve", "globex"]).await);
        if waiting.contains("rows in system database") { Ok(()) } else { Err(waiting) }
    })
    .await;

    let to_dedicated = ["move", "globex", "--to", "dedicated"];
    let with = |more: &[&'static str]| [&to_dedicated[..], more].concat();
    let rows = world.system_rows("globex").await;
    done(shell.run(&with(&["--dry-run"])).await);
    assert_eq!(served(&shell, "globex").await, (SYSTEM_DATABASE.to_owned(), 3), "a dry run moves nothing");

    let told = done(shell.run(&to_dedicated).await);
    assert!(told.lines().any(|line| line.starts_with("done ")), "{told}");
    assert!(told.contains("fbs-router move globex --to dedicated --purge"), "{told}");
    assert_eq!(served(&shell, "globex").await, ("djo_globex_db".to_owned(), 3));
    assert_eq!(world.system_rows("globex").await, rows, "the old rows stay");
    done(shell.run(&with(&["--purge"])).await);
    assert_eq!(world.system_rows("globex").await, 0);
    assert_eq!(served(&shell, "globex").await, ("djo_globex_db".to_owned(), 3));

    create(&shell, "globex", 1).await;
    let told = done(shell.run(&["move", "globex", "--to", "system", "--json"]).await);
    let last: Value = serde_json::from_str(told.lines().last().unwrap()).unwrap();
    assert_eq!(last["step"], "STEP_DONE", "{told}");
    assert_eq!(served(&shell, "globex").await, (SYSTEM_DATABASE.to_owned(), 4));
    let route = shell.asked(&["resolve", "globex"]).await;
    assert_eq!((&route["route"]["placement"], &route["route"]["epoch"]), (&"PLACEMENT_SYSTEM".into(), &"2".into()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_solution_without_a_database_of_its_own_is_not_moved() {
    let world = World::new().await;
    let replica = world.replica().await;
    let shell = Shell::new(&replica).await;
    create(&shell, "globex", 1).await;
    failed(shell.run(&["move", "globex", "--to", "dedicated"]).await);
    assert_eq!(served(&shell, "globex").await, (SYSTEM_DATABASE.to_owned(), 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_is_gone_is_given_up_only_when_its_solution_was_typed_twice() {
    let world = World::new().await;
    let replica = world.replica().await;
    let shell = Shell::new(&replica).await;
    create(&shell, "acme_corp", 1).await;
    world.platform.implementer().drop_database(ACME_DATABASE).await.unwrap();
    done(shell.run(&["routes", "--refresh"]).await);
    let detached = shell.run(&["resolve", "acme_corp"]).await;
    assert!(detached.err.contains("DATABASE_DETACHED"), "{detached:?}");
    assert!(detached.err.contains("fbs-router release SOLUTION --confirm SOLUTION"), "{detached:?}");

    assert_eq!(shell.run(&["release", "acme_corp"]).await.code, Some(2));
    assert!(failed(shell.run(&["resolve", "acme_corp"]).await).contains("DATABASE_DETACHED"), "nothing was given up");

    let released = shell.asked(&["release", "acme_corp", "--confirm", "acme_corp"]).await;
    let routes = released["solution"]["routes"].as_array().unwrap();
    let route = routes.iter().find(|route| route["database"]["name"] == SYSTEM_DATABASE).unwrap();
    assert_eq!((&route["placement"], &route["epoch"]), (&"PLACEMENT_SYSTEM".into(), &"2".into()));
    assert_eq!(served(&shell, "acme_corp").await, (SYSTEM_DATABASE.to_owned(), 0));
    let again = shell.asked(&["release", "acme_corp", "--confirm", "acme_corp"]).await;
    assert_eq!(again, released, "once more changes nothing further");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_registration_decides_whether_a_solution_may_share_and_what_its_database_is_called() {
    let world = World::new().await;
    let replica = world.replica().await;
    let shell = Shell::new(&replica).await;
    let registered = done(shell.run(&["register", "globex", "--isolation", "required"]).await);
    assert!(registered.starts_with("solution   globex\nisolation  required\n"), "{registered}");
    let alone = shell.run(&["documents", "create", "-s", "globex", "--name", "N", "--title", "T"]).await;
    assert!(failed(alone).contains("fbs-router register SOLUTION --isolation preferred"));
    let registered = done(shell.run(&["register", "globex", "--isolation", "preferred"]).await);
    assert!(registered.contains("isolation  preferred\n"), "{registered}");
    create(&shell, "globex", 1).await;
    assert_eq!(served(&shell, "globex").await, (SYSTEM_DATABASE.to_owned(), 1));

    // A name that is a system database's is refused, and the refusal changes nothing.
    failed(shell.run(&["register", "initech", "--database", SYSTEM_DATABASE]).await);
    let template = fbs_router_sandbox::platform::TEMPLATE_DATABASE;
    world.platform.implementer().copy_database(template, "initech_archive").await.unwrap();
    let registered = shell.asked(&["register", "initech", "--server", "main", "--database", "initech_archive"]).await;
    assert_eq!(registered["solution"]["dedicatedOnly"], true);
    soon("initech is served from the registered name", async || {
        let said = shell.run(&["documents", "list", "-s", "initech", "--json"]).await;
        if said.code == Some(0) && said.out.contains("\"initech_archive\"") { Ok(()) } else { Err(format!("{said:?}")) }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_holds_placements_is_not_forgotten_and_no_other_cluster_is_accepted() {
    let world = World::new().await;
    let replica = world.replica().await;
    let shell = Shell::new(&replica).await;
    create(&shell, "acme_corp", 1).await;
    failed(shell.run(&["server", "remove", "main"]).await);
    failed(shell.run(&["server", "remove", "nobody"]).await);
    failed(shell.run(&["server", "accept", "main", "--system-identifier", "7"]).await);
    let route = shell.asked(&["resolve", "acme_corp"]).await;
    let identifier = route["route"]["database"]["systemIdentifier"].as_str().unwrap();
    let accepted = done(shell.run(&["server", "accept", "main", "--system-identifier", identifier]).await);
    assert_eq!(accepted, format!("main is accepted as cluster {identifier}\n"));
    assert_eq!(served(&shell, "acme_corp").await, (ACME_DATABASE.to_owned(), 1));
}
