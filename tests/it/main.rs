//! Integration: the real binary on loopback, and hubs and agents in this process with a hostile network between them.

#![allow(clippy::unwrap_used, clippy::print_stderr)]

mod artifacts;
mod errors;
mod harness;
mod house;
mod kills;
mod ladder;
mod net;
mod proxy;
mod shell;
mod transports;
mod walkthrough;
