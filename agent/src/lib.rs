//! The program on the endpoint: its way to the hub, its flows and their spool, and the endpoint's VQL.

pub mod client_info;
pub mod flows;
pub mod plugins;
mod spool;

pub use plugins::registry;
pub use spool::SpoolError;
