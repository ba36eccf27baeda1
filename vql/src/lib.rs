//! VQL, the query language. Knows no network, no host, no hub.
//!
//! Text becomes a tree with spans ([`syntax`]), the tree a plan, the plan a stream of rows ([`eval`]).

pub mod diagnostic;
pub mod syntax;

#[cfg(feature = "eval")]
pub mod accessor;
#[cfg(feature = "eval")]
pub mod artifact;
#[cfg(feature = "eval")]
pub mod builtin;
#[cfg(feature = "eval")]
pub mod complete;
#[cfg(feature = "eval")]
pub mod eval;
#[cfg(feature = "eval")]
pub mod json;
#[cfg(feature = "eval")]
pub mod names;
#[cfg(feature = "eval")]
mod plan;
#[cfg(feature = "eval")]
pub mod plugin;
#[cfg(feature = "eval")]
pub mod row;
#[cfg(feature = "eval")]
pub mod scope;
#[cfg(feature = "eval")]
pub mod value;

#[cfg(feature = "eval")]
pub use accessor::{Accessor, OsPath, PathKind};
#[cfg(feature = "eval")]
pub use eval::Execution;
#[cfg(feature = "eval")]
pub use plugin::{ArgKind, ArgSpec, Args, CallError, Emit, Flow, Function, Group, Plugin, Registry, Signature};
#[cfg(feature = "eval")]
pub use row::{Columns, Row, RowView};
#[cfg(feature = "eval")]
pub use scope::{CancelToken, Context, Level, LogRecord, LogSink};
#[cfg(feature = "eval")]
pub use value::{Dict, List, Object, Unpack, Value};
