//! The hub without sockets: agents in memory, driven through [`Hub::connect`] and [`Session::receive`].

#![allow(clippy::unwrap_used)]

use std::{
    collections::{BTreeMap, VecDeque},
    fs,
    path::Path,
    time::Duration,
};

use bytes::Bytes;
use protocol::{
    FlowId, HuntId,
    api::{HuntClientState, HuntCounts, LabelChange, NewHunt},
    collection::{Condition, FlowCost, FlowEnd, FlowRequest, FlowState, HuntState, StreamId},
    frame,
    message::{Encoding, RowBatch, ToAgent, UploadChunk, UploadEnd},
};
use sha2::{Digest, Sha256};

use super::*;

mod simulation;

const S0: StreamId = StreamId(0);

/// A datastore in memory where there is such a file system: these tests flush a lot, and power is not cut here.
fn directory() -> tempfile::TempDir {
    tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap()
}

fn open(directory: &Path) -> Hub {
    let bind = "127.0.0.1:0".parse().unwrap();
    Hub::open(Config {
        datastore: directory.into(),
        frontend_bind: bind,
        gui_bind: bind,
        nonce: "nonce".into(),
        authority: certs::Authority::create().unwrap(),
        hub_certificate_pem: String::new(),
        hub_key_pem: String::new(),
        heartbeat_ms: 1000,
        shards: 2,
        filestore: None,
        endpoint: None,
    })
    .unwrap()
}

/// An agent as the tests play it.
struct Agent {
    client: ClientId,
    session: Session,
    outbound: Outbound,
    decoder: frame::Decoder,
    /// Flows that came while another was waited for.
    early: VecDeque<FlowRequest>,
}

fn hello(client: ClientId, flows: &[FlowId]) -> Hello {
    Hello {
        versions: (1, 1),
        agent_version: "0.1.0".into(),
        hostname: format!("host-{}", client.0),
        os: "linux".into(),
        clock_ms: 0,
        flows: flows.to_vec(),
        labels: Vec::new(),
    }
}

impl Agent {
    fn connect(hub: &Hub, number: u64, flows: &[FlowId]) -> Self {
        let client = ClientId(number);
        let from = "10.1.2.3:4444".parse().unwrap();
        let (session, outbound) = hub.connect(client, &hello(client, flows), "quic", from);
        Self { client, session, outbound, decoder: frame::Decoder::default(), early: VecDeque::new() }
    }

    /// Connects, and answers the interrogation if there is one.
    async fn interrogated(hub: &Hub, number: u64) -> Self {
        let mut agent = Self::connect(hub, number, &[]);
        if hub.inner.interrogation.is_some() {
            let mut early = VecDeque::new();
            let interrogation = loop {
                let request = agent.start().await;
                match request.flow_id.hunt() {
                    Some(_) => early.push_back(request),
                    None => break request.flow_id,
                }
            };
            agent.finish(interrogation, &[]).await;
            agent.early = early;
        }
        let mut changed = hub.watch_clients();
        while hub.client(agent.client).unwrap().interrogated_ms.is_none() {
            within(changed.changed()).await.unwrap();
        }
        agent
    }

    async fn next(&mut self) -> Option<ToAgent> {
        let frame = within(self.outbound.next()).await?;
        self.decoder.push(&frame);
        self.decoder.next().unwrap()
    }

    async fn expect(&mut self) -> ToAgent {
        self.next().await.expect("the session is live")
    }

    async fn start(&mut self) -> FlowRequest {
        if let Some(request) = self.early.pop_front() {
            return request;
        }
        match self.expect().await {
            ToAgent::StartFlow(request) => request,
            other => panic!("a flow was expected: {other:?}"),
        }
    }

    async fn say(&self, message: ToHub) {
        within(self.session.receive(message)).await.unwrap();
    }

    async fn rows(&self, flow_id: FlowId, stream: StreamId, first_row: u64, rows: u32) {
        self.say(ToHub::Rows(batch(self.client, flow_id, stream, first_row, rows))).await;
    }

    async fn stored(&mut self) -> u64 {
        match self.expect().await {
            ToAgent::Stored { next_row, .. } => next_row,
            other => panic!("Stored was expected: {other:?}"),
        }
    }

    async fn end(&self, flow_id: FlowId, rows: &[(StreamId, u64)], state: FlowState) {
        let cost = FlowCost { duration_ms: 5, cpu_ms: 2 };
        self.say(ToHub::FlowEnded(FlowEnd { flow_id, state, rows: rows.to_vec(), uploads: 0, cost })).await;
    }

    /// Ends the flow and waits for the receipt.
    async fn finish(&mut self, flow_id: FlowId, rows: &[(StreamId, u64)]) {
        self.end(flow_id, rows, FlowState::Finished).await;
        while self.expect().await != (ToAgent::EndStored { flow_id }) {}
    }

    /// Nothing waits for the agent once the hub has dealt with all that it said.
    async fn is_told_nothing(&mut self, hub: &Hub) {
        settle(hub, self.client).await;
        assert!(self.early.is_empty() && self.outbound.try_next().is_none());
    }
}

/// Waits until the writer has done all that it was given.
async fn settle(hub: &Hub, client: ClientId) {
    let hub = hub.clone();
    tokio::task::spawn_blocking(move || hub.inner.end_flow(client, FlowId::new(0, 0), String::new())).await.unwrap();
}

