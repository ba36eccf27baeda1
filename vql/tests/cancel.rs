//! Every plugin and function that waits or loops stops within 100 ms of a cancel.

#![allow(clippy::unwrap_used)]

use std::collections::HashSet;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use vql::syntax;
use vql::{
    ArgKind, Args, CallError, CancelToken, Context, Emit, Execution, Flow, LogRecord, Plugin, Registry, Row, Signature,
};

/// `endless()`: rows without end; the 50th cancels the script.
struct Endless(Canceller);

/// `silent()`: cancels the script, then waits for ever without a row.
struct Silent(Canceller);

/// Cancels, and remembers when.
#[derive(Clone, Default)]
struct Canceller {
    token: CancelToken,
    at: Arc<Mutex<Option<Instant>>>,
}

impl Canceller {
    fn cancel(&self) {
        self.at.lock().get_or_insert_with(Instant::now);
        self.token.cancel();
    }
}

static ENDLESS: Signature = Signature::new("endless", "", &[]);
static SILENT: Signature = Signature::new("silent", "", &[]);

impl Plugin for Endless {
    fn signature(&self) -> &'static Signature {
        &ENDLESS
    }
    fn run(&self, cx: &Context<'_>, _args: &Args<'_>, emit: &mut Emit<'_>) -> Result<Flow, CallError> {
        for at in 0u64.. {
            if at == 50 {
                self.0.cancel();
            }
            if emit(Row::of([("_value", at.into()), ("Key", at.to_string().into())])).is_break() || cx.cancelled() {
                break;
            }
        }
        Ok(ControlFlow::Break(()))
    }
}

impl Plugin for Silent {
    fn signature(&self) -> &'static Signature {
        &SILENT
    }
    fn run(&self, cx: &Context<'_>, _args: &Args<'_>, _emit: &mut Emit<'_>) -> Result<Flow, CallError> {
        self.0.cancel();
        let _ = cx.sleep(Duration::from_secs(600));
        Ok(ControlFlow::Break(()))
    }
}

/// How late the script stops. Its clock cancels it too, when it is asked for the time often enough: a script that only
/// waits is stopped by that.
fn lateness(text: &str) -> Duration {
    let canceller = Canceller::default();
    let mut registry = Registry::core();
    registry.add_plugin(Endless(canceller.clone())).add_plugin(Silent(canceller.clone()));
    let (clock, asked) = (canceller.clone(), AtomicUsize::new(0));
    let log: Arc<Mutex<Vec<String>>> = Arc::default();
    let sink = log.clone();
    let execution = Execution::new(registry).log(move |record: LogRecord| sink.lock().push(record.message));
    let execution = execution.cancel(canceller.token.clone()).clock(move || {
        if asked.fetch_add(1, Ordering::Relaxed) == 20 {
            clock.cancel();
        }
        jiff::Timestamp::now()
    });
    let parsed = syntax::parse(text);
    assert!(parsed.diagnostics.is_empty(), "{text}: {:?}", parsed.diagnostics);
    let (done, ended) = mpsc::channel();
    std::thread::spawn(move || {
        let flow = execution.run(&parsed.script, &mut |_, _| ControlFlow::Continue(()));
        let _ = done.send((flow, Instant::now()));
    });
    let (flow, end) = ended.recv_timeout(Duration::from_secs(20)).unwrap_or_else(|_| panic!("{text}: does not stop"));
    assert!(flow.is_break(), "{text}: ended by itself: {:?}", log.lock());
    let began = canceller.at.lock().unwrap_or_else(|| panic!("{text}: was never cancelled"));
    end.duration_since(began)
}

/// The machine that runs the tests may be busy: of three times the best counts.
fn assert_prompt(text: &str) {
    let best = (0..3).map(|_| lateness(text)).find(|late| *late < Duration::from_millis(100));
    assert!(best.is_some(), "{text}: stopped late each time");
}

/// Arguments that let a plugin come to its query.
fn other_arguments(plugin: &str) -> &'static str {
    match plugin {
        "column_filter" => ", include='.'",
        "dedup" => ", key='Key'",
        "delay" => ", delay=0",
        "diff" => ", key='Key'",
        "foreach" => ", query={ SELECT * FROM scope() }",
        "if" => ", condition=TRUE",
        "sample" => ", n=2",
        "for" => ", var='X'",
        _ => "",
    }
}

