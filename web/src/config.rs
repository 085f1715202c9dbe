//! What JavaScript passes to `Peer.start`.
//!
//! It is read by hand: serde's words for what is wrong would name neither the setting nor, in a
//! list, the place, and would cost more than this.

use std::{fmt::Display, time::Duration};

use js_sys::{Array, Object, Reflect, Uint8Array};
use libp2p::{Multiaddr, identity::Keypair};
use punchline::config::{NodeConfig, RelayAddress};
use tsify::Tsify;
use wasm_bindgen::{JsCast, JsValue};

use crate::error::{BAD_ARGUMENT, Failure};

/// Longer times are mistakes, and far longer ones overflow a clock.
const MAX_SECONDS: u32 = 365 * 24 * 60 * 60;

/// How to start a peer. Everything is optional.
#[derive(Tsify)]
#[allow(dead_code, reason = "read by name; this is its type for TypeScript")]
struct PeerConfig {
    /// Multiaddrs of relays to be reachable through and to meet others at.
    #[tsify(optional)]
    relays: Option<Vec<Multiaddr>>,
    /// The namespace to meet others in; `rendezvous` if absent.
    #[tsify(optional)]
    namespace: Option<String>,
    /// What `peer.identity()` gave earlier; a fresh identity if absent.
    #[tsify(optional, type = "Uint8Array")]
    identity: Option<Vec<u8>>,
    /// Multiaddrs of peers to dial, and to greet.
    #[tsify(optional)]
    dial: Option<Vec<Multiaddr>>,
    /// Seconds between greetings; 0: none; 10 if absent.
    #[tsify(optional)]
    greet_interval: Option<f64>,
    /// Seconds until an unacked message fails; 600 if absent.
    #[tsify(optional)]
    message_timeout: Option<f64>,
}

/// Reads what was passed, which may be nothing.
pub(crate) fn read(config: &JsValue) -> Result<(NodeConfig, Keypair), Failure> {
    let mut node = NodeConfig::default();
    let mut key = None;
    for (name, value) in settings(config)? {
        match name.as_str() {
            "relays" => {
                let relays = addresses(&name, &value)?.into_iter();
                node.relays = relays.map(relay).collect();
            }
            "namespace" => node.namespace = text(&name, &value)?,
            "identity" => key = Some(identity(&name, &value)?),
            "dial" => node.dial = addresses(&name, &value)?,
            "greet_interval" => node.greet_interval = Some(seconds(&name, &value)?),
            "message_timeout" => node.message_timeout = seconds(&name, &value)?,
            _ => return Err(bad(&name, "there is no such setting")),
        }
    }
    Ok((node, key.unwrap_or_else(Keypair::generate_ed25519)))
}

/// What is set, with its name.
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

/// The session finds out which of them are one relay.
fn relay(address: Multiaddr) -> RelayAddress {
    RelayAddress {
        peer: None,
        addresses: vec![address],
    }
}

fn addresses(name: &str, value: &JsValue) -> Result<Vec<Multiaddr>, Failure> {
    let Some(list) = value.dyn_ref::<Array>() else {
        return Err(bad(name, "not an array"));
    };
    let read = |(i, value): (usize, JsValue)| {
        let name = format!("{name}[{i}]");
        address(&name, &text(&name, &value)?)
    };
    list.iter().enumerate().map(read).collect()
}

/// Reads a multiaddr; `name` is what the caller calls it.
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

fn identity(name: &str, value: &JsValue) -> Result<Keypair, Failure> {
    let bytes = value.dyn_ref::<Uint8Array>().map(Uint8Array::to_vec);
    bytes
        .and_then(|bytes| Keypair::from_protobuf_encoding(&bytes).ok())
        .ok_or_else(|| bad(name, "not the bytes that identity() gave"))
}

fn seconds(name: &str, value: &JsValue) -> Result<Duration, Failure> {
    let allowed = 0.0..=f64::from(MAX_SECONDS);
    match value.as_f64().filter(|seconds| allowed.contains(seconds)) {
        Some(seconds) => Ok(Duration::from_secs_f64(seconds)),
        None => Err(bad(
            name,
            format!("not a number of seconds from 0 to {MAX_SECONDS}"),
        )),
    }
}

fn bad(name: &str, reason: impl Display) -> Failure {
    Failure::new(BAD_ARGUMENT, format!("{name}: {reason}"))
}
