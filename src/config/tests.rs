//! What a configuration says when something is wrong with it, and that a good one survives every verb.

#![allow(clippy::unwrap_used)]

use super::*;

fn server() -> String {
    generate(&Wishes::default()).unwrap()
}

fn parse(text: &str) -> Result<Config, ConfigError> {
    Config::parse(Path::new("server.yaml"), text)
}

/// The 1-based line of the `nth` line that begins with `start`.
fn line(text: &str, start: &str, nth: usize) -> usize {
    text.lines().enumerate().filter(|(_, line)| line.starts_with(start)).nth(nth).unwrap().0 + 1
}

#[test]
fn a_new_configuration_has_what_it_should() {
    let text = server();
    let config = parse(&text).unwrap();
    let hub = config.hub().unwrap();
    assert_eq!(
        (hub.frontend_bind.to_string(), hub.gui_bind.to_string()),
        ("127.0.0.1:8000".into(), "127.0.0.1:8889".into())
    );
    assert_eq!(hub.datastore, Path::new("/var/lib/swoop"));
    let shown = HubCertReloader::new(hub.authority.certificate(), &hub.hub_certificate_pem, &hub.hub_key_pem).unwrap();
    assert_eq!(shown.warning(std::time::SystemTime::now()), None);
    let client = config.client().unwrap();
    assert_eq!(client.writeback.linux.as_deref(), Some(Path::new("/etc/swoop.writeback.yaml")));
    assert_eq!(client.nonce, hub.nonce);
    assert_eq!(STANDARD_LENGTH, client.nonce.len());
    let order: Vec<_> =
        ["\nClient:", "\nDatastore:", "\nFrontend:", "\nGUI:", "\nCA:"].map(|s| text.find(s).unwrap()).into();
    assert!(order.is_sorted());

    let again = parse(&server()).unwrap();
    assert_ne!(again.client().unwrap().nonce, client.nonce);
    assert_ne!(again.client().unwrap().ca_certificate, client.ca_certificate);
    assert!(!format!("{config:?}").contains("BEGIN PRIVATE KEY"));
}

/// 16 bytes in base 64.
const STANDARD_LENGTH: usize = 24;

#[test]
fn wishes_are_heard() {
    let wishes = Wishes {
        server_urls: vec!["https://a.example/".into(), "https://[::1]:8000/".into()],
        bind_address: "::".parse().unwrap(),
        location: "/srv/odd: # \"path\"".into(),
    };
    let config = parse(&generate(&wishes).unwrap()).unwrap();
    let (hub, client) = (config.hub().unwrap(), config.client().unwrap());
    let urls: Vec<_> = client.server_urls.iter().map(ToString::to_string).collect();
    assert_eq!(urls, ["https://a.example:443/", "https://[::1]:8000/"]);
    assert_eq!(hub.frontend_bind.to_string(), "[::]:8000");
    assert_eq!(hub.datastore, Path::new("/srv/odd: # \"path\""));
    let wishes = Wishes { server_urls: vec!["hub".into()], ..Wishes::default() };
    assert!(generate(&wishes).unwrap_err().to_string().starts_with("--server-url: expected a URL"));
}

#[test]
fn the_clients_part_has_no_secret() {
    let text = server().replace(
        "  # The most that",
        "  labels: [berlin]\n  proxy: http://proxy.example:3128/\n  max_spool_bytes: 2000000\n  # The most that",
    );
    let config = parse(&text).unwrap();
    let part = client_part(&config).unwrap();
    assert!(!part.contains("PRIVATE") && part.starts_with("Client:\n"), "{part}");
    // No line of a key block is in it, whatever surrounds it.
    let mut in_key = false;
    for line in text.lines().map(str::trim) {
        in_key = (in_key || line == "-----BEGIN PRIVATE KEY-----") && line != "-----END PRIVATE KEY-----";
        assert!(!in_key || line.starts_with("-----") || !part.contains(line), "{line}");
    }
    assert!(text.matches("BEGIN PRIVATE KEY").count() == 2);

    let agent = Config::parse(Path::new("client.yaml"), &part).unwrap();
    let (own, hubs) = (agent.client().unwrap(), config.client().unwrap());
    assert_eq!(format!("{own:?}"), format!("{hubs:?}"));
    assert_eq!((own.labels.as_slice(), own.max_spool_bytes), (&["berlin".to_string()][..], Some(2_000_000)));
    let error = agent.hub().unwrap_err().to_string();
    for name in ["Datastore", "Frontend", "CA"] {
        assert!(
            error.contains(&format!("client.yaml: {name}: the section is missing: expected `{name}:` with ")),
            "{error}"
        );
    }
    assert!(
        Config::parse(Path::new("x"), "")
            .unwrap()
            .client()
            .unwrap_err()
            .to_string()
            .contains("x: Client: the section is missing")
    );
}

