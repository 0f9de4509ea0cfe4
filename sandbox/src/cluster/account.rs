//! The user that the server runs as, when we are root.
//!
//! Owns the choice (owner of an existing data folder, else `postgres`, else `nobody`) and handing
//! folders over to it. Does not own the permissions inside a data folder: those are initdb's.
//! Why at all: `initdb` and `postgres` refuse to run as root, and containers mostly are root.
//! Invariant: for an ordinary user there is no account, and nothing changes owner.

use std::{
    fs,
    os::unix::{
        fs::{MetadataExt, chown},
        process::CommandExt,
    },
    path::Path,
    process::{Command, Stdio},
};

use super::error::Error;
use crate::user::own_uid;

#[derive(Debug, Clone)]
pub(super) struct Account {
    pub(super) name: String,
    pub(super) uid: u32,
    pub(super) gid: u32,
}

impl Account {
    /// The account for the server on `data`; `None` when we are not root and run it as ourselves.
    pub(super) fn choose(data: &Path) -> Result<Option<Self>, Error> {
        if own_uid().map_err(Error::io("tell our user id by", Path::new("id")))? != 0 {
            return Ok(None);
        }
        // Postgres insists on owning its data folder: one made by an ordinary user keeps working
        // when root starts it later.
        if let Ok(held) = fs::metadata(data.join("PG_VERSION")).and_then(|_| fs::metadata(data))
            && held.uid() != 0
        {
            return Ok(Some(Self { name: format!("#{}", held.uid()), uid: held.uid(), gid: held.gid() }));
        }
        let passwd = fs::read_to_string("/etc/passwd").unwrap_or_default();
        let known = ["postgres", "nobody"].iter().find_map(|name| entry(&passwd, name));
        Ok(Some(known.unwrap_or(Self { name: "#65534".to_owned(), uid: 65534, gid: 65534 })))
    }

    /// Makes the command run as this account. The standard library drops root's groups with it.
    pub(super) fn apply(&self, command: &mut Command) {
        command.uid(self.uid).gid(self.gid);
    }

    /// Gives `folder` (not what is in it) to this account and checks that it can be reached.
    pub(super) fn hand_over(&self, folder: &Path) -> Result<(), Error> {
        chown(folder, Some(self.uid), Some(self.gid)).map_err(Error::io("change the owner of", folder))?;
        self.check_reach(folder)
    }

    /// A folder can be ours and still be out of reach below root's 0700 home; Postgres' own words
    /// for that do not name the folder that is to blame.
    pub(super) fn check_reach(&self, folder: &Path) -> Result<(), Error> {
        let mut enter = Command::new("sh");
        enter.args(["-c", r#"cd "$0""#]).arg(folder).current_dir("/").stderr(Stdio::null());
        self.apply(&mut enter);
        let status = enter.status().map_err(Error::io("look into", folder))?;
        if status.success() {
            return Ok(());
        }
        Err(Error::Closed { folder: folder.to_owned(), account: self.name.clone() })
    }
}

fn entry(passwd: &str, name: &str) -> Option<Account> {
    passwd.lines().find_map(|line| {
        let mut fields = line.split(':');
        (fields.next()? == name).then_some(())?;
        let (uid, gid) = (fields.nth(1)?.parse().ok()?, fields.next()?.parse().ok()?);
        Some(Account { name: name.to_owned(), uid, gid })
    })
}
