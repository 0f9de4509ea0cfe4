//! Which documents, as flags: conditions of lists and searches, all of which hold.

use clap::{Args, ValueEnum};
use fbs_router_client::{
    prost_types::{Struct, Timestamp},
    v1::{DocumentFilter, document::State},
};

use super::fields::{Level, free_fields, time};

/// Conditions.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct FilterArgs {
    /// Only in this state; may be repeated, for any of them
    #[arg(long = "state", value_name = "STATE")]
    states: Vec<StateWord>,
    /// Only of this type; may be repeated, for any of them
    #[arg(long = "type", value_name = "TYPE")]
    types: Vec<String>,
    /// Only in this category or below it
    #[arg(long, value_name = "PATH")]
    category: Option<String>,
    /// Only with this tag; may be repeated, for all of them
    #[arg(long = "tag", value_name = "TAG")]
    tags: Vec<String>,
    /// Only at this level; may be repeated, for any of them
    #[arg(long = "confidentiality", value_name = "LEVEL")]
    confidentialities: Vec<Level>,
    /// Only those that WHO created
    #[arg(long, value_name = "WHO")]
    created_by: Option<String>,
    /// Not created before, such as 2026-01-01T00:00:00Z
    #[arg(long, value_name = "TIME", value_parser = time)]
    created_from: Option<Timestamp>,
    /// Created before
    #[arg(long, value_name = "TIME", value_parser = time)]
    created_until: Option<Timestamp>,
    /// Expiring before
    #[arg(long, value_name = "TIME", value_parser = time)]
    expires_until: Option<Timestamp>,
    /// Only with these free fields, a JSON object
    #[arg(long, value_name = "JSON", value_parser = free_fields)]
    metadata: Option<Struct>,
}

/// A document's state, as typed.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum StateWord {
    /// Being written
    Draft,
    /// Waiting for approval
    Pending,
    /// Approved
    Approved,
    /// Rejected; may be edited and submitted again
    Rejected,
    /// Closed for good
    Archived,
}

// === impl FilterArgs ===

impl FilterArgs {
    pub(super) fn filter(self) -> DocumentFilter {
        DocumentFilter {
            states: self.states.into_iter().map(|state| state.value().into()).collect(),
            document_types: self.types,
            category: self.category.unwrap_or_default(),
            tags: self.tags,
            confidentialities: self.confidentialities.into_iter().map(|level| level.value().into()).collect(),
            created_by: self.created_by.unwrap_or_default(),
            create_time_from: self.created_from,
            create_time_until: self.created_until,
            expire_time_until: self.expires_until,
            metadata: self.metadata,
        }
    }
}

// === impl StateWord ===

impl StateWord {
    fn value(self) -> State {
        match self {
            Self::Draft => State::Draft,
            Self::Pending => State::Pending,
            Self::Approved => State::Approved,
            Self::Rejected => State::Rejected,
            Self::Archived => State::Archived,
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Which {
        #[command(flatten)]
        filter: FilterArgs,
    }

    #[test]
    fn repeated_flags_are_several_values() {
        let parsed = Which::try_parse_from([
            "test",
            "--state=draft",
            "--state=rejected",
            "--type=invoice",
            "--tag=a",
            "--tag=b",
            "--created-by=ada",
            "--created-from=2026-01-01T00:00:00Z",
            "--metadata={\"amount\": 12.5}",
        ]);
        let filter = parsed.unwrap().filter.filter();
        assert_eq!(filter.states, [i32::from(State::Draft), i32::from(State::Rejected)]);
        assert_eq!((filter.document_types.len(), filter.tags.len()), (1, 2));
        assert_eq!((filter.created_by.as_str(), filter.create_time_from.unwrap().seconds), ("ada", 1_767_225_600));
        assert!(filter.metadata.unwrap().fields.contains_key("amount"));
    }

    #[test]
    fn nothing_given_is_no_condition() {
        assert_eq!(FilterArgs::default().filter(), DocumentFilter::default());
    }
}
