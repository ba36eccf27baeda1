//! `foreach()`: the join of VQL.

use std::sync::mpsc;

use parking_lot::Mutex;

use super::prelude::*;
use crate::eval::{StoredQuery, big_thread};

static FOREACH: Signature = Signature::new(
    "foreach",
    "Runs a query for each row of another, with that row's columns as variables.",
    &[
        req("row", Lazy, "A query, an array or a dict; elements that are no dict become the column `_value`"),
        opt("query", Query, "What to run for each row; without it the rows themselves come out"),
        opt("workers", Int, "How many rows to work on at the same time; the order is then open"),
        opt("async", Bool, "As workers, with as many as are useful"),
        opt("column", Text, "Take this column of each row, as the row"),
    ],
)
.group(Group::Control)
.examples(&["SELECT * FROM foreach(row=(1, 2), query={ SELECT _value * 2 AS Double FROM scope() })"]);

/// More threads than this never help a query.
const MAX_WORKERS: i64 = 64;

/// How many workers `async` means.
const ASYNC_WORKERS: i64 = 8;

/// How many finished rows wait for the consumer before the workers do.
const WAITING: usize = 128;

fn run(cx: &Context<'_>, args: &Args<'_>, emit: &mut EmitView<'_>) -> Result<Flow, CallError> {
    let rows = args.raw("row");
    let query = args.query("query")?;
    let column = args.opt_str("column")?;
    let workers = match args.opt_int("workers")? {
        Some(n) => n.clamp(1, MAX_WORKERS),
        None if args.bool("async")? => ASYNC_WORKERS,
        None => 1,
    };
    let Some(query) = query else {
        return Ok(each(cx, &rows, column.as_deref(), emit));
    };
    if workers > 1 {
        return parallel(cx, &rows, column.as_deref(), &query, workers as usize, emit);
    }
    Ok(each(cx, &rows, column.as_deref(), &mut |row| cx.with_row(row).run_query(&query, emit)))
}

/// The rows, or the values of one of their columns as rows.
fn each(cx: &Context<'_>, rows: &Value, column: Option<&str>, emit: &mut EmitView<'_>) -> Flow {
    match column {
        None => cx.rows(rows, emit),
        Some(column) => cx.rows(rows, &mut |row| cx.rows(&row.get(column).unwrap_or_default(), emit)),
    }
}

fn parallel(
    cx: &Context<'_>,
    rows: &Value,
    column: Option<&str>,
    query: &StoredQuery,
    workers: usize,
    emit: &mut EmitView<'_>,
) -> Result<Flow, CallError> {
    let stop = cx.cancel_token().child();
    let cx = &cx.with_cancel(&stop);
    let (give, take) = mpsc::sync_channel::<Row>(workers);
    let take = Arc::new(Mutex::new(take));
    let (done, finished) = mpsc::sync_channel::<Row>(WAITING);
    std::thread::scope(|scope| {
        for _ in 0..workers {
            let (take, done) = (take.clone(), done.clone());
            big_thread(scope, move || {
                loop {
                    // The guard is dropped before the row is worked on.
                    let next = take.lock().recv();
                    let Ok(row) = next else { return };
                    let flow = cx.with_row(&row).run_query(query, &mut |row| match done.send(row.take_row()) {
                        Ok(()) => CONTINUE,
                        Err(_) => BREAK,
                    });
                    if flow.is_break() {
                        return;
                    }
                }
            })?;
        }
        drop((take, done));
        big_thread(scope, move || {
            let _ = each(cx, rows, column, &mut |row| match give.send(row.take_row()) {
                Ok(()) => CONTINUE,
                Err(_) => BREAK,
            });
        })?;
        let mut flow = CONTINUE;
        for row in &finished {
            flow = emit(&row);
            if flow.is_break() {
                break;
            }
        }
        // Whoever still works notices on its next row, or at once if it asks for cancellation.
        stop.cancel();
        drop(finished);
        Ok(flow)
    })
}

pub(super) fn register(registry: &mut Registry) {
    registry.add_plugin(Plug(&FOREACH, run));
}
