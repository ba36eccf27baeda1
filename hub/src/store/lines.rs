//! Rows as they come from agents: decoding within bounds, and the check that each line is one JSON object.

use std::{fmt, str};

use protocol::{
    ClientId, FlowId,
    message::{Encoding, RowBatch},
};
use serde::de::IgnoredAny;
use zstd::bulk::Decompressor;

/// Lists and objects within each other in one row. What reads rows gives up at 128, and may wrap them in its own.
const MAX_DEPTH: usize = 120;

/// Why a batch is not stored. The flow that it belongs to fails with this text.
#[derive(Debug, Eq, PartialEq, thiserror::Error)]
pub(crate) enum BadBatch {
    #[error("a batch of rows is longer than {} bytes", RowBatch::MAX_BYTES)]
    TooLong,
    #[error("a batch of rows could not be decompressed")]
    Compression,
    #[error("a batch of rows is not UTF-8")]
    Utf8,
    #[error("row {0} is not one JSON object on a line of its own")]
    NotAnObject(u64),
    #[error("row {0} is nested deeper than {MAX_DEPTH} levels")]
    TooDeep(u64),
    #[error("a batch announced {announced} rows and holds {held}")]
    Count { announced: u32, held: u64 },
}

/// Decodes batches within bounds; its memory is reused from batch to batch.
#[derive(Default)]
pub(crate) struct Decoder {
    zstd: Option<Decompressor<'static>>,
    scratch: Vec<u8>,
}

impl fmt::Debug for Decoder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Decoder").field("capacity", &self.scratch.capacity()).finish_non_exhaustive()
    }
}

impl Decoder {
    /// The text of a batch.
    pub(crate) fn decode<'a>(&'a mut self, batch: &'a RowBatch) -> Result<&'a str, BadBatch> {
        let bytes = match batch.encoding {
            Encoding::Plain => &batch.data[..],
            Encoding::Zstd => {
                let zstd = match &mut self.zstd {
                    Some(zstd) => zstd,
                    none => none.insert(Decompressor::new().map_err(|_| BadBatch::Compression)?),
                };
                // Never grows: what does not fit is a bomb, or a mistake.
                self.scratch.clear();
                self.scratch.reserve_exact(RowBatch::MAX_BYTES);
                zstd.decompress_to_buffer(&batch.data, &mut self.scratch).map_err(|_| BadBatch::Compression)?;
                &self.scratch[..]
            }
        };
        if bytes.len() > RowBatch::MAX_BYTES {
            return Err(BadBatch::TooLong);
        }
        str::from_utf8(bytes).map_err(|_| BadBatch::Utf8)
    }
}

/// Checks `text` against the batch's count and appends its lines from `skip` on to `out`, each with `tail` spliced in
/// at its end. `out` is as before when the batch is bad.
pub(crate) fn append_checked(
    text: &str,
    batch: &RowBatch,
    skip: u64,
    tail: Option<&RowTail>,
    out: &mut Vec<u8>,
) -> Result<(), BadBatch> {
    let start = out.len();
    let result = append_lines(text, batch, skip, tail, out);
    if result.is_err() {
        out.truncate(start);
    }
    result
}

fn append_lines(
    text: &str,
    batch: &RowBatch,
    skip: u64,
    tail: Option<&RowTail>,
    out: &mut Vec<u8>,
) -> Result<(), BadBatch> {
    let count = |held| BadBatch::Count { announced: batch.rows, held };
    let mut held = 0;
    let mut rest = text;
    while !rest.is_empty() {
        // A line without its end is a batch that was cut.
        let Some(end) = memchr::memchr(b'\n', rest.as_bytes()) else { return Err(count(held)) };
        let (line, next) = (&rest[..end], &rest[end + 1..]);
        let row = batch.first_row.saturating_add(held);
        check(line).map_err(|()| BadBatch::NotAnObject(row))?;
        if is_deep(line) {
            return Err(BadBatch::TooDeep(row));
        }
        if held >= skip {
            match tail {
                None => out.extend_from_slice(&rest.as_bytes()[..=end]),
                Some(tail) => tail.splice(line, out),
            }
        }
        held += 1;
        rest = next;
    }
    if held == u64::from(batch.rows) { Ok(()) } else { Err(count(held)) }
}

/// Whether the line is exactly one JSON object, from its first byte to its last.
fn check(line: &str) -> Result<(), ()> {
    if !(line.starts_with('{') && line.ends_with('}')) {
        return Err(());
    }
    serde_json::from_str::<IgnoredAny>(line).map(|_| ()).map_err(|_| ())
}

/// Whether a line of JSON is nested too deep for those who read it.
fn is_deep(line: &str) -> bool {
    // Hardly any row opens so many, and then there is nothing to follow.
    if memchr::memchr2_iter(b'{', b'[', line.as_bytes()).nth(MAX_DEPTH).is_none() {
        return false;
    }
    let (mut depth, mut in_text, mut escaped) = (0_usize, false, false);
    for byte in line.bytes() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_text => escaped = true,
            b'"' => in_text = !in_text,
            b'{' | b'[' if !in_text => depth += 1,
            b'}' | b']' if !in_text => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth > MAX_DEPTH {
            return true;
        }
    }
    false
}

/// What a hunt's rows end with: whose they are.
#[derive(Debug)]
pub(crate) struct RowTail(String);

