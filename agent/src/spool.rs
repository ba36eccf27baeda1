//! The bounded queue, on disk, of what flows made and the hub has not stored yet.
//!
//! # Layout
//! One directory (0700) per flow, named by its id:
//! ```text
//! <spool>/lock                   held while an agent uses the spool
//! <spool>/F.…/flow.json          the request; a flow without it never began
//! <spool>/F.…/00000001.seg …     records in order
//! ```
//! A record is its length (4 bytes, little endian, of what follows the checksum), a CRC-32 of that, the length of its
//! head (4 bytes), the head as JSON, and the data. Every segment starts with a snapshot of how far each stream is, so
//! that segments whose records are all stored can be deleted.
//!
//! # Recovery
//! At start each segment is read through; from the first record that is short or does not match its checksum, the
//! rest of the flow's records are cut off. Rows lost that way are made again when the flow runs again.
//!
//! # No flush
//! Nothing here waits for the disk. A killed agent loses nothing, because the system still has what was written; a
//! loss of power may cost the last seconds, whose rows the next run makes again. What must not be lost is what people
//! see, and that the hub flushes before it says "stored". A flush for each batch would cost every endpoint its disk's
//! time for no more than that.
//!
//! Without a directory the queue is in memory, with the same bounds: for a swarm of agents in one process.

use std::{
    collections::{BTreeMap, VecDeque},
    fs::{self, File, OpenOptions},
    io::{self, Read, Seek, SeekFrom, Write},
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use parking_lot::{Condvar, Mutex};
use protocol::{
    FlowId,
    collection::{FlowEnd, FlowRequest, StreamId},
    message::{Encoding, RowBatch, UploadEnd},
};
use serde::{Deserialize, Serialize};

/// Batches shorter than this are not worth the compressor's start.
const COMPRESS_FROM: usize = 4 << 10;

/// A segment whose records are all stored is replaced once it is this long, and any segment is closed at
/// [`SpoolConfig::segment_bytes`].
const IDLE_SEGMENT: u64 = 64 << 10;

/// Nothing longer than this is ever written as one record.
const MAX_RECORD: usize = RowBatch::MAX_BYTES + (64 << 10);

const HEADER: usize = 8;

/// Why the spool cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum SpoolError {
    #[error("the spool {path} cannot be used: {source}", path = .path.display())]
    Io { path: PathBuf, source: io::Error },
    #[error("the spool {path} is in use by another agent: stop that one, or give this one a directory of its own", path = .path.display())]
    InUse { path: PathBuf },
}

/// The whole spool: its directory and its bound.
#[derive(Debug)]
pub(crate) struct Spool {
    dir: Option<PathBuf>,
    usage: Arc<Usage>,
    segment_bytes: u64,
    _lock: Option<File>,
}

/// A flow found in the spool at start.
#[derive(Debug)]
pub(crate) struct Recovered {
    pub(crate) request: FlowRequest,
    pub(crate) queue: FlowSpool,
}

