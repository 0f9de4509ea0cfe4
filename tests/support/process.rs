//! The binary, for what only a process of its own can show.

use std::{
    io::Write,
    path::{Path, PathBuf},
    process::Command,
    sync::OnceLock,
};

use fbs_router_sandbox::soon;

use super::Replica;

/// `fbs-router`, built from the tree under test.
pub(crate) fn binary() -> PathBuf {
    built().join("fbs-router")
}

/// An example of the client crate.
pub(crate) fn example(name: &str) -> PathBuf {
    built().join("examples").join(name)
}

/// The folder of what cargo built: never a stale one.
///
/// Built together, as examples make cargo choose the features that it chooses for tests of the workspace: after those,
/// libraries need no second build.
fn built() -> &'static Path {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    BUILT.get_or_init(|| {
        let target = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().expect("a target folder");
        let mut build = Command::new(env!("CARGO"));
        // What cargo tells a test of its package: build scripts look at it, and would begin anew here and in the next build.
        let told = |name: &str| ["CARGO_PKG_", "CARGO_MANIFEST_", "OUT_DIR"].iter().any(|of| name.starts_with(of));
        for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_str().is_some_and(told)) {
            build.env_remove(name);
        }
        let built = build
            .args(["build", "--quiet", "--locked", "--workspace", "--bin", "fbs-router", "--examples"])
            .current_dir(env!("CARGO_MANIFEST_DIR"))
            .env("CARGO_TARGET_DIR", target)
            .status();
        assert!(built.expect("cargo").success(), "it is built");
        target.join("debug")
    })
}

/// Runs a program, passes signals on to it, and kills it when nobody holds the other end of the pipe: whatever ended us.
const LEASH: &str = r#"
trap '' HUP INT TERM
"$0" "$@" </dev/null &
child=$!
echo $child >"$LEASH_PID"
while read -r signal; do
    if [ "$signal" = end ]; then wait $child; exit $?; fi
    kill -s "$signal" $child
done
kill -s KILL $child 2>/dev/null
wait $child
"#;

/// Descriptors and memory of a process.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Held {
    pub(crate) descriptors: usize,
    pub(crate) kib: u64,
}

/// `fbs-router serve` as a process of its own, and everything that it prints. Dropped, it is gone as by kill -9.
pub(crate) struct Served {
    /// The shell that holds it.
    process: tokio::process::Child,
    leash: std::fs::File,
    printed: PathBuf,
    /// Its configuration.
    pub(crate) path: PathBuf,
    /// To call it with.
    pub(crate) replica: Replica,
}

impl Served {
    /// Starts it with a configuration that listens on port 0, and waits until it is SERVING.
    pub(crate) async fn start(configuration: &str, folder: &Path, environment: &[(&str, &str)]) -> Self {
        let this = Self::start_unready(configuration, folder, environment).await;
        soon("it is SERVING", async || match this.replica.health("").await {
            Ok(1) => Ok(()),
            other => Err(format!("{other:?}")),
        })
        .await;
        this
    }

