use std::{future::poll_fn, time::Duration};

use futures::{AsyncReadExt, AsyncWriteExt, FutureExt};

use super::*;
use crate::{
    LINGER, MAX_BUFFERED, MAX_CHANNELS, MAX_FRAME, MAX_UNREAD,
    backend::{Backend, Command, Event, mock},
    wire::{Flag, Frame},
};

type Mux = Connection<mock::Connection>;

/// Two ends of a connection.
async fn pair() -> (Mux, Mux) {
    let mock = mock::Mock::default();
    let mut ends = [0, 1].map(|_| Core::new(mock.open().expect("room")));
    ends[0].execute(Command::Offer);
    let mut described = Vec::new();
    for end in 0..2 {
        if let Some(offer) = described.first() {
            ends[1].execute(Command::Answer(String::clone(offer)));
        }
        let Event::Described(text) = next(&mut ends[end]).await else {
            panic!("a description comes first");
        };
        described.push(text);
    }
    let [offer, answer] = [&described[0], &described[1]];
    ends[0].execute(Command::TakeAnswer(answer.clone()));
    ends[0].execute(Command::AddCandidate(answer.clone()));
    ends[1].execute(Command::AddCandidate(offer.clone()));
    for end in &mut ends {
        while !matches!(next(end).await, Event::Connected) {}
    }
    let [one, other] = ends.map(Connection::new);
    (one, other)
}

async fn next(core: &mut Core<mock::Connection>) -> Event {
    poll_fn(|cx| core.poll_event(cx)).await
}

/// Lets a connection do what it has to.
fn drive(mux: &mut Mux) -> Result<(), Error> {
    match poll_fn(|cx| Pin::new(&mut *mux).poll(cx)).now_or_never() {
        Some(Err(error)) => Err(error),
        _ => Ok(()),
    }
}

fn open(mux: &mut Mux) -> Stream<mock::Connection> {
    let stream = poll_fn(|cx| Pin::new(&mut *mux).poll_outbound(cx)).now_or_never();
    let stream = stream.expect("room for a channel").expect("a connection");
    drive(mux).expect("a connection");
    stream
}

fn accept(mux: &mut Mux) -> Option<Stream<mock::Connection>> {
    drive(mux).expect("a connection");
    let stream = poll_fn(|cx| Pin::new(&mut *mux).poll_inbound(cx)).now_or_never();
    stream.map(|stream| stream.expect("a connection"))
}

/// Both ends of a stream.
fn stream(one: &mut Mux, other: &mut Mux) -> [Stream<mock::Connection>; 2] {
    let opened = open(one);
    let accepted = accept(other).expect("a stream");
    [opened, accepted]
}

fn channels(mux: &Mux) -> usize {
    mux.0.lock().channels()
}

#[tokio::test]
async fn bytes_arrive_in_order_and_the_end_after_them() {
    let (mut one, mut other) = pair().await;
    let [mut writer, mut reader] = stream(&mut one, &mut other);
    let sent: Vec<u8> = (0..100_000u32).map(|n| n as u8).collect();
    writer.write_all(&sent).await.expect("sent");
    writer.close().await.expect("closed");
    drive(&mut other).expect("a connection");
    let mut received = Vec::new();
    reader.read_to_end(&mut received).await.expect("all of it");
    assert!(received == sent);
    let late = writer.write_all(b"late").await;
    assert!(late.is_err(), "nothing can be written after the end");
}

#[tokio::test]
async fn a_stream_that_both_ended_leaves_nothing_behind() {
    let (mut one, mut other) = pair().await;
    let mut ends = stream(&mut one, &mut other);
    for end in &mut ends {
        end.close().await.expect("closed");
    }
    for _ in 0..2 {
        drive(&mut one).expect("a connection");
        drive(&mut other).expect("a connection");
    }
    drop(ends);
    assert_eq!((channels(&one), channels(&other)), (0, 0));
}

#[tokio::test]
async fn a_stream_dropped_while_open_is_reset_and_leaves_nothing_behind() {
    let (mut one, mut other) = pair().await;
    let [mut writer, mut reader] = stream(&mut one, &mut other);
    writer.write_all(b"unread").await.expect("sent");
    drop(writer);
    drive(&mut one).expect("a connection");
    drive(&mut other).expect("a connection");
    let read = reader.read(&mut [0; 8]).await.map_err(|e| e.kind());
    assert_eq!(read, Err(io::ErrorKind::ConnectionReset));
    let write = reader.write(b"to nobody").await.map_err(|e| e.kind());
    assert_eq!(write, Err(io::ErrorKind::ConnectionReset));
    drop(reader);
    drive(&mut other).expect("a connection");
    assert_eq!((channels(&one), channels(&other)), (0, 0));
    assert_eq!(other.0.lock().unread(), 0);
}

#[tokio::test]
async fn a_stream_given_up_before_it_was_ready_leaves_nothing_behind() {
    let (mut one, mut other) = pair().await;
    let stream = poll_fn(|cx| Pin::new(&mut one).poll_outbound(cx)).await;
    drop(stream.expect("a connection"));
    drive(&mut one).expect("a connection");
    let mut other_end = accept(&mut other).expect("it was opened");
    assert!(other_end.read(&mut [0; 8]).await.is_err());
    drop(other_end);
    assert_eq!((channels(&one), channels(&other)), (0, 0));
}

