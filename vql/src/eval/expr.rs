//! Expressions and calls.

use std::borrow::Cow;
use std::cmp::Ordering;
use std::sync::Arc;

use super::{Lambda, MockKind, StoredQuery, ops, query, suggest};
use crate::plan::{ArgValue, Args as PlanArgs, Call, Expr, Let, LetBody, SPREAD, Select, Symbol};
use crate::plugin::{Args, CallError, Signature};
use crate::scope::{Context, Found};
use crate::syntax::ast::{BinaryOp, Span};
use crate::value::{Dict, Value};

impl Expr {
    /// The value; a stored query stays one.
    pub(crate) fn eval(&self, cx: &Context<'_>) -> Value {
        self.get(cx).into_owned()
    }

    /// As `eval`, borrowing a value that is somewhere already: a literal, a column, a member of one.
    pub(crate) fn get<'v>(&'v self, cx: &'v Context<'_>) -> Cow<'v, Value> {
        Cow::Owned(match self {
            Expr::Const(value) => return Cow::Borrowed(value),
            Expr::Symbol(symbol) => return cx.symbol(symbol).unwrap_or_else(|| Cow::Owned(unknown_symbol(cx, symbol))),
            Expr::Call(call) => call.eval(cx),
            Expr::Member { base, name, args: None } => match &**base {
                Expr::Member { base: time, name: part, args: None } if &**name == "String" => {
                    named_part(cx, &time.get(cx), part)
                }
                base => match base.get(cx) {
                    Cow::Borrowed(Value::Dict(dict)) if dict.contains(name) => {
                        return dict.get(name).map_or(Cow::Owned(Value::Null), Cow::Borrowed);
                    }
                    base => member(cx, &base, name),
                },
            },
            Expr::Member { args: Some(call), .. } => call.eval(cx),
            Expr::Index { base, index } => query::index(cx, base.eval(cx), &index.get(cx)),
            Expr::Slice { base, start, end } => {
                let base = cx.materialize(base.eval(cx));
                let bound = |e: &Option<Box<Expr>>| e.as_ref().and_then(|e| e.get(cx).as_int());
                ops::slice(&base, bound(start), bound(end))
            }
            Expr::Negate(inner) => ops::negate(&inner.get(cx)),
            Expr::Binary { op, left, right, span } if op.is_arithmetic() => match self.int(cx) {
                Some(n) => Value::Int(n),
                None => arithmetic(cx, *op, left, right, *span),
            },
            Expr::Binary { op: BinaryOp::AndValue, left, right, .. } => {
                let first = left.get(cx);
                if cx.truth(&first) {
                    return right.get(cx);
                }
                Value::Bool(false)
            }
            Expr::Binary { op: BinaryOp::OrValue, left, right, .. } => {
                let first = left.get(cx);
                return if cx.truth(&first) { first } else { right.get(cx) };
            }
            Expr::Not(_) | Expr::Match { .. } | Expr::Binary { .. } => Value::Bool(self.truth(cx)),
            Expr::Array(items) => Value::array(items.iter().map(|item| match item {
                Expr::SubSelect(select) => stored(select),
                other => other.eval(cx),
            })),
            Expr::SubSelect(select) => sub_select(cx, select),
            // A lambda written as an argument travels as its text would: as something to call.
            Expr::Lambda(lambda) => Value::Object(Arc::new(LambdaValue(Arc::new(Lambda::of(lambda.clone()))))),
        })
    }

    /// The value, if it is a whole number that is known without a call: most of what filters compute with. None says
    /// nothing of it, and nothing was done that may not be done again.
    pub(super) fn int(&self, cx: &Context<'_>) -> Option<i64> {
        match self {
            Expr::Const(Value::Int(n)) => Some(*n),
            Expr::Symbol(symbol) => cx.int(symbol),
            Expr::Binary { op, left, right, .. } if op.is_arithmetic() => {
                ints(cx, left, right).and_then(|(a, b)| match op {
                    BinaryOp::Add => Some(a.wrapping_add(b)),
                    BinaryOp::Sub => Some(a.wrapping_sub(b)),
                    BinaryOp::Mul => Some(a.wrapping_mul(b)),
                    BinaryOp::Rem if b != 0 => Some(a.wrapping_rem(b)),
                    _ => None,
                })
            }
            _ => None,
        }
    }

    /// As `get`, with a stored query run to the array of its rows: what operators want.
    pub(super) fn value<'v>(&'v self, cx: &'v Context<'_>) -> Cow<'v, Value> {
        query::values(cx, self.get(cx))
    }

    pub(crate) fn truth(&self, cx: &Context<'_>) -> bool {
        match self {
            Expr::Not(inner) => !inner.truth(cx),
            Expr::Match { left, pattern, negate } => matches(&left.value(cx), pattern) != *negate,
            Expr::Binary { op, left, right, span } => match op {
                BinaryOp::And => left.truth(cx) && right.truth(cx),
                BinaryOp::Or => left.truth(cx) || right.truth(cx),
                BinaryOp::Eq => equal(cx, left, right, *span),
                BinaryOp::Ne => !equal(cx, left, right, *span),
                BinaryOp::Lt => order(cx, left, right, *span).is_some_and(Ordering::is_lt),
                BinaryOp::Le => order(cx, left, right, *span).is_some_and(Ordering::is_le),
                BinaryOp::Gt => order(cx, left, right, *span).is_some_and(Ordering::is_gt),
                BinaryOp::Ge => order(cx, left, right, *span).is_some_and(Ordering::is_ge),
                BinaryOp::In => ops::contains(&left.value(cx), &right.value(cx)),
                BinaryOp::Match | BinaryOp::NotMatch => {
                    let text = left.value(cx);
                    match Pattern::of(&right.value(cx), |p| cx.regex(p)) {
                        Ok(pattern) => matches(&text, &pattern) != (*op == BinaryOp::NotMatch),
                        Err(error) => {
                            cx.error_at(*span, error);
                            false
                        }
                    }
                }
                _ => cx.truth(&self.get(cx)),
            },
            other => cx.truth(&other.get(cx)),
        }
    }
}

