//! Many agents in one process, each with its own key and certificate, on the real link and the real transports.

use std::{
    collections::{HashMap, hash_map::Entry},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use agent::{
    flows::{FlowHandle, Flows, FlowsConfig},
    session::{self, Failure, Opened, Reached},
    transport::{Dialer, HubAddress, Lane},
};
use certs::{AgentTls, CertificateDer, Identity};
use protocol::{
    FlowId, frame,
    link::AgentEvent,
    message::{Hello, ToAgent, ToHub, VERSIONS},
};
use tokio::{
    sync::{Mutex, Semaphore, mpsc, watch},
    task::JoinSet,
};
use tokio_util::sync::CancellationToken;

use crate::{
    answer::StubFlow,
    endpoint,
    plan::{Engine, Member, Plan},
};

/// Where the swarm goes.
#[derive(Clone, Debug)]
pub struct Target {
    pub hub: HubAddress,
    pub authority: CertificateDer<'static>,
    pub nonce: String,
}

/// UDP sockets that the whole swarm shares: a socket each would need as many file descriptors.
const ENDPOINTS: usize = 8;

/// A running swarm.
#[derive(Debug)]
pub struct Swarm {
    shared: Arc<Shared>,
    members: JoinSet<()>,
    phase: watch::Sender<Phase>,
}

#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
enum Phase {
    Enrol,
    Connect,
}

struct Shared {
    plan: Plan,
    target: Target,
    dialers: Vec<Dialer>,
    connecting: Semaphore,
    stop: CancellationToken,
    started: Instant,
    enrolled: AtomicUsize,
    connected: AtomicUsize,
    failed: AtomicUsize,
    /// Flows that members have and the hub has not stored to the end.
    open_flows: AtomicUsize,
    /// Told when any of the counts changes.
    changed: watch::Sender<()>,
    facts: Mutex<Facts>,
    last_failure: Mutex<Option<String>>,
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shared").field("plan", &self.plan).finish_non_exhaustive()
    }
}

/// When things happened to hunts' flows.
#[derive(Debug, Default)]
pub(crate) struct Facts {
    /// A member was told to start the flow.
    pub(crate) received: HashMap<FlowId, Vec<Instant>>,
    /// The hub said that a member's rows are all on disk.
    pub(crate) stored: HashMap<FlowId, Vec<Instant>>,
}

impl Swarm {
    /// Makes the members; they enrol, and wait for [`Self::connect`].
    pub fn start(plan: Plan, target: Target) -> anyhow::Result<Self> {
        let dialers = (0..ENDPOINTS)
            .map(|_| agent::transport::client_endpoint().map(Dialer::with_endpoint))
            .collect::<Result<_, _>>()?;
        let (phase, wait) = watch::channel(Phase::Enrol);
        let shared = Arc::new(Shared {
            connecting: Semaphore::new(plan.connecting),
            target,
            dialers,
            stop: CancellationToken::new(),
            started: Instant::now(),
            enrolled: AtomicUsize::new(0),
            connected: AtomicUsize::new(0),
            failed: AtomicUsize::new(0),
            open_flows: AtomicUsize::new(0),
            changed: watch::Sender::new(()),
            facts: Mutex::default(),
            last_failure: Mutex::default(),
            plan,
        });
        let mut members = JoinSet::new();
        for index in 0..shared.plan.clients {
            members.spawn(live(Arc::clone(&shared), index, wait.clone()));
        }
        Ok(Self { shared, members, phase })
    }

    pub fn plan(&self) -> &Plan {
        &self.shared.plan
    }

    /// Waits until all have enrolled or failed; returns how many have.
    pub async fn enrolled(&self) -> usize {
        self.shared.until(|s| count(&s.enrolled) + count(&s.failed) >= s.plan.clients).await;
        count(&self.shared.enrolled)
    }

    /// Lets all connect; returns how many did, and how long it took until the last had.
    pub async fn connect(&self) -> (usize, Duration) {
        let start = Instant::now();
        self.phase.send_replace(Phase::Connect);
        self.shared.until(|s| count(&s.connected) + count(&s.failed) >= s.plan.clients).await;
        (count(&self.shared.connected), start.elapsed())
    }

    /// Waits until the hub has stored every flow of every member, or `limit` has passed; false in that case.
    pub async fn settled(&self, limit: Duration) -> bool {
        tokio::time::timeout(limit, self.shared.until(|s| count(&s.open_flows) == 0)).await.is_ok()
    }

    pub fn connected(&self) -> usize {
        count(&self.shared.connected)
    }

    pub fn failed(&self) -> usize {
        count(&self.shared.failed)
    }

    /// Why a member could not connect, of the last that could not.
    pub async fn last_failure(&self) -> Option<String> {
        self.shared.last_failure.lock().await.clone()
    }

    /// Waits until `expected` members have all their rows of `flow` on the hub's disk; false after `limit`.
    pub async fn answered(&self, flow: FlowId, expected: usize, limit: Duration) -> bool {
        let mut changed = self.shared.changed.subscribe();
        let all = async {
            while self.shared.facts.lock().await.stored.get(&flow).map_or(0, Vec::len) < expected {
                if changed.changed().await.is_err() {
                    return;
                }
            }
        };
        tokio::time::timeout(limit, all).await.is_ok()
    }

