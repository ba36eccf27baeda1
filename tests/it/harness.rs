//! Real processes: a deployment in a temporary directory, its hub, its agents, and its verbs.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Display,
    fs,
    io::{BufRead, BufReader, Read},
    net::{SocketAddr, TcpListener, UdpSocket},
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    sync::{Arc, Mutex},
    thread::JoinHandle,
    time::Duration,
};

use agent::transport::HubAddress;
use certs::CertificateDer;
use loadtest::{ApiClient, Target};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use protocol::{ClientId, FlowId, HuntId};
use serde::Deserialize;
use serde_json::Value;
use tempfile::TempDir;
use tokio::time::Instant;

/// What takes longer is broken: ten times what a busy machine with two cores needs.
pub(crate) const LIMIT: Duration = Duration::from_secs(60);

/// Asks again and again until the answer is there; what stood in the way last is in the panic.
pub(crate) async fn eventually<T, E: Display>(what: &str, mut probe: impl AsyncFnMut() -> Result<T, E>) -> T {
    let deadline = Instant::now() + LIMIT;
    let mut tick = tokio::time::interval(Duration::from_millis(20));
    let mut obstacle = String::from("nothing was found out");
    loop {
        tick.tick().await;
        match tokio::time::timeout_at(deadline, probe()).await {
            Ok(Ok(found)) => return found,
            Ok(Err(error)) => obstacle = error.to_string(),
            Err(_) => {}
        }
        assert!(Instant::now() < deadline, "{what}: not within {LIMIT:?}: {obstacle}");
    }
}

/// The error of a probe that looked at a condition.
pub(crate) fn holds(condition: bool, seen: impl FnOnce() -> String) -> Result<(), String> {
    if condition { Ok(()) } else { Err(seen()) }
}

