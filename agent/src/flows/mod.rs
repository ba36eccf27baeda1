//! Flows: started once, watched, limited, cancelled, and remembered until the hub has all of them.
//!
//! A flow runs on a thread of its own. Its rows become JSONL batches in the spool; a [`Cursor`] is one session's way
//! through them. What a killed agent leaves is found again by [`Flows::open`]: a flow that was still running runs again
//! from its start, and its rows are held against those it had made, by a rolling hash. The same beginning, and it goes
//! on with new rows under the next row numbers, so that each row is there exactly once; another one, and the flow fails
//! with a plain reason and keeps its rows. A flow that changes its host, or that has been run [`MAX_RUNS`] times, is not
//! run again.

mod cursor;
mod run;
#[cfg(test)]
mod tests;
mod throttle;
mod vql_runner;

use std::{
    collections::{BTreeMap, VecDeque},
    panic::{AssertUnwindSafe, catch_unwind},
    path::PathBuf,
    sync::{Arc, Weak},
    time::{Duration, Instant},
};

use parking_lot::Mutex;
use protocol::{
    FlowId,
    collection::{FlowCost, FlowEnd, FlowRequest, FlowState, StreamId},
    message::ToAgent,
};
use tokio::sync::{mpsc, watch};

pub use cursor::Cursor;
pub use run::{FlowRun, UploadError, Uploaded};
pub use vql_runner::VqlRunner;

use crate::spool::{FlowSpool, Made, Spool, SpoolError, Usage};

/// A flow starts at most this often: once, and three times again after the agent was killed.
pub const MAX_RUNS: u32 = 4;

/// A query that is to stop and does not, because the system holds its thread (a network file system that has gone),
/// is left alone after this time.
const STUCK: Duration = Duration::from_secs(5);

/// What [`Flows`] may take.
#[derive(Clone, Debug)]
pub struct FlowsConfig {
    /// None: in memory, for a swarm; nothing survives the process.
    pub spool_dir: Option<PathBuf>,
    /// What all flows together may hold before their queries pause. Each flow may exceed it by one batch.
    pub max_spool_bytes: u64,
    /// Flows that run at once; others wait in the order in which they came.
    pub max_running: usize,
    /// Flows that are known at once, waiting for the hub included. More are not taken: the hub offers them again.
    pub max_flows: usize,
    /// Of a flow's thread; reserved, not used.
    pub stack_bytes: usize,
}

impl Default for FlowsConfig {
    fn default() -> Self {
        Self {
            spool_dir: None,
            max_spool_bytes: 64 << 20,
            max_running: 8,
            max_flows: 4096,
            stack_bytes: vql::eval::BIG_STACK,
        }
    }
}

/// What makes a flow's rows. [`VqlRunner`] is the real one; a swarm may bring a stub.
pub trait Runner: Send + Sync + 'static {
    /// Running the request a second time could change the host a second time.
    fn has_side_effects(&self, request: &FlowRequest) -> bool;

    /// Runs all sources and returns when they are done or [`FlowRun`] says stop; `Err` is why the flow failed.
    /// Called on a thread of the flow's own; a panic fails the flow alone.
    fn run(&self, request: &FlowRequest, run: &FlowRun) -> Result<(), String>;
}

/// All flows of an agent. Clones are the same ones. When the last clone is dropped, all stop where they are, as if
/// the agent had been killed.
#[derive(Clone)]
pub struct Flows(Arc<Inner>);

struct Inner {
    spool: Spool,
    runner: Arc<dyn Runner>,
    config: FlowsConfig,
    table: Mutex<Table>,
    announce: mpsc::Sender<FlowHandle>,
    runtime: tokio::runtime::Handle,
}

#[derive(Default)]
struct Table {
    flows: BTreeMap<FlowId, Arc<Flow>>,
    queued: VecDeque<Arc<Flow>>,
    running: usize,
    /// Shutting down: nothing starts any more.
    closed: bool,
}

