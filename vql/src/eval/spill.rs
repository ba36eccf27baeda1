//! Rows on disk: what does not fit into memory goes to a file that has no name, and comes back as it was.
//!
//! A [`TapeWriter`] takes records for many [`Track`]s (the runs of a sort, the partitions of a group) into one file, in
//! blocks of whole records. When all is written it becomes a [`Tape`], which any number of [`TapeReader`]s read at the
//! same time. The file is gone with its last user, also when the process is killed.

use std::collections::HashMap;
use std::fs::File;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use indexmap::IndexSet;
use jiff::Timestamp;

use super::held::Store;
use crate::row::{Columns, Row};
use crate::value::{Dict, Unpack, Value};

/// A block goes to the file when it has as many bytes.
const BLOCK: usize = 128 << 10;

/// So many different lists of columns, and so many different keys of dicts, are kept once for the whole file.
const MAX_SHARED: usize = 10_000;

/// So many values that have behaviour (stored queries, caches, open files) stay in memory beside a file; of further ones
/// their members are kept.
const MAX_ALIVE: usize = 100_000;

/// Why rows could not be written or read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SpillError {
    #[error("the {} that a query may fill on disk are full", size_text(*.0))]
    Budget(u64),
    #[error("it does not fit into the memory that a query may take, {}", size_text(*.0 as u64))]
    Memory(usize),
    #[error("cannot write to a file in {}: {error}", folder.display())]
    Write { folder: PathBuf, error: io::Error },
    #[error("cannot read from the temporary file: {0}")]
    Read(io::Error),
    #[error("the temporary file was damaged")]
    Damaged,
}

/// `512 bytes`, `3.4 KiB`
pub(super) fn size_text(bytes: u64) -> String {
    let (unit, name) = match bytes {
        0..1024 => return if bytes == 1 { "1 byte".into() } else { format!("{bytes} bytes") },
        1024..1_048_576 => (1024.0, "KiB"),
        1_048_576..1_073_741_824 => (1_048_576.0, "MiB"),
        _ => (1_073_741_824.0, "GiB"),
    };
    let size = format!("{:.1}", bytes as f64 / unit);
    format!("{} {name}", size.strip_suffix(".0").unwrap_or(&size))
}

/// A file that grows.
#[derive(Debug)]
pub(crate) struct TapeWriter {
    tape: Tape,
}

/// A file that is complete.
#[derive(Debug)]
pub(crate) struct Tape {
    store: Arc<Store>,
    file: Option<File>,
    bytes: u64,
    tables: Tables,
}

/// Some of the records of a tape, in order.
#[derive(Debug, Default)]
pub(crate) struct Track {
    blocks: Vec<Block>,
    /// The last block, as long as it is not full.
    tail: Vec<u8>,
    records: u64,
    /// The records before the tail.
    before: u64,
}

#[derive(Clone, Copy, Debug)]
struct Block {
    at: u64,
    bytes: usize,
    /// How many records of the track come before it.
    first: u64,
}

impl TapeWriter {
    pub(crate) fn new(store: &Arc<Store>) -> TapeWriter {
        TapeWriter { tape: Tape { store: store.clone(), file: None, bytes: 0, tables: Tables::default() } }
    }

