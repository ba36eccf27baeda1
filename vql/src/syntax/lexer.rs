//! Text to tokens. Never fails: what it cannot read becomes a diagnostic, and reading goes on behind it.

use super::ast::Span;
use super::{MAX_DIAGNOSTICS, MAX_TEXT, MAX_TOKENS};
use crate::diagnostic::Diagnostic;

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Token {
    Explain,
    Select,
    Where,
    And,
    Or,
    From,
    Not,
    As,
    In,
    Limit,
    Null,
    Desc,
    GroupBy,
    OrderBy,
    True,
    False,
    Let,
    /// One or more pipes.
    Pipes,
    /// `&&`
    Ampersands,
    Number,
    /// A bare name.
    Name,
    /// A name between backticks.
    Quoted,
    String,
    /// `'''…'''`
    Raw,
    Eq,
    Ne,
    Lt,
    Le,
    Gt,
    Ge,
    Match,
    NotMatch,
    Arrow,
    Plus,
    Minus,
    Star,
    Slash,
    Percent,
    Dot,
    Comma,
    Colon,
    Semicolon,
    LeftParen,
    RightParen,
    LeftSquare,
    RightSquare,
    LeftBrace,
    RightBrace,
    /// Unreadable, and reported.
    Bad,
    End,
}

impl Token {
    /// A keyword of one word: where only a name can stand it is one.
    pub(crate) fn is_word(self) -> bool {
        self.is_keyword() && !matches!(self, Token::GroupBy | Token::OrderBy)
    }

    pub(crate) fn is_keyword(self) -> bool {
        (self as u8) <= Token::Let as u8
    }
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Lexeme {
    pub(crate) token: Token,
    pub(crate) span: Span,
}

#[derive(Debug, Default)]
pub(crate) struct Lexed {
    /// Ends with exactly one [`Token::End`].
    pub(crate) tokens: Vec<Lexeme>,
    pub(crate) comments: Vec<Span>,
    pub(crate) diagnostics: Vec<Diagnostic>,
    /// The text ended inside a string, a comment or backticks: what follows is not known.
    pub(crate) cut: bool,
    /// A string does not end, and an earlier one that ends here may be the one that lacks its quote.
    pub(crate) doubt: Option<u32>,
}

pub(crate) fn lex(text: &str) -> Lexed {
    let mut lexer = Lexer { text, bytes: text.as_bytes(), at: 0, out: Lexed::default(), long_string: None };
    if text.len() > MAX_TEXT {
        let message = format!("the text is too long: {} MiB, at most {} are read", text.len() >> 20, MAX_TEXT >> 20);
        lexer.report(
            Diagnostic::error("V0009", Span::new(0, 0), message)
                .hint("large data belongs in a file that the query reads, not in the query"),
        );
        lexer.out.cut = true;
    } else {
        // Editors on Windows like to write a byte order mark.
        if text.starts_with('\u{feff}') {
            lexer.at = '\u{feff}'.len_utf8();
        }
        lexer.run();
    }
    let end = if text.len() > MAX_TEXT { 0 } else { text.len() };
    lexer.out.tokens.push(Lexeme { token: Token::End, span: Span::new(end, end) });
    lexer.out
}

/// The keyword that a bare name is, in any case.
pub(crate) fn keyword(name: &str) -> Option<Token> {
    const KEYWORDS: [(&str, Token); 15] = [
        ("EXPLAIN", Token::Explain),
        ("SELECT", Token::Select),
        ("WHERE", Token::Where),
        ("AND", Token::And),
        ("OR", Token::Or),
        ("FROM", Token::From),
        ("NOT", Token::Not),
        ("AS", Token::As),
        ("IN", Token::In),
        ("LIMIT", Token::Limit),
        ("NULL", Token::Null),
        ("DESC", Token::Desc),
        ("TRUE", Token::True),
        ("FALSE", Token::False),
        ("LET", Token::Let),
    ];
    KEYWORDS.iter().find(|(k, _)| k.eq_ignore_ascii_case(name)).map(|(_, t)| *t)
}

/// The keywords, for completion and for "did you mean".
pub fn keyword_names() -> &'static [&'static str] {
    &[
        "SELECT", "FROM", "WHERE", "GROUP BY", "ORDER BY", "LIMIT", "LET", "EXPLAIN", "AND", "OR", "NOT", "IN", "AS",
        "DESC", "NULL", "TRUE", "FALSE",
    ]
}

/// Whether a name needs no backticks, keywords aside.
pub(crate) fn is_bare(name: &str) -> bool {
    let mut bytes = name.bytes();
    bytes.next().is_some_and(is_name_start) && bytes.all(is_name_byte)
}

