//! The interface as browsers and programs meet it: requests into the router, answers out.

#![allow(clippy::unwrap_used)]

mod live;
mod rows;

use std::{
    borrow::Cow,
    net::{Ipv4Addr, SocketAddr},
    sync::atomic::{AtomicU64, Ordering::Relaxed},
};

use axum::{
    body::{Body, to_bytes},
    http::{HeaderMap, Request, StatusCode, header},
};
use certs::Authority;
use protocol::{
    ClientId, FlowId,
    api::{ApiError, CSRF_HEADER, Completion, MAX_CANDIDATES, Me, QueryDiagnostic},
    collection::{FlowCost, FlowEnd, FlowState, StreamId},
    frame::Decoder,
    message::{Encoding, Hello, RowBatch, ToAgent, ToHub, VERSIONS},
};
use serde_json::{Value, json};

use super::*;
use crate::{
    Config, Outbound, Session,
    auth::{AuthConfig, add_user, mint_once},
};

/// A hub with a user `ada`, without sockets.
struct Site {
    folder: tempfile::TempDir,
    clock: Arc<AtomicU64>,
    app: App,
    router: Router,
    shutdown: CancellationToken,
}

impl Site {
    fn new() -> Self {
        Self::with(Assets::new(|path| {
            let text: &[u8] = match path {
                "index.html" => b"the page",
                "swoop_bg.wasm" => b"\0asm",
                "app-0123456789abcdef.js" => b"let it = 1",
                _ => return None,
            };
            Some((Cow::Borrowed(text), mime_of(path).to_owned()))
        }))
    }

    fn with(assets: Assets) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let hub = hub(folder.path());
        add_user(folder.path(), "ada", "correct horse").unwrap();
        let clock = Arc::new(AtomicU64::new(1_800_000_000_000));
        let time = clock.clone();
        let config = AuthConfig { clock: Arc::new(move || time.load(Relaxed)), ..AuthConfig::new(folder.path()) };
        let shutdown = CancellationToken::new();
        let app = app(hub, Auth::open(config).unwrap(), assets, shutdown.clone());
        Self { folder, clock, router: router(app.clone()), app, shutdown }
    }

    async fn call(&self, request: Request<Body>) -> Answer {
        let response = TowerToHyperService::new(self.router.clone()).call(request).await.unwrap();
        let (parts, body) = response.into_parts();
        let body = to_bytes(body, 4 << 20).await.unwrap().to_vec();
        Answer { status: parts.status, headers: parts.headers, body }
    }

    async fn login(&self) -> Browser<'_> {
        let token = mint_once(self.folder.path(), "ada", Duration::MAX).unwrap();
        let answer = self.call(post_json("/api/login/once", &json!({ "token": token }))).await;
        Browser::of(self, &answer)
    }
}

