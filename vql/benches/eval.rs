//! How fast rows come: a filter over a range, rows to JSON lines, a join.

#![allow(missing_docs)]

use std::hint::black_box;
use std::ops::ControlFlow;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use vql::{Columns, Execution, Registry, Row, Value};

const ROWS: u64 = 100_000;

fn queries(c: &mut Criterion) {
    let mut group = c.benchmark_group("query");
    group.throughput(Throughput::Elements(ROWS)).sample_size(20);
    for (name, text) in [
        ("rows", "SELECT _value FROM range(end=100000)"),
        ("filter", "SELECT _value FROM range(end=100000) WHERE _value % 2 = 0 AND _value > 10"),
        ("format", "SELECT format(format='%v-%d', args=(_value, 5)) AS A, _value * 2 AS B FROM range(end=100000)"),
        ("match", "SELECT 'value ' + str(str=_value) AS A FROM range(end=100000) WHERE A =~ '77$'"),
        ("group", "SELECT _value % 10 AS K, count() AS N FROM range(end=100000) GROUP BY K"),
        (
            "foreach",
            "SELECT * FROM foreach(row={ SELECT _value AS X FROM range(end=100000) }, query={ SELECT X + 1 AS Y FROM scope() })",
        ),
    ] {
        let script = vql::syntax::parse(text).script;
        let execution = Execution::new(Registry::core());
        let mut out = Vec::new();
        group.bench_function(name, |b| {
            b.iter(|| {
                let _ = execution.run(&script, &mut |_, row| {
                    out.clear();
                    row.write_json(&mut out);
                    black_box(&out);
                    ControlFlow::Continue(())
                });
            });
        });
    }
    group.finish();
}

fn json(c: &mut Criterion) {
    let columns = Columns::new(["Pid", "Name", "CommandLine", "CreateTime", "Rss", "Elevated"]);
    let row = Row::new(
        &columns,
        vec![
            Value::Int(4711),
            Value::from("systemd-journal"),
            Value::from("/usr/lib/systemd/systemd-journald --flag=\"a\""),
            Value::time(1_630_414_425, 250_000_000),
            Value::Int(123_456_789),
            Value::Bool(true),
        ],
    );
    let mut group = c.benchmark_group("json");
    group.throughput(Throughput::Elements(1));
    let mut out = Vec::new();
    group.bench_function("row", |b| {
        b.iter(|| {
            out.clear();
            black_box(&row).write_json(&mut out);
            black_box(&out);
        });
    });
    group.finish();
}

criterion_group!(benches, queries, json);
criterion_main!(benches);
