//! `if()`, as a function and as a plugin.

use super::prelude::*;

static IF: Signature = Signature::new(
    "if",
    "`then` when the condition is true, else `else`; the other one is never evaluated.",
    &[
        req("condition", Any, "What decides; a stored query is true when it has a row"),
        opt("then", Lazy, "The value when true"),
        opt("else", Lazy, "The value when false; NULL without"),
    ],
)
.group(Group::Control)
.examples(&["SELECT if(condition=1 = 1, then='yes', else='no') AS Answer FROM scope()"]);

fn call(cx: &Context<'_>, args: &Args<'_>) -> Result<Value, CallError> {
    let branch = if cx.truth(&args.raw("condition")) { "then" } else { "else" };
    Ok(args.raw(branch))
}

static IF_PLUGIN: Signature = Signature::new(
    "if",
    "The rows of `then` when the condition is true, else those of `else`.",
    &[
        req("condition", Any, "What decides; a stored query is true when it has a row"),
        opt("then", Query, "The query when true"),
        opt("else", Query, "The query when false; no rows without"),
    ],
)
.group(Group::Control)
.examples(&["SELECT * FROM if(condition=TRUE, then={ SELECT 1 AS A FROM scope() })"]);

fn run(cx: &Context<'_>, args: &Args<'_>, emit: &mut EmitView<'_>) -> Result<Flow, CallError> {
    let branch = if cx.truth(&args.raw("condition")) { "then" } else { "else" };
    Ok(cx.rows(&args.raw(branch), emit))
}

pub(super) fn register(registry: &mut Registry) {
    registry.add_function(Func(&IF, call));
    registry.add_plugin(Plug(&IF_PLUGIN, run));
}
