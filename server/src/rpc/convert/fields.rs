//! The collector of violations, and the rules of single values.
//!
//! A rule looks at one value and knows no request; the collector knows the paths and decides, at the end, what kind of
//! error the request is. Problems never repeat what the caller sent: a status is small and may be logged anywhere.

use std::borrow::Cow;

use prost::Message;
use sha2::{Digest, Sha256};
use uuid::Uuid;

use crate::domain::{
    Error, Naming, Result, SolutionId, Violation,
    naming::DATABASE_NAME_BYTES,
    request::{EtagExpectation, RepeatKey},
};

/// Most violations that are kept: a status holds fewer, and a request of 4 MiB could break a million rules.
const MOST_VIOLATIONS: usize = 256;
/// Longest name, title, category, actor and creator, in characters.
pub(super) const LINE_CHARACTERS: usize = 255;
/// Longest etag that is worth looking at, in bytes.
const ETAG_BYTES: usize = 255;

/// What is wrong with a value, to be read after its path.
pub(super) type Problem = Cow<'static, str>;

/// What a violation makes of its request. If several kinds are there the first one names the error.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    SolutionInvalid,
    SolutionReserved,
    Field,
    Mask,
    Filter,
    Batch,
}

/// Everything that is wrong with one request.
#[derive(Debug, Default)]
pub(super) struct Violations {
    listed: Vec<Violation>,
    kind: Option<Kind>,
    /// An error that is no violation.
    other: Option<Error>,
}

// === impl Violations ===

impl Violations {
    /// Adds a problem.
    pub(super) fn add(&mut self, kind: Kind, field: impl Into<String>, problem: impl Into<String>) {
        self.kind = Some(self.kind.map_or(kind, |known| known.min(kind)));
        if self.listed.len() < MOST_VIOLATIONS {
            self.listed.push(Violation::new(field, problem));
        }
    }

    /// The value, or `None` and a violation.
    pub(super) fn take<T>(&mut self, kind: Kind, field: &str, value: Result<T, Problem>) -> Option<T> {
        value.map_err(|problem| self.add(kind, field, problem)).ok()
    }

    /// All values of a list, or `None` and a violation for each that is wrong. A list that is too long is not read.
    pub(super) fn each<I, T>(
        &mut self,
        (kind, field, most): (Kind, &str, usize),
        values: Vec<I>,
        rule: impl Fn(I) -> Result<T, Problem>,
    ) -> Option<Vec<T>> {
        if values.len() > most {
            self.add(kind, field, format!("must have at most {most} values"));
            return None;
        }
        let length = values.len();
        let read = values.into_iter().enumerate().filter_map(|(index, value)| {
            rule(value).map_err(|problem| self.add(kind, format!("{field}[{index}]"), problem)).ok()
        });
        let read: Vec<T> = read.collect();
        (read.len() == length).then_some(read)
    }

    /// The solution.
    pub(super) fn solution(&mut self, naming: &Naming, text: &str) -> Option<SolutionId> {
        let (kind, violations) = match naming.admit(text) {
            Ok(solution) => return Some(solution),
            Err(Error::SolutionInvalid(violations)) => (Kind::SolutionInvalid, violations),
            Err(Error::SolutionReserved(violations)) => (Kind::SolutionReserved, violations),
            Err(other) => {
                self.other = Some(other);
                return None;
            }
        };
        for violation in violations {
            self.add(kind, violation.field, violation.problem);
        }
        None
    }

    /// Takes over what is wrong with a part of the request, which stands in `place`.
    pub(super) fn within(&mut self, place: &str, part: Self) {
        let kind = part.kind;
        for violation in part.listed {
            self.add(kind.unwrap_or(Kind::Field), format!("{place}.{}", violation.field), violation.problem);
        }
    }

    /// The request, unless something is wrong with it.
    pub(super) fn finish<T>(self, request: Option<T>) -> Result<T> {
        if let Some(other) = self.other {
            return Err(other);
        }
        match (self.kind, request) {
            (None, Some(request)) => Ok(request),
            (None, None) => Err(Error::internal("a request was refused without a violation")),
            (Some(Kind::SolutionInvalid), _) => Err(Error::SolutionInvalid(self.listed)),
            (Some(Kind::SolutionReserved), _) => Err(Error::SolutionReserved(self.listed)),
            (Some(Kind::Field), _) => Err(Error::FieldInvalid(self.listed)),
            (Some(Kind::Mask), _) => Err(Error::UpdateMaskInvalid(self.listed)),
            (Some(Kind::Filter), _) => Err(Error::FilterInvalid(self.listed)),
            (Some(Kind::Batch), _) => Err(Error::BatchInvalid(self.listed)),
        }
    }
}

