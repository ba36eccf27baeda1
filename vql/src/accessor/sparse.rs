//! `sparse`: another file of which only some ranges are read; the rest is zeros. The path is the list of ranges
//! (`[{"Offset": 0, "Length": 5}, …]`), the delegate the file.

use std::{
    io::{self, ErrorKind, Read, Seek, SeekFrom},
    ops::{ControlFlow, Range},
};

use super::{Accessor, Entry, Meta, OsPath, PathKind, ReadSeek, no_directories, open_delegate};
use crate::{scope::Context, value::Value};

pub(super) struct Sparse;

impl Accessor for Sparse {
    fn name(&self) -> &'static str {
        "sparse"
    }

    fn path_kind(&self) -> PathKind {
        PathKind::Pathspec
    }

    fn open(&self, cx: &Context<'_>, path: &OsPath) -> io::Result<Box<dyn ReadSeek>> {
        let ranges = ranges(path)?;
        Ok(Box::new(Masked { file: open_delegate(cx, path)?, ranges, at: 0 }))
    }

    fn stat(&self, _cx: &Context<'_>, path: &OsPath, _follow: bool) -> io::Result<Meta> {
        Ok(Meta { size: ranges(path)?.last().map_or(0, |range| range.end), ..Meta::default() })
    }

    fn list(&self, _cx: &Context<'_>, _path: &OsPath, _: &mut dyn FnMut(Entry) -> ControlFlow<()>) -> io::Result<()> {
        no_directories(self.name())
    }
}

/// The ranges of the path, in order, none over another.
fn ranges(path: &OsPath) -> io::Result<Vec<Range<u64>>> {
    let wrong = || {
        let problem = "the Path is a list of ranges, as in Path=[dict(Offset=0, Length=512),]";
        io::Error::new(ErrorKind::InvalidInput, problem)
    };
    let list = match crate::json::parse(path.bytes()).map_err(|_| wrong())? {
        Value::Array(list) => list.to_vec(),
        one @ Value::Dict(_) => vec![one],
        _ => return Err(wrong()),
    };
    let mut ranges = Vec::with_capacity(list.len());
    for range in list {
        let number = |names: [&str; 2]| {
            let dict = range.as_dict()?;
            let value = names.iter().find_map(|name| dict.get(name))?;
            u64::try_from(value.as_int()?).ok()
        };
        let (start, length) = number(["Offset", "offset"]).zip(number(["Length", "length"])).ok_or_else(wrong)?;
        ranges.push(start..start.saturating_add(length));
    }
    ranges.sort_by_key(|range| range.start);
    let mut end = 0;
    for range in &mut ranges {
        range.start = range.start.max(end);
        range.end = range.end.max(range.start);
        end = range.end;
    }
    Ok(ranges)
}

struct Masked {
    file: Box<dyn ReadSeek>,
    ranges: Vec<Range<u64>>,
    at: u64,
}

impl Read for Masked {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let next = self.ranges.partition_point(|range| range.end <= self.at);
        let Some(range) = self.ranges.get(next) else { return Ok(0) };
        let most = |until: u64| usize::try_from(until - self.at).unwrap_or(usize::MAX).min(buffer.len());
        let read = if self.at < range.start {
            let zeros = most(range.start);
            buffer[..zeros].fill(0);
            zeros
        } else {
            let most = most(range.end);
            self.file.seek(SeekFrom::Start(self.at))?;
            self.file.read(&mut buffer[..most])?
        };
        self.at += read as u64;
        Ok(read)
    }
}

impl Seek for Masked {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let end = self.ranges.last().map_or(0, |range| range.end);
        let at = match to {
            SeekFrom::Start(at) => Some(at),
            SeekFrom::Current(by) => self.at.checked_add_signed(by),
            SeekFrom::End(by) => end.checked_add_signed(by),
        };
        self.at = at.ok_or_else(|| io::Error::new(ErrorKind::InvalidInput, "before the start of the file"))?;
        Ok(self.at)
    }
}