impl Flows {
    /// Opens the spool, starts what a killed agent left running, and announces every flow, found or started later,
    /// once on the receiver. Must be called within a Tokio runtime, whose clock ends flows at their timeout.
    pub fn open(
        config: FlowsConfig,
        registry: Arc<vql::Registry>,
    ) -> Result<(Flows, mpsc::Receiver<FlowHandle>), SpoolError> {
        let runner = VqlRunner::new(registry, config.spool_dir.clone());
        Self::with_runner(config, Arc::new(runner))
    }

    /// As [`Flows::open`], with rows from elsewhere.
    pub fn with_runner(
        config: FlowsConfig,
        runner: Arc<dyn Runner>,
    ) -> Result<(Flows, mpsc::Receiver<FlowHandle>), SpoolError> {
        let (spool, recovered) = Spool::open(config.spool_dir.clone(), config.max_spool_bytes)?;
        let (announce, announced) = mpsc::channel(config.max_flows.max(recovered.len()).max(1));
        let inner = Arc::new(Inner {
            spool,
            runner,
            config,
            table: Mutex::default(),
            announce,
            runtime: tokio::runtime::Handle::current(),
        });
        for found in recovered {
            inner.take_up(found.request, found.queue);
        }
        inner.run_queued();
        Ok((Flows(inner), announced))
    }

    /// Starts a flow, at once or when its turn comes. Nothing happens for a flow that is known.
    pub fn start(&self, request: FlowRequest) {
        let inner = &self.0;
        {
            let table = inner.table.lock();
            if table.closed || table.flows.contains_key(&request.flow_id) {
                return;
            }
            if table.flows.len() >= inner.config.max_flows {
                tracing::warn!(flow = %request.flow_id, known = table.flows.len(), "too many flows wait for the hub: not taken");
                return;
            }
        }
        match inner.spool.create(&request) {
            Ok(queue) => inner.take_up(request, queue),
            Err(error) => {
                let reason = format!("the agent's spool cannot be written: {error}");
                let flow = inner.enter(request, inner.spool.memory());
                flow.end_without_run(FlowState::Failed { reason });
            }
        }
        inner.run_queued();
    }

    /// Stops a flow; its end is reported with the rows made before.
    pub fn cancel(&self, flow_id: FlowId, reason: &str) {
        let Some(flow) = self.0.find(flow_id) else { return };
        let state = FlowState::Cancelled { reason: reason.to_owned() };
        let waiting = {
            let mut table = self.0.table.lock();
            let before = table.queued.len();
            table.queued.retain(|queued| queued.id() != flow_id);
            table.queued.len() < before
        };
        if waiting {
            flow.end_without_run(state);
        } else {
            flow.stop(state);
        }
    }

    /// Flows whose end the hub has not stored.
    pub fn unfinished(&self) -> Vec<FlowId> {
        self.0.table.lock().flows.keys().copied().collect()
    }

    /// A handle for each of [`Flows::unfinished`].
    pub fn handles(&self) -> Vec<FlowHandle> {
        self.0.table.lock().flows.values().cloned().map(FlowHandle).collect()
    }

    /// Takes in what the hub says of flows: offers, cancels and what it has stored. Other messages are ignored.
    pub fn handle_message(&self, message: &ToAgent) {
        match message {
            ToAgent::StartFlow(request) => self.start(request.clone()),
            ToAgent::CancelFlow { flow_id, reason } => self.cancel(*flow_id, reason),
            ToAgent::Stored { flow_id, stream, next_row } => {
                if let Some(flow) = self.0.find(*flow_id) {
                    flow.update(|state| state.queue.stored(*stream, *next_row));
                }
            }
            ToAgent::UploadStored { flow_id, upload, offset, done } => {
                if let Some(flow) = self.0.find(*flow_id) {
                    flow.update(|state| state.queue.upload_stored(*upload, *offset, *done));
                }
            }
            ToAgent::EndStored { flow_id } => self.0.forget(*flow_id),
            ToAgent::Welcome(_)
            | ToAgent::Refuse(_)
            | ToAgent::Enrolled { .. }
            | ToAgent::Ping { .. }
            | ToAgent::Pong { .. }
            | ToAgent::Close { .. } => {}
        }
    }

