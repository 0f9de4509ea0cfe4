//! What makes a mutation safe to repeat, and what is left of it for auditors.

use tokio_postgres::types::ToSql;
use uuid::Uuid;

use super::{
    mutation::Mutation,
    statements::{AUDIT, FIND_REQUEST, PURGE_CONTENTS, PURGE_DOCUMENTS, PURGE_REQUESTS, RECORD_REQUEST},
};
use crate::{
    domain::{Error, Result, document::DocumentId},
    postgres::transaction::Bound,
    routing::Writer,
};

/// What a `request_id` turned out to be.
#[derive(Debug)]
pub(super) enum Request {
    /// Not seen before, or none was given: do it.
    New,
    /// Done before, to these documents.
    Repeat(Vec<DocumentId>),
}

/// Records the request, first of all in its transaction; a second one in flight waits here for the first.
pub(super) async fn begin(writer: &mut Writer, mutation: &Mutation, ids: &[DocumentId]) -> Result<Request> {
    let Some(repeat) = &mutation.repeat else { return Ok(Request::New) };
    let (principal, method): (&str, &str) = (&mutation.principal, mutation.method);
    let kept = mutation.kept.as_secs_f64();
    let new = writer
        .query(&RECORD_REQUEST, &[&principal, &repeat.request_id, &method, &&repeat.digest[..], &ids, &kept])
        .await?;
    if !new.is_empty() {
        return Ok(Request::New);
    }
    // It expired, or was removed, between the two statements: the caller may try again.
    find(writer, mutation)
        .await
        .map(|done| done.map_or(Err(Error::DatabaseConflict), |done| Ok(Request::Repeat(done))))?
}

/// The documents of an earlier request with this id, if there was one. Records nothing.
pub(super) async fn find(writer: &mut Writer, mutation: &Mutation) -> Result<Option<Vec<DocumentId>>> {
    let Some(repeat) = &mutation.repeat else { return Ok(None) };
    let principal: &str = &mutation.principal;
    let found = writer.query(&FIND_REQUEST, &[&principal, &repeat.request_id]).await?;
    let Some(found) = found.first() else { return Ok(None) };
    if found.get::<_, &str>(0) != mutation.method || found.get::<_, &[u8]>(1) != &repeat.digest[..] {
        return Err(Error::RequestIdReused);
    }
    Ok(Some(found.get(2)))
}

/// Leaves an audit row a document, or one if there is none, and clears away up to 100 expired rows of the same solution.
pub(super) async fn finish(writer: &mut Writer, mutation: &Mutation, ids: &[DocumentId]) -> Result<()> {
    let request_id = mutation.repeat.as_ref().map(|repeat| repeat.request_id);
    let (principal, actor, method): (&str, &str, &str) = (&mutation.principal, mutation.actor(), mutation.method);
    let epoch = writer.epoch();
    let documents: Vec<Option<Uuid>> =
        if ids.is_empty() { vec![None] } else { ids.iter().copied().map(Some).collect() };
    let audits: Vec<[&(dyn ToSql + Sync); 6]> = documents
        .iter()
        .map(|document| [&principal as &(dyn ToSql + Sync), &actor, &method, document, &request_id, &epoch])
        .collect();
    let mut flight: Vec<Bound<'_>> = audits.iter().map(|audit| (&AUDIT, &audit[..])).collect();
    flight.extend([(&PURGE_DOCUMENTS, &[][..]), (&PURGE_CONTENTS, &[]), (&PURGE_REQUESTS, &[])] as [Bound<'_>; 3]);
    writer.query_all(&flight).await.map(drop)
}
