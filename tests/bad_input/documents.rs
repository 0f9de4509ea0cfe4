//! Rows about one document: each is asked when it is created, alone and in a batch, and when it is changed.

use fbs_router_proto::document::v1::{CreateDocumentRequest, Document, UpdateDocumentRequest};
use prost_types::{ListValue, Struct, Timestamp, Value, value::Kind};

use super::{
    Row, invalid,
    scene::{Scene, ask, batch},
};
use crate::support::{
    asking::{change, creation, retitle},
    draft,
};

/// Times that are none, or that no calendar has.
pub(super) const TIMES: [(i64, i32); 6] =
    [(253_402_300_800, 0), (-62_135_596_801, 0), (0, -1), (0, 1_000_000_000), (i64::MAX, 0), (i64::MIN, i32::MIN)];

pub(super) fn metadata(kind: Kind) -> Document {
    Document { metadata: Some(one(Some(kind))), ..draft("N") }
}

/// Metadata with one value.
pub(super) fn one(kind: Option<Kind>) -> Struct {
    Struct { fields: [("k".to_owned(), Value { kind })].into() }
}

pub(super) fn nested_lists(levels: usize) -> Kind {
    let nest = |kind, _| Kind::ListValue(ListValue { values: vec![Value { kind: Some(kind) }] });
    (0..levels).fold(Kind::NullValue(0), nest)
}

pub(super) fn nested_objects(levels: usize) -> Kind {
    (0..levels).fold(Kind::NullValue(0), |kind, _| Kind::StructValue(one(Some(kind))))
}

/// Metadata that no document may have, each with its row.
pub(super) fn bad_metadata() -> Vec<(u32, Struct)> {
    let nul_key = Struct { fields: [("a\0b".to_owned(), Value { kind: Some(Kind::BoolValue(true)) })].into() };
    let many = (0..10_000).map(|number| (format!("{number:07}"), Value { kind: Some(Kind::NullValue(0)) }));
    vec![
        (23, one(Some(Kind::StringValue("a\0b".into())))),
        (23, nul_key),
        (24, one(Some(Kind::NumberValue(f64::NAN)))),
        (24, one(Some(Kind::NumberValue(f64::INFINITY)))),
        (24, one(Some(Kind::NumberValue(f64::NEG_INFINITY)))),
        (25, one(Some(nested_lists(32)))),
        (26, one(Some(Kind::StringValue("x".repeat(64 * 1_024))))),
        (26, Struct { fields: many.collect() }),
        (27, one(None)),
    ]
}

pub(super) fn rows(scene: &Scene) -> Vec<Row> {
    let mut rows = texts();
    rows.extend(values());
    rows.extend(masks(&scene.live));
    let missing = CreateDocumentRequest { document: None, ..creation("globex", draft("N")) };
    let mut many = batch(vec![draft("N")]);
    many.requests[0].document = None;
    let changed = UpdateDocumentRequest { document: None, ..retitle("globex", &scene.live.document_id, "T") };
    let asks = vec![ask(missing, &["document"]), ask(many, &["requests[0].document"]), ask(changed, &["document"])];
    rows.push(invalid(15, "FIELD_INVALID", asks));
    rows
}

/// A document that is wrong in these fields.
fn wrong(number: u32, fields: &[&str], document: Document) -> Row {
    let places: Vec<String> = fields.iter().map(|field| format!("document.{field}")).collect();
    let places: Vec<&str> = places.iter().map(String::as_str).collect();
    let batched: Vec<String> = places.iter().map(|place| format!("requests[1].{place}")).collect();
    let batched: Vec<&str> = batched.iter().map(String::as_str).collect();
    let mut asks = vec![
        ask(creation("globex", document.clone()), &places),
        ask(batch(vec![draft("N"), document.clone()]), &batched),
    ];
    // The same in a change as in a creation, where it can be changed at all.
    let mask = fields[0].split('[').next().unwrap();
    if mask != "solution" && mask != "document_type" {
        let id = "0190b0a0-0000-7000-8000-00000000dead";
        asks.push(ask(change("globex", id, document, &[mask]), &places));
    }
    invalid(number, "FIELD_INVALID", asks)
}

