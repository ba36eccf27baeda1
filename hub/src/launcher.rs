//! From a collection to what an agent gets: plain VQL that needs no artifact there, checked here.

use std::sync::Arc;

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
use vql::{
    artifact::{Artifact, Kind, Refers, Resources},
    diagnostic::{Diagnostic, Severity},
};

use crate::{HubError, artifacts::Artifacts, clients::clip_name, store::paths::file_names};

/// What is left of a message for what is not queries.
const MAX_REQUEST: usize = 4 << 20;

/// A collection, compiled: a [`FlowRequest`] without the flow.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(from = "CompiledRecord")]
pub(crate) struct Compiled {
    pub(crate) sources: Vec<SourceQuery>,
    pub(crate) env: Vec<(String, Value)>,
    pub(crate) limits: Limits,
    /// What the sources call, see [`FlowRequest::definitions`].
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) definitions: Vec<String>,
    /// The file name of each source.
    #[serde(skip)]
    files: Vec<String>,
}

#[derive(Deserialize)]
struct CompiledRecord {
    sources: Vec<SourceQuery>,
    env: Vec<(String, Value)>,
    limits: Limits,
    #[serde(default)]
    definitions: Vec<String>,
}

impl From<CompiledRecord> for Compiled {
    fn from(CompiledRecord { sources, env, limits, definitions }: CompiledRecord) -> Self {
        let files = file_names(sources.iter().map(|source| source.name.as_str()));
        Self { sources, env, limits, definitions, files }
    }
}

