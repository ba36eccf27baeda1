//! From YAML to a definition. Problems have their places in the YAML text, also those inside of its queries.

use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, SeqAccess, Visitor};
use serde_saphyr::Spanned;

use super::verify::words;
use super::{Artifact, ColumnType, Kind, MAX_DEFINITION, PARAMETER_TYPES, Parameter, Resources, Source, Tool};
use crate::diagnostic::{Diagnostic, did_you_mean};
use crate::syntax;
use crate::syntax::ast::{Script, Span};

/// The definition, where there is one, and all that is wrong or odd without knowing other artifacts and plugins.
pub(super) fn read(yaml: &str) -> (Option<Artifact>, Vec<Diagnostic>) {
    let definition = Definition::read(yaml);
    (definition.artifact, definition.problems)
}

/// A definition with the places of its parts.
#[derive(Default)]
pub(super) struct Definition {
    pub artifact: Option<Artifact>,
    pub problems: Vec<Diagnostic>,
    pub raw: Option<RawArtifact>,
    pub texts: Vec<Text>,
}

/// A VQL text of a definition.
pub(super) struct Text {
    pub role: Role,
    pub written: Spanned<String>,
    pub script: Script,
    /// It could not be read as a whole.
    pub broken: bool,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Role {
    Export,
    /// Of the source with this index.
    Query(usize),
    Precondition,
}

#[derive(Deserialize)]
pub(super) struct RawArtifact {
    pub name: Spanned<String>,
    aliases: Option<Vec<String>>,
    description: Option<String>,
    author: Option<String>,
    reference: Option<OneOrMany>,
    references: Option<OneOrMany>,
    #[serde(rename = "type")]
    kind: Option<Spanned<String>>,
    pub parameters: Option<Vec<RawParameter>>,
    precondition: Option<Spanned<String>>,
    pub sources: Option<Vec<RawSource>>,
    export: Option<Spanned<String>>,
    pub imports: Option<Vec<Spanned<String>>>,
    required_permissions: Option<Vec<String>>,
    implied_permissions: Option<Vec<String>>,
    impersonate: Option<String>,
    resources: Option<Resources>,
    tools: Option<Vec<Tool>>,
    column_types: Option<Vec<ColumnType>>,
}

#[derive(Deserialize)]
pub(super) struct RawParameter {
    pub name: Spanned<String>,
    pub default: Option<Spanned<String>>,
    #[serde(rename = "type")]
    pub kind: Option<Spanned<String>>,
    description: Option<String>,
    friendly_name: Option<String>,
    pub choices: Option<Vec<String>>,
    pub validating_regex: Option<Spanned<String>>,
    artifact_type: Option<String>,
}

#[derive(Deserialize)]
pub(super) struct RawSource {
    name: Option<Spanned<String>>,
    description: Option<String>,
    precondition: Option<Spanned<String>>,
    query: Option<Spanned<String>>,
    queries: Option<Vec<Spanned<String>>>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum OneOrMany {
    One(String),
    Many(Vec<String>),
}

impl OneOrMany {
    fn list(&self) -> &[String] {
        match self {
            OneOrMany::One(one) => std::slice::from_ref(one),
            OneOrMany::Many(many) => many,
        }
    }
}

impl Definition {
    pub(super) fn read(yaml: &str) -> Definition {
        let mut definition = Definition::default();
        if yaml.len() > MAX_DEFINITION {
            let message = format!("the definition is larger than {} MiB", MAX_DEFINITION >> 20);
            definition.problems.push(
                Diagnostic::error("V0301", Span::default(), message)
                    .hint("data belongs in a file that the query reads"),
            );
            return definition;
        }
        definition.unknown_fields(yaml);
        match serde_saphyr::from_str::<RawArtifact>(yaml) {
            Ok(raw) => {
                definition.fill(yaml, &raw);
                definition.raw = Some(raw);
            }
            Err(error) => definition.problems.push(yaml_error(yaml, &error)),
        }
        definition.problems.sort_by_key(|problem| problem.span.start);
        definition
    }

