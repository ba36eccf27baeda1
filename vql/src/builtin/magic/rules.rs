//! Rules in the syntax of magic(5), the part of it that single rules use.

use super::Kind;

/// The most rules that are read.
const MAX_RULES: usize = 10_000;

#[derive(Debug)]
pub(super) struct Rule {
    /// How many `>` stand in front.
    level: usize,
    offset: usize,
    what: What,
    test: Test,
    text: String,
    mime: String,
    endings: String,
    strength: i64,
}

#[derive(Debug)]
enum What {
    /// Bytes at the place, or within so many bytes of it; letters of any case with `nocase`.
    Text {
        within: usize,
        nocase: bool,
    },
    Number {
        size: usize,
        big: bool,
        mask: u64,
        signed: bool,
    },
}

#[derive(Debug)]
enum Test {
    Any,
    Bytes { not: bool, bytes: Vec<u8> },
    Number { op: char, value: u64 },
}

/// The rules of a text, and what is wrong with its lines.
pub(super) fn parse(text: &str) -> (Vec<Rule>, Vec<String>) {
    let mut rules: Vec<Rule> = Vec::new();
    let mut problems = Vec::new();
    for (number, line) in text.lines().enumerate() {
        let trimmed = line.trim();
        if trimmed.is_empty() || trimmed.starts_with('#') {
            continue;
        }
        if let Some(note) = trimmed.strip_prefix("!:") {
            let (name, value) = note.split_once(char::is_whitespace).unwrap_or((note, ""));
            if let Some(rule) = rules.last_mut() {
                match name {
                    "mime" => rule.mime = value.trim().to_owned(),
                    "ext" => rule.endings = value.trim().to_owned(),
                    "strength" => rule.strength = strength(value),
                    _ => {}
                }
            }
            continue;
        }
        if rules.len() >= MAX_RULES {
            problems.push(format!("more than {MAX_RULES} rules: the others are left out"));
            break;
        }
        match rule(trimmed) {
            Ok(rule) => rules.push(rule),
            Err(why) => problems.push(format!("rule in line {}: {why}", number + 1)),
        }
    }
    (rules, problems)
}

fn strength(text: &str) -> i64 {
    let digits: String = text.chars().filter(char::is_ascii_digit).collect();
    let value = digits.parse().unwrap_or(0);
    if text.trim_start().starts_with('-') { -value } else { value }
}

fn rule(line: &str) -> Result<Rule, String> {
    let level = line.bytes().take_while(|b| *b == b'>').count();
    let (offset, rest) = field(&line[level..]);
    let (kind, rest) = field(rest);
    let (test, rest) = field(rest);
    let offset = number(offset).and_then(|n| usize::try_from(n).ok());
    let offset = offset.ok_or("the offset must be a number; others are not known here")?;
    if kind.is_empty() || test.is_empty() {
        return Err("a rule is an offset, a type, a test and a text".into());
    }
    let (name, modifier) = match kind.find(['/', '&']) {
        Some(at) => kind.split_at(at),
        None => (kind, ""),
    };
    let what = what(name, modifier)?;
    let test = match &what {
        What::Text { .. } if test == "x" => Test::Any,
        What::Text { .. } => {
            let (not, text) = match test.strip_prefix('!') {
                Some(rest) => (true, rest),
                None => (false, test.strip_prefix('=').unwrap_or(test)),
            };
            Test::Bytes { not, bytes: unescape(text) }
        }
        What::Number { .. } if test == "x" => Test::Any,
        What::Number { .. } => {
            let (op, text) = match test.chars().next() {
                Some(op @ ('=' | '!' | '<' | '>' | '&' | '^')) => (op, &test[1..]),
                _ => ('=', test),
            };
            let value = number(text).ok_or_else(|| format!("`{text}` is no number"))?;
            Test::Number { op, value: value as u64 }
        }
    };
    let text = rest.trim().to_owned();
    Ok(Rule { level, offset, what, test, text, mime: String::new(), endings: String::new(), strength: 0 })
}

