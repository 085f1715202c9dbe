//! Paths that die, lag behind and come back, at random: every message arrives in order and once.

use std::{collections::HashSet, time::Duration};

use proptest::prelude::*;

use super::model::{Line, Receiver, Sender};

/// Paths between the two.
const LINES: usize = 3;
const CASES: u32 = 50;
/// Messages of each case: 100,000 in all.
const MESSAGES: u64 = 2_000;

/// What happens next.
#[derive(Debug, Clone, Copy)]
enum Step {
    /// The application sends messages.
    Send(usize),
    /// The sender's end of a path reads and writes that many frames.
    Write(usize, usize, usize),
    /// The receiver's end reads that many frames.
    Read(usize, usize),
    /// The sender chooses a path, if it has proven itself.
    Choose(usize),
    /// The sender knows no path for a while.
    ChooseNone,
    /// A path dies with all that is under way on it; another takes its place.
    Die(usize),
    /// The answers of a path are lost, and it with them.
    LoseAnswers(usize),
    /// The sender probes a path.
    Probe(usize),
    /// Time passes; messages may get too old.
    Pass(u64),
}

fn step(expiry: bool) -> impl Strategy<Value = Step> {
    let line = 0..LINES;
    prop_oneof![
        6 => (1..20usize).prop_map(Step::Send),
        8 => (line.clone(), 0..6usize, 0..20usize).prop_map(|(l, r, w)| Step::Write(l, r, w)),
        8 => (line.clone(), 0..20usize).prop_map(|(l, n)| Step::Read(l, n)),
        4 => line.clone().prop_map(Step::Choose),
        1 => Just(Step::ChooseNone),
        1 => line.clone().prop_map(Step::Die),
        1 => line.clone().prop_map(Step::LoseAnswers),
        1 => line.prop_map(Step::Probe),
        if expiry { 2 } else { 1 } => (0..if expiry { 30u64 } else { 1 }).prop_map(Step::Pass),
    ]
}

fn steps(expiry: bool) -> impl Strategy<Value = Vec<Step>> {
    prop::collection::vec(step(expiry), 50..300)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: CASES, ..ProptestConfig::default() })]

    #[test]
    fn everything_arrives_in_order_and_once(steps in steps(false)) {
        let mut pair = Pair::new();
        pair.play(&steps, MESSAGES);
        let all: Vec<_> = (1..=pair.queued).collect();
        prop_assert!(pair.queued >= MESSAGES);
        prop_assert_eq!(pair.shown(1), all.clone());
        prop_assert_eq!(&pair.sender.acked, &all);
        prop_assert!(pair.sender.failed.is_empty());
        prop_assert!(pair.sender.sent.is_sorted_by(|a, b| a < b), "reported as sent once");
    }

    #[test]
    fn what_does_not_arrive_has_failed(steps in steps(true)) {
        let mut pair = Pair::new();
        pair.play(&steps, MESSAGES);
        let shown = pair.shown(1);
        prop_assert!(shown.is_sorted_by(|a, b| a < b), "in order and once");
        let shown: HashSet<_> = shown.into_iter().collect();
        let acked: HashSet<_> = pair.sender.acked.iter().copied().collect();
        let failed: HashSet<_> = pair.sender.failed.iter().copied().collect();
        prop_assert!(acked.is_subset(&shown));
        prop_assert!(acked.is_disjoint(&failed));
        prop_assert_eq!(acked.len() + failed.len(), pair.queued as usize, "no message without an end");
    }

    #[test]
    fn a_sender_that_restarts_begins_a_session_of_its_own(
        before in steps(false),
        after in steps(false),
    ) {
        let mut pair = Pair::new();
        pair.play_once(&before);
        // What the old process had written may still be under way when the new one says hello.
        let mut old = std::mem::take(&mut pair.lines);
        let first = std::mem::replace(&mut pair.sender, Sender::new(2));
        pair.queued = 0;
        pair.open_lines();
        for step in after {
            pair.apply(step);
            for line in &mut old {
                line.run_receiver(&mut pair.receiver, 1);
            }
        }
        pair.settle();
        for line in &mut old {
            line.run_receiver(&mut pair.receiver, usize::MAX);
        }
        let shown = pair.shown(1);
        prop_assert_eq!(&shown, &(1..=shown.len() as u64).collect::<Vec<_>>());
        prop_assert!(first.acked.len() <= shown.len(), "what was acked had been shown");
        prop_assert_eq!(pair.shown(2), (1..=pair.queued).collect::<Vec<_>>());
    }

    #[test]
    fn a_receiver_that_restarts_gets_everything_unacked(
        before in steps(false),
        after in steps(false),
    ) {
        let mut pair = Pair::new();
        pair.play_once(&before);
        let first = std::mem::take(&mut pair.receiver);
        pair.sender.set_active(None);
        pair.open_lines();
        let base = pair.sender.outbox.base();
        pair.play_once(&after);
        pair.settle();
        let last_seen = first.shown.last().map_or(0, |(_, seq)| *seq);
        prop_assert!(base <= last_seen + 1, "nothing is skipped");
        prop_assert_eq!(pair.shown(1), (base..=pair.queued).collect::<Vec<_>>());
        prop_assert_eq!(&pair.sender.acked, &(1..=pair.queued).collect::<Vec<_>>());
    }
}