    /// Stops all flows where they are and returns when their threads are done; those that ran will run again. What
    /// was made stays in the spool.
    pub async fn shutdown(&self) {
        let flows: Vec<_> = {
            let mut table = self.0.table.lock();
            table.closed = true;
            table.queued.clear();
            table.flows.values().cloned().collect()
        };
        for flow in &flows {
            flow.halt(true);
        }
        let all_done = async {
            for flow in flows {
                let mut changed = flow.changed.subscribe();
                while flow.state.lock().phase == Phase::Running {
                    if changed.changed().await.is_err() {
                        break;
                    }
                }
            }
        };
        if tokio::time::timeout(STUCK, all_done).await.is_err() {
            tracing::warn!("a plugin does not stop: its thread is left alone");
        }
    }
}

impl std::fmt::Debug for Flows {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Flows({})", self.0.table.lock().flows.len())
    }
}

impl Inner {
    fn find(&self, id: FlowId) -> Option<Arc<Flow>> {
        self.table.lock().flows.get(&id).cloned()
    }

    /// Makes a flow known and says so.
    fn enter(&self, request: FlowRequest, queue: FlowSpool) -> Arc<Flow> {
        let flow = Arc::new(Flow::new(request, queue));
        self.table.lock().flows.insert(flow.id(), flow.clone());
        // Full only when nobody takes handles out; `handles()` then has them.
        let _ = self.announce.try_send(FlowHandle(flow.clone()));
        flow
    }

    /// Queues a flow to run, unless it ended before or must not run again.
    fn take_up(&self, request: FlowRequest, queue: FlowSpool) {
        let runs = queue.made().runs;
        let ended = queue.made().end.is_some();
        let flow = self.enter(request, queue);
        if ended {
            flow.update(|state| state.phase = Phase::Ended);
            return;
        }
        let refusal = if runs >= MAX_RUNS {
            Some(format!("the agent stopped while it ran, {runs} times: not run again"))
        } else if runs > 0 && self.runner.has_side_effects(&flow.request) {
            Some("the agent stopped while it ran, and a query that changes the client is not run twice".to_owned())
        } else if flow.request.sources.len() > StreamId::MAX_SOURCES {
            Some(format!("{} sources; at most {} can run", flow.request.sources.len(), StreamId::MAX_SOURCES))
        } else {
            None
        };
        match refusal {
            Some(reason) => flow.end_without_run(FlowState::Failed { reason }),
            None => self.table.lock().queued.push_back(flow),
        }
    }

    /// Starts as many of the waiting flows as may run.
    fn run_queued(self: &Arc<Self>) {
        loop {
            let flow = {
                let mut table = self.table.lock();
                if table.closed || table.running >= self.config.max_running.max(1) {
                    return;
                }
                let Some(flow) = table.queued.pop_front() else { return };
                table.running += 1;
                flow
            };
            let inner = Arc::downgrade(self);
            let (runner, runtime) = (self.runner.clone(), self.runtime.clone());
            let thread = std::thread::Builder::new().name("flow".into()).stack_size(self.config.stack_bytes);
            let running = flow.clone();
            let stack = self.config.stack_bytes;
            if let Err(error) = thread.spawn(move || {
                vql::eval::stack_is(stack);
                let stuck = inner.clone();
                running.run(&*runner, &runtime, move |flow| Self::ended(&stuck, flow));
                Self::ended(&inner, &running);
            }) {
                self.table.lock().running -= 1;
                flow.end_without_run(FlowState::Failed { reason: format!("no thread could be started: {error}") });
            }
        }
    }

    /// Makes place for the next one, once for each run.
    fn ended(inner: &Weak<Self>, flow: &Flow) {
        let Some(inner) = inner.upgrade() else { return };
        if !std::mem::replace(&mut flow.state.lock().counted_out, true) {
            inner.table.lock().running -= 1;
        }
        if flow.state.lock().forgotten {
            inner.forget(flow.id());
        }
        inner.run_queued();
    }

