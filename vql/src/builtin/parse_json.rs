//! `parse_json()`.

use super::prelude::*;

/// The argument of the functions that parse JSON.
pub(super) const ARGS: &[ArgSpec] =
    &[req("data", Text, "The document"), opt("schema", Text, "Accepted for existing queries").repeated()];

static PARSE_JSON: Signature = Signature::new("parse_json", "The value of a JSON document.", ARGS)
    .group(Group::Parsing)
    .examples(&["SELECT parse_json(data='{\"a\": 1}').a AS A FROM scope()"]);

fn parse_json(_cx: &Context<'_>, args: &Args<'_>) -> Result<Value, CallError> {
    parse(args)
}

/// The value of the argument `data`.
pub(super) fn parse(args: &Args<'_>) -> Result<Value, CallError> {
    let data = args.bytes("data")?;
    crate::json::parse(super::files::without_mark(&data)).map_err(|error| CallError::new(error.to_string()))
}

pub(super) fn register(registry: &mut Registry) {
    registry.add_function(Func(&PARSE_JSON, parse_json));
}
