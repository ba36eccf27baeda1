//! `url()`.

use super::prelude::*;

static URL: Signature = Signature::new(
    "url",
    "A URL: taken apart with `parse`, else put together. It has the members `Scheme`, `User`, `Host`, `Hostname`, \
     `Port`, `Path`, `Fragment`, `RawQuery`, `Query` and `String`; one that was put together prints as text.",
    &[
        opt("scheme", Text, "https without"),
        opt("host", Text, "The host, with its port"),
        opt("path", Text, "The path"),
        opt("fragment", Text, "What stands behind #"),
        opt("query", Any, "Text, or a dict"),
        opt("parse", Text, "A URL to take apart"),
    ],
)
.group(Group::Network)
.examples(&["SELECT url(parse='https://example.com/a?b=c').Host AS Host FROM scope()"]);

fn url(_cx: &Context<'_>, args: &Args<'_>) -> Result<Value, CallError> {
    if let Some(text) = args.opt_str("parse")? {
        return Ok(Value::Object(Arc::new(Url { parts: take_apart(&text), text, taken_apart: true })));
    }
    let mut text = args.opt_str("scheme")?.unwrap_or_else(|| Arc::from("https")).to_string() + "://";
    text.push_str(&args.str("host")?);
    let path = args.str("path")?;
    if !path.is_empty() && !path.starts_with('/') {
        text.push('/');
    }
    encode(&mut text, &path, b"/");
    let query = match args.value("query") {
        Value::Null => String::new(),
        Value::Dict(dict) => {
            let mut query = String::new();
            for (key, value) in dict.iter() {
                // A list gives the key several times.
                for item in value.as_array().unwrap_or(std::slice::from_ref(value)) {
                    if !query.is_empty() {
                        query.push('&');
                    }
                    encode(&mut query, key, b"");
                    query.push('=');
                    encode(&mut query, &item.to_text(), b"");
                }
            }
            query
        }
        other => other.to_text().to_string(),
    };
    if !query.is_empty() {
        text.push('?');
        text.push_str(&query);
    }
    if let Some(fragment) = args.opt_str("fragment")?.filter(|f| !f.is_empty()) {
        text.push('#');
        encode(&mut text, &fragment, b"/?");
    }
    Ok(Value::Object(Arc::new(Url { parts: take_apart(&text), text: Arc::from(text), taken_apart: false })))
}

#[derive(Debug)]
struct Url {
    parts: Dict,
    text: Arc<str>,
    taken_apart: bool,
}

impl crate::value::Object for Url {
    fn type_name(&self) -> &'static str {
        "*url.URL"
    }

    fn get(&self, name: &str) -> Option<Value> {
        let host = || self.parts.get("Host").map(Value::to_text).unwrap_or_default();
        let split = |host: &str| match host.rsplit_once(':') {
            Some((name, port)) if port.bytes().all(|b| b.is_ascii_digit()) => (name.to_owned(), port.to_owned()),
            _ => (host.to_owned(), String::new()),
        };
        Some(match name {
            "String" => Value::Str(self.text.clone()),
            "Hostname" => Value::from(split(&host()).0.trim_matches(['[', ']'])),
            "Port" => Value::from(split(&host()).1),
            _ => return self.parts.get(name).cloned(),
        })
    }

    fn members(&self) -> Vec<Arc<str>> {
        self.parts.keys().cloned().collect()
    }

    fn text(&self) -> Option<Arc<str>> {
        (!self.taken_apart).then(|| self.text.clone())
    }

    fn compare(&self, other: &Value) -> Option<std::cmp::Ordering> {
        other.as_str().map(|text| (*self.text).cmp(text))
    }

    fn as_any(&self) -> &dyn std::any::Any {
        self
    }
}

fn take_apart(text: &str) -> Dict {
    let (rest, fragment) = text.split_once('#').unwrap_or((text, ""));
    let (rest, raw_query) = rest.split_once('?').unwrap_or((rest, ""));
    let (scheme, rest) = rest.split_once("://").unwrap_or(("", rest));
    let (authority, path) = match rest.find('/') {
        _ if scheme.is_empty() => ("", rest),
        Some(at) => rest.split_at(at),
        None => (rest, ""),
    };
    let (user, host) = authority.rsplit_once('@').unwrap_or(("", authority));
    let mut query = Dict::new();
    for pair in raw_query.split('&').filter(|p| !p.is_empty()) {
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        let mut values =
            query.remove(&decode(key)).and_then(|v| v.as_array().map(<[Value]>::to_vec)).unwrap_or_default();
        values.push(Value::from(decode(value)));
        query.set(decode(key), values);
    }
    let mut parts = Dict::of([("Scheme", scheme.into())]);
    if !user.is_empty() {
        parts.set("User", decode(user));
    }
    let others = Dict::of([
        ("Host", host.into()),
        ("Path", decode(path).into()),
        ("Fragment", decode(fragment).into()),
        ("RawQuery", raw_query.into()),
        ("Query", query.into()),
    ]);
    others.into_iter().for_each(|(name, value)| parts.set(name, value));
    parts
}

fn encode(out: &mut String, text: &str, kept: &[u8]) {
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte) || kept.contains(&byte) {
            out.push(byte as char);
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
}

fn decode(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let hex = |i: usize| bytes.get(i).and_then(|b| char::from(*b).to_digit(16));
        match (bytes[at], hex(at + 1), hex(at + 2)) {
            (b'%', Some(high), Some(low)) => {
                out.push((high * 16 + low) as u8);
                at += 3;
                continue;
            }
            (b'+', ..) => out.push(b' '),
            (byte, ..) => out.push(byte),
        }
        at += 1;
    }
    String::from_utf8_lossy(&out).into_owned()
}

pub(super) fn register(registry: &mut Registry) {
    registry.add_function(Func(&URL, url));
}
