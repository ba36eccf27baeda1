//! What is asked of clients and how far they are with it: plain nouns for both wires.

use std::{collections::BTreeMap, fmt};

use serde::{Deserialize, Serialize};

use crate::{ClientId, FlowId};

/// A request: artifacts, their parameters, and limits.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Collection {
    pub artifacts: Vec<ArtifactRequest>,
    #[serde(default)]
    pub limits: Limits,
    /// Why it was asked, for people.
    #[serde(default)]
    pub description: String,
}

impl Collection {
    /// The artifact that runs a query as it is typed.
    pub const QUERY_ARTIFACT: &'static str = "Generic.Client.VQL";

    /// An ad-hoc query: a collection of [`Self::QUERY_ARTIFACT`].
    pub fn of_query(query: impl Into<String>) -> Self {
        Self {
            artifacts: vec![ArtifactRequest {
                name: Self::QUERY_ARTIFACT.into(),
                parameters: BTreeMap::from([("Command".into(), query.into())]),
            }],
            limits: Limits::default(),
            description: String::new(),
        }
    }

    /// The text of an ad-hoc query, if this is one.
    pub fn query(&self) -> Option<&str> {
        match &self.artifacts[..] {
            [one] if one.name == Self::QUERY_ARTIFACT => one.parameters.get("Command").map(String::as_str),
            _ => None,
        }
    }
}

#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct ArtifactRequest {
    pub name: String,
    #[serde(default)]
    pub parameters: BTreeMap<String, String>,
}

/// How much one flow may take from its client.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(default)]
pub struct Limits {
    /// Seconds from the start on the client to [`FlowState::TimedOut`].
    pub timeout_s: u32,
    /// Rows over all sources; more end the flow as [`FlowState::Truncated`].
    pub max_rows: u64,
    /// Bytes of rows and uploads together.
    pub max_bytes: u64,
    /// Share of one core in percent; None leaves the query alone.
    pub cpu_percent: Option<u8>,
}

impl Default for Limits {
    fn default() -> Self {
        Self { timeout_s: 600, max_rows: 1_000_000, max_bytes: 1 << 30, cpu_percent: None }
    }
}

/// Which clients a hunt is offered to; an empty condition means all.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[serde(default)]
pub struct Condition {
    /// Has at least one of these labels; empty: any.
    pub labels: Vec<String>,
    /// Has none of these labels.
    pub exclude_labels: Vec<String>,
    /// `linux`, `windows` or `darwin`. A client not yet interrogated does not match until it is.
    pub os: Option<String>,
    /// Just these clients; empty: any.
    pub clients: Vec<ClientId>,
}

/// Where one flow stands.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case", tag = "state")]
pub enum FlowState {
    /// Known to the hub, not yet given to a live session.
    Queued,
    /// Given to a session; the agent has not yet said that it started.
    Offered,
    Running,
    /// Ran to its end, and every row that it made is on the hub's disk.
    Finished,
    Failed {
        reason: String,
    },
    Cancelled {
        reason: String,
    },
    TimedOut {
        after_s: u32,
    },
    /// Ended at a limit; the rows before it are there.
    Truncated {
        limit: String,
    },
    /// The agent no longer knows of it.
    Lost {
        reason: String,
    },
}

impl FlowState {
    /// Nothing more will come.
    pub fn is_final(&self) -> bool {
        match self {
            Self::Queued | Self::Offered | Self::Running => false,
            Self::Finished
            | Self::Failed { .. }
            | Self::Cancelled { .. }
            | Self::TimedOut { .. }
            | Self::Truncated { .. }
            | Self::Lost { .. } => true,
        }
    }

    /// Ended with what was asked for: in full, or up to a stated limit.
    pub fn is_answer(&self) -> bool {
        matches!(self, Self::Finished | Self::Truncated { .. })
    }

    /// The name of the state as it stands in files, on the wire and on screen.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Offered => "offered",
            Self::Running => "running",
            Self::Finished => "finished",
            Self::Failed { .. } => "failed",
            Self::Cancelled { .. } => "cancelled",
            Self::TimedOut { .. } => "timed_out",
            Self::Truncated { .. } => "truncated",
            Self::Lost { .. } => "lost",
        }
    }
}

impl fmt::Display for FlowState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Failed { reason } | Self::Cancelled { reason } | Self::Lost { reason } => {
                write!(f, "{}: {reason}", self.name())
            }
            Self::TimedOut { after_s } => write!(f, "timed out after {after_s} s"),
            Self::Truncated { limit } => write!(f, "truncated: {limit}"),
            _ => f.write_str(self.name()),
        }
    }
}

#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum HuntState {
    /// Made, not yet offered to anyone.
    Created,
    Running,
    /// Offered to nobody new; flows that started go on.
    Paused,
    /// Ended by a person: flows under way were cancelled.
    Stopped,
    /// Past its expiry: as paused, and for good.
    Expired,
    /// A live query, offered only to those that were online, whose clients have all ended.
    Complete,
}

/// One stored or transmitted sequence of rows within a flow: source 0, 1, …, or the log.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(transparent)]
pub struct StreamId(pub u16);

impl StreamId {
    /// The flow's log: rows with `level`, `message`, `time`.
    pub const LOG: Self = Self(u16::MAX);

    /// More sources than this in one flow are refused.
    pub const MAX_SOURCES: usize = 1024;

    /// The index of the source; None for the log.
    pub fn source(self) -> Option<usize> {
        (self != Self::LOG).then_some(usize::from(self.0))
    }
}

/// A collection compiled for the endpoint: plain VQL, with the definitions of the artifacts that it calls.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct FlowRequest {
    pub flow_id: FlowId,
    /// Run in order; the position is the source's [`StreamId`].
    pub sources: Vec<SourceQuery>,
    /// Variables of the scope: the artifact's parameters as JSON values.
    pub env: Vec<(String, serde_json::Value)>,
    pub limits: Limits,
    /// The artifacts that the queries call, and those that these call: definitions in YAML.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub definitions: Vec<String>,
}

#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
pub struct SourceQuery {
    /// `Artifact/Source`, or `Artifact` where the source has no name: names the result set.
    pub name: String,
    /// The script; the rows of all its SELECT statements are this source's rows.
    pub query: String,
    /// An expression; the source is skipped when it is not true.
    #[serde(default)]
    pub precondition: Option<String>,
    /// Runs in the scope that the source before leaves, and with it: it has no precondition of its own.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub same_scope: bool,
}

/// What a flow cost on the client.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(default)]
pub struct FlowCost {
    pub duration_ms: u64,
    pub cpu_ms: u64,
}

/// The end of a flow as the agent saw it. The hub calls the flow ended only when it has all the rows counted here.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct FlowEnd {
    pub flow_id: FlowId,
    pub state: FlowState,
    /// Rows made, for each stream that has any.
    pub rows: Vec<(StreamId, u64)>,
    /// Uploads made.
    pub uploads: u32,
    pub cost: FlowCost,
}
