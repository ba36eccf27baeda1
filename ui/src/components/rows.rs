//! Rows that a table shows: those fetched so far, by number, with the columns found in them.

use std::{collections::BTreeMap, sync::Arc};

use leptos::prelude::*;
use serde_json::{Map, Value};

use crate::{settings::now_ms, text};

/// Rows kept; those farthest from the window in sight go first.
pub const MAX_KEPT: usize = 20_000;
/// Columns beyond these are in the row's details only.
const MAX_COLUMNS: usize = 60;
/// Column widths follow the first rows, for a moment, and then stand still.
const WIDTH_ROWS: u64 = 300;
const WIDTH_MS: u64 = 3000;
/// Windows start at multiples of this, so that a small scroll asks for nothing new.
const STEP: u64 = 200;

pub type Row = Map<String, Value>;

/// A stretch of row numbers.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Window {
    pub from: u64,
    pub limit: u32,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Column {
    pub name: String,
    /// In characters.
    pub width: usize,
    pub numeric: bool,
}

/// A copy is a handle on the same rows.
#[derive(Clone, Copy)]
pub struct RowStore {
    rows: StoredValue<BTreeMap<u64, Arc<Row>>>,
    first_ms: StoredValue<Option<u64>>,
    changed: RwSignal<u64>,
    total: RwSignal<u64>,
    columns: RwSignal<Vec<Column>>,
    wanted: RwSignal<Window>,
}

impl RowStore {
    pub fn new() -> Self {
        Self {
            rows: StoredValue::default(),
            first_ms: StoredValue::new(None),
            changed: RwSignal::new(0),
            total: RwSignal::new(0),
            columns: RwSignal::default(),
            wanted: RwSignal::new(Window { from: 0, limit: 3 * STEP as u32 }),
        }
    }

    /// Rows there are, fetched or not.
    pub fn total(self) -> Signal<u64> {
        self.total.into()
    }

    pub fn columns(self) -> Signal<Vec<Column>> {
        self.columns.into()
    }

    /// The rows that should be fetched, and told about as they come.
    pub fn wanted(self) -> Signal<Window> {
        self.wanted.into()
    }

    /// Grows at each change of what is kept.
    pub fn changed(self) -> Signal<u64> {
        self.changed.into()
    }

    pub fn row(self, number: u64) -> Option<Arc<Row>> {
        self.changed.track();
        self.rows.with_value(|rows| rows.get(&number).cloned())
    }

    /// The rows fetched so far, in order.
    pub fn each(self, mut see: impl FnMut(u64, &Row)) {
        self.rows.with_value(|rows| rows.iter().for_each(|(&number, row)| see(number, row)));
    }

    /// The first row below `until` that was not fetched yet. The outer None: the store is gone.
    pub fn try_first_missing(self, until: u64) -> Option<Option<u64>> {
        self.rows.try_with_value(|rows| (0..until).find(|number| !rows.contains_key(number)))
    }

    /// The numbers of the rows that hold `text` in any value, whatever its case.
    pub fn holding(self, text: &str) -> Vec<u64> {
        let text = text.to_lowercase();
        let holds = |value: &Value| match value {
            Value::String(value) => value.to_lowercase().contains(&text),
            other => text::cell(other).to_lowercase().contains(&text),
        };
        self.rows.with_value(|rows| {
            let rows = rows.iter().filter(|(_, row)| row.values().any(holds));
            rows.map(|(&number, _)| number).collect()
        })
    }

    pub fn kept(self) -> usize {
        self.changed.track();
        self.rows.with_value(BTreeMap::len)
    }

    /// Forgets all, for rows of something else.
    pub fn reset(self) {
        self.rows.update_value(BTreeMap::clear);
        self.first_ms.set_value(None);
        self.columns.set(Vec::new());
        self.total.set(0);
        self.wanted.set(Window { from: 0, limit: 3 * STEP as u32 });
        self.changed.update(|changed| *changed += 1);
    }

    pub fn set_total(self, total: u64) {
        if self.total.get_untracked() != total {
            self.total.set(total);
        }
    }

