//! VQL beside SQLite: the same work on the same rows in the same run, and a table of ratios at the end.
//!
//! `cargo bench -p vql --bench sqlite` measures; run as a test it does each thing once on few rows and compares the
//! answers. Rows reach VQL by a plugin that holds them in memory, as SQLite holds its tables in memory; both sides
//! read every cell of every row of the answer.

#![allow(clippy::print_stdout, clippy::unwrap_used)]

use std::hint::black_box;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Duration;

use criterion::{Criterion, SamplingMode};
use regex::bytes::{Regex, RegexBuilder};
use rusqlite::functions::FunctionFlags;
use rusqlite::types::ValueRef;
use rusqlite::{Connection, params};
use vql::plugin::EmitView;
use vql::syntax::ast::Script;
use vql::{
    ArgKind, ArgSpec, Args, CallError, Columns, Context, Emit, Execution, Flow, Plugin, Registry, Row, Signature, Value,
};

fn main() {
    // Cargo passes `--bench` when it is to be measured, and not in tests.
    let measured = std::env::args().any(|arg| arg == "--bench");
    let sizes = if measured { Sizes::FULL } else { Sizes::TEST };
    let criterion = Criterion::default()
        .sample_size(10)
        .warm_up_time(Duration::from_millis(100))
        .measurement_time(Duration::from_secs(1))
        .configure_from_args();
    let only = std::env::args().skip(1).find(|arg| !arg.starts_with('-'));
    let mut bench = Bench { criterion, measured, only, results: Vec::new() };
    let tables = Tables::new(&sizes);
    bench.queries(&tables, &sizes);
    bench.json_lines(&tables);
    bench.print();
    bench.criterion.final_summary();
}

struct Sizes {
    numbers: i64,
    rows: i64,
    keys: i64,
    lines: i64,
    small: i64,
    join: i64,
    documents: i64,
}

impl Sizes {
    const FULL: Sizes = Sizes {
        numbers: 10_000_000,
        rows: 1_000_000,
        keys: 1_000,
        lines: 1_000_000,
        small: 10_000,
        join: 100_000,
        documents: 100_000,
    };
    const TEST: Sizes =
        Sizes { numbers: 1_000, rows: 1_000, keys: 10, lines: 1_000, small: 100, join: 1_000, documents: 100 };
}

/// The same rows on both sides.
struct Tables {
    sqlite: Connection,
    execution: Execution,
    rows: Vec<Row>,
    process: Vec<Process>,
}

/// What an ordinary row holds, for serde.
#[derive(serde::Serialize)]
#[serde(rename_all = "PascalCase")]
struct Process {
    pid: i64,
    ppid: i64,
    name: String,
    command_line: String,
    username: String,
    rss: i64,
    cpu: f64,
    elevated: bool,
}

/// Numbers without a pattern, the same in each run.
struct Random(u64);

impl Random {
    fn next(&mut self, bound: i64) -> i64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 1) as i64 % bound
    }
}

