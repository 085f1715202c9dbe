//! Golden bytes of docs/protocol.md, and bytes that no honest peer sends.

use std::{
    io::Cursor,
    task::{Context, Poll},
};

use futures::{io::AllowStdIo, task::noop_waker_ref};
use proptest::prelude::*;

use super::*;
use crate::config::MAX_BODY_BYTES;

const SESSION: u64 = 0x0102_0304_0506_0708;

#[test]
fn hello_golden_bytes() {
    let hello = Hello {
        session: SESSION,
        base: 1,
        nonce: 1,
    };
    assert_golden(Kind::Hello(hello), "0f0a0d09080706050403020110011801");
}

#[test]
fn resume_golden_bytes() {
    let resume = Resume { next: 1, nonce: 1 };
    assert_golden(Kind::Resume(resume), "06120408011001");
}

#[test]
fn data_golden_bytes() {
    let data = Data {
        session: SESSION,
        seq: 1,
        body: "hi".into(),
    };
    assert_golden(Kind::Data(data), "111a0f09080706050403020110011a026869");
}

#[test]
fn data_of_the_streams_session_golden_bytes() {
    let data = Data {
        session: 0,
        seq: 1,
        body: "hi".into(),
    };
    assert_golden(Kind::Data(data), "081a0610011a026869");
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
fn a_frame_may_come_byte_by_byte() {
    let frames = all_kinds();
    let bytes: Vec<u8> = frames.iter().flat_map(|f| f.clone().into_frame()).collect();
    for chunk in [1, 2, 3, 7, 1_000] {
        assert_eq!(
            read_all(&bytes, chunk).unwrap(),
            frames,
            "{chunk} at a time"
        );
    }
}

#[test]
fn the_largest_body_fits_and_one_byte_more_is_the_senders_error() {
    let largest = data("ü".repeat(MAX_BODY_BYTES / 2), MAX_SEQ);
    let frame = largest.clone().into_frame();
    assert!(frame.len() - 3 <= MAX_FRAME_BYTES);
    assert_eq!(read_all(&frame, 1_500).unwrap(), [largest]);
}

#[test]
fn many_large_frames_pass_through_one_reader() {
    let frames: Vec<_> = (1..=20).map(|seq| data("x".repeat(60_000), seq)).collect();
    let bytes: Vec<u8> = frames.iter().flat_map(|f| f.clone().into_frame()).collect();
    assert_eq!(read_all(&bytes, 100_000).unwrap(), frames);
    let mut reader = Reader::default();
    drain(&mut reader, &bytes, 100_000).unwrap();
    assert!(reader.buffer.len() <= MAX_READ_BYTES);
}

#[test]
fn a_frame_over_the_limit_is_refused_by_its_length_alone() {
    let mut prefix = Vec::new();
    prost::encode_length_delimiter(MAX_FRAME_BYTES + 1, &mut prefix).unwrap();
    assert!(matches!(
        read_all(&prefix, 1),
        Err(FrameError::TooLong(65_601))
    ));
    // 2^21 - 1, the largest that three bytes can say.
    assert!(matches!(
        read_all(b"\xff\xff\x7f", 3),
        Err(FrameError::TooLong(2_097_151))
    ));
    let mut at_limit = Vec::new();
    prost::encode_length_delimiter(MAX_FRAME_BYTES, &mut at_limit).unwrap();
    assert!(matches!(read_all(&at_limit, 1), Err(FrameError::Truncated)));
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
        let result = read_all(bytes, 1);
        assert!(
            matches!(result, Err(FrameError::BadVarint)),
            "{bytes:x?}: {result:?}"
        );
    }
}

#[test]
fn a_stream_that_ends_inside_a_frame_is_a_fault() {
    let frame = data("hello".into(), 1).into_frame();
    for end in 1..frame.len() {
        let result = read_all(&frame[..end], 64);
        assert!(
            matches!(result, Err(FrameError::Truncated)),
            "after {end} bytes"
        );
    }
    assert_eq!(
        read_all(&[], 1).unwrap(),
        [],
        "between two frames it may end"
    );
}

#[test]
fn a_frame_without_content_is_refused() {
    assert!(matches!(read_all(b"\x00", 1), Err(FrameError::Empty)));
    // Only a field that we do not know: number 15, a varint.
    assert!(matches!(
        read_all(b"\x02\x78\x01", 1),
        Err(FrameError::Empty)
    ));
}

#[test]
fn unknown_fields_are_ignored() {
    assert_eq!(
        read_all(&unhex("06220208027801"), 1).unwrap(),
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
            }),
            Kind::Resume(Resume {
                next: seq,
                nonce: 1,
            }),
            data("hi".into(), seq),
            Kind::Ack(Ack { next: seq }),
        ];
        for kind in kinds {
            let result = read_all(&kind.clone().into_frame(), 64);
            assert!(
                matches!(result, Err(FrameError::SeqOutOfRange(got)) if got == seq),
                "{kind:?}: {result:?}"
            );
        }
    }
    let largest = data("hi".into(), MAX_SEQ);
    assert_eq!(
        read_all(&largest.clone().into_frame(), 64).unwrap(),
        [largest]
    );
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
        let result = read_all(&unhex(bytes), 64);
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
    assert!(matches!(
        read_all(&frame, 64),
        Err(FrameError::BadProtobuf(_))
    ));
}

