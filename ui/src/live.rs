//! The live WebSocket: one for the whole page. It reconnects with back-off, and asks again for all that was watched.

use std::{cell::RefCell, collections::BTreeMap, rc::Rc};

use leptos::prelude::*;
use protocol::api::{LiveEvent, LiveRequest, Topic};
use wasm_bindgen::{JsCast, prelude::Closure};
use web_sys::{CloseEvent, Event, MessageEvent, WebSocket};

use crate::{api::Api, settings::now_ms, text};

const FIRST_DELAY_MS: u64 = 250;
const LONGEST_DELAY_MS: u64 = 10_000;

/// Whether what is on screen is what is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Link {
    /// The first attempt is under way.
    Connecting,
    Up,
    /// What is on screen is as of `since_ms`; the next attempt is at `retry_ms`.
    Down {
        since_ms: u64,
        retry_ms: u64,
    },
}

/// The one connection; pages watch topics through it.
#[derive(Clone, Copy)]
pub struct Live {
    inner: StoredValue<Rc<RefCell<Inner>>, LocalStorage>,
    link: RwSignal<Link>,
    api: Api,
}

type Handler = Rc<dyn Fn(LiveEvent)>;

#[derive(Default)]
struct Inner {
    socket: Option<Socket>,
    watches: BTreeMap<u32, (Topic, Handler)>,
    last_id: u32,
    failures: u32,
    down_since: Option<u64>,
    timer: Option<TimeoutHandle>,
    ended: bool,
}

/// A socket and what listens to it: they live and die together.
struct Socket {
    socket: WebSocket,
    _on_open: Closure<dyn Fn(Event)>,
    _on_message: Closure<dyn Fn(MessageEvent)>,
    _on_close: Closure<dyn Fn(CloseEvent)>,
}

impl Drop for Socket {
    fn drop(&mut self) {
        self.socket.set_onopen(None);
        self.socket.set_onmessage(None);
        self.socket.set_onclose(None);
        // Closing what is closed already is no error that anyone could act on.
        let _ = self.socket.close();
    }
}

impl Live {
    /// Connects now; ends with the owner that it was made under.
    pub fn start(api: Api) -> Self {
        let live = Self { inner: StoredValue::new_local(Rc::default()), link: RwSignal::new(Link::Connecting), api };
        live.connect();
        // A machine that wakes up or comes back to its network need not wait for the back-off.
        let online = window_event_listener_untyped("online", move |_| live.reconnect_now());
        on_cleanup(move || {
            online.remove();
            live.end();
        });
        live
    }

    pub fn link(self) -> Signal<Link> {
        self.link.into()
    }

    /// Watches `topic` as it changes, and nothing while it is None, until the current owner ends.
    ///
    /// Each change is a new watch: what was under way for the one before is not taken for the new one's.
    pub fn watch(self, topic: impl Fn() -> Option<Topic> + 'static, handle: impl Fn(LiveEvent) + 'static) {
        let handle: Handler = Rc::new(handle);
        let current = StoredValue::new(None::<u32>);
        Effect::new(move |before: Option<Option<Topic>>| {
            let topic = topic();
            if before.as_ref() != Some(&topic) {
                let id = topic.clone().map(|topic| self.add(topic, Rc::clone(&handle)));
                if let Some(before) = current.get_value() {
                    self.remove(before);
                }
                current.set_value(id.flatten());
            }
            topic
        });
        on_cleanup(move || {
            if let Some(Some(id)) = current.try_get_value() {
                self.remove(id);
            }
        });
    }

    pub fn reconnect_now(self) {
        if let Some(inner) = self.inner() {
            if self.link.get_untracked() == Link::Up {
                return;
            }
            inner.borrow_mut().failures = 0;
            self.connect();
        }
    }

    fn inner(self) -> Option<Rc<RefCell<Inner>>> {
        self.inner.try_with_value(Rc::clone)
    }

    fn add(self, topic: Topic, handler: Handler) -> Option<u32> {
        let inner = self.inner()?;
        let mut inner = inner.borrow_mut();
        inner.last_id += 1;
        let id = inner.last_id;
        inner.send(&LiveRequest::Watch { id, topic: topic.clone() });
        inner.watches.insert(id, (topic, handler));
        Some(id)
    }

    fn remove(self, id: u32) {
        if let Some(inner) = self.inner() {
            let mut inner = inner.borrow_mut();
            inner.watches.remove(&id);
            inner.send(&LiveRequest::Unwatch { id });
        }
    }

