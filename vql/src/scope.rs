//! Where a query runs: variables and rows, log, cancellation, budget, and what the host lends to its plugins.

use std::any::{Any, TypeId};
use std::borrow::Cow;
use std::collections::{HashMap, HashSet};
use std::fmt;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::ops::ControlFlow;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock, Weak};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use parking_lot::{Mutex, RwLock};

use crate::eval::explain::{Node, Profile};
use crate::eval::{Lambda, Layout, Mocks, Place, SelectRow, Store, StoredQuery};
use crate::plan::{self, Symbol};
use crate::plugin::{EmitView, Flow, Registry};
use crate::row::RowView;
use crate::syntax::ast::Span;
use crate::value::Value;

/// How deep queries and LET functions may nest.
pub const MAX_DEPTH: u32 = 1000;

/// How often a sleeping or waiting call looks for cancellation.
const TICK: Duration = Duration::from_millis(10);

/// How many different messages are remembered so that each is logged once.
const MAX_REMEMBERED: usize = 4096;

/// One layer of a running query's scope, and the way to everything around it. Contexts live on the stack, each
/// pointing to the one that it extends; they may be shared with scoped threads.
#[derive(Clone, Copy)]
pub struct Context<'a> {
    pub(crate) shared: &'a Arc<Shared>,
    parent: Option<&'a Context<'a>>,
    frame: Frame<'a>,
    pub(crate) aggregates: &'a Aggregates,
    cancel: &'a CancelToken,
    pub(crate) depth: u32,
}