impl Spool {
    /// Opens the spool and reads what an earlier agent left in it.
    pub(crate) fn open(dir: Option<PathBuf>, max_bytes: u64) -> Result<(Self, Vec<Recovered>), SpoolError> {
        let usage = Arc::new(Usage { bytes: Mutex::new(0), changed: Condvar::new(), max: max_bytes });
        let segment_bytes = (max_bytes / 16).clamp(4 << 10, 1 << 20);
        let Some(dir) = dir else {
            return Ok((Self { dir: None, usage, segment_bytes, _lock: None }, Vec::new()));
        };
        let failed = |source| SpoolError::Io { path: dir.clone(), source };
        create_private_dir(&dir).map_err(failed)?;
        let lock =
            OpenOptions::new().create(true).write(true).truncate(false).open(dir.join("lock")).map_err(failed)?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(fs::TryLockError::WouldBlock) => return Err(SpoolError::InUse { path: dir }),
            Err(fs::TryLockError::Error(source)) => return Err(failed(source)),
        }
        let spool = Self { dir: Some(dir.clone()), usage, segment_bytes, _lock: Some(lock) };
        let mut recovered = Vec::new();
        for entry in fs::read_dir(&dir).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            let Some(id) = entry.file_name().to_str().and_then(|name| name.parse::<FlowId>().ok()) else { continue };
            match spool.recover(id, &entry.path()) {
                Ok(flow) => recovered.push(flow),
                Err(error) => {
                    // The hub still knows of the flow, and offers it again.
                    tracing::warn!(flow = %id, %error, "a flow in the spool cannot be read and is dropped");
                    let _ = fs::remove_dir_all(entry.path());
                }
            }
        }
        recovered.sort_by_key(|flow| flow.request.flow_id.to_string());
        Ok((spool, recovered))
    }

    /// The queue of a new flow.
    pub(crate) fn create(&self, request: &FlowRequest) -> io::Result<FlowSpool> {
        let Some(dir) = &self.dir else { return Ok(self.queue(None)) };
        let dir = dir.join(request.flow_id.to_string());
        create_private_dir(&dir)?;
        let temporary = dir.join("flow.tmp");
        fs::write(&temporary, serde_json::to_vec(request)?)?;
        fs::rename(&temporary, dir.join("flow.json"))?;
        Ok(self.queue(Some(dir)))
    }

    /// A queue that never leaves memory: for a flow that could not be begun on disk.
    pub(crate) fn memory(&self) -> FlowSpool {
        self.queue(None)
    }

    fn queue(&self, dir: Option<PathBuf>) -> FlowSpool {
        FlowSpool {
            dir,
            usage: self.usage.clone(),
            segment_bytes: self.segment_bytes,
            records: BTreeMap::new(),
            order: BTreeMap::new(),
            next_seq: 0,
            live_bytes: 0,
            segments: VecDeque::new(),
            next_segment: 1,
            writer: None,
            reader: None,
            state: Snapshot::default(),
            stored: BTreeMap::new(),
        }
    }

    fn recover(&self, id: FlowId, dir: &Path) -> io::Result<Recovered> {
        let request: FlowRequest = serde_json::from_slice(&fs::read(dir.join("flow.json"))?)?;
        if request.flow_id != id {
            return Err(io::Error::other(format!("flow.json is of {}", request.flow_id)));
        }
        let mut numbers: Vec<u64> = fs::read_dir(dir)?
            .filter_map(|entry| entry.ok()?.file_name().to_str()?.strip_suffix(".seg")?.parse().ok())
            .collect();
        numbers.sort_unstable();
        let mut queue = self.queue(Some(dir.to_owned()));
        let mut torn = false;
        for number in numbers {
            let path = segment_path(dir, number);
            if torn {
                fs::remove_file(path)?;
                continue;
            }
            let mut file = OpenOptions::new().read(true).write(true).open(&path)?;
            let len = file.metadata()?.len();
            let whole = queue.read_segment(number, &mut io::BufReader::new(&mut file))?;
            if whole < len {
                tracing::info!(flow = %id, segment = number, cut = len - whole, "a torn tail in the spool was cut");
                torn = true;
                file.set_len(whole)?;
            }
            if whole == 0 {
                torn = true;
                fs::remove_file(path)?;
                continue;
            }
            queue.segments.push_back(Segment { number, bytes: whole, live: 0 });
            queue.usage.add(whole);
            queue.next_segment = number + 1;
        }
        for record in queue.records.values() {
            if let Some(segment) = queue.segments.iter_mut().find(|s| s.number == record.segment) {
                segment.live += 1;
            }
        }
        // What is written next starts a segment of its own: appending behind a cut would need the file open for good.
        queue.release_segments();
        Ok(Recovered { request, queue })
    }
}

/// Bytes that all flows together hold, and who waits for some of them to go.
#[derive(Debug)]
pub(crate) struct Usage {
    bytes: Mutex<u64>,
    changed: Condvar,
    max: u64,
}

impl Usage {
    fn add(&self, bytes: u64) {
        *self.bytes.lock() += bytes;
    }

    fn remove(&self, bytes: u64) {
        let mut held = self.bytes.lock();
        *held = held.saturating_sub(bytes);
        drop(held);
        self.changed.notify_all();
    }

    pub(crate) fn is_full(&self) -> bool {
        *self.bytes.lock() >= self.max
    }

    /// Waits until something was removed, or somebody [`wake`](Self::wake)s, or a moment has passed.
    pub(crate) fn wait(&self) {
        let mut held = self.bytes.lock();
        if *held >= self.max {
            self.changed.wait_for(&mut held, Duration::from_millis(50));
        }
    }

    pub(crate) fn wake(&self) {
        self.changed.notify_all();
    }
}

/// How far one stream of rows is.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Serialize)]
pub(crate) struct Made {
    pub(crate) rows: u64,
    /// [`chain`] over the rows; not kept for the log, whose lines have times in them.
    pub(crate) hash: u64,
}

