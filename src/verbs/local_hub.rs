//! A hub on this machine: one that runs already, or one of our own as a child process in a temporary directory.

use std::{
    fs,
    net::{Ipv4Addr, SocketAddr, TcpListener},
    path::{Path, PathBuf},
    process::{ExitStatus, Stdio},
    time::Duration,
};

use anyhow::{Context, ensure};
use loadtest::{ApiClient, Target};
use tempfile::TempDir;
use tokio::{
    net::TcpStream,
    process::{Child, Command},
};

use super::config::create;
use crate::config::{self, Config, Wishes};

/// By this name the command line is logged in on the hub's own machine: who may write to the datastore may.
const LOCAL_USER: &str = "local";

/// How long a token for the command line is good.
const TOKEN: Duration = Duration::from_secs(60);

/// A hub has this long to be ready, or to be down.
const PATIENCE: Duration = Duration::from_secs(30);

/// A hub of our own; killed if it is dropped while it runs.
#[derive(Debug)]
pub(crate) struct LocalHub {
    dir: TempDir,
    file: PathBuf,
    config: Config,
    gui: SocketAddr,
    child: Child,
    pid: u32,
}

impl LocalHub {
    /// With new keys, on the usual ports where they are free, else on others.
    pub(crate) async fn start() -> anyhow::Result<Self> {
        match Self::start_on(free_ports(true)?).await {
            // Between the look and the start somebody else may have taken a port.
            Err(error) if error.is::<Ended>() => Self::start_on(free_ports(false)?).await,
            started => started,
        }
    }

    async fn start_on((agents, people): (u16, u16)) -> anyhow::Result<Self> {
        let dir = tempfile::Builder::new().prefix("swoop-").tempdir().context("no temporary directory")?;
        let file = dir.path().join("server.yaml");
        let wishes = Wishes {
            server_urls: vec![format!("https://127.0.0.1:{agents}/")],
            location: dir.path().join("hub").display().to_string(),
            ..Wishes::default()
        };
        let text = config::generate(&wishes)?
            .replace(&format!("bind_port: {}", config::FRONTEND_PORT), &format!("bind_port: {agents}"))
            .replace(&format!("bind_port: {}", config::GUI_PORT), &format!("bind_port: {people}"));
        create(&file, &text)?;
        let config = Config::parse(&file, &text)?;
        let gui = SocketAddr::from((Ipv4Addr::LOCALHOST, people));
        let mut child = own(&file, &["frontend"])?.spawn().context("the hub's process could not be started")?;
        let pid = child.id().context("the hub's process has ended")?;
        wait_for(&config, &mut child).await?;
        Ok(Self { dir, file, config, gui, child, pid })
    }

    pub(crate) fn pid(&self) -> u32 {
        self.pid
    }

    pub(crate) fn gui(&self) -> SocketAddr {
        self.gui
    }

    pub(crate) fn dir(&self) -> &Path {
        self.dir.path()
    }

    pub(crate) fn datastore(&self) -> anyhow::Result<PathBuf> {
        Ok(self.config.hub()?.datastore)
    }

    pub(crate) fn target(&self) -> anyhow::Result<Target> {
        target(&self.config)
    }

    pub(crate) async fn api(&self) -> anyhow::Result<ApiClient> {
        log_in(&self.config).await
    }

    /// A token that lets a person in once, within the hour.
    pub(crate) fn invitation(&self) -> anyhow::Result<String> {
        Ok(hub::auth::mint_once(&self.datastore()?, "demo", Duration::from_secs(3600))?)
    }

    /// A real agent of this hub as a child process, killed when dropped.
    pub(crate) fn agent(&self) -> anyhow::Result<Child> {
        let client = self.dir.path().join("client.yaml");
        fs::write(&client, config::client_part(&self.config)?).context("client.yaml could not be written")?;
        let writeback = self.dir.path().join("agent/writeback.yaml");
        fs::create_dir_all(self.dir.path().join("agent")).context("the agent's directory could not be made")?;
        let mut command = own(&client, &["client", "--writeback"])?;
        command.arg(writeback).spawn().context("the agent's process could not be started")
    }

