//! Document types: the rules of a solution for documents of one kind.

use super::{
    mutation::{Change, Mutation, mutate},
    row,
    statements::{PUT_TYPE, READ_TYPE, TYPES},
};
use crate::{
    domain::{Error, Result, document::CursorKey, request::Window, workflow::DocumentType},
    routing::Session,
};

/// Defines or replaces a type. Documents that exist follow the new rules from their next step on.
pub async fn put_type(
    session: &mut Session,
    mutation: Mutation,
    document_type: DocumentType,
) -> Result<Change<DocumentType>> {
    let code = document_type.code.clone();
    mutate(
        session,
        mutation,
        Vec::new(),
        move |writer, _| {
            let DocumentType { code, name, description, rules } = document_type.clone();
            Box::pin(async move {
                let most = rules.max_content_size.map_or(0, |most| i64::try_from(most).unwrap_or(i64::MAX));
                let rows = writer
                    .query(
                        &PUT_TYPE,
                        &[
                            &code,
                            &name,
                            &description,
                            &rules.requires_approval,
                            &rules.allowed_extensions,
                            &most,
                            &rules.four_eyes,
                        ],
                    )
                    .await?;
                rows.first()
                    .map_or(Err(Error::internal("a type that was not stored")), |row| row::document_type(row, 0))
            })
        },
        move |writer, _| {
            let code = code.clone();
            Box::pin(async move {
                let rows = writer.query(&READ_TYPE, &[&code]).await?;
                rows.first().map_or(Err(Error::internal("a stored type is gone")), |row| row::document_type(row, 0))
            })
        },
    )
    .await
}

/// A page of the solution's types, by code, and whether there is more.
pub async fn types(session: &mut Session, window: &Window) -> Result<(Vec<DocumentType>, bool)> {
    let after = match window.after.as_ref().map(|cursor| &cursor.key) {
        Some(CursorKey::Text(code)) => code.as_str(),
        Some(CursorKey::Number(_) | CursorKey::Score(_)) | None => "",
    };
    let wanted = i64::try_from(window.size + 1).unwrap_or(i64::MAX);
    let rows = session.read(&TYPES, &[&after, &wanted]).await?;
    let found = rows.iter().filter(|row| row.get::<_, Option<&str>>(1).is_some());
    let mut types = found.map(|row| row::document_type(row, 1)).collect::<Result<Vec<_>>>()?;
    let more = types.len() > window.size;
    types.truncate(window.size);
    Ok((types, more))
}