#[test]
fn plugins_that_take_a_query_stop_when_it_has_no_end() {
    let registry = Registry::core();
    let mut seen = HashSet::new();
    for signature in registry.plugin_signatures() {
        // Rows may come from an argument that is made to be a query, or from any.
        let query = signature.args.iter().find(|a| {
            a.kind == ArgKind::Query || matches!((signature.name, a.name), ("foreach", "row") | ("query", "query"))
        });
        let argument = match query {
            Some(argument) => argument.name,
            None if signature.open => "a",
            None => continue,
        };
        seen.insert(signature.name);
        let more = other_arguments(signature.name);
        for source in ["endless", "silent"] {
            // Nobody who takes no rows holds them up.
            let text = match signature.name {
                "sequence" => {
                    format!(
                        "SELECT * FROM sequence(a={{ SELECT * FROM {source}() }}, query={{ SELECT * FROM SEQUENCE }})"
                    )
                }
                // It runs beside the script, which must wait for it.
                "fifo" => {
                    format!(
                        "LET F = SELECT * FROM fifo(query={{ SELECT * FROM {source}() }})
                         SELECT * FROM foreach(row={{ SELECT * FROM clock(ms=1) }}, query=F)"
                    )
                }
                name => format!("SELECT * FROM {name}({argument}={{ SELECT * FROM {source}() }}{more}) WHERE FALSE"),
            };
            assert_prompt(&text);
        }
    }
    for name in ["batch", "chain", "combine", "dedup", "delay", "diff", "flatten", "foreach", "if", "query", "switch"] {
        assert!(seen.contains(name), "{name} was left out");
    }
}

#[test]
fn what_waits_stops() {
    for text in [
        "SELECT sleep(time=600) FROM scope()",
        "LET _ <= sleep(time=600)",
        "SELECT * FROM clock(period=600)",
        "SELECT * FROM clock(ms=1)",
        "SELECT * FROM delay(query={ SELECT 1 AS A FROM scope() }, delay=600)",
        "SELECT * FROM delay(query={ SELECT * FROM endless() }, delay=600, buffer_size=5)",
        "SELECT * FROM diff(query={ SELECT 'a' AS Key FROM scope() }, key='Key', period=600)",
        "SELECT * FROM diff(query={ SELECT now(ns=TRUE) AS Key FROM scope() }, key='Key', period=0)",
        "SELECT * FROM batch(query={ SELECT * FROM clock(ms=1) }, timeout=600, batch_size=1000000)",
        "SELECT * FROM chain(a={ SELECT * FROM clock(period=600) }, b={ SELECT * FROM silent() }, async=TRUE)",
        "SELECT * FROM combine(a={ SELECT * FROM endless() }, b={ SELECT * FROM silent() })",
        "SELECT * FROM query(query='SELECT * FROM clock(period=600)')",
        "SELECT * FROM query(query={ SELECT * FROM clock(period=600) }, timeout=600, progress_timeout=600)",
        "LET G = generate(query={ SELECT * FROM clock(period=600) }) SELECT * FROM G",
        "LET G = generate(query={ SELECT * FROM endless() }) SELECT * FROM combine(a=G, b={ SELECT * FROM G WHERE FALSE })",
        "LET G = generate(query={ SELECT * FROM endless() }, fan_out=2) SELECT * FROM G",
        "LET M <= memoize(query={ SELECT * FROM silent() }, key='Key') SELECT M.a FROM scope()",
        "LET M <= memoize(query={ SELECT * FROM endless() }, key='Key') SELECT get(item=M, field='a') FROM scope()",
        "LET _ <= cache(lambda='x => { SELECT * FROM endless() }') SELECT cache(key=1) FROM scope()",
        "SELECT len(list={ SELECT * FROM endless() }) FROM scope()",
        "SELECT any(items={ SELECT * FROM endless() }, filter='x => FALSE') FROM scope()",
        "SELECT all(items={ SELECT * FROM endless() }) FROM scope()",
        "SELECT filter(list={ SELECT * FROM endless() }, regex='x') FROM scope()",
        "SELECT to_dict(item={ SELECT Key AS _key, 1 AS _value FROM endless() }) FROM scope()",
        "SELECT items(item={ SELECT * FROM endless() }) FROM scope()",
        "LET P = pipe(query={ SELECT Key FROM endless() }, sep='\\n')
             SELECT * FROM parse_lines(filename='P', accessor='pipe') WHERE FALSE",
        "LET P = pipe(query={ SELECT * FROM silent() }) SELECT * FROM parse_lines(filename='P', accessor='pipe')",
        "SELECT * FROM clock(ms=1) WHERE background(query={ SELECT * FROM silent() })",
    ] {
        assert_prompt(text);
    }
}
