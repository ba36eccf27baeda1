//! `upload()`.

use super::prelude::*;
use crate::flows::FlowRun;

static UPLOAD: Signature = Signature::new(
    "upload",
    "Sends a file to the hub. The query waits while the file is read at the pace of the connection.",
    &[
        req("file", Path, "The file"),
        opt("name", Path, "What the hub calls it; its path without"),
        ACCESSOR,
        opt("mtime", Any, "Taken for the sake of existing artifacts"),
        opt("atime", Any, "Taken for the sake of existing artifacts"),
        opt("ctime", Any, "Taken for the sake of existing artifacts"),
        opt("btime", Any, "Taken for the sake of existing artifacts"),
    ],
)
.group(Group::Actions)
.examples(&["SELECT upload(file=OSPath) AS Upload FROM glob(globs='/etc/os-release')"]);

fn call(cx: &Context<'_>, args: &Args<'_>) -> Result<Value, CallError> {
    let accessor = args.accessor()?;
    let path = args.os_path("file", &*accessor);
    let name = args.some("name").map_or_else(|| path.clone(), |name| vql::OsPath::of_value(path.kind(), &name));
    let name = name.text().into_owned();
    let uploaded = match cx.ext::<FlowRun>() {
        None => Err(crate::flows::UploadError::NoFlow),
        Some(run) => accessor.open(cx, &path).map_err(Into::into).and_then(|mut file| run.upload(&name, &mut file)),
    };
    let mut answer = Dict::of([("Path", Value::from(name))]);
    match uploaded {
        Ok(uploaded) => {
            answer.set("Size", uploaded.size);
            answer.set("StoredSize", uploaded.size);
            answer.set("Sha256", uploaded.sha256);
            answer.set("Error", Value::Null);
        }
        Err(error) => {
            cx.error(format!("upload: {}: {error}", path.show()));
            answer.set("Size", 0);
            answer.set("StoredSize", 0);
            answer.set("Sha256", Value::Null);
            answer.set("Error", error.to_string());
        }
    }
    Ok(answer.into())
}

pub(super) fn register(registry: &mut Registry) {
    registry.add_function(Func(&UPLOAD, call));
}
