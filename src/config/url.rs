//! The two kinds of address in a configuration: where hubs are, and the proxy before them.

use std::{fmt, net::Ipv6Addr};

/// Where a hub answers: host and port, for QUIC and for TLS over TCP alike.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub(crate) struct ServerUrl {
    /// A name, an IPv4 address, or an IPv6 address without brackets.
    pub host: String,
    pub port: u16,
}

/// An HTTP proxy for the transports on TCP.
#[derive(Clone, Eq, PartialEq)]
pub(crate) struct ProxyUrl {
    pub host: String,
    pub port: u16,
    /// Name and password as written before the `@`.
    pub user: Option<String>,
}

impl ServerUrl {
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let expected = "expected a URL such as https://hub.example:8000/";
        let rest = match text.split_once("://") {
            Some(("https", rest)) => rest,
            Some(("http", _)) => {
                return Err(format!("{expected}, found {text:?}: agents always speak TLS, write https://"));
            }
            Some(_) | None => return Err(format!("{expected}, found {text:?}")),
        };
        let (host, port) = authority(rest, 443).map_err(|why| format!("{expected}, found {text:?}: {why}"))?;
        Ok(Self { host, port })
    }
}

impl ProxyUrl {
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        // The text may hold a password: it is not quoted.
        let expected = "expected a proxy's URL such as http://proxy.example:3128/";
        let Some(("http", rest)) = text.split_once("://") else { return Err(expected.into()) };
        let (user, rest) = match rest.rsplit_once('@') {
            Some((user, rest)) => (Some(user.to_owned()), rest),
            None => (None, rest),
        };
        let (host, port) = authority(rest, 80).map_err(|why| format!("{expected}: {why}"))?;
        Ok(Self { host, port, user })
    }
}

impl ProxyUrl {
    /// With name and password, as it is written in a file.
    pub(super) fn in_full(&self) -> String {
        match &self.user {
            Some(user) => self.to_string().replacen("://", &format!("://{user}@"), 1),
            None => self.to_string(),
        }
    }
}

/// Host and port of `host[:port][/]`.
fn authority(text: &str, default_port: u16) -> Result<(String, u16), &'static str> {
    let (text, path) = text.split_once('/').unwrap_or((text, ""));
    if !path.is_empty() {
        return Err("nothing may follow the port but `/`");
    }
    let (host, port) = if let Some(rest) = text.strip_prefix('[') {
        let (host, port) = rest.split_once(']').ok_or("the `]` is missing")?;
        host.parse::<Ipv6Addr>().map_err(|_| "in `[ ]` goes an IPv6 address")?;
        let port = if port.is_empty() { None } else { Some(port.strip_prefix(':').ok_or("after `]` goes `:port`")?) };
        (host, port)
    } else {
        let (host, port) = match text.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (text, None),
        };
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
        if host.is_empty() || host.len() > 253 || !host.chars().all(plain) {
            return Err("that is no host");
        }
        (host, port)
    };
    let port = match port {
        None => default_port,
        Some(port) => port.parse().ok().filter(|&port| port != 0).ok_or("the port is a number from 1 to 65535")?,
    };
    Ok((host.to_owned(), port))
}

fn write_authority(f: &mut fmt::Formatter<'_>, host: &str, port: u16) -> fmt::Result {
    if host.contains(':') { write!(f, "[{host}]:{port}/") } else { write!(f, "{host}:{port}/") }
}

impl fmt::Display for ServerUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("https://")?;
        write_authority(f, &self.host, self.port)
    }
}

/// Without name and password.
impl fmt::Display for ProxyUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("http://")?;
        write_authority(f, &self.host, self.port)
    }
}

impl fmt::Debug for ProxyUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn addresses_are_read() {
        for (text, expected) in [
            ("https://localhost:8000/", Ok("https://localhost:8000/")),
            ("https://hub.example", Ok("https://hub.example:443/")),
            ("https://10.0.0.1:1", Ok("https://10.0.0.1:1/")),
            ("https://[::1]:8000/", Ok("https://[::1]:8000/")),
            ("https://[::1]", Ok("https://[::1]:443/")),
            ("http://localhost:8000/", Err("write https://")),
            ("localhost:8000", Err("expected a URL")),
            ("https://", Err("no host")),
            ("https://a b/", Err("no host")),
            ("https://user@host/", Err("no host")),
            ("https://h:0/", Err("1 to 65535")),
            ("https://h:70000/", Err("1 to 65535")),
            ("https://h:80/swoop", Err("nothing may follow")),
            ("https://[::1", Err("`]` is missing")),
            ("https://[x]:1", Err("IPv6")),
            ("https://[::1]8000", Err("`:port`")),
        ] {
            match (ServerUrl::parse(text), expected) {
                (Ok(url), Ok(expected)) => assert_eq!(url.to_string(), expected),
                (Err(why), Err(part)) => assert!(why.contains(part), "{text}: {why}"),
                (got, expected) => panic!("{text}: {got:?}, expected {expected:?}"),
            }
        }
    }

    #[test]
    fn a_proxys_password_is_not_shown() {
        let proxy = ProxyUrl::parse("http://anna:s3cret@proxy.example:3128/").unwrap();
        assert_eq!(proxy.user.as_deref(), Some("anna:s3cret"));
        assert_eq!((proxy.host.as_str(), proxy.port), ("proxy.example", 3128));
        assert_eq!(format!("{proxy} {proxy:?}"), "http://proxy.example:3128/ http://proxy.example:3128/");
        for bad in ["socks5://anna:s3cret@p:1/", "http://anna:s3cret@/", "p:3128"] {
            let why = ProxyUrl::parse(bad).unwrap_err();
            assert!(why.contains("http://proxy.example:3128/") && !why.contains("s3cret"), "{why}");
        }
    }
}
