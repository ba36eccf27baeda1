//! What clauses keep: rows for sorting, grouping and materializing, and the values of aggregates. One budget of memory
//! and one of disk for a whole execution; what does not fit the first goes to the second, see [`super::spill`].

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use super::spill::SpillError;
use crate::row::Row;
use crate::scope::Context;
use crate::syntax::ast::Span;
use crate::value::Value;

/// The bounds of an execution.
#[derive(Clone, Debug)]
pub(crate) struct Bounds {
    /// Bytes of memory, roughly: see [`value_size`].
    pub memory: usize,
    /// Bytes of disk.
    pub disk: u64,
    /// Rows that one clause keeps in memory, however small they are.
    pub rows: usize,
    /// Where the files are; None is the system's folder.
    pub folder: Option<PathBuf>,
}

impl Default for Bounds {
    fn default() -> Bounds {
        Bounds { memory: 512 << 20, disk: 4 << 30, rows: usize::MAX, folder: None }
    }
}

/// The bounds, and how much of them is taken.
#[derive(Debug, Default)]
pub(crate) struct Store {
    pub bounds: Bounds,
    memory: AtomicUsize,
    disk: AtomicU64,
}

impl Store {
    pub(crate) fn new(bounds: Bounds) -> Store {
        Store { bounds, ..Store::default() }
    }

    /// Takes memory, if as much is left.
    pub(crate) fn take_memory(&self, bytes: usize) -> bool {
        let fits = self.memory.fetch_add(bytes, Ordering::Relaxed).saturating_add(bytes) <= self.bounds.memory;
        if !fits {
            self.give_memory(bytes);
        }
        fits
    }

    pub(crate) fn give_memory(&self, bytes: usize) {
        self.memory.fetch_sub(bytes, Ordering::Relaxed);
    }

    /// Takes room on the disk, if as much is left.
    pub(crate) fn take_disk(&self, bytes: u64) -> Result<(), SpillError> {
        if self.disk.fetch_add(bytes, Ordering::Relaxed).saturating_add(bytes) <= self.bounds.disk {
            return Ok(());
        }
        self.give_disk(bytes);
        Err(SpillError::Budget(self.bounds.disk))
    }

    pub(crate) fn give_disk(&self, bytes: u64) {
        self.disk.fetch_sub(bytes, Ordering::Relaxed);
    }
}

/// The memory that one clause keeps. What was taken goes back when this is dropped.
#[derive(Debug)]
pub(crate) struct Held {
    store: Arc<Store>,
    most_bytes: usize,
    rows: usize,
    bytes: usize,
    taken: usize,
}

/// Memory is taken from the budget in steps of this, and so much is always given: a clause that can keep nothing could
/// do no work.
const STEP: usize = 256 << 10;

impl Held {
    /// For a clause that may have half of the memory.
    pub(crate) fn new(cx: &Context<'_>) -> Held {
        Held::with_share(cx, 2)
    }

    /// For a clause that may have the n-th part of the memory.
    pub(crate) fn with_share(cx: &Context<'_>, n: usize) -> Held {
        let store = cx.shared.store.clone();
        Held { most_bytes: store.bounds.memory / n, store, rows: 0, bytes: 0, taken: 0 }
    }

    /// Counts one row more; false when the clause keeps too much now.
    pub(crate) fn add(&mut self, bytes: usize) -> bool {
        self.rows += 1;
        self.bytes += bytes;
        self.fits()
    }

    /// Counts one value more if there is memory for it, however many they are.
    pub(crate) fn room(&mut self, bytes: usize) -> bool {
        self.bytes += bytes;
        let fits = self.has_memory();
        if !fits {
            self.bytes -= bytes;
        }
        fits
    }

    /// The rows that are kept grew or shrank.
    pub(crate) fn resize(&mut self, before: usize, after: usize) {
        self.bytes = (self.bytes + after).saturating_sub(before);
    }

    /// Some rows are no longer kept.
    pub(crate) fn remove(&mut self, rows: usize, bytes: usize) {
        self.rows = self.rows.saturating_sub(rows);
        self.bytes = self.bytes.saturating_sub(bytes);
    }

    /// So much is kept now, in place of what was.
    pub(crate) fn set(&mut self, rows: usize, bytes: usize) {
        (self.rows, self.bytes) = (rows, bytes);
    }

    /// Nothing is kept any more.
    pub(crate) fn clear(&mut self) {
        self.remove(self.rows, self.bytes);
        self.store.give_memory(std::mem::take(&mut self.taken));
    }

    /// Whether what is kept is within the bounds.
    pub(crate) fn fits(&mut self) -> bool {
        self.has_memory() && self.rows <= self.store.bounds.rows
    }

    pub(crate) fn has_memory(&mut self) -> bool {
        if self.bytes > self.taken {
            let step = (self.bytes - self.taken).next_multiple_of(STEP);
            if self.store.take_memory(step) {
                self.taken += step;
            } else if self.bytes > STEP {
                return false;
            }
        }
        self.bytes <= self.most_bytes.max(STEP)
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.clear();
    }
}

/// Says that the rows after the first so many are not kept.
pub(crate) fn too_much(cx: &Context<'_>, span: Span, what: &str, rows: u64, why: &SpillError) {
    cx.error_at(
        span,
        format!("{what}: the rows after the first {rows} are left out: {why}; narrow the query with WHERE or LIMIT"),
    );
}

/// Says that what was written cannot be read again.
pub(crate) fn lost(cx: &Context<'_>, span: Span, what: &str, why: &SpillError) {
    cx.error_at(span, format!("{what}: rows are missing: {why}"));
}

/// Roughly the memory that a row takes.
pub(crate) fn size(row: &Row) -> usize {
    cells_size(row.values())
}

/// As [`size`], of a row that is only its values.
pub(crate) fn cells_size(values: &[Value]) -> usize {
    values.iter().map(value_size).sum::<usize>() + 64
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

/// As [`value_size`] without a look into arrays and dicts: for what is measured again and again as it grows.
pub(crate) fn shallow_size(value: &Value) -> usize {
    let inner = match value {
        Value::Str(s) => s.len(),
        Value::Bytes(b) => b.len(),
        Value::Array(items) => items.len() * size_of::<Value>(),
        Value::Dict(dict) => dict.len() * (size_of::<Value>() + 64),
        _ => 0,
    };
    inner + size_of::<Value>()
}