async fn within<T>(what: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(20), what).await.expect("it happens soon")
}

fn line(client: ClientId, stream: StreamId, row: u64) -> String {
    format!("{{\"of\":{},\"stream\":{},\"row\":{row}}}\n", client.0, stream.0)
}

fn batch(client: ClientId, flow_id: FlowId, stream: StreamId, first_row: u64, rows: u32) -> RowBatch {
    let text: String = (first_row..first_row + u64::from(rows)).map(|row| line(client, stream, row)).collect();
    RowBatch { flow_id, stream, first_row, rows, encoding: Encoding::Plain, data: Bytes::from(text) }
}

fn query(text: &str) -> NewHunt {
    NewHunt {
        collection: Collection::of_query(text),
        condition: Condition::default(),
        expires_s: 0,
        online_only: false,
        paused: false,
    }
}

fn hunt_of(condition: Condition) -> NewHunt {
    NewHunt { condition, ..query("SELECT * FROM info()") }
}

fn counts(hub: &Hub, hunt: HuntId) -> HuntCounts {
    hub.hunt(hunt).unwrap().counts
}

/// All lines of a hunt's only source, over its files.
fn hunt_lines(root: &Path, hunt: HuntId) -> Vec<serde_json::Value> {
    let directory = root.join(format!("hunts/{hunt}/results/Generic.Client.VQL"));
    let mut lines = Vec::new();
    for entry in fs::read_dir(directory).into_iter().flatten() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "jsonl") {
            lines.extend(fs::read_to_string(path).unwrap().lines().map(|l| serde_json::from_str(l).unwrap()));
        }
    }
    lines
}

/// Every client has rows `0 .. rows` in the hunt's files, in order and once.
fn assert_each_once(root: &Path, hunt: HuntId, clients: &[u64], rows: u64) {
    let mut by_client: BTreeMap<String, Vec<u64>> = BTreeMap::new();
    for line in hunt_lines(root, hunt) {
        assert_eq!(line["FlowId"], FlowId::of_hunt(hunt).to_string());
        by_client.entry(line["ClientId"].as_str().unwrap().into()).or_default().push(line["row"].as_u64().unwrap());
    }
    let expected: BTreeMap<String, Vec<u64>> = clients
        .iter()
        .filter(|_| rows > 0)
        .map(|client| (ClientId(*client).to_string(), (0..rows).collect()))
        .collect();
    assert_eq!(by_client, expected);
}

#[tokio::test]
async fn a_hunt_is_answered_counted_and_on_disk() {
    let directory = directory();
    let hub = open(directory.path());
    let mut agents = Vec::new();
    for number in 1..=5 {
        agents.push(Agent::interrogated(&hub, number).await);
    }
    let made = hub.create_hunt(query("SELECT * FROM info()"), "anna").unwrap();
    let hunt = made.hunt_id;
    assert_eq!((made.counts.matching, made.counts.offered), (5, 5));
    let mut watch = hub.watch_hunt(hunt).unwrap();
    for agent in &mut agents {
        let request = agent.start().await;
        assert_eq!((request.flow_id.hunt(), request.sources.len()), (Some(hunt), 1));
        agent.say(ToHub::FlowStarted { flow_id: request.flow_id }).await;
        agent.rows(request.flow_id, S0, 0, 3).await;
        assert_eq!(agent.stored().await, 3);
    }
    assert!(watch.has_changed().unwrap());
    watch.mark_unchanged();
    assert_eq!((counts(&hub, hunt).running, counts(&hub, hunt).rows), (5, 15));
    for (place, agent) in agents.iter_mut().enumerate() {
        let flow = FlowId::of_hunt(hunt);
        agent.rows(flow, StreamId::LOG, 0, 2).await;
        assert_eq!(agent.stored().await, 2);
        match place {
            0 => {
                agent.end(flow, &[(S0, 3)], FlowState::Failed { reason: "no".into() }).await;
                assert_eq!(agent.expect().await, ToAgent::EndStored { flow_id: flow });
            }
            _ => agent.finish(flow, &[(S0, 3), (StreamId::LOG, 2)]).await,
        }
    }
    let summary = hub.hunt(hunt).unwrap();
    let expected = HuntCounts { matching: 5, answered: 4, failed: 1, rows: 15, ..HuntCounts::default() };
    assert_eq!(summary.counts, expected);
    assert_eq!(summary.sources[0].rows, 15);
    assert!(summary.first_row_ms.unwrap() <= summary.answer_p50_ms.unwrap());
    assert!(summary.answer_p50_ms.unwrap() <= summary.answer_p99_ms.unwrap());
    assert_each_once(directory.path(), hunt, &[1, 2, 3, 4, 5], 3);

    let page = hub.hunt_rows(hunt, 0, 4, 7).unwrap();
    assert_eq!((page.from, page.total, page.jsonl.lines().count()), (4, 15, 7));
    assert!(page.jsonl.lines().all(|line| line.ends_with(".H\"}")));
    let failed = hub.hunt_clients(hunt, Some(HuntClientState::Failed), 0, 10).unwrap();
    assert_eq!((failed.total, failed.clients[0].client_id, failed.clients[0].rows), (1, ClientId(1), 3));
    let flow = hub.flow(ClientId(2), FlowId::of_hunt(hunt)).unwrap();
    assert_eq!((flow.sources[0].rows, flow.log_rows, flow.cost.cpu_ms), (3, 2, 2));
    let rows = hub.flow_rows(ClientId(2), FlowId::of_hunt(hunt), S0, 1, 1).unwrap();
    assert!(rows.jsonl.starts_with("{\"of\":2,\"stream\":0,\"row\":1,"), "{}", rows.jsonl);
    assert_eq!(hub.flow_rows(ClientId(2), FlowId::of_hunt(hunt), StreamId::LOG, 0, 9).unwrap().total, 2);
    assert!(hub.flows(ClientId(2)).unwrap().iter().any(|flow| flow.flow_id == FlowId::of_hunt(hunt)));

    // What is in memory is what is on disk.
    hub.shutdown().await;
    drop((agents, watch, hub));
    let again = open(directory.path()).hunt(hunt).unwrap();
    assert_eq!(again, summary);
}

