//! The conditions of a filter, as statements take them: null where one does not apply.

use std::time::SystemTime;

use serde_json::Value;
use tokio_postgres::types::ToSql;

use crate::domain::document::Filter;

/// Values that live as long as the statement's parameters.
pub(super) struct Conditions<'f> {
    states: Option<Vec<i16>>,
    document_types: Option<&'f Vec<String>>,
    category: Option<&'f String>,
    tags: Option<&'f Vec<String>>,
    confidentialities: Option<Vec<i16>>,
    created_by: Option<&'f String>,
    create_time_from: Option<SystemTime>,
    create_time_until: Option<SystemTime>,
    expire_time_until: Option<SystemTime>,
    metadata: Option<&'f Value>,
}

impl<'f> Conditions<'f> {
    pub(super) fn new(filter: &'f Filter) -> Self {
        Self {
            states: some(filter.states.iter().map(|state| *state as i16)),
            document_types: (!filter.document_types.is_empty()).then_some(&filter.document_types),
            category: filter.category.as_ref(),
            tags: (!filter.tags.is_empty()).then_some(&filter.tags),
            confidentialities: some(filter.confidentialities.iter().map(|value| *value as i16)),
            created_by: filter.created_by.as_ref(),
            create_time_from: filter.create_time_from,
            create_time_until: filter.create_time_until,
            expire_time_until: filter.expire_time_until,
            metadata: filter.metadata.as_ref(),
        }
    }

    /// The ten parameters, in the order of `list.sql` and `search.sql`.
    pub(super) fn parameters(&self) -> [&(dyn ToSql + Sync); 10] {
        [
            &self.states,
            &self.document_types,
            &self.category,
            &self.tags,
            &self.confidentialities,
            &self.created_by,
            &self.create_time_from,
            &self.create_time_until,
            &self.expire_time_until,
            &self.metadata,
        ]
    }
}

fn some(numbers: impl Iterator<Item = i16>) -> Option<Vec<i16>> {
    let numbers: Vec<i16> = numbers.collect();
    (!numbers.is_empty()).then_some(numbers)
}
