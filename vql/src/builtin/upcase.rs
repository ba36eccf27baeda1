//! `upcase()`.

use super::prelude::*;

static UPCASE: Signature = Signature::new("upcase", "The text in upper case.", &[req("string", Text, "The text")])
    .group(Group::Strings)
    .examples(&["SELECT upcase(string='abc') AS Text FROM scope()"]);

fn call(_cx: &Context<'_>, args: &Args<'_>) -> Result<Value, CallError> {
    Ok(Value::from(args.str("string")?.to_uppercase()))
}

pub(super) fn register(registry: &mut Registry) {
    registry.add_function(Func(&UPCASE, call));
}
