//! The configuration file: YAML in, checked settings out. This is the only place that checks them.
//!
//! A file for a hub has all sections, one for an agent only `Client`. Every mistake in a file is reported at once, each
//! with its line, its key and what was expected.

mod render;
mod url;
mod yaml;

use std::{
    fmt,
    fs::{self, File},
    io::Read,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
    sync::Arc,
};

use agent::{
    flows::FlowsConfig,
    transport::{HubAddress, LadderConfig, Proxy},
};
use certs::{Authority, CertificateDer, HubCertReloader, Identity};

use self::yaml::{Mistake, Section, Value, describe};
pub(crate) use self::{
    render::{Wishes, client_part, generate, rotated, shown},
    url::{ProxyUrl, ServerUrl},
};

/// What is longer is no configuration.
const MAX_FILE: u64 = 1 << 20;
/// Below this an agent could not keep what it found while the hub is away.
const MIN_SPOOL: u64 = 1 << 20;
pub(crate) const FRONTEND_PORT: u16 = 8000;
pub(crate) const GUI_PORT: u16 = 8889;
pub(crate) const API_PORT: u16 = 8001;
const LOOPBACK: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
/// How often an idle agent is heard of.
const HEARTBEAT_MS: u32 = 10_000;
const STORE: &str = "FileBaseDataStore";

/// A checked file. Which sections must be there depends on the verb: ask by [`hub`](Self::hub),
/// [`agent`](Self::agent) or [`client`](Self::client).
#[derive(Debug)]
pub(crate) struct Config {
    file: PathBuf,
    client: Option<Client>,
    datastore: Option<Datastore>,
    frontend: Option<Frontend>,
    gui: Option<Gui>,
    api: Option<SocketAddr>,
    ca: Option<Ca>,
}

/// The section `Client`: all that an agent gets.
#[derive(Clone, Debug)]
pub(crate) struct Client {
    /// Where hubs answer, at least one, in the order in which they are tried.
    pub server_urls: Vec<ServerUrl>,
    /// The authority that the agent trusts, and no other.
    pub ca_certificate: CertificateDer<'static>,
    /// What admits an agent to enrolment.
    pub nonce: String,
    /// Where agents keep their key and state, by system.
    pub writeback: Writeback,
    /// The most that an agent keeps on disk of what the hub does not have yet, in bytes.
    pub max_spool_bytes: Option<u64>,
    pub proxy: Option<ProxyUrl>,
    /// The labels that a new client bears.
    pub labels: Vec<String>,
}

#[derive(Clone, Debug, Default)]
pub(crate) struct Writeback {
    pub linux: Option<PathBuf>,
    pub windows: Option<PathBuf>,
    pub darwin: Option<PathBuf>,
}

impl Writeback {
    /// The path for the system that this program runs on.
    pub(crate) fn here(&self) -> Option<&Path> {
        let path = match std::env::consts::OS {
            "windows" => &self.windows,
            "macos" => &self.darwin,
            _ => &self.linux,
        };
        path.as_deref()
    }

    /// The name of the key for the system that this program runs on.
    pub(crate) fn key_here() -> &'static str {
        match std::env::consts::OS {
            "windows" => "writeback_windows",
            "macos" => "writeback_darwin",
            _ => "writeback_linux",
        }
    }
}

/// The section `Datastore`: where the hub keeps what it knows.
#[derive(Clone, Debug)]
pub(crate) struct Datastore {
    pub location: PathBuf,
    /// Where uploaded files go.
    pub filestore_directory: PathBuf,
}

#[derive(Debug)]
struct Gui {
    address: SocketAddr,
    /// Where people find the page: behind a proxy that speaks TLS, under a name.
    public_url: Option<ServerUrl>,
}

#[derive(Debug)]
struct Frontend {
    address: SocketAddr,
    certificate: String,
    private_key: Secret,
}

#[derive(Debug)]
struct Ca {
    certificate: String,
    private_key: Secret,
}

/// A text that does not appear in logs.
struct Secret(String);

/// All that is wrong with a file, one line each.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct ConfigError {
    file: PathBuf,
    mistakes: Vec<Mistake>,
}

