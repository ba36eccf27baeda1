//! An agent's key pair, and the client id that follows from it.

use std::{any::Any, fmt};

use protocol::ClientId;
use rcgen::{CertificateParams, DistinguishedName, KeyPair, PKCS_ECDSA_P256_SHA256, PublicKeyData};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use sha2::{Digest, Sha256};

use crate::{
    CertError,
    pem::{key_der, key_from_pem, parse},
};

/// The key pair of an agent. Its private half never leaves the endpoint.
pub struct Identity {
    key: KeyPair,
}

impl Identity {
    /// A new P-256 key pair.
    pub fn generate() -> Result<Self, CertError> {
        KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)
            .map(|key| Self { key })
            .map_err(|e| CertError::library("generate a key", e))
    }

    /// The key pair in a PKCS#8 PEM text, as [`to_pem`](Self::to_pem) wrote it.
    pub fn from_pem(pem: &str) -> Result<Self, CertError> {
        key_from_pem("the agent's private key", pem).map(|key| Self { key })
    }

    /// The private key as PKCS#8 PEM: a secret, to be kept in a file of mode 0600.
    pub fn to_pem(&self) -> String {
        self.key.serialize_pem()
    }

    pub fn client_id(&self) -> ClientId {
        client_id_of_spki(&self.key.subject_public_key_info())
    }

    /// What the agent sends to be enrolled: a PKCS#10 request in DER that proves it has the private key.
    pub fn signing_request(&self) -> Result<Vec<u8>, CertError> {
        let mut params = CertificateParams::default();
        params.distinguished_name = DistinguishedName::new();
        params
            .serialize_request(&self.key)
            .map(|request| request.der().to_vec())
            .map_err(|e| CertError::library("make a signing request", e))
    }

    /// Whether the certificate is for this key.
    pub fn owns(&self, certificate: &CertificateDer<'_>) -> bool {
        parse("the certificate", certificate)
            .is_ok_and(|parsed| parsed.public_key().raw == self.key.subject_public_key_info())
    }

    pub(crate) fn key_der(&self) -> PrivateKeyDer<'static> {
        key_der(&self.key)
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Identity").field(&self.client_id()).finish()
    }
}

/// The client that a certificate belongs to, computed from the public key in it, whatever its subject says.
pub fn client_id_of_certificate(certificate: &CertificateDer<'_>) -> Result<ClientId, CertError> {
    parse("the agent's certificate", certificate).map(|parsed| client_id_of_spki(parsed.public_key().raw))
}

/// Who is at the other end of a TLS connection, from `peer_certificates()`; `None` has yet to enrol.
///
/// The handshake has checked by then that our authority signed the certificate and that the peer has its key.
pub fn client_id_of_chain(chain: Option<&[CertificateDer<'_>]>) -> Result<Option<ClientId>, CertError> {
    chain.and_then(<[_]>::first).map(client_id_of_certificate).transpose()
}

/// Who is at the other end of a QUIC connection, from `peer_identity()`; `None` has yet to enrol.
pub fn client_id_of_quic(peer_identity: Option<Box<dyn Any>>) -> Result<Option<ClientId>, CertError> {
    let Some(identity) = peer_identity else { return Ok(None) };
    match identity.downcast::<Vec<CertificateDer<'static>>>() {
        Ok(chain) => client_id_of_chain(Some(&chain)),
        Err(_) => Err(CertError::content("the agent's certificate", "QUIC gave something else")),
    }
}

pub(crate) fn client_id_of_spki(spki_der: &[u8]) -> ClientId {
    ClientId::from_digest(&Sha256::digest(spki_der).into())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::Authority;

    #[test]
    fn a_client_id_follows_from_the_key() {
        let identity = Identity::generate().unwrap();
        let again = Identity::from_pem(&identity.to_pem()).unwrap();
        assert_eq!(again.client_id(), identity.client_id());
        assert_ne!(Identity::generate().unwrap().client_id(), identity.client_id());
        assert_eq!(format!("{identity:?}"), format!("Identity({})", identity.client_id()));

        // The same number that people get with openssl and sha256sum from the public key's DER.
        let digest = Sha256::digest(identity.key.subject_public_key_info());
        let hex: String = digest[..8].iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(identity.client_id().to_string(), format!("C.{hex}"));
    }

    #[test]
    fn a_peer_is_known_by_its_certificate() {
        let authority = Authority::create().unwrap();
        let identity = Identity::generate().unwrap();
        let (id, certificate) = authority.sign_agent_request(&identity.signing_request().unwrap()).unwrap();
        assert!(identity.owns(&certificate));
        assert!(!identity.owns(authority.certificate()));
        assert!(!Identity::generate().unwrap().owns(&certificate));

        let chain = vec![certificate];
        assert_eq!(client_id_of_chain(None).unwrap(), None);
        assert_eq!(client_id_of_chain(Some(&[])).unwrap(), None);
        assert_eq!(client_id_of_chain(Some(&chain)).unwrap(), Some(id));
        assert_eq!(client_id_of_quic(None).unwrap(), None);
        assert_eq!(client_id_of_quic(Some(Box::new(chain))).unwrap(), Some(id));
        assert!(client_id_of_quic(Some(Box::new("no chain"))).is_err());
        assert!(client_id_of_certificate(&CertificateDer::from(vec![0x30, 0])).is_err());
    }
}
