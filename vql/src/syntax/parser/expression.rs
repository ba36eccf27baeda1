//! Expressions: operators by how tightly they bind, calls, members, literals.

use std::sync::Arc;

use super::{Failed, Node, Parser, Read, Tall, begins_operand, bind};
use crate::diagnostic::Diagnostic;
use crate::syntax::MAX_NESTING;
use crate::syntax::ast::*;
use crate::syntax::lexer::{Token, clip};

impl Parser<'_> {
    /// `a` or `a, b`, an array.
    pub(super) fn list(&mut self) -> Read<Node> {
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

    pub(super) fn lambda(&mut self) -> Read<Node> {
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
    pub(super) fn expr(&mut self, min: u8) -> Read<Node> {
        self.depth += 1;
        let node = if self.depth > MAX_NESTING { Err(self.too_nested()) } else { self.expr_inner(min) };
        self.depth -= 1;
        node
    }

    pub(super) fn expr_inner(&mut self, min: u8) -> Read<Node> {
        let mut left = if self.peek() == Token::Not { self.negation(min)? } else { self.unary()? };
        loop {
            let Some((op, tightness)) = self.operator() else {
                if matches!(self.peek(), Token::Name | Token::Not)
                    && let Some(node) = self.foreign_operator(min, &left)?
                {
                    left = self.binary(BinaryOp::Match, left, node)?;
                    continue;
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

    pub(super) fn negation(&mut self, min: u8) -> Read<Node> {
        let start = self.advance();
        if min > bind::COMPARE {
            self.report(
                Diagnostic::error("V0014", start, "NOT needs parentheses here")
                    .hint("NOT takes in the whole comparison that follows it: write `x = (NOT y)`"),
            );
        }
        let inner = self.expr(bind::COMPARE)?;
        let span = start.to(inner.expr.span);
        let height = inner.height;
        self.make(ExprKind::Not(inner.expr), span, height)
    }

    /// The operands of one level of AND or OR, as a tree that does not grow deep with their number.
    pub(super) fn chain(&mut self, first: Node, level: u8) -> Read<Node> {
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

    pub(super) fn comparison(&mut self, op: BinaryOp, left: Node) -> Read<Node> {
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
    pub(super) fn comparison_chain(&mut self, node: &Node, first: BinaryOp, second: BinaryOp) {
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
    pub(super) fn foreign_operator(&mut self, min: u8, left: &Node) -> Read<Option<Node>> {
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
            let problem = Diagnostic::error("V0015", span, "NOT belongs before the whole comparison").hint(hint);
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

    pub(super) fn unary(&mut self) -> Read<Node> {
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

    pub(super) fn negate(&mut self, signs: Vec<Span>, mut node: Node) -> Read<Node> {
        for sign in signs.into_iter().rev() {
            let span = sign.to(node.expr.span);
            let height = node.height;
            node = self.make(ExprKind::Negate(node.expr), span, height)?;
        }
        Ok(node)
    }

    pub(super) fn postfix(&mut self) -> Read<Node> {
        let node = self.primary()?;
        self.suffixes(node)
    }

    pub(super) fn suffixes(&mut self, mut node: Node) -> Read<Node> {
        loop {
            node = match self.peek() {
                Token::Dot => self.member(node)?,
                Token::LeftSquare => self.index(node)?,
                Token::LeftParen => return Err(self.call_of_value(&node)),
                _ => return Ok(node),
            };
        }
    }

    pub(super) fn member(&mut self, base: Node) -> Read<Node> {
        self.advance();
        let name = self.member_name("a member is written `Info.Hostname`")?;
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

    pub(super) fn member_name(&mut self, hint: &str) -> Read<Ident> {
        // `a. FROM x` lacks the name; `a.from` has one.
        let next = self.peek_at(1);
        let clause = begins_operand(next) && !matches!(next, Token::LeftParen | Token::LeftSquare);
        if matches!(self.peek(), Token::Name | Token::Quoted) || (self.peek().is_word() && !clause) {
            return Ok(self.ident());
        }
        let here = self.span();
        let found = self.found();
        let mut problem = Diagnostic::error("V0001", here, format!("expected a name after the dot, found {found}"));
        problem.hint = Some(match self.peek() {
            Token::Number => {
                "an element of an array is `a[0]`; a name that begins with a digit must stand in backticks".into()
            }
            Token::Star => "all columns of the row are `*`, without a name before it".into(),
            _ => hint.into(),
        });
        Err(self.fail(problem))
    }

    pub(super) fn index(&mut self, base: Node) -> Read<Node> {
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
    pub(super) fn index_inside(&mut self) -> Read<(Option<Node>, Option<Node>, bool)> {
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
    pub(super) fn call_of_value(&mut self, node: &Node) -> Failed {
        let here = self.span();
        let problem = match &node.expr.kind {
            ExprKind::String { .. } => {
                Diagnostic::error("V0001", here, "a string cannot be called").hint("a function's name has no quotes")
            }
            _ => Diagnostic::error("V0001", here, "only a name can be called")
                .label(node.expr.span, "this is a value")
                .hint("a function of your own is `LET f(x) = …`, called as `f(x=1)`"),
        };
        self.fail(problem)
    }

    pub(super) fn primary(&mut self) -> Read<Node> {
        if self.peek().is_keyword() {
            self.keyword_operand();
        }
        let span = self.span();
        match self.peek() {
            Token::Number => self.number(span),
            Token::String | Token::Raw => self.string(),
            Token::Name
                if self.at_word("CASE") && begins_operand(self.peek_at(1)) && self.peek_at(1) != Token::LeftParen =>
            {
                self.case()
            }
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

    /// `CASE WHEN a THEN b END`
    #[cold]
    fn case(&mut self) -> Read<Node> {
        let start = self.span();
        self.report(
            Diagnostic::error("V0013", start, "VQL has no `CASE`")
                .hint("write `if(condition=a, then=b, else=c)`, one inside the other where there are more cases"),
        );
        while !self.at_word("END") && !self.ends_columns() {
            self.advance();
        }
        if self.at_word("END") {
            self.advance();
        }
        let span = start.to(self.before());
        self.make(ExprKind::Null, span, 0)
    }

    pub(super) fn word_value(&mut self, kind: ExprKind) -> Read<Node> {
        let span = self.advance();
        self.make(kind, span, 0)
    }

    /// Something stands where a value should.
    #[cold]
    pub(super) fn no_operand(&mut self) -> Failed {
        let here = self.span();
        let found = self.found();
        let token = self.peek();
        let before = if self.at > 0 { self.tokens[self.at - 1].token } else { Token::End };
        let hint: Option<String> = match token {
            Token::Bad => return Failed,
            Token::Select | Token::Explain => {
                return self.fail(
                    Diagnostic::error("V0021", here, "a query inside an expression must stand in braces")
                        .hint("write `{ SELECT … }`"),
                );
            }
            Token::Star => {
                Some("`*` alone stands for all columns, in a select list; `count()` counts without it".into())
            }
            Token::Desc | Token::Limit | Token::As | Token::Where | Token::GroupBy | Token::OrderBy
                if !self.ends_expression() || matches!(self.peek_at(1), Token::Comma | Token::From | Token::Eq) =>
            {
                Some(format!("`{0}` is a keyword: a column of that name must stand in backticks, `{0}`", self.word()))
            }
            Token::Slash if matches!(before, Token::Match | Token::NotMatch) => {
                Some("a regular expression is a string: `=~ 'abc'`".into())
            }
            Token::Dot => Some("a number below one is written `0.5`".into()),
            Token::Plus if before == Token::Plus => {
                Some("VQL has no `++`: write `x + 1`; nothing changes a variable".into())
            }
            Token::Plus => Some("VQL has no plus sign before a value: delete it".into()),
            Token::Arrow => Some("a lambda must stand in quotes, as an argument: func=\"x => x + 1\"".into()),
            Token::And | Token::Or | Token::In | Token::Pipes | Token::Ampersands => {
                Some("this operator needs a value on both sides".into())
            }
            _ if self.is_operator(token) && self.is_operator(before) => {
                Some("two operators follow each other: delete one".into())
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
                Diagnostic::error("V0002", gap, format!("`{sign}` has nothing on its right: found {found}"))
                    .hint("add the value to compare or compute with"),
            );
        }
        let mut problem = Diagnostic::error("V0001", here, format!("expected a value, found {found}"));
        problem.hint = hint.or_else(|| {
            Some("a value is a name, a number, a string in quotes, a call `f(a=1)`, or something in parentheses".into())
        });
        if token == Token::End {
            return self.fail(Diagnostic { span: gap, code: "V0002", ..problem });
        }
        self.fail(problem)
    }

    /// `(a)`, `(a,)`, `(a, b)`
    pub(super) fn round(&mut self) -> Read<Node> {
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
    pub(super) fn square(&mut self) -> Read<Node> {
        let start = self.span();
        let inside = self.bracketed(Token::RightSquare, "the array", Self::items)?;
        self.sequence(start, inside, Bracket::Square)
    }

    pub(super) fn sequence(
        &mut self,
        start: Span,
        inside: Option<(Vec<Arc<Expr>>, bool, usize)>,
        bracket: Bracket,
    ) -> Read<Node> {
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
    pub(super) fn items(&mut self) -> Read<(Vec<Arc<Expr>>, bool, usize)> {
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
    pub(super) fn bare_query(&mut self) -> Failed {
        let here = self.span();
        let listed = self.at >= 2 && self.tokens[self.at - 2].token == Token::In;
        self.report(Diagnostic::error("V0021", here, "a query inside an expression must stand in braces").hint(
            if listed {
                "name the query and take its column: `LET q = SELECT Pid FROM …`, then `Pid IN q.Pid`"
            } else {
                "write `{ SELECT … }`"
            },
        ));
        self.read_bare_query()
    }

    /// `{ SELECT … }`
    pub(super) fn braced(&mut self) -> Read<Node> {
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
            let problem = Diagnostic::error("V0021", here, format!("expected SELECT after `{{`, found {found}"));
            if p.peek() == Token::Let {
                p.report(
                    problem.hint("LET belongs at the top of a script, not in braces: move it before the statement"),
                );
                while p.peek() == Token::Let {
                    p.binding()?;
                }
                if p.peek() == Token::Select {
                    return p.select();
                }
                return Err(Failed);
            }
            Err(p.fail(problem.hint("braces hold a query, `{ SELECT … }`; a dict is `dict(a=1)`, an array `[1, 2]`")))
        })?;
        let span = start.to(self.before());
        match inside {
            Some(select) => self.make(ExprKind::SubSelect(select.it), span, select.height),
            None => self.make(ExprKind::Null, span, 0),
        }
    }

    pub(super) fn args(&mut self, callee: &str) -> Read<Tall<Vec<Arg>>> {
        let args = self.bracketed(Token::RightParen, "the arguments", |p| p.args_inside(callee))?;
        Ok(args.unwrap_or(Tall { it: Vec::new(), height: 0 }))
    }

    pub(super) fn args_inside(&mut self, callee: &str) -> Read<Tall<Vec<Arg>>> {
        let mut args = Vec::new();
        let mut height = 0;
        let mut unnamed = false;
        while self.peek() != Token::RightParen {
            let forgotten = self.ends_columns() && !matches!(self.peek(), Token::Select | Token::Explain);
            if forgotten && self.peek_at(1) != Token::Eq {
                break;
            }
            let named = (matches!(self.peek(), Token::Name | Token::Quoted) || self.peek().is_word())
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
                        && (begins_operand(token) || (token.is_word() && self.peek_at(1) == Token::Eq)) =>
                {
                    unnamed |= self.missing_comma();
                }
                _ => break,
            }
        }
        Ok(Tall { it: args, height })
    }

    pub(super) fn arg(&mut self) -> Read<Tall<Arg>> {
        let name = self.ident();
        if self.peek() == Token::Colon {
            let here = self.span();
            self.report(
                Diagnostic::error("V0001", here, format!("expected `=` after `{}`, found `:`", clip(&name.name)))
                    .hint(format!("write `{}=…`", clip(&name.name))),
            );
        }
        self.advance();
        let value = self.value(&name)?;
        Ok(Tall { it: Arg { name, value: value.it }, height: value.height })
    }

    /// The value of an argument, or a parameter's default.
    pub(super) fn value(&mut self, name: &Ident) -> Read<Tall<ArgValue>> {
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
    pub(super) fn query_without_braces(&mut self, name: &Ident) -> Failed {
        let here = self.span();
        self.report(
            Diagnostic::error("V0021", here, format!("the query for `{}` must stand in braces", clip(&name.name)))
                .hint(format!("write `{}={{ SELECT … }}`", clip(&name.name))),
        );
        self.read_bare_query()
    }

    /// Reads a query that lacks its braces all the same, for what may be wrong inside.
    pub(super) fn read_bare_query(&mut self) -> Failed {
        let outer = std::mem::replace(&mut self.bare, true);
        let _ = self.select();
        self.bare = outer;
        Failed
    }

    #[cold]
    pub(super) fn lambda_without_quotes(&mut self, name: &Ident, param: Span) -> Failed {
        let here = self.span();
        self.fail(Diagnostic::error("V0001", here, "a lambda must stand in quotes").hint(format!(
            "write `{}=\"{} => …\"`",
            clip(&name.name),
            clip(&self.text[param.range()])
        )))
    }

    #[cold]
    pub(super) fn unnamed_arg(&mut self, callee: &str, unnamed: &mut bool) -> Read<()> {
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
            let hint = match callee.to_ascii_uppercase().as_str() {
                "EXISTS" => "a query is true when it gives a row: `if(condition={ SELECT … }, then=…)`, or `LET q = SELECT …` and `WHERE q`".to_owned(),
                _ => format!("write `{callee}(query={{ SELECT … }})`, with the argument's name that `{callee}` takes"),
            };
            self.report(Diagnostic::error("V0021", start, "a query as an argument needs a name and braces").hint(hint));
            *unnamed = true;
            self.read_bare_query();
            return Ok(());
        }
        if self.peek() == Token::Comma {
            self.report(
                Diagnostic::error("V0012", start, "a comma too many").hint("delete it, or add `name=value` before it"),
            );
            // The caller takes the comma.
            return Ok(());
        }
        if matches!(self.peek(), Token::String | Token::Raw) && matches!(self.peek_at(1), Token::Eq | Token::Colon) {
            let name = self.word().trim_matches(['\'', '"']);
            self.report(
                Diagnostic::error("V0011", start, "an argument's name has no quotes")
                    .hint(format!("write `{}=…`", clip(name))),
            );
            self.advance();
            self.advance();
            return self.expr(0).map(|_| ());
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
            if callee.eq_ignore_ascii_case("CAST") && self.peek() == Token::As {
                self.report(
                    Diagnostic::error("V0013", start, format!("VQL has no `{callee}`")).hint(format!(
                        "`int(int={shown})` makes a whole number, `str(str={shown})` text, `timestamp(epoch={shown})` a time"
                    )),
                );
                return Err(Failed);
            }
            self.report(
                Diagnostic::error("V0011", node.expr.span, format!("the arguments of `{callee}` must be named"))
                    .label(node.expr.span, "which argument is this?")
                    .hint(format!("write `name={shown}`, with the name of an argument that `{callee}` takes")),
            );
        }
        Ok(())
    }

    /// True where what follows has no name: it is then part of the same mistake.
    #[cold]
    pub(super) fn missing_comma(&mut self) -> bool {
        let here = self.span();
        let before = self.tokens[self.at - 1].token;
        if matches!(before, Token::String | Token::Raw)
            && self.peek() == Token::String
            && self.before().end == here.start
        {
            self.report(
                Diagnostic::error("V0012", here, "two strings side by side")
                    .hint("inside a string a quote is written \\', or the other kind of quotes is used around it"),
            );
            self.advance();
            return true;
        }
        let found = self.found();
        self.report(
            Diagnostic::error("V0012", here, format!("a comma is missing before {found}"))
                .hint("arguments are separated by commas: `f(a=1, b=2)`"),
        );
        self.peek_at(1) != Token::Eq
    }

    pub(super) fn number(&mut self, start: Span) -> Read<Node> {
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

    pub(super) fn string(&mut self) -> Read<Node> {
        let raw = self.peek() == Token::Raw;
        let span = self.advance();
        let text = &self.text[span.range()];
        let (value, quote): (Vec<u8>, Quote) = if raw {
            (text.as_bytes()[3..text.len() - 3].to_vec(), Quote::Raw)
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
                Diagnostic::error("V0012", here, "two strings side by side")
                    .hint("inside a string a quote is written \\', or the other kind of quotes is used around it"),
            );
            self.advance();
        }
        Ok(Node { expr: Arc::new(Expr { kind, span, written }), height: 1 })
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
