//! `all()`.

use super::condition::{Condition, each};
use super::prelude::*;

static ALL: Signature = Signature::new(
    "all",
    "Whether all elements are true, match a pattern, or satisfy a lambda; the first that does not ends the search.",
    &[
        req("items", Any, "The elements: an array, or a query whose rows they are"),
        opt("filter", Lambda, "A lambda that gets the element"),
        opt("regex", Text, "Patterns, one of which must match").repeated(),
    ],
)
.group(Group::Arrays)
.examples(&["SELECT all(items=(1, 2), filter='x => x > 0') AS All FROM scope()"]);

fn call(cx: &Context<'_>, args: &Args<'_>) -> Result<Value, CallError> {
    let condition = Condition::of(cx, args, "filter")?;
    let mut answer = true;
    let _ = each(cx, &args.raw("items"), &mut |item| {
        if condition.holds(cx, &item) {
            return CONTINUE;
        }
        answer = false;
        BREAK
    });
    Ok(Value::Bool(answer))
}

pub(super) fn register(registry: &mut Registry) {
    registry.add_function(Func(&ALL, call));
}
