//! The run folder, its watchdog, and the one process at a time that works for the cluster.
//!
//! Owns the shell watchdog (`watchdog.sh`), which makes the run folder and removes it after us; the
//! current child (`cp`, `chown`, `initdb` or `postgres`); the list of frozen processes.
//! Does not know Postgres beyond a signal name. Rejected: `PR_SET_PDEATHSIG`, which is Linux only
//! and fires when the spawning *thread* ends, that is, with any tokio worker.
//! Invariant: a child begins its work only after the watchdog knows it ("gate"), so there is no
//! moment at which killing us leaves a process or a folder.

use std::{
    ffi::OsStr,
    fs::{self, File, OpenOptions},
    io::{self, BufRead, BufReader, Write},
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::{Child, ChildStdin, Command, ExitStatus, Stdio},
    thread,
    time::{Duration, Instant},
};

use super::{
    account::Account,
    error::{Error, tail},
    processes,
};

/// Waits for `go`; the end of the pipe instead means that we died before the watchdog knew it.
const GATE: &str = r#"umask 077; read -r go && exec "$0" "$@" </dev/null"#;

/// How often a child is looked at.
pub(super) const POLL: Duration = Duration::from_millis(2);

/// Longest wait in `Drop`; then the child is killed.
const END_LIMIT: Duration = Duration::from_secs(10);

#[derive(Debug)]
pub(super) struct Keeper {
    run: PathBuf,
    watchdog: Child,
    /// The watchdog's standard input; `None` only while dropping.
    orders: Option<ChildStdin>,
    current: Option<Current>,
    frozen: Vec<u32>,
}

#[derive(Debug)]
struct Current {
    child: Child,
    /// Signal that ends it.
    signal: &'static str,
}

impl Keeper {
    /// Starts the watchdog, which makes the folder `run`.
    pub(super) fn start(run: &Path) -> Result<Self, Error> {
        let mut command = watchdog(run);
        command.stdout(Stdio::piped());
        let mut watchdog = command.spawn().map_err(Error::io("start the watchdog of", run))?;
        let (orders, answers) = (watchdog.stdin.take(), watchdog.stdout.take());
        let mut answer = String::new();
        if let Some(answers) = answers {
            BufReader::new(answers).read_line(&mut answer).map_err(Error::io("create", run))?;
        }
        if answer.trim() == "made" {
            return Ok(Self { run: run.to_owned(), watchdog, orders, current: None, frozen: Vec::new() });
        }
        let _reaped = watchdog.wait();
        Err(Error::io("create", run)(io::Error::other("mkdir refused")))
    }

    /// Tells the watchdog about a folder that is to go when we die, until it is renamed.
    pub(super) fn stage(&mut self, folder: &Path) -> Result<(), Error> {
        self.order(&format!("staging {}", folder.display()))
    }

    /// Runs a program to its end as `account`. Its output goes to a file in the run folder.
    pub(super) async fn step<A: AsRef<OsStr>>(
        &mut self,
        program: &Path,
        arguments: &[A],
        account: Option<&Account>,
    ) -> Result<(), Error> {
        let output = self.run.join("step.log");
        let sink = File::create(&output).map_err(Error::io("create", &output))?;
        // Signal 0, that is, none: a killed initdb leaves shared memory in the system, and all our
        // steps end by themselves within a second.
        self.launch(program, arguments, account, sink, "0")?;
        let status = loop {
            match self.exited()? {
                Some(status) => break status,
                None => tokio::time::sleep(POLL).await,
            }
        };
        if status.success() {
            return Ok(());
        }
        Err(Error::Step { program: format!("{} ({status})", program.display()), output: tail(&output, 0) })
    }

    /// Starts a program as `account`; `signal` is what ends it when the keeper is dropped or we die.
    pub(super) fn launch<A: AsRef<OsStr>>(
        &mut self,
        program: &Path,
        arguments: &[A],
        account: Option<&Account>,
        output: File,
        signal: &'static str,
    ) -> Result<(), Error> {
        let failed = Error::io("run", program);
        let copy = match output.try_clone() {
            Ok(copy) => copy,
            Err(error) => return Err(failed(error)),
        };
        let mut command = Command::new("sh");
        command.args(["-c", GATE]).arg(program).args(arguments);
        // Not ours: PGDATA and friends of the caller, a locale that translates, a closed cwd.
        command.env_remove("PGDATA").env_remove("PGOPTIONS").env("LC_ALL", "C").current_dir("/");
        command.process_group(0).stdin(Stdio::piped()).stdout(output).stderr(copy);
        if let Some(account) = account {
            account.apply(&mut command);
        }
        let mut child = command.spawn().map_err(failed)?;
        let gate = child.stdin.take();
        let leader = child.id();
        self.current = Some(Current { child, signal });
        self.order(&format!("{signal} {leader}"))?;
        // A child that is gone already shows by its exit status.
        let _opened = gate.map(|mut gate| gate.write_all(b"go\n"));
        Ok(())
    }

