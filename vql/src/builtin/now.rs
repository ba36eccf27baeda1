//! `now()`.

use super::prelude::*;

static NOW: Signature = Signature::new("now", "The time in seconds since 1970.", &[opt("ns", Bool, "In nanoseconds")])
    .group(Group::Time)
    .examples(&["SELECT now() > 0 AS Later FROM scope()"]);

fn call(cx: &Context<'_>, args: &Args<'_>) -> Result<Value, CallError> {
    let now = cx.now();
    Ok(Value::Int(if args.bool("ns")? {
        i64::try_from(now.as_nanosecond()).unwrap_or(i64::MAX)
    } else {
        now.as_second()
    }))
}

pub(super) fn register(registry: &mut Registry) {
    registry.add_function(Func(&NOW, call));
}
