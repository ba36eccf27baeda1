//! Artifacts: a YAML definition, checked, and compiled to scripts and variables.

mod read;
mod refer;
mod units;
mod verify;

use std::collections::{BTreeMap, HashSet};
use std::fmt;
use std::sync::Arc;

use serde::Deserialize;

pub use refer::{Refers, references};
pub use units::{Part, Unit, units};
pub use verify::verify;

use crate::diagnostic::{Diagnostic, did_you_mean, line_column};
use crate::value::{Dict, Value};

/// Definitions are written by people: larger ones are a mistake.
pub const MAX_DEFINITION: usize = 4 << 20;

/// A named definition with VQL sources.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Artifact {
    pub name: String,
    /// Other names by which it is found.
    pub aliases: Vec<String>,
    pub description: String,
    pub author: String,
    pub references: Vec<String>,
    pub kind: Kind,
    pub parameters: Vec<Parameter>,
    /// A query whose row, or an expression whose truth, lets the artifact run.
    pub precondition: Option<String>,
    pub sources: Vec<Source>,
    /// VQL that stands before each source, and before those of artifacts that import this one.
    pub export: Option<String>,
    pub imports: Vec<String>,
    pub required_permissions: Vec<String>,
    pub implied_permissions: Vec<String>,
    /// As whom it runs; empty: as who asks.
    pub impersonate: String,
    pub resources: Resources,
    pub tools: Vec<Tool>,
    /// How columns are to be shown.
    pub column_types: Vec<ColumnType>,
    /// What is odd but does no harm: fields that are not known, warnings of the queries.
    pub warnings: Vec<String>,
}

/// Where an artifact runs.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Kind {
    #[default]
    Client,
    ClientEvent,
    Server,
    ServerEvent,
    Internal,
    Notebook,
}

impl Kind {
    const ALL: [Kind; 6] =
        [Kind::Client, Kind::ClientEvent, Kind::Server, Kind::ServerEvent, Kind::Internal, Kind::Notebook];

    /// As definitions write it: `CLIENT`, `CLIENT_EVENT` …
    pub fn name(self) -> &'static str {
        match self {
            Kind::Client => "CLIENT",
            Kind::ClientEvent => "CLIENT_EVENT",
            Kind::Server => "SERVER",
            Kind::ServerEvent => "SERVER_EVENT",
            Kind::Internal => "INTERNAL",
            Kind::Notebook => "NOTEBOOK",
        }
    }

    /// Its sources never end, so that none can wait for the one before.
    fn is_event(self) -> bool {
        matches!(self, Kind::ClientEvent | Kind::ServerEvent)
    }
}

#[derive(Clone, Debug, Default, PartialEq)]
pub struct Parameter {
    pub name: String,
    /// The text of the default; empty without one.
    pub default: String,
    /// `string`, `int`, `bool`, `csv` …, in lower case.
    pub kind: String,
    pub description: String,
    pub friendly_name: String,
    pub choices: Vec<String>,
    pub validating_regex: String,
    /// For an `artifactset`: of which kind of artifacts one may choose.
    pub artifact_type: String,
}

/// The types that a parameter may have.
pub const PARAMETER_TYPES: [&str; 23] = [
    "string",
    "regex",
    "regex_array",
    "bool",
    "int",
    "int64",
    "integer",
    "float",
    "timestamp",
    "hidden",
    "csv",
    "yara",
    "choices",
    "multichoice",
    "json",
    "json_array",
    "yaml",
    "upload",
    "upload_file",
    "artifactset",
    "glob",
    "redacted",
    "server_metadata",
];

#[derive(Clone, Debug, Default, PartialEq)]
pub struct Source {
    pub name: Option<String>,
    pub description: String,
    pub precondition: Option<String>,
    pub query: String,
    /// The line of the definition on which the query begins, from 1.
    pub line: u64,
}

/// Limits that the definition asks for; 0 is none.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq)]
#[serde(default)]
pub struct Resources {
    /// Seconds.
    pub timeout: u64,
    pub ops_per_second: f64,
    /// Percent of a core.
    pub cpu_limit: f64,
    pub iops_limit: f64,
    pub max_rows: u64,
    pub max_upload_bytes: u64,
    /// Seconds.
    pub max_batch_wait: u64,
    pub max_batch_rows: u64,
    pub max_batch_rows_buffer: u64,
}

