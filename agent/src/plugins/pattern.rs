//! Glob patterns: text → what a walk looks for, one part of a path at a time.
//!
//! `*` and `?` match within a name, `[a-z]` and `[!a-z]` one character, `{a,b}` either of two texts (slashes too),
//! `**` any number of directories up to [`DEFAULT_DEPTH`], `**5` up to five; at the end of a pattern it matches
//! everything below.

/// How deep `**` goes when it does not say.
pub(super) const DEFAULT_DEPTH: u32 = 30;

/// Braces may multiply a pattern into so many.
const MAX_PATTERNS: usize = 10_000;

/// One part of a path.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Part {
    Name(Vec<u8>),
    Wild(Vec<Token>),
    Deep(u32),
}

/// A step in a name.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Token {
    Byte(u8),
    /// One character.
    Any,
    /// Any text.
    Many,
    /// One character among (or not among) these.
    Set {
        ranges: Vec<(char, char)>,
        negated: bool,
    },
}

/// The patterns that one text stands for, each as its parts. Empty parts (`//`) are left out.
pub(super) fn parse(text: &[u8]) -> Result<Vec<Vec<Part>>, String> {
    let mut all = Vec::new();
    expand(text, &mut all)?;
    Ok(all.iter().map(|pattern| pattern.split(|b| *b == b'/').filter(|p| !p.is_empty()).map(part).collect()).collect())
}

/// Replaces the first `{a,b}` by each of its texts, and so on with the rest.
fn expand(text: &[u8], all: &mut Vec<Vec<u8>>) -> Result<(), String> {
    let Some((open, close, commas)) = braces(text) else {
        all.push(text.to_vec());
        return if all.len() > MAX_PATTERNS {
            Err(format!("the braces make more than {MAX_PATTERNS} patterns"))
        } else {
            Ok(())
        };
    };
    let mut from = open + 1;
    for to in commas.into_iter().chain([close]) {
        expand(&[&text[..open], &text[from..to], &text[close + 1..]].concat(), all)?;
        from = to + 1;
    }
    Ok(())
}

/// The first pair of braces that has a comma, and its own commas.
fn braces(text: &[u8]) -> Option<(usize, usize, Vec<usize>)> {
    let mut start = 0;
    while let Some(open) = text[start..].iter().position(|byte| *byte == b'{').map(|at| at + start) {
        let (mut depth, mut commas) = (0, Vec::new());
        for (at, byte) in text.iter().enumerate().skip(open) {
            match byte {
                b'{' => depth += 1,
                b',' if depth == 1 => commas.push(at),
                b'}' => depth -= 1,
                _ => {}
            }
            if depth == 0 {
                if !commas.is_empty() {
                    return Some((open, at, commas));
                }
                break;
            }
        }
        start = open + 1;
    }
    None
}

fn part(text: &[u8]) -> Part {
    if let Some(depth) = text.strip_prefix(b"**") {
        let digits = std::str::from_utf8(depth).unwrap_or("?");
        if digits.is_empty() {
            return Part::Deep(DEFAULT_DEPTH);
        }
        if let Ok(depth) = digits.parse() {
            return Part::Deep(depth);
        }
    }
    let tokens = tokens(text);
    let plain: Option<Vec<u8>> =
        tokens.iter().map(|token| if let Token::Byte(byte) = token { Some(*byte) } else { None }).collect();
    plain.map_or(Part::Wild(tokens), Part::Name)
}

fn tokens(text: &[u8]) -> Vec<Token> {
    let mut tokens = Vec::new();
    let mut at = 0;
    while let Some(byte) = text.get(at) {
        at += 1;
        match byte {
            b'*' => {
                if tokens.last() != Some(&Token::Many) {
                    tokens.push(Token::Many);
                }
            }
            b'?' => tokens.push(Token::Any),
            b'\\' if text.get(at).is_some() => {
                tokens.push(Token::Byte(text[at]));
                at += 1;
            }
            b'[' => match set(&text[at..]) {
                Some((set, len)) => {
                    tokens.push(set);
                    at += len;
                }
                // A bracket that nothing closes is a bracket.
                None => tokens.push(Token::Byte(b'[')),
            },
            other => tokens.push(Token::Byte(*other)),
        }
    }
    tokens
}

/// What stands behind `[`, up to and with `]`.
fn set(text: &[u8]) -> Option<(Token, usize)> {
    let negated = matches!(text.first(), Some(b'!' | b'^'));
    let start = usize::from(negated);
    // A bracket that comes first is one of the set.
    let close = text.iter().skip(start + 1).position(|byte| *byte == b']')? + start + 1;
    let mut chars = std::str::from_utf8(&text[start..close]).ok()?.chars().peekable();
    let mut ranges = Vec::new();
    while let Some(first) = chars.next() {
        let mut rest = chars.clone();
        match (rest.next(), rest.next()) {
            (Some('-'), Some(last)) => {
                ranges.push((first, last));
                chars = rest;
            }
            _ => ranges.push((first, first)),
        }
    }
    Some((Token::Set { ranges, negated }, close + 1))
}

/// Whether a name is what the part says. [`Part::Deep`] matches every name.
pub(super) fn matches(part: &Part, name: &[u8], nocase: bool) -> bool {
    match part {
        Part::Deep(_) => true,
        Part::Name(expected) => {
            if nocase {
                same(expected, name)
            } else {
                expected == name
            }
        }
        Part::Wild(tokens) => wild(tokens, name, nocase),
    }
}

