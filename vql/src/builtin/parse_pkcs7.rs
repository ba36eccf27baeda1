//! `parse_pkcs7()`.

use x509_parser::prelude::{FromDer, X509Name};

use super::bytes::hex;
use super::der::{self, Element, INTEGER, OID, SEQUENCE, SET};
use super::prelude::*;

static PARSE_PKCS7: Signature = Signature::new(
    "parse_pkcs7",
    "Signed data (PKCS#7) as a dict: `Signer` with `IssuerName`, `SerialNumber`, `DigestAlgorithm`, \
     `AuthenticatedAttributes`, `UnauthenticatedAttributes` and `Subject` of its certificate, `Signers` when there are \
     more, and `Certificates` as parse_x509() gives them. Signatures are not checked.",
    &[req("data", Text, "The data, in DER or PEM")],
)
.group(Group::Parsing)
.examples(&["SELECT parse_pkcs7(data=unhex(string='302306092a864886f70d010702a0163014020101' + '3100300b06092a864886f70d0107013100')).ContentType AS Type FROM scope()"]);

fn parse_pkcs7(_cx: &Context<'_>, args: &Args<'_>) -> Result<Value, CallError> {
    let data = args.bytes("data")?;
    let blocks = super::parse_x509::blocks(&data)?;
    let found = blocks.first().and_then(|block| signed_data(block));
    found.map(Value::dict).ok_or_else(|| "the data is no PKCS#7 signed data in DER or PEM".into())
}

fn signed_data(data: &[u8]) -> Option<Dict> {
    let (outer, _) = der::element(data)?;
    let parts = der::elements(outer.content);
    let [kind, content, ..] = &parts[..] else { return None };
    if kind.tag != OID || der::oid_name(&der::oid(kind.content)) != "SignedData" || content.tag != 0xa0 {
        return None;
    }
    let (signed, _) = der::element(content.content)?;
    let parts = der::elements(signed.content);
    let mut certificates = Vec::new();
    let mut signers: &[u8] = &[];
    let mut content_type = Value::Null;
    for (i, part) in parts.iter().enumerate() {
        match part.tag {
            SEQUENCE => {
                let inner = der::elements(part.content);
                content_type = inner.first().map_or(Value::Null, |e| Value::from(der::oid_name(&der::oid(e.content))));
            }
            0xa0 => {
                let dicts = der::elements(part.content).into_iter().filter_map(|e| der::certificate(e.whole).ok());
                certificates = dicts.map(|(dict, _)| dict).collect();
            }
            // The first set names the digests, the last has the signers.
            SET if i > 1 => signers = part.content,
            _ => {}
        }
    }
    let signers: Vec<Dict> = der::elements(signers).iter().filter_map(|e| signer(e, &certificates)).collect();
    let mut dict = Dict::new();
    dict.set("Signer", signers.first().cloned());
    if signers.len() > 1 {
        dict.set("Signers", signers.into_iter().map(Value::dict).collect::<Vec<_>>());
    }
    dict.set("ContentType", content_type);
    dict.set("Certificates", certificates.into_iter().map(Value::dict).collect::<Vec<_>>());
    Some(dict)
}

fn signer(info: &Element<'_>, certificates: &[Dict]) -> Option<Dict> {
    let parts = der::elements(info.content);
    let [_version, issued, digest, ..] = &parts[..] else { return None };
    let issued = der::elements(issued.content);
    let [issuer, serial, ..] = &issued[..] else { return None };
    if serial.tag != INTEGER {
        return None;
    }
    let (_, issuer) = X509Name::from_der(issuer.whole).ok()?;
    let (issuer, serial) = (der::name(&issuer), hex(serial.content).trim_start_matches("00").to_owned());
    let algorithm = |e: &Element<'_>| {
        der::elements(e.content).first().map_or(Value::Null, |e| Value::from(der::oid_name(&der::oid(e.content))))
    };
    let is = |dict: &&Dict, name: &str, value: &str| dict.get(name).and_then(Value::as_str) == Some(value);
    let own = certificates.iter().find(|c| is(c, "Issuer", &issuer) && is(c, "SerialNumber", &serial));
    let attributes = |tag: u8| parts.iter().find(|e| e.tag == tag).map(|e| attributes(e.content));
    Some(Dict::of([
        ("IssuerName", Value::from(issuer.as_str())),
        ("SerialNumber", Value::from(serial)),
        ("DigestAlgorithm", algorithm(digest)),
        ("AuthenticatedAttributes", attributes(0xa0).into()),
        ("UnauthenticatedAttributes", attributes(0xa1).into()),
        ("Subject", own.and_then(|c| c.get("Subject").cloned()).unwrap_or_default()),
    ]))
}

fn attributes(content: &[u8]) -> Dict {
    let mut dict = Dict::new();
    for attribute in der::elements(content) {
        let parts = der::elements(attribute.content);
        let [kind, values, ..] = &parts[..] else { continue };
        let dotted = der::oid(kind.content);
        match der::oid_name(&dotted) {
            "SpcOpusInfo" => {
                for part in der::elements(values.content).iter().flat_map(|e| der::elements(e.content)) {
                    match part.tag {
                        0xa0 => dict.set("ProgramName", last_text(part.content)),
                        0xa1 => dict.set("MoreInfo", last_text(part.content)),
                        _ => {}
                    }
                }
            }
            name => {
                let value = der::elements(values.content).first().map_or(Value::Null, simple);
                dict.set(name, value);
            }
        }
    }
    dict
}

/// The text of tagged choices: Windows has it in UTF-16 or ASCII.
fn last_text(content: &[u8]) -> Value {
    match der::element(content) {
        Some((inner, _)) if inner.tag == 0x80 && inner.content.contains(&0) => {
            let units: Vec<u16> = inner.content.chunks_exact(2).map(|p| u16::from_be_bytes([p[0], p[1]])).collect();
            Value::from(String::from_utf16_lossy(&units))
        }
        Some((inner, _)) => Value::from_bytes(inner.content),
        None => Value::from_bytes(content),
    }
}

/// A value of one element: texts and times as they are, identifiers by name, the rest in hexadecimal.
fn simple(element: &Element<'_>) -> Value {
    match element.tag {
        OID => Value::from(der::oid_name(&der::oid(element.content))),
        0x0c | 0x13 | 0x16 => Value::from_bytes(element.content),
        0x17 | 0x18 => match x509_parser::time::ASN1Time::from_der(element.whole) {
            Ok((_, time)) => Value::time(time.timestamp(), 0),
            Err(_) => Value::from_bytes(element.content),
        },
        _ => Value::from(hex(element.content)),
    }
}

pub(super) fn register(registry: &mut Registry) {
    registry.add_function(Func(&PARSE_PKCS7, parse_pkcs7));
}
