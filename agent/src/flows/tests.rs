//! Flows against a simulated hub: restarts, losses, limits.
#![allow(clippy::unwrap_used)]

use std::{
    collections::BTreeMap,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use protocol::{
    FlowId, HuntId,
    collection::{Limits, SourceQuery},
    message::{Encoding, ToHub},
};

use super::*;

type Run = dyn Fn(&FlowRun) -> Result<(), String> + Send + Sync;

struct Stub {
    run: Box<Run>,
    side_effects: bool,
}

impl Runner for Stub {
    fn has_side_effects(&self, _: &FlowRequest) -> bool {
        self.side_effects
    }

    fn run(&self, _: &FlowRequest, run: &FlowRun) -> Result<(), String> {
        (self.run)(run)
    }
}

fn stub(run: impl Fn(&FlowRun) -> Result<(), String> + Send + Sync + 'static) -> Arc<Stub> {
    Arc::new(Stub { run: Box::new(run), side_effects: false })
}

fn request(n: u64) -> FlowRequest {
    FlowRequest {
        flow_id: FlowId::of_hunt(HuntId(n)),
        sources: vec![SourceQuery { name: "Test".into(), query: String::new(), ..SourceQuery::default() }],
        env: Vec::new(),
        limits: Limits::default(),
        definitions: Vec::new(),
    }
}

fn on_disk(dir: &Path) -> FlowsConfig {
    FlowsConfig { spool_dir: Some(dir.into()), stack_bytes: 1 << 20, ..FlowsConfig::default() }
}

fn in_memory() -> FlowsConfig {
    FlowsConfig { stack_bytes: 1 << 20, ..FlowsConfig::default() }
}

fn line(n: u64) -> String {
    format!("{{\"N\":{n},\"Pad\":\"{}\"}}", "x".repeat(200))
}

/// Gives rows up to `rows` and then, if it is told to, waits for its end.
fn give(run: &FlowRun, rows: u64, then_hang: bool) -> Result<(), String> {
    for n in 0..rows {
        if run.row(StreamId(0), line(n).as_bytes()).is_break() {
            return Ok(());
        }
    }
    if then_hang {
        run.cancel_token().sleep(Duration::from_secs(3600));
    }
    Ok(())
}

/// The hub: keeps what it is sent, and answers as one whose disk is at once.
#[derive(Default)]
struct Hub {
    rows: BTreeMap<StreamId, Vec<String>>,
    uploads: BTreeMap<u32, (String, Vec<u8>, Option<String>)>,
    end: Option<FlowEnd>,
}

impl Hub {
    fn take(&mut self, message: ToHub) -> Option<ToAgent> {
        match message {
            ToHub::FlowStarted { .. } => None,
            ToHub::Rows(batch) => {
                let data = match batch.encoding {
                    Encoding::Plain => batch.data.to_vec(),
                    Encoding::Zstd => zstd::stream::decode_all(&batch.data[..]).unwrap(),
                };
                let lines: Vec<String> = String::from_utf8(data).unwrap().lines().map(str::to_owned).collect();
                assert_eq!(lines.len(), batch.rows as usize);
                let stored = self.rows.entry(batch.stream).or_default();
                let known = stored.len().checked_sub(batch.first_row as usize).expect("a gap in the rows");
                let overlap = known.min(lines.len());
                assert_eq!(lines[..overlap], stored[batch.first_row as usize..][..overlap], "a row number used twice");
                stored.extend(lines.into_iter().skip(known));
                let next_row = stored.len() as u64;
                Some(ToAgent::Stored { flow_id: batch.flow_id, stream: batch.stream, next_row })
            }
            ToHub::Upload(chunk) => {
                let upload = self.uploads.entry(chunk.upload).or_default();
                let known = upload.1.len().checked_sub(chunk.offset as usize).expect("a gap in the upload");
                upload.1.extend(chunk.data.iter().skip(known));
                if chunk.offset == 0 {
                    upload.0 = chunk.name;
                }
                let done = chunk.end.is_some();
                if let Some(end) = chunk.end {
                    assert_eq!(end.size, upload.1.len() as u64);
                    upload.2 = Some(end.sha256);
                }
                let offset = upload.1.len() as u64;
                Some(ToAgent::UploadStored { flow_id: chunk.flow_id, upload: chunk.upload, offset, done })
            }
            ToHub::FlowEnded(end) => {
                for (stream, rows) in &end.rows {
                    assert_eq!(self.rows.get(stream).map_or(0, Vec::len) as u64, *rows, "{end:?}");
                }
                let flow_id = end.flow_id;
                self.end = Some(end);
                Some(ToAgent::EndStored { flow_id })
            }
            other => panic!("unexpected {other:?}"),
        }
    }

    /// One session that lives for `messages` messages; `lose` says which answers are lost.
    async fn session(&mut self, flows: &Flows, messages: usize, lose: impl Fn(usize) -> bool) {
        let Some(handle) = flows.handles().pop() else { return };
        let mut cursor = handle.cursor();
        for n in 0..messages {
            let Some(message) = cursor.next().await else { return };
            if let Some(answer) = self.take(message)
                && !lose(n)
            {
                flows.handle_message(&answer);
            }
        }
    }

    async fn rest(&mut self, flows: &Flows) -> FlowEnd {
        self.session(flows, usize::MAX, |_| false).await;
        self.end.clone().unwrap()
    }

    fn log(&self) -> String {
        self.rows.get(&StreamId::LOG).map(|lines| lines.join("\n")).unwrap_or_default()
    }

    fn source(&self) -> &[String] {
        self.rows.get(&StreamId(0)).map_or(&[], Vec::as_slice)
    }
}

fn expected(rows: u64) -> Vec<String> {
    (0..rows).map(line).collect()
}

/// The last segment of the only flow in the spool loses its last bytes, as in a crash of the system.
fn tear(dir: &Path, bytes: u64) {
    let flow = std::fs::read_dir(dir).unwrap().map(|e| e.unwrap().path()).find(|path| path.is_dir()).unwrap();
    let mut segments: Vec<_> = std::fs::read_dir(flow)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|ext| ext == "seg"))
        .collect();
    segments.sort();
    let file = std::fs::OpenOptions::new().write(true).open(segments.last().unwrap()).unwrap();
    let len = file.metadata().unwrap().len();
    file.set_len(len.saturating_sub(bytes)).unwrap();
}

