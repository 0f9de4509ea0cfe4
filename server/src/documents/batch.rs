//! Creating many documents, all or none.

use std::{collections::HashMap, sync::Arc};

use super::{
    insert::insert,
    mutation::{Change, Mutation, mutate},
    row,
    statements::READ_BACK,
};
use crate::{
    domain::{
        Error, Result,
        document::{Document, DocumentId, Draft},
    },
    routing::Session,
};

/// Creates them in DRAFT, in one transaction. A repeat answers them as they are now, in the same order.
pub async fn create_many(
    session: &mut Session,
    mutation: Mutation,
    drafts: Vec<(DocumentId, Draft)>,
) -> Result<Change<Vec<Document>>> {
    let ids: Vec<DocumentId> = drafts.iter().map(|(id, _)| *id).collect();
    let drafts = Arc::new(drafts);
    mutate(
        session,
        mutation,
        ids,
        move |writer, mutation| {
            let (drafts, actor) = (Arc::clone(&drafts), mutation.actor().to_owned());
            Box::pin(async move { insert(writer, &drafts, &actor).await })
        },
        |writer, done| {
            Box::pin(async move {
                let rows = writer.query(&READ_BACK, &[&done]).await?;
                let mut found = HashMap::with_capacity(rows.len());
                for row in &rows {
                    let document = row::document(row, 0)?;
                    found.insert(document.document_id, document);
                }
                done.iter().map(|id| found.remove(id).ok_or(Error::DocumentNotFound)).collect()
            })
        },
    )
    .await
}
