mod random;

use std::time::Duration;

use libp2p::{Multiaddr, core::PeerRecord, identity::Keypair};
use prost::Message;

use super::*;
use crate::protocols::rendezvous::{
    packet::Unregister,
    registry::{ABSENCE, MAX_PAGE_BYTES},
};

const LIMITS: Limits = Limits {
    max_registrations: 100,
    share: Share {
        of_address: 10,
        of_site: 20,
        of_private: 30,
    },
    max_per_peer: 3,
    min_ttl: 60,
    max_ttl: 7_200,
};

/// A server, the time, and answers in words of the protocol.
struct Rig {
    server: Server,
    now: Instant,
    /// Where whoever asks is.
    network: Option<IpAddr>,
}

impl Rig {
    fn new() -> Self {
        Self {
            server: Server::new(LIMITS),
            now: Instant::now(),
            network: None,
        }
    }

    fn register(&mut self, key: &Keypair, namespace: &str) -> Status {
        self.register_record(key, namespace, record(key, 1), None)
    }

    fn register_record(
        &mut self,
        key: &Keypair,
        namespace: &str,
        record: Vec<u8>,
        ttl: Option<u64>,
    ) -> Status {
        let register = Register {
            namespace: Some(namespace.into()),
            record: Some(record),
            ttl,
        };
        let question = Packet {
            kind: Some(Kind::Register as i32),
            register: Some(register),
            ..Packet::default()
        };
        let peer = key.public().to_peer_id();
        let (answer, event) = self.server.answer(self.now, (peer, self.network), question);
        let answer = answer.unwrap().register_response.unwrap();
        let status = Status::try_from(answer.status.unwrap()).unwrap();
        match event.unwrap() {
            Event::Registered { ttl, .. } => {
                assert_eq!((status, answer.ttl), (Status::Ok, Some(ttl)));
            }
            Event::Refused { .. } => assert_ne!(status, Status::Ok),
            other @ Event::Unregistered { .. } => panic!("{other:?}"),
        }
        status
    }

    fn unregister(&mut self, key: &Keypair, namespace: &str) -> bool {
        let question = Packet {
            kind: Some(Kind::Unregister as i32),
            unregister: Some(Unregister {
                namespace: Some(namespace.into()),
            }),
            ..Packet::default()
        };
        let peer = key.public().to_peer_id();
        let (answer, event) = self.server.answer(self.now, (peer, self.network), question);
        assert_eq!(answer, None);
        event.is_some()
    }

    fn ask(&mut self, discover: Discover) -> DiscoverResponse {
        let question = Packet {
            kind: Some(Kind::Discover as i32),
            discover: Some(discover),
            ..Packet::default()
        };
        let (answer, event) =
            self.server
                .answer(self.now, (PeerId::random(), self.network), question);
        assert_eq!(event, None);
        answer.unwrap().discover_response.unwrap()
    }

    /// Who is there since the cookie was given, and the next cookie.
    fn discover(&mut self, namespace: &str, cookie: Option<Vec<u8>>) -> (Vec<PeerId>, Vec<u8>) {
        let answer = self.ask(Discover {
            namespace: Some(namespace.into()),
            limit: None,
            cookie,
        });
        assert_eq!(answer.status, Some(Status::Ok as i32));
        (peers(&answer), answer.cookie.unwrap())
    }

    fn refused(&mut self, namespace: Option<&str>, cookie: Option<Vec<u8>>) -> Status {
        let answer = self.ask(Discover {
            namespace: namespace.map(Into::into),
            limit: None,
            cookie,
        });
        assert_eq!((answer.registrations.len(), answer.cookie), (0, None));
        Status::try_from(answer.status.unwrap()).unwrap()
    }

    fn wait(&mut self, seconds: u64) -> usize {
        self.now += Duration::from_secs(seconds);
        let mut expired = 0;
        while let Some(event) = self.server.handle_timeout(self.now) {
            assert!(matches!(event, Event::Unregistered { expired: true, .. }));
            expired += 1;
        }
        while self.server.news(self.now).is_some() {}
        expired
    }
}

fn key() -> Keypair {
    Keypair::generate_ed25519()
}

fn id(key: &Keypair) -> PeerId {
    key.public().to_peer_id()
}

fn record(key: &Keypair, addresses: u16) -> Vec<u8> {
    let addresses = (1..=addresses)
        .map(|port| format!("/ip4/127.0.0.1/tcp/{port}").parse().unwrap())
        .collect::<Vec<Multiaddr>>();
    let record = PeerRecord::new(key, addresses).unwrap();
    record.into_signed_envelope().into_protobuf_encoding()
}

fn peers(answer: &DiscoverResponse) -> Vec<PeerId> {
    let records = answer.registrations.iter();
    records
        .map(|r| {
            let record = r.record.as_ref().unwrap();
            read_record(record).unwrap().peer_id()
        })
        .collect()
}

