//! Hunts: a collection, who takes part, and how far each is.
//!
//! `hunt.json` says what is asked; `clients.jsonl` has a line for each step of each client, and the last one counts.
//! Rows are counted from the result sets. Steps beyond "offered" are taken by the client's writer thread alone.

use std::{
    collections::{HashMap, hash_map::Entry},
    fs::{self, File},
    io,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use bytes::Bytes;
use parking_lot::{Mutex, RwLock};
use protocol::{
    ClientId, FlowId, HuntId,
    api::{HuntClientState, HuntCounts, HuntSummary, RowPageText},
    collection::{Collection, Condition, FlowCost, FlowState, HuntState, StreamId},
};
use serde::{Deserialize, Serialize};

use crate::{
    OpenError,
    events::Change,
    flows::{Flow, FlowHead, Progress, set_paths, source_summaries},
    launcher::Compiled,
    store::{
        Home, Journal, Paths, read_record,
        result_set::{Page, Piece, Record, ResultSet, Tail, read_index},
        write_record,
    },
};

/// What does not change about a hunt.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct HuntHead {
    pub(crate) hunt_id: HuntId,
    pub(crate) creator: String,
    /// Microseconds: answers are measured from here.
    pub(crate) created_us: u64,
    pub(crate) expires_ms: u64,
    pub(crate) online_only: bool,
    pub(crate) collection: Collection,
    pub(crate) condition: Condition,
    pub(crate) request: Arc<Compiled>,
}

/// `hunt.json`.
#[derive(Debug, Deserialize, Serialize)]
struct HuntRecord {
    #[serde(flatten)]
    head: HuntHead,
    state: HuntState,
    first_row_us: Option<u64>,
}

/// A line of `clients.jsonl`.
#[derive(Debug, Deserialize, Serialize)]
struct Step {
    client_id: ClientId,
    #[serde(flatten)]
    state: FlowState,
    time_ms: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    started_ms: Option<u64>,
    /// Of an answer: since the hunt was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    answer_us: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    rows: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    cost: Option<FlowCost>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    cancel: Option<Box<str>>,
}

#[derive(Debug)]
pub(crate) struct Hunt {
    pub(crate) head: HuntHead,
    /// What every client is sent.
    pub(crate) frame: Bytes,
    journal: Mutex<Journal>,
    table: Mutex<Table>,
    arrival: AtomicU64,
    pub(crate) changed: Change,
    /// Of each source: where its rows are, in the order in which they came. Read when first asked for.
    arrivals: Vec<Mutex<Option<Arrivals>>>,
    /// One writer of `hunt.json` at a time; true if it is behind what is in memory.
    record: Mutex<bool>,
}

#[derive(Debug)]
struct Table {
    state: HuntState,
    participants: HashMap<ClientId, Progress>,
    counts: HuntCounts,
    sources: Vec<Tail>,
    first_row_us: Option<u64>,
    /// How long each answer took.
    answers_us: Vec<u64>,
}

impl Table {
    fn new(sources: usize, state: HuntState) -> Self {
        Self {
            state,
            participants: HashMap::new(),
            counts: HuntCounts::default(),
            sources: vec![Tail::default(); sources],
            first_row_us: None,
            answers_us: Vec::new(),
        }
    }

    fn set(&mut self, client: ClientId, progress: Progress, created_us: u64) {
        *number(&mut self.counts, &progress.state) += 1;
        let was_answer = match self.participants.entry(client) {
            Entry::Vacant(place) => {
                self.counts.matching += 1;
                place.insert(progress.clone());
                false
            }
            Entry::Occupied(mut place) => {
                *number(&mut self.counts, &place.get().state) -= 1;
                place.insert(progress.clone()).state.is_answer()
            }
        };
        if progress.state.is_answer()
            && !was_answer
            && let Some(ended) = progress.ended_us
        {
            self.answers_us.push(ended.saturating_sub(created_us));
        }
    }

