//! `offset`: another file from a place on. The path is the place in bytes, the delegate the file.

use std::{
    io::{self, ErrorKind, Read, Seek, SeekFrom},
    ops::ControlFlow,
};

use super::{Accessor, Entry, Meta, OsPath, PathKind, ReadSeek, no_directories, open_delegate};
use crate::scope::Context;

pub(super) struct Offset;

impl Offset {
    fn file(cx: &Context<'_>, path: &OsPath) -> io::Result<From> {
        if path.delegate().is_none() {
            let problem = "needs a file to look into: pathspec(DelegateAccessor=…, DelegatePath=…, Path='/512')";
            return Err(io::Error::new(ErrorKind::InvalidInput, problem));
        }
        let own = String::from_utf8_lossy(path.bytes());
        let start = crate::value::parse_int(own.trim_matches('/')).and_then(|start| u64::try_from(start).ok());
        let start = start.ok_or_else(|| {
            io::Error::new(ErrorKind::InvalidInput, "the Path is the place to start from, as in Path='/512'")
        })?;
        let mut file = open_delegate(cx, path)?;
        file.seek(SeekFrom::Start(start))?;
        Ok(From { file, start })
    }
}

impl Accessor for Offset {
    fn name(&self) -> &'static str {
        "offset"
    }

    fn path_kind(&self) -> PathKind {
        PathKind::Pathspec
    }

    fn open(&self, cx: &Context<'_>, path: &OsPath) -> io::Result<Box<dyn ReadSeek>> {
        Ok(Box::new(Offset::file(cx, path)?))
    }

    fn stat(&self, cx: &Context<'_>, path: &OsPath, _follow: bool) -> io::Result<Meta> {
        let size = Offset::file(cx, path)?.seek(SeekFrom::End(0))?;
        Ok(Meta { size, ..Meta::default() })
    }

    fn list(&self, _cx: &Context<'_>, _path: &OsPath, _: &mut dyn FnMut(Entry) -> ControlFlow<()>) -> io::Result<()> {
        no_directories(self.name())
    }
}

/// A file whose start is somewhere in another.
struct From {
    file: Box<dyn ReadSeek>,
    start: u64,
}

impl Read for From {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.file.read(buffer)
    }
}

impl Seek for From {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let to = match to {
            SeekFrom::Start(at) => SeekFrom::Start(at.saturating_add(self.start)),
            other => other,
        };
        let at = self.file.seek(to)?;
        match at.checked_sub(self.start) {
            Some(at) => Ok(at),
            // The other file ends before our start.
            None if matches!(to, SeekFrom::End(_)) => {
                self.file.seek(SeekFrom::Start(self.start))?;
                Ok(0)
            }
            None => Err(io::Error::new(ErrorKind::InvalidInput, "before the start of the file")),
        }
    }
}
