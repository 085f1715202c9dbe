//! Golden bytes of docs/protocol.md, and bytes that no honest peer sends.

use proptest::prelude::*;

use super::*;

const SESSION: u64 = 0x0102_0304_0506_0708;

#[test]
fn hello_golden_bytes() {
    let hello = Hello {
        session: SESSION,
        base: 1,
        nonce: 1,
        ..Hello::default()
    };
    assert_golden(Kind::Hello(hello), "0f0a0d09080706050403020110011801");
}

#[test]
fn resume_golden_bytes() {
    let resume = Resume {
        next: 1,
        nonce: 1,
        ..Resume::default()
    };
    assert_golden(Kind::Resume(resume), "06120408011001");
}

#[test]
fn data_golden_bytes() {
    let data = Data {
        session: SESSION,
        seq: 1,
        body: "hi".into(),
        ..Data::default()
    };
    assert_golden(Kind::Data(data), "111a0f09080706050403020110011a026869");
}

#[test]
fn data_of_the_streams_session_golden_bytes() {
    let data = Data {
        session: 0,
        seq: 1,
        body: "hi".into(),
        ..Data::default()
    };
    assert_golden(Kind::Data(data), "081a0610011a026869");
}

#[test]
fn data_to_the_room_golden_bytes() {
    let data = Data::new(1, Scope::Room, "hi".into());
    assert_eq!(data.scope_of(), Scope::Room);
    assert_golden(Kind::Data(data), "0a1a0810011a0268692001");
}

#[test]
fn introductions_golden_bytes() {
    let hello = Hello {
        session: SESSION,
        base: 1,
        nonce: 1,
        proof: Bytes::from_static(&[0xab; 2]),
        name: "A".into(),
    };
    let bytes = "160a1409080706050403020110011801 2202abab 2a0141";
    assert_golden(Kind::Hello(hello), bytes);
    let resume = Resume {
        next: 1,
        nonce: 1,
        proof: Bytes::from_static(&[0xab; 2]),
        name: "A".into(),
    };
    assert_golden(Kind::Resume(resume), "0d120b080110011a02abab220141");
}

#[test]
fn bye_golden_bytes() {
    assert_golden(Kind::Bye(Bye {}), "022a00");
}

#[test]
fn a_scope_that_is_not_known_is_the_narrowest() {
    let frame = unhex("0a1a0810011a0268692009");
    let [Kind::Data(data)] = &read_all(&frame).unwrap()[..] else {
        panic!("no message");
    };
    assert_eq!(data.scope_of(), Scope::Private);
}

#[test]
fn ack_golden_bytes() {
    assert_golden(Kind::Ack(Ack { next: 2 }), "0422020802");
}

#[test]
fn large_numbers_golden_bytes() {
    let ack = Kind::Ack(Ack { next: MAX_SEQ });
    assert_golden(ack, "0b2209 08 8080808080808010");
}

#[test]
fn the_largest_body_fits_and_one_byte_more_is_the_senders_error() {
    let largest = data("ü".repeat(MAX_BODY_BYTES / 2), MAX_SEQ);
    let frame = largest.clone().into_frame();
    assert!(frame.len() - 3 <= MAX_FRAME_BYTES);
    assert_eq!(read_all(&frame).unwrap(), [largest]);
}

#[test]
fn a_frame_over_the_limit_is_refused_by_its_length_alone() {
    let mut prefix = Vec::new();
    prost::encode_length_delimiter(MAX_FRAME_BYTES + 1, &mut prefix).unwrap();
    assert!(matches!(
        read_all(&prefix),
        Err(FrameError::TooLong(65_601))
    ));
    // 2^21 - 1, the largest that three bytes can say.
    assert!(matches!(
        read_all(b"\xff\xff\x7f"),
        Err(FrameError::TooLong(2_097_151))
    ));
    let mut at_limit = Vec::new();
    prost::encode_length_delimiter(MAX_FRAME_BYTES, &mut at_limit).unwrap();
    assert_eq!(read_all(&at_limit).unwrap(), [], "the rest is waited for");
}

#[test]
fn a_length_that_is_no_short_varint_is_refused() {
    let cases: [&[u8]; 5] = [
        b"\x80\x00",                 // 0 in two bytes
        b"\x84\x00\x22\x02\x08\x02", // 4 in two bytes
        b"\x84\x80\x00\x22\x02\x08", // 4 in three
        b"\x80\x80\x80",             // longer than any that we accept
        b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01",
    ];
    for bytes in cases {
        let result = read_all(bytes);
        assert!(
            matches!(result, Err(FrameError::BadVarint)),
            "{bytes:x?}: {result:?}"
        );
    }
}

#[test]
fn a_frame_without_content_is_refused() {
    assert!(matches!(read_all(b"\x00"), Err(FrameError::Empty)));
    // Only a field that we do not know: number 15, a varint.
    assert!(matches!(read_all(b"\x02\x78\x01"), Err(FrameError::Empty)));
}

#[test]
fn unknown_fields_are_ignored() {
    assert_eq!(
        read_all(&unhex("06220208027801")).unwrap(),
        [Kind::Ack(Ack { next: 2 })]
    );
}

