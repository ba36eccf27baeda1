//! `template()`: text with places that are filled in, in the syntax of Go's text/template.
//!
//! Text → nodes → text. Known are `{{.A.B}}`, `$x := …`, pipelines, `if`/`else if`/`else`, `range`, `with`, comments,
//! the marks that trim (`{{-`, `-}}`), and the functions in [`call`].

use super::prelude::*;

static TEMPLATE: Signature = Signature::new(
    "template",
    "A text in which places such as {{.Name}} are filled in from a dict, in the syntax of Go templates.",
    &[
        req("template", Text, "The text"),
        req("expansion", DictArg, "What the places are filled with"),
        opt("html", Bool, "The text is HTML: what is filled in is escaped"),
    ],
)
.group(Group::Strings)
.examples(&[
    "SELECT template(template='Hello {{.Name}}', expansion=dict(Name='World')) AS Text FROM scope()",
    "SELECT template(template='{{range .L}}<{{.}}>{{end}}', expansion=dict(L=(1, 2))) AS Text FROM scope()",
]);

/// What a template may make, and how deep its blocks and parentheses may nest.
const MAX_LENGTH: usize = 100 << 20;
const MAX_DEPTH: u32 = 100;

fn template(cx: &Context<'_>, args: &Args<'_>) -> Result<Value, CallError> {
    let source = args.str("template")?;
    let nodes = Parser::new(&source)?.all()?;
    let root: Value = match args.value("expansion") {
        Value::Null => Value::Null,
        other => match args.dict("expansion") {
            Ok(Some(dict)) => dict.into(),
            _ => return Err(args.wrong("expansion", "a dict", &other)),
        },
    };
    let mut writer = Writer { cx, html: args.bool("html")?, root: root.clone(), vars: Vec::new(), out: String::new() };
    writer.write(&nodes, &root)?;
    Ok(writer.out.into())
}

#[derive(Debug)]
enum Node {
    Text(String),
    /// What is put in this place.
    Put(Pipe),
    If {
        condition: Pipe,
        then: Vec<Node>,
        otherwise: Vec<Node>,
    },
    With {
        value: Pipe,
        then: Vec<Node>,
        otherwise: Vec<Node>,
    },
    Range {
        over: Pipe,
        each: Vec<Node>,
        none: Vec<Node>,
    },
    Break,
    Continue,
}

/// `$a, $b := first | second`: each command gets the value before it as its last argument.
#[derive(Debug)]
struct Pipe {
    names: Vec<String>,
    /// `$a = …` changes a variable of further out.
    assigns: bool,
    commands: Vec<Vec<Operand>>,
}

#[derive(Debug)]
enum Operand {
    Const(Value),
    Function(String),
    /// `.`, `.A.B`
    Dot(Vec<String>),
    /// `$`, `$x.A`
    Variable(String, Vec<String>),
    Group(Box<Pipe>, Vec<String>),
}

#[derive(Clone, Debug, PartialEq)]
enum Token {
    Word(String),
    /// `.Name`, or `.` alone as the empty name; whether white space is before it.
    Field(String, bool),
    Variable(String),
    Const(Value),
    Sign(&'static str),
}

/// A template cut at its braces.
struct Parser {
    pieces: std::vec::IntoIter<Piece>,
    depth: u32,
}

enum Piece {
    Text(String),
    Action(Vec<Token>),
}

/// How a block ends.
enum End {
    Text,
    Closed,
    /// `else`, with what follows it.
    Else(Vec<Token>),
}

impl Parser {
    fn new(source: &str) -> Result<Parser, CallError> {
        let mut pieces = Vec::new();
        let mut rest = source;
        let mut trim = false;
        while let Some((text, after)) = rest.split_once("{{") {
            let (trims_before, after) = match after.strip_prefix('-') {
                Some(more) if more.starts_with(char::is_whitespace) => (true, more),
                _ => (false, after),
            };
            let mut text = if trim { text.trim_start() } else { text };
            if trims_before {
                text = text.trim_end();
            }
            if !text.is_empty() {
                pieces.push(Piece::Text(text.to_owned()));
            }
            let (tokens, after) = match after.trim_start().strip_prefix("/*") {
                Some(comment) => {
                    let (_, after) = comment.split_once("*/").ok_or("a comment `{{/*` is not closed by `*/}}`")?;
                    (Vec::new(), after)
                }
                None => tokens(after)?,
            };
            let after = after.trim_start();
            (trim, rest) = match (after.strip_prefix("-}}"), after.strip_prefix("}}")) {
                (Some(after), _) => (true, after),
                (None, Some(after)) => (false, after),
                (None, None) => return Err("`{{` is not closed by `}}`".into()),
            };
            if !tokens.is_empty() {
                pieces.push(Piece::Action(tokens));
            }
        }
        let text = if trim { rest.trim_start() } else { rest };
        if !text.is_empty() {
            pieces.push(Piece::Text(text.to_owned()));
        }
        Ok(Parser { pieces: pieces.into_iter(), depth: 0 })
    }

