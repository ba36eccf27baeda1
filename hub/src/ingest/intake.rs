//! The way into a writer thread: a queue that is bounded by bytes for what agents send, and open for what the hub
//! itself has to say, which is bounded by sessions and people.

use std::{
    collections::VecDeque,
    sync::{Arc, mpsc},
};

use parking_lot::{Condvar, Mutex};
use protocol::{
    ClientId, FlowId,
    collection::{FlowState, StreamId},
    message::ToHub,
};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::{hunts::Hunt, sessions::Live};

/// What agents' messages may take in one queue, in KiB.
const ROOM: usize = 32 << 10;

/// One thing for a writer to do.
#[derive(Debug)]
pub(crate) enum Task {
    Message {
        live: Arc<Live>,
        message: ToHub,
        /// Given back when the message is dealt with.
        room: OwnedSemaphorePermit,
    },
    /// A session began; the agent said that it has these flows.
    Connected {
        live: Arc<Live>,
        flows: Vec<FlowId>,
        /// Of a client that was not known: its first labels.
        labels: Vec<String>,
    },
    /// A session ended, and no other took its place.
    Disconnected {
        client: ClientId,
    },
    /// A client changed: a hunt may be for it now.
    Reconsider {
        client: ClientId,
    },
    /// The client's record is to be written.
    Persist {
        client: ClientId,
    },
    Cancel {
        client: ClientId,
        flow: FlowId,
        reason: String,
        done: mpsc::SyncSender<()>,
    },
    /// A hunt was stopped, or has expired: those that wait will not be asked. `cancel`: those that run are to end.
    EndHunt {
        hunt: Arc<Hunt>,
        reason: String,
        cancel: bool,
        done: mpsc::SyncSender<()>,
    },
    /// Everything before this is done, then the thread ends.
    Stop,
}

#[derive(Debug)]
pub(crate) struct Intake {
    queue: Mutex<Queue>,
    wake: Condvar,
    room: Arc<Semaphore>,
}

#[derive(Debug, Default)]
struct Queue {
    tasks: VecDeque<Task>,
    closed: bool,
}

impl Intake {
    pub(crate) fn new() -> Self {
        Self { queue: Mutex::default(), wake: Condvar::new(), room: Arc::new(Semaphore::new(ROOM)) }
    }

    /// Waits, in turn, for room for a message. None: the hub is shutting down.
    pub(crate) async fn room(&self, message: &ToHub) -> Option<OwnedSemaphorePermit> {
        let kib = 1 + (size(message) >> 10).min(ROOM / 2);
        Arc::clone(&self.room).acquire_many_owned(kib as u32).await.ok()
    }

    /// False: the thread takes nothing more.
    pub(crate) fn push(&self, task: Task) -> bool {
        let mut queue = self.queue.lock();
        if queue.closed {
            return false;
        }
        if matches!(task, Task::Stop) {
            queue.closed = true;
            self.room.close();
        }
        queue.tasks.push_back(task);
        drop(queue);
        self.wake.notify_one();
        true
    }

    /// All that waits; blocks until there is something.
    pub(crate) fn take(&self) -> VecDeque<Task> {
        let mut queue = self.queue.lock();
        while queue.tasks.is_empty() {
            self.wake.wait(&mut queue);
        }
        std::mem::take(&mut queue.tasks)
    }
}

fn size(message: &ToHub) -> usize {
    match message {
        ToHub::Rows(batch) => batch.data.len(),
        ToHub::Upload(chunk) => {
            chunk.data.len() + chunk.name.len() + chunk.end.as_ref().map_or(0, |end| end.sha256.len())
        }
        ToHub::FlowEnded(end) => {
            let text = match &end.state {
                FlowState::Failed { reason } | FlowState::Cancelled { reason } | FlowState::Lost { reason } => {
                    reason.len()
                }
                FlowState::Truncated { limit } => limit.len(),
                _ => 0,
            };
            text + end.rows.len() * size_of::<(StreamId, u64)>()
        }
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use bytes::Bytes;
    use protocol::{
        collection::{FlowCost, FlowEnd},
        message::{UploadChunk, UploadEnd},
    };

    use super::*;

    #[test]
    fn whatever_is_long_in_a_message_takes_room() {
        let (flow_id, long) = (FlowId::new(1, 1), 1 << 20);
        let text = || "x".repeat(long);
        let end =
            |state, rows| ToHub::FlowEnded(FlowEnd { flow_id, state, rows, uploads: 0, cost: FlowCost::default() });
        let chunk = |name, data, sha256| {
            let end = Some(UploadEnd { size: 0, sha256 });
            ToHub::Upload(UploadChunk { flow_id, upload: 0, name, offset: 0, data, end })
        };
        for message in [
            end(FlowState::Failed { reason: text() }, vec![]),
            end(FlowState::Cancelled { reason: text() }, vec![]),
            end(FlowState::Lost { reason: text() }, vec![]),
            end(FlowState::Truncated { limit: text() }, vec![]),
            end(FlowState::Finished, vec![(StreamId(0), 1); long / 8]),
            chunk(text(), Bytes::new(), String::new()),
            chunk(String::new(), text().into(), String::new()),
            chunk(String::new(), Bytes::new(), text()),
        ] {
            assert!(size(&message) >= long);
        }
    }
}
