//! A signing request becomes a certificate, for whoever knows the nonce.

use std::net::SocketAddr;

use certs::{Authority, EnrolError};
use protocol::message::{Refuse, RefuseCode};
use sha2::{Digest, Sha256};

/// The certificate (DER) for a request, or why not.
pub(crate) fn enrol(
    authority: &Authority,
    expected_nonce: &str,
    nonce: &str,
    request_der: &[u8],
    from: SocketAddr,
) -> Result<Vec<u8>, Refuse> {
    // Digests: the time that the comparison takes says nothing about the nonce.
    if expected_nonce.is_empty() || Sha256::digest(nonce) != Sha256::digest(expected_nonce) {
        tracing::warn!(%from, "enrolment refused: the nonce is not this hub's");
        let text = "the nonce is not this hub's: use the client configuration that this hub's `config client` prints";
        return Err(Refuse { code: RefuseCode::Nonce, text: text.into() });
    }
    match authority.sign_agent_request(request_der) {
        Ok((client, certificate)) => {
            tracing::info!(%client, %from, "enrolled");
            Ok(certificate.to_vec())
        }
        Err(error) => {
            tracing::warn!(%from, %error, "enrolment refused");
            let code = match error {
                EnrolError::Signing(_) => RefuseCode::Other,
                _ => RefuseCode::Request,
            };
            Err(Refuse { code, text: error.to_string() })
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use certs::{CertificateDer, Identity};

    use super::*;

    #[test]
    fn the_nonce_and_the_request_decide() {
        let authority = Authority::create().unwrap();
        let identity = Identity::generate().unwrap();
        let request = identity.signing_request().unwrap();
        let from = "127.0.0.1:9".parse().unwrap();
        let certificate = enrol(&authority, "secret", "secret", &request, from).unwrap();
        assert!(identity.owns(&CertificateDer::from(certificate)));
        for (expected, nonce, request, code) in [
            ("secret", "Secret", &request[..], RefuseCode::Nonce),
            ("secret", "", &request, RefuseCode::Nonce),
            ("", "", &request, RefuseCode::Nonce),
            ("secret", "secret", &request[1..], RefuseCode::Request),
            ("secret", "secret", &[0; 9000], RefuseCode::Request),
        ] {
            assert_eq!(enrol(&authority, expected, nonce, request, from).unwrap_err().code, code);
        }
    }
}
