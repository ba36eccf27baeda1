//! Tokens to tree: recursive descent for statements, precedence climbing for expressions.
//!
//! A problem is reported once, where it is first seen, and reading goes on: behind the closing bracket, at the next
//! argument, or at the next statement. What could not be read stands in the tree as NULL; such a tree comes with an error
//! and must not run.

use std::sync::Arc;

use super::ast::*;
use super::lexer::{self, Lexeme, Token, clip};
use super::{MAX_DIAGNOSTICS, MAX_HEIGHT, MAX_NESTING};
use crate::diagnostic::{Diagnostic, nearest};

/// A script and what is wrong with it.
#[derive(Clone, Debug, Default)]
pub struct Parsed {
    /// Runs only where no diagnostic is an error; else it holds what could be read.
    pub script: Script,
    /// Errors, in the order of the text.
    pub diagnostics: Vec<Diagnostic>,
}

/// Reads a script: one or more statements. An empty text is an error, as there is nothing to run.
pub fn parse(text: &str) -> Parsed {
    let (mut parser, comments) = Parser::new(text);
    let statements = parser.script();
    let diagnostics = parser.finish();
    let comments = comments.into_iter().map(|span| Comment { text: text[span.range()].into(), span }).collect();
    Parsed { script: Script { statements, comments }, diagnostics }
}

/// Reads an expression alone. `a, b` is an array.
pub fn parse_expression(text: &str) -> Result<Arc<Expr>, Vec<Diagnostic>> {
    alone(text, Parser::list)
}

/// Reads the text of a lambda, `x, y => expr`. The result's kind is [`ExprKind::Lambda`].
pub fn parse_lambda(text: &str) -> Result<Arc<Expr>, Vec<Diagnostic>> {
    alone(text, Parser::lambda)
}

fn alone<'a>(text: &'a str, read: fn(&mut Parser<'a>) -> Result<Node, Failed>) -> Result<Arc<Expr>, Vec<Diagnostic>> {
    let (mut parser, _) = Parser::new(text);
    let node = read(&mut parser);
    if node.is_ok() && parser.peek() != Token::End {
        parser.after_expression("the expression");
    }
    let diagnostics = parser.finish();
    match node {
        Ok(node) if diagnostics.is_empty() => Ok(node.expr),
        _ => Err(diagnostics),
    }
}

/// The reason was reported.
#[derive(Debug)]
struct Failed;

type Read<T> = Result<T, Failed>;

/// An expression and the longest path below it.
struct Node {
    expr: Arc<Expr>,
    height: usize,
}

/// Something with expressions in it, and the longest path in it.
struct Tall<T> {
    it: T,
    height: usize,
}

/// How tightly operators bind, loosest first.
mod bind {
    pub(super) const AND: u8 = 1;
    pub(super) const OR: u8 = 2;
    pub(super) const COMPARE: u8 = 3;
    pub(super) const ADD: u8 = 4;
    pub(super) const MULTIPLY: u8 = 5;
}

struct Parser<'a> {
    text: &'a str,
    tokens: Vec<Lexeme>,
    at: usize,
    depth: usize,
    diagnostics: Vec<Diagnostic>,
    /// The text ends inside a string or comment: that its end is not what was expected goes without saying.
    cut: bool,
    /// Where the last error was seen: a second one there is its echo.
    reported_at: Option<usize>,
    too_deep: bool,
    /// Inside a query that lacks its braces: a comma behind it belongs to what is around it.
    bare: bool,
}

// Statements.
impl<'a> Parser<'a> {
    fn new(text: &'a str) -> (Self, Vec<Span>) {
        let lexed = lexer::lex(text);
        let parser = Parser {
            text,
            tokens: lexed.tokens,
            at: 0,
            depth: 0,
            diagnostics: lexed.diagnostics,
            cut: lexed.cut,
            reported_at: None,
            too_deep: false,
            bare: false,
        };
        (parser, lexed.comments)
    }

    fn finish(mut self) -> Vec<Diagnostic> {
        self.diagnostics.sort_by_key(|d| d.span.start);
        self.diagnostics.truncate(MAX_DIAGNOSTICS);
        self.diagnostics
    }

    fn script(&mut self) -> Vec<Statement> {
        let mut statements = Vec::new();
        if self.peek() == Token::End && self.diagnostics.is_empty() {
            let here = self.span();
            self.report(
                Diagnostic::error("V0002", here, "there is no query here")
                    .hint("begin with `SELECT * FROM info()`, for example"),
            );
        }
        while self.peek() != Token::End {
            let start = self.at;
            match self.statement() {
                Ok(Some(statement)) => statements.push(statement),
                Ok(None) => {}
                Err(Failed) => self.skip_to_statement(start),
            }
        }
        statements
    }

    fn statement(&mut self) -> Read<Option<Statement>> {
        match self.peek() {
            Token::Select | Token::Explain => Ok(Some(Statement::Select(self.select()?.it))),
            Token::Let => self.binding().map(|l| Some(Statement::Let(l))),
            Token::Semicolon => {
                self.semicolon();
                Ok(None)
            }
            _ => self.no_statement(),
        }
    }

    /// What stands where a statement should begin is none: says why, as well as can be guessed.
    #[cold]
    fn no_statement(&mut self) -> Read<Option<Statement>> {
        let here = self.span();
        let word = self.word();
        let upper = word.to_ascii_uppercase();
        let token = self.peek();
        if token == Token::Bad {
            return Err(Failed);
        }
        if matches!(token, Token::RightParen | Token::RightSquare | Token::RightBrace) {
            self.report(
                Diagnostic::error("V0003", here, format!("this `{word}` closes nothing"))
                    .hint("delete it, or add the bracket that it should close"),
            );
            self.advance();
            return Ok(None);
        }
        if token == Token::Name {
            match self.peek_at(1) {
                Token::Eq | Token::Le => {
                    self.report(
                        Diagnostic::error("V0020", here, format!("`{}` is given a value without LET", clip(word)))
                            .hint(format!("write `LET {} = …`", clip(word))),
                    );
                    return self.binding_after_let(here).map(|l| Some(Statement::Let(l)));
                }
                _ => {}
            }
            const WRITES: [&str; 9] =
                ["INSERT", "UPDATE", "DELETE", "CREATE", "DROP", "ALTER", "REPLACE", "MERGE", "TRUNCATE"];
            let hint = match upper.as_str() {
                w if WRITES.contains(&w) => Some("VQL only reads: a statement is a SELECT or a LET"),
                "WITH" => Some("name a query beforehand: `LET name = SELECT …`, then `SELECT … FROM name`"),
                "SET" => Some("a variable is made by `LET name = …`"),
                "UNION" => Some(
                    "`SELECT * FROM chain(a={ SELECT … }, b={ SELECT … })` gives the rows of one query after the other",
                ),
                "JOIN" | "INNER" | "OUTER" | "LEFT" | "RIGHT" | "CROSS" => Some(JOIN),
                "HAVING" => Some(HAVING),
                "OFFSET" => Some(OFFSET),
                "SHOW" | "DESCRIBE" | "USE" => {
                    Some("VQL has no tables: a statement is a SELECT from a plugin, or a LET")
                }
                _ => None,
            };
            if let Some(hint) = hint {
                self.report(Diagnostic::error("V0013", here, format!("VQL has no `{}`", clip(word))).hint(hint));
                return Err(Failed);
            }
            if let Some(meant) = nearest(word, ["SELECT", "LET", "EXPLAIN"]).first().and_then(|w| lexer::keyword(w)) {
                let name = keyword_text(meant);
                self.report(
                    Diagnostic::error("V0020", here, format!("`{}` begins no statement", clip(word)))
                        .hint(format!("did you mean `{name}`?")),
                );
                // Read on as if it were right, for the problems behind it.
                self.tokens[self.at].token = meant;
                return self.statement();
            }
            if self.at > 0 {
                let clauses = ["WHERE", "GROUP BY", "ORDER BY", "LIMIT", "FROM"];
                if let Some(meant) = nearest(word, clauses).first() {
                    self.report(
                        Diagnostic::error("V0001", here, format!("`{}` is not expected here", clip(word)))
                            .hint(format!("did you mean `{meant}`?")),
                    );
                    return Err(Failed);
                }
            }
        }
        let found = self.found();
        let what = if self.at == 0 {
            Diagnostic::error("V0020", here, format!("a statement cannot begin with {found}"))
                .hint("a statement is `SELECT … FROM plugin()` or `LET name = …`")
        } else {
            Diagnostic::error("V0001", here, format!("{found} is not expected here"))
                .label(here, "the statement before is complete, and this begins no new one")
                .hint(match token {
                    Token::Comma => "delete the comma; a list of columns stands between SELECT and FROM",
                    Token::Where | Token::GroupBy | Token::OrderBy | Token::Limit | Token::From => {
                        "such a clause belongs to a SELECT: SELECT, FROM, WHERE, GROUP BY, ORDER BY, LIMIT, in this order"
                    }
                    _ => "a statement is `SELECT … FROM plugin()` or `LET name = …`",
                })
        };
        self.report(what);
        Err(Failed)
    }

    #[cold]
    fn semicolon(&mut self) {
        let here = self.span();
        self.report(
            Diagnostic::error("V0022", here, "VQL has no `;`")
                .hint("delete it: statements follow each other without a sign between them"),
        );
        self.advance();
    }

    fn binding(&mut self) -> Read<Let> {
        let start = self.span();
        self.advance();
        self.binding_after_let(start)
    }

