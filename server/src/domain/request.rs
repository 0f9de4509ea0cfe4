//! What a caller asks of documents: requests that are already within all limits.
//!
//! Routing wants the solution and `database`, the documents want the rest; nothing here was looked up.

use std::fmt;

use uuid::Uuid;

use super::{
    SolutionId,
    document::{DocumentId, Draft, PageRequest, Patch},
};

/// What makes a mutation safe to repeat. The principal belongs to the key too; the call knows it.
#[derive(Clone, PartialEq, Eq)]
pub struct RepeatKey {
    /// The caller's id of this request.
    pub request_id: Uuid,
    /// The method, without its service, such as `CreateDocument`.
    pub method: &'static str,
    /// SHA-256 of the method and of everything asked for except the id itself: another digest under the same id is
    /// another request.
    pub digest: [u8; 32],
}

/// The etag that a document must still have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EtagExpectation {
    /// This one.
    Exactly(Uuid),
    /// A text that no document of ours ever had: always a mismatch, never a wrong field, because etags are opaque.
    Never,
}

/// A new document.
#[derive(Debug, Clone, PartialEq)]
pub struct CreateRequest {
    /// Whose.
    pub solution: SolutionId,
    /// Its id; none: the server makes one.
    pub document_id: Option<DocumentId>,
    /// What it says.
    pub draft: Draft,
    /// Makes it safe to repeat.
    pub repeat: Option<RepeatKey>,
    /// On whose behalf.
    pub actor: Option<String>,
    /// The database that must serve it.
    pub database: Option<String>,
}

/// One document to read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GetRequest {
    /// Whose.
    pub solution: SolutionId,
    /// Which.
    pub document_id: DocumentId,
    /// The database that must serve it.
    pub database: Option<String>,
}

/// A page of documents.
#[derive(Debug, Clone, PartialEq)]
pub struct ListRequest {
    /// Whose.
    pub solution: SolutionId,
    /// Which page.
    pub page: PageRequest,
    /// The database that must serve it.
    pub database: Option<String>,
}

/// New values for some fields.
#[derive(Debug, Clone, PartialEq)]
pub struct UpdateRequest {
    /// Whose.
    pub solution: SolutionId,
    /// Which.
    pub document_id: DocumentId,
    /// The values.
    pub patch: Patch,
    /// Makes it safe to repeat.
    pub repeat: Option<RepeatKey>,
    /// On whose behalf.
    pub actor: Option<String>,
    /// The etag it must still have.
    pub etag: Option<EtagExpectation>,
    /// The database that must serve it.
    pub database: Option<String>,
}

/// A document to delete.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeleteRequest {
    /// Whose.
    pub solution: SolutionId,
    /// Which.
    pub document_id: DocumentId,
    /// The etag it must still have.
    pub etag: Option<EtagExpectation>,
    /// Makes it safe to repeat.
    pub repeat: Option<RepeatKey>,
    /// On whose behalf.
    pub actor: Option<String>,
    /// The database that must serve it.
    pub database: Option<String>,
}

/// A deleted document to take back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UndeleteRequest {
    /// Whose.
    pub solution: SolutionId,
    /// Which.
    pub document_id: DocumentId,
    /// Makes it safe to repeat.
    pub repeat: Option<RepeatKey>,
    /// On whose behalf.
    pub actor: Option<String>,
    /// The database that must serve it.
    pub database: Option<String>,
}

// === impl RepeatKey ===

impl fmt::Debug for RepeatKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The digest says nothing to people.
        write!(formatter, "{}/{}", self.method, self.request_id)
    }
}

// === impl EtagExpectation ===

impl EtagExpectation {
    /// True if a document with that etag is meant.
    pub fn meets(self, etag: Uuid) -> bool {
        match self {
            Self::Exactly(expected) => expected == etag,
            Self::Never => false,
        }
    }
}
