//! No message that anybody can make up is answered as a bug, or ends a process.
//!
//! The messages are made from the descriptors of the contract, so that a new method is asked without a word about it:
//! whatever its fields are called, they get texts, numbers and nested messages that are likely to hurt. What has a
//! known name is often given something that exists, or nothing would get further than the first look. The seed is
//! printed by a failure; `FBS_ROUTER_SEED` repeats it, and `FBS_ROUTER_SEED=random` takes another one.

use std::collections::BTreeMap;

use fbs_router_proto::router::v1::ErrorReason;
use futures_util::future::join_all;
use proptest::{
    collection::vec,
    prelude::*,
    strategy::ValueTree,
    test_runner::{Config, RngAlgorithm, TestRng, TestRunner},
};
use prost::{Message, bytes::Bytes};
use prost_reflect::{Cardinality, DynamicMessage, FieldDescriptor, Kind, MapKey, MessageDescriptor, Value};
use tonic::{Code, Status};

use crate::support::{
    Replica, World,
    asking::{deletion, refusal, submission},
    methods::{methods, path},
    wire::metrics,
};

/// Messages that each method gets; as many again are bytes.
const MESSAGES: usize = 150;
/// Asked at once.
const AT_ONCE: usize = 30;
/// Deepest message in a message: a document in a batch, its metadata, and some of that.
const DEPTH: usize = 6;

/// What exists: ids, and what else is worth naming.
type Known = BTreeMap<&'static str, Vec<String>>;

fn nasty() -> BoxedStrategy<String> {
    let fixed = [
        "",
        " ",
        "\0",
        "a\0b",
        "\u{202e}",
        "\u{feff}",
        "%",
        "_",
        "\\",
        "'",
        "\"",
        "'; --",
        "$1",
        "{}",
        "null",
        "-1",
        "a & ",
        "(((",
        "!!",
        ":*",
        "<->",
        "\\x00",
        "../..",
        "e\u{301}",
        "💾",
        "\u{10ffff}",
        "\r\n",
        "NaN",
        "desc",
        "create_time desc",
        "title",
        "*",
        "metadata.a",
        "general",
        "{\"a\":1}",
        "9999-12-31",
        "acme_corp",
    ];
    prop_oneof![
        4 => prop::sample::select(fixed.map(str::to_owned).to_vec()),
        3 => any::<String>(),
        1 => "[a-z0-9_]{1,60}",
        1 => (0..5_000_usize, any::<char>()).prop_map(|(length, letter)| letter.to_string().repeat(length)),
        1 => "[()&|!:*<> \"'a-]{0,40}",
        3 => ("[a-z]{0,9}", "[a-z]{0,9}").prop_map(|(begin, end)| format!("{begin}\0{end}")),
    ]
    .boxed()
}

/// Mostly harmless: a message in which everything is wrong is refused for the first thing.
fn text(field: &str, known: &Known) -> BoxedStrategy<String> {
    let singular = field.trim_end_matches('s');
    match known.get(field).or_else(|| known.get(singular)) {
        Some(values) => prop_oneof![14 => prop::sample::select(values.clone()), 1 => nasty()].boxed(),
        None => prop_oneof![7 => "[a-z]{1,9}", 1 => nasty()].boxed(),
    }
}

fn whole() -> BoxedStrategy<i64> {
    let largest = vec![i64::MIN, i64::MAX, i64::from(i32::MAX), i64::from(i32::MIN), 253_402_300_800];
    prop_oneof![
        12 => 0..4_i64,
        1 => -2..9_i64,
        1 => any::<i64>(),
        1 => prop::sample::select(largest),
    ]
    .boxed()
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "any number is as good as another")]
fn one(field: &FieldDescriptor, known: &Known, depth: usize) -> BoxedStrategy<Value> {
    match field.kind() {
        Kind::String => text(field.name(), known).prop_map(Value::String).boxed(),
        Kind::Bytes => prop_oneof![2 => vec(any::<u8>(), 32..=32), 1 => vec(any::<u8>(), 0..40)]
            .prop_map(|bytes| Value::Bytes(bytes.into()))
            .boxed(),
        Kind::Bool => any::<bool>().prop_map(Value::Bool).boxed(),
        Kind::Double => prop_oneof![6 => -9.0..9.0, 1 => any::<f64>()].prop_map(Value::F64).boxed(),
        Kind::Float => any::<f32>().prop_map(Value::F32).boxed(),
        Kind::Enum(_) => whole().prop_map(|number| Value::EnumNumber(number as i32)).boxed(),
        Kind::Int32 | Kind::Sint32 | Kind::Sfixed32 => whole().prop_map(|number| Value::I32(number as i32)).boxed(),
        Kind::Int64 | Kind::Sint64 | Kind::Sfixed64 => whole().prop_map(Value::I64).boxed(),
        Kind::Uint32 | Kind::Fixed32 => whole().prop_map(|number| Value::U32(number as u32)).boxed(),
        Kind::Uint64 | Kind::Fixed64 => whole().prop_map(|number| Value::U64(number as u64)).boxed(),
        Kind::Message(inner) => message(&inner, known, depth - 1).prop_map(Value::Message).boxed(),
    }
}

