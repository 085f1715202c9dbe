//! Carries an input to the machines that it concerns, and their outputs to one another or out.

use super::{
    Connector, DialId, Input, NetworkInput, Output, dials, greetings, peers,
    purpose::{NewDial, Purpose},
    relays,
};
use crate::{event::Event, path::ConnId, reason::Cause};

impl Connector {
    pub(super) fn route(&mut self, input: Input) {
        match input {
            Input::AddRelay(relay) => self.pass_to_relays(relays::Input::Add(relay)),
            Input::RelayFound { place, relay } => {
                self.pass_to_relays(relays::Input::Found { place, relay });
            }
            Input::DropRelay(peer) => self.pass_to_relays(relays::Input::Drop(peer)),
            Input::Dial(address) => self.pass_to_peers(peers::Input::Order(address)),
            Input::ListenersReady => {
                if !std::mem::replace(&mut self.facts.listening, true) {
                    self.pass_to_relays(relays::Input::ListenersReady);
                }
            }
            Input::DialFailed { dial, cause } => {
                self.pass_to_dials(dials::Input::Failed { dial, cause })
            }
            Input::Connected {
                peer,
                conn,
                address,
                transport,
                outbound,
                dial,
            } => self.pass_to_dials(dials::Input::Connected(dials::Connected {
                conn,
                peer,
                address,
                transport,
                outbound,
                dial,
            })),
            Input::Closed { conn, cause } => self.closed(conn, cause),
            Input::Identified { .. } => self.identified(input),
            Input::ReservationAccepted { relay, address } => {
                self.pass_to_relays(relays::Input::ReservationAccepted { relay, address });
            }
            Input::ReservationLost { relay, cause } => {
                self.pass_to_relays(relays::Input::ReservationLost { relay, cause });
            }
            Input::Stranger { point } => {
                self.pass_to_relays(relays::Input::Stranger { point });
            }
            Input::Registered { point, ttl } => {
                self.pass_to_relays(relays::Input::Registered { point, ttl });
            }
            Input::RegisterFailed { point, cause } => {
                self.pass_to_relays(relays::Input::RegisterFailed { point, cause });
            }
            Input::Discovered {
                point,
                peers,
                cookie,
            } => self.pass_to_relays(relays::Input::Discovered {
                point,
                peers,
                cookie,
            }),
            Input::News { point, peers } => {
                self.pass_to_relays(relays::Input::News { point, peers });
            }
            Input::DiscoverFailed { point, cause } => {
                self.pass_to_relays(relays::Input::DiscoverFailed { point, cause });
            }
            Input::Path {
                peer,
                path,
                remote,
                cause,
            } => {
                if let Some(path) = &path {
                    self.facts.connections.set_drained(path.conn, peer, false);
                }
                self.pass_to_peers(peers::Input::Path {
                    peer,
                    path,
                    remote,
                    cause,
                });
            }
            Input::Introduced { peer, remote } => {
                self.pass_to_peers(peers::Input::Introduced { peer, remote });
            }
            Input::Drained { peer, conn } => {
                if self.facts.connections.set_drained(conn, peer, true) {
                    self.pass_to_peers(peers::Input::Drained { peer });
                }
            }
            Input::Answered { conn, rtt } => {
                self.pass_to_relays(relays::Input::Answered { conn, rtt });
            }
            Input::Silent { peer, conn, dead } => {
                self.pass_to_peers(peers::Input::Silent { peer, conn, dead });
                self.pass_to_relays(relays::Input::Silent { peer, conn, dead });
            }
            Input::UpgradeFailed { peer, cause } => {
                self.pass_to_peers(peers::Input::UpgradeFailed { peer, cause });
            }
            Input::Greeting { peer, message } => {
                self.pass_to_greetings(greetings::Input::Greeting { peer, message });
            }
            Input::GreetingReply {
                peer,
                message,
                address,
            } => self.pass_to_greetings(greetings::Input::Reply {
                peer,
                message,
                address,
            }),
            Input::Wake => {
                self.pass_to_relays(relays::Input::Wake);
                self.pass_to_peers(peers::Input::Wake);
            }
            Input::Shutdown => {
                self.pass_to_relays(relays::Input::Leave);
                self.stopped = true;
            }
        }
    }

