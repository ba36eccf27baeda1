//! The page: `ui` compiled to WASM, its JavaScript, and the files beside them, in ui/dist.

use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::{setup, sh};

const TARGET: &str = "wasm32-unknown-unknown";

/// Builds ui/dist, or leaves it alone when it is what a build would give.
pub(crate) fn build() -> Result<()> {
    setup::wasm_target()?;
    build_ready()
}

/// As [`build`], where the target is known to be installed.
pub(crate) fn build_ready() -> Result<()> {
    sh::cargo("build")
        .args(["--locked", "--package", "ui", "--profile", "wasm", "--target", TARGET])
        // The module would otherwise hold paths of the builder's machine in its panic messages.
        .env("CARGO_ENCODED_RUSTFLAGS", remapped_paths()?.join("\x1f"))
        .run()?;
    sh::cargo("build").args(["--locked", "--package", "bindgen"]).run()?;

    let target = sh::target()?;
    let module = target.join(TARGET).join("wasm/ui.wasm");
    let bindgen = target.join("debug/bindgen").with_extension(std::env::consts::EXE_EXTENSION);
    let dist = sh::root().join("ui/dist");
    // Not in ui/dist: everything there goes into the binary.
    let stamp = target.join("ui-dist.stamp");
    let wanted = fingerprint(&module, &bindgen)?;
    if dist.join("swoop_bg.wasm").is_file() && std::fs::read_to_string(&stamp).is_ok_and(|made| made == wanted) {
        println!("ui: ui/dist is current");
        return Ok(());
    }

    match std::fs::remove_dir_all(&dist) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error).context("removing ui/dist"),
        _ => std::fs::create_dir_all(&dist)?,
    }
    sh::Cmd::new(&bindgen).arg(&module).arg(&dist).arg("swoop").run()?;
    for (name, source) in static_files()? {
        let copy = dist.join(name);
        if let Some(folder) = copy.parent() {
            std::fs::create_dir_all(folder)?;
        }
        std::fs::copy(&source, &copy).with_context(|| format!("copying {}", source.display()))?;
    }
    std::fs::write(&stamp, wanted)?;
    for (name, source) in files_below(&dist)? {
        println!("ui: {:>9} bytes  ui/dist/{}", source.metadata()?.len(), name.display());
    }
    Ok(())
}

/// Compiler flags that take this machine's folders out of what is built. The last that matches wins.
pub(crate) fn remapped_paths() -> Result<Vec<String>> {
    let home = std::env::var_os("HOME").map(PathBuf::from).unwrap_or_default();
    let cargo_home = std::env::var_os("CARGO_HOME").map_or_else(|| home.join(".cargo"), PathBuf::from);
    let sysroot = sh::Cmd::new("rustc").args(["--print", "sysroot"]).read()?;
    let registries = std::fs::read_dir(cargo_home.join("registry/src"));
    // The repository itself needs none: cargo names our own files by their path from its root.
    let mut folders = vec![
        (home, "/home"),
        (sh::target()?, "/target"),
        (PathBuf::from(sysroot.trim()), "/rust"),
        (cargo_home, "/cargo"),
    ];
    folders.extend(registries.into_iter().flatten().flatten().map(|registry| (registry.path(), "/crates")));
    let known = folders.iter().filter(|(folder, _)| !folder.as_os_str().is_empty());
    Ok(known.map(|(folder, name)| format!("--remap-path-prefix={}={name}", folder.display())).collect())
}

/// All below ui/static, with the names they have in ui/dist.
fn static_files() -> Result<Vec<(PathBuf, PathBuf)>> {
    files_below(&sh::root().join("ui/static"))
}

/// Every file below `folder`, sorted, each with its path from there. A folder that is not there has none.
fn files_below(folder: &Path) -> Result<Vec<(PathBuf, PathBuf)>> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_path_buf()];
    while let Some(current) = folders.pop() {
        if !current.is_dir() {
            continue;
        }
        for entry in std::fs::read_dir(&current).with_context(|| format!("reading {}", current.display()))? {
            let path = entry?.path();
            if path.is_dir() {
                folders.push(path);
            } else {
                found.push((path.strip_prefix(folder)?.to_path_buf(), path));
            }
        }
    }
    found.sort();
    Ok(found)
}

/// Changes when anything that goes into ui/dist does.
fn fingerprint(module: &Path, bindgen: &Path) -> Result<String> {
    let mut hasher = DefaultHasher::new();
    let made = [(PathBuf::from("module"), module.to_path_buf()), (PathBuf::from("bindgen"), bindgen.to_path_buf())];
    for (name, source) in made.into_iter().chain(static_files()?) {
        name.hash(&mut hasher);
        std::fs::read(&source).with_context(|| format!("reading {}", source.display()))?.hash(&mut hasher);
    }
    Ok(format!("{} {:016x}", sh::root().display(), hasher.finish()))
}
