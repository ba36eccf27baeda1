//! Tokens to tree: recursive descent for statements, precedence climbing for expressions.
//!
//! A problem is reported once, where it is first seen, and reading goes on: behind the closing bracket, at the next
//! argument, or at the next statement. What could not be read stands in the tree as NULL; such a tree comes with an error
//! and must not run.

mod expression;
mod statement;

use std::sync::Arc;

use super::ast::*;
use super::lexer::{self, Lexeme, Token, clip};
use super::{MAX_DIAGNOSTICS, MAX_HEIGHT, MAX_NESTING};
use crate::diagnostic::Diagnostic;

/// A script and what is wrong with it.
#[derive(Clone, Debug, Default)]
pub struct Parsed {
    /// Runs only where no diagnostic is an error; else it holds what could be read.
    pub script: Script,
    /// Errors, in the order of the text.
    pub diagnostics: Vec<Diagnostic>,
    /// Nothing is wrong but that the text ends too early: inside a string, brackets or a statement. Somebody who is
    /// still typing may go on.
    pub incomplete: bool,
}

impl Parsed {
    /// The script, if nothing is wrong with it.
    pub fn into_result(self) -> Result<Script, Vec<Diagnostic>> {
        if self.diagnostics.iter().any(Diagnostic::is_error) { Err(self.diagnostics) } else { Ok(self.script) }
    }
}

/// Reads a script: one or more statements. An empty text is an error, as there is nothing to run.
pub fn parse(text: &str) -> Parsed {
    let (mut parser, comments) = Parser::new(text);
    let statements = parser.script();
    let incomplete = parser.ends_early;
    let diagnostics = parser.finish();
    let comments = comments.into_iter().map(|span| Comment { text: text[span.range()].into(), span }).collect();
    Parsed { script: Script { statements, comments }, diagnostics, incomplete }
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
    /// Where a string ends that may have taken in what follows the one that lacks its quote.
    doubt: Option<u32>,
    /// Where the last error was seen: a second one there is its echo.
    reported_at: Option<usize>,
    too_deep: bool,
    /// The first problem is that the text ends.
    ends_early: bool,
    /// Inside a query that lacks its braces: a comma behind it belongs to what is around it.
    bare: bool,
}

impl<'a> Parser<'a> {
    fn new(text: &'a str) -> (Self, Vec<Span>) {
        let lexed = lexer::lex(text);
        let ends_early = lexed.cut && lexed.diagnostics.len() == 1 && text.len() <= super::MAX_TEXT;
        let parser = Parser {
            text,
            tokens: lexed.tokens,
            at: 0,
            depth: 0,
            diagnostics: lexed.diagnostics,
            cut: lexed.cut,
            doubt: lexed.doubt,
            reported_at: None,
            too_deep: false,
            ends_early,
            bare: false,
        };
        (parser, lexed.comments)
    }

    fn finish(mut self) -> Vec<Diagnostic> {
        if let Some(doubt) = self.doubt {
            // From there on strings and code may have changed places.
            let sure = |d: &Diagnostic| d.span.start < doubt || d.code == "V0004";
            // That the string does not end may be one problem too many to be reported.
            if self.diagnostics.iter().any(sure) {
                self.diagnostics.retain(sure);
            }
        }
        self.diagnostics.sort_by_key(|d| d.span.start);
        self.diagnostics.truncate(MAX_DIAGNOSTICS);
        self.diagnostics
    }

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

    /// Takes the token at hand for another. The end stays the end: whoever reads on must meet it.
    fn read_as(&mut self, token: Token) {
        if self.peek() != Token::End {
            self.tokens[self.at].token = token;
        }
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
                    Token::Arrow => Some("a lambda must stand in quotes, as an argument: func=\"x => x + 1\""),
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
                // A query in parentheses is part of the mistake.
                Token::Select if braces == 0 && self.before_token() == Token::LeftParen => {}
                Token::Select | Token::Explain if braces == 0 || self.begins_line() => return,
                Token::LeftBrace => braces += 1,
                Token::RightBrace => braces = braces.saturating_sub(1),
                _ => {}
            }
            self.advance();
        }
    }

    /// Only white space stands before it on its line.
    fn first_on_line(&self) -> bool {
        let before = self.text[..self.span().start as usize].trim_end_matches([' ', '\t']);
        before.is_empty() || before.ends_with('\n')
    }

    /// It stands in the first column.
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
        self.report(Diagnostic::error("V0001", here, format!("{found} is not expected after {what}")).hint(
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
            Token::String | Token::Raw => format!("the string {}", clip(word)),
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
        self.ends_early |= self.diagnostics.is_empty() && self.peek() == Token::End;
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
