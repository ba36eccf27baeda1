//! GROUP BY: one row for each key, with its aggregates. Groups that do not fit into memory go to disk by parts of their
//! keys' hashes, and so do the rows of those groups that come later; then one part after another is worked on.

use std::borrow::Cow;
use std::fmt::Write;
use std::hash::{BuildHasher, RandomState};
use std::sync::{Arc, OnceLock};

use indexmap::IndexMap;

use super::held::{self, Held, Store};
use super::select::{BREAK, CONTINUE, Cell, Counts, Layout, SelectRow, explain_row, source};
use super::sort::{self, Key, Sorter};
use super::spill::{Decoder, SpillError, Tape, TapeReader, TapeWriter, Track};
use crate::plan::Select;
use crate::plugin::{EmitView, Flow};
use crate::row::{LastRow, Row, RowView};
use crate::scope::{Aggregates, Context};
use crate::value::Value;

const WHAT: &str = "GROUP BY";

/// Into so many parts go the groups that do not fit into memory.
const PARTS: usize = 16;

/// A part that does not fit is parted again, so many times.
const MAX_LEVEL: u32 = 8;

/// Emits the last row of each group, in the order of the groups or of their keys to sort.
pub(super) fn run(cx: &Context<'_>, select: &Select, counts: &Counts, limit: u64, emit: &mut EmitView<'_>) {
    let hasher = RandomState::new();
    let mut groups = Groups::new(cx, select, &hasher, 0);
    let mut keyer = Keyer::default();
    let mut number = 0;
    let _ = source(cx, select, &mut |input| {
        cx.charge(1)?;
        if !keyer.read(cx, select, counts, input) {
            return CONTINUE;
        }
        number += 1;
        groups.row(number, &keyer.key, &keyer.cells, input)
    });
    if cx.cancelled() {
        return;
    }
    if groups.writer.is_none() {
        counts.groups(groups.in_memory.len() as u64);
    }
    if groups.writer.is_none() && select.order_by.is_empty() {
        let _ = groups.in_memory.into_values().filter_map(|g| g.row).try_for_each(|row| emit(&LastRow::new(row)));
        return;
    }
    // By the keys to sort, then by the first row of each group.
    let directions = select.order_by.iter().map(|(_, descending)| *descending).chain([false]).collect();
    let mut sorter = Sorter::new(cx, select.span, "the groups of GROUP BY", directions).limit(limit);
    let mut spilled = 0;
    let on_disk = groups.writer.is_some();
    let _ = groups.finish(&mut sorter, &mut spilled);
    if on_disk {
        counts.groups(sorter.rows());
    }
    spilled += sorter.finish(cx, emit);
    counts.spilled(spilled);
}

/// Finds the key of each row that WHERE keeps.
#[derive(Default)]
struct Keyer {
    layout: Option<Arc<Layout>>,
    /// What was computed on the way, by column.
    cells: Vec<OnceLock<Value>>,
    key: String,
}

impl Keyer {
    fn read(&mut self, cx: &Context<'_>, select: &Select, counts: &Counts, input: &dyn RowView) -> bool {
        let number = counts.read();
        let layout = Layout::find(&mut self.layout, select, input.columns());
        self.cells.clear();
        self.cells.resize_with(layout.cells.len(), OnceLock::new);
        // Aggregates have no group yet: what WHERE and the key read of them does not count.
        let scratch = Aggregates::default();
        let outside = cx.with_aggregates(&scratch);
        let below = outside.with_source(layout, input);
        let view = SelectRow { layout, select, below: &below, input, cells: &self.cells };
        let above = below.with_selected(&view);
        if !view.passes() {
            explain_row(cx, select, number, input, &"WHERE drops it");
            return false;
        }
        counts.kept();
        self.key.clear();
        for (i, expr) in select.group_by.iter().enumerate() {
            if i > 0 {
                self.key.push('\0');
            }
            match &*expr.value(&above) {
                Value::Str(text) => self.key.push_str(text),
                Value::Int(n) => _ = write!(self.key, "{n}"),
                other => self.key.push_str(&other.to_text()),
            }
        }
        explain_row(cx, select, number, input, &format_args!("in the group {:?}", self.key));
        // What is computed already and is no aggregate need not be computed again.
        for (index, cell) in layout.cells.iter().enumerate() {
            if matches!(cell, Cell::Item(item) if select.items[*item].is_aggregate()) {
                self.cells[index].take();
            }
        }
        true
    }
}

