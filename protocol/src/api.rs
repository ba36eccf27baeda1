//! The JSON of the hub's HTTP and live interface, shared by the hub and the page.
//!
//! | call | body → answer |
//! |---|---|
//! | `POST /api/login` | [`Login`] → [`Me`] and the session cookie |
//! | `POST /api/login/once` | [`LoginOnce`] → [`Me`] and the session cookie |
//! | `POST /api/logout` | → nothing |
//! | `GET /api/me` | → [`Me`] |
//! | `GET /api/status` | → [`HubStatus`] |
//! | `GET /api/clients?q=&offset=&limit=` | → [`ClientPage`] |
//! | `GET /api/clients/{client_id}` | → [`ClientDetail`] |
//! | `POST /api/clients/{client_id}/labels` | [`LabelChange`] → [`ClientSummary`] |
//! | `GET /api/clients/{client_id}/flows` | → `Vec<FlowSummary>`, newest first |
//! | `POST /api/clients/{client_id}/flows` | [`NewFlow`] → [`FlowSummary`] |
//! | `GET /api/clients/{client_id}/flows/{flow_id}` | → [`FlowSummary`] |
//! | `POST /api/clients/{client_id}/flows/{flow_id}/cancel` | → [`FlowSummary`] |
//! | `GET /api/clients/{client_id}/flows/{flow_id}/rows?source=&from=&limit=` | → [`RowPage`] |
//! | `GET /api/clients/{client_id}/flows/{flow_id}/log?from=&limit=` | → [`RowPage`] |
//! | `GET /api/clients/{client_id}/flows/{flow_id}/download?source=&format=jsonl\|csv` | → the rows as a file |
//! | `GET /api/clients/{client_id}/flows/{flow_id}/uploads/{upload}` | → the uploaded file |
//! | `GET /api/hunts` | → `Vec<HuntSummary>`, newest first |
//! | `POST /api/hunts` | [`NewHunt`] → [`HuntSummary`] |
//! | `GET /api/hunts/{hunt_id}` | → [`HuntSummary`] |
//! | `POST /api/hunts/{hunt_id}/run`, `/pause`, `/stop` | → [`HuntSummary`] |
//! | `GET /api/hunts/{hunt_id}/clients?state=&offset=&limit=` | → [`HuntClientPage`] |
//! | `GET /api/hunts/{hunt_id}/rows?source=&from=&limit=` | → [`RowPage`] |
//! | `GET /api/hunts/{hunt_id}/download?source=&format=jsonl\|csv` | → the rows as a file |
//! | `GET /api/artifacts` | → `Vec<ArtifactSummary>` |
//! | `POST /api/vql/check` | [`Check`] → `Vec<QueryDiagnostic>` |
//! | `POST /api/vql/complete` | [`Complete`] → [`Completion`] |
//! | `GET /api/live` | a WebSocket: [`LiveRequest`] in, [`LiveEvent`] out, one JSON text a message |
//!
//! Calls that change something carry the header [`CSRF_HEADER`] with the value from [`Me::csrf_token`]. A failed call
//! answers with its HTTP status and an [`ApiError`].

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::{
    ClientId, FlowId, HuntId,
    collection::{Collection, Condition, FlowCost, FlowState, HuntState},
};

/// The name of the session cookie.
pub const SESSION_COOKIE: &str = "swoop_session";

/// The header that proves that a changing call came from the page itself.
pub const CSRF_HEADER: &str = "x-swoop-csrf";

/// The most rows that one [`RowPage`] or one live view holds.
pub const MAX_PAGE: u32 = 1000;

/// A failed call: what happened, why, and what to do now.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct ApiError {
    /// Stable, for programs: `not_found`, `bad_query`, `not_logged_in`, `csrf`, `bad_login`, `too_many_attempts`, …
    pub code: String,
    pub message: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
    /// For a query that does not compile: where and why.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub diagnostics: Vec<QueryDiagnostic>,
}

#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct QueryDiagnostic {
    pub code: String,
    /// `error`, `warning` or `hint`.
    pub severity: String,
    pub message: String,
    pub hint: Option<String>,
    /// Byte offsets into the query's text.
    pub start: u32,
    pub end: u32,
}

/// What is wrong with a query that is being typed, by what endpoints know?
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Check {
    pub text: String,
}

/// What may stand at the cursor of a query that is being typed?
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Complete {
    pub text: String,
    /// Bytes of the text before the cursor.
    pub cursor: u32,
}

/// The most candidates that a [`Completion`] holds.
pub const MAX_CANDIDATES: usize = 50;

