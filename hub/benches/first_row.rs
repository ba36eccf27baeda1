//! Time from the request that makes a hunt to its first row at a live subscriber, all over loopback.
//!
//! The way: POST /api/hunts → the hunt is offered to an agent → the agent's row → the disk → /api/live. The agent is in
//! this process and answers at once, so what is measured is the hub. The subscriber asks for the hunt when it knows its
//! id, as the page does.

#![allow(clippy::print_stdout, clippy::unwrap_used)]

use std::{
    net::{Ipv4Addr, SocketAddr},
    path::Path,
    time::{Duration, Instant},
};

use axum::body::Bytes;
use futures_util::{SinkExt as _, StreamExt as _};
use http_body_util::{BodyExt as _, Full};
use hub::{
    Config, Hub,
    api::{Assets, serve},
    auth::{Auth, AuthConfig, mint_once},
};
use hyper::{Request, client::conn::http1, header};
use hyper_util::rt::TokioIo;
use protocol::{
    ClientId,
    api::{CSRF_HEADER, HuntSummary, LiveEvent, LiveRequest, LoginOnce, Me, NewHunt, RowView, SESSION_COOKIE, Topic},
    collection::{Collection, Condition, FlowCost, FlowEnd, FlowState, StreamId},
    frame::Decoder,
    message::{Encoding, Hello, RowBatch, ToAgent, ToHub, VERSIONS},
};
use tokio::net::{TcpListener, TcpStream};
use tokio_tungstenite::{
    client_async,
    tungstenite::{Message, client::IntoClientRequest as _},
};
use tokio_util::sync::CancellationToken;

const WARM_UP: usize = 10;

fn main() {
    // Anything but `cargo bench` only shows that it runs.
    let runs = if std::env::args().any(|argument| argument == "--bench") { 100 } else { 1 };
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let mut took = runtime.block_on(measure(runs));
    took.sort();
    let at = |share: f64| took[((took.len() - 1) as f64 * share).round() as usize].as_secs_f64() * 1e3;
    println!(
        "request to first row at a live subscriber, {runs} runs: median {:.2} ms, p99 {:.2} ms, fastest {:.2} ms, slowest {:.2} ms",
        at(0.5),
        at(0.99),
        at(0.0),
        at(1.0)
    );
}

async fn measure(runs: usize) -> Vec<Duration> {
    let folder = tempfile::tempdir().unwrap();
    let hub = open(folder.path());
    let auth = Auth::open(AuthConfig::new(folder.path())).unwrap();
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    let shutdown = CancellationToken::new();
    let server = tokio::spawn(serve(hub.clone(), auth, Assets::none(), listener, shutdown.clone()));
    let agent = tokio::spawn(agent(hub.clone()));

    let mut person = Person::login(address, &mint_once(folder.path(), "bench", Duration::MAX).unwrap()).await;
    let mut took = Vec::new();
    for run in 0..WARM_UP + runs {
        let started = Instant::now();
        person.first_row(run as u32).await;
        if run >= WARM_UP {
            took.push(started.elapsed());
        }
    }
    shutdown.cancel();
    server.await.unwrap();
    hub.shutdown().await;
    agent.await.unwrap();
    took
}

fn open(datastore: &Path) -> Hub {
    let authority = certs::Authority::create().unwrap();
    let issued = authority.sign_hub(30).unwrap();
    let nowhere = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    Hub::open(Config {
        datastore: datastore.into(),
        frontend_bind: nowhere,
        gui_bind: nowhere,
        nonce: "nonce".into(),
        authority,
        hub_certificate_pem: issued.certificate_pem,
        hub_key_pem: issued.key_pem,
        heartbeat_ms: 30_000,
        shards: 2,
        filestore: None,
        endpoint: None,
    })
    .unwrap()
}

