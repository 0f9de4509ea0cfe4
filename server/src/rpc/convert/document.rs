//! Documents: what a caller says becomes a [`Draft`] or a [`Patch`], what is stored becomes the contract's message.
//!
//! OUTPUT fields of a request are not read. A draft is read whole, a patch only where the mask names it.

use std::{
    collections::HashSet,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use fbs_router_proto::document::v1 as proto;
use prost_types::{Struct, Timestamp};
use serde_json::Value;

use super::{
    fields::{Kind, LINE_CHARACTERS, Line, Problem, Violations, line, optional, text, uuid},
    json,
    mask::Path,
};
use crate::domain::{
    SolutionId,
    document::{Confidentiality, Document, Draft, Patch},
    request::Creation,
};

/// Longest description, in bytes.
const DESCRIPTION_BYTES: usize = 16 * 1_024;
/// Longest code of a document type.
const TYPE_CHARACTERS: usize = 50;
/// The code of a document that names none.
const GENERAL: &str = "general";
/// Deepest category.
const CATEGORY_PARTS: usize = 8;
/// Longest tag and longest part of a category, in characters.
const PART_CHARACTERS: usize = 100;
/// Most tags of a document.
const MOST_TAGS: usize = 64;
/// Seconds of 0001-01-01T00:00:00Z and 9999-12-31T23:59:59Z, the years that protobuf allows.
const SECONDS: std::ops::RangeInclusive<i64> = -62_135_596_800..=253_402_300_799;

/// Postgres keeps microseconds. A stored time is cut, as clocks do; a bound of a filter goes up, which is exact: no
/// stored time lies between the bound and the next microsecond.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Rounding {
    Down,
    Up,
}

/// A whole new document.
pub(super) fn draft(violations: &mut Violations, document: proto::Document) -> Option<Draft> {
    let field = Kind::Field;
    // Each is read even if one before it is wrong, so that all violations are found.
    let name = violations.take(field, "document.name", heading(document.name));
    let title = violations.take(field, "document.title", heading(document.title));
    let description = violations.take(field, "document.description", description(document.description));
    let document_type = match document.document_type {
        code if code.is_empty() => Some(GENERAL.to_owned()),
        code => violations.take(field, "document.document_type", document_type(code)),
    };
    let category = violations.take(field, "document.category", category(document.category));
    let tags = document_tags(violations, document.tags);
    let confidentiality = violations.take(field, "document.confidentiality", confidentiality(document.confidentiality));
    let metadata = violations.take(field, "document.metadata", metadata(document.metadata));
    let expire_time = violations.take(field, "document.expire_time", expire_time(document.expire_time));
    Some(Draft {
        name: name?,
        title: title?,
        description: description?,
        document_type: document_type?,
        category: category?,
        tags: tags?,
        confidentiality: confidentiality?,
        metadata: metadata?,
        expire_time: expire_time?,
    })
}

/// A new document of `solution`, with or without an id.
pub(super) fn creation(
    violations: &mut Violations,
    document_id: String,
    document: Option<proto::Document>,
    solution: &str,
) -> Option<Creation> {
    let document_id = optional(document_id, |text| uuid(&text));
    let document_id = violations.take(Kind::Field, "document_id", document_id);
    let draft = match document {
        Some(document) => {
            same_solution(violations, &document, solution);
            draft(violations, document)
        }
        None => {
            violations.add(Kind::Field, "document", "must be given");
            None
        }
    };
    Some(Creation { document_id: document_id?, draft: draft? })
}

/// New values of the named fields.
pub(super) fn patch(violations: &mut Violations, document: proto::Document, named: &[Path]) -> Patch {
    let mut document = document;
    let mut patch = Patch::default();
    for path in named {
        let place = format!("document.{}", path.as_str());
        match path {
            Path::Name => {
                patch.name = violations.take(Kind::Field, &place, heading(std::mem::take(&mut document.name)))
            }
            Path::Title => {
                patch.title = violations.take(Kind::Field, &place, heading(std::mem::take(&mut document.title)));
            }
            Path::Description => {
                let text = std::mem::take(&mut document.description);
                patch.description = violations.take(Kind::Field, &place, description(text));
            }
            Path::Category => {
                patch.category = violations.take(Kind::Field, &place, category(std::mem::take(&mut document.category)));
            }
            Path::Tags => patch.tags = document_tags(violations, std::mem::take(&mut document.tags)),
            Path::Confidentiality => {
                patch.confidentiality = violations.take(Kind::Field, &place, confidentiality(document.confidentiality));
            }
            Path::Metadata => {
                patch.metadata = violations.take(Kind::Field, &place, metadata(document.metadata.take()));
            }
            Path::ExpireTime => {
                patch.expire_time = violations.take(Kind::Field, &place, expire_time(document.expire_time));
            }
        }
    }
    patch
}

/// The solution that a document in a request names: none, or the request's.
pub(super) fn same_solution(violations: &mut Violations, document: &proto::Document, solution: &str) {
    if !document.solution.is_empty() && document.solution != solution {
        violations.add(Kind::Field, "document.solution", "must be empty or the solution of the request");
    }
}

/// A name or a title.
fn heading(text: String) -> Result<String, Problem> {
    line(text, Line { most: LINE_CHARACTERS, visible: true })
}

