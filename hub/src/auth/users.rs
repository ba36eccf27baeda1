//! Users: one file each, with an argon2id hash.

use std::{
    io,
    ops::RangeInclusive,
    path::{Path, PathBuf},
};

use argon2::{
    Argon2,
    password_hash::{PasswordHasher as _, PasswordVerifier as _, phc::PasswordHash},
};
use serde::{Deserialize, Serialize};

use super::{AuthError, hex, make_private_folder, read_json, sha256, unix_ms, write_json};

/// Bytes that a password may have.
pub(super) const PASSWORD: RangeInclusive<usize> = 8..=1024;

#[derive(Deserialize, Serialize)]
struct User {
    name: String,
    /// A PHC string, `$argon2id$…`.
    password: String,
    created_ms: u64,
    changed_ms: u64,
}

/// Makes a user. Works beside a running hub, which sees it at the next login.
pub fn add_user(datastore: &Path, name: &str, password: &str) -> Result<(), AuthError> {
    check_name(name)?;
    let (now, password) = (unix_ms(), hash(password)?);
    make_private_folder(&folder(datastore))?;
    let user = User { name: name.into(), password, created_ms: now, changed_ms: now };
    match write_json(&path(datastore, name), &user, false) {
        Err(AuthError::File { source, .. }) if source.kind() == io::ErrorKind::AlreadyExists => {
            Err(AuthError::Exists(name.into()))
        }
        done => done,
    }
}

/// Gives a user another password, which ends that user's logins.
pub fn set_password(datastore: &Path, name: &str, password: &str) -> Result<(), AuthError> {
    check_name(name)?;
    let Some(user) = read_json::<User>(&path(datastore, name))? else { return Err(AuthError::Unknown(name.into())) };
    let user = User { password: hash(password)?, changed_ms: unix_ms(), ..user };
    write_json(&path(datastore, name), &user, true)
}

/// Removes a user, which ends that user's logins.
pub fn remove_user(datastore: &Path, name: &str) -> Result<(), AuthError> {
    check_name(name)?;
    let path = path(datastore, name);
    match std::fs::remove_file(&path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Err(AuthError::Unknown(name.into())),
        done => done.map_err(|source| AuthError::File { doing: "removing", path, source }),
    }
}

/// The user's stamp if the password is right. Takes as long where there is no such user, so that names cannot be tried.
pub(super) fn verify(datastore: &Path, name: &str, password: &str) -> Result<Option<String>, AuthError> {
    let user = if is_name(name) { read_json::<User>(&path(datastore, name))? } else { None };
    let known = user.as_ref().map_or(NOBODY, |user| &user.password);
    let password = if password.len() > *PASSWORD.end() { "" } else { password };
    let right = match PasswordHash::new(known) {
        Ok(known) => Argon2::default().verify_password(password.as_bytes(), &known).is_ok(),
        Err(error) => return Err(AuthError::Hash(format!("the hash of user {name:?} cannot be read: {error}"))),
    };
    Ok(user.filter(|_| right).map(|user| stamp_of(&user)))
}

/// Changes with the password; None where there is no such user.
pub(super) fn stamp(datastore: &Path, name: &str) -> Result<Option<String>, AuthError> {
    Ok(read_json::<User>(&path(datastore, name))?.map(|user| stamp_of(&user)))
}

pub(super) fn folder(datastore: &Path) -> PathBuf {
    datastore.join("users")
}

pub(super) fn check_name(name: &str) -> Result<(), AuthError> {
    if is_name(name) { Ok(()) } else { Err(AuthError::Name(name.chars().take(80).collect())) }
}

/// Such a name is also a safe name for a file.
pub(super) fn is_name(name: &str) -> bool {
    let letter = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    (1..=64).contains(&name.len())
        && name.bytes().all(|byte| letter(byte) || matches!(byte, b'.' | b'_' | b'-'))
        && name.bytes().next().is_some_and(letter)
}

fn path(datastore: &Path, name: &str) -> PathBuf {
    folder(datastore).join(format!("{name}.json"))
}

fn stamp_of(user: &User) -> String {
    hex(&sha256(&[user.password.as_bytes()])[..8])
}

fn hash(password: &str) -> Result<String, AuthError> {
    if !PASSWORD.contains(&password.len()) {
        return Err(AuthError::Password(password.len()));
    }
    Argon2::default()
        .hash_password(password.as_bytes())
        .map(|hash| hash.to_string())
        .map_err(|error| AuthError::Hash(error.to_string()))
}

/// A hash with the costs of a real one, which stands in for a user that is not there.
pub(super) const NOBODY: &str =
    "$argon2id$v=19$m=19456,t=2,p=1$c3dvb3Atbm9ib2R5LTAwMA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
