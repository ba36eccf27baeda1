//! Where agents come in: QUIC over UDP, and TLS over TCP for WebSocket and long-poll, on one port number.
//!
//! A listener knows its transport, finds out who the peer is, and lets `driver` do the rest. Every transport has the
//! property that counts: a writer that is busy makes the reader of just that stream stop, and with it, in the end, the
//! flow on the endpoint; what the hub has to say goes out meanwhile.

mod driver;
mod poll;
mod quic;
mod tcp;

use std::{
    io,
    net::{SocketAddr, TcpListener as StdTcpListener, UdpSocket},
    sync::Arc,
    time::Duration,
};

use certs::{Alpn, CertError, HubCertReloader};
use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::TcpListener;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::Hub;

/// The kernel's buffer for what agents send over UDP: a hunt's answers come as one burst from thousands, and what does
/// not fit is lost and waits for QUIC's probe timeout.
const UDP_RECEIVE_BUFFER: usize = 32 << 20;
const UDP_SEND_BUFFER: usize = 8 << 20;

/// After the hub's shutdown, connections get this long to send their last words.
const LAST_WORDS: Duration = Duration::from_secs(3);

/// Why agents cannot come in.
#[derive(Debug, thiserror::Error)]
pub enum ListenError {
    #[error(
        "{protocol} {address} cannot be opened: {error}; is another hub running? Frontend.bind_address and bind_port say where this one listens"
    )]
    Bind { protocol: &'static str, address: SocketAddr, error: io::Error },
    #[error(transparent)]
    Cert(#[from] CertError),
    #[error("QUIC could not be started: {0}")]
    Quic(io::Error),
}

/// The two sockets, open: agents that dial now wait until [`Listeners::serve`].
#[derive(Debug)]
pub struct Listeners {
    udp: UdpSocket,
    tcp: StdTcpListener,
    address: SocketAddr,
}

impl Listeners {
    /// Opens UDP and TCP on the same address; with port 0 on any port that is free for both.
    pub fn bind(address: SocketAddr) -> Result<Self, ListenError> {
        let mut attempts = if address.port() == 0 { 20 } else { 1 };
        loop {
            attempts -= 1;
            let bind = |protocol, error| ListenError::Bind { protocol, address, error };
            let tcp = tcp_socket(address).map_err(|error| bind("TCP", error))?;
            let actual = tcp.local_addr().map_err(|error| bind("TCP", error))?;
            match udp_socket(actual) {
                Ok(udp) => return Ok(Self { udp, tcp, address: actual }),
                Err(_) if attempts > 0 => {}
                Err(error) => return Err(bind("UDP", error)),
            }
        }
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serves agents until `shutdown` is cancelled, which comes after [`Hub::shutdown`] has ended the sessions; then
    /// lets connections send their last words. Needs a tokio runtime.
    pub async fn serve(self, hub: Hub, shutdown: CancellationToken) -> Result<(), ListenError> {
        let config = hub.config();
        let authority = config.authority.certificate().clone();
        let reloader = HubCertReloader::new(&authority, &config.hub_certificate_pem, &config.hub_key_pem)?;
        if let Some(warning) = reloader.warning(std::time::SystemTime::now()) {
            tracing::warn!("{warning}");
        }
        let endpoint = quic::endpoint(self.udp, &authority, &reloader, &config.hub_key_pem)?;
        let tracker = TaskTracker::new();
        let door = Door { hub, tracker: tracker.clone(), shutdown: shutdown.clone() };

        let tls = certs::hub_server_config(&authority, &reloader, Alpn::Http)?;
        let tcp = TcpListener::from_std(self.tcp).map_err(|error| ListenError::Bind {
            protocol: "TCP",
            address: self.address,
            error,
        })?;
        tracker.spawn(quic::accept(endpoint.clone(), door.clone()));
        tracker.spawn(tcp::accept(tcp, tls, Arc::new(poll::Polls::default()), door));

        shutdown.cancelled().await;
        tracker.close();
        if tokio::time::timeout(LAST_WORDS, tracker.wait()).await.is_err() {
            tracing::debug!("{} connections did not end in time", tracker.len());
        }
        endpoint.close(quinn::VarInt::from_u32(0), b"the hub is shutting down");
        let _ = tokio::time::timeout(Duration::from_millis(500), endpoint.wait_idle()).await;
        Ok(())
    }
}

/// What each connection needs of the house.
#[derive(Clone, Debug)]
struct Door {
    hub: Hub,
    tracker: TaskTracker,
    shutdown: CancellationToken,
}

fn tcp_socket(address: SocketAddr) -> io::Result<StdTcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    // A hub that starts again must not wait for the last one's connections to time out.
    socket.set_reuse_address(true)?;
    if address.is_ipv6() {
        socket.set_only_v6(false)?;
    }
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    // All agents come back at once after a restart.
    socket.listen(4096)?;
    Ok(socket.into())
}

fn udp_socket(address: SocketAddr) -> io::Result<UdpSocket> {
    let socket = Socket::new(Domain::for_address(address), Type::DGRAM, Some(Protocol::UDP))?;
    if address.is_ipv6() {
        socket.set_only_v6(false)?;
    }
    socket.set_nonblocking(true)?;
    // Asked for, and cut by the system to its limit without an error.
    let _ = socket.set_recv_buffer_size(UDP_RECEIVE_BUFFER);
    let _ = socket.set_send_buffer_size(UDP_SEND_BUFFER);
    let got = socket.recv_buffer_size().unwrap_or(0);
    if got < UDP_RECEIVE_BUFFER / 4 {
        tracing::info!(
            "the system allows a UDP receive buffer of {} KiB; for thousands of agents set net.core.rmem_max to {UDP_RECEIVE_BUFFER}",
            got / 1024,
        );
    }
    socket.bind(&address.into())?;
    Ok(socket.into())
}
