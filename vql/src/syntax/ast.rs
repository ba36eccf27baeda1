//! The tree of a VQL script. Every node knows its span in the text; comments ride beside the tree so that the
//! formatter can print them again.

use std::sync::Arc;

/// A half-open range of byte offsets into the source text.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
pub struct Span {
    pub start: u32,
    pub end: u32,
}

impl Span {
    pub fn new(start: usize, end: usize) -> Self {
        // Sources are refused past 16 MiB before they are lexed, so the casts hold.
        Self { start: start as u32, end: end as u32 }
    }

    /// The smallest span that covers both.
    pub fn to(self, other: Span) -> Span {
        Span { start: self.start.min(other.start), end: self.end.max(other.end) }
    }

    pub fn range(self) -> std::ops::Range<usize> {
        self.start as usize..self.end as usize
    }
}

/// A name as it is meant (backticks removed) and where it stands.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Ident {
    pub name: Arc<str>,
    pub span: Span,
}

/// One or more statements back to back.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Script {
    pub statements: Vec<Statement>,
    pub comments: Vec<Comment>,
}

/// A comment with its delimiters, as written.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Comment {
    pub text: Arc<str>,
    pub span: Span,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Statement {
    Let(Let),
    Select(Arc<Select>),
}

impl Statement {
    pub fn span(&self) -> Span {
        match self {
            Statement::Let(l) => l.span,
            Statement::Select(s) => s.span,
        }
    }
}

/// `LET name(params) = body` (lazy) or `LET name(params) <= body` (materialized now).
#[derive(Clone, Debug, PartialEq)]
pub struct Let {
    pub name: Ident,
    /// None: `LET x = …`. Some, maybe empty: `LET x(…) = …`.
    pub params: Option<Vec<Param>>,
    pub materialize: bool,
    pub body: LetBody,
    pub span: Span,
}

#[derive(Clone, Debug, PartialEq)]
pub enum LetBody {
    Expr(Arc<Expr>),
    Select(Arc<Select>),
}