    fn percentile(&self, share: f64) -> Option<f64> {
        let mut answers = self.answers_us.clone();
        let last = answers.len().checked_sub(1)?;
        let place = (last as f64 * share).round() as usize;
        let (_, value, _) = answers.select_nth_unstable(place.min(last));
        Some(*value as f64 / 1000.0)
    }
}

fn number<'a>(counts: &'a mut HuntCounts, state: &FlowState) -> &'a mut u64 {
    match HuntClientState::from(state) {
        HuntClientState::Waiting => &mut counts.waiting,
        HuntClientState::Offered => &mut counts.offered,
        HuntClientState::Running => &mut counts.running,
        HuntClientState::Answered => &mut counts.answered,
        HuntClientState::Failed => &mut counts.failed,
    }
}

/// Where the rows of a source are, in order of arrival.
#[derive(Debug, Default)]
struct Arrivals {
    batches: Vec<Arrived>,
    /// Batches of each shard that are here.
    known: Vec<u64>,
}

#[derive(Clone, Copy, Debug)]
struct Arrived {
    /// Rows up to the end of this batch, over all shards.
    end: u64,
    offset: u64,
    len: u32,
    rows: u32,
    shard: u16,
}

impl Arrivals {
    fn push(&mut self, shard: usize, record: &Record) {
        let before = self.batches.last().map_or(0, |batch| batch.end);
        self.batches.push(Arrived {
            end: before + u64::from(record.rows),
            offset: record.offset,
            len: record.len,
            rows: record.rows,
            shard: shard as u16,
        });
        if self.known.len() <= shard {
            self.known.resize(shard + 1, 0);
        }
        self.known[shard] += 1;
    }

    fn total(&self) -> u64 {
        self.batches.last().map_or(0, |batch| batch.end)
    }
}

impl Hunt {
    /// Makes the hunt's directory and files; flushed by [`Self::flush`].
    pub(crate) fn create(paths: &Paths, head: HuntHead, state: HuntState) -> io::Result<Self> {
        let id = head.hunt_id;
        crate::store::create_directory(&paths.hunt(id))?;
        let journal = Journal::open(&paths.hunt_clients(id), |_| {})?;
        let table = Table::new(head.request.sources.len(), state);
        Self::new(head, journal, table, 0)
    }

    fn new(head: HuntHead, journal: Journal, table: Table, arrival: u64) -> io::Result<Self> {
        let frame = head
            .request
            .frame(FlowId::of_hunt(head.hunt_id))
            .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
        Ok(Self {
            arrivals: head.request.sources.iter().map(|_| Mutex::default()).collect(),
            head,
            frame,
            journal: Mutex::new(journal),
            table: Mutex::new(table),
            arrival: AtomicU64::new(arrival),
            changed: Change::default(),
            record: Mutex::new(false),
        })
    }

    /// Reads a hunt as it was left: record, steps, and the rows that are really there.
    fn load(paths: &Paths, id: HuntId, shards: usize) -> io::Result<Option<Self>> {
        let Some(record) = read_record::<HuntRecord>(&paths.hunt_record(id))? else { return Ok(None) };
        let head = record.head;
        let mut table = Table::new(head.request.sources.len(), record.state);
        table.first_row_us = record.first_row_us;
        let mut steps: HashMap<ClientId, Progress> = HashMap::new();
        let journal = Journal::open(&paths.hunt_clients(id), |line| match serde_json::from_slice::<Step>(line) {
            Ok(step) => replay(&mut steps, step, head.created_us),
            Err(error) => tracing::error!(hunt = %id, %error, "a line of clients.jsonl cannot be read"),
        })?;
        let mut arrival = 0;
        for stream in head.request.streams() {
            for shard in 0..shards {
                let set_paths = set_paths(paths, Home::Hunt(id), &head.request, stream, shard);
                if !set_paths.index.exists() {
                    continue;
                }
                // Opening cuts off what is torn.
                let set = ResultSet::open(&set_paths)?;
                let last = read_index(&set_paths)?.iter().map(|record| record.arrival + 1).max();
                arrival = arrival.max(last.unwrap_or(0));
                if let Some(place) = stream.source() {
                    let total = &mut table.sources[place];
                    total.rows += set.total().rows;
                    total.bytes += set.total().bytes;
                    table.counts.rows += set.total().rows;
                    for (client, tail) in set.tails() {
                        let unknown =
                            || Progress { state: FlowState::Running, ..Progress::queued(head.created_us / 1000) };
                        steps.entry(client).or_insert_with(unknown).rows += tail.rows;
                    }
                }
            }
        }
        for (client, progress) in steps {
            table.set(client, progress, head.created_us);
        }
        Self::new(head, journal, table, arrival).map(Some)
    }

