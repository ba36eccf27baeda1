//! A result set: the rows of one source as JSONL, and beside it an index of fixed-width records, one for each batch.
//!
//! The index says what counts. At opening, data that no record covers and records whose data is not what was written
//! are cut off; what remains is what was acknowledged, and perhaps a batch that was not: agents send from the row that
//! the hub then names.

use std::{
    collections::HashMap,
    fs::{File, OpenOptions},
    io::{self, ErrorKind},
    os::unix::fs::FileExt,
    path::Path,
};

use protocol::ClientId;

use super::{Durable, SetPaths, create_directory};

/// Bytes of an index record.
pub(crate) const RECORD: usize = 48;

/// How far back from the end data is read again at opening. Older data was flushed before its acknowledgement, and
/// nothing newer was written before that: only the last group can be torn.
const VERIFY: u64 = 128 << 20;

/// The most that one page of rows holds, beyond its first row.
pub(crate) const PAGE_BYTES: usize = 4 << 20;

/// One batch in the index, little-endian, in the order of the fields, and then a CRC-32 of the record itself.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Record {
    pub(crate) client: ClientId,
    pub(crate) first_row: u64,
    /// Where the batch begins in the data, and how long it is there.
    pub(crate) offset: u64,
    /// Counts the batches of a hunt's sources in the order in which they came.
    pub(crate) arrival: u64,
    pub(crate) len: u32,
    pub(crate) rows: u32,
    /// CRC-32 of the data.
    pub(crate) crc: u32,
}

impl Record {
    fn encode(&self) -> [u8; RECORD] {
        let mut out = [0; RECORD];
        out[..8].copy_from_slice(&self.client.0.to_le_bytes());
        out[8..16].copy_from_slice(&self.first_row.to_le_bytes());
        out[16..24].copy_from_slice(&self.offset.to_le_bytes());
        out[24..32].copy_from_slice(&self.arrival.to_le_bytes());
        out[32..36].copy_from_slice(&self.len.to_le_bytes());
        out[36..40].copy_from_slice(&self.rows.to_le_bytes());
        out[40..44].copy_from_slice(&self.crc.to_le_bytes());
        let check = crc32fast::hash(&out[..44]);
        out[44..].copy_from_slice(&check.to_le_bytes());
        out
    }

    /// None where the bytes were not written as a record, or not in full.
    fn decode(bytes: &[u8]) -> Option<Self> {
        let bytes: &[u8; RECORD] = bytes.try_into().ok()?;
        let long = |at: usize| bytes[at..].first_chunk().map(|b| u64::from_le_bytes(*b));
        let short = |at: usize| bytes[at..].first_chunk().map(|b| u32::from_le_bytes(*b));
        if short(44)? != crc32fast::hash(&bytes[..44]) {
            return None;
        }
        Some(Self {
            client: ClientId(long(0)?),
            first_row: long(8)?,
            offset: long(16)?,
            arrival: long(24)?,
            len: short(32)?,
            rows: short(36)?,
            crc: short(40)?,
        })
    }

    fn end(&self) -> u64 {
        self.offset.saturating_add(u64::from(self.len))
    }
}

/// How much of something is stored.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) struct Tail {
    /// Rows, which is also the next row's number.
    pub(crate) rows: u64,
    pub(crate) bytes: u64,
}

impl Tail {
    fn add(&mut self, record: &Record) {
        self.rows += u64::from(record.rows);
        self.bytes += u64::from(record.len);
    }
}

/// An open result set, for the one thread that writes it.
#[derive(Debug)]
pub(crate) struct ResultSet {
    data: File,
    index: File,
    /// What is known to be on disk.
    data_len: u64,
    index_len: u64,
    /// Stored and pending rows of each client.
    tails: HashMap<ClientId, Tail>,
    total: Tail,
    pending_data: Vec<u8>,
    pending: Vec<Record>,
    /// Its directory has entries that are not yet flushed.
    new: bool,
}

