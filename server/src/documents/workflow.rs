//! Steps through the workflow, and their history.

use super::{
    mutation::{Change, Mutation, change, check_etag, lock_live, rules},
    row,
    statements::{RECORD_TRANSITION, STEP, TRANSITIONS},
};
use crate::{
    domain::{
        Error, Result,
        document::{CursorKey, DocumentId},
        request::{StepRequest, Window},
        workflow::{Step, Transition},
    },
    routing::Session,
};

/// Makes a step, if document and type allow it, and records it.
pub async fn step(session: &mut Session, mutation: Mutation, request: StepRequest) -> Result<Change> {
    let StepRequest { step, document_id, etag, comment } = request;
    change(session, mutation, document_id, move |writer, mutation| {
        let (comment, actor) = (comment.clone(), mutation.actor().to_owned());
        Box::pin(async move {
            let locked = lock_live(writer, document_id).await?;
            check_etag(&locked, etag)?;
            let rules = rules(writer, &locked.document_type).await?;
            let to = step.from(locked.state, &rules)?;
            if step == Step::Approve && rules.four_eyes && actor == locked.created_by {
                return Err(Error::SelfApproval);
            }
            let approved_by = (step == Step::Approve).then_some(actor.as_str());
            let numbers = (locked.state as i16, to as i16);
            writer.query(&RECORD_TRANSITION, &[&document_id, &numbers.0, &numbers.1, &actor, &comment]).await?;
            let rows = writer.query(&STEP, &[&document_id, &numbers.1, &approved_by]).await?;
            rows.first().map_or(Err(Error::DocumentNotFound), |row| row::document(row, 0))
        })
    })
    .await
}

/// A page of a document's history, oldest first, and whether there is more.
pub async fn transitions(
    session: &mut Session,
    document_id: DocumentId,
    window: &Window,
) -> Result<(Vec<Transition>, bool)> {
    let after = match window.after.as_ref().map(|cursor| &cursor.key) {
        Some(CursorKey::Number(number)) => *number,
        Some(CursorKey::Text(_) | CursorKey::Score(_)) | None => 0,
    };
    let wanted = i64::try_from(window.size + 1).unwrap_or(i64::MAX);
    let rows = session.read(&TRANSITIONS, &[&document_id, &after, &wanted]).await?;
    if !rows.first().is_some_and(|row| row.get(1)) {
        return Err(Error::DocumentNotFound);
    }
    let mut steps = Vec::with_capacity(rows.len());
    for row in &rows {
        let Some(number) = row.get(2) else { continue };
        steps.push(Transition {
            number,
            from: row::state(row, 3)?,
            to: row::state(row, 4)?,
            actor: row.get(5),
            comment: row.get(6),
            create_time: row.get(7),
        });
    }
    let more = steps.len() > window.size;
    steps.truncate(window.size);
    Ok((steps, more))
}