impl Tables {
    fn new(sizes: &Sizes) -> Tables {
        let mut random = Random(0x9e37_79b9_7f4a_7c15);
        let mut sqlite = Connection::open_in_memory().unwrap();
        // As much memory as it wants: neither side is to touch the disk.
        sqlite.execute_batch("PRAGMA cache_size = -4000000; PRAGMA temp_store = MEMORY").unwrap();
        regexp(&sqlite);
        let mut prepared = Prepared::default();
        let transaction = sqlite.transaction().unwrap();
        transaction
            .execute_batch(
                "CREATE TABLE numbers (_value INTEGER);
                 CREATE TABLE rows (Host TEXT, Size INTEGER, Name TEXT);
                 CREATE TABLE log (Line TEXT);
                 CREATE TABLE small (Id INTEGER, Label TEXT);
                 CREATE TABLE many (Ref INTEGER, Size INTEGER);
                 CREATE TABLE documents (Line TEXT)",
            )
            .unwrap();
        {
            let mut insert = transaction.prepare("INSERT INTO numbers VALUES (?)").unwrap();
            for number in 0..sizes.numbers {
                insert.execute([number]).unwrap();
            }

            let mut insert = transaction.prepare("INSERT INTO rows VALUES (?, ?, ?)").unwrap();
            let table = prepared.table("rows", ["Host", "Size", "Name"]);
            for number in 0..sizes.rows {
                let host = format!("host-{:05}.example.org", random.next(sizes.keys));
                let (size, name) = (random.next(1 << 40), format!("file-{number}"));
                insert.execute(params![host, size, name]).unwrap();
                table.push([host.into(), size.into(), name.into()]);
            }

            let mut insert = transaction.prepare("INSERT INTO log VALUES (?)").unwrap();
            let table = prepared.table("log", ["Line"]);
            for number in 0..sizes.lines {
                let line = log_line(number, &mut random);
                insert.execute([&line]).unwrap();
                table.push([line.into()]);
            }

            let mut insert = transaction.prepare("INSERT INTO small VALUES (?, ?)").unwrap();
            let table = prepared.table("small", ["Id", "Label"]);
            for id in 0..sizes.small {
                let label = format!("label {id}");
                insert.execute(params![id, label]).unwrap();
                table.push([id.into(), label.into()]);
            }

            let mut insert = transaction.prepare("INSERT INTO many VALUES (?, ?)").unwrap();
            let table = prepared.table("many", ["Ref", "Size"]);
            for _ in 0..sizes.join {
                let (reference, size) = (random.next(sizes.small), random.next(1000));
                insert.execute([reference, size]).unwrap();
                table.push([reference.into(), size.into()]);
            }
        }
        let columns = Columns::new(["Pid", "Ppid", "Name", "CommandLine", "Username", "Rss", "Cpu", "Elevated"]);
        let (mut rows, mut process) = (Vec::new(), Vec::new());
        let mut all = String::new();
        {
            let mut insert = transaction.prepare("INSERT INTO documents VALUES (?)").unwrap();
            let table = prepared.table("documents", ["Line"]);
            for pid in 0..sizes.documents {
                let p = Process {
                    pid,
                    ppid: random.next(sizes.documents),
                    name: format!("worker-{}", random.next(500)),
                    command_line: format!("/usr/lib/app/worker --config=\"/etc/app/{pid}.conf\" --threads 4"),
                    username: "www-data".into(),
                    rss: random.next(1 << 32),
                    // Never a whole number, which we write without a point.
                    cpu: random.next(100) as f64 + 0.25,
                    elevated: pid % 3 == 0,
                };
                let line = serde_json::to_string(&p).unwrap();
                insert.execute([&line]).unwrap();
                all.push_str(&line);
                all.push('\n');
                table.push([line.into()]);
                rows.push(Row::new(
                    &columns,
                    vec![
                        p.pid.into(),
                        p.ppid.into(),
                        (&p.name).into(),
                        (&p.command_line).into(),
                        (&p.username).into(),
                        p.rss.into(),
                        p.cpu.into(),
                        p.elevated.into(),
                    ],
                ));
                process.push(p);
            }
        }
        transaction.commit().unwrap();
        let mut registry = Registry::core();
        registry.add_plugin(prepared);
        let execution =
            Execution::new(registry).env("AllLines", all).log(|record: vql::LogRecord| panic!("{record:?}"));
        Tables { sqlite, execution, rows, process }
    }
}

fn log_line(number: i64, random: &mut Random) -> String {
    let unit = ["sshd", "cron", "systemd", "kernel", "nginx", "postfix"][random.next(6) as usize];
    let what = match random.next(50) {
        0 => "Failed password for invalid user admin",
        1..20 => "session opened for user root by (uid=0)",
        20..35 => "GET /index.html HTTP/1.1 200 5123",
        _ => "Reached target Multi-User System after 12 ms",
    };
    let (a, b, port) = (random.next(256), random.next(256), random.next(65_536));
    format!(
        "Nov 24 08:{:02}:{:02} web-17 {unit}[{number}]: {what} from 10.1.{a}.{b} port {port} ssh2",
        number / 60 % 60,
        number % 60
    )
}