/// The value of a field, unless it would go too deep.
fn value(field: &FieldDescriptor, known: &Known, depth: usize) -> Option<BoxedStrategy<Value>> {
    if depth == 0 && matches!(field.kind(), Kind::Message(_)) {
        return None;
    }
    Some(match field.kind() {
        Kind::Message(entry) if field.is_map() => {
            let entries = vec((nasty(), one(&entry.map_entry_value_field(), known, depth)), 0..3);
            let map = |entries: Vec<_>| entries.into_iter().map(|(key, value)| (MapKey::String(key), value)).collect();
            entries.prop_map(move |entries| Value::Map(map(entries))).boxed()
        }
        _ if field.cardinality() == Cardinality::Repeated => {
            vec(one(field, known, depth), 0..4).prop_map(Value::List).boxed()
        }
        _ => one(field, known, depth),
    })
}

/// Each field is there nine times out of ten; of those that exclude each other one is.
fn message(descriptor: &MessageDescriptor, known: &Known, depth: usize) -> BoxedStrategy<DynamicMessage> {
    let mut made = Just(DynamicMessage::new(descriptor.clone())).boxed();
    let alone = descriptor.fields().filter(|field| field.containing_oneof().is_none()).map(|field| vec![field]);
    let choices = descriptor.oneofs().map(|oneof| oneof.fields().collect());
    for alternatives in alone.chain(choices) {
        let values = alternatives.into_iter().filter_map(|field| {
            let value = value(&field, known, depth)?;
            Some((1, value.prop_map(move |value| (field.clone(), value)).boxed()))
        });
        let values: Vec<_> = values.collect();
        if values.is_empty() {
            continue;
        }
        let value = prop::option::weighted(0.9, proptest::strategy::Union::new_weighted(values));
        made = (made, value)
            .prop_map(|(mut message, value)| {
                if let Some((field, value)) = value {
                    message.set_field(&field, value);
                }
                message
            })
            .boxed();
    }
    made
}

/// Some frames of a method: good messages, such with damage, and bytes.
fn frames(descriptor: &MessageDescriptor, known: &Known, most: usize) -> BoxedStrategy<Vec<Bytes>> {
    let good = message(descriptor, known, DEPTH).prop_map(|message| message.encode_to_vec());
    let damaged = (good.clone(), any::<prop::sample::Index>(), any::<u8>()).prop_map(|(mut bytes, place, byte)| {
        if !bytes.is_empty() {
            let place = place.index(bytes.len());
            if byte < 40 {
                bytes.truncate(place);
            } else {
                bytes[place] ^= byte;
            }
        }
        bytes
    });
    let frame = prop_oneof![4 => good, 1 => damaged, 1 => vec(any::<u8>(), 0..100)];
    vec(frame.prop_map(Bytes::from), 1..=most).boxed()
}

/// Why this answer is our fault, if it is.
fn fault(answer: Result<Vec<Bytes>, Status>) -> Option<String> {
    let Err(status) = answer else { return None };
    let (code, reason) = refusal(&status);
    let ours = match ErrorReason::from_reason(&reason) {
        None => true,
        Some(ErrorReason::Internal | ErrorReason::OutcomeUnknown | ErrorReason::DatabaseUnavailable) => true,
        // The code that gRPC prescribes for bytes that are no message.
        Some(_) => code == Code::Internal && !status.message().contains("decode"),
    };
    ours.then(|| format!("{status:?}"))
}

