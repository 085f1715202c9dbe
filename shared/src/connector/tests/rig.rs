//! A connector, a clock that stands still until it is moved, and the words to drive both.

use super::*;

/// Ordered by their number.
pub(in crate::connector) fn id(n: u8) -> PeerId {
    PeerId::from_multihash(Multihash::wrap(0, &[n; 32]).unwrap()).unwrap()
}

pub(in crate::connector) const LOCAL: u8 = 100;
pub(in crate::connector) const RELAY: u8 = 1;
/// A peer with a smaller id than ours, and one with a larger.
pub(in crate::connector) const SMALL: u8 = 50;
pub(in crate::connector) const LARGE: u8 = 200;

pub(in crate::connector) const QUIC: &str = "/ip4/10.0.0.1/udp/4000/quic-v1";
pub(in crate::connector) const TCP: &str = "/ip4/10.0.0.1/tcp/4000";
pub(super) const WS: &str = "/ip4/10.0.0.1/tcp/4001/ws";
/// Where a peer that is dialled directly is.
pub(in crate::connector) const DIRECT: &str = "/ip4/192.168.0.9/udp/7000/quic-v1";

pub(in crate::connector) fn a(address: &str) -> Multiaddr {
    address.parse().unwrap()
}

pub(in crate::connector) fn at(address: &str, peer: PeerId) -> Multiaddr {
    addresses::with_peer(&a(address), peer)
}

/// The circuit to a peer through the relay, by the way we are connected to that.
pub(in crate::connector) fn circuit(relay_address: &str, peer: PeerId) -> Multiaddr {
    addresses::with_peer(&addresses::circuit(&a(relay_address), id(RELAY)), peer)
}

pub(in crate::connector) const fn secs(n: u64) -> Duration {
    Duration::from_secs(n)
}

pub(in crate::connector) const fn millis(n: u64) -> Duration {
    Duration::from_millis(n)
}

/// What a machine that is driven alone is surrounded by.
pub(in crate::connector) struct Alone {
    pub(in crate::connector) now: Instant,
    pub(in crate::connector) connections: Connections,
    rng: StdRng,
    dial_count: u64,
}

impl Alone {
    pub(in crate::connector) fn new() -> Self {
        Self {
            now: Instant::now(),
            connections: Connections::default(),
            rng: StdRng::seed_from_u64(7),
            dial_count: 0,
        }
    }

    pub(in crate::connector) fn context(&mut self) -> Context<'_> {
        Context {
            now: self.now,
            local: id(LOCAL),
            listening: true,
            rng: &mut self.rng,
            connections: &self.connections,
            dial_count: &mut self.dial_count,
        }
    }
}

pub(super) struct Rig {
    pub(super) connector: Connector,
    pub(super) now: Instant,
    pub(super) conns: usize,
    /// What came out, in order, until it is looked at.
    pub(super) out: Vec<Output>,
    /// The rendezvous point answers everything.
    pub(super) answering: bool,
    /// What peers prove with their hellos; that of others: that they are members.
    pub(super) memberships: BTreeMap<PeerId, Membership>,
    /// Whose messages may be shown, and whether they count as of the room.
    pub(super) admitted: Vec<(PeerId, bool)>,
}

pub(super) fn relay(addresses: &[&str]) -> RelayAddress {
    RelayAddress {
        peer: Some(id(RELAY)),
        addresses: addresses.iter().map(|address| a(address)).collect(),
    }
}

pub(in crate::connector) fn config(relays: &[&str]) -> NodeConfig {
    NodeConfig {
        relays: vec![relay(relays)],
        ..NodeConfig::default()
    }
}

impl Rig {
    pub(super) fn new(config: &NodeConfig) -> Self {
        let now = Instant::now();
        let mut connector = Connector::new(config, id(LOCAL), 7, now);
        if config.hole_punch {
            connector.punch_holes();
        }
        let mut rig = Self {
            connector,
            now,
            conns: 0,
            out: Vec::new(),
            answering: true,
            memberships: BTreeMap::new(),
            admitted: Vec::new(),
        };
        rig.collect();
        rig
    }

    /// No relay at all.
    pub(super) fn alone() -> Self {
        Self::new(&NodeConfig::default())
    }

    /// A relay with which all is well, over QUIC.
    pub(super) fn with_relay() -> (Self, ConnId) {
        Self::with_relay_at(&[QUIC, TCP])
    }

    pub(super) fn with_relay_at(addresses: &[&str]) -> (Self, ConnId) {
        let mut rig = Self::new(&config(addresses));
        rig.input(Input::ListenersReady);
        let conn = rig.relay_up(addresses[0]);
        rig.take();
        (rig, conn)
    }