    fn binding_after_let(&mut self, start: Span) -> Read<Let> {
        let name = self.let_name()?;
        let mut height = 0;
        let params = if self.peek() == Token::LeftParen {
            let params = self.bracketed(Token::RightParen, "the parameters", Self::params)?;
            Some(params.map_or_else(Vec::new, |p| {
                height = p.height;
                p.it
            }))
        } else {
            None
        };
        let materialize = match self.peek() {
            Token::Eq => {
                self.advance();
                false
            }
            Token::Le => {
                self.advance();
                true
            }
            Token::Select | Token::Explain => {
                let here = self.span();
                self.report(
                    Diagnostic::error(
                        "V0001",
                        here,
                        format!("`=` is missing between `{}` and its query", clip(&name.name)),
                    )
                    .hint("`LET name = SELECT …` runs at each use, `LET name <= SELECT …` once and now"),
                );
                false
            }
            _ => return Err(self.let_without_value(&name)),
        };
        let body = if matches!(self.peek(), Token::Select | Token::Explain) {
            LetBody::Select(self.select()?.it)
        } else {
            if self.ends_expression() {
                return Err(self.let_without_body(&name));
            }
            let node = self.list()?;
            if self.peek() == Token::Arrow {
                let here = self.span();
                return Err(self.fail(
                    Diagnostic::error("V0001", here, "a lambda stands in quotes, as an argument")
                        .hint(format!("a function of your own is `LET {}(x) = …`", clip(&name.name))),
                ));
            }
            match &node.expr.kind {
                // `LET x = { SELECT … }` says the same as without braces.
                ExprKind::SubSelect(select) => LetBody::Select(select.clone()),
                _ => LetBody::Expr(node.expr),
            }
        };
        let span = start.to(self.before());
        Ok(Let { name, params, materialize, body, span })
    }

    fn let_name(&mut self) -> Read<Ident> {
        let here = self.span();
        match self.peek() {
            Token::Name | Token::Quoted => Ok(self.ident()),
            token if token.is_keyword() && matches!(self.peek_at(1), Token::Eq | Token::Le | Token::LeftParen) => {
                let word = self.word();
                self.report(
                    Diagnostic::error("V0018", here, format!("`{word}` is a keyword, it cannot be a variable's name"))
                        .hint(format!("choose another name, or write it in backticks: `{word}`")),
                );
                Ok(self.ident())
            }
            _ => {
                let found = self.found();
                let mut problem = Diagnostic::error("V0001", here, format!("LET needs a name, found {found}"));
                problem.hint = Some("`LET name = …` is computed at each use, `LET name <= …` once and now".into());
                Err(self.fail(problem))
            }
        }
    }

    #[cold]
    fn let_without_value(&mut self, name: &Ident) -> Failed {
        let here = self.span();
        let found = self.found();
        let shown = clip(&name.name);
        let problem = if self.peek() == Token::Dot {
            Diagnostic::error("V0001", here, "a variable's name has no points")
                .hint(format!("write `LET {shown} = …`; a dict with members is `dict(a=1, b=2)`"))
        } else {
            Diagnostic::error("V0001", here, format!("expected `=` or `<=` behind `{shown}`, found {found}"))
                .hint(format!("`LET {shown} = …` is computed at each use, `LET {shown} <= …` once and now"))
        };
        self.fail(problem)
    }

    #[cold]
    fn let_without_body(&mut self, name: &Ident) -> Failed {
        let found = self.found();
        let sign = self.before();
        self.fail(
            Diagnostic::error("V0002", sign, format!("`{}` is given no value: found {found}", clip(&name.name)))
                .hint("a value or a query stands behind the sign: `LET n = 5`, `LET q = SELECT * FROM info()`"),
        )
    }

    fn params(&mut self) -> Read<Tall<Vec<Param>>> {
        let mut params = Vec::new();
        let mut height = 0;
        while self.peek() != Token::RightParen {
            let here = self.span();
            if !matches!(self.peek(), Token::Name | Token::Quoted) && !self.peek().is_keyword() {
                let found = self.found();
                return Err(self.fail(
                    Diagnostic::error("V0001", here, format!("expected a parameter's name, found {found}"))
                        .hint("`LET f(a, b=2) = a + b` is called as `f(a=1)`"),
                ));
            }
            let name = self.ident();
            let default = if self.peek() == Token::Eq {
                self.advance();
                let value = self.value(&name)?;
                height = height.max(value.height);
                Some(value.it)
            } else {
                None
            };
            params.push(Param { name, default });
            if self.peek() != Token::Comma {
                break;
            }
            self.advance();
        }
        Ok(Tall { it: params, height })
    }

    fn select(&mut self) -> Read<Tall<Arc<Select>>> {
        self.nested(Self::select_inner)
    }

    fn select_inner(&mut self) -> Read<Tall<Arc<Select>>> {
        let start = self.span();
        let explain = self.peek() == Token::Explain;
        if explain {
            self.advance();
            if self.peek() != Token::Select {
                let here = self.span();
                let found = self.found();
                return Err(self.fail(
                    Diagnostic::error("V0001", here, format!("EXPLAIN stands before a SELECT, found {found}"))
                        .hint("`EXPLAIN SELECT …` runs the query and logs what happens to each row"),
                ));
            }
        }
        self.advance();
        let columns = self.columns()?;
        let mut height = columns.height;
        let from = self.from()?;
        height = height.max(from.height);
        let mut select = Select {
            explain,
            columns: columns.it,
            from: from.it,
            filter: None,
            group_by: Vec::new(),
            order_by: Vec::new(),
            limit: None,
            span: start,
        };
        self.clauses(&mut select, &mut height)?;
        select.span = start.to(self.before());
        Ok(Tall { it: Arc::new(select), height })
    }

    fn columns(&mut self) -> Read<Tall<Vec<Column>>> {
        if self.peek() == Token::Name && matches!(self.peek_at(1), Token::Name | Token::Quoted | Token::Star) {
            self.select_modifier();
        }
        let mut columns = Vec::new();
        let mut height = 0;
        loop {
            self.keyword_column();
            if self.peek() == Token::Star {
                columns.push(Column::Star(self.advance()));
                // The comma behind a first `*` may be left out.
                if columns.len() == 1 && !self.ends_columns() && self.peek() != Token::Comma && !self.misspelt_from() {
                    continue;
                }
            } else if self.ends_columns() {
                self.no_column(columns.is_empty());
                break;
            } else {
                let node = self.expr(0)?;
                height = height.max(node.height);
                let alias = self.alias()?;
                columns.push(Column::Expr { expr: node.expr, alias });
            }
            match self.peek() {
                Token::Comma => {
                    self.advance();
                }
                Token::From => break,
                _ if self.ends_columns() => break,
                _ => {
                    if !self.behind_column()? {
                        break;
                    }
                }
            }
        }
        Ok(Tall { it: columns, height })
    }

    /// `SELECT limit FROM …`: reported, and read as the name it wants to be.
    fn keyword_column(&mut self) {
        let token = self.peek();
        let value = matches!(token, Token::Null | Token::True | Token::False);
        if token.is_keyword() && !value && matches!(self.peek_at(1), Token::Comma | Token::From | Token::As) {
            let word = self.word();
            // `SELECT FROM FROM` is beyond guessing.
            if token != Token::From {
                self.report(
                    Diagnostic::error("V0018", self.span(), format!("`{word}` is a keyword"))
                        .hint(format!("a column of that name stands in backticks: `{word}`")),
                );
                self.tokens[self.at].token = Token::Name;
            }
        }
    }

    #[cold]
    fn select_modifier(&mut self) {
        let here = self.span();
        let word = self.word();
        if word.eq_ignore_ascii_case("DISTINCT") || word.eq_ignore_ascii_case("UNIQUE") {
            self.report(
                Diagnostic::error("V0013", here, format!("VQL has no `{word}`"))
                    .hint("`GROUP BY` the columns: `SELECT Name FROM pslist() GROUP BY Name` gives each name once"),
            );
            self.advance();
        } else if word.eq_ignore_ascii_case("ALL") {
            self.report(Diagnostic::error("V0013", here, format!("VQL has no `{word}`")).hint("delete it"));
            self.advance();
        }
    }

    /// `SELECT FROM` or `SELECT a, FROM`.
    #[cold]
    fn no_column(&mut self, first: bool) {
        let here = self.before();
        let problem = if first {
            Diagnostic::error("V0002", here, "SELECT names no column")
                .hint("name the columns, or write `*` for all: `SELECT * FROM info()`")
        } else {
            Diagnostic::error("V0002", here, "no column follows this comma").hint("delete the comma, or add a column")
        };
        self.fail(problem);
    }

    fn alias(&mut self) -> Read<Option<Ident>> {
        if self.peek() != Token::As {
            return Ok(None);
        }
        self.advance();
        let here = self.span();
        match self.peek() {
            Token::Name | Token::Quoted => Ok(Some(self.ident())),
            Token::String | Token::Raw => {
                let text = self.word();
                let name = clip(text.trim_matches(['\'', '"']));
                self.report(
                    Diagnostic::error("V0018", here, "a column's name does not stand in quotes")
                        .hint(format!("write `AS {name}`, in backticks where it has spaces or signs")),
                );
                self.advance();
                Ok(Some(Ident { name: name.into(), span: here }))
            }
            // `AS Limit` is clear; `AS FROM …` lacks the name.
            token if token.is_keyword() && (token != Token::From || self.peek_at(1) == Token::From) => {
                Ok(Some(self.ident()))
            }
            _ => {
                let found = self.found();
                self.report(
                    Diagnostic::error("V0001", here, format!("AS needs a name for the column, found {found}"))
                        .hint("`expr AS Name`"),
                );
                Ok(None)
            }
        }
    }

