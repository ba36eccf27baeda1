//! ORDER BY: all rows of a SELECT, by their keys. Rows are sorted in chunks, chunks that do not fit into memory become
//! sorted runs on disk, and all of them are merged while the rows go out.

use std::borrow::Cow;
use std::cmp::Ordering;
use std::sync::Arc;

use super::held::{self, Held};
use super::ops;
use super::select::{BREAK, CONTINUE, Counts, plain};
use super::spill::{Decoder, Encoder, SpillError, Tape, TapeReader, TapeWriter, Track};
use crate::plan::Select;
use crate::plugin::{EmitView, Flow};
use crate::row::{Columns, LastRow, Row, RowView};
use crate::scope::Context;
use crate::syntax::ast::Span;
use crate::value::Value;

/// Emits the rows in the order of their keys; those past `limit` need not come.
pub(super) fn run(cx: &Context<'_>, select: &Select, counts: &Counts, limit: u64, emit: &mut EmitView<'_>) {
    let directions = select.order_by.iter().map(|(_, descending)| *descending).collect();
    let mut sorter = Sorter::new(cx, select.span, "ORDER BY", directions).limit(limit);
    // Running aggregates count the rows that do not come out too.
    let always = select.items.iter().any(crate::plan::Item::is_aggregate);
    let _ = plain(cx, select, counts, &mut |view| {
        let above = view.below.with_selected(view);
        // Nearly all rows are none of the few that are asked for: that is known soonest of whole numbers.
        if !always
            && sorter.threshold.is_some()
            && let Some(n) = select.order_by[0].0.int(&above)
            && sorter.excludes(&Value::Int(n))
        {
            return CONTINUE;
        }
        let mut keys = select.order_by.iter().map(|(expr, _)| expr.value(&above));
        let first = keys.next().unwrap_or_default();
        if !sorter.excludes(&first) {
            let key = Key::new(std::iter::once(first).chain(keys), &sorter.directions);
            if sorter.wants(&key) {
                return sorter.push(cx, key, view);
            }
        }
        if always {
            view.take_row();
        }
        CONTINUE
    });
    counts.spilled(sorter.finish(cx, emit));
}

/// Evaluates the keys of a row, each seeing the row's columns and those of its source.
pub(super) fn sort_keys(
    cx: &Context<'_>,
    select: &Select,
    input: &dyn RowView,
    view: &dyn RowView,
    keys: &mut Vec<Value>,
) {
    let below = cx.with_row(input);
    let above = below.with_row(view);
    keys.extend(select.order_by.iter().map(|(expr, _)| cx.materialize(expr.eval(&above))));
}

/// Up to this LIMIT, just the first rows are kept.
const MAX_KEPT: usize = 10_000;

/// So many rows are sorted at once: few enough for the caches, and for who waits to hear that the query is cancelled.
const CHUNK: usize = 1 << 15;

/// So many runs are merged at once.
const FAN: usize = 128;

/// Sorts rows, stably, on disk when they are many.
pub(super) struct Sorter {
    span: Span,
    what: &'static str,
    /// Whether each key descends.
    directions: Box<[bool]>,
    /// Only so many rows will be asked for, if that is few.
    most: Option<usize>,
    /// The key of the last row that may still come out: what comes later and is not before it does not.
    threshold: Option<Key>,
    held: Held,
    chunks: Vec<Chunk>,
    writer: Option<TapeWriter>,
    runs: Vec<Track>,
    pushed: u64,
    full: bool,
}

/// What a row is sorted by.
pub(super) struct Key {
    /// The first key, or its beginning, as a number: comparing it decides nearly always.
    order: u128,
    /// The first key when `order` does not say all.
    first: Value,
    more: Box<[Value]>,
}

impl Key {
    pub(super) fn new<'v>(keys: impl IntoIterator<Item = Cow<'v, Value>>, directions: &[bool]) -> Key {
        let mut keys = keys.into_iter().map(plain_key);
        let first = keys.next().unwrap_or_default();
        let order = order(&first);
        let first = if says_all(order) { Value::Null } else { first.into_owned() };
        let descending = directions.first().is_some_and(|descending| *descending);
        let order = if descending { !order } else { order };
        Key { order, first, more: keys.map(Cow::into_owned).collect() }
    }

    fn size(&self) -> usize {
        48 + held::shallow_size(&self.first) + self.more.iter().map(held::shallow_size).sum::<usize>()
    }

    fn view(&self) -> KeyView<'_> {
        KeyView { order: self.order, first: &self.first, more: &self.more }
    }
}

