//! `similarity()`.

use super::prelude::*;

static SIMILARITY: Signature = Signature::new(
    "similarity",
    "How alike two dicts are, 0 to 1: the share of entries that both have, of all that either has (Jaccard's index).",
    &[req("set1", DictArg, "The first"), req("set2", DictArg, "The second")],
)
.group(Group::Dicts)
.examples(&["SELECT similarity(set1=dict(a=1, b=2), set2=dict(a=1, c=3)) AS Share FROM scope()"]);

fn similarity(_cx: &Context<'_>, args: &Args<'_>) -> Result<Value, CallError> {
    let (Some(a), Some(b)) = (args.dict("set1")?, args.dict("set2")?) else { return Ok(Value::Null) };
    let same = a.iter().filter(|(key, value)| b.get(key).is_some_and(|other| crate::eval::ops::equal(value, other)));
    let same = same.count();
    let all = a.len() + b.len() - same;
    Ok(Value::Float(if all == 0 { 1.0 } else { same as f64 / all as f64 }))
}

pub(super) fn register(registry: &mut Registry) {
    registry.add_function(Func(&SIMILARITY, similarity));
}
