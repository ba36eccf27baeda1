//! What can go wrong at the hub's front, in words for people.

use std::{fmt, io, path::PathBuf};

use protocol::api::QueryDiagnostic;

/// Why the hub did not start.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    #[error("{}: another hub uses this datastore: stop it first, or give this one a directory of its own", .0.display())]
    Locked(PathBuf),
    #[error("{}: could not {what}: {source}", .path.display())]
    Io { path: PathBuf, what: &'static str, source: io::Error },
    #[error("{}: {reason}", .path.display())]
    Damaged { path: PathBuf, reason: String },
}

/// Why a request of a person was not served.
#[derive(Debug, thiserror::Error)]
pub enum HubError {
    /// There is no such client, flow, hunt, source or upload.
    #[error("{what}: not found")]
    NotFound { what: String },
    /// The request itself is wrong; nothing was changed.
    #[error("{message}")]
    Invalid { message: String, hint: Option<String>, diagnostics: Vec<QueryDiagnostic> },
    /// It cannot be done in the present state.
    #[error("{0}")]
    Conflict(String),
    /// The disk refused.
    #[error("the hub could not {what}: {source}")]
    Storage { what: String, source: io::Error },
    /// Shutting down.
    #[error("the hub is shutting down: try again when it is back")]
    Stopping,
}

impl HubError {
    pub(crate) fn not_found(what: impl fmt::Display) -> Self {
        Self::NotFound { what: what.to_string() }
    }

    pub(crate) fn invalid(message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self::Invalid { message: message.into(), hint: Some(hint.into()), diagnostics: Vec::new() }
    }

    pub(crate) fn storage(what: impl Into<String>) -> impl FnOnce(io::Error) -> Self {
        let what = what.into();
        move |source| Self::Storage { what, source }
    }
}

/// Why a session takes no more messages; its connection is of no more use.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum SessionError {
    #[error("the session is over: {0}")]
    Ended(String),
    /// A message that an open session does not carry.
    #[error("out of place: {0}")]
    Protocol(&'static str),
}