/// A port that is free for UDP and TCP. It lies below the range from which systems take ports for outgoing connections:
/// a hub that was killed must find it free again.
pub(crate) fn free_port() -> u16 {
    for _ in 0..1000 {
        let mut random = [0; 2];
        getrandom::fill(&mut random).unwrap();
        let port = 12_000 + u16::from_le_bytes(random) % 20_000;
        if TcpListener::bind(("127.0.0.1", port)).is_ok() && UdpSocket::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
    panic!("no port is free")
}

/// A configuration and a datastore in a temporary directory, which is removed at the end.
pub(crate) struct Deployment {
    dir: TempDir,
    pub(crate) hub_port: u16,
    gui_port: u16,
}

/// What tests need of a server configuration.
#[derive(Deserialize)]
pub(crate) struct ServerFile {
    #[serde(rename = "Client")]
    pub(crate) client: ClientSection,
    #[serde(rename = "CA")]
    pub(crate) ca: KeyPair,
    #[serde(rename = "Frontend")]
    pub(crate) frontend: KeyPair,
}

#[derive(Deserialize)]
pub(crate) struct ClientSection {
    pub(crate) nonce: String,
    pub(crate) ca_certificate: String,
}

#[derive(Deserialize)]
pub(crate) struct KeyPair {
    pub(crate) certificate: String,
    pub(crate) private_key: String,
}

impl Deployment {
    /// By `config generate`, with the ports changed in the file as a person would, and `config client`.
    pub(crate) async fn new() -> Self {
        let this = Self { dir: tempfile::tempdir().unwrap(), hub_port: free_port(), gui_port: free_port() };
        let config = this.config();
        let url = format!("https://127.0.0.1:{}/", this.hub_port);
        let mut generate = command();
        generate.args(["config", "generate", "--server-url", &url, "--location"]).arg(this.datastore());
        run("config generate", generate.arg("--output").arg(&config)).await.success();
        this.edit_config(|text| {
            text.replace("bind_port: 8000", &format!("bind_port: {}", this.hub_port))
                .replace("bind_port: 8889", &format!("bind_port: {}", this.gui_port))
                .replace("writeback_linux: /etc/", &format!("writeback_linux: {}/", this.dir.path().display()))
        });
        this.write_client_config().await;
        this
    }

    pub(crate) fn edit_config(&self, edit: impl FnOnce(String) -> String) {
        let text = fs::read_to_string(self.config()).unwrap();
        fs::write(self.config(), edit(text)).unwrap();
    }

    /// `config client` into its file.
    pub(crate) async fn write_client_config(&self) {
        let text = run("config client", &mut self.verb(&["config", "client"])).await.success();
        fs::write(self.client_config(), text).unwrap();
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub(crate) fn config(&self) -> PathBuf {
        self.path("server.yaml")
    }

    pub(crate) fn client_config(&self) -> PathBuf {
        self.path("client.yaml")
    }

    pub(crate) fn datastore(&self) -> PathBuf {
        self.path("datastore")
    }

    pub(crate) fn gui(&self) -> SocketAddr {
        ([127, 0, 0, 1], self.gui_port).into()
    }

    pub(crate) fn hub_address(&self) -> SocketAddr {
        ([127, 0, 0, 1], self.hub_port).into()
    }

    pub(crate) fn server_file(&self) -> ServerFile {
        serde_saphyr::from_str(&fs::read_to_string(self.config()).unwrap()).unwrap()
    }

    /// A verb with the server's configuration.
    pub(crate) fn verb(&self, arguments: &[&str]) -> Command {
        verb(&self.config(), arguments)
    }

    /// Starts the hub and waits until people and agents can come in.
    pub(crate) async fn start_hub(&self) -> Process {
        let mut hub = Process::start("hub", &mut self.verb(&["frontend"]));
        for (who, address) in [("people", self.gui()), ("agents", self.hub_address())] {
            eventually(&format!("the hub lets {who} in"), async || {
                hub.must_run();
                tokio::net::TcpStream::connect(address).await.map(drop)
            })
            .await;
        }
        hub
    }

    /// Starts an agent with a writeback file of its own.
    pub(crate) fn start_agent(&self, name: &str) -> Process {
        self.start_agent_by(name, &self.client_config())
    }

    pub(crate) fn start_agent_by(&self, name: &str, config: &Path) -> Process {
        Process::start(name, &mut self.agent_command(name, config))
    }

    pub(crate) fn agent_command(&self, name: &str, config: &Path) -> Command {
        let mut command = verb(config, &["client", "--writeback"]);
        command.arg(self.writeback(name));
        command
    }

    pub(crate) fn writeback(&self, name: &str) -> PathBuf {
        self.path(&format!("{name}.writeback.yaml"))
    }

    /// A client configuration that leads elsewhere, such as to a forwarder before the hub.
    pub(crate) fn client_config_for(&self, name: &str, port: u16) -> PathBuf {
        let text = fs::read_to_string(self.client_config()).unwrap();
        let (from, to) = (format!("127.0.0.1:{}", self.hub_port), format!("127.0.0.1:{port}"));
        assert!(text.contains(&from), "{text}");
        let path = self.path(&format!("{name}.client.yaml"));
        fs::write(&path, text.replace(&from, &to)).unwrap();
        path
    }

    /// Logged in by a token that was made beside the running hub.
    pub(crate) async fn api(&self) -> ApiClient {
        let token = hub::auth::mint_once(&self.datastore(), "tester", Duration::from_secs(60)).unwrap();
        tokio::time::timeout(LIMIT, ApiClient::login_once(self.gui(), &token)).await.unwrap().unwrap()
    }

    /// Where a swarm goes, by way of `port`.
    pub(crate) fn target(&self, port: u16) -> Target {
        let client = self.server_file().client;
        Target {
            hub: HubAddress { host: "127.0.0.1".into(), port },
            authority: certificate(&client.ca_certificate),
            nonce: client.nonce,
        }
    }

    /// The id that an agent made for itself, once it has.
    pub(crate) async fn client_id(&self, name: &str) -> ClientId {
        let path = self.writeback(name);
        eventually("the agent writes who it is", async || {
            let text = fs::read_to_string(&path).map_err(|error| error.to_string())?;
            let id = text.lines().find_map(|line| line.strip_prefix("client_id: ")).ok_or("no client_id")?;
            id.parse::<ClientId>().map_err(|error| error.to_string())
        })
        .await
    }

    /// The lines of a flow's result set, counted as `wc -l` counts.
    pub(crate) fn flow_lines(&self, client: ClientId, flow: FlowId) -> Vec<String> {
        let results = self.datastore().join(format!("clients/{client}/flows/{flow}/results"));
        jsonl_below(&results)
    }

    /// The lines of a hunt's result sets, over all files.
    pub(crate) fn hunt_lines(&self, hunt: HuntId) -> Vec<String> {
        jsonl_below(&self.datastore().join(format!("hunts/{hunt}/results")))
    }
}

pub(crate) fn certificate(pem: &str) -> CertificateDer<'static> {
    certs::certificate_from_pem("the certificate", pem).unwrap()
}

/// All lines of all `.jsonl` files under a folder; none if it is not there yet.
fn jsonl_below(folder: &Path) -> Vec<String> {
    let mut lines = Vec::new();
    let Ok(entries) = fs::read_dir(folder) else { return lines };
    for path in entries.map(|entry| entry.unwrap().path()) {
        if path.is_dir() {
            lines.extend(jsonl_below(&path));
        } else if path.extension().is_some_and(|extension| extension == "jsonl") {
            let text = fs::read_to_string(&path).unwrap();
            lines.extend(text.split_inclusive('\n').map(str::to_owned));
        }
    }
    lines
}

/// By client, the numbers under `key`: each row must be whole, and none may be there twice.
pub(crate) fn rows_by_client(lines: &[String], key: &str) -> BTreeMap<String, BTreeSet<u64>> {
    let mut clients: BTreeMap<String, BTreeSet<u64>> = BTreeMap::new();
    for line in lines {
        assert!(line.ends_with('\n'), "a torn line: {line:?}");
        let row: Value = serde_json::from_str(line).unwrap_or_else(|error| panic!("{line:?}: {error}"));
        let client = row["ClientId"].as_str().unwrap_or_else(|| panic!("no ClientId in {line}"));
        // A swarm's stub and a real agent answer the same hunt with rows of their own kinds.
        let number = row.get(key).or(row.get("Row")).and_then(Value::as_u64);
        let number = number.unwrap_or_else(|| panic!("no {key} in {line}"));
        assert!(clients.entry(client.into()).or_default().insert(number), "twice: {line}");
    }
    clients
}

/// Each of so many clients has the rows 0 to `rows`, each once.
pub(crate) fn assert_each_once(lines: &[String], key: &str, clients: usize, rows: u64) {
    let found = rows_by_client(lines, key);
    assert_eq!(found.len(), clients, "clients with rows");
    for (client, numbers) in &found {
        let missing: Vec<u64> = (0..rows).filter(|number| !numbers.contains(number)).take(5).collect();
        assert!(missing.is_empty(), "{client} misses rows: {missing:?} …");
        assert_eq!(numbers.len() as u64, rows, "{client} has rows beyond its last");
    }
    assert_eq!(lines.len() as u64, clients as u64 * rows);
}

/// A verb with a configuration.
pub(crate) fn verb(config: &Path, arguments: &[&str]) -> Command {
    let mut command = command();
    command.arg("--config").arg(config).args(arguments);
    command
}

/// The binary under test, without what the environment of the tests would tell it.
pub(crate) fn command() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_swoop"));
    for name in ["SWOOP_LOG", "SWOOP_CONFIG", "HTTPS_PROXY", "https_proxy", "NO_PROXY", "no_proxy"] {
        command.env_remove(name);
    }
    if let Ok(filter) = std::env::var("SWOOP_TEST_LOG") {
        command.env("SWOOP_LOG", filter);
    }
    command
}

