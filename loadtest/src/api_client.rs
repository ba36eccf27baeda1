//! A small client of the hub's interface for people: what the swarm, the demo and the command line ask with.

use std::net::SocketAddr;

use anyhow::{Context, bail};
use bytes::Bytes;
use futures_util::{SinkExt, StreamExt};
use http_body_util::{BodyExt, Full};
use hyper::{
    Method, Request, Response, StatusCode,
    body::Incoming,
    header::{CONTENT_TYPE, COOKIE, HOST, ORIGIN, SET_COOKIE},
};
use hyper_util::rt::TokioIo;
use protocol::api::{ApiError, CSRF_HEADER, LiveEvent, LiveRequest, LoginOnce, Me, SESSION_COOKIE};
use serde::{Serialize, de::DeserializeOwned};
use tokio::net::TcpStream;
use tokio_tungstenite::{
    MaybeTlsStream, WebSocketStream,
    tungstenite::{Message, client::IntoClientRequest},
};

/// A logged-in session with a hub on this machine.
#[derive(Clone, Debug)]
pub struct ApiClient {
    address: SocketAddr,
    cookie: String,
    csrf: String,
}

impl ApiClient {
    /// Logs in with a token that lets in once.
    pub async fn login_once(address: SocketAddr, token: &str) -> anyhow::Result<Self> {
        let mut client = Self { address, cookie: String::new(), csrf: String::new() };
        let body = serde_json::to_vec(&LoginOnce { token: token.into() })?;
        let response = client.send(Method::POST, "/api/login/once", Some(body.into())).await?;
        let cookie = response
            .headers()
            .get_all(SET_COOKIE)
            .iter()
            .filter_map(|value| value.to_str().ok()?.split(';').next())
            .find(|pair| pair.starts_with(SESSION_COOKIE))
            .map(str::to_owned);
        let me: Me = read(response).await?;
        client.cookie = cookie.context("the hub set no session cookie")?;
        client.csrf = me.csrf_token;
        Ok(client)
    }

    pub async fn get<T: DeserializeOwned>(&self, path: &str) -> anyhow::Result<T> {
        read(self.send(Method::GET, path, None).await?).await
    }

    pub async fn post<T: DeserializeOwned>(&self, path: &str, body: &impl Serialize) -> anyhow::Result<T> {
        let body = serde_json::to_vec(body)?;
        read(self.send(Method::POST, path, Some(body.into())).await?).await
    }

    /// The body as it is, such as a download.
    pub async fn download(&self, path: &str) -> anyhow::Result<Bytes> {
        let response = self.send(Method::GET, path, None).await?;
        let status = response.status();
        let body = response.into_body().collect().await?.to_bytes();
        if !status.is_success() {
            bail!("{path}: HTTP status {status}: {}", String::from_utf8_lossy(&body));
        }
        Ok(body)
    }

    /// The live interface.
    pub async fn live(&self) -> anyhow::Result<Live> {
        let mut request = format!("ws://{}/api/live", self.address).into_client_request()?;
        let headers = request.headers_mut();
        headers.insert(COOKIE, self.cookie.parse()?);
        headers.insert(ORIGIN, format!("http://{}", self.address).parse()?);
        let (socket, _) = tokio_tungstenite::connect_async(request).await.context("the live interface")?;
        Ok(Live { socket })
    }

    async fn send(&self, method: Method, path: &str, body: Option<Bytes>) -> anyhow::Result<Response<Incoming>> {
        let stream = TcpStream::connect(self.address).await.with_context(|| {
            format!("the hub's interface at {} cannot be reached; is the hub running?", self.address)
        })?;
        stream.set_nodelay(true)?;
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
        tokio::spawn(connection);
        let mut request = Request::builder().method(method).uri(path).header(HOST, self.address.to_string());
        if !self.cookie.is_empty() {
            request = request.header(COOKIE, &self.cookie).header(CSRF_HEADER, &self.csrf);
        }
        if body.is_some() {
            request = request.header(CONTENT_TYPE, "application/json");
        }
        Ok(sender.send_request(request.body(Full::new(body.unwrap_or_default()))?).await?)
    }
}

async fn read<T: DeserializeOwned>(response: Response<Incoming>) -> anyhow::Result<T> {
    let status = response.status();
    let body = response.into_body().collect().await?.to_bytes();
    if status.is_success() {
        let body: &[u8] = if status == StatusCode::NO_CONTENT || body.is_empty() { b"null" } else { &body };
        return serde_json::from_slice(body).context("the hub's answer is not of the expected form");
    }
    match serde_json::from_slice::<ApiError>(&body) {
        Ok(ApiError { message, hint: Some(hint), .. }) => bail!("{message} ({hint})"),
        Ok(ApiError { message, .. }) => bail!("{message}"),
        Err(_) => bail!("the hub answers with HTTP status {status}"),
    }
}

/// An open live interface.
#[derive(Debug)]
pub struct Live {
    socket: WebSocketStream<MaybeTlsStream<TcpStream>>,
}

impl Live {
    pub async fn send(&mut self, request: &LiveRequest) -> anyhow::Result<()> {
        Ok(self.socket.send(Message::text(serde_json::to_string(request)?)).await?)
    }

    /// None when the hub has closed the interface.
    pub async fn next(&mut self) -> anyhow::Result<Option<LiveEvent>> {
        while let Some(message) = self.socket.next().await {
            match message? {
                Message::Text(text) => return Ok(Some(serde_json::from_str(&text)?)),
                Message::Close(_) => return Ok(None),
                _ => {}
            }
        }
        Ok(None)
    }
}