    /// As [`Self::start`], waiting only until it listens.
    pub(crate) async fn start_unready(configuration: &str, folder: &Path, environment: &[(&str, &str)]) -> Self {
        tokio::task::spawn_blocking(binary).await.unwrap();
        let (path, printed) = (folder.join("served.toml"), folder.join("printed"));
        // Its own log says where gRPC is, and nothing where the ops pages are.
        let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        std::fs::write(&path, configuration.replace("ops = \"127.0.0.1:0\"", &format!("ops = \"{free}\""))).unwrap();
        let file = std::fs::File::create(&printed).unwrap();
        let mut process = tokio::process::Command::new("/bin/sh")
            .args(["-c", LEASH])
            .arg(binary())
            .args(["serve", "--allow-unsafe-durability", "--config"])
            .arg(&path)
            .envs(environment.iter().copied())
            .env("LEASH_PID", path.with_extension("pid"))
            .stdin(std::process::Stdio::piped())
            .stdout(file.try_clone().unwrap())
            .stderr(file)
            .spawn()
            .unwrap();
        let leash = std::fs::File::from(process.stdin.take().unwrap().into_owned_fd().unwrap());
        let grpc = soon("it listens", async || {
            let text = std::fs::read_to_string(&printed).unwrap_or_default();
            let line = text.lines().find(|line| line.contains("listening"));
            let address = line.and_then(|line| line.rsplit_once("127.0.0.1:")).map(|(_, rest)| rest);
            let port = address.map(|rest| rest.chars().take_while(char::is_ascii_digit).collect::<String>());
            port.and_then(|port| port.parse().ok()).ok_or(text)
        })
        .await;
        let replica = Replica::elsewhere(std::net::SocketAddr::from(([127, 0, 0, 1], grpc)), free);
        Self { process, leash, printed, path, replica }
    }

    /// Everything that it has printed.
    pub(crate) fn printed(&self) -> String {
        String::from_utf8_lossy(&std::fs::read(&self.printed).unwrap()).into_owned()
    }

    /// Puts another configuration in the place of its own.
    pub(crate) fn rewrite(&self, change: impl FnOnce(String) -> String) {
        let text = change(std::fs::read_to_string(&self.path).unwrap());
        let aside = self.path.with_extension("new");
        std::fs::write(&aside, text).unwrap();
        std::fs::rename(aside, &self.path).unwrap();
    }

    /// Of the process.
    pub(crate) fn id(&self) -> u32 {
        std::fs::read_to_string(self.path.with_extension("pid")).unwrap().trim().parse().unwrap()
    }

    /// What it holds now, where the system tells.
    pub(crate) fn held(&self) -> Option<Held> {
        let process = self.id();
        let descriptors = std::fs::read_dir(format!("/proc/{process}/fd")).ok()?.count();
        let status = std::fs::read_to_string(format!("/proc/{process}/status")).ok()?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
        Some(Held { descriptors, kib: line.trim().trim_end_matches(" kB").parse().ok()? })
    }

    /// The most memory that it has had since it was asked last, where the system tells.
    pub(crate) fn peak_kib(&self) -> Option<u64> {
        let process = self.id();
        let status = std::fs::read_to_string(format!("/proc/{process}/status")).ok()?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
        std::fs::write(format!("/proc/{process}/clear_refs"), "5").ok()?;
        line.trim().trim_end_matches(" kB").parse().ok()
    }

    /// Sends it a signal, such as `HUP`.
    pub(crate) fn signal(&self, signal: &str) {
        (&self.leash).write_all(format!("{signal}\n").as_bytes()).unwrap();
    }

    /// Ok, if a signal has stopped it, or the system does not tell.
    pub(crate) fn is_stopped(&self) -> Result<(), String> {
        match std::fs::read_to_string(format!("/proc/{}/stat", self.id())) {
            Ok(stat) if !stat.rsplit_once(") ").is_some_and(|(_, state)| state.starts_with('T')) => Err(stat),
            _ => Ok(()),
        }
    }

    /// Ends it as SIGTERM does; all that it printed.
    pub(crate) async fn stop(self) -> String {
        self.signal("TERM");
        self.stopped().await
    }

    /// Waits until it has ended well by itself; all that it printed.
    pub(crate) async fn stopped(mut self) -> String {
        self.signal("end");
        let ended = tokio::time::timeout(std::time::Duration::from_secs(10), self.process.wait()).await;
        assert!(ended.expect("an end").unwrap().success(), "{}", self.printed());
        self.printed()
    }

    /// Ends it as kill -9 does, whatever it is doing.
    pub(crate) async fn kill(self) {
        let Self { mut process, leash, .. } = self;
        drop(leash);
        let ended = tokio::time::timeout(std::time::Duration::from_secs(10), process.wait()).await;
        ended.expect("an end").unwrap();
    }
}
