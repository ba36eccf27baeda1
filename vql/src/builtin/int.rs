//! `int()`.

use super::atoi::whole;
use super::prelude::*;

static INT: Signature = Signature::new(
    "int",
    "The value as a whole number, cut towards zero; NULL when it is none.",
    &[opt("int", Any, "A number, or text with one")],
)
.group(Group::Numbers)
.examples(&["SELECT int(int='42') AS Number FROM scope()"]);

fn int(_cx: &Context<'_>, args: &Args<'_>) -> Result<Value, CallError> {
    Ok(whole(&args.value("int")))
}

pub(super) fn register(registry: &mut Registry) {
    registry.add_function(Func(&INT, int));
}
