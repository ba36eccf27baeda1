//! The nouns and the wire. No I/O and no clock; builds for WASM.

pub mod id;

pub use id::{ClientId, FlowId, HuntId, ParseIdError};
