//! The stream on which a remote sends us its messages, and on which we answer with acks.

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
    HELLO_TIMEOUT,
    connection::Connection,
    conversation::Role,
    framing::{FrameReader, FrameWriter, StreamError},
};
use crate::{
    delivery::{
        Acceptance, OutOfPlace,
        frames::{Ack, Data, FrameError, Hello, Kind, Resume},
    },
    event::{Event, Scope},
    remote::Membership,
};

/// How often a receiver whose application takes nothing repeats its last ack, as its sign of life.
const ACK_REPEAT: Duration = Duration::from_secs(1);
/// Frames handled before other work of the node gets its turn.
const BATCH_FRAMES: usize = 512;
/// Bytes of messages handled before the event queue is asked for room again.
const BATCH_BYTES: usize = 1024 * 1024;

/// The remote's stream: takes its hello, shows its messages, and acks them.
///
/// Its driver polls it until it ends. A message is read only while the application has room for it and knows that the
/// peer is connected; until then one is held, which stops the remote by the stream's flow control. In each turn at most
/// [`BATCH_FRAMES`] frames and about [`BATCH_BYTES`] of bodies are taken.
#[derive(Debug)]
pub(crate) struct Inbound {
    stream: Stream,
    reader: FrameReader,
    writer: FrameWriter,
    /// Read, but not yet wanted: the application has no room, or does not know of the peer yet, or its peer is too fast.
    held: Option<Data>,
    /// Until a peer that is too fast is read again.
    pause: Option<Delay>,
    /// The session of the last hello.
    session: Option<u64>,
    /// The last hello proved that its sender belongs to our room.
    from_member: bool,
    /// When the first hello must have come; later, when a stream that is held up repeats its ack.
    due: Delay,
    ack_due: bool,
    /// Bytes of the messages accepted since they were last passed on.
    accepted: usize,
}

