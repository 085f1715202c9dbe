//! A bug must not look like silence.
//!
//! A panic ends the wasm in the middle of whatever it did: no destructor runs, no promise resolves.
//! What still works is to call JavaScript, so the hook itself writes to the streams of all peers.

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
    /// The streams that are open.
    static OPEN: RefCell<Vec<(u32, ReadableStreamDefaultController)>> = const { RefCell::new(Vec::new()) };
    static COUNT: Cell<u32> = const { Cell::new(0) };
    static PANICKED_ALREADY: Cell<bool> = const { Cell::new(false) };
}

/// An open stream, until dropped.
#[derive(Debug)]
pub(crate) struct Watched(u32);

/// From now on a panic is the last event of this stream.
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

/// Makes panics known; once is enough. A hook that is there already is called first.
pub(crate) fn install_hook() {
    static INSTALLED: Once = Once::new();
    INSTALLED.call_once(|| {
        let earlier = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            earlier(info);
            tell(info);
        }));
    });
}

/// Nothing works any more after a panic, and whoever tries is told so.
pub(crate) fn check() -> Result<(), Failure> {
    if PANICKED_ALREADY.get() {
        let message = "the peer has died of a bug; load the page again";
        return Err(Failure::new(PANICKED, message));
    }
    Ok(())
}

/// The next panic counts again.
#[cfg(test)]
pub(crate) fn forget() {
    PANICKED_ALREADY.set(false);
}

fn tell(info: &PanicHookInfo<'_>) {
    // What follows a panic are its consequences.
    if PANICKED_ALREADY.replace(true) {
        return;
    }
    let message = message(info);
    web_sys::console::error_1(&JsValue::from_str(&message));
    let Ok(event) = to_js(&Event::Panic { message }) else {
        return;
    };
    // The panic may have come while this was borrowed.
    let open = OPEN.with(|open| {
        open.try_borrow_mut()
            .map(|mut open| std::mem::take(&mut *open))
    });
    for (_, stream) in open.unwrap_or_default() {
        // An error means that nobody listens any more.
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
