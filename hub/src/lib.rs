//! The centre: agents come in, their rows go to flat files, people ask and look.
//!
//! [`Hub`] is the whole of it without sockets: listeners bring agents by [`Hub::connect`] and [`Hub::enrol`], the
//! interface for people calls the rest. Calls for people read and write files: in async code, make them on a blocking
//! thread.
//!
//! Locks are short and held across no wait and no file. Where two are held, the order is: `clients.labels`,
//! `hunt.record`, `hunt.journal`, `hunt.arrivals`, then any of `clients.records`, `hunts.all`, `hunt.table`,
//! `flows.table`, `sessions.live`, a session's queue. Three of them guard a file and are held while it is used:
//! `clients.labels`, `hunt.record`, `hunt.journal`; and `hunt.arrivals` while an index is first read.

pub mod api;
mod artifacts;
pub mod auth;
mod clients;
mod clock;
mod config;
mod enrolment;
mod error;
mod events;
mod flows;
mod hunts;
mod ingest;
mod keeper;
mod launcher;
pub mod listener;
mod people;
mod sessions;
mod store;
#[cfg(test)]
mod tests;

use std::{
    collections::HashSet,
    io,
    net::SocketAddr,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread::{self, JoinHandle},
};

use parking_lot::Mutex;
use protocol::{
    ClientId, FlowId,
    collection::{ArtifactRequest, Collection, Limits},
    message::{Hello, Refuse, RefuseCode, ToHub},
};

use artifacts::{Artifacts, INTERROGATION};
use clients::{Clients, clip_name};
use clock::now_ms;
use events::Events;
use flows::{Flow, FlowHead, Flows};
use hunts::Hunts;
use ingest::{Intake, Shard, Task};
use keeper::Keeper;
use launcher::Compiled;
use sessions::{Live, Sessions, address_text};
use store::{Journal, Store};

pub use config::Config;
pub use error::{HubError, OpenError, SessionError};
pub use people::HuntAction;
pub use sessions::{Outbound, Session};

/// A running hub. Clones are the same hub; when the last is dropped it stops as after [`Hub::shutdown`].
#[derive(Clone, Debug)]
pub struct Hub {
    inner: Arc<Inner>,
    running: Arc<Running>,
}

/// What the writer threads and the front share.
#[derive(Debug)]
struct Inner {
    config: Config,
    store: Store,
    artifacts: Artifacts,
    clients: Clients,
    sessions: Sessions,
    flows: Flows,
    hunts: Hunts,
    events: Events,
    intakes: Vec<Arc<Intake>>,
    /// What a new client is asked, compiled once.
    interrogation: Option<(Collection, Arc<Compiled>)>,
    audit: Mutex<Journal>,
    /// Clients whose record is newer than their file.
    dirty: Mutex<HashSet<ClientId>>,
    started_ms: u64,
    /// Rows received and not yet on disk.
    behind: AtomicU64,
    stopping: AtomicBool,
    sick: AtomicBool,
    health: Mutex<String>,
}

/// The threads; dropped after everybody who could give them work.
#[derive(Debug)]
struct Running {
    inner: Arc<Inner>,
    threads: Mutex<Vec<JoinHandle<()>>>,
    keeper: Keeper,
}

impl Hub {
    /// Opens the datastore, repairs what a crash left behind, and starts the writers.
    pub fn open(config: Config) -> Result<Self, OpenError> {
        let shards = match config.shards {
            0 => thread::available_parallelism().map_or(1, usize::from).min(8),
            some => some,
        };
        let store = Store::open(config.datastore.clone(), config.filestore.clone(), shards)?;
        let paths = store.paths.clone();
        let artifacts = Artifacts::load(&paths).with_endpoint(config.endpoint.clone());
        let interrogation = Self::compile_interrogation(&artifacts);
        let audit = Journal::open(&paths.audit(), |_| {}).map_err(|source| OpenError::Io {
            path: paths.audit(),
            what: "open",
            source,
        })?;
        let inner = Arc::new(Inner {
            clients: Clients::load(&paths)?,
            hunts: Hunts::load(&paths, store.shards)?,
            sessions: Sessions::default(),
            flows: Flows::default(),
            events: Events::new(),
            intakes: (0..store.shards).map(|_| Arc::new(Intake::new())).collect(),
            artifacts,
            interrogation,
            audit: Mutex::new(audit),
            dirty: Mutex::default(),
            started_ms: now_ms(),
            behind: AtomicU64::new(0),
            stopping: AtomicBool::new(false),
            sick: AtomicBool::new(false),
            health: Mutex::default(),
            config,
            store,
        });
        let start = |name: String, run: Box<dyn FnOnce() + Send>| {
            let source = |source| OpenError::Io { path: paths.root().into(), what: "start a writer thread", source };
            thread::Builder::new().name(name).spawn(run).map_err(source)
        };
        let running =
            Arc::new(Running { inner: Arc::clone(&inner), threads: Mutex::default(), keeper: Keeper::default() });
        for (number, intake) in inner.intakes.iter().enumerate() {
            let shard = Shard::new(number, Arc::clone(&inner), Arc::clone(intake));
            running.threads.lock().push(start(format!("writer-{number}"), Box::new(move || shard.run()))?);
        }
        let (keeper, keeps) = (running.keeper.clone(), Arc::clone(&inner));
        running.threads.lock().push(start("keeper".into(), Box::new(move || keeper.run(&keeps)))?);
        tracing::info!(
            datastore = %paths.root().display(),
            clients = inner.clients.count(),
            hunts = inner.hunts.all().len(),
            writers = inner.store.shards,
            "the datastore is open"
        );
        Ok(Self { inner, running })
    }

