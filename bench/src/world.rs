//! What all servers of a run work on: a private Postgres with two ledgers, documents, and a table without protection.

use std::{
    cell::Cell,
    fs,
    path::{Path, PathBuf},
};

use fbs_router_proto::router::v1::ResolveDatabaseResponse;
use fbs_router_sandbox::{
    Platform,
    platform::{ACME_DATABASE, PASSWORD, SYSTEM_DATABASE},
};
use fbs_router_schema::Purpose;
use prost::Message;
use tempfile::TempDir;

use crate::{
    Outcome,
    child::Child,
    load::{Load, Shape},
    rows::calls,
    servers::Kind,
};

/// The solution whose documents are read and written.
pub(crate) const SOLUTION: &str = "acme_corp";
/// The solution with many documents.
pub(crate) const SHELF: &str = "shelf";
/// Connections to one database, for every server: fbs-router's default.
pub(crate) const POOL: usize = 8;
/// Documents to read.
pub(crate) const DOCUMENTS: u64 = 1_000;
/// Recorded placements in the ledger, and in the small one.
pub(crate) const PLACEMENTS: u64 = 10_000;
pub(crate) const FEW_PLACEMENTS: u64 = 10;

/// Files in the folder that children are given.
pub(crate) const ROUTER: &str = "router.toml";
pub(crate) const SMALL_ROUTER: &str = "small.toml";
pub(crate) const ROUTE: &str = "route.bin";
pub(crate) const URL: &str = "url";

const SMALL_LEDGER: &str = "small_system_db";

/// Copied for the databases of a crowd.
const TEMPLATE: &str = "town_template";

/// A prepared Postgres and the children's folder. Dropped, nothing stays.
pub(crate) struct World {
    platform: Platform,
    folder: TempDir,
    stage: Cell<Stage>,
}

/// How much there is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stage {
    /// Placements in the ledger.
    pub(crate) recorded: u64,
    /// Databases of solutions besides those, at least: [`town`].
    pub(crate) databases: u64,
}

impl World {
    /// Makes everything that a run needs.
    pub(crate) async fn new() -> Outcome<Self> {
        let platform = Platform::scratch(&cache()?, false).await?;
        let stage = Cell::new(Stage { recorded: PLACEMENTS, databases: 0 });
        let this = Self { platform, folder: tempfile::tempdir()?, stage };
        this.write_files()?;
        let implementer = this.platform.implementer();
        implementer.create_database(SMALL_LEDGER).await?;
        implementer.apply(SMALL_LEDGER, Purpose::System).await?;
        implementer.run(SYSTEM_DATABASE, &record_placements(PLACEMENTS)).await?;
        implementer.run(SMALL_LEDGER, &record_placements(FEW_PLACEMENTS)).await?;
        this.take_over().await?;
        implementer.run(ACME_DATABASE, &documents()).await?;
        implementer.create_database(TEMPLATE).await?;
        implementer.apply(TEMPLATE, Purpose::Template).await?;
        Ok(this)
    }

    /// Makes as much as `stage` says. No service may run meanwhile.
    pub(crate) async fn set(&self, stage: Stage) -> Outcome<()> {
        let before = self.stage.get();
        if stage.recorded != before.recorded {
            self.run(SYSTEM_DATABASE, &forget_placements()).await?;
            self.run(SYSTEM_DATABASE, &record_placements(stage.recorded)).await?;
        }
        for number in before.databases..stage.databases {
            self.create_town(&town(number + 1)).await?;
        }
        self.stage.set(Stage { databases: stage.databases.max(before.databases), ..stage });
        Ok(())
    }

    /// Makes a solution's own database, which nobody has claimed.
    pub(crate) async fn create_town(&self, solution: &str) -> Outcome<()> {
        Ok(self.platform.implementer().copy_database(TEMPLATE, &town_database(solution)).await?)
    }

    /// Runs SQL as the superuser.
    pub(crate) async fn run(&self, database: &str, sql: &str) -> Outcome<()> {
        Ok(self.platform.implementer().run(database, sql).await?)
    }

    /// A connection as the superuser.
    pub(crate) async fn superuser(&self) -> Outcome<tokio_postgres::Client> {
        Ok(self.platform.cluster.connect("postgres").await?)
    }

