//! How the language grows: plugins make rows, functions make values, and a registry lists them.

use std::fmt;
use std::ops::ControlFlow;
use std::sync::Arc;

use indexmap::IndexMap;
use jiff::Timestamp;

use crate::accessor::{self, Accessor, OsPath};
use crate::eval::{Lambda, LambdaValue, StoredQuery};
use crate::plan;
use crate::row::{Row, RowView};
use crate::scope::Context;
use crate::syntax::ast::Span;
use crate::value::{Dict, Value};

/// Whether to go on: `Break` when LIMIT is reached, the query is cancelled, or nobody reads any more.
pub type Flow = ControlFlow<()>;

/// Where the rows of a plugin go.
pub type Emit<'e> = dyn FnMut(Row) -> Flow + 'e;

/// Where rows whose cells may still be uncomputed go.
pub type EmitView<'e> = dyn FnMut(&dyn RowView) -> Flow + 'e;

/// Something that stands behind FROM.
pub trait Plugin: Send + Sync {
    fn signature(&self) -> &'static Signature;

    /// Emits rows one by one, and stops when `emit` breaks. A plugin that works long between two rows asks
    /// [`Context::charge`] or [`Context::cancelled`] at least every 100 ms. Trouble with one item is logged
    /// ([`Context::error`]) and skipped; `Err` is for a call that cannot give rows at all.
    fn run(&self, cx: &Context<'_>, args: &Args<'_>, emit: &mut Emit<'_>) -> Result<Flow, CallError>;

    /// As `run`, passing rows on whose cells are not computed yet. Only plugins that hand through the rows of
    /// another query gain by it.
    fn run_views(&self, cx: &Context<'_>, args: &Args<'_>, emit: &mut EmitView<'_>) -> Result<Flow, CallError> {
        self.run(cx, args, &mut |row| emit(&row))
    }
}

/// Something that is called in an expression.
pub trait Function: Send + Sync {
    fn signature(&self) -> &'static Signature;
    fn call(&self, cx: &Context<'_>, args: &Args<'_>) -> Result<Value, CallError>;
}

/// What a plugin or function is called, takes and does; the reference is generated from it.
#[derive(Clone, Copy, Debug)]
pub struct Signature {
    pub name: &'static str,
    pub doc: &'static str,
    pub args: &'static [ArgSpec],
    /// Takes arguments of any name, as `dict()` does.
    pub open: bool,
    /// Changes the host (execve and the like): a flow that uses it is not run again after a restart.
    pub side_effects: bool,
    /// Keeps state from row to row, as `count()` does.
    pub aggregate: bool,
    /// Under which heading of the reference it stands.
    pub group: Group,
    /// Queries that show its use.
    pub examples: &'static [&'static str],
}

/// The headings of the reference.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Group {
    /// What shapes a query: `if`, `foreach`, `chain`, scope, variables, caches.
    Control,
    /// Plugins that take the rows of a query and give other rows.
    Rows,
    Aggregates,
    Strings,
    Numbers,
    Arrays,
    Dicts,
    Time,
    Paths,
    /// Encodings, hashes, compression, ciphers.
    Encoding,
    /// Text and data to values and rows.
    Parsing,
    Network,
    /// Reads files through an accessor.
    Files,
    /// Reads the state of the host.
    Host,
    /// Runs programs or changes the host.
    Actions,
    #[default]
    Other,
}

impl Signature {
    pub const fn new(name: &'static str, doc: &'static str, args: &'static [ArgSpec]) -> Signature {
        Signature {
            name,
            doc,
            args,
            open: false,
            side_effects: false,
            aggregate: false,
            group: Group::Other,
            examples: &[],
        }
    }

    pub const fn open(mut self) -> Signature {
        self.open = true;
        self
    }

    pub const fn side_effects(mut self) -> Signature {
        self.side_effects = true;
        self
    }

    pub const fn aggregate(mut self) -> Signature {
        self.aggregate = true;
        self
    }

    pub const fn group(mut self, group: Group) -> Signature {
        self.group = group;
        self
    }