/// What a group takes beside its key and its row.
const OVERHEAD: usize = 200;

struct Group {
    /// The number of its first row.
    first: u64,
    aggregates: Aggregates,
    sort_keys: Vec<Value>,
    row: Option<Row>,
    /// The memory that its key and its row were last seen to take.
    bytes: usize,
    /// The memory that its aggregates were last seen to take.
    kept: usize,
}

impl Group {
    fn new(first: u64, bytes: usize) -> Group {
        Group { first, aggregates: Aggregates::default(), sort_keys: Vec::new(), row: None, bytes, kept: 0 }
    }
}

/// In which part a key is. Each level looks at other bits of the hash.
fn part(hasher: &RandomState, level: u32, key: &str) -> usize {
    (hasher.hash_one(key) >> (level * PARTS.ilog2())) as usize % PARTS
}

/// The groups of all rows, or of those of one part of them.
struct Groups<'g> {
    cx: &'g Context<'g>,
    select: &'g Select,
    hasher: &'g RandomState,
    level: u32,
    layout: Option<Arc<Layout>>,
    in_memory: IndexMap<Box<str>, Group>,
    held: Held,
    /// The memory that the aggregates in memory take; they take it from the budget themselves.
    kept: usize,
    most_kept: usize,
    writer: Option<TapeWriter>,
    /// The parts that are on disk.
    parts: [Option<Track>; PARTS],
    rows: u64,
    full: bool,
}

