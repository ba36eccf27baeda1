//! The definitions that come with the program.

#![allow(clippy::unwrap_used)]

use std::path::{Path, PathBuf};

use vql::artifact::Artifact;

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
        artifact.compile(&std::collections::BTreeMap::new()).unwrap();
    }
}
