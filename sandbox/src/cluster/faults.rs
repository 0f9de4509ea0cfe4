//! What a test does to a running cluster: kill, stop, start again, freeze, thaw.
//!
//! Owns the order of signals and waits. Does not touch connections: what clients see of it is
//! the point of the exercise.
//! Invariant: folder, socket and port survive every fault, so [`Cluster::start_again`] works after
//! each of them; the watchdog removes them only with the cluster itself.

use std::{
    fs,
    path::Path,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use tokio::time::sleep;

use super::{
    Cluster,
    error::Error,
    folder,
    keeper::{Keeper, POLL},
    processes,
};

/// Longest fast shutdown, which writes a checkpoint.
const STOP_LIMIT: Duration = Duration::from_secs(60);

/// Longest time for killed processes to be gone.
const KILL_LIMIT: Duration = Duration::from_secs(10);

impl Cluster {
    /// `kill -9` for the postmaster and all its backends at once, like a machine that lost power
    /// (except that the system's page cache survives, and with it every acknowledged commit).
    ///
    /// # Errors
    ///
    /// [`Error::NotRunning`]; [`Error::NotStopped`] when a process outlives KILL by 10 s.
    pub async fn kill(&self) -> Result<(), Error> {
        let mut keeper = self.keeper.lock().await;
        let postmaster = keeper.pid().ok_or(Error::NotRunning)?;
        let fault = |source| Error::Io { operation: "kill the server in", path: self.data.clone(), source };
        let family = processes::stopped_family(postmaster).map_err(fault)?;
        processes::signal("KILL", &family).map_err(fault)?;
        wait_for_exit(&mut keeper, KILL_LIMIT).await?;
        // The next server would refuse to start while a backend still holds the shared memory.
        let start = Instant::now();
        while processes::any_alive(&family).map_err(fault)? {
            if start.elapsed() > KILL_LIMIT {
                return Err(Error::NotStopped { limit_s: KILL_LIMIT.as_secs() });
            }
            sleep(POLL).await;
        }
        remove_shared_memory(&self.data);
        Ok(())
    }

    /// Fast shutdown: sessions are ended, a checkpoint is written, the folder stays.
    ///
    /// # Errors
    ///
    /// [`Error::NotRunning`]; [`Error::NotStopped`] after 60 s.
    pub async fn stop(&self) -> Result<(), Error> {
        let mut keeper = self.keeper.lock().await;
        self.stop_kept(&mut keeper).await
    }

    /// Starts the server again in the same folder, with the same socket and port.
    ///
    /// # Errors
    ///
    /// [`Error::Running`], and what [`Cluster::start`] says of a server that does not come up.
    pub async fn start_again(&self) -> Result<(), Error> {
        let mut keeper = self.keeper.lock().await;
        if keeper.pid().is_some() && keeper.exited()?.is_none() {
            return Err(Error::Running);
        }
        self.launch(&mut keeper).await
    }

    /// Stops (SIGSTOP) the postmaster and all its backends: connections are accepted by the system
    /// and nothing answers, like a machine that hangs. Freezing what is frozen changes nothing.
    ///
    /// # Errors
    ///
    /// [`Error::NotRunning`], or a signal that could not be sent; then everything runs again.
    pub async fn freeze(&self) -> Result<(), Error> {
        let mut keeper = self.keeper.lock().await;
        let postmaster = keeper.pid().ok_or(Error::NotRunning)?;
        let fault = |source| Error::Io { operation: "freeze the server in", path: self.data.clone(), source };
        // Known to the watchdog before it is stopped: we may be killed in between.
        keeper.set_frozen(vec![postmaster])?;
        let family = processes::stopped_family(postmaster).map_err(fault)?;
        keeper.set_frozen(family.clone())?;
        processes::signal("STOP", &family).map_err(fault)
    }

    /// Stops (SIGSTOP) one process of the server until [`Cluster::thaw`]: a backend, whose session says nothing more, or the
    /// postmaster, which lets nobody in any more while those who are in go on.
    ///
    /// # Errors
    ///
    /// [`Error::NotRunning`], no process of this server, or a signal that could not be sent.
    pub async fn freeze_one(&self, pid: u32) -> Result<(), Error> {
        let mut keeper = self.keeper.lock().await;
        self.check_own(&keeper, pid)?;
        // Known to the watchdog before it is stopped: we may be killed in between.
        let frozen = [keeper.frozen(), &[pid]].concat();
        keeper.set_frozen(frozen)?;
        processes::signal("STOP", &[pid]).map_err(Error::io("freeze a process of the server in", &self.data))
    }

    /// `kill -9` for one backend: Postgres ends every other session as well and recovers by itself.
    ///
    /// # Errors
    ///
    /// [`Error::NotRunning`], no process of this server, or a signal that could not be sent.
    pub async fn kill_backend(&self, pid: u32) -> Result<(), Error> {
        let keeper = self.keeper.lock().await;
        self.check_own(&keeper, pid)?;
        processes::signal("KILL", &[pid]).map_err(Error::io("kill a backend of the server in", &self.data))
    }

    /// Ends [`Cluster::freeze`] and [`Cluster::freeze_one`]; what runs stays as it is.
    ///
    /// # Errors
    ///
    /// [`Error::NotRunning`], or a signal that could not be sent.
    pub async fn thaw(&self) -> Result<(), Error> {
        let mut keeper = self.keeper.lock().await;
        keeper.pid().ok_or(Error::NotRunning)?;
        self.thaw_kept(&mut keeper)
    }

    /// Stops the server in order and copies its data folder to `template`, for
    /// [`Options::template`](super::Options::template). The server stays stopped.
    ///
    /// `template` appears whole, by rename. When another process made it meanwhile, that one stays
    /// and ours is discarded. Everybody on this machine can read it, password hashes included.
    ///
    /// # Errors
    ///
    /// Those of [`Cluster::stop`], and of copying.
    pub async fn save_as_template(&self, template: &Path) -> Result<(), Error> {
        let mut keeper = self.keeper.lock().await;
        self.stop_kept(&mut keeper).await?;
        folder::save(&mut keeper, &self.data, template).await
    }

    async fn stop_kept(&self, keeper: &mut Keeper) -> Result<(), Error> {
        let postmaster = keeper.pid().ok_or(Error::NotRunning)?;
        self.thaw_kept(keeper)?;
        let fault = Error::io("stop the server in", &self.data);
        processes::signal("INT", &[postmaster]).map_err(fault)?;
        wait_for_exit(keeper, STOP_LIMIT).await
    }

    fn check_own(&self, keeper: &Keeper, pid: u32) -> Result<(), Error> {
        let postmaster = keeper.pid().ok_or(Error::NotRunning)?;
        let fault = Error::io("find a process of the server in", &self.data);
        match processes::family(postmaster) {
            Ok(family) if family.contains(&pid) => Ok(()),
            Ok(_) => Err(fault(std::io::ErrorKind::NotFound.into())),
            Err(error) => Err(fault(error)),
        }
    }

    fn thaw_kept(&self, keeper: &mut Keeper) -> Result<(), Error> {
        if keeper.frozen().is_empty() {
            return Ok(());
        }
        processes::signal("CONT", keeper.frozen()).map_err(Error::io("thaw the server in", &self.data))?;
        keeper.set_frozen(Vec::new())
    }
}

async fn wait_for_exit(keeper: &mut Keeper, limit: Duration) -> Result<(), Error> {
    let start = Instant::now();
    while keeper.exited()?.is_none() {
        if start.elapsed() > limit {
            return Err(Error::NotStopped { limit_s: limit.as_secs() });
        }
        sleep(POLL).await;
    }
    Ok(())
}

/// A killed postmaster leaves its System V segment, of which a system has 4096: hundreds of killed
/// test clusters would use them up. Its id is the second number in line 7 of `postmaster.pid`.
fn remove_shared_memory(data: &Path) {
    let pidfile = fs::read_to_string(data.join("postmaster.pid")).unwrap_or_default();
    if let Some(id) = pidfile.lines().nth(6).and_then(|line| line.split_whitespace().nth(1)) {
        // Best effort: without `ipcrm` the next server on this folder removes it.
        let _gone = Command::new("ipcrm").args(["-m", id]).stdout(Stdio::null()).stderr(Stdio::null()).status();
    }
}
