//! Runs plans: statements, stored queries, expressions.

mod cache;
pub mod ops;

use std::any::{Any, TypeId};
use std::collections::{HashMap, HashSet};
use std::fmt;
use std::ops::ControlFlow;
use std::sync::Arc;

use jiff::Timestamp;
use parking_lot::{Mutex, RwLock};

pub(crate) use cache::{LambdaCache, RegexCache};

use crate::plan;
use crate::plugin::{EmitView, Flow, Registry};
use crate::row::Row;
use crate::scope::{Aggregates, Binding, Budget, CancelToken, Context, LogRecord, LogSink, Shared};
use crate::syntax::ast;
use crate::value::Value;

/// How much stack the evaluation of the deepest query that is let through takes. It is reserved, not used.
pub const BIG_STACK: usize = 256 << 20;

/// Runs `f` on a thread with a stack that is deep enough for every query, and waits for it. On a smaller stack a
/// query works too, but nests less deeply.
pub fn on_big_stack<R: Send>(f: impl FnOnce() -> R + Send) -> std::io::Result<R> {
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new().name("vql".into()).stack_size(BIG_STACK).spawn_scoped(scope, f)?;
        thread.join().map_err(|_| std::io::Error::other("the query's thread panicked"))
    })
}

/// A query's surroundings, and the variables that its statements leave for the next ones.
pub struct Execution {
    shared: Shared,
    aggregates: Aggregates,
}

impl Execution {
    pub fn new(registry: impl Into<Arc<Registry>>) -> Execution {
        Execution {
            shared: Shared {
                registry: registry.into(),
                globals: RwLock::default(),
                log: Arc::new(|_: LogRecord| {}),
                cancel: CancelToken::new(),
                budget: None,
                extensions: HashMap::new(),
                clock: Arc::new(Timestamp::now),
                regexes: RegexCache::default(),
                lambdas: LambdaCache::default(),
                logged: Mutex::new(HashSet::new()),
            },
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
    pub fn log(mut self, sink: impl LogSink + 'static) -> Execution {
        self.shared.log = Arc::new(sink);
        self
    }

    #[must_use]
    pub fn cancel(mut self, token: CancelToken) -> Execution {
        self.shared.cancel = token;
        self
    }

    #[must_use]
    pub fn budget(mut self, budget: impl Budget + 'static) -> Execution {
        self.shared.budget = Some(Arc::new(budget));
        self
    }

    /// Lends something to the host's plugins; they find it by its type through `Context::ext`.
    #[must_use]
    pub fn extension<T: Any + Send + Sync>(mut self, extension: Arc<T>) -> Execution {
        self.shared.extensions.insert(TypeId::of::<T>(), extension);
        self
    }

    /// The clock that `now()` reads.
    #[must_use]
    pub fn clock(mut self, clock: impl Fn() -> Timestamp + Send + Sync + 'static) -> Execution {
        self.shared.clock = Arc::new(clock);
        self
    }

    /// Runs the statements in order. `emit` takes the rows of each SELECT with the index of its statement as they
    /// come; its Break stops the script.
    pub fn run(&self, script: &ast::Script, emit: &mut dyn FnMut(usize, Row) -> Flow) -> Flow {
        let _ = (script, emit, &self.aggregates);
        ControlFlow::Continue(())
    }

    /// The value of one expression.
    pub fn eval_expression(&self, expr: &ast::Expr) -> Value {
        let cx = Context::root(&self.shared, &self.aggregates);
        let plan = plan::Compiler { registry: &self.shared.registry }.expr(expr);
        cx.materialize(plan.eval(&cx))
    }
}

impl fmt::Debug for Execution {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Execution({:?})", self.shared.registry)
    }
}

/// A query that is run when its rows are asked for.
pub struct StoredQuery {
    kind: QueryKind,
}

enum QueryKind {
    Select(Arc<plan::Select>, Vec<(Arc<str>, Value)>),
    Concat(Arc<StoredQuery>, Arc<StoredQuery>),
    Value(Value),
}

impl StoredQuery {
    /// The query whose rows are those of `value`, see `Context::rows`.
    pub fn of_value(value: Value) -> StoredQuery {
        StoredQuery { kind: QueryKind::Value(value) }
    }

    /// The rows of `first`, then those of `second`.
    pub fn concat(first: Arc<StoredQuery>, second: Arc<StoredQuery>) -> StoredQuery {
        StoredQuery { kind: QueryKind::Concat(first, second) }
    }

    pub(crate) fn run(&self, _cx: &Context<'_>, _emit: &mut EmitView<'_>) -> Flow {
        match &self.kind {
            QueryKind::Select(..) | QueryKind::Concat(..) | QueryKind::Value(_) => ControlFlow::Continue(()),
        }
    }

    pub(crate) fn has_rows(&self, cx: &Context<'_>) -> bool {
        self.run(cx, &mut |_| ControlFlow::Break(())).is_break() && !cx.cancelled()
    }
}

impl fmt::Debug for StoredQuery {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("StoredQuery")
    }
}

/// A function without a name: `x, y => expr`.
pub struct Lambda(plan::Lambda);

impl Lambda {
    pub(crate) fn parse(_registry: &Registry, text: &str) -> Result<Lambda, String> {
        Err(format!("`{text}` is no lambda"))
    }

    pub(crate) fn call(&self, cx: &Context<'_>, args: &[Value]) -> Value {
        let vars: Vec<(Arc<str>, Value)> = self
            .0
            .params
            .iter()
            .enumerate()
            .map(|(i, name)| (name.clone(), args.get(i).cloned().unwrap_or_default()))
            .collect();
        self.0.body.eval(&cx.with_vars(&vars))
    }
}

impl fmt::Debug for Lambda {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Lambda")
    }
}

impl plan::Expr {
    pub(crate) fn eval(&self, _cx: &Context<'_>) -> Value {
        match self {
            plan::Expr::Const(value) => value.clone(),
            _ => Value::Null,
        }
    }
}

impl plan::ArgValue {
    pub(crate) fn eval(&self, cx: &Context<'_>) -> Value {
        match self {
            plan::ArgValue::Expr(expr) => expr.eval(cx),
            plan::ArgValue::Select(select) => {
                Value::Query(Arc::new(StoredQuery { kind: QueryKind::Select(select.clone(), Vec::new()) }))
            }
        }
    }

    pub(crate) fn variable(&self) -> Option<Arc<str>> {
        match self {
            plan::ArgValue::Expr(plan::Expr::Symbol(name, _)) => Some(name.clone()),
            _ => None,
        }
    }
}

impl plan::Let {
    pub(crate) fn value(&self, _cx: &Context<'_>) -> Value {
        Value::Null
    }
}

pub(crate) fn rows_of(_cx: &Context<'_>, _value: &Value, _emit: &mut EmitView<'_>) -> Flow {
    ControlFlow::Continue(())
}

pub(crate) fn materialize(_cx: &Context<'_>, value: Value) -> Value {
    value
}

/// "did you mean …", when one of the known names resembles `name`.
pub(crate) fn suggest<'k>(_name: &str, _known: impl Iterator<Item = &'k str>) -> Option<String> {
    None
}