#[tokio::test]
async fn repeats_overlaps_and_gaps_store_each_row_once() {
    let directory = directory();
    let hub = open(directory.path());
    let mut agent = Agent::interrogated(&hub, 1).await;
    let hunt = hub.create_hunt(query("SELECT * FROM info()"), "anna").unwrap().hunt_id;
    let flow = agent.start().await.flow_id;
    for (first, rows, next) in [(0, 2, 2), (0, 2, 2), (1, 4, 5), (7, 1, 5), (0, 6, 6), (6, 0, 6), (u64::MAX, 1, 6)] {
        if first == u64::MAX {
            let mut far = batch(agent.client, flow, S0, 0, rows);
            far.first_row = first;
            agent.say(ToHub::Rows(far)).await;
        } else {
            agent.rows(flow, S0, first, rows).await;
        }
        assert_eq!(agent.stored().await, next, "{first} {rows}");
    }
    // An end that counts more than is here waits, and says what is missing.
    agent.end(flow, &[(S0, 8)], FlowState::Finished).await;
    assert_eq!(agent.stored().await, 6);
    assert_eq!(counts(&hub, hunt).running, 1);
    agent.rows(flow, S0, 6, 2).await;
    assert_eq!(agent.stored().await, 8);
    assert_eq!(agent.expect().await, ToAgent::EndStored { flow_id: flow });
    assert_eq!(counts(&hub, hunt).answered, 1);
    // Said again, it is acknowledged again.
    agent.finish(flow, &[(S0, 8)]).await;
    assert_each_once(directory.path(), hunt, &[1], 8);
}

#[tokio::test]
async fn what_is_no_rows_fails_the_flow_and_nothing_else() {
    let directory = directory();
    let hub = open(directory.path());
    let mut agent = Agent::interrogated(&hub, 1).await;
    let client = agent.client;
    type Spoil = fn(&mut RowBatch);
    let cases: [(&str, Spoil); 7] = [
        ("2 rows and holds 3", |batch| batch.rows = 2),
        ("4 rows and holds 3", |batch| batch.rows = 4),
        ("row 1 is not one JSON object", |batch| batch.data = Bytes::from_static(b"{}\n[]\n{}\n")),
        ("not UTF-8", |batch| batch.data = Bytes::from_static(b"{}\n{\"\xff\":1}\n{}\n")),
        ("decompressed", |batch| batch.encoding = Encoding::Zstd),
        ("source 7", |batch| batch.stream = StreamId(7)),
        ("longer than", |batch| batch.data = Bytes::from(vec![b' '; RowBatch::MAX_BYTES + 1])),
    ];
    for (reason, spoil) in cases {
        let hunt = hub.create_hunt(query("SELECT * FROM info()"), "anna").unwrap().hunt_id;
        let flow = agent.start().await.flow_id;
        let mut rows = batch(client, flow, S0, 0, 3);
        spoil(&mut rows);
        agent.say(ToHub::Rows(rows)).await;
        let ToAgent::CancelFlow { reason: told, .. } = agent.expect().await else { panic!("{reason}") };
        assert!(told.contains(reason), "{told}");
        assert_eq!(agent.expect().await, ToAgent::EndStored { flow_id: flow });
        let page = hub.hunt_clients(hunt, None, 0, 1).unwrap();
        assert_eq!(page.clients[0].state, FlowState::Failed { reason: told });
        // More of it is refused in the same way, and stores nothing.
        agent.rows(flow, S0, 0, 1).await;
        assert!(matches!(agent.expect().await, ToAgent::CancelFlow { .. }));
        assert_eq!(agent.expect().await, ToAgent::EndStored { flow_id: flow });
        assert_each_once(directory.path(), hunt, &[1], 0);
    }
    let unknown = FlowId::new(77, 77);
    agent.rows(unknown, S0, 0, 1).await;
    assert!(matches!(agent.expect().await, ToAgent::CancelFlow { .. }));
    assert_eq!(agent.expect().await, ToAgent::EndStored { flow_id: unknown });
    assert!(matches!(agent.session.receive(ToHub::Ping { nonce: 1 }).await, Err(SessionError::Protocol(_))));
    assert_eq!(hub.status().behind, 0);
}