    /// Appends a record. On an error all records so far, this one too, are kept, and no further ones are to come.
    pub(crate) fn push(&mut self, track: &mut Track, write: impl FnOnce(&mut Encoder<'_>)) -> Result<(), SpillError> {
        write(&mut Encoder { out: &mut track.tail, tables: &mut self.tape.tables });
        track.records += 1;
        if track.tail.len() >= BLOCK { self.flush(track) } else { Ok(()) }
    }

    /// Brings the last block of a track to the disk too.
    pub(crate) fn end(&mut self, track: &mut Track) -> Result<(), SpillError> {
        self.flush(track)?;
        track.tail = Vec::new();
        Ok(())
    }

    fn flush(&mut self, track: &mut Track) -> Result<(), SpillError> {
        let bytes = track.tail.len();
        if bytes == 0 {
            return Ok(());
        }
        self.tape.store.take_disk(bytes as u64)?;
        if let Err(error) = self.write(&track.tail) {
            self.tape.store.give_disk(bytes as u64);
            let folder = self.tape.store.bounds.folder.clone().unwrap_or_else(std::env::temp_dir);
            return Err(SpillError::Write { folder, error });
        }
        track.blocks.push(Block { at: self.tape.bytes, bytes, first: track.before });
        track.before = track.records;
        self.tape.bytes += bytes as u64;
        track.tail.clear();
        Ok(())
    }

    fn write(&mut self, block: &[u8]) -> io::Result<()> {
        let file = match &mut self.tape.file {
            Some(file) => file,
            none => none.insert(match &self.tape.store.bounds.folder {
                Some(folder) => tempfile::tempfile_in(folder)?,
                None => tempfile::tempfile()?,
            }),
        };
        write_at(file, block, self.tape.bytes)
    }

    /// How much is in the file.
    pub(crate) fn bytes(&self) -> u64 {
        self.tape.bytes
    }

    pub(crate) fn finish(self) -> Arc<Tape> {
        Arc::new(self.tape)
    }
}

impl Drop for Tape {
    fn drop(&mut self) {
        self.store.give_disk(self.bytes);
    }
}

#[cfg(unix)]
fn write_at(file: &File, bytes: &[u8], at: u64) -> io::Result<()> {
    std::os::unix::fs::FileExt::write_all_at(file, bytes, at)
}

#[cfg(unix)]
fn read_at(file: &File, bytes: &mut [u8], at: u64) -> io::Result<()> {
    std::os::unix::fs::FileExt::read_exact_at(file, bytes, at)
}

#[cfg(windows)]
fn write_at(file: &File, mut bytes: &[u8], mut at: u64) -> io::Result<()> {
    while !bytes.is_empty() {
        let n = std::os::windows::fs::FileExt::seek_write(file, bytes, at)?;
        if n == 0 {
            return Err(io::ErrorKind::WriteZero.into());
        }
        bytes = &bytes[n..];
        at += n as u64;
    }
    Ok(())
}

#[cfg(windows)]
fn read_at(file: &File, mut bytes: &mut [u8], mut at: u64) -> io::Result<()> {
    while !bytes.is_empty() {
        let n = std::os::windows::fs::FileExt::seek_read(file, bytes, at)?;
        if n == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        bytes = &mut bytes[n..];
        at += n as u64;
    }
    Ok(())
}

impl Track {
    pub(crate) fn records(&self) -> u64 {
        self.records
    }
}

/// Reads a track from a record on.
#[derive(Debug)]
pub(crate) struct TapeReader<'t> {
    tape: &'t Tape,
    track: &'t Track,
    /// The next block.
    next: usize,
    block: Vec<u8>,
    at: usize,
    left: u64,
}

