//! One router in process, whom it serves, and how Postgres looks from a connection that is not its own.

use std::collections::BTreeMap;

use fbs_router_proto::document::v1::{Document, GetDocumentRequest, document_service_client::DocumentServiceClient};
use fbs_router_sandbox::{
    platform::{ACME_DATABASE, SYSTEM_DATABASE},
    soon,
};
use prost::bytes::Bytes;
use tokio_postgres::Client;
use tonic::Status;

use super::requests::{Prepared, Write, witness_content};
use crate::support::{
    World,
    asking::{creation, submission},
    draft,
    in_process::{InProcess, Layered},
};

/// One in its own database, two in the shared one, which share its only connection.
pub(super) const SOLUTIONS: [&str; 3] = ["acme_corp", "globex", "initech"];
/// Those that are called; the others look on.
pub(super) const CALLED: [&str; 2] = ["acme_corp", "globex"];

/// Of sessions of routers: those inside a transaction, and their advisory locks.
const INSIDE: &str = "
    SELECT count(*) + (SELECT count(*) FROM pg_locks JOIN pg_stat_activity USING (pid)
                        WHERE locktype = 'advisory' AND application_name = 'fbs-router')
      FROM pg_stat_activity WHERE application_name = 'fbs-router' AND xact_start IS NOT NULL";

/// A router with one connection a database, and a document of each solution.
pub(super) struct Scene {
    router: InProcess,
    clients: BTreeMap<&'static str, Client>,
    witnesses: BTreeMap<&'static str, String>,
    // Last: Postgres outlives whoever talks to it.
    pub(super) world: World,
}

impl Scene {
    /// A router for the server at `url`, or at the platform's own.
    pub(super) async fn new(world: World, url: Option<String>) -> Self {
        let url = url.unwrap_or_else(|| world.platform.url());
        let text = world.configuration(&url, "[pool]\nmax_size = 1\nwait = \"4s\"\n[moving]\nstale_after = \"1s\"\n");
        let router = InProcess::start(&text, &world.snapshot("router"), &[]).await;
        let mut clients = BTreeMap::new();
        for database in [ACME_DATABASE, SYSTEM_DATABASE] {
            clients.insert(database, world.platform.cluster.connect(database).await.unwrap());
        }
        let mut this = Self { router, clients, witnesses: BTreeMap::new(), world };
        for solution in SOLUTIONS {
            let made = this.make(solution, &format!("witness-{solution}")).await;
            let content = futures_util::stream::iter(witness_content(solution, &made.document_id));
            this.documents().upload_content(content).await.unwrap();
            this.witnesses.insert(solution, made.document_id);
        }
        // From here on its route is settled: what the first write recorded was read.
        for solution in SOLUTIONS {
            soon("the record of the first write is read", async || {
                let about = fbs_router_proto::router::v1::ResolveDatabaseRequest {
                    solution: solution.into(),
                    ..Default::default()
                };
                let answer = this.routes().resolve_database(about).await.map_err(|status| format!("{status:?}"))?;
                let route = answer.into_inner().route.unwrap();
                if route.revision > 0 { Ok(()) } else { Err(format!("{route:?}")) }
            })
            .await;
        }
        this
    }

    pub(super) fn documents(&self) -> DocumentServiceClient<Layered> {
        self.router.documents()
    }

    pub(super) fn routes(&self) -> fbs_router_proto::router::v1::router_service_client::RouterServiceClient<Layered> {
        self.router.routes()
    }

    /// Sessions that the router knows of.
    pub(super) fn sessions(&self) -> i64 {
        self.router.sessions()
    }

    /// A call: one future.
    pub(super) async fn call(&self, prepared: &Prepared) -> Result<Vec<Bytes>, Status> {
        self.router.send(&prepared.path, prepared.frames.clone()).await
    }

    pub(super) async fn make(&self, solution: &str, name: &str) -> Document {
        let answer = self.documents().create_document(creation(solution, draft(name))).await;
        answer.unwrap().into_inner().document.unwrap()
    }

