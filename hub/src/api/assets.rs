//! The page's files, as the binary has them.

use std::{borrow::Cow, collections::HashMap, fmt, fmt::Write as _, sync::Arc};

use axum::{
    body::{Body, Bytes},
    extract::State,
    http::{HeaderMap, HeaderValue, Method, StatusCode, Uri, header},
    response::{Html, IntoResponse as _, Response},
};
use parking_lot::Mutex;
use sha2::{Digest as _, Sha256};

use super::{App, error::Failure, gate};

/// A file by its path below `/`, without the leading slash: its bytes and its media type.
type Lookup = dyn Fn(&str) -> Option<(Cow<'static, [u8]>, String)> + Send + Sync;

/// Where the page's files come from.
#[derive(Clone)]
pub struct Assets {
    lookup: Arc<Lookup>,
    /// Content hashes of the files asked for so far: as many as there are files, at the most.
    tags: Arc<Mutex<HashMap<String, HeaderValue>>>,
}

impl Assets {
    /// `lookup` gives the bytes and the media type of a path such as `index.html`; [`mime_of`] knows the usual types.
    pub fn new(lookup: impl Fn(&str) -> Option<(Cow<'static, [u8]>, String)> + Send + Sync + 'static) -> Self {
        Self { lookup: Arc::new(lookup), tags: Arc::default() }
    }

    /// The page was not built: `/` says how to get it.
    pub fn none() -> Self {
        Self::new(|_| None)
    }

    fn tag(&self, path: &str, bytes: &[u8]) -> HeaderValue {
        if let Some(tag) = self.tags.lock().get(path) {
            return tag.clone();
        }
        let mut text = String::from("\"");
        for byte in &Sha256::digest(bytes)[..16] {
            let _ = write!(text, "{byte:02x}");
        }
        text.push('"');
        let tag = HeaderValue::from_str(&text).unwrap_or(HeaderValue::from_static("\"\""));
        self.tags.lock().insert(path.into(), tag.clone());
        tag
    }
}

impl fmt::Debug for Assets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Assets").finish_non_exhaustive()
    }
}

/// The media type of a file of the page, by its name's end.
pub fn mime_of(path: &str) -> &'static str {
    match path.rsplit_once('.').map_or("", |(_, extension)| extension) {
        "html" => "text/html; charset=utf-8",
        "js" | "mjs" => "text/javascript; charset=utf-8",
        "wasm" => "application/wasm",
        "css" => "text/css; charset=utf-8",
        "json" | "map" => "application/json",
        "svg" => "image/svg+xml",
        "png" => "image/png",
        "ico" => "image/x-icon",
        "woff2" => "font/woff2",
        "txt" | "md" => "text/plain; charset=utf-8",
        "webmanifest" => "application/manifest+json",
        _ => OTHER,
    }
}

const OTHER: &str = "application/octet-stream";

/// All that is no call: a file, or the page, which finds its way by the address itself.
pub(super) async fn serve(State(app): State<App>, method: Method, uri: Uri, headers: HeaderMap) -> Response {
    let path = uri.path();
    if gate::is_api(path) {
        return Failure::not_found(format!("the call {}", path.chars().take(200).collect::<String>())).into_response();
    }
    if !matches!(method, Method::GET | Method::HEAD) {
        return super::error::method_not_allowed(method, uri).await.into_response();
    }
    let path = path.trim_matches('/');
    let path = if path.is_empty() { "index.html" } else { path };
    // Where files come from may be a folder: no path leads out of it.
    let tame = path.split('/').all(|part| !matches!(part, "" | "." | "..")) && !path.contains(['\\', '%']);
    if tame && let Some(response) = file(&app.assets, path, &headers) {
        return response;
    }
    // A missing file must not be answered with the page: scripts would fail in riddles. A dot alone makes no file, ids
    // and names of artifacts have them.
    if path != "index.html" && (!tame || mime_of(path) != OTHER) {
        return (StatusCode::NOT_FOUND, "not found\n").into_response();
    }
    file(&app.assets, "index.html", &headers)
        .unwrap_or_else(|| (StatusCode::SERVICE_UNAVAILABLE, Html(include_str!("no_page.html"))).into_response())
}

fn file(assets: &Assets, path: &str, headers: &HeaderMap) -> Option<Response> {
    let (bytes, mime) = (assets.lookup)(path)?;
    let tag = assets.tag(path, &bytes);
    let caching = if is_hashed(path) { "public, max-age=31536000, immutable" } else { "no-cache" };
    let known = headers.get(header::IF_NONE_MATCH).is_some_and(|known| {
        known.to_str().is_ok_and(|known| known.split(',').any(|one| one.trim().as_bytes() == tag.as_bytes()))
    });
    let mut response = if known {
        StatusCode::NOT_MODIFIED.into_response()
    } else {
        let bytes = match bytes {
            Cow::Borrowed(bytes) => Bytes::from_static(bytes),
            Cow::Owned(bytes) => Bytes::from(bytes),
        };
        Body::from(bytes).into_response()
    };
    let mime = HeaderValue::from_str(&mime).unwrap_or(HeaderValue::from_static(OTHER));
    response.headers_mut().insert(header::CONTENT_TYPE, mime);
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static(caching));
    response.headers_mut().insert(header::ETAG, tag);
    Some(response)
}

/// A name with a content hash in it, such as `app-0123456789abcdef.js`: under this name nothing else ever comes.
fn is_hashed(path: &str) -> bool {
    let name = path.rsplit('/').next().unwrap_or(path);
    let stem = name.split('.').next().unwrap_or(name);
    stem.rsplit_once('-')
        .is_some_and(|(_, hash)| hash.len() >= 12 && hash.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f')))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_with_a_hash_are_kept_for_ever() {
        for (path, hashed) in [
            ("swoop_bg.wasm", false),
            ("index.html", false),
            ("app-0123456789ab.js", true),
            ("css/app-0123456789abcdef.css", true),
            ("live-query.css", false),
            ("falcon-deadbeef.svg", false),
        ] {
            assert_eq!(is_hashed(path), hashed, "{path}");
        }
    }
}