    /// As [`Self::with_relay`], but no holes are punched: as in a browser.
    pub(super) fn new_without_punching() -> (Self, ConnId) {
        let mut rig = Self::new(&NodeConfig {
            hole_punch: false,
            ..config(&[QUIC, TCP])
        });
        rig.input(Input::ListenersReady);
        let conn = rig.relay_up(QUIC);
        rig.take();
        (rig, conn)
    }

    /// Answers the running dial of the relay, and all that follows.
    pub(super) fn relay_up(&mut self, address: &str) -> ConnId {
        let dial = self.last_dial();
        let conn = self.connect(id(RELAY), address, Some(dial));
        self.identify_relay(conn);
        self.accept();
        self.answer();
        conn
    }

    pub(super) fn input(&mut self, input: Input) {
        self.connector.handle(self.now, input);
        self.collect();
    }

    pub(super) fn network(&mut self, input: NetworkInput) {
        self.connector.handle_network(self.now, input);
        self.collect();
    }

    pub(super) fn collect(&mut self) {
        while let Some(output) = self.connector.poll_output() {
            match output {
                Output::Admit { peer, in_room } => self.admitted.push((peer, in_room)),
                output => self.out.push(output),
            }
        }
        if let Some(at) = self.connector.poll_timeout() {
            assert!(at > self.now, "the connector would spin");
        }
    }

    /// Lets time pass, every timer at its time.
    pub(super) fn advance(&mut self, by: Duration) {
        let end = self.now + by;
        while let Some(at) = self.connector.poll_timeout().filter(|at| *at <= end) {
            self.now = at;
            let seen = self.out.len();
            self.connector.handle_timeout(at);
            self.collect();
            if self.answering {
                self.answer_from(seen);
            }
        }
        self.now = end;
    }

    pub(super) fn answer(&mut self) {
        self.answer_from(0);
    }

    /// Lets the rendezvous point answer what it was asked.
    pub(super) fn answer_from(&mut self, mut seen: usize) {
        while let Some(output) = self.out.get(seen).cloned() {
            seen += 1;
            match output {
                Output::Register { point, .. } => {
                    self.input(Input::Registered { point, ttl: 7_200 })
                }
                Output::Discover { point, .. } => self.discovered(point, Vec::new()),
                _ => {}
            }
        }
    }

    /// The relay says who is there, and gives no cookie.
    pub(super) fn discovered(&mut self, point: PeerId, peers: Vec<(PeerId, Vec<Multiaddr>)>) {
        self.input(Input::Discovered {
            point,
            peers,
            cookie: Vec::new(),
        });
    }

    /// The relay says who is there, and gives a cookie for the next question.
    pub(super) fn discovered_so_far(
        &mut self,
        point: PeerId,
        peers: Vec<(PeerId, Vec<Multiaddr>)>,
    ) {
        self.input(Input::Discovered {
            point,
            peers,
            cookie: b"cookie".to_vec(),
        });
    }

    /// The relay lists a peer. Returns the dial that comes of it, if one does.
    pub(super) fn list(&mut self, peer: PeerId, addresses: &[&str]) {
        let addresses = addresses.iter().map(|address| a(address)).collect();
        self.discovered(id(RELAY), vec![(peer, addresses)]);
    }

    pub(super) fn connect(&mut self, peer: PeerId, address: &str, dial: Option<DialId>) -> ConnId {
        self.connect_as(peer, a(address), dial.is_some(), dial)
    }

    pub(super) fn inbound(&mut self, peer: PeerId, address: &str) -> ConnId {
        self.connect_as(peer, a(address), false, None)
    }

    pub(super) fn connect_as(
        &mut self,
        peer: PeerId,
        address: Multiaddr,
        outbound: bool,
        dial: Option<DialId>,
    ) -> ConnId {
        self.conns += 1;
        let conn = ConnId::new_unchecked(self.conns);
        let bare = addresses::without_peer(&address).is_empty();
        let transport = if bare {
            Transport::Circuit
        } else {
            Transport::of(&address)
        };
        self.input(Input::Connected {
            peer,
            conn,
            address,
            transport,
            outbound,
            dial,
        });
        conn
    }

    pub(super) fn close(&mut self, conn: ConnId) {
        self.input(Input::Closed {
            conn,
            cause: cause("reset"),
        });
    }

    pub(in crate::connector) fn identify(&mut self, peer: PeerId, conn: ConnId, compatible: bool) {
        self.input(Input::Identified {
            peer,
            conn,
            compatible,
            is_relay: false,
            protocols: vec!["/x/1".into()],
            listen_addresses: Vec::new(),
        });
    }

    pub(in crate::connector) fn identify_relay(&mut self, conn: ConnId) {
        self.identify_relay_at(conn, &[]);
    }

    pub(in crate::connector) fn identify_relay_at(&mut self, conn: ConnId, claimed: &[&str]) {
        self.input(Input::Identified {
            peer: id(RELAY),
            conn,
            compatible: false,
            is_relay: true,
            protocols: Vec::new(),
            listen_addresses: claimed.iter().map(|address| a(address)).collect(),
        });
    }