    fn connect(self) {
        let Some(inner) = self.inner() else { return };
        if inner.borrow().ended {
            return;
        }
        if let Some(timer) = inner.borrow_mut().timer.take() {
            timer.clear();
        }
        let location = window().location();
        let (Ok(protocol), Ok(host)) = (location.protocol(), location.host()) else { return };
        let scheme = if protocol == "https:" { "wss" } else { "ws" };
        let Ok(socket) = WebSocket::new(&format!("{scheme}://{host}/api/live")) else {
            self.lost();
            return;
        };
        let on_open = Closure::new(move |_: Event| self.opened());
        let on_message = Closure::new(move |event: MessageEvent| self.received(&event));
        let on_close = Closure::new(move |_: CloseEvent| self.lost());
        socket.set_onopen(Some(on_open.as_ref().unchecked_ref()));
        socket.set_onmessage(Some(on_message.as_ref().unchecked_ref()));
        socket.set_onclose(Some(on_close.as_ref().unchecked_ref()));
        inner.borrow_mut().socket =
            Some(Socket { socket, _on_open: on_open, _on_message: on_message, _on_close: on_close });
    }

    fn opened(self) {
        let Some(inner) = self.inner() else { return };
        {
            let mut inner = inner.borrow_mut();
            inner.failures = 0;
            inner.down_since = None;
            for (&id, (topic, _)) in &inner.watches {
                inner.send(&LiveRequest::Watch { id, topic: topic.clone() });
            }
        }
        self.link.try_set(Link::Up);
    }

    fn received(self, event: &MessageEvent) {
        let Some(text) = event.data().as_string() else { return };
        let event: LiveEvent = match serde_json::from_str(&text) {
            Ok(event) => event,
            Err(error) => {
                leptos::logging::warn!("an event of a shape that this page does not know: {error}");
                return;
            }
        };
        let Some(inner) = self.inner() else { return };
        // Cloned out, so that a handler may watch something else.
        let handler = inner.borrow().watches.get(&event_id(&event)).map(|(_, handler)| Rc::clone(handler));
        if let Some(handler) = handler {
            handler(event);
        }
    }

    fn lost(self) {
        let Some(inner) = self.inner() else { return };
        let (since_ms, delay) = {
            let mut inner = inner.borrow_mut();
            if inner.ended {
                return;
            }
            let since = *inner.down_since.get_or_insert_with(now_ms);
            let longest = (FIRST_DELAY_MS << inner.failures.min(10)).min(LONGEST_DELAY_MS);
            inner.failures = inner.failures.saturating_add(1);
            // Half fixed, half by chance: pages that lost the hub together do not come back together.
            let delay = longest / 2 + (js_sys::Math::random() * (longest / 2) as f64) as u64;
            inner.timer = set_timeout_with_handle(move || self.connect(), std::time::Duration::from_millis(delay)).ok();
            (since, delay)
        };
        self.link.try_set(Link::Down { since_ms, retry_ms: now_ms() + delay });
        // A browser does not say why a socket was refused: the session may be over.
        leptos::task::spawn_local(self.api.refresh_session());
    }

    fn end(self) {
        if let Some(inner) = self.inner() {
            let mut inner = inner.borrow_mut();
            inner.ended = true;
            inner.socket = None;
            if let Some(timer) = inner.timer.take() {
                timer.clear();
            }
        }
    }
}

impl Inner {
    /// While the socket is not open nothing is lost: all topics are sent when it opens.
    fn send(&self, request: &LiveRequest) {
        if let Some(Socket { socket, .. }) = &self.socket
            && socket.ready_state() == WebSocket::OPEN
            && let Ok(json) = serde_json::to_string(request)
        {
            // A send fails only on a socket that is closing, and then all is sent again on the next.
            let _ = socket.send_with_str(&json);
        }
    }
}

fn event_id(event: &LiveEvent) -> u32 {
    match event {
        LiveEvent::Status { id, .. }
        | LiveEvent::Hunt { id, .. }
        | LiveEvent::Flow { id, .. }
        | LiveEvent::Rows { id, .. }
        | LiveEvent::Clients { id }
        | LiveEvent::Hunts { id }
        | LiveEvent::Error { id, .. } => *id,
    }
}

/// What to tell a person about a link that is not up.
pub fn link_words(link: Link, now_ms: u64, utc: bool) -> Option<String> {
    match link {
        Link::Up => None,
        Link::Connecting => Some("connecting to the hub".into()),
        Link::Down { since_ms, retry_ms } => {
            let wait = retry_ms.saturating_sub(now_ms).div_ceil(1000);
            let next = if wait == 0 { "trying again now".into() } else { format!("next try in {wait} s") };
            Some(format!("live link down since {}: {next}", text::clock(since_ms, utc)))
        }
    }
}