fn texts() -> Vec<Row> {
    let mut rows = vec![wrong(11, &["solution"], Document { solution: "acme_corp".into(), ..draft("N") })];
    let (long, wide) = ("x".repeat(256), "💾".repeat(256));
    let much = noise(12 * 1_024);
    let lines = [
        (15, ""),
        (15, "   "),
        (15, "\u{200b}\u{feff}\u{2060}"),
        (16, &long),
        (16, &wide),
        (17, "a\0b"),
        (18, "a\nb"),
        (18, "a\u{7f}"),
        (18, "a\u{85}"),
        (18, "\u{202e}a"),
        (18, "a\u{2066}"),
        (75, &much),
    ];
    for (number, text) in lines {
        rows.push(wrong(number, &["title"], Document { title: text.into(), ..draft("N") }));
        rows.push(wrong(number, &["name"], Document { name: text.into(), ..draft("N") }));
    }
    rows.push(wrong(16, &["description"], Document { description: "x".repeat(16 * 1_024 + 1), ..draft("N") }));
    rows.push(wrong(17, &["description"], Document { description: "a\0b".into(), ..draft("N") }));
    for bad in ["Invoice", "in-voice", "é", &"x".repeat(51)] {
        rows.push(wrong(34, &["document_type"], Document { document_type: bad.into(), ..draft("N") }));
    }
    let part = "x".repeat(101);
    let paths =
        [(16, "/a"), (16, "a/"), (16, "a//b"), (16, "a/b/c/d/e/f/g/h/i"), (16, &part), (17, "a\0"), (18, "a\nb")];
    for (number, bad) in paths.into_iter().chain([(75, much.as_str())]) {
        rows.push(wrong(number, &["category"], Document { category: bad.into(), ..draft("N") }));
    }
    rows
}

fn values() -> Vec<Row> {
    let tags = |tags: &[&str]| Document { tags: tags.iter().map(|tag| (*tag).to_owned()).collect(), ..draft("N") };
    let numbered: Vec<String> = (0..65).map(|number| number.to_string()).collect();
    let mut rows = vec![
        wrong(22, &["tags"], Document { tags: numbered, ..draft("N") }),
        wrong(22, &["tags[2]"], tags(&["a", "b", "a"])),
        wrong(22, &["tags[1]"], tags(&["a", ""])),
        wrong(22, &["tags[0]"], tags(&[&"x".repeat(101)])),
        wrong(22, &["tags[0]", "tags[2]"], tags(&["\0", "b", "a\nb"])),
        wrong(75, &["tags[0]"], tags(&[&noise(12 * 1_024)])),
    ];
    // In a batch so many objects are more than a decoder follows: row 54.
    let mut deep = wrong(25, &["metadata"], metadata(nested_objects(32)));
    deep.asks.retain(|ask| !ask.path.ends_with("/BatchCreateDocuments"));
    rows.push(deep);
    for (number, fields) in bad_metadata() {
        rows.push(wrong(number, &["metadata"], Document { metadata: Some(fields), ..draft("N") }));
    }
    for (seconds, nanos) in TIMES {
        let time = Some(Timestamp { seconds, nanos });
        rows.push(wrong(31, &["expire_time"], Document { expire_time: time, ..draft("N") }));
    }
    for number in [4, 9_999, -1] {
        rows.push(wrong(34, &["confidentiality"], Document { confidentiality: number, ..draft("N") }));
    }
    rows
}

fn masks(live: &Document) -> Vec<Row> {
    let id = &live.document_id;
    let masked = |number: u32, mask: &[&str], field: &str| {
        invalid(number, "UPDATE_MASK_INVALID", vec![ask(change("globex", id, draft("N"), mask), &[field])])
    };
    let mut rows = vec![masked(36, &["state"], "update_mask.paths[0]")];
    for path in
        ["company_id", "solution", "create_time", "created_by", "etag", "document_id", "content", "document_type"]
    {
        rows.push(masked(38, &[path], "update_mask.paths[0]"));
    }
    for bad in ["nothing", "*", "title", "a..b", "metadata.k", "", "Title", "title ", "a\0", &"x".repeat(1 << 20)] {
        rows.push(masked(39, &["title", bad], "update_mask.paths[1]"));
    }
    rows.push(masked(39, &["title"; 101], "update_mask"));
    // A change of nothing is no wish to clear everything.
    rows.push(masked(40, &[], "update_mask"));
    let absent = UpdateDocumentRequest { update_mask: None, ..retitle("globex", id, "T") };
    rows.push(invalid(40, "UPDATE_MASK_INVALID", vec![ask(absent, &["update_mask"])]));
    rows
}

/// Text that no compression makes shorter.
fn noise(bytes: usize) -> String {
    let letters = crate::support::transfers::noise(bytes);
    letters.into_iter().map(|byte| char::from(b'!' + byte % 90)).collect()
}
