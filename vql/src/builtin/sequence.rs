//! `sequence()`.

use std::collections::VecDeque;

use super::beside::{self, Came, WAITING};
use super::moment::{Moment, seconds};
use super::prelude::*;

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
    beside::run(cx, &sources, WAITING, &mut |cx, _, came| {
        let Came::Row(row) = came else { return CONTINUE };
        while kept.len() >= MAX_ROWS || kept.front().is_some_and(|(at, _)| at.age(cx) > max_age) {
            kept.pop_front();
        }
        kept.push_back((Moment::now(cx), Value::dict(row.into_dict())));
        let rows = Value::array(kept.iter().map(|(_, row)| row.clone()));
        let vars = [(Arc::from("SEQUENCE"), rows)];
        cx.with_vars(&vars).run_query(&query, emit)
    })
}

pub(super) fn register(registry: &mut Registry) {
    registry.add_plugin(Plug(&SEQUENCE, run));
}
