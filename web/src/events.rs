//! The events of a node as a `ReadableStream`.
//!
//! The stream pulls: a page that reads slowly leaves events in the node's own bounded queue, and a node whose queue is full
//! stops reading from its peers. When a page cancels the stream, the node goes on without a reader.

use std::{
    cell::RefCell,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll, Waker},
};

use futures::{Stream, future::poll_fn};
use js_sys::{Object, Promise, Reflect};
use punchline::{event::Event, node::Events, reason::Reason};
use wasm_bindgen::{JsValue, closure::Closure};
use web_sys::{QueuingStrategy, ReadableStream, ReadableStreamDefaultController as Controller};

use crate::{
    error::{EVENTS_TAKEN, Failure},
    panic::{self, Watched},
    promise::later,
    types::to_js,
};

/// Events that wait in the stream itself: they are handed over in batches.
const STREAM_QUEUE_LEN: f64 = 64.0;

/// The events of a node, and the stream that they go to. Clones share them.
#[derive(Debug, Clone)]
pub(crate) struct EventSource(Rc<RefCell<State>>);

#[derive(Debug)]
struct State {
    /// `None` after the end.
    events: Option<Events>,
    taken: bool,
    watched: Option<Watched>,
    reader: Option<Waker>,
}

impl EventSource {
    pub(crate) fn new(events: Events) -> Self {
        Self(Rc::new(RefCell::new(State {
            events: Some(events),
            taken: false,
            watched: None,
            reader: None,
        })))
    }

    /// Returns the stream, the first time that it is asked for.
    pub(crate) fn stream(&self) -> Result<ReadableStream, JsValue> {
        if std::mem::replace(&mut self.0.borrow_mut().taken, true) {
            let message = "the events of a peer can be read by one reader; keep the first stream";
            return Err(Failure::new(EVENTS_TAKEN, message).into());
        }
        let (start, pull, cancel) = (self.clone(), self.clone(), self.clone());
        let start = Closure::<dyn Fn(Controller)>::new(move |stream| start.start(stream));
        let pull = Closure::<dyn Fn(Controller) -> Promise>::new(move |stream| pull.pull(stream));
        let cancel = Closure::<dyn Fn()>::new(move || cancel.end());
        // The closures live as long as the stream, which JavaScript collects.
        let source = Object::new();
        Reflect::set(&source, &"start".into(), &start.into_js_value())?;
        Reflect::set(&source, &"pull".into(), &pull.into_js_value())?;
        Reflect::set(&source, &"cancel".into(), &cancel.into_js_value())?;
        let strategy = QueuingStrategy::new();
        strategy.set_high_water_mark(STREAM_QUEUE_LEN);
        ReadableStream::new_with_underlying_source_and_strategy(&source, &strategy)
    }

    /// Drops the events, so that the node no longer waits for a reader, and ends the stream.
    pub(crate) fn end(&self) {
        let mut state = self.0.borrow_mut();
        let ended = (
            state.events.take(),
            state.watched.take(),
            state.reader.take(),
        );
        // Dropping these may call back into this state.
        drop(state);
        if let (_, _, Some(reader)) = ended {
            reader.wake();
        }
    }

    fn start(&self, stream: Controller) {
        self.0.borrow_mut().watched = Some(panic::watch(stream));
    }

    /// Fills the stream. The promise resolves when the stream is full or has ended.
    fn pull(&self, stream: Controller) -> Promise {
        if panic::check().is_err() {
            return Promise::resolve(&JsValue::UNDEFINED);
        }
        let this = self.clone();
        later(async move {
            while stream.desired_size().is_some_and(|room| room > 0.0) {
                let Some(event) = this.next().await else {
                    this.end();
                    // Fails when the stream has been cancelled.
                    let _ = stream.close();
                    break;
                };
                stream.enqueue_with_chunk(&object(&event))?;
            }
            Ok(JsValue::UNDEFINED)
        })
    }

    async fn next(&self) -> Option<Event> {
        poll_fn(|cx| self.poll_next(cx)).await
    }

    fn poll_next(&self, cx: &mut Context<'_>) -> Poll<Option<Event>> {
        let mut state = self.0.borrow_mut();
        let Some(events) = &mut state.events else {
            return Poll::Ready(None);
        };
        let event = Pin::new(events).poll_next(cx);
        if event.is_pending() {
            state.reader = Some(cx.waker().clone());
        }
        event
    }
}

/// An event as a plain object. One with a number that JavaScript cannot hold, which only a remote that makes numbers up
/// causes, becomes an error event.
pub(crate) fn object(event: &Event) -> JsValue {
    to_js(event).unwrap_or_else(|e| {
        let message = format!("an event was left out: {e}");
        let code = Reason::Other;
        to_js(&Event::Error { code, message }).unwrap_or_default()
    })
}