    /// `FORM info()`: reported, and read as FROM from here on.
    #[cold]
    fn misspelt_from(&mut self) -> bool {
        let word = self.word();
        let is = self.peek() == Token::Name
            && matches!(self.peek_at(1), Token::Name | Token::Quoted)
            && !nearest(word, ["FROM"]).is_empty();
        if is {
            self.report(
                Diagnostic::error("V0001", self.span(), format!("`{}` is not expected here", clip(word)))
                    .hint("did you mean `FROM`?"),
            );
            self.tokens[self.at].token = Token::From;
        }
        is
    }

    /// Something stands behind a column that is neither comma nor FROM. True where the list goes on.
    #[cold]
    fn behind_column(&mut self) -> Read<bool> {
        let here = self.span();
        let found = self.found();
        let token = self.peek();
        if token == Token::Bad {
            return Err(Failed);
        }
        if matches!(token, Token::Name | Token::Quoted) {
            let next = self.peek_at(1);
            if self.misspelt_from() {
                return Ok(false);
            }
            let word = self.word();
            if matches!(next, Token::Comma | Token::From) {
                self.report(
                    Diagnostic::error("V0012", here, format!("{found} stands behind a column without AS or a comma"))
                        .hint(format!("`AS {0}` names the column, `, {0}` is one more", clip(word))),
                );
                self.advance();
                if next == Token::Comma {
                    self.advance();
                }
                return Ok(next == Token::Comma);
            }
        }
        if begins_operand(token) || token == Token::Not {
            self.report(
                Diagnostic::error("V0012", here, format!("a comma is missing before {found}"))
                    .hint("columns are parted by commas; `expr AS Name` names one"),
            );
            return Ok(true);
        }
        if token == Token::Semicolon {
            self.semicolon();
            return Ok(false);
        }
        let mut problem = Diagnostic::error("V0001", here, format!("expected `,`, `AS` or `FROM`, found {found}"));
        match token {
            Token::Arrow => {
                problem.hint = Some("a lambda stands in quotes, as an argument: func=\"x => x + 1\"".into())
            }
            Token::RightParen | Token::RightSquare => {
                problem.hint = Some("this bracket closes nothing: delete it".into())
            }
            Token::Eq => {
                problem.hint = Some("write two values and one `=` between them; `expr AS Name` names a column".into())
            }
            _ => {}
        }
        Err(self.fail(problem))
    }

    fn from(&mut self) -> Read<Tall<Source>> {
        if self.peek() != Token::From {
            let here = self.span();
            if !self.ends_columns() {
                // The select list said what is wrong.
                return Err(Failed);
            }
            let before = self.before();
            let found = self.found();
            self.fail(
                Diagnostic::error("V0017", before, format!("SELECT has no FROM: found {found}")).hint(
                    "a SELECT reads from a plugin; `FROM scope()` gives a single row: `SELECT 1 + 1 FROM scope()`",
                ),
            );
            let name = Ident { name: "scope".into(), span: here };
            return Ok(Tall { it: Source { path: vec![name], args: None, span: here }, height: 0 });
        }
        self.advance();
        let start = self.span();
        if !matches!(self.peek(), Token::Name | Token::Quoted) {
            return self.no_source();
        }
        let mut path = vec![self.ident()];
        while self.peek() == Token::Dot {
            self.advance();
            path.push(self.member_name("a plugin's name goes on behind the point")?);
        }
        let mut height = 0;
        let args = if self.peek() == Token::LeftParen {
            let name = path.iter().map(|p| &*p.name).collect::<Vec<_>>().join(".");
            let args = self.args(&name)?;
            height = args.height;
            Some(args.it)
        } else {
            None
        };
        let span = start.to(self.before());
        if matches!(self.peek(), Token::Dot | Token::LeftSquare) {
            let here = self.span();
            return Err(self.fail(
                Diagnostic::error("V0001", here, "FROM takes a plugin or a variable, not a part of one")
                    .hint("read the part first: `LET part = …`, then `FROM part` or `FROM foreach(row=part)`"),
            ));
        }
        Ok(Tall { it: Source { path, args, span }, height })
    }

    #[cold]
    fn no_source(&mut self) -> Read<Tall<Source>> {
        let here = self.span();
        let found = self.found();
        let problem = match self.peek() {
            Token::LeftParen | Token::LeftBrace | Token::Select => {
                Diagnostic::error("V0021", here, "FROM takes a plugin or a variable, not a query").hint(
                    "name the query: `LET q = SELECT …`, then `SELECT … FROM q`; or `FROM foreach(row={ SELECT … })`",
                )
            }
            Token::String | Token::Raw => Diagnostic::error("V0001", here, "FROM takes a plugin's name, not text")
                .hint("write it without quotes: `FROM info()`; a file is read by `FROM parse_lines(filename='…')`"),
            Token::LeftSquare | Token::Number => {
                Diagnostic::error("V0001", here, format!("FROM takes a plugin or a variable, not {found}"))
                    .hint("`FROM foreach(row=[1, 2])` gives a row for each element")
            }
            Token::Bad => return Err(Failed),
            token if token.is_keyword() && !self.ends_columns() => {
                let word = self.word();
                Diagnostic::error("V0018", here, format!("`{word}` is a keyword, no plugin bears its name"))
                    .hint("write the plugin's name; a variable of that name stands in backticks")
            }
            _ => {
                let before = self.before();
                return Err(self.fail(
                    Diagnostic::error("V0002", before, format!("FROM names no plugin: found {found}"))
                        .hint("for example `FROM info()`; `FROM scope()` gives a single row"),
                ));
            }
        };
        let failed = self.fail(problem);
        // What follows may be right, or wrong in its own way.
        let close = match self.peek() {
            Token::LeftParen => Token::RightParen,
            Token::LeftBrace => Token::RightBrace,
            _ => return Err(failed),
        };
        self.advance();
        self.skip_in_bracket(false);
        if !self.eat(close) {
            return Err(failed);
        }
        let name = Ident { name: "scope".into(), span: here };
        Ok(Tall { it: Source { path: vec![name], args: None, span: here.to(self.before()) }, height: 0 })
    }

    fn clauses(&mut self, select: &mut Select, height: &mut usize) -> Read<()> {
        let mut last: Option<(Token, Span)> = None;
        let mut seen: Vec<Token> = Vec::new();
        loop {
            let token = self.peek();
            let here = self.span();
            match token {
                Token::Where | Token::GroupBy | Token::OrderBy | Token::Limit => {
                    self.clause_order(token, here, last, &seen);
                    self.advance();
                    if last.is_none_or(|(l, _)| clause_rank(token) > clause_rank(l)) {
                        last = Some((token, here));
                    }
                    seen.push(token);
                }
                Token::Comma if self.bare => return Ok(()),
                Token::Comma => return Err(self.comma_in_clauses(last.map(|l| l.0))),
                Token::Name => {
                    if self.foreign_clause(last.map_or(Token::From, |l| l.0))? {
                        continue;
                    }
                    return Ok(());
                }
                _ => return Ok(()),
            }
            if self.ends_expression() {
                let found = self.found();
                let (what, hint) = match token {
                    Token::Where => ("WHERE has no condition", "`WHERE Name =~ 'ssh' AND Pid > 1`, for example"),
                    Token::GroupBy => ("GROUP BY names no column", "`GROUP BY Name` gives one row for each name"),
                    Token::OrderBy => ("ORDER BY names no column", "`ORDER BY Size DESC` puts the largest first"),
                    _ => ("LIMIT has no number", "`LIMIT 10` stops after ten rows"),
                };
                self.fail(Diagnostic::error("V0002", here, format!("{what}: found {found}")).hint(hint));
                if self.peek() == Token::Comma {
                    return Err(Failed);
                }
                continue;
            }
            match token {
                Token::Where => {
                    let node = self.expr(0)?;
                    *height = (*height).max(node.height);
                    select.filter = Some(node.expr);
                }
                Token::GroupBy => loop {
                    let node = self.expr(0)?;
                    *height = (*height).max(node.height);
                    select.group_by.push(node.expr);
                    if !self.eat(Token::Comma) {
                        break;
                    }
                },
                Token::OrderBy => loop {
                    let node = self.expr(0)?;
                    *height = (*height).max(node.height);
                    let descending = self.eat(Token::Desc);
                    if !descending && self.at_word("ASC") {
                        self.advance();
                    }
                    select.order_by.push(OrderKey { expr: node.expr, descending });
                    if !self.eat(Token::Comma) {
                        break;
                    }
                },
                _ => {
                    let node = self.expr(0)?;
                    *height = (*height).max(node.height);
                    select.limit = Some(node.expr);
                    if self.peek() == Token::Comma {
                        let here = self.span();
                        return Err(self.fail(Diagnostic::error("V0013", here, "LIMIT takes one number").hint(OFFSET)));
                    }
                }
            }
        }
    }

    fn clause_order(&mut self, token: Token, here: Span, last: Option<(Token, Span)>, seen: &[Token]) {
        let Some((last, at)) = last else { return };
        let (name, last_name) = (keyword_text(token), keyword_text(last));
        if seen.contains(&token) {
            let hint = match token {
                Token::Where => "join the conditions by AND",
                Token::Limit => "keep one of them",
                _ => "name all columns in one clause, parted by commas",
            };
            self.report(Diagnostic::error("V0016", here, format!("this SELECT has {name} twice")).hint(hint));
        } else if clause_rank(token) < clause_rank(last) {
            self.report(
                Diagnostic::error("V0016", here, format!("{name} stands behind {last_name}"))
                    .label(at, format!("{name} belongs before this"))
                    .hint("the order is SELECT, FROM, WHERE, GROUP BY, ORDER BY, LIMIT"),
            );
        }
    }