    pub const fn examples(mut self, examples: &'static [&'static str]) -> Signature {
        self.examples = examples;
        self
    }

    pub fn arg(&self, name: &str) -> Option<&'static ArgSpec> {
        self.args.iter().find(|a| a.name == name)
    }
}

/// One argument that a plugin or function takes.
#[derive(Clone, Copy, Debug)]
pub struct ArgSpec {
    pub name: &'static str,
    pub kind: ArgKind,
    pub required: bool,
    /// Takes an array of its kind, or one.
    pub repeated: bool,
    pub doc: &'static str,
}

impl ArgSpec {
    pub const fn required(name: &'static str, kind: ArgKind, doc: &'static str) -> ArgSpec {
        ArgSpec { name, kind, required: true, repeated: false, doc }
    }

    pub const fn optional(name: &'static str, kind: ArgKind, doc: &'static str) -> ArgSpec {
        ArgSpec { name, kind, required: false, repeated: false, doc }
    }

    pub const fn repeated(mut self) -> ArgSpec {
        self.repeated = true;
        self
    }
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum ArgKind {
    Any,
    String,
    Int,
    Float,
    Bool,
    Time,
    Dict,
    Path,
    /// A stored query, run by the callee.
    Query,
    /// An expression, evaluated by the callee when and where it wants.
    Lazy,
    Lambda,
}

/// Why a call gave nothing; it is logged with the place of the call, and the query goes on.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct CallError {
    pub message: String,
    /// Where in the query, when the callee knows better than the call as a whole.
    pub span: Option<Span>,
}

impl CallError {
    pub fn new(message: impl Into<String>) -> CallError {
        CallError { message: message.into(), span: None }
    }
}

impl From<String> for CallError {
    fn from(message: String) -> CallError {
        CallError::new(message)
    }
}

impl From<&str> for CallError {
    fn from(message: &str) -> CallError {
        CallError::new(message)
    }
}

impl From<std::io::Error> for CallError {
    fn from(error: std::io::Error) -> CallError {
        CallError::new(error.to_string())
    }
}

/// The arguments of one call, evaluated when they are asked for. Names are checked against the signature before
/// the callee runs: a required argument is there, an unknown one is not.
pub struct Args<'a> {
    cx: &'a Context<'a>,
    signature: &'static Signature,
    args: &'a [plan::Arg],
    /// What `` `**`=dict(…) `` spread into the call; wins over nothing, loses to written arguments.
    spread: Option<Arc<Dict>>,
    place: usize,
}

