//! `filter()`.

use super::condition::{Condition, each};
use super::prelude::*;

static FILTER: Signature = Signature::new(
    "filter",
    "The elements that match a pattern, or for which a lambda is true. With both the lambda decides; with neither the \
     element's own truth.",
    &[
        req("list", Any, "The elements, or a query whose rows they are").repeated(),
        opt("regex", Text, "A pattern, or several of which one must match").repeated(),
        opt("condition", Lambda, "A lambda that gets the element"),
    ],
)
.group(Group::Arrays)
.examples(&[
    "SELECT filter(list=(1, 2, 3), condition='x => x > 1') AS Items FROM scope()",
    "SELECT filter(list=('AA', 'BA'), regex='^A') AS Items FROM scope()",
]);

fn call(cx: &Context<'_>, args: &Args<'_>) -> Result<Value, CallError> {
    let condition = Condition::of(cx, args, "condition")?;
    let mut kept = Vec::new();
    let _ = each(cx, &args.raw("list"), &mut |item| {
        if condition.holds(cx, &item) {
            kept.push(item);
        }
        CONTINUE
    });
    Ok(Value::from(kept))
}

pub(super) fn register(registry: &mut Registry) {
    registry.add_function(Func(&FILTER, call));
}
