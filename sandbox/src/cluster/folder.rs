//! Where a cluster lives, and how its data folder comes to be.
//!
//! Owns the choice of the scratch place, `initdb`, `pg_hba.conf`, copying from and to templates.
//! Does not start servers. Blocking file calls of a millisecond are made in place; everything that
//! takes longer is a child of the keeper.
//! Invariant: a durable data folder and a template appear whole, by rename, or not at all. They are
//! not synced: after a power cut a template may be torn and wants deleting.

use std::{
    env,
    ffi::OsStr,
    fs, io,
    path::{Path, PathBuf},
    process::Command,
};

use uuid::Uuid;

use super::{account::Account, error::Error, keeper::Keeper};
use crate::binaries::Binaries;

/// Who may connect how. Tenants' roles need their passwords, as they will in production.
const HBA: &str = "\
# TYPE DATABASE USER               ADDRESS       METHOD
local  all      postgres                         trust
local  all      fbs_owner                        trust
local  all      all                              scram-sha-256
host   all      postgres,fbs_owner 127.0.0.1/32  trust
host   all      all                127.0.0.1/32  scram-sha-256
";

/// Names the folder for scratch clusters, instead of the automatic choice.
pub(super) const SCRATCH_VARIABLE: &str = "FBS_SANDBOX_SCRATCH";

/// Space a scratch cluster may want; Docker's own /dev/shm has 64 MB.
const SHARED_MEMORY_KIB: u64 = 1024 * 1024;

/// Longest path of a unix socket: 103 bytes on macOS, 107 on Linux.
const SOCKET_PATH_BYTES: usize = 103;

/// A new path for a run folder, in memory when there is room: writing a cluster through a disk
/// that other builds keep busy takes a second instead of a tenth.
pub(super) fn scratch_path() -> PathBuf {
    let name = format!("fbs-{}", short_id());
    let place = env::var_os(SCRATCH_VARIABLE).filter(|value| !value.is_empty()).map(PathBuf::from);
    let place = place.unwrap_or_else(|| {
        let memory = Path::new("/dev/shm");
        if free_kib(memory).is_some_and(|free| free > SHARED_MEMORY_KIB) { memory.to_owned() } else { env::temp_dir() }
    });
    let path = place.join(&name);
    let socket = path.join(".s.PGSQL.65535.lock");
    if socket.as_os_str().len() > SOCKET_PATH_BYTES { Path::new("/tmp").join(name) } else { path }
}

fn short_id() -> String {
    let mut id = Uuid::new_v4().simple().to_string();
    id.truncate(8);
    id
}

fn free_kib(folder: &Path) -> Option<u64> {
    let output = Command::new("df").arg("-Pk").arg(folder).output().ok()?;
    // Second line: filesystem, size, used, available, ...
    String::from_utf8_lossy(&output.stdout).lines().nth(1)?.split_whitespace().nth(3)?.parse().ok()
}

/// What a data folder is made with.
#[derive(Debug)]
pub(super) struct Maker<'a> {
    pub(super) binaries: &'a Binaries,
    pub(super) account: Option<&'a Account>,
    pub(super) template: Option<&'a Path>,
}

