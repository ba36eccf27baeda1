//! "This changed", without data. A watcher that is slow sees several changes as one.

use std::collections::HashMap;

use parking_lot::Mutex;
use protocol::{ClientId, FlowId};
use tokio::sync::watch;

/// The changes that are not a hunt's own.
#[derive(Debug)]
pub(crate) struct Events {
    pub(crate) clients: Change,
    pub(crate) hunts: Change,
    pub(crate) status: Change,
    /// Only flows that somebody watches.
    flows: Mutex<HashMap<(ClientId, FlowId), Change>>,
}

/// One thing that changes.
#[derive(Debug)]
pub(crate) struct Change(watch::Sender<u64>);

impl Default for Change {
    fn default() -> Self {
        Self(watch::Sender::new(0))
    }
}

impl Change {
    pub(crate) fn happened(&self) {
        self.0.send_modify(|count| *count += 1);
    }

    pub(crate) fn watch(&self) -> watch::Receiver<u64> {
        self.0.subscribe()
    }
}

impl Events {
    pub(crate) fn new() -> Self {
        Self {
            clients: Change::default(),
            hunts: Change::default(),
            status: Change::default(),
            flows: Mutex::default(),
        }
    }

    pub(crate) fn watch_flow(&self, client: ClientId, flow: FlowId) -> watch::Receiver<u64> {
        let mut flows = self.flows.lock();
        flows.retain(|_, change| change.0.receiver_count() > 0);
        flows.entry((client, flow)).or_default().watch()
    }

    pub(crate) fn flow_changed(&self, client: ClientId, flow: FlowId) {
        if let Some(change) = self.flows.lock().get(&(client, flow)) {
            change.happened();
        }
    }
}
