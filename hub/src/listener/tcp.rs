//! TLS over TCP: WebSocket for the session, or long-poll where a proxy refuses the upgrade.

use std::{net::SocketAddr, sync::Arc, sync::atomic::AtomicU64, time::Duration};

use axum::{
    Extension, Router,
    extract::{
        DefaultBodyLimit,
        ws::{Message, WebSocket, WebSocketUpgrade},
    },
    response::Response,
    routing::{any, get, post},
};
use bytes::Bytes;
use futures_util::{
    SinkExt, StreamExt,
    stream::{SplitSink, SplitStream},
};
use hyper::server::conn::http1;
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use protocol::{
    frame::{Decoder, HEADER},
    message::ToHub,
};
use rustls::ServerConfig;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

use super::{
    Door,
    driver::{self, BrokenOff, Peer, Sink, Source},
    poll::{self, Polls},
};

const SESSION_PATH: &str = "/swoop/v1/session";

/// Each idle session holds one; the library's own default is 128 KiB.
const READ_BUFFER: usize = 8 * 1024;

/// TCP, TLS and the first request must be there in this time.
const OPENING: Duration = Duration::from_secs(15);

pub(super) async fn accept(listener: TcpListener, tls: Arc<ServerConfig>, polls: Arc<Polls>, door: Door) {
    let acceptor = TlsAcceptor::from(tls);
    door.tracker.spawn(Arc::clone(&polls).sweep(door.shutdown.clone()));
    let router = Router::new()
        .route(SESSION_PATH, get(websocket))
        .route(poll::OPEN_PATH, post(poll::open))
        .route(poll::SESSION_PATH, get(poll::down).post(poll::up).delete(poll::end))
        .fallback(any(nothing_here))
        .layer(Extension(polls));
    loop {
        let accepted = tokio::select! {
            () = door.shutdown.cancelled() => return,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, from)) => {
                door.tracker.spawn(serve(stream, from, acceptor.clone(), router.clone(), door.clone()));
            }
            Err(error) => {
                // Out of file descriptors, mostly: without a pause this loop would burn the core that could free some.
                tracing::warn!("a connection could not be accepted: {error}");
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    }
}

async fn serve(stream: TcpStream, from: SocketAddr, acceptor: TlsAcceptor, router: Router, door: Door) {
    let _ = stream.set_nodelay(true);
    let stream = match tokio::time::timeout(OPENING, acceptor.accept(stream)).await {
        Ok(Ok(stream)) => stream,
        Ok(Err(error)) => {
            match certs::explain(&error, certs::Side::Hub) {
                Some(line) => tracing::warn!("TLS from {from}: {line}"),
                None => tracing::debug!("TLS from {from}: {error}"),
            }
            return;
        }
        Err(_) => return tracing::debug!("TLS from {from}: no handshake within {} s", OPENING.as_secs()),
    };
    let client = match certs::client_id_of_chain(stream.get_ref().1.peer_certificates()) {
        Ok(client) => client,
        Err(error) => return tracing::warn!("TLS from {from}: {error}"),
    };
    let shutdown = door.shutdown.clone();
    let peer = Peer { client, from, transport: "" };
    let longest_body = DefaultBodyLimit::max(poll::LONGEST_BATCH + peer.longest_message() + HEADER);
    let service = TowerToHyperService::new(router.layer(longest_body).layer(Extension(peer)).layer(Extension(door)));
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(OPENING)
        .max_buf_size(64 * 1024)
        .serve_connection(TokioIo::new(stream), service)
        .with_upgrades();
    tokio::pin!(connection);
    let outcome = tokio::select! {
        outcome = connection.as_mut() => outcome,
        () = shutdown.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = outcome {
        tracing::debug!("HTTP from {from}: {error}");
    }
}

async fn nothing_here() -> (axum::http::StatusCode, &'static str) {
    (
        axum::http::StatusCode::NOT_FOUND,
        "This is where Swoop's agents come in. The page for people is at GUI.bind_address and bind_port.\n",
    )
}

async fn websocket(
    Extension(peer): Extension<Peer>,
    Extension(door): Extension<Door>,
    upgrade: WebSocketUpgrade,
) -> Response {
    let longest = peer.longest_message() + HEADER;
    upgrade
        .max_message_size(longest)
        .max_frame_size(longest)
        .read_buffer_size(READ_BUFFER)
        .write_buffer_size(0)
        .on_upgrade(move |socket| async move {
            let peer = Peer { transport: "websocket", ..peer };
            let (sink, stream) = socket.split();
            let mut sink = WebSocketSink(sink);
            let source = WebSocketSource { stream, decoder: peer.decoder() };
            let tracker = door.tracker.clone();
            // Counted, so that a shutdown waits for its last words.
            let session = tracker.track_future(async move {
                let no_side = |_| std::future::pending();
                let _ = driver::run(door.hub, peer, source, &mut sink, &AtomicU64::new(0), no_side).await;
                let _ = tokio::time::timeout(Duration::from_secs(2), sink.0.close()).await;
            });
            session.await;
        })
}

struct WebSocketSource {
    stream: SplitStream<WebSocket>,
    decoder: Decoder,
}

impl Source for WebSocketSource {
    async fn next(&mut self) -> Result<Option<ToHub>, BrokenOff> {
        loop {
            if let Some(message) = self.decoder.next()? {
                return Ok(Some(message));
            }
            match self.stream.next().await {
                Some(Ok(Message::Binary(bytes))) => self.decoder.push(&bytes),
                Some(Ok(Message::Close(_))) | None => return Ok(None),
                Some(Ok(_)) => {}
                Some(Err(error)) => return Err(BrokenOff::Other(error.to_string())),
            }
        }
    }
}

struct WebSocketSink(SplitSink<WebSocket, Message>);

impl Sink for &mut WebSocketSink {
    async fn send(&mut self, frame: Bytes) -> std::io::Result<()> {
        self.0.send(Message::Binary(frame)).await.map_err(std::io::Error::other)
    }
}
