//! `/api/live`: tells a page what it watches, at once and whenever it changes.
//!
//! One task serves one socket. Each watch has a receiver of the hub's "this changed", which holds no data and merges by
//! itself; what is sent is read when it is sent. So a slow browser costs nothing: while one event is on its way to it,
//! changes merge, and the next event is what is true then.
//!
//! Events of one watch keep [`MERGE`] between them. The first rows of a view do not wait for it.

use std::{collections::BTreeMap, future::pending, time::Duration};

use axum::{
    extract::{
        State,
        ws::{CloseFrame, Message, WebSocket, WebSocketUpgrade, rejection::WebSocketUpgradeRejection},
    },
    http::StatusCode,
    response::Response,
};
use futures_util::future::select_all;
use protocol::api::{ApiError, LiveEvent, LiveRequest, MAX_PAGE, RowView, Topic};
use tokio::{
    select,
    sync::watch,
    time::{Instant, interval_at, sleep_until, timeout},
};

use super::{
    App,
    error::Failure,
    extract::Caller,
    rows::{self, Of, ResultSet},
};
use crate::auth::Login;

/// Between two events of one watch.
const MERGE: Duration = Duration::from_millis(50);

/// Watches of one socket.
const MAX_WATCHES: usize = 64;

/// A request is a line of JSON.
const MAX_REQUEST: usize = 16 << 10;

/// The hub pings so often, and looks whether the login still holds.
const PING: Duration = Duration::from_secs(20);

/// A browser that takes nothing for so long is gone.
const SEND_TIMEOUT: Duration = Duration::from_secs(30);

/// Pings without any sign of life after which a browser is gone.
const MAX_SILENT: u32 = 3;

/// Close codes, see RFC 6455 section 7.4: the page asks for a login after this one, and dials again after others.
const LOGIN_ENDED: u16 = 4401;
const GOING_AWAY: u16 = 1001;

pub(super) async fn open(
    State(app): State<App>,
    Caller(login): Caller,
    upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
) -> Result<Response, Failure> {
    let upgrade = upgrade.map_err(|error| {
        Failure::new(StatusCode::UPGRADE_REQUIRED, "not_a_websocket", error.body_text(), "Open it as a WebSocket.")
    })?;
    let Ok(permit) = app.live.clone().try_acquire_owned() else {
        return Err(Failure::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "too_many_live",
            "Too many pages are open on this hub.",
            "Close some, and try again.",
        ));
    };
    let running = app.tasks.token();
    Ok(upgrade.max_message_size(MAX_REQUEST).max_frame_size(MAX_REQUEST).on_upgrade(move |socket| async move {
        let mut live = Live { app, login, socket };
        if let Err(End::Close { code, reason }) = live.run().await {
            let frame = CloseFrame { code, reason: reason.into() };
            // A courtesy: whoever does not take it sees the connection end.
            let _ = timeout(Duration::from_secs(1), live.socket.send(Message::Close(Some(frame)))).await;
        }
        drop((permit, running));
    }))
}

struct Live {
    app: App,
    login: Login,
    socket: WebSocket,
}

/// Why a socket ends.
enum End {
    /// The browser has gone.
    Gone,
    Close {
        code: u16,
        reason: &'static str,
    },
}

impl Live {
    async fn run(&mut self) -> Result<(), End> {
        let mut watches: BTreeMap<u32, Watch> = BTreeMap::new();
        let mut ping = interval_at(Instant::now() + PING, PING);
        let mut silent = 0;
        loop {
            select! {
                end = ending(&self.app, &self.login) => return Err(end),
                message = self.socket.recv() => {
                    silent = 0;
                    match message {
                        Some(Ok(Message::Text(text))) => self.request(&mut watches, text.as_str()).await?,
                        Some(Ok(Message::Binary(_))) => self.send(&not_understood("it is binary")).await?,
                        Some(Ok(Message::Ping(_) | Message::Pong(_))) => {}
                        Some(Ok(Message::Close(_)) | Err(_)) | None => return Err(End::Gone),
                    }
                }
                _ = ping.tick() => {
                    silent += 1;
                    if silent > MAX_SILENT {
                        return Err(End::Gone);
                    }
                    if !self.app.auth.holds(&self.login).await {
                        return Err(End::Close { code: LOGIN_ENDED, reason: "the login has ended" });
                    }
                    self.deliver(Message::Ping(bytes::Bytes::new())).await?;
                }
                id = next_due(&mut watches) => self.tell(&mut watches, id).await?,
            }
        }
    }

