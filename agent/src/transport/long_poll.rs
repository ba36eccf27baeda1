//! HTTP long-poll over TLS, for where nothing else passes: one request waits for what the hub has to say, another
//! carries what the agent has to say. Both bodies are whole frames. Any failure ends the session; the link resumes.
//!
//! `POST /swoop/v1/poll` opens: the body is the agent's first frames, the answer carries the session's token and the
//! hub's. `POST /swoop/v1/poll/TOKEN` brings frames, `GET /swoop/v1/poll/TOKEN` waits for some, `DELETE` ends.

use bytes::{Bytes, BytesMut};
use certs::AgentTls;
use http_body_util::{BodyExt, Full, Limited};
use hyper::{
    Method, Request, StatusCode,
    client::conn::http1::SendRequest,
    header::{HOST, HeaderValue},
};
use hyper_util::rt::TokioIo;
use protocol::{
    frame::{Decoder, HEADER, MAX_MESSAGE},
    message::ToAgent,
};
use tokio::sync::mpsc;
use tokio_util::task::AbortOnDropHandle;

use super::{
    Cause, Connection, DialError, HubAddress, INCOMING, Queues, Transport,
    http::{self, POLL_PATH, Proxy},
};

/// The header with the session's token.
const SESSION_HEADER: &str = "x-swoop-session";

/// Frames are gathered up to this size for one request.
const BATCH: usize = 256 * 1024;

/// The hub answers with at most one message beyond such a batch.
const LONGEST_ANSWER: usize = BATCH + MAX_MESSAGE + HEADER;

pub(super) async fn dial(hub: &HubAddress, proxy: Option<&Proxy>, tls: &AgentTls) -> Result<Connection, DialError> {
    let (down, up) = tokio::try_join!(Channel::connect(hub, proxy, tls), Channel::connect(hub, proxy, tls))?;
    let (control, lanes, queues) = Queues::new();
    let (sender, incoming) = mpsc::channel(INCOMING);
    let task = AbortOnDropHandle::new(tokio::spawn(async move {
        if let Err(error) = run(down, up, queues, sender).await {
            tracing::debug!("long-poll ended: {error:#}");
        }
    }));
    Ok(Connection { transport: Transport::Poll, control, lanes, incoming, task })
}

async fn run(
    mut down: Channel,
    mut up: Channel,
    mut queues: Queues,
    incoming: mpsc::Sender<ToAgent>,
) -> anyhow::Result<()> {
    let Some(first) = gather(&mut queues).await else { return Ok(()) };
    let opened = up.call(Method::POST, POLL_PATH, first).await?;
    let mut decoder = Decoder::default();
    deliver(&mut decoder, opened.body, &incoming).await?;
    let Some(token) = opened.token else { return Ok(()) };
    let path = format!("{POLL_PATH}/{token}");
    let read = async {
        loop {
            let answer = down.call(Method::GET, &path, Bytes::new()).await?;
            deliver(&mut decoder, answer.body, &incoming).await?;
        }
    };
    let write = async {
        while let Some(frames) = gather(&mut queues).await {
            up.call(Method::POST, &path, frames).await?;
        }
        up.call(Method::DELETE, &path, Bytes::new()).await?;
        anyhow::Ok(())
    };
    tokio::select! {
        result = read => result,
        result = write => result,
    }
}

/// Waits for a frame and takes those that wait behind it.
async fn gather(queues: &mut Queues) -> Option<Bytes> {
    let first = queues.next().await?;
    let Some(second) = queues.try_next() else { return Some(first) };
    let mut batch = BytesMut::from(first);
    batch.extend_from_slice(&second);
    while batch.len() < BATCH
        && let Some(frame) = queues.try_next()
    {
        batch.extend_from_slice(&frame);
    }
    Some(batch.freeze())
}

async fn deliver(decoder: &mut Decoder, body: Bytes, incoming: &mpsc::Sender<ToAgent>) -> anyhow::Result<()> {
    decoder.push(&body);
    while let Some(message) = decoder.next::<ToAgent>()? {
        if incoming.send(message).await.is_err() {
            anyhow::bail!("the session is over");
        }
    }
    anyhow::ensure!(!decoder.is_partial(), "an answer ended within a message");
    Ok(())
}

struct Channel {
    host: HeaderValue,
    sender: SendRequest<Full<Bytes>>,
    _connection: AbortOnDropHandle<()>,
}

struct Answer {
    token: Option<String>,
    body: Bytes,
}

impl Channel {
    async fn connect(hub: &HubAddress, proxy: Option<&Proxy>, tls: &AgentTls) -> Result<Self, DialError> {
        let stream = http::connect(hub, proxy, tls).await?;
        let (sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
            .await
            .map_err(|error| DialError::of("HTTP with", hub, tls, &error))?;
        let connection = AbortOnDropHandle::new(tokio::spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!("HTTP connection ended: {error}");
            }
        }));
        let host = HeaderValue::try_from(hub.to_string()).map_err(|_| {
            DialError::new(Cause::Unreachable, format!("{:?} cannot stand in an HTTP header", hub.host))
        })?;
        Ok(Self { host, sender, _connection: connection })
    }

    async fn call(&mut self, method: Method, path: &str, body: Bytes) -> anyhow::Result<Answer> {
        self.sender.ready().await?;
        let request =
            Request::builder().method(method).uri(path).header(HOST, self.host.clone()).body(Full::new(body))?;
        let response = self.sender.send_request(request).await?;
        let status = response.status();
        let token = response.headers().get(SESSION_HEADER).and_then(|value| value.to_str().ok()).map(str::to_owned);
        let body = Limited::new(response.into_body(), LONGEST_ANSWER).collect().await;
        let body = body.map_err(|error| anyhow::anyhow!("{error}"))?.to_bytes();
        match status {
            StatusCode::OK | StatusCode::NO_CONTENT => Ok(Answer { token, body }),
            status => anyhow::bail!("HTTP status {status}"),
        }
    }
}
