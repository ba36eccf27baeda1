//! `array()`.

use super::prelude::*;

static ARRAY: Signature = Signature::new(
    "array",
    "An array of the arguments; their names do not count. `_=` gives its elements or rows one by one instead.",
    &[opt("_", Any, "An array, a query or a value whose elements become those of the array")],
)
.group(Group::Arrays)
.open()
.examples(&[
    "SELECT array(a=1, b=(2, 3)) AS Items FROM scope()",
    "SELECT array(_={ SELECT _value AS A FROM range(end=2) }).A AS Items FROM scope()",
]);

fn call(cx: &Context<'_>, args: &Args<'_>) -> Result<Value, CallError> {
    let mut all = Vec::new();
    for (name, value) in args.all() {
        match cx.materialize(value.eval(cx)) {
            Value::Array(items) if &*name == "_" => all.extend(items.iter().cloned()),
            Value::Null if &*name == "_" => {}
            other => all.push(other),
        }
    }
    Ok(Value::from(all))
}

pub(super) fn register(registry: &mut Registry) {
    registry.add_function(Func(&ARRAY, call));
}
