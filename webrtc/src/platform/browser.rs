//! WebRTC of a browser.

mod channel;

use std::{
    cell::{Cell, RefCell},
    collections::VecDeque,
    future::Future,
    rc::{Rc, Weak},
    sync::Arc,
    task::{Context, Poll, Waker},
};

use bytes::Bytes;
use js_sys::{Array, JSON, JsString, Object, Promise, Reflect};
use send_wrapper::SendWrapper;
use wasm_bindgen::{JsCast, JsValue, closure::Closure};
use wasm_bindgen_futures::{JsFuture, spawn_local};
use web_sys::{
    RtcConfiguration, RtcDataChannel, RtcDataChannelEvent, RtcDataChannelInit, RtcIceCandidateInit,
    RtcPeerConnection, RtcPeerConnectionIceEvent, RtcPeerConnectionState, RtcSdpType,
    RtcSessionDescriptionInit,
};

use self::channel::Channel;
use crate::{
    Error, IceServer,
    backend::{Backend, BackendConnection, ChannelId, Command, Event, HANDSHAKE, INIT_LABEL},
    entries::Entries,
};

/// Bytes that have arrived and wait for the connection's task. A connection that has more is closed.
pub const MAX_QUEUED: usize = 16 * 1024 * 1024;
/// The same, counted in events.
pub const MAX_EVENTS: usize = 16 * 1024;

/// Makes connections with the browser's `RTCPeerConnection`.
#[derive(Debug, Clone)]
pub struct Browser {
    servers: Arc<[IceServer]>,
}

impl Browser {
    /// Makes one that asks these servers. Without any, peers reach it on the same link, and where they can be reached
    /// themselves.
    #[must_use]
    pub fn new(servers: &[IceServer]) -> Self {
        Self {
            servers: servers.into(),
        }
    }
}

impl Backend for Browser {
    type Connection = Connection;

    /// Some browsers have none, or a policy has taken it away.
    fn is_available(&self) -> bool {
        Reflect::has(&js_sys::global(), &"RTCPeerConnection".into()).unwrap_or(false)
    }

    fn open(&self) -> Result<Connection, Error> {
        if !self.is_available() {
            return Err(Error::Unavailable);
        }
        let config = RtcConfiguration::new();
        config.set_ice_servers(&self.servers.iter().map(to_js).collect::<Array>());
        let inner = RtcPeerConnection::new_with_configuration(&config)
            .map_err(|error| failed(&error))
            .map(Inner::new)?;
        Ok(Connection(SendWrapper::new(inner)))
    }
}

fn to_js(server: &IceServer) -> JsValue {
    let object = Object::new();
    let set = |key: &str, value: &str| {
        // An error means that it is no object.
        let _ = Reflect::set(&object, &key.into(), &value.into());
    };
    set("urls", &server.url);
    if let Some(username) = &server.username {
        set("username", username);
    }
    if let Some(credential) = &server.credential {
        set("credential", credential);
    }
    object.into()
}

/// A connection of a browser. It belongs to the thread that made it, which in a tab is the only one.
#[derive(Debug)]
pub struct Connection(SendWrapper<Inner>);

#[derive(Debug)]
struct Inner {
    peer: RtcPeerConnection,
    init: Option<RtcDataChannel>,
    shared: Rc<Shared>,
    _on_event: Closure<dyn FnMut(web_sys::Event)>,
}

/// What the browser's callbacks fill, and the connection's task empties.
#[derive(Debug, Default)]
struct Shared {
    events: RefCell<VecDeque<Event>>,
    queued: Cell<usize>,
    waker: RefCell<Option<Waker>>,
    channels: RefCell<Entries<ChannelId, Channel>>,
    opened: Cell<u32>,
}

impl Shared {
    fn push(&self, event: Event) {
        let mut events = self.events.borrow_mut();
        if let Event::Message(_, message) = &event {
            self.queued.set(self.queued.get() + message.len());
        }
        if self.queued.get() > MAX_QUEUED || events.len() >= MAX_EVENTS {
            events.clear();
            self.queued.set(0);
            let error = Error::Backend("more has arrived than can be kept".into());
            events.push_back(Event::Closed(error));
        } else {
            events.push_back(event);
        }
        drop(events);
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }

    fn pop(&self) -> Option<Event> {
        let event = self.events.borrow_mut().pop_front()?;
        match &event {
            Event::Message(_, message) => self.queued.set(self.queued.get() - message.len()),
            // Not in its own callback.
            Event::ChannelClosed(id) => drop(self.channels.borrow_mut().remove(id)),
            _ => {}
        }
        Some(event)
    }

    fn add_channel(self: &Rc<Self>, channel: RtcDataChannel) -> ChannelId {
        let id = ChannelId(self.opened.get().wrapping_add(1));
        self.opened.set(id.0);
        self.insert(id, channel);
        id
    }

    fn insert(self: &Rc<Self>, id: ChannelId, channel: RtcDataChannel) {
        let channel = Channel::new(id, channel, Rc::downgrade(self));
        self.channels.borrow_mut().insert(id, channel);
    }
}

impl Inner {
    fn new(peer: RtcPeerConnection) -> Self {
        let shared = Rc::<Shared>::default();
        let on_event = Closure::new(callback(peer.clone(), Rc::downgrade(&shared)));
        let function = on_event.as_ref().unchecked_ref();
        peer.set_onicecandidate(Some(function));
        peer.set_onconnectionstatechange(Some(function));
        peer.set_ondatachannel(Some(function));
        Self {
            peer,
            init: None,
            shared,
            _on_event: on_event,
        }
    }

    /// Describes this side, after `before` is done.
    fn describe(&self, before: Option<Promise>) {
        let peer = self.peer.clone();
        self.run(async move {
            if let Some(before) = before {
                JsFuture::from(before).await?;
            }
            // Without an argument it makes whatever is due, an offer or an answer.
            let nothing = JsValue::UNDEFINED.unchecked_into::<RtcSessionDescriptionInit>();
            JsFuture::from(peer.set_local_description(&nothing)).await?;
            let description = peer.local_description().map(|d| d.sdp());
            Ok(Event::Described(description.unwrap_or_default()))
        });
    }

    /// Describes this side with a user and password of ICE that are not its own.
    fn describe_as(&self, ufrag: String) {
        let peer = self.peer.clone();
        self.run(async move {
            let offer = JsFuture::from(peer.create_offer()).await?;
            let offer = offer.unchecked_into::<RtcSessionDescriptionInit>();
            let text = offer.get_sdp().unwrap_or_default();
            offer.set_sdp(&with_ufrag(&text, &ufrag));
            JsFuture::from(peer.set_local_description(&offer)).await?;
            let description = peer.local_description().map(|d| d.sdp());
            Ok(Event::Described(description.unwrap_or_default()))
        });
    }

    fn take_description(&self, kind: RtcSdpType, text: &str) -> Promise {
        let description = RtcSessionDescriptionInit::new(kind);
        description.set_sdp(text);
        self.peer.set_remote_description(&description)
    }

    /// Reports what comes of something that takes a while.
    fn run(&self, steps: impl Future<Output = Result<Event, JsValue>> + 'static) {
        let shared = Rc::downgrade(&self.shared);
        spawn_local(async move {
            let event = steps.await;
            let event = event.unwrap_or_else(|error| Event::Closed(failed(&error)));
            if let Some(shared) = shared.upgrade() {
                shared.push(event);
            }
        });
    }

    fn add_candidate(&self, json: &str) {
        let Ok(candidate) = JSON::parse(json) else {
            return;
        };
        let candidate = candidate.unchecked_into::<RtcIceCandidateInit>();
        let peer = &self.peer;
        let added = peer.add_ice_candidate_with_opt_rtc_ice_candidate_init(Some(&candidate));
        // One that it cannot use is as if it had not come.
        spawn_local(async move { drop(JsFuture::from(added).await) });
    }
}

/// A description with another user and password of ICE.
fn with_ufrag(description: &str, ufrag: &str) -> String {
    let mut changed = String::new();
    for line in description.lines() {
        let key = ["a=ice-ufrag:", "a=ice-pwd:"];
        match key.into_iter().find(|key| line.starts_with(key)) {
            Some(key) => changed.extend([key, ufrag]),
            None => changed.push_str(line),
        }
        changed.push_str("\r\n");
    }
    changed
}

