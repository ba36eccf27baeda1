//! The little of DER that PKCS#7 needs, and certificates as dicts.

use x509_parser::der_parser::asn1_rs::Oid;
use x509_parser::extensions::{GeneralName, ParsedExtension};
use x509_parser::prelude::{FromDer, X509Certificate, X509Name};
use x509_parser::time::ASN1Time;

use super::bytes::hex;
use super::prelude::*;

/// One element: its tag, its content, and all its bytes.
#[derive(Clone, Copy)]
pub(super) struct Element<'d> {
    pub tag: u8,
    pub content: &'d [u8],
    pub whole: &'d [u8],
}

pub(super) const SEQUENCE: u8 = 0x30;
pub(super) const SET: u8 = 0x31;
pub(super) const INTEGER: u8 = 0x02;
pub(super) const OID: u8 = 0x06;

/// The first element, and what follows it. Elements of indefinite length are not taken.
pub(super) fn element(data: &[u8]) -> Option<(Element<'_>, &[u8])> {
    let (tag, first) = (*data.first()?, *data.get(1)?);
    let (length, start) = match first {
        0..=0x7f => (usize::from(first), 2),
        0x81..=0x84 => {
            let count = usize::from(first & 0x7f);
            let bytes = data.get(2..2 + count)?;
            (bytes.iter().fold(0, |sum, byte| sum << 8 | usize::from(*byte)), 2 + count)
        }
        _ => return None,
    };
    let end = start.checked_add(length)?;
    let content = data.get(start..end)?;
    Some((Element { tag, content, whole: &data[..end] }, &data[end..]))
}

/// The elements that lie in `data`, up to one that is damaged.
pub(super) fn elements(mut data: &[u8]) -> Vec<Element<'_>> {
    let mut found = Vec::new();
    while let Some((next, rest)) = element(data) {
        found.push(next);
        data = rest;
    }
    found
}

/// An object identifier in dotted form.
pub(super) fn oid(content: &[u8]) -> String {
    Oid::new(content.into()).to_id_string()
}

/// The short name of an algorithm or attribute, where it is common.
pub(super) fn oid_name(dotted: &str) -> &str {
    match dotted {
        "1.2.840.113549.1.1.1" => "RSA",
        "1.2.840.113549.1.1.4" => "MD5-RSA",
        "1.2.840.113549.1.1.5" => "SHA1-RSA",
        "1.2.840.113549.1.1.10" => "RSA-PSS",
        "1.2.840.113549.1.1.11" => "SHA256-RSA",
        "1.2.840.113549.1.1.12" => "SHA384-RSA",
        "1.2.840.113549.1.1.13" => "SHA512-RSA",
        "1.2.840.10045.2.1" => "ECDSA",
        "1.2.840.10045.4.1" => "ECDSA-SHA1",
        "1.2.840.10045.4.3.2" => "ECDSA-SHA256",
        "1.2.840.10045.4.3.3" => "ECDSA-SHA384",
        "1.2.840.10045.4.3.4" => "ECDSA-SHA512",
        "1.3.101.112" => "Ed25519",
        "1.2.840.10040.4.1" => "DSA",
        "1.2.840.113549.2.5" => "MD5",
        "1.3.14.3.2.26" => "SHA1",
        "2.16.840.1.101.3.4.2.1" => "SHA256",
        "2.16.840.1.101.3.4.2.2" => "SHA384",
        "2.16.840.1.101.3.4.2.3" => "SHA512",
        "1.2.840.113549.1.7.1" => "Data",
        "1.2.840.113549.1.7.2" => "SignedData",
        "1.2.840.113549.1.9.3" => "ContentType",
        "1.2.840.113549.1.9.4" => "MessageDigest",
        "1.2.840.113549.1.9.5" => "SigningTime",
        "1.2.840.113549.1.9.6" => "CounterSignature",
        "1.3.6.1.4.1.311.2.1.4" => "SpcIndirectData",
        "1.3.6.1.4.1.311.2.1.11" => "SpcStatementType",
        "1.3.6.1.4.1.311.2.1.12" => "SpcOpusInfo",
        "1.3.6.1.4.1.311.2.4.1" => "NestedSignature",
        "1.3.6.1.4.1.311.3.3.1" => "TimeStamp",
        other => other,
    }
}

/// A name, most special part first: `CN=…,O=…,C=…`.
pub(super) fn name(name: &X509Name<'_>) -> String {
    let mut parts = Vec::new();
    for set in name.iter() {
        let set: Vec<String> = set
            .iter()
            .map(|attribute| {
                let dotted = attribute.attr_type().to_id_string();
                let short = match dotted.as_str() {
                    "2.5.4.3" => "CN",
                    "2.5.4.5" => "SERIALNUMBER",
                    "2.5.4.6" => "C",
                    "2.5.4.7" => "L",
                    "2.5.4.8" => "ST",
                    "2.5.4.9" => "STREET",
                    "2.5.4.10" => "O",
                    "2.5.4.11" => "OU",
                    "2.5.4.17" => "POSTALCODE",
                    "0.9.2342.19200300.100.1.25" => "DC",
                    "1.2.840.113549.1.9.1" => "EMAIL",
                    other => other,
                };
                let value = match attribute.as_str() {
                    Ok(text) => text.to_owned(),
                    Err(_) => String::from_utf8_lossy(attribute.as_slice()).into_owned(),
                };
                format!("{short}={}", escape(&value))
            })
            .collect();
        parts.push(set.join("+"));
    }
    parts.reverse();
    parts.join(",")
}

fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if matches!(c, ',' | '+' | '"' | '\\' | '<' | '>' | ';') {
            out.push('\\');
        }
        out.push(c);
    }
    out
}

/// The first certificate of DER data as a dict, and what follows it.
pub(super) fn certificate(data: &[u8]) -> Result<(Dict, &[u8]), String> {
    let (rest, cert) = X509Certificate::from_der(data).map_err(|error| error.to_string())?;
    let time = |time: &ASN1Time| Value::time(time.timestamp(), 0);
    let mut extensions = Dict::new();
    let (mut subject_key, mut authority_key) = (Value::Null, Value::Null);
    for extension in cert.extensions() {
        match extension.parsed_extension() {
            ParsedExtension::SubjectKeyIdentifier(id) => {
                subject_key = hex(id.0).into();
                extensions.set("Subject Key Id", subject_key.clone());
            }
            ParsedExtension::AuthorityKeyIdentifier(id) => {
                authority_key = id.key_identifier.as_ref().map(|id| hex(id.0)).into();
                extensions.set("Authority Key Id", Dict::of([("KeyId", authority_key.clone())]));
            }
            ParsedExtension::KeyUsage(usage) => extensions.set("Key Usage", usage.to_string()),
            ParsedExtension::ExtendedKeyUsage(usage) => {
                let mut names: Vec<Value> = [
                    (usage.any, "Any"),
                    (usage.server_auth, "Server Authentication"),
                    (usage.client_auth, "Client Authentication"),
                    (usage.code_signing, "Code Signing"),
                    (usage.email_protection, "Email Protection"),
                    (usage.time_stamping, "Time Stamping"),
                    (usage.ocsp_signing, "OCSP Signing"),
                ]
                .into_iter()
                .filter(|(set, _)| *set)
                .map(|(_, name)| Value::from(name))
                .collect();
                names.extend(usage.other.iter().map(|oid| Value::from(oid.to_id_string())));
                extensions.set("Extended Key Usage", Dict::of([("KeyUsage", Value::from(names))]));
            }
            ParsedExtension::BasicConstraints(basic) => {
                let length = basic.path_len_constraint.map_or(Value::Null, Value::from);
                extensions.set("Basic Constraints", Dict::of([("IsCA", basic.ca.into()), ("MaxPathLen", length)]));
            }
            ParsedExtension::SubjectAlternativeName(names) => {
                extensions.set("Subject Alternative Name", general_names(&names.general_names));
            }
            ParsedExtension::CRLDistributionPoints(points) => {
                let mut urls = Vec::new();
                for point in points.iter() {
                    if let Some(x509_parser::extensions::DistributionPointName::FullName(names)) =
                        &point.distribution_point
                    {
                        urls.extend(names.iter().map(general_name));
                    }
                }
                extensions.set("CRL Distribution Points", Value::array(urls));
            }
            ParsedExtension::AuthorityInfoAccess(info) => {
                let urls = info.accessdescs.iter().map(|access| general_name(&access.access_location));
                extensions.set("Certificate Authority Information", Value::array(urls));
            }
            _ => extensions.set(
                extension.oid.to_id_string(),
                Dict::of([("Critical", extension.critical.into()), ("Value", hex(extension.value).into())]),
            ),
        }
    }
    let algorithm = |oid: &Oid<'_>| Value::from(oid_name(&oid.to_id_string()));
    let dict = Dict::of([
        ("SerialNumber", Value::from(hex(cert.raw_serial()).trim_start_matches("00"))),
        ("SignatureAlgorithm", algorithm(&cert.signature_algorithm.algorithm)),
        ("Subject", name(cert.subject()).into()),
        ("SubjectKeyId", subject_key),
        ("AuthorityKeyId", authority_key),
        ("Issuer", name(cert.issuer()).into()),
        ("NotBefore", time(&cert.validity().not_before)),
        ("NotAfter", time(&cert.validity().not_after)),
        ("PublicKeyAlgorithm", algorithm(&cert.public_key().algorithm.algorithm)),
        ("PublicKey", hex(&cert.public_key().subject_public_key.data).into()),
        ("Version", (i64::from(cert.version().0) + 1).into()),
        ("Extensions", extensions.into()),
    ]);
    Ok((dict, rest))
}

fn general_names(names: &[GeneralName<'_>]) -> Value {
    let of =
        |test: fn(&GeneralName<'_>) -> bool| Value::array(names.iter().filter(|name| test(name)).map(general_name));
    Value::dict(Dict::of([
        ("DNS", of(|name| matches!(name, GeneralName::DNSName(_)))),
        ("Email", of(|name| matches!(name, GeneralName::RFC822Name(_)))),
        ("IP", of(|name| matches!(name, GeneralName::IPAddress(_)))),
        ("URI", of(|name| matches!(name, GeneralName::URI(_)))),
    ]))
}

fn general_name(general: &GeneralName<'_>) -> Value {
    match general {
        GeneralName::DNSName(text) | GeneralName::RFC822Name(text) | GeneralName::URI(text) => Value::from(*text),
        GeneralName::IPAddress(bytes) => {
            let v4 = <[u8; 4]>::try_from(*bytes).map(std::net::IpAddr::from);
            match v4.or_else(|_| <[u8; 16]>::try_from(*bytes).map(std::net::IpAddr::from)) {
                Ok(address) => Value::from(address.to_string()),
                Err(_) => Value::from(hex(bytes)),
            }
        }
        GeneralName::DirectoryName(directory) => Value::from(name(directory)),
        GeneralName::RegisteredID(oid) => Value::from(oid.to_id_string()),
        other => Value::from(other.to_string()),
    }
}
