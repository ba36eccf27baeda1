//! Ways to the hub. Each gives the same [`Connection`]: a control lane, a lane for each flow, and what the hub says.
//!
//! On QUIC every lane is a stream of its own, so a large answer delays neither a cancel nor another flow. WebSocket and
//! long-poll put the lanes into one queue of small frames, with control first. Nothing above this module knows which.

mod http;
mod ladder;
mod long_poll;
mod quic;
mod websocket;

use std::{error::Error as StdError, fmt, time::Duration};

use bytes::Bytes;
use certs::AgentTls;
use protocol::message::ToAgent;
use tokio::sync::mpsc;
use tokio_util::task::AbortOnDropHandle;

pub use self::{
    http::Proxy,
    ladder::{Ladder, LadderConfig, Step},
};

#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Transport {
    Poll,
    WebSocket,
    Quic,
}

impl Transport {
    /// From the best to the one that passes everywhere.
    pub const ALL: [Self; 3] = [Self::Quic, Self::WebSocket, Self::Poll];

    pub fn name(self) -> &'static str {
        match self {
            Self::Quic => "quic",
            Self::WebSocket => "websocket",
            Self::Poll => "poll",
        }
    }
}

impl fmt::Display for Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A hub's address, from one of the `server_urls`.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct HubAddress {
    pub host: String,
    pub port: u16,
}

impl HubAddress {
    /// From `https://host:port/`; port 8000 where none is given. The path is of no meaning.
    pub fn parse(url: &str) -> Result<Self, String> {
        let rest = url
            .strip_prefix("https://")
            .or_else(|| url.strip_prefix("http://"))
            .ok_or_else(|| format!("{url:?} is no server URL: expected https://HOST:PORT/"))?;
        let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
        let (host, port) = match authority.rsplit_once(':') {
            Some((host, port)) if !port.contains(']') => {
                let port = port.parse().map_err(|_| format!("{url:?}: {port:?} is no port number"))?;
                (host, port)
            }
            _ => (authority, 8000),
        };
        let host = host.trim_start_matches('[').trim_end_matches(']');
        if host.is_empty() || host.contains(['@', ' ']) {
            return Err(format!("{url:?} is no server URL: expected https://HOST:PORT/"));
        }
        Ok(Self { host: host.into(), port })
    }
}

impl fmt::Display for HubAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

/// Why there is no connection, in one plain line, most telling causes last.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("{text}")]
pub struct DialError {
    pub cause: Cause,
    pub text: String,
}

/// How much a failure tells, from little to much: of several attempts the most telling is reported.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Cause {
    /// Nothing came back.
    NoAnswer,
    /// Name resolution, routing, a closed port, a broken connection.
    Unreachable,
    /// A proxy or another program between answered instead of the hub.
    Intermediary,
    /// The other side is there, and one of the two does not trust the other.
    Trust,
}

impl DialError {
    fn new(cause: Cause, text: impl Into<String>) -> Self {
        Self { cause, text: text.into() }
    }

    /// The line from TLS where TLS is the reason, else what the operating system said.
    fn of(doing: &str, hub: &HubAddress, tls: &AgentTls, error: &(dyn StdError + 'static)) -> Self {
        if let Some(line) = tls.explain(error) {
            return Self::new(Cause::Trust, format!("{hub}: {line}"));
        }
        let mut next = Some(error);
        while let Some(inner) = next {
            if let Some(io) = inner.downcast_ref::<std::io::Error>() {
                return Self::io(doing, hub, io);
            }
            next = inner.source();
        }
        Self::new(Cause::Unreachable, format!("{doing} {hub} failed: {error}"))
    }

    fn io(doing: &str, hub: &HubAddress, error: &std::io::Error) -> Self {
        use std::io::ErrorKind;
        let text = match error.kind() {
            ErrorKind::ConnectionRefused => {
                format!("{hub} refused the connection: is the hub running there, and is this its port?")
            }
            ErrorKind::TimedOut => format!("{hub} does not answer"),
            _ => format!("{doing} {hub} failed: {error}"),
        };
        Self::new(if error.kind() == ErrorKind::TimedOut { Cause::NoAnswer } else { Cause::Unreachable }, text)
    }
}

/// How long one attempt may take.
pub(crate) const DIAL_TIMEOUT: Duration = Duration::from_secs(10);

/// What dialling needs; made once, shared by all attempts. The swarm shares one among many agents' endpoints.
#[derive(Clone, Debug)]
pub struct Dialer {
    /// None where no UDP socket could be opened: QUIC then fails at once and the ladder goes on.
    endpoint: Option<quinn::Endpoint>,
    proxy: Option<Proxy>,
}

impl Dialer {
    /// With a UDP socket of its own.
    pub fn new(proxy: Option<Proxy>) -> Self {
        let endpoint = quic::client_endpoint()
            .inspect_err(|error| tracing::warn!("no UDP socket, QUIC will not be tried: {error}"))
            .ok();
        Self { endpoint, proxy }
    }

    /// Over a given endpoint, without a proxy.
    pub fn with_endpoint(endpoint: quinn::Endpoint) -> Self {
        Self { endpoint: Some(endpoint), proxy: None }
    }