impl<'g> Groups<'g> {
    fn new(cx: &'g Context<'g>, select: &'g Select, hasher: &'g RandomState, level: u32) -> Groups<'g> {
        Groups {
            cx,
            select,
            hasher,
            level,
            layout: None,
            in_memory: IndexMap::new(),
            held: Held::with_share(cx, 4),
            kept: 0,
            most_kept: cx.shared.store.bounds.memory / 4,
            writer: None,
            parts: std::array::from_fn(|_| None),
            rows: 0,
            full: false,
        }
    }

    fn part(&self, key: &str) -> usize {
        part(self.hasher, self.level, key)
    }

    /// Adds a row to its group. `cells` are the columns that are known already.
    fn row(&mut self, number: u64, key: &str, cells: &[OnceLock<Value>], input: &dyn RowView) -> Flow {
        if self.full {
            return BREAK;
        }
        self.rows += 1;
        if let Some(writer) = &mut self.writer
            && let Some(track) = &mut self.parts[part(self.hasher, self.level, key)]
        {
            let written = write_row(writer, track, number, key, cells, &input.to_row());
            return self.check(written);
        }
        let layout = Layout::find(&mut self.layout, self.select, input.columns());
        let at = match self.in_memory.get_index_of(key) {
            Some(at) => at,
            None => {
                self.held.add(OVERHEAD + key.len());
                self.in_memory.insert_full(key.into(), Group::new(number, OVERHEAD + key.len())).0
            }
        };
        let Some((_, group)) = self.in_memory.get_index_mut(at) else { return BREAK };
        // Before the new row is computed, so that an aggregate's list has no second owner and grows in place.
        group.row = None;
        let inside = self.cx.with_aggregates(&group.aggregates);
        let below = inside.with_source(layout, input);
        let view = SelectRow { layout, select: self.select, below: &below, input, cells };
        let row = view.take_row();
        if !self.select.order_by.is_empty() {
            group.sort_keys.clear();
            sort::sort_keys(&inside, self.select, input, &row, &mut group.sort_keys);
        }
        let values: usize = row
            .values()
            .iter()
            .zip(&layout.cells)
            .map(|(value, cell)| match cell {
                // What it collects is counted as it grows.
                Cell::Item(item) if self.select.items[*item].is_aggregate() => size_of::<Value>(),
                _ => held::value_size(value),
            })
            .sum();
        let bytes = OVERHEAD + key.len() + values;
        self.held.resize(std::mem::replace(&mut group.bytes, bytes), bytes);
        let kept = group.aggregates.kept();
        self.kept += kept - std::mem::replace(&mut group.kept, kept);
        group.row = Some(row);
        self.make_room()
    }

    fn make_room(&mut self) -> Flow {
        let fits = self.held.fits() && self.kept <= self.most_kept;
        if fits || self.level >= MAX_LEVEL || self.in_memory.len() < 2 {
            return CONTINUE;
        }
        let written = self.spill();
        self.check(written)?;
        self.cx.unless_cancelled()
    }

    fn check(&mut self, written: Result<(), SpillError>) -> Flow {
        match written {
            Ok(()) => CONTINUE,
            Err(why) => {
                held::too_much(self.cx, self.select.span, WHAT, self.rows, &why);
                self.full = true;
                BREAK
            }
        }
    }

    /// Brings the largest parts to the disk, until half of the memory is free.
    fn spill(&mut self) -> Result<(), SpillError> {
        let mut bytes = [0; PARTS];
        for (key, group) in &self.in_memory {
            bytes[self.part(key)] += group.bytes + group.kept;
        }
        let enough = bytes.iter().sum::<usize>() / 2;
        let mut freed = 0;
        while freed < enough {
            let Some(part) = (0..PARTS).max_by_key(|part| bytes[*part]) else { break };
            freed += std::mem::take(&mut bytes[part]);
            self.parts[part].get_or_insert_default();
        }
        let writer = self.writer.get_or_insert_with(|| TapeWriter::new(&self.cx.shared.store));
        let mut written = Ok(());
        let mut stays = IndexMap::with_capacity(self.in_memory.len() / 2);
        for (key, group) in std::mem::take(&mut self.in_memory) {
            match &mut self.parts[part(self.hasher, self.level, &key)] {
                Some(track) if written.is_ok() => {
                    self.held.remove(1, group.bytes);
                    self.kept -= group.kept;
                    written = write_group(writer, track, &key, &group);
                }
                _ => _ = stays.insert(key, group),
            }
        }
        self.in_memory = stays;
        written
    }

    /// Gives all groups to `sorter`.
    fn finish(mut self, sorter: &mut Sorter, spilled: &mut u64) -> Flow {
        for (_, group) in std::mem::take(&mut self.in_memory) {
            give(self.cx, sorter, group)?;
        }
        self.held.clear();
        let Some(mut writer) = self.writer.take() else { return CONTINUE };
        // What cannot be written stays in memory, and is read from there.
        self.parts.iter_mut().flatten().for_each(|track| _ = writer.end(track));
        *spilled += writer.bytes();
        let tape = writer.finish();
        for track in std::mem::take(&mut self.parts).into_iter().flatten() {
            self.part_again(&tape, &track, sorter, spilled)?;
        }
        CONTINUE
    }

    /// Works on one part.
    fn part_again(&self, tape: &Arc<Tape>, track: &Track, sorter: &mut Sorter, spilled: &mut u64) -> Flow {
        let mut groups = Groups::new(self.cx, self.select, self.hasher, self.level + 1);
        let mut reader = TapeReader::new(tape, track);
        while let Some(record) = reader.next(|from| read(from, &self.cx.shared.store)) {
            self.cx.unless_cancelled()?;
            let flow = match record {
                Ok(Record::Row { number, key, cells, input }) => {
                    let columns = Layout::find(&mut groups.layout, self.select, input.columns()).cells.len();
                    let mut known: Vec<OnceLock<Value>> = Vec::new();
                    known.resize_with(columns, OnceLock::new);
                    for (at, value) in cells {
                        if let Some(cell) = usize::try_from(at).ok().and_then(|at| known.get_mut(at)) {
                            *cell = OnceLock::from(value);
                        }
                    }
                    groups.row(number, &key, &known, &input)
                }
                Ok(Record::Group { key, group }) => groups.group(&key, group),
                Err(why) => {
                    held::lost(self.cx, self.select.span, WHAT, &why);
                    break;
                }
            };
            if flow.is_break() {
                break;
            }
        }
        self.cx.unless_cancelled()?;
        groups.finish(sorter, spilled)
    }

    /// Adds a group that was begun before.
    fn group(&mut self, key: &str, mut group: Group) -> Flow {
        group.bytes = OVERHEAD + key.len() + group.row.as_ref().map_or(0, held::size);
        if let Some(writer) = &mut self.writer
            && let Some(track) = &mut self.parts[part(self.hasher, self.level, key)]
        {
            let written = write_group(writer, track, key, &group);
            return self.check(written);
        }
        self.held.add(group.bytes);
        self.kept += group.kept;
        self.in_memory.insert(key.into(), group);
        self.make_room()
    }
}

