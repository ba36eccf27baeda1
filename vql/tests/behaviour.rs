//! What rows alone do not show: order of work, cancellation, bounds, the examples in signatures.

#![allow(clippy::unwrap_used)]

mod harness;

use std::ops::ControlFlow;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use harness::Runner;
use vql::{
    ArgKind, ArgSpec, Args, CallError, CancelToken, Context, Emit, Execution, Flow, Function, LogRecord, Plugin,
};
use vql::{Registry, Row, Signature, Value, syntax};

/// `note(what=)`: writes down in which order it is called.
struct Note(Arc<Mutex<Vec<String>>>);

static NOTE: Signature = Signature::new("note", "", &[ArgSpec::required("what", ArgKind::Any, "")]);

impl Function for Note {
    fn signature(&self) -> &'static Signature {
        &NOTE
    }
    fn call(&self, _cx: &Context<'_>, args: &Args<'_>) -> Result<Value, CallError> {
        self.0.lock().unwrap().push(args.str("what")?.to_string());
        Ok(args.value("what"))
    }
}

fn noting(text: &str) -> Vec<String> {
    let notes: Arc<Mutex<Vec<String>>> = Arc::default();
    let mut registry = Registry::core();
    registry.add_function(Note(notes.clone()));
    let parsed = syntax::parse(text);
    assert!(parsed.diagnostics.is_empty(), "{:?}", parsed.diagnostics);
    let _ = Execution::new(registry).run(&parsed.script, &mut |_, row| {
        notes.lock().unwrap().push(row.to_json());
        ControlFlow::Continue(())
    });
    Arc::try_unwrap(notes).unwrap().into_inner().unwrap()
}

