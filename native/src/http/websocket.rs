//! WebSockets that come in over HTTP's ports: libp2p's, on the way to the swarm.
//!
//! [`doorway`] returns both ends. The server's router asks [`let_in`] about each request; one that upgrades `/ws`, or `/`,
//! as libp2p's addresses have no path, is answered here, and its WebSocket goes to the swarm by a bounded channel. How
//! many there may be is then the swarm's to say, which has limits for it.

use std::net::SocketAddr;

use axum::{
    extract::{FromRequestParts, Request, State, WebSocketUpgrade, ws::WebSocket},
    http::{StatusCode, Version, header},
    middleware::Next,
    response::{IntoResponse, Response},
};
use punchline::config::MAX_WEBSOCKET_FRAME;
use tokio::sync::mpsc;

use super::patience::Patience;

/// WebSockets that the swarm has not taken yet. It takes them at once, unless it is very busy.
pub(super) const MAX_WAITING: usize = 64;
/// What is read at a time, and gathered before it is written: 128 KiB each, the default, are much, times all connections.
const BUFFER_BYTES: usize = 16 * 1024;
/// What is kept of what cannot be written at the moment: a message of Noise, which has 64 KiB, beside the buffer.
const MAX_UNWRITTEN_BYTES: usize = 2 * 64 * 1024 + BUFFER_BYTES;

const FULL: &str = "the relay cannot take more WebSockets at the moment: try again\n";

/// Who sends a request, as the connection knows that it comes by.
#[derive(Debug, Clone)]
pub(super) struct Client {
    pub(super) ends: Ends,
    pub(super) patience: Patience,
}

/// The two ends of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Ends {
    /// Ours.
    pub(crate) local: SocketAddr,
    /// The client's.
    pub(crate) remote: SocketAddr,
    /// Whether there is TLS between them.
    pub(crate) is_secure: bool,
}

/// A WebSocket that has come in.
#[derive(Debug)]
pub(crate) struct Arrival {
    pub(crate) socket: WebSocket,
    pub(crate) ends: Ends,
}

/// Where WebSockets come in.
#[derive(Debug, Clone)]
pub(crate) struct Doorway(mpsc::Sender<Arrival>);

/// Where they come out.
pub(crate) type Arrivals = mpsc::Receiver<Arrival>;

/// Returns where WebSockets come in, and where they come out.
pub(crate) fn doorway() -> (Doorway, Arrivals) {
    let (sender, arrivals) = mpsc::channel(MAX_WAITING);
    (Doorway(sender), arrivals)
}

/// Answers a request for a WebSocket, and lets others pass.
pub(super) async fn let_in(
    State(Doorway(sender)): State<Doorway>,
    request: Request,
    next: Next,
) -> Response {
    if !is_for_websocket(&request) {
        return next.run(request).await;
    }
    let (mut parts, _) = request.into_parts();
    let upgrade = match WebSocketUpgrade::from_request_parts(&mut parts, &()).await {
        Ok(upgrade) => upgrade,
        Err(refusal) => return refusal.into_response(),
    };
    let Some(Client { ends, patience }) = parts.extensions.remove::<Client>() else {
        return StatusCode::INTERNAL_SERVER_ERROR.into_response();
    };
    let Ok(place) = sender.try_reserve_owned() else {
        let headers = [(header::RETRY_AFTER, "1")];
        return (StatusCode::SERVICE_UNAVAILABLE, headers, FULL).into_response();
    };
    upgrade
        .read_buffer_size(BUFFER_BYTES)
        .write_buffer_size(BUFFER_BYTES)
        .max_write_buffer_size(MAX_UNWRITTEN_BYTES)
        .max_frame_size(MAX_WEBSOCKET_FRAME)
        .max_message_size(MAX_WEBSOCKET_FRAME)
        .on_upgrade(async move |socket| {
            patience.release();
            place.send(Arrival { socket, ends });
        })
}

/// Whether a request is for a WebSocket. Over HTTP/2 there are none: the server does not offer it, and who wants one opens
/// a connection for it.
fn is_for_websocket(request: &Request) -> bool {
    // Others offer HTTP/2 in this way, and want the page.
    let wanted = request.headers().get(header::UPGRADE);
    let is_websocket = wanted.is_some_and(|w| w.as_bytes().eq_ignore_ascii_case(b"websocket"));
    let is_upgrade = request.version() <= Version::HTTP_11 && is_websocket;
    match request.uri().path() {
        "/ws" => true,
        "/" => is_upgrade,
        _ => false,
    }
}
