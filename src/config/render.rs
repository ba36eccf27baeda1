//! Configurations as text: new ones, the client's part, what is in force, and one with the hub's keys exchanged.

use std::{fmt::Write as _, net::IpAddr, path::Path};

use base64::{Engine, engine::general_purpose::STANDARD};
use certs::{Authority, Issued, Validity, certificate_to_pem};

use super::{Client, Config, ConfigError, GUI_PORT, LOOPBACK, STORE, ServerUrl, yaml};

/// Two years: `config show` and the hub's log say in good time when it ends.
const HUB_DAYS: u32 = 730;
const HIDDEN: &str = "(hidden)";

/// What may be said about a new configuration; all else has defaults.
#[derive(Clone, Debug)]
pub(crate) struct Wishes {
    pub server_urls: Vec<String>,
    pub bind_address: IpAddr,
    pub location: String,
}

/// A server configuration with new keys, as text with comments.
pub(crate) fn generate(wishes: &Wishes) -> anyhow::Result<String> {
    let urls = wishes
        .server_urls
        .iter()
        .map(|url| ServerUrl::parse(url).map_err(|why| anyhow::anyhow!("--server-url: {why}")))
        .collect::<Result<Vec<_>, _>>()?;
    let authority = Authority::create()?;
    let hub = authority.sign_hub(HUB_DAYS)?;
    let mut random = [0; 16];
    getrandom::fill(&mut random).map_err(|error| anyhow::anyhow!("no randomness from the system: {error}"))?;
    let nonce = STANDARD.encode(random);

    let mut out = String::new();
    out.push_str(
        "# The configuration of a Swoop hub. It holds private keys: keep it to yourself (mode 0600).\n\
         # Agents get their part of it by `swoop --config THIS_FILE config client`, which has no secret.\n\n\
         # What agents are told.\n\
         Client:\n\
         \x20 # Where agents find the hub, tried in this order: the name and port that they reach, over TCP and UDP.\n\
         \x20 # A name serves better than an address. Without a port it is 443.\n",
    );
    list(&mut out, "server_urls", urls.iter().map(ToString::to_string));
    out.push_str("  # The authority that agents trust, and no other.\n");
    block(&mut out, "ca_certificate", &authority.certificate_pem());
    out.push_str("  # Admits agents to enrolment.\n");
    scalar(&mut out, "nonce", &nonce);
    out.push_str("  # Where an agent keeps its private key and its state, on each system.\n");
    scalar(&mut out, "writeback_linux", "/etc/swoop.writeback.yaml");
    scalar(&mut out, "writeback_windows", "/Program Files/Swoop/swoop.writeback.yaml");
    scalar(&mut out, "writeback_darwin", "/etc/swoop.writeback.yaml");
    out.push_str(
        "  # The most that an agent keeps on disk until the hub has it, in bytes.\n\
         \x20 # max_spool_bytes: 67108864\n\
         \x20 # A proxy for agents that cannot reach the hub without one.\n\
         \x20 # proxy: http://proxy.example:3128/\n\
         \x20 # Labels that new clients bear.\n\
         \x20 # labels:\n\
         \x20 #   - berlin\n\n\
         # Where the hub keeps what it knows: plain files.\n\
         Datastore:\n",
    );
    scalar(&mut out, "implementation", STORE);
    scalar(&mut out, "location", &wishes.location);
    out.push_str("  # Uploaded files, which may be large.\n");
    scalar(&mut out, "filestore_directory", &wishes.location);
    out.push_str(
        "\n# Where agents connect, over TCP and UDP. Other machines reach it only with another bind_address,\n\
         # such as 0.0.0.0 for all interfaces.\n\
         Frontend:\n",
    );
    scalar(&mut out, "bind_address", &wishes.bind_address.to_string());
    let _ = writeln!(out, "  bind_port: {}", super::FRONTEND_PORT);
    out.push_str("  # Exchanged by `swoop --config THIS_FILE config rotate_keys`, without touching the agents.\n");
    block(&mut out, "certificate", &hub.certificate_pem);
    block(&mut out, "private_key", &hub.key_pem);
    out.push_str(
        "\n# Where people connect. It is not encrypted: keep it on the loopback interface and use an SSH tunnel.\nGUI:\n",
    );
    scalar(&mut out, "bind_address", &LOOPBACK.to_string());
    let _ = writeln!(out, "  bind_port: {GUI_PORT}");
    out.push_str(
        "\n# The authority that signs the hub's and the agents' certificates. Whoever has this key is the hub.\nCA:\n",
    );
    block(&mut out, "certificate", &authority.certificate_pem());
    block(&mut out, "private_key", &authority.key_pem());
    Ok(out)
}

