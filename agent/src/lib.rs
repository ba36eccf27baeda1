//! The program on the endpoint.
//!
//! [`Agent::run`] keeps a session with a hub open over whatever way is free ([`transport`]), runs the flows that the
//! hub sends ([`flows`]), and keeps their rows on disk until the hub has them on its own. The endpoint's VQL is in
//! [`plugins`].

pub mod accessors;
pub mod client_info;
pub mod enrolment;
mod eventloop;
pub mod flows;
pub mod plugins;
pub mod session;
mod spool;
pub mod transport;

pub use plugins::registry;
pub use spool::SpoolError;

use std::{path::PathBuf, time::Instant};

use certs::{CertError, CertificateDer};
use protocol::ClientId;
use tokio_util::sync::CancellationToken;

use self::{
    enrolment::{Writeback, WritebackError},
    flows::{Flows, FlowsConfig},
    transport::{Dialer, HubAddress, Ladder, LadderConfig, Proxy},
};

/// What an agent needs to know, checked by whoever made it.
#[derive(Debug)]
pub struct Config {
    /// At least one; tried in turn.
    pub hubs: Vec<HubAddress>,
    /// The certificate authority that the hub's certificate must come from.
    pub authority: CertificateDer<'static>,
    pub nonce: String,
    /// What a hub that does not know this client yet is to call it by.
    pub labels: Vec<String>,
    pub writeback: PathBuf,
    pub flows: FlowsConfig,
    pub proxy: Option<Proxy>,
    pub ladder: LadderConfig,
}

/// Why an agent cannot run at all. A hub that is away or says no is no such reason.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    #[error(transparent)]
    Writeback(#[from] WritebackError),
    #[error(transparent)]
    Cert(#[from] CertError),
    #[error(transparent)]
    Spool(#[from] SpoolError),
    #[error("Client.server_urls names no hub")]
    NoHub,
}

/// An agent that has its identity and its flows, and is not yet connected.
#[derive(Debug)]
pub struct Agent {
    config: Config,
    writeback: Writeback,
}

impl Agent {
    /// Reads the writeback file, or makes it at the first start.
    pub fn open(config: Config) -> Result<Self, RunError> {
        if config.hubs.is_empty() {
            return Err(RunError::NoHub);
        }
        let writeback = Writeback::open(&config.writeback)?;
        Ok(Self { config, writeback })
    }

    pub fn client_id(&self) -> ClientId {
        self.writeback.client_id()
    }

    /// Runs until `shutdown` is cancelled; returns earlier only for what cannot get better by itself.
    pub async fn run(self, shutdown: CancellationToken) -> Result<(), RunError> {
        let Self { config, writeback } = self;
        let (flows, announced) = Flows::open(config.flows, registry()).map_err(RunError::Spool)?;
        eventloop::EventLoop {
            hubs: config.hubs,
            authority: config.authority,
            nonce: config.nonce,
            labels: config.labels,
            writeback,
            dialer: Dialer::new(config.proxy),
            ladder: Ladder::new(config.ladder, 0),
            flows,
            announced,
            shutdown,
            started: Instant::now(),
        }
        .run()
        .await
    }
}
