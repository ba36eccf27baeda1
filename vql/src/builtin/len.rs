//! `len()`.

use super::prelude::*;

static LEN: Signature = Signature::new(
    "len",
    "How many elements, entries, rows or bytes; 0 for what has no length.",
    &[req("list", Any, "An array, dict, query or text")],
)
.group(Group::Arrays)
.examples(&["SELECT len(list=(1, 2, 3)) AS Items, len(list='größer') AS Bytes FROM scope()"]);

fn call(cx: &Context<'_>, args: &Args<'_>) -> Result<Value, CallError> {
    let list = args.raw("list").plain();
    if let Value::Query(query) = &list
        && let Some(kept) = query.kept()
    {
        return Ok(Value::from(kept.len()));
    }
    Ok(Value::from(match list {
        Value::Array(items) => items.len(),
        Value::Dict(dict) => dict.len(),
        Value::Str(text) => text.len(),
        Value::Bytes(bytes) => bytes.len(),
        Value::Object(object) => object.members().len(),
        // Counted, not kept. The columns are computed: they may be what the query is run for.
        Value::Query(query) => {
            let mut rows = 0usize;
            let _ = cx.run_query(&query, &mut |row| {
                row.take_row();
                rows += 1;
                CONTINUE
            });
            rows
        }
        _ => 0,
    }))
}

pub(super) fn register(registry: &mut Registry) {
    registry.add_function(Func(&LEN, call));
}