    fn compile_interrogation(artifacts: &Artifacts) -> Option<(Collection, Arc<Compiled>)> {
        artifacts.get(INTERROGATION)?;
        let collection = Collection {
            artifacts: vec![ArtifactRequest { name: INTERROGATION.into(), parameters: Default::default() }],
            limits: Limits { timeout_s: 60, ..Limits::default() },
            description: "interrogation".into(),
        };
        match launcher::compile(artifacts, &collection) {
            Ok(compiled) => Some((collection, Arc::new(compiled))),
            Err(error) => {
                tracing::error!(%error, "{INTERROGATION} cannot be used: clients are taken at their word");
                None
            }
        }
    }

    pub fn config(&self) -> &Config {
        &self.inner.config
    }

    /// Ends all sessions, stores what they sent, and writes what is only in memory. Returns when that is done; agents
    /// are told by the frames that their [`Outbound`]s still give out.
    pub async fn shutdown(&self) {
        let running = Arc::clone(&self.running);
        // A panic there was a writer's, and was reported.
        let _ = tokio::task::spawn_blocking(move || running.stop()).await;
    }

    /// Turns an agent's signing request into its certificate (DER), if the nonce is right.
    pub fn enrol(&self, nonce: &str, request_der: &[u8], from: SocketAddr) -> Result<Vec<u8>, Refuse> {
        if self.inner.stopping.load(Ordering::Acquire) {
            return Err(Refuse { code: RefuseCode::Busy, text: STOPPING.into() });
        }
        let config = &self.inner.config;
        enrolment::enrol(&config.authority, &config.nonce, nonce, request_der, from)
    }

    /// A client's session begins; an older session of the same client is ended. `transport` is `quic`, `websocket`
    /// or `poll`.
    pub fn connect(
        &self,
        client: ClientId,
        hello: &Hello,
        transport: &'static str,
        from: SocketAddr,
    ) -> (Session, Outbound) {
        let inner = &self.inner;
        let new = inner.clients.update(client, |record| {
            let said = |text: &str, have: &mut String| {
                let text = clip_name(text);
                if !text.is_empty() && *have != text {
                    *have = text;
                }
            };
            said(&hello.hostname, &mut record.hostname);
            said(&hello.os.to_ascii_lowercase(), &mut record.os);
            said(&hello.agent_version, &mut record.agent_version);
            record.address = address_text(from);
            record.transport = Some(transport.into());
            record.last_seen_ms = now_ms();
        });
        let live = inner.sessions.open(client);
        tracing::debug!(%client, transport, %from, new, "session");
        let labels = hello.labels.iter().filter(|_| new).take(MAX_OWN_LABELS).cloned().collect();
        let flows = hello.flows.iter().copied().take(MAX_OWN_FLOWS).collect();
        let task = Task::Connected { live: Arc::clone(&live), flows, labels };
        if inner.stopping.load(Ordering::Acquire) || !inner.intake(client).push(task) {
            live.end(STOPPING, RETRY_MS);
        }
        inner.is_dirty(client);
        inner.events.clients.happened();
        inner.events.status.happened();
        Session::new(self.clone(), live)
    }

    /// The session's connection is gone.
    fn disconnected(&self, live: &Arc<Live>) {
        let inner = &self.inner;
        live.end("the connection is gone", 0);
        if !inner.sessions.forget(live) {
            return;
        }
        inner.clients.update(live.client, |record| record.last_seen_ms = now_ms());
        inner.is_dirty(live.client);
        inner.intake(live.client).push(Task::Disconnected { client: live.client });
        inner.events.clients.happened();
        inner.events.status.happened();
    }

