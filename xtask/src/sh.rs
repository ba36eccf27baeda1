//! Where things are, and how to run a program: shown before, checked after.

use std::ffi::{OsStr, OsString};
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

/// The root of the repository.
pub(crate) fn root() -> PathBuf {
    // Not CARGO_MANIFEST_DIR of the build: with a target folder that several checkouts share, that could be another's.
    let from_cargo = std::env::var_os("CARGO_MANIFEST_DIR").map(PathBuf::from);
    let xtask = from_cargo.unwrap_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")));
    xtask.parent().map_or_else(|| xtask.clone(), Path::to_path_buf)
}

/// Cargo's target folder: two levels above this program, wherever the settings put it.
pub(crate) fn target() -> Result<PathBuf> {
    let exe = std::env::current_exe().context("where this program is")?;
    exe.ancestors()
        .nth(2)
        .map(Path::to_path_buf)
        .with_context(|| format!("{} is not in a target folder", exe.display()))
}

/// A program to run in the root of the repository.
#[derive(Debug)]
pub(crate) struct Cmd {
    command: Command,
    env: Vec<(String, OsString)>,
}

/// `cargo`, without what `cargo run` told this process about xtask itself: build scripts that watch these variables
/// would otherwise be run again at each change between plain cargo and xtask.
pub(crate) fn cargo(subcommand: &str) -> Cmd {
    let mut cmd = Cmd::new("cargo").arg(subcommand);
    for (name, _) in std::env::vars_os() {
        let name = name.to_string_lossy();
        let told = ["CARGO", "CARGO_MANIFEST_DIR", "CARGO_MANIFEST_PATH", "OUT_DIR"].contains(&&*name)
            || ["CARGO_PKG_", "CARGO_BIN_", "CARGO_CRATE_"].iter().any(|prefix| name.starts_with(prefix));
        if told {
            cmd.command.env_remove(&*name);
        }
    }
    cmd
}

impl Cmd {
    pub(crate) fn new(program: impl AsRef<OsStr>) -> Self {
        let mut command = Command::new(program);
        command.current_dir(root()).stdin(Stdio::null());
        Self { command, env: Vec::new() }
    }

    pub(crate) fn arg(mut self, arg: impl AsRef<OsStr>) -> Self {
        self.command.arg(arg);
        self
    }

    pub(crate) fn args<A: AsRef<OsStr>>(mut self, args: impl IntoIterator<Item = A>) -> Self {
        self.command.args(args);
        self
    }

    pub(crate) fn env(mut self, name: &str, value: impl AsRef<OsStr>) -> Self {
        self.command.env(name, value.as_ref());
        self.env.push((name.to_owned(), value.as_ref().to_owned()));
        self
    }

    pub(crate) fn dir(mut self, dir: &Path) -> Self {
        self.command.current_dir(dir);
        self
    }

    /// Shows the command, runs it with our output, and fails if it does.
    pub(crate) fn run(mut self) -> Result<()> {
        let line = self.shown();
        println!("$ {line}");
        let status = self.command.status().with_context(|| format!("could not start {line}"))?;
        if !status.success() {
            bail!("failed ({status}): {line}");
        }
        Ok(())
    }

    /// As [`run`](Self::run), and gives those lines of its output that `keep` picks. Both streams are shown as one.
    pub(crate) fn run_keeping(mut self, keep: impl Fn(&str) -> bool) -> Result<Vec<String>> {
        let line = self.shown();
        println!("$ {line}");
        let (read, write) = std::io::pipe()?;
        let mut child = self
            .command
            .stdout(write.try_clone()?)
            .stderr(write)
            .spawn()
            .with_context(|| format!("could not start {line}"))?;
        // The command still holds the pipe's writing end; without this the reading below would never end.
        drop(self.command);
        let mut kept = Vec::new();
        for text in BufReader::new(read).split(b'\n') {
            let text = text?;
            let text = String::from_utf8_lossy(&text);
            println!("{text}");
            if keep(&text) {
                kept.push(text.into_owned());
            }
        }
        let status = child.wait()?;
        if !status.success() {
            bail!("failed ({status}): {line}");
        }
        Ok(kept)
    }

    /// Runs it unseen: its output if it succeeds, otherwise an error with what it said.
    pub(crate) fn read(mut self) -> Result<String> {
        let line = self.shown();
        let output = self.command.output().with_context(|| format!("could not start {line}"))?;
        let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        if !output.status.success() {
            bail!("failed ({}): {line}\n{out}{err}", output.status);
        }
        Ok(out.into_owned())
    }

    /// Becomes the program (on Unix, so that signals reach it directly); returns only on failure.
    pub(crate) fn replace(mut self) -> Result<()> {
        let line = self.shown();
        println!("$ {line}");
        self.command.stdin(Stdio::inherit());
        #[cfg(unix)]
        {
            use std::os::unix::process::CommandExt;
            let error = self.command.exec();
            Err(error).with_context(|| format!("could not start {line}"))
        }
        #[cfg(not(unix))]
        self.run()
    }

    fn shown(&self) -> String {
        let env = self.env.iter().map(|(name, value)| format!("{name}={}", quoted(value)));
        let words = std::iter::once(self.command.get_program()).chain(self.command.get_args()).map(quoted);
        env.chain(words).collect::<Vec<_>>().join(" ")
    }
}

/// The path of a program that is on PATH.
pub(crate) fn find(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|dir| dir.join(program)).find(|file| file.is_file())
}

fn quoted(word: &OsStr) -> String {
    // Flags for rustc are separated by a character that no terminal shows.
    let word = word.to_string_lossy().replace('\x1f', " ");
    if word.contains([' ', '*', '$', '"']) { format!("'{word}'") } else { word }
}