#[tokio::test]
async fn limits_hold_at_the_hub_too() {
    let directory = directory();
    let hub = open(directory.path());
    let mut agent = Agent::interrogated(&hub, 1).await;
    let mut hunt = query("SELECT * FROM info()");
    hunt.collection.limits.max_rows = 5;
    let hunt = hub.create_hunt(hunt, "anna").unwrap().hunt_id;
    let flow = agent.start().await.flow_id;
    agent.rows(flow, S0, 0, 5).await;
    assert_eq!(agent.stored().await, 5);
    agent.rows(flow, S0, 5, 1).await;
    assert!(matches!(agent.expect().await, ToAgent::CancelFlow { .. }));
    settle(&hub, agent.client).await;
    assert_eq!(counts(&hub, hunt).failed, 1);
}

#[tokio::test]
async fn a_restart_of_the_hub_goes_on_where_it_was() {
    let directory = directory();
    let hub = open(directory.path());
    let (mut first, mut second) = (Agent::interrogated(&hub, 1).await, Agent::interrogated(&hub, 2).await);
    let hunt = hub.create_hunt(query("SELECT * FROM info()"), "anna").unwrap().hunt_id;
    let flow = FlowId::of_hunt(hunt);
    first.start().await;
    second.start().await;
    first.rows(flow, S0, 0, 4).await;
    first.rows(flow, StreamId::LOG, 0, 1).await;
    assert_eq!(first.stored().await + first.stored().await, 5);
    hub.shutdown().await;
    assert!(matches!(first.expect().await, ToAgent::Close { retry_after_ms: 1.., .. }));
    assert!(first.next().await.is_none() && first.session.ended().is_cancelled());
    assert!(first.session.receive(ToHub::FlowStarted { flow_id: flow }).await.is_err());
    assert!(matches!(hub.create_hunt(query("SELECT * FROM info()"), "anna"), Err(HubError::Stopping)));
    drop((first, second, hub));

    let hub = open(directory.path());
    assert_eq!((counts(&hub, hunt).running, counts(&hub, hunt).offered, counts(&hub, hunt).rows), (1, 1, 4));
    let mut first = Agent::connect(&hub, 1, &[flow]);
    let mut told = vec![first.expect().await, first.expect().await];
    told.sort_by_key(|message| format!("{message:?}"));
    let stored = |stream, next_row| ToAgent::Stored { flow_id: flow, stream, next_row };
    assert!(told.contains(&stored(S0, 4)) && told.contains(&stored(StreamId::LOG, 1)), "{told:?}");
    // The other never got it, or lost it: it is offered again.
    let mut second = Agent::connect(&hub, 2, &[]);
    assert_eq!(second.start().await.flow_id, flow);
    for agent in [&mut first, &mut second] {
        agent.rows(flow, S0, 0, 6).await;
        assert_eq!(agent.stored().await, 6);
        agent.finish(flow, &[(S0, 6)]).await;
    }
    assert_eq!(counts(&hub, hunt).answered, 2);
    assert_each_once(directory.path(), hunt, &[1, 2], 6);
    // An agent that did not hear that its end is stored is told again, and not asked again.
    let mut first = Agent::connect(&hub, 1, &[flow]);
    assert!(matches!(first.expect().await, ToAgent::CancelFlow { .. }));
    assert_eq!(first.expect().await, ToAgent::EndStored { flow_id: flow });
    first.is_told_nothing(&hub).await;
}

#[tokio::test]
async fn who_comes_late_is_offered_what_it_has_not_run() {
    let directory = directory();
    let hub = open(directory.path());
    let agent = Agent::interrogated(&hub, 1).await;
    agent.session.close();
    settle(&hub, ClientId(1)).await;
    assert_eq!(hub.status().online, 0);
    let hunt = hub.create_hunt(query("SELECT * FROM info()"), "anna").unwrap().hunt_id;
    let live = hub.create_hunt(NewHunt { online_only: true, ..query("SELECT * FROM info()") }, "anna").unwrap();
    assert_eq!(live.counts.matching, 0);
    assert_eq!((counts(&hub, hunt).matching, counts(&hub, hunt).waiting), (1, 1));
    let mut agent = Agent::connect(&hub, 1, &[]);
    assert_eq!(agent.start().await.flow_id, FlowId::of_hunt(hunt));
    let other = Agent::interrogated(&hub, 2).await;
    // It may have been offered before or after its interrogation: once in any case.
    settle(&hub, other.client).await;
    assert_eq!((counts(&hub, hunt).matching, counts(&hub, hunt).offered), (2, 2));
    assert_eq!(counts(&hub, live.hunt_id).matching, 0);
    other.session.close();
    let mut again = Agent::connect(&hub, 2, &[]);
    assert_eq!(again.start().await.flow_id, FlowId::of_hunt(hunt), "an offer that may be lost is repeated");
    again.is_told_nothing(&hub).await;
}

#[tokio::test]
async fn a_new_client_gets_the_labels_of_its_configuration() {
    let directory = directory();
    let hub = open(directory.path());
    let client = ClientId(7);
    let from = "10.1.2.3:4444".parse().unwrap();
    for own in ["web", "later"] {
        let hello = Hello { labels: vec![own.into()], ..hello(client, &[]) };
        let _session = hub.connect(client, &hello, "quic", from);
        settle(&hub, client).await;
        assert_eq!(hub.client(client).unwrap().summary.labels, ["web"], "people change them from then on");
    }
}

