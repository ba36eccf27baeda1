//! What may stand at the cursor of a text that is being typed: for a shell and for an editor.
//!
//! Such a text seldom parses, so this goes by its words alone: those before the cursor say in which clause, call or
//! bracket it stands, those behind it which plugin a select list belongs to.

use std::collections::HashMap;

use crate::plugin::{ArgKind, ArgSpec, Registry, Signature};
use crate::syntax::ast::{Arg, ArgValue, Column, Expr, ExprKind, LetBody, Script, Select, Span, Statement};
use crate::syntax::lexer::{self, Lexeme, Token};

/// What is known where the text is typed.
#[derive(Debug)]
pub struct Vocabulary<'v> {
    pub registry: &'v Registry,
    /// What the text may use besides its own LETs: those of a session, the parameters of an artifact.
    pub variables: Vec<Variable>,
    /// The artifacts that may be called, each with a line about it.
    pub artifacts: Vec<(String, String)>,
    /// The columns that a plugin was seen to give, by its name.
    pub columns: HashMap<String, Vec<String>>,
}

impl<'v> Vocabulary<'v> {
    /// What the registry alone says.
    pub fn new(registry: &'v Registry) -> Self {
        Self { registry, variables: Vec::new(), artifacts: Vec::new(), columns: HashMap::new() }
    }
}

/// A name that stands for a value or a query.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Variable {
    pub name: String,
    /// Those of a parametrized LET.
    pub params: Option<Vec<String>>,
    /// Where it is a query: the columns of its rows, as far as its text shows.
    pub columns: Vec<String>,
    /// A line about it.
    pub doc: String,
}

/// What may stand at the cursor.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Completion {
    /// The part of the text, up to the cursor, that a candidate replaces; empty where nothing is typed yet.
    pub span: Span,
    /// Likely ones first.
    pub candidates: Vec<Candidate>,
    /// The plugin or function whose arguments are being written, and those that are still free.
    pub call: Option<Call>,
}

#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Candidate {
    /// What to put in place of the span: `pslist()`, `glob(`, `globs=`, `ORDER BY`.
    pub text: String,
    pub kind: Kind,
    /// A line about it; may be empty.
    pub doc: String,
}

#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Kind {
    Argument,
    Column,
    Variable,
    Plugin,
    Artifact,
    Function,
    Keyword,
}

impl Kind {
    /// A word for a style sheet.
    pub fn as_str(self) -> &'static str {
        match self {
            Kind::Argument => "argument",
            Kind::Column => "column",
            Kind::Variable => "variable",
            Kind::Plugin => "plugin",
            Kind::Artifact => "artifact",
            Kind::Function => "function",
            Kind::Keyword => "keyword",
        }
    }
}

/// A call whose parentheses hold the cursor.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Call {
    pub name: String,
    /// The arguments that are not written yet, required ones first, such as `globs=`.
    pub free: Vec<String>,
    /// The cursor is where an argument's name may begin.
    pub at_name: bool,
}

/// What may stand at `cursor`, a byte offset into `text`. A text that is broken gives what can be guessed, one that is
/// too long to be read nothing.
pub fn complete(text: &str, cursor: usize, words: &Vocabulary<'_>) -> Completion {
    let cursor = floor_boundary(text, cursor);
    let here = Span::new(cursor, cursor);
    let nothing = Completion { span: here, ..Completion::default() };
    let before = lexer::lex(&text[..cursor]);
    let in_comment =
        before.comments.last().is_some_and(|c| !text[c.start as usize..cursor].contains(['\n']) && is_line(text, *c));
    if text.len() > crate::syntax::MAX_TEXT || before.cut || in_comment {
        return nothing;
    }
    let mut tokens = before.tokens;
    tokens.pop();
    // The word that is being typed is no context.
    let typed = tokens.last().copied().filter(|t| t.span.end as usize == cursor && is_word(t.token));
    if typed.is_some() {
        tokens.pop();
    }
    // What goes on from here is no word.
    let bound = tokens.last().is_some_and(|t| {
        t.span.end as usize == cursor && matches!(t.token, Token::Number | Token::String | Token::Raw | Token::Quoted)
    });
    let span = typed.map_or(here, |t| t.span);
    let behind = lexer::lex(&text[cursor..]).tokens;
    let mut place = Place { text, words, tokens, behind: &text[cursor..], behind_tokens: behind, levels: Vec::new() };
    place.walk();
    let prefix = &text[span.range()];
    let mut found = if bound { nothing } else { place.candidates(prefix, span) };
    found.call = place.call();
    found
}

/// The columns of a query as far as its text shows them; `known` gives those of what it reads from, by name.
pub fn columns_of(select: &Select, known: &dyn Fn(&str) -> Vec<String>) -> Vec<String> {
    let mut columns = Columns::default();
    for column in &select.columns {
        match column {
            Column::Star(_) => {
                let path = select.from.path.iter().map(|part| &*part.name).collect::<Vec<_>>().join(".");
                known(&path).into_iter().for_each(|name| columns.add(name));
            }
            Column::Expr { alias: Some(alias), .. } => columns.add(alias.name.to_string()),
            Column::Expr { expr, alias: None } => columns.add(crate::syntax::canonical(expr)),
        }
    }
    columns.names
}

