//! `Peer`, the class that JavaScript gets.
//!
//! `Peer.start` makes a node and lets its event loop run in the tab. Methods go to the node; what happens comes out of
//! `events()`, which has to be read all the time; `stop()` ends both.
//!
//! The methods return promises of their own rather than being `async`: wasm-bindgen's `async` methods borrow the object
//! until they are done, and `free()` would throw meanwhile.

use std::{cell::RefCell, time::Duration};

use futures::{FutureExt, select};
use futures_timer::Delay;
use js_sys::Promise;
use libp2p::{Multiaddr, PeerId, identity::Keypair};
use punchline::{
    config::{CLOSE_TIMEOUT, FAREWELL_TIME, SHUTDOWN_TIMEOUT},
    error::{SendError, Stopped},
    event::Scope,
    node::{self, Node},
};
use serde::Serialize;
use wasm_bindgen::{JsValue, prelude::wasm_bindgen};
use wasm_bindgen_futures::spawn_local;
use web_sys::ReadableStream;

use crate::{
    config,
    error::{BAD_ARGUMENT, Failure},
    events::EventSource,
    panic,
    promise::{later, settled},
    turns,
    types::{Sent, to_js},
};

/// A stop that takes longer than this has met a node that stands still, because the page leaves too many events unread:
/// they are dropped then.
const STOP_PATIENCE: Duration = Duration::from_millis(
    (SHUTDOWN_TIMEOUT.as_millis() + CLOSE_TIMEOUT.as_millis() + FAREWELL_TIME.as_millis()) as u64
        + 500,
);

#[wasm_bindgen]
extern "C" {
    /// Any value that the page passes; the type is for TypeScript.
    #[wasm_bindgen(typescript_type = "PeerConfig")]
    pub type JsPeerConfig;
    /// Whom a message is for.
    #[wasm_bindgen(typescript_type = "Scope")]
    pub type JsScope;
}

/// A peer in this tab. It runs until `stop()`, or until nothing refers to this object any more.
#[wasm_bindgen]
#[derive(Debug)]
pub struct Peer {
    peer_id: PeerId,
    key: Keypair,
    events: EventSource,
    state: RefCell<State>,
}

/// What a node is asked for without an answer. One type for all of it: a browser downloads the code of each future that a
/// promise waits for.
#[derive(Debug)]
enum Order {
    Dial(Multiaddr),
    Block(PeerId),
    Unblock(PeerId),
    Wake,
}

#[derive(Debug)]
enum State {
    Running(Node),
    /// The promise that every call of `stop` returns.
    Stopped(Promise),
}

#[wasm_bindgen]
impl Peer {
    /// Starts a peer. Rejects with an `Error` that says what is wrong with the configuration.
    #[wasm_bindgen(unchecked_return_type = "Promise<Peer>")]
    pub fn start(config: Option<JsPeerConfig>) -> Promise {
        match Self::start_now(config) {
            Ok(peer) => Promise::resolve(&peer.into()),
            Err(e) => e.rejected(),
        }
    }

    pub(crate) fn start_now(config: Option<JsPeerConfig>) -> Result<Self, Failure> {
        panic::install_hook();
        panic::check()?;
        let config = config.map_or(JsValue::UNDEFINED, Into::into);
        let (config, key) = config::read(&config)?;
        let (node, events, event_loop) = node::new(config, key.clone())?;
        spawn_local(turns::run(event_loop.run()));
        Ok(Self {
            peer_id: node.peer_id(),
            key,
            events: EventSource::new(events),
            state: RefCell::new(State::Running(node)),
        })
    }

    /// The peer id of this peer.
    #[wasm_bindgen(getter, js_name = peerId, unchecked_return_type = "PeerId")]
    pub fn peer_id(&self) -> String {
        self.peer_id.to_string()
    }

    /// What others read of this peer: the name that was chosen, or two words that the peer id gives.
    #[wasm_bindgen(getter, unchecked_return_type = "string")]
    pub fn name(&self) -> Result<String, JsValue> {
        Ok(self.node()?.name().to_string())
    }

    /// Changes what others read of this peer; an empty name stands for the two words. Everybody who is connected learns
    /// of it at once.
    #[wasm_bindgen(js_name = setName)]
    pub fn set_name(&self, name: &str) -> Result<(), JsValue> {
        self.node()?.set_name(config::chosen_name(name)?);
        Ok(())
    }

    /// The events of this peer, in order. To be called once, and to be read all the time: when many events wait, the peer
    /// stops reading messages. After the stream has been cancelled, the peer goes on without a reader.
    #[wasm_bindgen(unchecked_return_type = "ReadableStream<Event>")]
    pub fn events(&self) -> Result<ReadableStream, JsValue> {
        panic::check()?;
        self.events.stream()
    }

    /// Queues a message for one peer and returns its id; `delivery` events with that id say how far it has got.
    /// It is for that peer alone, unless its scope is `room`: then it is that peer's copy of a line to everybody.
    /// Rejects with an `Error` named `OutboxFull`, `TooLong`, `UnknownPeer` or `Stopped`.
    #[wasm_bindgen(unchecked_return_type = "Promise<number>")]
    pub fn send(
        &self,
        #[wasm_bindgen(js_name = peerId, unchecked_param_type = "PeerId")] peer_id: &str,
        text: String,
        scope: Option<JsScope>,
    ) -> Promise {
        let scope = scope.map(|scope| JsValue::from(scope).as_string().unwrap_or_default());
        settled(self.send_now(peer_id, text, scope.as_deref()))
    }

