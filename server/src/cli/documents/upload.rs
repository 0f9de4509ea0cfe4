//! `fbs-router documents upload`: a file becomes a document's content.
//!
//! The file is read twice, for its digest and to be sent, and sent again as a whole where a change would be repeated.
//! The client does so by itself; where a bar is shown it is done here, because only a reader tells how far it is.

use std::{path::PathBuf, time::Duration};

use clap::Args;
use fbs_router_client::{
    Answer, Documents, Error, Upload,
    v1::{Content, Document},
};
use indicatif::ProgressBar;
use sha2::{Digest, Sha256};
use tokio::{fs::File, io::AsyncReadExt};
use uuid::Uuid;

use super::{MutationArgs, ScopeArgs, progress, progress::ProgressArgs, show};
use crate::cli::output::CliError;

/// Bytes hashed at a time.
const PIECE_BYTES: usize = 256 * 1024;
/// As often as the client sends files.
const ATTEMPTS: u32 = 4;
/// Between attempts, unless the service says otherwise.
const WAIT: Duration = Duration::from_millis(500);

/// Arguments of `documents upload`.
#[derive(Debug, Args)]
pub(crate) struct UploadArgs {
    /// Id of the document
    document_id: String,
    /// The file
    file: PathBuf,
    /// Name to store it under; the file's own unless given
    #[arg(long, value_name = "NAME")]
    filename: Option<String>,
    /// Such as application/pdf; application/octet-stream unless given
    #[arg(long, value_name = "TYPE")]
    media_type: Option<String>,
    /// Fail unless the document still has this etag
    #[arg(long)]
    etag: Option<String>,
    #[command(flatten)]
    progress: ProgressArgs,
    #[command(flatten)]
    mutation: MutationArgs,
    #[command(flatten)]
    scope: ScopeArgs,
}

impl UploadArgs {
    pub(super) async fn run(self) -> Result<(), CliError> {
        let found = tokio::fs::metadata(&self.file).await.map_err(|error| self.unreadable(error))?;
        if !found.is_file() {
            let problem = format!("{} is not a file", self.file.display());
            return Err(CliError::Refused(problem, "its size and digest are told first: save it to a file"));
        }
        let documents = self.scope.documents().await?;
        let stored = match self.progress.bar(&self.scope.service, found.len(), "hashing") {
            Some(bar) => self.send_with(&documents, &bar).await?,
            None => documents.upload_file(self.upload(Content::default()), &self.file).await?,
        };
        show::answer(&self.scope.service, &stored)
    }

    /// What is sent besides the bytes; what is not given is left to be found out.
    fn upload(&self, content: Content) -> Upload {
        let own_name = self.file.file_name().and_then(|name| name.to_str());
        let or_empty = |text: &Option<String>| text.clone().unwrap_or_default();
        Upload::new(self.document_id.as_str(), content)
            .filename(self.filename.as_deref().or(own_name).unwrap_or_default())
            .media_type(self.media_type.as_deref().unwrap_or("application/octet-stream"))
            .etag(or_empty(&self.etag))
            .request_id(or_empty(&self.mutation.request_id))
            .actor(or_empty(&self.mutation.actor))
            .database(self.scope.database())
    }

    /// As `upload_file` of the client, with a bar.
    async fn send_with(&self, documents: &Documents, bar: &ProgressBar) -> Result<Answer<Document>, CliError> {
        let content = self.digest(bar).await.map_err(|error| self.unreadable(error))?;
        let request_id = self.mutation.request_id.clone().unwrap_or_else(|| Uuid::new_v4().to_string());
        let upload = self.upload(content).request_id(request_id);
        let mut attempt = 1;
        loop {
            progress::restart(bar, "uploading");
            let file = File::open(&self.file).await.map_err(|error| self.unreadable(error))?;
            let outcome = documents.upload(upload.clone(), bar.wrap_async_read(file)).await;
            match outcome {
                // While nothing was read the client has tried again by itself.
                Err(error) if error.retryable() && bar.position() > 0 && attempt < ATTEMPTS => wait(&error).await,
                outcome => {
                    bar.finish_and_clear();
                    return Ok(outcome?);
                }
            }
            attempt += 1;
        }
    }

    async fn digest(&self, bar: &ProgressBar) -> std::io::Result<Content> {
        let mut file = bar.wrap_async_read(File::open(&self.file).await?);
        let (mut digest, mut size_bytes, mut piece) = (Sha256::new(), 0, vec![0; PIECE_BYTES]);
        loop {
            let read = file.read(&mut piece).await?;
            if read == 0 {
                return Ok(Content { size_bytes, sha256: digest.finalize().to_vec(), ..Default::default() });
            }
            size_bytes += i64::try_from(read).unwrap_or(i64::MAX);
            digest.update(&piece[..read]);
        }
    }

    fn unreadable(&self, error: std::io::Error) -> CliError {
        CliError::File(format!("cannot read {}", self.file.display()), error)
    }
}

async fn wait(error: &Error) {
    tokio::time::sleep(error.retry_after().unwrap_or(WAIT)).await;
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Command {
        #[command(flatten)]
        upload: UploadArgs,
    }

    #[tokio::test]
    async fn a_bar_counts_the_bytes_that_are_hashed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("notes.txt");
        std::fs::write(&path, vec![7; PIECE_BYTES + 1]).unwrap();
        let arguments = ["test", "id", path.to_str().unwrap(), "--solution=acme_corp"];
        let upload = Command::try_parse_from(arguments).unwrap().upload;
        let bar = ProgressBar::hidden();
        let content = upload.digest(&bar).await.unwrap();
        assert_eq!(content.size_bytes, i64::try_from(PIECE_BYTES + 1).unwrap());
        assert_eq!(content.sha256, Sha256::digest(vec![7; PIECE_BYTES + 1]).to_vec());
        assert_eq!(bar.position(), u64::try_from(PIECE_BYTES + 1).unwrap());
    }
}
