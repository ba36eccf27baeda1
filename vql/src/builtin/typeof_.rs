//! `typeof()`.

use super::prelude::*;

static TYPEOF: Signature =
    Signature::new("typeof", "The name of the type of its first argument, whatever that is called.", &[])
        .group(Group::Control)
        .open()
        .examples(&["SELECT typeof(a=1) AS Type FROM scope()"]);

fn call(cx: &Context<'_>, args: &Args<'_>) -> Result<Value, CallError> {
    Ok(args.all().first().map_or(Value::Null, |(_, value)| Value::from(value.eval(cx).type_name())))
}

pub(super) fn register(registry: &mut Registry) {
    registry.add_function(Func(&TYPEOF, call));
}
