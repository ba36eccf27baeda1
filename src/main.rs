//! The one binary: the verbs of the command line, each arm one call.

mod assets;
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
  swoop --config server.yaml user add alice
  swoop --config server.yaml frontend
  swoop --config client.yaml client
  swoop query \"SELECT * FROM pslist()\"
  swoop demo

Logs go to standard error; SWOOP_LOG sets what is logged, such as debug or warn,quinn=debug.";

#[derive(Debug, Subcommand)]
enum Verb {
    /// Make, divide, show and renew the configuration
    #[command(subcommand)]
    Config(verbs::config::ConfigVerb),
    /// Run the hub
    #[command(alias = "hub")]
    Frontend,
    /// Run the agent on this endpoint
    #[command(alias = "agent")]
    Client(verbs::client::Client),
    /// Run VQL on this machine
    #[command(after_help = verbs::query::EXAMPLES)]
    Query(verbs::query::Query),
    /// Ask every client that is online, and print the rows as they come
    #[command(after_help = verbs::hunt::EXAMPLES)]
    Hunt(verbs::hunt::Hunt),
    /// Who may use the page
    #[command(subcommand)]
    User(verbs::user::UserVerb),
    /// Built-in artifacts, and the layout of VQL
    #[command(subcommand)]
    Artifacts(verbs::artifacts::ArtifactsVerb),
    /// Run a swarm of agents against a hub, and measure
    #[command(after_help = verbs::loadtest::EXAMPLES)]
    Loadtest(verbs::loadtest::Loadtest),
    /// Start a hub, a swarm and one real agent, and print where to look
    #[command(after_help = verbs::demo::EXAMPLES)]
    Demo(verbs::demo::Demo),
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
        Verb::Frontend => verbs::frontend::run(file),
        Verb::Client(arguments) => verbs::client::run(&arguments, file),
        Verb::Query(arguments) => verbs::query::run(&arguments),
        Verb::Hunt(arguments) => verbs::hunt::run(arguments, file),
        Verb::User(verb) => verbs::user::run(verb, file),
        Verb::Artifacts(verb) => verbs::artifacts::run(verb),
        Verb::Loadtest(arguments) => verbs::loadtest::run(arguments),
        Verb::Demo(arguments) => verbs::demo::run(&arguments),
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