/// How far one upload is.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
pub(crate) struct MadeUpload {
    pub(crate) name: String,
    pub(crate) size: u64,
    /// [`chain`] over the chunks.
    pub(crate) hash: u64,
    /// SHA-256 in hex, once it is whole.
    pub(crate) sha256: Option<String>,
}

/// What a flow has made so far; at the head of each segment.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
pub(crate) struct Snapshot {
    /// How often the flow was started here.
    pub(crate) runs: u32,
    pub(crate) streams: BTreeMap<StreamId, Made>,
    pub(crate) uploads: BTreeMap<u32, MadeUpload>,
    pub(crate) end: Option<FlowEnd>,
}

/// What a record that waits for the hub is.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Kind {
    Rows { stream: StreamId, first_row: u64, rows: u32, encoding: Encoding },
    Chunk { upload: u32, offset: u64, name: String, end: Option<UploadEnd> },
}

/// What a record is part of: its records are made, and stored by the hub, in order.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
enum Line {
    Stream(StreamId),
    Upload(u32),
}

impl Kind {
    fn line(&self) -> Line {
        match self {
            Self::Rows { stream, .. } => Line::Stream(*stream),
            Self::Chunk { upload, .. } => Line::Upload(*upload),
        }
    }
}

#[derive(Clone, Debug)]
struct Record {
    kind: Kind,
    /// Length of the data.
    len: u32,
    segment: u64,
    /// Where in the segment the data starts.
    at: u64,
    /// The data itself, in memory.
    memory: Option<Bytes>,
}

#[derive(Debug)]
struct Segment {
    number: u64,
    bytes: u64,
    /// Records that wait for the hub.
    live: usize,
}

/// One flow's queue. Records have numbers (`seq`) that only grow.
#[derive(Debug)]
pub(crate) struct FlowSpool {
    dir: Option<PathBuf>,
    usage: Arc<Usage>,
    segment_bytes: u64,
    records: BTreeMap<u64, Record>,
    /// The records of each stream and upload, in their order.
    order: BTreeMap<Line, VecDeque<u64>>,
    next_seq: u64,
    live_bytes: u64,
    segments: VecDeque<Segment>,
    next_segment: u64,
    /// The last segment, while it is written to.
    writer: Option<File>,
    reader: Option<(u64, File)>,
    state: Snapshot,
    /// The next row that the hub misses, by stream; may be ahead of what is here after a loss of power.
    stored: BTreeMap<StreamId, u64>,
}

/// How a record begins on disk, before its data.
#[derive(Deserialize, Serialize)]
enum Entry {
    /// With the earlier segments that were there and how long they were, so that one that lost its end is known.
    Snapshot {
        state: Snapshot,
        segments: Vec<(u64, u64)>,
    },
    Run,
    Rows {
        stream: StreamId,
        first_row: u64,
        rows: u32,
        zstd: bool,
        hash: u64,
    },
    Chunk {
        upload: u32,
        offset: u64,
        name: String,
        hash: u64,
        end: Option<UploadEnd>,
    },
    End(FlowEnd),
}

impl FlowSpool {
    pub(crate) fn usage(&self) -> &Arc<Usage> {
        &self.usage
    }

    pub(crate) fn made(&self) -> &Snapshot {
        &self.state
    }

    /// Bytes that wait for the hub.
    pub(crate) fn live_bytes(&self) -> u64 {
        self.live_bytes
    }

    /// Appends rows of a stream: JSONL, at most [`RowBatch::MAX_BYTES`]. `hash` is the chain after them.
    pub(crate) fn append_rows(&mut self, stream: StreamId, rows: u32, jsonl: &[u8], hash: u64) -> io::Result<()> {
        let first_row = self.state.streams.get(&stream).map_or(0, |made| made.rows);
        let after = first_row + u64::from(rows);
        if self.stored.get(&stream).copied().unwrap_or(0) < after {
            let compressed = (jsonl.len() >= COMPRESS_FROM)
                .then(|| zstd::bulk::compress(jsonl, 1))
                .transpose()?
                .filter(|short| short.len() < jsonl.len() / 10 * 9);
            let encoding = if compressed.is_some() { Encoding::Zstd } else { Encoding::Plain };
            let entry = Entry::Rows { stream, first_row, rows, zstd: compressed.is_some(), hash };
            let kind = Kind::Rows { stream, first_row, rows, encoding };
            self.append(&entry, Some(kind), compressed.as_deref().unwrap_or(jsonl))?;
        } else {
            // The hub has them already: they were lost here, not there.
            self.append(&Entry::Rows { stream, first_row, rows, zstd: false, hash }, None, &[])?;
        }
        self.state.streams.insert(stream, Made { rows: after, hash });
        Ok(())
    }