impl<'a> Args<'a> {
    pub(crate) fn new(
        cx: &'a Context<'a>,
        signature: &'static Signature,
        args: &'a [plan::Arg],
        spread: Option<Arc<Dict>>,
        place: usize,
    ) -> Args<'a> {
        Args { cx, signature, args, spread, place }
    }

    /// What is called.
    pub fn name(&self) -> &'static str {
        self.signature.name
    }

    pub fn has(&self, name: &str) -> bool {
        self.written(name).is_some() || self.spread.as_ref().is_some_and(|s| s.contains(name))
    }

    /// The argument as it is: a stored query stays one. NULL when absent.
    pub fn raw(&self, name: &str) -> Value {
        match self.written(name) {
            Some(arg) => arg.value.eval(self.cx),
            None => self.spread.as_ref().and_then(|s| s.get(name).cloned()).unwrap_or_default(),
        }
    }

    /// The argument with a stored query run to an array of its rows. NULL when absent.
    pub fn value(&self, name: &str) -> Value {
        self.cx.materialize(self.raw(name))
    }

    /// The value of `name` if it is there and not NULL.
    pub fn some(&self, name: &str) -> Option<Value> {
        Some(self.value(name)).filter(|v| !v.is_null())
    }

    /// Text; other values in their text form, NULL as the empty string.
    pub fn str(&self, name: &str) -> Result<Arc<str>, CallError> {
        Ok(self.opt_str(name)?.unwrap_or_else(|| Arc::from("")))
    }

    pub fn opt_str(&self, name: &str) -> Result<Option<Arc<str>>, CallError> {
        Ok(self.some(name).map(|v| v.to_text()))
    }

    /// The bytes of a string or of data.
    pub fn bytes(&self, name: &str) -> Result<Arc<[u8]>, CallError> {
        Ok(match self.value(name) {
            Value::Bytes(b) => b,
            Value::Str(s) => Arc::from(s),
            Value::Null => Arc::from(&b""[..]),
            other => other.as_bytes().map_or_else(|| Arc::from(other.to_text().as_bytes()), Arc::from),
        })
    }

    /// A whole number; 0 when absent.
    pub fn int(&self, name: &str) -> Result<i64, CallError> {
        Ok(self.opt_int(name)?.unwrap_or(0))
    }

    pub fn opt_int(&self, name: &str) -> Result<Option<i64>, CallError> {
        let Some(value) = self.some(name) else { return Ok(None) };
        match value.as_int() {
            Some(i) => Ok(Some(i)),
            None => Err(self.wrong(name, "a whole number", &value)),
        }
    }

    pub fn opt_float(&self, name: &str) -> Result<Option<f64>, CallError> {
        let Some(value) = self.some(name) else { return Ok(None) };
        match value.as_f64().or_else(|| value.as_str().and_then(|s| s.trim().parse().ok())) {
            Some(f) => Ok(Some(f)),
            None => Err(self.wrong(name, "a number", &value)),
        }
    }

    /// The truth of the argument (`Y`, `yes`, `true` and the like for text that says so); false when absent.
    pub fn bool(&self, name: &str) -> Result<bool, CallError> {
        Ok(match self.raw(name) {
            Value::Str(s) => !matches!(s.to_ascii_lowercase().as_str(), "" | "n" | "no" | "f" | "false" | "0"),
            other => self.cx.truth(&other),
        })
    }

    /// A list of text; one text is a list of one. Empty when absent.
    pub fn strings(&self, name: &str) -> Result<Vec<Arc<str>>, CallError> {
        Ok(match self.value(name) {
            Value::Null => Vec::new(),
            // A query of one column gives the texts of its rows.
            Value::Array(items) => items
                .iter()
                .map(|item| match item {
                    Value::Dict(d) if d.len() == 1 => d.values().next().map(Value::to_text).unwrap_or_default(),
                    other => other.to_text(),
                })
                .collect(),
            other => vec![other.to_text()],
        })
    }

    /// A path: text, or a dict with a `Path`.
    pub fn path(&self, name: &str) -> Result<Arc<str>, CallError> {
        Ok(path_text(&self.value(name)))
    }

    pub fn paths(&self, name: &str) -> Result<Vec<Arc<str>>, CallError> {
        Ok(match self.value(name) {
            Value::Null => Vec::new(),
            Value::Array(items) => items.iter().map(path_text).collect(),
            other => vec![path_text(&other)],
        })
    }

    /// The accessor that the argument `accessor` names; the default one without.
    pub fn accessor(&self) -> Result<Arc<dyn Accessor>, CallError> {
        self.cx.registry().accessor(self.opt_str("accessor")?.as_deref())
    }

    /// A path as `accessor` reads it. Empty when absent.
    pub fn os_path(&self, name: &str, accessor: &dyn Accessor) -> OsPath {
        OsPath::of_value(accessor.path_kind(), &self.value(name))
    }

    /// The paths of a repeated argument.
    pub fn os_paths(&self, name: &str, accessor: &dyn Accessor) -> Vec<OsPath> {
        let kind = accessor.path_kind();
        match self.value(name) {
            Value::Null => Vec::new(),
            Value::Array(items) => {
                items.iter().filter(|item| !item.is_null()).map(|item| OsPath::of_value(kind, item)).collect()
            }
            other => vec![OsPath::of_value(kind, &other)],
        }
    }

    pub fn time(&self, name: &str) -> Result<Option<Timestamp>, CallError> {
        let Some(value) = self.some(name) else { return Ok(None) };
        match crate::builtin::time::to_time(self.cx, &value) {
            Some(time) => Ok(Some(time)),
            None => Err(self.wrong(name, "a time", &value)),
        }
    }

    pub fn dict(&self, name: &str) -> Result<Option<Arc<Dict>>, CallError> {
        match self.value(name) {
            Value::Null => Ok(None),
            Value::Dict(d) => Ok(Some(d)),
            // A query of one row serves as a dict.
            Value::Array(items) if matches!(&items[..], [Value::Dict(_)]) => {
                Ok(items.first().and_then(|v| if let Value::Dict(d) = v { Some(d.clone()) } else { None }))
            }
            other => Err(self.wrong(name, "a dict", &other)),
        }
    }

    /// A stored query; an array, dict or value serves as the query that gives its rows.
    pub fn query(&self, name: &str) -> Result<Option<Arc<StoredQuery>>, CallError> {
        Ok(match self.raw(name) {
            Value::Null => None,
            Value::Query(q) => Some(q),
            other => Some(Arc::new(StoredQuery::of_value(other))),
        })
    }

    /// A lambda, from its text `x, y => expr`.
    pub fn lambda(&self, name: &str) -> Result<Option<Arc<Lambda>>, CallError> {
        match self.raw(name) {
            Value::Null => Ok(None),
            Value::Object(object) if object.as_any().is::<LambdaValue>() => {
                Ok(object.as_any().downcast_ref::<LambdaValue>().map(|l| l.0.clone()))
            }
            other => {
                let text = other.to_text();
                self.cx.lambda(&text).map(Some).map_err(|e| CallError::new(format!("{name}: {e}")))
            }
        }
    }

    /// The unevaluated argument.
    pub fn lazy(&self, name: &str) -> Option<Lazy<'a>> {
        match self.written(name) {
            Some(arg) => Some(Lazy(LazyKind::Written(&arg.value))),
            None => {
                let value = self.spread.as_ref()?.get(name)?.clone();
                Some(Lazy(LazyKind::Value(value)))
            }
        }
    }

    /// All arguments in the order of the call: for open signatures.
    pub fn all(&self) -> Vec<(Arc<str>, Lazy<'a>)> {
        let mut all: Vec<(Arc<str>, Lazy<'a>)> = Vec::with_capacity(self.args.len());
        for arg in self.args {
            if &*arg.name == plan::SPREAD {
                for (name, value) in self.spread.iter().flat_map(|s| s.iter()) {
                    all.push((name.clone(), Lazy(LazyKind::Value(value.clone()))));
                }
            } else {
                all.push((arg.name.clone(), Lazy(LazyKind::Written(&arg.value))));
            }
        }
        all
    }

    /// The name of the variable that stands as argument `name`, if it is nothing but one.
    pub fn variable(&self, name: &str) -> Option<Arc<str>> {
        self.written(name).and_then(|arg| arg.value.variable())
    }

    /// The argument as it stands in the query.
    pub(crate) fn as_written(&self, name: &str) -> Option<&'a plan::ArgValue> {
        self.written(name).map(|arg| &arg.value)
    }

    /// Names this place in the query: aggregates keep their state under it.
    pub fn place(&self) -> usize {
        self.place
    }

    /// The error for an argument of the wrong type.
    pub fn wrong(&self, name: &str, expected: &str, got: &Value) -> CallError {
        let span = self.written(name).map(|a| a.span);
        let message = format!("{}: `{name}` must be {expected}, not {}", self.signature.name, got.type_name());
        CallError { message, span }
    }

    /// Of an argument that is given twice the last counts.
    fn written(&self, name: &str) -> Option<&'a plan::Arg> {
        self.args.iter().rev().find(|a| *a.name == *name)
    }
}

