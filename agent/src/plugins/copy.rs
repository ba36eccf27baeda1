//! `copy()` and `write_file()`.

use std::{
    io::{self, Read, Write},
    path::Path as FilePath,
};

use super::{
    output::{self, Output},
    prelude::*,
};

const BUFFER: usize = 128 << 10;

const APPEND: ArgSpec = opt("append", Bool, "What is there stays, and this is put behind it");
const DIRECTORIES: ArgSpec = opt("create_directories", Bool, "Make the directories that are not there");
const PERMISSIONS: ArgSpec =
    opt("permissions", Text, "Of the file: `0755`, `rwxr-xr-x`, or `x` for the owner; 0600 without");

static COPY: Signature = Signature::new(
    "copy",
    "Copies a file that any accessor opens to a file of this host, whose path it gives; NULL when that fails.",
    &[
        req("filename", Path, "The file to copy"),
        ACCESSOR,
        req("dest", Text, "The file to write"),
        PERMISSIONS,
        opt("dir_permissions", Text, "Of directories that are made; 0700 without"),
        APPEND,
        DIRECTORIES,
    ],
)
.group(Group::Actions)
.side_effects()
.examples(&["SELECT copy(filename='Hello', accessor='data', dest=tempdir() + '/hi.txt') != NULL AS Done FROM scope()"]);

fn copy(cx: &Context<'_>, args: &Args<'_>) -> Result<Value, CallError> {
    let accessor = args.accessor()?;
    let from = args.os_path("filename", &*accessor);
    let output = Output::of(args)?;
    let dest = output::destination(args, "dest")?;
    let mut file = accessor.open(cx, &from).map_err(|error| vql::accessor::trouble(&from, &error))?;
    write(cx, &mut file, output, &dest)
}

static WRITE_FILE: Signature = Signature::new(
    "write_file",
    "Writes text or data to a file of this host, whose path it gives; NULL when that fails.",
    &[req("data", Text, "What to write"), req("dest", Text, "The file"), PERMISSIONS, APPEND, DIRECTORIES],
)
.group(Group::Actions)
.side_effects()
.examples(&["SELECT write_file(data='Hello', dest=tempdir() + '/hi.txt') != NULL AS Done FROM scope()"]);

fn write_file(cx: &Context<'_>, args: &Args<'_>) -> Result<Value, CallError> {
    let data = args.bytes("data")?;
    let dest = output::destination(args, "dest")?;
    write(cx, &mut &data[..], Output::of(args)?, &dest)
}

fn write(cx: &Context<'_>, from: &mut dyn Read, output: Output, dest: &FilePath) -> Result<Value, CallError> {
    let mut copy = || {
        let mut file = output.open(dest)?;
        let mut buffer = vec![0; BUFFER];
        loop {
            if cx.charge(1).is_break() {
                return Err(io::Error::other("stopped within the file"));
            }
            match from.read(&mut buffer) {
                Ok(0) => return Ok(()),
                Ok(read) => file.write_all(&buffer[..read])?,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    };
    copy().map_err(|error| CallError::new(format!("{}: {error}", dest.display())))?;
    Ok(Value::from(dest))
}

pub(super) fn register(registry: &mut Registry) {
    registry.add_function(Func(&COPY, copy));
    registry.add_function(Func(&WRITE_FILE, write_file));
}
