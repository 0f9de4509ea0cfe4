//! A role for each solution: the credential itself is the boundary, and Postgres keeps it.

use fbs_router_sandbox::{
    implementer::OWNER,
    platform::{ACME_DATABASE, SYSTEM_DATABASE},
};
use fbs_router_schema::Purpose;
use tonic::Code;

use crate::support::{World, failure};

/// What the implementer does for a solution whose database only its own role may enter.
async fn shut(world: &World, solution: &str) {
    let (role, database) = (format!("sol_{solution}_rt"), format!("djo_{solution}_db"));
    let password = format!("secret of {solution}");
    let create = format!("CREATE ROLE {role} LOGIN NOINHERIT PASSWORD '{password}'");
    world.run("postgres", &create).await;
    let mut owner = world.platform.cluster.connect_as(OWNER, &database).await.unwrap();
    fbs_router_schema::apply(&mut owner, &Purpose::Solution(solution.to_owned()), &role).await.unwrap();
    let grants =
        format!("REVOKE CONNECT ON DATABASE {database} FROM PUBLIC; GRANT CONNECT ON DATABASE {database} TO {role}");
    world.run("postgres", &grants).await;
    let folder = world.folder.path().join("roles");
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join(role), format!("{password}\n")).unwrap();
}

fn lines(world: &World) -> String {
    format!(
        "[[app]]\nname = \"fbs_dms\"\npattern = \"djo_{{solution}}_db\"\nsystem_database = \"{SYSTEM_DATABASE}\"\n\
         role = \"sol_{{solution}}_rt\"\nrole_passwords = \"{}\"\n",
        world.folder.path().join("roles").display()
    )
}

