//! What atexit() asked for is done when the execution is over, however it ends.

#![allow(clippy::unwrap_used)]

use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use vql::{CancelToken, Execution, LogRecord, Registry, syntax};

/// The log of the script, and of its end.
fn ended(text: &str, cancel: &CancelToken) -> Vec<String> {
    let log: Arc<Mutex<Vec<String>>> = Arc::default();
    let sink = log.clone();
    let execution = Execution::new(Registry::core())
        .cancel(cancel.clone())
        .log(move |record: LogRecord| sink.lock().push(record.message));
    let parsed = syntax::parse(text);
    assert!(parsed.diagnostics.is_empty(), "{:?}", parsed.diagnostics);
    let _ = execution.run(&parsed.script, &mut |_, _| ControlFlow::Continue(()));
    log.lock().push("end".into());
    drop(execution);
    let log = log.lock();
    log.clone()
}

#[test]
fn the_last_that_was_asked_for_runs_first() {
    let text = "LET X <= 1
        LET _ <= atexit(query={ SELECT log(message='first %v', args=X) FROM scope() })
        LET _ <= atexit(query='LET Y <= X + N SELECT log(message=\"second %v\", args=Y) FROM scope()', env=dict(N=5))
        LET _ <= log(message='running')
        LET X <= 2";
    assert_eq!(ended(text, &CancelToken::new()), ["running", "end", "second 7", "first 2"]);
}

#[test]
fn it_sees_the_row_that_asked() {
    let text =
        "SELECT atexit(query={ SELECT log(message='row %v', args=_value, dedup=-1) FROM scope() }) FROM range(end=2)";
    assert_eq!(ended(text, &CancelToken::new()), ["end", "row 1", "row 0"]);
}

#[test]
fn it_runs_after_a_cancel_and_within_a_scope_apart() {
    let cancel = CancelToken::new();
    cancel.cancel();
    assert_eq!(ended("LET _ <= atexit(query={ SELECT log(message='x') FROM scope() })", &cancel), ["end"]);

    let text =
        "SELECT * FROM query(query='SELECT atexit(query={ SELECT log(message=\"inner\") FROM scope() }) FROM scope()')";
    assert_eq!(ended(text, &CancelToken::new()), ["end", "inner"]);
}

#[test]
fn it_has_an_end_too() {
    let begun = Instant::now();
    let text = "LET _ <= atexit(query={ SELECT * FROM clock(period=600) }, timeout=1)
        LET _ <= atexit(query={ SELECT atexit(query={ SELECT log(message='again') FROM scope() }) FROM scope() })";
    assert_eq!(ended(text, &CancelToken::new()), ["end", "atexit: stopped after 1 seconds"]);
    assert!(begun.elapsed() < Duration::from_secs(20));
}