/// The variables that the LETs of a script make; `known` gives the columns of what they read from, by name.
pub fn variables_of(script: &Script, known: &dyn Fn(&str) -> Vec<String>) -> Vec<Variable> {
    let definitions = script.statements.iter().filter_map(|statement| match statement {
        Statement::Let(definition) => Some(definition),
        Statement::Select(_) => None,
    });
    let variable = |definition: &crate::syntax::ast::Let| Variable {
        name: definition.name.name.to_string(),
        params: definition.params.as_ref().map(|params| params.iter().map(|p| p.name.name.to_string()).collect()),
        columns: match &definition.body {
            LetBody::Select(select) => columns_of(select, known),
            LetBody::Expr(_) => Vec::new(),
        },
        doc: match &definition.body {
            LetBody::Select(select) => crate::syntax::canonical_select(select),
            LetBody::Expr(expr) => crate::syntax::canonical(expr),
        },
    };
    definitions.map(variable).collect()
}

/// How a plugin or function is called, in one line: required arguments bare, others in brackets.
pub fn usage(signature: &Signature) -> String {
    let mut parts: Vec<String> = ordered(signature)
        .map(|arg| if arg.required { format!("{}=", arg.name) } else { format!("[{}=]", arg.name) })
        .collect();
    if signature.open {
        parts.push("[any=]".to_owned());
    }
    format!("{}({})", signature.name, parts.join(", "))
}

/// The kind of an argument in words, such as `text, one or more, required`.
pub fn kind_of(arg: &ArgSpec) -> String {
    let kind = match arg.kind {
        ArgKind::Any => "any value",
        ArgKind::String => "text",
        ArgKind::Int => "whole number",
        ArgKind::Float => "number",
        ArgKind::Bool => "TRUE or FALSE",
        ArgKind::Time => "time",
        ArgKind::Dict => "dict",
        ArgKind::Path => "path",
        ArgKind::Query => "query in braces",
        ArgKind::Lazy => "expression",
        ArgKind::Lambda => "lambda in quotes",
    };
    let repeated = if arg.repeated { ", one or more" } else { "" };
    let required = if arg.required { ", required" } else { "" };
    format!("{kind}{repeated}{required}")
}

fn ordered(signature: &Signature) -> impl Iterator<Item = &'static ArgSpec> {
    let required = signature.args.iter().filter(|arg| arg.required);
    required.chain(signature.args.iter().filter(|arg| !arg.required))
}

fn floor_boundary(text: &str, cursor: usize) -> usize {
    let mut at = cursor.min(text.len());
    while !text.is_char_boundary(at) {
        at -= 1;
    }
    at
}

fn is_line(text: &str, comment: Span) -> bool {
    !text[comment.range()].starts_with("/*")
}

/// Letters that may be the beginning of a longer word.
fn is_word(token: Token) -> bool {
    token == Token::Name || token.is_keyword()
}

fn is_name(token: Token) -> bool {
    matches!(token, Token::Name | Token::Quoted)
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Clause {
    /// A statement begins.
    Start,
    Columns,
    From,
    /// Behind the plugin.
    Source,
    Where,
    GroupBy,
    OrderBy,
    Limit,
    LetName,
    LetNamed,
    LetBody,
    /// Inside of brackets that belong to an expression.
    Inside,
}

/// What an open bracket is.
#[derive(Debug)]
enum Open {
    Script,
    Brace,
    /// `(` or `[` in an expression.
    Bracket(Token),
    Params,
    Call {
        name: String,
        plugin: bool,
        seen: Vec<String>,
        /// Behind the `=` of the last argument.
        in_value: bool,
        /// What the arguments read from: the token of a SELECT, or a variable.
        queries: Vec<(String, Reads)>,
    },
}

#[derive(Clone, Debug)]
enum Reads {
    Select(usize),
    Variable(String),
}

#[derive(Debug)]
struct Level {
    open: Open,
    clause: Clause,
    /// The plugin behind FROM, and the first token of its name.
    source: Option<(String, usize)>,
}

impl Level {
    fn new(open: Open, clause: Clause) -> Self {
        Self { open, clause, source: None }
    }

    fn selects(&self) -> bool {
        matches!(
            self.clause,
            Clause::Columns
                | Clause::From
                | Clause::Source
                | Clause::Where
                | Clause::GroupBy
                | Clause::OrderBy
                | Clause::Limit
        )
    }
}

/// Names in the order in which they were seen.
#[derive(Default)]
struct Columns {
    names: Vec<String>,
}

impl Columns {
    fn add(&mut self, name: String) {
        // A table of thousands of columns is nothing to choose from.
        if self.names.len() < 200 && !self.names.contains(&name) {
            self.names.push(name);
        }
    }
}

/// How far the columns of a query of a query of … are followed.
const DEEPEST: usize = 8;

struct Place<'t> {
    text: &'t str,
    words: &'t Vocabulary<'t>,
    /// Before the word that is being typed.
    tokens: Vec<Lexeme>,
    behind: &'t str,
    /// Behind the cursor; their places count from there.
    behind_tokens: Vec<Lexeme>,
    /// The open brackets, outermost first; never empty after the walk.
    levels: Vec<Level>,
}

