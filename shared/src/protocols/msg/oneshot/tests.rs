//! Golden bytes of one-shot packets, and bad ones.

use futures::{executor::block_on, io::Cursor};

use super::*;
use crate::delivery::frames::Data;

#[test]
fn packet_golden_bytes() {
    assert_eq!(packet("hi"), b"\x02hi");
    assert_eq!(packet(""), b"\x00");
    let long = "x".repeat(300);
    assert_eq!(packet(&long)[..3], *b"\xac\x02x");
    assert_eq!(block_on(receive(Cursor::new(packet(&long)))).unwrap(), long);
}

#[test]
fn the_largest_packet_has_2048_bytes() {
    let largest = "x".repeat(MAX_ONESHOT_BYTES);
    let mut packet = packet(&largest);
    assert_eq!(
        block_on(receive(Cursor::new(packet.clone()))).unwrap(),
        largest
    );
    packet[0] += 1;
    packet.push(b'x');
    assert_fault(&packet, "more than 2048 bytes");
}

#[test]
fn bad_packets_are_refused() {
    assert_fault(b"\x82\x00hi", "invalid length prefix");
    assert_fault(b"\xff\xff\xff\xff\x0f", "more than 2048 bytes");
    assert_fault(b"\x80\x80\x00", "invalid length prefix");
    assert_fault(b"\x02\xff\xfe", "invalid utf-8");
    for truncated in [&b""[..], b"\x80", b"\x02", b"\x02h"] {
        let error = block_on(receive(Cursor::new(truncated.to_vec()))).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof, "{truncated:?}");
    }
}

#[test]
fn a_message_that_is_too_long_for_a_packet_is_not_started() {
    let mut sender = OneshotSender::default();
    let frame = |len| {
        let body = "x".repeat(len);
        Kind::Data(Data {
            session: 1,
            seq: 7,
            body,
            ..Data::default()
        })
        .into_frame()
    };
    let error = sender.start(&frame(MAX_ONESHOT_BYTES + 1)).unwrap_err();
    assert!(
        error.to_string().starts_with("2049 bytes are too long"),
        "{error}"
    );
    assert!(sender.is_idle());
    assert_eq!(sender.seq(), 7);
    sender.start(&frame(MAX_ONESHOT_BYTES)).unwrap();
    assert!(!sender.is_idle());
    sender.failed();
    assert!(sender.is_idle());
}

fn packet(body: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    block_on(send(Cursor::new(&mut bytes), body.into())).unwrap();
    bytes
}

fn assert_fault(packet: &[u8], expected: &str) {
    let error = block_on(receive(Cursor::new(packet.to_vec()))).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::InvalidData);
    assert!(error.to_string().starts_with(expected), "{error}");
}