/// A file that the artifact needs on the endpoint.
#[derive(Clone, Debug, Default, Deserialize, PartialEq)]
#[serde(default)]
pub struct Tool {
    pub name: String,
    pub url: String,
    pub github_project: String,
    pub github_asset_regex: String,
    pub serve_locally: bool,
    pub expected_hash: String,
    pub version: String,
    pub materialize: bool,
}

/// How a column is to be shown.
#[derive(Clone, Debug, Default, Deserialize, PartialEq)]
#[serde(default)]
pub struct ColumnType {
    pub name: String,
    #[serde(rename = "type")]
    pub kind: String,
    pub description: String,
}

/// What is wrong with a definition, and where.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("line {line}, column {column}: {message}")]
pub struct ArtifactError {
    /// From 1.
    pub line: u64,
    /// From 1.
    pub column: u64,
    pub message: String,
}

/// A parameter that cannot be used.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum ParameterError {
    #[error("{artifact} has no parameter `{name}`{}", hint.as_ref().map(|h| format!(": {h}")).unwrap_or_default())]
    Unknown { artifact: String, name: String, hint: Option<String> },
    #[error("{artifact}: the parameter `{name}` must be {expected}, not `{value}`")]
    Wrong { artifact: String, name: String, expected: String, value: String },
}

/// Where definitions are found.
pub trait ArtifactSource: Send + Sync {
    /// The definition of this name or alias.
    fn artifact(&self, name: &str) -> Option<Arc<Artifact>>;
    /// All names, for hints.
    fn names(&self) -> Vec<String>;
}

/// Definitions in memory.
#[derive(Clone, Debug, Default)]
pub struct Library {
    by_name: BTreeMap<String, Arc<Artifact>>,
}

impl Library {
    /// Adds a definition; one of the same name is replaced.
    pub fn add(&mut self, artifact: Artifact) -> Arc<Artifact> {
        let artifact = Arc::new(artifact);
        self.by_name.insert(artifact.name.clone(), artifact.clone());
        artifact
    }

    /// All definitions, by name.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Artifact>> {
        self.by_name.values()
    }

    pub fn get(&self, name: &str) -> Option<&Arc<Artifact>> {
        let aliased = || self.by_name.values().find(|artifact| artifact.aliases.iter().any(|alias| alias == name));
        self.by_name.get(name).or_else(aliased)
    }
}

impl ArtifactSource for Library {
    fn artifact(&self, name: &str) -> Option<Arc<Artifact>> {
        self.get(name).cloned()
    }

    fn names(&self) -> Vec<String> {
        self.by_name.keys().cloned().collect()
    }
}

/// An artifact ready to run.
#[derive(Clone, Debug)]
pub struct Compiled {
    pub sources: Vec<CompiledSource>,
    /// The parameters as variables, each of its type. All of them have a JSON form that reads back as the same value.
    pub env: Vec<(String, Value)>,
}

#[derive(Clone, Debug, Eq, PartialEq)]
pub struct CompiledSource {
    /// `Artifact/Source`, or `Artifact` where the source has no name.
    pub name: String,
    pub script: String,
    pub precondition: Option<String>,
    /// Runs in the scope that the source before leaves, whose exports and variables it sees. It has no precondition of
    /// its own then.
    pub same_scope: bool,
}

impl Artifact {
    /// Reads and checks a definition. The queries are parsed; names in them are not resolved. Unknown fields are
    /// warned of. The error is the first one; [`verify`] tells all.
    pub fn parse(yaml: &str) -> Result<Artifact, ArtifactError> {
        let (artifact, problems) = read::read(yaml);
        let place = |problem: &Diagnostic| line_column(yaml, problem.span.start);
        let told = |problem: &Diagnostic| match &problem.hint {
            Some(hint) => format!("{} ({hint})", problem.message),
            None => problem.message.clone(),
        };
        if let Some(error) = problems.iter().find(|p| p.is_error()) {
            let (line, column) = place(error);
            return Err(ArtifactError { line: line as u64, column: column as u64, message: told(error) });
        }
        let Some(mut artifact) = artifact else {
            return Err(ArtifactError { line: 1, column: 1, message: "this is no artifact".into() });
        };
        artifact.warnings = problems.iter().map(|p| format!("line {}: {}", place(p).0, told(p))).collect();
        Ok(artifact)
    }

