//! Tokens that let in once, such as the one in the address that `swoop demo` prints.

use std::{
    io,
    path::{Path, PathBuf},
    time::Duration,
};

use serde::{Deserialize, Serialize};

use super::{
    AuthError, TOKEN_CHARS, hex, make_private_folder, random_token, read_json, remove, sha256, unix_ms, users,
    write_json,
};

#[derive(Deserialize, Serialize)]
struct Once {
    user: String,
    created_ms: u64,
    expires_ms: u64,
}

/// A token that lets `user` in once within `valid_for`. Works beside a running hub on the same datastore.
///
/// The user need not exist: whoever can write to the datastore may act as anyone, and the name stands in the records.
/// [`once_address`] puts it into an address.
pub fn mint_once(datastore: &Path, user: &str, valid_for: Duration) -> Result<String, AuthError> {
    users::check_name(user)?;
    let (now, token) = (unix_ms(), random_token()?);
    make_private_folder(&folder(datastore))?;
    sweep(datastore, now);
    let expires_ms = now.saturating_add(valid_for.as_millis().try_into().unwrap_or(u64::MAX));
    write_json(&path(datastore, &token), &Once { user: user.into(), created_ms: now, expires_ms }, false)?;
    Ok(token)
}

/// The address that lets a browser in, of a page at `base`, such as `http://127.0.0.1:8889`. What follows `#` stays in
/// the browser: the token reaches no log on the way.
pub fn once_address(base: &str, token: &str) -> String {
    format!("{}/#/login?once={token}", base.trim_end_matches('/'))
}

/// Whom the token lets in; None where it is unknown, used or expired. It is used up by this call.
pub(super) fn redeem(datastore: &Path, token: &str, now: u64) -> Result<Option<String>, AuthError> {
    if token.len() != TOKEN_CHARS {
        return Ok(None);
    }
    let path = path(datastore, token);
    // Of two that come at the same time the file system lets one rename.
    let used = path.with_extension("used");
    match std::fs::rename(&path, &used) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        done => done.map_err(|source| AuthError::File { doing: "using up", path, source })?,
    }
    let once = read_json::<Once>(&used);
    remove(&used);
    Ok(once?.filter(|once| now < once.expires_ms && users::is_name(&once.user)).map(|once| once.user))
}

/// Removes the tokens whose time is over.
pub(super) fn sweep(datastore: &Path, now: u64) {
    let Ok(files) = std::fs::read_dir(folder(datastore)) else { return };
    for file in files.flatten() {
        let path = file.path();
        if path.extension().is_some_and(|extension| extension == "json")
            && let Ok(Some(once)) = read_json::<Once>(&path)
            && once.expires_ms <= now
        {
            remove(&path);
        }
    }
}

fn folder(datastore: &Path) -> PathBuf {
    users::folder(datastore).join("once")
}

fn path(datastore: &Path, token: &str) -> PathBuf {
    folder(datastore).join(format!("{}.json", hex(&sha256(&[token.as_bytes()]))))
}