    async fn request(&mut self, watches: &mut BTreeMap<u32, Watch>, text: &str) -> Result<(), End> {
        match serde_json::from_str(text) {
            Ok(LiveRequest::Watch { id, topic }) => {
                watches.remove(&id);
                if watches.len() >= MAX_WATCHES {
                    let failure = Failure::new(
                        StatusCode::BAD_REQUEST,
                        "too_many_watches",
                        format!("A page watches at most {MAX_WATCHES} things."),
                        "",
                    );
                    return self.send(&LiveEvent::Error { id, error: failure.into_error() }).await;
                }
                // Subscribed before it is read: nothing falls between.
                match Watch::open(&self.app, topic).await {
                    Ok(watch) => {
                        watches.insert(id, watch);
                        self.tell(watches, id).await
                    }
                    Err(failure) => self.send(&LiveEvent::Error { id, error: failure.into_error() }).await,
                }
            }
            Ok(LiveRequest::Unwatch { id }) => {
                watches.remove(&id);
                Ok(())
            }
            Err(error) => self.send(&not_understood(&error.to_string())).await,
        }
    }

    /// Sends what the watch has to say now. A watch that cannot be read any more ends with its error.
    async fn tell(&mut self, watches: &mut BTreeMap<u32, Watch>, id: u32) -> Result<(), End> {
        let Some(watch) = watches.get_mut(&id) else { return Ok(()) };
        match self.try_tell(watch, id).await {
            Ok(()) => Ok(()),
            Err(Broken::End(end)) => Err(end),
            Err(Broken::Failure(failure)) => {
                watches.remove(&id);
                self.send(&LiveEvent::Error { id, error: failure.into_error() }).await
            }
        }
    }

    async fn try_tell(&mut self, watch: &mut Watch, id: u32) -> Result<(), Broken> {
        let now = Instant::now();
        let first = watch.told.is_none();
        let due = watch.told.is_none_or(|told| now >= told + MERGE);
        // Seen before it is read: what changes while it is read is news again.
        watch.receiver.borrow_and_update();
        watch.look = false;
        if first {
            self.tell_summary(watch, id).await?;
        }
        let rows = self.tell_rows(watch, id).await?;
        if !first && (due || rows) {
            self.tell_summary(watch, id).await?;
        }
        if due || rows {
            watch.told = Some(now);
            watch.news = false;
        }
        Ok(())
    }

    async fn tell_summary(&mut self, watch: &Watch, id: u32) -> Result<(), Broken> {
        let event = match watch.topic {
            Topic::Status => LiveEvent::Status { id, status: self.app.hub.status() },
            Topic::Clients => LiveEvent::Clients { id },
            Topic::Hunts => LiveEvent::Hunts { id },
            Topic::Hunt { hunt_id, .. } => {
                LiveEvent::Hunt { id, hunt: self.app.hub(move |hub| hub.hunt(hunt_id)).await? }
            }
            Topic::Flow { client_id, flow_id, .. } => {
                LiveEvent::Flow { id, flow: self.app.hub(move |hub| hub.flow(client_id, flow_id)).await? }
            }
        };
        Ok(self.send(&event).await?)
    }