#[test]
fn an_agent_gets_what_it_needs() {
    let text = server().replace(
        "  # The most that",
        "  proxy: http://a:b@proxy.example:1/\n  max_spool_bytes: 2000000\n  # The most that",
    );
    let config = parse(&text).unwrap();
    let agent = config.agent(None).unwrap();
    assert_eq!(agent.hubs, [HubAddress { host: "localhost".into(), port: 8000 }]);
    assert_eq!(agent.flows.max_spool_bytes, 2_000_000);
    assert_eq!(agent.flows.spool_dir.as_deref(), Some(agent.writeback.with_extension("spool").as_path()));
    assert_eq!(agent.proxy, Some(Proxy::parse("http://a:b@proxy.example:1").unwrap()));
    assert_eq!(agent.authority, config.client().unwrap().ca_certificate);
    let elsewhere = config.agent(Some(Path::new("/tmp/w.yaml"))).unwrap();
    assert_eq!(elsewhere.writeback, Path::new("/tmp/w.yaml"));
    let without: String =
        text.lines().filter(|line| !line.contains("writeback_")).map(|line| format!("{line}\n")).collect();
    let error = parse(&without).unwrap().agent(None).unwrap_err().to_string();
    assert!(error.contains("server.yaml: Client.writeback_") && error.contains("--writeback"), "{error}");
}

#[test]
fn what_is_shown_has_dates_and_no_secret() {
    let shown = shown(&parse(&server()).unwrap());
    assert!(!shown.contains("PRIVATE"), "{shown}");
    assert_eq!(shown.matches("private_key: \"(hidden)\"").count(), 2);
    assert_eq!(shown.matches("# valid from 20").count(), 2);
}

#[test]
fn rotating_changes_two_blocks_and_nothing_else() {
    let text = server()
        .replace("  bind_port: 8000", "  bind_port: 8443   # ours")
        .replace("\n# Where people connect", "\n\n  # the end of the Frontend\n\n# Where people connect");
    let old = parse(&text).unwrap();
    let (new, validity) = rotated(Path::new("server.yaml"), &text).unwrap();
    let config = parse(&new).unwrap();
    assert_eq!(config.hub().unwrap().frontend_bind.port(), 8443);
    let (before, after) = (old.frontend.unwrap(), config.frontend.as_ref().unwrap());
    let der = certs::certificate_from_pem("x", &after.certificate).unwrap();
    assert_eq!(certs::Validity::of(&der).unwrap(), validity);
    assert_ne!(before.certificate, after.certificate);
    assert_ne!(before.private_key.0, after.private_key.0);

    // All that differs lies in the two blocks, which are of like length.
    let pem = |text: &str, place: usize| line(text, "Frontend:", 0) < place && place < line(text, "GUI:", 0);
    assert_eq!(text.lines().count(), new.lines().count());
    let differing: Vec<_> = (1..).zip(text.lines().zip(new.lines())).filter(|(_, (a, b))| a != b).collect();
    assert!(!differing.is_empty());
    for (place, (a, _)) in differing {
        assert!(pem(&text, place) && a.starts_with("    ") && !a.contains("BEGIN"), "{place}: {a}");
    }

    // The old pair is not needed to be in a form of ours: the blocks may be last in the file, or quoted.
    let quoted = before.certificate.trim_end().replace('\n', "\\n");
    let start = text.find("  certificate: |").unwrap();
    let end = text.find("  private_key: |").unwrap();
    let odd = format!("{}  certificate: \"{quoted}\"\n{}", &text[..start], &text[end..]);
    parse(&rotated(Path::new("x"), &odd).unwrap().0).unwrap();

    let flow = format!(
        "{}Frontend: {{certificate: \"{quoted}\", private_key: \"{}\"}}\n{}",
        &text[..text.find("Frontend:").unwrap()],
        before.private_key.0.trim_end().replace('\n', "\\n"),
        &text[text.find("# Where people").unwrap()..]
    );
    let error = rotated(Path::new("x"), &flow).unwrap_err().to_string();
    assert!(error.contains("x: Frontend.certificate and Frontend.private_key cannot be exchanged"), "{error}");
    let part = client_part(&config).unwrap();
    assert!(rotated(Path::new("x"), &part).unwrap_err().to_string().contains("CA: the section is missing"));
}

