//! Who this endpoint is: what the agent says when it opens a session, and what `info()` is built on.

/// The host's name, as the system has it; `localhost` where it has none.
pub fn hostname() -> String {
    host_name().filter(|name| !name.is_empty()).unwrap_or_else(|| "localhost".into())
}

/// `linux`, `windows` or `darwin`.
pub fn os() -> &'static str {
    match std::env::consts::OS {
        "macos" => "darwin",
        other => other,
    }
}

/// The processor architecture by the names that artifacts use: `amd64`, `arm64`, `386`.
pub fn architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        "x86" => "386",
        other => other,
    }
}

/// The agent's program version.
pub fn version() -> &'static str {
    env!("CARGO_PKG_VERSION")
}

#[cfg(unix)]
fn host_name() -> Option<String> {
    let uname = rustix::system::uname();
    Some(uname.nodename().to_string_lossy().into_owned())
}

#[cfg(not(unix))]
fn host_name() -> Option<String> {
    std::env::var("COMPUTERNAME").ok()
}
