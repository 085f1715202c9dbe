//! What a remote may have us keep.

use futures::{AsyncReadExt, executor::block_on, io::Cursor};

use std::sync::atomic::Ordering;

use super::*;

/// A frame of data, as yamux has it. The first of a stream opens it.
fn data(stream: u32, opens: bool, body: usize) -> Vec<u8> {
    let mut frame = vec![0, 0, 0, u8::from(opens)];
    frame.extend(stream.to_be_bytes());
    frame.extend(u32::try_from(body).unwrap().to_be_bytes());
    frame.resize(frame.len() + body, b'x');
    frame
}

/// Reads all that a remote sends, in pieces of any size.
fn receive(account: &Account, bytes: Vec<u8>) -> io::Result<()> {
    let mut counted = Counted::new(Cursor::new(bytes), account.clone());
    let mut buffer = [0; 1_009];
    while block_on(counted.read(&mut buffer))? > 0 {}
    Ok(())
}

fn inbound() -> (Account, Arc<AtomicUsize>) {
    let all = Arc::default();
    (Account::new(Arc::clone(&all), true), all)
}

fn unread(all: &AtomicUsize) -> usize {
    all.load(Ordering::Relaxed)
}

#[test]
fn whoever_connects_to_us_may_fill_one_window_and_some_more() {
    let (account, all) = inbound();
    let window = DEFAULT_CREDIT as usize;
    receive(&account, data(1, true, window)).unwrap();
    receive(&account, data(3, true, window / 2)).unwrap();
    assert_eq!(unread(&all), MAX_UNREAD_BYTES);
    account.taken(3, 100);
    receive(&account, data(3, false, 100)).unwrap();
    let error = receive(&account, data(3, false, 1)).unwrap_err();
    assert!(error.to_string().contains("nobody reads"), "{error}");
}

#[test]
fn many_streams_count_together_and_what_is_gone_does_not_count() {
    let (account, all) = inbound();
    let mut opened = 0;
    while receive(&account, data(2 * opened + 1, true, 16 * 1024)).is_ok() {
        opened += 1;
    }
    assert_eq!(opened as usize, MAX_UNREAD_BYTES / (16 * 1024));
    for stream in 0..=opened {
        account.close(2 * stream + 1);
    }
    assert_eq!(unread(&all), 0);
    receive(&account, data(1, false, 16 * 1024)).unwrap();
    assert_eq!(unread(&all), 0, "nobody keeps it");
}

#[test]
fn a_connection_that_we_have_made_is_bound_by_what_all_hold() {
    let all = Arc::default();
    let account = Account::new(Arc::clone(&all), false);
    let window = DEFAULT_CREDIT as usize;
    for stream in 0..32 {
        receive(&account, data(2 * stream + 1, true, window)).unwrap();
    }
    let mut others = Vec::new();
    for _ in 32..MAX_ALL_UNREAD_BYTES / window {
        let other = Account::new(Arc::clone(&all), true);
        receive(&other, data(1, true, window)).unwrap();
        others.push(other);
    }
    assert_eq!(unread(&all), MAX_ALL_UNREAD_BYTES);
    assert!(receive(&account, data(1, false, 1)).is_err());
    drop((account, others));
    assert_eq!(unread(&all), 0, "a connection that is gone holds nothing");
}

#[test]
fn a_frame_larger_than_a_window_is_refused() {
    let (account, _) = inbound();
    assert!(receive(&account, data(1, true, MAX_FRAME_BYTES + 1)).is_err());
}
