//! `/api/live` over a connection in memory.

use futures_util::{SinkExt as _, StreamExt as _};
use protocol::api::{HuntSummary, LiveEvent, LiveRequest, RowView, Topic};
use tokio::{io::DuplexStream, time::Instant};
use tokio_tungstenite::{
    WebSocketStream, client_async,
    tungstenite::{Error, Message, client::IntoClientRequest as _, protocol::frame::coding::CloseCode},
};

use super::{rows::create_hunt, *};

type Socket = WebSocketStream<DuplexStream>;

async fn dial(site: &Site, headers: &[(&'static str, &str)]) -> Result<Socket, Error> {
    let (ours, theirs) = tokio::io::duplex(64 << 10);
    let from = SocketAddr::from((Ipv4Addr::LOCALHOST, 1));
    tokio::spawn(serve_connection(site.router.clone(), theirs, from, site.shutdown.clone()));
    let mut request = "ws://127.0.0.1:8889/api/live".into_client_request().unwrap();
    for (name, value) in headers {
        request.headers_mut().insert(*name, value.parse().unwrap());
    }
    client_async(request, ours).await.map(|(socket, _)| socket)
}

async fn open(browser: &Browser<'_>) -> Socket {
    dial(browser.site, &[("cookie", &browser.cookie), ("origin", "http://127.0.0.1:8889")]).await.unwrap()
}

async fn ask(socket: &mut Socket, request: &LiveRequest) {
    socket.send(Message::text(serde_json::to_string(request).unwrap())).await.unwrap();
}

async fn event(socket: &mut Socket) -> LiveEvent {
    let message = timeout(Duration::from_secs(10), socket.next()).await.expect("an event").unwrap().unwrap();
    serde_json::from_str(message.to_text().unwrap()).unwrap()
}

/// The code and reason with which the hub closes.
async fn closed(socket: &mut Socket) -> (u16, String) {
    loop {
        match timeout(Duration::from_secs(10), socket.next()).await.expect("the end").unwrap().unwrap() {
            Message::Close(Some(frame)) => return (frame.code.into(), frame.reason.to_string()),
            Message::Close(None) => panic!("closed without a reason"),
            _ => {}
        }
    }
}

#[tokio::test]
async fn only_the_own_page_gets_a_socket() {
    let site = Site::new();
    let ada = site.login().await;
    for (headers, status) in [
        (vec![], 401),
        (vec![("cookie", "swoop_session=x")], 401),
        (vec![("cookie", &*ada.cookie), ("origin", "http://evil.example")], 403),
        (vec![("cookie", &*ada.cookie), ("host", "evil.example")], 403),
    ] {
        match dial(&site, &headers).await {
            Err(Error::Http(response)) => assert_eq!(response.status(), status, "{headers:?}"),
            other => panic!("{headers:?}: {other:?}"),
        }
    }
    open(&ada).await;
}

#[tokio::test]
async fn watches_tell_at_once() {
    let site = Site::new();
    let ada = site.login().await;
    let mut socket = open(&ada).await;
    ask(&mut socket, &LiveRequest::Watch { id: 1, topic: Topic::Status }).await;
    assert!(matches!(event(&mut socket).await, LiveEvent::Status { id: 1, status } if status.health == "ok"));
    ask(&mut socket, &LiveRequest::Watch { id: 2, topic: Topic::Clients }).await;
    assert!(matches!(event(&mut socket).await, LiveEvent::Clients { id: 2 }));
    ask(&mut socket, &LiveRequest::Watch { id: 3, topic: Topic::Hunts }).await;
    assert!(matches!(event(&mut socket).await, LiveEvent::Hunts { id: 3 }));
    let hunt_id = HUNT.parse().unwrap();
    ask(&mut socket, &LiveRequest::Watch { id: 4, topic: Topic::Hunt { hunt_id, view: None } }).await;
    match event(&mut socket).await {
        LiveEvent::Error { id: 4, error } => assert_eq!(error.message, format!("hunt {HUNT}: not found")),
        other => panic!("{other:?}"),
    }
    for bad in ["", "{}", r#"{"type":"watch","id":1,"topic":{"topic":"weather"}}"#] {
        socket.send(Message::text(bad)).await.unwrap();
        assert!(matches!(event(&mut socket).await, LiveEvent::Error { id: 0, error } if error.code == "bad_json"));
    }
    for id in 0..70 {
        ask(&mut socket, &LiveRequest::Watch { id, topic: Topic::Hunts }).await;
    }
    let mut refused = 0;
    for _ in 0..70 {
        refused += u32::from(
            matches!(event(&mut socket).await, LiveEvent::Error { error, .. } if error.code == "too_many_watches"),
        );
    }
    assert_eq!(refused, 6);
}

#[tokio::test]
async fn a_socket_ends_with_its_login_and_with_the_hub() {
    let site = Site::new();
    let ada = site.login().await;
    let mut socket = open(&ada).await;
    assert_eq!(ada.post("/api/logout", &json!({})).await.status, 204);
    assert_eq!(closed(&mut socket).await, (4401, "the login has ended".to_owned()));

    let ada = site.login().await;
    let mut socket = open(&ada).await;
    site.shutdown.cancel();
    assert_eq!(closed(&mut socket).await, (CloseCode::Away.into(), "the hub is shutting down".to_owned()));
    site.app.tasks.close();
    timeout(Duration::from_secs(10), site.app.tasks.wait()).await.expect("nothing goes on");
}

fn watch(id: u32, hunt: &HuntSummary, from: u64, limit: u32) -> LiveRequest {
    let view = Some(RowView { source: 0, from, limit });
    LiveRequest::Watch { id, topic: Topic::Hunt { hunt_id: hunt.hunt_id, view } }
}

/// The next event with rows: where they start, and the lines.
async fn rows(socket: &mut Socket, of: u32) -> (u64, Vec<String>) {
    loop {
        match event(socket).await {
            LiveEvent::Rows { id, page } if id == of => {
                return (page.from, page.jsonl.lines().map(str::to_owned).collect());
            }
            LiveEvent::Error { error, .. } => panic!("{error:?}"),
            _ => {}
        }
    }
}

#[tokio::test]
async fn a_view_gets_each_of_its_rows_once() {
    let site = Site::new();
    let ada = site.login().await;
    let mut agent = Agent::connect(&site, 1);
    let mut socket = open(&ada).await;
    let hunt = create_hunt(&ada).await;
    let flow = FlowId::of_hunt(hunt.hunt_id);
    ask(&mut socket, &watch(1, &hunt, 0, 1000)).await;
    assert!(matches!(event(&mut socket).await, LiveEvent::Hunt { id: 1, .. }), "the hunt is told at once");
    agent.start(flow).await;

    let begun = Instant::now();
    let mut seen = 0;
    let mut events = 0;
    let (told, expected) = tokio::join!(
        async {
            while seen < 400 {
                let (from, lines) = rows(&mut socket, 1).await;
                assert_eq!(from, seen, "nothing twice and no gap");
                for (place, line) in lines.iter().enumerate() {
                    assert!(line.starts_with(&format!("{{\"A\":{},", seen + place as u64)), "{line}");
                }
                seen += lines.len() as u64;
                events += 1;
            }
            events
        },
        async {
            for row in 0..400 {
                agent.rows(flow, StreamId(0), row, &[&format!("{{\"A\":{row}}}")]).await;
                tokio::task::yield_now().await;
            }
            400
        }
    );
    // The first at once, the others merged.
    let most = begun.elapsed().as_millis() as u64 / 50 + 2;
    assert!(told <= most, "{told} events for {expected} rows, at most {most} were due");

    // Another view of the same hunt, narrower, gets what is in it and no more.
    ask(&mut socket, &watch(2, &hunt, 390, 5)).await;
    let (from, lines) = rows(&mut socket, 2).await;
    assert_eq!((from, lines.len()), (390, 5));
    agent.rows(flow, StreamId(0), 400, &["{\"A\":400}"]).await;
    let (from, lines) = rows(&mut socket, 1).await;
    assert_eq!((from, lines.len()), (400, 1));
}

#[tokio::test]
async fn large_rows_come_in_pages() {
    let site = Site::new();
    let ada = site.login().await;
    let mut agent = Agent::connect(&site, 1);
    let mut socket = open(&ada).await;
    let hunt = create_hunt(&ada).await;
    let flow = FlowId::of_hunt(hunt.hunt_id);
    agent.start(flow).await;
    let row = format!("{{\"A\":\"{}\"}}", "x".repeat(400 << 10));
    for first in 0..8 {
        agent.rows(flow, StreamId(0), first, &[&row]).await;
    }
    agent.end(flow, vec![(StreamId(0), 8)]).await;
    agent.end_stored(flow).await;
    ask(&mut socket, &watch(1, &hunt, 0, 1000)).await;
    let mut seen = 0;
    while seen < 8 {
        let (from, lines) = rows(&mut socket, 1).await;
        assert_eq!(from, seen);
        assert!(lines.len() <= 3, "{}", lines.len());
        seen += lines.len() as u64;
    }
}