impl Place<'_> {
    fn word(&self, at: usize) -> &str {
        let lexeme = &self.tokens[at];
        let text = &self.text[lexeme.span.range()];
        if lexeme.token == Token::Quoted { text.trim_matches('`') } else { text }
    }

    fn token(&self, at: usize) -> Token {
        self.tokens.get(at).map_or(Token::End, |t| t.token)
    }

    fn last(&self) -> Token {
        self.tokens.last().map_or(Token::End, |t| t.token)
    }

    /// Reads the words before the cursor, to know what is open there.
    fn walk(&mut self) {
        self.levels = vec![Level::new(Open::Script, Clause::Start)];
        for at in 0..self.tokens.len() {
            self.step(at);
        }
    }

    fn step(&mut self, at: usize) {
        let token = self.token(at);
        let before = if at == 0 { Token::End } else { self.token(at - 1) };
        let next = self.token(at + 1);
        let named = before == Token::Dot
            || next == Token::Eq && matches!(before, Token::LeftParen | Token::Comma) && self.in_call();
        if token == Token::Let && !named {
            // A LET stands at the top: what is open before it was forgotten.
            self.levels.truncate(1);
        }
        let Some(level) = self.levels.last_mut() else { return };
        match token {
            Token::Name | Token::Quoted => self.name(at, before, next),
            token if token.is_word() && named => self.name(at, before, next),
            Token::Select => (level.clause, level.source) = (Clause::Columns, None),
            Token::Explain => level.clause = Clause::Start,
            Token::From => level.clause = Clause::From,
            Token::Where => level.clause = Clause::Where,
            Token::GroupBy => level.clause = Clause::GroupBy,
            Token::OrderBy => level.clause = Clause::OrderBy,
            Token::Limit => level.clause = Clause::Limit,
            Token::Let => level.clause = Clause::LetName,
            Token::Eq | Token::Le if level.clause == Clause::LetNamed => level.clause = Clause::LetBody,
            Token::Eq => {
                let name = if at == 0 { String::new() } else { self.word(at - 1).to_owned() };
                if let Some(Level { open: Open::Call { seen, in_value, .. }, .. }) = self.levels.last_mut()
                    && !*in_value
                {
                    seen.push(name);
                    *in_value = true;
                }
            }
            Token::Comma => {
                if let Open::Call { in_value, .. } = &mut level.open {
                    *in_value = false;
                }
            }
            Token::LeftParen => self.parenthesis(at, before),
            Token::LeftSquare => {
                self.levels.push(Level::new(Open::Bracket(Token::RightSquare), Clause::Inside));
            }
            Token::LeftBrace => {
                if let Open::Call { seen, queries, in_value: true, .. } = &mut level.open
                    && let Some(arg) = seen.last()
                {
                    queries.push((arg.clone(), Reads::Select(at + 1)));
                }
                self.levels.push(Level::new(Open::Brace, Clause::Start));
            }
            Token::RightParen | Token::RightSquare | Token::RightBrace => self.close(token),
            _ => {}
        }
    }

    fn in_call(&self) -> bool {
        matches!(self.levels.last(), Some(Level { open: Open::Call { in_value: false, .. }, .. }))
    }

    fn name(&mut self, at: usize, before: Token, next: Token) {
        let word = self.word(at).to_owned();
        let Some(level) = self.levels.last_mut() else { return };
        match level.clause {
            Clause::LetName => level.clause = Clause::LetNamed,
            Clause::From => (level.clause, level.source) = (Clause::Source, Some((word, at))),
            Clause::Source if before == Token::Dot => {
                if let Some((path, _)) = &mut level.source {
                    path.push('.');
                    path.push_str(&word);
                }
            }
            _ => {
                if let Open::Call { seen, queries, in_value: true, .. } = &mut level.open
                    && before == Token::Eq
                    && next != Token::LeftParen
                    && let Some(arg) = seen.last()
                {
                    queries.push((arg.clone(), Reads::Variable(word)));
                }
            }
        }
    }

    fn parenthesis(&mut self, at: usize, before: Token) {
        let Some(level) = self.levels.last() else { return };
        let called = is_name(before) || (before.is_word() && at >= 2 && self.token(at - 2) == Token::Dot);
        let (open, clause) = if level.clause == Clause::LetNamed {
            (Open::Params, Clause::Inside)
        } else if called {
            let plugin = level.clause == Clause::Source;
            let name = self.path_before(at).0;
            let call = Open::Call { name, plugin, seen: Vec::new(), in_value: false, queries: Vec::new() };
            (call, Clause::Inside)
        } else {
            (Open::Bracket(Token::RightParen), Clause::Inside)
        };
        self.levels.push(Level::new(open, clause));
    }

    /// The dotted name that ends before the token `end`, and its first token.
    fn path_before(&self, end: usize) -> (String, usize) {
        let mut start = end;
        let mut parts = Vec::new();
        while start > 0 && (is_name(self.token(start - 1)) || self.token(start - 1).is_word()) {
            parts.push(self.word(start - 1));
            start -= 1;
            if start == 0 || self.token(start - 1) != Token::Dot {
                break;
            }
            start -= 1;
        }
        parts.reverse();
        (parts.join("."), start)
    }

    fn close(&mut self, token: Token) {
        let matches = |level: &Level| match level.open {
            Open::Script => false,
            Open::Brace => token == Token::RightBrace,
            Open::Bracket(close) => token == close,
            Open::Params | Open::Call { .. } => token == Token::RightParen,
        };
        if let Some(at) = self.levels.iter().rposition(matches) {
            self.levels.truncate(at);
        }
    }

    fn candidates(&self, prefix: &str, span: Span) -> Completion {
        let mut list = List { prefix, paren: !self.behind.trim_start().starts_with('('), ..List::default() };
        let mut span = span;
        let Some(level) = self.levels.last() else { return Completion::default() };
        let last = self.last();
        if last == Token::Dot {
            let (path, start) = self.path_before(self.tokens.len() - 1);
            if path == "Artifact" || path.starts_with("Artifact.") {
                span.start = self.tokens[start].span.start;
                let typed = &self.text[span.range()];
                let mut list = List { prefix: typed, paren: list.paren, ..List::default() };
                self.artifacts(&mut list);
                return list.done(span);
            }
            self.columns_of_source(&path, 0).into_iter().for_each(|name| list.add(quoted(&name), Kind::Column, ""));
            return list.done(span);
        }
        match (&level.open, level.clause) {
            (Open::Call { name, plugin, seen, in_value: false, .. }, _) => {
                if matches!(last, Token::LeftParen | Token::Comma) {
                    self.arguments(&mut list, name, *plugin, seen);
                }
            }
            (Open::Params, _) => {
                if last == Token::Eq {
                    self.operand(&mut list);
                }
            }
            (_, Clause::Start) => {
                list.keywords(&["SELECT"]);
                if matches!(level.open, Open::Script) && last != Token::Explain {
                    list.keywords(&["LET"]);
                }
                if last != Token::Explain {
                    list.keywords(&["EXPLAIN"]);
                }
            }
            (_, Clause::LetName | Clause::LetNamed) => {}
            (_, Clause::From) => self.sources(&mut list),
            _ if self.operand_ended() => self.operators(&mut list, level),
            (_, clause) => {
                if clause == Clause::LetBody && matches!(last, Token::Eq | Token::Le) {
                    list.keywords(&["SELECT"]);
                }
                if let Open::Call { name, plugin, seen, .. } = &level.open
                    && last == Token::Eq
                    && let Some(arg) = self.signature(name, *plugin).and_then(|s| s.arg(seen.last()?))
                {
                    match arg.kind {
                        ArgKind::Query => list.add("{ SELECT".to_owned(), Kind::Keyword, "a query in braces"),
                        ArgKind::Bool => list.keywords(&["TRUE", "FALSE"]),
                        _ => {}
                    }
                }
                self.operand(&mut list);
            }
        }
        list.done(span)
    }

    /// Whether what stands before is a value, so that an operator or a clause may follow.
    fn operand_ended(&self) -> bool {
        let at = self.tokens.len();
        let before = |n: usize| if at < n { Token::End } else { self.token(at - n) };
        match before(1) {
            Token::Name
            | Token::Quoted
            | Token::Number
            | Token::String
            | Token::Raw
            | Token::Null
            | Token::True
            | Token::False
            | Token::Desc
            | Token::RightParen
            | Token::RightSquare
            | Token::RightBrace => true,
            Token::Star => matches!(before(2), Token::Select | Token::Comma),
            token => token.is_word() && before(2) == Token::Dot,
        }
    }

    fn operators(&self, list: &mut List<'_>, level: &Level) {
        let last = self.tokens.len().checked_sub(1);
        let half = last.map_or("", |at| self.word(at));
        if half.eq_ignore_ascii_case("GROUP") || half.eq_ignore_ascii_case("ORDER") {
            list.keywords(&["BY"]);
        }
        let compare: &[&str] = &["AND", "OR", "IN"];
        let top = matches!(level.open, Open::Script);
        match level.clause {
            Clause::Columns => {
                // Behind an alias, and behind `*`, no operator follows.
                let named = self.tokens.len() >= 2 && self.token(self.tokens.len() - 2) == Token::As;
                let star = self.last() == Token::Star;
                list.keywords(&["FROM"]);
                if !named && !star {
                    list.keywords(&["AS"]);
                    list.keywords(compare);
                }
                return;
            }
            Clause::Source => list.keywords(&["WHERE", "GROUP BY", "ORDER BY", "LIMIT"]),
            Clause::Where => {
                list.keywords(compare);
                list.keywords(&["GROUP BY", "ORDER BY", "LIMIT"]);
            }
            Clause::GroupBy => list.keywords(&["ORDER BY", "LIMIT"]),
            Clause::OrderBy => list.keywords(&["DESC", "ASC", "LIMIT"]),
            Clause::LetBody | Clause::Inside => list.keywords(compare),
            _ => {}
        }
        if top {
            list.keywords(&["SELECT", "LET", "EXPLAIN"]);
        }
    }

    fn arguments(&self, list: &mut List<'_>, name: &str, plugin: bool, seen: &[String]) {
        let equals = if self.behind.trim_start().starts_with('=') { "" } else { "=" };
        if let Some(signature) = self.signature(name, plugin) {
            for arg in ordered(signature).filter(|arg| !seen.iter().any(|s| s == arg.name)) {
                let doc = format!("{}. {}", kind_of(arg), arg.doc);
                list.add(format!("{}{equals}", arg.name), Kind::Argument, &doc);
            }
        } else if let Some(Variable { params: Some(params), .. }) = self.variable(name) {
            for param in params.iter().filter(|p| !seen.contains(p)) {
                list.add(format!("{param}{equals}"), Kind::Argument, "");
            }
        }
    }

    fn signature(&self, name: &str, plugin: bool) -> Option<&'static Signature> {
        let registry = self.words.registry;
        if plugin {
            registry.plugin(name).map(|p| p.signature())
        } else {
            registry.function(name).map(|f| f.signature())
        }
    }

    fn sources(&self, list: &mut List<'_>) {
        for variable in self.variables() {
            list.call(&variable.name, variable.params.as_ref().map(Vec::len), Kind::Variable, &variable.doc);
        }
        for signature in sorted(self.words.registry.plugin_signatures()) {
            let takes = if signature.open { usize::MAX } else { signature.args.len() };
            list.call(signature.name, Some(takes), Kind::Plugin, first_line(signature.doc));
        }
        if list.prefix.is_empty() || "Artifact".to_lowercase().starts_with(&list.prefix.to_lowercase()) {
            self.artifacts(list);
        }
    }

    fn artifacts(&self, list: &mut List<'_>) {
        for (name, doc) in &self.words.artifacts {
            list.call(&format!("Artifact.{name}"), Some(usize::MAX), Kind::Artifact, first_line(doc));
        }
    }

    fn operand(&self, list: &mut List<'_>) {
        for name in self.columns_here() {
            list.add(quoted(&name), Kind::Column, "");
        }
        for variable in self.variables() {
            list.call(&variable.name, variable.params.as_ref().map(Vec::len), Kind::Variable, &variable.doc);
        }
        for signature in sorted(self.words.registry.function_signatures()) {
            let takes = if signature.open { usize::MAX } else { signature.args.len() };
            list.call(signature.name, Some(takes), Kind::Function, first_line(signature.doc));
        }
        list.keywords(&["NOT", "NULL", "TRUE", "FALSE"]);
    }

    /// The text's own, then those that came with it; the last of a name counts.
    fn variables(&self) -> Vec<Variable> {
        let mut all: Vec<Variable> = Vec::new();
        for at in 0..self.tokens.len() {
            if self.token(at) == Token::Let && is_name(self.token(at + 1)) {
                let name = self.word(at + 1).to_owned();
                // The one that is being defined is no value yet.
                if matches!(self.token(at + 2), Token::End) {
                    continue;
                }
                let params = (self.token(at + 2) == Token::LeftParen).then(|| self.params(at + 3));
                all.retain(|v| v.name != name);
                all.push(Variable { name, params, ..Variable::default() });
            }
        }
        for variable in &self.words.variables {
            if !all.iter().any(|v| v.name == variable.name) {
                all.push(variable.clone());
            }
        }
        all
    }

    fn variable(&self, name: &str) -> Option<Variable> {
        self.variables().into_iter().find(|v| v.name == name)
    }

    fn params(&self, mut at: usize) -> Vec<String> {
        let mut params = Vec::new();
        let mut depth = 0usize;
        loop {
            match self.token(at) {
                Token::End => break,
                Token::RightParen | Token::RightSquare | Token::RightBrace if depth == 0 => break,
                Token::LeftParen | Token::LeftSquare | Token::LeftBrace => depth += 1,
                Token::RightParen | Token::RightSquare | Token::RightBrace => depth -= 1,
                token
                    if depth == 0
                        && (is_name(token) || token.is_word())
                        && matches!(self.token(at - 1), Token::LeftParen | Token::Comma) =>
                {
                    params.push(self.word(at).to_owned());
                }
                _ => {}
            }
            at += 1;
        }
        params
    }

    /// The columns that can be seen from the cursor, innermost first.
    fn columns_here(&self) -> Vec<String> {
        let mut columns = Columns::default();
        for (depth, level) in self.levels.iter().enumerate().rev() {
            if level.selects() {
                let found = match &level.source {
                    Some((_, at)) => self.columns_at(*at, 0),
                    None => match self.source_behind(self.levels.len() - 1 - depth) {
                        Some(path) => self.columns_of_source(&path, 0),
                        None => Vec::new(),
                    },
                };
                found.into_iter().for_each(|name| columns.add(name));
            }
            // In `foreach(row={ … }, query={ | })` the columns of the other query.
            if let Open::Call { queries, seen, .. } = &level.open {
                for (arg, reads) in queries {
                    if seen.last() == Some(arg) {
                        continue;
                    }
                    let found = match reads {
                        Reads::Select(at) => self.columns_of_select(*at, 0),
                        Reads::Variable(name) => self.columns_of_source(name, 0),
                    };
                    found.into_iter().for_each(|name| columns.add(name));
                }
            }
        }
        columns.names
    }

    /// What stands behind FROM behind the cursor, `up` brackets further out.
    fn source_behind(&self, up: usize) -> Option<String> {
        let mut depth = i64::try_from(up).ok()?;
        let tokens = &self.behind_tokens;
        for (i, lexeme) in tokens.iter().enumerate() {
            match lexeme.token {
                Token::LeftParen | Token::LeftSquare | Token::LeftBrace => depth += 1,
                Token::RightParen | Token::RightSquare | Token::RightBrace => depth -= 1,
                Token::Let => return None,
                Token::Select if depth == 0 => return None,
                Token::From if depth == 0 => {
                    let mut path = String::new();
                    for part in &tokens[i + 1..] {
                        match part.token {
                            Token::Dot => path.push('.'),
                            token if is_name(token) || (token.is_word() && path.ends_with('.')) => {
                                if !path.is_empty() && !path.ends_with('.') {
                                    break;
                                }
                                path.push_str(self.behind[part.span.range()].trim_matches('`'));
                            }
                            _ => break,
                        }
                    }
                    return (!path.is_empty()).then_some(path);
                }
                _ => {}
            }
            if depth < 0 {
                return None;
            }
        }
        None
    }

    /// The columns of the source whose name begins at token `at`, with a look at its arguments.
    fn columns_at(&self, at: usize, depth: usize) -> Vec<String> {
        let mut end = at + 1;
        while self.token(end) == Token::Dot {
            end += 2;
        }
        let (path, _) = self.path_before(end);
        if self.token(end) == Token::LeftParen && depth < DEEPEST && path_passes_rows(&path) {
            // The query that gives the rows is the last argument that is one: `query=`, `then=`, `b=`.
            let mut found = None;
            let mut open = 0usize;
            for i in end..self.tokens.len() {
                match self.token(i) {
                    Token::LeftBrace if open == 1 => {
                        found = Some(i + 1);
                        open += 1;
                    }
                    Token::LeftParen | Token::LeftSquare | Token::LeftBrace => open += 1,
                    Token::RightParen | Token::RightSquare | Token::RightBrace => {
                        open -= 1;
                        if open == 0 {
                            break;
                        }
                    }
                    _ => {}
                }
            }
            if let Some(select) = found {
                return self.columns_of_select(select, depth + 1);
            }
        }
        self.columns_of_source(&path, depth)
    }

    /// The columns of the query whose SELECT is token `at`, or an EXPLAIN before it.
    fn columns_of_select(&self, at: usize, depth: usize) -> Vec<String> {
        let mut columns = Columns::default();
        let mut at = if self.token(at) == Token::Explain { at + 1 } else { at };
        if self.token(at) != Token::Select || depth > DEEPEST {
            return Vec::new();
        }
        at += 1;
        let (mut open, mut item, mut star) = (0usize, at, false);
        loop {
            let token = self.token(at);
            let ends = open == 0 && matches!(token, Token::Comma | Token::From | Token::RightBrace);
            if ends || token == Token::End || token == Token::Let {
                match (self.token(item), at - item) {
                    (Token::Star, 1) => star = true,
                    (token, 1) if is_name(token) => columns.add(self.word(item).to_owned()),
                    (_, length) if length >= 3 && self.token(at - 2) == Token::As => {
                        columns.add(self.word(at - 1).to_owned());
                    }
                    _ => {}
                }
                item = at + 1;
            }
            match token {
                Token::From if open == 0 => {
                    if star && is_name(self.token(at + 1)) {
                        self.columns_at(at + 1, depth + 1).into_iter().for_each(|name| columns.add(name));
                    }
                    break;
                }
                Token::End | Token::Let => break,
                Token::LeftParen | Token::LeftSquare | Token::LeftBrace => open += 1,
                Token::RightParen | Token::RightSquare | Token::RightBrace => {
                    if open == 0 {
                        break;
                    }
                    open -= 1;
                }
                _ => {}
            }
            at += 1;
        }
        columns.names
    }

    fn columns_of_source(&self, name: &str, depth: usize) -> Vec<String> {
        if depth > DEEPEST {
            return Vec::new();
        }
        let own = (0..self.tokens.len())
            .rev()
            .find(|at| self.token(*at) == Token::Let && is_name(self.token(at + 1)) && self.word(at + 1) == name);
        if let Some(at) = own {
            let mut body = at + 2;
            if self.token(body) == Token::LeftParen {
                while !matches!(self.token(body), Token::RightParen | Token::End) {
                    body += 1;
                }
                body += 1;
            }
            return self.columns_of_select(body + 1, depth + 1);
        }
        if let Some(variable) = self.words.variables.iter().find(|v| v.name == name) {
            return variable.columns.clone();
        }
        if let Some(seen) = self.words.columns.get(name) {
            return seen.clone();
        }
        match self.words.registry.plugin(name) {
            Some(plugin) => columns_in_examples(plugin.signature()),
            None => Vec::new(),
        }
    }

    /// The innermost call whose arguments are being written.
    fn call(&self) -> Option<Call> {
        let Some(Level { open: Open::Call { name, plugin, seen, in_value, .. }, .. }) = self.levels.last() else {
            return None;
        };
        let free = match self.signature(name, *plugin) {
            Some(signature) => ordered(signature).map(|arg| arg.name.to_owned()).collect(),
            None => self.variable(name)?.params?,
        };
        let free = free.into_iter().filter(|arg: &String| !seen.contains(arg)).map(|arg| arg + "=").collect();
        let at_name = !in_value && matches!(self.last(), Token::LeftParen | Token::Comma);
        Some(Call { name: name.clone(), free, at_name })
    }
}

