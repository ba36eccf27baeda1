//! From a collection to what an agent gets: plain VQL that needs no artifact there, checked here.

use bytes::Bytes;
use protocol::{
    FlowId,
    api::QueryDiagnostic,
    collection::{Collection, FlowRequest, Limits, SourceQuery, StreamId},
    frame,
    message::ToAgent,
};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use vql::diagnostic::{Diagnostic, Severity};

use crate::{HubError, artifacts::Artifacts, store::paths::file_names};

/// What is left of a message for what is not queries.
const MAX_REQUEST: usize = 4 << 20;

/// A collection, compiled: a [`FlowRequest`] without the flow.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(from = "CompiledRecord")]
pub(crate) struct Compiled {
    pub(crate) sources: Vec<SourceQuery>,
    pub(crate) env: Vec<(String, Value)>,
    pub(crate) limits: Limits,
    /// The file name of each source.
    #[serde(skip)]
    files: Vec<String>,
}

#[derive(Deserialize)]
struct CompiledRecord {
    sources: Vec<SourceQuery>,
    env: Vec<(String, Value)>,
    limits: Limits,
}

impl From<CompiledRecord> for Compiled {
    fn from(CompiledRecord { sources, env, limits }: CompiledRecord) -> Self {
        let files = file_names(sources.iter().map(|source| source.name.as_str()));
        Self { sources, env, limits, files }
    }
}

impl Compiled {
    pub(crate) fn frame(&self, flow: FlowId) -> Result<Bytes, frame::FrameError> {
        frame::encode(&ToAgent::StartFlow(FlowRequest {
            flow_id: flow,
            sources: self.sources.clone(),
            env: self.env.clone(),
            limits: self.limits.clone(),
        }))
    }

    /// The file name of a source; None if there is no such source, and for the log.
    pub(crate) fn file(&self, stream: StreamId) -> Option<&str> {
        self.files.get(stream.source()?).map(String::as_str)
    }

    pub(crate) fn streams(&self) -> impl Iterator<Item = StreamId> + use<> {
        // At most MAX_SOURCES, checked when it was compiled.
        (0..self.sources.len() as u16).map(StreamId).chain([StreamId::LOG])
    }
}

/// Checks the request and compiles it. The error says what is wrong, for a query with the places.
pub(crate) fn compile(artifacts: &Artifacts, collection: &Collection) -> Result<Compiled, HubError> {
    check_limits(&collection.limits)?;
    if collection.artifacts.is_empty() {
        return Err(HubError::invalid("the collection names no artifact", "name at least one"));
    }
    let (mut sources, mut env) = (Vec::new(), Vec::<(String, Value)>::new());
    for request in &collection.artifacts {
        let Some(artifact) = artifacts.get(&request.name) else {
            let known = artifacts.names();
            return Err(HubError::Invalid {
                message: format!("there is no artifact {:?}", crate::clients::clip_name(&request.name)),
                hint: vql::diagnostic::did_you_mean(&request.name, known)
                    .or_else(|| Some("GET /api/artifacts lists them".into())),
                diagnostics: Vec::new(),
            });
        };
        if let Some(unknown) =
            request.parameters.keys().find(|name| artifact.parameters.iter().all(|p| p.name != **name))
        {
            return Err(HubError::Invalid {
                message: format!("{} has no parameter {:?}", artifact.name, crate::clients::clip_name(unknown)),
                hint: vql::diagnostic::did_you_mean(unknown, artifact.parameters.iter().map(|p| p.name.as_str())),
                diagnostics: Vec::new(),
            });
        }
        for parameter in &artifact.parameters {
            let value = request.parameters.get(&parameter.name).unwrap_or(&parameter.default);
            env.retain(|(name, _)| *name != parameter.name);
            env.push((parameter.name.clone(), Value::String(value.clone())));
        }
        for source in &artifact.sources {
            let query = if artifact.name == Collection::QUERY_ARTIFACT {
                request.parameters.get("Command").cloned().unwrap_or_default()
            } else {
                source.query.clone()
            };
            check_query(&query)?;
            let name = source.full_name(&artifact.name);
            sources.push(SourceQuery { name, query, precondition: source.precondition.clone() });
        }
    }
    if sources.len() > StreamId::MAX_SOURCES {
        return Err(HubError::invalid(
            format!("the collection has {} sources", sources.len()),
            format!("at most {} fit into one", StreamId::MAX_SOURCES),
        ));
    }
    let compiled = Compiled::from(CompiledRecord { sources, env, limits: collection.limits.clone() });
    match compiled.frame(FlowId::new(0, 0)) {
        Ok(frame) if frame.len() <= MAX_REQUEST => Ok(compiled),
        _ => Err(HubError::invalid("the collection is longer than 4 MiB", "shorten its queries or parameters")),
    }
}