#[tokio::test]
async fn a_restart_at_any_point_gives_each_row_once() {
    // Rows made before the kill, messages that reached the hub, answers lost, bytes torn off.
    for (made, sent, lost, torn) in [
        (0, 0, 0, 0),
        (1, 2, 1, 0),
        (2, 1, 1, 5),
        (299, 3, 2, 0),
        (500, 2, 1, 7),
        (500, 1, 9, 70_000),
        (999, 4, 2, 1),
        (1000, 3, 3, 3),
        (1000, 0, 1, 100_000),
    ] {
        let dir = tempfile::tempdir().unwrap();
        let mut hub = Hub::default();
        let reached = Arc::new(AtomicU64::new(0));
        {
            let signal = reached.clone();
            let runner = stub(move |run| {
                give(run, made, false)?;
                signal.store(1, Ordering::Release);
                give(run, 0, true)
            });
            let (flows, mut announced) = Flows::with_runner(on_disk(dir.path()), runner).unwrap();
            flows.start(request(1));
            assert!(announced.recv().await.is_some());
            while reached.load(Ordering::Acquire) == 0 {
                tokio::task::yield_now().await;
            }
            // FlowStarted, the first row, a full batch, and what has waited long enough.
            let there = 1 + usize::from(made > 0) + usize::from(made > 1) + usize::from(made > 400);
            hub.session(&flows, sent.min(there), |n| lost > 0 && n % lost == 0).await;
        }
        if torn > 0 {
            tear(dir.path(), torn);
        }
        let (flows, mut announced) =
            Flows::with_runner(on_disk(dir.path()), stub(|run| give(run, 1000, false))).unwrap();
        let handle = announced.recv().await.expect("a flow that was running is announced again");
        assert_eq!(flows.unfinished(), [handle.flow_id()]);
        // Sessions that break, and then one that does not.
        for n in 1..4 {
            hub.session(&flows, n, |m| (m + n) % 2 == 0).await;
        }
        let end = hub.rest(&flows).await;
        assert_eq!(end.state, FlowState::Finished, "{made} {sent} {lost} {torn}: {}", hub.log());
        assert_eq!(hub.source(), expected(1000), "{made} {sent} {lost} {torn}");
        assert!(flows.unfinished().is_empty());
        assert!(!dir.path().join(end.flow_id.to_string()).exists(), "the hub has it all: nothing stays here");
    }
}