    fn all(mut self) -> Result<Vec<Node>, CallError> {
        match self.block()? {
            (nodes, End::Text) => Ok(nodes),
            (_, End::Closed) => Err("`{{end}}` ends nothing".into()),
            (_, End::Else(_)) => Err("`{{else}}` belongs to no if, range or with".into()),
        }
    }

    fn block(&mut self) -> Result<(Vec<Node>, End), CallError> {
        if self.depth > MAX_DEPTH {
            return Err("the blocks nest too deep".into());
        }
        let mut nodes = Vec::new();
        while let Some(piece) = self.pieces.next() {
            let mut tokens = match piece {
                Piece::Text(text) => {
                    nodes.push(Node::Text(text));
                    continue;
                }
                Piece::Action(tokens) => tokens,
            };
            let word = match tokens.first() {
                Some(Token::Word(word)) => word.clone(),
                _ => String::new(),
            };
            match word.as_str() {
                "end" => return Ok((nodes, End::Closed)),
                "else" => return Ok((nodes, End::Else(tokens.split_off(1)))),
                "if" | "with" | "range" => nodes.push(self.control(&word, tokens.split_off(1))?),
                "break" => nodes.push(Node::Break),
                "continue" => nodes.push(Node::Continue),
                "define" | "template" | "block" => {
                    return Err(CallError::new(format!("`{{{{{word}}}}}` is not known: there is one template only")));
                }
                _ => nodes.push(Node::Put(pipe(&tokens)?)),
            }
        }
        Ok((nodes, End::Text))
    }

