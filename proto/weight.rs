//! What a message takes in memory, told from its bytes, without reading it.
//!
//! Only elements of repeated fields count: everything else is there once, or takes about what it has on the wire. An
//! estimate: what a growing vector has to spare is not in it, so that what is allowed may take twice as much.

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

/// What a request may weigh: so much, and more if it is so long. 4 MiB of `[true, true]` as metadata weigh eight times their
/// bytes; so does what is longer, where that is allowed.
const ALLOWED: usize = 40 << 20;
const TIMES: usize = 8;

/// An element that is a message: no less than the largest that the contract repeats (`tests/bombs.rs` measures it).
const OF_A_MESSAGE: usize = 1_024;
/// The first entry of a map, which brings a node of the tree with places for eleven, and each further one.
const OF_A_MAP: usize = 680;
const OF_AN_ENTRY: usize = 100;
/// A string, a number, or a JSON value.
const OF_A_VALUE: usize = 32;
/// Too short to be worth a look: if all of it were empty elements, they would be sixteen.
const LIGHT: usize = 32;
/// As deep as `prost` follows.
const DEPTH: u32 = 100;

/// Why a message is not read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refused {
    TooHeavy,
    /// It is not that message: what a decoder would find out as well, but after it has read what it can.
    Unreadable,
}

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
    let named = places.into_iter().map(|(name, (place, _))| (name.trim_start_matches('.').to_owned(), place));
    (schemas, named.collect())
});

fn collect<'d>(around: &str, message: &'d DescriptorProto, into: &mut Vec<(String, &'d DescriptorProto)>) {
    let name = format!("{around}.{}", message.name());
    message.nested_type.iter().for_each(|nested| collect(&name, nested, into));
    into.push((name, message));
}

/// What these bytes take in memory when they are read as that message, if they may be: it is one that callers send, and not
/// too heavy.
pub(crate) fn weigh<M: Name>(bytes: &[u8]) -> Result<usize, Refused> {
    if bytes.len() <= LIGHT || !M::NAME.ends_with("Request") {
        return Ok(bytes.len());
    }
    let (schemas, places) = &*SCHEMAS;
    let Some(place) = places.get(&M::full_name()) else { return Err(Refused::Unreadable) };
    let allowed = ALLOWED.max(bytes.len().saturating_mul(TIMES));
    let mut scale = Scale { schemas, left: allowed };
    scale.weigh(&schemas[*place], bytes, DEPTH)?;
    Ok(bytes.len() + allowed - scale.left)
}

struct Scale<'s> {
    schemas: &'s [Schema],
    left: usize,
}

impl Scale<'_> {
    fn weigh(&mut self, schema: &Schema, mut bytes: &[u8], depth: u32) -> Result<(), Refused> {
        let unreadable = |_| Refused::Unreadable;
        // Fields of this message that have come already, by their place in the schema.
        let mut came = 0_u64;
        while !bytes.is_empty() {
            let (number, wire) = decode_key(&mut bytes).map_err(unreadable)?;
            let known = schema.iter().enumerate().find(|(_, field)| field.number == number);
            if let Some((place, field)) = known {
                let bit = 1 << place.min(63);
                let is_first = came & bit == 0;
                came |= bit;
                let weight = if field.weight == OF_AN_ENTRY && is_first { OF_A_MAP } else { field.weight };
                self.left = self.left.checked_sub(weight).ok_or(Refused::TooHeavy)?;
            }
            match known.and_then(|(_, field)| field.inner) {
                Some(inner) if wire == WireType::LengthDelimited => {
                    let length = decode_varint(&mut bytes).map_err(unreadable)?;
                    // A decoder would follow it beyond the end of the message around it, and see that only then.
                    let message = usize::try_from(length).ok().and_then(|length| bytes.split_at_checked(length));
                    let (message, rest) = message.ok_or(Refused::Unreadable)?;
                    let depth = depth.checked_sub(1).ok_or(Refused::Unreadable)?;
                    self.weigh(&self.schemas[inner], message, depth)?;
                    bytes = rest;
                }
                _ => skip_field(wire, number, &mut bytes, DecodeContext::default()).map_err(unreadable)?,
            }
        }
        Ok(())
    }
}
