//! A row becomes a document.

use tokio_postgres::Row;

use crate::domain::{
    Error, Result,
    document::{Confidentiality, Deletion, Document, Draft, State},
};

/// Reads the columns of a document, the first of which is `first`.
pub(super) fn document(row: &Row, first: usize) -> Result<Document> {
    let at = |offset: usize| first + offset;
    let state = State::from_number(row.get(at(10))).ok_or(Error::internal("a stored state that is none"))?;
    let confidentiality =
        Confidentiality::from_number(row.get(at(7))).ok_or(Error::internal("a stored confidentiality that is none"))?;
    let deletion = match (row.get(at(16)), row.get(at(17))) {
        (Some(delete_time), Some(purge_time)) => Some(Deletion { delete_time, purge_time }),
        _ => None,
    };
    Ok(Document {
        document_id: row.get(at(0)),
        draft: Draft {
            name: row.get(at(1)),
            title: row.get(at(2)),
            description: row.get(at(3)),
            document_type: row.get(at(4)),
            category: row.get(at(5)),
            tags: row.get(at(6)),
            confidentiality,
            metadata: row.get(at(8)),
            expire_time: row.get(at(9)),
        },
        state,
        etag: row.get(at(11)),
        created_by: row.get(at(12)),
        approved_by: row.get(at(13)),
        create_time: row.get(at(14)),
        update_time: row.get(at(15)),
        deletion,
    })
}
