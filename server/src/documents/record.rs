//! What makes a mutation safe to repeat, and what is left of it for auditors.

use std::time::Duration;

use tokio_postgres::types::ToSql;

use super::{
    row,
    statements::{AUDIT, FIND_REQUEST, PURGE_DOCUMENTS, PURGE_REQUESTS, READ_BACK, RECORD_REQUEST},
    write::Mutation,
};
use crate::{
    domain::{
        Error, Result,
        document::{Document, DocumentId},
    },
    routing::Writer,
};

/// What a `request_id` turned out to be.
#[derive(Debug)]
pub(super) enum Request {
    /// Not seen before, or none was given: do it.
    New,
    /// Done before: the document as it is now.
    Repeat(Box<Document>),
}

/// Records the request, first of all in its transaction; a second one in flight waits here for the first.
pub(super) async fn begin(
    writer: &mut Writer,
    mutation: &Mutation,
    document_id: DocumentId,
    kept: Duration,
) -> Result<Request> {
    let Some(repeat) = &mutation.repeat else { return Ok(Request::New) };
    let (principal, method): (&str, &str) = (&mutation.principal, mutation.method);
    let new = writer
        .query(
            &RECORD_REQUEST,
            &[&principal, &repeat.request_id, &method, &&repeat.digest[..], &vec![document_id], &kept.as_secs_f64()],
        )
        .await?;
    if !new.is_empty() {
        return Ok(Request::New);
    }
    let found = writer.query(&FIND_REQUEST, &[&principal, &repeat.request_id]).await?;
    let found = found.first().ok_or(Error::DatabaseConflict)?;
    if found.get::<_, &str>(0) != method || found.get::<_, &[u8]>(1) != &repeat.digest[..] {
        return Err(Error::RequestIdReused);
    }
    let done: Vec<DocumentId> = found.get(2);
    let id = done.first().ok_or(Error::internal("a request record without a document"))?;
    let rows = writer.query(&READ_BACK, &[id]).await?;
    rows.first()
        .map_or(Err(Error::DocumentNotFound), |row| row::document(row, 0))
        .map(|document| Request::Repeat(Box::new(document)))
}

/// Leaves the audit row, and clears away up to 100 expired rows of the same solution.
pub(super) async fn finish(writer: &mut Writer, mutation: &Mutation, document_id: DocumentId) -> Result<()> {
    let request_id = mutation.repeat.as_ref().map(|repeat| repeat.request_id);
    let (principal, actor, method): (&str, &str, &str) = (&mutation.principal, mutation.actor(), mutation.method);
    let epoch = writer.epoch();
    let audit: &[&(dyn ToSql + Sync)] = &[&principal, &actor, &method, &document_id, &request_id, &epoch];
    writer.query_all(&[(&AUDIT, audit), (&PURGE_DOCUMENTS, &[]), (&PURGE_REQUESTS, &[])]).await
}