    pub(super) async fn submit(&self, solution: &str, document_id: &str) -> Document {
        let answer = self.documents().submit_document(submission(solution, document_id)).await;
        answer.unwrap().into_inner().document.unwrap()
    }

    /// A request for the document of that solution which nobody changes.
    pub(super) fn witness_of(&self, solution: &str) -> GetDocumentRequest {
        let document_id = self.witnesses[solution].clone();
        GetDocumentRequest { solution: solution.into(), document_id, ..GetDocumentRequest::default() }
    }

    /// Audit rows of a method.
    pub(super) async fn audits(&self, solution: &str, method: &str) -> i64 {
        let sql = "SELECT count(*) FROM fbs_router.audit WHERE company_id = $1 AND action = $2";
        self.beside(solution).query_one(sql, &[&solution, &method]).await.unwrap().get(0)
    }

    /// True if the write is done, false if nothing of it is there.
    ///
    /// # Panics
    ///
    /// If it is done in part, or twice.
    pub(super) async fn is_done(&self, solution: &str, write: &Write) -> bool {
        let Write { method, request_id, effect, times, audits_before } = write;
        // One statement, one snapshot: it may be asked while the write goes on.
        let sql = format!(
            "SELECT (SELECT count(*) FROM fbs_router.request_record WHERE company_id = $1 AND request_id::text = $2),
                    (SELECT count(*) FROM fbs_router.audit WHERE company_id = $1 AND action = $3), {effect}"
        );
        let row = self.beside(solution).query_one(&sql, &[&solution, request_id, method]).await.unwrap();
        let found = [0, 1, 2].map(|column| row.get::<_, i64>(column));
        let recorded = i64::from(!request_id.is_empty());
        if found == [0, *audits_before, 0] {
            return false;
        }
        assert_eq!(found, [recorded, audits_before + times, *times], "{method} is done in part, or twice");
        true
    }

    /// Nobody is inside a transaction, or holds a lock or memory, and everybody gets his own over the same connections.
    pub(super) async fn is_quiet(&self) {
        self.is_idle().await;
        self.is_served().await;
    }

    /// Nobody is inside a transaction, or holds a lock or memory.
    pub(super) async fn is_idle(&self) {
        let client = &self.clients[SYSTEM_DATABASE];
        soon("nobody is inside a transaction, or holds a lock or memory", async || {
            let inside: i64 = client.query_one(INSIDE, &[]).await.unwrap().get(0);
            let held = self.router.held();
            if (inside, held) == (0, 0) { Ok(()) } else { Err(format!("{inside} inside, {held} bytes")) }
        })
        .await;
    }

    /// Everybody gets his own, over the same connections.
    pub(super) async fn is_served(&self) {
        for solution in SOLUTIONS {
            // A database that could not be reached is tried again after a moment.
            let answer = soon("a solution is served", async || {
                let answer = self.documents().get_document(self.witness_of(solution)).await;
                answer.map_err(|status| format!("{status:?}"))
            });
            let document = answer.await.into_inner().document.unwrap();
            assert_eq!((&*document.solution, document.name), (solution, format!("witness-{solution}")));
        }
    }

    /// What an upload stored is a document's content, or is removed.
    pub(super) async fn no_bytes_wait(&self, solution: &str) {
        let sql = "SELECT count(*) FROM fbs_document.content WHERE company_id = $1 AND expire_time > now()";
        soon("what was uploaded by somebody who left is given up", async || {
            let waiting: i64 = self.beside(solution).query_one(sql, &[&solution]).await.unwrap().get(0);
            if waiting == 0 { Ok(()) } else { Err(waiting) }
        })
        .await;
    }

    /// Requests recorded under that id.
    pub(super) async fn records(&self, solution: &str, request_id: &str) -> i64 {
        let sql = "SELECT count(*) FROM fbs_router.request_record WHERE company_id = $1 AND request_id::text = $2";
        self.beside(solution).query_one(sql, &[&solution, &request_id]).await.unwrap().get(0)
    }

    pub(super) fn beside(&self, solution: &str) -> &Client {
        &self.clients[if solution == "acme_corp" { ACME_DATABASE } else { SYSTEM_DATABASE }]
    }
}
