//! Content of documents: written in pieces, visible at once, read in pieces.
//!
//! Each function is one short transaction, so that nothing is held while a client is waited for. What was begun and never
//! became visible expires, and is removed in passing by later writes of the same solution.

use std::{sync::Arc, time::Duration};

use tokio_postgres::types::ToSql;

use super::{
    mutation::{Change, Locked, Mutation, change, editable, lock, read_back, rules},
    record, row,
    statements::{
        CONTENT_APPEND, CONTENT_BEGIN, CONTENT_EXPIRE, CONTENT_GIVE_UP, CONTENT_KEEP, CONTENT_PUBLISH, CONTENT_READ,
        CONTENT_REMOVE, CONTENT_REMOVE_PIECES, CONTENT_SET, PURGE_CONTENTS,
    },
};
use crate::{
    domain::{
        Error, Result,
        document::{ContentId, Document},
        request::Upload,
    },
    postgres::transaction::Bound,
    routing::{Session, Writer},
};

/// Pieces removed in one transaction.
const REMOVED: i64 = 100;

/// What beginning an upload came to.
#[derive(Debug)]
pub enum Begun {
    /// The bytes may come.
    New,
    /// It was done before: the document as it is now.
    Repeat(Box<Change>),
}

/// A piece of a content.
#[derive(Debug)]
pub struct Piece {
    /// Where it begins.
    pub first_byte: u64,
    /// Its bytes.
    pub bytes: Vec<u8>,
}

/// Checks everything that can be checked before a byte has come, and makes room for them. `kept`: how long an upload that
/// nobody goes on with stays; at least as long as the longest transfer.
pub async fn begin(
    session: &mut Session,
    mutation: &Mutation,
    content_id: ContentId,
    upload: &Upload,
    kept: Duration,
) -> Result<Begun> {
    let shared = Arc::new((mutation.clone(), upload.clone()));
    session
        .write(true, move |writer| {
            let shared = Arc::clone(&shared);
            Box::pin(async move {
                let (mutation, upload) = &*shared;
                // Before the request is looked for: an earlier try that is just being committed holds the row, and what it
                // makes of the document must not be a reason to refuse this one.
                let locked = lock(writer, upload.document_id).await?;
                if let Some(done) = record::find(writer, mutation).await? {
                    let id = done.first().ok_or(Error::internal("a request record without a document"))?;
                    let stored = read_back(writer, *id).await?;
                    let own_database = writer.own_database().map(Into::into);
                    return Ok(Begun::Repeat(Box::new(Change { stored, own_database })));
                }
                admit(writer, locked, upload).await?;
                let parameters: &[&(dyn ToSql + Sync)] = &[&content_id, &upload.document_id, &kept.as_secs_f64()];
                writer.query(&CONTENT_BEGIN, parameters).await?;
                Ok(Begun::New)
            })
        })
        .await
}

/// Adds pieces, each with the position of its first byte, and clears away up to 100 expired ones of the same solution: whoever
/// replaces large files removes more than he adds.
pub async fn append(
    session: &mut Session,
    content_id: ContentId,
    pieces: Vec<(i64, bytes::Bytes)>,
    kept: Duration,
) -> Result<()> {
    let pieces = Arc::new(pieces);
    session
        // Its position makes a piece safe to repeat.
        .write(true, move |writer| {
            let pieces = Arc::clone(&pieces);
            Box::pin(async move {
                if writer.query(&CONTENT_KEEP, &[&content_id, &kept.as_secs_f64()]).await?.is_empty() {
                    return Err(Error::DocumentNotFound);
                }
                let slices: Vec<(&i64, &[u8])> = pieces.iter().map(|(first, bytes)| (first, &**bytes)).collect();
                let parameters: Vec<[&(dyn ToSql + Sync); 3]> =
                    slices.iter().map(|(first, bytes)| [&content_id as &(dyn ToSql + Sync), *first, bytes]).collect();
                let mut flight: Vec<Bound<'_>> = parameters.iter().map(|piece| (&CONTENT_APPEND, &piece[..])).collect();
                flight.push((&PURGE_CONTENTS, &[]));
                writer.query_all(&flight).await.map(drop)
            })
        })
        .await
}

/// Makes the content that has come whole the document's, in place of the one before.
pub async fn publish(
    session: &mut Session,
    mutation: Mutation,
    content_id: ContentId,
    upload: Upload,
) -> Result<Change> {
    change(session, mutation, upload.document_id, move |writer, _| {
        let upload = upload.clone();
        Box::pin(async move {
            // Once more: the document, and its type, may have changed while the bytes came.
            let locked = lock(writer, upload.document_id).await?;
            admit(writer, locked, &upload).await?;
            if writer.query(&CONTENT_PUBLISH, &[&content_id, &upload.document_id]).await?.is_empty() {
                return Err(Error::DocumentNotFound);
            }
            writer.query(&CONTENT_EXPIRE, &[&upload.document_id]).await?;
            set(writer, content_id, &upload).await
        })
    })
    .await
}

/// Removes an upload that failed, and leaves it alone if it became visible after all: whoever calls may not know.
pub async fn discard(session: &mut Session, content_id: ContentId) -> Result<()> {
    let given_up = session
        .write(true, move |writer| {
            Box::pin(async move { writer.query(&CONTENT_GIVE_UP, &[&content_id]).await.map(|rows| !rows.is_empty()) })
        })
        .await?;
    if !given_up {
        return Ok(());
    }
    // In pieces, as everywhere: removing a gigabyte at once would hold the solution's lock for seconds.
    loop {
        let removed = session
            .write(true, move |writer| {
                Box::pin(async move {
                    let removed = writer.query(&CONTENT_REMOVE_PIECES, &[&content_id, &REMOVED]).await?.len();
                    if removed == 0 {
                        writer.query(&CONTENT_REMOVE, &[&content_id]).await?;
                    }
                    Ok(removed)
                })
            })
            .await?;
        if removed == 0 {
            return Ok(());
        }
    }
}

/// Up to `most` pieces of a content, the first of which holds byte `from`. Empty if it is not there any more.
pub async fn read(session: &mut Session, content_id: ContentId, from: u64, most: i64) -> Result<Vec<Piece>> {
    let from = i64::try_from(from).unwrap_or(i64::MAX);
    let rows = session.read(&CONTENT_READ, &[&content_id, &from, &most]).await?;
    let mut pieces = Vec::with_capacity(rows.len());
    for row in &rows {
        let Some(first) = row.get::<_, Option<i64>>(1) else { continue };
        let first_byte = u64::try_from(first).map_err(|_| Error::internal("a stored position that is none"))?;
        pieces.push(Piece { first_byte, bytes: row.get(2) });
    }
    Ok(pieces)
}

/// The document may be edited, and its type takes such a file.
async fn admit(writer: &mut Writer, locked: Option<Locked>, upload: &Upload) -> Result<()> {
    let locked = editable(locked, upload.etag)?;
    let rules = rules(writer, &locked.document_type).await?;
    rules.admit(&upload.declared.filename, upload.declared.size)
}

async fn set(writer: &mut Writer, content_id: ContentId, upload: &Upload) -> Result<Document> {
    let declared = &upload.declared;
    let size = i64::try_from(declared.size).unwrap_or(i64::MAX);
    let rows = writer
        .query(
            &CONTENT_SET,
            &[&upload.document_id, &content_id, &declared.filename, &declared.media_type, &size, &&declared.sha256[..]],
        )
        .await?;
    rows.first().map_or(Err(Error::DocumentNotFound), |row| row::document(row, 0))
}