    fn send_now(&self, peer_id: &str, text: String, scope: Option<&str>) -> Result<u64, Failure> {
        let scope = match scope {
            None | Some("private") => Scope::Private,
            Some("room") => Scope::Room,
            Some(_) => return Err(Failure::new(BAD_ARGUMENT, "a scope is room or private")),
        };
        let node = self.node()?;
        Ok(node.send(id(peer_id)?, scope, text)?)
    }

    /// Queues a message for every peer of the room, and returns for each its id, or why it was not queued.
    #[wasm_bindgen(unchecked_return_type = "Promise<Sent[]>")]
    pub fn broadcast(&self, text: &str) -> Promise {
        settled(self.broadcast_now(text))
    }

    fn broadcast_now(&self, text: &str) -> Result<Vec<Sent>, Failure> {
        let node = self.node()?;
        let mut all = Vec::new();
        for to in node.room() {
            let (id, error) = match node.send(to, Scope::Room, text) {
                Ok(id) => (Some(id), None),
                Err(SendError::Stopped) => return Err(SendError::Stopped.into()),
                Err(e) => (None, Some(e.to_string())),
            };
            all.push(Sent { to, id, error });
        }
        Ok(all)
    }

    /// Has nothing more to do with a peer, until `unblock` or `stop`: its connections are closed, no new ones are made, and
    /// nothing of it is taken.
    #[wasm_bindgen(unchecked_return_type = "Promise<void>")]
    pub fn block(
        &self,
        #[wasm_bindgen(js_name = peerId, unchecked_param_type = "PeerId")] peer_id: &str,
    ) -> Promise {
        self.carry_out(id(peer_id).map(Order::Block))
    }

    /// Undoes `block`. Whoever dials next reaches the other.
    #[wasm_bindgen(unchecked_return_type = "Promise<void>")]
    pub fn unblock(
        &self,
        #[wasm_bindgen(js_name = peerId, unchecked_param_type = "PeerId")] peer_id: &str,
    ) -> Promise {
        self.carry_out(id(peer_id).map(Order::Unblock))
    }

    /// Dials a peer. Its success or failure comes as an event.
    #[wasm_bindgen(unchecked_return_type = "Promise<void>")]
    pub fn dial(
        &self,
        #[wasm_bindgen(unchecked_param_type = "Multiaddr")] address: &str,
    ) -> Promise {
        self.carry_out(config::address("the address", address).map(Order::Dial))
    }

    /// The peers of the room.
    #[wasm_bindgen(unchecked_return_type = "Promise<PeerInfo[]>")]
    pub fn connections(&self) -> Promise {
        self.ask(async |node| Ok(node.peers().await?))
    }

    /// The relays, and how far the peer has got with each.
    #[wasm_bindgen(unchecked_return_type = "Promise<RelayInfo[]>")]
    pub fn relays(&self) -> Promise {
        self.ask(async |node| Ok(node.relays().await?))
    }

    /// Tries at once what waits for a retry. To be called when the network or the page comes back.
    #[wasm_bindgen(unchecked_return_type = "Promise<void>")]
    pub fn wake(&self) -> Promise {
        self.carry_out(Ok(Order::Wake))
    }

    /// The private key, with which the same peer can be started again. Whoever has it can pretend to be this peer.
    pub fn identity(&self) -> Result<Vec<u8>, JsValue> {
        panic::check()?;
        let bytes = self.key.to_protobuf_encoding();
        Ok(bytes.map_err(|e| Failure::new("Error", e))?)
    }

    /// Unregisters, waits for acks (2 s at most), closes, and ends the events. Every further call returns the same promise.
    #[wasm_bindgen(unchecked_return_type = "Promise<void>")]
    pub fn stop(&self) -> Promise {
        if let Err(e) = panic::check() {
            return e.rejected();
        }
        let mut state = self.state.borrow_mut();
        let node = match &*state {
            State::Running(node) => node.clone(),
            State::Stopped(promise) => return promise.clone(),
        };
        let events = self.events.clone();
        let promise = later(async move {
            stop(node, events).await;
            Ok(JsValue::UNDEFINED)
        });
        *state = State::Stopped(promise.clone());
        promise
    }

    /// A promise that the node has taken an order.
    fn carry_out(&self, order: Result<Order, Failure>) -> Promise {
        self.ask(async move |node| {
            match order? {
                Order::Dial(address) => node.dial(address).await?,
                Order::Block(peer) => node.block(peer).await?,
                Order::Unblock(peer) => node.unblock(peer).await?,
                Order::Wake => node.wake().await?,
            }
            Ok(())
        })
    }

    /// A promise of something that the node answers later.
    fn ask<T, F>(&self, question: F) -> Promise
    where
        T: Serialize,
        F: AsyncFnOnce(Node) -> Result<T, Failure> + 'static,
    {
        match self.node() {
            Ok(node) => later(async { Ok(to_js(&question(node).await?).map_err(Failure::from)?) }),
            Err(e) => e.rejected(),
        }
    }

    fn node(&self) -> Result<Node, Failure> {
        panic::check()?;
        match &*self.state.borrow() {
            State::Running(node) => Ok(node.clone()),
            State::Stopped(_) => Err(Stopped.into()),
        }
    }
}

fn id(text: &str) -> Result<PeerId, Failure> {
    text.parse().map_err(|_| {
        let message = format!("\"{text}\" is no peer id; one begins with 12D3KooW");
        Failure::new(BAD_ARGUMENT, message)
    })
}

/// Runs on `free()`, and when JavaScript has collected the object.
impl Drop for Peer {
    fn drop(&mut self) {
        let _ = self.stop();
    }
}

async fn stop(node: Node, events: EventSource) {
    let mut stopped = std::pin::pin!(node.shutdown().fuse());
    select! {
        () = stopped => return,
        () = Delay::new(STOP_PATIENCE).fuse() => {}
    }
    events.end();
    stopped.await;
}
