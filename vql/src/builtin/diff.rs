//! `diff()`.

use indexmap::IndexMap;

use super::moment::{seconds, wait};
use super::prelude::*;
use super::recent::row_size;
use crate::eval::Held;

static DIFF: Signature = Signature::new(
    "diff",
    "Runs a query again and again, without end, and gives the rows that came and went since the time before, with the \
     column `Diff`: `added` or `removed`. What the first run finds is what later ones are compared with.",
    &[
        req("query", Query, "The query; one that ends"),
        req("key", Text, "The column by which rows are known again"),
        opt("period", Int, "Seconds between two runs, 10 without"),
    ],
)
.group(Group::Rows)
.examples(&["LET Seen <= dict(n=0)
 SELECT Key, Diff FROM diff(key='Key', period=0, query={
   SELECT set(item=Seen, field='n', value=Seen.n + 1).n AS Key FROM scope()
 }) LIMIT 2"]);

/// More rows than this are not compared.
const MAX_ROWS: usize = 1_000_000;

fn run(cx: &Context<'_>, args: &Args<'_>, emit: &mut EmitView<'_>) -> Result<Flow, CallError> {
    let Some(query) = args.query("query")? else { return Ok(CONTINUE) };
    let key = args.str("key")?;
    let period = seconds(args.opt_int("period")?.unwrap_or(10));
    // The rows of the run before, and the memory that they take.
    let mut before: Option<(IndexMap<Arc<str>, Row>, Held)> = None;
    loop {
        let mut now: IndexMap<Arc<str>, Row> = IndexMap::new();
        let mut full = false;
        let mut held = Held::new(cx);
        let _ = cx.run_query(&query, &mut |row| {
            match row.get(&key) {
                Some(value) => {
                    let row = row.take_row();
                    full = !held.room(row_size(&row));
                    now.insert(value.to_text(), row);
                }
                None => cx.error(format!("diff: the query has rows without the column `{key}`: they are left out")),
            }
            full |= now.len() > MAX_ROWS;
            if full { BREAK } else { CONTINUE }
        });
        // A run that was cut short says nothing about what went.
        if cx.cancelled() {
            return Ok(BREAK);
        }
        if full {
            let what = format!("diff() compares at most {MAX_ROWS} rows, and as many as the query's memory holds");
            return Err(CallError::new(format!("{what}: narrow the query")));
        }
        if let Some((before, _)) = &before {
            let went = before.iter().filter(|(key, _)| !now.contains_key(*key)).map(|(_, row)| (row, "removed"));
            let came = now.iter().filter(|(key, _)| !before.contains_key(*key)).map(|(_, row)| (row, "added"));
            if went.chain(came).try_for_each(|(row, what)| emit(&marked(row, what))).is_break() {
                return Ok(BREAK);
            }
        }
        before = Some((now, held));
        if wait(cx, period).is_break() {
            return Ok(BREAK);
        }
    }
}

fn marked(row: &Row, what: &str) -> Row {
    let mut dict = row.to_dict();
    dict.set("Diff", what);
    Row::from_dict(&dict)
}

pub(super) fn register(registry: &mut Registry) {
    registry.add_plugin(Plug(&DIFF, run));
}