/// `REGEXP` with the engine, the flags and the case rule that `=~` has, compiled once for a statement.
fn regexp(sqlite: &Connection) {
    let flags = FunctionFlags::SQLITE_UTF8 | FunctionFlags::SQLITE_DETERMINISTIC;
    sqlite
        .create_scalar_function("regexp", 2, flags, |context| {
            let regex: Arc<Regex> = context.get_or_create_aux(0, |pattern| {
                RegexBuilder::new(pattern.as_str().unwrap()).case_insensitive(true).build()
            })?;
            Ok(regex.is_match(context.get_raw(1).as_bytes()?))
        })
        .unwrap();
}

/// Rows in memory, as a plugin: `FROM prepared(table='rows')`.
#[derive(Default)]
struct Prepared(Vec<(&'static str, Table)>);

struct Table {
    columns: Arc<Columns>,
    rows: Vec<Row>,
}

impl Table {
    fn push<const N: usize>(&mut self, values: [Value; N]) {
        self.rows.push(Row::new(&self.columns, values.into()));
    }
}

impl Prepared {
    fn table<const N: usize>(&mut self, name: &'static str, columns: [&str; N]) -> &mut Table {
        self.0.push((name, Table { columns: Columns::new(columns), rows: Vec::new() }));
        &mut self.0.last_mut().unwrap().1
    }
}

static PREPARED: Signature =
    Signature::new("prepared", "Rows in memory.", &[ArgSpec::required("table", ArgKind::String, "Which")]);

impl Plugin for Prepared {
    fn signature(&self) -> &'static Signature {
        &PREPARED
    }

    fn run(&self, cx: &Context<'_>, args: &Args<'_>, emit: &mut Emit<'_>) -> Result<Flow, CallError> {
        self.run_views(cx, args, &mut |row| emit(row.to_row()))
    }

    fn run_views(&self, _: &Context<'_>, args: &Args<'_>, emit: &mut EmitView<'_>) -> Result<Flow, CallError> {
        let wanted = args.str("table")?;
        let table = self.0.iter().find(|(name, _)| *name == &*wanted).ok_or("no such table")?;
        Ok(table.1.rows.iter().try_for_each(|row| emit(row)))
    }
}

/// How a query's answer is known again: the number of rows and the sum of the lengths and values of the cells.
type Answer = (u64, u64);

fn run_sqlite(tables: &Tables, sql: &str) -> Answer {
    let mut statement = tables.sqlite.prepare(sql).unwrap();
    let width = statement.column_count();
    let mut rows = statement.query([]).unwrap();
    let (mut count, mut sum) = (0, 0u64);
    while let Some(row) = rows.next().unwrap() {
        count += 1;
        for column in 0..width {
            sum = sum.wrapping_add(match row.get_ref(column).unwrap() {
                ValueRef::Integer(i) => i as u64,
                ValueRef::Text(text) => text.len() as u64,
                ValueRef::Real(f) => f.to_bits(),
                _ => 1,
            });
        }
    }
    (count, sum)
}

fn run_vql(tables: &Tables, script: &Script) -> Answer {
    let (mut count, mut sum) = (0, 0u64);
    let _ = tables.execution.run(script, &mut |_, row| {
        count += 1;
        for value in row.values() {
            sum = sum.wrapping_add(match value {
                Value::Int(i) => *i as u64,
                Value::Str(text) => text.len() as u64,
                Value::Float(f) => f.to_bits(),
                _ => 1,
            });
        }
        ControlFlow::Continue(())
    });
    (count, sum)
}

struct Bench {
    criterion: Criterion,
    measured: bool,
    /// What the names of the things to do contain.
    only: Option<String>,
    /// Names, and the median times of theirs and ours.
    results: Vec<(String, Duration, Duration)>,
}

impl Bench {
    fn queries(&mut self, tables: &Tables, sizes: &Sizes) {
        let numbers = sizes.numbers;
        let generated = format!("SELECT _value FROM range(end={numbers}) WHERE _value % 7 = 3 AND _value > 1000");
        for (name, sql) in [
            ("filter, their table", "SELECT _value FROM numbers WHERE _value % 7 = 3 AND _value > 1000".to_owned()),
            (
                "filter, their recursive CTE",
                format!(
                    "WITH RECURSIVE n (_value) AS (SELECT 0 UNION ALL SELECT _value + 1 FROM n LIMIT {numbers})
                     SELECT _value FROM n WHERE _value % 7 = 3 AND _value > 1000"
                ),
            ),
        ] {
            self.compare(tables, name, &sql, &generated);
        }
        for (name, sql, vql) in [
            (
                "group by, count and sum",
                "SELECT Host, count(*) AS N, sum(Size) AS Total FROM rows GROUP BY Host",
                "SELECT Host, count() AS N, sum(item=Size) AS Total FROM prepared(table='rows') GROUP BY Host",
            ),
            (
                "order by number",
                "SELECT Host, Size, Name FROM rows ORDER BY Size",
                "SELECT Host, Size, Name FROM prepared(table='rows') ORDER BY Size",
            ),
            (
                "order by text",
                "SELECT Host, Size, Name FROM rows ORDER BY Name DESC",
                "SELECT Host, Size, Name FROM prepared(table='rows') ORDER BY Name DESC",
            ),
            (
                "order by, limit 100",
                "SELECT Host, Size, Name FROM rows ORDER BY Size LIMIT 100",
                "SELECT Host, Size, Name FROM prepared(table='rows') ORDER BY Size LIMIT 100",
            ),
            (
                "regular expression",
                r"SELECT Line FROM log WHERE Line REGEXP 'Failed password for (invalid user )?\w+ from 10\.1\.'",
                r"SELECT Line FROM prepared(table='log') WHERE Line =~ '''Failed password for (invalid user )?\w+ from 10\.1\.'''",
            ),
            (
                "word in text, their LIKE",
                "SELECT Line FROM log WHERE Line LIKE '%failed password%'",
                "SELECT Line FROM prepared(table='log') WHERE Line =~ 'failed password'",
            ),
            (
                "word in text, their GLOB",
                "SELECT Line FROM log WHERE Line GLOB '*Failed password*'",
                "SELECT Line FROM prepared(table='log') WHERE 'Failed password' IN Line",
            ),
        ] {
            self.compare(tables, name, sql, vql);
        }
        self.compare_scripts(
            tables,
            "join",
            "CREATE TEMP TABLE IF NOT EXISTS Kept AS SELECT Id, Label FROM small",
            "SELECT Label, Size FROM many JOIN Kept ON Kept.Id = many.Ref",
            "LET Kept <= SELECT Id, Label FROM prepared(table='small')",
            "SELECT * FROM foreach(row={ SELECT Ref, Size FROM prepared(table='many') },
                query={ SELECT Label, Size FROM Kept WHERE Id = Ref })",
        );
        self.compare_scripts(
            tables,
            "parse JSON, two members",
            "",
            "SELECT json_extract(Line, '$.Rss'), json_extract(Line, '$.CommandLine') FROM documents",
            "LET Parsed = SELECT parse_json(data=Line) AS Doc FROM prepared(table='documents')",
            "SELECT Doc.Rss, Doc.CommandLine FROM Parsed",
        );
        self.compare_scripts(
            tables,
            "parse JSON, all members",
            "",
            "SELECT json_extract(Line, '$.Pid'), json_extract(Line, '$.Ppid'), json_extract(Line, '$.Name'),
                json_extract(Line, '$.CommandLine'), json_extract(Line, '$.Username'), json_extract(Line, '$.Rss'),
                json_extract(Line, '$.Cpu') + 0.0 FROM documents",
            "",
            "SELECT Pid, Ppid, Name, CommandLine, Username, Rss, Cpu FROM parse_jsonl(accessor='data', filename=AllLines)",
        );
    }

    fn compare(&mut self, tables: &Tables, name: &str, sql: &str, vql: &str) {
        self.compare_scripts(tables, name, "", sql, "", vql);
    }

    /// Times the second statement of each side; the first prepares it.
    fn compare_scripts(
        &mut self,
        tables: &Tables,
        name: &str,
        sql_before: &str,
        sql: &str,
        vql_before: &str,
        vql: &str,
    ) {
        if self.only.as_ref().is_some_and(|only| !name.contains(&**only)) {
            return;
        }
        let parse = |text: &str| {
            let parsed = vql::syntax::parse(text);
            assert!(parsed.diagnostics.is_empty(), "{:?}", parsed.diagnostics);
            parsed.script
        };
        tables.sqlite.execute_batch(sql_before).unwrap();
        if !vql_before.is_empty() {
            run_vql(tables, &parse(vql_before));
        }
        let script = parse(vql);
        let (theirs, ours) = (run_sqlite(tables, sql), run_vql(tables, &script));
        assert_eq!(theirs, ours, "{name}: the answers differ");
        self.measure(name, || _ = black_box(run_sqlite(tables, sql)), || _ = black_box(run_vql(tables, &script)));
    }

    fn json_lines(&mut self, tables: &Tables) {
        let mut out: Vec<u8> = Vec::new();
        for row in &tables.rows {
            row.write_json(&mut out);
            out.push(b'\n');
        }
        let bytes = out.len();
        let mut typed: Vec<u8> = Vec::new();
        let name = "rows to JSON lines, their serde_json";
        self.measure(
            name,
            || {
                typed.clear();
                for process in &tables.process {
                    serde_json::to_writer(&mut typed, black_box(process)).unwrap();
                    typed.push(b'\n');
                }
            },
            || {
                out.clear();
                for row in &tables.rows {
                    black_box(row).write_json(&mut out);
                    out.push(b'\n');
                }
            },
        );
        if self.measured
            && let Some((_, theirs, ours)) = self.results.iter().find(|(n, ..)| n == name)
        {
            let rate = |time: &Duration| bytes as f64 / time.as_secs_f64() / 1e9;
            println!("{bytes} bytes: serde_json {:.2} GB/s, ours {:.2} GB/s", rate(theirs), rate(ours));
        }
        assert!(typed.is_empty() || String::from_utf8_lossy(&typed).lines().eq(String::from_utf8_lossy(&out).lines()));
    }

    /// Runs the two in turns, so that what else the machine does meets both alike. Criterion keeps our time.
    fn measure(&mut self, name: &str, mut theirs: impl FnMut(), mut ours: impl FnMut()) {
        let (mut their_times, mut our_times) = (Vec::new(), Vec::new());
        let mut group = self.criterion.benchmark_group("sqlite");
        group.sampling_mode(SamplingMode::Flat);
        group.bench_function(name, |b| {
            b.iter_custom(|count| {
                let mut sum = Duration::ZERO;
                for _ in 0..count {
                    let start = cpu_time();
                    theirs();
                    let middle = cpu_time();
                    ours();
                    let end = cpu_time();
                    their_times.push(middle - start);
                    our_times.push(end - middle);
                    sum += end - middle;
                }
                sum
            });
        });
        group.finish();
        if !their_times.is_empty() {
            self.results.push((name.to_owned(), median(their_times), median(our_times)));
        }
    }

    fn print(&self) {
        if !self.measured {
            return;
        }
        println!("\n| what | SQLite, ms | VQL, ms | SQLite / VQL |\n|---|---:|---:|---:|");
        for (name, theirs, ours) in &self.results {
            let ms = |time: &Duration| time.as_secs_f64() * 1e3;
            println!("| {name} | {:.1} | {:.1} | {:.2} |", ms(theirs), ms(ours), ms(theirs) / ms(ours));
        }
    }
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times[times.len() / 2]
}

/// What this thread has spent computing: the time that others take from it on a busy machine does not count.
#[cfg(unix)]
fn cpu_time() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

#[cfg(not(unix))]
fn cpu_time() -> Duration {
    static START: std::sync::OnceLock<std::time::Instant> = std::sync::OnceLock::new();
    START.get_or_init(std::time::Instant::now).elapsed()
}
