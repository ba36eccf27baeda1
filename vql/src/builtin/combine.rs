//! `combine()`.

use super::beside::merged;
use super::prelude::*;

static COMBINE: Signature =
    Signature::new("combine", "The rows of all arguments' queries, which run at once: as chain(async=TRUE).", &[])
        .group(Group::Rows)
        .open()
        .examples(&[
            "SELECT * FROM combine(a={ SELECT 1 AS A FROM scope() }, b={ SELECT 2 AS A FROM scope() }) ORDER BY A",
        ]);

fn run(cx: &Context<'_>, args: &Args<'_>, emit: &mut EmitView<'_>) -> Result<Flow, CallError> {
    let queries: Vec<Value> = args.all().into_iter().map(|(_, query)| query.eval(cx)).collect();
    merged(cx, &queries, emit)
}

pub(super) fn register(registry: &mut Registry) {
    registry.add_plugin(Plug(&COMBINE, run));
}
