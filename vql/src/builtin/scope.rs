//! `scope()`, as a function and as a plugin.

use super::prelude::*;

static SCOPE: Signature = Signature::new("scope", "The variables and columns that can be seen here, as a dict.", &[])
    .group(Group::Control)
    .examples(&["LET X <= 5 SELECT scope().X AS X FROM scope()"]);

fn call(cx: &Context<'_>, _args: &Args<'_>) -> Result<Value, CallError> {
    Ok(variables(cx))
}

/// What can be seen, innermost first. Lazy variables are left alone: computing all of them is not what anybody means.
pub(super) fn variables(cx: &Context<'_>) -> Value {
    let mut dict = Dict::new();
    for name in cx.visible_names() {
        if !dict.contains(&name)
            && let Some(value) = cx.value_of(&name)
        {
            dict.set(name, value);
        }
    }
    Value::dict(dict)
}

static SCOPE_PLUGIN: Signature = Signature::new("scope", "One row: for queries about variables alone.", &[])
    .group(Group::Control)
    .examples(&["SELECT 1 + 2 AS Three FROM scope()"]);

fn run(_cx: &Context<'_>, _args: &Args<'_>, emit: &mut EmitView<'_>) -> Result<Flow, CallError> {
    Ok(emit(&Row::of::<&str, 0>([])))
}

pub(super) fn register(registry: &mut Registry) {
    registry.add_function(Func(&SCOPE, call));
    registry.add_plugin(Plug(&SCOPE_PLUGIN, run));
}
