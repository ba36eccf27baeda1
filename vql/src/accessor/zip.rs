//! `zip`: the members of an archive as files. The delegate is the archive, the path that of a member.
//!
//! Only the directory at the end of the archive is read before a member is; it is kept for the query, as a search opens
//! member after member.

use std::{
    collections::{BTreeMap, HashMap},
    io::{self, Cursor, ErrorKind, Read, Seek, SeekFrom},
    ops::ControlFlow,
    sync::Arc,
};

use parking_lot::Mutex;

use super::{
    Accessor, DelegatePath, Entry, Kind, Meta, OsPath, PathKind, ReadSeek,
    compressed::{Format, Unpack},
    open_delegate,
};
use crate::scope::Context;

pub(super) const ZIP: Zip = Zip { name: "zip", nocase: false };
pub(super) const ZIP_NOCASE: Zip = Zip { name: "zip_nocase", nocase: true };

pub(super) struct Zip {
    name: &'static str,
    nocase: bool,
}

/// The directory of an archive may be so long, in bytes, and have so many members.
const MAX_DIRECTORY: u64 = 256 << 20;
const MAX_MEMBERS: usize = 2_000_000;

/// Directories in directories.
const MAX_DEPTH: usize = 256;

/// An archive within a compressed file is held as a whole, as it is read here and there.
const MAX_INNER: u64 = 256 << 20;

/// So many archives are kept open at once.
const MAX_KEPT: usize = 4;

/// Those that the query has looked into, by where they are and their length.
type Known = Mutex<Vec<(String, u64, Arc<Archive>)>>;

impl Zip {
    fn archive(&self, cx: &Context<'_>, path: &OsPath) -> io::Result<(Box<dyn ReadSeek>, Arc<Archive>)> {
        let Some(delegate) = path.delegate() else {
            let problem = "needs an archive: pathspec(DelegatePath='/a.zip', Path='member')";
            return Err(io::Error::new(ErrorKind::InvalidInput, problem));
        };
        let mut file = open_delegate(cx, path)?;
        if matches!(delegate.path, DelegatePath::Nested(_)) {
            let mut content = Vec::new();
            if file.take(MAX_INNER + 1).read_to_end(&mut content)? as u64 > MAX_INNER {
                return Err(io::Error::other(format!("an archive in a file is at most {} MiB long", MAX_INNER >> 20)));
            }
            file = Box::new(Cursor::new(content));
        }
        let length = file.seek(SeekFrom::End(0))?;
        let place = OsPath::new(PathKind::Zip, "").within(delegate.clone()).text().into_owned();
        let (known, _) = cx.state(0, Known::default);
        if let Some((_, _, archive)) = known.lock().iter().find(|(p, l, _)| *p == place && *l == length) {
            return Ok((file, archive.clone()));
        }
        let archive = Arc::new(Archive::read(cx, &mut *file, length)?);
        let mut known = known.lock();
        if known.len() >= MAX_KEPT {
            known.remove(0);
        }
        known.push((place, length, archive.clone()));
        Ok((file, archive))
    }

    fn node<'a>(&self, archive: &'a Archive, path: &OsPath) -> io::Result<&'a Node> {
        let key = key(path.parts().iter().map(|part| &part[..]));
        let found = archive.nodes.get(&key).or_else(|| {
            let same = |(name, node): (&Vec<u8>, &'a Node)| name.eq_ignore_ascii_case(&key).then_some(node);
            self.nocase.then(|| archive.nodes.iter().find_map(same)).flatten()
        });
        found.ok_or_else(|| io::Error::new(ErrorKind::NotFound, "the archive has no such member"))
    }
}

impl Accessor for Zip {
    fn name(&self) -> &'static str {
        self.name
    }

    fn path_kind(&self) -> PathKind {
        PathKind::Zip
    }

    fn open(&self, cx: &Context<'_>, path: &OsPath) -> io::Result<Box<dyn ReadSeek>> {
        let (file, archive) = self.archive(cx, path)?;
        match &self.node(&archive, path)?.member {
            Some(member) => member.open(cx, file),
            None => Err(io::Error::new(ErrorKind::IsADirectory, "is a directory")),
        }
    }

    fn stat(&self, cx: &Context<'_>, path: &OsPath, _follow: bool) -> io::Result<Meta> {
        let (_, archive) = self.archive(cx, path)?;
        let node = self.node(&archive, path)?;
        Ok(match &node.member {
            Some(member) => Meta {
                size: member.size,
                mode: 0o100_000 | 0o644,
                mtime: member.mtime.map(|seconds| (seconds, 0)),
                ..Meta::default()
            },
            None => Meta { kind: Kind::Directory, mode: 0o040_755, ..Meta::default() },
        })
    }

    fn list(&self, cx: &Context<'_>, path: &OsPath, each: &mut dyn FnMut(Entry) -> ControlFlow<()>) -> io::Result<()> {
        let (_, archive) = self.archive(cx, path)?;
        let node = self.node(&archive, path)?;
        if node.member.is_some() {
            return Err(io::Error::new(ErrorKind::NotADirectory, "is no directory"));
        }
        for (name, kind) in &node.children {
            if each(Entry { name: name.clone(), kind: *kind }).is_break() {
                break;
            }
        }
        Ok(())
    }

    fn ignores_case(&self) -> bool {
        self.nocase
    }
}

