//! `base85decode()`.

use super::prelude::*;

static BASE85DECODE: Signature = Signature::new(
    "base85decode",
    "The bytes that base85 text stands for: Ascii85 with `z` for four zeros, with or without `<~` and `~>`; else the \
     alphabet of RFC 1924, which Git and Python use.",
    &[req("string", Text, "The text")],
)
.group(Group::Encoding)
.examples(&["SELECT base85decode(string='87cURD]i,\"Ebo80') AS Text FROM scope()"]);

fn base85decode(_cx: &Context<'_>, args: &Args<'_>) -> Result<Value, CallError> {
    let text = args.bytes("string")?;
    let text = text.trim_ascii();
    let inner = text.strip_prefix(b"<~").unwrap_or(text);
    let inner = inner.strip_suffix(b"~>").unwrap_or(inner);
    let found = decode(inner, ascii85, true).or_else(|| decode(text, rfc1924, false));
    found.map(Value::from_bytes).ok_or_else(|| "the text is not base85".into())
}

fn ascii85(c: u8) -> Option<u32> {
    (b'!'..=b'u').contains(&c).then(|| u32::from(c - b'!'))
}

fn rfc1924(c: u8) -> Option<u32> {
    const ALPHABET: &[u8; 85] =
        b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz!#$%&()*+-;<=>?@^_`{|}~";
    ALPHABET.iter().position(|known| *known == c).map(|at| at as u32)
}

fn decode(text: &[u8], digit: fn(u8) -> Option<u32>, zeros: bool) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(text.len() / 5 * 4);
    let mut group: Vec<u32> = Vec::with_capacity(5);
    for &c in text.iter().filter(|c| !c.is_ascii_whitespace() && **c != 0) {
        if zeros && c == b'z' && group.is_empty() {
            out.extend_from_slice(&[0; 4]);
            continue;
        }
        group.push(digit(c)?);
        if group.len() == 5 {
            out.extend_from_slice(&number(&group)?.to_be_bytes());
            group.clear();
        }
    }
    match group.len() {
        0 => Some(out),
        1 => None,
        len => {
            group.resize(5, 84);
            out.extend_from_slice(&number(&group)?.to_be_bytes()[..len - 1]);
            Some(out)
        }
    }
}

fn number(group: &[u32]) -> Option<u32> {
    group.iter().try_fold(0_u32, |sum, digit| sum.checked_mul(85)?.checked_add(*digit))
}

pub(super) fn register(registry: &mut Registry) {
    registry.add_function(Func(&BASE85DECODE, base85decode));
}
