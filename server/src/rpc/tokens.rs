//! Page tokens: where a list goes on, sealed, so that only what we said is believed.
//!
//! A token is `version ‖ issued at ‖ scope ‖ cursor ‖ HMAC-SHA256` in base64url without padding. It is bound to method,
//! solution and arguments, valid for 72 hours, and grants nothing: the next page is authorised like the first. It is
//! not secret either; the cursor is a value the caller was shown. Without a key file tokens end with the process.

use std::{
    fmt, fs,
    io::Read,
    path::{Path, PathBuf},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use hmac::{Hmac, KeyInit, Mac};
use prost::Message;
use sha2::{Digest, Sha256};
use uuid::Uuid;

use crate::domain::{
    Error, Result,
    document::{Cursor, CursorKey},
};

#[cfg(test)]
mod tests;

/// How long a token is accepted.
pub const VALID: Duration = Duration::from_secs(72 * 3_600);

/// The layout below. A change of it, or of what a cursor means, takes another number.
const VERSION: u8 = 1;
/// Separates this use of the keys from any other.
const CONTEXT: &[u8] = b"fbs-router page token\0";
/// Longest token that is looked at: a title of 255 characters of 4 bytes makes 1,480.
const MOST_BYTES: usize = 2_048;
const MAC_BYTES: usize = 32;
const KEY_BYTES: usize = 32;
/// Longest key file: two lines, generously.
const KEY_FILE_BYTES: u64 = 1_024;

/// Signs and verifies page tokens.
#[derive(Clone)]
pub struct Tokens {
    signing: Hmac<Sha256>,
    /// The key before it, during a change of keys.
    accepted: Option<Hmac<Sha256>>,
}

/// What a token is for: method, solution and all arguments but the page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scope([u8; 32]);

/// What is wrong with a key file. Never says what is in it.
#[derive(Debug, thiserror::Error)]
pub enum KeyFileError {
    /// Not readable.
    #[error("cannot read the key file {}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// Not one or two lines.
    #[error("the key file {} must have one or two lines of 64 hexadecimal digits (openssl rand -hex 32)", path.display())]
    LineCount {
        /// The file.
        path: PathBuf,
    },
    /// A line is no key.
    #[error("line {line} of the key file {} must be 64 hexadecimal digits (openssl rand -hex 32)", path.display())]
    NotAKey {
        /// The file.
        path: PathBuf,
        /// From 1.
        line: usize,
    },
}

// === impl Scope ===

impl Scope {
    /// `arguments` is the request without page size and token. Its maps are ordered, so it has one encoding here.
    pub fn new(method: &str, solution: &str, arguments: &impl Message) -> Self {
        let mut hash = Sha256::new();
        for part in [method.as_bytes(), solution.as_bytes(), &arguments.encode_to_vec()] {
            hash.update((part.len() as u64).to_be_bytes());
            hash.update(part);
        }
        Self(hash.finalize().into())
    }
}

// === impl Tokens ===

impl Tokens {
    /// Reads one or two keys; the first signs, both are accepted.
    pub fn from_key_file(path: &Path) -> Result<Self, KeyFileError> {
        let unreadable = |source| KeyFileError::Unreadable { path: path.to_owned(), source };
        let mut text = String::new();
        let file = fs::File::open(path).map_err(unreadable)?;
        file.take(KEY_FILE_BYTES).read_to_string(&mut text).map_err(unreadable)?;
        let mut keys = Vec::new();
        for (index, line) in text.lines().enumerate() {
            let not_a_key = || KeyFileError::NotAKey { path: path.to_owned(), line: index + 1 };
            keys.push(keyed(&key_of(line).ok_or_else(not_a_key)?));
        }
        match <[_; 2]>::try_from(keys) {
            Ok([signing, accepted]) => Ok(Self { signing, accepted: Some(accepted) }),
            Err(mut keys) => match (keys.pop(), keys.is_empty()) {
                (Some(signing), true) => Ok(Self { signing, accepted: None }),
                (None | Some(_), _) => Err(KeyFileError::LineCount { path: path.to_owned() }),
            },
        }
    }

    /// A key of this process: other replicas, and this one after a restart, refuse its tokens.
    pub fn random() -> Self {
        // Two random UUIDs are 244 bits from the system's generator.
        let seed = Sha256::new().chain_update(Uuid::new_v4()).chain_update(Uuid::new_v4());
        Self { signing: keyed(&seed.finalize().into()), accepted: None }
    }

    /// The token of the page after `cursor`.
    pub fn seal(&self, scope: &Scope, cursor: &Cursor, now: SystemTime) -> String {
        let mut token = vec![VERSION];
        token.extend(seconds(now).to_be_bytes());
        token.extend(scope.0);
        token.extend(cursor.id.as_bytes());
        match &cursor.key {
            CursorKey::Number(number) => {
                token.push(0);
                token.extend(number.to_be_bytes());
            }
            CursorKey::Text(text) => {
                token.push(1);
                token.extend(text.as_bytes());
            }
            CursorKey::Score(bits) => {
                token.push(2);
                token.extend(bits.to_be_bytes());
            }
        }
        let mac = self.signing.clone().chain_update(CONTEXT).chain_update(&token).finalize().into_bytes();
        token.extend(mac);
        URL_SAFE_NO_PAD.encode(token)
    }

    /// Where to go on, if the token is ours, of this request and not too old.
    pub fn open(&self, scope: &Scope, token: &str, now: SystemTime) -> Result<Cursor> {
        const FORGED: Error = Error::PageTokenInvalid("forged");
        if token.len() > MOST_BYTES {
            return Err(FORGED);
        }
        let token = URL_SAFE_NO_PAD.decode(token).map_err(|_| FORGED)?;
        let (content, mac) = token.split_last_chunk::<MAC_BYTES>().ok_or(FORGED)?;
        // In constant time; which of the keys fits is no secret.
        let verifies =
            |key: &Hmac<Sha256>| key.clone().chain_update(CONTEXT).chain_update(content).verify_slice(mac).is_ok();
        if !verifies(&self.signing) && !self.accepted.as_ref().is_some_and(verifies) {
            return Err(FORGED);
        }
        // Ours from here on: what cannot be read is of another version of ours.
        let (issued, bound, cursor) = parse(content).ok_or(Error::PageTokenInvalid("expired"))?;
        if bound != scope.0 {
            return Err(Error::PageTokenInvalid("for another request"));
        }
        // A token from the future is of a replica whose clock is ahead.
        if seconds(now).saturating_sub(issued) > VALID.as_secs() {
            return Err(Error::PageTokenInvalid("expired"));
        }
        Ok(cursor)
    }
}

impl fmt::Debug for Tokens {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let keys = if self.accepted.is_some() { 2 } else { 1 };
        write!(formatter, "Tokens({keys} keys, redacted)")
    }
}

