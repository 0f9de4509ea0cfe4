//! A document and what may be asked of it.

use std::time::SystemTime;

use serde_json::Value;
use uuid::Uuid;

/// Id of a document, unique within its solution.
pub type DocumentId = Uuid;

/// Id of one upload.
pub type ContentId = Uuid;

/// Where a document is in the workflow. The numbers are stored and sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(i16)]
pub enum State {
    /// Being written.
    Draft = 1,
    /// Waiting for approval.
    Pending = 2,
    /// Approved.
    Approved = 3,
    /// Rejected; may be edited and submitted again.
    Rejected = 4,
    /// Closed for good.
    Archived = 5,
}

/// How confidential a document is. The numbers are stored and sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(i16)]
pub enum Confidentiality {
    /// For anybody.
    Public = 1,
    /// For the solution's people.
    Internal = 2,
    /// For some of them.
    Confidential = 3,
}

/// What a caller may say of a document; already within all limits.
#[derive(Debug, Clone, PartialEq)]
pub struct Draft {
    /// Reference such as INV-2026-0042.
    pub name: String,
    /// Title.
    pub title: String,
    /// Description, possibly empty.
    pub description: String,
    /// Code of a document type.
    pub document_type: String,
    /// Path such as `finance/invoices`, possibly empty.
    pub category: String,
    /// Sorted, without duplicates.
    pub tags: Vec<String>,
    /// Informs readers.
    pub confidentiality: Confidentiality,
    /// Free fields: a JSON object.
    pub metadata: Option<Value>,
    /// When it loses its validity.
    pub expire_time: Option<SystemTime>,
}

/// New values for some fields; `None` leaves a field as it is.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Patch {
    /// New name.
    pub name: Option<String>,
    /// New title.
    pub title: Option<String>,
    /// New description.
    pub description: Option<String>,
    /// New category.
    pub category: Option<String>,
    /// New tags.
    pub tags: Option<Vec<String>>,
    /// New confidentiality.
    pub confidentiality: Option<Confidentiality>,
    /// New metadata, replaced whole; `Some(None)` clears it.
    pub metadata: Option<Option<Value>>,
    /// New time of expiry; `Some(None)` clears it.
    pub expire_time: Option<Option<SystemTime>>,
}

/// A document as stored.
#[derive(Debug, Clone, PartialEq)]
pub struct Document {
    /// Its id.
    pub document_id: DocumentId,
    /// What callers said.
    pub draft: Draft,
    /// Where it is in the workflow.
    pub state: State,
    /// Changes with every change.
    pub etag: Uuid,
    /// Who created it.
    pub created_by: String,
    /// Who approved it; empty before.
    pub approved_by: String,
    /// When it was created.
    pub create_time: SystemTime,
    /// When it was changed last.
    pub update_time: SystemTime,
    /// When it was deleted, and when it will be gone.
    pub deletion: Option<Deletion>,
    /// Its file, if it has one.
    pub content: Option<Content>,
}

/// A soft delete.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Deletion {
    /// Since when.
    pub delete_time: SystemTime,
    /// Until when it can be taken back.
    pub purge_time: SystemTime,
}

/// A document's file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Content {
    /// Which upload it is.
    pub content_id: ContentId,
    /// Counts the contents that the document has had.
    pub generation: i64,
    /// What was declared, and found true.
    pub declared: Declared,
}

/// What an upload says of its content before it comes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Declared {
    /// Data, never a path.
    pub filename: String,
    /// Such as `application/pdf`.
    pub media_type: String,
    /// Bytes.
    pub size: u64,
    /// Digest of all bytes.
    pub sha256: [u8; 32],
}

/// By what a list is ordered; ties by id.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OrderKey {
    /// Creation.
    CreateTime,
    /// Last change.
    UpdateTime,
    /// Name, by code point.
    Name,
    /// Title, by code point.
    Title,
}

/// Order of a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Order {
    /// By what.
    pub key: OrderKey,
    /// Largest first.
    pub descending: bool,
}

/// Conditions of a list, all of which hold; empty means any.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Filter {
    /// Any of these.
    pub states: Vec<State>,
    /// Any of these.
    pub document_types: Vec<String>,
    /// This category or anything below it.
    pub category: Option<String>,
    /// All of these.
    pub tags: Vec<String>,
    /// Any of these.
    pub confidentialities: Vec<Confidentiality>,
    /// Exactly this creator.
    pub created_by: Option<String>,
    /// Not before.
    pub create_time_from: Option<SystemTime>,
    /// Before.
    pub create_time_until: Option<SystemTime>,
    /// Expires before.
    pub expire_time_until: Option<SystemTime>,
    /// Metadata contains this.
    pub metadata: Option<Value>,
}

/// The last thing on a page: where the next page goes on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cursor {
    /// Its place in the order.
    pub key: CursorKey,
    /// Its id, where two may share a place; else nil.
    pub id: Uuid,
}

/// The ordering value of a cursor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CursorKey {
    /// Microseconds since 1970, as Postgres keeps them; or a number that is counted.
    Number(i64),
    /// Name, title, code, solution.
    Text(String),
    /// How well a document matches: the bits of a double that is not negative.
    Score(u64),
}

/// One page to read.
#[derive(Debug, Clone, PartialEq)]
pub struct PageRequest {
    /// Conditions.
    pub filter: Filter,
    /// Order.
    pub order: Order,
    /// Deleted ones too.
    pub show_deleted: bool,
    /// Most documents on the page.
    pub size: usize,
    /// After this one.
    pub after: Option<Cursor>,
}

// === impl State ===

impl State {
    /// From the stored number.
    pub fn from_number(number: i16) -> Option<Self> {
        [Self::Draft, Self::Pending, Self::Approved, Self::Rejected, Self::Archived]
            .into_iter()
            .find(|state| *state as i16 == number)
    }

    /// Its name, as errors say it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Draft => "DRAFT",
            Self::Pending => "PENDING",
            Self::Approved => "APPROVED",
            Self::Rejected => "REJECTED",
            Self::Archived => "ARCHIVED",
        }
    }

    /// True where fields may be changed.
    pub fn is_editable(self) -> bool {
        match self {
            Self::Draft | Self::Rejected => true,
            Self::Pending | Self::Approved | Self::Archived => false,
        }
    }
}

// === impl Confidentiality ===

impl Confidentiality {
    /// From the stored number.
    pub fn from_number(number: i16) -> Option<Self> {
        [Self::Public, Self::Internal, Self::Confidential].into_iter().find(|value| *value as i16 == number)
    }
}