/// Why the stream is given up.
#[derive(Debug, thiserror::Error)]
pub(crate) enum InboundFault {
    #[error(transparent)]
    Stream(#[from] StreamError),
    #[error(transparent)]
    OutOfPlace(#[from] OutOfPlace),
    #[error("no hello within {} s", HELLO_TIMEOUT.as_secs())]
    NoHello,
    #[error("a frame that only receivers send")]
    WrongDirection,
    #[error("a line to a room that its sender is not in")]
    NotAMember,
}

impl From<FrameError> for InboundFault {
    fn from(error: FrameError) -> Self {
        Self::Stream(error.into())
    }
}

impl Inbound {
    pub(crate) fn new(stream: Stream) -> Self {
        Self {
            stream,
            reader: FrameReader::default(),
            writer: FrameWriter::default(),
            held: None,
            pause: None,
            session: None,
            from_member: false,
            due: Delay::new(HELLO_TIMEOUT),
            ack_due: false,
            accepted: 0,
        }
    }

    /// Runs the stream. `Ready(Ok)`: the remote has closed it.
    pub(crate) fn poll(
        &mut self,
        cx: &mut Context<'_>,
        conn: &Connection,
    ) -> Poll<Result<(), InboundFault>> {
        if self.session.is_none() && self.due.poll_unpin(cx).is_ready() {
            return Poll::Ready(Err(InboundFault::NoHello));
        }
        let closed = self.read(cx, conn)?;
        if let Some(pause) = &mut self.pause
            && pause.poll_unpin(cx).is_ready()
        {
            self.pause = None;
            cx.waker().wake_by_ref();
        }
        // So the remote can distinguish a slow application from a dead path.
        while self.held.is_some() && self.due.poll_unpin(cx).is_ready() {
            self.due.reset(ACK_REPEAT);
            self.ack_due = true;
        }
        self.write(cx, conn)?;
        if closed {
            return Poll::Ready(Ok(()));
        }
        Poll::Pending
    }

    fn read(&mut self, cx: &mut Context<'_>, conn: &Connection) -> Result<bool, InboundFault> {
        let result = self.read_frames(cx, conn);
        if std::mem::take(&mut self.accepted) > 0 {
            conn.conversation.lock().show(&conn.messenger.events);
        }
        result
    }

    fn read_frames(
        &mut self,
        cx: &mut Context<'_>,
        conn: &Connection,
    ) -> Result<bool, InboundFault> {
        let room = conn.messenger.events.poll_room(cx).is_ready();
        if let Some(data) = self.held.take()
            && !self.data(cx, data, room, conn)?
        {
            return Ok(false);
        }
        for _ in 0..BATCH_FRAMES {
            if self.accepted >= BATCH_BYTES {
                break;
            }
            if !self.writer.has_room() {
                // A remote that takes no answers is not asked for more.
                self.write(cx, conn)?;
                if !self.writer.has_room() {
                    return Ok(false);
                }
            }
            let Some(kind) = self.reader.next_frame()? else {
                match self.reader.poll_fill(cx, Pin::new(&mut self.stream)) {
                    Poll::Ready(Ok(true)) => continue,
                    Poll::Ready(Ok(false)) => return Ok(true),
                    Poll::Ready(Err(e)) => return Err(e.into()),
                    Poll::Pending => return Ok(false),
                }
            };
            match kind {
                Kind::Hello(hello) => self.hello(&hello, conn),
                Kind::Data(data) => {
                    if !self.data(cx, data, room, conn)? {
                        return Ok(false);
                    }
                }
                Kind::Bye(_) => conn.left(),
                Kind::Resume(_) | Kind::Ack(_) => return Err(InboundFault::WrongDirection),
            }
        }
        cx.waker().wake_by_ref();
        Ok(false)
    }

    fn hello(&mut self, hello: &Hello, conn: &Connection) {
        let is_first = self.session.replace(hello.session).is_none();
        let mut state = conn.conversation.lock();
        let next = state.inbox.hello(hello.session, hello.base);
        let membership = conn.meet(&mut state, &hello.proof, &hello.name);
        drop(state);
        self.from_member = membership == Membership::Member;
        let (proof, name) = conn.messenger.introduction(&conn.conversation.peer);
        let resume = Resume {
            next,
            nonce: hello.nonce,
            proof,
            name,
        };
        self.writer.push(&Kind::Resume(resume).into_frame());
        self.ack_due = false;
        self.due.reset(ACK_REPEAT);
        conn.heard();
        if is_first {
            conn.report(|reports| reports.greeted = true);
        }
    }

    /// Shows a message, or holds it back (`false`) while the application does not know the peer or
    /// has no room.
    fn data(
        &mut self,
        cx: &Context<'_>,
        data: Data,
        room: bool,
        conn: &Connection,
    ) -> Result<bool, InboundFault> {
        let session = self.session_of(&data)?;
        let scope = data.scope_of();
        if scope == Scope::Room && !self.from_member {
            return Err(InboundFault::NotAMember);
        }
        conn.heard();
        conn.carried_data();
        let mut state = conn.conversation.lock();
        let now = Instant::now();
        let wait = state.pace.wait(now);
        if !room || !state.announced || wait.is_some() {
            state.register(conn.id, Role::Reader, cx);
            self.held = Some(data);
            self.pause = wait.map(Delay::new);
            return Ok(false);
        }
        let accepted = state.inbox.accept(session, data.seq)?;
        self.ack_due = true;
        if accepted == Acceptance::New {
            // Counts something for an empty message, too.
            self.accepted += data.body.len().max(1);
            state.pace.take(now, data.body.len());
            let name = state.remote.name.clone();
            state.shown.push(Event::Message {
                from: conn.conversation.peer,
                name,
                id: data.seq,
                body: data.body,
                path: conn.transport.path(),
                scope,
            });
        }
        Ok(true)
    }

    fn session_of(&self, data: &Data) -> Result<u64, OutOfPlace> {
        self.session
            .filter(|session| data.session == 0 || data.session == *session)
            .ok_or(OutOfPlace::UnknownSession(data.session))
    }

    fn write(&mut self, cx: &mut Context<'_>, conn: &Connection) -> Result<(), StreamError> {
        if self.ack_due && self.writer.has_room() {
            self.ack_due = false;
            let next = self
                .session
                .and_then(|session| conn.conversation.lock().inbox.next(session));
            if let Some(next) = next {
                self.writer.push(&Kind::Ack(Ack { next }).into_frame());
            }
        }
        let mut stream = Pin::new(&mut self.stream);
        let small = conn.small_writes();
        if let Poll::Ready(result) = self.writer.poll_write(cx, stream.as_mut(), small) {
            result?;
        }
        if let Poll::Ready(result) = self.writer.poll_flush(cx, stream) {
            result?;
        }
        Ok(())
    }
}
