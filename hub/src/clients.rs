//! The clients that the hub knows: one small record each, all in memory, and on disk as `client.json` and
//! `labels.json`.
//!
//! Records are replaced, never changed in place: a reader takes the `Arc` and holds no lock while it looks.

use std::{collections::HashMap, fs, sync::Arc};

use parking_lot::{Mutex, RwLock};
use protocol::{
    ClientId, FlowId,
    api::{ClientPage, ClientSummary, LabelChange},
    collection::Condition,
};
use serde::{Deserialize, Serialize};

use crate::{
    HubError, OpenError,
    clock::now_ms,
    sessions::Sessions,
    store::{Paths, read_record, write_record},
};

/// The longest text that is kept of what a client says of itself.
const MAX_TEXT: usize = 256;
/// The most addresses kept of one client.
const MAX_ADDRESSES: usize = 64;
const MAX_LABELS: usize = 64;

/// What the hub knows of a client, as it stands in `client.json`.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[serde(default)]
pub(crate) struct Client {
    pub(crate) hostname: String,
    pub(crate) fqdn: String,
    pub(crate) os: String,
    pub(crate) release: String,
    pub(crate) ips: Vec<String>,
    pub(crate) macs: Vec<String>,
    pub(crate) agent_version: String,
    pub(crate) first_seen_ms: u64,
    pub(crate) last_seen_ms: u64,
    pub(crate) address: String,
    pub(crate) transport: Option<String>,
    pub(crate) interrogated_ms: Option<u64>,
    pub(crate) interrogation_flow: Option<FlowId>,
    /// Kept in a file of their own.
    #[serde(skip)]
    pub(crate) labels: Vec<String>,
}

impl Client {
    /// Whether a hunt is for this client.
    pub(crate) fn meets(&self, id: ClientId, condition: &Condition) -> bool {
        let has = |label: &String| self.labels.iter().any(|own| own.eq_ignore_ascii_case(label));
        (condition.clients.is_empty() || condition.clients.contains(&id))
            && (condition.labels.is_empty() || condition.labels.iter().any(has))
            && !condition.exclude_labels.iter().any(has)
            && condition.os.as_ref().is_none_or(|os| self.interrogated_ms.is_some() && self.os.eq_ignore_ascii_case(os))
    }
}

#[derive(Debug, Default)]
pub(crate) struct Clients {
    records: RwLock<HashMap<ClientId, Arc<Client>>>,
    /// One writer of `labels.json` at a time. Taken before `records`.
    labels: Mutex<()>,
}

impl Clients {
    /// Reads all records. One that is damaged is reported and left out: its agent brings most of it again.
    pub(crate) fn load(paths: &Paths) -> Result<Self, OpenError> {
        let directory = paths.clients();
        let io = |source| OpenError::Io { path: directory.clone(), what: "read the clients", source };
        let mut records = HashMap::new();
        for entry in fs::read_dir(&directory).map_err(io)? {
            let name = entry.map_err(io)?.file_name();
            let Some(id) = name.to_str().and_then(|name| name.parse::<ClientId>().ok()) else { continue };
            let client = match read_record::<Client>(&paths.client_record(id)) {
                Ok(Some(client)) => client,
                // It was made moments before the hub was killed: its agent tells again who it is.
                Ok(None) => Client { first_seen_ms: now_ms(), ..Client::default() },
                Err(error) => {
                    tracing::error!(client = %id, %error, "client.json cannot be read: the client starts anew");
                    continue;
                }
            };
            let labels = read_record::<Vec<String>>(&paths.labels(id)).unwrap_or_else(|error| {
                tracing::error!(client = %id, %error, "labels.json cannot be read: the client has no labels now");
                None
            });
            records.insert(id, Arc::new(Client { labels: labels.unwrap_or_default(), ..client }));
        }
        Ok(Self { records: RwLock::new(records), labels: Mutex::default() })
    }

    pub(crate) fn get(&self, id: ClientId) -> Option<Arc<Client>> {
        self.records.read().get(&id).cloned()
    }

    pub(crate) fn known(&self, id: ClientId) -> Result<Arc<Client>, HubError> {
        self.get(id).ok_or_else(|| HubError::not_found(format_args!("client {id}")))
    }

    pub(crate) fn count(&self) -> usize {
        self.records.read().len()
    }

