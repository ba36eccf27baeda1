//! `regex_transform()`.

use super::prelude::*;
use super::replace::replace_all;

static REGEX_TRANSFORM: Signature = Signature::new(
    "regex_transform",
    "Replaces by several patterns, one after the other.",
    &[
        req("source", Text, "The text"),
        req("map", DictArg, "From pattern to replacement"),
        opt("key", Text, "Accepted for existing queries"),
    ],
)
.group(Group::Strings)
.examples(&["SELECT regex_transform(source='ab', map=dict(a='x')) AS Text FROM scope()"]);

fn regex_transform(cx: &Context<'_>, args: &Args<'_>) -> Result<Value, CallError> {
    let mut text = args.bytes("source")?.to_vec();
    for (pattern, replace) in args.dict("map")?.iter().flat_map(|d| d.iter()) {
        let (regex, replace) = (cx.regex(pattern)?, replace.to_text());
        text = replace_all(cx, &regex, &text, |found, out| found.expand(replace.as_bytes(), out))?;
    }
    Ok(Value::from_bytes(text))
}

pub(super) fn register(registry: &mut Registry) {
    registry.add_function(Func(&REGEX_TRANSFORM, regex_transform));
}
