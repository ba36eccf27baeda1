//! `parse_string_with_regex()`.

use super::prelude::*;

static PARSE_STRING_WITH_REGEX: Signature = Signature::new(
    "parse_string_with_regex",
    "A dict of what the groups of the patterns matched; groups without a name are `g1`, `g2` and so on.",
    &[req("string", Text, "The text"), req("regex", Text, "The patterns").repeated()],
)
.group(Group::Strings)
.examples(&["SELECT parse_string_with_regex(string='pid 12', regex='pid (?P<Pid>\\\\d+)').Pid AS Pid FROM scope()"]);

fn parse_string_with_regex(cx: &Context<'_>, args: &Args<'_>) -> Result<Value, CallError> {
    let text = args.bytes("string")?;
    let mut dict = Dict::new();
    for pattern in args.strings("regex")? {
        let regex = cx.regex(&pattern)?;
        let names: Vec<Arc<str>> = regex
            .capture_names()
            .enumerate()
            .map(|(i, name)| name.map_or_else(|| Arc::from(format!("g{i}")), Arc::from))
            .collect();
        let found = regex.captures(&text);
        for (i, name) in names.iter().enumerate().skip(1) {
            match found.as_ref().and_then(|f| f.get(i)) {
                Some(group) => dict.set(name.clone(), Value::from_bytes(group.as_bytes())),
                None if dict.contains(name) => {}
                None => dict.set(name.clone(), ""),
            }
        }
    }
    Ok(Value::dict(dict))
}

pub(super) fn register(registry: &mut Registry) {
    registry.add_function(Func(&PARSE_STRING_WITH_REGEX, parse_string_with_regex));
}
