//! `mock_clear()`.

use super::prelude::*;

static MOCK_CLEAR: Signature = Signature::new("mock_clear", "Forgets all that is mocked, and gives TRUE.", &[])
    .group(Group::Control)
    .examples(&["SELECT mock_clear() AS Cleared FROM scope()"]);

fn call(cx: &Context<'_>, _args: &Args<'_>) -> Result<Value, CallError> {
    cx.shared.run.mocks.clear();
    Ok(Value::Bool(true))
}

pub(super) fn register(registry: &mut Registry) {
    registry.add_function(Func(&MOCK_CLEAR, call));
}
