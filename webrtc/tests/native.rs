//! The native backend: two connections of one machine, and what strangers send them.

use std::{
    future::poll_fn,
    net::{SocketAddr, UdpSocket},
    time::Duration,
};

use bytes::Bytes;
use futures::future::{Either, select};
use punchline_webrtc::{
    Error,
    backend::{Backend, BackendConnection, ChannelId, Command, Event},
    platform::native::{Connection, DEAD_AFTER, Native},
};

/// Longer than anything here takes.
const PATIENCE: Duration = Duration::from_secs(60);

async fn in_time<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, future)
        .await
        .expect("in time")
}

async fn next(connection: &mut Connection) -> Event {
    poll_fn(|cx| connection.poll_event(cx)).await
}

/// The next event of either, and whose it is.
async fn next_of(ends: &mut [Connection; 2]) -> (usize, Event) {
    let [one, other] = ends;
    match select(std::pin::pin!(next(one)), std::pin::pin!(next(other))).await {
        Either::Left((event, _)) => (0, event),
        Either::Right((event, _)) => (1, event),
    }
}

/// Two that know nothing of each other, of two programs.
fn two() -> [Connection; 2] {
    [0, 1].map(|_| Native::new().open().expect("sockets"))
}

/// Two ends of a connection, and the offer.
async fn connected() -> ([Connection; 2], String) {
    let mut ends = two();
    ends[0].execute(Command::Offer);
    let mut offer = String::new();
    let mut connected = 0;
    while connected < 2 {
        match next_of(&mut ends).await {
            (0, Event::Described(text)) => {
                offer.clone_from(&text);
                ends[1].execute(Command::Answer(text));
            }
            (_, Event::Described(text)) => ends[0].execute(Command::TakeAnswer(text)),
            (end, Event::Candidate(json)) => ends[1 - end].execute(Command::AddCandidate(json)),
            (_, Event::Connected) => connected += 1,
            (end, event) => panic!("{end}: {event:?}"),
        }
    }
    ends[0].execute(Command::CloseInit);
    (ends, offer)
}

/// Opens a channel at the first end, and returns its name at each.
async fn channel(ends: &mut [Connection; 2]) -> [ChannelId; 2] {
    let ours = ends[0].open_channel().expect("a connection");
    let mut theirs = None;
    let mut ready = false;
    loop {
        match next_of(ends).await {
            (0, Event::ChannelReady(id)) if id == ours => ready = true,
            (1, Event::ChannelOpened(id)) => theirs = Some(id),
            _ => {}
        }
        if let (true, Some(theirs)) = (ready, theirs) {
            return [ours, theirs];
        }
    }
}

/// Sends from the first end to the other, and checks that all of it arrives, in order.
async fn talk(ends: &mut [Connection; 2], channel: [ChannelId; 2], count: u32) {
    for n in 0..count {
        let sent = ends[0].send(channel[0], Bytes::copy_from_slice(&n.to_be_bytes()));
        sent.expect("an open channel");
    }
    let mut expected = 0;
    while expected < count {
        if let (1, Event::Message(id, message)) = next_of(ends).await {
            assert_eq!(id, channel[1]);
            assert_eq!(&message[..], expected.to_be_bytes());
            expected += 1;
        }
    }
}

#[tokio::test]
async fn more_than_fits_into_the_path_arrives_in_order() {
    in_time(async {
        let (mut ends, _) = connected().await;
        let channel = channel(&mut ends).await;
        let big = Bytes::from(vec![7; 16 * 1024]);
        let count = 400;
        for _ in 0..count {
            ends[0]
                .send(channel[0], big.clone())
                .expect("an open channel");
        }
        assert!(ends[0].buffered(channel[0]) > 0);
        let mut got = 0;
        while got < count {
            if let (1, Event::Message(_, message)) = next_of(&mut ends).await {
                assert!(message == big);
                got += 1;
            }
        }
        talk(&mut ends, channel, 1_000).await;
        // What is confirmed is no event.
        while ends[0].buffered(channel[0]) > 0 {
            let turn = next_of(&mut ends);
            let _ = tokio::time::timeout(Duration::from_millis(10), turn).await;
        }
    })
    .await;
}