    #[cold]
    fn comma_in_clauses(&mut self, last: Option<Token>) -> Failed {
        let here = self.span();
        let problem = match last {
            None => Diagnostic::error("V0013", here, "FROM takes one plugin").hint(JOIN),
            Some(Token::Where) => {
                Diagnostic::error("V0012", here, "a condition has no commas").hint("join conditions by AND or OR")
            }
            Some(_) => Diagnostic::error("V0001", here, "a comma is not expected here").hint("delete it"),
        };
        self.fail(problem)
    }

    /// A word behind FROM that begins no clause of VQL: what other languages have, or a slip of the finger. True where
    /// it was corrected and reading can go on.
    #[cold]
    fn foreign_clause(&mut self, behind: Token) -> Read<bool> {
        let here = self.span();
        let behind = keyword_text(behind);
        let word = self.word();
        let upper = word.to_ascii_uppercase();
        let hint = match upper.as_str() {
            "JOIN" | "INNER" | "OUTER" | "LEFT" | "RIGHT" | "CROSS" | "FULL" | "NATURAL" | "ON" | "USING" => JOIN,
            "UNION" | "INTERSECT" | "EXCEPT" => {
                "`SELECT * FROM chain(a={ SELECT … }, b={ SELECT … })` gives the rows of one query after the other"
            }
            "HAVING" => HAVING,
            "OFFSET" | "FETCH" | "SKIP" => OFFSET,
            "ASC" => "`ORDER BY column` sorts upwards; ASC stands behind the column only",
            "GROUP" | "ORDER" => "write `GROUP BY column` or `ORDER BY column`",
            "LIKE" | "ILIKE" | "IS" | "BETWEEN" => "a condition begins with WHERE",
            _ => "",
        };
        if !hint.is_empty() {
            return Err(self.fail(Diagnostic::error("V0013", here, format!("VQL has no `{word}` here")).hint(hint)));
        }
        let next = self.peek_at(1);
        // Perhaps a statement whose first word is wrong or missing: the script says so.
        if matches!(next, Token::Eq | Token::Le) || !nearest(word, ["SELECT", "LET", "EXPLAIN"]).is_empty() {
            return Ok(false);
        }
        let problem = Diagnostic::error("V0001", here, format!("`{}` is not expected behind {behind}", clip(word)));
        if self.word_at(1).eq_ignore_ascii_case("BY")
            && let Some(meant) = nearest(word, ["GROUP", "ORDER"]).first()
        {
            let token = if *meant == "GROUP" { Token::GroupBy } else { Token::OrderBy };
            self.report(problem.hint(format!("did you mean `{meant} BY`?")));
            self.advance();
            self.tokens[self.at].token = token;
            return Ok(true);
        }
        if (begins_operand(next) || next == Token::Not)
            && let Some(meant) = nearest(word, ["WHERE", "LIMIT"]).first().copied()
        {
            self.report(problem.hint(format!("did you mean `{meant}`?")));
            self.tokens[self.at].token = lexer::keyword(meant).unwrap_or(Token::Where);
            return Ok(true);
        }
        let hint = match behind {
            "FROM" => "a plugin has no alias; what follows is WHERE, GROUP BY, ORDER BY or LIMIT",
            "WHERE" => "an operator may be missing: conditions are joined by AND or OR",
            _ => "an operator or a comma may be missing before it",
        };
        let failed = self.fail(problem.hint(hint));
        if behind == "FROM" && matches!(next, Token::Where | Token::GroupBy | Token::OrderBy | Token::Limit) {
            self.advance();
            return Ok(true);
        }
        Err(failed)
    }
}

const JOIN: &str =
    "for each row of one query run another: `SELECT … FROM foreach(row={ SELECT … }, query={ SELECT … })`";
const HAVING: &str = "name the grouped query: `LET g = SELECT … GROUP BY …`, then `SELECT * FROM g WHERE …`";
const OFFSET: &str = "there is no OFFSET: number the rows (`count() AS N`) and select by `WHERE N > 10`";