    fn control(&mut self, word: &str, head: Vec<Token>) -> Result<Node, CallError> {
        let value = pipe(&head)?;
        self.depth += 1;
        let (then, end) = self.block()?;
        let otherwise = match end {
            End::Closed => Vec::new(),
            End::Text => return Err(CallError::new(format!("`{{{{{word}}}}}` has no `{{{{end}}}}`"))),
            End::Else(tokens) => match tokens.first() {
                None => match self.block()? {
                    (nodes, End::Closed) => nodes,
                    _ => return Err(CallError::new(format!("the `{{{{else}}}}` of `{word}` has no `{{{{end}}}}`"))),
                },
                // Its own end closes all of them.
                Some(Token::Word(next)) if next == "if" || next == "with" => {
                    vec![self.control(&next.clone(), tokens[1..].to_vec())?]
                }
                Some(_) => return Err("after `else` may stand `if` or `with`".into()),
            },
        };
        self.depth -= 1;
        Ok(match word {
            "if" => Node::If { condition: value, then, otherwise },
            "with" => Node::With { value, then, otherwise },
            _ => Node::Range { over: value, each: then, none: otherwise },
        })
    }
}

/// The tokens up to the end of an action, and what follows.
fn tokens(text: &str) -> Result<(Vec<Token>, &str), CallError> {
    let mut tokens = Vec::new();
    let mut rest = text;
    let word = |c: char| c.is_alphanumeric() || c == '_';
    loop {
        let trimmed = rest.trim_start();
        let spaced = trimmed.len() < rest.len();
        rest = trimmed;
        if rest.starts_with("}}") || (rest.starts_with("-}}") && spaced) || rest.is_empty() {
            return Ok((tokens, rest));
        }
        let take = |from: &str, test: &dyn Fn(char) -> bool| from.find(|c| !test(c)).unwrap_or(from.len());
        let first = rest.chars().next().unwrap_or_default();
        let sign = [":=", "|", "(", ")", ",", "="].into_iter().find(|sign| rest.starts_with(sign));
        if let Some(sign) = sign {
            tokens.push(Token::Sign(sign));
            rest = &rest[sign.len()..];
        } else if first == '.' && !rest[1..].starts_with(|c: char| c.is_ascii_digit()) {
            let end = 1 + take(&rest[1..], &word);
            tokens.push(Token::Field(rest[1..end].to_owned(), spaced || tokens.is_empty()));
            rest = &rest[end..];
        } else if first == '$' {
            let end = 1 + take(&rest[1..], &word);
            tokens.push(Token::Variable(rest[1..end].to_owned()));
            rest = &rest[end..];
        } else if matches!(first, '"' | '`' | '\'') {
            let (text, after) = quoted(rest, first)?;
            tokens.push(Token::Const(text.into()));
            rest = after;
        } else if first.is_ascii_digit() || matches!(first, '-' | '+' | '.') {
            let end = 1 + take(&rest[1..], &|c| word(c) || c == '.');
            let number = &rest[..end];
            let value = match crate::value::parse_int(number).filter(|_| !number.contains('.')) {
                Some(int) => Value::Int(int),
                None => number.parse().map(Value::Float).map_err(|_| format!("`{number}` is no number"))?,
            };
            tokens.push(Token::Const(value));
            rest = &rest[end..];
        } else if word(first) {
            let end = take(rest, &word);
            tokens.push(match &rest[..end] {
                "true" => Token::Const(Value::Bool(true)),
                "false" => Token::Const(Value::Bool(false)),
                "nil" => Token::Const(Value::Null),
                other => Token::Word(other.to_owned()),
            });
            rest = &rest[end..];
        } else {
            return Err(CallError::new(format!("`{first}` is not known within `{{{{ }}}}`")));
        }
    }
}

/// A text in quotes that `rest` begins with, and what follows.
fn quoted(rest: &str, quote: char) -> Result<(String, &str), CallError> {
    let mut text = String::new();
    let mut chars = rest[1..].char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            c if c == quote => return Ok((text, &rest[1 + at + 1..])),
            '\\' if quote != '`' => match chars.next() {
                Some((_, 'n')) => text.push('\n'),
                Some((_, 't')) => text.push('\t'),
                Some((_, 'r')) => text.push('\r'),
                Some((_, other)) => text.push(other),
                None => break,
            },
            c => text.push(c),
        }
    }
    Err(CallError::new(format!("a text in the template is not closed by `{quote}`")))
}

fn pipe(tokens: &[Token]) -> Result<Pipe, CallError> {
    let mut at = 0;
    let parsed = pipe_at(tokens, &mut at, 0)?;
    if at < tokens.len() {
        return Err("the parentheses in the template do not match".into());
    }
    Ok(parsed)
}

fn pipe_at(tokens: &[Token], at: &mut usize, depth: u32) -> Result<Pipe, CallError> {
    if depth > MAX_DEPTH {
        return Err("the parentheses nest too deep".into());
    }
    let (mut names, mut assigns) = (Vec::new(), false);
    let sets = |token: Option<&Token>| match token {
        Some(Token::Sign(":=")) => Some(false),
        Some(Token::Sign("=")) => Some(true),
        _ => None,
    };
    match &tokens[*at..] {
        [Token::Variable(a), Token::Sign(","), Token::Variable(b), sign, ..] if sets(Some(sign)).is_some() => {
            names = vec![a.clone(), b.clone()];
            assigns = sets(Some(sign)).unwrap_or_default();
            *at += 4;
        }
        [Token::Variable(a), sign, ..] if sets(Some(sign)).is_some() => {
            names = vec![a.clone()];
            assigns = sets(Some(sign)).unwrap_or_default();
            *at += 2;
        }
        _ => {}
    }
    let mut commands = vec![Vec::new()];
    while let Some(token) = tokens.get(*at) {
        *at += 1;
        let operand = match token {
            Token::Sign("|") => {
                commands.push(Vec::new());
                continue;
            }
            Token::Sign(")") => {
                *at -= 1;
                break;
            }
            Token::Sign("(") => {
                let inner = pipe_at(tokens, at, depth + 1)?;
                if tokens.get(*at) != Some(&Token::Sign(")")) {
                    return Err("a `(` in the template is not closed".into());
                }
                *at += 1;
                Operand::Group(Box::new(inner), fields(tokens, at))
            }
            Token::Sign(other) => return Err(CallError::new(format!("`{other}` stands in the wrong place"))),
            Token::Word(name) => Operand::Function(name.clone()),
            Token::Const(value) => Operand::Const(value.clone()),
            Token::Variable(name) => Operand::Variable(name.clone(), fields(tokens, at)),
            Token::Field(name, _) => {
                let mut path = Vec::new();
                if !name.is_empty() {
                    path.push(name.clone());
                    path.extend(fields(tokens, at));
                }
                Operand::Dot(path)
            }
        };
        if let Some(command) = commands.last_mut() {
            command.push(operand);
        }
    }
    if commands.iter().any(Vec::is_empty) {
        return Err("a place in the template names no value".into());
    }
    Ok(Pipe { names, assigns, commands })
}

