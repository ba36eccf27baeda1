//! What the operators do with values.

use std::cmp::Ordering;
use std::sync::Arc;

use jiff::Timestamp;

use crate::builtin::time;
use crate::syntax::ast::BinaryOp;
use crate::value::{Dict, List, Value};

/// `string * int` and sums of texts stop here, in bytes.
const MAX_REPEAT: usize = 100 << 20;

/// Sums of arrays stop here.
const MAX_ITEMS: usize = 10 << 20;

/// `=`: same type, or numbers and booleans by number, a boolean and the text that says so, a time and its epoch number,
/// arrays element by element.
pub fn equal(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Null, Value::Null) => true,
        (Value::Null, _) | (_, Value::Null) => false,
        (Value::Int(a), Value::Int(b)) => a == b,
        (Value::UInt(a), Value::UInt(b)) => a == b,
        (Value::Str(a), Value::Str(b)) => a == b,
        (Value::Time(a), Value::Time(b)) => a == b,
        (Value::Bool(b), Value::Str(s)) | (Value::Str(s), Value::Bool(b)) => {
            *b == matches!(&**s, "Y" | "y" | "true" | "True" | "TRUE")
        }
        (Value::Time(t), other) | (other, Value::Time(t)) => other.as_f64().is_some_and(|n| n == seconds(t)),
        (Value::Array(a), Value::Array(b)) => {
            Arc::ptr_eq(a, b) || a.len() == b.len() && a.iter().zip(b.iter()).all(|(a, b)| equal(a, b))
        }
        (Value::Dict(a), Value::Dict(b)) => {
            let same = |(key, value): (&Arc<str>, &Value)| b.get(key).is_some_and(|other| equal(value, other));
            Arc::ptr_eq(a, b) || a.len() == b.len() && a.iter().all(same)
        }
        (Value::Query(a), Value::Query(b)) => Arc::ptr_eq(a, b),
        (Value::Object(a), Value::Object(b)) if Arc::ptr_eq(a, b) => true,
        (Value::Object(object), other) | (other, Value::Object(object)) if object.compare(other).is_some() => {
            object.compare(other).is_some_and(Ordering::is_eq)
        }
        _ => match (a.as_f64(), b.as_f64()) {
            (Some(a), Some(b)) => a == b,
            _ => matches!((a.as_bytes(), b.as_bytes()), (Some(a), Some(b)) if a == b),
        },
    }
}

/// The order of two values for `<` and `>`; None for NULL and for types that have no common order. Arrays go by their
/// first element, dicts by their length.
pub fn compare(a: &Value, b: &Value) -> Option<Ordering> {
    match (a, b) {
        (Value::Int(a), Value::Int(b)) => Some(a.cmp(b)),
        (Value::UInt(a), Value::UInt(b)) => Some(a.cmp(b)),
        (Value::Str(a), Value::Str(b)) => Some(a.cmp(b)),
        (Value::Time(a), Value::Time(b)) => Some(a.cmp(b)),
        (Value::Time(a), b) => compare_time(a, b),
        (a, Value::Time(b)) => compare_time(b, a).map(Ordering::reverse),
        (Value::Bool(_), _) | (_, Value::Bool(_)) => None,
        (Value::Dict(a), Value::Dict(b)) => Some(a.len().cmp(&b.len())),
        (Value::Array(a), Value::Array(b)) => match (a.first(), b.first()) {
            (Some(a), Some(b)) => compare(a, b),
            (a, b) => Some(a.is_some().cmp(&b.is_some())),
        },
        (Value::Object(object), other) if object.compare(other).is_some() => object.compare(other),
        (other, Value::Object(object)) if object.compare(other).is_some() => {
            object.compare(other).map(Ordering::reverse)
        }
        _ => match (a.as_f64(), b.as_f64()) {
            (Some(a), Some(b)) => a.partial_cmp(&b),
            (None, None) => Some(a.as_bytes()?.cmp(b.as_bytes()?)),
            _ => None,
        },
    }
}

fn compare_time(time: &Timestamp, other: &Value) -> Option<Ordering> {
    seconds(time).partial_cmp(&other.as_f64()?)
}

