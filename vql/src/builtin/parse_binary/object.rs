//! What `parse_binary()` gives: structs, arrays and what is known of single fields, read when somebody looks.

use std::any::Any;
use std::cell::Cell;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::ThreadId;

use parking_lot::Mutex;

use super::profile::{End, Field, Given, Number, Profile, Struct, Text, Type};
use super::reader::Reader;
use crate::eval::Lambda;
use crate::eval::ops;
use crate::scope::{Aggregates, Context, Shared};
use crate::value::{Dict, List, Object, Value};

/// How many elements an array has at most when the profile does not say.
const USUAL_COUNT: i64 = 1000;

/// How many elements an array has at most.
const MAX_COUNT: i64 = 1_000_000;

/// How many bytes a text has at most when the profile does not say.
const USUAL_TEXT: i64 = 1024;

/// How many bytes a text has at most.
const MAX_TEXT: i64 = 16 << 20;

/// How many values one call may read over all.
const MAX_STEPS: u64 = 20_000_000;

/// How many lambdas it may call, and how many structs it may make.
const MAX_CALLS: u64 = 3_000_000;
const MAX_STRUCTS: u64 = 1_000_000;

/// How deep fields may need each other.
const MAX_DEPTH: u32 = 60;

/// How deep structs may lie in each other.
const MAX_NESTING: u32 = 500;

thread_local! {
    /// How many fields are being computed on this thread, one for the other.
    static DEPTH: Cell<u32> = const { Cell::new(0) };
}

/// What all objects of one call share.
struct Root {
    profile: Arc<Profile>,
    reader: Arc<Reader>,
    /// What the query's scope held at the call, as far as lambdas name it.
    vars: Vec<(Arc<str>, Value)>,
    /// The query's surroundings, but not the query: one of its variables may hold an object, which must not keep it.
    shared: Arc<Shared>,
    steps: AtomicU64,
    calls: AtomicU64,
    structs: AtomicU64,
}

/// Where a struct lies, and in which.
struct Place {
    index: usize,
    at: u64,
    parent: Option<Arc<Place>>,
    depth: u32,
}

/// A struct at a place, and what was read of it.
struct Instance {
    root: Arc<Root>,
    place: Arc<Place>,
    cells: Mutex<Vec<Slot>>,
}

#[derive(Clone)]
enum Slot {
    Empty,
    /// Being computed by a thread: if it is met again there, the field needs itself.
    Busy(ThreadId),
    Done(Value),
}

/// The object of the struct that the call asked for.
pub(super) fn start(
    cx: &Context<'_>,
    profile: Arc<Profile>,
    reader: Arc<Reader>,
    vars: Vec<(Arc<str>, Value)>,
    at: u64,
) -> Value {
    let shared = cx.shared.detached(&profile.words);
    let (steps, calls, structs) = Default::default();
    let root = Arc::new(Root { profile: profile.clone(), reader, vars, shared, steps, calls, structs });
    root.read(&profile.start, None, at)
}

