//! `parse_json_array()`, as function and as plugin.

use super::parse_json::{ARGS, parse};
use super::prelude::*;

static FUNCTION: Signature = Signature::new("parse_json_array", "The array of a JSON document.", ARGS)
    .group(Group::Parsing)
    .examples(&["SELECT parse_json_array(data='[1, 2]') AS Items FROM scope()"]);

fn parse_json_array(_cx: &Context<'_>, args: &Args<'_>) -> Result<Value, CallError> {
    match parse(args)? {
        array @ Value::Array(_) => Ok(array),
        other => Err(CallError::new(format!("the document is no array but {}: use parse_json()", other.type_name()))),
    }
}

static PLUGIN: Signature = Signature::new(
    "parse_json_array",
    "The elements of a JSON array as rows; those that are no object as column `_value`.",
    ARGS,
)
.group(Group::Parsing)
.examples(&["SELECT * FROM parse_json_array(data='[{\"a\": 1}, {\"a\": 2}]')"]);

fn run(cx: &Context<'_>, args: &Args<'_>, emit: &mut EmitView<'_>) -> Result<Flow, CallError> {
    Ok(cx.rows(&parse(args)?, emit))
}

pub(super) fn register(registry: &mut Registry) {
    registry.add_function(Func(&FUNCTION, parse_json_array));
    registry.add_plugin(Plug(&PLUGIN, run));
}
