//! `mock_check()`.

use super::mock::check;
use super::prelude::*;

static MOCK_CHECK: Signature = Signature::new(
    "mock_check",
    "Whether what is mocked was called as often as expected; when not, the log says how often it was.",
    &[
        opt("plugin", Text, "The plugin that is mocked"),
        opt("function", Text, "The function that is mocked"),
        opt("expected_calls", Int, "How often it should have been called"),
        opt("clear", Bool, "Then forget the mock"),
    ],
)
.group(Group::Control)
.examples(&["LET _ <= mock(function='hash', results='x')
 SELECT hash() AS Hash, mock_check(function='hash', expected_calls=1) AS Good FROM scope()"]);

fn call(cx: &Context<'_>, args: &Args<'_>) -> Result<Value, CallError> {
    check(cx, args, |_, _| {})
}

pub(super) fn register(registry: &mut Registry) {
    registry.add_function(Func(&MOCK_CHECK, call));
}