#[tokio::test]
async fn a_closed_channel_has_delivered_everything() {
    in_time(async {
        let (mut ends, _) = connected().await;
        let channel = channel(&mut ends).await;
        let big = Bytes::from(vec![7; 16 * 1024]);
        for _ in 0..300 {
            ends[0]
                .send(channel[0], big.clone())
                .expect("an open channel");
        }
        ends[0].execute(Command::CloseChannel(channel[0]));
        let mut got = 0;
        loop {
            match next_of(&mut ends).await {
                (1, Event::Message(..)) => got += 1,
                (1, Event::ChannelClosed(id)) => {
                    assert_eq!(id, channel[1]);
                    break;
                }
                _ => {}
            }
        }
        assert_eq!(got, 300);
    })
    .await;
}

#[tokio::test]
async fn the_end_of_one_is_noticed_by_the_other() {
    in_time(async {
        let (mut ends, _) = connected().await;
        channel(&mut ends).await;
        let [one, mut other] = ends;
        drop(one);
        let closed = tokio::time::timeout(DEAD_AFTER, async {
            while !matches!(next(&mut other).await, Event::Closed(_)) {}
        });
        closed.await.expect("it says so, and is not found out");
    })
    .await;
}

/// A packet that looks like ICE's, with another user each time.
fn forged(n: u32) -> Vec<u8> {
    let user = format!("{n:08x}:{n:08x}");
    let mut packet = vec![0, 1, 0, 0];
    packet.extend(0x2112_a442_u32.to_be_bytes());
    packet.extend([n.to_be_bytes(); 3].concat());
    packet.extend([0, 6, 0, user.len() as u8]);
    packet.extend(user.bytes());
    packet.extend(std::iter::repeat_n(0, (4 - user.len() % 4) % 4));
    let len = (packet.len() - 20) as u16;
    packet[2..4].copy_from_slice(&len.to_be_bytes());
    packet
}

#[tokio::test]
async fn ten_thousand_forged_packets_change_nothing() {
    in_time(async {
        let (mut ends, offer) = connected().await;
        let channel = channel(&mut ends).await;
        let candidates = offer.lines().filter_map(|l| l.strip_prefix("a=candidate:"));
        let sockets = candidates.filter_map(|candidate| {
            let mut words = candidate.split(' ').skip(4);
            let ip = words.next()?.parse().ok()?;
            Some(SocketAddr::new(ip, words.next()?.parse().ok()?))
        });
        let target = sockets.into_iter().next().expect("a candidate");
        let any = if target.is_ipv4() {
            "0.0.0.0:0"
        } else {
            "[::]:0"
        };
        let stranger = UdpSocket::bind(any).expect("a socket");
        stranger.set_nonblocking(true).expect("a socket");
        for n in 0..10_000 {
            let packet = match n % 3 {
                0 => forged(n),
                1 => vec![(n % 256) as u8; 40],
                _ => forged(n)[..(n % 30) as usize].to_vec(),
            };
            // Some of them are lost, as packets may be.
            let _ = stranger.send_to(&packet, target);
            if n % 100 == 0 {
                talk(&mut ends, channel, 2).await;
            }
        }
        talk(&mut ends, channel, 100).await;
        let answered = stranger.recv_from(&mut [0; 1_500]);
        assert!(
            answered.is_err(),
            "strangers are not answered: {answered:?}"
        );
    })
    .await;
}

