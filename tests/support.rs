//! What a test has at hand: a platform of its own, replicas of the service in process, raw clients.
//!
//! A platform is a copy of a prepared cluster, so every test has the default names, may kill its Postgres, and
//! disturbs nobody. No sleeps: `eventually` waits for a state, within a bound.

pub(crate) mod asking;
pub(crate) mod authority;
pub(crate) mod callers;
mod calls;
pub(crate) mod in_process;
pub(crate) mod load;
pub(crate) mod methods;
pub(crate) mod process;
mod replica;
pub(crate) mod residue;
pub(crate) mod transfers;
pub(crate) mod wire;

use std::path::PathBuf;

use fbs_router_sandbox::{Address, Cluster, FaultProxy, Implementer, Options, Platform};

pub(crate) use self::{
    calls::{Answered, answered, draft, failure, one, reason, unanswered, within},
    replica::Replica,
};

/// A prepared Postgres, and what tests do with it.
pub(crate) struct World {
    pub(crate) platform: Platform,
    /// Files of the replicas: configurations, passwords, snapshots.
    pub(crate) folder: tempfile::TempDir,
}

impl World {
    /// `acme_corp` has its own database, empty and unclaimed; nobody else has one.
    pub(crate) async fn new() -> Self {
        Self::with(&[]).await
    }

    /// As [`Self::new`], with settings of Postgres.
    pub(crate) async fn with(settings: &[(&str, &str)]) -> Self {
        let settings = settings.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        Self::on(Options { settings, ..Options::default() }).await
    }

    /// As [`Self::new`], on a cluster with these options.
    pub(crate) async fn on(options: Options) -> Self {
        let platform = Platform::scratch_as(&cache(), options).await.expect("a private Postgres");
        let folder = tempfile::tempdir().expect("a folder");
        secret_file(&folder.path().join("password"), fbs_router_sandbox::platform::PASSWORD);
        Self { platform, folder }
    }

    /// A replica with the defaults of tests.
    pub(crate) async fn replica(&self) -> Replica {
        self.replica_with("").await
    }

    /// A replica with further lines of configuration. They may open sections that [`Replica`] does not.
    pub(crate) async fn replica_with(&self, extra: &str) -> Replica {
        Replica::start(&self.configuration(&self.platform.url(), extra), &self.snapshot("router")).await
    }

    /// A replica for the server at `url`, with further lines of configuration.
    pub(crate) async fn replica_at(&self, url: &str, extra: &str) -> Replica {
        Replica::start(&self.configuration(url, extra), &self.snapshot("router")).await
    }

    /// Waits until a replica's snapshot holds that text.
    pub(crate) async fn snapshot_holds(&self, text: &str) {
        let path = self.folder.path().join("router.snapshot.json");
        fbs_router_sandbox::soon("the snapshot is written", async || {
            let found = std::fs::read_to_string(&path).unwrap_or_default();
            if found.contains(text) { Ok(()) } else { Err(found) }
        })
        .await;
    }

    /// A proxy before the platform's Postgres.
    pub(crate) async fn proxy(&self) -> FaultProxy {
        let cluster = &self.platform.cluster;
        let socket = cluster.socket_directory().join(format!(".s.PGSQL.{}", cluster.port()));
        FaultProxy::start(Address::Unix(socket)).await.expect("a proxy")
    }

    /// A configuration with quick scans, for the server at `url`.
    pub(crate) fn configuration(&self, url: &str, extra: &str) -> String {
        format!(
            "[listen]\ngrpc = \"127.0.0.1:0\"\nops = \"127.0.0.1:0\"\n\
             [[server]]\nname = \"main\"\nurl = \"{url}\"\npassword_file = \"{}\"\nmax_connections = 60\n\
             [drain]\nwait = \"0s\"\nlimit = \"2s\"\n{extra}\n",
            self.folder.path().join("password").display()
        )
    }

    /// Where a replica of that name keeps its snapshot.
    pub(crate) fn snapshot(&self, name: &str) -> PathBuf {
        self.folder.path().join(format!("{name}.toml"))
    }

    /// A solution's own database, copied from the template: `createdb -T fbs_template djo_NAME_db`.
    pub(crate) async fn create_own_database(&self, solution: &str) {
        let name = format!("djo_{solution}_db");
        let implementer = self.platform.implementer();
        implementer.copy_database(fbs_router_sandbox::platform::TEMPLATE_DATABASE, &name).await.unwrap();
    }

    /// Rows of a solution in a database: documents and request records.
    pub(crate) async fn rows(&self, database: &str, solution: &str) -> i64 {
        let sql = format!(
            "SELECT (SELECT count(*) FROM fbs_document.document WHERE company_id = '{solution}') \
             + (SELECT count(*) FROM fbs_router.request_record WHERE company_id = '{solution}')"
        );
        self.platform.implementer().count(database, &sql).await.unwrap()
    }

    /// Rows of a solution in the system database.
    pub(crate) async fn system_rows(&self, solution: &str) -> i64 {
        self.rows(fbs_router_sandbox::platform::SYSTEM_DATABASE, solution).await
    }

    /// SQL as the superuser, in the ledger's database: what commands of later versions will do.
    pub(crate) async fn in_ledger(&self, sql: &str) {
        self.platform.implementer().run(fbs_router_sandbox::platform::SYSTEM_DATABASE, sql).await.unwrap();
    }
}

/// A file that nobody but its owner may read.
pub(crate) fn secret_file(path: &std::path::Path, text: &str) {
    use std::os::unix::fs::PermissionsExt;
    std::fs::write(path, text).unwrap();
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600)).unwrap();
}

/// A second Postgres, which shares no `system_identifier` with any [`World`], with roles and a template.
pub(crate) async fn other_cluster() -> Cluster {
    let cluster = Cluster::start(Options::default()).await.expect("another Postgres");
    let implementer = Implementer::new(&cluster);
    implementer.create_roles(fbs_router_sandbox::platform::PASSWORD).await.unwrap();
    implementer.create_database(fbs_router_sandbox::platform::TEMPLATE_DATABASE).await.unwrap();
    let template = fbs_router_sandbox::platform::TEMPLATE_DATABASE;
    implementer.apply(template, fbs_router_schema::Purpose::Template).await.unwrap();
    cluster
}

/// Kept between runs of the suite, below `target`.
fn cache() -> PathBuf {
    PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("sandbox")
}
