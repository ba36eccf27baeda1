//! One session's way through a flow.

use std::{sync::Arc, time::Duration};

use protocol::{
    collection::FlowState,
    message::{RowBatch, ToHub, UploadChunk},
};
use tokio::{
    sync::watch,
    time::{Instant, sleep_until},
};

use super::{Flow, Phase, State};
use crate::spool::Kind;

/// At most so much is under way to the hub.
const MAX_IN_FLIGHT: u64 = 4 << 20;
const MAX_BATCHES_IN_FLIGHT: usize = 1024;

/// A row waits this long for company.
const LINGER: Duration = Duration::from_millis(25);

/// Gives what a session has to say of a flow, in order. Made by [`FlowHandle::cursor`](super::FlowHandle::cursor).
#[derive(Debug)]
pub struct Cursor {
    flow: Arc<Flow>,
    changed: watch::Receiver<u64>,
    started: bool,
    /// The number of the next record to send.
    next: u64,
    /// At least what was sent and is not stored; counted anew when it reaches the bound.
    in_flight: (u64, usize),
    ended: bool,
    seal_at: Option<Instant>,
}

enum Step {
    Send(ToHub),
    Done,
    /// Wait for a change, or until then.
    Wait(Option<Instant>),
}

impl Cursor {
    pub(super) fn new(flow: Arc<Flow>) -> Self {
        let changed = flow.changed.subscribe();
        Self { flow, changed, started: false, next: 0, in_flight: (0, 0), ended: false, seal_at: None }
    }

    /// The next message: `FlowStarted` once the flow runs, then the rows, log lines and uploads that the hub has not
    /// stored (with a bound on what is under way), then `FlowEnded`; None once the hub has stored the end.
    /// Cancel-safe: a dropped future has taken nothing.
    pub async fn next(&mut self) -> Option<ToHub> {
        loop {
            self.changed.borrow_and_update();
            let until = match self.step() {
                Step::Send(message) => return Some(message),
                Step::Done => return None,
                Step::Wait(until) => until,
            };
            match until {
                None => self.changed.changed().await.ok()?,
                Some(until) => tokio::select! {
                    changed = self.changed.changed() => changed.ok()?,
                    () = sleep_until(until) => {}
                },
            }
        }
    }

    fn step(&mut self) -> Step {
        let flow = self.flow.clone();
        let mut state = flow.state.lock();
        if state.forgotten {
            return Step::Done;
        }
        if state.phase == Phase::Queued {
            return Step::Wait(None);
        }
        if !self.started {
            self.started = true;
            return Step::Send(ToHub::FlowStarted { flow_id: flow.id() });
        }
        if self.is_full(&state) {
            return Step::Wait(None);
        }
        if let Some(message) = self.record(&mut state) {
            return Step::Send(message);
        }
        if state.has_open_rows() && !state.halted {
            let at = *self.seal_at.get_or_insert_with(|| Instant::now() + LINGER);
            if Instant::now() < at {
                return Step::Wait(Some(at));
            }
            self.seal_at = None;
            if let Err(error) = state.seal_all() {
                drop(state);
                let reason = format!("the agent's spool cannot be written: {error}");
                flow.stop(FlowState::Failed { reason });
                return Step::Wait(None);
            }
            return match self.record(&mut state) {
                Some(message) => Step::Send(message),
                None => Step::Wait(None),
            };
        }
        self.seal_at = None;
        match &state.queue.made().end {
            Some(end) if !self.ended => {
                self.ended = true;
                Step::Send(ToHub::FlowEnded(end.clone()))
            }
            _ => Step::Wait(None),
        }
    }

    fn is_full(&mut self, state: &State) -> bool {
        let full = |(bytes, batches)| bytes >= MAX_IN_FLIGHT || batches >= MAX_BATCHES_IN_FLIGHT;
        if full(self.in_flight) {
            self.in_flight = state.queue.waiting_before(self.next);
        }
        full(self.in_flight)
    }

    /// The next record that waits for the hub.
    fn record(&mut self, state: &mut State) -> Option<ToHub> {
        let (seq, kind, len) = state.queue.record_from(self.next)?;
        let kind = kind.clone();
        let data = match state.queue.read(seq) {
            Ok(data) => data,
            Err(error) => {
                self.give_up(state, &error);
                return None;
            }
        };
        self.next = seq + 1;
        self.in_flight.0 += u64::from(len);
        self.in_flight.1 += 1;
        let flow_id = self.flow.id();
        Some(match kind {
            Kind::Rows { stream, first_row, rows, encoding } => {
                ToHub::Rows(RowBatch { flow_id, stream, first_row, rows, encoding, data })
            }
            Kind::Chunk { upload, offset, name, end } => {
                ToHub::Upload(UploadChunk { flow_id, upload, name, offset, data, end })
            }
        })
    }

    /// The spool cannot be read: what is in it is lost, and the flow says so.
    fn give_up(&self, state: &mut State, error: &std::io::Error) {
        if state.halted {
            return;
        }
        tracing::error!(flow = %self.flow.id(), %error, "the spool cannot be read");
        let reason = format!("the agent's spool cannot be read: {error}");
        state.queue.give_up();
        let cost = state.queue.made().end.as_ref().map(|end| end.cost).unwrap_or_default();
        let end = state.end(self.flow.id(), FlowState::Failed { reason: reason.clone() }, cost);
        if state.phase == Phase::Ended {
            let _ = state.queue.append_end(end);
        } else {
            state.stop.get_or_insert(FlowState::Failed { reason });
            self.flow.cancel.cancel();
        }
    }
}
