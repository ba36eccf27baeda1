//! Values to JSON bytes without a tree between, and JSON text to values.

use std::cell::RefCell;
use std::io::Write;
use std::ops::ControlFlow;
use std::sync::Arc;

use crate::row::Columns;
use crate::value::{Dict, Value};

/// Objects may hold what they want, so depth is watched here too: what is deeper is `null`.
const MAX_DEPTH: u32 = crate::value::MAX_NESTING + 8;

/// Values share what they hold, so a small one may be endless when it is written: past this many bytes what is left of
/// arrays and dicts is [`CUT`]. Far more than a row may have on its way to a hub.
const MAX_BYTES: usize = 64 << 20;

const CUT: &[u8] = b"\"(cut: longer than 64 MiB)\"";

/// Appends `value` as compact JSON. Whole floats print without a point, NaN and infinities as `null`.
pub fn write_value(out: &mut Vec<u8>, value: &Value) {
    let end = out.len() + MAX_BYTES;
    write_at(out, value, 0, end);
}

fn write_at(out: &mut Vec<u8>, value: &Value, depth: u32, end: usize) {
    match value {
        Value::Null => out.extend_from_slice(b"null"),
        Value::Bool(true) => out.extend_from_slice(b"true"),
        Value::Bool(false) => out.extend_from_slice(b"false"),
        Value::Int(i) => write_int(out, *i),
        Value::UInt(u) => write_uint(out, *u),
        Value::Float(f) => write_float(out, *f),
        Value::Str(s) => write_str(out, s),
        Value::Bytes(b) => write_str(out, &String::from_utf8_lossy(b)),
        Value::Time(t) => {
            let _ = write!(out, "\"{t}\"");
        }
        _ if depth >= MAX_DEPTH => out.extend_from_slice(b"null"),
        _ if out.len() > end => out.extend_from_slice(CUT),
        Value::Array(items) => {
            out.push(b'[');
            for (i, item) in items.iter().enumerate() {
                if i > 0 {
                    out.push(b',');
                }
                if out.len() > end {
                    out.extend_from_slice(CUT);
                    break;
                }
                write_at(out, item, depth + 1, end);
            }
            out.push(b']');
        }
        Value::Dict(dict) => {
            out.push(b'{');
            for (i, (key, item)) in dict.iter().enumerate() {
                if i > 0 {
                    out.push(b',');
                }
                write_str(out, key);
                out.push(b':');
                write_at(out, item, depth + 1, end);
            }
            out.push(b'}');
        }
        Value::Query(query) if query.kept().is_some() => {
            out.push(b'[');
            let read = query.kept().map(|kept| {
                let mut comma = false;
                kept.each(&mut |row| {
                    if std::mem::replace(&mut comma, true) {
                        out.push(b',');
                    }
                    if out.len() > end {
                        out.extend_from_slice(CUT);
                        return ControlFlow::Break(());
                    }
                    for (i, (name, value)) in row.iter().enumerate() {
                        out.push(if i == 0 { b'{' } else { b',' });
                        write_str(out, name);
                        out.push(b':');
                        write_at(out, value, depth + 2, end);
                    }
                    out.extend_from_slice(if row.columns().is_empty() { b"{}" } else { b"}" });
                    ControlFlow::Continue(())
                })
            });
            if let Some(Err(error)) = read {
                out.extend_from_slice(if out.ends_with(b"[") { b"" } else { b"," });
                write_str(out, &format!("({error})"));
            }
            out.push(b']');
        }
        // A stored query in a cell is materialized before it gets here; deep inside a dict it is only named.
        Value::Query(_) => out.extend_from_slice(b"\"<query>\""),
        Value::Object(object) => match (object.text(), object.plain()) {
            (Some(text), _) => write_str(out, &text),
            (None, Some(plain)) => write_at(out, &plain, depth + 1, end),
            (None, None) => {
                out.push(b'{');
                for (i, name) in object.members().iter().enumerate() {
                    if i > 0 {
                        out.push(b',');
                    }
                    write_str(out, name);
                    out.push(b':');
                    write_at(out, &object.get(name).unwrap_or_default(), depth + 1, end);
                }
                out.push(b'}');
            }
        },
    }
}

const DIGITS: &[u8; 200] = b"0001020304050607080910111213141516171819\
2021222324252627282930313233343536373839\
4041424344454647484950515253545556575859\
6061626364656667686970717273747576777879\
8081828384858687888990919293949596979899";

fn write_int(out: &mut Vec<u8>, value: i64) {
    if value < 0 {
        out.push(b'-');
    }
    write_uint(out, value.unsigned_abs());
}