/// Takes a token apart that was found authentic.
fn parse(content: &[u8]) -> Option<(u64, [u8; 32], Cursor)> {
    let content = content.strip_prefix(&[VERSION])?;
    let (issued, content) = content.split_first_chunk::<8>()?;
    let (bound, content) = content.split_first_chunk::<32>()?;
    let (id, content) = content.split_first_chunk::<16>()?;
    let key = match content.split_first()? {
        (0, number) => CursorKey::Number(i64::from_be_bytes(number.try_into().ok()?)),
        (1, text) => CursorKey::Text(String::from_utf8(text.to_vec()).ok()?),
        (2, bits) => CursorKey::Score(u64::from_be_bytes(bits.try_into().ok()?)),
        _ => return None,
    };
    Some((u64::from_be_bytes(*issued), *bound, Cursor { key, id: Uuid::from_bytes(*id) }))
}

/// An HMAC with that key. A key shorter than the block is padded with zeros: that is how HMAC is defined.
fn keyed(key: &[u8; KEY_BYTES]) -> Hmac<Sha256> {
    let mut block = [0; 64];
    block[..KEY_BYTES].copy_from_slice(key);
    Hmac::new(&block.into())
}

fn key_of(line: &str) -> Option<[u8; KEY_BYTES]> {
    let digits = line.as_bytes();
    if digits.len() != 2 * KEY_BYTES {
        return None;
    }
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let mut key = [0; KEY_BYTES];
    for (byte, pair) in key.iter_mut().zip(digits.chunks_exact(2)) {
        *byte = digit(pair[0])? << 4 | digit(pair[1])?;
    }
    Some(key)
}

/// Whole seconds since 1970; a clock before that counts as 1970.
fn seconds(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}
