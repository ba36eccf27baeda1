//! The TLS settings of both ends: TLS 1.3 by ring, for QUIC and for TCP, with no trust in anything but our authority.

use std::{
    error::Error as StdError,
    fmt,
    sync::{Arc, OnceLock, PoisonError, RwLock},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use quinn::crypto::rustls::{QuicClientConfig, QuicServerConfig};
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, Error as TlsError, RootCertStore, ServerConfig,
    SignatureScheme,
    client::{
        WebPkiServerVerifier,
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    },
    crypto::{CryptoProvider, ring},
    pki_types::{CertificateDer, ServerName, UnixTime},
    server::{ClientHello, ResolvesServerCert, WebPkiClientVerifier},
    sign::CertifiedKey,
    time_provider::{DefaultTimeProvider, TimeProvider},
    version::TLS13,
};

use crate::{
    CertError, HUB_NAME, Identity, Side, Validity,
    explain::{self, certificate_line},
    pem::{certificate_from_pem, key_der, key_from_pem, parse, utc},
};

/// What is spoken inside TLS, as both ends name it in the handshake.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Alpn {
    /// The link on QUIC streams: `swoop/1`.
    Quic,
    /// WebSocket and long-poll on TCP: `http/1.1`.
    Http,
}

impl Alpn {
    pub fn name(self) -> &'static [u8] {
        match self {
            Self::Quic => b"swoop/1",
            Self::Http => b"http/1.1",
        }
    }
}

/// The hub's end: shows the reloader's certificate, and checks an agent's certificate against our authority if the
/// agent shows one. Who shows none may only enrol, which the link decides.
pub fn hub_server_config(
    authority: &CertificateDer<'_>,
    hub: &Arc<HubCertReloader>,
    alpn: Alpn,
) -> Result<Arc<ServerConfig>, CertError> {
    let fail = |e: &dyn fmt::Display| CertError::library("set up the hub's TLS", e);
    let agents = WebPkiClientVerifier::builder_with_provider(roots(authority)?, provider())
        .allow_unauthenticated()
        .build()
        .map_err(|e| fail(&e))?;
    let mut config = ServerConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&TLS13])
        .map_err(|e| fail(&e))?
        .with_client_cert_verifier(agents)
        .with_cert_resolver(Arc::clone(hub) as Arc<dyn ResolvesServerCert>);
    config.alpn_protocols = vec![alpn.name().to_vec()];
    // Tickets keep the session at the agent: thousands of agents that come back cost the hub no memory, and no
    // signatures. One is enough, as every resumption brings the next.
    config.ticketer = ring::Ticketer::new().map_err(|e| fail(&e))?;
    config.send_tls13_tickets = 1;
    Ok(Arc::new(config))
}

/// [`hub_server_config`] as quinn takes it.
pub fn hub_quic_config(
    authority: &CertificateDer<'_>,
    hub: &Arc<HubCertReloader>,
) -> Result<quinn::ServerConfig, CertError> {
    let config = hub_server_config(authority, hub, Alpn::Quic)?;
    let crypto = QuicServerConfig::try_from(config).map_err(|e| CertError::library("set up the hub's QUIC", e))?;
    Ok(quinn::ServerConfig::with_crypto(Arc::new(crypto)))
}

/// The agent's end: trusts a hub by our authority alone, and shows the agent's certificate once there is one.
///
/// The hub's certificate must bear [`HUB_NAME`](crate::HUB_NAME); the server name that a caller dials goes into the
/// handshake for balancers to route by, and is not checked.
pub struct AgentTls {
    http: Arc<ClientConfig>,
    quic: Arc<QuicClientConfig>,
    verifier: Arc<HubVerifier>,
    own: Option<Validity>,
}

