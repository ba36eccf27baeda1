//! A hub in this process, behind its real listeners on loopback.

use std::{net::SocketAddr, path::PathBuf, sync::Arc, time::Duration};

use agent::{
    flows::FlowsConfig,
    transport::{HubAddress, LadderConfig, Proxy},
};
use certs::{AgentTls, Authority, CertificateDer, HubCertReloader, Identity};
use hub::{Hub, listener::Listeners};
use protocol::{ClientId, api::ClientSummary};
use tempfile::TempDir;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::harness::{LIMIT, eventually};

pub(crate) const NONCE: &str = "a nonce of the tests";

pub(crate) struct House {
    dir: TempDir,
    pub(crate) hub: Hub,
    pub(crate) address: SocketAddr,
    pub(crate) authority: CertificateDer<'static>,
    pub(crate) reloader: Arc<HubCertReloader>,
    shutdown: CancellationToken,
    served: Option<JoinHandle<()>>,
}

impl House {
    /// `heartbeat_ms` is what the hub asks of agents.
    pub(crate) fn open(heartbeat_ms: u32) -> Self {
        start_logs();
        let dir = tempfile::tempdir().unwrap();
        let authority = Authority::create().unwrap();
        let certificate = authority.certificate().clone();
        let issued = authority.sign_hub(30).unwrap();
        let reloader = HubCertReloader::new(&certificate, &issued.certificate_pem, &issued.key_pem).unwrap();
        let listeners = Listeners::bind(([127, 0, 0, 1], 0).into()).unwrap();
        let address = listeners.address();
        let hub = Hub::open(hub::Config {
            datastore: dir.path().join("datastore"),
            frontend_bind: address,
            gui_bind: ([127, 0, 0, 1], 0).into(),
            nonce: NONCE.into(),
            authority,
            hub_certificate_pem: issued.certificate_pem,
            hub_key_pem: issued.key_pem,
            heartbeat_ms,
            shards: 2,
            filestore: None,
            endpoint: None,
        })
        .unwrap();
        let shutdown = CancellationToken::new();
        let serving = listeners.serve(hub.clone(), shutdown.clone());
        let served = tokio::spawn(async move { serving.await.unwrap() });
        Self { dir, hub, address, authority: certificate, reloader, shutdown, served: Some(served) }
    }

    pub(crate) fn hub_address(&self) -> HubAddress {
        HubAddress { host: self.address.ip().to_string(), port: self.address.port() }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// TLS of an agent that has enrolled, made beside the wire.
    pub(crate) fn agent_tls(&self, identity: &Identity) -> AgentTls {
        let request = identity.signing_request().unwrap();
        let certificate = self.hub.enrol(NONCE, &request, ([127, 0, 0, 1], 1).into()).unwrap();
        AgentTls::new(&self.authority, Some((&certificate.into(), identity))).unwrap()
    }

    /// An agent's configuration whose writeback and spool lie in the house's directory.
    pub(crate) fn agent_config(&self, name: &str, port: u16, ladder: LadderConfig) -> agent::Config {
        agent::Config {
            hubs: vec![HubAddress { host: "127.0.0.1".into(), port }],
            authority: self.authority.clone(),
            nonce: NONCE.into(),
            labels: Vec::new(),
            writeback: self.path(&format!("{name}.yaml")),
            flows: FlowsConfig { spool_dir: Some(self.path(&format!("{name}.spool"))), ..FlowsConfig::default() },
            proxy: None::<Proxy>,
            ladder,
        }
    }

    pub(crate) fn summary(&self, client: ClientId) -> Result<ClientSummary, hub::HubError> {
        self.hub.client(client).map(|detail| detail.summary)
    }

    /// Waits until the client is online over `transport`.
    pub(crate) async fn online_over(&self, client: ClientId, transport: &str) {
        eventually(&format!("{client} is online over {transport}"), async || {
            let seen = self.summary(client).map_err(|error| error.to_string())?;
            match seen.online && seen.transport.as_deref() == Some(transport) {
                true => Ok(()),
                false => Err(format!("online: {}, transport: {:?}", seen.online, seen.transport)),
            }
        })
        .await;
    }

    pub(crate) async fn offline(&self, client: ClientId) {
        eventually(&format!("{client} is away"), async || match self.summary(client) {
            Ok(seen) if !seen.online => Ok(()),
            Ok(_) => Err("it is online".to_owned()),
            Err(error) => Err(error.to_string()),
        })
        .await;
    }

    /// As SIGTERM would: the sessions end in order, then the listeners.
    pub(crate) async fn close(&mut self) {
        let all = async {
            self.hub.shutdown().await;
            self.shutdown.cancel();
            if let Some(served) = self.served.take() {
                served.await.unwrap();
            }
        };
        tokio::time::timeout(LIMIT, all).await.expect("the hub shuts down in time");
    }
}

impl Drop for House {
    fn drop(&mut self) {
        self.shutdown.cancel();
    }
}

/// An agent of this process, stopped when dropped.
pub(crate) struct Agent {
    pub(crate) id: ClientId,
    shutdown: CancellationToken,
    running: Option<JoinHandle<Result<(), agent::RunError>>>,
}

impl Agent {
    pub(crate) fn start(config: agent::Config) -> Self {
        let agent = agent::Agent::open(config).unwrap();
        let (id, shutdown) = (agent.client_id(), CancellationToken::new());
        let running = Some(tokio::spawn(agent.run(shutdown.clone())));
        Self { id, shutdown, running }
    }

    pub(crate) async fn stop(mut self) {
        self.shutdown.cancel();
        let running = self.running.take().unwrap();
        tokio::time::timeout(LIMIT, running).await.expect("the agent stops in time").unwrap().unwrap();
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        self.shutdown.cancel();
    }
}

/// A ladder that does in tenths of seconds what takes minutes in the field.
pub(crate) fn quick_ladder() -> LadderConfig {
    LadderConfig {
        head_start_ms: 150,
        pause_ms: 100,
        max_pause_ms: 400,
        climb_ms: 200,
        max_climb_ms: 400,
        ..LadderConfig::default()
    }
}

/// Logs of what runs in this process, shown when a test fails.
pub(crate) fn start_logs() {
    let filter = std::env::var("SWOOP_TEST_LOG").unwrap_or_else(|_| "info".into());
    let _ = tracing_subscriber::fmt().with_env_filter(filter).with_test_writer().try_init();
}

/// For a step that has no condition of its own to wait on.
pub(crate) async fn within<T>(what: &str, step: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(30), step).await.unwrap_or_else(|_| panic!("{what}: not within 30 s"))
}
