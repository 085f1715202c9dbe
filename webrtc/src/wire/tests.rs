use proptest::{collection::vec, prelude::*};

use super::*;

/// Everything that comes of some messages, and whether they were no frames in the end.
fn frames(messages: impl IntoIterator<Item = Bytes>) -> (Vec<Frame>, bool) {
    let mut frames_of = Frames::default();
    let mut frames = Vec::new();
    for message in messages {
        frames_of.push(message);
        loop {
            match frames_of.next() {
                Ok(Some(frame)) => frames.push(frame),
                Ok(None) => break,
                Err(NoMessage) => return (frames, true),
            }
        }
        assert!(frames_of.rest.len() < MAX_FRAME + MAX_LENGTH_BYTES);
    }
    (frames, false)
}

#[test]
fn what_is_on_the_wire() {
    let offer = Signal::new(SignalKind::SdpOffer, "v=0".into());
    // The first kind is written, though it is the default.
    assert_eq!(offer.encode_to_vec(), b"\x08\x00\x12\x03v=0");
    let candidate = Signal::new(SignalKind::IceCandidate, "{}".into());
    assert_eq!(candidate.encode_to_vec(), b"\x08\x02\x12\x02{}");
    assert_eq!(&Frame::of_payload(b"hi").encode()[..], b"\x04\x12\x02hi");
    assert_eq!(&Frame::of_flag(Flag::Fin).encode()[..], b"\x02\x08\x00");
    assert_eq!(
        &Frame::of_flag(Flag::StopSending).encode()[..],
        b"\x02\x08\x01"
    );
    assert_eq!(
        &Frame::of_flag(Flag::ResetStream).encode()[..],
        b"\x02\x08\x02"
    );
    assert_eq!(&Frame::of_flag(Flag::FinAck).encode()[..], b"\x02\x08\x03");
}

#[test]
fn the_longest_frame_fits_and_a_longer_one_does_not() {
    let longest = Frame::of_payload(&[7; 2 * MAX_FRAME]);
    let payload = longest.message.as_ref().map(Bytes::len);
    assert_eq!(payload, Some(MAX_PAYLOAD));
    let bytes = longest.encode();
    assert_eq!(bytes.len(), MAX_FRAME);
    assert_eq!(frames([bytes]), (vec![longest], false));

    let mut too_long = Vec::new();
    prost::encode_length_delimiter(MAX_FRAME + 1, &mut too_long).expect("room");
    assert_eq!(frames([too_long.into()]), (Vec::new(), true));
}

#[test]
fn what_no_length_begins_is_no_frame() {
    assert_eq!(
        frames([Bytes::from_static(&[0xff; 2])]),
        (Vec::new(), false)
    );
    assert_eq!(frames([Bytes::from_static(&[0xff; 3])]), (Vec::new(), true));
    // A field that ends before its length is over.
    assert_eq!(
        frames([Bytes::from_static(b"\x02\x12\x09")]),
        (Vec::new(), true)
    );
}

#[test]
fn of_signals_of_a_later_version_nothing_is_taken() {
    let mut signal = Signal::new(SignalKind::SdpAnswer, String::new());
    signal.kind = Some(3);
    assert_eq!(signal.into_parts(), None);
    assert_eq!(Signal::default().into_parts(), None);
}

fn frame() -> impl Strategy<Value = Frame> {
    let flag = prop_oneof![
        Just(None),
        Just(Some(Flag::Fin)),
        Just(Some(Flag::StopSending)),
        Just(Some(Flag::ResetStream)),
        Just(Some(Flag::FinAck)),
    ];
    (flag, proptest::option::of(vec(any::<u8>(), 0..300))).prop_map(|(flag, payload)| Frame {
        flag: flag.map(Into::into),
        message: payload.map(Into::into),
    })
}

proptest! {
    #[test]
    fn frames_come_out_as_they_went_in_however_they_are_cut(
        sent in vec(frame(), 0..20),
        cuts in vec(1..200usize, 1..50),
    ) {
        let bytes: Bytes = sent.iter().flat_map(Frame::encode).collect();
        let mut rest = bytes;
        let mut messages = Vec::new();
        for cut in cuts.iter().cycle() {
            if rest.is_empty() {
                break;
            }
            messages.push(rest.split_to((*cut).min(rest.len())));
        }
        prop_assert_eq!(frames(messages), (sent, false));
    }

    #[test]
    fn no_bytes_make_it_panic_or_keep_more_than_a_frame(messages in vec(vec(any::<u8>(), 0..100), 0..50)) {
        frames(messages.into_iter().map(Bytes::from));
    }
}