fn seconds(time: &Timestamp) -> f64 {
    time.as_second() as f64 + f64::from(time.subsec_nanosecond()) / 1e9
}

/// For ORDER BY, a total order: NULL and the empty string, numbers, times, then the rest by text.
pub fn sort_order(a: &Value, b: &Value) -> Ordering {
    fn rank(value: &Value) -> u8 {
        match value {
            Value::Null => 0,
            Value::Str(s) if s.is_empty() => 0,
            Value::Bool(_) | Value::Int(_) | Value::UInt(_) | Value::Float(_) => 1,
            Value::Time(_) => 2,
            _ => 3,
        }
    }
    rank(a).cmp(&rank(b)).then_with(|| match (a, b) {
        (Value::Int(a), Value::Int(b)) => a.cmp(b),
        (Value::Time(a), Value::Time(b)) => a.cmp(b),
        (Value::Str(a), Value::Str(b)) => a.cmp(b),
        _ => match (number_order(a), number_order(b)) {
            (Some(a), Some(b)) => a.cmp(&b),
            _ if rank(a) == 0 => Ordering::Equal,
            _ => a.to_text().cmp(&b.to_text()),
        },
    })
}

/// A number as what sorts like it: the float that is nearest, its bits so that they sort, and how much a whole number is
/// above or below that float. Without the second, three numbers could each be equal to the next but in order.
pub(crate) fn number_order(value: &Value) -> Option<(u64, i64)> {
    let float = value.as_f64()?;
    let bits = float.to_bits();
    let sortable = if bits >> 63 == 1 { !bits } else { bits | 1 << 63 };
    let rest = match value {
        // A float says all of it.
        Value::Int(n) if n.unsigned_abs() <= 1 << 53 => 0,
        Value::Int(n) => i128::from(*n) - float as i128,
        Value::UInt(n) => i128::from(*n) - float as i128,
        _ => 0,
    };
    Some((sortable, rest as i64))
}

/// Whether a sum would be longer than any text or array may get: a LET that doubles its argument fills the memory in
/// forty calls.
pub(crate) fn sum_is_too_long(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Array(a), Value::Array(b)) => a.len() + b.len() > MAX_ITEMS,
        _ => matches!((a.as_bytes(), b.as_bytes()), (Some(a), Some(b)) if a.len() + b.len() > MAX_REPEAT),
    }
}

pub fn add(a: &Value, b: &Value) -> Value {
    match (a, b) {
        (Value::Null, _) | (_, Value::Null) => Value::Null,
        (Value::Int(a), Value::Int(b)) => Value::Int(a.wrapping_add(*b)),
        (Value::Str(a), Value::Str(b)) => Value::from([&**a, &**b].concat()),
        (Value::Object(object), other) => object.add(other).unwrap_or_default(),
        (Value::Array(items), other) => {
            let mut list = List::clone(items);
            match other {
                Value::Array(more) => list.extend(more.iter().cloned()),
                one => list.push(one.clone()),
            }
            Value::Array(Arc::new(list))
        }
        (one, Value::Array(more)) => Value::array(std::iter::once(one).chain(more.iter()).cloned()),
        (Value::Dict(a), Value::Dict(b)) => {
            let mut sum = Dict::clone(a);
            for (key, value) in b.iter() {
                sum.set(key.clone(), value.clone());
            }
            Value::dict(sum)
        }
        (Value::Query(a), Value::Query(b)) => {
            Value::Query(Arc::new(crate::eval::StoredQuery::concat(a.clone(), b.clone())))
        }
        (Value::Time(t), n) | (n, Value::Time(t)) => number(n).map_or(Value::Null, |n| shift(t, n)),
        _ => match (a.as_bytes(), b.as_bytes()) {
            (Some(a), Some(b)) => Value::from_bytes([a, b].concat()),
            _ => floats(a, b, |a, b| a + b),
        },
    }
}

fn shift(time: &Timestamp, by: f64) -> Value {
    let by = jiff::SignedDuration::try_from_secs_f64(by).ok();
    by.and_then(|by| time.checked_add(by).ok()).map_or(Value::Null, Value::Time)
}