/// A description without its candidates, and those as signals.
fn split(description: &str) -> (String, Vec<String>) {
    let is_candidate = |line: &&str| line.starts_with("a=candidate:");
    let (candidates, rest): (Vec<_>, Vec<_>) = description.lines().partition(is_candidate);
    let json = candidates
        .iter()
        .map(|line| format!(r#"{{"candidate":"{}"}}"#, &line[2..]));
    (rest.join("\r\n") + "\r\n", json.collect())
}

#[tokio::test]
async fn one_candidate_long_after_the_descriptions_is_enough() {
    in_time(async {
        let mut ends = two();
        ends[0].execute(Command::Offer);
        let mut of_offerer = Vec::new();
        loop {
            match next_of(&mut ends).await {
                (0, Event::Described(text)) => {
                    let (offer, candidates) = split(&text);
                    of_offerer = candidates;
                    ends[1].execute(Command::Answer(offer));
                }
                (_, Event::Described(text)) => {
                    ends[0].execute(Command::TakeAnswer(split(&text).0));
                    break;
                }
                (end, event) => panic!("{end}: {event:?}"),
            }
        }
        // Nothing is known of each other: nothing happens.
        let quiet = tokio::time::timeout(Duration::from_secs(1), next_of(&mut ends)).await;
        assert!(quiet.is_err(), "{quiet:?}");
        // The answerer alone knows where the other is.
        let candidate = of_offerer.swap_remove(0);
        ends[1].execute(Command::AddCandidate(candidate));
        let mut connected = 0;
        while connected < 2 {
            connected += usize::from(matches!(next_of(&mut ends).await.1, Event::Connected));
        }
    })
    .await;
}

#[tokio::test]
async fn nothing_is_sent_to_where_the_guard_does_not_allow_it() {
    in_time(async {
        let victim = tokio::net::UdpSocket::bind("127.0.0.1:0")
            .await
            .expect("a socket");
        let named = victim.local_addr().expect("an address");
        let candidate = format!(
            "candidate:1 1 udp 1 {} {} typ host",
            named.ip(),
            named.port()
        );
        let native = Native::new().guarded(move |address| address != named);
        let mut remote = Native::new().open().expect("sockets");
        remote.execute(Command::Offer);
        let Event::Described(offer) = next(&mut remote).await else {
            panic!("a description comes first");
        };
        // In the description, and after it.
        let offer = format!("{}\r\na={candidate}\r\n", offer.trim_end());
        let mut ends = [remote, native.open().expect("sockets")];
        ends[1].execute(Command::Answer(offer));
        ends[1].execute(Command::AddCandidate(format!(
            r#"{{"candidate":"{candidate}"}}"#
        )));
        let mut connected = 0;
        while connected < 2 {
            match next_of(&mut ends).await {
                (1, Event::Described(text)) => ends[0].execute(Command::TakeAnswer(text)),
                (_, Event::Connected) => connected += 1,
                _ => {}
            }
        }
        let got = victim.try_recv_from(&mut [0; 1_500]);
        assert!(got.is_err(), "{got:?}");
    })
    .await;
}

#[tokio::test]
async fn what_is_no_description_is_refused_and_no_candidate_ignored() {
    in_time(async {
        for hostile in [
            "",
            "v=0",
            "\0\0\0",
            "v=0\r\nm=application 9 UDP/DTLS/SCTP webrtc-datachannel\r\n",
        ] {
            let mut connection = Native::new().open().expect("sockets");
            connection.execute(Command::Answer(hostile.into()));
            let event = next(&mut connection).await;
            assert!(
                matches!(event, Event::Closed(Error::Backend(_))),
                "{hostile:?}: {event:?}"
            );
        }
        let (mut ends, _) = connected().await;
        let long = "9".repeat(60_000);
        for hostile in [
            "",
            "null",
            "[]",
            "{}",
            r#"{"candidate":""}"#,
            r#"{"candidate":"candidate:1 1 udp 1 x.local 9 typ host"}"#,
            &long,
        ] {
            ends[0].execute(Command::AddCandidate(hostile.into()));
        }
        let channel = channel(&mut ends).await;
        talk(&mut ends, channel, 10).await;
    })
    .await;
}

/// str0m 0.25 takes users of any length, and panics when it has to write more than 128 characters into a packet.
#[tokio::test]
async fn a_user_that_fits_into_no_packet_is_refused() {
    in_time(async {
        let [mut one, mut other] = two();
        one.execute(Command::Offer);
        let Event::Described(offer) = next(&mut one).await else {
            panic!("a description comes first");
        };
        let mut users = offer.lines().filter_map(|l| l.strip_prefix("a=ice-ufrag:"));
        let user = users.next().expect("a user");
        // In the candidates, too.
        let long = offer.replace(user, &"u".repeat(200));
        other.execute(Command::Answer(long));
        let event = loop {
            match next(&mut other).await {
                Event::Described(_) => {}
                event => break event,
            }
        };
        assert!(
            matches!(event, Event::Closed(Error::Backend(_))),
            "{event:?}"
        );
    })
    .await;
}

#[tokio::test]
async fn an_address_outside_is_offered_as_long_as_it_leads_here() {
    in_time(async {
        let native = Native::new();
        let mapped = "/ip4/203.0.113.9/udp/4242/webrtc-direct"
            .parse()
            .expect("an address");
        let other = "/ip4/203.0.113.10/udp/4243/quic-v1"
            .parse()
            .expect("an address");
        native.reached_at(&mapped, true);
        native.reached_at(&other, true);
        let offer = async || {
            let mut connection = native.open().expect("sockets");
            connection.execute(Command::Offer);
            match next(&mut connection).await {
                Event::Described(offer) => offer,
                event => panic!("{event:?}"),
            }
        };
        let first = offer().await;
        assert!(first.contains("203.0.113.9 4242 typ srflx"), "{first}");
        assert!(!first.contains("203.0.113.10"), "{first}");
        native.reached_at(&mapped, false);
        let second = offer().await;
        assert!(!second.contains("203.0.113.9"), "{second}");
    })
    .await;
}