// Expressions.
impl Parser<'_> {
    /// `a` or `a, b`, an array.
    fn list(&mut self) -> Read<Node> {
        let first = self.expr(0)?;
        if self.peek() != Token::Comma {
            return Ok(first);
        }
        let start = first.expr.span;
        let mut height = first.height;
        let mut items = vec![first.expr];
        while self.eat(Token::Comma) {
            if self.ends_expression() {
                break;
            }
            let node = self.expr(0)?;
            height = height.max(node.height);
            items.push(node.expr);
        }
        let span = start.to(self.before());
        self.make(ExprKind::Array { items, bracket: Bracket::Round }, span, height)
    }

    fn lambda(&mut self) -> Read<Node> {
        let start = self.span();
        let round = self.eat(Token::LeftParen);
        let mut params = Vec::new();
        while matches!(self.peek(), Token::Name | Token::Quoted) {
            params.push(self.ident());
            if !self.eat(Token::Comma) {
                break;
            }
        }
        if round {
            self.eat(Token::RightParen);
        }
        if self.peek() != Token::Arrow {
            let here = self.span();
            let found = self.found();
            return Err(self.fail(
                Diagnostic::error("V0001", here, format!("a lambda needs `=>`, found {found}"))
                    .hint("for example `x => x + 1` or `x, y => x + y`"),
            ));
        }
        self.advance();
        let body = self.list()?;
        let span = start.to(body.expr.span);
        let height = body.height;
        self.make(ExprKind::Lambda { params, body: body.expr }, span, height)
    }

    /// An expression whose operators bind at least as tightly as `min`.
    fn expr(&mut self, min: u8) -> Read<Node> {
        self.depth += 1;
        let node = if self.depth > MAX_NESTING { Err(self.too_nested()) } else { self.expr_inner(min) };
        self.depth -= 1;
        node
    }

    fn expr_inner(&mut self, min: u8) -> Read<Node> {
        let mut left = if self.peek() == Token::Not { self.negation(min)? } else { self.unary()? };
        loop {
            let Some((op, tightness)) = self.operator() else {
                if self.peek() == Token::Name || self.peek() == Token::Not {
                    if let Some(node) = self.foreign_operator(min, &left)? {
                        left = self.binary(BinaryOp::Match, left, node)?;
                        continue;
                    }
                }
                return Ok(left);
            };
            if tightness < min {
                return Ok(left);
            }
            left = match tightness {
                bind::AND | bind::OR => self.chain(left, tightness)?,
                bind::COMPARE => self.comparison(op, left)?,
                _ => {
                    self.advance();
                    let right = self.expr(tightness + 1)?;
                    self.binary(op, left, right)?
                }
            };
        }
    }

    fn negation(&mut self, min: u8) -> Read<Node> {
        let start = self.advance();
        if min > bind::COMPARE {
            self.report(
                Diagnostic::error("V0014", start, "NOT needs parentheses here")
                    .hint("NOT takes in the whole comparison behind it: write `x = (NOT y)`"),
            );
        }
        let inner = self.expr(bind::COMPARE)?;
        let span = start.to(inner.expr.span);
        let height = inner.height;
        self.make(ExprKind::Not(inner.expr), span, height)
    }

    /// The operands of one level of AND or OR, as a tree that does not grow deep with their number.
    fn chain(&mut self, first: Node, level: u8) -> Read<Node> {
        let mut items = vec![first];
        let mut ops = Vec::new();
        while let Some((op, tightness)) = self.operator() {
            if tightness != level {
                break;
            }
            self.advance();
            ops.push(op);
            items.push(self.expr(level + 1)?);
        }
        // Grouping does not change what a row of equal operators gives; where they differ, the order is kept.
        const LONG: usize = 16;
        if ops.len() < LONG || ops.iter().any(|op| *op != ops[0]) {
            let mut items = items.into_iter();
            let Some(mut left) = items.next() else { return Err(Failed) };
            for (op, right) in ops.into_iter().zip(items) {
                left = self.binary(op, left, right)?;
            }
            return Ok(left);
        }
        let op = ops[0];
        while items.len() > 1 {
            let mut level = Vec::with_capacity(items.len().div_ceil(2));
            let mut pairs = items.into_iter();
            while let Some(left) = pairs.next() {
                level.push(match pairs.next() {
                    Some(right) => self.binary(op, left, right)?,
                    None => left,
                });
            }
            items = level;
        }
        items.pop().ok_or(Failed)
    }

    fn comparison(&mut self, op: BinaryOp, left: Node) -> Read<Node> {
        self.advance();
        let right = self.expr(bind::ADD)?;
        let mut node = self.binary(op, left, right)?;
        while let Some((next, bind::COMPARE)) = self.operator() {
            self.comparison_chain(&node, op, next);
            self.advance();
            let right = self.expr(bind::ADD)?;
            node = self.binary(next, node, right)?;
        }
        Ok(node)
    }

    #[cold]
    fn comparison_chain(&mut self, node: &Node, first: BinaryOp, second: BinaryOp) {
        let here = self.span();
        let hint = if first == BinaryOp::Eq && second == BinaryOp::Eq {
            "compare two at a time: `a = b AND b = c`"
        } else {
            "compare two at a time, `a < b AND b < c`, or put one comparison in parentheses"
        };
        self.report(
            Diagnostic::error("V0014", here, "a comparison cannot follow a comparison")
                .label(node.expr.span, "this is compared already")
                .hint(hint),
        );
    }

    /// `a LIKE b`, `a IS NULL`, `a BETWEEN 1 AND 2`, `a NOT IN b`: says what to write, and reads the right side. None
    /// where the word is no operator.
    #[cold]
    fn foreign_operator(&mut self, min: u8, left: &Node) -> Read<Option<Node>> {
        if min > bind::COMPARE {
            return Ok(None);
        }
        let here = self.span();
        let shown = clip(&self.text[left.expr.span.range()]);
        if self.peek() == Token::Not {
            let next = self.peek_at(1);
            let like = self.word_at(1).eq_ignore_ascii_case("LIKE");
            if next != Token::In && next != Token::Match && !like {
                return Ok(None);
            }
            let span = here.to(self.span_at(1));
            let hint = match next {
                Token::In => format!("write `NOT {shown} IN …`"),
                _ => format!("write `{shown} !~ …` or `NOT {shown} =~ …`"),
            };
            let problem = Diagnostic::error("V0015", span, "NOT stands before the whole comparison").hint(hint);
            self.report(problem);
            self.advance();
            self.advance();
            return self.expr(bind::ADD).map(Some);
        }
        let next = self.peek_at(1);
        if !(begins_operand(next) || next == Token::Not) {
            return Ok(None);
        }
        let word = self.word();
        let upper = word.to_ascii_uppercase();
        let hint = match upper.as_str() {
            "LIKE" | "ILIKE" | "RLIKE" | "REGEXP" | "MATCHES" | "CONTAINS" | "STARTSWITH" | "ENDSWITH" => {
                format!(
                    "`{shown} =~ 'regex'` matches a regular expression, upper and lower case alike: a `%` of LIKE is `.*`, \
                     ^ is the beginning, $ the end"
                )
            }
            "IS" => {
                let not = self.peek_at(1) == Token::Not;
                format!("write `{shown} {} NULL`", if not { "!=" } else { "=" })
            }
            "BETWEEN" => format!("write `{shown} >= low AND {shown} <= high`"),
            "EQ" | "EQUALS" => format!("write `{shown} = …`"),
            "MOD" => format!("write `{shown} % …`"),
            "DIV" => format!("write `int(int={shown} / …)`"),
            "XOR" => "write `(a AND NOT b) OR (b AND NOT a)`".to_owned(),
            _ => return Ok(None),
        };
        self.report(Diagnostic::error("V0013", here, format!("VQL has no `{word}`")).hint(hint));
        self.advance();
        self.eat(Token::Not);
        self.expr(bind::ADD).map(Some)
    }

    fn unary(&mut self) -> Read<Node> {
        if self.peek() != Token::Minus {
            return self.postfix();
        }
        let mut signs = Vec::new();
        while self.peek() == Token::Minus {
            let sign = self.advance();
            // `-5` is a number; `- 5` and `-x` negate.
            if self.peek() == Token::Number && self.span().start == sign.end {
                let number = self.number(sign)?;
                let node = self.suffixes(number)?;
                return self.negate(signs, node);
            }
            signs.push(sign);
        }
        let node = self.postfix()?;
        self.negate(signs, node)
    }

    fn negate(&mut self, signs: Vec<Span>, mut node: Node) -> Read<Node> {
        for sign in signs.into_iter().rev() {
            let span = sign.to(node.expr.span);
            let height = node.height;
            node = self.make(ExprKind::Negate(node.expr), span, height)?;
        }
        Ok(node)
    }

    fn postfix(&mut self) -> Read<Node> {
        let node = self.primary()?;
        self.suffixes(node)
    }

    fn suffixes(&mut self, mut node: Node) -> Read<Node> {
        loop {
            node = match self.peek() {
                Token::Dot => self.member(node)?,
                Token::LeftSquare => self.index(node)?,
                Token::LeftParen => return Err(self.call_of_value(&node)),
                _ => return Ok(node),
            };
        }
    }

    fn member(&mut self, base: Node) -> Read<Node> {
        self.advance();
        let name = self.member_name("a member's name goes behind the point: `Info.Hostname`")?;
        let mut height = base.height;
        let args = if self.peek() == Token::LeftParen {
            let args = self.args(&name.name)?;
            height = height.max(args.height);
            Some(args.it)
        } else {
            None
        };
        let span = base.expr.span.to(self.before());
        self.make(ExprKind::Member { base: base.expr, name, args }, span, height)
    }

    fn member_name(&mut self, hint: &str) -> Read<Ident> {
        if matches!(self.peek(), Token::Name | Token::Quoted) || self.peek().is_keyword() {
            return Ok(self.ident());
        }
        let here = self.span();
        let found = self.found();
        let mut problem = Diagnostic::error("V0001", here, format!("expected a name behind the point, found {found}"));
        problem.hint = Some(match self.peek() {
            Token::Number => {
                "an element of an array is `a[0]`; a name that begins with a digit stands in backticks".into()
            }
            Token::Star => "all columns of the row are `*`, without a name before it".into(),
            _ => hint.into(),
        });
        Err(self.fail(problem))
    }

    fn index(&mut self, base: Node) -> Read<Node> {
        let part = self.bracketed(Token::RightSquare, "the index", Self::index_inside)?;
        let span = base.expr.span.to(self.before());
        let (index, end, slice) = part.unwrap_or((None, None, true));
        let mut height = base.height;
        let mut arc = |node: Option<Node>| {
            node.map(|n| {
                height = height.max(n.height);
                n.expr
            })
        };
        let (start, end) = (arc(index), arc(end));
        let base = base.expr;
        let kind = match (slice, start) {
            (false, Some(index)) => ExprKind::Index { base, index },
            (_, start) => ExprKind::Slice { base, start, end },
        };
        self.make(kind, span, height)
    }

    /// The inside of `[i]`, `[a:b]`: start or index, end, whether there was a colon.
    fn index_inside(&mut self) -> Read<(Option<Node>, Option<Node>, bool)> {
        let mut start = None;
        if self.peek() != Token::Colon {
            if self.peek() == Token::RightSquare {
                let here = self.span();
                return Err(self.fail(
                    Diagnostic::error("V0002", here, "these brackets hold no index")
                        .hint("`a[0]` is the first element, `a[-1]` the last, `a[1:3]` a part"),
                ));
            }
            start = Some(self.expr(0)?);
        }
        if !self.eat(Token::Colon) {
            return Ok((start, None, false));
        }
        let end = if self.peek() == Token::RightSquare { None } else { Some(self.expr(0)?) };
        Ok((start, end, true))
    }

    #[cold]
    fn call_of_value(&mut self, node: &Node) -> Failed {
        let here = self.span();
        let problem = match &node.expr.kind {
            ExprKind::String { .. } => Diagnostic::error("V0001", here, "a text cannot be called")
                .hint("a function's name stands without quotes"),
            _ => Diagnostic::error("V0001", here, "only a name can be called")
                .label(node.expr.span, "this is a value")
                .hint("a function of your own is `LET f(x) = …`, called as `f(x=1)`"),
        };
        self.fail(problem)
    }

    fn primary(&mut self) -> Read<Node> {
        let span = self.span();
        match self.peek() {
            Token::Number => self.number(span),
            Token::String | Token::Raw => self.string(),
            Token::Name | Token::Quoted => {
                let name = self.ident();
                let mut height = 0;
                let args = if self.peek() == Token::LeftParen {
                    let args = self.args(&name.name)?;
                    height = args.height;
                    Some(args.it)
                } else {
                    None
                };
                let span = span.to(self.before());
                self.make(ExprKind::Symbol { name, args }, span, height)
            }
            Token::LeftParen => self.round(),
            Token::LeftSquare => self.square(),
            Token::LeftBrace => self.braced(),
            Token::Null => self.word_value(ExprKind::Null),
            Token::True => self.word_value(ExprKind::Bool(true)),
            Token::False => self.word_value(ExprKind::Bool(false)),
            _ => Err(self.no_operand()),
        }
    }

    fn word_value(&mut self, kind: ExprKind) -> Read<Node> {
        let span = self.advance();
        self.make(kind, span, 0)
    }

    /// Something stands where a value should.
    #[cold]
    fn no_operand(&mut self) -> Failed {
        let here = self.span();
        let found = self.found();
        let token = self.peek();
        let before = if self.at > 0 { self.tokens[self.at - 1].token } else { Token::End };
        let hint: Option<String> = match token {
            Token::Bad => return Failed,
            Token::Select | Token::Explain => {
                return self.fail(
                    Diagnostic::error("V0021", here, "a query inside an expression stands in braces")
                        .hint("write `{ SELECT … }`"),
                );
            }
            Token::Star => {
                Some("`*` alone stands for all columns, in a select list; `count()` counts without it".into())
            }
            Token::Desc | Token::Limit | Token::As | Token::Where | Token::GroupBy | Token::OrderBy
                if !self.ends_expression() || matches!(self.peek_at(1), Token::Comma | Token::From | Token::Eq) =>
            {
                Some(format!("`{0}` is a keyword: a column of that name stands in backticks, `{0}`", self.word()))
            }
            Token::Dot => Some("a number below one is written `0.5`".into()),
            Token::Plus => Some("VQL has no plus sign before a value: delete it".into()),
            Token::Arrow => Some("a lambda stands in quotes, as an argument: func=\"x => x + 1\"".into()),
            Token::And | Token::Or | Token::In | Token::Pipes | Token::Ampersands => {
                Some("such an operator stands between two values".into())
            }
            _ => None,
        };
        let gap = self.before();
        let ended = matches!(
            token,
            Token::End
                | Token::RightParen
                | Token::RightSquare
                | Token::RightBrace
                | Token::Comma
                | Token::From
                | Token::Where
                | Token::GroupBy
                | Token::OrderBy
                | Token::Limit
                | Token::Let
                | Token::As
                | Token::Desc
        );
        if hint.is_none() && ended && self.at > 0 && self.is_operator(before) {
            let sign = clip(&self.text[gap.range()]);
            return self.fail(
                Diagnostic::error("V0002", gap, format!("nothing stands on the right of `{sign}`: found {found}"))
                    .hint("add the value to compare or compute with"),
            );
        }
        let mut problem = Diagnostic::error("V0001", here, format!("expected a value, found {found}"));
        problem.hint = hint.or_else(|| {
            Some("a value is a name, a number, a text in quotes, a call `f(a=1)`, or something in parentheses".into())
        });
        if token == Token::End {
            return self.fail(Diagnostic { span: gap, code: "V0002", ..problem });
        }
        self.fail(problem)
    }

    /// `(a)`, `(a,)`, `(a, b)`
    fn round(&mut self) -> Read<Node> {
        let start = self.span();
        if self.peek_at(1) == Token::RightParen {
            let span = start.to(self.span_at(1));
            self.report(
                Diagnostic::error("V0002", span, "these parentheses hold nothing").hint("an empty array is `[]`"),
            );
        }
        let inside = self.bracketed(Token::RightParen, "the parentheses", Self::items)?;
        self.sequence(start, inside, Bracket::Round)
    }

    /// `[]`, `[a]`, `[a,]`, `[a, b]`
    fn square(&mut self) -> Read<Node> {
        let start = self.span();
        let inside = self.bracketed(Token::RightSquare, "the array", Self::items)?;
        self.sequence(start, inside, Bracket::Square)
    }

    fn sequence(&mut self, start: Span, inside: Option<(Vec<Arc<Expr>>, bool, usize)>, bracket: Bracket) -> Read<Node> {
        let span = start.to(self.before());
        let Some((mut items, comma, height)) = inside else {
            return self.make(ExprKind::Null, span, 0);
        };
        let kind = match items.pop() {
            Some(inner) if items.is_empty() && !comma => ExprKind::Paren { inner, bracket },
            last => {
                items.extend(last);
                ExprKind::Array { items, bracket }
            }
        };
        self.make(kind, span, height)
    }

    /// Items, whether there was a comma, the height.
    fn items(&mut self) -> Read<(Vec<Arc<Expr>>, bool, usize)> {
        let mut items = Vec::new();
        let mut comma = false;
        let mut height = 0;
        while !matches!(self.peek(), Token::RightParen | Token::RightSquare) {
            if self.peek() == Token::Select {
                return Err(self.bare_query());
            }
            if self.ends_columns() {
                break;
            }
            let node = self.expr(0)?;
            height = height.max(node.height);
            items.push(node.expr);
            if self.peek() != Token::Comma {
                break;
            }
            comma = true;
            self.advance();
        }
        Ok((items, comma, height))
    }

    #[cold]
    fn bare_query(&mut self) -> Failed {
        let here = self.span();
        self.report(
            Diagnostic::error("V0021", here, "a query inside an expression stands in braces")
                .hint("write `{ SELECT … }`"),
        );
        self.read_bare_query()
    }

    /// `{ SELECT … }`
    fn braced(&mut self) -> Read<Node> {
        let start = self.span();
        let inside = self.bracketed(Token::RightBrace, "the query in braces", |p| {
            if matches!(p.peek(), Token::Select | Token::Explain) {
                let select = p.select()?;
                if p.peek() == Token::Semicolon {
                    p.semicolon();
                }
                return Ok(select);
            }
            let here = p.span();
            let found = p.found();
            let hint = match p.peek() {
                Token::Let => "LET stands at the top of a script, not in braces: move it before the statement",
                _ => "braces hold a query, `{ SELECT … }`; a dict is `dict(a=1)`, an array `[1, 2]`",
            };
            Err(p.fail(
                Diagnostic::error("V0021", here, format!("expected SELECT behind the brace, found {found}")).hint(hint),
            ))
        })?;
        let span = start.to(self.before());
        match inside {
            Some(select) => self.make(ExprKind::SubSelect(select.it), span, select.height),
            None => self.make(ExprKind::Null, span, 0),
        }
    }

    fn args(&mut self, callee: &str) -> Read<Tall<Vec<Arg>>> {
        let args = self.bracketed(Token::RightParen, "the arguments", |p| p.args_inside(callee))?;
        Ok(args.unwrap_or(Tall { it: Vec::new(), height: 0 }))
    }

    fn args_inside(&mut self, callee: &str) -> Read<Tall<Vec<Arg>>> {
        let mut args = Vec::new();
        let mut height = 0;
        let mut unnamed = false;
        while self.peek() != Token::RightParen {
            let forgotten = self.ends_columns() && !matches!(self.peek(), Token::Select | Token::Explain);
            if forgotten && self.peek_at(1) != Token::Eq {
                break;
            }
            let named = (matches!(self.peek(), Token::Name | Token::Quoted) || self.peek().is_keyword())
                && matches!(self.peek_at(1), Token::Eq | Token::Colon);
            let result = if named {
                self.arg().map(|arg| {
                    height = height.max(arg.height);
                    args.push(arg.it);
                })
            } else {
                self.unnamed_arg(callee, &mut unnamed)
            };
            if result.is_err() {
                // The next argument may be right, or wrong in its own way.
                self.skip_in_bracket(true);
            }
            match self.peek() {
                Token::Comma => {
                    self.advance();
                }
                Token::RightParen => break,
                token
                    if result.is_ok()
                        && (begins_operand(token) || (token.is_keyword() && self.peek_at(1) == Token::Eq)) =>
                {
                    unnamed |= self.missing_comma();
                }
                _ => break,
            }
        }
        Ok(Tall { it: args, height })
    }

    fn arg(&mut self) -> Read<Tall<Arg>> {
        let name = self.ident();
        if self.peek() == Token::Colon {
            let here = self.span();
            self.report(
                Diagnostic::error(
                    "V0001",
                    here,
                    format!("`=` stands between `{}` and its value, not `:`", clip(&name.name)),
                )
                .hint(format!("write `{}=…`", clip(&name.name))),
            );
        }
        self.advance();
        let value = self.value(&name)?;
        Ok(Tall { it: Arg { name, value: value.it }, height: value.height })
    }

    /// The value of an argument, or a parameter's default.
    fn value(&mut self, name: &Ident) -> Read<Tall<ArgValue>> {
        if self.peek() == Token::Select || self.peek() == Token::Explain {
            return Err(self.query_without_braces(name));
        }
        if self.ends_expression() {
            let found = self.found();
            let gap = self.before();
            return Err(self.fail(
                Diagnostic::error("V0002", gap, format!("`{}` is given no value: found {found}", clip(&name.name)))
                    .hint("add the value, or leave the argument out"),
            ));
        }
        let node = self.expr(0)?;
        if self.peek() == Token::Arrow {
            return Err(self.lambda_without_quotes(name, node.expr.span));
        }
        let height = node.height;
        let it = match &node.expr.kind {
            ExprKind::SubSelect(select) => ArgValue::Select(select.clone()),
            _ => ArgValue::Expr(node.expr),
        };
        Ok(Tall { it, height })
    }

    #[cold]
    fn query_without_braces(&mut self, name: &Ident) -> Failed {
        let here = self.span();
        self.report(
            Diagnostic::error("V0021", here, format!("the query given to `{}` stands in braces", clip(&name.name)))
                .hint(format!("write `{}={{ SELECT … }}`", clip(&name.name))),
        );
        self.read_bare_query()
    }

    /// Reads a query that lacks its braces all the same, for what may be wrong inside.
    fn read_bare_query(&mut self) -> Failed {
        let outer = std::mem::replace(&mut self.bare, true);
        let _ = self.select();
        self.bare = outer;
        Failed
    }

    #[cold]
    fn lambda_without_quotes(&mut self, name: &Ident, param: Span) -> Failed {
        let here = self.span();
        self.fail(Diagnostic::error("V0001", here, "a lambda stands in quotes").hint(format!(
            "write `{}=\"{} => …\"`",
            clip(&name.name),
            clip(&self.text[param.range()])
        )))
    }

    #[cold]
    fn unnamed_arg(&mut self, callee: &str, unnamed: &mut bool) -> Read<()> {
        let start = self.span();
        let callee = clip(callee);
        if self.peek() == Token::Star && self.peek_at(1) == Token::RightParen {
            self.report(
                Diagnostic::error("V0011", start, format!("`{callee}` does not take `*`"))
                    .hint(format!("write `{callee}()`")),
            );
            self.advance();
            return Ok(());
        }
        if matches!(self.peek(), Token::Select | Token::Explain) {
            self.report(
                Diagnostic::error("V0021", start, "a query given to a call stands in braces and has a name").hint(
                    format!("write `{callee}(query={{ SELECT … }})`, with the argument's name that `{callee}` takes"),
                ),
            );
            *unnamed = true;
            self.read_bare_query();
            return Ok(());
        }
        if self.peek() == Token::Comma {
            return Err(self.fail(
                Diagnostic::error("V0001", start, "an argument is missing before this comma")
                    .hint("delete the comma, or add `name=value`"),
            ));
        }
        if self.peek() == Token::Eq {
            return Err(self.fail(
                Diagnostic::error("V0011", start, "an argument's name is missing before `=`")
                    .hint("write `name=value`"),
            ));
        }
        let node = self.expr(0)?;
        if !*unnamed {
            *unnamed = true;
            let shown = clip(&self.text[node.expr.span.range()]);
            self.report(
                Diagnostic::error("V0011", node.expr.span, format!("the arguments of `{callee}` have names"))
                    .label(node.expr.span, "which argument is this?")
                    .hint(format!("write `{callee}(name={shown})`, with the name that `{callee}` takes")),
            );
        }
        Ok(())
    }

    /// True where what follows has no name: it is then part of the same mistake.
    #[cold]
    fn missing_comma(&mut self) -> bool {
        let here = self.span();
        let before = self.tokens[self.at - 1].token;
        if matches!(before, Token::String | Token::Raw)
            && self.peek() == Token::String
            && self.before().end == here.start
        {
            self.report(
                Diagnostic::error("V0012", here, "a text follows a text")
                    .hint("a quote inside a text is written \\', or the text stands in the other quotes"),
            );
            self.advance();
            return true;
        }
        let found = self.found();
        self.report(
            Diagnostic::error("V0012", here, format!("a comma is missing before {found}"))
                .hint("arguments are parted by commas: `f(a=1, b=2)`"),
        );
        self.peek_at(1) != Token::Eq
    }

    fn number(&mut self, start: Span) -> Read<Node> {
        let span = start.to(self.advance());
        let text = &self.text[span.range()];
        let kind = number_value(text);
        let plain = match &kind {
            ExprKind::Int(i) => i.to_string() == text,
            ExprKind::Float(f) => format!("{f:?}") == text,
            _ => true,
        };
        let written = (!plain).then(|| text.into());
        Ok(Node { expr: Arc::new(Expr { kind, span, written }), height: 1 })
    }

    fn string(&mut self) -> Read<Node> {
        let raw = self.peek() == Token::Raw;
        let span = self.advance();
        let text = &self.text[span.range()];
        let (value, quote): (Vec<u8>, Quote) = if raw {
            (text[3..text.len() - 3].as_bytes().to_vec(), Quote::Raw)
        } else {
            // Typographic quotes, which were reported, are longer than a byte.
            let mut chars = text.chars();
            let open = chars.next();
            chars.next_back();
            let quote = if open == Some('"') { Quote::Double } else { Quote::Single };
            (unescape(chars.as_str()), quote)
        };
        let escaped = !raw && text.contains('\\');
        let written = escaped.then(|| text.into());
        let kind = ExprKind::String { value: value.into(), quote };
        if !raw && self.peek() == Token::String && self.span().start == span.end {
            let here = self.span();
            self.report(
                Diagnostic::error("V0012", here, "a text follows a text")
                    .hint("a quote inside a text is written \\', or the text stands in the other quotes"),
            );
            self.advance();
        }
        Ok(Node { expr: Arc::new(Expr { kind, span, written }), height: 1 })
    }
}

