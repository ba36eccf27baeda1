//! What VQL computes with: values, dicts and objects, all cheap to clone and safe to share between threads.

use std::fmt;
use std::sync::Arc;

use jiff::Timestamp;

use crate::eval::{Lookup, LookupSlot, StoredQuery};
use crate::row::Columns;

/// One VQL value. Cloning copies a word or bumps a reference count, never the content.
#[derive(Clone, Default)]
pub enum Value {
    #[default]
    Null,
    Bool(bool),
    Int(i64),
    /// Only for what does not fit `i64`; build it through `Value::from(u64)`, which keeps smaller numbers `Int`.
    UInt(u64),
    Float(f64),
    Str(Arc<str>),
    /// Text that is not UTF-8, or data. In JSON the invalid parts become U+FFFD, as existing users expect of
    /// binary strings; `base64encode` or `format(format='%x')` keep them whole.
    Bytes(Arc<[u8]>),
    Time(Timestamp),
    Array(Arc<List>),
    Dict(Arc<Dict>),
    /// A query that runs when it is used.
    Query(Arc<StoredQuery>),
    /// Something of a plugin's own: a cache, an open file, a parsed binary.
    Object(Arc<dyn Object>),
}

/// Makes an object from what [`Object::packed`] gave.
pub type Unpack = fn(&Value) -> Option<Value>;

/// A value with behaviour of its own, made by a plugin or function.
pub trait Object: Send + Sync + fmt::Debug {
    /// The name that `typeof()` gives.
    fn type_name(&self) -> &'static str;
    /// The member `name`, None when there is none.
    fn get(&self, name: &str) -> Option<Value>;
    /// The names of the members in order; what JSON and `items()` show.
    fn members(&self) -> Vec<Arc<str>> {
        Vec::new()
    }
    /// Sets a member (`set()`); false when this object does not take it.
    fn set(&self, _name: &str, _value: Value) -> bool {
        false
    }
    /// The text form; None shows the members as a dict.
    fn text(&self) -> Option<Arc<str>> {
        None
    }
    /// What operators see in its place, where it is to be compared, searched and matched as text.
    fn as_bytes(&self) -> Option<&[u8]> {
        None
    }
    /// What `[i]` and `[a:b]` count.
    fn elements(&self) -> Option<Vec<Value>> {
        None
    }
    /// `self + other`; None where that means nothing.
    fn add(&self, _other: &Value) -> Option<Value> {
        None
    }
    /// What makes it again: for small objects of which queries keep many, so that rows with them fit on disk. Others stay
    /// in memory beside it.
    fn packed(&self) -> Option<(Value, Unpack)> {
        None
    }
    /// The value that operators, functions, FROM and JSON see instead, of an object that is a number or an array with
    /// members of its own. It holds no such object itself.
    fn plain(&self) -> Option<Value> {
        None
    }
    /// How it compares with another value for `=`, `<` and `>`; None when it does not.
    fn compare(&self, _other: &Value) -> Option<std::cmp::Ordering> {
        None
    }
    /// For functions that look for their own type again.
    fn as_any(&self) -> &dyn std::any::Any;
}

impl Value {
    pub const EMPTY_STR: &'static str = "";

    pub fn str(text: impl AsRef<str>) -> Value {
        Value::Str(Arc::from(text.as_ref()))
    }

    /// A string when the bytes are UTF-8, else bytes.
    pub fn from_bytes(bytes: impl AsRef<[u8]>) -> Value {
        let bytes = bytes.as_ref();
        match std::str::from_utf8(bytes) {
            Ok(text) => Value::Str(Arc::from(text)),
            Err(_) => Value::Bytes(Arc::from(bytes)),
        }
    }

    pub fn array(items: impl IntoIterator<Item = Value>) -> Value {
        Value::Array(Arc::new(items.into_iter().collect()))
    }

    pub fn dict(dict: Dict) -> Value {
        Value::Dict(Arc::new(dict))
    }

    /// Seconds and nanoseconds since the epoch; NULL when out of the calendar's range.
    pub fn time(seconds: i64, nanos: i32) -> Value {
        Timestamp::new(seconds, nanos).map_or(Value::Null, Value::Time)
    }

    /// How many arrays and dicts lie inside each other at most.
    fn depth(&self) -> u32 {
        match self {
            Value::Array(list) => list.depth,
            Value::Dict(dict) => dict.depth,
            _ => 0,
        }
    }

    /// What stands for an object, where it says so; every other value as it is.
    pub fn plain(self) -> Value {
        match &self {
            Value::Object(object) => object.plain().unwrap_or(self),
            _ => self,
        }
    }

