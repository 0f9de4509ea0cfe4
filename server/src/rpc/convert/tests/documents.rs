//! What a document may say, and how a stored one is told.

use std::time::{Duration, UNIX_EPOCH};

use prost_types::Timestamp;
use uuid::Uuid;

use super::*;
use crate::domain::{
    SolutionId,
    document::{Confidentiality, Content, Declared, Deletion, Document, Draft, State},
};

#[test]
fn output_fields_are_ignored_and_defaults_filled_in() {
    let mut sent = document();
    sent.solution = "acme".to_owned();
    sent.document_id = "not looked at".to_owned();
    sent.state = 77;
    sent.etag = "x".repeat(1_000);
    sent.create_time = Some(Timestamp { seconds: i64::MAX, nanos: -1 });
    let request = create(create_request(sent), &naming()).unwrap();
    let draft = Draft {
        name: "INV-1".to_owned(),
        title: "Invoice".to_owned(),
        description: String::new(),
        document_type: "general".to_owned(),
        category: String::new(),
        tags: Vec::new(),
        confidentiality: Confidentiality::Internal,
        metadata: None,
        expire_time: None,
    };
    assert_eq!(request.what.draft, draft);
    assert_eq!((request.what.document_id, request.repeat, request.actor, request.database), (None, None, None, None));
}

#[test]
fn names_and_titles_are_one_visible_line() {
    let long = "ж".repeat(255);
    for good in ["a", " a ", long.as_str(), "مرحبا", "👩‍👩‍👧", "'; DROP TABLE x; --", "<script>", "e\u{301}", "a\u{200f}b"]
    {
        assert!(is_taken("name", |document| document.name = good.to_owned()), "{good:?}");
        assert!(is_taken("title", |document| document.title = good.to_owned()), "{good:?}");
    }
    let long = "ж".repeat(256);
    for bad in [
        "",
        " ",
        "\u{a0}",
        "\u{200b}\u{feff}",
        "\u{2060} \u{ad}",
        "a\0",
        "a\nb",
        "a\tb",
        "a\u{85}b",
        "a\u{7f}",
        "\u{202e}a",
        "a\u{2066}",
        "a\u{2028}b",
        long.as_str(),
    ] {
        assert!(!is_taken("name", |document| document.name = bad.to_owned()), "{bad:?}");
        assert!(!is_taken("title", |document| document.title = bad.to_owned()), "{bad:?}");
    }
}

#[test]
fn the_other_texts_of_a_document_have_their_rules() {
    let description = |text: String| is_taken("description", |document| document.description = text);
    assert!(description("two\nlines\twith\r\ntabs".to_owned()) && description("x".repeat(16_384)));
    assert!(!description("x".repeat(16_385)) && !description("ж".repeat(8_193)) && !description("\0".to_owned()));

    let document_type = |text: &str| is_taken("document_type", |document| document.document_type = text.to_owned());
    assert!(document_type("") && document_type("invoice_2") && document_type(&"a".repeat(50)));
    for bad in ["Invoice", "a-b", " a", "é", "a b", &"a".repeat(51)] {
        assert!(!document_type(bad), "{bad:?}");
    }

    let category = |text: &str| is_taken("category", |document| document.category = text.to_owned());
    let (part, parts) = ("ж".repeat(100), ["ж".repeat(100), "ж".repeat(100), "ж".repeat(53)].join("/"));
    for good in ["", "finance", "finance/invoices", "a/b/c/d/e/f/g/h", "..", "a b", &part, &parts] {
        assert!(category(good), "{good:?}");
    }
    let (part, parts) = ("ж".repeat(101), ["ж".repeat(100), "ж".repeat(100), "ж".repeat(54)].join("/"));
    for bad in ["/", "/a", "a/", "a//b", "a/b/c/d/e/f/g/h/i", "a\0", "a/\n", "a/\u{202e}", &part, &parts] {
        assert!(!category(bad), "{bad:?}");
    }
}

#[test]
fn tags_are_few_distinct_and_sorted_by_code_point() {
    let tags =
        |tags: &[&str]| is_taken("tags", |document| document.tags = tags.iter().map(|tag| (*tag).into()).collect());
    let many: Vec<String> = (0..65).map(|number| number.to_string()).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    assert!(tags(&many[..64]) && tags(&[&"ж".repeat(100)]));
    assert!(!tags(&many) && !tags(&[""]) && !tags(&["a", "b", "a"]) && !tags(&["a\0"]) && !tags(&[&"ж".repeat(101)]));

    let mut sent = document();
    sent.tags = ["ü", "b", "B", "😀", "\u{ffff}"].map(str::to_owned).to_vec();
    let request = create(create_request(sent), &naming()).unwrap();
    assert_eq!(request.what.draft.tags, ["B", "b", "ü", "\u{ffff}", "😀"]);

    let mut sent = document();
    sent.tags = ["a", "", "b", "c\n"].map(str::to_owned).to_vec();
    assert_eq!(told(create(create_request(sent), &naming())).1, ["document.tags[1]", "document.tags[3]"]);
}