impl<'t> TapeReader<'t> {
    pub(crate) fn new(tape: &'t Tape, track: &'t Track) -> TapeReader<'t> {
        TapeReader { tape, track, next: 0, block: Vec::new(), at: 0, left: track.records }
    }

    /// Passes by all blocks that lie before a record; gives how many records are then still before it.
    pub(crate) fn skip_to(&mut self, record: u64) -> u64 {
        let blocks = &self.track.blocks;
        self.next = blocks.partition_point(|b| b.first <= record).saturating_sub(1);
        let mut first = blocks.get(self.next).map_or(0, |b| b.first);
        if record >= self.track.before {
            (self.next, first) = (blocks.len(), self.track.before);
        }
        self.block.clear();
        self.at = 0;
        self.left = self.track.records - first.min(self.track.records);
        record.saturating_sub(first)
    }

    /// The next record, None after the last.
    pub(crate) fn next<T>(
        &mut self,
        read: impl FnOnce(&mut Decoder<'_>) -> Option<T>,
    ) -> Option<Result<T, SpillError>> {
        if self.left == 0 {
            return None;
        }
        self.left -= 1;
        let last = self.next > self.track.blocks.len();
        let read_up = self.at >= if last { self.track.tail.len() } else { self.block.len() };
        if read_up && let Err(error) = self.load() {
            self.left = 0;
            return Some(Err(error));
        }
        let last = self.next > self.track.blocks.len();
        let block = if last { &self.track.tail } else { &self.block };
        let mut decoder = Decoder { bytes: block, at: self.at, tables: &self.tape.tables };
        let record = read(&mut decoder);
        self.at = decoder.at;
        if record.is_none() {
            self.left = 0;
        }
        Some(record.ok_or(SpillError::Damaged))
    }

    pub(crate) fn next_row(&mut self) -> Option<Result<Row, SpillError>> {
        self.next(|from| from.row())
    }

    fn load(&mut self) -> Result<(), SpillError> {
        self.at = 0;
        if let (Some(block), Some(file)) = (self.track.blocks.get(self.next), &self.tape.file) {
            self.block.resize(block.bytes, 0);
            read_at(file, &mut self.block, block.at).map_err(SpillError::Read)?;
        }
        self.next += 1;
        Ok(())
    }
}

/// What the records of a tape have in common.
#[derive(Debug, Default)]
struct Tables {
    columns: Vec<Arc<Columns>>,
    column_ids: HashMap<Vec<Arc<str>>, usize>,
    names: IndexSet<Arc<str>>,
    alive: Vec<Value>,
    /// What makes packed objects again: one for each type of them.
    unpack: Vec<Unpack>,
}

impl Tables {
    fn columns(&mut self, columns: &Arc<Columns>) -> Option<usize> {
        // Nearly always there are few, and the rows share them.
        let few = &self.columns[self.columns.len().saturating_sub(8)..];
        if let Some(at) = few.iter().rposition(|c| Arc::ptr_eq(c, columns)) {
            return Some(self.columns.len() - few.len() + at);
        }
        if let Some(id) = self.column_ids.get(columns.names()) {
            return Some(*id);
        }
        let id = self.columns.len();
        (id < MAX_SHARED).then(|| {
            self.columns.push(columns.clone());
            self.column_ids.insert(columns.names().to_vec(), id);
            id
        })
    }

    fn unpack(&mut self, unpack: Unpack) -> usize {
        // The same function may have several addresses; then it stands here more than once.
        self.unpack.iter().position(|u| std::ptr::fn_addr_eq(*u, unpack)).unwrap_or_else(|| {
            self.unpack.push(unpack);
            self.unpack.len() - 1
        })
    }

    fn name(&mut self, name: &Arc<str>) -> Option<usize> {
        if let Some(id) = self.names.get_index_of(name) {
            return Some(id);
        }
        (self.names.len() < MAX_SHARED).then(|| self.names.insert_full(name.clone()).0)
    }
}

// The first byte of a value. Small whole numbers are one byte.
const NULL: u8 = 0;
const FALSE: u8 = 1;
const TRUE: u8 = 2;
const INT: u8 = 3;
const NEGATIVE: u8 = 4;
const UINT: u8 = 5;
const FLOAT: u8 = 6;
const TIME: u8 = 7;
const TEXT: u8 = 8;
const BYTES: u8 = 9;
const ARRAY: u8 = 10;
const DICT: u8 = 11;
const ALIVE: u8 = 12;
const PACKED: u8 = 13;
const SMALL: u8 = 64;

/// Writes one record.
pub(crate) struct Encoder<'e> {
    out: &'e mut Vec<u8>,
    tables: &'e mut Tables,
}

