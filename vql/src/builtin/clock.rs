//! `clock()`.

use std::time::Duration;

use jiff::Timestamp;

use super::moment::{seconds, wait};
use super::prelude::*;
use super::time;

static CLOCK: Signature = Signature::new(
    "clock",
    "A row at the start and then each period, without end: the time, with its members as columns.",
    &[
        opt("start", Time, "When to begin; at the first period's end without"),
        opt("period", Int, "Seconds between two rows, 1 without"),
        opt("ms", Int, "Milliseconds, instead of period"),
    ],
)
.group(Group::Rows)
.examples(&["SELECT Unix > 0 AS Ticked FROM clock(start=0) LIMIT 1"]);

fn run(cx: &Context<'_>, args: &Args<'_>, emit: &mut EmitView<'_>) -> Result<Flow, CallError> {
    let period = match args.opt_int("ms")?.filter(|ms| *ms > 0) {
        Some(ms) => Duration::from_millis(ms.unsigned_abs()),
        None => seconds(args.opt_int("period")?.unwrap_or(1)),
    }
    .max(Duration::from_millis(1));
    let mut next = match args.time("start")? {
        Some(start) => Duration::try_from(start.duration_since(cx.now())).unwrap_or_default(),
        None => period,
    };
    let columns = Columns::new(time::MEMBERS.into_iter().chain(["Timestamp"]));
    loop {
        if wait(cx, next).is_break() {
            return Ok(BREAK);
        }
        // The world's time, also where the execution's own stands still.
        let now = Timestamp::now().max(cx.now());
        let members = time::MEMBERS.iter().map(|name| time::member(&now, name).unwrap_or_default());
        if emit(&Row::new(&columns, members.chain([Value::Time(now)]).collect())).is_break() {
            return Ok(BREAK);
        }
        next = period;
    }
}

pub(super) fn register(registry: &mut Registry) {
    registry.add_plugin(Plug(&CLOCK, run));
}