    /// The full name of a source: `Artifact/Source`, or `Artifact`.
    pub fn source_name(&self, source: &Source) -> String {
        match &source.name {
            Some(name) => format!("{}/{name}", self.name),
            None => self.name.clone(),
        }
    }

    /// The scripts and variables for these parameters, given as text; those not given have their defaults. `known` has
    /// the artifacts that this one imports.
    pub fn compile(
        &self,
        parameters: &BTreeMap<String, String>,
        known: &dyn ArtifactSource,
    ) -> Result<Compiled, CompileError> {
        if let Some(name) = parameters.keys().find(|name| !self.parameters.iter().any(|p| p.name == **name)) {
            return Err(CompileError::Parameter(ParameterError::Unknown {
                artifact: self.name.clone(),
                name: name.clone(),
                hint: did_you_mean(name, self.parameters.iter().map(|p| p.name.as_str())).or_else(|| {
                    let known: Vec<&str> = self.parameters.iter().map(|p| p.name.as_str()).collect();
                    Some(if known.is_empty() { "it has none".into() } else { format!("it has {}", known.join(", ")) })
                }),
            }));
        }
        let env = self
            .parameters
            .iter()
            .map(|p| {
                let text = parameters.get(&p.name).unwrap_or(&p.default);
                let value = p.value(text).map_err(|expected| ParameterError::Wrong {
                    artifact: self.name.clone(),
                    name: p.name.clone(),
                    expected,
                    value: text.chars().take(80).collect(),
                })?;
                Ok((p.name.clone(), value))
            })
            .collect::<Result<_, ParameterError>>()?;
        let sources = self.scripts(known, None).map_err(CompileError::Other)?;
        Ok(Compiled { sources, env })
    }

    /// The scripts of all sources, or of the one that is `wanted`; the error says what is not there.
    pub fn scripts(&self, known: &dyn ArtifactSource, wanted: Option<&str>) -> Result<Vec<CompiledSource>, String> {
        let prelude = self.exports(known)?;
        // Sources share a scope unless one may be left out by a precondition of its own, or none ever ends.
        let serial = !self.kind.is_event() && self.sources.iter().all(|source| source.precondition.is_none());
        let chosen: Vec<&Source> = self
            .sources
            .iter()
            .filter(|source| wanted.is_none_or(|wanted| source.name.as_deref().unwrap_or_default() == wanted))
            .collect();
        if let (Some(wanted), true) = (wanted, chosen.is_empty()) {
            let names: Vec<&str> = self.sources.iter().filter_map(|s| s.name.as_deref()).collect();
            let hint = did_you_mean(wanted, names.iter().copied()).unwrap_or_else(|| match names.is_empty() {
                true => "its sources have no names: leave `source` out".into(),
                false => format!("it has {}", names.join(", ")),
            });
            return Err(format!("{} has no source `{wanted}`: {hint}", self.name));
        }
        Ok(chosen
            .into_iter()
            .enumerate()
            .map(|(index, source)| {
                let same_scope = serial && index > 0;
                CompiledSource {
                    name: self.source_name(source),
                    script: if same_scope { source.query.clone() } else { format!("{prelude}{}", source.query) },
                    precondition: match same_scope {
                        true => None,
                        false => both(self.precondition.as_deref(), source.precondition.as_deref()),
                    },
                    same_scope,
                }
            })
            .collect())
    }

    /// What the artifacts that this one imports lend it, and what it exports itself: VQL.
    pub fn exports(&self, known: &dyn ArtifactSource) -> Result<String, String> {
        let mut text = String::new();
        self.collect_exports(known, &mut HashSet::new(), &mut text)?;
        Ok(text)
    }

    fn collect_exports(
        &self,
        known: &dyn ArtifactSource,
        seen: &mut HashSet<String>,
        text: &mut String,
    ) -> Result<(), String> {
        // Imports may go round in a circle; the name also bounds how deep this goes.
        if !seen.insert(self.name.clone()) {
            return Ok(());
        }
        for name in &self.imports {
            let Some(imported) = known.artifact(name) else {
                let names = known.names();
                let hint = did_you_mean(name, names.iter().map(String::as_str))
                    .unwrap_or_else(|| "it must be among the definitions too".into());
                return Err(format!("{} imports `{name}`, which is not there: {hint}", self.name));
            };
            imported.collect_exports(known, seen, text)?;
        }
        if let Some(export) = &self.export {
            text.push_str(export.trim_end());
            text.push('\n');
        }
        Ok(())
    }

