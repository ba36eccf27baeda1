//! `parse_binary()` against profiles and data that mean harm.

#![allow(clippy::unwrap_used)]

mod harness;

use std::sync::Arc;
use std::time::{Duration, Instant};

use harness::Runner;
use proptest::prelude::*;
use vql::CancelToken;

fn query(profile: &str, data: &str) -> String {
    format!(
        "SELECT parse_binary(filename=unhex(string='{data}'), accessor='data', struct='S', profile='''{profile}''') AS P FROM scope()"
    )
}

#[test]
fn what_grows_without_end_is_cut() {
    for (name, profile) in [
        ("doubling structs", "[[S, 4, [[A, 0, S], [B, 0, S]]]]"),
        (
            "a chain up and down that doubles",
            "[[S, 4, [[C, 0, T], [M, 0, Value, {value: 'x=>x.C.N + x.C.N'}]]], [T, 4, [[N, 0, Value, {value: 'x=>x.ParentOf.M + x.ParentOf.M'}]]]]",
        ),
        (
            "arrays of arrays",
            "[[S, 0, [[A, 0, Array, {type: T, count: 1000000, max_count: 1000000}]]], [T, 1, [[B, 0, Array, {type: S, count: 1000, max_count: 1000}]]]]",
        ),
        ("a lambda that calls itself", "[[S, 0, [[A, 0, Value, {value: 'x=>F(n=1)'}]]]]"),
    ] {
        let mut runner = Runner::new();
        let cancel = CancelToken::new();
        runner.execution = runner.execution.cancel(cancel.clone());
        let start = Instant::now();
        let script = format!("LET F(n) = F(n=n) + F(n=n)\n{}", query(profile, "00010203"));
        let (done, waited) = std::sync::mpsc::channel::<()>();
        // What is bounded by time alone is stopped, and hears it.
        let stopper = std::thread::spawn(move || {
            let _ = waited.recv_timeout(Duration::from_secs(1));
            cancel.cancel();
        });
        let rows = vql::eval::on_big_stack(|| runner.run(&script)).unwrap().unwrap();
        drop(done);
        stopper.join().unwrap();
        assert!(start.elapsed() < Duration::from_secs(20), "{name} took {:?}", start.elapsed());
        assert!(rows.iter().flatten().all(|row| row.len() < 70 << 20), "{name}");
    }
}