    fn closed(&mut self, conn: ConnId, cause: Cause) {
        if let Some(closed) = self.facts.connections.remove(conn) {
            self.pass_to_relays(relays::Input::Closed {
                conn,
                cause: cause.clone(),
            });
            let peer = closed.peer;
            self.pass_to_peers(peers::Input::Closed { peer, cause });
        }
    }

    fn identified(&mut self, input: Input) {
        let Input::Identified {
            peer,
            conn,
            compatible,
            is_relay,
            protocols,
            listen_addresses,
        } = input
        else {
            return;
        };
        let connections = &mut self.facts.connections;
        if connections.identified(conn, peer, is_relay, compatible) {
            self.pass_to_relays(relays::Input::Identified {
                conn,
                listen_addresses,
            });
            self.pass_to_peers(peers::Input::Identified { conn, protocols });
        }
    }

    pub(super) fn route_network(&mut self, input: NetworkInput) {
        match input {
            NetworkInput::Announced { peer, addresses } => {
                self.peers
                    .announced(&mut self.facts.context(), peer, addresses);
                self.drain_peers();
            }
            NetworkInput::Mapped { address } => {
                self.relays.mapped(&self.facts.context(), address);
                self.drain_relays();
            }
            NetworkInput::Failed { cause } => self.push(Output::Emit(Event::Error {
                code: cause.code,
                message: cause.text,
            })),
            NetworkInput::Changed { lost } => {
                self.relays.network_changed(&mut self.facts.context(), lost);
                self.drain_relays();
                self.peers.network_changed(&self.facts.context());
                self.drain_peers();
            }
        }
    }

    fn pass_to_dials(&mut self, input: dials::Input) {
        self.dials.handle(&self.facts.context(), input);
        self.drain_dials();
    }

    fn pass_to_relays(&mut self, input: relays::Input) {
        self.relays.handle(&mut self.facts.context(), input);
        self.drain_relays();
    }

    pub(super) fn pass_to_peers(&mut self, input: peers::Input) {
        self.peers.handle(&mut self.facts.context(), input);
        self.drain_peers();
    }

    fn pass_to_greetings(&mut self, input: greetings::Input) {
        self.greetings.handle(&self.facts.context(), input);
        self.drain_greetings();
    }

    pub(super) fn drain_dials(&mut self) {
        for output in self.dials.take_outputs() {
            match output {
                dials::Output::Accepted { conn: new, dial } => {
                    let conn = new.id;
                    self.facts.connections.insert(new);
                    self.pass_to_relays(relays::Input::Connected { conn, dial });
                    self.pass_to_peers(peers::Input::Connected { conn, dial });
                }
                dials::Output::Refused(conn) => self.push(Output::Close { conn }),
                dials::Output::Failed {
                    dial,
                    purpose,
                    cause,
                } => self.dial_failed(dial, purpose, cause),
            }
        }
    }