/// What sorts by its text is that text.
fn plain_key(key: Cow<'_, Value>) -> Cow<'_, Value> {
    if is_plain(&key) { key } else { Cow::Owned(Value::Str(key.to_text())) }
}

fn is_plain(key: &Value) -> bool {
    !matches!(key, Value::Bytes(_) | Value::Array(_) | Value::Dict(_) | Value::Query(_) | Value::Object(_))
}

const RANK: u32 = 120;
/// The last byte of a text's number is its length, or this when the text goes on.
const LONG: u128 = 15;

/// A number in the order of [`ops::sort_order`], as far as it goes: 8 bits for the kind, then a number or 14 bytes of text.
#[inline]
fn order(key: &Value) -> u128 {
    if let Some((float, rest)) = ops::number_order(key) {
        return 1 << RANK | u128::from(float) << 56 | (i128::from(rest) + (1 << 55)) as u128;
    }
    match key {
        Value::Time(time) => 2 << RANK | (time.as_nanosecond() + (1 << 100)) as u128,
        Value::Str(text) if !text.is_empty() => 3 << RANK | text_order(text.as_bytes()),
        _ => 0,
    }
}

/// The first 14 bytes of a text, and how many it has.
#[inline(never)]
fn text_order(text: &[u8]) -> u128 {
    let n = text.len().min(14);
    let after = 8 * (15 - n);
    let bytes = match (text.first_chunk(), text[..n].last_chunk()) {
        // Words of a known size are read much faster than some bytes.
        (Some(head), Some(tail)) => {
            let tail = u64::from_be_bytes(*tail) & ((1 << (8 * (n - 8))) - 1);
            u128::from(u64::from_be_bytes(*head)) << 56 | u128::from(tail) << after
        }
        _ => text.iter().fold(0, |bytes, byte| bytes << 8 | u128::from(*byte)) << after,
    };
    bytes | if text.len() > 14 { LONG } else { n as u128 }
}

fn says_all(order: u128) -> bool {
    order >> RANK != 3 || order & 0xff != LONG
}

#[derive(Clone, Copy)]
struct KeyView<'k> {
    order: u128,
    first: &'k Value,
    more: &'k [Value],
}

impl KeyView<'_> {
    fn compare(&self, other: &KeyView<'_>, directions: &[bool]) -> Ordering {
        self.order.cmp(&other.order).then_with(|| {
            let pairs = std::iter::once((self.first, other.first)).chain(self.more.iter().zip(other.more));
            for ((a, b), descending) in pairs.zip(directions) {
                let order = ops::sort_order(a, b);
                if order.is_ne() {
                    return if *descending { order.reverse() } else { order };
                }
            }
            Ordering::Equal
        })
    }
}

/// Rows in memory.
#[derive(Default)]
struct Chunk {
    /// In the order of the keys once the chunk is sorted, as all the rest.
    heads: Vec<Head>,
    /// The first keys that are not in their heads; shorter than the rows when the last ones are.
    first: Vec<Value>,
    /// The other keys, so many for each row.
    more: Vec<Value>,
    rows: Rows,
    /// How many rows are gone already.
    taken: usize,
}

#[derive(Clone, Copy)]
struct Head {
    order: u128,
    /// Where the row is as long as the chunk is not sorted.
    at: u32,
}

enum Rows {
    /// All of the same columns: their values, one row behind another.
    Same(Arc<Columns>, Vec<Value>),
    Mixed(Vec<Option<Row>>),
    /// As `Same`, going out in order: what is gone need not be looked at again.
    Leaving(Arc<Columns>, std::vec::IntoIter<Value>),
}

impl Default for Rows {
    fn default() -> Rows {
        Rows::Mixed(Vec::new())
    }
}

impl Rows {
    /// Adds the row at a place, which is the next; gives its size.
    fn push(&mut self, at: usize, row: &dyn RowView) -> usize {
        // There may be room for rows of the same columns already.
        if at == 0 && !matches!(self, Rows::Same(columns, _) if Arc::ptr_eq(columns, row.columns())) {
            *self = Rows::Same(row.columns().clone(), Vec::new());
        }
        match self {
            Rows::Same(columns, values)
                if Arc::ptr_eq(columns, row.columns()) || columns.names() == row.columns().names() =>
            {
                let before = values.len();
                row.take_values(values);
                return held::cells_size(&values[before..]);
            }
            Rows::Same(..) => *self = Rows::Mixed((0..at).map(|at| self.take(at)).collect()),
            Rows::Mixed(_) | Rows::Leaving(..) => {}
        }
        let row = row.take_row();
        let size = held::size(&row);
        if let Rows::Mixed(rows) = self {
            rows.push(Some(row));
        }
        size
    }

