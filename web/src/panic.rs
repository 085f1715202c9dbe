//! Reports a panic to the page, as the last event of every peer.
//!
//! A panic ends the wasm in the middle of whatever it did: no destructor runs, no promise resolves, and a bug would look
//! like silence. Calling JavaScript still works, so the panic hook itself writes to the event streams.

use std::{
    cell::{Cell, RefCell},
    panic::{self, PanicHookInfo},
    sync::Once,
};

use punchline::event::Event;
use wasm_bindgen::JsValue;
use web_sys::ReadableStreamDefaultController;

use crate::{
    error::{Failure, PANICKED},
    types::to_js,
};

thread_local! {
    /// The open streams, each with its number.
    static OPEN: RefCell<Vec<(u32, ReadableStreamDefaultController)>> = const { RefCell::new(Vec::new()) };
    static COUNT: Cell<u32> = const { Cell::new(0) };
    static PANICKED_ALREADY: Cell<bool> = const { Cell::new(false) };
}

/// Keeps a stream in the list of open ones until it is dropped.
#[derive(Debug)]
pub(crate) struct Watched(u32);

/// Adds a stream to those that a panic is reported to.
pub(crate) fn watch(stream: ReadableStreamDefaultController) -> Watched {
    let id = COUNT.with(|count| count.replace(count.get().wrapping_add(1)));
    OPEN.with_borrow_mut(|open| open.push((id, stream)));
    Watched(id)
}

impl Drop for Watched {
    fn drop(&mut self) {
        OPEN.with_borrow_mut(|open| open.retain(|(id, _)| *id != self.0));
    }
}

/// Installs the panic hook, unless that has been done. An earlier hook of another origin is called first.
pub(crate) fn install_hook() {
    static INSTALLED: Once = Once::new();
    INSTALLED.call_once(|| {
        let earlier = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            earlier(info);
            report(info);
        }));
    });
}

/// Fails after a panic, when nothing else would work any more.
pub(crate) fn check() -> Result<(), Failure> {
    if PANICKED_ALREADY.get() {
        let message = "the peer has died of a bug; load the page again";
        return Err(Failure::new(PANICKED, message));
    }
    Ok(())
}

/// Forgets the panic, so that other tests can go on.
#[cfg(test)]
pub(crate) fn forget() {
    PANICKED_ALREADY.set(false);
}

fn report(info: &PanicHookInfo<'_>) {
    // Later panics are consequences of the first.
    if PANICKED_ALREADY.replace(true) {
        return;
    }
    let message = message(info);
    web_sys::console::error_1(&JsValue::from_str(&message));
    let Ok(event) = to_js(&Event::Panic { message }) else {
        return;
    };
    // The panic may have come while the list was borrowed.
    let open = OPEN.with(|open| {
        open.try_borrow_mut()
            .map(|mut open| std::mem::take(&mut *open))
    });
    for (_, stream) in open.unwrap_or_default() {
        // Fails when the stream has been cancelled.
        let _ = stream.enqueue_with_chunk(&event);
        let _ = stream.close();
    }
}

fn message(info: &PanicHookInfo<'_>) -> String {
    let payload = info.payload();
    let text = payload.downcast_ref::<&str>().copied();
    let text = text.or_else(|| payload.downcast_ref::<String>().map(String::as_str));
    let what = text.unwrap_or("no reason given");
    match info.location() {
        Some(at) => format!("{what} ({}:{})", at.file(), at.line()),
        None => what.into(),
    }
}
