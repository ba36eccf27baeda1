//! What is due by the clock: hunts expire, and records that may lag are written.

use std::{
    sync::{Arc, atomic::Ordering, mpsc},
    time::Duration,
};

use parking_lot::{Condvar, Mutex};
use protocol::collection::HuntState;

use crate::{Inner, clock::now_ms, hunts::Hunt, ingest::Task};

const TICK: Duration = Duration::from_secs(1);
/// How long to wait for writers that end a hunt.
const PATIENCE: Duration = Duration::from_secs(30);

/// Wakes once a second until it is stopped.
#[derive(Clone, Debug, Default)]
pub(crate) struct Keeper(Arc<(Mutex<bool>, Condvar)>);

impl Keeper {
    pub(crate) fn run(&self, hub: &Inner) {
        loop {
            {
                let mut stopped = self.0.0.lock();
                if !*stopped {
                    self.0.1.wait_for(&mut stopped, TICK);
                }
                if *stopped {
                    return;
                }
            }
            hub.tick(now_ms());
            hub.persist_clients();
        }
    }

    pub(crate) fn stop(&self) {
        *self.0.0.lock() = true;
        self.0.1.notify_all();
    }
}

impl Inner {
    /// What is due at `now_ms`.
    pub(crate) fn tick(&self, now_ms: u64) {
        for hunt in self.hunts.all() {
            let state = hunt.state();
            let open = matches!(state, HuntState::Created | HuntState::Running | HuntState::Paused);
            // A person may have been faster.
            if open && now_ms >= hunt.head.expires_ms && hunt.set_state(state, HuntState::Expired) {
                tracing::info!(hunt = %hunt.id(), "the hunt has expired");
                self.end_hunt(&hunt, "the hunt expired before this client was there", false);
                self.events.hunts.happened();
            }
            if hunt.is_complete(now_ms) && hunt.set_state(HuntState::Running, HuntState::Complete) {
                self.events.hunts.happened();
            }
            if let Err(error) = hunt.write_record(&self.store.paths, false) {
                tracing::error!(hunt = %hunt.id(), %error, "hunt.json could not be written; tried again");
            }
        }
    }

    /// Those that wait are not asked; with `cancel` those that run are to end. False: the disk refused, or the hub
    /// shuts down.
    pub(crate) fn end_hunt(&self, hunt: &Arc<Hunt>, reason: &str, cancel: bool) -> bool {
        if self.stopping.load(Ordering::Acquire) {
            return false;
        }
        let (done, finished) = mpsc::sync_channel(self.intakes.len());
        for intake in &self.intakes {
            let (hunt, reason, done) = (Arc::clone(hunt), reason.to_owned(), done.clone());
            intake.push(Task::EndHunt { hunt, reason, cancel, done });
        }
        drop(done);
        self.intakes.iter().all(|_| finished.recv_timeout(PATIENCE).is_ok())
    }

    /// A flow is to end; returns when that is noted. False as in [`Self::end_hunt`].
    pub(crate) fn end_flow(&self, client: protocol::ClientId, flow: protocol::FlowId, reason: String) -> bool {
        let (done, finished) = mpsc::sync_channel(1);
        self.intake(client).push(Task::Cancel { client, flow, reason, done }) && finished.recv_timeout(PATIENCE).is_ok()
    }
}
