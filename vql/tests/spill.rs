//! Sorts, groups and materialized queries give the same on disk as in memory; bounds hold; what is left out is said.

#![allow(clippy::unwrap_used)]

mod harness;

use std::ops::ControlFlow;
use std::time::{Duration, Instant};

use harness::Runner;
use proptest::prelude::*;
use vql::{CancelToken, Dict, Execution, Registry, Value, syntax};

/// Queries over the rows R, whose columns are K (of all kinds), N (a small number) and T (text).
const QUERIES: &[&str] = &[
    "SELECT * FROM R ORDER BY K",
    "SELECT * FROM R ORDER BY K DESC, N",
    "SELECT N, T FROM R ORDER BY T, N DESC, K",
    "SELECT T + 'some text that is long' + T AS L, N FROM R ORDER BY L DESC",
    "SELECT * FROM R ORDER BY N LIMIT 7",
    "SELECT count() AS C, T FROM R ORDER BY T LIMIT 3",
    "SELECT *, count() AS C, enumerate(items=N) AS All, sum(item=N) AS S, min(item=K) AS Min FROM R GROUP BY N",
    "SELECT T, N, K, count() AS C FROM R GROUP BY T, N ORDER BY C DESC, K",
    "SELECT K, max(item=N) AS Max, enumerate(items=dict(N=N, T=T)) AS All FROM R WHERE N > 1 GROUP BY K LIMIT 5",
    "SELECT enumerate(items=N) AS All FROM R GROUP BY T ORDER BY N LIMIT 4",
    "SELECT S + 0 AS S, { SELECT sum(item=S) AS S FROM scope() } AS T FROM foreach(row={ SELECT sum(item=N) AS S FROM R GROUP BY T })",
    "LET M <= SELECT * FROM R SELECT * FROM M WHERE N > 2",
    "LET M <= SELECT N, T FROM R SELECT len(list=M) AS Len, M[2] AS Third, M[-1].T AS Last, M.T AS T, M[1:5] AS Some, M FROM scope()",
    "LET M <= SELECT * FROM R ORDER BY T SELECT N, { SELECT T FROM M WHERE N = 3 LIMIT 1 } AS X FROM M GROUP BY N ORDER BY N",
    "LET M <= SELECT N, T FROM R SELECT N, len(list=M + M) AS L, N IN M.N AS I, M = M AS Same FROM M LIMIT 3",
];

fn rows() -> impl Strategy<Value = Vec<Value>> {
    let key = prop_oneof![
        (-3i64..3).prop_map(Value::Int),
        (i64::MAX - 3..=i64::MAX).prop_map(Value::Int),
        Just(Value::from(u64::MAX)),
        prop::sample::select(&[0.5, -0.0, 9.223372036854776e18, f64::NAN, f64::INFINITY][..]).prop_map(Value::Float),
        "[ab]{0,3}".prop_map(Value::from),
        "[ab]{0,2}".prop_map(|t| Value::from(format!("a text of many letters {t}"))),
        any::<bool>().prop_map(Value::Bool),
        Just(Value::Null),
        (0i64..3).prop_map(|s| Value::time(s, 5)),
        Just(Value::from(&b"\xff\xfe"[..])),
        prop::collection::vec((0i64..2).prop_map(Value::Int), 0..3).prop_map(Value::array),
        (0i64..3).prop_map(|n| Value::dict(Dict::of([("a", Value::Int(n))]))),
    ];
    let row = (key, 0i64..9, "[abc]{0,2}", any::<bool>()).prop_map(|(key, n, text, more)| {
        let mut dict = Dict::of([("K", key), ("N", Value::Int(n)), ("T", Value::from(text))]);
        if more {
            dict.set("More", 1i64);
        }
        Value::dict(dict)
    });
    prop::collection::vec(row, 0..150)
}

fn answer(
    query: &str,
    rows: &[Value],
    bound: impl FnOnce(Execution) -> Execution,
) -> (Vec<Option<String>>, Vec<String>) {
    let runner = Runner::new();
    let runner = Runner { execution: bound(runner.execution.env("R", rows.to_vec())), log: runner.log };
    let answers = runner.run(query).unwrap();
    (answers, runner.log())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, ..ProptestConfig::default() })]

    #[test]
    fn on_disk_is_as_in_memory(rows in rows(), most in 1usize..40) {
        for query in QUERIES {
            let in_memory = answer(query, &rows, |execution| execution);
            let on_disk = answer(query, &rows, |execution| execution.rows_in_memory(most));
            prop_assert_eq!(in_memory, on_disk, "{} with {} rows in memory", query, most);
        }
    }
}

