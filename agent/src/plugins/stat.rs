//! `stat()`, as plugin and as function, and the columns that describe a file.

use std::sync::Arc;

use super::prelude::*;
use vql::{
    OsPath,
    accessor::{Kind, Meta, trouble},
};

const ARGS: &[ArgSpec] = &[req("filename", Path, "The file"), ACCESSOR];

static PLUGIN: Signature = Signature::new("stat", "One row that describes a file, or none where there is none.", ARGS)
    .group(Group::Files)
    .examples(&["SELECT OSPath, Size, Mode.String AS Mode, Mtime FROM stat(filename='/etc/passwd')"]);

static FUNCTION: Signature = Signature::new("stat", "What describes a file, NULL where there is none.", ARGS)
    .group(Group::Files)
    .examples(&["SELECT stat(filename='/etc/passwd').Size AS Size FROM scope()"]);

fn run(cx: &Context<'_>, args: &Args<'_>, emit: &mut Emit<'_>) -> Result<Flow, CallError> {
    Ok(match describe(cx, args)? {
        Some(row) => emit(row),
        None => CONTINUE,
    })
}

fn call(cx: &Context<'_>, args: &Args<'_>) -> Result<Value, CallError> {
    Ok(describe(cx, args)?.map(|row| row.to_dict()).into())
}

fn describe(cx: &Context<'_>, args: &Args<'_>) -> Result<Option<Row>, CallError> {
    let accessor = args.accessor()?;
    let path = args.os_path("filename", &*accessor);
    match accessor.stat(cx, &path, false) {
        Ok(meta) => Ok(Some(Row::new(&Columns::new(COLUMNS), values(&path, &path.name(), &meta)))),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(trouble(&path, &error)),
    }
}

pub(super) const COLUMNS: [&str; 13] = [
    "OSPath", "FullPath", "Name", "Size", "Mode", "IsDir", "IsLink", "Mtime", "Atime", "Ctime", "Btime", "Inode",
    "Data",
];

/// The columns of a file.
pub(super) fn values(path: &OsPath, name: &[u8], meta: &Meta) -> Vec<Value> {
    let time = |at: Option<(i64, i32)>| at.map_or(Value::Null, |(seconds, nanos)| Value::time(seconds, nanos));
    let path = Value::from(path);
    let mut data = Dict::new();
    if let Some((device, inode)) = meta.id {
        data.set("Device", device);
        data.set("Inode", inode);
    }
    if let Some((uid, gid)) = meta.owner {
        data.set("Uid", uid);
        data.set("Gid", gid);
    }
    if let Some(target) = &meta.target {
        data.set("Link", Value::from_bytes(target));
    }
    vec![
        path.clone(),
        path,
        Value::from_bytes(name),
        meta.size.into(),
        Value::Object(Arc::new(Mode(meta.mode))),
        (meta.kind == Kind::Directory).into(),
        (meta.kind == Kind::Link).into(),
        time(meta.mtime),
        time(meta.atime),
        time(meta.ctime),
        time(meta.btime),
        meta.id.map_or(Value::Null, |(_, inode)| inode.to_string().into()),
        data.into(),
    ]
}

/// A file's mode: its text is `-rw-r--r--`, its members `String`, `Perm` (`0644`) and `Bits`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Mode(u32);

impl Mode {
    fn string(self) -> String {
        let kind = match self.0 & 0o170_000 {
            0o040_000 => 'd',
            0o120_000 => 'l',
            0o020_000 => 'c',
            0o060_000 => 'b',
            0o010_000 => 'p',
            0o140_000 => 's',
            _ => '-',
        };
        let bit = |bit: u32, yes: char| if self.0 & bit != 0 { yes } else { '-' };
        // The set-id and sticky bits stand in the place of the x, small when it is set too.
        let third = |x: u32, special: u32, letter: char| match (self.0 & x != 0, self.0 & special != 0) {
            (true, true) => letter,
            (false, true) => letter.to_ascii_uppercase(),
            (true, false) => 'x',
            (false, false) => '-',
        };
        [
            kind,
            bit(0o400, 'r'),
            bit(0o200, 'w'),
            third(0o100, 0o4000, 's'),
            bit(0o040, 'r'),
            bit(0o020, 'w'),
            third(0o010, 0o2000, 's'),
            bit(0o004, 'r'),
            bit(0o002, 'w'),
            third(0o001, 0o1000, 't'),
        ]
        .iter()
        .collect()
    }
}

impl vql::Object for Mode {
    fn type_name(&self) -> &'static str {
        "Mode"
    }

    fn get(&self, name: &str) -> Option<Value> {
        match name {
            "String" => Some(self.string().into()),
            "Perm" => Some(format!("{:04o}", self.0 & 0o7777).into()),
            "Bits" => Some(self.0.into()),
            _ => None,
        }
    }

    fn members(&self) -> Vec<Arc<str>> {
        ["String", "Perm", "Bits"].map(Arc::from).to_vec()
    }

    fn text(&self) -> Option<Arc<str>> {
        Some(self.string().into())
    }

    fn packed(&self) -> Option<(Value, vql::Unpack)> {
        let unpack = |packed: &Value| Some(Value::Object(Arc::new(Mode(u32::try_from(packed.as_int()?).ok()?))));
        Some((self.0.into(), unpack))
    }

    fn as_any(&self) -> &dyn std::any::Any {
        self
    }
}

pub(super) fn register(registry: &mut Registry) {
    registry.add_plugin(Plug(&PLUGIN, run));
    registry.add_function(Func(&FUNCTION, call));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modes_read_as_ls_shows_them() {
        for (mode, expected) in [
            (0o100_644, "-rw-r--r--"),
            (0o040_755, "drwxr-xr-x"),
            (0o120_777, "lrwxrwxrwx"),
            (0o104_755, "-rwsr-xr-x"),
            (0o104_644, "-rwSr--r--"),
            (0o102_755, "-rwxr-sr-x"),
            (0o041_777, "drwxrwxrwt"),
            (0o020_620, "crw--w----"),
            (0, "----------"),
        ] {
            assert_eq!(Mode(mode).string(), expected);
        }
    }
}