#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
pub struct Completion {
    /// The part of the text, up to the cursor, that a candidate replaces, in bytes.
    pub start: u32,
    pub end: u32,
    /// Likely ones first, at most [`MAX_CANDIDATES`].
    pub candidates: Vec<Candidate>,
    /// How the plugin or function is called whose parentheses hold the cursor.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub call: Option<String>,
}

#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Candidate {
    /// What to put in place of the part: `pslist()`, `glob(`, `globs=`.
    pub text: String,
    /// `argument`, `column`, `variable`, `plugin`, `artifact`, `function` or `keyword`.
    pub kind: String,
    /// A line about it; may be empty.
    pub doc: String,
}

#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Login {
    pub user: String,
    pub password: String,
}

/// A token that lets in once, such as the one in the address that the demo prints.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct LoginOnce {
    pub token: String,
}

#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Me {
    pub user: String,
    pub csrf_token: String,
}

#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct HubStatus {
    pub version: String,
    pub started_ms: u64,
    /// Clients known, and with a live session.
    pub clients: u64,
    pub online: u64,
    /// Rows received and not yet on disk.
    pub behind: u64,
    /// `ok`, or in words what is wrong.
    pub health: String,
}

#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct ClientSummary {
    pub client_id: ClientId,
    pub hostname: String,
    /// `linux`, `windows`, `darwin`, or empty before the first session.
    pub os: String,
    pub release: String,
    pub labels: Vec<String>,
    pub online: bool,
    /// `quic`, `websocket` or `poll`, of the live or last session.
    pub transport: Option<String>,
    pub last_seen_ms: u64,
    pub first_seen_ms: u64,
    /// The address of the live or last session.
    pub address: String,
    pub agent_version: String,
}

/// `q` takes words such as `host:web`, `os:linux`, `ip:10.0.`, `mac:`, `label:`, `C.…` or a piece of any of them; all
/// words must match.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct ClientPage {
    /// Clients that match, of which `clients` is one page.
    pub total: u64,
    pub clients: Vec<ClientSummary>,
}

#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct ClientDetail {
    pub summary: ClientSummary,
    /// What interrogation found: rows by source name; empty until it is done.
    pub interrogation: Vec<SourceRows>,
    pub interrogated_ms: Option<u64>,
    /// The flow of the last interrogation.
    pub interrogation_flow: Option<FlowId>,
}

#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct SourceRows {
    pub source: String,
    pub rows: Vec<Box<RawValue>>,
}

#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[serde(default)]
pub struct LabelChange {
    pub add: Vec<String>,
    pub remove: Vec<String>,
}

#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct NewFlow {
    pub collection: Collection,
}

#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct FlowSummary {
    pub client_id: ClientId,
    pub flow_id: FlowId,
    pub collection: Collection,
    pub state: FlowState,
    pub creator: String,
    pub created_ms: u64,
    pub started_ms: Option<u64>,
    pub ended_ms: Option<u64>,
    pub sources: Vec<SourceSummary>,
    pub log_rows: u64,
    pub uploads: Vec<UploadSummary>,
    pub cost: FlowCost,
}

#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct SourceSummary {
    /// `Artifact/Source`.
    pub name: String,
    /// Rows on the hub's disk.
    pub rows: u64,
    pub bytes: u64,
}

#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct UploadSummary {
    pub upload: u32,
    pub name: String,
    pub stored: u64,
    /// Known once the upload has ended.
    pub size: Option<u64>,
    pub sha256: Option<String>,
}

#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct NewHunt {
    pub collection: Collection,
    #[serde(default)]
    pub condition: Condition,
    /// Seconds until it is offered to nobody new; a week where 0.
    #[serde(default)]
    pub expires_s: u64,
    /// Offer it only to clients that are online now: a live query. Nobody joins late.
    #[serde(default)]
    pub online_only: bool,
    /// Wait for `/run` instead of starting at once.
    #[serde(default)]
    pub paused: bool,
}

#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct HuntSummary {
    pub hunt_id: HuntId,
    pub collection: Collection,
    pub condition: Condition,
    pub online_only: bool,
    pub state: HuntState,
    pub creator: String,
    pub created_ms: u64,
    pub expires_ms: u64,
    pub counts: HuntCounts,
    pub sources: Vec<SourceSummary>,
    /// Milliseconds from the request to the first row on disk.
    pub first_row_ms: Option<f64>,
    /// Milliseconds from the request to the end of the answer, over the clients that answered.
    pub answer_p50_ms: Option<f64>,
    pub answer_p99_ms: Option<f64>,
}

