//! `split()`.

use super::prelude::*;

static SPLIT: Signature = Signature::new(
    "split",
    "Cuts a text at each separator.",
    &[
        req("string", Text, "The text"),
        opt("sep", Text, "The pattern of the separators; a comma without"),
        opt("sep_string", Text, "The separator itself, when it is no pattern"),
    ],
)
.group(Group::Strings)
.examples(&["SELECT split(string='a,b', sep=',') AS Parts FROM scope()"]);

fn call(cx: &Context<'_>, args: &Args<'_>) -> Result<Value, CallError> {
    let text = args.bytes("string")?;
    let separator = args.bytes("sep_string")?;
    if !separator.is_empty() {
        let mut parts = Vec::new();
        let mut from = 0;
        for at in memchr::memmem::find_iter(&text, &separator) {
            parts.push(Value::from_bytes(&text[from..at]));
            from = at + separator.len();
        }
        parts.push(Value::from_bytes(&text[from..]));
        return Ok(Value::from(parts));
    }
    let pattern = args.opt_str("sep")?.unwrap_or_else(|| Arc::from(","));
    if pattern.is_empty() {
        return Ok(Value::from(String::from_utf8_lossy(&text).chars().map(String::from).collect::<Vec<_>>()));
    }
    let regex = cx.regex(&pattern)?;
    Ok(Value::array(regex.split(&text).map(Value::from_bytes)))
}

pub(super) fn register(registry: &mut Registry) {
    registry.add_function(Func(&SPLIT, call));
}