    /// Appends the next chunk of an upload, the last one with `end`.
    pub(crate) fn append_chunk(
        &mut self,
        upload: u32,
        name: &str,
        data: &[u8],
        end: Option<UploadEnd>,
    ) -> io::Result<()> {
        let made = self.state.uploads.entry(upload).or_default().clone();
        let (offset, hash) = (made.size, chain(made.hash, data));
        let entry = Entry::Chunk { upload, offset, name: name.to_owned(), hash, end: end.clone() };
        // On the wire the name is only needed on the first chunk and the last.
        let sent_name = if offset == 0 || end.is_some() { name.to_owned() } else { String::new() };
        let sha256 = end.as_ref().map(|end| end.sha256.clone());
        self.append(&entry, Some(Kind::Chunk { upload, offset, name: sent_name, end }), data)?;
        let size = offset + data.len() as u64;
        self.state.uploads.insert(upload, MadeUpload { name: name.to_owned(), size, hash, sha256 });
        Ok(())
    }

    /// Notes that the flow starts, or starts again.
    pub(crate) fn append_run(&mut self) -> io::Result<()> {
        self.append(&Entry::Run, None, &[])?;
        self.state.runs += 1;
        Ok(())
    }

    /// Notes the end. It holds in memory also when it could not be written.
    pub(crate) fn append_end(&mut self, end: FlowEnd) -> io::Result<()> {
        // Part of an upload is of no use to anyone.
        let unfinished: Vec<u32> =
            self.state.uploads.iter().filter(|(_, made)| made.sha256.is_none()).map(|(upload, _)| *upload).collect();
        for upload in unfinished {
            self.drop_front(Line::Upload(upload), |_| true);
        }
        self.state.uploads.retain(|_, made| made.sha256.is_some());
        let written = self.append(&Entry::End(end.clone()), None, &[]);
        self.state.end = Some(end);
        self.writer = None;
        written
    }

    /// The first record from `seq` on: its number, what it is, and its length.
    pub(crate) fn record_from(&self, seq: u64) -> Option<(u64, &Kind, u32)> {
        self.records.range(seq..).next().map(|(seq, record)| (*seq, &record.kind, record.len))
    }

    /// Bytes and number of the records before `seq` that the hub has not stored.
    pub(crate) fn waiting_before(&self, seq: u64) -> (u64, usize) {
        self.records.range(..seq).fold((0, 0), |(bytes, n), (_, record)| (bytes + u64::from(record.len), n + 1))
    }

    /// The data of a record.
    pub(crate) fn read(&mut self, seq: u64) -> io::Result<Bytes> {
        let Some(record) = self.records.get(&seq) else { return Err(io::ErrorKind::NotFound.into()) };
        if let Some(data) = &record.memory {
            return Ok(data.clone());
        }
        let Some(dir) = &self.dir else { return Err(io::ErrorKind::NotFound.into()) };
        if self.reader.as_ref().is_none_or(|(number, _)| *number != record.segment) {
            self.reader = Some((record.segment, File::open(segment_path(dir, record.segment))?));
        }
        let mut data = vec![0; record.len as usize];
        if let Some((_, file)) = &mut self.reader {
            file.seek(SeekFrom::Start(record.at))?;
            file.read_exact(&mut data)?;
        }
        // Many flows may wait for the hub with all sent: none keeps a file open for that.
        if self.records.last_key_value().is_some_and(|(last, _)| *last == seq) {
            self.reader = None;
        }
        Ok(data.into())
    }

    /// The hub has every row of the stream before `next_row`.
    pub(crate) fn stored(&mut self, stream: StreamId, next_row: u64) {
        let known = self.stored.entry(stream).or_default();
        *known = next_row.max(*known);
        let next_row = *known;
        self.drop_front(Line::Stream(stream), |record| {
            matches!(record.kind, Kind::Rows { first_row, rows, .. } if first_row + u64::from(rows) <= next_row)
        });
    }

    /// The hub has every byte of the upload before `stored`, or all of it.
    pub(crate) fn upload_stored(&mut self, upload: u32, stored: u64, done: bool) {
        self.drop_front(Line::Upload(upload), |record| {
            // The last chunk also carries the end, which is stored only when all is done.
            matches!(&record.kind, Kind::Chunk { offset, end, .. }
                if done || (end.is_none() && offset + u64::from(record.len) <= stored))
        });
    }

