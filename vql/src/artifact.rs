//! Artifacts: a YAML definition, checked, and compiled to scripts and variables.

use std::collections::BTreeMap;
use std::fmt;

use serde::Deserialize;
use serde_saphyr::Spanned;

use crate::diagnostic::{did_you_mean, line_column};
use crate::syntax;
use crate::value::{Dict, Value};

/// Definitions are written by people: larger ones are a mistake.
pub const MAX_DEFINITION: usize = 4 << 20;

/// A named definition with VQL sources.
#[derive(Clone, Debug, PartialEq)]
pub struct Artifact {
    pub name: String,
    pub description: String,
    pub author: String,
    pub kind: Kind,
    pub parameters: Vec<Parameter>,
    /// A query whose row, or an expression whose truth, lets the artifact run.
    pub precondition: Option<String>,
    pub sources: Vec<Source>,
    /// VQL that stands before each source, and before those of artifacts that import this one.
    pub export: Option<String>,
    pub imports: Vec<String>,
    pub required_permissions: Vec<String>,
    pub resources: Resources,
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
}

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
}

impl Artifact {
    /// Reads and checks a definition. The queries are parsed; names in them are not resolved. Unknown fields are
    /// warned of.
    pub fn parse(yaml: &str) -> Result<Artifact, ArtifactError> {
        if yaml.len() > MAX_DEFINITION {
            return Err(error_at(1, 1, format!("the definition is larger than {} MiB", MAX_DEFINITION >> 20)));
        }
        let raw: RawArtifact = serde_saphyr::from_str(yaml).map_err(yaml_error)?;
        let name = raw.name.value.trim().to_owned();
        if name.is_empty() || !name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-')) {
            let message = format!("`name` is letters, digits, `_` and dots between words, not `{name}`");
            return Err(spanned_error(&raw.name, message));
        }
        let mut warnings = unknown_fields(yaml);
        let kind = match &raw.kind {
            None => Kind::Client,
            Some(kind) => match Kind::ALL.into_iter().find(|k| k.name().eq_ignore_ascii_case(&kind.value)) {
                Some(kind) => kind,
                None => {
                    let known = Kind::ALL.map(Kind::name);
                    return Err(spanned_error(kind, format!("`type` is one of {}", known.join(", "))));
                }
            },
        };
        let mut parameters: Vec<Parameter> = Vec::new();
        for parameter in raw.parameters.unwrap_or_default() {
            let name = &parameter.name;
            if parameters.iter().any(|p| p.name == name.value) {
                return Err(spanned_error(name, format!("the parameter `{}` is there twice", name.value)));
            }
            parameters.push(Parameter {
                name: name.value.clone(),
                default: parameter.default.unwrap_or_default(),
                kind: parameter.kind.unwrap_or_else(|| "string".into()).to_ascii_lowercase(),
                description: parameter.description.unwrap_or_default(),
                friendly_name: parameter.friendly_name.unwrap_or_default(),
                choices: parameter.choices.unwrap_or_default(),
                validating_regex: parameter.validating_regex.unwrap_or_default(),
            });
        }
        if let Some(export) = &raw.export {
            check_query(export, &mut warnings)?;
        }
        let mut sources: Vec<Source> = Vec::new();
        for source in raw.sources.unwrap_or_default() {
            let mut texts: Vec<&Spanned<String>> = source.query.iter().collect();
            texts.extend(source.queries.iter().flatten());
            for text in &texts {
                check_query(text, &mut warnings)?;
            }
            let name = source.name.as_ref().map(|n| n.value.trim().to_owned()).filter(|n| !n.is_empty());
            if let Some(twice) = source.name.as_ref().filter(|_| sources.iter().any(|s| s.name == name)) {
                return Err(spanned_error(twice, format!("the source `{}` is there twice", twice.value)));
            }
            sources.push(Source {
                name,
                description: source.description.unwrap_or_default(),
                precondition: source.precondition.filter(|p| !p.trim().is_empty()),
                query: texts.iter().map(|t| t.value.trim_end()).collect::<Vec<_>>().join("\n"),
                line: texts.first().map_or(1, |t| t.referenced.line()),
            });
        }
        Ok(Artifact {
            name,
            description: raw.description.unwrap_or_default(),
            author: raw.author.unwrap_or_default(),
            kind,
            parameters,
            precondition: raw.precondition.filter(|p| !p.trim().is_empty()),
            sources,
            export: raw.export.map(|e| e.value).filter(|e| !e.trim().is_empty()),
            imports: raw.imports.unwrap_or_default(),
            required_permissions: raw.required_permissions.unwrap_or_default(),
            resources: raw.resources.unwrap_or_default(),
            warnings,
        })
    }

    /// The full name of a source: `Artifact/Source`, or `Artifact`.
    pub fn source_name(&self, source: &Source) -> String {
        match &source.name {
            Some(name) => format!("{}/{name}", self.name),
            None => self.name.clone(),
        }
    }

    /// The scripts and variables for these parameters, given as text; those not given have their defaults.
    pub fn compile(&self, parameters: &BTreeMap<String, String>) -> Result<Compiled, ParameterError> {
        if let Some(name) = parameters.keys().find(|name| !self.parameters.iter().any(|p| p.name == **name)) {
            return Err(ParameterError::Unknown {
                artifact: self.name.clone(),
                name: name.clone(),
                hint: did_you_mean(name, self.parameters.iter().map(|p| p.name.as_str())),
            });
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
            .collect::<Result<_, _>>()?;
        let sources = self
            .sources
            .iter()
            .map(|source| CompiledSource {
                name: self.source_name(source),
                script: match &self.export {
                    Some(export) => format!("{}\n{}", export.trim_end(), source.query),
                    None => source.query.clone(),
                },
                precondition: both(self.precondition.as_deref(), source.precondition.as_deref()),
            })
            .collect();
        Ok(Compiled { sources, env })
    }
}