    /// Stops it in order.
    pub(crate) async fn stop(mut self) -> anyhow::Result<()> {
        terminate(self.pid);
        let status = tokio::time::timeout(PATIENCE, self.child.wait())
            .await
            .with_context(|| format!("the hub did not stop within {} s", PATIENCE.as_secs()))??;
        ensure!(status.success(), "the hub ended with {status}; its configuration was {}", self.file.display());
        Ok(())
    }
}

/// Ends a child in order; one that does not end is killed.
pub(crate) async fn end(mut child: Child) {
    if let Some(pid) = child.id() {
        terminate(pid);
        let _ = tokio::time::timeout(PATIENCE, child.wait()).await;
    }
}

/// Asks a process to stop.
fn terminate(pid: u32) {
    use rustix::process::{Pid, Signal, kill_process};
    if let Some(pid) = i32::try_from(pid).ok().and_then(Pid::from_raw) {
        let _ = kill_process(pid, Signal::TERM);
    }
}

/// Where a swarm finds the hub of this configuration.
pub(crate) fn target(config: &Config) -> anyhow::Result<Target> {
    let hub = config.hub()?;
    let host =
        if hub.frontend_bind.ip().is_unspecified() { Ipv4Addr::LOCALHOST.into() } else { hub.frontend_bind.ip() };
    Ok(Target {
        hub: agent::transport::HubAddress { host: host.to_string(), port: hub.frontend_bind.port() },
        authority: config.client()?.ca_certificate.clone(),
        nonce: hub.nonce,
    })
}

/// Logs in on the hub of this configuration, which must run on this machine.
pub(crate) async fn log_in(config: &Config) -> anyhow::Result<ApiClient> {
    let hub = config.hub()?;
    let token = hub::auth::mint_once(&hub.datastore, LOCAL_USER, TOKEN).with_context(|| {
        format!("the datastore {} cannot be written to: run this as the hub's user", hub.datastore.display())
    })?;
    ApiClient::login_once(hub.gui_bind, &token).await
}

/// This program again, quiet on standard output.
fn own(config: &Path, arguments: &[&str]) -> anyhow::Result<Command> {
    let mut command = Command::new(std::env::current_exe().context("the path of this program is not known")?);
    command.arg("--config").arg(config).args(arguments);
    command.stdin(Stdio::null()).stdout(Stdio::null()).kill_on_drop(true);
    if std::env::var_os("SWOOP_LOG").is_none() {
        command.env("SWOOP_LOG", "warn");
    }
    Ok(command)
}

/// The hub's process is no more.
#[derive(Debug, thiserror::Error)]
#[error("the hub ended with {0} before it was ready: what it said stands above")]
struct Ended(ExitStatus);

/// Ready is a hub that lets in by a token of its own datastore: another may be at the same address.
async fn wait_for(config: &Config, hub: &mut Child) -> anyhow::Result<()> {
    let gui = config.hub()?.gui_bind;
    let ready = async {
        loop {
            if TcpStream::connect(gui).await.is_ok() && log_in(config).await.is_ok() {
                return Ok(());
            }
            if let Some(status) = hub.try_wait()? {
                return Err(Ended(status).into());
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(PATIENCE, ready).await.context("the hub was not ready in time")?
}

/// Two ports that are free; `usual`: the usual ones where they are.
fn free_ports(usual: bool) -> anyhow::Result<(u16, u16)> {
    let any = || TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("no free port");
    let bind = |port: u16| match TcpListener::bind((Ipv4Addr::LOCALHOST, port)) {
        Ok(socket) if usual => Ok(socket),
        _ => any(),
    };
    // Held together, so that they are different.
    let agents = bind(config::FRONTEND_PORT)?;
    let people = bind(config::GUI_PORT)?;
    Ok((agents.local_addr()?.port(), people.local_addr()?.port()))
}
