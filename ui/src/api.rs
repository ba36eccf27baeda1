//! The hub's HTTP interface: one function for each call, one error for all of them.

use gloo_net::http::{Request, RequestBuilder, Response};
use js_sys::encode_uri_component;
use leptos::prelude::*;
use protocol::{
    ClientId, FlowId, HuntId,
    api::{
        ApiError, ArtifactSummary, CSRF_HEADER, Check, ClientDetail, ClientPage, ClientSummary, Complete, Completion,
        FlowSummary, HuntClientPage, HuntClientState, HuntSummary, LabelChange, Login, LoginOnce, Me, NewFlow, NewHunt,
        QueryDiagnostic, RowPage,
    },
};
use serde::{Serialize, de::DeserializeOwned};

/// Whether somebody is logged in. The session itself is a cookie that the page cannot read.
#[derive(Clone, Debug, PartialEq)]
pub enum Session {
    /// Not yet asked.
    Unknown,
    /// Nobody, and why if there is something to say.
    Out(Option<CallError>),
    In(Me),
}

/// Why a call gave no answer.
#[derive(Clone, Debug, PartialEq)]
pub enum CallError {
    /// The hub did not answer at all.
    Unreachable { path: String, reason: String },
    /// The hub said no.
    Refused { path: String, status: u16, error: ApiError },
    /// The hub's answer is not of the agreed shape: page and hub are of different versions.
    Unreadable { path: String, reason: String },
}

impl CallError {
    /// What happened, for people.
    pub fn message(&self) -> String {
        match self {
            Self::Unreachable { .. } => "The hub does not answer.".into(),
            Self::Refused { error, .. } => error.message.clone(),
            Self::Unreadable { .. } => "The hub's answer is not one that this page knows.".into(),
        }
    }

    /// What to do now.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Unreachable { .. } => {
                Some("Check that it runs and that this machine reaches it; then try again.".into())
            }
            Self::Refused { error, .. } => error.hint.clone(),
            Self::Unreadable { .. } => Some("Load the page again: the hub may have been updated.".into()),
        }
    }

    /// All that is known, for a bug report.
    pub fn details(&self) -> String {
        match self {
            Self::Unreachable { path, reason } => format!("{path}: no answer: {reason}"),
            Self::Refused { path, status, error } => {
                let hint = error.hint.as_deref().map(|hint| format!(" ({hint})")).unwrap_or_default();
                format!("{path}: {status} {}: {}{hint}", error.code, error.message)
            }
            Self::Unreadable { path, reason } => format!("{path}: unreadable answer: {reason}"),
        }
    }
}

type Answer<T> = Result<T, CallError>;

/// The calls. A copy is as good as the original.
#[derive(Clone, Copy)]
pub struct Api {
    session: RwSignal<Session>,
}

impl Api {
    pub fn new() -> Self {
        Self { session: RwSignal::new(Session::Unknown) }
    }

    pub fn session(self) -> Signal<Session> {
        self.session.into()
    }

    /// Asks who is logged in, and notes it. When the hub is away, what was known stays.
    pub async fn refresh_session(self) {
        match self.get::<Me>("/api/me").await {
            Ok(me) => self.session.set(Session::In(me)),
            Err(CallError::Refused { status: 401, .. }) => {}
            Err(error) => {
                if self.session.with_untracked(|session| *session == Session::Unknown) {
                    self.session.set(Session::Out(Some(error)));
                }
            }
        }
    }

    pub async fn login(self, login: &Login) -> Answer<()> {
        let me = self.post("/api/login", login).await?;
        self.session.set(Session::In(me));
        Ok(())
    }

    /// A token that is used up is no reason to turn away who has a session already.
    pub async fn login_once(self, token: String) {
        match self.post("/api/login/once", &LoginOnce { token }).await {
            Ok(me) => self.session.set(Session::In(me)),
            Err(refused) => {
                self.refresh_session().await;
                if !matches!(self.session.get_untracked(), Session::In(_)) {
                    self.session.set(Session::Out(Some(refused)));
                }
            }
        }
    }

    pub async fn logout(self) -> Answer<()> {
        self.send(self.changing(Request::post("/api/logout")), "/api/logout", None).await?;
        self.session.set(Session::Out(None));
        Ok(())
    }

    pub async fn clients(self, q: &str, offset: u64, limit: u32) -> Answer<ClientPage> {
        let q = encode_uri_component(q);
        self.get(&format!("/api/clients?q={q}&offset={offset}&limit={limit}")).await
    }

    pub async fn client(self, client: ClientId) -> Answer<ClientDetail> {
        self.get(&format!("/api/clients/{client}")).await
    }

    pub async fn change_labels(self, client: ClientId, change: &LabelChange) -> Answer<ClientSummary> {
        self.post(&format!("/api/clients/{client}/labels"), change).await
    }

    pub async fn flows(self, client: ClientId) -> Answer<Vec<FlowSummary>> {
        self.get(&format!("/api/clients/{client}/flows")).await
    }

    pub async fn start_flow(self, client: ClientId, flow: &NewFlow) -> Answer<FlowSummary> {
        self.post(&format!("/api/clients/{client}/flows"), flow).await
    }