// Tools.
impl Parser<'_> {
    fn peek(&self) -> Token {
        self.tokens[self.at].token
    }

    fn peek_at(&self, ahead: usize) -> Token {
        self.tokens.get(self.at + ahead).map_or(Token::End, |t| t.token)
    }

    fn span(&self) -> Span {
        self.tokens[self.at].span
    }

    fn span_at(&self, ahead: usize) -> Span {
        self.tokens.get(self.at + ahead).map_or(self.span(), |t| t.span)
    }

    /// The span of the token before.
    fn before(&self) -> Span {
        if self.at == 0 { self.span() } else { self.tokens[self.at - 1].span }
    }

    fn word(&self) -> &str {
        &self.text[self.span().range()]
    }

    fn word_at(&self, ahead: usize) -> &str {
        &self.text[self.span_at(ahead).range()]
    }

    fn at_word(&self, word: &str) -> bool {
        self.peek() == Token::Name && self.word().eq_ignore_ascii_case(word)
    }

    fn advance(&mut self) -> Span {
        let span = self.span();
        // The last token is the end, which nothing passes.
        if self.at + 1 < self.tokens.len() {
            self.at += 1;
        }
        span
    }

    fn eat(&mut self, token: Token) -> bool {
        let is = self.peek() == token;
        if is {
            self.advance();
        }
        is
    }

    /// The token at hand, which is a name or a keyword used as one.
    fn ident(&mut self) -> Ident {
        let quoted = self.peek() == Token::Quoted;
        let span = self.advance();
        let text = &self.text[span.range()];
        let name = if quoted { &text[1..text.len() - 1] } else { text };
        Ident { name: name.into(), span }
    }

    fn operator(&self) -> Option<(BinaryOp, u8)> {
        let (op, tightness) = match self.peek() {
            Token::And => (BinaryOp::And, bind::AND),
            Token::Ampersands => (BinaryOp::AndValue, bind::AND),
            Token::Or => (BinaryOp::Or, bind::OR),
            Token::Pipes => (BinaryOp::OrValue, bind::OR),
            Token::Eq => (BinaryOp::Eq, bind::COMPARE),
            Token::Ne => (BinaryOp::Ne, bind::COMPARE),
            Token::Lt => (BinaryOp::Lt, bind::COMPARE),
            Token::Le => (BinaryOp::Le, bind::COMPARE),
            Token::Gt => (BinaryOp::Gt, bind::COMPARE),
            Token::Ge => (BinaryOp::Ge, bind::COMPARE),
            Token::In => (BinaryOp::In, bind::COMPARE),
            Token::Match => (BinaryOp::Match, bind::COMPARE),
            Token::NotMatch => (BinaryOp::NotMatch, bind::COMPARE),
            Token::Plus => (BinaryOp::Add, bind::ADD),
            Token::Minus => (BinaryOp::Sub, bind::ADD),
            Token::Star => (BinaryOp::Mul, bind::MULTIPLY),
            Token::Slash => (BinaryOp::Div, bind::MULTIPLY),
            Token::Percent => (BinaryOp::Rem, bind::MULTIPLY),
            _ => return None,
        };
        Some((op, tightness))
    }

    fn is_operator(&self, token: Token) -> bool {
        matches!(token, Token::And | Token::Or | Token::Not | Token::In)
            || (token as u8 >= Token::Eq as u8 && token as u8 <= Token::Percent as u8)
            || matches!(token, Token::Pipes | Token::Ampersands)
    }

    /// The select list ends here, rightly or not.
    fn ends_columns(&self) -> bool {
        matches!(
            self.peek(),
            Token::From
                | Token::Where
                | Token::GroupBy
                | Token::OrderBy
                | Token::Limit
                | Token::End
                | Token::Let
                | Token::Select
                | Token::Explain
                | Token::RightBrace
        )
    }

    /// No expression can begin here, and what stands here belongs to what is around it.
    fn ends_expression(&self) -> bool {
        self.ends_columns()
            || matches!(self.peek(), Token::Comma | Token::RightParen | Token::RightSquare | Token::Semicolon)
    }

    fn make(&mut self, kind: ExprKind, span: Span, below: usize) -> Read<Node> {
        let height = below + 1;
        if height > MAX_HEIGHT {
            return Err(self.too_high(span));
        }
        Ok(Node { expr: Arc::new(Expr { kind, span, written: None }), height })
    }

    fn binary(&mut self, op: BinaryOp, left: Node, right: Node) -> Read<Node> {
        let span = left.expr.span.to(right.expr.span);
        let height = left.height.max(right.height);
        self.make(ExprKind::Binary { op, left: left.expr, right: right.expr }, span, height)
    }

    /// Guards a recursion that does not pass through [`Self::expr`].
    fn nested<T>(&mut self, read: fn(&mut Self) -> Read<T>) -> Read<T> {
        self.depth += 1;
        let result = if self.depth > MAX_NESTING { Err(self.too_nested()) } else { read(self) };
        self.depth -= 1;
        result
    }

    #[cold]
    fn too_nested(&mut self) -> Failed {
        let here = self.span();
        self.deep(
            Diagnostic::error("V0010", here, format!("this is nested more than {MAX_NESTING} levels deep"))
                .hint("name the inner parts by LET"),
        )
    }

    #[cold]
    fn too_high(&mut self, span: Span) -> Failed {
        let at = Span { start: span.start, end: span.start.saturating_add(1).min(span.end) };
        self.deep(
            Diagnostic::error("V0010", at, format!("this expression has more than {MAX_HEIGHT} steps"))
                .hint("name parts of it by LET; a long sum of texts is join(array=[…])"),
        )
    }

    fn deep(&mut self, problem: Diagnostic) -> Failed {
        // One such text gives the same error at every level.
        if self.too_deep {
            return Failed;
        }
        self.too_deep = true;
        self.fail(problem)
    }

    /// Reads from an opening bracket, at hand, to its closing one. None where the inside could not be read but the closing
    /// bracket was found.
    fn bracketed<T>(&mut self, close: Token, what: &str, inside: impl FnOnce(&mut Self) -> Read<T>) -> Read<Option<T>> {
        let open = self.advance();
        let result = inside(self);
        if self.eat(close) {
            return Ok(result.ok());
        }
        if result.is_err() {
            self.skip_in_bracket(false);
            return if self.eat(close) { Ok(None) } else { Err(Failed) };
        }
        self.unclosed(open, close, what)?;
        Ok(result.ok())
    }

    /// The inside of a bracket was read, and something else follows than the closing one. Ok where it can be taken as
    /// closed, or was closed further on.
    #[cold]
    fn unclosed(&mut self, open: Span, close: Token, what: &str) -> Read<()> {
        let here = self.span();
        let found = self.found();
        let sign = &self.text[open.range()];
        let closing = bracket_text(close);
        match self.peek() {
            Token::Bad => {}
            Token::RightParen | Token::RightSquare | Token::RightBrace => {
                let other = self.word();
                self.report(
                    Diagnostic::error("V0003", here, format!("`{sign}` is closed by `{other}`"))
                        .label(open, format!("opened here, closed by `{closing}`"))
                        .hint(format!("put `{closing}` before it")),
                );
                return Ok(());
            }
            _ if self.ends_columns() => {
                let gap = self.before();
                self.fail(
                    Diagnostic::error("V0003", open, format!("this `{sign}` is never closed"))
                        .label(gap, format!("`{closing}` is missing, here or before"))
                        .hint(format!("close {what} with `{closing}`")),
                );
                return Ok(());
            }
            token => {
                let mut problem = Diagnostic::error("V0001", here, format!("expected `{closing}`, found {found}"))
                    .label(open, format!("to close {what}, opened here"));
                let hint = match token {
                    Token::Colon if close == Token::RightSquare => Some("a part is `a[start:end]`"),
                    Token::Comma if close == Token::RightSquare => {
                        Some("an index is one number, a part is `a[start:end]`")
                    }
                    Token::Arrow => Some("a lambda stands in quotes, as an argument: func=\"x => x + 1\""),
                    Token::Semicolon => Some("delete the `;`"),
                    _ if begins_operand(token) => Some("a comma or an operator is missing before it"),
                    _ => None,
                };
                problem.hint = hint.map(str::to_owned);
                self.report(problem);
            }
        }
        self.skip_in_bracket(false);
        if self.eat(close) { Ok(()) } else { Err(Failed) }
    }

    /// Skips to the bracket that closes the one we are in (or a comma at its level), or to where a statement or a clause
    /// says that it was forgotten.
    fn skip_in_bracket(&mut self, comma: bool) {
        let mut open = Vec::new();
        loop {
            match self.peek() {
                Token::LeftParen => open.push(Token::RightParen),
                Token::LeftSquare => open.push(Token::RightSquare),
                Token::LeftBrace => open.push(Token::RightBrace),
                token @ (Token::RightParen | Token::RightSquare | Token::RightBrace) => match open.last() {
                    None => return,
                    Some(last) if *last == token => {
                        open.pop();
                    }
                    // Closed by another: whoever opened that one is nearer the truth.
                    Some(_) => match open.iter().rposition(|t| *t == token) {
                        Some(i) => open.truncate(i),
                        None => return,
                    },
                },
                Token::Comma if comma && open.is_empty() => return,
                Token::End | Token::Let | Token::Explain => return,
                Token::Select
                    if open.is_empty()
                        && !matches!(self.before_token(), Token::LeftBrace | Token::LeftParen | Token::LeftSquare) =>
                {
                    return;
                }
                _ => {}
            }
            self.advance();
        }
    }

    fn before_token(&self) -> Token {
        if self.at == 0 { Token::End } else { self.tokens[self.at - 1].token }
    }

    /// Skips to where the next statement begins, at least one token past `start`.
    fn skip_to_statement(&mut self, start: usize) {
        if self.at == start {
            self.advance();
        }
        let mut braces = 0usize;
        loop {
            match self.peek() {
                Token::End | Token::Let => return,
                Token::Select | Token::Explain if braces == 0 || self.begins_line() => return,
                Token::LeftBrace => braces += 1,
                Token::RightBrace => braces = braces.saturating_sub(1),
                _ => {}
            }
            self.advance();
        }
    }

    fn begins_line(&self) -> bool {
        let start = self.span().start as usize;
        start == 0 || self.text.as_bytes()[start - 1] == b'\n'
    }

    #[cold]
    fn after_expression(&mut self, what: &str) {
        let here = self.span();
        let found = self.found();
        if self.peek() == Token::Bad {
            return;
        }
        self.report(Diagnostic::error("V0001", here, format!("{found} is not expected behind {what}")).hint(
            match self.peek() {
                Token::RightParen | Token::RightSquare | Token::RightBrace => "this bracket closes nothing: delete it",
                Token::Arrow => "a lambda begins with its parameters: `x, y => …`",
                _ => "an operator or a comma may be missing before it",
            },
        ));
    }

    /// What stands here, for a message.
    fn found(&self) -> String {
        let word = self.word();
        match self.peek() {
            Token::End => "the end of the text".to_owned(),
            Token::Number => format!("the number `{}`", clip(word)),
            Token::Name => format!("the name `{}`", clip(word)),
            Token::Quoted => format!("the name {}", clip(word)),
            Token::String | Token::Raw => format!("the text {}", clip(word)),
            Token::Bad => "something unreadable".to_owned(),
            token if token.is_keyword() => format!("`{}`", keyword_text(token)),
            _ => format!("`{}`", clip(word)),
        }
    }

    fn fail(&mut self, problem: Diagnostic) -> Failed {
        self.report(problem);
        Failed
    }

    #[cold]
    fn report(&mut self, problem: Diagnostic) {
        // An error where one was seen before is its echo, and so is one about an end that is not the text's.
        let echo = self.reported_at == Some(self.at) || (self.cut && self.peek() == Token::End);
        self.reported_at = Some(self.at);
        if echo || self.peek() == Token::Bad {
            return;
        }
        self.diagnostics.push(problem);
        if self.diagnostics.len() >= MAX_DIAGNOSTICS {
            // Enough: read no further.
            self.at = self.tokens.len() - 1;
        }
    }
}