/// Plugins that give the rows of a query that they take.
fn path_passes_rows(path: &str) -> bool {
    ["batch", "chain", "foreach", "if", "query", "sample", "switch"].contains(&path)
}

/// The columns that a plugin's examples read: not all, but those that people use.
fn columns_in_examples(signature: &Signature) -> Vec<String> {
    let mut columns = Columns::default();
    for example in signature.examples {
        let script = crate::syntax::parse(example).script;
        for statement in &script.statements {
            match statement {
                Statement::Select(select) => example_select(select, signature.name, &mut columns),
                Statement::Let(definition) => match &definition.body {
                    LetBody::Select(select) => example_select(select, signature.name, &mut columns),
                    LetBody::Expr(expr) => example_expr(expr, signature.name, false, &mut columns),
                },
            }
        }
    }
    columns.names
}

fn example_select(select: &Select, plugin: &str, columns: &mut Columns) {
    let reads = matches!(&select.from.path[..], [name] if *name.name == *plugin);
    for column in &select.columns {
        if let Column::Expr { expr, .. } = column {
            example_expr(expr, plugin, reads, columns);
        }
    }
    for expr in select.filter.iter().chain(&select.group_by) {
        example_expr(expr, plugin, reads, columns);
    }
    example_args(select.from.args.as_deref(), plugin, false, columns);
}

