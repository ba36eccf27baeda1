//! VQL, the query language. Knows no network, no host, no hub.
//!
//! Text becomes a tree with spans ([`syntax`]), the tree a plan, the plan a stream of rows.

pub mod syntax;
