//! The parsers of text, with files that are huge, endless or garbage.

#![allow(clippy::unwrap_used)]

use std::io::{self, Read, Seek, SeekFrom};
use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use vql::accessor::{Entry, Meta, ReadSeek};
use vql::{Accessor, CancelToken, Context, Execution, OsPath, Registry};

/// The path as a record, over and over, without an end. Counts what is read of it.
struct Endless(Arc<AtomicU64>);

struct Repeated {
    record: Vec<u8>,
    at: usize,
    read: Arc<AtomicU64>,
}

impl Read for Repeated {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        for byte in buffer.iter_mut() {
            *byte = self.record[self.at % self.record.len()];
            self.at += 1;
        }
        self.read.fetch_add(buffer.len() as u64, Ordering::Relaxed);
        Ok(buffer.len())
    }
}

impl Seek for Repeated {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.at = if let SeekFrom::Start(at) = to { at as usize } else { self.at };
        Ok(self.at as u64)
    }
}

impl Accessor for Endless {
    fn name(&self) -> &'static str {
        "endless"
    }
    fn path_kind(&self) -> vql::PathKind {
        vql::PathKind::Opaque
    }
    fn open(&self, _cx: &Context<'_>, path: &OsPath) -> io::Result<Box<dyn ReadSeek>> {
        Ok(Box::new(Repeated { record: path.bytes().to_vec(), at: 0, read: self.0.clone() }))
    }
    fn stat(&self, _cx: &Context<'_>, _path: &OsPath, _follow: bool) -> io::Result<Meta> {
        Ok(Meta::default())
    }
    fn list(&self, _: &Context<'_>, _: &OsPath, _: &mut dyn FnMut(Entry) -> ControlFlow<()>) -> io::Result<()> {
        Ok(())
    }
}

fn registry(read: &Arc<AtomicU64>) -> Registry {
    let mut registry = Registry::core();
    registry.add_accessor(Endless(read.clone()));
    registry
}

