//! `fbs-router documents download`: a document's content into a file, or to stdout. Where it goes is in `target.rs`.
//!
//! Invariant: under its name there is the whole content with the digest declared, or what was there before. It is
//! written beside that place and renamed at the end.

use std::{
    io,
    os::fd::AsFd,
    path::{Path, PathBuf},
};

use clap::Args;
use fbs_router_client::{Download, v1::DownloadContentRequest};
use indicatif::ProgressBar;
use tokio::{
    io::{AsyncWrite, AsyncWriteExt},
    signal::unix::{SignalKind, signal},
};

use super::{ScopeArgs, progress::ProgressArgs, show};
use crate::cli::output::{CliError, json, served_line, table};

mod target;

use target::Target;

/// Arguments of `documents download`.
#[derive(Debug, Args)]
pub(crate) struct DownloadArgs {
    /// Id of the document
    document_id: String,
    /// The file to write, - for stdout; the content's own name in the current folder unless given
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Replace a file that is there; with -o -, write to a terminal
    #[arg(long)]
    force: bool,
    #[command(flatten)]
    progress: ProgressArgs,
    #[command(flatten)]
    scope: ScopeArgs,
}

impl DownloadArgs {
    pub(super) async fn run(self) -> Result<(), CliError> {
        let given = Target::given(self.output.as_deref(), self.force, self.scope.service.json)?;
        let request = DownloadContentRequest {
            document_id: self.document_id.clone(),
            database: self.scope.database(),
            ..Default::default()
        };
        let mut download = self.scope.documents().await?.download(request).await?;
        let size = u64::try_from(download.content().size_bytes).unwrap_or_default();
        let bar = self.progress.bar(&self.scope.service, size, "downloading").unwrap_or_else(ProgressBar::hidden);
        let target = match given {
            Some(target) => target,
            None => Target::own(&download.content().filename, self.force)?,
        };
        match target {
            Target::Stdout => match copy(&mut download, stdout().map_err(CliError::Output)?, &bar).await {
                Err(Failed::Write(error)) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
                Err(Failed::Write(error)) => Err(CliError::Output(error)),
                Err(Failed::Read(error)) => Err(error),
                Ok(()) => Ok(()),
            },
            Target::File(path) => {
                self.save(&mut download, &path, &bar).await?;
                self.saved(&download, &path)
            }
        }
    }

    /// Into a temporary file beside `path`, which is gone unless all went well.
    async fn save(&self, download: &mut Download, path: &Path, bar: &ProgressBar) -> Result<(), CliError> {
        let unwritable = |error| CliError::File(format!("cannot write {}", path.display()), error);
        let (file, beside) = target::beside(path).map_err(unwritable)?.into_parts();
        let mut file = tokio::fs::File::from_std(file);
        // The process goes on to its end after these signals, so that the temporary file is removed.
        let (mut interrupt, mut terminate) = (
            signal(SignalKind::interrupt()).map_err(unwritable)?,
            signal(SignalKind::terminate()).map_err(unwritable)?,
        );
        let copied = tokio::select! {
            copied = copy(download, &mut file, bar) => copied,
            _ = interrupt.recv() => return Err(interrupted(path)),
            _ = terminate.recv() => return Err(interrupted(path)),
        };
        copied.map_err(|failed| match failed {
            Failed::Read(error) => error,
            Failed::Write(error) => unwritable(error),
        })?;
        file.sync_all().await.map_err(unwritable)?;
        // What appeared meanwhile is not overwritten either.
        let renamed = if self.force { beside.persist(path) } else { beside.persist_noclobber(path) };
        renamed.map_err(|failed| match failed.error.kind() {
            io::ErrorKind::AlreadyExists => target::exists(path),
            _ => unwritable(failed.error),
        })
    }

    fn saved(&self, download: &Download, path: &Path) -> Result<(), CliError> {
        let (content, served) = (download.content(), download.served());
        let path = path.display().to_string();
        self.scope.service.show(
            || json::downloaded(content, &path, served),
            || {
                let facts = table::facts(&[
                    ("saved", path.clone()),
                    ("content", show::content(content)),
                    ("sha256", content.sha256.iter().map(|byte| format!("{byte:02x}")).collect()),
                ]);
                format!("{facts}\n{}", served_line(served))
            },
        )
    }
}

/// A second handle of stdout, not buffered by lines as the usual one.
fn stdout() -> io::Result<tokio::fs::File> {
    Ok(tokio::fs::File::from_std(io::stdout().as_fd().try_clone_to_owned()?.into()))
}

fn interrupted(path: &Path) -> CliError {
    CliError::File(format!("nothing was saved as {}", path.display()), io::ErrorKind::Interrupted.into())
}

/// Which side of a copy failed.
enum Failed {
    Read(CliError),
    Write(io::Error),
}

/// Everything, as it comes. The end comes only after the digest was found right.
async fn copy(download: &mut Download, mut to: impl AsyncWrite + Unpin, bar: &ProgressBar) -> Result<(), Failed> {
    while let Some(chunk) = download.chunk().await.map_err(|error| Failed::Read(error.into()))? {
        to.write_all(&chunk).await.map_err(Failed::Write)?;
        bar.inc(chunk.len() as u64);
    }
    to.flush().await.map_err(Failed::Write)?;
    bar.finish_and_clear();
    Ok(())
}