#[derive(Clone, Copy)]
enum Frame<'a> {
    Globals,
    Row(&'a dyn RowView),
    /// The row of a SELECT's source.
    Source(&'a Layout, &'a dyn RowView),
    /// The columns of a SELECT, over the row of its source.
    Selected(&'a SelectRow<'a>),
    Vars(&'a [(Arc<str>, Value)]),
    /// Around a SELECT that is explained; None around one that is not, under one that is.
    Profile(Option<&'a Arc<Node>>),
    Plain,
}

impl<'a> Frame<'a> {
    fn row(self) -> Option<&'a dyn RowView> {
        match self {
            Frame::Row(row) | Frame::Source(_, row) => Some(row),
            Frame::Selected(row) => Some(row),
            Frame::Globals | Frame::Vars(_) | Frame::Profile(_) | Frame::Plain => None,
        }
    }
}

impl<'a> Context<'a> {
    pub(crate) fn root(shared: &'a Arc<Shared>, aggregates: &'a Aggregates) -> Context<'a> {
        Context { shared, parent: None, frame: Frame::Globals, aggregates, cancel: &shared.cancel, depth: 0 }
    }

    /// This root with another cancellation.
    pub(crate) fn until(self, cancel: &'a CancelToken) -> Context<'a> {
        Context { cancel, ..self }
    }

    /// The outermost scope of an artifact that is called from here: no variable of this one is seen there.
    pub(crate) fn of_artifact<'b>(&'b self, shared: &'b Arc<Shared>, aggregates: &'b Aggregates) -> Context<'b> {
        self.apart(shared, aggregates, self.cancel)
    }

    /// The outermost scope of what runs apart from this one, see [`Shared::apart`].
    pub(crate) fn apart<'b>(
        &'b self,
        shared: &'b Arc<Shared>,
        aggregates: &'b Aggregates,
        cancel: &'b CancelToken,
    ) -> Context<'b> {
        Context { depth: self.depth, cancel, ..Context::root(shared, aggregates) }
    }

    /// This scope with the columns of `row` over it.
    pub fn with_row<'b>(&'b self, row: &'b dyn RowView) -> Context<'b> {
        self.child(Frame::Row(row))
    }

    /// This scope with a row that a SELECT reads over it.
    pub(crate) fn with_source<'b>(&'b self, layout: &'b Layout, row: &'b dyn RowView) -> Context<'b> {
        self.child(Frame::Source(layout, row))
    }

    /// This scope, which is that of a SELECT's source, with the columns over it.
    pub(crate) fn with_selected<'b>(&'b self, row: &'b SelectRow<'b>) -> Context<'b> {
        self.child(Frame::Selected(row))
    }

    /// This scope with variables over it.
    pub fn with_vars<'b>(&'b self, vars: &'b [(Arc<str>, Value)]) -> Context<'b> {
        self.child(Frame::Vars(vars))
    }

    /// This scope with a cancellation of its own, for a part that may be stopped alone. Make the token with
    /// [`CancelToken::child`].
    pub fn with_cancel<'b>(&'b self, cancel: &'b CancelToken) -> Context<'b> {
        Context { cancel, ..self.child(Frame::Plain) }
    }

    pub(crate) fn with_aggregates<'b>(&'b self, aggregates: &'b Aggregates) -> Context<'b> {
        Context { aggregates, ..self.child(Frame::Plain) }
    }

    pub(crate) fn with_node<'b>(&'b self, node: Option<&'b Arc<Node>>) -> Context<'b> {
        self.child(Frame::Profile(node))
    }

    /// Where the SELECT around writes down what it does; None when nobody wants to know.
    pub(crate) fn node(&self) -> Option<&'a Arc<Node>> {
        self.shared.profile.as_ref()?;
        self.nodes().next()?
    }

    /// Those of the SELECTs around, innermost first.
    pub(crate) fn nodes(&self) -> impl Iterator<Item = Option<&'a Arc<Node>>> + Clone {
        let chain = std::iter::successors(Some(*self), |at| at.parent.copied());
        chain.filter_map(|at| if let Frame::Profile(node) = at.frame { Some(node) } else { None })
    }

    fn child<'b>(&'b self, frame: Frame<'b>) -> Context<'b> {
        Context {
            shared: self.shared,
            parent: Some(self),
            frame,
            aggregates: self.aggregates,
            cancel: self.cancel,
            depth: self.depth,
        }
    }

    /// One level deeper, or None past [`MAX_DEPTH`] (with a log line) and when the query is to stop.
    pub(crate) fn deeper(&self, span: Span) -> Option<Context<'_>> {
        // A LET function that calls itself twice has no rows at which it could hear that it is to stop.
        if self.cancelled() {
            return None;
        }
        let what = if self.depth >= MAX_DEPTH {
            format!("the query nests deeper than {MAX_DEPTH} calls")
        } else if crate::eval::stack_is_low() {
            format!("the query nests too deep for this thread, after {} calls", self.depth)
        } else {
            return Some(Context { depth: self.depth + 1, ..self.child(Frame::Plain) });
        };
        self.error_at(span, format!("{what}: is a LET calling itself?"));
        None
    }

    /// Break when the query is to stop.
    pub(crate) fn unless_cancelled(&self) -> Flow {
        if self.cancelled() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }

    /// The value of a column or variable, innermost first. A lazy variable is evaluated; a stored query stays one.
    pub fn lookup(&self, name: &str) -> Option<Value> {
        match self.binding(name)? {
            Found::Value(value) => Some(value),
            Found::Let(definition) => Some(definition.value(self)),
        }
    }

    /// As `lookup`, but None for a lazy variable.
    pub fn value_of(&self, name: &str) -> Option<Value> {
        match self.binding(name)? {
            Found::Value(value) => Some(value),
            Found::Let(_) => None,
        }
    }

    /// As `lookup`, by what the SELECT around the symbol knows of it. Borrowed where the value is at hand.
    pub(crate) fn symbol(&self, symbol: &Symbol) -> Option<Cow<'_, Value>> {
        let mut at = self;
        loop {
            match at.frame {
                Frame::Source(layout, row) if layout.select == symbol.select => match layout.below(symbol.slot) {
                    Place::Input(index) => return Some(row.cell(index)),
                    // It may still mean something to the row.
                    _ => match row.find(&symbol.name) {
                        None => break,
                        found => return found,
                    },
                },
                Frame::Selected(row) if row.layout.select == symbol.select => match row.layout.above(symbol.slot) {
                    Place::Input(index) => return Some(row.input.cell(index)),
                    Place::Cell(index) => return Some(row.cell(index)),
                    Place::Outside => match row.input.find(&symbol.name) {
                        None => {
                            // Past the source too.
                            at = at.parent.unwrap_or(at);
                            break;
                        }
                        found => return found,
                    },
                },
                Frame::Plain => {}
                _ => return self.found(self.borrowed(&symbol.name)?),
            }
            at = at.parent?;
        }
        self.found(at.parent?.borrowed(&symbol.name)?)
    }

    /// The value of a column of the SELECT around the symbol, if it is a whole number.
    pub(crate) fn int(&self, symbol: &Symbol) -> Option<i64> {
        match self.frame {
            Frame::Source(layout, row) if layout.select == symbol.select => match layout.below(symbol.slot) {
                Place::Input(index) => row.int(index),
                _ => None,
            },
            Frame::Selected(row) if row.layout.select == symbol.select => match row.layout.above(symbol.slot) {
                Place::Input(index) => row.input.int(index),
                Place::Cell(index) => row.int(index),
                Place::Outside => None,
            },
            _ => None,
        }
    }

    fn found<'v>(&self, found: Borrowed<'v>) -> Option<Cow<'v, Value>> {
        Some(match found {
            Borrowed::Value(value) => value,
            Borrowed::Let(definition) => Cow::Owned(definition.value(self)),
        })
    }

    pub(crate) fn binding(&self, name: &str) -> Option<Found> {
        Some(match self.borrowed(name)? {
            Borrowed::Value(value) => Found::Value(value.into_owned()),
            Borrowed::Let(definition) => Found::Let(definition),
        })
    }

    fn borrowed(&self, name: &str) -> Option<Borrowed<'_>> {
        let mut at = Some(self);
        while let Some(context) = at {
            match context.frame {
                Frame::Vars(vars) => {
                    if let Some((_, value)) = vars.iter().rev().find(|(n, _)| **n == *name) {
                        return Some(Borrowed::Value(Cow::Borrowed(value)));
                    }
                }
                Frame::Globals => {
                    return match self.shared.globals.read().get(name)? {
                        Binding::Value(value) => Some(Borrowed::Value(Cow::Owned(value.clone()))),
                        Binding::Let(definition) => Some(Borrowed::Let(definition.clone())),
                    };
                }
                frame => {
                    if let Some(value) = frame.row().and_then(|row| row.find(name)) {
                        return Some(Borrowed::Value(value));
                    }
                }
            }
            at = context.parent;
        }
        None
    }

    /// All names that can be seen from here, innermost first; for hints and `scope()`.
    pub fn visible_names(&self) -> Vec<Arc<str>> {
        let mut names: Vec<Arc<str>> = Vec::new();
        let mut at = Some(self);
        while let Some(context) = at {
            match context.frame {
                Frame::Vars(vars) => names.extend(vars.iter().map(|(n, _)| n.clone())),
                Frame::Globals => names.extend(self.shared.globals.read().keys().cloned()),
                frame => names.extend(frame.row().iter().flat_map(|row| row.columns().names().iter().cloned())),
            }
            at = context.parent;
        }
        names
    }

    /// Changes a variable of the script (one set by `LET … <=` or by the caller), in place; false when there is none.
    pub fn update(&self, name: &str, change: impl FnOnce(&mut Value)) -> bool {
        match self.shared.globals.write().get_mut(name) {
            Some(Binding::Value(value)) => {
                change(value);
                true
            }
            _ => false,
        }
    }

    /// Runs a stored query; its rows may compute their cells when they are read.
    pub fn run_query(&self, query: &StoredQuery, emit: &mut EmitView<'_>) -> Flow {
        query.run(self, emit)
    }

    /// The rows of any value, as FROM and `foreach(row=)` see it: a query's rows, the elements of an array, a
    /// dict as one row; elements that are no dict have one column `_value`; NULL gives none.
    pub fn rows(&self, value: &Value, emit: &mut EmitView<'_>) -> Flow {
        crate::eval::rows_of(self, value, emit)
    }

    /// A stored query as the array of its rows; every other value as it is.
    pub fn materialize(&self, value: Value) -> Value {
        crate::eval::materialize(self, value)
    }

    /// What a condition makes of the value: a stored query is true if it gives a row.
    pub fn truth(&self, value: &Value) -> bool {
        match value {
            Value::Query(query) => query.has_rows(self),
            other => other.truth(),
        }
    }

    /// Parses `x, y => expr`; the same text is parsed once.
    pub fn lambda(&self, text: &str) -> Result<Arc<Lambda>, String> {
        self.shared.lambdas.get(self, text)
    }

    /// Calls a lambda; missing arguments are NULL.
    pub fn call(&self, lambda: &Lambda, args: &[Value]) -> Value {
        lambda.call(self, args)
    }

    /// The compiled pattern, case-insensitive as `=~` has it; the same pattern is compiled once.
    pub fn regex(&self, pattern: &str) -> Result<Arc<regex::bytes::Regex>, String> {
        self.shared.regexes.get(pattern)
    }

    pub fn registry(&self) -> &'a Registry {
        &self.shared.registry
    }

    /// What the host lent under this type, see `Execution::extension`.
    pub fn ext<T: Any + Send + Sync>(&self) -> Option<&'a T> {
        self.shared.extensions.get(&TypeId::of::<T>()).and_then(|e| e.downcast_ref())
    }

    /// The current time, by the execution's clock.
    pub fn now(&self) -> Timestamp {
        (self.shared.clock)()
    }

    pub fn cancelled(&self) -> bool {
        self.cancel.is_cancelled()
    }

    /// The token that stops this part of the query.
    pub fn cancel_token(&self) -> &'a CancelToken {
        self.cancel
    }

    /// Accounts for `ops` steps of work (a row, a file, a chunk): may wait to keep to the budget. Break when the
    /// query is to stop.
    pub fn charge(&self, ops: u32) -> Flow {
        if self.cancelled() {
            return ControlFlow::Break(());
        }
        match &self.shared.budget {
            Some(budget) => budget.charge(ops, self.cancel),
            None => ControlFlow::Continue(()),
        }
    }

    /// Sleeps; Break as soon as the query is to stop.
    pub fn sleep(&self, duration: Duration) -> Flow {
        if self.cancel.sleep(duration) { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }

    /// What a plugin or function keeps at a place of the query (`Args::place`) for as long as the execution lives, and
    /// whether it was made just now.
    pub fn state<T: Any + Send + Sync>(&self, place: usize, make: impl FnOnce() -> T) -> (Arc<T>, bool) {
        let mut states = self.shared.states.lock();
        let known = states.get(&(TypeId::of::<T>(), place)).cloned();
        if let Some(state) = known.and_then(|s| s.downcast().ok()) {
            return (state, false);
        }
        let state = Arc::new(make());
        states.insert((TypeId::of::<T>(), place), state.clone());
        (state, true)
    }

    /// Runs `task` beside the script, until it ends or the execution does. It sees the script's variables, and the
    /// values that can be seen here.
    pub fn spawn(&self, task: impl FnOnce(&Context<'_>) + Send + 'static) -> std::io::Result<()> {
        let shared = self.shared.clone();
        let mut vars: Vec<(Arc<str>, Value)> = Vec::new();
        for name in self.visible_names() {
            if !vars.iter().any(|(n, _)| *n == name)
                && let Some(value) = self.value_of(&name)
            {
                vars.push((name, value));
            }
        }
        crate::eval::big_detached(move || {
            let aggregates = Aggregates::default();
            let root = Context::root(&shared, &aggregates);
            let background = root.with_cancel(&shared.background);
            task(&background.with_vars(&vars));
        })
    }

    /// This scope for later, see [`Captured`].
    pub(crate) fn capture(&self) -> Captured {
        let mut vars: Vec<(Arc<str>, Value)> = Vec::new();
        let mut add = |name: &Arc<str>, value: Value| {
            if !vars.iter().any(|(n, _)| n == name) {
                vars.push((name.clone(), value));
            }
        };
        let mut at = Some(self);
        while let Some(context) = at {
            if let Frame::Vars(inner) = context.frame {
                for (name, value) in inner.iter().rev() {
                    add(name, value.clone());
                }
            } else if let Some(row) = context.frame.row() {
                for (index, name) in row.columns().names().iter().enumerate() {
                    add(name, row.value(index));
                }
            }
            at = context.parent;
        }
        Captured { shared: Arc::downgrade(self.shared), vars, depth: self.depth }
    }

    /// Whether `what` was not asked about in the last `period`; for things to be done now and then.
    pub fn is_due(&self, what: &str, period: Duration) -> bool {
        let mut done = self.shared.done.lock();
        let now = Instant::now();
        if done.get(what).is_some_and(|at| now.duration_since(*at) < period) {
            return false;
        }
        if done.len() >= MAX_REMEMBERED {
            done.clear();
        }
        done.insert(Arc::from(what), now);
        true
    }

    pub fn log(&self, level: Level, message: impl Into<String>) {
        self.shared.log.log(LogRecord { level, message: message.into(), span: None });
    }

    /// Logs an error. The same message is logged once in an execution, however many rows meet it.
    pub fn error(&self, message: impl Into<String>) {
        self.shared.once(Level::Error, None, message.into());
    }

    pub(crate) fn error_at(&self, span: Span, message: String) {
        self.shared.once(Level::Error, Some(span), message);
    }

    pub(crate) fn warn_at(&self, span: Span, message: String) {
        self.shared.once(Level::Warn, Some(span), message);
    }
}

/// A scope that is kept for later: the variables of the script as they will be then, and what lay over them as it was.
/// It does not keep the execution alive.
pub(crate) struct Captured {
    shared: Weak<Shared>,
    vars: Vec<(Arc<str>, Value)>,
    depth: u32,
}

impl Captured {
    /// What lay over the variables of the script.
    pub(crate) fn into_vars(self) -> Vec<(Arc<str>, Value)> {
        self.vars
    }

    /// Calls `task` in this scope; None when the execution is over.
    pub(crate) fn run<R>(&self, task: impl FnOnce(&Context<'_>) -> R) -> Option<R> {
        let shared = self.shared.upgrade()?;
        let aggregates = Aggregates::default();
        let cancel = shared.run.cancel.lock().clone();
        let root = Context { depth: self.depth, cancel: &cancel, ..Context::root(&shared, &aggregates) };
        Some(task(&root.with_vars(&self.vars)))
    }
}

impl fmt::Debug for Context<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Context(depth {})", self.depth)
    }
}

