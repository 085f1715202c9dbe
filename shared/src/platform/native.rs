//! TCP, QUIC, DNS and WebSocket, on tokio.

use std::error::Error;

use libp2p::{
    Multiaddr, Swarm, SwarmBuilder, Transport as _, core::upgrade::Version, dns, identity::Keypair,
    multiaddr::Protocol, noise, relay, swarm::NetworkBehaviour, tcp, websocket, yamux,
};

use crate::{
    config::{IDLE_CONNECTION_TIMEOUT, MAX_INBOUND_STREAMS, MAX_WEBSOCKET_FRAME},
    error::StartError,
    reason::Reason,
};

/// Whether two peers behind NATs can reach each other by dialling at the same moment.
pub const HOLE_PUNCH: bool = true;

/// Whether the peer listens at addresses of its machine, which may change while it runs.
pub(crate) const HAS_INTERFACES: bool = true;

/// Returns the addresses that a peer listens on unless it is asked for others: QUIC and TCP on every interface, any port.
///
/// QUIC comes first, as others dial the addresses in this order.
#[must_use]
pub fn default_listen() -> Vec<Multiaddr> {
    [
        "/ip4/0.0.0.0/udp/0/quic-v1",
        "/ip4/0.0.0.0/tcp/0",
        "/ip6/::/udp/0/quic-v1",
        "/ip6/::/tcp/0",
    ]
    .iter()
    .filter_map(|address| address.parse().ok())
    .collect()
}

/// Returns whether there is a transport for this address. There is none for WebRTC.
#[must_use]
pub fn can_dial(address: &Multiaddr) -> bool {
    address.iter().all(|protocol| {
        !matches!(
            protocol,
            Protocol::WebRTC | Protocol::WebRTCDirect | Protocol::WebTransport
        )
    })
}

/// What an error of this platform's transports means, beyond what any I/O error says of itself.
#[must_use]
pub fn reason_of(error: &(dyn Error + 'static)) -> Option<Reason> {
    error
        .is::<dns::ResolveError>()
        .then_some(Reason::NameNotFound)
}

/// Makes a swarm with every transport that a terminal has.
pub fn build_swarm<B: NetworkBehaviour>(
    key: Keypair,
    behaviour: impl FnOnce(relay::client::Behaviour) -> B,
) -> Result<Swarm<B>, StartError> {
    let swarm = SwarmBuilder::with_existing_identity(key)
        .with_tokio()
        .with_tcp(tcp_config(), noise::Config::new, yamux::Config::default)
        .map_err(|e| failed("TCP", &e))?
        .with_quic_config(|mut config| {
            config.handshake_timeout = HANDSHAKE_TIMEOUT;
            config
        })
        .with_other_transport(|key| {
            let tcp = tcp::tokio::Transport::new(tcp_config());
            let mut config = websocket::Config::new(dns::tokio::Transport::system(tcp)?);
            config.set_max_data_size(MAX_WEBSOCKET_FRAME);
            Ok(config
                .upgrade(Version::V1Lazy)
                .authenticate(noise::Config::new(key)?)
                .multiplex(yamux::Config::default()))
        })
        .map_err(|e| failed("WebSocket", &e))?
        .with_dns()
        .map_err(|e| failed("DNS", &e))?
        .with_relay_client(noise::Config::new, yamux::Config::default)
        .map_err(|e| failed("the relay client", &e))?
        .with_behaviour(|_, relay| behaviour(relay))
        .map_err(|e| failed("the behaviour", &e))?
        .with_swarm_config(|config| {
            config
                .with_idle_connection_timeout(IDLE_CONNECTION_TIMEOUT)
                .with_max_negotiating_inbound_streams(MAX_INBOUND_STREAMS)
        })
        .build();
    Ok(swarm)
}

/// The longest QUIC handshake. The first packets of a hole punch may be lost, and have to be sent again.
const HANDSHAKE_TIMEOUT: std::time::Duration = std::time::Duration::from_secs(5);

fn tcp_config() -> tcp::Config {
    tcp::Config::new().nodelay(true)
}

fn failed(what: &'static str, reason: &dyn std::fmt::Display) -> StartError {
    StartError::Transport {
        what,
        reason: reason.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use libp2p::{TransportError, swarm::DialError};

    use super::*;
    use crate::reason::Cause;

    #[test]
    fn a_name_that_cannot_be_resolved_has_a_code() {
        let unknown = dns::ResolveError::from("no such name");
        let error: dns::Error<io::Error> = dns::Error::ResolveError(unknown);
        let address = "/dns4/relay.invalid/tcp/1".parse().unwrap();
        let error = TransportError::Other(io::Error::other(error));
        let cause = Cause::of_dial(&DialError::Transport(vec![(address, error)]), reason_of);
        assert_eq!(cause.code, Reason::NameNotFound);
        assert_eq!(cause.text, "no such name");
    }
}
