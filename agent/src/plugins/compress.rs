//! `compress()`.

use std::fs::File;
use std::io::{Read as _, Write as _};

use flate2::{Compression, write::GzEncoder};

use super::prelude::*;

static COMPRESS: Signature = Signature::new(
    "compress",
    "Writes a file compressed by gzip to another, and gives the other's path. The first stays as it is; what was in the \
     other is replaced.",
    &[req("path", Path, "The file"), req("output", Path, "Where the compressed one goes, as `/tmp/a.gz`")],
)
.group(Group::Actions)
.side_effects()
.examples(&["SELECT compress(path='/etc/os-release', output='/tmp/os-release.gz') AS Compressed FROM scope()"]);

const BUFFER: usize = 128 << 10;

fn call(cx: &Context<'_>, args: &Args<'_>) -> Result<Value, CallError> {
    let accessor = cx.registry().accessor(None)?;
    let (path, output) = (args.os_path("path", &*accessor), args.os_path("output", &*accessor));
    if output.is_empty() {
        return Err("`output` is empty: say where the compressed file goes".into());
    }
    let to = crate::accessors::os_path(output.bytes());
    let same = crate::accessors::os_path(path.bytes()).canonicalize().ok();
    if same.is_some() && same == to.canonicalize().ok() {
        return Err("`output` is the file itself: name another".into());
    }
    let mut from = accessor.open(cx, &path).map_err(|error| vql::accessor::trouble(&path, &error))?;
    let trouble = |error: &std::io::Error| vql::accessor::trouble(&output, error);
    let mut encoder = GzEncoder::new(File::create(&to).map_err(|error| trouble(&error))?, Compression::default());
    let mut buffer = vec![0; BUFFER];
    loop {
        if cx.charge(1).is_break() {
            // A part of the file would look like the whole.
            drop(encoder);
            let _ = std::fs::remove_file(&to);
            return Ok(Value::Null);
        }
        match from.read(&mut buffer) {
            Ok(0) => break,
            Ok(len) => encoder.write_all(&buffer[..len]).map_err(|error| trouble(&error))?,
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(error) => return Err(vql::accessor::trouble(&path, &error)),
        }
    }
    encoder.finish().and_then(|mut file| file.flush()).map_err(|error| trouble(&error))?;
    Ok(Value::from_bytes(output.bytes()))
}

pub(super) fn register(registry: &mut Registry) {
    registry.add_function(Func(&COMPRESS, call));
}
