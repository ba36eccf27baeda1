//! Live sessions: who is connected, and what waits to be sent to each.
//!
//! A session's queue holds encoded frames; a hunt's frame is one allocation shared by all queues. Nothing here waits:
//! a queue that is full ends its session, and the agent is told everything again when it comes back.

use std::{
    collections::{HashMap, VecDeque},
    fmt,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use bytes::Bytes;
use parking_lot::{Mutex, RwLock};
use protocol::{
    ClientId, frame,
    message::{ToAgent, ToHub},
};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::{Hub, SessionError};

/// Frames that may wait for one agent: what it is told at its return of all the flows that it has has to fit.
const MAX_FRAMES: usize = 16 << 10;

/// Bytes that may wait for one agent, beyond the first frame.
const MAX_QUEUED: usize = 16 << 20;

/// All live sessions.
#[derive(Debug, Default)]
pub(crate) struct Sessions {
    live: RwLock<HashMap<ClientId, Arc<Live>>>,
    next: AtomicU64,
}

/// One live session, as the rest of the hub sees it.
pub(crate) struct Live {
    pub(crate) client: ClientId,
    number: u64,
    queue: Mutex<Queue>,
    wake: Notify,
    ended: CancellationToken,
}

#[derive(Default)]
struct Queue {
    frames: VecDeque<Bytes>,
    bytes: usize,
    /// Why it ended; nothing more is taken then.
    end: Option<String>,
}

impl fmt::Debug for Live {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Live").field("client", &self.client).field("number", &self.number).finish_non_exhaustive()
    }
}

impl Sessions {
    /// Makes a session; one that the client had before is ended.
    pub(crate) fn open(&self, client: ClientId) -> Arc<Live> {
        let live = Arc::new(Live {
            client,
            number: self.next.fetch_add(1, Ordering::Relaxed),
            queue: Mutex::default(),
            wake: Notify::new(),
            ended: CancellationToken::new(),
        });
        let before = self.live.write().insert(client, Arc::clone(&live));
        if let Some(before) = before {
            before.end(protocol::message::REPLACED, 0);
        }
        live
    }

    /// Forgets the session unless a newer one took its place; true if the client is now away.
    pub(crate) fn forget(&self, live: &Live) -> bool {
        let mut sessions = self.live.write();
        match sessions.get(&live.client) {
            Some(now) if now.number == live.number => sessions.remove(&live.client).is_some(),
            _ => false,
        }
    }

    pub(crate) fn get(&self, client: ClientId) -> Option<Arc<Live>> {
        self.live.read().get(&client).cloned()
    }

    pub(crate) fn is_live(&self, client: ClientId) -> bool {
        self.live.read().contains_key(&client)
    }

    /// Sends one frame to many clients, as far as they are live.
    pub(crate) fn send_to(&self, clients: &[ClientId], frame: &Bytes) {
        let live: Vec<Arc<Live>> = {
            let sessions = self.live.read();
            clients.iter().filter_map(|client| sessions.get(client).cloned()).collect()
        };
        for live in live {
            live.send_frame(frame.clone());
        }
    }

    pub(crate) fn count(&self) -> usize {
        self.live.read().len()
    }

    pub(crate) fn all(&self) -> Vec<Arc<Live>> {
        self.live.read().values().cloned().collect()
    }
}

impl Live {
    /// Queues a frame; false if the session is over, which a full queue makes it.
    pub(crate) fn send_frame(&self, frame: Bytes) -> bool {
        let full = {
            let mut queue = self.queue.lock();
            if queue.end.is_some() {
                return false;
            }
            let full = queue.frames.len() >= MAX_FRAMES
                || (!queue.frames.is_empty() && queue.bytes + frame.len() > MAX_QUEUED);
            if !full {
                queue.bytes += frame.len();
                queue.frames.push_back(frame);
            }
            full
        };
        if full {
            self.end("the agent does not read what the hub sends", 0);
            return false;
        }
        self.wake.notify_one();
        true
    }

