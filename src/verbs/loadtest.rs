//! `swoop loadtest`: a swarm of agents against a hub, measured.

use std::path::{Path, PathBuf};

use clap::Args;
use loadtest::{ApiClient, Engine, Plan, Target, Transports};

use super::{
    local_hub::{LocalHub, log_in},
    process,
};
use crate::config::Config;

#[derive(Args, Debug)]
pub(crate) struct Loadtest {
    #[arg(long, default_value_t = 200)]
    clients: usize,
    /// quic, websocket, poll, or mix
    #[arg(long, default_value = "quic")]
    transport: Transports,
    /// The same seed gives the same swarm
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Answer with the real VQL engine; without it a stub answers
    #[arg(long, value_name = "VQL")]
    query: Option<String>,
    /// Rows of each stub's answer
    #[arg(long, default_value_t = 1)]
    rows: u32,
    /// A hub that runs on this machine, by its configuration; without it one is started in a temporary directory
    #[arg(long, value_name = "CONFIG")]
    hub: Option<PathBuf>,
    /// One line of JSON on standard output
    #[arg(long)]
    json: bool,
}

pub(crate) const EXAMPLES: &str = "Examples:
  swoop loadtest --clients 2000 --transport mix
  swoop loadtest --clients 500 --query \"SELECT * FROM info()\" --json | jq .push_to_disk_ms

It uses the loopback interface alone.";

pub(crate) fn run(arguments: Loadtest) -> anyhow::Result<()> {
    process::raise_file_limit();
    let report = process::runtime()?.block_on(async {
        let query = arguments.query.as_deref();
        let plan = Plan {
            clients: arguments.clients,
            transports: arguments.transport,
            seed: arguments.seed,
            engine: if arguments.query.is_some() { Engine::Vql } else { Engine::Stub },
            rows: arguments.rows,
            ..Plan::default()
        };
        match &arguments.hub {
            Some(file) => against(plan, query, file).await,
            None => {
                let hub = LocalHub::start().await?;
                let report = loadtest::run(plan, query, hub.target()?, &hub.api().await?, Some(hub.pid())).await;
                hub.stop().await?;
                report
            }
        }
    })?;
    let text = if arguments.json { serde_json::to_string(&report)? } else { report.to_string() };
    super::print(&(text + "\n"))
}

async fn against(plan: Plan, query: Option<&str>, file: &Path) -> anyhow::Result<loadtest::Report> {
    let config = Config::load(Some(file))?;
    let api: ApiClient = log_in(&config).await?;
    let target: Target = super::local_hub::target(&config)?;
    loadtest::run(plan, query, target, &api, None).await
}