impl fmt::Debug for Args<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.args.iter().map(|a| &a.name)).finish()
    }
}

fn path_text(value: &Value) -> Arc<str> {
    match value {
        Value::Null => Arc::from(""),
        Value::Dict(d) => match d.get("Path").or_else(|| d.get("OSPath")).or_else(|| d.get("FullPath")) {
            Some(path) => path.to_text(),
            None => value.to_text(),
        },
        other => other.to_text(),
    }
}

/// An argument that is not evaluated yet.
#[derive(Clone, Debug)]
pub struct Lazy<'a>(LazyKind<'a>);

#[derive(Clone, Debug)]
enum LazyKind<'a> {
    Written(&'a plan::ArgValue),
    Value(Value),
}

impl Lazy<'_> {
    /// Evaluates in `cx`, which may hold more variables than the call's own. A stored query stays one.
    pub fn eval(&self, cx: &Context<'_>) -> Value {
        match &self.0 {
            LazyKind::Written(arg) => arg.eval(cx),
            LazyKind::Value(value) => value.clone(),
        }
    }
}

/// The plugins, functions and accessors that a query may use. There is no global one.
#[derive(Clone, Default)]
pub struct Registry {
    plugins: IndexMap<&'static str, Arc<dyn Plugin>>,
    functions: IndexMap<&'static str, Arc<dyn Function>>,
    accessors: IndexMap<&'static str, Arc<dyn Accessor>>,
}

