//! The endpoint's VQL: one file for each plugin or function, with its signature, docs and examples.

use std::sync::Arc;

/// Everything that a query may use on an endpoint: the core of the language and what reads this host.
pub fn registry() -> Arc<vql::Registry> {
    Arc::new(vql::Registry::core())
}
