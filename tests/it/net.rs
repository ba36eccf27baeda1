//! The network between agents and hub: a forwarder that cuts, that passes no UDP, or that ends TLS and refuses upgrades;
//! and a proxy for CONNECT.

use std::{
    collections::HashMap,
    net::SocketAddr,
    path::PathBuf,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use base64::{Engine, prelude::BASE64_STANDARD};
use bytes::Bytes;
use certs::{AgentTls, Alpn, CertificateDer, HUB_NAME, HubCertReloader, Identity};
use http_body_util::{Either, Full};
use hyper::{Request, Response, StatusCode, body::Incoming, header::UPGRADE, service::service_fn};
use hyper_util::rt::TokioIo;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream, UdpSocket},
    sync::watch,
    task::{AbortHandle, JoinSet},
    time::Instant,
};
use tokio_rustls::{TlsAcceptor, TlsConnector};

use crate::harness::free_port;

/// After a cut no datagram passes for so long.
const DARK: Duration = Duration::from_millis(100);

/// Stands before a hub on a port of its own.
pub(crate) struct Forwarder {
    pub(crate) port: u16,
    shared: Arc<Shared>,
    tasks: Mutex<JoinSet<()>>,
}

struct Shared {
    hub: SocketAddr,
    /// Counts the cuts; every connection watches it.
    cuts: watch::Sender<usize>,
    terminator: Mutex<Option<Arc<Terminator>>>,
    accepted: AtomicUsize,
    refused: AtomicUsize,
    paths: Mutex<Paths>,
}

/// UDP, as a NAT does it: a socket towards the hub for each address on this side.
#[derive(Default)]
struct Paths {
    sockets: HashMap<SocketAddr, (Arc<UdpSocket>, AbortHandle)>,
    dark_until: Option<Instant>,
}

impl Forwarder {
    /// TCP only, until [`Self::open_udp`].
    pub(crate) async fn start(hub: SocketAddr) -> Self {
        let port = free_port();
        let listener = TcpListener::bind(("127.0.0.1", port)).await.unwrap();
        let shared = Arc::new(Shared {
            hub,
            cuts: watch::Sender::new(0),
            terminator: Mutex::default(),
            accepted: AtomicUsize::new(0),
            refused: AtomicUsize::new(0),
            paths: Mutex::default(),
        });
        let mut tasks = JoinSet::new();
        tasks.spawn(accept(listener, Arc::clone(&shared)));
        Self { port, shared, tasks: Mutex::new(tasks) }
    }

    /// Passes datagrams from now on.
    pub(crate) async fn open_udp(&self) {
        let socket = Arc::new(UdpSocket::bind(("127.0.0.1", self.port)).await.unwrap());
        self.tasks.lock().unwrap().spawn(datagrams(socket, Arc::clone(&self.shared)));
    }

    /// New connections end here, and upgrades are refused; None: they are passed as they are.
    pub(crate) fn terminate(&self, terminator: Option<Terminator>) {
        *self.shared.terminator.lock().unwrap() = terminator.map(Arc::new);
    }

    /// Cuts every TCP connection. UDP is dark for a moment, and comes from other addresses afterwards.
    pub(crate) fn cut(&self) {
        self.shared.cuts.send_modify(|cuts| *cuts += 1);
        let mut paths = self.shared.paths.lock().unwrap();
        paths.dark_until = Some(Instant::now() + DARK);
        for (_, (_, back)) in paths.sockets.drain() {
            back.abort();
        }
    }

    /// How many TCP connections came.
    pub(crate) fn accepted(&self) -> usize {
        self.shared.accepted.load(Ordering::Relaxed)
    }

    /// How many upgrades were refused.
    pub(crate) fn refused(&self) -> usize {
        self.shared.refused.load(Ordering::Relaxed)
    }
}

async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    let mut connections = JoinSet::new();
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        let shared = Arc::clone(&shared);
        shared.accepted.fetch_add(1, Ordering::Relaxed);
        let mut cuts = shared.cuts.subscribe();
        connections.spawn(async move {
            tokio::select! {
                () = forward(stream, &shared) => {}
                _ = cuts.changed() => {}
            }
        });
    }
}

async fn forward(mut stream: TcpStream, shared: &Shared) {
    let _ = stream.set_nodelay(true);
    let terminator = shared.terminator.lock().unwrap().clone();
    if let Some(terminator) = terminator {
        if let Err(error) = terminator.serve(stream, shared).await {
            tracing::debug!("terminated connection: {error:#}");
        }
        return;
    }
    // A hub that is away is a connection that ends.
    let Ok(mut hub) = TcpStream::connect(shared.hub).await else { return };
    let _ = hub.set_nodelay(true);
    let _ = tokio::io::copy_bidirectional(&mut stream, &mut hub).await;
}

async fn datagrams(socket: Arc<UdpSocket>, shared: Arc<Shared>) {
    let mut backs = JoinSet::new();
    let mut buffer = vec![0; 65_536];
    loop {
        // Unreachable ports behind it come back as errors here: they concern nobody else.
        let Ok((length, from)) = socket.recv_from(&mut buffer).await else { continue };
        let known = {
            let paths = shared.paths.lock().unwrap();
            if paths.dark_until.is_some_and(|until| Instant::now() < until) {
                continue;
            }
            paths.sockets.get(&from).map(|(path, _)| Arc::clone(path))
        };
        let path = match known {
            Some(path) => path,
            None => {
                let path = Arc::new(UdpSocket::bind(("127.0.0.1", 0)).await.unwrap());
                path.connect(shared.hub).await.unwrap();
                let back = backs.spawn(answers(Arc::clone(&path), Arc::clone(&socket), from));
                shared.paths.lock().unwrap().sockets.insert(from, (Arc::clone(&path), back));
                path
            }
        };
        let _ = path.send(&buffer[..length]).await;
    }
}

