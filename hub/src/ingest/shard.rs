//! A writer thread: its share of the clients, the files that it has open, and what it does with a message.

use std::{
    collections::{HashMap, HashSet, hash_map::Entry},
    io,
    sync::Arc,
    time::{Duration, Instant},
};

use protocol::{
    ClientId, FlowId,
    collection::{FlowEnd, FlowState, StreamId},
    message::{RowBatch, ToAgent, ToHub},
};
use tokio::sync::OwnedSemaphorePermit;

use super::{Intake, Task, uploads::OpenUpload};
use crate::{
    Inner,
    clients::clip,
    clock::now_us,
    flows::{Flow, Progress, set_paths},
    hunts::Hunt,
    launcher::Compiled,
    sessions::Live,
    store::{
        Home, SetPaths,
        lines::{self, Decoder, RowTail},
        result_set::ResultSet,
    },
};

/// A group that holds this many bytes is brought to disk before more is taken.
const GROUP_BYTES: usize = 16 << 20;
/// And one that touches this many files.
const GROUP_FILES: usize = 256;
/// And one that was worked on for so long, or for as long as the last one took to reach the disk: the first of many
/// must not wait for all of them, and a slow disk must not be asked more often for it.
const GROUP_TIME: Duration = Duration::from_millis(5);
const LONGEST_GROUP_TIME: Duration = Duration::from_millis(200);
/// Result sets that stay open from group to group.
const OPEN_SETS: usize = 96;
/// An agent counts its bytes in its own way: a flow fails only when it is past its limit by this much.
const LIMIT_SLACK: u64 = 8 << 20;
/// The longest reason that is kept of a flow.
const MAX_REASON: usize = 4000;

/// Which flow of which client.
pub(super) type Key = (ClientId, FlowId);
pub(super) type SetKey = (Home, StreamId);

/// What a writer does; an error ends the task.
pub(super) type Outcome = io::Result<()>;

#[derive(Debug)]
pub(crate) struct Shard {
    pub(super) number: usize,
    pub(super) hub: Arc<Inner>,
    pub(super) intake: Arc<Intake>,
    pub(super) sets: HashMap<SetKey, OpenSet>,
    pub(super) uploads: HashMap<(ClientId, FlowId, u32), OpenUpload>,
    /// Ends that came before the rows that they count.
    pub(super) ends: HashMap<Key, Waiting>,
    decoder: Decoder,
    turn: u64,
    /// How long a group is worked on.
    patience: Duration,
}

/// An end that waits for what it counts.
#[derive(Debug)]
pub(super) struct Waiting {
    end: FlowEnd,
    /// So many of its uploads are whole, and need not be looked at again.
    whole: u32,
}

#[derive(Debug)]
pub(super) struct OpenSet {
    pub(super) set: ResultSet,
    pub(super) paths: SetPaths,
    used: u64,
}

/// What is done together, and reaches disk together.
#[derive(Debug, Default)]
pub(super) struct Group {
    pub(super) flows: HashMap<Key, Work>,
    pub(super) sets: HashSet<SetKey>,
    pub(super) uploads: HashSet<(ClientId, FlowId, u32)>,
    /// Clients whose record is to be written.
    pub(super) clients: HashSet<ClientId>,
    /// Whom to tell how far a stream is stored.
    pub(super) stored: HashMap<(ClientId, FlowId, StreamId), Arc<Live>>,
    /// What to say once all is on disk, in order.
    pub(super) replies: Vec<(Arc<Live>, ToAgent)>,
    /// Whom to offer a flow once its record is on its way.
    pub(super) offers: Vec<(Arc<Live>, Key)>,
    /// Whoever said something that is lost if the disk refuses.
    pub(super) heard: HashMap<ClientId, Arc<Live>>,
    /// Agents that were told in this group that a flow is over.
    told: HashSet<Key>,
    pub(super) done: Vec<std::sync::mpsc::SyncSender<()>>,
    room: Vec<OwnedSemaphorePermit>,
    pub(super) rows: u64,
    bytes: usize,
    /// When the first of it was taken up.
    since: Option<Instant>,
}

