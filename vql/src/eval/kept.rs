//! Rows that were computed once and are read many times, by any number of readers: `LET x <= SELECT …`. Those that do
//! not fit into memory are on disk.

use std::collections::HashMap;
use std::fmt;
use std::ops::ControlFlow;
use std::sync::{Arc, OnceLock};

use parking_lot::Mutex;

use super::held::{self, Held, value_size};
use super::lookup::Lookup;
use super::spill::{SpillError, Tape, TapeReader, TapeWriter, Track};
use crate::plugin::{EmitView, Flow};
use crate::row::{Row, RowView};
use crate::scope::Context;
use crate::syntax::ast::Span;
use crate::value::Value;

const WHAT: &str = "a materialized query";

/// The rows in their order: first those on disk, then those in memory.
pub(crate) struct KeptRows {
    on_disk: Option<(Arc<Tape>, Track)>,
    in_memory: Vec<Row>,
    /// What the rows in memory take.
    _held: Held,
    lookup: Lookup,
    /// As an array, once somebody asked for it.
    array: OnceLock<(Value, Held)>,
    /// Columns that somebody asked for, as arrays.
    columns: Mutex<HashMap<Arc<str>, (Value, Held)>>,
}

/// Takes rows to keep.
pub(crate) struct Keeper<'k> {
    cx: &'k Context<'k>,
    span: Span,
    held: Held,
    in_memory: Vec<Row>,
    writer: Option<TapeWriter>,
    track: Track,
    full: bool,
}

impl<'k> Keeper<'k> {
    pub(crate) fn new(cx: &'k Context<'k>, span: Span) -> Keeper<'k> {
        let held = Held::with_share(cx, 4);
        Keeper { cx, span, held, in_memory: Vec::new(), writer: None, track: Track::default(), full: false }
    }

    /// Takes a row; Break when no further one can be kept, which is said then.
    pub(crate) fn push(&mut self, row: Row) -> Flow {
        if self.full {
            return ControlFlow::Break(());
        }
        if self.writer.is_none() {
            let fits = self.held.add(held::size(&row));
            self.in_memory.push(row);
            return if fits { ControlFlow::Continue(()) } else { self.check(Keeper::spill) };
        }
        self.check(|keeper| match &mut keeper.writer {
            Some(writer) => writer.push(&mut keeper.track, |out| out.row(&row)),
            None => Ok(()),
        })
    }

    fn spill(&mut self) -> Result<(), SpillError> {
        let writer = self.writer.insert(TapeWriter::new(&self.cx.shared.store));
        let mut written = Ok(());
        let mut rest = Vec::new();
        for row in std::mem::take(&mut self.in_memory) {
            match &written {
                Ok(()) => written = writer.push(&mut self.track, |out| out.row(&row)),
                Err(_) => rest.push(row),
            }
        }
        self.in_memory = rest;
        self.held.clear();
        written
    }

    fn check(&mut self, work: impl FnOnce(&mut Self) -> Result<(), SpillError>) -> Flow {
        let Err(why) = work(self) else { return self.cx.unless_cancelled() };
        self.full = true;
        held::too_much(self.cx, self.span, WHAT, self.track.records() + self.in_memory.len() as u64, &why);
        ControlFlow::Break(())
    }

    /// All rows, if they are at most so many and in memory.
    pub(crate) fn few(&mut self, most: usize) -> Option<Vec<Row>> {
        let few = self.writer.is_none() && self.in_memory.len() <= most;
        few.then(|| std::mem::take(&mut self.in_memory))
    }

    pub(crate) fn finish(mut self) -> KeptRows {
        let on_disk = self.writer.take().map(|mut writer| {
            // The last block may as well stay in memory.
            let _ = writer.end(&mut self.track);
            (writer.finish(), self.track)
        });
        KeptRows {
            on_disk,
            in_memory: self.in_memory,
            _held: self.held,
            lookup: Lookup::default(),
            array: OnceLock::new(),
            columns: Mutex::default(),
        }
    }
}

impl KeptRows {
    pub(crate) fn len(&self) -> u64 {
        self.on_disk.as_ref().map_or(0, |(_, track)| track.records()) + self.in_memory.len() as u64
    }

