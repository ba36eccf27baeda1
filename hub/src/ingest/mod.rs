//! What agents say, to disk: writer threads, each with its share of the clients.
//!
//! A client belongs to one writer, so its messages are taken in order and its files have one writer. A writer takes
//! what waits, works through it ([`shard`]), and brings all of it to disk at once ([`commit`]): a single message waits
//! for nobody, and many share one flush. Only then are agents told `Stored`, people's views woken, and states changed
//! in memory: what is shown is on disk.

mod commit;
mod intake;
mod offers;
mod shard;
mod uploads;

pub(crate) use intake::{Intake, Task};
pub(crate) use shard::Shard;