    fn take(&mut self, at: usize) -> Option<Row> {
        match self {
            Rows::Same(columns, values) => {
                let n = columns.len();
                let row = values.get_mut(at * n..(at + 1) * n)?.iter_mut().map(std::mem::take).collect();
                Some(Row::new(columns, row))
            }
            Rows::Mixed(rows) => rows.get_mut(at)?.take(),
            Rows::Leaving(columns, values) => {
                let row: Vec<Value> = values.take(columns.len()).collect();
                (row.len() == columns.len()).then(|| Row::new(columns, row))
            }
        }
    }

    /// The rows from a place on go out in order, and nothing else is done with them.
    fn leave(&mut self, from: usize) {
        if let Rows::Same(columns, values) = self {
            let mut values = std::mem::take(values).into_iter();
            values.by_ref().take(from * columns.len()).for_each(drop);
            *self = Rows::Leaving(columns.clone(), values);
        }
    }

    /// Empty, with room for as many.
    fn another(&self) -> Rows {
        match self {
            Rows::Same(columns, values) => Rows::Same(columns.clone(), Vec::with_capacity(values.len())),
            Rows::Mixed(_) | Rows::Leaving(..) => Rows::default(),
        }
    }

    fn write(&self, at: usize, out: &mut Encoder<'_>) {
        match self {
            Rows::Same(columns, values) => {
                let n = columns.len();
                out.cells(columns, values.get(at * n..(at + 1) * n).unwrap_or_default());
            }
            Rows::Mixed(rows) => rows.get(at).into_iter().flatten().for_each(|row| out.row(row)),
            Rows::Leaving(columns, values) => {
                out.cells(columns, values.as_slice().get(..columns.len()).unwrap_or_default())
            }
        }
    }

    fn reorder(&mut self, heads: &[Head]) {
        match self {
            Rows::Same(columns, values) => reorder(values, columns.len(), heads),
            Rows::Mixed(rows) => {
                *rows = heads.iter().map(|head| rows.get_mut(head.at as usize).and_then(Option::take)).collect();
            }
            Rows::Leaving(..) => {}
        }
    }
}

/// Brings groups of `n` values into the order of the heads.
fn reorder(values: &mut Vec<Value>, n: usize, heads: &[Head]) {
    let mut ordered = Vec::with_capacity(heads.len() * n);
    for head in heads {
        let at = head.at as usize * n;
        ordered.extend((at..at + n).map(|at| values.get_mut(at).map(std::mem::take).unwrap_or_default()));
    }
    *values = ordered;
}

impl Chunk {
    fn len(&self) -> usize {
        self.heads.len()
    }

    /// Adds a row; gives its size.
    fn push(&mut self, key: Key, row: &dyn RowView) -> usize {
        let at = self.heads.len();
        let size = key.size();
        self.heads.push(Head { order: key.order, at: at as u32 });
        if !key.first.is_null() {
            self.first.resize(at, Value::Null);
            self.first.push(key.first);
        }
        self.more.extend(key.more);
        size + self.rows.push(at, row)
    }

    /// An empty one, with room for as many rows.
    fn another(&self) -> Chunk {
        Chunk { heads: Vec::with_capacity(self.len()), rows: self.rows.another(), ..Chunk::default() }
    }

