//! Parts of a request, checked; what is wrong with them becomes an `ApiError`.

use std::time::Duration;

use axum::{
    body::to_bytes,
    extract::{FromRequest, FromRequestParts, Path, Query, Request},
    http::{StatusCode, header, request::Parts},
};
use serde::de::DeserializeOwned;
use tokio::time::timeout;

use super::error::Failure;
use crate::auth::Login;

/// A call's body may have this many bytes.
const MAX_BODY: usize = 1 << 20;

/// And must be there within this time.
const BODY_TIMEOUT: Duration = Duration::from_secs(30);

/// The JSON of a call.
pub(super) struct Body<T>(pub(super) T);

impl<T: DeserializeOwned, S: Sync> FromRequest<S> for Body<T> {
    type Rejection = Failure;

    async fn from_request(request: Request, _: &S) -> Result<Self, Failure> {
        let json = request.headers().get(header::CONTENT_TYPE).is_some_and(|kind| {
            let kind = kind.to_str().unwrap_or_default().split(';').next().unwrap_or_default();
            kind.trim().eq_ignore_ascii_case("application/json")
        });
        if !json {
            return Err(Failure::new(
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                "not_json",
                "The call's body is not marked as JSON.",
                "Send the header `content-type: application/json`.",
            ));
        }
        let too_large = || {
            Failure::new(
                StatusCode::PAYLOAD_TOO_LARGE,
                "too_large",
                format!("The call's body has more than {MAX_BODY} bytes."),
                "",
            )
        };
        let stated =
            request.headers().get(header::CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse().ok());
        if stated.is_some_and(|length: u64| length > MAX_BODY as u64) {
            return Err(too_large());
        }
        let body = match timeout(BODY_TIMEOUT, to_bytes(request.into_body(), MAX_BODY)).await {
            Ok(Ok(body)) => body,
            // Either too long, or broken off; then nobody reads the answer.
            Ok(Err(_)) => return Err(too_large()),
            Err(_) => {
                return Err(Failure::new(
                    StatusCode::REQUEST_TIMEOUT,
                    "timeout",
                    "The call's body did not arrive in time.",
                    "",
                ));
            }
        };
        serde_json::from_slice(&body)
            .map(Self)
            .map_err(|error| Failure::bad_request("bad_json", format!("The call's body does not fit: {error}"), ""))
    }
}

/// What follows the `?`.
pub(super) struct Params<T>(pub(super) T);

impl<T: DeserializeOwned, S: Sync> FromRequestParts<S> for Params<T> {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Failure> {
        Query::try_from_uri(&parts.uri)
            .map(|Query(params)| Self(params))
            .map_err(|error| Failure::bad_request("bad_parameter", error.body_text(), ""))
    }
}

/// The ids in the path.
pub(super) struct At<T>(pub(super) T);

impl<T: DeserializeOwned + Send, S: Send + Sync> FromRequestParts<S> for At<T> {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Failure> {
        Path::from_request_parts(parts, state)
            .await
            .map(|Path(ids)| Self(ids))
            .map_err(|error| Failure::bad_request("bad_id", error.body_text(), ""))
    }
}

/// Who calls; [`super::gate`] has put it there.
pub(super) struct Caller(pub(super) Login);

impl<S: Sync> FromRequestParts<S> for Caller {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Failure> {
        parts.extensions.get().cloned().map(Self).ok_or_else(Failure::not_logged_in)
    }
}