    /// The hub has all of the flow.
    fn forget(&self, id: FlowId) {
        let Some(flow) = self.find(id) else { return };
        self.table.lock().queued.retain(|queued| queued.id() != id);
        let running = flow.update(|state| {
            state.forgotten = true;
            if state.phase == Phase::Running {
                return true;
            }
            state.phase = Phase::Ended;
            state.queue.remove();
            false
        });
        if running {
            // The hub gave the flow up; the thread's end takes us here again.
            flow.stop(FlowState::Cancelled { reason: "the hub has ended the flow".into() });
        } else {
            self.table.lock().flows.remove(&id);
        }
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        for flow in self.table.get_mut().flows.values() {
            flow.halt(false);
        }
    }
}

/// One flow, as the session's code holds it.
#[derive(Clone, Debug)]
pub struct FlowHandle(Arc<Flow>);

impl FlowHandle {
    pub fn flow_id(&self) -> FlowId {
        self.0.id()
    }

    /// A new session's way through the flow, from what the hub has not stored.
    pub fn cursor(&self) -> Cursor {
        Cursor::new(self.0.clone())
    }
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Phase {
    Queued,
    Running,
    /// Its end is in the queue, or the agent stopped it to run it again later.
    Ended,
}

/// How the time of a run passes.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Clock {
    Runs,
    /// The query waits for space in the spool: it is the hub that is slow.
    Stands,
    /// The run was told to stop.
    Stopping,
}

/// What the flow's thread, the cursors and the agent's loop share.
pub(crate) struct Flow {
    request: FlowRequest,
    cancel: vql::CancelToken,
    /// Counts what cursors should look at.
    changed: watch::Sender<u64>,
    clock: watch::Sender<Clock>,
    usage: Arc<Usage>,
    state: Mutex<State>,
}

struct State {
    queue: FlowSpool,
    phase: Phase,
    open: BTreeMap<StreamId, Open>,
    /// Why the run is to stop; the first reason counts.
    stop: Option<FlowState>,
    /// The agent stops or is gone: nothing may be written any more.
    halted: bool,
    /// The hub has all of it.
    forgotten: bool,
    /// It no longer takes a place among the running.
    counted_out: bool,
    /// Of this run.
    rows: u64,
    bytes: u64,
    log_lines: u64,
    uploads: u32,
}

/// Rows of one stream that are in no batch yet.
#[derive(Default)]
struct Open {
    buffer: Vec<u8>,
    rows: u32,
    /// Of this run, with the rows that an earlier one had made.
    run: Made,
    /// What an earlier run had made, until this one has got there.
    replay: Option<Made>,
}

impl Flow {
    fn new(request: FlowRequest, queue: FlowSpool) -> Self {
        let usage = queue.usage().clone();
        Self {
            request,
            cancel: vql::CancelToken::new(),
            changed: watch::Sender::new(0),
            clock: watch::Sender::new(Clock::Runs),
            usage,
            state: Mutex::new(State {
                queue,
                phase: Phase::Queued,
                open: BTreeMap::new(),
                stop: None,
                halted: false,
                forgotten: false,
                counted_out: false,
                rows: 0,
                bytes: 0,
                log_lines: 0,
                uploads: 0,
            }),
        }
    }

    pub(crate) fn id(&self) -> FlowId {
        self.request.flow_id
    }

    fn update<R>(&self, change: impl FnOnce(&mut State) -> R) -> R {
        let result = change(&mut self.state.lock());
        self.notify();
        result
    }

    fn notify(&self) {
        self.changed.send_modify(|n| *n = n.wrapping_add(1));
    }

    /// Asks the run to stop, and says what the flow's end will be.
    fn stop(&self, state: FlowState) {
        {
            let mut own = self.state.lock();
            if own.phase == Phase::Ended {
                return;
            }
            own.stop.get_or_insert(state);
        }
        self.cancel.cancel();
        self.clock.send_replace(Clock::Stopping);
        self.usage.wake();
    }

    /// Stops without an end: what runs now runs again when the spool is opened next.
    fn halt(&self, keep_open_rows: bool) {
        {
            let mut state = self.state.lock();
            if keep_open_rows && !state.halted && state.phase == Phase::Running {
                // What is made is kept; the next run is held against it.
                let _ = state.seal_all();
            }
            state.halted = true;
        }
        self.cancel.cancel();
        self.usage.wake();
        self.notify();
    }

