//! Artifact definitions on this machine: those inside the binary, and those in files and directories.

use std::{fs, path::Path, path::PathBuf};

use anyhow::{Context, bail};
use vql::artifact::{Artifact, Library, MAX_DEFINITION};

/// A definition as it was read.
pub(crate) struct Definition {
    /// Where it is from, for people.
    pub(crate) file: String,
    pub(crate) yaml: String,
}

/// How deep directories are searched: links may go round in a circle.
const DEEPEST: usize = 16;

/// The definitions inside the binary.
pub(crate) fn builtin() -> Vec<Definition> {
    let definitions = crate::assets::artifacts().into_iter();
    definitions.map(|(name, yaml)| Definition { file: format!("(built in) {name}"), yaml }).collect()
}

/// The definitions in files and, searched to the ground, in directories.
pub(crate) fn read(paths: &[PathBuf]) -> anyhow::Result<Vec<Definition>> {
    let mut files = Vec::new();
    for path in paths {
        let before = files.len();
        let metadata = fs::metadata(path).with_context(|| format!("{}", path.display()))?;
        if metadata.is_dir() {
            search(path, DEEPEST, &mut files)?;
            if files.len() == before {
                bail!("{}: no file in it ends with .yaml or .yml", path.display());
            }
        } else {
            files.push(path.clone());
        }
    }
    files
        .into_iter()
        .map(|path| {
            let file = path.display().to_string();
            let len = fs::metadata(&path).with_context(|| file.clone())?.len();
            if len > MAX_DEFINITION as u64 {
                bail!("{file}: longer than {} MiB, which no definition is", MAX_DEFINITION >> 20);
            }
            let yaml = fs::read_to_string(&path).with_context(|| file.clone())?;
            Ok(Definition { file, yaml })
        })
        .collect()
}

/// All that can be called: what is built in, and over it what is in `paths`. One that cannot be used is said on standard
/// error and left out.
pub(crate) fn library(paths: &[PathBuf]) -> anyhow::Result<Library> {
    let mut library = Library::default();
    for Definition { file, yaml } in builtin().into_iter().chain(read(paths)?) {
        match Artifact::parse(&yaml) {
            Ok(artifact) => {
                library.add(artifact);
            }
            Err(error) => tracing::warn!("{file}: {error}; `swoop artifacts verify` tells more"),
        }
    }
    Ok(library)
}

fn search(directory: &Path, deepest: usize, files: &mut Vec<PathBuf>) -> anyhow::Result<()> {
    let entries = fs::read_dir(directory).with_context(|| format!("{}", directory.display()))?;
    let mut paths = entries.map(|entry| Ok(entry?.path())).collect::<std::io::Result<Vec<_>>>()?;
    paths.sort();
    for path in paths {
        if path.is_dir() {
            if deepest > 0 {
                search(&path, deepest - 1, files)?;
            }
        } else if path.extension().is_some_and(|extension| extension == "yaml" || extension == "yml") {
            files.push(path);
        }
    }
    Ok(())
}