impl Maker<'_> {
    /// Fills `data`, which nobody else knows, from the template or by `initdb`.
    pub(super) async fn scratch(&self, keeper: &mut Keeper, data: &Path) -> Result<(), Error> {
        match self.template {
            Some(template) => self.copy_template(keeper, template, data).await,
            None => self.initdb(keeper, data, &["--wal-segsize=1"]).await, // 28 MB instead of 40 to copy
        }
    }

    /// Makes sure that `data` is a data folder; one that exists stays as it is.
    pub(super) async fn durable(&self, keeper: &mut Keeper, data: &Path) -> Result<(), Error> {
        if data.join("PG_VERSION").exists() {
            self.check_major(data)?;
            return self.account.map_or(Ok(()), |account| account.check_reach(data));
        }
        if fs::read_dir(data).is_ok_and(|mut entries| entries.next().is_some()) {
            return Err(Error::ForeignFolder(data.to_owned()));
        }
        if let Some(parent) = data.parent() {
            fs::create_dir_all(parent).map_err(Error::io("create", parent))?;
        }
        let staging = staging_beside(data)?;
        keeper.stage(&staging)?;
        match self.template {
            Some(template) => self.copy_template(keeper, template, &staging).await?,
            None => self.initdb(keeper, &staging, &[]).await?,
        }
        fs::rename(&staging, data).map_err(Error::io("rename the new data folder to", data))
    }

    async fn initdb(&self, keeper: &mut Keeper, data: &Path, more: &[&str]) -> Result<(), Error> {
        fs::create_dir(data).map_err(Error::io("create", data))?;
        if let Some(account) = self.account {
            account.hand_over(data)?;
        }
        let mut arguments = vec!["-D".into(), data.as_os_str().to_owned()];
        arguments
            .extend(["-U", "postgres", "-E", "UTF8", "--locale=C", "--no-sync", "--no-instructions"].map(Into::into));
        arguments.extend(["--auth-local=trust", "--auth-host=scram-sha-256"].map(Into::into));
        arguments.extend(more.iter().map(Into::into));
        keeper.step(&self.binaries.program("initdb"), &arguments, self.account).await?;
        // Written over initdb's own, which keeps its owner and mode.
        let rules = data.join("pg_hba.conf");
        fs::write(&rules, HBA).map_err(Error::io("write", &rules))
    }

    /// Copies as ourselves, because the server's user may not be able to read the template.
    async fn copy_template(&self, keeper: &mut Keeper, template: &Path, data: &Path) -> Result<(), Error> {
        self.check_major(template)?;
        copy(keeper, template, data).await?;
        let Some(account) = self.account else { return Ok(()) };
        let owner = format!("{}:{}", account.uid, account.gid);
        keeper.step(Path::new("chown"), &["-R".as_ref(), owner.as_ref(), data.as_os_str()], None).await?;
        account.check_reach(data)
    }

    fn check_major(&self, data: &Path) -> Result<(), Error> {
        let file = data.join("PG_VERSION");
        let found = fs::read_to_string(&file).map_err(Error::io("read", &file))?.trim().to_owned();
        if found == self.binaries.major.to_string() {
            return Ok(());
        }
        Err(Error::OtherMajor { folder: data.to_owned(), found, expected: self.binaries.major })
    }
}

/// Copies the stopped `data` to `template`, readable for everybody; the loser of a race leaves no trace.
pub(super) async fn save(keeper: &mut Keeper, data: &Path, template: &Path) -> Result<(), Error> {
    let template = &std::path::absolute(template).map_err(Error::io("resolve", template))?;
    if let Some(parent) = template.parent() {
        fs::create_dir_all(parent).map_err(Error::io("create", parent))?;
    }
    let staging = staging_beside(template)?;
    keeper.stage(&staging)?;
    copy(keeper, data, &staging).await?;
    for own in ["postmaster.opts", super::LOG_NAME] {
        let _absent = fs::remove_file(staging.join(own));
    }
    keeper.step(Path::new("chmod"), &["-R".as_ref(), "a+rX".as_ref(), staging.as_os_str()], None).await?;
    match fs::rename(&staging, template) {
        Ok(()) => Ok(()),
        // Rename never replaces a folder that holds something: another process was first.
        Err(_) if template.join("PG_VERSION").exists() => {
            fs::remove_dir_all(&staging).map_err(Error::io("remove", &staging))
        }
        Err(source) => Err(Error::io("rename the new template to", template)(source)),
    }
}

/// `cp` shares blocks where the file system can. The gate's umask closes the copy to others,
/// which Postgres insists on, however open the template is.
async fn copy(keeper: &mut Keeper, from: &Path, to: &Path) -> Result<(), Error> {
    let share = match env::consts::OS {
        "macos" => &["-c"][..],
        "linux" => &["--reflink=auto"][..],
        _ => &[],
    };
    let mut arguments = vec!["-R".as_ref()];
    arguments.extend(share.iter().map(OsStr::new));
    arguments.extend([from.as_os_str(), to.as_os_str()]);
    keeper.step(Path::new("cp"), &arguments, None).await
}

/// A name in the same file system, so that a rename finishes the work.
fn staging_beside(folder: &Path) -> Result<PathBuf, Error> {
    let Some(name) = folder.file_name() else {
        return Err(Error::io("name a folder beside", folder)(io::ErrorKind::InvalidInput.into()));
    };
    Ok(folder.with_file_name(format!(".{}.{}", name.to_string_lossy(), short_id())))
}
