//! What the two transports over TCP share: names, proxies (HTTP CONNECT, RFC 9110 section 9.3.6) and TLS.

use std::{io, net::SocketAddr};

use base64::{Engine, prelude::BASE64_STANDARD};
use certs::AgentTls;
use rustls::pki_types::ServerName;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};
use tokio_rustls::{TlsConnector, client::TlsStream};

use super::{Cause, DialError, HubAddress};

/// The path under which the hub takes sessions over TCP.
pub(super) const SESSION_PATH: &str = "/swoop/v1/session";
pub(super) const POLL_PATH: &str = "/swoop/v1/poll";

/// An HTTP proxy that opens tunnels, as `HTTPS_PROXY` or the configuration names it.
#[derive(Clone, Eq, PartialEq)]
pub struct Proxy {
    host: String,
    port: u16,
    /// `user:password`
    login: Option<String>,
}

impl Proxy {
    /// From `http://[user:password@]host:port`.
    pub fn parse(url: &str) -> Result<Self, String> {
        let bad = || format!("{:?} is no proxy: expected http://[USER:PASSWORD@]HOST:PORT", hide_login(url));
        let rest = url.strip_prefix("http://").unwrap_or(url);
        if rest.contains("://") {
            return Err(bad());
        }
        let rest = rest.trim_end_matches('/');
        let (login, authority) = match rest.rsplit_once('@') {
            Some((login, authority)) => (Some(login.to_owned()), authority),
            None => (None, rest),
        };
        let (host, port) = authority.rsplit_once(':').unwrap_or((authority, "3128"));
        let port = port.parse().map_err(|_| bad())?;
        let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
        if host.is_empty() || host.contains('/') {
            return Err(bad());
        }
        Ok(Self { host, port, login })
    }

    /// From the environment: `HTTPS_PROXY` or `https_proxy`, unless `NO_PROXY` names the hub.
    pub fn from_env(hubs: &[HubAddress]) -> Result<Option<Self>, String> {
        let var = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
        let Some(url) = var("HTTPS_PROXY").or_else(|| var("https_proxy")) else { return Ok(None) };
        let except = var("NO_PROXY").or_else(|| var("no_proxy")).unwrap_or_default();
        if hubs.iter().any(|hub| excepted(&except, &hub.host)) {
            return Ok(None);
        }
        Self::parse(&url).map(Some)
    }
}

impl std::fmt::Debug for Proxy {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}", self.host, self.port)
    }
}

/// Whether a `NO_PROXY` list such as `localhost,.example.com` names `host`.
fn excepted(list: &str, host: &str) -> bool {
    list.split(',')
        .map(|entry| entry.trim().trim_start_matches('.'))
        .filter(|entry| !entry.is_empty())
        .any(|entry| entry == "*" || host == entry || host.strip_suffix(entry).is_some_and(|rest| rest.ends_with('.')))
}

/// A proxy's URL may hold a password, which must not come into a message.
fn hide_login(url: &str) -> &str {
    url.rsplit_once('@').map_or(url, |(_, rest)| rest)
}

/// The hub's addresses, at least one.
pub(super) async fn resolve(hub: &HubAddress) -> Result<Vec<SocketAddr>, DialError> {
    let addresses: Vec<SocketAddr> = tokio::net::lookup_host((hub.host.as_str(), hub.port))
        .await
        .map_err(|error| DialError::new(Cause::Unreachable, format!("the name {:?} is not found: {error}", hub.host)))?
        .collect();
    if addresses.is_empty() {
        return Err(DialError::new(Cause::Unreachable, format!("the name {:?} has no address", hub.host)));
    }
    Ok(addresses)
}

/// TLS to the hub, through the proxy if there is one.
pub(super) async fn connect(
    hub: &HubAddress,
    proxy: Option<&Proxy>,
    tls: &AgentTls,
) -> Result<TlsStream<TcpStream>, DialError> {
    let stream = match proxy {
        None => {
            let addresses = resolve(hub).await?;
            TcpStream::connect(&addresses[..]).await.map_err(|error| DialError::io("connecting to", hub, &error))?
        }
        Some(proxy) => tunnel(hub, proxy).await?,
    };
    // A heartbeat or a cancel must not wait for an acknowledgement of what went before it.
    let _ = stream.set_nodelay(true);
    let name = ServerName::try_from(hub.host.clone())
        .or_else(|_| ServerName::try_from(certs::HUB_NAME))
        .map_err(|error| DialError::new(Cause::Unreachable, format!("{:?}: {error}", hub.host)))?;
    TlsConnector::from(tls.tcp())
        .connect(name, stream)
        .await
        .map_err(|error| DialError::of("TLS with", hub, tls, &error))
}

async fn tunnel(hub: &HubAddress, proxy: &Proxy) -> Result<TcpStream, DialError> {
    let failed = |what: String| DialError::new(Cause::Intermediary, format!("the proxy {proxy:?} {what}"));
    let mut stream = TcpStream::connect((proxy.host.as_str(), proxy.port))
        .await
        .map_err(|error| failed(format!("cannot be reached: {error}")))?;
    let mut request = format!("CONNECT {hub} HTTP/1.1\r\nHost: {hub}\r\n");
    if let Some(login) = &proxy.login {
        request += &format!("Proxy-Authorization: Basic {}\r\n", BASE64_STANDARD.encode(login));
    }
    request += "\r\n";
    let answer = async {
        stream.write_all(request.as_bytes()).await?;
        // Byte by byte: what follows the head belongs to TLS.
        let mut head = Vec::with_capacity(256);
        while !head.ends_with(b"\r\n\r\n") {
            head.push(stream.read_u8().await?);
            if head.len() > 16 * 1024 {
                return Err(io::Error::other("an answer without end"));
            }
        }
        Ok(head)
    };
    let head = answer.await.map_err(|error: io::Error| failed(format!("broke off: {error}")))?;
    let line = String::from_utf8_lossy(head.split(|&b| b == b'\r').next().unwrap_or_default()).into_owned();
    match line.split(' ').nth(1) {
        Some(code) if code.starts_with('2') => Ok(stream),
        Some("407") => {
            Err(failed(format!("asks for a login: put it into the proxy's URL, http://USER:PASSWORD@{proxy:?}")))
        }
        _ => Err(failed(format!("refuses a tunnel to {hub}: {}", line.chars().take(80).collect::<String>()))),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn proxies() {
        let proxy = Proxy::parse("http://me:pa@ss@proxy.corp:8080/").unwrap();
        assert_eq!((proxy.host.as_str(), proxy.port, proxy.login.as_deref()), ("proxy.corp", 8080, Some("me:pa@ss")));
        assert_eq!(Proxy::parse("proxy.corp").unwrap().port, 3128);
        for bad in ["socks5://proxy:1", "http://", "http://u:secret@host:x", "https://h:1"] {
            let error = Proxy::parse(bad).unwrap_err();
            assert!(!error.contains("secret"), "{error}");
        }
    }

    #[test]
    fn no_proxy_lists() {
        for (list, host, expected) in [
            ("", "hub", false),
            ("*", "hub", true),
            ("hub", "hub", true),
            ("other, example.com", "hub.example.com", true),
            (".example.com", "hub.example.com", true),
            ("ample.com", "hub.example.com", false),
        ] {
            assert_eq!(excepted(list, host), expected, "{list} {host}");
        }
    }
}