/// The fields right behind an operand.
fn fields(tokens: &[Token], at: &mut usize) -> Vec<String> {
    let mut path = Vec::new();
    while let Some(Token::Field(name, false)) = tokens.get(*at) {
        path.push(name.clone());
        *at += 1;
    }
    path
}

struct Writer<'w, 'c> {
    cx: &'w Context<'c>,
    html: bool,
    root: Value,
    vars: Vec<(String, Value)>,
    out: String,
}

/// Why the rest of a block is not written.
#[derive(Clone, Copy, PartialEq)]
enum Leave {
    No,
    Break,
    Continue,
}

impl Writer<'_, '_> {
    fn write(&mut self, nodes: &[Node], dot: &Value) -> Result<Leave, CallError> {
        let outer = self.vars.len();
        let left = self.write_all(nodes, dot);
        self.vars.truncate(outer);
        left
    }

    fn write_all(&mut self, nodes: &[Node], dot: &Value) -> Result<Leave, CallError> {
        for node in nodes {
            if self.cx.cancelled() {
                return Err("stopped within the template".into());
            }
            if self.out.len() > MAX_LENGTH {
                return Err(CallError::new(format!("the text would be longer than {} MiB", MAX_LENGTH >> 20)));
            }
            let left = match node {
                Node::Text(text) => {
                    self.out.push_str(text);
                    Leave::No
                }
                Node::Put(pipe) => {
                    let value = self.pipe(pipe, dot)?;
                    if pipe.names.is_empty() {
                        let text = text(&value);
                        let safe = matches!(pipe.commands.last().map(Vec::as_slice), Some([Operand::Function(f), ..]) if f == "safe");
                        self.out.push_str(&if self.html && !safe { escape_html(&text) } else { text.to_string() });
                    }
                    Leave::No
                }
                Node::If { condition, then, otherwise } => {
                    let outer = self.vars.len();
                    let truth = truth(&self.pipe(condition, dot)?);
                    let left = self.write(if truth { then } else { otherwise }, dot)?;
                    self.vars.truncate(outer);
                    left
                }
                Node::With { value, then, otherwise } => {
                    let outer = self.vars.len();
                    let value = self.pipe(value, dot)?;
                    let left = if truth(&value) { self.write(then, &value)? } else { self.write(otherwise, dot)? };
                    self.vars.truncate(outer);
                    left
                }
                Node::Range { over, each, none } => {
                    self.range(over, each, none, dot)?;
                    Leave::No
                }
                Node::Break => Leave::Break,
                Node::Continue => Leave::Continue,
            };
            if left != Leave::No {
                return Ok(left);
            }
        }
        Ok(Leave::No)
    }

    fn range(&mut self, over: &Pipe, each: &[Node], none: &[Node], dot: &Value) -> Result<(), CallError> {
        let value = self.value(&over.commands, dot)?;
        let items: Vec<(Value, Value)> = match self.cx.materialize(value) {
            Value::Array(items) => items.iter().enumerate().map(|(at, item)| (at.into(), item.clone())).collect(),
            Value::Dict(dict) => dict.iter().map(|(key, item)| (Value::Str(key.clone()), item.clone())).collect(),
            Value::Int(n) => (0..n.clamp(0, 10_000_000)).map(|at| (at.into(), at.into())).collect(),
            Value::Null => Vec::new(),
            other => return Err(CallError::new(format!("range over {} is not possible", other.type_name()))),
        };
        if items.is_empty() {
            self.write(none, dot)?;
        }
        for (key, item) in items {
            let outer = self.vars.len();
            match &over.names[..] {
                [one] => self.vars.push((one.clone(), item.clone())),
                [index, one] => {
                    self.vars.push((index.clone(), key));
                    self.vars.push((one.clone(), item.clone()));
                }
                _ => {}
            }
            let left = self.write(each, &item)?;
            self.vars.truncate(outer);
            if left == Leave::Break {
                break;
            }
        }
        Ok(())
    }