    pub fn is_null(&self) -> bool {
        matches!(self, Value::Null)
    }

    /// What a condition makes of the value. A stored query counts as true here; whether it has rows needs a
    /// [`Context`](crate::scope::Context), see `Context::truth`.
    pub fn truth(&self) -> bool {
        match self {
            Value::Null => false,
            Value::Bool(b) => *b,
            Value::Int(i) => *i > 0,
            Value::UInt(_) => true,
            Value::Float(f) => *f > 0.0,
            Value::Str(s) => !s.is_empty(),
            Value::Bytes(b) => !b.is_empty(),
            Value::Time(t) => *t > Timestamp::UNIX_EPOCH,
            Value::Array(a) => !a.is_empty(),
            Value::Dict(d) => !d.is_empty(),
            Value::Query(_) => true,
            Value::Object(o) => match o.plain() {
                Some(plain) => plain.truth(),
                None => o.as_bytes().is_none_or(|bytes| !bytes.is_empty()),
            },
        }
    }

    /// The number behind a number or boolean.
    pub fn as_f64(&self) -> Option<f64> {
        match self {
            Value::Bool(b) => Some(f64::from(u8::from(*b))),
            Value::Int(i) => Some(*i as f64),
            Value::UInt(u) => Some(*u as f64),
            Value::Float(f) => Some(*f),
            _ => None,
        }
    }

    /// A whole number: integers, floats cut towards zero, booleans, decimal or 0x text, times in seconds.
    pub fn as_int(&self) -> Option<i64> {
        match self {
            Value::Bool(b) => Some(i64::from(*b)),
            Value::Int(i) => Some(*i),
            Value::UInt(u) => i64::try_from(*u).ok(),
            Value::Float(f) => Some(*f as i64),
            Value::Str(s) => parse_int(s),
            Value::Time(t) => Some(t.as_second()),
            _ => None,
        }
    }

    pub fn as_str(&self) -> Option<&str> {
        match self {
            Value::Str(s) => Some(s),
            Value::Object(object) => object.as_bytes().and_then(|bytes| std::str::from_utf8(bytes).ok()),
            _ => None,
        }
    }

    /// The bytes of a string, of data, or of an object that stands for text.
    pub fn as_bytes(&self) -> Option<&[u8]> {
        match self {
            Value::Str(s) => Some(s.as_bytes()),
            Value::Bytes(b) => Some(b),
            Value::Object(object) => object.as_bytes(),
            _ => None,
        }
    }

    pub fn as_array(&self) -> Option<&[Value]> {
        match self {
            Value::Array(a) => Some(&a[..]),
            _ => None,
        }
    }

    pub fn as_dict(&self) -> Option<&Dict> {
        match self {
            Value::Dict(d) => Some(d),
            _ => None,
        }
    }

    /// The name that `typeof()` gives.
    pub fn type_name(&self) -> &'static str {
        match self {
            Value::Null => "Null",
            Value::Bool(_) => "bool",
            Value::Int(_) => "int64",
            Value::UInt(_) => "uint64",
            Value::Float(_) => "float64",
            Value::Str(_) => "string",
            Value::Bytes(_) => "[]uint8",
            Value::Time(_) => "time.Time",
            Value::Array(_) => "[]vfilter.Any",
            Value::Dict(_) => "*ordereddict.Dict",
            Value::Query(query) if query.kept().is_some() => "[]vfilter.Any",
            Value::Query(_) => "*vfilter.StoredQuery",
            Value::Object(o) => o.type_name(),
        }
    }

    /// The text form: strings as they are, numbers in decimal, times RFC 3339, arrays and dicts as JSON, NULL as
    /// `NULL`. GROUP BY keys, `%v` and string arguments use it.
    pub fn to_text(&self) -> Arc<str> {
        match self {
            Value::Str(s) => s.clone(),
            Value::Null => Arc::from("NULL"),
            Value::Bytes(b) => Arc::from(String::from_utf8_lossy(b)),
            Value::Time(t) => Arc::from(t.to_string()),
            Value::Object(o) if o.text().is_some() => o.text().unwrap_or_default(),
            other => {
                let mut out = Vec::new();
                crate::json::write_value(&mut out, other);
                Arc::from(String::from_utf8_lossy(&out))
            }
        }
    }

    /// The value as compact JSON, see [`crate::json`].
    pub fn to_json(&self) -> String {
        let mut out = Vec::new();
        crate::json::write_value(&mut out, self);
        String::from_utf8_lossy(&out).into_owned()
    }
}