    /// For a peer that connects by itself.
    pub(crate) fn connection(&self, database: &str) -> Outcome<tokio_postgres::Config> {
        let mut config: tokio_postgres::Config = self.platform.url().parse()?;
        config.password(PASSWORD).dbname(database);
        Ok(config)
    }

    /// What children are given.
    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The process whose children do the database's work.
    pub(crate) async fn postmaster(&self) -> Outcome<u32> {
        self.platform.cluster.postmaster().await.ok_or_else(|| "Postgres has ended".into())
    }

    /// Its version.
    pub(crate) fn postgres_version(&self) -> String {
        self.platform.cluster.binaries().version.to_string()
    }

    /// A shelf of `count` documents for each of two solutions in the system database, so that an index that is not bound
    /// to a solution would read twice as much. Each `caseN` is in
    /// 1 of 1,000; `weekly` too, and in every document of the neighbour.
    pub(crate) async fn fill_shelves(&self, count: u64) -> Outcome<()> {
        let implementer = self.platform.implementer();
        for solution in [SHELF, "neighbour"] {
            implementer.run(SYSTEM_DATABASE, &shelf(solution, count)).await?;
        }
        implementer.run(SYSTEM_DATABASE, "ANALYZE fbs_document.document").await?;
        Ok(())
    }

    fn write_files(&self) -> Outcome<()> {
        let file = |name: &str| self.folder().join(name);
        let url = self.platform.url();
        fs::write(file("password"), PASSWORD)?;
        fs::write(file(URL), &url)?;
        let router = format!(
            "[listen]\ngrpc = \"127.0.0.1:0\"\n[[server]]\nname = \"main\"\nurl = \"{url}\"\n\
             password_file = \"{}\"\n[ledger]\nsnapshot = \"\"\n[pool]\nmax_size = {POOL}\n",
            file("password").display()
        );
        let small = format!(
            "[[app]]\nname = \"fbs_dms\"\npattern = \"djo_{{solution}}_db\"\nsystem_database = \"{SMALL_LEDGER}\"\n"
        );
        fs::write(file(SMALL_ROUTER), router.clone() + &small)?;
        fs::write(file(ROUTER), router)?;
        Ok(())
    }

    /// The first call makes the router take over the solution's own database. A route as it is answered is kept for
    /// the peers, whose answers are to be as long.
    async fn take_over(&self) -> Outcome<()> {
        let child = Child::start(Kind::Ours, self.folder())?;
        let shape = Shape { connections: 1, in_flight: 1 };
        let (_, answer) = Load::connect(child.address(), shape, calls::resolve(&[SOLUTION.to_owned()])?).await?;
        let route = ResolveDatabaseResponse::decode(answer)?.route.ok_or("an answer without a route")?;
        if route.database.is_none_or(|database| database.name != ACME_DATABASE) {
            return Err("the solution's own database was not taken over".into());
        }
        let (_, answer) = Load::connect(child.address(), shape, calls::resolve(&[recorded(1)])?).await?;
        fs::write(self.folder().join(ROUTE), answer)?;
        Ok(())
    }
}

/// The n-th recorded solution, from 1.
pub(crate) fn recorded(number: u64) -> String {
    format!("solution_{number:05}")
}

/// The n-th solution of a crowd, from 1.
pub(crate) fn town(number: u64) -> String {
    format!("town_{number:04}")
}

/// Its own database.
pub(crate) fn town_database(solution: &str) -> String {
    format!("djo_{solution}_db")
}

/// The id of the n-th document, from 1.
pub(crate) fn document_id(number: u64) -> String {
    format!("00000000-0000-4000-8000-{number:012x}")
}

