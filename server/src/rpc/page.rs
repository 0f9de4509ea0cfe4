//! Pages of answers: as many as fit, and the token of the next one.

use std::time::SystemTime;

use prost::Message;

use super::tokens::{Scope, Tokens};
use crate::domain::document::Cursor;

/// An answer is at most this long: a page ends early.
pub(super) const ANSWER_BYTES: usize = 3 * 1024 * 1024;
/// What a page keeps free for its token and framing.
const MARGIN_BYTES: usize = 4 * 1024;
/// What a repeated message costs besides its own bytes: a key and a length.
const FRAMING_BYTES: usize = 6;

/// A page that is being made.
#[derive(Debug)]
pub(super) struct Page<M> {
    messages: Vec<M>,
    bytes: usize,
    last: Option<Cursor>,
    more: bool,
}

impl<M: Message> Page<M> {
    /// Takes messages, each with its place, until the answer is full; at least one. `more`: there are others behind them.
    pub(super) fn of(messages: impl IntoIterator<Item = (M, Cursor)>, more: bool) -> Self {
        let mut page = Self { messages: Vec::new(), bytes: MARGIN_BYTES, last: None, more };
        for (message, cursor) in messages {
            page.bytes += message.encoded_len() + FRAMING_BYTES;
            if page.bytes > ANSWER_BYTES && page.last.is_some() {
                page.more = true;
                break;
            }
            page.messages.push(message);
            page.last = Some(cursor);
        }
        page
    }

    /// The messages, and the token of the next page; empty if this is the last one.
    pub(super) fn sealed(self, tokens: &Tokens, scope: &Scope, now: SystemTime) -> (Vec<M>, String) {
        let token = match &self.last {
            Some(cursor) if self.more => tokens.seal(scope, cursor, now),
            Some(_) | None => String::new(),
        };
        (self.messages, token)
    }
}
