//! Functions and plugins that need no host.

pub mod time;

use crate::plugin::Registry;

/// Adds all of them.
pub fn register(_registry: &mut Registry) {}
