//! One suite over the three transports: what a session promises, on the real listeners.

use std::{
    io::Write,
    net::{TcpStream, UdpSocket},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use agent::{
    session::{self, Failure, Opened, Reached},
    transport::{Dialer, Lane, Transport},
};
use bytes::Bytes;
use certs::{AgentTls, CertificateDer, Identity};
use protocol::{
    ClientId, FlowId,
    collection::{Collection, FlowCost, FlowEnd, FlowState, StreamId},
    frame,
    link::{AgentEvent, LinkError},
    message::{Encoding, Hello, REPLACED, RefuseCode, RowBatch, ToAgent, ToHub, VERSIONS},
};

use crate::house::{House, NONCE, within};

/// Each of the functions on each of the transports.
macro_rules! suite {
    ($($name:ident),* $(,)?) => {
        suite! { @ quic Quic [$($name)*] }
        suite! { @ websocket WebSocket [$($name)*] }
        suite! { @ poll Poll [$($name)*] }
    };
    (@ $module:ident $transport:ident [$($name:ident)*]) => {
        mod $module {
            use agent::transport::Transport;
            $(
                #[tokio::test(flavor = "multi_thread")]
                async fn $name() {
                    super::$name(Transport::$transport).await;
                }
            )*
        }
    };
}

suite![
    enrols_and_opens_a_session,
    refuses_in_words,
    rows_are_acknowledged_when_stored,
    a_large_answer_delays_no_control,
    a_newer_connection_replaces,
    the_hub_says_that_it_closes,
    a_silent_peer_is_dropped,
    hostile_bytes_harm_nobody_else,
];

async fn enrols_and_opens_a_session(transport: Transport) {
    let mut house = House::open(10_000);
    let identity = Identity::generate().unwrap();
    let enrol = ToHub::Enrol { nonce: NONCE.into(), request: identity.signing_request().unwrap() };
    let stranger = AgentTls::new(&house.authority, None).unwrap();
    let reached = attempt(&house, transport, &stranger, enrol).await.unwrap();
    let Reached::Enrolled { certificate } = reached else { panic!("{reached:?}") };
    let certificate = CertificateDer::from(certificate);
    assert!(identity.owns(&certificate));

    let tls = AgentTls::new(&house.authority, Some((&certificate, &identity))).unwrap();
    let peer = Peer::over(&house, transport, identity, tls).await;
    assert_eq!(peer.open.welcome.version, VERSIONS.1);
    assert_eq!(peer.open.welcome.heartbeat_ms, 10_000);
    house.online_over(peer.id, transport.name()).await;
    let seen = house.summary(peer.id).unwrap();
    assert_eq!((seen.hostname.as_str(), seen.address.as_str()), ("peer.test", "127.0.0.1"));

    let id = peer.id;
    peer.close().await;
    house.offline(id).await;
    house.close().await;
}

async fn refuses_in_words(transport: Transport) {
    let mut house = House::open(10_000);
    let identity = Identity::generate().unwrap();
    let request = identity.signing_request().unwrap();
    let stranger = AgentTls::new(&house.authority, None).unwrap();
    let known = house.agent_tls(&identity);
    let hello = |versions| ToHub::Hello(Hello { versions, ..hello() });

    let wrong_nonce = ToHub::Enrol { nonce: "another".into(), request: request.clone() };
    let Err(Failure::GiveUp(refuse)) = attempt(&house, transport, &stranger, wrong_nonce).await else { panic!() };
    assert_eq!(refuse.code, RefuseCode::Nonce);
    assert!(refuse.text.contains("nonce"), "{}", refuse.text);

    let no_request = ToHub::Enrol { nonce: NONCE.into(), request: request[1..].to_vec() };
    let Err(Failure::GiveUp(refuse)) = attempt(&house, transport, &stranger, no_request).await else { panic!() };
    assert_eq!(refuse.code, RefuseCode::Request);

    let Err(Failure::GiveUp(refuse)) = attempt(&house, transport, &known, hello((7, 9))).await else { panic!() };
    assert_eq!(refuse.code, RefuseCode::Version);
    let expected = format!("speaks protocol versions 7 to 9, this hub {} to {}", VERSIONS.0, VERSIONS.1);
    assert!(refuse.text.contains(&expected), "{}", refuse.text);

    // Without a certificate: not for good, the agent can enrol.
    let failure = attempt(&house, transport, &stranger, hello(VERSIONS)).await;
    let Err(Failure::EnrolAgain(refuse)) = failure else { panic!("{failure:?}") };
    assert!(refuse.text.contains("enrol"), "{}", refuse.text);
    house.close().await;
}

async fn rows_are_acknowledged_when_stored(transport: Transport) {
    let mut house = House::open(10_000);
    let mut peer = Peer::new(&house, transport).await;
    let flow_id = peer.start_flow(&house).await;

    let mut lane = peer.lane().await;
    send(&mut lane, &ToHub::FlowStarted { flow_id }).await;
    send(&mut lane, &batch(flow_id, 0, &[r#"{"a":0}"#])).await;
    assert_eq!(peer.stored(flow_id).await, 1, "the first row has company of none, and is stored all the same");
    send(&mut lane, &batch(flow_id, 1, &[r#"{"a":1}"#, r#"{"a":2}"#])).await;
    // Sent twice, and once more with a new row at its end: stored once.
    send(&mut lane, &batch(flow_id, 1, &[r#"{"a":1}"#, r#"{"a":2}"#])).await;
    send(&mut lane, &batch(flow_id, 2, &[r#"{"a":2}"#, r#"{"a":3}"#])).await;
    send(&mut lane, &ended(flow_id, FlowState::Finished, 4)).await;
    lane.finish();
    let mut next = 1;
    peer.expect("EndStored", |message| match message {
        ToAgent::EndStored { flow_id: ended } if ended == flow_id => Some(()),
        ToAgent::Stored { flow_id: of, stream: StreamId(0), next_row } if of == flow_id => {
            assert!((next..=4).contains(&next_row), "{next_row} after {next}");
            next = next_row;
            None
        }
        _ => None,
    })
    .await;

    let flow = house.hub.flow(peer.id, flow_id).unwrap();
    assert_eq!(flow.state, FlowState::Finished);
    let rows = house.hub.flow_rows(peer.id, flow_id, StreamId(0), 0, 100).unwrap();
    assert_eq!((rows.total, rows.jsonl.as_str()), (4, "{\"a\":0}\n{\"a\":1}\n{\"a\":2}\n{\"a\":3}\n"));
    let folder = house.path("datastore").join(format!("clients/{}/flows/{flow_id}/results", peer.id));
    let files: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    let file = files.iter().find(|path| path.extension().is_some_and(|extension| extension == "jsonl")).unwrap();
    assert_eq!(std::fs::read_to_string(file).unwrap(), rows.jsonl, "what people read is what lies on disk");
    house.close().await;
}

/// While an answer without end is under way, a ping is answered and a cancel arrives.
async fn a_large_answer_delays_no_control(transport: Transport) {
    let mut house = House::open(10_000);
    let mut peer = Peer::new(&house, transport).await;
    let flow_id = peer.start_flow(&house).await;
    let mut lane = peer.lane().await;
    let enough = Arc::new(AtomicBool::new(false));
    let flood = {
        let enough = Arc::clone(&enough);
        tokio::spawn(async move {
            let line = format!(r#"{{"text":"{}"}}"#, "x".repeat(1000));
            let lines = vec![line.as_str(); 256];
            send(&mut lane, &ToHub::FlowStarted { flow_id }).await;
            let mut rows = 0;
            while !enough.load(Ordering::Relaxed) {
                send(&mut lane, &batch(flow_id, rows, &lines)).await;
                rows += 256;
            }
            send(&mut lane, &ended(flow_id, FlowState::Cancelled { reason: "asked".into() }, rows)).await;
            lane.finish();
            rows
        })
    };
    // Not before the way is full: what waits anywhere must be overtaken.
    while peer.stored(flow_id).await < 2048 {}

    let asked = Instant::now();
    peer.control(&ToHub::Ping { nonce: 77 }).await;
    let pong = peer.expect("a pong", |message| match message {
        ToAgent::Pong { nonce: 77 } => Some(asked.elapsed()),
        _ => None,
    });
    let pong = pong.await;
    let asked = Instant::now();
    house.hub.cancel_flow(peer.id, flow_id, "tester").unwrap();
    let cancel = peer.expect("a cancel", |message| match message {
        ToAgent::CancelFlow { flow_id: cancelled, .. } if cancelled == flow_id => Some(asked.elapsed()),
        _ => None,
    });
    let cancel = cancel.await;
    assert!(!flood.is_finished(), "the answer is still under way");
    // Tens of milliseconds, were this not an unoptimized build on a machine that does much else.
    for (what, took) in [("pong", pong), ("cancel", cancel)] {
        assert!(took < Duration::from_secs(5), "{what} after {took:?}");
    }
    enough.store(true, Ordering::Relaxed);
    let rows = within("the flood's end", async {
        // What the hub says has to be read meanwhile, or it would end the session.
        peer.expect("EndStored", |message| match message {
            ToAgent::EndStored { flow_id: ended } if ended == flow_id => Some(()),
            _ => None,
        })
        .await;
        flood.await.unwrap()
    })
    .await;
    let flow = house.hub.flow(peer.id, flow_id).unwrap();
    assert!(matches!(flow.state, FlowState::Cancelled { .. }), "{:?}", flow.state);
    assert_eq!(flow.sources[0].rows, rows, "what was made before the cancel is kept");
    house.close().await;
}

/// Over any transport, and from each to each: the ladder climbs this way.
async fn a_newer_connection_replaces(transport: Transport) {
    let mut house = House::open(10_000);
    let mut old = Peer::new(&house, transport).await;
    for newer in Transport::ALL {
        let tls = house.agent_tls(&old.identity);
        let identity = Identity::from_pem(&old.identity.to_pem()).unwrap();
        let new = Peer::over(&house, newer, identity, tls).await;
        let LinkError::Closed { reason, .. } = old.end().await else { panic!("not closed in words") };
        assert_eq!(reason, REPLACED);
        // The end of the old connection is not the end of the new session.
        drop(old);
        house.online_over(new.id, newer.name()).await;
        old = new;
        old.ping().await;
    }
    house.close().await;
}

async fn the_hub_says_that_it_closes(transport: Transport) {
    let mut house = House::open(10_000);
    let mut peer = Peer::new(&house, transport).await;
    let began = Instant::now();
    let (end, ()) = tokio::join!(peer.end(), house.close());
    let LinkError::Closed { reason, .. } = end else { panic!("{end:?}") };
    assert!(reason.contains("shut"), "{reason}");
    assert!(began.elapsed() < Duration::from_secs(20), "{:?}", began.elapsed());
}

/// A peer whose connection lives, and that says nothing.
async fn a_silent_peer_is_dropped(transport: Transport) {
    let mut house = House::open(300);
    let mut silent = Peer::new(&house, transport).await;
    let mut lively = Peer::new(&house, transport).await;
    house.online_over(silent.id, transport.name()).await;
    let beat = async {
        loop {
            lively.ping().await;
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    tokio::select! {
        () = house.offline(silent.id) => {}
        () = beat => {}
    }
    lively.ping().await;
    house.online_over(lively.id, transport.name()).await;
    // Its connection ends too.
    within("the end of the silent connection", async {
        while silent.open.connection.incoming.recv().await.is_some() {}
    })
    .await;
    house.close().await;
}

async fn hostile_bytes_harm_nobody_else(transport: Transport) {
    let mut house = House::open(10_000);
    let mut bystander = Peer::new(&house, transport).await;
    for (what, bytes) in [
        ("a length beyond the limit", &b"\xff\xff\xff\xff"[..]),
        ("no MessagePack", b"\0\0\0\x04\xc1\xc1\xc1\xc1"),
        ("an unknown message", b"\0\0\0\x06\x81\xa4boom"),
        ("nesting without end", &[&b"\0\0\x40\x00"[..], &[0x91; 16_384]].concat()),
        ("an empty message", b"\0\0\0\0"),
    ] {
        let mut hostile = Peer::new(&house, transport).await;
        hostile.open.connection.control.send(Bytes::copy_from_slice(bytes)).await.unwrap();
        within(what, async { while hostile.open.connection.incoming.recv().await.is_some() {} }).await;
        house.offline(hostile.id).await;
        bystander.ping().await;
    }

    // Messages that are well formed and out of place.
    let flow_id = bystander.start_flow(&house).await;
    for (what, message) in [
        ("a second hello", ToHub::Hello(hello())),
        ("an enrolment", ToHub::Enrol { nonce: NONCE.into(), request: vec![] }),
        ("rows of another's flow", batch(flow_id, 0, &["{}"])),
        ("rows that are no JSON", batch(flow_id, 0, &["no JSON"])),
        ("a gap", batch(flow_id, 1000, &["{}"])),
    ] {
        let mut hostile = Peer::new(&house, transport).await;
        hostile.control(&message).await;
        bystander.ping().await;
        // Whatever the hub makes of it, it answers a ping or ends the session.
        let _ =
            within(what, hostile.open.connection.control.send(frame::encode(&ToHub::Ping { nonce: 5 }).unwrap())).await;
        let answer = hostile.until(|message| matches!(message, ToAgent::Pong { nonce: 5 }).then_some(()));
        let _ = within(what, answer).await;
    }
    let rows = house.hub.flow_rows(bystander.id, flow_id, StreamId(0), 0, 10).unwrap();
    assert_eq!(rows.total, 0, "nobody writes another's rows");

    // What is no TLS and no QUIC at all.
    let mut tcp = TcpStream::connect(house.address).unwrap();
    tcp.write_all(b"GET / HTTP/1.1\r\nHost: hub\r\n\r\n").unwrap();
    let udp = UdpSocket::bind("127.0.0.1:0").unwrap();
    for length in [1, 100, 1200, 1500] {
        udp.send_to(&vec![0xc3; length], house.address).unwrap();
    }
    bystander.ping().await;
    let mut newcomer = Peer::new(&house, transport).await;
    newcomer.ping().await;
    house.close().await;
}

/// An agent's end of a session, in the test's hands: nothing is sent that the test does not send.
struct Peer {
    id: ClientId,
    identity: Identity,
    open: Opened,
    clock: Instant,
}

impl Peer {
    /// A new client.
    async fn new(house: &House, transport: Transport) -> Self {
        let identity = Identity::generate().unwrap();
        let tls = house.agent_tls(&identity);
        Self::over(house, transport, identity, tls).await
    }

    async fn over(house: &House, transport: Transport, identity: Identity, tls: AgentTls) -> Self {
        let reached = attempt(house, transport, &tls, ToHub::Hello(hello())).await.unwrap();
        let Reached::Opened(open) = reached else { panic!("{reached:?}") };
        Self { id: identity.client_id(), identity, open: *open, clock: Instant::now() }
    }

    /// Has the hub start a flow, and waits for it.
    async fn start_flow(&mut self, house: &House) -> FlowId {
        let collection = Collection::of_query("SELECT * FROM info()");
        let flow = house.hub.start_flow(self.id, collection, "tester").unwrap().flow_id;
        self.expect("a flow", |message| match message {
            ToAgent::StartFlow(request) if request.flow_id == flow => Some(flow),
            _ => None,
        })
        .await
    }

    async fn lane(&self) -> Lane {
        within("a lane", self.open.connection.lanes.open()).await.unwrap()
    }

    async fn control(&mut self, message: &ToHub) {
        send(&mut self.open.connection.control, message).await;
    }

    async fn ping(&mut self) {
        let nonce = self.clock.elapsed().as_nanos() as u64;
        self.control(&ToHub::Ping { nonce }).await;
        self.expect("a pong", |message| (message == ToAgent::Pong { nonce }).then_some(())).await;
    }

    /// The next acknowledgement of the flow's rows.
    async fn stored(&mut self, flow: FlowId) -> u64 {
        self.expect("an acknowledgement", |message| match message {
            ToAgent::Stored { flow_id, stream: StreamId(0), next_row } if flow_id == flow => Some(next_row),
            _ => None,
        })
        .await
    }

    /// Reads until there is what is looked for; the rest, such as an interrogation, is let pass.
    async fn expect<T>(&mut self, what: &str, look: impl FnMut(ToAgent) -> Option<T>) -> T {
        match within(what, self.until(look)).await {
            Ok(found) => found,
            Err(end) => panic!("{what}: the session ended: {end:?}"),
        }
    }

    /// As [`Self::expect`], or why the session ended; None: without a word.
    async fn until<T>(&mut self, mut look: impl FnMut(ToAgent) -> Option<T>) -> Result<T, Option<LinkError>> {
        loop {
            let message = self.open.connection.incoming.recv().await.ok_or(None)?;
            if let Some(found) = look(message.clone()) {
                return Ok(found);
            }
            match self.open.link.handle(message, self.clock.elapsed().as_millis() as u64) {
                Ok(Some(AgentEvent::Message(_)) | None) => {}
                Ok(Some(event)) => panic!("{event:?}"),
                Err(end) => return Err(Some(end)),
            }
        }
    }

    /// How the hub ends the session.
    async fn end(&mut self) -> LinkError {
        let end = within("the end of the session", self.until(|_| None::<()>)).await;
        end.unwrap_err().expect("a session ends with a word")
    }

    async fn close(mut self) {
        self.control(&ToHub::Close { reason: "done".into() }).await;
        within("the close", self.open.connection.close()).await;
    }
}

async fn attempt(house: &House, transport: Transport, tls: &AgentTls, first: ToHub) -> Result<Reached, Failure> {
    let clock = Instant::now();
    let now = || clock.elapsed().as_millis() as u64;
    let dialer = Dialer::new(None);
    within("an attempt", session::open(&dialer, transport, &house.hub_address(), tls, first, now)).await
}

fn hello() -> Hello {
    Hello {
        versions: VERSIONS,
        agent_version: "0.1.0".into(),
        hostname: "peer.test".into(),
        os: "linux".into(),
        clock_ms: 0,
        flows: vec![],
        labels: vec![],
    }
}

async fn send(lane: &mut Lane, message: &ToHub) {
    within("a frame is taken", lane.send(frame::encode(message).unwrap())).await.unwrap();
}

fn batch(flow_id: FlowId, first_row: u64, lines: &[&str]) -> ToHub {
    let data: String = lines.iter().map(|line| format!("{line}\n")).collect();
    ToHub::Rows(RowBatch {
        flow_id,
        stream: StreamId(0),
        first_row,
        rows: lines.len() as u32,
        encoding: Encoding::Plain,
        data: data.into(),
    })
}

fn ended(flow_id: FlowId, state: FlowState, rows: u64) -> ToHub {
    let rows = vec![(StreamId(0), rows)];
    ToHub::FlowEnded(FlowEnd { flow_id, state, rows, uploads: 0, cost: FlowCost::default() })
}
