//! `chain()` and `switch()`.

use super::prelude::*;

static CHAIN: Signature = Signature::new(
    "chain",
    "The rows of each argument's query, one query after the other.",
    &[opt("async", Bool, "Accepted for existing queries; the rows come in order")],
)
.group(Group::Rows)
.open()
.examples(&["SELECT * FROM chain(a={ SELECT 1 AS A FROM scope() }, b={ SELECT 2 AS A FROM scope() })"]);

fn chain(cx: &Context<'_>, args: &Args<'_>, emit: &mut EmitView<'_>) -> Result<Flow, CallError> {
    for (name, query) in args.all() {
        if &*name != "async" && cx.rows(&query.eval(cx), emit).is_break() {
            return Ok(BREAK);
        }
    }
    Ok(CONTINUE)
}

static SWITCH: Signature = Signature::new("switch", "The rows of the first argument's query that has any.", &[])
    .group(Group::Rows)
    .open()
    .examples(&["SELECT * FROM switch(a={ SELECT * FROM range(end=0) }, b={ SELECT 2 AS A FROM scope() })"]);

fn switch(cx: &Context<'_>, args: &Args<'_>, emit: &mut EmitView<'_>) -> Result<Flow, CallError> {
    for (_, query) in args.all() {
        let mut any = false;
        let flow = cx.rows(&query.eval(cx), &mut |row| {
            any = true;
            emit(row)
        });
        if any || flow.is_break() {
            return Ok(flow);
        }
    }
    Ok(CONTINUE)
}

pub(super) fn register(registry: &mut Registry) {
    registry.add_plugin(Plug(&CHAIN, chain));
    registry.add_plugin(Plug(&SWITCH, switch));
}
