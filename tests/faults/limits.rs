//! A Postgres that has no connection left, or no room on its disk.

use fbs_router_proto::document::v1::Document;
use fbs_router_sandbox::{
    Cluster, Options,
    platform::{ACME_DATABASE, SYSTEM_DATABASE},
    soon,
};
use tonic::Code;

use super::{FULL, case, documents};
use crate::support::{Replica, World, asking::creation, draft, failure, residue::nothing_is_left, transfers::noise};

const STORAGE_FULL: (Code, &str) = (Code::ResourceExhausted, "STORAGE_FULL");

/// Whoever has no connection yet is told that there is none, in time, and nobody's rows go elsewhere.
async fn a_cold_solution_finds_no_connection(world: &World, replica: &Replica) {
    let refused = replica.names("newco").await.unwrap_err();
    assert_eq!(refused, failure(FULL.0, FULL.1));
    let refused = replica.create("newco", "nowhere").await.unwrap_err();
    assert_eq!(refused, failure(FULL.0, FULL.1));
    assert_eq!(world.system_rows("newco").await, 0);
    assert_eq!(replica.place("newco").await.as_deref(), Ok("DEDICATED djo_newco_db"));
    assert_eq!(replica.health("").await.unwrap(), 1);
}

async fn newco_recovers(world: &World, replica: &Replica) {
    soon("it finds one again", async || match replica.names("newco").await {
        Ok(names) if names == ["N-1"] => Ok(()),
        other => Err(format!("{other:?}")),
    })
    .await;
    assert_eq!(replica.create("newco", "N-2").await.unwrap().database, "djo_newco_db");
    assert_eq!(world.system_rows("newco").await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_role_without_a_connection_left_is_told_so_and_served_when_it_may_have_some() {
    // Whoever is asked whether he is there still may take his time: nobody would come in his place.
    let (case, replica) = case("[pool]\nrecycle = \"10s\"\n").await;
    let world = &case.world;
    world.create_own_database("newco").await;
    replica.create("newco", "N-1").await.unwrap();
    world.platform.implementer().end_sessions("djo_newco_db").await.unwrap();
    // Those that are open are in use still.
    world.run("postgres", "ALTER ROLE fbs_router CONNECTION LIMIT 0").await;
    assert_eq!(replica.get("acme_corp", &case.acme).await.unwrap().database, ACME_DATABASE);
    a_cold_solution_finds_no_connection(world, &replica).await;
    world.run("postgres", "ALTER ROLE fbs_router CONNECTION LIMIT -1").await;
    newco_recovers(world, &replica).await;
    case.acme_recovers(&replica).await;
    case.globex_is_served(&replica).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_without_a_connection_left_leaves_the_reserved_ones_alone_and_serves_when_there_are_some() {
    let world = World::with(&[("max_connections", "16"), ("superuser_reserved_connections", "3")]).await;
    let replica = world.replica().await;
    let case = documents(world, &replica).await;
    let world = &case.world;
    world.create_own_database("newco").await;
    replica.create("newco", "N-1").await.unwrap();
    // It would give up what it has idle elsewhere, so it has nothing.
    for database in ["djo_newco_db", ACME_DATABASE, SYSTEM_DATABASE] {
        world.platform.implementer().end_sessions(database).await.unwrap();
    }
    soon("catalog and ledger are read again", async || {
        let sessions = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'fbs-router'";
        match world.count("postgres", sessions).await {
            2 => Ok(()),
            other => Err(other),
        }
    })
    .await;
    // Somebody else takes all there are.
    let mut config = world.platform.cluster.superuser_config("postgres");
    config.user("fbs_owner");
    let mut others = Vec::new();
    let watching = world.platform.cluster.connect("postgres").await.unwrap();
    let full = loop {
        // A session that has been told to end has its place for a moment longer, and nobody would have taken that.
        soon("nobody is about to leave", async || {
            let sessions = "SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend'";
            match watching.query_one(sessions, &[]).await.unwrap().get::<_, i64>(0) {
                open if open == 3 + others.len() as i64 => Ok(()),
                open => Err(open),
            }
        })
        .await;
        match config.connect(tokio_postgres::NoTls).await {
            Ok((client, connection)) => {
                tokio::spawn(connection);
                others.push(client);
            }
            Err(error) => break error,
        }
        assert!(others.len() < 16, "there is always one more");
    };
    assert_eq!(full.code(), Some(&tokio_postgres::error::SqlState::TOO_MANY_CONNECTIONS));
    a_cold_solution_finds_no_connection(world, &replica).await;
    // Looked at by a superuser, whose places nobody has taken.
    assert_eq!(world.system_rows("newco").await, 0);
    drop(others);
    newco_recovers(world, &replica).await;
    case.acme_recovers(&replica).await;
    case.globex_is_served(&replica).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_whose_disk_is_full_refuses_writes_serves_reads_and_takes_writes_when_there_is_room() {
    if !Cluster::may_have_small_disk() {
        eprintln!("SKIPPED: this system lets nobody have namespaces of his own, and so no disk to fill");
        return;
    }
    let world = World::on(Options { small_disk_mib: Some(24), ..Options::default() }).await;
    let disk = world.platform.cluster.small_disk();
    world.run("postgres", &format!("CREATE TABLESPACE small LOCATION '{}'", disk.display())).await;
    world.run("postgres", &format!("ALTER DATABASE {ACME_DATABASE} SET TABLESPACE small")).await;
    let replica = world.replica().await;
    let case = documents(world, &replica).await;
    let world = &case.world;
    let content = noise(200_000);
    replica.upload("acme_corp", &case.acme, "before", &content).await.unwrap();

    world.run(ACME_DATABASE, "CREATE TABLE public.filler (bytes text)").await;
    let client = world.platform.cluster.connect(ACME_DATABASE).await.unwrap();
    let fill = async |rows: u32| {
        let fill = format!("INSERT INTO filler SELECT repeat(md5(n::text), 30) FROM generate_series(1, {rows}) n");
        client.batch_execute(&fill).await
    };
    for rows in [100_000, 1_000, 8, 8] {
        let full = fill(rows).await;
        if let Err(error) = full {
            assert_eq!(error.code(), Some(&tokio_postgres::error::SqlState::DISK_FULL), "{error}");
        }
    }
    let full = failure(STORAGE_FULL.0, STORAGE_FULL.1);
    // Pages that were begun have room for a few more.
    let text: String = content[..2_500].iter().map(|byte| format!("{byte:02x}")).collect();
    let large = || Document { description: text.clone(), ..draft("large") };
    let mut made = 0;
    let refused = loop {
        match replica.ask_create(creation("acme_corp", large())).await {
            Ok(_) => made += 1,
            Err(error) => break error,
        }
        assert!(made < 100, "there is always room");
    };
    assert_eq!(refused, full);
    assert_eq!(replica.upload("acme_corp", &case.acme, "after", &content).await.unwrap_err(), full);
    for _ in 0..5 {
        assert_eq!(replica.get("acme_corp", &case.acme).await.unwrap().database, ACME_DATABASE);
        assert!(replica.download("acme_corp", &case.acme).await.unwrap().1 == content);
        assert_eq!(replica.ask_create(creation("acme_corp", large())).await.unwrap_err(), full);
    }
    case.globex_is_served(&replica).await;
    assert_eq!(case.leaked().await, 0);

    client.batch_execute("DROP TABLE filler").await.unwrap();
    replica.ask_create(creation("acme_corp", large())).await.unwrap();
    replica.upload("acme_corp", &case.acme, "after", &content).await.unwrap();
    let documents = "SELECT count(*) FROM fbs_document.document";
    assert_eq!(case.count(ACME_DATABASE, documents).await, 1 + made + 1, "what was refused is not there");
    assert_eq!(case.leaked().await, 0);
    assert_eq!(world.rows(SYSTEM_DATABASE, "acme_corp").await, 0);
    nothing_is_left(&world.platform.cluster, &[&replica]).await;
}