    /// Forgets what waits; what was made counts only as far as the hub has it. For a spool that cannot be read.
    pub(crate) fn give_up(&mut self) {
        for line in self.order.keys().copied().collect::<Vec<_>>() {
            self.drop_front(line, |_| true);
        }
        for (stream, made) in &mut self.state.streams {
            made.rows = made.rows.min(self.stored.get(stream).copied().unwrap_or(0));
        }
        self.state.uploads.clear();
    }

    /// Deletes the flow's files.
    pub(crate) fn remove(&mut self) {
        self.writer = None;
        self.reader = None;
        self.records.clear();
        self.order.clear();
        self.usage.remove(self.held());
        self.live_bytes = 0;
        self.segments.clear();
        if let Some(dir) = self.dir.take()
            && let Err(error) = fs::remove_dir_all(&dir)
        {
            tracing::warn!(path = %dir.display(), %error, "a flow's spool cannot be deleted");
        }
    }

    /// What this flow takes of the bound.
    fn held(&self) -> u64 {
        if self.dir.is_some() { self.segments.iter().map(|segment| segment.bytes).sum() } else { self.live_bytes }
    }

    fn append(&mut self, entry: &Entry, kind: Option<Kind>, data: &[u8]) -> io::Result<()> {
        let len = data.len() as u32;
        let (segment, at, memory) = if self.dir.is_some() {
            let head = serde_json::to_vec(entry)?;
            self.ready_segment()?;
            let at = self.write(&head, data)?;
            (self.segments.back().map_or(0, |segment| segment.number), at, None)
        } else {
            if kind.is_some() {
                self.usage.add(u64::from(len));
            }
            (0, 0, Some(Bytes::copy_from_slice(data)))
        };
        if let Some(kind) = kind {
            self.insert(Record { kind, len, segment, at, memory });
            if self.dir.is_some()
                && let Some(segment) = self.segments.back_mut()
            {
                segment.live += 1;
            }
        }
        Ok(())
    }

    /// Sees to it that there is an open segment with space.
    fn ready_segment(&mut self) -> io::Result<()> {
        if self.writer.is_some() && self.segments.back().is_some_and(|segment| segment.bytes < self.segment_bytes) {
            return Ok(());
        }
        let Some(dir) = &self.dir else { return Ok(()) };
        let number = self.next_segment;
        let path = segment_path(dir, number);
        self.writer = Some(OpenOptions::new().append(true).create_new(true).open(path)?);
        self.next_segment += 1;
        let segments = self.segments.iter().map(|segment| (segment.number, segment.bytes)).collect();
        let head = serde_json::to_vec(&Entry::Snapshot { state: self.state.clone(), segments })?;
        self.segments.push_back(Segment { number, bytes: 0, live: 0 });
        self.write(&head, &[])?;
        self.release_segments();
        Ok(())
    }

    /// Writes one record to the open segment and says where its data starts.
    fn write(&mut self, head: &[u8], data: &[u8]) -> io::Result<u64> {
        let (Some(file), Some(segment)) = (&mut self.writer, self.segments.back_mut()) else {
            return Err(io::Error::other("no segment is open"));
        };
        let body = 4 + head.len() + data.len();
        let mut record = Vec::with_capacity(HEADER + body);
        record.extend_from_slice(&(body as u32).to_le_bytes());
        record.extend_from_slice(&[0; 4]);
        record.extend_from_slice(&(head.len() as u32).to_le_bytes());
        record.extend_from_slice(head);
        record.extend_from_slice(data);
        let crc = crc32fast::hash(&record[HEADER..]);
        record[4..HEADER].copy_from_slice(&crc.to_le_bytes());
        if let Err(error) = file.write_all(&record) {
            // Part of it may be there: the segment ends here, and the next record starts another one.
            let _ = file.set_len(segment.bytes);
            self.writer = None;
            return Err(error);
        }
        let at = segment.bytes + (record.len() - data.len()) as u64;
        segment.bytes += record.len() as u64;
        self.usage.add(record.len() as u64);
        Ok(at)
    }