/// A text of several lines, such as a description or a comment, possibly empty.
pub(super) fn text(text: String, most_bytes: usize) -> Result<String, Problem> {
    if text.len() > most_bytes {
        return Err(format!("must be at most {most_bytes} bytes").into());
    }
    if text.contains('\0') {
        return Err("must not contain NUL".into());
    }
    Ok(text)
}

/// Which text is a line: how long it may be, and whether it must be visible.
#[derive(Debug, Clone, Copy)]
pub(super) struct Line {
    /// In characters.
    pub(super) most: usize,
    /// More than blanks and characters without width.
    pub(super) visible: bool,
}

/// A text of 1 to `most` characters that stays on its line and does not reorder its neighbours.
pub(super) fn line(text: String, rule: Line) -> Result<String, Problem> {
    if text.is_empty() {
        return Err("must be given".into());
    }
    // Bytes first: counting the characters of a text of 4 MiB is not worth it.
    if text.len() > rule.most * 4 || text.chars().count() > rule.most {
        return Err(format!("must be at most {} characters", rule.most).into());
    }
    plain(&text)?;
    if rule.visible && text.chars().all(is_invisible) {
        return Err("must not be blank".into());
    }
    Ok(text)
}

/// Refuses what does not belong into one line.
pub(super) fn plain(text: &str) -> Result<(), Problem> {
    if text.chars().any(|character| character.is_control() || matches!(character, '\u{2028}' | '\u{2029}')) {
        return Err("must not contain control characters or line breaks".into());
    }
    if text.chars().any(|character| matches!(character, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')) {
        return Err("must not contain characters that override the direction of text".into());
    }
    Ok(())
}

fn is_invisible(character: char) -> bool {
    character.is_whitespace()
        || matches!(character, '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{180b}'..='\u{180f}')
        || matches!(character, '\u{200b}'..='\u{200f}' | '\u{2060}'..='\u{2065}' | '\u{2800}' | '\u{3164}')
        || matches!(character, '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{ffa0}' | '\u{e0000}'..='\u{e0fff}')
}

/// A UUID as the contract writes it: lower case, hyphens, not nil.
pub(super) fn uuid(text: &str) -> Result<Uuid, Problem> {
    if text.is_empty() {
        return Err("must be given".into());
    }
    let uuid = Uuid::try_parse(text).ok().filter(|uuid| {
        // The parser also takes braces, upper case, no hyphens: one spelling, or ids differ as text only.
        uuid.as_hyphenated().encode_lower(&mut Uuid::encode_buffer()) == text
    });
    match uuid {
        Some(uuid) if uuid.is_nil() => Err("must not be the nil UUID".into()),
        Some(uuid) => Ok(uuid),
        None => Err("must be a UUID in lower case with hyphens".into()),
    }
}

/// Nothing, or what the rule makes of it.
pub(super) fn optional<T>(text: String, rule: impl FnOnce(String) -> Result<T, Problem>) -> Result<Option<T>, Problem> {
    if text.is_empty() { Ok(None) } else { rule(text).map(Some) }
}

/// On whose behalf.
pub(super) fn actor(text: String) -> Result<Option<String>, Problem> {
    optional(text, |text| line(text, Line { most: LINE_CHARACTERS, visible: true }))
}

/// The database that is named. No rule of names: one that no database can have is simply not the one.
pub(super) fn database(text: String) -> Result<Option<String>, Problem> {
    if text.len() > DATABASE_NAME_BYTES {
        return Err(format!("must be at most {DATABASE_NAME_BYTES} bytes").into());
    }
    if text.contains('\0') {
        return Err("must not contain NUL".into());
    }
    Ok((!text.is_empty()).then_some(text))
}

/// The etag expected. Ours is the UUID without hyphens; any other text is one that the document does not have.
pub(super) fn etag(text: &str) -> Result<Option<EtagExpectation>, Problem> {
    if text.is_empty() {
        return Ok(None);
    }
    if text.len() > ETAG_BYTES {
        return Err(format!("must be at most {ETAG_BYTES} bytes").into());
    }
    let ours =
        Uuid::try_parse(text).ok().filter(|uuid| uuid.as_simple().encode_lower(&mut Uuid::encode_buffer()) == text);
    Ok(Some(ours.map_or(EtagExpectation::Never, EtagExpectation::Exactly)))
}

/// The key under which a mutation is remembered.
pub(super) fn repeat_key(
    method: &'static str,
    request_id: &str,
    digest: [u8; 32],
) -> Result<Option<RepeatKey>, Problem> {
    if request_id.is_empty() {
        return Ok(None);
    }
    Ok(Some(RepeatKey { request_id: uuid(request_id)?, method, digest }))
}

/// SHA-256 of what was asked, the `request_id` cleared. The maps in a message are ordered, so one request has one encoding here.
pub(super) fn digest(method: &str, message: &impl Message) -> [u8; 32] {
    let mut hash = Sha256::new();
    hash.update(method);
    hash.update([0]);
    hash.update(message.encode_to_vec());
    hash.finalize().into()
}
