//! Logins: in memory for speed, one file each so that they outlive a restart and can be taken away.

use std::{
    collections::HashMap,
    fmt,
    path::{Path, PathBuf},
};

use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use tokio_util::sync::CancellationToken;

use super::{
    AuthConfig, AuthError, TOKEN_CHARS, hex, make_private_folder, read_json, remove, sha256, users, write_json,
};

/// How long a login may go on after its file, its user or its password was changed by another process.
pub(super) const RECHECK_MS: u64 = 5_000;

/// How far the time of last use on disk may lag.
const SAVE_MS: u64 = 60_000;

/// Logins of one user; the one unused for longest makes room.
const MAX_PER_USER: usize = 32;

/// Logins of all users. Each took a password, so this bounds mistakes, not attacks.
const MAX_SESSIONS: usize = 10_000;

/// SHA-256 of the token.
type Key = [u8; 32];

/// Someone who is logged in.
#[derive(Clone)]
pub struct Login {
    pub user: String,
    /// What changing calls must carry in their header. It follows from the token, which scripts cannot read.
    pub csrf_token: String,
    /// Cancelled when the login ends.
    pub ended: CancellationToken,
    key: Key,
}

impl fmt::Debug for Login {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Login").field("user", &self.user).finish_non_exhaustive()
    }
}

pub(super) struct Sessions {
    datastore: PathBuf,
    idle_ms: u64,
    absolute_ms: u64,
    open: Mutex<HashMap<Key, Session>>,
    /// Held while files are written or removed, so that a late save cannot bring back a login that has ended.
    files: Mutex<()>,
}

struct Session {
    record: Record,
    ended: CancellationToken,
    saved_ms: u64,
    checked_ms: u64,
}

#[derive(Clone, Deserialize, Serialize)]
struct Record {
    user: String,
    /// The user's stamp at login; another one ends the login. None: there was no such user, see `mint_once`.
    stamp: Option<String>,
    created_ms: u64,
    seen_ms: u64,
}

impl Sessions {
    /// Reads the logins on disk, and removes those that are over.
    pub(super) fn open(config: &AuthConfig, now: u64) -> Result<Self, AuthError> {
        let sessions = Self {
            datastore: config.datastore.clone(),
            idle_ms: config.idle.as_millis().try_into().unwrap_or(u64::MAX),
            absolute_ms: config.absolute.as_millis().try_into().unwrap_or(u64::MAX),
            open: Mutex::new(HashMap::new()),
            files: Mutex::new(()),
        };
        let folder = sessions.folder();
        make_private_folder(&folder)?;
        let failed = |source| AuthError::File { doing: "reading", path: folder.clone(), source };
        for file in std::fs::read_dir(&folder).map_err(failed)? {
            let path = file.map_err(failed)?.path();
            let Some(key) = key_of(&path) else { continue };
            match read_json::<Record>(&path) {
                Ok(Some(record)) if sessions.in_time(&record, now) => {
                    let mut open = sessions.open.lock();
                    if open.len() < MAX_SESSIONS {
                        // The user and password are looked at when the login is first used.
                        open.insert(key, Session::new(record, 0));
                    }
                }
                Ok(_) => remove(&path),
                Err(error) => tracing::warn!(%error, "a login that cannot be read has ended"),
            }
        }
        Ok(sessions)
    }

    /// Makes a login; it is on disk when this returns.
    pub(super) fn start(&self, token: &str, user: String, stamp: Option<String>, now: u64) -> Result<Login, AuthError> {
        let key = sha256(&[token.as_bytes()]);
        let record = Record { user, stamp, created_ms: now, seen_ms: now };
        {
            let _files = self.files.lock();
            write_json(&self.path(&key), &record, false)?;
        }
        let session = Session::new(record, now);
        let login = login(token, key, &session);
        let surplus = {
            let mut open = self.open.lock();
            open.insert(key, session);
            surplus(&open, &login.user)
        };
        for key in surplus {
            self.end_key(&key);
        }
        Ok(login)
    }