#[tokio::test]
async fn an_end_survives_a_restart_without_a_second_run() {
    let dir = tempfile::tempdir().unwrap();
    {
        let (flows, _announced) = Flows::with_runner(on_disk(dir.path()), stub(|run| give(run, 10, false))).unwrap();
        flows.start(request(1));
        let mut changed = flows.handles()[0].0.changed.subscribe();
        while flows.handles()[0].0.state.lock().phase != Phase::Ended {
            changed.changed().await.unwrap();
        }
    }
    let (flows, _announced) =
        Flows::with_runner(on_disk(dir.path()), stub(|_| panic!("a flow that had ended ran again"))).unwrap();
    flows.start(request(1));
    let mut hub = Hub::default();
    assert_eq!(hub.rest(&flows).await.state, FlowState::Finished);
    assert_eq!(hub.source(), expected(10));
}

#[tokio::test]
async fn a_full_spool_does_not_hold_the_agent_at_its_start() {
    let dir = tempfile::tempdir().unwrap();
    let mut hub = killed_while_running(dir.path(), true, Hub::default()).await;
    let config = FlowsConfig { max_spool_bytes: 1, ..on_disk(dir.path()) };
    let (opened, flows) = std::sync::mpsc::channel();
    let runtime = tokio::runtime::Handle::current();
    std::thread::spawn(move || {
        let _here = runtime.enter();
        let runner = Stub { run: Box::new(|_| panic!("ran twice")), side_effects: true };
        let _ = opened.send(Flows::with_runner(config, Arc::new(runner)).unwrap());
    });
    let (flows, _announced) = flows.recv_timeout(Duration::from_secs(20)).expect("waits for the hub it cannot reach");
    let end = hub.rest(&flows).await;
    assert!(matches!(&end.state, FlowState::Failed { reason } if reason.contains("not run twice")), "{end:?}");
}

async fn killed_while_running(dir: &Path, side_effects: bool, mut hub: Hub) -> Hub {
    let runner = Stub { run: Box::new(|run| give(run, 1, true)), side_effects };
    let (flows, _announced) = Flows::with_runner(on_disk(dir), Arc::new(runner)).unwrap();
    flows.start(request(1));
    hub.session(&flows, 2, |_| false).await;
    hub
}

