//! The authority (CA): creates itself, signs the hub's certificate, turns agents' signing requests into certificates.

use std::{
    fmt,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use protocol::ClientId;
use rcgen::{
    BasicConstraints, Certificate, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer,
    KeyPair, KeyUsagePurpose, PKCS_ECDSA_P256_SHA256, PublicKeyData, SerialNumber, SubjectPublicKeyInfo,
};
use rustls::pki_types::CertificateDer;
use x509_parser::{certification_request::X509CertificationRequest, prelude::FromDer};

use crate::{
    CertError, HUB_NAME,
    identity::client_id_of_spki,
    pem::{certificate_from_pem, certificate_to_pem, key_from_pem, parse},
    tls::provider,
};

const DAY: Duration = Duration::from_secs(86_400);
const YEAR: Duration = Duration::from_secs(365 * 86_400);
/// Clocks differ: what is issued now is valid since yesterday.
const BACK: Duration = DAY;
const AGENT_YEARS: u32 = 10;
/// Twice an agent's: the authority's certificate is in every agent's configuration.
const AUTHORITY_YEARS: u32 = 20;
/// A request with a P-256 key is about 250 bytes; anyone may send one.
const MAX_REQUEST: usize = 4096;

/// The authority of one deployment: its certificate and its private key.
pub struct Authority {
    certificate: CertificateDer<'static>,
    issuer: Issuer<'static, KeyPair>,
}

/// A certificate with its private key, both as PEM.
pub struct Issued {
    pub certificate_pem: String,
    pub key_pem: String,
}

/// A signing request that is not turned into a certificate.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum EnrolError {
    #[error("the signing request has {0} bytes: expected at most {MAX_REQUEST}")]
    TooLarge(usize),
    #[error("the signing request is no PKCS#10 request in DER")]
    Malformed,
    #[error("the signing request's key is not an ECDSA P-256 key")]
    WrongKey,
    #[error("the signing request's signature is not by the key in it")]
    BadSignature,
    #[error("could not sign: {0}")]
    Signing(String),
}

impl Authority {
    /// A new authority with a new key.
    pub fn create() -> Result<Self, CertError> {
        let what = "create the authority";
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).map_err(|e| CertError::library(what, e))?;
        let mut tag = [0; 4];
        random(&mut tag).map_err(|e| CertError::library(what, e))?;
        // A name of its own, so that a person can tell two deployments apart.
        let name = format!("Swoop CA {:08x}", u32::from_be_bytes(tag));
        let now = SystemTime::now();
        let mut params =
            params(&name, now - BACK, now + AUTHORITY_YEARS * YEAR).map_err(|e| CertError::library(what, e))?;
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let certificate = params.self_signed(&key).map_err(|e| CertError::library(what, e))?;
        Ok(Self { certificate: certificate.der().clone(), issuer: Issuer::new(params, key) })
    }

    /// The authority whose certificate and PKCS#8 key are given; an error if they do not belong together.
    pub fn from_pem(certificate_pem: &str, key_pem: &str) -> Result<Self, CertError> {
        let what = "the CA's certificate";
        let certificate = certificate_from_pem(what, certificate_pem)?;
        let key = key_from_pem("the CA's private key", key_pem)?;
        let parsed = parse(what, &certificate)?;
        if !parsed.is_ca() {
            return Err(CertError::content(what, "it is not a CA's certificate"));
        }
        if parsed.public_key().raw != key.subject_public_key_info() {
            return Err(CertError::KeyMismatch { what: "the CA" });
        }
        let issuer = Issuer::from_ca_cert_der(&certificate, key).map_err(|e| CertError::library("use the CA", e))?;
        Ok(Self { certificate, issuer })
    }

    pub fn certificate(&self) -> &CertificateDer<'static> {
        &self.certificate
    }

    pub fn certificate_pem(&self) -> String {
        certificate_to_pem(&self.certificate)
    }

    /// The secret of the deployment, as PKCS#8 PEM.
    pub fn key_pem(&self) -> String {
        self.issuer.key().serialize_pem()
    }

    /// A new key and certificate for the hub, valid since yesterday and for `valid_days` from now.
    pub fn sign_hub(&self, valid_days: u32) -> Result<Issued, CertError> {
        let now = SystemTime::now();
        self.sign_hub_for(&[HUB_NAME], now - BACK, now + valid_days * DAY)
    }

    /// Turns an agent's signing request (PKCS#10, DER) into its certificate, valid for ten years.
    ///
    /// The request proves that the agent has the private key; nothing but the public key is taken from it. The
    /// subject is the client id that follows from that key, and the certificate is good for a client only.
    pub fn sign_agent_request(&self, request_der: &[u8]) -> Result<(ClientId, CertificateDer<'static>), EnrolError> {
        let now = SystemTime::now();
        self.sign_agent_request_for(request_der, now - BACK, now + AGENT_YEARS * YEAR)
    }

    pub(crate) fn sign_hub_for(&self, names: &[&str], from: SystemTime, to: SystemTime) -> Result<Issued, CertError> {
        let what = "sign the hub's certificate";
        let fail = |e| CertError::library(what, e);
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).map_err(fail)?;
        let mut params = params(HUB_NAME, from, to).map_err(fail)?;
        let named: Vec<String> = names.iter().map(|&name| name.to_owned()).collect();
        params.subject_alt_names = CertificateParams::new(named).map_err(fail)?.subject_alt_names;
        let certificate = self.sign(params, ExtendedKeyUsagePurpose::ServerAuth, &key).map_err(fail)?;
        Ok(Issued { certificate_pem: certificate_to_pem(certificate.der()), key_pem: key.serialize_pem() })
    }

    pub(crate) fn sign_agent_request_for(
        &self,
        request_der: &[u8],
        from: SystemTime,
        to: SystemTime,
    ) -> Result<(ClientId, CertificateDer<'static>), EnrolError> {
        let key = public_key_of_request(request_der)?;
        let client_id = client_id_of_spki(&key.subject_public_key_info());
        let fail = |e: rcgen::Error| EnrolError::Signing(e.to_string());
        let params = params(&client_id.to_string(), from, to).map_err(fail)?;
        let certificate = self.sign(params, ExtendedKeyUsagePurpose::ClientAuth, &key).map_err(fail)?;
        Ok((client_id, certificate.der().clone()))
    }

    fn sign(
        &self,
        mut params: CertificateParams,
        purpose: ExtendedKeyUsagePurpose,
        key: &impl PublicKeyData,
    ) -> Result<Certificate, rcgen::Error> {
        params.is_ca = IsCa::ExplicitNoCa;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![purpose];
        params.use_authority_key_identifier_extension = true;
        params.signed_by(key, &self.issuer)
    }
}

