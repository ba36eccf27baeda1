//! The bounded queue, on disk, of what flows made and the hub has not stored yet.
//!
//! # Layout
//! One directory (0700) per flow, named by its id:
//! ```text
//! <spool>/lock                   held while an agent uses the spool
//! <spool>/F.…/flow.json          the request; a flow without it never began
//! <spool>/F.…/00000001.seg …     records in order
//! ```
//! A record is its length (4 bytes, little endian, of what follows the checksum), a CRC-32 of that, one byte of kind,
//! and the content. Every segment starts with a snapshot of how far each stream is, so that segments whose records
//! are all stored can be deleted.
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
            let live = queue.records.values().filter(|r| r.segment == number).count();
            queue.segments.push_back(Segment { number, bytes: whole, live });
            queue.usage.add(whole);
            queue.next_segment = number + 1;
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
    Snapshot(Snapshot),
    Run,
    Rows { stream: StreamId, first_row: u64, rows: u32, zstd: bool, hash: u64 },
    Chunk { upload: u32, offset: u64, name: String, hash: u64, end: Option<UploadEnd> },
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
        self.drop_records(|kind| matches!(kind, Kind::Chunk { upload, .. } if unfinished.contains(upload)));
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
        Ok(data.into())
    }

    /// The hub has every row of the stream before `next_row`.
    pub(crate) fn stored(&mut self, stream: StreamId, next_row: u64) {
        let known = self.stored.entry(stream).or_default();
        *known = next_row.max(*known);
        let next_row = *known;
        self.drop_records(|kind| {
            matches!(kind, Kind::Rows { stream: s, first_row, rows, .. }
                if *s == stream && first_row + u64::from(*rows) <= next_row)
        });
    }

    /// The hub has every byte of the upload before `offset`, or all of it.
    pub(crate) fn upload_stored(&mut self, upload: u32, offset: u64, done: bool) {
        let mut ends = BTreeMap::new();
        for (seq, record) in &self.records {
            if let Kind::Chunk { upload: u, offset, .. } = &record.kind
                && *u == upload
            {
                ends.insert(*seq, offset + u64::from(record.len));
            }
        }
        let gone: Vec<u64> = ends
            .into_iter()
            .filter(|(seq, end)| {
                // The last chunk also carries the end, which is stored only when all is done.
                let last = matches!(self.records.get(seq).map(|r| &r.kind), Some(Kind::Chunk { end: Some(_), .. }));
                done || (*end <= offset && !last)
            })
            .map(|(seq, _)| seq)
            .collect();
        self.drop_seqs(&gone);
    }

    /// Forgets what waits; what was made counts only as far as the hub has it. For a spool that cannot be read.
    pub(crate) fn give_up(&mut self) {
        self.drop_records(|_| true);
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
        self.live_bytes = 0;
        self.usage.remove(self.segments.iter().map(|segment| segment.bytes).sum());
        self.segments.clear();
        if let Some(dir) = self.dir.take()
            && let Err(error) = fs::remove_dir_all(&dir)
        {
            tracing::warn!(path = %dir.display(), %error, "a flow's spool cannot be deleted");
        }
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
            self.records.insert(self.next_seq, Record { kind, len, segment, at, memory });
            self.next_seq += 1;
            self.live_bytes += u64::from(len);
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
        self.segments.push_back(Segment { number, bytes: 0, live: 0 });
        let head = serde_json::to_vec(&Entry::Snapshot(self.state.clone()))?;
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

    fn drop_records(&mut self, gone: impl Fn(&Kind) -> bool) {
        let seqs: Vec<u64> =
            self.records.iter().filter(|(_, record)| gone(&record.kind)).map(|(seq, _)| *seq).collect();
        self.drop_seqs(&seqs);
    }

    fn drop_seqs(&mut self, seqs: &[u64]) {
        let mut freed = 0;
        for seq in seqs {
            let Some(record) = self.records.remove(seq) else { continue };
            self.live_bytes -= u64::from(record.len);
            if self.dir.is_none() {
                freed += u64::from(record.len);
            } else if let Some(segment) = self.segments.iter_mut().find(|s| s.number == record.segment) {
                segment.live -= 1;
            }
        }
        if freed > 0 {
            self.usage.remove(freed);
        }
        if !seqs.is_empty() {
            self.release_segments();
            self.retire_idle_segment();
        }
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
            let end = whole + (HEADER + len) as u64;
            self.take_in(entry, number, end - data.len() as u64, data.len() as u32);
            whole = end;
        }
    }

    fn take_in(&mut self, entry: Entry, segment: u64, at: u64, len: u32) {
        let kind = match entry {
            Entry::Snapshot(snapshot) => {
                self.state = snapshot;
                return;
            }
            Entry::Run => {
                self.state.runs += 1;
                return;
            }
            Entry::End(end) => {
                let whole = |upload: &u32, state: &Snapshot| {
                    state.uploads.get(upload).is_some_and(|made| made.sha256.is_some())
                };
                self.records.retain(|_, record| match &record.kind {
                    Kind::Chunk { upload, .. } => whole(upload, &self.state),
                    Kind::Rows { .. } => true,
                });
                self.live_bytes = self.records.values().map(|record| u64::from(record.len)).sum();
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
        self.records.insert(self.next_seq, Record { kind, len, segment, at, memory: None });
        self.next_seq += 1;
        self.live_bytes += u64::from(len);
    }
}

impl Drop for FlowSpool {
    fn drop(&mut self) {
        let held: u64 =
            if self.dir.is_some() { self.segments.iter().map(|segment| segment.bytes).sum() } else { self.live_bytes };
        self.usage.remove(held);
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
