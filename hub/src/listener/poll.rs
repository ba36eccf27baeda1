//! HTTP long-poll: a session that lives between requests, found by its token and bound to the client of its TLS
//! connection.

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use axum::{
    Extension,
    extract::Path,
    http::{HeaderName, StatusCode},
    response::{IntoResponse, Response},
};
use bytes::{Bytes, BytesMut};
use parking_lot::Mutex;
use protocol::{
    ClientId,
    frame::{self, Decoder},
    message::ToHub,
};
use tokio_util::sync::CancellationToken;

use super::{
    Door,
    driver::{Driver, Opening, Peer, now},
};
use crate::{Outbound, Session};

pub(super) const OPEN_PATH: &str = "/swoop/v1/poll";
pub(super) const SESSION_PATH: &str = "/swoop/v1/poll/{token}";
const SESSION_HEADER: HeaderName = HeaderName::from_static("x-swoop-session");

/// A request brings a batch of frames of this size and at most one message beyond.
pub(super) const LONGEST_BATCH: usize = 256 * 1024;

/// An answer gathers frames up to this size.
const BATCH: usize = 256 * 1024;

/// A waiting request is answered after this time even if there is nothing to say: proxies cut longer ones.
const HOLD: Duration = Duration::from_secs(25);

/// The live long-poll sessions.
#[derive(Debug, Default)]
pub(super) struct Polls {
    sessions: Mutex<HashMap<String, Arc<Poll>>>,
}

struct Poll {
    client: ClientId,
    session: Session,
    driver: tokio::sync::Mutex<Driver>,
    /// Replies of the link itself, such as to a ping.
    replies: Mutex<Vec<Bytes>>,
    wake: tokio::sync::Notify,
    outbound: tokio::sync::Mutex<Outbound>,
    over: AtomicBool,
}

impl std::fmt::Debug for Poll {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Poll").field("client", &self.client).finish_non_exhaustive()
    }
}

impl Polls {
    fn find(&self, token: &str, peer: Peer) -> Option<Arc<Poll>> {
        let poll = self.sessions.lock().get(token).cloned()?;
        // A token of somebody else is as good as none.
        (Some(poll.client) == peer.client && !poll.over.load(Ordering::Relaxed)).then_some(poll)
    }

    fn remove(&self, token: &str) {
        if let Some(poll) = self.sessions.lock().remove(token) {
            poll.over.store(true, Ordering::Relaxed);
            poll.session.close();
        }
    }

    /// Forgets what is left of sessions that the client had before its present one: a client that opens one after the
    /// other must not fill the memory.
    fn forget_ended(&self, client: ClientId) {
        let ended: Vec<String> = {
            let sessions = self.sessions.lock();
            let is_ended = |poll: &Poll| poll.client == client && poll.session.ended().is_cancelled();
            sessions.iter().filter(|(_, poll)| is_ended(poll)).map(|(token, _)| token.clone()).collect()
        };
        for token in ended {
            self.remove(&token);
        }
    }

    /// Ends the sessions that are no longer heard of.
    pub(super) async fn sweep(self: Arc<Self>, shutdown: CancellationToken) {
        let mut tick = tokio::time::interval(Duration::from_secs(1));
        loop {
            tokio::select! {
                () = shutdown.cancelled() => return,
                _ = tick.tick() => {}
            }
            let gone: Vec<String> = {
                let sessions = self.sessions.lock();
                let is_gone = |poll: &Poll| match poll.driver.try_lock() {
                    Ok(mut driver) => now() >= driver.deadline() && driver.timeout(0).is_err(),
                    // Held: a request of this session is being served.
                    Err(_) => false,
                };
                sessions.iter().filter(|(_, poll)| is_gone(poll)).map(|(token, _)| token.clone()).collect()
            };
            for token in gone {
                tracing::debug!("a long-poll session fell silent");
                self.remove(&token);
            }
        }
    }
}