    /// Takes rows as JSON from number `from` on. One that is no object stands as one value.
    pub fn accept<'a>(self, from: u64, lines: impl Iterator<Item = &'a str>) {
        let mut columns = self.columns.get_untracked();
        let before = columns.clone();
        let first_ms = self.first_ms.get_value().unwrap_or_else(|| {
            let now = now_ms();
            self.first_ms.set_value(Some(now));
            now
        });
        let may_widen = now_ms().saturating_sub(first_ms) < WIDTH_MS;
        self.rows.update_value(|rows| {
            for (number, line) in (from..).zip(lines) {
                if rows.contains_key(&number) {
                    continue;
                }
                let row = match serde_json::from_str::<Value>(line) {
                    Ok(Value::Object(row)) => row,
                    Ok(other) => Map::from_iter([("value".to_owned(), other)]),
                    Err(_) => Map::from_iter([("unreadable".to_owned(), Value::from(line))]),
                };
                note_columns(&mut columns, &row, may_widen && number < WIDTH_ROWS);
                rows.insert(number, Arc::new(row));
            }
            let wanted = self.wanted.get_untracked();
            let middle = wanted.from + u64::from(wanted.limit) / 2;
            while rows.len() > MAX_KEPT {
                let first = rows.keys().next().copied().unwrap_or_default();
                let last = rows.keys().next_back().copied().unwrap_or_default();
                rows.remove(if middle.saturating_sub(first) > last.saturating_sub(middle) { &first } else { &last });
            }
        });
        if columns != before {
            self.columns.set(columns);
        }
        self.changed.update(|changed| *changed += 1);
    }

    /// Notes which rows are in sight.
    pub fn look(self, first: u64, end: u64) {
        let window = window(first, end);
        if self.wanted.get_untracked() != window {
            self.wanted.set(window);
        }
    }
}

/// What to fetch so that `first .. end` and some around it are there.
fn window(first: u64, end: u64) -> Window {
    let from = (first.saturating_sub(STEP / 2)) / STEP * STEP;
    let until = (end + STEP / 2).div_ceil(STEP) * STEP;
    Window { from, limit: (until - from).clamp(3 * STEP, 1000) as u32 }
}

fn note_columns(columns: &mut Vec<Column>, row: &Row, may_widen: bool) {
    let mut after = 0;
    for (name, value) in row {
        let numeric = value.is_number();
        let chars = text::cell(value).chars().take(60).count();
        match columns.iter().position(|column| column.name == *name) {
            Some(at) => {
                let column = &mut columns[at];
                if may_widen {
                    column.width = column.width.max(chars);
                }
                column.numeric &= numeric || value.is_null();
                after = at + 1;
            }
            None if columns.len() < MAX_COLUMNS => {
                let width = chars.max(name.chars().take(60).count()).max(8);
                columns.insert(after, Column { name: name.clone(), width, numeric });
                after += 1;
            }
            None => {}
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn windows_hold_what_is_in_sight() {
        for (first, end) in [(0, 30), (99, 140), (100, 140), (350, 420), (5000, 5060), (1_000_000, 1_000_050)] {
            let Window { from, limit } = window(first, end);
            assert!(from <= first && end <= from + u64::from(limit), "{first}..{end} in {from}+{limit}");
            assert!(limit <= 1000 && from.is_multiple_of(STEP));
        }
        assert_eq!(window(300, 340), window(310, 350), "a small scroll asks for nothing new");
    }

    #[test]
    fn columns_keep_the_order_of_the_query() {
        let mut columns = Vec::new();
        for line in [r#"{"a":1,"c":"x"}"#, r#"{"a":2,"b":null,"c":"a long text here"}"#, r#"{"a":"no number","d":1}"#] {
            note_columns(&mut columns, &serde_json::from_str(line).unwrap(), true);
        }
        let found: Vec<_> = columns.iter().map(|column| (&*column.name, column.width, column.numeric)).collect();
        assert_eq!(found, [("a", 9, false), ("d", 8, true), ("b", 8, false), ("c", 16, false)]);
    }
}