/// Equal but for the case.
fn same(a: &[u8], b: &[u8]) -> bool {
    a.eq_ignore_ascii_case(b) || {
        let lower = |bytes| std::str::from_utf8(bytes).ok().map(str::to_lowercase);
        lower(a).is_some_and(|a| Some(a) == lower(b))
    }
}

/// Time follows the product of the lengths: on a mismatch only the last `*` takes one character more.
fn wild(tokens: &[Token], name: &[u8], nocase: bool) -> bool {
    let (mut token, mut at) = (0, 0);
    let mut back: Option<(usize, usize)> = None;
    while at < name.len() {
        match tokens.get(token) {
            Some(Token::Many) => {
                back = Some((token, at));
                token += 1;
                continue;
            }
            Some(one) => {
                let (c, len) = character(&name[at..]);
                if fits(one, name[at], c, nocase) {
                    token += 1;
                    at += if matches!(one, Token::Byte(_)) { 1 } else { len };
                    continue;
                }
            }
            None => {}
        }
        match &mut back {
            Some((many, from)) => {
                *from += 1;
                (token, at) = (*many + 1, *from);
            }
            None => return false,
        }
    }
    tokens[token..].iter().all(|rest| *rest == Token::Many)
}

fn fits(token: &Token, byte: u8, c: Option<char>, nocase: bool) -> bool {
    match token {
        Token::Byte(expected) => *expected == byte || (nocase && expected.eq_ignore_ascii_case(&byte)),
        Token::Any | Token::Many => true,
        Token::Set { ranges, negated } => {
            let within = |c: char| ranges.iter().any(|(from, to)| (*from..=*to).contains(&c));
            let found = c.is_some_and(|c| {
                within(c) || (nocase && (c.to_lowercase().any(within) || c.to_uppercase().any(within)))
            });
            found != *negated
        }
    }
}

/// The first character, None where there is none, and how many bytes it takes.
fn character(name: &[u8]) -> (Option<char>, usize) {
    let piece = &name[..name.len().min(4)];
    let valid = match std::str::from_utf8(piece) {
        Ok(text) => text,
        Err(error) => std::str::from_utf8(&piece[..error.valid_up_to()]).unwrap_or_default(),
    };
    valid.chars().next().map_or((None, 1), |c| (Some(c), c.len_utf8()))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn names_match_their_patterns() {
        for (pattern, name, nocase, expected) in [
            ("*", &b"anything"[..], false, true),
            ("*", b"", false, true),
            ("a*c", b"abc", false, true),
            ("a*c", b"ac", false, true),
            ("a*c", b"abcd", false, false),
            ("a*b*c", b"axbxbxc", false, true),
            ("*.txt", b"A.TXT", false, false),
            ("*.txt", b"A.TXT", true, true),
            ("?", "\u{e4}".as_bytes(), false, true),
            ("??", "\u{e4}".as_bytes(), false, false),
            ("[a-c]x", b"bx", false, true),
            ("[!a-c]x", b"bx", false, false),
            ("[^a]", b"b", false, true),
            ("[]]", b"]", false, true),
            ("[a-]", b"-", false, true),
            ("[A-C]", b"b", true, true),
            ("[", b"[", false, true),
            ("[x", b"[x", false, true),
            ("a\\*", b"a*", false, true),
            ("a\\*", b"ab", false, false),
            ("*", b"bad\xff\nname", false, true),
            ("bad?name", b"bad\xffname", false, true),
            ("\u{c4}*", "\u{e4}b".as_bytes(), true, false),
            ("{a}", b"{a}", false, true),
        ] {
            let parts = parse(pattern.as_bytes()).unwrap();
            assert_eq!(matches(&parts[0][0], name, nocase), expected, "{pattern} {}", String::from_utf8_lossy(name));
        }
    }

    #[test]
    fn a_hostile_pattern_takes_no_time() {
        let parts = parse("*a".repeat(200).as_bytes()).unwrap();
        assert!(!matches(&parts[0][0], "a".repeat(199).as_bytes(), false));
        assert!(parse("{a,b}".repeat(20).as_bytes()).is_err());
        assert!(parse("{".repeat(10_000).as_bytes()).is_ok());
    }

    #[test]
    fn braces_and_depths() {
        let texts = |pattern: &str| {
            let mut all = Vec::new();
            expand(pattern.as_bytes(), &mut all).unwrap();
            all.into_iter().map(|text| String::from_utf8(text).unwrap()).collect::<Vec<_>>()
        };
        assert_eq!(texts("/a/{b,c/d}/e"), ["/a/b/e", "/a/c/d/e"]);
        assert_eq!(texts("{a,{b,c}}{1,2}"), ["a1", "a2", "b1", "b2", "c1", "c2"]);
        assert_eq!(texts("{a}/{,b}"), ["{a}/", "{a}/b"]);
        assert_eq!(texts("a,b}{c"), ["a,b}{c"]);
        let deep = |pattern: &str| parse(pattern.as_bytes()).unwrap().remove(0);
        assert_eq!(deep("/a//**/b")[1], Part::Deep(DEFAULT_DEPTH));
        assert_eq!(deep("**5"), [Part::Deep(5)]);
        assert!(matches!(&deep("**x")[0], Part::Wild(_)));
    }
}
