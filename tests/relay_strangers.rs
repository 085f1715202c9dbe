//! What a stranger can cost a relay: counts of sockets and bytes, with hostile clients.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod common;

use std::{
    fs,
    net::{Ipv4Addr, UdpSocket},
};

use serde_json::Value;

use common::{Relay, http_get};

const NO_ARGS: &[&str] = &[];

/// Whoever forges the first packet of a WebRTC handshake pays nothing for it. With `--webrtc-direct` the relay pays
/// with a socket each, for ever: libp2p-webrtc 0.10.0-alpha leaves ICE's mDNS on, and has no setting for it.
#[test]
fn forged_packets_cost_no_socket() {
    const FORGED: u16 = 200;
    let relay = Relay::start(NO_ARGS);
    let before = udp_sockets(&relay);
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let udp = relay.addresses.iter().filter_map(|address| {
        let mut parts = address.strip_prefix("/ip4/127.0.0.1/udp/")?.split('/');
        parts.next()?.parse::<u16>().ok()
    });
    let (_, body) = http_get(relay.http, "/bootstrap.json");
    let served: Value = serde_json::from_str(&body).unwrap();
    let served = &served["stun_ports"];
    let stun = served.as_array().unwrap().iter();
    let stun: Vec<_> = stun.map(|port| port.as_u64().unwrap() as u16).collect();
    for port in udp.chain(stun.iter().copied()) {
        for number in 0..FORGED {
            let packet = forged_handshake(number);
            socket
                .send_to(&packet, (Ipv4Addr::LOCALHOST, port))
                .unwrap();
        }
    }
    assert_eq!(http_get(relay.http, "/healthz").0, 200);
    assert_eq!(udp_sockets(&relay), before);
}

/// How many UDP sockets the relay has open.
fn udp_sockets(relay: &Relay) -> usize {
    let files = fs::read_dir(format!("/proc/{}/fd", relay.proc.id())).unwrap();
    let links = files.filter_map(|file| fs::read_link(file.unwrap().path()).ok());
    let names = links.map(|link| link.to_string_lossy().into_owned());
    let inodes: Vec<_> = names
        .filter_map(|name| Some(name.strip_prefix("socket:[")?.strip_suffix(']')?.to_owned()))
        .collect();
    let tables =
        ["/proc/net/udp", "/proc/net/udp6"].map(|table| fs::read_to_string(table).unwrap());
    let rows = tables.iter().flat_map(|table| table.lines());
    rows.filter(|row| {
        let inode = row.split_whitespace().nth(9);
        inode.is_some_and(|inode| inodes.iter().any(|ours| ours == inode))
    })
    .count()
}

/// A STUN request of ICE from somebody unknown, by webrtc-direct of libp2p's specification.
fn forged_handshake(number: u16) -> Vec<u8> {
    let fragment = format!("libp2p+webrtc+v1/{number:05}");
    let username = stun::textattrs::Username::new(
        stun::attributes::ATTR_USERNAME,
        format!("{fragment}:{fragment}"),
    );
    let mut request = stun::message::Message::new();
    request
        .build(&[
            Box::new(stun::message::BINDING_REQUEST),
            Box::<stun::agent::TransactionId>::default(),
            Box::new(username),
        ])
        .unwrap();
    request.raw
}
