//! The verbs of the command line, a file each.

pub(crate) mod artifacts;
pub(crate) mod client;
mod collect;
pub(crate) mod completions;
pub(crate) mod config;
mod definitions;
pub(crate) mod demo;
pub(crate) mod frontend;
pub(crate) mod hunt;
pub(crate) mod loadtest;
mod local_hub;
mod process;
pub(crate) mod query;
pub(crate) mod user;

use std::io::{self, Write};

/// Writes the answer of a verb to standard output. A reader that has had enough, such as `head`, is no error.
pub(crate) fn print(text: &str) -> anyhow::Result<()> {
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(anyhow::anyhow!("could not write to standard output: {error}"))
        }
        _ => Ok(()),
    }
}