#[test]
fn threads_share_an_object() {
    let runner = Runner::new();
    let script = "LET P <= parse_binary(filename=unhex(string='05') + 'a' * 4000, accessor='data', struct='S', profile='''[[S, 0, [[N, 0, uint8], [A, 1, Array, {type: T, count: 500}], [V, 0, Value, {value: \"x=>x.N * x.A.SizeOf\"}]]], [T, \"x=>x.W\", [[W, 0, Value, {value: \"x=>x.ParentOf.N\"}]]]]''')
        SELECT count() AS N, P.V AS V FROM foreach(row={ SELECT * FROM range(end=200) }, workers=8, query={ SELECT P.V AS V FROM scope() WHERE V = 12500 }) GROUP BY 1";
    let rows = runner.run(script).unwrap();
    assert_eq!(rows[1].as_deref(), Some(r#"[{"N":200,"V":12500}]"#), "{:?}", runner.log());
}

#[test]
fn objects_do_not_keep_the_query() {
    let kept = Arc::new(());
    let alive = Arc::downgrade(&kept);
    let mut runner = Runner::new();
    runner.execution = runner.execution.log(move |_| drop(kept.clone()));
    let rows = runner
        .run("LET P <= parse_binary(filename='ab', accessor='data', struct='S', profile='[[S, 2, [[A, 0, uint8], [Me, 0, Value, {value: \"x=>x\"}], [In, 0, T]]], [T, 1, [[Up, 0, Value, {value: \"x=>x.ParentOf\"}]]]]') SELECT P.Me.Me.A AS A, P.In.Up.In.Up.A AS B FROM scope()")
        .unwrap();
    assert_eq!(rows[1].as_deref(), Some(r#"[{"A":97,"B":97}]"#));
    drop(runner);
    assert!(alive.upgrade().is_none(), "what the query holds outlives its execution");
}

fn piece() -> impl Strategy<Value = String> {
    let word = prop_oneof![
        Just("S"),
        Just("T"),
        Just("uint8"),
        Just("uint32b"),
        Just("String"),
        Just("Array"),
        Just("Union"),
        Just("Flags"),
        Just("BitField"),
        Just("Enumeration"),
        Just("Value"),
        Just("Profile"),
        Just("Pointer"),
        Just("leb128"),
        Just("WinFileTime"),
        Just("Timestamp"),
        Just("FatTimestamp"),
        Just("GUID"),
        Just("nothing"),
    ];
    let number = prop_oneof![
        (-3i64..20).prop_map(|n| n.to_string()),
        Just(i64::MAX.to_string()),
        Just(i64::MIN.to_string()),
        Just("\"x=>x.A\"".to_owned()),
        Just("\"x=>x.B + x.SizeOf\"".to_owned()),
        Just("\"x=>x.ParentOf.A - 1\"".to_owned()),
        Just("\"x=>x.`@A`.EndOf\"".to_owned()),
    ];
    let options = (word.clone(), number.clone(), number.clone(), number.clone()).prop_map(|(kind, a, b, c)| {
        format!(
            "{{type: {kind}, type_options: {{type: uint8, length: {a}, count: 2}}, count: {a}, length: {b}, max_length: {c}, sentinel: {c}, value: {b}, offset: {a}, \
             selector: \"x=>x.A\", choices: {{\"0\": {kind}, \"1\": uint8}}, bitmap: {{a: 0, b: 9}}, start_bit: 1, end_bit: 5, encoding: utf16}}"
        )
    });
    (word, number, options).prop_map(|(kind, at, options)| format!("{at}, {kind}, {options}"))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 100, ..ProptestConfig::default() })]

    #[test]
    fn no_profile_breaks_it(a in piece(), b in piece(), c in piece(), size in prop_oneof![Just("0"), Just("3"), Just("\"x=>x.C\"")], data in proptest::collection::vec(any::<u8>(), 0..40)) {
        let profile = format!("[[S, {size}, [[A, {a}], [B, {b}]]], [T, {size}, [[C, {c}], [A, 0, uint8]]]]");
        let data: String = data.iter().map(|byte| format!("{byte:02x}")).collect();
        let runner = Runner::new();
        prop_assert!(runner.run(&query(&profile, &data)).is_ok());
    }

    #[test]
    fn no_text_breaks_it(text in "[\\[\\]{},:\"'#/* a0x=>.S\n\\\\-]{0,60}") {
        let text = text.replace("'''", "");
        let runner = Runner::new();
        let script = format!("SELECT parse_binary(filename='abc', accessor='data', struct='S', profile='''{text} ''') AS P FROM scope()");
        prop_assert!(runner.run(&script).is_ok());
    }
}

#[test]
fn rows_outlive_their_query() {
    let script = "LET Twice(n) = n * Factor
        LET Factor <= 2
        SELECT parse_binary(filename=unhex(string='0305'), accessor='data', struct='S', profile='[[S, 2, [[A, 0, uint8], [V, 0, Value, {value: \"x=>Twice(n=x.A) + Row\"}]]]]') AS P FROM foreach(row=dict(Row=100))";
    let parsed = vql::syntax::parse(script);
    let mut kept = Vec::new();
    let runner = Runner::new();
    let _ = runner.execution.run(&parsed.script, &mut |_, row| {
        kept.push(row.clone());
        std::ops::ControlFlow::Continue(())
    });
    drop(runner);
    let rows: Vec<String> = kept.iter().map(vql::Row::to_json).collect();
    assert_eq!(rows, [r#"{"P":{"A":3,"V":106}}"#]);
}
