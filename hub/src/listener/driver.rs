//! One session over any transport that gives an ordered way in and an ordered way out.

use std::{
    future::Future,
    io,
    net::SocketAddr,
    sync::atomic::{AtomicU64, Ordering},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use bytes::Bytes;
use protocol::{
    ClientId,
    frame::{self, Decoder, FrameError, MAX_MESSAGE},
    link::{HubEvent, HubLink, LinkError},
    message::{ToAgent, ToHub},
};
use tokio::{sync::mpsc, time::Instant};

use crate::{Hub, Outbound, Session, SessionError};

/// A peer must take the answer to its first message in this time.
const ANSWER: Duration = Duration::from_secs(15);

/// Messages from the agent, in order.
pub(super) trait Source: Send {
    /// None at the orderly end.
    fn next(&mut self) -> impl Future<Output = Result<Option<ToHub>, BrokenOff>> + Send;
}

/// Frames to the agent, in order.
pub(super) trait Sink: Send {
    fn send(&mut self, frame: Bytes) -> impl Future<Output = io::Result<()>> + Send;
}

/// The connection is of no more use.
#[derive(Debug, thiserror::Error)]
pub(super) enum BrokenOff {
    #[error("connection lost: {0}")]
    Io(#[from] io::Error),
    #[error(transparent)]
    Frame(#[from] FrameError),
    #[error(transparent)]
    Link(#[from] LinkError),
    #[error("{0}")]
    Session(#[from] SessionError),
    #[error("{0}")]
    Other(String),
}

/// Who is at the other end, as the transport found out.
#[derive(Clone, Copy, Debug)]
pub(super) struct Peer {
    /// From the certificate; None where the peer showed none.
    pub(super) client: Option<ClientId>,
    pub(super) from: SocketAddr,
    pub(super) transport: &'static str,
}

impl Peer {
    /// A peer that showed no certificate may only enrol: a nonce and a signing request are short.
    const LONGEST_ENROLMENT: usize = 16 * 1024;

    /// The longest message that is taken from it.
    pub(super) fn longest_message(&self) -> usize {
        if self.client.is_some() { MAX_MESSAGE } else { Self::LONGEST_ENROLMENT }
    }

    pub(super) fn decoder(&self) -> Decoder {
        Decoder::with_limit(self.longest_message())
    }
}

/// The monotonic clock of the links, in milliseconds.
pub(super) fn now() -> u64 {
    static START: std::sync::LazyLock<Instant> = std::sync::LazyLock::new(Instant::now);
    START.elapsed().as_millis() as u64
}

/// A session from its first message to its last.
pub(super) struct Driver {
    hub: Hub,
    peer: Peer,
    link: HubLink,
}

/// What the opening led to.
pub(super) enum Opening {
    Session(Session, Outbound),
    /// The peer has enrolled, or was refused: the connection ends.
    Done,
}

impl Driver {
    pub(super) fn new(hub: Hub, peer: Peer) -> Self {
        let clock_ms = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |age| age.as_millis() as u64);
        let link = HubLink::new(peer.client, hub.config().heartbeat_ms, clock_ms, now());
        Self { hub, peer, link }
    }

    /// Takes the first message. Frames to send, the Welcome or the refusal, are then in [`Self::transmit`].
    pub(super) async fn first(&mut self, message: ToHub) -> Result<Opening, LinkError> {
        match self.link.handle(message, now())? {
            Some(HubEvent::Opened(hello)) => {
                let client = self.peer.client.ok_or(LinkError::Protocol("a session without a client"))?;
                let (session, outbound) = self.hub.connect(client, &hello, self.peer.transport, self.peer.from);
                tracing::debug!("{client} connected from {} over {}", self.peer.from, self.peer.transport);
                Ok(Opening::Session(session, outbound))
            }
            Some(HubEvent::Enrol { nonce, request }) => {
                let (hub, from) = (self.hub.clone(), self.peer.from);
                // Signing is work for the processor, and the client's record goes to disk.
                let answer = tokio::task::spawn_blocking(move || hub.enrol(&nonce, &request, from)).await;
                let answer = answer.unwrap_or_else(|error| {
                    tracing::error!("an enrolment broke down: {error}");
                    Err(protocol::message::Refuse {
                        code: protocol::message::RefuseCode::Busy,
                        text: "the hub failed to answer the enrolment: its log says why".into(),
                    })
                });
                if let Err(refuse) = &answer {
                    tracing::warn!("enrolment from {} refused: {}", self.peer.from, refuse.text);
                }
                self.link.answer_enrolment(answer);
                Ok(Opening::Done)
            }
            Some(HubEvent::Message(_)) | None => Err(LinkError::Protocol("a session opens with a hello")),
        }
    }

    /// Takes any later message: what the link does not keep for itself goes to the session, which may wait.
    pub(super) async fn next(&mut self, session: &Session, message: ToHub) -> Result<(), BrokenOff> {
        if let Some(HubEvent::Message(message)) = self.link.handle(message, now())? {
            session.receive(message).await?;
        }
        Ok(())
    }

    pub(super) fn transmit(&mut self) -> Option<ToAgent> {
        self.link.poll_transmit()
    }

    pub(super) fn deadline(&self) -> u64 {
        self.link.poll_timeout()
    }

    /// `heard` is when another stream of the session last brought something.
    pub(super) fn timeout(&mut self, heard: u64) -> Result<(), LinkError> {
        if heard > 0 {
            self.link.heard(heard);
        }
        self.link.handle_timeout(now())
    }
}

/// Runs a session over `source` and `sink` to its end. `heard` is kept up to date by other streams of the same session,
/// which `side_streams` serves once the session is open.
pub(super) async fn run<F>(
    hub: Hub,
    peer: Peer,
    mut source: impl Source,
    mut sink: impl Sink,
    heard: &AtomicU64,
    side_streams: impl FnOnce(Session) -> F,
) -> Result<(), BrokenOff>
where
    F: Future<Output = Result<(), BrokenOff>> + Send,
{
    let mut driver = Driver::new(hub, peer);
    let wait = Duration::from_millis(driver.deadline().saturating_sub(now()));
    let first = match tokio::time::timeout(wait, source.next()).await {
        Ok(first) => first?.ok_or_else(|| BrokenOff::Other("closed before a hello".into()))?,
        Err(_) => return Err(LinkError::OpeningTimeout.into()),
    };
    let opening = driver.first(first).await;
    while let Some(message) = driver.transmit() {
        // Who takes no answer may not stay for that.
        let sent = tokio::time::timeout(ANSWER, sink.send(frame::encode(&message)?)).await;
        sent.map_err(|_| BrokenOff::Other("the peer does not take the answer to its first message".into()))??;
    }
    let (session, mut outbound) = match opening {
        Ok(Opening::Session(session, outbound)) => (session, outbound),
        Ok(Opening::Done) => return Ok(()),
        Err(error) => {
            tracing::warn!("session from {} over {}: {error}", peer.from, peer.transport);
            return Err(error.into());
        }
    };

    // Reading and writing are two futures of one task: a reader that waits for a writer of rows, or a peer that does
    // not read, holds up neither the other direction nor anybody else.
    let (replies, mut to_send) = mpsc::channel::<Bytes>(8);
    let read = async {
        loop {
            let wait = Duration::from_millis(driver.deadline().saturating_sub(now()));
            match tokio::time::timeout(wait, source.next()).await {
                Ok(Ok(Some(message))) => driver.next(&session, message).await?,
                Ok(Ok(None)) => return Ok(()),
                Ok(Err(error)) => return Err(error),
                Err(_) => driver.timeout(heard.load(Ordering::Relaxed))?,
            }
            while let Some(message) = driver.transmit() {
                // The reply to a ping of a peer that does not read its replies: it has had its time.
                if replies.try_send(frame::encode(&message)?).is_err() {
                    return Err(BrokenOff::Other("the agent does not read".into()));
                }
            }
        }
    };
    let write = async {
        loop {
            let frame = tokio::select! {
                biased;
                Some(frame) = to_send.recv() => frame,
                frame = outbound.next() => match frame {
                    Some(frame) => frame,
                    // The hub has ended the session and its last frame is sent.
                    None => return Ok::<(), BrokenOff>(()),
                },
            };
            sink.send(frame).await?;
        }
    };
    let side = side_streams(session.clone());
    let outcome = tokio::select! {
        outcome = read => outcome,
        outcome = write => outcome,
        outcome = side => outcome,
    };
    session.close();
    match &outcome {
        Ok(()) => tracing::debug!("{} disconnected {}", session.client(), session.end_reason()),
        Err(BrokenOff::Link(LinkError::Closed { reason, .. })) => {
            tracing::debug!("{} closed its session: {reason}", session.client());
        }
        Err(error) => tracing::debug!("session of {} over {} ended: {error}", session.client(), peer.transport),
    }
    outcome
}
