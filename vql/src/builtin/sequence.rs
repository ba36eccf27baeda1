//! `sequence()`.

use std::collections::VecDeque;

use super::beside::{self, Came, WAITING};
use super::moment::{Moment, seconds};
use super::prelude::*;
use super::recent::MAX_BYTES;
use crate::eval::value_size;

static SEQUENCE: Signature = Signature::new(
    "sequence",
    "Finds events that belong together: all other arguments are queries that run at once. After each of their rows \
     `query` runs, and finds the last rows of all of them in the variable SEQUENCE.",
    &[
        req("query", Query, "The query that looks for what belongs together; its rows come out"),
        opt("max_age", Int, "Seconds that a row stays in SEQUENCE, 60 without"),
    ],
)
.group(Group::Rows)
.open()
.examples(&[
    "SELECT * FROM sequence(a={ SELECT * FROM range(end=2) }, query={ SELECT len(list=SEQUENCE) AS Len FROM scope() })",
]);

/// How many rows SEQUENCE holds at most.
const MAX_ROWS: usize = 10_000;

fn run(cx: &Context<'_>, args: &Args<'_>, emit: &mut EmitView<'_>) -> Result<Flow, CallError> {
    let Some(query) = args.query("query")? else { return Ok(CONTINUE) };
    let max_age = seconds(args.opt_int("max_age")?.unwrap_or(60));
    let sources: Vec<Value> = args
        .all()
        .into_iter()
        .filter(|(name, _)| !matches!(&**name, "query" | "max_age"))
        .map(|(_, source)| source.eval(cx))
        .collect();
    let mut kept: VecDeque<(Moment, Value)> = VecDeque::new();
    let mut bytes = 0;
    beside::run(cx, &sources, WAITING, &mut |cx, _, came| {
        let Came::Row(row) = came else { return CONTINUE };
        let row = Value::dict(row.into_dict());
        bytes += value_size(&row);
        while kept.len() >= MAX_ROWS || kept.front().is_some_and(|(at, _)| bytes > MAX_BYTES || at.age(cx) > max_age) {
            if let Some((_, oldest)) = kept.pop_front() {
                bytes = bytes.saturating_sub(value_size(&oldest));
            }
        }
        kept.push_back((Moment::now(cx), row));
        let rows = Value::array(kept.iter().map(|(_, row)| row.clone()));
        let vars = [(Arc::from("SEQUENCE"), rows)];
        cx.with_vars(&vars).run_query(&query, emit)
    })
}

pub(super) fn register(registry: &mut Registry) {
    registry.add_plugin(Plug(&SEQUENCE, run));
}