pub(crate) enum Found {
    Value(Value),
    Let(Arc<plan::Let>),
}

enum Borrowed<'v> {
    Value(Cow<'v, Value>),
    Let(Arc<plan::Let>),
}

/// Passes on what is logged, while there is somebody to hear it.
struct DetachedLog(Weak<Shared>);

impl LogSink for DetachedLog {
    fn log(&self, record: LogRecord) {
        if let Some(shared) = self.0.upgrade() {
            shared.once(record.level, record.span, record.message);
        }
    }
}

/// A variable of the script.
#[derive(Clone)]
pub(crate) enum Binding {
    Value(Value),
    Let(Arc<plan::Let>),
}

/// What all contexts of an execution share.
pub(crate) struct Shared {
    pub registry: Arc<Registry>,
    /// By a fast hash: a query may look here for each row.
    pub globals: RwLock<HashMap<Arc<str>, Binding, foldhash::fast::RandomState>>,
    pub log: Arc<dyn LogSink>,
    pub cancel: CancelToken,
    pub budget: Option<Arc<dyn Budget>>,
    /// Where to write down what queries do, if anybody wants to know.
    pub profile: Option<Profile>,
    /// What may be kept in memory and on disk.
    pub store: Arc<Store>,
    pub extensions: HashMap<TypeId, Arc<dyn Any + Send + Sync>>,
    pub clock: Arc<dyn Fn() -> Timestamp + Send + Sync>,
    pub regexes: Arc<crate::eval::RegexCache>,
    pub lambdas: Arc<crate::eval::LambdaCache>,
    /// The artifacts that `Artifact.A.B()` finds.
    pub artifacts: Option<Arc<dyn crate::artifact::ArtifactSource>>,
    /// Those that were called already, read and parsed.
    pub prepared: Arc<crate::eval::PreparedCache>,
    /// How many artifacts called one another on the way here.
    pub artifact_depth: u32,
    pub logged: Mutex<HashSet<u64>>,
    pub done: Mutex<HashMap<Arc<str>, Instant>>,
    /// What plugins keep for as long as the execution lives, by type and place.
    pub states: Mutex<HashMap<(TypeId, usize), Arc<dyn Any + Send + Sync>>>,
    /// Stops what runs beside the script.
    pub background: CancelToken,
    /// What all scopes of one execution share.
    pub run: Arc<Run>,
}

