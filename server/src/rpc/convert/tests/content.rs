//! What an upload may say of its content, and what a download may ask.

use fbs_router_proto::document::v1::upload_content_request::Header;

use super::*;

fn header(change: impl FnOnce(&mut proto::Content)) -> Header {
    let mut content = proto::Content {
        filename: "invoice.pdf".to_owned(),
        media_type: "application/pdf".to_owned(),
        size_bytes: 10,
        sha256: vec![1; 32],
        generation: 0,
    };
    change(&mut content);
    Header { solution: "acme".to_owned(), document_id: ID.to_owned(), content: Some(content), ..Default::default() }
}

#[test]
fn a_file_name_is_data_and_never_a_path() {
    let long = "x".repeat(255);
    for good in ["a", "invoice.pdf", "Rechnung Ü 2026 (1).tar.gz", ".profile", "...", long.as_str()] {
        let asked = upload(header(|content| content.filename = good.to_owned()), &naming(), 10).unwrap();
        assert_eq!(asked.what.declared.filename, good);
    }
    let longer = "x".repeat(256);
    let bad =
        ["", " ", ".", "..", "../x", "a/b", "a\\b", "/etc/passwd", "a\0b", "a\nb", "a\u{202e}fdp.exe", longer.as_str()];
    for bad in bad {
        let refused = told(upload(header(|content| content.filename = bad.to_owned()), &naming(), 10));
        assert_eq!(refused, ("FIELD_INVALID", vec!["header.content.filename".to_owned()]), "{bad:?}");
    }
}

#[test]
fn a_media_type_is_one() {
    for good in
        ["application/pdf", "text/plain; charset=utf-8", "application/vnd.oasis.opendocument.text", "image/svg+xml"]
    {
        assert!(upload(header(|content| content.media_type = good.to_owned()), &naming(), 10).is_ok(), "{good}");
    }
    let long = format!("text/{}", "x".repeat(251));
    for bad in
        ["", "pdf", "text/", "/plain", "text/pl ain", "text/html\r\nX: y", "text/plain\0", "téxt/plain", "a/b/c", &long]
    {
        let refused = told(upload(header(|content| content.media_type = bad.to_owned()), &naming(), 10));
        assert_eq!(refused, ("FIELD_INVALID", vec!["header.content.media_type".to_owned()]), "{bad:?}");
    }
}

#[test]
fn size_and_digest_are_declared_exactly() {
    for (size, taken) in [(0, true), (10, true), (-1, false), (i64::MIN, false)] {
        let asked = upload(header(|content| content.size_bytes = size), &naming(), 10);
        assert_eq!(asked.is_ok(), taken, "{size}");
    }
    let large = upload(header(|content| content.size_bytes = 11), &naming(), 10);
    assert!(matches!(large, Err(Error::ContentInvalid { field: "header.content.size_bytes", .. })));
    for length in [0, 31, 33] {
        let refused = told(upload(header(|content| content.sha256 = vec![0; length]), &naming(), 10));
        assert_eq!(refused.1, ["header.content.sha256"]);
    }
}

#[test]
fn everything_wrong_with_a_header_is_said_at_once() {
    let wrong = Header { solution: "Acme".to_owned(), actor: "a\nb".to_owned(), ..Default::default() };
    let (kind, fields) = told(upload(wrong, &naming(), 10));
    assert_eq!(kind, "SOLUTION_INVALID");
    assert_eq!(fields, ["header.solution", "header.actor", "header.document_id", "header.content"]);
}

#[test]
fn a_download_begins_somewhere_and_may_insist_on_a_generation() {
    let asked = |offset, generation| {
        let request = proto::DownloadContentRequest {
            solution: "acme".to_owned(),
            document_id: ID.to_owned(),
            offset,
            generation,
            database: String::new(),
        };
        download(request, &naming()).map(|query| (query.what.offset, query.what.generation))
    };
    assert_eq!(asked(0, 0).unwrap(), (0, None));
    assert_eq!(asked(i64::MAX, 7).unwrap(), (i64::MAX.unsigned_abs(), Some(7)));
    assert_eq!(told(asked(-1, -1)).1, ["offset", "generation"]);
}