impl Root {
    /// Calls `f` in the scope of the call.
    fn with_cx<R>(&self, f: impl FnOnce(&Context<'_>) -> R) -> R {
        let aggregates = Aggregates::default();
        let base = Context::root(&self.shared, &aggregates);
        f(&base.with_vars(&self.vars))
    }

    fn error(&self, message: &str) {
        self.with_cx(|cx| cx.error(format!("parse_binary: {message}")));
    }

    /// Accounts for one value more; false when it is too many or the query is to stop.
    fn step(&self) -> bool {
        let steps = self.steps.load(Ordering::Relaxed);
        if steps.is_multiple_of(256) && self.with_cx(|cx| cx.charge(1).is_break()) {
            return false;
        }
        self.within(&self.steps, MAX_STEPS, "values were read")
    }

    /// Counts one more; says once that it is one too many.
    fn within(&self, counter: &AtomicU64, most: u64, what: &str) -> bool {
        let count = counter.fetch_add(1, Ordering::Relaxed);
        if count == most {
            self.error(&format!("more than {most} {what}: what needs more is NULL"));
        }
        count < most
    }

    /// Up to `len` bytes; fewer at the end of the file.
    fn bytes(&self, at: u64, len: usize) -> Vec<u8> {
        let mut bytes = vec![0; len];
        let found = self.fill(at, &mut bytes);
        bytes.truncate(found);
        bytes
    }

    fn fill(&self, at: u64, out: &mut [u8]) -> usize {
        self.with_cx(|cx| self.reader.read(cx, at, out)).unwrap_or_else(|error| {
            self.error(&format!("the file at {at}: {error}"));
            0
        })
    }

    fn call(&self, lambda: &Lambda, argument: Value) -> Value {
        if !self.within(&self.calls, MAX_CALLS, "lambdas were called") {
            return Value::Null;
        }
        self.with_cx(|cx| cx.materialize(cx.call(lambda, &[argument])))
    }

    /// The number behind a little-endian or big-endian integer of 1 to 8 bytes; None past the end of the file.
    fn unsigned(&self, at: u64, size: u8, big: bool) -> Option<u64> {
        let mut bytes = [0; 8];
        let bytes = &mut bytes[..usize::from(size)];
        if self.fill(at, bytes) < bytes.len() {
            return None;
        }
        let join = |sum: u64, byte: &u8| sum << 8 | u64::from(*byte);
        Some(if big { bytes.iter().fold(0, join) } else { bytes.iter().rev().fold(0, join) })
    }

    /// Reads a value of a type. `this` is the struct that it is part of.
    fn read(self: &Arc<Root>, kind: &Type, this: Option<&Arc<Instance>>, at: u64) -> Value {
        if !self.step() {
            return Value::Null;
        }
        match kind {
            Type::Int { size, signed, big } => match (self.unsigned(at, *size, *big), *signed) {
                (None, _) => Value::Null,
                (Some(bits), false) => Value::from(bits),
                (Some(bits), true) => {
                    let unused = 64 - u32::from(*size) * 8;
                    Value::Int((bits << unused) as i64 >> unused)
                }
            },
            Type::Float { size, big } => match self.unsigned(at, *size, *big) {
                None => Value::Null,
                Some(bits) if *size == 4 => Value::Float(f64::from(f32::from_bits(bits as u32))),
                Some(bits) => Value::Float(f64::from_bits(bits)),
            },
            Type::Struct(index) => {
                let parent = this.map(|this| this.place.clone());
                let depth = parent.as_ref().map_or(0, |p| p.depth + 1);
                if depth > MAX_NESTING {
                    self.error(&format!("structs lie deeper than {MAX_NESTING} levels in each other"));
                    return Value::Null;
                }
                if !self.within(&self.structs, MAX_STRUCTS, "structs were read") {
                    return Value::Null;
                }
                self.instance(Arc::new(Place { index: *index, at, parent, depth }))
            }
            Type::Array { item, count, max, sentinel } => {
                self.array(this, at, item, count.as_ref(), max.as_ref(), sentinel.as_ref())
            }
            Type::Text(text) => self.text(text, this, at).0,
            Type::Value(given) => match given {
                Given::Fixed(value) => value.clone(),
                Given::Lambda(lambda) => self.call(lambda, this.map_or(Value::Null, Instance::value)),
            },
            Type::Enumeration { base, names } => {
                let value = self.read(base, this, at).plain();
                match names.iter().find(|(known, _)| ops::equal(known, &value)) {
                    Some((_, name)) => Value::Str(name.clone()),
                    None => match value {
                        Value::Int(i) if i < 0 => Value::from(format!("-{:#x}", i.unsigned_abs())),
                        Value::Int(i) => Value::from(format!("{i:#x}")),
                        Value::UInt(u) => Value::from(format!("{u:#x}")),
                        other => other,
                    },
                }
            }
            Type::Flags { base, bits } => match as_bits(&self.read(base, this, at)) {
                None => Value::Null,
                Some(value) => {
                    let set = bits.iter().filter(|(bit, _)| value >> bit & 1 == 1);
                    Value::array(set.map(|(_, name)| Value::Str(name.clone())))
                }
            },
            Type::Bits { base, start, end } => match as_bits(&self.read(base, this, at)) {
                None => Value::Null,
                Some(value) => {
                    let value = value.checked_shr(*start).unwrap_or(0);
                    let width = end - start;
                    Value::from(if width >= 64 { value } else { value & ((1 << width) - 1) })
                }
            },
            Type::Union { selector, choices } => match self.choice(selector, choices, this) {
                Some(kind) => self.read(kind, this, at),
                None => Value::Null,
            },
            Type::Pointer { target, size } => match self.unsigned(at, *size, false) {
                None | Some(0) => Value::Null,
                Some(to) => self.read(target, this, to),
            },
            Type::Profile { target, offset } => match self.number(offset, this).and_then(|to| u64::try_from(to).ok()) {
                Some(to) => self.read(target, this, to),
                None => Value::Null,
            },
            Type::Leb { signed } => self.leb(at, *signed).map_or(Value::Null, |leb| Value::Object(Arc::new(leb))),
            Type::Guid => {
                let bytes = self.bytes(at, 16);
                match <[u8; 16]>::try_from(bytes) {
                    Ok(bytes) => Value::Object(Arc::new(Guid { at, bytes })),
                    Err(_) => Value::Null,
                }
            }
            Type::WinFileTime { base, factor } => match self.read(base, this, at).plain().as_int() {
                None => Value::Null,
                Some(ticks) => {
                    let ticks = ticks / factor;
                    let seconds = ticks.div_euclid(10_000_000) - 11_644_473_600;
                    Value::time(seconds, (ticks.rem_euclid(10_000_000) * 100) as i32)
                }
            },
            Type::Timestamp { base, factor } => match self.read(base, this, at).plain() {
                Value::Float(seconds) => {
                    let seconds = seconds / *factor as f64;
                    Value::time(seconds.floor() as i64, ((seconds - seconds.floor()) * 1e9) as i32)
                }
                other => match other.as_int() {
                    None => Value::Null,
                    Some(count) => {
                        let rest = i128::from(count.rem_euclid(*factor)) * 1_000_000_000 / i128::from(*factor);
                        Value::time(count.div_euclid(*factor), rest as i32)
                    }
                },
            },
            Type::FatTime { time_first } => match self.unsigned(at, 4, false) {
                None => Value::Null,
                Some(bits) => {
                    let (low, high) = ((bits & 0xffff) as u16, (bits >> 16) as u16);
                    if *time_first { fat_time(high, low) } else { fat_time(low, high) }
                }
            },
        }
    }

    /// How many bytes a value of a type takes; 0 when it takes none or that cannot be told.
    fn extent(self: &Arc<Root>, kind: &Type, this: Option<&Arc<Instance>>, at: u64, value: &Value) -> u64 {
        match kind {
            Type::Int { size, .. } | Type::Float { size, .. } | Type::Pointer { size, .. } => u64::from(*size),
            Type::Struct(_) => match value {
                Value::Object(object) => object.as_any().downcast_ref::<Handle>().map_or(0, |h| h.0.size()),
                _ => 0,
            },
            Type::Array { .. } => match value {
                Value::Object(object) => {
                    object.as_any().downcast_ref::<Elements>().map_or(0, |array| array.end.saturating_sub(array.start))
                }
                _ => 0,
            },
            Type::Text(text) => self.text(text, this, at).1,
            Type::Value(_) | Type::Profile { .. } => 0,
            Type::Enumeration { base, .. }
            | Type::Flags { base, .. }
            | Type::Bits { base, .. }
            | Type::WinFileTime { base, .. }
            | Type::Timestamp { base, .. } => {
                let value = match **base {
                    Type::Int { .. } | Type::Float { .. } => Value::Null,
                    _ => self.read(base, this, at),
                };
                self.extent(base, this, at, &value)
            }
            Type::Union { selector, choices } => {
                self.choice(selector, choices, this).map_or(0, |kind| self.extent(kind, this, at, value))
            }
            Type::Leb { signed } => self.leb(at, *signed).map_or(0, |leb| leb.size),
            Type::Guid => 16,
            Type::FatTime { .. } => 4,
        }
    }

    fn number(&self, number: &Number, this: Option<&Arc<Instance>>) -> Option<i64> {
        match number {
            Number::Fixed(number) => Some(*number),
            Number::Lambda(lambda) => self.call(lambda, this.map_or(Value::Null, Instance::value)).plain().as_int(),
        }
    }

    fn instance(self: &Arc<Root>, place: Arc<Place>) -> Value {
        Value::Object(Arc::new(Handle(Arc::new(Instance { root: self.clone(), place, cells: Mutex::default() }))))
    }

    fn choice<'t>(
        &self,
        selector: &Lambda,
        choices: &'t [(Arc<str>, Type)],
        this: Option<&Arc<Instance>>,
    ) -> Option<&'t Type> {
        let chosen = self.call(selector, this.map_or(Value::Null, Instance::value)).plain().to_text();
        choices.iter().find(|(name, _)| *name == chosen).map(|(_, kind)| kind)
    }

    fn array(
        self: &Arc<Root>,
        this: Option<&Arc<Instance>>,
        at: u64,
        item: &Type,
        count: Option<&Number>,
        max: Option<&Number>,
        sentinel: Option<&Given>,
    ) -> Value {
        let max_count = max.map_or(Some(USUAL_COUNT), |max| self.number(max, this)).unwrap_or(0);
        let count = count.map_or(Some(max_count), |count| self.number(count, this)).unwrap_or(0);
        let most = max_count.min(MAX_COUNT);
        if count > most {
            let hint = if max.is_none() { ": the option `max_count` lets more" } else { "" };
            let of = this.map_or("", |this| this.definition().name.as_ref());
            if self.has(at.saturating_add(most as u64)) {
                self.error(&format!("an array in `{of}` is to have {count} elements, and {most} are read{hint}"));
            }
        }
        let mut items: Vec<Value> = Vec::new();
        let mut end = at;
        for _ in 0..count.min(most) {
            // An array ends where the file does.
            if !self.has(end) || !self.step() {
                break;
            }
            let value = self.read(item, this, end);
            let over = match sentinel {
                // Of the last number a part is missing.
                _ if value.is_null() && matches!(item, Type::Int { .. } | Type::Float { .. }) => true,
                None => false,
                Some(Given::Fixed(last)) => ops::equal(&value.clone().plain(), last),
                Some(Given::Lambda(lambda)) => self.call(lambda, value.clone()).truth(),
            };
            if over {
                break;
            }
            let size = self.extent(item, this, end, &value);
            items.push(value);
            if size == 0 {
                if items.len() < usize::try_from(count).unwrap_or(0)
                    && let Type::Struct(index) = item
                    && let Some(definition) = self.profile.structs.get(*index)
                {
                    let name = &definition.name;
                    self.error(&format!("an array of `{name}` ends after one element: `{name}` has the size 0"));
                }
                break;
            }
            end = end.saturating_add(size);
        }
        Value::Object(Arc::new(Elements { items: Arc::new(items.into_iter().collect()), start: at, end }))
    }

    /// Whether the file has a byte there.
    fn has(&self, at: u64) -> bool {
        self.fill(at, &mut [0]) == 1
    }

    /// A text, and how many bytes it takes in the file.
    fn text(&self, text: &Text, this: Option<&Arc<Instance>>, at: u64) -> (Value, u64) {
        let most = text.max.as_ref().map_or(Some(USUAL_TEXT), |max| self.number(max, this)).unwrap_or(0);
        let length = match &text.length {
            None => None,
            Some(length) => match self.number(length, this) {
                Some(length) => Some(length.max(0)),
                None => return (Value::Null, 0),
            },
        };
        let len = length.unwrap_or(i64::MAX).min(most).clamp(0, MAX_TEXT);
        let mut bytes = self.bytes(at, len as usize);
        let computed;
        let end: &[u8] = match &text.end {
            End::Open => &[],
            End::At(end) => end,
            End::Lambda(lambda) => {
                let found = self.call(lambda, this.map_or(Value::Null, Instance::value));
                computed = found.as_bytes().unwrap_or_default().to_vec();
                &computed
            }
        };
        let mut extent = bytes.len();
        if !end.is_empty() {
            // The zero that ends wide text is two bytes of one character.
            let aligned = text.wide && end.len().is_multiple_of(2);
            let found = match aligned {
                true => bytes.windows(end.len()).step_by(2).position(|window| window == end).map(|at| at * 2),
                false => memchr::memmem::find(&bytes, end),
            };
            if let Some(found) = found {
                bytes.truncate(found);
                extent = found + end.len();
            }
        }
        let value = match (text.wide, text.bytes) {
            (true, _) => {
                let units: Vec<u16> = bytes.chunks_exact(2).map(|p| u16::from_le_bytes([p[0], p[1]])).collect();
                Value::from(String::from_utf16_lossy(&units))
            }
            (false, true) => Value::Bytes(Arc::from(bytes)),
            (false, false) => Value::from_bytes(bytes),
        };
        (value, length.map_or(extent as u64, i64::unsigned_abs))
    }

    fn leb(&self, at: u64, signed: bool) -> Option<Leb> {
        let bytes = self.bytes(at, 10);
        let mut sum = 0_u64;
        for (i, byte) in bytes.iter().enumerate() {
            let shift = i as u32 * 7;
            sum |= u64::from(byte & 0x7f).checked_shl(shift).unwrap_or(0);
            if byte & 0x80 == 0 {
                let value = match signed {
                    true if byte & 0x40 != 0 && shift + 7 < 64 => Value::Int((sum | u64::MAX << (shift + 7)) as i64),
                    true => Value::Int(sum as i64),
                    false => Value::from(sum),
                };
                return Some(Leb { at, size: i as u64 + 1, value });
            }
        }
        None
    }
}