#[test]
fn many_runs_and_many_parts_are_as_few() {
    let query = "
        SELECT _value * 7919 % 5000 AS A FROM range(end=5000) ORDER BY A
        SELECT _value * 7919 % 3000 AS A, count() AS N, enumerate(items=_value) AS All FROM range(end=5000) GROUP BY A
        SELECT _value * 7919 % 3000 AS A, count() AS N FROM range(end=5000) GROUP BY A ORDER BY N DESC, A";
    let (in_memory, log) = answer(query, &[], |execution| execution);
    assert_eq!(log, Vec::<String>::new());
    assert!(in_memory.iter().flatten().all(|rows| rows.len() > 20_000));
    // 5000 runs of one row, which takes two passes of merging; parts of parts of parts.
    assert_eq!(answer(query, &[], |execution| execution.rows_in_memory(0)), (in_memory, log));
}

#[test]
fn a_small_memory_is_enough() {
    // 20 MB of rows, and lists that grow to 20 MB in 50 groups that are all there from the beginning.
    let query = "
        LET Text = 'x' * 1000 + str(str=_value)
        SELECT _value * 7919 % 20000 AS A, len(list=T) AS L FROM foreach(row={ SELECT Text AS T, _value FROM range(end=20000) ORDER BY _value % 77 DESC, _value }) ORDER BY A LIMIT 20
        SELECT K, len(list=All) AS N, len(list=All[3]) AS L, All[-1] = T AS Last FROM foreach(row={ SELECT _value % 50 AS K, Text AS T, enumerate(items=Text) AS All FROM range(end=20000) GROUP BY K })
        LET M <= SELECT Text AS T, _value AS V FROM range(end=20000)
        SELECT V, len(list=T) AS L FROM M WHERE V % 1999 = 0";
    let (in_memory, log) = answer(query, &[], |execution| execution);
    assert_eq!(log, Vec::<String>::new());
    assert_eq!(in_memory[2].as_ref().unwrap().matches("\"K\"").count(), 50, "{in_memory:?}");
    let (small, log) = answer(query, &[], |execution| execution.memory_budget(4 << 20));
    assert_eq!(log, Vec::<String>::new());
    assert_eq!(small, in_memory);
}

#[test]
fn what_does_not_fit_on_disk_is_left_out_with_a_word() {
    let text = "LET Text = 'x' * 1000 + str(str=_value) ";
    for (query, said) in [
        ("SELECT Text, _value FROM range(end=20000) ORDER BY _value DESC", "ORDER BY: the rows after the first "),
        ("SELECT Text, _value FROM range(end=20000) GROUP BY _value", "GROUP BY: the rows after the first "),
        (
            "LET M <= SELECT Text, _value FROM range(end=20000) SELECT * FROM M",
            "a materialized query: the rows after the first ",
        ),
    ] {
        let (answers, log) =
            answer(&format!("{text}{query}"), &[], |execution| execution.memory_budget(2 << 20).spill_budget(3 << 20));
        let rows = answers.iter().flatten().next_back().unwrap();
        let found = rows.matches("\"_value\"").count();
        assert!((1000..5000).contains(&found), "{query}: {found} rows");
        assert!(
            log[0].contains(said) && log[0].contains("the 3 MiB that a query may fill on disk are full"),
            "{log:?}"
        );
        let first: usize = log[0].split(said).nth(1).unwrap().split(' ').next().unwrap().parse().unwrap();
        // Groups that were on disk need room there a second time.
        assert!(
            first == found || query.contains("GROUP") && log[1].starts_with("ERROR: the groups of GROUP BY: "),
            "{log:?}"
        );
    }
    let (answers, log) = answer("SELECT * FROM range(end=100) ORDER BY _value DESC", &[], |execution| {
        execution.rows_in_memory(10).temp_dir("/no/such/folder")
    });
    assert_eq!(answers[0].as_ref().unwrap().matches("_value").count(), 11, "{answers:?}");
    assert!(
        log[0].contains("the rows after the first 11 are left out: cannot write to a file in /no/such/folder"),
        "{log:?}"
    );
}

