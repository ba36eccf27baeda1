//! QUIC (RFC 9000): control on one bidirectional stream, each flow on a unidirectional stream of its own.

use std::{
    net::{Ipv4Addr, Ipv6Addr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use bytes::BytesMut;
use certs::AgentTls;
use protocol::{frame::Decoder, message::ToAgent};
use quinn::{ConnectionError, Endpoint, RecvStream, TransportConfig, VarInt};
use socket2::{Domain, Protocol, Socket, Type};
use tokio::sync::mpsc;
use tokio_util::task::AbortOnDropHandle;

use super::{Cause, Connection, DialError, HubAddress, INCOMING, Lane, Lanes, Transport};

pub(super) async fn dial(
    endpoint: Option<&Endpoint>,
    hub: &HubAddress,
    tls: &AgentTls,
) -> Result<Connection, DialError> {
    let endpoint = endpoint.ok_or_else(|| DialError::new(Cause::Unreachable, "this machine has no UDP socket"))?;
    let mut config = tls.quic();
    config.transport_config(Arc::new(transport_config()));
    let mut last = None;
    for address in super::http::resolve(hub).await? {
        match connect(endpoint, config.clone(), address, hub, tls).await {
            Ok(connection) => return Ok(connection),
            Err(error) => last = Some(error),
        }
    }
    Err(last.unwrap_or_else(|| DialError::new(Cause::Unreachable, format!("{hub} has no address"))))
}

async fn connect(
    endpoint: &Endpoint,
    config: quinn::ClientConfig,
    address: SocketAddr,
    hub: &HubAddress,
    tls: &AgentTls,
) -> Result<Connection, DialError> {
    // Literal addresses are no server names in every resolver's eyes; the hub's certificate is checked by its fixed
    // name anyway.
    let name = if hub.host.parse::<std::net::IpAddr>().is_ok() { certs::HUB_NAME } else { &hub.host };
    let connecting = endpoint
        .connect_with(config, address, name)
        .map_err(|error| DialError::new(Cause::Unreachable, format!("QUIC to {hub} cannot be tried: {error}")))?;
    let explain = |error: ConnectionError| match error {
        ConnectionError::TimedOut => {
            DialError::new(Cause::NoAnswer, format!("{hub} does not answer over QUIC: UDP may be blocked on the way"))
        }
        error => DialError::of("QUIC to", hub, tls, &error),
    };
    let connection = connecting.await.map_err(explain)?;
    let (send, receive) = connection.open_bi().await.map_err(explain)?;
    // Control overtakes what flows have queued at this end.
    let _ = send.set_priority(1);
    let (sender, incoming) = mpsc::channel(INCOMING);
    Ok(Connection {
        transport: Transport::Quic,
        control: Lane::Quic(send),
        lanes: Lanes::Quic(connection.clone()),
        incoming,
        task: AbortOnDropHandle::new(tokio::spawn(read(connection, receive, sender))),
    })
}

/// Hands over what the hub says until the stream ends. Dropping the last handle of the connection closes it.
async fn read(connection: quinn::Connection, mut stream: RecvStream, incoming: mpsc::Sender<ToAgent>) {
    let mut decoder = Decoder::default();
    loop {
        match decoder.next::<ToAgent>() {
            Ok(Some(message)) => {
                if incoming.send(message).await.is_err() {
                    return;
                }
                continue;
            }
            Ok(None) => {}
            Err(error) => {
                tracing::warn!("the hub sent what is no message: {error}");
                connection.close(VarInt::from_u32(1), b"malformed message");
                return;
            }
        }
        match read_some(&mut stream, decoder.buffer_mut()).await {
            Ok(true) => {}
            Ok(false) => return,
            Err(error) => {
                tracing::debug!("QUIC connection ended: {error}");
                return;
            }
        }
    }
}

async fn read_some(stream: &mut RecvStream, buffer: &mut BytesMut) -> Result<bool, quinn::ReadError> {
    match stream.read_chunk(64 * 1024, true).await? {
        Some(chunk) => {
            buffer.extend_from_slice(&chunk.bytes);
            Ok(true)
        }
        None => Ok(false),
    }
}

pub(super) fn client_endpoint() -> std::io::Result<Endpoint> {
    // One socket for IPv6 and, mapped, IPv4; plain IPv4 where the system has no IPv6.
    let socket = dual_stack().or_else(|_| std::net::UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)))?;
    let runtime = quinn::default_runtime().ok_or_else(|| std::io::Error::other("no async runtime is running"))?;
    Endpoint::new(quinn::EndpointConfig::default(), None, socket, runtime)
}

fn dual_stack() -> std::io::Result<std::net::UdpSocket> {
    let socket = Socket::new(Domain::IPV6, Type::DGRAM, Some(Protocol::UDP))?;
    socket.set_only_v6(false)?;
    socket.bind(&SocketAddr::from((Ipv6Addr::UNSPECIFIED, 0)).into())?;
    Ok(socket.into())
}

fn transport_config() -> TransportConfig {
    let mut config = TransportConfig::default();
    config
        // The hub opens no streams of its own towards the agent.
        .max_concurrent_bidi_streams(VarInt::from_u32(0))
        .max_concurrent_uni_streams(VarInt::from_u32(0))
        .stream_receive_window(VarInt::from_u32(256 * 1024))
        .receive_window(VarInt::from_u32(512 * 1024))
        .send_window(1024 * 1024)
        // NATs forget UDP mappings after 30 s and more; how often the link is heard of is the hub's to say.
        .keep_alive_interval(Some(Duration::from_secs(15)))
        .max_idle_timeout(Some(VarInt::from_u32(60_000).into()))
        .mtu_discovery_config(None);
    config
}