/// A lambda as a value.
#[derive(Debug)]
pub(crate) struct LambdaValue(pub Arc<Lambda>);

impl crate::value::Object for LambdaValue {
    fn type_name(&self) -> &'static str {
        "*vfilter.Lambda"
    }
    fn get(&self, _name: &str) -> Option<Value> {
        None
    }
    fn text(&self) -> Option<Arc<str>> {
        Some(Arc::from(format!("{:?}", self.0)))
    }
    fn as_any(&self) -> &dyn std::any::Any {
        self
    }
}

fn stored(select: &Arc<Select>) -> Value {
    Value::Query(Arc::new(StoredQuery::select(select.clone(), Vec::new())))
}

fn unknown_symbol(cx: &Context<'_>, Symbol { name, span, .. }: &Symbol) -> Value {
    let hint = if cx.registry().function(name).is_some() {
        format!("`{name}()` is a function: call it with parentheses")
    } else {
        let names = cx.visible_names();
        suggest(name, names.iter().map(|n| &**n)).unwrap_or_else(|| "it is no column and no variable here".into())
    };
    cx.error_at(*span, format!("unknown name `{name}`: {hint}"));
    Value::Null
}

fn member(cx: &Context<'_>, base: &Value, name: &str) -> Value {
    match base {
        Value::Query(stored) => match name {
            "@Len" => ops::member(&query::materialize(cx, base.clone()), name).unwrap_or_default(),
            _ => query::column(cx, stored, name),
        },
        other => ops::member(other, name).unwrap_or_default(),
    }
}

/// `value.part.String`: a time's weekday and month are numbers that also have a name.
fn named_part(cx: &Context<'_>, value: &Value, part: &str) -> Value {
    match (value, part) {
        (Value::Time(time), "Weekday") => Value::from(time.strftime("%A").to_string()),
        (Value::Time(time), "Month") => Value::from(time.strftime("%B").to_string()),
        _ => member(cx, &member(cx, value, part), "String"),
    }
}

/// Compares two values; text beside a time is made a time first.
fn pair<R>(cx: &Context<'_>, left: &Expr, right: &Expr, span: Span, compare: fn(&Value, &Value) -> R) -> R {
    let (a, b) = (left.value(cx), right.value(cx));
    match (&*a, &*b) {
        (Value::Time(_), Value::Str(_)) => compare(&a, &as_time(cx, b.into_owned(), span)),
        (Value::Str(_), Value::Time(_)) => compare(&as_time(cx, a.into_owned(), span), &b),
        (a, b) => compare(a, b),
    }
}

