//! One direction of msg between two processes, without I/O: what handlers and streams do, on paths
//! whose every frame waits until the test moves it.

use std::{collections::VecDeque, ops::Range, time::Duration};

use bytes::Bytes;
use prost::Message;
use web_time::Instant;

use crate::delivery::{
    Acceptance, Inbox, Outbox,
    frames::{Ack, Data, Frame, Hello, Kind, Resume},
};

/// Messages of the model fail after this time.
pub(super) const TIMEOUT: Duration = Duration::from_secs(60);
/// Frames that a writer collects.
const WRITER_FRAMES: usize = 8;

/// The process that sends, as its messenger and its outbound streams see it.
#[derive(Debug)]
pub(super) struct Sender {
    pub(super) session: u64,
    pub(super) outbox: Outbox,
    pub(super) now: Instant,
    active: Option<usize>,
    epoch: u64,
    /// Sequence numbers, in the order in which they were reported.
    pub(super) sent: Vec<u64>,
    pub(super) acked: Vec<u64>,
    pub(super) failed: Vec<u64>,
}

/// The process that receives.
#[derive(Debug, Default)]
pub(super) struct Receiver {
    pub(super) inbox: Inbox,
    /// Session and sequence number of each message shown, in order.
    pub(super) shown: Vec<(u64, u64)>,
}

/// A connection with one msg stream on it.
#[derive(Debug)]
pub(super) struct Line {
    /// Where it stands in the list of lines.
    id: usize,
    pub(super) proven: bool,
    hello: Option<u64>,
    next_nonce: u64,
    resumed: Option<u64>,
    asked: Option<u64>,
    expected: Option<u64>,
    writer: VecDeque<Bytes>,
    pub(super) there: VecDeque<Bytes>,
    pub(super) back: VecDeque<Bytes>,
    /// The session of the last hello that came out at the other end.
    session: Option<u64>,
}

impl Sender {
    pub(super) fn new(session: u64) -> Self {
        Self {
            session,
            outbox: Outbox::default(),
            now: Instant::now(),
            active: None,
            epoch: 0,
            sent: Vec::new(),
            acked: Vec::new(),
            failed: Vec::new(),
        }
    }

    /// The application sends a message; `false` when the outbox is full.
    pub(super) fn send(&mut self) -> bool {
        let seq = self.outbox.next_seq();
        let data = Data {
            session: self.session,
            seq,
            body: seq.to_string(),
            ..Data::default()
        };
        let frame = Kind::Data(data).into_frame();
        self.outbox.push(frame, 1).is_ok()
    }

    /// The behaviour chooses another path.
    pub(super) fn set_active(&mut self, active: Option<usize>) {
        if self.active != active {
            self.active = active;
            self.epoch += 1;
            self.outbox.rewind();
        }
    }

    /// A path is lost.
    pub(super) fn leave(&mut self, line: usize) {
        if self.active == Some(line) {
            self.set_active(None);
        }
    }

    /// Time passes, and the messenger looks for messages that are too old.
    pub(super) fn pass(&mut self, time: Duration) {
        // It has looked before, too, as it does every second.
        let mut expired = self.outbox.expire(self.now, TIMEOUT);
        self.now += time;
        expired.end = self.outbox.expire(self.now, TIMEOUT).end;
        if !expired.is_empty() {
            self.epoch += 1;
            self.failed.extend(expired);
        }
    }

    fn acked(&mut self, ids: Range<u64>) {
        self.acked.extend(ids);
    }
}

impl Line {
    /// A new connection, or a new stream on one.
    pub(super) fn open(id: usize, sender: &Sender) -> Self {
        let mut line = Self {
            id,
            proven: false,
            hello: None,
            next_nonce: 1,
            resumed: None,
            asked: None,
            expected: None,
            writer: VecDeque::new(),
            there: VecDeque::new(),
            back: VecDeque::new(),
            session: None,
        };
        line.say_hello(sender);
        line
    }

    pub(super) fn probe(&mut self, sender: &Sender) {
        if self.hello.is_none() {
            self.say_hello(sender);
        }
    }

