use super::*;

fn outputs(machine: &mut Signalling) -> Vec<Output> {
    std::iter::from_fn(|| machine.next()).collect()
}

fn send(kind: SignalKind, data: &str) -> Output {
    Output::Send(Signal::new(kind, data.into()))
}

fn signal(machine: &mut Signalling, kind: SignalKind, data: &str) -> Result<(), Error> {
    machine.on_signal(Signal::new(kind, data.into()))
}

fn described(text: &str) -> Event {
    Event::Described(text.into())
}

fn candidate(text: &str) -> Event {
    Event::Candidate(text.into())
}

fn command(text: &str) -> Output {
    Output::Do(Command::AddCandidate(text.into()))
}

/// One that has sent its offer.
fn offerer() -> Signalling {
    let mut machine = Signalling::new(Role::Offerer);
    assert_eq!(outputs(&mut machine), [Output::Do(Command::Offer)]);
    machine.on_event(described("offer")).expect("an offer");
    assert_eq!(outputs(&mut machine), [send(SignalKind::SdpOffer, "offer")]);
    machine
}

#[test]
fn offer_answer_candidates_connected() {
    let mut machine = offerer();
    machine.on_event(candidate("ours")).expect("a candidate");
    assert_eq!(
        outputs(&mut machine),
        [send(SignalKind::IceCandidate, "ours")]
    );
    signal(&mut machine, SignalKind::SdpAnswer, "answer").expect("an answer");
    signal(&mut machine, SignalKind::IceCandidate, "theirs").expect("a candidate");
    let answer = Output::Do(Command::TakeAnswer("answer".into()));
    assert_eq!(outputs(&mut machine), [answer, command("theirs")]);
    machine.on_event(Event::Connected).expect("a connection");
    let close = Output::Do(Command::CloseInit);
    assert_eq!(outputs(&mut machine), [close, Output::Connected]);
}

#[test]
fn who_answers_leaves_the_first_channel_alone() {
    let mut machine = Signalling::new(Role::Answerer);
    assert_eq!(outputs(&mut machine), []);
    signal(&mut machine, SignalKind::SdpOffer, "offer").expect("an offer");
    let answer = Output::Do(Command::Answer("offer".into()));
    assert_eq!(outputs(&mut machine), [answer]);
    machine.on_event(described("answer")).expect("an answer");
    assert_eq!(
        outputs(&mut machine),
        [send(SignalKind::SdpAnswer, "answer")]
    );
    machine.on_event(Event::Connected).expect("a connection");
    assert_eq!(outputs(&mut machine), [Output::Connected]);
}

#[test]
fn candidates_before_the_answer_wait_for_it() {
    let mut machine = offerer();
    signal(&mut machine, SignalKind::IceCandidate, "early").expect("a candidate");
    assert_eq!(outputs(&mut machine), []);
    signal(&mut machine, SignalKind::SdpAnswer, "answer").expect("an answer");
    let answer = Output::Do(Command::TakeAnswer("answer".into()));
    assert_eq!(outputs(&mut machine), [answer, command("early")]);
}

#[test]
fn the_description_is_sent_before_any_candidate() {
    let mut machine = Signalling::new(Role::Answerer);
    machine.on_event(candidate("early")).expect("a candidate");
    assert_eq!(outputs(&mut machine), []);
    machine.on_event(described("answer")).expect("an answer");
    let sent = [
        send(SignalKind::SdpAnswer, "answer"),
        send(SignalKind::IceCandidate, "early"),
    ];
    assert_eq!(outputs(&mut machine), sent);
}

#[test]
fn the_end_of_candidates_is_none() {
    let mut machine = offerer();
    signal(&mut machine, SignalKind::SdpAnswer, "answer").expect("an answer");
    outputs(&mut machine);
    for end in ["", "null"] {
        signal(&mut machine, SignalKind::IceCandidate, end).expect("an end");
    }
    assert_eq!(outputs(&mut machine), []);
}

#[test]
fn the_same_answer_again_changes_nothing_and_another_one_is_refused() {
    let mut machine = offerer();
    signal(&mut machine, SignalKind::SdpAnswer, "answer").expect("an answer");
    outputs(&mut machine);
    signal(&mut machine, SignalKind::SdpAnswer, "answer").expect("the same");
    assert_eq!(outputs(&mut machine), []);
    let other = signal(&mut machine, SignalKind::SdpAnswer, "another");
    assert!(matches!(other, Err(Error::Protocol(_))));
}

#[test]
fn descriptions_out_of_turn_are_refused() {
    let mut early = Signalling::new(Role::Offerer);
    let answer = signal(&mut early, SignalKind::SdpAnswer, "answer");
    assert!(matches!(answer, Err(Error::Protocol(_))));
    let offer = signal(&mut offerer(), SignalKind::SdpOffer, "offer");
    assert!(matches!(offer, Err(Error::Protocol(_))));
    let mut answerer = Signalling::new(Role::Answerer);
    let answer = signal(&mut answerer, SignalKind::SdpAnswer, "answer");
    assert!(matches!(answer, Err(Error::Protocol(_))));
}

#[test]
fn of_ten_thousand_candidates_few_are_tried_and_then_it_ends() {
    for answered in [false, true] {
        let mut machine = offerer();
        if answered {
            signal(&mut machine, SignalKind::SdpAnswer, "answer").expect("an answer");
            outputs(&mut machine);
        }
        let mut tried = 0;
        let ended = (0..10_000).find(|n| {
            let result = signal(&mut machine, SignalKind::IceCandidate, &n.to_string());
            tried += outputs(&mut machine).len();
            result.is_err()
        });
        assert_eq!(ended, Some(MAX_SIGNALS - usize::from(answered)));
        assert_eq!(tried, if answered { MAX_CANDIDATES } else { 0 });
        assert!(machine.early.len() <= MAX_CANDIDATES);
    }
}

#[test]
fn own_candidates_are_bounded_too() {
    let mut machine = offerer();
    for n in 0..1_000 {
        machine
            .on_event(candidate(&n.to_string()))
            .expect("a candidate");
    }
    assert_eq!(outputs(&mut machine).len(), MAX_CANDIDATES);
}

#[test]
fn the_stream_may_end_once_both_have_described_themselves() {
    let mut machine = offerer();
    let early = machine.on_end("closed".into());
    assert!(matches!(early, Err(Error::Signalling(_))));
    signal(&mut machine, SignalKind::SdpAnswer, "answer").expect("an answer");
    assert!(machine.on_end("closed".into()).is_ok());
}

#[test]
fn a_later_versions_signal_means_nothing() {
    let mut machine = offerer();
    let unknown = Signal {
        kind: Some(17),
        data: None,
    };
    assert!(machine.on_signal(unknown).is_ok());
    assert_eq!(outputs(&mut machine), []);
}

#[test]
fn a_backend_that_fails_ends_it() {
    let failed = offerer().on_event(Event::Closed(Error::NoPath));
    assert!(matches!(failed, Err(Error::NoPath)));
}
