//! `gunzip()`.

use std::io::Read;

use super::prelude::*;

/// Data that asks for more is cut.
const MAX_BYTES: u64 = 100 << 20;

static GUNZIP: Signature = Signature::new(
    "gunzip",
    "The bytes that gzip data holds. Of data that is damaged or cut, what could be read.",
    &[req("string", Text, "The data"), opt("max_bytes", Int, "The most that is given; 100 MiB without, and at most")],
)
.group(Group::Encoding)
.examples(&["SELECT gunzip(string=base64decode(string='H4sIAAAAAAACA0tMSgYAwkEkNQMAAAA=')) AS Text FROM scope()"]);

fn gunzip(cx: &Context<'_>, args: &Args<'_>) -> Result<Value, CallError> {
    let data = args.bytes("string")?;
    let most = args.opt_int("max_bytes")?.and_then(|n| u64::try_from(n).ok()).filter(|n| *n > 0);
    let most = most.unwrap_or(MAX_BYTES).min(MAX_BYTES);
    if !data.starts_with(&[0x1f, 0x8b]) {
        return Err("the data is not gzip: it begins with other bytes than 1f 8b".into());
    }
    let mut decoder = flate2::bufread::MultiGzDecoder::new(&data[..]).take(most);
    let mut out = Vec::new();
    let mut buffer = vec![0; 64 << 10];
    loop {
        if cx.cancelled() {
            return Ok(Value::Null);
        }
        match decoder.read(&mut buffer) {
            Ok(0) => break,
            Ok(len) => out.extend_from_slice(&buffer[..len]),
            Err(error) if out.is_empty() => return Err(CallError::new(format!("the data is damaged: {error}"))),
            Err(error) => {
                cx.error(format!("gunzip: the data is damaged after {} bytes: {error}", out.len()));
                break;
            }
        }
    }
    Ok(Value::from_bytes(out))
}

pub(super) fn register(registry: &mut Registry) {
    registry.add_function(Func(&GUNZIP, gunzip));
}
