//! What every builtin needs.

pub(super) use std::ops::ControlFlow;
pub(super) use std::sync::Arc;

pub(super) use crate::plugin::ArgKind::{
    Any, Bool, Dict as DictArg, Int, Lambda, Lazy, Path as PathArg, Query, String as Text, Time,
};
pub(super) use crate::plugin::{
    ArgKind, ArgSpec, Args, CallError, Emit, EmitView, Flow, Function, Group, Plugin, Registry, Signature,
};
pub(super) use crate::row::{Columns, Row};
pub(super) use crate::scope::{Context, Level};
pub(super) use crate::value::{Dict, Value};

pub(super) const CONTINUE: Flow = ControlFlow::Continue(());
pub(super) const BREAK: Flow = ControlFlow::Break(());

/// A required argument.
pub(super) const fn req(name: &'static str, kind: ArgKind, doc: &'static str) -> ArgSpec {
    ArgSpec::required(name, kind, doc)
}

/// An optional argument.
pub(super) const fn opt(name: &'static str, kind: ArgKind, doc: &'static str) -> ArgSpec {
    ArgSpec::optional(name, kind, doc)
}

/// What one call may make: 100 MiB.
const MAX_RESULT: usize = 100 << 20;

/// An error when what a call makes would take so many bytes.
pub(super) fn bounded(what: &str, bytes: usize) -> Result<(), CallError> {
    if bytes > MAX_RESULT {
        return Err(CallError::new(format!("{what} would be longer than {} MiB", MAX_RESULT >> 20)));
    }
    Ok(())
}

pub(super) type Call = fn(&Context<'_>, &Args<'_>) -> Result<Value, CallError>;
pub(super) type Run = fn(&Context<'_>, &Args<'_>, &mut EmitView<'_>) -> Result<Flow, CallError>;

/// A function without state of its own.
pub(super) struct Func(pub(super) &'static Signature, pub(super) Call);

impl Function for Func {
    fn signature(&self) -> &'static Signature {
        self.0
    }
    fn call(&self, cx: &Context<'_>, args: &Args<'_>) -> Result<Value, CallError> {
        (self.1)(cx, args)
    }
}

/// A plugin that hands rows through.
pub(super) struct Plug(pub(super) &'static Signature, pub(super) Run);

impl Plugin for Plug {
    fn signature(&self) -> &'static Signature {
        self.0
    }
    fn run(&self, cx: &Context<'_>, args: &Args<'_>, emit: &mut Emit<'_>) -> Result<Flow, CallError> {
        (self.1)(cx, args, &mut |row| emit(row.take_row()))
    }
    fn run_views(&self, cx: &Context<'_>, args: &Args<'_>, emit: &mut EmitView<'_>) -> Result<Flow, CallError> {
        (self.1)(cx, args, emit)
    }
}