fn ints(cx: &Context<'_>, left: &Expr, right: &Expr) -> Option<(i64, i64)> {
    // The right side is often a literal, and tells soonest that the two are no numbers.
    let b = right.int(cx)?;
    Some((left.int(cx)?, b))
}

fn equal(cx: &Context<'_>, left: &Expr, right: &Expr, span: Span) -> bool {
    match ints(cx, left, right) {
        Some((a, b)) => a == b,
        None => pair(cx, left, right, span, ops::equal),
    }
}

fn order(cx: &Context<'_>, left: &Expr, right: &Expr, span: Span) -> Option<Ordering> {
    match ints(cx, left, right) {
        Some((a, b)) => Some(a.cmp(&b)),
        None => pair(cx, left, right, span, ops::compare),
    }
}

fn arithmetic(cx: &Context<'_>, op: BinaryOp, left: &Expr, right: &Expr, span: Span) -> Value {
    if op == BinaryOp::Add {
        let (a, b) = (left.get(cx), right.get(cx));
        // Two stored queries add up to one; everywhere else operators want values.
        if let (Value::Query(_), Value::Query(_)) = (&*a, &*b) {
            return ops::add(&a, &b);
        }
        let (a, b) = (query::values(cx, a), query::values(cx, b));
        if ops::sum_is_too_long(&a, &b) {
            cx.error_at(span, "the sum is longer than 100 MiB, or ten million items: NULL stands for it".into());
            return Value::Null;
        }
        return ops::add(&a, &b);
    }
    let (a, b) = (left.value(cx), right.value(cx));
    match op {
        BinaryOp::Sub => ops::sub(&a, &b),
        BinaryOp::Mul => ops::mul(&a, &b),
        BinaryOp::Div => ops::div(&a, &b),
        _ => ops::rem(&a, &b),
    }
}

/// Text that is compared with a time. It says nothing without a zone, so the two are of mixed types, unless the
/// script says by PARSE_TZ how its texts are to be read.
fn as_time(cx: &Context<'_>, text: Value, span: Span) -> Value {
    if cx.lookup("PARSE_TZ").is_some_and(|zone| zone.truth()) {
        return crate::builtin::time::to_time(cx, &text).map_or(text, Value::Time);
    }
    let message =
        "a time is compared with text, which is false: write timestamp(string=…), or LET PARSE_TZ <= 'UTC' first";
    cx.warn_at(span, message.into());
    text
}

/// The right side of `=~`.
#[derive(Clone, Debug)]
pub(crate) enum Pattern {
    /// The empty pattern, `.` and `.*`: everything, also NULL.
    All,
    Regex(Arc<regex::bytes::Regex>),
}

impl Pattern {
    pub(crate) fn of(
        value: &Value,
        compile: impl FnOnce(&str) -> Result<Arc<regex::bytes::Regex>, String>,
    ) -> Result<Pattern, String> {
        let text = match value {
            Value::Null => return Err("`=~` needs a pattern on its right side, not NULL".into()),
            other => other.to_text(),
        };
        match &*text {
            "" | "." | ".*" => Ok(Pattern::All),
            pattern => compile(pattern).map(Pattern::Regex),
        }
    }
}

fn matches(value: &Value, pattern: &Pattern) -> bool {
    let regex = match pattern {
        Pattern::All => return true,
        Pattern::Regex(regex) => regex,
    };
    match value {
        Value::Null => false,
        Value::Str(text) => regex.is_match(text.as_bytes()),
        Value::Bytes(bytes) => regex.is_match(bytes) || regex.is_match(readable(bytes).as_bytes()),
        Value::Array(items) => items.iter().any(|item| matches(item, pattern)),
        Value::Dict(dict) => dict.values().any(|item| matches(item, pattern)),
        other => regex.is_match(other.to_text().as_bytes()),
    }
}

/// Data as text with U+FFFD for each byte that belongs to none, so that `.` and `[^x]` match such a byte.
fn readable(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        text.push_str(chunk.valid());
        text.extend(chunk.invalid().iter().map(|_| char::REPLACEMENT_CHARACTER));
    }
    text
}

