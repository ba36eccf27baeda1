//! `count()`, `sum()`, `min()`, `max()`, `enumerate()`: state per place in the query and per group.

use super::prelude::*;
use crate::eval::ops;

static COUNT: Signature = Signature::new(
    "count",
    "Counts the rows of the group, or those so far without GROUP BY.",
    &[opt("items", Any, "Not needed: kept for existing queries"), opt("item", Any, "As items")],
)
.group(Group::Aggregates)
.aggregate()
.examples(&["SELECT count() AS Count FROM range(end=3) GROUP BY 1"]);

fn count(cx: &Context<'_>, args: &Args<'_>) -> Result<Value, CallError> {
    Ok(cx.aggregate(args.place(), |state| {
        *state = Value::Int(state.as_int().unwrap_or(0) + 1);
        state.clone()
    }))
}

static SUM: Signature = Signature::new("sum", "Adds up the values of the group.", &[req("item", Any, "What to add")])
    .group(Group::Aggregates)
    .aggregate()
    .examples(&["SELECT sum(item=_value) AS Sum FROM range(end=4) GROUP BY 1"]);

fn sum(cx: &Context<'_>, args: &Args<'_>) -> Result<Value, CallError> {
    let item = args.value("item");
    Ok(cx.aggregate(args.place(), |state| {
        let before = if state.is_null() { Value::Int(0) } else { state.clone() };
        let after = ops::add(&before, &item);
        *state = if after.is_null() { before } else { after };
        state.clone()
    }))
}

static MIN: Signature =
    Signature::new("min", "The smallest value of the group.", &[req("item", Any, "What to compare")])
        .group(Group::Aggregates)
        .aggregate()
        .examples(&["SELECT min(item=_value) AS Min FROM range(start=3, end=9) GROUP BY 1"]);

fn min(cx: &Context<'_>, args: &Args<'_>) -> Result<Value, CallError> {
    extreme(cx, args, std::cmp::Ordering::is_lt)
}

static MAX: Signature =
    Signature::new("max", "The largest value of the group.", &[req("item", Any, "What to compare")])
        .group(Group::Aggregates)
        .aggregate()
        .examples(&["SELECT max(item=_value) AS Max FROM range(end=9) GROUP BY 1"]);

fn max(cx: &Context<'_>, args: &Args<'_>) -> Result<Value, CallError> {
    extreme(cx, args, std::cmp::Ordering::is_gt)
}

fn extreme(cx: &Context<'_>, args: &Args<'_>, better: fn(std::cmp::Ordering) -> bool) -> Result<Value, CallError> {
    let item = args.value("item");
    Ok(cx.aggregate(args.place(), |state| {
        if state.is_null() || (!item.is_null() && better(ops::sort_order(&item, state))) {
            *state = item;
        }
        state.clone()
    }))
}

static ENUMERATE: Signature = Signature::new(
    "enumerate",
    "Collects the values of the group in an array.",
    &[opt("items", Any, "What to collect"), opt("item", Any, "As items")],
)
.group(Group::Aggregates)
.aggregate()
.examples(&["SELECT enumerate(items=_value) AS All FROM range(end=3) GROUP BY 1"]);

fn enumerate(cx: &Context<'_>, args: &Args<'_>) -> Result<Value, CallError> {
    let item = args.value(if args.has("items") { "items" } else { "item" });
    if !cx.may_keep(&item) {
        return Err("the values of all groups together are too large: the rest is left out".into());
    }
    cx.aggregate(args.place(), |state| {
        if !matches!(state, Value::Array(_)) {
            *state = Value::Array(Arc::default());
        }
        let Value::Array(items) = state else { return Ok(Value::Null) };
        Arc::make_mut(items).push(item);
        Ok(state.clone())
    })
}

pub(super) fn register(registry: &mut Registry) {
    registry.add_function(Func(&COUNT, count));
    registry.add_function(Func(&SUM, sum));
    registry.add_function(Func(&MIN, min));
    registry.add_function(Func(&MAX, max));
    registry.add_function(Func(&ENUMERATE, enumerate));
}
