//! Where others were reached directly, and the ports that they reached us at: at the next start they are tried there, from the
//! same ports, which most NATs give the same outside.

use std::collections::BTreeMap;

use libp2p::{Multiaddr, PeerId, multiaddr::Protocol};
use punchline::{address, config::NodeConfig, event::Event, path::Path};
use serde::{Deserialize, Serialize};
use tokio::sync::watch;

use super::{
    memory::{MemoryFile, trim},
    ports,
};

/// The file in the state directory.
const FILE: &str = "peers.json";
/// Identities of this machine that something is remembered for; of more, any goes.
const MAX_IDENTITIES: usize = 4;
/// Rooms of each; of more, any goes.
const MAX_ROOMS: usize = 8;
/// Peers of each room; the one that was met the longest ago goes first.
const MAX_PEERS: usize = 32;

/// By identity.
type File = BTreeMap<String, Meetings>;

/// What one identity remembers.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Meetings {
    /// Where it listened.
    listen: Vec<Multiaddr>,
    /// Where peers of each room were, the last one met at the end.
    rooms: BTreeMap<String, Vec<Multiaddr>>,
}

/// What this run remembers and adds.
#[derive(Debug)]
pub(super) struct MeetingMemory {
    file: MemoryFile<File>,
    local: String,
    room: String,
    /// What the node is told to listen on.
    told: Vec<Multiaddr>,
    known: watch::Sender<Meetings>,
}

impl MeetingMemory {
    /// `kept`: the identity is kept, so something may be.
    pub(super) fn new(kept: bool, local: PeerId, room: &str) -> Self {
        Self::of(MemoryFile::in_state_directory(FILE, kept), local, room)
    }

    fn of(file: MemoryFile<File>, local: PeerId, room: &str) -> Self {
        let local = local.to_string();
        let known = file.read().remove(&local).unwrap_or_default();
        Self {
            file,
            local,
            room: room.to_owned(),
            told: Vec::new(),
            known: watch::Sender::new(known),
        }
    }

    /// Has a node listen where it did, as far as any port will do and that one is free, and try peers where they were.
    pub(super) fn recall(&mut self, config: &mut NodeConfig) {
        self.told.clone_from(&config.listen);
        let known = self.known.borrow();
        for address in &mut config.listen {
            let before = known.listen.iter().find(|old| differ_in_port(old, address));
            if let Some(before) = before.filter(|before| ports::is_free(before)) {
                *address = before.clone();
            }
        }
        config.remembered = known.rooms.get(&self.room).cloned().unwrap_or_default();
    }

    /// Takes in what happens.
    pub(super) fn note(&self, event: &Event) {
        if !self.file.is_kept() {
            return;
        }
        self.known.send_if_modified(|known| match event {
            Event::Listening { address } => known.listens(address, &self.told),
            Event::Connected {
                peer,
                path: Path::Direct,
                address,
                ..
            }
            | Event::PathChanged {
                peer,
                to: Path::Direct,
                address,
                ..
            } => known.met(&self.room, *peer, address),
            _ => false,
        });
    }

    /// Writes whatever is new, until dropped.
    pub(super) fn keep(&self) -> impl Future<Output = ()> + use<> {
        let (file, local, room) = (self.file.clone(), self.local.clone(), self.room.clone());
        let mut known = self.known.subscribe();
        async move {
            while known.changed().await.is_ok() {
                let news = known.borrow_and_update().clone();
                let (file, local, room) = (file.clone(), local.clone(), room.clone());
                let written = tokio::task::spawn_blocking(move || add(&file, &local, &room, news));
                if written.await.is_err() {
                    return;
                }
            }
        }
    }
}

/// Other processes have entries of their own in the file.
fn add(file: &MemoryFile<File>, local: &str, room: &str, mut news: Meetings) {
    let mut all = file.read();
    trim(&mut news.rooms, room, MAX_ROOMS);
    all.insert(local.to_owned(), news);
    trim(&mut all, local, MAX_IDENTITIES);
    file.write(&all);
}

impl Meetings {
    /// Returns whether that is news.
    fn listens(&mut self, at: &Multiaddr, told: &[Multiaddr]) -> bool {
        let at = &address::without_peer(at.clone());
        let Some(told) = told.iter().find(|told| is_for(told, at)) else {
            return false;
        };
        let place = with_port_of(told, at);
        if self.listen.contains(&place) {
            return false;
        }
        self.listen.retain(|old| !differ_in_port(old, told));
        self.listen.push(place);
        true
    }

    fn met(&mut self, room: &str, peer: PeerId, at: &Multiaddr) -> bool {
        let place = address::with_peer(at.clone(), peer);
        let places = self.rooms.entry(room.to_owned()).or_default();
        if places.last() == Some(&place) {
            return false;
        }
        places.retain(|old| address::peer_of(old) != Some(peer));
        places.push(place);
        let surplus = places.len().saturating_sub(MAX_PEERS);
        places.drain(..surplus);
        true
    }
}

/// Whether the node listens at `at` because it was told to at `told`, with any port.
fn is_for(told: &Multiaddr, at: &Multiaddr) -> bool {
    let family = |address| address::ip_of(address).map(|ip| ip.is_ipv4());
    address::port_of(told) == Some(0)
        && family(told) == family(at)
        && without_ip(&with_port_of(told, at)) == without_ip(at)
}

fn without_ip(address: &Multiaddr) -> Multiaddr {
    address.iter().skip(1).collect()
}

/// Whether a place is the same as an address with any port.
fn differ_in_port(place: &Multiaddr, address: &Multiaddr) -> bool {
    address::port_of(address) == Some(0) && with_port_of(address, place) == *place
}

