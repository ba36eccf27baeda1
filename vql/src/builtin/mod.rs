//! Functions and plugins that need no host. Each file adds its own; the examples of their signatures are run by the
//! tests.

mod access;
mod aggregates;
mod chain;
mod column_filter;
mod command;
pub(crate) mod csv;
mod dict;
mod encode;
mod fifo;
mod files;
mod flatten;
mod foreach;
mod format;
mod if_;
mod json;
mod layout;
mod list;
mod net;
mod number;
mod parse_lines;
mod path;
mod pathspec;
mod prelude;
mod range;
mod read_file;
mod sample;
mod scope;
mod text;
pub mod time;
mod wait;

use crate::plugin::Registry;

/// Adds all of them.
pub fn register(registry: &mut Registry) {
    access::register(registry);
    aggregates::register(registry);
    chain::register(registry);
    column_filter::register(registry);
    command::register(registry);
    csv::register(registry);
    dict::register(registry);
    encode::register(registry);
    fifo::register(registry);
    flatten::register(registry);
    foreach::register(registry);
    format::register(registry);
    if_::register(registry);
    json::register(registry);
    list::register(registry);
    net::register(registry);
    number::register(registry);
    parse_lines::register(registry);
    path::register(registry);
    pathspec::register(registry);
    range::register(registry);
    read_file::register(registry);
    sample::register(registry);
    scope::register(registry);
    text::register(registry);
    time::register(registry);
    wait::register(registry);
}
