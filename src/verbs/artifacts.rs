//! `swoop artifacts …`: the definitions that this program knows, and the layout of others.

use std::{fs, io::Write, path::PathBuf};

use anyhow::{Context, bail};
use clap::Subcommand;
use vql::{diagnostic::render, syntax};

#[derive(Debug, Subcommand)]
pub(crate) enum ArtifactsVerb {
    /// List the built-in artifacts
    List,
    /// Print an artifact's definition
    Show { name: String },
    /// Print a VQL file in the usual layout, comments kept
    Reformat { file: PathBuf },
}

pub(crate) fn run(verb: ArtifactsVerb) -> anyhow::Result<()> {
    match verb {
        ArtifactsVerb::List => {
            let lines = crate::assets::artifacts().into_iter().map(|(name, _)| name + "\n");
            super::print(&lines.collect::<String>())
        }
        ArtifactsVerb::Show { name } => {
            let known = crate::assets::artifacts();
            match known.iter().find(|(known, _)| *known == name) {
                Some((_, definition)) => super::print(definition),
                None => {
                    let names = known.iter().map(|(name, _)| name.as_str());
                    let hint =
                        vql::diagnostic::did_you_mean(&name, names).map_or(String::new(), |hint| format!("{hint} "));
                    bail!("there is no artifact {name:?}: {hint}`swoop artifacts list` shows all")
                }
            }
        }
        ArtifactsVerb::Reformat { file } => {
            let text = fs::read_to_string(&file).with_context(|| format!("{}", file.display()))?;
            match syntax::format::reformat(&text) {
                Ok(formatted) => super::print(&formatted),
                Err(diagnostics) => {
                    let report = render(&file.display().to_string(), &text, &diagnostics);
                    let _ = writeln!(std::io::stderr(), "{report}");
                    bail!("{}: the text cannot be parsed", file.display())
                }
            }
        }
    }
}
