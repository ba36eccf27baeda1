//! Where files come from: an accessor opens, describes and lists them by path. Queries name it (`accessor='file'`).
//!
//! The host adds its own to the [`Registry`]; `data` and `scope` are everywhere.

mod compressed;
mod data;
mod offset;
mod path;
mod pipe;
mod scope;
mod sparse;
mod zip;

use std::{
    io::{self, Read, Seek},
    ops::ControlFlow,
};

pub use compressed::unpacked;
pub use path::{Delegate, DelegatePath, OsPath, PathKind};

use crate::{
    plugin::{CallError, Registry},
    scope::Context,
    value::Value,
};

/// An open file.
pub trait ReadSeek: Read + Seek + Send {}

impl<T: Read + Seek + Send> ReadSeek for T {}

/// One source of files.
pub trait Accessor: Send + Sync {
    fn name(&self) -> &'static str;

    /// How its paths are written.
    fn path_kind(&self) -> PathKind {
        PathKind::HOST
    }

    /// Opens for reading; never waits for another program, as a pipe would.
    fn open(&self, cx: &Context<'_>, path: &OsPath) -> io::Result<Box<dyn ReadSeek>>;

    /// Describes what is at the path; of a link, the link itself unless `follow`.
    fn stat(&self, cx: &Context<'_>, path: &OsPath, follow: bool) -> io::Result<Meta>;

    /// Gives the entries of a directory until Break, in the order of the system. The directory is open meanwhile.
    fn list(&self, cx: &Context<'_>, path: &OsPath, each: &mut dyn FnMut(Entry) -> ControlFlow<()>) -> io::Result<()>;

    /// Names that differ in case only are the same name.
    fn ignores_case(&self) -> bool {
        false
    }
}

/// An entry of a directory.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    /// As the system has it: a name need not be text.
    pub name: Vec<u8>,
    pub kind: Kind,
}

#[derive(Clone, Copy, Debug, Default, Eq, Ord, PartialEq, PartialOrd)]
pub enum Kind {
    #[default]
    File,
    Directory,
    Link,
    /// A device, pipe or socket.
    Other,
    /// The system did not say; `stat` does.
    Unknown,
}

/// What is known of a file. Times are seconds and nanoseconds since 1970.
#[derive(Clone, Debug, Default)]
pub struct Meta {
    pub kind: Kind,
    pub size: u64,
    /// As `st_mode`, or what comes nearest.
    pub mode: u32,
    pub mtime: Option<(i64, i32)>,
    pub atime: Option<(i64, i32)>,
    pub ctime: Option<(i64, i32)>,
    pub btime: Option<(i64, i32)>,
    /// Device and inode: the same file under another name has the same. None where there is no such thing.
    pub id: Option<(u64, u64)>,
    pub owner: Option<(u32, u32)>,
    /// Where a link points.
    pub target: Option<Vec<u8>>,
}

/// The accessor that a query means when it names none.
pub const DEFAULT: &str = "auto";

/// What a call says when a file could not be used.
pub fn trouble(path: &OsPath, error: &io::Error) -> CallError {
    CallError::new(format!("{}: {error}", path.show()))
}

pub(crate) fn register(registry: &mut Registry) {
    registry.add_accessor(compressed::BZIP2);
    registry.add_accessor(data::Data);
    registry.add_accessor(compressed::GZIP);
    registry.add_accessor(offset::Offset);
    registry.add_accessor(pipe::Pipes);
    registry.add_accessor(scope::Scope);
    registry.add_accessor(sparse::Sparse);
    registry.add_accessor(zip::ZIP);
    registry.add_accessor(zip::ZIP_NOCASE);
}

/// Opens the file that holds what the path names; without one in the path, the path itself by the default accessor.
pub(crate) fn open_delegate(cx: &Context<'_>, path: &OsPath) -> io::Result<Box<dyn ReadSeek>> {
    let (name, holder) = match path.delegate() {
        None => ("", &DelegatePath::Text(Value::from(path))),
        Some(delegate) => (&*delegate.accessor, &delegate.path),
    };
    if path.is_too_deep() {
        return Err(io::Error::other("files lie too deep in files here"));
    }
    let accessor = cx.registry().accessor(Some(name)).map_err(|error| io::Error::other(error.message))?;
    let holder = match holder {
        DelegatePath::Text(text) => OsPath::of_value(accessor.path_kind(), text),
        DelegatePath::Nested(outer) => OsPath::of_value(accessor.path_kind(), &Value::Object(outer.clone())),
    };
    accessor.open(cx, &holder)
}

/// As accessors answer that have no directories.
fn no_directories(name: &str) -> io::Result<()> {
    Err(io::Error::new(io::ErrorKind::NotADirectory, format!("the accessor `{name}` has no directories")))
}
