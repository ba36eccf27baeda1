//! The text of a profile: JSON as people write it, with comments, trailing commas, names without quotes, hexadecimal
//! numbers and strings over several lines.

/// How deep lists and maps may nest.
const MAX_DEPTH: u32 = 40;

/// One value of the text.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Node {
    Null,
    Bool(bool),
    Int(i64),
    Float(f64),
    Text(String),
    List(Vec<Node>),
    Map(Vec<(String, Node)>),
}

impl Node {
    /// What kind of value it is, for messages.
    pub(super) fn kind(&self) -> &'static str {
        match self {
            Node::Null => "null",
            Node::Bool(_) => "a boolean",
            Node::Int(_) | Node::Float(_) => "a number",
            Node::Text(_) => "text",
            Node::List(_) => "a list",
            Node::Map(_) => "a dict",
        }
    }
}

/// Parses the first value of the text; what follows is not looked at, as it is in profiles that close a bracket twice.
/// The error says where and why.
pub(super) fn parse(text: &str) -> Result<Node, String> {
    let mut reader = Reader { text, at: 0 };
    reader.value(0).map_err(|why| {
        let before = &text[..reader.at.min(text.len())];
        let line = before.bytes().filter(|b| *b == b'\n').count() + 1;
        let column = before.rsplit('\n').next().map_or(0, |l| l.chars().count()) + 1;
        format!("the profile's line {line}, column {column}: {why}")
    })
}

struct Reader<'t> {
    text: &'t str,
    at: usize,
}

impl Reader<'_> {
    fn peek(&self) -> Option<char> {
        self.text[self.at..].chars().next()
    }

    fn next(&mut self) -> Option<char> {
        let c = self.peek()?;
        self.at += c.len_utf8();
        Some(c)
    }

    /// Steps over white space and comments.
    fn skip(&mut self) {
        loop {
            let rest = &self.text[self.at..];
            let blank = rest.len() - rest.trim_start().len();
            self.at += blank;
            let rest = &self.text[self.at..];
            let end = if rest.starts_with('#') || rest.starts_with("//") {
                rest.find('\n').unwrap_or(rest.len())
            } else if rest.starts_with("/*") {
                rest.find("*/").map_or(rest.len(), |end| end + 2)
            } else {
                return;
            };
            self.at += end;
        }
    }

    fn value(&mut self, depth: u32) -> Result<Node, String> {
        if depth > MAX_DEPTH {
            return Err(format!("it nests deeper than {MAX_DEPTH} levels"));
        }
        self.skip();
        match self.peek() {
            None => Err("it ends where a value should stand".into()),
            Some('[') => self.list(depth),
            Some('{') => self.map(depth),
            Some(quote @ ('"' | '\'')) => Ok(Node::Text(self.quoted(quote)?)),
            Some(c @ (']' | '}' | ',' | ':')) => Err(format!("`{c}` stands where a value should")),
            Some(_) => Ok(word(self.plain())),
        }
    }

    fn list(&mut self, depth: u32) -> Result<Node, String> {
        self.next();
        let mut items = Vec::new();
        loop {
            self.skip();
            if self.peek() == Some(']') {
                self.next();
                return Ok(Node::List(items));
            }
            items.push(self.value(depth + 1)?);
            self.skip();
            match self.peek() {
                Some(',') => drop(self.next()),
                Some(']') => {}
                Some(c) => return Err(format!("`{c}` in a list, where `,` or `]` should stand")),
                None => return Err("it ends within a list: a `]` is missing".into()),
            }
        }
    }

    fn map(&mut self, depth: u32) -> Result<Node, String> {
        self.next();
        let mut entries: Vec<(String, Node)> = Vec::new();
        loop {
            self.skip();
            let key = match self.peek() {
                Some('}') => {
                    self.next();
                    return Ok(Node::Map(entries));
                }
                Some(quote @ ('"' | '\'')) => self.quoted(quote)?,
                Some('[' | ']' | '{' | ',' | ':') | None => {
                    return Err("a name should stand here, as in {\"type\": \"uint32\"}".into());
                }
                Some(_) => self.plain().to_owned(),
            };
            self.skip();
            if self.peek() != Some(':') {
                return Err(format!("`:` should follow the name `{key}`"));
            }
            self.next();
            let value = self.value(depth + 1)?;
            entries.retain(|(name, _)| *name != key);
            entries.push((key, value));
            self.skip();
            match self.peek() {
                Some(',') => drop(self.next()),
                Some('}') => {}
                Some(c) => return Err(format!("`{c}` in a dict, where `,` or `}}` should stand")),
                None => return Err("it ends within a dict: a `}` is missing".into()),
            }
        }
    }

    /// A string in quotes. In single ones two of them stand for one and nothing else is special; in double ones `\` is.
    fn quoted(&mut self, quote: char) -> Result<String, String> {
        let start = self.at;
        self.next();
        let mut out = String::new();
        while let Some(c) = self.next() {
            match c {
                '\'' if quote == '\'' && self.peek() == Some('\'') => {
                    self.next();
                    out.push('\'');
                }
                c if c == quote => return Ok(out),
                '\\' if quote == '"' => match self.next() {
                    Some('n') => out.push('\n'),
                    Some('t') => out.push('\t'),
                    Some('r') => out.push('\r'),
                    Some('b') => out.push('\u{8}'),
                    Some('f') => out.push('\u{c}'),
                    Some('0') => out.push('\0'),
                    Some('x') => out.push(self.code(2)?),
                    Some('u') => out.push(self.unicode()?),
                    Some(other) => out.push(other),
                    None => break,
                },
                c => out.push(c),
            }
        }
        self.at = start;
        Err("a string begins here and is not closed".into())
    }

    fn code(&mut self, digits: usize) -> Result<char, String> {
        self.number(digits).map(|n| char::from_u32(n).unwrap_or(char::REPLACEMENT_CHARACTER))
    }

    fn unicode(&mut self) -> Result<char, String> {
        let high = self.number(4)?;
        if (0xd800..0xdc00).contains(&high) && self.text[self.at..].starts_with("\\u") {
            self.at += 2;
            let low = self.number(4)?;
            let code = 0x1_0000 + ((high - 0xd800) << 10) + (low.wrapping_sub(0xdc00) & 0x3ff);
            return Ok(char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER));
        }
        Ok(char::from_u32(high).unwrap_or(char::REPLACEMENT_CHARACTER))
    }

    fn number(&mut self, digits: usize) -> Result<u32, String> {
        let found = self.text.get(self.at..self.at + digits).and_then(|t| u32::from_str_radix(t, 16).ok());
        let found = found.ok_or_else(|| format!("{digits} hexadecimal digits should follow"))?;
        self.at += digits;
        Ok(found)
    }

    /// A word without quotes, up to what separates.
    fn plain(&mut self) -> &str {
        let rest = &self.text[self.at..];
        let mut end = rest.len();
        let mut before = ' ';
        for (i, c) in rest.char_indices() {
            let after = rest[i + c.len_utf8()..].chars().next().unwrap_or(' ');
            let ends = match c {
                ',' | '[' | ']' | '{' | '}' | '\n' => true,
                '#' | '"' | '\'' => before.is_whitespace(),
                ':' => after.is_whitespace() || matches!(after, '"' | '\'' | '[' | '{'),
                _ => false,
            };
            if ends && i > 0 {
                end = i;
                break;
            }
            before = c;
        }
        self.at += end;
        rest[..end].trim()
    }
}