/// A sub-select as a column: one column is unwrapped to its value, one row to itself, no row is NULL.
fn sub_select(cx: &Context<'_>, select: &Arc<Select>) -> Value {
    let rows = query::materialize(cx, stored(select));
    let mut values: Vec<Value> = match rows.as_array() {
        Some(rows) => rows
            .iter()
            .map(|row| match row.as_dict() {
                Some(dict) if dict.len() == 1 => dict.values().next().cloned().unwrap_or_default(),
                _ => row.clone(),
            })
            .collect(),
        None => Vec::new(),
    };
    match values.len() {
        0 => Value::Null,
        1 => values.swap_remove(0),
        _ => Value::from(values),
    }
}

impl ArgValue {
    pub(crate) fn eval(&self, cx: &Context<'_>) -> Value {
        match self {
            ArgValue::Expr(Expr::SubSelect(select)) | ArgValue::Select(select) => stored(select),
            ArgValue::Expr(expr) => expr.eval(cx),
        }
    }

    /// The name that this is, with dots, if it is nothing but one.
    pub(crate) fn dotted(&self) -> Option<String> {
        fn of(expr: &Expr) -> Option<String> {
            match expr {
                Expr::Symbol(symbol) => Some(symbol.name.to_string()),
                Expr::Member { base, name, args: None } => Some(format!("{}.{name}", of(base)?)),
                _ => None,
            }
        }
        match self {
            ArgValue::Expr(expr) => of(expr),
            ArgValue::Select(_) => None,
        }
    }

    /// The arguments of the call of dict() that this is, if it is nothing else.
    pub(crate) fn dict_items(&self) -> Option<&[crate::plan::Arg]> {
        match self {
            ArgValue::Expr(Expr::Call(call))
                if matches!(&*call.name, "dict" | "lazy_dict") && !call.args.has_spread =>
            {
                Some(&call.args.list)
            }
            _ => None,
        }
    }

    /// The name of the variable that this is, if it is nothing but one.
    pub(crate) fn variable(&self) -> Option<Arc<str>> {
        match self {
            ArgValue::Expr(Expr::Symbol(symbol)) => Some(symbol.name.clone()),
            _ => None,
        }
    }
}

impl PlanArgs {
    /// The dict that is spread into the call.
    pub(crate) fn spread(&self, cx: &Context<'_>) -> Option<Arc<Dict>> {
        if !self.has_spread {
            return None;
        }
        let arg = self.list.iter().find(|a| &*a.name == SPREAD)?;
        match cx.materialize(arg.value.eval(cx)) {
            Value::Dict(dict) => Some(dict),
            Value::Null => Some(Arc::default()),
            other => {
                cx.error_at(arg.span, format!("`**` takes a dict of arguments, not {}", other.type_name()));
                None
            }
        }
    }

