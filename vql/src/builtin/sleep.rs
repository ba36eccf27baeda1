//! `sleep()`.

use std::time::Duration;

use super::moment::{seconds, wait};
use super::prelude::*;

static SLEEP: Signature = Signature::new(
    "sleep",
    "Waits, and gives TRUE.",
    &[opt("time", Int, "Seconds"), opt("ms", Int, "Milliseconds, beside the seconds")],
)
.group(Group::Control)
.examples(&["SELECT sleep(ms=1) AS Slept FROM scope()"]);

fn call(cx: &Context<'_>, args: &Args<'_>) -> Result<Value, CallError> {
    let ms = Duration::from_millis(u64::try_from(args.int("ms")?).unwrap_or(0));
    let _ = wait(cx, seconds(args.int("time")?).saturating_add(ms));
    Ok(Value::Bool(true))
}

pub(super) fn register(registry: &mut Registry) {
    registry.add_function(Func(&SLEEP, call));
}