#[tokio::test]
async fn conditions_follow_labels_and_the_system() {
    let directory = directory();
    let hub = open(directory.path());
    let labelled = Condition { labels: vec!["blue".into()], ..Condition::default() };
    let hunt = hub.create_hunt(hunt_of(labelled), "anna").unwrap().hunt_id;
    let system = Condition { os: Some("linux".into()), ..Condition::default() };
    let linux = hub.create_hunt(hunt_of(system), "anna").unwrap().hunt_id;
    let mut agent = Agent::interrogated(&hub, 1).await;
    assert_eq!(agent.start().await.flow_id, FlowId::of_hunt(linux), "once interrogated it is known to be linux");
    agent.is_told_nothing(&hub).await;
    let change = LabelChange { add: vec!["blue".into()], remove: vec![] };
    assert_eq!(hub.change_labels(agent.client, &change, "anna").unwrap().labels, ["blue"]);
    assert_eq!(agent.start().await.flow_id, FlowId::of_hunt(hunt));
    assert_eq!(counts(&hub, hunt).matching, 1);
    let none = Condition { os: Some("plan9".into()), ..Condition::default() };
    assert!(matches!(hub.create_hunt(hunt_of(none), "anna"), Err(HubError::Invalid { .. })));
    assert!(matches!(hub.create_hunt(query("SELECT FROM"), "anna"), Err(HubError::Invalid { .. })));
    assert_eq!(hub.hunts().len(), 2, "what is invalid leaves nothing behind");
}

#[tokio::test]
async fn hunts_pause_run_and_stop() {
    let directory = directory();
    let hub = open(directory.path());
    let (mut here, gone) = (Agent::interrogated(&hub, 1).await, Agent::interrogated(&hub, 2).await);
    drop(gone);
    let hunt = hub.create_hunt(NewHunt { paused: true, ..query("SELECT * FROM info()") }, "anna").unwrap();
    assert_eq!((hunt.state, hunt.counts.waiting), (HuntState::Created, 2));
    let id = hunt.hunt_id;
    here.is_told_nothing(&hub).await;
    let run = hub.set_hunt(id, HuntAction::Run, "anna").unwrap();
    assert_eq!((run.counts.waiting, run.counts.offered), (1, 1));
    let flow = here.start().await.flow_id;
    here.say(ToHub::FlowStarted { flow_id: flow }).await;
    hub.set_hunt(id, HuntAction::Pause, "anna").unwrap();
    let mut late = Agent::interrogated(&hub, 3).await;
    let mut back = Agent::connect(&hub, 2, &[]);
    late.is_told_nothing(&hub).await;
    back.is_told_nothing(&hub).await;
    let run = hub.set_hunt(id, HuntAction::Run, "anna").unwrap();
    assert_eq!((run.counts.matching, run.counts.running, run.counts.offered), (3, 1, 2));
    late.start().await;
    back.start().await;
    drop(back);
    settle(&hub, ClientId(2)).await;

    let stop = hub.set_hunt(id, HuntAction::Stop, "anna").unwrap();
    assert_eq!((stop.state, stop.counts.failed), (HuntState::Stopped, 1), "who is away has ended at once");
    for agent in [&mut here, &mut late] {
        let cancel = agent.expect().await;
        assert!(matches!(&cancel, ToAgent::CancelFlow { flow_id, .. } if *flow_id == flow), "{cancel:?}");
    }
    here.rows(flow, S0, 0, 2).await;
    here.stored().await;
    here.end(flow, &[(S0, 2)], FlowState::Cancelled { reason: "asked to".into() }).await;
    assert_eq!(here.expect().await, ToAgent::EndStored { flow_id: flow });
    // One goes without a word.
    drop(late);
    settle(&hub, ClientId(3)).await;
    let counts = counts(&hub, id);
    assert_eq!((counts.failed, counts.outstanding(), counts.rows), (3, 0, 2));
    assert!(matches!(hub.set_hunt(id, HuntAction::Run, "anna"), Err(HubError::Conflict(_))));
    // Whoever saw it before it was stopped comes too late.
    let hunt = hub.inner.hunts.get(id).unwrap();
    assert!(!hunt.set_state(HuntState::Paused, HuntState::Running) && hunt.state() == HuntState::Stopped);
    let mut back = Agent::connect(&hub, 2, &[]);
    back.is_told_nothing(&hub).await;
    let audit = fs::read_to_string(directory.path().join("audit.jsonl")).unwrap();
    for action in ["create_hunt", "run_hunt", "pause_hunt", "stop_hunt"] {
        assert!(audit.contains(action), "{action}");
    }
}

