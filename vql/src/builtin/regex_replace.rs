//! `regex_replace()`.

use super::prelude::*;
use super::replace::replace_all;

static REGEX_REPLACE: Signature = Signature::new(
    "regex_replace",
    "Replaces each match of a pattern.",
    &[
        req("source", Text, "The text"),
        req("re", Text, "The pattern"),
        opt("replace", Text, "What to put in its place; `$1` or `${name}` stand for groups"),
        opt("replace_lambda", Lambda, "Or a lambda that gets the match and gives the text"),
    ],
)
.group(Group::Strings)
.examples(&["SELECT regex_replace(source='hello', re='l+', replace='L') AS Text FROM scope()"]);

fn regex_replace(cx: &Context<'_>, args: &Args<'_>) -> Result<Value, CallError> {
    let source = args.bytes("source")?;
    let regex = cx.regex(&args.str("re")?)?;
    let replaced = match args.lambda("replace_lambda")? {
        Some(lambda) => replace_all(cx, &regex, &source, |found, out| {
            out.extend_from_slice(cx.call(&lambda, &[Value::from(&found[0])]).to_text().as_bytes());
        }),
        None => {
            let replace = args.bytes("replace")?;
            replace_all(cx, &regex, &source, |found, out| found.expand(&replace, out))
        }
    };
    Ok(Value::from_bytes(replaced?))
}

pub(super) fn register(registry: &mut Registry) {
    registry.add_function(Func(&REGEX_REPLACE, regex_replace));
}
