//! What the hub's core does with a fleet, without sockets: agents in this process connect, are interrogated, answer a
//! hunt of one row each, and then a hundred of them send rows without pause.

#![allow(clippy::print_stdout, clippy::unwrap_used)]

use std::{
    path::Path,
    time::{Duration, Instant},
};

use bytes::Bytes;
use hub::{Config, Hub, Outbound, Session};
use protocol::{
    ClientId, FlowId,
    api::{HuntSummary, NewHunt},
    collection::{Collection, Condition, FlowCost, FlowEnd, FlowState, StreamId},
    frame::Decoder,
    message::{Encoding, Hello, RowBatch, ToAgent, ToHub, VERSIONS},
};
use tokio::task::JoinSet;

const SENDERS: u64 = 100;
/// Bytes of a batch, as agents make them.
const BATCH: usize = 64 << 10;

fn main() {
    // Anything but `cargo bench` only shows that it runs.
    let real = std::env::args().any(|argument| argument == "--bench");
    let (agents, batches) = if real { (10_000, 100) } else { (50, 2) };
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    runtime.block_on(measure(agents, batches));
}

async fn measure(agents: u64, batches: u64) {
    let folder = tempfile::tempdir().unwrap();
    let hub = open(folder.path());
    let mut fleet = JoinSet::new();

    let started = Instant::now();
    for number in 1..=agents {
        let hello = Hello {
            versions: VERSIONS,
            agent_version: "0.1.0".into(),
            hostname: format!("host-{number}"),
            os: "linux".into(),
            clock_ms: 0,
            flows: vec![],
            labels: vec![],
        };
        let client = ClientId(number.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let (session, outbound) = hub.connect(client, &hello, "quic", "127.0.0.1:9".parse().unwrap());
        fleet.spawn(agent(session, outbound, number <= SENDERS, batches));
    }
    let connected = started.elapsed();
    let mut change = hub.watch_clients();
    let last = |hub: &Hub| hub.clients("", 0, agents as u32).unwrap().clients;
    let all: Vec<ClientId> = last(&hub).iter().map(|client| client.client_id).collect();
    while !all.iter().all(|client| hub.client(*client).unwrap().interrogated_ms.is_some()) {
        change.changed().await.unwrap();
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    println!("{agents} agents: connected in {connected:.1?}, interrogated after {:.1?}", started.elapsed());

    let started = Instant::now();
    let made = ask(&hub, "SELECT 'one row' FROM scope()").await;
    let returned = started.elapsed();
    let answered = wait(&hub, &made, agents).await;
    println!(
        "a hunt of one row each: made and offered in {returned:.1?}, first row on disk after {:.1} ms, all after {:.1?}",
        answered.first_row_ms.unwrap(),
        started.elapsed()
    );

    let started = Instant::now();
    let made = ask(&hub, "SELECT 'many rows' FROM scope()").await;
    let summary = wait(&hub, &made, agents).await;
    let (took, source) = (started.elapsed().as_secs_f64(), &summary.sources[0]);
    println!(
        "{} rows, {:.1} MB: {:.0} rows/s, {:.0} MB/s",
        source.rows,
        source.bytes as f64 / 1e6,
        source.rows as f64 / took,
        source.bytes as f64 / 1e6 / took
    );
    hub.shutdown().await;
    fleet.join_all().await;
}

async fn ask(hub: &Hub, query: &str) -> HuntSummary {
    let new = NewHunt {
        collection: Collection::of_query(query),
        condition: Condition::default(),
        expires_s: 0,
        online_only: false,
        paused: false,
    };
    let hub = hub.clone();
    tokio::task::spawn_blocking(move || hub.create_hunt(new, "bench").unwrap()).await.unwrap()
}

async fn wait(hub: &Hub, hunt: &HuntSummary, agents: u64) -> HuntSummary {
    let mut change = hub.watch_hunt(hunt.hunt_id).unwrap();
    loop {
        let summary = hub.hunt(hunt.hunt_id).unwrap();
        assert_eq!(summary.counts.failed, 0);
        if summary.counts.answered == agents {
            return summary;
        }
        change.changed().await.unwrap();
    }
}

/// Answers every flow: many rows where the query says so and the agent is a sender, else one.
async fn agent(session: Session, mut outbound: Outbound, sender: bool, batches: u64) {
    let line = format!("{{\"row\":\"{}\"}}\n", "x".repeat(188));
    let per_batch = BATCH / line.len();
    let (one, many) = (Bytes::from(line.clone()), Bytes::from(line.repeat(per_batch)));
    let mut decoder = Decoder::default();
    while let Some(frame) = outbound.next().await {
        decoder.push(&frame);
        let Some(ToAgent::StartFlow(request)) = decoder.next().unwrap() else { continue };
        let flow = request.flow_id;
        let mut made = 1;
        let said = if sender && request.sources[0].query.contains("many") {
            made = per_batch as u64 * batches;
            let all = async {
                for number in 0..batches {
                    session.receive(rows(flow, number * per_batch as u64, per_batch as u32, &many)).await?;
                }
                session.receive(end(flow, made)).await
            };
            all.await
        } else {
            match session.receive(rows(flow, 0, 1, &one)).await {
                Ok(()) => session.receive(end(flow, made)).await,
                error => error,
            }
        };
        if said.is_err() {
            break;
        }
    }
}

fn rows(flow_id: FlowId, first_row: u64, rows: u32, data: &Bytes) -> ToHub {
    let data = data.clone();
    ToHub::Rows(RowBatch { flow_id, stream: StreamId(0), first_row, rows, encoding: Encoding::Plain, data })
}

fn end(flow_id: FlowId, rows: u64) -> ToHub {
    let (rows, cost) = (vec![(StreamId(0), rows)], FlowCost::default());
    ToHub::FlowEnded(FlowEnd { flow_id, state: FlowState::Finished, rows, uploads: 0, cost })
}

fn open(datastore: &Path) -> Hub {
    let bind = "127.0.0.1:0".parse().unwrap();
    Hub::open(Config {
        datastore: datastore.into(),
        filestore: None,
        endpoint: None,
        frontend_bind: bind,
        gui_bind: bind,
        nonce: "nonce".into(),
        authority: certs::Authority::create().unwrap(),
        hub_certificate_pem: String::new(),
        hub_key_pem: String::new(),
        heartbeat_ms: 20_000,
        shards: 0,
    })
    .unwrap()
}