fn give(cx: &Context<'_>, sorter: &mut Sorter, mut group: Group) -> Flow {
    let Some(row) = group.row.take() else { return CONTINUE };
    group.sort_keys.push(Value::from(group.first));
    let key = Key::new(group.sort_keys.drain(..).map(Cow::Owned), sorter.directions());
    sorter.push(cx, key, &LastRow::new(row))
}

enum Record {
    Row { number: u64, key: Arc<str>, cells: Vec<(u64, Value)>, input: Row },
    Group { key: Arc<str>, group: Group },
}

const ROW: u64 = 0;
const GROUP: u64 = 1;

fn write_row(
    writer: &mut TapeWriter,
    track: &mut Track,
    number: u64,
    key: &str,
    cells: &[OnceLock<Value>],
    input: &Row,
) -> Result<(), SpillError> {
    writer.push(track, |out| {
        out.uint(ROW);
        out.uint(number);
        out.bytes(key.as_bytes());
        out.uint(cells.iter().filter(|cell| cell.get().is_some()).count() as u64);
        for (at, cell) in cells.iter().enumerate() {
            if let Some(value) = cell.get() {
                out.uint(at as u64);
                out.value(value);
            }
        }
        out.row(input);
    })
}

fn write_group(writer: &mut TapeWriter, track: &mut Track, key: &str, group: &Group) -> Result<(), SpillError> {
    let Some(row) = &group.row else { return Ok(()) };
    let states = group.aggregates.states();
    // A column that is nothing but an aggregate shares its list: it is written, and kept when read again, once.
    let shared: Vec<Option<usize>> =
        row.values().iter().map(|value| states.iter().position(|(_, state)| is_same(value, state))).collect();
    let mut row = row.clone();
    for (at, _) in shared.iter().enumerate().filter(|(_, state)| state.is_some()) {
        row.set(at, Value::Null);
    }
    writer.push(track, |out| {
        out.uint(GROUP);
        out.uint(group.first);
        out.bytes(key.as_bytes());
        out.uint(group.kept as u64);
        out.uint(states.len() as u64);
        for (place, state) in &states {
            out.uint(*place as u64);
            out.value(state);
        }
        out.values(&group.sort_keys);
        out.row(&row);
        shared.iter().for_each(|state| out.uint(state.map_or(0, |state| state as u64 + 1)));
    })
}

/// Whether two values are one list or dict.
fn is_same(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Array(a), Value::Array(b)) => Arc::ptr_eq(a, b),
        (Value::Dict(a), Value::Dict(b)) => Arc::ptr_eq(a, b),
        _ => false,
    }
}

fn read(from: &mut Decoder<'_>, store: &Arc<Store>) -> Option<Record> {
    let (kind, number, key) = (from.uint()?, from.uint()?, from.text()?);
    if kind == ROW {
        let n = from.uint()?;
        let cells: Option<Vec<(u64, Value)>> = (0..n).map(|_| Some((from.uint()?, from.value()?))).collect();
        return Some(Record::Row { number, key, cells: cells?, input: from.row()? });
    }
    let kept = usize::try_from(from.uint()?).ok()?;
    let n = from.uint()?;
    let states: Option<Vec<(usize, Value)>> =
        (0..n).map(|_| Some((usize::try_from(from.uint()?).ok()?, from.value()?))).collect();
    let states = states?;
    let sort_keys = from.values()?;
    let mut row = from.row()?;
    for at in 0..row.values().len() {
        match from.uint()? {
            0 => {}
            state => row.set(at, states.get(usize::try_from(state).ok()? - 1)?.1.clone()),
        }
    }
    let aggregates = Aggregates::restored(states, kept, store);
    let kept = aggregates.kept();
    Some(Record::Group { key, group: Group { first: number, aggregates, sort_keys, row: Some(row), bytes: 0, kept } })
}