fn what(name: &str, modifier: &str) -> Result<What, String> {
    let within = |text: &str| text.split('/').find_map(number).and_then(|n| usize::try_from(n).ok());
    let nocase = modifier.contains(['c', 'C']);
    match name {
        "string" => return Ok(What::Text { within: 0, nocase }),
        "search" => return Ok(What::Text { within: within(modifier).unwrap_or(1024), nocase }),
        "regex" | "default" | "use" | "name" | "indirect" => {
            return Err(format!("the type `{name}` is not known here"));
        }
        _ => {}
    }
    let mask = match modifier.strip_prefix('&') {
        Some(mask) => number(mask).ok_or_else(|| format!("`{mask}` is no mask"))? as u64,
        None => u64::MAX,
    };
    let (signed, base) = match name.strip_prefix('u') {
        Some(base) => (false, base),
        None => (true, name),
    };
    let (big, base) = match (base.strip_prefix("be"), base.strip_prefix("le")) {
        (Some(base), _) => (true, base),
        (_, Some(base)) => (false, base),
        _ => (cfg!(target_endian = "big"), base),
    };
    let size = match base {
        "byte" => 1,
        "short" => 2,
        "long" => 4,
        "quad" => 8,
        _ => return Err(format!("the type `{name}` is not known here")),
    };
    Ok(What::Number { size, big, mask, signed })
}

/// The next word, with escaped white space in it, and what follows.
fn field(text: &str) -> (&str, &str) {
    let text = text.trim_start();
    let mut escaped = false;
    let end = text.char_indices().find(|(_, c)| {
        let ends = c.is_whitespace() && !escaped;
        escaped = *c == '\\' && !escaped;
        ends
    });
    end.map_or((text, ""), |(at, _)| text.split_at(at))
}

fn number(text: &str) -> Option<i64> {
    match text.strip_prefix('0').filter(|rest| !rest.is_empty() && rest.bytes().all(|b| b.is_ascii_digit())) {
        Some(octal) => i64::from_str_radix(octal, 8).ok(),
        None => crate::value::parse_int(text.trim_end_matches(['L', 'l'])),
    }
}

fn unescape(text: &str) -> Vec<u8> {
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        if bytes[at] != b'\\' || at + 1 == bytes.len() {
            out.push(bytes[at]);
            at += 1;
            continue;
        }
        let digits = |from: usize, most: usize, radix: u32| {
            bytes[from.min(bytes.len())..].iter().take(most).take_while(|b| char::from(**b).is_digit(radix)).count()
        };
        let (value, used) = match bytes[at + 1] {
            b'n' => (b'\n', 2),
            b'r' => (b'\r', 2),
            b't' => (b'\t', 2),
            b'b' => (8, 2),
            b'a' => (7, 2),
            b'f' => (12, 2),
            b'v' => (11, 2),
            b'x' if digits(at + 2, 2, 16) > 0 => {
                let count = digits(at + 2, 2, 16);
                (u8::from_str_radix(&text[at + 2..at + 2 + count], 16).unwrap_or(0), 2 + count)
            }
            b'0'..=b'7' => {
                let count = digits(at + 1, 3, 8);
                (u16::from_str_radix(&text[at + 1..at + 1 + count], 8).unwrap_or(0) as u8, 1 + count)
            }
            other => (other, 2),
        };
        out.push(value);
        at += used;
    }
    out
}

/// The kind by the rule that matches, the strongest first, with the texts of the rules below it.
pub(super) fn find(rules: &[Rule], head: &[u8]) -> Option<Kind> {
    let mut best: Option<(i64, Kind)> = None;
    let mut at = 0;
    while at < rules.len() {
        let end = rules[at + 1..].iter().position(|rule| rule.level == 0).map_or(rules.len(), |next| at + 1 + next);
        if rules[at].level == 0 && rules[at].holds(head) {
            let strength = rules[at].strength;
            let kind = follow(&rules[at..end], head);
            if !kind.text.is_empty() && best.as_ref().is_none_or(|(known, _)| strength > *known) {
                best = Some((strength, kind));
            }
        }
        at = end;
    }
    best.map(|(_, kind)| kind)
}

