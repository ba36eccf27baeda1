//! Endpoint VQL through the evaluator, on trees of files with hostile names.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used)]

use std::{
    fs,
    ops::ControlFlow,
    os::unix::{
        ffi::OsStrExt as _,
        fs::{PermissionsExt as _, symlink},
    },
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use parking_lot::Mutex;
use vql::{CancelToken, Execution, Level, LogRecord, Row};

use super::*;

/// Runs a query with the variables `Dir` and `Dir2`; its rows, and its log from warnings up.
fn query_in(dir: &Path, text: &str) -> (Vec<Row>, Vec<String>) {
    let script = vql::syntax::parse(text);
    assert!(script.diagnostics.is_empty(), "{text}: {:?}", script.diagnostics);
    let log = Arc::new(Mutex::new(Vec::new()));
    let lines = log.clone();
    let mut rows = Vec::new();
    let _ = Execution::new(registry())
        .env("Dir", dir)
        .log(move |record: LogRecord| {
            if record.level >= Level::Warn {
                lines.lock().push(record.message);
            }
        })
        .run(&script.script, &mut |_, row| {
            rows.push(row);
            ControlFlow::Continue(())
        });
    let log = std::mem::take(&mut *log.lock());
    (rows, log)
}

/// The rows of a query that has nothing to complain of, as JSON lines.
fn json(dir: &Path, text: &str) -> Vec<String> {
    let (rows, log) = query_in(dir, text);
    assert_eq!(log, Vec::<String>::new(), "{text}");
    rows.iter().map(Row::to_json).collect()
}

fn tree() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path();
    fs::create_dir_all(root.join("a/b/c/d")).unwrap();
    fs::create_dir_all(root.join("e")).unwrap();
    for (path, content) in [
        ("top.txt", "top"),
        ("Top.TXT", "TOP"),
        ("a/one.txt", "1"),
        ("a/b/two.txt", "22"),
        ("a/b/c/three.txt", "333"),
        ("a/b/c/d/four.log", "4444"),
        ("e/[x].txt", ""),
        ("e/new\nline", "n"),
    ] {
        fs::write(root.join(path), content).unwrap();
    }
    fs::write(root.join(std::ffi::OsStr::from_bytes(b"e/bad\xff")), "bytes").unwrap();
    // Links: back up, to a file, to nothing, and into another part.
    symlink("..", root.join("a/b/up")).unwrap();
    symlink("../top.txt", root.join("e/link")).unwrap();
    symlink("nowhere", root.join("e/dangling")).unwrap();
    symlink("../a/b", root.join("e/into")).unwrap();
    dir
}

#[test]
fn every_example_runs() {
    let (registry, core) = (registry(), Registry::core());
    for signature in registry.plugin_signatures().chain(registry.function_signatures()) {
        if core.names().contains(&signature.name) {
            continue;
        }
        for example in signature.examples {
            let (rows, log) = query_in(Path::new("/"), example);
            // Only a flow can upload, and not every host has the file.
            let log: Vec<_> = log.into_iter().filter(|line| !line.starts_with("upload")).collect();
            assert!(log.is_empty(), "{}: {example}: {log:?}", signature.name);
            let may_be_empty = ["netstat", "interfaces"].contains(&signature.name);
            assert!(may_be_empty || !rows.is_empty(), "{}: {example} gives nothing", signature.name);
        }
    }
}