    fn fill(&mut self, yaml: &str, raw: &RawArtifact) {
        let name = raw.name.value.trim().to_owned();
        if name.is_empty() || !name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-' | '/')) {
            self.problems.push(
                Diagnostic::error("V0303", scalar(yaml, &raw.name), format!("`{name}` cannot be an artifact's name"))
                    .hint("a `name` is letters, digits and `_`, with dots between words: Custom.Linux.Sys.Users"),
            );
        }
        let kind = self.kind(yaml, raw);
        let parameters = self.parameters(yaml, raw.parameters.as_deref().unwrap_or_default());
        for (text, role) in raw.export.iter().map(|t| (t, Role::Export)).chain(raw.precondition.iter().map(condition)) {
            self.query(yaml, text, role);
        }
        let sources = self.sources(yaml, raw.sources.as_deref().unwrap_or_default());
        if sources.is_empty() && raw.export.is_none() && kind != Kind::Notebook {
            self.problems.push(
                Diagnostic::warning("V0308", scalar(yaml, &raw.name), "the artifact has no sources: it gives no rows")
                    .hint("add `sources:` with a `query:`, or `export:` with what others import"),
            );
        }
        let list = |list: &Option<Vec<String>>| list.clone().unwrap_or_default();
        let references = [&raw.reference, &raw.references];
        self.artifact = Some(Artifact {
            name,
            aliases: list(&raw.aliases),
            description: raw.description.clone().unwrap_or_default(),
            author: raw.author.clone().unwrap_or_default(),
            references: references.into_iter().flatten().flat_map(OneOrMany::list).cloned().collect(),
            kind,
            parameters,
            precondition: filled(&raw.precondition),
            sources,
            export: filled(&raw.export),
            imports: raw.imports.iter().flatten().map(|i| i.value.clone()).collect(),
            required_permissions: list(&raw.required_permissions),
            implied_permissions: list(&raw.implied_permissions),
            impersonate: raw.impersonate.clone().unwrap_or_default(),
            resources: raw.resources.unwrap_or_default(),
            tools: raw.tools.clone().unwrap_or_default(),
            column_types: raw.column_types.clone().unwrap_or_default(),
            warnings: Vec::new(),
        });
    }

    fn kind(&mut self, yaml: &str, raw: &RawArtifact) -> Kind {
        let Some(kind) = &raw.kind else { return Kind::Client };
        if let Some(known) = Kind::ALL.into_iter().find(|k| k.name().eq_ignore_ascii_case(kind.value.trim())) {
            return known;
        }
        let known = Kind::ALL.map(Kind::name);
        let hint = did_you_mean(&kind.value, known).unwrap_or_else(|| format!("it is one of {}", known.join(", ")));
        let message = format!("`{}` is no type of an artifact", kind.value);
        self.problems.push(Diagnostic::error("V0304", scalar(yaml, kind), message).hint(hint));
        Kind::Client
    }

    fn parameters(&mut self, yaml: &str, raw: &[RawParameter]) -> Vec<Parameter> {
        let mut parameters: Vec<Parameter> = Vec::new();
        for parameter in raw {
            let name = &parameter.name;
            if parameters.iter().any(|p| p.name == name.value) {
                self.problems.push(
                    Diagnostic::error(
                        "V0305",
                        scalar(yaml, name),
                        format!("the parameter `{}` is there twice", name.value),
                    )
                    .hint("give one of them another name"),
                );
                continue;
            }
            let kind = parameter.kind.as_ref().map_or("string", |k| k.value.trim()).to_ascii_lowercase();
            if let Some(written) = parameter.kind.as_ref().filter(|_| !PARAMETER_TYPES.contains(&&*kind)) {
                let hint = did_you_mean(&kind, PARAMETER_TYPES)
                    .unwrap_or_else(|| format!("it is one of {}", PARAMETER_TYPES.join(", ")));
                let message = format!("`{}` is no type of a parameter: its value stays text", written.value);
                self.problems.push(Diagnostic::warning("V0306", scalar(yaml, written), message).hint(hint));
            }
            parameters.push(Parameter {
                name: name.value.clone(),
                default: parameter.default.as_ref().map(|d| d.value.clone()).unwrap_or_default(),
                kind,
                description: parameter.description.clone().unwrap_or_default(),
                friendly_name: parameter.friendly_name.clone().unwrap_or_default(),
                choices: parameter.choices.clone().unwrap_or_default(),
                validating_regex: parameter.validating_regex.as_ref().map(|r| r.value.clone()).unwrap_or_default(),
                artifact_type: parameter.artifact_type.clone().unwrap_or_default(),
            });
        }
        parameters
    }

