//! GROUP BY: one row for each key, with its aggregates.

use std::sync::OnceLock;
use std::sync::atomic::Ordering;

use indexmap::IndexMap;

use super::held::{self, Held};
use super::select::{BREAK, CONTINUE, Cell, Counts, Layout, SelectRow, explain_row, source};
use crate::plan::Select;
use crate::plugin::EmitView;
use crate::row::{Row, RowView};
use crate::scope::{Aggregates, Context};
use crate::value::Value;

struct Group {
    aggregates: Aggregates,
    sort_keys: Vec<Value>,
    row: Option<Row>,
}

/// Emits the last row of each group, in the order of the groups or of their keys to sort.
pub(super) fn run(cx: &Context<'_>, select: &Select, counts: &Counts, emit: &mut EmitView<'_>) {
    let mut held = Held::default();
    let mut groups: IndexMap<String, Group> = IndexMap::new();
    let mut layout: Option<Layout> = None;
    let _ = source(cx, &select.from, &mut |input| {
        let number = counts.read.fetch_add(1, Ordering::Relaxed);
        cx.charge(1)?;
        let fits = layout.as_ref().is_some_and(|l| l.fits(input.columns()));
        let layout = match &mut layout {
            Some(layout) if fits => layout,
            slot => slot.insert(Layout::new(select, input.columns())),
        };
        let cells: Vec<OnceLock<Value>> = layout.cells.iter().map(|_| OnceLock::new()).collect();
        let key = {
            // Aggregates have no group yet: what WHERE and the key read of them does not count.
            let scratch = Aggregates::default();
            let outside = cx.with_aggregates(&scratch);
            let below = outside.with_row(input);
            let scratch_cells: Vec<OnceLock<Value>> = layout.cells.iter().map(|_| OnceLock::new()).collect();
            let view = SelectRow { layout, select, below: &below, input, cells: &scratch_cells };
            let above = below.with_row(&view);
            if let Some(filter) = &select.filter
                && !filter.truth(&above)
            {
                explain_row(cx, select, number, input, "WHERE drops it");
                return CONTINUE;
            }
            let mut key = String::new();
            for (i, expr) in select.group_by.iter().enumerate() {
                if i > 0 {
                    key.push('\0');
                }
                key.push_str(&cx.materialize(expr.eval(&above)).to_text());
            }
            explain_row(cx, select, number, input, &format!("in the group {key:?}"));
            // What is computed already and is no aggregate need not be computed again.
            for (index, cell) in layout.cells.iter().enumerate() {
                if let (Cell::Item(item), Some(value)) = (cell, scratch_cells[index].get())
                    && !select.items[*item].is_aggregate()
                {
                    let _ = cells[index].set(value.clone());
                }
            }
            key
        };
        counts.kept.fetch_add(1, Ordering::Relaxed);
        let is_new = !groups.contains_key(&key);
        let size = key.len() + 64;
        let group = groups.entry(key).or_insert_with(|| Group {
            aggregates: cx.aggregates.of_group(),
            sort_keys: Vec::new(),
            row: None,
        });
        // Before the new row is computed, so that an aggregate's list has no second owner and grows in place.
        group.row = None;
        let inside = cx.with_aggregates(&group.aggregates);
        let below = inside.with_row(input);
        let view = SelectRow { layout, select, below: &below, input, cells: &cells };
        let row = view.to_row();
        group.sort_keys = held::sort_keys(&inside, &select.order_by, input, &row);
        let size = size + if is_new { held::size(&row) } else { 0 };
        group.row = Some(row);
        if is_new && !held.admit(cx, select.span, "GROUP BY", size) {
            return BREAK;
        }
        CONTINUE
    });
    if cx.cancelled() {
        return;
    }
    let mut rows: Vec<(Vec<Value>, Row)> =
        groups.into_values().filter_map(|g| g.row.map(|row| (g.sort_keys, row))).collect();
    held::sort(&mut rows, &select.order_by);
    let _ = rows.into_iter().try_for_each(|(_, row)| emit(&row));
}
