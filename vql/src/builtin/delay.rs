//! `delay()`.

use std::collections::VecDeque;

use super::beside::{self, Came};
use super::moment::{Moment, seconds, wait};
use super::prelude::*;
use super::recent::{MAX_BYTES, row_size};

static DELAY: Signature = Signature::new(
    "delay",
    "The rows of a query, each some seconds after it came.",
    &[
        req("query", Query, "The query"),
        req("delay", Int, "Seconds"),
        opt("buffer_size", Int, "How many rows wait at most, 1000 without"),
    ],
)
.group(Group::Rows)
.examples(&["SELECT * FROM delay(query={ SELECT 1 AS A FROM scope() }, delay=0)"]);

fn run(cx: &Context<'_>, args: &Args<'_>, emit: &mut EmitView<'_>) -> Result<Flow, CallError> {
    let Some(query) = args.query("query")? else { return Ok(CONTINUE) };
    let delay = seconds(args.int("delay")?);
    let most = args.opt_int("buffer_size")?.filter(|n| *n > 0).unwrap_or(1000).min(100_000) as usize;
    let mut waiting: VecDeque<(Moment, Row)> = VecDeque::new();
    let mut bytes = 0;
    let flow = beside::run(cx, &[Value::Query(query)], 1, &mut |cx, _, came| {
        if let Came::Row(row) = came {
            bytes += row_size(&row);
            waiting.push_back((Moment::now(cx), row));
        }
        while let Some((at, _)) = waiting.front() {
            let left = delay.saturating_sub(at.age(cx));
            if waiting.len() > most || bytes > MAX_BYTES {
                // The query is held up meanwhile.
                wait(cx, left)?;
            } else if !left.is_zero() {
                break;
            }
            if let Some((_, row)) = waiting.pop_front() {
                bytes = bytes.saturating_sub(row_size(&row));
                emit(&row)?;
            }
        }
        CONTINUE
    })?;
    if flow.is_break() {
        return Ok(flow);
    }
    Ok(waiting.into_iter().try_for_each(|(at, row)| {
        wait(cx, delay.saturating_sub(at.age(cx)))?;
        emit(&row)
    }))
}

pub(super) fn register(registry: &mut Registry) {
    registry.add_plugin(Plug(&DELAY, run));
}
