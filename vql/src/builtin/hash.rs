//! `hash()`.

use md5::{Digest, Md5};
use sha1::Sha1;
use sha2::Sha256;

use super::bytes::hex;
use super::files::ACCESSOR;
use super::pieces;
use super::prelude::*;

static HASH: Signature = Signature::new(
    "hash",
    "Digests of a file, which is read once for all of them.",
    &[
        req("path", ArgKind::Path, "The file"),
        ACCESSOR,
        opt("hashselect", Text, "Which of MD5, SHA1 and SHA256; all without").repeated(),
        opt("max_size", Int, "Longer files are not read"),
    ],
)
.group(Group::Files)
.examples(&["SELECT hash(path='abc', accessor='data', hashselect='MD5') AS Hash FROM scope()"]);

fn hash(cx: &Context<'_>, args: &Args<'_>) -> Result<Value, CallError> {
    let chosen: Vec<String> = args.strings("hashselect")?.iter().map(|name| name.to_ascii_uppercase()).collect();
    if let Some(unknown) = chosen.iter().find(|name| !["MD5", "SHA1", "SHA256"].contains(&name.as_str())) {
        return Err(CallError::new(format!("there is no digest `{unknown}`: `hashselect` is MD5, SHA1 or SHA256")));
    }
    let wants = |name: &str| chosen.is_empty() || chosen.iter().any(|chosen| chosen == name);
    let mut md5 = wants("MD5").then(Md5::new);
    let mut sha1 = wants("SHA1").then(Sha1::new);
    let mut sha256 = wants("SHA256").then(Sha256::new);

    let max = args.opt_int("max_size")?.filter(|max| *max > 0).map_or(u64::MAX, i64::unsigned_abs);
    if max < u64::MAX {
        let accessor = args.accessor()?;
        let path = args.os_path("path", &*accessor);
        let found = accessor.stat(cx, &path, true).map_err(|error| crate::accessor::trouble(&path, &error))?;
        if found.size > max {
            cx.log(Level::Info, format!("hash: {} is longer than {max} bytes", path.show()));
            return Ok(Value::Null);
        }
    }
    let mut size = 0_u64;
    let whole = pieces::read(cx, args, "path", &mut |data| {
        size += data.len() as u64;
        md5.iter_mut().for_each(|digest| digest.update(data));
        sha1.iter_mut().for_each(|digest| digest.update(data));
        sha256.iter_mut().for_each(|digest| digest.update(data));
        // A file can grow, and a device has no end.
        size <= max
    })?;
    if !whole {
        return Ok(Value::Null);
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
    registry.add_function(Func(&HASH, hash));
}