fn begins_operand(token: Token) -> bool {
    matches!(
        token,
        Token::Name
            | Token::Quoted
            | Token::Number
            | Token::String
            | Token::Raw
            | Token::Null
            | Token::True
            | Token::False
            | Token::LeftParen
            | Token::LeftSquare
            | Token::LeftBrace
    )
}

fn clause_rank(token: Token) -> u8 {
    match token {
        Token::Where => 1,
        Token::GroupBy => 2,
        Token::OrderBy => 3,
        _ => 4,
    }
}

fn keyword_text(token: Token) -> &'static str {
    match token {
        Token::Explain => "EXPLAIN",
        Token::Select => "SELECT",
        Token::Where => "WHERE",
        Token::And => "AND",
        Token::Or => "OR",
        Token::From => "FROM",
        Token::Not => "NOT",
        Token::As => "AS",
        Token::In => "IN",
        Token::Limit => "LIMIT",
        Token::Null => "NULL",
        Token::Desc => "DESC",
        Token::GroupBy => "GROUP BY",
        Token::OrderBy => "ORDER BY",
        Token::True => "TRUE",
        Token::False => "FALSE",
        Token::Let => "LET",
        _ => "",
    }
}

fn bracket_text(token: Token) -> &'static str {
    match token {
        Token::RightParen => ")",
        Token::RightSquare => "]",
        _ => "}",
    }
}

