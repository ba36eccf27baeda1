//! ORDER BY: all rows of a SELECT, by their keys.

use std::sync::atomic::Ordering;

use super::held::{self, Held};
use super::select::{BREAK, CONTINUE, Counts, plain};
use crate::plan::Select;
use crate::plugin::EmitView;
use crate::row::Row;
use crate::scope::Context;
use crate::value::Value;

/// Emits the rows in the order of their keys; those past `limit` need not come.
pub(super) fn run(cx: &Context<'_>, select: &Select, counts: &Counts, limit: u64, emit: &mut EmitView<'_>) {
    // With a LIMIT only the rows that may still come out are kept: twice as many, so that sorting is seldom.
    let most = usize::try_from(limit).ok().filter(|n| *n <= MAX_KEPT).unwrap_or(usize::MAX);
    let mut held = Held::default();
    let (mut rows, mut bytes): (Vec<(Vec<Value>, Row)>, usize) = (Vec::new(), 0);
    let _ = plain(cx, select, counts, &mut |input, view| {
        let keys = held::sort_keys(cx, &select.order_by, input, view);
        let row = view.to_row();
        let size = held::size(&row);
        if most == usize::MAX && !held.admit(cx, select.span, "ORDER BY", size) {
            return BREAK;
        }
        rows.push((keys, row));
        bytes += size;
        if most != usize::MAX && (rows.len() >= 2 * most + 64 || bytes > held::MAX_BYTES) {
            held::sort(&mut rows, &select.order_by);
            rows.truncate(most);
            bytes = rows.iter().map(|(_, row)| held::size(row)).sum();
            // The few that may come out are so long that hardly another one fits beside them.
            if bytes > held::MAX_BYTES / 2 {
                held::too_much(cx, select.span, "ORDER BY", counts.kept.load(Ordering::Relaxed));
                return BREAK;
            }
        }
        CONTINUE
    });
    if cx.cancelled() {
        return;
    }
    held::sort(&mut rows, &select.order_by);
    let _ = rows.into_iter().try_for_each(|(_, row)| emit(&row));
}

/// Up to this LIMIT, ORDER BY keeps just the first rows.
const MAX_KEPT: usize = 10_000;
