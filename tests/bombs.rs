//! Messages that are small on the wire and large once they are read: what they cost, and that they are refused.

use std::collections::BTreeSet;

use fbs_router_proto::document::v1::{BatchCreateDocumentsRequest, Document};
use prost::{
    Message,
    bytes::{BufMut, Bytes},
    encoding::{WireType, encode_key, encode_varint},
};
use prost_reflect::{FieldDescriptor, Kind, MessageDescriptor};
use prost_types::{ListValue, Struct, Value, value::Kind as Json};
use tonic::Code;

use crate::support::{
    World,
    asking::creation,
    draft, failure,
    methods::{methods, path},
    process::Served,
    reason,
};

/// Just below what a message may have.
const BYTES: usize = (4 << 20) - 1_024;
/// What one call may cost at most: the message as it came, twice while its buffer grows, and what it weighs, with what a
/// growing vector has to spare. A batch of empty requests took 1.3 GiB before anybody weighed it.
const COST_KIB: u64 = 48 << 10;

/// A repeated field, and the messages around it, from the outermost.
type Way = Vec<FieldDescriptor>;

/// The ways to all repeated fields of a message, each message type entered once on a way.
fn ways(message: &MessageDescriptor, on: &Way, entered: &BTreeSet<String>) -> Vec<Way> {
    let mut found = Vec::new();
    for field in message.fields() {
        let way: Way = on.iter().cloned().chain([field.clone()]).collect();
        if field.is_list() || field.is_map() {
            found.push(way.clone());
        }
        if let Kind::Message(inner) = field.kind()
            && !entered.contains(inner.full_name())
        {
            let entered = entered.iter().cloned().chain([inner.full_name().to_owned()]).collect();
            found.extend(ways(&inner, &way, &entered));
        }
    }
    found
}

/// As many of the least elements as there is room for, alike; and what is around them, as it should be, and with a length
/// that ends before they begin.
fn filled(way: &Way) -> Vec<Bytes> {
    let (last, around) = way.split_last().unwrap();
    let mut contents = vec![alike(last)];
    if matches!(last.kind(), Kind::Message(message) if message.full_name() == "google.protobuf.Value") {
        // Objects, each with one entry.
        let mut object = Vec::new();
        encode_key(last.number(), WireType::LengthDelimited, &mut object);
        object.extend([4, 0x2a, 2, 0x0a, 0]);
        contents.push(object.repeat(BYTES / object.len()));
    }
    let mut messages = Vec::new();
    for content in contents {
        messages.push(wrapped(around, content.clone(), false));
        if !around.is_empty() {
            messages.push(wrapped(around, content, true));
        }
    }
    messages
}

fn alike(last: &FieldDescriptor) -> Vec<u8> {
    let mut bytes = Vec::new();
    match last.kind() {
        // Another key each time: the same one would take the place of the one before.
        _ if last.is_map() => {
            for number in 0..u32::try_from(BYTES / 8).unwrap() {
                encode_key(last.number(), WireType::LengthDelimited, &mut bytes);
                bytes.extend([6, 10, 4]);
                bytes.extend([0, 7, 14, 21].map(|bits| u8::try_from(number >> bits & 0x7f).unwrap()));
            }
        }
        Kind::Message(_) | Kind::String | Kind::Bytes => {
            encode_key(last.number(), WireType::LengthDelimited, &mut bytes);
            bytes.put_u8(0);
            bytes = bytes.repeat(BYTES / bytes.len());
        }
        _ => {
            encode_key(last.number(), WireType::Varint, &mut bytes);
            bytes.put_u8(1);
            bytes = bytes.repeat(BYTES / bytes.len());
        }
    }
    bytes
}

fn wrapped(around: &[FieldDescriptor], mut bytes: Vec<u8>, too_short: bool) -> Bytes {
    for (depth, field) in around.iter().enumerate().rev() {
        let mut outer = Vec::with_capacity(bytes.len() + 8);
        encode_key(field.number(), WireType::LengthDelimited, &mut outer);
        encode_varint(if too_short && depth == 0 { 1 } else { bytes.len() as u64 }, &mut outer);
        outer.extend(bytes);
        bytes = outer;
    }
    bytes.into()
}

fn value(kind: Json) -> Value {
    Value { kind: Some(kind) }
}

/// As many elements as metadata may have, and as few bytes as they may have.
#[tokio::test(flavor = "multi_thread")]
async fn what_somebody_means_is_read_however_dense() {
    let world = World::new().await;
    let replica = world.replica().await;
    let list = |count| Json::ListValue(ListValue { values: vec![value(Json::BoolValue(true)); count] });
    let object = |count: usize| {
        let fields = (0..count).map(|number| (format!("{number:x}"), value(Json::NullValue(0)))).collect();
        Json::StructValue(Struct { fields })
    };
    for (what, kind) in [("a list", list(12_000)), ("an object", object(5_000))] {
        let one = creation(
            "globex",
            Document { metadata: Some(Struct { fields: [("a".to_owned(), value(kind))].into() }), ..draft("") },
        );
        let fitting = BYTES / one.encoded_len();
        let batch = BatchCreateDocumentsRequest { requests: vec![one; fitting.min(100)], ..Default::default() };
        let status = replica.documents().batch_create_documents(batch).await.unwrap_err();
        assert_eq!(reason(&status), failure(Code::InvalidArgument, "SOLUTION_INVALID"), "{what}: {status:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_message_costs_much_more_memory_than_it_has_bytes() {
    let world = World::new().await;
    let served = Served::start(&world.configuration(&world.platform.url(), ""), world.folder.path(), &[]).await;
    served.replica.make("globex", "meanwhile").await;
    let before = served.peak_kib().and_then(|_| served.peak_kib());
    // Of a message in many requests once: the same code reads them all.
    let (mut tried, mut fields) = (0, BTreeSet::new());
    for method in methods() {
        assert!(
            method.input().name().ends_with("Request"),
            "{}: what is no request is not weighed",
            method.input().name()
        );
        for way in ways(&method.input(), &Vec::new(), &BTreeSet::new()) {
            if !fields.insert(way.last().unwrap().full_name().to_owned()) {
                continue;
            }
            let names: Vec<_> = way.iter().map(|field| field.name().to_owned()).collect();
            for (number, message) in filled(&way).into_iter().enumerate() {
                let at = format!("{} {} {number}", method.name(), names.join("."));
                let status = served.replica.send(&path(&method), vec![message]).await.expect_err(&at);
                let cost = served.peak_kib().zip(before).map(|(after, before)| after.saturating_sub(before));
                println!("{cost:?} KiB for {at}: {}", status.message());
                assert!(cost.is_none_or(|cost| cost <= COST_KIB), "{at}: {cost:?} KiB");
                let refused = [Code::OutOfRange, Code::InvalidArgument, Code::Internal];
                assert!(refused.contains(&status.code()) && reason(&status).1 != "INTERNAL", "{at}: {status:?}");
                assert!(!reason(&status).1.is_empty(), "{at}");
                tried += 1;
            }
        }
    }
    assert!(tried > 20, "{tried} repeated fields");
    assert_eq!(served.replica.names("globex").await.unwrap(), ["meanwhile"]);
}
