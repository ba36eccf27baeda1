//! Files as parsers read them: opened by an accessor, in pieces, with bounds, stopped with the query.

use std::io::{self, BufRead, BufReader, Read};

use super::prelude::*;
use crate::accessor::{Accessor, OsPath, ReadSeek};

/// The argument by which a file's accessor is named.
pub(super) const ACCESSOR: ArgSpec = opt("accessor", Text, "How the file is opened; `auto` without");

/// What is read of a file at once.
const CHUNK: usize = 64 << 10;

/// A record may be so long, and a document that is held as a whole.
pub(super) const MAX_RECORD: usize = 64 << 20;

/// A buffer that a query asks for may be so long.
const MAX_BUFFER: i64 = 64 << 20;

/// The bytes of a buffer: `buffer_size`, 64 KiB without.
pub(super) fn buffer_size(args: &Args<'_>) -> Result<usize, CallError> {
    Ok(args.opt_int("buffer_size")?.filter(|size| *size > 0).map_or(CHUNK, |size| size.min(MAX_BUFFER) as usize))
}

/// Opens the files that `argument` names one after the other. What is wrong with one is logged.
pub(super) fn each(
    cx: &Context<'_>,
    args: &Args<'_>,
    argument: &str,
    mut parse: impl FnMut(&OsPath, Watched<'_>) -> io::Result<Flow>,
) -> Result<Flow, CallError> {
    let accessor = args.accessor()?;
    for path in args.os_paths(argument, &*accessor) {
        let parsed = open(cx, &*accessor, &path).and_then(|file| parse(&path, file));
        match parsed {
            Ok(ControlFlow::Continue(())) => {}
            Ok(ControlFlow::Break(())) => return Ok(BREAK),
            Err(_) if cx.cancelled() => return Ok(BREAK),
            Err(error) => cx.error(format!("{}: {}: {error}", args.name(), path.show())),
        }
    }
    Ok(CONTINUE)
}

/// Opens a file for a parser.
pub(super) fn open<'c>(cx: &'c Context<'c>, accessor: &dyn Accessor, path: &OsPath) -> io::Result<Watched<'c>> {
    Ok(watched(cx, accessor.open(cx, path)?))
}

pub(super) fn watched<'c>(cx: &'c Context<'c>, file: Box<dyn ReadSeek>) -> Watched<'c> {
    Watched { file, cx, left: None }
}

/// The content of a file that must be there as a whole.
pub(super) fn whole(cx: &Context<'_>, args: &Args<'_>, argument: &str) -> Result<Vec<u8>, CallError> {
    let accessor = args.accessor()?;
    let path = args.os_path(argument, &*accessor);
    let read = || {
        let mut content = Vec::new();
        let mut file = open(cx, &*accessor, &path)?;
        file.record_of(MAX_RECORD);
        file.read_to_end(&mut content)?;
        Ok(content)
    };
    read().map_err(|error| crate::accessor::trouble(&path, &error))
}

/// A file that stops to be read when the query is to stop, or when what is read of it grows out of bounds.
pub(super) struct Watched<'c> {
    file: Box<dyn ReadSeek>,
    cx: &'c Context<'c>,
    left: Option<usize>,
}

impl Watched<'_> {
    /// No more than so many bytes may be read until this is called again: who gathers a record does so before each.
    pub(super) fn record_of(&mut self, most: usize) {
        self.left = Some(most);
    }

    /// The file itself, or its content where it is compressed.
    pub(super) fn unpacked(mut self) -> io::Result<Self> {
        self.file = crate::accessor::unpacked(self.file)?;
        Ok(self)
    }
}

impl Read for Watched<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.cx.charge(1).is_break() {
            return Err(io::Error::other("stopped"));
        }
        let most = buffer.len().min(CHUNK);
        let read = self.file.read(&mut buffer[..most])?;
        if let Some(left) = &mut self.left {
            *left = left.checked_sub(read).ok_or_else(|| {
                let most = MAX_RECORD >> 20;
                io::Error::new(io::ErrorKind::InvalidData, format!("what is read as one is longer than {most} MiB"))
            })?;
        }
        Ok(read)
    }
}

/// The lines of a file, each into the same buffer.
pub(super) struct Lines<R> {
    reader: BufReader<R>,
    longest: usize,
    line: Vec<u8>,
}

impl<R: Read> Lines<R> {
    /// A longer line comes in pieces.
    pub(super) fn new(file: R, longest: usize) -> Lines<R> {
        Lines { reader: BufReader::with_capacity(CHUNK, file), longest, line: Vec::new() }
    }

    /// The next line without its end, and whether it goes on after this piece; None at the end of the file.
    pub(super) fn next(&mut self) -> io::Result<Option<(&[u8], bool)>> {
        self.line.clear();
        if self.reader.by_ref().take(self.longest as u64).read_until(b'\n', &mut self.line)? == 0 {
            return Ok(None);
        }
        Ok(Some(match self.line.strip_suffix(b"\n") {
            Some(line) => (line.strip_suffix(b"\r").unwrap_or(line), false),
            None => (&self.line, self.line.len() == self.longest),
        }))
    }
}

/// Text without the byte order mark in front.
pub(super) fn without_mark(text: &[u8]) -> &[u8] {
    [&b"\xef\xbb\xbf"[..], b"\xff\xfe", b"\xfe\xff"].iter().find_map(|mark| text.strip_prefix(*mark)).unwrap_or(text)
}