#[test]
fn the_first_row_leaves_before_the_second_is_computed() {
    for text in [
        "SELECT note(what=_value) AS A FROM range(end=2)",
        "LET Q = SELECT note(what=_value) AS A FROM range(end=2) SELECT A FROM Q WHERE TRUE",
        "SELECT * FROM foreach(row={ SELECT _value FROM range(end=2) }, query={ SELECT note(what=_value) AS A FROM scope() })",
        "SELECT * FROM chain(a={ SELECT note(what=_value) AS A FROM range(end=2) })",
    ] {
        assert_eq!(noting(text), ["0", r#"{"A":0}"#, "1", r#"{"A":1}"#], "{text}");
    }
}

#[test]
fn columns_are_computed_once_and_only_when_read() {
    for (text, expected) in [
        // WHERE reads the column; the row has it from then on.
        ("SELECT note(what='a') AS A FROM scope() WHERE A", vec!["a", r#"{"A":"a"}"#]),
        // WHERE says no before anything is read.
        ("SELECT note(what='a') AS A FROM scope() WHERE FALSE", vec![]),
        // The outer query reads one of two columns.
        (
            "LET Q = SELECT note(what='a') AS A, note(what='b') AS B FROM scope() SELECT B FROM Q",
            vec!["b", r#"{"B":"b"}"#],
        ),
        // Also through plugins that hand rows on.
        (
            "SELECT B FROM foreach(row=1, query={ SELECT note(what='a') AS A, note(what='b') AS B FROM scope() })",
            vec!["b", r#"{"B":"b"}"#],
        ),
        // Short circuits.
        ("SELECT 1 OR note(what='a') AS A FROM scope()", vec![r#"{"A":true}"#]),
        // A group's columns are computed once for each row.
        ("SELECT note(what='a') AS A FROM range(end=2) WHERE A GROUP BY A", vec!["a", "a", r#"{"A":"a"}"#]),
    ] {
        assert_eq!(noting(text), expected, "{text}");
    }
}

/// `forever()`: rows without end.
struct Forever(Arc<AtomicUsize>);

static FOREVER: Signature = Signature::new("forever", "", &[]);

impl Plugin for Forever {
    fn signature(&self) -> &'static Signature {
        &FOREVER
    }
    fn run(&self, _cx: &Context<'_>, _args: &Args<'_>, emit: &mut Emit<'_>) -> Result<Flow, CallError> {
        while emit(Row::of([("A", self.0.fetch_add(1, Ordering::Relaxed).into())])).is_continue() {}
        Ok(ControlFlow::Break(()))
    }
}

#[test]
fn limit_stops_the_plugin_and_the_script_goes_on() {
    let made = Arc::new(AtomicUsize::new(0));
    let mut registry = Registry::core();
    registry.add_plugin(Forever(made.clone()));
    let parsed = syntax::parse("SELECT * FROM forever() LIMIT 3 SELECT 5 AS B FROM scope()");
    let mut rows = Vec::new();
    let flow = Execution::new(registry).run(&parsed.script, &mut |index, row| {
        rows.push((index, row.to_json()));
        ControlFlow::Continue(())
    });
    assert!(flow.is_continue());
    assert_eq!(made.load(Ordering::Relaxed), 3);
    assert_eq!(rows.last().unwrap(), &(1, r#"{"B":5}"#.to_owned()));
}

#[test]
fn a_cancelled_query_stops_wherever_it_is() {
    for text in [
        "SELECT * FROM forever() WHERE FALSE",
        "SELECT * FROM range(end=1000000000000) WHERE FALSE",
        "SELECT * FROM forever() ORDER BY A",
        "SELECT A % 3 AS K FROM forever() GROUP BY K",
        "LET X <= SELECT A FROM forever() WHERE FALSE",
        "SELECT sleep(time=1000) FROM scope()",
        "SELECT * FROM clock(period=1000)",
        "LET F(N) = if(condition=N > 0, then=F(N=N - 1) + F(N=N - 1), else=1) SELECT F(N=60) AS F FROM scope()",
        "SELECT * FROM delay(delay=1000, query={ SELECT * FROM range(end=3) })",
        "SELECT * FROM foreach(row={ SELECT * FROM forever() }, workers=3, query={ SELECT * FROM forever() WHERE FALSE })",
    ] {
        let token = CancelToken::new();
        let mut registry = Registry::core();
        registry.add_plugin(Forever(Arc::default()));
        let parsed = syntax::parse(text);
        assert!(parsed.diagnostics.is_empty(), "{text}: {:?}", parsed.diagnostics);
        let execution = Execution::new(registry).cancel(token.clone());
        let started = std::sync::Barrier::new(2);
        let late = std::thread::scope(|scope| {
            let query = scope.spawn(|| {
                started.wait();
                execution.run(&parsed.script, &mut |_, _| ControlFlow::Continue(()))
            });
            started.wait();
            let begun = Instant::now();
            token.cancel();
            assert!(query.join().unwrap().is_break(), "{text}");
            begun.elapsed()
        });
        assert!(late < Duration::from_secs(2), "{text}: stopped after {late:?}");
    }
}

#[test]
fn what_would_fill_the_memory_is_left_out_with_a_word() {
    let runner = Runner::new();
    let answers = runner.run("SELECT 'x' * 60000000 + 'x' * 60000000 AS A FROM scope()").unwrap();
    assert_eq!(answers[0].as_deref(), Some(r#"[{"A":null}]"#));
    assert!(runner.log()[0].contains("longer than 100 MiB"), "{:?}", runner.log());
}

#[test]
fn the_same_trouble_is_logged_once() {
    let runner = Runner::new();
    runner.run("SELECT NoSuchName FROM range(end=1000)").unwrap();
    assert_eq!(runner.log().len(), 1, "{:?}", runner.log());
}

#[test]
fn deep_queries_end_with_a_log_line_on_any_stack() {
    let text = "
        LET F(X) = if(condition=X < 100000, then=(1 + F(X=X + 1)) * 1, else=0)
        LET Q(X) = SELECT * FROM foreach(row=1, query={ SELECT * FROM Q(X=X + 1) })
        SELECT F(X=0) FROM scope() SELECT * FROM Q(X=0)";
    let deep = |runner: Runner| {
        runner.run(text).unwrap();
        assert!(runner.log().iter().any(|l| l.contains("is a LET calling itself?")), "{:?}", runner.log());
    };
    deep(Runner::new());
    vql::eval::on_big_stack(|| {
        let runner = Runner::new();
        runner.run("LET F(X) = if(condition=X < 400, then=1 + F(X=X + 1), else=0) SELECT F(X=0) FROM scope()").unwrap();
        assert_eq!(runner.log(), Vec::<String>::new(), "a depth of 400 is no trouble");
        deep(runner);
    })
    .unwrap();
}

#[test]
fn variables_extensions_and_the_log_reach_plugins() {
    struct Lent(&'static str);
    struct Ask;
    static ASK: Signature = Signature::new("ask", "", &[ArgSpec::optional("path", ArgKind::Path, "")]);
    impl Function for Ask {
        fn signature(&self) -> &'static Signature {
            &ASK
        }
        fn call(&self, cx: &Context<'_>, args: &Args<'_>) -> Result<Value, CallError> {
            let lent = cx.ext::<Lent>().map(|l| l.0);
            Ok(Value::from(format!("{} {}", lent.unwrap_or("nothing"), args.path("path")?)))
        }
    }
    let mut registry = Registry::core();
    registry.add_function(Ask);
    let log: Arc<Mutex<Vec<LogRecord>>> = Arc::default();
    let sink = log.clone();
    let execution = Execution::new(registry)
        .env("Folder", "/etc")
        .extension(Arc::new(Lent("lent")))
        .log(move |record: LogRecord| sink.lock().unwrap().push(record));
    let value = |text: &str| execution.eval_expression(&syntax::parse_expression(text).unwrap());
    assert_eq!(value("ask(path=Folder)").to_json(), r#""lent /etc""#);
    assert_eq!(value("ask(paht=1)").to_json(), "null");
    let log = log.lock().unwrap();
    assert!(log[0].message.contains("did you mean `path`?"), "{log:?}");
    assert_eq!(log[0].span.unwrap().range(), 0..11);
}

#[test]
fn examples_in_signatures_run_and_give_rows() {
    let registry = Registry::core();
    for signature in registry.plugin_signatures().chain(registry.function_signatures()) {
        assert!(!signature.doc.is_empty(), "{}", signature.name);
        assert!(!signature.examples.is_empty(), "{} has no example", signature.name);
        for example in signature.examples {
            let mut runner = Runner::new();
            runner.execution = runner.execution.artifacts(harness::library());
            let answers = runner.run(example).unwrap_or_else(|e| panic!("{}: {e}", signature.name));
            let rows = answers.into_iter().flatten().next_back().unwrap();
            let log = runner.log();
            assert!(!log.iter().any(|l| l.starts_with("ERROR")), "{}: {log:?}", signature.name);
            // The first answer of fifo is always the empty one.
            assert!(rows != "[]" || signature.name == "fifo", "{}: {example} gives no rows", signature.name);
        }
    }
}

#[test]
fn values_do_not_nest_without_end() {
    let runner = Runner::new();
    let answers = runner
        .run(
            "LET D <= dict(a=1) LET Wrap(X, N) = if(condition=N < 300, then=Wrap(X=((X,),), N=N + 1), else=X)
             SELECT set(item=D, field='d', value=D) AS S FROM range(end=1000) WHERE NOT S
             SELECT D, Wrap(X=1, N=0) AS W FROM scope()",
        )
        .unwrap();
    let text = answers[3].as_ref().unwrap();
    let deepest = text.bytes().fold((0i32, 0i32), |(now, most), b| match b {
        b'[' | b'{' => (now + 1, most.max(now + 1)),
        b']' | b'}' => (now - 1, most),
        _ => (now, most),
    });
    assert!(deepest.1 <= 130, "{deepest:?}");
}

/// Counts the rows that a script reads.
#[derive(Clone, Default)]
struct Reads(Arc<AtomicUsize>);

impl vql::scope::Budget for Reads {
    fn charge(&self, ops: u32, _cancel: &CancelToken) -> Flow {
        self.0.fetch_add(ops as usize, Ordering::Relaxed);
        ControlFlow::Continue(())
    }
}

#[test]
fn a_join_finds_rows_without_a_look_at_all_of_them() {
    for (size, column, kept) in [(500, "K", "range"), (5000, "K", "range"), (500, "str(str=K)", "range")] {
        let script = format!(
            "LET Kept <= SELECT _value AS K, _value % 10 AS V FROM {kept}(end={size})
             SELECT * FROM foreach(row={{ SELECT _value AS Ref FROM range(end=100) }},
                query={{ SELECT K, V, Ref FROM Kept WHERE V < 5 AND Ref = {column} }})"
        );
        let reads = Reads::default();
        let parsed = syntax::parse(&script);
        let mut rows = Vec::new();
        let _ = Execution::new(Registry::core()).budget(reads.clone()).run(&parsed.script, &mut |_, row| {
            rows.push(row.to_json());
            ControlFlow::Continue(())
        });
        let read = reads.0.load(Ordering::Relaxed);
        if column == "K" {
            assert_eq!(rows.len(), 50, "{rows:?}");
            assert_eq!(rows[7], r#"{"K":12,"V":2,"Ref":12}"#);
            assert!(read < 3 * size, "{read} rows were read");
        } else {
            assert!(rows.is_empty(), "a text is no number: {rows:?}");
            assert!(read > 90 * size, "{read} rows were read");
        }
    }
}