/// What is at each path of an archive.
struct Archive {
    nodes: HashMap<Vec<u8>, Node>,
}

/// A member, or else a directory, which need not be said to be there.
#[derive(Default)]
struct Node {
    member: Option<Member>,
    children: BTreeMap<Vec<u8>, Kind>,
}

struct Member {
    /// Where its own header is.
    offset: u64,
    method: u16,
    encrypted: bool,
    packed: u64,
    size: u64,
    mtime: Option<i64>,
}

fn key<'p>(parts: impl Iterator<Item = &'p [u8]>) -> Vec<u8> {
    // `..` leads nowhere in an archive.
    parts.filter(|part| !part.is_empty() && *part != b"." && *part != b"..").collect::<Vec<_>>().join(&b'/')
}

fn bad(what: &str) -> io::Error {
    io::Error::new(ErrorKind::InvalidData, format!("no zip file, or a damaged one: {what}"))
}

fn u16_at(bytes: &[u8], at: usize) -> u64 {
    bytes.get(at..at + 2).map_or(0, |b| u64::from(u16::from_le_bytes([b[0], b[1]])))
}

fn u32_at(bytes: &[u8], at: usize) -> u64 {
    u16_at(bytes, at) | u16_at(bytes, at + 2) << 16
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u32_at(bytes, at) | u32_at(bytes, at + 4) << 32
}

fn read_at(file: &mut dyn ReadSeek, at: u64, length: u64) -> io::Result<Vec<u8>> {
    file.seek(SeekFrom::Start(at))?;
    let mut bytes = Vec::new();
    file.take(length).read_to_end(&mut bytes)?;
    Ok(bytes)
}

impl Archive {
    fn read(cx: &Context<'_>, file: &mut dyn ReadSeek, length: u64) -> io::Result<Archive> {
        // The end of the directory is before a comment of at most 64 KiB.
        let tail_at = length.saturating_sub(65_557);
        let tail = read_at(file, tail_at, 65_557)?;
        let end = memchr::memmem::rfind(&tail, b"PK\x05\x06").ok_or_else(|| bad("it has no directory at its end"))?;
        let (mut size, mut offset) = (u32_at(&tail, end + 12), u32_at(&tail, end + 16));
        let mut ends_at = tail_at + end as u64;
        if end >= 20 && tail[end - 20..].starts_with(b"PK\x06\x07") {
            // Archives of more than 4 GiB.
            let at = u64_at(&tail, end - 20 + 8);
            let record = read_at(file, at, 56)?;
            if !record.starts_with(b"PK\x06\x06") {
                return Err(bad("the large directory is not where it should be"));
            }
            (size, offset) = (u64_at(&record, 40), u64_at(&record, 48));
            ends_at = at;
        }
        // Data may stand before the archive, as in programs that unpack themselves: places count from its start.
        let start = ends_at.checked_sub(size).ok_or_else(|| bad("the directory is longer than the file"))?;
        let base = start.checked_sub(offset).ok_or_else(|| bad("the directory is not where it should be"))?;
        if size > MAX_DIRECTORY {
            return Err(bad("the directory is too long"));
        }
        let directory = read_at(file, start, size)?;
        let mut archive = Archive { nodes: HashMap::new() };
        archive.nodes.entry(Vec::new()).or_default();
        let mut rest = &directory[..];
        while rest.len() >= 46 && rest.starts_with(b"PK\x01\x02") {
            let (name, extra, comment) = (u16_at(rest, 28), u16_at(rest, 30), u16_at(rest, 32));
            let (extra_at, next) = (46 + name as usize, 46 + (name + extra + comment) as usize);
            if next > rest.len() {
                return Err(bad("the directory is cut off"));
            }
            let member = member(rest, &rest[extra_at..extra_at + extra as usize], base);
            archive.add(&rest[46..extra_at], member);
            rest = &rest[next..];
            if archive.nodes.len() > MAX_MEMBERS {
                return Err(bad("it has too many members"));
            }
            if cx.cancelled() {
                return Err(io::Error::other("stopped"));
            }
        }
        Ok(archive)
    }

