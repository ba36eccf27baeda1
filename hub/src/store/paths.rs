//! Where everything lies under the datastore: the schema of the flat files.
//!
//! ```text
//! store.json, lock, audit.jsonl, users/…, artifacts/custom/*.yaml
//! clients/C.…/{client.json, labels.json}
//! clients/C.…/flows/F.…/{flow.json, log.jsonl, results/<Artifact>.<source>.jsonl, uploads/<n>, uploads/<n>.json}
//! hunts/H.…/{hunt.json, clients.jsonl, results/<Artifact>.<source>/<shard>.jsonl, logs/<shard>.jsonl}
//! hunts/H.…/uploads/C.…/{<n>, <n>.json}
//! ```
//!
//! Beside each `.jsonl` of rows lies its `.index`.

use std::path::{Path, PathBuf};

use protocol::{ClientId, FlowId, HuntId};

/// The longest file name that is made of an artifact's and a source's name.
const MAX_NAME: usize = 120;

#[derive(Clone, Debug)]
pub(crate) struct Paths {
    root: PathBuf,
    /// The same tree, for uploads alone.
    filestore: PathBuf,
}

/// The two files of a result set.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub(crate) struct SetPaths {
    pub(crate) data: PathBuf,
    pub(crate) index: PathBuf,
}

impl SetPaths {
    fn new(directory: &Path, stem: &str) -> Self {
        Self { data: directory.join(format!("{stem}.jsonl")), index: directory.join(format!("{stem}.index")) }
    }
}

/// Where the rows and uploads of a flow lie.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub(crate) enum Home {
    Flow(ClientId, FlowId),
    /// All clients of a hunt share files.
    Hunt(HuntId),
}

impl Home {
    pub(crate) fn of(client: ClientId, flow: FlowId) -> Self {
        match flow.hunt() {
            Some(hunt) => Self::Hunt(hunt),
            None => Self::Flow(client, flow),
        }
    }
}

impl Paths {
    pub(crate) fn new(root: PathBuf) -> Self {
        Self { filestore: root.clone(), root }
    }

    /// Uploads go below another directory.
    pub(crate) fn with_filestore(self, filestore: PathBuf) -> Self {
        Self { filestore, ..self }
    }

    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    pub(crate) fn lock(&self) -> PathBuf {
        self.root.join("lock")
    }

    pub(crate) fn store(&self) -> PathBuf {
        self.root.join("store.json")
    }

    pub(crate) fn audit(&self) -> PathBuf {
        self.root.join("audit.jsonl")
    }

    pub(crate) fn users(&self) -> PathBuf {
        self.root.join("users")
    }

    pub(crate) fn custom_artifacts(&self) -> PathBuf {
        self.root.join("artifacts/custom")
    }

    pub(crate) fn clients(&self) -> PathBuf {
        self.root.join("clients")
    }

    pub(crate) fn client(&self, client: ClientId) -> PathBuf {
        self.clients().join(client.to_string())
    }

    pub(crate) fn client_record(&self, client: ClientId) -> PathBuf {
        self.client(client).join("client.json")
    }

    pub(crate) fn labels(&self, client: ClientId) -> PathBuf {
        self.client(client).join("labels.json")
    }

    pub(crate) fn flows(&self, client: ClientId) -> PathBuf {
        self.client(client).join("flows")
    }

    pub(crate) fn flow(&self, client: ClientId, flow: FlowId) -> PathBuf {
        self.flows(client).join(flow.to_string())
    }

    pub(crate) fn flow_record(&self, client: ClientId, flow: FlowId) -> PathBuf {
        self.flow(client, flow).join("flow.json")
    }

    pub(crate) fn hunts(&self) -> PathBuf {
        self.root.join("hunts")
    }

    pub(crate) fn hunt(&self, hunt: HuntId) -> PathBuf {
        self.hunts().join(hunt.to_string())
    }

    pub(crate) fn hunt_record(&self, hunt: HuntId) -> PathBuf {
        self.hunt(hunt).join("hunt.json")
    }

