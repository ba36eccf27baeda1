//! The centre: agents come in, their rows go to flat files, people ask and look.
//!
//! [`Hub`] is the whole of it without sockets: listeners bring agents by [`Hub::connect`] and [`Hub::enrol`], the
//! interface for people calls the rest. Calls for people read and write files: in async code, make them on a blocking
//! thread.

pub mod api;
pub mod auth;
mod config;
mod error;
pub mod listener;
mod sessions;

use std::{net::SocketAddr, path::PathBuf, sync::Arc};

use protocol::{
    ClientId, FlowId, HuntId,
    api::{
        ArtifactSummary, ClientDetail, ClientPage, ClientSummary, FlowSummary, HubStatus, HuntClientPage,
        HuntClientState, HuntSummary, LabelChange, NewHunt, RowPageText, UploadSummary,
    },
    collection::{Collection, StreamId},
    message::{Hello, Refuse, RefuseCode, ToHub},
};
use tokio::sync::watch;

pub use config::Config;
pub use error::{HubError, OpenError, SessionError};
pub use sessions::{Outbound, Session};

/// What a person does to a hunt.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum HuntAction {
    Run,
    Pause,
    Stop,
}

/// A running hub. Clones are the same hub.
#[derive(Clone, Debug)]
pub struct Hub(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    config: Config,
    sessions: sessions::Sessions,
    changed: watch::Sender<u64>,
}

impl Hub {
    /// Opens the datastore, repairs what a crash left behind, and starts the writers.
    pub fn open(config: Config) -> Result<Self, OpenError> {
        Ok(Self(Arc::new(Inner { config, sessions: Default::default(), changed: watch::Sender::new(0) })))
    }

    pub fn config(&self) -> &Config {
        &self.0.config
    }

    /// Ends all sessions, stores what they sent, and writes what is only in memory. Returns when that is done.
    pub async fn shutdown(&self) {}

    /// Turns an agent's signing request into its certificate (DER), if the nonce is right.
    pub fn enrol(&self, nonce: &str, request_der: &[u8], from: SocketAddr) -> Result<Vec<u8>, Refuse> {
        let _ = (nonce, request_der, from);
        Err(Refuse { code: RefuseCode::Busy, text: "the hub is starting".into() })
    }

    /// A client's session begins; an older session of the same client is ended. `transport` is `quic`, `websocket`
    /// or `poll`.
    pub fn connect(
        &self,
        client: ClientId,
        hello: &Hello,
        transport: &'static str,
        from: SocketAddr,
    ) -> (Session, Outbound) {
        let _ = (hello, transport, from);
        Session::new(self.clone(), self.0.sessions.open(client))
    }

    pub(crate) fn disconnected(&self, live: &sessions::Live) {
        self.0.sessions.forget(live);
    }

    pub(crate) async fn received(&self, live: &Arc<sessions::Live>, message: ToHub) -> Result<(), SessionError> {
        let _ = (live, message);
        Ok(())
    }

    pub fn status(&self) -> HubStatus {
        HubStatus {
            version: env!("CARGO_PKG_VERSION").into(),
            started_ms: 0,
            clients: 0,
            online: self.0.sessions.count() as u64,
            behind: 0,
            health: "ok".into(),
        }
    }

    /// Clients that match all words of `q`, by host name; see [`ClientPage`].
    pub fn clients(&self, q: &str, offset: u64, limit: u32) -> Result<ClientPage, HubError> {
        let _ = (q, offset, limit);
        Ok(ClientPage { total: 0, clients: vec![] })
    }

    pub fn client(&self, client: ClientId) -> Result<ClientDetail, HubError> {
        Err(HubError::not_found(client))
    }

    pub fn change_labels(&self, client: ClientId, change: &LabelChange, who: &str) -> Result<ClientSummary, HubError> {
        let _ = (change, who);
        Err(HubError::not_found(client))
    }

    pub fn start_flow(&self, client: ClientId, collection: Collection, creator: &str) -> Result<FlowSummary, HubError> {
        let _ = (collection, creator);
        Err(HubError::not_found(client))
    }

