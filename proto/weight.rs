//! What a message takes in memory, told from its bytes, without reading it.
//!
//! Only elements of repeated fields count: everything else is there once, or takes about what it has on the wire.

use std::{collections::HashMap, sync::LazyLock};

use prost::{
    Message, Name,
    encoding::{DecodeContext, WireType, decode_key, decode_varint, skip_field},
};
use prost_types::{
    DescriptorProto, FieldDescriptorProto, FileDescriptorSet,
    field_descriptor_proto::{Label, Type},
};

use crate::FILE_DESCRIPTOR_SET;

/// What a request may weigh: so many times its bytes, and so much besides.
pub(crate) struct Allowed {
    pub(crate) times: usize,
    pub(crate) more: usize,
}

/// Eight times: `[true, true]` as metadata, the least that anybody means by what he sends.
pub(crate) const ALLOWED: Allowed = Allowed { times: 8, more: 1 << 20 };

/// An element that is a message: no less than the largest that the contract repeats (`tests/bombs.rs` measures it).
const OF_A_MESSAGE: usize = 1_024;
/// An entry of a map: a key, a value, and its share of the tree.
const OF_AN_ENTRY: usize = 64;
/// A string, a number, or a JSON value.
const OF_A_VALUE: usize = 32;
/// Too short to weigh too much, even if all of it were empty elements, of two bytes each.
const LIGHT: usize = ALLOWED.more / OF_A_MESSAGE * 2;
/// As deep as `prost` follows.
const DEPTH: u32 = 100;

/// A field that has a weight, or something inside that has.
#[derive(Debug)]
struct Field {
    number: u32,
    /// Of each element.
    weight: usize,
    /// The place of its message among the schemas.
    inner: Option<usize>,
}

type Schema = Vec<Field>;

/// The messages of the contract, and where each is found.
static SCHEMAS: LazyLock<(Vec<Schema>, HashMap<String, usize>)> = LazyLock::new(|| {
    let files = FileDescriptorSet::decode(FILE_DESCRIPTOR_SET).map(|set| set.file).unwrap_or_default();
    let mut messages = Vec::new();
    for file in &files {
        file.message_type.iter().for_each(|message| collect(&format!(".{}", file.package()), message, &mut messages));
    }
    let places: HashMap<_, _> =
        messages.iter().enumerate().map(|(place, (name, _))| (name.clone(), (place, messages[place].1))).collect();
    let field = |field: &FieldDescriptorProto| {
        let inner = (field.r#type() == Type::Message).then(|| places.get(field.type_name())).flatten();
        let weight = match inner {
            _ if field.label() != Label::Repeated => 0,
            Some((_, message)) if message.options.as_ref().is_some_and(|options| options.map_entry()) => OF_AN_ENTRY,
            Some(_) if field.type_name() == ".google.protobuf.Value" => OF_A_VALUE,
            Some(_) => OF_A_MESSAGE,
            None => OF_A_VALUE,
        };
        Field { number: field.number().unsigned_abs(), weight, inner: inner.map(|(place, _)| *place) }
    };
    let schema = |message: &DescriptorProto| {
        message.field.iter().map(field).filter(|field| field.weight > 0 || field.inner.is_some()).collect()
    };
    let schemas = messages.iter().map(|(_, message)| schema(message)).collect();
    (schemas, places.into_iter().map(|(name, (place, _))| (name, place)).collect())
});

fn collect<'d>(around: &str, message: &'d DescriptorProto, into: &mut Vec<(String, &'d DescriptorProto)>) {
    let name = format!("{around}.{}", message.name());
    message.nested_type.iter().for_each(|nested| collect(&name, nested, into));
    into.push((name, message));
}

/// Whether these bytes may be read as that message: it is none that callers send, or not too heavy.
pub(crate) fn is_allowed<M: Name>(bytes: &[u8]) -> bool {
    if bytes.len() <= LIGHT || !M::NAME.ends_with("Request") {
        return true;
    }
    let (schemas, places) = &*SCHEMAS;
    let Some(place) = places.get(&format!(".{}", M::full_name())) else { return true };
    let allowed = bytes.len() * ALLOWED.times + ALLOWED.more;
    let mut scale = Scale { schemas, left: allowed };
    // What cannot be read is the decoder's to refuse: it stops where this stops.
    let _readable = scale.weigh(&schemas[*place], bytes, DEPTH);
    scale.left > 0
}

struct Scale<'s> {
    schemas: &'s [Schema],
    left: usize,
}

impl Scale<'_> {
    /// None if the rest cannot be read, or need not be: it is too heavy already.
    fn weigh(&mut self, schema: &Schema, mut bytes: &[u8], depth: u32) -> Option<()> {
        while !bytes.is_empty() {
            let (number, wire) = decode_key(&mut bytes).ok()?;
            let known = schema.iter().find(|field| field.number == number);
            self.left = self.left.saturating_sub(known.map_or(0, |field| field.weight));
            if self.left == 0 {
                return None;
            }
            match known.and_then(|field| field.inner) {
                Some(inner) if wire == WireType::LengthDelimited => {
                    let length = usize::try_from(decode_varint(&mut bytes).ok()?).ok()?;
                    let (message, rest) = bytes.split_at_checked(length)?;
                    self.weigh(&self.schemas[inner], message, depth.checked_sub(1)?)?;
                    bytes = rest;
                }
                _ => skip_field(wire, number, &mut bytes, DecodeContext::default()).ok()?,
            }
        }
        Some(())
    }
}
