//! Creating, changing, deleting, and taking a delete back.
//!
//! Each is one transaction: request record, row lock, rules, change, audit. Rules are checked under the row's lock, so
//! that of two callers at once one sees what the other did.

use std::{sync::Arc, time::Duration};

use tokio_postgres::types::ToSql;
use uuid::Uuid;

use super::{
    record::{self, Request},
    row,
    statements::{DELETE, INSERT, LOCK_ROW, PURGE_ONE, READ_BACK, UNDELETE, UPDATE},
};
use crate::{
    domain::{
        Error, Result,
        document::{Document, DocumentId, Draft, Patch, State},
        request::{EtagExpectation, RepeatKey},
    },
    postgres::transaction::Work,
    routing::{Session, Writer},
};

/// A document after a change, and the solution's own database if that is where it is.
#[derive(Debug)]
pub struct Change {
    /// As stored.
    pub document: Document,
    /// The database it was written to, if it is the solution's own.
    pub own_database: Option<Arc<str>>,
}

/// Who changes, and how it is made safe to repeat.
#[derive(Debug, Clone)]
pub struct Mutation {
    /// The RPC's name.
    pub method: &'static str,
    /// The authenticated caller.
    pub principal: Arc<str>,
    /// On whose behalf; none: the caller's own.
    pub actor: Option<String>,
    /// What makes it safe to repeat.
    pub repeat: Option<RepeatKey>,
    /// How long the request is remembered.
    pub kept: Duration,
}

/// The row's state under lock.
struct Locked {
    state: State,
    etag: Uuid,
    deleted: bool,
}

impl Mutation {
    /// Whom the rows name.
    pub fn actor(&self) -> &str {
        self.actor.as_deref().unwrap_or(&self.principal)
    }
}

/// Creates a document in DRAFT.
pub async fn create(
    session: &mut Session,
    mutation: Mutation,
    document_id: DocumentId,
    draft: Draft,
) -> Result<Change> {
    change(session, mutation, document_id, move |writer, mutation| {
        let (draft, actor) = (draft.clone(), mutation.actor().to_owned());
        Box::pin(async move {
            let parameters: [&(dyn ToSql + Sync); 11] = [
                &document_id,
                &draft.name,
                &draft.title,
                &draft.description,
                &draft.document_type,
                &draft.category,
                &draft.tags,
                &(draft.confidentiality as i16),
                &draft.metadata,
                &draft.expire_time,
                &actor,
            ];
            let mut rows = writer.query(&INSERT, &parameters).await?;
            // An id is taken while its document can be taken back, and not a moment longer.
            if rows.is_empty() {
                writer.query(&PURGE_ONE, &[&document_id]).await?;
                rows = writer.query(&INSERT, &parameters).await?;
            }
            rows.first().map_or(Err(Error::DocumentExists), |row| row::document(row, 0))
        })
    })
    .await
}

/// Changes the named fields; only where the state allows it.
pub async fn update(
    session: &mut Session,
    mutation: Mutation,
    document_id: DocumentId,
    etag: Option<EtagExpectation>,
    patch: Patch,
) -> Result<Change> {
    change(session, mutation, document_id, move |writer, _| {
        let patch = patch.clone();
        Box::pin(async move {
            let locked = lock_live(writer, document_id).await?;
            check_etag(&locked, etag)?;
            if !locked.state.is_editable() {
                return Err(Error::DocumentNotEditable { state: locked.state.as_str() });
            }
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
    document_id: DocumentId,
    etag: Option<EtagExpectation>,
    purge_after: Duration,
) -> Result<Change> {
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
            let locked = lock(writer, document_id).await?;
            if !locked.deleted {
                return Err(Error::DocumentNotDeleted);
            }
            let rows = writer.query(&UNDELETE, &[&document_id]).await?;
            rows.first().map_or(Err(Error::DocumentNotFound), |row| row::document(row, 0))
        })
    })
    .await
}

/// The shape of every mutation.
async fn change(
    session: &mut Session,
    mutation: Mutation,
    document_id: DocumentId,
    work: impl for<'t> Fn(&'t mut Writer, &Mutation) -> Work<'t, Document> + Send + Sync + 'static,
) -> Result<Change> {
    let repeatable = mutation.repeat.is_some();
    let work = Arc::new(work);
    session
        .write(repeatable, move |writer| {
            let (mutation, work) = (mutation.clone(), Arc::clone(&work));
            Box::pin(async move {
                let document = match record::begin(writer, &mutation, document_id, mutation.kept).await? {
                    Request::Repeat(document) => *document,
                    Request::New => {
                        let document = work(writer, &mutation).await?;
                        record::finish(writer, &mutation, document_id).await?;
                        document
                    }
                };
                Ok(Change { document, own_database: writer.own_database().map(Into::into) })
            })
        })
        .await
}

async fn lock(writer: &mut Writer, document_id: DocumentId) -> Result<Locked> {
    let rows = writer.query(&LOCK_ROW, &[&document_id]).await?;
    let row = rows.first().ok_or(Error::DocumentNotFound)?;
    let state = State::from_number(row.get(0)).ok_or(Error::internal("a stored state that is none"))?;
    Ok(Locked { state, etag: row.get(1), deleted: row.get(2) })
}

/// A deleted document is not there for any mutation but Undelete.
async fn lock_live(writer: &mut Writer, document_id: DocumentId) -> Result<Locked> {
    let locked = lock(writer, document_id).await?;
    if locked.deleted { Err(Error::DocumentNotFound) } else { Ok(locked) }
}

fn check_etag(locked: &Locked, etag: Option<EtagExpectation>) -> Result<()> {
    if etag.is_none_or(|etag| etag.meets(locked.etag)) {
        Ok(())
    } else {
        Err(Error::EtagMismatch { current: locked.etag.simple().to_string() })
    }
}

async fn read_back(writer: &mut Writer, document_id: DocumentId) -> Result<Document> {
    let rows = writer.query(&READ_BACK, &[&document_id]).await?;
    rows.first().map_or(Err(Error::DocumentNotFound), |row| row::document(row, 0))
}
