//! `parse_yaml()`.

use super::files::{self, ACCESSOR};
use super::prelude::*;

static PARSE_YAML: Signature = Signature::new(
    "parse_yaml",
    "The value of a YAML document.",
    &[req("filename", PathArg, "The file"), ACCESSOR, opt("schema", Text, "Accepted for existing queries").repeated()],
)
.group(Group::Parsing)
.examples(&["SELECT parse_yaml(accessor='data', filename='a: 1\nb: [x, y]') AS Yaml FROM scope()"]);

fn parse_yaml(cx: &Context<'_>, args: &Args<'_>) -> Result<Value, CallError> {
    let content = files::whole(cx, args, "filename")?;
    let text = files::text(&content);
    serde_saphyr::from_str(&text).map_err(|error| CallError::new(error.to_string()))
}

pub(super) fn register(registry: &mut Registry) {
    registry.add_function(Func(&PARSE_YAML, parse_yaml));
}