/// What the browser calls about the connection.
fn callback(peer: RtcPeerConnection, shared: Weak<Shared>) -> impl FnMut(web_sys::Event) {
    move |event: web_sys::Event| {
        let Some(shared) = shared.upgrade() else {
            return;
        };
        match event.type_().as_str() {
            "icecandidate" => {
                let event = event.unchecked_into::<RtcPeerConnectionIceEvent>();
                let candidate = event.candidate().map(|candidate| candidate.to_json());
                let json = candidate.and_then(|json| JSON::stringify(&json).ok());
                if let Some(json) = json {
                    shared.push(Event::Candidate(json.into()));
                }
            }
            "datachannel" => {
                let channel = event.unchecked_into::<RtcDataChannelEvent>().channel();
                // That of the offer: its maker closes it.
                if channel.label() != INIT_LABEL {
                    let id = shared.add_channel(channel);
                    shared.push(Event::ChannelOpened(id));
                }
            }
            _ => match peer.connection_state() {
                RtcPeerConnectionState::Connected => shared.push(Event::Connected),
                RtcPeerConnectionState::Failed => shared.push(Event::Closed(Error::NoPath)),
                RtcPeerConnectionState::Closed => shared.push(Event::Closed(Error::Closed)),
                _ => {}
            },
        }
    }
}

impl BackendConnection for Connection {
    fn execute(&mut self, command: Command) {
        let inner = &mut *self.0;
        match command {
            Command::Offer => {
                inner.init = Some(inner.peer.create_data_channel(INIT_LABEL));
                inner.describe(None);
            }
            Command::OfferDirect { ufrag } => {
                let options = RtcDataChannelInit::new();
                options.set_negotiated(true);
                options.set_id(0);
                let channel = inner
                    .peer
                    .create_data_channel_with_data_channel_dict("", &options);
                inner.shared.insert(HANDSHAKE, channel);
                match ufrag {
                    Some(ufrag) => inner.describe_as(ufrag),
                    None => inner.describe(None),
                }
            }
            Command::Answer(offer) => {
                let taken = inner.take_description(RtcSdpType::Offer, &offer);
                inner.describe(Some(taken));
            }
            Command::TakeAnswer(answer) => {
                let taken = inner.take_description(RtcSdpType::Answer, &answer);
                let shared = Rc::downgrade(&inner.shared);
                spawn_local(async move {
                    if let Err(error) = JsFuture::from(taken).await
                        && let Some(shared) = shared.upgrade()
                    {
                        shared.push(Event::Closed(failed(&error)));
                    }
                });
            }
            Command::AddCandidate(json) => inner.add_candidate(&json),
            Command::CloseInit => {
                if let Some(init) = inner.init.take() {
                    init.close();
                }
            }
            Command::CloseChannel(id) => {
                if let Some(channel) = inner.shared.channels.borrow_mut().get_mut(&id) {
                    channel.close();
                }
            }
            Command::Close => inner.peer.close(),
        }
    }

    fn open_channel(&mut self) -> Result<ChannelId, Error> {
        if self.0.peer.connection_state() == RtcPeerConnectionState::Closed {
            return Err(Error::Closed);
        }
        let channel = self.0.peer.create_data_channel("");
        Ok(self.0.shared.add_channel(channel))
    }

    fn send(&mut self, channel: ChannelId, message: Bytes) -> Result<(), Error> {
        let mut channels = self.0.shared.channels.borrow_mut();
        let channel = channels.get_mut(&channel).ok_or(Error::Closed)?;
        channel.send(&message).map_err(|error| failed(&error))
    }

    fn buffered(&mut self, channel: ChannelId) -> usize {
        let mut channels = self.0.shared.channels.borrow_mut();
        channels.get_mut(&channel).map_or(0, |c| c.buffered())
    }

    fn poll_event(&mut self, cx: &mut Context<'_>) -> Poll<Event> {
        match self.0.shared.pop() {
            Some(event) => Poll::Ready(event),
            None => {
                self.0.shared.waker.replace(Some(cx.waker().clone()));
                Poll::Pending
            }
        }
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        // Unbound before they go, as the browser would call what is not there.
        self.peer.set_onicecandidate(None);
        self.peer.set_onconnectionstatechange(None);
        self.peer.set_ondatachannel(None);
        self.shared.channels.take();
        self.peer.close();
    }
}

fn failed(error: &JsValue) -> Error {
    let text = error.dyn_ref::<js_sys::Error>().map(js_sys::Error::message);
    let text = text.unwrap_or_else(|| JsString::from("unknown"));
    Error::Backend(text.into())
}