#[test]
fn numbers_out_of_range_are_refused() {
    for seq in [0, MAX_SEQ + 1, u64::MAX] {
        let kinds = [
            Kind::Hello(Hello {
                session: 1,
                base: seq,
                nonce: 1,
                ..Hello::default()
            }),
            Kind::Resume(Resume {
                next: seq,
                nonce: 1,
                ..Resume::default()
            }),
            data("hi".into(), seq),
            Kind::Ack(Ack { next: seq }),
        ];
        for kind in kinds {
            let result = read_all(&kind.clone().into_frame());
            assert!(
                matches!(result, Err(FrameError::SeqOutOfRange(got)) if got == seq),
                "{kind:?}: {result:?}"
            );
        }
    }
    let largest = data("hi".into(), MAX_SEQ);
    assert_eq!(read_all(&largest.clone().into_frame()).unwrap(), [largest]);
}

#[test]
fn bytes_that_are_no_protobuf_are_refused() {
    let cases = [
        "0407070707",               // a wire type that does not exist
        "0422050802",               // an inner length beyond the frame
        "0b2209ffffffffffffffffff", // a varint that does not end
        "061a0408011001",           // a fixed64 of the wrong wire type
    ];
    for bytes in cases {
        let result = read_all(&unhex(bytes));
        assert!(
            matches!(result, Err(FrameError::BadProtobuf(_))),
            "{bytes}: {result:?}"
        );
    }
}

#[test]
fn text_that_is_not_utf8_is_refused() {
    let mut frame = data("hi".into(), 1).into_frame().to_vec();
    *frame.last_mut().unwrap() = 0xff;
    assert!(matches!(read_all(&frame), Err(FrameError::BadProtobuf(_))));
}

#[test]
fn a_body_has_at_most_64_kib_even_where_its_frame_has_room() {
    let read = |len| read_all(&data("x".repeat(len), 1).into_frame());
    assert_eq!(read(MAX_BODY_BYTES).unwrap().len(), 1);
    let error = read(MAX_BODY_BYTES + 1).unwrap_err();
    assert!(matches!(error, FrameError::BodyTooLong(_)), "{error}");
}

proptest! {
    #[test]
    fn every_frame_comes_back(kinds in prop::collection::vec(any_kind(), 1..20)) {
        let bytes: Vec<u8> = kinds.iter().flat_map(|k| k.clone().into_frame()).collect();
        prop_assert_eq!(read_all(&bytes).unwrap(), kinds);
    }

    #[test]
    fn garbage_is_refused_without_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..2_000)) {
        let _ = read_all(&bytes);
    }

    #[test]
    fn a_changed_byte_is_refused_without_a_panic(
        kinds in prop::collection::vec(any_kind(), 1..10),
        at in any::<prop::sample::Index>(),
        byte in any::<u8>(),
    ) {
        let mut bytes: Vec<u8> = kinds.iter().flat_map(|k| k.clone().into_frame()).collect();
        *at.get_mut(&mut bytes) = byte;
        if let Ok(kinds) = read_all(&bytes) {
            for kind in kinds {
                let frame = kind.clone().into_frame();
                prop_assert_eq!(Kind::decode(&frame).unwrap(), Some((kind, frame.len())));
            }
        }
    }
}

fn any_kind() -> impl Strategy<Value = Kind> {
    let seq = 1..=MAX_SEQ;
    let nonce = any::<u64>();
    prop_oneof![
        (any::<u64>(), seq.clone(), nonce).prop_map(|(session, base, nonce)| Kind::Hello(Hello {
            session,
            base,
            nonce,
            ..Hello::default()
        })),
        (seq.clone(), nonce).prop_map(|(next, nonce)| Kind::Resume(Resume {
            next,
            nonce,
            ..Resume::default()
        })),
        (any::<u64>(), seq.clone(), ".*").prop_map(|(session, seq, body)| Kind::Data(Data {
            session,
            seq,
            body,
            ..Data::default()
        })),
        seq.prop_map(|next| Kind::Ack(Ack { next })),
    ]
}

fn data(body: String, seq: u64) -> Kind {
    Kind::Data(Data {
        session: SESSION,
        seq,
        body,
        ..Data::default()
    })
}

fn assert_golden(kind: Kind, hex: &str) {
    let bytes = unhex(hex);
    assert_eq!(kind.clone().into_frame(), bytes);
    assert_eq!(read_all(&bytes).unwrap(), [kind]);
}

fn unhex(hex: &str) -> Vec<u8> {
    let digits: Vec<u8> = hex.bytes().filter(|b| !b.is_ascii_whitespace()).collect();
    let text = |pair: &[u8]| String::from_utf8(pair.to_vec()).unwrap();
    digits
        .chunks(2)
        .map(|pair| u8::from_str_radix(&text(pair), 16).unwrap())
        .collect()
}

/// Every whole frame.
fn read_all(mut bytes: &[u8]) -> Result<Vec<Kind>, FrameError> {
    let mut kinds = Vec::new();
    while let Some((kind, len)) = Kind::decode(bytes)? {
        kinds.push(kind);
        bytes = &bytes[len..];
    }
    Ok(kinds)
}
