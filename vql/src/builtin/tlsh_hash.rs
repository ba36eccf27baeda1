//! `tlsh_hash()`.

use super::files::ACCESSOR;
use super::pieces;
use super::prelude::*;

static TLSH_HASH: Signature = Signature::new(
    "tlsh_hash",
    "The TLSH digest of a file, by which similar files are found: 70 hexadecimal digits. NULL for files that are too \
     short (50 bytes are needed) or have too little variety.",
    &[req("path", ArgKind::Path, "The file"), ACCESSOR],
)
.group(Group::Files)
.examples(&["SELECT tlsh_hash(path='The quick brown fox jumps over the lazy dog. 0123456789', accessor='data') AS Hash FROM scope()"]);

fn tlsh_hash(cx: &Context<'_>, args: &Args<'_>) -> Result<Value, CallError> {
    let mut builder = tlsh2::TlshDefaultBuilder::new();
    if !pieces::read(cx, args, "path", &mut |data| {
        builder.update(data);
        true
    })? {
        return Ok(Value::Null);
    }
    Ok(builder.build().map_or(Value::Null, |digest| {
        let text = String::from_utf8_lossy(&digest.hash()).to_ascii_lowercase();
        Value::from(text.strip_prefix("t1").unwrap_or(&text))
    }))
}

pub(super) fn register(registry: &mut Registry) {
    registry.add_function(Func(&TLSH_HASH, tlsh_hash));
}
