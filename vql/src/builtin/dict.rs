//! `dict()`.

use super::prelude::*;

static DICT: Signature = Signature::new("dict", "A dict of the arguments, in their order.", &[])
    .group(Group::Dicts)
    .open()
    .examples(&["SELECT dict(a=1, `b.c`='x') AS D FROM scope()"]);

fn call(cx: &Context<'_>, args: &Args<'_>) -> Result<Value, CallError> {
    Ok(Value::dict(args.all().into_iter().map(|(name, value)| (name, cx.materialize(value.eval(cx)))).collect()))
}

pub(super) fn register(registry: &mut Registry) {
    registry.add_function(Func(&DICT, call));
}