    fn sources(&mut self, yaml: &str, raw: &[RawSource]) -> Vec<Source> {
        let mut sources: Vec<Source> = Vec::new();
        for (index, source) in raw.iter().enumerate() {
            let texts: Vec<&Spanned<String>> = source.query.iter().chain(source.queries.iter().flatten()).collect();
            for text in &texts {
                self.query(yaml, text, Role::Query(index));
            }
            if let Some((text, role)) = source.precondition.as_ref().map(condition) {
                self.query(yaml, text, role);
            }
            let name = source.name.as_ref().map(|n| n.value.trim().to_owned()).filter(|n| !n.is_empty());
            if let Some(twice) = source.name.as_ref().filter(|_| sources.iter().any(|s| s.name == name)) {
                self.problems.push(
                    Diagnostic::error(
                        "V0305",
                        scalar(yaml, twice),
                        format!("the source `{}` is there twice", twice.value),
                    )
                    .hint("give one of them another name: it names their table of results"),
                );
            }
            sources.push(Source {
                name,
                description: source.description.clone().unwrap_or_default(),
                precondition: filled(&source.precondition),
                query: texts.iter().map(|t| t.value.trim_end()).collect::<Vec<_>>().join("\n"),
                line: texts.first().map_or(1, |t| t.referenced.line()),
            });
        }
        sources
    }

    /// Parses a text and notes what is wrong with it, at its place in the YAML.
    fn query(&mut self, yaml: &str, text: &Spanned<String>, role: Role) {
        if text.value.trim().is_empty() {
            return;
        }
        let parsed = syntax::parse(&text.value);
        // A precondition may also be an expression.
        if role == Role::Precondition && syntax::parse_expression(&text.value).is_ok() {
            return;
        }
        let broken = !parsed.diagnostics.is_empty();
        let found = match parsed.diagnostics.is_empty() {
            false => parsed.diagnostics,
            true => {
                let mut found = syntax::lint(&parsed.script);
                // What one text of several does not use, another may.
                found.retain(|problem| {
                    let name = text.value.get(problem.span.range()).unwrap_or_default();
                    let count = |text: &str| words(text).filter(|word| *word == name).count();
                    problem.code != "V0104" || count(yaml) <= count(&text.value)
                });
                found
            }
        };
        for problem in found {
            self.problems.push(moved(yaml, text, problem));
        }
        self.texts.push(Text { role, written: text.clone(), script: parsed.script, broken });
    }

    fn unknown_fields(&mut self, yaml: &str) {
        // Read once more without types: what is read into types has lost what it does not know.
        let Ok(Node::Map(all)) = serde_saphyr::from_str::<Node>(yaml) else { return };
        self.check_fields(yaml, &all, &FIELDS, "the artifact");
        for (field, known, whose) in [
            ("parameters", &PARAMETER_FIELDS[..], "a parameter"),
            ("sources", &SOURCE_FIELDS[..], "a source"),
            ("tools", &TOOL_FIELDS[..], "a tool"),
            ("column_types", &COLUMN_FIELDS[..], "a column's type"),
        ] {
            let lists = all.iter().filter(|(key, _)| key.value == field).map(|(_, node)| node);
            for item in lists.filter_map(|node| if let Node::Seq(items) = node { Some(items) } else { None }).flatten()
            {
                if let Node::Map(fields) = item {
                    self.check_fields(yaml, fields, known, whose);
                }
            }
        }
        if let Some(Node::Map(fields)) = all.iter().find(|(key, _)| key.value == "resources").map(|(_, node)| node) {
            self.check_fields(yaml, fields, &RESOURCE_FIELDS, "the resources");
        }
    }

