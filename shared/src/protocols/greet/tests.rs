//! Golden bytes of greetings, and bad ones.

use futures::{executor::block_on, io::Cursor};
use prost::Message;

use super::*;

#[test]
fn request_golden_bytes() {
    let request = Request {
        message: "Hello".into(),
    };
    assert_eq!(written(&request), b"\x07\x0a\x05Hello");
    assert_eq!(read_from::<Request>(b"\x07\x0a\x05Hello").unwrap(), request);
}

#[test]
fn response_golden_bytes() {
    let address = "/ip4/192.0.2.7/udp/45678/quic-v1".parse().unwrap();
    let response = Response::new("Hi".into(), &address);
    let bytes = b"\x11\x0a\x02Hi\x12\x0b\x04\xc0\x00\x02\x07\x91\x02\xb2\x6e\xcd\x03";
    assert_eq!(written(&response), bytes);
    let read: Response = read_from(&written(&response)).unwrap();
    assert_eq!(read.address(), Some(address));
}

#[test]
fn an_empty_greeting_is_a_greeting() {
    assert_eq!(read_from::<Request>(b"\x00").unwrap(), Request::default());
}

#[test]
fn a_greeting_over_the_limit_is_refused_before_it_is_read() {
    let bytes = written(&Request {
        message: "x".repeat(1024 * 1024),
    });
    let error = read_from::<Request>(&bytes).unwrap_err();
    assert_eq!(error.to_string(), "more than 4096 bytes");
}

#[test]
fn bad_greetings_are_refused() {
    for truncated in [&b""[..], b"\x07\x0a\x05Hel"] {
        let error = read_from::<Request>(truncated).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof, "{truncated:x?}");
    }
    let cases: [&[u8]; 3] = [
        b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff",
        b"\x04\x0a\x02\xff\xfe",
        b"\x02\x07\x07",
    ];
    for bytes in cases {
        let error = read_from::<Request>(bytes).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidData, "{bytes:x?}");
    }
}

#[test]
fn garbage_is_no_address() {
    for garbage in [&b"\xff\xff\xff"[..], b"\x04\xc0", b"not an address"] {
        let response = Response {
            message: String::new(),
            address: garbage.to_vec(),
        };
        assert_eq!(response.address(), None, "{garbage:x?}");
    }
}

fn written(message: &(impl Message + Clone)) -> Vec<u8> {
    let mut bytes = Vec::new();
    block_on(wire::write(&mut Cursor::new(&mut bytes), message.clone())).unwrap();
    bytes
}

fn read_from<M: Message + Default>(bytes: &[u8]) -> io::Result<M> {
    block_on(wire::read(
        &mut Cursor::new(bytes.to_vec()),
        MAX_GREETING_BYTES,
    ))
}