/// A flow as it is in this group.
#[derive(Debug)]
pub(super) struct Work {
    pub(super) head: Head,
    pub(super) progress: Progress,
    /// The state changed: a line or a record is due.
    pub(super) stepped: bool,
    pub(super) touched: bool,
}

#[derive(Debug)]
pub(super) enum Head {
    Hunt(Arc<Hunt>),
    Single(Box<Flow>),
}

impl Work {
    pub(super) fn request(&self) -> &Arc<Compiled> {
        match &self.head {
            Head::Hunt(hunt) => &hunt.head.request,
            Head::Single(flow) => &flow.head.request,
        }
    }

    /// Moves the flow on; what is over stays.
    pub(super) fn enter(&mut self, state: FlowState) {
        if self.progress.enter(state, now_us()) {
            self.stepped = true;
        }
    }

    /// The agent does something about the flow.
    pub(super) fn runs(&mut self) {
        if matches!(self.progress.state, FlowState::Queued | FlowState::Offered) {
            self.enter(FlowState::Running);
        }
    }
}

impl Group {
    fn is_large(&self, patience: Duration) -> bool {
        self.bytes >= GROUP_BYTES
            || self.since.is_some_and(|since| since.elapsed() >= patience)
            || self.sets.len() + self.flows.len() + self.clients.len() >= GROUP_FILES * 4
            || self.sets.len() >= GROUP_FILES
            || self.uploads.len() >= GROUP_FILES
    }

    /// The agent need not keep the flow: it is over here, or was never known.
    pub(super) fn forget(&mut self, live: &Arc<Live>, flow: FlowId, reason: &str) {
        if self.told.insert((live.client, flow)) {
            self.replies.push((Arc::clone(live), ToAgent::CancelFlow { flow_id: flow, reason: reason.into() }));
            self.replies.push((Arc::clone(live), ToAgent::EndStored { flow_id: flow }));
        }
    }
}

impl Shard {
    pub(crate) fn new(number: usize, hub: Arc<Inner>, intake: Arc<Intake>) -> Self {
        Self {
            number,
            hub,
            intake,
            sets: HashMap::new(),
            uploads: HashMap::new(),
            ends: HashMap::new(),
            decoder: Decoder::default(),
            turn: 0,
            patience: GROUP_TIME,
        }
    }

    /// Works until told to stop.
    pub(crate) fn run(mut self) {
        loop {
            let mut group = Group::default();
            let mut stop = false;
            for task in self.intake.take() {
                stop |= matches!(task, Task::Stop);
                let from = match &task {
                    Task::Message { live, .. } | Task::Connected { live, .. } => Some(Arc::clone(live)),
                    _ => None,
                };
                let done = group.done.len();
                if let Err(error) = self.handle(&mut group, task) {
                    // Perhaps a file of this client alone: what others said is not to wait for its repair. If it is
                    // the disk, bringing that to it says so.
                    group.done.truncate(done);
                    self.commit_timed(std::mem::take(&mut group));
                    self.refuse(from.as_deref(), &error);
                } else if group.is_large(self.patience) {
                    self.commit_timed(std::mem::take(&mut group));
                }
            }
            self.commit_timed(group);
            if stop {
                return;
            }
        }
    }

    fn commit_timed(&mut self, group: Group) {
        let start = Instant::now();
        self.commit(group);
        self.patience = start.elapsed().clamp(GROUP_TIME, LONGEST_GROUP_TIME);
        self.close_unused();
    }

