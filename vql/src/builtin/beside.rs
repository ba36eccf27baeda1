//! Queries that run on threads of their own while their rows are taken here.

use std::sync::mpsc::{self, RecvTimeoutError};

use super::moment::TICK;
use super::prelude::*;
use crate::eval::big_thread;

/// More threads than this never help a query.
const MAX_QUERIES: usize = 256;

/// What the taker gets.
pub(super) enum Came {
    Row(Row),
    /// Nothing came for [`TICK`]; for those who look at the time.
    Nothing,
}

/// Runs all `queries` at once. At most `waiting` rows wait for `take`, which has them in the order in which they came,
/// each with the index of its query; its Break stops all. When `take` wants the time it is called without a row too.
pub(super) fn run(
    cx: &Context<'_>,
    queries: &[Value],
    waiting: usize,
    take: &mut dyn FnMut(&Context<'_>, usize, Came) -> Flow,
) -> Result<Flow, CallError> {
    if queries.len() > MAX_QUERIES {
        return Err(CallError::new(format!("at most {MAX_QUERIES} queries can run at once, not {}", queries.len())));
    }
    let stop = cx.cancel_token().child();
    let inner = &cx.with_cancel(&stop);
    let (give, taken) = mpsc::sync_channel::<(usize, Row)>(waiting.max(1));
    std::thread::scope(|scope| {
        let begun = queries.iter().enumerate().try_for_each(|(index, query)| {
            let give = give.clone();
            big_thread(scope, move || {
                let _ = inner.rows(query, &mut |row| match give.send((index, row.take_row())) {
                    Ok(()) => CONTINUE,
                    Err(_) => BREAK,
                });
            })
            .map(|_| ())
        });
        drop(give);
        let mut flow = CONTINUE;
        while begun.is_ok() && flow.is_continue() {
            flow = match taken.recv_timeout(TICK) {
                Ok((index, row)) => take(cx, index, Came::Row(row)),
                Err(RecvTimeoutError::Timeout) if cx.cancelled() => BREAK,
                Err(RecvTimeoutError::Timeout) => take(cx, 0, Came::Nothing),
                Err(RecvTimeoutError::Disconnected) => break,
            };
        }
        // Whoever still works notices at once if it asks, or on its next row.
        stop.cancel();
        drop(taken);
        begun?;
        Ok(if flow.is_break() { flow } else { cx.unless_cancelled() })
    })
}

/// How many rows of queries that run at once wait for whoever takes them.
pub(super) const WAITING: usize = 128;

/// The rows of all queries, as they come.
pub(super) fn merged(cx: &Context<'_>, queries: &[Value], emit: &mut EmitView<'_>) -> Result<Flow, CallError> {
    run(cx, queries, WAITING, &mut |_, _, came| match came {
        Came::Row(row) => emit(&row),
        Came::Nothing => CONTINUE,
    })
}