    /// What an endpoint needs of the definition, without what is there for people, as a definition that
    /// [`Artifact::parse`] reads.
    pub fn to_definition(&self) -> String {
        let text = |value: &Option<String>| value.as_ref().map(|text| Value::str(text.as_str()));
        let dict = |fields: Vec<(&str, Option<Value>)>| -> Value {
            let present = fields.into_iter().filter_map(|(name, value)| Some((Arc::from(name), value?)));
            Value::dict(present.collect::<Dict>())
        };
        let filled = |text: &str| (!text.is_empty()).then(|| Value::str(text));
        let texts =
            |list: &[String]| (!list.is_empty()).then(|| Value::array(list.iter().map(|t| Value::str(t.as_str()))));
        let parameters = self.parameters.iter().map(|p| {
            dict(vec![
                ("name", Some(Value::str(p.name.as_str()))),
                ("type", filled(&p.kind)),
                ("default", filled(&p.default)),
                ("choices", texts(&p.choices)),
            ])
        });
        let sources = self.sources.iter().map(|source| {
            dict(vec![
                ("name", text(&source.name)),
                ("precondition", text(&source.precondition)),
                ("query", Some(Value::str(source.query.as_str()))),
            ])
        });
        dict(vec![
            ("name", Some(Value::str(self.name.as_str()))),
            ("aliases", texts(&self.aliases)),
            ("type", Some(Value::str(self.kind.name()))),
            ("precondition", text(&self.precondition)),
            ("export", text(&self.export)),
            ("imports", texts(&self.imports)),
            ("parameters", Some(Value::array(parameters))),
            ("sources", Some(Value::array(sources))),
        ])
        .to_json()
    }
}

/// Why an artifact cannot be compiled.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum CompileError {
    #[error(transparent)]
    Parameter(#[from] ParameterError),
    /// An import that is not there.
    #[error("{0}")]
    Other(String),
}

/// A precondition that holds when both do. Each is a query; one that is not stands alone.
fn both(outer: Option<&str>, inner: Option<&str>) -> Option<String> {
    match (outer, inner) {
        (Some(outer), Some(inner)) => {
            // A line feed ends a comment that may stand last.
            let (outer, inner) = (outer.trim(), inner.trim());
            Some(format!("SELECT * FROM if(condition={{ {outer}\n }}, then={{ {inner}\n }})"))
        }
        (one, other) => one.or(other).map(str::to_owned),
    }
}

