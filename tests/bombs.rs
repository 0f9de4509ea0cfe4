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

/// As many of the least elements as there is room for.
fn filled(way: &Way) -> Bytes {
    let (last, around) = way.split_last().unwrap();
    let mut bytes = Vec::new();
    match last.kind() {
        // Another key each time: the same one would take the place of the one before.
        _ if last.is_map() => {
            for number in 0..u32::try_from(BYTES / 8).unwrap() {
                encode_key(last.number(), WireType::LengthDelimited, &mut bytes);
                bytes.extend([6, 10, 4]);
                bytes.extend(number.to_be_bytes().map(|byte| byte & 0x7f));
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
    for field in around.iter().rev() {
        let mut outer = Vec::with_capacity(bytes.len() + 8);
        encode_key(field.number(), WireType::LengthDelimited, &mut outer);
        encode_varint(bytes.len() as u64, &mut outer);
        outer.extend(bytes);
        bytes = outer;
    }
    bytes.into()
}

/// The most memory that a process has had since it was asked last, where the system tells.
fn peak_kib(process: u32) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    std::fs::write(format!("/proc/{process}/clear_refs"), "5").ok()?;
    line.trim().trim_end_matches(" kB").parse().ok()
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
    let mut tried = 0;
    for method in methods() {
        for way in ways(&method.input(), &Vec::new(), &BTreeSet::new()) {
            let names: Vec<_> = way.iter().map(|field| field.name().to_owned()).collect();
            let at = format!("{} {}", method.name(), names.join("."));
            let before = peak_kib(served.id());
            let status = served.replica.send(&path(&method), vec![filled(&way)]).await.expect_err(&at);
            let cost = peak_kib(served.id()).zip(before).map(|(after, before)| after.saturating_sub(before));
            println!("{cost:?} KiB for {at}: {}", status.message());
            assert!(cost.is_none_or(|cost| cost <= COST_KIB), "{at}: {cost:?} KiB");
            assert!([Code::OutOfRange, Code::InvalidArgument].contains(&status.code()), "{at}: {status:?}");
            assert!(!reason(&status).1.is_empty(), "{at}");
            tried += 1;
        }
    }
    assert!(tried > 20, "{tried} repeated fields");
    assert_eq!(served.replica.names("globex").await.unwrap(), ["meanwhile"]);
}
