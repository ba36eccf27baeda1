//! What agent and hub say to each other: two closed enums, one variant for each thing that can be said.
//!
//! The way of a session: the agent sends [`ToHub::Hello`], the hub answers [`ToAgent::Welcome`] or
//! [`ToAgent::Refuse`]. A peer without a certificate may only send [`ToHub::Enrol`], is answered with
//! [`ToAgent::Enrolled`] or [`ToAgent::Refuse`], and the connection ends.
//!
//! Rows carry their row number, so sending a batch twice is harmless. [`ToAgent::Stored`] means on disk.

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::{
    FlowId,
    collection::{FlowEnd, FlowRequest, StreamId},
};

/// The protocol versions that this build speaks, lowest and highest.
pub const VERSIONS: (u16, u16) = (1, 1);

/// The reason in [`ToAgent::Close`] when a second connection of the same client has replaced the session.
pub const REPLACED: &str = "replaced by a newer connection of the same client";

/// From hub to agent.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ToAgent {
    Welcome(Welcome),
    Refuse(Refuse),
    Enrolled {
        /// DER of the agent's certificate.
        #[serde(with = "serde_bytes")]
        certificate: Vec<u8>,
    },
    Ping {
        nonce: u64,
    },
    Pong {
        nonce: u64,
    },
    StartFlow(FlowRequest),
    CancelFlow {
        flow_id: FlowId,
        reason: String,
    },
    /// Every row of the stream before `next_row` is on the hub's disk. After a reconnect the agent goes on from there.
    Stored {
        flow_id: FlowId,
        stream: StreamId,
        next_row: u64,
    },
    /// The flow's end is recorded and all its rows are stored: the agent may forget it.
    EndStored {
        flow_id: FlowId,
    },
    /// Every byte of the upload before `offset` is on disk; `done` once its end and hash are recorded.
    UploadStored {
        flow_id: FlowId,
        upload: u32,
        offset: u64,
        done: bool,
    },
    /// The hub ends the session in order.
    Close {
        reason: String,
        /// The agent should wait this long before it dials again; 0: as usual.
        retry_after_ms: u32,
    },
}

/// From agent to hub.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ToHub {
    Hello(Hello),
    Enrol {
        nonce: String,
        /// DER of a PKCS #10 certification request (RFC 2986).
        #[serde(with = "serde_bytes")]
        request: Vec<u8>,
    },
    Ping {
        nonce: u64,
    },
    Pong {
        nonce: u64,
    },
    FlowStarted {
        flow_id: FlowId,
    },
    Rows(RowBatch),
    Upload(UploadChunk),
    /// Sent again after each reconnect until [`ToAgent::EndStored`].
    FlowEnded(FlowEnd),
    /// The agent ends the session in order.
    Close {
        reason: String,
    },
}

#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Hello {
    /// Lowest and highest protocol version that the agent speaks.
    pub versions: (u16, u16),
    /// The agent's program version, such as `0.1.0`.
    pub agent_version: String,
    pub hostname: String,
    /// `linux`, `windows` or `darwin`.
    pub os: String,
    /// The agent's clock, Unix milliseconds.
    pub clock_ms: u64,
    /// Flows whose end is not yet stored, so that the hub says how far it has them and which it misses.
    pub flows: Vec<FlowId>,
    /// From the agent's configuration: a client that is new to the hub gets them.
    #[serde(default)]
    pub labels: Vec<String>,
}

#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Welcome {
    /// The version that both will speak.
    pub version: u16,
    /// The hub's clock, Unix milliseconds.
    pub clock_ms: u64,
    /// The agent sends something at least this often; the hub gives up after three of them.
    pub heartbeat_ms: u32,
}

/// Why the hub does not speak with this agent. Both sides log the text.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Refuse {
    pub code: RefuseCode,
    /// One plain line for people: what and what to do.
    pub text: String,
}

#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum RefuseCode {
    /// No protocol version in common.
    Version,
    /// The nonce is not this hub's.
    Nonce,
    /// The signing request is malformed or not signed by its own key.
    Request,
    /// The peer has no certificate and did not ask to enrol, or the reverse.
    Identity,
    /// Shutting down, or too many sessions: try again later.
    Busy,
    /// A message that does not belong here.
    Protocol,
    #[serde(other)]
    Other,
}

impl RefuseCode {
    /// Trying again without a change cannot help soon; the agent still does, rarely.
    pub fn is_final(self) -> bool {
        match self {
            Self::Version | Self::Nonce | Self::Request | Self::Protocol => true,
            Self::Identity | Self::Busy | Self::Other => false,
        }
    }
}

/// Rows `first_row ..` of one stream as JSONL: one JSON object a line, each line ended by `\n`.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct RowBatch {
    pub flow_id: FlowId,
    pub stream: StreamId,
    pub first_row: u64,
    pub rows: u32,
    pub encoding: Encoding,
    /// At most [`RowBatch::MAX_BYTES`] after decoding.
    pub data: Bytes,
}

impl RowBatch {
    /// A batch's JSONL may be this long, decoded. A single longer row is refused by the agent, with a log line.
    pub const MAX_BYTES: usize = 4 << 20;
}

#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Encoding {
    #[default]
    Plain,
    Zstd,
}

/// Part of an uploaded file. Chunks of one upload come in order.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct UploadChunk {
    pub flow_id: FlowId,
    /// Counts the flow's uploads from 0.
    pub upload: u32,
    /// The file's path on the client, as people write it; on the first chunk (offset 0) and the last.
    pub name: String,
    pub offset: u64,
    pub data: Bytes,
    /// On the last chunk: what the whole has.
    pub end: Option<UploadEnd>,
}

#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct UploadEnd {
    pub size: u64,
    /// SHA-256 of the whole, lower-case hex.
    pub sha256: String,
}