#[test]
fn a_cookie_stands_for_what_has_been_seen() {
    let (mut rig, a, b) = (Rig::new(), key(), key());
    let (found, cookie) = rig.discover("room", None);
    assert_eq!(found, []);
    rig.register(&a, "room");
    rig.register(&b, "other room");
    let (found, cookie) = rig.discover("room", Some(cookie));
    assert_eq!(found, [id(&a)]);
    let (found, cookie) = rig.discover("room", Some(cookie));
    assert_eq!(found, []);
    rig.register(&b, "room");
    let (found, cookie) = rig.discover("room", Some(cookie));
    assert_eq!(found, [id(&b)]);
    // Where it is may have changed.
    rig.register(&a, "room");
    assert_eq!(rig.discover("room", Some(cookie)).0, [id(&a)]);
    assert_eq!(rig.discover("room", None).0, [id(&b), id(&a)]);
    assert_eq!(rig.discover("room", Some(Vec::new())).0.len(), 2);
}

#[test]
fn cookies_of_another_start_find_everyone() {
    let (mut before, mut after, a) = (Rig::new(), Rig::new(), key());
    before.register(&a, "room");
    let (_, cookie) = before.discover("room", None);
    // Clocks stand at times; a start takes longer than this does.
    after.server.registry = Registry::new(LIMITS, first_number() + (1 << 20));
    after.register(&a, "room");
    assert_eq!(after.discover("room", Some(cookie)).0, [id(&a)]);
    // Of one whose clock was ahead.
    let cookie = write_cookie(Number::MAX, "room");
    assert_eq!(after.discover("room", Some(cookie)).0, [id(&a)]);
}

#[test]
fn a_registration_ends_when_it_is_not_refreshed() {
    let (mut rig, a) = (Rig::new(), key());
    assert_eq!(rig.server.poll_timeout(), None);
    rig.register(&a, "room");
    assert_eq!(rig.wait(7_199), 0);
    rig.register(&a, "room");
    assert_eq!(rig.wait(7_199), 0);
    let answer = rig.ask(Discover {
        namespace: Some("room".into()),
        limit: None,
        cookie: None,
    });
    assert_eq!(answer.registrations[0].ttl, Some(1));
    assert_eq!(
        rig.server.registry.next_expiry(),
        Some(rig.now + Duration::from_secs(1))
    );
    assert_eq!(rig.wait(1), 1);
    assert_eq!(rig.discover("room", None).0, []);
    rig.server.registry.assert_empty();
}

#[test]
fn what_is_replaced_or_withdrawn_leaves_nothing() {
    let (mut rig, a) = (Rig::new(), key());
    let record = record(&a, 1);
    for _ in 0..1_000 {
        let status = rig.register_record(&a, "room", record.clone(), None);
        assert_eq!(status, Status::Ok);
        assert_eq!(rig.server.registrations(), 1);
    }
    assert!(!rig.unregister(&a, "other room"));
    assert!(!rig.unregister(&key(), "room"));
    assert!(rig.unregister(&a, "room"));
    assert!(!rig.unregister(&a, "room"));
    rig.server.registry.assert_empty();
}

#[test]
fn whoever_is_registered_may_refresh_when_there_is_no_room() {
    let (mut rig, a) = (Rig::new(), key());
    for namespace in ["1", "2", "3"] {
        assert_eq!(rig.register(&a, namespace), Status::Ok);
    }
    assert_eq!(rig.register(&a, "4"), Status::Unavailable);
    assert_eq!(rig.register(&a, "3"), Status::Ok);
    while rig.server.registrations() < LIMITS.max_registrations {
        assert_eq!(rig.register(&key(), "room"), Status::Ok);
    }
    assert_eq!(rig.register(&key(), "room"), Status::Unavailable);
    assert_eq!(rig.register(&a, "3"), Status::Ok);
    assert!(rig.unregister(&a, "1"));
    assert_eq!(rig.register(&key(), "room"), Status::Ok);
}

#[test]
fn a_network_with_many_peer_ids_leaves_room_for_others() {
    let mut rig = Rig::new();
    rig.network = Some([192, 0, 2, 1].into());
    let ours: Vec<_> = (0..LIMITS.share.of_address).map(|_| key()).collect();
    for key in &ours {
        assert_eq!(rig.register(key, "room"), Status::Ok);
    }
    assert_eq!(rig.register(&key(), "room"), Status::Unavailable);
    assert_eq!(rig.register(&key(), "other room"), Status::Unavailable);
    assert_eq!(rig.register(&ours[0], "room"), Status::Ok);

    let other = Some([192, 0, 2, 2].into());
    for network in [other, None] {
        rig.network = network;
        assert_eq!(rig.register(&key(), "room"), Status::Ok);
    }
    // It counts for where it came from last.
    rig.network = other;
    assert_eq!(rig.register(&ours[0], "room"), Status::Ok);
    rig.network = Some([192, 0, 2, 1].into());
    assert_eq!(rig.register(&key(), "room"), Status::Ok);
    rig.wait(LIMITS.max_ttl);
    rig.server.registry.assert_empty();
}