impl Parameter {
    /// The value that text stands for in a parameter of this type; the error says what was expected.
    pub fn value(&self, text: &str) -> Result<Value, String> {
        let trimmed = text.trim();
        match &*self.kind {
            "bool" => match trimmed.to_ascii_lowercase().as_str() {
                "y" | "yes" | "t" | "true" | "1" | "on" => Ok(Value::Bool(true)),
                "" | "n" | "no" | "f" | "false" | "0" | "off" => Ok(Value::Bool(false)),
                _ => Err("Y or N".into()),
            },
            "int" | "int64" | "integer" => match crate::value::parse_int(trimmed) {
                _ if trimmed.is_empty() => Ok(Value::Int(0)),
                Some(number) => Ok(Value::Int(number)),
                None => Err("a whole number".into()),
            },
            "float" => match trimmed.parse::<f64>() {
                _ if trimmed.is_empty() => Ok(Value::Float(0.0)),
                Ok(number) if number.is_finite() => Ok(Value::Float(number)),
                _ => Err("a number".into()),
            },
            // As the epoch's seconds: unlike text they compare with times.
            "timestamp" => match crate::builtin::time::parse(trimmed, &jiff::tz::TimeZone::UTC) {
                _ if trimmed.is_empty() => Ok(Value::Null),
                Some(time) if time.subsec_nanosecond() == 0 => Ok(Value::Int(time.as_second())),
                Some(time) => Ok(Value::Float(time.as_nanosecond() as f64 / 1e9)),
                None => Err("a time such as 2026-01-31T10:00:00Z".into()),
            },
            "json" if trimmed.is_empty() => Ok(Value::dict(Dict::new())),
            "json" => crate::json::parse(text.as_bytes()).map_err(|e| format!("JSON ({e})")),
            "json_array" | "regex_array" | "multichoice" if trimmed.is_empty() => Ok(Value::array([])),
            "json_array" | "regex_array" | "multichoice" => match crate::json::parse(text.as_bytes()) {
                Ok(array @ Value::Array(_)) => Ok(array),
                _ => Err("a JSON array".into()),
            },
            "yaml" if trimmed.is_empty() => Ok(Value::Null),
            "yaml" => serde_saphyr::from_str(text).map_err(|e| format!("YAML ({e})")),
            "csv" | "artifactset" => crate::builtin::csv::to_dicts(text),
            "choices" if !trimmed.is_empty() && !self.choices.is_empty() && !self.choices.iter().any(|c| c == text) => {
                Err(format!("one of {}", self.choices.join(", ")))
            }
            _ => Ok(Value::from(text)),
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    const DEFINITION: &str = "\
name: Custom.Test
description: A test
parameters:
  - name: Deep
    type: bool
    default: Y
  - name: Depth
    type: int
    default: 3
  - name: Table
    type: csv
    default: |
      A,B
      1,\"x,\"\"y\"
  - name: Since
    type: timestamp
precondition: SELECT OS FROM info() WHERE OS = 'linux'
sources:
  - name: One
    query: |
      SELECT Depth FROM scope()
  - name: Two
    precondition: SELECT * FROM range(end=1)
    queries:
      - LET X = 1
      - SELECT X FROM scope()
colour: red
";

    fn parameters<const N: usize>(given: [(&str, &str); N]) -> BTreeMap<String, String> {
        given.map(|(name, value)| (name.to_owned(), value.to_owned())).into()
    }

    #[test]
    fn a_definition_becomes_scripts_and_variables() {
        let artifact = Artifact::parse(DEFINITION).unwrap();
        assert_eq!(artifact.warnings, ["line 27: the artifact has no field `colour`"]);
        let compiled =
            artifact.compile(&parameters([("Depth", "0x10"), ("Since", "2021-10-01")]), &Library::default()).unwrap();
        let env: Vec<String> = compiled.env.iter().map(|(name, value)| format!("{name}={}", value.to_json())).collect();
        assert_eq!(env, ["Deep=true", "Depth=16", r#"Table=[{"A":1,"B":"x,\"y"}]"#, "Since=1633046400"]);
        let names: Vec<&str> = compiled.sources.iter().map(|s| &*s.name).collect();
        assert_eq!(names, ["Custom.Test/One", "Custom.Test/Two"]);
        assert_eq!(compiled.sources[1].script, "LET X = 1\nSELECT X FROM scope()");
        let precondition = compiled.sources[1].precondition.as_deref().unwrap();
        assert!(crate::syntax::parse(precondition).diagnostics.is_empty(), "{precondition}");
        assert_eq!(artifact.sources[0].line, 21);
    }

    #[test]
    fn wrong_parameters_are_named() {
        let artifact = Artifact::parse(DEFINITION).unwrap();
        for (name, value, part) in [
            ("Dep", "1", "no parameter `Dep`: did you mean"),
            ("Depth", "deep", "`Depth` must be a whole number, not `deep`"),
            ("Deep", "maybe", "must be Y or N"),
            ("Since", "soon", "must be a time"),
        ] {
            let error = artifact.compile(&parameters([(name, value)]), &Library::default()).unwrap_err().to_string();
            assert!(error.contains(part), "{error}");
        }
    }

    #[test]
    fn mistakes_have_a_place() {
        for (yaml, line, part) in [
            ("description: x\n", 1, "name"),
            ("name: a b\n", 1, "a `name` is letters"),
            ("name: A\ntype: CLEINT\n", 2, "no type of an artifact (did you mean `CLIENT`?)"),
            ("name: A\nsources:\n  - query: |\n      SELECT 1\n      FROM\n", 5, ""),
            ("name: A\nparameters:\n  - name: X\n  - name: X\n", 4, "twice"),
            ("name: [A\n", 0, ""),
        ] {
            let error = Artifact::parse(yaml).unwrap_err();
            assert!(error.message.contains(part), "{yaml:?}: {error}");
            assert!(line == 0 || error.line == line, "{yaml:?}: {error}");
        }
    }
}
