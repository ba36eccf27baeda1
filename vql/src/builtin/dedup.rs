//! `dedup()`.

use std::collections::{HashSet, VecDeque};

use super::moment::{Moment, seconds};
use super::prelude::*;

static DEDUP: Signature = Signature::new(
    "dedup",
    "The rows of a query whose key did not come in the last seconds.",
    &[
        req("query", Query, "The query"),
        req("key", Text, "The column that must differ"),
        opt("timeout", Int, "Seconds after which a key may come again, 60 without"),
        opt("size", Int, "How many keys to remember, 1000 without"),
    ],
)
.group(Group::Rows)
.examples(&["SELECT * FROM dedup(key='A', query={ SELECT _value / 2 > 0.9 AS A FROM range(end=4) })"]);

fn run(cx: &Context<'_>, args: &Args<'_>, emit: &mut EmitView<'_>) -> Result<Flow, CallError> {
    let Some(query) = args.query("query")? else { return Ok(CONTINUE) };
    let key = args.str("key")?;
    let timeout = seconds(args.opt_int("timeout")?.unwrap_or(60));
    let size = args.opt_int("size")?.filter(|n| *n > 0).unwrap_or(1000).min(1_000_000) as usize;
    let mut seen: HashSet<Arc<str>> = HashSet::new();
    // The oldest first.
    let mut order: VecDeque<(Arc<str>, Moment)> = VecDeque::new();
    Ok(cx.run_query(&query, &mut |row| {
        while let Some((oldest, at)) = order.front()
            && at.age(cx) >= timeout
        {
            seen.remove(oldest);
            order.pop_front();
        }
        let value = row.get(&key).unwrap_or_default().to_text();
        if seen.contains(&value) {
            return CONTINUE;
        }
        if seen.len() >= size
            && let Some((oldest, _)) = order.pop_front()
        {
            seen.remove(&oldest);
        }
        seen.insert(value.clone());
        order.push_back((value, Moment::now(cx)));
        emit(row)
    }))
}

pub(super) fn register(registry: &mut Registry) {
    registry.add_plugin(Plug(&DEDUP, run));
}