    fn pipe(&mut self, pipe: &Pipe, dot: &Value) -> Result<Value, CallError> {
        let value = self.value(&pipe.commands, dot)?;
        if let Some(name) = pipe.names.last() {
            let known = self.vars.iter_mut().rev().find(|(known, _)| known == name);
            match known.filter(|_| pipe.assigns) {
                Some((_, old)) => *old = value.clone(),
                None if pipe.assigns => return Err(CallError::new(format!("there is no variable `${name}` to set"))),
                None => self.vars.push((name.clone(), value.clone())),
            }
        }
        Ok(value)
    }

    fn value(&mut self, commands: &[Vec<Operand>], dot: &Value) -> Result<Value, CallError> {
        let mut piped: Option<Value> = None;
        for command in commands {
            let mut args = Vec::with_capacity(command.len());
            for operand in &command[1..] {
                args.push(self.operand(operand, dot)?);
            }
            args.extend(piped.take());
            piped = Some(match &command[0] {
                Operand::Function(name) => call(name, &args)?,
                other if args.is_empty() => self.operand(other, dot)?,
                _ => return Err("a value in the template is given arguments: only functions take them".into()),
            });
        }
        Ok(piped.unwrap_or_default())
    }

    fn operand(&mut self, operand: &Operand, dot: &Value) -> Result<Value, CallError> {
        Ok(match operand {
            Operand::Const(value) => value.clone(),
            Operand::Function(name) => call(name, &[])?,
            Operand::Dot(path) => self.member(dot.clone(), path),
            Operand::Variable(name, path) if name.is_empty() => self.member(self.root.clone(), path),
            Operand::Variable(name, path) => {
                let known = self.vars.iter().rev().find(|(known, _)| known == name);
                let (_, value) =
                    known.ok_or_else(|| CallError::new(format!("there is no variable `${name}` in the template")))?;
                self.member(value.clone(), path)
            }
            Operand::Group(inner, path) => {
                let value = self.pipe(inner, dot)?;
                self.member(value, path)
            }
        })
    }

    fn member(&self, value: Value, path: &[String]) -> Value {
        let value = self.cx.materialize(value);
        path.iter()
            .fold(value, |value, name| self.cx.materialize(crate::eval::ops::member(&value, name).unwrap_or_default()))
    }
}

/// What is not empty is true: unlike elsewhere in VQL a number below 0 too.
fn truth(value: &Value) -> bool {
    match value {
        Value::Int(int) => *int != 0,
        Value::Float(float) => *float != 0.0,
        other => other.truth(),
    }
}

fn text(value: &Value) -> Arc<str> {
    match value {
        Value::Null => "<no value>".into(),
        Value::Array(items) => {
            let items: Vec<Arc<str>> = items.iter().map(text).collect();
            format!("[{}]", items.join(" ")).into()
        }
        other => other.to_text(),
    }
}