/// The value of a number as written, with its sign: 64-bit where it fits, else a float.
fn number_value(text: &str) -> ExprKind {
    let (negative, digits) = text.strip_prefix('-').map_or((false, text), |d| (true, d));
    let radix = |digits: &str, radix: u32| -> Option<ExprKind> {
        match u64::from_str_radix(digits, radix) {
            Ok(value) => {
                let signed = if negative { -i128::from(value) } else { i128::from(value) };
                Some(i64::try_from(signed).map_or(ExprKind::Float(signed as f64), ExprKind::Int))
            }
            Err(_) => None,
        }
    };
    let large = |digits: &str, radix: f64| {
        let value = digits.chars().filter_map(|c| c.to_digit(16)).fold(0.0, |sum, d| sum * radix + f64::from(d));
        ExprKind::Float(if negative { -value } else { value })
    };
    if let Some(hex) = digits.strip_prefix("0x").or_else(|| digits.strip_prefix("0X")) {
        return radix(hex, 16).unwrap_or_else(|| large(hex, 16.0));
    }
    let integer = digits.bytes().all(|b| b.is_ascii_digit());
    if integer && digits.len() > 1 && digits.starts_with('0') {
        // `089` is no octal number: like any number that does not fit, it is taken as a float.
        if digits.bytes().all(|b| b < b'8') {
            return radix(digits, 8).unwrap_or_else(|| large(digits, 8.0));
        }
    } else if integer && let Some(kind) = radix(digits, 10) {
        return kind;
    }
    ExprKind::Float(text.parse().unwrap_or(0.0))
}

fn unescape(text: &str) -> Vec<u8> {
    let mut value = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((byte, after)) = rest.split_first() {
        rest = after;
        if *byte != b'\\' {
            value.push(*byte);
            continue;
        }
        let Some((escape, after)) = rest.split_first() else {
            value.push(b'\\');
            break;
        };
        rest = after;
        match escape {
            b'n' => value.push(b'\n'),
            b'r' => value.push(b'\r'),
            b't' => value.push(b'\t'),
            b'x' => match hex_byte(rest) {
                Some(byte) => {
                    value.push(byte);
                    rest = &rest[2..];
                }
                None => value.push(b'x'),
            },
            other => value.push(*other),
        }
    }
    value
}

fn hex_byte(text: &[u8]) -> Option<u8> {
    let digit = |b: u8| char::from(b).to_digit(16).and_then(|d| u8::try_from(d).ok());
    Some(digit(*text.first()?)? * 16 + digit(*text.get(1)?)?)
}