#[tokio::test]
async fn a_live_query_is_complete_when_all_have_ended() {
    let directory = directory();
    let hub = open(directory.path());
    let mut agent = Agent::interrogated(&hub, 1).await;
    let live = hub.create_hunt(NewHunt { online_only: true, ..query("SELECT * FROM info()") }, "anna").unwrap();
    let state = || hub.hunt(live.hunt_id).unwrap().state;
    let flow = agent.start().await.flow_id;
    hub.inner.tick(live.created_ms + 60_000);
    assert_eq!(state(), HuntState::Running, "one is still at it");
    agent.finish(flow, &[]).await;
    hub.inner.tick(live.created_ms + 10);
    assert_eq!(state(), HuntState::Running, "not within its first second");
    hub.inner.tick(live.created_ms + 60_000);
    assert_eq!(state(), HuntState::Complete);
    assert!(hub.set_hunt(live.hunt_id, HuntAction::Run, "anna").is_err());
    assert_eq!(hub.set_hunt(live.hunt_id, HuntAction::Stop, "anna").unwrap().state, HuntState::Complete);
}

#[tokio::test]
async fn an_expired_hunt_asks_nobody_new() {
    let directory = directory();
    let hub = open(directory.path());
    let (mut here, gone) = (Agent::interrogated(&hub, 1).await, Agent::interrogated(&hub, 2).await);
    drop(gone);
    settle(&hub, ClientId(2)).await;
    let hunt = hub.create_hunt(NewHunt { expires_s: 60, ..query("SELECT * FROM info()") }, "anna").unwrap();
    let flow = here.start().await.flow_id;
    let before = hunt.expires_ms - 1;
    hub.inner.tick(before);
    assert_eq!(hub.hunt(hunt.hunt_id).unwrap().state, HuntState::Running);
    hub.inner.tick(hunt.expires_ms);
    let after = hub.hunt(hunt.hunt_id).unwrap();
    assert_eq!((after.state, after.counts.failed, after.counts.offered), (HuntState::Expired, 1, 1));
    let mut late = Agent::interrogated(&hub, 3).await;
    late.is_told_nothing(&hub).await;
    here.rows(flow, S0, 0, 1).await;
    here.stored().await;
    here.finish(flow, &[(S0, 1)]).await;
    assert_eq!(counts(&hub, hunt.hunt_id).answered, 1, "who has started may finish");
    hub.shutdown().await;
    drop((here, late, hub));
    assert_eq!(open(directory.path()).hunt(hunt.hunt_id).unwrap().state, HuntState::Expired);
}

#[tokio::test]
async fn flows_of_one_client() {
    let directory = directory();
    let hub = open(directory.path());
    let client = ClientId(1);
    let collection = || Collection::of_query("SELECT * FROM info()");
    assert!(matches!(hub.start_flow(client, collection(), "anna"), Err(HubError::NotFound { .. })));
    drop(Agent::interrogated(&hub, 1).await);
    settle(&hub, client).await;
    let (waits, never) = (
        hub.start_flow(client, collection(), "anna").unwrap(),
        hub.start_flow(client, collection(), "anna").unwrap().flow_id,
    );
    assert_eq!(waits.state, FlowState::Queued);
    let cancelled = hub.cancel_flow(client, never, "bert").unwrap();
    assert_eq!(cancelled.state, FlowState::Cancelled { reason: "cancelled by bert".into() });
    let mut agent = Agent::connect(&hub, 1, &[]);
    let flow = agent.start().await.flow_id;
    assert_eq!(flow, waits.flow_id);
    // The news of the offer itself come after the offer.
    settle(&hub, client).await;
    let mut watch = hub.watch_flow(client, flow).unwrap();
    agent.say(ToHub::FlowStarted { flow_id: flow }).await;
    within(watch.changed()).await.unwrap();
    assert_eq!(hub.flow(client, flow).unwrap().state, FlowState::Running);
    agent.rows(flow, S0, 0, 10).await;
    agent.stored().await;
    let page = hub.flow_rows(client, flow, S0, 8, 100).unwrap();
    assert_eq!(page.jsonl, line(client, S0, 8) + &line(client, S0, 9));
    assert!(hub.flow_rows(client, flow, StreamId(1), 0, 1).is_err());
    assert_eq!(hub.flow_rows(client, flow, S0, 99, 1).unwrap().jsonl, "");

    let asked = hub.cancel_flow(client, flow, "bert").unwrap();
    assert_eq!(asked.state, FlowState::Running, "it ends when the agent says so");
    assert!(matches!(agent.expect().await, ToAgent::CancelFlow { .. }));
    // The hub remembers over a restart that it is to end.
    hub.shutdown().await;
    drop((agent, watch, hub));
    let hub = open(directory.path());
    let mut agent = Agent::connect(&hub, 1, &[flow]);
    assert!(matches!(agent.expect().await, ToAgent::Stored { next_row: 10, .. } | ToAgent::CancelFlow { .. }));
    assert!(matches!(agent.expect().await, ToAgent::Stored { next_row: 10, .. } | ToAgent::CancelFlow { .. }));
    agent.end(flow, &[(S0, 10)], FlowState::Cancelled { reason: "cancelled by bert".into() }).await;
    assert_eq!(agent.expect().await, ToAgent::EndStored { flow_id: flow });
    let over = hub.flow(client, flow).unwrap();
    assert!(matches!(over.state, FlowState::Cancelled { .. }) && over.ended_ms.is_some());
    assert_eq!((over.sources[0].rows, over.creator.as_str()), (10, "anna"));
    let all: Vec<FlowId> = hub.flows(client).unwrap().iter().map(|flow| flow.flow_id).collect();
    assert!(all.contains(&never) && all.contains(&flow));
    let path = directory.path().join(format!("clients/{client}/flows/{flow}/results/Generic.Client.VQL.jsonl"));
    assert_eq!(fs::read_to_string(path).unwrap().lines().count(), 10);
}

