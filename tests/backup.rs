//! Databases dumped and restored by their owner, as docs/operating.md says.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use fbs_router_proto::document::v1::SearchDocumentsRequest;
use fbs_router_sandbox::{
    platform::{ACME_DATABASE, SYSTEM_DATABASE},
    soon,
};
use tonic::Code;

use crate::support::{Replica, World, failure, transfers::noise};

/// Runs a program of the installation as the owner of the databases.
fn as_owner(world: &World, program: &str, arguments: &[&str]) {
    let cluster = &world.platform.cluster;
    let mut command = Command::new(cluster.binaries().program(program));
    command.arg("-h").arg(cluster.socket_directory()).arg("-p").arg(cluster.port().to_string());
    let output = command.args(["-U", "fbs_owner"]).args(arguments).output().unwrap();
    assert!(output.status.success(), "{program} {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
}

fn dump(world: &World, database: &str) -> PathBuf {
    let file = world.folder.path().join(format!("{database}.dump"));
    as_owner(world, "pg_dump", &["-Fc", "-f", text(&file), database]);
    file
}

async fn restore(world: &World, file: &Path, database: &str) {
    let create = format!("CREATE DATABASE \"{database}\" OWNER fbs_owner");
    world.run("postgres", &create).await;
    as_owner(world, "pg_restore", &["--exit-on-error", "-d", database, text(file)]);
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// What was made before the dump is all there, and can be worked with.
async fn is_whole(replica: &Replica, solution: &str, id: &str, database: &str) {
    soon("it is served again", async || match replica.get(solution, id).await {
        Ok(answer) if answer.database == database => Ok(()),
        other => Err(format!("{other:?}")),
    })
    .await;
    assert_eq!(replica.download(solution, id).await.unwrap().1, noise(300_000));
    let search = SearchDocumentsRequest { solution: solution.into(), query: "before".into(), ..Default::default() };
    let found = replica.documents().search_documents(search).await.unwrap().into_inner();
    assert_eq!(found.results.len(), 1);
    assert_eq!(replica.create(solution, "later").await.unwrap().database, database);
}

async fn made(replica: &Replica, solution: &str) -> String {
    let id = replica.make(solution, "before").await.document_id;
    replica.upload(solution, &id, "file.bin", &noise(300_000)).await.unwrap();
    id
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dedicated_database_restored_by_its_owner_is_used_again_under_its_own_name_alone() {
    let world = World::new().await;
    let replica = world.replica().await;
    let id = made(&replica, "acme_corp").await;
    let file = dump(&world, ACME_DATABASE);
    replica.make("acme_corp", "lost").await;
    world.platform.implementer().drop_database(ACME_DATABASE).await.unwrap();
    restore(&world, &file, ACME_DATABASE).await;
    is_whole(&replica, "acme_corp", &id, ACME_DATABASE).await;
    assert_eq!(world.system_rows("acme_corp").await, 0);
    // The same dump under another solution's name.
    restore(&world, &file, "djo_globex_db").await;
    soon("it is noticed", async || match replica.create("globex", "G-1").await {
        Err(error) if error == failure(Code::FailedPrecondition, "DATABASE_IDENTITY_MISMATCH") => Ok(()),
        other => Err(format!("{other:?}")),
    })
    .await;
    assert_eq!(world.rows("djo_globex_db", "globex").await + world.system_rows("globex").await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_system_database_restored_by_its_owner_serves_its_solutions_and_knows_the_others() {
    let world = World::new().await;
    let replica = world.replica().await;
    let globex = made(&replica, "globex").await;
    let acme = made(&replica, "acme_corp").await;
    let file = dump(&world, SYSTEM_DATABASE);
    let (text, path) = (world.configuration(&world.platform.url(), ""), world.snapshot("router"));
    replica.stop().await;
    world.platform.implementer().drop_database(SYSTEM_DATABASE).await.unwrap();
    restore(&world, &file, SYSTEM_DATABASE).await;
    let replica = Replica::start(&text, &path).await;
    is_whole(&replica, "globex", &globex, SYSTEM_DATABASE).await;
    is_whole(&replica, "acme_corp", &acme, ACME_DATABASE).await;
    assert_eq!(world.system_rows("acme_corp").await, 0);
}
