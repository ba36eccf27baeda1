//! Addresses and URLs: `ip()`, `cidr_contains()`, `url()`.

use std::net::{IpAddr, Ipv4Addr};

use super::prelude::*;

static IP: Signature = Signature::new(
    "ip",
    "An address, with the members `String`, `IsPrivate`, `IsLoopback`, `IsMulticast`, `IsUnspecified`, `IsGlobalUnicast`, `Version`.",
    &[
        opt("parse", Text, "The address as text"),
        opt("netaddr4_le", Int, "An IPv4 address as a little-endian number"),
        opt("netaddr4_be", Int, "An IPv4 address as a big-endian number"),
    ],
).group(Group::Network)
.examples(&["SELECT ip(parse='10.1.2.3').IsPrivate AS Private FROM scope()"]);

fn ip(_cx: &Context<'_>, args: &Args<'_>) -> Result<Value, CallError> {
    let bits = |number: i64| u32::try_from(number).map_err(|_| CallError::new("the number is no IPv4 address"));
    let address = if let Some(number) = args.opt_int("netaddr4_le")? {
        IpAddr::from(Ipv4Addr::from(bits(number)?.swap_bytes()))
    } else if let Some(number) = args.opt_int("netaddr4_be")? {
        IpAddr::from(Ipv4Addr::from(bits(number)?))
    } else {
        let text = args.str("parse")?;
        text.trim().parse().map_err(|_| CallError::new(format!("`{text}` is no address")))?
    };
    Ok(Value::Object(Arc::new(Address(address))))
}

#[derive(Debug)]
struct Address(IpAddr);

impl crate::value::Object for Address {
    fn type_name(&self) -> &'static str {
        "net.IP"
    }

    fn get(&self, name: &str) -> Option<Value> {
        let private = match self.0 {
            IpAddr::V4(v4) => v4.is_private(),
            IpAddr::V6(v6) => v6.is_unique_local(),
        };
        let ip = self.0;
        Some(match name {
            "String" => Value::from(ip.to_string()),
            "IsPrivate" => private.into(),
            "IsLoopback" => ip.is_loopback().into(),
            "IsMulticast" => ip.is_multicast().into(),
            "IsUnspecified" => ip.is_unspecified().into(),
            "IsGlobalUnicast" => (!ip.is_loopback() && !ip.is_multicast() && !ip.is_unspecified()).into(),
            "Version" => if ip.is_ipv4() { 4 } else { 6 }.into(),
            _ => return None,
        })
    }

    fn text(&self) -> Option<Arc<str>> {
        Some(Arc::from(self.0.to_string()))
    }

    fn packed(&self) -> Option<(Value, crate::value::Unpack)> {
        let unpack = |packed: &Value| Some(Value::Object(Arc::new(Address(packed.as_str()?.parse().ok()?))));
        Some((Value::from(self.0.to_string()), unpack))
    }

    fn as_any(&self) -> &dyn std::any::Any {
        self
    }
}

static CIDR_CONTAINS: Signature = Signature::new(
    "cidr_contains",
    "Whether an address lies in one of the ranges.",
    &[req("ip", Text, "The address"), req("ranges", Text, "Ranges such as `10.0.0.0/8`").repeated()],
)
.group(Group::Network)
.examples(&["SELECT cidr_contains(ip='10.1.2.3', ranges='10.0.0.0/8') AS Inside FROM scope()"]);

fn cidr_contains(_cx: &Context<'_>, args: &Args<'_>) -> Result<Value, CallError> {
    let text = args.str("ip")?;
    let address: IpAddr = text.trim().parse().map_err(|_| CallError::new(format!("`{text}` is no address")))?;
    for range in args.strings("ranges")? {
        match within(address, range.trim()) {
            Some(true) => return Ok(Value::Bool(true)),
            Some(false) => {}
            None => return Err(CallError::new(format!("`{range}` is no range such as 10.0.0.0/8"))),
        }
    }
    Ok(Value::Bool(false))
}

fn within(address: IpAddr, range: &str) -> Option<bool> {
    let (base, length) = range.split_once('/')?;
    let (base, length): (IpAddr, u32) = (base.parse().ok()?, length.parse().ok()?);
    let width = if base.is_ipv4() { 32 } else { 128 };
    if length > width {
        return None;
    }
    let bits = |ip: IpAddr| match ip {
        IpAddr::V4(v4) => u128::from(u32::from(v4)),
        IpAddr::V6(v6) => u128::from(v6),
    };
    let shift = width - length;
    let prefix = |ip: IpAddr| bits(ip).checked_shr(shift).unwrap_or(0);
    Some(base.is_ipv4() == address.is_ipv4() && prefix(base) == prefix(address))
}

static URL: Signature = Signature::new(
    "url",
    "A URL: taken apart with `parse`, else put together.",
    &[
        opt("scheme", Text, "https without"),
        opt("host", Text, "The host, with its port"),
        opt("path", Text, "The path"),
        opt("fragment", Text, "What stands behind #"),
        opt("query", Any, "Text, or a dict"),
        opt("parse", Text, "A URL; gives a dict with Scheme, Host, Path, Fragment, RawQuery, Query"),
    ],
)
.group(Group::Network)
.examples(&["SELECT url(parse='https://example.com/a?b=c').Host AS Host FROM scope()"]);

fn url(_cx: &Context<'_>, args: &Args<'_>) -> Result<Value, CallError> {
    if let Some(text) = args.opt_str("parse")? {
        return Ok(Value::dict(take_apart(&text)));
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
    Ok(Value::from(text))
}

fn take_apart(text: &str) -> Dict {
    let (rest, fragment) = text.split_once('#').unwrap_or((text, ""));
    let (rest, raw_query) = rest.split_once('?').unwrap_or((rest, ""));
    let (scheme, rest) = rest.split_once("://").unwrap_or(("", rest));
    let (host, path) = match rest.find('/') {
        _ if scheme.is_empty() => ("", rest),
        Some(at) => rest.split_at(at),
        None => (rest, ""),
    };
    let mut query = Dict::new();
    for pair in raw_query.split('&').filter(|p| !p.is_empty()) {
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        let mut values =
            query.remove(&decode(key)).and_then(|v| v.as_array().map(<[Value]>::to_vec)).unwrap_or_default();
        values.push(Value::from(decode(value)));
        query.set(decode(key), values);
    }
    Dict::of([
        ("Scheme", scheme.into()),
        ("Host", host.into()),
        ("Path", decode(path).into()),
        ("Fragment", decode(fragment).into()),
        ("RawQuery", raw_query.into()),
        ("Query", query.into()),
    ])
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
    registry.add_function(Func(&IP, ip));
    registry.add_function(Func(&CIDR_CONTAINS, cidr_contains));
    registry.add_function(Func(&URL, url));
}