    /// The rows, and what finds them by their columns, if all are in memory.
    pub(crate) fn in_memory(&self) -> Option<(&[Row], &Lookup)> {
        self.on_disk.is_none().then_some((&self.in_memory, &self.lookup))
    }

    /// All rows in order.
    pub(crate) fn run(&self, cx: &Context<'_>, emit: &mut EmitView<'_>) -> Flow {
        let read = self.each(&mut |row| {
            cx.unless_cancelled()?;
            emit(row)
        });
        read.unwrap_or_else(|why| {
            held::lost(cx, Span::default(), WHAT, &why);
            ControlFlow::Continue(())
        })
    }

    /// As `run`, for who has no context.
    pub(crate) fn each(&self, emit: &mut dyn FnMut(&Row) -> Flow) -> Result<Flow, SpillError> {
        if let Some((tape, track)) = &self.on_disk {
            let mut reader = TapeReader::new(tape, track);
            while let Some(row) = reader.next_row() {
                if emit(&row?).is_break() {
                    return Ok(ControlFlow::Break(()));
                }
            }
        }
        Ok(self.in_memory.iter().try_for_each(emit))
    }

    /// The row at a place, without reading those before it.
    pub(crate) fn row(&self, at: u64) -> Option<Row> {
        let records = self.on_disk.as_ref().map_or(0, |(_, track)| track.records());
        if at >= records {
            return self.in_memory.get(usize::try_from(at - records).ok()?).cloned();
        }
        let (tape, track) = self.on_disk.as_ref()?;
        let mut reader = TapeReader::new(tape, track);
        for _ in 0..reader.skip_to(at) {
            reader.next_row()?.ok()?;
        }
        reader.next_row()?.ok()
    }

    /// The rows as an array of dicts, as many as fit into memory.
    pub(crate) fn array(&self, cx: &Context<'_>) -> Value {
        if let Some((array, _)) = self.array.get() {
            return array.clone();
        }
        let mut held = Held::new(cx);
        let rows = in_memory(cx, Span::default(), "a query that is used as a value", &mut held, &mut |emit| {
            self.run(cx, &mut |row| emit(Value::dict(row.take_row().into_dict())))
        });
        if cx.cancelled() {
            return Value::from(rows);
        }
        self.array.get_or_init(|| (Value::from(rows), held)).0.clone()
    }

    /// The values of one column; NULL when no row has it.
    pub(crate) fn column(&self, cx: &Context<'_>, name: &str) -> Value {
        if let Some((column, _)) = self.columns.lock().get(name) {
            return column.clone();
        }
        let mut held = Held::with_share(cx, 4);
        let values = column_of(cx, name, &mut held, &mut |emit| self.run(cx, emit));
        if !cx.cancelled() && held.has_memory() {
            self.columns.lock().insert(name.into(), (values.clone(), held));
        }
        values
    }
}

impl fmt::Debug for KeptRows {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} rows", self.len())
    }
}

/// Where values go.
type EmitValue<'e> = dyn FnMut(Value) -> Flow + 'e;

/// The values that `run` emits, as many as fit into memory.
pub(crate) fn in_memory(
    cx: &Context<'_>,
    span: Span,
    what: &str,
    held: &mut Held,
    run: &mut dyn FnMut(&mut EmitValue<'_>) -> Flow,
) -> Vec<Value> {
    let mut values: Vec<Value> = Vec::new();
    let _ = run(&mut |value| {
        if !held.room(value_size(&value)) {
            held::too_much(cx, span, what, values.len() as u64, &SpillError::Memory(cx.shared.store.bounds.memory));
            return ControlFlow::Break(());
        }
        values.push(value);
        ControlFlow::Continue(())
    });
    values
}

/// The values of one column of the rows that `run` emits; NULL when no row has it.
pub(crate) fn column_of(
    cx: &Context<'_>,
    name: &str,
    held: &mut Held,
    run: &mut dyn FnMut(&mut EmitView<'_>) -> Flow,
) -> Value {
    let mut found = false;
    let values = in_memory(cx, Span::default(), "a query's column", held, &mut |emit| {
        run(&mut |row: &dyn RowView| match row.get(name) {
            Some(value) => {
                found = true;
                emit(value)
            }
            None => ControlFlow::Continue(()),
        })
    });
    if found { Value::from(values) } else { Value::Null }
}