    /// Changes a record, which is made if the client is new; true if it was.
    pub(crate) fn update(&self, id: ClientId, change: impl FnOnce(&mut Client)) -> bool {
        let mut records = self.records.write();
        let mut new = false;
        let record = records.entry(id).or_insert_with(|| {
            new = true;
            Arc::new(Client { first_seen_ms: now_ms(), ..Client::default() })
        });
        change(Arc::make_mut(record));
        new
    }

    pub(crate) fn all(&self) -> Vec<(ClientId, Arc<Client>)> {
        self.records.read().iter().map(|(id, client)| (*id, Arc::clone(client))).collect()
    }

    /// The clients that meet a condition; without looking at all of them where the condition names some.
    pub(crate) fn select(&self, condition: &Condition) -> Vec<ClientId> {
        if !condition.clients.is_empty() {
            let mut named = condition.clients.clone();
            named.sort_unstable();
            named.dedup();
            named.retain(|id| self.get(*id).is_some_and(|client| client.meets(*id, condition)));
            return named;
        }
        self.all().into_iter().filter(|(id, client)| client.meets(*id, condition)).map(|(id, _)| id).collect()
    }

    pub(crate) fn summary(&self, id: ClientId, client: &Client, sessions: &Sessions) -> ClientSummary {
        let online = sessions.is_live(id);
        ClientSummary {
            client_id: id,
            hostname: client.hostname.clone(),
            os: client.os.clone(),
            release: client.release.clone(),
            labels: client.labels.clone(),
            online,
            transport: client.transport.clone(),
            last_seen_ms: if online { now_ms() } else { client.last_seen_ms },
            first_seen_ms: client.first_seen_ms,
            address: client.address.clone(),
            agent_version: client.agent_version.clone(),
        }
    }

    pub(crate) fn search(&self, q: &str, offset: u64, limit: u32, sessions: &Sessions) -> Result<ClientPage, HubError> {
        let words = Word::parse(q)?;
        let mut found = self.all();
        found.retain(|(id, client)| words.iter().all(|word| word.matches(*id, client)));
        found.sort_unstable_by(|(a_id, a), (b_id, b)| (&a.hostname, a_id).cmp(&(&b.hostname, b_id)));
        let page = found.iter().skip(usize::try_from(offset).unwrap_or(usize::MAX)).take(limit as usize);
        Ok(ClientPage {
            total: found.len() as u64,
            clients: page.map(|(id, client)| self.summary(*id, client, sessions)).collect(),
        })
    }

    /// Changes a client's labels, on disk when it returns.
    pub(crate) fn change_labels(&self, paths: &Paths, id: ClientId, change: &LabelChange) -> Result<(), HubError> {
        let _writer = self.labels.lock();
        let mut labels = self.known(id)?.labels.clone();
        labels.retain(|label| !change.remove.iter().any(|gone| gone.trim().eq_ignore_ascii_case(label)));
        for label in &change.add {
            let label = label.trim();
            if label.is_empty() || label.len() > 64 || label.chars().any(|c| c.is_control() || c.is_whitespace()) {
                return Err(HubError::invalid(
                    format!("{:?} cannot be a label", clip(label, 80)),
                    "a label is one word of at most 64 bytes",
                ));
            }
            if !labels.iter().any(|have| have.eq_ignore_ascii_case(label)) {
                labels.push(label.to_owned());
            }
        }
        if labels.len() > MAX_LABELS {
            return Err(HubError::invalid(
                format!("{} labels on one client", labels.len()),
                format!("at most {MAX_LABELS}: remove some"),
            ));
        }
        labels.sort_unstable();
        write_record(&paths.labels(id), &labels).map_err(HubError::storage(format!("write the labels of {id}")))?;
        self.update(id, |client| client.labels = labels);
        Ok(())
    }
}

/// One word of a search.
#[derive(Debug, PartialEq)]
struct Word {
    field: Field,
    text: String,
}

#[derive(Debug, PartialEq)]
enum Field {
    Any,
    Host,
    Os,
    Ip,
    Mac,
    Label,
}

impl Word {
    fn parse(q: &str) -> Result<Vec<Self>, HubError> {
        if q.len() > 1000 {
            return Err(HubError::invalid("the search is longer than 1000 bytes", "use fewer words"));
        }
        Ok(q.split_whitespace()
            .map(|word| {
                let word = word.to_ascii_lowercase();
                let (field, text) = match word.split_once(':') {
                    Some(("host", text)) => (Field::Host, text),
                    Some(("os", text)) => (Field::Os, text),
                    Some(("ip", text)) => (Field::Ip, text),
                    Some(("mac", text)) => (Field::Mac, text),
                    Some(("label", text)) => (Field::Label, text),
                    // IPv6 addresses and MACs have colons too.
                    _ => (Field::Any, word.as_str()),
                };
                let text = text.trim_matches('*');
                let text = if field == Field::Mac { text.replace('-', ":") } else { text.to_owned() };
                Self { field, text }
            })
            .collect())
    }

