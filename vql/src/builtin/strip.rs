//! `strip()`.

use super::prelude::*;

static STRIP: Signature = Signature::new(
    "strip",
    "The text without a prefix and a suffix; without white space around when neither is given.",
    &[
        req("string", Text, "The text"),
        opt("prefix", Text, "What to take off in front, once"),
        opt("suffix", Text, "What to take off behind, once"),
    ],
)
.group(Group::Strings)
.examples(&["SELECT strip(string='>> a <<', prefix='>>', suffix='<<') AS Text FROM scope()"]);

fn call(_cx: &Context<'_>, args: &Args<'_>) -> Result<Value, CallError> {
    let text = args.str("string")?;
    let (prefix, suffix) = (args.str("prefix")?, args.str("suffix")?);
    if prefix.is_empty() && suffix.is_empty() {
        return Ok(Value::from(text.trim()));
    }
    let text = text.strip_prefix(&*prefix).unwrap_or(&text);
    Ok(Value::from(text.strip_suffix(&*suffix).unwrap_or(text)))
}

pub(super) fn register(registry: &mut Registry) {
    registry.add_function(Func(&STRIP, call));
}
