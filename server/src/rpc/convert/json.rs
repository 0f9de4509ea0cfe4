//! `google.protobuf.Struct` ⇄ JSON, within the limits of metadata.
//!
//! Numbers: a Struct knows doubles only. Whole ones that a double holds exactly become JSON integers, so that 1 stays 1
//! and not 1.0; all come back as the double they were.

use prost_types::{ListValue, Struct, Value as ProtoValue, value::Kind};
use serde_json::{Map, Number, Value};

use super::fields::Problem;

/// Most bytes as compact JSON, counting numbers as Postgres writes them.
const MOST_BYTES: usize = 64 * 1_024;
/// Deepest nesting of objects and lists, the outermost one counted.
const DEEPEST: usize = 32;
/// Whole numbers up to here are exact in a double: 2^53.
const EXACT: f64 = 9_007_199_254_740_992.0;

/// Counts what was read so far, so that reading stops at the limit and not behind it.
struct Reader {
    left_bytes: usize,
}

/// A JSON object.
pub(super) fn from_struct(fields: Struct) -> Result<Value, Problem> {
    Reader { left_bytes: MOST_BYTES }.object(fields, 1)
}

/// The Struct of a stored JSON object; anything else than an object becomes an empty one.
pub(super) fn to_struct(value: Value) -> Struct {
    match value {
        Value::Object(map) => Struct { fields: map.into_iter().map(|(key, value)| (key, to_value(value))).collect() },
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => Struct::default(),
    }
}

fn to_value(value: Value) -> ProtoValue {
    let kind = match value {
        Value::Null => Kind::NullValue(0),
        Value::Bool(flag) => Kind::BoolValue(flag),
        // Always a finite double: only doubles are ever stored.
        Value::Number(number) => Kind::NumberValue(number.as_f64().unwrap_or_default()),
        Value::String(text) => Kind::StringValue(text),
        Value::Array(values) => Kind::ListValue(ListValue { values: values.into_iter().map(to_value).collect() }),
        Value::Object(_) => Kind::StructValue(to_struct(value)),
    };
    ProtoValue { kind: Some(kind) }
}

// === impl Reader ===

impl Reader {
    fn object(&mut self, fields: Struct, depth: usize) -> Result<Value, Problem> {
        self.open(depth, fields.fields.len())?;
        let mut map = Map::new();
        for (key, value) in fields.fields {
            self.text(&key)?;
            self.spend(1)?;
            map.insert(key, self.value(value, depth)?);
        }
        Ok(Value::Object(map))
    }

    fn list(&mut self, list: ListValue, depth: usize) -> Result<Value, Problem> {
        self.open(depth, list.values.len())?;
        let mut values = Vec::new();
        for value in list.values {
            values.push(self.value(value, depth)?);
        }
        Ok(Value::Array(values))
    }

    fn value(&mut self, value: ProtoValue, depth: usize) -> Result<Value, Problem> {
        match value.kind {
            None => Err("must not contain a value without a kind".into()),
            Some(Kind::NullValue(_)) => self.spend(4).map(|()| Value::Null),
            Some(Kind::BoolValue(flag)) => self.spend(if flag { 4 } else { 5 }).map(|()| Value::Bool(flag)),
            Some(Kind::NumberValue(number)) => self.number(number),
            Some(Kind::StringValue(text)) => self.text(&text).map(|()| Value::String(text)),
            Some(Kind::StructValue(fields)) => self.object(fields, depth + 1),
            Some(Kind::ListValue(list)) => self.list(list, depth + 1),
        }
    }

    /// Brackets and commas.
    fn open(&mut self, depth: usize, length: usize) -> Result<(), Problem> {
        if depth > DEEPEST {
            return Err(format!("must not be nested deeper than {DEEPEST} levels").into());
        }
        self.spend(2 + length.saturating_sub(1))
    }

    fn number(&mut self, number: f64) -> Result<Value, Problem> {
        if number.fract() == 0.0 && number.abs() <= EXACT {
            #[expect(clippy::cast_possible_truncation, reason = "whole and at most 2^53; -0 becomes 0, as in Postgres")]
            let whole = number as i64;
            self.spend(whole.to_string().len())?;
            return Ok(Value::Number(Number::from(whole)));
        }
        let value = Number::from_f64(number).ok_or("must not contain NaN or infinity")?;
        // Postgres keeps a numeric and prints it without exponent, as Display does: 1e308 has 309 digits there.
        self.spend(number.to_string().len())?;
        Ok(Value::Number(value))
    }

    fn text(&mut self, text: &str) -> Result<(), Problem> {
        if text.contains('\0') {
            return Err("must not contain NUL".into());
        }
        let escaped = |byte: u8| match byte {
            b'"' | b'\\' | b'\n' | b'\r' | b'\t' | 8 | 12 => 2,
            0..=31 => 6,
            _ => 1,
        };
        self.spend(2 + text.bytes().map(escaped).sum::<usize>())
    }

