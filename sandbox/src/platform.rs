//! A cluster prepared as the product's defaults have it: roles, system databases, a template, two solutions.
//!
//! `acme_corp` has its own database, `globex` has none. Prepared once and kept as a template cluster, so that each
//! further platform is a copy.

use std::path::{Path, PathBuf};

use fbs_router_schema::Purpose;

use crate::{
    binaries::{self, Binaries},
    cluster::{self, Cluster, Options, Storage},
    implementer::{self, Implementer, RUNTIME_ROLE},
};

/// The documents app's system database; holds the ledger.
pub const SYSTEM_DATABASE: &str = "fbs_system_db";
/// The licensing app's system database.
pub const LICENSE_DATABASE: &str = "lic_system_db";
/// A prepared database to copy.
pub const TEMPLATE_DATABASE: &str = "fbs_template";
/// The own database of `acme_corp`.
pub const ACME_DATABASE: &str = "djo_acme_corp_db";
/// The runtime role's password: the sockets lie in folders that are closed to others.
pub const PASSWORD: &str = "sandbox";

/// Why there is no platform.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No cluster.
    #[error(transparent)]
    Cluster(#[from] cluster::Error),
    /// No binaries.
    #[error(transparent)]
    Binaries(#[from] binaries::Error),
    /// It could not be prepared.
    #[error(transparent)]
    Implementer(#[from] implementer::Error),
}

/// A prepared cluster.
#[derive(Debug)]
pub struct Platform {
    /// The server.
    pub cluster: Cluster,
}

impl Platform {
    /// A scratch platform; `cache` keeps the template cluster between processes.
    pub async fn scratch(cache: &Path, tcp: bool) -> Result<Self, Error> {
        Self::scratch_with(cache, tcp, &[]).await
    }

    /// As [`Self::scratch`], with settings of the server.
    pub async fn scratch_with(cache: &Path, tcp: bool, settings: &[(&str, &str)]) -> Result<Self, Error> {
        let settings = settings.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        Self::scratch_as(cache, Options { tcp, settings, ..Options::default() }).await
    }

    /// As [`Self::scratch`], with these options but for template and binaries.
    pub async fn scratch_as(cache: &Path, options: Options) -> Result<Self, Error> {
        let binaries = binaries::find()?;
        let template = template(cache, &binaries).await?;
        let options = Options { template: Some(template), binaries: Some(binaries), ..options };
        Ok(Self { cluster: Cluster::start(options).await? })
    }

    /// A durable platform in `folder`, prepared if it is new.
    pub async fn durable(folder: &Path) -> Result<Self, Error> {
        let cluster =
            Cluster::start(Options { storage: Storage::Folder(folder.to_owned()), ..Options::default() }).await?;
        let implementer = Implementer::new(&cluster);
        let prepared = format!("SELECT count(*) FROM pg_database WHERE datname = '{ACME_DATABASE}'");
        if implementer.count("postgres", &prepared).await? == 0 {
            prepare(&implementer).await?;
        }
        Ok(Self { cluster })
    }

    /// Whoever plays the implementer here.
    pub fn implementer(&self) -> Implementer<'_> {
        Implementer::new(&self.cluster)
    }

    /// The url under which the runtime role reaches the server.
    pub fn url(&self) -> String {
        url(self.cluster.socket_directory(), self.cluster.port())
    }
}

/// The url of a server whose socket lies in `directory`.
pub fn url(directory: &Path, port: u16) -> String {
    let directory = directory.display().to_string().replace('/', "%2F");
    format!("postgres://{RUNTIME_ROLE}@{directory}:{port}")
}

/// Where prepared clusters are kept between processes of this user; made if it is not there.
///
/// # Errors
/// A folder that cannot be made.
pub fn user_cache() -> std::io::Result<PathBuf> {
    let base = std::env::var_os("XDG_CACHE_HOME")
        .map(PathBuf::from)
        .or_else(|| std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".cache")))
        .unwrap_or_else(std::env::temp_dir);
    let folder = base.join("fbs-router/sandbox");
    std::fs::create_dir_all(&folder)?;
    Ok(folder)
}

async fn template(cache: &Path, binaries: &Binaries) -> Result<PathBuf, Error> {
    let path = cache.join(format!("cluster-{}-{}", binaries.version, fbs_router_schema::fingerprint()));
    if path.join("global/pg_control").exists() {
        return Ok(path);
    }
    let cluster = Cluster::start(Options { binaries: Some(binaries.clone()), ..Options::default() }).await?;
    prepare(&Implementer::new(&cluster)).await?;
    cluster.save_as_template(&path).await?;
    Ok(path)
}

async fn prepare(implementer: &Implementer<'_>) -> Result<(), implementer::Error> {
    implementer.create_roles(PASSWORD).await?;
    for database in [SYSTEM_DATABASE, LICENSE_DATABASE, TEMPLATE_DATABASE] {
        implementer.create_database(database).await?;
    }
    implementer.apply(SYSTEM_DATABASE, Purpose::System).await?;
    implementer.apply(TEMPLATE_DATABASE, Purpose::Template).await?;
    implementer.copy_database(TEMPLATE_DATABASE, ACME_DATABASE).await
}