#[test]
fn behind_a_private_address_may_be_many_but_not_all() {
    let mut rig = Rig::new();
    rig.network = Some([127, 0, 0, 1].into());
    let all = 0..LIMITS.max_registrations;
    let taken = all.filter(|_| rig.register(&key(), "room") == Status::Ok);
    assert_eq!(taken.count(), LIMITS.share.of_private as usize);
    rig.network = Some([192, 0, 2, 1].into());
    assert_eq!(rig.register(&key(), "room"), Status::Ok);
}

#[test]
fn a_registration_ends_soon_after_its_peer_has_left() {
    let (mut rig, a, b) = (Rig::new(), key(), key());
    for namespace in ["room", "other room"] {
        assert_eq!(rig.register(&a, namespace), Status::Ok);
    }
    assert_eq!(rig.register(&b, "room"), Status::Ok);
    rig.server.peer_left(rig.now, id(&a));
    assert!(ABSENCE < Duration::from_secs(60), "within a minute");
    assert_eq!(rig.wait(ABSENCE.as_secs() - 1), 0);
    assert_eq!(
        rig.server.registry.next_expiry(),
        Some(rig.now + Duration::from_secs(1))
    );
    assert_eq!(rig.wait(1), 2);
    assert_eq!(rig.discover("room", None).0, [id(&b)]);
    rig.wait(LIMITS.max_ttl);
    rig.server.registry.assert_empty();
}

#[test]
fn who_comes_back_in_time_keeps_its_registration() {
    let (mut rig, a) = (Rig::new(), key());
    assert_eq!(rig.register(&a, "room"), Status::Ok);
    rig.server.peer_left(rig.now, id(&a));
    rig.wait(ABSENCE.as_secs() - 1);
    rig.server.peer_came(id(&a));
    assert_eq!(rig.wait(ABSENCE.as_secs()), 0);
    assert_eq!(rig.discover("room", None).0, [id(&a)]);
    // Who was never here leaves nothing behind.
    rig.server.peer_left(rig.now, id(&key()));
    assert!(rig.unregister(&a, "room"));
    rig.server.registry.assert_empty();
}

/// A second's work for an attacker: peers that register and are gone.
#[test]
fn the_dead_make_room_for_who_lives() {
    let mut rig = Rig::new();
    rig.network = Some([192, 0, 2, 1].into());
    let alive = key();
    assert_eq!(rig.register(&alive, "room"), Status::Ok);
    for _ in 0..5 * LIMITS.max_registrations {
        let dead = key();
        assert_eq!(rig.register(&dead, "room"), Status::Ok);
        rig.server.peer_left(rig.now, id(&dead));
    }
    assert_eq!(rig.server.registrations(), LIMITS.share.of_address as usize);
    assert!(rig.discover("room", None).0.contains(&id(&alive)));
    rig.network = None;
    while rig.server.registrations() < LIMITS.max_registrations {
        assert_eq!(rig.register(&key(), "room"), Status::Ok);
    }
    assert_eq!(
        rig.register(&key(), "room"),
        Status::Ok,
        "in place of a dead one"
    );
}

#[test]
fn bad_registrations_are_refused() {
    let (mut rig, a, b) = (Rig::new(), key(), key());
    let good = || record(&a, 1);
    let refused = [
        (good(), "", None, Status::InvalidNamespace),
        (good(), &*"x".repeat(256), None, Status::InvalidNamespace),
        (good(), "room", Some(59), Status::InvalidTtl),
        (good(), "room", Some(7_201), Status::InvalidTtl),
        (good(), "room", Some(u64::MAX), Status::InvalidTtl),
        (Vec::new(), "room", None, Status::InvalidRecord),
        (vec![0xff; 64], "room", None, Status::InvalidRecord),
        (record(&a, 2_000), "room", None, Status::InvalidRecord),
        (record(&b, 1), "room", None, Status::NotAuthorized),
    ];
    for (record, namespace, ttl, status) in refused {
        assert_eq!(rig.register_record(&a, namespace, record, ttl), status);
    }
    let mut forged = good();
    *forged.last_mut().unwrap() ^= 1;
    let status = rig.register_record(&a, "room", forged, None);
    assert_eq!(status, Status::InvalidRecord);
    rig.server.registry.assert_empty();
}

