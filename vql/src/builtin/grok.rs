//! `grok()`: patterns of named parts, as log formats are written.

use std::collections::HashMap;

use parking_lot::Mutex;

use super::grok_patterns::PATTERNS;
use super::prelude::*;

static GROK: Signature = Signature::new(
    "grok",
    "A dict of what the parts of a text are, by a pattern such as `%{IP:client} %{WORD:method}`; an empty dict where \
     it does not match.",
    &[
        req("grok", Text, "The pattern"),
        req("data", Text, "The text"),
        opt("patterns", Any, "More named patterns: a dict of name and pattern, or lines `NAME pattern`"),
        opt("all_captures", Bool, "Parts without a name of their own too, under that of their pattern"),
    ],
)
.group(Group::Parsing)
.examples(&[
    "SELECT grok(grok='%{IP:client} %{WORD:method} %{URIPATHPARAM:request}', data='10.0.0.1 GET /a?b=c') AS G FROM scope()",
    "SELECT grok(grok='%{VERSION:v}', data='v1.2', patterns=dict(VERSION='v[0-9.]+')).v AS V FROM scope()",
]);

/// Patterns within patterns: no deeper than this, and no longer when all is written out.
const MAX_DEPTH: u32 = 50;
const MAX_LENGTH: usize = 256 << 10;

fn grok(cx: &Context<'_>, args: &Args<'_>) -> Result<Value, CallError> {
    let pattern = args.str("grok")?;
    let more = args.value("patterns");
    let all = args.bool("all_captures")?;
    // The rows of a query have the same pattern more often than not.
    let (last, _) = cx.state(args.place(), || Mutex::new(None::<Arc<Compiled>>));
    let known = last.lock().clone().filter(|known| known.is_of(&pattern, &more, all));
    let compiled = match known {
        Some(compiled) => compiled,
        None => {
            let compiled = Arc::new(Compiled::new(cx, pattern, more, all)?);
            *last.lock() = Some(compiled.clone());
            compiled
        }
    };
    Ok(compiled.parse(&args.bytes("data")?))
}

struct Compiled {
    pattern: Arc<str>,
    more: Value,
    all: bool,
    regex: Arc<regex::bytes::Regex>,
    /// The name and type of each group of the regular expression, where it has one.
    groups: Vec<Option<Part>>,
}

#[derive(Clone)]
struct Part {
    name: Arc<str>,
    kind: Type,
}

#[derive(Clone, Copy)]
enum Type {
    Text,
    Int,
    Float,
}

impl Compiled {
    fn new(cx: &Context<'_>, pattern: Arc<str>, more: Value, all: bool) -> Result<Compiled, CallError> {
        let mut writer = Writer { named: own_patterns(&more)?, all, out: String::new(), parts: HashMap::new() };
        writer.write(&pattern, 0)?;
        // Patterns of the language ignore case; these do not.
        let regex = cx.regex(&format!("(?-i){}", writer.out))?;
        let plain = |name: &str| Part { name: name.into(), kind: Type::Text };
        let groups = regex
            .capture_names()
            .map(|name| name.map(|name| writer.parts.get(name).cloned().unwrap_or_else(|| plain(name))))
            .collect();
        Ok(Compiled { pattern, more, all, regex, groups })
    }

    fn is_of(&self, pattern: &str, more: &Value, all: bool) -> bool {
        *self.pattern == *pattern && self.all == all && (self.more.is_null() && more.is_null() || self.more == *more)
    }

    fn parse(&self, text: &[u8]) -> Value {
        let mut dict = Dict::new();
        let Some(found) = self.regex.captures(text) else { return dict.into() };
        for (at, part) in self.groups.iter().enumerate() {
            let Some(part) = part else { continue };
            match found.get(at) {
                Some(group) => {
                    // Of several parts of one name the one that is there is meant.
                    if !group.is_empty() || !dict.contains(&part.name) {
                        dict.set(part.name.clone(), typed(group.as_bytes(), part.kind));
                    }
                }
                None if dict.contains(&part.name) => {}
                None => dict.set(part.name.clone(), ""),
            }
        }
        dict.into()
    }
}

fn typed(text: &[u8], kind: Type) -> Value {
    let value = Value::from_bytes(text);
    let number = value.as_str().and_then(|text| match kind {
        Type::Text => None,
        Type::Int => crate::value::parse_int(text).map(Value::Int),
        Type::Float => text.trim().parse().ok().map(Value::Float),
    });
    number.unwrap_or(value)
}

/// The patterns of the call: a dict, or lines of name and pattern as text or as an array.
fn own_patterns(more: &Value) -> Result<HashMap<Arc<str>, Arc<str>>, CallError> {
    let mut named = HashMap::new();
    match more {
        Value::Null => {}
        Value::Dict(dict) => named.extend(dict.iter().map(|(name, pattern)| (name.clone(), pattern.to_text()))),
        Value::Array(items) => {
            for item in items.iter() {
                named.extend(own_patterns(item)?);
            }
        }
        Value::Str(lines) => {
            for line in lines.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#')) {
                let (name, pattern) = line
                    .split_once(char::is_whitespace)
                    .ok_or_else(|| CallError::new(format!("patterns: `{line}` is no name with a pattern after it")))?;
                named.insert(name.into(), pattern.trim_start().into());
            }
        }
        other => return Err(CallError::new(format!("patterns: a dict of patterns, not {}", other.type_name()))),
    }
    Ok(named)
}

