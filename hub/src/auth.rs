//! Who may use the hub: users and passwords, logins that last, tokens that let in once.
//!
//! ```text
//! users/<name>.json                    a user: argon2id hash of the password
//! users/sessions/<sha256>.json         a login, named by the hash of its token
//! users/once/<sha256>.json             a token that lets in once, named by its hash
//! ```
//!
//! Every file is mode 0600 and no file holds a token, so whoever reads a backup gets in nowhere. Removing a file ends
//! what it stands for within `sessions::RECHECK_MS`, also from another process.

mod once;
mod rate;
mod sessions;
mod users;

use std::{
    fmt, io,
    io::Write as _,
    net::{IpAddr, Ipv6Addr},
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use parking_lot::Mutex;
use sha2::{Digest as _, Sha256};
use tokio::sync::Semaphore;

pub use once::{mint_once, once_address};
pub use sessions::Login;
pub use users::{add_user, remove_user, set_password};

use rate::Buckets;
use sessions::Sessions;

/// Unix milliseconds; given from outside so that expiry is tested without waiting.
pub type Clock = Arc<dyn Fn() -> u64 + Send + Sync>;

/// How people are let in.
#[derive(Clone)]
pub struct AuthConfig {
    pub datastore: PathBuf,
    /// The page is reached by https: the cookie is marked `Secure`.
    pub https: bool,
    /// Names by which people reach the page, besides `localhost` and IP addresses; without port, in any case.
    pub hosts: Vec<String>,
    /// A login that nobody used for so long has ended.
    pub idle: Duration,
    /// A login ends after this time, used or not.
    pub absolute: Duration,
    pub clock: Clock,
}

impl AuthConfig {
    /// Plain http on `localhost` and IP addresses; logins of 12 hours unused, a week at the most.
    pub fn new(datastore: impl Into<PathBuf>) -> Self {
        Self {
            datastore: datastore.into(),
            https: false,
            hosts: Vec::new(),
            idle: Duration::from_secs(12 * 3600),
            absolute: Duration::from_secs(7 * 24 * 3600),
            clock: Arc::new(unix_ms),
        }
    }
}

impl fmt::Debug for AuthConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AuthConfig")
            .field("datastore", &self.datastore)
            .field("hosts", &self.hosts)
            .finish_non_exhaustive()
    }
}

/// The door. Clones share their state.
#[derive(Clone)]
pub struct Auth(Arc<Inner>);

struct Inner {
    config: AuthConfig,
    sessions: Sessions,
    rates: Mutex<Rates>,
    /// Hashing takes tens of megabytes and of milliseconds each.
    hashing: Semaphore,
}

struct Rates {
    by_user: Buckets<String>,
    by_address: Buckets<IpAddr>,
}

/// Passwords hashed at the same time, at the most.
const HASHING_AT_ONCE: usize = 2;

impl Auth {
    /// Reads the logins that are still valid. Makes `users/` where it is missing.
    pub fn open(config: AuthConfig) -> Result<Self, AuthError> {
        let now = (config.clock)();
        make_private_folder(&users::folder(&config.datastore))?;
        once::sweep(&config.datastore, now);
        let sessions = Sessions::open(&config, now)?;
        Ok(Self(Arc::new(Inner {
            sessions,
            rates: Mutex::new(Rates {
                // Ten tries, then one in ten seconds: nobody types faster, and a guesser gets 8,640 a day.
                by_user: Buckets::new(10.0, 10_000.0),
                by_address: Buckets::new(20.0, 3_000.0),
            }),
            hashing: Semaphore::new(HASHING_AT_ONCE),
            config,
        })))
    }

    /// Checks the password, and makes a login. Only failed tries count against the limits.
    pub async fn login(&self, user: &str, password: &str, from: IpAddr) -> Result<NewLogin, LoginError> {
        let address = network_of(from);
        // Names that nobody can have share one bucket: they must not fill the table.
        let name = if users::is_name(user) { user.to_owned() } else { String::new() };
        {
            let now = self.now();
            let mut rates = self.0.rates.lock();
            rates.by_address.take(&address, now).map_err(too_many)?;
            rates.by_user.take(&name, now).map_err(too_many)?;
        }
        let permit = tokio::time::timeout(Duration::from_secs(5), self.0.hashing.acquire()).await;
        let Ok(Ok(_permit)) = permit else { return Err(LoginError::TooManyAttempts { wait_s: 5 }) };

        let (datastore, checked, secret) = (self.0.config.datastore.clone(), name.clone(), password.to_owned());
        let stamp = blocking(move || users::verify(&datastore, &checked, &secret)).await?;
        let Some(stamp) = stamp else {
            tracing::warn!(user = %name, %from, "login refused: wrong user or password");
            return Err(LoginError::Wrong);
        };
        {
            let mut rates = self.0.rates.lock();
            rates.by_address.give_back(&address);
            rates.by_user.give_back(&name);
        }
        tracing::info!(user = %name, %from, "logged in");
        self.start(name, Some(stamp)).await
    }