    /// An error is the disk's: what the task asked for is not done, or not all of it.
    fn handle(&mut self, group: &mut Group, task: Task) -> Outcome {
        group.since.get_or_insert_with(Instant::now);
        match task {
            Task::Message { live, message, room } => {
                group.room.push(room);
                group.heard.insert(live.client, Arc::clone(&live));
                match message {
                    ToHub::FlowStarted { flow_id } => self.started(group, &live, flow_id),
                    ToHub::Rows(batch) => {
                        group.rows += u64::from(batch.rows);
                        group.bytes += batch.data.len();
                        self.rows(group, &live, &batch)
                    }
                    ToHub::Upload(chunk) => {
                        group.bytes += chunk.data.len();
                        self.upload(group, &live, &chunk)
                    }
                    ToHub::FlowEnded(mut end) => {
                        // It may have to wait: what is too much goes now.
                        end.state = plain_end(end.state);
                        end.rows.truncate(StreamId::MAX_SOURCES + 1);
                        end.rows.shrink_to_fit();
                        self.ended(group, &live, Waiting { end, whole: 0 })
                    }
                    // Let through by nobody: see Hub::received.
                    ToHub::Hello(_)
                    | ToHub::Enrol { .. }
                    | ToHub::Ping { .. }
                    | ToHub::Pong { .. }
                    | ToHub::Close { .. } => Ok(()),
                }
            }
            Task::Connected { live, flows, labels } => {
                group.heard.insert(live.client, Arc::clone(&live));
                self.ends.retain(|(client, _), _| *client != live.client);
                self.connected(group, &live, &flows, labels)
            }
            Task::Disconnected { client } => self.disconnected(group, client),
            Task::Reconsider { client } => self.reconsider(group, client),
            Task::Persist { client } => {
                group.clients.insert(client);
                Ok(())
            }
            Task::Cancel { client, flow, reason, done } => {
                group.done.push(done);
                self.cancel(group, (client, flow), &reason)
            }
            Task::EndHunt { hunt, reason, cancel, done } => {
                group.done.push(done);
                self.end_hunt(group, &hunt, &reason, cancel)
            }
            Task::Stop => Ok(()),
        }
    }