    pub(crate) fn id(&self) -> HuntId {
        self.head.hunt_id
    }

    pub(crate) fn flow_id(&self) -> FlowId {
        FlowId::of_hunt(self.head.hunt_id)
    }

    pub(crate) fn state(&self) -> HuntState {
        self.table.lock().state
    }

    /// Somebody may still answer, or be asked.
    pub(crate) fn is_open(&self) -> bool {
        let table = self.table.lock();
        matches!(table.state, HuntState::Running | HuntState::Paused) || table.counts.outstanding() > 0
    }

    /// A live query from which nothing more can come. One that was asked for a moment ago may still be on its way out.
    pub(crate) fn is_complete(&self, now_ms: u64) -> bool {
        const UNDER_WAY_MS: u64 = 1000;
        let table = self.table.lock();
        self.head.online_only
            && table.state == HuntState::Running
            && table.counts.outstanding() == 0
            && now_ms >= self.head.created_us / 1000 + UNDER_WAY_MS
    }

    /// Moves the hunt to another state in memory; [`Self::flush`] brings it to disk. False, and nothing, if it is no
    /// longer in the state that was seen before.
    pub(crate) fn set_state(&self, seen: HuntState, state: HuntState) -> bool {
        {
            let mut table = self.table.lock();
            if table.state != seen {
                return false;
            }
            table.state = state;
        }
        *self.record.lock() = true;
        self.changed.happened();
        true
    }

    pub(crate) fn progress(&self, client: ClientId) -> Option<Progress> {
        self.table.lock().participants.get(&client).cloned()
    }

    /// The participants that are not over and of whom `mine` is true.
    pub(crate) fn unfinished(&self, mine: impl Fn(ClientId) -> bool) -> Vec<ClientId> {
        let table = self.table.lock();
        let open = table.participants.iter().filter(|(client, p)| mine(**client) && !p.state.is_final());
        open.map(|(client, _)| *client).collect()
    }

    /// Brings in the clients that do not take part yet, and gives the hunt to those that wait: `live` says who is
    /// connected. Returns who has to be sent the frame, and the lines for [`Self::append`], which may come after it.
    pub(crate) fn enlist(
        &self,
        clients: &[ClientId],
        live: impl Fn(ClientId) -> bool,
        now_us: u64,
    ) -> (Vec<ClientId>, Vec<u8>) {
        let mut lines = Vec::new();
        let mut offered = Vec::new();
        {
            let mut table = self.table.lock();
            for client in clients {
                let before = table.participants.get(client);
                if before.is_some_and(|progress| progress.state != FlowState::Queued) {
                    continue;
                }
                let known = before.is_some();
                let mut progress = before.cloned().unwrap_or_else(|| Progress::queued(now_us / 1000));
                let live = live(*client);
                if live {
                    progress.enter(FlowState::Offered, now_us);
                    offered.push(*client);
                } else if known || self.head.online_only {
                    continue;
                }
                self.step(*client, &progress, &mut lines);
                table.set(*client, progress, self.head.created_us);
            }
        }
        self.changed.happened();
        (offered, lines)
    }

