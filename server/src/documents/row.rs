//! Rows become what the domain knows.

use tokio_postgres::Row;

use crate::domain::{
    Error, Result,
    document::{Confidentiality, Content, Declared, Deletion, Document, Draft, State},
    workflow::{DocumentType, Rules},
};

/// How many columns a document has.
pub(super) const DOCUMENT_COLUMNS: usize = 24;

/// Reads the columns of `columns.sql`, the first of which is `first`.
pub(super) fn document(row: &Row, first: usize) -> Result<Document> {
    let at = |offset: usize| first + offset;
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
        state: state(row, at(10))?,
        etag: row.get(at(11)),
        created_by: row.get(at(12)),
        approved_by: row.get(at(13)),
        create_time: row.get(at(14)),
        update_time: row.get(at(15)),
        deletion,
        content: content(row, at(18))?,
    })
}

/// Reads a state.
pub(super) fn state(row: &Row, at: usize) -> Result<State> {
    State::from_number(row.get(at)).ok_or(Error::internal("a stored state that is none"))
}

/// Reads the columns of a document type, the first of which is `first`.
pub(super) fn document_type(row: &Row, first: usize) -> Result<DocumentType> {
    let at = |offset: usize| first + offset;
    Ok(DocumentType {
        code: row.get(at(0)),
        name: row.get(at(1)),
        description: row.get(at(2)),
        rules: rules(row, at(3))?,
    })
}

/// Reads the rules of a document type, the first column of which is `first`.
pub(super) fn rules(row: &Row, first: usize) -> Result<Rules> {
    let most: i64 = row.get(first + 3);
    Ok(Rules {
        requires_approval: row.get(first),
        four_eyes: row.get(first + 1),
        allowed_extensions: row.get(first + 2),
        max_content_size: if most == 0 { None } else { Some(size(most)?) },
    })
}

fn content(row: &Row, first: usize) -> Result<Option<Content>> {
    let at = |offset: usize| first + offset;
    let Some(content_id) = row.get(at(0)) else { return Ok(None) };
    let digest: &[u8] = row.get(at(5));
    Ok(Some(Content {
        content_id,
        generation: row.get(at(1)),
        declared: Declared {
            filename: row.get(at(2)),
            media_type: row.get(at(3)),
            size: size(row.get(at(4)))?,
            sha256: digest.try_into().map_err(|_| Error::internal("a stored digest that is none"))?,
        },
    }))
}

fn size(stored: i64) -> Result<u64> {
    u64::try_from(stored).map_err(|_| Error::internal("a stored size that is none"))
}