impl Instance {
    fn definition(&self) -> &Struct {
        &self.root.profile.structs[self.place.index]
    }

    fn value(self: &Arc<Instance>) -> Value {
        Value::Object(Arc::new(Handle(self.clone())))
    }

    /// The struct's size; 0 when it has none or it cannot be told.
    fn size(self: &Arc<Instance>) -> u64 {
        let size = match &self.definition().size {
            Number::Fixed(size) => Some(*size),
            lambda => self.guarded("its size", || self.root.number(lambda, Some(self))).flatten(),
        };
        size.and_then(|size| u64::try_from(size).ok()).unwrap_or(0)
    }

    /// Where a field begins.
    fn start_of(self: &Arc<Instance>, field: &Field) -> Option<u64> {
        let offset = self.root.number(&field.offset, Some(self))?;
        self.place.at.checked_add_signed(offset)
    }

    /// The value of a field, computed once.
    fn field(self: &Arc<Instance>, index: usize) -> Value {
        let definition = self.definition();
        let Some(field) = definition.fields.get(index) else { return Value::Null };
        let Some(kind) = &field.kind else { return Value::Null };
        let me = std::thread::current().id();
        {
            let mut cells = self.cells.lock();
            if cells.is_empty() {
                cells.resize(definition.fields.len(), Slot::Empty);
            }
            match &cells[index] {
                Slot::Done(value) => return value.clone(),
                Slot::Busy(thread) if *thread == me => {
                    drop(cells);
                    self.root.error(&format!("{}.{} needs itself to be computed", definition.name, field.name));
                    return Value::Null;
                }
                Slot::Busy(_) => {}
                Slot::Empty => cells[index] = Slot::Busy(me),
            }
        }
        let value = self.guarded(&field.name, || match (self.start_of(field), kind) {
            (Some(at), _) => self.root.read(kind, Some(self), at),
            // Where a computed value stands does not matter.
            (None, Type::Value(_)) => self.root.read(kind, Some(self), self.place.at),
            (None, _) => Value::Null,
        });
        let value = value.unwrap_or_default();
        // A lambda may give an object that leads back to this one: kept here, it would never be freed.
        let keep = !matches!(kind, Type::Value(_)) || !holds_objects(&value);
        self.cells.lock()[index] = if keep { Slot::Done(value.clone()) } else { Slot::Empty };
        value
    }