    /// The flow as it is in this group; None if the hub does not know it.
    pub(super) fn work<'g>(&self, group: &'g mut Group, key: Key) -> io::Result<Option<&'g mut Work>> {
        match group.flows.entry(key) {
            Entry::Occupied(place) => Ok(Some(place.into_mut())),
            Entry::Vacant(place) => Ok(self.look_up(key)?.map(|work| place.insert(work))),
        }
    }

    fn look_up(&self, (client, id): Key) -> io::Result<Option<Work>> {
        let (head, progress) = match id.hunt() {
            Some(hunt) => {
                let Some(hunt) = self.hub.hunts.get(hunt) else { return Ok(None) };
                let Some(progress) = hunt.progress(client) else { return Ok(None) };
                (Head::Hunt(hunt), progress)
            }
            None => {
                self.hub.flows.load(&self.hub.store.paths, client)?;
                let Some(flow) = self.hub.flows.find(&self.hub.store.paths, client, id)? else { return Ok(None) };
                let flow = Flow::clone(&flow);
                let progress = flow.progress.clone();
                (Head::Single(Box::new(flow)), progress)
            }
        };
        Ok(Some(Work { head, progress, stepped: false, touched: false }))
    }

    /// A result set, opened if need be.
    pub(super) fn set(&mut self, request: &Compiled, home: Home, stream: StreamId) -> io::Result<&mut ResultSet> {
        self.turn += 1;
        match self.sets.entry((home, stream)) {
            Entry::Occupied(place) => {
                let open = place.into_mut();
                open.used = self.turn;
                Ok(&mut open.set)
            }
            Entry::Vacant(place) => {
                let paths = set_paths(&self.hub.store.paths, home, request, stream, self.number);
                let set = ResultSet::open(&paths)?;
                Ok(&mut place.insert(OpenSet { set, paths, used: self.turn }).set)
            }
        }
    }

    /// How many rows of a stream are stored or about to be; does not make files.
    pub(super) fn next_row(
        &mut self,
        client: ClientId,
        request: &Compiled,
        home: Home,
        stream: StreamId,
    ) -> io::Result<u64> {
        let open = self.sets.contains_key(&(home, stream));
        if !open && !set_paths(&self.hub.store.paths, home, request, stream, self.number).index.exists() {
            return Ok(0);
        }
        Ok(self.set(request, home, stream)?.tail(client).rows)
    }

    fn close_unused(&mut self) {
        if self.sets.len() <= OPEN_SETS {
            return;
        }
        let mut used: Vec<u64> = self.sets.values().map(|open| open.used).collect();
        let (_, limit, _) = used.select_nth_unstable(self.sets.len() - OPEN_SETS / 2);
        let limit = *limit;
        self.sets.retain(|_, open| open.used >= limit);
    }

    fn started(&mut self, group: &mut Group, live: &Arc<Live>, flow: FlowId) -> Outcome {
        let Some(work) = self.work(group, (live.client, flow))? else {
            group.forget(live, flow, UNKNOWN);
            return Ok(());
        };
        if work.progress.state.is_final() {
            group.forget(live, flow, OVER);
        } else {
            work.runs();
        }
        Ok(())
    }

    fn rows(&mut self, group: &mut Group, live: &Arc<Live>, batch: &RowBatch) -> Outcome {
        let (client, flow, stream) = (live.client, batch.flow_id, batch.stream);
        let key = (client, flow);
        let Some(work) = self.work(group, key)? else {
            group.forget(live, flow, UNKNOWN);
            return Ok(());
        };
        if work.progress.state.is_final() {
            group.forget(live, flow, OVER);
            return Ok(());
        }
        work.runs();
        let request = Arc::clone(work.request());
        if stream != StreamId::LOG && request.file(stream).is_none() {
            return self.fail_flow(
                group,
                live,
                flow,
                format!("the agent sent rows of source {} which is not asked for", stream.0),
            );
        }
        let home = Home::of(client, flow);
        let mut decoder = std::mem::take(&mut self.decoder);
        let set = self.set(&request, home, stream)?;
        let tail = set.tail(client);
        let end = batch.first_row.saturating_add(u64::from(batch.rows));
        let mut bad = None;
        let mut added = 0;
        let splice = matches!(home, Home::Hunt(_)).then(|| RowTail::new(client, flow));
        // Rows that are here are acknowledged again; after a gap the agent is told from where to send.
        if batch.first_row <= tail.rows && tail.rows < end {
            let skip = tail.rows - batch.first_row;
            let rows = (end - tail.rows) as u32;
            let taken = set.append(client, rows, |out| {
                let text = decoder.decode(batch)?;
                lines::append_checked(text, batch, skip, splice.as_ref(), out)
            });
            match taken {
                Ok(bytes) => added = bytes,
                Err(error) => bad = Some(error.to_string()),
            }
        }
        let now = set.tail(client);
        self.decoder = decoder;
        group.stored.insert((client, flow, stream), Arc::clone(live));
        if added > 0 {
            group.bytes += added as usize;
            group.sets.insert((home, stream));
            if let Some(work) = group.flows.get_mut(&key) {
                work.touched = true;
                match &mut work.head {
                    Head::Single(flow) => {
                        flow.set_tail(stream, now);
                        work.progress.rows = flow.progress.rows;
                    }
                    Head::Hunt(_) if stream != StreamId::LOG => work.progress.rows += now.rows - tail.rows,
                    Head::Hunt(_) => {}
                }
                let limits = &request.limits;
                // What is spliced in is not the agent's.
                let ours = splice.as_ref().map_or(0, |splice| now.rows.saturating_mul(splice.len() as u64));
                if work.progress.rows > limits.max_rows {
                    bad = Some(format!("the agent sent more than the {} rows that it may", limits.max_rows));
                } else if now.bytes.saturating_sub(ours)
                    > limits.max_bytes.saturating_add(LIMIT_SLACK).saturating_mul(2)
                {
                    bad = Some(format!("the agent sent far more than the {} bytes that it may", limits.max_bytes));
                }
            }
        }
        match bad {
            Some(reason) => self.fail_flow(group, live, flow, reason),
            None => self.retry_end(group, live, flow),
        }
    }

    /// The flow is over because of what its agent did.
    pub(super) fn fail_flow(&mut self, group: &mut Group, live: &Arc<Live>, flow: FlowId, reason: String) -> Outcome {
        tracing::warn!(client = %live.client, %flow, reason, "a flow failed");
        self.ends.remove(&(live.client, flow));
        group.stored.retain(|(client, id, _), _| (*client, *id) != (live.client, flow));
        if let Some(work) = group.flows.get_mut(&(live.client, flow)) {
            work.enter(FlowState::Failed { reason: reason.clone() });
        }
        group.forget(live, flow, &reason);
        Ok(())
    }

    /// The end is recorded once all that it counts is stored; until then it waits for the rest.
    pub(super) fn ended(&mut self, group: &mut Group, live: &Arc<Live>, waiting: Waiting) -> Outcome {
        let Waiting { end, mut whole } = waiting;
        let (client, flow) = (live.client, end.flow_id);
        let key = (client, flow);
        let Some(work) = self.work(group, key)? else {
            group.replies.push((Arc::clone(live), ToAgent::EndStored { flow_id: flow }));
            return Ok(());
        };
        if work.progress.state.is_final() {
            group.replies.push((Arc::clone(live), ToAgent::EndStored { flow_id: flow }));
            return Ok(());
        }
        work.runs();
        let request = Arc::clone(work.request());
        let home = Home::of(client, flow);
        let mut complete = true;
        for &(stream, rows) in &end.rows {
            if rows == 0 {
                continue;
            }
            if stream != StreamId::LOG && request.file(stream).is_none() {
                return self.fail_flow(
                    group,
                    live,
                    flow,
                    format!("the agent counted rows of source {} which is not asked for", stream.0),
                );
            }
            if self.next_row(client, &request, home, stream)? < rows {
                complete = false;
                group.stored.insert((client, flow, stream), Arc::clone(live));
            }
        }
        if complete && let Some((upload, offset)) = self.missing_upload(client, flow, whole..end.uploads)? {
            complete = false;
            whole = upload;
            let missing = ToAgent::UploadStored { flow_id: flow, upload, offset, done: false };
            group.replies.push((Arc::clone(live), missing));
        }
        if !complete {
            self.ends.insert(key, Waiting { end, whole });
            return Ok(());
        }
        if let Some(work) = group.flows.get_mut(&key) {
            work.progress.cost = end.cost;
            work.enter(end.state);
        }
        group.replies.push((Arc::clone(live), ToAgent::EndStored { flow_id: flow }));
        Ok(())
    }

    /// Looks again at an end that waited.
    pub(super) fn retry_end(&mut self, group: &mut Group, live: &Arc<Live>, flow: FlowId) -> Outcome {
        match self.ends.remove(&(live.client, flow)) {
            Some(waiting) => self.ended(group, live, waiting),
            None => Ok(()),
        }
    }
}

pub(super) const UNKNOWN: &str = "the hub does not know this flow";
pub(super) const OVER: &str = "the flow is over at the hub";

/// The state that an agent ends a flow with, its texts short enough to keep.
fn plain_end(state: FlowState) -> FlowState {
    let short = |text: String| clip(&text, MAX_REASON);
    match state {
        FlowState::Finished | FlowState::TimedOut { .. } => state,
        FlowState::Failed { reason } => FlowState::Failed { reason: short(reason) },
        FlowState::Cancelled { reason } => FlowState::Cancelled { reason: short(reason) },
        FlowState::Truncated { limit } => FlowState::Truncated { limit: short(limit) },
        FlowState::Lost { reason } => FlowState::Lost { reason: short(reason) },
        FlowState::Queued | FlowState::Offered | FlowState::Running => {
            FlowState::Failed { reason: format!("the agent ended the flow and called it {}", state.name()) }
        }
    }
}
