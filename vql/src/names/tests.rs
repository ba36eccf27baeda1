//! What is said of names, and how it reads.
#![allow(clippy::unwrap_used)]

use super::*;
use crate::artifact::{Artifact, Library};
use crate::diagnostic::render;

fn found(text: &str, artifacts: &Library) -> Vec<Diagnostic> {
    let parsed = crate::syntax::parse(text);
    assert!(parsed.diagnostics.is_empty(), "{text}");
    let registry = Registry::core();
    check_with(&parsed.script, Known { registry: &registry, artifacts: Some(artifacts) }, ["Given", "X"])
}

#[test]
fn calls_are_checked_wherever_they_stand() {
    for (text, expected) in [
        ("SELECT * FROM range(end=3)", vec![]),
        ("SELECT * FROM rnage(end=3)", vec!["V0201 14..26 there is no plugin `rnage` here"]),
        ("SELECT * FROM rnage", vec!["V0201 14..19 there is no plugin `rnage` here"]),
        ("SELECT * FROM foreach(row=X, query={ SELECT * FROM Column })", vec![]),
        ("SELECT * FROM Given(a=1)", vec![]),
        ("LET F(G) = G(x=1) SELECT F(G=1) FROM scope()", vec![]),
        ("SELECT fromat(format='') FROM scope()", vec!["V0202 7..13 there is no function `fromat` here"]),
        ("SELECT range(end=1) FROM scope()", vec!["V0205 7..12 `range()` is a plugin, not a function"]),
        (
            "SELECT { SELECT (1, -len(lst=1)) FROM scope() } AS A FROM scope()",
            vec!["V0203 25..28 len: unexpected argument `lst`"],
        ),
        ("SELECT dict(anything=1), len(`**`=X) FROM scope() WHERE X =~ 'a'", vec![]),
        ("SELECT X =~ '''\\d+''', X =~ '\\xff' FROM scope()", vec![]),
    ] {
        let found: Vec<String> = found(text, &Library::default())
            .iter()
            .map(|d| format!("{} {:?} {}", d.code, d.span.range(), d.message))
            .collect();
        assert_eq!(found, expected, "{text}");
    }
}

/// Mistakes that need to be held against what is there. The snapshot is the place to judge the wording.
#[test]
fn mistakes() {
    let mut artifacts = Library::default();
    let definition = "name: Custom.Net\nparameters:\n  - name: Port\n    type: int\n    default: 80\nsources:\n  - name: Open\n    query: SELECT Port FROM scope()\n";
    artifacts.add(Artifact::parse(definition).unwrap());
    let mut out = String::new();
    for text in MISTAKES {
        let found = found(text, &artifacts);
        assert!(!found.is_empty(), "{text}");
        for problem in &found {
            assert!(crate::diagnostic::code(problem.code).is_some(), "{}", problem.code);
            assert!(problem.hint.is_some() || problem.code == "V0312", "{text}");
        }
        out.push_str(&render("query", text, &found));
        out.push_str("\n========\n\n");
    }
    insta::assert_snapshot!(out);
}

const MISTAKES: &[&str] = &[
    "SELECT * FROM rnage(end=3)",
    "SELECT * FROM processes",
    "SELECT * FROM len(list=(1, 2))",
    "SELECT range(end=3) FROM scope()",
    "SELECT uppper(string='a'), Upper(string='a'), CONCAT(a='x', b='y') FROM scope()",
    "SELECT len(lst=(1, 2)) FROM scope()",
    "SELECT len() FROM scope()",
    "SELECT * FROM range(start=1, stop=5)",
    "SELECT * FROM range(end='ten')",
    "SELECT * FROM range(end=(1, 2))",
    "SELECT * FROM scope() WHERE X =~ '*.exe'",
    "SELECT * FROM scope() WHERE X =~ 'C:\\\\Users' AND X =~ 'Program Files (x86'",
    "SELECT * FROM scope() WHERE X =~ '''(?<!a)b''' OR X =~ \"[a-z\" OR X =~ '''\\Windows'''",
    "SELECT * FROM scope() WHERE X =~ NULL",
    "SELECT filter(list=(1, 2), condition='x > 1') FROM scope()",
    "LET len(x) = x + 1 SELECT len(x=1) FROM scope()",
    "SELECT * FROM Artifact.Custom.Nett()",
    "SELECT * FROM Artifact.Custom.Net(prot=5, Port='http', source='Closed')",
    "SELECT Artifact.Custom.Net(Port=5) FROM scope()",
];
