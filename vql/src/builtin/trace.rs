//! `trace()`.

use super::prelude::*;

static TRACE: Signature = Signature::new(
    "trace",
    "Stands in existing queries that are being developed; here it does nothing, and gives NULL.",
    &[],
)
.group(Group::Control)
.open()
.examples(&["SELECT trace() AS Nothing FROM scope()"]);

fn call(_cx: &Context<'_>, _args: &Args<'_>) -> Result<Value, CallError> {
    Ok(Value::Null)
}

pub(super) fn register(registry: &mut Registry) {
    registry.add_function(Func(&TRACE, call));
}
