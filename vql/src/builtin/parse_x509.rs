//! `parse_x509()`.

use super::bytes::from_base64;
use super::der;
use super::prelude::*;

static PARSE_X509: Signature = Signature::new(
    "parse_x509",
    "The certificates that DER data holds, one behind the other, or PEM text: an array of dicts with `SerialNumber`, \
     `SignatureAlgorithm`, `Subject`, `SubjectKeyId`, `AuthorityKeyId`, `Issuer`, `NotBefore`, `NotAfter`, \
     `PublicKeyAlgorithm`, `PublicKey`, `Version` and `Extensions`.",
    &[req("data", Text, "The data")],
)
.group(Group::Parsing)
.examples(&["SELECT parse_x509(data='') AS None FROM scope()"]);

fn parse_x509(cx: &Context<'_>, args: &Args<'_>) -> Result<Value, CallError> {
    let data = args.bytes("data")?;
    let mut found = Vec::new();
    for block in blocks(&data)? {
        let mut rest: &[u8] = &block;
        while !rest.is_empty() {
            match der::certificate(rest) {
                Ok((dict, after)) => {
                    found.push(Value::dict(dict));
                    rest = after;
                }
                Err(why) if found.is_empty() => {
                    return Err(CallError::new(format!("the data is no certificate in DER or PEM: {why}")));
                }
                Err(why) => {
                    cx.error(format!("parse_x509: after {} certificates: {why}", found.len()));
                    break;
                }
            }
        }
    }
    Ok(Value::from(found))
}

/// The DER data: as it is, or what stands between the lines of PEM.
pub(super) fn blocks(data: &[u8]) -> Result<Vec<Vec<u8>>, CallError> {
    const BEGIN: &str = "-----BEGIN ";
    let Some(text) = std::str::from_utf8(data).ok().filter(|text| text.contains(BEGIN)) else {
        return Ok(vec![data.to_vec()]);
    };
    let mut blocks = Vec::new();
    for part in text.split(BEGIN).skip(1) {
        let label = part.split("-----").next().unwrap_or("");
        if !(label.ends_with("CERTIFICATE") || label.contains("PKCS")) {
            continue;
        }
        let body = part.split("-----").nth(1).unwrap_or("");
        blocks.push(from_base64(body.as_bytes()).ok_or("the PEM text is not base64")?);
    }
    Ok(blocks)
}

pub(super) fn register(registry: &mut Registry) {
    registry.add_function(Func(&PARSE_X509, parse_x509));
}