fn example_args(args: Option<&[Arg]>, plugin: &str, reads: bool, columns: &mut Columns) {
    for arg in args.unwrap_or_default() {
        match &arg.value {
            ArgValue::Expr(expr) => example_expr(expr, plugin, reads, columns),
            ArgValue::Select(select) => example_select(select, plugin, columns),
        }
    }
}

fn example_expr(expr: &Expr, plugin: &str, reads: bool, columns: &mut Columns) {
    let mut each = |expr: &Expr| example_expr(expr, plugin, reads, columns);
    match &expr.kind {
        ExprKind::Symbol { name, args: None } if reads => columns.add(name.name.to_string()),
        ExprKind::Symbol { args, .. } => example_args(args.as_deref(), plugin, reads, columns),
        ExprKind::Member { base, args, .. } => {
            each(base);
            example_args(args.as_deref(), plugin, reads, columns);
        }
        ExprKind::Index { base, index } => {
            each(base);
            each(index);
        }
        ExprKind::Slice { base, start, end } => {
            each(base);
            start.iter().chain(end).for_each(|part| each(part));
        }
        ExprKind::Negate(inner) | ExprKind::Not(inner) | ExprKind::Paren { inner, .. } => each(inner),
        ExprKind::Binary { left, right, .. } => {
            each(left);
            each(right);
        }
        ExprKind::Array { items, .. } => items.iter().for_each(|item| each(item)),
        ExprKind::SubSelect(select) => example_select(select, plugin, columns),
        _ => {}
    }
}

