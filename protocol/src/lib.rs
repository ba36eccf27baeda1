//! The nouns and the wire. No I/O and no clock; builds for WASM.
//!
//! [`message`] is what agent and hub say to each other, [`frame`] how it looks in bytes, [`link`] the state of one
//! session. [`collection`] holds what is asked for, [`api`] the JSON of the hub's HTTP and live interface.

pub mod api;
pub mod collection;
pub mod frame;
pub mod id;
pub mod link;
pub mod message;

pub use id::{ClientId, FlowId, HuntId, ParseIdError};