    /// The line of `clients.jsonl` for where a client is now.
    pub(crate) fn step(&self, client: ClientId, progress: &Progress, lines: &mut Vec<u8>) {
        let over = progress.state.is_final();
        let step = Step {
            client_id: client,
            state: progress.state.clone(),
            time_ms: progress.changed_ms,
            started_ms: progress.started_ms.filter(|_| over),
            answer_us: progress.ended_us.map(|ended| ended.saturating_sub(self.head.created_us)),
            rows: over.then_some(progress.rows),
            cost: over.then_some(progress.cost),
            cancel: progress.cancel.clone(),
        };
        // Plain data into memory cannot fail.
        if serde_json::to_writer(&mut *lines, &step).is_ok() {
            lines.push(b'\n');
        }
    }

    /// Appends to `clients.jsonl`; not yet flushed.
    pub(crate) fn append(&self, lines: &[u8]) -> io::Result<()> {
        if lines.is_empty() { Ok(()) } else { self.journal.lock().append(lines) }
    }

    /// The file of `clients.jsonl`, to be flushed without holding its lock.
    pub(crate) fn journal_file(&self) -> io::Result<File> {
        self.journal.lock().file().try_clone()
    }

    /// Brings the steps, and the record where it changed, to disk.
    pub(crate) fn flush(&self, paths: &Paths) -> io::Result<()> {
        self.journal_file()?.sync_data()?;
        self.write_record(paths, true)
    }

    /// Writes `hunt.json` if it is behind, or always.
    pub(crate) fn write_record(&self, paths: &Paths, always: bool) -> io::Result<()> {
        let mut behind = self.record.lock();
        if !*behind && !always {
            return Ok(());
        }
        let record = {
            let table = self.table.lock();
            HuntRecord { head: self.head.clone(), state: table.state, first_row_us: table.first_row_us }
        };
        write_record(&paths.hunt_record(self.id()), &record)?;
        *behind = false;
        Ok(())
    }

    pub(crate) fn next_arrival(&self) -> u64 {
        self.arrival.fetch_add(1, Ordering::Relaxed)
    }

    /// Takes steps that are on disk.
    pub(crate) fn commit(&self, steps: impl IntoIterator<Item = (ClientId, Progress)>) {
        let mut table = self.table.lock();
        for (client, progress) in steps {
            table.set(client, progress, self.head.created_us);
        }
    }

    /// Takes rows that are on disk: `batches` is how many the shard has of the source, the new `records` included.
    pub(crate) fn commit_rows(&self, place: usize, shard: usize, batches: u64, records: &[Record], now_us: u64) {
        let added = records.iter().fold(Tail::default(), |sum, record| Tail {
            rows: sum.rows + u64::from(record.rows),
            bytes: sum.bytes + u64::from(record.len),
        });
        let first = {
            let mut table = self.table.lock();
            if let Some(total) = table.sources.get_mut(place) {
                total.rows += added.rows;
                total.bytes += added.bytes;
            }
            table.counts.rows += added.rows;
            let first = table.first_row_us.is_none() && added.rows > 0;
            if first {
                table.first_row_us = Some(now_us.saturating_sub(self.head.created_us));
            }
            first
        };
        if first {
            *self.record.lock() = true;
        }
        let Some(mut arrivals) = self.arrivals.get(place).map(|arrivals| arrivals.lock()) else { return };
        if let Some(arrivals) = &mut *arrivals {
            // Who read the index in between has some of them already.
            let known = arrivals.known.get(shard).copied().unwrap_or(0);
            let before = batches - records.len() as u64;
            for record in records.iter().skip(known.saturating_sub(before) as usize) {
                arrivals.push(shard, record);
            }
        }
    }

    /// The order of arrival has to be read again: files were cut.
    pub(crate) fn forget_arrivals(&self) {
        for arrivals in &self.arrivals {
            *arrivals.lock() = None;
        }
    }