    /// Drops the first records of a line, as long as they are `gone`.
    fn drop_front(&mut self, line: Line, gone: impl Fn(&Record) -> bool) {
        let Some(seqs) = self.order.get_mut(&line) else { return };
        let (mut freed, mut dropped) = (0, false);
        while let Some(seq) = seqs.front()
            && self.records.get(seq).is_none_or(&gone)
        {
            let record = self.records.remove(seq);
            seqs.pop_front();
            let Some(record) = record else { continue };
            dropped = true;
            self.live_bytes -= u64::from(record.len);
            if self.dir.is_none() {
                freed += u64::from(record.len);
            } else if let Some(segment) = self.segments.iter_mut().find(|s| s.number == record.segment) {
                segment.live -= 1;
            }
        }
        if seqs.is_empty() {
            self.order.remove(&line);
        }
        if freed > 0 {
            self.usage.remove(freed);
        }
        if dropped {
            self.release_segments();
            self.retire_idle_segment();
        }
    }

    fn insert(&mut self, record: Record) {
        self.order.entry(record.kind.line()).or_default().push_back(self.next_seq);
        self.live_bytes += u64::from(record.len);
        self.records.insert(self.next_seq, record);
        self.next_seq += 1;
    }

    /// Deletes the segments, all but the last, in which nothing waits any more.
    fn release_segments(&mut self) {
        let Some(dir) = &self.dir else { return };
        let Some(last) = self.segments.back().map(|segment| segment.number) else { return };
        let mut freed = 0;
        self.segments.retain(|segment| {
            if segment.live > 0 || segment.number == last {
                return true;
            }
            match fs::remove_file(segment_path(dir, segment.number)) {
                Ok(()) => freed += segment.bytes,
                Err(error) => tracing::warn!(%error, "a segment of the spool cannot be deleted"),
            }
            false
        });
        if freed > 0 {
            self.usage.remove(freed);
        }
    }

    /// Replaces the last segment when all of it is stored, so that an idle flow holds little.
    fn retire_idle_segment(&mut self) {
        let idle = |segment: &Segment| segment.live == 0 && segment.bytes >= IDLE_SEGMENT.min(self.segment_bytes);
        if self.writer.is_some() && self.segments.back().is_some_and(idle) {
            self.writer = None;
            if let Err(error) = self.ready_segment() {
                // The next append says it where it hurts.
                tracing::warn!(%error, "the spool cannot be written");
            }
        }
    }

    /// Takes a segment's records in; the length up to which it is whole.
    fn read_segment(&mut self, number: u64, from: &mut impl Read) -> io::Result<u64> {
        let mut whole = 0;
        let mut body = Vec::new();
        loop {
            let mut header = [0; HEADER];
            if !read_whole(from, &mut header)? {
                return Ok(whole);
            }
            let len = u32::from_le_bytes([header[0], header[1], header[2], header[3]]) as usize;
            let crc = u32::from_le_bytes([header[4], header[5], header[6], header[7]]);
            // A snapshot may be longer than a batch, but not by much: a source takes some 30 bytes of it.
            if len > MAX_RECORD * 2 {
                return Ok(whole);
            }
            body.resize(len, 0);
            if !read_whole(from, &mut body)? || crc32fast::hash(&body) != crc {
                return Ok(whole);
            }
            let Some((head, data)) = split_body(&body) else { return Ok(whole) };
            let Ok(entry) = serde_json::from_slice(head) else { return Ok(whole) };
            if (whole == 0) != matches!(&entry, Entry::Snapshot { segments, .. } if self.continues(segments)) {
                return Ok(whole);
            }
            let end = whole + (HEADER + len) as u64;
            self.take_in(entry, number, end - data.len() as u64, data.len() as u32);
            whole = end;
        }
    }

    /// Whether the segments that are here are as long as they once were. One that is not here was all stored.
    fn continues(&self, segments: &[(u64, u64)]) -> bool {
        self.segments
            .iter()
            .all(|here| segments.iter().all(|(number, len)| *number != here.number || *len == here.bytes))
    }

    fn take_in(&mut self, entry: Entry, segment: u64, at: u64, len: u32) {
        let kind = match entry {
            Entry::Snapshot { state, .. } => {
                self.state = state;
                return;
            }
            Entry::Run => {
                self.state.runs += 1;
                return;
            }
            Entry::End(end) => {
                for (upload, made) in &self.state.uploads {
                    if made.sha256.is_none() {
                        for seq in self.order.remove(&Line::Upload(*upload)).unwrap_or_default() {
                            self.live_bytes -= self.records.remove(&seq).map_or(0, |record| u64::from(record.len));
                        }
                    }
                }
                self.state.uploads.retain(|_, made| made.sha256.is_some());
                self.state.end = Some(end);
                return;
            }
            Entry::Rows { stream, first_row, rows, zstd, hash } => {
                self.state.streams.insert(stream, Made { rows: first_row + u64::from(rows), hash });
                if len == 0 {
                    return;
                }
                let encoding = if zstd { Encoding::Zstd } else { Encoding::Plain };
                Kind::Rows { stream, first_row, rows, encoding }
            }
            Entry::Chunk { upload, offset, name, hash, end } => {
                let sha256 = end.as_ref().map(|end| end.sha256.clone());
                let size = offset + u64::from(len);
                self.state.uploads.insert(upload, MadeUpload { name: name.clone(), size, hash, sha256 });
                let name = if offset == 0 || end.is_some() { name } else { String::new() };
                Kind::Chunk { upload, offset, name, end }
            }
        };
        self.insert(Record { kind, len, segment, at, memory: None });
    }
}

