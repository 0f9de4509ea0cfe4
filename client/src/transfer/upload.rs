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

/// Of a SHA-256.
const DIGEST_BYTES: usize = 32;

/// What is uploaded, and to which document. A document id alone is one too, where the content tells the rest.
#[derive(Debug, Clone, Default)]
pub struct Upload {
    header: Header,
}

// === impl Upload ===

impl Upload {
    /// Content for a document. For [`Documents::upload`] filename, size and SHA-256 have to be given; for
    /// [`Documents::upload_bytes`] the filename, and for [`Documents::upload_file`] nothing. The media type is
    /// `application/octet-stream` unless given.
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

    /// Of this many bytes: has to be said of a reader, and is found out of files and bytes, where it is a promise to be
    /// kept. 0 is an empty content for a reader, and nothing said for the others.
    #[must_use]
    pub fn size_bytes(mut self, size: i64) -> Self {
        self.content().size_bytes = size;
        self
    }

    /// With this SHA-256: has to be said of a reader, and is found out of files and bytes, where it is a promise to be
    /// kept.
    #[must_use]
    pub fn sha256(mut self, digest: [u8; 32]) -> Self {
        self.content().sha256 = digest.to_vec();
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

    /// Says what the content is, as far as the caller did not. What was given is a promise to be kept.
    fn found(&mut self, filename: Option<&str>, size: i64, digest: Vec<u8>) -> Result<(), Error> {
        let content = self.content();
        if content.size_bytes != 0 && content.size_bytes != size {
            return Err(Error::field("content.size_bytes", format!("is not the {size} bytes of this content")));
        }
        if !content.sha256.is_empty() && content.sha256 != digest {
            return Err(Error::field("content.sha256", "is not the digest of this content".to_owned()));
        }
        if content.filename.is_empty() {
            content.filename = filename.unwrap_or_default().to_owned();
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
    /// Filename, size and SHA-256 have to be known before ([`Upload::filename`], [`Upload::size_bytes`],
    /// [`Upload::sha256`]), because the contract has them first; where they are not, as for the body of an HTTP
    /// request, write it to a file and use [`upload_file`](Self::upload_file). What is missing is
    /// [`ErrorKind::InvalidArgument`](crate::ErrorKind::InvalidArgument) before anything is read or sent.
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
    /// media type are the file's name and `application/octet-stream` unless given: see [`Upload`]; a path without
    /// a name in UTF-8 needs [`Upload::filename`], or is
    /// [`ErrorKind::InvalidArgument`](crate::ErrorKind::InvalidArgument) before anything is sent. Tried again as a whole,
    /// as any change; a deadline asked for counts from when the digest is known. A file that shrinks meanwhile is
    /// [`ErrorKind::Io`](crate::ErrorKind::Io), one that changes
    /// [`ChecksumMismatch`](crate::ErrorReason::ChecksumMismatch); what is appended is not sent.
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

    /// Replaces a document's content by some bytes. The filename has to be given ([`Upload::filename`]), or it is
    /// [`ErrorKind::InvalidArgument`](crate::ErrorKind::InvalidArgument) before anything is sent; the media type is
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
        complete(header.content.get_or_insert_default())?;
        Ok(self.client.transfer("UploadContent", &self.solution, request_id))
    }

    pub(super) fn idle_limit(&self) -> Duration {
        self.client.shared.idle_limit
    }
}

/// Refuses what the service would refuse as well, but here it is known which setter was forgotten.
fn complete(content: &mut Content) -> Result<(), Error> {
    let wrong = |field, description: &str| Err(Error::field(field, description.to_owned()));
    if content.media_type.is_empty() {
        content.media_type = "application/octet-stream".to_owned();
    }
    if content.filename.is_empty() {
        return wrong("content.filename", "is missing: Upload::filename gives it");
    }
    if content.sha256.len() != DIGEST_BYTES {
        return wrong("content.sha256", "is not 32 bytes: Upload::sha256 gives it, and upload_file finds it out");
    }
    if content.size_bytes < 0 {
        return wrong("content.size_bytes", "is negative");
    }
    if content.size_bytes == 0 && content.sha256 != sha256(b"") {
        return wrong("content.size_bytes", "is 0, but the SHA-256 is of something: Upload::size_bytes gives it");
    }
    Ok(())
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
