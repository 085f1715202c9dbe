//! What the handler makes of streams that it cannot have.

use futures::{StreamExt, executor::block_on, task::noop_waker_ref};
use libp2p::PeerId;
use web_time::Instant;

use super::*;
use crate::{
    config::NodeConfig,
    event::{DeliveryState, Event, Scope},
    queue,
};

#[test]
fn a_message_fails_for_the_reason_that_its_stream_does() {
    for (error, expected) in [
        (StreamUpgradeError::NegotiationFailed, Reason::Incompatible),
        (StreamUpgradeError::Timeout, Reason::NoAnswer),
        (
            StreamUpgradeError::Io(std::io::ErrorKind::BrokenPipe.into()),
            Reason::ConnectionClosed,
        ),
    ] {
        let (sender, mut events) = queue::new();
        let messenger = Arc::new(Messenger::new(
            PeerId::random(),
            &NodeConfig::default(),
            1,
            sender,
        ));
        let mut handler = handler(&messenger);
        messenger
            .send(handler.conn.conversation.peer, Scope::Private, "hi".into())
            .unwrap();
        let mut cx = Context::from_waker(noop_waker_ref());
        let polled = handler.poll(&mut cx);
        assert!(
            matches!(
                polled,
                Poll::Ready(ConnectionHandlerEvent::OutboundSubstreamRequest { .. })
            ),
            "{polled:?}"
        );
        let info = Purpose::Oneshot;
        handler.on_connection_event(ConnectionEvent::DialUpgradeError(DialUpgradeError {
            info,
            error,
        }));
        let event = block_on(events.next()).unwrap();
        let Event::Delivery { state, code, .. } = event else {
            panic!("{event:?}");
        };
        assert_eq!((state, code), (DeliveryState::Failed, Some(expected)));
    }
}

/// On a circuit our stream is opened before identify says what the remote speaks.
#[test]
fn who_speaks_only_the_older_form_keeps_its_path_when_our_stream_is_refused() {
    for (speaks_msg, is_lost) in [(false, false), (true, true)] {
        let (sender, _events) = queue::new();
        let messenger = Messenger::new(PeerId::random(), &NodeConfig::default(), 1, sender);
        let mut handler = handler(&Arc::new(messenger));
        handler.remote_speaks_msg = speaks_msg;
        handler.open_outbound();
        let cause = Cause::new(Reason::Incompatible, "refused");
        handler.on_no_outbound_stream(Purpose::Msg, cause);
        let lost = handler.pending.iter().any(|event| {
            matches!(
                event,
                ConnectionHandlerEvent::NotifyBehaviour(ToBehaviour::Unproven { .. })
            )
        });
        assert_eq!(lost, is_lost);
    }
}

#[test]
fn what_went_along_with_a_hello_that_is_refused_is_sent_in_the_older_form() {
    let (sender, _events) = queue::new();
    let messenger = Arc::new(Messenger::new(
        PeerId::random(),
        &NodeConfig::default(),
        1,
        sender,
    ));
    let mut handler = handler(&messenger);
    let conversation = handler.conn.conversation.clone();
    for line in ["one", "two"] {
        messenger
            .send(conversation.peer, Scope::Private, line.into())
            .unwrap();
    }
    let next = || conversation.lock().outbox.next_to_write().cloned();
    let (one, two) = (next().unwrap(), next().unwrap());
    handler.remote_speaks_oneshot = true;
    handler.act_on_protocols();
    assert!(handler.conn.is_oneshots_only());
    assert_eq!([next(), next(), next()], [Some(one), Some(two), None]);
}

/// The handler of the connection that messages take to a peer, which speaks only the one-shot form.
fn handler(messenger: &Arc<Messenger>) -> Handler {
    let conn = ConnectionId::new_unchecked(1);
    let conversation = messenger.conversation_or_new(PeerId::random());
    conversation.set_active(Some(conn), Instant::now());
    let messenger = messenger.clone();
    let mut handler = Handler::new(conn, Transport::Tcp, messenger, conversation);
    handler.remote_speaks_oneshot = true;
    handler
}