    /// The login of a token, marked as used, and whether [`Self::recheck`] is due.
    pub(super) fn find(&self, token: &str, now: u64) -> Option<(Login, bool)> {
        if token.len() != TOKEN_CHARS {
            return None;
        }
        let key = sha256(&[token.as_bytes()]);
        let mut open = self.open.lock();
        let session = open.get_mut(&key)?;
        if !self.in_time(&session.record, now) {
            // The file goes at the next start: this call must not wait for the disk.
            session.ended.cancel();
            open.remove(&key);
            return None;
        }
        session.record.seen_ms = session.record.seen_ms.max(now);
        let due = now.abs_diff(session.checked_ms) >= RECHECK_MS || session.checked_ms == 0;
        Some((login(token, key, session), due))
    }

    /// Whether the login is in time, without marking it as used.
    pub(super) fn holds(&self, login: &Login, now: u64) -> bool {
        let open = self.open.lock();
        !login.ended.is_cancelled() && open.get(&login.key).is_some_and(|session| self.in_time(&session.record, now))
    }

    /// Looks at the files: false, and the login has ended, where the login's is gone or the user's is another.
    /// Blocks.
    pub(super) fn recheck(&self, login: &Login, now: u64) -> bool {
        let path = self.path(&login.key);
        let stamp = users::stamp(&self.datastore, &login.user);
        let files = self.files.lock();
        let there = path.exists();
        let (holds, save) = {
            let mut open = self.open.lock();
            let Some(session) = open.get_mut(&login.key) else { return false };
            let holds = match stamp {
                Ok(stamp) => there && stamp == session.record.stamp,
                Err(error) => {
                    // Better to turn someone away than to let in whom the file may no longer name.
                    tracing::warn!(user = login.user, %error, "cannot check a login");
                    return false;
                }
            };
            session.checked_ms = now;
            let save = holds && session.record.seen_ms >= session.saved_ms + SAVE_MS;
            if save {
                session.saved_ms = session.record.seen_ms;
            }
            (holds, save.then(|| session.record.clone()))
        };
        if let Some(record) = save
            && let Err(error) = write_json(&path, &record, true)
        {
            tracing::warn!(%error, "the time of last use of a login was not kept");
        }
        drop(files);
        if !holds {
            self.end(login);
        }
        holds
    }

    pub(super) fn end(&self, login: &Login) {
        self.end_key(&login.key);
    }

    pub(super) fn end_all(&self, user: &str) -> usize {
        let keys: Vec<Key> = {
            let open = self.open.lock();
            open.iter().filter(|(_, session)| session.record.user == user).map(|(key, _)| *key).collect()
        };
        keys.iter().for_each(|key| self.end_key(key));
        keys.len()
    }

    fn end_key(&self, key: &Key) {
        if let Some(session) = self.open.lock().remove(key) {
            session.ended.cancel();
        }
        let _files = self.files.lock();
        remove(&self.path(key));
    }

    fn in_time(&self, record: &Record, now: u64) -> bool {
        now < record.created_ms.saturating_add(self.absolute_ms) && now < record.seen_ms.saturating_add(self.idle_ms)
    }

    fn folder(&self) -> PathBuf {
        users::folder(&self.datastore).join("sessions")
    }

    fn path(&self, key: &Key) -> PathBuf {
        self.folder().join(format!("{}.json", hex(key)))
    }
}

impl Session {
    fn new(record: Record, checked_ms: u64) -> Self {
        Self { saved_ms: record.seen_ms, record, ended: CancellationToken::new(), checked_ms }
    }
}

fn login(token: &str, key: Key, session: &Session) -> Login {
    Login {
        user: session.record.user.clone(),
        csrf_token: hex(&sha256(&[b"swoop csrf\0", token.as_bytes()])),
        ended: session.ended.clone(),
        key,
    }
}

/// The logins unused for longest that are too many.
fn surplus(open: &HashMap<Key, Session>, user: &str) -> Vec<Key> {
    let mut own: Vec<(u64, Key)> = open
        .iter()
        .filter(|(_, session)| session.record.user == user)
        .map(|(key, session)| (session.record.seen_ms, *key))
        .collect();
    own.sort_unstable();
    own.truncate(own.len().saturating_sub(MAX_PER_USER));
    own.into_iter().map(|(_, key)| key).collect()
}

/// The key that a file's name holds.
fn key_of(path: &Path) -> Option<Key> {
    let name = path.file_name()?.to_str()?.strip_suffix(".json")?;
    let mut key = Key::default();
    if name.len() != key.len() * 2 || !name.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f')) {
        return None;
    }
    for (byte, digits) in key.iter_mut().zip(name.as_bytes().chunks(2)) {
        *byte = u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?;
    }
    Some(key)
}
