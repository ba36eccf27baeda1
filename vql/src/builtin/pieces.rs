//! For functions that look at a file piece by piece.

use std::io::Read;

use super::prelude::*;

const BUFFER: usize = 128 << 10;

/// Hands the file that the arguments `name` and `accessor` say to `each`, piece by piece; false when the query is to
/// stop, or `each` says so.
pub(super) fn read(
    cx: &Context<'_>,
    args: &Args<'_>,
    name: &str,
    each: &mut dyn FnMut(&[u8]) -> bool,
) -> Result<bool, CallError> {
    let accessor = args.accessor()?;
    let path = args.os_path(name, &*accessor);
    let trouble = |error: &std::io::Error| crate::accessor::trouble(&path, error);
    let mut file = accessor.open(cx, &path).map_err(|error| trouble(&error))?;
    let mut buffer = vec![0; BUFFER];
    loop {
        if cx.charge(1).is_break() {
            return Ok(false);
        }
        match file.read(&mut buffer) {
            Ok(0) => return Ok(true),
            Ok(len) if each(&buffer[..len]) => {}
            Ok(_) => return Ok(false),
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(error) => return Err(trouble(&error)),
        }
    }
}

/// The first bytes of a file, at most `len`.
pub(super) fn head(cx: &Context<'_>, args: &Args<'_>, name: &str, len: usize) -> Result<Vec<u8>, CallError> {
    let mut head = Vec::new();
    read(cx, args, name, &mut |piece| {
        head.extend_from_slice(&piece[..piece.len().min(len - head.len())]);
        head.len() < len
    })?;
    Ok(head)
}