fn call(name: &str, args: &[Value]) -> Result<Value, CallError> {
    let one = || match args {
        [one] => Ok(one),
        _ => Err(CallError::new(format!("`{name}` in the template takes one argument, not {}", args.len()))),
    };
    let pair = || match args {
        [a, b] => Ok((a, b)),
        _ => Err(CallError::new(format!("`{name}` in the template takes two arguments, not {}", args.len()))),
    };
    let order = |test: fn(std::cmp::Ordering) -> bool| {
        let (a, b) = pair()?;
        Ok::<Value, CallError>(crate::eval::ops::compare(a, b).is_some_and(test).into())
    };
    let words = |separator: &str| {
        let all: Vec<Arc<str>> = args.iter().map(text).collect();
        all.join(separator)
    };
    Ok(match name {
        "and" => args.iter().find(|value| !truth(value)).or(args.last()).cloned().unwrap_or_default(),
        "or" => args.iter().find(|value| truth(value)).or(args.last()).cloned().unwrap_or_default(),
        "not" => (!truth(one()?)).into(),
        "len" => match one()? {
            Value::Array(items) => items.len().into(),
            Value::Dict(dict) => dict.len().into(),
            other => other.to_text().len().into(),
        },
        "index" => {
            let (first, rest) = args.split_first().ok_or("`index` in the template takes a list and places")?;
            rest.iter().fold(first.clone(), |value, at| crate::eval::ops::index(&value, at))
        }
        "slice" => {
            let bound = |at: usize| args.get(at).and_then(Value::as_int);
            crate::eval::ops::slice(args.first().unwrap_or(&Value::Null), bound(1), bound(2))
        }
        "print" => {
            // A space between two values of which none is text.
            let mut out = String::new();
            for (at, value) in args.iter().enumerate() {
                let plain = |value: &Value| value.as_bytes().is_none();
                if at > 0 && plain(value) && plain(&args[at - 1]) {
                    out.push(' ');
                }
                out.push_str(&text(value));
            }
            out.into()
        }
        "println" => (words(" ") + "\n").into(),
        "printf" => {
            let (format, args) = args.split_first().ok_or("`printf` in the template takes a format")?;
            Value::from_bytes(super::printf::printf(format.to_text().as_bytes(), args)?)
        }
        "eq" => {
            let (first, rest) = args.split_first().ok_or("`eq` in the template takes values to compare")?;
            rest.iter().any(|other| first == other).into()
        }
        "ne" => {
            let (a, b) = pair()?;
            (a != b).into()
        }
        "lt" => order(std::cmp::Ordering::is_lt)?,
        "le" => order(std::cmp::Ordering::is_le)?,
        "gt" => order(std::cmp::Ordering::is_gt)?,
        "ge" => order(std::cmp::Ordering::is_ge)?,
        "upper" => text(one()?).to_uppercase().into(),
        "lower" => text(one()?).to_lowercase().into(),
        "title" => title(&text(one()?)).into(),
        "trim" => text(one()?).trim().into(),
        "join" => match args {
            [Value::Array(items), separator] => {
                let items: Vec<Arc<str>> = items.iter().map(text).collect();
                items.join(&separator.to_text()).into()
            }
            _ => return Err("`join` in the template takes a list and a separator".into()),
        },
        "replace" => match args {
            [old, new, source] => text(source).replace(&*text(old), &text(new)).into(),
            _ => return Err("`replace` in the template takes what, by what, and in which text".into()),
        },
        "default" => {
            let (default, value) = pair()?;
            if truth(value) { value.clone() } else { default.clone() }
        }
        "json" | "toJson" => one()?.to_json().into(),
        "js" => {
            let quoted = Value::from(text(one()?)).to_json();
            quoted[1..quoted.len() - 1].replace('<', "\\u003C").replace('>', "\\u003E").replace('\'', "\\'").into()
        }
        "html" => escape_html(&words("")).into(),
        "safe" => text(one()?).into(),
        "urlquery" => escape_url(&words("")).into(),
        _ => {
            const KNOWN: [&str; 26] = [
                "and", "or", "not", "len", "index", "slice", "print", "println", "printf", "eq", "ne", "lt", "le",
                "gt", "ge", "upper", "lower", "title", "trim", "join", "replace", "default", "json", "js", "html",
                "urlquery",
            ];
            let hint = crate::diagnostic::did_you_mean(name, KNOWN)
                .unwrap_or_else(|| format!("write .{name} for the field; functions are {}", KNOWN.join(", ")));
            return Err(CallError::new(format!("there is no function `{name}` in templates: {hint}")));
        }
    })
}

fn title(text: &str) -> String {
    let mut starts = true;
    text.chars()
        .flat_map(|c| {
            let upper = std::mem::replace(&mut starts, !c.is_alphanumeric() && c != '\'');
            if upper { c.to_uppercase().collect::<Vec<char>>() } else { vec![c] }
        })
        .collect()
}

fn escape_html(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&#34;"),
            '\'' => out.push_str("&#39;"),
            c => out.push(c),
        }
    }
    out
}

fn escape_url(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => out.push(byte as char),
            b' ' => out.push('+'),
            other => out.push_str(&format!("%{other:02X}")),
        }
    }
    out
}

pub(super) fn register(registry: &mut Registry) {
    registry.add_function(Func(&TEMPLATE, template));
}
