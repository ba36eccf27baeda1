//! `sample()`, `dedup()`, `batch()`: fewer rows of a query.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use super::prelude::*;

static SAMPLE: Signature = Signature::new(
    "sample",
    "Each n-th row of a query, from the first.",
    &[req("query", Query, "The query"), req("n", Int, "How many rows to one")],
)
.group(Group::Rows)
.examples(&["SELECT * FROM sample(query={ SELECT * FROM range(end=4) }, n=2)"]);

fn sample(cx: &Context<'_>, args: &Args<'_>, emit: &mut EmitView<'_>) -> Result<Flow, CallError> {
    let Some(query) = args.query("query")? else { return Ok(CONTINUE) };
    let n = args.int("n")?.max(1).unsigned_abs();
    let mut at = 0u64;
    Ok(cx.run_query(&query, &mut |row| {
        at += 1;
        if (at - 1).is_multiple_of(n) { emit(row) } else { CONTINUE }
    }))
}

static DEDUP: Signature = Signature::new(
    "dedup",
    "The rows of a query whose key did not come in the last seconds.",
    &[
        req("query", Query, "The query"),
        req("key", Text, "The column that must differ"),
        opt("timeout", Int, "Seconds after which a key may come again, 600 without"),
        opt("size", Int, "How many keys to remember, 1000 without"),
    ],
)
.group(Group::Rows)
.examples(&["SELECT * FROM dedup(key='A', query={ SELECT _value / 2 > 0.9 AS A FROM range(end=4) })"]);

fn dedup(cx: &Context<'_>, args: &Args<'_>, emit: &mut EmitView<'_>) -> Result<Flow, CallError> {
    let Some(query) = args.query("query")? else { return Ok(CONTINUE) };
    let key = args.str("key")?;
    let timeout = Duration::from_secs(args.opt_int("timeout")?.unwrap_or(600).unsigned_abs());
    let size = args.opt_int("size")?.unwrap_or(1000).clamp(1, 1_000_000) as usize;
    let mut seen: HashMap<Arc<str>, Instant> = HashMap::new();
    Ok(cx.run_query(&query, &mut |row| {
        let value = row.get(&key).unwrap_or_default().to_text();
        let now = Instant::now();
        if seen.get(&value).is_some_and(|at| now.duration_since(*at) < timeout) {
            return CONTINUE;
        }
        if seen.len() >= size {
            seen.retain(|_, at| now.duration_since(*at) < timeout);
        }
        if seen.len() >= size
            && let Some(oldest) = seen.iter().min_by_key(|(_, at)| **at).map(|(key, _)| key.clone())
        {
            seen.remove(&oldest);
        }
        seen.insert(value, now);
        emit(row)
    }))
}

static BATCH: Signature = Signature::new(
    "batch",
    "The rows of a query in groups: each row has the column `Rows`, an array.",
    &[
        req("query", Query, "The query"),
        opt("batch_size", Int, "How many rows to a group, 100 without"),
        opt("batch_func", Lambda, "A lambda that gets the rows so far and is true when the group is full"),
        opt("timeout", Int, "Accepted for existing queries"),
    ],
)
.group(Group::Rows)
.examples(&["SELECT len(list=Rows) AS Len FROM batch(batch_size=2, query={ SELECT * FROM range(end=3) })"]);

fn batch(cx: &Context<'_>, args: &Args<'_>, emit: &mut EmitView<'_>) -> Result<Flow, CallError> {
    let Some(query) = args.query("query")? else { return Ok(CONTINUE) };
    let size = args.opt_int("batch_size")?.unwrap_or(100).clamp(1, 100_000) as usize;
    let full = args.lambda("batch_func")?;
    let columns = Columns::new(["Rows"]);
    let mut rows: Vec<Value> = Vec::new();
    let flow = cx.run_query(&query, &mut |row| {
        rows.push(Value::dict(row.take_row().into_dict()));
        let done = rows.len() >= size
            || full.as_ref().is_some_and(|full| {
                let so_far = Value::from(rows.clone());
                cx.truth(&cx.call(full, &[so_far]))
            });
        if done { emit(&Row::new(&columns, vec![Value::from(std::mem::take(&mut rows))])) } else { CONTINUE }
    });
    Ok(if rows.is_empty() || flow.is_break() { flow } else { emit(&Row::new(&columns, vec![Value::from(rows)])) })
}

pub(super) fn register(registry: &mut Registry) {
    registry.add_plugin(Plug(&SAMPLE, sample));
    registry.add_plugin(Plug(&DEDUP, dedup));
    registry.add_plugin(Plug(&BATCH, batch));
}
