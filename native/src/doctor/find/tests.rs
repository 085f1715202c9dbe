use punchline::config::RelayAddress;

use super::*;

fn address(text: &str) -> Multiaddr {
    text.parse().unwrap()
}

fn texts(addresses: &[Multiaddr]) -> Vec<String> {
    addresses.iter().map(ToString::to_string).collect()
}

#[test]
fn the_usual_ports_are_tried_where_nobody_says_others() {
    let plan = Plan::of_url(&"http://192.0.2.7:45680".parse().unwrap());
    assert_eq!(
        texts(&plan.addresses),
        [
            "/ip4/192.0.2.7/udp/45678/quic-v1",
            "/ip4/192.0.2.7/tcp/45678",
            "/ip4/192.0.2.7/tcp/45679/ws"
        ]
    );
    assert_eq!(plan.stun_ports, [45_680, 45_681]);
    for text in [
        "/ip6/2001:db8::7/tcp/45678",
        "/ip6/2001:db8::7/udp/45678/quic-v1",
        "/ip6/2001:db8::7/tcp/45679/ws",
    ] {
        let plan = Plan::of_address(&address(text));
        let url = plan.ask.unwrap().to_string();
        assert_eq!(url, "http://[2001:db8::7]:45680/", "{text}");
        assert_eq!(texts(&plan.addresses), [text]);
    }
}

#[test]
fn ports_are_not_guessed_from_those_of_a_proxy() {
    for url in ["https://relay.example", "http://relay.example:80"] {
        let plan = Plan::of_url(&url.parse().unwrap());
        assert!(plan.addresses.is_empty() && plan.stun_ports.is_empty());
    }
    for text in [
        "/dns4/relay.example/tcp/443/wss",
        "/dnsaddr/relay.example",
        "/ip4/192.0.2.7/tcp/65535",
    ] {
        let plan = Plan::of_address(&address(text));
        assert!(plan.ask.is_none() && plan.stun_ports.is_empty(), "{text}");
    }
}

#[test]
fn the_servers_answer_counts_if_it_is_the_same_relay() {
    let (peer, other) = (PeerId::random(), PeerId::random());
    let found = Ok(Answer {
        relay: RelayAddress {
            peer: Some(peer),
            addresses: vec![address("/ip4/192.0.2.7/udp/1/quic-v1")],
        },
        stun_ports: vec![7, 8],
    });
    let given = |peer| address(&format!("/ip4/192.0.2.7/tcp/1/p2p/{peer}"));
    let (known, addresses, ports) = Plan::of_address(&given(peer)).with(Some(&found));
    assert_eq!((known, ports), (Some(peer), vec![7, 8]));
    assert_eq!(addresses.len(), 2);
    let (known, addresses, ports) = Plan::of_address(&given(other)).with(Some(&found));
    assert_eq!((known, ports), (Some(other), vec![3, 4]));
    assert_eq!(texts(&addresses), ["/ip4/192.0.2.7/tcp/1"]);
}

#[test]
fn no_relay_is_dialled_more_often_than_it_allows() {
    let many: Vec<_> = (1..200)
        .flat_map(|n| {
            [
                address(&format!("/ip4/192.0.2.7/tcp/{n}")),
                address(&format!("/ip6/2001:db8::7/tcp/{n}")),
                address(&format!("/ip4/192.0.2.7/udp/{n}/quic-v1")),
                address(&format!("/ip4/192.0.2.7/tcp/{n}/ws")),
            ]
        })
        .collect();
    assert_eq!(choose(many).len(), 4 * MAX_PER_KIND);
    let hosts: Vec<IpAddr> = (1..200_u8).map(|n| [192, 0, 2, n].into()).collect();
    let ports: Vec<u16> = (0..1_000).collect();
    assert_eq!(stun_servers(&hosts, &ports).len(), MAX_STUN_SERVERS);
}

#[tokio::test]
async fn names_become_numbers_except_where_a_certificate_is_for_them() {
    let (resolved, hosts) = resolve(vec![
        address("/dns4/localhost/tcp/1"),
        address("/dns4/localhost/tcp/443/wss"),
        address("/ip4/192.0.2.7/udp/1/quic-v1"),
    ])
    .await;
    assert_eq!(
        texts(&resolved),
        [
            "/ip4/127.0.0.1/tcp/1",
            "/dns4/localhost/tcp/443/wss",
            "/ip4/192.0.2.7/udp/1/quic-v1"
        ]
    );
    assert_eq!(hosts.len(), 2);
}
