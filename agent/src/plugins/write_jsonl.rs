//! `write_jsonl()`.

use std::{
    io::{BufWriter, Write},
    time::{Duration, Instant},
};

use super::{
    output::{self, Output},
    prelude::*,
};

static WRITE_JSONL: Signature = Signature::new(
    "write_jsonl",
    "Writes the rows of a query to a file of this host, a JSON object a line, and gives them on.",
    &[
        req("filename", Path, "The file"),
        opt("accessor", Text, "`file`, also without"),
        req("query", ArgKind::Query, "The rows"),
        opt("buffer_size", Int, "Bytes that are gathered before they are written; 65536 without"),
        opt("max_time", Int, "Seconds that they are gathered at most; 10 without"),
        opt("append", Bool, "What is there stays, and the rows are put behind it"),
    ],
)
.group(Group::Actions)
.side_effects()
.examples(&["SELECT * FROM write_jsonl(filename=tempdir() + '/a.jsonl', query={ SELECT 1 AS A FROM scope() })"]);

fn run(cx: &Context<'_>, args: &Args<'_>, emit: &mut Emit<'_>) -> Result<Flow, CallError> {
    output::only_files(args)?;
    let path = output::destination(args, "filename")?;
    let trouble = |error: std::io::Error| CallError::new(format!("{}: {error}", path.display()));
    let size = args.opt_int("buffer_size")?.filter(|size| *size > 0).unwrap_or(64 << 10).min(64 << 20) as usize;
    let longest = args.opt_int("max_time")?.filter(|seconds| *seconds > 0).unwrap_or(10) as u64;
    let output = Output { append: args.bool("append")?, ..Output::default() };
    let mut file = BufWriter::with_capacity(size, output.open(&path).map_err(trouble)?);
    let Some(query) = args.query("query")? else { return Ok(CONTINUE) };
    let mut line = Vec::new();
    let mut written = Instant::now();
    let mut failed = None;
    let flow = cx.run_query(&query, &mut |view| {
        let row = view.take_row();
        line.clear();
        row.write_json(&mut line);
        line.push(b'\n');
        let mut put = file.write_all(&line);
        if written.elapsed() >= Duration::from_secs(longest) {
            put = put.and_then(|()| file.flush());
            written = Instant::now();
        }
        if let Err(error) = put {
            failed = Some(error);
            return BREAK;
        }
        emit(row)
    });
    match failed {
        Some(error) => Err(trouble(error)),
        None => file.flush().map(|()| flow).map_err(trouble),
    }
}

pub(super) fn register(registry: &mut Registry) {
    registry.add_plugin(Plug(&WRITE_JSONL, run));
}
