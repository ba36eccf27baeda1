//! `lowcase()`.

use super::prelude::*;

static LOWCASE: Signature = Signature::new("lowcase", "The text in lower case.", &[req("string", Text, "The text")])
    .group(Group::Strings)
    .examples(&["SELECT lowcase(string='ABC') AS Text FROM scope()"]);

fn call(_cx: &Context<'_>, args: &Args<'_>) -> Result<Value, CallError> {
    Ok(Value::from(args.str("string")?.to_lowercase()))
}

pub(super) fn register(registry: &mut Registry) {
    registry.add_function(Func(&LOWCASE, call));
}