/// What a script and the scopes within it have in common.
#[derive(Default)]
pub(crate) struct Run {
    pub mocks: Mocks,
    /// Stops the statement that runs.
    pub cancel: Mutex<CancelToken>,
    at_exit: Mutex<Vec<AtExit>>,
}

/// Something to do when the script is over.
struct AtExit {
    timeout: Duration,
    task: Box<dyn FnOnce(&CancelToken) + Send>,
}

impl Run {
    /// Has `task` done when the execution is over, with a token that is cancelled after `timeout`.
    pub(crate) fn at_exit(&self, timeout: Duration, task: impl FnOnce(&CancelToken) + Send + 'static) {
        self.at_exit.lock().push(AtExit { timeout, task: Box::new(task) });
    }

    /// Does what is left to do, the last first.
    pub(crate) fn exit(&self) {
        let tasks = std::mem::take(&mut *self.at_exit.lock());
        for AtExit { timeout, task } in tasks.into_iter().rev() {
            let token = CancelToken::new();
            token.expire_in(timeout);
            task(&token);
        }
        // What those asked for in turn would have no end.
        self.at_exit.lock().clear();
    }

    pub(crate) fn waits_for_exit(&self) -> usize {
        self.at_exit.lock().len()
    }
}

impl Shared {
    /// What an artifact that is called gets: everything but the variables and the states, and a log of its own.
    pub(crate) fn for_artifact(&self, cancel: &CancelToken, log: Arc<dyn LogSink>, profile: Option<Profile>) -> Shared {
        Shared {
            registry: self.registry.clone(),
            globals: RwLock::default(),
            log,
            cancel: cancel.clone(),
            budget: self.budget.clone(),
            profile,
            store: self.store.clone(),
            extensions: self.extensions.clone(),
            clock: self.clock.clone(),
            regexes: self.regexes.clone(),
            lambdas: self.lambdas.clone(),
            artifacts: self.artifacts.clone(),
            prepared: self.prepared.clone(),
            artifact_depth: self.artifact_depth + 1,
            logged: Mutex::default(),
            done: Mutex::default(),
            states: Mutex::default(),
            background: cancel.child(),
            run: self.run.clone(),
        }
    }

