//! `parse_float()`.

use super::prelude::*;

static PARSE_FLOAT: Signature =
    Signature::new("parse_float", "The number that text stands for.", &[req("string", Any, "The text")])
        .group(Group::Numbers)
        .examples(&["SELECT parse_float(string='1.5') AS Number FROM scope()"]);

fn parse_float(_cx: &Context<'_>, args: &Args<'_>) -> Result<Value, CallError> {
    Ok(args.opt_float("string")?.into())
}

pub(super) fn register(registry: &mut Registry) {
    registry.add_function(Func(&PARSE_FLOAT, parse_float));
}