#[test]
fn small_writes_stay_small_and_whole() {
    struct Sink(Vec<usize>, Vec<u8>);
    impl AsyncWrite for Sink {
        fn poll_write(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
            bytes: &[u8],
        ) -> Poll<io::Result<usize>> {
            self.0.push(bytes.len());
            self.1.extend_from_slice(bytes);
            Poll::Ready(Ok(bytes.len()))
        }
        fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }
        fn poll_close(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }
    }
    let frame = data("x".repeat(50_000), 1).into_frame();
    let mut writer = Writer::default();
    writer.push(&frame);
    let mut sink = Sink(Vec::new(), Vec::new());
    let mut cx = Context::from_waker(noop_waker_ref());
    let result = writer.poll_write(&mut cx, Pin::new(&mut sink), true);
    assert!(matches!(result, Poll::Ready(Ok(()))));
    assert!(writer.is_empty());
    assert_eq!(sink.1, frame);
    assert!(sink.0.iter().all(|len| *len <= 8 * 1024), "{:?}", sink.0);
}

#[test]
fn a_body_has_at_most_64_kib_even_where_its_frame_has_room() {
    let read = |len| read_all(&data("x".repeat(len), 1).into_frame(), 4_096);
    assert_eq!(read(MAX_BODY_BYTES).unwrap().len(), 1);
    let error = read(MAX_BODY_BYTES + 1).unwrap_err();
    assert!(matches!(error, FrameError::BodyTooLong(_)), "{error}");
}

#[test]
fn frames_of_any_size_leave_in_order() {
    let small = |seq| data("small".into(), seq).into_frame();
    let large = |seq| data("x".repeat(40_000), seq).into_frame();
    let frames = [large(1), small(2), large(3), small(4), small(5), large(6)];
    let mut writer = Writer::default();
    let mut written = futures::io::Cursor::new(Vec::new());
    let mut cx = Context::from_waker(noop_waker_ref());
    for pair in frames.chunks(2) {
        for frame in pair {
            writer.push(frame);
        }
        let result = writer.poll_write(&mut cx, Pin::new(&mut written), false);
        assert!(matches!(result, Poll::Ready(Ok(()))));
        assert!(writer.is_empty());
    }
    assert_eq!(written.into_inner(), frames.concat());
}

proptest! {
    #[test]
    fn every_frame_comes_back(kinds in prop::collection::vec(any_kind(), 1..20), chunk in 1..300usize) {
        let bytes: Vec<u8> = kinds.iter().flat_map(|k| k.clone().into_frame()).collect();
        prop_assert_eq!(read_all(&bytes, chunk).unwrap(), kinds);
    }

    #[test]
    fn garbage_is_refused_without_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..2_000), chunk in 1..300usize) {
        let mut reader = Reader::default();
        // Whatever it says, it says so in bounded memory.
        let _ = drain(&mut reader, &bytes, chunk);
        prop_assert!(reader.buffer.len() <= MAX_READ_BYTES);
    }

    #[test]
    fn a_changed_byte_is_refused_without_a_panic(
        kinds in prop::collection::vec(any_kind(), 1..10),
        at in any::<prop::sample::Index>(),
        byte in any::<u8>(),
    ) {
        let mut bytes: Vec<u8> = kinds.iter().flat_map(|k| k.clone().into_frame()).collect();
        *at.get_mut(&mut bytes) = byte;
        if let Ok(kinds) = read_all(&bytes, 64) {
            for kind in kinds {
                prop_assert_ne!(kind.into_frame().len(), 0);
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
            nonce
        })),
        (seq.clone(), nonce).prop_map(|(next, nonce)| Kind::Resume(Resume { next, nonce })),
        (any::<u64>(), seq.clone(), ".*").prop_map(|(session, seq, body)| Kind::Data(Data {
            session,
            seq,
            body
        })),
        seq.prop_map(|next| Kind::Ack(Ack { next })),
    ]
}

fn all_kinds() -> Vec<Kind> {
    let nonce = u64::MAX;
    vec![
        Kind::Hello(Hello {
            session: SESSION,
            base: 7,
            nonce,
        }),
        Kind::Resume(Resume { next: 7, nonce }),
        data("first".into(), 7),
        data(String::new(), 8),
        data("ünïcödé 🥊".into(), 9),
        Kind::Ack(Ack { next: 10 }),
    ]
}

fn data(body: String, seq: u64) -> Kind {
    Kind::Data(Data {
        session: SESSION,
        seq,
        body,
    })
}

fn assert_golden(kind: Kind, hex: &str) {
    let bytes = unhex(hex);
    assert_eq!(kind.clone().into_frame(), bytes);
    assert_eq!(read_all(&bytes, 64).unwrap(), [kind]);
}

fn unhex(hex: &str) -> Vec<u8> {
    let digits: Vec<u8> = hex.bytes().filter(|b| !b.is_ascii_whitespace()).collect();
    let text = |pair: &[u8]| String::from_utf8(pair.to_vec()).unwrap();
    digits
        .chunks(2)
        .map(|pair| u8::from_str_radix(&text(pair), 16).unwrap())
        .collect()
}

/// Every frame up to the end of the stream, which comes in chunks.
fn read_all(bytes: &[u8], chunk: usize) -> Result<Vec<Kind>, FrameError> {
    drain(&mut Reader::default(), bytes, chunk)
}

fn drain(reader: &mut Reader, bytes: &[u8], chunk: usize) -> Result<Vec<Kind>, FrameError> {
    let mut cx = Context::from_waker(noop_waker_ref());
    let mut kinds = Vec::new();
    for part in bytes.chunks(chunk).chain([&[] as &[u8]]) {
        let mut stream = AllowStdIo::new(Cursor::new(part));
        loop {
            while let Some(kind) = reader.next_frame()? {
                kinds.push(kind);
            }
            let at_end = stream.get_ref().position() == part.len() as u64;
            if at_end && !part.is_empty() {
                break;
            }
            let Poll::Ready(more) = reader.poll_fill(&mut cx, Pin::new(&mut stream)) else {
                break;
            };
            if !more? {
                return Ok(kinds);
            }
        }
    }
    Ok(kinds)
}