#[tokio::test]
async fn what_must_not_run_again_fails_and_says_why() {
    // Other rows than before.
    let dir = tempfile::tempdir().unwrap();
    let mut hub = killed_while_running(dir.path(), false, Hub::default()).await;
    let other = stub(|run| {
        let _ = run.row(StreamId(0), b"{\"other\":1}");
        Ok(())
    });
    let (flows, _announced) = Flows::with_runner(on_disk(dir.path()), other).unwrap();
    let end = hub.rest(&flows).await;
    assert!(matches!(&end.state, FlowState::Failed { reason } if reason.contains("other rows")), "{end:?}");
    assert_eq!(hub.source(), expected(1), "the rows made before stay");
    drop(flows);

    // Fewer rows than before.
    let dir = tempfile::tempdir().unwrap();
    let mut hub = killed_while_running(dir.path(), false, Hub::default()).await;
    let (flows, _announced) = Flows::with_runner(on_disk(dir.path()), stub(|_| Ok(()))).unwrap();
    let end = hub.rest(&flows).await;
    assert!(matches!(&end.state, FlowState::Failed { reason } if reason.contains("0 rows")), "{end:?}");
    drop(flows);

    // A query that changes the host.
    let dir = tempfile::tempdir().unwrap();
    let mut hub = killed_while_running(dir.path(), true, Hub::default()).await;
    let runner = Stub { run: Box::new(|_| panic!("ran twice")), side_effects: true };
    let (flows, _announced) = Flows::with_runner(on_disk(dir.path()), Arc::new(runner)).unwrap();
    let end = hub.rest(&flows).await;
    assert!(matches!(&end.state, FlowState::Failed { reason } if reason.contains("not run twice")), "{end:?}");
    assert!(hub.log().contains("not run twice"));
    drop(flows);

    // Too often.
    let dir = tempfile::tempdir().unwrap();
    let mut hub = Hub::default();
    for _ in 0..MAX_RUNS {
        hub = killed_while_running(dir.path(), false, hub).await;
    }
    let (flows, _announced) = Flows::with_runner(on_disk(dir.path()), stub(|_| panic!("ran a fifth time"))).unwrap();
    let end = hub.rest(&flows).await;
    assert!(matches!(&end.state, FlowState::Failed { reason } if reason.contains("4 times")), "{end:?}");
}

#[tokio::test]
async fn limits_and_mistakes_end_a_flow_in_their_own_way() {
    let endless = || stub(|run| give(run, u64::MAX, false));
    let limits = |change: fn(&mut Limits)| {
        let mut limits = Limits::default();
        change(&mut limits);
        limits
    };
    let len = line(0).len() as u64 + 1;
    let table: Vec<(Arc<Stub>, Limits, u64, &str)> = vec![
        (endless(), limits(|l| l.max_rows = 10), 10, "truncated: max_rows 10"),
        (endless(), limits(|l| l.max_rows = 0), 0, "truncated: max_rows 0"),
        (endless(), Limits { max_bytes: 3 * len + 1, ..Limits::default() }, 3, "truncated: max_bytes 652"),
        (
            stub(|run| give(run, 3, false).and(Err("no such plugin".into()))),
            Limits::default(),
            3,
            "failed: no such plugin",
        ),
        (stub(|_| panic!("boom")), Limits::default(), 0, "failed: the query panicked: boom"),
        (
            stub(|run| {
                let _ = run.row(StreamId(0), &vec![b' '; 5 << 20]);
                give(run, 2, false)
            }),
            Limits::default(),
            2,
            "a row of 5242881 bytes is left out",
        ),
    ];
    for (n, (runner, limits, rows, text)) in table.into_iter().enumerate() {
        let (flows, _announced) = Flows::with_runner(in_memory(), runner).unwrap();
        flows.start(FlowRequest { limits, ..request(n as u64) });
        let mut hub = Hub::default();
        let end = hub.rest(&flows).await;
        assert_eq!(hub.source().len() as u64, rows, "{text}");
        let told = format!("{} {}", end.state, hub.log());
        assert!(told.contains(text), "{told} has no {text}");
        assert!(hub.log().contains(text), "the log says it too: {}", hub.log());
    }
}