impl Config {
    /// Reads and checks a file. `None` is an error that says how to come by one.
    pub(crate) fn load(file: Option<&Path>) -> anyhow::Result<Self> {
        let Some(file) = file else {
            anyhow::bail!(
                "no configuration: give one with --config FILE or in SWOOP_CONFIG; `swoop config generate` makes one"
            );
        };
        Ok(Self::parse(file, &read(file)?)?)
    }

    /// Checks a text; `file` is named in errors.
    pub(crate) fn parse(file: &Path, text: &str) -> Result<Self, ConfigError> {
        let fail = |mistakes| ConfigError { file: file.to_owned(), mistakes };
        let tree = yaml::parse(text).map_err(|mistake| fail(vec![mistake]))?;
        let mut mistakes = Vec::new();
        let mut root = Section::root(&tree, &mut mistakes);
        let config = Self {
            file: file.to_owned(),
            client: root.section("Client").and_then(client),
            datastore: root.section("Datastore").and_then(datastore),
            frontend: root.section("Frontend").and_then(frontend),
            gui: root.section("GUI").map(gui),
            api: root.section("API").map(|section| listener(section, API_PORT)),
            ca: root.section("CA").and_then(ca),
        };
        config.check_together(&mut root);
        root.finish(belongs);
        // In the order of the file, as a person goes through it.
        mistakes.sort_by_key(|mistake| mistake.place.map(|place| (place.line, place.column)));
        if mistakes.is_empty() { Ok(config) } else { Err(fail(mistakes)) }
    }

    /// The section that agents get.
    pub(crate) fn client(&self) -> Result<&Client, ConfigError> {
        self.client.as_ref().ok_or_else(|| self.without(&[CLIENT]))
    }

    /// What a hub runs with.
    pub(crate) fn hub(&self) -> Result<hub::Config, ConfigError> {
        match (&self.client, &self.datastore, &self.frontend, &self.ca) {
            (Some(client), Some(datastore), Some(frontend), Some(ca)) => Ok(hub::Config {
                datastore: datastore.location.clone(),
                frontend_bind: frontend.address,
                gui_bind: self.gui.as_ref().map_or(SocketAddr::new(LOOPBACK, GUI_PORT), |gui| gui.address),
                nonce: client.nonce.clone(),
                authority: ca.authority().map_err(|error| self.wrong("CA", error.to_string()))?,
                hub_certificate_pem: frontend.certificate.clone(),
                hub_key_pem: frontend.private_key.0.clone(),
                heartbeat_ms: HEARTBEAT_MS,
                shards: 0,
                filestore: Some(datastore.filestore_directory.clone()),
                endpoint: Some(agent::registry()),
            }),
            (client, datastore, frontend, ca) => {
                let sections = [
                    (client.is_some(), CLIENT),
                    (datastore.is_some(), DATASTORE),
                    (frontend.is_some(), FRONTEND),
                    (ca.is_some(), CA),
                ];
                let missing: Vec<_> = sections.into_iter().filter(|(there, _)| !there).map(|(_, name)| name).collect();
                Err(self.without(&missing))
            }
        }
    }

    /// What an agent runs with. `writeback` is a path to use in place of the file's.
    pub(crate) fn agent(&self, writeback: Option<&Path>) -> Result<agent::Config, ConfigError> {
        let client = self.client()?;
        let Some(writeback) = writeback.or(client.writeback.here()) else {
            let key = Writeback::key_here();
            return Err(self.wrong(&format!("Client.{key}"), "missing: expected a path, here or by --writeback".into()));
        };
        let hubs: Vec<_> =
            client.server_urls.iter().map(|url| HubAddress { host: url.host.clone(), port: url.port }).collect();
        let proxy = match &client.proxy {
            Some(proxy) => Proxy::parse(&proxy.in_full()).map(Some),
            None => Proxy::from_env(&hubs),
        };
        let proxy = proxy.map_err(|why| match client.proxy {
            Some(_) => self.wrong("Client.proxy", why),
            None => self.wrong("HTTPS_PROXY in the environment", why),
        })?;
        let mut flows = FlowsConfig {
            // Beside the agent's identity: both are the state of this one agent.
            spool_dir: Some(writeback.with_extension("spool")),
            ..FlowsConfig::default()
        };
        if let Some(bytes) = client.max_spool_bytes {
            flows.max_spool_bytes = bytes;
        }
        Ok(agent::Config {
            hubs,
            authority: client.ca_certificate.clone(),
            nonce: client.nonce.clone(),
            labels: client.labels.clone(),
            writeback: writeback.to_owned(),
            flows,
            proxy,
            ladder: LadderConfig::default(),
        })
    }