impl Encoder<'_> {
    /// Seven bits a byte, the lowest first.
    pub(crate) fn uint(&mut self, mut n: u64) {
        while n >= 0x80 {
            self.out.push(n as u8 | 0x80);
            n >>= 7;
        }
        self.out.push(n as u8);
    }

    pub(crate) fn bytes(&mut self, bytes: &[u8]) {
        self.uint(bytes.len() as u64);
        self.out.extend_from_slice(bytes);
    }

    pub(crate) fn row(&mut self, row: &Row) {
        self.cells(row.columns(), row.values());
    }

    /// A row that is one of many in a list of values.
    pub(crate) fn cells(&mut self, columns: &Arc<Columns>, values: &[Value]) {
        match self.tables.columns(columns) {
            Some(id) => self.uint(id as u64 + 1),
            None => {
                self.uint(0);
                self.uint(columns.len() as u64);
                columns.names().iter().for_each(|name| self.bytes(name.as_bytes()));
            }
        }
        values.iter().for_each(|value| self.value(value));
    }

    pub(crate) fn values(&mut self, values: &[Value]) {
        self.uint(values.len() as u64);
        values.iter().for_each(|value| self.value(value));
    }

    pub(crate) fn value(&mut self, value: &Value) {
        if let Value::Object(object) = value
            && let Some((packed, unpack)) = object.packed()
        {
            self.out.push(PACKED);
            let id = self.tables.unpack(unpack);
            self.uint(id as u64);
            return self.value(&packed);
        }
        match value {
            Value::Null => self.out.push(NULL),
            Value::Bool(false) => self.out.push(FALSE),
            Value::Bool(true) => self.out.push(TRUE),
            Value::Int(n @ 0..=191) => self.out.push(SMALL + *n as u8),
            Value::Int(n @ 0..) => {
                self.out.push(INT);
                self.uint(*n as u64);
            }
            Value::Int(n) => {
                self.out.push(NEGATIVE);
                self.uint(!*n as u64);
            }
            Value::UInt(n) => {
                self.out.push(UINT);
                self.uint(*n);
            }
            Value::Float(n) => {
                self.out.push(FLOAT);
                self.out.extend_from_slice(&n.to_bits().to_le_bytes());
            }
            Value::Time(time) => {
                self.out.push(TIME);
                self.out.extend_from_slice(&time.as_second().to_le_bytes());
                self.out.extend_from_slice(&time.subsec_nanosecond().to_le_bytes());
            }
            Value::Str(text) => {
                self.out.push(TEXT);
                self.bytes(text.as_bytes());
            }
            Value::Bytes(bytes) => {
                self.out.push(BYTES);
                self.bytes(bytes);
            }
            Value::Array(items) => {
                self.out.push(ARRAY);
                self.values(items);
            }
            Value::Dict(dict) => {
                self.out.push(DICT);
                self.uint(dict.len() as u64);
                for (key, value) in dict.iter() {
                    match self.tables.name(key) {
                        Some(id) => self.uint(id as u64 + 1),
                        None => {
                            self.uint(0);
                            self.bytes(key.as_bytes());
                        }
                    }
                    self.value(value);
                }
            }
            Value::Query(_) | Value::Object(_) if self.tables.alive.len() < MAX_ALIVE => {
                self.out.push(ALIVE);
                self.uint(self.tables.alive.len() as u64);
                self.tables.alive.push(value.clone());
            }
            // As JSON shows them.
            Value::Query(_) => self.value(&Value::from("<query>")),
            Value::Object(object) => match object.text() {
                Some(text) => self.value(&Value::Str(text)),
                None => {
                    let json = crate::json::parse(value.to_json().as_bytes());
                    self.value(&json.unwrap_or_default());
                }
            },
        }
    }
}

/// Reads one record.
pub(crate) struct Decoder<'d> {
    bytes: &'d [u8],
    at: usize,
    tables: &'d Tables,
}