    /// Newest first.
    pub fn flows(&self, client: ClientId) -> Result<Vec<FlowSummary>, HubError> {
        Err(HubError::not_found(client))
    }

    pub fn flow(&self, client: ClientId, flow: FlowId) -> Result<FlowSummary, HubError> {
        let _ = flow;
        Err(HubError::not_found(client))
    }

    pub fn cancel_flow(&self, client: ClientId, flow: FlowId, who: &str) -> Result<FlowSummary, HubError> {
        let _ = (flow, who);
        Err(HubError::not_found(client))
    }

    /// Rows `from ..`, at most `limit` of them and about 4 MiB, at least one if there is one.
    pub fn flow_rows(
        &self,
        client: ClientId,
        flow: FlowId,
        stream: StreamId,
        from: u64,
        limit: u32,
    ) -> Result<RowPageText, HubError> {
        let _ = (flow, stream, from, limit);
        Err(HubError::not_found(client))
    }

    /// The file of an upload, as far as it came.
    pub fn flow_upload(
        &self,
        client: ClientId,
        flow: FlowId,
        upload: u32,
    ) -> Result<(UploadSummary, PathBuf), HubError> {
        let _ = (flow, upload);
        Err(HubError::not_found(client))
    }

    pub fn create_hunt(&self, hunt: NewHunt, creator: &str) -> Result<HuntSummary, HubError> {
        let _ = (hunt, creator);
        Err(HubError::Stopping)
    }

    /// Newest first.
    pub fn hunts(&self) -> Vec<HuntSummary> {
        Vec::new()
    }

    pub fn hunt(&self, hunt: HuntId) -> Result<HuntSummary, HubError> {
        Err(HubError::not_found(hunt))
    }

    pub fn set_hunt(&self, hunt: HuntId, action: HuntAction, who: &str) -> Result<HuntSummary, HubError> {
        let _ = (action, who);
        Err(HubError::not_found(hunt))
    }

    pub fn hunt_clients(
        &self,
        hunt: HuntId,
        state: Option<HuntClientState>,
        offset: u64,
        limit: u32,
    ) -> Result<HuntClientPage, HubError> {
        let _ = (state, offset, limit);
        Err(HubError::not_found(hunt))
    }

    /// Rows of all clients in the order in which they came to disk; limits as in [`Self::flow_rows`].
    pub fn hunt_rows(&self, hunt: HuntId, source: u16, from: u64, limit: u32) -> Result<RowPageText, HubError> {
        let _ = (source, from, limit);
        Err(HubError::not_found(hunt))
    }

    pub fn artifacts(&self) -> Vec<ArtifactSummary> {
        Vec::new()
    }

    /// Notes in `audit.jsonl` who did what.
    pub fn audit(&self, who: &str, action: &str, details: serde_json::Value) {
        let _ = (who, action, details);
    }

    /// The directory that the interface for people may keep its users in.
    pub fn users_directory(&self) -> PathBuf {
        self.0.config.datastore.join("users")
    }

    /// Changes of one hunt: counts, state, rows. None if there is no such hunt.
    pub fn watch_hunt(&self, hunt: HuntId) -> Option<watch::Receiver<u64>> {
        let _ = hunt;
        None
    }

    /// Changes of one flow. None if there is no such flow.
    pub fn watch_flow(&self, client: ClientId, flow: FlowId) -> Option<watch::Receiver<u64>> {
        let _ = (client, flow);
        None
    }

    /// A client comes, goes or changes.
    pub fn watch_clients(&self) -> watch::Receiver<u64> {
        self.0.changed.subscribe()
    }

    /// The list of hunts, or the state of one, changes.
    pub fn watch_hunts(&self) -> watch::Receiver<u64> {
        self.0.changed.subscribe()
    }

    /// What [`Self::status`] says changes.
    pub fn watch_status(&self) -> watch::Receiver<u64> {
        self.0.changed.subscribe()
    }
}
