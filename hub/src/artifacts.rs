//! The artifacts that can be collected: those embedded in the program, and the deployment's own from
//! `artifacts/custom/*.yaml`.

use std::{fmt, fs, io, path::Path, sync::Arc};

use protocol::api::{ArtifactParameter, ArtifactSummary};
use rust_embed::RustEmbed;
use vql::{
    Registry,
    artifact::{Artifact, Library},
};

use crate::store::Paths;

/// The artifact that a new client is asked first.
pub(crate) const INTERROGATION: &str = "Generic.Client.Info";

/// A definition of the deployment's own may be this long.
const MAX_DEFINITION: u64 = 4 << 20;

#[derive(RustEmbed)]
#[folder = "../artifacts"]
struct Embedded;

pub(crate) struct Artifacts {
    library: Library,
    endpoint: Option<Arc<Registry>>,
}

impl fmt::Debug for Artifacts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.names()).finish()
    }
}

impl Artifacts {
    /// All artifacts. One that cannot be used is logged and left out; the deployment's own come before ours.
    pub(crate) fn load(paths: &Paths) -> Self {
        let mut artifacts = Self { library: Library::default(), endpoint: None };
        for file in Embedded::iter().filter(|file| file.ends_with(".yaml")) {
            let Some(content) = Embedded::get(&file) else { continue };
            artifacts.add(&file, &String::from_utf8_lossy(&content.data));
        }
        if let Err(error) = artifacts.add_custom(&paths.custom_artifacts()) {
            tracing::error!(%error, "the deployment's own artifacts cannot be read");
        }
        artifacts
    }

    fn add_custom(&mut self, directory: &Path) -> io::Result<()> {
        let entries = match fs::read_dir(directory) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            other => other?,
        };
        let mut files: Vec<_> = entries.map(|entry| Ok(entry?.path())).collect::<io::Result<_>>()?;
        files.retain(|path| path.extension().is_some_and(|extension| extension == "yaml" || extension == "yml"));
        files.sort();
        for path in files {
            let name = path.display().to_string();
            match fs::metadata(&path).map(|metadata| metadata.len()) {
                Ok(len) if len > MAX_DEFINITION => {
                    tracing::error!(artifact = name, len, "the definition is longer than {MAX_DEFINITION} bytes");
                }
                _ => match fs::read_to_string(&path) {
                    Ok(text) => self.add(&name, &text),
                    Err(error) => tracing::error!(artifact = name, %error, "the definition cannot be read"),
                },
            }
        }
        Ok(())
    }

    fn add(&mut self, file: &str, yaml: &str) {
        match Artifact::parse(yaml) {
            Ok(artifact) => {
                for warning in &artifact.warnings {
                    tracing::debug!(file, warning, "artifact");
                }
                self.library.add(artifact);
            }
            Err(error) => tracing::error!(file, %error, "the artifact cannot be used"),
        }
    }

    /// Typed queries are held against what endpoints know.
    pub(crate) fn with_endpoint(self, endpoint: Option<Arc<Registry>>) -> Self {
        Self { endpoint, ..self }
    }

    pub(crate) fn endpoint(&self) -> Option<&Registry> {
        self.endpoint.as_deref()
    }

    pub(crate) fn library(&self) -> &Library {
        &self.library
    }

    pub(crate) fn get(&self, name: &str) -> Option<&Arc<Artifact>> {
        self.library.get(name)
    }

    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.library.iter().map(|artifact| artifact.name.as_str())
    }

    pub(crate) fn summaries(&self) -> Vec<ArtifactSummary> {
        self.library.iter().map(|artifact| summary(artifact)).collect()
    }
}

fn summary(artifact: &Artifact) -> ArtifactSummary {
    let parameter = |parameter: &vql::artifact::Parameter| ArtifactParameter {
        name: parameter.name.clone(),
        description: parameter.description.clone(),
        kind: parameter.kind.clone(),
        default: parameter.default.clone(),
    };
    ArtifactSummary {
        name: artifact.name.clone(),
        description: artifact.description.clone(),
        kind: artifact.kind.name().into(),
        parameters: artifact.parameters.iter().map(parameter).collect(),
        sources: artifact.sources.iter().map(|source| artifact.source_name(source)).collect(),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_deployments_own_come_beside_ours_and_bad_ones_harm_nobody() {
        let directory = tempfile::tempdir().unwrap();
        let paths = Paths::new(directory.path().into());
        fs::create_dir_all(paths.custom_artifacts()).unwrap();
        let own = "name: Custom.Own\nsources:\n  - query: SELECT * FROM info()\n";
        fs::write(paths.custom_artifacts().join("own.yaml"), own).unwrap();
        fs::write(paths.custom_artifacts().join("bad.yaml"), "name: [").unwrap();
        fs::write(paths.custom_artifacts().join("note.txt"), "name: Custom.Text").unwrap();
        let artifacts = Artifacts::load(&paths);
        let names: Vec<&str> = artifacts.names().collect();
        assert!(names.contains(&INTERROGATION) && names.contains(&"Custom.Own"), "{names:?}");
        assert!(!names.contains(&"Custom.Text"));
        let shown = artifacts.summaries();
        let info = shown.iter().find(|artifact| artifact.name == INTERROGATION).unwrap();
        assert!(info.sources.contains(&format!("{INTERROGATION}/BasicInformation")) && info.kind == "CLIENT");
    }
}
