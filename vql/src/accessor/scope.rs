//! `scope`: the path names a variable, whose value is the content. Large data is not copied into the query.

use std::{
    io::{self, Cursor, ErrorKind},
    ops::ControlFlow,
};

use super::{Accessor, Entry, Meta, OsPath, PathKind, ReadSeek, no_directories};
use crate::scope::Context;

pub(super) struct Scope;

impl Scope {
    fn content(cx: &Context<'_>, path: &OsPath) -> io::Result<OsPath> {
        let name = path.text();
        let value = cx.lookup(&name).map(|value| cx.materialize(value)).filter(|value| !value.is_null());
        match value {
            Some(value) => Ok(OsPath::of_value(PathKind::Opaque, &value)),
            None => Err(io::Error::new(ErrorKind::NotFound, "no variable of this name has a value here")),
        }
    }
}

impl Accessor for Scope {
    fn name(&self) -> &'static str {
        "scope"
    }

    fn path_kind(&self) -> PathKind {
        PathKind::Opaque
    }

    fn open(&self, cx: &Context<'_>, path: &OsPath) -> io::Result<Box<dyn ReadSeek>> {
        Ok(Box::new(Cursor::new(Self::content(cx, path)?.content())))
    }

    fn stat(&self, cx: &Context<'_>, path: &OsPath, _follow: bool) -> io::Result<Meta> {
        Ok(Meta { size: Self::content(cx, path)?.bytes().len() as u64, ..Meta::default() })
    }

    fn list(&self, _cx: &Context<'_>, _path: &OsPath, _: &mut dyn FnMut(Entry) -> ControlFlow<()>) -> io::Result<()> {
        no_directories(self.name())
    }
}
