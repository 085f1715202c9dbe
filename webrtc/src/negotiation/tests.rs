use std::time::Duration;

use futures::{
    AsyncReadExt, AsyncWriteExt,
    future::{join, pending, ready},
};
use tokio::io::{DuplexStream, duplex};
use tokio_util::compat::{Compat, TokioAsyncReadCompatExt};

use super::*;
use crate::{
    MAX_SIGNAL, MAX_SIGNALS,
    backend::{Backend, mock::Mock},
    wire::{Signal, SignalKind},
};

/// Two ends of a stream.
fn streams() -> (Compat<DuplexStream>, Compat<DuplexStream>) {
    let (one, other) = duplex(4 * MAX_SIGNAL);
    (one.compat(), other.compat())
}

fn signal(kind: SignalKind, data: &str) -> Vec<u8> {
    Signal::new(kind, data.into()).encode_length_delimited_to_vec()
}

/// Offers to whoever sends this, and returns why nothing came of it.
async fn fails_on(bytes: &[u8], then_closes: bool) -> Error {
    let (stream, mut remote) = streams();
    let backend = Mock::default().open().expect("room");
    let offer = negotiate(stream, backend, Role::Offerer, pending());
    let hostile = async {
        remote.write_all(bytes).await.expect("sent");
        if then_closes {
            remote.close().await.expect("closed");
        }
        // It reads all there is, so that nothing waits for it.
        let _ = remote.read_to_end(&mut Vec::new()).await;
    };
    let both = join(offer, hostile);
    let (result, ()) = tokio::time::timeout(Duration::from_secs(30), both)
        .await
        .expect("in time");
    result.map(drop).expect_err("no connection")
}

#[tokio::test]
async fn both_sides_get_a_connection() {
    let mock = Mock::default();
    let (one, other) = streams();
    let backends = [0, 1].map(|_| mock.open().expect("room"));
    let [offerer, answerer] = backends;
    let offer = negotiate(one, offerer, Role::Offerer, pending());
    let answer = negotiate(other, answerer, Role::Answerer, pending());
    let (offer, answer) = join(offer, answer).await;
    assert!(offer.is_ok() && answer.is_ok(), "{offer:?} {answer:?}");
}

#[tokio::test]
async fn who_says_nothing_is_given_up_and_leaves_nothing_behind() {
    let mock = Mock::default();
    for role in [Role::Offerer, Role::Answerer] {
        let (stream, _silent) = streams();
        let backend = mock.open().expect("room");
        let result = negotiate(stream, backend, role, ready(())).await;
        assert!(matches!(result, Err(Error::Timeout(_))), "{result:?}");
    }
    assert_eq!(mock.ends(), 0);
}

#[tokio::test]
async fn a_stream_that_ends_early_is_no_reason_to_wait() {
    let error = fails_on(b"", true).await;
    assert!(matches!(error, Error::Signalling(_)), "{error}");
}

#[tokio::test]
async fn a_message_that_is_too_long_is_not_read() {
    let mut length = Vec::new();
    prost::encode_length_delimiter(MAX_SIGNAL + 1, &mut length).expect("room");
    let error = fails_on(&length, false).await;
    assert!(matches!(error, Error::Protocol(_)), "{error}");
}

#[tokio::test]
async fn what_is_no_message_ends_it() {
    let error = fails_on(&[2, 0xff, 0xff], false).await;
    assert!(matches!(error, Error::Protocol(_)), "{error}");
}

#[tokio::test]
async fn a_description_that_the_backend_refuses_ends_it() {
    let error = fails_on(&signal(SignalKind::SdpAnswer, "of nobody"), false).await;
    assert!(
        matches!(error, Error::Backend(_) | Error::Protocol(_)),
        "{error}"
    );
}

#[tokio::test]
async fn a_stream_of_candidates_ends() {
    let many: Vec<u8> = (0..=MAX_SIGNALS)
        .flat_map(|n| signal(SignalKind::IceCandidate, &n.to_string()))
        .collect();
    let error = fails_on(&many, false).await;
    assert!(matches!(error, Error::Protocol(_)), "{error}");
}
