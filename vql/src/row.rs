//! Rows: values under column names. The rows of one query share their names.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use parking_lot::Mutex;

use crate::value::{Dict, Value};

/// The column names of a query, with what makes finding and printing them fast.
#[derive(Debug)]
pub struct Columns {
    names: Box<[Arc<str>]>,
    /// `"name":` ready for JSON.
    json: Box<[Box<[u8]>]>,
}

impl Columns {
    /// The names must differ; of two equal ones only the first is found by name.
    pub fn new<N: Into<Arc<str>>>(names: impl IntoIterator<Item = N>) -> Arc<Columns> {
        let names: Box<[Arc<str>]> = names.into_iter().map(Into::into).collect();
        let json = names
            .iter()
            .map(|name| {
                let mut key = Vec::with_capacity(name.len() + 3);
                crate::json::write_str(&mut key, name);
                key.push(b':');
                key.into_boxed_slice()
            })
            .collect();
        Arc::new(Columns { names, json })
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
        // Rows are narrow: comparing lengths first makes this faster than a hash.
        self.names.iter().position(|n| n.len() == name.len() && (n.as_ptr() == name.as_ptr() || **n == *name))
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
        Row { columns: Columns::new(dict.keys().cloned()), values: dict.values().cloned().collect() }
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
        self.iter().map(|(name, value)| (name.clone(), value.clone())).collect()
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
        self.columns.names.iter().cloned().zip(self.values).collect()
    }

    /// Appends the row as one JSON object without a line feed: keys in column order, times RFC 3339 in UTC,
    /// bytes as text with U+FFFD for what is not UTF-8.
    pub fn write_json(&self, out: &mut Vec<u8>) {
        out.push(b'{');
        for (i, (key, value)) in self.columns.json.iter().zip(&self.values).enumerate() {
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

    fn get(&self, name: &str) -> Option<Value> {
        self.columns().index(name).map(|i| self.value(i))
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
