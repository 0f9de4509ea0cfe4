//! Content: the header of an upload, a download, and what a document says of its file.

use fbs_router_proto::document::v1::{self as proto, upload_content_request::Header};

use super::{
    envelope::envelope,
    fields::{self, Kind, LINE_CHARACTERS, Line, Problem, Violations},
};
use crate::domain::{
    Error, Naming, Result,
    document::{Content, Declared},
    request::{Command, Download, Query, Upload},
};

/// Longest media type, with its parameters.
const MEDIA_TYPE_BYTES: usize = 255;

/// The header of `UploadContent`. `most`: the server's limit in bytes.
pub fn upload(mut header: Header, naming: &Naming, most: u64) -> Result<Command<Upload>> {
    let mut violations = Violations::default();
    let envelope = envelope!(violations, naming, "UploadContent", header);
    let document_id = violations.take(Kind::Field, "document_id", fields::uuid(&header.document_id));
    let declared = match header.content {
        Some(content) => declared(&mut violations, content),
        None => {
            violations.add(Kind::Field, "content", "must be given");
            None
        }
    };
    let etag = violations.take(Kind::Field, "etag", fields::etag(&header.etag));
    let read = || Some(Upload { document_id: document_id?, declared: declared?, etag: etag? });
    let command = envelope.command(violations, read()).map_err(|error| error.inside("header"))?;
    if command.what.declared.size > most {
        return Err(Error::ContentInvalid {
            field: "header.content.size_bytes",
            what: "it is larger than this server takes",
        });
    }
    Ok(command)
}

/// `DownloadContent`.
pub fn download(request: proto::DownloadContentRequest, naming: &Naming) -> Result<Query<Download>> {
    let mut violations = Violations::default();
    let addressee = violations.addressee(naming, &request.solution, request.database);
    let document_id = violations.take(Kind::Field, "document_id", fields::uuid(&request.document_id));
    let offset = violations.take(Kind::Field, "offset", not_negative(request.offset));
    let generation = violations.take(Kind::Field, "generation", not_negative(request.generation));
    let generation = generation.map(|number| (number > 0).then_some(request.generation));
    let read = || Some(Download { document_id: document_id?, offset: offset?, generation: generation? });
    addressee.query(violations, read())
}

/// What a document says of its file.
pub fn message(content: Content) -> proto::Content {
    let Content { generation, declared, content_id: _ } = content;
    proto::Content {
        filename: declared.filename,
        media_type: declared.media_type,
        size_bytes: i64::try_from(declared.size).unwrap_or(i64::MAX),
        sha256: declared.sha256.to_vec(),
        generation,
    }
}

fn declared(violations: &mut Violations, content: proto::Content) -> Option<Declared> {
    let field = Kind::Field;
    let filename = violations.take(field, "content.filename", filename(content.filename));
    let media_type = violations.take(field, "content.media_type", media_type(content.media_type));
    let size = violations.take(field, "content.size_bytes", not_negative(content.size_bytes));
    let sha256 = <[u8; 32]>::try_from(content.sha256).map_err(|_| "must be 32 bytes".into());
    let sha256 = violations.take(field, "content.sha256", sha256);
    Some(Declared { filename: filename?, media_type: media_type?, size: size?, sha256: sha256? })
}

/// Data, never a path; still nothing that some other program might take for one.
fn filename(text: String) -> Result<String, Problem> {
    let text = fields::line(text, Line { most: LINE_CHARACTERS, visible: true })?;
    if text.contains(['/', '\\']) {
        return Err("must not contain a separator".into());
    }
    if text == "." || text == ".." {
        return Err("must not name a folder".into());
    }
    Ok(text)
}

/// `type/subtype` of RFC 6838, with or without parameters; these are not looked into.
fn media_type(text: String) -> Result<String, Problem> {
    const WRONG: Problem = Problem::Borrowed("must be a media type such as application/pdf");
    if text.is_empty() {
        return Err("must be given".into());
    }
    if text.len() > MEDIA_TYPE_BYTES || !text.bytes().all(|byte| (b' '..=b'~').contains(&byte)) {
        return Err(WRONG);
    }
    let whole = text.split_once(';').map_or(text.as_str(), |(whole, _)| whole).trim_end();
    let word = |part: &str| {
        !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"!#$&-^_.+".contains(&byte))
    };
    match whole.split_once('/') {
        Some((top, sub)) if word(top) && word(sub) => Ok(text),
        Some(_) | None => Err(WRONG),
    }
}

fn not_negative(number: i64) -> Result<u64, Problem> {
    u64::try_from(number).map_err(|_| "must not be negative".into())
}
