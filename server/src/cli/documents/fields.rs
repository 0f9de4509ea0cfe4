//! The fields of a document as flags.
//!
//! For an update the flags that were given are the update mask; `--clear` names fields that are emptied. Mistakes in
//! a flag are usage errors, found before anything is sent.

use clap::{Args, ValueEnum};
use fbs_router_client::{
    prost_types::{Struct, Timestamp},
    v1::{Confidentiality, Document},
};

use crate::cli::output::json;

/// Fields of a new document.
#[derive(Debug, Clone, Args)]
pub(crate) struct DraftArgs {
    /// Reference, such as INV-2026-0042
    #[arg(long)]
    name: String,
    /// Title
    #[arg(long)]
    title: String,
    /// Code of the document type, such as invoice; general unless given
    #[arg(long = "type", value_name = "TYPE")]
    document_type: Option<String>,
    #[command(flatten)]
    more: MoreArgs,
}

/// Fields that an update may change, at least one of them.
#[derive(Debug, Clone, Args)]
#[group(required = true, multiple = true)]
pub(crate) struct ChangeArgs {
    /// New reference
    #[arg(long)]
    name: Option<String>,
    /// New title
    #[arg(long)]
    title: Option<String>,
    /// Description
    #[arg(long, value_name = "TEXT")]
    description: Option<String>,
    /// Path, such as finance/invoices
    #[arg(long, value_name = "PATH")]
    category: Option<String>,
    /// A tag; may be repeated. All tags are replaced
    #[arg(long = "tag", value_name = "TAG")]
    tags: Vec<String>,
    /// Who it is for
    #[arg(long, value_name = "LEVEL")]
    confidentiality: Option<Level>,
    /// Free fields as a JSON object; replaced whole
    #[arg(long, value_name = "JSON", value_parser = free_fields)]
    metadata: Option<Struct>,
    /// When it loses its validity, such as 2027-01-01T00:00:00Z
    #[arg(long, value_name = "TIME", value_parser = time)]
    expire_time: Option<Timestamp>,
    /// A field to empty; may be repeated
    #[arg(long, value_name = "FIELD")]
    clear: Vec<Clearable>,
}

/// Fields that may be left out.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct MoreArgs {
    /// Description
    #[arg(long, value_name = "TEXT")]
    description: Option<String>,
    /// Path, such as finance/invoices
    #[arg(long, value_name = "PATH")]
    category: Option<String>,
    /// A tag; may be repeated
    #[arg(long = "tag", value_name = "TAG")]
    tags: Vec<String>,
    /// Who it is for
    #[arg(long, value_name = "LEVEL")]
    confidentiality: Option<Level>,
    /// Free fields as a JSON object
    #[arg(long, value_name = "JSON", value_parser = free_fields)]
    metadata: Option<Struct>,
    /// When it loses its validity, such as 2027-01-01T00:00:00Z
    #[arg(long, value_name = "TIME", value_parser = time)]
    expire_time: Option<Timestamp>,
}

/// How confidential it is.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum Level {
    /// For anybody
    Public,
    /// For the solution's people
    Internal,
    /// For some of them
    Confidential,
}

/// Fields that may be empty.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
#[value(rename_all = "snake_case")]
pub(crate) enum Clearable {
    /// The description
    Description,
    /// The category
    Category,
    /// All tags
    Tags,
    /// All free fields
    Metadata,
    /// The end of its validity
    ExpireTime,
}

// === impl DraftArgs ===

impl DraftArgs {
    pub(super) fn document(self) -> Document {
        let more = self.more;
        Document {
            name: self.name,
            title: self.title,
            document_type: self.document_type.unwrap_or_default(),
            description: more.description.unwrap_or_default(),
            category: more.category.unwrap_or_default(),
            tags: more.tags,
            confidentiality: more.confidentiality.map_or(0, |level| level.value().into()),
            metadata: more.metadata,
            expire_time: more.expire_time,
            ..Default::default()
        }
    }
}

// === impl ChangeArgs ===

impl ChangeArgs {
    /// The new values, and the paths of the fields given or cleared.
    pub(super) fn document_and_mask(self) -> (Document, Vec<String>) {
        let mut paths: Vec<&str> = [
            ("name", self.name.is_some()),
            ("title", self.title.is_some()),
            ("description", self.description.is_some()),
            ("category", self.category.is_some()),
            ("tags", !self.tags.is_empty()),
            ("confidentiality", self.confidentiality.is_some()),
            ("metadata", self.metadata.is_some()),
            ("expire_time", self.expire_time.is_some()),
        ]
        .into_iter()
        .filter_map(|(path, given)| given.then_some(path))
        .collect();
        // Given and cleared at once is named twice, which the service refuses: neither is guessed at here.
        paths.extend(self.clear.iter().map(|field| field.path()));
        let document = Document {
            name: self.name.unwrap_or_default(),
            title: self.title.unwrap_or_default(),
            description: self.description.unwrap_or_default(),
            category: self.category.unwrap_or_default(),
            tags: self.tags,
            confidentiality: self.confidentiality.map_or(0, |level| level.value().into()),
            metadata: self.metadata,
            expire_time: self.expire_time,
            ..Default::default()
        };
        (document, paths.into_iter().map(str::to_owned).collect())
    }
}

// === impl Level ===

impl Level {
    pub(super) fn value(self) -> Confidentiality {
        match self {
            Self::Public => Confidentiality::Public,
            Self::Internal => Confidentiality::Internal,
            Self::Confidential => Confidentiality::Confidential,
        }
    }
}

// === impl Clearable ===

impl Clearable {
    fn path(self) -> &'static str {
        match self {
            Self::Description => "description",
            Self::Category => "category",
            Self::Tags => "tags",
            Self::Metadata => "metadata",
            Self::ExpireTime => "expire_time",
        }
    }
}

pub(super) fn free_fields(text: &str) -> Result<Struct, String> {
    let value: serde_json::Value = serde_json::from_str(text).map_err(|error| format!("is not JSON: {error}"))?;
    json::to_free_fields(&value).ok_or_else(|| "is not a JSON object, such as '{\"amount\": 12.5}'".to_owned())
}

pub(super) fn time(text: &str) -> Result<Timestamp, String> {
    text.parse().map_err(|_| "is not a time, such as 2027-01-01T00:00:00Z".to_owned())
}

#[cfg(test)]
mod tests;