impl Compiled {
    pub(crate) fn frame(&self, flow: FlowId) -> Result<Bytes, frame::FrameError> {
        frame::encode(&ToAgent::StartFlow(FlowRequest {
            flow_id: flow,
            sources: self.sources.clone(),
            env: self.env.clone(),
            limits: self.limits.clone(),
            definitions: self.definitions.clone(),
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
    let mut limits = collection.limits.clone();
    check_limits(&limits)?;
    if collection.artifacts.is_empty() {
        return Err(HubError::invalid("the collection names no artifact", "name at least one"));
    }
    let (mut sources, mut env, mut refers) = (Vec::new(), Vec::<(String, Value)>::new(), Refers::default());
    for request in &collection.artifacts {
        let artifact = find(artifacts, &request.name)?;
        if artifact.kind != Kind::Client {
            return Err(HubError::invalid(
                format!("{} is of kind {}", artifact.name, artifact.kind.name()),
                "only artifacts of kind CLIENT can be collected",
            ));
        }
        take_resources(&mut limits, &artifact.resources);
        let compiled =
            artifact.compile(&request.parameters, artifacts.library()).map_err(|error| plain(error.to_string()))?;
        for (name, value) in &compiled.env {
            let value = json(value);
            match env.iter().find(|(taken, _)| taken == name) {
                Some((_, other)) if *other != value => {
                    return Err(HubError::invalid(
                        format!("two of the artifacts have a parameter {name}, with different values"),
                        "give it one value for both, or collect them one by one",
                    ));
                }
                Some(_) => {}
                None => env.push((name.clone(), value)),
            }
        }
        for source in compiled.sources {
            // The query artifact's query is what was typed.
            let typed = request.parameters.get("Command").filter(|_| artifact.name == Collection::QUERY_ARTIFACT);
            let query = match typed {
                Some(query) => {
                    check_query(query, artifacts)?;
                    query.clone()
                }
                None => source.script,
            };
            if sources.iter().any(|other: &SourceQuery| other.name == source.name) {
                return Err(plain(format!("{} is named twice", artifact.name)));
            }
            refers.add_script(&query, artifacts.library());
            for text in source.precondition.iter() {
                refers.add_script(text, artifacts.library());
            }
            sources.push(SourceQuery {
                name: source.name,
                query,
                precondition: source.precondition,
                same_scope: source.same_scope,
            });
        }
    }
    if sources.is_empty() || sources.len() > StreamId::MAX_SOURCES {
        return Err(HubError::invalid(
            format!("the collection has {} sources", sources.len()),
            format!("expected 1 to {}", StreamId::MAX_SOURCES),
        ));
    }
    let called = refers.names().filter_map(|name| artifacts.get(name));
    let definitions = called.map(|artifact| artifact.to_definition()).collect();
    let compiled = Compiled::from(CompiledRecord { sources, env, limits, definitions });
    match compiled.frame(FlowId::new(0, 0)) {
        Ok(frame) if frame.len() <= MAX_REQUEST => Ok(compiled),
        _ => Err(HubError::invalid(
            "the collection is longer than 4 MiB",
            "shorten its queries or parameters, or call fewer artifacts",
        )),
    }
}

fn find<'a>(artifacts: &'a Artifacts, name: &str) -> Result<&'a Arc<Artifact>, HubError> {
    artifacts.get(name).ok_or_else(|| HubError::Invalid {
        message: format!("there is no artifact {:?}", clip_name(name)),
        hint: vql::diagnostic::did_you_mean(name, artifacts.names())
            .or_else(|| Some("GET /api/artifacts lists them".into())),
        diagnostics: Vec::new(),
    })
}

/// An artifact's own limits count where the request leaves ours as they are.
fn take_resources(limits: &mut Limits, resources: &Resources) {
    let default = Limits::default();
    if limits.timeout_s == default.timeout_s && resources.timeout > 0 {
        limits.timeout_s = u32::try_from(resources.timeout).unwrap_or(u32::MAX);
    }
    if limits.max_rows == default.max_rows && resources.max_rows > 0 {
        limits.max_rows = resources.max_rows;
    }
    if limits.max_bytes == default.max_bytes && resources.max_upload_bytes > 0 {
        limits.max_bytes = resources.max_upload_bytes;
    }
    if limits.cpu_percent.is_none() && resources.cpu_limit >= 1.0 {
        limits.cpu_percent = Some(resources.cpu_limit.min(100.0) as u8);
    }
}

/// A parameter's value as JSON, which [`vql::artifact::Compiled`] promises that it has.
fn json(value: &vql::Value) -> Value {
    let mut text = Vec::new();
    vql::json::write_value(&mut text, value);
    serde_json::from_slice(&text).unwrap_or_default()
}

fn plain(message: String) -> HubError {
    HubError::Invalid { message, hint: None, diagnostics: Vec::new() }
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
    Err(plain(wrong.into()))
}

/// What is wrong with a typed query. One that names what no endpoint knows would end everywhere without an error that shows:
/// the person who typed it is told, not ten thousand logs.
fn check_query(query: &str, artifacts: &Artifacts) -> Result<(), HubError> {
    let (diagnostics, parsed) = problems(query, artifacts);
    let Some(first) = diagnostics.iter().find(|diagnostic| diagnostic.is_error()) else { return Ok(()) };
    let what = if parsed { "endpoints would not understand the query" } else { "the query cannot be parsed" };
    Err(HubError::Invalid {
        message: format!("{what}: {}", first.message),
        hint: first.hint.clone(),
        diagnostics: diagnostics.iter().map(shown).collect(),
    })
}

/// As [`check_query`], for who is still typing.
pub(crate) fn diagnose(query: &str, artifacts: &Artifacts) -> Vec<QueryDiagnostic> {
    problems(query, artifacts).0.iter().map(shown).collect()
}

/// What is only odd about names: such a query does what it says. Everything else would go wrong at each endpoint.
const ODD: [&str; 2] = ["V0209", "V0210"];

/// All problems of a query, and whether it can be parsed: of one that cannot the names are not looked at.
fn problems(query: &str, artifacts: &Artifacts) -> (Vec<Diagnostic>, bool) {
    let parsed = vql::syntax::parse(query);
    let mut diagnostics = parsed.diagnostics;
    if diagnostics.iter().any(Diagnostic::is_error) {
        return (diagnostics, false);
    }
    if let Some(registry) = artifacts.endpoint() {
        let known = vql::names::Known { registry, artifacts: Some(artifacts.library()) };
        for mut found in vql::names::check_with(&parsed.script, known, ["Command"]) {
            if !ODD.contains(&found.code) {
                found.severity = Severity::Error;
            }
            diagnostics.push(found);
        }
    }
    (diagnostics, true)
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

    use protocol::collection::ArtifactRequest;
    use vql::Registry;

    use super::*;
    use crate::store::Paths;

    #[test]
    fn a_typed_query_that_no_endpoint_can_answer_is_refused_with_its_places() {
        let endpoint = Some(Arc::new(Registry::core()));
        let artifacts = Artifacts::load(&Paths::new("/nowhere".into())).with_endpoint(endpoint);
        let compiled = |query: &str| compile(&artifacts, &Collection::of_query(query));
        assert!(compiled("LET f(x) = x + 1 SELECT f(x=_value) FROM range(end=3) WHERE Command").is_ok());
        // What only looks like a mistake stops nobody.
        let hides = "LET len(x) = x SELECT len(list=(1, 2)) FROM scope()";
        assert!(diagnose(hides, &artifacts).iter().any(|found| found.severity == "warning"));
        assert!(compiled(hides).is_ok());
        let Err(HubError::Invalid { message, hint, diagnostics }) =
            compiled("SELECT format(fmt='%v') FROM rang(end=3)")
        else {
            panic!("it names a plugin and an argument that are not there")
        };
        assert_eq!(message, "endpoints would not understand the query: format: unexpected argument `fmt`");
        assert_eq!(hint.as_deref(), Some("it takes format, args"));
        assert!(diagnostics.iter().any(|d| d.code == "V0201"), "{diagnostics:?}");
        let unchecked = Artifacts::load(&Paths::new("/nowhere".into()));
        assert!(compile(&unchecked, &Collection::of_query("SELECT * FROM rang()")).is_ok());
    }

    #[test]
    fn what_is_called_goes_with_the_query() {
        let directory = tempfile::tempdir().unwrap();
        let paths = Paths::new(directory.path().into());
        std::fs::create_dir_all(paths.custom_artifacts()).unwrap();
        for (name, query) in [("A", "Artifact.Custom.B(x=1)"), ("B", "Artifact.Custom.A()"), ("C", "info()")] {
            let yaml =
                format!("name: Custom.{name}\nparameters:\n  - name: x\nsources:\n  - query: SELECT x FROM {query}\n");
            std::fs::write(paths.custom_artifacts().join(format!("{name}.yaml")), yaml).unwrap();
        }
        let artifacts = Artifacts::load(&paths).with_endpoint(Some(Arc::new(Registry::core())));
        let compiled = compile(&artifacts, &Collection::of_query("SELECT * FROM Artifact.Custom.A(x=2)")).unwrap();
        let names: Vec<String> = compiled.definitions.iter().map(|yaml| Artifact::parse(yaml).unwrap().name).collect();
        assert_eq!(names, ["Custom.A", "Custom.B"]);
        let again: Compiled = serde_json::from_str(&serde_json::to_string(&compiled).unwrap()).unwrap();
        assert_eq!(again, compiled);
        for (query, part) in [
            ("SELECT * FROM Artifact.Custom.D()", "there is no artifact `Custom.D` here"),
            ("SELECT * FROM Artifact.Custom.A(y=2)", "Custom.A has no parameter `y`"),
        ] {
            let error = compile(&artifacts, &Collection::of_query(query)).unwrap_err().to_string();
            assert!(error.contains(part), "{error}");
        }
        assert!(compile(&artifacts, &Collection::of_query("SELECT * FROM scope()")).unwrap().definitions.is_empty());
    }

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

        let two = |names: &[&str]| Collection {
            artifacts: names
                .iter()
                .map(|name| ArtifactRequest { name: (*name).into(), parameters: Default::default() })
                .collect(),
            ..Collection::of_query("")
        };
        let info = compile(&artifacts, &two(&["Generic.Client.Info"])).unwrap();
        assert_eq!(info.sources[0].name, "Generic.Client.Info/BasicInformation");
        assert_eq!(info.file(StreamId(0)), Some("Generic.Client.Info.BasicInformation"));
        assert!(compile(&artifacts, &two(&["Generic.Client.Info", "Generic.Client.VQL"])).is_ok());
        assert!(compile(&artifacts, &two(&["Generic.Client.Info", "Generic.Client.Info"])).is_err());
        let mut stray = two(&["Generic.Client.Info"]);
        stray.artifacts[0].parameters.insert("Nothing".into(), String::new());
        assert!(compile(&artifacts, &stray).is_err());
    }
}