    /// One line each of what is allowed and yet unwise, to be logged at start.
    pub(crate) fn page(&self) -> Option<&ServerUrl> {
        self.gui.as_ref()?.public_url.as_ref()
    }

    pub(crate) fn warnings(&self) -> Vec<String> {
        let mut warnings = Vec::new();
        if self.ca.is_some() || self.frontend.is_some() {
            warnings.extend(readable_by_others(&self.file));
        }
        if let Some(gui) = self.gui.as_ref().map(|gui| gui.address).filter(|gui| !gui.ip().is_loopback()) {
            warnings.push(format!(
                "{}: GUI.bind_address {} may be reached from other machines, and the page there is not encrypted: \
                 expected 127.0.0.1, reached by an SSH tunnel or behind a proxy that speaks TLS",
                self.file.display(),
                gui.ip()
            ));
        }
        warnings
    }

    /// What no section can say of itself: whether keys and certificates fit.
    fn check_together(&self, root: &mut Section<'_>) {
        let Some(ca) = &self.ca else { return };
        let authority = match ca.authority() {
            Ok(authority) => authority,
            Err(error) => return root.wrong("CA", error.to_string()),
        };
        if let Some(client) = &self.client
            && client.ca_certificate != *authority.certificate()
        {
            root.wrong("Client", "ca_certificate is another than CA.certificate: expected the same".into());
        }
        if let Some(Err(error)) = self.frontend.as_ref().map(|frontend| frontend.reloader(authority.certificate())) {
            root.wrong("Frontend", format!("{error}; `swoop config rotate_keys` makes a new pair"));
        }
    }

    fn without(&self, sections: &[(&'static str, &'static str)]) -> ConfigError {
        let mistake = |&(name, keys): &(&str, &str)| Mistake {
            place: None,
            key: name.into(),
            what: format!("the section is missing: expected `{name}:` with {keys}"),
        };
        ConfigError { file: self.file.clone(), mistakes: sections.iter().map(mistake).collect() }
    }

    fn wrong(&self, key: &str, what: String) -> ConfigError {
        ConfigError { file: self.file.clone(), mistakes: vec![Mistake { place: None, key: key.into(), what }] }
    }
}

impl Ca {
    fn authority(&self) -> Result<Authority, certs::CertError> {
        Authority::from_pem(&self.certificate, &self.private_key.0)
    }
}

impl Frontend {
    fn reloader(&self, authority: &CertificateDer<'_>) -> Result<Arc<HubCertReloader>, certs::CertError> {
        HubCertReloader::new(authority, &self.certificate, &self.private_key.0)
    }
}

const CLIENT: (&str, &str) = ("Client", "server_urls, ca_certificate and nonce");
const DATASTORE: (&str, &str) = ("Datastore", "implementation and location");
const FRONTEND: (&str, &str) = ("Frontend", "bind_address, bind_port, certificate and private_key");
const CA: (&str, &str) = ("CA", "certificate and private_key");

fn client(mut s: Section<'_>) -> Option<Client> {
    let server_urls = match s.is_missing("server_urls") {
        true => s.required("server_urls", "a list of URLs such as https://hub.example:8000/", |_| Ok(Vec::new())),
        false => s.list("server_urls", "URLs", |value| ServerUrl::parse(&text(value)?)),
    };
    if server_urls.as_ref().is_some_and(Vec::is_empty) {
        s.wrong("server_urls", "the list is empty: expected a URL such as https://hub.example:8000/".into());
    }
    let ca_certificate = s.required("ca_certificate", PEM_CERTIFICATE, |value| certificate(value).map(|(der, _)| der));
    let nonce = s.required("nonce", "the text that admits agents, as the hub's configuration has it", nonce);
    let writeback = Writeback {
        linux: s.optional("writeback_linux", path),
        windows: s.optional("writeback_windows", path),
        darwin: s.optional("writeback_darwin", path),
    };
    let max_spool_bytes = s.optional("max_spool_bytes", spool_bytes);
    let proxy = s.optional("proxy", |value| ProxyUrl::parse(&text(value)?));
    let labels = s.list("labels", "labels", label).unwrap_or_default();
    s.finish(belongs);
    Some(Client {
        server_urls: server_urls?,
        ca_certificate: ca_certificate?,
        nonce: nonce?,
        writeback,
        max_spool_bytes,
        proxy,
        labels,
    })
}