    fn key(&self, head: Head, directions: &[bool]) -> KeyView<'_> {
        let (at, others) = (head.at as usize, directions.len() - 1);
        KeyView {
            order: head.order,
            first: self.first.get(at).unwrap_or(&Value::Null),
            more: self.more.get(at * others..(at + 1) * others).unwrap_or_default(),
        }
    }

    fn sort(&mut self, directions: &[bool]) {
        let mut heads = std::mem::take(&mut self.heads);
        let decided = self.first.is_empty() && self.more.is_empty();
        heads.sort_unstable_by(|a, b| {
            let order = a.order.cmp(&b.order);
            let order = if decided || order.is_ne() {
                order
            } else {
                self.key(*a, directions).compare(&self.key(*b, directions), directions)
            };
            order.then(a.at.cmp(&b.at))
        });
        // Merging goes through the rows in this order: then they had better lie so.
        if !heads.iter().enumerate().all(|(at, head)| head.at as usize == at) {
            if !self.first.is_empty() {
                reorder(&mut self.first, 1, &heads);
            }
            reorder(&mut self.more, directions.len() - 1, &heads);
            self.rows.reorder(&heads);
            heads.iter_mut().enumerate().for_each(|(at, head)| head.at = at as u32);
        }
        self.heads = heads;
    }

    /// The first of the sorted rows, at most so many.
    fn truncate(&mut self, most: usize, directions: &[bool]) {
        self.heads.truncate(most);
        self.first.truncate(most);
        self.more.truncate(most * (directions.len() - 1));
        match &mut self.rows {
            Rows::Same(columns, values) => values.truncate(most * columns.len()),
            Rows::Mixed(rows) => rows.truncate(most),
            Rows::Leaving(..) => {}
        }
    }

    fn last_key(&self, directions: &[bool]) -> Option<Key> {
        let view = self.key(*self.heads.last()?, directions);
        Some(Key { order: view.order, first: view.first.clone(), more: view.more.into() })
    }

    fn size(&self, directions: &[bool]) -> usize {
        let rows: usize = match &self.rows {
            Rows::Same(columns, values) => values.chunks(columns.len().max(1)).map(held::cells_size).sum(),
            Rows::Mixed(rows) => rows.iter().flatten().map(held::size).sum(),
            Rows::Leaving(_, values) => held::cells_size(values.as_slice()),
        };
        rows + self.len() * (48 + directions.len() * size_of::<Value>())
    }
}

impl Sorter {
    pub(super) fn new(cx: &Context<'_>, span: Span, what: &'static str, directions: Box<[bool]>) -> Sorter {
        Sorter {
            span,
            what,
            directions,
            most: None,
            threshold: None,
            held: Held::new(cx),
            chunks: vec![Chunk::default()],
            writer: None,
            runs: Vec::new(),
            pushed: 0,
            full: false,
        }
    }

    /// Only the first so many rows will be asked for.
    pub(super) fn limit(self, limit: u64) -> Sorter {
        Sorter { most: usize::try_from(limit).ok().filter(|n| *n <= MAX_KEPT), ..self }
    }

    /// How many rows were given.
    pub(super) fn rows(&self) -> u64 {
        self.pushed
    }

    pub(super) fn directions(&self) -> &[bool] {
        &self.directions
    }

    /// Whether no row with this first key may come out: what can be said at once of nearly all rows, if few are asked for.
    fn excludes(&self, first: &Value) -> bool {
        self.threshold.as_ref().is_some_and(|threshold| {
            is_plain(first) && {
                let order = order(first);
                (if self.directions[0] { !order } else { order }) > threshold.order
            }
        })
    }

    /// Whether a row with this key may come out.
    fn wants(&self, key: &Key) -> bool {
        self.threshold.as_ref().is_none_or(|t| key.view().compare(&t.view(), &self.directions).is_lt())
    }

    /// Takes a row; Break when no further one can be taken, which is said then, and when the query is cancelled.
    pub(super) fn push(&mut self, cx: &Context<'_>, key: Key, row: &dyn RowView) -> Flow {
        if self.full {
            return BREAK;
        }
        if self.chunks.last().is_none_or(|chunk| chunk.len() >= CHUNK) {
            self.sort_last();
            // More may come, as many as before.
            let another = self.chunks.last().map(Chunk::another).unwrap_or_default();
            self.chunks.push(another);
        }
        let Some(chunk) = self.chunks.last_mut() else { return BREAK };
        let size = chunk.push(key, row);
        let rows = chunk.len();
        self.pushed += 1;
        let mut fits = self.held.add(size);
        if let Some(most) = self.most
            && (!fits || rows >= 2 * most + 64)
            && self.chunks.len() == 1
        {
            self.forget(most);
            fits = self.held.fits();
        }
        if fits {
            return CONTINUE;
        }
        if let Err(why) = self.spill(cx) {
            held::too_much(cx, self.span, self.what, self.pushed, &why);
            self.full = true;
            return BREAK;
        }
        cx.unless_cancelled()
    }

    fn sort_last(&mut self) {
        if let Some(chunk) = self.chunks.last_mut() {
            chunk.sort(&self.directions);
        }
    }

