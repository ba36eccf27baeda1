//! `batch()`.

use super::beside::{self, Came, WAITING};
use super::moment::{Moment, seconds};
use super::prelude::*;
use super::recent::{MAX_BYTES, row_size};

static BATCH: Signature = Signature::new(
    "batch",
    "The rows of a query in groups: each row has the column `Rows`, an array.",
    &[
        req("query", Query, "The query"),
        opt("batch_size", Int, "How many rows to a group, 10 without"),
        opt("batch_func", Lambda, "A lambda that gets the rows so far and is true when the group is full"),
        opt("timeout", Int, "Seconds after which a group is given though it is not full"),
    ],
)
.group(Group::Rows)
.examples(&["SELECT len(list=Rows) AS Len FROM batch(batch_size=2, query={ SELECT * FROM range(end=3) })"]);

/// What a group may grow to when a lambda decides.
const MAX_ROWS: usize = 100_000;

fn run(cx: &Context<'_>, args: &Args<'_>, emit: &mut EmitView<'_>) -> Result<Flow, CallError> {
    let Some(query) = args.query("query")? else { return Ok(CONTINUE) };
    let full = args.lambda("batch_func")?;
    let size = match (args.opt_int("batch_size")?.filter(|n| *n > 0), &full) {
        (Some(size), _) => size.min(MAX_ROWS as i64) as usize,
        (None, Some(_)) => MAX_ROWS,
        (None, None) => 10,
    };
    let columns = Columns::new(["Rows"]);
    let mut rows: Vec<Value> = Vec::new();
    let mut bytes = 0;
    let mut add = |rows: &mut Vec<Value>, row: Row| {
        if rows.is_empty() {
            bytes = 0;
        }
        bytes += row_size(&row);
        rows.push(Value::dict(row.into_dict()));
        rows.len() >= size
            || bytes > MAX_BYTES
            || full.as_ref().is_some_and(|full| {
                let so_far = Value::from(rows.clone());
                cx.truth(&cx.call(full, &[so_far]))
            })
    };
    let mut give = |rows: &mut Vec<Value>| emit(&Row::new(&columns, vec![Value::from(std::mem::take(rows))]));
    let flow = match args.opt_int("timeout")?.filter(|n| *n > 0) {
        None => cx.run_query(&query, &mut |row| {
            if add(&mut rows, row.take_row()) { give(&mut rows) } else { CONTINUE }
        }),
        Some(timeout) => {
            let mut begun = Moment::now(cx);
            beside::run(cx, &[Value::Query(query)], WAITING, &mut |cx, _, came| {
                if let Came::Row(row) = came {
                    if rows.is_empty() {
                        begun = Moment::now(cx);
                    }
                    if add(&mut rows, row) {
                        return give(&mut rows);
                    }
                }
                let late = !rows.is_empty() && begun.age(cx) >= seconds(timeout);
                if late { give(&mut rows) } else { CONTINUE }
            })?
        }
    };
    Ok(if rows.is_empty() || flow.is_break() { flow } else { give(&mut rows) })
}

pub(super) fn register(registry: &mut Registry) {
    registry.add_plugin(Plug(&BATCH, run));
}
