//! The delivery contract of msg, without I/O and without a clock: what to send, what to show, what to
//! send again, and when a remote counts as gone.
//!
//! [`Outbox`] numbers the messages to one peer and keeps each until it is acked. [`Inbox`] lets each message
//! of one peer through once and in order. Neither knows of paths: both outlive every connection to their peer.
//! `frames` is what they say to one another, [`Room`] proves who belongs to the room, and `silence` judges a remote
//! that says nothing.
//! docs/protocol.md, section "msg", has the contract in words.
//!
//! # How it is driven
//!
//! Whoever has a stream to the peer (`protocols::msg`, or a test) calls, in this order:
//!
//! ```text
//!        sender                                                receiver
//!  Outbox::push(message)
//!        |          -- Hello {session, base} -->          Inbox::hello(session, base)
//!  Outbox::resume(next)   <-- Resume {next} --                   |
//!        |                                                       |
//!  Outbox::next_to_write()  -- Data {seq} -->             Inbox::accept(session, seq)
//!        |                                                 New: show it. Duplicate: don't.
//!  Outbox::ack(next)        <-- Ack {next} --             Inbox::next(session)
//! ```
//!
//! A path that breaks ends the exchange wherever it is: the sender calls [`Outbox::rewind`], and the next path
//! begins with a hello. From time to time the sender calls [`Outbox::expire`], which gives up what is too
//! old; [`Outbox::give_up`] drops everything when the peer leaves for good (Bye) or moves to another room, and
//! [`Outbox::close`] when the node stops.

pub(crate) mod frames;
mod inbox;
mod outbox;
mod pace;
mod room;
pub(crate) mod silence;
#[cfg(test)]
mod tests;

#[cfg(test)]
pub(crate) use self::inbox::MAX_REMEMBERED_SESSIONS;
pub(crate) use self::{
    inbox::{Acceptance, Inbox, OutOfPlace},
    outbox::{BogusAck, Outbox, Refused},
    pace::Pace,
    room::Room,
};
