use super::*;

fn message(flag: Option<Flag>, payload: &[u8]) -> Bytes {
    let frame = Frame {
        flag: flag.map(Into::into),
        message: (!payload.is_empty()).then(|| Bytes::copy_from_slice(payload)),
    };
    frame.encode()
}

fn data(payload: &[u8]) -> Bytes {
    message(None, payload)
}

fn flag(flag: Flag) -> Bytes {
    message(Some(flag), b"")
}

fn read(channel: &mut Channel) -> Result<Option<Vec<u8>>, Reset> {
    let mut into = [0; 4];
    let len = channel.read(&mut into)?;
    Ok(len.map(|len| into[..len].to_vec()))
}

#[test]
fn what_arrives_is_read_in_pieces_and_then_ends() {
    let mut channel = Channel::default();
    assert_eq!(read(&mut channel), Ok(None));
    let received = channel.receive([data(b"abc"), data(b"defg")].concat().into());
    assert_eq!(received.map(|r| (r.bytes, r.reply)), Ok((7, None)));
    assert_eq!(read(&mut channel), Ok(Some(b"abcd".to_vec())));
    let end = channel.receive(message(Some(Flag::Fin), b"h"));
    assert_eq!(end.map(|r| (r.bytes, r.reply)), Ok((1, Some(Flag::FinAck))));
    assert_eq!(read(&mut channel), Ok(Some(b"efgh".to_vec())));
    assert_eq!(read(&mut channel), Ok(Some(Vec::new())));
    // What comes after the end belongs to nothing.
    let late = channel.receive(data(b"late")).map(|r| r.bytes);
    assert_eq!(late, Ok(0));
    assert_eq!(read(&mut channel), Ok(Some(Vec::new())));
}

#[test]
fn it_is_over_once_both_directions_are_confirmed() {
    let mut channel = Channel::default();
    assert_eq!(channel.finish(), Some(Flag::Fin));
    assert_eq!(channel.finish(), None);
    assert!(!channel.is_writable());
    assert_eq!(
        channel.receive(flag(Flag::Fin)).map(|r| r.reply),
        Ok(Some(Flag::FinAck))
    );
    assert!(!channel.is_over(), "what was sent may not have arrived");
    assert_eq!(channel.receive(flag(Flag::FinAck)), Ok(Received::default()));
    assert!(channel.is_over());
}

#[test]
fn a_confirmation_of_what_did_not_end_means_nothing() {
    let mut channel = Channel::default();
    assert_eq!(channel.receive(flag(Flag::FinAck)), Ok(Received::default()));
    assert!(channel.is_writable());
}

#[test]
fn a_reset_discards_what_was_not_read() {
    let mut channel = Channel::default();
    assert_eq!(channel.receive(data(b"abc")).map(|r| r.bytes), Ok(3));
    let reset = channel
        .receive(flag(Flag::ResetStream))
        .map(|r| r.discarded);
    assert_eq!(reset, Ok(3));
    assert_eq!(read(&mut channel), Err(Reset));
    // The other direction goes on.
    assert!(channel.is_writable());
}

#[test]
fn a_remote_that_reads_no_more_ends_writing() {
    let mut channel = Channel::default();
    assert_eq!(
        channel.receive(flag(Flag::StopSending)),
        Ok(Received::default())
    );
    assert!(!channel.is_writable());
    assert_eq!(channel.finish(), None);
}

#[test]
fn left_while_open_it_tells_the_remote_both() {
    let mut channel = Channel::default();
    assert_eq!(channel.receive(data(b"abc")).map(|r| r.bytes), Ok(3));
    let (flags, discarded) = channel.abandon();
    assert_eq!(
        (flags, discarded),
        (vec![Flag::StopSending, Flag::ResetStream], 3)
    );
    assert!(channel.is_over());
    assert_eq!(channel.receive(data(b"abc")).map(|r| r.bytes), Ok(0));
}

#[test]
fn left_after_its_end_it_waits_for_the_confirmation() {
    let mut channel = Channel::default();
    assert_eq!(channel.finish(), Some(Flag::Fin));
    assert_eq!(channel.abandon(), (vec![Flag::StopSending], 0));
    assert!(!channel.is_over());
    assert_eq!(channel.receive(flag(Flag::FinAck)), Ok(Received::default()));
    assert!(channel.is_over());
}

#[test]
fn of_a_channel_that_is_gone_the_rest_can_be_read() {
    let mut channel = Channel::default();
    assert_eq!(channel.receive(data(b"abc")).map(|r| r.bytes), Ok(3));
    channel.closed();
    assert_eq!(read(&mut channel), Ok(Some(b"abc".to_vec())));
    assert_eq!(read(&mut channel), Err(Reset));
    assert!(channel.is_over());
}

#[test]
fn one_that_ended_before_it_was_gone_has_no_fault() {
    let mut channel = Channel::default();
    assert!(channel.receive(flag(Flag::Fin)).is_ok());
    channel.closed();
    assert_eq!(read(&mut channel), Ok(Some(Vec::new())));
}

#[test]
fn flags_of_a_later_version_mean_nothing() {
    let mut channel = Channel::default();
    let frame = Frame {
        flag: Some(9),
        message: Some(Bytes::from_static(b"a")),
    };
    assert_eq!(channel.receive(frame.encode()).map(|r| r.bytes), Ok(1));
    assert!(channel.is_writable());
}