    /// Sends rows of the view that were not sent before: whether there were any.
    async fn tell_rows(&mut self, watch: &mut Watch, id: u32) -> Result<bool, Broken> {
        watch.more = false;
        let Some(view) = &mut watch.view else { return Ok(false) };
        let (set, from, left) = (view.set, view.next, view.end - view.next);
        if left == 0 {
            return Ok(false);
        }
        let page = self.app.hub(move |hub| set.read(hub, from, left as u32)).await?;
        let rows = rows::count(&page);
        if rows == 0 {
            return Ok(false);
        }
        view.next += rows;
        view.begun = true;
        // A page that its size has cut goes on as soon as requests had their turn.
        watch.more = view.next < view.end.min(page.total);
        self.send(&LiveEvent::Rows { id, page }).await?;
        Ok(true)
    }

    async fn send(&mut self, event: &LiveEvent) -> Result<(), End> {
        match serde_json::to_string(event) {
            Ok(text) => self.deliver(Message::Text(text.into())).await,
            Err(error) => {
                tracing::error!(%error, "an event cannot be written");
                Err(End::Gone)
            }
        }
    }

    /// Waits until the browser has taken it, or for a reason to give up.
    async fn deliver(&mut self, message: Message) -> Result<(), End> {
        select! {
            end = ending(&self.app, &self.login) => Err(end),
            sent = timeout(SEND_TIMEOUT, self.socket.send(message)) => match sent {
                Ok(Ok(())) => Ok(()),
                Ok(Err(_)) | Err(_) => Err(End::Gone),
            },
        }
    }
}

enum Broken {
    End(End),
    Failure(Failure),
}

impl From<End> for Broken {
    fn from(end: End) -> Self {
        Self::End(end)
    }
}

impl From<Failure> for Broken {
    fn from(failure: Failure) -> Self {
        Self::Failure(failure)
    }
}

/// Waits for what ends the socket whatever else it does.
async fn ending(app: &App, login: &Login) -> End {
    select! {
        () = app.shutdown.cancelled() => End::Close { code: GOING_AWAY, reason: "the hub is shutting down" },
        () = login.ended.cancelled() => End::Close { code: LOGIN_ENDED, reason: "the login has ended" },
    }
}

fn not_understood(why: &str) -> LiveEvent {
    let error = ApiError {
        code: "bad_json".into(),
        message: format!("The live request is not understood: {why}"),
        hint: None,
        diagnostics: Vec::new(),
    };
    LiveEvent::Error { id: 0, error }
}

/// One thing that a page watches.
struct Watch {
    topic: Topic,
    receiver: watch::Receiver<u64>,
    view: Option<View>,
    /// When it was last told; None before the first time.
    told: Option<Instant>,
    /// There is something to tell.
    news: bool,
    /// There may be first rows, for which nobody looked yet.
    look: bool,
    /// The view has rows that did not fit into the last event.
    more: bool,
}

/// The rows in sight, and how far they were sent.
struct View {
    set: ResultSet,
    next: u64,
    end: u64,
    /// A row was sent.
    begun: bool,
}

impl View {
    fn new(of: Of, view: &RowView) -> Self {
        let end = view.from.saturating_add(u64::from(view.limit.min(MAX_PAGE)));
        Self { set: ResultSet { of, source: view.source }, next: view.from, end, begun: false }
    }

    fn is_eager(&self) -> bool {
        !self.begun && self.next < self.end
    }
}