    pub(crate) fn send(&self, message: &ToAgent) -> bool {
        match frame::encode(message) {
            Ok(frame) => self.send_frame(frame),
            Err(error) => {
                // Every message made here was checked for its size where it was made.
                tracing::error!(client = %self.client, %error, "a message to an agent could not be encoded");
                false
            }
        }
    }

    /// Ends the session in order: what waited is dropped, and the agent is told why.
    pub(crate) fn end(&self, reason: &str, retry_after_ms: u32) {
        let close = frame::encode(&ToAgent::Close { reason: reason.into(), retry_after_ms }).ok();
        {
            let mut queue = self.queue.lock();
            if queue.end.is_some() {
                return;
            }
            queue.end = Some(reason.into());
            queue.frames.clear();
            queue.frames.extend(close);
            queue.bytes = 0;
        }
        self.ended.cancel();
        self.wake.notify_one();
    }

    fn pop(&self) -> Option<Bytes> {
        let mut queue = self.queue.lock();
        let frame = queue.frames.pop_front()?;
        queue.bytes = queue.bytes.saturating_sub(frame.len());
        if queue.frames.is_empty() {
            // Ten thousand idle sessions hold no buffers.
            queue.frames = VecDeque::new();
        }
        Some(frame)
    }

    pub(crate) fn is_ended(&self) -> bool {
        self.queue.lock().end.is_some()
    }

    fn end_reason(&self) -> Option<String> {
        self.queue.lock().end.clone()
    }
}

/// An agent's live session, as a listener holds it. Clones are the same session; when the last is dropped the
/// session is closed.
#[derive(Clone, Debug)]
pub struct Session {
    handle: Arc<Handle>,
}

struct Handle {
    hub: Hub,
    live: Arc<Live>,
}

impl fmt::Debug for Handle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.live.fmt(f)
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.hub.disconnected(&self.live);
    }
}

impl Session {
    pub(crate) fn new(hub: Hub, live: Arc<Live>) -> (Self, Outbound) {
        let outbound = Outbound { live: Arc::clone(&live) };
        (Self { handle: Arc::new(Handle { hub, live }) }, outbound)
    }

    pub fn client(&self) -> ClientId {
        self.handle.live.client
    }

    /// Takes what the agent says once its session is open: FlowStarted, Rows, Upload, FlowEnded.
    ///
    /// Waits while the writer of this client is busy: not reading on is how an agent is slowed down. Dropping the
    /// future before it is done loses the message. Order is kept for calls that follow each other.
    pub async fn receive(&self, message: ToHub) -> Result<(), SessionError> {
        if let Some(reason) = self.handle.live.end_reason() {
            return Err(SessionError::Ended(reason));
        }
        self.handle.hub.received(&self.handle.live, message).await
    }

    /// Done when the hub has ended the session: send what [`Outbound`] still has, then close the connection.
    pub fn ended(&self) -> &CancellationToken {
        &self.handle.live.ended
    }

    /// Why the hub ended the session; empty while it is live.
    pub fn end_reason(&self) -> String {
        self.handle.live.end_reason().unwrap_or_default()
    }

    /// The connection is gone.
    pub fn close(&self) {
        self.handle.hub.disconnected(&self.handle.live);
    }
}

/// Encoded frames for one agent, in order.
#[derive(Debug)]
pub struct Outbound {
    live: Arc<Live>,
}

impl Outbound {
    /// The next frame; None once the session is over and its last frame was given. Cancel-safe.
    pub async fn next(&mut self) -> Option<Bytes> {
        loop {
            let woken = self.live.wake.notified();
            if let Some(frame) = self.live.pop() {
                return Some(frame);
            }
            if self.live.is_ended() {
                return None;
            }
            woken.await;
        }
    }

    /// The next frame, if one waits.
    pub fn try_next(&mut self) -> Option<Bytes> {
        self.live.pop()
    }
}

/// The address as people look for it: without the port, and IPv4 as such.
pub(crate) fn address_text(from: SocketAddr) -> String {
    from.ip().to_canonical().to_string()
}
