//! Rows that must be kept: for sorting, grouping and materializing. Kept in memory up to a bound.

use crate::plan;
use crate::row::{Row, RowView};
use crate::scope::Context;
use crate::syntax::ast::Span;
use crate::value::Value;

/// The most that one clause of one query may keep.
const MAX_ROWS: usize = 1_000_000;
pub(crate) const MAX_BYTES: usize = 256 << 20;

/// Counts what is kept.
#[derive(Debug, Default)]
pub(crate) struct Held {
    rows: usize,
    bytes: usize,
    full: bool,
}

impl Held {
    /// Whether one row more may be kept; logs once when not.
    pub(crate) fn admit(&mut self, cx: &Context<'_>, span: Span, what: &str, size: usize) -> bool {
        if self.full {
            return false;
        }
        self.rows += 1;
        self.bytes += size;
        if self.rows > MAX_ROWS || self.bytes > MAX_BYTES {
            self.full = true;
            too_much(cx, span, what, self.rows as u64 - 1);
        }
        !self.full
    }
}

/// Says that the rows after the first so many are not kept.
pub(crate) fn too_much(cx: &Context<'_>, span: Span, what: &str, rows: u64) {
    let megabytes = MAX_BYTES >> 20;
    cx.error_at(
        span,
        format!(
            "{what} keeps at most {MAX_ROWS} rows or {megabytes} MiB in memory: the rows after the first {rows} are left \
             out; narrow the query with WHERE or LIMIT"
        ),
    );
}

/// Roughly the memory that a row takes.
pub(crate) fn size(row: &Row) -> usize {
    row.values().iter().map(value_size).sum::<usize>() + 64
}

/// Roughly the memory that a value takes.
pub(crate) fn value_size(value: &Value) -> usize {
    let inner = match value {
        Value::Str(s) => s.len(),
        Value::Bytes(b) => b.len(),
        Value::Array(items) => items.iter().map(value_size).sum(),
        Value::Dict(dict) => dict.iter().map(|(k, v)| k.len() + 48 + value_size(v)).sum(),
        Value::Object(object) => object.as_bytes().map_or(0, <[u8]>::len),
        _ => 0,
    };
    inner + size_of::<Value>()
}

/// The keys of a row to sort.
pub(crate) fn sort_keys(
    cx: &Context<'_>,
    keys: &[(plan::Expr, bool)],
    input: &dyn RowView,
    view: &dyn RowView,
) -> Vec<Value> {
    let below = cx.with_row(input);
    let above = below.with_row(view);
    keys.iter().map(|(expr, _)| cx.materialize(expr.eval(&above))).collect()
}

/// Sorts stably by the keys.
pub(crate) fn sort<T>(rows: &mut [(Vec<Value>, T)], keys: &[(plan::Expr, bool)]) {
    rows.sort_by(|(a, _), (b, _)| {
        for ((a, b), (_, descending)) in a.iter().zip(b).zip(keys) {
            let order = super::ops::sort_order(a, b);
            let order = if *descending { order.reverse() } else { order };
            if order.is_ne() {
                return order;
            }
        }
        std::cmp::Ordering::Equal
    });
}
