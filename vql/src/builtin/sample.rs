//! `sample()`.

use super::prelude::*;

static SAMPLE: Signature = Signature::new(
    "sample",
    "Each n-th row of a query, from the first.",
    &[req("query", Query, "The query"), req("n", Int, "How many rows to one")],
)
.group(Group::Rows)
.examples(&["SELECT * FROM sample(query={ SELECT * FROM range(end=4) }, n=2)"]);

fn run(cx: &Context<'_>, args: &Args<'_>, emit: &mut EmitView<'_>) -> Result<Flow, CallError> {
    let Some(query) = args.query("query")? else { return Ok(CONTINUE) };
    let n = args.int("n")?.max(1).unsigned_abs();
    let mut at = 0u64;
    Ok(cx.run_query(&query, &mut |row| {
        at += 1;
        if (at - 1).is_multiple_of(n) { emit(row) } else { CONTINUE }
    }))
}

pub(super) fn register(registry: &mut Registry) {
    registry.add_plugin(Plug(&SAMPLE, run));
}
