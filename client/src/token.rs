//! The bearer token: sent with each call, never printed.

use std::fmt;

use tonic::metadata::{Ascii, MetadataMap, MetadataValue};

use crate::Error;

/// A header `authorization: Bearer …`.
#[derive(Clone)]
pub(crate) struct Token(MetadataValue<Ascii>);

// === impl Token ===

impl Token {
    pub(crate) fn bearer(secret: &str) -> Result<Self, Error> {
        // The parser's error is not kept: it could repeat what it could not read.
        let mut value: MetadataValue<Ascii> = format!("Bearer {secret}")
            .parse()
            .map_err(|_unreadable| Error::configuration("the token holds what a header cannot".to_owned(), None))?;
        value.set_sensitive(true); // not kept in tables of header compression, redacted by whatever prints headers
        Ok(Self(value))
    }

    pub(crate) fn put(&self, metadata: &mut MetadataMap) {
        metadata.insert("authorization", self.0.clone());
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Token(…)")
    }
}