/// Answers every flow with one row, at once.
async fn agent(hub: Hub) {
    let hello = Hello {
        versions: VERSIONS,
        agent_version: "0.1.0".into(),
        hostname: "bench".into(),
        os: "linux".into(),
        clock_ms: 0,
        flows: Vec::new(),
        labels: Vec::new(),
    };
    let from = SocketAddr::from((Ipv4Addr::LOCALHOST, 1));
    let (session, mut outbound) = hub.connect(ClientId(1), &hello, "quic", from);
    let mut decoder = Decoder::default();
    while let Some(frame) = outbound.next().await {
        decoder.push(&frame);
        while let Some(message) = decoder.next().unwrap() {
            let ToAgent::StartFlow(request) = message else { continue };
            let flow_id = request.flow_id;
            let rows = ToHub::Rows(RowBatch {
                flow_id,
                stream: StreamId(0),
                first_row: 0,
                rows: 1,
                encoding: Encoding::Plain,
                data: Bytes::from_static(b"{\"A\":1}\n"),
            });
            let end = ToHub::FlowEnded(FlowEnd {
                flow_id,
                state: FlowState::Finished,
                rows: vec![(StreamId(0), 1)],
                uploads: 0,
                cost: FlowCost::default(),
            });
            for message in [ToHub::FlowStarted { flow_id }, rows, end] {
                if session.receive(message).await.is_err() {
                    return;
                }
            }
        }
    }
}

/// A browser with one page open.
struct Person {
    host: String,
    cookie: String,
    csrf: String,
    http: http1::SendRequest<Full<Bytes>>,
    live: tokio_tungstenite::WebSocketStream<TcpStream>,
}

impl Person {
    async fn login(address: SocketAddr, token: &str) -> Self {
        let host = address.to_string();
        let mut http = dial_http(address).await;
        let body = serde_json::to_vec(&LoginOnce { token: token.into() }).unwrap();
        let request = Request::post("/api/login/once")
            .header(header::HOST, &host)
            .header(header::CONTENT_TYPE, "application/json")
            .body(Full::from(body))
            .unwrap();
        let answer = http.send_request(request).await.unwrap();
        assert_eq!(answer.status(), 200);
        let cookie = answer.headers()[header::SET_COOKIE].to_str().unwrap().split(';').next().unwrap().to_owned();
        assert!(cookie.starts_with(SESSION_COOKIE));
        let me: Me = serde_json::from_slice(&answer.into_body().collect().await.unwrap().to_bytes()).unwrap();

        let mut request = format!("ws://{host}/api/live").into_client_request().unwrap();
        request.headers_mut().insert(header::COOKIE, cookie.parse().unwrap());
        let stream = TcpStream::connect(address).await.unwrap();
        stream.set_nodelay(true).unwrap();
        let (live, _) = client_async(request, stream).await.unwrap();
        Self { host, cookie, csrf: me.csrf_token, http, live }
    }

    async fn first_row(&mut self, id: u32) {
        let hunt = NewHunt {
            collection: Collection::of_query("SELECT 1 AS A FROM scope()"),
            condition: Condition::default(),
            expires_s: 0,
            online_only: true,
            paused: false,
        };
        let request = Request::post("/api/hunts")
            .header(header::HOST, &self.host)
            .header(header::CONTENT_TYPE, "application/json")
            .header(header::COOKIE, &self.cookie)
            .header(CSRF_HEADER, &self.csrf)
            .body(Full::from(serde_json::to_vec(&hunt).unwrap()))
            .unwrap();
        self.http.ready().await.unwrap();
        let answer = self.http.send_request(request).await.unwrap();
        assert_eq!(answer.status(), 200);
        let body = answer.into_body().collect().await.unwrap().to_bytes();
        let hunt: HuntSummary = serde_json::from_slice(&body).unwrap();

        let view = Some(RowView { source: 0, from: 0, limit: 50 });
        let watch = LiveRequest::Watch { id, topic: Topic::Hunt { hunt_id: hunt.hunt_id, view } };
        self.ask(&watch).await;
        loop {
            let message = self.live.next().await.unwrap().unwrap();
            let Message::Text(text) = message else { continue };
            match serde_json::from_str(text.as_str()).unwrap() {
                LiveEvent::Rows { id: of, page } if of == id => {
                    assert!(page.jsonl.starts_with("{\"A\":1"), "{}", page.jsonl);
                    break;
                }
                LiveEvent::Error { error, .. } => panic!("{error:?}"),
                _ => {}
            }
        }
        self.ask(&LiveRequest::Unwatch { id }).await;
    }

    async fn ask(&mut self, request: &LiveRequest) {
        self.live.send(Message::text(serde_json::to_string(request).unwrap())).await.unwrap();
    }
}

async fn dial_http(address: SocketAddr) -> http1::SendRequest<Full<Bytes>> {
    let stream = TcpStream::connect(address).await.unwrap();
    stream.set_nodelay(true).unwrap();
    let (http, connection) = http1::handshake(TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    http
}
