//! Logins against a datastore of their own and a clock that the test moves.

#![allow(clippy::unwrap_used)]

use std::{
    net::Ipv4Addr,
    sync::atomic::{AtomicU64, Ordering::Relaxed},
};

use argon2::password_hash::phc::PasswordHash;

use super::*;

const HOME: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
const START_MS: u64 = 1_800_000_000_000;

struct Door {
    folder: tempfile::TempDir,
    clock: Arc<AtomicU64>,
    auth: Auth,
}

impl Door {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        add_user(folder.path(), "ada", "correct horse").unwrap();
        let clock = Arc::new(AtomicU64::new(START_MS));
        let auth = open(folder.path(), &clock);
        Self { folder, clock, auth }
    }

    fn later(&self, time: Duration) {
        self.clock.fetch_add(time.as_millis() as u64, Relaxed);
    }

    /// As after a restart of the hub.
    fn reopened(&self) -> Auth {
        open(self.folder.path(), &self.clock)
    }

    async fn login(&self) -> NewLogin {
        self.auth.login("ada", "correct horse", HOME).await.unwrap()
    }
}

fn open(folder: &Path, clock: &Arc<AtomicU64>) -> Auth {
    let clock = clock.clone();
    Auth::open(AuthConfig { clock: Arc::new(move || clock.load(Relaxed)), ..AuthConfig::new(folder) }).unwrap()
}

#[test]
fn names_and_passwords_are_checked() {
    let folder = tempfile::tempdir().unwrap();
    let long = "a".repeat(65);
    for bad in ["", "Ada", "a/b", "..", ".ada", "-ada", "a b", "ä", &long] {
        assert!(matches!(add_user(folder.path(), bad, "correct horse"), Err(AuthError::Name(_))), "{bad}");
    }
    for bad in ["", "1234567", &"a".repeat(1025)] {
        assert!(matches!(add_user(folder.path(), "ada", bad), Err(AuthError::Password(_))), "{bad}");
    }
    add_user(folder.path(), "a.d-a_1", "correct horse").unwrap();
    let again = add_user(folder.path(), "a.d-a_1", "another horse").unwrap_err();
    assert_eq!(again.to_string(), "there is a user \"a.d-a_1\" already");
    assert!(matches!(set_password(folder.path(), "bob", "correct horse"), Err(AuthError::Unknown(_))));
    assert!(matches!(remove_user(folder.path(), "bob"), Err(AuthError::Unknown(_))));
}

#[test]
fn nobody_costs_what_a_user_costs() {
    let folder = tempfile::tempdir().unwrap();
    add_user(folder.path(), "ada", "correct horse").unwrap();
    let text = std::fs::read_to_string(folder.path().join("users/ada.json")).unwrap();
    let user: serde_json::Value = serde_json::from_str(&text).unwrap();
    let (ada, nobody) =
        (PasswordHash::new(user["password"].as_str().unwrap()).unwrap(), PasswordHash::new(users::NOBODY).unwrap());
    assert_eq!((ada.algorithm, ada.version, ada.params), (nobody.algorithm, nobody.version, nobody.params));
    assert_eq!(users::verify(folder.path(), "bob", "correct horse").unwrap(), None);
    assert_eq!(users::verify(folder.path(), "../ada", "correct horse").unwrap(), None);
}

#[cfg(unix)]
#[tokio::test]
async fn files_are_private_and_hold_no_token() {
    use std::os::unix::fs::PermissionsExt as _;
    let door = Door::new();
    let new = door.login().await;
    let once = mint_once(door.folder.path(), "ada", Duration::from_secs(60)).unwrap();
    let mut files = 0;
    let mut folders = vec![door.folder.path().join("users")];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let entry = entry.unwrap();
            let mode = entry.metadata().unwrap().permissions().mode() & 0o777;
            if entry.file_type().unwrap().is_dir() {
                assert_eq!(mode, 0o700, "{:?}", entry.path());
                folders.push(entry.path());
            } else {
                assert_eq!(mode, 0o600, "{:?}", entry.path());
                let text = std::fs::read_to_string(entry.path()).unwrap() + entry.path().to_str().unwrap();
                for secret in [&new.token, &once, "correct horse"] {
                    assert!(!text.contains(secret), "{:?}", entry.path());
                }
                files += 1;
            }
        }
    }
    assert_eq!(files, 3);
}