/// A child process, killed when dropped. What it wrote is kept, and printed if the test fails.
pub(crate) struct Process {
    name: String,
    child: Child,
    out: Written,
    log: Written,
}

/// What a process writes to one of its pipes, by lines.
struct Written {
    lines: Arc<Mutex<Vec<String>>>,
    reader: Option<JoinHandle<()>>,
}

impl Written {
    fn by(pipe: impl Read + Send + 'static) -> Self {
        let lines = Arc::new(Mutex::new(Vec::new()));
        let kept = Arc::clone(&lines);
        let reader = std::thread::spawn(move || {
            let mut pipe = BufReader::new(pipe);
            let mut line = Vec::new();
            while matches!(pipe.read_until(b'\n', &mut line), Ok(1..)) {
                kept.lock().unwrap().push(String::from_utf8_lossy(&line).trim_end_matches('\n').to_owned());
                line.clear();
            }
        });
        Self { lines, reader: Some(reader) }
    }

    fn lines(&self) -> Vec<String> {
        self.lines.lock().unwrap().clone()
    }

    /// Of a process that has ended: until the last line is in.
    fn finish(&mut self) {
        if let Some(reader) = self.reader.take() {
            reader.join().unwrap();
        }
    }
}

impl Process {
    pub(crate) fn start(name: &str, command: &mut Command) -> Self {
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap_or_else(|error| panic!("{name}: {command:?}: {error}"));
        let out = Written::by(child.stdout.take().unwrap());
        let log = Written::by(child.stderr.take().unwrap());
        Self { name: name.into(), child, out, log }
    }