/// The public key in a signing request that was signed by the very key.
fn public_key_of_request(der: &[u8]) -> Result<SubjectPublicKeyInfo, EnrolError> {
    if der.len() > MAX_REQUEST {
        return Err(EnrolError::TooLarge(der.len()));
    }
    let (rest, request) = X509CertificationRequest::from_der(der).map_err(|_| EnrolError::Malformed)?;
    if !rest.is_empty() {
        return Err(EnrolError::Malformed);
    }
    let key = SubjectPublicKeyInfo::from_der(request.certification_request_info.subject_pki.raw)
        .map_err(|_| EnrolError::WrongKey)?;
    if key.algorithm() != &PKCS_ECDSA_P256_SHA256 {
        return Err(EnrolError::WrongKey);
    }
    request.verify_signature().map_err(|_| EnrolError::BadSignature)?;
    Ok(key)
}

fn params(name: &str, from: SystemTime, to: SystemTime) -> Result<CertificateParams, rcgen::Error> {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    let epoch = rcgen::date_time_ymd(1970, 1, 1);
    let since_epoch = |time: SystemTime| time.duration_since(UNIX_EPOCH).unwrap_or_default();
    params.not_before = epoch + since_epoch(from);
    params.not_after = epoch + since_epoch(to);
    let mut serial = [0; 16];
    random(&mut serial)?;
    // A serial number is positive and does not begin with a zero byte.
    serial[0] = serial[0] & 0x7f | 0x40;
    params.serial_number = Some(SerialNumber::from_slice(&serial));
    Ok(params)
}

fn random(bytes: &mut [u8]) -> Result<(), rcgen::Error> {
    provider().secure_random.fill(bytes).map_err(|_| rcgen::Error::RingUnspecified)
}

impl fmt::Debug for Authority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Authority").finish_non_exhaustive()
    }
}

impl fmt::Debug for Issued {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Issued").field("certificate_pem", &self.certificate_pem).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use rcgen::{PKCS_ECDSA_P384_SHA384, PKCS_ED25519, SanType};

    use super::*;
    use crate::{Identity, Validity, client_id_of_certificate};

    #[test]
    fn a_request_becomes_a_certificate_with_nothing_of_the_request_but_the_key() {
        let authority = Authority::create().unwrap();
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).unwrap();
        let identity = Identity::from_pem(&key.serialize_pem()).unwrap();
        // Wishes for more than an agent gets.
        let mut greedy = CertificateParams::default();
        greedy.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        greedy.subject_alt_names = vec![SanType::DnsName(HUB_NAME.try_into().unwrap())];
        greedy.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        greedy.distinguished_name.push(DnType::CommonName, "C.0000000000000000");
        let request = greedy.serialize_request(&key).unwrap();

