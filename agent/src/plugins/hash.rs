//! `hash()`.

use md5::{Digest, Md5};
use sha1::Sha1;
use sha2::Sha256;

use super::prelude::*;
use crate::flows::hex;

const BUFFER: usize = 128 << 10;

static HASH: Signature = Signature::new(
    "hash",
    "Digests of a file, which is read once for all of them.",
    &[
        req("path", Path, "The file"),
        ACCESSOR,
        opt("hashselect", Text, "Which of MD5, SHA1 and SHA256; all without").repeated(),
        opt("max_size", Int, "Longer files are not read"),
    ],
)
.group(Group::Files)
.examples(&[
    "SELECT hash(path='/etc/hostname').SHA256 AS SHA256 FROM scope()",
    "SELECT hash(path='abc', accessor='data', hashselect='MD5') AS Hash FROM scope()",
]);

fn call(cx: &Context<'_>, args: &Args<'_>) -> Result<Value, CallError> {
    let accessor = args.accessor()?;
    let path = args.os_path("path", &*accessor);
    let chosen: Vec<String> = args.strings("hashselect")?.iter().map(|name| name.to_ascii_uppercase()).collect();
    if let Some(unknown) = chosen.iter().find(|name| !["MD5", "SHA1", "SHA256"].contains(&name.as_str())) {
        return Err(CallError::new(format!("hashselect: there is no `{unknown}`: use MD5, SHA1 or SHA256")));
    }
    let wants = |name: &str| chosen.is_empty() || chosen.iter().any(|chosen| chosen == name);
    let mut md5 = wants("MD5").then(Md5::new);
    let mut sha1 = wants("SHA1").then(Sha1::new);
    let mut sha256 = wants("SHA256").then(Sha256::new);
    let trouble = |error: &std::io::Error| vql::accessor::trouble(&path, error);

    let max = args.opt_int("max_size")?.filter(|max| *max > 0);
    if let Some(max) = max
        && accessor.stat(cx, &path, true).map_err(|error| trouble(&error))?.size > max as u64
    {
        cx.log(vql::Level::Info, format!("hash: {} is longer than {max} bytes", path.show()));
        return Ok(Value::Null);
    }
    let mut file = accessor.open(cx, &path).map_err(|error| trouble(&error))?;
    let mut buffer = vec![0; BUFFER];
    let mut size = 0_u64;
    loop {
        if cx.charge(1).is_break() {
            return Ok(Value::Null);
        }
        let len = match file.read(&mut buffer) {
            Ok(0) => break,
            Ok(len) => len,
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(trouble(&error)),
        };
        size += len as u64;
        // A file can grow, and a device has no end.
        if max.is_some_and(|max| size > max as u64) {
            return Ok(Value::Null);
        }
        let data = &buffer[..len];
        md5.iter_mut().for_each(|digest| digest.update(data));
        sha1.iter_mut().for_each(|digest| digest.update(data));
        sha256.iter_mut().for_each(|digest| digest.update(data));
    }
    let mut hashes = Dict::new();
    if let Some(digest) = md5 {
        hashes.set("MD5", hex(&digest.finalize()));
    }
    if let Some(digest) = sha1 {
        hashes.set("SHA1", hex(&digest.finalize()));
    }
    if let Some(digest) = sha256 {
        hashes.set("SHA256", hex(&digest.finalize()));
    }
    Ok(hashes.into())
}

pub(super) fn register(registry: &mut Registry) {
    registry.add_function(Func(&HASH, call));
}