#[test]
fn times_are_kept_to_the_microsecond() {
    let expiry = |seconds, nanos| {
        let mut sent = document();
        sent.expire_time = Some(Timestamp { seconds, nanos });
        create(create_request(sent), &naming()).map(|request| request.what.draft.expire_time.unwrap())
    };
    assert_eq!(expiry(1, 1_999).unwrap(), UNIX_EPOCH + Duration::from_micros(1_000_001));
    assert_eq!(expiry(-1, 999_999_999).unwrap(), UNIX_EPOCH - Duration::from_micros(1));
    for seconds in [-62_135_596_800, 253_402_300_799] {
        let time = Timestamp::from(expiry(seconds, 999_999_000).unwrap());
        assert_eq!(time, Timestamp { seconds, nanos: 999_999_000 });
    }
    for (seconds, nanos) in [
        (-62_135_596_801, 0),
        (253_402_300_800, 0),
        (0, -1),
        (0, 1_000_000_000),
        (i64::MIN, i32::MIN),
        (i64::MAX, i32::MAX),
    ] {
        assert_eq!(told(expiry(seconds, nanos)).1, ["document.expire_time"]);
    }
}

#[test]
fn a_stored_document_is_told_whole() {
    let stored = Document {
        document_id: Uuid::parse_str(ID).unwrap(),
        draft: create(create_request(super::document()), &naming()).unwrap().what.draft,
        state: State::Approved,
        etag: Uuid::from_u128(7),
        created_by: "ann".to_owned(),
        approved_by: "bob".to_owned(),
        create_time: UNIX_EPOCH,
        update_time: UNIX_EPOCH + Duration::from_micros(1),
        deletion: Some(Deletion { delete_time: UNIX_EPOCH, purge_time: UNIX_EPOCH + Duration::from_secs(9) }),
        content: Some(Content {
            content_id: Uuid::from_u128(8),
            generation: 3,
            declared: Declared {
                filename: "a.pdf".to_owned(),
                media_type: "application/pdf".to_owned(),
                size: 9,
                sha256: [5; 32],
            },
        }),
    };
    let solution = SolutionId::parse("acme").unwrap();
    let told = super::super::document(stored.clone(), &solution, "djo_acme_db");
    let mut expected = super::document();
    expected.document_id = ID.to_owned();
    expected.solution = "acme".to_owned();
    expected.document_type = "general".to_owned();
    expected.confidentiality = proto::Confidentiality::Internal.into();
    expected.state = proto::document::State::Approved.into();
    expected.etag = "00000000000000000000000000000007".to_owned();
    expected.created_by = "ann".to_owned();
    expected.approved_by = "bob".to_owned();
    expected.create_time = Some(Timestamp { seconds: 0, nanos: 0 });
    expected.update_time = Some(Timestamp { seconds: 0, nanos: 1_000 });
    expected.delete_time = Some(Timestamp { seconds: 0, nanos: 0 });
    expected.purge_time = Some(Timestamp { seconds: 9, nanos: 0 });
    expected.solution_db = "djo_acme_db".to_owned();
    expected.content = Some(proto::Content {
        filename: "a.pdf".to_owned(),
        media_type: "application/pdf".to_owned(),
        size_bytes: 9,
        sha256: vec![5; 32],
        generation: 3,
    });
    assert_eq!(told, expected);
    let live = super::super::document(Document { deletion: None, content: None, ..stored }, &solution, "");
    assert_eq!((live.delete_time, live.purge_time, live.content, live.solution_db), (None, None, None, String::new()));
}

#[test]
fn the_stored_numbers_are_those_of_the_contract() {
    for number in -1..9_i16 {
        let ours = State::from_number(number).map(State::as_str);
        let contract = proto::document::State::try_from(i32::from(number)).ok().map(|state| state.as_str_name());
        assert_eq!(ours, contract.and_then(|name| name.strip_prefix("STATE_")).filter(|name| *name != "UNSPECIFIED"));
        let ours = Confidentiality::from_number(number).map(|value| format!("{value:?}").to_uppercase());
        let contract = proto::Confidentiality::try_from(i32::from(number)).ok().map(|value| value.as_str_name());
        let contract = contract.and_then(|name| name.strip_prefix("CONFIDENTIALITY_"));
        assert_eq!(ours.as_deref(), contract.filter(|name| *name != "UNSPECIFIED"));
    }
}
