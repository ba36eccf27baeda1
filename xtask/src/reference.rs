//! The reference of plugins and functions.

use anyhow::Result;

use crate::sh;

/// Writes docs/vql/reference from the signatures of the agent's registry.
pub(crate) fn write() -> Result<()> {
    sh::cargo("test")
        .args(["--locked", "--package", "agent", "--test", "reference", "the_reference_is_up_to_date"])
        .env("VQL_REFERENCE", "update")
        .run()
}
