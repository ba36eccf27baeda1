//! Runs plans: statements, stored queries, expressions.
//!
//! Rows are pushed: a source calls its consumer with each row as soon as it has it, and stops when the consumer
//! breaks. So the first row leaves before the second is computed, LIMIT stops the plugins, and a SELECT's scope
//! lives on the stack.

mod artifact;
mod cache;
pub mod explain;
mod expr;
mod group;
mod held;
mod kept;
mod lambda;
mod lookup;
mod mock;
pub mod ops;
mod query;
mod select;
mod sort;
mod spill;

use std::any::{Any, TypeId};
use std::cell::Cell;
use std::collections::{HashMap, HashSet};
use std::fmt;
use std::ops::ControlFlow;
use std::path::PathBuf;
use std::sync::Arc;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use parking_lot::{Mutex, RwLock};

pub(crate) use artifact::{PreparedCache, RESERVED, import};
pub(crate) use cache::{LambdaCache, RegexCache, compile_regex};
pub(crate) use expr::{LambdaValue, Pattern};
pub(crate) use held::{Held, Store, value_size};
pub use lambda::Lambda;
pub(crate) use lookup::{Lookup, LookupSlot, Probe, probes};
pub(crate) use mock::{MockKind, Mocks};
pub use query::StoredQuery;
pub(crate) use query::{RowSource, materialize, rows_of};
pub(crate) use select::{Layout, Place, SelectRow};

use crate::artifact::ArtifactSource;
use crate::plan;
use crate::plugin::{Flow, Registry};
use crate::row::{Row, RowView};
use crate::scope::{Aggregates, Binding, Budget, CancelToken, Context, Level, LogRecord, LogSink, Shared};
use crate::syntax::ast;
use crate::value::{Object, Value};

/// The stack that queries of the greatest depth need. It is reserved, not used.
pub const BIG_STACK: usize = 64 << 20;

/// What a thread is taken to have left when a query starts on it outside of [`on_big_stack`].
const SMALL_STACK: usize = 1 << 20;

/// Left for the functions and plugins that a query calls.
const RESERVE: usize = 256 << 10;

thread_local! {
    /// The lowest address that evaluation on this thread may reach; 0 is not known yet.
    static STACK_FLOOR: Cell<usize> = const { Cell::new(0) };
}

/// Runs `f` on a thread with a stack that is deep enough for every query, and waits for it. On a smaller stack a
/// query works too, but may nest less deeply: it then gives NULL or no rows there, with a log line.
pub fn on_big_stack<R: Send>(f: impl FnOnce() -> R + Send) -> std::io::Result<R> {
    std::thread::scope(|scope| {
        big_thread(scope, f)?.join().map_err(|_| std::io::Error::other("the query's thread panicked"))
    })
}

/// Tells evaluation that this thread, which has just begun, has a stack of `bytes`: for whoever spawns its own. Without
/// it a thread is taken to have 1 MiB.
pub fn stack_is(bytes: usize) {
    STACK_FLOOR.set(stack_here().saturating_sub(bytes.saturating_sub(RESERVE)));
}

/// Runs `task` on a big stack, without waiting for it.
pub(crate) fn big_detached(task: impl FnOnce() + Send + 'static) -> std::io::Result<()> {
    let thread = std::thread::Builder::new().name("vql".into()).stack_size(BIG_STACK);
    thread.spawn(move || {
        stack_is(BIG_STACK);
        task();
    })?;
    Ok(())
}

pub(crate) fn big_thread<'s, R: Send + 's>(
    scope: &'s std::thread::Scope<'s, '_>,
    f: impl FnOnce() -> R + Send + 's,
) -> std::io::Result<std::thread::ScopedJoinHandle<'s, R>> {
    std::thread::Builder::new().name("vql".into()).stack_size(BIG_STACK).spawn_scoped(scope, move || {
        stack_is(BIG_STACK);
        f()
    })
}

/// Roughly where the stack is: stacks grow downwards on all our platforms.
#[inline(never)]
fn stack_here() -> usize {
    let marker = 0u8;
    std::hint::black_box(&raw const marker) as usize
}

/// Whether a call more would leave too little stack.
pub(crate) fn stack_is_low() -> bool {
    let floor = STACK_FLOOR.get();
    if floor == 0 {
        STACK_FLOOR.set(stack_here().saturating_sub(SMALL_STACK - RESERVE));
        return false;
    }
    stack_here() < floor
}

/// A query's surroundings, and the variables that its statements leave for the next ones.
pub struct Execution {
    shared: Arc<Shared>,
    aggregates: Aggregates,
}