    pub(crate) fn summary(&self) -> HuntSummary {
        let table = self.table.lock();
        HuntSummary {
            hunt_id: self.id(),
            collection: self.head.collection.clone(),
            condition: self.head.condition.clone(),
            online_only: self.head.online_only,
            state: table.state,
            creator: self.head.creator.clone(),
            created_ms: self.head.created_us / 1000,
            expires_ms: self.head.expires_ms,
            counts: table.counts,
            sources: source_summaries(&self.head.request, &table.sources),
            first_row_ms: table.first_row_us.map(|us| us as f64 / 1000.0),
            answer_p50_ms: table.percentile(0.5),
            answer_p99_ms: table.percentile(0.99),
        }
    }

    /// The participants in one of the numbers of [`HuntCounts`], or all, by client id.
    pub(crate) fn participants(&self, state: Option<HuntClientState>) -> Vec<(ClientId, Progress)> {
        let table = self.table.lock();
        let wanted = |progress: &Progress| state.is_none_or(|state| state == HuntClientState::from(&progress.state));
        let mut found: Vec<_> = table
            .participants
            .iter()
            .filter(|(_, progress)| wanted(progress))
            .map(|(client, progress)| (*client, progress.clone()))
            .collect();
        drop(table);
        found.sort_unstable_by_key(|(client, _)| *client);
        found
    }

    /// A participant's flow, for people.
    pub(crate) fn flow(&self, paths: &Paths, client: ClientId, shard: usize) -> io::Result<Option<Flow>> {
        let Some(progress) = self.progress(client) else { return Ok(None) };
        let mut flow = Flow::new(FlowHead {
            client_id: client,
            flow_id: self.flow_id(),
            creator: self.head.creator.clone(),
            created_ms: self.head.created_us / 1000,
            collection: self.head.collection.clone(),
            interrogation: false,
            request: Arc::clone(&self.head.request),
        });
        for stream in self.head.request.streams() {
            let mut tail = Tail::default();
            for record in self.index_of(paths, client, stream, shard)? {
                tail.rows += u64::from(record.rows);
                tail.bytes += u64::from(record.len);
            }
            flow.set_tail(stream, tail);
        }
        flow.progress = progress;
        Ok(Some(flow))
    }

    /// A client's batches of one stream.
    pub(crate) fn index_of(
        &self,
        paths: &Paths,
        client: ClientId,
        stream: StreamId,
        shard: usize,
    ) -> io::Result<Vec<Record>> {
        let mut records = read_index(&set_paths(paths, Home::Hunt(self.id()), &self.head.request, stream, shard))?;
        records.retain(|record| record.client == client);
        Ok(records)
    }

    /// Rows of all clients in the order in which they came; None if there is no such source.
    pub(crate) fn rows(
        &self,
        paths: &Paths,
        shards: usize,
        source: u16,
        from: u64,
        limit: u32,
    ) -> io::Result<Option<RowPageText>> {
        let place = usize::from(source);
        let Some(asked) = self.head.request.sources.get(place) else { return Ok(None) };
        let (total, skip, batches) = {
            let mut arrivals = self.arrivals[place].lock();
            let arrivals = match &mut *arrivals {
                Some(arrivals) => arrivals,
                none => none.insert(self.read_arrivals(paths, shards, StreamId(source))?),
            };
            let first = arrivals.batches.partition_point(|batch| batch.end <= from);
            let skip = arrivals.batches.get(first).map_or(0, |batch| from - (batch.end - u64::from(batch.rows)));
            let mut wanted = u64::from(limit) + skip;
            let batches: Vec<Arrived> = arrivals.batches[first..]
                .iter()
                .take_while(|batch| {
                    let more = wanted > 0;
                    wanted = wanted.saturating_sub(u64::from(batch.rows));
                    more
                })
                .copied()
                .collect();
            (arrivals.total(), skip, batches)
        };
        let mut page = Page::new(skip, limit);
        let mut files: Vec<Option<File>> = (0..shards).map(|_| None).collect();
        for batch in batches {
            if page.is_full() {
                break;
            }
            let Some(slot) = files.get_mut(usize::from(batch.shard)) else { break };
            let file = match slot {
                Some(file) => file,
                none => {
                    let set = set_paths(
                        paths,
                        Home::Hunt(self.id()),
                        &self.head.request,
                        StreamId(source),
                        batch.shard.into(),
                    );
                    none.insert(File::open(set.data)?)
                }
            };
            page.take(file, Piece { offset: batch.offset, len: batch.len, rows: batch.rows })?;
        }
        Ok(Some(RowPageText { source: asked.name.clone(), from, total, jsonl: page.jsonl }))
    }