/// Sessions in a database of anybody but `role`, superusers apart.
async fn strangers(world: &World, database: &str, role: &str) -> i64 {
    let sql = format!(
        "SELECT count(*) FROM pg_stat_activity JOIN pg_roles ON rolname = usename \
         WHERE datname = '{database}' AND usename <> '{role}' AND NOT rolsuper"
    );
    world.count("postgres", &sql).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_that_is_led_to_anothers_database_is_refused_by_postgres_itself() {
    let world = World::new().await;
    world.create_own_database("globex").await;
    shut(&world, "acme_corp").await;
    shut(&world, "globex").await;
    let replica = world.replica_with(&lines(&world)).await;
    // Looked into, claimed, taken over and written to, each as its own role; the shared ones as the router's.
    for (solution, database, role) in [
        ("acme_corp", ACME_DATABASE, "sol_acme_corp_rt"),
        ("globex", "djo_globex_db", "sol_globex_rt"),
        ("initech", SYSTEM_DATABASE, "fbs_router"),
    ] {
        assert_eq!(replica.create(solution, "N-1").await.unwrap().database, database);
        assert_eq!(replica.names(solution).await.unwrap(), ["N-1"]);
        assert_eq!(strangers(&world, database, role).await, 0, "{database}");
    }

    // A mistake of the ledger: acme_corp is said to live where globex does.
    let forged = "CREATE TEMPORARY TABLE forged AS
             SELECT database_oid, database_uuid FROM fbs_router.placement WHERE company_id = 'globex';
         DELETE FROM fbs_router.placement WHERE company_id = 'globex';
         UPDATE fbs_router.placement
            SET database_name = 'djo_globex_db', database_oid = forged.database_oid,
                database_uuid = forged.database_uuid, epoch = epoch + 1
           FROM forged WHERE company_id = 'acme_corp'";
    world.in_ledger(forged).await;
    let refused = failure(Code::FailedPrecondition, "DATABASE_MISCONFIGURED");
    fbs_router_sandbox::soon("the ledger is read again", async || match replica.names("acme_corp").await {
        Err(error) if error == refused => Ok(()),
        other => Err(format!("{other:?}")),
    })
    .await;
    assert_eq!(replica.create("acme_corp", "N-2").await.unwrap_err(), refused);
    let log = std::fs::read_to_string(world.platform.cluster.log_path()).unwrap();
    assert!(log.contains("permission denied for database \"djo_globex_db\""), "Postgres refused, not we");
    assert_eq!(world.rows("djo_globex_db", "acme_corp").await, 0);
    assert_eq!(world.system_rows("acme_corp").await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_role_changes_its_password_without_a_restart_and_is_never_sent_the_routers() {
    let world = World::new().await;
    shut(&world, "acme_corp").await;
    let replica = world.replica_with(&lines(&world)).await;
    let id = replica.create("acme_corp", "N-1").await.unwrap().message.document_id;

    world.run("postgres", "ALTER ROLE sol_acme_corp_rt PASSWORD 'next'").await;
    world.platform.implementer().end_sessions(ACME_DATABASE).await.unwrap();
    let refused = failure(Code::FailedPrecondition, "DATABASE_MISCONFIGURED");
    assert_eq!(replica.get("acme_corp", &id).await.unwrap_err(), refused);
    let file = world.folder.path().join("roles/sol_acme_corp_rt");
    std::fs::write(&file, "next").unwrap();
    fbs_router_sandbox::soon("the next password is used", async || {
        replica.get("acme_corp", &id).await.map(drop).map_err(|error| format!("{error:?}"))
    })
    .await;

    // Without its file it has no password: the router's would fit here, and is not tried.
    let own = format!("ALTER ROLE sol_acme_corp_rt PASSWORD '{}'", fbs_router_sandbox::platform::PASSWORD);
    world.run("postgres", &own).await;
    std::fs::remove_file(&file).unwrap();
    world.platform.implementer().end_sessions(ACME_DATABASE).await.unwrap();
    assert_eq!(replica.get("acme_corp", &id).await.unwrap_err(), refused);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_password_is_tried_now_and_then_and_is_nobody_elses_trouble() {
    let world = World::new().await;
    world.create_own_database("globex").await;
    shut(&world, "acme_corp").await;
    shut(&world, "globex").await;
    let file = world.folder.path().join("roles/sol_acme_corp_rt");
    let replica = world.replica_with(&lines(&world)).await;
    replica.create("acme_corp", "A-1").await.unwrap();
    world.run("postgres", "ALTER ROLE sol_acme_corp_rt PASSWORD 'another'").await;
    world.platform.implementer().end_sessions(ACME_DATABASE).await.unwrap();
    let refused = futures_util::future::join_all((0..200).map(|_| replica.names("acme_corp"))).await;
    let misconfigured = failure(Code::FailedPrecondition, "DATABASE_MISCONFIGURED");
    let full = failure(Code::ResourceExhausted, "POOL_EXHAUSTED");
    let told = refused.into_iter().map(Result::unwrap_err);
    let told = told.inspect(|error| assert!([&misconfigured, &full].contains(&error)));
    assert!(told.filter(|error| *error == misconfigured).count() > 100);
    let log = std::fs::read_to_string(world.platform.cluster.log_path()).unwrap();
    let tries = log.matches("password authentication failed for user \"sol_acme_corp_rt\"").count();
    assert!((1..40).contains(&tries), "tried {tries} times for 200 callers");
    let metrics = crate::support::wire::metrics(replica.ops).await;
    assert_eq!(metrics["fbs_router_databases_refusing{server=\"main\"}"], 1.0);
    assert_eq!(metrics["fbs_router_server_unreachable{server=\"main\"}"], 0.0);
    replica.create("globex", "G-1").await.unwrap();
    // Mended where it is read, and noticed without a restart.
    std::fs::write(&file, "another").unwrap();
    fbs_router_sandbox::soon("the new password is used", async || match replica.names("acme_corp").await {
        Ok(names) if names == ["A-1"] => Ok(()),
        other => Err(format!("{other:?}")),
    })
    .await;
}