struct Lexer<'a> {
    text: &'a str,
    bytes: &'a [u8],
    at: usize,
    out: Lexed,
    /// The first string that runs over several lines: the suspect when a later one does not end.
    long_string: Option<Span>,
}

impl Lexer<'_> {
    fn run(&mut self) {
        while self.at < self.bytes.len() {
            if self.out.tokens.len() >= MAX_TOKENS {
                let here = Span::new(self.at, self.at);
                self.report(
                    Diagnostic::error("V0009", here, format!("the text is too long: more than {MAX_TOKENS} words"))
                        .hint("large data belongs in a file that the query reads, not in the query"),
                );
                self.out.cut = true;
                return;
            }
            self.one();
        }
    }

    fn one(&mut self) {
        let start = self.at;
        let byte = self.bytes[start];
        let next = self.bytes.get(start + 1).copied().unwrap_or(0);
        match byte {
            b' ' | b'\t' | b'\r' | b'\n' | 0x0b | 0x0c => self.at += 1,
            b'-' if next == b'-' => self.line_comment(),
            b'/' if next == b'/' => self.line_comment(),
            b'/' if next == b'*' => self.block_comment(),
            b'#' => {
                self.line_comment();
                let span = Span::new(start, start + 1);
                self.report(
                    Diagnostic::error("V0007", span, "`#` does not begin a comment")
                        .hint("a comment is written `-- …`, `// …` or `/* … */`"),
                );
            }
            b'\'' if self.text[start..].starts_with("'''") => self.raw_string(),
            b'\'' | b'"' => self.string(byte),
            b'`' => self.backticks(),
            b'0'..=b'9' => self.number(),
            _ if is_name_start(byte) => self.name(),
            _ if byte < 0x80 => self.operator(byte, next),
            _ => self.foreign(),
        }
    }

    fn operator(&mut self, byte: u8, next: u8) {
        let start = self.at;
        let (token, length) = match (byte, next) {
            (b'<', b'>') | (b'!', b'=') => (Token::Ne, 2),
            (b'!', b'~') => (Token::NotMatch, 2),
            (b'<', b'=') => (Token::Le, 2),
            (b'>', b'=') => (Token::Ge, 2),
            (b'=', b'>') => (Token::Arrow, 2),
            (b'=', b'~') => (Token::Match, 2),
            (b'&', b'&') => (Token::Ampersands, 2),
            (b'=', b'=') => {
                let length = self.bytes[start..].iter().take_while(|b| **b == b'=').count();
                let span = Span::new(start, start + length);
                let written = &self.text[span.range()];
                self.report(
                    Diagnostic::error("V0015", span, format!("VQL has no `{written}`"))
                        .label(span, "a single `=` compares")
                        .hint("write `=` for equal, `=~` to match a regular expression"),
                );
                (Token::Eq, length)
            }
            (b':', b'=') => {
                let span = Span::new(start, start + 2);
                self.report(
                    Diagnostic::error("V0015", span, "VQL has no `:=`")
                        .hint("`LET name = …` is computed at each use, `LET name <= …` once and now"),
                );
                (Token::Eq, 2)
            }
            (b'|', _) => (Token::Pipes, self.bytes[start..].iter().take_while(|b| **b == b'|').count()),
            (b'=', _) => (Token::Eq, 1),
            (b'<', _) => (Token::Lt, 1),
            (b'>', _) => (Token::Gt, 1),
            (b'+', _) => (Token::Plus, 1),
            (b'-', _) => (Token::Minus, 1),
            (b'*', _) => (Token::Star, 1),
            (b'/', _) => (Token::Slash, 1),
            (b'%', _) => (Token::Percent, 1),
            (b'.', _) => (Token::Dot, 1),
            (b',', _) => (Token::Comma, 1),
            (b':', _) => (Token::Colon, 1),
            (b';', _) => (Token::Semicolon, 1),
            (b'(', _) => (Token::LeftParen, 1),
            (b')', _) => (Token::RightParen, 1),
            (b'[', _) => (Token::LeftSquare, 1),
            (b']', _) => (Token::RightSquare, 1),
            (b'{', _) => (Token::LeftBrace, 1),
            (b'}', _) => (Token::RightBrace, 1),
            (b'!', _) => {
                self.wrong_operator(1, "write `NOT` to negate, `!=` for unequal");
                (Token::Not, 1)
            }
            (b'&', _) => {
                self.wrong_operator(1, "write `AND`; there are no bit operations");
                (Token::Ampersands, 1)
            }
            (b'~', _) => {
                self.wrong_operator(1, "write `=~` to match a regular expression, `!~` for the contrary");
                (Token::Match, 1)
            }
            _ => return self.bad_run(),
        };
        self.push(token, start + length);
    }

    fn wrong_operator(&mut self, length: usize, hint: &str) {
        let span = Span::new(self.at, self.at + length);
        let written = &self.text[span.range()];
        self.report(Diagnostic::error("V0015", span, format!("VQL has no operator `{written}`")).hint(hint));
    }

    /// Characters that begin nothing, taken together so that they give one diagnostic.
    fn bad_run(&mut self) {
        let start = self.at;
        let first = self.current();
        while self.at < self.bytes.len() && is_unreadable(self.current()) {
            self.at += self.current().len_utf8();
        }
        let span = Span::new(start, self.at.max(start + first.len_utf8()));
        self.at = span.end as usize;
        let what = describe(first);
        let hint = match first {
            '$' => "a variable is used by its bare name",
            '@' => "a name with other characters than letters, digits and _ must stand in backticks: `@Keys`",
            '?' if self.text[start..].starts_with("??") => "a default for what may be missing is `a || b`",
            '?' => "VQL has no `? :`, write if(condition=…, then=…, else=…)",
            '\\' => "a backslash has a meaning only inside a string",
            '^' => "VQL has no `^`",
            _ if first.is_control() || is_invisible(first) => "delete it; it may have come with copied text",
            _ => "such a character is allowed only inside a string, a comment or backticks",
        };
        self.report(Diagnostic::error("V0007", span, format!("{what} has no meaning here")).hint(hint));
        self.out.tokens.push(Lexeme { token: Token::Bad, span });
    }

    /// Beyond ASCII: space, typographic quotes, a name in another script, or nothing that VQL knows.
    fn foreign(&mut self) {
        let start = self.at;
        let first = self.current();
        if first.is_whitespace() {
            self.at += first.len_utf8();
        } else if let Some(close) = closing_quote(first) {
            let rest = &self.text[start + first.len_utf8()..];
            let line = rest.find('\n').unwrap_or(rest.len());
            let found = rest[..line].char_indices().take(1000).find(|(_, c)| close.contains(c));
            let end = match found {
                Some((i, c)) => start + first.len_utf8() + i + c.len_utf8(),
                None => start + first.len_utf8(),
            };
            let span = Span::new(start, start + first.len_utf8());
            self.report(
                Diagnostic::error("V0007", span, format!("{} is not a quote that VQL knows", describe(first)))
                    .hint("use plain quotes, ' or \"; some editors and chats replace them while one types"),
            );
            self.push(if found.is_some() { Token::String } else { Token::Bad }, end);
        } else if first.is_alphanumeric() {
            self.long_name(start);
        } else {
            let ascii = match first {
                '\u{2010}'..='\u{2015}' | '\u{2212}' => Some((Token::Minus, "-")),
                '\u{2260}' => Some((Token::Ne, "!=")),
                '\u{2264}' => Some((Token::Le, "<=")),
                '\u{2265}' => Some((Token::Ge, ">=")),
                _ => None,
            };
            match ascii {
                Some((token, write)) => {
                    let span = Span::new(start, start + first.len_utf8());
                    self.report(
                        Diagnostic::error("V0007", span, format!("{} is not an operator", describe(first)))
                            .hint(format!("write `{write}`")),
                    );
                    self.push(token, span.end as usize);
                }
                None => self.bad_run(),
            }
        }
    }

    fn name(&mut self) {
        let start = self.at;
        let end = self.name_end(start);
        if self.text[end..].chars().next().is_some_and(|c| !c.is_ascii() && c.is_alphanumeric()) {
            return self.long_name(start);
        }
        let name = &self.text[start..end];
        if let Some(token) = keyword(name) {
            return self.push(token, end);
        }
        let pair = if name.eq_ignore_ascii_case("GROUP") {
            Some(Token::GroupBy)
        } else if name.eq_ignore_ascii_case("ORDER") {
            Some(Token::OrderBy)
        } else {
            None
        };
        if let Some(token) = pair {
            let rest = &self.text[end..];
            let by = end + (rest.len() - rest.trim_start().len());
            let by_end = self.name_end(by);
            if by > end && self.text[by..by_end].eq_ignore_ascii_case("BY") {
                return self.push(token, by_end);
            }
        }
        self.push(Token::Name, end);
    }

    /// A name with letters beyond ASCII: reported, and read as the name it wants to be.
    fn long_name(&mut self, start: usize) {
        let rest = &self.text[start..];
        let length = rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len());
        let span = Span::new(start, start + length);
        let name = &self.text[span.range()];
        self.report(
            Diagnostic::error("V0007", span, format!("the name `{}` has letters beyond a-z", clip(name)))
                .hint(format!("put it in backticks: `{}`, or in quotes if it is meant as text", clip(name))),
        );
        self.push(Token::Name, start + length);
    }

    fn name_end(&self, start: usize) -> usize {
        start + self.bytes[start..].iter().take_while(|b| is_name_byte(**b)).count()
    }

    fn number(&mut self) {
        let start = self.at;
        let digits = |from: usize| self.bytes[from..].iter().take_while(|b| b.is_ascii_digit()).count();
        let at = |i: usize| self.bytes.get(i).copied().unwrap_or(0);
        let mut end;
        if at(start) == b'0' && matches!(at(start + 1), b'x' | b'X') && at(start + 2).is_ascii_hexdigit() {
            end = start + 2;
            end += self.bytes[end..].iter().take_while(|b| b.is_ascii_hexdigit()).count();
        } else {
            end = start + digits(start);
            // `1.` is a number too, but not where a member or a second point follows.
            if at(end) == b'.' {
                let fraction = digits(end + 1);
                let after = at(end + 1);
                if fraction > 0 || !(is_name_start(after) || matches!(after, b'.' | b'`')) {
                    end += 1 + fraction;
                }
            }
            if matches!(at(end), b'e' | b'E') {
                let sign = usize::from(matches!(at(end + 1), b'+' | b'-'));
                let exponent = digits(end + 1 + sign);
                if exponent > 0 {
                    end += 1 + sign + exponent;
                }
            }
        }
        if is_name_byte(at(end)) {
            let end = self.name_end(end);
            let span = Span::new(start, end);
            let written = clip(&self.text[span.range()]);
            let hint = if written.starts_with("0x") || written.starts_with("0X") {
                "hexadecimal digits are 0-9 and a-f".to_owned()
            } else {
                let unit = written.trim_start_matches(|c: char| c.is_ascii_digit() || c == '.');
                match unit.to_ascii_lowercase().as_str() {
                    "k" | "kb" | "kib" => "numbers have no units: a kilobyte is `1024`".to_owned(),
                    "m" | "mb" | "mib" => {
                        "numbers have no units: a megabyte is `1024 * 1024`, a minute `60`".to_owned()
                    }
                    "g" | "gb" | "gib" => "numbers have no units: a gigabyte is `1024 * 1024 * 1024`".to_owned(),
                    "s" | "sec" | "h" | "d" | "day" | "days" => {
                        "numbers have no units: times are in seconds, an hour is `3600`, a day `86400`".to_owned()
                    }
                    _ => format!(
                        "a name cannot begin with a digit: put it in backticks (`{written}`), or text in quotes"
                    ),
                }
            };
            self.report(Diagnostic::error("V0008", span, format!("`{written}` is not a number")).hint(hint));
            return self.push(Token::Bad, end);
        }
        self.push(Token::Number, end);
    }

    /// The name that ends right before a quote, if there is one.
    fn word_before(&self, quote: usize) -> Option<&str> {
        let length = self.bytes[..quote].iter().rev().take_while(|b| is_name_byte(**b)).count();
        (length > 0).then(|| clip_word(&self.text[quote - length..quote]))
    }

    fn string(&mut self, quote: u8) {
        let start = self.at;
        let mut at = start + 1;
        while let Some(byte) = self.bytes.get(at) {
            if *byte == quote {
                let span = Span::new(start, at + 1);
                if self.long_string.is_none() && self.text[span.range()].contains('\n') {
                    self.long_string = Some(span);
                }
                return self.push(Token::String, at + 1);
            }
            at += if *byte == b'\\' { 2 } else { 1 };
        }
        let line = self.first_line(start);
        let mut problem = Diagnostic::error("V0004", line, "this string does not end")
            .label(line, format!("no closing {} follows", char::from(quote)));
        if let Some(long) = self.long_string {
            self.out.doubt = Some(long.end);
            let head = self.first_line(long.start as usize);
            problem = problem.label(head, "or does this one lack its closing quote? it runs over several lines");
        }
        let escaped = format!("\\{}", char::from(quote));
        problem = problem.hint(if self.text[line.range()].contains(&escaped) {
            format!("`{escaped}` is a quote inside the string, not its end: write `\\\\` for a backslash at the end of a path")
        } else if let Some(word) = self.word_before(start).filter(|_| self.long_string.is_none()) {
            format!("if `{word}` is the text, a quote is missing before it: {0}{word}{0}", char::from(quote))
        } else {
            format!("close it with {0}; inside the string write \\{0}", char::from(quote))
        });
        self.cut(problem);
    }

    fn raw_string(&mut self) {
        let start = self.at;
        match self.text[start + 3..].find("'''") {
            Some(length) => self.push(Token::Raw, start + 3 + length + 3),
            None => {
                let line = self.first_line(start);
                self.cut(Diagnostic::error("V0004", line, "this ''' string does not end").hint("close it with '''"));
            }
        }
    }

    fn backticks(&mut self) {
        let start = self.at;
        match self.text[start + 1..].find('`') {
            Some(0) => {
                let span = Span::new(start, start + 2);
                self.report(Diagnostic::error("V0006", span, "there is no name between these backticks"));
                self.push(Token::Bad, start + 2);
            }
            Some(length) => self.push(Token::Quoted, start + length + 2),
            None => {
                let line = self.first_line(start);
                self.cut(
                    Diagnostic::error("V0006", line, "this name in backticks does not end")
                        .hint("close it with a backtick"),
                );
            }
        }
    }

    fn line_comment(&mut self) {
        let end = self.text[self.at..].find('\n').map_or(self.text.len(), |i| self.at + i);
        let length = self.text[self.at..end].trim_end().len();
        self.out.comments.push(Span::new(self.at, self.at + length));
        self.at = end;
    }

    fn block_comment(&mut self) {
        let start = self.at;
        let end = match self.text[start + 2..].find("*/") {
            Some(length) => start + 2 + length + 2,
            None => {
                let span = Span::new(start, start + 2);
                self.report(Diagnostic::error("V0005", span, "this comment does not end").hint("close it with `*/`"));
                self.out.cut = true;
                self.text.len()
            }
        };
        self.out.comments.push(Span::new(start, end));
        self.at = end;
    }

    /// The rest of the text belongs to a token that does not end.
    fn cut(&mut self, problem: Diagnostic) {
        self.report(problem);
        self.out.cut = true;
        self.push(Token::Bad, self.text.len());
    }

    fn first_line(&self, start: usize) -> Span {
        let rest = &self.text[start..];
        let line = rest.lines().next().unwrap_or(rest);
        Span::new(start, start + line.trim_end().len().max(1))
    }

    fn current(&self) -> char {
        self.text[self.at..].chars().next().unwrap_or('\0')
    }

    fn push(&mut self, token: Token, end: usize) {
        self.out.tokens.push(Lexeme { token, span: Span::new(self.at, end) });
        self.at = end;
    }

    fn report(&mut self, diagnostic: Diagnostic) {
        if self.out.diagnostics.len() < MAX_DIAGNOSTICS {
            self.out.diagnostics.push(diagnostic);
        }
    }
}

