//! Replacing matches within bounds.

use regex::bytes::{Captures, Regex};

use super::prelude::*;

/// What a replacement may grow to: an empty pattern puts the new text beside every byte.
const MAX_REPLACED: usize = 100 << 20;

/// As the library's own, but it hears that the query is to stop, and its result is bounded.
pub(super) fn replace_all(
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
