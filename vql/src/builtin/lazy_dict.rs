//! `lazy_dict()`.

use super::prelude::*;

static LAZY_DICT: Signature = Signature::new(
    "lazy_dict",
    "A dict of the arguments in which queries stay queries: for arguments that are passed on with `` `**` ``.",
    &[],
)
.group(Group::Dicts)
.open()
.examples(&["LET Args = lazy_dict(query={ SELECT * FROM range(end=4) }, n=2)
 SELECT * FROM sample(`**`=Args)"]);

fn call(cx: &Context<'_>, args: &Args<'_>) -> Result<Value, CallError> {
    Ok(Value::dict(args.all().into_iter().map(|(name, value)| (name, value.eval(cx))).collect()))
}

pub(super) fn register(registry: &mut Registry) {
    registry.add_function(Func(&LAZY_DICT, call));
}
