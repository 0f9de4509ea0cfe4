//! The id of a tenant.

use std::{borrow::Borrow, fmt, sync::Arc};

/// A solution id: `^[a-z0-9][a-z0-9_-]*$`, 1 to 63 bytes, never normalised. Also `company_id` of its rows.
///
/// Whether it fits the configured patterns is [`Naming`](super::Naming)'s to say.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SolutionId(Arc<str>);

/// Why a text is no solution id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SolutionIdError {
    /// Nothing there: an absent solution never means the system.
    #[error("must be given")]
    Empty,
    /// Longer than a database name.
    #[error("must be at most 63 bytes")]
    TooLong,
    /// Another alphabet, upper case, blanks, control characters…
    #[error("must match ^[a-z0-9][a-z0-9_-]*$")]
    Malformed,
}

impl SolutionId {
    /// Takes the text as it is, or not at all.
    pub fn parse(text: &str) -> Result<Self, SolutionIdError> {
        let bytes = text.as_bytes();
        let Some(first) = bytes.first() else { return Err(SolutionIdError::Empty) };
        if bytes.len() > 63 {
            return Err(SolutionIdError::TooLong);
        }
        let letter = |byte: &u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
        if letter(first) && bytes.iter().all(|byte| letter(byte) || matches!(byte, b'_' | b'-')) {
            Ok(Self(text.into()))
        } else {
            Err(SolutionIdError::Malformed)
        }
    }

    /// The id as it stands in requests and rows.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Borrow<str> for SolutionId {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for SolutionId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl fmt::Debug for SolutionId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, formatter)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_taken_as_it_is_or_not_at_all() {
        for good in ["a", "0", "acme_corp", "a-b", "9_-"] {
            assert_eq!(SolutionId::parse(good).unwrap().as_str(), good);
        }
        for bad in ["Acme", "a b", "_a", "-a", "а", "ａcme", "a\0b", "a\n", " a", "a ", "x\";--", "a.b", "é"] {
            assert_eq!(SolutionId::parse(bad), Err(SolutionIdError::Malformed), "{bad:?}");
        }
        assert_eq!(SolutionId::parse(""), Err(SolutionIdError::Empty));
        assert_eq!(SolutionId::parse(&"a".repeat(64)), Err(SolutionIdError::TooLong));
    }
}