/// Waits until it is so. A blocking task keeps the paused clock from running on by itself.
async fn on_a_blocking_thread(done: impl Fn() -> bool + Send + 'static) {
    let wait = move || {
        while !done() {
            std::thread::yield_now();
        }
    };
    tokio::task::spawn_blocking(wait).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_flow_ends_at_its_timeout() {
    let given = Arc::new(AtomicU64::new(0));
    let signal = given.clone();
    let runner = stub(move |run| {
        give(run, 5, false)?;
        signal.store(1, Ordering::Release);
        give(run, 0, true)
    });
    let (flows, _announced) = Flows::with_runner(in_memory(), runner).unwrap();
    let limits = Limits { timeout_s: 30, ..Limits::default() };
    flows.start(FlowRequest { limits, ..request(1) });
    on_a_blocking_thread(move || given.load(Ordering::Acquire) == 1).await;
    let mut hub = Hub::default();
    assert_eq!(hub.rest(&flows).await.state, FlowState::TimedOut { after_s: 30 });
    assert_eq!(hub.source(), expected(5));
}

#[tokio::test(start_paused = true)]
async fn a_plugin_that_does_not_hear_is_left_alone() {
    let (release, held) = std::sync::mpsc::channel::<()>();
    let held = Mutex::new(held);
    let runner = stub(move |run| {
        give(run, 1, false)?;
        let _ = held.lock().recv();
        assert!(run.row(StreamId(0), b"{}").is_break());
        Ok(())
    });
    let (flows, mut announced) = Flows::with_runner(FlowsConfig { max_running: 1, ..in_memory() }, runner).unwrap();
    let limits = Limits { timeout_s: 30, ..Limits::default() };
    flows.start(FlowRequest { limits, ..request(1) });
    flows.start(request(2));
    let first = announced.recv().await.unwrap();
    let flow = first.0.clone();
    on_a_blocking_thread(move || !flow.state.lock().queue.made().streams.is_empty()).await;
    let mut hub = Hub::default();
    let mut cursor = first.cursor();
    while let Some(message) = cursor.next().await {
        hub.take(message).iter().for_each(|answer| flows.handle_message(answer));
    }
    assert_eq!(hub.end.as_ref().unwrap().state, FlowState::TimedOut { after_s: 30 });
    assert!(hub.log().contains("left alone") && hub.source() == expected(1), "{}", hub.log());
    // The next flow has its place, and the one that was left does no harm when it comes back.
    let mut cursor = announced.recv().await.unwrap().cursor();
    assert!(matches!(cursor.next().await, Some(ToHub::FlowStarted { .. })));
    drop(release);
    assert_eq!(flows.unfinished(), [request(2).flow_id]);
}

#[tokio::test]
async fn cancel_reaches_running_and_waiting_flows() {
    let (flows, mut announced) =
        Flows::with_runner(FlowsConfig { max_running: 1, ..in_memory() }, stub(|run| give(run, 1, true))).unwrap();
    for n in 1..=3 {
        flows.start(request(n));
        assert_eq!(announced.recv().await.unwrap().flow_id(), request(n).flow_id, "a waiting flow is announced too");
    }
    let mut ends = Vec::new();
    for n in [2, 1, 3] {
        let id = request(n).flow_id;
        let handle = flows.handles().into_iter().find(|handle| handle.flow_id() == id).unwrap();
        let mut cursor = handle.cursor();
        if n != 2 {
            // Runs, and has given its row.
            assert!(matches!(cursor.next().await, Some(ToHub::FlowStarted { .. })));
            assert!(matches!(cursor.next().await, Some(ToHub::Rows(_))));
        }
        flows.cancel(id, "enough");
        while let Some(message) = cursor.next().await {
            if let ToHub::FlowEnded(end) = message {
                ends.push((n, end.state, end.rows.iter().any(|(stream, _)| *stream == StreamId(0))));
                flows.handle_message(&ToAgent::EndStored { flow_id: id });
            }
        }
    }
    let cancelled = FlowState::Cancelled { reason: "enough".into() };
    assert_eq!(ends, [(2, cancelled.clone(), false), (1, cancelled.clone(), true), (3, cancelled, true)]);
    assert!(flows.unfinished().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_full_spool_holds_the_query_and_its_clock() {
    let given = Arc::new(AtomicU64::new(0));
    let counter = given.clone();
    let runner = stub(move |run| {
        for n in 0..3000 {
            // Not to be compressed away.
            let noise: String =
                (0..16).map(|m| format!("{:016x}", crate::spool::chain(n * 16 + m, b"noise"))).collect();
            let row = format!("{{\"N\":{n},\"Pad\":\"{noise}\"}}");
            if run.row(StreamId(0), row.as_bytes()).is_break() {
                return Ok(());
            }
            counter.store(n + 1, Ordering::Release);
        }
        Ok(())
    });
    let (flows, _announced) =
        Flows::with_runner(FlowsConfig { max_spool_bytes: 50_000, ..in_memory() }, runner).unwrap();
    flows.start(request(1));
    let flow = flows.handles().pop().unwrap();
    let clock = flow.0.clock.subscribe();
    on_a_blocking_thread(move || *clock.borrow() == Clock::Stands).await;
    let held = given.load(Ordering::Acquire);
    assert!(held < 1500, "{held} rows were given while the hub took none");
    for _ in 0..20 {
        tokio::time::advance(Duration::from_secs(600)).await;
    }
    assert!(flow.0.state.lock().stop.is_none(), "the time of a slow hub is not the query's");
    assert_eq!(given.load(Ordering::Acquire), held);
    let mut cursor = flow.cursor();
    let mut hub = Hub::default();
    while let Some(message) = cursor.next().await {
        let answer = hub.take(message);
        if let Some(end) = &hub.end {
            assert!(matches!(end.state, FlowState::Finished | FlowState::TimedOut { .. }));
        }
        answer.iter().for_each(|answer| flows.handle_message(answer));
    }
    assert!(hub.source().len() as u64 > held);
}

#[tokio::test]
async fn an_upload_survives_restarts_and_losses() {
    let content: Vec<u8> = (0..(1_u32 << 20) + 123).map(|n| (n.wrapping_mul(n) >> 7) as u8).collect();
    let dir = tempfile::tempdir().unwrap();
    let mut hub = Hub::default();
    let first = content.clone();
    let (done, partial) = (Arc::new(AtomicU64::new(0)), 3 * run::CHUNK_BYTES + 17);
    {
        let signal = done.clone();
        let runner = stub(move |run| {
            run.upload("/small", &mut &first[..10]).unwrap();
            let mut reader = std::io::Read::chain(&first[..partial], Hang(run.clone(), signal.clone()));
            let cut = run.upload("/large", &mut reader);
            assert!(matches!(cut, Err(UploadError::Stopped)));
            Ok(())
        });
        let (flows, _announced) = Flows::with_runner(on_disk(dir.path()), runner).unwrap();
        flows.start(request(1));
        while done.load(Ordering::Acquire) == 0 {
            tokio::task::yield_now().await;
        }
        hub.session(&flows, 3, |n| n == 2).await;
    }
    assert_eq!(hub.uploads.len(), 2, "the small one and the start of the large one");
    let second = content.clone();
    let runner = stub(move |run| {
        let small = run.upload("/small", &mut std::io::empty()).map_err(|e| e.to_string())?;
        assert_eq!(small.size, 10, "what was uploaded is not read again");
        let large = run.upload("/large", &mut &second[..]).map_err(|e| e.to_string())?;
        run.upload("/empty", &mut std::io::empty()).map_err(|e| e.to_string())?;
        let _ = run.row(StreamId(0), format!("{{\"Size\":{}}}", large.size).as_bytes());
        Ok(())
    });
    let (flows, _announced) = Flows::with_runner(on_disk(dir.path()), runner).unwrap();
    let end = hub.rest(&flows).await;
    assert_eq!((end.state, end.uploads), (FlowState::Finished, 3));
    assert_eq!(hub.source(), ["{\"Size\":1048699}"]);
    for (n, name, bytes) in [(0, "/small", &content[..10]), (1, "/large", &content[..]), (2, "/empty", &[][..])] {
        let sha256 = run::hex(&<sha2::Sha256 as sha2::Digest>::digest(bytes));
        assert_eq!(hub.uploads[&n], (name.to_owned(), bytes.to_vec(), Some(sha256)), "{name}");
    }
}

/// A file that goes on only when the flow is stopped.
struct Hang(FlowRun, Arc<AtomicU64>);

impl std::io::Read for Hang {
    fn read(&mut self, _: &mut [u8]) -> std::io::Result<usize> {
        self.1.store(1, Ordering::Release);
        self.0.cancel_token().sleep(Duration::from_secs(3600));
        Ok(0)
    }
}

#[tokio::test]
async fn shutdown_keeps_what_was_made_and_a_second_agent_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let (flows, _announced) = Flows::with_runner(on_disk(dir.path()), stub(|run| give(run, 50, true))).unwrap();
    let refused = Flows::with_runner(on_disk(dir.path()), stub(|_| Ok(())));
    assert!(matches!(refused, Err(SpoolError::InUse { .. })));
    flows.start(request(1));
    let mut cursor = flows.handles()[0].cursor();
    while !matches!(cursor.next().await, Some(ToHub::Rows(batch)) if batch.first_row > 0) {}
    flows.shutdown().await;
    drop(flows);
    let (flows, _announced) = Flows::with_runner(on_disk(dir.path()), stub(|run| give(run, 60, false))).unwrap();
    let mut hub = Hub::default();
    assert_eq!(hub.rest(&flows).await.state, FlowState::Finished);
    assert_eq!(hub.source(), expected(60));
}

async fn collect(sources: &[(&str, Option<&str>)], env: &[(&str, serde_json::Value)]) -> Hub {
    let (flows, _announced) = Flows::open(in_memory(), crate::registry()).unwrap();
    let source = |(n, (query, precondition)): (usize, &(&str, Option<&str>))| SourceQuery {
        name: format!("Test/{n}"),
        query: (*query).to_owned(),
        precondition: precondition.map(str::to_owned),
        same_scope: false,
    };
    flows.start(FlowRequest {
        sources: sources.iter().enumerate().map(source).collect(),
        env: env.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect(),
        ..request(1)
    });
    let mut hub = Hub::default();
    hub.rest(&flows).await;
    hub
}

#[tokio::test]
async fn vql_answers_flows() {
    let hub = collect(
        &[
            ("SELECT _value AS N FROM range(end=Count)", None),
            ("SELECT 1 AS X FROM scope()", Some("SELECT OS FROM info() WHERE OS = 'no such system'")),
            ("SELECT 2 AS X FROM scope()", Some("Count = 3")),
            ("SELECT 3 AS X FROM scope()", Some("Count = 4")),
            ("LET X = Words[1] SELECT X FROM scope() SELECT no_such_function() AS Y FROM scope()", None),
        ],
        &[("Count", 3.into()), ("Words", serde_json::json!(["a", "b"]))],
    )
    .await;
    assert_eq!(hub.end.as_ref().unwrap().state, FlowState::Finished, "{}", hub.log());
    let rows: Vec<(u16, Vec<String>)> =
        hub.rows.iter().filter(|(s, _)| **s != StreamId::LOG).map(|(s, rows)| (s.0, rows.clone())).collect();
    let row = |text: &str| text.to_owned();
    assert_eq!(
        rows,
        [
            (0, vec![row("{\"N\":0}"), row("{\"N\":1}"), row("{\"N\":2}")]),
            (2, vec![row("{\"X\":2}")]),
            (4, vec![row("{\"X\":\"b\"}"), row("{\"Y\":null}")]),
        ]
    );
    let log = hub.log();
    assert!(log.contains("Test/1 is skipped") && log.contains("Test/3 is skipped"), "{log}");
    assert!(log.contains("no_such_function") && log.contains("line 1, column"), "{log}");
}

#[tokio::test]
async fn flows_call_the_artifacts_that_come_with_them() {
    let (flows, _announced) = Flows::open(in_memory(), crate::registry()).unwrap();
    let source = |name: &str, query: &str, same_scope| SourceQuery {
        name: name.into(),
        query: query.into(),
        precondition: None,
        same_scope,
    };
    let called = "name: Custom.Called\nparameters:\n  - name: N\n    type: int\nsources:\n  - query: SELECT N + 1 AS M, oops FROM scope()\n";
    flows.start(FlowRequest {
        sources: vec![
            source("Test/0", "LET Kept <= 5 SELECT * FROM Artifact.Custom.Called(N='1')", false),
            source("Test/1", "SELECT Kept FROM scope()", true),
            source("Test/2", "SELECT Kept FROM scope()", false),
        ],
        definitions: vec![called.into(), "name: [".into()],
        ..request(1)
    });
    let mut hub = Hub::default();
    let end = hub.rest(&flows).await;
    assert_eq!(end.state, FlowState::Finished, "{}", hub.log());
    let rows = |n: u16| hub.rows.get(&StreamId(n)).cloned().unwrap_or_default();
    assert_eq!(rows(0), [r#"{"M":2,"oops":null,"_Source":"Custom.Called"}"#]);
    assert_eq!((rows(1), rows(2)), (vec![r#"{"Kept":5}"#.to_owned()], vec![r#"{"Kept":null}"#.to_owned()]));
    let log = hub.log();
    for part in ["cannot be read", "Custom.Called: unknown name `oops`", "(line 1, column 20: oops)"] {
        assert!(log.contains(part), "{part}: {log}");
    }
}

#[tokio::test]
async fn a_query_without_rows_keeps_to_its_share_and_its_time() {
    let query = "SELECT _value FROM range(end=1000000000000) WHERE _value < 0";
    let (flows, _announced) = Flows::open(in_memory(), crate::registry()).unwrap();
    let sources = vec![SourceQuery { name: "Busy".into(), query: query.into(), ..SourceQuery::default() }];
    let limits = Limits { timeout_s: 1, cpu_percent: Some(10), ..Limits::default() };
    flows.start(FlowRequest { sources, limits, ..request(1) });
    let mut hub = Hub::default();
    let end = hub.rest(&flows).await;
    assert_eq!(end.state, FlowState::TimedOut { after_s: 1 });
    let share = end.cost.cpu_ms * 100 / end.cost.duration_ms;
    assert!((1..=20).contains(&share), "{share} %: {:?}", end.cost);
    assert!(end.cost.duration_ms < 5000, "{:?}", end.cost);
}

#[tokio::test]
async fn a_mistake_in_one_source_runs_none() {
    let hub = collect(&[("SELECT 1 AS X FROM scope()", None), ("SELECT FROM WHERE", None)], &[]).await;
    let end = hub.end.as_ref().unwrap();
    assert!(matches!(&end.state, FlowState::Failed { reason } if reason.contains("Test/1")), "{end:?}");
    assert!(hub.source().is_empty() && hub.log().contains("Test/1"), "{}", hub.log());
}

#[tokio::test]
async fn vql_uploads_through_its_flow() {
    let query = "SELECT upload(file=Content, accessor='data', name='/x/content') AS U FROM scope()";
    let hub = collect(&[(query, None)], &[("Content", "hello".into())]).await;
    assert_eq!(hub.uploads[&0].1, b"hello");
    assert_eq!(hub.end.as_ref().unwrap().uploads, 1);
    assert!(
        hub.source()[0].starts_with("{\"U\":{\"Path\":\"/x/content\",\"Size\":5,\"StoredSize\":5,\"Sha256\":\"2cf2")
    );
}

#[test]
fn side_effects_are_seen_in_queries_and_parameters() {
    let runner = VqlRunner::new(crate::registry(), None);
    let with = |query: &str, parameter: &str| {
        let mut request = request(1);
        request.sources[0].query = query.into();
        request.env.push(("P".into(), parameter.into()));
        runner.has_side_effects(&request)
    };
    assert!(with("SELECT * FROM execve(argv='x')", ""));
    assert!(with("SELECT * FROM `execve`(argv='x')", ""));
    assert!(with("SELECT eval(func=P) FROM scope()", "x => { SELECT * FROM execve(argv='x') }"));
    assert!(!with("SELECT * FROM glob(globs='/x/execve2')", "nothing"));
}
