//! `UploadContent`: a header, then chunks.
//!
//! Between two transactions nothing is held but the buffer, whose bound is [`FLIGHT_BYTES`] and one frame. Nothing of an
//! upload is visible until [`documents::content::publish`]; whatever ends it before that, also the caller's leaving,
//! removes what was stored.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use fbs_router_proto::document::v1::{
    UploadContentRequest, UploadContentResponse,
    upload_content_request::{Frame, Header},
};
use sha2::{Digest, Sha256};
use tokio::time::timeout_at;
use tonic::{Code, Request, Response, Status, Streaming};
use uuid::Uuid;

use super::{
    convert,
    document_service::{Documents, changed},
    permit::admit,
    reply::{call, describe, served},
    status::status,
};
use crate::{
    config,
    documents::{
        Change, Mutation,
        content::{self, Begun},
    },
    domain::{
        Deadline, Error, Result,
        document::{ContentId, Declared},
        request::{Command, Upload},
    },
    routing::{Intent, Session, joined},
};

/// Bytes of one stored piece, and of one frame of a download.
const PIECE_BYTES: usize = 256 * 1_024;
/// Bytes stored in one transaction: fewer would mostly pay for transactions.
const FLIGHT_BYTES: usize = 4 * PIECE_BYTES;
/// Largest chunk a caller may send.
const CHUNK_BYTES: usize = 1_024 * 1_024;

/// The caller's frames.
struct Incoming {
    frames: Streaming<UploadContentRequest>,
    settings: config::Content,
    /// Of the whole call.
    deadline: Deadline,
}

/// An upload that has begun. Dropped before it is published, it is removed.
struct Staged {
    /// Taken when dropped.
    session: Option<Session>,
    content_id: ContentId,
    /// Something of it may be stored that nobody sees.
    stored: bool,
    settings: config::Content,
}

/// Why an upload failed: with an error of ours, or one that the transport made.
enum Failed {
    Ours(Error),
    Transport(Box<Status>),
}

impl Documents {
    pub(super) async fn upload(
        &self,
        request: Request<Streaming<UploadContentRequest>>,
    ) -> Result<Response<UploadContentResponse>, Status> {
        let call = call(&request)?;
        let settings = self.settings.content.clone();
        let deadline = call.deadline;
        let mut incoming = Incoming { frames: request.into_inner(), settings: settings.clone(), deadline };
        let header = incoming.header().await.map_err(Failed::into_status)?;
        let read = |header| convert::upload(header, &self.router.naming, settings.max_bytes);
        let (permitted, command) = admit(call, header, read)?;
        let Command { solution: _, database, repeat, actor, what } = command;
        let opened = self.router.open(permitted, database, Intent::Write).await;
        let session = opened.map_err(|error| status(&error))?;
        let principal = Arc::clone(session.call().principal.shared_id());
        let mutation = Mutation {
            method: "UploadContent",
            principal,
            actor,
            repeat,
            kept: self.settings.request_id_ttl,
            replaces_content: true,
        };
        // In a task of its own: if the caller leaves meanwhile, its outcome is dropped, and so is what it stored.
        let begun = joined(tokio::spawn(Staged::begin(session, settings, mutation.clone(), what.clone()))).await;
        let Some((mut staged, begun)) = begun else { return Err(status(&Error::internal("an upload panicked"))) };
        let outcome = match begun {
            // Boxed: a call that is refused has no use for it.
            Ok(Begun::New) => Box::pin(staged.run(incoming, mutation, what)).await,
            Ok(Begun::Repeat(change)) => Ok(*change),
            Err(error) => Err(Failed::Ours(error)),
        };
        let Some(session) = &staged.session else {
            return Err(status(&Error::internal("an upload without a session")));
        };
        match outcome {
            Ok(change) => served(session, Ok(UploadContentResponse { document: changed(change, session) })),
            Err(Failed::Ours(error)) => served(session, Err(error)),
            Err(Failed::Transport(mut status)) => {
                describe(status.metadata_mut(), session.route());
                Err(*status)
            }
        }
    }
}

// === impl Incoming ===

impl Incoming {
    async fn header(&mut self) -> Result<Header, Failed> {
        match self.next().await? {
            Some(Frame::Header(header)) => Ok(header),
            Some(Frame::Chunk(_)) | None => Err(broken("header", "it must be the first frame")),
        }
    }

    /// The next chunk, or the end.
    async fn chunk(&mut self) -> Result<Option<Bytes>, Failed> {
        match self.next().await? {
            Some(Frame::Chunk(chunk)) if chunk.is_empty() => Err(broken("chunk", "it is empty")),
            Some(Frame::Chunk(chunk)) if chunk.len() > CHUNK_BYTES => Err(broken("chunk", "it is larger than 1 MiB")),
            Some(Frame::Chunk(chunk)) => Ok(Some(chunk)),
            Some(Frame::Header(_)) => Err(broken("header", "it came twice")),
            None => Ok(None),
        }
    }

