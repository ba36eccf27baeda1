//! The accessors of this host, beside those that need none (`vql::accessor`).
//!
//! Paths are bytes, as the system has them: a name need not be text.

mod file;

use std::path::PathBuf;

use vql::Registry;

/// Adds those of this host.
pub fn register(registry: &mut Registry) {
    registry.add_accessor(file::File { name: "auto", nocase: cfg!(windows) });
    registry.add_accessor(file::File { name: "file", nocase: cfg!(windows) });
    registry.add_accessor(file::File { name: "file_nocase", nocase: true });
}

#[cfg(unix)]
pub(crate) fn os_path(path: &[u8]) -> PathBuf {
    use std::os::unix::ffi::OsStrExt as _;
    std::ffi::OsStr::from_bytes(path).into()
}

#[cfg(not(unix))]
pub(crate) fn os_path(path: &[u8]) -> PathBuf {
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
    use std::ops::ControlFlow;

    use vql::accessor::Kind;

    use super::*;

    #[test]
    fn an_unknown_accessor_names_the_nearest() {
        let registry = crate::plugins::registry();
        let find = |name| registry.accessor(name);
        assert_eq!(find(None).unwrap().name(), "auto");
        assert_eq!(find(Some("")).unwrap().name(), "auto");
        let near = find(Some("flie")).err().unwrap().message;
        assert!(near.contains("`flie`") && near.contains("file"), "{near}");
        let far = find(Some("registry")).err().unwrap().message;
        assert!(far.contains("data"), "{far}");
    }

    #[cfg(unix)]
    #[test]
    fn a_pipe_or_a_name_that_is_no_text_is_no_trouble() {
        let dir = tempfile::tempdir().unwrap();
        let name = b"bad\xff\nname";
        std::fs::write(dir.path().join(os_path(name)), "x").unwrap();
        nix::unistd::mkfifo(&dir.path().join("pipe"), nix::sys::stat::Mode::S_IRWXU).unwrap();
        let file = file::File { name: "file", nocase: false };
        let root = os_bytes(dir.path().as_os_str());
        let mut names = Vec::new();
        file.list_entries(&root, &mut |entry| {
            names.push((entry.name, entry.kind));
            ControlFlow::Continue(())
        })
        .unwrap();
        names.sort();
        assert_eq!(names, [(name.to_vec(), Kind::File), (b"pipe".to_vec(), Kind::Other)]);
        let mut text = String::new();
        use std::io::Read as _;
        file.open_bytes(&[&root[..], b"/", name].concat()).unwrap().read_to_string(&mut text).unwrap();
        assert_eq!(text, "x");
        // Nobody writes to the pipe, and yet nobody waits.
        let pipe = [&root[..], b"/pipe"].concat();
        assert!(file.open_bytes(&pipe).is_err());
        assert_eq!(file.describe(&pipe, true).unwrap().kind, Kind::Other);
        // What has no end is not read either.
        let zero = file.open_bytes(b"/dev/zero").err().unwrap().to_string();
        assert!(zero.contains("character device"), "{zero}");
    }
}
