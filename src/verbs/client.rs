//! `swoop client`: the agent.

use std::path::{Path, PathBuf};

use agent::Agent;
use clap::Args;
use tokio_util::sync::CancellationToken;

use super::{config::load, process};

#[derive(Args, Debug)]
pub(crate) struct Client {
    /// Where this endpoint keeps its key and certificate, instead of the configuration's writeback path
    #[arg(long, value_name = "FILE")]
    writeback: Option<PathBuf>,
}

pub(crate) fn run(arguments: &Client, file: Option<&Path>) -> anyhow::Result<()> {
    let agent = Agent::open(load(file)?.agent(arguments.writeback.as_deref())?)?;
    tracing::info!("agent {} of client {}", env!("CARGO_PKG_VERSION"), agent.client_id());
    process::runtime()?.block_on(async {
        let stop = process::stop_signal()?;
        let shutdown = CancellationToken::new();
        let stopped = shutdown.clone();
        tokio::spawn(async move {
            stop.await;
            stopped.cancel();
        });
        Ok(agent.run(shutdown).await?)
    })
}
