//! `swoop user …`: who may use the page.

use std::{
    io::{self, BufRead, IsTerminal, Write},
    path::Path,
};

use anyhow::{Context, ensure};
use clap::Subcommand;
use hub::auth;
use rustix::termios::{LocalModes, OptionalActions, tcgetattr, tcsetattr};

use super::config::load;

#[derive(Debug, Subcommand)]
pub(crate) enum UserVerb {
    /// Add an administrator; the password is asked for, or read from standard input
    #[command(
        after_help = "Examples:\n  swoop --config server.yaml user add alice\n  pass show swoop | swoop --config server.yaml user add alice"
    )]
    Add { name: String },
    /// Give a user a new password
    Passwd { name: String },
    /// Remove a user; logins end at once
    Remove { name: String },
}

pub(crate) fn run(verb: UserVerb, file: Option<&Path>) -> anyhow::Result<()> {
    let datastore = load(file)?.hub()?.datastore;
    match verb {
        UserVerb::Add { name } => {
            auth::add_user(&datastore, &name, &password(&name)?)?;
            tracing::info!("user {name} was added");
        }
        UserVerb::Passwd { name } => {
            auth::set_password(&datastore, &name, &password(&name)?)?;
            tracing::info!("user {name} has a new password");
        }
        UserVerb::Remove { name } => {
            auth::remove_user(&datastore, &name)?;
            tracing::info!("user {name} was removed");
        }
    }
    Ok(())
}

fn password(name: &str) -> anyhow::Result<String> {
    let input = io::stdin();
    if !input.is_terminal() {
        let mut line = String::new();
        input.lock().read_line(&mut line).context("the password could not be read from standard input")?;
        let password = line.trim_end_matches(['\r', '\n']).to_owned();
        ensure!(!password.is_empty(), "standard input held no password");
        return Ok(password);
    }
    let first = ask(&format!("Password for {name}: "))?;
    ensure!(!first.is_empty(), "no password was given");
    ensure!(first == ask("Once more: ")?, "the two passwords differ: nothing was changed");
    Ok(first)
}

/// Asks on the terminal without showing what is typed.
fn ask(prompt: &str) -> anyhow::Result<String> {
    let input = io::stdin();
    let mut err = io::stderr();
    err.write_all(prompt.as_bytes()).and_then(|()| err.flush()).context("the prompt could not be shown")?;
    let before = tcgetattr(&input)?;
    let mut quiet = before.clone();
    quiet.local_modes.remove(LocalModes::ECHO);
    tcsetattr(&input, OptionalActions::Flush, &quiet)?;
    let mut line = String::new();
    let read = input.lock().read_line(&mut line);
    tcsetattr(&input, OptionalActions::Flush, &before)?;
    let _ = err.write_all(b"\n");
    read.context("the password could not be read")?;
    Ok(line.trim_end_matches(['\r', '\n']).to_owned())
}
