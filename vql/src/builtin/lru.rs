//! `lru()`.

use parking_lot::Mutex;

use super::prelude::*;
use super::recent::Recent;

static LRU: Signature = Signature::new(
    "lru",
    "A cache for set() and get() that keeps the entries used last.",
    &[opt("size", Int, "How many entries, 1000 without")],
)
.group(Group::Dicts)
.examples(&["LET Cache <= lru(size=2)
 SELECT set(item=Cache, field='a', value=1) AS Set, get(item=Cache, field='a') AS A FROM scope()"]);

fn call(_cx: &Context<'_>, args: &Args<'_>) -> Result<Value, CallError> {
    let size = args.opt_int("size")?.filter(|n| *n > 0).unwrap_or(1000).min(1_000_000) as usize;
    Ok(Value::Object(Arc::new(Lru(Mutex::new(Recent::new(size))))))
}

#[derive(Debug)]
struct Lru(Mutex<Recent<()>>);

impl crate::value::Object for Lru {
    fn type_name(&self) -> &'static str {
        "lru"
    }

    fn get(&self, name: &str) -> Option<Value> {
        self.0.lock().get(name).map(|(value, ())| value)
    }

    fn members(&self) -> Vec<Arc<str>> {
        self.0.lock().keys()
    }

    fn set(&self, name: &str, value: Value) -> bool {
        // A cache in a cache could come to hold itself.
        if holds_object(&value) {
            return false;
        }
        self.0.lock().insert(Arc::from(name), value, ());
        true
    }

    fn text(&self) -> Option<Arc<str>> {
        Some(Arc::from(format!("lru of {} entries", self.0.lock().len())))
    }

    fn as_any(&self) -> &dyn std::any::Any {
        self
    }
}

fn holds_object(value: &Value) -> bool {
    match value {
        Value::Object(_) => true,
        Value::Array(items) => items.iter().any(holds_object),
        Value::Dict(dict) => dict.values().any(holds_object),
        _ => false,
    }
}

pub(super) fn register(registry: &mut Registry) {
    registry.add_function(Func(&LRU, call));
}
