//! Functions on text.

use regex::bytes::{Captures, Regex};

use super::prelude::*;

static LOWCASE: Signature = Signature::new("lowcase", "The text in lower case.", &[req("string", Text, "The text")])
    .group(Group::Strings)
    .examples(&["SELECT lowcase(string='ABC') AS Text FROM scope()"]);

fn lowcase(_cx: &Context<'_>, args: &Args<'_>) -> Result<Value, CallError> {
    Ok(Value::from(args.str("string")?.to_lowercase()))
}

static UPCASE: Signature = Signature::new("upcase", "The text in upper case.", &[req("string", Text, "The text")])
    .group(Group::Strings)
    .examples(&["SELECT upcase(string='abc') AS Text FROM scope()"]);

fn upcase(_cx: &Context<'_>, args: &Args<'_>) -> Result<Value, CallError> {
    Ok(Value::from(args.str("string")?.to_uppercase()))
}

static SUBSTR: Signature = Signature::new(
    "substr",
    "The characters from `start` up to, but without, `end`.",
    &[req("str", Text, "The text"), opt("start", Int, "0 without"), opt("end", Int, "To the end without")],
)
.group(Group::Strings)
.examples(&["SELECT substr(str='abcdef', start=1, end=3) AS Text FROM scope()"]);

fn substr(_cx: &Context<'_>, args: &Args<'_>) -> Result<Value, CallError> {
    let text = args.str("str")?;
    let start = usize::try_from(args.int("start")?).unwrap_or(0);
    let end = args.opt_int("end")?.map_or(usize::MAX, |e| usize::try_from(e).unwrap_or(0));
    Ok(Value::from(text.chars().skip(start).take(end.saturating_sub(start)).collect::<String>()))
}

static STRIP: Signature = Signature::new(
    "strip",
    "The text without a prefix and a suffix; without white space around when neither is given.",
    &[
        req("string", Text, "The text"),
        opt("prefix", Text, "What to take off in front"),
        opt("suffix", Text, "What to take off behind"),
    ],
)
.group(Group::Strings)
.examples(&["SELECT strip(string='abc', prefix='a') AS Text FROM scope()"]);

fn strip(_cx: &Context<'_>, args: &Args<'_>) -> Result<Value, CallError> {
    let text = args.str("string")?;
    let (prefix, suffix) = (args.opt_str("prefix")?, args.opt_str("suffix")?);
    if prefix.is_none() && suffix.is_none() {
        return Ok(Value::from(text.trim()));
    }
    let text = prefix.as_deref().and_then(|p| text.strip_prefix(p)).unwrap_or(&text);
    let text = suffix.as_deref().and_then(|s| text.strip_suffix(s)).unwrap_or(text);
    Ok(Value::from(text))
}

static SPLIT: Signature = Signature::new(
    "split",
    "Cuts a text at each separator.",
    &[
        req("string", Text, "The text"),
        opt("sep", Text, "The pattern of the separators"),
        opt("sep_string", Text, "The separator itself, when it is no pattern"),
    ],
)
.group(Group::Strings)
.examples(&["SELECT split(string='a,b', sep=',') AS Parts FROM scope()"]);

fn split(cx: &Context<'_>, args: &Args<'_>) -> Result<Value, CallError> {
    let text = args.bytes("string")?;
    if let Some(separator) = args.opt_str("sep_string")?.filter(|s| !s.is_empty()) {
        let text = String::from_utf8_lossy(&text);
        return Ok(Value::from(text.split(&*separator).collect::<Vec<_>>()));
    }
    let pattern = args.opt_str("sep")?.unwrap_or_else(|| Arc::from(","));
    if pattern.is_empty() {
        return Ok(Value::from(String::from_utf8_lossy(&text).chars().map(String::from).collect::<Vec<_>>()));
    }
    let regex = cx.regex(&pattern)?;
    Ok(Value::array(regex.split(&text).map(Value::from_bytes)))
}

static JOIN: Signature = Signature::new(
    "join",
    "The elements of an array as one text.",
    &[req("array", Text, "The elements").repeated(), opt("sep", Text, "What stands between them")],
)
.group(Group::Strings)
.examples(&["SELECT join(array=('a', 'b'), sep='-') AS Text FROM scope()"]);

fn join(_cx: &Context<'_>, args: &Args<'_>) -> Result<Value, CallError> {
    Ok(Value::from(args.strings("array")?.join(&args.str("sep")?)))
}

static REGEX_REPLACE: Signature = Signature::new(
    "regex_replace",
    "Replaces each match of a pattern.",
    &[
        req("source", Text, "The text"),
        req("re", Text, "The pattern"),
        opt("replace", Text, "What to put in its place; `$1` or `${name}` stand for groups"),
        opt("replace_lambda", Lambda, "Or a lambda that gets the match and gives the text"),
    ],
)
.group(Group::Strings)
.examples(&["SELECT regex_replace(source='hello', re='l+', replace='L') AS Text FROM scope()"]);