    /// Lines of standard error, where logs go.
    pub(crate) fn log(&self) -> Vec<String> {
        self.log.lines()
    }

    pub(crate) fn out(&self) -> Vec<String> {
        self.out.lines()
    }

    /// Warnings and errors of the log.
    pub(crate) fn complaints(&self) -> Vec<String> {
        let loud = |line: &String| line.contains(" WARN ") || line.contains(" ERROR ");
        self.log().into_iter().filter(loud).collect()
    }

    /// The first line of the log that contains `text`, once there is one.
    pub(crate) async fn says(&mut self, text: &str) -> String {
        let what = format!("{} says {text:?}", self.name);
        eventually(&what, async || {
            self.must_run();
            self.log().into_iter().find(|line| line.contains(text)).ok_or("it did not")
        })
        .await
    }

    /// Panics if the process has ended.
    pub(crate) fn must_run(&mut self) {
        if let Some(status) = self.child.try_wait().unwrap() {
            self.log.finish();
            panic!("{} ended early: {status}", self.name);
        }
    }

    /// SIGTERM, and the exit status.
    pub(crate) async fn terminate(&mut self) -> ExitStatus {
        kill(Pid::from_raw(self.child.id() as i32), Signal::SIGTERM).unwrap();
        self.ended().await
    }

    /// SIGKILL.
    pub(crate) fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    pub(crate) async fn ended(&mut self) -> ExitStatus {
        let what = format!("{} ends", self.name);
        let child = &mut self.child;
        let status = eventually(&what, async || child.try_wait().unwrap().ok_or("it runs")).await;
        self.out.finish();
        self.log.finish();
        status
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            for (pipe, lines) in [("out", self.out()), ("log", self.log())] {
                for line in lines {
                    eprintln!("[{} {pipe}] {line}", self.name);
                }
            }
        }
    }
}

/// A verb that ran to its end.
pub(crate) struct Ran {
    process: Process,
    pub(crate) status: ExitStatus,
}

impl Ran {
    /// What it wrote to standard output, if it exited with 0.
    pub(crate) fn success(&self) -> String {
        assert!(self.status.success(), "{}: {}", self.process.name, self.status);
        self.out()
    }

    pub(crate) fn out(&self) -> String {
        self.process.out().iter().map(|line| format!("{line}\n")).collect()
    }

    /// What it wrote to standard error, if it did not exit with 0.
    pub(crate) fn failure(&self) -> String {
        assert!(!self.status.success(), "{} succeeded", self.process.name);
        self.process.log().join("\n")
    }
}

/// Runs a verb to its end.
pub(crate) async fn run(name: &str, command: &mut Command) -> Ran {
    let mut process = Process::start(name, command);
    let status = process.ended().await;
    Ran { process, status }
}
