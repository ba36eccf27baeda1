//! `swoop config …`: make, divide, show and renew the configuration.

use std::{
    fs::{self, File, OpenOptions, Permissions},
    io::{self, Write},
    net::IpAddr,
    path::{Path, PathBuf},
};

use anyhow::Context;
use clap::{Args, Subcommand};

use crate::config::{self, Config, Wishes};

/// Make, divide, show and renew the configuration.
#[derive(Debug, Subcommand)]
pub(crate) enum ConfigVerb {
    /// Print a server configuration with new keys
    #[command(after_help = GENERATE_EXAMPLES)]
    Generate(Generate),
    /// Print the client's part of a configuration, which has no secret
    #[command(after_help = "Example:\n  swoop --config server.yaml config client > client.yaml")]
    Client,
    /// Print a configuration as it is in force: checked, with defaults and dates, without secrets
    Show,
    /// Give the hub a new key and certificate, in place; agents in the field accept it
    #[command(
        name = "rotate_keys",
        alias = "rotate-keys",
        after_help = "Example:\n  swoop --config /etc/swoop.config.yaml config rotate_keys\n\nThe hub shows the new certificate from its next start."
    )]
    RotateKeys,
}

const GENERATE_EXAMPLES: &str = "Examples:
  swoop config generate --output /etc/swoop.config.yaml --server-url https://hub.example:8000/ --bind-address 0.0.0.0
  swoop config generate | tee server.yaml

The file holds private keys. With --output it is readable by its owner only; a file of your own needs `chmod 600`.";

#[derive(Args, Debug)]
pub(crate) struct Generate {
    /// Write to FILE, readable by its owner only, instead of standard output
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Replace FILE, whose keys are lost: agents that enrolled under them must be given the new client's part
    #[arg(long, requires = "output")]
    force: bool,
    /// Where agents find the hub; may be repeated [default: https://localhost:8000/]
    #[arg(long = "server-url", value_name = "URL")]
    server_urls: Vec<String>,
    /// The address on which the hub listens for agents [default: 127.0.0.1]
    #[arg(long, value_name = "ADDRESS")]
    bind_address: Option<IpAddr>,
    /// The directory where the hub keeps what it knows [default: /var/lib/swoop]
    #[arg(long, value_name = "DIR")]
    location: Option<String>,
}

pub(crate) fn run(verb: ConfigVerb, file: Option<&Path>) -> anyhow::Result<()> {
    match verb {
        ConfigVerb::Generate(arguments) => generate(arguments),
        ConfigVerb::Client => super::print(&config::client_part(&load(file)?)?),
        ConfigVerb::Show => super::print(&config::shown(&load(file)?)),
        ConfigVerb::RotateKeys => rotate_keys(file),
    }
}

/// Loads the configuration and logs what is unwise about it.
pub(crate) fn load(file: Option<&Path>) -> anyhow::Result<Config> {
    let config = Config::load(file)?;
    for warning in config.warnings() {
        tracing::warn!("{warning}");
    }
    Ok(config)
}

fn generate(arguments: Generate) -> anyhow::Result<()> {
    let mut wishes = Wishes::default();
    if !arguments.server_urls.is_empty() {
        wishes.server_urls = arguments.server_urls;
    }
    if let Some(address) = arguments.bind_address {
        wishes.bind_address = address;
    }
    if let Some(location) = arguments.location {
        wishes.location = location;
    }
    let text = config::generate(&wishes)?;
    let Some(file) = &arguments.output else { return super::print(&text) };
    if arguments.force {
        replace(file, &text)?;
    } else {
        create(file, &text)?;
    }
    tracing::info!("wrote {}: it holds private keys", file.display());
    Ok(())
}

fn rotate_keys(file: Option<&Path>) -> anyhow::Result<()> {
    // Loaded first for its errors and warnings.
    load(file)?;
    let file = file.context("no configuration")?;
    let (text, validity) = config::rotated(file, &config::read(file)?)?;
    replace(file, &text)?;
    tracing::info!(
        "{}: the hub has a new key and certificate, {validity}; it shows them from its next start",
        file.display()
    );
    Ok(())
}

