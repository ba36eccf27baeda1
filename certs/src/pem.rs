//! PEM in and out, and what a certificate says of itself: its dates and names.

use std::fmt;

use base64::{Engine, engine::general_purpose::STANDARD};
use rcgen::{KeyPair, PKCS_ECDSA_P256_SHA256};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, pem::PemObject};
use x509_parser::{certificate::X509Certificate, extensions::GeneralName, prelude::FromDer};

use crate::CertError;

/// The one certificate in a PEM text. `what` names it in the error, as in `the hub's certificate`.
pub fn certificate_from_pem(what: &'static str, pem: &str) -> Result<CertificateDer<'static>, CertError> {
    const LABEL: &str = "CERTIFICATE";
    let mut blocks = CertificateDer::pem_slice_iter(pem.as_bytes());
    let certificate = match blocks.next() {
        Some(Ok(certificate)) => certificate,
        Some(Err(error)) => return Err(CertError::Pem { what, label: LABEL, reason: error.to_string() }),
        None => return Err(CertError::Pem { what, label: LABEL, reason: "there is none".into() }),
    };
    if blocks.next().is_some() {
        return Err(CertError::content(what, "expected one certificate, found several"));
    }
    parse(what, &certificate)?;
    Ok(certificate)
}

/// A certificate as a PEM text that ends with a line break.
pub fn certificate_to_pem(certificate: &CertificateDer<'_>) -> String {
    let text = STANDARD.encode(certificate);
    let mut pem = String::with_capacity(text.len() + text.len() / 64 + 64);
    pem.push_str("-----BEGIN CERTIFICATE-----\n");
    let mut rest = text.as_str();
    while !rest.is_empty() {
        // Base 64 is ASCII: every index is a character boundary.
        let (line, next) = rest.split_at(rest.len().min(64));
        pem.push_str(line);
        pem.push('\n');
        rest = next;
    }
    pem.push_str("-----END CERTIFICATE-----\n");
    pem
}

/// A P-256 key pair from its PKCS#8 PEM text.
pub(crate) fn key_from_pem(what: &'static str, pem: &str) -> Result<KeyPair, CertError> {
    const LABEL: &str = "PRIVATE KEY";
    let der = PrivatePkcs8KeyDer::from_pem_slice(pem.as_bytes()).map_err(|error| CertError::Pem {
        what,
        label: LABEL,
        // The parser's own message may quote what it found: never a private key.
        reason: match error {
            rustls::pki_types::pem::Error::NoItemsFound => "there is none".into(),
            _ => "the block is damaged".into(),
        },
    })?;
    KeyPair::from_pkcs8_der_and_sign_algo(&der, &PKCS_ECDSA_P256_SHA256)
        .map_err(|_| CertError::content(what, "expected an ECDSA P-256 key in PKCS#8"))
}

/// The form in which rustls takes a private key.
pub(crate) fn key_der(key: &KeyPair) -> PrivateKeyDer<'static> {
    PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()))
}

pub(crate) fn parse<'a>(
    what: &'static str,
    certificate: &'a CertificateDer<'_>,
) -> Result<X509Certificate<'a>, CertError> {
    match X509Certificate::from_der(certificate) {
        Ok(([], parsed)) => Ok(parsed),
        Ok(_) => Err(CertError::content(what, "bytes follow the certificate")),
        Err(_) => Err(CertError::content(what, "the block holds no X.509 certificate")),
    }
}

/// From when until when a certificate is valid, in Unix seconds, both included.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Validity {
    pub not_before: i64,
    pub not_after: i64,
}

impl Validity {
    /// The dates in a certificate; an error if it is none.
    pub fn of(certificate: &CertificateDer<'_>) -> Result<Self, CertError> {
        let parsed = parse("the certificate", certificate)?;
        let validity = parsed.validity();
        Ok(Self { not_before: validity.not_before.timestamp(), not_after: validity.not_after.timestamp() })
    }
}

