//! `tempfile()` and `tempdir()`: gone when the query ends.

use std::{io::Write, path::PathBuf};

use parking_lot::Mutex;
use tempfile::{Builder, TempDir, TempPath};

use super::{output, prelude::*};

const REMOVE_LAST: ArgSpec = opt("remove_last", Bool, "Remove it after all that is removed at the end of the query");

static TEMPFILE: Signature = Signature::new(
    "tempfile",
    "Makes a temporary file and gives its path. It is removed when the query ends.",
    &[
        opt("data", Text, "What to write into it").repeated(),
        opt("extension", Text, "What its name ends with, such as `.exe`"),
        opt("permissions", Text, "`x` to make it executable, or such as `0755`"),
        REMOVE_LAST,
    ],
)
.group(Group::Actions)
.side_effects()
.examples(&["SELECT read_file(filename=tempfile(data='Hello', extension='.txt')) AS Text FROM scope()"]);

static TEMPDIR: Signature = Signature::new(
    "tempdir",
    "Makes a temporary directory and gives its path. It is removed, with all in it, when the query ends.",
    &[REMOVE_LAST],
)
.group(Group::Actions)
.side_effects()
.examples(&["SELECT tempdir() =~ '/' AS Made FROM scope()"]);

/// So many at once: a query over a million rows would fill the disk.
const MOST: usize = 10_000;

/// What is to be removed. Fields go in their order.
#[derive(Default)]
struct Temporary {
    files: Mutex<Vec<TempPath>>,
    dirs: Mutex<Vec<TempDir>>,
    last_files: Mutex<Vec<TempPath>>,
    last_dirs: Mutex<Vec<TempDir>>,
}

impl Temporary {
    fn of(cx: &Context<'_>) -> Result<std::sync::Arc<Temporary>, CallError> {
        // One for the whole query, which is gone with it.
        let (all, _) = cx.state(0, Temporary::default);
        let count = all.files.lock().len() + all.dirs.lock().len();
        if count + all.last_files.lock().len() + all.last_dirs.lock().len() >= MOST {
            return Err(CallError::new(format!("a query has {MOST} temporary files at most")));
        }
        Ok(all)
    }
}

fn tempfile(cx: &Context<'_>, args: &Args<'_>) -> Result<Value, CallError> {
    let kept = Temporary::of(cx)?;
    let extension = args.str("extension")?;
    if extension.contains(['/', '\\', '\0']) {
        return Err("`extension` is the end of a name, such as '.txt'".into());
    }
    let mode = match args.opt_str("permissions")?.filter(|text| !text.is_empty()) {
        Some(text) => {
            Some(output::mode(&text).ok_or_else(|| format!("`permissions` are such as 'x' or '0755', not `{text}`"))?)
        }
        None => None,
    };
    let mut file = Builder::new().prefix("tmp").suffix(&*extension).tempfile()?;
    match args.value("data") {
        Value::Null => {}
        Value::Array(items) => {
            for item in items.iter() {
                file.write_all(item.as_bytes().unwrap_or(item.to_text().as_bytes()))?;
            }
        }
        one => file.write_all(one.as_bytes().unwrap_or(one.to_text().as_bytes()))?,
    }
    if let Some(mode) = mode {
        output::set_mode(file.as_file(), mode)?;
    }
    let path = file.into_temp_path();
    let name = PathBuf::from(&path);
    let list = if args.bool("remove_last")? { &kept.last_files } else { &kept.files };
    list.lock().push(path);
    Ok(name.into())
}

fn tempdir(cx: &Context<'_>, args: &Args<'_>) -> Result<Value, CallError> {
    let kept = Temporary::of(cx)?;
    let dir = Builder::new().prefix("tmp").tempdir()?;
    let name = dir.path().to_owned();
    let list = if args.bool("remove_last")? { &kept.last_dirs } else { &kept.dirs };
    list.lock().push(dir);
    Ok(name.into())
}

pub(super) fn register(registry: &mut Registry) {
    registry.add_function(Func(&TEMPFILE, tempfile));
    registry.add_function(Func(&TEMPDIR, tempdir));
}