/// Runs the script on a thread of its own until `rows` are there or the token is cancelled; the rows in JSON.
fn run(text: &str, read: &Arc<AtomicU64>, cancel: &CancelToken, rows: usize) -> (Vec<String>, Vec<String>) {
    let log: Arc<std::sync::Mutex<Vec<String>>> = Arc::default();
    let sink = log.clone();
    let execution = Execution::new(registry(read))
        .cancel(cancel.clone())
        .log(move |record: vql::LogRecord| sink.lock().unwrap().push(record.message));
    let parsed = vql::syntax::parse(text);
    assert!(!parsed.diagnostics.iter().any(|d| d.is_error()), "{text}: {:?}", parsed.diagnostics);
    let mut found = Vec::new();
    let _ = execution.run(&parsed.script, &mut |_, row| {
        found.push(row.to_json());
        if found.len() == rows { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    });
    let log = log.lock().unwrap().clone();
    (found, log)
}

/// A plugin over a file that does not end.
const STREAMS: &[(&str, &str)] = &[
    ("parse_lines(accessor='endless', filename='line\n')", r#"{"Line":"line"}"#),
    ("parse_csv(accessor='endless', filename='a,b\n')", r#"{"a":"a","b":"b"}"#),
    ("parse_jsonl(accessor='endless', filename='{\"a\":1}\n')", r#"{"a":1}"#),
    ("split_records(accessor='endless', filenames='a b\n', columns=('A', 'B'))", r#"{"A":"a","B":"b"}"#),
    ("parse_records_with_regex(accessor='endless', file='ab ', regex='(?P<A>a)b')", r#"{"A":"a"}"#),
    ("read_file(accessor='endless', filenames='ab', chunk=2)", r#"{"Data":"ab","Offset":0,"Filename":"ab"}"#),
];

#[test]
fn the_first_row_leaves_before_the_file_is_read() {
    for (plugin, expected) in STREAMS {
        let read = Arc::new(AtomicU64::new(0));
        let (rows, log) = run(&format!("SELECT * FROM {plugin}"), &read, &CancelToken::new(), 1);
        assert_eq!(rows, [*expected], "{plugin}: {log:?}");
        let read = read.load(Ordering::Relaxed);
        assert!(read <= 512 << 10, "{plugin} read {read} bytes for one row");
    }
}

#[test]
fn all_stop_when_the_query_is_to_stop() {
    let more = [
        // No row ever comes of these.
        "parse_lines(accessor='endless', filename='line\n') WHERE FALSE",
        "parse_csv(accessor='endless', filename='a,b\n') WHERE FALSE",
        "parse_jsonl(accessor='endless', filename='{\"a\":1}\n') WHERE FALSE",
        "parse_jsonl(accessor='endless', filename='no json\n') WHERE FALSE",
        "split_records(accessor='endless', filenames='a b\n', columns='A') WHERE FALSE",
        "split_records(accessor='endless', filenames='\n', columns='A')",
        "split_records(accessor='endless', filenames='\n', columns='A', record_regex='\\n+')",
        "parse_records_with_regex(accessor='endless', file='ab ', regex='(?P<A>a)b') WHERE FALSE",
        "parse_records_with_regex(accessor='endless', file='ab ', regex='nothing')",
        "read_file(accessor='endless', filenames='ab') WHERE FALSE",
    ];
    for plugin in more {
        let read = Arc::new(AtomicU64::new(0));
        let cancel = CancelToken::new();
        let stopped = std::thread::scope(|scope| {
            let running = scope.spawn(|| run(&format!("SELECT * FROM {plugin}"), &read, &cancel, usize::MAX));
            // It runs, as it reads.
            while read.load(Ordering::Relaxed) < 1 << 20 {
                assert!(!running.is_finished(), "{plugin} ended: {:?}", running.join());
                std::thread::yield_now();
            }
            let asked = Instant::now();
            cancel.cancel();
            running.join().unwrap();
            asked.elapsed()
        });
        // 100 ms on an idle machine; others build while this runs.
        assert!(stopped < Duration::from_secs(1), "{plugin} went on for {stopped:?}");
    }
}

#[test]
fn what_must_be_there_as_a_whole_is_bounded() {
    for call in ["parse_xml(accessor='endless', file='<a>')", "parse_yaml(accessor='endless', filename='- a\n')"] {
        let read = Arc::new(AtomicU64::new(0));
        let (rows, log) = run(&format!("SELECT {call} AS A FROM scope()"), &read, &CancelToken::new(), 2);
        assert_eq!(rows, [r#"{"A":null}"#], "{call}");
        assert!(log.iter().any(|line| line.contains("longer than 64 MiB")), "{call}: {log:?}");
    }
    // A quote that is not closed, a line without an end.
    for (plugin, expected) in [
        ("parse_csv(accessor='endless', filename='\"a')", "is a quote not closed?"),
        ("parse_jsonl(accessor='endless', filename='{') LIMIT 1", "longer than 64 MiB"),
    ] {
        let read = Arc::new(AtomicU64::new(0));
        let cancel = CancelToken::new();
        std::thread::scope(|scope| {
            let running = scope.spawn(|| run(&format!("SELECT * FROM {plugin}"), &read, &cancel, 1));
            while read.load(Ordering::Relaxed) < 200 << 20 && !running.is_finished() {
                std::thread::yield_now();
            }
            cancel.cancel();
            let (_, log) = running.join().unwrap();
            assert!(log.iter().any(|line| line.contains(expected)), "{plugin}: {log:?}");
        });
    }
}

/// Numbers that look random and are the same each time.
fn garbage(seed: u64, length: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut next = move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    // Half of it is what the formats give a meaning to.
    const MEANS: &[u8] = b"<>&;\"'{}[]:,\n\r\t \\/=!?-#%$()|0123456789.abcAttr";
    (0..length)
        .map(|_| {
            let n = next();
            if n & 1 == 0 { (n >> 8) as u8 } else { MEANS[(n >> 8) as usize % MEANS.len()] }
        })
        .collect()
}

#[test]
fn garbage_makes_no_one_panic() {
    let gzip = {
        use std::io::Write as _;
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(&garbage(7, 3000)).unwrap();
        encoder.finish().unwrap()
    };
    let bzip2: &[u8] = &[
        0x42, 0x5a, 0x68, 0x39, 0x31, 0x41, 0x59, 0x26, 0x53, 0x59, 0xcb, 0xcb, 0xc7, 0x44, 0, 0, 1, 0xd5, 0x80, 0,
        0x10, 0x60, 0, 0, 0x40, 6, 4, 0x90, 0x80, 0x20, 0, 0x31, 0, 0x30, 0x20, 0x68, 0x62, 0x59, 0xd0, 0x79, 0x21,
        0x0c, 0xbf, 0x17, 0x72, 0x45, 0x38, 0x50, 0x90, 0xcb, 0xcb, 0xc7, 0x44,
    ];
    #[rustfmt::skip]
    let zip: &[u8] = &[
        80, 75, 3, 4, 20, 0, 0, 0, 8, 0, 131, 24, 34, 88, 44, 127, 13, 210, 19, 0, 0, 0, 17, 0, 0, 0, 11, 0, 0, 0, 97, 47, 104, 101, 108, 108, 111, 46, 116, 120, 116, 243, 72, 205, 201, 201, 87, 72, 43, 202, 207, 85, 40, 207, 44, 201, 200, 204, 3, 0, 80, 75, 3, 4, 20, 0, 0, 0, 0, 0, 131, 24, 34, 88, 11, 249, 67, 86, 6, 0, 0, 0, 6, 0, 0, 0, 5, 0, 0, 0, 98, 46, 116, 120, 116, 115, 116, 111, 114, 101, 100, 80, 75, 1, 2, 20, 3, 20, 0, 0, 0, 8, 0, 131, 24, 34, 88, 44, 127, 13, 210, 19, 0, 0, 0, 17, 0, 0, 0, 11, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 128, 1, 0, 0, 0, 0, 97, 47, 104, 101, 108, 108, 111, 46, 116, 120, 116, 80, 75, 1, 2, 20, 3, 20, 0, 0, 0, 0, 0, 131, 24, 34, 88, 11, 249, 67, 86, 6, 0, 0, 0, 6, 0, 0, 0, 5, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 128, 1, 60, 0, 0, 0, 98, 46, 116, 120, 116, 80, 75, 5, 6, 0, 0, 0, 0, 2, 0, 2, 0, 108, 0, 0, 0, 101, 0, 0, 0, 0, 0,
    ];
    let script = "
        SELECT count() AS N FROM parse_lines(accessor='scope', filename='D') GROUP BY 1
        SELECT count() AS N FROM parse_csv(accessor='scope', filename='D') GROUP BY 1
        SELECT count() AS N FROM parse_jsonl(accessor='scope', filename='D') GROUP BY 1
        SELECT count() AS N FROM split_records(accessor='scope', filenames='D', columns=('A', 'B')) GROUP BY 1
        SELECT count() AS N FROM split_records(accessor='scope', filenames='D', first_row_is_headers=TRUE, buffer_size=7) GROUP BY 1
        SELECT count() AS N FROM parse_records_with_regex(accessor='scope', file='D', regex='(?P<A>[a-c]+)|(?P<B>\\\\b)', buffer_size=5) GROUP BY 1
        SELECT parse_xml(accessor='scope', file='D'), parse_yaml(accessor='scope', filename='D'), parse_json(data=D),
               template(template=D, expansion=dict(a=1)), grok(grok=D, data='abc'), pathspec(parse=D), path_split(path=D),
               pathspec(Path=D, path_type='registry').Dirname, pathspec(Path=D, path_type='ntfs') + D,
               read_file(accessor='gzip', filename=pathspec(DelegateAccessor='scope', DelegatePath='D')),
               read_file(accessor='bzip2', filename=pathspec(DelegateAccessor='scope', DelegatePath='D')),
               read_file(accessor='zip', filename=pathspec(DelegateAccessor='scope', DelegatePath='D', Path='a/hello.txt')),
               read_file(accessor='zip_nocase', filename=pathspec(DelegateAccessor='scope', DelegatePath='D', Path='B.TXT')),
               read_file(accessor='sparse', filename=pathspec(DelegateAccessor='scope', DelegatePath='D', Path=D)),
               commandline_split(command=D), commandline_split(command=D, bash_style=TRUE) FROM scope()";
    for seed in 0..400 {
        let mut data = garbage(seed, 20 + (seed as usize * 7) % 400);
        match seed % 4 {
            1 => {
                let at = data[0] as usize * 7 % gzip.len();
                data = gzip.clone();
                data[at] ^= seed as u8;
            }
            2 => {
                let at = data[0] as usize % bzip2.len();
                data = bzip2.to_vec();
                data[at] ^= 1 << (seed % 8);
            }
            3 => {
                let at = (data[0] as usize * 256 + data[1] as usize) % zip.len();
                data = zip.to_vec();
                data[at] ^= 1 << (seed / 4 % 8);
            }
            _ => {}
        }
        let execution = Execution::new(Registry::core()).env("D", vql::Value::from_bytes(&data));
        let parsed = vql::syntax::parse(script);
        let mut rows = 0;
        let _ = execution.run(&parsed.script, &mut |_, row| {
            rows += 1;
            assert!(!row.to_json().is_empty());
            ControlFlow::Continue(())
        });
        assert!(rows > 0, "seed {seed}");
    }
}
