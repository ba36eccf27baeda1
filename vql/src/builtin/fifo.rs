//! `fifo()`: the last rows of a query that runs beside the script.

use std::collections::VecDeque;

use parking_lot::Mutex;

use super::moment::{Moment, seconds};
use super::prelude::*;
use super::recent::{MAX_BYTES, row_size};

static FIFO: Signature = Signature::new(
    "fifo",
    "The last rows of a query that begins to run, beside the script, when this is first asked; that first time gives none.",
    &[
        req("query", Query, "The query; usually one of events"),
        opt("max_age", Int, "Seconds after which a row is forgotten, 600 without"),
        opt("max_rows", Int, "How many rows to keep, 1000 without"),
        opt("flush", Bool, "Forget the rows that were given"),
    ],
)
.group(Group::Rows)
.examples(&["SELECT * FROM fifo(query={ SELECT * FROM range(end=10) }, max_rows=2)"]);

#[derive(Default)]
struct Rows(Mutex<Kept>);

#[derive(Default)]
struct Kept {
    rows: VecDeque<(Moment, Row)>,
    bytes: usize,
}

impl Kept {
    fn drop_oldest(&mut self) {
        if let Some((_, row)) = self.rows.pop_front() {
            self.bytes = self.bytes.saturating_sub(row_size(&row));
        }
    }
}

fn run(cx: &Context<'_>, args: &Args<'_>, emit: &mut EmitView<'_>) -> Result<Flow, CallError> {
    let Some(query) = args.query("query")? else { return Ok(CONTINUE) };
    let age = seconds(args.opt_int("max_age")?.unwrap_or(600));
    let most = args.opt_int("max_rows")?.filter(|n| *n > 0).unwrap_or(1000).min(100_000) as usize;
    let (rows, is_new) = cx.state(args.place(), Rows::default);
    if is_new {
        let rows = rows.clone();
        cx.spawn(move |cx| {
            let _ = cx.run_query(&query, &mut |row| {
                let row = row.take_row();
                let mut rows = rows.0.lock();
                rows.bytes += row_size(&row);
                while rows.rows.len() >= most || (rows.bytes > MAX_BYTES && !rows.rows.is_empty()) {
                    rows.drop_oldest();
                }
                rows.rows.push_back((Moment::now(cx), row));
                drop(rows);
                cx.unless_cancelled()
            });
        })?;
        // What the query has by now is chance: the first answer is always the empty one.
        return Ok(CONTINUE);
    }
    let given: Vec<Row> = {
        let mut rows = rows.0.lock();
        while rows.rows.front().is_some_and(|(at, _)| at.age(cx) > age) {
            rows.drop_oldest();
        }
        let given = rows.rows.iter().map(|(_, row)| row.clone()).collect();
        if args.bool("flush")? {
            *rows = Kept::default();
        }
        given
    };
    Ok(given.iter().try_for_each(|row| emit(row)))
}

pub(super) fn register(registry: &mut Registry) {
    registry.add_plugin(Plug(&FIFO, run));
}