impl AgentTls {
    /// `certificate` is the agent's own with its key, or `None` before enrolment. After enrolment make a new one.
    pub fn new(
        authority: &CertificateDer<'_>,
        certificate: Option<(&CertificateDer<'_>, &Identity)>,
    ) -> Result<Self, CertError> {
        Self::with_clock(authority, certificate, Arc::new(DefaultTimeProvider))
    }

    /// As [`new`](Self::new), with a clock by which the hub's certificate is judged.
    pub fn with_clock(
        authority: &CertificateDer<'_>,
        certificate: Option<(&CertificateDer<'_>, &Identity)>,
        clock: Arc<dyn TimeProvider>,
    ) -> Result<Self, CertError> {
        let fail = |e: &dyn fmt::Display| CertError::library("set up the agent's TLS", e);
        let verifier = Arc::new(HubVerifier::new(authority)?);
        let builder = ClientConfig::builder_with_details(provider(), clock)
            .with_protocol_versions(&[&TLS13])
            .map_err(|e| fail(&e))?
            .dangerous()
            .with_custom_certificate_verifier(Arc::clone(&verifier) as Arc<dyn ServerCertVerifier>);
        let mut own = None;
        let config = match certificate {
            None => builder.with_no_client_auth(),
            Some((certificate, identity)) => {
                if !identity.owns(certificate) {
                    return Err(CertError::KeyMismatch { what: "the agent" });
                }
                own = Some(Validity::of(certificate)?);
                builder
                    .with_client_auth_cert(vec![certificate.clone().into_owned()], identity.key_der())
                    .map_err(|e| fail(&e))?
            }
        };
        let with_alpn = |alpn: Alpn| {
            let mut config = config.clone();
            config.alpn_protocols = vec![alpn.name().to_vec()];
            // Each its own store of tickets: one made for QUIC is of no use on TCP.
            config.resumption = rustls::client::Resumption::in_memory_sessions(8);
            Arc::new(config)
        };
        let quic = QuicClientConfig::try_from(with_alpn(Alpn::Quic)).map_err(|e| fail(&e))?;
        Ok(Self { http: with_alpn(Alpn::Http), quic: Arc::new(quic), verifier, own })
    }

    /// For TLS over TCP (WebSocket, long-poll).
    pub fn tcp(&self) -> Arc<ClientConfig> {
        Arc::clone(&self.http)
    }

    /// For QUIC; the transport's settings are still quinn's own.
    pub fn quic(&self) -> quinn::ClientConfig {
        quinn::ClientConfig::new(Arc::clone(&self.quic) as Arc<dyn quinn::crypto::ClientConfig>)
    }

    /// One plain line on why a connection failed and what to do, if TLS is the reason; `None` if it is not.
    ///
    /// Takes what quinn, tokio-rustls, tungstenite or hyper gave, and looks through its sources.
    pub fn explain(&self, error: &(dyn StdError + 'static)) -> Option<String> {
        let cause = explain::find(error)?;
        if cause.is_our_verdict() {
            let recorded = self.verifier.why.read().unwrap_or_else(PoisonError::into_inner).clone();
            if recorded.is_some() {
                return recorded;
            }
        }
        Some(cause.line(Side::Agent, self.own))
    }
}

impl fmt::Debug for AgentTls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AgentTls").field("own", &self.own).finish_non_exhaustive()
    }
}

/// Judges the hub's certificate as webpki does, under the fixed name, and keeps the reason of the last refusal with
/// the certificate's dates: QUIC would pass on no more than an alert number.
#[derive(Debug)]
struct HubVerifier {
    inner: Arc<WebPkiServerVerifier>,
    name: ServerName<'static>,
    why: RwLock<Option<String>>,
}

impl HubVerifier {
    fn new(authority: &CertificateDer<'_>) -> Result<Self, CertError> {
        let fail = |e: &dyn fmt::Display| CertError::library("set up the check of the hub's certificate", e);
        Ok(Self {
            inner: WebPkiServerVerifier::builder_with_provider(roots(authority)?, provider())
                .build()
                .map_err(|e| fail(&e))?,
            name: ServerName::try_from(HUB_NAME).map_err(|e| fail(&e))?,
            why: RwLock::new(None),
        })
    }
}

impl ServerCertVerifier for HubVerifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _dialled: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, TlsError> {
        let verdict = self.inner.verify_server_cert(end_entity, intermediates, &self.name, ocsp_response, now);
        let why = match &verdict {
            Err(TlsError::InvalidCertificate(error)) => {
                Some(certificate_line(error, Side::Agent, Some(end_entity), Some(now)))
            }
            _ => None,
        };
        *self.why.write().unwrap_or_else(PoisonError::into_inner) = why;
        verdict
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, TlsError> {
        self.inner.verify_tls12_signature(message, cert, dss)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, TlsError> {
        self.inner.verify_tls13_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.inner.supported_verify_schemes()
    }
}

/// The certificate that the hub shows, which may be swapped while it runs: later handshakes get the new one.
pub struct HubCertReloader {
    verifier: HubVerifier,
    current: RwLock<Arc<CertifiedKey>>,
}

impl HubCertReloader {
    /// Checks that `authority` signed the certificate for a hub and that the key belongs to it. An expired one passes,
    /// as a hub without agents still shows what it has: see [`warning`](Self::warning).
    pub fn new(authority: &CertificateDer<'_>, certificate_pem: &str, key_pem: &str) -> Result<Arc<Self>, CertError> {
        let verifier = HubVerifier::new(authority)?;
        let current = RwLock::new(certified_key(&verifier, certificate_pem, key_pem)?);
        Ok(Arc::new(Self { verifier, current }))
    }