/// A precondition that holds when both do. Each is a query; one that is not stands alone.
fn both(outer: Option<&str>, inner: Option<&str>) -> Option<String> {
    match (outer, inner) {
        (Some(outer), Some(inner)) => {
            Some(format!("SELECT * FROM if(condition={{ {} }}, then={{ {} }})", outer.trim(), inner.trim()))
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

#[derive(Deserialize)]
struct RawArtifact {
    name: Spanned<String>,
    description: Option<String>,
    author: Option<String>,
    #[serde(rename = "type")]
    kind: Option<Spanned<String>>,
    parameters: Option<Vec<RawParameter>>,
    precondition: Option<String>,
    sources: Option<Vec<RawSource>>,
    export: Option<Spanned<String>>,
    imports: Option<Vec<String>>,
    required_permissions: Option<Vec<String>>,
    resources: Option<Resources>,
}

#[derive(Deserialize)]
struct RawParameter {
    name: Spanned<String>,
    default: Option<String>,
    #[serde(rename = "type")]
    kind: Option<String>,
    description: Option<String>,
    friendly_name: Option<String>,
    choices: Option<Vec<String>>,
    validating_regex: Option<String>,
}

#[derive(Deserialize)]
struct RawSource {
    name: Option<Spanned<String>>,
    description: Option<String>,
    precondition: Option<String>,
    query: Option<Spanned<String>>,
    queries: Option<Vec<Spanned<String>>>,
}

const FIELDS: [&str; 20] = [
    "name",
    "aliases",
    "description",
    "author",
    "reference",
    "references",
    "required_permissions",
    "implied_permissions",
    "impersonate",
    "resources",
    "tools",
    "precondition",
    "parameters",
    "type",
    "sources",
    "imports",
    "export",
    "reports",
    "column_types",
    "notebook",
];
const PARAMETER_FIELDS: [&str; 9] = [
    "name",
    "default",
    "description",
    "type",
    "choices",
    "friendly_name",
    "validating_regex",
    "artifact_type",
    "sources",
];
const SOURCE_FIELDS: [&str; 6] = ["name", "description", "precondition", "query", "queries", "notebook"];

fn unknown_fields(yaml: &str) -> Vec<String> {
    let mut warnings = Vec::new();
    // Read once more without types: what is read into types has lost what it does not know.
    let Ok(Value::Dict(all)) = serde_saphyr::from_str::<Value>(yaml) else { return warnings };
    let mut check = |dict: &Dict, known: &[&str], whose: &str| {
        for key in dict.keys().filter(|k| !known.contains(&&***k)) {
            let hint = did_you_mean(key, known.iter().copied()).map(|h| format!(": {h}")).unwrap_or_default();
            warnings.push(format!("{whose} has an unknown field `{key}`{hint}"));
        }
    };
    check(&all, &FIELDS, "the artifact");
    for (field, known, whose) in
        [("parameters", &PARAMETER_FIELDS[..], "a parameter"), ("sources", &SOURCE_FIELDS[..], "a source")]
    {
        for item in all.get(field).and_then(Value::as_array).unwrap_or_default() {
            if let Some(dict) = item.as_dict() {
                check(dict, known, whose);
            }
        }
    }
    warnings
}

fn check_query(query: &Spanned<String>, warnings: &mut Vec<String>) -> Result<(), ArtifactError> {
    let parsed = syntax::parse(&query.value);
    let place = |offset: u32| {
        let (line, column) = line_column(&query.value, offset);
        (query.referenced.line() + line as u64 - 1, column as u64)
    };
    for problem in parsed.diagnostics.iter().chain(&syntax::lint(&parsed.script)) {
        let (line, column) = place(problem.span.start);
        let hint = problem.hint.as_ref().map(|h| format!(" ({h})")).unwrap_or_default();
        let message = format!("{}{hint}", problem.message);
        if problem.is_error() {
            return Err(error_at(line, column, message));
        }
        warnings.push(format!("line {line}: {message}"));
    }
    Ok(())
}

fn error_at(line: u64, column: u64, message: String) -> ArtifactError {
    ArtifactError { line, column, message }
}

fn spanned_error<T>(at: &Spanned<T>, message: String) -> ArtifactError {
    error_at(at.referenced.line(), at.referenced.column(), message)
}

fn yaml_error(error: serde_saphyr::Error) -> ArtifactError {
    let (line, column) = error.location().map_or((1, 1), |l| (l.line(), l.column()));
    let text = error.to_string();
    // The first line says it; the rest draws it.
    let message = text.lines().next().unwrap_or("not YAML").trim_start_matches("error: ").to_owned();
    error_at(line, column, message)
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
        assert_eq!(artifact.warnings, ["the artifact has an unknown field `colour`"]);
        let compiled = artifact.compile(&parameters([("Depth", "0x10"), ("Since", "2021-10-01")])).unwrap();
        let env: Vec<String> = compiled.env.iter().map(|(name, value)| format!("{name}={}", value.to_json())).collect();
        assert_eq!(env, ["Deep=true", "Depth=16", r#"Table=[{"A":"1","B":"x,\"y"}]"#, "Since=1633046400"]);
        let names: Vec<&str> = compiled.sources.iter().map(|s| &*s.name).collect();
        assert_eq!(names, ["Custom.Test/One", "Custom.Test/Two"]);
        assert_eq!(compiled.sources[1].script, "LET X = 1\nSELECT X FROM scope()");
        let precondition = compiled.sources[1].precondition.as_deref().unwrap();
        assert!(syntax::parse(precondition).diagnostics.is_empty(), "{precondition}");
        assert_eq!(artifact.sources[0].line, 21);
    }

    #[test]
    fn wrong_parameters_are_named() {
        let artifact = Artifact::parse(DEFINITION).unwrap();
        for (name, value, part) in [
            ("Dep", "1", "no parameter `Dep`: did you mean"),
            ("Depth", "deep", "`Depth` must be a whole number, not `deep`"),
            ("Deep", "maybe", "must be Y or N"),
            ("Table", "A\n\"", "a quote is not closed"),
            ("Since", "soon", "must be a time"),
        ] {
            let error = artifact.compile(&parameters([(name, value)])).unwrap_err().to_string();
            assert!(error.contains(part), "{error}");
        }
    }

    #[test]
    fn mistakes_have_a_place() {
        for (yaml, line, part) in [
            ("description: x\n", 1, "name"),
            ("name: a b\n", 1, "`name` is letters"),
            ("name: A\ntype: CLEINT\n", 2, "`type` is one of CLIENT"),
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