    pub(super) fn accept(&mut self) {
        self.input(Input::ReservationAccepted {
            relay: RelayId(0),
            address: circuit(QUIC, id(LOCAL)),
        });
    }

    pub(super) fn fail(&mut self, dial: DialId) {
        self.input(Input::DialFailed {
            dial,
            cause: cause("refused"),
        });
    }

    pub(super) fn path(&mut self, peer: PeerId, conn: ConnId, address: &Multiaddr) {
        let bare = addresses::without_peer(address).is_empty();
        let transport = if bare {
            Transport::Circuit
        } else {
            Transport::of(address)
        };
        self.input(Input::Path {
            peer,
            path: Some(ActivePath {
                conn,
                kind: transport.path(),
                transport,
                address: address.clone(),
            }),
            remote: self.remote(peer),
            cause: cause(""),
        });
    }

    /// Who a peer is: a member of the room, unless the test says otherwise.
    pub(super) fn remote(&self, peer: PeerId) -> Remote {
        Remote {
            name: PeerName::of(&peer),
            membership: self
                .memberships
                .get(&peer)
                .copied()
                .unwrap_or(Membership::Member),
        }
    }

    pub(super) fn no_path(&mut self, peer: PeerId) {
        self.input(Input::Path {
            peer,
            path: None,
            remote: self.remote(peer),
            cause: cause("it broke"),
        });
    }

    /// A peer that the relay listed, and that we dialled and reached by a circuit.
    pub(super) fn reach(&mut self, peer: PeerId) -> ConnId {
        self.list(peer, &[]);
        let dial = self.last_dial();
        let address = circuit(QUIC, peer);
        let conn = self.connect_as(peer, address.clone(), true, Some(dial));
        self.path(peer, conn, &address);
        self.take();
        conn
    }

    /// A direct path, however it came.
    pub(super) fn go_direct(&mut self, peer: PeerId) -> ConnId {
        let conn = self.connect_as(peer, a(DIRECT), true, None);
        self.path(peer, conn, &a(DIRECT));
        conn
    }

    pub(super) fn drain(&mut self, peer: PeerId, conn: ConnId) {
        self.input(Input::Drained { peer, conn });
    }

    /// What came out since the last time.
    pub(super) fn take(&mut self) -> Vec<Output> {
        std::mem::take(&mut self.out)
    }

    pub(super) fn events(&mut self) -> Vec<Event> {
        let events = self.take().into_iter();
        events
            .filter_map(|output| match output {
                Output::Emit(event) => Some(event),
                _ => None,
            })
            .collect()
    }

    pub(super) fn errors(&mut self) -> Vec<String> {
        let events = self.events().into_iter();
        events
            .filter_map(|event| match event {
                Event::Error { message, .. } => Some(message),
                _ => None,
            })
            .collect()
    }

    /// The dials that came out, looked at without taking anything.
    pub(super) fn dials(&self) -> Vec<(DialId, Option<PeerId>, Vec<Multiaddr>)> {
        let out = self.out.iter();
        out.filter_map(|output| match output {
            Output::Dial {
                dial,
                peer,
                addresses,
            } => Some((*dial, *peer, addresses.clone())),
            _ => None,
        })
        .collect()
    }

    pub(super) fn last_dial(&self) -> DialId {
        self.dials().last().expect("a dial").0
    }

    pub(super) fn closes(&mut self) -> Vec<ConnId> {
        let out = self.take().into_iter();
        out.filter_map(|output| match output {
            Output::Close { conn } => Some(conn),
            _ => None,
        })
        .collect()
    }

    pub(super) fn greetings(&mut self) -> Vec<String> {
        let out = self.take().into_iter();
        out.filter_map(|output| match output {
            Output::Greet { message, .. } => Some(message),
            _ => None,
        })
        .collect()
    }

    /// How long until this comes out; at most `limit`.
    pub(super) fn wait_for(
        &mut self,
        limit: Duration,
        wanted: impl Fn(&Output) -> bool,
    ) -> Duration {
        let start = self.now;
        loop {
            if self.out.iter().any(&wanted) {
                return self.now - start;
            }
            let next = self.connector.poll_timeout().expect("a timer");
            assert!(next - start <= limit, "nothing within {limit:?}");
            self.advance(next - self.now);
        }
    }
}

pub(super) const fn is_dial(output: &Output) -> bool {
    matches!(output, Output::Dial { .. })
}

pub(super) const fn is_discover(output: &Output) -> bool {
    matches!(output, Output::Discover { .. })
}

pub(super) const fn is_register(output: &Output) -> bool {
    matches!(output, Output::Register { .. })
}

/// Why something failed; which code it has makes no difference to the connector.
pub(in crate::connector) fn cause(text: &str) -> Cause {
    Cause::new(Reason::Other, text)
}
