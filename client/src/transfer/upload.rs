//! Uploads: what is sent, where it comes from, and when it may be sent again. How it is sent is in `send.rs`.

use std::{io, path::Path, time::Duration};

use fbs_router_proto::document::v1::{Content, Document, upload_content_request::Header};
use prost::bytes::{Bytes, BytesMut};
use sha2::{Digest, Sha256};
use tokio::{
    fs::File,
    io::{AsyncRead, AsyncReadExt},
};
use tracing::Instrument;

use super::{
    FRAME_BYTES,
    send::{Source, send},
    sha256,
};
use crate::{Answer, Documents, Error, call::Attempts, documents::document};

/// What is uploaded, and to which document. A document id alone is one too, where the content tells the rest.
#[derive(Debug, Clone, Default)]
pub struct Upload {
    header: Header,
}

// === impl Upload ===

impl Upload {
    /// Content for a document. For [`Documents::upload`] filename, media type, size and SHA-256 have to be given; for
    /// [`Documents::upload_file`] and [`Documents::upload_bytes`] size and SHA-256 are found out.
    pub fn new(document_id: impl Into<String>, content: Content) -> Self {
        Header { document_id: document_id.into(), content: Some(content), ..Default::default() }.into()
    }

    /// Under this filename.
    #[must_use]
    pub fn filename(mut self, filename: impl Into<String>) -> Self {
        self.content().filename = filename.into();
        self
    }

    /// Of this media type, such as `application/pdf`.
    #[must_use]
    pub fn media_type(mut self, media_type: impl Into<String>) -> Self {
        self.content().media_type = media_type.into();
        self
    }

    /// Only if the document's etag is still this one.
    #[must_use]
    pub fn etag(mut self, etag: impl Into<String>) -> Self {
        self.header.etag = etag.into();
        self
    }

    /// On behalf of somebody else.
    #[must_use]
    pub fn actor(mut self, actor: impl Into<String>) -> Self {
        self.header.actor = actor.into();
        self
    }

    /// Under this UUID, which makes it safe to repeat; one is made otherwise.
    #[must_use]
    pub fn request_id(mut self, request_id: impl Into<String>) -> Self {
        self.header.request_id = request_id.into();
        self
    }

    /// Only if the solution is served from the database of this name.
    #[must_use]
    pub fn database(mut self, database: impl Into<String>) -> Self {
        self.header.database = database.into();
        self
    }

    fn content(&mut self) -> &mut Content {
        self.header.content.get_or_insert_default()
    }

    /// Says what the content is, as far as the caller did not. A digest that was given is a promise to be kept.
    fn found(&mut self, filename: Option<&str>, size: i64, digest: Vec<u8>) -> Result<(), Error> {
        let content = self.content();
        if !content.sha256.is_empty() && content.sha256 != digest {
            return Err(Error::field("content.sha256", "is not the digest of this content".to_owned()));
        }
        if content.filename.is_empty() {
            content.filename = filename.unwrap_or_default().to_owned();
        }
        if content.media_type.is_empty() {
            content.media_type = "application/octet-stream".to_owned();
        }
        (content.size_bytes, content.sha256) = (size, digest);
        Ok(())
    }
}

impl From<Header> for Upload {
    fn from(header: Header) -> Self {
        Self { header }
    }
}

impl From<&str> for Upload {
    fn from(document_id: &str) -> Self {
        Self::new(document_id, Content::default())
    }
}

impl From<&String> for Upload {
    fn from(document_id: &String) -> Self {
        Self::new(document_id, Content::default())
    }
}

impl From<String> for Upload {
    fn from(document_id: String) -> Self {
        Self::new(document_id, Content::default())
    }
}

// === impl Documents: uploads ===

impl Documents {
    /// Replaces a document's content by what `reader` gives: exactly `content.size_bytes` bytes are read, which must
    /// have the digest `content.sha256`. Only in DRAFT and REJECTED.
    ///
    /// Tried again only while nothing was read, because what was read is gone: an error after that says by
    /// [`Error::retryable`] whether the same upload with a new reader and the same
    /// [`request_id`](Error::request_id) may help. A reader that fails or ends early is
    /// [`ErrorKind::Io`](crate::ErrorKind::Io).
    ///
    /// Cancel safety: nothing half-sent becomes visible; what was sent whole may.
    pub async fn upload<R>(&self, upload: impl Into<Upload>, reader: R) -> Result<Answer<Document>, Error>
    where
        R: AsyncRead + Send + Unpin + 'static,
    {
        let mut header = upload.into().header;
        let mut attempts = self.begin_upload(&mut header)?;
        let mut source = Source { reader, read: 0 };
        let span = attempts.span.clone();
        let work = async {
            loop {
                let attempt = attempts.begin()?;
                match send(&attempts, &attempt, header.clone(), self.idle_limit(), &mut source).await {
                    Ok(answer) => {
                        attempts.succeeded();
                        return document(answer.map(|reply| reply.document));
                    }
                    Err(error) if source.read > 0 => return Err(attempts.over(error)),
                    Err(error) => attempts.failed(attempt, error).await?,
                }
            }
        };
        work.instrument(span).await
    }