/// Each mistake in an otherwise good file, with the line that reports it.
#[test]
fn mistakes_are_named() {
    let good = server();
    let foreign = server();
    let block = |text: &str, section: &str, key: &str| {
        let from = text.find(&format!("\n{section}:\n")).unwrap();
        let from = from + text[from..].find(&format!("\n  {key}: |\n")).unwrap() + 1;
        let skip = text[from..].find('\n').unwrap() + 1;
        let length = text[from + skip..]
            .lines()
            .take_while(|line| line.starts_with("    "))
            .map(|line| line.len() + 1)
            .sum::<usize>();
        text[from..from + skip + length].to_owned()
    };
    let hub_key = block(&good, "Frontend", "private_key");
    let hub_certificate = block(&good, "Frontend", "certificate");
    let foreign_certificate = block(&foreign, "CA", "certificate");
    let foreign_hub = block(&foreign, "Frontend", "certificate");
    let ca_block = block(&good, "CA", "certificate");
    let at = |start: &str, nth| line(&good, start, nth);
    let urls = "  server_urls:\n    - https://localhost:8000/\n";

    for (name, from, to, expected) in [
        ("no YAML", "Client:\n", "Client: [\n", "the file is no valid YAML: ".to_owned()),
        ("doubled key", "  nonce:", "  nonce: a\n  nonce:", "no valid YAML: duplicate".into()),
        (
            "unknown key",
            "server_urls:",
            "server_ulrs:",
            format!(":{}:3: Client.server_ulrs: unknown key: did you mean `server_urls`?", at("  server_urls", 0)),
        ),
        ("missing key", urls, "", format!(":{}:1: Client.server_urls: missing: expected a list of URLs", at("Client:", 0))),
        ("empty key", urls, "  server_urls:\n", format!(":{}:3: Client.server_urls: missing", at("  server_urls", 0))),
        ("empty list", urls, "  server_urls: []\n", "Client.server_urls: the list is empty: expected a URL".into()),
        (
            "no list",
            urls,
            "  server_urls: https://localhost:8000/\n",
            "Client.server_urls: expected a list of URLs, each on its line after `- `, found \"https://localhost:8000/\"".into(),
        ),
        (
            "bad URL",
            "    - https://localhost:8000/",
            "    - https://a/\n    - ftp://localhost",
            format!(":{}:7: Client.server_urls: expected a URL such as https://hub.example:8000/, found \"ftp://localhost\"", at("  server_urls", 0) + 2),
        ),
        ("plain http", "- https://", "- http://", "agents always speak TLS, write https://".into()),
        ("number for a URL", "- https://localhost:8000/", "- 12", "Client.server_urls: expected a text, found the number 12".into()),
        (
            "bad PEM",
            "  ca_certificate: |\n    -----BEGIN CERTIFICATE-----",
            "  ca_certificate: |\n    -----BEGIN CERT-----",
            format!(":{}:3: Client.ca_certificate: the value: expected a PEM block", at("  ca_certificate", 0)),
        ),
        ("nonce", "  nonce:", "  nonce: 12 # ", "Client.nonce: expected a text, found the number 12: put it in quotes".into()),
        ("spaced nonce", "  nonce:", "  nonce: a b # ", "Client.nonce: expected a text of 1 to 256 characters without spaces".into()),
        ("no path", "  writeback_linux:", "  writeback_linux: [] #", "Client.writeback_linux: expected a path, found a list".into()),
        (
            "spool",
            "  # max_spool_bytes: 67108864",
            "  max_spool_bytes: 10",
            "Client.max_spool_bytes: expected a number of bytes, at least 1048576, found the number 10".into(),
        ),
        ("proxy", "  # proxy: http:", "  proxy: socks5:", "Client.proxy: expected a proxy's URL such as http://".into()),
        ("label", "  # labels:\n  #   - berlin", "  labels:\n    - ok\n    - 'a b'", "Client.labels: expected a label".into()),
        (
            "store",
            "FileBaseDataStore",
            "MySQL",
            "Datastore.implementation: expected FileBaseDataStore, the only one there is, found \"MySQL\"".into(),
        ),
        ("location", "  location:", "  locate:", "Datastore.location: missing: expected the path of a directory".into()),
        (
            "address",
            "Frontend:\n  bind_address: 127.0.0.1",
            "Frontend:\n  bind_address: localhost",
            format!(":{}:17: Frontend.bind_address: expected an IP address to listen on", at("  bind_address", 0)),
        ),
        ("port", "bind_port: 8000", "bind_port: 80000", "Frontend.bind_port: expected a port number from 1 to 65535".into()),
        ("port as text", "bind_port: 8889", "bind_port: eight", "GUI.bind_port: expected a port number from 1 to 65535 (or 0 for any free one), found \"eight\"".into()),
        ("no key", &hub_key, "", format!(":{}:1: Frontend.private_key: missing: expected a private key", at("Frontend:", 0))),
        ("bad key", &hub_key, "  private_key: s3cret\n", "Frontend.private_key: expected a PEM block `-----BEGIN PRIVATE KEY-----`".into()),
        ("key as list", &hub_key, "  private_key: [s3cret]\n", "Frontend.private_key: expected a private key, as a block".into()),
        (
            "another's certificate for the hub",
            &hub_certificate,
            &foreign_hub,
            format!(":{}:1: Frontend: the hub's certificate: it is not signed by the CA of this configuration; `swoop config rotate_keys`", at("Frontend:", 0)),
        ),
        (
            "a CA's certificate for the hub",
            &hub_certificate,
            &ca_block,
            "Frontend: the hub's certificate: it is a CA's certificate, not a hub's".into(),
        ),
        ("another's certificate for the CA", &ca_block, &foreign_certificate, "CA: the CA: the private key does not belong to the certificate".into()),
        ("unknown section", "\nGUI:", "\nGIU:", "GIU: unknown section: did you mean `GUI`?".into()),
        ("strange section", "\nGUI:", "\nWeb:", "Web: unknown section: expected one of Client, Datastore, Frontend, GUI, API, CA".into()),
        ("key at the top", "\nClient:", "\nnonce: x\nClient:", ":5:1: nonce: unknown section: it belongs into `Client:`, indented below it".into()),
        ("key in another section", "\nGUI:\n", "\nGUI:\n  location: x\n", "GUI.location: unknown key: it belongs into `Datastore:`".into()),
        ("section as text", "\nGUI:\n  bind_address: 127.0.0.1\n  bind_port: 8889\n", "\nGUI: off\n", "GUI: expected keys, indented below `GUI:`, found ".into()),
    ] {
        assert!(good.contains(from), "{name}");
        let error = parse(&good.replacen(from, to, 1)).expect_err(name).to_string();
        assert!(error.contains(&expected), "{name}: {error}");
        assert!(error.lines().all(|line| line.starts_with("server.yaml:")), "{name}: {error}");
        assert!(!error.contains("s3cret"), "{name}: {error}");
    }
    for (text, expected) in [
        ("- a", "1:1: expected sections such as `Client:`, found a list"),
        ("hello", "expected sections such as `Client:`, found \"hello\""),
    ] {
        let error = parse(text).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    }
}

