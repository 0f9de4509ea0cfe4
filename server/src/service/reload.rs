//! The configuration, read again while the service runs: when asked to, and when its file or a password changes.
//!
//! All of it is parsed, compared and tried before any of it is used. What cannot be used changes nothing, and is told.

use std::{fmt, path::PathBuf, sync::Arc, time::Duration};

use tokio::sync::mpsc;

use super::{
    guard::loss,
    stamp::{Stamp, stamp},
};
use crate::{
    config::{Config, ConfigErrors},
    metrics::Metrics,
    routing::Router,
};

/// How often the files are looked at.
const LOOK: Duration = Duration::from_secs(1);

/// Reads the configuration again, as at the start.
pub type Load = Arc<dyn Fn() -> Result<Config, ConfigErrors> + Send + Sync>;

/// Where a configuration is read again from, and who asks for it.
pub struct Source {
    /// Its file, which is looked at for changes.
    pub path: PathBuf,
    /// Reads it.
    pub load: Load,
    /// Asks to read it now.
    pub asked: mpsc::UnboundedReceiver<()>,
}

/// Keeps the service at its configuration.
pub(super) struct Reload {
    source: Source,
    /// What is used.
    running: Arc<Config>,
    router: Arc<Router>,
    metrics: Arc<Metrics>,
    /// Postgres may lose what it has acknowledged.
    unsafe_durability: bool,
    /// What was read last could not be used.
    refused: bool,
}

impl Reload {
    pub(super) fn new(
        source: Source,
        running: &Arc<Config>,
        router: Arc<Router>,
        metrics: Arc<Metrics>,
        unsafe_durability: bool,
    ) -> Self {
        Self { source, running: Arc::clone(running), router, metrics, unsafe_durability, refused: false }
    }

    /// Looks at the files for ever, and takes what is new.
    pub(super) async fn follow(mut self) {
        // Not what was read at the start: the files may have changed since.
        let (mut taken, mut seen) = (None, None);
        let mut looks = tokio::time::interval(LOOK);
        loop {
            let asked = tokio::select! {
                Some(()) = self.source.asked.recv() => true,
                _ = looks.tick() => false,
            };
            let Some(now) = self.stamp().await else { continue };
            // Not while they change: who is asked has been told that they are whole.
            if asked || (seen.as_ref() == Some(&now) && taken.as_ref() != Some(&now)) {
                self.take(asked).await;
                taken = Some(now.clone());
            }
            seen = Some(now);
        }
    }

    async fn take(&mut self, asked: bool) {
        let outcome = self.try_take().await;
        let refused = outcome.is_err();
        match outcome {
            Ok(changed) if changed.is_empty() => {
                if asked || self.refused {
                    self.metrics.config_reloaded(true);
                    tracing::info!("read the configuration again: nothing has changed");
                }
            }
            Ok(changed) => {
                self.metrics.config_reloaded(true);
                tracing::info!(changed = changed.join("; "), "read the configuration again");
            }
            Err(ConfigErrors(problems)) => {
                self.metrics.config_reloaded(false);
                tracing::error!(
                    problems = problems.join("; "),
                    "the configuration cannot be used, the one before stays"
                );
            }
        }
        self.refused = refused;
    }

    /// What has changed, once all of it is used.
    async fn try_take(&mut self) -> Result<Vec<String>, ConfigErrors> {
        let load = Arc::clone(&self.source.load);
        let failed = |error: tokio::task::JoinError| ConfigErrors(vec![format!("reading it failed: {error}")]);
        let next = tokio::task::spawn_blocking(move || load()).await.map_err(failed)??;
        let changes = self.running.changes(&next)?;
        let told = changes.iter().map(ToString::to_string).collect();
        let prepared = self.router.prepare(changes).await.map_err(ConfigErrors)?;
        if !self.unsafe_durability {
            let lossy = prepared.unsafe_settings().filter_map(|(server, off)| {
                let (what, remedy) = loss(off)?;
                Some(format!("server `{server}`: {what}; {remedy}"))
            });
            let lossy: Vec<String> = lossy.collect();
            if !lossy.is_empty() {
                return Err(ConfigErrors(lossy));
            }
        }
        self.router.adopt(prepared).await;
        self.running = Arc::new(next);
        Ok(told)
    }

    async fn stamp(&self) -> Option<Stamp> {
        let mut paths = vec![self.source.path.clone()];
        paths.extend(self.running.servers.iter().filter_map(|server| server.password_file.clone()));
        tokio::task::spawn_blocking(move || stamp(paths.iter().map(PathBuf::as_path))).await.ok()
    }
}

impl fmt::Debug for Source {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Source").field("path", &self.path).finish_non_exhaustive()
    }
}