fn sorted(signatures: impl Iterator<Item = &'static Signature>) -> Vec<&'static Signature> {
    let mut all: Vec<_> = signatures.collect();
    all.sort_by_key(|signature| signature.name);
    all
}

fn first_line(doc: &str) -> &str {
    doc.lines().next().unwrap_or_default()
}

/// A name as it is written where a value stands.
fn quoted(name: &str) -> String {
    if lexer::is_bare(name) && lexer::keyword(name).is_none() { name.to_owned() } else { format!("`{name}`") }
}

/// Candidates that fit what is typed.
#[derive(Default)]
struct List<'p> {
    prefix: &'p str,
    /// Whether a name that is called gets its parenthesis.
    paren: bool,
    begins: Vec<Candidate>,
    /// Those that hold what is typed somewhere inside.
    holds: Vec<Candidate>,
}

impl List<'_> {
    fn add(&mut self, text: String, kind: Kind, doc: &str) {
        let fits = |part: &str| {
            let at = part.trim_start_matches('`').to_ascii_lowercase().find(&self.prefix.to_ascii_lowercase());
            at.map(|at| at == 0)
        };
        let list = match fits(&text) {
            Some(true) => &mut self.begins,
            // One letter is in everything.
            Some(false) if self.prefix.len() > 1 && kind != Kind::Keyword => &mut self.holds,
            _ => return,
        };
        if !list.iter().any(|c| c.text == text && c.kind == kind) {
            list.push(Candidate { text, kind, doc: doc.to_owned() });
        }
    }

    /// A name that is called when it takes arguments.
    fn call(&mut self, name: &str, takes: Option<usize>, kind: Kind, doc: &str) {
        let written = if kind == Kind::Artifact { name.to_owned() } else { quoted(name) };
        let text = match takes {
            Some(0) if self.paren => format!("{written}()"),
            Some(_) if self.paren => format!("{written}("),
            _ => written,
        };
        self.add(text, kind, doc);
    }

    fn keywords(&mut self, words: &[&str]) {
        for word in words {
            self.add((*word).to_owned(), Kind::Keyword, "");
        }
    }

    fn done(self, span: Span) -> Completion {
        let candidates = if self.begins.is_empty() { self.holds } else { self.begins };
        Completion { span, candidates, call: None }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use proptest::prelude::*;

    fn vocabulary(registry: &Registry) -> Vocabulary<'_> {
        let mut words = Vocabulary::new(registry);
        let script = crate::syntax::parse(
            "LET Procs = SELECT Pid, Name AS `The Name` FROM x LET Add(a, b=2) = a + b LET Limit5 = 5",
        );
        words.variables = variables_of(&script.script, &|_| Vec::new());
        words.artifacts =
            vec![("Linux.Sys.Users".into(), "Who may log in".into()), ("Linux.Sys.Pslist".into(), String::new())];
        words.columns.insert("range".into(), vec!["_value".into()]);
        words
    }

    /// The first few candidates at `|`, and the text that they replace.
    fn at(marked: &str) -> (String, Vec<String>) {
        let registry = Registry::core();
        let cursor = marked.find('|').unwrap();
        let text = marked.replacen('|', "", 1);
        let found = complete(&text, cursor, &vocabulary(&registry));
        assert!(found.span.end as usize == cursor);
        (text[found.span.range()].to_owned(), found.candidates.into_iter().map(|c| c.text).collect())
    }

    #[test]
    fn candidates_at_the_cursor() {
        let mut wrong = String::new();
        // `a b` are all, `a b …` the first.
        for (marked, replaced, expected) in [
            ("|", "", "SELECT LET EXPLAIN"),
            ("sel|", "sel", "SELECT"),
            ("EXPLAIN |", "", "SELECT"),
            ("SELECT * FROM ra|", "ra", "range("),
            ("SELECT * FROM Pro|", "Pro", "Procs"),
            ("SELECT * FROM rang|()", "rang", "range"),
            ("SELECT * FROM range(|", "", "end= start= step="),
            ("SELECT * FROM range(end=3, |", "", "start= step="),
            ("SELECT * FROM range(end=3, st|", "st", "start= step="),
            ("SELECT * FROM range(e|=3)", "e", "end"),
            ("SELECT * FROM range(end=3 |", "", "AND OR IN"),
            ("SELECT * FROM range(end=3) |", "", "WHERE GROUP BY ORDER BY LIMIT SELECT LET EXPLAIN"),
            ("SELECT * FROM range(end=3) wh|", "wh", "WHERE"),
            ("SELECT * FROM range(end=3) GROUP |", "", "BY …"),
            ("SELECT * FROM range(end=3) ORDER BY _value |", "", "DESC ASC LIMIT SELECT LET EXPLAIN"),
            ("SELECT | FROM range(end=3)", "", "_value …"),
            ("SELECT _v| FROM range(end=3)", "_v", "_value"),
            ("SELECT upc|", "upc", "upcase("),
            ("SELECT * |", "", "FROM"),
            ("SELECT _value |", "", "FROM AS AND OR IN"),
            ("SELECT _value AS V |", "", "FROM"),
            ("SELECT The| FROM Procs", "The", "`The Name`"),
            ("SELECT * FROM Procs WHERE P|", "P", "Pid Procs parse_ …"),
            ("SELECT * FROM Procs WHERE Pid |", "", "AND OR IN GROUP BY ORDER BY LIMIT SELECT LET EXPLAIN"),
            ("SELECT Add(|", "", "a= b="),
            ("SELECT Add(a=1, |", "", "b="),
            ("SELECT Procs.|", "", "Pid `The Name`"),
            ("LET |", "", ""),
            ("LET x = S|", "S", "SELECT …"),
            ("LET Mine = 5 SELECT Mi|", "Mi", "Mine min("),
            ("LET F(one, two=2) = 1 SELECT F(|", "", "one= two="),
            ("LET Q = SELECT A, B AS C FROM x SELECT | FROM Q", "", "A C Q Procs …"),
            ("LET Q = SELECT *, 1 AS C FROM Procs SELECT * FROM Q WHERE |", "", "C Pid `The Name` Q Procs …"),
            ("SELECT * FROM foreach(row={ SELECT Pid AS P1 FROM x }, query={ SELECT P1|", "P1", "P1"),
            ("SELECT * FROM foreach(row=Procs, query={ SELECT Pi|", "Pi", "Pid pipe("),
            ("SELECT * FROM foreach(row=Procs, query={ SELECT 1 AS New FROM scope() }) WHERE Ne|", "Ne", "New"),
            ("SELECT * FROM foreach(query=|", "", "{ SELECT …"),
            ("SELECT * FROM foreach(row={ |", "", "SELECT EXPLAIN"),
            ("SELECT * FROM Artifact.|", "Artifact.", "Artifact.Linux.Sys.Users( Artifact.Linux.Sys.Pslist("),
            ("SELECT * FROM artifact.linux.sys.u|", "u", ""),
            ("SELECT * FROM Artifact.Linux.Sys.U|", "Artifact.Linux.Sys.U", "Artifact.Linux.Sys.Users("),
            ("SELECT * FROM Arti|", "Arti", "Artifact.Linux.Sys.Users( Artifact.Linux.Sys.Pslist("),
            ("SELECT 'a |", "", ""),
            ("SELECT a -- no|", "", ""),
            ("SELECT a /* no|", "", ""),
            ("SELECT 12|", "", ""),
            ("SELECT a -- no\n|", "", "FROM AS AND OR IN"),
            // Broken texts.
            ("SELECT ) FROM ]] range(|", "", "end= start= step="),
            ("SELECT f(a=[1, {2 FROM range(|", "", "end= start= step="),
            ("SELECT (1 LET x = 5 SELECT * FROM rang|", "rang", "range("),
            ("FROM |", "", "Procs Add( Limit5 …"),
            ("$ @ SELECT * FROM range(en|", "en", "end="),
            ("SELECT é FROM range(end=1) WHERE _v|", "_v", "_value"),
        ] {
            let (span, found) = at(marked);
            let shown = found.join(" ");
            let as_expected = match expected.strip_suffix(" …") {
                Some(first) => shown.starts_with(first),
                None => shown == expected,
            };
            if !as_expected || span != replaced {
                wrong.push_str(&format!("{marked}\n    {span:?} {shown:.200}\n"));
            }
        }
        assert!(wrong.is_empty(), "\n{wrong}");
    }

    #[test]
    fn a_call_says_what_is_free() {
        let registry = Registry::core();
        let words = vocabulary(&registry);
        let call = |text: &str| complete(text, text.len(), &words).call.map(|c| (c.name, c.free.join(" "), c.at_name));
        assert_eq!(call("SELECT * FROM range("), Some(("range".into(), "end= start= step=".into(), true)));
        assert_eq!(call("SELECT * FROM range(end=5"), Some(("range".into(), "start= step=".into(), false)));
        assert_eq!(call("SELECT * FROM range(end=5)"), None);
    }

    #[test]
    fn examples_show_columns() {
        static SIGNATURE: Signature = Signature::new("files", "", &[]).examples(&[
            "SELECT Path, upcase(string=Name) AS Upper, Size / 2 FROM files() WHERE NOT IsDir",
            "SELECT * FROM foreach(row={ SELECT Mtime FROM files() }, query={ SELECT Other FROM scope() })",
        ]);
        assert_eq!(columns_in_examples(&SIGNATURE), ["Path", "Name", "Size", "IsDir", "Mtime"]);
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn no_text_is_too_broken(words in prop::collection::vec(prop::sample::select(vec![
            "SELECT", "FROM", "WHERE", "LET", "Procs", "range(", "(", ")", "{", "}", "[", "]", ",", "=", "<=", "*", "a.b", "Artifact.",
            "'s'", "'", "`q`", "`", "1", "-- x\n", "/*", "*/", "GROUP BY", "ORDER", "AS", "AND", "é", "“", "$", "foreach(row={", "query={", ".",
        ]), 0..30), cursor in 0usize..200) {
            let registry = Registry::core();
            let vocabulary = vocabulary(&registry);
            for text in [words.join(" "), words.concat()] {
                let found = complete(&text, cursor, &vocabulary);
                prop_assert!(text.get(found.span.range()).is_some());
                prop_assert!(found.span.end as usize <= cursor);
            }
        }
    }
}