    /// Uses up a token of [`mint_once`]. A second time, or after its time, it is [`LoginError::WrongToken`].
    pub async fn login_once(&self, token: &str, from: IpAddr) -> Result<NewLogin, LoginError> {
        let (now, address) = (self.now(), network_of(from));
        self.0.rates.lock().by_address.take(&address, now).map_err(too_many)?;
        let (datastore, token) = (self.0.config.datastore.clone(), token.to_owned());
        let user = blocking(move || {
            let Some(user) = once::redeem(&datastore, &token, now)? else { return Ok(None) };
            let stamp = users::stamp(&datastore, &user)?;
            Ok(Some((user, stamp)))
        })
        .await?;
        let Some((user, stamp)) = user else {
            tracing::warn!(%from, "login refused: unknown, used or expired one-time token");
            return Err(LoginError::WrongToken);
        };
        self.0.rates.lock().by_address.give_back(&address);
        tracing::info!(%user, %from, "logged in with a one-time token");
        self.start(user, stamp).await
    }

    async fn start(&self, user: String, stamp: Option<String>) -> Result<NewLogin, LoginError> {
        let auth = self.clone();
        blocking(move || {
            let token = random_token()?;
            let login = auth.0.sessions.start(&token, user, stamp, auth.now())?;
            Ok(NewLogin { login, token })
        })
        .await
    }

    /// The login that a cookie's token belongs to; None where it has ended.
    pub async fn authenticate(&self, token: &str) -> Option<Login> {
        let now = self.now();
        let (login, due) = self.0.sessions.find(token, now)?;
        if due && !self.recheck(&login, now).await {
            return None;
        }
        Some(login)
    }

    /// Whether a login that is in use for long, as by a WebSocket, still holds. Does not count as use.
    pub async fn holds(&self, login: &Login) -> bool {
        let now = self.now();
        self.0.sessions.holds(login, now) && self.recheck(login, now).await
    }

    async fn recheck(&self, login: &Login, now: u64) -> bool {
        let (auth, login) = (self.clone(), login.clone());
        tokio::task::spawn_blocking(move || auth.0.sessions.recheck(&login, now)).await.unwrap_or(false)
    }

    /// Ends the login, with everything that is open under it.
    pub async fn logout(&self, login: &Login) {
        let (auth, login) = (self.clone(), login.clone());
        // A task that was cancelled at shutdown is the only failure; then the file stays, and the login with it.
        let _ = tokio::task::spawn_blocking(move || auth.0.sessions.end(&login)).await;
    }

    /// Ends all logins of a user; how many.
    pub async fn revoke(&self, user: &str) -> usize {
        let (auth, user) = (self.clone(), user.to_owned());
        tokio::task::spawn_blocking(move || auth.0.sessions.end_all(&user)).await.unwrap_or(0)
    }

    /// The page is reached by https.
    pub fn https(&self) -> bool {
        self.0.config.https
    }

    /// How long the browser should keep the cookie.
    pub fn cookie_age(&self) -> Duration {
        self.0.config.absolute
    }

    /// Whether the page may be reached by this host name, without port. An IP address always: only a name can be bound
    /// anew to another machine behind the browser's back.
    pub fn knows_host(&self, host: &str) -> bool {
        let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
        host.eq_ignore_ascii_case("localhost")
            || bare.parse::<IpAddr>().is_ok()
            || self.0.config.hosts.iter().any(|known| known.eq_ignore_ascii_case(host))
    }

    fn now(&self) -> u64 {
        (self.0.config.clock)()
    }
}

impl fmt::Debug for Auth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Auth").field(&self.0.config).finish()
    }
}

/// A login just made, with the only copy of its token.
#[derive(Debug)]
pub struct NewLogin {
    pub login: Login,
    /// Goes into the cookie.
    pub token: String,
}

