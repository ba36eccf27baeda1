//! Developer tasks: `cargo xtask setup | ui | test | demo | dist | docs | fuzz`.
//!
//! Plain Rust on any machine that has cargo, so that a task reads the same on a laptop and in CI.

// A command-line tool: its output is its purpose.
#![allow(clippy::print_stdout, clippy::print_stderr)]

mod demo;
mod dist;
mod docs;
mod fuzz;
mod reference;
mod setup;
mod sh;
mod test;
mod ui;

use std::process::ExitCode;

const USAGE: &str = "\
cargo xtask TASK

  setup    install what is missing: the WASM target, cargo-deny, Chromium and playwright-core
  ui       build the page into ui/dist, from where the binary embeds it
  test     everything that CI runs, with a time for each step; or only the steps that are named (format clippy …)
  demo     build and start `swoop demo`; further arguments are passed to it (--clients 200, --check, …)
  dist     build the statically linked binary, and show that it starts in an empty root
  docs     build the API documentation, warnings denied
  reference  write docs/vql/reference from the signatures of plugins and functions
  fuzz     look for texts that the parser or the formatter cannot bear: each target for 1 minute, or as many as are
           said (10); with --keep what is new goes into fuzz/corpus, as few and small texts as do
";

fn main() -> ExitCode {
    let mut args = std::env::args().skip(1);
    let task = args.next().unwrap_or_default();
    let rest: Vec<String> = args.collect();
    if !rest.is_empty() && !["demo", "fuzz", "test"].contains(&task.as_str()) {
        eprintln!("cargo xtask {task}: takes no arguments, got {}\n\n{USAGE}", rest.join(" "));
        return ExitCode::from(2);
    }
    let done = match task.as_str() {
        "setup" => setup::everything(),
        "ui" => ui::build(),
        "test" => test::run(&rest),
        "demo" => demo::run(&rest),
        "dist" => dist::build(),
        "docs" => docs::build(),
        "reference" => reference::write(),
        "fuzz" => fuzz::run(&rest),
        "" | "help" | "-h" | "--help" => {
            print!("{USAGE}");
            return ExitCode::SUCCESS;
        }
        other => {
            eprintln!("cargo xtask: there is no task `{other}`\n\n{USAGE}");
            return ExitCode::from(2);
        }
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("\ncargo xtask {task}: {error:#}");
            ExitCode::FAILURE
        }
    }
}