    /// Keeps the rows that may still come out.
    fn forget(&mut self, most: usize) {
        self.sort_last();
        let Some(chunk) = self.chunks.last_mut() else { return };
        chunk.truncate(most, &self.directions);
        if chunk.len() == most {
            self.threshold = chunk.last_key(&self.directions);
        }
        let (rows, size) = (chunk.len(), chunk.size(&self.directions));
        self.held.clear();
        self.held.set(rows, size);
    }

    /// Brings all rows in memory to the disk, as one run.
    fn spill(&mut self, cx: &Context<'_>) -> Result<(), SpillError> {
        self.sort_last();
        let writer = self.writer.get_or_insert_with(|| TapeWriter::new(&cx.shared.store));
        let mut run = Track::default();
        let mut merge = Merge::new(&self.directions, self.chunks.iter_mut().map(Source::Memory).collect())?;
        let written = merge.write(cx, writer, &mut run);
        self.runs.push(run);
        match written {
            Ok(()) => {
                self.chunks = vec![Chunk::default()];
                self.held.clear();
                Ok(())
            }
            Err(why) => Err(why),
        }
    }

    /// Emits the rows in order, until `emit` breaks or the query is cancelled; gives how many bytes went to the disk.
    pub(super) fn finish(mut self, cx: &Context<'_>, emit: &mut EmitView<'_>) -> u64 {
        if cx.cancelled() {
            return 0;
        }
        self.sort_last();
        let mut spilled = self.writer.as_ref().map_or(0, TapeWriter::bytes);
        let mut tape = self.writer.take().map(TapeWriter::finish);
        while let Some(longer) = tape.as_ref().filter(|_| self.runs.len() > FAN).and_then(|t| self.fewer_runs(cx, t)) {
            spilled += longer.bytes();
            tape = Some(longer.finish());
        }
        let mut sources: Vec<Source<'_>> = Vec::new();
        if let Some(tape) = &tape {
            sources.extend(self.runs.iter().map(|run| Source::Disk(DiskSource::new(tape, run))));
        }
        for chunk in &mut self.chunks {
            chunk.rows.leave(chunk.taken);
            sources.push(Source::Memory(chunk));
        }
        let merged = Merge::new(&self.directions, sources).and_then(|mut merge| {
            while let Some(row) = merge.next()? {
                if cx.cancelled() || emit(&LastRow::new(row)).is_break() {
                    break;
                }
            }
            Ok(())
        });
        if let Err(why) = merged {
            held::lost(cx, self.span, self.what, &why);
        }
        spilled
    }

    /// Merges neighbouring runs. None when that cannot be done: then all are merged at once.
    fn fewer_runs(&mut self, cx: &Context<'_>, tape: &Arc<Tape>) -> Option<TapeWriter> {
        let mut writer = TapeWriter::new(&cx.shared.store);
        let mut runs = Vec::new();
        for group in self.runs.chunks(FAN) {
            let sources = group.iter().map(|run| Source::Disk(DiskSource::new(tape, run))).collect();
            let mut run = Track::default();
            Merge::new(&self.directions, sources).ok()?.write(cx, &mut writer, &mut run).ok()?;
            runs.push(run);
        }
        self.runs = runs;
        Some(writer)
    }
}

/// Sorted rows that are merged with others.
enum Source<'s> {
    Memory(&'s mut Chunk),
    Disk(DiskSource<'s>),
}

struct DiskSource<'s> {
    reader: TapeReader<'s>,
    current: Option<(Key, Row)>,
}

impl<'s> DiskSource<'s> {
    fn new(tape: &'s Tape, run: &'s Track) -> DiskSource<'s> {
        DiskSource { reader: TapeReader::new(tape, run), current: None }
    }

    fn advance(&mut self) -> Result<Option<(Key, Row)>, SpillError> {
        let next = self.reader.next(read).transpose()?;
        Ok(std::mem::replace(&mut self.current, next))
    }
}

fn read(from: &mut Decoder<'_>) -> Option<(Key, Row)> {
    let order = u128::from(from.uint()?) << 64 | u128::from(from.uint()?);
    let first = from.value()?;
    let more = from.values()?.into();
    Some((Key { order, first, more }, from.row()?))
}

