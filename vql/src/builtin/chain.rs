//! `chain()`.

use super::beside::merged;
use super::prelude::*;

static CHAIN: Signature = Signature::new(
    "chain",
    "The rows of each argument's query, one query after the other.",
    &[opt("async", Bool, "Run all queries at once; their rows come as they come")],
)
.group(Group::Rows)
.open()
.examples(&[
    "SELECT * FROM chain(a={ SELECT 1 AS A FROM scope() }, b={ SELECT 2 AS A FROM scope() })",
    "SELECT * FROM chain(a={ SELECT 1 AS A FROM scope() }, b={ SELECT 2 AS A FROM scope() }, async=TRUE) ORDER BY A",
]);

fn run(cx: &Context<'_>, args: &Args<'_>, emit: &mut EmitView<'_>) -> Result<Flow, CallError> {
    let queries = || args.all().into_iter().filter(|(name, _)| &**name != "async");
    if args.bool("async")? {
        let queries: Vec<Value> = queries().map(|(_, query)| query.eval(cx)).collect();
        return merged(cx, &queries, emit);
    }
    for (_, query) in queries() {
        if cx.rows(&query.eval(cx), emit).is_break() {
            return Ok(BREAK);
        }
    }
    Ok(CONTINUE)
}

pub(super) fn register(registry: &mut Registry) {
    registry.add_plugin(Plug(&CHAIN, run));
}