impl Drop for FlowSpool {
    fn drop(&mut self) {
        self.usage.remove(self.held());
    }
}

/// One step of the rolling hash by which a flow that runs again is held against its earlier rows. It need not resist
/// an attacker: who can choose the rows can as well choose the same ones.
pub(crate) fn chain(hash: u64, row: &[u8]) -> u64 {
    const A: u64 = 0x9e37_79b9_7f4a_7c15;
    const B: u64 = 0xd6e8_feb8_6659_fd93;
    let fold = |x: u64, y: u64| {
        let product = u128::from(x) * u128::from(y);
        (product as u64) ^ ((product >> 64) as u64)
    };
    let mut h = fold(hash ^ A, row.len() as u64 ^ B);
    for word in row.chunks(8) {
        let mut bytes = [0; 8];
        bytes[..word.len()].copy_from_slice(word);
        h = fold(h.wrapping_add(A) ^ u64::from_le_bytes(bytes), B).wrapping_add(h);
    }
    h
}

fn split_body(body: &[u8]) -> Option<(&[u8], &[u8])> {
    let (len, rest) = body.split_first_chunk::<4>()?;
    rest.split_at_checked(u32::from_le_bytes(*len) as usize)
}

/// Fills the buffer; false where the end comes first.
fn read_whole(from: &mut impl Read, buffer: &mut [u8]) -> io::Result<bool> {
    match from.read_exact(buffer) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(false),
        Err(error) => Err(error),
    }
}

fn segment_path(dir: &Path, number: u64) -> PathBuf {
    dir.join(format!("{number:08}.seg"))
}