    /// A scope of its own for query(), without variables and states, that stops with `cancel`.
    pub(crate) fn apart(&self, cancel: &CancelToken, log: Arc<dyn LogSink>) -> Shared {
        Shared { artifact_depth: self.artifact_depth, ..self.for_artifact(cancel, log, None) }
    }

    /// What an object that computes its members later needs of the query, without keeping the query: all that
    /// [`Shared::for_artifact`] hands on, the variables that there are now if `names` may look for one, and its log for as
    /// long as it lives.
    pub(crate) fn detached<'n>(self: &Arc<Self>, names: impl IntoIterator<Item = &'n Arc<str>>) -> Arc<Shared> {
        let log = Arc::new(DetachedLog(Arc::downgrade(self)));
        let detached = self.apart(&self.cancel, log);
        let globals = self.globals.read();
        let named: Vec<&Arc<str>> = names.into_iter().filter(|name| globals.contains_key(*name)).collect();
        // What a LET looks for is not known here.
        let all = named.iter().any(|name| matches!(globals.get(*name), Some(Binding::Let(_))));
        let kept = |name: &Arc<str>| all || named.contains(&name);
        let copies = globals.iter().filter(|(name, _)| kept(name)).map(|(name, b)| (name.clone(), b.clone()));
        detached.globals.write().extend(copies);
        drop(globals);
        Arc::new(detached)
    }

    /// Logs a line unless it was logged before.
    pub(crate) fn once(&self, level: Level, span: Option<Span>, message: String) {
        let mut hasher = DefaultHasher::new();
        (&message, span).hash(&mut hasher);
        let mut logged = self.logged.lock();
        if logged.len() >= MAX_REMEMBERED || !logged.insert(hasher.finish()) {
            return;
        }
        let last = logged.len() == MAX_REMEMBERED;
        drop(logged);
        self.log.log(LogRecord { level, message, span });
        if last {
            let message = format!("{MAX_REMEMBERED} different problems are enough: further ones are not logged");
            self.log.log(LogRecord { level: Level::Error, message, span: None });
        }
    }
}