impl RowTail {
    pub(crate) fn new(client: ClientId, flow: FlowId) -> Self {
        Self(format!(r#","ClientId":"{client}","FlowId":"{flow}"}}"#))
    }

    /// How much longer it makes a row.
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// Our columns come last: where a query has columns of these names, readers of JSON take the last one.
    fn splice(&self, line: &str, out: &mut Vec<u8>) {
        // Checked before: an object, so there is a closing brace, and whitespace may precede it.
        let body = line[..line.len() - 1].trim_end();
        out.extend_from_slice(body.as_bytes());
        let tail = if body == "{" { &self.0[1..] } else { &self.0[..] };
        out.extend_from_slice(tail.as_bytes());
        out.push(b'\n');
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use bytes::Bytes;
    use protocol::{HuntId, collection::StreamId};

    use super::*;

    fn batch(text: &[u8], rows: u32) -> RowBatch {
        RowBatch {
            flow_id: FlowId::of_hunt(HuntId(7)),
            stream: StreamId(0),
            first_row: 10,
            rows,
            encoding: Encoding::Plain,
            data: Bytes::copy_from_slice(text),
        }
    }

    fn stored(text: &[u8], rows: u32, skip: u64) -> Result<String, BadBatch> {
        let (batch, mut decoder, mut out) = (batch(text, rows), Decoder::default(), vec![]);
        append_checked(decoder.decode(&batch)?, &batch, skip, None, &mut out)?;
        Ok(String::from_utf8(out).unwrap())
    }

    #[test]
    fn each_line_is_one_object() {
        for good in ["{}\n", "{\"a\":[1,{\"b\":null}]}\n", "{\"ä\\n\":\"\\u0000\"}\n{ }\n"] {
            let rows = good.lines().count() as u32;
            assert_eq!(stored(good.as_bytes(), rows, 0).as_deref(), Ok(good));
        }
        for bad in [
            "\n",
            "1\n",
            "[]\n",
            "{}{}\n",
            "{},{}\n",
            " {}\n",
            "{}\r\n",
            "{\"a\":1\n}\n",
            "{\"a\":\"\t\"}\n",
            "{\"a\"}\n",
        ] {
            assert_eq!(stored(bad.as_bytes(), 1, 0), Err(BadBatch::NotAnObject(10)), "{bad:?}");
        }
        assert_eq!(stored(b"{}\n{}", 2, 0), Err(BadBatch::Count { announced: 2, held: 1 }));
        assert_eq!(stored(b"{}\n{}\n", 1, 0), Err(BadBatch::Count { announced: 1, held: 2 }));
        assert_eq!(stored(b"{\"a\":\"\xff\"}\n", 1, 0), Err(BadBatch::Utf8));
        assert_eq!(stored(b"{\"a\":1}\n{\"a\":2}\n{\"a\":3}\n", 3, 2).as_deref(), Ok("{\"a\":3}\n"));
    }

    #[test]
    fn rows_that_nobody_could_read_are_refused() {
        let nested = |levels: usize| format!("{{\"a\":{}{}}}\n", "[".repeat(levels), "]".repeat(levels));
        assert_eq!(stored(nested(1 << 20).as_bytes(), 1, 0), Err(BadBatch::TooDeep(10)));
        assert_eq!(stored(nested(MAX_DEPTH).as_bytes(), 1, 0), Err(BadBatch::TooDeep(10)));
        let deepest = nested(MAX_DEPTH - 1);
        assert_eq!(stored(deepest.as_bytes(), 1, 0).as_ref(), Ok(&deepest));
        assert!(serde_json::from_str::<serde_json::Value>(&deepest).is_ok());
        // Many, but not within each other; and text that looks like it.
        let wide = format!("{{\"a\":[{}0],\"b\":\"\\\"{}\"}}\n", "[],".repeat(1000), "[{".repeat(1000));
        assert_eq!(stored(wide.as_bytes(), 1, 0).as_ref(), Ok(&wide));
    }

    #[test]
    fn a_hunts_rows_say_whose_they_are() {
        let tail = RowTail::new(ClientId(1), FlowId::of_hunt(HuntId(7)));
        for (line, expected) in [
            ("{}", r#"{"ClientId":"C.0000000000000001","FlowId":"F.0000000000007.H"}"#),
            ("{ \t}", r#"{"ClientId":"C.0000000000000001","FlowId":"F.0000000000007.H"}"#),
            (r#"{"a":"}"}"#, r#"{"a":"}","ClientId":"C.0000000000000001","FlowId":"F.0000000000007.H"}"#),
            (r#"{"ClientId":1 }"#, r#"{"ClientId":1,"ClientId":"C.0000000000000001","FlowId":"F.0000000000007.H"}"#),
        ] {
            let mut out = vec![];
            tail.splice(line, &mut out);
            assert_eq!(String::from_utf8(out).unwrap(), format!("{expected}\n"));
        }
    }

    #[test]
    fn a_compression_bomb_is_refused() {
        let mut decoder = Decoder::default();
        let small = zstd::bulk::compress(b"{}\n", 3).unwrap();
        let mut good = batch(&small, 1);
        good.encoding = Encoding::Zstd;
        assert_eq!(decoder.decode(&good), Ok("{}\n"));
        let bomb = zstd::bulk::compress(&vec![b' '; 100 << 20], 3).unwrap();
        let mut bad = batch(&bomb, 1);
        bad.encoding = Encoding::Zstd;
        assert_eq!(decoder.decode(&bad), Err(BadBatch::Compression));
        bad.data = Bytes::from_static(b"no zstd at all");
        assert_eq!(decoder.decode(&bad), Err(BadBatch::Compression));
        assert!(decoder.scratch.capacity() <= 2 * RowBatch::MAX_BYTES);
    }
}