/// Decimal, or hexadecimal after `0x`; white space around is ignored.
pub(crate) fn parse_int(text: &str) -> Option<i64> {
    let text = text.trim();
    let (negative, digits) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    let magnitude = match digits.strip_prefix("0x").or_else(|| digits.strip_prefix("0X")) {
        Some(hex) => i128::from(u64::from_str_radix(hex, 16).ok()?),
        None if digits.starts_with(|c: char| c.is_ascii_digit()) => match digits.parse::<u64>() {
            Ok(n) => i128::from(n),
            Err(_) => return digits.parse::<f64>().ok().map(|f| if negative { -f as i64 } else { f as i64 }),
        },
        None => return None,
    };
    let signed = if negative { -magnitude } else { magnitude };
    // A hexadecimal address above i64::MAX wraps like the same bits of an i64.
    Some(i64::try_from(signed).unwrap_or(signed as u64 as i64))
}

impl fmt::Debug for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Value::Bytes(b) => write!(f, "Bytes({} bytes)", b.len()),
            Value::Object(o) => write!(f, "Object({})", o.type_name()),
            Value::Query(_) => f.write_str("Query"),
            other => f.write_str(&other.to_json()),
        }
    }
}

impl PartialEq for Value {
    /// VQL's `=`, see [`crate::eval::ops::equal`]; stored queries are equal when they are the same one.
    fn eq(&self, other: &Value) -> bool {
        crate::eval::ops::equal(self, other)
    }
}

macro_rules! from {
    ($($from:ty => |$v:ident| $to:expr;)*) => {$(
        impl From<$from> for Value {
            fn from($v: $from) -> Value { $to }
        }
    )*};
}

from! {
    () => |_v| Value::Null;
    bool => |v| Value::Bool(v);
    i64 => |v| Value::Int(v);
    i32 => |v| Value::Int(i64::from(v));
    i16 => |v| Value::Int(i64::from(v));
    u32 => |v| Value::Int(i64::from(v));
    u16 => |v| Value::Int(i64::from(v));
    u8 => |v| Value::Int(i64::from(v));
    usize => |v| Value::from(v as u64);
    u64 => |v| i64::try_from(v).map_or(Value::UInt(v), Value::Int);
    f64 => |v| Value::Float(v);
    f32 => |v| Value::Float(f64::from(v));
    &str => |v| Value::Str(Arc::from(v));
    &String => |v| Value::Str(Arc::from(v.as_str()));
    String => |v| Value::Str(Arc::from(v));
    Arc<str> => |v| Value::Str(v);
    std::borrow::Cow<'_, str> => |v| Value::Str(Arc::from(v));
    &[u8] => |v| Value::from_bytes(v);
    Timestamp => |v| Value::Time(v);
    std::time::SystemTime => |v| Timestamp::try_from(v).map_or(Value::Null, Value::Time);
    Dict => |v| Value::Dict(Arc::new(v));
    Arc<Dict> => |v| Value::Dict(v);
    Arc<StoredQuery> => |v| Value::Query(v);
    &std::path::Path => |v| Value::from_bytes(v.as_os_str().as_encoded_bytes());
    std::path::PathBuf => |v| Value::from(v.as_path());
}

impl<T: Into<Value>> From<Option<T>> for Value {
    fn from(v: Option<T>) -> Value {
        v.map_or(Value::Null, Into::into)
    }
}

impl<T: Into<Value>> From<Vec<T>> for Value {
    fn from(v: Vec<T>) -> Value {
        Value::array(v.into_iter().map(Into::into))
    }
}

/// Arrays and dicts nest no deeper than this: a value that would is NULL in its container. Whoever walks a value
/// may recurse, and so may its drop. Below what the hub takes of a row, and what readers of JSON give up at.
pub const MAX_NESTING: u32 = 100;

/// The elements of an array.
#[derive(Clone, Debug, Default)]
pub struct List {
    items: Vec<Value>,
    /// 1 more than that of the deepest element.
    depth: u32,
    lookup: LookupSlot,
}

impl List {
    /// What finds its elements by their members.
    pub(crate) fn lookup(&self) -> &Lookup {
        self.lookup.get()
    }

    pub fn push(&mut self, value: Value) {
        self.lookup = LookupSlot::default();
        self.items.push(nested(value, &mut self.depth));
    }

    /// Replaces the element at `index`, which is there.
    pub fn set(&mut self, index: usize, value: Value) {
        self.lookup = LookupSlot::default();
        self.items[index] = nested(value, &mut self.depth);
    }
}