fn datastore(mut s: Section<'_>) -> Option<Datastore> {
    s.optional("implementation", |value| match value {
        Value::Text(text) if text == STORE => Ok(()),
        other => Err(format!("expected {STORE}, the only one there is, found {}", describe(other))),
    });
    let location = s.required("location", "the path of a directory that the hub may write to", path);
    let filestore_directory = s.optional("filestore_directory", path);
    s.finish(belongs);
    let location = location?;
    Some(Datastore { filestore_directory: filestore_directory.unwrap_or_else(|| location.clone()), location })
}

fn frontend(mut s: Section<'_>) -> Option<Frontend> {
    let address = address(&mut s, FRONTEND_PORT);
    let certificate = s.required("certificate", PEM_CERTIFICATE, |value| certificate(value).map(|(_, pem)| pem));
    let private_key = s.required("private_key", PEM_KEY, private_key);
    s.finish(belongs);
    Some(Frontend { address, certificate: certificate?, private_key: private_key? })
}

fn ca(mut s: Section<'_>) -> Option<Ca> {
    let certificate = s.required("certificate", PEM_CERTIFICATE, |value| certificate(value).map(|(_, pem)| pem));
    let private_key = s.required("private_key", PEM_KEY, private_key);
    s.finish(belongs);
    Some(Ca { certificate: certificate?, private_key: private_key? })
}

fn listener(mut s: Section<'_>, default_port: u16) -> SocketAddr {
    let address = address(&mut s, default_port);
    s.finish(belongs);
    address
}

fn gui(mut s: Section<'_>) -> Gui {
    let address = address(&mut s, GUI_PORT);
    let public_url = s.optional("public_url", |value| ServerUrl::parse(&text(value)?));
    s.finish(belongs);
    Gui { address, public_url }
}

fn address(s: &mut Section<'_>, default_port: u16) -> SocketAddr {
    let ip = s.optional("bind_address", ip).unwrap_or(LOOPBACK);
    SocketAddr::new(ip, s.optional("bind_port", port).unwrap_or(default_port))
}

/// Where a key that is unknown in one place is known.
fn belongs(key: &str) -> Option<String> {
    let section = match key {
        "server_urls" | "ca_certificate" | "nonce" | "writeback_linux" | "writeback_windows" | "writeback_darwin"
        | "max_spool_bytes" | "proxy" | "labels" => "`Client:`",
        "implementation" | "location" | "filestore_directory" => "`Datastore:`",
        "public_url" => "`GUI:`",
        "bind_address" | "bind_port" => "`Frontend:`, `GUI:` or `API:`",
        "certificate" | "private_key" => "`Frontend:` or `CA:`",
        "Client" | "Datastore" | "Frontend" | "GUI" | "API" | "CA" => return Some("it begins at column 1".into()),
        _ => return None,
    };
    Some(format!("it belongs into {section}, indented below it"))
}

const PEM_CERTIFICATE: &str = "a certificate, as a block after `|`: -----BEGIN CERTIFICATE-----";
const PEM_KEY: &str = "a private key, as a block after `|`: -----BEGIN PRIVATE KEY-----";

fn text(value: &Value) -> Result<String, String> {
    match value {
        Value::Text(text) => Ok(text.clone()),
        Value::Bool(_) | Value::Integer(_) | Value::Float(_) => {
            Err(format!("expected a text, found {}: put it in quotes", describe(value)))
        }
        other => Err(format!("expected a text, found {}", describe(other))),
    }
}

fn path(value: &Value) -> Result<PathBuf, String> {
    match value {
        Value::Text(text) if !text.is_empty() && !text.contains(char::is_control) => Ok(text.into()),
        other => Err(format!("expected a path, found {}", describe(other))),
    }
}

fn ip(value: &Value) -> Result<IpAddr, String> {
    let expected = "expected an IP address to listen on, such as 127.0.0.1 (this machine only) or 0.0.0.0 (all)";
    match value {
        Value::Text(text) => text.parse().map_err(|_| format!("{expected}, found {}", describe(value))),
        other => Err(format!("{expected}, found {}", describe(other))),
    }
}

