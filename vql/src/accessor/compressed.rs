//! `gzip` and `bzip2`: the content of a compressed file, as it is read. Its path is that of the file, or a pathspec
//! with the file as delegate.

use std::{
    io::{self, BufReader, Read, Seek, SeekFrom},
    ops::ControlFlow,
    sync::Arc,
};

use flate2::read::{DeflateDecoder, MultiGzDecoder};
use parking_lot::Mutex;

use super::{Accessor, Entry, Meta, OsPath, PathKind, ReadSeek, no_directories, open_delegate};
use crate::scope::{CancelToken, Context};

pub(super) const GZIP: Compressed = Compressed { name: "gzip", format: Format::Gzip };
pub(super) const BZIP2: Compressed = Compressed { name: "bzip2", format: Format::Bzip2 };

pub(super) struct Compressed {
    name: &'static str,
    format: Format,
}

#[derive(Clone, Copy, Debug)]
pub(super) enum Format {
    Gzip,
    Bzip2,
    /// As within zip files.
    Deflate,
}

impl Accessor for Compressed {
    fn name(&self) -> &'static str {
        self.name
    }

    fn path_kind(&self) -> PathKind {
        PathKind::Pathspec
    }

    fn open(&self, cx: &Context<'_>, path: &OsPath) -> io::Result<Box<dyn ReadSeek>> {
        Ok(Box::new(Unpack::new(self.format, open_delegate(cx, path)?).until(cx)))
    }

    /// How long the content is only reading tells.
    fn stat(&self, cx: &Context<'_>, path: &OsPath, _follow: bool) -> io::Result<Meta> {
        open_delegate(cx, path)?;
        Ok(Meta::default())
    }

    fn list(&self, _cx: &Context<'_>, _path: &OsPath, _: &mut dyn FnMut(Entry) -> ControlFlow<()>) -> io::Result<()> {
        no_directories(self.name)
    }
}

/// The file, or its content if it is a gzip file: logs are compressed when they grow old.
pub fn unpacked(mut file: Box<dyn ReadSeek>) -> io::Result<Box<dyn ReadSeek>> {
    let mut magic = Vec::new();
    file.by_ref().take(3).read_to_end(&mut magic)?;
    file.seek(SeekFrom::Start(0))?;
    Ok(if magic == [0x1f, 0x8b, 8] { Box::new(Unpack::new(Format::Gzip, file)) } else { file })
}

/// Compressed data as a file: going back means to start again.
pub(super) struct Unpack {
    format: Format,
    source: Source,
    decoder: Box<dyn Read + Send>,
    at: u64,
    /// To go to a place is to read up to it, which may be long.
    cancel: Option<CancelToken>,
}

/// The compressed file; the decoder reads it, and we turn it back.
#[derive(Clone)]
struct Source(Arc<Mutex<Box<dyn ReadSeek>>>);

impl Read for Source {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.lock().read(buffer)
    }
}

impl Unpack {
    pub(super) fn new(format: Format, file: Box<dyn ReadSeek>) -> Unpack {
        let source = Source(Arc::new(Mutex::new(file)));
        Unpack { format, decoder: decoder(format, source.clone()), source, at: 0, cancel: None }
    }

    /// Stops when the query does.
    pub(super) fn until(mut self, cx: &Context<'_>) -> Unpack {
        self.cancel = Some(cx.cancel_token().clone());
        self
    }

    fn skip(&mut self, bytes: u64) -> io::Result<u64> {
        io::copy(&mut self.take(bytes), &mut io::sink())
    }
}

fn decoder(format: Format, source: Source) -> Box<dyn Read + Send> {
    let source = BufReader::with_capacity(64 << 10, source);
    match format {
        Format::Gzip => Box::new(MultiGzDecoder::new(source)),
        Format::Deflate => Box::new(DeflateDecoder::new(source)),
        Format::Bzip2 => Box::new(bzip2_rs::DecoderReader::new(source)),
    }
}

impl Read for Unpack {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.cancel.as_ref().is_some_and(CancelToken::is_cancelled) {
            return Err(io::Error::other("stopped"));
        }
        let read = self.decoder.read(buffer)?;
        self.at += read as u64;
        Ok(read)
    }
}

impl Seek for Unpack {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let goal = match to {
            SeekFrom::Start(at) => Some(at),
            SeekFrom::Current(by) => self.at.checked_add_signed(by),
            SeekFrom::End(by) => {
                self.skip(u64::MAX)?;
                self.at.checked_add_signed(by)
            }
        };
        let goal = goal.ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "before the start of the file"))?;
        if goal < self.at {
            self.source.0.lock().seek(SeekFrom::Start(0))?;
            self.decoder = decoder(self.format, self.source.clone());
            self.at = 0;
        }
        self.skip(goal - self.at)?;
        // As with other files, a place past the end is one: nothing is read there.
        Ok(goal)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::io::{Cursor, Write as _};

    use super::*;

    fn gzip(text: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(text).unwrap();
        encoder.finish().unwrap()
    }

    #[test]
    fn any_place_can_be_read() {
        let text: Vec<u8> = (0..200_000_u32).flat_map(u32::to_le_bytes).collect();
        let mut file = Unpack::new(Format::Gzip, Box::new(Cursor::new(gzip(&text))));
        for (to, at) in [
            (SeekFrom::Start(100_000), 100_000),
            (SeekFrom::Current(-50_000), 50_004),
            (SeekFrom::End(-4), 799_996),
            (SeekFrom::Start(0), 0),
        ] {
            assert_eq!(file.seek(to).unwrap(), at);
            let mut four = [0; 4];
            file.read_exact(&mut four).unwrap();
            assert_eq!(four, text[at as usize..][..4]);
        }
        assert!(file.seek(SeekFrom::Current(-10)).is_err());
    }

    #[test]
    fn garbage_is_an_error_and_plain_files_stay_plain() {
        let mut text = String::new();
        let garbage = b"\x1f\x8b\x08garbage".to_vec();
        assert!(unpacked(Box::new(Cursor::new(garbage))).unwrap().read_to_string(&mut text).is_err());
        unpacked(Box::new(Cursor::new(b"plain"))).unwrap().read_to_string(&mut text).unwrap();
        unpacked(Box::new(Cursor::new(gzip(b" packed")))).unwrap().read_to_string(&mut text).unwrap();
        assert_eq!(text, "plain packed");
    }
}
