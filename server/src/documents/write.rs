//! Creating, changing, deleting, and taking a delete back.

use std::time::Duration;

use super::{
    insert::insert,
    mutation::{Change, Mutation, change, check_etag, lock, lock_editable, lock_live, read_back},
    row,
    statements::{DELETE, UNDELETE, UPDATE},
};
use crate::{
    domain::{
        Error, Result,
        document::{DocumentId, Draft},
        request::{Delete, Update},
    },
    routing::Session,
};

/// Creates a document in DRAFT.
pub async fn create(
    session: &mut Session,
    mutation: Mutation,
    document_id: DocumentId,
    draft: Draft,
) -> Result<Change> {
    let drafts = std::sync::Arc::new(vec![(document_id, draft)]);
    change(session, mutation, document_id, move |writer, mutation| {
        let (drafts, actor) = (std::sync::Arc::clone(&drafts), mutation.actor().to_owned());
        Box::pin(async move {
            let created = insert(writer, &drafts, &actor).await.map_err(|taken| match taken {
                Error::DocumentExists { .. } => Error::DocumentExists { index: None },
                other => other,
            })?;
            created.into_iter().next().ok_or(Error::internal("a document that was not inserted"))
        })
    })
    .await
}

/// Changes the named fields; only where the state allows it.
pub async fn update(session: &mut Session, mutation: Mutation, request: Update) -> Result<Change> {
    let Update { document_id, patch, etag } = request;
    change(session, mutation, document_id, move |writer, _| {
        let patch = patch.clone();
        Box::pin(async move {
            lock_editable(writer, document_id, etag).await?;
            let before = read_back(writer, document_id).await?;
            let rows = writer
                .query(
                    &UPDATE,
                    &[
                        &document_id,
                        &patch.name,
                        &patch.title,
                        &patch.description,
                        &patch.category,
                        &patch.tags,
                        &patch.confidentiality.map(|value| value as i16),
                        &patch.metadata.unwrap_or(before.draft.metadata),
                        &patch.expire_time.unwrap_or(before.draft.expire_time),
                    ],
                )
                .await?;
            rows.first().map_or(Err(Error::DocumentNotFound), |row| row::document(row, 0))
        })
    })
    .await
}

/// Marks a document deleted, in any state.
pub async fn delete(
    session: &mut Session,
    mutation: Mutation,
    request: Delete,
    purge_after: Duration,
) -> Result<Change> {
    let Delete { document_id, etag } = request;
    change(session, mutation, document_id, move |writer, _| {
        Box::pin(async move {
            let locked = lock_live(writer, document_id).await?;
            check_etag(&locked, etag)?;
            let rows = writer.query(&DELETE, &[&document_id, &purge_after.as_secs_f64()]).await?;
            rows.first().map_or(Err(Error::DocumentNotFound), |row| row::document(row, 0))
        })
    })
    .await
}

/// Takes a delete back.
pub async fn undelete(session: &mut Session, mutation: Mutation, document_id: DocumentId) -> Result<Change> {
    change(session, mutation, document_id, move |writer, _| {
        Box::pin(async move {
            let locked = lock(writer, document_id).await?.ok_or(Error::DocumentNotFound)?;
            if !locked.deleted {
                return Err(Error::DocumentNotDeleted);
            }
            let rows = writer.query(&UNDELETE, &[&document_id]).await?;
            rows.first().map_or(Err(Error::DocumentNotFound), |row| row::document(row, 0))
        })
    })
    .await
}
