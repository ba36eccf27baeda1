//! `cargo xtask demo`: from a fresh clone to a query answered by hundreds of endpoints.

use anyhow::Result;

use crate::{sh, ui};

pub(crate) fn run(args: &[String]) -> Result<()> {
    ui::build()?;
    sh::cargo("build").args(["--locked", "--release", "--package", "swoop"]).run()?;
    let swoop = sh::target()?.join("release/swoop").with_extension(std::env::consts::EXE_EXTENSION);
    sh::Cmd::new(swoop).arg("demo").args(args).replace()
}
