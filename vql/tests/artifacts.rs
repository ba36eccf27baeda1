//! The definitions that come with the program, mistakes in definitions, and artifacts that call one another.

#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use vql::artifact::{Artifact, Library, Refers, verify};
use vql::{Execution, LogRecord, Registry};

fn definitions(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            definitions(&path, found);
        } else if path.extension().is_some_and(|e| e == "yaml") {
            found.push(path);
        }
    }
}

#[test]
fn all_parse_without_warnings_and_are_named_by_their_path() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../artifacts");
    let mut found = Vec::new();
    definitions(&root, &mut found);
    assert!(found.len() >= 2, "{found:?}");
    for path in found {
        let artifact = Artifact::parse(&std::fs::read_to_string(&path).unwrap())
            .unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        assert!(artifact.warnings.is_empty(), "{}: {:?}", path.display(), artifact.warnings);
        let named = path.strip_prefix(&root).unwrap().with_extension("");
        let named: Vec<_> = named.iter().map(|p| p.to_str().unwrap()).collect();
        assert_eq!(artifact.name, named.join("."));
        artifact.compile(&BTreeMap::new(), &Library::default()).unwrap();
    }
}

/// What `swoop artifacts verify` prints of the definitions in `tests/artifacts/bad`: the place to judge the wording.
#[test]
fn mistakes_in_definitions() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/artifacts/bad");
    let mut found = Vec::new();
    definitions(&folder, &mut found);
    found.sort();
    assert!(found.len() >= 5, "{found:?}");
    let mut artifacts = Library::default();
    artifacts.add(Artifact::parse(CALLED).unwrap());
    let mut out = String::new();
    for path in found {
        let yaml = std::fs::read_to_string(&path).unwrap();
        let (_, problems) = verify(&yaml, &Registry::core(), &artifacts);
        assert!(!problems.is_empty(), "{}", path.display());
        for problem in &problems {
            assert!(vql::diagnostic::code(problem.code).is_some(), "{}", problem.code);
        }
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        out.push_str(&vql::diagnostic::render(&name, &yaml, &problems));
        out.push_str("\n========\n\n");
    }
    insta::assert_snapshot!(out);
}

/// All fields that existing definitions have.
#[test]
fn every_field_is_taken_without_complaint() {
    let yaml = include_str!("artifacts/full.yaml");
    let (artifact, problems) = verify(yaml, &Registry::core(), &Library::default());
    assert!(problems.is_empty(), "{}", vql::diagnostic::render("full.yaml", yaml, &problems));
    let artifact = artifact.unwrap();
    assert_eq!((artifact.aliases.len(), artifact.tools.len(), artifact.column_types.len()), (1, 1, 1));
    let compiled = artifact.compile(&BTreeMap::new(), &Library::default()).unwrap();
    let mut env = String::new();
    for (name, value) in &compiled.env {
        let _ = writeln!(env, "{name} = {}", value.to_json());
    }
    insta::assert_snapshot!(env);
    // What is sent to an endpoint reads as the same.
    let again = Artifact::parse(&artifact.to_definition()).unwrap();
    assert_eq!(again.compile(&BTreeMap::new(), &Library::default()).unwrap().env, compiled.env);
    let scripts = |a: &Artifact| a.scripts(&Library::default(), None).unwrap();
    assert_eq!(scripts(&again), scripts(&artifact));
}

const CALLED: &str = r#"
name: Custom.Called
aliases: [Custom.Old]
export: |
  LET Twice(N) = N * 2
parameters:
  - name: Depth
    type: int
    default: 3
  - name: Fast
    type: bool
  - name: Names
    type: csv
    default: |
      A,B
      1,2
  - name: Any
sources:
  - name: One
    query: |
      LET Kept <= Depth + 1
      SELECT Twice(N=Depth) AS D, Fast, Names, Any FROM scope()
  - name: Two
    query: SELECT Kept, Outer FROM scope()
"#;

const OTHERS: [&str; 4] = [
    r#"
name: Custom.Conditions
precondition: SELECT * FROM scope() WHERE 1 = 1
sources:
  - name: Never
    precondition: SELECT * FROM scope() WHERE FALSE -- never
    query: SELECT 'never' AS X FROM scope()
  - name: Always
    query: SELECT 'always' AS X, nothing(a=1) FROM scope()
"#,
    r#"
name: Custom.Importer
imports: [Custom.Called]
sources:
  - query: |
      SELECT Twice(N=21) AS X FROM scope()
"#,
    "name: Custom.Round\nparameters:\n  - name: N\n    type: int\nsources:\n  - query: SELECT * FROM Artifact.Custom.Round(N=N + 1)\n",
    "name: Custom.Wrapper\nsources:\n  - query: SELECT X, _Source FROM Artifact.Custom.Importer()\n",
];

fn library() -> Library {
    let mut library = Library::default();
    for yaml in OTHERS.iter().chain([&CALLED]) {
        library.add(Artifact::parse(yaml).unwrap());
    }
    library
}

fn rows(text: &str) -> (Vec<String>, Vec<String>) {
    let log: Arc<Mutex<Vec<String>>> = Arc::default();
    let sink = log.clone();
    let execution = Execution::new(Registry::core()).artifacts(Arc::new(library())).env("Outer", "outer").log(
        move |record: LogRecord| sink.lock().unwrap().push(format!("{}: {}", record.level.name(), record.message)),
    );
    let script = vql::syntax::parse(text).into_result().unwrap();
    let mut rows = Vec::new();
    vql::eval::on_big_stack(|| {
        let _ = execution.run(&script, &mut |_, row| {
            rows.push(row.to_json());
            ControlFlow::Continue(())
        });
    })
    .unwrap();
    let log = log.lock().unwrap().clone();
    (rows, log)
}