impl Execution {
    pub fn new(registry: impl Into<Arc<Registry>>) -> Execution {
        Execution {
            shared: Arc::new(Shared {
                registry: registry.into(),
                globals: RwLock::default(),
                log: Arc::new(|_: LogRecord| {}),
                cancel: CancelToken::new(),
                budget: None,
                profile: None,
                store: Arc::default(),
                extensions: HashMap::new(),
                clock: Arc::new(Timestamp::now),
                regexes: Arc::default(),
                lambdas: Arc::default(),
                artifacts: None,
                prepared: Arc::default(),
                artifact_depth: 0,
                logged: Mutex::new(HashSet::new()),
                done: Mutex::default(),
                states: Mutex::default(),
                background: CancelToken::new(),
                run: Arc::default(),
            }),
            aggregates: Aggregates::default(),
        }
    }

    /// Sets a variable that the script sees.
    #[must_use]
    pub fn env(self, name: impl Into<Arc<str>>, value: impl Into<Value>) -> Execution {
        self.shared.globals.write().insert(name.into(), Binding::Value(value.into()));
        self
    }

    #[must_use]
    pub fn log(self, sink: impl LogSink + 'static) -> Execution {
        self.change(|shared| shared.log = Arc::new(sink))
    }

    #[must_use]
    pub fn cancel(self, token: CancelToken) -> Execution {
        self.change(|shared| {
            shared.background = token.child();
            *shared.run.cancel.lock() = token.clone();
            shared.cancel = token;
        })
    }

    #[must_use]
    pub fn budget(self, budget: impl Budget + 'static) -> Execution {
        self.change(|shared| shared.budget = Some(Arc::new(budget)))
    }

    /// Gathers in `profile` what the steps of each query do and cost. That takes time of its own: two looks at the clock
    /// for each step of a row.
    #[must_use]
    pub fn explain(self, profile: &explain::Profile) -> Execution {
        self.change(|shared| shared.profile = Some(profile.clone()))
    }

    /// How much memory the query's sorts, groups, aggregates and materialized rows may take together, in bytes, roughly:
    /// 512 MiB without. What does not fit goes to disk. Each of them may take a little, whatever the bound.
    #[must_use]
    pub fn memory_budget(self, bytes: usize) -> Execution {
        self.bound(|bounds| bounds.memory = bytes)
    }

    /// How many bytes the query may fill on disk: 4 GiB without. The rest is left out, with an error in the log.
    #[must_use]
    pub fn spill_budget(self, bytes: u64) -> Execution {
        self.bound(|bounds| bounds.disk = bytes)
    }

    /// How many rows a sort, a group or a materialized query keeps in memory, even if there is room for more; for tests.
    #[must_use]
    pub fn rows_in_memory(self, rows: usize) -> Execution {
        self.bound(|bounds| bounds.rows = rows)
    }

    /// The folder of what goes to disk: that of the system without. The files have no names there, and are gone when
    /// the process is.
    #[must_use]
    pub fn temp_dir(self, folder: impl Into<PathBuf>) -> Execution {
        self.bound(|bounds| bounds.folder = Some(folder.into()))
    }

    fn bound(self, change: impl FnOnce(&mut held::Bounds)) -> Execution {
        self.change(|shared| {
            let mut bounds = shared.store.bounds.clone();
            change(&mut bounds);
            shared.store = Arc::new(Store::new(bounds));
        })
    }

    /// Lends something to the host's plugins; they find it by its type through `Context::ext`.
    #[must_use]
    pub fn extension<T: Any + Send + Sync>(self, extension: Arc<T>) -> Execution {
        self.change(|shared| {
            shared.extensions.insert(TypeId::of::<T>(), extension);
        })
    }

    /// The artifacts that the script can call as `Artifact.A.B()`.
    #[must_use]
    pub fn artifacts(self, artifacts: Arc<dyn ArtifactSource>) -> Execution {
        self.change(|shared| shared.artifacts = Some(artifacts))
    }

    /// The clock that `now()` reads.
    #[must_use]
    pub fn clock(self, clock: impl Fn() -> Timestamp + Send + Sync + 'static) -> Execution {
        self.change(|shared| shared.clock = Arc::new(clock))
    }

    fn change(mut self, change: impl FnOnce(&mut Shared)) -> Execution {
        // Nobody else holds it before the first statement runs.
        if let Some(shared) = Arc::get_mut(&mut self.shared) {
            change(shared);
        }
        self
    }

    /// Runs the statements in order, on this thread; see [`on_big_stack`]. `emit` takes the rows of each SELECT with
    /// the index of its statement as they come; its Break stops the script. Break comes back when `emit` broke or the
    /// script was cancelled.
    pub fn run(&self, script: &ast::Script, emit: &mut dyn FnMut(usize, Row) -> Flow) -> Flow {
        self.run_until(&self.shared.cancel, script, emit)
    }