    fn spend(&mut self, bytes: usize) -> Result<(), Problem> {
        self.left_bytes = self
            .left_bytes
            .checked_sub(bytes)
            .ok_or_else(|| Problem::from(format!("must be at most {MOST_BYTES} bytes as JSON")))?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn value(kind: Kind) -> ProtoValue {
        ProtoValue { kind: Some(kind) }
    }

    fn one(kind: Kind) -> Struct {
        Struct { fields: [("k".to_owned(), value(kind))].into() }
    }

    fn nested(levels: usize, list: bool) -> Struct {
        let mut inner = one(Kind::BoolValue(true));
        for level in 1..levels {
            inner = if list && level < levels - 1 {
                match inner.fields.remove("k") {
                    Some(inner) => one(Kind::ListValue(ListValue { values: vec![inner] })),
                    None => inner,
                }
            } else {
                one(Kind::StructValue(inner))
            };
        }
        inner
    }

    #[test]
    fn a_whole_number_stays_whole_and_every_double_comes_back() {
        for (number, text) in [
            (1.0, "1"),
            (-0.0, "0"),
            (-7.0, "-7"),
            (0.1, "0.1"),
            (9_007_199_254_740_992.0, "9007199254740992"),
            (1e20, "1e20"),
            (1e308, "1e308"),
            (5e-324, "5e-324"),
        ] {
            let json = from_struct(one(Kind::NumberValue(number))).unwrap();
            assert_eq!(json["k"].to_string().replace("e+", "e"), text);
            let back = to_struct(json);
            assert_eq!(back.fields["k"], value(Kind::NumberValue(number)), "{number}");
        }
    }

    #[test]
    fn what_json_or_postgres_cannot_hold_is_refused() {
        for bad in [
            Kind::NumberValue(f64::NAN),
            Kind::NumberValue(f64::INFINITY),
            Kind::NumberValue(f64::NEG_INFINITY),
            Kind::StringValue("a\0b".to_owned()),
            Kind::ListValue(ListValue { values: vec![ProtoValue { kind: None }] }),
            Kind::StructValue(Struct { fields: [("\0".to_owned(), value(Kind::BoolValue(true)))].into() }),
        ] {
            assert!(from_struct(one(bad.clone())).is_err(), "{bad:?}");
        }
        assert!(from_struct(Struct { fields: [("k".to_owned(), ProtoValue { kind: None })].into() }).is_err());
    }

    #[test]
    fn thirty_two_levels_are_allowed_and_still_decoded() {
        use prost::Message;
        for list in [false, true] {
            let deepest = nested(32, list);
            assert!(from_struct(deepest.clone()).is_ok());
            assert!(from_struct(nested(33, list)).is_err());
            let document = fbs_router_proto::document::v1::Document { metadata: Some(deepest), ..Default::default() };
            let request = fbs_router_proto::document::v1::CreateDocumentRequest {
                document: Some(document),
                ..Default::default()
            };
            let bytes = request.encode_to_vec();
            assert!(fbs_router_proto::document::v1::CreateDocumentRequest::decode(&*bytes).is_ok());
        }
    }

    #[test]
    fn the_limit_counts_the_json_that_postgres_writes() {
        let text = |bytes| from_struct(one(Kind::StringValue("x".repeat(bytes))));
        // {"k":"…"}
        assert!(text(MOST_BYTES - 8).is_ok());
        assert!(text(MOST_BYTES - 7).is_err());
        let escaped = |count| from_struct(one(Kind::StringValue("\u{1}".repeat(count))));
        assert!(escaped((MOST_BYTES - 8) / 6).is_ok());
        assert!(escaped((MOST_BYTES - 8) / 6 + 1).is_err());
        let numbers = |count| {
            let values = vec![value(Kind::NumberValue(1e308)); count];
            from_struct(one(Kind::ListValue(ListValue { values })))
        };
        assert!(numbers(211).is_ok());
        assert!(numbers(212).is_err(), "212 numbers of 309 digits are more than 64 KiB");
    }

    proptest! {
        // Fails without serde_json's feature `float_roundtrip`: its default parser may miss by the last bit.
        #[test]
        fn a_double_survives_the_text_that_postgres_prints(number in prop::num::f64::NORMAL | prop::num::f64::SUBNORMAL) {
            let printed = number.to_string();
            let json: Value = serde_json::from_str(&format!("{{\"k\":{printed}}}")).unwrap();
            prop_assert_eq!(&to_struct(json).fields["k"], &value(Kind::NumberValue(number)));
        }

        #[test]
        fn the_count_is_the_length_of_the_json(text in any::<String>(), key in any::<String>(), number in -1e9..1e9f64) {
            prop_assume!(!text.contains('\0') && !key.contains('\0'));
            let list = ListValue {
                values: vec![value(Kind::StringValue(text)), value(Kind::NumberValue(number.trunc())), value(Kind::NullValue(0))],
            };
            let fields = Struct { fields: [(key, value(Kind::ListValue(list)))].into() };
            let mut reader = Reader { left_bytes: MOST_BYTES };
            let json = reader.object(fields.clone(), 1).unwrap();
            prop_assert_eq!(MOST_BYTES - reader.left_bytes, json.to_string().len());
            prop_assert_eq!(to_struct(json), fields);
        }
    }
}
