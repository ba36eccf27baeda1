//! `parse_lines()`.

use super::files::{self, ACCESSOR, Lines};
use super::prelude::*;

static PARSE_LINES: Signature = Signature::new(
    "parse_lines",
    "The lines of files, without their line ends, as column `Line`. Files that are compressed with gzip are read \
     unpacked, a byte order mark is left out. A longer line than `buffer_size` comes in pieces.",
    &[
        req("filename", PathArg, "The files").repeated(),
        ACCESSOR,
        opt("buffer_size", Int, "The longest line in bytes; 65536 without"),
    ],
)
.group(Group::Parsing)
.examples(&["SELECT Line FROM parse_lines(filename='one\ntwo', accessor='data')"]);

fn run(cx: &Context<'_>, args: &Args<'_>, emit: &mut EmitView<'_>) -> Result<Flow, CallError> {
    let longest = files::buffer_size(args)?;
    let columns = Columns::new(["Line"]);
    files::each(cx, args, "filename", |path, file| {
        let mut lines = Lines::new(file.unpacked()?, longest);
        let mut first = true;
        let mut warned = false;
        while let Some((line, goes_on)) = lines.next()? {
            if goes_on && !std::mem::replace(&mut warned, true) {
                let hint = "they come in pieces; a larger buffer_size keeps them whole";
                cx.log(
                    Level::Info,
                    format!("parse_lines: {}: lines of more than {longest} bytes: {hint}", path.show()),
                );
            }
            let line = if std::mem::take(&mut first) { files::without_mark(line) } else { line };
            if emit(&Row::new(&columns, vec![Value::from_bytes(line)])).is_break() || cx.cancelled() {
                return Ok(BREAK);
            }
        }
        Ok(CONTINUE)
    })
}

pub(super) fn register(registry: &mut Registry) {
    registry.add_plugin(Plug(&PARSE_LINES, run));
}