    fn say_hello(&mut self, sender: &Sender) {
        let hello = Hello {
            session: sender.session,
            base: sender.outbox.base(),
            nonce: self.next_nonce,
            ..Hello::default()
        };
        self.asked = Some(sender.epoch);
        self.writer.push_back(Kind::Hello(hello).into_frame());
        self.hello = Some(self.next_nonce);
        self.next_nonce += 1;
    }

    /// The sender's end reads at most `read` answers, and writes at most `write` frames.
    pub(super) fn run_sender(&mut self, sender: &mut Sender, read: usize, mut write: usize) {
        for _ in 0..read {
            let Some(frame) = self.back.pop_front() else {
                break;
            };
            self.answered(decode(&frame), sender);
        }
        loop {
            self.fill(sender);
            if self.writer.is_empty() || write == 0 {
                return;
            }
            let taken = write.min(self.writer.len());
            self.there.extend(self.writer.drain(..taken));
            write -= taken;
            if !self.writer.is_empty() {
                return;
            }
        }
    }

    fn answered(&mut self, kind: Kind, sender: &mut Sender) {
        match kind {
            Kind::Resume(resume) => {
                if self.hello.take_if(|nonce| *nonce == resume.nonce).is_none() {
                    return;
                }
                self.proven = true;
                self.expected = Some(resume.next);
                let current = sender.active == Some(self.id) && self.asked == Some(sender.epoch);
                let acked = if current && self.resumed != self.asked {
                    self.resumed = self.asked;
                    sender.outbox.resume(resume.next)
                } else {
                    sender.outbox.ack(resume.next)
                };
                sender.acked(acked.expect("an honest resume"));
            }
            Kind::Ack(ack) => {
                self.expected = Some(ack.next);
                let acked = sender.outbox.ack(ack.next);
                sender.acked(acked.expect("an honest ack"));
            }
            kind => panic!("a receiver does not send {kind:?}"),
        }
    }

    fn fill(&mut self, sender: &mut Sender) {
        if sender.active != Some(self.id) {
            return;
        }
        if self.resumed != Some(sender.epoch) {
            let fresh =
                !sender.outbox.has_unacked_writes() && self.expected == Some(sender.outbox.base());
            if !fresh {
                if self.asked != Some(sender.epoch) {
                    self.say_hello(sender);
                }
                return;
            }
            self.resumed = Some(sender.epoch);
        }
        if self.writer.is_empty() {
            let sent = sender.outbox.newly_sent();
            sender.sent.extend(sent);
        }
        while self.writer.len() < WRITER_FRAMES
            && let Some(frame) = sender.outbox.next_to_write()
        {
            self.writer.push_back(frame.clone());
        }
    }

    /// The receiver's end reads at most `read` frames.
    pub(super) fn run_receiver(&mut self, receiver: &mut Receiver, read: usize) {
        let mut ack_due = false;
        for _ in 0..read {
            let Some(frame) = self.there.pop_front() else {
                break;
            };
            match decode(&frame) {
                Kind::Hello(hello) => {
                    self.session = Some(hello.session);
                    let next = receiver.inbox.hello(hello.session, hello.base);
                    let nonce = hello.nonce;
                    let resume = Kind::Resume(Resume {
                        next,
                        nonce,
                        ..Resume::default()
                    });
                    self.back.push_back(resume.into_frame());
                    ack_due = false;
                }
                Kind::Data(data) => {
                    assert_eq!(self.session, Some(data.session));
                    assert_eq!(data.body, data.seq.to_string());
                    ack_due = true;
                    let accepted = receiver.inbox.accept(data.session, data.seq);
                    if accepted.expect("an honest message") == Acceptance::New {
                        receiver.shown.push((data.session, data.seq));
                    }
                }
                kind => panic!("a sender does not send {kind:?}"),
            }
        }
        if ack_due && let Some(next) = self.session.and_then(|s| receiver.inbox.next(s)) {
            self.back.push_back(Kind::Ack(Ack { next }).into_frame());
        }
    }

    /// Nothing is under way.
    pub(super) fn is_quiet(&self) -> bool {
        self.writer.is_empty() && self.there.is_empty() && self.back.is_empty()
    }
}

fn decode(frame: &[u8]) -> Kind {
    let frame = Frame::decode_length_delimited(frame).expect("our own frame");
    frame.kind.expect("our own frame")
}