fn hub(folder: &std::path::Path) -> Hub {
    let authority = Authority::create().unwrap();
    let issued = authority.sign_hub(30).unwrap();
    let nowhere = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    Hub::open(Config {
        datastore: folder.into(),
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

/// Someone who is logged in.
struct Browser<'a> {
    site: &'a Site,
    cookie: String,
    csrf: String,
}

impl<'a> Browser<'a> {
    fn of(site: &'a Site, answer: &Answer) -> Self {
        assert_eq!(answer.status, StatusCode::OK, "{}", answer.text());
        let me: Me = serde_json::from_slice(&answer.body).unwrap();
        let cookie = answer.headers[header::SET_COOKIE].to_str().unwrap().split(';').next().unwrap().to_owned();
        Self { site, cookie, csrf: me.csrf_token }
    }

    async fn get(&self, path: &str) -> Answer {
        self.site.call(with(get_from(path), &[("cookie", &self.cookie)])).await
    }

    async fn post(&self, path: &str, body: &Value) -> Answer {
        let headers = [("cookie", &*self.cookie), (CSRF_HEADER, &*self.csrf)];
        self.site.call(with(post_json(path, body), &headers)).await
    }
}

/// An agent in memory, of the client with this number.
struct Agent {
    client: ClientId,
    session: Session,
    outbound: Outbound,
    decoder: Decoder,
}

impl Agent {
    fn connect(site: &Site, number: u64) -> Self {
        let hello = Hello {
            versions: VERSIONS,
            agent_version: "0.1.0".into(),
            hostname: format!("host-{number}"),
            os: "linux".into(),
            clock_ms: 0,
            flows: Vec::new(),
            labels: Vec::new(),
        };
        let from = SocketAddr::from((Ipv4Addr::LOCALHOST, 1));
        let client = ClientId(number);
        let (session, outbound) = site.app.hub.connect(client, &hello, "quic", from);
        Self { client, session, outbound, decoder: Decoder::default() }
    }

    /// Waits for the flow to be offered, and starts it.
    async fn start(&mut self, flow_id: FlowId) {
        loop {
            while let Some(message) = self.decoder.next().unwrap() {
                if matches!(&message, ToAgent::StartFlow(request) if request.flow_id == flow_id) {
                    return self.session.receive(ToHub::FlowStarted { flow_id }).await.unwrap();
                }
            }
            let frame = timeout(Duration::from_secs(10), self.outbound.next()).await.expect("the flow is offered");
            self.decoder.push(&frame.unwrap());
        }
    }

    async fn rows(&self, flow_id: FlowId, stream: StreamId, first_row: u64, rows: &[&str]) {
        let data = rows.iter().map(|row| format!("{row}\n")).collect::<String>().into();
        let rows = rows.len() as u32;
        let batch = RowBatch { flow_id, stream, first_row, rows, encoding: Encoding::Plain, data };
        self.session.receive(ToHub::Rows(batch)).await.unwrap();
    }

    async fn end(&self, flow_id: FlowId, rows: Vec<(StreamId, u64)>) {
        let end = FlowEnd { flow_id, state: FlowState::Finished, rows, uploads: 0, cost: FlowCost::default() };
        self.session.receive(ToHub::FlowEnded(end)).await.unwrap();
    }

    /// Waits until the hub says that the flow's end is on disk.
    async fn end_stored(&mut self, flow_id: FlowId) {
        loop {
            while let Some(message) = self.decoder.next().unwrap() {
                if matches!(message, ToAgent::EndStored { flow_id: stored } if stored == flow_id) {
                    return;
                }
            }
            let frame = timeout(Duration::from_secs(10), self.outbound.next()).await.expect("the end is stored");
            self.decoder.push(&frame.unwrap());
        }
    }
}

#[derive(Debug)]
struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    body: Vec<u8>,
}

impl Answer {
    fn text(&self) -> Cow<'_, str> {
        String::from_utf8_lossy(&self.body)
    }

    fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    #[track_caller]
    fn is(&self, status: u16, code: &str) -> ApiError {
        assert_eq!(self.status.as_u16(), status, "{}", self.text());
        let error: ApiError = serde_json::from_slice(&self.body).unwrap_or_else(|_| panic!("{}", self.text()));
        assert_eq!(error.code, code, "{error:?}");
        assert!(!error.message.is_empty());
        error
    }
}

fn get_from(path: &str) -> Request<Body> {
    Request::get(path).header(header::HOST, "127.0.0.1:8889").body(Body::empty()).unwrap()
}

fn post_json(path: &str, body: &Value) -> Request<Body> {
    Request::post(path)
        .header(header::HOST, "127.0.0.1:8889")
        .header(header::CONTENT_TYPE, "application/json")
        .body(Body::from(body.to_string()))
        .unwrap()
}