/// The part of a configuration that agents get. It has no secret.
pub(crate) fn client_part(config: &Config) -> Result<String, ConfigError> {
    let mut out = String::new();
    client(&mut out, config.client()?);
    Ok(out)
}

/// A configuration as it is in force, with its defaults and the certificates' dates, and with the secrets hidden.
pub(crate) fn shown(config: &Config) -> String {
    let mut out = String::new();
    if let Some(section) = &config.client {
        client(&mut out, section);
    }
    if let Some(section) = &config.datastore {
        out.push_str("Datastore:\n");
        scalar(&mut out, "implementation", STORE);
        scalar(&mut out, "location", &section.location.to_string_lossy());
        scalar(&mut out, "filestore_directory", &section.filestore_directory.to_string_lossy());
    }
    if let Some(section) = &config.frontend {
        out.push_str("Frontend:\n");
        listener(&mut out, section.address);
        dated(&mut out, "certificate", &section.certificate);
        scalar(&mut out, "private_key", HIDDEN);
    }
    for (name, address) in [("GUI", config.gui.as_ref().map(|gui| gui.address)), ("API", config.api)] {
        if let Some(address) = address {
            let _ = writeln!(out, "{name}:");
            listener(&mut out, address);
            if let (true, Some(url)) = (name == "GUI", config.page()) {
                scalar(&mut out, "public_url", &url.to_string());
            }
        }
    }
    if let Some(section) = &config.ca {
        out.push_str("CA:\n");
        dated(&mut out, "certificate", &section.certificate);
        scalar(&mut out, "private_key", HIDDEN);
    }
    out
}

/// The text of a configuration with a new certificate and key for the hub. All else stays as it was written.
pub(crate) fn rotated(file: &Path, text: &str) -> anyhow::Result<(String, Validity)> {
    let config = Config::parse(file, text)?;
    let Some(ca) = &config.ca else { return Err(config.without(&[super::CA]).into()) };
    if config.frontend.is_none() {
        return Err(config.without(&[super::FRONTEND]).into());
    }
    let authority = ca.authority()?;
    let issued = authority.sign_hub(HUB_DAYS)?;
    let new = exchange(file, text, &issued)?;
    // Nothing is written that does not read as it should.
    let checked = Config::parse(file, &new)?;
    let written = checked.frontend.as_ref().map(|frontend| frontend.certificate.trim_end());
    anyhow::ensure!(written == Some(issued.certificate_pem.trim_end()), in_place(file));
    let certificate = certs::certificate_from_pem("the hub's certificate", &issued.certificate_pem)?;
    Ok((new, Validity::of(&certificate)?))
}

/// Puts the new pair in the place of the old one, by lines.
fn exchange(file: &Path, text: &str, issued: &Issued) -> anyhow::Result<String> {
    let tree = yaml::parse(text).map_err(|_| anyhow::anyhow!(in_place(file)))?;
    let lines: Vec<&str> = text.split_inclusive('\n').collect();
    // From the last to the first, so that the places before stay what they were.
    let mut parts = vec![
        (place_of(&tree, "certificate"), "certificate", &issued.certificate_pem),
        (place_of(&tree, "private_key"), "private_key", &issued.key_pem),
    ];
    parts.sort_by_key(|(place, ..)| std::cmp::Reverse(place.map(|place| place.line)));
    let mut lines: Vec<String> = lines.into_iter().map(str::to_owned).collect();
    for (place, key, pem) in parts {
        let exchanged = place.and_then(|place| exchange_block(&mut lines, place, key, pem));
        anyhow::ensure!(exchanged.is_some(), in_place(file));
    }
    Ok(lines.concat())
}

