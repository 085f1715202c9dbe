//! Plain objects for JavaScript, and those types of TypeScript that no Rust type stands for.

use libp2p::PeerId;
use serde::Serialize;
use serde_wasm_bindgen::Serializer;
use tsify::Tsify;
use wasm_bindgen::{JsValue, prelude::wasm_bindgen};

/// The types that are generated from `shared` use these names.
#[wasm_bindgen(typescript_custom_section)]
const NAMES: &str = r"
/** A peer id, as text: `12D3KooW…` */
export type PeerId = string;
/** A multiaddr, as text: `/ip4/192.0.2.7/tcp/45679/ws` */
export type Multiaddr = string;
";

/// The copy of a broadcast for one peer of the room.
#[derive(Debug, Serialize, Tsify)]
pub(crate) struct Sent {
    /// The peer.
    pub(crate) to: PeerId,
    /// The message's id, if it was accepted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) id: Option<u64>,
    /// Why the message was not accepted, for people.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) error: Option<String>,
}

/// Makes a plain object or an array; never a `Map`, never a `BigInt`.
pub(crate) fn to_js(value: &impl Serialize) -> Result<JsValue, serde_wasm_bindgen::Error> {
    value.serialize(&Serializer::json_compatible())
}
