//! One attempt to send content: a header, then frames as fast as the service takes them, with an eye on its answer.
//!
//! The service may answer before all was sent: an error, or the result of an upload that had happened before. Sending
//! and waiting for the answer are therefore one `select!`, in the caller's own future: dropping it resets the stream,
//! and a half-sent upload never becomes visible.

use std::{pin::pin, time::Duration};

use fbs_router_proto::document::v1::{
    UploadContentRequest, UploadContentResponse,
    upload_content_request::{Frame, Header},
};
use futures_util::{FutureExt, stream};
use prost::bytes::{Bytes, BytesMut};
use tokio::{
    io::{AsyncRead, AsyncReadExt},
    sync::mpsc,
};

use super::{FRAME_BYTES, step};
use crate::{
    Answer, Error, ErrorKind, Served,
    call::{Attempt, Attempts},
    documents::stub,
};

/// Where the bytes come from, and how many came.
pub(super) struct Source<R> {
    pub(super) reader: R,
    pub(super) read: u64,
}

/// One attempt to send everything.
pub(super) async fn send<R: AsyncRead + Send + Unpin>(
    attempts: &Attempts,
    attempt: &Attempt,
    header: Header,
    idle: Duration,
    source: &mut Source<R>,
) -> Result<Answer<UploadContentResponse>, Error> {
    // One frame is on its way to the socket while the next one is read: that is all that is in memory.
    let (frames, mut waiting) = mpsc::channel(1);
    let request = attempt.request(stream::poll_fn(move |context| waiting.poll_recv(context)));
    let mut stub = stub(attempt.channel());
    let mut reply = pin!(stub.upload_content(request));
    let pump = pump(attempts, header, idle, source, frames);
    let early = tokio::select! {
        biased; // an answer ends the sending, whatever else there is
        reply = &mut reply => Some(reply),
        pumped = pump => {
            pumped.map_err(|error| if error.kind() == ErrorKind::Io { error } else { attempt.silent(error) })?;
            None
        }
    };
    let reply = match early {
        Some(reply) => reply,
        None => step(attempts, idle, reply).await.map_err(|error| attempt.silent(error))?,
    };
    let response = attempt.learn(reply)?;
    let served = Served::read(response.metadata());
    Ok(Answer::new(response.into_inner(), served))
}

/// Hands the frames over one by one. Nothing is read before the header was taken, which happens on a connection only:
/// an attempt that found none has used up nothing.
async fn pump<R: AsyncRead + Unpin>(
    attempts: &Attempts,
    header: Header,
    idle: Duration,
    source: &mut Source<R>,
    frames: mpsc::Sender<UploadContentRequest>,
) -> Result<(), Error> {
    let size = header.content.as_ref().map_or(0, |content| u64::try_from(content.size_bytes).unwrap_or_default());
    let mut next = Some(Frame::Header(header));
    loop {
        let Ok(place) = step(attempts, idle, frames.reserve()).await? else {
            return Ok(()); // the call is over, and its answer tells why
        };
        let frame = match next.take() {
            Some(header) => header,
            None if source.read >= size => return Ok(()),
            None => Frame::Chunk(step(attempts, idle, chunk(source, size)).await??),
        };
        place.send(UploadContentRequest { frame: Some(frame) });
    }
}

/// What the reader has, up to a frame; waits only for the first byte, so that a slow one still makes progress.
async fn chunk<R: AsyncRead + Unpin>(source: &mut Source<R>, size: u64) -> Result<Bytes, Error> {
    let wanted = usize::try_from(size - source.read).unwrap_or(usize::MAX).min(FRAME_BYTES);
    let mut bytes = BytesMut::with_capacity(wanted);
    let failed = |error| Error::io("the content cannot be read".to_owned(), Some(error));
    while bytes.len() < wanted {
        let mut rest = (&mut source.reader).take((wanted - bytes.len()) as u64);
        let read = if bytes.is_empty() {
            rest.read_buf(&mut bytes).await.map_err(failed)?
        } else {
            match rest.read_buf(&mut bytes).now_or_never() {
                Some(read) => read.map_err(failed)?,
                None => break,
            }
        };
        source.read += read as u64;
        if read == 0 {
            return Err(Error::io(format!("the content ended after {} of {size} bytes", source.read), None));
        }
    }
    Ok(bytes.freeze())
}
