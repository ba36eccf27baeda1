//! `items()`, as a function and as a plugin.

use super::prelude::*;

static ITEMS: Signature = Signature::new(
    "items",
    "The entries of a dict, an array or a query as an array of dicts with `_key` and `_value`.",
    &[opt("item", Any, "A dict, an array or a query")],
)
.group(Group::Dicts)
.examples(&["SELECT items(item=dict(a=1)) AS Items FROM scope()"]);

fn call(cx: &Context<'_>, args: &Args<'_>) -> Result<Value, CallError> {
    let mut all = Vec::new();
    let _ = each(cx, &args.raw("item"), &mut |key, value| {
        all.push(Value::dict(Dict::of([("_key", key), ("_value", value)])));
        CONTINUE
    });
    Ok(Value::from(all))
}

static ITEMS_PLUGIN: Signature = Signature::new(
    "items",
    "The entries of a dict, an array or a query as rows: `_key` is the key or the index from 0, `_value` the value or the \
     row as a dict.",
    &[opt("item", Any, "A dict, an array or a query")],
)
.group(Group::Dicts)
.examples(&["SELECT * FROM items(item=dict(a=1, b=2))"]);

fn run(cx: &Context<'_>, args: &Args<'_>, emit: &mut EmitView<'_>) -> Result<Flow, CallError> {
    let columns = Columns::new(["_key", "_value"]);
    Ok(each(cx, &args.raw("item"), &mut |key, value| emit(&Row::new(&columns, vec![key, value]))))
}

fn each(cx: &Context<'_>, item: &Value, emit: &mut dyn FnMut(Value, Value) -> Flow) -> Flow {
    match item {
        Value::Dict(dict) => dict.iter().try_for_each(|(key, value)| emit(Value::Str(key.clone()), value.clone())),
        Value::Array(items) => items.iter().enumerate().try_for_each(|(i, value)| emit(Value::from(i), value.clone())),
        Value::Object(object) if object.plain().is_some() => each(cx, &item.clone().plain(), emit),
        Value::Object(object) => object
            .members()
            .into_iter()
            .try_for_each(|name| emit(Value::Str(name.clone()), object.get(&name).unwrap_or_default())),
        Value::Query(query) => {
            let mut at = 0u64;
            cx.run_query(query, &mut |row| {
                at += 1;
                emit(Value::from(at - 1), Value::dict(row.take_row().into_dict()))
            })
        }
        _ => CONTINUE,
    }
}

pub(super) fn register(registry: &mut Registry) {
    registry.add_function(Func(&ITEMS, call));
    registry.add_plugin(Plug(&ITEMS_PLUGIN, run));
}