impl Decoder<'_> {
    pub(crate) fn uint(&mut self) -> Option<u64> {
        let (mut n, mut shift) = (0u64, 0);
        loop {
            let byte = self.byte()?;
            n |= u64::from(byte & 0x7f).checked_shl(shift)?;
            if byte < 0x80 {
                return Some(n);
            }
            shift += 7;
        }
    }

    fn len(&mut self) -> Option<usize> {
        usize::try_from(self.uint()?).ok()
    }

    fn byte(&mut self) -> Option<u8> {
        let byte = self.bytes.get(self.at)?;
        self.at += 1;
        Some(*byte)
    }

    fn take(&mut self, n: usize) -> Option<&[u8]> {
        let bytes = self.bytes.get(self.at..self.at.checked_add(n)?)?;
        self.at += n;
        Some(bytes)
    }

    fn fixed<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.take(N)?.try_into().ok()
    }

    pub(crate) fn text(&mut self) -> Option<Arc<str>> {
        let n = self.len()?;
        std::str::from_utf8(self.take(n)?).ok().map(Arc::from)
    }

    pub(crate) fn row(&mut self) -> Option<Row> {
        let columns = match self.len()? {
            0 => {
                let n = self.len()?;
                let names: Option<Vec<Arc<str>>> = (0..n).map(|_| self.text()).collect();
                Columns::new(names?)
            }
            id => self.tables.columns.get(id - 1)?.clone(),
        };
        let values: Option<Vec<Value>> = (0..columns.len()).map(|_| self.value()).collect();
        Some(Row::new(&columns, values?))
    }

    pub(crate) fn values(&mut self) -> Option<Vec<Value>> {
        let n = self.len()?;
        (0..n).map(|_| self.value()).collect()
    }

    pub(crate) fn value(&mut self) -> Option<Value> {
        Some(match self.byte()? {
            NULL => Value::Null,
            FALSE => Value::Bool(false),
            TRUE => Value::Bool(true),
            INT => Value::Int(self.uint()? as i64),
            NEGATIVE => Value::Int(!self.uint()? as i64),
            UINT => Value::UInt(self.uint()?),
            FLOAT => Value::Float(f64::from_bits(u64::from_le_bytes(self.fixed()?))),
            TIME => {
                let seconds = i64::from_le_bytes(self.fixed()?);
                let nanos = i32::from_le_bytes(self.fixed()?);
                Value::Time(Timestamp::new(seconds, nanos).ok()?)
            }
            TEXT => Value::Str(self.text()?),
            BYTES => {
                let n = self.len()?;
                Value::Bytes(Arc::from(self.take(n)?))
            }
            ARRAY => {
                let items = self.values()?;
                Value::array(items)
            }
            DICT => {
                let n = self.len()?;
                let mut dict = Dict::with_capacity(n.min(self.bytes.len()));
                for _ in 0..n {
                    let key = match self.len()? {
                        0 => self.text()?,
                        id => self.tables.names.get_index(id - 1)?.clone(),
                    };
                    let value = self.value()?;
                    dict.set(key, value);
                }
                Value::dict(dict)
            }
            ALIVE => {
                let id = self.len()?;
                self.tables.alive.get(id)?.clone()
            }
            PACKED => {
                let unpack = *self.tables.unpack.get(self.len()?)?;
                unpack(&self.value()?)?
            }
            small @ SMALL.. => Value::Int(i64::from(small - SMALL)),
            _ => return None,
        })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use proptest::prelude::*;

    use super::super::held::Bounds;
    use super::*;
    use crate::accessor::{OsPath, PathKind};

    /// Says also what VQL's `=` does not see: types, the order of keys, the sign of zero.
    fn exact(value: &Value) -> String {
        match value {
            Value::Float(n) => format!("float {:x}", n.to_bits()),
            Value::Array(items) => format!("[{}]", items.iter().map(exact).collect::<Vec<_>>().join(",")),
            Value::Dict(dict) => dict.iter().map(|(k, v)| format!("{k:?}={};", exact(v))).collect(),
            Value::Bytes(bytes) => format!("{bytes:?}"),
            Value::Object(object) => format!("{object:?}"),
            other => format!("{} {other:?}", other.type_name()),
        }
    }

    pub(crate) fn any_value() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::Bool),
            any::<i64>().prop_map(Value::Int),
            (-300i64..300).prop_map(Value::Int),
            (i64::MAX as u64 + 1..=u64::MAX).prop_map(Value::UInt),
            any::<f64>().prop_map(Value::Float),
            ".{0,20}".prop_map(Value::from),
            prop::collection::vec(any::<u8>(), 0..20).prop_map(|b| Value::Bytes(Arc::from(b))),
            prop::collection::vec(any::<u8>(), 0..20).prop_map(|b| OsPath::new(PathKind::Ntfs, b).into()),
            (-377_705_023_201i64..=253_402_207_200, -999_999_999i32..1_000_000_000)
                .prop_map(|(s, n)| Value::time(s, n)),
        ];
        leaf.prop_recursive(4, 32, 6, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..6).prop_map(Value::array),
                prop::collection::vec((".{0,3}", inner), 0..6).prop_map(|entries| Value::dict(Dict::of(entries))),
            ]
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

        #[test]
        fn values_come_back_as_they_were(values in prop::collection::vec(any_value(), 1..20), big in 0usize..300_000) {
            let store = Arc::new(Store::new(Bounds::default()));
            let mut writer = TapeWriter::new(&store);
            let mut tracks = [Track::default(), Track::default()];
            let long = Value::from("x".repeat(big));
            for (i, value) in values.iter().enumerate() {
                let columns = Columns::new([format!("A{}", i % 3), "B".to_owned()]);
                let row = Row::new(&columns, vec![value.clone(), long.clone()]);
                writer.push(&mut tracks[i % 2], |out| out.row(&row)).unwrap();
            }
            let tape = writer.finish();
            for (t, track) in tracks.iter().enumerate() {
                let wanted: Vec<&Value> = values.iter().skip(t).step_by(2).collect();
                let mut reader = TapeReader::new(&tape, track);
                for (i, value) in wanted.iter().enumerate() {
                    let row = reader.next_row().unwrap().unwrap();
                    prop_assert_eq!(exact(&row.values()[0]), exact(value));
                    prop_assert_eq!(row.values()[1].as_str().unwrap().len(), big);
                    prop_assert_eq!(row.columns().names()[0].to_string(), format!("A{}", (i * 2 + t) % 3));
                }
                prop_assert!(reader.next_row().is_none());
                // Each alone.
                for (i, value) in wanted.iter().enumerate() {
                    let before = reader.skip_to(i as u64);
                    (0..before).for_each(|_| drop(reader.next_row()));
                    prop_assert_eq!(exact(&reader.next_row().unwrap().unwrap().values()[0]), exact(value));
                }
                prop_assert_eq!(reader.skip_to(wanted.len() as u64 + 5) > 0, true);
            }
        }
    }

    #[test]
    fn a_full_disk_keeps_what_was_written() {
        let store = Arc::new(Store::new(Bounds { disk: 300_000, ..Bounds::default() }));
        let mut writer = TapeWriter::new(&store);
        let mut track = Track::default();
        let row = Row::of([("A", Value::from("x".repeat(1000)))]);
        let error = (0..10_000).find_map(|_| writer.push(&mut track, |out| out.row(&row)).err()).unwrap();
        assert_eq!(error.to_string(), "the 293 KiB that a query may fill on disk are full");
        let records = track.records();
        assert!(records > 200, "{records}");
        let tape = writer.finish();
        let mut reader = TapeReader::new(&tape, &track);
        for _ in 0..records {
            assert_eq!(reader.next_row().unwrap().unwrap().to_json(), row.to_json());
        }
        assert!(reader.next_row().is_none());
        drop(tape);
        assert!(store.take_disk(300_000).is_ok(), "what a file took is given back with it");
    }

    #[test]
    fn a_folder_that_is_not_there_is_named() {
        let folder = PathBuf::from("/no/such/folder");
        let store = Arc::new(Store::new(Bounds { folder: Some(folder), ..Bounds::default() }));
        let mut writer = TapeWriter::new(&store);
        let mut track = Track::default();
        writer.push(&mut track, |out| out.value(&Value::Null)).unwrap();
        let error = writer.end(&mut track).unwrap_err().to_string();
        assert!(error.starts_with("cannot write to a file in /no/such/folder: "), "{error}");
    }
}