/// Ids that exist, in several states.
async fn known(replica: &Replica) -> Known {
    let mut ids = Vec::new();
    for name in ["draft", "pending", "deleted", "filed"] {
        ids.push(replica.make("globex", name).await.document_id);
    }
    let pending = replica.ask_submit(submission("globex", &ids[1])).await.unwrap();
    replica.ask_delete(deletion("globex", &ids[2])).await.unwrap();
    replica.upload("globex", &ids[3], "a.pdf", &[b'x'; 1_000]).await.unwrap();
    replica.make("acme_corp", "A-1").await;
    let solutions = [["globex"; 17].as_slice(), &["acme_corp", "system", "nobody"]].concat();
    let solutions = solutions.into_iter().map(str::to_owned).collect();
    BTreeMap::from([
        ("document_id", ids),
        ("solution", solutions),
        ("request_id", [vec![String::new(); 7], vec!["0190b0a0-0000-7000-8000-00000000dead".into()]].concat()),
        ("database", vec![String::new(), String::new(), "fbs_system_db".into()]),
        ("page_token", vec![String::new()]),
        ("etag", vec![String::new(), pending.etag]),
        ("app", vec![String::new(), "odoo".into()]),
        ("path", ["title", "metadata", "tags", "expire_time", "category"].map(str::to_owned).to_vec()),
        ("order_by", vec![String::new(), "title".into()]),
        ("document_type", vec![String::new(), "general".into()]),
        ("code", vec!["general".into(), "memo".into()]),
        ("media_type", vec!["text/plain".into()]),
    ])
}

fn seed() -> [u8; 32] {
    let text = std::env::var("FBS_ROUTER_SEED").unwrap_or_else(|_| "1".to_owned());
    let number = text.parse().unwrap_or_else(|_| uuid::Uuid::new_v4().as_u64_pair().0);
    println!("FBS_ROUTER_SEED={number}");
    let mut seed = [0; 32];
    seed[..8].copy_from_slice(&u64::to_le_bytes(number));
    seed
}

#[tokio::test(flavor = "multi_thread")]
async fn no_message_whatever_is_answered_as_a_bug() {
    let world = World::new().await;
    let replica = world.replica().await;
    let known = known(&replica).await;
    let random = TestRng::from_seed(RngAlgorithm::ChaCha, &seed());
    let mut runner = TestRunner::new_with_rng(Config::default(), random);
    let mut refused = BTreeMap::<String, usize>::new();
    for method in methods() {
        let most = if method.is_client_streaming() { 4 } else { 1 };
        let strategy = frames(&method.input(), &known, most);
        for _ in 0..MESSAGES / AT_ONCE {
            let made: Vec<Vec<Bytes>> =
                (0..AT_ONCE).map(|_| strategy.new_tree(&mut runner).unwrap().current()).collect();
            let path = path(&method);
            let answers = join_all(made.iter().map(|frames| replica.send(&path, frames.clone()))).await;
            for (frames, answer) in made.iter().zip(answers) {
                let reason = answer.as_ref().map_or_else(|status| refusal(status).1, |_| "taken".to_owned());
                *refused.entry(reason).or_default() += 1;
                let fault = fault(answer);
                assert!(fault.is_none(), "{path}: {fault:?}\n{}", told(&method.input(), frames));
            }
        }
    }
    // What was made up is neither all rubbish nor all good.
    for reason in ["taken", "FIELD_INVALID", "SOLUTION_INVALID", "DOCUMENT_NOT_FOUND", "CONTENT_INVALID"] {
        assert!(refused.get(reason).is_some_and(|count| *count > 3), "{reason}: {refused:?}");
    }
    assert_eq!(metrics(replica.ops).await["fbs_router_internal_errors_total"], 0.0);
    replica.make("globex", "it lives").await;
}

/// Frames as they can be read, or as bytes.
fn told(descriptor: &MessageDescriptor, frames: &[Bytes]) -> String {
    let frame = |bytes: &Bytes| match DynamicMessage::decode(descriptor.clone(), bytes.clone()) {
        Ok(message) => format!("{message:?}"),
        Err(_) => format!("{bytes:?}"),
    };
    frames.iter().map(frame).collect::<Vec<_>>().join("\n")
}