    fn matches(&self, id: ClientId, client: &Client) -> bool {
        let text = self.text.as_str();
        let in_any = |texts: &[String]| texts.iter().any(|have| contains(have, text));
        match self.field {
            Field::Host => contains(&client.hostname, text) || contains(&client.fqdn, text),
            Field::Os => contains(&client.os, text),
            Field::Ip => {
                let starts = |have: &str| have.get(..text.len()).is_some_and(|head| head.eq_ignore_ascii_case(text));
                client.ips.iter().any(|ip| starts(ip)) || starts(&client.address)
            }
            Field::Mac => in_any(&client.macs),
            Field::Label => in_any(&client.labels),
            Field::Any => {
                contains(&client.hostname, text)
                    || contains(&client.fqdn, text)
                    || contains(&id.to_string(), text)
                    || contains(&client.os, text)
                    || contains(&client.release, text)
                    || contains(&client.address, text)
                    || in_any(&client.ips)
                    || in_any(&client.macs)
                    || in_any(&client.labels)
            }
        }
    }
}

/// Whether `text` holds `word`, which is in lower case, without regard to the case of ASCII letters.
fn contains(text: &str, word: &str) -> bool {
    word.is_empty() || text.as_bytes().windows(word.len()).any(|part| part.eq_ignore_ascii_case(word.as_bytes()))
}

/// A text from an agent, short enough to keep and without control characters.
pub(crate) fn clip(text: &str, most: usize) -> String {
    let mut clean: String = text.chars().filter(|c| !c.is_control()).take(most).collect();
    clean.shrink_to_fit();
    clean
}

/// As [`clip`], at the length of a name.
pub(crate) fn clip_name(text: &str) -> String {
    clip(text, MAX_TEXT)
}

