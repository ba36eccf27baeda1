//! `join()`.

use super::prelude::*;

static JOIN: Signature = Signature::new(
    "join",
    "The elements of an array as one text.",
    &[
        req("array", Text, "The elements; of a query with one column the values of its rows").repeated(),
        opt("sep", Text, "What stands between them; nothing without"),
    ],
)
.group(Group::Strings)
.examples(&["SELECT join(array=('a', 'b'), sep='-') AS Text FROM scope()"]);

fn call(_cx: &Context<'_>, args: &Args<'_>) -> Result<Value, CallError> {
    let (parts, separator) = (args.strings("array")?, args.str("sep")?);
    let size = parts.iter().map(|part| part.len() + separator.len()).sum();
    bounded("the text", size)?;
    Ok(Value::from(parts.join(&*separator)))
}

pub(super) fn register(registry: &mut Registry) {
    registry.add_function(Func(&JOIN, call));
}