        let (client_id, certificate) = authority.sign_agent_request(request.der()).unwrap();
        assert_eq!(client_id, identity.client_id());
        assert_eq!(client_id_of_certificate(&certificate).unwrap(), client_id);
        let parsed = parse("x", &certificate).unwrap();
        assert_eq!(parsed.subject().to_string(), format!("CN={client_id}"));
        assert!(!parsed.is_ca());
        assert!(parsed.subject_alternative_name().unwrap().is_none());
        let usage = parsed.extended_key_usage().unwrap().unwrap().value;
        assert!(usage.client_auth && !usage.server_auth && !usage.any);
        assert!(parsed.raw_serial().len() == 16);

        let (_, again) = authority.sign_agent_request(request.der()).unwrap();
        assert_ne!(parsed.raw_serial(), parse("x", &again).unwrap().raw_serial());
        let validity = Validity::of(&certificate).unwrap();
        let days = (validity.not_after - validity.not_before) / 86_400;
        assert_eq!(days, 10 * 365 + 1);
    }

    #[test]
    fn bad_requests_are_refused() {
        let authority = Authority::create().unwrap();
        let good = Identity::generate().unwrap().signing_request().unwrap();
        let other = Identity::generate().unwrap().signing_request().unwrap();
        let request_by = |algorithm| {
            let key = KeyPair::generate_for(algorithm).unwrap();
            CertificateParams::default().serialize_request(&key).unwrap().der().to_vec()
        };

        // The key of another put into a request: found by its place, the uncompressed point 04 X Y.
        let point = |der: &[u8]| der.windows(4).position(|w| w == [0x03, 0x42, 0x00, 0x04]).unwrap() + 4;
        let mut foreign = good.clone();
        let (at, from) = (point(&good), point(&other));
        foreign[at..at + 64].copy_from_slice(&other[from..from + 64]);
        let mut tampered = good.clone();
        *tampered.last_mut().unwrap() ^= 1;
        let mut longer = good.clone();
        longer.push(0);

        for (name, request, expected) in [
            ("nothing", vec![], EnrolError::Malformed),
            ("garbage", vec![0x30; 64], EnrolError::Malformed),
            ("cut", good[..good.len() - 1].to_vec(), EnrolError::Malformed),
            ("trailing byte", longer, EnrolError::Malformed),
            ("too large", vec![0; 5000], EnrolError::TooLarge(5000)),
            ("tampered signature", tampered, EnrolError::BadSignature),
            ("key of another", foreign, EnrolError::BadSignature),
            ("P-384", request_by(&PKCS_ECDSA_P384_SHA384), EnrolError::WrongKey),
            ("Ed25519", request_by(&PKCS_ED25519), EnrolError::WrongKey),
        ] {
            assert_eq!(authority.sign_agent_request(&request).unwrap_err(), expected, "{name}");
        }
        authority.sign_agent_request(&good).unwrap();
    }

    #[test]
    fn no_flipped_bit_makes_a_request_another_clients() {
        let authority = Authority::create().unwrap();
        let good = Identity::generate().unwrap().signing_request().unwrap();
        let id = authority.sign_agent_request(&good).unwrap().0;
        for at in 0..good.len() {
            let mut bad = good.clone();
            bad[at] ^= 0x10;
            // A few bits outside of what is signed mean nothing, such as the parameters of the signature's algorithm.
            if let Ok((other, _)) = authority.sign_agent_request(&bad) {
                assert_eq!(other, id, "byte {at} flipped");
            }
        }
    }

    #[test]
    fn an_authority_survives_pem() {
        let authority = Authority::create().unwrap();
        let other = Authority::create().unwrap();
        let again = Authority::from_pem(&authority.certificate_pem(), &authority.key_pem()).unwrap();
        let hub = again.sign_hub(1).unwrap();
        let request = Identity::generate().unwrap().signing_request().unwrap();
        again.sign_agent_request(&request).unwrap();

        for (certificate, key, expected) in [
            (authority.certificate_pem(), other.key_pem(), "does not belong"),
            (hub.certificate_pem.clone(), hub.key_pem.clone(), "not a CA's certificate"),
            (authority.certificate_pem(), authority.certificate_pem(), "the CA's private key"),
            ("x".into(), authority.key_pem(), "the CA's certificate"),
        ] {
            let error = Authority::from_pem(&certificate, &key).unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        }
        assert!(!format!("{authority:?}{hub:?}").contains("PRIVATE"));
    }
}