/// The address, with the port of another one.
fn with_port_of(address: &Multiaddr, other: &Multiaddr) -> Multiaddr {
    let port = address::port_of(other).unwrap_or_default();
    let with = |protocol| match protocol {
        Protocol::Tcp(_) => Protocol::Tcp(port),
        Protocol::Udp(_) => Protocol::Udp(port),
        other => other,
    };
    address.iter().map(with).collect()
}

#[cfg(test)]
mod tests {
    use punchline::{path::Transport, platform};

    use super::*;

    fn memory(directory: &tempfile::TempDir, local: PeerId, room: &str) -> MeetingMemory {
        let file = MemoryFile::at(Some(directory.path().join(FILE)));
        MeetingMemory::of(file, local, room)
    }

    fn a(text: &str) -> Multiaddr {
        text.parse().unwrap()
    }

    fn met(peer: PeerId, at: &str) -> Event {
        Event::PathChanged {
            peer,
            from: Path::Relayed,
            to: Path::Direct,
            transport: Transport::Quic,
            address: a(at),
        }
    }

    /// What a run that begins now is told.
    fn recalled(memory: &mut MeetingMemory) -> NodeConfig {
        let mut config = NodeConfig {
            listen: platform::default_listen(),
            ..NodeConfig::default()
        };
        memory.recall(&mut config);
        config
    }

    fn written(memory: &MeetingMemory) {
        let news = memory.known.borrow().clone();
        add(&memory.file, &memory.local, &memory.room, news);
    }

    #[test]
    fn who_was_met_is_recalled_by_room_and_the_last_one_is_the_newest() {
        let directory = tempfile::tempdir().unwrap();
        let [local, b, c] = std::array::from_fn(|_| PeerId::random());
        let ours = memory(&directory, local, "ours");
        ours.note(&met(b, "/ip4/192.0.2.1/udp/1/quic-v1"));
        ours.note(&met(c, "/ip4/192.0.2.2/udp/2/quic-v1"));
        ours.note(&met(b, "/ip4/192.0.2.3/udp/3/quic-v1"));
        written(&ours);
        let again = recalled(&mut memory(&directory, local, "ours")).remembered;
        let places = [
            a(&format!("/ip4/192.0.2.2/udp/2/quic-v1/p2p/{c}")),
            a(&format!("/ip4/192.0.2.3/udp/3/quic-v1/p2p/{b}")),
        ];
        assert_eq!(again, places);
        let elsewhere = recalled(&mut memory(&directory, local, "another"));
        assert!(elsewhere.remembered.is_empty());
        let somebody = recalled(&mut memory(&directory, b, "ours"));
        assert!(somebody.remembered.is_empty());
    }

    #[test]
    fn ports_are_kept_while_they_are_free() {
        let directory = tempfile::tempdir().unwrap();
        let local = PeerId::random();
        let mut first = memory(&directory, local, "room");
        let told = recalled(&mut first).listen;
        let socket = std::net::UdpSocket::bind("0.0.0.0:0").unwrap();
        let port = socket.local_addr().unwrap().port();
        let listening = |ip: &str| Event::Listening {
            address: address::with_peer(a(&format!("/ip4/{ip}/udp/{port}/quic-v1")), local),
        };
        first.note(&listening("127.0.0.1"));
        first.note(&listening("10.0.0.1"));
        written(&first);
        assert_eq!(recalled(&mut first).listen, told, "the port is taken");
        drop(socket);
        let listen = recalled(&mut memory(&directory, local, "room")).listen;
        let place = a(&format!("/ip4/0.0.0.0/udp/{port}/quic-v1"));
        assert_eq!((&listen[0], &listen[1..]), (&place, &told[1..]));
        let mut chosen = NodeConfig {
            listen: vec![a("/ip4/0.0.0.0/udp/45678/quic-v1")],
            ..NodeConfig::default()
        };
        let listen = chosen.listen.clone();
        memory(&directory, local, "room").recall(&mut chosen);
        assert_eq!(chosen.listen, listen, "what was asked for");
    }

    #[test]
    fn there_are_limits_and_nothing_of_ours_goes_for_others() {
        let directory = tempfile::tempdir().unwrap();
        let local = PeerId::random();
        for room in 0..2 * MAX_ROOMS {
            let mut memory = memory(&directory, local, &room.to_string());
            for _ in 0..MAX_PEERS + 1 {
                let event = met(PeerId::random(), "/ip4/192.0.2.1/udp/1/quic-v1");
                memory.note(&event);
            }
            written(&memory);
            assert_eq!(recalled(&mut memory).remembered.len(), MAX_PEERS);
        }
        for _ in 0..MAX_IDENTITIES {
            let other = memory(&directory, PeerId::random(), "room");
            written(&other);
            assert!(other.file.read().contains_key(&other.local));
        }
        let all = memory(&directory, local, "room").file.read();
        assert_eq!(all.len(), MAX_IDENTITIES);
        let mut rooms = all.values().map(|known| known.rooms.len());
        assert!(rooms.all(|rooms| rooms <= MAX_ROOMS));
        let bytes = directory.path().join(FILE).metadata().unwrap().len();
        assert!(bytes < 64 * 1024, "{bytes}");
    }

    #[test]
    fn without_a_kept_identity_nothing_is() {
        let mut memory = MeetingMemory::of(MemoryFile::at(None), PeerId::random(), "room");
        memory.note(&met(PeerId::random(), "/ip4/192.0.2.1/tcp/1"));
        assert!(recalled(&mut memory).remembered.is_empty());
    }
}
