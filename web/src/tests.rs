//! Tests in a browser: what JavaScript gets, and that nothing is left behind.

use std::time::Duration;

use futures_timer::Delay;
use js_sys::{Array, ArrayBuffer, Error, Function, JSON, Object, Promise, Reflect, Uint8Array};
use libp2p::{Multiaddr, PeerId};
use punchline::{
    config::{
        DEFAULT_GREET_INTERVAL, DEFAULT_MESSAGE_TIMEOUT, DEFAULT_NAMESPACE, MAX_BODY_BYTES,
        MAX_NAMESPACE_BYTES, NodeConfig,
    },
    event::{Event, Scope},
    name::PeerName,
    path::Path,
};
use wasm_bindgen::{JsCast, JsValue};
use wasm_bindgen_futures::{JsFuture, spawn_local};
use wasm_bindgen_test::{wasm_bindgen_test, wasm_bindgen_test_configure};
use web_sys::ReadableStreamDefaultReader;
use web_time::Instant;

use crate::{config, events, panic, peer::Peer, qr::qr};

wasm_bindgen_test_configure!(run_in_browser);

/// An address at which nothing answers.
const NOBODY: &str =
    "/ip4/127.0.0.1/tcp/65533/ws/p2p/12D3KooWDpJ7As7BWAwRMfu1VU2WCqNjvq387JEYKDBj4kx6nXTN";

fn start(config: &str) -> Peer {
    try_start(config).unwrap()
}

fn try_start(config: &str) -> Result<Peer, JsValue> {
    Ok(Peer::start_now(Some(
        JSON::parse(config).unwrap().unchecked_into(),
    ))?)
}

async fn wait(promise: Promise) -> Result<JsValue, JsValue> {
    JsFuture::from(promise).await
}

fn get(object: &JsValue, name: &str) -> JsValue {
    Reflect::get(object, &name.into()).unwrap()
}

/// The name and the message of an `Error`.
fn error(value: JsValue) -> (String, String) {
    let error: Error = value.dyn_into().unwrap();
    (error.name().into(), error.message().into())
}

struct Reader(ReadableStreamDefaultReader);

impl Reader {
    fn of(peer: &Peer) -> Self {
        let stream = peer.events().unwrap();
        Self(stream.get_reader().unchecked_into())
    }

    /// The next event, or nothing at the end.
    async fn next(&self) -> Option<JsValue> {
        let read = wait(self.0.read()).await.unwrap();
        (!get(&read, "done").is_truthy()).then(|| get(&read, "value"))
    }

    async fn until(&self, name: &str) -> JsValue {
        loop {
            let event = self.next().await.expect("the stream goes on");
            if get(&event, "event") == name {
                return event;
            }
        }
    }

    async fn end(&self) {
        while self.next().await.is_some() {}
    }
}

#[wasm_bindgen_test]
async fn timers_follow_the_clock() {
    let start = Instant::now();
    Delay::new(Duration::from_millis(20)).await;
    // Browsers round their clocks.
    assert!(start.elapsed() >= Duration::from_millis(15));
}

