//! Between bytes and text.

use super::prelude::*;

static ENCODE: Signature = Signature::new(
    "encode",
    "The value as text of another form.",
    &[req("string", Any, "The value"), req("type", Text, "`hex`, `base64`, `json`, `utf16` or `string`")],
)
.group(Group::Encoding)
.examples(&["SELECT encode(string='abc', type='hex') AS Text FROM scope()"]);

fn encode(_cx: &Context<'_>, args: &Args<'_>) -> Result<Value, CallError> {
    let bytes = args.bytes("string")?;
    match args.str("type")?.to_ascii_lowercase().as_str() {
        "hex" => Ok(Value::from(hex(&bytes))),
        "base64" => Ok(Value::from(to_base64(&bytes))),
        "json" => Ok(Value::from(args.value("string").to_json())),
        "utf16" => Ok(Value::from_bytes(to_utf16(&bytes))),
        "string" | "ascii" | "utf8" | "utf-8" => Ok(Value::from_bytes(bytes)),
        other => Err(CallError::new(format!("`type` is hex, base64, json, utf16 or string, not `{other}`"))),
    }
}

static BASE64ENCODE: Signature =
    Signature::new("base64encode", "The bytes as base64.", &[req("string", Text, "The bytes")])
        .group(Group::Encoding)
        .examples(&["SELECT base64encode(string='abc') AS Text FROM scope()"]);

fn base64encode(_cx: &Context<'_>, args: &Args<'_>) -> Result<Value, CallError> {
    Ok(Value::from(to_base64(&args.bytes("string")?)))
}

static BASE64DECODE: Signature =
    Signature::new("base64decode", "The bytes that base64 text stands for.", &[req("string", Text, "The text")])
        .group(Group::Encoding)
        .examples(&["SELECT base64decode(string='YWJj') AS Text FROM scope()"]);

fn base64decode(_cx: &Context<'_>, args: &Args<'_>) -> Result<Value, CallError> {
    from_base64(&args.bytes("string")?).map(Value::from_bytes).ok_or_else(|| "the text is not base64".into())
}

static UNHEX: Signature = Signature::new(
    "unhex",
    "The bytes that hexadecimal text stands for.",
    &[opt("string", Text, "The text, `0x` in front allowed")],
)
.group(Group::Encoding)
.examples(&["SELECT unhex(string='616263') AS Text FROM scope()"]);

fn unhex(_cx: &Context<'_>, args: &Args<'_>) -> Result<Value, CallError> {
    let text = args.str("string")?;
    let digits: Vec<u8> = text.trim().trim_start_matches("0x").bytes().collect();
    let pair = |p: &[u8]| Some(char::from(p[0]).to_digit(16)? as u8 * 16 + char::from(*p.get(1)?).to_digit(16)? as u8);
    let bytes: Option<Vec<u8>> = digits.chunks(2).map(pair).collect();
    bytes.map(Value::from_bytes).ok_or_else(|| "the text is not hexadecimal".into())
}

static XOR: Signature = Signature::new(
    "xor",
    "Each byte xor the next of the key, in turn.",
    &[req("string", Text, "The bytes"), req("key", Text, "The key")],
)
.group(Group::Encoding)
.examples(&["SELECT xor(string='abc', key='  ') AS Text FROM scope()"]);

fn xor(_cx: &Context<'_>, args: &Args<'_>) -> Result<Value, CallError> {
    let (bytes, key) = (args.bytes("string")?, args.bytes("key")?);
    if key.is_empty() {
        return Err("`key` is empty".into());
    }
    Ok(Value::from_bytes(bytes.iter().zip(key.iter().cycle()).map(|(b, k)| b ^ k).collect::<Vec<u8>>()))
}

static ROT13: Signature =
    Signature::new("rot13", "Each letter moved by 13 places.", &[opt("string", Text, "The text")])
        .group(Group::Encoding)
        .examples(&["SELECT rot13(string='uryyb') AS Text FROM scope()"]);

fn rot13(_cx: &Context<'_>, args: &Args<'_>) -> Result<Value, CallError> {
    let turn = |c: char| match c {
        'a'..='m' | 'A'..='M' => (c as u8 + 13) as char,
        'n'..='z' | 'N'..='Z' => (c as u8 - 13) as char,
        other => other,
    };
    Ok(Value::from(args.str("string")?.chars().map(turn).collect::<String>()))
}

static UTF16: Signature =
    Signature::new("utf16", "The text that little-endian UTF-16 bytes stand for.", &[req("string", Text, "The bytes")])
        .group(Group::Encoding)
        .examples(&["SELECT utf16(string='a\\x00b\\x00') AS Text FROM scope()"]);

fn utf16(_cx: &Context<'_>, args: &Args<'_>) -> Result<Value, CallError> {
    let bytes = args.bytes("string")?;
    let units: Vec<u16> = bytes.chunks_exact(2).map(|p| u16::from_le_bytes([p[0], p[1]])).collect();
    Ok(Value::from(String::from_utf16_lossy(&units)))
}

