//! `swoop artifacts verify | collect`, and queries that call artifacts: the real binary.

use std::path::Path;

use crate::harness::command;

/// Exit status, standard output and standard error.
fn swoop(directory: &Path, arguments: &[&str]) -> (i32, String, String) {
    let output = command().args(arguments).current_dir(directory).env("NO_COLOR", "1").output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.code().unwrap_or(-1), text(&output.stdout), text(&output.stderr))
}

const GOOD: &str = "name: Custom.Good
parameters:
  - name: N
    type: int
    default: 2
sources:
  - name: One
    query: |
      LET Ten <= N * 10
      SELECT _value AS V FROM range(end=N)
  - name: Two
    query: SELECT Ten, nothing FROM scope()
";

const BAD: &str = "name: Custom.Bad
parametres: []
sources:
  - query: |
      SELECT * FROM Artifact.Custom.Good(M=1)
      WHERE a == b
  - name: Second
    query: SELECT * FROM Artifact.Custom.God()
";

#[test]
fn definitions_are_verified_and_run() {
    let directory = tempfile::tempdir().unwrap();
    let folder = directory.path().join("definitions/deep");
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join("good.yaml"), GOOD).unwrap();
    let run = |arguments: &[&str]| swoop(directory.path(), arguments);

    let (status, out, err) = run(&["artifacts", "verify", "definitions", "--builtin"]);
    assert_eq!((status, err.as_str()), (0, ""), "{out}");
    assert!(out.contains("0 errors"), "{out}");

    std::fs::write(folder.join("bad.yml"), BAD).unwrap();
    let (status, _, err) = run(&["artifacts", "verify", "definitions/deep/good.yaml", "definitions/deep/bad.yml"]);
    assert_eq!(status, 1, "{err}");
    for part in [
        "warning[V0302]: the artifact has no field `parametres`",
        "bad.yml:6:15",
        "error[V0015]: VQL has no `==`",
        "error[V0310]: there is no artifact `Custom.God` here",
        "did you mean `Custom.Good`",
        "2 definitions: 2 errors, 1 warning",
    ] {
        assert!(err.contains(part), "{part}\n{err}");
    }
    assert_eq!(run(&["artifacts", "verify", "nowhere"]).0, 1);

    let collect =
        ["artifacts", "collect", "--definitions", "definitions/deep/good.yaml", "Custom.Good", "--format", "jsonl"];
    let (status, out, err) = run(&[&collect[..], &["--args", "N=1"]].concat());
    assert_eq!(status, 0, "{err}");
    let rows =
        "{\"V\":0,\"_Source\":\"Custom.Good/One\"}\n{\"Ten\":10,\"nothing\":null,\"_Source\":\"Custom.Good/Two\"}\n";
    assert_eq!(out, rows);
    assert!(err.contains("unknown name `nothing`") && err.contains("(line 3, column 13: nothing)"), "{err}");
    let (status, _, err) = run(&[&collect[..], &["--args", "M=1"]].concat());
    assert!(status == 1 && err.contains("has no parameter `M`: it has N"), "{err}");

    let query = "SELECT V FROM Artifact.Custom.Good(source='One', N='3') WHERE V > 1";
    let (status, out, err) = run(&["query", "--format", "jsonl", "--definitions", "definitions/deep/good.yaml", query]);
    assert_eq!((status, out.as_str(), err.as_str()), (0, "{\"V\":2}\n", ""));
}
