//! str0m, driven by whoever polls the connection.
//!
//! str0m does no I/O: it is told what came and how late it is, and says what to send and when to be asked again. After each
//! thing that it is told it has to be asked until it has nothing more to say: [`Connection::drain`].

mod channels;
mod descriptions;
mod making;

use std::{
    collections::VecDeque,
    pin::Pin,
    sync::{Arc, OnceLock},
    task::{Context, Poll, Waker},
    time::{Duration, Instant},
};

use bytes::Bytes;
use str0m::{
    IceConnectionState, Input, Output, Rtc, RtcError,
    change::SdpPendingOffer,
    channel::{ChannelConfig, ChannelId as StrId},
    crypto::{CryptoProvider, from_feature_flags},
    net::{Protocol, Receive},
};
use tokio::time::Sleep;

use self::channels::Channels;
use super::{
    Guard,
    links::Links,
    stun::Questions,
    table::Packet,
    turn::{Progress, Turn},
};
use crate::{
    Error,
    backend::{BackendConnection, ChannelId, Command, Event},
    direct::Fingerprint,
};

/// A path on which nothing has come for this long is not waited for any more.
pub const DEAD_AFTER: Duration = Duration::from_secs(15);
/// Bytes that str0m takes to send, on all channels together; more wait with us, as much as
/// [`crate::MAX_BUFFERED`] allows.
const MAX_IN_FLIGHT: usize = 2 * 1024 * 1024;
/// Packets that are taken in one turn, so that others get theirs.
const PACKETS_A_TURN: usize = 64;

/// A connection.
#[derive(Debug)]
pub struct Connection {
    rtc: Rtc,
    links: Links,
    guard: Guard,
    questions: Questions,
    turns: Vec<Turn>,
    pending: Option<SdpPendingOffer>,
    init: Option<StrId>,
    channels: Channels,
    /// The name that descriptions have for the data channels.
    mid: String,
    /// Since when ICE hears nothing.
    silent: Option<Instant>,
    events: VecDeque<Event>,
    /// When str0m wants to be asked again.
    next: Instant,
    timer: Pin<Box<Sleep>>,
    waker: Option<Waker>,
    closed: bool,
}

/// One for all connections.
pub(super) fn crypto() -> Arc<CryptoProvider> {
    static CRYPTO: OnceLock<Arc<CryptoProvider>> = OnceLock::new();
    CRYPTO
        .get_or_init(|| Arc::new(from_feature_flags()))
        .clone()
}

impl Connection {
    /// The hash of the remote's certificate, once it is connected.
    pub(super) fn remote_fingerprint(&mut self) -> Option<Fingerprint> {
        let api = self.rtc.direct_api();
        let fingerprint = api.remote_dtls_fingerprint()?;
        let digest = fingerprint.bytes[..].try_into().ok()?;
        (fingerprint.hash_func == "sha-256").then(|| Fingerprint::new(digest))
    }

    fn push(&mut self, event: Event) {
        self.events.push_back(event);
    }

    fn fail(&mut self, error: Error) {
        if !std::mem::replace(&mut self.closed, true) {
            self.push(Event::Closed(error));
        }
    }

    /// Does everything that str0m has to say.
    fn drain(&mut self) {
        loop {
            match self.rtc.poll_output() {
                Ok(Output::Transmit(packet)) => {
                    let (from, to) = (packet.source, packet.destination);
                    let mut turns = self.turns.iter_mut();
                    if !turns.any(|turn| turn.send(from, to, &packet.contents)) {
                        self.links.send(from, to, &packet.contents);
                    }
                }
                Ok(Output::Event(event)) => self.on_event(event),
                Ok(Output::Timeout(next)) => {
                    self.next = next;
                    // More fits now, maybe.
                    if !self.send_backlog() {
                        break;
                    }
                }
                Err(error) => {
                    self.fail(failed(&error));
                    break;
                }
            }
        }
        if !self.rtc.is_alive() {
            self.fail(Error::Closed);
        }
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }

    fn on_event(&mut self, event: str0m::Event) {
        match event {
            str0m::Event::Connected => {
                self.links.handshake_is_done();
                self.push(Event::Connected);
            }
            str0m::Event::IceConnectionStateChange(state) => {
                let silent = state == IceConnectionState::Disconnected;
                self.silent = silent.then(Instant::now);
            }
            str0m::Event::Closed => self.fail(Error::Closed),
            str0m::Event::ChannelOpen(id, label) => self.on_open(id, &label),
            str0m::Event::ChannelData(data) => {
                if let Some(channel) = self.channels.named(data.id) {
                    self.push(Event::Message(channel, data.data.into()));
                }
            }
            str0m::Event::ChannelBufferedAmountLow(id) => {
                if let Some(channel) = self.channels.named(id) {
                    self.push(Event::Drained(channel));
                }
            }
            str0m::Event::ChannelClose(id) => {
                if let Some(channel) = self.channels.named(id) {
                    self.channels.remove(channel);
                    self.push(Event::ChannelClosed(channel));
                }
            }
            _ => {}
        }
    }