impl ResultSet {
    /// Opens or makes the files, and cuts off what a crash left behind.
    pub(crate) fn open(paths: &SetPaths) -> io::Result<Self> {
        let new = !paths.index.exists();
        if new && let Some(parent) = paths.data.parent() {
            create_directory(parent)?;
        }
        let open = |path: &Path| OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path);
        let mut set = Self {
            data: open(&paths.data)?,
            index: open(&paths.index)?,
            data_len: 0,
            index_len: 0,
            tails: HashMap::new(),
            total: Tail::default(),
            pending_data: Vec::new(),
            pending: Vec::new(),
            new,
        };
        set.recover()?;
        Ok(set)
    }

    fn recover(&mut self) -> io::Result<()> {
        let (data_len, index_len) = (self.data.metadata()?.len(), self.index.metadata()?.len());
        let mut records = decode_index(&read_range(&self.index, 0, index_len)?);
        let mut tails: HashMap<ClientId, Tail> = HashMap::new();
        let mut end = 0;
        let mut good = 0;
        for record in &records {
            let tail = tails.entry(record.client).or_default();
            if record.offset != end || record.end() > data_len || record.first_row != tail.rows {
                break;
            }
            tail.add(record);
            end = record.end();
            good += 1;
        }
        records.truncate(good);
        // The newest data may not be what was written: find the first record, in the part that can be torn, that lies.
        let from = records.iter().rposition(|record| end - record.offset > VERIFY).map_or(0, |place| place + 1);
        if let Some(bad) = first_torn(&self.data, &records[from..])? {
            records.truncate(from + bad);
        }
        self.tails.clear();
        self.total = Tail::default();
        self.data_len = 0;
        for record in &records {
            self.tails.entry(record.client).or_default().add(record);
            self.total.add(record);
            self.data_len = record.end();
        }
        self.index_len = (records.len() * RECORD) as u64;
        self.cut(data_len, index_len)
    }

    fn cut(&self, data_len: u64, index_len: u64) -> io::Result<()> {
        if index_len != self.index_len {
            self.index.set_len(self.index_len)?;
            self.index.sync_all()?;
        }
        if data_len != self.data_len {
            self.data.set_len(self.data_len)?;
            self.data.sync_all()?;
        }
        Ok(())
    }

    /// What is stored or pending of a client.
    pub(crate) fn tail(&self, client: ClientId) -> Tail {
        self.tails.get(&client).copied().unwrap_or_default()
    }

    /// What is stored or pending of all.
    pub(crate) fn total(&self) -> Tail {
        self.total
    }

    pub(crate) fn tails(&self) -> impl Iterator<Item = (ClientId, Tail)> {
        self.tails.iter().map(|(client, tail)| (*client, *tail))
    }

    pub(crate) fn has_pending(&self) -> bool {
        !self.pending.is_empty()
    }

    /// Takes the client's next `rows`, which `fill` appends as whole lines; they wait for [`Self::write`]. Nothing is
    /// taken if `fill` fails.
    pub(crate) fn append<E>(
        &mut self,
        client: ClientId,
        rows: u32,
        fill: impl FnOnce(&mut Vec<u8>) -> Result<(), E>,
    ) -> Result<u64, E> {
        let start = self.pending_data.len();
        fill(&mut self.pending_data)?;
        let data = &self.pending_data[start..];
        let tail = self.tails.entry(client).or_default();
        let record = Record {
            client,
            first_row: tail.rows,
            offset: self.data_len + start as u64,
            arrival: 0,
            // A batch is at most 4 MiB, and what is spliced in keeps it far below 4 GiB.
            len: data.len() as u32,
            rows,
            crc: crc32fast::hash(data),
        };
        tail.add(&record);
        self.total.add(&record);
        self.pending.push(record);
        Ok(u64::from(record.len))
    }

    /// Writes what waits; `arrival` numbers the batches. What has to be flushed is added to `durable`.
    ///
    /// After an error here, or in flushing, [`Self::roll_back`] has to follow.
    pub(crate) fn write(
        &mut self,
        mut arrival: impl FnMut() -> u64,
        durable: &mut Durable,
        paths: &SetPaths,
    ) -> io::Result<Vec<Record>> {
        let mut records = std::mem::take(&mut self.pending);
        let mut encoded = Vec::with_capacity(records.len() * RECORD);
        for record in &mut records {
            record.arrival = arrival();
            encoded.extend_from_slice(&record.encode());
        }
        self.data.write_all_at(&self.pending_data, self.data_len)?;
        self.index.write_all_at(&encoded, self.index_len)?;
        durable.file(&self.data)?;
        durable.file(&self.index)?;
        if self.new {
            durable.directories_of(&paths.data)?;
        }
        Ok(records)
    }

    /// What [`Self::write`] wrote is on disk.
    pub(crate) fn flushed(&mut self, records: &[Record]) {
        if let Some(last) = records.last() {
            self.data_len = last.end();
            self.index_len += (records.len() * RECORD) as u64;
        }
        self.new = false;
        self.pending_data.clear();
        // One large batch must not be paid for as long as the set is open.
        self.pending_data.shrink_to(256 << 10);
    }

    /// Forgets all that is not known to be on disk, also in the files.
    pub(crate) fn roll_back(&mut self) -> io::Result<()> {
        self.pending.clear();
        self.pending_data.clear();
        self.index.set_len(self.index_len)?;
        self.data.set_len(self.data_len)?;
        self.recover()
    }

    /// How many batches are on disk.
    pub(crate) fn batches(&self) -> u64 {
        self.index_len / RECORD as u64
    }
}

