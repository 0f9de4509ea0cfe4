//! Where a connection to Postgres can be cut so that it makes a difference. Owns how far the messages of one direction
//! have come; does not own what is done there. Invariant: it is told of every byte, from the connection's beginning.
//!
//! Neither Postgres nor its clients do anything with a part of a message, so a cut at one byte in it is like a cut at
//! another. The places of a message are: after its first byte, after its type and length, in the middle of the rest,
//! before its last byte, and after it. The edges of their buffers are none.

use super::Way;

/// Bytes of a type and of a length.
const TYPE: usize = 1;
const LENGTH: usize = 4;
/// Bytes of a request for encryption (TLS, GSSAPI), untyped as the startup message that follows it.
const ENCRYPTION_REQUEST: usize = 8;

/// Reads one direction of a connection, from its beginning. Of what is no Postgres (TLS) it makes something, and
/// survives it.
#[derive(Debug)]
pub(super) struct Places {
    /// Of the message that passes now: its type and length, as far as they are there, and how much of it has passed.
    header: Vec<u8>,
    passed: usize,
    /// The next message has no type: the first ones of a client.
    untyped: bool,
    /// What comes may be the answer to a request for encryption, which is one byte: only such have come from the server.
    encryption_answer: bool,
}

impl Places {
    pub(super) fn new(way: Way) -> Self {
        let (untyped, encryption_answer) = (way == Way::ToServer, way == Way::ToClient);
        Self { header: Vec::with_capacity(TYPE + LENGTH), passed: 0, untyped, encryption_answer }
    }

    /// Reads on, to the end of `bytes` or until it has come by `left` places, which it counts down. How many of the
    /// bytes it has read.
    pub(super) fn pass(&mut self, bytes: &[u8], left: &mut u64) -> usize {
        let mut read = 0;
        while *left > 0
            && let Some(rest) = bytes.get(read..).filter(|rest| !rest.is_empty())
        {
            let place = self.next(rest);
            let step = (place - self.passed).min(rest.len());
            let missing = self.header_length().saturating_sub(self.header.len());
            self.header.extend(rest.iter().take(step.min(missing)));
            (self.passed, read) = (self.passed + step, read + step);
            if self.passed == place {
                *left -= 1;
                if self.is_whole() {
                    self.begin();
                }
            }
        }
        read
    }

    /// The next place of the message, of which `rest` is to come.
    fn next(&mut self, rest: &[u8]) -> usize {
        if self.passed == 0 {
            self.encryption_answer &= matches!(rest.first(), Some(b'N' | b'S' | b'G'));
            return 1;
        }
        let (header, whole) = (self.header_length(), self.length());
        let places = [header, header + (whole - header) / 2, whole - 1, whole];
        places.into_iter().find(|place| *place > self.passed).unwrap_or(whole)
    }

    fn header_length(&self) -> usize {
        if self.untyped { LENGTH } else { TYPE + LENGTH }
    }

    /// Bytes of the message, if they are known; otherwise of its type and length.
    fn length(&self) -> usize {
        let header = self.header_length();
        let length = self.header.get(header - LENGTH..header).and_then(|bytes| bytes.try_into().ok());
        let length = length.map_or(LENGTH, |length| u32::from_be_bytes(length) as usize);
        (header - LENGTH + length).max(header)
    }

    fn is_whole(&self) -> bool {
        self.encryption_answer || (self.header.len() == self.header_length() && self.passed == self.length())
    }

    fn begin(&mut self) {
        self.untyped &= self.length() == ENCRYPTION_REQUEST;
        self.passed = 0;
        self.header.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::{Places, Way};

    /// All places, read in pieces of that size.
    fn places(way: Way, bytes: &[u8], piece: usize) -> Vec<usize> {
        let (mut places, mut found, mut passed) = (Places::new(way), Vec::new(), 0);
        for piece in bytes.chunks(piece) {
            let mut rest = piece;
            while !rest.is_empty() {
                let mut left = 1;
                let read = places.pass(rest, &mut left);
                (passed, rest) = (passed + read, &rest[read..]);
                if left == 0 {
                    found.push(passed);
                }
            }
        }
        found
    }

    #[test]
    fn the_places_of_each_message_are_at_its_edges_and_in_its_middle_however_it_comes() {
        let question: &[u8] = &[0, 0, 0, 8, 4, 210, 22, 47];
        let beginning: &[u8] = &[0, 0, 0, 12, 0, 3, 0, 0, b'u', 0, b'x', 0];
        let of_client = [question, beginning, b"S\0\0\0\x04", b"Q\0\0\0\x0eSELECT 1;\0"].concat();
        let expected = [1, 4, 6, 7, 8, 9, 12, 16, 19, 20, 21, 25, 26, 30, 35, 39, 40];
        let of_server = [b"N".as_slice(), b"R\0\0\0\x08\0\0\0\0", b"N\0\0\0\x05\0", b"Z\0\0\0\x05I"].concat();
        let of_server_expected = [1, 2, 6, 8, 9, 10, 11, 15, 16, 17, 21, 22];
        for piece in [1, 2, 3, 7, 100] {
            assert_eq!(places(Way::ToServer, &of_client, piece), expected, "in pieces of {piece}");
            assert_eq!(places(Way::ToClient, &of_server, piece), of_server_expected, "in pieces of {piece}");
        }
    }

    #[test]
    fn what_is_no_postgres_is_survived() {
        for way in [Way::ToServer, Way::ToClient] {
            for byte in 0..=255 {
                assert!(!places(way, &[byte; 100], 9).is_empty());
            }
        }
    }
}