#[test]
fn glob_finds_what_its_patterns_say() {
    let dir = tree();
    let table: &[(&str, &[&str])] = &[
        ("globs='*.txt'", &["top.txt"]),
        ("globs='*.txt', accessor='file_nocase'", &["Top.TXT", "top.txt"]),
        ("globs='TOP.txt', accessor='file_nocase'", &["Top.TXT", "top.txt"]),
        ("globs='a/*/two.txt'", &["a/b/two.txt"]),
        ("globs='a/b/two.txt'", &["a/b/two.txt"]),
        ("globs='/a//b/./two.txt'", &[]),
        ("globs='../**'", &[]),
        ("globs='{a,e}/*.txt'", &["a/one.txt", "e/[x].txt"]),
        ("globs=('*.txt', 'top*', 't??.txt')", &["top.txt"]),
        ("globs='e/[[]x].txt'", &["e/[x].txt"]),
        ("globs='e/new?line'", &["e/new\\nline"]),
        ("globs='e/bad*'", &["e/bad\u{fffd}"]),
        // `**` at the end: everything below; in the middle: none or more directories.
        ("globs='a/b/c/**'", &["a/b/c/d", "a/b/c/d/four.log", "a/b/c/three.txt"]),
        ("globs='a/b/c/**1'", &["a/b/c/d", "a/b/c/three.txt"]),
        ("globs='a/**/*.txt', nosymlink=TRUE", &["a/b/c/three.txt", "a/b/two.txt", "a/one.txt"]),
        ("globs='a/**1/*.txt', nosymlink=TRUE", &["a/b/two.txt", "a/one.txt"]),
        ("globs='a/**0/*.txt', nosymlink=TRUE", &["a/one.txt"]),
        // A link that leads back up is found but not followed; one into another part is.
        ("globs='a/**/up'", &["a/b/up"]),
        ("globs='e/**/two.txt'", &["e/into/two.txt"]),
        ("globs='e/*/two.txt'", &["e/into/two.txt"]),
        ("globs='e/**/two.txt', nosymlink=TRUE", &[]),
        ("globs='e/{link,dangling}'", &["e/dangling", "e/link"]),
        ("globs='a/**', recursion_callback='x => x.Name != \"b\"'", &["a/b", "a/one.txt"]),
        ("globs='a/**1', one_filesystem=TRUE", &["a/b", "a/one.txt"]),
        ("globs='a/**/**/**/two.txt', nosymlink=TRUE", &["a/b/two.txt"]),
        ("globs='nothing/**'", &[]),
        ("globs=[]", &[]),
    ];
    let root = format!("{}/", dir.path().display());
    for (args, expected) in table {
        let (rows, log) = query_in(dir.path(), &format!("SELECT OSPath FROM glob({args}, root=Dir)"));
        assert!(log.is_empty(), "{args}: {log:?}");
        let mut found: Vec<String> = rows
            .iter()
            .map(|row| row.values()[0].to_text().strip_prefix(&*root).unwrap().replace('\n', "\\n"))
            .collect();
        found.sort();
        assert_eq!(found, *expected, "{args}");
    }
    let everywhere = |args: &str| json(dir.path(), &format!("SELECT OSPath FROM glob(globs={args})"));
    assert_eq!(everywhere("'/pro?/uptime'"), [r#"{"OSPath":"/proc/uptime"}"#]);
    assert!(everywhere("'/pro?/uptime', one_filesystem=TRUE").is_empty());
    assert_eq!(everywhere("'/proc/upt*', one_filesystem=TRUE"), [r#"{"OSPath":"/proc/uptime"}"#]);
    let (_, log) = query_in(dir.path(), "SELECT * FROM glob(globs='*', accessor='fiel', root=Dir)");
    assert!(log[0].contains("`fiel`") && log[0].contains("file"), "{log:?}");
}

#[test]
fn a_tree_of_links_to_each_other_comes_to_an_end() {
    let dir = tempfile::tempdir().unwrap();
    let names: Vec<String> = (0..8).map(|n| format!("d{n}")).collect();
    for name in &names {
        fs::create_dir(dir.path().join(name)).unwrap();
        for other in &names {
            symlink(format!("../{other}"), dir.path().join(name).join(format!("to-{other}"))).unwrap();
        }
    }
    let rows = json(dir.path(), "SELECT OSPath FROM glob(globs='**', root=Dir)");
    assert!((72..1000).contains(&rows.len()), "{}", rows.len());
}

#[test]
fn a_file_is_described() {
    let dir = tree();
    fs::set_permissions(dir.path().join("top.txt"), fs::Permissions::from_mode(0o640)).unwrap();
    let columns = "Name, Size, Mode, Mode.String AS S, IsDir, IsLink, Data.Link AS Link, Mtime > 1000 AS New";
    for (path, expected) in [
        (
            "top.txt",
            r#"{"Name":"top.txt","Size":3,"Mode":"-rw-r-----","S":"-rw-r-----","IsDir":false,"IsLink":false,"Link":null,"New":true}"#,
        ),
        (
            "e/link",
            r#"{"Name":"link","Size":10,"Mode":"lrwxrwxrwx","S":"lrwxrwxrwx","IsDir":false,"IsLink":true,"Link":"../top.txt","New":true}"#,
        ),
    ] {
        assert_eq!(json(dir.path(), &format!("SELECT {columns} FROM stat(filename=Dir + '/{path}')")), [expected]);
        assert_eq!(json(dir.path(), &format!("SELECT {columns} FROM glob(globs='{path}', root=Dir)")), [expected]);
    }
    assert_eq!(json(dir.path(), "SELECT * FROM stat(filename=Dir + '/none')"), Vec::<String>::new());
    assert_eq!(json(dir.path(), "SELECT stat(filename=Dir + '/none') AS S FROM scope()"), [r#"{"S":null}"#]);
    assert_eq!(json(dir.path(), "SELECT stat(filename=Dir + '/e').IsDir AS D FROM scope()"), [r#"{"D":true}"#]);
}

#[test]
fn content_is_read_hashed_and_cut_into_lines() {
    let dir = tree();
    for (query, expected) in [
        (
            "SELECT Data, Offset FROM read_file(filenames=('abcdefg', 'xy'), accessor='data', chunk=3)",
            vec![
                r#"{"Data":"abc","Offset":0}"#,
                r#"{"Data":"def","Offset":3}"#,
                r#"{"Data":"g","Offset":6}"#,
                r#"{"Data":"xy","Offset":0}"#,
            ],
        ),
        (
            "SELECT Data FROM read_file(filenames='abcdefg', accessor='data', chunk=3, max_length=4)",
            vec![r#"{"Data":"abc"}"#, r#"{"Data":"d"}"#],
        ),
        ("SELECT read_file(filename=Dir + '/a/b/two.txt') AS D FROM scope()", vec![r#"{"D":"22"}"#]),
        (
            "SELECT read_file(filename='abcdef', accessor='data', offset=2, length=3) AS D FROM scope()",
            vec![r#"{"D":"cde"}"#],
        ),
        // A name that is no text comes back from glob and opens.
        ("SELECT read_file(filename=OSPath) AS D FROM glob(globs='e/bad*', root=Dir)", vec![r#"{"D":"bytes"}"#]),
        ("SELECT read_file(filename=OSPath) AS D FROM glob(globs='e/new*', root=Dir)", vec![r#"{"D":"n"}"#]),
        (
            "SELECT hash(path='abc', accessor='data') AS H FROM scope()",
            vec![concat!(
                r#"{"H":{"MD5":"900150983cd24fb0d6963f7d28e17f72","SHA1":"a9993e364706816aba3e25717850c26c9cd0d89d","#,
                r#""SHA256":"ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"}}"#
            )],
        ),
        (
            "SELECT hash(path='abc', accessor='data', hashselect='md5') AS H FROM scope()",
            vec![r#"{"H":{"MD5":"900150983cd24fb0d6963f7d28e17f72"}}"#],
        ),
        ("SELECT hash(path='abc', accessor='data', max_size=2) AS H FROM scope()", vec![r#"{"H":null}"#]),
        (
            "SELECT Line FROM parse_lines(filename='a\r\n\nlast', accessor='data')",
            vec![r#"{"Line":"a"}"#, r#"{"Line":""}"#, r#"{"Line":"last"}"#],
        ),
        (
            "SELECT Line FROM parse_lines(filename='abcdefgh\nij', accessor='data', buffer_size=5)",
            vec![r#"{"Line":"abcde"}"#, r#"{"Line":"fgh"}"#, r#"{"Line":"ij"}"#],
        ),
    ] {
        assert_eq!(json(dir.path(), query), expected, "{query}");
    }
    assert_eq!(
        json(
            dir.path(),
            "SELECT compress(path=Dir + '/top.txt', output=Dir + '/top.gz') = Dir + '/top.gz' AS Same, gunzip(string=read_file(filename=Dir + '/top.gz')) = read_file(filename=Dir + '/top.txt') AS Back FROM scope()"
        ),
        [r#"{"Same":true,"Back":true}"#]
    );
    for query in [
        "SELECT compress(path=Dir + '/none', output=Dir + '/none.gz') AS C FROM scope()",
        "SELECT compress(path=Dir + '/top.txt', output=Dir + '/a/../top.txt') AS C FROM scope()",
        "SELECT compress(path=Dir + '/top.txt', output=Dir + '/no/where.gz') AS C FROM scope()",
        "SELECT * FROM read_file(filenames=Dir + '/none')",
        "SELECT * FROM parse_lines(filename=Dir + '/none')",
        "SELECT hash(path=Dir + '/none') AS H FROM scope()",
        "SELECT read_file(filename=Dir) AS D FROM scope()",
        "SELECT hash(path='', accessor='data', hashselect='CRC') AS H FROM scope()",
        "SELECT upload(file=Dir + '/top.txt') AS U FROM scope()",
    ] {
        let (_, log) = query_in(dir.path(), query);
        assert_eq!(log.len(), 1, "{query}: {log:?}");
    }
}

#[test]
fn programs_run_and_what_they_say_comes_in_rows() {
    let dir = tempfile::tempdir().unwrap();
    for (args, expected) in [
        (
            "argv=('sh', '-c', 'echo out; echo err >&2; exit 3')",
            vec![r#"{"Stdout":"out\n","Stderr":"err\n","ReturnCode":3,"Complete":true}"#],
        ),
        (
            r"argv=('printf', 'a\\nb\\nc'), sep='\n'",
            vec![
                r#"{"Stdout":"a","Stderr":"","ReturnCode":null,"Complete":false}"#,
                r#"{"Stdout":"b","Stderr":"","ReturnCode":null,"Complete":false}"#,
                r#"{"Stdout":"c","Stderr":"","ReturnCode":0,"Complete":true}"#,
            ],
        ),
        (
            "argv=('printf', 'abcde'), length=2",
            vec![
                r#"{"Stdout":"ab","Stderr":"","ReturnCode":null,"Complete":false}"#,
                r#"{"Stdout":"cd","Stderr":"","ReturnCode":null,"Complete":false}"#,
                r#"{"Stdout":"e","Stderr":"","ReturnCode":0,"Complete":true}"#,
            ],
        ),
        (
            "argv=('sh', '-c', 'echo $SWOOP_X; kill -9 $$'), env=dict(SWOOP_X='x y')",
            vec![r#"{"Stdout":"x y\n","Stderr":"","ReturnCode":-9,"Complete":true}"#],
        ),
        ("argv='true', cwd='/'", vec![r#"{"Stdout":"","Stderr":"","ReturnCode":0,"Complete":true}"#]),
    ] {
        assert_eq!(json(dir.path(), &format!("SELECT * FROM execve({args})")), expected, "{args}");
    }
    let (rows, log) = query_in(dir.path(), "SELECT * FROM execve(argv='/no/such/program')");
    assert!(rows.is_empty() && log[0].contains("/no/such/program"), "{log:?}");
    // A program without an end is stopped by LIMIT, and does not fill the memory before.
    assert_eq!(json(dir.path(), r"SELECT Stdout FROM execve(argv='yes', sep='\n') LIMIT 2").len(), 2);
}

#[test]
fn a_stopped_query_kills_the_program_and_its_children() {
    let dir = tempfile::tempdir().unwrap();
    let pid_file = dir.path().join("pid");
    let text =
        "SELECT * FROM execve(argv=('sh', '-c', 'sleep 1000 & echo $! > pid.tmp; mv pid.tmp pid; wait'), cwd=Dir)";
    let script = vql::syntax::parse(text);
    let cancel = CancelToken::new();
    let execution = Execution::new(registry()).env("Dir", dir.path()).cancel(cancel.clone());
    let (asked, stopped) = std::thread::scope(|scope| {
        let query = scope.spawn(|| execution.run(&script.script, &mut |_, _| ControlFlow::Continue(())));
        while !pid_file.exists() {
            std::thread::yield_now();
        }
        let asked = Instant::now();
        cancel.cancel();
        assert!(query.join().unwrap().is_break());
        (asked, asked.elapsed())
    });
    // It takes some 20 ms; a busy machine may need longer.
    assert!(stopped < Duration::from_secs(2), "{stopped:?}");
    let child: i32 = fs::read_to_string(pid_file).unwrap().trim().parse().unwrap();
    // It dies, and is perhaps not collected by init.
    let lives = || fs::read_to_string(format!("/proc/{child}/stat")).is_ok_and(|stat| !stat.contains(") Z "));
    while lives() {
        assert!(asked.elapsed() < Duration::from_secs(10), "the child lives on");
        std::thread::yield_now();
    }
}

#[test]
fn this_process_is_among_the_processes() {
    let here = Path::new("/");
    let rows = json(here, "SELECT Pid, Name, Ppid > 0 AS Child, Exe != '' AS HasExe FROM pslist(pid=getpid())");
    assert_eq!(rows.len(), 1);
    assert!(rows[0].contains(&format!("\"Pid\":{}", std::process::id())) && rows[0].contains(r#""HasExe":true"#));
    assert_eq!(json(here, "SELECT * FROM pslist(pid=-5)"), Vec::<String>::new());
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let text =
        format!("SELECT Pid, Status, Laddr.IP AS IP FROM netstat() WHERE Laddr.Port = {port} AND Status = 'LISTEN'");
    let expected = format!(r#"{{"Pid":{},"Status":"LISTEN","IP":"127.0.0.1"}}"#, std::process::id());
    assert_eq!(json(here, &text), [expected]);
    let info = json(here, "SELECT OS, Hostname != '' AS H, BootTime < now() AS B, Uptime > 0 AS U FROM info()");
    assert_eq!(info, [r#"{"OS":"linux","H":true,"B":true,"U":true}"#]);
    assert_eq!(json(here, "SELECT User FROM users() WHERE Uid = 0 LIMIT 1").len(), 1);
}

#[test]
fn files_are_written_and_copied_and_go_again() {
    let dir = tree();
    let mode = |name: &str| fs::metadata(dir.path().join(name)).unwrap().permissions().mode() & 0o777;
    let read = |name: &str| fs::read_to_string(dir.path().join(name)).unwrap();
    let value = |expr: &str| json(dir.path(), &format!("SELECT {expr} AS V FROM scope()")).remove(0);

    value("write_file(data='one', dest=Dir + '/new')");
    value("write_file(data='two', dest=Dir + '/new', append=TRUE, permissions='x')");
    assert_eq!((read("new").as_str(), mode("new")), ("onetwo", 0o700));
    value("write_file(data='three', dest=Dir + '/new')");
    assert_eq!(read("new"), "three");
    value("copy(filename=Dir + '/new', dest=Dir + '/x/y/z', create_directories=TRUE, permissions='rw-r--r--')");
    assert_eq!((read("x/y/z").as_str(), mode("x/y/z"), mode("x")), ("three", 0o644, 0o700));
    value("copy(filename='Hello', accessor='data', dest=Dir + '/hi')");
    assert_eq!((read("hi").as_str(), mode("hi")), ("Hello", 0o600));
    assert_eq!(value("rm(filename=Dir + '/hi')"), r#"{"V":true}"#);
    assert!(!dir.path().join("hi").exists());

    // Temporary files are there while the query runs.
    let text = "tempfile(data=('a', 'b'), extension='.txt', permissions='x')";
    let rows = json(
        dir.path(),
        &format!(
            "LET F <= {text} LET D <= tempdir() SELECT F, D, read_file(filename=F) AS Text, \
                  write_file(data='x', dest=D + '/x') AS X, stat(filename=F).Mode.String AS Mode FROM scope()"
        ),
    );
    let row: serde_json::Value = serde_json::from_str(&rows[0]).unwrap();
    assert_eq!((row["Text"].as_str(), row["Mode"].as_str()), (Some("ab"), Some("-rwx------")));
    assert!(row["F"].as_str().unwrap().ends_with(".txt"));
    for gone in ["F", "D", "X"] {
        assert!(!Path::new(row[gone].as_str().unwrap()).exists(), "{gone} is still there");
    }

    for (query, part) in [
        ("copy(filename=Dir + '/none', dest=Dir + '/x')", "No such file"),
        ("write_file(data='x', dest=Dir + '/no/such/dir')", "No such file"),
        ("write_file(data='x', dest=Dir)", "Is a directory"),
        ("write_file(data='x', dest=Dir + '/new', permissions='yes')", "'0755'"),
        ("write_file(data='x', dest='')", "names no file"),
        ("rm(filename=Dir + '/none')", "No such file"),
        ("tempfile(extension='/../x')", "`extension`"),
    ] {
        let (_, log) = query_in(dir.path(), &format!("SELECT {query} AS V FROM scope()"));
        assert!(log.len() == 1 && log[0].contains(part), "{query}: {log:?}");
    }
}

#[test]
fn rows_are_written_and_read_back_as_they_were() {
    let dir = tree();
    let rows = "{ SELECT _value AS N, '0' + _value AS T, '7' AS S, (1, 'x') AS L, dict(a=1.5) AS D, NULL AS Z, \
                'a \"b\", c\nd' AS Q FROM range(end=2) }";
    let written = json(dir.path(), &format!("SELECT * FROM write_jsonl(filename=Dir + '/r.jsonl', query={rows})"));
    assert_eq!(json(dir.path(), "SELECT * FROM parse_jsonl(filename=Dir + '/r.jsonl')"), written);
    json(dir.path(), &format!("SELECT * FROM write_jsonl(filename=Dir + '/r.jsonl', append=TRUE, query={rows})"));
    assert_eq!(json(dir.path(), "SELECT * FROM parse_jsonl(filename=Dir + '/r.jsonl')").len(), 4);

    let query = format!("SELECT N, S, L, D, Q FROM write_csv(filename=Dir + '/r.csv', query={rows})");
    let written = json(dir.path(), &query);
    assert_eq!(json(dir.path(), "SELECT N, S, L, D, Q FROM parse_csv(filename=Dir + '/r.csv')"), written);
    let text = fs::read_to_string(dir.path().join("r.csv")).unwrap();
    assert!(text.starts_with("N,T,S,L,D,Z,Q\n0,"), "{text}");

    for (query, part) in [
        ("write_csv(filename=Dir + '/no/x.csv', query={ SELECT 1 AS A FROM scope() })", "No such file"),
        ("write_jsonl(filename=Dir + '/x', accessor='data', query={ SELECT 1 AS A FROM scope() })", "use `file`"),
        (
            "write_csv(filename=Dir + '/x.csv', query={ SELECT * FROM chain(a=dict(A=1), b=dict(A=2, B=3)) })",
            "the column `B` is not in the first row",
        ),
    ] {
        let (_, log) = query_in(dir.path(), &format!("SELECT * FROM {query}"));
        assert!(log.len() == 1 && log[0].contains(part), "{query}: {log:?}");
    }
}

#[test]
fn glob_looks_into_archives() {
    let dir = tree();
    let archive = "LET Archive <= base64decode(string='UEsDBBQAAAAIAIMYIlgsfw3SEwAAABEAAAALAAAAYS9oZWxsby50eHTzSM3JyVdIK8rPVSjPLMnIzAMAUEsDBBQAAAAAAIMYIlgL+UNWBgAAAAYAAAAFAAAAYi50eHRzdG9yZWRQSwECFAMUAAAACACDGCJYLH8N0hMAAAARAAAACwAAAAAAAAAAAAAAgAEAAAAAYS9oZWxsby50eHRQSwECFAMUAAAAAACDGCJYC/lDVgYAAAAGAAAABQAAAAAAAAAAAAAAgAE8AAAAYi50eHRQSwUGAAAAAAIAAgBsAAAAZQAAAAAA')";
    let root = "pathspec(DelegateAccessor='scope', DelegatePath='Archive')";
    let glob = |glob: &str, columns: &str| {
        json(dir.path(), &format!("{archive} SELECT {columns} FROM glob(globs='{glob}', root={root}, accessor='zip')"))
    };
    let paths = glob("**", "OSPath.Path AS Path, Size, IsDir, Mtime");
    let expected = [
        r#"{"Path":"/a","Size":0,"IsDir":true,"Mtime":null}"#,
        r#"{"Path":"/b.txt","Size":6,"IsDir":false,"Mtime":"2024-01-02T03:04:06Z"}"#,
        r#"{"Path":"/a/hello.txt","Size":17,"IsDir":false,"Mtime":"2024-01-02T03:04:06Z"}"#,
    ];
    assert_eq!(paths, expected);
    let read = glob("/**/*.txt", "read_file(filename=OSPath, accessor='zip') AS Text, OSPath.Dirname.Path AS Dir");
    assert_eq!(read, [r#"{"Text":"stored","Dir":"/"}"#, r#"{"Text":"Hello from within","Dir":"/a"}"#]);
    // Its text is as good as the path itself.
    let again = glob("a/*", "read_file(filename=str(str=OSPath), accessor='zip') AS Text");
    assert_eq!(again, [r#"{"Text":"Hello from within"}"#]);
}