#[tokio::test]
async fn a_login_lasts_until_it_ends() {
    let door = Door::new();
    assert!(matches!(door.auth.login("ada", "wrong horse", HOME).await, Err(LoginError::Wrong)));
    assert!(matches!(door.auth.login("bob", "correct horse", HOME).await, Err(LoginError::Wrong)));
    let new = door.login().await;
    let login = door.auth.authenticate(&new.token).await.unwrap();
    assert_eq!((&login.user, &login.csrf_token), (&new.login.user, &new.login.csrf_token));
    assert_ne!(login.csrf_token, new.token);
    for bad in ["", "x", &new.token[1..], &format!("{}A", &new.token[1..]), &"A".repeat(1 << 16)] {
        assert!(door.auth.authenticate(bad).await.is_none(), "{bad}");
    }
    assert!(door.reopened().authenticate(&new.token).await.is_some(), "it outlives a restart");

    let other = door.login().await;
    assert_ne!(other.token, new.token);
    door.auth.logout(&login).await;
    assert!(login.ended.is_cancelled() && !door.auth.holds(&login).await);
    assert!(door.auth.authenticate(&new.token).await.is_none());
    assert!(door.reopened().authenticate(&new.token).await.is_none());
    assert!(door.auth.authenticate(&other.token).await.is_some(), "each login is its own");
}

#[tokio::test]
async fn logins_expire() {
    let door = Door::new();
    let hour = Duration::from_secs(3600);
    let idle = door.login().await;
    door.later(11 * hour);
    assert!(door.auth.authenticate(&idle.token).await.is_some(), "use begins the time anew");
    door.later(11 * hour);
    assert!(door.reopened().authenticate(&idle.token).await.is_some(), "which is kept on disk");
    assert!(door.auth.holds(&idle.login).await, "looking does not count as use");
    door.later(hour);
    assert!(door.auth.authenticate(&idle.token).await.is_none());
    assert!(idle.login.ended.is_cancelled());

    let busy = door.login().await;
    for _ in 0..16 {
        door.later(10 * hour);
        assert!(door.auth.authenticate(&busy.token).await.is_some());
    }
    door.later(8 * hour);
    assert!(door.auth.authenticate(&busy.token).await.is_none(), "a week is the most");
    drop(door.reopened());
    assert_eq!(std::fs::read_dir(door.folder.path().join("users/sessions")).unwrap().count(), 0);
}

#[tokio::test]
async fn what_another_process_changes_is_seen() {
    let door = Door::new();
    let recheck = Duration::from_millis(sessions::RECHECK_MS);

    let new = door.login().await;
    set_password(door.folder.path(), "ada", "another horse").unwrap();
    door.later(recheck);
    assert!(door.auth.authenticate(&new.token).await.is_none(), "another password");
    assert!(new.login.ended.is_cancelled());

    let new = door.auth.login("ada", "another horse", HOME).await.unwrap();
    for file in std::fs::read_dir(door.folder.path().join("users/sessions")).unwrap() {
        std::fs::remove_file(file.unwrap().path()).unwrap();
    }
    door.later(recheck);
    assert!(!door.auth.holds(&new.login).await, "its file removed");

    let new = door.auth.login("ada", "another horse", HOME).await.unwrap();
    remove_user(door.folder.path(), "ada").unwrap();
    door.later(recheck);
    assert!(door.auth.authenticate(&new.token).await.is_none(), "its user removed");
}