#[tokio::test]
async fn channels_beyond_the_limit_wait_or_are_refused() {
    let (mut one, mut other) = pair().await;
    let mut streams: Vec<_> = (0..MAX_CHANNELS).map(|_| open(&mut one)).collect();
    let more = poll_fn(|cx| Pin::new(&mut one).poll_outbound(cx)).now_or_never();
    assert!(more.is_none());
    let mut accepted: Vec<_> = std::iter::from_fn(|| accept(&mut other)).collect();
    assert_eq!(accepted.len(), MAX_CHANNELS);

    // One who does not care for the limit.
    let rude = one.0.lock().backend().open_channel().expect("a channel");
    assert!(accept(&mut other).is_none());
    assert_eq!(channels(&other), MAX_CHANNELS);
    let events = std::iter::from_fn(|| event(&one));
    let closed = events.filter(|event| matches!(event, Event::ChannelClosed(id) if *id == rude));
    assert_eq!(closed.count(), 1);

    // With room again, it goes on.
    drop(accepted.pop());
    drop(streams.pop());
    drive(&mut one).expect("a connection");
    drive(&mut other).expect("a connection");
    open(&mut one);
    assert!(accept(&mut other).is_some());
}

fn event(mux: &Mux) -> Option<Event> {
    poll_fn(|cx| mux.0.lock().backend().poll_event(cx)).now_or_never()
}

#[tokio::test]
async fn a_writer_waits_while_the_channel_is_full() {
    let (mut one, mut other) = pair().await;
    let [mut writer, mut reader] = stream(&mut one, &mut other);
    let chunk = [0; MAX_FRAME];
    let mut written = 0;
    while let Some(part) = writer.write(&chunk).now_or_never() {
        written += part.expect("sent");
        assert!(written <= MAX_BUFFERED + MAX_FRAME);
    }
    assert!(written >= MAX_BUFFERED - MAX_FRAME, "{written}");
    drive(&mut other).expect("a connection");
    drive(&mut one).expect("a connection");
    assert!(writer.write(&chunk).now_or_never().is_some());
    let mut into = vec![0; written];
    reader
        .read_exact(&mut into)
        .await
        .expect("what was written");
}

#[tokio::test]
async fn who_sends_more_than_can_be_kept_is_reset_and_others_go_on() {
    let (mut one, mut other) = pair().await;
    let [mut greedy, mut unread] = stream(&mut one, &mut other);
    let [mut modest, mut reader] = stream(&mut one, &mut other);
    let chunk = vec![0; MAX_FRAME];
    let mut sent = 0;
    loop {
        match greedy.write(&chunk).now_or_never() {
            Some(Ok(len)) => sent += len,
            Some(Err(_)) => break,
            None => {
                drive(&mut other).expect("a connection");
                drive(&mut one).expect("a connection");
            }
        }
        assert!(sent <= MAX_UNREAD + 2 * MAX_BUFFERED, "nobody stopped it");
        assert!(other.0.lock().unread() <= MAX_UNREAD);
    }
    assert!(sent >= MAX_UNREAD, "{sent}");
    assert!(unread.read(&mut [0; 8]).await.is_err());
    modest.write_all(b"still here").await.expect("sent");
    drive(&mut other).expect("a connection");
    let mut into = [0; 10];
    reader.read_exact(&mut into).await.expect("read");
    assert_eq!(&into, b"still here");
}

#[tokio::test]
async fn what_is_no_frame_resets_the_stream() {
    let (mut one, mut other) = pair().await;
    let [writer, mut reader] = stream(&mut one, &mut other);
    let bad = bytes::Bytes::from_static(&[0xff; 64]);
    let sent = one.0.lock().backend().send(writer.channel, bad);
    sent.expect("sent");
    drive(&mut other).expect("a connection");
    assert!(reader.read(&mut [0; 8]).await.is_err());
}

#[tokio::test]
async fn the_end_of_a_connection_ends_its_streams_after_what_arrived() {
    let (mut one, mut other) = pair().await;
    let [mut writer, mut reader] = stream(&mut one, &mut other);
    writer.write_all(b"last words").await.expect("sent");
    drop(one);
    assert!(writer.write(b"more").await.is_err());
    assert!(matches!(drive(&mut other), Err(Error::Closed)));
    let mut into = [0; 10];
    reader.read_exact(&mut into).await.expect("what arrived");
    assert!(reader.read(&mut into).await.is_err());
    let open = poll_fn(|cx| Pin::new(&mut other).poll_outbound(cx)).await;
    assert!(matches!(open, Err(Error::Closed)));
}

#[tokio::test]
async fn closing_waits_for_what_was_written() {
    let (mut one, mut other) = pair().await;
    let [mut writer, _reader] = stream(&mut one, &mut other);
    writer.write_all(b"last words").await.expect("sent");
    let mut close = poll_fn(|cx| Pin::new(&mut one).poll_close(cx));
    assert!((&mut close).now_or_never().is_none());
    drive(&mut other).expect("a connection");
    let closed = (&mut close).now_or_never();
    assert!(matches!(closed, Some(Ok(()))));
    assert!(drive(&mut other).is_err());
}

/// In real time: it is the only timer of a stream.
#[tokio::test]
async fn a_remote_that_confirms_nothing_is_not_waited_for_for_long() {
    let (mut one, mut other) = pair().await;
    let [mut writer, reader] = stream(&mut one, &mut other);
    // It ends its own side, and never says that it has read.
    let fin = Frame::of_flag(Flag::Fin).encode();
    let sent = other.0.lock().backend().send(reader.channel, fin);
    sent.expect("sent");
    writer.close().await.expect("closed");
    drop(writer);
    drive(&mut one).expect("a connection");
    assert_eq!(channels(&one), 1);
    tokio::time::timeout(10 * LINGER, async {
        while channels(&one) > 0 {
            // Woken by the timer.
            let turn = poll_fn(|cx| Pin::new(&mut one).poll(cx));
            let _ = tokio::time::timeout(Duration::from_millis(100), turn).await;
        }
    })
    .await
    .expect("in time");
    drop(reader);
}