    /// As [`run`](Self::run), until `cancel`: for one of several scripts that share their variables, as in a shell,
    /// where the next may run although this one was cancelled. What was logged for an earlier script is logged again.
    pub fn run_until(
        &self,
        cancel: &CancelToken,
        script: &ast::Script,
        emit: &mut dyn FnMut(usize, Row) -> Flow,
    ) -> Flow {
        self.shared.logged.lock().clear();
        *self.shared.run.cancel.lock() = cancel.clone();
        for (index, statement) in script.statements.iter().enumerate() {
            if cancel.is_cancelled() {
                return ControlFlow::Break(());
            }
            let zone = self.output_zone();
            run_statement(&self.root().until(cancel), statement, &mut |row| {
                let row = row.take_row();
                emit(index, if let Some(zone) = &zone { row.map(|value| in_zone(value, zone)) } else { row })
            })?;
        }
        ControlFlow::Continue(())
    }

    /// The zone that the variable TZ names for the times in the rows; None leaves them in UTC.
    fn output_zone(&self) -> Option<TimeZone> {
        let cx = self.root();
        cx.lookup("TZ").filter(Value::truth)?;
        Some(crate::builtin::time::zone(&cx, "TZ"))
    }

    /// The value of one expression.
    pub fn eval_expression(&self, expr: &ast::Expr) -> Value {
        let cx = self.root();
        let plan = self.compiler().expr(expr);
        cx.materialize(plan.eval(&cx))
    }

    /// Whether a precondition holds: a query that gives a row, or an expression that is true. The error says why it
    /// cannot be read.
    pub fn holds(&self, precondition: &str) -> Result<bool, String> {
        artifact::holds(&self.root(), precondition)
    }

    /// Writes a line to the execution's log.
    pub fn log_line(&self, level: Level, message: impl Into<String>) {
        self.root().log(level, message);
    }

    fn root(&self) -> Context<'_> {
        Context::root(&self.shared, &self.aggregates)
    }

    fn compiler(&self) -> plan::Compiler<'_> {
        plan::Compiler::new(&self.shared.registry)
    }
}

/// Runs a statement in the outermost scope of a script.
pub(crate) fn run_statement(
    cx: &Context<'_>,
    statement: &ast::Statement,
    emit: &mut dyn FnMut(&dyn RowView) -> Flow,
) -> Flow {
    let compiler = plan::Compiler::new(cx.registry()).explained(cx.shared.profile.is_some());
    match statement {
        ast::Statement::Select(select) => select::run(cx, &compiler.select(select), emit),
        ast::Statement::Let(definition) => {
            let name = definition.name.name.clone();
            if cx.registry().function(&name).is_some() {
                let message = format!("LET {name} hides the function {name}(); a call still finds the function");
                cx.warn_at(definition.name.span, message);
            }
            let plan = compiler.definition(definition);
            let materialize = definition.materialize && definition.params.is_none();
            if definition.materialize && !materialize {
                let message = format!("LET {name}(…) <= … cannot be computed before its call: `=` is meant");
                cx.warn_at(definition.span, message);
            }
            let binding = if materialize {
                Binding::Value(query::keep(cx, definition.span, plan.value(cx)))
            } else {
                Binding::Let(plan)
            };
            // Rows that were cut short are not what the name stands for.
            cx.unless_cancelled()?;
            cx.shared.globals.write().insert(name, binding);
            ControlFlow::Continue(())
        }
    }
}

impl Drop for Execution {
    /// Stops what runs beside the script, then does what atexit() asked for.
    fn drop(&mut self) {
        self.shared.background.cancel();
        self.shared.run.exit();
    }
}

impl fmt::Debug for Execution {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Execution({:?})", self.shared.registry)
    }
}

/// An object whose members show their times in a zone, when they are read.
#[derive(Debug)]
struct InZone {
    object: Arc<dyn Object>,
    zone: TimeZone,
}

impl Object for InZone {
    fn type_name(&self) -> &'static str {
        self.object.type_name()
    }

    fn get(&self, name: &str) -> Option<Value> {
        self.object.get(name).map(|value| in_zone(value, &self.zone))
    }

    fn members(&self) -> Vec<Arc<str>> {
        self.object.members()
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

/// The value with its times as text in a zone.
fn in_zone(value: Value, zone: &TimeZone) -> Value {
    match value {
        Value::Time(time) => Value::from(crate::builtin::time::text(&time, zone)),
        Value::Array(items) => Value::array(items.iter().map(|item| in_zone(item.clone(), zone))),
        Value::Dict(dict) => {
            Value::dict(dict.iter().map(|(key, item)| (key.clone(), in_zone(item.clone(), zone))).collect())
        }
        Value::Object(object) => match object.plain() {
            Some(plain) => in_zone(plain, zone),
            None if object.text().is_some() || object.members().is_empty() => Value::Object(object),
            None => Value::Object(Arc::new(InZone { object, zone: zone.clone() })),
        },
        other => other,
    }
}

/// "did you mean …", when one of the known names resembles `name`.
pub(crate) fn suggest<'k>(name: &str, known: impl Iterator<Item = &'k str>) -> Option<String> {
    crate::diagnostic::did_you_mean(name, known)
}
