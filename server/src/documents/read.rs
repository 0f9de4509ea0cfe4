//! Reading documents by their ids.

use std::collections::HashMap;

use uuid::Uuid;

use super::{
    row,
    statements::{GET, GET_MANY},
};
use crate::{
    domain::{
        Error, Result,
        document::{Document, DocumentId},
    },
    routing::Session,
};

/// The document; also while deleted.
pub async fn get(session: &mut Session, document_id: DocumentId) -> Result<Document> {
    let rows = session.look_up(&GET, &[&document_id]).await?;
    let row = rows.first().ok_or(Error::internal("a read without a row"))?;
    match row.get::<_, Option<Uuid>>(1) {
        Some(_) => row::document(row, 1),
        None => Err(Error::DocumentNotFound),
    }
}

/// Documents in the order asked, also deleted ones; `None` where there is none.
pub async fn get_many(session: &mut Session, ids: &[DocumentId]) -> Result<Vec<Option<Document>>> {
    let rows = session.read(&GET_MANY, &[&ids]).await?;
    let mut found = HashMap::with_capacity(rows.len());
    // The gate's row is there also when nothing was found.
    for row in rows.iter().filter(|row| row.get::<_, Option<Uuid>>(1).is_some()) {
        let document = row::document(row, 1)?;
        found.insert(document.document_id, document);
    }
    Ok(ids.iter().map(|id| found.remove(id)).collect())
}