impl Watch {
    async fn open(app: &App, topic: Topic) -> Result<Self, Failure> {
        let (receiver, view) = match &topic {
            Topic::Status => (app.hub.watch_status(), None),
            Topic::Clients => (app.hub.watch_clients(), None),
            Topic::Hunts => (app.hub.watch_hunts(), None),
            Topic::Hunt { hunt_id, view } => {
                let hunt = *hunt_id;
                let receiver = app.hub(move |hub| Ok(hub.watch_hunt(hunt))).await?;
                let receiver = receiver.ok_or_else(|| Failure::not_found(format!("hunt {hunt}")))?;
                (receiver, view.as_ref().map(|view| View::new(Of::Hunt(hunt), view)))
            }
            Topic::Flow { client_id, flow_id, view } => {
                let (client, flow) = (*client_id, *flow_id);
                let receiver = app.hub(move |hub| Ok(hub.watch_flow(client, flow))).await?;
                let receiver = receiver.ok_or_else(|| Failure::not_found(format!("flow {flow} of {client}")))?;
                (receiver, view.as_ref().map(|view| View::new(Of::Flow(client, flow), view)))
            }
        };
        Ok(Self { topic, receiver, view, told: None, news: true, look: true, more: false })
    }

    /// Waits until there is something to tell, and it is time to. Cancel-safe.
    async fn due(&mut self) {
        let eager = self.view.as_ref().is_some_and(View::is_eager);
        loop {
            if self.more || self.look && eager {
                return;
            }
            let next = self.told.map(|told| told + MERGE);
            let wait = async {
                match next {
                    Some(next) if Instant::now() < next => sleep_until(next).await,
                    _ => {}
                }
            };
            select! {
                biased;
                () = wait, if self.news => return,
                changed = self.receiver.changed(), if !self.news || eager => match changed {
                    Ok(()) => (self.news, self.look) = (true, true),
                    // The thing has gone, or the hub ends: there will be no more news.
                    Err(_) if self.news => {
                        if let Some(next) = next {
                            sleep_until(next).await;
                        }
                        return;
                    }
                    Err(_) => pending().await,
                },
            }
        }
    }
}

/// The watch that is due next.
async fn next_due(watches: &mut BTreeMap<u32, Watch>) -> u32 {
    if watches.is_empty() {
        return pending().await;
    }
    let waits = watches.iter_mut().map(|(&id, watch)| {
        Box::pin(async move {
            watch.due().await;
            id
        })
    });
    select_all(waits).await.0
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;
    use protocol::HuntId;

    use super::*;

    /// A watch that was told something and may be told more only in an hour; with a view of ten rows, none sent.
    fn told() -> (watch::Sender<u64>, Watch) {
        let (sender, receiver) = watch::channel(0);
        let view = View::new(Of::Hunt(HuntId(1)), &RowView { source: 0, from: 0, limit: 10 });
        let told = Some(Instant::now() + Duration::from_secs(3600));
        let watch =
            Watch { topic: Topic::Hunts, receiver, view: Some(view), told, news: false, look: false, more: false };
        (sender, watch)
    }

    fn is_due(watch: &mut Watch) -> bool {
        watch.due().now_or_never().is_some()
    }

    #[tokio::test]
    async fn first_rows_do_not_wait_and_others_do() {
        let (sender, mut watch) = told();
        assert!(!is_due(&mut watch), "nothing happened");
        sender.send_replace(1);
        assert!(is_due(&mut watch), "perhaps its first rows");

        // There were none: the news wait, but the next change is looked at again.
        watch.look = false;
        assert!(!is_due(&mut watch));
        sender.send_replace(2);
        assert!(is_due(&mut watch));

        // There was one: from now on all news wait for their time.
        (watch.look, watch.news) = (false, false);
        if let Some(view) = &mut watch.view {
            (view.next, view.begun) = (1, true);
        }
        sender.send_replace(3);
        assert!(!is_due(&mut watch) && watch.news);
        watch.told = Instant::now().checked_sub(MERGE);
        assert!(is_due(&mut watch));
    }

    #[tokio::test]
    async fn what_did_not_fit_goes_on_and_what_ended_is_quiet() {
        let (sender, mut watch) = told();
        watch.more = true;
        assert!(is_due(&mut watch));
        watch.more = false;
        drop(sender);
        assert!(!is_due(&mut watch));
        (watch.news, watch.told) = (true, None);
        assert!(is_due(&mut watch), "the last news are told");
    }
}