/// Writes a secrets file that was not there.
pub(crate) fn create(file: &Path, text: &str) -> anyhow::Result<()> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut out = options.open(file).map_err(|error| match error.kind() {
        io::ErrorKind::AlreadyExists => anyhow::anyhow!(
            "{}: there is such a file already, and its keys would be lost: --force replaces it",
            file.display()
        ),
        _ => anyhow::anyhow!("{}: could not write: {error}", file.display()),
    })?;
    out.write_all(text.as_bytes())
        .and_then(|()| out.sync_all())
        .with_context(|| format!("{}: could not write", file.display()))
}

/// Puts a new text in the place of a secrets file at once: a crash leaves the old one or the new one. Owner and mode
/// stay; a file that was not there is its owner's only.
fn replace(file: &Path, text: &str) -> anyhow::Result<()> {
    let context = || format!("{}: could not replace", file.display());
    // Behind a link the file is replaced, not the link.
    let target = fs::canonicalize(file).unwrap_or_else(|_| file.to_owned());
    let directory = target.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."));
    // Made with mode 0600.
    let mut temporary =
        tempfile::Builder::new().prefix(".swoop-config-").tempfile_in(directory).with_context(context)?;
    temporary.write_all(text.as_bytes()).with_context(context)?;
    if let Ok(old) = fs::metadata(&target) {
        keep_owner_and_mode(temporary.as_file(), &old).with_context(context)?;
    }
    temporary.as_file().sync_all().with_context(context)?;
    temporary.persist(&target).map_err(|error| error.error).with_context(context)?;
    #[cfg(unix)]
    File::open(directory).and_then(|dir| dir.sync_all()).with_context(context)?;
    Ok(())
}

#[cfg(unix)]
fn keep_owner_and_mode(file: &File, old: &fs::Metadata) -> io::Result<()> {
    use std::os::unix::fs::{MetadataExt, PermissionsExt, fchown};
    let new = file.metadata()?;
    if (new.uid(), new.gid()) != (old.uid(), old.gid()) {
        fchown(file, Some(old.uid()), Some(old.gid()))?;
    }
    file.set_permissions(Permissions::from_mode(old.mode() & 0o777))
}

#[cfg(not(unix))]
fn keep_owner_and_mode(file: &File, old: &fs::Metadata) -> io::Result<()> {
    let permissions: Permissions = old.permissions();
    file.set_permissions(permissions)
}

#[cfg(all(test, unix))]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    fn mode(file: &Path) -> u32 {
        fs::metadata(file).unwrap().permissions().mode() & 0o777
    }

    fn generate_into(file: &Path, force: bool) -> anyhow::Result<()> {
        generate(Generate {
            output: Some(file.to_owned()),
            force,
            server_urls: vec!["https://hub.example:8000/".into()],
            bind_address: None,
            location: None,
        })
    }

    #[test]
    fn secrets_are_written_for_their_owner_and_not_lost() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("server.yaml");
        generate_into(&file, false).unwrap();
        assert_eq!(mode(&file), 0o600);
        let first = fs::read_to_string(&file).unwrap();
        assert_eq!(Config::load(Some(&file)).unwrap().warnings(), Vec::<String>::new());

        let error = generate_into(&file, false).unwrap_err().to_string();
        assert!(error.contains("--force"), "{error}");
        assert_eq!(fs::read_to_string(&file).unwrap(), first);
        generate_into(&file, true).unwrap();
        assert_ne!(fs::read_to_string(&file).unwrap(), first);

        let error = generate_into(&dir.path().join("none/server.yaml"), false).unwrap_err().to_string();
        assert!(error.contains("could not write"), "{error}");
    }

    #[test]
    fn keys_are_rotated_in_place() {
        let dir = tempfile::tempdir().unwrap();
        let (file, link) = (dir.path().join("server.yaml"), dir.path().join("link.yaml"));
        generate_into(&file, false).unwrap();
        symlink(&file, &link).unwrap();
        fs::set_permissions(&file, Permissions::from_mode(0o640)).unwrap();
        let before = fs::read_to_string(&file).unwrap();

        rotate_keys(Some(&link)).unwrap();
        assert_ne!(fs::read_to_string(&file).unwrap(), before);
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        assert_eq!(mode(&file), 0o640);
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 2, "nothing is left beside it");
        let warnings = Config::load(Some(&file)).unwrap().warnings();
        assert!(warnings[0].contains("(mode 0640): run `chmod 600 ") && warnings.len() == 1, "{warnings:?}");
    }
}