    pub async fn dial(&self, transport: Transport, hub: &HubAddress, tls: &AgentTls) -> Result<Connection, DialError> {
        let attempt = async {
            match transport {
                Transport::Quic => quic::dial(self.endpoint.as_ref(), hub, tls).await,
                Transport::WebSocket => websocket::dial(hub, self.proxy.as_ref(), tls).await,
                Transport::Poll => long_poll::dial(hub, self.proxy.as_ref(), tls).await,
            }
        };
        tokio::time::timeout(DIAL_TIMEOUT, attempt)
            .await
            .unwrap_or_else(|_| Err(DialError::new(Cause::NoAnswer, format!("{hub} does not answer over {transport}"))))
    }
}

/// A client's QUIC endpoint on any free port; one can serve many connections.
pub fn client_endpoint() -> std::io::Result<quinn::Endpoint> {
    quic::client_endpoint()
}

/// One live connection to the hub.
#[derive(Debug)]
pub struct Connection {
    pub transport: Transport,
    pub control: Lane,
    pub lanes: Lanes,
    /// What the hub says; ends when the connection is gone.
    pub incoming: mpsc::Receiver<ToAgent>,
    /// Reads, and for queued transports writes, until dropped.
    task: AbortOnDropHandle<()>,
}

impl Connection {
    /// Sends what is still queued, as far as that is possible in a short while, and ends the connection.
    pub async fn close(self) {
        let Self { control, lanes, task, .. } = self;
        let _ = tokio::time::timeout(Duration::from_secs(2), async {
            match control {
                Lane::Quic(mut stream) => {
                    let _ = stream.finish();
                    let _ = stream.stopped().await;
                }
                Lane::Queue(queue) => {
                    drop((queue, lanes));
                    let _ = task.await;
                }
            }
        })
        .await;
    }
}

/// Opens a lane for a flow.
#[derive(Clone, Debug)]
pub enum Lanes {
    Quic(quinn::Connection),
    Queue(mpsc::Sender<Bytes>),
}

impl Lanes {
    pub async fn open(&self) -> Result<Lane, Gone> {
        match self {
            Self::Quic(connection) => Ok(Lane::Quic(connection.open_uni().await.map_err(|_| Gone)?)),
            Self::Queue(queue) => Ok(Lane::Queue(queue.clone())),
        }
    }
}

/// An ordered way for frames to the hub. Sending waits while the hub, or the way to it, is slow.
#[derive(Debug)]
pub enum Lane {
    Quic(quinn::SendStream),
    Queue(mpsc::Sender<Bytes>),
}

impl Lane {
    pub async fn send(&mut self, frame: Bytes) -> Result<(), Gone> {
        match self {
            Self::Quic(stream) => stream.write_chunk(frame).await.map_err(|_| Gone),
            Self::Queue(queue) => queue.send(frame).await.map_err(|_| Gone),
        }
    }

    /// Says that no more frames will come on this lane.
    pub fn finish(self) {
        if let Self::Quic(mut stream) = self {
            let _ = stream.finish();
        }
    }
}

/// The connection is over; why, its reader has logged.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Gone;

/// The two queues of a transport that has only one way: control frames overtake the flows' frames.
struct Queues {
    control: mpsc::Receiver<Bytes>,
    data: mpsc::Receiver<Bytes>,
}

impl Queues {
    /// Small on purpose: what waits here can no longer be overtaken by control at the hub.
    fn new() -> (Lane, Lanes, Self) {
        let (control_sender, control) = mpsc::channel(64);
        let (data_sender, data) = mpsc::channel(4);
        (Lane::Queue(control_sender), Lanes::Queue(data_sender), Self { control, data })
    }

    /// None when both ends of the program have let go.
    async fn next(&mut self) -> Option<Bytes> {
        tokio::select! {
            biased;
            Some(frame) = self.control.recv() => Some(frame),
            Some(frame) = self.data.recv() => Some(frame),
            else => None,
        }
    }

    fn try_next(&mut self) -> Option<Bytes> {
        self.control.try_recv().or_else(|_| self.data.try_recv()).ok()
    }
}

/// How many decoded messages may wait for the event loop.
const INCOMING: usize = 64;

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn server_urls() {
        for (url, host, port) in [
            ("https://hub.example.com:8000/", "hub.example.com", 8000),
            ("https://hub.example.com", "hub.example.com", 8000),
            ("http://localhost:9000/x", "localhost", 9000),
            ("https://[::1]:8001/", "::1", 8001),
            ("https://[fe80::2]/", "fe80::2", 8000),
        ] {
            assert_eq!(HubAddress::parse(url), Ok(HubAddress { host: host.into(), port }), "{url}");
        }
        for bad in ["", "hub:8000", "ftp://hub/", "https://", "https://:80/", "https://hub:port/", "https://u@hub/"] {
            assert!(HubAddress::parse(bad).is_err(), "{bad}");
        }
        assert_eq!(HubAddress::parse("https://[::1]:8001/").unwrap().to_string(), "[::1]:8001");
    }
}
