//! `version()`.

use super::prelude::*;

static VERSION: Signature = Signature::new(
    "version",
    "A number when this program has the function or plugin, else NULL: for artifacts that run on several versions.",
    &[opt("function", Text, "The name of a function"), opt("plugin", Text, "The name of a plugin")],
)
.group(Group::Control)
.examples(&["SELECT version(plugin='range') AS Version FROM scope()"]);

fn call(cx: &Context<'_>, args: &Args<'_>) -> Result<Value, CallError> {
    let function = args.opt_str("function")?.map(|name| cx.registry().function(&name).is_some());
    let plugin = args.opt_str("plugin")?.map(|name| cx.registry().plugin(&name).is_some());
    Ok(if function.or(plugin).unwrap_or(false) { Value::Int(1) } else { Value::Null })
}

pub(super) fn register(registry: &mut Registry) {
    registry.add_function(Func(&VERSION, call));
}
