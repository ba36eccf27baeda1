//! The binary that goes out: linked statically, with the page in it, and shown to start where there is nothing else.

use std::path::Path;

use anyhow::{Context, Result, bail};

use crate::sh::{self, Cmd};
use crate::ui;

const TARGET: &str = "x86_64-unknown-linux-gnu";

pub(crate) fn build() -> Result<()> {
    if !cfg!(all(target_os = "linux", target_arch = "x86_64")) {
        bail!("the static binary is made on x86_64 Linux");
    }
    ui::build()?;
    let flags = ["-Ctarget-feature=+crt-static".to_owned()].into_iter().chain(ui::remapped_paths()?);
    sh::cargo("build")
        // A target is named so that the flags are not for build scripts and procedural macros, which must stay dynamic.
        .args(["--locked", "--profile", "dist", "--package", "swoop", "--target", TARGET])
        .env("CARGO_ENCODED_RUSTFLAGS", flags.collect::<Vec<_>>().join("\x1f"))
        .run()?;
    let built = sh::target()?.join(TARGET).join("dist/swoop");
    let dist = sh::target()?.join("dist");
    std::fs::create_dir_all(&dist)?;
    let binary = dist.join("swoop");
    std::fs::copy(&built, &binary).with_context(|| format!("copying {}", built.display()))?;

    // ldd's exit status says "not dynamic", which is what we hope for: only its words count.
    let ldd = Cmd::new("sh").args(["-c", "ldd \"$0\" 2>&1 || true"]).arg(&binary).read()?;
    println!("dist: ldd says: {}", ldd.trim());
    if !ldd.contains("statically linked") && !ldd.contains("not a dynamic executable") {
        bail!("{} is linked dynamically", binary.display());
    }
    println!("dist: {} bytes  {}", binary.metadata()?.len(), binary.display());
    start_in_an_empty_root(&binary)
}

/// A root folder with the binary in it and nothing else: no libc, no loader, no /etc.
fn start_in_an_empty_root(binary: &Path) -> Result<()> {
    let root = sh::target()?.join("dist/empty-root");
    if root.exists() {
        std::fs::remove_dir_all(&root)?;
    }
    std::fs::create_dir_all(&root)?;
    std::fs::copy(binary, root.join("swoop"))?;
    // chroot needs the right to do so: root has it, others get it in a user namespace of their own, where permitted.
    let direct = Cmd::new("chroot").arg(&root).args(["/swoop", "--version"]).read();
    let said = direct.or_else(|_| {
        Cmd::new("unshare")
            .args(["--user", "--map-root-user", "chroot"])
            .arg(&root)
            .args(["/swoop", "--version"])
            .read()
    });
    std::fs::remove_dir_all(&root)?;
    match said {
        Ok(version) if version.trim().is_empty() => bail!("in an empty root it starts and says nothing"),
        Ok(version) => println!("dist: in an empty root it says: {}", version.trim()),
        Err(error) if format!("{error:#}").contains("not permitted") => {
            println!("dist: not shown in an empty root: neither chroot nor unshare is permitted here");
        }
        Err(error) => return Err(error).context("it does not start in an empty root"),
    }
    Ok(())
}
