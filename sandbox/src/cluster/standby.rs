//! A streaming standby of a cluster, which dies like one.
//!
//! The primary needs `wal_level=replica` and `max_wal_senders` in its settings; a scratch cluster has neither by default.

use std::{ffi::OsString, fs::OpenOptions, io::Write};

use tokio::sync::Mutex;

use super::{Cluster, LOG_NAME, SOCKET_PORT, error::Error, folder, keeper::Keeper};

impl Cluster {
    /// Copies this cluster while it runs, and starts the copy as its standby, with the same settings.
    ///
    /// # Errors
    ///
    /// No `pg_basebackup` beside the server's binaries, a primary that lets no standby in, and what
    /// [`Cluster::start`] says of a server that does not come up.
    pub async fn start_standby(&self) -> Result<Self, Error> {
        let run = folder::scratch_path();
        let mut keeper = Keeper::start(&run)?;
        if let Some(account) = &self.account {
            account.hand_over(&run)?;
        }
        self.let_standbys_in().await?;
        let data = run.join("data");
        let port = self.port.to_string();
        let mut arguments: Vec<OsString> = vec!["-D".into(), data.clone().into(), "-h".into(), self.run.clone().into()];
        arguments
            .extend(["-p", &port, "-U", "postgres", "-X", "stream", "-c", "fast", "-R", "--no-sync"].map(Into::into));
        keeper.step(&self.binaries.program("pg_basebackup"), &arguments, self.account.as_ref()).await?;
        let mut standby = Self {
            keeper: Mutex::new(keeper),
            binaries: self.binaries.clone(),
            account: self.account.clone(),
            log: run.join(LOG_NAME),
            run,
            data,
            durable: false,
            settings: self.settings.clone(),
            tcp: false,
            small_disk_mib: None,
            port: SOCKET_PORT,
        };
        standby.first_launch().await?;
        Ok(standby)
    }

    /// Makes a standby a primary, and returns when it takes writes.
    ///
    /// # Errors
    ///
    /// It cannot be reached, or is none.
    pub async fn promote(&self) -> Result<(), Error> {
        let failed = |source| Error::Connect { database: "postgres".to_owned(), source };
        self.connect("postgres").await?.batch_execute("SELECT pg_promote()").await.map_err(failed)
    }

    async fn let_standbys_in(&self) -> Result<(), Error> {
        let rules = self.data.join("pg_hba.conf");
        let mut file = OpenOptions::new().append(true).open(&rules).map_err(Error::io("open", &rules))?;
        file.write_all(b"local replication postgres trust\n").map_err(Error::io("write", &rules))?;
        let failed = |source| Error::Connect { database: "postgres".to_owned(), source };
        self.connect("postgres").await?.batch_execute("SELECT pg_reload_conf()").await.map_err(failed)
    }
}