fn write_uint(out: &mut Vec<u8>, mut value: u64) {
    let mut buffer = [0u8; 20];
    let mut at = buffer.len();
    while value >= 100 {
        let pair = (value % 100) as usize * 2;
        value /= 100;
        at -= 2;
        buffer[at..at + 2].copy_from_slice(&DIGITS[pair..pair + 2]);
    }
    if value >= 10 {
        let pair = value as usize * 2;
        at -= 2;
        buffer[at..at + 2].copy_from_slice(&DIGITS[pair..pair + 2]);
    } else {
        at -= 1;
        buffer[at] = b'0' + value as u8;
    }
    out.extend_from_slice(&buffer[at..]);
}

fn write_float(out: &mut Vec<u8>, value: f64) {
    if !value.is_finite() {
        out.extend_from_slice(b"null");
    } else if value.fract() == 0.0 && value.abs() < 1e15 {
        write_int(out, value as i64);
    } else if value.abs() < 1e-6 || value.abs() >= 1e21 {
        let _ = write!(out, "{value:e}");
    } else {
        let _ = write!(out, "{value}");
    }
}

/// Appends `text` as a JSON string with its quotes.
pub fn write_str(out: &mut Vec<u8>, text: &str) {
    out.reserve(text.len() + 2);
    out.push(b'"');
    let bytes = text.as_bytes();
    let mut clean = 0;
    for (i, &byte) in bytes.iter().enumerate() {
        if byte >= 0x20 && byte != b'"' && byte != b'\\' {
            continue;
        }
        out.extend_from_slice(&bytes[clean..i]);
        clean = i + 1;
        match byte {
            b'"' => out.extend_from_slice(b"\\\""),
            b'\\' => out.extend_from_slice(b"\\\\"),
            b'\n' => out.extend_from_slice(b"\\n"),
            b'\r' => out.extend_from_slice(b"\\r"),
            b'\t' => out.extend_from_slice(b"\\t"),
            _ => {
                let _ = write!(out, "\\u{byte:04x}");
            }
        }
    }
    out.extend_from_slice(&bytes[clean..]);
    out.push(b'"');
}

/// Parses one JSON document. Whole numbers stay integers; objects keep their order.
pub fn parse(text: &[u8]) -> Result<Value, serde_json::Error> {
    serde_json::from_slice(text)
}

impl<'de> serde::Deserialize<'de> for Value {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Value, D::Error> {
        struct Visitor;
        impl<'de> serde::de::Visitor<'de> for Visitor {
            type Value = Value;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a value")
            }
            fn visit_bool<E>(self, v: bool) -> Result<Value, E> {
                Ok(Value::Bool(v))
            }
            fn visit_i64<E>(self, v: i64) -> Result<Value, E> {
                Ok(Value::Int(v))
            }
            fn visit_u64<E>(self, v: u64) -> Result<Value, E> {
                Ok(Value::from(v))
            }
            fn visit_f64<E>(self, v: f64) -> Result<Value, E> {
                Ok(Value::Float(v))
            }
            fn visit_str<E>(self, v: &str) -> Result<Value, E> {
                Ok(Value::from(v))
            }
            fn visit_bytes<E>(self, v: &[u8]) -> Result<Value, E> {
                Ok(Value::from_bytes(v))
            }
            fn visit_unit<E>(self) -> Result<Value, E> {
                Ok(Value::Null)
            }
            fn visit_none<E>(self) -> Result<Value, E> {
                Ok(Value::Null)
            }
            fn visit_some<D: serde::Deserializer<'de>>(self, d: D) -> Result<Value, D::Error> {
                serde::Deserialize::deserialize(d)
            }
            fn visit_seq<A: serde::de::SeqAccess<'de>>(self, mut seq: A) -> Result<Value, A::Error> {
                let mut items: Vec<Value> = Vec::new();
                while let Some(item) = seq.next_element()? {
                    items.push(item);
                }
                Ok(Value::from(items))
            }
            fn visit_map<A: serde::de::MapAccess<'de>>(self, map: A) -> Result<Value, A::Error> {
                object(map).map(Value::dict)
            }
        }
        deserializer.deserialize_any(Visitor)
    }
}

/// The objects of one document, and of those after it, mostly have the same keys: those that were met last are kept for
/// each thread, and shared.
struct Shapes([Option<Arc<Columns>>; SHAPES]);

const SHAPES: usize = 64;

/// What is longer is not kept.
const MAX_SHAPE: (usize, usize) = (64, 2048);

thread_local! {
    static LAST_SHAPES: RefCell<Shapes> = const { RefCell::new(Shapes([const { None }; SHAPES])) };
}

impl Shapes {
    fn place(first: &str) -> usize {
        let mix = |sum: usize, byte: &u8| sum.wrapping_mul(31).wrapping_add(usize::from(*byte));
        first.as_bytes().iter().take(16).fold(first.len(), mix) % SHAPES
    }

    fn starting_with(&self, first: &str) -> Option<Arc<Columns>> {
        let shape = self.0[Shapes::place(first)].as_ref();
        shape.filter(|shape| shape.names().first().is_some_and(|name| **name == *first)).cloned()
    }

