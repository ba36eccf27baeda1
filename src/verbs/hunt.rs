//! `swoop hunt`: asks every client that is online, and prints the rows as they come.

use std::{
    io::{self, Write},
    path::Path,
};

use clap::Args;
use loadtest::ApiClient;
use protocol::{
    ClientId,
    api::{HuntSummary, LiveEvent, LiveRequest, MAX_PAGE, NewHunt, RowView, Topic},
    collection::{Collection, Condition, HuntState},
};

use super::{config::load, local_hub::log_in, process};

#[derive(Args, Debug)]
pub(crate) struct Hunt {
    /// The query, as for `swoop query`
    vql: String,
    /// Only clients with this label; may be repeated
    #[arg(long = "label")]
    labels: Vec<String>,
    /// Only clients of this system: linux, windows or darwin
    #[arg(long)]
    os: Option<String>,
    /// Only this client; may be repeated
    #[arg(long = "client", value_name = "CLIENT_ID")]
    clients: Vec<ClientId>,
    /// Seconds that a client may take
    #[arg(long, default_value_t = 600, value_name = "SECONDS")]
    timeout: u32,
    /// Also clients that connect later, for a week; this command still ends when those online have answered
    #[arg(long)]
    late: bool,
}

pub(crate) const EXAMPLES: &str = "Examples:
  swoop --config server.yaml hunt \"SELECT Name, Exe FROM pslist() WHERE Exe =~ '/tmp'\"
  swoop --config server.yaml hunt --os linux --label web \"SELECT * FROM netstat()\" | jq -r .ClientId | sort -u

Runs on the hub's machine, as a user who may write to its datastore. Rows go to standard output, an object a line;
Ctrl-C stops the hunt.";

pub(crate) fn run(arguments: Hunt, file: Option<&Path>) -> anyhow::Result<()> {
    let config = load(file)?;
    process::runtime()?.block_on(async {
        let api = log_in(&config).await?;
        let mut collection = Collection::of_query(arguments.vql);
        collection.limits.timeout_s = arguments.timeout;
        let condition = Condition {
            labels: arguments.labels,
            os: arguments.os,
            clients: arguments.clients,
            ..Condition::default()
        };
        let new = NewHunt { collection, condition, expires_s: 0, online_only: !arguments.late, paused: false };
        let hunt: HuntSummary = api.post("/api/hunts", &new).await?;
        let stop = process::stop_signal()?;
        let shown = tokio::select! {
            shown = show(&api, &hunt) => shown,
            () = stop => {
                let stopped: HuntSummary = api.post(&format!("/api/hunts/{}/stop", hunt.hunt_id), &()).await?;
                Ok(Some(stopped))
            }
        };
        match shown {
            Ok(Some(last)) => {
                let c = last.counts;
                tracing::info!(
                    "{}: {} sent, {} answered, {} failed, {} outstanding, {} rows",
                    last.hunt_id,
                    c.sent(),
                    c.answered,
                    c.failed,
                    c.outstanding(),
                    c.rows
                );
                Ok(())
            }
            Ok(None) => anyhow::bail!("the hub closed the live interface: {} may go on", hunt.hunt_id),
            Err(error) => match error.downcast_ref::<io::Error>().map(io::Error::kind) {
                Some(io::ErrorKind::BrokenPipe) => Ok(()),
                _ => Err(error),
            },
        }
    })
}

/// Prints rows until all have answered; None when the hub ends the connection before.
async fn show(api: &ApiClient, hunt: &HuntSummary) -> anyhow::Result<Option<HuntSummary>> {
    let mut live = api.live().await?;
    let mut out = io::stdout();
    let (mut next, mut window) = (0, 0);
    let watch = |from: u64| LiveRequest::Watch {
        id: 1,
        topic: Topic::Hunt { hunt_id: hunt.hunt_id, view: Some(RowView { source: 0, from, limit: MAX_PAGE }) },
    };
    live.send(&watch(0)).await?;
    let mut last: Option<HuntSummary> = None;
    while let Some(event) = live.next().await? {
        match event {
            LiveEvent::Rows { page, .. } => {
                // A view that was replaced may still be under way.
                if page.from != next {
                    continue;
                }
                out.write_all(page.jsonl.as_bytes())?;
                out.flush()?;
                next += page.jsonl.lines().count() as u64;
                if next >= window + u64::from(MAX_PAGE) {
                    window = next;
                    live.send(&watch(next)).await?;
                }
            }
            LiveEvent::Hunt { hunt, .. } => last = Some(hunt),
            LiveEvent::Error { error, .. } => anyhow::bail!(error.message),
            _ => {}
        }
        let is_over = |hunt: &HuntSummary| {
            let ended = hunt.counts.sent() == hunt.counts.answered + hunt.counts.failed;
            (ended && (hunt.online_only || hunt.counts.outstanding() == hunt.counts.waiting))
                || matches!(hunt.state, HuntState::Stopped | HuntState::Complete)
        };
        if let Some(hunt) = last.take_if(|hunt| is_over(hunt) && next >= hunt.sources.first().map_or(0, |s| s.rows)) {
            return Ok(Some(hunt));
        }
    }
    Ok(None)
}
