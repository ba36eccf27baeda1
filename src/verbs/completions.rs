//! `swoop completions SHELL`: the script that makes a shell complete the verbs.

use clap_complete::Shell;

pub(crate) fn run(mut command: clap::Command, shell: Shell) -> anyhow::Result<()> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut command, "swoop", &mut script);
    super::print(&String::from_utf8_lossy(&script))
}
