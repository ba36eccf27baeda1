//! `parse_jsonl()`.

use super::files::{self, ACCESSOR, Lines};
use super::prelude::*;

static PARSE_JSONL: Signature = Signature::new(
    "parse_jsonl",
    "The lines of a file of JSON, each a row. Files that are compressed with gzip are read unpacked. Lines that are \
     no JSON are logged and left out; a line that is no object becomes the column `_value`.",
    &[req("filename", PathArg, "The file"), ACCESSOR],
)
.group(Group::Parsing)
.examples(&["SELECT * FROM parse_jsonl(accessor='data', filename='{\"a\": 1}\n{\"a\": 2}')"]);

fn run(cx: &Context<'_>, args: &Args<'_>, emit: &mut EmitView<'_>) -> Result<Flow, CallError> {
    files::each(cx, args, "filename", |path, file| {
        let mut lines = Lines::new(file.unpacked()?, files::MAX_RECORD);
        let mut number = 0_u64;
        let mut within = false;
        while let Some((line, goes_on)) = lines.next()? {
            let continues = std::mem::replace(&mut within, goes_on);
            if continues {
                continue;
            }
            number += 1;
            let line = if number == 1 { files::without_mark(line) } else { line };
            if line.iter().all(u8::is_ascii_whitespace) {
                continue;
            }
            let parsed = match goes_on {
                true => Err(format!("longer than {} MiB", files::MAX_RECORD >> 20)),
                false => crate::json::parse(line).map_err(|error| error.to_string()),
            };
            let flow = match parsed {
                Ok(Value::Dict(dict)) => emit(&*dict),
                Ok(value) => cx.rows(&Value::array([value]), emit),
                Err(error) => {
                    cx.error(format!("parse_jsonl: {}: line {number}: {error}", path.show()));
                    CONTINUE
                }
            };
            if flow.is_break() || cx.cancelled() {
                return Ok(BREAK);
            }
        }
        Ok(CONTINUE)
    })
}

pub(super) fn register(registry: &mut Registry) {
    registry.add_plugin(Plug(&PARSE_JSONL, run));
}