    pub(super) fn drain_relays(&mut self) {
        for output in self.relays.take_outputs() {
            match output {
                relays::Output::Dial(dial) => self.dial(dial),
                relays::Output::Close(conn) => self.close(conn),
                relays::Output::Reserve { relay, address } => {
                    self.push(Output::Reserve { relay, address });
                }
                relays::Output::Unreserve { relay } => self.push(Output::Unreserve { relay }),
                relays::Output::Register { point, claim } => {
                    self.push(Output::Register { point, claim });
                }
                relays::Output::Unregister { point } => self.push(Output::Unregister { point }),
                relays::Output::Discover { point, cookie } => {
                    self.push(Output::Discover { point, cookie });
                }
                relays::Output::Emit(event) => self.push(Output::Emit(event)),
                relays::Output::Known { relay, known } => {
                    self.pass_to_peers(peers::Input::Known { relay, known });
                }
                relays::Output::Listed {
                    point,
                    peers,
                    is_news,
                } => self.pass_to_peers(peers::Input::Listed {
                    point,
                    peers,
                    is_news,
                }),
                relays::Output::KeptForObservation { relay, conn } => {
                    let purpose = Purpose::Observation(relay);
                    self.facts.connections.set_purpose(conn, purpose);
                }
                relays::Output::Observed { relay } => {
                    self.pass_to_peers(peers::Input::Observed { relay });
                }
                relays::Output::NotObserved { relay } => {
                    self.pass_to_peers(peers::Input::NotObserved { relay });
                }
                relays::Output::NothingToObserve { peer } => {
                    self.pass_to_peers(peers::Input::NothingToObserve { peer });
                }
            }
        }
    }

    pub(super) fn drain_peers(&mut self) {
        for output in self.peers.take_outputs() {
            match output {
                peers::Output::Dial(dial) => self.dial(dial),
                peers::Output::Close(conn) => self.close(conn),
                peers::Output::Emit(event) => self.push(Output::Emit(event)),
                peers::Output::Admit { peer, in_room } => {
                    self.push(Output::Admit { peer, in_room });
                }
                peers::Output::Expect { peer, conn } => {
                    self.push(Output::Expect { peer, conn });
                }
                peers::Output::Path {
                    peer,
                    conn,
                    relayed,
                    via,
                } => {
                    self.pass_to_relays(relays::Input::Path {
                        peer,
                        conn,
                        relayed,
                        via,
                    });
                    let connected = true;
                    self.pass_to_greetings(greetings::Input::Path { peer, connected });
                }
                peers::Output::PathLost { peer } => {
                    self.pass_to_relays(relays::Input::PathLost { peer });
                    let connected = false;
                    self.pass_to_greetings(greetings::Input::Path { peer, connected });
                }
                peers::Output::Ordered { peer, ordered } => {
                    self.pass_to_greetings(greetings::Input::Ordered { peer, ordered });
                }
                peers::Output::Observe { relay, peer } => {
                    self.pass_to_relays(relays::Input::Observe { relay, peer });
                }
            }
        }
    }

    pub(super) fn drain_greetings(&mut self) {
        for output in self.greetings.take_outputs() {
            self.push(match output {
                greetings::Output::Greet { peer, message } => Output::Greet { peer, message },
                greetings::Output::Emit(event) => Output::Emit(event),
            });
        }
    }

    fn dial(&mut self, new: NewDial) {
        self.pass_to_dials(dials::Input::Started {
            dial: new.id,
            purpose: new.purpose,
        });
        self.push(Output::Dial {
            dial: new.id,
            peer: new.peer,
            addresses: new.addresses,
        });
    }

    fn dial_failed(&mut self, dial: DialId, purpose: Purpose, cause: Cause) {
        match purpose {
            Purpose::Relay(relay) => {
                self.pass_to_relays(relays::Input::DialFailed { relay, dial, cause });
            }
            Purpose::Observation(relay) => {
                self.pass_to_relays(relays::Input::ObservationFailed { relay, dial });
            }
            Purpose::Peer(_)
            | Purpose::Upgrade(_)
            | Purpose::Target(_)
            | Purpose::Remembered(_) => {
                self.pass_to_peers(peers::Input::DialFailed {
                    dial,
                    purpose,
                    cause,
                });
            }
        }
    }

    fn close(&mut self, conn: ConnId) {
        if self.facts.connections.close(conn) {
            self.push(Output::Close { conn });
        }
    }

    fn push(&mut self, output: Output) {
        if !self.stopped || matches!(output, Output::Emit(_)) {
            self.outputs.push_back(output);
        }
    }
}