impl Registry {
    /// An empty registry.
    pub fn new() -> Registry {
        Registry::default()
    }

    /// Everything that needs no host.
    pub fn core() -> Registry {
        let mut registry = Registry::new();
        crate::builtin::register(&mut registry);
        accessor::register(&mut registry);
        registry
    }

    /// Adds a plugin; one of the same name is replaced.
    pub fn add_plugin(&mut self, plugin: impl Plugin + 'static) -> &mut Registry {
        self.plugins.insert(plugin.signature().name, Arc::new(plugin));
        self
    }

    /// Adds a function; one of the same name is replaced.
    pub fn add_function(&mut self, function: impl Function + 'static) -> &mut Registry {
        self.functions.insert(function.signature().name, Arc::new(function));
        self
    }

    /// Adds an accessor; one of the same name is replaced.
    pub fn add_accessor(&mut self, accessor: impl Accessor + 'static) -> &mut Registry {
        self.accessors.insert(accessor.name(), Arc::new(accessor));
        self
    }

    /// The accessor of that name; [`accessor::DEFAULT`] for none. The error names those that there are.
    pub fn accessor(&self, name: Option<&str>) -> Result<Arc<dyn Accessor>, CallError> {
        let name = name.filter(|name| !name.is_empty());
        if let Some(found) = self.accessors.get(name.unwrap_or(accessor::DEFAULT)) {
            return Ok(found.clone());
        }
        let known = || self.accessors.keys().copied();
        let all = || known().collect::<Vec<_>>().join(", ");
        Err(CallError::new(match name {
            // Only an endpoint has files.
            None | Some(accessor::DEFAULT) => {
                format!("there are no files here: name an accessor (there are {})", all())
            }
            Some(name) => {
                let hint = crate::diagnostic::did_you_mean(name, known())
                    .map_or_else(|| format!("there are {}", all()), |hint| format!("{hint} (there are {})", all()));
                format!("there is no accessor `{name}`: {hint}")
            }
        }))
    }

    pub fn accessor_names(&self) -> impl Iterator<Item = &'static str> {
        self.accessors.keys().copied()
    }

    pub fn plugin(&self, name: &str) -> Option<&Arc<dyn Plugin>> {
        self.plugins.get(name)
    }

    pub fn function(&self, name: &str) -> Option<&Arc<dyn Function>> {
        self.functions.get(name)
    }

    pub fn plugin_names(&self) -> impl Iterator<Item = &'static str> {
        self.plugins.keys().copied()
    }

    pub fn function_names(&self) -> impl Iterator<Item = &'static str> {
        self.functions.keys().copied()
    }

    pub fn plugin_signatures(&self) -> impl Iterator<Item = &'static Signature> {
        self.plugins.values().map(|p| p.signature())
    }

    pub fn function_signatures(&self) -> impl Iterator<Item = &'static Signature> {
        self.functions.values().map(|f| f.signature())
    }

    /// The names of all plugins and functions.
    pub fn names(&self) -> Vec<&'static str> {
        self.plugin_names().chain(self.function_names()).collect()
    }
}

impl fmt::Debug for Registry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Registry({} plugins, {} functions)", self.plugins.len(), self.functions.len())
    }
}
