//! A walk over the tree: every lint and every search is one of these, so that none forgets a corner.

use super::ast::*;

/// What is done at each node. A method that is overridden calls its `walk_…` function to go on below.
pub trait Visit {
    fn statement(&mut self, statement: &Statement) {
        match statement {
            Statement::Let(definition) => self.definition(definition),
            Statement::Select(select) => self.select(select),
        }
    }

    fn definition(&mut self, definition: &Let) {
        walk_definition(self, definition);
    }

    fn select(&mut self, select: &Select) {
        walk_select(self, select);
    }

    /// What stands behind FROM.
    fn source(&mut self, source: &Source) {
        self.args(source.args.as_deref());
    }

    /// The arguments of a call; None where there are no parentheses.
    fn args(&mut self, args: Option<&[Arg]>) {
        args.unwrap_or_default().iter().for_each(|arg| self.value(&arg.value));
    }

    /// The value of an argument, or the default of a parameter.
    fn value(&mut self, value: &ArgValue) {
        match value {
            ArgValue::Expr(expr) => self.expr(expr),
            ArgValue::Select(select) => self.select(select),
        }
    }

    fn expr(&mut self, expr: &Expr) {
        walk_expr(self, expr);
    }
}

/// All statements in order.
pub fn walk_script(visit: &mut (impl Visit + ?Sized), script: &Script) {
    script.statements.iter().for_each(|statement| visit.statement(statement));
}

pub fn walk_definition(visit: &mut (impl Visit + ?Sized), definition: &Let) {
    for default in definition.params.iter().flatten().filter_map(|param| param.default.as_ref()) {
        visit.value(default);
    }
    match &definition.body {
        LetBody::Expr(expr) => visit.expr(expr),
        LetBody::Select(select) => visit.select(select),
    }
}

pub fn walk_select(visit: &mut (impl Visit + ?Sized), select: &Select) {
    for column in &select.columns {
        if let Column::Expr { expr, .. } = column {
            visit.expr(expr);
        }
    }
    visit.source(&select.from);
    let keys = select.order_by.iter().map(|key| &key.expr);
    for expr in select.filter.iter().chain(&select.group_by).chain(keys).chain(&select.limit) {
        visit.expr(expr);
    }
}

pub fn walk_expr(visit: &mut (impl Visit + ?Sized), expr: &Expr) {
    match &expr.kind {
        ExprKind::Null | ExprKind::Bool(_) | ExprKind::Int(_) | ExprKind::Float(_) | ExprKind::String { .. } => {}
        ExprKind::Symbol { args, .. } => visit.args(args.as_deref()),
        ExprKind::Member { base, args, .. } => {
            visit.expr(base);
            visit.args(args.as_deref());
        }
        ExprKind::Index { base, index } => {
            visit.expr(base);
            visit.expr(index);
        }
        ExprKind::Slice { base, start, end } => {
            visit.expr(base);
            start.iter().chain(end).for_each(|part| visit.expr(part));
        }
        ExprKind::Negate(inner) | ExprKind::Not(inner) | ExprKind::Paren { inner, .. } => visit.expr(inner),
        ExprKind::Binary { left, right, .. } => {
            visit.expr(left);
            visit.expr(right);
        }
        ExprKind::Array { items, .. } => items.iter().for_each(|item| visit.expr(item)),
        ExprKind::SubSelect(select) => visit.select(select),
        ExprKind::Lambda { body, .. } => visit.expr(body),
    }
}
