//! Runs a future once in each turn of the tab's event loop, however often it is woken meanwhile.
//!
//! Every WebSocket message and every call from the page wakes the peer. If it ran at once for each of them, it would send
//! each message and each ack alone, which costs many times more than sending them together. A `MessageChannel` brings the
//! next turn; timers would take 4 ms, and a second in a hidden tab.

use std::{
    future::poll_fn,
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    task::{Context, Poll, Wake, Waker},
};

use futures::task::AtomicWaker;
use wasm_bindgen::{JsCast, JsValue, closure::Closure};
use web_sys::MessageChannel;

/// Runs the future to its end.
pub(crate) async fn run(main: impl Future<Output = ()>) {
    let Ok(channel) = MessageChannel::new() else {
        return main.await;
    };
    let turn = Arc::new(Turn::default());
    let come = turn.clone();
    let on_message = Closure::<dyn Fn()>::new(move || come.begin());
    channel
        .port1()
        .set_onmessage(Some(on_message.as_ref().unchecked_ref()));
    let waker = Waker::from(turn.clone());
    let mut main = pin!(main);
    // Whether the next turn has been asked for. The first one is now.
    let mut asked = false;
    turn.begin();
    poll_fn(|cx| {
        turn.runner.register(cx.waker());
        if turn.begun.swap(false, Relaxed) {
            asked = false;
            turn.woken.store(false, Relaxed);
            if main
                .as_mut()
                .poll(&mut Context::from_waker(&waker))
                .is_ready()
            {
                return Poll::Ready(());
            }
        }
        if turn.woken.load(Relaxed) && !asked {
            asked = true;
            let _ = channel.port2().post_message(&JsValue::UNDEFINED);
        }
        Poll::Pending
    })
    .await;
    channel.port1().close();
}

#[derive(Debug, Default)]
struct Turn {
    /// The future has been woken.
    woken: AtomicBool,
    /// Its turn has come.
    begun: AtomicBool,
    runner: AtomicWaker,
}

impl Turn {
    fn begin(&self) {
        self.begun.store(true, Relaxed);
        self.runner.wake();
    }
}

impl Wake for Turn {
    fn wake(self: Arc<Self>) {
        self.woken.store(true, Relaxed);
        self.runner.wake();
    }
}

#[cfg(test)]
mod tests {
    use std::{cell::RefCell, rc::Rc};

    use futures::channel::oneshot;
    use js_sys::Promise;
    use wasm_bindgen_futures::{JsFuture, spawn_local};
    use wasm_bindgen_test::wasm_bindgen_test;

    use super::*;

    #[derive(Default)]
    struct Watched {
        polls: u32,
        waker: Option<Waker>,
        done: bool,
    }

    #[wasm_bindgen_test]
    async fn a_future_that_is_woken_often_runs_once_a_turn() {
        let watched = Rc::new(RefCell::new(Watched::default()));
        let (polled, was_polled) = oneshot::channel();
        let (ended, has_ended) = oneshot::channel();
        let seen = watched.clone();
        let mut polled = Some(polled);
        let main = poll_fn(move |cx| {
            let mut watched = seen.borrow_mut();
            watched.polls += 1;
            watched.waker = Some(cx.waker().clone());
            if watched.polls == 2 {
                let _ = polled.take().map(|polled| polled.send(()));
            }
            if watched.done {
                Poll::Ready(())
            } else {
                Poll::Pending
            }
        });
        spawn_local(async {
            run(main).await;
            let _ = ended.send(());
        });
        for _ in 0..10 {
            // Only microtasks run meanwhile, so the turn stays the same.
            JsFuture::from(Promise::resolve(&JsValue::UNDEFINED))
                .await
                .unwrap();
            watched.borrow().waker.iter().for_each(Waker::wake_by_ref);
        }
        assert_eq!(watched.borrow().polls, 1, "polled within a turn");
        was_polled.await.unwrap();
        watched.borrow_mut().done = true;
        watched.borrow().waker.iter().for_each(Waker::wake_by_ref);
        has_ended.await.unwrap();
        assert_eq!(watched.borrow().polls, 3);
    }
}
