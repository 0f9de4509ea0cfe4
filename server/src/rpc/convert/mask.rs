//! Update masks: which fields of a document a caller may change, and which it names.

use prost_types::FieldMask;

use super::fields::{Kind, Problem, Violations};

/// A field that may be changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Path {
    Name,
    Title,
    Description,
    Category,
    Tags,
    Confidentiality,
    Metadata,
    ExpireTime,
}

const PATHS: [Path; 8] = [
    Path::Name,
    Path::Title,
    Path::Description,
    Path::Category,
    Path::Tags,
    Path::Confidentiality,
    Path::Metadata,
    Path::ExpireTime,
];

/// Most paths that are looked at; a document has fewer fields.
const MOST_PATHS: usize = 100;

/// What only the server sets.
const OUTPUT: [&str; 12] = [
    "document_id",
    "solution",
    "state",
    "etag",
    "created_by",
    "approved_by",
    "create_time",
    "update_time",
    "delete_time",
    "purge_time",
    "content",
    "solution_db",
];

/// What is said once, at creation.
const IMMUTABLE: &str = "document_type";

/// The named fields, each once. Whatever is wrong is a violation of `update_mask.paths[…]`.
pub(super) fn paths(violations: &mut Violations, mask: Option<FieldMask>) -> Vec<Path> {
    let given = mask.unwrap_or_default().paths;
    if given.is_empty() {
        violations.add(Kind::Mask, "update_mask", "must name at least one field");
    }
    let mut named = Vec::new();
    if given.len() > MOST_PATHS {
        violations.add(Kind::Mask, "update_mask", format!("must have at most {MOST_PATHS} paths"));
        return named;
    }
    for (index, text) in given.into_iter().enumerate() {
        let place = format!("update_mask.paths[{index}]");
        let Some(path) = violations.take(Kind::Mask, &place, path(&text)) else { continue };
        if named.contains(&path) {
            violations.add(Kind::Mask, place, "is there twice");
        } else {
            named.push(path);
        }
    }
    named
}

fn path(text: &str) -> Result<Path, Problem> {
    if let Some(path) = PATHS.into_iter().find(|path| path.as_str() == text) {
        return Ok(path);
    }
    let top = text.split_once('.').map_or(text, |(top, _)| top);
    Err(match text {
        "" => "must not be empty".into(),
        "*" => "must name fields one by one, not *".into(),
        IMMUTABLE => "cannot be changed after creation".into(),
        _ if OUTPUT.contains(&top) => "is set by the server alone".into(),
        _ if top != text => "must be a field of the top level, replaced whole".into(),
        _ => "is no field of Document, in snake_case".into(),
    })
}

// === impl Path ===

impl Path {
    /// As it stands in a mask.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Name => "name",
            Self::Title => "title",
            Self::Description => "description",
            Self::Category => "category",
            Self::Tags => "tags",
            Self::Confidentiality => "confidentiality",
            Self::Metadata => "metadata",
            Self::ExpireTime => "expire_time",
        }
    }
}

#[cfg(test)]
mod tests {
    use prost::Message;

    use super::*;
    use crate::domain::Error;

    fn read(paths_given: &[&str]) -> Result<Vec<Path>, Error> {
        let mut violations = Violations::default();
        let mask = FieldMask { paths: paths_given.iter().map(|path| (*path).to_owned()).collect() };
        let named = paths(&mut violations, Some(mask));
        violations.finish(Some(named))
    }

    #[test]
    fn every_field_of_a_document_is_changeable_immutable_or_output() {
        let set = prost_types::FileDescriptorSet::decode(fbs_router_proto::FILE_DESCRIPTOR_SET).unwrap();
        let file = set.file.iter().find(|file| file.package() == "fbs.document.v1").unwrap();
        let document = file.message_type.iter().find(|message| message.name() == "Document").unwrap();
        for field in document.field.iter().map(|field| field.name()) {
            let known = OUTPUT.contains(&field) || field == IMMUTABLE;
            assert_ne!(known, path(field).is_ok(), "{field}");
        }
        assert_eq!(document.field.len(), PATHS.len() + OUTPUT.len() + 1);
    }

    #[test]
    fn a_mask_names_changeable_fields_once_each() {
        assert_eq!(read(&["title", "metadata"]).unwrap(), [Path::Title, Path::Metadata]);
        let bad = ["title", "*", "", "state", "document_type", "metadata.a", "expireTime", "nothing", "title", "a..b"];
        let Err(Error::UpdateMaskInvalid(violations)) = read(&bad) else { panic!() };
        let fields: Vec<_> = violations.iter().map(|violation| violation.field.as_str()).collect();
        assert_eq!(fields.len(), 9);
        for (index, field) in fields.iter().enumerate() {
            assert_eq!(*field, format!("update_mask.paths[{}]", index + 1));
        }
    }

    #[test]
    fn a_mask_must_name_something() {
        assert!(matches!(read(&[]), Err(Error::UpdateMaskInvalid(_))));
        assert!(matches!(read(&["x"; 101]), Err(Error::UpdateMaskInvalid(violations)) if violations.len() == 1));
        let mut violations = Violations::default();
        paths(&mut violations, None);
        assert!(matches!(violations.finish(Some(())), Err(Error::UpdateMaskInvalid(_))));
    }
}