/// What the rows of an interrogation say, by source.
pub(crate) fn learn(client: &mut Client, rows: &[serde_json::Value]) {
    for row in rows {
        let text = |names: &[&str]| {
            names.iter().find_map(|name| row.get(name)?.as_str()).filter(|text| !text.is_empty()).map(clip_name)
        };
        if let Some(hostname) = text(&["Hostname", "HostName"]) {
            client.hostname = hostname;
        }
        if let Some(fqdn) = text(&["Fqdn", "FQDN"]) {
            client.fqdn = fqdn;
        }
        if let Some(os) = text(&["OS"]) {
            client.os = os.to_ascii_lowercase();
        }
        let release = [text(&["Platform"]), text(&["PlatformVersion"])].into_iter().flatten().collect::<Vec<_>>();
        if !release.is_empty() {
            client.release = release.join(" ");
        } else if let Some(release) = text(&["Release"]) {
            client.release = release;
        }
        if let Some(version) = text(&["AgentVersion"]) {
            client.agent_version = version;
        }
        if let Some(mac) = text(&["HardwareAddrString", "MAC"]) {
            let mac = mac.to_ascii_lowercase();
            if !client.macs.contains(&mac) && client.macs.len() < MAX_ADDRESSES {
                client.macs.push(mac);
            }
        }
        for addresses in ["Addrs", "IPs"].iter().filter_map(|name| row.get(name)?.as_array()) {
            for address in addresses {
                // `10.0.0.7/24`, or an object that has it as `IP`.
                let Some(address) = address.as_str().or_else(|| address.get("IP")?.as_str()) else { continue };
                let ip = clip_name(address.split('/').next().unwrap_or(address));
                if !ip.is_empty() && !client.ips.contains(&ip) && client.ips.len() < MAX_ADDRESSES {
                    client.ips.push(ip);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn clients() -> Clients {
        let clients = Clients::default();
        clients.update(ClientId(0xa1), |client| {
            client.hostname = "WEB-014".into();
            client.fqdn = "web-014.example.org".into();
            client.os = "linux".into();
            client.ips = vec!["10.0.3.7".into(), "fe80::1".into()];
            client.macs = vec!["52:54:00:12:34:56".into()];
            client.labels = vec!["Production".into()];
            client.interrogated_ms = Some(1);
        });
        clients.update(ClientId(0xb2), |client| {
            client.hostname = "db-1".into();
            client.os = "windows".into();
            client.address = "192.168.7.9".into();
        });
        clients
    }

    #[test]
    fn words_find_clients() {
        let (clients, sessions) = (clients(), Sessions::default());
        for (q, hosts) in [
            ("", &["WEB-014", "db-1"][..]),
            ("host:web", &["WEB-014"]),
            ("host:EXAMPLE", &["WEB-014"]),
            ("os:windows", &["db-1"]),
            ("os:linux host:db", &[]),
            ("ip:10.0.", &["WEB-014"]),
            ("ip:0.3", &[]),
            ("ip:192.168", &["db-1"]),
            ("mac:52-54", &["WEB-014"]),
            ("label:prod", &["WEB-014"]),
            ("label:web", &[]),
            ("C.00000000000000b2", &["db-1"]),
            ("b2", &["db-1"]),
            ("fe80::1", &["WEB-014"]),
            ("web* linux", &["WEB-014"]),
            ("nothing", &[]),
        ] {
            let page = clients.search(q, 0, 10, &sessions).unwrap();
            let found: Vec<&str> = page.clients.iter().map(|client| client.hostname.as_str()).collect();
            assert_eq!(found, hosts, "{q}");
            assert_eq!(page.total, hosts.len() as u64);
        }
        let page = clients.search("", 1, 10, &sessions).unwrap();
        assert_eq!((page.total, page.clients.len()), (2, 1));
        assert!(clients.search(&"x".repeat(2000), 0, 1, &sessions).is_err());
    }

    #[test]
    fn conditions_choose_clients() {
        let clients = clients();
        let one = |condition: Condition| clients.select(&condition).len();
        assert_eq!(one(Condition::default()), 2);
        assert_eq!(one(Condition { labels: vec!["production".into()], ..Default::default() }), 1);
        assert_eq!(one(Condition { exclude_labels: vec!["production".into()], ..Default::default() }), 1);
        assert_eq!(one(Condition { os: Some("linux".into()), ..Default::default() }), 1);
        let windows = Condition { os: Some("windows".into()), ..Default::default() };
        assert_eq!(one(windows), 0, "what it said at the door is not yet what interrogation found");
        let twice = vec![ClientId(0xb2), ClientId(0xb2), ClientId(9)];
        assert_eq!(one(Condition { clients: twice, ..Default::default() }), 1);
    }

    #[test]
    fn interrogation_rows_update_the_record() {
        let mut client = Client::default();
        let rows = serde_json::json!([
            {"Hostname": "h\u{7}1", "Fqdn": "h1.lan", "OS": "Linux", "Platform": "debian", "PlatformVersion": "12"},
            {"HardwareAddrString": "AA:BB:CC:00:11:22", "Addrs": ["10.1.1.1/24", {"IP": "fe80::2"}, 7, null]},
            {"Hostname": 5, "Addrs": "x"},
            "no object", 1, null,
        ]);
        learn(&mut client, rows.as_array().unwrap());
        assert_eq!(
            (client.hostname.as_str(), client.os.as_str(), client.release.as_str()),
            ("h1", "linux", "debian 12")
        );
        assert_eq!(client.macs, ["aa:bb:cc:00:11:22"]);
        assert_eq!(client.ips, ["10.1.1.1", "fe80::2"]);
    }

    #[test]
    fn labels_are_kept_on_disk() {
        let directory = tempfile::tempdir().unwrap();
        let paths = Paths::new(directory.path().into());
        let clients = clients();
        let id = ClientId(0xa1);
        let change = LabelChange { add: vec!["blue".into(), " PRODUCTION ".into()], remove: vec!["nothing".into()] };
        clients.change_labels(&paths, id, &change).unwrap();
        assert_eq!(clients.get(id).unwrap().labels, ["Production", "blue"]);
        assert_eq!(read_record::<Vec<String>>(&paths.labels(id)).unwrap().unwrap(), ["Production", "blue"]);
        for bad in ["", "a b", "a\n"] {
            let change = LabelChange { add: vec![bad.into()], remove: vec![] };
            // White space around a label is not part of it.
            assert_eq!(clients.change_labels(&paths, id, &change).is_err(), bad != "a\n", "{bad:?}");
        }
        assert!(clients.change_labels(&paths, ClientId(5), &LabelChange::default()).is_err());
    }
}
