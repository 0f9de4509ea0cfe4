//! The service never creates, alters or drops: Postgres itself is the witness.

use fbs_router_proto::{
    document::v1::{DocumentType, SearchDocumentsRequest},
    router::v1::{BatchResolveDatabasesRequest, ListDatabasesRequest, ListSolutionsRequest, ResolveDatabaseRequest},
};
use fbs_router_sandbox::{
    platform::{ACME_DATABASE, SYSTEM_DATABASE},
    soon,
};

use crate::support::{
    World,
    asking::{creation, definition, deletion, page, rejection, retitle, submission, undeletion},
    draft, within,
};

#[tokio::test(flavor = "multi_thread")]
async fn no_ddl_is_ever_run_as_the_runtime_role() {
    let world = World::new().await;
    world.run("postgres", "ALTER ROLE fbs_router SET log_statement = 'ddl'").await;
    world.run("postgres", "ALTER SYSTEM SET log_line_prefix = 'by=%u '").await;
    world.run("postgres", "SELECT pg_reload_conf()").await;
    let ddl = || {
        let log = std::fs::read_to_string(world.platform.cluster.log_path()).unwrap();
        let lines = log.lines().filter(|line| line.starts_with("by=fbs_router ") && line.contains("LOG:  "));
        let ran = lines.filter(|line| line.contains("statement:") || line.contains("execute"));
        ran.map(str::to_owned).collect::<Vec<_>>()
    };

    let replica = world.replica_with("[documents]\npurge_after = \"2s\"\nrequest_id_ttl = \"1s\"\n").await;
    // Claimed and taken over; in the system database first and with a candidate then; never seen; resolve-only.
    for solution in ["acme_corp", "globex", "initech"] {
        let document = replica.make(solution, "N").await;
        let id = &document.document_id;
        let mut request = creation(solution, draft("M"));
        request.request_id = crate::support::asking::request_id();
        replica.ask_create(request.clone()).await.unwrap();
        replica.ask_create(request).await.unwrap();
        replica.read(solution, id).await.unwrap();
        replica.ask_update(retitle(solution, id, "T")).await.unwrap();
        replica.ask_delete(deletion(solution, id)).await.unwrap();
        replica.ask_undelete(undeletion(solution, id)).await.unwrap();
        replica.upload(solution, id, "a.pdf", b"content").await.unwrap();
        replica.download(solution, id).await.unwrap();
        let pending = replica.ask_submit(submission(solution, id)).await.unwrap();
        replica.ask_reject(rejection(&pending, "no")).await.unwrap();
        let document_type = DocumentType { code: "x".into(), name: "X".into(), ..DocumentType::default() };
        replica.ask_put_type(definition(solution, document_type)).await.unwrap();
        let search = SearchDocumentsRequest { solution: solution.into(), query: "n".into(), ..Default::default() };
        replica.documents().search_documents(within(search)).await.unwrap();
        replica.ask_delete(deletion(solution, id)).await.unwrap();
        for order_by in ["", "name", "title desc", "update_time"] {
            let mut request = page(solution, 1);
            request.order_by = order_by.into();
            replica.pages(&request).await;
        }
        soon("the document is purged", async || replica.read(solution, id).await.map_or(Ok(()), |_| Err("there")))
            .await;
        replica.make(solution, "clears away").await;
        replica.explain(solution).await;
    }
    assert_eq!(replica.place("newco").await.unwrap(), "SYSTEM fbs_system_db");
    world.create_own_database("newco").await;
    assert_eq!(replica.create("newco", "N").await.unwrap().database, "djo_newco_db");
    world.create_own_database("globex").await;
    soon("globex has a candidate", async || replica.resolve("globex").await.unwrap().candidate.ok_or("none")).await;
    world.run("postgres", "CREATE DATABASE fbs_umbrella_db").await;
    let requests = ["odoo", "fbs_app", "fbs_license_manager", ""].map(|app| ResolveDatabaseRequest {
        solution: "umbrella".into(),
        app: app.into(),
        ..Default::default()
    });
    let batch = BatchResolveDatabasesRequest { requests: requests.to_vec() };
    replica.routes().batch_resolve_databases(within(batch)).await.unwrap();
    replica.routes().list_solutions(within(ListSolutionsRequest::default())).await.unwrap();
    replica.routes().list_databases(within(ListDatabasesRequest::default())).await.unwrap();
    // An empty database that is not prepared is looked into, and left alone.
    world.run("postgres", "CREATE DATABASE djo_empty_db OWNER fbs_owner").await;
    replica.make("empty", "N").await;
    let replica = replica.restart().await;
    replica.make("acme_corp", "after a restart").await;
    replica.stop().await;
    assert_eq!(ddl(), [""; 0]);

    // The witness is awake.
    for database in [SYSTEM_DATABASE, ACME_DATABASE] {
        world.as_runtime_role(database).await.batch_execute("CREATE TEMP TABLE control ()").await.unwrap();
    }
    soon("the control is logged", async || match ddl().len() {
        2 => Ok(()),
        _ => Err(format!("{:?}", ddl())),
    })
    .await;
}
