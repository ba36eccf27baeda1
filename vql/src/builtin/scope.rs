//! `scope()`, as a function and as a plugin, and `version()`.

use super::prelude::*;

static SCOPE: Signature = Signature::new("scope", "The variables and columns that can be seen here, as a dict.", &[])
    .group(Group::Control)
    .examples(&["LET X <= 5 SELECT scope().X AS X FROM scope()"]);

fn call(cx: &Context<'_>, _args: &Args<'_>) -> Result<Value, CallError> {
    let mut dict = Dict::new();
    for name in cx.visible_names() {
        // Lazy variables are left alone: computing all of them is not what anybody means.
        if !dict.contains(&name)
            && let Some(value) = cx.value_of(&name)
        {
            dict.set(name, value);
        }
    }
    Ok(Value::dict(dict))
}

static SCOPE_PLUGIN: Signature = Signature::new("scope", "One row: for queries about variables alone.", &[])
    .group(Group::Control)
    .examples(&["SELECT 1 + 2 AS Three FROM scope()"]);

fn run(_cx: &Context<'_>, _args: &Args<'_>, emit: &mut EmitView<'_>) -> Result<Flow, CallError> {
    Ok(emit(&Row::of::<&str, 0>([])))
}

static VERSION: Signature = Signature::new(
    "version",
    "A number when this program has the function or plugin, else NULL: for artifacts that run on several versions.",
    &[opt("function", Text, "The name of a function"), opt("plugin", Text, "The name of a plugin")],
)
.group(Group::Control)
.examples(&["SELECT version(plugin='range') AS Version FROM scope()"]);

fn version(cx: &Context<'_>, args: &Args<'_>) -> Result<Value, CallError> {
    let function = args.opt_str("function")?.map(|name| cx.registry().function(&name).is_some());
    let plugin = args.opt_str("plugin")?.map(|name| cx.registry().plugin(&name).is_some());
    Ok(if function.or(plugin).unwrap_or(false) { Value::Int(1) } else { Value::Null })
}

pub(super) fn register(registry: &mut Registry) {
    registry.add_function(Func(&SCOPE, call));
    registry.add_plugin(Plug(&SCOPE_PLUGIN, run));
    registry.add_function(Func(&VERSION, version));
}
