//! A whole PKI in memory, for tests and for the swarm.

use std::sync::Arc;

use rustls::{ServerConfig, pki_types::CertificateDer};

use crate::{AgentTls, Alpn, Authority, CertError, HubCertReloader, Identity, hub_quic_config, hub_server_config};

/// An authority and a hub's certificate by it that live as long as this value.
#[derive(Debug)]
pub struct Throwaway {
    authority: Authority,
    hub: Arc<HubCertReloader>,
}

impl Throwaway {
    pub fn new() -> Result<Self, CertError> {
        let authority = Authority::create()?;
        let issued = authority.sign_hub(365)?;
        let hub = HubCertReloader::new(authority.certificate(), &issued.certificate_pem, &issued.key_pem)?;
        Ok(Self { authority, hub })
    }

    pub fn authority(&self) -> &Authority {
        &self.authority
    }

    pub fn hub(&self) -> &Arc<HubCertReloader> {
        &self.hub
    }

    /// The hub's end for TCP, or for a QUIC endpoint that is set up by hand.
    pub fn server(&self, alpn: Alpn) -> Result<Arc<ServerConfig>, CertError> {
        hub_server_config(self.authority.certificate(), &self.hub, alpn)
    }

    /// The hub's end for QUIC.
    pub fn quic_server(&self) -> Result<quinn::ServerConfig, CertError> {
        hub_quic_config(self.authority.certificate(), &self.hub)
    }

    /// A new agent's key with its certificate, as after enrolment.
    pub fn agent_identity(&self) -> Result<(Identity, CertificateDer<'static>), CertError> {
        let identity = Identity::generate()?;
        let (_, certificate) = self
            .authority
            .sign_agent_request(&identity.signing_request()?)
            .map_err(|e| CertError::library("enrol an agent", e))?;
        Ok((identity, certificate))
    }

    /// The end of a new agent that is enrolled.
    pub fn agent_tls(&self) -> Result<(Identity, AgentTls), CertError> {
        let (identity, certificate) = self.agent_identity()?;
        let tls = AgentTls::new(self.authority.certificate(), Some((&certificate, &identity)))?;
        Ok((identity, tls))
    }

    /// The end of an agent that has yet to enrol.
    pub fn stranger_tls(&self) -> Result<AgentTls, CertError> {
        AgentTls::new(self.authority.certificate(), None)
    }
}