#[tokio::test]
async fn all_logins_of_a_user_are_revoked_and_few_are_kept() {
    let door = Door::new();
    let first = door.login().await;
    for _ in 0..32 {
        door.later(Duration::from_secs(1));
        let token = mint_once(door.folder.path(), "ada", Duration::MAX).unwrap();
        door.auth.login_once(&token, HOME).await.unwrap();
    }
    assert!(first.login.ended.is_cancelled(), "the oldest made room");
    assert_eq!(door.auth.revoke("ada").await, 32);
    assert_eq!(std::fs::read_dir(door.folder.path().join("users/sessions")).unwrap().count(), 0);
}

#[tokio::test]
async fn guessing_is_slowed_down() {
    let door = Door::new();
    for _ in 0..10 {
        assert!(matches!(door.auth.login("ada", "wrong horse", HOME).await, Err(LoginError::Wrong)));
    }
    let Err(LoginError::TooManyAttempts { wait_s }) = door.auth.login("ada", "correct horse", HOME).await else {
        panic!("the eleventh try was let through");
    };
    assert_eq!(wait_s, 10);
    door.later(Duration::from_secs(wait_s));
    door.login().await;
    // It was given back: the next try has a chance as well.
    door.login().await;
    // Names that nobody can have do not each get tries of their own, and the address runs out too.
    let mut refused = 0;
    for i in 0..30 {
        let tried = door.auth.login(&format!("B{i}"), "wrong horse", HOME).await;
        refused += u32::from(matches!(tried, Err(LoginError::TooManyAttempts { .. })));
    }
    assert!(refused >= 20, "{refused}");
}

#[tokio::test]
async fn a_one_time_token_lets_in_once() {
    let door = Door::new();
    let minute = Duration::from_secs(60);
    // The tokens are made by the wall clock, which is behind this one.
    let ahead = START_MS - unix_ms().min(START_MS);
    let valid = Duration::from_millis(ahead) + minute;

    let token = mint_once(door.folder.path(), "demo", valid).unwrap();
    let (a, b) = tokio::join!(door.auth.login_once(&token, HOME), door.auth.login_once(&token, HOME));
    let (won, lost) = if a.is_ok() { (a, b) } else { (b, a) };
    let won = won.unwrap();
    assert_eq!(won.login.user, "demo");
    assert!(matches!(lost, Err(LoginError::WrongToken)));
    assert!(matches!(door.auth.login_once(&token, HOME).await, Err(LoginError::WrongToken)));
    door.later(Duration::from_secs(10));
    assert!(door.auth.authenticate(&won.token).await.is_some());
    assert!(!door.folder.path().join("users/demo.json").exists(), "no user came of it");
    add_user(door.folder.path(), "demo", "correct horse").unwrap();
    door.later(Duration::from_secs(10));
    assert!(door.auth.authenticate(&won.token).await.is_none(), "a user of this name is another person");

    let late = mint_once(door.folder.path(), "ada", valid).unwrap();
    door.later(minute * 2);
    assert!(matches!(door.auth.login_once(&late, HOME).await, Err(LoginError::WrongToken)));
    for bad in ["", "../../ada", &"A".repeat(43)] {
        assert!(matches!(door.auth.login_once(bad, HOME).await, Err(LoginError::WrongToken)), "{bad}");
    }
    assert!(matches!(mint_once(door.folder.path(), "../x", minute), Err(AuthError::Name(_))));
    assert_eq!(std::fs::read_dir(door.folder.path().join("users/once")).unwrap().count(), 0);
}

#[test]
fn only_names_can_be_rebound() {
    let folder = tempfile::tempdir().unwrap();
    let hosts = vec!["Hub.Example".to_owned()];
    let auth = Auth::open(AuthConfig { hosts, ..AuthConfig::new(folder.path()) }).unwrap();
    for (host, known) in [
        ("localhost", true),
        ("LOCALHOST", true),
        ("127.0.0.1", true),
        ("[::1]", true),
        ("192.0.2.7", true),
        ("hub.example", true),
        ("evil.example", false),
        ("localhost.evil.example", false),
        ("127.0.0.1.evil.example", false),
        ("", false),
    ] {
        assert_eq!(auth.knows_host(host), known, "{host}");
    }
}
