//! A disk of a few MiB that a server has to itself, so that a test can fill it.
//!
//! Owns the commands that mount it: a tmpfs in namespaces of the server's own, which needs Linux and no root, and is
//! gone with the server. What is on it does not survive the server, so it is for a tablespace, and never for the data folder.
//! Rejected: a limit on file sizes, which Postgres does not take for a full disk.

use std::{
    ffi::OsString,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use super::{Cluster, account::Account, folder};

/// Its folder, in the cluster's.
const NAME: &str = "small";

/// As root of namespaces of its own, which may mount; then as somebody again, because Postgres refuses to run as root.
const OUTER: [&str; 4] = ["--user", "--map-root-user", "--mount", "sh"];
const MOUNT: &str = r#"mkdir -p "$0" && mount -t tmpfs -o "size=$1,mode=0700" tmpfs "$0" && shift &&
                       exec unshare --user --map-user=1000 --map-group=1000 "$@""#;

impl Cluster {
    /// The folder of the small disk, as the server sees it: empty to everybody else.
    #[must_use]
    pub fn small_disk(&self) -> PathBuf {
        self.run.join(NAME)
    }

    /// Whether this system lets us have small disks: some do not let users have namespaces.
    #[must_use]
    pub fn may_have_small_disk() -> bool {
        let run = folder::scratch_path();
        let mut command = Command::new("unshare");
        command.args(OUTER).args(["-c", MOUNT, "/tmp", "1m", "true"]);
        command.current_dir("/").stdout(Stdio::null()).stderr(Stdio::null());
        match Account::choose(&run) {
            Ok(Some(account)) => account.apply(&mut command),
            Ok(None) => {}
            Err(_) => return false,
        }
        command.status().is_ok_and(|status| status.success())
    }
}

/// The command that mounts a disk of so many MiB in the folder `run`, and then runs `program`.
pub(super) fn mounted(run: &Path, mib: u32, program: PathBuf, arguments: Vec<OsString>) -> (PathBuf, Vec<OsString>) {
    let mut all: Vec<OsString> = OUTER.map(Into::into).into();
    all.extend(["-c".into(), MOUNT.into(), run.join(NAME).into(), format!("{mib}m").into(), program.into()]);
    all.extend(arguments);
    ("unshare".into(), all)
}