    fn end_without_run(self: &Arc<Self>, end: FlowState) {
        if let FlowState::Failed { reason } = &end {
            FlowRun::new(self).log(vql::Level::Error, reason);
        }
        self.finish(end, FlowCost::default());
    }

    fn run(
        self: &Arc<Self>,
        runner: &dyn Runner,
        runtime: &tokio::runtime::Handle,
        leave_alone: impl FnOnce(&Flow) + Send + 'static,
    ) {
        let started = Instant::now();
        let begun = self.update(|state| {
            if state.halted {
                state.phase = Phase::Ended;
                return Ok(false);
            }
            state.phase = Phase::Running;
            let again = state.queue.made().runs > 0;
            for (stream, made) in &state.queue.made().streams {
                if *stream != StreamId::LOG {
                    state.open.insert(*stream, Open { replay: Some(*made), ..Open::default() });
                }
            }
            state.queue.append_run().map(|()| again)
        });
        let run = FlowRun::new(self);
        let outcome = match begun {
            Err(error) => Err(format!("the agent's spool cannot be written: {error}")),
            Ok(_) if self.state.lock().halted => return,
            Ok(again) => {
                if again {
                    run.log(vql::Level::Warn, "the agent stopped while the flow ran: it runs again from its start");
                }
                let timeout = match self.request.limits.timeout_s {
                    0 => protocol::collection::Limits::default().timeout_s,
                    seconds => seconds,
                };
                let flow = run.flow.clone();
                let watch = runtime.spawn(async move {
                    flow.watch_time(timeout).await;
                    flow.end_of_stuck_run(started.elapsed());
                    leave_alone(&flow);
                });
                let result = catch_unwind(AssertUnwindSafe(|| runner.run(&self.request, &run)));
                watch.abort();
                result.unwrap_or_else(|panic| Err(format!("the query panicked: {}", panic_text(&*panic))))
            }
        };
        let cost = FlowCost {
            duration_ms: started.elapsed().as_millis() as u64,
            cpu_ms: run.throttle().used().as_millis() as u64,
        };
        let end = {
            let mut state = self.state.lock();
            if state.halted || state.phase == Phase::Ended {
                state.phase = Phase::Ended;
                drop(state);
                self.notify();
                return;
            }
            let missing = state.open.values().find_map(|open| open.replay.map(|before| (open.run.rows, before.rows)));
            match (state.stop.take(), outcome, missing) {
                (Some(stop), ..) => stop,
                (None, Err(reason), _) => FlowState::Failed { reason: run::cut(&reason, run::MAX_MESSAGE).to_owned() },
                (None, Ok(()), Some((now, before))) => FlowState::Failed {
                    reason: format!(
                        "run again after the agent stopped, the query gave {now} rows where it had given {before}"
                    ),
                },
                (None, Ok(()), None) => FlowState::Finished,
            }
        };
        match &end {
            FlowState::Finished => {}
            FlowState::Truncated { .. } => run.log(vql::Level::Warn, &end.to_string()),
            other => run.log(vql::Level::Error, &other.to_string()),
        }
        self.finish(end, cost);
    }

    /// The thread is held by the system: the flow ends without it, and what the thread may still say is not heard.
    fn end_of_stuck_run(self: &Arc<Self>, after: Duration) {
        let Some(stop) = self.state.lock().stop.clone() else { return };
        FlowRun::new(self).log(vql::Level::Warn, "a plugin did not stop when told to: its thread is left alone");
        self.finish(stop, FlowCost { duration_ms: after.as_millis() as u64, cpu_ms: 0 });
    }