    /// What is known of a field beside its value.
    fn about(self: &Arc<Instance>, index: usize) -> Option<Value> {
        let field = self.definition().fields.get(index)?;
        let kind = field.kind.as_ref()?;
        let start = self.guarded(&field.name, || self.start_of(field)).flatten()?;
        let value = self.field(index);
        let size = self.guarded(&field.name, || self.root.extent(kind, Some(self), start, &value)).unwrap_or(0);
        Some(Value::Object(Arc::new(About { value, start, size, base: self.place.at })))
    }

    /// Calls `f` unless too many fields wait for each other on this thread.
    fn guarded<R>(&self, what: &str, f: impl FnOnce() -> R) -> Option<R> {
        let depth = DEPTH.get();
        if depth >= MAX_DEPTH {
            let name = &self.definition().name;
            self.root.error(&format!("{name}.{what}: more than {MAX_DEPTH} fields need each other to be computed"));
            return None;
        }
        DEPTH.set(depth + 1);
        let result = f();
        DEPTH.set(depth);
        Some(result)
    }
}

/// A struct as a value.
struct Handle(Arc<Instance>);

impl Object for Handle {
    fn type_name(&self) -> &'static str {
        "*vtypes.StructObject"
    }

    fn get(&self, name: &str) -> Option<Value> {
        let this = &self.0;
        let start = this.place.at;
        Some(match name {
            "StartOf" | "OffsetOf" => Value::from(start),
            "SizeOf" => Value::from(this.size()),
            "EndOf" => Value::from(start.saturating_add(this.size())),
            "ParentOf" => this.place.parent.as_ref().map_or(Value::Null, |place| this.root.instance(place.clone())),
            _ => match (this.definition().field(name), name.strip_prefix('@')) {
                (Some(index), _) => this.field(index),
                (None, Some(name)) => this.about(this.definition().field(name)?).unwrap_or_default(),
                (None, None) => return None,
            },
        })
    }

    fn members(&self) -> Vec<Arc<str>> {
        self.0.definition().fields.iter().filter(|f| !f.is_hidden()).map(|f| f.name.clone()).collect()
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

impl fmt::Debug for Handle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at {}", self.0.definition().name, self.0.place.at)
    }
}