    fn keep(&mut self, shape: &Arc<Columns>) {
        let names = shape.names();
        if let Some(first) = names.first()
            && names.len() <= MAX_SHAPE.0
            && names.iter().map(|name| name.len()).sum::<usize>() <= MAX_SHAPE.1
        {
            self.0[Shapes::place(first)] = Some(shape.clone());
        }
    }
}

fn object<'de, A: serde::de::MapAccess<'de>>(mut map: A) -> Result<Dict, A::Error> {
    let Some(first) = map.next_key_seed(FirstKey)? else { return Ok(Dict::new()) };
    let mut values = Vec::with_capacity(first.as_ref().map_or(4, |shape| shape.len()));
    let mut dict = match first {
        Ok(shape) => {
            values.push(map.next_value()?);
            loop {
                let at = values.len();
                match map.next_key_seed(NextKey(shape.names().get(at)))? {
                    None if at == shape.len() => return Ok(Dict::of_columns(shape, values)),
                    None => {
                        let shape = shape.first(at);
                        LAST_SHAPES.with_borrow_mut(|shapes| shapes.keep(&shape));
                        return Ok(Dict::of_columns(shape, values));
                    }
                    Some(None) => values.push(map.next_value()?),
                    Some(Some(other)) => {
                        let mut dict = Dict::of_columns(shape.first(at), values);
                        dict.set(other, map.next_value::<Value>()?);
                        break dict;
                    }
                }
            }
        }
        Err(name) => {
            let mut dict = Dict::with_capacity(4);
            dict.set(name, map.next_value::<Value>()?);
            dict
        }
    };
    while let Some(name) = map.next_key::<Arc<str>>()? {
        dict.set(name, map.next_value::<Value>()?);
    }
    LAST_SHAPES.with_borrow_mut(|shapes| shapes.keep(dict.columns()));
    Ok(dict)
}

/// Reads the first key of an object: gives the shape that starts with it, or the key.
struct FirstKey;

impl<'de> serde::de::DeserializeSeed<'de> for FirstKey {
    type Value = Result<Arc<Columns>, Arc<str>>;
    fn deserialize<D: serde::Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl serde::de::Visitor<'_> for FirstKey {
    type Value = Result<Arc<Columns>, Arc<str>>;
    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a key")
    }
    fn visit_str<E>(self, key: &str) -> Result<Self::Value, E> {
        Ok(LAST_SHAPES.with_borrow(|shapes| shapes.starting_with(key)).ok_or_else(|| Arc::from(key)))
    }
}

/// Reads a key that is expected: gives None if it is that, else the key.
struct NextKey<'k>(Option<&'k Arc<str>>);

impl<'de> serde::de::DeserializeSeed<'de> for NextKey<'_> {
    type Value = Option<Arc<str>>;
    fn deserialize<D: serde::Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl serde::de::Visitor<'_> for NextKey<'_> {
    type Value = Option<Arc<str>>;
    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a key")
    }
    fn visit_str<E>(self, key: &str) -> Result<Self::Value, E> {
        Ok(if self.0.is_some_and(|expected| **expected == *key) { None } else { Some(Arc::from(key)) })
    }
}

impl serde::Serialize for Value {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        use serde::ser::{SerializeMap, SerializeSeq};
        match self {
            Value::Null => serializer.serialize_unit(),
            Value::Bool(b) => serializer.serialize_bool(*b),
            Value::Int(i) => serializer.serialize_i64(*i),
            Value::UInt(u) => serializer.serialize_u64(*u),
            Value::Float(f) => serializer.serialize_f64(*f),
            Value::Array(items) => {
                let mut seq = serializer.serialize_seq(Some(items.len()))?;
                for item in items.iter() {
                    seq.serialize_element(item)?;
                }
                seq.end()
            }
            Value::Dict(dict) => {
                let mut map = serializer.serialize_map(Some(dict.len()))?;
                for (key, item) in dict.iter() {
                    map.serialize_entry(&**key, item)?;
                }
                map.end()
            }
            other => serializer.serialize_str(&other.to_text()),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_small_value_that_is_endless_when_written_is_cut() {
        let mut value = Value::str("x".repeat(1000));
        for _ in 0..40 {
            value = Value::array([value.clone(), value]);
        }
        let mut out = b"[1]\n".to_vec();
        write_value(&mut out, &value);
        assert!(out.len() < MAX_BYTES + (1 << 20), "{} bytes", out.len());
        let text = std::str::from_utf8(&out[4..]).unwrap();
        assert!(text.contains(std::str::from_utf8(CUT).unwrap()));
        let count = |bracket| text.bytes().filter(|&byte| byte == bracket).count();
        assert_eq!(count(b'['), count(b']'), "every bracket is closed");
    }
}