/// The value as it goes into a container whose depth is `depth`.
fn nested(value: Value, depth: &mut u32) -> Value {
    let inner = value.depth() + 1;
    if inner > MAX_NESTING {
        return Value::Null;
    }
    *depth = inner.max(*depth);
    value
}

impl std::ops::Deref for List {
    type Target = [Value];
    fn deref(&self) -> &[Value] {
        &self.items
    }
}

impl FromIterator<Value> for List {
    fn from_iter<I: IntoIterator<Item = Value>>(iter: I) -> List {
        let mut depth = 1;
        let items = iter.into_iter().map(|value| nested(value, &mut depth)).collect();
        List { items, depth, lookup: LookupSlot::default() }
    }
}

impl Extend<Value> for List {
    fn extend<I: IntoIterator<Item = Value>>(&mut self, iter: I) {
        for value in iter {
            self.push(value);
        }
    }
}

/// An ordered map from names to values. Dicts that were made alike share their names.
#[derive(Clone, Debug, Default)]
pub struct Dict {
    /// No name is there twice.
    columns: Arc<Columns>,
    /// As many as there are names.
    values: Vec<Value>,
    /// 1 more than that of the deepest value.
    depth: u32,
}

impl Dict {
    pub fn new() -> Dict {
        Dict::default()
    }

    pub fn with_capacity(n: usize) -> Dict {
        Dict { values: Vec::with_capacity(n), ..Dict::default() }
    }

    /// `Dict::of([("Name", "eth0".into()), …])`
    pub fn of<K: Into<Arc<str>>>(entries: impl IntoIterator<Item = (K, Value)>) -> Dict {
        entries.into_iter().map(|(k, v)| (k.into(), v)).collect()
    }

    /// The values, as many as there are columns, under the names of the columns. Of equal names the last one's value
    /// counts.
    pub fn of_columns(columns: Arc<Columns>, mut values: Vec<Value>) -> Dict {
        if columns.repeats() {
            return columns.names().iter().cloned().zip(values).collect();
        }
        let mut depth = 1;
        for value in &mut values {
            if value.depth() > 0 {
                *value = nested(std::mem::take(value), &mut depth);
            }
        }
        values.resize(columns.len(), Value::Null);
        Dict { columns, values, depth }
    }

    /// Sets `name`; a name that is there keeps its place.
    pub fn set(&mut self, name: impl Into<Arc<str>>, value: impl Into<Value>) {
        let value = nested(value.into(), &mut self.depth);
        let name = name.into();
        match self.columns.index(&name) {
            Some(at) => self.values[at] = value,
            None => {
                Arc::make_mut(&mut self.columns).push(name);
                self.values.push(value);
            }
        }
    }

    pub fn get(&self, name: &str) -> Option<&Value> {
        self.columns.index(name).map(|at| &self.values[at])
    }

    /// Takes `name` out; the order of the others stays.
    pub fn remove(&mut self, name: &str) -> Option<Value> {
        let at = self.columns.index(name)?;
        Arc::make_mut(&mut self.columns).remove(at);
        Some(self.values.remove(at))
    }

    pub fn contains(&self, name: &str) -> bool {
        self.columns.index(name).is_some()
    }

    pub fn len(&self) -> usize {
        self.values.len()
    }

    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&Arc<str>, &Value)> {
        self.columns.names().iter().zip(&self.values)
    }

    pub fn keys(&self) -> impl ExactSizeIterator<Item = &Arc<str>> {
        self.columns.names().iter()
    }

    pub fn values(&self) -> impl ExactSizeIterator<Item = &Value> {
        self.values.iter()
    }

    /// The names, which other dicts may share.
    pub fn columns(&self) -> &Arc<Columns> {
        &self.columns
    }

    /// The value at a place.
    pub fn at(&self, index: usize) -> Option<&Value> {
        self.values.get(index)
    }
}

impl FromIterator<(Arc<str>, Value)> for Dict {
    fn from_iter<I: IntoIterator<Item = (Arc<str>, Value)>>(iter: I) -> Dict {
        let entries = iter.into_iter();
        let mut dict = Dict::with_capacity(entries.size_hint().0);
        dict.depth = 1;
        for (name, value) in entries {
            dict.set(name, value);
        }
        dict
    }
}

impl IntoIterator for Dict {
    type Item = (Arc<str>, Value);
    type IntoIter = std::iter::Zip<std::vec::IntoIter<Arc<str>>, std::vec::IntoIter<Value>>;
    fn into_iter(self) -> Self::IntoIter {
        self.columns.names().to_vec().into_iter().zip(self.values)
    }
}
