//! `DownloadContent`: a header, then chunks.
//!
//! A task reads ahead by one flight of pieces and waits for the caller to take them, holding neither transaction nor
//! connection meanwhile. It is owned by the stream, and ends with it; its error becomes the stream's last item, so that an
//! end without an error is the content's end.

use std::{
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use fbs_router_proto::document::v1::{
    self as proto, DownloadContentRequest, DownloadContentResponse, download_content_response::Frame,
};
use futures_util::{FutureExt, Stream};
use tokio::{sync::mpsc, task::JoinHandle, time::timeout_at};
use tonic::{
    Request, Response, Status,
    metadata::{KeyAndValueRef, MetadataMap},
};

use super::{
    convert,
    document_service::Documents,
    reply::{describe, served},
    status::status,
};
use crate::{
    config,
    documents::{self, content::Piece},
    domain::{
        Deadline, Error, Result, Violation,
        document::{Content, DocumentId},
        request::Download,
    },
    routing::Session,
};

/// Pieces read in one statement.
const FLIGHT: i64 = 4;
/// Largest chunk that is sent.
const CHUNK_BYTES: usize = 256 * 1_024;

/// The frames of a download.
#[derive(Debug)]
pub struct Frames {
    header: Option<proto::Content>,
    chunks: mpsc::Receiver<Bytes>,
    /// None once it has told how it ended.
    reader: Option<JoinHandle<Result<()>>>,
    /// Where it is served from.
    place: MetadataMap,
}

/// What reads the content.
struct Reader {
    session: Session,
    document_id: DocumentId,
    content: Content,
    chunks: mpsc::Sender<Bytes>,
    settings: config::Content,
    /// Of the whole call.
    deadline: Deadline,
    /// The next byte to send.
    position: u64,
}

impl Documents {
    pub(super) async fn download(&self, request: Request<DownloadContentRequest>) -> Result<Response<Frames>, Status> {
        let (mut session, asked) = self.query(request, convert::download).await?;
        let deadline = session.call().deadline;
        session.due(deadline.within(self.settings.content.step));
        let content = match find(&mut session, asked).await {
            Ok(content) => content,
            Err(error) => return served(&session, Err(error)),
        };
        let mut place = MetadataMap::new();
        describe(&mut place, session.route());
        // One on its way to the caller, one behind it.
        let (sender, chunks) = mpsc::channel(1);
        let header = convert::content_message(content.clone());
        let reader = Reader {
            session,
            document_id: asked.document_id,
            content,
            chunks: sender,
            settings: self.settings.content.clone(),
            deadline,
            position: asked.offset,
        };
        let frames =
            Frames { header: Some(header), chunks, reader: Some(tokio::spawn(reader.run())), place: place.clone() };
        let mut response = Response::new(frames);
        *response.metadata_mut() = place;
        Ok(response)
    }
}

/// The content that was asked for, if it is there.
async fn find(session: &mut Session, asked: Download) -> Result<Content> {
    let document = documents::get(session, asked.document_id).await?;
    if document.deletion.is_some() {
        return Err(Error::DocumentNotFound);
    }
    let content = document.content.ok_or(Error::ContentNotFound)?;
    if asked.generation.is_some_and(|generation| generation != content.generation) {
        return Err(Error::EtagMismatch { current: document.etag.simple().to_string() });
    }
    if asked.offset > content.declared.size {
        return Err(Error::FieldInvalid(vec![Violation::new("offset", "must not be beyond the end")]));
    }
    Ok(content)
}

// === impl Reader ===

impl Reader {
    async fn run(mut self) -> Result<()> {
        while self.position < self.content.declared.size {
            self.session.due(self.deadline.within(self.settings.step));
            let pieces =
                documents::content::read(&mut self.session, self.content.content_id, self.position, FLIGHT).await?;
            let before = self.position;
            for piece in pieces {
                self.send(piece).await?;
            }
            if self.position == before {
                return Err(self.replaced().await);
            }
        }
        Ok(())
    }

    /// Hands on what the piece holds from the position on.
    async fn send(&mut self, piece: Piece) -> Result<()> {
        let Some(skip) = self.position.checked_sub(piece.first_byte).and_then(|skip| usize::try_from(skip).ok()) else {
            // What no document names any more is removed some pieces at a time, in any order.
            return Err(self.replaced().await);
        };
        let mut rest = Bytes::from(piece.bytes);
        if skip >= rest.len() {
            return Ok(());
        }
        rest = rest.slice(skip..);
        while !rest.is_empty() {
            let chunk = rest.split_to(rest.len().min(CHUNK_BYTES));
            self.position += chunk.len() as u64;
            let until = self.deadline.within(self.settings.idle).instant();
            match timeout_at(until, self.chunks.send(chunk)).await {
                Ok(Ok(())) => {}
                // The caller has gone, and so has whoever could read this.
                Ok(Err(_)) => return Ok(()),
                Err(_) => return Err(Error::DeadlineExceeded("the caller took nothing")),
            }
        }
        Ok(())
    }

    /// The pieces are gone: another content has taken their place, or the document is gone; anything else is a loss.
    async fn replaced(&mut self) -> Error {
        match documents::get(&mut self.session, self.document_id).await {
            Ok(document) if document.content.as_ref() == Some(&self.content) => {
                Error::internal("a content without its pieces")
            }
            Ok(document) => Error::EtagMismatch { current: document.etag.simple().to_string() },
            Err(error) => error,
        }
    }
}

// === impl Frames ===

impl Stream for Frames {
    type Item = Result<DownloadContentResponse, Status>;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = self.get_mut();
        if let Some(header) = this.header.take() {
            return Poll::Ready(Some(Ok(DownloadContentResponse { frame: Some(Frame::Header(header)) })));
        }
        if let Some(chunk) = ready!(this.chunks.poll_recv(context)) {
            return Poll::Ready(Some(Ok(DownloadContentResponse { frame: Some(Frame::Chunk(chunk)) })));
        }
        let Some(reader) = &mut this.reader else { return Poll::Ready(None) };
        let outcome = ready!(reader.poll_unpin(context));
        this.reader = None;
        let error = match outcome {
            Ok(Ok(())) => return Poll::Ready(None),
            Ok(Err(error)) => error,
            Err(_) => Error::internal("a download panicked"),
        };
        let mut status = status(&error);
        for pair in this.place.iter() {
            if let KeyAndValueRef::Ascii(name, value) = pair {
                status.metadata_mut().insert(name, value.clone());
            }
        }
        Poll::Ready(Some(Err(status)))
    }
}

impl Drop for Frames {
    fn drop(&mut self) {
        if let Some(reader) = &self.reader {
            reader.abort();
        }
    }
}
