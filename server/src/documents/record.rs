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
    New(Expired),
    /// Done before, to these documents.
    Repeat(Vec<DocumentId>),
}

/// What of the solution there may be to clear away: a statement that removes nothing costs a write as much as one that does.
#[derive(Debug, Clone, Copy)]
pub(super) struct Expired {
    documents: bool,
    contents: bool,
    requests: bool,
}

impl Expired {
    /// Nobody has looked.
    const PERHAPS: Self = Self { documents: true, contents: true, requests: true };
}

/// Records the request, first of all in its transaction; a second one in flight waits here for the first. What has expired is
/// looked for on the way: what expires meanwhile is left to another write.
pub(super) async fn begin(writer: &mut Writer, mutation: &Mutation, ids: &[DocumentId]) -> Result<Request> {
    let Some(repeat) = &mutation.repeat else { return Ok(Request::New(Expired::PERHAPS)) };
    let (principal, method): (&str, &str) = (&mutation.principal, mutation.method);
    let kept = mutation.kept.as_secs_f64();
    let new = writer
        .query(&RECORD_REQUEST, &[&principal, &repeat.request_id, &method, &&repeat.digest[..], &ids, &kept])
        .await?;
    if let Some(new) = new.first() {
        let contents = mutation.replaces_content || new.get(1);
        return Ok(Request::New(Expired { documents: new.get(0), contents, requests: new.get(2) }));
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

/// Leaves an audit row a document, or one if there is none, and clears away of the same solution, of each kind of which some
/// has expired, up to 100 rows.
pub(super) async fn finish(
    writer: &mut Writer,
    mutation: &Mutation,
    ids: &[DocumentId],
    expired: Expired,
) -> Result<()> {
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
    // A document that goes lets its content expire.
    let purges = [
        (expired.documents, &PURGE_DOCUMENTS),
        (expired.documents || expired.contents, &PURGE_CONTENTS),
        (expired.requests, &PURGE_REQUESTS),
    ];
    flight.extend(purges.into_iter().filter(|(any, _)| *any).map(|(_, purge)| (purge, &[][..])));
    writer.query_all(&flight).await.map(drop)
}
