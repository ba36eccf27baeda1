//! `switch()`.

use super::prelude::*;

static SWITCH: Signature = Signature::new("switch", "The rows of the first argument's query that has any.", &[])
    .group(Group::Rows)
    .open()
    .examples(&["SELECT * FROM switch(a={ SELECT * FROM range(end=0) }, b={ SELECT 2 AS A FROM scope() })"]);

fn run(cx: &Context<'_>, args: &Args<'_>, emit: &mut EmitView<'_>) -> Result<Flow, CallError> {
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
    registry.add_plugin(Plug(&SWITCH, run));
}