fn create_private_dir(dir: &Path) -> io::Result<()> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::DirBuilderExt as _;
        builder.mode(0o700);
    }
    builder.create(dir)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use protocol::{HuntId, collection::Limits};

    use super::*;

    const SOURCE: StreamId = StreamId(0);

    fn request() -> FlowRequest {
        let flow_id = FlowId::of_hunt(HuntId(1));
        FlowRequest {
            flow_id,
            sources: Vec::new(),
            env: Vec::new(),
            limits: Limits::default(),
            definitions: Vec::new(),
        }
    }

    /// A batch that does not compress.
    fn batch(seed: u64, len: usize) -> Vec<u8> {
        use sha2::{Digest as _, Sha256};
        let blocks = (0..len.div_ceil(32)).flat_map(|n| Sha256::digest(format!("{seed} {n}")));
        blocks.take(len).collect()
    }

    fn segments(dir: &Path) -> Vec<PathBuf> {
        let flow = dir.join(request().flow_id.to_string());
        let mut all: Vec<PathBuf> = fs::read_dir(flow)
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .filter(|path| path.extension().is_some_and(|ext| ext == "seg"))
            .collect();
        all.sort();
        all
    }

    #[test]
    fn space_comes_back_as_batches_are_stored() {
        for on_disk in [true, false] {
            let dir = tempfile::tempdir().unwrap();
            let (spool, _) = Spool::open(on_disk.then(|| dir.path().into()), 1 << 20).unwrap();
            let mut queue = spool.create(&request()).unwrap();
            for n in 0..20 {
                queue.append_rows(SOURCE, 10, &batch(n, 50_000), n).unwrap();
                queue.append_rows(StreamId::LOG, 1, b"{}\n", 0).unwrap();
            }
            assert_eq!((spool.usage.is_full(), queue.live_bytes()), (false, 20 * 50_003));
            queue.append_rows(SOURCE, 10, &batch(20, 50_000), 20).unwrap();
            assert!(spool.usage.is_full(), "{:?}", spool.usage);
            // The batch with row 99 is not stored by half of it, nor is the log by the rows.
            queue.stored(SOURCE, 95);
            assert_eq!(
                queue.record_from(0).unwrap().1,
                &Kind::Rows { stream: StreamId::LOG, first_row: 0, rows: 1, encoding: Encoding::Plain }
            );
            queue.stored(StreamId::LOG, 100);
            assert_eq!(queue.live_bytes(), 12 * 50_000);
            let (first, ..) = queue.record_from(0).unwrap();
            assert_eq!(queue.read(first).unwrap(), batch(9, 50_000));
            // A repeated and an older acknowledgement change nothing.
            queue.stored(SOURCE, 95);
            queue.stored(SOURCE, 3);
            assert_eq!(queue.live_bytes(), 12 * 50_000);
            queue.stored(SOURCE, u64::MAX);
            assert_eq!(queue.live_bytes(), 0);
            let left = *spool.usage.bytes.lock();
            assert!(left < 2 * IDLE_SEGMENT, "{left} bytes are held for nothing");
            if on_disk {
                assert_eq!(segments(dir.path()).len(), 1);
            }
            queue.remove();
            assert_eq!(*spool.usage.bytes.lock(), 0);
        }
    }

    #[test]
    fn damage_anywhere_costs_what_comes_after_it_and_no_more() {
        let make = |dir: &Path| {
            let (spool, _) = Spool::open(Some(dir.into()), 64 << 10).unwrap();
            let mut queue = spool.create(&request()).unwrap();
            queue.append_run().unwrap();
            for n in 0..12 {
                queue.append_rows(SOURCE, 1, &batch(n, 700), n).unwrap();
            }
            queue.append_chunk(0, "/f", &batch(50, 300), None).unwrap();
        };
        let whole = tempfile::tempdir().unwrap();
        make(whole.path());
        let files = segments(whole.path());
        assert!(files.len() > 2);
        for (number, file) in files.iter().enumerate() {
            let len = fs::metadata(file).unwrap().len() as usize;
            for at in (0..len).step_by(173) {
                for cut in [false, true] {
                    let dir = tempfile::tempdir().unwrap();
                    make(dir.path());
                    let path = &segments(dir.path())[number];
                    let mut bytes = fs::read(path).unwrap();
                    if cut {
                        bytes.truncate(at);
                    } else {
                        bytes[at] ^= 0x55;
                    }
                    fs::write(path, bytes).unwrap();
                    let (spool, mut found) = Spool::open(Some(dir.path().into()), 64 << 10).unwrap();
                    let mut queue = found.pop().unwrap().queue;
                    let rows = queue.made().streams.get(&SOURCE).map_or(0, |made| made.rows);
                    assert!(rows < 12 || number + 1 == files.len(), "{number} {at} {cut} {rows}");
                    let mut expected = 0;
                    let mut from = 0;
                    while let Some((seq, kind, _)) = queue.record_from(from) {
                        if let Kind::Rows { first_row, .. } = *kind {
                            assert_eq!(first_row, expected);
                            expected += 1;
                            assert_eq!(queue.read(seq).unwrap(), batch(first_row, 700));
                        }
                        from = seq + 1;
                    }
                    assert_eq!(expected, rows, "what counts as made is there");
                    // It goes on from there, and reads back once more.
                    queue.append_rows(SOURCE, 1, &batch(rows, 700), rows).unwrap();
                    drop((queue, spool));
                    let (_spool, mut found) = Spool::open(Some(dir.path().into()), 64 << 10).unwrap();
                    assert_eq!(found.pop().unwrap().queue.made().streams[&SOURCE], Made { rows: rows + 1, hash: rows });
                }
            }
        }
    }

    #[test]
    fn a_flow_that_cannot_be_read_is_dropped_alone() {
        let dir = tempfile::tempdir().unwrap();
        {
            let (spool, _) = Spool::open(Some(dir.path().into()), 1 << 20).unwrap();
            spool.create(&request()).unwrap();
        }
        let broken = dir.path().join(FlowId::of_hunt(HuntId(2)).to_string());
        fs::create_dir(&broken).unwrap();
        fs::write(broken.join("flow.json"), "{").unwrap();
        fs::create_dir(dir.path().join("something else")).unwrap();
        let (_spool, found) = Spool::open(Some(dir.path().into()), 1 << 20).unwrap();
        assert_eq!(found.len(), 1);
        assert!(!broken.exists() && dir.path().join("something else").exists());
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt as _;
            let private = tempfile::tempdir().unwrap().path().join("a/spool");
            let (_spool, _) = Spool::open(Some(private.clone()), 1 << 20).unwrap();
            assert_eq!(fs::metadata(&private).unwrap().permissions().mode() & 0o777, 0o700);
        }
    }
}