async fn answers(path: Arc<UdpSocket>, socket: Arc<UdpSocket>, to: SocketAddr) {
    let mut buffer = vec![0; 65_536];
    loop {
        let Ok(length) = path.recv(&mut buffer).await else { continue };
        let _ = socket.send_to(&buffer[..length], to).await;
    }
}

/// Ends TLS with the hub's own key, and speaks to the hub with the agent's: a proxy that looks into what passes, and
/// refuses WebSocket.
pub(crate) struct Terminator {
    acceptor: TlsAcceptor,
    authority: CertificateDer<'static>,
    writeback: PathBuf,
}

impl Terminator {
    /// The agent's key and certificate come from its writeback file.
    pub(crate) fn new(authority: &CertificateDer<'static>, hub: &Arc<HubCertReloader>, writeback: PathBuf) -> Self {
        let server = certs::hub_server_config(authority, hub, Alpn::Http).unwrap();
        Self { acceptor: TlsAcceptor::from(server), authority: authority.clone(), writeback }
    }

    async fn serve(&self, stream: TcpStream, shared: &Shared) -> anyhow::Result<()> {
        let stream = self.acceptor.accept(stream).await?;
        let enrolled = stream.get_ref().1.peer_certificates().is_some();
        let tls = self.agent_tls(enrolled)?;
        let hub = TcpStream::connect(shared.hub).await?;
        hub.set_nodelay(true)?;
        let hub = TlsConnector::from(tls.tcp()).connect(HUB_NAME.try_into()?, hub).await?;
        let (sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(hub)).await?;
        let sender = tokio::sync::Mutex::new(sender);
        let service = service_fn(async |request: Request<Incoming>| {
            if request.headers().contains_key(UPGRADE) {
                shared.refused.fetch_add(1, Ordering::Relaxed);
                let mut refusal = Response::new(Either::Left(Full::new(Bytes::from_static(b"no upgrades here\n"))));
                *refusal.status_mut() = StatusCode::FORBIDDEN;
                return Ok(refusal);
            }
            let mut sender = sender.lock().await;
            sender.ready().await?;
            sender.send_request(request).await.map(|response| response.map(Either::Right))
        });
        let serving = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service);
        tokio::try_join!(async { connection.await.map_err(anyhow::Error::from) }, async {
            serving.await.map_err(anyhow::Error::from)
        })?;
        Ok(())
    }

    fn agent_tls(&self, enrolled: bool) -> anyhow::Result<AgentTls> {
        if !enrolled {
            return Ok(AgentTls::new(&self.authority, None)?);
        }
        #[derive(serde::Deserialize)]
        struct Writeback {
            private_key: String,
            certificate: String,
        }
        let file: Writeback = serde_saphyr::from_str(&std::fs::read_to_string(&self.writeback)?)?;
        let identity = Identity::from_pem(&file.private_key)?;
        let certificate = certs::certificate_from_pem("the agent's certificate", &file.certificate)?;
        Ok(AgentTls::new(&self.authority, Some((&certificate, &identity)))?)
    }
}

/// A proxy for CONNECT that leads to one place, whatever it is asked for.
pub(crate) struct ConnectProxy {
    pub(crate) address: SocketAddr,
    asked: Arc<Mutex<Vec<String>>>,
    _task: JoinSet<()>,
}

impl ConnectProxy {
    /// `login` is `user:password`, which it then demands.
    pub(crate) async fn start(hub: SocketAddr, login: Option<&'static str>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let asked = Arc::new(Mutex::new(Vec::new()));
        let kept = Arc::clone(&asked);
        let mut task = JoinSet::new();
        task.spawn(async move {
            let mut tunnels = JoinSet::new();
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let kept = Arc::clone(&kept);
                tunnels.spawn(async move {
                    let _ = tunnel(stream, hub, login, &kept).await;
                });
            }
        });
        Self { address, asked, _task: task }
    }

    /// The first line of each request that was granted or refused.
    pub(crate) fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }
}

async fn tunnel(
    mut stream: TcpStream,
    hub: SocketAddr,
    login: Option<&str>,
    asked: &Mutex<Vec<String>>,
) -> std::io::Result<()> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await?);
    }
    let head = String::from_utf8_lossy(&head).into_owned();
    let mut lines = head.lines();
    let first = lines.next().unwrap_or_default();
    let expected = login.map(|login| format!("Basic {}", BASE64_STANDARD.encode(login)));
    let shown = lines.find_map(|line| line.strip_prefix("Proxy-Authorization: ")).map(str::to_owned);
    let answer = if !first.starts_with("CONNECT ") {
        "405 Method Not Allowed"
    } else if expected.is_some() && shown != expected {
        "407 Proxy Authentication Required"
    } else {
        "200 OK"
    };
    asked.lock().unwrap().push(format!("{first} -> {answer}"));
    stream.write_all(format!("HTTP/1.1 {answer}\r\n\r\n").as_bytes()).await?;
    if answer.starts_with("200") {
        let mut hub = TcpStream::connect(hub).await?;
        tokio::io::copy_bidirectional(&mut stream, &mut hub).await?;
    }
    Ok(())
}
