//! Why a handshake failed and what to do about it, in one plain line.

use std::{error::Error as StdError, io};

use quinn::ConnectionError;
use rustls::{
    AlertDescription, CertificateError, Error as TlsError,
    pki_types::{CertificateDer, UnixTime},
};

use crate::{
    HUB_NAME, Validity,
    pem::{issuer_name, names, utc},
};

/// Which end the line is for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Side {
    Agent,
    Hub,
}

/// One plain line on why a connection failed, if TLS is the reason; `None` if it is not.
///
/// Takes what quinn, tokio-rustls or hyper gave, and looks through its sources. An agent asks its
/// [`AgentTls`](crate::AgentTls), which knows more.
pub fn explain(error: &(dyn StdError + 'static), side: Side) -> Option<String> {
    find(error).map(|cause| cause.line(side, None))
}

/// What TLS says, as found in an error.
#[derive(Debug)]
pub(crate) enum Cause<'a> {
    /// From TLS over TCP.
    Tls(&'a TlsError),
    /// QUIC: this end broke off, with the alert that it sent.
    QuicHere(AlertDescription, &'a str),
    /// QUIC: the other end broke off, with the alert that it sent.
    QuicThere(AlertDescription),
}

pub(crate) fn find<'a>(error: &'a (dyn StdError + 'static)) -> Option<Cause<'a>> {
    let mut next = Some(error);
    // Errors nest a few levels; the bound is for one that is its own source.
    for _ in 0..16 {
        let error = next?;
        if let Some(tls) = error.downcast_ref::<TlsError>() {
            return Some(Cause::Tls(tls));
        }
        if let Some(quic) = error.downcast_ref::<ConnectionError>() {
            return match quic {
                ConnectionError::TransportError(e) => Some(Cause::QuicHere(alert(e.code.into())?, &e.reason)),
                ConnectionError::ConnectionClosed(close) => Some(Cause::QuicThere(alert(close.error_code.into())?)),
                _ => None,
            };
        }
        next = match error.downcast_ref::<io::Error>() {
            // Its source is the source of what it wraps: go to the wrapped error itself.
            Some(io) => io.get_ref().map(|inner| inner as &(dyn StdError + 'static)),
            None => error.source(),
        };
    }
    None
}

/// The TLS alert in a QUIC error code, which has a range of its own for them.
fn alert(quic_code: u64) -> Option<AlertDescription> {
    (0x100..0x200).contains(&quic_code).then(|| AlertDescription::from((quic_code & 0xff) as u8))
}

impl Cause<'_> {
    /// Whether this end refused the other's certificate.
    pub(crate) fn is_our_verdict(&self) -> bool {
        matches!(self, Self::Tls(TlsError::InvalidCertificate(_)))
            || matches!(
                self,
                Self::QuicHere(
                    AlertDescription::BadCertificate
                        | AlertDescription::UnsupportedCertificate
                        | AlertDescription::CertificateRevoked
                        | AlertDescription::CertificateExpired
                        | AlertDescription::CertificateUnknown
                        | AlertDescription::UnknownCA
                        | AlertDescription::DecryptError,
                    _
                )
            )
    }

    /// `own`: the dates of this end's certificate, where known.
    pub(crate) fn line(&self, side: Side, own: Option<Validity>) -> String {
        match self {
            Self::Tls(TlsError::InvalidCertificate(error)) => certificate_line(error, side, None, None),
            Self::Tls(TlsError::AlertReceived(alert)) | Self::QuicThere(alert) => alert_line(*alert, side, own),
            Self::Tls(TlsError::NoApplicationProtocol) | Self::QuicHere(AlertDescription::NoApplicationProtocol, _) => {
                no_common_protocol(side)
            }
            Self::Tls(TlsError::InvalidMessage(_) | TlsError::InappropriateMessage { .. }) => match side {
                Side::Agent => {
                    "what answers there does not speak TLS: check address and port in server_urls, and that no \
                                proxy answers in the hub's place"
                        .into()
                }
                Side::Hub => "what connects does not speak TLS: agents dial https:// addresses".into(),
            },
            Self::Tls(TlsError::PeerIncompatible(_)) => match side {
                Side::Agent => "what answers there does not speak TLS 1.3, as a hub does: check address and port in \
                                server_urls, and that no proxy answers in the hub's place"
                    .into(),
                Side::Hub => "what connects does not speak TLS 1.3, as agents do".into(),
            },
            Self::Tls(other) => format!("TLS failed: {other}"),
            // The alert tells as much of the verdict as this line needs.
            Self::QuicHere(AlertDescription::UnknownCA | AlertDescription::DecryptError, _) => {
                certificate_line(&CertificateError::UnknownIssuer, side, None, None)
            }
            Self::QuicHere(AlertDescription::UnsupportedCertificate, _) => {
                certificate_line(&CertificateError::InvalidPurpose, side, None, None)
            }
            Self::QuicHere(alert, reason) => format!("TLS failed ({alert:?}): {reason}"),
        }
    }
}

/// Why this end refuses the certificate that the other shows: `shown`, where known, judged at `now`.
pub(crate) fn certificate_line(
    error: &CertificateError,
    side: Side,
    shown: Option<&CertificateDer<'_>>,
    now: Option<UnixTime>,
) -> String {
    use CertificateError as E;
    let whose = match side {
        Side::Agent => "the hub's certificate",
        Side::Hub => "the agent's certificate",
    };
    let dates = shown.and_then(|certificate| Validity::of(certificate).ok());
    let clock = now.map(|time| seconds(&time));
    let clock_says = |clock: Option<i64>| match clock {
        Some(clock) => format!(" and this machine's clock says {}", utc(clock)),
        None => String::new(),
    };
    match error {
        E::UnknownIssuer | E::BadSignature => {
            let by = match shown.and_then(issuer_name) {
                Some(name) => format!(" (`{name}`)"),
                None => String::new(),
            };
            match side {
                Side::Agent => format!(
                    "{whose} is signed by another authority{by} than the one in this agent's configuration: give the \
                     agent this hub's `swoop config client`, or check that server_urls leads to its own hub"
                ),
                Side::Hub => format!(
                    "{whose} is signed by another authority{by} than this hub's: remove the agent's writeback file, \
                     so that it enrols here"
                ),
            }
        }
        E::Expired | E::ExpiredContext { .. } => {
            let (clock, until) = match error {
                E::ExpiredContext { time, not_after } => (clock.or(Some(seconds(time))), Some(seconds(not_after))),
                _ => (clock, None),
            };
            let dates = match (dates, until) {
                (Some(dates), _) => format!(" ({dates})"),
                (None, Some(until)) => format!(" on {}", utc(until)),
                (None, None) => String::new(),
            };
            let cure = match side {
                Side::Agent => "on the hub, run `swoop config rotate_keys`; if the clock here is wrong, set it",
                Side::Hub => {
                    "remove the agent's writeback file, so that it enrols again; if the clock here is wrong, set it"
                }
            };
            format!("{whose} has expired{dates}{}: {cure}", clock_says(clock))
        }
        E::NotValidYet | E::NotValidYetContext { .. } => {
            let (clock, from) = match error {
                E::NotValidYetContext { time, not_before } => {
                    (clock.or(Some(seconds(time))), Some(seconds(not_before)))
                }
                _ => (clock, None),
            };
            let dates = match (dates, from) {
                (Some(dates), _) => format!(" ({dates})"),
                (None, Some(from)) => format!(" until {}", utc(from)),
                (None, None) => String::new(),
            };
            format!(
                "{whose} is not yet valid{dates}{}: set this machine's clock, or that of the machine which issued it",
                clock_says(clock)
            )
        }
        E::NotValidForName | E::NotValidForNameContext { .. } => {
            let named = shown.map(names).unwrap_or_default();
            let named = if named.is_empty() { "another name".into() } else { format!("`{}`", named.join("`, `")) };
            format!(
                "the certificate shown is for {named}, not for `{HUB_NAME}`: check that server_urls leads to the hub, and \
                 that no proxy on the way replaces certificates"
            )
        }
        E::InvalidPurpose | E::InvalidPurposeContext { .. } => match side {
            Side::Agent => {
                "the certificate shown is not a hub's, it is for another purpose: check that server_urls leads \
                            to the hub"
                    .into()
            }
            Side::Hub => "the certificate shown is not an agent's, it is for another purpose".into(),
        },
        other => format!("{whose} cannot be used: {other}"),
    }
}

/// Why the other end broke off, by the alert that it sent.
fn alert_line(alert: AlertDescription, side: Side, own: Option<Validity>) -> String {
    use AlertDescription as A;
    let own = own.map(|dates| format!(" ({dates})")).unwrap_or_default();
    match (side, alert) {
        (Side::Agent, A::UnknownCA | A::DecryptError | A::BadCertificate | A::CertificateUnknown) => {
            "the hub refuses this agent's certificate, because another authority signed it: remove the writeback file, so \
             that the agent enrols with this hub"
                .into()
        }
        (Side::Agent, A::CertificateExpired) => format!(
            "the hub refuses this agent's certificate{own} as expired or not yet valid: check the hub's clock; if it is \
             right, remove the writeback file, so that the agent enrols again"
        ),
        (Side::Agent, A::UnsupportedCertificate | A::AccessDenied | A::CertificateRevoked) => {
            format!("the hub refuses this agent's certificate ({alert:?}): remove the writeback file, so that the agent enrols again")
        }
        (Side::Hub, A::UnknownCA | A::DecryptError) => {
            "the agent refuses the hub's certificate, because another authority signed it: give the agent this hub's \
             `swoop config client`"
                .into()
        }
        (Side::Hub, A::CertificateExpired) => format!(
            "the agent refuses the hub's certificate{own} as expired or not yet valid: see its dates with `swoop config \
             show`; if they are right, set the agent's clock"
        ),
        (Side::Hub, A::BadCertificate | A::UnsupportedCertificate) => {
            format!("the agent refuses the hub's certificate: it expects one for a hub, with the name `{HUB_NAME}`")
        }
        (_, A::NoApplicationProtocol) => no_common_protocol(side),
        (Side::Agent, A::ProtocolVersion | A::HandshakeFailure) => {
            "what answers there finds no common version of TLS: check that server_urls leads to a hub, which speaks TLS 1.3"
                .into()
        }
        (Side::Agent, other) => format!("the hub broke off the TLS handshake: {other:?}"),
        (Side::Hub, other) => format!("the agent broke off the TLS handshake: {other:?}"),
    }
}

fn no_common_protocol(side: Side) -> String {
    match side {
        Side::Agent => {
            "what answers there speaks TLS, but not the hub's protocol: check address and port in server_urls, and \
                        that agent and hub are of like versions"
                .into()
        }
        Side::Hub => "what connects speaks TLS, but not an agent's protocol".into(),
    }
}

fn seconds(time: &UnixTime) -> i64 {
    time.as_secs().try_into().unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::{
        sync::Arc,
        time::{Duration, SystemTime, UNIX_EPOCH},
    };

    use quinn::{ConnectionClose, TransportErrorCode};
    use rustls::{ClientConfig, ClientConnection, ServerConfig, ServerConnection, time_provider::TimeProvider};

    use super::*;
    use crate::{
        AgentTls, Alpn, Authority, HubCertReloader, Identity, Issued, Throwaway, client_id_of_chain, hub_quic_config,
        hub_server_config,
    };

    #[derive(Debug)]
    struct At(u64);

    impl TimeProvider for At {
        fn current_time(&self) -> Option<UnixTime> {
            Some(UnixTime::since_unix_epoch(Duration::from_secs(self.0)))
        }
    }

    fn at(seconds: u64) -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(seconds)
    }

    // 2020-01-01, 2021-01-01, 2022-01-01, 2023-01-01
    const Y20: u64 = 1_577_836_800;
    const Y21: u64 = 1_609_459_200;
    const Y22: u64 = 1_640_995_200;
    const Y23: u64 = 1_672_531_200;

    /// How a handshake in memory ended at either end.
    struct Met {
        client: Result<(), TlsError>,
        server: Result<(), TlsError>,
        server_connection: ServerConnection,
        client_connection: ClientConnection,
    }

    fn meet(client: Arc<ClientConfig>, server: Arc<ServerConfig>) -> Met {
        let mut client = ClientConnection::new(client, "any.example".try_into().unwrap()).unwrap();
        let mut server = ServerConnection::new(server).unwrap();
        let (mut at_client, mut at_server) = (Ok(()), Ok(()));
        for _ in 0..8 {
            let mut wire = Vec::new();
            while client.wants_write() {
                client.write_tls(&mut wire).unwrap();
            }
            let mut rest = wire.as_slice();
            while at_server.is_ok() && !rest.is_empty() && server.read_tls(&mut rest).unwrap() > 0 {
                at_server = server.process_new_packets().map(|_| ());
            }
            let mut wire = Vec::new();
            while server.wants_write() {
                server.write_tls(&mut wire).unwrap();
            }
            let mut rest = wire.as_slice();
            while at_client.is_ok() && !rest.is_empty() && client.read_tls(&mut rest).unwrap() > 0 {
                at_client = client.process_new_packets().map(|_| ());
            }
        }
        Met { client: at_client, server: at_server, server_connection: server, client_connection: client }
    }

    fn server_with(authority: &Authority, hub: &Issued) -> Arc<ServerConfig> {
        let reloader = HubCertReloader::new(authority.certificate(), &hub.certificate_pem, &hub.key_pem).unwrap();
        hub_server_config(authority.certificate(), &reloader, Alpn::Http).unwrap()
    }

    fn stranger(authority: &Authority, hub: &Issued, alpn: &[u8]) -> Arc<ServerConfig> {
        let certificate = crate::certificate_from_pem("x", &hub.certificate_pem).unwrap();
        let key = crate::pem::key_der(&crate::pem::key_from_pem("x", &hub.key_pem).unwrap());
        let mut config = ServerConfig::builder_with_provider(crate::tls::provider())
            .with_protocol_versions(&[&rustls::version::TLS13])
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certificate, authority.certificate().clone()], key)
            .unwrap();
        config.alpn_protocols = vec![alpn.to_vec()];
        Arc::new(config)
    }

    #[test]
    fn an_agent_enrols_without_a_certificate_and_is_known_by_it_afterwards() {
        let pki = Throwaway::new().unwrap();
        let server = pki.server(Alpn::Http).unwrap();
        let met = meet(pki.stranger_tls().unwrap().tcp(), Arc::clone(&server));
        met.client.unwrap();
        met.server.unwrap();
        assert_eq!(client_id_of_chain(met.server_connection.peer_certificates()).unwrap(), None);
        assert_eq!(met.client_connection.alpn_protocol(), Some(&b"http/1.1"[..]));

        let (identity, certificate) = pki.agent_identity().unwrap();
        let tls = AgentTls::new(pki.authority().certificate(), Some((&certificate, &identity))).unwrap();
        for round in ["first", "resumed"] {
            let met = meet(tls.tcp(), Arc::clone(&server));
            met.client.unwrap();
            met.server.unwrap();
            let known = client_id_of_chain(met.server_connection.peer_certificates()).unwrap();
            assert_eq!(known, Some(identity.client_id()), "{round}");
            let kind = met.client_connection.handshake_kind().unwrap();
            assert_eq!(kind == rustls::HandshakeKind::Resumed, round == "resumed", "{kind:?}");
        }
        // QUIC takes the same settings.
        tls.quic();
        hub_quic_config(pki.authority().certificate(), pki.hub()).unwrap();
    }

    #[test]
    fn a_rotated_certificate_is_accepted() {
        let pki = Throwaway::new().unwrap();
        let server = pki.server(Alpn::Http).unwrap();
        let agent = pki.stranger_tls().unwrap();
        let shown = |met: &Met| met.client_connection.peer_certificates().unwrap()[0].clone();
        let before = meet(agent.tcp(), Arc::clone(&server));
        before.client.as_ref().unwrap();

        let next = pki.authority().sign_hub(30).unwrap();
        pki.hub().swap(&next.certificate_pem, &next.key_pem).unwrap();
        assert!(pki.hub().warning(SystemTime::now()).unwrap().contains("rotate_keys"));
        let after = meet(pki.stranger_tls().unwrap().tcp(), server);
        after.client.as_ref().unwrap();
        after.server.as_ref().unwrap();
        assert_ne!(shown(&before), shown(&after));
    }

    #[test]
    fn what_is_no_certificate_for_this_hub_is_not_swapped_in() {
        let pki = Throwaway::new().unwrap();
        let ours = pki.authority();
        let foreign = Authority::create().unwrap();
        let (good, other) = (ours.sign_hub(9).unwrap(), foreign.sign_hub(9).unwrap());
        let named = ours.sign_hub_for(&["elsewhere"], at(Y20), at(Y21)).unwrap();
        let (identity, agent) = pki.agent_identity().unwrap();
        let agent = crate::certificate_to_pem(&agent);
        for (certificate, key, expected) in [
            (&other.certificate_pem, &other.key_pem, "not signed by the CA"),
            (&good.certificate_pem, &other.key_pem, "does not belong"),
            (&named.certificate_pem, &named.key_pem, "does not bear the name `swoop-hub`"),
            (&agent, &identity.to_pem(), "not a certificate for a hub"),
            (&good.key_pem, &good.key_pem, "BEGIN CERTIFICATE"),
            (&good.certificate_pem, &good.certificate_pem, "BEGIN PRIVATE KEY"),
        ] {
            let error = pki.hub().swap(certificate, key).unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        }
        assert_eq!(pki.hub().warning(SystemTime::now()), None);
        // An expired one is shown, with a warning.
        let expired = ours.sign_hub_for(&[HUB_NAME], at(Y20), at(Y21)).unwrap();
        pki.hub().swap(&expired.certificate_pem, &expired.key_pem).unwrap();
        assert!(pki.hub().warning(SystemTime::now()).unwrap().contains("expired on 2021-01-01"));
        assert!(pki.hub().warning(at(Y20 - 9)).unwrap().contains("set the clock"));
    }

    /// The agent refuses the hub: the line at both ends, over TCP and, as far as QUIC tells, over QUIC.
    #[test]
    fn refusals_by_the_agent() {
        let (ours, foreign) = (Authority::create().unwrap(), Authority::create().unwrap());
        let hub = |authority: &Authority, from, to| {
            server_with(authority, &authority.sign_hub_for(&[HUB_NAME], at(from), at(to)).unwrap())
        };
        let named = ours.sign_hub_for(&["proxy.example"], at(Y20), at(Y23)).unwrap();
        let (identity, agents) = agent_of(&ours, Y20, Y23);
        let posing = Issued { certificate_pem: crate::certificate_to_pem(&agents), key_pem: identity.to_pem() };
        let good = ours.sign_hub_for(&[HUB_NAME], at(Y20), at(Y23)).unwrap();

        struct Case {
            name: &'static str,
            server: Arc<ServerConfig>,
            clock: u64,
            agent: &'static [&'static str],
            hub: &'static str,
        }
        for case in [
            Case {
                name: "unknown CA",
                server: hub(&foreign, Y20, Y23),
                clock: Y21,
                agent: &["signed by another authority (`Swoop CA ", "swoop config client"],
                hub: "the agent refuses the hub's certificate, because another authority signed it",
            },
            Case {
                name: "expired",
                server: hub(&ours, Y20, Y21),
                clock: Y22,
                agent: &[
                    "the hub's certificate has expired (valid from 2020-01-01 00:00:00 UTC to 2021-01-01 00:00:00 UTC)",
                    "clock says 2022-01-01 00:00:00 UTC",
                    "swoop config rotate_keys",
                ],
                hub: "as expired or not yet valid",
            },
            Case {
                name: "clock behind",
                server: hub(&ours, Y22, Y23),
                clock: Y21,
                agent: &[
                    "not yet valid (valid from 2022-01-01 00:00:00 UTC to 2023-01-01 00:00:00 UTC)",
                    "clock says 2021-01-01 00:00:00 UTC",
                    "set this machine's clock",
                ],
                hub: "set the agent's clock",
            },
            Case {
                name: "wrong name",
                server: stranger(&ours, &named, b"http/1.1"),
                clock: Y21,
                agent: &["is for `proxy.example`, not for `swoop-hub`", "no proxy"],
                hub: "with the name `swoop-hub`",
            },
            Case {
                name: "an agent poses as a hub",
                server: stranger(&ours, &posing, b"http/1.1"),
                clock: Y21,
                agent: &["the certificate shown is not a hub's"],
                hub: "the agent refuses the hub's certificate",
            },
            Case {
                name: "another protocol",
                server: stranger(&ours, &good, b"h2"),
                clock: Y21,
                agent: &["not the hub's protocol"],
                hub: "not an agent's protocol",
            },
        ] {
            let tls = AgentTls::with_clock(ours.certificate(), None, Arc::new(At(case.clock))).unwrap();
            let met = meet(tls.tcp(), case.server);
            let client = met.client.expect_err(case.name);
            let line = tls.explain(&io::Error::other(client.clone())).unwrap();
            for part in case.agent {
                assert!(line.contains(part), "{}: {line}", case.name);
            }
            assert!(!line.contains('\n'));
            let server = met.server.expect_err(case.name);
            let line = explain(&server, Side::Hub).unwrap();
            assert!(line.contains(case.hub), "{}: {line}", case.name);

            // Over QUIC the agent has only the alert that it sent, and what its check recorded.
            if let TlsError::InvalidCertificate(error) = client {
                let quic = quic_here(AlertDescription::from(error).into());
                let line = tls.explain(&quic).unwrap();
                assert!(line.contains(case.agent[0]), "{}: {line}", case.name);
            }
        }
    }

    /// The hub refuses the agent, which hears an alert.
    #[test]
    fn refusals_by_the_hub() {
        let (ours, foreign) = (Authority::create().unwrap(), Authority::create().unwrap());
        let server = server_with(&ours, &ours.sign_hub(9).unwrap());
        let hubs = ours.sign_hub(9).unwrap();
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
        let posing = (
            Identity::from_pem(&hubs.key_pem).unwrap(),
            crate::certificate_from_pem("x", &hubs.certificate_pem).unwrap(),
        );
        for (name, (identity, certificate), at_agent, at_hub) in [
            (
                "unknown CA",
                agent_of(&foreign, Y20, now + Y20),
                "the hub refuses this agent's certificate, because another authority signed it: remove the writeback",
                "signed by another authority than this hub's",
            ),
            (
                "expired",
                agent_of(&ours, Y20, Y21),
                "certificate (valid from 2020-01-01 00:00:00 UTC to 2021-01-01 00:00:00 UTC) as expired",
                "the agent's certificate has expired on 2021-01-01 00:00:00 UTC and this machine's clock says 20",
            ),
            (
                "not yet valid",
                agent_of(&ours, now + 86_400, now + Y20),
                "check the hub's clock",
                "the agent's certificate is not yet valid until 20",
            ),
            ("a hub poses as an agent", posing, "the hub refuses this agent's certificate", "not an agent's"),
        ] {
            let tls = AgentTls::new(ours.certificate(), Some((&certificate, &identity))).unwrap();
            let met = meet(tls.tcp(), Arc::clone(&server));
            let client = met.client.expect_err(name);
            let line = tls.explain(&client).unwrap();
            assert!(line.contains(at_agent), "{name}: {line}");
            let line = explain(&met.server.expect_err(name), Side::Hub).unwrap();
            assert!(line.contains(at_hub), "{name}: {line}");

            let TlsError::AlertReceived(alert) = client else { panic!("{name}: {client}") };
            let closed = ConnectionError::ConnectionClosed(ConnectionClose {
                error_code: TransportErrorCode::crypto(alert.into()),
                frame_type: None,
                reason: Vec::new().into(),
            });
            let line = tls.explain(&io::Error::from(closed)).unwrap();
            assert!(line.contains(at_agent), "{name}: {line}");
        }
    }

    #[test]
    fn what_is_not_tls() {
        let pki = Throwaway::new().unwrap();
        let tls = pki.stranger_tls().unwrap();
        let mut client = ClientConnection::new(tls.tcp(), "any.example".try_into().unwrap()).unwrap();
        client.read_tls(&mut &b"HTTP/1.1 400 Bad Request\r\n\r\n"[..]).unwrap();
        let error = client.process_new_packets().unwrap_err();
        assert!(tls.explain(&error).unwrap().contains("does not speak TLS"), "{error}");

        // Reasons that TLS knows nothing of.
        assert_eq!(tls.explain(&io::Error::from(io::ErrorKind::ConnectionRefused)), None);
        assert_eq!(tls.explain(&ConnectionError::TimedOut), None);
        assert_eq!(explain(&std::fmt::Error, Side::Hub), None);
        // A refusal of this end with nothing recorded still has a line.
        assert!(tls.explain(&quic_here(48)).unwrap().contains("signed by another authority than"));
        assert!(tls.explain(&quic_here(45)).unwrap().contains("TLS failed (CertificateExpired)"));
    }

    #[test]
    fn a_certificate_needs_its_key() {
        let pki = Throwaway::new().unwrap();
        let (_, certificate) = pki.agent_identity().unwrap();
        let other = Identity::generate().unwrap();
        let error = AgentTls::new(pki.authority().certificate(), Some((&certificate, &other))).unwrap_err();
        assert!(matches!(error, crate::CertError::KeyMismatch { what: "the agent" }), "{error}");
    }

    fn agent_of(authority: &Authority, from: u64, to: u64) -> (Identity, CertificateDer<'static>) {
        let identity = Identity::generate().unwrap();
        let request = identity.signing_request().unwrap();
        let (_, certificate) = authority.sign_agent_request_for(&request, at(from), at(to)).unwrap();
        (identity, certificate)
    }

    fn quic_here(alert: u8) -> ConnectionError {
        ConnectionError::TransportError(TransportErrorCode::crypto(alert).into())
    }
}