#[tokio::test]
async fn uploads_are_taken_up_again_and_checked() {
    let directory = directory();
    let hub = open(directory.path());
    let mut agent = Agent::interrogated(&hub, 1).await;
    let client = agent.client;
    let flow = hub.start_flow(client, Collection::of_query("SELECT * FROM info()"), "anna").unwrap().flow_id;
    agent.start().await;
    let content: Vec<u8> = (0..100_000u32).flat_map(u32::to_le_bytes).collect();
    let sha256: String = Sha256::digest(&content).iter().map(|byte| format!("{byte:02x}")).collect();
    let chunk = |upload, from: usize, to: usize, last: bool| {
        ToHub::Upload(UploadChunk {
            flow_id: flow,
            upload,
            name: "C:\\a\u{7}b".into(),
            offset: from as u64,
            data: Bytes::copy_from_slice(&content[from..to]),
            end: last.then(|| UploadEnd { size: content.len() as u64, sha256: sha256.clone() }),
        })
    };
    let told =
        |upload, offset: usize, done| ToAgent::UploadStored { flow_id: flow, upload, offset: offset as u64, done };
    agent.say(chunk(0, 0, 1000, false)).await;
    assert_eq!(agent.expect().await, told(0, 1000, false));
    agent.say(chunk(0, 5000, 6000, false)).await;
    assert_eq!(agent.expect().await, told(0, 1000, false), "a gap");
    let end =
        FlowEnd { flow_id: flow, state: FlowState::Finished, rows: vec![], uploads: 1, cost: FlowCost::default() };
    agent.say(ToHub::FlowEnded(end.clone())).await;
    assert_eq!(agent.expect().await, told(0, 1000, false), "it has not all");
    hub.shutdown().await;
    drop((agent, hub));

    let hub = open(directory.path());
    let mut agent = Agent::connect(&hub, 1, &[flow]);
    assert_eq!(agent.expect().await, told(0, 1000, false));
    agent.say(ToHub::FlowEnded(end)).await;
    assert_eq!(agent.expect().await, told(0, 1000, false));
    agent.say(chunk(0, 500, 200_000, false)).await;
    assert_eq!(agent.expect().await, told(0, 200_000, false));
    agent.say(chunk(0, 200_000, content.len(), true)).await;
    assert_eq!(agent.expect().await, told(0, content.len(), true));
    assert_eq!(agent.expect().await, ToAgent::EndStored { flow_id: flow }, "the end had waited for it");
    let (summary, path) = hub.flow_upload(client, flow, 0).unwrap();
    assert_eq!((summary.name.as_str(), summary.size, summary.sha256), ("C:\\ab", Some(400_000), Some(sha256.clone())));
    assert_eq!(fs::read(path).unwrap(), content);
    assert_eq!(hub.flow(client, flow).unwrap().uploads.len(), 1);

    // A whole that is not what its hash says is asked for once more, and then fails the flow.
    let flow = hub.start_flow(client, Collection::of_query("SELECT * FROM info()"), "anna").unwrap().flow_id;
    agent.start().await;
    let lie = || {
        let end = Some(UploadEnd { size: 3, sha256: sha256.clone() });
        ToHub::Upload(UploadChunk {
            flow_id: flow,
            upload: 0,
            name: "x".into(),
            offset: 0,
            data: Bytes::from("abc"),
            end,
        })
    };
    agent.say(lie()).await;
    assert_eq!(agent.expect().await, ToAgent::UploadStored { flow_id: flow, upload: 0, offset: 0, done: false });
    agent.say(lie()).await;
    assert!(matches!(agent.expect().await, ToAgent::CancelFlow { .. }));
    settle(&hub, client).await;
    assert!(matches!(hub.flow(client, flow).unwrap().state, FlowState::Failed { .. }));
}

#[tokio::test]
async fn many_uploads_under_way_at_once_become_whole() {
    let directory = directory();
    let hub = open(directory.path());
    let mut agent = Agent::interrogated(&hub, 1).await;
    let client = agent.client;
    let flow_id = hub.start_flow(client, Collection::of_query("SELECT * FROM info()"), "anna").unwrap().flow_id;
    agent.start().await;
    const UPLOADS: u32 = 100;
    let sha256: String = Sha256::digest("one two").iter().map(|byte| format!("{byte:02x}")).collect();
    for (offset, data, done) in [(0, "one ", false), (4, "two", true)] {
        for upload in 0..UPLOADS {
            let end = done.then(|| UploadEnd { size: 7, sha256: sha256.clone() });
            let chunk = UploadChunk { flow_id, upload, name: "f".into(), offset, data: data.into(), end };
            agent.say(ToHub::Upload(chunk)).await;
            let offset = offset + data.len() as u64;
            assert_eq!(agent.expect().await, ToAgent::UploadStored { flow_id, upload, offset, done });
        }
    }
    // What is whole is said to be, and stays as it is.
    let again = UploadChunk { flow_id, upload: 7, name: "f".into(), offset: 0, data: "xxx".into(), end: None };
    agent.say(ToHub::Upload(again)).await;
    assert_eq!(agent.expect().await, ToAgent::UploadStored { flow_id, upload: 7, offset: 7, done: true });
    for upload in 0..UPLOADS {
        assert_eq!(fs::read(hub.flow_upload(client, flow_id, upload).unwrap().1).unwrap(), b"one two");
    }
}

