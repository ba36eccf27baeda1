//! Turns a compiled WASM module into one that a page can load, with its JavaScript: `bindgen MODULE OUT_DIR NAME`.
//!
//! The generator is a library here, not the `wasm-bindgen` program, because it must be of exactly the version that
//! the page was compiled against: Cargo.lock holds both.

use anyhow::{Context, bail};
use wasm_bindgen_cli_support::Bindgen;

fn main() -> anyhow::Result<()> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [module, out_dir, name] = args.as_slice() else { bail!("usage: bindgen MODULE OUT_DIR NAME") };
    Bindgen::new()
        .input_path(module)
        .web(true)?
        .typescript(false)
        .remove_name_section(true)
        .remove_producers_section(true)
        .out_name(name)
        .generate(out_dir)
        .with_context(|| format!("making {name}.js and {name}_bg.wasm from {module}"))
}
