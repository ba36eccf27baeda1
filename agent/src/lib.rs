//! The program on the endpoint: its way to the hub, its flows and their spool, and the endpoint's VQL.

pub mod flows;
mod spool;

pub use spool::SpoolError;