#[test]
fn what_a_query_took_is_given_back() {
    let runner = Runner::new();
    let execution = runner.execution.memory_budget(1 << 20).spill_budget(30 << 20);
    let parsed = syntax::parse(
        "LET X = SELECT 'x' * 1000 + str(str=_value) AS A FROM range(end=10000) ORDER BY A
         LET Y = SELECT A, enumerate(items=A) AS All FROM X GROUP BY A
         SELECT * FROM X LIMIT 1 SELECT * FROM X LIMIT 1 SELECT * FROM X LIMIT 1 SELECT * FROM Y LIMIT 1 SELECT * FROM Y LIMIT 1",
    );
    let mut rows = 0;
    let flow = execution.run(&parsed.script, &mut |_, _| {
        rows += 1;
        ControlFlow::Continue(())
    });
    assert!(flow.is_continue());
    assert_eq!(rows, 5);
}

#[test]
fn a_cancelled_query_stops_while_it_spills_and_merges() {
    for query in [
        "SELECT _value * 7919 % 1000003 AS A FROM range(end=1000000000) ORDER BY A",
        "SELECT _value * 7919 % 1000003 AS A, count() AS N FROM range(end=1000000000) GROUP BY A",
        "LET M <= SELECT _value FROM range(end=1000000000)",
    ] {
        let token = CancelToken::new();
        let execution = Execution::new(Registry::core()).cancel(token.clone()).rows_in_memory(1000);
        let parsed = syntax::parse(query);
        let late = std::thread::scope(|scope| {
            let thread = scope.spawn(|| execution.run(&parsed.script, &mut |_, _| ControlFlow::Continue(())));
            // Some runs are on disk by then.
            token.sleep(Duration::from_millis(50));
            let begun = Instant::now();
            token.cancel();
            assert!(thread.join().unwrap().is_break(), "{query}");
            begun.elapsed()
        });
        assert!(late < Duration::from_secs(1), "{query}: stopped after {late:?}");
    }
    // In the middle of merging, from the consumer's side.
    let token = CancelToken::new();
    let execution = Execution::new(Registry::core()).cancel(token.clone()).rows_in_memory(100);
    let parsed = syntax::parse("SELECT _value FROM range(end=10000) ORDER BY _value DESC");
    let mut rows = 0;
    let flow = execution.run(&parsed.script, &mut |_, _| {
        rows += 1;
        if rows == 500 {
            token.cancel();
        }
        ControlFlow::Continue(())
    });
    assert!(flow.is_break());
    assert_eq!(rows, 500);
}

#[test]
fn values_with_behaviour_come_back_from_disk() {
    let (answers, log) = answer(
        "LET L <= lru(size=3)
         SELECT set(item=C, field='a', value=V) AS Set, get(item=L, field='a') AS A, V FROM foreach(row={ SELECT L AS C, _value AS V FROM range(end=30) ORDER BY V DESC }) LIMIT 2",
        &[],
        |execution| execution.rows_in_memory(5),
    );
    assert_eq!(log, Vec::<String>::new());
    let rows = answers[1].as_ref().unwrap();
    assert!(rows.contains("\"A\":29") && rows.contains("\"A\":28"), "{rows}");
}

#[test]
fn paths_and_addresses_come_back_from_disk() {
    let query = "
        LET R = SELECT pathspec(parse='/etc/a' + str(str=_value)) AS P, ip(parse='10.0.0.' + str(str=_value)) AS A, _value AS V FROM range(end=100)
        SELECT P, P.Basename AS Name, A, A.IsPrivate AS Private, typeof(a=P) AS Type FROM foreach(row={ SELECT * FROM R ORDER BY V DESC })";
    let in_memory = answer(query, &[], |execution| execution);
    assert!(in_memory.0[1].as_ref().unwrap().contains(r#""Name":"a99""#), "{in_memory:?}");
    assert_eq!(in_memory, answer(query, &[], |execution| execution.rows_in_memory(7)));
}