    /// Id of the current child. It is unreaped, so the id is nobody else's.
    pub(super) fn pid(&self) -> Option<u32> {
        self.current.as_ref().map(|current| current.child.id())
    }

    /// The exit status of the current child once it ended, and then there is none any more.
    pub(super) fn exited(&mut self) -> Result<Option<ExitStatus>, Error> {
        let Some(current) = &mut self.current else { return Err(Error::NotRunning) };
        let status = current.child.try_wait().map_err(Error::io("wait for a child of", &self.run))?;
        if status.is_some() {
            self.current = None;
            self.set_frozen(Vec::new())?;
            self.order("none")?;
        }
        Ok(status)
    }

    /// Processes that are stopped by a signal.
    pub(super) fn frozen(&self) -> &[u32] {
        &self.frozen
    }

    /// Keeps the list, for the watchdog too: stopped processes must be woken before they can end.
    pub(super) fn set_frozen(&mut self, pids: Vec<u32>) -> Result<(), Error> {
        let file = self.run.join("frozen");
        let text: String = pids.iter().map(|pid| format!("{pid} ")).collect();
        if pids.is_empty() && self.frozen.is_empty() {
            return Ok(());
        }
        self.frozen = pids;
        fs::write(&file, text).map_err(Error::io("write", &file))
    }

    fn order(&mut self, line: &str) -> Result<(), Error> {
        let Some(orders) = &mut self.orders else { return Ok(()) };
        orders.write_all(format!("{line}\n").as_bytes()).map_err(Error::io("reach the watchdog of", &self.run))
    }

    /// Ends the current child by its signal, at last by KILL.
    pub(super) fn end(&mut self) {
        let Some(Current { mut child, signal }) = self.current.take() else { return };
        let _woken = processes::signal("CONT", &self.frozen);
        let _sent = processes::signal_group(signal, child.id());
        let start = Instant::now();
        while matches!(child.try_wait(), Ok(None)) {
            if start.elapsed() > END_LIMIT {
                tracing::warn!(run = %self.run.display(), "child does not end, killing it");
                let _sent = processes::signal_group("KILL", child.id());
                let _reaped = child.wait();
                break;
            }
            thread::sleep(Duration::from_millis(1));
        }
        let _told = self.order("none");
    }
}

impl Drop for Keeper {
    /// Blocks for as long as the child takes to end (25-70 ms) and the folder to go.
    fn drop(&mut self) {
        self.end();
        self.orders = None;
        let _reaped = self.watchdog.wait();
    }
}

fn watchdog(run: &Path) -> Command {
    let mut command = Command::new("sh");
    command.args(["-c", include_str!("watchdog.sh"), "fbs-router-watchdog"]);
    command.env("RUN", run).current_dir("/");
    // Its own group: Ctrl-C in the terminal reaches us, and we end the server in order.
    command.process_group(0).stdin(Stdio::piped()).stderr(Stdio::null());
    command
}

/// Opens a log for appending and tells its length, where this run's part of it begins.
pub(super) fn append(log: &Path) -> Result<(File, u64), Error> {
    let file = OpenOptions::new().append(true).create(true).open(log).map_err(Error::io("open", log))?;
    let length = file.metadata().map_err(Error::io("open", log))?.len();
    Ok((file, length))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn watchdog_whose_parent_died_before_its_answer_leaves_no_folder() {
        let place = tempfile::tempdir().unwrap();
        let run = place.path().join("run");
        let (reader, answers) = io::pipe().unwrap();
        drop(reader);
        let mut watchdog = watchdog(&run).stdout(answers).spawn().unwrap();
        drop(watchdog.stdin.take());
        let _ended = watchdog.wait().unwrap();
        assert!(!run.exists());
    }
}