/// The states of the aggregates of one SELECT, or of one of its groups, by place in the query.
#[derive(Default)]
pub(crate) struct Aggregates {
    // Few: looking at each is faster than a hash.
    states: Mutex<Vec<(usize, Value)>>,
    /// The bytes that the states took from the execution's memory.
    kept: AtomicUsize,
    store: OnceLock<Arc<Store>>,
}

impl Aggregates {
    /// With the states that another had, and as much memory.
    pub(crate) fn restored(states: Vec<(usize, Value)>, kept: usize, store: &Arc<Store>) -> Aggregates {
        let kept = if store.take_memory(kept) { kept } else { 0 };
        Aggregates { states: Mutex::new(states), kept: kept.into(), store: OnceLock::from(store.clone()) }
    }

    pub(crate) fn states(&self) -> Vec<(usize, Value)> {
        self.states.lock().clone()
    }

    pub(crate) fn kept(&self) -> usize {
        self.kept.load(Ordering::Relaxed)
    }
}

impl Drop for Aggregates {
    fn drop(&mut self) {
        if let Some(store) = self.store.get() {
            store.give_memory(self.kept());
        }
    }
}

impl Context<'_> {
    /// Changes the state of the aggregate at `place` (see `Args::place`); it starts as NULL in each group.
    pub fn aggregate<R>(&self, place: usize, change: impl FnOnce(&mut Value) -> R) -> R {
        let mut states = self.aggregates.states.lock();
        let at = states.iter().position(|(p, _)| *p == place).unwrap_or_else(|| {
            states.push((place, Value::Null));
            states.len() - 1
        });
        change(&mut states[at].1)
    }

    /// Accounts for what an aggregate is about to keep; false when that is too much.
    pub fn may_keep(&self, value: &Value) -> bool {
        let size = crate::eval::value_size(value);
        let store = self.aggregates.store.get_or_init(|| self.shared.store.clone());
        let fits = store.take_memory(size);
        if fits {
            self.aggregates.kept.fetch_add(size, Ordering::Relaxed);
        }
        fits
    }
}

