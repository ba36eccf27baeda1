//! `mock()`, and what the functions around it share.

use super::prelude::*;
use crate::eval::MockKind;

static MOCK: Signature = Signature::new(
    "mock",
    "Has a plugin, function or artifact give what the script says instead of what it would, to test other queries. Mocked \
     again, it gives the first answer at its first call, the second at its second, and the last from then on.",
    &[
        opt("plugin", Text, "The plugin to mock: `results` are its rows"),
        opt("function", Text, "The function to mock: `results` is its value, of an array one element for each call"),
        opt("artifact", Any, "The artifact to mock, as Artifact.A.B or as text: `results` are its rows"),
        req("results", Lazy, "The answer"),
    ],
)
.group(Group::Control)
.examples(&["LET _ <= mock(plugin='glob', results=(dict(Name='a'), dict(Name='b'))) SELECT * FROM glob()"]);

fn call(cx: &Context<'_>, args: &Args<'_>) -> Result<Value, CallError> {
    let (kind, name) = target(args)?;
    let mocks = &cx.shared.run.mocks;
    match (kind, args.raw("results")) {
        (MockKind::Function, answer) => match cx.materialize(answer) {
            Value::Array(answers) => answers.iter().for_each(|one| mocks.add(kind, name.clone(), one.clone())),
            one => mocks.add(kind, name, one),
        },
        (MockKind::Plugin, rows) => mocks.add(kind, name, cx.materialize(rows)),
    }
    Ok(Value::Bool(true))
}

/// Which name the arguments `plugin`, `function` or `artifact` mean.
pub(super) fn target(args: &Args<'_>) -> Result<(MockKind, Arc<str>), CallError> {
    if let Some(name) = args.opt_str("plugin")? {
        return Ok((MockKind::Plugin, name));
    }
    if let Some(name) = args.opt_str("function")? {
        return Ok((MockKind::Function, name));
    }
    let artifact = match args.as_written("artifact").and_then(|written| written.dotted()) {
        // A variable holds the name.
        Some(name) if name.contains('.') => Some(Arc::from(name)),
        _ if args.has("artifact") => args.opt_str("artifact")?,
        _ => None,
    };
    match artifact {
        Some(name) if name.starts_with("Artifact.") => Ok((MockKind::Plugin, name)),
        Some(name) => Ok((MockKind::Plugin, Arc::from(format!("Artifact.{name}")))),
        None => Err(CallError::new("`plugin` or `function` must say what is meant")),
    }
}

/// What mock_check() and mock_replay() do: whether the calls were as many as expected; then `after`, or with `clear`
/// the mock is forgotten.
pub(super) fn check(cx: &Context<'_>, args: &Args<'_>, after: impl FnOnce(MockKind, &str)) -> Result<Value, CallError> {
    let (kind, name) = target(args)?;
    let mocks = &cx.shared.run.mocks;
    let Some(calls) = mocks.calls(kind, &name) else {
        return Err(CallError::new(format!("`{name}` is not mocked")));
    };
    let mut good = true;
    if let Some(expected) = args.opt_int("expected_calls")?
        && usize::try_from(expected) != Ok(calls)
    {
        good = false;
        cx.error(format!("`{name}` was called {calls} times, not {expected} times as expected"));
    }
    if args.bool("clear")? {
        mocks.forget(kind, &name);
    } else {
        after(kind, &name);
    }
    Ok(Value::Bool(good))
}

pub(super) fn register(registry: &mut Registry) {
    registry.add_function(Func(&MOCK, call));
}
