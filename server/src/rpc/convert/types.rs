//! Document types.

use std::{collections::HashSet, mem, time::SystemTime};

use fbs_router_proto::document::v1 as proto;

use super::{
    document,
    envelope::envelope,
    fields::{self, Kind, Line, Problem, Violations},
    filter,
};
use crate::{
    domain::{
        Error, Naming, Result,
        document::CursorKey,
        request::{Command, Query, Window},
        workflow::{DocumentType, Rules},
    },
    rpc::tokens::{Scope, Tokens},
};

/// Longest name.
const NAME_CHARACTERS: usize = 100;
/// Longest description.
const DESCRIPTION_CHARACTERS: usize = 2_000;
/// Most extensions, and the longest.
const EXTENSIONS: usize = 32;
const EXTENSION_CHARACTERS: usize = 16;

/// `PutDocumentType`.
pub fn put_type(mut request: proto::PutDocumentTypeRequest, naming: &Naming) -> Result<Command<DocumentType>> {
    let mut violations = Violations::default();
    let envelope = envelope!(violations, naming, "PutDocumentType", request);
    let read = match request.document_type {
        Some(given) => read(&mut violations, given),
        None => {
            violations.add(Kind::Field, "document_type", "must be given");
            None
        }
    };
    envelope.command(violations, read)
}

fn read(violations: &mut Violations, given: proto::DocumentType) -> Option<DocumentType> {
    let field = Kind::Field;
    let code = violations.take(field, "document_type.code", document::document_type(given.code));
    let name = fields::line(given.name, Line { most: NAME_CHARACTERS, visible: true });
    let name = violations.take(field, "document_type.name", name);
    let description = violations.take(field, "document_type.description", description(given.description));
    let extensions = (field, "document_type.allowed_extensions", EXTENSIONS);
    let allowed_extensions = violations.each(extensions, given.allowed_extensions, extension).and_then(|read| {
        let distinct: HashSet<&str> = read.iter().map(String::as_str).collect();
        if distinct.len() == read.len() {
            return Some(read);
        }
        violations.add(field, "document_type.allowed_extensions", "must not name an extension twice");
        None
    });
    let most = u64::try_from(given.max_content_size_bytes).map_err(|_| "must not be negative".into());
    let most = violations.take(field, "document_type.max_content_size_bytes", most);
    let rules = || {
        Some(Rules {
            requires_approval: given.requires_approval,
            four_eyes: given.four_eyes,
            allowed_extensions: allowed_extensions?,
            max_content_size: most.map(|most| (most > 0).then_some(most))?,
        })
    };
    Some(DocumentType { rules: rules()?, code: code?, name: name?, description: description? })
}

fn description(text: String) -> Result<String, Problem> {
    let text = fields::text(text, DESCRIPTION_CHARACTERS * 4)?;
    if text.chars().count() > DESCRIPTION_CHARACTERS {
        return Err(format!("must be at most {DESCRIPTION_CHARACTERS} characters").into());
    }
    Ok(text)
}

fn extension(text: String) -> Result<String, Problem> {
    let letter = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    if (1..=EXTENSION_CHARACTERS).contains(&text.len()) && text.bytes().all(letter) {
        Ok(text)
    } else {
        Err("must match [a-z0-9]{1,16}: lower case, without the dot".into())
    }
}

/// `ListDocumentTypes`. The scope seals the token of the next page.
pub fn types(
    mut request: proto::ListDocumentTypesRequest,
    naming: &Naming,
    tokens: &Tokens,
    now: SystemTime,
) -> Result<(Query<Window>, Scope)> {
    let page_size = mem::take(&mut request.page_size);
    let page_token = mem::take(&mut request.page_token);
    let scope = Scope::new("ListDocumentTypes", &request.solution, &request);

    let mut violations = Violations::default();
    let addressee = violations.addressee(naming, &request.solution, request.database);
    let size = violations.take(Kind::Field, "page_size", filter::page_size(page_size, filter::DOCUMENTS));
    let mut query = addressee.query(violations, size.map(|size| Window { size, after: None }))?;
    if !page_token.is_empty() {
        let cursor = tokens.open(&scope, &page_token, now)?;
        match cursor.key {
            CursorKey::Text(_) => query.what.after = Some(cursor),
            CursorKey::Number(_) | CursorKey::Score(_) => return Err(Error::PageTokenInvalid("for another request")),
        }
    }
    Ok((query, scope))
}

/// The message of a stored type.
pub fn document_type(stored: DocumentType) -> proto::DocumentType {
    let DocumentType { code, name, description, rules } = stored;
    proto::DocumentType {
        code,
        name,
        description,
        requires_approval: rules.requires_approval,
        four_eyes: rules.four_eyes,
        allowed_extensions: rules.allowed_extensions,
        max_content_size_bytes: rules.max_content_size.map_or(0, |most| i64::try_from(most).unwrap_or(i64::MAX)),
    }
}
