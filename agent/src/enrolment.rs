//! The agent's own state on its endpoint: the writeback file with its key and, once enrolled, its certificate.

use std::{
    fs, io,
    io::Write,
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

use certs::{AgentTls, CertError, CertificateDer, Identity};
use protocol::ClientId;
use serde::Deserialize;

/// The writeback file cannot be used. None of these goes away by itself.
#[derive(Debug, thiserror::Error)]
pub enum WritebackError {
    #[error("the writeback file {path:?} cannot be read: {error}")]
    Read { path: PathBuf, error: io::Error },
    #[error(
        "the writeback file {path:?} cannot be written: {error}; name another path in Client.writeback_linux or by --writeback"
    )]
    Write { path: PathBuf, error: io::Error },
    #[error("the writeback file {path:?} is damaged: {reason}; if it is deleted this machine enrols as a new client")]
    Damaged { path: PathBuf, reason: String },
    #[error(transparent)]
    Cert(#[from] CertError),
}

/// Who this agent is.
#[derive(Debug)]
pub struct Writeback {
    path: PathBuf,
    identity: Identity,
    certificate: Option<CertificateDer<'static>>,
}

/// The file, as YAML.
#[derive(Deserialize)]
struct File {
    client_id: String,
    private_key: String,
    #[serde(default)]
    certificate: Option<String>,
}

impl Writeback {
    /// Reads the file; at the first start makes a key and writes the file, mode 0600.
    pub fn open(path: &Path) -> Result<Self, WritebackError> {
        let text = match fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let new = Self { path: path.into(), identity: Identity::generate()?, certificate: None };
                new.write()?;
                tracing::info!("made a new key; this client is {}, kept in {}", new.client_id(), path.display());
                return Ok(new);
            }
            Err(error) => return Err(WritebackError::Read { path: path.into(), error }),
        };
        let damaged = |reason: String| WritebackError::Damaged { path: path.into(), reason };
        let file: File = serde_saphyr::from_str(&text).map_err(|error| damaged(error.to_string()))?;
        let identity = Identity::from_pem(&file.private_key).map_err(|error| damaged(error.to_string()))?;
        if file.client_id != identity.client_id().to_string() {
            return Err(damaged(format!("it says {:?}, but its key makes {}", file.client_id, identity.client_id())));
        }
        let certificate = match file.certificate {
            Some(pem) => Some(
                certs::certificate_from_pem("the agent's certificate", &pem)
                    .map_err(|error| damaged(error.to_string()))?,
            ),
            None => None,
        };
        Ok(Self { path: path.into(), identity, certificate })
    }

    pub fn client_id(&self) -> ClientId {
        self.identity.client_id()
    }

    pub fn identity(&self) -> &Identity {
        &self.identity
    }

    /// TLS as this agent: with its certificate if it has one.
    pub fn tls(&self, authority: &CertificateDer<'_>) -> Result<AgentTls, CertError> {
        AgentTls::new(authority, self.certificate.as_ref().map(|certificate| (certificate, &self.identity)))
    }

    pub fn is_enrolled(&self) -> bool {
        self.certificate.is_some()
    }

    /// The hub has signed: keeps the certificate if it is for this agent's key.
    pub fn enrolled(&mut self, certificate: Vec<u8>) -> Result<(), WritebackError> {
        let certificate = CertificateDer::from(certificate);
        if !self.identity.owns(&certificate) {
            return Err(CertError::KeyMismatch { what: "the certificate that the hub issued" }.into());
        }
        self.certificate = Some(certificate);
        self.write()
    }

    /// The hub no longer knows the certificate.
    pub fn forget_certificate(&mut self) -> Result<(), WritebackError> {
        self.certificate = None;
        self.write()
    }

    /// Write beside, flush, rename: a crash leaves the old file or the new one, never half a key.
    fn write(&self) -> Result<(), WritebackError> {
        let mut text = String::from(
            "# The identity of this endpoint. Keep it secret; a copy on another machine would be the same client.\n",
        );
        text += &format!("client_id: {}\n", self.client_id());
        text += &format!("private_key: |\n{}", indent(&self.identity.to_pem()));
        if let Some(certificate) = &self.certificate {
            text += &format!("certificate: |\n{}", indent(&certs::certificate_to_pem(certificate)));
        }
        let beside = self.path.with_extension("new");
        let write = || {
            let _ = fs::remove_file(&beside);
            let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&beside)?;
            file.write_all(text.as_bytes())?;
            file.sync_all()?;
            fs::rename(&beside, &self.path)
        };
        write().map_err(|error| WritebackError::Write { path: self.path.clone(), error })
    }
}

fn indent(pem: &str) -> String {
    pem.lines().map(|line| format!("  {line}\n")).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn the_key_is_made_once_and_kept_secret() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("writeback.yaml");
        let first = Writeback::open(&path).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert!(!first.is_enrolled());
        assert_eq!(Writeback::open(&path).unwrap().client_id(), first.client_id());
    }

    #[test]
    fn a_certificate_is_kept_if_it_is_ours() {
        let dir = tempfile::tempdir().unwrap();
        let mut writeback = Writeback::open(&dir.path().join("writeback.yaml")).unwrap();
        let authority = certs::Authority::create().unwrap();
        let (_, theirs) =
            authority.sign_agent_request(&Identity::generate().unwrap().signing_request().unwrap()).unwrap();
        assert!(writeback.enrolled(theirs.to_vec()).is_err());
        let (id, ours) = authority.sign_agent_request(&writeback.identity().signing_request().unwrap()).unwrap();
        writeback.enrolled(ours.to_vec()).unwrap();
        assert_eq!(id, writeback.client_id());
        assert!(Writeback::open(&dir.path().join("writeback.yaml")).unwrap().is_enrolled());
    }

    #[test]
    fn what_is_wrong_is_said() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("writeback.yaml");
        fs::write(&path, "client_id: C.0\n").unwrap();
        let error = Writeback::open(&path).unwrap_err().to_string();
        assert!(error.contains("damaged") && error.contains("private_key"), "{error}");
        let error = Writeback::open(&dir.path().join("no/such/dir.yaml")).unwrap_err().to_string();
        assert!(error.contains("--writeback"), "{error}");
    }
}
