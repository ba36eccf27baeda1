//! `flatten()`.

use super::prelude::*;
use crate::value::List;

static FLATTEN: Signature = Signature::new(
    "flatten",
    "Rows in which a column is an array become a row for each element; with several such columns, for each combination.",
    &[req("query", Query, "The query whose rows to flatten")],
).group(Group::Rows)
.examples(&["SELECT * FROM flatten(query={ SELECT 1 AS A, (1, 2) AS B FROM scope() })"]);

fn run(cx: &Context<'_>, args: &Args<'_>, emit: &mut EmitView<'_>) -> Result<Flow, CallError> {
    let Some(query) = args.query("query")? else { return Ok(CONTINUE) };
    Ok(cx.run_query(&query, &mut |row| {
        let row = row.take_row();
        let arrays: Vec<(usize, Arc<List>)> = row
            .values()
            .iter()
            .enumerate()
            .filter_map(|(i, v)| if let Value::Array(items) = v.clone().plain() { Some((i, items)) } else { None })
            .collect();
        combine(row, &arrays, emit)
    }))
}

fn combine(row: Row, arrays: &[(usize, Arc<List>)], emit: &mut EmitView<'_>) -> Flow {
    let Some(((column, items), rest)) = arrays.split_first() else { return emit(&row) };
    let with = |value: Value| {
        let mut values = row.values().to_vec();
        values[*column] = value;
        Row::new(row.columns(), values)
    };
    if items.is_empty() {
        return combine(with(Value::Null), rest, emit);
    }
    items.iter().try_for_each(|item| combine(with(item.clone()), rest, emit))
}

pub(super) fn register(registry: &mut Registry) {
    registry.add_plugin(Plug(&FLATTEN, run));
}
