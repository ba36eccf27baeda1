//! `str()`.

use super::prelude::*;

static STR: Signature = Signature::new("str", "The value as text.", &[req("str", Any, "The value")])
    .group(Group::Strings)
    .examples(&["SELECT str(str=12) AS Text FROM scope()"]);

fn str(_cx: &Context<'_>, args: &Args<'_>) -> Result<Value, CallError> {
    Ok(match args.value("str") {
        bytes @ Value::Bytes(_) => bytes,
        other => Value::Str(other.to_text()),
    })
}

pub(super) fn register(registry: &mut Registry) {
    registry.add_function(Func(&STR, str));
}
