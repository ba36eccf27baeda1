//! Who is who: the authority, identities, and the TLS settings of both ends.
//!
//! The [`Authority`] signs the hub's certificate and turns an agent's signing request into one. An agent is its key
//! pair, its [`Identity`]; the client id follows from the public key. [`hub_server_config`] and [`AgentTls`] are the
//! two ends of a connection: TLS 1.3, ring, and no trust in anything but the one authority. When a handshake fails,
//! [`AgentTls::explain`] and [`explain()`] say why in one plain line.

mod authority;
mod explain;
mod identity;
mod pem;
mod throwaway;
mod tls;

pub use authority::{Authority, EnrolError, Issued};
pub use explain::{Side, explain};
pub use identity::{Identity, client_id_of_certificate, client_id_of_chain, client_id_of_quic};
pub use pem::{Validity, certificate_from_pem, certificate_to_pem};
pub use rustls::pki_types::CertificateDer;
pub use throwaway::Throwaway;
pub use tls::{AgentTls, Alpn, HubCertReloader, hub_quic_config, hub_server_config};

/// The name in every hub's certificate. Agents check it, whatever address they dial, so that a hub may move.
pub const HUB_NAME: &str = "swoop-hub";

/// A key or certificate that cannot be used, or could not be made.
#[derive(Debug, thiserror::Error)]
pub enum CertError {
    /// The text is not the PEM block that was expected.
    #[error("{what}: expected a PEM block `-----BEGIN {label}-----`: {reason}")]
    Pem { what: &'static str, label: &'static str, reason: String },
    /// The block was read, but its content is not what it should be.
    #[error("{what}: {reason}")]
    Content { what: &'static str, reason: String },
    /// Key and certificate do not belong together.
    #[error("{what}: the private key does not belong to the certificate")]
    KeyMismatch { what: &'static str },
    /// The library below refused, which no input should cause.
    #[error("could not {what}: {reason}")]
    Library { what: &'static str, reason: String },
}

impl CertError {
    fn library(what: &'static str, error: impl std::fmt::Display) -> Self {
        Self::Library { what, reason: error.to_string() }
    }

    fn content(what: &'static str, reason: impl Into<String>) -> Self {
        Self::Content { what, reason: reason.into() }
    }
}