static UTF16_ENCODE: Signature =
    Signature::new("utf16_encode", "The text as little-endian UTF-16 bytes.", &[req("string", Text, "The text")])
        .group(Group::Encoding)
        .examples(&["SELECT len(list=utf16_encode(string='ab')) AS Len FROM scope()"]);

fn utf16_encode(_cx: &Context<'_>, args: &Args<'_>) -> Result<Value, CallError> {
    Ok(Value::from_bytes(to_utf16(&args.bytes("string")?)))
}

fn to_utf16(text: &[u8]) -> Vec<u8> {
    String::from_utf8_lossy(text).encode_utf16().flat_map(u16::to_le_bytes).collect()
}

static ENTROPY: Signature =
    Signature::new("entropy", "Shannon's entropy of the bytes, 0 to 8.", &[req("string", Text, "The bytes")])
        .group(Group::Encoding)
        .examples(&["SELECT entropy(string='abcd') AS Entropy FROM scope()"]);

fn entropy(_cx: &Context<'_>, args: &Args<'_>) -> Result<Value, CallError> {
    let bytes = args.bytes("string")?;
    let mut counts = [0usize; 256];
    bytes.iter().for_each(|b| counts[*b as usize] += 1);
    let share = |n: &usize| *n as f64 / bytes.len() as f64;
    Ok(Value::Float(counts.iter().filter(|n| **n > 0).map(|n| -share(n) * share(n).log2()).sum()))
}

static SERIALIZE: Signature = Signature::new(
    "serialize",
    "The value as text: JSON.",
    &[req("item", Any, "The value"), opt("format", Text, "`json` (also without) or `jsonl`")],
)
.group(Group::Encoding)
.examples(&["SELECT serialize(item=dict(a=1)) AS Text FROM scope()"]);

fn serialize(_cx: &Context<'_>, args: &Args<'_>) -> Result<Value, CallError> {
    let item = args.value("item");
    match args.str("format")?.to_ascii_lowercase().as_str() {
        "" | "json" => Ok(Value::from(item.to_json())),
        "jsonl" => {
            let lines = item.as_array().unwrap_or(std::slice::from_ref(&item)).iter().map(|v| v.to_json() + "\n");
            Ok(Value::from(lines.collect::<String>()))
        }
        other => Err(CallError::new(format!("`format` is json or jsonl, not `{other}`"))),
    }
}

pub(super) fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    bytes.iter().flat_map(|b| [DIGITS[usize::from(b >> 4)] as char, DIGITS[usize::from(b & 15)] as char]).collect()
}

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

fn to_base64(bytes: &[u8]) -> String {
    let mut out = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let byte = |i: usize| u32::from(chunk.get(i).copied().unwrap_or(0));
        let bits = byte(0) << 16 | byte(1) << 8 | byte(2);
        for i in 0..4 {
            out.push(if i <= chunk.len() { ALPHABET[(bits >> (18 - 6 * i) & 63) as usize] as char } else { '=' });
        }
    }
    out
}

/// Both alphabets, with and without padding; white space is skipped.
fn from_base64(text: &[u8]) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(text.len() / 4 * 3);
    let (mut bits, mut have) = (0u32, 0u32);
    for &c in text.iter().filter(|c| !c.is_ascii_whitespace() && **c != b'=') {
        let six = match c {
            b'A'..=b'Z' => c - b'A',
            b'a'..=b'z' => c - b'a' + 26,
            b'0'..=b'9' => c - b'0' + 52,
            b'+' | b'-' => 62,
            b'/' | b'_' => 63,
            _ => return None,
        };
        bits = bits << 6 | u32::from(six);
        have += 6;
        if have >= 8 {
            have -= 8;
            out.push((bits >> have) as u8);
            bits &= (1 << have) - 1;
        }
    }
    Some(out)
}

pub(super) fn register(registry: &mut Registry) {
    registry.add_function(Func(&ENCODE, encode));
    registry.add_function(Func(&BASE64ENCODE, base64encode));
    registry.add_function(Func(&BASE64DECODE, base64decode));
    registry.add_function(Func(&UNHEX, unhex));
    registry.add_function(Func(&XOR, xor));
    registry.add_function(Func(&ROT13, rot13));
    registry.add_function(Func(&UTF16, utf16));
    registry.add_function(Func(&UTF16_ENCODE, utf16_encode));
    registry.add_function(Func(&ENTROPY, entropy));
    registry.add_function(Func(&SERIALIZE, serialize));
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn base64_both_ways() {
        for (bytes, text) in [("", ""), ("a", "YQ=="), ("ab", "YWI="), ("abc", "YWJj"), ("\u{ff}?>", "w78/Pg==")] {
            assert_eq!(to_base64(bytes.as_bytes()), text);
            assert_eq!(from_base64(text.as_bytes()).unwrap(), bytes.as_bytes());
        }
        assert_eq!(from_base64(b"a*b"), None);
    }
}
