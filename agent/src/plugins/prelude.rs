//! What every plugin and function here needs.

pub(super) use std::ops::ControlFlow;

pub(super) use vql::ArgKind::{Any, Bool, Dict as DictArg, Int, Path, String as Text};
pub(super) use vql::{
    ArgKind, ArgSpec, Args, CallError, Columns, Context, Dict, Emit, Flow, Function, Group, Plugin, Registry, Row,
    Signature, Value,
};

pub(super) const CONTINUE: Flow = ControlFlow::Continue(());
pub(super) const BREAK: Flow = ControlFlow::Break(());

pub(super) const fn req(name: &'static str, kind: ArgKind, doc: &'static str) -> ArgSpec {
    ArgSpec::required(name, kind, doc)
}

pub(super) const fn opt(name: &'static str, kind: ArgKind, doc: &'static str) -> ArgSpec {
    ArgSpec::optional(name, kind, doc)
}

/// The argument by which a file's accessor is named.
pub(super) const ACCESSOR: ArgSpec = opt("accessor", Text, "How the file is opened; `auto` without");

/// A plugin without state of its own.
pub(super) struct Plug(
    pub(super) &'static Signature,
    pub(super) fn(&Context<'_>, &Args<'_>, &mut Emit<'_>) -> Result<Flow, CallError>,
);

impl Plugin for Plug {
    fn signature(&self) -> &'static Signature {
        self.0
    }

    fn run(&self, cx: &Context<'_>, args: &Args<'_>, emit: &mut Emit<'_>) -> Result<Flow, CallError> {
        (self.1)(cx, args, emit)
    }
}

/// A function without state of its own.
pub(super) struct Func(
    pub(super) &'static Signature,
    pub(super) fn(&Context<'_>, &Args<'_>) -> Result<Value, CallError>,
);

impl Function for Func {
    fn signature(&self) -> &'static Signature {
        self.0
    }

    fn call(&self, cx: &Context<'_>, args: &Args<'_>) -> Result<Value, CallError> {
        (self.1)(cx, args)
    }
}

/// The error of a plugin on a system that it does not know yet.
#[cfg_attr(target_os = "linux", allow(dead_code))]
pub(super) fn not_here(name: &str) -> CallError {
    CallError::new(format!("{name}() is not available on {}", crate::client_info::os()))
}
