//! The path is the content: what works on files works on strings.

use std::{
    io::{self, Cursor},
    ops::ControlFlow,
};

use super::{Accessor, Entry, Meta, ReadSeek};

pub(super) struct Data;

impl Accessor for Data {
    fn name(&self) -> &'static str {
        "data"
    }

    fn open(&self, path: &[u8]) -> io::Result<Box<dyn ReadSeek>> {
        Ok(Box::new(Cursor::new(path.to_vec())))
    }

    fn stat(&self, path: &[u8], _follow: bool) -> io::Result<Meta> {
        Ok(Meta { size: path.len() as u64, ..Meta::default() })
    }

    fn list(&self, _path: &[u8], _each: &mut dyn FnMut(Entry) -> ControlFlow<()>) -> io::Result<()> {
        Err(io::Error::new(io::ErrorKind::NotADirectory, "the accessor `data` has no directories"))
    }
}
