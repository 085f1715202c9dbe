//! Answers that have not been read yet, and which of them are cut off when there are too many: whoever reads is done with an
//! answer in a round trip, so the oldest are of those who do not read.

use std::{collections::VecDeque, convert::Infallible, net::IpAddr};

use futures::channel::oneshot;

use crate::networks::{self, Network};

/// With `MAX_PAGE_BYTES` each, what clients that do not read can have a rendezvous point hold.
pub(super) const MAX_UNREAD_ANSWERS: usize = 1_024;
/// Those of them that go to one network.
const MAX_UNREAD_OF_NETWORK: usize = MAX_UNREAD_ANSWERS / 4;

/// Held by the stream that writes an answer. It resolves when the answer is to be cut off.
pub(super) type Unread = oneshot::Receiver<Infallible>;

/// The answers under way, oldest first.
#[derive(Debug, Default)]
pub(super) struct UnreadAnswers(VecDeque<Answer>);

#[derive(Debug)]
struct Answer {
    to: Option<IpAddr>,
    /// Dropped to cut it off.
    cut: oneshot::Sender<Infallible>,
}

impl UnreadAnswers {
    /// One more is on its way. The oldest of the same network, or else of all, is cut off if there are too many.
    pub(super) fn add(&mut self, to: Option<IpAddr>) -> Unread {
        self.0.retain(|answer| !answer.cut.is_canceled());
        let network = to.map(Network::of);
        let is_near = |answer: &Answer| match (answer.to, network) {
            (Some(ip), Some(network)) => networks::is_in(ip, network),
            (ip, network) => ip.is_none() && network.is_none(),
        };
        let near = self.0.iter().filter(|answer| is_near(answer)).count();
        if near >= MAX_UNREAD_OF_NETWORK {
            let oldest = self.0.iter().position(is_near);
            oldest.and_then(|oldest| self.0.remove(oldest));
        }
        if self.0.len() >= MAX_UNREAD_ANSWERS {
            self.0.pop_front();
        }
        let (cut, unread) = oneshot::channel();
        self.0.push_back(Answer { to, cut });
        unread
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;

    fn ip(last: u8) -> Option<IpAddr> {
        Some([192, 0, 2, last].into())
    }

    #[test]
    fn who_does_not_read_makes_room_for_who_asks_next() {
        let mut unread = UnreadAnswers::default();
        let mut other = unread.add(ip(1));
        let mut ours: Vec<_> = (0..=MAX_UNREAD_OF_NETWORK)
            .map(|_| unread.add(ip(2)))
            .collect();
        let cut: Vec<_> = ours
            .iter_mut()
            .map(|one| one.now_or_never().is_some())
            .collect();
        assert!(cut[0], "the oldest");
        assert_eq!(cut.iter().filter(|cut| **cut).count(), 1);
        assert!((&mut other).now_or_never().is_none(), "of another network");
    }

    #[test]
    fn what_was_read_counts_no_more() {
        let mut unread = UnreadAnswers::default();
        let mut first = unread.add(ip(1));
        for _ in 0..10 * MAX_UNREAD_ANSWERS {
            drop(unread.add(ip(1)));
        }
        assert!((&mut first).now_or_never().is_none());
        assert!(unread.0.len() <= 2);
    }

    #[test]
    fn there_is_an_end_to_all_of_them() {
        let mut unread = UnreadAnswers::default();
        let held: Vec<_> = (0..=255)
            .flat_map(|n| [n; 8])
            .map(|n| unread.add(ip(n)))
            .collect();
        assert_eq!(held.len(), 2 * MAX_UNREAD_ANSWERS);
        assert_eq!(unread.0.len(), MAX_UNREAD_ANSWERS);
    }
}