/// Writes a pattern out as a regular expression.
struct Writer {
    named: HashMap<Arc<str>, Arc<str>>,
    all: bool,
    out: String,
    /// What our names of groups stand for: names in patterns may be any text, and there may be several of one name.
    parts: HashMap<String, Part>,
}

impl Writer {
    fn write(&mut self, pattern: &str, depth: u32) -> Result<(), CallError> {
        if depth > MAX_DEPTH {
            return Err("the patterns name each other without end".into());
        }
        let mut rest = pattern;
        while let Some((before, after)) = rest.split_once("%{") {
            self.out.push_str(before);
            let (reference, after) =
                after.split_once('}').ok_or_else(|| CallError::new(format!("`%{{{after}` is not closed by `}}`")))?;
            self.reference(reference, depth)?;
            rest = after;
            if self.out.len() > MAX_LENGTH {
                return Err("the pattern is too long when all its parts are written out".into());
            }
        }
        self.out.push_str(rest);
        Ok(())
    }

    fn reference(&mut self, reference: &str, depth: u32) -> Result<(), CallError> {
        let mut words = reference.split(':');
        let syntax = words.next().unwrap_or_default();
        let own = words.next().filter(|name| !name.is_empty());
        let kind = match words.next() {
            Some("int" | "long") => Type::Int,
            Some("float" | "double") => Type::Float,
            _ => Type::Text,
        };
        let pattern = match self.named.get(syntax) {
            Some(pattern) => pattern.clone(),
            None => match PATTERNS.iter().find(|(name, _)| *name == syntax) {
                Some((_, pattern)) => Arc::from(*pattern),
                None => {
                    let known = || PATTERNS.iter().map(|(name, _)| *name).chain(self.named.keys().map(|name| &**name));
                    let hint = crate::diagnostic::did_you_mean(syntax, known())
                        .unwrap_or_else(|| "name it in patterns=dict(…)".into());
                    return Err(CallError::new(format!("there is no pattern `{syntax}`: {hint}")));
                }
            },
        };
        match own.or(self.all.then_some(syntax)) {
            Some(name) => {
                let group = format!("grok{}", self.parts.len());
                self.out.push_str(&format!("(?P<{group}>"));
                self.parts.insert(group, Part { name: name.into(), kind });
            }
            None => self.out.push_str("(?:"),
        }
        self.write(&pattern, depth + 1)?;
        self.out.push(')');
        Ok(())
    }
}

pub(super) fn register(registry: &mut Registry) {
    registry.add_function(Func(&GROK, grok));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_known_pattern_can_be_used() {
        for (name, _) in PATTERNS {
            let mut writer = Writer { named: HashMap::new(), all: true, out: String::new(), parts: HashMap::new() };
            assert!(writer.reference(name, 0).is_ok(), "{name}");
            assert!(regex::bytes::Regex::new(&writer.out).is_ok(), "{name}: {}", writer.out);
        }
    }

    #[test]
    fn patterns_match_what_they_are_called() {
        let matches = |name: &str, text: &str| {
            let mut writer = Writer { named: HashMap::new(), all: false, out: String::new(), parts: HashMap::new() };
            writer.reference(name, 0).is_ok()
                && regex::bytes::Regex::new(&format!("^(?:{})$", writer.out)).is_ok_and(|r| r.is_match(text.as_bytes()))
        };
        for (name, good, bad) in [
            ("USERNAME", "a.b_c-1", "a b"),
            ("INT", "-12", "1.5"),
            ("NUMBER", "-1.5", "x"),
            ("BASE16NUM", "0xBEEF", "0xzz"),
            ("WORD", "abc_1", "a-b"),
            ("NOTSPACE", "a-b/c", "a b"),
            ("QUOTEDSTRING", "\"a \\\" b\"", "\"a"),
            ("UUID", "123e4567-e89b-12d3-a456-426614174000", "123e4567"),
            ("MAC", "00:1b:44:11:3a:b7", "00:1b:44"),
            ("MAC", "001b.4411.3ab7", "001b.4411"),
            ("IPV4", "192.168.1.255", "192.168.1.256"),
            ("IPV6", "fe80::1", "fe80"),
            ("IPV6", "2001:db8:0:0:0:0:2:1", "2001:db8:0:0:0:0:2:1:9"),
            ("IPV6", "::ffff:10.0.0.1", "::ffff:10.0.0"),
            ("IPORHOST", "www.example.org", "-"),
            ("HOSTPORT", "example.org:80", "example.org"),
            ("UNIXPATH", "/usr/bin/a-b", "usr"),
            ("WINPATH", "C:\\Windows\\a.exe", "C"),
            ("URI", "https://u:p@example.org:80/a/b?c=d", "example.org"),
            ("MONTH", "Sep", "Sept."),
            ("TIME", "23:59:60.123", "24:60"),
            ("DATE", "31.12.2024", "2024"),
            ("TIMESTAMP_ISO8601", "2024-01-02T03:04:05.678Z", "2024-01"),
            ("TIMESTAMP_ISO8601", "2024-01-02 03:04:05+02:00", "2024-01-02"),
            ("HTTPDATE", "10/Oct/2000:13:55:36 -0700", "10/Oct/2000"),
            ("SYSLOGTIMESTAMP", "Jan  2 03:04:05", "Jan 2"),
            ("SYSLOGPROG", "sshd[123]", "a b"),
            ("LOGLEVEL", "WARNING", "LOUD"),
            ("EMAILADDRESS", "a.b@example.org", "a.b"),
        ] {
            assert!(matches(name, good), "{name} {good}");
            assert!(!matches(name, bad), "{name} {bad}");
        }
    }
}