    /// Replaces a document's content by a file, which is read twice: for its digest, and to be sent. Filename and
    /// media type are the file's name and `application/octet-stream` unless given: see [`Upload`]. Tried again as a
    /// whole, as any change; a deadline asked for counts from when the digest is known. A file that shrinks meanwhile is [`ErrorKind::Io`](crate::ErrorKind::Io), one that
    /// changes [`ChecksumMismatch`](crate::ErrorReason::ChecksumMismatch); what is appended is not sent.
    ///
    /// Cancel safety: nothing half-sent becomes visible; what was sent whole may.
    pub async fn upload_file(
        &self,
        upload: impl Into<Upload>,
        path: impl AsRef<Path>,
    ) -> Result<Answer<Document>, Error> {
        let path = path.as_ref().to_owned();
        let mut upload = upload.into();
        let (size, digest) = digest(&path).await.map_err(|source| unreadable(&path, source))?;
        upload.found(path.file_name().and_then(|name| name.to_str()), size, digest)?;
        let open = || async { File::open(&path).await.map_err(|source| unreadable(&path, source)) };
        self.upload_whole(upload, open).await
    }

    /// Replaces a document's content by some bytes. The filename has to be given; the media type is
    /// `application/octet-stream` unless given. Tried again as a whole, as any change.
    ///
    /// Cancel safety: nothing half-sent becomes visible; what was sent whole may.
    pub async fn upload_bytes(
        &self,
        upload: impl Into<Upload>,
        bytes: impl Into<Bytes>,
    ) -> Result<Answer<Document>, Error> {
        let bytes: Bytes = bytes.into();
        let mut upload = upload.into();
        upload.found(None, i64::try_from(bytes.len()).unwrap_or(i64::MAX), sha256(&bytes))?;
        self.upload_whole(upload, || async { Ok(io::Cursor::new(bytes.clone())) }).await
    }

    /// Sends what can be opened again and again.
    async fn upload_whole<R, F>(&self, upload: Upload, open: impl Fn() -> F) -> Result<Answer<Document>, Error>
    where
        R: AsyncRead + Send + Unpin,
        F: Future<Output = Result<R, Error>>,
    {
        let mut header = upload.header;
        let mut attempts = self.begin_upload(&mut header)?;
        let span = attempts.span.clone();
        let work = async {
            loop {
                let mut source = Source { reader: open().await?, read: 0 };
                let attempt = attempts.begin()?;
                match send(&attempts, &attempt, header.clone(), self.idle_limit(), &mut source).await {
                    Ok(answer) => {
                        attempts.succeeded();
                        return document(answer.map(|reply| reply.document));
                    }
                    Err(error) => attempts.failed(attempt, error).await?,
                }
            }
        };
        work.instrument(span).await
    }

    fn begin_upload(&self, header: &mut Header) -> Result<Attempts, Error> {
        let request_id = self.claim(header)?;
        if header.content.as_ref().is_some_and(|content| content.size_bytes < 0) {
            return Err(Error::field("content.size_bytes", "is negative".to_owned()));
        }
        Ok(self.client.transfer("UploadContent", &self.solution, request_id))
    }

    pub(super) fn idle_limit(&self) -> Duration {
        self.client.shared.idle_limit
    }
}

/// Size and digest of a file.
async fn digest(path: &Path) -> io::Result<(i64, Vec<u8>)> {
    let mut file = File::open(path).await?;
    let (mut digest, mut size) = (Sha256::new(), 0);
    let mut buffer = BytesMut::with_capacity(FRAME_BYTES);
    while file.read_buf(&mut buffer).await? > 0 {
        size += buffer.len() as i64;
        digest.update(&buffer);
        buffer.clear();
    }
    Ok((size, digest.finalize().to_vec()))
}

fn unreadable(path: &Path, source: io::Error) -> Error {
    Error::io(format!("{} cannot be read", path.display()), Some(source))
}
