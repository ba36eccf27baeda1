//! `environ()`: the agent's environment variables.

use std::{env, ffi::OsStr};

use super::prelude::*;
use crate::accessors::os_bytes;

static PLUGIN: Signature = Signature::new(
    "environ",
    "One row with the environment variables of the agent as columns.",
    &[opt("vars", Text, "Only these variables").repeated()],
)
.group(Group::Host)
.examples(&["SELECT PATH FROM environ(vars='PATH')"]);

static FUNCTION: Signature = Signature::new(
    "environ",
    "An environment variable of the agent, NULL when it is not set.",
    &[req("var", Text, "Its name")],
)
.group(Group::Host)
.examples(&["SELECT environ(var='PATH') AS Path FROM scope()"]);

fn run(_cx: &Context<'_>, args: &Args<'_>, emit: &mut Emit<'_>) -> Result<Flow, CallError> {
    let names = args.strings("vars")?;
    let row: Dict = if names.is_empty() {
        env::vars_os().map(|(name, value)| (name.to_string_lossy().into(), text(&value))).collect()
    } else {
        names.into_iter().map(|name| (name.clone(), get(&name))).collect()
    };
    Ok(emit(Row::from_dict(&row)))
}

fn call(_cx: &Context<'_>, args: &Args<'_>) -> Result<Value, CallError> {
    Ok(get(&args.str("var")?))
}

fn get(name: &str) -> Value {
    // The system has no such names, and Rust's library panics on them.
    if name.is_empty() || name.contains(['=', '\0']) {
        return Value::Null;
    }
    env::var_os(name).map_or(Value::Null, |value| text(&value))
}

fn text(value: &OsStr) -> Value {
    Value::from_bytes(os_bytes(value))
}

pub(super) fn register(registry: &mut Registry) {
    registry.add_plugin(Plug(&PLUGIN, run));
    registry.add_function(Func(&FUNCTION, call));
}