#[test]
fn all_mistakes_are_reported_at_once() {
    let bad =
        server().replace("nonce:", "noncee:").replace("bind_port: 8000", "bind_port: x").replace("location:", "loc:");
    let error = parse(&bad).unwrap_err().to_string();
    let lines: Vec<_> = error.lines().collect();
    assert_eq!(lines.len(), 5, "{error}");
    let places: Vec<u32> = lines.iter().map(|line| line.split(':').nth(1).unwrap().parse().unwrap()).collect();
    assert!(places.is_sorted(), "{error}");
    for key in [
        "Client.nonce: missing",
        "Client.noncee: unknown",
        "Datastore.location: missing",
        "Datastore.loc: unknown",
        "Frontend.bind_port",
    ] {
        assert!(lines.iter().any(|line| line.contains(key)), "{key}: {error}");
    }
}

#[test]
fn a_file_that_is_not_there_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let error = Config::load(Some(&dir.path().join("none.yaml"))).unwrap_err().to_string();
    assert!(error.contains("none.yaml: could not read") && error.contains("config generate"), "{error}");
    assert!(Config::load(None).unwrap_err().to_string().contains("--config FILE"));
    let large = dir.path().join("large.yaml");
    fs::write(&large, "#".repeat(MAX_FILE as usize + 1)).unwrap();
    assert!(Config::load(Some(&large)).unwrap_err().to_string().contains("at most 1048576 bytes"));
}

#[test]
fn an_open_page_is_warned_of() {
    let text = server().replace("GUI:\n  bind_address: 127.0.0.1", "GUI:\n  bind_address: 0.0.0.0");
    let warnings = parse(&text).unwrap().warnings();
    assert!(warnings[0].contains("GUI.bind_address 0.0.0.0 may be reached from other machines"), "{warnings:?}");
}