fn port(value: &Value) -> Result<u16, String> {
    match value {
        Value::Integer(number) => u16::try_from(*number).ok(),
        _ => None,
    }
    .ok_or_else(|| format!("expected a port number from 1 to 65535 (or 0 for any free one), found {}", describe(value)))
}

fn spool_bytes(value: &Value) -> Result<u64, String> {
    match value {
        Value::Integer(number) => u64::try_from(*number).ok().filter(|&bytes| bytes >= MIN_SPOOL),
        _ => None,
    }
    .ok_or_else(|| format!("expected a number of bytes, at least {MIN_SPOOL}, found {}", describe(value)))
}

fn nonce(value: &Value) -> Result<String, String> {
    let nonce = text(value)?;
    if nonce.is_empty() || nonce.len() > 256 || nonce.contains(|c: char| c.is_control() || c.is_whitespace()) {
        return Err(format!("expected a text of 1 to 256 characters without spaces, found {}", describe(value)));
    }
    Ok(nonce)
}

fn label(value: &Value) -> Result<String, String> {
    let label = text(value)?;
    let plain = |c: char| c.is_alphanumeric() || matches!(c, '-' | '_' | '.' | ':' | '/');
    if label.is_empty() || label.chars().count() > 64 || !label.chars().all(plain) {
        return Err(format!("expected a label of 1 to 64 letters, digits or - _ . : /, found {}", describe(value)));
    }
    Ok(label)
}

fn certificate(value: &Value) -> Result<(CertificateDer<'static>, String), String> {
    let pem = text(value).map_err(|_| format!("expected {PEM_CERTIFICATE}, found {}", describe(value)))?;
    let der = certs::certificate_from_pem("the value", &pem).map_err(|error| error.to_string())?;
    Ok((der, pem))
}

fn private_key(value: &Value) -> Result<Secret, String> {
    // No quote of the value: it may be a secret with a slip in it.
    let Value::Text(pem) = value else { return Err(format!("expected {PEM_KEY}")) };
    // Hub's, authority's and agents' keys are of one kind.
    Identity::from_pem(pem).map_err(|error| {
        let why = error.to_string();
        why.split_once(": ").map_or(why.clone(), |(_, why)| why.to_owned())
    })?;
    Ok(Secret(pem.clone()))
}

/// A configuration file's text.
pub(crate) fn read(file: &Path) -> anyhow::Result<String> {
    let fail = |error: std::io::Error| {
        let hint = match error.kind() {
            std::io::ErrorKind::NotFound => ": `swoop config generate` makes one",
            std::io::ErrorKind::PermissionDenied => ": it is for its owner only, run as that user",
            _ => "",
        };
        anyhow::anyhow!("{}: could not read the configuration: {error}{hint}", file.display())
    };
    let mut text = String::new();
    File::open(file).map_err(fail)?.take(MAX_FILE + 1).read_to_string(&mut text).map_err(fail)?;
    anyhow::ensure!(
        text.len() as u64 <= MAX_FILE,
        "{}: expected a configuration of at most {MAX_FILE} bytes",
        file.display()
    );
    Ok(text)
}

/// The warning if others than its owner may read a file with secrets.
fn readable_by_others(file: &Path) -> Option<String> {
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let mode = fs::metadata(file).ok()?.permissions().mode() & 0o777;
        (mode & 0o044 != 0).then(|| {
            let file = file.display();
            format!("{file}: holds private keys and may be read by others than its owner (mode {mode:04o}): run `chmod 600 {file}`")
        })
    }
    #[cfg(not(unix))]
    {
        let _ = (file, fs::metadata::<&Path>);
        None
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(hidden)")
    }
}

impl std::error::Error for ConfigError {}

/// `FILE:LINE:COLUMN: KEY: what is wrong`, one line for each mistake.
impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, mistake) in self.mistakes.iter().enumerate() {
            if index > 0 {
                f.write_str("\n")?;
            }
            write!(f, "{}", self.file.display())?;
            if let Some(place) = mistake.place {
                write!(f, ":{}:{}", place.line, place.column)?;
            }
            if !mistake.key.is_empty() {
                write!(f, ": {}", mistake.key)?;
            }
            write!(f, ": {}", mistake.what)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
