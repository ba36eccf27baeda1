//! `alert()`.

use super::logged::is_due;
use super::prelude::*;
use crate::scope::Level;

static ALERT: Signature = Signature::new(
    "alert",
    "Writes an alert to the query's log, as `ALERT name {…}` with all further arguments; TRUE when the condition held.",
    &[
        req("name", Text, "What the alert is called"),
        opt("dedup", Int, "Seconds in which the same alert is not repeated, 7200 without; -1 repeats always"),
        opt("condition", Any, "When this is there and not true there is no alert"),
    ],
)
.group(Group::Control)
.open()
.examples(&["SELECT alert(name='Odd process', Pid=4, condition=4 < 10) AS Alerted FROM scope()"]);

fn call(cx: &Context<'_>, args: &Args<'_>) -> Result<Value, CallError> {
    if args.has("condition") && !cx.truth(&args.raw("condition")) {
        return Ok(Value::Bool(false));
    }
    let name = args.str("name")?;
    if is_due(cx, &format!("alert {name}"), args.opt_int("dedup")?.unwrap_or(7200)) {
        let mut data = Dict::new();
        for (name, value) in args.all() {
            if !matches!(&*name, "name" | "dedup" | "condition") {
                data.set(name, cx.materialize(value.eval(cx)));
            }
        }
        let data = if data.is_empty() { String::new() } else { format!(" {}", Value::dict(data).to_json()) };
        cx.log(Level::Warn, format!("ALERT {name}{data}"));
    }
    Ok(Value::Bool(true))
}

pub(super) fn register(registry: &mut Registry) {
    registry.add_function(Func(&ALERT, call));
}
