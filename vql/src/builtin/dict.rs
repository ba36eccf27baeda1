//! `dict()`, `to_dict()`, `items()`.

use super::prelude::*;

static DICT: Signature = Signature::new("dict", "A dict of the arguments, in their order.", &[])
    .group(Group::Dicts)
    .open()
    .examples(&["SELECT dict(a=1, b='x') AS D FROM scope()"]);

fn dict(cx: &Context<'_>, args: &Args<'_>) -> Result<Value, CallError> {
    Ok(Value::dict(args.all().into_iter().map(|(name, value)| (name, cx.materialize(value.eval(cx)))).collect()))
}

static TO_DICT: Signature = Signature::new(
    "to_dict",
    "A dict of the rows of a query that have the columns `_key` and `_value`.",
    &[opt("item", Any, "A query, an array of dicts, or a dict")],
)
.group(Group::Dicts)
.examples(&["SELECT to_dict(item={ SELECT str(str=_value) AS _key, _value FROM range(end=2) }) AS D FROM scope()"]);

fn to_dict(cx: &Context<'_>, args: &Args<'_>) -> Result<Value, CallError> {
    let item = args.raw("item");
    if let Value::Dict(_) = item {
        return Ok(item);
    }
    if let Value::Object(object) = &item {
        return Ok(Value::dict(
            object.members().into_iter().map(|n| (n.clone(), object.get(&n).unwrap_or_default())).collect(),
        ));
    }
    let mut dict = Dict::new();
    let _ = cx.rows(&item, &mut |row| {
        if let (Some(key), Some(value)) = (row.get("_key"), row.get("_value")) {
            dict.set(key.to_text(), value);
        }
        CONTINUE
    });
    Ok(Value::dict(dict))
}

static ITEMS: Signature = Signature::new(
    "items",
    "The entries of a dict, an array or a query as an array of dicts with `_key` and `_value`.",
    &[opt("item", Any, "A dict, an array or a query")],
)
.group(Group::Dicts)
.examples(&["SELECT items(item=dict(a=1)) AS Items FROM scope()"]);

fn items(cx: &Context<'_>, args: &Args<'_>) -> Result<Value, CallError> {
    let mut all = Vec::new();
    let _ = each(cx, &args.raw("item"), &mut |key, value| {
        all.push(Value::dict(Dict::of([("_key", key), ("_value", value)])));
        CONTINUE
    });
    Ok(Value::from(all))
}

static ITEMS_PLUGIN: Signature = Signature::new(
    "items",
    "The entries of a dict, an array or a query as rows with `_key` and `_value`.",
    &[opt("item", Any, "A dict, an array or a query")],
)
.group(Group::Dicts)
.examples(&["SELECT * FROM items(item=dict(a=1, b=2))"]);

fn run_items(cx: &Context<'_>, args: &Args<'_>, emit: &mut EmitView<'_>) -> Result<Flow, CallError> {
    let columns = Columns::new(["_key", "_value"]);
    Ok(each(cx, &args.raw("item"), &mut |key, value| emit(&Row::new(&columns, vec![key, value]))))
}

fn each(cx: &Context<'_>, item: &Value, emit: &mut dyn FnMut(Value, Value) -> Flow) -> Flow {
    match item {
        Value::Dict(dict) => dict.iter().try_for_each(|(key, value)| emit(Value::Str(key.clone()), value.clone())),
        Value::Array(items) => items.iter().enumerate().try_for_each(|(i, value)| emit(Value::from(i), value.clone())),
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
    registry.add_function(Func(&DICT, dict));
    registry.add_function(Func(&TO_DICT, to_dict));
    registry.add_function(Func(&ITEMS, items));
    registry.add_plugin(Plug(&ITEMS_PLUGIN, run_items));
}