/// Stops a query from another thread. Clones are the same token.
#[derive(Clone, Debug, Default)]
pub struct CancelToken(Arc<CancelState>);

#[derive(Debug, Default)]
struct CancelState {
    flag: AtomicBool,
    /// When it is cancelled by itself, in nanoseconds since the first question; 0 is never.
    end: AtomicU64,
    parent: Option<CancelToken>,
}

impl CancelToken {
    pub fn new() -> CancelToken {
        CancelToken::default()
    }

    /// A token that is cancelled with this one, and may be cancelled alone.
    pub fn child(&self) -> CancelToken {
        CancelToken(Arc::new(CancelState { parent: Some(self.clone()), ..CancelState::default() }))
    }

    pub fn cancel(&self) {
        self.0.flag.store(true, Ordering::Relaxed);
    }

    pub fn is_cancelled(&self) -> bool {
        let mut token = Some(self);
        while let Some(CancelToken(state)) = token {
            if state.flag.load(Ordering::Relaxed) || state.is_over() {
                return true;
            }
            token = state.parent.as_ref();
        }
        false
    }

    /// Has it cancelled when `timeout` is over; a later call counts, unless it is over by then.
    pub fn expire_in(&self, timeout: Duration) {
        let end = nanos_now().saturating_add(u64::try_from(timeout.as_nanos()).unwrap_or(u64::MAX)).max(1);
        if !self.0.is_over() {
            self.0.end.store(end, Ordering::Relaxed);
        }
    }

