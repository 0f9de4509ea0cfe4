//! A PgBouncer in transaction mode before a cluster, which dies like one.
//!
//! Owns its files, its process and its list of databases. Does not fetch it: that is the work of `make pgbouncer`, whose
//! cache is one of the places looked in. Order: `PGBOUNCER`, `PATH`, `/usr/sbin`, the cache.

use std::{
    env, fs,
    net::{Ipv4Addr, TcpStream},
    path::{Path, PathBuf},
    time::Instant,
};

use tokio::time::sleep;
use tokio_postgres::{Config, NoTls};

use super::{
    Cluster, LOG_NAME, READY_LIMIT,
    error::{Error, tail},
    folder, free_port,
    keeper::{self, Keeper},
};

/// May use its console.
const ADMIN: &str = "console";
/// The database that is its console.
const CONSOLE: &str = "pgbouncer";

/// A running PgBouncer. Clients reach it at a port of 127.0.0.1, and are let in by their password.
#[derive(Debug)]
pub struct PgBouncer {
    keeper: Keeper,
    run: PathBuf,
    port: u16,
    /// Where all its databases are.
    server: String,
    pool_size: u32,
    user: String,
    password: String,
}

impl PgBouncer {
    /// The program, if this machine has it.
    #[must_use]
    pub fn find() -> Option<PathBuf> {
        let named = env::var_os("PGBOUNCER").filter(|value| !value.is_empty()).map(PathBuf::from);
        let on_path = env::var_os("PATH").unwrap_or_default();
        let on_path = env::split_paths(&on_path).map(|folder| folder.join("pgbouncer"));
        let cache = match env::var_os("XDG_CACHE_HOME").or_else(|| env::var_os("HOME")) {
            Some(home) if env::var_os("XDG_CACHE_HOME").is_none() => PathBuf::from(home).join(".cache"),
            Some(cache) => PathBuf::from(cache),
            None => PathBuf::new(),
        };
        let fetched = "fbs-router/pgbouncer/pgbouncer";
        let rest = ["/usr/sbin/pgbouncer".into(), Path::new("/var/cache").join(fetched), cache.join(fetched)];
        named.into_iter().chain(on_path).chain(rest).find(|program| program.is_file())
    }

    /// Starts `program` before `cluster`, with so many connections for each database. Only `user` is let in.
    ///
    /// # Errors
    ///
    /// A program that does not come up.
    pub async fn start(
        program: &Path,
        cluster: &Cluster,
        pool_size: u32,
        user: &str,
        password: &str,
    ) -> Result<Self, Error> {
        let run = folder::scratch_path();
        let keeper = Keeper::start(&run)?;
        let account = cluster.account.as_ref();
        if let Some(account) = account {
            account.hand_over(&run)?;
        }
        let server = format!("host={} port={}", cluster.socket_directory().display(), cluster.port());
        let (user, password) = (user.to_owned(), password.to_owned());
        let mut this = Self { keeper, run, port: free_port()?, server, pool_size, user, password };
        this.write_users()?;
        this.write_settings(&[])?;
        let log = this.run.join(LOG_NAME);
        let (output, _) = keeper::append(&log)?;
        this.keeper.launch(program, &[this.settings()], account, output, "TERM")?;
        let begin = Instant::now();
        while TcpStream::connect((Ipv4Addr::LOCALHOST, this.port)).is_err() {
            if this.keeper.exited()?.is_some() {
                return Err(Error::Ended { log: tail(&log, 0) });
            }
            if begin.elapsed() > READY_LIMIT {
                return Err(Error::NotReady { limit_s: READY_LIMIT.as_secs(), log: tail(&log, 0) });
            }
            sleep(keeper::POLL).await;
        }
        Ok(this)
    }

    /// Port of 127.0.0.1.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Its log.
    #[must_use]
    pub fn log_path(&self) -> PathBuf {
        self.run.join(LOG_NAME)
    }

    /// Leads whoever asks for the first of a pair to the second, and everybody else to the database he asks for: writes
    /// its file anew, and has it read.
    ///
    /// # Errors
    ///
    /// A file that cannot be written, or a console that refuses.
    pub async fn lead(&self, pairs: &[(&str, &str)]) -> Result<(), Error> {
        self.write_settings(pairs)?;
        let failed = |source| Error::Connect { database: CONSOLE.to_owned(), source };
        let mut config = Config::new();
        config.host("127.0.0.1").port(self.port).user(ADMIN).password(&self.password).dbname(CONSOLE);
        let (client, connection) = config.connect(NoTls).await.map_err(failed)?;
        let driven = tokio::spawn(connection);
        client.simple_query("RELOAD").await.map_err(failed)?;
        drop(client);
        let _ended = driven.await;
        Ok(())
    }

    fn settings(&self) -> PathBuf {
        self.run.join("pgbouncer.ini")
    }

    fn users(&self) -> PathBuf {
        self.run.join("users")
    }

    fn write_users(&self) -> Result<(), Error> {
        let line = |user: &str| format!("\"{user}\" \"{}\"\n", self.password);
        fs::write(self.users(), line(&self.user) + &line(ADMIN)).map_err(Error::io("write", &self.users()))
    }

    /// Startup parameters that it does not know are refused, as by default.
    fn write_settings(&self, pairs: &[(&str, &str)]) -> Result<(), Error> {
        let Self { server, port, pool_size, .. } = self;
        let lines: String = pairs.iter().map(|(from, to)| format!("{from} = {server} dbname={to}\n")).collect();
        let text = format!(
            "[databases]\n{lines}* = {server}\n\
             [pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {port}\nunix_socket_dir =\n\
             auth_type = scram-sha-256\nauth_file = {}\nadmin_users = {ADMIN}\n\
             pool_mode = transaction\ndefault_pool_size = {pool_size}\nmax_client_conn = 1000\n",
            self.users().display()
        );
        fs::write(self.settings(), text).map_err(Error::io("write", &self.settings()))
    }
}