/// A parameter of a parametrized LET; the default is evaluated at the call.
#[derive(Clone, Debug, PartialEq)]
pub struct Param {
    pub name: Ident,
    pub default: Option<ArgValue>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Select {
    pub explain: bool,
    pub columns: Vec<Column>,
    pub from: Source,
    pub filter: Option<Arc<Expr>>,
    /// More than one when written as `GROUP BY a, b`.
    pub group_by: Vec<Arc<Expr>>,
    pub order_by: Vec<OrderKey>,
    pub limit: Option<Arc<Expr>>,
    pub span: Span,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Column {
    /// `*`
    Star(Span),
    /// `expr` or `expr AS alias`; without an alias the column bears the canonical text of the expression.
    Expr { expr: Arc<Expr>, alias: Option<Ident> },
}

#[derive(Clone, Debug, PartialEq)]
pub struct OrderKey {
    pub expr: Arc<Expr>,
    pub descending: bool,
}

/// What stands behind FROM: `name`, `name(args)`, `A.dotted.name(args)` or a variable.
#[derive(Clone, Debug, PartialEq)]
pub struct Source {
    /// The dotted parts, at least one.
    pub path: Vec<Ident>,
    /// None where there are no parentheses: a stored query is then taken by reference.
    pub args: Option<Vec<Arg>>,
    pub span: Span,
}

/// `name=value` in a call.
#[derive(Clone, Debug, PartialEq)]
pub struct Arg {
    pub name: Ident,
    pub value: ArgValue,
}

#[derive(Clone, Debug, PartialEq)]
pub enum ArgValue {
    Expr(Arc<Expr>),
    /// `{ SELECT … }`: a stored query, not run until used.
    Select(Arc<Select>),
}

/// No path from the root of a statement to a leaf is longer than [`super::MAX_HEIGHT`] expressions: whoever walks the
/// tree may recurse.
#[derive(Clone, Debug, PartialEq)]
pub struct Expr {
    pub kind: ExprKind,
    pub span: Span,
    /// A number or string as written, where the value alone does not give it back (`070`, `0x1f`, `1.50`, `'\x41'`).
    pub written: Option<Arc<str>>,
}

#[derive(Clone, Debug, PartialEq)]
pub enum ExprKind {
    Null,
    Bool(bool),
    Int(i64),
    Float(f64),
    /// The value after escapes: bytes, since `\xff` is one byte. `quote` keeps how it was written.
    String {
        value: Arc<[u8]>,
        quote: Quote,
    },
    /// A name: a variable, a column, or `name(args)` with `args`.
    Symbol {
        name: Ident,
        args: Option<Vec<Arg>>,
    },
    /// `base.name`; with `args` a call on a dotted name.
    Member {
        base: Arc<Expr>,
        name: Ident,
        args: Option<Vec<Arg>>,
    },
    /// `base[index]`
    Index {
        base: Arc<Expr>,
        index: Arc<Expr>,
    },
    /// `base[start:end]`, either may be missing.
    Slice {
        base: Arc<Expr>,
        start: Option<Arc<Expr>>,
        end: Option<Arc<Expr>>,
    },
    /// `-x`
    Negate(Arc<Expr>),
    /// `NOT x`
    Not(Arc<Expr>),
    Binary {
        op: BinaryOp,
        left: Arc<Expr>,
        right: Arc<Expr>,
    },
    /// `(a, b)`, `(a,)`, `[a, b]`, `[a,]`, `[]`: an array.
    Array {
        items: Vec<Arc<Expr>>,
        bracket: Bracket,
    },
    /// `(a)` or `[a]`, both the value of `a` itself: kept, since the canonical text of a column keeps them.
    Paren {
        inner: Arc<Expr>,
        bracket: Bracket,
    },
    /// `{ SELECT … }` in a select list or in an array.
    SubSelect(Arc<Select>),
    /// `x, y => expr` inside the text of a lambda.
    Lambda {
        params: Vec<Ident>,
        body: Arc<Expr>,
    },
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Quote {
    Single,
    Double,
    /// `'''…'''`, no escapes.
    Raw,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Bracket {
    Round,
    Square,
}

#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum BinaryOp {
    /// `AND`: gives a boolean.
    And,
    /// `&&`: gives the last value.
    AndValue,
    /// `OR`: gives a boolean.
    Or,
    /// `||`: gives the first true value.
    OrValue,
    Eq,
    Ne,
    Lt,
    Le,
    Gt,
    Ge,
    In,
    /// `=~`
    Match,
    /// `!~`
    NotMatch,
    Add,
    Sub,
    Mul,
    Div,
    Rem,
}

impl BinaryOp {
    /// `+ - * / %`
    pub fn is_arithmetic(self) -> bool {
        matches!(self, BinaryOp::Add | BinaryOp::Sub | BinaryOp::Mul | BinaryOp::Div | BinaryOp::Rem)
    }

    /// The operator as the canonical text has it.
    pub fn text(self) -> &'static str {
        match self {
            BinaryOp::And => "AND",
            BinaryOp::AndValue => "&&",
            BinaryOp::Or => "OR",
            BinaryOp::OrValue => "||",
            BinaryOp::Eq => "=",
            BinaryOp::Ne => "!=",
            BinaryOp::Lt => "<",
            BinaryOp::Le => "<=",
            BinaryOp::Gt => ">",
            BinaryOp::Ge => ">=",
            BinaryOp::In => "IN",
            BinaryOp::Match => "=~",
            BinaryOp::NotMatch => "!~",
            BinaryOp::Add => "+",
            BinaryOp::Sub => "-",
            BinaryOp::Mul => "*",
            BinaryOp::Div => "/",
            BinaryOp::Rem => "%",
        }
    }
}