pub fn sub(a: &Value, b: &Value) -> Value {
    match (a, b) {
        (Value::Int(a), Value::Int(b)) => Value::Int(a.wrapping_sub(*b)),
        (Value::Time(a), Value::Time(b)) => Value::Float(seconds(a) - seconds(b)),
        // Dicts are sets of their keys, here and in `*`.
        (Value::Dict(a), Value::Dict(b)) => keep(a, |key| !b.contains(key)),
        (Value::Time(t), n) => number(n).map_or(Value::Null, |n| shift(t, -n)),
        _ => floats(a, b, |a, b| a - b),
    }
}

pub fn mul(a: &Value, b: &Value) -> Value {
    match (a, b) {
        (Value::Int(a), Value::Int(b)) => Value::Int(a.wrapping_mul(*b)),
        (Value::Str(text), Value::Int(n)) | (Value::Int(n), Value::Str(text)) => {
            let n = usize::try_from(*n).unwrap_or(0);
            if text.len().saturating_mul(n) > MAX_REPEAT { Value::Null } else { Value::from(text.repeat(n)) }
        }
        (Value::Dict(a), Value::Dict(b)) => keep(a, |key| b.contains(key)),
        _ => floats(a, b, |a, b| a * b),
    }
}

fn keep(dict: &Dict, wanted: impl Fn(&str) -> bool) -> Value {
    Value::dict(dict.iter().filter(|(key, _)| wanted(key)).map(|(key, value)| (key.clone(), value.clone())).collect())
}

/// `/`: always a float, by zero NULL.
pub fn div(a: &Value, b: &Value) -> Value {
    if number(b) == Some(0.0) { Value::Null } else { floats(a, b, |a, b| a / b) }
}

pub fn rem(a: &Value, b: &Value) -> Value {
    match (a, b) {
        (Value::Int(a), Value::Int(b)) if *b != 0 => Value::Int(a.wrapping_rem(*b)),
        _ if number(b) == Some(0.0) => Value::Null,
        _ => floats(a, b, |a, b| a % b),
    }
}

/// Arithmetic of two numbers; None for everything else.
pub(crate) fn calculate(op: BinaryOp, a: &Value, b: &Value) -> Option<Value> {
    (number(a).is_some() && number(b).is_some()).then_some(())?;
    Some(match op {
        BinaryOp::Add => add(a, b),
        BinaryOp::Sub => sub(a, b),
        BinaryOp::Mul => mul(a, b),
        BinaryOp::Div => div(a, b),
        BinaryOp::Rem => rem(a, b),
        _ => return None,
    })
}

/// Unary minus: a boolean is inverted, a number negated, anything else NULL.
pub fn negate(value: &Value) -> Value {
    match value {
        Value::Bool(b) => Value::Bool(!b),
        Value::Int(i) => Value::Int(i.wrapping_neg()),
        Value::UInt(u) => Value::Float(-(*u as f64)),
        Value::Float(f) => Value::Float(-f),
        _ => Value::Null,
    }
}

fn number(value: &Value) -> Option<f64> {
    if matches!(value, Value::Bool(_)) { None } else { value.as_f64() }
}

fn floats(a: &Value, b: &Value, op: impl Fn(f64, f64) -> f64) -> Value {
    match (number(a), number(b)) {
        (Some(a), Some(b)) => Value::Float(op(a, b)),
        _ => Value::Null,
    }
}

/// `a IN b`: substring, key of a dict, or equality with an element.
pub fn contains(a: &Value, b: &Value) -> bool {
    match b {
        Value::Null => false,
        Value::Str(_) | Value::Bytes(_) | Value::Object(_) if b.as_bytes().is_some() => {
            match (a.as_bytes(), b.as_bytes()) {
                (Some(part), Some(text)) => memchr::memmem::find(text, part).is_some(),
                _ => false,
            }
        }
        Value::Dict(dict) => a.as_str().is_some_and(|key| dict.contains(key)),
        Value::Array(items) => items.iter().any(|item| equal(a, item)),
        Value::Object(object) if let Some(items) = object.elements() => items.iter().any(|item| equal(a, item)),
        other => equal(a, other),
    }
}

