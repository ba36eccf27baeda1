//! `slice()`.

use super::prelude::*;
use crate::eval::ops;

static SLICE: Signature = Signature::new(
    "slice",
    "The elements from `start` up to, but without, `end`.",
    &[
        req("list", Any, "The array, or a query whose rows it has"),
        req("start", Int, "The first, from 0; negative counts from the end"),
        req("end", Int, "Where to stop"),
    ],
)
.group(Group::Arrays)
.examples(&["SELECT slice(list=(1, 2, 3), start=0, end=2) AS Items FROM scope()"]);

fn call(_cx: &Context<'_>, args: &Args<'_>) -> Result<Value, CallError> {
    Ok(ops::slice(&args.value("list"), Some(args.int("start")?), Some(args.int("end")?)))
}

pub(super) fn register(registry: &mut Registry) {
    registry.add_function(Func(&SLICE, call));
}
