//! Runs the streams: futures beside the swarm, each woken for itself.
//!
//! A connection's handler is polled for whatever happens on the connection, with the handlers of
//! all other protocols, and that costs more than a message does. So the handler only negotiates
//! streams, and the drivers do the rest.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use futures::{StreamExt, stream::FuturesUnordered, task::AtomicWaker};
use parking_lot::Mutex;

use super::{
    connection::Connection,
    inbound::Inbound,
    outbound::{Outbound, OutboundFault},
};
use crate::reason::Cause;

/// Drivers on their way from the handlers to the node's task.
#[derive(Debug, Default)]
pub(crate) struct Drivers {
    /// Two for each connection, at most.
    new: Mutex<Vec<Driver>>,
    runner: AtomicWaker,
}

impl Drivers {
    /// Drives the streams of this connection, both ways, until it is closed.
    pub(crate) fn add(&self, conn: &Arc<Connection>) {
        self.new.lock().extend([
            Driver::Inbound(InboundDriver {
                conn: conn.clone(),
                stream: None,
            }),
            Driver::Outbound(OutboundDriver {
                conn: conn.clone(),
                stream: None,
            }),
        ]);
        self.runner.wake();
    }

    /// Runs the drivers until `main` is done.
    pub(crate) async fn run_beside<T>(&self, main: impl Future<Output = T>) -> T {
        let mut running = FuturesUnordered::from_iter([Task::Main(Box::pin(main))]);
        std::future::poll_fn(|cx| {
            self.runner.register(cx.waker());
            running.extend(self.new.lock().drain(..).map(Task::Driver));
            loop {
                match running.poll_next_unpin(cx) {
                    Poll::Ready(Some(Some(done))) => return Poll::Ready(done),
                    Poll::Ready(Some(None)) => {}
                    Poll::Ready(None) | Poll::Pending => return Poll::Pending,
                }
            }
        })
        .await
    }
}

/// The node's own loop, or a driver.
enum Task<M> {
    Main(Pin<Box<M>>),
    Driver(Driver),
}

impl<M: Future> Future for Task<M> {
    type Output = Option<M::Output>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match &mut *self {
            Self::Main(main) => main.as_mut().poll(cx).map(Some),
            Self::Driver(Driver::Inbound(driver)) => driver.poll(cx).map(|()| None),
            Self::Driver(Driver::Outbound(driver)) => driver.poll(cx).map(|()| None),
        }
    }
}

#[derive(Debug)]
enum Driver {
    Inbound(InboundDriver),
    Outbound(OutboundDriver),
}

/// Runs the streams that the remote opens, one after the other, until the connection is closed.
#[derive(Debug)]
struct InboundDriver {
    conn: Arc<Connection>,
    stream: Option<Box<Inbound>>,
}

impl InboundDriver {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        match self.conn.inbound.poll_take(cx) {
            // A new stream replaces the old one: a remote that reopens it knows why.
            Poll::Ready(Some(stream)) => self.stream = Some(Box::new(Inbound::new(stream))),
            Poll::Ready(None) => return Poll::Ready(()),
            Poll::Pending => {}
        }
        let Some(inbound) = &mut self.stream else {
            return Poll::Pending;
        };
        match inbound.poll(cx, &self.conn) {
            Poll::Ready(Ok(())) => self.stream = None,
            Poll::Ready(Err(fault)) => {
                self.stream = None;
                self.conn.fault("its msg stream", &fault);
            }
            Poll::Pending => {}
        }
        Poll::Pending
    }
}

/// Runs the streams that we open, one after the other, until the connection is closed.
#[derive(Debug)]
struct OutboundDriver {
    conn: Arc<Connection>,
    stream: Option<Box<Outbound>>,
}

impl OutboundDriver {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        match self.conn.outbound.poll_take(cx) {
            Poll::Ready(Some(stream)) => {
                self.stream = Some(Box::new(Outbound::new(stream, &self.conn)));
            }
            Poll::Ready(None) => return Poll::Ready(()),
            Poll::Pending => {}
        }
        let Some(outbound) = &mut self.stream else {
            return Poll::Pending;
        };
        if let Poll::Ready(fault) = outbound.poll(cx, &self.conn) {
            self.stream = None;
            self.conn.fault("our msg stream", &fault);
            let cause = Cause::new(fault.code(), fault.to_string());
            self.conn.report(|reports| {
                reports.outbound_ended = Some(cause);
                reports.dead = matches!(fault, OutboundFault::NoAnswer);
            });
        }
        Poll::Pending
    }
}