fn exchange_block(lines: &mut Vec<String>, place: yaml::Place, key: &str, pem: &str) -> Option<()> {
    let first = usize::try_from(place.line).ok()?.checked_sub(1)?;
    let indent = usize::try_from(place.column).ok()?.checked_sub(1)?;
    let line = lines.get(first)?;
    // Only `key:` on a line of its own, as a block has it.
    if line.len() - line.trim_start_matches(' ').len() != indent || !line.trim_start().starts_with(&format!("{key}:")) {
        return None;
    }
    let belongs = |line: &String| line.trim().is_empty() || line.len() - line.trim_start_matches(' ').len() > indent;
    let mut end = first + 1 + lines[first + 1..].iter().take_while(|line| belongs(line)).count();
    while end > first + 1 && lines[end - 1].trim().is_empty() {
        end -= 1;
    }
    let pad = " ".repeat(indent);
    let mut block = vec![format!("{pad}{key}: |\n")];
    block.extend(pem.lines().map(|line| format!("{pad}  {line}\n")));
    lines.splice(first..end, block);
    Some(())
}

fn place_of(tree: &yaml::Node, key: &str) -> Option<yaml::Place> {
    let entry = |node: &yaml::Node, key: &str| match &node.value {
        yaml::Value::Map(entries) => entries.iter().position(|entry| entry.key == key),
        _ => None,
    };
    let yaml::Value::Map(sections) = &tree.value else { return None };
    let frontend = &sections[entry(tree, "Frontend")?].node;
    let yaml::Value::Map(keys) = &frontend.value else { return None };
    Some(keys[entry(frontend, key)?].place)
}

fn in_place(file: &Path) -> String {
    format!(
        "{}: Frontend.certificate and Frontend.private_key cannot be exchanged: expected each as `certificate: |` on a \
         line of its own, with the block indented below",
        file.display()
    )
}

fn client(out: &mut String, client: &Client) {
    out.push_str("Client:\n");
    list(out, "server_urls", client.server_urls.iter().map(ToString::to_string));
    block(out, "ca_certificate", &certificate_to_pem(&client.ca_certificate));
    scalar(out, "nonce", &client.nonce);
    let writeback = &client.writeback;
    for (key, path) in [
        ("writeback_linux", &writeback.linux),
        ("writeback_windows", &writeback.windows),
        ("writeback_darwin", &writeback.darwin),
    ] {
        if let Some(path) = path {
            scalar(out, key, &path.to_string_lossy());
        }
    }
    if let Some(bytes) = client.max_spool_bytes {
        let _ = writeln!(out, "  max_spool_bytes: {bytes}");
    }
    if let Some(proxy) = &client.proxy {
        scalar(out, "proxy", &proxy.in_full());
    }
    if !client.labels.is_empty() {
        list(out, "labels", client.labels.iter().cloned());
    }
}

fn listener(out: &mut String, address: std::net::SocketAddr) {
    scalar(out, "bind_address", &address.ip().to_string());
    let _ = writeln!(out, "  bind_port: {}", address.port());
}

fn dated(out: &mut String, key: &str, pem: &str) {
    if let Ok(validity) = certs::certificate_from_pem("", pem).and_then(|der| Validity::of(&der)) {
        let _ = writeln!(out, "  # {validity}");
    }
    block(out, key, pem);
}

fn list(out: &mut String, key: &str, items: impl Iterator<Item = String>) {
    let _ = writeln!(out, "  {key}:");
    for item in items {
        let _ = writeln!(out, "    - {}", quoted(&item));
    }
}

fn scalar(out: &mut String, key: &str, value: &str) {
    let _ = writeln!(out, "  {key}: {}", quoted(value));
}

fn block(out: &mut String, key: &str, text: &str) {
    let _ = writeln!(out, "  {key}: |");
    for line in text.trim_end().lines() {
        let _ = writeln!(out, "    {line}");
    }
}

/// A text as YAML: as it is where that can mean nothing else, or in double quotes.
fn quoted(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, ' ' | '/' | '.' | '_' | '-' | '+' | '=' | ':');
    let is_word = matches!(
        text.to_ascii_lowercase().as_str(),
        "true" | "false" | "yes" | "no" | "on" | "off" | "null" | "y" | "n"
    );
    let begins = text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '/')
        || text.parse::<IpAddr>().is_ok_and(|ip| ip.is_ipv4());
    if begins && !is_word && text.chars().all(plain) && !text.contains(": ") && !text.ends_with([' ', ':']) {
        text.to_owned()
    } else {
        // What JSON quotes, YAML reads.
        serde_json::Value::from(text).to_string()
    }
}

impl Default for Wishes {
    fn default() -> Self {
        Self {
            server_urls: vec![format!("https://localhost:{}/", super::FRONTEND_PORT)],
            bind_address: LOOPBACK,
            location: "/var/lib/swoop".into(),
        }
    }
}