fn description(description: String) -> Result<String, Problem> {
    text(description, DESCRIPTION_BYTES)
}

/// The code of a document type.
pub(super) fn document_type(code: String) -> Result<String, Problem> {
    let letter = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
    if (1..=TYPE_CHARACTERS).contains(&code.len()) && code.bytes().all(letter) {
        Ok(code)
    } else {
        Err("must match [a-z0-9_]{1,50}".into())
    }
}

/// A category, possibly empty.
pub(super) fn category(path: String) -> Result<String, Problem> {
    if path.is_empty() {
        return Ok(path);
    }
    let path = line(path, Line { most: LINE_CHARACTERS, visible: false })?;
    if path.split('/').count() > CATEGORY_PARTS {
        return Err(format!("must have at most {CATEGORY_PARTS} parts").into());
    }
    for part in path.split('/') {
        if part.is_empty() {
            return Err("must not have an empty part: neither begin nor end with / nor contain //".into());
        }
        if part.chars().count() > PART_CHARACTERS {
            return Err(format!("must have parts of at most {PART_CHARACTERS} characters").into());
        }
    }
    Ok(path)
}

/// One tag.
pub(super) fn tag(text: String) -> Result<String, Problem> {
    line(text, Line { most: PART_CHARACTERS, visible: false })
}

fn document_tags(violations: &mut Violations, tags: Vec<String>) -> Option<Vec<String>> {
    let mut tags = violations.each((Kind::Field, "document.tags", MOST_TAGS), tags, tag)?;
    let mut seen = HashSet::new();
    let twice: Vec<usize> = (0..tags.len()).filter(|index| !seen.insert(tags[*index].as_str())).collect();
    for index in &twice {
        violations.add(Kind::Field, format!("document.tags[{index}]"), "is there twice");
    }
    if !twice.is_empty() {
        return None;
    }
    // UTF-8 sorts by code point.
    tags.sort_unstable();
    Some(tags)
}

/// How confidential; unspecified means internal.
pub(super) fn confidentiality(number: i32) -> Result<Confidentiality, Problem> {
    match proto::Confidentiality::try_from(number) {
        Ok(proto::Confidentiality::Public) => Ok(Confidentiality::Public),
        Ok(proto::Confidentiality::Unspecified | proto::Confidentiality::Internal) => Ok(Confidentiality::Internal),
        Ok(proto::Confidentiality::Confidential) => Ok(Confidentiality::Confidential),
        Err(_) => Err("must be a Confidentiality that this server knows".into()),
    }
}

fn metadata(fields: Option<Struct>) -> Result<Option<Value>, Problem> {
    fields.map(json::from_struct).transpose()
}

fn expire_time(time_given: Option<Timestamp>) -> Result<Option<SystemTime>, Problem> {
    time_given.map(|timestamp| time(timestamp, Rounding::Down)).transpose()
}

/// A time, as precise as Postgres keeps it.
pub(super) fn time(timestamp: Timestamp, rounding: Rounding) -> Result<SystemTime, Problem> {
    let nanos = u32::try_from(timestamp.nanos).ok().filter(|nanos| *nanos < 1_000_000_000);
    let (true, Some(nanos)) = (SECONDS.contains(&timestamp.seconds), nanos) else {
        return Err("must be a time in the years 0001 to 9999 with nanos from 0 to 999999999".into());
    };
    let micros = match rounding {
        Rounding::Down => nanos / 1_000,
        Rounding::Up => nanos.div_ceil(1_000),
    };
    let seconds = Duration::from_secs(timestamp.seconds.unsigned_abs());
    let whole = if timestamp.seconds < 0 { UNIX_EPOCH.checked_sub(seconds) } else { UNIX_EPOCH.checked_add(seconds) };
    whole
        .and_then(|time| time.checked_add(Duration::from_micros(micros.into())))
        .ok_or_else(|| "must be a time that this server can represent".into())
}

/// The message of a stored document. `solution_db`: the solution's own database, empty while it has none.
pub fn document(document: Document, solution: &SolutionId, solution_db: &str) -> proto::Document {
    let Document {
        document_id,
        draft,
        state,
        etag,
        created_by,
        approved_by,
        create_time,
        update_time,
        deletion,
        content,
    } = document;
    proto::Document {
        document_id: document_id.as_hyphenated().to_string(),
        solution: solution.as_str().to_owned(),
        name: draft.name,
        title: draft.title,
        description: draft.description,
        document_type: draft.document_type,
        category: draft.category,
        tags: draft.tags,
        // The stored numbers are the contract's; a test compares them.
        confidentiality: draft.confidentiality as i32,
        metadata: draft.metadata.map(json::to_struct),
        expire_time: draft.expire_time.map(Timestamp::from),
        state: state as i32,
        etag: etag.as_simple().to_string(),
        created_by,
        approved_by,
        create_time: Some(Timestamp::from(create_time)),
        update_time: Some(Timestamp::from(update_time)),
        delete_time: deletion.map(|deletion| Timestamp::from(deletion.delete_time)),
        purge_time: deletion.map(|deletion| Timestamp::from(deletion.purge_time)),
        content: content.map(super::content::message),
        solution_db: solution_db.to_owned(),
    }
}
