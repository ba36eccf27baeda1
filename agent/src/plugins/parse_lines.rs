//! `parse_lines()`.

use std::io::{BufRead, BufReader, Read};

use super::prelude::*;

const DEFAULT_BUFFER: i64 = 64 << 10;
const MAX_BUFFER: i64 = 16 << 20;

static PARSE_LINES: Signature = Signature::new(
    "parse_lines",
    "The lines of files, without their line ends. A longer line than `buffer_size` comes in pieces.",
    &[
        req("filename", Path, "The files").repeated(),
        ACCESSOR,
        opt("buffer_size", Int, "The longest line in bytes; 65536 without"),
    ],
)
.group(Group::Parsing)
.examples(&["SELECT Line FROM parse_lines(filename='/etc/passwd') WHERE Line =~ 'root'"]);

fn run(cx: &Context<'_>, args: &Args<'_>, emit: &mut Emit<'_>) -> Result<Flow, CallError> {
    let accessor = args.accessor()?;
    let longest = args.opt_int("buffer_size")?.filter(|n| *n > 0).unwrap_or(DEFAULT_BUFFER).min(MAX_BUFFER) as u64;
    let columns = Columns::new(["Line"]);
    for path in args.os_paths("filename", &*accessor) {
        let mut lines = match accessor.open(cx, &path) {
            Ok(file) => BufReader::with_capacity(64 << 10, file),
            Err(error) => {
                cx.error(format!("parse_lines: {}: {error}", path.show()));
                continue;
            }
        };
        let mut line = Vec::new();
        loop {
            if cx.charge(1).is_break() {
                return Ok(BREAK);
            }
            line.clear();
            match lines.by_ref().take(longest).read_until(b'\n', &mut line) {
                Ok(0) => break,
                Ok(_) => {}
                Err(error) => {
                    cx.error(format!("parse_lines: {}: {error}", path.show()));
                    break;
                }
            }
            let text = line.strip_suffix(b"\n").map_or(&line[..], |line| line.strip_suffix(b"\r").unwrap_or(line));
            if emit(Row::new(&columns, vec![Value::from_bytes(text)])).is_break() {
                return Ok(BREAK);
            }
        }
    }
    Ok(CONTINUE)
}

pub(super) fn register(registry: &mut Registry) {
    registry.add_plugin(Plug(&PARSE_LINES, run));
}
