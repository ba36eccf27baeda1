//! The page's folder must be there for the binary to embed it, and a page that was built anew must be embedded anew.

fn main() {
    let page = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("ui/dist");
    if let Err(error) = std::fs::create_dir_all(&page) {
        println!("cargo::warning={} could not be made: {error}", page.display());
    }
    println!("cargo::rerun-if-changed=ui/dist");
}
