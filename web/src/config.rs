//! What JavaScript passes to `Peer.start`.
//!
//! It is read by hand: serde's errors would name neither the setting nor the place in a list, and would cost more bytes.

use std::{fmt::Display, time::Duration};

use js_sys::{Array, Object, Reflect, Uint8Array};
use libp2p::{Multiaddr, identity::Keypair};
use punchline::{
    config::{IceServer, NodeConfig, RelayAddress},
    name::PeerName,
};
use tsify::Tsify;
use wasm_bindgen::{JsCast, JsValue};

use crate::error::{BAD_ARGUMENT, Failure};

/// Longer times are mistakes, and far longer ones overflow a clock.
const MAX_SECONDS: u32 = 365 * 24 * 60 * 60;

/// More would delay each connection, for browsers ask them all.
const MAX_ICE_SERVERS: usize = 8;

/// Declares `PeerConfig` for TypeScript, and how each setting is read from JavaScript: one list for both.
macro_rules! peer_config {
    ($($(#[$doc:meta])* $name:ident: $type:ty as $typescript:literal, read by $read:path;)*) => {
        /// How to start a peer. Everything is optional.
        #[derive(Default, Tsify)]
        struct PeerConfig {
            $($(#[$doc])* #[tsify(optional, type = $typescript)] $name: Option<$type>,)*
        }

        impl PeerConfig {
            fn set(&mut self, name: &str, value: &JsValue) -> Result<(), Failure> {
                match name {
                    $(stringify!($name) => self.$name = Some($read(name, value)?),)*
                    _ => return Err(bad(name, "there is no such setting")),
                }
                Ok(())
            }
        }
    };
}

peer_config! {
    /// Multiaddrs of relays to be reachable through and to meet others at.
    relays: Vec<Multiaddr> as "Multiaddr[]", read by addresses;
    /// The namespace to meet others in; `rendezvous` if absent.
    namespace: String as "string", read by text;
    /// What others read of us, at most 64 bytes; two words that the peer id gives if absent or empty.
    name: Option<PeerName> as "string", read by name;
    /// The bytes that `peer.identity()` returned earlier; a fresh identity if absent.
    identity: Keypair as "Uint8Array", read by identity;
    /// Multiaddrs of peers to dial, and to greet.
    dial: Vec<Multiaddr> as "Multiaddr[]", read by addresses;
    /// Seconds between greetings; 0: none; 10 if absent.
    greet_interval: Duration as "number", read by seconds;
    /// STUN servers, asked where WebRTC can reach us, and TURN servers, which carry it where nothing else does; none is asked
    /// if absent. A relay of ours is one: `stun:` with its host and the ports in its `/bootstrap.json`.
    ice_servers: Vec<IceServer> as "RTCIceServer[]", read by ice_servers;
    /// Seconds until an unacked message fails; 600 if absent.
    message_timeout: Duration as "number", read by seconds;
}

/// Reads the configuration, which may be absent altogether.
pub(crate) fn read(config: &JsValue) -> Result<(NodeConfig, Keypair), Failure> {
    let mut given = PeerConfig::default();
    for (name, value) in settings(config)? {
        given.set(&name, &value)?;
    }
    let default = NodeConfig::default();
    let relays = given.relays.unwrap_or_default().into_iter();
    let node = NodeConfig {
        relays: relays.map(relay).collect(),
        namespace: given.namespace.unwrap_or(default.namespace),
        name: given.name.flatten(),
        dial: given.dial.unwrap_or_default(),
        greet_interval: given.greet_interval.or(default.greet_interval),
        message_timeout: given.message_timeout.unwrap_or(default.message_timeout),
        ice_servers: given.ice_servers.unwrap_or_default(),
        ..default
    };
    Ok((
        node,
        given.identity.unwrap_or_else(Keypair::generate_ed25519),
    ))
}

/// The settings that are present, with their names.
fn settings(config: &JsValue) -> Result<Vec<(String, JsValue)>, Failure> {
    if is_absent(config) {
        return Ok(Vec::new());
    }
    let Some(object) = config.dyn_ref::<Object>() else {
        return Err(bad("the configuration", "not an object"));
    };
    let mut settings = Vec::new();
    for name in Object::keys(object) {
        let value = Reflect::get(object, &name).unwrap_or_default();
        if !is_absent(&value) {
            settings.push((name.as_string().unwrap_or_default(), value));
        }
    }
    Ok(settings)
}

fn is_absent(value: &JsValue) -> bool {
    value.is_undefined() || value.is_null()
}

/// A relay of one address. The connector finds out which of them are the same relay.
fn relay(address: Multiaddr) -> RelayAddress {
    RelayAddress {
        peer: None,
        addresses: vec![address],
    }
}

fn addresses(name: &str, value: &JsValue) -> Result<Vec<Multiaddr>, Failure> {
    list(name, value)?
        .map(|(name, value)| address(&name, &text(&name, &value)?))
        .collect()
}

/// The elements of an array, each with what it is called in an error.
fn list(name: &str, value: &JsValue) -> Result<impl Iterator<Item = (String, JsValue)>, Failure> {
    let Some(list) = value.dyn_ref::<Array>() else {
        return Err(bad(name, "not an array"));
    };
    let named = |(i, value)| (format!("{name}[{i}]"), value);
    Ok(list
        .iter()
        .enumerate()
        .map(named)
        .collect::<Vec<_>>()
        .into_iter())
}

/// Reads a multiaddr; `name` is the word for it in an error.
pub(crate) fn address(name: &str, text: &str) -> Result<Multiaddr, Failure> {
    text.parse().map_err(|e| {
        let example = "/ip4/192.0.2.7/tcp/45679/ws";
        bad(
            name,
            format!("\"{text}\" is no multiaddr ({e}); one looks like {example}"),
        )
    })
}

fn text(name: &str, value: &JsValue) -> Result<String, Failure> {
    value.as_string().ok_or_else(|| bad(name, "not a string"))
}

/// Reads what a person wants to be called. No word is no name.
pub(crate) fn chosen_name(text: &str) -> Result<Option<PeerName>, Failure> {
    if text.trim().is_empty() {
        return Ok(None);
    }
    let name = PeerName::chosen(text).map_err(|e| bad("name", e))?;
    Ok(Some(name))
}

fn name(name: &str, value: &JsValue) -> Result<Option<PeerName>, Failure> {
    chosen_name(&text(name, value)?)
}

fn identity(name: &str, value: &JsValue) -> Result<Keypair, Failure> {
    let bytes = value.dyn_ref::<Uint8Array>().map(Uint8Array::to_vec);
    bytes
        .and_then(|bytes| Keypair::from_protobuf_encoding(&bytes).ok())
        .ok_or_else(|| bad(name, "not the bytes that identity() gave"))
}

/// Reads what `RTCPeerConnection` takes, with one entry for each URL.
fn ice_servers(name: &str, value: &JsValue) -> Result<Vec<IceServer>, Failure> {
    let mut servers = Vec::new();
    for (name, server) in list(name, value)? {
        let property = |key: &str| {
            let value = Reflect::get(&server, &key.into()).unwrap_or_default();
            (format!("{name}.{key}"), value)
        };
        let optional = |key: &str| {
            let (name, value) = property(key);
            let given = (!is_absent(&value)).then(|| text(&name, &value));
            given.transpose()
        };
        let (username, credential) = (optional("username")?, optional("credential")?);
        let (name, urls) = property("urls");
        let urls = match urls.is_string() {
            true => vec![text(&name, &urls)?],
            false => list(&name, &urls)?
                .map(|(name, url)| text(&name, &url))
                .collect::<Result<_, _>>()?,
        };
        servers.extend(urls.into_iter().map(|url| IceServer {
            url,
            username: username.clone(),
            credential: credential.clone(),
        }));
    }
    match servers.len() <= MAX_ICE_SERVERS {
        true => Ok(servers),
        false => Err(bad(name, format!("more than {MAX_ICE_SERVERS}"))),
    }
}

fn seconds(name: &str, value: &JsValue) -> Result<Duration, Failure> {
    let allowed = 0.0..=f64::from(MAX_SECONDS);
    match value.as_f64().filter(|seconds| allowed.contains(seconds)) {
        // In milliseconds, for `Duration::from_secs_f64` has a hundred times the code.
        Some(seconds) => Ok(Duration::from_millis((seconds * 1_000.0) as u64)),
        None => Err(bad(
            name,
            format!("not a number of seconds from 0 to {MAX_SECONDS}"),
        )),
    }
}

fn bad(name: &str, reason: impl Display) -> Failure {
    Failure::new(BAD_ARGUMENT, format!("{name}: {reason}"))
}
