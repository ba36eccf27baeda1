//! What a hub is started with. Checked by whoever reads the configuration file; the hub trusts it.

use std::{fmt, net::SocketAddr, path::PathBuf, sync::Arc};

/// The settings of one hub.
pub struct Config {
    /// The directory of the flat files; made if it is not there.
    pub datastore: PathBuf,
    /// Where agents come in: UDP (QUIC) and TCP (WebSocket, long-poll) on the same number.
    pub frontend_bind: SocketAddr,
    /// Where people come in.
    pub gui_bind: SocketAddr,
    /// What an agent must know to be enrolled.
    pub nonce: String,
    /// Signs agents' requests, and vouches for the hub's own certificate.
    pub authority: certs::Authority,
    /// The hub's certificate and its PKCS#8 key, as PEM.
    pub hub_certificate_pem: String,
    pub hub_key_pem: String,
    /// The agents' heartbeat.
    pub heartbeat_ms: u32,
    /// Threads that write, 1 to 64; 0: one for each core, at most 8. Fixed when the datastore is made.
    pub shards: usize,
    /// Where uploaded files go, which may be large; None: into the datastore.
    pub filestore: Option<PathBuf>,
    /// What the endpoints' VQL knows. Typed queries that name anything else are refused; None: they are sent as they
    /// are.
    pub endpoint: Option<Arc<vql::Registry>>,
}

impl fmt::Debug for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Neither keys nor the nonce belong into a log.
        f.debug_struct("Config")
            .field("datastore", &self.datastore)
            .field("frontend_bind", &self.frontend_bind)
            .field("gui_bind", &self.gui_bind)
            .finish_non_exhaustive()
    }
}
