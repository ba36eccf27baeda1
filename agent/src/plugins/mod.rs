//! The endpoint's VQL: one file for each plugin or function, with its signature, docs and examples.

mod compress;
mod copy;
mod environ;
mod execve;
mod expand;
mod getpid;
mod glob;
mod info;
mod interfaces;
mod netstat;
mod output;
mod passwd;
mod pattern;
mod prelude;
mod proc;
mod pslist;
mod rm;
mod stat;
mod temporary;
#[cfg(test)]
mod tests;
mod upload;
mod users;
mod write_csv;
mod write_jsonl;

use std::sync::Arc;

use vql::Registry;

/// Everything that a query may use on an endpoint: the core of the language and what reads this host.
pub fn registry() -> Arc<Registry> {
    let mut registry = Registry::core();
    crate::accessors::register(&mut registry);
    compress::register(&mut registry);
    copy::register(&mut registry);
    environ::register(&mut registry);
    execve::register(&mut registry);
    expand::register(&mut registry);
    getpid::register(&mut registry);
    glob::register(&mut registry);
    info::register(&mut registry);
    interfaces::register(&mut registry);
    netstat::register(&mut registry);
    pslist::register(&mut registry);
    rm::register(&mut registry);
    stat::register(&mut registry);
    temporary::register(&mut registry);
    upload::register(&mut registry);
    users::register(&mut registry);
    write_csv::register(&mut registry);
    write_jsonl::register(&mut registry);
    Arc::new(registry)
}
