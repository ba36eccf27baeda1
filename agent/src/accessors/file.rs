//! The host's own files.

use std::{
    fs,
    io::{self, ErrorKind},
    ops::ControlFlow,
};

use vql::{
    Accessor, Context, OsPath,
    accessor::{Entry, Kind, Meta, ReadSeek},
};

use super::{os_bytes, os_path};

pub(super) struct File {
    pub(super) name: &'static str,
    pub(super) nocase: bool,
}

impl Accessor for File {
    fn name(&self) -> &'static str {
        self.name
    }

    fn open(&self, _cx: &Context<'_>, path: &OsPath) -> io::Result<Box<dyn ReadSeek>> {
        self.open_bytes(path.bytes())
    }

    fn stat(&self, _cx: &Context<'_>, path: &OsPath, follow: bool) -> io::Result<Meta> {
        self.describe(path.bytes(), follow)
    }

    fn list(&self, _cx: &Context<'_>, path: &OsPath, each: &mut dyn FnMut(Entry) -> ControlFlow<()>) -> io::Result<()> {
        self.list_entries(path.bytes(), each)
    }

    fn ignores_case(&self) -> bool {
        self.nocase
    }
}

impl File {
    pub(super) fn open_bytes(&self, path: &[u8]) -> io::Result<Box<dyn ReadSeek>> {
        // Before it is opened: that alone wakes who waits at a pipe, starts a watchdog, winds a tape back.
        readable(&fs::metadata(os_path(path))?)?;
        let file = open(path)?;
        readable(&file.metadata()?)?;
        Ok(Box::new(file))
    }

    pub(super) fn describe(&self, path: &[u8], follow: bool) -> io::Result<Meta> {
        let os = os_path(path);
        let meta = if follow { fs::metadata(&os) } else { fs::symlink_metadata(&os) }?;
        let mut known = describe(&meta);
        if known.kind == Kind::Link {
            known.target = fs::read_link(&os).ok().map(|target| os_bytes(target.as_os_str()));
        }
        Ok(known)
    }

    pub(super) fn list_entries(&self, path: &[u8], each: &mut dyn FnMut(Entry) -> ControlFlow<()>) -> io::Result<()> {
        for entry in fs::read_dir(os_path(path))? {
            // One bad entry (a directory in /proc that has just gone) is no reason to stop.
            let Ok(entry) = entry else { continue };
            let kind = entry.file_type().map_or(Kind::Unknown, kind);
            if each(Entry { name: os_bytes(&entry.file_name()), kind }).is_break() {
                break;
            }
        }
        Ok(())
    }
}

/// Whether it can be read, to an end, without an effect on other programs. Disks can.
fn readable(meta: &fs::Metadata) -> io::Result<()> {
    match kind(meta.file_type()) {
        Kind::Directory => Err(io::Error::new(ErrorKind::IsADirectory, "is a directory")),
        // Reading a pipe takes from another program what it waits for; /dev/zero has no end.
        Kind::Other if is_pipe(meta) => Err(io::Error::other("is a pipe or socket, not a file")),
        Kind::Other if is_character_device(meta) => Err(io::Error::other("is a character device, not a file")),
        _ => Ok(()),
    }
}

/// Opens without waiting and, where it is allowed, without leaving a trace in the access time.
#[cfg(target_os = "linux")]
fn open(path: &[u8]) -> io::Result<fs::File> {
    use std::os::unix::fs::OpenOptionsExt as _;
    let plain = nix::libc::O_NONBLOCK | nix::libc::O_NOCTTY;
    let path = os_path(path);
    let with = |flags| fs::OpenOptions::new().read(true).custom_flags(flags).open(&path);
    match with(plain | nix::libc::O_NOATIME) {
        Err(error) if error.kind() == ErrorKind::PermissionDenied => with(plain),
        opened => opened,
    }
}

#[cfg(all(unix, not(target_os = "linux")))]
fn open(path: &[u8]) -> io::Result<fs::File> {
    use std::os::unix::fs::OpenOptionsExt as _;
    let flags = nix::libc::O_NONBLOCK | nix::libc::O_NOCTTY;
    fs::OpenOptions::new().read(true).custom_flags(flags).open(os_path(path))
}

#[cfg(not(unix))]
fn open(path: &[u8]) -> io::Result<fs::File> {
    fs::File::open(os_path(path))
}

fn kind(kind: fs::FileType) -> Kind {
    if kind.is_dir() {
        Kind::Directory
    } else if kind.is_symlink() {
        Kind::Link
    } else if kind.is_file() {
        Kind::File
    } else {
        Kind::Other
    }
}

#[cfg(unix)]
fn is_pipe(meta: &fs::Metadata) -> bool {
    use std::os::unix::fs::FileTypeExt as _;
    meta.file_type().is_fifo() || meta.file_type().is_socket()
}

#[cfg(unix)]
fn is_character_device(meta: &fs::Metadata) -> bool {
    std::os::unix::fs::FileTypeExt::is_char_device(&meta.file_type())
}

#[cfg(not(unix))]
fn is_character_device(_: &fs::Metadata) -> bool {
    false
}

#[cfg(not(unix))]
fn is_pipe(_: &fs::Metadata) -> bool {
    false
}

#[cfg(unix)]
fn describe(meta: &fs::Metadata) -> Meta {
    use std::os::unix::fs::MetadataExt as _;
    let time = |seconds, nanos: i64| Some((seconds, nanos as i32));
    Meta {
        kind: kind(meta.file_type()),
        size: meta.len(),
        mode: meta.mode(),
        mtime: time(meta.mtime(), meta.mtime_nsec()),
        atime: time(meta.atime(), meta.atime_nsec()),
        ctime: time(meta.ctime(), meta.ctime_nsec()),
        btime: meta.created().ok().and_then(since_1970),
        id: Some((meta.dev(), meta.ino())),
        owner: Some((meta.uid(), meta.gid())),
        target: None,
    }
}

#[cfg(not(unix))]
fn describe(meta: &fs::Metadata) -> Meta {
    let kind = kind(meta.file_type());
    let mode = match (kind, meta.permissions().readonly()) {
        (Kind::Directory, _) => 0o040_755,
        (_, true) => 0o100_444,
        (_, false) => 0o100_644,
    };
    Meta {
        kind,
        size: meta.len(),
        mode,
        mtime: meta.modified().ok().and_then(since_1970),
        atime: meta.accessed().ok().and_then(since_1970),
        btime: meta.created().ok().and_then(since_1970),
        ..Meta::default()
    }
}

fn since_1970(time: std::time::SystemTime) -> Option<(i64, i32)> {
    let since = time.duration_since(std::time::UNIX_EPOCH).ok()?;
    Some((i64::try_from(since.as_secs()).ok()?, since.subsec_nanos() as i32))
}