    fn read_arrivals(&self, paths: &Paths, shards: usize, stream: StreamId) -> io::Result<Arrivals> {
        let mut all = Vec::new();
        for shard in 0..shards {
            let records = read_index(&set_paths(paths, Home::Hunt(self.id()), &self.head.request, stream, shard))?;
            all.extend(records.into_iter().map(|record| (shard, record)));
        }
        all.sort_by_key(|(_, record)| record.arrival);
        let mut arrivals = Arrivals { batches: Vec::with_capacity(all.len()), known: vec![0; shards] };
        for (shard, record) in &all {
            arrivals.push(*shard, record);
        }
        Ok(arrivals)
    }
}

/// The last step counts, but what is over stays over, and nobody is un-started.
fn replay(steps: &mut HashMap<ClientId, Progress>, step: Step, created_us: u64) {
    let progress = steps.entry(step.client_id).or_insert_with(|| Progress::queued(step.time_ms));
    let started = progress.state == FlowState::Running && matches!(step.state, FlowState::Offered);
    if progress.state.is_final() || started {
        return;
    }
    if step.state == FlowState::Running && progress.started_ms.is_none() {
        progress.started_ms = Some(step.time_ms);
    }
    if step.started_ms.is_some() {
        progress.started_ms = step.started_ms;
    }
    progress.ended_us = step.answer_us.map(|us| created_us.saturating_add(us));
    progress.changed_ms = step.time_ms;
    progress.cost = step.cost.unwrap_or_default();
    progress.cancel = step.cancel;
    progress.state = step.state;
}

/// All hunts.
#[derive(Debug, Default)]
pub(crate) struct Hunts {
    all: RwLock<HashMap<HuntId, Arc<Hunt>>>,
}

impl Hunts {
    /// Reads all hunts. One that is damaged is reported and left out.
    pub(crate) fn load(paths: &Paths, shards: usize) -> Result<Self, OpenError> {
        let directory = paths.hunts();
        let io = |source| OpenError::Io { path: directory.clone(), what: "read the hunts", source };
        let mut all = HashMap::new();
        for entry in fs::read_dir(&directory).map_err(io)? {
            let name = entry.map_err(io)?.file_name();
            let Some(id) = name.to_str().and_then(|name| name.parse::<HuntId>().ok()) else { continue };
            match Hunt::load(paths, id, shards) {
                Ok(Some(hunt)) => {
                    all.insert(id, Arc::new(hunt));
                }
                Ok(None) => tracing::warn!(hunt = %id, "there is no hunt.json: the hunt was never finished making"),
                Err(error) => tracing::error!(hunt = %id, %error, "the hunt cannot be read and is left out"),
            }
        }
        Ok(Self { all: RwLock::new(all) })
    }

    pub(crate) fn get(&self, id: HuntId) -> Option<Arc<Hunt>> {
        self.all.read().get(&id).cloned()
    }

    pub(crate) fn insert(&self, hunt: Arc<Hunt>) {
        self.all.write().insert(hunt.id(), hunt);
    }

    pub(crate) fn remove(&self, id: HuntId) {
        self.all.write().remove(&id);
    }

    /// Newest first.
    pub(crate) fn all(&self) -> Vec<Arc<Hunt>> {
        let mut all: Vec<_> = self.all.read().values().cloned().collect();
        all.sort_unstable_by_key(|hunt| std::cmp::Reverse(hunt.id()));
        all
    }

    /// Those in which something may still happen.
    pub(crate) fn open(&self) -> Vec<Arc<Hunt>> {
        self.all.read().values().filter(|hunt| hunt.is_open()).cloned().collect()
    }
}
