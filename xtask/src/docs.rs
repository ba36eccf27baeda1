//! The API documentation.

use anyhow::Result;

use crate::sh;

/// Builds it for every crate that is a library to others, warnings denied.
pub(crate) fn build() -> Result<()> {
    sh::cargo("doc")
        .args(["--locked", "--workspace", "--exclude", "ui", "--exclude", "bindgen", "--no-deps"])
        .env("RUSTDOCFLAGS", "-D warnings")
        .run()
}
