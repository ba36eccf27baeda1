//! `log()`.

use super::format::values;
use super::logged::is_due;
use super::prelude::*;
use super::printf::printf;
use crate::scope::Level;

static LOG: Signature = Signature::new(
    "log",
    "Writes a line to the query's log and gives TRUE, so that it can stand in WHERE. The same message, whatever its \
     arguments, is written once in a while only.",
    &[
        req("message", Text, "The line; with `args` as in format()"),
        opt("args", Any, "As in format()"),
        opt("level", Text, "DEFAULT, DEBUG, INFO, WARN or ERROR"),
        opt("dedup", Int, "Seconds in which the same message is not repeated, 60 without; -1 repeats always"),
    ],
)
.group(Group::Control)
.examples(&["SELECT _value FROM range(end=1) WHERE log(message='at %v', args=_value)"]);

fn call(cx: &Context<'_>, args: &Args<'_>) -> Result<Value, CallError> {
    let message = args.str("message")?;
    if !is_due(cx, &message, args.opt_int("dedup")?.unwrap_or(60)) {
        return Ok(Value::Bool(true));
    }
    let level = match args.str("level")?.to_ascii_uppercase().as_str() {
        "DEBUG" => Level::Debug,
        "WARN" | "WARNING" => Level::Warn,
        "ERROR" => Level::Error,
        "" | "DEFAULT" | "INFO" => Level::Info,
        other => {
            cx.error(format!("log: `level` is DEFAULT, DEBUG, INFO, WARN or ERROR, not `{other}`"));
            Level::Info
        }
    };
    if args.has("args") {
        let line = printf(message.as_bytes(), &values(args))?;
        cx.log(level, String::from_utf8_lossy(&line));
    } else {
        cx.log(level, &*message);
    }
    Ok(Value::Bool(true))
}

pub(super) fn register(registry: &mut Registry) {
    registry.add_function(Func(&LOG, call));
}
