//! Files that queries write: where they go, and who may use them.

use std::{
    fs::{self, File},
    io,
    path::{Path, PathBuf},
};

use vql::{Args, CallError, OsPath, PathKind};

/// How a file is opened for writing.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Output {
    /// What is there stays, and more is put behind it.
    pub(super) append: bool,
    /// Directories that are not there are made, with these permissions.
    pub(super) directories: Option<u32>,
    /// Of the file, also when it was there before.
    pub(super) mode: Option<u32>,
}

impl Output {
    /// From the arguments `append`, `create_directories`, `permissions` and `dir_permissions`, as far as they are there.
    pub(super) fn of(args: &Args<'_>) -> Result<Output, CallError> {
        let directories = args.bool("create_directories")? || args.has("dir_permissions");
        let directory_mode = permissions(args, "dir_permissions")?.unwrap_or(0o700);
        Ok(Output {
            append: args.bool("append")?,
            directories: directories.then_some(directory_mode),
            mode: permissions(args, "permissions")?,
        })
    }

    /// Without permissions of its own a new file is for its owner alone: who knows what is in it.
    pub(super) fn open(&self, path: &Path) -> io::Result<File> {
        if let (Some(mode), Some(parent)) = (self.directories, path.parent()) {
            make_directories(parent, mode)?;
        }
        let mut options = fs::OpenOptions::new();
        options.create(true).append(self.append).write(true).truncate(!self.append);
        #[cfg(unix)]
        {
            use std::os::unix::fs::OpenOptionsExt as _;
            options.mode(self.mode.unwrap_or(0o600));
        }
        let file = options.open(path)?;
        if let Some(mode) = self.mode {
            set_mode(&file, mode)?;
        }
        Ok(file)
    }
}

/// The file that an argument names.
pub(super) fn destination(args: &Args<'_>, name: &str) -> Result<PathBuf, CallError> {
    let path = OsPath::of_value(PathKind::HOST, &args.value(name));
    if path.is_empty() {
        return Err(CallError::new(format!("`{name}` names no file")));
    }
    if path.delegate().is_some() {
        return Err(CallError::new(format!("{}: files within files are not written", path.show())));
    }
    Ok(crate::accessors::os_path(path.bytes()))
}

/// That nothing but the host's own files is to be written to.
pub(super) fn only_files(args: &Args<'_>) -> Result<(), CallError> {
    match args.opt_str("accessor")?.as_deref() {
        None | Some("" | "auto" | "file" | "fs") => Ok(()),
        Some(other) => Err(CallError::new(format!("the accessor `{other}` does not write files: use `file`"))),
    }
}

/// Permissions: `0755`, `rwxr-xr-x`, or what the owner may (`x`, `rw`).
fn permissions(args: &Args<'_>, name: &str) -> Result<Option<u32>, CallError> {
    let Some(text) = args.opt_str(name)?.filter(|text| !text.is_empty()) else { return Ok(None) };
    mode(&text).map(Some).ok_or_else(|| {
        CallError::new(format!("`{name}` are permissions such as '0755', 'rwxr-xr-x' or 'x', not `{text}`"))
    })
}

/// A mode of nine bits.
pub(super) fn mode(text: &str) -> Option<u32> {
    if text.bytes().all(|byte| byte.is_ascii_digit()) {
        return u32::from_str_radix(text, 8).ok().filter(|mode| *mode <= 0o777);
    }
    if text.len() == 9 {
        let mut mode = 0;
        for (at, letter) in text.bytes().enumerate() {
            mode <<= 1;
            match letter {
                b'-' => {}
                letter if letter == b"rwx"[at % 3] => mode |= 1,
                _ => return None,
            }
        }
        return Some(mode);
    }
    // The owner can always read and write what it made.
    text.bytes().try_fold(0o600, |mode, letter| match letter {
        b'x' => Some(mode | 0o100),
        b'r' | b'w' => Some(mode),
        _ => None,
    })
}

#[cfg(unix)]
fn make_directories(path: &Path, mode: u32) -> io::Result<()> {
    use std::os::unix::fs::DirBuilderExt as _;
    fs::DirBuilder::new().recursive(true).mode(mode).create(path)
}

#[cfg(not(unix))]
fn make_directories(path: &Path, _mode: u32) -> io::Result<()> {
    fs::create_dir_all(path)
}

#[cfg(unix)]
pub(super) fn set_mode(file: &File, mode: u32) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    file.set_permissions(fs::Permissions::from_mode(mode))
}

#[cfg(not(unix))]
pub(super) fn set_mode(_file: &File, _mode: u32) -> io::Result<()> {
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn permissions_are_written_in_three_ways() {
        for (text, expected) in [
            ("0755", Some(0o755)),
            ("644", Some(0o644)),
            ("rwxr-x--x", Some(0o751)),
            ("x", Some(0o700)),
            ("rw", Some(0o600)),
            ("7777", None),
            ("rwxrwxrwz", None),
            ("all", None),
        ] {
            assert_eq!(mode(text), expected, "{text}");
        }
    }
}