/// `value[index]`: an element, or the byte at a place of a string; negative from the end, NULL out of range. On a
/// dict the member of that name.
pub fn index(value: &Value, index: &Value) -> Value {
    if let (Value::Dict(_) | Value::Object(_), Value::Str(name)) = (value, index) {
        return member(value, name).unwrap_or_default();
    }
    let at = match index {
        Value::Str(_) | Value::Time(_) => None,
        other => other.as_int(),
    };
    let place = |len: usize| {
        let at = at?;
        let at = if at < 0 { at.checked_add(i64::try_from(len).ok()?)? } else { at };
        usize::try_from(at).ok().filter(|at| *at < len)
    };
    if let Value::Object(object) = value {
        let Some(elements) = object.elements() else { return Value::Null };
        return place(elements.len()).map_or(Value::Null, |at| elements[at].clone());
    }
    match (value, value.as_bytes()) {
        (Value::Array(items), _) => place(items.len()).map_or(Value::Null, |at| items[at].clone()),
        (_, Some(bytes)) => place(bytes.len()).map_or(Value::Null, |at| Value::from(bytes[at])),
        _ => Value::Null,
    }
}

/// `value[start:end]`, clamped; negative counts from the end.
pub fn slice(value: &Value, start: Option<i64>, end: Option<i64>) -> Value {
    let range = |len: usize| {
        let clamp = |at: i64| {
            let len = i64::try_from(len).unwrap_or(i64::MAX);
            let at = if at < 0 { at.saturating_add(len) } else { at };
            at.clamp(0, len) as usize
        };
        let from = clamp(start.unwrap_or(0));
        from..end.map_or(len, clamp).max(from)
    };
    if let Value::Object(object) = value {
        let Some(elements) = object.elements() else { return Value::Null };
        return Value::array(elements[range(elements.len())].iter().cloned());
    }
    match (value, value.as_bytes()) {
        (Value::Array(items), _) => Value::array(items[range(items.len())].iter().cloned()),
        (_, Some(bytes)) => Value::from_bytes(&bytes[range(bytes.len())]),
        _ => Value::Null,
    }
}

/// `.name` on a value that is no query: a key, `@Keys` and the like, a member of each element of an array. None when
/// there is no such member.
pub fn member(value: &Value, name: &str) -> Option<Value> {
    match value {
        Value::Dict(dict) => dict.get(name).cloned().or_else(|| {
            // Older queries have these without the sign.
            let name = name.strip_prefix('@').unwrap_or(name);
            special(dict, name).or_else(|| match name {
                "String" => Some(Value::from(value.to_json())),
                "ToMap" => Some(value.clone()),
                _ => None,
            })
        }),
        Value::Array(items) if name == "@Len" => Some(Value::from(items.len())),
        Value::Array(items) => Some(Value::array(items.iter().filter_map(|item| match item {
            // What such an element does not have is left out: only the sign asks for more than its keys.
            Value::Dict(dict) => {
                dict.get(name).cloned().or_else(|| name.strip_prefix('@').and_then(|name| special(dict, name)))
            }
            other => member(other, name),
        }))),
        Value::Object(object) => object.get(name),
        Value::Time(time) => time::member(time, name),
        _ => None,
    }
}

/// What every dict has beside its keys.
fn special(dict: &Dict, name: &str) -> Option<Value> {
    Some(match name {
        "Keys" => Value::array(dict.keys().cloned().map(Value::Str)),
        "Values" => Value::array(dict.values().cloned()),
        "Len" => Value::from(dict.len()),
        "Items" => items(dict),
        _ => return None,
    })
}

/// A dict as the array of its `{_key, _value}`.
pub fn items(dict: &Dict) -> Value {
    Value::array(
        dict.iter()
            .map(|(key, value)| Value::dict(Dict::of([("_key", Value::Str(key.clone())), ("_value", value.clone())]))),
    )
}
