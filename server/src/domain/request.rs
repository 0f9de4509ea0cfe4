//! What a caller asks of documents: requests that are already within all limits.
//!
//! Every request is a [`Query`] or a [`Command`]: routing wants what these have in common, the documents want the rest.
//! Nothing here was looked up.

use std::fmt;

use uuid::Uuid;

use super::{
    SolutionId,
    document::{Cursor, Declared, DocumentId, Draft, Filter, Patch},
    workflow::Step,
};

/// A request that changes nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Query<T> {
    /// Whose documents.
    pub solution: SolutionId,
    /// The database that must serve it.
    pub database: Option<String>,
    /// What is asked.
    pub what: T,
}

/// A request that changes something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Command<T> {
    /// Whose documents.
    pub solution: SolutionId,
    /// The database that must serve it.
    pub database: Option<String>,
    /// Makes it safe to repeat.
    pub repeat: Option<RepeatKey>,
    /// On whose behalf.
    pub actor: Option<String>,
    /// What is to be done.
    pub what: T,
}

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
pub struct Creation {
    /// Its id; none: the server makes one.
    pub document_id: Option<DocumentId>,
    /// What it says.
    pub draft: Draft,
}

/// New values for some fields.
#[derive(Debug, Clone, PartialEq)]
pub struct Update {
    /// Which document.
    pub document_id: DocumentId,
    /// The values.
    pub patch: Patch,
    /// The etag it must still have.
    pub etag: Option<EtagExpectation>,
}

/// A document to delete.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delete {
    /// Which document.
    pub document_id: DocumentId,
    /// The etag it must still have.
    pub etag: Option<EtagExpectation>,
}

/// A step through the workflow.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StepRequest {
    /// Which step.
    pub step: Step,
    /// Of which document.
    pub document_id: DocumentId,
    /// The etag it must still have.
    pub etag: Option<EtagExpectation>,
    /// Why, possibly empty.
    pub comment: String,
}

/// A search.
#[derive(Debug, Clone, PartialEq)]
pub struct Search {
    /// As people type into a search box.
    pub text: String,
    /// Conditions.
    pub filter: Filter,
    /// Which results.
    pub window: Window,
}

/// A page of something that has one order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Window {
    /// Most on the page.
    pub size: usize,
    /// After this one.
    pub after: Option<Cursor>,
}

/// The beginning of an upload.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Upload {
    /// Of which document.
    pub document_id: DocumentId,
    /// What is said of the content.
    pub declared: Declared,
    /// The etag the document must still have.
    pub etag: Option<EtagExpectation>,
}

/// A download.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Download {
    /// Of which document.
    pub document_id: DocumentId,
    /// The first byte.
    pub offset: u64,
    /// The generation it must still be.
    pub generation: Option<i64>,
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