/// `matching = waiting + offered + running + answered + failed`; the states behind each are in [`HuntClientState`].
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(default)]
pub struct HuntCounts {
    /// Clients that meet the condition.
    pub matching: u64,
    /// Not yet given to a session, mostly because the client is away.
    pub waiting: u64,
    pub offered: u64,
    pub running: u64,
    pub answered: u64,
    pub failed: u64,
    /// Rows on disk, over all sources, without logs.
    pub rows: u64,
}

impl HuntCounts {
    /// Clients that were given the hunt.
    pub fn sent(&self) -> u64 {
        self.offered + self.running + self.answered + self.failed
    }

    /// Clients from which more may come.
    pub fn outstanding(&self) -> u64 {
        self.waiting + self.offered + self.running
    }
}

/// Which of the numbers in [`HuntCounts`] a client counts in; the `state=` of the list of a hunt's clients.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum HuntClientState {
    Waiting,
    Offered,
    Running,
    Answered,
    Failed,
}

impl From<&FlowState> for HuntClientState {
    fn from(state: &FlowState) -> Self {
        match state {
            FlowState::Queued => Self::Waiting,
            FlowState::Offered => Self::Offered,
            FlowState::Running => Self::Running,
            FlowState::Finished | FlowState::Truncated { .. } => Self::Answered,
            FlowState::Failed { .. }
            | FlowState::Cancelled { .. }
            | FlowState::TimedOut { .. }
            | FlowState::Lost { .. } => Self::Failed,
        }
    }
}

#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct HuntClientPage {
    pub total: u64,
    pub clients: Vec<HuntClient>,
}

#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct HuntClient {
    pub client_id: ClientId,
    pub hostname: String,
    pub flow_id: FlowId,
    pub state: FlowState,
    pub rows: u64,
    /// Milliseconds from the request to the end of the answer.
    pub answer_ms: Option<f64>,
    pub changed_ms: u64,
}

/// Rows `from .. from + rows.len()` of a result set that holds `total` now.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct RowPage {
    pub source: String,
    pub from: u64,
    pub total: u64,
    /// One JSON object a row, keys in the query's order. A hunt's rows end with `ClientId` and `FlowId`.
    pub rows: Vec<Box<RawValue>>,
}

#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct ArtifactSummary {
    pub name: String,
    pub description: String,
    /// `CLIENT`, `SERVER`, …
    pub kind: String,
    pub parameters: Vec<ArtifactParameter>,
    pub sources: Vec<String>,
}

#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct ArtifactParameter {
    pub name: String,
    pub description: String,
    pub kind: String,
    pub default: String,
}

/// From the page to the hub over `/api/live`.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(rename_all = "snake_case", tag = "type")]
pub enum LiveRequest {
    /// Tells now, and at each change, about `topic`. The same `id` again replaces what it watched before.
    Watch {
        id: u32,
        topic: Topic,
    },
    Unwatch {
        id: u32,
    },
}

#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(rename_all = "snake_case", tag = "topic")]
pub enum Topic {
    /// [`LiveEvent::Status`].
    Status,
    /// [`LiveEvent::Hunt`], and with a view [`LiveEvent::Rows`].
    Hunt { hunt_id: HuntId, view: Option<RowView> },
    /// [`LiveEvent::Flow`], and with a view [`LiveEvent::Rows`].
    Flow { client_id: ClientId, flow_id: FlowId, view: Option<RowView> },
    /// [`LiveEvent::Clients`] when a client comes, goes, or changes.
    Clients,
    /// [`LiveEvent::Hunts`] when the list of hunts or one's state changes.
    Hunts,
}

/// The rows in sight: `from .. from + limit` of one source.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct RowView {
    /// Index of the source.
    pub source: u16,
    pub from: u64,
    /// At most [`MAX_PAGE`].
    pub limit: u32,
}

/// From the hub to the page. Events are merged where they come faster than about 20 a second; the first is sent at
/// once.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(rename_all = "snake_case", tag = "type")]
pub enum LiveEvent {
    Status {
        id: u32,
        status: HubStatus,
    },
    Hunt {
        id: u32,
        hunt: HuntSummary,
    },
    Flow {
        id: u32,
        flow: FlowSummary,
    },
    /// Rows in view that were not sent for this view before: they start at `page.from`, which moves on as rows come.
    Rows {
        id: u32,
        page: RowPageText,
    },
    Clients {
        id: u32,
    },
    Hunts {
        id: u32,
    },
    /// The topic does not exist, or cannot be read.
    Error {
        id: u32,
        error: ApiError,
    },
}

/// As [`RowPage`], with the rows as one text of JSONL: a tagged enum cannot hold raw JSON, and the page splits lines
/// faster than a parser would.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct RowPageText {
    pub source: String,
    pub from: u64,
    pub total: u64,
    /// Lines, each ended by `\n`.
    pub jsonl: String,
}