impl fmt::Display for Validity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "valid from {} to {}", utc(self.not_before), utc(self.not_after))
    }
}

/// The common name of a certificate's issuer, shortened: it may come from anywhere.
pub(crate) fn issuer_name(certificate: &CertificateDer<'_>) -> Option<String> {
    let parsed = parse("the certificate", certificate).ok()?;
    parsed.issuer().iter_common_name().next().and_then(|name| name.as_str().ok()).map(plain)
}

/// The DNS names in a certificate, or its common name if there are none; at most three, shortened.
pub(crate) fn names(certificate: &CertificateDer<'_>) -> Vec<String> {
    let Ok(parsed) = parse("the certificate", certificate) else { return Vec::new() };
    let mut names = Vec::new();
    if let Ok(Some(extension)) = parsed.subject_alternative_name() {
        names.extend(extension.value.general_names.iter().filter_map(|name| match name {
            GeneralName::DNSName(name) => Some(plain(name)),
            _ => None,
        }));
    }
    if names.is_empty() {
        names.extend(parsed.subject().iter_common_name().filter_map(|name| name.as_str().ok()).map(plain));
    }
    names.truncate(3);
    names
}

/// One short line of what a stranger's certificate says.
fn plain(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(64).collect()
}

/// A moment as `2026-11-24 05:39:03 UTC`.
pub(crate) fn utc(unix_seconds: i64) -> String {
    let (days, second) = (unix_seconds.div_euclid(86_400), unix_seconds.rem_euclid(86_400));
    // Days to a civil date, counted in eras of 400 years that begin on 1 March.
    let shifted = days + 719_468;
    let (era, day_of_era) = (shifted.div_euclid(146_097), shifted.rem_euclid(146_097));
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    format!("{year:04}-{month:02}-{day:02} {:02}:{:02}:{:02} UTC", second / 3600, second / 60 % 60, second % 60)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::{Authority, Identity};

    #[test]
    fn moments_are_written_in_utc() {
        for (seconds, text) in [
            (0, "1970-01-01 00:00:00 UTC"),
            (-1, "1969-12-31 23:59:59 UTC"),
            (951_782_400, "2000-02-29 00:00:00 UTC"),
            (951_868_800, "2000-03-01 00:00:00 UTC"),
            (1_795_498_743, "2026-11-24 05:39:03 UTC"),
            (4_102_444_799, "2099-12-31 23:59:59 UTC"),
        ] {
            assert_eq!(utc(seconds), text);
        }
    }

    #[test]
    fn certificates_survive_pem() {
        let authority = Authority::create().unwrap();
        let pem = certificate_to_pem(authority.certificate());
        assert_eq!(&certificate_from_pem("x", &pem).unwrap(), authority.certificate());
        assert!(pem.lines().all(|line| line.len() <= 64));
    }

    #[test]
    fn bad_pem_is_named() {
        let authority = Authority::create().unwrap();
        let certificate = authority.certificate_pem();
        let cut: String = certificate.lines().filter(|line| !line.contains("END")).collect();
        for (text, expected) in [
            ("", "there is none"),
            ("hello", "there is none"),
            (authority.key_pem().as_str(), "there is none"),
            (cut.as_str(), "BEGIN CERTIFICATE"),
            (certificate.repeat(2).as_str(), "found several"),
            ("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", "no X.509 certificate"),
        ] {
            let error = certificate_from_pem("the CA", text).unwrap_err().to_string();
            assert!(error.starts_with("the CA: ") && error.contains(expected), "{text}: {error}");
        }
        for (text, expected) in [
            ("", "there is none"),
            (certificate.as_str(), "there is none"),
            ("-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n", "P-256"),
            ("-----BEGIN PRIVATE KEY-----\nA!secret\n-----END PRIVATE KEY-----\n", "damaged"),
        ] {
            let error = Identity::from_pem(text).unwrap_err().to_string();
            assert!(error.contains(expected) && !error.contains("secret"), "{text}: {error}");
        }
    }
}