    fn check_fields(&mut self, yaml: &str, fields: &[(Spanned<String>, Node)], known: &[&str], whose: &str) {
        for (key, _) in fields.iter().filter(|(key, _)| !known.contains(&key.value.as_str())) {
            let message = format!("{whose} has no field `{}`", key.value);
            let mut problem = Diagnostic::warning("V0302", scalar(yaml, key), message);
            problem.hint = did_you_mean(&key.value, known.iter().copied());
            if problem.hint.is_none() && known.contains(&key.value.to_ascii_lowercase().as_str()) {
                problem.hint = Some(format!("fields are in lower case: `{}`", key.value.to_ascii_lowercase()));
            }
            self.problems.push(problem);
        }
    }
}

fn condition(text: &Spanned<String>) -> (&Spanned<String>, Role) {
    (text, Role::Precondition)
}

fn filled(text: &Option<Spanned<String>>) -> Option<String> {
    text.as_ref().map(|t| t.value.clone()).filter(|t| !t.trim().is_empty())
}

/// A problem of a text inside of the YAML, moved to where it stands there.
pub(super) fn moved(yaml: &str, text: &Spanned<String>, mut problem: Diagnostic) -> Diagnostic {
    problem.labels.retain_mut(|label| {
        let beside = label.span == problem.span;
        label.span = place(yaml, text, label.span);
        beside || !label.span.range().is_empty()
    });
    problem.span = place(yaml, text, problem.span);
    problem
}

/// The place of a scalar, at most to the end of its first line.
pub(super) fn scalar(yaml: &str, text: &Spanned<String>) -> Span {
    let start = offset(yaml, text);
    let rest = yaml.get(start..).unwrap_or_default();
    let line = rest.lines().next().unwrap_or_default().trim_end();
    let quoted = line.starts_with(['"', '\'']);
    let length = if quoted { line.len() } else { text.value.lines().next().unwrap_or_default().trim_end().len() };
    Span::new(start, start + length.clamp(usize::from(!line.is_empty()), line.len().max(1)).min(line.len()))
}

/// Where a part of a scalar's text stands in the YAML. Block and plain scalars are found exactly; where folding or
/// escapes have moved the text, the scalar's first line stands for it.
pub(super) fn place(yaml: &str, text: &Spanned<String>, span: Span) -> Span {
    let value = &text.value;
    let (from, to) = (span.range().start.min(value.len()), span.range().end.min(value.len()));
    let begin = offset(yaml, text);
    let start = yaml.get(..begin).map_or(0, |before| before.rfind('\n').map_or(0, |i| i + 1));
    let indent = begin - start;
    let quote = usize::from(yaml.get(begin..).is_some_and(|rest| rest.starts_with(['"', '\''])));
    let map = |at: usize| -> Option<usize> {
        let before = value.get(..at)?;
        let line = before.matches('\n').count();
        let column = at - before.rfind('\n').map_or(0, |i| i + 1);
        if line == 0 {
            return Some(begin + quote + column);
        }
        let mut line_start = begin;
        for _ in 0..line {
            line_start += yaml.get(line_start..)?.find('\n')? + 1;
        }
        Some(line_start + indent + column)
    };
    let exact = || -> Option<Span> {
        let (start, end) = (map(from)?, map(to)?);
        let first = value.get(from..to)?.lines().next().unwrap_or_default();
        yaml.get(start..)?.starts_with(first).then(|| Span::new(start, end.clamp(start, yaml.len())))
    };
    exact().unwrap_or_else(|| scalar(yaml, text))
}

fn offset(yaml: &str, text: &Spanned<String>) -> usize {
    let at = text.referenced.span().byte_offset().map(|at| at as usize);
    let line_column = || {
        let line = usize::try_from(text.referenced.line()).unwrap_or(1).max(1);
        let column = usize::try_from(text.referenced.column()).unwrap_or(1).max(1);
        let start: usize = yaml.split_inclusive('\n').take(line - 1).map(str::len).sum();
        let rest = yaml.get(start..).unwrap_or_default();
        start + rest.char_indices().nth(column - 1).map_or(rest.len(), |(i, _)| i)
    };
    at.filter(|at| yaml.is_char_boundary(*at)).unwrap_or_else(line_column).min(yaml.len())
}

fn yaml_error(yaml: &str, error: &serde_saphyr::Error) -> Diagnostic {
    let at = error.location().map_or(0, |location| {
        let here = Spanned::new(String::new(), location, location);
        offset(yaml, &here)
    });
    let text = error.to_string();
    // The first line says it; the rest draws it, and tells the place again.
    let said = text.lines().next().unwrap_or("not YAML").trim_start_matches("error: ");
    let said = said.find(" at line ").map_or(said, |tail| &said[..tail]);
    let said = said.strip_prefix("line ").and_then(|s| s.split_once(": ")).map_or(said, |(_, rest)| rest);
    let line = yaml.get(at..).unwrap_or_default().lines().next().unwrap_or_default().trim_end();
    let (message, hint) = explain(said);
    let message = message.unwrap_or(said);
    Diagnostic::error("V0301", Span::new(at, at + line.len()), message).hint(hint)
}

/// What the reader of YAML says, for those who do not read its grammar.
fn explain(said: &str) -> (Option<&'static str>, &'static str) {
    const COLUMN: &str = "the items of one list, and the fields of one map, begin in the same column";
    for (part, message, hint) in [
        ("tabs disallowed", "the indentation has a tab", "indent by blanks: YAML takes no tabs there"),
        (
            "mapping values are not allowed",
            "a second `: ` in one value",
            "put the value in quotes, or write `|` and the text on the next lines, indented",
        ),
        ("did not find expected '-'", "this fits neither the list above nor an item of it", COLUMN),
        ("did not find expected key", "this fits none of the maps above", COLUMN),
        ("missing field `name`", "`name:` is missing here", "an artifact and each parameter has a `name:`"),
        ("expected sequence", "a list is expected here", "each item of a list begins with `- `, such as `- query: |`"),
        ("expected mapping", "a map is expected here", "a map has a line `field: value` for each of its fields"),
    ] {
        if said.contains(part) {
            return (Some(message), hint);
        }
    }
    (None, "look at the indentation, and at colons and quotes in values: a query stands behind `query: |`, indented")
}

/// A YAML tree of which only the keys matter.
enum Node {
    Map(Vec<(Spanned<String>, Node)>),
    Seq(Vec<Node>),
    Other,
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Node, D::Error> {
        struct Keys;
        impl<'de> Visitor<'de> for Keys {
            type Value = Node;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("YAML")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Node, A::Error> {
                let mut entries = Vec::new();
                while let Some(key) = map.next_key::<Spanned<String>>()? {
                    entries.push((key, map.next_value()?));
                }
                Ok(Node::Map(entries))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Node, A::Error> {
                let mut items = Vec::new();
                while let Some(item) = seq.next_element()? {
                    items.push(item);
                }
                Ok(Node::Seq(items))
            }

            fn visit_bool<E>(self, _: bool) -> Result<Node, E> {
                Ok(Node::Other)
            }

            fn visit_i64<E>(self, _: i64) -> Result<Node, E> {
                Ok(Node::Other)
            }

            fn visit_u64<E>(self, _: u64) -> Result<Node, E> {
                Ok(Node::Other)
            }

            fn visit_i128<E>(self, _: i128) -> Result<Node, E> {
                Ok(Node::Other)
            }

            fn visit_u128<E>(self, _: u128) -> Result<Node, E> {
                Ok(Node::Other)
            }

            fn visit_f64<E>(self, _: f64) -> Result<Node, E> {
                Ok(Node::Other)
            }

            fn visit_str<E>(self, _: &str) -> Result<Node, E> {
                Ok(Node::Other)
            }

            fn visit_bytes<E>(self, _: &[u8]) -> Result<Node, E> {
                Ok(Node::Other)
            }

            fn visit_unit<E>(self) -> Result<Node, E> {
                Ok(Node::Other)
            }

            fn visit_none<E>(self) -> Result<Node, E> {
                Ok(Node::Other)
            }

            fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Node, D::Error> {
                Node::deserialize(deserializer)
            }
        }
        deserializer.deserialize_any(Keys)
    }
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
const TOOL_FIELDS: [&str; 8] =
    ["name", "url", "github_project", "github_asset_regex", "serve_locally", "expected_hash", "version", "materialize"];
const COLUMN_FIELDS: [&str; 3] = ["name", "type", "description"];
const RESOURCE_FIELDS: [&str; 9] = [
    "timeout",
    "ops_per_second",
    "cpu_limit",
    "iops_limit",
    "max_rows",
    "max_upload_bytes",
    "max_batch_wait",
    "max_batch_rows",
    "max_batch_rows_buffer",
];
