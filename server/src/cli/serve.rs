//! `fbs-router serve`: the service.

use std::{net::SocketAddr, path::PathBuf, sync::Arc};

use clap::Args;
use fbs_router::{
    config::{Config, ConfigErrors},
    probe::{self, Allowed},
    service::{Service, ServiceError, Source},
};
use tokio::{
    signal::unix::{SignalKind, signal},
    sync::{mpsc, watch},
};

use super::{CliError, allow::Allow};

#[derive(Debug, Args)]
pub(crate) struct Serve {
    #[command(flatten)]
    pub(super) config: ConfigArguments,
    #[command(flatten)]
    allow: Allow,
}

/// Where the configuration comes from.
#[derive(Debug, Clone, Args)]
pub(crate) struct ConfigArguments {
    /// The configuration; deploy/fbs-router.example.toml explains every key.
    #[arg(long, value_name = "FILE", env = "FBS_ROUTER_CONFIG")]
    config: PathBuf,
    /// Override one setting, such as --set pool.max_size=20. Also FBS_ROUTER_POOL__MAX_SIZE in the environment.
    #[arg(long = "set", value_name = "KEY=VALUE")]
    settings: Vec<String>,
    /// Shorthand for --set listen.grpc=ADDRESS.
    #[arg(long, value_name = "ADDRESS")]
    listen: Option<SocketAddr>,
}

impl ConfigArguments {
    pub(super) fn load(&self) -> Result<Config, CliError> {
        self.read().map_err(|errors| CliError::Configuration(errors.to_string()))
    }

    fn read(&self) -> Result<Config, ConfigErrors> {
        let mut settings = self.settings.clone();
        settings.extend(self.listen.map(|address| format!("listen.grpc={address}")));
        #[expect(clippy::disallowed_methods, reason = "the binary reads the environment, and hands it on")]
        let environment = std::env::vars().filter(|(name, _)| !is_argument(name));
        Config::load(&self.config, environment, &settings)
    }

    /// What the service reads again while it runs, and refuses as it would at the start.
    fn source(&self, allowed: Allowed) -> Result<Source, CliError> {
        let this = self.clone();
        let load = move || {
            let config = this.read()?;
            let problems = probe::problems(&probe::refusals(&config, allowed));
            if problems.is_empty() { Ok(config) } else { Err(ConfigErrors(problems)) }
        };
        Ok(Source { path: self.config.clone(), load: Arc::new(load), asked: hangups()? })
    }
}

/// Variables that are arguments of the binary, not settings.
fn is_argument(name: &str) -> bool {
    ["FBS_ROUTER_CONFIG", "FBS_ROUTER_LOG", "FBS_ROUTER_LOG_FORMAT", "FBS_ROUTER_URL", "FBS_ROUTER_TOKEN_FILE"]
        .contains(&name)
}

impl Serve {
    pub(super) async fn run(self) -> Result<(), CliError> {
        no_core_dumps();
        let config = self.config.load()?;
        let allowed = self.allow.allowed();
        if !probe::problems(&probe::refusals(&config, allowed)).is_empty() {
            // It will not run: then everything that will have to be mended is told at once.
            let problems = probe::problems(&probe::run(&config, allowed).await);
            return Err(CliError::Configuration(problems.join("\n")));
        }
        super::logging::panics();
        // From here on SIGHUP does not end the process any more.
        let source = self.config.source(allowed)?;
        let service = Service::bind(config).await.map_err(describe)?.reloading(source);
        let service = if allowed.unsafe_durability { service } else { service.refusing_unsafe_durability() };
        if let Some(address) = service.grpc_address() {
            tracing::info!(%address, "listening");
        }
        service.run(stop_signal()?).await.map_err(describe)
    }
}

/// A core would hold passwords, keys and documents. Where that cannot be had, the service is worth more.
fn no_core_dumps() {
    use rustix::process::{Resource, Rlimit, setrlimit};
    let limited = setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) });
    // Also for handlers that take cores by a pipe, which no limit stops; nor may other processes of the user look in.
    #[cfg(target_os = "linux")]
    let limited =
        limited.and_then(|()| rustix::process::set_dumpable_behavior(rustix::process::DumpableBehavior::NotDumpable));
    if let Err(error) = limited {
        tracing::warn!(%error, "core dumps cannot be switched off");
    }
}

pub(super) fn describe(error: ServiceError) -> CliError {
    match error {
        ServiceError::Configuration(problem) => CliError::Configuration(problem),
        ServiceError::Refused(problems) => CliError::Configuration(problems.join("\n")),
        ServiceError::Listen { .. } | ServiceError::Background | ServiceError::Transport(_) => {
            CliError::Failed(super::chain(&error))
        }
    }
}

/// Something each time that SIGHUP comes.
fn hangups() -> Result<mpsc::UnboundedReceiver<()>, CliError> {
    let failed = |error: std::io::Error| CliError::Failed(format!("cannot wait for signals: {error}"));
    let mut hangup = signal(SignalKind::hangup()).map_err(failed)?;
    let (sender, receiver) = mpsc::unbounded_channel();
    tokio::spawn(async move { while hangup.recv().await.is_some() && sender.send(()).is_ok() {} });
    Ok(receiver)
}

/// True once SIGTERM or SIGINT has come.
pub(super) fn stop_signal() -> Result<watch::Receiver<bool>, CliError> {
    let failed = |error: std::io::Error| CliError::Failed(format!("cannot wait for signals: {error}"));
    let mut terminate = signal(SignalKind::terminate()).map_err(failed)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(failed)?;
    let (sender, receiver) = watch::channel(false);
    tokio::spawn(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        sender.send_replace(true);
        // Kept: a dropped sender would mean stop as well, but only once anybody looks.
        std::future::pending::<()>().await;
    });
    Ok(receiver)
}