fn check_limits(limits: &Limits) -> Result<(), HubError> {
    let wrong = if limits.timeout_s == 0 {
        "timeout_s is 0: expected seconds, such as 600"
    } else if limits.max_rows == 0 {
        "max_rows is 0: expected at least 1"
    } else if limits.max_bytes == 0 {
        "max_bytes is 0: expected at least 1"
    } else if limits.cpu_percent.is_some_and(|share| !(1..=100).contains(&share)) {
        "cpu_percent is out of range: expected 1 to 100"
    } else {
        return Ok(());
    };
    Err(HubError::Invalid { message: wrong.into(), hint: None, diagnostics: Vec::new() })
}

fn check_query(query: &str) -> Result<(), HubError> {
    let diagnostics = vql::syntax::parse(query).diagnostics;
    let Some(first) = diagnostics.iter().find(|diagnostic| diagnostic.is_error()) else { return Ok(()) };
    Err(HubError::Invalid {
        message: format!("the query cannot be parsed: {}", first.message),
        hint: first.hint.clone(),
        diagnostics: diagnostics.iter().map(shown).collect(),
    })
}

fn shown(diagnostic: &Diagnostic) -> QueryDiagnostic {
    QueryDiagnostic {
        code: diagnostic.code.into(),
        severity: match diagnostic.severity {
            Severity::Error => "error",
            Severity::Warning => "warning",
            Severity::Hint => "hint",
        }
        .into(),
        message: diagnostic.message.clone(),
        hint: diagnostic.hint.clone(),
        start: diagnostic.span.start,
        end: diagnostic.span.end,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::path::PathBuf;

    use super::*;
    use crate::store::Paths;

    #[test]
    fn a_query_is_compiled_or_shown_where_it_is_wrong() {
        let artifacts = Artifacts::load(&Paths::new(PathBuf::from("/nowhere")));
        let compiled = compile(&artifacts, &Collection::of_query("SELECT * FROM info()")).unwrap();
        assert_eq!(compiled.sources[0].name, "Generic.Client.VQL");
        assert_eq!(compiled.sources[0].query, "SELECT * FROM info()");
        assert_eq!(compiled.file(StreamId(0)), Some("Generic.Client.VQL"));
        assert_eq!((compiled.file(StreamId(1)), compiled.file(StreamId::LOG)), (None, None));
        let again: Compiled = serde_json::from_str(&serde_json::to_string(&compiled).unwrap()).unwrap();
        assert_eq!(again, compiled);

        let HubError::Invalid { diagnostics, .. } =
            compile(&artifacts, &Collection::of_query("SELECT * FRM info()")).unwrap_err()
        else {
            panic!("a mistake in a query is the request's")
        };
        assert!(diagnostics.iter().any(|d| d.severity == "error" && d.start > 0 && d.end >= d.start));

        let mut unknown = Collection::of_query("SELECT * FROM info()");
        unknown.artifacts[0].name = "Generic.Client.VQl".into();
        let HubError::Invalid { hint, .. } = compile(&artifacts, &unknown).unwrap_err() else { panic!() };
        assert!(hint.unwrap().contains("Generic.Client.VQL"));
        let mut zero = Collection::of_query("SELECT * FROM info()");
        zero.limits.max_rows = 0;
        assert!(compile(&artifacts, &zero).is_err());
        zero.artifacts.clear();
        assert!(compile(&artifacts, &zero).is_err());
    }
}