/// A sender, a receiver, and what lies between them.
struct Pair {
    sender: Sender,
    receiver: Receiver,
    lines: Vec<Line>,
    queued: u64,
}

impl Pair {
    fn new() -> Self {
        let mut pair = Self {
            sender: Sender::new(1),
            receiver: Receiver::default(),
            lines: Vec::new(),
            queued: 0,
        };
        pair.open_lines();
        pair
    }

    fn open_lines(&mut self) {
        self.lines = (0..LINES).map(|id| Line::open(id, &self.sender)).collect();
    }

    /// Repeats the steps until enough messages have been sent, and then until all have an end.
    fn play(&mut self, steps: &[Step], messages: u64) {
        while self.queued < messages {
            self.send(1);
            self.play_once(steps);
            self.settle();
        }
    }

    fn play_once(&mut self, steps: &[Step]) {
        for step in steps {
            self.apply(*step);
        }
    }

    fn apply(&mut self, step: Step) {
        match step {
            Step::Send(count) => self.send(count),
            Step::Write(at, read, write) => {
                self.lines[at].run_sender(&mut self.sender, read, write);
            }
            Step::Read(at, count) => self.lines[at].run_receiver(&mut self.receiver, count),
            Step::Choose(at) => {
                if self.lines[at].proven {
                    self.sender.set_active(Some(at));
                }
            }
            Step::ChooseNone => self.sender.set_active(None),
            Step::Die(at) => self.replace(at),
            Step::LoseAnswers(at) => {
                self.lines[at].run_receiver(&mut self.receiver, usize::MAX);
                self.replace(at);
            }
            Step::Probe(at) => self.lines[at].probe(&self.sender),
            Step::Pass(seconds) => self.sender.pass(Duration::from_secs(seconds)),
        }
    }

    fn send(&mut self, count: usize) {
        for _ in 0..count {
            self.queued += u64::from(self.sender.send());
        }
    }

    fn replace(&mut self, at: usize) {
        self.sender.leave(at);
        self.lines[at] = Line::open(at, &self.sender);
    }

    /// Lets everything arrive: first what lags behind, then the rest by the first path.
    fn settle(&mut self) {
        for _ in 0..4 {
            self.run_all();
        }
        self.sender.set_active(Some(0));
        for _ in 0..MESSAGES {
            self.run_all();
            if self.sender.outbox.is_empty() && self.lines.iter().all(Line::is_quiet) {
                return;
            }
        }
        panic!("{} messages are stuck", self.sender.outbox.len());
    }

    fn run_all(&mut self) {
        for line in &mut self.lines {
            line.run_sender(&mut self.sender, usize::MAX, usize::MAX);
            line.run_receiver(&mut self.receiver, usize::MAX);
        }
    }

    /// The messages of a session, as they were shown.
    fn shown(&self, session: u64) -> Vec<u64> {
        let shown = self.receiver.shown.iter();
        shown
            .filter(|(s, _)| *s == session)
            .map(|(_, seq)| *seq)
            .collect()
    }
}
