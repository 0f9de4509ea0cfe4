//! Downloads: content as a reader, which goes on where it broke.
//!
//! Invariant: a read that ends without an error has given every byte, and, if it began at the first one, the bytes
//! whose digest was declared. A stream that ends early is a broken one, whatever its status.

use std::{
    fmt, io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use fbs_router_proto::document::v1::{
    Content, DownloadContentRequest, DownloadContentResponse, download_content_response::Frame,
};
use futures_util::{
    StreamExt,
    stream::{self, BoxStream, Stream},
};
use prost::bytes::{Buf, Bytes};
use sha2::{Digest, Sha256};
use tokio::io::{AsyncRead, ReadBuf};
use tonic::Streaming;
use tracing::Instrument;

use super::step;
use crate::{
    Ask, Documents, Error, Served,
    call::{Attempt, Attempts},
    documents::stub,
};

/// A document's content on its way: an [`AsyncRead`], a [`Stream`] of [`Bytes`] such as bodies of HTTP are made of, and
/// [`chunk`](Self::chunk) by chunk without anything imported.
///
/// Goes on by itself after a failure, at the byte and generation where it was; content that was replaced meanwhile is
/// [`EtagMismatch`](crate::ErrorReason::EtagMismatch). The end comes only after every byte; if the read began at byte
/// 0, after its SHA-256 was verified too. Otherwise there is an error, for ever: reading on gives it again. Of an
/// [`io::Error`] [`Error::from_io`] tells the reason.
pub struct Download {
    content: Content,
    served: Option<Served>,
    chunks: BoxStream<'static, Result<Bytes, Error>>,
    rest: Bytes,
    failed: Option<Error>,
}

// === impl Download ===

impl Download {
    /// Filename, media type, whole size, SHA-256 and generation.
    pub fn content(&self) -> &Content {
        &self.content
    }

    /// The database that it comes from.
    pub fn served(&self) -> Option<&Served> {
        self.served.as_ref()
    }

    /// The next bytes as they came, without a copy; none after the last ones.
    ///
    /// Cancel safety: nothing is lost.
    pub async fn chunk(&mut self) -> Result<Option<Bytes>, Error> {
        std::future::poll_fn(|context| self.poll_chunk(context)).await
    }

    fn poll_chunk(&mut self, context: &mut Context<'_>) -> Poll<Result<Option<Bytes>, Error>> {
        if !self.rest.is_empty() {
            return Poll::Ready(Ok(Some(std::mem::take(&mut self.rest))));
        }
        if let Some(failed) = &self.failed {
            return Poll::Ready(Err(failed.again()));
        }
        let next = ready!(self.chunks.poll_next_unpin(context)).transpose();
        if let Err(error) = &next {
            self.failed = Some(error.again());
        }
        Poll::Ready(next)
    }
}

impl AsyncRead for Download {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if buffer.remaining() == 0 {
            return Poll::Ready(Ok(()));
        }
        if let Some(mut chunk) = ready!(self.poll_chunk(context))? {
            let length = chunk.len().min(buffer.remaining());
            buffer.put_slice(&chunk[..length]);
            chunk.advance(length);
            self.rest = chunk;
        }
        Poll::Ready(Ok(()))
    }
}

/// The chunks. An error does not end it, but comes again, so that no end is taken for that of the content.
impl Stream for Download {
    type Item = Result<Bytes, Error>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.poll_chunk(context).map(Result::transpose)
    }
}

impl fmt::Debug for Download {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Download").field("content", &self.content).finish_non_exhaustive()
    }
}

// === impl Documents: downloads ===

impl Documents {
    /// Reads a document's content, by document id or by a whole request: from an offset, of a generation. Returns as
    /// soon as the service has said what comes.
    ///
    /// There is no deadline over all unless [`with_deadline`](Self::with_deadline) asked for one, which then counts
    /// from here to the last byte; each wait for bytes is bounded by the idle limit.
    ///
    /// Cancel safety: only reads.
    pub async fn download(&self, request: impl Ask<DownloadContentRequest>) -> Result<Download, Error> {
        let mut request = request.ask();
        self.claim(&mut request)?;
        let attempts = self.client.transfer("DownloadContent", &self.solution, None);
        let span = attempts.span.clone();
        let digest = (request.offset == 0).then(Sha256::new);
        let mut fetch =
            Fetch { documents: Arc::new(self.clone()), request, attempts, open: None, digest, content: None };
        let (content, served) = fetch.reopen().instrument(span).await?;
        let chunks = stream::try_unfold(fetch, |fetch| {
            let span = fetch.attempts.span.clone();
            fetch.next().instrument(span)
        });
        Ok(Download { content, served, chunks: chunks.boxed(), rest: Bytes::new(), failed: None })
    }
}

/// A download under way: `request` is always what is still to be asked for.
struct Fetch {
    documents: Arc<Documents>,
    request: DownloadContentRequest,
    attempts: Attempts,
    open: Option<(Attempt, Streaming<DownloadContentResponse>)>,
    /// Of what came, if that began with the first byte.
    digest: Option<Sha256>,
    content: Option<Content>,
}