    fn finish(&self, state: FlowState, cost: FlowCost) {
        self.update(|own| {
            if own.halted || own.phase == Phase::Ended {
                own.phase = Phase::Ended;
                return;
            }
            let sealed = own.seal_all();
            own.open.clear();
            let state = match sealed {
                Ok(()) => state,
                Err(error) => FlowState::Failed { reason: format!("the agent's spool cannot be written: {error}") },
            };
            let end = own.end(self.request.flow_id, state, cost);
            if let Err(error) = own.queue.append_end(end) {
                tracing::warn!(flow = %self.request.flow_id, %error, "the end of a flow cannot be written");
            }
            own.phase = Phase::Ended;
        });
    }

    /// Stops the run at its timeout, in which the time that the spool was full does not count. Returns when the run
    /// was told to stop and has not heard it.
    async fn watch_time(&self, timeout_s: u32) {
        let mut left = Duration::from_secs(timeout_s.into());
        let mut clock = self.clock.subscribe();
        loop {
            let now = *clock.borrow_and_update();
            match now {
                Clock::Runs => {
                    let from = tokio::time::Instant::now();
                    tokio::select! {
                        () = tokio::time::sleep(left) => self.stop(FlowState::TimedOut { after_s: timeout_s }),
                        changed = clock.changed() => {
                            if changed.is_err() {
                                return;
                            }
                            left = left.saturating_sub(from.elapsed());
                        }
                    }
                }
                Clock::Stands => {
                    if clock.changed().await.is_err() {
                        return;
                    }
                }
                Clock::Stopping => return tokio::time::sleep(STUCK).await,
            }
        }
    }

    fn turn_clock(&self, from: Clock, to: Clock) {
        self.clock.send_if_modified(|clock| {
            let turn = *clock == from;
            if turn {
                *clock = to;
            }
            turn
        });
    }

    /// Holds the query while the spool is full.
    fn wait_for_space(&self) {
        let mut waited = false;
        while self.usage.is_full() && !self.cancel.is_cancelled() {
            let state = self.state.lock();
            // A flow that holds nothing may go on, whatever the others hold. One that does not run speaks on the agent's
            // own loop, without which no space would ever come.
            if state.halted || state.phase != Phase::Running || state.queue.live_bytes() == 0 {
                break;
            }
            drop(state);
            if !waited {
                waited = true;
                self.turn_clock(Clock::Runs, Clock::Stands);
            }
            self.usage.wait();
        }
        if waited {
            self.turn_clock(Clock::Stands, Clock::Runs);
        }
    }
}

impl std::fmt::Debug for Flow {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Flow({})", self.request.flow_id)
    }
}

impl State {
    /// Makes a batch of the open rows of a stream.
    fn seal(&mut self, stream: StreamId) -> std::io::Result<()> {
        let Some(open) = self.open.get_mut(&stream) else { return Ok(()) };
        if open.rows == 0 || self.halted {
            return Ok(());
        }
        let (rows, hash) = (std::mem::take(&mut open.rows), open.run.hash);
        let written = self.queue.append_rows(stream, rows, &open.buffer, hash);
        // Batches are small but a row may be large: do not hold on to its space.
        if open.buffer.capacity() > 4 * run::BATCH_BYTES {
            open.buffer = Vec::new();
        } else {
            open.buffer.clear();
        }
        written
    }

    fn seal_all(&mut self) -> std::io::Result<()> {
        let streams: Vec<StreamId> = self.open.keys().copied().collect();
        streams.into_iter().try_for_each(|stream| self.seal(stream))
    }

    /// The run is to give no more rows.
    fn is_over(&self) -> bool {
        self.halted || self.stop.is_some() || self.phase == Phase::Ended
    }

    fn has_open_rows(&self) -> bool {
        self.open.values().any(|open| open.rows > 0)
    }

    fn end(&self, flow_id: FlowId, state: FlowState, cost: FlowCost) -> FlowEnd {
        let made = self.queue.made();
        FlowEnd {
            flow_id,
            state,
            rows: made.streams.iter().filter(|(_, m)| m.rows > 0).map(|(stream, m)| (*stream, m.rows)).collect(),
            uploads: made.uploads.values().filter(|upload| upload.sha256.is_some()).count() as u32,
            cost,
        }
    }
}

fn panic_text(panic: &(dyn std::any::Any + Send)) -> &str {
    panic
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("without a word")
}
