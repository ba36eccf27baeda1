//! `mock_replay()`.

use super::mock::check;
use super::prelude::*;

static MOCK_REPLAY: Signature = Signature::new(
    "mock_replay",
    "Has what is mocked give its answers again from the first. TRUE when it was called as often as expected until now.",
    &[
        opt("plugin", Text, "The plugin that is mocked"),
        opt("function", Text, "The function that is mocked"),
        opt("expected_calls", Int, "How often it should have been called"),
        opt("clear", Bool, "Then forget the mock"),
    ],
)
.group(Group::Control)
.examples(&["LET _ <= mock(function='hash', results=('a', 'b'))
 SELECT hash() AS A, mock_replay(function='hash', expected_calls=1) AS Good, hash() AS Again FROM scope()"]);

fn call(cx: &Context<'_>, args: &Args<'_>) -> Result<Value, CallError> {
    check(cx, args, |kind, name| cx.shared.run.mocks.rewind(kind, name))
}

pub(super) fn register(registry: &mut Registry) {
    registry.add_function(Func(&MOCK_REPLAY, call));
}