/// The place of the first record whose data is not what its checksum says.
fn first_torn(data: &File, records: &[Record]) -> io::Result<Option<usize>> {
    let mut buffer = Vec::new();
    for (place, record) in records.iter().enumerate() {
        buffer.resize(record.len as usize, 0);
        data.read_exact_at(&mut buffer, record.offset)?;
        if crc32fast::hash(&buffer) != record.crc {
            return Ok(Some(place));
        }
    }
    Ok(None)
}

fn read_range(file: &File, from: u64, to: u64) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; to.saturating_sub(from) as usize];
    file.read_exact_at(&mut bytes, from)?;
    Ok(bytes)
}

/// All records up to the first that is none.
fn decode_index(bytes: &[u8]) -> Vec<Record> {
    bytes.chunks_exact(RECORD).map_while(Record::decode).collect()
}

/// The index of a result set as it is now, for readers; empty if there is no such set.
pub(crate) fn read_index(paths: &SetPaths) -> io::Result<Vec<Record>> {
    match std::fs::read(&paths.index) {
        Ok(bytes) => Ok(decode_index(&bytes)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(error),
    }
}

/// A run of rows in a data file.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Piece {
    pub(crate) offset: u64,
    pub(crate) len: u32,
    pub(crate) rows: u32,
}

/// Collects a page of rows from pieces.
#[derive(Debug)]
pub(crate) struct Page {
    skip: u64,
    left: u32,
    /// Whole lines.
    pub(crate) jsonl: String,
}

impl Page {
    /// `skip` rows are passed over, then at most `limit` taken.
    pub(crate) fn new(skip: u64, limit: u32) -> Self {
        Self { skip, left: limit, jsonl: String::new() }
    }

    pub(crate) fn is_full(&self) -> bool {
        self.left == 0
    }

