//! Functions without a name.

use std::fmt;
use std::sync::Arc;

use crate::plan;
use crate::plugin::Registry;
use crate::scope::Context;
use crate::syntax;
use crate::value::Value;

/// A function without a name: `x, y => expr`.
pub struct Lambda(Arc<plan::Lambda>);

impl Lambda {
    pub(crate) fn parse(registry: &Registry, text: &str) -> Result<Lambda, String> {
        let tree = syntax::parse_lambda(text).map_err(|problems| {
            let reason = problems.first().map_or("", |p| &*p.message);
            format!("`{text}` is no lambda: {reason}")
        })?;
        match &tree.kind {
            syntax::ast::ExprKind::Lambda { params, body } => {
                Ok(Lambda(Arc::new(plan::Compiler::new(registry).lambda(params, body))))
            }
            _ => Err(format!("`{text}` is no lambda: it has no `=>`")),
        }
    }

    pub(crate) fn of(plan: Arc<plan::Lambda>) -> Lambda {
        Lambda(plan)
    }

    pub(crate) fn call(&self, cx: &Context<'_>, args: &[Value]) -> Value {
        let Some(cx) = cx.deeper(self.0.span) else { return Value::Null };
        let value = |i: usize| args.get(i).cloned().unwrap_or_default();
        let vars: Vec<(Arc<str>, Value)> =
            self.0.params.iter().enumerate().map(|(i, name)| (name.clone(), value(i))).collect();
        let inner = cx.with_vars(&vars);
        self.0.body.eval(&inner)
    }
}

impl fmt::Debug for Lambda {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Lambda({})", self.0.params.join(", "))
    }
}