/// An array as a value. Operators and functions see its elements.
#[derive(Debug)]
struct Elements {
    items: Arc<List>,
    start: u64,
    end: u64,
}

impl Object for Elements {
    fn type_name(&self) -> &'static str {
        "*vtypes.ArrayObject"
    }

    fn get(&self, name: &str) -> Option<Value> {
        Some(match name {
            "Start" | "StartOf" | "OffsetOf" => Value::from(self.start),
            "End" | "EndOf" => Value::from(self.end),
            "Size" | "SizeOf" => Value::from(self.end.saturating_sub(self.start)),
            "Contents" | "Value" => Value::Array(self.items.clone()),
            _ => return ops::member(&Value::Array(self.items.clone()), name),
        })
    }

    fn plain(&self) -> Option<Value> {
        Some(Value::Array(self.items.clone()))
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

/// A number whose length is part of it.
#[derive(Debug)]
struct Leb {
    at: u64,
    size: u64,
    value: Value,
}

impl Object for Leb {
    fn type_name(&self) -> &'static str {
        "*vtypes.VarInt"
    }

    fn get(&self, name: &str) -> Option<Value> {
        Some(match name {
            "Value" => self.value.clone(),
            "StartOf" | "OffsetOf" => Value::from(self.at),
            "SizeOf" => Value::from(self.size),
            "EndOf" => Value::from(self.at.saturating_add(self.size)),
            _ => return None,
        })
    }

    fn plain(&self) -> Option<Value> {
        Some(self.value.clone())
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

#[derive(Debug)]
struct Guid {
    at: u64,
    bytes: [u8; 16],
}

impl Object for Guid {
    fn type_name(&self) -> &'static str {
        "*vtypes.StructObject"
    }

    fn get(&self, name: &str) -> Option<Value> {
        let b = &self.bytes;
        let first = u32::from_le_bytes([b[0], b[1], b[2], b[3]]);
        let (second, third) = (u16::from_le_bytes([b[4], b[5]]), u16::from_le_bytes([b[6], b[7]]));
        Some(match name {
            "Value" => {
                let tail: String = b[8..].iter().map(|byte| format!("{byte:02X}")).collect();
                Value::from(format!("{first:08X}-{second:04X}-{third:04X}-{}-{}", &tail[..4], &tail[4..]))
            }
            "__D1" => first.into(),
            "__D2" => second.into(),
            "__D3" => third.into(),
            "__D4" => Value::from_bytes(&b[8..10]),
            "__D5" => Value::from_bytes(&b[10..]),
            "StartOf" | "OffsetOf" => Value::from(self.at),
            "SizeOf" => Value::Int(16),
            "EndOf" => Value::from(self.at.saturating_add(16)),
            _ => return None,
        })
    }

    fn members(&self) -> Vec<Arc<str>> {
        vec![Arc::from("Value")]
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

/// `` x.`@Field` ``
#[derive(Debug)]
struct About {
    value: Value,
    start: u64,
    size: u64,
    /// Where the struct begins.
    base: u64,
}

impl Object for About {
    fn type_name(&self) -> &'static str {
        "*vtypes.FieldObject"
    }

    fn get(&self, name: &str) -> Option<Value> {
        let end = self.start.saturating_add(self.size);
        let relative = |at: u64| Value::Int((at as i64).wrapping_sub(self.base as i64));
        Some(match name {
            "Value" => self.value.clone(),
            "StartOf" | "OffsetOf" => Value::from(self.start),
            "EndOf" => Value::from(end),
            "SizeOf" => Value::from(self.size),
            "RelStartOf" | "RelOffsetOf" => relative(self.start),
            "RelEndOf" => relative(end),
            _ => return None,
        })
    }

    fn members(&self) -> Vec<Arc<str>> {
        ["StartOf", "EndOf", "SizeOf", "RelEndOf", "Value"].into_iter().map(Arc::from).collect()
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

fn as_bits(value: &Value) -> Option<u64> {
    match value.clone().plain() {
        Value::UInt(u) => Some(u),
        other => other.as_int().map(|i| i as u64),
    }
}

fn holds_objects(value: &Value) -> bool {
    match value {
        Value::Object(_) | Value::Query(_) => true,
        Value::Array(items) => items.iter().any(holds_objects),
        Value::Dict(dict) => Dict::values(dict).any(holds_objects),
        _ => false,
    }
}

/// A date and a time as FAT and ZIP have them; NULL when they are none.
fn fat_time(date: u16, time: u16) -> Value {
    let date = jiff::civil::Date::new(1980 + (date >> 9) as i16, (date >> 5 & 15) as i8, (date & 31) as i8);
    let time = jiff::civil::Time::new((time >> 11) as i8, (time >> 5 & 63) as i8, (time & 31) as i8 * 2, 0);
    let (Ok(date), Ok(time)) = (date, time) else { return Value::Null };
    let zoned = date.to_datetime(time).to_zoned_datetime(jiff::tz::TimeZone::UTC);
    zoned.map_or(Value::Null, |zoned| Value::Time(zoned.timestamp()))
}