pub(super) async fn open(
    Extension(peer): Extension<Peer>,
    Extension(door): Extension<Door>,
    Extension(polls): Extension<Arc<Polls>>,
    body: Bytes,
) -> Response {
    let peer = Peer { transport: "poll", ..peer };
    let mut decoder = peer.decoder();
    decoder.push(&body);
    let first = match decoder.next::<ToHub>() {
        Ok(Some(first)) => first,
        Ok(None) => return bad_request("no whole message in the body"),
        Err(error) => return bad_request(error),
    };
    if let Some(client) = peer.client {
        // The one that this one ends may still be told so.
        polls.forget_ended(client);
    }
    let mut driver = Driver::new(door.hub.clone(), peer);
    let opening = driver.first(first).await;
    let mut frames = BytesMut::new();
    while let Some(message) = driver.transmit() {
        match frame::encode(&message) {
            Ok(frame) => frames.extend_from_slice(&frame),
            Err(error) => return bad_request(error),
        }
    }
    let (session, outbound) = match opening {
        Ok(Opening::Session(session, outbound)) => (session, outbound),
        // The answer holds the certificate or the refusal, and no token.
        Ok(Opening::Done) => return frames.freeze().into_response(),
        Err(error) => {
            tracing::warn!("session from {} over poll: {error}", peer.from);
            return if frames.is_empty() { bad_request(error) } else { frames.freeze().into_response() };
        }
    };
    let Some(token) = new_token() else {
        return (StatusCode::SERVICE_UNAVAILABLE, "no randomness").into_response();
    };
    let poll = Poll {
        client: session.client(),
        session,
        driver: tokio::sync::Mutex::new(driver),
        replies: Mutex::default(),
        wake: tokio::sync::Notify::new(),
        outbound: tokio::sync::Mutex::new(outbound),
        over: AtomicBool::new(false),
    };
    polls.sessions.lock().insert(token.clone(), Arc::new(poll));
    ([(SESSION_HEADER, token)], frames.freeze()).into_response()
}

/// Waits for something to say, and says it.
pub(super) async fn down(
    Path(token): Path<String>,
    Extension(peer): Extension<Peer>,
    Extension(polls): Extension<Arc<Polls>>,
) -> Response {
    let Some(poll) = polls.find(&token, peer) else { return unknown_session() };
    let Ok(mut outbound) = poll.outbound.try_lock() else {
        return (StatusCode::CONFLICT, "another request waits on this session").into_response();
    };
    let mut frames = BytesMut::new();
    let wait = async {
        loop {
            let woken = poll.wake.notified();
            for reply in poll.replies.lock().drain(..) {
                frames.extend_from_slice(&reply);
            }
            if !frames.is_empty() {
                return true;
            }
            tokio::select! {
                () = woken => {}
                frame = outbound.next() => {
                    let Some(frame) = frame else { return false };
                    frames.extend_from_slice(&frame);
                }
            }
        }
    };
    let live = tokio::time::timeout(HOLD, wait).await.unwrap_or(true);
    while frames.len() < BATCH
        && let Some(frame) = outbound.try_next()
    {
        frames.extend_from_slice(&frame);
    }
    if !live && frames.is_empty() {
        polls.remove(&token);
        return unknown_session();
    }
    if frames.is_empty() { StatusCode::NO_CONTENT.into_response() } else { frames.freeze().into_response() }
}

/// Takes what the agent says. Not answering while a writer is busy is how the agent is slowed down.
pub(super) async fn up(
    Path(token): Path<String>,
    Extension(peer): Extension<Peer>,
    Extension(polls): Extension<Arc<Polls>>,
    body: Bytes,
) -> Response {
    let Some(poll) = polls.find(&token, peer) else { return unknown_session() };
    let mut decoder = Decoder::default();
    decoder.push(&body);
    let mut driver = poll.driver.lock().await;
    loop {
        let outcome = match decoder.next::<ToHub>() {
            Ok(Some(message)) => driver.next(&poll.session, message).await.map_err(|error| error.to_string()),
            Ok(None) if decoder.is_partial() => Err("the body ended within a message".into()),
            Ok(None) => return StatusCode::NO_CONTENT.into_response(),
            Err(error) => Err(error.to_string()),
        };
        while let Some(message) = driver.transmit() {
            if let Ok(frame) = frame::encode(&message) {
                let mut replies = poll.replies.lock();
                // A peer that pings and never asks for the answers: the newest few are enough.
                if replies.len() >= 8 {
                    replies.remove(0);
                }
                replies.push(frame);
            }
            poll.wake.notify_one();
        }
        if let Err(error) = outcome {
            tracing::debug!("long-poll session of {} ended: {error}", poll.client);
            drop(driver);
            polls.remove(&token);
            return bad_request(error);
        }
    }
}

pub(super) async fn end(
    Path(token): Path<String>,
    Extension(peer): Extension<Peer>,
    Extension(polls): Extension<Arc<Polls>>,
) -> Response {
    if polls.find(&token, peer).is_some() {
        polls.remove(&token);
    }
    StatusCode::NO_CONTENT.into_response()
}

fn bad_request(why: impl std::fmt::Display) -> Response {
    (StatusCode::BAD_REQUEST, format!("{why}\n")).into_response()
}

fn unknown_session() -> Response {
    (StatusCode::GONE, "this session is over: open a new one\n").into_response()
}

/// 128 random bits as hex.
fn new_token() -> Option<String> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).ok()?;
    Some(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}