    fn on_packet(&mut self, packet: &Packet) {
        if let Some((seen, base)) = self.questions.answer(packet) {
            return self.on_seen(seen, base);
        }
        let receive = Receive::new(Protocol::Udp, packet.from, packet.to, &packet.bytes);
        // What is none of its packets comes from strangers.
        let Ok(receive) = receive else {
            return;
        };
        self.input(|now| Input::Receive(now, receive));
    }

    /// Has it look at new candidates: it does so when it is told the time, and may not ask for that itself.
    fn advance(&mut self) {
        self.drain();
        self.input(Input::Timeout);
    }

    fn input<'a>(&mut self, input: impl FnOnce(Instant) -> Input<'a>) {
        if let Err(error) = self.rtc.handle_input(input(Instant::now())) {
            self.fail(failed(&error));
        }
        self.drain();
    }

    /// Takes what came, and what is due. Returns whether there was anything.
    fn turn(&mut self, cx: &mut Context<'_>) -> bool {
        let mut any = false;
        for _ in 0..PACKETS_A_TURN {
            let Poll::Ready(packet) = self.links.poll_receive(cx) else {
                break;
            };
            self.on_packet(&packet);
            any = true;
        }
        let now = Instant::now();
        any |= self.take_relayed(cx, now);
        self.questions.ask(&mut self.links, now);
        if now >= self.next {
            // str0m wants to be asked every few seconds anyway.
            self.close_overdue(now);
            self.input(Input::Timeout);
            any = true;
        }
        if self.silent.is_some_and(|since| now >= since + DEAD_AFTER) {
            self.fail(Error::NoPath);
        }
        any
    }
}

/// Servers of TURN.
impl Connection {
    /// Takes what came by them. Returns whether there was anything.
    fn take_relayed(&mut self, cx: &mut Context<'_>, now: Instant) -> bool {
        let mut progress = Vec::new();
        for turn in &mut self.turns {
            while progress.len() < PACKETS_A_TURN
                && let Poll::Ready(some) = turn.poll(cx, now)
            {
                progress.push(some);
            }
        }
        let any = !progress.is_empty();
        for one in progress {
            match one {
                Progress::Relayed { at, from } => self.on_relayed(at, from),
                Progress::Packet(packet) => self.on_packet(&packet),
            }
        }
        any
    }

    /// When there is something to do, whatever comes.
    fn due(&mut self, now: Instant) -> Instant {
        let turns = self.turns.iter_mut().filter_map(|turn| turn.next(now));
        let others = turns.chain(self.questions.next);
        others.fold(self.next, Instant::min)
    }
}

impl BackendConnection for Connection {
    fn execute(&mut self, command: Command) {
        let done = match command {
            Command::Offer => {
                self.offer();
                Ok(())
            }
            Command::OfferDirect { ufrag } => {
                self.offer_direct(ufrag);
                Ok(())
            }
            Command::Answer(offer) => self.answer(&offer),
            Command::TakeAnswer(answer) => self.take_answer(&answer),
            Command::AddCandidate(json) => {
                self.add_json(&json);
                Ok(())
            }
            Command::CloseInit => {
                if let Some(init) = self.init {
                    self.rtc.direct_api().close_data_channel(init);
                }
                Ok(())
            }
            Command::CloseChannel(id) => {
                self.close_channel(id);
                Ok(())
            }
            Command::Close => self.rtc.close(),
        };
        if let Err(error) = done {
            self.fail(failed(&error));
        }
        self.advance();
    }

    fn open_channel(&mut self) -> Result<ChannelId, Error> {
        if self.closed {
            return Err(Error::Closed);
        }
        let id = self.rtc.direct_api().create_data_channel(ChannelConfig {
            label: String::new(),
            ..ChannelConfig::default()
        });
        let channel = self.channels.add(id, false);
        self.drain();
        Ok(channel)
    }

    fn send(&mut self, channel: ChannelId, message: Bytes) -> Result<(), Error> {
        self.channels.push(channel, message)?;
        self.drain();
        Ok(())
    }

    fn buffered(&mut self, channel: ChannelId) -> usize {
        self.buffered_in(channel)
    }

    fn poll_event(&mut self, cx: &mut Context<'_>) -> Poll<Event> {
        loop {
            if let Some(event) = self.events.pop_front() {
                return Poll::Ready(event);
            }
            if self.turn(cx) {
                continue;
            }
            if !self.events.is_empty() {
                continue;
            }
            let next = self.due(Instant::now());
            self.timer.as_mut().reset(next.into());
            if self.timer.as_mut().poll(cx).is_pending() {
                self.waker = Some(cx.waker().clone());
                return Poll::Pending;
            }
        }
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        // So that the remote notices at once. Where there are no data channels yet it finds out.
        let _ = self.rtc.close();
        self.drain();
    }
}

fn failed(error: &RtcError) -> Error {
    Error::Backend(error.to_string())
}