    pub(crate) async fn facts(&self, flow: FlowId) -> (Vec<Instant>, Vec<Instant>) {
        let facts = self.shared.facts.lock().await;
        let of = |map: &HashMap<FlowId, Vec<Instant>>| map.get(&flow).cloned().unwrap_or_default();
        (of(&facts.received), of(&facts.stored))
    }

    /// Ends all sessions in order.
    pub async fn stop(mut self) {
        self.shared.stop.cancel();
        let all = async { while self.members.join_next().await.is_some() {} };
        let _ = tokio::time::timeout(Duration::from_secs(10), all).await;
    }
}

fn count(counter: &AtomicUsize) -> usize {
    counter.load(Ordering::Relaxed)
}

impl Shared {
    async fn until(&self, condition: impl Fn(&Self) -> bool) {
        let mut changed = self.changed.subscribe();
        while !condition(self) {
            if changed.changed().await.is_err() {
                return;
            }
        }
    }

    fn add(&self, counter: &AtomicUsize, by: isize) {
        counter.fetch_add(by as usize, Ordering::Relaxed);
        self.changed.send_replace(());
    }

    fn now(&self) -> u64 {
        self.started.elapsed().as_millis() as u64
    }

    async fn record(&self, which: impl FnOnce(&mut Facts) -> &mut HashMap<FlowId, Vec<Instant>>, flow: FlowId) {
        // Interrogation is not measured, and its flow ids are different for each member.
        if flow.hunt().is_some() {
            which(&mut *self.facts.lock().await).entry(flow).or_default().push(Instant::now());
            self.changed.send_replace(());
        }
    }
}

/// The whole life of a member.
async fn live(shared: Arc<Shared>, index: usize, phase: watch::Receiver<Phase>) {
    let stop = shared.stop.clone();
    tokio::select! {
        () = stop.cancelled() => {}
        outcome = try_live(&shared, index, phase) => if let Err(error) = outcome {
            *shared.last_failure.lock().await = Some(format!("{error:#}"));
            shared.add(&shared.failed, 1);
        }
    }
}

async fn try_live(shared: &Arc<Shared>, index: usize, mut phase: watch::Receiver<Phase>) -> anyhow::Result<()> {
    let member = shared.plan.member(index);
    let identity = Identity::generate()?;
    let authority = &shared.target.authority;
    let enrol = ToHub::Enrol { nonce: shared.target.nonce.clone(), request: identity.signing_request()? };
    let mut answers = Answers::new(shared, &member)?;
    let mut tls = AgentTls::new(authority, None)?;
    let mut enrolled = false;
    let mut pause = Duration::from_millis(200);
    loop {
        let first = if enrolled { hello(&member, answers.unfinished()) } else { enrol.clone() };
        let attempt = {
            let _permit = shared.connecting.acquire().await?;
            let dialer = &shared.dialers[index % shared.dialers.len()];
            let now = || shared.now();
            session::open(dialer, member.transport, &shared.target.hub, &tls, first, now).await
        };
        match attempt {
            Ok(Reached::Enrolled { certificate }) => {
                tls = AgentTls::new(authority, Some((&CertificateDer::from(certificate), &identity)))?;
                enrolled = true;
                shared.add(&shared.enrolled, 1);
                phase.wait_for(|phase| *phase == Phase::Connect).await?;
            }
            Ok(Reached::Opened(open)) => {
                pause = Duration::from_millis(200);
                shared.add(&shared.connected, 1);
                let why = serve(shared, &member, &mut answers, *open).await;
                shared.add(&shared.connected, -1);
                tracing::debug!("{} of the swarm is disconnected: {why:?}", identity.client_id());
            }
            Err(Failure::GiveUp(refuse) | Failure::EnrolAgain(refuse)) => anyhow::bail!(refuse.text),
            Err(Failure::TryAgain { text, .. }) => {
                *shared.last_failure.lock().await = Some(text);
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(Duration::from_secs(5));
            }
        }
    }
}

fn hello(member: &Member, flows: Vec<FlowId>) -> ToHub {
    ToHub::Hello(Hello {
        versions: VERSIONS,
        agent_version: env!("CARGO_PKG_VERSION").into(),
        hostname: member.hostname.clone(),
        os: "linux".into(),
        clock_ms: SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |age| age.as_millis() as u64),
        flows,
        labels: Vec::new(),
    })
}

/// What a member has to say, over all its sessions.
enum Answers {
    Stub { rows: u32, flows: HashMap<FlowId, StubFlow> },
    Engine { flows: Flows, announced: mpsc::Receiver<FlowHandle> },
}

