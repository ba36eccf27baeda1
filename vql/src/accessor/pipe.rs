//! `pipe`: the path names a variable that holds a pipe(), whose query makes the content while it is read.

use std::{
    io::{self, ErrorKind, Read, Seek, SeekFrom},
    ops::ControlFlow,
    sync::mpsc::{self, Receiver, RecvTimeoutError},
    time::Duration,
};

use super::{Accessor, Entry, Meta, OsPath, PathKind, ReadSeek};
use crate::builtin::pipe::Pipe;
use crate::scope::{CancelToken, Context};
use crate::value::Value;

pub(super) struct Pipes;

/// How many rows may be made before they are read.
const AHEAD: usize = 64;

/// How long a reader waits before it looks for cancellation.
const TICK: Duration = Duration::from_millis(10);

impl Accessor for Pipes {
    fn name(&self) -> &'static str {
        "pipe"
    }

    fn path_kind(&self) -> PathKind {
        PathKind::Opaque
    }

    fn open(&self, cx: &Context<'_>, path: &OsPath) -> io::Result<Box<dyn ReadSeek>> {
        let object = match cx.lookup(&path.text()) {
            Some(Value::Object(object)) => object,
            _ => return Err(io::Error::new(ErrorKind::NotFound, "no variable of this name holds a pipe()")),
        };
        let Some(pipe) = object.as_any().downcast_ref::<Pipe>() else {
            return Err(io::Error::new(ErrorKind::InvalidInput, "the variable holds no pipe()"));
        };
        let (give, take) = mpsc::sync_channel::<Vec<u8>>(AHEAD);
        let (query, separator) = (pipe.query.clone(), pipe.separator.clone());
        cx.spawn(move |cx| {
            let _ = cx.run_query(&query, &mut |row| {
                let value = if row.columns().is_empty() { Value::Null } else { row.value(0) };
                let mut bytes = match &value {
                    Value::Null => Vec::new(),
                    value => value.as_bytes().map_or_else(|| value.to_text().as_bytes().to_vec(), <[u8]>::to_vec),
                };
                bytes.extend_from_slice(&separator);
                match give.send(bytes) {
                    Ok(()) => cx.unless_cancelled(),
                    Err(_) => ControlFlow::Break(()),
                }
            });
        })?;
        Ok(Box::new(Reader::new(take, cx.cancel_token().clone())))
    }

    fn stat(&self, _cx: &Context<'_>, _path: &OsPath, _follow: bool) -> io::Result<Meta> {
        Ok(Meta::default())
    }

    fn list(&self, _cx: &Context<'_>, _path: &OsPath, _: &mut dyn FnMut(Entry) -> ControlFlow<()>) -> io::Result<()> {
        Err(io::Error::new(ErrorKind::NotADirectory, "the accessor `pipe` has no directories"))
    }
}

/// So much of the beginning can be read again: readers look at it to know what the content is.
const BEGINNING: usize = 64 << 10;

/// Reads forwards; back only within the beginning, while no more than that was read.
struct Reader {
    take: Receiver<Vec<u8>>,
    cancel: CancelToken,
    /// What came last, and how much of it was read.
    part: Vec<u8>,
    read: usize,
    /// The place in the whole.
    at: u64,
    /// What was read so far; None when that is too much.
    beginning: Option<Vec<u8>>,
}

impl Reader {
    fn new(take: Receiver<Vec<u8>>, cancel: CancelToken) -> Reader {
        Reader { take, cancel, part: Vec::new(), read: 0, at: 0, beginning: Some(Vec::new()) }
    }

    /// What was read already and is to be read again.
    fn again(&self) -> &[u8] {
        let at = usize::try_from(self.at).unwrap_or(usize::MAX);
        self.beginning.as_ref().and_then(|beginning| beginning.get(at..)).unwrap_or_default()
    }
}

impl Read for Reader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let again = self.again();
        if !again.is_empty() {
            let count = buffer.len().min(again.len());
            buffer[..count].copy_from_slice(&again[..count]);
            self.at += count as u64;
            return Ok(count);
        }
        while self.read == self.part.len() && !buffer.is_empty() {
            match self.take.recv_timeout(TICK) {
                Ok(part) => (self.part, self.read) = (part, 0),
                Err(RecvTimeoutError::Disconnected) => return Ok(0),
                Err(RecvTimeoutError::Timeout) if self.cancel.is_cancelled() => {
                    return Err(io::Error::other("the query was stopped"));
                }
                Err(RecvTimeoutError::Timeout) => {}
            }
        }
        let count = buffer.len().min(self.part.len() - self.read);
        let new = &self.part[self.read..self.read + count];
        buffer[..count].copy_from_slice(new);
        if let Some(beginning) = self.beginning.as_mut().filter(|b| b.len() + count <= BEGINNING) {
            beginning.extend_from_slice(new);
        } else {
            self.beginning = None;
        }
        self.read += count;
        self.at += count as u64;
        Ok(count)
    }
}

impl Seek for Reader {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let target = match to {
            SeekFrom::Start(at) => Some(at),
            SeekFrom::Current(by) => self.at.checked_add_signed(by),
            SeekFrom::End(_) => None,
        };
        let known = self.beginning.as_ref().map(|beginning| beginning.len() as u64);
        match target {
            Some(target) if known.is_some_and(|known| target <= known) => self.at = target,
            Some(target) if target >= self.at => {
                let ahead = target - self.at;
                io::copy(&mut self.by_ref().take(ahead), &mut io::sink())?;
            }
            _ => return Err(io::Error::new(ErrorKind::Unsupported, "a pipe is read forwards only")),
        }
        Ok(self.at)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn the_beginning_can_be_read_again() {
        let (give, take) = mpsc::sync_channel(8);
        for part in [&b"abc"[..], b"", b"def", &[b'x'; BEGINNING]] {
            give.send(part.to_vec()).unwrap();
        }
        drop(give);
        let mut reader = Reader::new(take, CancelToken::new());
        let mut text = [0; 5];
        reader.read_exact(&mut text).unwrap();
        assert_eq!(&text, b"abcde");
        assert_eq!(reader.seek(SeekFrom::Start(1)).unwrap(), 1);
        reader.read_exact(&mut text).unwrap();
        assert_eq!(&text, b"bcdef");
        assert_eq!(reader.seek(SeekFrom::Current(BEGINNING as i64)).unwrap(), 6 + BEGINNING as u64);
        assert_eq!(reader.read(&mut text).unwrap(), 0);
        assert!(reader.seek(SeekFrom::Start(0)).is_err());
    }
}