#[tokio::test]
async fn a_flow_with_thousands_of_uploads_comes_back() {
    let directory = directory();
    let hub = open(directory.path());
    let mut agent = Agent::interrogated(&hub, 1).await;
    let client = agent.client;
    let flow_id = hub.start_flow(client, Collection::of_query("SELECT * FROM info()"), "anna").unwrap().flow_id;
    agent.start().await;
    let uploads = hub.inner.store.paths.uploads(client, flow_id);
    fs::create_dir_all(&uploads).unwrap();
    for number in 0..9000 {
        fs::write(uploads.join(number.to_string()), "").unwrap();
    }
    let agent = Agent::connect(&hub, 1, &[flow_id]);
    settle(&hub, client).await;
    assert_eq!(agent.session.end_reason(), "", "all that it is told fits into its queue");
}

#[tokio::test]
async fn a_second_session_replaces_the_first() {
    let directory = directory();
    let hub = open(directory.path());
    let mut first = Agent::interrogated(&hub, 1).await;
    let second = Agent::connect(&hub, 1, &[]);
    assert!(matches!(first.expect().await, ToAgent::Close { .. }));
    assert!(first.next().await.is_none());
    assert_eq!(first.session.end_reason(), protocol::message::REPLACED);
    drop(first);
    settle(&hub, second.client).await;
    assert_eq!((hub.status().online, hub.status().clients), (1, 1));
    assert!(hub.client(second.client).unwrap().summary.online);
    drop(second);
    assert_eq!(hub.status().online, 0);
    let summary = hub.client(ClientId(1)).unwrap().summary;
    assert_eq!(
        (summary.online, summary.address.as_str(), summary.transport.as_deref()),
        (false, "10.1.2.3", Some("quic"))
    );
}

#[tokio::test]
async fn a_disk_that_refuses_loses_nothing() {
    let directory = directory();
    let hub = open(directory.path());
    let mut agent = Agent::interrogated(&hub, 1).await;
    let hunt = hub.create_hunt(query("SELECT * FROM info()"), "anna").unwrap().hunt_id;
    let flow = agent.start().await.flow_id;
    // A file where a directory should be.
    let results = directory.path().join(format!("hunts/{hunt}/results"));
    fs::write(&results, "").unwrap();
    agent.rows(flow, S0, 0, 3).await;
    assert!(matches!(agent.expect().await, ToAgent::Close { retry_after_ms: 1.., .. }));
    assert!(agent.next().await.is_none());
    assert!(hub.status().health.contains("disk") && hub.status().behind == 0);
    fs::remove_file(&results).unwrap();
    let mut agent = Agent::connect(&hub, 1, &[flow]);
    agent.rows(flow, S0, 0, 3).await;
    assert_eq!(agent.stored().await, 3);
    agent.finish(flow, &[(S0, 3)]).await;
    assert_eq!(hub.status().health, "ok");
    assert_each_once(directory.path(), hunt, &[1], 3);
}

#[tokio::test]
async fn a_file_that_cannot_be_read_is_nobody_elses_concern() {
    let directory = directory();
    let hub = open(directory.path());
    let inner = &hub.inner;
    let (mut good, bad) = (Agent::interrogated(&hub, 2).await, Agent::interrogated(&hub, 4).await);
    let flow_id = hub.start_flow(good.client, Collection::of_query("SELECT * FROM info()"), "anna").unwrap().flow_id;
    good.start().await;
    let damaged = FlowId::new(7, 7);
    fs::create_dir_all(inner.store.paths.flow_record(bad.client, damaged)).unwrap();
    // A writer of its own, so that both are in one group.
    let intake = Arc::new(Intake::new());
    for (client, message) in [
        (good.client, ToHub::Rows(batch(good.client, flow_id, S0, 0, 3))),
        (bad.client, ToHub::FlowStarted { flow_id: damaged }),
    ] {
        let live = inner.sessions.get(client).unwrap();
        let room = intake.room(&message).await.unwrap();
        assert!(intake.push(Task::Message { live, message, room }));
    }
    assert!(intake.push(Task::Stop));
    Shard::new(0, Arc::clone(inner), intake).run();
    assert_eq!(good.stored().await, 3);
    assert_eq!(good.session.end_reason(), "");
    assert!(bad.session.end_reason().contains("could not use a file"), "{}", bad.session.end_reason());
}

#[tokio::test]
async fn an_agent_that_does_not_read_is_let_go() {
    let directory = directory();
    let hub = open(directory.path());
    let agent = Agent::interrogated(&hub, 1).await;
    let text = format!("SELECT '{}' FROM info()", "x".repeat(1 << 20));
    for _ in 0..20 {
        hub.create_hunt(query(&text), "anna").unwrap();
    }
    assert!(agent.session.ended().is_cancelled());
    assert_eq!(hub.hunts().len(), 20, "the hunts are made all the same");
}
