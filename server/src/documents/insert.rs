//! New documents: one, or many in one round trip.

use tokio_postgres::types::ToSql;

use super::{
    row,
    statements::{INSERT, PURGE_ONE},
};
use crate::{
    domain::{
        Error, Result,
        document::{Document, DocumentId, Draft},
    },
    postgres::transaction::Bound,
    routing::Writer,
};

/// Inserts all of them in DRAFT, or fails with the index of the first whose id is taken.
pub(super) async fn insert(writer: &mut Writer, drafts: &[(DocumentId, Draft)], actor: &str) -> Result<Vec<Document>> {
    let confidentialities: Vec<i16> = drafts.iter().map(|(_, draft)| draft.confidentiality as i16).collect();
    let parameters: Vec<[&(dyn ToSql + Sync); 11]> = drafts
        .iter()
        .zip(&confidentialities)
        .map(|((document_id, draft), confidentiality)| {
            [
                document_id as &(dyn ToSql + Sync),
                &draft.name,
                &draft.title,
                &draft.description,
                &draft.document_type,
                &draft.category,
                &draft.tags,
                confidentiality,
                &draft.metadata,
                &draft.expire_time,
                &actor,
            ]
        })
        .collect();
    let flight: Vec<Bound<'_>> = parameters.iter().map(|one| (&INSERT, &one[..])).collect();
    let answers = writer.query_all(&flight).await?;
    let mut documents = Vec::with_capacity(drafts.len());
    for (index, rows) in answers.into_iter().enumerate() {
        let row = match rows.into_iter().next() {
            Some(row) => row,
            // An id is taken while its document can be taken back, and not a moment longer.
            None => {
                writer.query(&PURGE_ONE, &[&drafts[index].0]).await?;
                let rows = writer.query(&INSERT, &parameters[index]).await?;
                rows.into_iter().next().ok_or(Error::DocumentExists { index: Some(index) })?
            }
        };
        documents.push(row::document(&row, 0)?);
    }
    Ok(documents)
}
