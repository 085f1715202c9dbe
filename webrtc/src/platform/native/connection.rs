//! str0m, driven by whoever polls the connection.
//!
//! str0m does no I/O: it is told what came and how late it is, and says what to send and when to be asked again. After each
//! thing that it is told it has to be asked until it has nothing more to say: [`Connection::drain`].

use std::{
    collections::VecDeque,
    net::SocketAddr,
    pin::Pin,
    sync::{Arc, OnceLock},
    task::{Context, Poll, Waker},
    time::{Duration, Instant},
};

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use str0m::{
    Candidate, IceConnectionState, Input, Output, Rtc, RtcConfig, RtcError,
    change::{SdpAnswer, SdpOffer, SdpPendingOffer},
    channel::{ChannelConfig, ChannelId as StrId},
    crypto::{CryptoProvider, from_feature_flags},
    net::{Protocol, Receive},
};
use tokio::time::{Sleep, sleep_until};

use super::{
    Guard,
    sockets::{Packet, Sockets},
    stun::Questions,
};
use crate::{
    Error, MAX_BUFFERED, MAX_CANDIDATES,
    backend::{BackendConnection, ChannelId, Command, Event, INIT_LABEL},
    entries::Entries,
};

/// A path on which nothing has come for this long is not waited for any more.
pub const DEAD_AFTER: Duration = Duration::from_secs(15);
/// Bytes that str0m takes to send, on all channels together; more wait with us, as much as [`MAX_BUFFERED`] allows.
const MAX_IN_FLIGHT: usize = 2 * 1024 * 1024;
/// Packets that are taken in one turn, so that others get theirs.
const PACKETS_A_TURN: usize = 64;

/// A connection.
#[derive(Debug)]
pub struct Connection {
    rtc: Rtc,
    sockets: Sockets,
    guard: Guard,
    questions: Questions,
    pending: Option<SdpPendingOffer>,
    init: Option<StrId>,
    channels: Entries<ChannelId, Channel>,
    opened: u32,
    /// What str0m had no room for, in order.
    backlog: VecDeque<(ChannelId, Bytes)>,
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

#[derive(Debug)]
struct Channel {
    id: StrId,
    /// In the backlog.
    waiting: usize,
    /// To be closed once nothing is.
    closing: bool,
}

/// What `RTCIceCandidate.toJSON()` has.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Json {
    candidate: String,
    #[serde(default)]
    sdp_mid: Option<String>,
    #[serde(default, rename = "sdpMLineIndex")]
    line: Option<u16>,
}

/// One for all connections.
fn crypto() -> Arc<CryptoProvider> {
    static CRYPTO: OnceLock<Arc<CryptoProvider>> = OnceLock::new();
    CRYPTO
        .get_or_init(|| Arc::new(from_feature_flags()))
        .clone()
}

