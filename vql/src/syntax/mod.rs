//! From text to tree.

pub mod ast;

/// The longest path of expressions, one inside the other, in a tree that [`ast`] holds.
pub const MAX_HEIGHT: usize = 500;