    /// Hands the arguments, checked, to `callee`; logs what is wrong with them or with the call.
    pub(crate) fn pass<R>(
        &self,
        cx: &Context<'_>,
        signature: &'static Signature,
        (name, span): (&str, Span),
        callee: impl FnOnce(&Args<'_>) -> Result<R, CallError>,
    ) -> Option<R> {
        let spread = self.spread(cx);
        if self.has_spread && spread.is_none() {
            return None;
        }
        let wrong = match &spread {
            None => self.wrong.clone(),
            Some(dict) => {
                let written: Vec<&str> = self.list.iter().map(|a| &*a.name).chain(dict.keys().map(|k| &**k)).collect();
                crate::plan::check(signature, written.iter().copied(), false, name)
            }
        };
        if let Some(wrong) = wrong {
            cx.error_at(span, wrong);
            return None;
        }
        match callee(&Args::new(cx, signature, &self.list, spread, self.place)) {
            Ok(result) => Some(result),
            Err(error) => {
                let message = match error.message.starts_with(name) {
                    true => error.message,
                    false => format!("{name}: {}", error.message),
                };
                cx.error_at(error.span.unwrap_or(span), message);
                None
            }
        }
    }

    /// The arguments as variables: for LET functions, which get them evaluated.
    pub(crate) fn evaluate(&self, cx: &Context<'_>) -> Vec<(Arc<str>, Value)> {
        let spread = self.spread(cx);
        let mut vars: Vec<(Arc<str>, Value)> = Vec::with_capacity(self.list.len());
        for (name, value) in spread.iter().flat_map(|s| s.iter()) {
            vars.push((name.clone(), value.clone()));
        }
        for arg in self.list.iter().filter(|a| &*a.name != SPREAD) {
            vars.push((arg.name.clone(), arg.value.eval(cx)));
        }
        vars
    }
}

impl Call {
    fn eval(&self, cx: &Context<'_>) -> Value {
        if let Some(answer) = cx.shared.run.mocks.answer(MockKind::Function, &self.name) {
            return answer;
        }
        if let Some(function) = &self.function {
            let at = (&*self.name, self.span);
            return self.args.pass(cx, function.signature(), at, |args| function.call(cx, args)).unwrap_or_default();
        }
        match cx.binding(&self.name) {
            Some(Found::Let(definition)) => definition.call(cx, &self.args, self.span),
            Some(Found::Value(Value::Query(query))) => {
                Value::Query(Arc::new(StoredQuery::bind(query, self.args.evaluate(cx))))
            }
            Some(Found::Value(Value::Object(object))) if object.as_any().is::<LambdaValue>() => {
                let args: Vec<Value> = self.args.evaluate(cx).into_iter().map(|(_, v)| v).collect();
                match object.as_any().downcast_ref::<LambdaValue>() {
                    Some(lambda) => lambda.0.call(cx, &args),
                    None => Value::Null,
                }
            }
            Some(Found::Value(value)) if self.args.list.is_empty() => value,
            Some(Found::Value(value)) => {
                let kind = value.type_name();
                cx.error_at(self.span, format!("`{}` is a value ({kind}) and cannot be called", self.name));
                Value::Null
            }
            None => {
                cx.error_at(self.span, self.unknown(cx));
                Value::Null
            }
        }
    }

    fn unknown(&self, cx: &Context<'_>) -> String {
        let name = &*self.name;
        if cx.registry().plugin(name).is_some() {
            return format!("`{name}()` is a plugin: it stands behind FROM, as in {{ SELECT * FROM {name}() }}");
        }
        let visible = cx.visible_names();
        let known = cx.registry().function_names().map(|n| -> &str { n }).chain(visible.iter().map(|n| &**n));
        let hint = suggest(name, known).unwrap_or_else(|| "is it of a newer version, or another system?".into());
        format!("unknown function `{name}()`: {hint}")
    }
}

impl Let {
    /// The value where no arguments are given: what a name alone means.
    pub(crate) fn value(&self, cx: &Context<'_>) -> Value {
        match &self.body {
            // By reference: parameters are found where it runs.
            LetBody::Select(select) => stored(select),
            LetBody::Expr(body) => match cx.deeper(self.span) {
                Some(cx) => body.eval(&cx),
                None => Value::Null,
            },
        }
    }

    /// `name(args)`: a stored query bound to its arguments, or the value of the body.
    pub(crate) fn call(&self, cx: &Context<'_>, args: &PlanArgs, span: Span) -> Value {
        let Some(vars) = self.bind(cx, args, span) else { return Value::Null };
        match &self.body {
            LetBody::Select(select) => Value::Query(Arc::new(StoredQuery::select(select.clone(), vars))),
            LetBody::Expr(body) => {
                let Some(cx) = cx.deeper(span) else { return Value::Null };
                let inner = cx.with_vars(&vars);
                body.eval(&inner)
            }
        }
    }

    /// The parameters with their values: given, or by default evaluated here, in the caller's scope. A parameter with
    /// neither is looked for further out.
    fn bind(&self, cx: &Context<'_>, args: &PlanArgs, span: Span) -> Option<Vec<(Arc<str>, Value)>> {
        let mut vars = args.evaluate(cx);
        let Some(params) = &self.params else { return Some(vars) };
        for (name, _) in &vars {
            if !params.iter().any(|(p, _)| p == name) {
                let known: Vec<&str> = params.iter().map(|(p, _)| &**p).collect();
                let hint =
                    suggest(name, known.iter().copied()).unwrap_or_else(|| format!("it takes {}", known.join(", ")));
                cx.error_at(span, format!("{}: unexpected argument `{name}`: {hint}", self.name));
                return None;
            }
        }
        for (name, default) in params {
            if let Some(default) = default
                && !vars.iter().any(|(n, _)| n == name)
            {
                vars.push((name.clone(), default.eval(cx)));
            }
        }
        Some(vars)
    }
}