    /// Whether it was cancelled by the end of its time, not by anybody.
    pub fn is_expired(&self) -> bool {
        self.0.is_over()
    }

    /// Sleeps, at most until cancelled; true when cancelled.
    pub fn sleep(&self, duration: Duration) -> bool {
        let end = Instant::now().checked_add(duration);
        loop {
            if self.is_cancelled() {
                return true;
            }
            let left = end.map_or(TICK, |end| end.saturating_duration_since(Instant::now()));
            if left.is_zero() {
                return false;
            }
            std::thread::sleep(left.min(TICK));
        }
    }
}

impl CancelState {
    fn is_over(&self) -> bool {
        let end = self.end.load(Ordering::Relaxed);
        end != 0 && nanos_now() >= end
    }
}

/// Nanoseconds since this was first asked.
fn nanos_now() -> u64 {
    static START: OnceLock<Instant> = OnceLock::new();
    u64::try_from(START.get_or_init(Instant::now).elapsed().as_nanos()).unwrap_or(u64::MAX)
}

/// Keeps a query to its share of the host.
pub trait Budget: Send + Sync {
    /// Accounts for `ops` steps and may wait, looking at `cancel` at least every 100 ms. Break stops the query.
    fn charge(&self, ops: u32, cancel: &CancelToken) -> Flow;
}

/// Where a query's log lines go. Every `Fn(LogRecord)` that may be shared between threads is one.
pub trait LogSink: Send + Sync {
    fn log(&self, record: LogRecord);
}

impl<F: Fn(LogRecord) + Send + Sync> LogSink for F {
    fn log(&self, record: LogRecord) {
        self(record);
    }
}

/// One line of a query's log.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct LogRecord {
    pub level: Level,
    pub message: String,
    /// The place in the script, where there is one.
    pub span: Option<Span>,
}

#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Level {
    Debug,
    Info,
    Warn,
    Error,
}

impl Level {
    /// The name as logs print it: `DEBUG`, `INFO`, `WARN`, `ERROR`.
    pub fn name(self) -> &'static str {
        match self {
            Level::Debug => "DEBUG",
            Level::Info => "INFO",
            Level::Warn => "WARN",
            Level::Error => "ERROR",
        }
    }
}