    async fn received(&self, live: &Arc<Live>, message: ToHub) -> Result<(), SessionError> {
        let rows = match &message {
            ToHub::Rows(batch) => u64::from(batch.rows),
            ToHub::FlowStarted { .. } | ToHub::Upload(_) | ToHub::FlowEnded(_) => 0,
            ToHub::Hello(_) => return Err(SessionError::Protocol("a session is opened once")),
            ToHub::Enrol { .. } => return Err(SessionError::Protocol("an enrolled agent does not enrol")),
            ToHub::Ping { .. } | ToHub::Pong { .. } | ToHub::Close { .. } => {
                return Err(SessionError::Protocol("heartbeats and closing are the link's"));
            }
        };
        let ended = || SessionError::Ended(STOPPING.into());
        let intake = self.inner.intake(live.client);
        let room = intake.room(&message).await.ok_or_else(ended)?;
        self.inner.behind.fetch_add(rows, Ordering::Relaxed);
        if intake.push(Task::Message { live: Arc::clone(live), message, room }) {
            Ok(())
        } else {
            self.inner.behind.fetch_sub(rows, Ordering::Relaxed);
            Err(ended())
        }
    }

    /// The directory that the interface for people may keep its users in.
    pub fn users_directory(&self) -> PathBuf {
        self.inner.store.paths.users()
    }
}

const STOPPING: &str = "the hub is shutting down";
/// Records of clients that are written in one go: rows come first.
const PERSIST_AT_ONCE: usize = 512;
/// How long agents wait before they look whether the hub is back.
const RETRY_MS: u32 = 1000;

/// Flows that an agent may bring along in its hello, which is as many as an agent keeps.
const MAX_OWN_FLOWS: usize = 4096;

/// Labels that an agent may bring along in its hello.
const MAX_OWN_LABELS: usize = 32;

impl Running {
    fn stop(&self) {
        let inner = &self.inner;
        inner.stopping.store(true, Ordering::Release);
        for live in inner.sessions.all() {
            live.end(STOPPING, RETRY_MS);
        }
        // What sessions have said is before this in the queues.
        while inner.persist_clients() {}
        for intake in &inner.intakes {
            intake.push(Task::Stop);
        }
        self.keeper.stop();
        let threads = std::mem::take(&mut *self.threads.lock());
        for thread in threads {
            if thread.join().is_err() {
                tracing::error!("a thread of the hub had panicked");
            }
        }
        for hunt in inner.hunts.all() {
            if let Err(error) = hunt.write_record(&inner.store.paths, false) {
                tracing::error!(hunt = %hunt.id(), %error, "hunt.json could not be written");
            }
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.stop();
    }
}

impl Inner {
    fn shard_of(&self, client: ClientId) -> usize {
        // The id is a piece of a hash.
        (client.0 % self.store.shards as u64) as usize
    }

    fn intake(&self, client: ClientId) -> &Intake {
        &self.intakes[self.shard_of(client)]
    }

    /// The flow that asks a client who it is; None if there is no artifact for it.
    fn interrogation(&self, client: ClientId) -> Option<FlowHead> {
        let (collection, request) = self.interrogation.as_ref()?;
        Some(FlowHead {
            client_id: client,
            flow_id: FlowId::new(now_ms(), random()),
            creator: "hub".into(),
            created_ms: now_ms(),
            collection: collection.clone(),
            interrogation: true,
            request: Arc::clone(request),
        })
    }

    fn send_flow(&self, live: &Live, flow: &Flow) {
        match flow.head.request.frame(flow.head.flow_id) {
            Ok(frame) => {
                live.send_frame(frame);
            }
            // Its size was checked when it was compiled.
            Err(error) => tracing::error!(flow = %flow.head.flow_id, %error, "a flow could not be encoded"),
        }
    }

    /// So many of the rows that were behind are dealt with.
    fn stored(&self, rows: u64) {
        if rows > 0 {
            self.behind.fetch_sub(rows, Ordering::Relaxed);
        }
    }

    fn disk_works(&self) {
        if self.sick.swap(false, Ordering::AcqRel) {
            self.health.lock().clear();
            self.events.status.happened();
        }
    }

    fn disk_refuses(&self, error: &io::Error) {
        *self.health.lock() = format!("rows cannot be written to disk: {error}");
        self.sick.store(true, Ordering::Release);
        self.events.status.happened();
    }

    /// The client's record is newer than its file.
    fn is_dirty(&self, client: ClientId) {
        self.dirty.lock().insert(client);
    }

    /// Gives some of the records that are newer than their files to the writers; true if there are more.
    fn persist_clients(&self) -> bool {
        let mut dirty = self.dirty.lock();
        let some: Vec<ClientId> = dirty.iter().copied().take(PERSIST_AT_ONCE).collect();
        some.iter().for_each(|client| {
            dirty.remove(client);
        });
        let more = !dirty.is_empty();
        drop(dirty);
        for client in some {
            self.intake(client).push(Task::Persist { client });
        }
        more
    }
}

/// Random bits; where the system has none, the clock's, which is enough to tell ids apart.
fn random() -> u64 {
    getrandom::u64().unwrap_or_else(|_| clock::now_us())
}
