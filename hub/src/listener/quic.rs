//! QUIC: the agent opens one bidirectional stream for control and a unidirectional one for each flow.

use std::{
    net::UdpSocket,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use certs::{CertificateDer, HubCertReloader};
use protocol::{frame::Decoder, message::ToHub};
use quinn::{Connection, Endpoint, EndpointConfig, Incoming, RecvStream, SendStream, TransportConfig, VarInt};
use quinn_proto::HashedConnectionIdGenerator;
use ring::hmac;

use super::{
    Door, ListenError,
    driver::{self, BrokenOff, Peer, Sink, Source, now},
};
use crate::Session;

/// Flows that may have rows under way at once on one connection; more wait at the agent.
const FLOW_STREAMS: u32 = 64;

/// A peer must say who it is and open its control stream in this time.
const OPENING: Duration = Duration::from_secs(15);

pub(super) fn endpoint(
    socket: UdpSocket,
    authority: &CertificateDer<'_>,
    reloader: &Arc<HubCertReloader>,
    hub_key_pem: &str,
) -> Result<Endpoint, ListenError> {
    let mut config = certs::hub_quic_config(authority, reloader)?;
    let mut transport = TransportConfig::default();
    transport
        .max_concurrent_bidi_streams(VarInt::from_u32(1))
        .max_concurrent_uni_streams(VarInt::from_u32(FLOW_STREAMS))
        .stream_receive_window(VarInt::from_u32(512 * 1024))
        .receive_window(VarInt::from_u32(2 * 1024 * 1024))
        .send_window(512 * 1024)
        .max_idle_timeout(Some(VarInt::from_u32(60_000).into()))
        .mtu_discovery_config(None);
    config.transport_config(Arc::new(transport)).migration(true);
    let runtime = quinn::default_runtime().ok_or_else(|| ListenError::Quic(std::io::Error::other("no runtime")))?;
    Endpoint::new(endpoint_config(hub_key_pem), Some(config), socket, runtime).map_err(ListenError::Quic)
}

/// A hub that was killed knows none of its connections when it is back. With keys that are the same after a restart it
/// can tell agents so (RFC 9000, section 10.3), which would otherwise wait for three heartbeats of silence.
fn endpoint_config(hub_key_pem: &str) -> EndpointConfig {
    let secret = hmac::Key::new(hmac::HMAC_SHA256, hub_key_pem.as_bytes());
    let derive = |purpose: &str| hmac::sign(&secret, purpose.as_bytes());
    let mut config = EndpointConfig::new(Arc::new(hmac::Key::new(hmac::HMAC_SHA256, derive("QUIC resets").as_ref())));
    let mut id_key = [0; 8];
    id_key.copy_from_slice(&derive("QUIC connection ids").as_ref()[..8]);
    let id_key = u64::from_le_bytes(id_key);
    config
        .cid_generator(move || Box::new(HashedConnectionIdGenerator::from_key(id_key)))
        // Thousands of agents ask within one heartbeat.
        .min_reset_interval(Duration::from_micros(200));
    config
}

pub(super) async fn accept(endpoint: Endpoint, door: Door) {
    loop {
        let incoming = tokio::select! {
            () = door.shutdown.cancelled() => return,
            incoming = endpoint.accept() => incoming,
        };
        let Some(incoming) = incoming else { return };
        door.tracker.spawn(serve(incoming, door.clone()));
    }
}

async fn serve(incoming: Incoming, door: Door) {
    let from = incoming.remote_address();
    let opened = tokio::time::timeout(OPENING, async {
        let connection = incoming.await?;
        let streams = connection.accept_bi().await?;
        Ok::<_, quinn::ConnectionError>((connection, streams))
    });
    let (connection, (send, receive)) = match opened.await {
        Ok(Ok(opened)) => opened,
        Ok(Err(error)) => {
            match certs::explain(&error, certs::Side::Hub) {
                Some(line) => tracing::warn!("QUIC from {from}: {line}"),
                None => tracing::debug!("QUIC from {from}: {error}"),
            }
            return;
        }
        Err(_) => return tracing::debug!("QUIC from {from}: no session within {} s", OPENING.as_secs()),
    };
    let client = match certs::client_id_of_quic(connection.peer_identity()) {
        Ok(client) => client,
        Err(error) => return tracing::warn!("QUIC from {from}: {error}"),
    };
    let peer = Peer { client, from, transport: "quic" };
    let heard = Arc::new(AtomicU64::new(0));
    let side = {
        let (connection, heard) = (connection.clone(), Arc::clone(&heard));
        |session| accept_flows(connection, session, heard)
    };
    let mut out = StreamSink(send);
    let outcome =
        driver::run(door.hub, peer, StreamSource { stream: receive, decoder: peer.decoder() }, &mut out, &heard, side)
            .await;
    // The last frame, a refusal or a close, is to arrive before the connection ends.
    let _ = out.0.finish();
    let _ = tokio::time::timeout(Duration::from_secs(2), out.0.stopped()).await;
    let code = if outcome.is_ok() { 0 } else { 1 };
    connection.close(VarInt::from_u32(code), b"");
}

/// Each flow's stream is read on its own: while one waits for the writer of its rows the others go on.
async fn accept_flows(connection: Connection, session: Session, heard: Arc<AtomicU64>) -> Result<(), BrokenOff> {
    let mut streams = tokio::task::JoinSet::new();
    loop {
        tokio::select! {
            stream = connection.accept_uni() => {
                let stream = stream.map_err(|error| BrokenOff::Other(error.to_string()))?;
                streams.spawn(read_flow(stream, session.clone(), Arc::clone(&heard)));
            }
            Some(ended) = streams.join_next() => match ended {
                Ok(outcome) => outcome?,
                Err(error) => return Err(BrokenOff::Other(error.to_string())),
            },
        }
    }
}

async fn read_flow(stream: RecvStream, session: Session, heard: Arc<AtomicU64>) -> Result<(), BrokenOff> {
    let mut source = StreamSource { stream, decoder: Decoder::default() };
    while let Some(message) = source.next().await? {
        heard.store(now(), Ordering::Relaxed);
        match message {
            ToHub::FlowStarted { .. } | ToHub::Rows(_) | ToHub::Upload(_) | ToHub::FlowEnded(_) => {
                session.receive(message).await?;
            }
            ToHub::Hello(_) | ToHub::Enrol { .. } | ToHub::Ping { .. } | ToHub::Pong { .. } | ToHub::Close { .. } => {
                return Err(BrokenOff::Other("a control message on a flow's stream".into()));
            }
        }
    }
    Ok(())
}

struct StreamSource {
    stream: RecvStream,
    decoder: Decoder,
}

impl Source for StreamSource {
    async fn next(&mut self) -> Result<Option<ToHub>, BrokenOff> {
        loop {
            if let Some(message) = self.decoder.next()? {
                return Ok(Some(message));
            }
            match self.stream.read_chunk(64 * 1024, true).await.map_err(|error| BrokenOff::Other(error.to_string()))? {
                Some(chunk) => self.decoder.push(&chunk.bytes),
                None if self.decoder.is_partial() => {
                    return Err(BrokenOff::Other("a stream ended within a message".into()));
                }
                None => return Ok(None),
            }
        }
    }
}

struct StreamSink(SendStream);

impl Sink for &mut StreamSink {
    async fn send(&mut self, frame: Bytes) -> std::io::Result<()> {
        self.0.write_chunk(frame).await.map_err(std::io::Error::from)
    }
}
