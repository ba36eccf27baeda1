//! `get()`.

use super::prelude::*;
use crate::eval::ops;

static GET: Signature = Signature::new(
    "get",
    "A member of a value, or a variable, by a name that may be computed.",
    &[
        opt("item", Any, "The value; without it the scope"),
        opt("member", Text, "The member, with dots between levels; a number is an index of an array"),
        opt("field", Any, "The member as one name, dots and all, or an index"),
        opt("default", Any, "What to give when it is not there, or NULL"),
    ],
)
.group(Group::Dicts)
.examples(&[
    "SELECT get(item=dict(a=dict(b=1)), member='a.b') AS B FROM scope()",
    "SELECT get(item=(5, 6), field=1) AS Second, get(item=dict(), field='x', default=7) AS X FROM scope()",
]);

fn call(cx: &Context<'_>, args: &Args<'_>) -> Result<Value, CallError> {
    let item = args.has("item").then(|| args.value("item"));
    let found = if args.has("field") {
        step(cx, item, &args.value("field"))
    } else {
        let path = args.str("member")?;
        let mut at = item;
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
        Some(value @ (Value::Array(_) | Value::Str(_) | Value::Bytes(_))) if !matches!(name, Value::Str(_)) => {
            ops::index(&value, name)
        }
        Some(value) => ops::member(&value, &name.to_text()).unwrap_or_default(),
    };
    cx.materialize(found)
}

pub(super) fn register(registry: &mut Registry) {
    registry.add_function(Func(&GET, call));
}
