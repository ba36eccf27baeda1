//! `data`: the path is the content, so what works on files works on strings.

use std::{
    io::{self, Cursor},
    ops::ControlFlow,
};

use super::{Accessor, Entry, Meta, OsPath, PathKind, ReadSeek, no_directories};
use crate::scope::Context;

pub(super) struct Data;

impl Accessor for Data {
    fn name(&self) -> &'static str {
        "data"
    }

    fn path_kind(&self) -> PathKind {
        PathKind::Opaque
    }

    fn open(&self, _cx: &Context<'_>, path: &OsPath) -> io::Result<Box<dyn ReadSeek>> {
        Ok(Box::new(Cursor::new(path.content())))
    }

    fn stat(&self, _cx: &Context<'_>, path: &OsPath, _follow: bool) -> io::Result<Meta> {
        Ok(Meta { size: path.bytes().len() as u64, ..Meta::default() })
    }

    fn list(&self, _cx: &Context<'_>, _path: &OsPath, _: &mut dyn FnMut(Entry) -> ControlFlow<()>) -> io::Result<()> {
        no_directories(self.name())
    }
}