/// What a word without quotes means.
fn word(text: &str) -> Node {
    match text {
        "null" | "Null" | "NULL" | "~" => return Node::Null,
        "true" | "True" | "TRUE" => return Node::Bool(true),
        "false" | "False" | "FALSE" => return Node::Bool(false),
        _ => {}
    }
    let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
    if digits.starts_with(|c: char| c.is_ascii_digit() || c == '.') {
        let hex = digits.starts_with("0x") || digits.starts_with("0X");
        if (hex || digits.bytes().all(|b| b.is_ascii_digit()))
            && let Some(int) = crate::value::parse_int(text)
        {
            return Node::Int(int);
        }
        if let Ok(float) = text.parse::<f64>() {
            return Node::Float(float);
        }
    }
    Node::Text(text.to_owned())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn show(node: &Node) -> String {
        match node {
            Node::List(items) => format!("[{}]", items.iter().map(show).collect::<Vec<_>>().join(" ")),
            Node::Map(entries) => {
                format!("{{{}}}", entries.iter().map(|(k, v)| format!("{k}={}", show(v))).collect::<Vec<_>>().join(" "))
            }
            Node::Text(text) => format!("'{text}'"),
            Node::Int(i) => i.to_string(),
            Node::Float(f) => f.to_string(),
            Node::Bool(b) => b.to_string(),
            Node::Null => "null".into(),
        }
    }

    #[test]
    fn what_people_write() {
        for (text, wanted) in [
            (r#"["a", 1, [], {"b": 2.5}]"#, "['a' 1 [] {b=2.5}]"),
            ("[a, 0x1F, 0X10, -3, 1.5e3, null, true,]", "['a' 31 16 -3 1500 null true]"),
            ("# first\n[ // one\n 1, /* two */ 2 # end\n]", "[1 2]"),
            ("[Value, {value: \"x=>x.Size\", type: uint8,},]", "['Value' {value='x=>x.Size' type='uint8'}]"),
            ("['x=>if(a=''b'')\n', \"a\\\\b\\\"\\u0041\"]", "['x=>if(a='b')\n' 'a\\b\"A']"),
            ("{\"a\":1, a: 2}", "{a=2}"),
            ("[unsigned int, 1]]\n]", "['unsigned int' 1]"),
            ("[x=>x.A]", "['x=>x.A']"),
        ] {
            assert_eq!(show(&parse(text).unwrap()), wanted, "{text}");
        }
    }

    #[test]
    fn mistakes_have_a_place() {
        let deep = "[".repeat(200);
        for (text, wanted) in [
            ("", "line 1, column 1: it ends where a value should stand"),
            ("[1 \"a\"", "column 4"),
            ("[1, 2", "a `]` is missing"),
            ("[\n 1,\n {a 1}]", "line 3, column 6: `:` should follow"),
            ("[\"abc", "column 2: a string begins here"),
            ("[,]", "`,` stands where a value should"),
            (&deep, "nests deeper"),
            ("{: 1}", "a name should stand here"),
        ] {
            let error = parse(text).unwrap_err();
            assert!(error.contains(wanted), "{text}: {error}");
        }
    }
}