/// Why somebody is not let in.
#[derive(Debug, thiserror::Error)]
pub enum LoginError {
    #[error("wrong user or password")]
    Wrong,
    #[error("the one-time token is unknown, was used before, or has expired")]
    WrongToken,
    #[error("too many failed attempts to log in")]
    TooManyAttempts {
        /// Seconds until the next try has a chance.
        wait_s: u64,
    },
    #[error(transparent)]
    Failed(#[from] AuthError),
}

/// A user or login that cannot be made or read.
#[derive(Debug, thiserror::Error)]
pub enum AuthError {
    #[error(
        "{0:?} cannot be a user's name: it takes 1 to 64 of a-z, 0-9, '.', '_' and '-', the first a letter or a digit"
    )]
    Name(String),
    #[error("the password has {0} bytes: it takes {min} to {max}", min = users::PASSWORD.start(), max = users::PASSWORD.end())]
    Password(usize),
    #[error("there is a user {0:?} already")]
    Exists(String),
    #[error("there is no user {0:?}; `swoop user add {0}` makes one")]
    Unknown(String),
    #[error("{doing} {path}: {source}")]
    File { doing: &'static str, path: PathBuf, source: io::Error },
    #[error("the system gives no random bytes: {0}")]
    Random(getrandom::Error),
    #[error("hashing the password: {0}")]
    Hash(String),
    #[error("the hub is shutting down")]
    Shutdown,
}

fn too_many(wait_ms: u64) -> LoginError {
    LoginError::TooManyAttempts { wait_s: wait_ms.div_ceil(1000).max(1) }
}

/// Addresses of one IPv6 network are one person's.
fn network_of(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(address) => IpAddr::V4(address),
        IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & !u128::from(u64::MAX))),
    }
}

/// Files and hashes must not hold up the runtime.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, AuthError> + Send + 'static,
) -> Result<T, LoginError> {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => Ok(done?),
        Err(_) => Err(AuthError::Shutdown.into()),
    }
}

fn unix_ms() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as u64)
}

/// The length of a token as text.
const TOKEN_CHARS: usize = 43;

/// 256 random bits as text that needs no escaping in cookies and addresses.
fn random_token() -> Result<String, AuthError> {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes).map_err(AuthError::Random)?;
    Ok(URL_SAFE_NO_PAD.encode(bytes))
}

fn sha256(parts: &[&[u8]]) -> [u8; 32] {
    let mut hasher = Sha256::new();
    for part in parts {
        hasher.update(part);
    }
    hasher.finalize().into()
}

fn hex(bytes: &[u8]) -> String {
    use fmt::Write as _;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// Reads a small JSON file; None where there is none.
fn read_json<T: serde::de::DeserializeOwned>(path: &Path) -> Result<Option<T>, AuthError> {
    use io::Read as _;
    let fail = |source| AuthError::File { doing: "reading", path: path.to_owned(), source };
    let file = match std::fs::File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(fail(error)),
    };
    let mut text = String::new();
    file.take(64 << 10).read_to_string(&mut text).map_err(fail)?;
    serde_json::from_str(&text).map(Some).map_err(|error| fail(error.into()))
}

/// Writes a file that only its owner reads, as a whole or not at all. Without `replace` an existing one is an error of
/// kind `AlreadyExists`.
fn write_json(path: &Path, value: &impl serde::Serialize, replace: bool) -> Result<(), AuthError> {
    let write = || {
        let folder = path.parent().unwrap_or(Path::new("."));
        // Mode 0600 from the start.
        let mut file = tempfile::Builder::new().prefix(".new-").tempfile_in(folder)?;
        serde_json::to_writer_pretty(&mut file, value)?;
        file.write_all(b"\n")?;
        file.as_file().sync_all()?;
        if replace {
            file.persist(path)?;
        } else {
            file.persist_noclobber(path)?;
        }
        #[cfg(unix)]
        std::fs::File::open(folder)?.sync_all()?;
        Ok(())
    };
    write().map_err(|source| AuthError::File { doing: "writing", path: path.to_owned(), source })
}

fn make_private_folder(path: &Path) -> Result<(), AuthError> {
    let mut builder = std::fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(path).map_err(|source| AuthError::File { doing: "making", path: path.to_owned(), source })
}

/// A file that is gone is as good as one removed.
fn remove(path: &Path) {
    if let Err(error) = std::fs::remove_file(path)
        && error.kind() != io::ErrorKind::NotFound
    {
        tracing::warn!(path = %path.display(), %error, "cannot remove");
    }
}

#[cfg(test)]
mod tests;
