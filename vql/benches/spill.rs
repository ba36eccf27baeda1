//! What sorting, grouping and materializing a million rows costs in memory, and on disk.

#![allow(missing_docs)]

use std::ops::ControlFlow;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use vql::{Execution, Registry};

fn queries(c: &mut Criterion) {
    let mut group = c.benchmark_group("million");
    group.throughput(Throughput::Elements(1_000_000)).sample_size(10);
    for (name, text) in [
        ("order by number", "SELECT _value * 7919 % 1000003 AS A, _value FROM range(end=1000000) ORDER BY A"),
        (
            "order by text",
            "SELECT 'some text ' + str(str=_value * 7919 % 1000003) AS A, _value FROM range(end=1000000) ORDER BY A",
        ),
        (
            "order by, limit 10",
            "SELECT _value * 7919 % 1000003 AS A, _value FROM range(end=1000000) ORDER BY A LIMIT 10",
        ),
        (
            "group by 1000 keys",
            "SELECT _value % 1000 AS A, count() AS N, sum(item=_value) AS S FROM range(end=1000000) GROUP BY A",
        ),
        ("group by 500000 keys", "SELECT _value % 500000 AS A, count() AS N FROM range(end=1000000) GROUP BY A"),
        (
            "materialize and read",
            "LET M <= SELECT 'some text' AS T, _value AS V FROM range(end=1000000) SELECT V FROM M WHERE V > 999990",
        ),
    ] {
        let script = vql::syntax::parse(text).script;
        for (place, memory) in [("memory", 4 << 30), ("disk", 32 << 20)] {
            group.bench_function(format!("{name}, {place}"), |b| {
                b.iter(|| {
                    let execution = Execution::new(Registry::core()).memory_budget(memory);
                    let mut rows = 0;
                    let _ = execution.run(&script, &mut |_, _| {
                        rows += 1;
                        ControlFlow::Continue(())
                    });
                    assert!(rows > 0);
                });
            });
        }
    }
    group.finish();
}

criterion_group!(benches, queries);
criterion_main!(benches);