impl Source<'_> {
    fn key(&self, directions: &[bool]) -> Option<KeyView<'_>> {
        match self {
            Source::Memory(chunk) => Some(chunk.key(*chunk.heads.get(chunk.taken)?, directions)),
            Source::Disk(disk) => disk.current.as_ref().map(|(key, _)| key.view()),
        }
    }

    /// The row of the key.
    fn take(&mut self) -> Result<Option<Row>, SpillError> {
        match self {
            Source::Memory(chunk) => {
                chunk.taken += 1;
                Ok(chunk.rows.take(chunk.taken - 1))
            }
            Source::Disk(disk) => Ok(disk.advance()?.map(|(_, row)| row)),
        }
    }
}

/// Merges sorted sources; of equal rows that of the earlier source comes first.
struct Merge<'m, 's> {
    directions: &'m [bool],
    sources: Vec<Source<'s>>,
    /// A heap of those that have rows, by their next key, whose number is here too.
    heap: Vec<(u128, usize)>,
}

impl<'m, 's> Merge<'m, 's> {
    fn new(directions: &'m [bool], mut sources: Vec<Source<'s>>) -> Result<Merge<'m, 's>, SpillError> {
        let mut heap = Vec::with_capacity(sources.len());
        for (at, source) in sources.iter_mut().enumerate() {
            if let Source::Disk(disk) = source {
                disk.advance()?;
            }
            heap.extend(source.key(directions).map(|key| (key.order, at)));
        }
        let mut merge = Merge { directions, sources, heap };
        for at in (0..merge.heap.len() / 2).rev() {
            merge.sift_down(at);
        }
        Ok(merge)
    }

    fn before(&self, (order, a): (u128, usize), (other, b): (u128, usize)) -> bool {
        if order != other {
            return order < other;
        }
        match (self.sources[a].key(self.directions), self.sources[b].key(self.directions)) {
            (Some(key), Some(other)) => key.compare(&other, self.directions).then(a.cmp(&b)).is_lt(),
            (key, _) => key.is_some(),
        }
    }

    fn sift_down(&mut self, mut at: usize) {
        loop {
            let mut least = at;
            for child in [2 * at + 1, 2 * at + 2] {
                if child < self.heap.len() && self.before(self.heap[child], self.heap[least]) {
                    least = child;
                }
            }
            if least == at {
                return;
            }
            self.heap.swap(at, least);
            at = least;
        }
    }

    /// The next row.
    fn next(&mut self) -> Result<Option<Row>, SpillError> {
        let Some(&(_, source)) = self.heap.first() else { return Ok(None) };
        let row = self.sources[source].take()?;
        self.replace(source);
        Ok(row)
    }

    /// The first source has another row first, or none any more.
    fn replace(&mut self, source: usize) {
        match self.sources[source].key(self.directions) {
            Some(key) => self.heap[0] = (key.order, source),
            None => _ = self.heap.swap_remove(0),
        }
        self.sift_down(0);
    }

    /// Writes all rows to a run. A row that was taken out is in the run, also after an error.
    fn write(&mut self, cx: &Context<'_>, writer: &mut TapeWriter, run: &mut Track) -> Result<(), SpillError> {
        while let Some(&(_, source)) = self.heap.first() {
            if run.records().is_multiple_of(256) && cx.cancelled() {
                return Ok(());
            }
            let Some(key) = self.sources[source].key(self.directions) else { break };
            let written = writer.push(run, |out| {
                out.uint((key.order >> 64) as u64);
                out.uint(key.order as u64);
                out.value(key.first);
                out.values(key.more);
                match &self.sources[source] {
                    Source::Memory(chunk) => chunk.rows.write(chunk.taken, out),
                    Source::Disk(disk) => disk.current.iter().for_each(|(_, row)| out.row(row)),
                }
            });
            match &mut self.sources[source] {
                Source::Memory(chunk) => chunk.taken += 1,
                Source::Disk(disk) => _ = disk.advance()?,
            }
            self.replace(source);
            written?;
        }
        writer.end(run)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_keys_are_in_their_order() {
        let mut keys: Vec<Value> =
            [0, 1, -1, 1 << 53, (1 << 53) + 1, -(1 << 53) - 1, i64::MAX, i64::MIN].map(Value::from).into();
        let text = "abcdefghijklmnopqrst";
        for len in 0..=text.len() {
            keys.extend(["", "\0", "a", "é", "~"].map(|end| Value::from([&text[..len], end].concat())));
        }
        for a in &keys {
            for b in &keys {
                let (x, y) = (order(a), order(b));
                let known = if x == y && !says_all(x) { Ordering::Equal } else { ops::sort_order(a, b) };
                assert_eq!(x.cmp(&y), known, "{a:?} and {b:?}");
            }
        }
    }
}
