//! Frames in pieces of any size, and streams that end where they should not.

use std::{
    io::Cursor,
    task::{Context, Poll},
};

use futures::{io::AllowStdIo, task::noop_waker_ref};
use proptest::prelude::*;

use super::*;
use crate::delivery::frames::{Ack, Data, Hello, Resume};

#[test]
fn many_large_frames_pass_through_one_reader() {
    let frames: Vec<_> = (1..=20).map(|seq| data("x".repeat(60_000), seq)).collect();
    let bytes: Vec<u8> = frames.iter().flat_map(|f| f.clone().into_frame()).collect();
    assert_eq!(read_all(&bytes, 100_000).unwrap(), frames);
    let mut reader = FrameReader::default();
    drain(&mut reader, &bytes, 100_000).unwrap();
    assert!(reader.buffer.len() <= MAX_READ_BYTES);
}

#[test]
fn a_stream_that_ends_inside_a_frame_is_a_fault() {
    let frame = data("hello".into(), 1).into_frame();
    for end in 1..frame.len() {
        let result = read_all(&frame[..end], 64);
        assert!(
            matches!(result, Err(StreamError::Truncated)),
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
    let mut writer = FrameWriter::default();
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
fn frames_of_any_size_leave_in_order() {
    let small = |seq| data("small".into(), seq).into_frame();
    let large = |seq| data("x".repeat(40_000), seq).into_frame();
    let frames = [large(1), small(2), large(3), small(4), small(5), large(6)];
    let mut writer = FrameWriter::default();
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

proptest! {
    #[test]
    fn garbage_is_refused_without_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..2_000), chunk in 1..300usize) {
        let mut reader = FrameReader::default();
        // Whatever it says, it says so in bounded memory.
        let _ = drain(&mut reader, &bytes, chunk);
        prop_assert!(reader.buffer.len() <= MAX_READ_BYTES);
    }
}

fn all_kinds() -> Vec<Kind> {
    let nonce = u64::MAX;
    vec![
        Kind::Hello(Hello {
            session: 1,
            base: 7,
            nonce,
            ..Hello::default()
        }),
        Kind::Resume(Resume {
            next: 7,
            nonce,
            ..Resume::default()
        }),
        data("first".into(), 7),
        data(String::new(), 8),
        data("ünïcödé 🥊".into(), 9),
        Kind::Ack(Ack { next: 10 }),
    ]
}

fn data(body: String, seq: u64) -> Kind {
    Kind::Data(Data {
        session: 1,
        seq,
        body,
        ..Data::default()
    })
}

/// Every frame up to the end of the stream, which comes in chunks.
fn read_all(bytes: &[u8], chunk: usize) -> Result<Vec<Kind>, StreamError> {
    drain(&mut FrameReader::default(), bytes, chunk)
}

fn drain(reader: &mut FrameReader, bytes: &[u8], chunk: usize) -> Result<Vec<Kind>, StreamError> {
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