fn regex_replace(cx: &Context<'_>, args: &Args<'_>) -> Result<Value, CallError> {
    let source = args.bytes("source")?;
    let regex = cx.regex(&args.str("re")?)?;
    let replaced = match args.lambda("replace_lambda")? {
        Some(lambda) => replace_all(cx, &regex, &source, |found, out| {
            out.extend_from_slice(cx.call(&lambda, &[Value::from(&found[0])]).to_text().as_bytes());
        }),
        None => {
            let replace = args.bytes("replace")?;
            replace_all(cx, &regex, &source, |found, out| found.expand(&replace, out))
        }
    };
    Ok(Value::from_bytes(replaced?))
}

/// What a replacement may grow to: an empty pattern puts the new text beside every byte.
const MAX_REPLACED: usize = 100 << 20;

/// As the library's own, but it hears that the query is to stop, and its result is bounded.
fn replace_all(
    cx: &Context<'_>,
    regex: &Regex,
    source: &[u8],
    mut put: impl FnMut(&Captures<'_>, &mut Vec<u8>),
) -> Result<Vec<u8>, CallError> {
    let mut out = Vec::with_capacity(source.len());
    let mut done = 0;
    for (count, found) in regex.captures_iter(source).enumerate() {
        let Some(whole) = found.get(0) else { continue };
        out.extend_from_slice(&source[done..whole.start()]);
        put(&found, &mut out);
        done = whole.end();
        if out.len() > MAX_REPLACED {
            return Err(CallError::new(format!("the text would be longer than {} MiB", MAX_REPLACED >> 20)));
        }
        if count % 256 == 255 && cx.cancelled() {
            return Err(CallError::new("stopped within the text"));
        }
    }
    out.extend_from_slice(&source[done..]);
    Ok(out)
}

static REGEX_TRANSFORM: Signature = Signature::new(
    "regex_transform",
    "Replaces by several patterns, one after the other.",
    &[
        req("source", Text, "The text"),
        req("map", DictArg, "From pattern to replacement"),
        opt("key", Text, "Accepted for existing queries"),
    ],
)
.group(Group::Strings)
.examples(&["SELECT regex_transform(source='ab', map=dict(a='x')) AS Text FROM scope()"]);

fn regex_transform(cx: &Context<'_>, args: &Args<'_>) -> Result<Value, CallError> {
    let mut text = args.bytes("source")?.to_vec();
    for (pattern, replace) in args.dict("map")?.iter().flat_map(|d| d.iter()) {
        let (regex, replace) = (cx.regex(pattern)?, replace.to_text());
        text = replace_all(cx, &regex, &text, |found, out| found.expand(replace.as_bytes(), out))?;
    }
    Ok(Value::from_bytes(text))
}

static PARSE_STRING_WITH_REGEX: Signature = Signature::new(
    "parse_string_with_regex",
    "A dict of what the groups of the patterns matched; groups without a name are `g1`, `g2` and so on.",
    &[req("string", Text, "The text"), req("regex", Text, "The patterns").repeated()],
)
.group(Group::Strings)
.examples(&["SELECT parse_string_with_regex(string='pid 12', regex='pid (?P<Pid>\\\\d+)').Pid AS Pid FROM scope()"]);

fn parse_string_with_regex(cx: &Context<'_>, args: &Args<'_>) -> Result<Value, CallError> {
    let text = args.bytes("string")?;
    let mut dict = Dict::new();
    for pattern in args.strings("regex")? {
        let regex = cx.regex(&pattern)?;
        let names: Vec<Arc<str>> = regex
            .capture_names()
            .enumerate()
            .map(|(i, name)| name.map_or_else(|| Arc::from(format!("g{i}")), Arc::from))
            .collect();
        let found = regex.captures(&text);
        for (i, name) in names.iter().enumerate().skip(1) {
            match found.as_ref().and_then(|f| f.get(i)) {
                Some(group) => dict.set(name.clone(), Value::from_bytes(group.as_bytes())),
                None if dict.contains(name) => {}
                None => dict.set(name.clone(), ""),
            }
        }
    }
    Ok(Value::dict(dict))
}

pub(super) fn register(registry: &mut Registry) {
    registry.add_function(Func(&LOWCASE, lowcase));
    registry.add_function(Func(&UPCASE, upcase));
    registry.add_function(Func(&SUBSTR, substr));
    registry.add_function(Func(&STRIP, strip));
    registry.add_function(Func(&SPLIT, split));
    registry.add_function(Func(&JOIN, join));
    registry.add_function(Func(&REGEX_REPLACE, regex_replace));
    registry.add_function(Func(&REGEX_TRANSFORM, regex_transform));
    registry.add_function(Func(&PARSE_STRING_WITH_REGEX, parse_string_with_regex));
}
