//! `to_dict()`.

use super::prelude::*;

static TO_DICT: Signature = Signature::new(
    "to_dict",
    "A dict of the rows of a query that have the columns `_key` and `_value`. Keys are text: rows with another key are \
     left out.",
    &[opt("item", Any, "A query, an array of dicts, or a dict")],
)
.group(Group::Dicts)
.examples(&["SELECT to_dict(item={ SELECT str(str=_value) AS _key, _value FROM range(end=2) }) AS D FROM scope()"]);

fn call(cx: &Context<'_>, args: &Args<'_>) -> Result<Value, CallError> {
    let item = args.raw("item");
    match &item {
        Value::Dict(_) => return Ok(item),
        Value::Object(object) => {
            let members = object.members();
            return Ok(Value::dict(
                members.into_iter().map(|name| (name.clone(), object.get(&name).unwrap_or_default())).collect(),
            ));
        }
        _ => {}
    }
    let mut dict = Dict::new();
    let _ = cx.rows(&item, &mut |row| {
        if let Some(Value::Str(key)) = row.get("_key") {
            dict.set(key, row.get("_value").unwrap_or_default());
        }
        CONTINUE
    });
    Ok(Value::dict(dict))
}

pub(super) fn register(registry: &mut Registry) {
    registry.add_function(Func(&TO_DICT, call));
}
