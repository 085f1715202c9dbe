//! The stream on which we send a remote our messages, and on which it answers with acks.

use std::{
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use futures::FutureExt;
use futures_timer::Delay;
use libp2p::Stream;
use web_time::Instant;

use super::{
    connection::Connection,
    conversation::Role,
    framing::{FrameReader, FrameWriter, StreamError},
};
use crate::{
    config::PROBE_INTERVAL,
    delivery::{
        BogusAck,
        frames::{Bye, FrameError, Hello, Kind, Resume},
        silence::{Liveness, PATH_TIMEOUT, Silence, stood_still},
    },
    reason::Reason,
};

/// A written message is reported as sent after this time, unless it has been acked by then: most are, and an
/// event for each would cost as much as the message.
const SENT_REPORT_DELAY: Duration = Duration::from_millis(20);
/// Frames read before other work of the node gets its turn.
const BATCH_FRAMES: usize = 512;
/// Batches written before other work of the node gets its turn.
const MAX_BATCHES: u32 = 16;

/// Our stream: says hello, writes the outbox of the peer while this connection is the active one, takes acks, and
/// asks again and again whether the remote is there.
///
/// [`Outbound::new`] says hello; then its driver polls it until it fails. What it learns goes to the conversation
/// (acks) and to the handler (`Reports`: answered, silent, drained). It may write messages only after the remote has
/// said where to resume in the conversation's present epoch, or when nothing is unacked.
#[derive(Debug)]
pub(crate) struct Outbound {
    stream: Stream,
    reader: FrameReader,
    writer: FrameWriter,
    /// The hello that is not answered yet: its nonce, and when it was sent.
    hello: Option<(u64, Instant)>,
    next_nonce: u64,
    /// The epoch of the conversation that this stream may write messages in.
    resumed: Option<u64>,
    /// The epoch that the last hello asks for.
    asked: Option<u64>,
    /// The first unacked message by then.
    base: u64,
    /// The next message that the remote expects, as it said last on this stream.
    expected: Option<u64>,
    /// Goodbye has been said.
    said_bye: bool,
    probe: Delay,
    /// When the probe's timer fired last.
    probed: Instant,
    /// Counted since the hello that is not answered yet.
    silence: Silence,
    /// How often the node had asked for probes of all paths by then.
    asked_for: u64,
    /// When to report messages that have been written.
    report: Option<Delay>,
    /// Messages have been written that no report is due for.
    wrote: bool,
    /// Writing waits for the remote.
    stuck: bool,
}

/// Why the stream is given up.
#[derive(Debug, thiserror::Error)]
pub(crate) enum OutboundFault {
    #[error(transparent)]
    Stream(#[from] StreamError),
    #[error(transparent)]
    BogusAck(#[from] BogusAck),
    #[error("no answer within {} s", PATH_TIMEOUT.as_secs())]
    NoAnswer,
    #[error("a frame that only senders send")]
    WrongDirection,
    #[error("closed by the remote")]
    Closed,
}

impl OutboundFault {
    /// Returns what kind of fault this is, for programs.
    pub(crate) const fn code(&self) -> Reason {
        match self {
            Self::NoAnswer => Reason::NoAnswer,
            Self::Stream(StreamError::Io(_) | StreamError::Truncated) | Self::Closed => {
                Reason::ConnectionClosed
            }
            Self::Stream(StreamError::Frame(_)) | Self::BogusAck(_) | Self::WrongDirection => {
                Reason::ProtocolViolation
            }
        }
    }
}

impl From<FrameError> for OutboundFault {
    fn from(error: FrameError) -> Self {
        Self::Stream(error.into())
    }
}

impl Outbound {
    pub(crate) fn new(stream: Stream, conn: &Connection) -> Self {
        let now = Instant::now();
        let mut this = Self {
            stream,
            reader: FrameReader::default(),
            writer: FrameWriter::default(),
            hello: None,
            next_nonce: 1,
            resumed: None,
            asked: None,
            base: 0,
            expected: None,
            said_bye: false,
            probe: Delay::new(PROBE_INTERVAL),
            probed: now,
            silence: Silence::default(),
            asked_for: conn.messenger.probes_asked_for(),
            report: None,
            wrote: false,
            stuck: false,
        };
        this.say_hello(conn);
        this
    }

    /// Runs the stream until it has to be given up.
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>, conn: &Connection) -> Poll<OutboundFault> {
        match self.run(cx, conn) {
            Ok(()) => Poll::Pending,
            Err(fault) => Poll::Ready(fault),
        }
    }

    fn run(&mut self, cx: &mut Context<'_>, conn: &Connection) -> Result<(), OutboundFault> {
        self.check_probe(cx, conn)?;
        if let Some(rtt) = self.read(cx, conn)? {
            conn.report(|reports| {
                reports.answered = Some(rtt);
                reports.silent = false;
            });
        }
        self.say_bye(conn);
        self.write(cx, conn)?;
        self.report(cx, conn);
        Ok(())
    }

    /// Says that we leave for good, once.
    fn say_bye(&mut self, conn: &Connection) {
        if conn.messenger.is_leaving() && !std::mem::replace(&mut self.said_bye, true) {
            self.writer.push(&Kind::Bye(Bye {}).into_frame());
        }
    }

    /// Asks where to resume, whether the remote still answers, and how long that takes.
    fn say_hello(&mut self, conn: &Connection) {
        let (proof, name) = conn.messenger.introduction(&conn.conversation.peer);
        let state = conn.conversation.lock();
        let hello = Hello {
            session: conn.messenger.session,
            base: state.outbox.base(),
            nonce: self.next_nonce,
            proof,
            name,
        };
        self.asked = Some(state.epoch);
        self.base = hello.base;
        drop(state);
        self.writer.push(&Kind::Hello(hello).into_frame());
        self.hello = Some((self.next_nonce, Instant::now()));
        self.silence.begin();
        self.next_nonce += 1;
    }

    fn check_probe(
        &mut self,
        cx: &mut Context<'_>,
        conn: &Connection,
    ) -> Result<(), OutboundFault> {
        while self.probe.poll_unpin(cx).is_ready() {
            let liveness = self.tick(conn);
            if self.hello.is_none() {
                self.say_hello(conn);
                continue;
            }
            match liveness {
                Liveness::Alive => {}
                Liveness::Silent => conn.report(|reports| reports.silent = true),
                Liveness::Dead => return Err(OutboundFault::NoAnswer),
            }
        }
        let asked_for = conn.messenger.probes_asked_for();
        if asked_for != self.asked_for {
            self.asked_for = asked_for;
            // A hello that waits for its answer keeps its deadline, however often it is asked for.
            if self.hello.is_none() {
                self.probe.reset(PROBE_INTERVAL);
                self.probed = Instant::now();
                self.say_hello(conn);
            }
        }
        Ok(())
    }

    /// Judges the interval that has passed. The clock is read here, not for every frame.
    fn tick(&mut self, conn: &Connection) -> Liveness {
        let now = Instant::now();
        self.probe.reset(PROBE_INTERVAL);
        let since = now.saturating_duration_since(self.probed);
        if stood_still(since) {
            tracing::debug!("this process stood still: a timer took {since:?}");
        }
        self.probed = now;
        if !conn.take_carried_data() {
            conn.report(|reports| reports.drained = true);
        }
        // A frame of 64 KiB on a slow line takes longer than any deadline for its answer, so every
        // sign of life counts, not just the answer itself.
        let asked = self.hello.map_or(Duration::ZERO, |(_, at)| at.elapsed());
        self.silence.tick(since, asked, conn.take_heard())
    }

    fn read(
        &mut self,
        cx: &mut Context<'_>,
        conn: &Connection,
    ) -> Result<Option<Duration>, OutboundFault> {
        let mut rtt = None;
        // Acks become events, so they too wait for room.
        if conn.messenger.events.poll_room(cx).is_pending() {
            // The silence is ours, not the remote's.
            conn.heard();
            return Ok(None);
        }
        for _ in 0..BATCH_FRAMES {
            match self.reader.next_frame()? {
                Some(Kind::Resume(resume)) => rtt = self.resume(&resume, conn)?.or(rtt),
                Some(Kind::Ack(ack)) => {
                    conn.heard();
                    self.expected = Some(ack.next);
                    let mut state = conn.conversation.lock();
                    let acked = state.outbox.ack(ack.next)?;
                    conn.messenger.acked(conn.conversation.peer, acked);
                }
                Some(Kind::Hello(_) | Kind::Data(_) | Kind::Bye(_)) => {
                    return Err(OutboundFault::WrongDirection);
                }
                None => match self.reader.poll_fill(cx, Pin::new(&mut self.stream)) {
                    Poll::Ready(Ok(true)) => {}
                    Poll::Ready(Ok(false)) => return Err(OutboundFault::Closed),
                    Poll::Ready(Err(e)) => return Err(e.into()),
                    Poll::Pending => return Ok(rtt),
                },
            }
        }
        cx.waker().wake_by_ref();
        Ok(rtt)
    }

    fn resume(
        &mut self,
        resume: &Resume,
        conn: &Connection,
    ) -> Result<Option<Duration>, OutboundFault> {
        conn.heard();
        let Some((_, sent_at)) = self.hello.take_if(|(nonce, _)| *nonce == resume.nonce) else {
            return Ok(None);
        };
        self.expected = Some(resume.next);
        let mut state = conn.conversation.lock();
        let current = state.active == Some(conn.id) && self.asked == Some(state.epoch);
        let acked = if current && self.resumed != self.asked {
            self.resumed = self.asked;
            state.outbox.resume(resume.next)?
        } else {
            state.outbox.ack(resume.next)?
        };
        conn.messenger.acked(conn.conversation.peer, acked);
        // After the ack: what a peer has got before it went to another room has arrived.
        conn.meet(&mut state, &resume.proof, &resume.name);
        Ok(Some(sent_at.elapsed()))
    }

    fn write(&mut self, cx: &mut Context<'_>, conn: &Connection) -> Result<(), OutboundFault> {
        for batch in 0.. {
            self.fill(cx, conn);
            if self.writer.is_empty() {
                break;
            }
            if batch == MAX_BATCHES {
                cx.waker().wake_by_ref();
                return Ok(());
            }
            let small = conn.small_writes();
            match self
                .writer
                .poll_write(cx, Pin::new(&mut self.stream), small)
            {
                Poll::Ready(result) => result.map_err(StreamError::from)?,
                Poll::Pending => {
                    self.stuck = true;
                    return Ok(());
                }
            }
            if std::mem::take(&mut self.stuck) {
                conn.heard();
            }
        }
        if let Poll::Ready(result) = self.writer.poll_flush(cx, Pin::new(&mut self.stream)) {
            result.map_err(StreamError::from)?;
        }
        Ok(())
    }

    /// Reports messages that have been written. Most are acked before it is time to.
    fn report(&mut self, cx: &mut Context<'_>, conn: &Connection) {
        if let Some(report) = &mut self.report
            && report.poll_unpin(cx).is_ready()
        {
            self.report = None;
            if self.writer.is_empty() {
                let mut state = conn.conversation.lock();
                if state.active == Some(conn.id) {
                    if !state.announced {
                        // Until then the application does not know that the peer is there.
                        self.wrote = true;
                        return;
                    }
                    let sent = state.outbox.newly_sent();
                    conn.messenger.sent(conn.conversation.peer, sent);
                }
            }
        }
        if self.report.is_none() && (self.wrote || !self.writer.is_empty()) {
            self.wrote = false;
            let report = self.report.insert(Delay::new(SENT_REPORT_DELAY));
            // Polled once, so that it wakes us.
            if report.poll_unpin(cx).is_ready() {
                cx.waker().wake_by_ref();
            }
        }
    }

    /// Collects what may be written now.
    fn fill(&mut self, cx: &Context<'_>, conn: &Connection) {
        let mut state = conn.conversation.lock();
        state.register(conn.id, Role::Writer, cx);
        if state.active != Some(conn.id) || conn.is_oneshots_only() {
            return;
        }
        if self.resumed != Some(state.epoch) {
            // The process at this end may be in another room than the one at the end of the path before.
            conn.meet_again(&mut state);
            // Whoever has taken in our hello expects what it names, or has said since what it expects.
            let expected = self.expected.unwrap_or(self.base);
            let fresh = !state.outbox.has_unacked_writes() && expected == state.outbox.base();
            if !fresh {
                // Some of it may have arrived by another path, or been given up: ask first.
                let ask = self.asked != Some(state.epoch);
                drop(state);
                if ask {
                    self.say_hello(conn);
                }
                return;
            }
            self.resumed = Some(state.epoch);
        }
        let mut wrote = false;
        while self.writer.has_room()
            && let Some(frame) = state.outbox.next_to_write()
        {
            self.writer.push(frame);
            wrote = true;
        }
        drop(state);
        if wrote {
            self.wrote = true;
            conn.carried_data();
        }
    }
}
