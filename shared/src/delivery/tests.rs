//! The delivery contract, with a virtual clock: case by case, then at random.

mod model;
mod random;

use std::time::Duration;

use bytes::Bytes;
use web_time::Instant;

use super::*;
use crate::config::{MAX_OUTBOX_BYTES, MAX_OUTBOX_MESSAGES};

const TIMEOUT: Duration = Duration::from_secs(600);

#[test]
fn sequence_numbers_count_from_one() {
    let mut outbox = Outbox::default();
    assert_eq!((outbox.base(), outbox.next_seq()), (1, 1));
    push(&mut outbox, 3);
    assert_eq!((outbox.base(), outbox.next_seq()), (1, 4));
    assert_eq!(outbox.len(), 3);
}

#[test]
fn messages_are_written_in_order_and_once_a_path() {
    let mut outbox = filled(3);
    assert_eq!(written(&mut outbox), [1, 2, 3]);
    assert!(!outbox.has_unwritten());
    push(&mut outbox, 1);
    assert!(outbox.has_unwritten());
    assert_eq!(written(&mut outbox), [4]);
}

#[test]
fn an_ack_is_cumulative_and_frees_what_it_covers() {
    let mut outbox = filled(5);
    written(&mut outbox);
    assert_eq!(outbox.ack(4), Ok(1..4));
    assert_eq!((outbox.base(), outbox.len()), (4, 2));
    assert_eq!(outbox.ack(4), Ok(4..4), "again");
    assert_eq!(outbox.ack(2), Ok(4..4), "an older one that was overtaken");
    assert_eq!(outbox.ack(6), Ok(4..6));
    assert!(outbox.is_empty());
}

#[test]
fn an_ack_of_what_was_not_sent_is_a_fault_and_changes_nothing() {
    let mut outbox = filled(3);
    outbox.next_to_write();
    let bogus = outbox.ack(3).unwrap_err();
    assert_eq!(
        bogus.to_string(),
        "acked up to message 3, though 1 is the last one sent"
    );
    assert_eq!((outbox.base(), outbox.len()), (1, 3));
    assert_eq!(outbox.ack(2), Ok(1..2));
    assert!(outbox.ack(u64::MAX).is_err());
    assert!(Outbox::default().ack(2).is_err());
    assert_eq!(Outbox::default().ack(1), Ok(1..1));
}

#[test]
fn a_resume_goes_on_where_the_receiver_says() {
    let mut outbox = filled(5);
    written(&mut outbox);
    outbox.rewind();
    assert_eq!(outbox.resume(3), Ok(1..3));
    assert_eq!(written(&mut outbox), [3, 4, 5]);
}

#[test]
fn a_resume_covers_what_a_lost_path_was_still_writing() {
    let mut outbox = filled(3);
    // Handed to a writer that never ran empty, so nothing was reported as sent.
    written(&mut outbox);
    outbox.rewind();
    assert!(outbox.has_unacked_writes());
    assert_eq!(outbox.resume(3), Ok(1..3));
    assert!(outbox.has_unacked_writes(), "the third may have arrived");
    assert_eq!(
        outbox.ack(4),
        Ok(3..4),
        "by the old path, before it is written again"
    );
    assert!(!outbox.has_unacked_writes());
}

#[test]
fn a_message_is_reported_as_sent_once() {
    let mut outbox = filled(3);
    assert_eq!(outbox.newly_sent(), 1..1);
    outbox.next_to_write();
    assert_eq!(outbox.newly_sent(), 1..2);
    outbox.rewind();
    written(&mut outbox);
    assert_eq!(outbox.newly_sent(), 2..4);
    assert_eq!(outbox.ack(4), Ok(1..4));
    assert_eq!(outbox.newly_sent(), 4..4);
}

#[test]
fn the_outbox_is_bounded_in_messages() {
    let mut outbox = filled(MAX_OUTBOX_MESSAGES as u64);
    assert_eq!(outbox.check(0), Err(Refused::Full));
    assert_eq!(outbox.push(Bytes::new(), 0), Err(Refused::Full));
    outbox.next_to_write();
    outbox.ack(2).unwrap();
    assert_eq!(outbox.push(Bytes::new(), 0), Ok(()));
}

#[test]
fn the_outbox_is_bounded_in_bytes() {
    let mut outbox = Outbox::default();
    let half = Bytes::from(vec![0; MAX_OUTBOX_BYTES / 2]);
    assert_eq!(outbox.push(half.clone(), half.len()), Ok(()));
    assert_eq!(outbox.push(half.clone(), half.len()), Ok(()));
    assert_eq!(outbox.push(Bytes::from_static(b"x"), 1), Err(Refused::Full));
    written(&mut outbox);
    outbox.ack(2).unwrap();
    assert_eq!(outbox.push(half.clone(), half.len()), Ok(()));
}

#[test]
fn only_messages_that_are_old_enough_expire() {
    let start = Instant::now();
    let second = Duration::from_secs(1);
    let mut outbox = Outbox::default();
    for seq in 1..=5 {
        push(&mut outbox, 1);
        assert_eq!(outbox.expire(start + second * seq, TIMEOUT), 1..1);
    }
    let now = start + TIMEOUT;
    assert_eq!(outbox.expire(now, TIMEOUT), 1..1);
    assert_eq!(outbox.expire(now + second * 3, TIMEOUT), 1..4);
    assert_eq!(outbox.expire(now + second * 3, TIMEOUT), 4..4);
    assert_eq!(outbox.ack(4), Ok(4..4), "what is left was not touched");
    assert_eq!(outbox.len(), 2);
}

