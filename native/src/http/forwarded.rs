//! Requests that a trusted proxy passes on: they count for the network of their client.

use std::{net::SocketAddr, sync::Arc};

use axum::{
    extract::{Request, State},
    http::{StatusCode, header},
    middleware::Next,
    response::{IntoResponse, Response},
};

use super::{BUSY, connection_limit::ConnectionLimit, websocket::Client};
use crate::common::proxies::TrustedProxies;

/// What is needed to say whose a request is, and whether it may be answered.
#[derive(Debug, Clone)]
pub(super) struct Shares {
    pub(super) limit: Arc<ConnectionLimit>,
    pub(super) proxies: TrustedProxies,
}

/// Has a request come from its client. While it is answered it counts as a connection of the client's network.
pub(super) async fn attribute(
    State(shares): State<Shares>,
    mut request: Request,
    next: Next,
) -> Response {
    let Some(from) = request
        .extensions()
        .get::<Client>()
        .map(|client| client.ends.remote)
    else {
        return next.run(request).await;
    };
    let ip = shares.proxies.client(from.ip(), request.headers());
    if ip == from.ip() {
        return next.run(request).await;
    }
    let Some(_share) = shares.limit.acquire_for_client(ip) else {
        let headers = [(header::RETRY_AFTER, "1")];
        return (StatusCode::SERVICE_UNAVAILABLE, headers, BUSY).into_response();
    };
    if let Some(client) = request.extensions_mut().get_mut::<Client>() {
        // The port is the proxy's, so that each connection still has its own pair.
        client.ends.remote = SocketAddr::new(ip, from.port());
    }
    next.run(request).await
}