    /// Takes what is wanted of the next piece.
    pub(crate) fn take(&mut self, data: &File, piece: Piece) -> io::Result<()> {
        if self.skip >= u64::from(piece.rows) {
            self.skip -= u64::from(piece.rows);
            return Ok(());
        }
        let bytes = read_range(data, piece.offset, piece.offset + u64::from(piece.len))?;
        let text = str::from_utf8(&bytes).map_err(|_| io::Error::new(ErrorKind::InvalidData, "rows are not UTF-8"))?;
        for line in text.split_inclusive('\n') {
            if self.skip > 0 {
                self.skip -= 1;
                continue;
            }
            if self.left == 0 {
                break;
            }
            if !self.jsonl.is_empty() && self.jsonl.len() + line.len() > PAGE_BYTES {
                self.left = 0;
                break;
            }
            self.jsonl.push_str(line);
            self.left -= 1;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::fs;

    use super::*;

    const A: ClientId = ClientId(1);
    const B: ClientId = ClientId(2);

    fn paths(directory: &Path) -> SetPaths {
        SetPaths { data: directory.join("s/0.jsonl"), index: directory.join("s/0.index") }
    }

    fn line(client: ClientId, row: u64) -> String {
        format!("{{\"c\":{},\"row\":{row}}}\n", client.0)
    }

    /// Stores rows `.. upto` of the client in batches of `size`, as an agent does that is told from where.
    fn send(set: &mut ResultSet, paths: &SetPaths, client: ClientId, upto: u64, size: u64) {
        while set.tail(client).rows < upto {
            let first = set.tail(client).rows;
            let next = (first + size).min(upto);
            set.append(client, (next - first) as u32, |out| {
                (first..next).for_each(|row| out.extend_from_slice(line(client, row).as_bytes()));
                Ok::<(), ()>(())
            })
            .unwrap();
            // These tests say what is torn: flushing would only make them slow.
            let records = set.write(|| 0, &mut Durable::default(), paths).unwrap();
            set.flushed(&records);
        }
    }

    fn assert_each_once(paths: &SetPaths, rows: u64) {
        let text = fs::read_to_string(&paths.data).unwrap();
        for client in [A, B] {
            let needle = format!("\"c\":{},", client.0);
            let got: Vec<&str> = text.lines().filter(|line| line.contains(&needle)).collect();
            let expected: Vec<String> = (0..rows).map(|row| line(client, row).trim_end().to_owned()).collect();
            assert_eq!(got, expected);
        }
        assert_eq!(text.lines().count() as u64, 2 * rows);
    }

    #[test]
    fn torn_at_any_byte_each_row_is_there_once_after_sending_again() {
        let original = tempfile::tempdir().unwrap();
        let from = paths(original.path());
        let mut set = ResultSet::open(&from).unwrap();
        for upto in [2, 5, 6] {
            send(&mut set, &from, A, upto, 2);
            send(&mut set, &from, B, upto, 3);
        }
        assert_each_once(&from, 6);
        let (data, index) = (fs::read(&from.data).unwrap(), fs::read(&from.index).unwrap());
        let scratch = tempfile::tempdir().unwrap();
        let to = paths(scratch.path());
        create_directory(to.data.parent().unwrap()).unwrap();
        let check = |data: &[u8], index: &[u8]| {
            fs::write(&to.data, data).unwrap();
            fs::write(&to.index, index).unwrap();
            let mut set = ResultSet::open(&to).unwrap();
            assert!(set.total().rows <= 12);
            send(&mut set, &to, A, 6, 4);
            send(&mut set, &to, B, 6, 4);
            assert_each_once(&to, 6);
        };
        for cut in 0..=data.len() {
            check(&data[..cut], &index);
            // The size was there before the bytes were: zeros in place of data.
            let mut zeros = data.clone();
            zeros[cut..].fill(0);
            check(&zeros, &index);
        }
        for cut in 0..=index.len() {
            check(&data, &index[..cut]);
            let mut zeros = index.clone();
            zeros[cut..].fill(0);
            check(&data, &zeros);
        }
    }

    #[test]
    fn what_was_not_flushed_is_rolled_back() {
        let directory = tempfile::tempdir().unwrap();
        let paths = paths(directory.path());
        let mut set = ResultSet::open(&paths).unwrap();
        send(&mut set, &paths, A, 3, 3);
        let refused = set.append(A, 1, |out| {
            out.extend_from_slice(b"{}\n");
            Ok::<(), ()>(())
        });
        assert!(refused.is_ok());
        set.write(|| 0, &mut Durable::default(), &paths).unwrap();
        set.roll_back().unwrap();
        assert_eq!(set.tail(A).rows, 3);
        send(&mut set, &paths, A, 6, 3);
        send(&mut set, &paths, B, 6, 3);
        assert_each_once(&paths, 6);
    }

    #[test]
    fn pages_skip_and_stop() {
        let directory = tempfile::tempdir().unwrap();
        let paths = paths(directory.path());
        let mut set = ResultSet::open(&paths).unwrap();
        send(&mut set, &paths, A, 10, 3);
        let data = File::open(&paths.data).unwrap();
        for (skip, limit) in [(0, 1), (0, 100), (2, 2), (9, 5), (10, 5), (4, 0)] {
            let mut page = Page::new(skip, limit);
            for record in read_index(&paths).unwrap() {
                page.take(&data, Piece { offset: record.offset, len: record.len, rows: record.rows }).unwrap();
            }
            let expected: String = (skip..10).take(limit as usize).map(|row| line(A, row)).collect();
            assert_eq!(page.jsonl, expected, "{skip} {limit}");
        }
    }
}
