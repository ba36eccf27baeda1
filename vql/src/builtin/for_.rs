//! `for()`.

use super::prelude::*;

static FOR: Signature = Signature::new(
    "for",
    "Runs a query for each row of another, which it finds as a dict in a variable. foreach() is what new queries use.",
    &[
        req("var", Text, "The name of the variable"),
        req("foreach", Query, "The rows; elements that are no dict are the variable's value themselves"),
        opt("query", Query, "What to run for each; without it rows with the variable come out"),
    ],
)
.group(Group::Control)
.examples(&["SELECT * FROM for(var='X', foreach=(1, 2), query={ SELECT X * 2 AS Double FROM scope() })"]);

fn run(cx: &Context<'_>, args: &Args<'_>, emit: &mut EmitView<'_>) -> Result<Flow, CallError> {
    let name = args.str("var")?;
    let query = args.query("query")?;
    let columns = Columns::new([name.clone()]);
    let mut one = |item: Value| match &query {
        Some(query) => cx.with_vars(&[(name.clone(), item)]).run_query(query, emit),
        None => emit(&Row::new(&columns, vec![item])),
    };
    Ok(match args.raw("foreach") {
        Value::Array(items) => items.iter().try_for_each(|item| match item {
            Value::Null => CONTINUE,
            Value::Query(rows) => cx.run_query(rows, &mut |row| one(Value::dict(row.take_row().into_dict()))),
            item => one(item.clone()),
        }),
        Value::Query(rows) => cx.run_query(&rows, &mut |row| one(Value::dict(row.take_row().into_dict()))),
        Value::Null => CONTINUE,
        item => one(item),
    })
}

pub(super) fn register(registry: &mut Registry) {
    registry.add_plugin(Plug(&FOR, run));
}