#[test]
fn artifacts_are_called_like_plugins() {
    let called = "Custom.Called";
    for (text, expected, logged) in [
        (
            "SELECT D, Fast, Names, Any, _Source FROM Artifact.Custom.Called(source='One', Fast='Y', Any=(1, 2))",
            vec![format!(r#"{{"D":6,"Fast":true,"Names":[{{"A":1,"B":2}}],"Any":[1,2],"_Source":"{called}/One"}}"#)],
            None,
        ),
        // Sources share a scope; nothing is seen of the caller's.
        (
            "SELECT Kept, Outer FROM Artifact.Custom.Called(Depth='0x10') WHERE _Source =~ 'Two'",
            vec![r#"{"Kept":17,"Outer":null}"#.to_owned()],
            Some(
                "Custom.Called: unknown name `Outer`: it is no column and no variable here (line 4, column 14: Outer)",
            ),
        ),
        ("SELECT D FROM Artifact.Custom.Old(source='One')", vec![r#"{"D":6}"#.to_owned()], None),
        ("SELECT X FROM Artifact.Custom.Importer()", vec![r#"{"X":42}"#.to_owned()], None),
        ("SELECT * FROM Artifact.Custom.Importer", vec![r#"{"X":42,"_Source":"Custom.Importer"}"#.to_owned()], None),
        // The wrapped row's `_Source` gives way.
        ("SELECT * FROM Artifact.Custom.Wrapper()", vec![r#"{"X":42,"_Source":"Custom.Wrapper"}"#.to_owned()], None),
        ("SELECT X FROM Artifact.Custom.Conditions(preconditions=TRUE)", vec![r#"{"X":"always"}"#.to_owned()], None),
        (
            "SELECT X FROM Artifact.Custom.Conditions()",
            vec![r#"{"X":"never"}"#.to_owned(), r#"{"X":"always"}"#.to_owned()],
            None,
        ),
        (
            "SELECT X, `nothing(a=1)` AS Y FROM Artifact.Custom.Conditions(source='Always')",
            vec![r#"{"X":"always","Y":null}"#.to_owned()],
            Some("Custom.Conditions: unknown function `nothing()`"),
        ),
        (
            "SELECT * FROM foreach(row={ SELECT * FROM range(end=3) }, query={ SELECT D FROM Artifact.Custom.Called(Depth=_value, source='One') })",
            vec![r#"{"D":0}"#.to_owned(), r#"{"D":2}"#.to_owned(), r#"{"D":4}"#.to_owned()],
            None,
        ),
        (
            "SELECT * FROM Artifact.Custom.Called() LIMIT 1",
            vec![rows("SELECT * FROM Artifact.Custom.Called()").0[0].clone()],
            None,
        ),
        (
            "LET _ <= import(artifact='Custom.Called') SELECT Twice(N=4) AS T FROM scope()",
            vec![r#"{"T":8}"#.to_owned()],
            None,
        ),
        (
            "SELECT import(artifact='Custom.Round') AS I FROM scope()",
            vec![r#"{"I":null}"#.to_owned()],
            Some("Custom.Round exports nothing"),
        ),
        ("SELECT * FROM Artifact.Custom.Round(N=1)", vec![], Some("32 artifacts have called one another")),
        (
            "SELECT * FROM Artifact.Custom.Cald()",
            vec![],
            Some("there is no artifact `Custom.Cald` here: did you mean `Custom.Called`?"),
        ),
        (
            "SELECT * FROM Artifact.Custom.Called(Dept=1)",
            vec![],
            Some("Custom.Called: unexpected argument `Dept`: did you mean `Depth`?"),
        ),
        (
            "SELECT * FROM Artifact.Custom.Called(Depth='deep')",
            vec![],
            Some("the parameter `Depth` must be a whole number, not `deep`"),
        ),
        (
            "SELECT * FROM Artifact.Custom.Called(source='Tow')",
            vec![],
            Some("Custom.Called has no source `Tow`: did you mean `Two`?"),
        ),
    ] {
        let (rows, log) = rows(text);
        assert_eq!(rows, expected, "{text}\n{log:?}");
        match logged {
            Some(part) => assert!(log.iter().any(|line| line.contains(part)), "{text}\n{log:?}"),
            None => assert!(log.is_empty() || text.contains("Conditions"), "{text}\n{log:?}"),
        }
    }
    let (rows, log) = {
        let execution = Execution::new(Registry::core());
        let script = vql::syntax::parse("SELECT * FROM Artifact.A()").into_result().unwrap();
        let mut count = 0;
        let _ = execution.run(&script, &mut |_, _| {
            count += 1;
            ControlFlow::Continue(())
        });
        (count, ())
    };
    assert_eq!((rows, log), (0, ()));
}

#[test]
fn what_a_query_refers_to_is_found_through_others() {
    let mut refers = Refers::default();
    refers.add_script(
        "SELECT * FROM foreach(row={ SELECT * FROM Artifact.Custom.Wrapper() }, query={ SELECT * FROM info() })",
        &library(),
    );
    assert_eq!(refers.names().collect::<Vec<_>>(), ["Custom.Called", "Custom.Importer", "Custom.Wrapper"]);
    refers.add_script(
        "SELECT eval(func=\"x => { SELECT * FROM Artifact.Custom.Round() }\") FROM Artifact.Not.There()",
        &library(),
    );
    assert_eq!(refers.names().count(), 4);
    refers.add_script("SELECT * FROM Artifact.Custom.Old() SELECT (", &library());
    assert_eq!(refers.names().count(), 4);
}