#[test]
fn the_standard_form_of_peer_records_is_taken_too() {
    let (mut rig, a) = (Rig::new(), key());
    let record = PeerRecord::new_interop(&a, vec!["/memory/1".parse().unwrap()]).unwrap();
    let record = record.into_signed_envelope().into_protobuf_encoding();
    assert_eq!(rig.register_record(&a, "room", record, None), Status::Ok);
    assert_eq!(rig.discover("room", None).0, [id(&a)]);
}

#[test]
fn only_who_names_a_room_learns_who_is_in_it() {
    let (mut rig, a) = (Rig::new(), key());
    rig.register(&a, "room");
    let (_, cookie) = rig.discover("room", None);
    assert_eq!(rig.refused(None, None), Status::InvalidNamespace);
    assert_eq!(rig.refused(Some(""), None), Status::InvalidNamespace);
    let other = rig.refused(Some("other room"), Some(cookie));
    assert_eq!(other, Status::InvalidCookie);
    let short = rig.refused(Some("room"), Some(vec![0; 7]));
    assert_eq!(short, Status::InvalidCookie);
}

#[test]
fn a_question_that_is_none_is_not_answered() {
    let mut rig = Rig::new();
    let nothing = rig
        .server
        .answer(rig.now, (PeerId::random(), None), Packet::default());
    assert_eq!(nothing, (None, None));
}

#[test]
fn pages_are_bounded_and_lead_to_everyone() {
    let mut rig = Rig::new();
    let keys: Vec<_> = (0..60).map(|_| key()).collect();
    for key in &keys {
        let record = record(key, 500);
        assert!(record.len() > MAX_PAGE_BYTES / 30);
        assert_eq!(rig.register_record(key, "room", record, None), Status::Ok);
    }
    let (mut cookie, mut found) = (None, Vec::new());
    loop {
        let (page, next) = rig.discover("room", cookie);
        if page.is_empty() {
            break;
        }
        assert!(page.len() < 30);
        found.extend(page);
        cookie = Some(next);
    }
    assert_eq!(found, keys.iter().map(id).collect::<Vec<_>>());
    let few = rig.ask(Discover {
        namespace: Some("room".into()),
        limit: Some(2),
        cookie: None,
    });
    assert_eq!(few.registrations.len(), 2);
}

#[test]
fn a_namespace_has_at_most_255_bytes() {
    let mut rig = Rig::new();
    let key = Keypair::generate_ed25519();
    let (longest, longer) = ("n".repeat(255), "n".repeat(256));
    assert_eq!(rig.register(&key, &longest), Status::Ok);
    assert_eq!(rig.discover(&longest, None).0.len(), 1);
    assert_eq!(rig.register(&key, &longer), Status::InvalidNamespace);
    assert_eq!(rig.refused(Some(&longer), None), Status::InvalidNamespace);
    assert!(!rig.unregister(&key, &longer));
}

/// What is told to whom, once some time has passed; `None` of peers: it is worth to ask.
fn word(rig: &mut Rig) -> Option<(Vec<PeerId>, Option<Vec<PeerId>>)> {
    rig.now += Duration::from_secs(10);
    let word = rig.server.news(rig.now)?;
    let packet = Packet::decode_length_delimited(&*word.packet).unwrap();
    let mut to = word.to;
    to.sort_unstable();
    Some((to, packet.discover_response.as_ref().map(peers)))
}

#[test]
fn a_room_is_told_who_has_come_to_it() {
    let (mut rig, a, b, c) = (Rig::new(), key(), key(), key());
    let sorted = |keys: &[&Keypair]| {
        let mut ids: Vec<_> = keys.iter().map(|key| id(key)).collect();
        ids.sort_unstable();
        ids
    };
    rig.register(&a, "room");
    rig.register(&c, "other room");
    let words = [word(&mut rig).unwrap(), word(&mut rig).unwrap()];
    for key in [&a, &c] {
        assert!(words.contains(&(vec![id(key)], Some(vec![id(key)]))));
    }
    rig.register(&b, "room");
    let told = (sorted(&[&a, &b]), Some(vec![id(&b)]));
    assert_eq!(word(&mut rig), Some(told));
    assert_eq!(word(&mut rig), None);
}

#[test]
fn whoever_is_told_of_many_is_to_ask() {
    let mut rig = Rig::new();
    let room: Vec<_> = (0..MAX_NEWS).map(|_| key()).collect();
    for key in &room {
        rig.register(key, "room");
    }
    let (_, came) = word(&mut rig).unwrap();
    assert_eq!(came.unwrap().len(), room.len());
    for key in room.iter().chain([&key()]) {
        rig.register(key, "room");
    }
    assert_eq!(word(&mut rig).unwrap().1, None, "too many");
    for key in &room[..4] {
        let record = record(key, 180);
        assert!(record.len() > MAX_NEWS_BYTES / 4);
        rig.register_record(key, "room", record, None);
    }
    assert_eq!(word(&mut rig).unwrap().1, None, "too long");
}
