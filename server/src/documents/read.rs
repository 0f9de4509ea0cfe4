//! Reading one document.

use uuid::Uuid;

use super::{row, statements::GET};
use crate::{
    domain::{
        Error, Result,
        document::{Document, DocumentId},
    },
    routing::Session,
};

/// The document; also while deleted.
pub async fn get(session: &mut Session, document_id: DocumentId) -> Result<Document> {
    let rows = session.read(&GET, &[&document_id]).await?;
    let row = rows.first().ok_or(Error::internal("a read without a row"))?;
    match row.get::<_, Option<Uuid>>(1) {
        Some(_) => row::document(row, 1),
        None => Err(Error::DocumentNotFound),
    }
}