    pub(crate) fn hunt_clients(&self, hunt: HuntId) -> PathBuf {
        self.hunt(hunt).join("clients.jsonl")
    }

    /// The rows of one source, by the file name that [`file_names`] gave it; `shard` counts for hunts only.
    pub(crate) fn results(&self, home: Home, source: &str, shard: usize) -> SetPaths {
        match home {
            Home::Flow(client, flow) => SetPaths::new(&self.flow(client, flow).join("results"), source),
            Home::Hunt(hunt) => SetPaths::new(&self.hunt(hunt).join("results").join(source), &shard.to_string()),
        }
    }

    pub(crate) fn log(&self, home: Home, shard: usize) -> SetPaths {
        match home {
            Home::Flow(client, flow) => SetPaths::new(&self.flow(client, flow), "log"),
            Home::Hunt(hunt) => SetPaths::new(&self.hunt(hunt).join("logs"), &shard.to_string()),
        }
    }

    pub(crate) fn uploads(&self, client: ClientId, flow: FlowId) -> PathBuf {
        let files = Self::new(self.filestore.clone());
        match Home::of(client, flow) {
            Home::Flow(client, flow) => files.flow(client, flow).join("uploads"),
            Home::Hunt(hunt) => files.hunt(hunt).join("uploads").join(client.to_string()),
        }
    }

    pub(crate) fn upload(&self, client: ClientId, flow: FlowId, upload: u32) -> PathBuf {
        self.uploads(client, flow).join(upload.to_string())
    }

    pub(crate) fn upload_record(&self, client: ClientId, flow: FlowId, upload: u32) -> PathBuf {
        self.uploads(client, flow).join(format!("{upload}.json"))
    }
}

/// The file names of a collection's sources, in order and without doubles, whatever the sources call themselves.
///
/// `Artifact/Source` becomes `Artifact.Source`. What is not a letter of ASCII, a digit or one of `._-` is written as
/// `%` and two hex digits.
pub(crate) fn file_names<'a>(sources: impl IntoIterator<Item = &'a str>) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    for (place, source) in sources.into_iter().enumerate() {
        let mut name = file_name(source);
        // Some file systems do not tell upper from lower case.
        if names.iter().any(|taken| taken.eq_ignore_ascii_case(&name)) {
            name = format!("{name}~{place}");
        }
        names.push(name);
    }
    names
}

fn file_name(source: &str) -> String {
    let mut name = String::new();
    for (place, byte) in source.bytes().enumerate() {
        match byte {
            b'/' if place > 0 => name.push('.'),
            b'.' if place == 0 => name.push_str("%2E"),
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'.' | b'_' | b'-' => name.push(char::from(byte)),
            _ => name.push_str(&format!("%{byte:02X}")),
        }
    }
    if name.is_empty() {
        return "%".into();
    }
    if name.len() > MAX_NAME {
        let whole = crc32fast::hash(source.as_bytes());
        // All ASCII by now: any cut is a boundary.
        name.truncate(MAX_NAME - 9);
        name.push_str(&format!("~{whole:08x}"));
    }
    name
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sources_become_plain_file_names() {
        for (source, name) in [
            ("Generic.Client.VQL", "Generic.Client.VQL"),
            ("Generic.Client.Info/BasicInformation", "Generic.Client.Info.BasicInformation"),
            ("../../etc/passwd", "%2E...."),
            ("/etc/passwd", "%2Fetc.passwd"),
            ("A b\0\n", "A%20b%00%0A"),
            ("C:\\x", "C%3A%5Cx"),
            ("ä", "%C3%A4"),
            ("", "%"),
        ] {
            let made = file_name(source);
            assert!(made.starts_with(name), "{source:?}: {made}");
            assert!(!made.contains(['/', '\\', '\0']) && !made.starts_with('.'), "{made}");
        }
        let long = "x".repeat(4000);
        let names = file_names(["A/b", "a.b", long.as_str(), &long[1..]]);
        assert_eq!(names[..2], ["A.b", "a.b~1"]);
        assert!(names[2].len() <= MAX_NAME + 9 && names[2] != names[3]);
    }
}