// === impl Fetch ===

impl Fetch {
    /// The next chunk, however often the stream has to be opened again for it.
    async fn next(mut self) -> Result<Option<(Bytes, Self)>, Error> {
        loop {
            let Some((attempt, mut frames)) = self.open.take() else {
                self.reopen().await?;
                continue;
            };
            let size = self.content.as_ref().map_or(0, |content| content.size_bytes);
            match self.frame(&attempt, &mut frames).await {
                Ok(Some(Frame::Chunk(chunk))) if chunk.is_empty() => self.open = Some((attempt, frames)),
                Ok(Some(Frame::Chunk(chunk))) => {
                    self.received(&chunk, size).map_err(|error| self.attempts.over(error))?;
                    self.attempts.progressed();
                    self.open = Some((attempt, frames));
                    return Ok(Some((chunk, self)));
                }
                Ok(Some(Frame::Header(_))) => {
                    return Err(self.attempts.over(Error::reply("a second header in the content".to_owned())));
                }
                // All is there: how the stream ends does not matter any more.
                Ok(None) | Err(_) if self.request.offset == size => {
                    self.verify().map_err(|error| self.attempts.over(error))?;
                    self.attempts.succeeded();
                    return Ok(None);
                }
                Ok(None) => {
                    let error =
                        Error::broken(format!("the content ended after {} of {size} bytes", self.request.offset));
                    self.attempts.failed(attempt, error).await?;
                }
                Err(error) => self.attempts.failed(attempt, error).await?,
            }
        }
    }

    /// Asks for what is still missing, and reads the header.
    async fn reopen(&mut self) -> Result<(Content, Option<Served>), Error> {
        loop {
            let attempt = self.attempts.begin()?;
            match self.open(&attempt).await {
                Ok((content, served, frames)) => {
                    self.accept(&content).map_err(|error| self.attempts.over(error))?;
                    self.open = Some((attempt, frames));
                    return Ok((content, served));
                }
                Err(error) => self.attempts.failed(attempt, error).await?,
            }
        }
    }

    async fn open(
        &self,
        attempt: &Attempt,
    ) -> Result<(Content, Option<Served>, Streaming<DownloadContentResponse>), Error> {
        let mut stub = stub(attempt.channel());
        let reply = stub.download_content(attempt.request(self.request.clone()));
        let reply = step(&self.attempts, self.documents.idle_limit(), reply).await;
        let response = attempt.learn(reply.map_err(|error| attempt.silent(error))?)?;
        let served = Served::read(response.metadata());
        let mut frames = response.into_inner();
        match self.frame(attempt, &mut frames).await? {
            Some(Frame::Header(content)) => Ok((content, served, frames)),
            Some(Frame::Chunk(_)) => Err(Error::reply("content without its header".to_owned())),
            None => Err(Error::broken("the content ended before its header".to_owned())),
        }
    }

    async fn frame(
        &self,
        attempt: &Attempt,
        frames: &mut Streaming<DownloadContentResponse>,
    ) -> Result<Option<Frame>, Error> {
        loop {
            let message = step(&self.attempts, self.documents.idle_limit(), frames.message()).await;
            match attempt.learn(message.map_err(|error| attempt.silent(error))?)? {
                Some(DownloadContentResponse { frame: None }) => {} // of a kind newer than this client
                Some(DownloadContentResponse { frame: Some(frame) }) => return Ok(Some(frame)),
                None => return Ok(None),
            }
        }
    }

    /// Whether it is what is being read; from now on only that is.
    fn accept(&mut self, content: &Content) -> Result<(), Error> {
        match &self.content {
            None if self.request.offset > content.size_bytes => {
                return Err(Error::reply("content from beyond its end".to_owned()));
            }
            Some(known) if known != content => {
                return Err(Error::reply("other content than that which was being read".to_owned()));
            }
            None | Some(_) => {}
        }
        self.request.generation = content.generation;
        self.content = Some(content.clone());
        Ok(())
    }

    fn received(&mut self, chunk: &Bytes, size: i64) -> Result<(), Error> {
        self.request.offset = self.request.offset.saturating_add(i64::try_from(chunk.len()).unwrap_or(i64::MAX));
        if self.request.offset > size {
            return Err(Error::reply(format!("more content than the {size} bytes declared")));
        }
        if let Some(digest) = &mut self.digest {
            digest.update(chunk);
        }
        Ok(())
    }

    fn verify(&mut self) -> Result<(), Error> {
        let declared = self.content.as_ref().map_or(&[][..], |content| &content.sha256);
        let found = self.digest.take().map(Sha256::finalize);
        if found.is_some_and(|found| found.as_slice() != declared) {
            return Err(Error::damaged("the content does not have the SHA-256 declared".to_owned()));
        }
        Ok(())
    }
}