impl Connection {
    pub(super) fn new(sockets: Sockets, servers: Vec<SocketAddr>, guard: Guard) -> Self {
        let now = Instant::now();
        let mut rtc = RtcConfig::new()
            .set_crypto_provider(crypto())
            .set_sctp_max_buffered_amount(MAX_IN_FLIGHT)
            .build(now);
        for address in sockets.addresses() {
            if let Ok(candidate) = Candidate::host(address, Protocol::Udp) {
                rtc.add_local_candidate(candidate);
            }
        }
        let questions = Questions::new(&sockets, &servers, now);
        let mut connection = Self {
            rtc,
            sockets,
            guard,
            questions,
            pending: None,
            init: None,
            channels: Entries::default(),
            opened: 0,
            backlog: VecDeque::new(),
            mid: String::new(),
            silent: None,
            events: VecDeque::new(),
            next: now,
            timer: Box::pin(sleep_until(now.into())),
            waker: None,
            closed: false,
        };
        connection.drain();
        connection
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
                    self.sockets.send(from, to, &packet.contents);
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

    /// Gives str0m what it had no room for. Returns whether it took anything.
    fn send_backlog(&mut self) -> bool {
        let Some((channel, message)) = self.backlog.front() else {
            return false;
        };
        let (channel, len) = (*channel, message.len());
        let Some(entry) = self.channels.get_mut(&channel) else {
            self.backlog.pop_front();
            return true;
        };
        let written = self
            .rtc
            .channel(entry.id)
            .map(|mut channel| channel.write(true, message));
        match written {
            Some(Ok(false)) => return false,
            // Without a channel nobody is there to be told: it was given up before it was open.
            Some(Ok(true)) | None => {}
            // Whoever waits for what is behind it must not wait for it.
            Some(Err(_)) => {
                self.channels.remove(&channel);
                self.push(Event::ChannelClosed(channel));
                return true;
            }
        }
        entry.waiting -= len;
        let drained = entry.waiting == 0;
        if drained && entry.closing {
            let id = entry.id;
            self.rtc.direct_api().close_data_channel(id);
        }
        self.backlog.pop_front();
        self.push(Event::Drained(channel));
        true
    }

    fn on_event(&mut self, event: str0m::Event) {
        match event {
            str0m::Event::Connected => self.push(Event::Connected),
            str0m::Event::IceConnectionStateChange(state) => {
                let silent = state == IceConnectionState::Disconnected;
                self.silent = silent.then(Instant::now);
            }
            str0m::Event::Closed => self.fail(Error::Closed),
            str0m::Event::ChannelOpen(id, label) => self.on_open(id, &label),
            str0m::Event::ChannelData(data) => {
                if let Some(channel) = self.named(data.id) {
                    self.push(Event::Message(channel, data.data.into()));
                }
            }
            str0m::Event::ChannelBufferedAmountLow(id) => {
                if let Some(channel) = self.named(id) {
                    self.push(Event::Drained(channel));
                }
            }
            str0m::Event::ChannelClose(id) => {
                if let Some(channel) = self.named(id) {
                    self.channels.remove(&channel);
                    self.push(Event::ChannelClosed(channel));
                }
            }
            _ => {}
        }
    }

    fn on_open(&mut self, id: StrId, label: &str) {
        if let Some(mut channel) = self.rtc.channel(id) {
            channel.set_buffered_amount_low_threshold(MAX_BUFFERED / 2);
        }
        match self.named(id) {
            Some(channel) => self.push(Event::ChannelReady(channel)),
            // That of the offer: its maker closes it.
            None if label == INIT_LABEL || self.init == Some(id) => {}
            None => {
                let channel = self.add_channel(id);
                self.push(Event::ChannelOpened(channel));
            }
        }
    }

    fn named(&self, id: StrId) -> Option<ChannelId> {
        let found = self.channels.iter().find(|(_, channel)| channel.id == id);
        found.map(|(name, _)| *name)
    }

    fn add_channel(&mut self, id: StrId) -> ChannelId {
        self.opened = self.opened.wrapping_add(1);
        let name = ChannelId(self.opened);
        let channel = Channel {
            id,
            waiting: 0,
            closing: false,
        };
        self.channels.insert(name, channel);
        name
    }

    fn describe(&mut self, description: String) {
        let mut lines = description.lines();
        let mid = lines.find_map(|line| line.strip_prefix("a=mid:"));
        self.mid = mid.unwrap_or_default().to_owned();
        self.push(Event::Described(description));
    }

    fn offer(&mut self) -> Result<(), RtcError> {
        let mut change = self.rtc.sdp_api();
        self.init = Some(change.add_channel(INIT_LABEL.into()));
        if let Some((offer, pending)) = change.apply() {
            self.pending = Some(pending);
            self.describe(offer.to_sdp_string());
        }
        Ok(())
    }

    fn answer(&mut self, offer: &str) -> Result<(), RtcError> {
        let (offer, candidates) = without_candidates(offer);
        let offer = SdpOffer::from_sdp_string(&offer)?;
        let answer = self.rtc.sdp_api().accept_offer(offer)?;
        self.describe(answer.to_sdp_string());
        self.add_candidates(&candidates);
        Ok(())
    }

    fn take_answer(&mut self, answer: &str) -> Result<(), RtcError> {
        let (answer, candidates) = without_candidates(answer);
        let answer = SdpAnswer::from_sdp_string(&answer)?;
        if let Some(pending) = self.pending.take() {
            self.rtc.sdp_api().accept_answer(pending, answer)?;
            self.add_candidates(&candidates);
        }
        Ok(())
    }

    fn add_candidates(&mut self, candidates: &[String]) {
        for candidate in candidates.iter().take(MAX_CANDIDATES) {
            self.drain();
            self.add_candidate(candidate);
        }
    }

    fn add_json(&mut self, json: &str) {
        if let Ok(Json { candidate, .. }) = serde_json::from_str(json) {
            self.add_candidate(&candidate);
        }
    }

    /// What cannot be read, as a name of mDNS, is ignored: the remote's own checks show where it is.
    fn add_candidate(&mut self, candidate: &str) {
        if let Ok(candidate) = Candidate::from_sdp_string(candidate)
            && (self.guard.0)(candidate.addr())
        {
            self.rtc.add_remote_candidate(candidate);
        }
    }

    fn close_channel(&mut self, channel: ChannelId) {
        if let Some(entry) = self.channels.get_mut(&channel) {
            entry.closing = true;
            if entry.waiting == 0 {
                let id = entry.id;
                self.rtc.direct_api().close_data_channel(id);
            }
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

    /// A server sees us at another address than we do.
    fn on_seen(&mut self, seen: SocketAddr, base: SocketAddr) {
        let Ok(candidate) = Candidate::server_reflexive(seen, base, Protocol::Udp) else {
            return;
        };
        let Some(candidate) = self.rtc.add_local_candidate(candidate) else {
            return;
        };
        let json = Json {
            candidate: candidate.to_sdp_string(),
            sdp_mid: Some(self.mid.clone()),
            line: Some(0),
        };
        self.advance();
        if let Ok(json) = serde_json::to_string(&json) {
            self.push(Event::Candidate(json));
        }
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
            let Poll::Ready(packet) = self.sockets.poll_receive(cx) else {
                break;
            };
            self.on_packet(&packet);
            any = true;
        }
        let now = Instant::now();
        self.questions.ask(&self.sockets, now);
        if now >= self.next {
            self.input(Input::Timeout);
            any = true;
        }
        if self.silent.is_some_and(|since| now >= since + DEAD_AFTER) {
            self.fail(Error::NoPath);
        }
        any
    }
}

impl BackendConnection for Connection {
    fn execute(&mut self, command: Command) {
        let done = match command {
            Command::Offer => self.offer(),
            Command::OfferDirect { .. } => {
                let error = "webrtc-direct is for browsers to dial";
                self.fail(Error::Backend(error.into()));
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
        let channel = self.add_channel(id);
        self.drain();
        Ok(channel)
    }

    fn send(&mut self, channel: ChannelId, message: Bytes) -> Result<(), Error> {
        let entry = self.channels.get_mut(&channel).ok_or(Error::Closed)?;
        entry.waiting += message.len();
        self.backlog.push_back((channel, message));
        self.drain();
        Ok(())
    }

    fn buffered(&mut self, channel: ChannelId) -> usize {
        let Some(entry) = self.channels.get_mut(&channel) else {
            return 0;
        };
        let in_flight = self.rtc.channel(entry.id);
        let in_flight = in_flight.map_or(0, |mut channel| channel.buffered_amount());
        entry.waiting + in_flight
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
            let next = self.questions.next.map_or(self.next, |q| q.min(self.next));
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

/// A description, and the candidates in it, which have to be looked at one by one.
fn without_candidates(description: &str) -> (String, Vec<String>) {
    let mut rest = String::with_capacity(description.len());
    let mut candidates = Vec::new();
    for line in description.lines() {
        match line.strip_prefix("a=candidate:") {
            Some(candidate) => candidates.push(format!("candidate:{candidate}")),
            None => rest.extend([line, "\r\n"]),
        }
    }
    (rest, candidates)
}

fn failed(error: &RtcError) -> Error {
    Error::Backend(error.to_string())
}
