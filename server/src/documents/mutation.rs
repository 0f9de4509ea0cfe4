//! The shape of every mutation: request record, work, audit, in one transaction.
//!
//! Rules are checked under the row's lock, so that of two callers at once one sees what the other did.

use std::{sync::Arc, time::Duration};

use uuid::Uuid;

use super::{
    record::{self, Request},
    row,
    statements::{LOCK_ROW, READ_BACK, TYPE_RULES},
};
use crate::{
    domain::{
        Error, Result,
        document::{Document, DocumentId, State},
        request::{EtagExpectation, RepeatKey},
        workflow::Rules,
    },
    postgres::transaction::Work,
    routing::{Session, Writer},
};

/// What a change left, and the solution's own database if that is where it is.
#[derive(Debug)]
pub struct Change<T = Document> {
    /// As stored.
    pub stored: T,
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
    /// Whether it lets a content expire itself, which is cleared away with it.
    pub replaces_content: bool,
}

/// The row's state under lock.
pub(super) struct Locked {
    pub(super) state: State,
    pub(super) etag: Uuid,
    pub(super) deleted: bool,
    pub(super) document_type: String,
    pub(super) created_by: String,
}

// === impl Mutation ===

impl Mutation {
    /// Whom the rows name.
    pub fn actor(&self) -> &str {
        self.actor.as_deref().unwrap_or(&self.principal)
    }
}

/// A change of one document. A repeat answers it as it is now.
pub(super) async fn change(
    session: &mut Session,
    mutation: Mutation,
    document_id: DocumentId,
    work: impl for<'t> Fn(&'t mut Writer, &Mutation) -> Work<'t, Document> + Send + Sync + 'static,
) -> Result<Change> {
    mutate(session, mutation, vec![document_id], work, |writer, ids| {
        Box::pin(async move {
            let id = ids.first().ok_or(Error::internal("a request record without a document"))?;
            read_back(writer, *id).await
        })
    })
    .await
}

/// A change that concerns `ids`. `again` finds, for a repeat, what was done to the ids that were recorded.
pub(super) async fn mutate<T: Send + 'static>(
    session: &mut Session,
    mutation: Mutation,
    ids: Vec<DocumentId>,
    work: impl for<'t> Fn(&'t mut Writer, &Mutation) -> Work<'t, T> + Send + Sync + 'static,
    again: impl for<'t> Fn(&'t mut Writer, Vec<DocumentId>) -> Work<'t, T> + Send + Sync + 'static,
) -> Result<Change<T>> {
    let repeatable = mutation.repeat.is_some();
    let shared = Arc::new((mutation, ids, work, again));
    session
        .write(repeatable, move |writer| {
            let shared = Arc::clone(&shared);
            Box::pin(async move {
                let (mutation, ids, work, again) = &*shared;
                let stored = match record::begin(writer, mutation, ids).await? {
                    Request::Repeat(done) => again(writer, done).await?,
                    Request::New(expired) => {
                        let stored = work(writer, mutation).await?;
                        record::finish(writer, mutation, ids, expired).await?;
                        stored
                    }
                };
                Ok(Change { stored, own_database: writer.own_database().map(Into::into) })
            })
        })
        .await
}

/// None if there is no such document; a deleted one is there.
pub(super) async fn lock(writer: &mut Writer, document_id: DocumentId) -> Result<Option<Locked>> {
    let rows = writer.query(&LOCK_ROW, &[&document_id]).await?;
    let locked = rows.first().map(|row| {
        Ok(Locked {
            state: row::state(row, 0)?,
            etag: row.get(1),
            deleted: row.get(2),
            document_type: row.get(3),
            created_by: row.get(4),
        })
    });
    locked.transpose()
}

/// A deleted document is not there for any mutation but Undelete.
pub(super) async fn lock_live(writer: &mut Writer, document_id: DocumentId) -> Result<Locked> {
    live(lock(writer, document_id).await?)
}

/// As [`lock_live`], of a document that may be edited.
pub(super) async fn lock_editable(
    writer: &mut Writer,
    document_id: DocumentId,
    etag: Option<EtagExpectation>,
) -> Result<Locked> {
    editable(lock(writer, document_id).await?, etag)
}

fn live(locked: Option<Locked>) -> Result<Locked> {
    locked.filter(|locked| !locked.deleted).ok_or(Error::DocumentNotFound)
}

/// What was locked, if it may be edited.
pub(super) fn editable(locked: Option<Locked>, etag: Option<EtagExpectation>) -> Result<Locked> {
    let locked = live(locked)?;
    check_etag(&locked, etag)?;
    if locked.state.is_editable() {
        Ok(locked)
    } else {
        Err(Error::DocumentNotEditable { state: locked.state.as_str() })
    }
}

pub(super) fn check_etag(locked: &Locked, etag: Option<EtagExpectation>) -> Result<()> {
    if etag.is_none_or(|etag| etag.meets(locked.etag)) {
        Ok(())
    } else {
        Err(Error::EtagMismatch { current: locked.etag.simple().to_string() })
    }
}

/// What the document's type asks; a type nobody defined follows the default.
pub(super) async fn rules(writer: &mut Writer, document_type: &str) -> Result<Rules> {
    let rows = writer.query(&TYPE_RULES, &[&document_type]).await?;
    rows.first().map_or(Ok(Rules::default()), |row| row::rules(row, 0))
}

pub(super) async fn read_back(writer: &mut Writer, document_id: DocumentId) -> Result<Document> {
    let rows = writer.query(&READ_BACK, &[&vec![document_id]]).await?;
    rows.first().map_or(Err(Error::DocumentNotFound), |row| row::document(row, 0))
}
