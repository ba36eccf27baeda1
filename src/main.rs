//! The one binary: the verbs of the command line, each arm one call.

#[cfg_attr(not(test), expect(dead_code, reason = "what a hub and an agent run with is for the verbs that run them"))]
mod config;
mod verbs;

use std::{
    io::{self, IsTerminal, Write},
    path::PathBuf,
    process::ExitCode,
};

use clap::{CommandFactory, Parser, Subcommand};
use tracing_subscriber::EnvFilter;

/// Asks thousands of endpoints a question and shows the answers as they arrive.
#[derive(Debug, Parser)]
#[command(name = "swoop", version, after_help = EXAMPLES, arg_required_else_help = true)]
struct Cli {
    /// The configuration file, of the hub or of an agent
    #[arg(long, global = true, env = "SWOOP_CONFIG", value_name = "FILE")]
    config: Option<PathBuf>,
    #[command(subcommand)]
    verb: Verb,
}

const EXAMPLES: &str = "Examples:
  swoop config generate --output server.yaml
  swoop --config server.yaml config client > client.yaml

Logs go to standard error; SWOOP_LOG sets what is logged, such as debug or warn,quinn=debug.";

#[derive(Debug, Subcommand)]
enum Verb {
    /// Make, divide, show and renew the configuration
    #[command(subcommand)]
    Config(verbs::config::ConfigVerb),
    /// Print the script by which a shell completes the verbs
    #[command(after_help = "Example:\n  swoop completions bash > /etc/bash_completion.d/swoop")]
    Completions { shell: clap_complete::Shell },
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    start_logs();
    match run(cli) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Standard error may be closed; there is nobody left to tell.
            let _ = writeln!(io::stderr(), "swoop: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(cli: Cli) -> anyhow::Result<()> {
    let file = cli.config.as_deref();
    match cli.verb {
        Verb::Config(verb) => verbs::config::run(verb, file),
        Verb::Completions { shell } => verbs::completions::run(Cli::command(), shell),
    }
}

fn start_logs() {
    let filter = EnvFilter::try_from_env("SWOOP_LOG").unwrap_or_else(|_| EnvFilter::new("info"));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(io::stderr)
        .with_ansi(io::stderr().is_terminal())
        .with_target(false)
        .init();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_sound() {
        Cli::command().debug_assert();
    }
}