/// Placements as if each had been taken over. All name one database: a recorded one has to be listed, and 10,000
/// databases would measure Postgres. No uuid, which only one of them could have.
fn record_placements(count: u64) -> String {
    format!(
        "BEGIN;
         SET LOCAL session_replication_role = replica;
         INSERT INTO fbs_router.server (server, system_identifier, change_number)
         SELECT 'main', system_identifier::text, 1 FROM pg_control_system() ON CONFLICT DO NOTHING;
         INSERT INTO fbs_router.placement
                (company_id, app, placement, epoch, server, database_name, database_oid, change_number)
         SELECT 'solution_' || lpad(number::text, 5, '0'), 'fbs_dms', 'DEDICATED', 1, 'main', datname, oid, number + 1
           FROM pg_database, generate_series(1, {count}) AS number WHERE datname = '{ACME_DATABASE}';
         UPDATE fbs_router.ledger SET change_number = change_number + {count} + 1, change_uuid = gen_random_uuid();
         INSERT INTO fbs_router.ledger_change (change_number, change_uuid)
         SELECT change_number, change_uuid FROM fbs_router.ledger;
         COMMIT"
    )
}

fn forget_placements() -> String {
    "BEGIN;
     SET LOCAL session_replication_role = replica;
     DELETE FROM fbs_router.placement WHERE company_id LIKE 'solution\\_%';
     COMMIT"
        .to_owned()
}

/// A database that has been in use for a while, and analyzed: plans made for empty tables read whole ones later, until
/// autovacuum comes by, and a private Postgres has none.
fn documents() -> String {
    format!(
        "INSERT INTO fbs_document.document
                (company_id, document_id, name, title, description, document_type, category, tags, confidentiality,
                 state, created_by, create_time, update_time)
         SELECT '{SOLUTION}', ('00000000-0000-4000-8000-' || lpad(to_hex(number), 12, '0'))::uuid,
                'INV-2026-' || number, 'Invoice ' || number, repeat('Delivered as agreed. ', 10), 'invoice',
                'finance/invoices', ARRAY['2026', 'paid'], 2, 1, 'anonymous', now(), now()
           FROM generate_series(1, {DOCUMENTS}) AS number;
         INSERT INTO fbs_router.request_record
                (company_id, principal, request_id, method, digest, document_ids, expire_time)
         SELECT company_id, 'anonymous', gen_random_uuid(), 'CreateDocument', '', ARRAY[document_id],
                now() + interval '1 day'
           FROM fbs_document.document;
         CREATE SCHEMA bench;
         CREATE TABLE bench.document (LIKE fbs_document.document INCLUDING ALL);
         CREATE TABLE bench.created (LIKE fbs_document.document INCLUDING ALL);
         INSERT INTO bench.document
                (company_id, document_id, name, title, description, document_type, category, tags, confidentiality,
                 state, etag, created_by, create_time, update_time)
         SELECT company_id, document_id, name, title, description, document_type, category, tags, confidentiality,
                state, etag, created_by, create_time, update_time
           FROM fbs_document.document;
         GRANT USAGE ON SCHEMA bench TO fbs_router;
         GRANT SELECT, INSERT ON ALL TABLES IN SCHEMA bench TO fbs_router;
         ANALYZE"
    )
}

/// Recorded as SYSTEM, as its first write would have; then the documents, without asking the fence for each.
fn shelf(solution: &str, count: u64) -> String {
    format!(
        "BEGIN;
         INSERT INTO fbs_router.placement (company_id, app, placement, epoch, change_number)
         VALUES ('{solution}', 'fbs_dms', 'SYSTEM', 0, 0);
         SET LOCAL session_replication_role = replica;
         INSERT INTO fbs_document.document
                (company_id, document_id, name, title, description, document_type, category, tags, confidentiality,
                 state, created_by, create_time, update_time)
         SELECT '{solution}', gen_random_uuid(), 'INV-' || number, 'Invoice ' || number || ' of case' || number % 1000,
                repeat('Delivered as agreed. ', 10)
                || CASE WHEN '{solution}' <> '{SHELF}' OR number % 1000 = 0 THEN 'Weekly.' ELSE '' END,
                'invoice', 'finance/invoices', ARRAY['2026', 'paid'], 2, 1,
                'anonymous', now() - number * interval '1 second', now()
           FROM generate_series(1, {count}) AS number;
         COMMIT"
    )
}

/// Kept between runs, and shared with the tests: below `target`.
fn cache() -> Outcome<PathBuf> {
    let program = std::env::current_exe()?;
    let target = program.ancestors().nth(2).ok_or("this program lies in no target folder")?;
    Ok(target.join("tmp").join("sandbox"))
}
