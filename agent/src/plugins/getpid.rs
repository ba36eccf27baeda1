//! `getpid()`.

use super::prelude::*;

static GETPID: Signature = Signature::new("getpid", "The number of the agent's own process.", &[])
    .group(Group::Host)
    .examples(&["SELECT Name FROM pslist(pid=getpid())"]);

fn call(_cx: &Context<'_>, _args: &Args<'_>) -> Result<Value, CallError> {
    Ok(std::process::id().into())
}

pub(super) fn register(registry: &mut Registry) {
    registry.add_function(Func(&GETPID, call));
}
