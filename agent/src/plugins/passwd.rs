//! The local accounts: `/etc/passwd`, for `users()` and for the names of owners.

use std::collections::HashMap;

/// The accounts of a host.
#[derive(Clone, Debug, Default)]
pub(super) struct Accounts {
    pub(super) all: Vec<Account>,
    by_uid: HashMap<u32, usize>,
}

#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Account {
    pub(super) name: Vec<u8>,
    pub(super) uid: u32,
    pub(super) gid: u32,
    pub(super) description: Vec<u8>,
    pub(super) home: Vec<u8>,
    pub(super) shell: Vec<u8>,
}

impl Accounts {
    /// Those of this host; none where there is no such file.
    pub(super) fn host() -> Self {
        std::fs::read("/etc/passwd").map(|text| Self::parse(&text)).unwrap_or_default()
    }

    /// Lines that are no account are left out, as the system does.
    pub(super) fn parse(text: &[u8]) -> Self {
        let mut accounts = Self::default();
        for line in text.split(|byte| *byte == b'\n') {
            let Some(account) = parse_line(line) else { continue };
            accounts.by_uid.entry(account.uid).or_insert(accounts.all.len());
            accounts.all.push(account);
        }
        accounts
    }

    /// The name of a user, if it has one.
    pub(super) fn name(&self, uid: u32) -> Option<&[u8]> {
        self.by_uid.get(&uid).map(|at| &self.all[*at].name[..])
    }
}

fn parse_line(line: &[u8]) -> Option<Account> {
    let fields: Vec<&[u8]> = line.split(|byte| *byte == b':').collect();
    let [name, _password, uid, gid, description, home, shell] = fields[..] else { return None };
    let number = |field: &[u8]| std::str::from_utf8(field).ok()?.parse().ok();
    if name.is_empty() || name[0] == b'#' {
        return None;
    }
    Some(Account {
        name: name.into(),
        uid: number(uid)?,
        gid: number(gid)?,
        description: description.into(),
        home: home.into(),
        shell: shell.into(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_accounts_are_accounts() {
        let accounts = Accounts::parse(
            b"root:x:0:0:root:/root:/bin/bash\n# a comment\nshort:x:1\n:x:5:5:::\nbad:x:many:0:::\n+::::::\ntoor:x:0:0:,,,:/r:\nj\xff:x:7:8:J\xff Doe:/home/j:/bin/sh",
        );
        let names: Vec<&[u8]> = accounts.all.iter().map(|account| &account.name[..]).collect();
        assert_eq!(names, [&b"root"[..], b"toor", b"j\xff"]);
        assert_eq!(accounts.name(0), Some(&b"root"[..]), "the first of two with one number");
        assert_eq!((accounts.name(7), accounts.name(1)), (Some(&b"j\xff"[..]), None));
    }
}
