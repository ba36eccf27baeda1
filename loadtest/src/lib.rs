//! The swarm: many agents on the real link and the real transports in one process, and what they measure of a hub.
//!
//! The swarm speaks to the hub over the wire alone: it enrols, connects, is interrogated, takes part in a hunt that it
//! asks for through the interface for people, and reports when each member was told to start and when its rows were on
//! disk.

mod answer;
mod api_client;
mod endpoint;
mod plan;
mod process;
mod report;
mod swarm;

use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use protocol::{
    FlowId,
    api::{HuntSummary, LiveEvent, LiveRequest, NewHunt, RowView, Topic},
    collection::{Collection, Condition},
};

pub use self::{
    api_client::{ApiClient, Live},
    plan::{Engine, Member, Plan, Transports},
    process::Usage,
    report::{Quantiles, Report},
    swarm::{Swarm, Target},
};

/// The query of a hunt that stubs answer.
const STUB_QUERY: &str = "SELECT * FROM pslist()";

/// Runs the whole of a load test; `query` is what the hunt asks. `hub_pid` is the hub's process where it runs on this machine.
pub async fn run(
    plan: Plan,
    query: Option<&str>,
    target: Target,
    api: &ApiClient,
    hub_pid: Option<u32>,
) -> anyhow::Result<Report> {
    let hub_usage = || hub_pid.and_then(Usage::of);
    let before = hub_usage();
    let own_before = Usage::of(std::process::id()).map_or(0.0, |usage| usage.cpu_s);
    let timeout = Duration::from_secs(plan.timeout_s);
    let clients = plan.clients;
    let transport = plan.transports.name();

    let swarm = Swarm::start(plan, target)?;
    let enrolled = tokio::time::timeout(timeout, swarm.enrolled()).await;
    if !matches!(enrolled, Ok(1..)) {
        let why = swarm.last_failure().await.unwrap_or_else(|| "the hub does not answer".into());
        anyhow::bail!("no member of the swarm could enrol: {why}");
    }
    let (connected, took) =
        tokio::time::timeout(timeout, swarm.connect()).await.unwrap_or_else(|_| (swarm.connected(), timeout));
    ensure!(swarm.settled(timeout).await, "the interrogations did not end within {} s", timeout.as_secs());
    let idle = hub_usage();

    let hunt = NewHunt {
        collection: Collection::of_query(query.unwrap_or(STUB_QUERY)),
        condition: Condition::default(),
        expires_s: 0,
        online_only: true,
        paused: false,
    };
    let asked = Instant::now();
    let made: HuntSummary = api.post("/api/hunts", &hunt).await.context("the hunt could not be made")?;
    let first_row = tokio::spawn(first_row(api.clone(), made.clone(), asked));
    let flow = FlowId::of_hunt(made.hunt_id);
    if !swarm.answered(flow, connected, timeout).await {
        tracing::warn!("not all members had their rows stored within {} s", timeout.as_secs());
    }
    let (received, stored) = swarm.facts(flow).await;
    let since =
        |times: Vec<Instant>| times.into_iter().map(|at| at.saturating_duration_since(asked)).collect::<Vec<_>>();
    let (received, stored) = (since(received), since(stored));
    let last = stored.iter().max().copied().unwrap_or_default();
    let hunted: HuntSummary = api.get(&format!("/api/hunts/{}", made.hunt_id)).await?;
    let first_row_ms = first_row.await.ok().and_then(|found| {
        found.inspect_err(|error| tracing::warn!("the live interface showed no row: {error:#}")).ok()
    });
    let after = hub_usage();
    let failed = swarm.failed();
    swarm.stop().await;

    Ok(Report {
        clients,
        transport,
        connected,
        failed,
        connect_per_s: connected as f64 / took.as_secs_f64().max(1e-3),
        push_to_agent_ms: Quantiles::of(received),
        push_to_disk_ms: Quantiles::of(stored),
        first_row_ms: first_row_ms.map(|time| (time.as_secs_f64() * 1e6).round() / 1e3),
        rows: hunted.counts.rows,
        rows_per_s: hunted.counts.rows as f64 / last.as_secs_f64().max(1e-3),
        hub_rss_bytes: after.map(|usage| usage.rss_bytes),
        hub_rss_per_client_bytes: idle
            .zip(before)
            .map(|(idle, before)| idle.rss_bytes.saturating_sub(before.rss_bytes) / connected.max(1) as u64),
        hub_cpu_s: after.zip(before).map(|(after, before)| after.cpu_s - before.cpu_s),
        swarm_cpu_s: Usage::of(std::process::id()).map_or(0.0, |usage| usage.cpu_s - own_before),
    })
}

/// Subscribes as a page would, and waits for the first row.
async fn first_row(api: ApiClient, hunt: HuntSummary, asked: Instant) -> anyhow::Result<Duration> {
    let seen = async {
        let mut live = api.live().await?;
        let view = Some(RowView { source: 0, from: 0, limit: 50 });
        live.send(&LiveRequest::Watch { id: 1, topic: Topic::Hunt { hunt_id: hunt.hunt_id, view } }).await?;
        while let Some(event) = live.next().await? {
            match event {
                LiveEvent::Rows { page, .. } if !page.jsonl.is_empty() => return Ok(asked.elapsed()),
                LiveEvent::Error { error, .. } => anyhow::bail!(error.message),
                _ => {}
            }
        }
        anyhow::bail!("the hub closed the live interface")
    };
    tokio::time::timeout(Duration::from_secs(30), seen).await.context("no row within 30 s")?
}
