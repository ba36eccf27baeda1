//! `swoop demo`: a hub, a swarm and one real agent, in a temporary directory.

use std::{
    collections::{HashMap, HashSet},
    fs,
    path::Path,
    time::{Duration, Instant},
};

use anyhow::{Context, ensure};
use clap::Args;
use loadtest::{ApiClient, Engine, Plan, Swarm, Transports};
use protocol::{
    api::{ClientPage, HuntClientPage, HuntSummary, LiveEvent, LiveRequest, NewHunt, Topic},
    collection::{Collection, Condition},
};
use serde::Serialize;

use super::{
    local_hub::{self, LocalHub},
    process,
};

#[derive(Args, Debug)]
pub(crate) struct Demo {
    /// Simulated endpoints, besides the real one
    #[arg(long, default_value_t = 200)]
    clients: usize,
    /// Without a person: run a hunt, check that each client answered once and that its rows are on disk
    #[arg(long)]
    check: bool,
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

pub(crate) const EXAMPLES: &str = "Examples:
  swoop demo
  swoop demo --clients 1000 --check

The simulated endpoints run the real engine; what info() and pslist() show there is made up by the seed.";

/// The hunt of `--check`: each client has at least one row.
const CHECK_QUERY: &str = "SELECT Pid, Name, Exe, CommandLine FROM pslist() LIMIT 5";

/// All must be connected and interrogated, and later have answered, in this time.
const PATIENCE: Duration = Duration::from_secs(180);

pub(crate) fn run(arguments: &Demo) -> anyhow::Result<()> {
    process::raise_file_limit();
    process::runtime()?.block_on(async {
        let stop = process::stop_signal()?;
        tokio::select! {
            outcome = demo(arguments) => outcome,
            () = stop => Ok(()),
        }
    })
}

async fn demo(arguments: &Demo) -> anyhow::Result<()> {
    let started = Instant::now();
    let hub = LocalHub::start().await?;
    let agent = hub.agent()?;
    let plan = Plan {
        clients: arguments.clients,
        transports: Transports::Mix,
        seed: arguments.seed,
        engine: Engine::Vql,
        ..Plan::default()
    };
    let swarm = Swarm::start(plan, hub.target()?)?;
    let api = hub.api().await?;
    let expected = arguments.clients + 1;
    tokio::time::timeout(PATIENCE, async {
        swarm.enrolled().await;
        swarm.connect().await;
    })
    .await
    .context("the swarm did not connect in time")?;
    ensure!(
        swarm.connected() == arguments.clients,
        "{} of the swarm's {} agents could not connect: {}",
        swarm.failed(),
        arguments.clients,
        swarm.last_failure().await.unwrap_or_default()
    );
    all_known(&api, expected).await?;
    ensure!(swarm.settled(PATIENCE).await, "not all interrogations ended in time");

    if arguments.check {
        let checked = check(&hub, &api, expected, started).await?;
        super::print(&(serde_json::to_string(&checked)? + "\n"))?;
        swarm.stop().await;
        local_hub::end(agent).await;
        hub.stop().await?;
        ensure!(checked.ok, "the hunt is not as it should be: the line above says how");
        return Ok(());
    }
    super::print(&format!(
        "\n  {expected} endpoints are connected. Open this address (it logs you in once):\n\n    http://{}/#/login?once={}\n\n  \
         Everything is kept in {} until you press Ctrl-C.\n\n",
        hub.gui(),
        hub.invitation()?,
        hub.dir().display(),
    ))?;
    std::future::pending().await
}

/// Waits until the hub shows `expected` clients as online.
async fn all_known(api: &ApiClient, expected: usize) -> anyhow::Result<()> {
    let mut live = api.live().await?;
    live.send(&LiveRequest::Watch { id: 1, topic: Topic::Status }).await?;
    let all = async {
        while let Some(event) = live.next().await? {
            if let LiveEvent::Status { status, .. } = event
                && status.online >= expected as u64
            {
                return Ok(());
            }
        }
        anyhow::bail!("the hub closed the live interface")
    };
    tokio::time::timeout(PATIENCE, all).await.context("the real agent did not connect in time")?
}

/// What `--check` found.
#[derive(Serialize)]
struct Checked {
    ok: bool,
    clients: usize,
    answered: u64,
    failed: u64,
    /// Clients whose rows are in the hunt's files.
    clients_on_disk: usize,
    /// Rows by the hub's count, and by the lines of the hunt's files.
    rows: u64,
    lines_on_disk: usize,
    /// A row that is there twice, or a line that is no row of this hunt.
    bad_lines: usize,
    files: String,
    hunt_id: String,
    hunt_ms: u64,
    total_s: f64,
}

async fn check(hub: &LocalHub, api: &ApiClient, expected: usize, started: Instant) -> anyhow::Result<Checked> {
    let known: ClientPage = api.get("/api/clients?limit=1").await?;
    ensure!(known.total == expected as u64, "the hub knows {} clients, expected {expected}", known.total);
    let new = NewHunt {
        collection: Collection::of_query(CHECK_QUERY),
        condition: Condition::default(),
        expires_s: 0,
        online_only: false,
        paused: false,
    };
    let asked = Instant::now();
    let hunt: HuntSummary = api.post("/api/hunts", &new).await?;
    let hunt = over(api, hunt).await?;
    let hunt_ms = asked.elapsed().as_millis() as u64;
    let page: HuntClientPage = api.get(&format!("/api/hunts/{}/clients?limit=1", hunt.hunt_id)).await?;

    let results = hub.datastore()?.join("hunts").join(hunt.hunt_id.to_string()).join("results");
    let (lines_on_disk, by_client, bad_lines) = count_lines(&results)?;
    let c = hunt.counts;
    let all = expected as u64;
    let ok = c.matching == all
        && c.answered == all
        && c.failed == 0
        && page.total == all
        && by_client.len() == expected
        && lines_on_disk as u64 == c.rows
        && bad_lines == 0;
    Ok(Checked {
        ok,
        clients: expected,
        answered: c.answered,
        failed: c.failed,
        clients_on_disk: by_client.len(),
        rows: c.rows,
        lines_on_disk,
        bad_lines,
        files: results.display().to_string(),
        hunt_id: hunt.hunt_id.to_string(),
        hunt_ms,
        total_s: started.elapsed().as_secs_f64(),
    })
}

/// Waits until nobody is outstanding.
async fn over(api: &ApiClient, hunt: HuntSummary) -> anyhow::Result<HuntSummary> {
    let mut live = api.live().await?;
    live.send(&LiveRequest::Watch { id: 1, topic: Topic::Hunt { hunt_id: hunt.hunt_id, view: None } }).await?;
    let mut last = hunt;
    let wait = async {
        while last.counts.outstanding() > 0 || last.counts.matching == 0 {
            match live.next().await? {
                Some(LiveEvent::Hunt { hunt, .. }) => last = hunt,
                Some(_) => {}
                None => anyhow::bail!("the hub closed the live interface"),
            }
        }
        Ok(())
    };
    // A hunt that does not end is reported with the numbers that it has.
    match tokio::time::timeout(PATIENCE, wait).await {
        Ok(outcome) => outcome?,
        Err(_) => tracing::warn!("the hunt did not end within {} s", PATIENCE.as_secs()),
    }
    Ok(last)
}

/// Lines of the hunt's files, rows by client, and lines that are no row or are there twice.
fn count_lines(results: &Path) -> anyhow::Result<(usize, HashMap<String, usize>, usize)> {
    let (mut lines, mut bad) = (0, 0);
    let mut by_client: HashMap<String, usize> = HashMap::new();
    let mut seen = HashSet::new();
    for source in fs::read_dir(results).with_context(|| format!("{} cannot be read", results.display()))? {
        for file in fs::read_dir(source?.path())? {
            let path = file?.path();
            if path.extension().is_none_or(|extension| extension != "jsonl") {
                continue;
            }
            for line in fs::read_to_string(&path)?.lines() {
                lines += 1;
                let row: serde_json::Value = serde_json::from_str(line).unwrap_or_default();
                match row.get("ClientId").and_then(|id| id.as_str()) {
                    Some(client) if seen.insert(line.to_owned()) => *by_client.entry(client.into()).or_default() += 1,
                    _ => bad += 1,
                }
            }
        }
    }
    Ok((lines, by_client, bad))
}