fn with(mut request: Request<Body>, headers: &[(&'static str, &str)]) -> Request<Body> {
    for (name, value) in headers {
        request.headers_mut().insert(*name, value.parse().unwrap());
    }
    request
}

const CLIENT: &str = "C.039f18494e6dae95";
const FLOW: &str = "F.0000000000001";
const HUNT: &str = "H.0000000000001";

/// Every call of the table in `protocol::api` that needs a login.
fn calls() -> Vec<(&'static str, String)> {
    let flow = format!("/api/clients/{CLIENT}/flows/{FLOW}");
    let hunt = format!("/api/hunts/{HUNT}");
    vec![
        ("POST", "/api/logout".into()),
        ("GET", "/api/me".into()),
        ("GET", "/api/status".into()),
        ("GET", "/api/clients".into()),
        ("GET", format!("/api/clients/{CLIENT}")),
        ("POST", format!("/api/clients/{CLIENT}/labels")),
        ("GET", format!("/api/clients/{CLIENT}/flows")),
        ("POST", format!("/api/clients/{CLIENT}/flows")),
        ("GET", flow.clone()),
        ("POST", format!("{flow}/cancel")),
        ("GET", format!("{flow}/rows")),
        ("GET", format!("{flow}/log")),
        ("GET", format!("{flow}/download")),
        ("GET", format!("{flow}/uploads/0")),
        ("GET", "/api/hunts".into()),
        ("POST", "/api/hunts".into()),
        ("GET", hunt.clone()),
        ("POST", format!("{hunt}/run")),
        ("POST", format!("{hunt}/pause")),
        ("POST", format!("{hunt}/stop")),
        ("GET", format!("{hunt}/clients")),
        ("GET", format!("{hunt}/rows")),
        ("GET", format!("{hunt}/download")),
        ("GET", "/api/artifacts".into()),
        ("POST", "/api/vql/check".into()),
        ("POST", "/api/vql/complete".into()),
        ("GET", "/api/live".into()),
    ]
}

#[tokio::test]
async fn who_types_a_query_is_told_what_may_follow() {
    let site = Site::new();
    let ada = site.login().await;
    let ask = async |text: &str| {
        let answer = ada.post("/api/vql/complete", &json!({ "text": text, "cursor": text.len() })).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        serde_json::from_slice::<Completion>(&answer.body).unwrap()
    };
    let found = ask("SELECT é, * FROM rang").await;
    assert_eq!((found.start, found.end), (18, 22));
    assert_eq!((&*found.candidates[0].text, &*found.candidates[0].kind), ("range(", "plugin"));
    assert!(found.candidates[0].doc.ends_with('.'));
    let found = ask("SELECT * FROM range(").await;
    assert_eq!(found.call.unwrap(), "range(end=, [start=], [step=])");
    assert!(found.candidates.iter().any(|candidate| candidate.text == "end=" && candidate.kind == "argument"));
    assert!(ask("SELECT * FROM Artifact.Generic.Client.V").await.candidates.iter().any(|c| c.kind == "artifact"));
    assert!(ask("SELECT * FROM ").await.candidates.len() <= MAX_CANDIDATES);
    let answer = ada.post("/api/vql/check", &json!({ "text": "SELECT * FORM info()" })).await;
    let problems: Vec<QueryDiagnostic> = serde_json::from_slice(&answer.body).unwrap();
    assert_eq!((&*problems[0].severity, problems[0].start, problems[0].end), ("error", 9, 13));
    // A cursor past the text, or inside of a letter, is nobody's fault.
    let odd = ada.post("/api/vql/complete", &json!({ "text": "é", "cursor": 1 })).await;
    assert_eq!(odd.status, 200);
    assert_eq!(ada.post("/api/vql/complete", &json!({ "text": "", "cursor": 99 })).await.status, 200);
}

#[tokio::test]
async fn a_password_lets_in_until_logout() {
    let site = Site::new();
    let login = json!({ "user": "ada", "password": "correct horse" });
    let answer = site.call(post_json("/api/login", &login)).await;
    let ada = Browser::of(&site, &answer);
    let cookie = answer.header("set-cookie");
    assert!(cookie.ends_with("; Path=/; Max-Age=604800; HttpOnly; SameSite=Strict"), "{cookie}");
    assert!(!answer.text().contains(ada.cookie.split('=').nth(1).unwrap()), "scripts never see the token");

    let me = ada.get("/api/me").await;
    assert_eq!(me.status, 200);
    assert_eq!(
        serde_json::from_slice::<Me>(&me.body).unwrap(),
        Me { user: "ada".into(), csrf_token: ada.csrf.clone() }
    );

    // Logging in anew ends the login that the browser had.
    let again = with(post_json("/api/login", &login), &[("cookie", &ada.cookie)]);
    let again = Browser::of(&site, &site.call(again).await);
    ada.get("/api/me").await.is(401, "not_logged_in");

    let out = again.post("/api/logout", &json!({})).await;
    assert_eq!((out.status.as_u16(), out.body.len()), (204, 0));
    assert!(out.header("set-cookie").starts_with("swoop_session=; Path=/; Max-Age=0;"));
    let error = again.get("/api/me").await.is(401, "not_logged_in");
    assert_eq!(error.message, "You are not logged in, or your login has ended.");
}

#[tokio::test]
async fn wrong_passwords_are_refused_and_slowed_down() {
    let site = Site::new();
    for user in ["ada", "bob", "../ada", ""] {
        let answer = site.call(post_json("/api/login", &json!({ "user": user, "password": "wrong horse" }))).await;
        let error = answer.is(401, "bad_login");
        assert_eq!(error.message, "There is no such user with this password.", "the same for all");
        assert!(answer.headers.get(header::SET_COOKIE).is_none());
    }
    let wrong = json!({ "user": "ada", "password": "wrong horse" });
    for _ in 0..9 {
        site.call(post_json("/api/login", &wrong)).await.is(401, "bad_login");
    }
    let answer = site.call(post_json("/api/login", &wrong)).await;
    let error = answer.is(429, "too_many_attempts");
    assert_eq!(error.hint.unwrap(), "Try again in 10 s.");
    assert_eq!(answer.header("retry-after"), "10");
    site.clock.fetch_add(10_000, Relaxed);
    let right = json!({ "user": "ada", "password": "correct horse" });
    Browser::of(&site, &site.call(post_json("/api/login", &right)).await);
}

#[tokio::test]
async fn a_link_lets_in_once() {
    let site = Site::new();
    let token = mint_once(site.folder.path(), "demo", Duration::MAX).unwrap();
    let demo = Browser::of(&site, &site.call(post_json("/api/login/once", &json!({ "token": token }))).await);
    assert_eq!(demo.get("/api/me").await.status, 200);
    let again = site.call(post_json("/api/login/once", &json!({ "token": token }))).await;
    assert!(again.is(401, "bad_login").message.starts_with("This link does not let in"));
}

#[tokio::test]
async fn a_login_that_is_over_is_told() {
    let site = Site::new();
    let ada = site.login().await;
    assert_eq!(ada.get("/api/status").await.status, 200);
    site.clock.fetch_add(12 * 3600 * 1000, Relaxed);
    ada.get("/api/status").await.is(401, "not_logged_in");
}

#[tokio::test]
async fn no_call_works_without_login_or_csrf_header() {
    let site = Site::new();
    let ada = site.login().await;
    for (method, path) in calls() {
        let request = || Request::builder().method(method).uri(&path).header(header::HOST, "localhost");
        let stranger = site.call(request().body(Body::empty()).unwrap()).await;
        stranger.is(401, "not_logged_in");
        let cookie = request().header(header::COOKIE, &ada.cookie);
        if method == "POST" {
            let forged = site.call(cookie.body(Body::empty()).unwrap()).await;
            forged.is(403, "csrf");
            let wrong = request().header(header::COOKIE, &ada.cookie).header(CSRF_HEADER, "0".repeat(64));
            site.call(wrong.body(Body::empty()).unwrap()).await.is(403, "csrf");
        } else {
            let answer = site.call(cookie.body(Body::empty()).unwrap()).await;
            assert_ne!(answer.status, 401, "{path}");
            assert_ne!(answer.status, 403, "{path}");
        }
        for method in ["PUT", "DELETE", "PATCH"] {
            let other = Request::builder().method(method).uri(&path).header(header::HOST, "localhost");
            site.call(other.body(Body::empty()).unwrap()).await.is(401, "not_logged_in");
        }
    }
}

#[tokio::test]
async fn other_sites_get_nothing() {
    let site = Site::new();
    let ada = site.login().await;
    let own = "http://127.0.0.1:8889";
    for (headers, code) in [
        (vec![("origin", own)], None),
        (vec![("origin", "https://127.0.0.1:8889"), ("sec-fetch-site", "same-origin")], None),
        (vec![("origin", "http://evil.example")], Some("foreign_origin")),
        (vec![("origin", "http://127.0.0.1:9999")], Some("foreign_origin")),
        (vec![("origin", "http://127.0.0.1:8889.evil.example")], Some("foreign_origin")),
        (vec![("origin", "null")], Some("foreign_origin")),
        (vec![("origin", own), ("sec-fetch-site", "cross-site")], Some("foreign_origin")),
        (vec![("sec-fetch-site", "same-site")], Some("foreign_origin")),
        (vec![("host", "evil.example:8889")], Some("host")),
        (vec![("host", "evil.example"), ("origin", "http://evil.example")], Some("host")),
    ] {
        let all: Vec<_> =
            headers.iter().copied().chain([("cookie", &*ada.cookie), (CSRF_HEADER, &*ada.csrf)]).collect();
        let get = site.call(with(get_from("/api/me"), &all)).await;
        let post = site.call(with(post_json("/api/nothing", &json!({})), &all)).await;
        // Logging in is a change too: nobody must be put into another's login.
        let login = site.call(with(post_json("/api/login", &json!({})), &all)).await;
        match code {
            None => {
                assert_eq!(get.status, 200, "{headers:?}");
                post.is(404, "not_found");
                login.is(400, "bad_json");
            }
            Some(code) => {
                get.is(403, code);
                post.is(403, code);
                login.is(403, code);
            }
        }
    }
    let typed = [("sec-fetch-site", "none"), ("cookie", &*ada.cookie), (CSRF_HEADER, &*ada.csrf)];
    assert_eq!(site.call(with(get_from("/api/me"), &typed)).await.status, 200);
    site.call(with(post_json("/api/logout", &json!({})), &typed)).await.is(403, "foreign_origin");
    let page = site.call(with(get_from("/"), &[("host", "evil.example")])).await;
    page.is(403, "host");
    let nameless = site.call(Request::get("/api/me").body(Body::empty()).unwrap()).await;
    nameless.is(400, "host");
}

#[tokio::test]
async fn what_is_wrong_with_a_call_is_said() {
    let site = Site::new();
    let ada = site.login().await;
    for (path, status, code, text) in [
        ("/api/nothing", 404, "not_found", "the call /api/nothing: not found"),
        ("/api", 404, "not_found", "the call /api: not found"),
        ("/api/clients/C.1", 400, "bad_id", "\"C.1\" is no client id: expected C. and 16 lower-case hex digits"),
        ("/api/hunts/H.1", 400, "bad_id", "\"H.1\" is no hunt id: expected H. and 13 digits 0-9 A-V"),
        ("/api/clients/C.039f18494e6dae95/flows/x", 400, "bad_id", "\"x\" is no flow id"),
        ("/api/clients/C.039f18494e6dae95/flows/F.0000000000001/uploads/x", 400, "bad_id", "x"),
        ("/api/clients?limit=x", 400, "bad_parameter", "limit"),
        ("/api/hunts/H.0000000000001/clients?state=gone", 400, "bad_parameter", "gone"),
        ("/api/hunts/H.0000000000001/download?format=xlsx", 400, "bad_parameter", "xlsx"),
        ("/api/clients/C.039f18494e6dae95", 404, "not_found", "C.039f18494e6dae95"),
        ("/api/clients/C.039f18494e6dae95/flows", 404, "not_found", "C.039f18494e6dae95"),
        ("/api/clients/C.039f18494e6dae95/flows/F.0000000000001", 404, "not_found", "not found"),
        ("/api/clients/C.039f18494e6dae95/flows/F.0000000000001/rows", 404, "not_found", "not found"),
        ("/api/clients/C.039f18494e6dae95/flows/F.0000000000001/log", 404, "not_found", "not found"),
        ("/api/clients/C.039f18494e6dae95/flows/F.0000000000001/uploads/0", 404, "not_found", "not found"),
        ("/api/hunts/H.0000000000001", 404, "not_found", "H.0000000000001"),
        ("/api/hunts/H.0000000000001/rows", 404, "not_found", "H.0000000000001"),
        ("/api/hunts/H.0000000000001/rows?source=Some.Name", 404, "not_found", "H.0000000000001"),
        ("/api/hunts/H.0000000000001/clients", 404, "not_found", "H.0000000000001"),
        ("/api/hunts/H.0000000000001/download", 404, "not_found", "H.0000000000001"),
        ("/api/live", 426, "not_a_websocket", "Connection"),
        ("/api/login", 405, "method_not_allowed", "/api/login does not take GET"),
    ] {
        let answer = ada.get(path).await;
        let error = answer.is(status, code);
        assert!(error.message.contains(text), "{path}: {}", error.message);
    }
    let long = format!("/api/clients?q={}", "a".repeat(2000));
    ada.get(&long).await.is(400, "bad_parameter");

    let error = ada.post("/api/hunts", &json!({ "collection": 1 })).await.is(400, "bad_json");
    assert!(error.message.contains("collection") || error.message.contains("line 1"), "{}", error.message);
    ada.post(&format!("/api/clients/{CLIENT}/labels"), &json!({})).await.is(404, "not_found");
    ada.post(&format!("/api/hunts/{HUNT}/run"), &json!({})).await.is(404, "not_found");
    ada.post(&format!("/api/clients/{CLIENT}/flows/{FLOW}/cancel"), &json!({})).await.is(404, "not_found");
    let long = json!({ "add": ["a".repeat(1 << 20)] });
    ada.post(&format!("/api/clients/{CLIENT}/labels"), &long).await.is(413, "too_large");
    let form = [("content-type", "text/plain"), ("cookie", &*ada.cookie), (CSRF_HEADER, &*ada.csrf)];
    site.call(with(post_json("/api/hunts", &json!({})), &form)).await.is(415, "not_json");
}

#[tokio::test]
async fn the_page_comes_with_its_policy() {
    let site = Site::new();
    for path in ["/", "/index.html", "/hunts", "/clients/C.039f18494e6dae95", "/artifacts/Generic.Client.VQL"] {
        let page = site.call(get_from(path)).await;
        assert_eq!((page.status.as_u16(), &*page.text()), (200, "the page"), "{path}");
        assert_eq!(page.header("content-type"), "text/html; charset=utf-8");
        assert_eq!(page.header("cache-control"), "no-cache");
        assert_eq!(page.header("x-content-type-options"), "nosniff");
        assert_eq!(page.header("referrer-policy"), "no-referrer");
        let policy = page.header("content-security-policy");
        for part in [
            "default-src 'none'",
            "script-src 'self' 'wasm-unsafe-eval'",
            "connect-src 'self'",
            "frame-ancestors 'none'",
        ] {
            assert!(policy.contains(part), "{policy}");
        }
    }
    let module = site.call(get_from("/swoop_bg.wasm")).await;
    assert_eq!((module.header("content-type"), module.header("cache-control")), ("application/wasm", "no-cache"));
    let known = site.call(with(get_from("/swoop_bg.wasm"), &[("if-none-match", module.header("etag"))])).await;
    assert_eq!((known.status.as_u16(), known.body.len()), (304, 0));
    let hashed = site.call(get_from("/app-0123456789abcdef.js")).await;
    assert_eq!(hashed.header("cache-control"), "public, max-age=31536000, immutable");
    for path in ["/missing.js", "/../Cargo.toml", "/%2e%2e/x.json"] {
        assert_eq!(site.call(get_from(path)).await.status, 404, "{path}");
    }
    site.call(post_json("/", &json!({}))).await.is(405, "method_not_allowed");

    let api = site.login().await.get("/api/me").await;
    assert_eq!(api.header("cache-control"), "no-store");
    assert_eq!(api.header("content-security-policy"), "default-src 'none'; frame-ancestors 'none'; sandbox");

    let unbuilt = Site::with(Assets::none());
    let page = unbuilt.call(get_from("/")).await;
    assert_eq!(page.status, 503);
    assert!(page.text().contains("cargo xtask ui"));
}