    /// Shows another certificate from now on; an error leaves the present one.
    pub fn swap(&self, certificate_pem: &str, key_pem: &str) -> Result<(), CertError> {
        let key = certified_key(&self.verifier, certificate_pem, key_pem)?;
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = key;
        Ok(())
    }

    /// The dates of the certificate that is shown now.
    pub fn validity(&self) -> Result<Validity, CertError> {
        match self.current().cert.first() {
            Some(certificate) => Validity::of(certificate),
            None => Err(CertError::content("the hub's certificate", "there is none")),
        }
    }

    /// One line to log if the certificate is not valid at `now`, or will expire within 60 days.
    pub fn warning(&self, now: SystemTime) -> Option<String> {
        const ENOUGH: Duration = Duration::from_secs(60 * 86_400);
        const ROTATE: &str = "run `swoop config rotate_keys`";
        let validity = self.validity().ok()?;
        let seconds = |time: SystemTime| time.duration_since(UNIX_EPOCH).map_or(0, |d| d.as_secs() as i64);
        let (until, at) = (utc(validity.not_after), seconds(now));
        if at > validity.not_after {
            Some(format!("the hub's certificate expired on {until}, so that no agent can connect: {ROTATE}"))
        } else if at < validity.not_before {
            let from = utc(validity.not_before);
            Some(format!(
                "the hub's certificate is valid only from {from}, and this machine's clock says {}: set the clock",
                utc(at)
            ))
        } else if seconds(now + ENOUGH) > validity.not_after {
            Some(format!("the hub's certificate expires on {until}: {ROTATE} before"))
        } else {
            None
        }
    }

    fn current(&self) -> Arc<CertifiedKey> {
        Arc::clone(&self.current.read().unwrap_or_else(PoisonError::into_inner))
    }
}

impl ResolvesServerCert for HubCertReloader {
    fn resolve(&self, _hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.current())
    }
}

impl fmt::Debug for HubCertReloader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HubCertReloader").field("validity", &self.validity().ok()).finish_non_exhaustive()
    }
}

fn certified_key(verifier: &HubVerifier, certificate_pem: &str, key_pem: &str) -> Result<Arc<CertifiedKey>, CertError> {
    let what = "the hub's certificate";
    let certificate = certificate_from_pem(what, certificate_pem)?;
    let key = key_from_pem("the hub's private key", key_pem)?;
    if parse(what, &certificate)?.is_ca() {
        return Err(CertError::content(what, "it is a CA's certificate, not a hub's"));
    }
    let validity = Validity::of(&certificate)?;
    // Judged at its own beginning: whether it is valid now is another question.
    let moment = UnixTime::since_unix_epoch(Duration::from_secs(validity.not_before.try_into().unwrap_or(0)));
    verifier
        .inner
        .verify_server_cert(&certificate, &[], &verifier.name, &[], moment)
        .map_err(|error| CertError::content(what, misfit(&error)))?;
    let key = CertifiedKey::from_der(vec![certificate], key_der(&key), &provider()).map_err(|error| match error {
        TlsError::InconsistentKeys(_) => CertError::KeyMismatch { what: "the hub" },
        other => CertError::content(what, other.to_string()),
    })?;
    Ok(Arc::new(key))
}

fn misfit(error: &TlsError) -> String {
    match error {
        TlsError::InvalidCertificate(CertificateError::UnknownIssuer | CertificateError::BadSignature) => {
            "it is not signed by the CA of this configuration".into()
        }
        TlsError::InvalidCertificate(
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
        ) => format!("it does not bear the name `{HUB_NAME}`"),
        TlsError::InvalidCertificate(
            CertificateError::InvalidPurpose | CertificateError::InvalidPurposeContext { .. },
        ) => "it is not a certificate for a hub".into(),
        other => other.to_string(),
    }
}

fn roots(authority: &CertificateDer<'_>) -> Result<Arc<RootCertStore>, CertError> {
    let mut roots = RootCertStore::empty();
    roots
        .add(authority.clone().into_owned())
        .map_err(|error| CertError::content("the CA's certificate", error.to_string()))?;
    Ok(Arc::new(roots))
}

/// ring, said everywhere: a default of the process could be set by anybody.
pub(crate) fn provider() -> Arc<CryptoProvider> {
    static PROVIDER: OnceLock<Arc<CryptoProvider>> = OnceLock::new();
    Arc::clone(PROVIDER.get_or_init(|| Arc::new(ring::default_provider())))
}
