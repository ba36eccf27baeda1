//! `sleep()`, `delay()`, `clock()`.

use std::sync::mpsc;
use std::time::{Duration, Instant};

use super::prelude::*;
use crate::eval::big_thread;

static SLEEP: Signature = Signature::new(
    "sleep",
    "Waits, and gives TRUE.",
    &[opt("time", Int, "Seconds"), opt("ms", Int, "Milliseconds, beside the seconds")],
)
.group(Group::Control)
.examples(&["SELECT sleep(ms=1) AS Slept FROM scope()"]);

fn sleep(cx: &Context<'_>, args: &Args<'_>) -> Result<Value, CallError> {
    let positive = |n: i64| u64::try_from(n).unwrap_or(0);
    let time = Duration::from_secs(positive(args.int("time")?))
        .saturating_add(Duration::from_millis(positive(args.int("ms")?)));
    let _ = cx.sleep(time);
    Ok(Value::Bool(true))
}

static DELAY: Signature = Signature::new(
    "delay",
    "The rows of a query, each some seconds after it came.",
    &[
        req("query", Query, "The query"),
        req("delay", Int, "Seconds"),
        opt("buffer_size", Int, "How many rows wait at most, 1024 without"),
    ],
)
.group(Group::Control)
.examples(&["SELECT * FROM delay(query={ SELECT 1 AS A FROM scope() }, delay=0)"]);

fn delay(cx: &Context<'_>, args: &Args<'_>, emit: &mut EmitView<'_>) -> Result<Flow, CallError> {
    let Some(query) = args.query("query")? else { return Ok(CONTINUE) };
    let delay = Duration::from_secs(u64::try_from(args.int("delay")?).unwrap_or(0));
    let waiting = args.opt_int("buffer_size")?.unwrap_or(1024).clamp(1, 100_000) as usize;
    let stop = cx.cancel_token().child();
    let cx = &cx.with_cancel(&stop);
    let (give, take) = mpsc::sync_channel::<(Instant, Row)>(waiting);
    std::thread::scope(|scope| {
        big_thread(scope, move || {
            let _ = cx.run_query(&query, &mut |row| match give.send((Instant::now(), row.take_row())) {
                Ok(()) => CONTINUE,
                Err(_) => BREAK,
            });
        })?;
        let mut flow = CONTINUE;
        for (came, row) in &take {
            flow = cx.sleep(delay.saturating_sub(came.elapsed()));
            if flow.is_continue() {
                flow = emit(&row);
            }
            if flow.is_break() {
                break;
            }
        }
        stop.cancel();
        drop(take);
        Ok(flow)
    })
}

static CLOCK: Signature = Signature::new(
    "clock",
    "A row at the start and then each period: the time.",
    &[
        opt("start", Time, "When to begin; at the first period's end without"),
        opt("period", Int, "Seconds between two rows, 1 without"),
        opt("ms", Int, "Milliseconds, instead of period"),
    ],
)
.group(Group::Control)
.examples(&["SELECT Unix > 0 AS Ticked FROM clock(start=0) LIMIT 1"]);

fn clock(cx: &Context<'_>, args: &Args<'_>, emit: &mut EmitView<'_>) -> Result<Flow, CallError> {
    let positive = |n: i64| u64::try_from(n).unwrap_or(0);
    let period = match args.opt_int("ms")? {
        Some(ms) => Duration::from_millis(positive(ms)),
        None => Duration::from_secs(positive(args.opt_int("period")?.unwrap_or(1))),
    }
    .max(Duration::from_millis(1));
    let first = match args.time("start")? {
        Some(start) => Duration::from_secs(positive(start.as_second() - cx.now().as_second())),
        None => period,
    };
    let columns = Columns::new(["Unix", "UnixMilli", "UnixNano", "String", "Timestamp"]);
    let mut next = first;
    loop {
        if cx.sleep(next).is_break() {
            return Ok(BREAK);
        }
        let now = jiff::Timestamp::now();
        let nanos = i64::try_from(now.as_nanosecond()).unwrap_or(i64::MAX);
        let values =
            vec![now.as_second().into(), now.as_millisecond().into(), nanos.into(), now.to_string().into(), now.into()];
        if emit(&Row::new(&columns, values)).is_break() {
            return Ok(BREAK);
        }
        next = period;
    }
}

pub(super) fn register(registry: &mut Registry) {
    registry.add_function(Func(&SLEEP, sleep));
    registry.add_plugin(Plug(&DELAY, delay));
    registry.add_plugin(Plug(&CLOCK, clock));
}
