//! Rows: values under column names. The rows of one query share their names.

use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, OnceLock};

use parking_lot::Mutex;

use crate::value::{Dict, Value};

/// The column names of a query, or the keys of dicts, with what makes finding and printing them fast.
#[derive(Debug, Default)]
pub struct Columns {
    names: Vec<Arc<str>>,
    /// Where a name is first, once there are more than [`NARROW`].
    places: HashMap<Arc<str>, usize>,
    /// Whether a name is there twice.
    repeats: bool,
    /// `"name":` ready for JSON.
    json: OnceLock<Box<[Box<[u8]>]>>,
}

/// Of so many names, looking at each is faster than a hash.
const NARROW: usize = 16;

impl Columns {
    /// The names must differ; of two equal ones only the first is found by name.
    pub fn new<N: Into<Arc<str>>>(names: impl IntoIterator<Item = N>) -> Arc<Columns> {
        let mut columns = Columns::default();
        for name in names {
            let name = name.into();
            columns.repeats |= columns.index(&name).is_some();
            columns.push(name);
        }
        Arc::new(columns)
    }

    pub fn names(&self) -> &[Arc<str>] {
        &self.names
    }

    pub fn len(&self) -> usize {
        self.names.len()
    }

    pub fn is_empty(&self) -> bool {
        self.names.is_empty()
    }

    pub fn index(&self, name: &str) -> Option<usize> {
        if self.names.len() > NARROW {
            return self.places.get(name).copied();
        }
        self.names.iter().position(|n| n.len() == name.len() && (n.as_ptr() == name.as_ptr() || **n == *name))
    }

    /// Appends a name.
    pub(crate) fn push(&mut self, name: Arc<str>) {
        self.json.take();
        self.names.push(name);
        let known = self.places.len();
        if self.names.len() > NARROW {
            let new = self.names.iter().enumerate().skip(if known == 0 { 0 } else { self.names.len() - 1 });
            for (at, name) in new {
                self.places.entry(name.clone()).or_insert(at);
            }
        }
    }

    /// Takes the name at `index` out.
    pub(crate) fn remove(&mut self, index: usize) {
        self.json.take();
        let name = self.names.remove(index);
        if self.names.len() <= NARROW {
            self.places.clear();
            return;
        }
        self.places.remove(&name);
        for place in self.places.values_mut().filter(|place| **place > index) {
            *place -= 1;
        }
    }

    /// As many of the names, from the first on.
    pub(crate) fn first(&self, n: usize) -> Arc<Columns> {
        Columns::new(self.names[..n].iter().cloned())
    }

    pub(crate) fn repeats(&self) -> bool {
        self.repeats
    }

    fn json(&self) -> &[Box<[u8]>] {
        self.json.get_or_init(|| {
            let key = |name: &Arc<str>| {
                let mut key = Vec::with_capacity(name.len() + 3);
                crate::json::write_str(&mut key, name);
                key.push(b':');
                key.into_boxed_slice()
            };
            self.names.iter().map(key).collect()
        })
    }
}

impl Clone for Columns {
    fn clone(&self) -> Columns {
        Columns { names: self.names.clone(), places: self.places.clone(), repeats: self.repeats, json: OnceLock::new() }
    }
}

/// One row. A plugin with many rows makes its [`Columns`] once and uses [`Row::new`]; [`Row::of`] is for few.
#[derive(Clone)]
pub struct Row {
    columns: Arc<Columns>,
    values: Vec<Value>,
}

impl Row {
    /// Values in the order of `columns`; missing ones are NULL, more are dropped.
    pub fn new(columns: &Arc<Columns>, mut values: Vec<Value>) -> Row {
        values.resize(columns.len(), Value::Null);
        Row { columns: columns.clone(), values }
    }

    /// `Row::of([("Pid", pid.into()), ("Name", name.into())])`
    pub fn of<N: Into<Arc<str>>, const LEN: usize>(cells: [(N, Value); LEN]) -> Row {
        let mut values = Vec::with_capacity(LEN);
        let names: Vec<Arc<str>> = cells
            .into_iter()
            .map(|(name, value)| {
                values.push(value);
                name.into()
            })
            .collect();
        Row { columns: Columns::new(names), values }
    }

    pub fn from_dict(dict: &Dict) -> Row {
        Row { columns: dict.columns().clone(), values: dict.values().cloned().collect() }
    }

    pub fn columns(&self) -> &Arc<Columns> {
        &self.columns
    }

    pub fn values(&self) -> &[Value] {
        &self.values
    }