impl Answers {
    fn new(shared: &Shared, member: &Member) -> anyhow::Result<Self> {
        Ok(match shared.plan.engine {
            Engine::Stub => Self::Stub { rows: shared.plan.rows, flows: HashMap::new() },
            Engine::Vql => {
                // Thousands of threads come and go here: a smaller stack is reserved and given back sooner.
                let config = FlowsConfig { max_running: 2, stack_bytes: 4 << 20, ..FlowsConfig::default() };
                let (flows, announced) = Flows::open(config, endpoint::registry(member))?;
                Self::Engine { flows, announced }
            }
        })
    }

    fn unfinished(&self) -> Vec<FlowId> {
        match self {
            Self::Stub { flows, .. } => flows.keys().copied().collect(),
            Self::Engine { flows, .. } => flows.unfinished(),
        }
    }
}

/// One session, until it ends.
async fn serve(shared: &Arc<Shared>, member: &Member, answers: &mut Answers, open: Opened) -> anyhow::Result<()> {
    let Opened { mut connection, mut link, .. } = open;
    let mut senders = JoinSet::new();
    match answers {
        Answers::Stub { flows, .. } => {
            for flow in flows.values() {
                send(flow, member, &mut connection).await?;
            }
        }
        Answers::Engine { flows, .. } => {
            for flow in flows.handles() {
                senders.spawn(send_flow(flow, connection.lanes.open().await));
            }
        }
    }
    loop {
        let wait = Duration::from_millis(link.poll_timeout().saturating_sub(shared.now()));
        let announced = async {
            match answers {
                Answers::Engine { announced, .. } => announced.recv().await,
                Answers::Stub { .. } => std::future::pending().await,
            }
        };
        let message = tokio::select! {
            message = connection.incoming.recv() => match message {
                Some(message) => Some(message),
                None => return Ok(()),
            },
            Some(flow) = announced => {
                senders.spawn(send_flow(flow, connection.lanes.open().await));
                continue;
            }
            () = tokio::time::sleep(wait) => None,
        };
        match message {
            None => link.handle_timeout(shared.now())?,
            Some(message) => {
                if let Some(AgentEvent::Message(message)) = link.handle(message, shared.now())? {
                    hear(shared, member, answers, &mut connection, message).await?;
                }
            }
        }
        while let Some(message) = link.poll_transmit() {
            gone(connection.control.send(frame::encode(&message)?).await)?;
        }
    }
}

async fn hear(
    shared: &Shared,
    member: &Member,
    answers: &mut Answers,
    connection: &mut agent::transport::Connection,
    message: ToAgent,
) -> anyhow::Result<()> {
    if let ToAgent::StartFlow(request) = &message {
        shared.record(|facts| &mut facts.received, request.flow_id).await;
    }
    match answers {
        Answers::Engine { flows, .. } => match message {
            ToAgent::StartFlow(request) => {
                shared.add(&shared.open_flows, 1);
                flows.start(request);
            }
            ToAgent::CancelFlow { flow_id, reason } => flows.cancel(flow_id, &reason),
            message => {
                flows.handle_message(&message);
                if let ToAgent::EndStored { flow_id } = message {
                    shared.record(|facts| &mut facts.stored, flow_id).await;
                    shared.add(&shared.open_flows, -1);
                }
            }
        },
        Answers::Stub { rows, flows } => match message {
            ToAgent::StartFlow(request) => {
                if let Entry::Vacant(place) = flows.entry(request.flow_id) {
                    shared.add(&shared.open_flows, 1);
                    send(place.insert(StubFlow::new(&request, *rows)), member, connection).await?;
                }
            }
            ToAgent::Stored { flow_id, stream, next_row } => {
                let newly_all = |flow: &mut StubFlow| !flow.all_stored() && flow.stored(stream, next_row);
                if flows.get_mut(&flow_id).is_some_and(newly_all) {
                    shared.record(|facts| &mut facts.stored, flow_id).await;
                }
            }
            ToAgent::EndStored { flow_id } | ToAgent::CancelFlow { flow_id, .. } => {
                if let Some(flow) = flows.remove(&flow_id) {
                    if flow.rows() == 0 {
                        shared.record(|facts| &mut facts.stored, flow_id).await;
                    }
                    shared.add(&shared.open_flows, -1);
                }
            }
            _ => {}
        },
    }
    Ok(())
}

async fn send(flow: &StubFlow, member: &Member, connection: &mut agent::transport::Connection) -> anyhow::Result<()> {
    let mut lane = gone(connection.lanes.open().await)?;
    for message in flow.messages(member) {
        gone(lane.send(frame::encode(&message)?).await)?;
    }
    lane.finish();
    Ok(())
}

async fn send_flow(flow: FlowHandle, lane: Result<Lane, agent::transport::Gone>) {
    let Ok(mut lane) = lane else { return };
    let mut cursor = flow.cursor();
    while let Some(message) = cursor.next().await {
        let Ok(frame) = frame::encode(&message) else { continue };
        if lane.send(frame).await.is_err() {
            return;
        }
    }
    lane.finish();
}

fn gone<T>(sent: Result<T, agent::transport::Gone>) -> anyhow::Result<T> {
    sent.map_err(|_| anyhow::anyhow!("the connection broke"))
}
