//! `any()`.

use super::condition::{Condition, each};
use super::prelude::*;

static ANY: Signature = Signature::new(
    "any",
    "Whether an element is true, matches a pattern, or satisfies a lambda; the first that does ends the search.",
    &[
        req("items", Any, "The elements: an array, or a query whose rows they are"),
        opt("filter", Lambda, "A lambda that gets the element"),
        opt("regex", Text, "Patterns, one of which must match").repeated(),
    ],
)
.group(Group::Arrays)
.examples(&["SELECT any(items=(0, 2), filter='x => x > 1') AS Any FROM scope()"]);

fn call(cx: &Context<'_>, args: &Args<'_>) -> Result<Value, CallError> {
    let condition = Condition::of(cx, args, "filter")?;
    let mut answer = false;
    let _ = each(cx, &args.raw("items"), &mut |item| {
        if condition.holds(cx, &item) {
            answer = true;
            return BREAK;
        }
        CONTINUE
    });
    Ok(Value::Bool(answer))
}

pub(super) fn register(registry: &mut Registry) {
    registry.add_function(Func(&ANY, call));
}