    fn add(&mut self, name: &[u8], member: Member) {
        let key = key(name.split(|byte| *byte == b'/'));
        let parts: Vec<&[u8]> = key.split(|byte| *byte == b'/').collect();
        if key.is_empty() || parts.len() > MAX_DEPTH {
            return;
        }
        let is_directory = name.ends_with(b"/");
        let mut parent = 0;
        for (depth, part) in parts.iter().enumerate() {
            let last = depth + 1 == parts.len();
            let kind = if last && !is_directory { Kind::File } else { Kind::Directory };
            let above = self.nodes.entry(key[..parent.max(1) - 1].to_vec()).or_default();
            above.children.entry(part.to_vec()).or_insert(kind);
            parent += part.len() + 1;
        }
        let node = self.nodes.entry(key).or_default();
        if !is_directory {
            node.member = Some(member);
        }
    }
}

fn member(header: &[u8], mut extra: &[u8], base: u64) -> Member {
    let (mut packed, mut size, mut offset) = (u32_at(header, 20), u32_at(header, 24), u32_at(header, 42));
    let mut mtime = dos_time(u16_at(header, 14), u16_at(header, 12));
    while extra.len() >= 4 {
        let (id, length) = (u16_at(extra, 0), u16_at(extra, 2) as usize);
        let body = extra.get(4..4 + length).unwrap_or_default();
        match id {
            // Numbers that do not fit above, in this order, as far as they do not.
            1 => {
                let mut at = 0;
                for number in [&mut size, &mut packed, &mut offset] {
                    if *number == 0xffff_ffff && body.len() >= at + 8 {
                        *number = u64_at(body, at);
                        at += 8;
                    }
                }
            }
            // Seconds since 1970, in UTC.
            0x5455 if body.len() >= 5 && body[0] & 1 == 1 => mtime = Some(i64::from(u32_at(body, 1) as u32 as i32)),
            _ => {}
        }
        extra = extra.get(4 + length..).unwrap_or_default();
    }
    Member {
        offset: base.saturating_add(offset),
        method: u16_at(header, 10) as u16,
        encrypted: u16_at(header, 8) & 1 == 1,
        packed,
        size,
        mtime,
    }
}

/// A time without a zone: it is taken for UTC.
fn dos_time(date: u64, time: u64) -> Option<i64> {
    let part = |value: u64, shift: u32, mask: u64| i8::try_from(value >> shift & mask).ok();
    let date = jiff::civil::Date::new(1980 + (date >> 9) as i16, part(date, 5, 15)?, part(date, 0, 31)?).ok()?;
    let time =
        jiff::civil::Time::new(part(time, 11, 31)?, part(time, 5, 63)?, part(time, 0, 31)?.min(29) * 2, 0).ok()?;
    Some(date.to_datetime(time).to_zoned_datetime(jiff::tz::TimeZone::UTC).ok()?.timestamp().as_second())
}

impl Member {
    fn open(&self, cx: &Context<'_>, mut file: Box<dyn ReadSeek>) -> io::Result<Box<dyn ReadSeek>> {
        if self.encrypted {
            return Err(io::Error::other("the member is encrypted"));
        }
        let header = read_at(&mut *file, self.offset, 30)?;
        if header.len() < 30 || !header.starts_with(b"PK\x03\x04") {
            return Err(bad("the member is not where the directory says"));
        }
        let start = self.offset + 30 + u16_at(&header, 26) + u16_at(&header, 28);
        let mut window = Window { file, start, length: self.packed, at: 0 };
        window.seek(SeekFrom::Start(0))?;
        match self.method {
            0 => Ok(Box::new(window)),
            8 => Ok(Box::new(Unpack::new(Format::Deflate, Box::new(window)).until(cx))),
            12 => Ok(Box::new(Unpack::new(Format::Bzip2, Box::new(window)).until(cx))),
            other => Err(io::Error::other(format!("the member is compressed by method {other}, which is not known"))),
        }
    }
}

/// A part of a file as a file.
struct Window {
    file: Box<dyn ReadSeek>,
    start: u64,
    length: u64,
    at: u64,
}

impl Read for Window {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let most = usize::try_from(self.length.saturating_sub(self.at)).unwrap_or(usize::MAX).min(buffer.len());
        let read = self.file.read(&mut buffer[..most])?;
        self.at += read as u64;
        Ok(read)
    }
}

impl Seek for Window {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let at = match to {
            SeekFrom::Start(at) => Some(at),
            SeekFrom::Current(by) => self.at.checked_add_signed(by),
            SeekFrom::End(by) => self.length.checked_add_signed(by),
        };
        let at = at.ok_or_else(|| io::Error::new(ErrorKind::InvalidInput, "before the start of the file"))?;
        self.file.seek(SeekFrom::Start(self.start.saturating_add(at)))?;
        self.at = at;
        Ok(at)
    }
}
