//! Bodies as they pass: messages are counted as they come, answers until they are sent.

use std::{
    future::poll_fn,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use bytes::{Buf, Bytes};
use http_body::{Body as _, Frame, SizeHint};
use tonic::{Status, body::Body};

use super::{SHORT_BYTES, shares::Held};
use crate::rpc::status::status;

/// What stands before each message: whether it is compressed, and its length.
const PREFIX: usize = 5;

/// What a caller sends.
pub(super) struct Asked {
    body: Body,
    held: Arc<Held>,
    prefix: [u8; PREFIX],
    /// Of the next message's, how much is here.
    read: usize,
    /// Of the message, how much is still to come.
    to_come: usize,
    /// For which there is room: of a stream's messages, one is here at a time.
    room: usize,
    longest: usize,
}

/// What is answered: each piece holds what the call holds until it has been sent, or the stream is gone.
pub(super) struct Answer {
    first: Option<Piece>,
    rest: Body,
    held: Arc<Held>,
}

type Piece = Result<Frame<Bytes>, Status>;

/// Bytes that are on their way.
struct Kept {
    bytes: Bytes,
    _held: Arc<Held>,
}

/// The first piece of a body; of an answer with one message, that is all of it.
pub(super) async fn first(body: &mut Body) -> Option<Piece> {
    if body.is_end_stream() {
        return None;
    }
    poll_fn(|context| Pin::new(&mut *body).poll_frame(context)).await
}

/// Its bytes.
pub(super) fn length(piece: Option<&Piece>) -> usize {
    piece.and_then(|piece| piece.as_ref().ok()?.data_ref().map(Bytes::len)).unwrap_or_default()
}

// === impl Asked ===

impl Asked {
    pub(super) fn new(body: Body, held: Arc<Held>, longest: usize) -> Self {
        Self { body, held, prefix: [0; PREFIX], read: 0, to_come: 0, room: SHORT_BYTES, longest }
    }

    /// Finds the lengths of messages among the bytes, and room for the longest.
    fn count(&mut self, mut bytes: &[u8]) -> Result<(), Status> {
        while !bytes.is_empty() {
            let passed = self.to_come.min(bytes.len());
            bytes.advance(passed);
            self.to_come -= passed;
            if self.to_come > 0 {
                break;
            }
            let of_prefix = (PREFIX - self.read).min(bytes.len());
            bytes.copy_to_slice(&mut self.prefix[self.read..self.read + of_prefix]);
            self.read += of_prefix;
            if self.read == PREFIX {
                self.read = 0;
                let [_, length @ ..] = self.prefix;
                self.to_come = usize::try_from(u32::from_be_bytes(length)).unwrap_or(usize::MAX);
                self.make_room()?;
            }
        }
        Ok(())
    }

    fn make_room(&mut self) -> Result<(), Status> {
        if self.to_come > self.room && self.to_come <= self.longest {
            self.held.more(self.to_come - self.room).map_err(|error| status(&error))?;
            self.room = self.to_come;
        }
        Ok(())
    }
}

impl http_body::Body for Asked {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Piece>> {
        let piece = ready!(Pin::new(&mut self.body).poll_frame(context));
        let counted = match &piece {
            Some(Ok(frame)) => frame.data_ref().map_or(Ok(()), |data| self.count(data)),
            Some(Err(_)) | None => Ok(()),
        };
        Poll::Ready(match counted {
            Ok(()) => piece,
            Err(status) => Some(Err(status)),
        })
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

// === impl Answer ===

impl Answer {
    pub(super) fn new(first: Option<Piece>, rest: Body, held: Arc<Held>) -> Self {
        Self { first, rest, held }
    }

    fn keep(&self, piece: Piece) -> Piece {
        let keep = |bytes: Bytes| match bytes.len() {
            // No more than the stream itself takes, which is there for as long.
            ..=SHORT_BYTES => bytes,
            _ => Bytes::from_owner(Kept { bytes, _held: Arc::clone(&self.held) }),
        };
        Ok(piece?.map_data(keep))
    }
}

impl http_body::Body for Answer {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Piece>> {
        let piece = match self.first.take() {
            Some(first) => Some(first),
            None => ready!(Pin::new(&mut self.rest).poll_frame(context)),
        };
        Poll::Ready(piece.map(|piece| self.keep(piece)))
    }

    fn is_end_stream(&self) -> bool {
        self.first.is_none() && self.rest.is_end_stream()
    }
}

impl AsRef<[u8]> for Kept {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rpc::in_flight::Shares;

    #[test]
    fn lengths_are_found_however_the_bytes_are_cut() {
        let lengths = [0, 7, SHORT_BYTES, SHORT_BYTES + 1, 100_000, 9, 70_000];
        let mut stream = Vec::new();
        for length in lengths {
            stream.push(0);
            stream.extend(u32::try_from(length).unwrap().to_be_bytes());
            stream.extend(vec![0xff; length]);
        }
        for piece in [1, 2, 3, 4, 5, 6, 4_099, 65_536, stream.len()] {
            let shares = Shares::new(1 << 30);
            let held = Arc::new(shares.begin(&"one".into(), 10).unwrap());
            let mut asked = Asked::new(Body::empty(), held, 80_000);
            for bytes in stream.chunks(piece) {
                asked.count(bytes).unwrap();
            }
            // What is longer than a message may be is refused for that, and finds no room.
            assert_eq!(shares.held(), 10 + 70_000 - SHORT_BYTES, "in pieces of {piece}");
        }
    }
}
