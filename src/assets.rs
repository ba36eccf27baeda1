//! Files inside the binary: the page, as `cargo xtask ui` built it, and the artifacts' definitions.

use hub::api::{Assets, mime_of};
use rust_embed::RustEmbed;

#[derive(RustEmbed)]
#[folder = "ui/dist"]
struct Page;

/// The page; where it was not built, the hub says so in its place.
pub(crate) fn page() -> Assets {
    Assets::new(|path| Some((Page::get(path)?.data, mime_of(path).to_owned())))
}

#[derive(RustEmbed)]
#[folder = "artifacts"]
struct Definitions;

/// The built-in artifacts, by path: name and definition.
pub(crate) fn artifacts() -> Vec<(String, String)> {
    let read = |path: String| {
        let text = String::from_utf8(Definitions::get(&path)?.data.into_owned()).ok()?;
        Some((path.strip_suffix(".yaml")?.replace('/', "."), text))
    };
    Definitions::iter().filter_map(|path| read(path.into_owned())).collect()
}