fn follow(rules: &[Rule], head: &[u8]) -> Kind {
    let mut kind = Kind::default();
    // The rules of a level count below one that held.
    let mut open = 0;
    for (i, rule) in rules.iter().enumerate() {
        if i > 0 && (rule.level > open || !rule.holds(head)) {
            open = open.min(rule.level);
            continue;
        }
        open = rule.level + 1;
        let text = rule.shown(head);
        if let Some(joined) = text.strip_prefix("\\b") {
            kind.text.push_str(joined);
        } else if !text.is_empty() {
            if !kind.text.is_empty() {
                kind.text.push(' ');
            }
            kind.text.push_str(&text);
        }
        if !rule.mime.is_empty() {
            kind.mime.clone_from(&rule.mime);
        }
        if !rule.endings.is_empty() {
            kind.endings.clone_from(&rule.endings);
        }
    }
    kind
}

impl Rule {
    fn holds(&self, head: &[u8]) -> bool {
        let Some(rest) = head.get(self.offset..) else { return false };
        match (&self.what, &self.test) {
            (What::Text { .. }, Test::Any) => !rest.is_empty(),
            (What::Text { within, nocase }, Test::Bytes { not, bytes }) => {
                let window = &rest[..rest.len().min(within.saturating_add(bytes.len()))];
                let found = match nocase {
                    true => {
                        let (window, bytes) = (window.to_ascii_lowercase(), bytes.to_ascii_lowercase());
                        memchr::memmem::find(&window, &bytes).is_some()
                    }
                    false => memchr::memmem::find(window, bytes).is_some(),
                };
                found != *not
            }
            (What::Number { .. }, Test::Any) => self.number(head).is_some(),
            (What::Number { signed, size, .. }, Test::Number { op, value }) => match self.number(head) {
                None => false,
                Some(found) => {
                    let unused = 64 - *size as u32 * 8;
                    let (a, b) = (found, value << unused >> unused);
                    let sign = |n: u64| (n << unused) as i64 >> unused;
                    match op {
                        '!' => a != b,
                        '<' if *signed => sign(a) < sign(b),
                        '>' if *signed => sign(a) > sign(b),
                        '<' => a < b,
                        '>' => a > b,
                        '&' => a & b == b,
                        '^' => a & b != b,
                        _ => a == b,
                    }
                }
            },
            _ => false,
        }
    }

    fn number(&self, head: &[u8]) -> Option<u64> {
        let What::Number { size, big, mask, .. } = &self.what else { return None };
        let bytes = head.get(self.offset..self.offset.checked_add(*size)?)?;
        let join = |sum: u64, byte: &u8| sum << 8 | u64::from(*byte);
        let number = if *big { bytes.iter().fold(0, join) } else { bytes.iter().rev().fold(0, join) };
        Some(number & mask)
    }

    /// The text with the value in the place of its verb.
    fn shown(&self, head: &[u8]) -> String {
        let Some(at) = self.text.find('%') else { return self.text.clone() };
        let rest = &self.text[at + 1..];
        let length =
            rest.find(|c: char| c.is_ascii_alphabetic() && !matches!(c, 'l' | 'h' | 'q')).map_or(0, |end| end + 1);
        let value = match (&self.what, rest.get(length.saturating_sub(1)..length)) {
            (What::Number { .. }, Some("x")) => format!("{:x}", self.number(head).unwrap_or(0)),
            (What::Number { .. }, Some("X")) => format!("{:X}", self.number(head).unwrap_or(0)),
            (What::Number { .. }, Some(_)) => self.number(head).unwrap_or(0).to_string(),
            (What::Text { .. }, Some("s")) => {
                let rest = head.get(self.offset..).unwrap_or(&[]);
                let end =
                    rest.iter().take(256).position(|b| matches!(b, 0 | b'\n' | b'\r')).unwrap_or(rest.len().min(256));
                String::from_utf8_lossy(&rest[..end]).into_owned()
            }
            _ => return self.text.clone(),
        };
        format!("{}{value}{}", &self.text[..at], &rest[length..])
    }
}
