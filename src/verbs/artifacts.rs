//! `swoop artifacts …`: the definitions that this program knows, and the layout of others.

use std::{
    fs,
    io::{IsTerminal, Write},
    path::PathBuf,
};

use anyhow::{Context, bail};
use clap::Subcommand;
use vql::{
    artifact::{self, Library},
    diagnostic::{Style, render, render_styled},
    syntax,
};

use super::{collect, definitions};

#[derive(Debug, Subcommand)]
pub(crate) enum ArtifactsVerb {
    /// List the built-in artifacts
    List,
    /// Print an artifact's definition
    Show { name: String },
    /// Run an artifact on this machine, and print its rows
    #[command(after_help = collect::EXAMPLES)]
    Collect(collect::Collect),
    /// Check definitions: YAML, types and defaults of parameters, queries, and the names in them
    #[command(after_help = VERIFY)]
    Verify {
        /// Files, or directories that are searched for .yaml files
        #[arg(required_unless_present = "builtin")]
        paths: Vec<PathBuf>,
        /// Check the built-in artifacts too
        #[arg(long)]
        builtin: bool,
    },
    /// Print a VQL file in the usual layout, comments kept
    Reformat { file: PathBuf },
}

const VERIFY: &str = "Artifacts that call or import one another are verified together, and see those that are built in.
A plugin that this system does not know is a warning: it may be one of another system.
The exit status is 1 if there is an error.";

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
        ArtifactsVerb::Collect(arguments) => collect::run(&arguments),
        ArtifactsVerb::Verify { paths, builtin } => verify(&paths, builtin),
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

/// All definitions are read before the first is checked: they may call one another.
fn verify(paths: &[PathBuf], builtin: bool) -> anyhow::Result<()> {
    let registry = agent::registry();
    let inside = definitions::builtin();
    let given = definitions::read(paths)?;
    let mut library = Library::default();
    let mut names: Vec<(String, &str)> = Vec::new();
    let mut twice = Vec::new();
    for (definition, own) in inside.iter().map(|d| (d, false)).chain(given.iter().map(|d| (d, true))) {
        // Also one with a mistake in it is there to be called.
        let (artifact, _) = artifact::verify(&definition.yaml, &registry, &Library::default());
        let Some(artifact) = artifact else { continue };
        let same = |file: &str| inside.iter().any(|d| d.file == file && d.yaml == definition.yaml);
        if let Some((name, before)) = names.iter().find(|(name, file)| own && *name == artifact.name && !same(file)) {
            twice.push(format!("{}: the name {name} is taken by {before}", definition.file));
        }
        names.push((artifact.name.clone(), &definition.file));
        library.add(artifact);
    }
    let style =
        Style { color: std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|v| v.is_empty()) };
    let (mut count, mut errors, mut warnings) = (0, twice.len(), 0);
    let mut report = String::new();
    for definition in inside.iter().filter(|_| builtin).chain(&given) {
        let (_, problems) = artifact::verify(&definition.yaml, &registry, &library);
        count += 1;
        errors += problems.iter().filter(|problem| problem.is_error()).count();
        warnings += problems.iter().filter(|problem| !problem.is_error()).count();
        if !problems.is_empty() {
            report += &render_styled(&definition.file, &definition.yaml, &problems, style);
            report.push('\n');
        }
    }
    for line in twice {
        report += &format!("error: {line}\n\n");
    }
    // Standard error may be closed; there is nobody left to tell.
    let _ = write!(std::io::stderr(), "{report}");
    let plural = |n: usize, one: &str| format!("{n} {one}{}", if n == 1 { "" } else { "s" });
    let sum = format!("{}: {}, {}", plural(count, "definition"), plural(errors, "error"), plural(warnings, "warning"));
    match errors {
        0 => super::print(&(sum + "\n")),
        _ => bail!("{sum}"),
    }
}