    pub fn get(&self, name: &str) -> Option<&Value> {
        self.columns.index(name).map(|i| &self.values[i])
    }

    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&Arc<str>, &Value)> {
        self.columns.names.iter().zip(&self.values)
    }

    pub fn to_dict(&self) -> Dict {
        self.clone().into_dict()
    }

    /// Replaces the value at `index`, which is there.
    pub(crate) fn set(&mut self, index: usize, value: Value) {
        self.values[index] = value;
    }

    /// The row with each value changed.
    pub fn map(mut self, change: impl Fn(Value) -> Value) -> Row {
        for value in &mut self.values {
            *value = change(std::mem::take(value));
        }
        self
    }

    pub fn into_dict(self) -> Dict {
        Dict::of_columns(self.columns, self.values)
    }

    /// Appends the row as one JSON object without a line feed: keys in column order, times RFC 3339 in UTC,
    /// bytes as text with U+FFFD for what is not UTF-8.
    pub fn write_json(&self, out: &mut Vec<u8>) {
        out.push(b'{');
        for (i, (key, value)) in self.columns.json().iter().zip(&self.values).enumerate() {
            if i > 0 {
                out.push(b',');
            }
            out.extend_from_slice(key);
            crate::json::write_value(out, value);
        }
        out.push(b'}');
    }

    pub fn to_json(&self) -> String {
        let mut out = Vec::new();
        self.write_json(&mut out);
        String::from_utf8_lossy(&out).into_owned()
    }
}

impl fmt::Debug for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.to_json())
    }
}

/// A row as a reader sees it: cells may be computed when they are first read.
pub trait RowView: Sync {
    fn columns(&self) -> &Arc<Columns>;
    /// The cell at `index` of [`RowView::columns`].
    fn value(&self, index: usize) -> Value;

    /// As `value`, borrowed where the row holds it.
    fn cell(&self, index: usize) -> Cow<'_, Value> {
        Cow::Owned(self.value(index))
    }

    /// The cell if it is a whole number.
    fn int(&self, index: usize) -> Option<i64> {
        if let Value::Int(n) = &*self.cell(index) { Some(*n) } else { None }
    }

    /// What a name means on this row: the column of that name, or what else the row knows by it.
    fn find(&self, name: &str) -> Option<Cow<'_, Value>> {
        self.columns().index(name).map(|i| self.cell(i))
    }

    fn get(&self, name: &str) -> Option<Value> {
        self.find(name).map(Cow::into_owned)
    }

    /// Reads every cell.
    fn to_row(&self) -> Row {
        let columns = self.columns();
        Row { columns: columns.clone(), values: (0..columns.len()).map(|i| self.value(i)).collect() }
    }

    /// Reads every cell, as the last reader: cells need not be kept for another.
    fn take_row(&self) -> Row {
        self.to_row()
    }

    /// As `take_row`, appending the cells to those of other rows.
    fn take_values(&self, out: &mut Vec<Value>) {
        out.extend((0..self.columns().len()).map(|i| self.value(i)));
    }
}

/// A row that is handed on and kept by nobody else: its last reader takes it without a copy.
pub(crate) struct LastRow {
    columns: Arc<Columns>,
    /// Empty once it was taken.
    values: Mutex<Vec<Value>>,
}

impl LastRow {
    pub(crate) fn new(row: Row) -> LastRow {
        LastRow { columns: row.columns, values: Mutex::new(row.values) }
    }
}

impl RowView for LastRow {
    fn columns(&self) -> &Arc<Columns> {
        &self.columns
    }

    fn value(&self, index: usize) -> Value {
        self.values.lock().get(index).cloned().unwrap_or_default()
    }

    fn to_row(&self) -> Row {
        Row::new(&self.columns, self.values.lock().clone())
    }

    fn take_row(&self) -> Row {
        Row::new(&self.columns, std::mem::take(&mut *self.values.lock()))
    }

    fn take_values(&self, out: &mut Vec<Value>) {
        let before = out.len();
        out.append(&mut self.values.lock());
        out.resize(before + self.columns.len(), Value::Null);
    }
}

impl RowView for Row {
    fn columns(&self) -> &Arc<Columns> {
        &self.columns
    }

    fn value(&self, index: usize) -> Value {
        self.values.get(index).cloned().unwrap_or_default()
    }

    fn cell(&self, index: usize) -> Cow<'_, Value> {
        self.values.get(index).map_or(Cow::Owned(Value::Null), Cow::Borrowed)
    }

    fn to_row(&self) -> Row {
        self.clone()
    }
}
