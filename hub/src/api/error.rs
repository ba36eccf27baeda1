//! Failed calls: each with its HTTP status and an [`ApiError`] that says what to do now.

use axum::{
    Json,
    http::{HeaderValue, Method, StatusCode, Uri, header},
    response::{IntoResponse, Response},
};
use protocol::api::ApiError;

use crate::{
    HubError,
    auth::{AuthError, LoginError},
};

/// An [`ApiError`] on its way out.
#[derive(Debug)]
pub(super) struct Failure {
    status: StatusCode,
    error: Box<ApiError>,
    /// Seconds, for `Retry-After`.
    retry_after_s: Option<u64>,
}

impl Failure {
    pub(super) fn new(status: StatusCode, code: &str, message: impl Into<String>, hint: impl Into<String>) -> Self {
        let hint = Some(hint.into()).filter(|hint| !hint.is_empty());
        let error = ApiError { code: code.into(), message: message.into(), hint, diagnostics: Vec::new() };
        Self { status, error: Box::new(error), retry_after_s: None }
    }

    pub(super) fn bad_request(code: &str, message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, code, message, hint)
    }

    pub(super) fn not_found(what: impl AsRef<str>) -> Self {
        Self::new(StatusCode::NOT_FOUND, "not_found", format!("{}: not found", what.as_ref()), "")
    }

    pub(super) fn not_logged_in() -> Self {
        Self::new(
            StatusCode::UNAUTHORIZED,
            "not_logged_in",
            "You are not logged in, or your login has ended.",
            "Log in and try again.",
        )
    }

    /// The same, for where there is no HTTP answer to put it in.
    pub(super) fn into_error(self) -> ApiError {
        *self.error
    }
}

impl From<HubError> for Failure {
    fn from(error: HubError) -> Self {
        let message = error.to_string();
        match error {
            HubError::NotFound { .. } => Self::new(StatusCode::NOT_FOUND, "not_found", message, ""),
            HubError::Invalid { hint, diagnostics, .. } => {
                let code = if diagnostics.is_empty() { "invalid" } else { "bad_query" };
                let mut failure = Self::bad_request(code, message, hint.unwrap_or_default());
                failure.error.diagnostics = diagnostics;
                failure
            }
            HubError::Conflict(_) => Self::new(StatusCode::CONFLICT, "conflict", message, ""),
            HubError::Storage { .. } => {
                tracing::error!(%message, "a call of a person failed");
                Self::new(
                    StatusCode::INTERNAL_SERVER_ERROR,
                    "storage",
                    message,
                    "Look at the disk of the hub's datastore: is it full, or read-only?",
                )
            }
            HubError::Stopping => {
                let failure = Self::new(StatusCode::SERVICE_UNAVAILABLE, "stopping", message, "");
                Self { retry_after_s: Some(5), ..failure }
            }
        }
    }
}

impl From<LoginError> for Failure {
    fn from(error: LoginError) -> Self {
        match error {
            LoginError::Wrong => Self::new(
                StatusCode::UNAUTHORIZED,
                "bad_login",
                "There is no such user with this password.",
                "On the hub's machine, `swoop user add NAME` makes a user.",
            ),
            LoginError::WrongToken => Self::new(
                StatusCode::UNAUTHORIZED,
                "bad_login",
                "This link does not let in: it was used before, its time is over, or it belongs to another hub.",
                "Log in with a password, or have a new link made.",
            ),
            LoginError::TooManyAttempts { wait_s } => {
                let failure = Self::new(
                    StatusCode::TOO_MANY_REQUESTS,
                    "too_many_attempts",
                    "Too many failed attempts to log in.",
                    format!("Try again in {wait_s} s."),
                );
                Self { retry_after_s: Some(wait_s), ..failure }
            }
            LoginError::Failed(AuthError::Shutdown) => HubError::Stopping.into(),
            LoginError::Failed(error) => {
                tracing::error!(%error, "a login failed");
                // Paths and reasons are for the hub's log: whoever reads this is not logged in.
                Self::new(
                    StatusCode::INTERNAL_SERVER_ERROR,
                    "storage",
                    "The hub cannot read or write its files of users.",
                    "The hub's log says which and why.",
                )
            }
        }
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        let mut response = (self.status, Json(self.error)).into_response();
        if let Some(seconds) = self.retry_after_s {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        response
    }
}

pub(super) async fn method_not_allowed(method: Method, uri: Uri) -> Failure {
    Failure::new(
        StatusCode::METHOD_NOT_ALLOWED,
        "method_not_allowed",
        format!("{} does not take {method}", uri.path()),
        "",
    )
}
