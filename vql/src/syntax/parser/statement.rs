//! Statements: SELECT with its clauses, LET, and what people write instead.

use std::sync::Arc;

use super::{Failed, Parser, Read, Tall, begins_operand, keyword_text};
use crate::diagnostic::{Diagnostic, nearest};
use crate::syntax::ast::*;
use crate::syntax::lexer::{self, Token, clip};
impl Parser<'_> {
    pub(super) fn script(&mut self) -> Vec<Statement> {
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

    pub(super) fn statement(&mut self) -> Read<Option<Statement>> {
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
    pub(super) fn no_statement(&mut self) -> Read<Option<Statement>> {
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
            return Err(Failed);
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
                    "`SELECT * FROM chain(a={ SELECT … }, b={ SELECT … })` gives the rows of one query, then those of the other",
                ),
                "JOIN" | "INNER" | "OUTER" | "LEFT" | "RIGHT" | "CROSS" => Some(JOIN),
                "HAVING" => Some(HAVING),
                "OFFSET" => Some(OFFSET),
                "IF" | "WHILE" | "FOR" | "BEGIN" | "RETURN" | "DECLARE" => Some(
                    "VQL has no such statement: a choice is `if(condition=…, then=…, else=…)`, a loop is `foreach`",
                ),
                "SHOW" | "DESCRIBE" | "USE" => {
                    Some("VQL has no tables: a statement is a SELECT from a plugin, or a LET")
                }
                _ => None,
            };
            if let Some(hint) = hint {
                let whole = WRITES.contains(&upper.as_str()) || upper == "IF";
                self.report(Diagnostic::error("V0013", here, format!("VQL has no `{}`", clip(word))).hint(hint));
                if whole {
                    // A SELECT in it is part of the mistake; one that begins a line may be right.
                    while self.peek() != Token::End && !(self.peek().is_keyword() && self.first_on_line()) {
                        self.advance();
                    }
                }
                return Err(Failed);
            }
            if let Some(meant) = nearest(word, ["SELECT", "LET", "EXPLAIN"]).first().and_then(|w| lexer::keyword(w)) {
                let name = keyword_text(meant);
                self.report(
                    Diagnostic::error("V0020", here, format!("`{}` begins no statement", clip(word)))
                        .hint(format!("did you mean `{name}`?")),
                );
                // Read on as if it were right, for the problems behind it.
                self.read_as(meant);
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
        let hint = match token {
            Token::Name | Token::Quoted if matches!(self.peek_at(1), Token::LeftParen | Token::Dot | Token::End) => {
                format!("a plugin is read by a SELECT: `SELECT * FROM {}…`", clip(word))
            }
            Token::From if self.at > 0 => format!("a SELECT has one FROM; {JOIN}"),
            Token::From => "SELECT comes first: `SELECT * FROM info()`".to_owned(),
            Token::Comma => "delete the comma; a list of columns belongs between SELECT and FROM".to_owned(),
            Token::Where | Token::GroupBy | Token::OrderBy | Token::Limit => {
                "this belongs to a SELECT: SELECT, FROM, WHERE, GROUP BY, ORDER BY, LIMIT, in this order".to_owned()
            }
            _ if self.at > 0 && (begins_operand(token) || self.operator().is_some()) => {
                "delete it, or add what is missing before it: an operator, a comma, a WHERE".to_owned()
            }
            _ => "a statement is `SELECT … FROM plugin()` or `LET name = …`".to_owned(),
        };
        let what = if self.at == 0 {
            Diagnostic::error("V0020", here, format!("a statement cannot begin with {found}"))
        } else {
            Diagnostic::error("V0001", here, format!("{found} is not expected here"))
                .label(here, "the statement before is complete, and this begins no new one")
        };
        let what = what.hint(hint);
        self.report(what);
        Err(Failed)
    }

    #[cold]
    pub(super) fn semicolon(&mut self) {
        let here = self.span();
        self.report(
            Diagnostic::error("V0022", here, "VQL has no `;`")
                .hint("delete it: statements follow each other without a sign between them"),
        );
        self.advance();
    }

    pub(super) fn binding(&mut self) -> Read<Let> {
        let start = self.span();
        self.advance();
        self.binding_after_let(start)
    }

    pub(super) fn binding_after_let(&mut self, start: Span) -> Read<Let> {
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
                    Diagnostic::error("V0001", here, "a lambda must stand in quotes, as an argument")
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

    pub(super) fn let_name(&mut self) -> Read<Ident> {
        let here = self.span();
        match self.peek() {
            Token::Name | Token::Quoted => Ok(self.ident()),
            token if token.is_word() && matches!(self.peek_at(1), Token::Eq | Token::Le | Token::LeftParen) => {
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
    pub(super) fn let_without_value(&mut self, name: &Ident) -> Failed {
        let here = self.span();
        let found = self.found();
        let shown = clip(&name.name);
        let problem = if self.peek() == Token::Dot {
            Diagnostic::error("V0001", here, "a variable's name has no dots")
                .hint(format!("write `LET {shown} = …`; a dict with members is `dict(a=1, b=2)`"))
        } else if self.peek() == Token::LeftBrace {
            Diagnostic::error("V0001", here, format!("`=` is missing before the body of `{shown}`"))
                .hint("an expression follows the sign as it is: `LET f(x) = x + 1`; braces hold a query")
        } else {
            Diagnostic::error("V0001", here, format!("expected `=` or `<=` after `{shown}`, found {found}"))
                .hint(format!("`LET {shown} = …` is computed at each use, `LET {shown} <= …` once and now"))
        };
        self.fail(problem)
    }

    #[cold]
    pub(super) fn let_without_body(&mut self, name: &Ident) -> Failed {
        let found = self.found();
        let sign = self.before();
        self.fail(
            Diagnostic::error("V0002", sign, format!("`{}` is given no value: found {found}", clip(&name.name)))
                .hint("add a value or a query: `LET n = 5`, `LET q = SELECT * FROM info()`"),
        )
    }

    pub(super) fn params(&mut self) -> Read<Tall<Vec<Param>>> {
        let mut params = Vec::new();
        let mut height = 0;
        while self.peek() != Token::RightParen {
            let here = self.span();
            if !matches!(self.peek(), Token::Name | Token::Quoted) && !self.peek().is_word() {
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

    pub(super) fn select(&mut self) -> Read<Tall<Arc<Select>>> {
        self.nested(Self::select_inner)
    }

    pub(super) fn select_inner(&mut self) -> Read<Tall<Arc<Select>>> {
        let start = self.span();
        let explain = self.peek() == Token::Explain;
        if explain {
            self.advance();
            if self.peek() != Token::Select {
                let here = self.span();
                let found = self.found();
                return Err(self.fail(
                    Diagnostic::error("V0001", here, format!("expected SELECT after EXPLAIN, found {found}"))
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

    pub(super) fn columns(&mut self) -> Read<Tall<Vec<Column>>> {
        if self.peek() == Token::Name
            && (matches!(self.peek_at(1), Token::Name | Token::Quoted | Token::Star)
                || (self.at_word("TOP") && self.peek_at(1) == Token::Number))
        {
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
            } else if self.peek() == Token::Comma {
                let here = self.span();
                self.report(
                    Diagnostic::error("V0012", here, "a comma too many").hint("delete it, or add a column before it"),
                );
                self.advance();
                continue;
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
    pub(super) fn keyword_column(&mut self) {
        let token = self.peek();
        let value = matches!(token, Token::Null | Token::True | Token::False);
        if token.is_word() && !value && matches!(self.peek_at(1), Token::Comma | Token::From | Token::As) {
            let word = self.word();
            // `SELECT FROM FROM` is beyond guessing.
            if token != Token::From {
                self.report(
                    Diagnostic::error("V0018", self.span(), format!("`{word}` is a keyword"))
                        .hint(format!("a column of that name must stand in backticks: `{word}`")),
                );
                self.read_as(Token::Name);
            }
        }
    }

    /// `WHERE limit > 5`: reported, and read as the name it wants to be.
    pub(super) fn keyword_operand(&mut self) {
        let token = self.peek();
        let name = token.is_word() && !matches!(token, Token::Null | Token::True | Token::False | Token::Not);
        let compared = matches!(
            self.peek_at(1),
            Token::Eq
                | Token::Ne
                | Token::Lt
                | Token::Le
                | Token::Gt
                | Token::Ge
                | Token::Match
                | Token::NotMatch
                | Token::In
                | Token::Dot
        );
        if name && compared {
            let word = self.word();
            self.report(
                Diagnostic::error("V0018", self.span(), format!("`{word}` is a keyword"))
                    .hint(format!("a column of that name must stand in backticks: `{word}`")),
            );
            self.read_as(Token::Name);
        }
    }

    #[cold]
    pub(super) fn select_modifier(&mut self) {
        let here = self.span();
        let word = self.word();
        if word.eq_ignore_ascii_case("TOP") {
            let count = self.word_at(1);
            self.report(
                Diagnostic::error("V0013", here, format!("VQL has no `{word}`"))
                    .hint(format!("write `LIMIT {}` at the end", clip(count))),
            );
            self.advance();
            self.advance();
            return;
        }
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
    pub(super) fn no_column(&mut self, first: bool) {
        let here = self.before();
        let problem = if first {
            Diagnostic::error("V0002", here, "SELECT names no column")
                .hint("name the columns, or write `*` for all: `SELECT * FROM info()`")
        } else {
            Diagnostic::error("V0002", here, "no column follows this comma").hint("delete the comma, or add a column")
        };
        self.fail(problem);
    }

    pub(super) fn alias(&mut self) -> Read<Option<Ident>> {
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
                let write = if lexer::is_bare(&name) { name.clone() } else { format!("`{name}`") };
                self.report(
                    Diagnostic::error("V0018", here, "a column's name has no quotes").hint(format!("write AS {write}")),
                );
                self.advance();
                Ok(Some(Ident { name: name.into(), span: here }))
            }
            // `AS Limit` is clear; `AS FROM …` lacks the name.
            token if token.is_word() && (token != Token::From || self.peek_at(1) == Token::From) => {
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
    pub(super) fn misspelt_from(&mut self) -> bool {
        let word = self.word();
        let is = self.peek() == Token::Name
            && matches!(self.peek_at(1), Token::Name | Token::Quoted)
            && !nearest(word, ["FROM"]).is_empty();
        if is {
            self.report(
                Diagnostic::error("V0001", self.span(), format!("`{}` is not expected here", clip(word)))
                    .hint("did you mean `FROM`?"),
            );
            self.read_as(Token::From);
        }
        is
    }

    /// Something stands behind a column that is neither comma nor FROM. True where the list goes on.
    #[cold]
    pub(super) fn behind_column(&mut self) -> Read<bool> {
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
                    Diagnostic::error("V0012", here, format!("{found} follows a column without `AS` or a comma"))
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
                    .hint("columns are separated by commas; `expr AS Name` names one"),
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
                problem.hint = Some("a lambda must stand in quotes, as an argument: func=\"x => x + 1\"".into())
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

    pub(super) fn from(&mut self) -> Read<Tall<Source>> {
        if self.peek() != Token::From {
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
            let gap = Span { start: before.end, end: before.end };
            let name = Ident { name: "scope".into(), span: gap };
            return Ok(Tall { it: Source { path: vec![name], args: None, span: gap }, height: 0 });
        }
        self.advance();
        let start = self.span();
        if !matches!(self.peek(), Token::Name | Token::Quoted) {
            return self.no_source();
        }
        let mut path = vec![self.ident()];
        while self.peek() == Token::Dot {
            self.advance();
            path.push(self.member_name("a plugin's name with a dot goes on after it: `Artifact.Linux.Sys.Users()`")?);
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
    pub(super) fn no_source(&mut self) -> Read<Tall<Source>> {
        let here = self.span();
        let found = self.found();
        let problem = match self.peek() {
            Token::LeftParen | Token::LeftBrace | Token::Select => {
                Diagnostic::error("V0021", here, "FROM takes a plugin or a variable, not a query").hint(
                    "name the query: `LET q = SELECT …`, then `SELECT … FROM q`; or `FROM foreach(row={ SELECT … })`",
                )
            }
            Token::String | Token::Raw => Diagnostic::error("V0001", here, "FROM takes a plugin's name, not a string")
                .hint("write it without quotes: `FROM info()`; a file is read by `FROM parse_lines(filename='…')`"),
            Token::LeftSquare | Token::Number => {
                Diagnostic::error("V0001", here, format!("FROM takes a plugin or a variable, not {found}"))
                    .hint("`FROM foreach(row=[1, 2])` gives a row for each element")
            }
            Token::Bad => return Err(Failed),
            token if token.is_keyword() && !self.ends_columns() => {
                let word = self.word();
                Diagnostic::error("V0018", here, format!("`{word}` is a keyword, no plugin bears its name"))
                    .hint("write the plugin's name; a variable of that name must stand in backticks")
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

    pub(super) fn clauses(&mut self, select: &mut Select, height: &mut usize) -> Read<()> {
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
                Token::As if last.is_none() => {
                    self.report(
                        Diagnostic::error("V0001", here, "a plugin has no alias").hint("delete `AS` and the name"),
                    );
                    self.advance();
                    if matches!(self.peek(), Token::Name | Token::Quoted) {
                        self.advance();
                    }
                    continue;
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
            self.keyword_operand();
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

    pub(super) fn clause_order(&mut self, token: Token, here: Span, last: Option<(Token, Span)>, seen: &[Token]) {
        let Some((last, at)) = last else { return };
        let (name, last_name) = (keyword_text(token), keyword_text(last));
        if seen.contains(&token) {
            let hint = match token {
                Token::Where => "join the conditions by AND",
                Token::Limit => "keep one of them",
                _ => "name all columns in one clause, separated by commas",
            };
            self.report(Diagnostic::error("V0016", here, format!("this SELECT has {name} twice")).hint(hint));
        } else if clause_rank(token) < clause_rank(last) {
            self.report(
                Diagnostic::error("V0016", here, format!("{name} comes after {last_name}"))
                    .label(at, format!("{name} belongs before this"))
                    .hint("the order is SELECT, FROM, WHERE, GROUP BY, ORDER BY, LIMIT"),
            );
        }
    }

    #[cold]
    pub(super) fn comma_in_clauses(&mut self, last: Option<Token>) -> Failed {
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
    pub(super) fn foreign_clause(&mut self, behind: Token) -> Read<bool> {
        let here = self.span();
        let behind = keyword_text(behind);
        let word = self.word();
        let upper = word.to_ascii_uppercase();
        let hint = match upper.as_str() {
            "JOIN" | "INNER" | "OUTER" | "LEFT" | "RIGHT" | "CROSS" | "FULL" | "NATURAL" | "ON" | "USING" => JOIN,
            "UNION" | "INTERSECT" | "EXCEPT" => {
                "`SELECT * FROM chain(a={ SELECT … }, b={ SELECT … })` gives the rows of one query, then those of the other"
            }
            "HAVING" => HAVING,
            "OFFSET" | "FETCH" | "SKIP" => OFFSET,
            _ => "",
        };
        if !hint.is_empty() {
            return Err(self.fail(Diagnostic::error("V0013", here, format!("VQL has no `{word}`")).hint(hint)));
        }
        let hint = match upper.as_str() {
            "ASC" => "sort by `ORDER BY column ASC`",
            "GROUP" | "ORDER" => "BY is missing: `GROUP BY column`, `ORDER BY column`",
            "LIKE" | "ILIKE" | "IS" | "BETWEEN" => "a condition begins with WHERE",
            _ => "",
        };
        if !hint.is_empty() {
            let problem = Diagnostic::error("V0001", here, format!("`{word}` is not expected after {behind}"));
            return Err(self.fail(problem.hint(hint)));
        }
        let next = self.peek_at(1);
        // Perhaps a statement whose first word is wrong or missing: the script says so.
        let starts = matches!(next, Token::Eq | Token::Le) && (behind != "WHERE" || self.first_on_line());
        if starts || !nearest(word, ["SELECT", "LET", "EXPLAIN"]).is_empty() {
            return Ok(false);
        }
        let problem = Diagnostic::error("V0001", here, format!("`{}` is not expected after {behind}", clip(word)));
        if self.word_at(1).eq_ignore_ascii_case("BY")
            && let Some(meant) = nearest(word, ["GROUP", "ORDER"]).first()
        {
            let token = if *meant == "GROUP" { Token::GroupBy } else { Token::OrderBy };
            self.report(problem.hint(format!("did you mean `{meant} BY`?")));
            self.advance();
            self.read_as(token);
            return Ok(true);
        }
        if (begins_operand(next) || next == Token::Not)
            && let Some(meant) = nearest(word, ["WHERE", "LIMIT"]).first().copied()
        {
            self.report(problem.hint(format!("did you mean `{meant}`?")));
            self.read_as(lexer::keyword(meant).unwrap_or(Token::Where));
            return Ok(true);
        }
        let hint = match behind {
            "FROM" if self.word_at(1).eq_ignore_ascii_case("JOIN") => JOIN,
            "FROM" => "a plugin has no alias; what follows is WHERE, GROUP BY, ORDER BY or LIMIT",
            "WHERE" => "an operator may be missing: conditions are joined by AND or OR",
            "ORDER BY" if !nearest(word, ["DESC", "DESCENDING"]).is_empty() || upper == "DESCENDING" => {
                "did you mean `DESC`?"
            }
            "ORDER BY" if !nearest(word, ["ASCENDING"]).is_empty() || upper == "ASCENDING" => "did you mean `ASC`?",
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

fn clause_rank(token: Token) -> u8 {
    match token {
        Token::Where => 1,
        Token::GroupBy => 2,
        Token::OrderBy => 3,
        _ => 4,
    }
}

const JOIN: &str = "a join is a foreach: `FROM foreach(row={ SELECT … }, query={ SELECT … })` runs the second query for each row of the first";
const HAVING: &str = "name the grouped query: `LET g = SELECT … GROUP BY …`, then `SELECT * FROM g WHERE …`";
const OFFSET: &str = "number the rows (`count() AS N`) and select by `WHERE N > 10`";