    async fn next(&mut self) -> Result<Option<Frame>, Failed> {
        let until = self.deadline.within(self.settings.idle).instant();
        let frame = match timeout_at(until, self.frames.message()).await {
            Err(_) => return Err(Failed::Ours(Error::DeadlineExceeded("the next frame was waited for"))),
            // Larger than any message may be.
            Ok(Err(status)) if status.code() == Code::OutOfRange => {
                return Err(broken("chunk", "it is larger than 1 MiB"));
            }
            Ok(Err(status)) => return Err(Failed::Transport(Box::new(status))),
            Ok(Ok(None)) => return Ok(None),
            Ok(Ok(Some(request))) => request.frame,
        };
        frame.map(Some).ok_or_else(|| broken("frame", "it is neither a header nor a chunk"))
    }
}

// === impl Staged ===

impl Staged {
    /// Makes room for the bytes, unless there is nothing to do or something is wrong.
    async fn begin(
        mut session: Session,
        settings: config::Content,
        mutation: Mutation,
        upload: Upload,
    ) -> (Self, Result<Begun>) {
        let content_id = Uuid::new_v4();
        let overall = session.call().deadline;
        session.due(overall.within(settings.step));
        let begun = content::begin(&mut session, &mutation, content_id, &upload, settings.kept()).await;
        // Where the answer to COMMIT was lost something may be stored, too: it expires. Removing it now would be a write for
        // a solution that perhaps does not exist.
        let stored = matches!(begun, Ok(Begun::New));
        (Self { session: Some(session), content_id, stored, settings }, begun)
    }

    async fn run(&mut self, mut incoming: Incoming, mutation: Mutation, upload: Upload) -> Result<Change, Failed> {
        let overall = incoming.deadline;
        let content_id = self.content_id;
        self.receive(&mut incoming, &upload.declared).await?;
        let change = content::publish(self.session(overall)?, mutation, content_id, upload).await?;
        // Another one may stand there: a repeat that was faster.
        self.stored = change.stored.content.as_ref().is_none_or(|content| content.content_id != content_id);
        Ok(change)
    }

    /// Stores the bytes as they come, and compares them with what was declared.
    async fn receive(&mut self, incoming: &mut Incoming, declared: &Declared) -> Result<(), Failed> {
        let overall = incoming.deadline;
        let mut digest = Sha256::new();
        let mut received = 0;
        let mut buffer = BytesMut::new();
        while let Some(chunk) = incoming.chunk().await? {
            digest.update(&chunk);
            received += chunk.len() as u64;
            if received > declared.size {
                return Err(Failed::Ours(Error::ChecksumMismatch("more bytes came")));
            }
            buffer.extend_from_slice(&chunk);
            if buffer.len() >= FLIGHT_BYTES {
                self.store(overall, received, &mut buffer, false).await?;
            }
        }
        if received < declared.size {
            return Err(Failed::Ours(Error::ChecksumMismatch("fewer bytes came")));
        }
        if digest.finalize()[..] != declared.sha256 {
            return Err(Failed::Ours(Error::ChecksumMismatch("the SHA-256 differs")));
        }
        if !buffer.is_empty() {
            self.store(overall, received, &mut buffer, true).await?;
        }
        Ok(())
    }

    /// Stores what has been received and not been stored: whole pieces, and at the end what is left.
    async fn store(&mut self, overall: Deadline, received: u64, buffer: &mut BytesMut, end: bool) -> Result<()> {
        let mut first = i64::try_from(received - buffer.len() as u64).unwrap_or(i64::MAX);
        let mut pieces = Vec::with_capacity(buffer.len().div_ceil(PIECE_BYTES));
        while !buffer.is_empty() && (buffer.len() >= PIECE_BYTES || end) {
            let piece = buffer.split_to(buffer.len().min(PIECE_BYTES)).freeze();
            let length = piece.len();
            pieces.push((first, piece));
            first += i64::try_from(length).unwrap_or_default();
        }
        let content_id = self.content_id;
        let kept = self.settings.kept();
        content::append(self.session(overall)?, content_id, pieces, kept).await
    }

    /// The session, with the time that one step may take.
    fn session(&mut self, overall: Deadline) -> Result<&mut Session> {
        let step = overall.within(self.settings.step);
        let session = self.session.as_mut().ok_or(Error::internal("an upload without a session"))?;
        session.due(step);
        Ok(session)
    }
}

impl Drop for Staged {
    /// Also when the caller has gone, and this future with it.
    fn drop(&mut self) {
        let (Some(mut session), true) = (self.session.take(), self.stored) else { return };
        let content_id = self.content_id;
        session.due(Deadline::after(self.settings.transfer));
        // Not waited for: the caller has his answer. What a process leaves that ends now expires and is removed in passing.
        tokio::spawn(async move {
            if let Err(error) = content::discard(&mut session, content_id).await {
                tracing::warn!(%error, "a failed upload is removed later");
            }
        });
    }
}

// === impl Failed ===

impl Failed {
    fn into_status(self) -> Status {
        match self {
            Self::Ours(error) => status(&error),
            Self::Transport(status) => *status,
        }
    }
}

impl From<Error> for Failed {
    fn from(error: Error) -> Self {
        Self::Ours(error)
    }
}

fn broken(field: &'static str, what: &'static str) -> Failed {
    Failed::Ours(Error::ContentInvalid { field, what })
}
