//! `read_file()`: as plugin in chunks, as function in one.

use std::io::{Read, Seek, SeekFrom};

use super::files::{self, ACCESSOR};
use super::prelude::*;
use crate::accessor::trouble;

/// Bytes become up to six in JSON, and a row has its bound.
const DEFAULT_CHUNK: i64 = 512 << 10;

/// What a function gives at most when it is not asked for more.
const DEFAULT_LENGTH: i64 = 4 << 20;

/// No more than this is held in memory, whatever is asked.
const MAX_BYTES: i64 = 256 << 20;

static PLUGIN: Signature = Signature::new(
    "read_file",
    "The content of files, in chunks.",
    &[
        req("filenames", PathArg, "The files").repeated(),
        opt("chunk", Int, "Bytes in each row; 524288 without"),
        opt("max_length", Int, "At most so many bytes of each file; all without"),
        ACCESSOR,
    ],
)
.group(Group::Files)
.examples(&["SELECT Data, Offset FROM read_file(filenames='hello world', accessor='data', chunk=5)"]);

static FUNCTION: Signature = Signature::new(
    "read_file",
    "The content of a file.",
    &[
        opt("length", Int, "At most so many bytes; 4194304 without"),
        opt("offset", Int, "Where to start"),
        req("filename", PathArg, "The file"),
        ACCESSOR,
    ],
)
.group(Group::Files)
.examples(&["SELECT read_file(filename='hello world', accessor='data', offset=6) AS Text FROM scope()"]);

fn run(cx: &Context<'_>, args: &Args<'_>, emit: &mut EmitView<'_>) -> Result<Flow, CallError> {
    let chunk = args.opt_int("chunk")?.filter(|n| *n > 0).unwrap_or(DEFAULT_CHUNK).min(MAX_BYTES) as u64;
    let max = args.opt_int("max_length")?.filter(|n| *n > 0).map_or(u64::MAX, |n| n as u64);
    let columns = Columns::new(["Data", "Offset", "Filename"]);
    files::each(cx, args, "filenames", |path, mut file| {
        let filename = Value::from(path);
        let mut offset = 0;
        while offset < max {
            let mut data = Vec::new();
            let read = file.by_ref().take(chunk.min(max - offset)).read_to_end(&mut data)?;
            if read == 0 {
                break;
            }
            let row = vec![Value::from_bytes(data), offset.into(), filename.clone()];
            if emit(&Row::new(&columns, row)).is_break() {
                return Ok(BREAK);
            }
            offset += read as u64;
        }
        Ok(CONTINUE)
    })
}

fn call(cx: &Context<'_>, args: &Args<'_>) -> Result<Value, CallError> {
    let accessor = args.accessor()?;
    let length = args.opt_int("length")?.filter(|n| *n > 0).unwrap_or(DEFAULT_LENGTH).min(MAX_BYTES);
    let offset = args.int("offset")?.max(0);
    let path = args.os_path("filename", &*accessor);
    let read = || {
        let mut file = accessor.open(cx, &path)?;
        if offset > 0 {
            file.seek(SeekFrom::Start(offset as u64))?;
        }
        let mut data = Vec::new();
        files::watched(cx, file).take(length as u64).read_to_end(&mut data)?;
        Ok(data)
    };
    read().map(Value::from_bytes).map_err(|error| trouble(&path, &error))
}

pub(super) fn register(registry: &mut Registry) {
    registry.add_plugin(Plug(&PLUGIN, run));
    registry.add_function(Func(&FUNCTION, call));
}
