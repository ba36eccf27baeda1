//! `substr()`.

use super::prelude::*;

static SUBSTR: Signature = Signature::new(
    "substr",
    "The characters from `start` up to, but without, `end`.",
    &[
        req("str", Text, "The text"),
        opt("start", Int, "The first character, from 0; negative counts from the end"),
        opt("end", Int, "Where to stop; the end of the text without"),
    ],
)
.group(Group::Strings)
.examples(&["SELECT substr(str='abcdef', start=1, end=3) AS Text FROM scope()"]);

fn call(_cx: &Context<'_>, args: &Args<'_>) -> Result<Value, CallError> {
    let text = args.str("str")?;
    let (start, end) = (args.opt_int("start")?, args.opt_int("end")?);
    let negative = |n: Option<i64>| n.is_some_and(|n| n < 0);
    // The length is counted only where something counts from the end.
    let len = if negative(start) || negative(end) { text.chars().count() as i64 } else { 0 };
    let at = |n: i64| usize::try_from(if n < 0 { n.saturating_add(len) } else { n }).unwrap_or(0);
    let start = start.map_or(0, at);
    let end = end.map_or(usize::MAX, at);
    Ok(Value::from(text.chars().skip(start).take(end.saturating_sub(start)).collect::<String>()))
}

pub(super) fn register(registry: &mut Registry) {
    registry.add_function(Func(&SUBSTR, call));
}
