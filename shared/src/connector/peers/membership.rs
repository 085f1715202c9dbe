//! What peers are called, and who of them belongs to the room. Both are facts of the conversation: msg learns them from
//! the other side, whoever listed it. A peer that turns out to be of another room is let go, unless it is wanted for
//! itself.

use std::time::Duration;

use libp2p::PeerId;
use web_time::Instant;

use super::{Output, Peers, peer::Peer, shared::Shared};
use crate::{
    connector::{connections::Conn, context::Context, purpose::Purpose},
    event::Event,
    name::PeerName,
    reason::{Cause, Reason},
    remote::{Membership, Remote},
    table::Table,
};

/// Changes of one peer's name and membership are reported this far apart: whoever makes up names does not fill a
/// screen.
pub(in crate::connector) const INTRODUCTION_PAUSE: Duration = Duration::from_secs(1);

/// Who a peer is, and what the application has read of that.
#[derive(Debug, Default)]
pub(super) struct Introduction {
    /// By its last word; `None` before the first.
    remote: Option<Remote>,
    /// While it is connected.
    reported: Option<Reported>,
    /// When to report what has changed since.
    pub(super) due: Option<Instant>,
}

#[derive(Debug)]
struct Reported {
    name: PeerName,
    in_room: bool,
    at: Instant,
}

impl Peers {
    pub(super) fn introduced(&mut self, cx: &mut Context<'_>, id: PeerId, remote: Remote) {
        let Some(peer) = self.peers.get_mut(&id) else {
            return;
        };
        peer.introduction.remote = Some(remote);
        if peer.is_connected() && peer.has_moved(&self.shared) {
            let cause = Cause::new(Reason::OtherRoom, "it is in another room now");
            return self.path_lost(cx, id, cause);
        }
        peer.report_introduction(cx.now, &mut self.shared);
    }
}

impl Peer {
    /// Takes in who is at the end of a path. Returns whether it is let go, as it was dialled for our room and is in
    /// another one.
    pub(super) fn meet(&mut self, cx: &Context<'_>, shared: &mut Shared, remote: Remote) -> bool {
        self.introduction.remote = Some(remote);
        if self.is_guest() {
            self.part();
        } else {
            self.parted = false;
        }
        // Whichever of its connections became the path: a hole may have been punched from the one that we dialled.
        let dialled = |conn: &Conn| matches!(conn.purpose, Some(Purpose::Peer(_)));
        let dialled = cx.connections.of(self.id).any(dialled);
        let for_room = self.is_guest() && dialled && !self.is_ordered();
        let let_go = self.has_moved(shared) || (for_room && !shared.is_relay(self.id));
        if let_go {
            self.close_all(cx, shared);
        }
        let_go
    }

    /// The application learns that it is connected, and its messages may be shown.
    pub(super) fn admit(&mut self, shared: &mut Shared) {
        let (peer, in_room) = (self.id, self.is_in_room());
        shared.outputs.push(Output::Admit { peer, in_room });
    }

    /// Lets lines to the room go along with our first hello on a circuit that we dialled: who is listed in the room knows its
    /// name. Where the listing is out of date, the peer does not show them.
    pub(super) fn expect(&mut self, shared: &mut Shared, conn: &Conn) {
        let is_listed = !self.listings.is_empty() && !self.is_guest();
        let is_ours = conn.relayed && conn.outbound;
        if is_ours && is_listed && !self.is_connected() && !shared.is_relay(self.id) {
            self.expected = true;
            let (peer, conn) = (self.id, conn.id);
            shared.outputs.push(Output::Expect { peer, conn });
        }
    }

    /// Whether lines to everybody are for it.
    pub(super) fn is_in_room(&self) -> bool {
        match self
            .introduction
            .remote
            .as_ref()
            .map(|remote| remote.membership)
        {
            Some(Membership::Member) => true,
            Some(Membership::Guest) => false,
            Some(Membership::Unproven) | None => self.is_ordered() || !self.listings.is_empty(),
        }
    }

    fn is_guest(&self) -> bool {
        let remote = self.introduction.remote.as_ref();
        remote.is_some_and(|remote| remote.membership == Membership::Guest)
    }

    /// Whether the application knows it as one of the room, which it is no more, and does not want it for itself.
    fn has_moved(&self, shared: &Shared) -> bool {
        let was_in_room = self
            .introduction
            .reported
            .as_ref()
            .is_some_and(|reported| reported.in_room);
        was_in_room && self.is_guest() && !self.is_ordered() && !shared.is_relay(self.id)
    }

    /// What to call it in events.
    pub(super) fn name(&self) -> PeerName {
        match &self.introduction.remote {
            Some(remote) => remote.name.clone(),
            None => PeerName::of(&self.id),
        }
    }

    /// Notes that the event `Connected` reports its name and membership.
    pub(super) fn note_reported(&mut self, now: Instant) {
        self.introduction.reported = Some(Reported {
            name: self.name(),
            in_room: self.is_in_room(),
            at: now,
        });
        self.introduction.due = None;
    }

    pub(super) fn forget_introduction(&mut self) {
        self.introduction = Introduction::default();
    }

    /// Reports what has changed, now or after the pause.
    pub(super) fn report_introduction(&mut self, now: Instant, shared: &mut Shared) {
        let Some(reported) = &self.introduction.reported else {
            return;
        };
        let (peer, name, in_room) = (self.id, self.name(), self.is_in_room());
        let (renamed, moved) = (reported.name != name, reported.in_room != in_room);
        let at = reported.at + INTRODUCTION_PAUSE;
        self.introduction.due = None;
        if !renamed && !moved {
            return;
        }
        if now < at {
            self.introduction.due = Some(at);
            return;
        }
        if renamed {
            shared.emit(Event::Renamed { peer, name });
        }
        if moved {
            shared.emit(Event::Membership { peer, in_room });
            self.admit(shared);
        }
        self.note_reported(now);
    }

    pub(super) fn run_introduction(&mut self, cx: &Context<'_>, shared: &mut Shared) {
        if self.introduction.due.is_some_and(|at| at <= cx.now) {
            self.report_introduction(cx.now, shared);
        }
    }

    /// It left for good, or is of another room. What was listed of it is out of date, and it is dialled again only if
    /// somebody lists it anew or the application wants it for itself.
    pub(super) fn part(&mut self) {
        self.parted = true;
        self.listings = Table::new();
        self.reported_addresses.clear();
        self.is_near = false;
    }

    pub(super) fn close_all(&self, cx: &Context<'_>, shared: &mut Shared) {
        for conn in cx.connections.of(self.id) {
            if !shared.serves_a_relay(conn) {
                shared.close(conn.id);
            }
        }
    }
}
