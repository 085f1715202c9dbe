//! Connections: made, closed, identified, silent.

use libp2p::{
    Multiaddr, PeerId,
    core::ConnectedPoint,
    identify, ping,
    swarm::{ConnectionError, ConnectionId, DialError},
};

use web_time::Instant;

use crate::{
    address,
    connector::Input,
    event::Event,
    node::{
        behaviour::{is_compatible, is_relay},
        event_loop::{Established, EventLoop},
        sockets,
    },
    path::Transport,
    platform,
    reason::Cause,
};

/// An incompatible peer is shown with at most this many of its protocols.
const MAX_SHOWN_PROTOCOLS: usize = 32;
/// Observed addresses that are remembered as reported.
const MAX_OBSERVED: usize = 32;

impl EventLoop {
    pub(in crate::node) fn on_connected(
        &mut self,
        peer: PeerId,
        conn: ConnectionId,
        endpoint: &ConnectedPoint,
    ) {
        let address = address::of_remote(endpoint);
        self.connections.insert(
            conn,
            Established {
                address: address.clone(),
                observed: None,
                unanswered: None,
            },
        );
        let dial = self.dials.remove(&conn);
        let transport = Transport::of(&address);
        // Not the relay, which is in the address, even if it has only carried the signalling.
        if !address::has_circuit(&address) {
            self.budget.answered(Instant::now(), &address);
        }
        self.input(Input::Connected {
            peer,
            conn,
            transport,
            address,
            outbound: endpoint.is_dialer(),
            dial,
        });
    }

    pub(in crate::node) fn on_closed(
        &mut self,
        conn: ConnectionId,
        error: Option<&ConnectionError>,
    ) {
        self.connections.remove(&conn);
        self.input(Input::Closed {
            conn,
            cause: Cause::of_close(error),
        });
    }

    pub(in crate::node) fn on_dial_error(&mut self, conn: ConnectionId, error: &DialError) {
        let Some(dial) = self.dials.remove(&conn) else {
            // A hole punch: its behaviour learns of the failure by itself.
            return tracing::debug!("dial: {error}");
        };
        let cause = Cause::of_dial(error, platform::reason_of);
        self.input(Input::DialFailed { dial, cause });
    }

    /// Passes on that a relay is silent. Peers are judged by msg, which knows more.
    pub(in crate::node) fn on_ping(&mut self, event: ping::Event) {
        let (peer, conn) = (event.peer, event.connection);
        let e = match event.result {
            Err(e) => e,
            Ok(rtt) if self.connector.is_relay(peer) => {
                return self.input(Input::Answered { conn, rtt });
            }
            Ok(_) => return,
        };
        tracing::debug!(%peer, "ping: {e}");
        // libp2p reports only the second failure in a row, each on a stream of its own: no need to wait for more.
        if self.connector.is_relay(peer) && !matches!(e, ping::Failure::Unsupported) {
            self.input(Input::Silent {
                peer,
                conn,
                dead: true,
            });
        }
    }

    pub(in crate::node) fn on_identify(&mut self, event: identify::Event) {
        let identify::Event::Received {
            connection_id,
            peer_id,
            info,
        } = event
        else {
            return;
        };
        if let Some(connection) = self.connections.get_mut(&connection_id) {
            connection.observed = Some(info.observed_addr.clone());
            if let Some(channel) = connection.unanswered.take() {
                self.answer_greeting(connection_id, channel);
            }
        }
        let is_relay = is_relay(&info.protocols);
        let ours = self.connector.is_relay(peer_id);
        sockets::identified(
            &mut self.swarm.behaviour_mut().0.sockets,
            (peer_id, ours),
            connection_id,
            &info,
        );
        if ours {
            self.observed_by_relay(info.observed_addr);
        }
        let compatible = is_compatible(&info.protocols);
        let protocols = info.protocols.iter().take(MAX_SHOWN_PROTOCOLS);
        self.input(Input::Identified {
            peer: peer_id,
            conn: connection_id,
            compatible,
            is_relay,
            protocols: protocols.map(ToString::to_string).collect(),
            listen_addresses: info.listen_addrs,
        });
    }

    /// Reports where one of our relays sees us. What other peers claim is not for people to read.
    fn observed_by_relay(&mut self, address: Multiaddr) {
        if !self.observed.contains(&address) {
            if self.observed.len() == MAX_OBSERVED {
                self.observed.remove(0);
            }
            self.observed.push(address.clone());
            self.events.push(Event::ExternalAddress { address });
        }
    }
}