#[wasm_bindgen_test]
async fn events_are_plain_objects_and_the_stream_ends_with_the_peer() {
    let peer = start(r#"{"name":"Anna"}"#);
    let reader = Reader::of(&peer);
    let started = reader.next().await.unwrap();
    let text = String::from(JSON::stringify(&started).unwrap());
    let id = peer.peer_id();
    assert_eq!(
        text,
        format!(r#"{{"event":"started","peer_id":"{id}","name":"Anna"}}"#)
    );
    let prototype = Object::get_prototype_of(&started);
    assert!(Object::is(
        &prototype,
        &Object::get_prototype_of(&Object::new())
    ));

    wait(peer.stop()).await.unwrap();
    reader.end().await;
}

#[wasm_bindgen_test]
fn numbers_are_numbers() {
    let event = |id| Event::Message {
        from: PeerId::random(),
        name: PeerName::chosen("Anna").unwrap(),
        id,
        body: "x".into(),
        path: Path::Direct,
        scope: Scope::Room,
    };
    let largest = (1 << 53) - 1;
    assert_eq!(get(&events::object(&event(largest)), "id"), largest as f64);
    let beyond = events::object(&event(1 << 54));
    assert_eq!(get(&beyond, "event"), "error");
}

#[wasm_bindgen_test]
async fn events_are_handed_out_once() {
    let peer = start("{}");
    let _stream = peer.events().unwrap();
    assert_eq!(error(peer.events().unwrap_err().into()).0, "EventsTaken");
    wait(peer.stop()).await.unwrap();
}

#[wasm_bindgen_test]
async fn a_cancelled_stream_does_not_stop_the_peer() {
    let peer = start("{}");
    let reader = Reader::of(&peer);
    wait(reader.0.cancel()).await.unwrap();
    assert_eq!(
        Array::from(&wait(peer.connections()).await.unwrap()).length(),
        0
    );
    wait(peer.stop()).await.unwrap();
}

#[wasm_bindgen_test]
async fn a_stopped_peer_says_so() {
    let peer = start("{}");
    let again = peer.stop();
    wait(peer.stop()).await.unwrap();
    wait(again).await.unwrap();
    wait(peer.stop()).await.unwrap();
    let to = peer.peer_id();
    for refused in [
        peer.send(&to, "late".into(), None),
        peer.broadcast("late"),
        peer.dial(NOBODY),
        peer.connections(),
        peer.relays(),
        peer.wake(),
    ] {
        let (name, message) = error(wait(refused).await.unwrap_err());
        assert_eq!(
            (&*name, &*message),
            ("Stopped", "the node has been stopped")
        );
    }
}

#[wasm_bindgen_test]
async fn a_peer_that_is_freed_stops() {
    let peer = start("{}");
    let reader = Reader::of(&peer);
    drop(peer);
    reader.end().await;
}

#[wasm_bindgen_test]
fn an_identity_can_be_kept() {
    let peer = start("{}");
    let config = Object::new();
    let identity = Uint8Array::from(&*peer.identity().unwrap());
    Reflect::set(&config, &"identity".into(), &identity).unwrap();
    let same = Peer::start_now(Some(config.unchecked_into())).unwrap();
    assert_eq!(same.peer_id(), peer.peer_id());
}

#[wasm_bindgen_test]
fn a_configuration_is_read() {
    let json = format!(
        r#"{{"relays":["{NOBODY}"],"namespace":"us","name":" Änne ","dial":["{NOBODY}"],"greet_interval":0.5,"message_timeout":60}}"#
    );
    let (node, _) = config::read(&JSON::parse(&json).unwrap()).unwrap();
    let relays: Vec<_> = node.relays.iter().flat_map(|r| &r.addresses).collect();
    let nobody: Multiaddr = NOBODY.parse().unwrap();
    assert_eq!((relays, &node.dial), (vec![&nobody], &vec![nobody.clone()]));
    assert_eq!(node.namespace, "us");
    assert_eq!(node.name.as_deref(), Some("Änne"));
    assert_eq!(node.greet_interval, Some(Duration::from_millis(500)));
    assert_eq!(node.message_timeout, Duration::from_secs(60));

    let default = NodeConfig::default();
    for absent in [JsValue::UNDEFINED, Object::new().into()] {
        let (node, _) = config::read(&absent).unwrap();
        assert_eq!(node.namespace, default.namespace);
        assert_eq!(node.greet_interval, default.greet_interval);
        assert_eq!(node.message_timeout, default.message_timeout);
    }
}

#[wasm_bindgen_test]
async fn a_start_is_a_promise() {
    let peer = wait(Peer::start(None)).await.unwrap();
    assert!(get(&peer, "peerId").is_string());
    let stop: Function = get(&peer, "stop").unchecked_into();
    let stopped: Promise = stop.call0(&peer).unwrap().unchecked_into();
    wait(stopped).await.unwrap();

    let config = JsValue::from(7).unchecked_into();
    let refused = wait(Peer::start(Some(config))).await.unwrap_err();
    assert_eq!(error(refused).0, "BadArgument");
}

#[wasm_bindgen_test]
fn a_wrong_configuration_is_named() {
    let long = format!(r#"{{"namespace":"{}"}}"#, "x".repeat(256));
    for (config, expected) in [
        (
            r#"{"relays":["/ip4/127.0.0.1/tcp/1/ws","http://x"]}"#,
            "relays[1]: \"http://x\" is no multiaddr",
        ),
        (r#"{"relays":"/ip4/127.0.0.1"}"#, "relays: not an array"),
        (r#"{"dial":[7]}"#, "dial[0]: not a string"),
        (r#"{"relay":[]}"#, "relay: there is no such setting"),
        (r#"{"name":"a\nb"}"#, "name: a name has no control"),
        (r#"{"namespace":7}"#, "namespace: not a string"),
        (
            &long,
            "the namespace has 256 bytes; at most 255 are allowed",
        ),
        (
            r#"{"identity":[1,2]}"#,
            "identity: not the bytes that identity() gave",
        ),
        (
            r#"{"greet_interval":-1}"#,
            "greet_interval: not a number of seconds",
        ),
        (
            r#"{"message_timeout":1e300}"#,
            "message_timeout: not a number of seconds",
        ),
        ("7", "the configuration: not an object"),
    ] {
        let (name, message) = error(try_start(config).unwrap_err());
        assert_eq!(name, "BadArgument", "{message}");
        assert!(message.starts_with(expected), "{message}");
    }
}

/// The page has these figures of its own; its tests read the same file.
#[wasm_bindgen_test]
fn the_limits_of_the_page_are_ours() {
    let limits = JSON::parse(include_str!("../../tests/cases/limits.json")).unwrap();
    for (name, ours) in [
        ("max_body_bytes", MAX_BODY_BYTES),
        ("max_namespace_bytes", MAX_NAMESPACE_BYTES),
    ] {
        assert_eq!(get(&limits, name), ours as f64, "{name}");
    }
    assert_eq!(get(&limits, "default_namespace"), DEFAULT_NAMESPACE);
}

/// A doc comment cannot have a constant in it.
#[wasm_bindgen_test]
fn the_documented_defaults_are_the_real_ones() {
    let docs = include_str!("config.rs");
    for default in [
        format!("`{}`", DEFAULT_NAMESPACE),
        DEFAULT_GREET_INTERVAL.as_secs().to_string(),
        DEFAULT_MESSAGE_TIMEOUT.as_secs().to_string(),
    ] {
        assert!(
            docs.contains(&format!("; {default} if absent.")),
            "{default}"
        );
    }
}

#[wasm_bindgen_test]
async fn a_message_for_nobody_is_refused() {
    let peer = start("{}");
    let stranger = PeerId::random().to_string();
    let long = "x".repeat(64 * 1024 + 1);
    for (to, text, expected) in [
        ("nobody", "hi", "BadArgument"),
        (&*stranger, "hi", "UnknownPeer"),
        (&*stranger, &*long, "TooLong"),
    ] {
        let refused = wait(peer.send(to, text.into(), None)).await.unwrap_err();
        assert_eq!(error(refused).0, expected);
    }
    let refused = wait(peer.dial("http://x")).await.unwrap_err();
    assert_eq!(error(refused).0, "BadArgument");
    let nobody = wait(peer.broadcast("hi")).await.unwrap();
    assert_eq!(Array::from(&nobody).length(), 0);
}

#[wasm_bindgen_test]
async fn a_relay_that_is_not_there_is_reported_and_waited_for() {
    let peer = start(&format!(r#"{{"relays":["{NOBODY}"]}}"#));
    let reader = Reader::of(&peer);
    let event = reader.until("error").await;
    assert_eq!(get(&event, "code"), "transport-failed");
    let relays = Array::from(&wait(peer.relays()).await.unwrap());
    assert_eq!(relays.length(), 1);
    assert!(get(&relays.get(0), "peer").is_string());
    assert_eq!(get(&relays.get(0), "code"), "transport-failed");
    assert!(get(&relays.get(0), "reason").is_string());
    wait(peer.wake()).await.unwrap();
    wait(peer.stop()).await.unwrap();
    reader.end().await;
}

#[wasm_bindgen_test]
fn a_qr_code_is_a_square() {
    let code = qr("http://192.0.2.7:45680/#room=us").unwrap();
    let size = get(&code, "size").as_f64().unwrap() as u32;
    let dark = Uint8Array::new(&get(&code, "dark"));
    assert_eq!(dark.length(), size * size);
    // The corner of a finder pattern: seven dark modules, then light.
    let row: Vec<_> = (0..8).map(|x| dark.get_index(x)).collect();
    assert_eq!(row, [1, 1, 1, 1, 1, 1, 1, 0]);
    assert_eq!(error(qr(&"x".repeat(5_000)).unwrap_err()).0, "TooLong");
}

#[wasm_bindgen_test]
async fn a_panic_is_the_last_event() {
    let peer = start("{}");
    let reader = Reader::of(&peer);
    reader.until("ready").await;
    // The promise of a read that waits must resolve, too.
    let read = reader.0.read();
    spawn_local(async { panic!("a bug") });
    let read = wait(read).await.unwrap();
    let event = get(&read, "value");
    let refused = peer.send(&peer.peer_id(), "late".into(), None);
    panic::forget();

    assert_eq!(get(&event, "event"), "panic");
    let message = get(&event, "message").as_string().unwrap();
    assert!(
        message.starts_with("a bug (") && message.contains("tests.rs:"),
        "{message}"
    );
    assert!(reader.next().await.is_none());
    assert_eq!(error(wait(refused).await.unwrap_err()).0, "Panicked");
}

#[wasm_bindgen_test]
async fn peers_leave_no_memory_behind() {
    let config = format!(r#"{{"relays":["{NOBODY}"]}}"#);
    let mut size = 0;
    for round in 0..110 {
        let peer = start(&config);
        let reader = Reader::of(&peer);
        reader.until("started").await;
        wait(peer.stop()).await.unwrap();
        reader.end().await;
        if round == 9 {
            size = memory();
        }
    }
    let after = memory();
    web_sys::console::log_1(
        &format!("memory: {size} bytes after 10 peers, {after} after 110").into(),
    );
    assert!(after * 10 <= size * 12, "{size} → {after}");
}

fn memory() -> u32 {
    let memory: js_sys::WebAssembly::Memory = wasm_bindgen::memory().unchecked_into();
    let buffer: ArrayBuffer = memory.buffer().unchecked_into();
    buffer.byte_length()
}