/// A few words of the text for a message.
pub(crate) fn clip(text: &str) -> String {
    const LONGEST: usize = 40;
    let line = text.lines().next().unwrap_or("");
    if line.len() == text.len() && text.chars().count() <= LONGEST {
        return text.to_owned();
    }
    line.chars().take(LONGEST - 1).chain(['…']).collect()
}

fn is_name_start(byte: u8) -> bool {
    byte.is_ascii_alphabetic() || byte == b'_'
}

fn is_name_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}

fn is_unreadable(c: char) -> bool {
    matches!(c, '$' | '@' | '?' | '\\' | '^')
        || (c.is_control() && !c.is_whitespace())
        || (!c.is_ascii() && !c.is_alphanumeric() && !c.is_whitespace() && closing_quote(c).is_none())
}

fn is_invisible(c: char) -> bool {
    matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{ad}')
}

fn closing_quote(open: char) -> Option<&'static [char]> {
    match open {
        '\u{2018}'..='\u{201b}' => Some(&['\u{2018}', '\u{2019}', '\'']),
        '\u{201c}'..='\u{201f}' => Some(&['\u{201c}', '\u{201d}', '"']),
        '\u{ab}' => Some(&['\u{bb}']),
        _ => None,
    }
}

fn describe(c: char) -> String {
    if c.is_control() || is_invisible(c) {
        format!("the invisible character U+{:04X}", c as u32)
    } else {
        format!("the character `{c}`")
    }
}

/// At most the first letters of a name, for a message.
fn clip_word(name: &str) -> &str {
    &name[..name.len().min(40)]
}
