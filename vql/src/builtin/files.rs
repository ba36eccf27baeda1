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
    Watched { file, cx }
}

/// The content of a file that must be there as a whole.
pub(super) fn whole(cx: &Context<'_>, args: &Args<'_>, argument: &str) -> Result<Vec<u8>, CallError> {
    let accessor = args.accessor()?;
    let path = args.os_path(argument, &*accessor);
    let read = || {
        let mut content = Vec::new();
        Bounded::new(open(cx, &*accessor, &path)?, "").read_to_end(&mut content)?;
        Ok(content)
    };
    read().map_err(|error| crate::accessor::trouble(&path, &error))
}

/// A file that stops to be read when the query is to stop.
pub(super) struct Watched<'c> {
    file: Box<dyn ReadSeek>,
    cx: &'c Context<'c>,
}

impl Watched<'_> {
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
        self.file.read(&mut buffer[..most])
    }
}

/// A file of which no more than one record is gathered.
pub(super) struct Bounded<R> {
    file: R,
    left: usize,
    hint: &'static str,
}

impl<R> Bounded<R> {
    /// `hint` follows on the error of a record that is too long.
    pub(super) fn new(file: R, hint: &'static str) -> Bounded<R> {
        Bounded { file, left: MAX_RECORD, hint }
    }

    pub(super) fn next_record(&mut self) {
        self.left = MAX_RECORD;
    }
}

impl<R: Read> Read for Bounded<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.file.read(buffer)?;
        self.left = self.left.checked_sub(read).ok_or_else(|| {
            let (most, hint) = (MAX_RECORD >> 20, self.hint);
            io::Error::new(io::ErrorKind::InvalidData, format!("longer than {most} MiB in one piece{hint}"))
        })?;
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

/// A document as text: UTF-8, or UTF-16 by its byte order mark.
pub(super) fn text(content: &[u8]) -> std::borrow::Cow<'_, str> {
    let units = |read: fn([u8; 2]) -> u16, content: &[u8]| {
        let units: Vec<u16> = content.chunks_exact(2).map(|pair| read([pair[0], pair[1]])).collect();
        String::from_utf16_lossy(&units).into()
    };
    match content {
        [0xff, 0xfe, rest @ ..] => units(u16::from_le_bytes, rest),
        [0xfe, 0xff, rest @ ..] => units(u16::from_be_bytes, rest),
        _ => String::from_utf8_lossy(without_mark(content)),
    }
}

/// A file of text without the byte order mark in front.
pub(super) fn skip_mark<R: Read>(mut file: R) -> io::Result<impl Read> {
    let mut start = Vec::with_capacity(3);
    file.by_ref().take(3).read_to_end(&mut start)?;
    if start == b"\xef\xbb\xbf" {
        start.clear();
    }
    Ok(io::Cursor::new(start).chain(file))
}
