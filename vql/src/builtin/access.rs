//! Reaching into values: `get()`, `set()`, `lru()`, `len()`, `typeof()`.

use indexmap::IndexMap;
use parking_lot::Mutex;

use super::prelude::*;
use crate::eval::ops;

static GET: Signature = Signature::new(
    "get",
    "A member of a value, or a variable, by a name that may be computed.",
    &[
        opt("item", Any, "The value; without it the scope"),
        opt("member", Text, "The member, with dots between levels"),
        opt("field", Any, "The member as one name, or an index"),
        opt("default", Any, "What to give when it is not there"),
    ],
)
.group(Group::Dicts)
.examples(&["SELECT get(item=dict(a=dict(b=1)), member='a.b') AS B FROM scope()"]);

fn get(cx: &Context<'_>, args: &Args<'_>) -> Result<Value, CallError> {
    let found = if args.has("field") {
        let field = args.value("field");
        step(cx, args.has("item").then(|| args.value("item")), &field)
    } else {
        let path = args.str("member")?;
        let mut at = args.has("item").then(|| args.value("item"));
        for name in path.split('.') {
            let next = match name.parse::<i64>() {
                Ok(index) if matches!(at, Some(Value::Array(_))) => Value::Int(index),
                _ => Value::from(name),
            };
            at = Some(step(cx, at, &next));
        }
        at.unwrap_or_default()
    };
    Ok(if found.is_null() { args.value("default") } else { found })
}

fn step(cx: &Context<'_>, at: Option<Value>, name: &Value) -> Value {
    let found = match at {
        None => cx.lookup(&name.to_text()).unwrap_or_default(),
        Some(Value::Array(items)) if !matches!(name, Value::Str(_)) => ops::index(&Value::Array(items), name),
        Some(value) => ops::member(&value, &name.to_text()).unwrap_or_default(),
    };
    cx.materialize(found)
}

static SET: Signature = Signature::new(
    "set",
    "Sets a member. A variable of the script is changed in place; the changed value comes back.",
    &[
        req("item", Any, "A dict, an array or a cache"),
        req("field", Any, "The member or index"),
        req("value", Any, "Its new value"),
    ],
)
.group(Group::Dicts)
.examples(&["SELECT set(item=dict(a=1), field='b', value=2) AS D FROM scope()"]);

fn set(cx: &Context<'_>, args: &Args<'_>) -> Result<Value, CallError> {
    let (field, value) = (args.value("field"), args.value("value"));
    let mut item = args.value("item");
    if let Value::Object(object) = &item {
        if !object.set(&field.to_text(), value) {
            return Err(CallError::new(format!("a {} takes no members", object.type_name())));
        }
        return Ok(item);
    }
    let change = |item: &mut Value| match item {
        Value::Dict(dict) => {
            Arc::make_mut(dict).set(field.to_text(), value.clone());
            Ok(())
        }
        Value::Array(items) => {
            let list = Arc::make_mut(items);
            let at = field.as_int().and_then(|i| usize::try_from(i).ok());
            match at {
                Some(at) if at < list.len() => list.set(at, value.clone()),
                Some(at) if at == list.len() => list.push(value.clone()),
                _ => return Err(CallError::new("the array has no such index")),
            }
            Ok(())
        }
        other => Err(CallError::new(format!("`item` must be a dict, an array or a cache, not {}", other.type_name()))),
    };
    // In place first: then the variable's own copy is the only one, and need not be cloned.
    if let Some(name) = args.variable("item")
        && !matches!(item, Value::Null)
    {
        item = Value::Null;
        let mut result = Ok(());
        let updated = cx.update(&name, |slot| {
            result = change(slot);
            item = slot.clone();
        });
        if updated {
            return result.map(|()| item);
        }
        item = args.value("item");
    }
    change(&mut item)?;
    Ok(item)
}

static LRU: Signature = Signature::new(
    "lru",
    "A cache for set() and get() that keeps the entries used last.",
    &[opt("size", Int, "How many entries, 1000 without")],
).group(Group::Dicts)
.examples(&["LET Cache <= lru(size=2) SELECT set(item=Cache, field='a', value=1) AS Set, get(item=Cache, field='a') AS A FROM scope()"]);

fn lru(_cx: &Context<'_>, args: &Args<'_>) -> Result<Value, CallError> {
    let size = args.opt_int("size")?.unwrap_or(1000).clamp(1, 1_000_000) as usize;
    Ok(Value::Object(Arc::new(Lru { size, entries: Mutex::default() })))
}

#[derive(Debug)]
struct Lru {
    size: usize,
    /// The one used last stands last.
    entries: Mutex<IndexMap<Arc<str>, Value>>,
}

impl crate::value::Object for Lru {
    fn type_name(&self) -> &'static str {
        "lru"
    }

    fn get(&self, name: &str) -> Option<Value> {
        let mut entries = self.entries.lock();
        let index = entries.get_index_of(name)?;
        let last = entries.len() - 1;
        entries.move_index(index, last);
        entries.get(name).cloned()
    }

    fn members(&self) -> Vec<Arc<str>> {
        self.entries.lock().keys().cloned().collect()
    }

    fn set(&self, name: &str, value: Value) -> bool {
        // A cache in a cache could come to hold itself.
        if matches!(value, Value::Object(_)) {
            return false;
        }
        let mut entries = self.entries.lock();
        entries.shift_remove(name);
        entries.insert(Arc::from(name), value);
        if entries.len() > self.size {
            entries.shift_remove_index(0);
        }
        true
    }

    fn text(&self) -> Option<Arc<str>> {
        Some(Arc::from(format!("lru of {} entries", self.entries.lock().len())))
    }

    fn as_any(&self) -> &dyn std::any::Any {
        self
    }
}

static LEN: Signature = Signature::new(
    "len",
    "How many elements, entries, rows or bytes.",
    &[req("list", Any, "An array, dict, query or text")],
)
.group(Group::Dicts)
.examples(&["SELECT len(list=(1, 2, 3)) AS Len FROM scope()"]);

fn len(cx: &Context<'_>, args: &Args<'_>) -> Result<Value, CallError> {
    let list = args.raw("list");
    if let Value::Query(query) = &list
        && let Some(kept) = query.kept()
    {
        return Ok(Value::from(kept.len()));
    }
    Ok(Value::from(match cx.materialize(list) {
        Value::Array(items) => items.len(),
        Value::Dict(dict) => dict.len(),
        Value::Str(text) => text.len(),
        Value::Bytes(bytes) => bytes.len(),
        Value::Object(object) => object.members().len(),
        _ => 0,
    }))
}

static TYPEOF: Signature = Signature::new("typeof", "The name of the type of a value.", &[])
    .group(Group::Dicts)
    .open()
    .examples(&["SELECT typeof(a=1) AS Type FROM scope()"]);

fn type_of(cx: &Context<'_>, args: &Args<'_>) -> Result<Value, CallError> {
    Ok(args.all().first().map_or(Value::Null, |(_, value)| Value::from(value.eval(cx).type_name())))
}

pub(super) fn register(registry: &mut Registry) {
    registry.add_function(Func(&GET, get));
    registry.add_function(Func(&SET, set));
    registry.add_function(Func(&LRU, lru));
    registry.add_function(Func(&LEN, len));
    registry.add_function(Func(&TYPEOF, type_of));
}