    pub async fn cancel_flow(self, client: ClientId, flow: FlowId) -> Answer<FlowSummary> {
        self.post(&format!("/api/clients/{client}/flows/{flow}/cancel"), &()).await
    }

    pub async fn flow_log(self, client: ClientId, flow: FlowId, from: u64, limit: u32) -> Answer<RowPage> {
        self.get(&format!("/api/clients/{client}/flows/{flow}/log?from={from}&limit={limit}")).await
    }

    pub async fn hunts(self) -> Answer<Vec<HuntSummary>> {
        self.get("/api/hunts").await
    }

    pub async fn create_hunt(self, hunt: &NewHunt) -> Answer<HuntSummary> {
        self.post("/api/hunts", hunt).await
    }

    /// `action` is `run`, `pause` or `stop`.
    pub async fn change_hunt(self, hunt: HuntId, action: &'static str) -> Answer<HuntSummary> {
        self.post(&format!("/api/hunts/{hunt}/{action}"), &()).await
    }

    pub async fn hunt_clients(
        self,
        hunt: HuntId,
        state: Option<HuntClientState>,
        offset: u64,
        limit: u32,
    ) -> Answer<HuntClientPage> {
        let state = state.map(|state| format!("&state={}", state_word(state))).unwrap_or_default();
        self.get(&format!("/api/hunts/{hunt}/clients?offset={offset}&limit={limit}{state}")).await
    }

    pub async fn hunt_rows(self, hunt: HuntId, source: u16, from: u64, limit: u32) -> Answer<RowPage> {
        self.get(&format!("/api/hunts/{hunt}/rows?source={source}&from={from}&limit={limit}")).await
    }

    pub async fn artifacts(self) -> Answer<Vec<ArtifactSummary>> {
        self.get("/api/artifacts").await
    }

    /// What is wrong with a query that is being typed.
    pub async fn check(self, text: String) -> Answer<Vec<QueryDiagnostic>> {
        self.post("/api/vql/check", &Check { text }).await
    }

    /// What may stand at `cursor` (bytes) of a query that is being typed.
    pub async fn complete(self, text: String, cursor: u32) -> Answer<Completion> {
        self.post("/api/vql/complete", &Complete { text, cursor }).await
    }

    async fn get<T: DeserializeOwned>(self, path: &str) -> Answer<T> {
        let text = self.send(Request::get(path), path, None).await?;
        read(path, &text)
    }

    async fn post<T: DeserializeOwned>(self, path: &str, body: &impl Serialize) -> Answer<T> {
        let body = serde_json::to_string(body)
            .map_err(|error| CallError::Unreadable { path: path.into(), reason: error.to_string() })?;
        let text = self.send(self.changing(Request::post(path)), path, Some(body)).await?;
        read(path, &text)
    }

    fn changing(self, request: RequestBuilder) -> RequestBuilder {
        match self.session.get_untracked() {
            Session::In(me) => request.header(CSRF_HEADER, &me.csrf_token),
            Session::Unknown | Session::Out(_) => request,
        }
    }

    async fn send(self, request: RequestBuilder, path: &str, body: Option<String>) -> Answer<String> {
        let unreachable =
            |error: gloo_net::Error| CallError::Unreachable { path: path.into(), reason: error.to_string() };
        let request = match body {
            Some(body) => request.header("content-type", "application/json").body(body),
            None => request.build(),
        };
        let response: Response = request.map_err(unreachable)?.send().await.map_err(unreachable)?;
        let text = response.text().await.map_err(unreachable)?;
        if response.ok() {
            return Ok(text);
        }
        let status = response.status();
        let error = serde_json::from_str(&text).unwrap_or_else(|_| ApiError {
            code: "unknown".into(),
            message: format!("The hub answered {status} {}.", response.status_text()),
            hint: None,
            diagnostics: Vec::new(),
        });
        let error = CallError::Refused { path: path.into(), status, error };
        if status == 401 && !path.starts_with("/api/login") {
            let was_in = matches!(self.session.get_untracked(), Session::In(_));
            self.session.set(Session::Out(was_in.then(|| error.clone())));
        }
        Err(error)
    }
}

/// The address of a hunt's rows as a file.
pub fn hunt_download(hunt: HuntId, source: u16, format: &str) -> String {
    format!("/api/hunts/{hunt}/download?source={source}&format={format}")
}

/// The address of a flow's rows as a file.
pub fn flow_download(client: ClientId, flow: FlowId, source: u16, format: &str) -> String {
    format!("/api/clients/{client}/flows/{flow}/download?source={source}&format={format}")
}

pub fn flow_upload(client: ClientId, flow: FlowId, upload: u32) -> String {
    format!("/api/clients/{client}/flows/{flow}/uploads/{upload}")
}

pub fn state_word(state: HuntClientState) -> &'static str {
    match state {
        HuntClientState::Waiting => "waiting",
        HuntClientState::Offered => "offered",
        HuntClientState::Running => "running",
        HuntClientState::Answered => "answered",
        HuntClientState::Failed => "failed",
    }
}

fn read<T: DeserializeOwned>(path: &str, text: &str) -> Answer<T> {
    serde_json::from_str(text).map_err(|error| CallError::Unreadable { path: path.into(), reason: error.to_string() })
}