#[test]
fn what_is_acked_in_time_does_not_age_what_comes_later() {
    let start = Instant::now();
    let mut outbox = filled(3);
    outbox.expire(start, TIMEOUT);
    written(&mut outbox);
    outbox.ack(4).unwrap();
    push(&mut outbox, 1);
    assert_eq!(outbox.expire(start + TIMEOUT, TIMEOUT), 4..4);
    assert_eq!(outbox.expire(start + TIMEOUT * 2, TIMEOUT), 4..5);
}

#[test]
fn the_base_closes_the_gap_that_expired_messages_leave() {
    let start = Instant::now();
    let (mut outbox, mut inbox) = (filled(3), Inbox::default());
    assert_eq!(inbox.hello(7, outbox.base()), 1);
    assert_eq!(outbox.expire(start, TIMEOUT), 1..1);
    assert_eq!(outbox.expire(start + TIMEOUT, TIMEOUT), 1..4);
    push(&mut outbox, 1);
    assert_eq!(
        inbox.accept(7, 4),
        Err(OutOfPlace::Gap {
            got: 4,
            expected: 1
        }),
        "without another hello"
    );
    let next = inbox.hello(7, outbox.base());
    assert_eq!(next, 4);
    assert_eq!(outbox.resume(next), Ok(4..4));
    assert_eq!(written(&mut outbox), [4]);
    assert_eq!(inbox.accept(7, 4), Ok(Acceptance::New));
    assert_eq!(
        inbox.accept(7, 2),
        Ok(Acceptance::Duplicate),
        "late, by an old path"
    );
}

#[test]
fn a_closed_outbox_returns_everything_and_takes_nothing_more() {
    let mut outbox = filled(4);
    outbox.next_to_write();
    outbox.ack(2).unwrap();
    assert_eq!(outbox.close(), 2..5);
    assert_eq!(outbox.push(Bytes::new(), 0), Err(Refused::Closed));
    assert_eq!(outbox.close(), 5..5);
    assert_eq!((outbox.base(), outbox.next_seq()), (5, 5));
    assert!(!outbox.has_unacked_writes());
}

#[test]
fn an_outbox_can_start_at_any_number() {
    let mut outbox = Outbox::starting_at(42, Default::default());
    push(&mut outbox, 1);
    assert_eq!((outbox.base(), outbox.next_seq()), (42, 43));
    assert_eq!(outbox.resume(42), Ok(42..42));
    assert!(outbox.resume(43).is_err());
}

#[test]
fn the_inbox_lets_each_message_through_once_and_in_order() {
    let mut inbox = Inbox::default();
    assert_eq!(inbox.next(7), None);
    assert_eq!(inbox.accept(7, 1), Err(OutOfPlace::UnknownSession(7)));
    assert_eq!(inbox.hello(7, 1), 1);
    assert_eq!(inbox.accept(7, 1), Ok(Acceptance::New));
    assert_eq!(inbox.accept(7, 1), Ok(Acceptance::Duplicate));
    assert_eq!(
        inbox.accept(7, 3),
        Err(OutOfPlace::Gap {
            got: 3,
            expected: 2
        })
    );
    assert_eq!(
        inbox.accept(7, 2),
        Ok(Acceptance::New),
        "the gap changed nothing"
    );
    assert_eq!(inbox.next(7), Some(3));
}

#[test]
fn a_hello_never_goes_back() {
    let mut inbox = Inbox::default();
    inbox.hello(7, 1);
    inbox.accept(7, 1).unwrap();
    assert_eq!(inbox.hello(7, 1), 2);
    assert_eq!(inbox.hello(7, 9), 9, "what lies before was given up");
    assert_eq!(inbox.hello(7, 3), 9, "a late hello of an old path");
}

#[test]
fn an_unknown_session_goes_on_at_its_base() {
    assert_eq!(Inbox::default().hello(7, 100), 100);
}

#[test]
fn sessions_do_not_disturb_each_other() {
    let mut inbox = Inbox::default();
    inbox.hello(7, 1);
    inbox.accept(7, 1).unwrap();
    inbox.hello(8, 1);
    assert_eq!(inbox.accept(8, 1), Ok(Acceptance::New));
    assert_eq!(
        inbox.accept(7, 2),
        Ok(Acceptance::New),
        "still on an old path"
    );
    assert_eq!((inbox.next(7), inbox.next(8)), (Some(3), Some(2)));
}

#[test]
fn the_session_heard_longest_ago_is_forgotten_first() {
    let mut inbox = Inbox::default();
    let sessions: Vec<u64> = (0..MAX_REMEMBERED_SESSIONS as u64).collect();
    for session in &sessions {
        inbox.hello(*session, 5);
    }
    inbox.hello(0, 1);
    for session in 100..110_000 {
        inbox.hello(session, 1);
        inbox.hello(0, 1);
        assert!(inbox.remembered() <= MAX_REMEMBERED_SESSIONS);
    }
    assert_eq!(inbox.next(0), Some(5), "it was heard all the time");
    assert_eq!(inbox.next(1), None);
}

fn filled(count: u64) -> Outbox {
    let mut outbox = Outbox::default();
    push(&mut outbox, count);
    outbox
}

/// Appends messages whose frames are their own numbers.
fn push(outbox: &mut Outbox, count: u64) {
    for _ in 0..count {
        let frame = Bytes::copy_from_slice(&outbox.next_seq().to_be_bytes());
        outbox.push(frame, 1).unwrap();
    }
}

/// Writes everything to the present path, and returns the messages' numbers.
fn written(outbox: &mut Outbox) -> Vec<u64> {
    let mut seqs = Vec::new();
    while let Some(frame) = outbox.next_to_write() {
        let number = <[u8; 8]>::try_from(frame.as_ref());
        seqs.push(number.map_or(0, u64::from_be_bytes));
    }
    seqs
}
