//! Where files come from: an accessor opens, describes and lists them by path. Queries name it (`accessor='file'`).
//!
//! Paths are bytes, as the system has them: a name need not be text.

mod data;
mod file;

use std::{
    io::{self, Read, Seek},
    ops::ControlFlow,
    path::PathBuf,
};

use vql::{Args, CallError, Value};

/// An open file.
pub trait ReadSeek: Read + Seek + Send {}

impl<T: Read + Seek + Send> ReadSeek for T {}

/// One source of files. A new one is a file here and a line in `ALL`.
pub trait Accessor: Send + Sync {
    fn name(&self) -> &'static str;

    /// Opens for reading; never waits for another program, as a pipe would.
    fn open(&self, path: &[u8]) -> io::Result<Box<dyn ReadSeek>>;

    /// Describes what is at the path; of a link, the link itself unless `follow`.
    fn stat(&self, path: &[u8], follow: bool) -> io::Result<Meta>;

    /// Gives the entries of a directory until Break, in the order of the system. The directory is open meanwhile.
    fn list(&self, path: &[u8], each: &mut dyn FnMut(Entry) -> ControlFlow<()>) -> io::Result<()>;

    /// Names that differ in case only are the same name.
    fn ignores_case(&self) -> bool {
        false
    }
}

/// An entry of a directory.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
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

/// Every accessor, by name.
static ALL: &[&dyn Accessor] = &[
    &file::File { name: "file", nocase: cfg!(windows) },
    &file::File { name: "auto", nocase: cfg!(windows) },
    &file::File { name: "file_nocase", nocase: true },
    &data::Data,
];

/// The accessor of that name; `auto` for none.
pub fn find(name: Option<&str>) -> Result<&'static dyn Accessor, CallError> {
    let name = name.filter(|name| !name.is_empty()).unwrap_or("auto");
    ALL.iter().find(|accessor| accessor.name() == name).copied().ok_or_else(|| {
        let known = || ALL.iter().map(|accessor| accessor.name());
        let hint = vql::diagnostic::did_you_mean(name, known())
            .unwrap_or_else(|| format!("there are {}", known().collect::<Vec<_>>().join(", ")));
        CallError::new(format!("there is no accessor `{name}`: {hint}"))
    })
}

/// The accessor that a call names.
pub fn of(args: &Args<'_>) -> Result<&'static dyn Accessor, CallError> {
    find(args.opt_str("accessor")?.as_deref())
}

/// A path argument as bytes: text, data, or a dict with a path in it.
pub fn path(value: &Value) -> Vec<u8> {
    match value {
        Value::Null => Vec::new(),
        Value::Bytes(bytes) => bytes.to_vec(),
        Value::Dict(dict) => match dict.get("Path").or_else(|| dict.get("OSPath")).or_else(|| dict.get("FullPath")) {
            Some(inner) if !matches!(inner, Value::Dict(_)) => path(inner),
            _ => value.to_text().as_bytes().to_vec(),
        },
        other => other.to_text().as_bytes().to_vec(),
    }
}

/// The paths of a repeated argument.
pub fn paths(value: &Value) -> Vec<Vec<u8>> {
    match value {
        Value::Null => Vec::new(),
        Value::Array(items) => items.iter().map(path).collect(),
        other => vec![path(other)],
    }
}

/// A path for people.
pub fn show(path: &[u8]) -> String {
    String::from_utf8_lossy(path).escape_debug().to_string()
}

/// What a call says when a file could not be used.
pub fn trouble(path: &[u8], error: &io::Error) -> CallError {
    CallError::new(format!("{}: {error}", show(path)))
}

#[cfg(unix)]
fn os_path(path: &[u8]) -> PathBuf {
    use std::os::unix::ffi::OsStrExt as _;
    std::ffi::OsStr::from_bytes(path).into()
}

#[cfg(not(unix))]
fn os_path(path: &[u8]) -> PathBuf {
    String::from_utf8_lossy(path).into_owned().into()
}

/// The bytes of a name that the system gave.
pub fn os_bytes(name: &std::ffi::OsStr) -> Vec<u8> {
    #[cfg(unix)]
    {
        use std::os::unix::ffi::OsStrExt as _;
        name.as_bytes().to_vec()
    }
    #[cfg(not(unix))]
    {
        name.to_string_lossy().into_owned().into_bytes()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn an_unknown_accessor_names_the_nearest() {
        assert_eq!(find(None).unwrap().name(), "auto");
        assert_eq!(find(Some("")).unwrap().name(), "auto");
        let near = find(Some("flie")).err().unwrap().message;
        assert!(near.contains("`flie`") && near.contains("file"), "{near}");
        let far = find(Some("registry")).err().unwrap().message;
        assert!(far.contains("data"), "{far}");
    }

    #[test]
    fn data_is_its_own_content() {
        let data = find(Some("data")).unwrap();
        let mut text = String::new();
        data.open(b"hello").unwrap().read_to_string(&mut text).unwrap();
        assert_eq!((text.as_str(), data.stat(b"hello", true).unwrap().size), ("hello", 5));
        assert!(data.list(b"hello", &mut |_| ControlFlow::Continue(())).is_err());
    }

    #[cfg(unix)]
    #[test]
    fn a_pipe_or_a_name_that_is_no_text_is_no_trouble() {
        let dir = tempfile::tempdir().unwrap();
        let name = b"bad\xff\nname";
        std::fs::write(dir.path().join(os_path(name)), "x").unwrap();
        nix::unistd::mkfifo(&dir.path().join("pipe"), nix::sys::stat::Mode::S_IRWXU).unwrap();
        let file = find(Some("file")).unwrap();
        let root = os_bytes(dir.path().as_os_str());
        let mut names = Vec::new();
        file.list(&root, &mut |entry| {
            names.push((entry.name, entry.kind));
            ControlFlow::Continue(())
        })
        .unwrap();
        names.sort();
        assert_eq!(names, [(name.to_vec(), Kind::File), (b"pipe".to_vec(), Kind::Other)]);
        let mut text = String::new();
        file.open(&[&root[..], b"/", name].concat()).unwrap().read_to_string(&mut text).unwrap();
        assert_eq!(text, "x");
        // Nobody writes to the pipe, and yet nobody waits.
        let pipe = [&root[..], b"/pipe"].concat();
        assert!(file.open(&pipe).is_err());
        assert_eq!(file.stat(&pipe, true).unwrap().kind, Kind::Other);
        // What has no end is not read either.
        let zero = file.open(b"/dev/zero").err().unwrap().to_string();
        assert!(zero.contains("character device"), "{zero}");
    }
}
